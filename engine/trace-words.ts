/**
 * The words with which a trace line's event begins: ours, and those that only upstream's builds print. The path
 * in front of them may hold blanks and words, so what ends it must be a word that is known.
 */
import type { EngineEventType } from './types.ts'

/** Complete, because the compiler asks for each. */
const OURS: Record<EngineEventType, true> = {
  store_opened: true,
  state_file_ignored: true,
  checkpoint_done: true,
  maintenance_retry_collision: true,
  maintenance_skip: true,
  maintenance_phase_change: true,
  maintenance_active_acquire: true,
  maintenance_active_release: true,
  checkpoint_kick_skip: true,
  checkpoint_kick_start: true,
  checkpoint_kick_done: true,
  rewrite_queue_missing_prune: true,
  rewrite_queue_quality_prune: true,
  rewrite_plan: true,
  rewrite_plan_staged: true,
  rewrite_stage_confirm_due: true,
  rewrite_stage_confirm_use_persisted: true,
  rewrite_stage_cleared: true,
  rewrite_skip: true,
  rewrite_start: true,
  rewrite_exec: true,
  rewrite_done: true,
  rewrite_err: true,
  rewrite_queue_restage: true,
  rewrite_queue_restaged: true,
  gc_run: true,
  gc_skip: true,
  retained_prune: true,
  maintenance_failed: true,
  recording_stopped: true,
  recording_resumed: true,
  foreground_latency: true,
  segment_created: true,
  segment_sealed: true,
  segment_zombie: true,
  segment_kept: true,
  segment_deleted: true,
  segment_bytes: true,
  debt_changed: true,
  scheduler_changed: true,
  counters_changed: true,
  pin_opened: true,
  pin_released: true,
  pass_done: true,
  maintenance_retry_start: true,
  maintenance_retry_attempt: true,
  maintenance_retry_done: true,
  maintenance_retry_deadline: true,
  rewrite_queue_prune: true,
  rewrite_queue_refresh: true,
  rewrite_queue_refresh_prune: true,
  rewrite_plan_canceled: true,
  rewrite_plan_failed: true,
  rewrite_plan_age_blocked: true,
  rewrite_age_blocked_retry_due: true,
  rewrite_effective_local: true,
  rewrite_ineffective: true,
  rewrite_ineffective_penalty: true,
  rewrite_retained_cleanup_done: true,
  rewrite_source_state: true,
  rewrite_queue_followup_suppressed: true,
  gc_err: true,
  vacuum_run: true,
  vacuum_skip: true,
  pass_stopped: true,
  pass_resumed: true,
  options_changed: true,
  penalties_changed: true,
}

/** scheduler.md 4 and operators.md 8.1: of some build, and not of ours. */
const UPSTREAM_ONLY = [
  'gc_after_rewrite_done',
  'gc_after_rewrite_err',
  'gc_maintenance_err',
  'gc_observed_retry',
  'gc_observed_retry_result',
  'periodic_skip',
  'rewrite_chunk_queue_quality_prune',
  'rewrite_queue_refresh_stage_keep',
  'rewrite_retained_cleanup_scan_err',
  'rewrite_retained_prune',
  'rewrite_source_state_scan_err',
]

const PLAN_WORDS =
  '(?:stale_ratio_trigger|pre_rewrite|dry_run|manual)(?: age_blocked)?|staged|stage_confirm_due|age_blocked_retry_due'

const EVENT = new RegExp(
  `(?:rewrite_(?:chunk_)?plan (?:${PLAN_WORDS})|gc_run (?:start|err|done)|${[...Object.keys(OURS), ...UPSTREAM_ONLY].join('|')})(?= [a-z][a-z0-9_.]*=|$)`,
  'y',
)

/** Where the words of a known event that begins at `at` end, before a field or the end of the line; null: none does. */
export function endOfEvent(line: string, at: number): number | null {
  EVENT.lastIndex = at
  return EVENT.test(line) ? EVENT.lastIndex : null
}
