/**
 * Upstream's tests of the slot, of what waits for it and of checkpoint kicks, on a real store with its numbers;
 * names in brackets are upstream's. A pass is kept busy by a disk that waits.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { MaintenanceOptions, SegmentId } from '../../../engine/types.ts'
import { key, value } from '../../support/engine-fixture.ts'
import { QueueStore } from '../../support/queue-store.ts'

/** Segments that are three quarters stale and more, filled in step mode; upstream's tests have the loop off. */
async function filled(live: number[], maintenance: Partial<MaintenanceOptions> = {}) {
  const store = await QueueStore.open({ maintenance: { disableLoop: true, ...maintenance } })
  await store.fill({ live })
  const [first, second] = store.ids as [SegmentId, SegmentId]
  return { store, first, second, maintenance: store.engine.maintenance }
}

/** One sealed segment and no other: what a closing seals is all there is. */
async function single(maintenance: Partial<MaintenanceOptions>) {
  const store = await QueueStore.open()
  const { engine } = store
  for (const seed of [1, 2, 3, 4]) await engine.put(key(1), value(seed, 12))
  const { dir, clock } = store.fixture
  await store.close()
  const again = await QueueStore.open({ maintenance }, { dir, clock })
  clock.advance(60_000)
  const [only] = again.engine.state().segments
  if (only === undefined) throw new Error('no segment')
  expect(again.engine.state().segments).toHaveLength(1)
  return { store: again, only }
}

/** A checkpoint that has something to write. */
async function checkpoint(store: QueueStore): Promise<void> {
  await store.engine.put(Buffer.from('beside'), new Uint8Array(0))
  await store.engine.checkpoint()
}

