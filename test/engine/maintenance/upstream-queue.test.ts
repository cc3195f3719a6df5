/**
 * Upstream's tests of queue execution and budget on a real store, with its numbers; names in brackets are
 * upstream's. A budget of 1024 bytes a second with 1024 tokens, and a total-bytes trigger of 1, are its helper's.
 */
import { describe, expect, test } from 'vitest'
import type { MaintenanceOptions, SegmentId } from '../../../engine/types.ts'
import { QueueStore } from '../../support/queue-store.ts'

const HELPER = {
  triggerTotalBytes: 1,
  rewriteBudgetBytesPerSec: 1024,
  rewriteBudgetStartBytes: 1024,
}

/** Segments of 64 records of 64 bytes each, so that live bytes can be what upstream's fakes say they are. */
async function small(live: number[], maintenance: Partial<MaintenanceOptions> = HELPER) {
  const store = await QueueStore.open({ maintenance })
  await store.fill({ live, records: 64 })
  return store
}

/** Of a store so large that queued debt is resumed at 0.5. */
const LARGE = { efficacyMinTotalBytes: 0 }

const tokens = (store: QueueStore): number | undefined => store.scheduler().budget?.tokensBytes

describe('the budget', () => {
  test('bounds the plan by its tokens, not the rewrite, and pays for its 128 live bytes (Rewrite_UsesAndConsumesBudgetedBytes)', async () => {
    const store = await small([2])
    const { maintenance } = store.engine
    const pass = await maintenance.runPass('periodic', { budgetTokensBytes: 1024 })
    expect(pass.outcome).toBe('rewrote')
    const [plan] = store.fixture.events.filter((e) => e.type === 'rewrite_plan')
    expect(plan).toMatchObject({ trigger: 'pre_rewrite', maxSourceBytes: 1024 })
    const [exec] = store.fixture.events.filter((e) => e.type === 'rewrite_exec')
    expect(exec).toMatchObject({ sourceIds: store.ids, maxCopiedBytes: 0, ledgerLiveBytes: 128 })
    expect(tokens(store)).toBe(1024 - 128)
    expect(store.counters().budgetConsumedBytes).toBe(128)
    await store.end()
  })

  test('pays the 64 live bytes of the ledger, though 128 live (Rewrite_ConsumesLedgerLiveBytesWhenAvailable)', async () => {
    const store = await small([2])
    const ledger = store.ledger().map((entry) => ({ ...entry, bytesLive: 64, bytesStale: 4032 }))
    await store.queue({ ledger })
    const { maintenance } = store.engine
    await maintenance.runPass('checkpoint_kick', { budgetTokensBytes: 1024 })
    expect(store.rewrites()).toEqual([store.ids])
    expect(tokens(store)).toBe(1024 - 64)
    await store.end()
  })

  test('is drawn to 0 by a rewrite larger than its cap of 1024 (Rewrite_ConsumesBudgetToZeroWhenRewriteExceedsBudgetCap)', async () => {
    const store = await small([32])
    await store.queue()
    expect(store.scheduler().budget).toMatchObject({ capBytes: 1024, tokensBytes: 1024 })
    const pass = await store.engine.maintenance.runPass('checkpoint_kick')
    expect(pass.outcome).toBe('rewrote')
    expect(store.counters().rewriteBytesIn).toBe(2048)
    expect(tokens(store)).toBe(0)
    await store.end()
  })

  test('that is empty runs nothing that is queued, and keeps it (RewriteQueue_DoesNotRunWhenBudgetEmpty)', async () => {
    const store = await small([2, 3])
    await store.queue()
    const before = store.debt()
    for (const source of ['periodic', 'checkpoint_kick'] as const) {
      const pass = await store.engine.maintenance.runPass(source, { budgetTokensBytes: 0 })
      expect(pass).toMatchObject({ outcome: 'blocked', blockedBy: 'rewrite_budget' })
    }
    expect(store.rewrites()).toEqual([])
    expect(store.debt()).toEqual(before)
    await store.end()
  })

  test('that is empty lets nothing be planned or rewritten fresh (Rewrite_DoesNotRunWithZeroBudgetTokens, RewritePlan_DoesNotRunWithZeroBudgetTokens)', async () => {
    for (const triggers of [{ triggerTotalBytes: 1 }, { triggerTotalBytes: 0 }]) {
      const store = await small([2], { ...HELPER, ...triggers })
      const { maintenance } = store.engine
      const pass = await maintenance.runPass('periodic', { budgetTokensBytes: 0 })
      expect(pass.blockedBy).toBe('rewrite_budget')
      expect(store.counters()).toMatchObject({ planRuns: 0, rewriteRuns: 0 })
      expect(store.debt().queue).toEqual([])
      await store.end()
    }
  })
})

