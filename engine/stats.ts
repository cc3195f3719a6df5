/**
 * Upstream's statistics (scheduler.md 5, the later ones too): its key names, values as strings, from
 * the engine's own state and counters. Milliseconds have 3 decimals, ratios 6, times are nanoseconds of
 * the epoch. What is not known is absent, never 0 (M10); a key that can never have a value here stands
 * in ABSENT_STATS with the reason.
 *
 * Upstream's temperatures are who wrote a segment: hot = the foreground, warm = a rewrite. Both count
 * real live and stale bytes, where upstream prints what it retains as live and 0 as stale.
 */
import { isKick } from './maintenance/pass-input.ts'
import { STAT_FORMS, type StatForm } from './stat-keys.ts'
import type {
  Counters,
  EngineGauges,
  EngineState,
  MaintenanceOptions,
  SegmentInfo,
} from './types.ts'

export { STAT_FORMS, type StatForm }

export interface StatsInput {
  state: EngineState
  gauges: EngineGauges
  options: MaintenanceOptions
  /** Where a segment is full; null = not known. */
  segmentBytes: number | null
}

const GENERATION = 'treedb.cache.vlog_generation.'
const RETAINED_PRUNE = 'treedb.cache.vlog_retained_prune.'

type Value = string | number | boolean | null

function collector(): {
  stats: Record<string, string>
  add: (prefix: string, values: Record<string, Value>) => void
} {
  const stats: Record<string, string> = {}
  const add = (prefix: string, values: Record<string, Value>): void => {
    for (const [key, value] of Object.entries(values)) {
      if (value !== null) stats[prefix + key] = String(value)
    }
  }
  return { stats, add }
}

/** Keys in upstream's order. */
export function statsOf(input: StatsInput): Record<string, string> {
  const { stats, add } = collector()
  add(GENERATION, schedulerStats(input))
  add(GENERATION, configured(input))
  add(GENERATION, segmentStats(input.state))
  add(GENERATION, planAndQueue(input))
  add(GENERATION, debtStats(input.state, input.gauges.nowMs))
  add(GENERATION, ageBlocked(input))
  add(GENERATION, rewriteStats(input))
  add(GENERATION, lastRewrite(input))
  add(GENERATION, cleaningStats(input))
  add('treedb.', retainedStats(input.state))
  add(RETAINED_PRUNE, pruneStats(input.gauges))
  add('treedb.', foregroundStats(input))
  add('treedb.vlog.', readStats(input.gauges))
  return stats
}

/**
 * The part that a folder says of itself when it is only read: segments, queue, ledger, stage and
 * penalties. What a writer counts while it runs is not on disk, and so not here; neither are live
 * bytes that are not known.
 */
export function folderStatsOf(
  state: EngineState,
  nowMs: number,
  { liveBytesKnown = true }: { liveBytesKnown?: boolean } = {},
): Record<string, string> {
  const { stats, add } = collector()
  add(GENERATION, segmentStats(state))
  add(GENERATION, { 'rewrite.queue_len': state.debt.queue.length, 'rewrite.queue_loaded': true })
  add(GENERATION, debtStats(state, nowMs))
  add('treedb.', retainedStats(state))
  if (liveBytesKnown) return stats
  return Object.fromEntries(Object.entries(stats).filter(([key]) => !needsLiveBytes(key)))
}

/** Live bytes of segments as they are now; those of the ledger were written down when it was made. */
function needsLiveBytes(key: string): boolean {
  return /\.bytes\.(live|stale)\.|\.queue_live_hint\.bytes$/.test(key)
}

/** Why each key without a value has none; with `stats` it has every key of upstream, once. */
export function absentStatsOf(
  stats: Readonly<Record<string, string>>,
  source: 'engine' | 'folder',
  /** Why live bytes are not known; null when they are. */
  liveBytesUnknown: string | null = null,
): Record<string, string> {
  const absent: Record<string, string> = {}
  for (const [key, form] of STAT_FORMS) {
    if (stats[key] !== undefined) continue
    absent[key] =
      liveBytesUnknown !== null && needsLiveBytes(key)
        ? liveBytesUnknown
        : reasonOf(key.replace(GENERATION, ''), form, source)
  }
  return { ...absent, ...ABSENT_STATS }
}

