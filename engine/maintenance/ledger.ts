/**
 * Pure operations on rewrite debt: each takes a debt and returns a new one, never changing its
 * input, so that a debt can be saved before it becomes the truth in memory. Ids decide, never
 * positions or counts: cutting the ledger by count loses entries when it and the queue disagree (D4).
 *
 * Kept by every operation: the queue has no id twice; the ledger is empty ("queue-only", legal
 * everywhere, M4) or holds exactly the queued ids; a debt without a queue has no stage.
 */
import { assert } from '../assert.ts'
import type {
  LedgerEntry,
  RewriteDebt,
  RewritePlan,
  SegmentId,
  SegmentInfo,
  Stage,
} from '../types.ts'

export const NO_DEBT: RewriteDebt = Object.freeze({ queue: [], ledger: [], stage: null })

/** What an operation removed; `dropped` in queue order, empty when nothing was. */
export interface Pruned {
  debt: RewriteDebt
  dropped: SegmentId[]
}

type PlannedSources = Pick<RewritePlan, 'selected' | 'sourceSegmentIds'>

export type SegmentLookup = ReadonlyMap<SegmentId, SegmentInfo>

export function segmentLookup(segments: readonly SegmentInfo[]): SegmentLookup {
  return new Map(segments.map((segment) => [segment.segmentId, segment]))
}

export function isQueueOnly(debt: RewriteDebt): boolean {
  return debt.queue.length > 0 && debt.ledger.length === 0
}

/** Economics of a segment now, in the shape the ledger keeps. */
export function entryOf(segment: SegmentInfo): LedgerEntry {
  const { segmentId, bytesTotal, bytesLive, bytesStale } = segment
  return { segmentId, bytesTotal, bytesLive, bytesStale, staleRatio: ratioOf(segment) }
}

/** 0 for an empty segment. */
export function ratioOf(segment: { bytesTotal: number; bytesStale: number }): number {
  return segment.bytesTotal > 0 ? segment.bytesStale / segment.bytesTotal : 0
}

/** Debt that may be executed at once, in the order of the plan. */
export function debtOf(entries: readonly LedgerEntry[]): RewriteDebt {
  return checked({ queue: entries.map((e) => e.segmentId), ledger: [...entries], stage: null })
}

/** Debt of ids without economics; twice-named ids count once. */
export function queueOnlyDebt(ids: readonly SegmentId[]): RewriteDebt {
  return { queue: [...new Set(ids)], ledger: [], stage: null }
}

/**
 * Adds planned entries in front of what is queued; an id that is planned again takes its new place
 * and its new economics. Queued ids without any economics are measured now, so that one ledger
 * covers all of the queue; ids that no segment has are left out (they have nothing to rewrite).
 */
export function mergePlan(
  debt: RewriteDebt,
  planned: readonly LedgerEntry[],
  lookup: SegmentLookup,
): RewriteDebt {
  const fresh = new Set(planned.map((e) => e.segmentId))
  const known = new Map(debt.ledger.map((e) => [e.segmentId, e]))
  const entries = [...planned]
  for (const id of debt.queue) {
    if (fresh.has(id)) continue
    const segment = lookup.get(id)
    const entry = known.get(id) ?? (segment === undefined ? undefined : entryOf(segment))
    if (entry !== undefined) entries.push(entry)
  }
  return { ...debtOf(entries), stage: entries.length > 0 ? debt.stage : null }
}

/** The queue of a plan: with its ledger, or without one when the plan has no economics (B15). */
export function debtOfPlan(plan: PlannedSources): RewriteDebt {
  return plan.selected.length > 0 ? debtOf(plan.selected) : queueOnlyDebt(plan.sourceSegmentIds)
}

/** As mergePlan; a plan without economics makes the whole queue one without (B15). */
export function mergeSources(
  debt: RewriteDebt,
  plan: PlannedSources,
  lookup: SegmentLookup,
): RewriteDebt {
  if (plan.selected.length > 0) return mergePlan(debt, plan.selected, lookup)
  return { ...queueOnlyDebt([...plan.sourceSegmentIds, ...debt.queue]), stage: debt.stage }
}

/** Removes ids whatever their position; ids that are not queued change nothing. The stage stays while a queue does. */
export function consume(debt: RewriteDebt, ids: readonly SegmentId[]): RewriteDebt {
  const gone = new Set(ids)
  return checked({
    queue: debt.queue.filter((id) => !gone.has(id)),
    ledger: debt.ledger.filter((entry) => !gone.has(entry.segmentId)),
    stage: debt.stage,
  })
}

/** Drops ids that cannot be rewritten any more: no such segment, or a zombie (B16). For any length (M6, D12). */
export function pruneMissing(debt: RewriteDebt, lookup: SegmentLookup): Pruned {
  return prune(debt, (id) => {
    const segment = lookup.get(id)
    return segment !== undefined && segment.state !== 'zombie'
  })
}

