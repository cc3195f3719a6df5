/** Shrinking index.db under a store in use: what is kept, what is freed, what a crash leaves. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { openEngine } from '../../engine/engine.ts'
import { LEAF_ENCODING_NAMES } from '../../engine/index/leaf-encodings.ts'
import type { VacuumReport } from '../../engine/types.ts'
import { loadZstd } from '../../engine/value-log/zstd.ts'
import { writeEncodedFolder } from '../support/encoded-folder.ts'
import {
  bytesEqual,
  eagerClock,
  entriesOf,
  key,
  memoryFolder,
  openFixture,
  removeFolder,
  temporaryFolder,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { FaultFileSystem, type CutMode } from '../support/fault-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'

const CHUNK = 256 * 1024
const KEYS = 4_000
/** Kept ones are spread over all leaves, the last written in the last pages of the file. */
const KEPT = 16

function indexBytes(dir: string): number {
  return fs.statSync(path.join(dir, 'maindb', 'index.db')).size
}

/** An index of some megabytes of which little is left: 4,000 inline values, all but every 16th deleted. */
async function sparse(engine: Engine): Promise<Map<string, Uint8Array>> {
  const kept = new Map<string, Uint8Array>()
  for (let from = 0; from < KEYS; from += 100) {
    const some = Array.from({ length: 100 }, (_, i) => from + i)
    await engine.batch(some.map((i) => ({ op: 'put', key: key(i), value: value(i, 400) })))
  }
  await engine.checkpoint()
  for (let i = 0; i < KEYS; i++) {
    if (i % KEPT === 0) kept.set(Buffer.from(key(i)).toString('latin1'), value(i, 400))
    else void engine.delete(key(i))
  }
  await engine.checkpoint()
  return kept
}

function expectHolds(engine: Pick<Engine, 'iterate'>, kept: Map<string, Uint8Array>): void {
  const found = entriesOf(engine)
  expect(found.length).toBe(kept.size)
  for (const [name, bytes] of found) expect(bytesEqual(bytes, kept.get(name)), name).toBe(true)
}

const open = (dir: string) =>
  openFixture({ profile: 'wal_on_fast', recording: 'off' }, { dir, clock: eagerClock() })