describe('the slot', () => {
  test('lets two passes make one rewrite, and tells the second (MaintenanceWithOptions_TracksCollision, Maintenance_SerializesConcurrentRuns)', async () => {
    const { store, maintenance } = await filled([2])
    await store.queue()
    const held = store.holdRewrite()
    const first = maintenance.runPass('periodic')
    await held.reached()
    await expect(maintenance.runPass('periodic')).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    held.release()
    expect((await first).outcome).toBe('rewrote')
    expect(store.counters()).toMatchObject({ rewriteRuns: 1, passes: 1, passCollisions: 1 })
    await store.end()
  })

  test('remembers a kick that finds it taken (Maintenance_QueuesPendingCheckpointKickOnActiveCollision), and drops it with a pass that restages', async () => {
    const { store, maintenance } = await filled([2, 3])
    await store.queue()
    const held = store.holdRewrite()
    const first = maintenance.runPass('checkpoint_kick')
    await held.reached()
    maintenance.setMode('auto')
    await checkpoint(store)
    expect(store.scheduler().checkpointKickPending).toBe(true)
    expect(store.counters().passCollisions).toBe(1)
    held.release()
    await first
    await store.settle()
    expect(store.scheduler().checkpointKickPending).toBe(false)
    expect(store.sources()).toEqual(['checkpoint_kick'])
    await store.end()
  })

  test('remembers no other pass that finds it taken (Maintenance_DoesNotQueuePendingWhenCollisionIsNotCheckpointKick)', async () => {
    const { store, maintenance } = await filled([2, 3])
    maintenance.setMode('auto')
    await store.queue()
    const held = store.holdRewrite()
    const first = maintenance.runPass('periodic')
    await held.reached()
    for (const source of ['periodic', 'rewrite_stage_confirm', 'rewrite_age_blocked'] as const) {
      await expect(maintenance.runPass(source)).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    }
    expect(store.scheduler()).toMatchObject({
      checkpointKickPending: false,
      deferredPending: false,
    })
    held.release()
    await first
    await store.settle()
    expect(store.sources()).toEqual(['periodic'])
    await store.end()
  })

  test('that was busy for 30 ms is given to the kick that waited, which rewrites (Checkpoint_KickSelfDrainsMaintenanceCollision, Maintenance_DrainsPendingCheckpointKickAfterPass)', async () => {
    const { store, first, second, maintenance } = await filled([2, 3])
    maintenance.setMode('auto')
    await store.queue()
    const held = store.holdRewrite()
    const pass = maintenance.runPass('periodic')
    await held.reached()
    await checkpoint(store)
    store.clock.advance(30)
    held.release()
    await pass
    await store.settle()
    expect(store.sources()).toEqual(['periodic', 'checkpoint_pending'])
    expect(store.rewrites()).toEqual([[first], [second]])
    expect(store.scheduler().checkpointKickPending).toBe(false)
    expect(store.counters()).toMatchObject({ checkpointKicks: 1, checkpointKickRewriteRuns: 1 })
    await store.end()
  })

  test('goes to a waiting kick before any tick, which plans nothing meanwhile (Maintenance_PrioritizesPendingCheckpointKickOverPeriodicPass)', async () => {
    const { store, first, maintenance } = await filled([2, 3], {
      disableLoop: false,
      triggerTotalBytes: 1,
      rewriteMinIntervalMs: 0,
    })
    maintenance.setMode('auto')
    const held = store.holdRewrite()
    const pass = maintenance.rewrite([first])
    await held.reached()
    await checkpoint(store)
    await store.advance(3_000)
    expect(store.counters()).toMatchObject({ planRuns: 0, passes: 1 })
    expect(store.scheduler().checkpointKickPending).toBe(true)
    held.release()
    await pass
    await store.settle()
    expect(store.sources()).toEqual(['manual', 'checkpoint_pending'])
    expect(store.rewrites()).toEqual([[first], [store.ids[1]]])
    expect(store.scheduler().checkpointKickPending).toBe(false)
    await store.end()
  })

  test('keeps the request of a deferred wake through ticks and further requests, and runs it once (Maintenance_PrioritizesDeferredWakeOverPeriodicPass, StartVlogGenerationDeferredMaintenance_PreservesPendingWhenRunnerActive, DeferredMaintenanceRetry_StopsAfterAcquiredRunEvenWhenCheckpointPending)', async () => {
    const { store, first, second, maintenance } = await filled([2, 3, 4], { disableLoop: false })
    await store.queue({ stagedMsAgo: 29_000, minStaleRatio: 0.2 })
    maintenance.setMode('auto')
    const held = store.holdRewrite()
    const pass = maintenance.rewrite([first])
    await held.reached()
    await store.advance(1_000)
    expect(store.scheduler().deferredPending).toBe(true)
    await checkpoint(store)
    await store.advance(4_000)
    expect(store.scheduler().deferredPending).toBe(true)
    expect(store.counters()).toMatchObject({ passes: 1, planRuns: 0 })
    held.release()
    await pass
    await store.settle()
    expect(store.sources()).toEqual(['manual', 'rewrite_stage_confirm_exit'])
    expect(store.rewrites()).toEqual([[first], [second]])
    expect(store.scheduler().deferredPending).toBe(false)
    await store.end()
  })

  test('that is busy for 25 ms when a confirm comes due lets it run then, not before (DeferredMaintenanceRetry_RetriesWithoutCheckpointPendingUntilAcquired, Maintenance_SchedulesDueStageConfirmationOnExit)', async () => {
    const { store, first, second, maintenance } = await filled([2, 3])
    await store.queue({ stagedMsAgo: 29_990, minStaleRatio: 0.2 })
    maintenance.setMode('auto')
    const held = store.holdRewrite()
    const pass = maintenance.rewrite([first])
    await held.reached()
    await store.advance(25, 5)
    expect(store.sources()).toEqual(['manual'])
    held.release()
    await pass
    await store.settle()
    expect(store.sources()).toEqual(['manual', 'rewrite_stage_confirm_exit'])
    expect(store.rewrites()).toEqual([[first], [second]])
    await store.end()
  })

  test('goes to a due retry before a kick, and the kick runs after it (SchedulePendingVlogGenerationCheckpointKick_PrioritizesDueDeferredWake, Maintenance_CheckpointPendingYieldsToDueAgeBlockedRetry)', async () => {
    const store = await QueueStore.open({
      maintenance: { triggerTotalBytes: 1, triggerStaleRatio: 0, disableLoop: true },
    })
    const { maintenance } = store.engine
    await store.fill({ live: [16], agoMs: 0 })
    await store.fill({ live: [2], agoMs: 20_000 })
    maintenance.setMode('auto')
    await maintenance.runPass('periodic')
    expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + 10_000)
    const held = store.holdRewrite()
    const pass = maintenance.rewrite([store.ids[0] as SegmentId])
    await held.reached()
    await checkpoint(store)
    await store.advance(10_000)
    expect(store.scheduler()).toMatchObject({ checkpointKickPending: true, deferredPending: true })
    held.release()
    await pass
    await store.settle()
    expect(store.sources()).toEqual([
      'periodic',
      'manual',
      'rewrite_age_blocked_exit',
      'checkpoint_pending',
    ])
    await store.end()
  })

  test('that is busy collides with nobody who only waits for it (RunVlogGenerationMaintenanceRetries_CoalescesPendingCollisionRetries)', async () => {
    const { store, first, maintenance } = await filled([2, 3, 4], { disableLoop: false })
    await store.queue({ stagedMsAgo: 29_000, minStaleRatio: 0.2 })
    maintenance.setMode('auto')
    const held = store.holdRewrite()
    const pass = maintenance.rewrite([first])
    await held.reached()
    // A due confirm, a kick on staged debt and ten ticks.
    await store.advance(1_000)
    await checkpoint(store)
    await store.advance(9_000)
    expect(store.counters().passCollisions).toBe(0)
    held.release()
    await pass
    await store.settle()
    expect(store.counters().passCollisions).toBe(0)
    await store.end()
  })
})

