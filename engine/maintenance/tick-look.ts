/**
 * What a tick's pass would decide, looked at before there is a pass: a store at rest is asked every second, and
 * nearly always the answer is that nothing is to be done. The plan that this may need is made in slices, as a
 * pass makes its own, and given up when the foreground comes back.
 */
import type { Decision } from './decision.ts'
import { bound } from './bounds.ts'
import type { PassEnvironment } from './pass-environment.ts'
import type { PassInput } from './pass-input.ts'
import { decideUnplanned, decideWithPlans } from './pass-plans.ts'
import { coolingOf } from './penalties.ts'

/** A decision; `given_up`: the foreground or whoever looked ended it; `unplanned`: time or an error did. */
export type Looked = Decision | 'given_up' | 'unplanned'

/** At once where no plan is wanted. The promise never rejects. */
export function lookAhead(
  environment: Pick<PassEnvironment, 'host' | 'options'>,
  input: PassInput,
  signal: AbortSignal,
): Decision | Promise<Looked> {
  return decideUnplanned(input) ?? planAhead(environment, input, signal)
}

async function planAhead(
  { host, options }: Pick<PassEnvironment, 'host' | 'options'>,
  input: PassInput,
  signal: AbortSignal,
): Promise<Looked> {
  const { segments, nowMs, penalties } = input
  const cooling = coolingOf(penalties, { nowMs, segments }, options)
  const { planTimeoutMs: timeoutMs, planResumeGraceMs: foregroundGraceMs } = options
  const bounds = bound(host, signal, { timeoutMs, foregroundGraceMs })
  try {
    return await decideWithPlans(input, (filters) =>
      host.plan({ segments, filters, nowMs, cooling }, bounds.signal),
    )
  } catch {
    // Not lost: the pass that follows on `unplanned` plans too, and reports what stops it.
    const cause = bounds.cause()
    return cause === 'foreground' || cause === 'aborted' ? 'given_up' : 'unplanned'
  } finally {
    bounds.release()
  }
}
