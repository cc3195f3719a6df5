/**
 * What a GC report says: the class of every segment, who keeps the dead ones, and what the end of each
 * keeper would free. Upstream's GC, manager and retained tests as scenarios; `[57]` is the number of
 * that list, and test/README.md names the left-out ones.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import { holdingsOf, surveyForGc, surveyObserved } from '../../engine/maintenance/gc-survey.ts'
import type { GcReport, SegmentId, SegmentInfo, SegmentKeeper } from '../../engine/types.ts'
import {
  bytesEqual,
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  segmentFiles,
  value,
  yieldNow,
  type Fixture,
} from '../support/engine-fixture.ts'
import { pageReads } from '../support/watch-pages.ts'
import { id, segment } from './maintenance/fake-host.ts'

/** Eight values of 1000 bytes fill a segment. */
const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 8192 }

function open(options: EngineOptions = {}, where = {}): Promise<Fixture> {
  return openFixture({ ...OPTIONS, ...options }, { dir: memoryFolder(), ...where })
}

async function fill(engine: Engine, from: number, to: number, seed = 0): Promise<void> {
  for (let i = from; i < to; i++) await engine.put(key(i), value(i + seed, 1000))
}

/** Segments of eight values each from key 0 on, the last one sealed by one more value after it. */
async function fillSealed(engine: Engine, segments = 1): Promise<void> {
  await fill(engine, 0, segments * 8)
  await engine.put(key(500), value(500, 1000))
}

function first(engine: Engine): SegmentInfo {
  const [found] = engine.state().segments
  if (found === undefined) throw new Error('no segment')
  return found
}

function addsUp(report: Pick<GcReport, 'total' | 'classes'>): void {
  const tallies = Object.values(report.classes)
  expect(tallies.reduce((n, t) => n + t.segments, 0)).toBe(report.total.segments)
  expect(tallies.reduce((n, t) => n + t.bytes, 0)).toBe(report.total.bytes)
}

const snapshotOf = (pinId: number): SegmentKeeper => ({
  kind: 'snapshot',
  pinId,
  label: `s${pinId}`,
  sinceMs: 0,
})

/** Dead, 100 bytes, kept by these. */
function dead(seq: number, keptBy: SegmentKeeper[], more: Partial<SegmentInfo> = {}): SegmentInfo {
  return segment(seq, 0, { bytesTotal: 100, bytesLive: 0, bytesStale: 100, keptBy, ...more })
}

describe('classes', () => {
  test('[57] the protected are told apart: in use, retained, both, and the rest', () => {
    const five = [
      segment(1, 0, { state: 'active', bytesTotal: 100, bytesLive: 0, bytesStale: 100 }),
      segment(2, 0, { state: 'active', bytesTotal: 100, bytesLive: 0, bytesStale: 100 }),
      dead(3, [{ kind: 'journal' }]),
      dead(4, [snapshotOf(1)]),
      dead(5, [snapshotOf(1), { kind: 'rewriting' }]),
    ]
    const survey = surveyForGc(five, false)
    addsUp(survey)
    const counts = Object.fromEntries(
      Object.entries(survey.classes).map(([name, tally]) => [name, tally.segments]),
    )
    expect(counts).toEqual({
      referenced: 0,
      active: 2,
      in_use: 1,
      retained: 1,
      overlap: 1,
      other: 0,
      eligible: 0,
    })
    const observed = surveyObserved(five, [id(3), id(4), id(5), id(77), 0], false)
    expect(observed?.total).toEqual({ segments: 3, bytes: 300 })
    expect(observed?.classes.overlap.segments).toBe(1)
    expect(observed?.unknown).toEqual([id(77)])
  })

  test('live bytes come first, also of what is written now', () => {
    const survey = surveyForGc([segment(1, 0.5, { state: 'active' }), segment(2, 0.5)], true)
    expect(survey.classes.referenced.segments).toBe(2)
  })

  test('an old root and the journal keep nothing once a checkpoint was made', () => {
    const kept = [dead(1, [{ kind: 'root', metaPage: 1 }]), dead(2, [{ kind: 'journal' }])]
    expect(surveyForGc(kept, true).eligible).toEqual([id(1), id(2)])
    const after = surveyForGc(kept, false)
    expect(after.eligible).toEqual([])
    expect([after.classes.other.segments, after.classes.in_use.segments]).toEqual([1, 1])
  })

  test('references that could not be read keep a segment; an unlink that failed does not', () => {
    const error: SegmentKeeper = { kind: 'error', code: 'ENGINE_IO', message: 'EBUSY' }
    expect(surveyForGc([dead(1, [error])], true).classes.other.segments).toBe(1)
    expect(surveyForGc([dead(1, [error], { state: 'zombie' })], true).eligible).toEqual([id(1)])
  })
})