function reasonOf(key: string, form: StatForm, source: 'engine' | 'folder'): string {
  if (/\.(hot|warm)$/.test(key)) return 'Of some segments it is not known who wrote them.'
  if (key === 'rewrite.ledger_stale_ratio_ppm') return 'The ledger is empty.'
  if (key === 'rewrite.queue_live_hint.coverage_pct') return 'The queue is empty.'
  if (key === 'rewrite.stage_observed_unix_nano') return 'Nothing is staged.'
  if (source === 'folder') return 'Only the process that writes the folder counts this.'
  if (/^rewrite_budget\.tokens|per_segment_budget/.test(key)) return 'No write budget is set.'
  if (form === 'ratio' || /avg_ms$|per_sec$/.test(key)) return 'There is nothing to divide by yet.'
  return 'It has not happened since the store was opened.'
}

/** Keys of upstream that this engine has nothing for, each with the reason. A `*` stands for a family. */
export const ABSENT_STATS: Readonly<Record<string, string>> = {
  [`${GENERATION}cold.segment_target_bytes`]:
    'Segments are written by the foreground or a rewrite; there is no third kind.',
  [`${GENERATION}bytes.live.cold`]: 'There is no third kind of segment.',
  [`${GENERATION}bytes.stale.cold`]: 'There is no third kind of segment.',
  [`${GENERATION}bytes.total.cold`]: 'There is no third kind of segment.',
  [`${GENERATION}segments.cold`]: 'There is no third kind of segment.',
  [`${GENERATION}rewrite_budget.records_per_sec`]: 'The budget of rewrites is in bytes only.',
  [`${GENERATION}observed_gc.*`]:
    'Sources are judged and deleted in the pass that rewrote them; none is replayed later.',
  [`${GENERATION}leaf_pack.last_skip_reason`]:
    'Leaf pages are written to the index only; they are never packed.',
  [`${GENERATION}leaf.segment_target_bytes`]: 'Leaf pages are written to the index only.',
  [`${RETAINED_PRUNE}{last_mode,last_force}`]:
    'There is one way to prune: the end of a reader deletes what it was the last to keep.',
  [`${RETAINED_PRUNE}{full_live_id_scan_runs,observed_source_fast_path_runs,foreground_abort_runs,budget_abort_runs}`]:
    'A prune scans nothing, so there is no scan to shorten or to abort.',
  [`${RETAINED_PRUNE}{last_scan,scan,membership}.*`]: 'A prune scans nothing.',
  [`${RETAINED_PRUNE}zombie_marked_segments`]: 'A prune deletes what GC has marked; it marks none.',
  'treedb.cache.checkpoint.cutover_*_ms':
    'A checkpoint has no cutover: writers go on while it merges.',
  'treedb.vlog.mmap_{remaps,dead_mappings,current_writable_map_target_bytes}':
    'No file is mapped: every record is read by position.',
  'treedb.vlog.mmap_read.miss_dead_mapping_cap': 'No file is mapped: there is no cap to meet.',
  'treedb.vlog.template_def_cache.*': 'Templates are named, not read.',
  'treedb.cache.wal_*_estimate': 'The journal is counted exactly, as journalBytes of the gauges.',
}

const ms = (value: number): string => value.toFixed(3)

/** null without a denominator: a ratio of nothing is not 0. */
function ratio(part: number, of: number): string | null {
  return of > 0 ? (part / of).toFixed(6) : null
}

function average(totalMs: number, runs: number): string | null {
  return runs > 0 ? ms(totalMs / runs) : null
}

function perSecond(bytes: number, elapsedMs: number): string | null {
  return elapsedMs > 0 ? (bytes / (elapsedMs / 1000)).toFixed(3) : null
}

