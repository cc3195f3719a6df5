/**
 * Rewriting by the option, and what may happen in between. Numbers of scenarios that upstream has too
 * are upstream's (backend.md 10); names carry the findings of the PR's review.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../../engine/api.ts'
import type { FileSystem } from '../../../engine/file-system.ts'
import type { SegmentId } from '../../../engine/types.ts'
import type { Located } from '../../../engine/index/leaf.ts'
import {
  bytesEqual,
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  repetitive,
  segmentFiles,
  value,
  yieldNow,
} from '../../support/engine-fixture.ts'
import { noise } from '../../support/values.ts'
import { sealRecord } from '../../../engine/value-log/record.ts'
import { RidCounter } from '../../../engine/value-log/rid-counter.ts'
import { isGrouped, recordStart } from '../../../engine/value-pointer.ts'
import { pageReads } from '../../support/watch-pages.ts'
import { onSync, openRewriteStore, type RewriteStore } from '../../support/rewrite-store.ts'

const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 8192 }
/** A 1000-byte value in the log; eight of them fill a segment. */
const RECORD_BYTES = 1020

/** A folder with these keys written one after another, closed. */
async function folderOf(
  write: (engine: Engine) => Promise<void>,
  options: EngineOptions = OPTIONS,
): Promise<string> {
  const { engine, dir } = await openFixture(options, { dir: memoryFolder() })
  await write(engine)
  await engine.close()
  return dir
}

async function fill(engine: Engine, from: number, to: number, seed = 0): Promise<void> {
  for (let i = from; i < to; i++) await engine.put(key(i), value(i + seed, 1000))
}

/** Segment 1 holds the even ones of eight keys; the odd ones were written again to segment 2. */
function halfStale(): Promise<string> {
  return folderOf(async (engine) => {
    await fill(engine, 0, 8)
    for (let i = 1; i < 8; i += 2) await engine.put(key(i), value(i + 100, 1000))
  })
}

function expectHalfStaleValues(get: (key: Uint8Array) => Uint8Array | undefined): void {
  for (let i = 0; i < 8; i++) {
    const expected = value(i % 2 === 0 ? i : i + 100, 1000)
    expect(bytesEqual(get(key(i)), expected), `key ${i}`).toBe(true)
  }
}

function idOf({ store }: RewriteStore, seq: number): SegmentId {
  const found = [...store.set].find((s) => s.seq === seq)
  if (found === undefined) throw new Error(`no segment ${seq}`)
  return found.id
}

function segmentOf({ store }: RewriteStore, name: string | number): SegmentId | undefined {
  const now: Located | undefined = store.keySpace.current(key(name))
  return now?.kind === 'pointer' ? now.pointer.segmentId : undefined
}

function get({ store }: RewriteStore, k: Uint8Array): Uint8Array | undefined {
  const now = store.keySpace.current(k)
  if (now?.kind === 'pointer') return store.valueLog.read(now.pointer)
  return now?.kind === 'inline' ? now.value : undefined
}

/** A foreground write, past the engine. */
function put({ store }: RewriteStore, name: string | number, bytes: Uint8Array): void {
  const pointer = store.valueLog.append(key(name), bytes, store.valueLog.takeRid())
  store.keySpace.apply([{ key: key(name), value: { kind: 'pointer', pointer } }])
}

async function reopened(dir: string, check: (engine: Engine) => void): Promise<void> {
  const { engine } = await openFixture(OPTIONS, { dir })
  check(engine)
  expect((await engine.verify()).differences).toEqual([])
  await engine.close()
}

