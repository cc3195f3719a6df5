/**
 * What a pass will do, and why: a pure function of debt, segments, foreground, times and options.
 * `pass.ts` executes the answer. The order is fixed, and the gates come out in the order met:
 *
 * 1. Admission: slot, loop, first checkpoint, kick gates, stage, quiet. Nothing is planned for a
 *    source that is not admitted (M5, F7).
 * 2. Queue: drop missing and no longer worthwhile segments by their bytes now; execute one.
 * 3. No queue: plan by trigger. A big log is rewritten at once, stale segments are staged first.
 * 4. GC of what is dead already, on kicks, confirms and every n-th tick.
 */
import type {
  Gate,
  GateName,
  MaintenanceOptions,
  PlanFilters,
  RewriteDebt,
  RewritePlan,
  RewriteReason,
  SegmentId,
  SegmentInfo,
} from '../types.ts'
import { admissionGates } from './admission.ts'
import { genericFloor, queuedFloor, staleTriggerFloor, totalBytes } from './floors.ts'
import { atLeast, flag, isBlocking, upToBlock } from './gates.ts'
import {
  debtOf,
  isQueueOnly,
  mergePlan,
  NO_DEBT,
  pruneMissing,
  pruneQuality,
  ratioOf,
  segmentLookup,
  stage,
  type Pruned,
  type SegmentLookup,
} from './ledger.ts'
import { isHot, since, sinceText, type ManualRequest, type PassInput } from './pass-input.ts'
import { waitingForAge } from './planner.ts'
import { bytesText, countText, percentText, segmentText } from './text.ts'

/** Ids to drop from the queue, and the debt that is left: saved before anything else is done. */
export interface PrunePlan extends Pruned {
  kind: 'missing' | 'quality'
  /** Floor of a quality prune; 0 for missing ones. */
  minStaleRatio: number
}

/** A plan and what asked for it; reported even when it selected nothing. */
export interface PlanMade {
  trigger: 'stale_ratio_trigger' | 'pre_rewrite' | 'manual'
  plan: RewritePlan
}

/** What the pass is for. Exactly one a pass; prunes before it and GC after it come on top. */
export type Action =
  /** A gate keeps the pass from doing more. `admitted` false: it never came to look at the debt. */
  | { kind: 'blocked'; by: GateName; admitted: boolean }
  | { kind: 'nothing' }
  /** The staged debt has nothing left that is worth a rewrite. */
  | { kind: 'clear_stage' }
  | { kind: 'stage'; debt: RewriteDebt; segmentIds: SegmentId[]; minStaleRatio: number }
  | QueueRewrite
  | { kind: 'rewrite_ids'; segmentIds: SegmentId[] }
  | { kind: 'gc' }

/** One queued segment is executed; the pass picks it by its bytes at that moment. */
export interface QueueRewrite {
  kind: 'rewrite'
  reason: RewriteReason
  /** The queue to execute from; `fresh` = it must be saved first. */
  debt: RewriteDebt
  fresh: boolean
  /** true: the rest is staged again afterwards, with this floor. */
  restage: boolean
  minStaleRatio: number | null
}

/** The whole answer: executing it needs no further choice but which queued segment is still there. */
export interface Decision {
  gates: Gate[]
  prunes: PrunePlan[]
  /** Set when a due stage is being confirmed. */
  confirm: { observedAgeMs: number; queued: number; ledger: number } | null
  plans: PlanMade[]
  /** How long the next plan must wait; null when nothing was planned. */
  planHoldMs: number | null
  action: Action
  /** Reclaim dead segments on their own. A rewrite reclaims by itself. */
  gc: boolean
}

/** Decides a pass. Cost: O(segments), and O(n log n) when it plans. Never changes its input. */
export function decidePass(input: PassInput): Decision {
  const gates = upToBlock(admissionGates(input))
  const decision: Decision = {
    gates,
    prunes: [],
    confirm: null,
    plans: [],
    planHoldMs: null,
    action: { kind: 'nothing' },
    gc: false,
  }
  const block = gates.find(isBlocking)
  if (block !== undefined) {
    decision.action = { kind: 'blocked', by: block.name, admitted: false }
    return decision
  }
  if (input.request !== null) {
    decideManual(input, input.request, decision)
    return decision
  }
  decision.action = decideQueued(input, decision) ?? decideFresh(input, decision)
  if (decision.action.kind !== 'rewrite') decideGc(input, decision)
  return decision
}

