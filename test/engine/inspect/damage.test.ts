/** Damaged, torn, foreign and hostile folders: a coded error or a reading that says what is wrong. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { checksum } from '../../../engine/checksum.ts'
import { EngineError } from '../../../engine/errors.ts'
import { encodeSegmentId } from '../../../engine/ids.ts'
import { PAGE_BYTES, PAGE_HEADER_BYTES } from '../../../engine/index/page.ts'
import type { InspectReport } from '../../../engine/inspect.ts'
import { groupedLength } from '../../../engine/value-pointer.ts'
import { groupedRecord, plainRecord, rawFrame, rid } from '../format/memory-file.ts'
import {
  META,
  MemoryFolder,
  buildFolder,
  internalPage,
  leafPage,
  type BuiltValue,
} from './memory-folder.ts'
import { copyOf, expectedReading, fingerprint, flipByte, read, tempFolder } from './reading.ts'

const PLAIN = 'treedb-march-plain'
const SEGMENT = encodeSegmentId(0, 1)

function pointerTo(start: number, length: number, segmentId = SEGMENT): BuiltValue {
  return { kind: 'pointer', pointer: { segmentId, offset: start + 4, length } }
}

/** Why a key's value could not be read; '' when it could. */
function keyError(report: InspectReport, key: string): string {
  const found = report.keys?.[key]
  return found !== undefined && 'error' in found ? found.error : ''
}

describe('what is no data folder', () => {
  test('an empty folder and an absent one are refused', async () => {
    const folder = tempFolder()
    await expect(read(folder)).rejects.toMatchObject({ code: 'ENGINE_NOT_A_FOLDER' })
    const absent = path.join(folder, 'absent')
    await expect(read(absent)).rejects.toMatchObject({ code: 'ENGINE_NOT_A_FOLDER' })
    expect(fs.existsSync(absent)).toBe(false)
  })
})

describe('symbolic links', () => {
  test('a linked segment is a problem and is not read', async () => {
    const folder = copyOf(PLAIN)
    const file = path.join(folder, 'maindb/wal/value-l0-000001.log')
    const elsewhere = path.join(tempFolder(), 'elsewhere.log')
    fs.renameSync(file, elsewhere)
    fs.symlinkSync(elsewhere, file)
    const before = fingerprint(folder)
    const { report, state, attachment } = await read(folder, { keys: true })
    expect(attachment.problems).toContain(
      'wal/value-l0-000001.log is a symbolic link, not followed',
    )
    expect(attachment.problems).toContain(
      'value-l0-000001.log (segment 2147483649) is missing: 5 pointers into it',
    )
    expect(state.segments.map(({ segmentId }) => segmentId)).not.toContain(2147483649)
    expect(keyError(report, '616363742f30303030')).toMatch(/missing|not in/)
    expect(fingerprint(folder)).toEqual(before)
  })

  test('a linked value-log folder is a problem and is not read', async () => {
    const folder = copyOf(PLAIN)
    const wal = path.join(folder, 'maindb/wal')
    const elsewhere = path.join(tempFolder(), 'wal')
    fs.renameSync(wal, elsewhere)
    fs.symlinkSync(elsewhere, wal)
    const { state, attachment } = await read(folder)
    expect(state.segments).toEqual([])
    expect(attachment.problems).toContain('wal is a symbolic link, not followed')
    expect(attachment.journalPending).toBe(0)
  })

  test('a linked index or maindb is refused by name', async () => {
    const folder = copyOf(PLAIN)
    const index = path.join(folder, 'maindb/index.db')
    const elsewhere = path.join(tempFolder(), 'index.db')
    fs.renameSync(index, elsewhere)
    fs.symlinkSync(elsewhere, index)
    await expect(read(folder)).rejects.toThrow('maindb/index.db is a symbolic link, not followed')
    const outer = tempFolder()
    fs.symlinkSync(path.join(copyOf(PLAIN), 'maindb'), path.join(outer, 'maindb'))
    await expect(read(outer)).rejects.toThrow('maindb is a symbolic link, not followed')
  })

  test('a linked state file is a problem and counts as absent', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.files.set('maindb/vlog_generation_state.json', null)
    const { report, state } = await folder.read()
    expect(report.vlog_generation_state).toBeNull()
    expect(state.debt.queue).toEqual([])
    expect(report.problems).toEqual(['vlog_generation_state.json is a symbolic link, not followed'])
  })
})