describe('sources', () => {
  test('19, 20: only the named segment is rewritten, and the report accounts for it', async () => {
    const dir = await halfStale()
    const opened = await openRewriteStore(dir, OPTIONS)
    const [first, second] = [idOf(opened, 1), idOf(opened, 2)]
    const report = await opened.rewrite([first, first, 99])
    expect(report).toMatchObject({
      sourceSegmentsRequested: [first],
      sourceBytesRequested: 8 * RECORD_BYTES,
      recordsCopied: 4,
      valueRecordsCopied: 4,
      valueBytesCopied: 4000,
      sourceBytesProcessed: 4 * RECORD_BYTES,
      sourcesUnreferenced: [first],
      sourceBytesUnreferenced: 8 * RECORD_BYTES,
      sourcesStillReferenced: [],
      sourceBytesStillReferenced: 0,
      sourcesUnfinished: [],
      swapsLost: 0,
      segmentsBefore: 2,
      segmentsAfter: 3,
      bytesBefore: 12 * RECORD_BYTES,
      bytesAfter: 12 * RECORD_BYTES + report.bytesWritten,
    })
    for (let i = 0; i < 8; i++) {
      const at = segmentOf(opened, i)
      expect(at === second, `key ${i}`).toBe(i % 2 === 1)
      expect(at, `key ${i}`).not.toBe(first)
    }
    expectHalfStaleValues((k) => get(opened, k))
    await opened.close()
    await reopened(dir, (engine) => expectHalfStaleValues((k) => engine.get(k)))
  })

  test('23: no source, and one without live bytes, are no work: nothing is created or written', async () => {
    const dir = await folderOf(async (engine) => {
      await fill(engine, 0, 8)
      await fill(engine, 0, 8, 100)
    })
    const opened = await openRewriteStore(dir, OPTIONS)
    const files = segmentFiles(dir)
    const none = await opened.rewrite([])
    const dead = await opened.rewrite([idOf(opened, 1)])
    for (const report of [none, dead]) {
      expect(report).toMatchObject({ recordsCopied: 0, bytesWritten: 0, outputSegments: [] })
      expect(report.segmentsAfter).toBe(report.segmentsBefore)
      expect(report.bytesAfter).toBe(report.bytesBefore)
    }
    expect(dead.sourcesUnreferenced).toEqual([idOf(opened, 1)])
    expect(segmentFiles(dir)).toEqual(files)
    await opened.close()
  })

  test('24: a store without pointers gets no new segment', async () => {
    const dir = await folderOf((engine) => engine.put(key(1), value(1, 10)))
    const opened = await openRewriteStore(dir, OPTIONS)
    const report = await opened.rewrite([...opened.store.set].map((s) => s.id))
    expect(report.recordsCopied).toBe(0)
    expect([...segmentFiles(dir).keys()]).toEqual([])
    await opened.close()
  })
})

describe('bounds', () => {
  test('21: MaxCopiedBytes of one record copies one at a time; the source is unfinished until the last', async () => {
    const dir = await folderOf(async (engine) => {
      await fill(engine, 0, 2)
    })
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = idOf(opened, 1)
    const first = await opened.rewrite([source], { maxCopiedBytes: RECORD_BYTES })
    expect(first).toMatchObject({
      recordsCopied: 1,
      sourceBytesProcessed: RECORD_BYTES,
      sourcesStillReferenced: [source],
      sourcesUnreferenced: [],
      sourcesUnfinished: [source],
      cancelled: false,
    })
    const second = await opened.rewrite([source], { maxCopiedBytes: RECORD_BYTES })
    expect(second).toMatchObject({
      recordsCopied: 1,
      sourcesStillReferenced: [],
      sourcesUnreferenced: [source],
      sourcesUnfinished: [],
    })
    for (const i of [0, 1]) expect(bytesEqual(get(opened, key(i)), value(i, 1000))).toBe(true)
    await opened.close()
  })

  test('the first record is taken whatever the bound; sources not begun are unfinished too', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 16))
    const opened = await openRewriteStore(dir, OPTIONS)
    const sources = [idOf(opened, 1), idOf(opened, 2)]
    const report = await opened.rewrite(sources, { maxCopiedBytes: 1 })
    expect(report.recordsCopied).toBe(1)
    expect(report.sourcesUnfinished).toEqual(sources)
    await opened.close()
  })

  test('25: batches of two, each synced, survive a reopening', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 4))
    let syncs = 0
    const counting = onSync('commit-', () => {
      syncs++
    })
    const opened = await openRewriteStore(dir, { ...OPTIONS, profile: 'wal_on_fast' }, counting)
    const report = await opened.rewrite([idOf(opened, 1)], { batchRecords: 2, syncEachBatch: true })
    expect(report.swapBatches).toBe(2)
    expect(syncs).toBeGreaterThanOrEqual(2)
    // As a killed process leaves it.
    const copy = copyFolder(dir, memoryFolder())
    await opened.close()
    for (const folder of [copy, dir]) {
      await reopened(folder, (engine) => {
        for (let i = 0; i < 4; i++)
          expect(bytesEqual(engine.get(key(i)), value(i, 1000))).toBe(true)
      })
    }
  })

  test('28: locality grouped copies in the order of the source, default in the order of the keys', async () => {
    // Written out of order: the order of the file is not that of the keys.
    const dir = await folderOf(async (engine) => {
      for (const i of [5, 2, 7, 1, 3]) await engine.put(key(i), value(i, 1000))
    })
    const orders: number[][] = []
    const costs: number[] = []
    for (const locality of ['grouped', 'default'] as const) {
      const copy = copyFolder(dir, memoryFolder())
      const opened = await openRewriteStore(copy, OPTIONS)
      const report = await opened.rewrite([idOf(opened, 1)], { locality })
      costs.push(report.bytesRead)
      const places = [1, 2, 3, 5, 7].map((i): [number, number] => {
        const now = opened.store.keySpace.current(key(i))
        return [now?.kind === 'pointer' ? now.pointer.offset : -1, i]
      })
      orders.push(places.sort(([a], [b]) => a - b).map(([, i]) => i))
      await opened.close()
    }
    expect(orders).toEqual([
      [5, 2, 7, 1, 3],
      [1, 2, 3, 5, 7],
    ])
    expect(costs[0]).toBeLessThanOrEqual(costs[1] as number)
  })

  test('B10: output rotates before it outgrows the segment size, which pointers reach (F18)', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 8))
    const opened = await openRewriteStore(dir, { ...OPTIONS, segmentBytes: 4096 })
    const report = await opened.rewrite([idOf(opened, 1)])
    expect(report.outputSegments.length).toBeGreaterThanOrEqual(2)
    put(opened, 50, value(50, 3000))
    put(opened, 51, value(51, 3000))
    for (const segment of opened.store.set) {
      if (segment.seq > 1) expect(segment.bytesTotal, segment.name).toBeLessThanOrEqual(4096)
    }
    for (let i = 0; i < 8; i++) expect(bytesEqual(get(opened, key(i)), value(i, 1000))).toBe(true)
    await opened.close()
  })
})

