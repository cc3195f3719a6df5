/**
 * The vocabulary of Restage: everything that crosses the engine's border as data. JSON-safe (no
 * bigint, no class, no undefined-by-accident) and free of runtime code, so that the wire contract
 * and the browser can use the same words. Units are the last word of a name; bytes are bytes,
 * ratios are 0..1, `...AtMs` is wall-clock milliseconds of the engine's clock, `elapsedMs` a
 * duration. `null` means "not known" or "does not apply" and is never a stand-in for zero.
 */

// ---------------------------------------------------------------- segments

/** u32: 0x80000000 | lane << 23 | seq. A decimal string in `vlog_generation_state.json`. */
export type SegmentId = number

/** active = written now; sealed = closed for writing; zombie = dead, file still on disk. */
export type SegmentState = 'active' | 'sealed' | 'zombie'

/** Who wrote a segment. `unknown`: the folder has no metadata that tells. */
export type SegmentOrigin = 'foreground' | 'rewrite' | 'unknown'

/** Why a segment without live bytes is still on disk. One entry a reason, all of them listed. */
export type SegmentKeeper =
  | { kind: 'active_writer' }
  | { kind: 'snapshot'; pinId: number; label: string; sinceMs: number }
  | { kind: 'iterator'; pinId: number; label: string; sinceMs: number }
  /** A root in this meta page (0 or 1), or the journal beside it, could be chosen after a crash and may name it. */
  | { kind: 'root'; metaPage: 0 | 1 }
  | { kind: 'journal' }
  | { kind: 'rewriting' }
  /** Nothing keeps it: the next GC deletes it. */
  | { kind: 'awaiting_gc' }
  | { kind: 'error'; code: string; message: string }

export interface SegmentInfo {
  segmentId: SegmentId
  lane: number
  seq: number
  /** Path relative to the opened folder, with forward slashes. */
  file: string
  state: SegmentState
  origin: SegmentOrigin
  /** Whole file, torn tail included. bytesLive + bytesStale = bytesTotal, always. */
  bytesTotal: number
  /** Referenced records counted whole (their CRC too); a grouped frame once, as long as one value of it lives. */
  bytesLive: number
  bytesStale: number
  createdAtMs: number | null
  /** null while active, or when nothing tells. */
  sealedAtMs: number | null
  /** `mtime`: a foreign folder without metadata; copying resets it (X5). */
  ageSource: 'metadata' | 'mtime'
  /** Filled when bytesLive is 0; empty otherwise (live bytes keep it). */
  keptBy: SegmentKeeper[]
}

// ---------------------------------------------------------------- rewrite debt

/** Economics of one segment when it was planned. */
export interface LedgerEntry {
  segmentId: SegmentId
  bytesTotal: number
  bytesLive: number
  bytesStale: number
  staleRatio: number
}

export interface Stage {
  /** Start of the confirm delay. */
  observedAtMs: number
  /** observedAtMs + the confirm delay. */
  dueAtMs: number
  /** The floor that staged the debt; confirming uses the same one (M3). null: foreign state file, unknown. */
  minStaleRatio: number | null
}

/** Queue order, economics, stage. A queue without a ledger ("queue-only") is legal everywhere (M4). */
export interface RewriteDebt {
  queue: SegmentId[]
  /** Empty for queue-only debt. */
  ledger: LedgerEntry[]
  /** null = not staged: the queue may be executed. */
  stage: Stage | null
}

// ---------------------------------------------------------------- passes

/** What woke a pass (M1). `_exit` and `age_blocked` sources and `checkpoint_pending` join with the full scheduler. */
export type PassSource = 'periodic' | 'checkpoint_kick' | 'rewrite_stage_confirm' | 'manual'

/** Why a rewrite runs. */
export type RewriteReason = 'none' | 'total_bytes' | 'stale_ratio' | 'rewrite_resume' | 'manual'