describe('meta pages', () => {
  test('a damaged newest page falls back to the other one and says so', async () => {
    const folder = copyOf(PLAIN)
    flipByte(path.join(folder, 'maindb/index.db'), PAGE_BYTES + PAGE_HEADER_BYTES)
    const { report, attachment } = await read(folder, { keys: true })
    expect(report).toMatchObject({ meta_page: 0, meta: { commit_seq: 6 } })
    expect(report.keys).toEqual(expectedReading(PLAIN).keys)
    expect(attachment.problems[0]).toBe('meta page 1 is damaged')
  })

  test('a newest page whose root cannot be read falls back too', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.page(1).view.setUint32(PAGE_HEADER_BYTES + 8, 9999, true)
    folder.reseal(1, 'crc32c')
    const { report } = await folder.read()
    expect(report.meta_page).toBe(0)
    expect(report.problems[0]).toMatch(/^meta page 1 was not taken: index page 9999: past the end/)
  })

  test('two damaged pages leave a reading of the value log with live bytes unknown', async () => {
    const folder = copyOf(PLAIN)
    flipByte(path.join(folder, 'maindb/index.db'), PAGE_HEADER_BYTES)
    flipByte(path.join(folder, 'maindb/index.db'), PAGE_BYTES + PAGE_HEADER_BYTES)
    const { report, state, attachment } = await read(folder, { replay: true })
    expect(report).toMatchObject({
      checksum: 'crc32c',
      meta_page: null,
      meta: null,
      replayed: false,
    })
    expect(attachment).toMatchObject({ commitSeq: null, keyCount: null, journalPending: 5 })
    expect(attachment.liveBytesUnknown).toBe('live bytes are not known: no tree could be read')
    expect(state.checkpoint.commitSeq).toBeNull()
    expect(report).toMatchObject({
      key_count: null,
      live_bytes_unknown: attachment.liveBytesUnknown,
    })
    for (const segment of report.segments) {
      expect(segment).toMatchObject({ live_bytes: null, stale_bytes: null, leaf_refs: null })
    }
    expect(report.segments.map(({ records }) => records)).toEqual([9, 10, 49, 1, 1])
    expect(attachment.problems).toContain('both meta pages are damaged: no tree can be read')
    expect(attachment.problems).toContain('live bytes are not known: no tree could be read')
    for (const { keptBy } of state.segments) {
      expect(keptBy).toContainEqual(expect.objectContaining({ kind: 'error' }))
    }
  })

  test('an index shorter than its meta pages is a reading', async () => {
    for (const length of [0, 100, PAGE_BYTES, 2 * PAGE_BYTES - 1]) {
      const folder = MemoryFolder.load(PLAIN)
      folder.files.set('maindb/index.db', folder.bytes('maindb/index.db').slice(0, length))
      const { report } = await folder.read({ keys: true })
      expect(report.key_count).toBeNull()
      expect(report.problems.length).toBeGreaterThan(0)
    }
  })

  test('durable meta pages are named, the segments are still read', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.page(0).bytes.set(Buffer.from('TDMETV1\0'), PAGE_HEADER_BYTES)
    const { report, attachment } = await folder.read()
    expect(attachment.unsupported).toEqual([
      'durable meta pages (TDMETV1): not read by this version (1 folder)',
    ])
    expect(report.segments).toHaveLength(5)
  })

  test('a root in the value log that is not there gives way to the other meta page', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.page(1).view.setUint32(PAGE_HEADER_BYTES + 12, 0x80000001, true)
    folder.reseal(1, 'crc32c')
    const { report } = await folder.read()
    expect(report.meta_page).toBe(0)
    expect(report.problems[0]).toMatch(/^meta page 1 was not taken: value-l0-000001\.log at /)
  })
})