describe('an index vacuum', () => {
  test('gives most of a sparse index back, and every key is where it was, also after reopening', async () => {
    const dir = memoryFolder()
    const { engine, events } = await open(dir)
    const kept = await sparse(engine)
    const before = indexBytes(dir)
    const report = await engine.maintenance.vacuum()
    expect(report).toMatchObject({
      done: true,
      cancelled: false,
      pagesHeld: 0,
      bytesBefore: before,
    })
    expect(before).toBeGreaterThan(6 * CHUNK)
    expect(report.bytesAfter).toBe(indexBytes(dir))
    expect(report.bytesAfter).toBeLessThanOrEqual(2 * CHUNK)
    expect(engine.gauges().indexFileBytes).toBe(report.bytesAfter)
    expectHolds(engine, kept)
    expect(engine.state().counters).toMatchObject({ vacuumRuns: 1, vacuumFailures: 0 })
    expect(engine.state().scheduler).toMatchObject({ lastReason: 'manual' })
    expect(events.find((e) => e.type === 'vacuum_run')).toMatchObject({ report })
    await engine.close()
    const again = await open(dir)
    expectHolds(again.engine, kept)
    expect(indexBytes(dir)).toBeLessThanOrEqual(2 * CHUNK)
    expect((await again.engine.verify()).differences).toEqual([])
    expect(await again.engine.maintenance.vacuum()).toMatchObject({ done: true })
    await again.engine.close()
  })

  test('is planned from counts alone: what it then frees and moves is what the plan said', async () => {
    const dir = memoryFolder()
    const { engine, events } = await open(dir)
    const kept = await sparse(engine)
    const [seq, state] = [engine.eventSeq, JSON.stringify(engine.state())]
    const file = fs.readFileSync(path.join(dir, 'maindb', 'index.db'))
    const plan = engine.maintenance.planVacuum()
    expect(plan.moves).toBe(true)
    expect(plan.bytesBefore).toBe(indexBytes(dir))
    expect(plan.pagesMoved).toBeGreaterThan(20)
    expect(plan.bytesMoved).toBe(plan.pagesMoved * 4096)
    // Nothing was changed by it: no event, no page, and the next plan is the same.
    expect(engine.maintenance.planVacuum()).toEqual(plan)
    expect([engine.eventSeq, JSON.stringify(engine.state())]).toEqual([seq, state])
    expect(events.at(-1)?.seq).toBe(seq)
    expect(fs.readFileSync(path.join(dir, 'maindb', 'index.db')).equals(file)).toBe(true)

    const report = await engine.maintenance.vacuum()
    expect(report.bytesAfter).toBe(plan.bytesAfter)
    // Pages above a moved one are written anew; those that lay behind the end are counted as moved, too.
    expect(report.pagesMoved).toBeGreaterThanOrEqual(plan.pagesMoved * 0.9)
    expect(report.pagesMoved).toBeLessThanOrEqual(plan.pagesMoved * 1.1 + 2)
    expectHolds(engine, kept)
    expect(engine.maintenance.planVacuum()).toMatchObject({
      bytesBefore: report.bytesAfter,
      bytesAfter: report.bytesAfter,
    })
    await engine.close()
    expect(() => engine.maintenance.planVacuum()).toThrow(/not running/)
  })

  test('is planned with the pages that readers hold, and without a walk that would not pay', async () => {
    const dir = memoryFolder()
    const { engine } = await open(dir)
    for (let i = 0; i < 400; i++) await engine.put(key(i), value(i, 400))
    await engine.checkpoint()
    const full = engine.maintenance.planVacuum()
    expect(full).toMatchObject({ pagesHeld: 0, bytesAfter: full.bytesBefore })
    const snapshot = engine.snapshot('holds the old pages')
    for (let i = 0; i < 400; i++) await engine.delete(key(i))
    await engine.checkpoint()
    const held = engine.maintenance.planVacuum()
    expect(held.pagesHeld).toBeGreaterThan(10)
    expect(held.bytesAfter).toBeLessThanOrEqual(full.bytesBefore)
    await snapshot.close()
    const freed = engine.maintenance.planVacuum()
    expect(freed.pagesHeld).toBe(0)
    expect(freed.pagesFree).toBe(held.pagesFree + held.pagesHeld)
    await engine.close()
  })

  test('lets a reader read the old tree to its end; the checkpoint after it cuts the file', async () => {
    const dir = memoryFolder()
    const { engine } = await open(dir)
    const kept = await sparse(engine)
    const snapshot = engine.snapshot('holds the old pages')
    await engine.put(key(1), value(1, 400))
    await engine.checkpoint()
    const report = await engine.maintenance.vacuum()
    expect(report.done).toBe(false)
    expect(report.pagesHeld).toBeGreaterThan(10)
    expect(report.text).toMatch(/readers hold \d+ old pages/)
    // Written over, if its pages were taken for free.
    for (let i = 0; i < 40; i++) {
      await engine.put(key(2), value(i, 400))
      await engine.checkpoint()
    }
    expectHolds(snapshot, kept)
    const held = indexBytes(dir)
    expect(held).toBeGreaterThan(2 * CHUNK)
    await snapshot.close()
    await engine.put(key(3), value(3, 400))
    await engine.checkpoint()
    expect(indexBytes(dir)).toBeLessThan(held)
    expect(engine.gauges().indexFileBytes).toBe(indexBytes(dir))
    for (const i of [1, 3]) kept.set(Buffer.from(key(i)).toString('latin1'), value(i, 400))
    kept.set(Buffer.from(key(2)).toString('latin1'), value(39, 400))
    expectHolds(engine, kept)
    await engine.close()
  })

  test('never blocks writers, and loses none of their writes to the trees it publishes', async () => {
    const dir = memoryFolder()
    const { engine } = await open(dir)
    const kept = await sparse(engine)
    const running = { ended: false }
    const vacuum = engine.maintenance.vacuum().finally(() => (running.ended = true))
    let turns = 0
    for (; !running.ended; turns++) {
      const name = key(10_000 + (turns % 50))
      await engine.put(name, value(turns, 300))
      kept.set(Buffer.from(name).toString('latin1'), value(turns, 300))
      // Its turns and those of checkpoints alternate.
      if (turns % 20 === 0) void engine.checkpoint()
      await yieldNow()
    }
    expect(turns).toBeGreaterThan(20)
    expect(await vacuum).toMatchObject({ cancelled: false })
    expectHolds(engine, kept)
    await engine.close()
    const again = await open(dir)
    expectHolds(again.engine, kept)
    await again.engine.close()
  })

  test('cancelled in the middle it keeps what it has moved, and says so', async () => {
    const dir = memoryFolder()
    const { engine } = await open(dir)
    const kept = await sparse(engine)
    const vacuum = engine.maintenance.vacuum()
    await yieldNow()
    await engine.maintenance.cancelPass()
    const report = await vacuum
    expect(report).toMatchObject({ cancelled: true, done: false })
    expect(report.text).toMatch(/cancelled before its end/)
    expectHolds(engine, kept)
    expect(await engine.maintenance.vacuum()).toMatchObject({ done: true })
    expect(indexBytes(dir)).toBeLessThanOrEqual(2 * CHUNK)
    await engine.close()
  })

  test('moves pages of every encoding as they are stored', async () => {
    await loadZstd()
    const shapes = [
      ...[...LEAF_ENCODING_NAMES.keys()].map((leaves) => ({ leaves, internal: 16 as const })),
      // Leaves in the value log have no place to move to; those between them have.
      { leaves: 0, logged: 'raw' as const },
    ]
    for (const some of shapes) {
      const dir = temporaryFolder()
      const shape = { kind: 'crc32c', layout: 'split', internal: 'plain', ...some } as const
      const model = writeEncodedFolder(dir, shape)
      const { engine } = await open(dir)
      // Leaves of the front go, those behind are left as they were found.
      const gone = [...model.keys()].sort().slice(0, model.size / 2)
      for (const name of gone) {
        await engine.delete(Buffer.from(name, 'latin1'))
        model.delete(name)
      }
      await engine.checkpoint()
      const { pagesMoved } = await engine.maintenance.vacuum()
      expect(pagesMoved, JSON.stringify(some)).toBeGreaterThan(0)
      expectHolds(engine, new Map(model))
      await engine.close()
      const again = await open(dir)
      expectHolds(again.engine, new Map(model))
      expect((await again.engine.verify()).differences).toEqual([])
      await again.engine.close()
    }
  })
})

