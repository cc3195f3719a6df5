/** The words of events: what each carries. Part of the vocabulary. */
import type { LatencyFigures } from './info-types.ts'
import type { RecordingStopReason } from './recording/types.ts'
import type {
  CheckpointReport,
  Counters,
  Gate,
  GateName,
  GcReport,
  MaintenanceOptions,
  MaintenancePhase,
  PassPhase,
  PassReport,
  PassSource,
  PassStop,
  Pin,
  RetainedPruneReport,
  RewriteDebt,
  RewritePenalty,
  RewriteReason,
  RewriteReport,
  SchedulerInfo,
  SegmentId,
  SegmentInfo,
  SuppressedBy,
  VacuumReport,
} from './types.ts'

interface EventBase {
  /** Gap-free from 1 within one opening of the store. */
  seq: number
  atMs: number
  /** The pass it belongs to; null outside passes. */
  passId: number | null
}

/** Who else waits for the slot. */
interface SlotWaiters {
  checkpointPending: boolean
  deferredPending: boolean
}

interface SlotFacts extends SlotWaiters {
  /** A pass has it. */
  slotTaken: boolean
}

/** What a pass knew when it rewrote, or did not; upstream prints it with both. */
export interface RewriteFacts {
  quiet: boolean
  runGc: boolean
  bypassQuiet: boolean
  /** A backoff holds it back. */
  planBackoff: boolean
  cancelBackoff: boolean
  ineffectiveBackoff: boolean
  minIntervalBlocked: boolean
  bytesTotal: number
  /** Stale bytes of the log over its bytes: real staleness, at most 1 (D7). */
  staleRatio: number
  /** null = not measured yet. */
  churnBytesPerSecond: number | null
  checkpoints: number
  /** The profile has no journal (`fast`). */
  disableJournal: boolean
}

