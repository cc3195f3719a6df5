/**
 * What a pass will do, and why: a pure function of debt, segments, foreground, times and options.
 * `pass.ts` executes the answer. The order is fixed, and the gates come out in the order met:
 *
 * 1. Admission: slot, loop, first checkpoint, kick gates, stage, age, runner, quiet. Nothing is
 *    planned for a source that is not admitted (M5, F7).
 * 2. Queue: drop missing and no longer worthwhile segments by their bytes now; execute one.
 * 3. No queue: plan by trigger. A big log is rewritten at once, stale segments are staged first.
 * 4. GC of what is dead already, on kicks, confirms and every n-th tick.
 */
import type { Gate, RewriteDebt, RewriteReason, SegmentInfo } from '../types.ts'
import { admissionGates } from './admission.ts'
import { accrue, isEmpty } from './budget.ts'
import { decideFresh, selectedGate, stageAction } from './decide-fresh.ts'
import { decideGc, gcGates, vacuumGates } from './decide-gc.ts'
import type { Action, Decision, PrunePlan, QueueRewrite } from './decision.ts'
import { queuedFloor, totalBytes } from './floors.ts'
import { atLeast, flag, isBlocking, upToBlock } from './gates.ts'
import {
  isQueueOnly,
  pruneDead,
  pruneMissing,
  pruneQuality,
  ratioOf,
  refreshed,
  sameLedger,
  segmentLookup,
  type Pruned,
  type SegmentLookup,
} from './ledger.ts'
import {
  isConfirm,
  isHot,
  isQueueRun,
  since,
  sinceText,
  type ManualRequest,
  type PassInput,
} from './pass-input.ts'
import { liftPenalties } from './penalties.ts'
import { bytesText, countText, percentText, segmentText } from './text.ts'

export { filtersFor } from './decide-fresh.ts'
export type { Action, Decision, PlanMade, PrunePlan, QueueRewrite } from './decision.ts'

/** Decides a pass. Cost: O(segments), and O(n log n) when it plans. Never changes its input. */
export function decidePass(input: PassInput): Decision {
  const gates = upToBlock(admissionGates(input))
  const decision: Decision = {
    gates,
    churn: null,
    lifted: null,
    prunes: [],
    confirm: null,
    plans: [],
    planHoldMs: null,
    ageBlock: null,
    action: { kind: 'nothing' },
    gc: false,
  }
  const block = gates.find(isBlocking)
  if (block !== undefined) {
    decision.action = { kind: 'blocked', by: block.name, admitted: false }
    return decision
  }
  const admitted = settle(input, decision)
  if (admitted.request !== null) {
    decideManual(admitted, admitted.request, decision)
    return decision
  }
  decision.action = decideQueued(admitted, decision) ?? decideFresh(admitted, decision)
  if (decision.action.kind !== 'rewrite') decideGc(admitted, decision)
  return decision
}

/** What time alone has changed: the input as of now, and what the pass must remember of it. */
function settle(input: PassInput, decision: Decision): PassInput {
  const { nowMs, options, foreground, churnSample } = input
  const segments = segmentLookup(input.segments)
  const lifted = liftPenalties(input.penalties, { nowMs, segments }, options)
  if (lifted.kept.length < input.penalties.length) decision.lifted = lifted
  const sample = { atMs: nowMs, bytesPut: foreground.bytesPut }
  const elapsedMs = churnSample === null ? 0 : nowMs - churnSample.atMs
  const bytesPerSecond =
    churnSample === null || elapsedMs <= 0
      ? input.times.churnBytesPerSecond
      : ((sample.bytesPut - churnSample.bytesPut) * 1000) / elapsedMs
  decision.churn = { sample, bytesPerSecond }
  return {
    ...input,
    penalties: lifted.kept,
    budget: input.budget === null ? null : accrue(input.budget, nowMs),
    times: { ...input.times, churnBytesPerSecond: bytesPerSecond },
  }
}

// ---------------------------------------------------------------- queued debt

/** null: nothing is queued (any more) and the source may look for new debt. */
function decideQueued(input: PassInput, decision: Decision): Action | null {
  const { source } = input
  const lookup = segmentLookup(input.segments)
  const confirming = isConfirm(source)
  if (confirming) decision.confirm = confirmFacts(input)
  if (input.debt.queue.length === 0) return null

  const debt = pruneQueue(input, lookup, decision)
  if (debt.queue.length === 0) {
    if (confirming) return { kind: 'clear_stage' }
    // The runner runs what is queued; looking for more is the others' work.
    return isQueueRun(source) ? { kind: 'nothing' } : null
  }
  const gates = upToBlock(queueGates(input))
  decision.gates.push(...gates)
  const block = gates.find(isBlocking)
  if (block !== undefined) return { kind: 'blocked', by: block.name, admitted: true }
  const unmeasured = isQueueOnly(debt) && input.queuedMinStaleRatio === null
  const minStaleRatio = unmeasured ? null : floorOf(input, debt)
  return queueRewrite(input, 'rewrite_resume', { debt, fresh: false, minStaleRatio })
}

function confirmFacts(input: PassInput): Decision['confirm'] {
  const { debt, nowMs } = input
  if (debt.stage === null) return null
  const observedAgeMs = nowMs - debt.stage.observedAtMs
  return { observedAgeMs, queued: debt.queue.length, ledger: debt.ledger.length }
}