describe('a plan', () => {
  test('whose segment dies before it is rewritten: pruned once, no token spent (Rewrite_SkipsZeroLivePlannedLedger)', async () => {
    const store = await small([1])
    // The last record goes while the queue is being saved.
    store.beforeStateFile(() => store.delete(0))
    await store.engine.maintenance.runPass('periodic', { budgetTokensBytes: 1024 })
    expect(store.counters()).toMatchObject({
      planSelected: 1,
      rewriteRuns: 0,
      queuePruneRuns: 1,
      queuePrunedIds: 1,
    })
    expect(store.rewrites()).toEqual([])
    expect(store.debt().queue).toEqual([])
    expect(tokens(store)).toBe(1024)
    await store.end()
  })

  test('that finds nothing is counted as empty and queues nothing (RewritePlan_TracksEmptyPlanOutcome)', async () => {
    const store = await small([64], HELPER)
    const pass = await store.engine.maintenance.runPass('periodic', { budgetTokensBytes: 1024 })
    expect(pass.outcome).toBe('nothing_to_do')
    const { planRuns, planEmpty, planSelected, planErrors, planCanceled } = store.counters()
    // One at the generic floor, one at the trigger ratio.
    expect([planRuns, planEmpty]).toEqual([2, 2])
    expect([planSelected, planErrors, planCanceled]).toEqual([0, 0, 0])
    expect(store.debt().queue).toEqual([])
    await store.end()
  })

  test('that selects is counted with its segments (ObserveVlogGenerationRewritePlanOutcome_SelectedTracksBytes)', async () => {
    const store = await small([2, 3])
    const pass = await store.engine.maintenance.runPass('periodic', { budgetTokensBytes: 1024 })
    expect(store.counters()).toMatchObject({
      planRuns: 1,
      planSelected: 1,
      planSelectedSegments: 2,
      planEmpty: 0,
    })
    const [made] = pass.steps.flatMap((step) => (step.kind === 'plan' ? [step.plan] : []))
    expect(made).toMatchObject({
      selectedBytesTotal: 2 * 4096,
      selectedBytesLive: 5 * 64,
      selectedBytesStale: 2 * 4096 - 5 * 64,
    })
    await store.end()
  })
})