describe('holdings', () => {
  test('each keeper says what it keeps and what its end alone frees', () => {
    const a = snapshotOf(1)
    const b = snapshotOf(2)
    const holdings = holdingsOf([dead(1, [a]), dead(2, [a, b]), dead(3, [b]), dead(4, [a])])
    expect(holdings.map(({ keeper, bytes, freesBytes }) => [keeper, bytes, freesBytes])).toEqual([
      [a, 300, 200],
      [b, 200, 100],
    ])
    expect(holdings[0]?.freesSegmentIds).toEqual([id(1), id(4)])
  })

  test('one checkpoint ends both roots and the journal', () => {
    const roots: SegmentKeeper[] = [
      { kind: 'root', metaPage: 0 },
      { kind: 'root', metaPage: 1 },
      { kind: 'journal' },
    ]
    for (const holding of holdingsOf([dead(1, roots)])) expect(holding.freesBytes).toBe(100)
    for (const holding of holdingsOf([dead(1, [...roots, snapshotOf(1)])])) {
      expect(holding.freesBytes).toBe(0)
    }
  })
})

describe('upstream: GC', () => {
  test('[45] an empty store has an empty report', async () => {
    const { engine } = await open()
    const report = await engine.maintenance.gc({ dryRun: false })
    expect(report).toMatchObject({
      total: { segments: 0, bytes: 0 },
      eligible: [],
      deleted: [],
      verdicts: [],
    })
    await engine.close()
  })

  test('[46] what is dead behind both meta pages goes, the rest stays', async () => {
    const { engine, dir } = await open()
    await fill(engine, 0, 16)
    const { segmentId } = first(engine)
    for (let i = 0; i < 8; i++) await engine.delete(key(i))
    const report = await engine.maintenance.gc({ dryRun: false, observed: [segmentId] })
    addsUp(report)
    expect(report.deleted).toEqual([segmentId])
    expect(report.pending).toEqual([])
    expect(report.cancelled).toBe(false)
    // A real run reports on what it was asked about, too.
    expect(report.observed).toMatchObject({
      total: { segments: 1 },
      classes: { eligible: { segments: 1 } },
      deleted: { segments: 1, bytes: report.bytesDeleted },
      pending: { segments: 0, bytes: 0 },
    })
    expect(segmentFiles(dir).has('value-l0-000001.log')).toBe(false)
    expect(segmentFiles(dir).has('value-l0-000002.log')).toBe(true)
    await engine.close()
  })

  test('[48] a delete that is not durable deletes no file: the older root still reads it', async () => {
    const { engine, dir } = await open({ profile: 'fast' })
    await fill(engine, 0, 8)
    await engine.checkpoint()
    for (let i = 0; i < 8; i++) await engine.delete(key(i))
    await engine.put(key(99), value(99, 1000))
    const report = await engine.maintenance.gc({ dryRun: true })
    const { segmentId } = first(engine)
    expect(report.eligible).toEqual([segmentId])
    expect(report.pending).toEqual([segmentId])
    expect(report.deleted).toEqual([])
    expect(report.verdicts.find((v) => v.segmentId === segmentId)?.keptBy).toEqual([
      { kind: 'root', metaPage: 0 },
      { kind: 'root', metaPage: 1 },
    ])
    const copy = copyFolder(dir, memoryFolder())
    const reading = await inspectFolder(
      copy,
      { fileSystem: quickFileSystem, yieldNow, nowMs: 1 },
      { keys: true },
    )
    expect(reading.report.key_count).toBe(8)
    expect(JSON.stringify(reading.report.keys)).not.toContain('error')
    await engine.close()
  })

  test('[49] a segment that is still written stays, dead or not', async () => {
    const { engine } = await open()
    await fill(engine, 0, 4)
    for (let i = 0; i < 4; i++) await engine.delete(key(i))
    const report = await engine.maintenance.gc({ dryRun: false })
    expect(report.classes.active.segments).toBe(1)
    expect(report.verdicts.map((v) => [v.class, v.keptBy])).toEqual([
      ['active', [{ kind: 'active_writer' }]],
    ])
    await fill(engine, 0, 1)
    expect(bytesEqual(engine.get(key(0)), value(0, 1000))).toBe(true)
    await engine.close()
  })

  test('[63, 65] B4: a pinned zombie is named with its holder, and goes with it', async () => {
    const { engine, events } = await open()
    await fillSealed(engine)
    await engine.checkpoint()
    const holder = engine.snapshot('nightly report')
    for (let i = 0; i < 8; i++) await engine.delete(key(i))
    const { segmentId, bytesTotal } = first(engine)
    const report = await engine.maintenance.gc({ dryRun: false })
    expect(report.deleted).toEqual([])
    expect(report.classes.retained).toEqual({ segments: 1, bytes: bytesTotal })
    expect(report.holdings).toEqual([
      {
        keeper: expect.objectContaining({ kind: 'snapshot', label: 'nightly report' }) as unknown,
        segmentIds: [segmentId],
        bytes: bytesTotal,
        freesSegmentIds: [segmentId],
        freesBytes: bytesTotal,
      },
    ])
    expect(await holder.close()).toEqual([segmentId])
    const prunes = events.flatMap((e) => (e.type === 'retained_prune' ? [e.report] : []))
    expect(prunes).toEqual([
      {
        heldBy: 'nightly report',
        status: 'completed',
        candidates: 1,
        inUseSkipped: 0,
        removed: [segmentId],
        bytesRemoved: bytesTotal,
        errors: [],
      },
    ])
    await engine.close()
  })

  test('B13: a store without pointers is no special case: no GC walks its tree, the second no more than the first', async () => {
    const { engine } = await open()
    for (let i = 0; i < 500; i++) await engine.put(key(i), value(i, 40))
    await engine.checkpoint()
    for (let i = 0; i < 2; i++) {
      const reads = await pageReads(async () => {
        const report = await engine.maintenance.gc({ dryRun: i === 1 })
        expect(report.total.segments).toBe(0)
      })
      expect(reads).toBe(0)
    }
    expect((await engine.verify()).differences).toEqual([])
    await fill(engine, 1000, 1008)
    expect((await engine.maintenance.gc({ dryRun: true })).classes.referenced.segments).toBe(1)
    await engine.close()
  })

  test('B16: a zombie is gone for maintenance though its file is there, and a deleted one entirely', async () => {
    const { engine, dir, clock } = await open()
    await fillSealed(engine)
    const { segmentId } = first(engine)
    expect(engine.maintenance.plan({ segmentIds: [segmentId] }).missing).toEqual([])
    const holder = engine.snapshot()
    for (let i = 0; i < 8; i++) await engine.delete(key(i))
    await engine.maintenance.gc({ dryRun: false })
    expect(segmentFiles(dir).has('value-l0-000001.log')).toBe(true)
    const named = engine.maintenance.plan({ segmentIds: [segmentId], minAgeMs: 0 })
    expect(named.sourceSegmentIds).toEqual([])
    await engine.maintenance.setDebt({ queue: [segmentId, id(77)], ledger: [], stage: null })
    clock.advance(60_000)
    const pass = await engine.maintenance.runPass('periodic')
    expect(pass.steps[0]).toMatchObject({ kind: 'prune_missing', segmentIds: [segmentId, id(77)] })
    expect(pass.steps.some((step) => step.kind === 'rewrite')).toBe(false)
    await holder.close()
    expect(engine.maintenance.plan({ segmentIds: [segmentId] }).missing).toEqual([segmentId])
    // A file that appears beside them is none of the store's until it is opened again.
    fs.writeFileSync(path.join(dir, 'maindb', 'value_vlog', 'value-l0-000050.log'), '')
    expect(engine.maintenance.plan({ segmentIds: [id(50)] }).missing).toEqual([id(50)])
    await engine.close()
  })
})

