/** Who wakes a pass, who goes first, and what holds each back: the scheduler with hand-made segments. */
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../../engine/errors.ts'
import { decodeState, encodeState, NO_EXTRAS } from '../../../engine/maintenance/state-file.ts'
import type { EngineEventType, MaintenancePolicy, RewritePenalty } from '../../../engine/types.ts'
import { rewriteReportOf } from '../../support/rewrite-report.ts'
import {
  advance,
  debtOf,
  entry,
  type FakeHost,
  id,
  MIB,
  segment,
  settle,
  staged,
  T0,
  world,
  QUEUE,
  THREE,
  CHECKPOINT,
} from './fake-host.ts'

function sources(host: FakeHost): string[] {
  return host.eventsOf('maintenance_active_acquire').map((event) => event.source)
}

/** Holds the next rewrite until called. */
function holdRewrite(host: FakeHost): () => void {
  let release: () => void = () => undefined
  host.onRewrite = () => {
    host.onRewrite = () => Promise.resolve()
    return new Promise((resolve) => (release = resolve))
  }
  return () => release()
}

const young = (seq: number, ageMs: number) => segment(seq, 0.9, { sealedAtMs: T0 - ageMs })

describe('age-blocked retry', () => {
  test('is told with the segments and the stale bytes of those that only age keeps out', async () => {
    const fresh = segment(2, 0.1, { sealedAtMs: T0 - 1_000 })
    const { host, scheduler } = await world([young(1, 18_000), fresh])
    await scheduler.runPass('periodic')
    expect(host.eventsOf('rewrite_plan_age_blocked')).toMatchObject([
      { segments: 1, staleBytes: young(1, 0).bytesStale },
    ])
  })

  test('runs by its timer the moment the first segment is old enough (AgeBlockedRetryRunsWhenDue)', async () => {
    const { host, scheduler } = await world([young(1, 18_000)], { mode: 'auto' })
    await advance(host, 1_000)
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 12_000)
    expect(host.eventsOf('rewrite_plan_age_blocked')).toMatchObject([
      { segments: 1, retryAfterMs: 11_000, minAgeMs: 30_000 },
    ])
    await advance(host, 10_999, 10_999)
    expect(sources(host)).not.toContain('rewrite_age_blocked')
    await advance(host, 1)
    expect(sources(host).at(-1)).toBe('rewrite_age_blocked')
    expect(host.eventsOf('rewrite_age_blocked_retry_due')).toHaveLength(1)
    expect(scheduler.debt().stage).not.toBeNull()
    expect(scheduler.info().ageBlockedUntilMs).toBeNull()
  })

  test('an earlier deadline takes the place of a later one (AgeBlockedRetryReschedulesEarlierDeadline)', async () => {
    const { host, scheduler } = await world([young(1, 1_000)], { mode: 'auto' })
    await advance(host, 1_000)
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 29_000)
    host.list = [...host.list, young(2, 26_000)]
    // A kick plans again when its interval lets it; here a person does.
    scheduler.setOptions({ rewriteMinIntervalMs: 0, disableLoop: true })
    await scheduler.runPass('periodic')
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 4_000)
    await advance(host, 3_000)
    expect(sources(host)).toContain('rewrite_age_blocked')
  })

  test('periodic GC waits for it, and its own pass deletes what is dead (PeriodicGCSkipsWhileRewriteAgeBlocked)', async () => {
    const { host } = await world([young(1, 18_000), segment(9, 1)], { mode: 'auto' })
    await advance(host, 11_000)
    expect(host.reclaims).toEqual([])
    expect(sources(host)).toEqual(['periodic'])
    await advance(host, 1_000)
    expect(sources(host)).toEqual(['periodic', 'rewrite_age_blocked'])
    expect(host.reclaims).toEqual([false])
  })

  test('one asked for plans now, whatever was planned before', async () => {
    const { host, scheduler } = await world([young(1, 18_000), segment(2, 0.9)])
    const first = await scheduler.runPass('rewrite_age_blocked')
    expect(first.outcome).toBe('staged')
    expect(first.gates.find((g) => g.name === 'age_retry_due')).toMatchObject({
      verdict: 'pass',
      bypassed: true,
    })
    await scheduler.setDebt(debtOf([]))
    host.list = [young(1, 18_000)]
    await scheduler.runPass('rewrite_age_blocked_exit')
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 12_000)
    expect(host.plans).toHaveLength(2)
  })
})

