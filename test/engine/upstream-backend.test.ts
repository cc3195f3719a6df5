/**
 * Upstream's tests of plan, online rewrite, offline rewrite and GC on real files with its record counts; numbers are
 * those of its list, and test/README.md says where the others are.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { rewriteFolder } from '../../engine/offline-rewrite/rewrite.ts'
import type { PassReport, RewriteReport, SegmentId } from '../../engine/types.ts'
import {
  bytesEqual,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  segmentFiles,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { QueueStore } from '../support/queue-store.ts'
import { pageReads } from '../support/watch-pages.ts'

/** Two records fill a segment. */
const RECORD = 2048
const VALUE = RECORD - 20

/** Segment 1: two records, one of them alive. Segment 2, being written: one record, alive. */
async function halfStale() {
  const store = await QueueStore.open()
  const [first = 0] = await store.fill({ live: [1], records: 2 })
  const [seg1, seg2] = store.engine.state().segments.map((s) => s.segmentId)
  if (seg1 === undefined || seg2 === undefined) throw new Error('two segments')
  expect(store.at(seg1)).toMatchObject({
    state: 'sealed',
    bytesTotal: 2 * RECORD,
    bytesLive: RECORD,
  })
  expect(store.at(seg2)).toMatchObject({ state: 'active', bytesTotal: RECORD, bytesLive: RECORD })
  return { store, seg1, seg2, first, maintenance: store.engine.maintenance }
}

function rewriteOf(pass: PassReport): RewriteReport {
  const [report] = pass.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
  if (report === undefined) throw new Error('nothing was rewritten')
  return report
}

describe('plan and online rewrite', () => {
  test('[1, 22] sparse selection takes the segment of which one of two records is stale, and copies 1', async () => {
    const { store, seg1, maintenance } = await halfStale()
    const plan = maintenance.plan({
      maxSegments: 1,
      maxLiveBytes: 4 * 1024 * 1024,
      minStaleRatio: 0.3,
      minStaleBytes: 1,
    })
    expect(plan.sourceSegmentIds).toEqual([seg1])
    expect([plan.selectedBytesStale, plan.selectedBytesLive]).toEqual([RECORD, RECORD])
    const report = rewriteOf(await maintenance.rewrite(plan.sourceSegmentIds))
    expect(report.recordsCopied).toBe(1)
    expect(store.has(seg1)).toBe(false)
    await store.end()
  })

  test('[6, 19] of two named ids the stale filter takes the first; 1 copied, 1 unreferenced, the other untouched', async () => {
    const { store, seg1, seg2, maintenance } = await halfStale()
    const filters = { segmentIds: [seg1, seg2], minStaleRatio: 0.25, minStaleBytes: 1, minAgeMs: 0 }
    const plan = maintenance.plan(filters)
    expect(plan.sourceSegmentIds).toEqual([seg1])
    expect(plan.selected).toHaveLength(1)
    const untouched = store.at(seg2)
    const report = rewriteOf(await maintenance.rewrite(plan.sourceSegmentIds))
    expect(report).toMatchObject({
      sourceSegmentsRequested: [seg1],
      recordsCopied: 1,
      sourcesStillReferenced: [],
      sourcesUnreferenced: [seg1],
      sourceBytesRequested: 2 * RECORD,
      sourceBytesUnreferenced: 2 * RECORD,
    })
    expect(store.at(seg2)).toEqual(untouched)
    const { segments } = store.engine.state()
    const output = segments.find((s) => s.segmentId !== seg2)
    expect(output).toMatchObject({ origin: 'rewrite', bytesLive: RECORD })
    await store.end()
  })

  test('[20] only the named one of two segments is rewritten: 1 copied', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [1, 1], records: 2 })
    const [named, other] = store.ids as [SegmentId, SegmentId]
    const before = store.at(other)
    const report = rewriteOf(await store.engine.maintenance.rewrite([named]))
    expect(report.recordsCopied).toBe(1)
    expect(store.has(named)).toBe(false)
    expect(store.at(other)).toEqual(before)
    await store.end()
  })
})

