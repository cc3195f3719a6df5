/** Key lists: a rewrite's cost follows the segment, and losing a list costs time, never data. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { PassReport, RewriteReport, SegmentId } from '../../engine/types.ts'
import { LiveRecords } from '../../engine/value-log/live-records.ts'
import { Segment } from '../../engine/value-log/segment.ts'
import { SegmentKeys, keyListMax } from '../../engine/value-log/segment-keys.ts'
import type { ValuePointer } from '../../engine/value-pointer.ts'
import { MemoryFile } from './format/memory-file.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  value,
  type Fixture,
} from '../support/engine-fixture.ts'
import { openRewriteStore, type RewriteStore } from '../support/rewrite-store.ts'

const KEYS = 1200
const SEGMENT_BYTES = 64 * 1024
const folders: string[] = []

afterEach(() => {
  for (const dir of folders.splice(0)) fs.rmSync(dir, { recursive: true, force: true })
})

/** Some twenty segments of about sixty records; every second key overwritten. */
async function churned(): Promise<Fixture> {
  const fixture = await openFixture({ profile: 'fast', segmentBytes: SEGMENT_BYTES })
  folders.push(fixture.dir)
  for (let i = 0; i < KEYS; i++) await fixture.engine.put(key(i), value(i, 1000))
  await fixture.engine.checkpoint()
  for (let i = 0; i < KEYS; i += 2) await fixture.engine.put(key(i), value(i + 1, 1000))
  await fixture.engine.checkpoint()
  return fixture
}

function keyFile(dir: string, segmentFile: string): string {
  const name = path.basename(segmentFile).replace('.log', '.keys')
  return path.join(dir, 'maindb/restage_keys', name)
}

function rewriteOf(pass: PassReport): RewriteReport {
  const step = pass.steps.find((s) => s.kind === 'rewrite')
  if (step === undefined) throw new Error(pass.sentence)
  return step.report
}

async function rewriteFirst(fixture: Fixture): Promise<RewriteReport> {
  const [first] = fixture.engine.state().segments
  if (first === undefined) throw new Error('no segment')
  return rewriteOf(await fixture.engine.maintenance.rewrite([first.segmentId]))
}

async function expectAllValues({ engine }: Fixture): Promise<void> {
  for (let i = 0; i < KEYS; i++) {
    const expected = value(i % 2 === 0 ? i + 1 : i, 1000)
    if (Buffer.compare(engine.get(key(i)) ?? Buffer.alloc(0), expected) !== 0) {
      throw new Error(`key ${i} has a wrong value`)
    }
  }
  expect((await engine.verify()).differences).toEqual([])
}

function sealedSegment(): Segment {
  return new Segment({
    id: 1,
    file: new MemoryFile(new Uint8Array(0)),
    name: 'value-l0-000001.log',
    origin: 'unknown',
    times: { createdAtMs: null, sealedAtMs: 1, ageSource: 'mtime' },
    state: 'sealed',
    firstSeq: 0,
  })
}

describe('rewrite with a key list', () => {
  test('looks only at the keys once written to the segment', async () => {
    const fixture = await churned()
    const report = await rewriteFirst(fixture)
    expect(report.recordsCopied).toBeGreaterThan(20)
    expect(report.keysVisited).toBeLessThan(100)
    expect(report.sourcesStillReferenced).toEqual([])
    await expectAllValues(fixture)
    await fixture.engine.close()
  })

  test('rewrites a rewritten segment by its list, too', async () => {
    const fixture = await churned()
    const { outputSegments } = await rewriteFirst(fixture)
    const again = rewriteOf(await fixture.engine.maintenance.rewrite(outputSegments))
    expect(again.keysVisited).toBe(again.recordsCopied)
    expect(again.sourcesStillReferenced).toEqual([])
    await expectAllValues(fixture)
    await fixture.engine.close()
  })

  test('goes with its segment', async () => {
    const fixture = await churned()
    const [first] = fixture.engine.state().segments
    const file = keyFile(fixture.dir, first?.file ?? '')
    expect(fs.existsSync(file)).toBe(true)
    await rewriteFirst(fixture)
    expect(fs.existsSync(file)).toBe(false)
    await fixture.engine.close()
  })
})

describe('without a usable key list the rewrite walks the tree', () => {
  const damages: [string, (file: string) => void][] = [
    ['missing', (file) => fs.rmSync(file)],
    ['torn', (file) => fs.truncateSync(file, 100)],
    ['empty', (file) => fs.truncateSync(file, 0)],
    [
      'a folder',
      (file) => {
        fs.rmSync(file)
        fs.mkdirSync(file)
      },
    ],
    [
      'flipped',
      (file) => {
        const bytes = fs.readFileSync(file)
        bytes.writeUInt8(bytes.readUInt8(40) ^ 1, 40)
        fs.writeFileSync(file, bytes)
      },
    ],
    [
      'of another, shorter history',
      (file) => {
        const keys = new SegmentKeys()
        keys.add(4, key(0))
        fs.writeFileSync(file, Buffer.concat(Object.values(keys.encode())))
      },
    ],
  ]
  for (const [name, damage] of damages) {
    test(name, async () => {
      const fixture = await churned()
      const [first] = fixture.engine.state().segments
      damage(keyFile(fixture.dir, first?.file ?? ''))
      const report = await rewriteFirst(fixture)
      expect(report.keysVisited).toBeGreaterThanOrEqual(KEYS)
      expect(report.sourcesStillReferenced).toEqual([])
      await expectAllValues(fixture)
      await fixture.engine.close()
    })
  }
})