describe('the tree', () => {
  const VALUE: BuiltValue = { kind: 'inline', value: Buffer.from('v') }

  test('a cycle ends and is said', async () => {
    const folder = buildFolder({
      pages: {
        2: internalPage(2, [
          ['', 4],
          ['m', 2],
          ['n', 5],
        ]),
        3: leafPage(3, []),
        4: leafPage(4, [['a', VALUE]]),
        5: internalPage(5, [['n', 4]]),
      },
    })
    const { report } = await folder.read({ keys: true })
    expect(report.key_count).toBe(1)
    expect(report.index.pages_not_read).toBe(2)
    expect(report.problems).toEqual([
      'index page 2: reached twice',
      'index page 4: reached twice',
      'live bytes are a lower bound: 2 index pages and what hangs below were not read',
    ])
    expect(folder.pageReads).toBeLessThan(20)
  })

  test('depth is bounded', async () => {
    const pages: Record<number, ReturnType<typeof leafPage>> = { 3: leafPage(3, []) }
    const chain = Array.from({ length: 100 }, (_, i) => (i === 0 ? 2 : i + 3))
    chain.forEach((id, i) => (pages[id] = internalPage(id, [['', chain[i + 1] ?? 3]])))
    const { report } = await buildFolder({ pages }).read()
    expect(report.problems[0]).toMatch(/^index page \d+: deeper than 64 levels$/)
  })

  test('a damaged page costs itself and what hangs below it, and is said', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.page(11).bytes.fill(0xee, 100, 200)
    const { report, state } = await folder.read({ keys: true })
    expect(report.problems[0]).toBe('index page 11: checksum mismatch')
    const found = Object.keys(report.keys ?? {})
    const { keys } = expectedReading(PLAIN)
    expect(found.length).toBeGreaterThan(20)
    for (const key of found) expect(report.keys?.[key]).toEqual(keys?.[key])
    expect(state.segments[1]?.keptBy).toContainEqual({
      kind: 'error',
      code: 'ENGINE_CORRUPT',
      message: 'live bytes are a lower bound: 1 index page and what hangs below was not read',
    })
  })

  test('a page in the wrong place is damage', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.page(9).bytes.set(folder.page(8).bytes)
    expect((await folder.read()).report.problems).toContain('index page 9: carries the id 8')
  })

  test('children outside the index, keys out of order over pages, a broken freelist', async () => {
    const folder = buildFolder({
      metas: [META, { ...META, commitSeq: 2, freelistHead: 6, totalPages: 7 }],
      pages: {
        2: internalPage(2, [
          ['', 4],
          ['m', 5],
          ['x', 1_000_000],
        ]),
        3: leafPage(3, []),
        4: leafPage(4, [['p', VALUE]]),
        5: leafPage(5, [['b', VALUE]]),
        6: leafPage(6, []),
      },
    })
    const page = folder.page(6)
    page.view.setUint16(12, 2, true)
    page.view.setUint16(14, 2, true)
    page.view.setUint32(PAGE_HEADER_BYTES, 6, true)
    page.view.setUint32(PAGE_HEADER_BYTES + 8, 4, true)
    folder.reseal(6, 'ieee')
    const { report } = await folder.read()
    expect(report.problems).toEqual([
      'index page 5: its first key is not above the page before',
      'index page 1000000: outside the index of 7 pages',
      'index page 6: freelist page reached twice',
      '1 page of the tree also stand in the freelist',
      'live bytes are a lower bound: 1 index page and what hangs below was not read',
    ])
  })

  test('problems are bounded in number', async () => {
    const children = Array.from({ length: 120 }, (_, i): [string, number] => [
      String(i).padStart(4, '0'),
      1000 + i,
    ])
    const folder = buildFolder({ pages: { 2: internalPage(2, children), 3: leafPage(3, []) } })
    const { problems } = (await folder.read()).report
    expect(problems).toHaveLength(51)
    expect(problems.at(-1)).toMatch(/^and \d+ more$/)
  })

  test('the other meta page keeps a segment that only its tree names', async () => {
    const record = plainRecord(rid(1), Buffer.from('old value'), 'ieee')
    const folder = buildFolder({
      metas: [META, { ...META, commitSeq: 2, userRoot: 4 }],
      pages: {
        2: leafPage(2, [['k', pointerTo(0, 16 + 9)]]),
        3: leafPage(3, []),
        4: leafPage(4, [['k', VALUE]]),
      },
      segments: { '0-1': [record], '0-2': [] },
    })
    const { state, report } = await folder.read()
    expect(report).toMatchObject({ meta_page: 1, key_count: 1, problems: [] })
    expect(state.segments.map(({ keptBy }) => keptBy)).toEqual([
      [{ kind: 'root', metaPage: 0 }],
      [{ kind: 'active_writer' }],
    ])
  })

  test('a dead segment that nothing keeps awaits GC', async () => {
    const folder = buildFolder({
      pages: { 2: leafPage(2, []), 3: leafPage(3, []) },
      segments: { '0-1': [plainRecord(rid(1), Buffer.from('dead'), 'ieee')], '0-2': [] },
    })
    const { state } = await folder.read()
    expect(state.segments[0]).toMatchObject({ state: 'sealed', keptBy: [{ kind: 'awaiting_gc' }] })
  })
})