/** Every decision point a pass can meet, in the order met. Closed: UI, tests and CLI use the same words. */
export type GateName =
  | 'slot_free'
  | 'scheduler_running'
  | 'first_checkpoint'
  | 'kick_min_interval'
  | 'kick_trigger_floor'
  | 'stage_not_pending'
  | 'stage_pending'
  | 'stage_due'
  | 'quiet_writes'
  | 'quiet_reads'
  | 'no_open_iterators'
  | 'missing_segments'
  | 'queue_quality'
  | 'rewrite_min_interval'
  | 'trigger_total_bytes'
  | 'trigger_stale_ratio'
  | 'plan_min_interval'
  | 'plan_selected'
  | 'gc_min_interval'
  | 'gc_eligible'

export type Unit = 'bytes' | 'ratio' | 'ms' | 'count' | 'flag'

export interface Gate {
  name: GateName
  /** What it looked at; null when the input does not exist (never written, never run). */
  input: number | null
  threshold: number | null
  /** How far the input is on the passing side (>= 0) or the blocking side (< 0), in `unit`; null when not measurable. */
  margin: number | null
  unit: Unit
  verdict: 'pass' | 'block'
  /** true: this source does not have to obey the gate; verdict is then 'pass' and the numbers stay visible. */
  bypassed: boolean
  /** One plain sentence with the numbers in it. */
  text: string
}

/** The first filter that dropped a candidate. */
export type CandidateFilter =
  | 'not_requested'
  | 'active'
  | 'zombie'
  | 'empty'
  | 'age'
  | 'no_live_bytes'
  | 'no_stale_bytes'
  | 'stale_ratio'
  | 'stale_bytes'
  | 'max_segments'
  | 'max_live_bytes'

export interface CandidateVerdict {
  segmentId: SegmentId
  bytesTotal: number
  bytesLive: number
  bytesStale: number
  staleRatio: number
  /** null while active or unknown. */
  ageMs: number | null
  verdict: 'selected' | CandidateFilter
  /** Position among the selected, from 0; null when dropped. */
  rank: number | null
  /** How far from passing the filter, in `unit`; null when the filter has no scale. */
  distance: number | null
  unit: Unit | null
  /** Smallest single option change that selects it; null when no option does. */
  flip: { option: string; value: number; text: string } | null
}

/** Options of one plan. 0 = that filter is off. */
export interface PlanFilters {
  minStaleRatio: number
  minStaleBytes: number
  minAgeMs: number
  /** Only without explicit ids (B1, F3). */
  maxSegments: number
  /** Cap on the sum of live bytes to copy; the first pick is always allowed. Only without explicit ids. */
  maxLiveBytes: number
  /** Explicit sources: bypass active/recent filters and caps, obey age and stale filters (B2). null = all segments. */
  segmentIds: SegmentId[] | null
}

export interface RewritePlan {
  filters: PlanFilters
  /** In the order they would be rewritten. */
  selected: LedgerEntry[]
  /** Explicit ids that no segment has. */
  missing: SegmentId[]
  segmentsTotal: number
  bytesTotal: number
  bytesLive: number
  bytesStale: number
  selectedBytesTotal: number
  selectedBytesLive: number
  selectedBytesStale: number
  ageBlockedSegments: number
  ageBlockedBytesTotal: number
  ageBlockedBytesLive: number
  ageBlockedBytesStale: number
  /** null when nothing is age-blocked. */
  ageBlockedMinRemainingMs: number | null
  /** One verdict a segment, selected first, then by filter, then by id. */
  candidates: CandidateVerdict[]
}

/**
 * The order in which a rewrite copies. `grouped`: where the values lie in the sources, so that each is
 * read once, going forward. `default` (upstream's word): by key, so that a later range scan finds
 * neighbours together; the sources are then read at random.
 */
export type LocalityPolicy = 'default' | 'grouped'

/** Bounds of one rewrite, upstream's knobs (`ValueLogRewriteOnlineOptions`). 0 = off. */
export interface RewriteOptions {
  /**
   * Source record bytes to copy at most: the rewrite ends before the record that would go beyond. The
   * first record is always taken, whatever its size. Sources it did not finish stay referenced.
   */
  maxCopiedBytes: number
  /** Pointer swaps in one turn of the thread, the only time writers are excluded. 0 = 256. */
  batchRecords: number
  /** Each swap batch is as durable as a checkpoint's promise before the next one begins. */
  syncEachBatch: boolean
  locality: LocalityPolicy
}

