import { describe, expect, test } from 'vitest'
import type { InspectKey, InspectReport } from '../../../engine/inspect.ts'
import { DATA, READ_AT_MS, copyOf, expectedReading, fingerprint, read } from './reading.ts'

const PLAIN = 'treedb-march-plain'
const MIXED = 'treedb-split-mixed'

describe('a plain folder of March 2026', () => {
  test('reads exactly as its expected JSON', async () => {
    const { report } = await read(`${DATA}/${PLAIN}`, { keys: true })
    expect(report).toEqual(expectedReading(PLAIN))
  })

  test('reads exactly as its expected JSON with the journal laid over it', async () => {
    const { report } = await read(`${DATA}/${PLAIN}`, { keys: true, replay: true })
    expect(report).toEqual(expectedReading(`${PLAIN}.replayed`))
  })

  test('leaves keys out unless asked, and counts the same', async () => {
    const { keys, system_keys, ...rest } = expectedReading(PLAIN)
    expect(keys).toBeDefined()
    expect(system_keys).toBeDefined()
    expect((await read(`${DATA}/${PLAIN}`)).report).toEqual(rest)
  })

  test('counts keys through the overlay without listing them', async () => {
    const { report } = await read(`${DATA}/${PLAIN}`, { replay: true })
    expect(report.key_count).toBe(expectedReading(`${PLAIN}.replayed`).key_count)
    expect(report.replayed).toBe(true)
  })

  test('a folder that is maindb itself reads the same', async () => {
    const { report, state } = await read(`${DATA}/${PLAIN}/maindb`, { keys: true })
    expect(report).toEqual(expectedReading(PLAIN))
    expect(state.segments[0]?.file).toBe('wal/value-l0-000001.log')
  })

  test('gives the state that a hosted folder would have', async () => {
    const { state, info, attachment } = await read(`${DATA}/${PLAIN}`)
    expect(info).toMatchObject({ layout: 'wal', checksum: 'crc32c', readOnly: true })
    expect(state.checkpoint).toEqual({ commitSeq: 7, atMs: null, elapsedMs: null })
    expect(state.debt.queue).toEqual([2147483649, 2147483650])
    expect(state.debt.stage).toMatchObject({ observedAtMs: 1_774_000_000_000, minStaleRatio: null })
    expect(state.scheduler.state).toBe('disabled')
    expect(attachment).toEqual({
      readAtMs: READ_AT_MS,
      commitSeq: 7,
      keyCount: 53,
      journalPending: 5,
      unsupported: [],
      problems: [
        'wal/value-l1-000002.log has a torn tail of 7 bytes',
        '1 journal batch with a record id that no value log holds: a replay skips it whole',
      ],
    })
  })

  test('live + stale = total, and why a dead segment is kept is said', async () => {
    const { state } = await read(`${DATA}/${PLAIN}`)
    for (const segment of state.segments) {
      expect(segment.bytesLive + segment.bytesStale).toBe(segment.bytesTotal)
    }
    const brief = state.segments.map(({ file, state: how, keptBy }) => [file, how, keptBy])
    expect(brief).toEqual([
      ['maindb/wal/value-l0-000001.log', 'sealed', []],
      ['maindb/wal/value-l0-000002.log', 'active', []],
      ['maindb/wal/value-l1-000001.log', 'sealed', []],
      ['maindb/wal/value-l1-000002.log', 'active', [{ kind: 'active_writer' }]],
      [
        'maindb/wal/value-l2-000001.log',
        'active',
        [{ kind: 'active_writer' }, { kind: 'journal' }],
      ],
    ])
  })

  test('a fully live segment has stale bytes exactly 0 although upstream counts differ (X1)', async () => {
    const { report, state } = await read(`${DATA}/${PLAIN}`)
    const reading = report.segments.find(({ file }) => file === 'wal/value-l1-000001.log')
    const segment = state.segments.find(({ segmentId }) => segmentId === reading?.file_id)
    expect(reading).toMatchObject({ total_bytes: 4258, live_bytes: 4813, live_disk_bytes: 4258 })
    expect(segment).toMatchObject({ bytesTotal: 4258, bytesLive: 4258, bytesStale: 0 })
  })
})

