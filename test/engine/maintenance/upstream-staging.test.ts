/**
 * Upstream's tests of staged debt and of segments that are too young, on a real store with its numbers; names in
 * brackets are upstream's. 11 and 22 of upstream's fakes are the first and the second segment here.
 */
import { describe, expect, test } from 'vitest'
import type { MaintenanceOptions, SegmentId } from '../../../engine/types.ts'
import { QueueStore } from '../../support/queue-store.ts'

/** Of a store so large that queued debt is resumed at 0.5. */
const LARGE = { efficacyMinTotalBytes: 0 }

async function filled(live: number[], maintenance: Partial<MaintenanceOptions> = {}) {
  const store = await QueueStore.open({ maintenance })
  await store.fill({ live })
  const [first, second] = store.ids as [SegmentId, SegmentId]
  return { store, first, second, maintenance: store.engine.maintenance }
}

describe('stale debt', () => {
  test('is planned and staged by one pass and rewritten by the next when it is due (RewritePlan_StagesFreshStaleRatioDebtBeforeRewrite)', async () => {
    const { store, first, maintenance } = await filled([2])
    const [found] = store.ledger()
    expect((await maintenance.runPass('periodic')).outcome).toBe('staged')
    expect(store.counters()).toMatchObject({ planRuns: 1, rewriteRuns: 0 })
    expect(store.debt()).toEqual({
      queue: [first],
      ledger: [found],
      stage: {
        observedAtMs: store.clock.now(),
        dueAtMs: store.clock.now() + 30_000,
        minStaleRatio: 0.2,
      },
    })
    store.clock.advance(29_999)
    await maintenance.runPass('rewrite_stage_confirm')
    expect(store.rewrites()).toEqual([])
    store.clock.advance(1)
    await maintenance.runPass('rewrite_stage_confirm')
    expect(store.rewrites()).toEqual([[first]])
    expect(store.debt()).toEqual({ queue: [], ledger: [], stage: null })
    await store.end()
  })

  test.each([0, 1])(
    'of 0.875 and 0.69, of which the first no longer holds: the second alone is rewritten, with a total-bytes trigger of %i (RewritePlan_StageConfirmationExecutesConfirmedSubset, _StageConfirmationReplansEvenWhenOtherTriggersFire)',
    async (triggerTotalBytes) => {
      // 0.375 and 0.6875 stale in truth; the ledger of the first still says 0.875.
      const { store, first, second, maintenance } = await filled([10, 5], {
        ...LARGE,
        triggerTotalBytes,
      })
      const ledger = store.ledger()
      const old = { bytesLive: 512, bytesStale: 3584, staleRatio: 0.875 }
      await store.queue({
        ledger: [{ ...ledger[0], ...old } as (typeof ledger)[0], ...ledger.slice(1)],
        stagedMsAgo: 30_001,
        minStaleRatio: 0.5,
      })
      await maintenance.runPass('rewrite_stage_confirm')
      expect(store.rewrites()).toEqual([[second]])
      expect(store.has(first)).toBe(true)
      expect(store.debt().queue).toEqual([])
      // What the segments have now is known without a plan.
      expect(store.counters().planRuns).toBe(0)
      await store.end()
    },
  )

  test('of which nothing holds any more is cleared with its stage, 0 rewrites (RewritePlan_StageConfirmationClearsStagedDebtWhenPlanEmpties)', async () => {
    const { store, maintenance } = await filled([10], LARGE)
    await store.queue({ stagedMsAgo: 31_000, minStaleRatio: 0.5 })
    await maintenance.runPass('rewrite_stage_confirm')
    expect(store.rewrites()).toEqual([])
    expect(store.debt()).toEqual({ queue: [], ledger: [], stage: null })
    await store.end()
  })

  test('is kept staged by a confirm without budget (RewritePlan_StagePendingStillConfirmsWhenBudgetEmpty)', async () => {
    const { store, first, maintenance } = await filled([2], {
      rewriteBudgetBytesPerSec: 1024,
      rewriteBudgetStartBytes: 0,
    })
    await store.queue({ stagedMsAgo: 31_000, minStaleRatio: 0.2 })
    const pass = await maintenance.runPass('rewrite_stage_confirm', { budgetTokensBytes: 0 })
    expect(pass.blockedBy).toBe('rewrite_budget')
    expect(store.rewrites()).toEqual([])
    // Its delay begins anew, or the confirm would be due again at once.
    const observedAtMs = store.clock.now()
    expect(store.debt()).toMatchObject({ queue: [first], stage: { observedAtMs } })
    await store.end()
  })

  test.each([29_000, 31_000])(
    'that was staged %i ms ago keeps a periodic pass from plan, rewrite and GC (Maintenance_PeriodicPassSkipsWhileRewriteStagePending)',
    async (stagedMsAgo) => {
      const { store, second, maintenance } = await filled([2, 0])
      expect(store.at(second).bytesLive).toBe(0)
      const ledger = store.ledger().slice(0, 1)
      await store.queue({ ledger, stagedMsAgo, minStaleRatio: 0.2 })
      const pass = await maintenance.runPass('periodic')
      expect(pass).toMatchObject({ outcome: 'blocked', blockedBy: 'stage_not_pending', steps: [] })
      expect(store.counters()).toMatchObject({ planRuns: 0, rewriteRuns: 0, gcRuns: 0 })
      await store.end()
    },
  )

  test('that is due is left to its confirm by a kick that waited (Maintenance_CheckpointPendingYieldsToDueStageConfirm)', async () => {
    const { store, maintenance } = await filled([2])
    await store.queue({ stagedMsAgo: 31_000, minStaleRatio: 0.2 })
    const before = store.debt()
    const pass = await maintenance.runPass('checkpoint_pending')
    expect(pass.blockedBy).toBe('stage_not_pending')
    expect(store.counters()).toMatchObject({ planRuns: 0, rewriteRuns: 0 })
    expect(store.debt()).toEqual(before)
    await store.end()
  })

  test('of five segments goes on by one, from the ledger as it was saved (seed replay: queue 5 to 4, staged anew)', async () => {
    const { store, maintenance } = await filled([1, 2, 3, 4, 5])
    await store.queue({ stagedMsAgo: 31_000, minStaleRatio: 0.2 })
    await maintenance.runPass('rewrite_stage_confirm')
    const used = store.fixture.events.filter(
      (e) => e.type === 'rewrite_stage_confirm_use_persisted',
    )
    expect(used).toMatchObject([{ queued: 5, ledger: 5 }])
    expect(store.debt().queue).toHaveLength(4)
    expect(store.debt().stage?.observedAtMs).toBe(store.clock.now())
    expect(store.counters()).toMatchObject({
      planRuns: 0,
      rewriteRuns: 1,
      gcDeletedSegments: 1,
      gcDeletedBytes: 4096,
    })
    expect(store.scheduler().checkpointKickPending).toBe(false)
    await store.end()
  })

  test('of two segments that are gone: dropped 2, remaining 0, no rewrite (StageConfirmPrunesMissingPersistedSegments)', async () => {
    const { store, maintenance } = await filled([2, 3])
    const ledger = store.ledger()
    await maintenance.rewrite(store.ids)
    for (const id of store.ids) expect(store.has(id)).toBe(false)
    await store.queue({ ledger, stagedMsAgo: 31_000, minStaleRatio: 0.2 })
    const runs = store.counters().rewriteRuns
    await maintenance.runPass('rewrite_stage_confirm')
    const pruned = store.fixture.events.filter((e) => e.type === 'rewrite_queue_missing_prune')
    expect(pruned).toMatchObject([{ dropped: store.ids, remaining: 0, stagePending: false }])
    expect(store.debt()).toEqual({ queue: [], ledger: [], stage: null })
    expect(store.counters().rewriteRuns).toBe(runs)
    await store.end()
  })

  test('of three under the queue runner: its confirm rewrites one, the runner drains the rest (StageConfirmationDebtDrainProcessesMultipleSegments)', async () => {
    const { store, maintenance } = await filled([1, 2, 3], {
      policy: 'queue_runner',
      disableLoop: true,
    })
    await store.queue({ stagedMsAgo: 31_000, minStaleRatio: 0.2 })
    maintenance.setMode('auto')
    await store.advance(2, 1)
    expect(store.sources()).toEqual(['rewrite_stage_confirm', 'rewrite_queue_pending'])
    expect(store.rewrites()).toEqual(store.ids.map((id) => [id]))
    expect(store.debt()).toEqual({ queue: [], ledger: [], stage: null })
    await store.end()
  })
})

