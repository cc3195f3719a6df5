/**
 * Plans of one pass. A decision is pure and asks for a plan in the middle; making one may take time
 * and may be cancelled. So the decision is taken again with the plan at hand: the same input gives
 * the same way up to there.
 */
import type { EngineEventBody, PlanFilters, RewritePlan } from '../types.ts'
import { bound, type CancelCause } from './bounds.ts'
import { decidePass } from './decide.ts'
import type { Decision, PlanMade } from './decision.ts'
import type { MaintenanceMemory } from './memory.ts'
import type { Pass } from './pass.ts'
import { describeError, type PassEnvironment } from './pass-environment.ts'
import type { PassInput, PlanTrigger } from './pass-input.ts'
import { coolingOf } from './penalties.ts'

/** Makes the plan that a decision asks for; null = dropped before its end. */
export type PlanMaker = (filters: PlanFilters, trigger: PlanTrigger) => Promise<RewritePlan | null>

/** Says which plan the decision needs; never leaves this file. */
class PlanWanted extends Error {
  readonly filters: PlanFilters
  readonly trigger: PlanTrigger

  constructor(filters: PlanFilters, trigger: PlanTrigger) {
    super('a plan is wanted')
    this.filters = filters
    this.trigger = trigger
  }
}

export async function decideWithPlans(input: PassInput, make: PlanMaker): Promise<Decision> {
  const made = new Map<string, RewritePlan | null>()
  const plan: PassInput['plan'] = (filters, trigger) => {
    const found = made.get(JSON.stringify(filters))
    if (found === undefined) throw new PlanWanted(filters, trigger)
    return found
  }
  for (;;) {
    try {
      return decidePass({ ...input, plan })
    } catch (error) {
      if (!(error instanceof PlanWanted)) throw error
      const { filters, trigger } = error
      made.set(JSON.stringify(filters), await make(filters, trigger))
    }
  }
}

/** The decision as far as it can be taken without a plan; null when it wants one. */
export function decideUnplanned(input: PassInput): Decision | null {
  try {
    const plan: PassInput['plan'] = (filters, trigger) => {
      throw new PlanWanted(filters, trigger)
    }
    return decidePass({ ...input, plan })
  } catch (error) {
    if (error instanceof PlanWanted) return null
    throw error
  }
}

export class PassPlans {
  readonly #pass: Pass
  readonly #elapsedMs = new Map<RewritePlan, number>()
  #totalMs = 0

  constructor(pass: Pass) {
    this.#pass = pass
  }

  /** Of all plans, also of cancelled ones. */
  get totalMs(): number {
    return this.#totalMs
  }

  elapsedMs(plan: RewritePlan): number {
    return this.#elapsedMs.get(plan) ?? 0
  }

  decide(input: PassInput): Promise<Decision> {
    return decideWithPlans(input, (filters, trigger) => this.#plan({ filters, trigger }, input))
  }

  /** null: cancelled by the foreground after its grace, or by time. A failure is thrown. */
  async #plan(
    { filters, trigger }: { filters: PlanFilters; trigger: PlanTrigger },
    input: PassInput,
  ): Promise<RewritePlan | null> {
    const { passId, signal, source, environment } = this.#pass
    const { host, memory, options } = environment
    const { segments, nowMs, penalties } = input
    const cooling = coolingOf(penalties, { nowMs, segments }, options)
    const begun = host.clock.monotonic()
    // Who bypasses the quiet gate is not stopped by what it bypassed.
    const foregroundGraceMs = source === 'periodic' ? options.planResumeGraceMs : null
    const bounds = bound(host, signal, { timeoutMs: options.planTimeoutMs, foregroundGraceMs })
    try {
      const plan = await host.plan({ segments, filters, nowMs, cooling }, bounds.signal)
      const elapsedMs = host.clock.monotonic() - begun
      this.#elapsedMs.set(plan, elapsedMs)
      countPlan(memory, { plan, elapsedMs }, passId)
      return plan
    } catch (error) {
      const cause = bounds.cause()
      if (cause === null) {
        memory.count({ planRuns: 1, planErrors: 1, rewriteFailedRuns: 1 }, passId)
        const durMs = host.clock.monotonic() - begun
        const facts = { trigger, ...floorsOf(filters), ...describeError(error), durMs }
        this.#pass.emit({ type: 'rewrite_plan_failed', ...facts })
        throw error
      }
      const elapsedMs = host.clock.monotonic() - begun
      planCancelled(environment, { why: cause, elapsedMs }, passId)
      this.#pass.steps.push({ kind: 'plan_canceled', why: cause, elapsedMs })
      if (cause === 'aborted') throw error
      return null
    } finally {
      this.#totalMs += host.clock.monotonic() - begun
      bounds.release()
    }
  }
}

/** A plan that was made to its end. */
export interface PlanRun {
  plan: RewritePlan
  elapsedMs: number
}

export function countPlan(
  memory: MaintenanceMemory,
  { plan, elapsedMs }: PlanRun,
  passId: number | null,
): void {
  const { length } = plan.sourceSegmentIds
  const came = length === 0 ? { planEmpty: 1 } : { planSelected: 1, planSelectedSegments: length }
  memory.count({ planRuns: 1, planElapsedMs: elapsedMs, ...came }, passId)
}

/** Nothing is stamped as planned; the backoff holds the next plan back. */
export function planCancelled(
  { memory, host }: Pick<PassEnvironment, 'memory' | 'host'>,
  { why, elapsedMs }: { why: CancelCause; elapsedMs: number },
  passId: number | null,
): void {
  memory.count({ planRuns: 1, planCanceled: 1 }, passId)
  const lastPlanCanceledAtMs = host.clock.now()
  // A plan of no pass says nothing of the wait for age, which a pass may have set meanwhile.
  memory.update(
    passId === null ? { lastPlanCanceledAtMs } : { lastPlanCanceledAtMs, ageBlockedUntilMs: null },
    passId,
  )
  host.emit({ type: 'rewrite_plan_canceled', why, durMs: elapsedMs }, passId)
}

/** By upstream's names. */
function floorsOf({ minStaleRatio, minStaleBytes, maxLiveBytes }: PlanFilters): {
  minRatio: number
  minStaleBytes: number
  maxSourceBytes: number
} {
  return { minRatio: minStaleRatio, minStaleBytes, maxSourceBytes: maxLiveBytes }
}

/** The body of a `rewrite_plan` event. */
export function planEvent(
  trigger: PlanMade['trigger'] | 'dry_run',
  plan: RewritePlan,
  durMs: number,
): EngineEventBody {
  return {
    type: 'rewrite_plan',
    trigger,
    ...floorsOf(plan.filters),
    selected: plan.sourceSegmentIds,
    candidates: plan.candidates.length,
    selectedBytesTotal: plan.selectedBytesTotal,
    selectedBytesLive: plan.selectedBytesLive,
    selectedBytesStale: plan.selectedBytesStale,
    bytesTotal: plan.bytesTotal,
    bytesLive: plan.bytesLive,
    bytesStale: plan.bytesStale,
    ageBlockedSegments: plan.ageBlockedSegments,
    durMs,
  }
}