describe('upstream: retained prune', () => {
  test('[74] a file that someone removed by hand is forgotten without an error', async () => {
    const { engine, dir } = await open()
    await fillSealed(engine)
    const holder = engine.snapshot()
    for (let i = 0; i < 8; i++) await engine.delete(key(i))
    await engine.maintenance.gc({ dryRun: false })
    const { segmentId } = first(engine)
    fs.rmSync(path.join(dir, 'maindb', 'value_vlog', 'value-l0-000001.log'))
    expect(await holder.close()).toEqual([segmentId])
    expect(engine.state().segments.map((s) => s.segmentId)).not.toContain(segmentId)
    await engine.close()
  })

  test('[77, 78] with nothing to do, or everything in use, nothing goes; it is counted, not told', async () => {
    const { engine, events } = await open()
    const prunes = () => engine.gauges().retainedPrune
    expect(prunes()).toMatchObject({ lastStatus: null, noCandidateRuns: 0 })
    await fillSealed(engine)
    await engine.snapshot('none').close()
    expect(prunes()).toMatchObject({ lastStatus: 'no_candidates', noCandidateRuns: 1 })
    const [a, b] = [engine.snapshot('a'), engine.snapshot('b')]
    for (let i = 0; i < 8; i++) await engine.delete(key(i))
    await engine.maintenance.gc({ dryRun: false })
    expect(await a.close()).toEqual([])
    expect(events.some((e) => e.type === 'retained_prune')).toBe(false)
    expect(prunes()).toMatchObject({
      lastStatus: 'completed',
      completedRuns: 1,
      removedSegments: 0,
    })
    expect((await b.close()).length).toBe(1)
    expect(prunes()).toEqual({
      lastStatus: 'completed',
      noCandidateRuns: 1,
      completedRuns: 2,
      closeAbortRuns: 0,
      removedSegments: 1,
    })
    await engine.close()
  })

  test('[83] closing cuts a prune short, and the next opening finishes it', async () => {
    const gate = { open: (): void => undefined }
    const blocked = new Promise<void>((resolve) => (gate.open = resolve))
    let unlinks = 0
    const slow: FileSystem = {
      ...quickFileSystem,
      unlink: async (file) => {
        if (file.includes('value-l') && ++unlinks === 1) await blocked
        return quickFileSystem.unlink(file)
      },
    }
    const { engine, events, dir } = await open({}, { fileSystem: slow })
    await fillSealed(engine, 3)
    const holder = engine.snapshot('holder')
    for (let i = 0; i < 24; i++) await engine.delete(key(i))
    await engine.maintenance.gc({ dryRun: false })
    const releasing = holder.close()
    while (unlinks === 0) await yieldNow()
    const closing = engine.close()
    for (let i = 0; i < 200; i++) await yieldNow()
    gate.open()
    const removed: SegmentId[] = await releasing
    await closing
    expect(removed.length).toBe(1)
    const prune = events.find((e) => e.type === 'retained_prune')
    expect(prune).toMatchObject({ report: { status: 'close_abort', candidates: 3 } })
    expect(engine.gauges().retainedPrune).toMatchObject({ closeAbortRuns: 1, removedSegments: 1 })
    const again = await openFixture(OPTIONS, { dir })
    await again.engine.delete(key(500))
    await again.engine.maintenance.gc({ dryRun: false })
    expect(again.engine.state().segments).toEqual([])
    await again.engine.close()
  })
})