describe('the queue', () => {
  test('runs 0.9 stale before 0.1 stale, whatever its order (RewriteQueue_LedgerOrdersByStaleRatio)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [9, 1], records: 10, recordBytes: 400 })
    expect(store.ledger().map((e) => e.staleRatio)).toEqual([0.1, 0.9])
    await store.queue({ minStaleRatio: 0 })
    const [low, high] = store.ids as [SegmentId, SegmentId]
    await store.engine.maintenance.runPass('periodic')
    await store.advance(1_000)
    await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[high], [low]])
    await store.end()
  })

  test('drops a segment without live bytes before it resumes (RewriteQueue_PrunesZeroLiveLedgerBeforeResume)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [2, 4] })
    await store.queue()
    for (const n of [0, 1]) await store.delete(n)
    await store.advance(60_000, 60_000)
    const [dead, alive] = store.ids as [SegmentId, SegmentId]
    await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[alive]])
    expect(store.counters()).toMatchObject({ queuePruneRuns: 1, queuePrunedIds: 1 })
    // GC's work, done by the one after the rewrite.
    expect(store.has(dead)).toBe(false)
    await store.end()
  })

  test('drops 0.4375 stale and rewrites 0.75 (RewriteQueue_PrunesLowQualityLedgerBeforeResume)', async () => {
    const store = await QueueStore.open({ maintenance: LARGE })
    await store.fill({ live: [9, 4] })
    expect(store.ledger().map((e) => e.staleRatio)).toEqual([0.4375, 0.75])
    await store.queue()
    await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[store.ids[1]]])
    expect(store.counters()).toMatchObject({ queuePruneRuns: 1, queuePrunedIds: 1 })
    expect(store.debt().queue).toEqual([])
    await store.end()
  })

  test('keeps 0.875 stale and drops 0.375 at a floor of 0.5 (FilterVlogGenerationRewriteLedgerByQuality)', async () => {
    const store = await QueueStore.open({ maintenance: LARGE })
    await store.fill({ live: [2, 10] })
    expect(store.ledger().map((e) => e.staleRatio)).toEqual([0.875, 0.375])
    await store.queue()
    await store.engine.maintenance.runPass('periodic')
    const [prune] = store.fixture.events.filter((e) => e.type === 'rewrite_queue_quality_prune')
    expect(prune).toMatchObject({ dropped: [store.ids[1]], remaining: 1, minRatio: 0.5 })
    expect(store.rewrites()).toEqual([[store.ids[0]]])
    await store.end()
  })

  test('of two is drained by two passes and one plan (RewriteQueue_ResumesWithoutReplanning)', async () => {
    const store = await QueueStore.open({ maintenance: { triggerTotalBytes: 1 } })
    await store.fill({ live: [1, 2] })
    const [first, second] = store.ids as [SegmentId, SegmentId]
    await store.engine.maintenance.runPass('periodic')
    expect(store.debt().queue).toEqual([second])
    await store.advance(1_000)
    await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[first], [second]])
    expect(store.counters().planRuns).toBe(1)
    expect(store.debt().queue).toEqual([])
    await store.end()
  })

  test('of three is drained by one pass of the runner, within 8 (RewriteQueue_DebtDrainProcessesMultipleSegments)', async () => {
    const store = await QueueStore.open({ maintenance: { policy: 'queue_runner' } })
    await store.fill({ live: [1, 2, 3] })
    await store.queue()
    const pass = await store.engine.maintenance.runPass('rewrite_queue_pending')
    expect(pass.steps.filter((step) => step.kind === 'rewrite')).toHaveLength(3)
    expect(store.debt().queue).toEqual([])
    await store.end()
  })

  test('of 13 by the runner: 8 in its first pass (RewriteMaxSegmentsForRun_ClampsDebtDrainQueue)', async () => {
    const store = await QueueStore.open({ maintenance: { policy: 'queue_runner' } })
    await store.fill({ live: Array.from({ length: 13 }, () => 2) })
    await store.queue()
    await store.engine.maintenance.runPass('rewrite_queue_pending')
    expect(store.rewrites()).toHaveLength(8)
    expect(store.debt().queue).toHaveLength(5)
    // With the tokens of one segment, one.
    await store.engine.maintenance.runPass('rewrite_queue_pending', { budgetTokensBytes: 2 * 256 })
    expect(store.rewrites()).toHaveLength(9)
    await store.end()
  })

  test('of which one is gone is consumed by a bounded run all the same (ConsumesMissingBoundedSourceIDs)', async () => {
    const store = await QueueStore.open({ maintenance: { policy: 'queue_runner' } })
    await store.fill({ live: [1, 2] })
    const [gone, there] = store.ids as [SegmentId, SegmentId]
    const ledger = store.ledger()
    const { maintenance } = store.engine
    await maintenance.rewrite([gone])
    await store.queue({ ledger })
    await maintenance.runPass('rewrite_queue_pending', { budgetTokensBytes: 4096 })
    expect(store.rewrites()).toEqual([[gone], [there]])
    const pruned = store.fixture.events.filter((e) => e.type === 'rewrite_queue_missing_prune')
    expect(pruned).toMatchObject([{ dropped: [gone], remaining: 1 }])
    expect(store.debt().queue).toEqual([])
    await store.end()
  })

  test('under a kick: of 0.2, 0.7 and 0.9 stale one is dropped, one rewritten, one left (RewriteQueue_CheckpointKickDebtDrainCapsSingleSegment)', async () => {
    const store = await QueueStore.open({ maintenance: LARGE })
    await store.fill({ live: [8, 3, 1], records: 10, recordBytes: 400 })
    expect(store.ledger().map((e) => e.staleRatio)).toEqual([0.2, 0.7, 0.9])
    await store.queue()
    await store.engine.maintenance.runPass('checkpoint_kick')
    expect(store.rewrites()).toEqual([[store.ids[2]]])
    expect(store.debt().queue).toEqual([store.ids[1]])
    await store.end()
  })

  test('is there after a reopening, and resumed without a plan (RewriteQueue_SurvivesReopen)', async () => {
    const options = { maintenance: { triggerTotalBytes: 1 } }
    const store = await QueueStore.open(options)
    await store.fill({ live: [1, 2] })
    await store.engine.maintenance.runPass('periodic')
    const [first, second] = store.ids as [SegmentId, SegmentId]
    expect(store.debt().queue).toEqual([second])
    const { dir, clock } = store.fixture
    await store.end()
    const again = await QueueStore.open(options, { dir, clock })
    expect(again.debt().queue).toEqual([second])
    clock.advance(60_000)
    await again.engine.maintenance.runPass('periodic')
    expect([...store.rewrites(), ...again.rewrites()]).toEqual([[first], [second]])
    expect(again.counters().planRuns).toBe(0)
    await again.close()
  })

  test('is as it was after a rewrite that failed (RewriteQueue_PreservedOnRewriteError)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [1, 2] })
    await store.queue()
    const before = store.debt()
    store.beforeOutput(() => {
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    })
    const pass = await store.engine.maintenance.runPass('periodic')
    expect(pass).toMatchObject({ outcome: 'failed' })
    expect(store.debt()).toEqual(before)
    expect(store.counters()).toMatchObject({ rewriteFailedRuns: 1, rewriteRuns: 0 })
    store.expectWhole()
    await store.close()
  })
})