describe('a confirm', () => {
  test('keeps the old stage until it restages: a crash in between leaves the rest due, not open', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 30_000))
    const { host, scheduler } = await world(THREE, { debt })
    await scheduler.runPass('rewrite_stage_confirm')
    const saved = host.saves.map((json) => {
      const { queue, stage } = decodeState(json, 30_000).debt
      return [queue.length, stage?.observedAtMs]
    })
    expect(saved).toEqual([
      [2, T0 - 30_000],
      [2, T0],
    ])
  })
})

describe('exit hook', () => {
  test('debt that comes due while a pass runs is confirmed when it ends (SchedulesDueStageConfirmationOnExit)', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    const release = holdRewrite(host)
    const manual = scheduler.rewrite([id(1)])
    await advance(host, 30_000, 30_000)
    expect(scheduler.info().deferredPending).toBe(true)
    release()
    await manual
    await settle()
    expect(sources(host)).toEqual(['manual', 'rewrite_stage_confirm_exit'])
    expect(host.rewrites).toEqual([[id(1)], [id(3)]])
    expect(host.types()).toContain('maintenance_retry_done')
    expect(scheduler.info().deferredPending).toBe(false)
  })

  test('D2: what runs is chosen from what is due then, not from what was asked for first', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    const release = holdRewrite(host)
    const manual = scheduler.rewrite([id(1), id(2), id(3)])
    await advance(host, 30_000, 30_000)
    // The retry that waits was a confirm; nothing is left to confirm when the slot is free.
    release()
    await manual
    await settle()
    expect(sources(host)).toEqual(['manual'])
    expect(scheduler.info().deferredPending).toBe(false)
  })

  test('a kick that collided runs as the delayed one, after due debt (PrioritizesDueDeferredWake)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const release = holdRewrite(host)
    const first = scheduler.runPass('periodic')
    await settle()
    scheduler.afterCheckpoint(CHECKPOINT)
    expect(scheduler.info().checkpointKickPending).toBe(true)
    expect(host.eventsOf('maintenance_retry_start')).toMatchObject([{ retryWindowMs: 5_000 }])
    release()
    await first
    await settle()
    expect(sources(host)).toEqual(['periodic', 'checkpoint_pending'])
    expect(scheduler.info().checkpointKickPending).toBe(false)
  })

  test('a wait that is longer than its window is said, and the kick still runs', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const release = holdRewrite(host)
    const first = scheduler.runPass('periodic')
    await settle()
    scheduler.afterCheckpoint(CHECKPOINT)
    await advance(host, 6_000, 6_000)
    release()
    await first
    await settle()
    expect(host.eventsOf('maintenance_retry_deadline')).toMatchObject([{ waitedMs: 6_000 }])
    expect(sources(host)).toContain('checkpoint_pending')
  })

  test('F15, M7: with disableAutoDeferred one pass is one pass', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 60_000))
    const { host, scheduler } = await world(THREE, {
      debt,
      mode: 'auto',
      maintenance: { disableAutoDeferred: true, disableLoop: true },
    })
    await advance(host, 60_000)
    expect(sources(host)).toEqual([])
    // Staged and due, the slot taken, a kick on top: nothing of it starts another pass.
    const release = holdRewrite(host)
    const one = scheduler.runPass('rewrite_stage_confirm')
    await settle()
    scheduler.afterCheckpoint(CHECKPOINT)
    release()
    await one
    await advance(host, 120_000)
    expect(sources(host)).toEqual(['rewrite_stage_confirm'])
    expect(host.rewrites).toHaveLength(1)
    expect(scheduler.info().checkpointKickPending).toBe(false)
  })
})

describe('without deferred passes', () => {
  const maintenance = { disableAutoDeferred: true }

  test('a tick plans what has become old enough, and GC is not held back for a retry', async () => {
    const { host, scheduler } = await world([young(1, 18_000), segment(9, 1)], {
      mode: 'auto',
      maintenance,
    })
    await advance(host, 11_000)
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 12_000)
    expect(host.reclaims).toEqual([false])
    await advance(host, 2_000)
    expect(scheduler.debt().stage).not.toBeNull()
    expect(new Set(sources(host))).toEqual(new Set(['periodic']))
  })

  test('a tick goes on with a stage that is due, and the loop drains the rest', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto', maintenance })
    await advance(host, 29_000)
    expect(host.rewrites).toEqual([])
    await advance(host, 1_000)
    expect(host.rewrites).toEqual([[id(3)]])
    expect(scheduler.debt()).toMatchObject({ queue: [id(1), id(2)], stage: null })
    await advance(host, 4_000)
    expect(scheduler.debt().queue).toEqual([])
    expect(new Set(sources(host))).toEqual(new Set(['periodic']))
  })

  test('a kick does so too, and restages the rest', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const off = { ...maintenance, disableLoop: true }
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto', maintenance: off })
    await advance(host, 29_999, 29_999)
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'stage_pending' }])
    await advance(host, 1)
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    expect(host.rewrites).toEqual([[id(3)]])
    expect(scheduler.debt().stage).toEqual(staged(T0 + 30_000))
  })
})

