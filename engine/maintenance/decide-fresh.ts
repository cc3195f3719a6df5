/** New debt: which plan is made when nothing is queued, and what becomes of what it selects. Pure. */
import type {
  Gate,
  MaintenanceOptions,
  PlanFilters,
  RewriteDebt,
  RewritePlan,
  RewriteReason,
  SegmentInfo,
} from '../types.ts'
import { isEmpty } from './budget.ts'
import type { Action, AgeBlock, Decision, PlanMade } from './decision.ts'
import { genericFloor, staleTriggerFloor, totalBytes } from './floors.ts'
import { atLeast, flag, isBlocking, upToBlock } from './gates.ts'
import { debtOfPlan, mergeSources, NO_DEBT, ratioOf, segmentLookup, stage } from './ledger.ts'
import { isAgeRetry, isHot, since, sinceText, type PassInput } from './pass-input.ts'
import { waitingForAge } from './planner.ts'
import { bytesText, countText, percentText, segmentText } from './text.ts'

/** Why the log is rewritten at once, without a stage; null = it is not. */
type Urgent = Extract<RewriteReason, 'total_bytes' | 'churn'> | null

/** Reached when nothing is queued. Kicks obey the intervals here too: a plan is not urgent. */
export function decideFresh(input: PassInput, decision: Decision): Action {
  const { options, times, nowMs, segments } = input
  const total = totalBytes(segments)
  const urgent = urgencyOf(input, total)
  if (urgent !== null) {
    const sinceRewrite = since(times.lastRewriteAtMs, nowMs)
    const interval = atLeast({
      name: 'rewrite_min_interval',
      input: sinceRewrite,
      threshold: options.rewriteMinIntervalMs,
      unit: 'ms',
      text: sinceText('rewrite', sinceRewrite, options.rewriteMinIntervalMs),
    })
    decision.gates.push(interval)
    // Not staged in the meantime either: a stage would hold this rewrite back even longer.
    if (isBlocking(interval)) return { kind: 'blocked', by: interval.name, admitted: true }
  }
  const floor = staleTriggerFloor(total, options)
  decision.gates.push(totalTriggerGate(total, options), ...churnGates(input))
  decision.gates.push(staleTriggerGate(segments, floor))
  if (urgent === null && floor <= 0) return { kind: 'nothing' }

  const holds = upToBlock(planGates(input))
  decision.gates.push(...holds)
  const hold = holds.find(isBlocking)
  if (hold !== undefined) return { kind: 'blocked', by: hold.name, admitted: true }
  return planAndAct(input, decision, { total, urgent, floor })
}

function planAndAct(
  input: PassInput,
  decision: Decision,
  facts: { total: number; urgent: Urgent; floor: number },
): Action {
  const { total, urgent, floor } = facts
  const action =
    (urgent === null ? null : planGeneric(input, total, urgent, decision)) ??
    (floor > 0 ? planSparse(input, floor, decision) : null) ??
    ({ kind: 'nothing' } as const)
  // A cancelled plan stamps nothing: the backoff is what holds the next one back.
  if (action.kind === 'blocked') return action
  const last = decision.plans.at(-1)
  if (last !== undefined) decision.gates.push(selectedGate(last.plan))
  decision.planHoldMs = planHold(decision, input.options)
  decision.ageBlock = ageBlockOf(decision.plans, input) ?? 'clear'
  if (action.kind !== 'nothing' && input.options.disableRewrite) {
    const off = flag('rewrite_enabled', false, 'Rewrites are switched off.')
    decision.gates.push(off)
    return { kind: 'blocked', by: off.name, admitted: true }
  }
  return action
}

function urgencyOf(input: PassInput, total: number): Urgent {
  const { options, times } = input
  if (options.triggerTotalBytes > 0 && total >= options.triggerTotalBytes) return 'total_bytes'
  const churn = times.churnBytesPerSecond
  const fast = options.triggerChurnBytesPerSec > 0 && churn !== null
  return fast && churn >= options.triggerChurnBytesPerSec ? 'churn' : null
}

function totalTriggerGate(total: number, options: MaintenanceOptions): Gate {
  if (options.triggerTotalBytes === 0) {
    return flag('trigger_total_bytes', false, 'The total-bytes trigger is off.')
  }
  const words = total >= options.triggerTotalBytes ? 'reaches' : 'is below'
  return atLeast({
    name: 'trigger_total_bytes',
    input: total,
    threshold: options.triggerTotalBytes,
    unit: 'bytes',
    text: `The log of ${bytesText(total)} ${words} the trigger of ${bytesText(options.triggerTotalBytes)}.`,
  })
}