export interface RewriteReport {
  /** Ids asked for that are sealed segments; others are ignored, repeated ones count once. */
  sourceSegmentsRequested: SegmentId[]
  /** Whole bytes of these segments when the rewrite began. */
  sourceBytesRequested: number
  /** Segments that got copies; the last one is filled on by the next rewrite. */
  outputSegments: SegmentId[]
  /** Keys looked at to find what lives in the sources: those once written there, or all of the store. */
  keysVisited: number
  /** Walks over everything the store holds: 0 where each source has its list of keys (B3). */
  treeWalks: number
  /** Values copied and leaf pages moved. */
  recordsCopied: number
  valueRecordsCopied: number
  /** Value bytes of these, without record headers, before compression. */
  valueBytesCopied: number
  /** Leaf pages of a foreign index that lay in a source; the next checkpoint writes them to the index. */
  leafPagesMoved: number
  /** Copies whose key changed meanwhile: the swap was refused, the copy is stale at once. */
  swapsLost: number
  /** Live values that could not be read; they stay where they are and keep their source referenced. */
  valuesUnreadable: number
  /** What the first of them said; null without any. */
  firstUnreadable: string | null
  /** Bytes read from source files, stale ones that lay between live ones included. */
  bytesRead: number
  /** Whole record bytes of the source records that were copied; a grouped frame counts once. */
  sourceBytesProcessed: number
  /** Output record bytes written. */
  bytesWritten: number
  /** Groups of values tried as one compressed frame, and those that paid; bytes of the latter. */
  groupsTried: number
  groupsKept: number
  groupBytesRaw: number
  groupBytesStored: number
  /** Sources without live bytes afterwards, and their bytes. */
  sourcesUnreferenced: SegmentId[]
  sourceBytesUnreferenced: number
  sourcesStillReferenced: SegmentId[]
  sourceBytesStillReferenced: number
  /** Of the still referenced: not gone through to the end (a bound, a cancellation). They stay queued. */
  sourcesUnfinished: SegmentId[]
  /** Sources that the garbage collection after this rewrite deleted; null before it ran. */
  sourcesReclaimed: SegmentId[] | null
  sourceBytesReclaimed: number | null
  /** Of the whole value log, before the rewrite and after its last swap. */
  segmentsBefore: number
  segmentsAfter: number
  bytesBefore: number
  bytesAfter: number
  /** Turns that excluded writers to swap pointers, and the longest of them. */
  swapBatches: number
  longestSwapMs: number
  /** Time spent standing back for foreground commits. */
  pacedMs: number
  /** Longest time the thread was held without yielding. */
  longestSliceMs: number
  elapsedMs: number
  cancelled: boolean
}

export interface GcReport {
  dryRun: boolean
  segmentsTotal: number
  segmentsReferenced: number
  segmentsActive: number
  /** Dead, but something keeps them. */
  segmentsKept: SegmentId[]
  bytesKept: number
  eligible: SegmentId[]
  bytesEligible: number
  deleted: SegmentId[]
  bytesDeleted: number
  errors: { segmentId: SegmentId; code: string; message: string }[]
  elapsedMs: number
}

export interface CheckpointReport {
  reason: 'foreground' | 'interval' | 'size' | 'maintenance' | 'open' | 'close'
  commitSeq: number
  entriesMerged: number
  pagesWritten: number
  /** No entry was waiting: nothing was written. */
  noop: boolean
  elapsedMs: number
  longestSliceMs: number
}