describe('record ids', () => {
  test('29: an external reservation gives the ids, and nothing is listed or scanned for them', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 2))
    // Without the high-water mark of the store the next id is 3, far below upstream's base.
    fs.rmSync(path.join(dir, 'maindb', 'restage_meta.json'))
    let [lists, reads] = [0, 0]
    const counting = {
      ...quickFileSystem,
      list: (folder: string) => {
        lists++
        return quickFileSystem.list(folder)
      },
      open: (file: string, mode: 'read' | 'append' | 'create') => {
        const opened = quickFileSystem.open(file, mode)
        const read = opened.read.bind(opened)
        opened.read = (...args) => {
          if (file.includes('value-l')) reads++
          return read(...args)
        }
        return opened
      },
    }
    const opened = await openRewriteStore(dir, OPTIONS, counting)
    ;[lists, reads] = [0, 0]
    let asked = 0
    const base = 900_000n
    await opened.rewrite([idOf(opened, 1)], {
      batchRecords: 2,
      reserveRids: (count) => {
        asked += count
        return base
      },
    })
    // One read of both records, neither of any other segment.
    expect([lists, reads, asked]).toEqual([0, 1, 2])
    expect(ridsOf(dir, 2)).toEqual([base, base + 1n])
    // The store's own counter goes on above them.
    expect(opened.store.valueLog.nextRid).toBe(base + 2n)
    await opened.close()
  })

  test('32: reservations of nothing, below what was handed out, or beyond the last id are refused', () => {
    const counter = new RidCounter(100n)
    expect(() => counter.reserve(0)).toThrow(/cannot be reserved/)
    expect(() => counter.reserve(2, () => 99n)).toThrow(/handed out before/)
    expect(() => counter.reserve(2, () => 0n)).toThrow(/handed out before/)
    expect(() => counter.reserve(2, () => 2n ** 64n - 2n)).toThrow(/used up/)
    expect(() => new RidCounter(2n ** 64n - 2n).reserve(2)).toThrow(/used up/)
    expect(counter.reserve(5)).toBe(100n)
    expect(counter.reserve(5, () => 200n)).toBe(200n)
    expect(counter.take()).toEqual({ high: 0, low: 205 })
    const atWord = new RidCounter(2n ** 32n - 1n)
    atWord.take()
    expect(atWord.take()).toEqual({ high: 1, low: 0 })
  })

  test('33, B7: without a high-water mark the first id is above those of all segments, newest or not', async () => {
    const dir = await folderOf(() => Promise.resolve())
    const folder = path.join(dir, 'maindb', 'value_vlog')
    fs.writeFileSync(path.join(folder, 'value-l0-000001.log'), records([5n, 7n, 23n]))
    // Lower, torn and empty ones behind it do not hide the highest.
    fs.writeFileSync(path.join(folder, 'value-l0-000002.log'), records([19n]).subarray(0, -3))
    fs.writeFileSync(path.join(folder, 'value-l0-000003.log'), '')
    fs.rmSync(path.join(dir, 'maindb', 'restage_meta.json'))
    const opened = await openRewriteStore(dir, OPTIONS)
    expect(opened.store.valueLog.nextRid).toBe(24n)
    await opened.close()
  })

  test('33: after 41 comes 42, and damage before it in the file does not hide it', async () => {
    for (const isDamaged of [false, true]) {
      const dir = await folderOf(() => Promise.resolve())
      const bytes = records([5n, 41n])
      if (isDamaged) bytes.fill(0, 600, 700)
      const folder = path.join(dir, 'maindb', 'value_vlog')
      fs.writeFileSync(path.join(folder, 'value-l0-000001.log'), bytes)
      fs.rmSync(path.join(dir, 'maindb', 'restage_meta.json'))
      const opened = await openRewriteStore(dir, OPTIONS)
      const { nextRid } = opened.store.valueLog
      if (isDamaged) expect(nextRid).toBeGreaterThan(41n)
      else expect(nextRid).toBe(42n)
      await opened.close()
    }
  })

  test('B7: a newer segment with lower ids does not hide the highest one, and new ids repeat none', async () => {
    const dir = await folderOf(() => Promise.resolve())
    const folder = path.join(dir, 'maindb', 'value_vlog')
    const ids = Array.from({ length: 100 }, (_, i) => BigInt(i + 1))
    fs.writeFileSync(
      path.join(folder, 'value-l0-000001.log'),
      records(ids.filter((id) => id !== 50n)),
    )
    fs.writeFileSync(path.join(folder, 'value-l0-000002.log'), records([50n]))
    fs.rmSync(path.join(dir, 'maindb', 'restage_meta.json'))
    const opened = await openRewriteStore(dir, OPTIONS)
    expect(opened.store.valueLog.nextRid).toBe(101n)
    put(opened, 1, value(1, 1000))
    await opened.rewrite([idOf(opened, 3)])
    expect(Math.min(...[3, 4].flatMap((seq) => ridsOf(dir, seq).map(Number)))).toBe(101)
    await opened.close()
    await reopened(dir, (engine) => {
      expect(bytesEqual(engine.get(key(1)), value(1, 1000))).toBe(true)
    })
  })
})