describe('a split folder with every encoding', () => {
  /** What only pages that this version does not read would have told. */
  function readablePart(
    expected: InspectReport,
    keys: readonly string[],
  ): Record<string, InspectKey> {
    return Object.fromEntries(
      Object.entries(expected.keys ?? {}).filter(([key]) => keys.includes(key)),
    )
  }

  test('what is read equals the expected values', async () => {
    const expected = expectedReading(MIXED)
    const { report } = await read(`${DATA}/${MIXED}`, { keys: true })
    const found = Object.keys(report.keys ?? {})
    expect(found).toHaveLength(6)
    expect(report.keys).toEqual(readablePart(expected, found))
    expect(report.system_keys).toEqual(expected.system_keys)
    for (const name of ['checksum', 'meta_page', 'meta', 'commitlog', 'problems'] as const) {
      expect(report[name]).toEqual(expected[name])
    }
    expect(report.commitlog_pending_records).toBe(expected.commitlog_pending_records)
    expect(report.vlog_generation_state).toEqual(expected.vlog_generation_state)
    expect(report.format_config).toEqual(expected.format_config)
    expect(report.index).toMatchObject({
      file_bytes: expected.index.file_bytes,
      pages: expected.index.pages,
      freelist_pages: expected.index.freelist_pages,
      free_ids: expected.index.free_ids,
      leaf_pages_in_log: expected.index.leaf_pages_in_log,
    })
  })

  test('every fact about the value-log files themselves equals the expected values', async () => {
    const { report } = await read(`${DATA}/${MIXED}`)
    const ofFiles = ({ segments }: InspectReport): unknown[] =>
      segments.map((segment) => ({
        file: segment.file,
        file_id: segment.file_id,
        lane: segment.lane,
        seq: segment.seq,
        total_bytes: segment.total_bytes,
        records: segment.records,
        plain_records: segment.plain_records,
        frames: segment.frames,
        compressed_frames: segment.compressed_frames,
        tail: segment.tail,
        tail_offset: segment.tail_offset,
        leaf_refs: segment.leaf_refs,
      }))
    expect(ofFiles(report)).toEqual(ofFiles(expectedReading(MIXED)))
  })

  test('live bytes are a lower bound and are called one', async () => {
    const expected = expectedReading(MIXED)
    const { report, state, attachment } = await read(`${DATA}/${MIXED}`)
    report.segments.forEach((segment, i) => {
      expect(segment.live_disk_bytes).toBeLessThanOrEqual(
        expected.segments[i]?.live_disk_bytes ?? 0,
      )
    })
    expect(attachment.unsupported).toContain(
      'live bytes are a lower bound: 5 index pages and what hangs below were not read',
    )
    const dead = state.segments.filter(({ bytesLive }) => bytesLive === 0)
    expect(dead.length).toBeGreaterThan(0)
    for (const segment of dead) {
      expect(segment.keptBy.map(({ kind }) => kind)).toContain('error')
      expect(segment.keptBy.map(({ kind }) => kind)).not.toContain('awaiting_gc')
    }
  })

  test('what is not read is named once each, with how often it was met', async () => {
    const { report, attachment } = await read(`${DATA}/${MIXED}`)
    expect(report.index.visited).toEqual({
      internal_plain: 1,
      internal_base_delta_u16: 1,
      leaf_prefix1: 1,
      leaf_prefix2: 1,
      leaf_plain: 2,
    })
    expect(report.index.pages_not_read).toBe(5)
    expect(report.unsupported).toEqual(attachment.unsupported)
    expect(attachment.unsupported.slice(0, -1)).toEqual([
      'index internal pages with encoding internal base-delta + base-delta u16 + fence bounds: not read by this version (1 page)',
      'index leaf pages with encoding leaf prefix: not read by this version (1 page)',
      'index leaf pages with encoding leaf prefix + prefix v2: not read by this version (1 page)',
      'leaf pages kept in the value log: not read by this version (2 pages)',
    ])
  })

  test('the frame of a leaf page in the log counts as live', async () => {
    const { report } = await read(`${DATA}/${MIXED}`)
    const lane1 = report.segments.find(({ file }) => file === 'value_vlog/value-l1-000001.log')
    // One frame of 8252 bytes holds both leaf pages; the record sys/ptr names is the other one.
    expect(lane1).toMatchObject({ leaf_refs: 2, live_disk_bytes: 8252 })
  })

  test('info says which layout and checksum it is', async () => {
    const { info, state } = await read(`${DATA}/${MIXED}`)
    expect(info).toMatchObject({ layout: 'split', checksum: 'ieee' })
    expect(state.segments[0]?.file).toBe('maindb/value_vlog/value-l0-000001.log')
  })
})

describe('a read-only attach', () => {
  test.each([PLAIN, MIXED])(
    'leaves %s byte-identical: no new file, no changed time',
    async (name) => {
      const folder = copyOf(name)
      const before = fingerprint(folder)
      await read(folder, { keys: true, replay: true })
      await read(folder)
      expect(fingerprint(folder)).toEqual(before)
    },
  )
})