/** Off by default, and then not worth a line. */
function churnGates(input: PassInput): Gate[] {
  const threshold = input.options.triggerChurnBytesPerSec
  if (threshold === 0) return []
  const churn = input.times.churnBytesPerSecond
  const text =
    churn === null
      ? 'Churn is known from the second look on.'
      : `The foreground writes ${bytesText(churn)} a second; the trigger is ${bytesText(threshold)}.`
  const gate = atLeast({ name: 'trigger_churn', input: churn, threshold, unit: 'bytes', text })
  return [churn === null ? { ...gate, verdict: 'block' } : gate]
}

/**
 * The ratio is per segment: one segment of mostly garbage is worth a rewrite whatever the average. A
 * plan is made below the trigger too, so that every segment has its verdict in the report.
 */
function staleTriggerGate(segments: readonly SegmentInfo[], floor: number): Gate {
  if (floor <= 0) return flag('trigger_stale_ratio', false, 'The stale-ratio trigger is off.')
  let best: SegmentInfo | null = null
  for (const segment of segments) {
    if (segment.state !== 'sealed' || segment.bytesLive <= 0) continue
    if (best === null || ratioOf(segment) > ratioOf(best)) best = segment
  }
  const gate = atLeast({
    name: 'trigger_stale_ratio',
    input: best === null ? null : ratioOf(best),
    threshold: floor,
    unit: 'ratio',
    text:
      best === null
        ? 'No sealed segment has live bytes.'
        : `The most stale sealed segment, ${segmentText(best.segmentId)}, has ${percentText(ratioOf(best))}; the floor is ${percentText(floor)}.`,
  })
  // Nothing to be stale is not stale enough.
  return best === null ? { ...gate, verdict: 'block' } : gate
}

/**
 * What holds a plan back. A retry that waited for age has waited enough, and a kick is bounded to one
 * segment anyway, so backoffs bind neither; under `queue_runner` they bind kicks too (scheduler.md 9).
 */
function planGates(input: PassInput): Gate[] {
  const { times, options, nowMs, source, budget } = input
  const retry = isAgeRetry(source)
  const bypassed = retry || (isHot(source) && options.policy !== 'queue_runner')
  const backoff = (
    name: 'plan_cancel_backoff' | 'ineffective_backoff',
    noun: string,
    at: { atMs: number | null; windowMs: number },
  ): Gate[] => {
    const sinceMs = since(at.atMs, nowMs)
    if (sinceMs === null) return []
    const text = sinceText(noun, sinceMs, at.windowMs)
    return [atLeast({ name, input: sinceMs, threshold: at.windowMs, unit: 'ms', bypassed, text })]
  }
  const sincePlan = since(times.lastPlanAtMs, nowMs)
  const gates = [
    ...backoff('plan_cancel_backoff', 'cancelled plan', {
      atMs: times.lastPlanCanceledAtMs,
      windowMs: options.planCancelBackoffMs,
    }),
    ...backoff('ineffective_backoff', 'rewrite that did not pay', {
      atMs: times.lastIneffectiveAtMs,
      windowMs: options.ineffectiveBackoffMs,
    }),
    // Between plans: what one second brings cannot change a plan's answer by much.
    atLeast({
      name: 'plan_min_interval',
      input: sincePlan,
      threshold: times.planHoldMs,
      unit: 'ms',
      bypassed: retry,
      text: sinceText('plan', sincePlan, times.planHoldMs),
    }),
  ]
  if (isEmpty(budget)) {
    const text = 'The write budget is empty: what a plan selects could not be rewritten.'
    gates.push(atLeast({ name: 'rewrite_budget', input: 0, threshold: 1, unit: 'bytes', text }))
  }
  return gates
}

export function selectedGate(plan: RewritePlan): Gate {
  return atLeast({
    name: 'plan_selected',
    input: plan.sourceSegmentIds.length,
    threshold: 1,
    unit: 'count',
    text: `The plan selected ${plan.sourceSegmentIds.length} of ${countText(plan.segmentsTotal, 'segment')}.`,
  })
}