/** One thing a pass did, in order. */
export type PassStep =
  | { kind: 'prune_missing'; segmentIds: SegmentId[]; remaining: number }
  | { kind: 'prune_quality'; segmentIds: SegmentId[]; remaining: number; minStaleRatio: number }
  | { kind: 'plan'; plan: RewritePlan; elapsedMs: number }
  | { kind: 'stage'; segmentIds: SegmentId[]; dueAtMs: number; minStaleRatio: number }
  | { kind: 'confirm'; segmentIds: SegmentId[]; result: 'executes' | 'cleared' | 'postponed' }
  | { kind: 'rewrite'; reason: RewriteReason; report: RewriteReport }
  | { kind: 'consume'; segmentIds: SegmentId[]; remaining: number }
  | { kind: 'gc'; report: GcReport }
  | { kind: 'checkpoint'; report: CheckpointReport }
  | { kind: 'restage'; remaining: number; dueAtMs: number }

export type PassOutcome =
  | 'rewrote'
  | 'staged'
  | 'reclaimed'
  | 'planned'
  | 'nothing_to_do'
  | 'blocked'
  | 'cancelled'
  | 'failed'

export interface PassReport {
  passId: number
  source: PassSource
  startedAtMs: number
  /** Engine clock; in step mode equal to startedAtMs unless the clock was advanced meanwhile. */
  endedAtMs: number
  /** Real duration. */
  elapsedMs: number
  gates: Gate[]
  steps: PassStep[]
  before: RewriteDebt
  after: RewriteDebt
  outcome: PassOutcome
  /** The blocking gate when outcome is 'blocked'. */
  blockedBy: GateName | null
  /** One sentence for a person: what happened and why. */
  sentence: string
  error: { code: string; message: string } | null
}

// ---------------------------------------------------------------- engine state

export type Profile = 'durable' | 'wal_on_fast' | 'fast'
export type SchedulerMode = 'auto' | 'step'
export type SchedulerState = 'disabled' | 'idle' | 'running' | 'error'

export interface SchedulerInfo {
  mode: SchedulerMode
  paused: boolean
  state: SchedulerState
  lastReason: RewriteReason
  /** The pass now in the slot. */
  activePass: { passId: number; source: PassSource; startedAtMs: number } | null
  lastRewriteAtMs: number | null
  lastPlanAtMs: number | null
  lastGcAtMs: number | null
  lastCheckpointKickAtMs: number | null
}

/** A reader that keeps dead segments on disk. */
export interface Pin {
  pinId: number
  kind: 'snapshot' | 'iterator'
  label: string
  sinceMs: number
}

export interface Counters {
  checkpoints: number
  checkpointKicks: number
  passes: number
  rewriteRuns: number
  rewriteRecordsCopied: number
  rewriteBytesRead: number
  rewriteBytesWritten: number
  gcRuns: number
  gcDeletedSegments: number
  gcDeletedBytes: number
  queuePrunedIds: number
}

/** What the events rebuild: the maintenance-relevant state of one store. */
export interface EngineState {
  /** Ascending by segmentId. */
  segments: SegmentInfo[]
  debt: RewriteDebt
  scheduler: SchedulerInfo
  pins: Pin[]
  counters: Counters
  /** Last published checkpoint. */
  checkpoint: { commitSeq: number; atMs: number | null; elapsedMs: number | null }
}

/** Facts that change with every write and are sampled instead of evented. */
export interface EngineGauges {
  nowMs: number
  /** Engine clock minus wall clock; 0 unless the clock was advanced or frozen in step mode. */
  clockOffsetMs: number
  clockFrozen: boolean
  puts: number
  deletes: number
  gets: number
  /** Key and value bytes handed in by the foreground. */
  bytesPut: number
  memtableEntries: number
  memtableBytes: number
  journalBytes: number
  indexFileBytes: number
  lastWriteAtMs: number | null
  lastReadAtMs: number | null
}

export interface EngineInfo {
  dir: string
  layout: 'split' | 'wal'
  checksum: 'ieee' | 'crc32c'
  profile: Profile
  profileLoses: string
  readOnly: boolean
  /** Records recovered from the journal at open. */
  journalRecordsReplayed: number
  /** Whole batches left out at open because a value they name is not in the log (with `durable` none that was acknowledged). */
  journalBatchesSkipped: number
  options: MaintenanceOptions
}