/** Drops what has no live bytes: deleting it is GC's work. */
export function pruneDead(debt: RewriteDebt, lookup: SegmentLookup): Pruned {
  return prune(debt, (id) => (lookup.get(id)?.bytesLive ?? 0) > 0)
}

/** The same queue with its ledger's bytes as they are now; queue-only debt has no ledger to bring up. */
export function refreshed(debt: RewriteDebt, lookup: SegmentLookup): RewriteDebt {
  if (debt.ledger.length === 0) return debt
  const ledger = debt.ledger.map((entry) => {
    const segment = lookup.get(entry.segmentId)
    return segment === undefined ? entry : entryOf(segment)
  })
  return { ...debt, ledger }
}

/**
 * Drops what is not worth a rewrite by its bytes now: fully dead segments are GC's work, and a ratio
 * below the floor or too few stale bytes would copy more than it frees. The stage is not a side
 * effect of pruning (D9): it stays as long as anything is queued.
 */
export function pruneQuality(
  debt: RewriteDebt,
  lookup: SegmentLookup,
  floor: { minStaleRatio: number; minStaleBytes: number },
): Pruned {
  return prune(debt, (id) => {
    const segment = lookup.get(id)
    if (segment === undefined || segment.bytesLive <= 0) return false
    return segment.bytesStale >= floor.minStaleBytes && ratioOf(segment) >= floor.minStaleRatio
  })
}

/**
 * The queued segment to rewrite next: by what it would free now when the debt has a ledger (stale
 * ratio, stale bytes, size, then id), by queue order when it is queue-only. null when none is left
 * in the set with live bytes.
 */
export function nextToRun(debt: RewriteDebt, lookup: SegmentLookup): SegmentInfo | null {
  let best: SegmentInfo | null = null
  for (const id of debt.queue) {
    const segment = lookup.get(id)
    if (segment === undefined || segment.state === 'zombie' || segment.bytesLive <= 0) continue
    if (debt.ledger.length === 0) return segment
    if (best === null || compareForRun(segment, best) < 0) best = segment
  }
  return best
}

/** Upstream's chunk order (scheduler.md 2.4): most freed per copied byte first. */
function compareForRun(a: SegmentInfo, b: SegmentInfo): number {
  return (
    ratioOf(b) - ratioOf(a) ||
    b.bytesStale - a.bytesStale ||
    b.bytesTotal - a.bytesTotal ||
    a.segmentId - b.segmentId
  )
}

/**
 * Puts the queue behind a confirm delay that starts at `observedAtMs`. Also for queue-only debt, whose
 * tail would otherwise stay open to every checkpoint kick (F4). An empty queue has no stage.
 */
export function stage(
  debt: RewriteDebt,
  observedAtMs: number,
  policy: { confirmDelayMs: number; minStaleRatio: number | null },
): RewriteDebt {
  if (debt.queue.length === 0) return NO_DEBT
  const { confirmDelayMs, minStaleRatio } = policy
  return { ...debt, stage: { observedAtMs, dueAtMs: observedAtMs + confirmDelayMs, minStaleRatio } }
}

/** Moves the observation to `nowMs`, never back, so that a confirm that could not run cannot spin (F6, D1). */
export function postpone(debt: RewriteDebt, nowMs: number, confirmDelayMs: number): RewriteDebt {
  if (debt.stage === null) return debt
  const observedAtMs = Math.max(nowMs, debt.stage.observedAtMs)
  return { ...debt, stage: { ...debt.stage, observedAtMs, dueAtMs: observedAtMs + confirmDelayMs } }
}

/** An observation in the future would never come due within its delay: it counts as made now (F9). */
export function clampStage(found: Stage, nowMs: number, confirmDelayMs: number): Stage {
  const observedAtMs = Math.min(found.observedAtMs, nowMs)
  return { ...found, observedAtMs, dueAtMs: observedAtMs + confirmDelayMs }
}

/** The queue may be executed at once. */
export function clearStage(debt: RewriteDebt): RewriteDebt {
  return { ...debt, stage: null }
}

/** Same economics entry by entry; both ledgers are of the same queue. */
export function sameLedger(a: RewriteDebt, b: RewriteDebt): boolean {
  return a.ledger.every((entry, index) => {
    const other = b.ledger[index]
    return other?.bytesTotal === entry.bytesTotal && other.bytesLive === entry.bytesLive
  })
}

function prune(debt: RewriteDebt, keep: (id: SegmentId) => boolean): Pruned {
  const dropped = debt.queue.filter((id) => !keep(id))
  return { debt: dropped.length === 0 ? debt : consume(debt, dropped), dropped }
}

function checked(debt: RewriteDebt): RewriteDebt {
  if (debt.queue.length === 0) return NO_DEBT
  assert(new Set(debt.queue).size === debt.queue.length, 'a segment is queued twice')
  if (debt.ledger.length > 0) {
    const queued = new Set(debt.queue)
    const covered = debt.ledger.every((entry) => queued.has(entry.segmentId))
    assert(covered && debt.ledger.length === debt.queue.length, 'ledger and queue disagree')
  }
  return debt
}