describe('a checkpoint', () => {
  test('of 25 ms is waited for by its kick: then 1 plan, 1 rewrite (Maintenance_CheckpointKickWaitsForCheckpointing)', async () => {
    const { store, maintenance } = await filled([2], { triggerTotalBytes: 1 })
    maintenance.setMode('auto')
    const held = store.holdCheckpoint()
    const running = checkpoint(store)
    await held.reached()
    await store.advance(25, 5)
    expect(store.counters()).toMatchObject({ planRuns: 0, passes: 0 })
    held.release()
    await running
    await store.settle()
    expect(store.sources()).toEqual(['checkpoint_kick'])
    expect(store.counters()).toMatchObject({ planRuns: 1, rewriteRuns: 1 })
    await store.end()
  })

  test('that is being written keeps ticks from plan and rewrite (Maintenance_PeriodicPassReturnsDuringCheckpointing)', async () => {
    const { store, maintenance } = await filled([2], {
      triggerTotalBytes: 1,
      disableLoop: false,
      disableCheckpointKick: true,
      quietWriteWindowMs: 0,
    })
    maintenance.setMode('auto')
    const held = store.holdCheckpoint()
    const running = checkpoint(store)
    await held.reached()
    await store.advance(5_000)
    expect(store.counters()).toMatchObject({ planRuns: 0, rewriteRuns: 0 })
    held.release()
    await running
    await store.advance(1_000)
    expect(store.counters()).toMatchObject({ planRuns: 1, rewriteRuns: 1 })
    await store.end()
  })

  test('kicks a plan and a rewrite while the foreground is busy (Checkpoint_KicksVlogGenerationRewriteDespiteRecentForegroundActivity)', async () => {
    const { store, first, maintenance } = await filled([2], { triggerTotalBytes: 1 })
    maintenance.setMode('auto')
    const checkpoints = store.counters().checkpoints
    await store.put(256)
    store.engine.get(key(0))
    await store.engine.checkpoint()
    await store.settle()
    expect(store.rewrites()).toEqual([[first]])
    expect(store.counters()).toMatchObject({
      planRuns: 1,
      rewriteRuns: 1,
      checkpointKicks: 1,
      checkpointKickRewriteRuns: 1,
    })
    // Its own, and the one with which GC moves both roots off the source.
    expect(store.counters().checkpoints - checkpoints).toBeGreaterThanOrEqual(2)
    expect(store.scheduler().activePass).toBeNull()
    await store.end()
  })

  test('kicks queued debt in a log of one segment far below the trigger of 1 GiB (Checkpoint_KicksQueuedRewriteDebtBelowTriggerFloor)', async () => {
    for (const isQueued of [true, false]) {
      const { store, only } = await single({ triggerTotalBytes: 2 ** 30, disableLoop: true })
      store.ids.push(only.segmentId)
      if (isQueued) await store.queue()
      store.engine.maintenance.setMode('auto')
      await checkpoint(store)
      await store.settle()
      expect(store.rewrites()).toEqual(isQueued ? [[only.segmentId]] : [])
      const skips = store.fixture.events.filter((e) => e.type === 'checkpoint_kick_skip')
      expect(skips.map((e) => e.reason)).toEqual(isQueued ? [] : ['trigger_floor'])
      await store.close()
    }
  })

  test('that the swaps of a rewrite made necessary kicks nothing: a periodic pass leaves the rest open (F8)', async () => {
    const store = await QueueStore.open({
      memtableBytes: 4096,
      // Without GC the swaps alone ask for a checkpoint.
      maintenance: { disableLoop: true, checkpointKickMinIntervalMs: 0, disableGc: true },
    })
    await store.fill({ live: [60, 60, 60], records: 128 })
    await store.queue()
    // Nearly full: the pointers that the rewrite swaps are what fills it.
    for (let n = 0; n < 4; n++) await store.engine.delete(Buffer.alloc(700, `${n}`))
    store.clock.advance(60_000)
    store.engine.maintenance.setMode('auto')
    const from = store.fixture.events.length
    const pass = await store.engine.maintenance.runPass('periodic')
    await store.settle()
    const done = store.fixture.events
      .slice(from)
      .flatMap((e) => (e.type === 'checkpoint_done' ? [e.report] : []))
    expect(done).toMatchObject([{ reason: 'maintenance', noop: false }])
    expect(pass).toMatchObject({ outcome: 'rewrote', after: { stage: null } })
    expect(store.sources()).toEqual(['periodic'])
    expect(store.debt().queue).toHaveLength(2)
    expect(store.debt().stage).toBeNull()
    expect(store.counters()).toMatchObject({ checkpointKicks: 0, passCollisions: 0 })
    await store.end()
  })

  test('kicks GC while the foreground is busy and rewrites are off (Checkpoint_KicksVlogGenerationGCDespiteRecentForegroundActivity)', async () => {
    const { store, first, maintenance } = await filled([0], { disableRewrite: true })
    maintenance.setMode('auto')
    await store.put(256)
    store.engine.get(key(0))
    await store.engine.checkpoint()
    await store.settle()
    expect(store.counters()).toMatchObject({
      rewriteRuns: 0,
      gcRuns: 1,
      gcDryRuns: 0,
      checkpointKickGcRuns: 1,
    })
    expect(store.has(first)).toBe(false)
    await store.end()
  })

  test('kicks one of four queued segments: its file is gone, it is not kept, 3 are restaged (CleanupProcessedRetainedRewriteSources_RemovesBackendDeadRetainedSegment)', async () => {
    const { store, first, maintenance } = await filled([1, 2, 3, 4])
    await store.queue()
    const file = path.join(store.fixture.dir, store.at(first).file)
    const held = store.holdRewrite()
    maintenance.setMode('auto')
    await checkpoint(store)
    await held.reached()
    // While it is rewritten it is there, and alive.
    expect(fs.existsSync(file)).toBe(true)
    expect(store.at(first).bytesLive).toBeGreaterThan(0)
    held.release()
    await store.settle()
    expect(fs.existsSync(file)).toBe(false)
    expect(store.has(first)).toBe(false)
    const cleaned = store.fixture.events.filter((e) => e.type === 'rewrite_retained_cleanup_done')
    expect(cleaned).toMatchObject([{ sourceIds: [first], removed: 1 }])
    expect(store.debt().queue).toHaveLength(3)
    expect(store.debt().stage).not.toBeNull()
    await store.end()
  })
})