describe('a GC run that is ended early', () => {
  /** Three dead segments, and a disk that stands still at the first unlink until it is let go. */
  async function stuck(options: EngineOptions = {}) {
    const gate = { open: (): void => undefined, unlinks: 0 }
    const blocked = new Promise<void>((resolve) => (gate.open = resolve))
    const slow: FileSystem = {
      ...quickFileSystem,
      unlink: async (file) => {
        if (file.includes('value-l') && ++gate.unlinks === 1) await blocked
        return quickFileSystem.unlink(file)
      },
    }
    const fixture = await open(options, { fileSystem: slow })
    await fillSealed(fixture.engine, 3)
    for (let i = 0; i < 24; i++) await fixture.engine.delete(key(i))
    const dead = fixture.engine.state().segments.filter((s) => s.bytesLive === 0)
    return { ...fixture, gate, ids: dead.map((s) => s.segmentId) }
  }

  test('cancelled between two unlinks it tells what is gone, and the next run does the rest', async () => {
    const { engine, gate, ids, events, dir } = await stuck()
    const run = engine.maintenance.gc({ dryRun: false, observed: ids })
    while (gate.unlinks === 0) await yieldNow()
    const cancelled = engine.maintenance.cancelPass()
    gate.open()
    const report = await run
    expect(await cancelled).toMatchObject({ outcome: 'cancelled' })
    expect(report).toMatchObject({
      cancelled: true,
      deleted: ids.slice(0, 1),
      pending: ids.slice(1),
      observed: { deleted: { segments: 1 }, pending: { segments: 2, bytes: report.bytesPending } },
    })
    expect(report.verdicts.map((v) => v.segmentId)).toEqual(ids.slice(1))
    expect(engine.state().counters).toMatchObject({ gcRuns: 1, gcDeletedSegments: 1 })
    expect(events.filter((e) => e.type === 'gc_run')).toHaveLength(1)
    expect((await engine.maintenance.gc({ dryRun: false })).deleted).toEqual(ids.slice(1))
    expect(segmentFiles(dir).size).toBe(1)
    await engine.close()
  })

  test('out of time it ends, and its pass does not fail for it', async () => {
    const { engine, gate, ids, clock } = await stuck({
      maintenance: { gcTimeoutMs: 30_000, gcMinBytes: 1, disableRewrite: true },
    })
    const pass = engine.maintenance.runPass('checkpoint_kick')
    while (gate.unlinks === 0) await yieldNow()
    clock.advance(29_999)
    clock.advance(1)
    gate.open()
    const report = await pass
    expect(report).toMatchObject({ outcome: 'reclaimed', error: null })
    const [gc] = report.steps.flatMap((step) => (step.kind === 'gc' ? [step.report] : []))
    expect(gc).toMatchObject({ cancelled: true, deleted: ids.slice(0, 1), pending: ids.slice(1) })
    await engine.close()
  })

  test('within its time it is not ended', async () => {
    const { engine, gate, ids, clock } = await stuck({
      maintenance: { gcTimeoutMs: 30_000, gcMinBytes: 1, disableRewrite: true },
    })
    const pass = engine.maintenance.runPass('checkpoint_kick')
    while (gate.unlinks === 0) await yieldNow()
    clock.advance(29_999)
    gate.open()
    const [gc] = (await pass).steps.flatMap((step) => (step.kind === 'gc' ? [step.report] : []))
    expect(gc).toMatchObject({ cancelled: false, deleted: ids })
    await engine.close()
  })
})