describe('pointers and segments', () => {
  test('a segment of live records only is live to the byte, in records and in frames (X1)', async () => {
    const records = [
      plainRecord(rid(1), Buffer.from('plain'), 'ieee'),
      groupedRecord(rawFrame([rid(2), rid(3)], [Buffer.from('a'), Buffer.from('b')]), 'ieee'),
    ]
    const frameBody = (records[1]?.length ?? 0) - 4
    const folder = buildFolder({
      pages: {
        2: leafPage(2, [
          ['a', pointerTo(0, 16 + 5)],
          ['b', pointerTo(25, groupedLength(frameBody, 1))],
        ]),
        3: leafPage(3, [['s', pointerTo(25, groupedLength(Infinity, 0))]]),
      },
      segments: { '0-1': records },
    })
    const { state, report } = await folder.read()
    const total = 25 + 4 + frameBody
    expect(state.segments[0]).toMatchObject({ bytesTotal: total, bytesLive: total, bytesStale: 0 })
    expect(report.segments[0]).toMatchObject({
      live_bytes: total - 8,
      stale_bytes: 8,
      referenced_records: 3,
      referenced_disk_records: 2,
      referencing_pointers: 3,
    })
    expect(report.problems).toEqual([])
  })

  test('dangling pointers are said and count nothing', async () => {
    const record = plainRecord(rid(1), Buffer.from('plain'), 'ieee')
    const folder = buildFolder({
      pages: {
        2: leafPage(2, [
          ['a', pointerTo(3, 16 + 5)],
          ['b', pointerTo(0, 16 + 6)],
          ['c', pointerTo(0, groupedLength(21, 0))],
          ['d', pointerTo(1000, 16 + 5)],
          ['e', pointerTo(0, 16 + 5, encodeSegmentId(7, 7))],
          ['f', pointerTo(-4, 16 + 5)],
          ['g', pointerTo(0, 16 + 5, 12)],
          ['h', pointerTo(2 ** 33, 16 + 5)],
          ['i', pointerTo(2 ** 44, 16 + 5)],
        ]),
        3: leafPage(3, []),
      },
      segments: { '0-1': [record], '0-2': [] },
    })
    const { state, report } = await folder.read({ keys: true })
    expect(state.segments[0]).toMatchObject({ bytesLive: 0, bytesStale: 25 })
    expect(report.problems).toEqual([
      'value_vlog/value-l0-000001.log: 5 pointers to no matching record, the first at byte 0',
      'value-l7-000007.log (segment 2206203911) is missing: 1 pointer into it',
      '3 value pointers with impossible bytes',
    ])
    for (const key of Object.values(report.keys ?? {})) expect(key).toHaveProperty('error')
  })

  test('behind damage, records that pointers name still count', async () => {
    const records = ['one', 'two', 'three'].map((text, i) =>
      plainRecord(rid(i + 1), Buffer.from(text), 'ieee'),
    )
    const folder = buildFolder({
      pages: {
        2: leafPage(2, [
          ['a', pointerTo(0, 16 + 3)],
          ['b', pointerTo(23, 16 + 3)],
          ['c', pointerTo(46, 16 + 5)],
        ]),
        3: leafPage(3, []),
      },
      segments: { '0-1': records },
    })
    const bytes = folder.bytes('maindb/value_vlog/value-l0-000001.log')
    bytes[23 + 20] = 0xff
    const { state, report } = await folder.read({ verify: true })
    expect(report.verified).toBe(true)
    expect(report.segments[0]).toMatchObject({ tail: 'corrupt', tail_offset: 23, records: 1 })
    expect(state.segments[0]).toMatchObject({ bytesTotal: 71, bytesLive: 23 + 25 })
    expect(report.problems).toEqual([
      expect.stringMatching(
        /^value_vlog\/value-l0-000001\.log: reading stopped at byte 23: record CRC/,
      ),
      'value_vlog/value-l0-000001.log: 1 pointer to no matching record, the first at byte 23',
    ])
    // Without checking CRCs the shape of the file is whole.
    const unchecked = await folder.read()
    expect(unchecked.report).not.toHaveProperty('verified')
    expect(unchecked.report.problems).toEqual([])
    expect(unchecked.state.segments[0]).toMatchObject({ bytesLive: 71 })
    // A damaged header is damage to both.
    bytes[23 + 4] = 9
    const stopped = await folder.read()
    expect(stopped.report.segments[0]).toMatchObject({ tail: 'corrupt', tail_offset: 23 })
    expect(stopped.state.segments[0]).toMatchObject({ bytesLive: 23 + 25 })
  })

  test('two files for one id: one is read, the other is said', async () => {
    const folder = MemoryFolder.load(PLAIN)
    const bytes = folder.bytes('maindb/wal/value-l0-000001.log')
    folder.files.set('maindb/wal/value-l0-1.log', bytes)
    const { report } = await folder.read()
    expect(report.segments.map(({ file }) => file)).toContain('wal/value-l0-000001.log')
    expect(report.problems).toEqual([
      'wal/value-l0-1.log has the same segment id as wal/value-l0-000001.log; it was not read',
    ])
  })

  test('a zero RID inside a frame stops the segment although its CRC is right (B12)', async () => {
    const payload = rawFrame([rid(1)], [Buffer.from('value')])
    payload.fill(0, 12, 20)
    const record = groupedRecord(payload, 'ieee')
    const folder = buildFolder({
      pages: {
        2: leafPage(2, [['k', pointerTo(0, groupedLength(record.length - 4, 0))]]),
        3: leafPage(3, []),
      },
      segments: { '0-1': [record], '0-2': [] },
    })
    const { report, state } = await folder.read({ keys: true })
    expect(report.segments[0]).toMatchObject({ tail: 'corrupt', tail_offset: 0 })
    expect(state.segments[0]?.bytesLive).toBe(0)
    expect(keyError(report, '6b')).toMatch(/RID 0 is 0/)
  })
})