/** Exact: nanoseconds of today exceed 2^53. */
function nanos(atMs: number | null): string | null {
  return atMs === null ? null : String(BigInt(Math.round(atMs * 1000)) * 1000n)
}

function schedulerStats({ state, gauges, options }: StatsInput): Record<string, Value> {
  const { scheduler, counters } = state
  const isEnabled = !(options.disableRewrite && options.disableGc)
  return {
    // Upstream's numbers: 1 = off, 2 = hot_warm_cold.
    policy: isEnabled ? 2 : 1,
    enabled: isEnabled,
    scheduler_state: scheduler.state,
    scheduler_last_reason: scheduler.lastReason,
    maintenance_phase: scheduler.phase,
    'maintenance.active': scheduler.activePass !== null,
    'maintenance.attempts': attempts(counters, gauges),
    'maintenance.acquired': counters.passes,
    'maintenance.collisions': counters.passCollisions,
    'maintenance.pass.total_ms': ms(counters.passElapsedMs),
    'maintenance.pass.max_ms': ms(counters.passElapsedMaxMs),
    'maintenance.pass.avg_ms': average(counters.passElapsedMs, counters.passes),
    'maintenance.skip.stage_gate_not_due': counters.passSkipsStageNotDue,
    'maintenance.skip.stage_gate_due_reserved': counters.passSkipsStageDueReserved,
    'maintenance.skip.maintenance_phase': counters.passSkipsPhase,
    'maintenance.skip.pause_file': counters.passSkipsPauseFile,
    'maintenance.pause_file.configured': scheduler.pauseFile !== null,
    'maintenance.pause_file.paused': scheduler.pauseFile?.present ?? false,
    'checkpoint_kick.active': scheduler.activePass !== null && isKick(scheduler.activePass.source),
    'checkpoint_kick.pending': scheduler.checkpointKickPending,
    'checkpoint_kick.last_unix_nano': nanos(scheduler.lastCheckpointKickAtMs),
    'checkpoint_kick.runs': counters.checkpointKicks,
    'checkpoint_kick.rewrite_runs': counters.checkpointKickRewriteRuns,
    'checkpoint_kick.gc_runs': counters.checkpointKickGcRuns,
    churn_bytes_total: gauges.bytesPut,
    churn_bytes_per_sec: scheduler.churnBytesPerSecond,
  }
}

/** Whatever wanted the slot, also what upstream's scheduler finds out only when it has it; null = not known. */
function attempts(counters: Counters, { passesNotMade }: EngineGauges): number | null {
  if (passesNotMade === undefined) return null
  const { passes, passCollisions, passSkipsPhase, passSkipsPauseFile } = counters
  return passes + passCollisions + passSkipsPhase + passSkipsPauseFile + passesNotMade
}

function configured({ state, options, segmentBytes }: StatsInput): Record<string, Value> {
  const { budget } = state.scheduler
  return {
    'hot.segment_target_bytes': segmentBytes,
    'warm.segment_target_bytes': segmentBytes,
    'rewrite_budget.bytes_per_sec': options.rewriteBudgetBytesPerSec,
    'rewrite_budget.tokens_bytes': budget?.tokensBytes ?? null,
    'rewrite_budget.tokens_cap_bytes': budget?.capBytes ?? null,
    'rewrite_budget.tokens_utilization_pct':
      budget === null || budget.capBytes <= 0
        ? null
        : ((100 * budget.tokensBytes) / budget.capBytes).toFixed(6),
    'rewrite_budget.consumed_bytes_total': state.counters.budgetConsumedBytes,
    'rewrite_trigger.stale_ratio_ppm': Math.round(options.triggerStaleRatio * 1e6),
    'rewrite_trigger.total_bytes': options.triggerTotalBytes,
    'rewrite_trigger.churn_per_sec': options.triggerChurnBytesPerSec,
    'rewrite.ineffective_backoff_seconds': options.ineffectiveBackoffMs / 1000,
    'rewrite.queue_run_segment_cap.per_segment_budget_bytes': budget === null ? null : segmentBytes,
  }
}

