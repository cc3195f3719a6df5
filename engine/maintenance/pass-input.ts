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
  RewritePlan,
  SchedulerMode,
  SegmentId,
  SegmentInfo,
} from '../types.ts'
import type { ForegroundActivity } from './host.ts'
import { durationText } from './text.ts'

/** Times of earlier passes; null = never in this opening. */
export interface PassTimes {
  lastRewriteAtMs: number | null
  lastPlanAtMs: number | null
  /** How long after lastPlanAtMs the next plan of its own may be made. */
  planHoldMs: number
  lastGcAtMs: number | null
  lastCheckpointKickAtMs: number | null
}

/** What a person asked for. */
export type ManualRequest =
  | { kind: 'rewrite'; segmentIds: SegmentId[] }
  | { kind: 'stage'; filters: PlanFilters }
  | { kind: 'gc' }

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
  /** All, ascending by id. */
  segments: readonly SegmentInfo[]
  foreground: ForegroundActivity
  times: PassTimes
  options: MaintenanceOptions
  /** Gates the checkpoint kick has passed already; empty for a pass asked for directly. */
  kickGates: readonly Gate[]
  /** The planner over `segments` at `nowMs`; a parameter so that passes can time it and tests can count it. */
  plan: (filters: PlanFilters) => RewritePlan
}

/** Sources whose work happens while the foreground is busy (M2). */
export function isHot(source: PassSource): boolean {
  return source === 'checkpoint_kick' || source === 'rewrite_stage_confirm'
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
