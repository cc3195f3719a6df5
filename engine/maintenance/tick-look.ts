/**
 * What a tick's pass would decide, looked at before there is a pass: a store at rest is asked every second, and
 * nearly always the answer is that nothing is to be done. The plan that this may need is made in slices, as a
 * pass makes its own, and given up when the foreground comes back.
 */
import type { Decision } from './decision.ts'
import { bound, type CancelCause } from './bounds.ts'
import type { PassEnvironment } from './pass-environment.ts'
import type { PassInput } from './pass-input.ts'
import { decideUnplanned, decideWithPlans, type PlanRun } from './pass-plans.ts'
import { coolingOf } from './penalties.ts'

export interface Looked {
  /** null: it needs a plan that could not be made. */
  decision: Decision | null
  /** Those that were made for it, in order. */
  plans: PlanRun[]
  /** What ended the plan that it needed; null: nothing did, or an error. */
  ended: { why: CancelCause; elapsedMs: number } | null
}

/** At once where no plan is wanted. The promise never rejects. */
export function lookAhead(
  environment: Pick<PassEnvironment, 'host' | 'options'>,
  input: PassInput,
  signal: AbortSignal,
): Looked | Promise<Looked> {
  const decision = decideUnplanned(input)
  return decision === null
    ? planAhead(environment, input, signal)
    : { decision, plans: [], ended: null }
}

async function planAhead(
  { host, options }: Pick<PassEnvironment, 'host' | 'options'>,
  input: PassInput,
  signal: AbortSignal,
): Promise<Looked> {
  const { segments, nowMs, penalties } = input
  const cooling = coolingOf(penalties, { nowMs, segments }, options)
  const { planTimeoutMs: timeoutMs, planResumeGraceMs: foregroundGraceMs } = options
  const plans: PlanRun[] = []
  let ended: Looked['ended'] = null
  try {
    const decision = await decideWithPlans(input, async (filters) => {
      const begun = host.clock.monotonic()
      // Each plan has all of its time, as in a pass.
      const bounds = bound(host, signal, { timeoutMs, foregroundGraceMs })
      try {
        const plan = await host.plan({ segments, filters, nowMs, cooling }, bounds.signal)
        plans.push({ plan, elapsedMs: host.clock.monotonic() - begun })
        return plan
      } catch (error) {
        const why = bounds.cause()
        if (why !== null) ended = { why, elapsedMs: host.clock.monotonic() - begun }
        throw error
      } finally {
        bounds.release()
      }
    })
    return { decision, plans, ended: null }
  } catch {
    // An error is not lost: the pass that follows plans too, and reports what stops it.
    return { decision: null, plans, ended }
  }
}