/** Plain records of these ids, whose values nothing names. */
function records(rids: readonly bigint[]): Buffer {
  return Buffer.concat(
    rids.map((rid) => {
      const record = Buffer.alloc(RECORD_BYTES, 7)
      const words = { high: Number(rid >> 32n), low: Number(rid & 0xffffffffn) }
      sealRecord(record, 0, RECORD_BYTES - 20, words, 'ieee')
      return record
    }),
  )
}

/** Ids of the records in the segment file with this number. */
function ridsOf(dir: string, seq: number): bigint[] {
  const name = [...segmentFiles(dir).keys()].find((n) => n.includes(String(seq).padStart(6, '0')))
  const bytes = fs.readFileSync(path.join(dir, 'maindb', 'value_vlog', name ?? ''))
  const rids: bigint[] = []
  for (let at = 0; at + 20 <= bytes.length; at += 20 + bytes.readUInt32LE(at + 16)) {
    rids.push(bytes.readBigUInt64LE(at + 8))
  }
  return rids
}

describe('what happens in between', () => {
  test('26: a snapshot reads the old values while batches are swapped, and the state after lacks the source', async () => {
    const { engine } = await openFixture(OPTIONS, { dir: memoryFolder() })
    await fill(engine, 0, 8)
    await engine.checkpoint()
    const snapshot = engine.snapshot('before')
    const source = engine.state().segments[0]
    const id = source?.segmentId ?? 0
    const pass = await engine.maintenance.rewrite([id], { batchRecords: 1 })
    const [report] = pass.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
    expect(report?.swapBatches).toBe(8)
    for (let i = 0; i < 8; i++) {
      expect(bytesEqual(snapshot.get(key(i)), value(i, 1000))).toBe(true)
    }
    const after = engine.state().segments.find((s) => s.segmentId === id)
    expect(after).toMatchObject({ state: 'zombie', bytesLive: 0 })
    await snapshot.close()
    expect(engine.state().segments.some((s) => s.segmentId === id)).toBe(false)
    await engine.close()
  })

  test('B6: an overwrite between copy and swap wins; the lost swap wastes its copy alone', async () => {
    const dir = await halfStale()
    let opened: RewriteStore | null = null
    const racing = onSync('value-l1-', () => {
      if (opened !== null) put(opened, 2, value(999, 1000))
    })
    opened = await openRewriteStore(dir, OPTIONS, racing)
    const source = idOf(opened, 1)
    const report = await opened.rewrite([source]).catch(String)
    expect(report).toMatchObject({ recordsCopied: 4, swapsLost: 1, sourcesUnreferenced: [source] })
    expect(bytesEqual(get(opened, key(2)), value(999, 1000))).toBe(true)
    await opened.close()
    await reopened(dir, (engine) => {
      expect(bytesEqual(engine.get(key(2)), value(999, 1000))).toBe(true)
    })
  })

  test('B6: an overwrite that a checkpoint took into the tree before the swap wins as well', async () => {
    const dir = await halfStale()
    let opened: RewriteStore | null = null
    const racing = onSync('value-l1-', async () => {
      if (opened === null) return
      put(opened, 2, value(999, 1000))
      const racer = opened
      opened = null
      await racer.store.checkpointer.run('maintenance')
    })
    const store = (opened = await openRewriteStore(dir, OPTIONS, racing))
    const report = await store.rewrite([idOf(store, 1)])
    expect(report.swapsLost).toBe(1)
    expect(bytesEqual(get(store, key(2)), value(999, 1000))).toBe(true)
    await store.close()
  })

  test('B6 (b): a key that comes to point into the source after it was looked through keeps it', async () => {
    const dir = await halfStale()
    let opened: RewriteStore | null = null
    const racing = onSync('value-l1-', () => {
      if (opened === null) return
      // As a foreign writer shares a record: a second key for the value of key 0.
      const { keySpace, set } = opened.store
      const now = keySpace.current(key(0))
      if (now?.kind !== 'pointer') throw new Error('key 0 is a pointer')
      set.need(now.pointer).share(now.pointer)
      keySpace.apply([{ key: key('late'), value: now }])
      opened = null
    })
    const store = (opened = await openRewriteStore(dir, OPTIONS, racing))
    const source = idOf(store, 1)
    const report = await store.rewrite([source])
    expect(report.sourcesStillReferenced).toEqual([source])
    expect(report.sourcesUnreferenced).toEqual([])
    expect(bytesEqual(get(store, key('late')), value(0, 1000))).toBe(true)
    await store.close()
  })

  test('B6 (c): a partial rewrite leaves its source referenced and on disk', async () => {
    const dir = await halfStale()
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = idOf(opened, 1)
    const report = await opened.rewrite([source], { maxCopiedBytes: 2 * RECORD_BYTES })
    expect(report.sourcesStillReferenced).toEqual([source])
    await opened.close()
    const { engine } = await openFixture(OPTIONS, { dir })
    await engine.maintenance.gc({ dryRun: false })
    expect([...segmentFiles(dir).keys()]).toContain('value-l0-000001.log')
    expectHalfStaleValues((k) => engine.get(k))
    await engine.close()
  })

  test('B6: a cancelled rewrite keeps what it swapped, says what it did, and loses nothing', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 40))
    const cancel = new AbortController()
    const opened = await openRewriteStore(
      dir,
      OPTIONS,
      onSync('value-l1-', () => cancel.abort()),
    )
    const sources = [1, 2, 3].map((seq) => idOf(opened, seq))
    const report = await opened.rewrite(sources, {}, cancel.signal)
    expect(report.cancelled).toBe(true)
    expect(report.recordsCopied).toBe(8)
    expect(report.sourcesUnreferenced).toEqual(sources.slice(0, 1))
    expect(report.sourcesUnfinished).toEqual(sources.slice(1))
    expect(report.sourcesStillReferenced).toEqual(sources.slice(1))
    await opened.close()
    await reopened(dir, (engine) => {
      for (let i = 0; i < 40; i++) expect(bytesEqual(engine.get(key(i)), value(i, 1000))).toBe(true)
    })
  })

  test('a sync of the output that fails swaps nothing', async () => {
    const dir = await halfStale()
    const failing = onSync('value-l1-', () => Promise.reject(new Error('the disk is gone')))
    const opened = await openRewriteStore(dir, OPTIONS, failing)
    const source = idOf(opened, 1)
    await expect(opened.rewrite([source])).rejects.toThrow('the disk is gone')
    expect(segmentOf(opened, 0)).toBe(source)
  })

  test('M9: while the foreground commits, pieces are small and wait for its sync', async () => {
    const options = { ...OPTIONS, segmentBytes: 16 * 1024 * 1024 }
    const dir = await folderOf(async (engine) => {
      const noise = Buffer.alloc(60_000)
      for (let i = 0; i < 80; i++) {
        for (let at = 0; at < noise.length; at += 4) {
          noise.writeUInt32LE(Math.imul(at + i, 2654435761) >>> 0, at)
        }
        await engine.put(key(i), noise)
      }
    }, options)
    const run = async (isCommitting: boolean): Promise<{ syncs: number; waits: number }> => {
      let [asked, waits, syncs] = [0, 0, 0]
      const copy = copyFolder(dir, memoryFolder())
      const counting = onSync('value-l1-', () => {
        syncs++
      })
      const opened = await openRewriteStore(copy, options, counting, {
        commitsAsked: () => (isCommitting ? asked++ : 0),
        betweenSyncs: () => {
          waits++
          return yieldNow()
        },
      })
      await opened.rewrite([...opened.store.set].map((s) => s.id))
      await opened.close()
      return { syncs, waits }
    }
    const [quiet, busy] = [await run(false), await run(true)]
    expect(quiet).toEqual({ syncs: 1, waits: 0 })
    expect(busy.syncs).toBeGreaterThanOrEqual(4)
    expect(busy.waits).toBeGreaterThanOrEqual(busy.syncs)
  })

  // Reads and writes beside the thread take a time of their own; turn by turn all of it is in our hands.
  test.each(['turn by turn', 'beside the thread'])(
    'pieces are synced one at a time, and no pointer to a piece shows before its sync (%s)',
    async (how) => {
      const { engine, dir } = await openFixture(
        { inlineThreshold: 64, segmentBytes: 96 * 1024 * 1024, profile: 'fast' },
        { dir: memoryFolder() },
      )
      const big = Buffer.alloc(1024 * 1024)
      for (let i = 0; i < 40; i++) {
        for (let at = 0; at < big.length; at += 4)
          big.writeUInt32LE(Math.imul(at + i, 2654435761) >>> 0, at)
        await engine.put(key(i), big)
      }
      await engine.close()
      let [syncing, most, syncs] = [0, 0, 0]
      const early: number[] = []
      const durable = new Map<string, number>()
      let opened: RewriteStore | null = null
      const watching = onSync('value-l1-', async (file) => {
        most = Math.max(most, ++syncing)
        const synced = file.size()
        syncs++
        for (let turn = 0; turn < 20; turn++) await yieldNow()
        for (let i = 0; i < 40 && opened !== null; i++) {
          const now = opened.store.keySpace.current(key(i))
          if (now?.kind !== 'pointer' || !file.path.endsWith(nameOf(now.pointer.segmentId)))
            continue
          // Swapped already: then a sync that has ended covered it.
          const { offset, length } = now.pointer
          if (offset + length > (durable.get(file.path) ?? 0)) early.push(i)
        }
        durable.set(file.path, synced)
        syncing--
      })
      const options = { inlineThreshold: 64, segmentBytes: 96 * 1024 * 1024 }
      const disk = how === 'turn by turn' ? turnByTurn(watching) : watching
      opened = await openRewriteStore(dir, options, disk)
      const report = await opened.rewrite([idOf(opened, 1)])
      expect(report.recordsCopied).toBe(40)
      expect(syncs).toBeGreaterThanOrEqual(3)
      // Syncs that nobody waited for would end now.
      for (let turn = 0; turn < 1000 && syncing > 0; turn++) await yieldNow()
      expect(early).toEqual([])
      expect(most).toBe(1)
      await opened.close()
    },
  )
})

