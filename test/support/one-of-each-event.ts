/** One event of each type, with words that its line for people must contain. */
import type { EngineEventBody, EngineEventType, RewriteFacts } from '../../server/protocol.ts'
import { rewriteReportOf } from './rewrite-report.ts'
import { NOW, makePass, makeSegment, options, segmentId } from '../web/fixtures.ts'
import { makeGcReport } from './gc-report.ts'
import { vacuumReportOf } from './vacuum-report.ts'

const one = segmentId(3)
export const gcReport = makeGcReport({
  segmentsTotal: 3,
  segmentsReferenced: 1,
  segmentsActive: 1,
  eligible: [one],
  bytesEligible: 2048,
  deleted: [one],
  bytesDeleted: 2048,
  elapsedMs: 1,
})
const waiters = { checkpointPending: true, deferredPending: false }
const slot = { ...waiters, slotTaken: true }
const rewriteReport = rewriteReportOf({
  sourceSegmentsRequested: [one],
  outputSegments: [segmentId(9)],
  recordsCopied: 4,
  keysVisited: 60,
  bytesRead: 4096,
  bytesWritten: 1024,
  sourcesUnreferenced: [one],
  sourceBytesUnreferenced: 4096,
  longestSliceMs: 1,
  elapsedMs: 62.95,
})
export const checkpoint = {
  reason: 'interval' as const,
  commitSeq: 12,
  entriesMerged: 1,
  pagesWritten: 2,
  noop: false,
  elapsedMs: 14,
  longestSliceMs: 2,
}
const pin = { pinId: 7, kind: 'snapshot' as const, label: 'backup', sinceMs: NOW }

const facts: RewriteFacts = {
  quiet: true,
  runGc: false,
  bypassQuiet: false,
  planBackoff: false,
  cancelBackoff: false,
  ineffectiveBackoff: false,
  minIntervalBlocked: true,
  bytesTotal: 1,
  staleRatio: 0,
  churnBytesPerSecond: null,
  checkpoints: 1,
  disableJournal: false,
}