/** Closes it when called, and resolves when what it kept is gone. */
function openReader(engine: Engine, label: string, iterator: boolean): () => Promise<unknown> {
  if (!iterator) {
    const snapshot = engine.snapshot(label)
    return () => snapshot.close()
  }
  const opened = engine.iterate({}, label)
  return () => {
    opened.close()
    return opened.released
  }
}

describe('readers as budgets', () => {
  test('B5: in any order of opening and closing, what is kept is what the open ones keep', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ close: fc.boolean(), which: fc.nat(5), iterator: fc.boolean() }), {
          minLength: 4,
          maxLength: 16,
        }),
        async (moves) => {
          const { engine } = await open()
          await fillSealed(engine)
          const target = first(engine).segmentId
          const readers: { label: string; close: () => unknown; open: boolean }[] = []
          for (const { close, which, iterator } of moves) {
            const reader = readers[which % Math.max(1, readers.length)]
            // Closing a second time is no release of someone else's.
            if (close && reader !== undefined) {
              await reader.close()
              reader.open = false
            } else {
              const label = `reader ${readers.length}`
              readers.push({ label, close: openReader(engine, label, iterator), open: true })
            }
          }
          for (let i = 0; i < 8; i++) await engine.delete(key(i))
          await engine.maintenance.gc({ dryRun: false })
          const held = engine.state().segments.find((s) => s.segmentId === target)
          const openOnes = readers.filter((reader) => reader.open)
          const holders = held?.keptBy.flatMap((k) => ('label' in k ? [k.label] : [])) ?? []
          expect(holders.sort()).toEqual(openOnes.map(({ label }) => label).sort())
          for (const reader of openOnes) await reader.close()
          const isThere = (): boolean => engine.state().segments.some((s) => s.segmentId === target)
          expect(isThere()).toBe(false)
          await engine.close()
        },
      ),
      { numRuns: 25 },
    )
  })
})