describe('small files', () => {
  test('a torn state file counts as empty and is said', async () => {
    const folder = MemoryFolder.load(PLAIN)
    const name = 'maindb/vlog_generation_state.json'
    folder.files.set(name, folder.bytes(name).slice(0, 100))
    const { report, state } = await folder.read()
    expect(report.vlog_generation_state).toBeNull()
    expect(state.debt).toEqual({ queue: [], ledger: [], stage: null })
    expect(report.problems).toEqual([
      expect.stringMatching(/^vlog_generation_state\.json: the state file is not JSON/),
    ])
  })

  test('the state file is found beside maindb too; of two, the layout decides', async () => {
    const folder = MemoryFolder.load('treedb-split-mixed')
    const name = 'vlog_generation_state.json'
    const inside = folder.bytes(`maindb/${name}`)
    folder.files.delete(`maindb/${name}`)
    folder.files.set(name, inside)
    expect((await folder.read()).state.debt.queue).toHaveLength(2)
    folder.files.set(`maindb/${name}`, Buffer.from('{"rewrite_source_file_ids":["2155872257"]}'))
    const both = await folder.read()
    expect(both.state.debt.queue).toHaveLength(2)
    expect(both.report.problems).toContain(
      'there are two vlog_generation_state.json; the one of the split layout counts',
    )
  })

  test('features that format.json requires are named, and a command log is not replayed', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.files.set(
      'maindb/format.json',
      Buffer.from('{"version":3,"required_features":["command_wal_v1","x"]}'),
    )
    const { report, attachment } = await folder.read({ replay: true })
    expect(attachment.unsupported).toEqual([
      'feature "command_wal_v1", which format.json requires: not read by this version (1 folder)',
      'feature "x", which format.json requires: not read by this version (1 folder)',
    ])
    expect(report.replayed).toBe(false)
    expect(report.problems).toContain('the journal was not replayed: the folder has a command log')
  })

  test('age comes from our own metadata, which copying does not reset (X5)', async () => {
    const folder = MemoryFolder.load(PLAIN)
    const meta = {
      version: 1,
      next_seq: 3,
      rid_reserved_until: '100',
      segments: {
        2147483649: { origin: 'foreground', created_at_ms: 1000, sealed_at_ms: 2000 },
        2147483650: { origin: 'rewrite', created_at_ms: 3000, sealed_at_ms: null },
      },
    }
    folder.files.set('maindb/restage_meta.json', Buffer.from(JSON.stringify(meta)))
    const { state } = await folder.read()
    expect(state.segments[0]).toMatchObject({
      origin: 'foreground',
      createdAtMs: 1000,
      sealedAtMs: 2000,
      ageSource: 'metadata',
    })
    expect(state.segments[1]).toMatchObject({ origin: 'rewrite', sealedAtMs: null })
    expect(state.segments[2]).toMatchObject({ origin: 'unknown', ageSource: 'mtime' })
  })

  test('without metadata the age is the file time, and is called that (X5)', async () => {
    const { state } = await MemoryFolder.load(PLAIN).read()
    expect(state.segments[0]).toMatchObject({
      createdAtMs: null,
      sealedAtMs: 1_773_999_000_000,
      ageSource: 'mtime',
    })
    expect(state.segments[1]).toMatchObject({ state: 'active', sealedAtMs: null })
  })

  test('torn metadata is said and falls back to file times (X5)', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.files.set('maindb/restage_meta.json', Buffer.from('{"version":1,'))
    const { state, report } = await folder.read()
    expect(state.segments[0]?.ageSource).toBe('mtime')
    expect(report.problems).toEqual([
      'restage_meta.json is torn or foreign: ages come from file times',
    ])
  })
})