/** Without calls that go on beside the thread. */
function turnByTurn(fileSystem: FileSystem): FileSystem {
  return {
    ...fileSystem,
    open: (file, mode) => {
      const opened = fileSystem.open(file, mode)
      return {
        path: opened.path,
        read: (...args) => opened.read(...args),
        write: (...args) => opened.write(...args),
        size: () => opened.size(),
        truncate: (length) => opened.truncate(length),
        sync: () => opened.sync(),
        close: () => opened.close(),
      }
    },
  }
}

const nameOf = (id: SegmentId): string => `value-l1-${String(id & 0x7fffff).padStart(6, '0')}.log`

describe('cost', () => {
  test('B3, F14: four passes over four queued segments walk no tree, and cleaning up after them neither', async () => {
    const { engine } = await openFixture(OPTIONS, { dir: memoryFolder() })
    await fill(engine, 0, 64)
    for (let i = 0; i < 64; i += 2) await engine.put(key(i), value(i + 100, 1000))
    // So many others that a look at each leaf would stand out.
    for (let i = 0; i < 9000; i++) await engine.put(key(`other/${i}`), value(i, 40))
    await engine.checkpoint()
    const sources = engine.state().segments.slice(0, 4)
    const walk = await pageReads(() => engine.verify())
    expect(walk).toBeGreaterThan(100)
    for (const { segmentId } of sources) {
      const reads = await pageReads(async () => {
        const pass = await engine.maintenance.rewrite([segmentId])
        const [report] = pass.steps.flatMap((s) => (s.kind === 'rewrite' ? [s.report] : []))
        expect(report).toMatchObject({ treeWalks: 0, keysVisited: 8, recordsCopied: 4 })
        expect(report?.sourcesReclaimed).toEqual([segmentId])
        expect(report?.sourceBytesReclaimed).toBe(report?.sourceBytesRequested)
      })
      expect(reads).toBeLessThan(walk / 2)
      expect(engine.state().segments.some((s) => s.segmentId === segmentId)).toBe(false)
    }
    await engine.close()
  })

  test('B3: the walk where there is no list is one for all sources', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 40))
    const opened = await openRewriteStore(dir, OPTIONS)
    fs.rmSync(path.join(dir, 'maindb', 'restage_keys'), { recursive: true })
    const report = await opened.rewrite([1, 2, 3].map((seq) => idOf(opened, seq)))
    expect(report).toMatchObject({ treeWalks: 1, keysVisited: 40, recordsCopied: 24 })
    expect(report.sourcesUnreferenced.length).toBe(3)
    await opened.close()
  })

  test('B14: what a rewrite reads with is allocated once, not for each record', async () => {
    const dir = await folderOf((engine) => fill(engine, 0, 40))
    const buffers = new Set<ArrayBufferLike>()
    const watching = {
      ...quickFileSystem,
      open: (file: string, mode: 'read' | 'append' | 'create') => {
        const opened = quickFileSystem.open(file, mode)
        const read = opened.read.bind(opened)
        opened.read = (buffer, ...rest) => {
          if (file.includes('value-l0-')) buffers.add(buffer.buffer)
          return read(buffer, ...rest)
        }
        return opened
      },
    }
    const opened = await openRewriteStore(dir, OPTIONS, watching)
    buffers.clear()
    const report = await opened.rewrite([1, 2, 3, 4, 5].map((seq) => idOf(opened, seq)))
    expect(report.recordsCopied).toBe(40)
    expect(buffers.size).toBe(1)
    await opened.close()
  })
})