test('a long list is checked in steps, none of them longer than some thousand entries', () => {
  const keys = new SegmentKeys()
  for (let i = 0; i < 50_000; i++) keys.add(i * 100 + 4, key(i))
  const steps = SegmentKeys.decode(Buffer.concat(Object.values(keys.encode())))
  let yields = 0
  let step = steps.next()
  for (; step.done !== true; step = steps.next()) yields++
  expect(yields).toBeGreaterThan(12)
  expect(step.value?.bytes).toBe(keys.bytes)
})

test('opening makes the lists that are missing and drops those without a segment', async () => {
  const fixture = await churned()
  await fixture.engine.close()
  const folder = path.join(fixture.dir, 'maindb/restage_keys')
  fs.rmSync(folder, { recursive: true })
  fs.mkdirSync(folder)
  fs.writeFileSync(path.join(folder, 'value-l0-000999.keys'), 'left over')
  const again = await openFixture({ profile: 'fast' }, { dir: fixture.dir, clock: fixture.clock })
  expect(fs.existsSync(path.join(folder, 'value-l0-000999.keys'))).toBe(false)
  const report = await rewriteFirst(again)
  expect(report.keysVisited).toBeLessThan(100)
  await expectAllValues(again)
  await again.engine.close()
})

describe('a kill between a checkpoint and the end of its journal', () => {
  /** Keys 0 to 9 in tree and journal alike; a segment without a list. */
  async function leftByAKill(): Promise<string> {
    const { engine, dir } = await openFixture({ inlineThreshold: 64 })
    for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 1000))
    const journal = copyFolder(path.join(dir, 'maindb/wal'))
    await engine.checkpoint()
    const left = copyFolder(dir)
    await engine.close()
    copyFolder(journal, path.join(left, 'maindb/wal'))
    return left
  }

  test('makes a list that names records twice, and a rewrite that moves each once', async () => {
    const { engine } = await openFixture({ inlineThreshold: 64 }, { dir: await leftByAKill() })
    expect(engine.info.journalRecordsReplayed).toBe(10)
    const report = rewriteOf(
      await engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId)),
    )
    expect(report).toMatchObject({ treeWalks: 0, valueRecordsCopied: 10, swapsLost: 0 })
    for (let i = 0; i < 10; i++) expect(engine.get(key(i))).toEqual(new Uint8Array(value(i, 1000)))
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()
  })

  test('leaves values of one frame and keys that share a record as they are', () => {
    const keys = new SegmentKeys()
    const live = new LiveRecords(sealedSegment(), keys)
    const rows: [offset: number, length: number, key: string][] = [
      [4, 100, 'plain'],
      [200, 1001, 'frame 1'],
      [200, 1002, 'frame 2'],
      [200, 1001, 'frame 1'],
      [200, 1003, 'frame 3'],
      [200, 1002, 'frame 2'],
      [900, 50, 'shares'],
      [900, 50, 'shares too'],
      [900, 50, 'shares'],
      [1000, 60, 'last'],
    ]
    for (const [offset, length, name] of rows) {
      live.add(offset, length, keys.add(offset, Buffer.from(name)))
    }
    live.dropRepeats()
    const left = Array.from({ length: live.count }, (_, row) =>
      Buffer.from(live.key(row)).toString(),
    )
    expect(left).toEqual(['plain', 'frame 1', 'frame 2', 'frame 3', 'shares', 'shares too', 'last'])
    expect(live.pointer(3)).toMatchObject({ offset: 200, length: 1003 })
  })
})

describe('live records by place', () => {
  test.each([0, 2 ** 31, 2 ** 32 + 2 ** 31, 2 ** 36, 2 ** 44, 2 ** 52])(
    'each comes once and in order from byte %d on',
    (base) => {
      const keys = new SegmentKeys()
      const live = new LiveRecords(sealedSegment(), keys)
      const place = (i: number): number => base + i * 1020 + 4
      for (let i = 0; i < 1000; i++) {
        const offset = place((i * 617) % 1000)
        live.add(offset, 1016, keys.add(offset, Buffer.from(`${offset}`)))
      }
      live.sort('grouped')
      for (let i = 0; i < 1000; i++) {
        expect(live.pointer(i).offset).toBe(place(i))
        expect(Buffer.from(live.key(i)).toString()).toBe(`${place(i)}`)
      }
    },
  )
})