/** Who wrote a segment is known of all of them or told of none: the kinds have to add up. */
function segmentStats(state: EngineState): Record<string, Value> {
  const isTold = state.segments.every((s) => s.origin !== 'unknown')
  const of: Record<string, readonly SegmentInfo[]> = {
    total: state.segments,
    hot: state.segments.filter((s) => s.origin === 'foreground'),
    warm: state.segments.filter((s) => s.origin === 'rewrite'),
  }
  const values: Record<string, Value> = {}
  for (const [key, field] of [
    ['live', 'bytesLive'],
    ['stale', 'bytesStale'],
    ['total', 'bytesTotal'],
  ] as const) {
    for (const [kind, segments] of Object.entries(of)) {
      values[`bytes.${key}.${kind}`] = segments.reduce((sum, s) => sum + s[field], 0)
    }
  }
  for (const [kind, segments] of Object.entries(of)) values[`segments.${kind}`] = segments.length
  if (isTold) return values
  return Object.fromEntries(Object.entries(values).filter(([key]) => key.endsWith('.total')))
}

function planAndQueue({ state }: StatsInput): Record<string, Value> {
  const { scheduler, counters, debt } = state
  return {
    'rewrite.queue_len': debt.queue.length,
    // At open, for any length (M6).
    'rewrite.queue_loaded': true,
    'rewrite.plan_runs': counters.planRuns,
    'rewrite.plan_canceled': counters.planCanceled,
    'rewrite.plan_canceled_last_unix_nano': nanos(scheduler.lastPlanCanceledAtMs),
    'rewrite.plan_errors': counters.planErrors,
    'rewrite.plan_empty': counters.planEmpty,
    'rewrite.plan_selected': counters.planSelected,
    'rewrite.plan_selected_segments_total': counters.planSelectedSegments,
    'rewrite.plan_last_unix_nano': nanos(scheduler.lastPlanAtMs),
    'rewrite.plan.total_ms': ms(counters.planElapsedMs),
    'rewrite.plan.avg_ms': average(counters.planElapsedMs, counters.planRuns),
    'rewrite.queue_prune_runs': counters.queuePruneRuns,
    'rewrite.queue_prune_ids': counters.queuePrunedIds,
  }
}

/** Of the debt as it is: ledger as planned, live bytes of the queue as they are now. */
function debtStats(state: EngineState, nowMs: number): Record<string, Value> {
  const { debt } = state
  const sum = (field: 'bytesTotal' | 'bytesLive' | 'bytesStale'): number =>
    debt.ledger.reduce((total, entry) => total + entry[field], 0)
  const bytesTotal = sum('bytesTotal')
  const queued = new Set(debt.queue)
  const known = state.segments.filter((s) => queued.has(s.segmentId))
  return {
    'rewrite.ledger_segments': debt.ledger.length,
    'rewrite.ledger_bytes_total': bytesTotal,
    'rewrite.ledger_bytes_live': sum('bytesLive'),
    'rewrite.ledger_bytes_stale': sum('bytesStale'),
    'rewrite.ledger_stale_ratio_ppm':
      bytesTotal > 0 ? Math.round((sum('bytesStale') / bytesTotal) * 1e6) : null,
    'rewrite.stage_pending': debt.stage !== null,
    'rewrite.stage_observed_unix_nano': nanos(debt.stage?.observedAtMs ?? null),
    'rewrite.penalties_active': state.penalties.filter((p) => p.cooldownUntilMs > nowMs).length,
    'rewrite.queue_live_hint.known': known.length === queued.size,
    'rewrite.queue_live_hint.ids_present': queued.size,
    'rewrite.queue_live_hint.ids_known': known.length,
    'rewrite.queue_live_hint.coverage_pct':
      queued.size === 0 ? null : ((100 * known.length) / queued.size).toFixed(6),
    'rewrite.queue_live_hint.bytes': known.reduce((bytes, s) => bytes + s.bytesLive, 0),
  }
}