describe('a rewrite of queued debt', () => {
  test('is not cancelled by 20 s of writes, and by 30 s of time (Rewrite_QueuedExecIgnoresForegroundCancelUntilBoundedCompletion)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [1, 2] })
    await store.queue()
    const held = store.holdRewrite()
    const first = store.engine.maintenance.runPass('periodic')
    await held.reached()
    await store.written(20_000)
    held.release()
    expect((await first).outcome).toBe('rewrote')
    expect(store.counters().rewriteCanceledRuns).toBe(0)
    const late = store.holdRewrite()
    const second = store.engine.maintenance.runPass('checkpoint_kick')
    await late.reached()
    store.clock.advance(29_999)
    store.clock.advance(1)
    late.release()
    expect((await second).outcome).toBe('cancelled')
    expect(store.counters().rewriteCanceledRuns).toBe(1)
    expect(store.debt().queue).toEqual([store.ids[1]])
    await store.end()
  })

  test('that was cancelled is not tried again for 20 s, and then is (RewriteResume_CancelBackoffSkipsImmediateRetry, _CancelBackoffExpires)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [1, 2] })
    await store.queue()
    const { maintenance } = store.engine
    store.beforeReadOf(store.ids[0], () => void maintenance.cancelPass())
    expect((await maintenance.runPass('periodic')).outcome).toBe('cancelled')
    expect(store.debt().queue).toEqual(store.ids)
    store.clock.advance(19_999)
    expect((await maintenance.runPass('periodic')).blockedBy).toBe('rewrite_cancel_backoff')
    store.clock.advance(1)
    expect((await maintenance.runPass('periodic')).outcome).toBe('rewrote')
    expect(store.rewrites()).toEqual([[store.ids[0]], [store.ids[0]]])
    await store.end()
  })

  test('fresh from a plan gives way to a write, and its queue drains by the kick that resumes it (Rewrite_CanceledFreshPlanQueuesPendingResume)', async () => {
    const store = await QueueStore.open({
      maintenance: { triggerTotalBytes: 1, disableLoop: true },
    })
    await store.fill({ live: [1] })
    const { maintenance } = store.engine
    maintenance.setMode('auto')
    store.beforeReadOf(store.ids[0], () => {
      store.clock.advance(1)
      void store.put(256)
      store.clock.advance(99)
    })
    expect((await maintenance.runPass('periodic')).outcome).toBe('cancelled')
    await store.settle()
    expect(store.counters()).toMatchObject({ rewriteCanceledRuns: 1, rewriteRuns: 1 })
    expect(store.sources()).toEqual(['periodic', 'checkpoint_pending'])
    expect(store.rewrites()).toEqual([store.ids, store.ids])
    expect(store.debt().queue).toEqual([])
    await store.end()
  })
})