describe('runs of plain records', () => {
  const large: EngineOptions = { inlineThreshold: 64, segmentBytes: 2 * 1024 * 1024 }
  const COUNT = 1500

  /** Values that do not compress, enough for runs that are read and written beside the thread. */
  async function many(): Promise<string> {
    const dir = await folderOf(async (engine) => {
      for (let i = 0; i < COUNT; i++) await engine.put(key(i), noise(i, 700 + (i % 300)))
    }, large)
    return dir
  }

  test('every value arrives under its key, whatever its length, and survives a reopening', async () => {
    const dir = await many()
    const opened = await openRewriteStore(dir, large)
    const report = await opened.rewrite([idOf(opened, 1)])
    expect(report).toMatchObject({ recordsCopied: COUNT, valuesUnreadable: 0, swapsLost: 0 })
    expect(report.sourcesUnreferenced).toEqual([idOf(opened, 1)])
    await opened.close()
    await reopened(dir, (engine) => {
      for (let i = 0; i < COUNT; i++)
        expect(bytesEqual(engine.get(key(i)), noise(i, 700 + (i % 300))), `key ${i}`).toBe(true)
    })
  })

  test('a damaged one stays where it is and is named; all others of its run are copied', async () => {
    const dir = await many()
    const opened = await openRewriteStore(dir, large)
    const now = opened.store.keySpace.current(key(1000))
    const source = opened.store.set.get(idOf(opened, 1))
    if (now?.kind !== 'pointer' || source === undefined) throw new Error('key 1000 is a pointer')
    const file = fs.openSync(path.join(dir, source.name), 'r+')
    fs.writeSync(file, Buffer.from([0xff, 0x00, 0xff]), 0, 3, now.pointer.offset + 300)
    fs.closeSync(file)
    const report = await opened.rewrite([source.id])
    expect(report).toMatchObject({ recordsCopied: COUNT - 1, valuesUnreadable: 1 })
    expect(report.firstUnreadable).toContain(`at ${now.pointer.offset - 4}`)
    expect(report.sourcesStillReferenced).toEqual([source.id])
    for (let i = 0; i < COUNT; i++) {
      if (i !== 1000) expect(bytesEqual(get(opened, key(i)), noise(i, 700 + (i % 300)))).toBe(true)
    }
    expect(segmentOf(opened, 1000)).toBe(source.id)
    await opened.close()
  })

  test('a bound ends a run in its middle', async () => {
    const dir = await many()
    const opened = await openRewriteStore(dir, large)
    const bound = 1_000_000
    const report = await opened.rewrite([idOf(opened, 1)], { maxCopiedBytes: bound })
    expect(report.sourceBytesProcessed).toBeLessThanOrEqual(bound)
    expect(report.sourceBytesProcessed).toBeGreaterThan(bound - 2_000)
    expect(report.sourcesUnfinished).toEqual([idOf(opened, 1)])
    await opened.close()
  })
})