describe('a vacuum cut short', () => {
  async function prepared(disk: FaultFileSystem) {
    const process = disk.process()
    const engine = await openEngine(
      disk.root,
      { mode: 'step', profile: 'durable', checkpointIntervalMs: 0, recording: 'off' },
      { clock: eagerClock(), fileSystem: process.fileSystem, yieldNow },
    )
    return { engine, kept: await sparse(engine), ...process }
  }

  async function expectWhole(folder: string, kept: Map<string, Uint8Array>): Promise<VacuumReport> {
    const { engine } = await openFixture({ recording: 'off' }, { dir: folder, clock: eagerClock() })
    expectHolds(engine, kept)
    const report = await engine.maintenance.vacuum()
    expectHolds(engine, kept)
    await engine.close()
    const again = await openFixture({ recording: 'off' }, { dir: folder, clock: eagerClock() })
    expectHolds(again.engine, kept)
    await again.engine.close()
    return report
  }

  test.each<CutMode>(['lost', 'kept', 'prefix', 'mixed'])(
    `by a power cut at any sync leaves a whole index (unsynced: %s, seed ${SEED})`,
    async (mode) => {
      const disk = new FaultFileSystem(memoryFolder())
      const { engine, kept, kill } = await prepared(disk)
      const random = randomFrom(SEED)
      const cuts: string[] = []
      disk.onCall = (call) => {
        if (call === 'sync') cuts.push(disk.powerCut(memoryFolder(), mode, random))
      }
      await engine.maintenance.vacuum()
      cuts.push(disk.powerCut(memoryFolder(), mode, random))
      disk.onCall = () => undefined
      kill()
      // Pages, and both meta pages, for each tree that was published; and the end.
      expect(cuts.length).toBeGreaterThanOrEqual(6)
      for (const folder of cuts) {
        const report = await expectWhole(folder, kept)
        expect(report.bytesAfter).toBeLessThanOrEqual(2 * CHUNK)
        removeFolder(folder)
      }
    },
  )

  test('by a file call that fails ends writing, never the data', async () => {
    const failures: string[] = []
    for (let n = 1; ; n += 7) {
      const disk = new FaultFileSystem(memoryFolder())
      const { engine, kept, kill } = await prepared(disk)
      disk.failAt = disk.calls + n
      const error: unknown = await engine.maintenance.vacuum().then(
        () => null,
        (e: unknown) => e,
      )
      if (error === null) {
        kill()
        break
      }
      expect(error).toMatchObject({ code: 'ENGINE_IO' })
      failures.push(disk.failed?.call ?? '')
      expect(engine.state().counters).toMatchObject({ vacuumFailures: 1 })
      await expect(engine.put(key(1), value(1, 10))).rejects.toMatchObject({
        code: 'ENGINE_NOT_OPEN',
      })
      expectHolds(engine, kept)
      kill()
      await expectWhole(disk.powerCut(memoryFolder(), 'prefix', randomFrom(SEED)), kept)
      removeFolder(disk.root)
    }
    expect(new Set(failures).size).toBeGreaterThanOrEqual(2)
  })
})
