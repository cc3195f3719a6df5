/**
 * Everything a decision depends on, as data: with the same input a pass decides the same, whenever
 * and wherever it is asked. Types, and the few readings that all deciding files share.
 */
import type {
  Gate,
  MaintenanceOptions,
  PassSource,
  PlanFilters,
  RewriteDebt,
  RewriteFacts,
  RewriteOptions,
  RewritePenalty,
  RewritePlan,
  SchedulerInfo,
  SchedulerMode,
  SegmentId,
  SegmentInfo,
} from '../types.ts'
import type { Bucket } from './budget.ts'
import type { ForegroundActivity } from './host.ts'
import { durationText } from './text.ts'

/** What earlier passes left behind; null = never in this opening. */
export type PassTimes = Pick<
  SchedulerInfo,
  | 'lastRewriteAtMs'
  | 'lastPlanAtMs'
  | 'lastGcAtMs'
  | 'lastCheckpointKickAtMs'
  | 'lastPlanCanceledAtMs'
  | 'lastRewriteCanceledAtMs'
  | 'lastIneffectiveAtMs'
  | 'lastVacuumAtMs'
  | 'ageBlockedUntilMs'
  | 'queueCooldownUntilMs'
  | 'churnBytesPerSecond'
> & {
  /** How long after lastPlanAtMs the next plan of its own may be made. */
  planHoldMs: number
}

export interface ChurnSample {
  atMs: number
  bytesPut: number
}

/** What a person asked for. */
export type ManualRequest =
  | { kind: 'rewrite'; segmentIds: SegmentId[]; options?: Partial<RewriteOptions> }
  | { kind: 'stage'; filters: PlanFilters }
  | { kind: 'gc'; observed: SegmentId[] }
  | { kind: 'vacuum' }

export interface PassInput {
  source: PassSource
  /** Only and always with source 'manual'. */
  request: ManualRequest | null
  /** Woken by a timer or a kick, not asked for. */
  automatic: boolean
  /** This periodic pass may run GC; kicks and confirms always may. */
  gcTick: boolean
  nowMs: number
  paused: boolean
  mode: SchedulerMode
  debt: RewriteDebt
  /** Floor that queued the debt; null = unknown. */
  queuedMinStaleRatio: number | null
  /** Those that hold now; a plan leaves their segments out. */
  penalties: readonly RewritePenalty[]
  /** As accrued up to now; null = no budget. */
  budget: Bucket | null
  /** A kick, or a due retry, waits for the slot. */
  checkpointKickPending: boolean
  deferredPending: boolean
  /** All, ascending by id. */
  segments: readonly SegmentInfo[]
  foreground: ForegroundActivity
  times: PassTimes
  /** Foreground bytes when the last pass looked; null before the first. */
  churnSample: ChurnSample | null
  options: MaintenanceOptions
  /** Gates the checkpoint kick has passed already; empty for a pass asked for directly. */
  kickGates: readonly Gate[]
  /**
   * The planner over `segments` at `nowMs`; a parameter so that passes can time it and tests can count it.
   * null: it was cancelled, or took too long.
   */
  plan: (filters: PlanFilters, trigger: PlanTrigger) => RewritePlan | null
}

/** What a pass plans for. */
export type PlanTrigger = 'stale_ratio_trigger' | 'pre_rewrite' | 'manual'

/** Sources whose work happens while the foreground is busy (M2): every one but `periodic`. */
export function isHot(source: PassSource): boolean {
  return source !== 'periodic' && source !== 'manual'
}

export function isKick(source: PassSource): boolean {
  return source === 'checkpoint_kick' || source === 'checkpoint_pending'
}

export function isConfirm(source: PassSource): boolean {
  return source === 'rewrite_stage_confirm' || source === 'rewrite_stage_confirm_exit'
}

export function isAgeRetry(source: PassSource): boolean {
  return source === 'rewrite_age_blocked' || source === 'rewrite_age_blocked_exit'
}

export function isQueueRun(source: PassSource): boolean {
  return source === 'rewrite_queue_pending'
}

/** null = never. A time in the future counts as now: the clock was set back between two openings. */
export function since(atMs: number | null, nowMs: number): number | null {
  return atMs === null ? null : Math.max(0, nowMs - atMs)
}

/** One sentence of a gate that waits since something. */
export function sinceText(noun: string, sinceMs: number | null, thresholdMs: number): string {
  if (sinceMs === null) return `No ${noun} yet.`
  return `The last ${noun} was ${durationText(sinceMs)} ago; ${durationText(thresholdMs)} must pass.`
}

/** Long enough since `atMs`, or never. */
export function hasPassed(atMs: number | null, windowMs: number, nowMs: number): boolean {
  const sinceMs = since(atMs, nowMs)
  return sinceMs === null || sinceMs >= windowMs
}

export function isQuiet(input: Pick<PassInput, 'foreground' | 'options' | 'nowMs'>): boolean {
  const { foreground, options, nowMs } = input
  return (
    hasPassed(foreground.lastWriteAtMs, options.quietWriteWindowMs, nowMs) &&
    hasPassed(foreground.lastReadAtMs, options.quietReadWindowMs, nowMs) &&
    foreground.openIterators === 0
  )
}

/** What upstream prints beside a rewrite that starts or is skipped. */
export function factsOf(input: PassInput): RewriteFacts {
  const { options, times, nowMs, segments, debt } = input
  let bytesTotal = 0
  let bytesStale = 0
  for (const segment of segments) {
    if (segment.state === 'zombie') continue
    bytesTotal += segment.bytesTotal
    bytesStale += segment.bytesStale
  }
  const interval =
    debt.queue.length > 0 ? options.resumeMinIntervalMs : options.rewriteMinIntervalMs
  return {
    quiet: isQuiet(input),
    runGc: isHot(input.source) || input.gcTick,
    bypassQuiet: input.source !== 'periodic',
    planBackoff: !hasPassed(times.lastPlanCanceledAtMs, options.planCancelBackoffMs, nowMs),
    cancelBackoff: !hasPassed(times.lastRewriteCanceledAtMs, options.rewriteCancelBackoffMs, nowMs),
    ineffectiveBackoff: !hasPassed(times.lastIneffectiveAtMs, options.ineffectiveBackoffMs, nowMs),
    minIntervalBlocked: !hasPassed(times.lastRewriteAtMs, interval, nowMs),
    bytesTotal,
    staleRatio: bytesTotal > 0 ? bytesStale / bytesTotal : 0,
    churnBytesPerSecond: times.churnBytesPerSecond,
    checkpoints: input.foreground.checkpoints,
    disableJournal: !input.foreground.journaled,
  }
}