describe('checkpoint kick', () => {
  test('D10: a kick on staged debt is refused without taking the slot and is no kick run', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'stage_pending' }])
    expect(sources(host)).toEqual([])
    expect(scheduler.counters()).toMatchObject({
      checkpointKicks: 0,
      checkpointKickSkips: 1,
      passSkipsStageNotDue: 1,
    })
  })

  test('kicks are switched off alone', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      maintenance: { disableCheckpointKick: true },
    })
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'disabled' }])
    await advance(host, 1_000)
    expect(sources(host)).toEqual(['periodic'])
  })
})

describe('switches', () => {
  test('D13: with GC off a rewrite deletes nothing either', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      maintenance: { disableGc: true },
    })
    const report = await scheduler.runPass('checkpoint_kick')
    expect(report.outcome).toBe('rewrote')
    expect(host.reclaims).toEqual([])
    expect(host.eventsOf('gc_skip')).toMatchObject([{ reason: 'disabled', gate: 'gc_enabled' }])
    // Asked for by hand, it is done.
    expect((await scheduler.gc({ dryRun: false })).deleted).toEqual([id(3)])
  })

  test('without rewrites a plan is still told, and nothing is staged', async () => {
    const { host, scheduler } = await world(THREE, { maintenance: { disableRewrite: true } })
    const report = await scheduler.runPass('periodic')
    expect(report.blockedBy).toBe('rewrite_enabled')
    expect(host.eventsOf('rewrite_plan')).toHaveLength(1)
    expect(scheduler.debt().queue).toEqual([])
  })

  test('without the loop only kicks and timers run', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      maintenance: { disableLoop: true },
    })
    expect(scheduler.info().state).toBe('disabled')
    await advance(host, 10_000)
    expect(sources(host)).toEqual([])
    scheduler.afterCheckpoint(CHECKPOINT)
    await settle()
    expect(sources(host)).toEqual(['checkpoint_kick'])
  })
})

describe('write budget', () => {
  const maintenance = { rewriteBudgetBytesPerSec: 1024, rewriteBudgetStartBytes: 0 }

  test('empty means wait: nothing is planned, nothing queued is run (DoesNotRunWithZeroBudgetTokens)', async () => {
    const fresh = await world(THREE, { maintenance })
    expect((await fresh.scheduler.runPass('periodic')).blockedBy).toBe('rewrite_budget')
    expect(fresh.host.plans).toEqual([])
    const queued = await world(THREE, { maintenance, debt: QUEUE })
    expect((await queued.scheduler.runPass('checkpoint_kick')).blockedBy).toBe('rewrite_budget')
    expect(queued.host.rewrites).toEqual([])
  })

  test('a confirm that finds it empty keeps the stage and moves it forward (StagePendingStillConfirmsWhenBudgetEmpty)', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 30_000))
    const { scheduler } = await world(THREE, { maintenance, debt })
    const report = await scheduler.runPass('rewrite_stage_confirm')
    expect(report.blockedBy).toBe('rewrite_budget')
    expect(scheduler.debt().stage).toEqual(staged(T0))
  })

  test('what the ledger said was live is drawn from it (ConsumesLedgerLiveBytesWhenAvailable)', async () => {
    const { scheduler } = await world(THREE, { debt: debtOf([entry(1, 0.75)]) })
    const before = scheduler.info().budget?.tokensBytes ?? 0
    await scheduler.runPass('checkpoint_kick')
    expect(before - (scheduler.info().budget?.tokensBytes ?? 0)).toBe(MIB / 4)
    expect(scheduler.counters().budgetConsumedBytes).toBe(MIB / 4)
  })

  test('a plan takes no more live bytes than there are tokens, but one segment always', async () => {
    const { host, scheduler } = await world(THREE, {
      maintenance: { ...maintenance, rewriteBudgetStartBytes: 1024, triggerTotalBytes: 0 },
    })
    await scheduler.runPass('periodic')
    expect(host.plans[0]?.maxLiveBytes).toBe(1024)
    expect(scheduler.debt().queue).toEqual([id(3)])
  })
})

