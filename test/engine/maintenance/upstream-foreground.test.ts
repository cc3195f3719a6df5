/**
 * Upstream's tests of plans and GC beside a foreground that reads and writes, on a real store with its numbers;
 * names in brackets are upstream's.
 */
import { describe, expect, test } from 'vitest'
import type { MaintenanceOptions } from '../../../engine/types.ts'
import { key, value } from '../../support/engine-fixture.ts'
import { MIB, QueueStore } from '../../support/queue-store.ts'

async function filled(live: number[], maintenance: Partial<MaintenanceOptions> = {}) {
  const store = await QueueStore.open({ maintenance })
  await store.fill({ live })
  return { store, maintenance: store.engine.maintenance }
}

/** So long, with a read or a write every 25 ms. */
async function busy(store: QueueStore, ms: number, how: 'reads' | 'writes'): Promise<void> {
  if (how === 'writes') return store.written(ms)
  for (let left = ms; left > 0; left -= 25) {
    store.clock.advance(25)
    store.engine.get(key(0))
  }
}

describe('a plan', () => {
  test('keeps no writer waiting (RewritePlan_RunsOutsideMaintenanceBarrier)', async () => {
    const { store, maintenance } = await filled([2])
    let acknowledged = 0
    store.duringPlan(async () => {
      await store.put(256)
      acknowledged = store.counters().planRuns === 0 ? 1 : 0
    })
    await maintenance.runPass('checkpoint_kick')
    // While the plan was not made yet.
    expect(acknowledged).toBe(1)
    expect(store.counters().planRuns).toBe(1)
    await store.end()
  })

  test.each(['writes', 'reads'] as const)(
    'is given up when %s resume, after its grace: nothing is stamped, the store is idle (RewritePlan_CancelsWhenForegroundWritesResume, _CancelsWhenForegroundReadsResume)',
    async (how) => {
      const { store, maintenance } = await filled([2], { disableGc: true })
      maintenance.setMode('auto')
      store.duringPlan(() => busy(store, 500, how))
      const pass = await maintenance.runPass('periodic')
      expect(pass.blockedBy).toBe('plan_completed')
      expect(store.counters()).toMatchObject({
        planRuns: 1,
        planCanceled: 1,
        planErrors: 0,
        planEmpty: 0,
        planSelected: 0,
      })
      expect(store.scheduler()).toMatchObject({ lastPlanAtMs: null, state: 'idle' })
      expect(store.debt().queue).toEqual([])
      await store.end()
    },
  )

  test('of 175 ms ends within its grace and is counted as empty (RewritePlan_GraceAllowsShortPlanDuringForegroundResume)', async () => {
    const { store, maintenance } = await filled([16])
    store.duringPlan(() => busy(store, 175, 'writes'))
    await maintenance.runPass('periodic')
    expect(store.counters()).toMatchObject({ planRuns: 1, planCanceled: 0, planEmpty: 1 })
    await store.end()
  })

  test('of a kick is not given up for what the kick bypasses: completed 1 (Maintenance_BypassQuietPlannerNotCanceledByForegroundActivity)', async () => {
    const { store, maintenance } = await filled([2])
    store.duringPlan(() => busy(store, 2_000, 'writes'))
    expect((await maintenance.runPass('checkpoint_kick')).outcome).toBe('staged')
    expect(store.counters()).toMatchObject({ planRuns: 1, planCanceled: 0, planSelected: 1 })
    await store.end()
  })

  test.each(['foreground', 'deadline'] as const)(
    'that %s has cancelled is made again by the loop after 5 s, by a kick at once (RewritePlan_CancelBackoffSkipsImmediateRetry, _DeadlineBackoffSkipsImmediateRetry, _CancelBackoffCheckpointKickBypasses, _CancelBackoffExpires)',
    async (why) => {
      for (const { afterMs, source, plans } of [
        { afterMs: 4_999, source: 'periodic', plans: 1 },
        { afterMs: 5_000, source: 'periodic', plans: 2 },
        { afterMs: 0, source: 'checkpoint_kick', plans: 2 },
      ] as const) {
        const { store, maintenance } = await filled([2], { quietWriteWindowMs: 0, disableGc: true })
        store.duringPlan(async () => {
          if (why === 'foreground') await busy(store, 450, 'writes')
          else store.clock.advance(30_000)
        })
        await maintenance.runPass('periodic')
        const given = store.fixture.events.filter((e) => e.type === 'rewrite_plan_canceled')
        expect(given).toMatchObject([{ why }])
        store.clock.advance(afterMs)
        const pass = await maintenance.runPass(source)
        expect(store.counters().planRuns, `${source} after ${afterMs}`).toBe(plans)
        expect(pass.blockedBy).toBe(plans === 1 ? 'plan_cancel_backoff' : null)
        await store.end()
      }
    },
  )

  test('that was given up leaves the GC of its tick to run (RewritePlan_CancelStillRunsForcedGC)', async () => {
    const { store, maintenance } = await filled([2, 0])
    store.duringPlan(() => busy(store, 500, 'writes'))
    const pass = await maintenance.runPass('periodic')
    expect(store.counters()).toMatchObject({ planCanceled: 1, gcRuns: 1, gcDeletedSegments: 1 })
    expect(pass.outcome).toBe('reclaimed')
    await store.end()
  })
})