/** 0 = nothing waits for its age. */
function ageBlocked({ state, gauges }: StatsInput): Record<string, Value> {
  const { ageBlockedUntilMs } = state.scheduler
  const remainingMs = ageBlockedUntilMs === null ? 0 : ageBlockedUntilMs - gauges.nowMs
  return { 'rewrite.age_blocked_remaining_ms': ms(Math.max(0, remainingMs)) }
}

function rewriteStats({ state, gauges }: StatsInput): Record<string, Value> {
  const { scheduler, counters: c } = state
  return {
    'rewrite.runs': c.rewriteRuns,
    'rewrite.bytes_in': c.rewriteBytesIn,
    'rewrite.bytes_out': c.rewriteBytesWritten,
    'rewrite.reclaimed_bytes': c.rewriteReclaimedBytes,
    'rewrite.canceled_runs': c.rewriteCanceledRuns,
    'rewrite.canceled_last_unix_nano': nanos(scheduler.lastRewriteCanceledAtMs),
    'rewrite.ineffective_runs': c.rewriteIneffectiveRuns,
    'rewrite.ineffective_bytes_in': c.rewriteIneffectiveBytesIn,
    'rewrite.ineffective_bytes_out': c.rewriteIneffectiveBytesOut,
    'rewrite.ineffective_last_unix_nano': nanos(scheduler.lastIneffectiveAtMs),
    'rewrite.no_reclaim_runs': c.rewriteNoReclaimRuns,
    'rewrite.no_reclaim_stale_bytes': c.rewriteNoReclaimStaleBytes,
    'rewrite.last_unix_nano': nanos(scheduler.lastRewriteAtMs),
    'rewrite.processed_live_bytes': c.rewriteProcessedLiveBytes,
    'rewrite.processed_stale_bytes': c.rewriteProcessedStaleBytes,
    'rewrite.reclaim_ratio': ratio(c.rewriteReclaimedBytes, c.rewriteProcessedStaleBytes),
    'rewrite.output_ratio': ratio(c.rewriteBytesWritten, c.rewriteBytesIn),
    'rewrite.processed_stale_ratio': ratio(
      c.rewriteProcessedStaleBytes,
      c.rewriteProcessedStaleBytes + c.rewriteProcessedLiveBytes,
    ),
    'rewrite.exec.total_ms': ms(c.rewriteElapsedMs),
    'rewrite.exec.avg_ms': average(c.rewriteElapsedMs, c.rewriteRuns),
    'rewrite.exec.source_segments_total': c.rewriteSourceSegments,
    'rewrite.exec.source_segments_requested_total': c.rewriteSourceSegments,
    'rewrite.exec.source_segments_still_referenced_total': c.rewriteSourceSegmentsStillReferenced,
    'rewrite.exec.source_segments_unreferenced_total': c.rewriteSourceSegmentsUnreferenced,
    'rewrite.exec.source_bytes_requested_total': c.rewriteSourceBytes,
    'rewrite.exec.source_bytes_still_referenced_total': c.rewriteSourceBytesStillReferenced,
    'rewrite.exec.source_bytes_unreferenced_total': c.rewriteSourceBytesUnreferenced,
    'rewrite.exec.bytes_in_per_sec': perSecond(c.rewriteBytesIn, c.rewriteElapsedMs),
    'rewrite.exec.bytes_out_per_sec': perSecond(c.rewriteBytesWritten, c.rewriteElapsedMs),
    'rewrite.exec.reclaimed_bytes_per_sec': perSecond(c.rewriteReclaimedBytes, c.rewriteElapsedMs),
    'rewrite.exec.reclaimed_vs_churn_ratio': ratio(c.rewriteReclaimedBytes, gauges.bytesPut),
    'remap.successes': c.rewriteRecordsCopied,
    'remap.failures': c.rewriteFailedRuns,
  }
}