describe('cancelling', () => {
  /** Writes come in at each poll. */
  const busy = (host: FakeHost, ms: number) => async (): Promise<void> => {
    for (let done = 0; done < ms; done += 25) {
      host.clock.advance(25)
      host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() }
      await settle()
    }
  }

  test('foreground activity cancels a plan after its grace (CancelsWhenForegroundWritesResume)', async () => {
    const { host, scheduler } = await world(THREE)
    host.onPlan = busy(host, 500)
    const report = await scheduler.runPass('periodic')
    expect(report.blockedBy).toBe('plan_completed')
    expect(scheduler.info()).toMatchObject({ lastPlanAtMs: null, state: 'disabled' })
    expect(scheduler.counters()).toMatchObject({
      planRuns: 1,
      planCanceled: 1,
      planErrors: 0,
      planEmpty: 0,
      planSelected: 0,
    })
    expect(host.eventsOf('rewrite_plan_canceled')).toMatchObject([{ why: 'foreground' }])
  })

  test('a short plan is let end, and a kick is not cancelled by what it bypasses (GraceAllowsShortPlanDuringForegroundResume)', async () => {
    const short = await world(THREE)
    short.host.onPlan = busy(short.host, 175)
    expect((await short.scheduler.runPass('periodic')).outcome).toBe('staged')
    const kick = await world(THREE)
    kick.host.onPlan = busy(kick.host, 2_000)
    expect((await kick.scheduler.runPass('checkpoint_kick')).outcome).toBe('staged')
    expect(kick.scheduler.counters().planCanceled).toBe(0)
  })

  test('the next plan waits 5 s; a kick does not (CancelBackoffSkipsImmediateRetry, _CheckpointKickBypasses, _Expires)', async () => {
    const { host, scheduler } = await world(THREE)
    host.onPlan = busy(host, 500)
    await scheduler.runPass('periodic')
    host.onPlan = () => Promise.resolve()
    host.activity = { ...host.activity, lastWriteAtMs: null }
    host.clock.advance(4_000)
    expect((await scheduler.runPass('periodic')).blockedBy).toBe('plan_cancel_backoff')
    expect((await scheduler.runPass('checkpoint_kick')).outcome).toBe('staged')
  })

  test('a plan that takes too long is dropped as well (DeadlineBackoffSkipsImmediateRetry)', async () => {
    const { host, scheduler } = await world(THREE)
    host.onPlan = () => {
      host.clock.advance(30_000)
      return Promise.resolve()
    }
    await scheduler.runPass('checkpoint_kick')
    expect(host.eventsOf('rewrite_plan_canceled')).toMatchObject([{ why: 'deadline' }])
  })

  test('a planner that fails is told, counted and not mistaken for an empty plan', async () => {
    const { host, scheduler } = await world(THREE)
    host.onPlan = () => Promise.reject(new EngineError('ENGINE_IO', 'no'))
    const report = await scheduler.runPass('periodic')
    expect(report).toMatchObject({ outcome: 'failed', error: { code: 'ENGINE_IO' } })
    expect(host.eventsOf('rewrite_plan')).toEqual([])
    expect(host.eventsOf('rewrite_plan_failed')).toMatchObject([
      { trigger: 'stale_ratio_trigger', minRatio: 0.2, code: 'ENGINE_IO', message: 'no' },
    ])
    expect(scheduler.counters()).toMatchObject({
      planErrors: 1,
      planEmpty: 0,
      rewriteFailedRuns: 1,
    })
    expect(scheduler.info().state).toBe('error')
  })

  test('queued debt is not cancelled by the foreground, only by time (QueuedExecIgnoresForegroundCancelUntilBoundedCompletion)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    host.onRewrite = busy(host, 20_000)
    expect((await scheduler.runPass('periodic')).outcome).toBe('rewrote')
    host.activity = { ...host.activity, lastWriteAtMs: null }
    host.onRewrite = () => {
      host.clock.advance(30_000)
      return Promise.resolve()
    }
    const late = await scheduler.runPass('checkpoint_kick')
    expect(late.outcome).toBe('cancelled')
    expect(scheduler.counters().rewriteCanceledRuns).toBe(1)
    expect(scheduler.debt().queue).toHaveLength(2)
  })

  test('a fresh rewrite has a time limit of its own', async () => {
    const fresh = async (limits: { rewriteTimeoutMs: number; freshRewriteTimeoutMs: number }) => {
      const maintenance = { triggerTotalBytes: MIB, ...limits }
      const { host, scheduler } = await world(THREE, { maintenance })
      host.onRewrite = () => {
        host.clock.advance(1_000)
        return Promise.resolve()
      }
      const report = await scheduler.runPass('checkpoint_kick')
      expect(host.rewrites).toHaveLength(1)
      return report.outcome
    }
    const within = { rewriteTimeoutMs: 10, freshRewriteTimeoutMs: 1_001 }
    expect(await fresh(within)).toBe('rewrote')
    const beyond = { rewriteTimeoutMs: 60_000, freshRewriteTimeoutMs: 1_000 }
    expect(await fresh(beyond)).toBe('cancelled')
  })

  test('a fresh rewrite gives way to the foreground and is resumed by a kick (CanceledFreshPlanQueuesPendingResume)', async () => {
    const { host, scheduler } = await world(THREE, {
      mode: 'auto',
      maintenance: { triggerTotalBytes: MIB, disableLoop: true },
    })
    host.onRewrite = (_, signal) => {
      host.onRewrite = () => Promise.resolve()
      const cancelled = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve())
      })
      void busy(host, 300)()
      return cancelled
    }
    const report = await scheduler.runPass('periodic')
    expect(report.outcome).toBe('cancelled')
    await settle()
    expect(scheduler.counters().rewriteCanceledRuns).toBe(1)
    expect(sources(host)).toEqual(['periodic', 'checkpoint_pending'])
    expect(host.rewrites).toEqual([[id(3)], [id(3)]])
  })

  test('a resume that is cancelled too is followed by none: no chain of cancelled passes', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      maintenance: { policy: 'a_only', rewriteTimeoutMs: 1 },
    })
    host.activity = { ...host.activity, openIterators: 1 }
    host.onRewrite = () => {
      // A chain would have no end; this one is over after twenty.
      if (host.rewrites.length < 20) host.clock.advance(1)
      return Promise.resolve()
    }
    scheduler.afterCheckpoint(CHECKPOINT)
    await advance(host, 3_000, 10)
    expect(sources(host).filter((source) => source !== 'periodic')).toEqual([
      'checkpoint_kick',
      'checkpoint_pending',
    ])
    expect(scheduler.counters()).toMatchObject({ rewriteCanceledRuns: 2, checkpointKickSkips: 1 })
    const [skip] = host.eventsOf('checkpoint_kick_skip')
    expect(skip).toMatchObject({
      reason: 'cancel_backoff',
      gate: { name: 'rewrite_cancel_backoff', threshold: 20_000, verdict: 'block' },
    })
    expect(scheduler.debt().queue).toHaveLength(3)
    // Quiet again: the loop goes on when the backoff is over.
    host.onRewrite = () => Promise.resolve()
    host.activity = { ...host.activity, openIterators: 0 }
    await advance(host, 17_000)
    expect(scheduler.debt().queue).toHaveLength(3)
    await advance(host, 2_000)
    expect(scheduler.debt().queue.length).toBeLessThan(3)
  })

  test('a confirm that is cancelled comes again after its delay; no kick is made that staged debt would refuse', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 30_000))
    const { host, scheduler } = await world(THREE, {
      debt,
      mode: 'auto',
      maintenance: { rewriteTimeoutMs: 1_000, disableLoop: true },
    })
    host.onRewrite = () => {
      host.onRewrite = () => Promise.resolve()
      host.clock.advance(1_000)
      return Promise.resolve()
    }
    await advance(host, 29_000)
    expect(scheduler.debt()).toMatchObject({ queue: QUEUE.queue, stage: { minStaleRatio: 0.2 } })
    expect(sources(host)).toEqual(['rewrite_stage_confirm'])
    expect(scheduler.counters()).toMatchObject({ rewriteCanceledRuns: 1, checkpointKicks: 0 })
    await advance(host, 2_000)
    expect(sources(host)).toEqual(['rewrite_stage_confirm', 'rewrite_stage_confirm'])
    expect(host.rewrites).toEqual([[id(3)], [id(3)]])
  })

  test('after a cancelled rewrite the loop waits 20 s (CancelBackoffSkipsImmediateRetry, _Expires)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    host.onRewrite = () => Promise.reject(new EngineError('ENGINE_ABORTED', 'stop'))
    await scheduler.runPass('periodic')
    host.onRewrite = () => Promise.resolve()
    host.clock.advance(19_999)
    expect((await scheduler.runPass('periodic')).blockedBy).toBe('rewrite_cancel_backoff')
    host.clock.advance(1)
    expect((await scheduler.runPass('periodic')).outcome).toBe('rewrote')
  })
})