/** Policy numbers of maintenance, resolved. Extreme values switch things off as said. */
export interface MaintenanceOptions {
  /** 'on' = hot passes execute one segment and restage the rest (M2); 'off' = upstream's "A only". */
  restage: 'on' | 'off'
  confirmDelayMs: number
  loopIntervalMs: number
  /** Every n-th periodic tick may run GC. */
  gcEvery: number
  gcMinIntervalMs: number
  gcMinBytes: number
  rewriteMinIntervalMs: number
  resumeMinIntervalMs: number
  checkpointKickMinIntervalMs: number
  /** Periodic passes need this long since the last foreground write. */
  quietWriteWindowMs: number
  quietReadWindowMs: number
  /** 0 = trigger off. */
  triggerTotalBytes: number
  /** 0 = trigger off. */
  triggerStaleRatio: number
  /** Floor for queued debt whose own floor is unknown. */
  resumeMinStaleRatio: number
  /** Floor of a total_bytes plan, once bytesTotal reaches efficacyMinTotalBytes. */
  genericMinStaleRatio: number
  /** Below this total the generic and resume floors relax to the trigger ratio. */
  efficacyMinTotalBytes: number
  minSegmentStaleBytes: number
  minSegmentAgeMs: number
  /** Cap of one plan; 0 = none. */
  maxPlanSegments: number
}

// ---------------------------------------------------------------- events

interface EventBase {
  /** Gap-free from 1 within one opening of the store. */
  seq: number
  atMs: number
  /** The pass it belongs to; null outside passes. */
  passId: number | null
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
  | { type: 'maintenance_retry_collision'; source: PassSource; active: PassSource }
  | { type: 'maintenance_active_acquire'; source: PassSource; activePassId: number }
  | { type: 'maintenance_active_release'; source: PassSource; durMs: number }
  | {
      type: 'checkpoint_kick_skip'
      reason: 'min_interval' | 'trigger_floor' | 'paused' | 'step_mode' | 'already_active'
      text: string
    }
  | { type: 'checkpoint_kick_start' }
  | {
      type: 'checkpoint_kick_done'
      rewriteRunsBefore: number
      rewriteRunsAfter: number
      gcRunsBefore: number
      gcRunsAfter: number
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
  | { type: 'rewrite_plan_staged'; selected: SegmentId[]; queueLen: number; dueAtMs: number }
  | { type: 'rewrite_stage_confirm_due'; observedAgeMs: number }
  | { type: 'rewrite_stage_confirm_use_persisted'; queued: number; ledger: number }
  | { type: 'rewrite_stage_cleared'; why: string }
  | { type: 'rewrite_skip'; reason: string; gate: GateName | null; queueLen: number }
  | { type: 'rewrite_start'; reason: RewriteReason; rewriteQueue: number }
  | {
      type: 'rewrite_exec'
      reason: RewriteReason
      sourceIds: SegmentId[]
      queueLen: number
      ledgerLiveBytes: number
    }
  | { type: 'rewrite_done'; reason: RewriteReason; report: RewriteReport }
  | { type: 'rewrite_err'; reason: RewriteReason; code: string; message: string; durMs: number }
  | { type: 'rewrite_queue_restage'; remaining: number; confirmDelayMs: number }
  | { type: 'rewrite_queue_restaged'; reason: RewriteReason; processedIds: SegmentId[] }
  | { type: 'gc_run'; phase: 'after_rewrite' | 'standalone'; report: GcReport }
  | { type: 'gc_skip'; reason: string; gate: GateName | null }
  | { type: 'maintenance_failed'; code: string; message: string }
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
  | { type: 'scheduler_changed'; scheduler: SchedulerInfo }
  | { type: 'counters_changed'; counters: Counters }
  | { type: 'pin_opened'; pin: Pin }
  | { type: 'pin_released'; pinId: number; kind: Pin['kind']; label: string; heldMs: number }
  | { type: 'pass_done'; report: PassReport }

export type EngineEvent = EventBase & EngineEventBody
export type EngineEventType = EngineEventBody['type']
