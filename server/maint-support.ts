/**
 * What `restage maint-once` and `restage exit-loop` share: an engine that runs nothing unasked, debt
 * seeded from a plan, one pass with its times, and waiting until maintenance is idle.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from './engine-door.ts'
import type { Engine, EngineOptions } from './engine-door.ts'
import type { PassReport, PassSource, PlanFilters, RewriteDebt, RewritePlan } from './protocol.ts'

/** Longer than any run of a tool: the periodic loop stays armed, so the scheduler rests idle, and never ticks. */
const NEVER_TICKS_MS = 30 * 24 * 3_600_000
const IDLE_POLL_MS = 20

export interface SessionOptions {
  disableAutoDeferred: boolean
  /** 0 = the engine's own. */
  planTimeoutMs: number
  /** A restaged queue is due at once: a loop of passes does not wait for its own delay. */
  confirmDelayMs?: number
}

/** Step mode: nothing runs while debt is seeded. `runOne` switches to auto mode with the pass. */
export function sessionOptions(options: SessionOptions): EngineOptions {
  const { disableAutoDeferred, planTimeoutMs, confirmDelayMs } = options
  return {
    mode: 'step',
    checkpointIntervalMs: 0,
    maintenance: {
      loopIntervalMs: NEVER_TICKS_MS,
      disableAutoDeferred,
      ...(planTimeoutMs > 0 ? { planTimeoutMs } : {}),
      ...(confirmDelayMs === undefined ? {} : { confirmDelayMs }),
    },
  }
}

export interface SeedOptions {
  filters: Partial<PlanFilters>
  stagePending: boolean
  /** How far in the past the stage was observed. */
  observedAgoMs: number
}

/** Filters of a seed are those given and no other: 0 = off, as upstream's tool has it. */
const NO_FILTERS: PlanFilters = {
  minStaleRatio: 0,
  minStaleBytes: 0,
  minStaleBytesCapRatio: 0,
  minAgeMs: 0,
  maxSegments: 0,
  maxLiveBytes: 0,
  maxCopiedBytes: 0,
  protectedIds: [],
  segmentIds: null,
}

/** Plans and makes what was selected the debt; a queue-only plan has no economics and cannot be staged. */
export async function seedFromPlan(engine: Engine, seed: SeedOptions): Promise<RewritePlan> {
  const plan = engine.maintenance.plan({ ...NO_FILTERS, ...seed.filters })
  const { minStaleRatio } = plan.filters
  const observedAtMs = engine.gauges().nowMs - seed.observedAgoMs
  const dueAtMs = observedAtMs + engine.info.options.confirmDelayMs
  const isStaged = seed.stagePending && plan.selected.length > 0
  const debt: RewriteDebt = {
    queue: plan.sourceSegmentIds,
    ledger: plan.selected,
    stage: isStaged ? { observedAtMs, dueAtMs, minStaleRatio } : null,
  }
  await engine.maintenance.setDebt(debt, minStaleRatio)
  return plan
}

/** One pass; null when another one held the slot. What follows from it runs, unless it is switched off. */
export async function runOne(
  engine: Engine,
  source: Exclude<PassSource, 'manual'>,
  how?: { budgetTokensBytes?: number },
): Promise<PassReport | null> {
  try {
    // Both in one turn: no timer of the auto mode can take the slot before this pass.
    engine.maintenance.setMode('auto')
    return await engine.maintenance.runPass(source, how)
  } catch (error) {
    if (error instanceof EngineError && error.code === 'ENGINE_BUSY') return null
    throw error
  }
}

/** Resolves when no pass runs and nothing is due to follow; ENGINE_BUSY when that takes longer than `forMs`. */
export async function waitIdle(
  engine: Engine,
  forMs: number,
  signal: AbortSignal,
): Promise<number> {
  const begun = performance.now()
  for (;;) {
    if (isIdle(engine)) return performance.now() - begun
    const leftMs = forMs - (performance.now() - begun)
    if (leftMs <= 0) {
      throw new EngineError('ENGINE_BUSY', `maintenance is not idle after ${forMs} ms`)
    }
    await sleep(Math.min(IDLE_POLL_MS, leftMs), undefined, { signal })
  }
}

function isIdle(engine: Engine): boolean {
  const { scheduler, debt } = engine.state()
  if (scheduler.activePass !== null) return false
  const { disableAutoDeferred } = engine.info.options
  const isDue = debt.stage !== null && debt.stage.dueAtMs <= engine.gauges().nowMs
  return !isDue || disableAutoDeferred
}