describe('penalties', () => {
  const useless = (host: FakeHost): void => {
    const rewrite = host.rewrite.bind(host)
    host.rewrite = async (sources, signal) => {
      const list = host.list
      await rewrite(sources, signal)
      host.list = [
        ...list,
        segment(50, 0, { bytesTotal: 5 * MIB, bytesLive: 5 * MIB, bytesStale: 0 }),
      ]
      return rewriteReportOf({ sourcesStillReferenced: sources })
    }
  }

  test('a rewrite that grew the log is told, its segment cools down, and plans leave it out (FiltersPenalizedSegments)', async () => {
    const { host, scheduler } = await world(THREE, { debt: debtOf([entry(3, 0.8)]) })
    useless(host)
    const report = await scheduler.runPass('periodic')
    expect(report.steps.map((s) => s.kind)).toContain('penalty')
    expect(host.eventsOf('rewrite_ineffective_penalty')).toMatchObject([
      { processedIds: [id(3)], penaltyReason: 'material_growth', growth: 5 * MIB },
    ])
    expect(scheduler.penalties()).toMatchObject([{ segmentId: id(3), attempts: 1 }])
    expect(scheduler.counters()).toMatchObject({ rewriteIneffectiveRuns: 1, penaltiesRecorded: 1 })
    expect(host.stateFile).toContain('rewrite_penalties')
    // Fresh plans wait two minutes, unless a kick asks (IneffectiveBackoff...).
    expect((await scheduler.runPass('periodic')).blockedBy).toBe('ineffective_backoff')
    await scheduler.runPass('checkpoint_kick')
    expect(scheduler.debt().queue).toEqual([id(2), id(1)])
    const verdicts = host.eventsOf('pass_done').at(-1)?.report.steps
    const plan = verdicts?.find((step) => step.kind === 'plan')?.plan
    expect(plan?.candidates.find((c) => c.segmentId === id(3))).toMatchObject({
      verdict: 'penalty',
      distance: 600_000,
      flip: null,
    })
  })

  test('D5: they are loaded, and leave the file when they are over', async () => {
    const penalty = (seq: number, untilMs: number): RewritePenalty => ({
      segmentId: id(seq),
      attempts: 1,
      cooldownUntilMs: untilMs,
      lastGrowthBytes: 0,
      lastStaleBytes: 1,
    })
    const file = encodeState(
      debtOf([]),
      [penalty(1, T0 - 1), penalty(2, T0 + 10_000), penalty(9, T0 + 10_000)],
      NO_EXTRAS,
    )
    const { host, scheduler } = await world([segment(1, 0), segment(2, 0)], {
      prepare: (h) => (h.stateFile = file),
    })
    expect(scheduler.penalties().map((p) => p.segmentId)).toEqual([id(2)])
    host.clock.advance(10_000)
    await scheduler.runPass('periodic')
    expect(scheduler.penalties()).toEqual([])
    expect(host.stateFile).toBeNull()
    expect(scheduler.counters().penaltiesExpired).toBe(3)
  })
})