describe('offline rewrite', () => {
  test('[39] two segments of two records, one alive in each: bytes shrink, both files go, both values are there', async () => {
    const dir = memoryFolder()
    const options = { inlineThreshold: 64, segmentBytes: 4096 }
    const { engine } = await openFixture(options, { dir })
    for (const n of [0, 1, 2, 3]) await engine.put(key(n), value(n, VALUE))
    for (const n of [1, 3]) await engine.delete(key(n))
    await engine.close()
    const before = segmentFiles(dir)
    expect([...before.values()]).toEqual([4096, 4096])
    const deps = { fileSystem: quickFileSystem, clock: eagerClock(), yieldNow }
    const report = await rewriteFolder(dir, deps, { segmentBytes: 4096 })
    expect(report).toMatchObject({ recordsCopied: 2, segmentsBefore: 2, bytesBefore: 8192 })
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore)
    const after = segmentFiles(dir)
    for (const name of before.keys()) expect(after.has(name)).toBe(false)
    const { engine: again } = await openFixture(options, { dir })
    for (const n of [0, 1, 2, 3]) {
      const expected = n % 2 === 0 ? value(n, VALUE) : undefined
      expect(bytesEqual(again.get(key(n)), expected), `key ${n}`).toBe(true)
    }
    await again.close()
  })
})

describe('GC', () => {
  test('[49] of three segments it deletes the dead one, and not the dead one that a writer has', async () => {
    const { store, seg1, maintenance } = await halfStale()
    await maintenance.rewrite([seg1])
    const output = store.engine.state().segments.find((s) => s.origin === 'rewrite')
    if (output === undefined) throw new Error('no output')
    expect(output.state).toBe('active')
    // The record that was moved there dies; segment 2 is filled up, sealed by a third one, and dies.
    await store.delete(0)
    const last = await store.put(RECORD)
    await store.put(RECORD)
    for (const n of [last - 1, last]) await store.delete(n)
    const dead = store.engine.state().segments.filter((s) => s.bytesLive === 0)
    expect(dead.map((s) => s.state).sort()).toEqual(['active', 'sealed'])
    expect(store.engine.state().segments).toHaveLength(3)
    const report = await maintenance.gc({ dryRun: false })
    expect(report.deleted).toEqual(dead.flatMap((s) => (s.state === 'sealed' ? [s.segmentId] : [])))
    expect(report.classes.active.segments).toBe(1)
    expect(store.has(output.segmentId)).toBe(true)
    await store.end()
  })

  test('[56] an observed segment that is written stays: active 1, deleted 0; sealed by its rewrite it goes', async () => {
    const store = await QueueStore.open()
    await store.put(RECORD)
    const [active] = store.engine.state().segments
    if (active === undefined) throw new Error('no segment')
    const { maintenance } = store.engine
    await store.delete(0)
    const observed = [active.segmentId]
    const kept = await maintenance.gc({ dryRun: false, observed })
    expect(kept.observed).toMatchObject({
      classes: { active: { segments: 1 } },
      deleted: { segments: 0 },
    })
    await store.put(RECORD)
    await maintenance.rewrite(observed)
    expect(store.has(active.segmentId)).toBe(false)
    await store.end()
  })

  test('[84] beside 512 live values a dead segment that a reader holds is marked and pending, and goes with the reader; no tree is walked', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [16, 0, ...Array.from({ length: 31 }, () => 16)] })
    expect(store.engine.state().segments.filter((s) => s.bytesLive > 0)).toHaveLength(33)
    const [, dead] = store.ids as [SegmentId, SegmentId]
    const file = path.join(store.fixture.dir, store.at(dead).file)
    const gone = await store.engine.maintenance.gc({ dryRun: true })
    expect(gone.eligible).toEqual([dead])
    // The reader is older than the deletes of the next segment.
    const [victim] = store.ids as [SegmentId]
    const reader = store.engine.snapshot('reader')
    for (let n = 0; n < 16; n++) await store.delete(n)
    await store.engine.checkpoint()
    const victimFile = path.join(store.fixture.dir, store.at(victim).file)
    const reads = await pageReads(async () => {
      const report = await store.engine.maintenance.gc({ dryRun: false })
      expect(report.deleted).toEqual([dead])
      expect(report.classes.retained.segments).toBe(1)
    })
    expect(reads).toBe(0)
    expect(fs.existsSync(file)).toBe(false)
    expect(store.at(victim).state).toBe('zombie')
    expect(fs.existsSync(victimFile)).toBe(true)
    await reader.close()
    expect(fs.existsSync(victimFile)).toBe(false)
    await store.end()
  })
})

describe('after a reopening', () => {
  test('[87] the bytes of closed segments are known at once', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [16, 8] })
    const sealed = store.engine.state().segments.filter((s) => s.state === 'sealed')
    const { dir, clock } = store.fixture
    await store.end()
    const again = await QueueStore.open({}, { dir, clock })
    for (const { segmentId, bytesTotal, bytesLive } of sealed) {
      expect(again.at(segmentId)).toMatchObject({ bytesTotal, bytesLive })
    }
    await again.close()
  })
})