describe('the narrow refresh', () => {
  test('of a quiet pass brings the ledger up to now before it resumes (RefreshesCurrentEconomicsBeforePeriodicResume)', async () => {
    const store = await QueueStore.open()
    const [, second = 0, third = 0] = await store.fill({ live: [1, 8, 7] })
    const { maintenance } = store.engine
    await store.queue()
    await maintenance.runPass('periodic')
    // The second was less stale than the third, and is more so now.
    for (const n of [0, 1, 2, 3]) await store.delete(second + n)
    store.clock.advance(60_000)
    await maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[store.ids[0]], [store.ids[1]]])
    const refreshed = store.fixture.events.filter((e) => e.type === 'rewrite_queue_refresh')
    expect(refreshed).toHaveLength(1)
    expect(store.debt().ledger).toMatchObject([{ segmentId: store.ids[2], bytesLive: 7 * 256 }])
    expect(store.counters().planRuns).toBe(0)
    expect(third).toBeGreaterThan(second)
    await store.end()
  })

  test('that finds nothing clears the queue of a quiet pass (RefreshClearsPeriodicQueueWhenNoSegmentsRemain)', async () => {
    const store = await QueueStore.open()
    const [, second = 0, third = 0] = await store.fill({ live: [1, 2, 2] })
    const { maintenance } = store.engine
    await store.queue()
    await maintenance.runPass('periodic')
    for (const n of [second, second + 1, third, third + 1]) await store.delete(n)
    store.clock.advance(60_000)
    await maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[store.ids[0]]])
    const pruned = store.fixture.events.filter((e) => e.type === 'rewrite_queue_refresh_prune')
    expect(pruned).toMatchObject([{ dropped: store.ids.slice(1), remaining: 0 }])
    expect(store.debt()).toEqual({ queue: [], ledger: [], stage: null })
    await store.end()
  })

  test('is none of a kick, which leaves the ledger as it was saved (CheckpointKickResumeDoesNotRefreshQueue)', async () => {
    const store = await QueueStore.open({ maintenance: { policy: 'a_only' } })
    const [, second = 0] = await store.fill({ live: [1, 2, 8] })
    const { maintenance } = store.engine
    const saved = store.ledger()
    await store.queue()
    await maintenance.runPass('checkpoint_kick')
    await store.delete(second)
    await maintenance.runPass('checkpoint_kick')
    const told = store.fixture.events.filter((e) => e.type.startsWith('rewrite_queue_refresh'))
    expect(told).toEqual([])
    expect(store.debt().ledger).toEqual(saved.slice(2))
    await store.end()
  })
})