describe('narrow refresh', () => {
  const words: EngineEventType[] = ['rewrite_queue_refresh', 'rewrite_queue_refresh_prune']

  test('a quiet pass after a rewrite brings the ledger up to now (RefreshesCurrentEconomicsBeforePeriodicResume)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    await scheduler.runPass('periodic')
    host.list = host.list.map((s) => (s.seq === 1 ? segment(1, 0.9) : segment(2, 0.1)))
    host.clock.advance(1_000)
    const listed = host.segments.bind(host)
    let elapsedMs = 0
    host.clock.monotonic = () => elapsedMs
    host.segments = () => {
      elapsedMs += 3
      return listed()
    }
    const report = await scheduler.runPass('periodic')
    expect(host.types().filter((t) => words.includes(t))).toEqual(words)
    // What the look at the segments took, measured.
    expect(host.eventsOf('rewrite_queue_refresh')).toMatchObject([{ durMs: 3 }])
    expect(report.steps.map((s) => s.kind)).toContain('refresh')
    expect(host.plans).toEqual([])
    expect(host.rewrites).toEqual([[id(3)], [id(1)]])
  })

  test('hot passes leave the ledger as it was saved (CheckpointKickResumeDoesNotRefreshQueue)', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      maintenance: { policy: 'a_only' },
    })
    await scheduler.runPass('checkpoint_kick')
    host.list = host.list.map((s) => segment(s.seq, 0.95))
    await scheduler.runPass('checkpoint_kick')
    expect(host.types().filter((t) => words.includes(t))).toEqual([])
    // The choice is made by the bytes of now, where all are alike; the ledger is not touched.
    expect(scheduler.debt().ledger).toEqual([entry(2, 0.7)])
  })
})