describe('the journal', () => {
  const NAME = 'maindb/wal/commit-l0-000001.log'

  test('a torn tail keeps the batches before it', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.files.set(NAME, folder.bytes(NAME).slice(0, 150))
    const { report } = await folder.read({ replay: true })
    expect(report.commitlog).toMatchObject([{ bytes: 150, batches: 2, records: 3, state: 'torn' }])
    expect(report.replayed).toBe(true)
  })

  test('damage is said and nothing is replayed', async () => {
    const folder = MemoryFolder.load(PLAIN)
    folder.bytes(NAME)[100] = 0xff
    const { report } = await folder.read({ replay: true, keys: true })
    expect(report.commitlog).toMatchObject([{ batches: 1, state: 'corrupt' }])
    expect(report.replayed).toBe(false)
    expect(report.keys).toEqual(expectedReading(PLAIN).keys)
    expect(report.problems).toEqual([
      'wal/commit-l0-000001.log is damaged at byte 71: journal CRC mismatch',
      'the journal was not replayed: a part of it cannot be read',
    ])
  })

  test('batches of another version are named and those around them are read', async () => {
    const folder = MemoryFolder.load(PLAIN)
    const bytes = folder.bytes(NAME)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    view.setUint8(71 + 8, 2)
    const end = 71 + 8 + view.getUint32(71, true)
    view.setUint32(71 + 4, checksum('crc32c', bytes, 71 + 8, end), true)
    const { report, attachment } = await folder.read()
    expect(report.commitlog).toMatchObject([{ batches: 2, state: 'unsupported' }])
    expect(attachment.unsupported).toEqual([
      'journal payload version 2: not read by this version (1 batch)',
    ])
  })
})

describe('unread value encodings', () => {
  test('unknown codecs and outer-leaf blocks are named; their bytes are counted all the same', async () => {
    const unknown = rawFrame([rid(1)], [Buffer.from('value')])
    unknown[1] = 1
    unknown[3] = 3
    const withDictionary = unknown.slice()
    withDictionary[4] = 9
    const records = [
      groupedRecord(unknown, 'ieee'),
      groupedRecord(withDictionary, 'ieee'),
      plainRecord(rid(2), Buffer.from('TOL2 and more'), 'ieee'),
    ]
    const bodyBytes = (records[0]?.length ?? 0) - 4
    const folder = buildFolder({
      pages: {
        2: leafPage(2, [['k', pointerTo(0, groupedLength(bodyBytes, 0))]]),
        3: leafPage(3, []),
      },
      segments: { '0-1': records },
    })
    for (const verify of [false, true]) {
      const { report, state, attachment } = await folder.read({ keys: true, verify })
      expect(attachment.unsupported).toEqual([
        'frames with block codec 3: not read by this version (1 frame)',
        'values that begin with "TOL2" (outer-leaf blocks) as anything but bytes: not read by this version (1 value)',
      ])
      expect(report.problems).toEqual([
        'dictionary 0000000000000009: dictdb: there is no such folder (needed by 1 frame)',
      ])
      expect(state.segments[0]?.bytesLive).toBe(bodyBytes + 4)
      expect(keyError(report, '6b')).toMatch(/block codec 3/)
    }
  })
})