describe('frames', () => {
  /** Sixteen values that compress, rewritten once: they lie in frames then. */
  async function compressed(): Promise<{ dir: string; seq: number }> {
    const dir = await folderOf(async (engine) => {
      for (let i = 0; i < 8; i++) await engine.put(key(i), repetitive(i, 1000))
    })
    const opened = await openRewriteStore(dir, OPTIONS)
    const report = await opened.rewrite([idOf(opened, 1)])
    // 35: the codec is named, and the flag is set.
    expect(report).toMatchObject({ groupsTried: 1, groupsKept: 1, groupBytesRaw: 8000 })
    expect(report.groupBytesStored).toBe(report.bytesWritten)
    expect(report.bytesWritten).toBeLessThan(4000)
    const output = opened.store.set.get(report.outputSegments[0] ?? 0)
    const head = output?.read(0, 32)
    expect(head?.readUInt8(5)).toBe(1)
    expect([head?.readUInt8(21), head?.readUInt8(22), head?.readUInt8(23)]).toEqual([1, 8, 2])
    await opened.close()
    return { dir, seq: output?.seq ?? 0 }
  }

  test('35: values that compress become LZ4 frames; their live bytes and copied bytes count once', async () => {
    const { dir, seq } = await compressed()
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = opened.store.set.get(idOf(opened, seq))
    expect(source?.bytesLive).toBe(source?.bytesTotal)
    // One record, however many keys: a bound of its size takes all of them.
    const report = await opened.rewrite([idOf(opened, seq)], {
      maxCopiedBytes: source?.bytesTotal ?? 0,
    })
    expect(report).toMatchObject({
      recordsCopied: 8,
      sourceBytesProcessed: source?.bytesTotal,
      sourcesUnfinished: [],
    })
    for (let i = 0; i < 8; i++)
      expect(bytesEqual(get(opened, key(i)), repetitive(i, 1000))).toBe(true)
    await opened.close()
  })

  test('B11: the form of a record follows its pointer, compressed or alone, and after a reopening', async () => {
    const dir = await folderOf(
      async (engine) => {
        // Four that become one frame, four that do not compress and stay alone.
        for (let i = 0; i < 4; i++) await engine.put(key(i), repetitive(i, 2000))
        for (let i = 4; i < 8; i++) await engine.put(key(i), value(i, 3000))
        await engine.put(key(8), value(8, 1000))
      },
      { ...OPTIONS, segmentBytes: 32_768 },
    )
    const opened = await openRewriteStore(dir, OPTIONS)
    const { outputSegments } = await opened.rewrite([idOf(opened, 1)])
    const forms = Array.from({ length: 9 }, (_, i) => {
      const now = opened.store.keySpace.current(key(i))
      if (now?.kind !== 'pointer') throw new Error(`key ${i} is a pointer`)
      const { pointer } = now
      expect(outputSegments).toContain(pointer.segmentId)
      const header = opened.store.set.need(pointer).read(recordStart(pointer), 20)
      return { pointer: isGrouped(pointer), record: header.readUInt8(5) === 1 }
    })
    expect(forms.filter(({ pointer, record }) => pointer !== record)).toEqual([])
    expect(new Set(forms.map(({ record }) => record))).toEqual(new Set([true, false]))
    await opened.close()
    await reopened(dir, (engine) => {
      for (let i = 0; i < 9; i++) {
        const expected = i < 4 ? repetitive(i, 2000) : value(i, i < 8 ? 3000 : 1000)
        expect(bytesEqual(engine.get(key(i)), expected), `key ${i}`).toBe(true)
      }
    })
  })

  test('B12: a frame with a record id 0 is not copied; its values stay and keep the source', async () => {
    const { dir, seq } = await compressed()
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = opened.store.set.get(idOf(opened, seq))
    if (source === undefined) throw new Error('no source')
    const record = source.read(0, source.bytesTotal)
    record.fill(0, 32 + 16, 32 + 24)
    sealRecord(record, 0, record.length - 20, null, 'ieee')
    fs.writeFileSync(path.join(dir, source.name), record)
    const report = await opened.rewrite([source.id])
    expect(report).toMatchObject({
      recordsCopied: 0,
      valuesUnreadable: 8,
      sourcesStillReferenced: [source.id],
      sourcesUnfinished: [],
    })
    expect(report.firstUnreadable).toContain('RID 2 is 0')
    await opened.close()
  })
})