describe('policies', () => {
  test('a_only: each kick rewrites one and nothing is staged again', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      maintenance: { policy: 'a_only' },
    })
    for (let kick = 0; kick < 3; kick += 1) await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toEqual([[id(3)], [id(2)], [id(1)]])
    expect(scheduler.debt()).toMatchObject({ queue: [], stage: null })
  })

  test('queue_runner: kicks leave the queue to the runner, which drains bounded passes', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      maintenance: { policy: 'queue_runner', debtDrainMaxSegments: 2, disableLoop: true },
    })
    expect((await scheduler.runPass('checkpoint_kick')).blockedBy).toBe('queue_runner_idle')
    await advance(host, 1)
    expect(sources(host)).toEqual(['checkpoint_kick', 'rewrite_queue_pending'])
    expect(host.rewrites).toEqual([[id(3)], [id(2)]])
    await advance(host, 1)
    expect(host.rewrites).toHaveLength(3)
  })

  test('queue_runner: a run that frees nothing is followed by a pause', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      maintenance: { policy: 'queue_runner', debtDrainMaxSegments: 1, disableLoop: true },
    })
    host.onReclaim = () => {
      const pin = { kind: 'snapshot' as const, pinId: 1, label: 's', sinceMs: T0 }
      host.list = host.list.map((s) => (s.bytesLive === 0 ? { ...s, keptBy: [pin] } : s))
      return Promise.resolve()
    }
    await advance(host, 10_000)
    expect(host.rewrites).toHaveLength(1)
    expect(host.eventsOf('rewrite_queue_followup_suppressed')).toMatchObject([
      { queueLen: 2, cooldownMs: 30_000 },
    ])
    await advance(host, 21_000)
    expect(host.rewrites).toHaveLength(2)
    expect(scheduler.debt().queue).toHaveLength(1)
  })

  test.each([
    ['rewrites are off', { disableRewrite: true }, null],
    ['the budget is empty', { rewriteBudgetBytesPerSec: 1, rewriteBudgetStartBytes: 0 }, null],
    ['each rewrite is cancelled', {}, 'ENGINE_ABORTED'],
    ['each rewrite fails', {}, 'ENGINE_IO'],
  ] as const)('queue_runner: while %s, runs pause and do not spin', async (_, how, code) => {
    const { host } = await world(THREE, {
      debt: QUEUE,
      mode: 'auto',
      maintenance: { policy: 'queue_runner', disableLoop: true, ...how },
    })
    if (code !== null) host.onRewrite = () => Promise.reject(new EngineError(code, 'no'))
    await advance(host, 29_900, 100)
    expect(sources(host)).toEqual(['rewrite_queue_pending'])
    await advance(host, 1_000, 100)
    expect(sources(host).length).toBeGreaterThan(1)
  })

  test('queue_runner: a busy store without debt gets no kick; with debt, quiet, or asked for, it does', async () => {
    const setup = { mode: 'auto', maintenance: { disableLoop: true } } as const
    const kicked = async (policy: MaintenancePolicy, how: { busy: boolean; asked?: boolean }) => {
      const maintenance = { ...setup.maintenance, policy }
      const { host, scheduler } = await world(THREE, { ...setup, maintenance })
      if (how.busy) host.activity = { ...host.activity, lastWriteAtMs: T0 }
      if (how.asked === true) await scheduler.kickFromCheckpoint()
      else scheduler.afterCheckpoint(CHECKPOINT)
      await settle()
      const skips = host.eventsOf('checkpoint_kick_skip').map(({ reason, gate }) => [reason, gate])
      return { sources: sources(host), skips }
    }
    expect(await kicked('queue_runner', { busy: true })).toMatchObject({
      sources: [],
      skips: [['foreground_hot_no_debt', { name: 'quiet_writes', input: 0, verdict: 'block' }]],
    })
    for (const how of [{ busy: false }, { busy: true, asked: true }]) {
      expect((await kicked('queue_runner', how)).sources).toEqual(['checkpoint_kick'])
    }
    expect((await kicked('a_plus_c', { busy: true })).sources).toEqual(['checkpoint_kick'])
  })

  test('another policy has no queue runner', async () => {
    const { scheduler } = await world(THREE, { debt: QUEUE })
    expect((await scheduler.runPass('rewrite_queue_pending')).blockedBy).toBe('queue_pending')
  })
})