/** Fields of each event type. Words are upstream's trace words where upstream has one. */
export type EngineEventBody =
  | {
      type: 'store_opened'
      journalRecordsReplayed: number
      journalBatchesSkipped: number
      segments: number
    }
  | { type: 'state_file_ignored'; problem: string }
  | { type: 'checkpoint_done'; report: CheckpointReport }
  /** A pass was due and something holds back all that nobody asked for; of ticks only the first is told. */
  | { type: 'maintenance_skip'; reason: SuppressedBy; source: PassSource; text: string }
  | { type: 'maintenance_phase_change'; from: MaintenancePhase; to: MaintenancePhase }
  | ({ type: 'maintenance_retry_collision'; source: PassSource; active: PassSource } & SlotWaiters)
  /** A kick or a due retry waits for the slot. */
  | ({ type: 'maintenance_retry_start'; source: PassSource; retryWindowMs: number } & SlotFacts)
  | ({ type: 'maintenance_retry_attempt'; source: PassSource; attempt: number } & SlotFacts)
  | ({
      type: 'maintenance_retry_done'
      source: PassSource
      attempt: number
      acquired: boolean
    } & SlotFacts)
  /** It has waited longer than its window; it still runs when the slot is free. */
  | ({
      type: 'maintenance_retry_deadline'
      source: PassSource
      attempt: number
      waitedMs: number
    } & SlotFacts)
  | {
      type: 'maintenance_active_acquire'
      source: PassSource
      activePassId: number
      runGc: boolean
      bypassQuiet: boolean
      checkpointPending: boolean
      deferredPending: boolean
    }
  | {
      type: 'maintenance_active_release'
      source: PassSource
      durMs: number
      checkpointPending: boolean
      deferredPending: boolean
    }
  | {
      type: 'checkpoint_kick_skip'
      reason:
        | 'closing'
        | 'disabled'
        | 'min_interval'
        | 'trigger_floor'
        | 'paused'
        | 'step_mode'
        | 'stage_pending'
        | 'already_active'
        | 'cancel_backoff'
        | 'foreground_hot_no_debt'
        | SuppressedBy
      text: string
      /** The gate that refused it, with its numbers; null when it was none. */
      gate: Gate | null
      /** On disk then, and queued. */
      segments: number
      queueLen: number
    }
  | { type: 'checkpoint_kick_start' }
  | {
      type: 'checkpoint_kick_done'
      rewriteRunsBefore: number
      rewriteRunsAfter: number
      gcRunsBefore: number
      gcRunsAfter: number
      /** Another kick waits for the slot. */
      pending: boolean
    }
  /** Ids without live bytes left the queue: GC's work. */
  | { type: 'rewrite_queue_prune'; dropped: SegmentId[]; remaining: number }
  | {
      type: 'rewrite_queue_refresh'
      minRatio: number
      minStaleBytes: number
      queued: number
      selected: number
      selectedBytesTotal: number
      selectedBytesLive: number
      selectedBytesStale: number
      durMs: number
    }
  | {
      type: 'rewrite_queue_refresh_prune'
      dropped: SegmentId[]
      remaining: number
      minRatio: number
      minStaleBytes: number
    }
  | {
      type: 'rewrite_queue_missing_prune'
      dropped: SegmentId[]
      remaining: number
      stagePending: boolean
    }
  | {
      type: 'rewrite_queue_quality_prune'
      dropped: SegmentId[]
      remaining: number
      minRatio: number
      minStaleBytes: number
    }
  | {
      type: 'rewrite_plan'
      trigger: 'stale_ratio_trigger' | 'pre_rewrite' | 'dry_run' | 'manual'
      minRatio: number
      minStaleBytes: number
      /** Cap on live bytes; 0 = none. */
      maxSourceBytes: number
      selected: SegmentId[]
      candidates: number
      selectedBytesTotal: number
      selectedBytesLive: number
      selectedBytesStale: number
      bytesTotal: number
      bytesLive: number
      bytesStale: number
      ageBlockedSegments: number
      durMs: number
    }
  | {
      type: 'rewrite_plan_canceled'
      why: 'foreground' | 'deadline' | 'aborted'
      durMs: number
    }
  /** The planner failed, and with it the pass. What it would have selected is not known. */
  | {
      type: 'rewrite_plan_failed'
      trigger: 'stale_ratio_trigger' | 'pre_rewrite' | 'manual'
      minRatio: number
      minStaleBytes: number
      /** Cap on live bytes; 0 = none. */
      maxSourceBytes: number
      code: string
      message: string
      durMs: number
    }
  | {
      type: 'rewrite_plan_age_blocked'
      trigger: 'stale_ratio_trigger' | 'pre_rewrite' | 'manual'
      segments: number
      staleBytes: number
      retryAfterMs: number
      minAgeMs: number
    }
  | { type: 'rewrite_age_blocked_retry_due'; retryAfterMs: number }
  | {
      type: 'rewrite_plan_staged'
      reason: RewriteReason
      selected: SegmentId[]
      queueLen: number
      dueAtMs: number
    }
  | { type: 'rewrite_stage_confirm_due'; observedAgeMs: number }
  | { type: 'rewrite_stage_confirm_use_persisted'; queued: number; ledger: number }
  | { type: 'rewrite_stage_cleared'; why: string }
  | {
      type: 'rewrite_skip'
      reason: string
      gate: GateName | null
      queueLen: number
      facts: RewriteFacts
    }
  | {
      type: 'rewrite_start'
      reason: RewriteReason
      rewriteQueue: number
      havePlan: boolean
      facts: RewriteFacts
    }
  | {
      type: 'rewrite_exec'
      reason: RewriteReason
      sourceIds: SegmentId[]
      maxSegments: number
      /** null = no budget. */
      budgetTokensBytes: number | null
      /** Cap on copied bytes; 0 = none. */
      maxCopiedBytes: number
      minStaleRatio: number
      queueLen: number
      ledgerLiveBytes: number
    }
  | {
      type: 'rewrite_done'
      reason: RewriteReason
      report: RewriteReport
    }
  /** The sources' own stale bytes were dealt with, whether or not the log as a whole got shorter meanwhile. */
  | {
      type: 'rewrite_effective_local'
      reason: RewriteReason
      processedIds: SegmentId[]
      plannedTotal: number
      plannedLive: number
      plannedStale: number
      bytesBefore: number
      bytesAfter: number
      gcBytesDeleted: number
      records: number
    }
  | {
      type: 'rewrite_ineffective'
      reason: RewriteReason
      sourceIds: SegmentId[]
      bytesBefore: number
      bytesAfter: number
      gcBytesDeleted: number
      queueLen: number
    }
  | {
      type: 'rewrite_ineffective_penalty'
      reason: RewriteReason
      processedIds: SegmentId[]
      remainingIds: number
      growth: number
      threshold: number
      penaltyReason: 'material_growth' | 'no_progress'
      cooldownMs: number
      gcBytesDeleted: number
    }
  /** Layer A: processed sources whose file is gone. */
  | {
      type: 'rewrite_retained_cleanup_done'
      reason: RewriteReason
      sourceIds: SegmentId[]
      removed: number
    }
  /** Each processed source after rewrite and GC; known without a scan (D11). */
  | {
      type: 'rewrite_source_state'
      reason: RewriteReason
      segmentId: SegmentId
      liveBytes: number
      retained: boolean
      inUse: boolean
      current: boolean
      queued: boolean
      exists: boolean
      file: string
    }
  /** `queue_runner`: nothing came free, so the next run waits. */
  | { type: 'rewrite_queue_followup_suppressed'; queueLen: number; cooldownMs: number }
  | { type: 'rewrite_err'; reason: RewriteReason; code: string; message: string; durMs: number }
  | { type: 'rewrite_queue_restage'; remaining: number; confirmDelayMs: number }
  | { type: 'rewrite_queue_restaged'; reason: RewriteReason; processedIds: SegmentId[] }
  | {
      type: 'gc_run'
      phase: 'after_rewrite' | 'standalone'
      /** Of the rewrite before it, or its own. */
      reason: RewriteReason
      report: GcReport
    }
  | { type: 'gc_skip'; reason: string; gate: GateName | null }
  | {
      type: 'gc_err'
      phase: 'after_rewrite' | 'standalone'
      reason: RewriteReason
      code: string
      message: string
      durMs: number
    }
  | { type: 'vacuum_run'; report: VacuumReport }
  | { type: 'vacuum_skip'; reason: 'disabled' | 'threshold' | 'cooldown'; gate: GateName }
  /** Debug: a pass stands still, and goes on. */
  | { type: 'pass_stopped'; stop: PassStop }
  | { type: 'pass_resumed'; before: PassPhase | null }
  /** All options, after `changed` of them were set. */
  | { type: 'options_changed'; changed: (keyof MaintenanceOptions)[]; options: MaintenanceOptions }
  /** Only of prunes that removed something, failed to, or were cut short. */
  | { type: 'retained_prune'; report: RetainedPruneReport }
  | { type: 'maintenance_failed'; code: string; message: string }
  /** Told once; while it stays stopped, `gauges().recording` has the newest reason. The store goes on. */
  | {
      type: 'recording_stopped'
      reason: RecordingStopReason
      message: string
      retryAtMs: number
    }
  /** The events between are not in the recording. */
  | { type: 'recording_resumed'; lostFromSeq: number; lostToSeq: number }
  /**
   * How long puts and gets took from `fromMs` to `atMs`; null = none was timed, which is no 0. The
   * foreground's and of no pass: one that ends tells what came before it, too.
   */
  | {
      type: 'foreground_latency'
      fromMs: number
      put: LatencyFigures | null
      get: LatencyFigures | null
    }
  // Typed additions where upstream is silent; all of those below change EngineState.
  /** Inserted or changed, whole value. */
  | { type: 'segment_created'; segment: SegmentInfo }
  | { type: 'segment_sealed'; segment: SegmentInfo }
  | { type: 'segment_zombie'; segment: SegmentInfo }
  | { type: 'segment_kept'; segment: SegmentInfo }
  | {
      type: 'segment_deleted'
      segmentId: SegmentId
      bytesTotal: number
      heldByUntilNow: string | null
    }
  /** Byte changes since the last such event; [segmentId, bytesTotal, bytesLive]. */
  | { type: 'segment_bytes'; changes: [SegmentId, number, number][] }
  /** The whole new debt, after it was saved. */
  | {
      type: 'debt_changed'
      cause:
        | 'loaded'
        | 'planned'
        | 'staged'
        | 'pruned'
        | 'consumed'
        | 'restaged'
        | 'postponed'
        | 'cleared'
      debt: RewriteDebt
    }
  /** All penalties after a change; ids that were dropped by it, and why. */
  | {
      type: 'penalties_changed'
      cause: 'loaded' | 'recorded' | 'readmitted' | 'expired'
      segmentIds: SegmentId[]
      penalties: RewritePenalty[]
    }
  /** The facts that changed; the others stay as they were. */
  | { type: 'scheduler_changed'; scheduler: Partial<SchedulerInfo> }
  /** The counters that changed, as they are now. */
  | { type: 'counters_changed'; counters: Partial<Counters> }
  | { type: 'pin_opened'; pin: Pin }
  | { type: 'pin_released'; pinId: number; kind: Pin['kind']; label: string; heldMs: number }
  | { type: 'pass_done'; report: PassReport }

export type EngineEvent = EventBase & EngineEventBody
export type EngineEventType = EngineEventBody['type']