describe('a periodic pass, of a GC tick too, plans nothing', () => {
  async function expectNoPlan(store: QueueStore, by: string): Promise<void> {
    const pass = await store.engine.maintenance.runPass('periodic')
    expect(pass.blockedBy).toBe(by)
    expect(store.counters()).toMatchObject({ planRuns: 0, rewriteRuns: 0, gcRuns: 0, gcDryRuns: 0 })
  }

  test('before the first checkpoint of a store without a journal (Maintenance_SkipsBeforeFirstCheckpointInWALOffMode)', async () => {
    const store = await QueueStore.open({ maintenance: { triggerTotalBytes: 1 } })
    for (let n = 0; n < 17; n++) await store.put(256)
    for (let n = 0; n < 14; n++) await store.delete(n)
    store.clock.advance(60_000)
    await expectNoPlan(store, 'first_checkpoint')
    await store.engine.checkpoint()
    await store.engine.maintenance.runPass('periodic')
    expect(store.counters().rewriteRuns).toBe(1)
    await store.end()
  })

  test('within 15 s of a write, nor runs GC (Maintenance_SkipsDuringRecentForegroundWrites, RunGCPassSkipsRewriteWhenForegroundHot, GC_SkipsDuringRecentForegroundWrites)', async () => {
    const { store } = await filled([2, 0])
    await store.put(256)
    store.clock.advance(14_999)
    await expectNoPlan(store, 'quiet_writes')
    store.clock.advance(1)
    await store.engine.maintenance.runPass('periodic')
    expect(store.counters()).toMatchObject({ planRuns: 1 })
    await store.end()
  })

  test('within 2 s of a read (Maintenance_SkipsDuringRecentForegroundReads)', async () => {
    const { store } = await filled([2])
    store.engine.get(key(0))
    store.clock.advance(1_999)
    await expectNoPlan(store, 'quiet_reads')
    store.clock.advance(1)
    await store.engine.maintenance.runPass('periodic')
    expect(store.counters().planRuns).toBe(1)
    await store.end()
  })

  test('while an iterator is open (Maintenance_SkipsDuringActiveForegroundIterator)', async () => {
    const { store } = await filled([2])
    const iterator = store.engine.iterate()
    iterator.next()
    store.clock.advance(60_000)
    await expectNoPlan(store, 'no_open_iterators')
    iterator.close()
    store.clock.advance(2_000)
    await store.engine.maintenance.runPass('periodic')
    expect(store.counters().planRuns).toBe(1)
    await store.end()
  })
})

describe('GC of a tick', () => {
  test('runs for what is dead, and its reason is periodic_gc (GC_DryRunEligibleBytesTriggersRealGC, without a dry run)', async () => {
    const { store, maintenance } = await filled([0])
    const pass = await maintenance.runPass('periodic')
    expect(pass.outcome).toBe('reclaimed')
    expect(store.counters()).toMatchObject({ gcRuns: 1, gcDryRuns: 0, gcDeletedBytes: 4096 })
    expect(store.scheduler().lastReason).toBe('periodic_gc')
    await store.end()
  })

  test('does not run where nothing is dead, and the store is idle (GC_DryRunNoEligibleBytesReturnsSchedulerIdle, without a dry run)', async () => {
    const { store, maintenance } = await filled([16])
    maintenance.setMode('auto')
    await store.advance(10_000)
    expect(store.counters()).toMatchObject({ gcRuns: 0, gcDryRuns: 0 })
    expect(store.scheduler().state).toBe('idle')
    await store.end()
  })

  test('is any tick from 1 MiB dead on, and the fifth below (ShouldRunVlogGenerationGC_ReclaimableBytes)', async () => {
    for (const { bytes, tick } of [
      { bytes: MIB, tick: 1 },
      { bytes: MIB - 1, tick: 5 },
    ]) {
      const store = await QueueStore.open({ maintenance: { triggerStaleRatio: 0 } })
      const { engine, clock } = store
      await engine.put(key(1), value(1, bytes - 20))
      await store.put(256)
      await engine.checkpoint()
      await engine.delete(key(1))
      await engine.checkpoint()
      clock.advance(60_000)
      engine.maintenance.setMode('auto')
      await store.advance((tick - 1) * 1_000)
      expect(store.counters().gcRuns, `${bytes} dead`).toBe(0)
      await store.advance(1_000)
      expect(store.counters(), `${bytes} dead`).toMatchObject({ gcRuns: 1, gcDeletedBytes: bytes })
      await store.close()
    }
  })
})