describe('churn', () => {
  test('triggers at its rate, from the second look on (ShouldRunVlogGenerationRewrite_Churn)', async () => {
    const { host, scheduler } = await world(THREE, {
      maintenance: { triggerChurnBytesPerSec: MIB, triggerStaleRatio: 0 },
    })
    expect((await scheduler.runPass('checkpoint_kick')).outcome).toBe('nothing_to_do')
    host.activity = { ...host.activity, bytesPut: 2 * MIB }
    host.clock.advance(1_000)
    const report = await scheduler.runPass('checkpoint_kick')
    expect(report.outcome).toBe('rewrote')
    expect(scheduler.info()).toMatchObject({ lastReason: 'churn', churnBytesPerSecond: 2 * MIB })
  })
})

describe('findings that upstream had in its own bookkeeping', () => {
  test('D7: the stale ratio beside a rewrite is that of the log, never above 1', async () => {
    const { host, scheduler } = await world([segment(1, 1), segment(2, 1)])
    await scheduler.runPass('periodic')
    const { facts } = host.eventsOf('rewrite_skip')[0] ?? {}
    expect(facts?.staleRatio).toBe(1)
  })

  test('D8: the GC after a rewrite is counted as one', async () => {
    const { scheduler } = await world(THREE, { debt: QUEUE })
    await scheduler.runPass('checkpoint_kick')
    expect(scheduler.counters()).toMatchObject({
      gcRuns: 1,
      gcDeletedSegments: 1,
      gcDeletedBytes: MIB,
      // The file less what was copied of it: what was stale.
      rewriteReclaimedBytes: THREE[2]?.bytesStale,
    })
  })

  test('D11, F14: where the sources ended is known without another look at the store', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    await scheduler.runPass('checkpoint_kick')
    expect(host.eventsOf('rewrite_source_state')).toMatchObject([
      { segmentId: id(3), exists: false, queued: false, liveBytes: 0 },
    ])
    expect(host.plans).toEqual([])
    expect(host.reclaims).toEqual([false])
    // The GC after the rewrite is told which sources it is about.
    expect(host.observed).toEqual([[id(3)]])
    expect(host.rewrites).toHaveLength(1)
  })

  test('an index vacuum follows rewrites that reach its trigger together, and then starts counting anew', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      maintenance: { policy: 'a_only', vacuumTriggerRewriteBytes: 2 * MIB, vacuumMinIntervalMs: 0 },
    })
    const vacuums: number[] = []
    for (let kick = 0; kick < 3; kick++) {
      await scheduler.runPass('checkpoint_kick')
      vacuums.push(host.vacuums)
    }
    expect(vacuums).toEqual([0, 1, 1])
    expect(scheduler.counters()).toMatchObject({ vacuumRuns: 1, vacuumSkipsThreshold: 2 })
    expect(host.eventsOf('vacuum_run')).toHaveLength(1)
  })

  test('a vacuum asked for runs whatever its switch, trigger and interval say', async () => {
    const { host, scheduler } = await world(THREE, { maintenance: { disableVacuum: true } })
    const report = await scheduler.vacuum()
    expect(report).toMatchObject({ done: true, bytesBefore: 2, bytesAfter: 1 })
    expect(await scheduler.vacuum()).toMatchObject({ done: true })
    expect(host.vacuums).toBe(2)
    const { report: pass } = host.eventsOf('pass_done')[0] ?? {}
    expect(pass).toMatchObject({ source: 'manual', outcome: 'reclaimed', sentence: 'Vacuumed.' })
    expect(pass?.gates.filter((gate) => gate.bypassed).map((gate) => gate.name)).toEqual(
      expect.arrayContaining(['vacuum_enabled', 'vacuum_trigger_bytes']),
    )
  })

  test('F19: an action that fails on the side fails the pass, nothing is swallowed', async () => {
    const { host, scheduler } = await world(THREE, {
      debt: QUEUE,
      maintenance: { vacuumTriggerRewriteBytes: 1 },
    })
    host.vacuumIndex = () => Promise.reject(new EngineError('ENGINE_IO', 'no space'))
    const report = await scheduler.runPass('checkpoint_kick')
    expect(report).toMatchObject({ outcome: 'failed', error: { message: 'no space' } })
    expect(scheduler.counters()).toMatchObject({ vacuumFailures: 1, rewriteRuns: 1 })
    expect(scheduler.debt().stage).not.toBeNull()
  })

  test('F17: planning changes nothing, not the file, the counters or the times', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    const before = [scheduler.info(), scheduler.counters(), scheduler.debt(), host.stateFile]
    scheduler.plan({ minStaleRatio: 0.1 })
    expect([scheduler.info(), scheduler.counters(), scheduler.debt(), host.stateFile]).toEqual(
      before,
    )
    expect(host.saves).toEqual([])
  })
})