describe('segments that are too young', () => {
  /** One segment, stale, that lacks so much of the 30 s; the log's size is the one trigger, as in the helper. */
  async function young(lacksMs: number, more: Partial<MaintenanceOptions> = {}) {
    const store = await QueueStore.open({
      maintenance: {
        triggerTotalBytes: 1,
        triggerStaleRatio: 0,
        disableLoop: true,
        quietWriteWindowMs: 0,
        ...more,
      },
    })
    const keys = await store.fill({ live: [2], agoMs: 30_000 - lacksMs })
    const { maintenance } = store.engine
    maintenance.setMode('auto')
    return { store, keys, maintenance, first: store.ids[0] as SegmentId }
  }

  test('are planned again and rewritten when the first is old enough: 2 plans (RewritePlan_AgeBlockedRetryRunsWhenDue)', async () => {
    const { store, maintenance, first } = await young(12_000)
    await maintenance.runPass('periodic')
    expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + 12_000)
    expect(store.counters()).toMatchObject({ planRuns: 1, rewriteRuns: 0 })
    await store.advance(12_000)
    expect(store.counters()).toMatchObject({ planRuns: 2, rewriteRuns: 1 })
    expect(store.rewrites()).toEqual([[first]])
    expect(store.sources()).toEqual(['periodic', 'rewrite_age_blocked'])
    await store.end()
  })

  test('wake their retry after the 10 ms that one lacks, not before (RewritePlan_AgeBlockedRetrySchedulesWakeup)', async () => {
    const { store, maintenance } = await young(10)
    await maintenance.runPass('periodic')
    await store.advance(9)
    expect(store.sources()).toEqual(['periodic'])
    await store.advance(1)
    expect(store.sources()).toEqual(['periodic', 'rewrite_age_blocked'])
    await store.end()
  })

  test('of which one is old enough in 30 ms take the place of 2 s (RewritePlan_AgeBlockedRetryReschedulesEarlierDeadline)', async () => {
    const store = await QueueStore.open({
      maintenance: {
        triggerTotalBytes: 1,
        triggerStaleRatio: 0,
        disableLoop: true,
        quietWriteWindowMs: 0,
        rewriteMinIntervalMs: 0,
      },
    })
    const { maintenance } = store.engine
    // Sealed 1970 ms before the other one, and not stale yet.
    const [elder = 0] = await store.fill({ live: [16], agoMs: 1_970 })
    await store.fill({ live: [2], agoMs: 28_000 })
    maintenance.setMode('auto')
    await maintenance.runPass('periodic')
    expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + 2_000)
    for (let n = 0; n < 14; n++) await store.delete(elder + n)
    await maintenance.runPass('periodic')
    expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + 30)
    await store.advance(30)
    expect(store.sources()).toEqual(['periodic', 'periodic', 'rewrite_age_blocked'])
    expect(store.rewrites()).toEqual([[store.ids[0]]])
    await store.end()
  })

  test('hold the loop’s GC back until their retry (Maintenance_PeriodicGCSkipsWhileRewriteAgeBlocked)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [0, 2], agoMs: 18_000 })
    const [dead] = store.ids as [SegmentId]
    store.engine.maintenance.setMode('auto')
    await store.advance(11_000)
    expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + 1_000)
    expect(store.counters().gcRuns).toBe(0)
    expect(store.has(dead)).toBe(true)
    await store.advance(1_000)
    expect(store.sources().at(-1)).toBe('rewrite_age_blocked')
    expect(store.counters().gcRuns).toBe(1)
    expect(store.has(dead)).toBe(false)
    await store.end()
  })

  test.each<[string, { by: string; waitMs: number; refuse: (store: QueueStore) => unknown }]>([
    [
      'a rewrite 10 s ago',
      {
        by: 'rewrite_min_interval',
        waitMs: 20_000,
        refuse: ({ engine, ids }) => engine.maintenance.rewrite(ids.slice(0, 1)),
      },
    ],
    [
      'an empty budget',
      {
        by: 'rewrite_budget',
        waitMs: 30_000,
        refuse: ({ engine: { maintenance } }) => {
          maintenance.setOptions({ rewriteBudgetBytesPerSec: 0 })
          return maintenance.setOptions({ rewriteBudgetBytesPerSec: 1, rewriteBudgetStartBytes: 0 })
        },
      },
    ],
  ])(
    'whose retry comes to no plan do not wake it again at once (after %s)',
    async (_, { by, waitMs, refuse }) => {
      const store = await QueueStore.open({
        maintenance: { triggerTotalBytes: 1, triggerStaleRatio: 0, disableLoop: true },
      })
      const { maintenance } = store.engine
      await store.fill({ live: [16], agoMs: 0 })
      await store.fill({ live: [2], agoMs: 20_000 })
      maintenance.setMode('auto')
      await maintenance.runPass('periodic')
      expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + 10_000)
      await refuse(store)
      const { passes } = store.counters()
      await store.advance(10_000, 10_000)
      const [retry] = store.fixture.events.flatMap((e) =>
        e.type === 'pass_done' && e.report.source === 'rewrite_age_blocked' ? [e.report] : [],
      )
      expect(retry?.blockedBy).toBe(by)
      expect(store.scheduler().ageBlockedUntilMs).toBe(store.clock.now() + waitMs)
      await store.advance(waitMs - 1, waitMs)
      expect(store.counters().passes).toBe(passes + 1)
      await store.advance(1)
      expect(store.counters().passes).toBe(passes + 2)
      expect(store.rewrites().at(-1)).toEqual(store.ids.slice(1))
      await store.end()
    },
  )
})