/** Kicks and confirms may retry at once what was cancelled: they are bounded to one segment. */
function queueGates(input: PassInput): Gate[] {
  const { source, options, times, nowMs } = input
  const sinceCancel = since(times.lastRewriteCanceledAtMs, nowMs)
  const sinceRewrite = since(times.lastRewriteAtMs, nowMs)
  const gates = [rewriteSwitch(options.disableRewrite)]
  if (sinceCancel !== null) {
    gates.push(
      atLeast({
        name: 'rewrite_cancel_backoff',
        input: sinceCancel,
        threshold: options.rewriteCancelBackoffMs,
        unit: 'ms',
        bypassed: isHot(source) && !isQueueRun(source),
        text: sinceText('cancelled rewrite', sinceCancel, options.rewriteCancelBackoffMs),
      }),
    )
  }
  gates.push(
    atLeast({
      name: 'rewrite_min_interval',
      input: sinceRewrite,
      threshold: options.resumeMinIntervalMs,
      unit: 'ms',
      bypassed: isHot(source),
      text: sinceText('rewrite', sinceRewrite, options.resumeMinIntervalMs),
    }),
  )
  return [...gates, ...budgetGates(input)]
}

function rewriteSwitch(off: boolean): Gate {
  return flag('rewrite_enabled', !off, `Rewrites are switched ${off ? 'off' : 'on'}.`)
}

/** Empty means wait; without a budget there is nothing to say. */
function budgetGates(input: PassInput): Gate[] {
  const { budget } = input
  if (budget === null) return []
  const left = bytesText(budget.tokensBytes)
  return [
    atLeast({
      name: 'rewrite_budget',
      input: budget.tokensBytes,
      threshold: 1,
      unit: 'bytes',
      text: isEmpty(budget)
        ? `The write budget is empty; it grows by ${bytesText(budget.bytesPerSecond)} a second.`
        : `${left} of the write budget are left.`,
    }),
  ]
}

/** Periodic passes drain and leave the rest executable (F8); hot ones put it back behind the delay (M2). */
function queueRewrite(
  input: PassInput,
  reason: RewriteReason,
  from: Pick<QueueRewrite, 'debt' | 'fresh' | 'minStaleRatio'>,
): QueueRewrite {
  const { options, source, budget } = input
  const restage = options.policy === 'a_plus_c' && options.restage === 'on' && isHot(source)
  const drains = isQueueRun(source)
  return {
    kind: 'rewrite',
    reason,
    ...from,
    restage,
    maxSegments: drains ? Math.min(from.debt.queue.length, options.debtDrainMaxSegments) : 1,
    maxCopiedBytes: drains ? (budget?.tokensBytes ?? 0) : 0,
  }
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
  drop(decision, { kind: 'missing', ...missing, minStaleRatio: 0, queued: queue.length })
  if (missing.debt.queue.length === 0) return missing.debt

  const { options } = input
  const floor = {
    minStaleRatio: floorOf(input, missing.debt),
    minStaleBytes: options.minSegmentStaleBytes,
  }
  const quality = pruneQuality(missing.debt, lookup, floor)
  decision.gates.push(qualityGate(missing.debt, quality, floor.minStaleRatio, lookup))
  const queued = missing.debt.queue.length
  if (refreshes(input, missing.debt)) {
    const debt = refreshed(quality.debt, lookup)
    const kind = 'refresh' as const
    if (quality.dropped.length === 0 && sameLedger(debt, missing.debt)) return missing.debt
    decision.prunes.push({ kind, ...quality, debt, minStaleRatio: floor.minStaleRatio, queued })
    return debt
  }
  // What is dead is GC's work and no fault of its ratio.
  const dead = pruneDead(missing.debt, lookup)
  drop(decision, { kind: 'dead', ...dead, minStaleRatio: 0, queued })
  const poor = pruneQuality(dead.debt, lookup, floor)
  const { minStaleRatio } = floor
  drop(decision, { kind: 'quality', ...poor, minStaleRatio, queued: dead.debt.queue.length })
  return poor.debt
}

function drop(decision: Decision, prune: PrunePlan): void {
  if (prune.dropped.length > 0) decision.prunes.push(prune)
}

/**
 * The narrow refresh: the ledger's bytes are brought up to now on cool paths only, that is by a quiet
 * periodic pass over several queued segments after a rewrite has changed them (scheduler.md 3.6). Hot
 * passes run from the ledger as it was saved.
 */
function refreshes(input: PassInput, debt: RewriteDebt): boolean {
  return (
    input.source === 'periodic' &&
    debt.stage === null &&
    debt.ledger.length > 1 &&
    input.times.lastRewriteAtMs !== null
  )
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

// ---------------------------------------------------------------- asked for

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
          ? { kind: 'rewrite_ids', segmentIds: present, options: request.options ?? {} }
          : { kind: 'blocked', by: 'missing_segments', admitted: true }
      return
    }
    case 'stage': {
      const plan = input.plan(request.filters, 'manual')
      if (plan === null) return
      decision.plans.push({ trigger: 'manual', plan })
      decision.planHoldMs = input.options.rewriteMinIntervalMs
      decision.gates.push(selectedGate(plan))
      if (plan.sourceSegmentIds.length > 0) {
        decision.action = stageAction(input, input.debt, plan, 'manual')
      }
      return
    }
    case 'gc':
      decision.gates.push(...gcGates(input, true))
      decision.action = { kind: 'gc', observed: request.observed }
      return
    case 'vacuum':
      decision.gates.push(...vacuumGates(input, 0, true))
      decision.action = { kind: 'vacuum' }
  }
}