describe('the account of live bytes', () => {
  const pointer = (record: number): ValuePointer => {
    return { segmentId: 1, offset: record * 120 + 4, length: 116 }
  }
  const at = { seq: 2, generation: 1 }

  test.each([[[0, 1, 1]], [[2, 2, 2]], [[0, 0, 2]], [[1, 1, 1]]])(
    'does not come to nothing by records %j of three that live',
    (gone) => {
      const segment = sealedSegment()
      for (const record of [0, 1, 2]) segment.acquire(pointer(record))
      const release = (): void => gone.forEach((record) => segment.release(pointer(record), at))
      expect(release).toThrow(
        'value-l0-000001.log has no live bytes, but not all that lived went once',
      )
      expect(segment.deadSinceSeq).toBeNull()
    },
  )

  test('comes to nothing when each record that lives goes once, and lives again', () => {
    const segment = sealedSegment()
    for (let round = 0; round < 2; round++) {
      for (const record of [0, 1, 2]) segment.acquire(pointer(record))
      segment.share(pointer(1))
      for (const record of [2, 1, 0, 1]) segment.release(pointer(record), at)
      expect(segment).toMatchObject({ bytesLive: 0, deadSinceSeq: 2 })
    }
  })
})

describe('keys that are much longer than their values', () => {
  const LIST_MAX = 4 * 1024 * 1024
  const ENTRY_BYTES = 10 + 2000
  /** As many as the list of a small segment takes. */
  const FIT = Math.floor(LIST_MAX / ENTRY_BYTES)

  const longKey = (i: number): Buffer => Buffer.from(`${i}`.padStart(2000, '.'))

  function lists({ store }: RewriteStore): (number | null)[] {
    return [...store.set].map((segment) => segment.keys?.bytes ?? null)
  }

  /** So many puts of one byte each; a segment takes 50,000 of them. */
  async function filled(puts: number, keys = puts): Promise<RewriteStore> {
    const dir = memoryFolder()
    const opened = await openRewriteStore(dir, { profile: 'fast', segmentBytes: 2 ** 20 })
    const { valueLog, keySpace } = opened.store
    for (let i = 0; i < puts; i++) {
      const name = longKey(i % keys)
      const pointer = valueLog.append(name, Buffer.from([i & 0xff]), valueLog.takeRid())
      keySpace.apply([{ key: name, value: { kind: 'pointer', pointer } }])
    }
    return opened
  }

  function only({ store }: RewriteStore): SegmentId {
    const [segment, ...others] = [...store.set]
    if (segment === undefined || others.length > 0) throw new Error('not one segment')
    return segment.id
  }

  function expectValues({ store }: RewriteStore, keys: number, firstOfRound: number): void {
    const wrong: number[] = []
    const view = store.keySpace.openView()
    for (let i = 0; i < keys; i++) {
      const found = store.keySpace.get(view, longKey(i))
      const read = found?.kind === 'pointer' ? store.valueLog.read(found.pointer) : undefined
      if (read?.length !== 1 || read[0] !== ((firstOfRound + i) & 0xff)) wrong.push(i)
    }
    store.keySpace.closeView(view)
    expect(wrong).toEqual([])
  }

  test('have a list as long as it stays in proportion', async () => {
    const opened = await filled(FIT)
    expect(lists(opened)).toEqual([FIT * ENTRY_BYTES])
    const first = await opened.rewrite([only(opened)])
    expect(first).toMatchObject({ treeWalks: 0, valueRecordsCopied: FIT })
    const again = await opened.rewrite(first.outputSegments)
    expect(again).toMatchObject({ treeWalks: 0, valueRecordsCopied: FIT })
    expectValues(opened, FIT, 0)
    await opened.close()
  })

  test('lose it beyond that, in a rewrite too, which finds what lives by walking', async () => {
    const puts = FIT + 1
    const opened = await filled(puts)
    expect(lists(opened)).toEqual([null])
    const first = await opened.rewrite([only(opened)])
    expect(first).toMatchObject({
      treeWalks: 1,
      valueRecordsCopied: puts,
      sourcesStillReferenced: [],
    })
    expect(lists(opened)).toEqual([null, null])
    const again = await opened.rewrite(first.outputSegments)
    expect(again).toMatchObject({
      treeWalks: 1,
      valueRecordsCopied: puts,
      sourcesStillReferenced: [],
    })
    expectValues(opened, puts, 0)
    await opened.close()
  })

  test('that are few and written over and over take no memory for each writing', async () => {
    const keys = 100
    const opened = await filled(100 * keys, keys)
    expect(lists(opened)).toEqual([null])
    const first = await opened.rewrite([only(opened)])
    expect(first).toMatchObject({
      treeWalks: 1,
      valueRecordsCopied: keys,
      sourcesStillReferenced: [],
    })
    // What it wrote is a segment like any other, and its list is short.
    expect(lists(opened)).toEqual([null, keys * ENTRY_BYTES])
    expectValues(opened, keys, 99 * keys)
    await opened.close()
  })

  test.each([
    ['a segment of 4 KiB', 4096, LIST_MAX],
    ['the usual segment', 64 * 2 ** 20, 32 * 2 ** 20],
    // So large a file would not be read.
    ['the largest segment', 2 ** 32 - 5, 2 ** 29 - 20],
  ])('%s has a list of so many bytes at most', (_, segmentBytes, listBytes) => {
    expect(keyListMax(segmentBytes)).toBe(listBytes)
  })
})