/** Asks the planner; `blocked` when the plan was dropped before its end. */
function ask(
  input: PassInput,
  decision: Decision,
  made: { trigger: PlanMade['trigger']; minStaleRatio: number },
): RewritePlan | (Action & { kind: 'blocked' }) {
  const plan = input.plan(cappedFilters(input, made.minStaleRatio), made.trigger)
  if (plan === null) {
    const text = 'The plan was dropped before its end; nothing is decided from half of it.'
    const gate = flag('plan_completed', false, text)
    decision.gates.push(gate)
    return { kind: 'blocked', by: gate.name, admitted: true }
  }
  decision.plans.push({ trigger: made.trigger, plan })
  return plan
}

/** null when nothing is that stale: the sparse plan with its lower floor may still find something. */
function planGeneric(
  input: PassInput,
  total: number,
  reason: RewriteReason,
  decision: Decision,
): Action | null {
  const minStaleRatio = genericFloor(total, input.options)
  const plan = ask(input, decision, { trigger: 'pre_rewrite', minStaleRatio })
  if ('kind' in plan) return plan
  if (plan.sourceSegmentIds.length === 0) return null
  const { options, source } = input
  return {
    kind: 'rewrite',
    reason,
    debt: debtOfPlan(plan),
    fresh: true,
    minStaleRatio,
    restage: options.policy === 'a_plus_c' && options.restage === 'on' && isHot(source),
    maxSegments: 1,
    maxCopiedBytes: 0,
  }
}

/** Observed once is not enough: stale debt waits a confirm delay before it is executed. */
function planSparse(input: PassInput, minStaleRatio: number, decision: Decision): Action | null {
  const plan = ask(input, decision, { trigger: 'stale_ratio_trigger', minStaleRatio })
  if ('kind' in plan) return plan
  // Reached without a queue only: whatever was queued before has just been pruned.
  return plan.sourceSegmentIds.length === 0
    ? null
    : stageAction(input, NO_DEBT, plan, 'stale_ratio')
}

export function stageAction(
  input: PassInput,
  queued: RewriteDebt,
  plan: RewritePlan,
  reason: RewriteReason,
): Action {
  const { confirmDelayMs } = input.options
  const { minStaleRatio } = plan.filters
  const merged = mergeSources(queued, plan, segmentLookup(input.segments))
  return {
    kind: 'stage',
    debt: stage(merged, input.nowMs, { confirmDelayMs, minStaleRatio }),
    segmentIds: plan.sourceSegmentIds,
    minStaleRatio,
    reason,
  }
}

/** The filters of an automatic plan at this floor. */
export function filtersFor(minStaleRatio: number, options: MaintenanceOptions): PlanFilters {
  return {
    minStaleRatio,
    minStaleBytes: options.minSegmentStaleBytes,
    minStaleBytesCapRatio: 0,
    minAgeMs: options.minSegmentAgeMs,
    maxSegments: options.maxPlanSegments,
    maxLiveBytes: 0,
    maxCopiedBytes: 0,
    protectedIds: [],
    segmentIds: null,
  }
}

/** No more than the budget can pay for; a budget beyond the whole log caps nothing. */
function cappedFilters(input: PassInput, minStaleRatio: number): PlanFilters {
  const { budget, options, segments } = input
  const filters = filtersFor(minStaleRatio, options)
  if (budget === null || budget.tokensBytes >= totalBytes(segments)) return filters
  return { ...filters, maxLiveBytes: budget.tokensBytes }
}

/** A plan that only age emptied is worth repeating the moment the first candidate is old enough. */
function planHold(decision: Decision, options: MaintenanceOptions): number | null {
  const last = decision.plans.at(-1)
  if (last === undefined) return null
  if (last.plan.sourceSegmentIds.length > 0) return options.rewriteMinIntervalMs
  const waits = decision.plans.map(({ plan }) => waitingForAge(plan).minRemainingMs ?? Infinity)
  return Math.min(options.rewriteMinIntervalMs, ...waits)
}

/** null unless age alone kept the plans empty. */
function ageBlockOf(plans: readonly PlanMade[], input: PassInput): AgeBlock | null {
  const last = plans.at(-1)
  if (last === undefined || last.plan.sourceSegmentIds.length > 0) return null
  for (const { trigger, plan } of plans.toReversed()) {
    const { count, bytesStale, minRemainingMs } = waitingForAge(plan)
    if (count === 0 || minRemainingMs === null || minRemainingMs <= 0) continue
    return {
      trigger,
      segments: count,
      staleBytes: bytesStale,
      minAgeMs: plan.filters.minAgeMs,
      untilMs: input.nowMs + minRemainingMs,
    }
  }
  return null
}