// ---------------------------------------------------------------- queued debt

/** null: nothing is queued (any more) and the source may look for new debt. */
function decideQueued(input: PassInput, decision: Decision): Action | null {
  const { source, options } = input
  const lookup = segmentLookup(input.segments)
  const confirming = source === 'rewrite_stage_confirm'
  if (confirming) decision.confirm = confirmFacts(input)
  if (input.debt.queue.length === 0) return null

  const debt = pruneQueue(input, lookup, decision)
  if (debt.queue.length === 0) return confirming ? { kind: 'clear_stage' } : null

  const sinceRewrite = since(input.times.lastRewriteAtMs, input.nowMs)
  const interval = atLeast({
    name: 'rewrite_min_interval',
    input: sinceRewrite,
    threshold: options.resumeMinIntervalMs,
    unit: 'ms',
    bypassed: isHot(source),
    text: sinceText('rewrite', sinceRewrite, options.resumeMinIntervalMs),
  })
  decision.gates.push(interval)
  if (isBlocking(interval)) return { kind: 'blocked', by: interval.name, admitted: true }
  const unmeasured = isQueueOnly(debt) && input.queuedMinStaleRatio === null
  return queueRewrite(input, 'rewrite_resume', {
    debt,
    fresh: false,
    minStaleRatio: unmeasured ? null : floorOf(input, debt),
  })
}

function confirmFacts(input: PassInput): Decision['confirm'] {
  const { debt, nowMs } = input
  if (debt.stage === null) return null
  const observedAgeMs = nowMs - debt.stage.observedAtMs
  return { observedAgeMs, queued: debt.queue.length, ledger: debt.ledger.length }
}

/** Periodic passes drain and leave the rest executable (F8); hot ones put it back behind the delay (M2). */
function queueRewrite(
  input: PassInput,
  reason: RewriteReason,
  from: Pick<QueueRewrite, 'debt' | 'fresh' | 'minStaleRatio'>,
): QueueRewrite {
  const restage = input.options.restage === 'on' && isHot(input.source)
  return { kind: 'rewrite', reason, ...from, restage }
}

/**
 * Checks the queue against the segments as they are now. Exact live bytes are at hand, so no planner
 * has to be asked, for one entry as for many (F13, D12).
 */
function pruneQueue(input: PassInput, lookup: SegmentLookup, decision: Decision): RewriteDebt {
  const missing = pruneMissing(input.debt, lookup)
  const { queue } = input.debt
  decision.gates.push(
    flag(
      'missing_segments',
      missing.debt.queue.length > 0,
      missing.dropped.length === 0
        ? `All of ${countText(queue.length, 'queued segment')} exist.`
        : `${missing.dropped.length} of ${countText(queue.length, 'queued segment')} exist no more.`,
    ),
  )
  if (missing.dropped.length > 0) {
    decision.prunes.push({ kind: 'missing', ...missing, minStaleRatio: 0 })
  }
  if (missing.debt.queue.length === 0) return missing.debt

  const { options } = input
  const floor = {
    minStaleRatio: floorOf(input, missing.debt),
    minStaleBytes: options.minSegmentStaleBytes,
  }
  const quality = pruneQuality(missing.debt, lookup, floor)
  decision.gates.push(qualityGate(missing.debt, quality, floor.minStaleRatio, lookup))
  if (quality.dropped.length > 0) {
    decision.prunes.push({ kind: 'quality', ...quality, minStaleRatio: floor.minStaleRatio })
  }
  return quality.debt
}

/** Worked out anew each time: the store may have grown past the efficacy size since. */
function floorOf(input: PassInput, debt: RewriteDebt): number {
  const { queuedMinStaleRatio, segments, options } = input
  return queuedFloor(debt, queuedMinStaleRatio, totalBytes(segments), options)
}