describe('a long reading', () => {
  test('gives the thread back whenever a slice is used up', async () => {
    const folder = MemoryFolder.load(PLAIN)
    let nowMs = 0
    let yields = 0
    const yieldNow = (): Promise<void> => {
      yields++
      return Promise.resolve()
    }
    const deps = { yieldNow, sliceMs: 1, monotonic: () => (nowMs += 0.5) }
    const { report } = await folder.read({ keys: true }, deps)
    expect(report).toEqual(expectedReading(PLAIN))
    expect(yields).toBeGreaterThan(20)
  })

  test('says so when a writer commits all the while', async () => {
    const folder = MemoryFolder.load(PLAIN)
    let commitSeq = 8
    const yieldNow = (): Promise<void> => {
      folder.page(0).view.setUint32(PAGE_HEADER_BYTES, commitSeq++, true)
      folder.reseal(0, 'crc32c')
      return Promise.resolve()
    }
    const { report } = await folder.read({ keys: true }, { yieldNow })
    expect(report.problems).toEqual([
      'the folder is being written: this is a reading of a moving state, its numbers are approximate',
    ])
  })

  test('reads again when a writer committed meanwhile', async () => {
    const folder = MemoryFolder.load(PLAIN)
    const yieldNow = (): Promise<void> => {
      folder.page(0).view.setUint32(PAGE_HEADER_BYTES, 9, true)
      folder.reseal(0, 'crc32c')
      return Promise.resolve()
    }
    const { report } = await folder.read({ keys: true }, { yieldNow })
    expect(report.problems).toEqual([])
    expect(report.meta?.commit_seq).toBe(9)
  })
})

describe('mutated folders', () => {
  /** Deterministic: the same seed gives the same mutations. */
  function randomOf(seed: number): (below: number) => number {
    let state = seed >>> 0
    return (below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
  }

  function mutate(folder: MemoryFolder, random: (below: number) => number): void {
    const names = [...folder.files.keys()].filter((name) => folder.bytes(name).length > 0)
    const name = names[random(names.length)] ?? 'maindb/index.db'
    const bytes = folder.bytes(name)
    const used = name === 'maindb/index.db' ? 15 * PAGE_BYTES : bytes.length
    if (random(8) === 0) folder.files.set(name, bytes.slice(0, random(used)))
    else for (let i = 0; i <= random(4); i++) bytes[random(used)] = random(256)
  }

  test.each([
    [PLAIN, 'crc32c'],
    ['treedb-split-mixed', 'ieee'],
  ] as const)(
    '%s: a reading or a coded error each time, live + stale = total',
    async (name, kind) => {
      const source = MemoryFolder.load(name)
      let readings = 0
      for (let seed = 1; seed <= 250; seed++) {
        const random = randomOf(seed)
        const folder = new MemoryFolder()
        for (const file of source.files.keys()) folder.files.set(file, source.bytes(file).slice())
        for (let i = 0; i <= random(3); i++) mutate(folder, random)
        // Every second folder is a crafted one: its pages carry right checksums.
        const pages = Math.floor(folder.bytes('maindb/index.db').length / PAGE_BYTES)
        if (seed % 2 === 0) for (let id = 0; id < Math.min(15, pages); id++) folder.reseal(id, kind)
        try {
          const { state } = await folder.read({ keys: true, replay: seed % 3 === 0 })
          readings++
          for (const { bytesLive, bytesStale, bytesTotal } of state.segments) {
            expect(bytesLive + bytesStale).toBe(bytesTotal)
            expect(Math.min(bytesLive, bytesStale)).toBeGreaterThanOrEqual(0)
          }
        } catch (error) {
          if (!(error instanceof EngineError)) throw new Error(`seed ${seed}`, { cause: error })
        }
        expect(folder.openFiles).toBe(0)
      }
      // An index.db is always there, so not one of them is refused.
      expect(readings).toBe(250)
    },
  )
})