/** One of each, with words that its line must contain. */
export const oneOfEachEvent: {
  [T in EngineEventType]: [Omit<Extract<EngineEventBody, { type: T }>, 'type'>, string[]]
} = {
  store_opened: [
    { journalRecordsReplayed: 12, journalBatchesSkipped: 2, segments: 3 },
    ['3 segments', '12 journal records', '2 journal batches'],
  ],
  state_file_ignored: [{ problem: 'torn JSON' }, ['torn JSON']],
  checkpoint_done: [{ report: checkpoint }, ['commit 12', '1 entry', '2 pages', '14.0 ms']],
  maintenance_retry_collision: [
    { source: 'checkpoint_kick', active: 'periodic', ...waiters },
    ['Checkpoint kick', 'periodic pass'],
  ],
  maintenance_retry_start: [
    { source: 'checkpoint_pending', retryWindowMs: 5000, ...slot },
    ['Delayed checkpoint kick', '5.00 s'],
  ],
  maintenance_retry_attempt: [{ source: 'checkpoint_pending', attempt: 2, ...slot }, ['2']],
  maintenance_skip: [
    { reason: 'maintenance_phase', source: 'periodic', text: 'In the phase restore.' },
    ['Periodic pass held back', 'restore'],
  ],
  maintenance_phase_change: [{ from: 'steady', to: 'catch_up' }, ['steady', 'catch-up']],
  maintenance_retry_done: [
    { source: 'checkpoint_pending', attempt: 2, acquired: true, ...slot },
    ['got the slot'],
  ],
  maintenance_retry_deadline: [
    { source: 'checkpoint_pending', attempt: 2, waitedMs: 6000, ...slot },
    ['waited 6.00 s'],
  ],
  maintenance_active_acquire: [
    {
      source: 'manual',
      activePassId: 41,
      runGc: true,
      bypassQuiet: true,
      checkpointPending: false,
      deferredPending: false,
    },
    ['Pass 41', 'manual pass'],
  ],
  maintenance_active_release: [
    { source: 'periodic', durMs: 63, checkpointPending: false, deferredPending: false },
    ['periodic pass', '63.0 ms'],
  ],
  checkpoint_kick_skip: [
    { reason: 'min_interval', text: 'the last was 2 s ago', gate: null, segments: 3, queueLen: 0 },
    ['min interval', 'the last was 2 s ago'],
  ],
  checkpoint_kick_start: [{}, ['kick']],
  checkpoint_kick_done: [
    { rewriteRunsBefore: 1, rewriteRunsAfter: 2, gcRunsBefore: 1, gcRunsAfter: 1, pending: false },
    ['1 rewrite,', '0 GC runs'],
  ],
  rewrite_queue_prune: [{ dropped: [one], remaining: 2 }, ['L0-3', 'no live bytes', '2 remain']],
  rewrite_queue_refresh: [
    {
      minRatio: 0.5,
      minStaleBytes: 1,
      queued: 3,
      selected: 2,
      selectedBytesTotal: 4096,
      selectedBytesLive: 2048,
      selectedBytesStale: 2048,
      durMs: 1,
    },
    ['2 of 3', '2.00 KiB'],
  ],
  rewrite_queue_refresh_prune: [
    { dropped: [one], remaining: 2, minRatio: 0.5, minStaleBytes: 1 },
    ['L0-3', '50.0 %'],
  ],
  rewrite_queue_followup_suppressed: [{ queueLen: 3, cooldownMs: 30_000 }, ['30.0 s', '3 queued']],
  rewrite_queue_missing_prune: [
    { dropped: [one], remaining: 0, stagePending: false },
    ['L0-3', 'missing on disk', '0 remain'],
  ],
  rewrite_queue_quality_prune: [
    { dropped: [one], remaining: 2, minRatio: 0.5, minStaleBytes: 1 },
    ['L0-3', '50.0 %', '2 remain'],
  ],
  rewrite_plan: [
    {
      trigger: 'stale_ratio_trigger',
      minRatio: 0.2,
      minStaleBytes: 1,
      maxSourceBytes: 0,
      selected: [one],
      candidates: 31,
      selectedBytesTotal: 1,
      selectedBytesLive: 1,
      selectedBytesStale: 1,
      bytesTotal: 1,
      bytesLive: 1,
      bytesStale: 1,
      ageBlockedSegments: 2,
      durMs: 1,
    },
    ['1 of 31', '20.0 %', 'L0-3', '2 too young'],
  ],
  rewrite_plan_canceled: [{ why: 'foreground', durMs: 400 }, ['400 ms', 'busy']],
  rewrite_plan_failed: [
    {
      trigger: 'pre_rewrite',
      minRatio: 0.85,
      minStaleBytes: 1,
      maxSourceBytes: 4096,
      code: 'INTERNAL',
      message: 'sums differ',
      durMs: 7,
    },
    ['pre rewrite', 'sums differ', 'INTERNAL', '7'],
  ],
  rewrite_plan_age_blocked: [
    {
      trigger: 'stale_ratio_trigger',
      segments: 2,
      staleBytes: 2048,
      retryAfterMs: 12_000,
      minAgeMs: 30_000,
    },
    ['2 segments too young', '12.0 s'],
  ],
  rewrite_age_blocked_retry_due: [{ retryAfterMs: 12_000 }, ['12.0 s']],
  rewrite_plan_staged: [
    { reason: 'stale_ratio', selected: [one], queueLen: 1, dueAtMs: NOW },
    ['Staged L0-3', 'due'],
  ],
  rewrite_stage_confirm_due: [{ observedAgeMs: 30_000 }, ['30.0 s']],
  rewrite_stage_confirm_use_persisted: [{ queued: 5, ledger: 4 }, ['5 queued', '4 with']],
  rewrite_stage_cleared: [{ why: 'nothing is left' }, ['nothing is left']],
  rewrite_skip: [
    { reason: 'min_interval', gate: 'rewrite_min_interval', queueLen: 2, facts },
    ['min_interval', 'since the last rewrite', '2 queued'],
  ],
  rewrite_start: [
    { reason: 'rewrite_resume', rewriteQueue: 4, havePlan: false, facts },
    ['resuming queued debt', '4'],
  ],
  rewrite_exec: [
    {
      reason: 'rewrite_resume',
      sourceIds: [one],
      maxSegments: 1,
      budgetTokensBytes: null,
      maxCopiedBytes: 0,
      minStaleRatio: 0.2,
      queueLen: 4,
      ledgerLiveBytes: 1024,
    },
    ['L0-3', '1.00 KiB'],
  ],
  rewrite_done: [
    {
      reason: 'rewrite_resume',
      report: rewriteReport,
    },
    ['L0-3', '1.00 KiB', '63.0 ms'],
  ],
  rewrite_err: [
    { reason: 'manual', code: 'ENGINE_IO', message: 'disk full', durMs: 5 },
    ['disk full', 'ENGINE_IO'],
  ],
  rewrite_effective_local: [
    {
      reason: 'rewrite_resume',
      processedIds: [one],
      plannedTotal: 4096,
      plannedLive: 2048,
      plannedStale: 2048,
      bytesBefore: 1,
      bytesAfter: 1,
      gcBytesDeleted: 0,
      records: 2,
    },
    ['L0-3', '2.00 KiB'],
  ],
  rewrite_ineffective: [
    {
      reason: 'rewrite_resume',
      sourceIds: [one],
      bytesBefore: 1024,
      bytesAfter: 2048,
      gcBytesDeleted: 0,
      queueLen: 2,
    },
    ['L0-3', '1.00 KiB before', '2.00 KiB after'],
  ],
  rewrite_ineffective_penalty: [
    {
      reason: 'rewrite_resume',
      processedIds: [one],
      remainingIds: 1,
      growth: 5,
      threshold: 4,
      penaltyReason: 'material_growth',
      cooldownMs: 600_000,
      gcBytesDeleted: 0,
    },
    ['L0-3', '10 min', 'material growth'],
  ],
  rewrite_retained_cleanup_done: [
    { reason: 'rewrite_resume', sourceIds: [one], removed: 1 },
    ['1 of 1'],
  ],
  rewrite_source_state: [
    {
      reason: 'rewrite_resume',
      segmentId: one,
      liveBytes: 0,
      retained: true,
      inUse: true,
      current: false,
      queued: false,
      exists: true,
      file: 'a.log',
    },
    ['L0-3', 'in use', 'retained'],
  ],
  penalties_changed: [
    { cause: 'recorded', segmentIds: [one], penalties: [] },
    ['recorded', 'L0-3', '0 now'],
  ],
  vacuum_run: [
    { report: vacuumReportOf({ text: 'freed 1 MiB', bytesBefore: 2, bytesAfter: 1 }) },
    ['freed 1 MiB'],
  ],
  vacuum_skip: [{ reason: 'cooldown', gate: 'vacuum_min_interval' }, ['cooldown']],
  gc_err: [
    {
      phase: 'standalone',
      reason: 'periodic_gc',
      code: 'ENGINE_IO',
      message: 'disk full',
      durMs: 5,
    },
    ['disk full', 'ENGINE_IO'],
  ],
  pass_stopped: [
    {
      stop: {
        passId: 41,
        source: 'periodic',
        before: 'gc',
        why: 'step',
        text: 'stepping',
        gates: [],
        steps: [],
      },
    },
    ['Pass 41', 'stepping'],
  ],
  pass_resumed: [{ before: 'gc' }, ['gc']],
  options_changed: [
    { changed: ['confirmDelayMs'], options: { ...options, confirmDelayMs: 5 } },
    ['confirmDelayMs = 5'],
  ],
  rewrite_queue_restage: [{ remaining: 3, confirmDelayMs: 30_000 }, ['3', '30.0 s']],
  rewrite_queue_restaged: [{ reason: 'rewrite_resume', processedIds: [one] }, ['L0-3']],
  gc_run: [
    { phase: 'after_rewrite', reason: 'rewrite_resume', report: gcReport },
    ['deleted 1 segment', '2.00 KiB'],
  ],
  gc_skip: [{ reason: 'nothing is dead', gate: 'gc_eligible' }, ['nothing is dead', 'to delete']],
  retained_prune: [
    {
      report: {
        heldBy: 'report 7',
        status: 'completed',
        candidates: 2,
        inUseSkipped: 1,
        removed: [one],
        bytesRemoved: 2048,
        errors: [],
      },
    },
    ['report 7', '1 segment deleted', '2.00 KiB', '1 kept by others'],
  ],
  recording_stopped: [
    { reason: 'io', message: 'no space left', retryAtMs: NOW + 30_000 },
    ['Recording stopped', 'no space left', 'again'],
  ],
  recording_resumed: [{ lostFromSeq: 7, lostToSeq: 12 }, ['events 7 to 12']],
  foreground_latency: [
    { fromMs: NOW - 5000, put: { count: 1999, p50Ms: 0.031, p99Ms: 0.5, maxMs: 4 }, get: null },
    ['5.00 s', '1,999 puts', '0.031', '0.500 ms', '4.00 ms', 'no gets timed'],
  ],
  maintenance_failed: [{ code: 'ENGINE_IO', message: 'disk full' }, ['disk full', 'ENGINE_IO']],
  segment_created: [{ segment: makeSegment(3, { origin: 'rewrite' }) }, ['L0-3', 'rewrite']],
  segment_sealed: [{ segment: makeSegment(3, { bytesLive: 500 }) }, ['L0-3', '500 B stale']],
  segment_zombie: [
    {
      segment: makeSegment(3, {
        keptBy: [{ kind: 'snapshot', pinId: 7, label: 'backup', sinceMs: NOW }],
      }),
    },
    ['L0-3', 'backup'],
  ],
  segment_kept: [{ segment: makeSegment(3, { keptBy: [{ kind: 'journal' }] }) }, ['journal']],
  segment_deleted: [
    { segmentId: one, bytesTotal: 1024, heldByUntilNow: 'snapshot backup' },
    ['L0-3', '1.00 KiB', 'snapshot backup'],
  ],
  segment_bytes: [{ changes: [[one, 10, 5]] }, ['1 segment', 'L0-3']],
  debt_changed: [
    {
      cause: 'restaged',
      debt: {
        queue: [one],
        ledger: [],
        stage: { observedAtMs: NOW, dueAtMs: NOW, minStaleRatio: null },
      },
    },
    ['restaged', '1 segment queued', 'without economics', 'staged until'],
  ],
  scheduler_changed: [
    { scheduler: { mode: 'step', paused: true, lastPlanAtMs: NOW } },
    ['step mode', 'paused', 'last plan changed'],
  ],
  counters_changed: [
    { counters: { passes: 7, passElapsedMs: 120 } },
    ['7 passes', '120 ms pass elapsed'],
  ],
  pin_opened: [{ pin }, ['Snapshot', 'backup']],
  pin_released: [
    { pinId: 7, kind: 'snapshot', label: 'backup', heldMs: 95_000 },
    ['backup', '1 min 35 s'],
  ],
  pass_done: [
    { report: makePass(41, { sentence: 'Rewrote L0-3 and restaged 3.' }) },
    ['rewrote', 'Rewrote L0-3 and restaged 3.'],
  ],
}