/** Looks at the best that is kept, or at the best that was dropped when nothing is. */
function qualityGate(
  before: RewriteDebt,
  after: Pruned,
  minStaleRatio: number,
  lookup: SegmentLookup,
): Gate {
  const kept = after.debt.queue.length
  let best: SegmentInfo | null = null
  for (const id of kept > 0 ? after.debt.queue : before.queue) {
    const segment = lookup.get(id)
    // A dead segment has ratio 1 and is still no work for a rewrite.
    if (segment === undefined || segment.bytesLive <= 0) continue
    if (best === null || ratioOf(segment) > ratioOf(best)) best = segment
  }
  const of = `${kept} of ${countText(before.queue.length, 'queued segment')}`
  if (best === null || (kept === 0 && ratioOf(best) >= minStaleRatio)) {
    const text = `${of} are worth a rewrite: the others are dead or have too few stale bytes.`
    return atLeast({ name: 'queue_quality', input: kept, threshold: 1, unit: 'count', text })
  }
  const stale = percentText(ratioOf(best))
  return atLeast({
    name: 'queue_quality',
    input: ratioOf(best),
    threshold: minStaleRatio,
    unit: 'ratio',
    text: `${of} reach the floor of ${percentText(minStaleRatio)} stale; the best, ${segmentText(best.segmentId)}, has ${stale}.`,
  })
}

// ---------------------------------------------------------------- fresh plans