function lastRewrite({ state }: StatsInput): Record<string, Value> {
  const last = state.scheduler.lastRewrite
  if (last === null) return {}
  return {
    'rewrite.exec.source_segments_requested_last': last.sourceSegments,
    'rewrite.exec.source_segments_still_referenced_last': last.sourceSegmentsStillReferenced,
    'rewrite.exec.source_segments_unreferenced_last': last.sourceSegmentsUnreferenced,
    'rewrite.exec.source_bytes_requested_last': last.sourceBytes,
    'rewrite.exec.source_bytes_still_referenced_last': last.sourceBytesStillReferenced,
    'rewrite.exec.source_bytes_unreferenced_last': last.sourceBytesUnreferenced,
    'rewrite.exec.last_live_bytes': last.liveBytes,
    'rewrite.exec.last_bytes_out': last.bytesWritten,
    'rewrite.exec.last_duration_ms': ms(last.elapsedMs),
    'rewrite.exec.last_unix_nano': nanos(last.atMs),
  }
}

function cleaningStats({ state }: StatsInput): Record<string, Value> {
  const { scheduler, counters } = state
  const dryRun = scheduler.lastGcDryRun
  return {
    'gc.deleted_segments': counters.gcDeletedSegments,
    'gc.deleted_bytes': counters.gcDeletedBytes,
    'gc.runs': counters.gcRuns,
    'gc.last_unix_nano': nanos(scheduler.lastGcAtMs),
    'gc.exec.total_ms': ms(counters.gcElapsedMs),
    'gc.exec.avg_ms': average(counters.gcElapsedMs, counters.gcRuns),
    'gc.dry_run.last_unix_nano': nanos(dryRun?.atMs ?? null),
    'gc.dry_run.last_eligible_bytes': dryRun?.eligibleBytes ?? null,
    'gc.dry_run.last_eligible_segments': dryRun?.eligibleSegments ?? null,
    'vacuum.runs': counters.vacuumRuns,
    'vacuum.failures': counters.vacuumFailures,
    'vacuum.last_unix_nano': nanos(scheduler.lastVacuumAtMs),
    'vacuum.exec.total_ms': ms(counters.vacuumElapsedMs),
    'vacuum.exec.avg_ms': average(counters.vacuumElapsedMs, counters.vacuumRuns),
  }
}

/** Upstream's fallback, reading by position, is the only way here. */
function readStats({ valueLog: reads }: EngineGauges): Record<string, Value> {
  if (reads === undefined) return {}
  return {
    'mmap_read.fallback_readat': reads.records,
    'grouped_frame_cache.hits': reads.frameHits,
    'grouped_frame_cache.misses': reads.frameMisses,
    'grouped_frame_cache.entries': reads.framesCached,
    'grouped_frame_cache.bytes': reads.frameBytesCached,
  }
}

/** Retained: closed for writing and still on disk, dead or not. */
function retainedStats(state: EngineState): Record<string, Value> {
  const retained = state.segments.filter((s) => s.state !== 'active')
  const bytes = retained.reduce((sum, s) => sum + s.bytesTotal, 0)
  return {
    'cache.vlog_retained_segments': retained.length,
    'cache.vlog_retained_bytes_estimate': bytes,
    'process.memory.vlog_retained_bytes_estimate': bytes,
  }
}

/** Of prunes in this opening; one follows the end of each reader. */
function pruneStats({ retainedPrune: prunes }: EngineGauges): Record<string, Value> {
  if (prunes === undefined) return {}
  return {
    last_status: prunes.lastStatus,
    no_candidate_runs: prunes.noCandidateRuns,
    completed_runs: prunes.completedRuns,
    close_abort_runs: prunes.closeAbortRuns,
    removed_segments: prunes.removedSegments,
  }
}

function foregroundStats({ state, gauges }: StatsInput): Record<string, Value> {
  return {
    'cache.queue_backlog_bytes': gauges.memtableBytes,
    'cache.auto_checkpoint.count': state.counters.checkpoints,
    'cache.auto_checkpoint.last_reason': state.checkpoint.reason ?? null,
    'cache.auto_checkpoint.last_duration_ms':
      state.checkpoint.elapsedMs === null ? null : ms(state.checkpoint.elapsedMs),
  }
}