/** Reached when nothing is queued. Kicks obey the intervals here too: a plan is not urgent. */
function decideFresh(input: PassInput, decision: Decision): Action {
  const { options, times, nowMs, segments } = input
  const total = totalBytes(segments)
  const big = options.triggerTotalBytes > 0 && total >= options.triggerTotalBytes
  if (big) {
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
  decision.gates.push(totalTriggerGate(total, big, options))
  const floor = staleTriggerFloor(total, options)
  decision.gates.push(staleTriggerGate(segments, floor))
  if (!big && floor <= 0) return { kind: 'nothing' }

  const hold = planGate(input)
  decision.gates.push(hold)
  if (isBlocking(hold)) return { kind: 'blocked', by: hold.name, admitted: true }
  const action =
    (big ? planGeneric(input, total, decision) : null) ??
    (floor > 0 ? planSparse(input, floor, decision) : null) ??
    ({ kind: 'nothing' } as const)
  const last = decision.plans.at(-1)
  if (last !== undefined) decision.gates.push(selectedGate(last.plan))
  decision.planHoldMs = planHold(decision, options)
  return action
}

function totalTriggerGate(total: number, big: boolean, options: MaintenanceOptions): Gate {
  if (options.triggerTotalBytes === 0) {
    return flag('trigger_total_bytes', false, 'The total-bytes trigger is off.')
  }
  const words = big ? 'reaches' : 'is below'
  return atLeast({
    name: 'trigger_total_bytes',
    input: total,
    threshold: options.triggerTotalBytes,
    unit: 'bytes',
    text: `The log of ${bytesText(total)} ${words} the trigger of ${bytesText(options.triggerTotalBytes)}.`,
  })
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
  return atLeast({
    name: 'trigger_stale_ratio',
    input: best === null ? null : ratioOf(best),
    threshold: floor,
    unit: 'ratio',
    text:
      best === null
        ? 'No sealed segment has live bytes.'
        : `The most stale sealed segment, ${segmentText(best.segmentId)}, has ${percentText(ratioOf(best))}; the floor is ${percentText(floor)}.`,
  })
}

/** Between plans: what one second brings cannot change a plan's answer by much. */
function planGate(input: PassInput): Gate {
  const { times } = input
  const sincePlan = since(times.lastPlanAtMs, input.nowMs)
  return atLeast({
    name: 'plan_min_interval',
    input: sincePlan,
    threshold: times.planHoldMs,
    unit: 'ms',
    text: sinceText('plan', sincePlan, times.planHoldMs),
  })
}

function selectedGate(plan: RewritePlan): Gate {
  return atLeast({
    name: 'plan_selected',
    input: plan.selected.length,
    threshold: 1,
    unit: 'count',
    text: `The plan selected ${plan.selected.length} of ${countText(plan.segmentsTotal, 'segment')}.`,
  })
}

/** null when nothing is that stale: the sparse plan with its lower floor may still find something. */
function planGeneric(input: PassInput, total: number, decision: Decision): Action | null {
  const minStaleRatio = genericFloor(total, input.options)
  const plan = input.plan(filtersFor(minStaleRatio, input.options))
  decision.plans.push({ trigger: 'pre_rewrite', plan })
  if (plan.selected.length === 0) return null
  const debt = debtOf(plan.selected)
  return queueRewrite(input, 'total_bytes', { debt, fresh: true, minStaleRatio })
}

/** Observed once is not enough: stale debt waits a confirm delay before it is executed. */
function planSparse(input: PassInput, minStaleRatio: number, decision: Decision): Action | null {
  const plan = input.plan(filtersFor(minStaleRatio, input.options))
  decision.plans.push({ trigger: 'stale_ratio_trigger', plan })
  // Reached without a queue only: whatever was queued before has just been pruned.
  return plan.selected.length === 0 ? null : stageAction(input, NO_DEBT, plan)
}

function stageAction(input: PassInput, queued: RewriteDebt, plan: RewritePlan): Action {
  const { confirmDelayMs } = input.options
  const { minStaleRatio } = plan.filters
  const merged = mergePlan(queued, plan.selected, segmentLookup(input.segments))
  return {
    kind: 'stage',
    debt: stage(merged, input.nowMs, { confirmDelayMs, minStaleRatio }),
    segmentIds: plan.selected.map((entry) => entry.segmentId),
    minStaleRatio,
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

/** A plan that only age emptied is worth repeating the moment the first candidate is old enough. */
function planHold(decision: Decision, options: MaintenanceOptions): number | null {
  const last = decision.plans.at(-1)
  if (last === undefined) return null
  if (last.plan.selected.length > 0) return options.rewriteMinIntervalMs
  const waits = decision.plans.map(({ plan }) => waitingForAge(plan).minRemainingMs ?? Infinity)
  return Math.min(options.rewriteMinIntervalMs, ...waits)
}

// ---------------------------------------------------------------- GC and manual passes

function decideGc(input: PassInput, decision: Decision): void {
  if (!isHot(input.source) && !input.gcTick) return
  const gates = upToBlock(gcGates(input, false))
  decision.gates.push(...gates)
  decision.gc = !gates.some(isBlocking)
}

/** The interval holds back what one kick after another would repeat; the bytes, what would not pay. */
function gcGates(input: PassInput, bypassed: boolean): Gate[] {
  const { options } = input
  const sinceGc = since(input.times.lastGcAtMs, input.nowMs)
  const dead = reclaimableBytes(input.segments)
  return [
    atLeast({
      name: 'gc_min_interval',
      input: sinceGc,
      threshold: options.gcMinIntervalMs,
      unit: 'ms',
      bypassed,
      text: sinceText('GC', sinceGc, options.gcMinIntervalMs),
    }),
    atLeast({
      name: 'gc_eligible',
      input: dead,
      // With a minimum of 0, an empty GC would still run at every chance.
      threshold: Math.max(1, options.gcMinBytes),
      unit: 'bytes',
      bypassed,
      text: `${bytesText(dead)} in dead segments that nothing holds; the minimum is ${bytesText(options.gcMinBytes)}.`,
    }),
  ]
}

/** Dead bytes that a GC run could free: pins and writers hold some, old roots and the journal do not. */
function reclaimableBytes(segments: readonly SegmentInfo[]): number {
  let bytes = 0
  for (const segment of segments) {
    if (segment.bytesLive > 0 || segment.state === 'active') continue
    const held = segment.keptBy.some(
      ({ kind }) =>
        kind === 'snapshot' ||
        kind === 'iterator' ||
        kind === 'active_writer' ||
        kind === 'rewriting',
    )
    if (!held) bytes += segment.bytesTotal
  }
  return bytes
}

/** A person's request has no triggers and no intervals: it was asked for, so it is answered. */
function decideManual(input: PassInput, request: ManualRequest, decision: Decision): void {
  switch (request.kind) {
    case 'rewrite': {
      const lookup = segmentLookup(input.segments)
      const asked = [...new Set(request.segmentIds)]
      const present = asked.filter((id) => {
        const segment = lookup.get(id)
        return segment !== undefined && segment.state !== 'zombie'
      })
      const text = `${present.length} of ${countText(asked.length, 'named segment')} exist and can be rewritten.`
      decision.gates.push(flag('missing_segments', present.length > 0, text))
      decision.action =
        present.length > 0
          ? { kind: 'rewrite_ids', segmentIds: present }
          : { kind: 'blocked', by: 'missing_segments', admitted: true }
      return
    }
    case 'stage': {
      const plan = input.plan(request.filters)
      decision.plans.push({ trigger: 'manual', plan })
      decision.planHoldMs = input.options.rewriteMinIntervalMs
      decision.gates.push(selectedGate(plan))
      if (plan.selected.length > 0) {
        decision.action = stageAction(input, input.debt, plan)
      }
      return
    }
    case 'gc':
      decision.gates.push(...gcGates(input, true))
      decision.action = { kind: 'gc' }
  }
}
