/**
 * The vocabulary of Restage: everything that crosses the engine's border as data. JSON-safe (no
 * bigint, no class, no undefined-by-accident) and free of runtime code, so that the wire contract
 * and the browser can use the same words. Units are the last word of a name; bytes are bytes,
 * ratios are 0..1, `...AtMs` is wall-clock milliseconds of the engine's clock, `elapsedMs` a
 * duration. `null` means "not known" or "does not apply" and is never a stand-in for zero.
 */

export type * from './event-types.ts'
export type * from './info-types.ts'
export type * from './recording/types.ts'

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
  /**
   * Who says when it was sealed. `mtime`: the time of its file, which copying resets (X5): in a foreign folder
   * without metadata, and of what was still written at a crash.
   */
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

/**
 * What woke a pass (M1). `..._exit`: the debt came due while another pass ran, and the end of that
 * pass starts it. `checkpoint_pending`: a kick that found the slot taken, run when it is free.
 * `rewrite_queue_pending` exists under the policy `queue_runner` only: its own bounded runner.
 */
export type PassSource =
  | 'periodic'
  | 'checkpoint_kick'
  | 'checkpoint_pending'
  | 'rewrite_stage_confirm'
  | 'rewrite_stage_confirm_exit'
  | 'rewrite_age_blocked'
  | 'rewrite_age_blocked_exit'
  | 'rewrite_queue_pending'
  | 'manual'

/** Why a rewrite, a GC run or an index vacuum runs; upstream's reasons plus `manual`. */
export type RewriteReason =
  | 'none'
  | 'total_bytes'
  | 'stale_ratio'
  | 'churn'
  | 'periodic_gc'
  | 'post_rewrite_vacuum'
  | 'rewrite_resume'
  | 'manual'

/**
 * How hot passes treat the rest of the queue. `a_only`: layer A alone, every kick rewrites and none
 * restages. `a_plus_c`: PR #843, one segment and the rest restaged. `queue_runner`: what upstream
 * landed later, a runner of its own that drains bounded passes and pauses when nothing comes free.
 */
export type MaintenancePolicy = 'a_only' | 'a_plus_c' | 'queue_runner'

/**
 * What the node around the store is doing, as it says itself (upstream's words). In any phase but
 * `steady` no pass starts by itself: its foreground needs the disk.
 */
export type MaintenancePhase = 'steady' | 'restore' | 'catch_up'

/** What a look for the pause file found. */
export interface PauseFileSight {
  present: boolean
  /** Its first line, at most 200 characters; null = it is not there, says nothing, or cannot be read. */
  reason: string | null
}

/** What holds passes back that nobody asked for. */
export type SuppressedBy = 'maintenance_phase' | 'pause_file'

/** The parts of a pass, in order; a debugger can stop before each. */
export type PassPhase =
  'gates' | 'prune' | 'plan' | 'stage' | 'confirm' | 'rewrite' | 'gc' | 'restage' | 'vacuum'

/**
 * Where any pass stops by itself, also one of a timer or a kick. `queue_shrank_without_reclaim`: ids
 * left the queue and no segment was deleted; stops at the end of the pass, before its report.
 */
export type Breakpoint =
  `before_${PassPhase}` | 'on_gate_block' | 'on_failure' | 'queue_shrank_without_reclaim'

/** A pass that stands still and keeps the slot. */
export interface PassStop {
  passId: number
  source: PassSource
  /** The phase that runs next; null = only the report is left. */
  before: PassPhase | null
  /** `step`: the pass is being stepped. */
  why: 'step' | Breakpoint
  /** Why it stopped there, in one sentence. */
  text: string
  /** What the pass has met and done so far. */
  gates: Gate[]
  steps: PassStep[]
}

/** A rewrite of this segment did not pay; plans leave it out until the cool-down is over. */
export interface RewritePenalty {
  segmentId: SegmentId
  /** Penalised rewrites so far. */
  attempts: number
  cooldownUntilMs: number
  /** Growth of the log by the last of them, after GC. */
  lastGrowthBytes: number
  /** Stale bytes of the segment then; materially more readmits it early. 0 = unknown. */
  lastStaleBytes: number
}

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
  | 'age_retry_not_due'
  | 'age_retry_due'
  | 'queue_runner_idle'
  | 'queue_pending'
  | 'queue_cooldown'
  | 'priority_yield'
  | 'no_checkpoint_running'
  | 'quiet_writes'
  | 'quiet_reads'
  | 'no_open_iterators'
  | 'missing_segments'
  | 'queue_quality'
  | 'rewrite_enabled'
  | 'rewrite_cancel_backoff'
  | 'rewrite_min_interval'
  | 'rewrite_budget'
  | 'trigger_total_bytes'
  | 'trigger_churn'
  | 'trigger_stale_ratio'
  | 'plan_cancel_backoff'
  | 'ineffective_backoff'
  | 'plan_min_interval'
  | 'plan_completed'
  | 'plan_selected'
  | 'gc_enabled'
  | 'gc_not_held_back'
  | 'gc_min_interval'
  | 'gc_eligible'
  | 'vacuum_enabled'
  | 'vacuum_trigger_bytes'
  | 'vacuum_min_interval'

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
  /** Named by protectedIds. */
  | 'protected'
  /** One of the newest two of a lane that holds a protected segment. */
  | 'recent'
  | 'zombie'
  | 'empty'
  | 'age'
  /** Cooling down after a rewrite of it that did not pay. */
  | 'penalty'
  /** A stale floor or a live cap is on, and live bytes are not known. */
  | 'live_bytes_unknown'
  | 'no_live_bytes'
  | 'no_stale_bytes'
  | 'stale_ratio'
  | 'stale_bytes'
  | 'max_segments'
  | 'max_live_bytes'
  | 'max_copied_bytes'

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
  /** Lowers minStaleBytes for small segments: the floor is at most this share of the segment, at least 1. */
  minStaleBytesCapRatio: number
  minAgeMs: number
  /** Only without explicit ids (B1, F3). */
  maxSegments: number
  /** Cap on the sum of live bytes to copy; the first pick is always allowed. Only without explicit ids. */
  maxLiveBytes: number
  /** Copying ends here, within a segment if need be; later candidates wait. Also for explicit ids. */
  maxCopiedBytes: number
  /** Left alone, and with them the newest two segments of their lanes; explicit ids are taken anyway. */
  protectedIds: SegmentId[]
  /**
   * Explicit sources: bypass active, protected and recent filters and caps, obey age and stale filters
   * (B2). With no other filter on, each one that exists is taken. null = all segments.
   */
  segmentIds: SegmentId[] | null
}

export interface RewritePlan {
  filters: PlanFilters
  /** In the order they would be rewritten. */
  sourceSegmentIds: SegmentId[]
  /** The same with their economics; empty in a queue-only plan, which is one without known live bytes (B15). */
  selected: LedgerEntry[]
  /** false: not every reference could be read; each segment then counts as fully live. */
  liveBytesKnown: boolean
  /** Source record bytes to copy: all that lives in the selected ones, or maxCopiedBytes of it. */
  copyBytes: number
  /** The selected one that maxCopiedBytes ends in: it would be copied in part. null = none. */
  partialSegmentId: SegmentId | null
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
  /** Pointer swaps in one turn of the thread, the only time writers are excluded. 0 = 256; at most 65,170. */
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

/**
 * Where a segment stands for GC. Each is in exactly one class, the first of this order that fits:
 * referenced (it has live bytes), active (written now), then by what keeps a dead one: in_use (a
 * rewrite reads it, or the journal would replay it), retained (a snapshot or iterator), overlap (both),
 * other (only a root of a meta page), and eligible (nothing; an unlink that failed is tried again).
 */
export type GcClass =
  'referenced' | 'active' | 'in_use' | 'retained' | 'overlap' | 'other' | 'eligible'

export interface SegmentTally {
  segments: number
  bytes: number
}

/** One keeper of dead segments and what its end would free. */
export interface Holding {
  keeper: SegmentKeeper
  /** Dead segments it keeps, alone or with others. */
  segmentIds: SegmentId[]
  bytes: number
  /** Of those: kept by nothing else. */
  freesSegmentIds: SegmentId[]
  freesBytes: number
}

/** A dead segment that is still on disk, and everything that keeps it there. */
export interface GcVerdict {
  segmentId: SegmentId
  bytesTotal: number
  class: GcClass
  keptBy: SegmentKeeper[]
}

/**
 * One look at zombies after a reader ended (upstream's retained prune). It knows who keeps what, so it
 * needs no scan: a prune that the foreground or a budget aborts does not exist here.
 */
export interface RetainedPruneReport {
  /** Label of the reader whose end called for it. */
  heldBy: string
  /** close_abort: the engine began to close in between; the next opening goes on. */
  status: 'no_candidates' | 'completed' | 'close_abort'
  /** Zombies there were, and how many of them something still keeps. */
  candidates: number
  inUseSkipped: number
  removed: SegmentId[]
  bytesRemoved: number
  errors: { segmentId: SegmentId; code: string; message: string }[]
}

export interface GcReport {
  dryRun: boolean
  /** Before anything was deleted; the classes add up to the total. */
  total: SegmentTally
  classes: Record<GcClass, SegmentTally>
  /** The same for the segments the caller asked about; null when it asked about none. */
  observed: {
    /** Ids that no segment has. */
    unknown: SegmentId[]
    total: SegmentTally
    classes: Record<GcClass, SegmentTally>
    deleted: SegmentTally
    pending: SegmentTally
  } | null
  /** Eligible and still there: all of them in a dry run, else those whose unlink failed. */
  pending: SegmentId[]
  bytesPending: number
  /** Of each dead segment still there at the end, ascending by id. */
  verdicts: GcVerdict[]
  /** Who keeps them, most bytes first. */
  holdings: Holding[]
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
  /** It ended before all that is eligible was tried: by time, the foreground or its pass. The rest is pending. */
  cancelled: boolean
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

/** One thing a pass did, in order. `elapsedMs` is real time, that of a prune with the saving of it. */
export type PassStep =
  | { kind: 'prune_missing'; segmentIds: SegmentId[]; remaining: number; elapsedMs: number }
  | {
      kind: 'prune_quality'
      segmentIds: SegmentId[]
      remaining: number
      minStaleRatio: number
      elapsedMs: number
    }
  /** The ledger's bytes were brought up to now; `segmentIds` fell out of the queue by it. */
  | {
      kind: 'refresh'
      segmentIds: SegmentId[]
      remaining: number
      minStaleRatio: number
      bytesLive: number
      bytesStale: number
      elapsedMs: number
    }
  | { kind: 'plan'; plan: RewritePlan; elapsedMs: number }
  | { kind: 'stage'; segmentIds: SegmentId[]; dueAtMs: number; minStaleRatio: number }
  | { kind: 'confirm'; segmentIds: SegmentId[]; result: 'executes' | 'cleared' | 'postponed' }
  | { kind: 'rewrite'; reason: RewriteReason; report: RewriteReport }
  | { kind: 'consume'; segmentIds: SegmentId[]; remaining: number }
  | { kind: 'gc'; report: GcReport }
  | { kind: 'checkpoint'; report: CheckpointReport }
  | { kind: 'restage'; remaining: number; dueAtMs: number }
  /** The plan was dropped: foreground activity resumed, or it took too long. */
  | { kind: 'plan_canceled'; why: 'foreground' | 'deadline' | 'aborted'; elapsedMs: number }
  /** The rewrite did not pay: these ids cool down. */
  | { kind: 'penalty'; segmentIds: SegmentId[]; growthBytes: number; cooldownUntilMs: number }
  | { kind: 'age_block'; segments: number; untilMs: number }
  | { kind: 'vacuum'; report: VacuumReport }

/** What an index vacuum of this moment would do. Made from counts of pages: nothing is read or changed. */
export interface VacuumPlan {
  /** Of index.db now. */
  bytesBefore: number
  /** Of index.db once nothing keeps old pages; the file is a whole multiple of 256 KiB. */
  bytesAfter: number
  /** Pages that the index has, with and without use. */
  pagesTotal: number
  pagesFree: number
  /** Pages behind the end that the index would have: about as many are copied to the front. */
  pagesMoved: number
  /** `pagesMoved` in bytes. */
  bytesMoved: number
  /** Old pages that open readers, or a tree before the newest one, still hold. */
  pagesHeld: number
  /** false: so few pages are free that none would be moved; only free space at the end would go. */
  moves: boolean
  /** Readers open now: what a vacuum moves stays on disk a second time until the last of them ends. */
  readers: number
}

/** An index vacuum: pages of index.db moved to the front, and its end cut off. */
export interface VacuumReport {
  /** false: cancelled, or readers hold pages that keep the file long; `text` says which. */
  done: boolean
  text: string
  /** Of the file. */
  bytesBefore: number
  bytesAfter: number
  /** Pages of either tree that got a place further in front. */
  pagesMoved: number
  /** Trees published on the way; each waits for the disk three times. */
  commits: number
  /** Old pages that readers still hold; a checkpoint after the last of them cuts the file. */
  pagesHeld: number
  cancelled: boolean
  /** Longest time the thread was held without yielding. */
  longestSliceMs: number
  elapsedMs: number
}

/** What the store held at one moment. */
export interface StoreTotals {
  segments: number
  /** Dead, still on disk. */
  zombies: number
  bytesTotal: number
  bytesLive: number
  bytesStale: number
  /** null = no write budget. */
  budgetTokensBytes: number | null
  penalties: number
}

/**
 * Where the bytes of the rewritten sources went. selected = unprocessed + stillReferenced +
 * unreferenced; unreferenced = deleted + pinned + retained + residual.
 */
export interface ByteFlow {
  /** Whole sources that were chosen, and their stale part then. */
  selectedBytesTotal: number
  selectedBytesStale: number
  /** Sources whose rewrite ended; the rest was cancelled or failed. */
  processedBytes: number
  unprocessedBytes: number
  /** Of the processed: something still points into them. */
  stillReferencedBytes: number
  unreferencedBytes: number
  /** The file is gone. */
  deletedBytes: number
  /** Dead, kept by a snapshot or an iterator. */
  pinnedBytes: number
  /** Dead, kept by something else: an old root, the journal, a failed unlink, GC not yet run. */
  retainedBytes: number
  /** Unreferenced bytes that none of these accounts for: 0, or a defect. */
  residualBytes: number
}

/** What a rewrite promised when it was chosen against what it brought. Bytes. */
export interface PassYield {
  predictedCopiedBytes: number
  /** Stale bytes of the sources. */
  predictedFreedBytes: number
  actualCopiedBytes: number
  /** Deleted minus written; negative when the log grew. */
  actualFreedBytes: number
}

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
  storeBefore: StoreTotals
  storeAfter: StoreTotals
  /** null: nothing was rewritten. */
  yield: PassYield | null
  /** null: nothing was rewritten. */
  byteFlow: ByteFlow | null
  outcome: PassOutcome
  /** The blocking gate when outcome is 'blocked'. */
  blockedBy: GateName | null
  /** One sentence for a person: what happened and why. */
  sentence: string
  error: { code: string; message: string } | null
}

// ---------------------------------------------------------------- passes that have not run

/**
 * What a pass would come to if it began at `atMs` and nothing changed until then: the pass's own decision,
 * taken and not executed. What it cannot know is how a copy goes: that it fails, is cancelled or does not pay.
 */
export interface PassPreview {
  source: PassSource
  /** Engine clock. */
  atMs: number
  /** null: there would be no pass at all; the sentence says why. */
  outcome: Exclude<PassOutcome, 'failed' | 'cancelled'> | null
  /** In the order met, up to and with the first that blocks; the report of the pass begins with the same. */
  gates: Gate[]
  /** As in the report; without a pass the gate that refused it, null when no gate did. */
  blockedBy: GateName | null
  /** For a person: what would be done, or why nothing. */
  sentence: string
  /** Would leave the queue without a rewrite, in order. */
  dropped: SegmentId[]
  /** Chosen by a plan and staged, in order. */
  staged: SegmentId[]
  /** Would be rewritten, in order. */
  rewritten: SegmentId[]
  /** Live bytes of these, or as many of them as the budget pays for. */
  bytesCopied: number
  /** Dead already and deleted on their own; GC after a rewrite is not in it. */
  deleted: SegmentId[]
  /** Whole files: of the deleted ones, and of the rewritten ones once nothing keeps them. */
  bytesFreed: number
  /** Queued afterwards, and whether behind a confirm delay. */
  queueAfter: SegmentId[]
  stagedAfter: boolean
}

/** What may start a pass without being asked. */
export interface PreviewedWake {
  source: PassSource
  /** tick and timer: at `atMs`; slot: a kick that waited; checkpoint: whenever the foreground makes one. */
  on: 'tick' | 'timer' | 'slot' | 'checkpoint'
  /** Engine clock; null = an occasion and not a time. */
  atMs: number | null
  pass: PassPreview
}

/** All previews of one moment. */
export interface MaintenancePreview {
  /** Engine clock. */
  atMs: number
  /** Soonest first, a checkpoint last; only that while nothing may start by itself. */
  wakes: PreviewedWake[]
  /** A checkpoint that is asked for now, with the kick that follows from it. */
  checkpoint: PassPreview
  /** A pass of each source that is asked for now. */
  asked: Record<Exclude<PassSource, 'manual'>, PassPreview>
  /** Real time that making it took. */
  elapsedMs: number
}

// ---------------------------------------------------------------- engine state

export type Profile = 'durable' | 'wal_on_fast' | 'fast'
export type SchedulerMode = 'auto' | 'step'
export type SchedulerState = 'disabled' | 'idle' | 'running' | 'error'

export interface SchedulerInfo {
  mode: SchedulerMode
  paused: boolean
  /** What was said when it was paused; null = not paused, or nothing was said. */
  pauseReason: string | null
  phase: MaintenancePhase
  /** A file whose presence holds passes back, and what was seen at the last look; null = none is set. */
  pauseFile: ({ file: string } & PauseFileSight) | null
  state: SchedulerState
  lastReason: RewriteReason
  /** The pass now in the slot. */
  activePass: { passId: number; source: PassSource; startedAtMs: number } | null
  /** Start of the last rewrite. */
  lastRewriteAtMs: number | null
  /** The last plan that was made to the end. */
  lastPlanAtMs: number | null
  lastGcAtMs: number | null
  lastCheckpointKickAtMs: number | null
  policy: MaintenancePolicy
  /** A pass that stands still; null = none. */
  stopped: { passId: number; source: PassSource; before: PassPhase | null } | null
  /** Set by `setBreakpoints`; in the order given. */
  breakpoints: Breakpoint[]
  /** A kick found the slot taken and waits for it. */
  checkpointKickPending: boolean
  /** A stage or age-blocked retry is due and waits for the slot. */
  deferredPending: boolean
  /**
   * A plan found stale segments that were too young; the retry for them is due then: when the first is old enough, or
   * when the gate opens that refused the last one. null = not blocked.
   */
  ageBlockedUntilMs: number | null
  /** Tokens of the write budget as of `accruedAtMs`; null = no budget. */
  budget: {
    bytesPerSecond: number
    tokensBytes: number
    capBytes: number
    accruedAtMs: number | null
  } | null
  lastPlanCanceledAtMs: number | null
  lastRewriteCanceledAtMs: number | null
  /** The last rewrite that was penalised. */
  lastIneffectiveAtMs: number | null
  lastVacuumAtMs: number | null
  /** The queue runner pauses until then: its last run freed nothing. null = it does not. */
  queueCooldownUntilMs: number | null
  /** Foreground bytes a second between the last two passes that looked; null before the second. */
  churnBytesPerSecond: number | null
  lastGcDryRun: { atMs: number; eligibleBytes: number; eligibleSegments: number } | null
  /** The last rewrite that ended. */
  lastRewrite: {
    atMs: number
    elapsedMs: number
    sourceSegments: number
    sourceSegmentsStillReferenced: number
    sourceSegmentsUnreferenced: number
    sourceBytes: number
    sourceBytesStillReferenced: number
    sourceBytesUnreferenced: number
    liveBytes: number
    bytesWritten: number
    reclaimedBytes: number
  } | null
}

/** A reader that keeps dead segments on disk. */
export interface Pin {
  pinId: number
  kind: 'snapshot' | 'iterator'
  label: string
  sinceMs: number
}

/** Sums since this opening; the units are the last word. */
export interface Counters {
  checkpoints: number
  checkpointKicks: number
  /** Kicks during which a rewrite, or a GC run, ended. */
  checkpointKickRewriteRuns: number
  checkpointKickGcRuns: number
  /** Kicks that were refused by their own gates. */
  checkpointKickSkips: number
  /** Passes that took the slot. */
  passes: number
  /** Somebody wanted the slot while it was taken. */
  passCollisions: number
  passElapsedMs: number
  passElapsedMaxMs: number
  /** Passes that left because debt was staged: not due yet, or due and reserved for its confirm. */
  passSkipsStageNotDue: number
  passSkipsStageDueReserved: number
  /** Passes that a phase other than `steady`, or the pause file, held back. */
  passSkipsPhase: number
  passSkipsPauseFile: number
  planRuns: number
  planCanceled: number
  planErrors: number
  planEmpty: number
  /** Plans that selected something, and how many segments. */
  planSelected: number
  planSelectedSegments: number
  planElapsedMs: number
  rewriteRuns: number
  rewriteCanceledRuns: number
  /** Failed rewrites and failed plans. */
  rewriteFailedRuns: number
  rewriteElapsedMs: number
  rewriteRecordsCopied: number
  rewriteBytesRead: number
  rewriteBytesWritten: number
  /** Live bytes of processed sources, as consumed from the budget. */
  rewriteBytesIn: number
  rewriteSourceSegments: number
  rewriteSourceSegmentsStillReferenced: number
  rewriteSourceSegmentsUnreferenced: number
  rewriteSourceBytes: number
  rewriteSourceBytesStillReferenced: number
  rewriteSourceBytesUnreferenced: number
  /** Bytes of processed sources when they were chosen. */
  rewriteProcessedLiveBytes: number
  rewriteProcessedStaleBytes: number
  /** By how much rewrites, and the GC of the same pass, made the log smaller. */
  rewriteReclaimedBytes: number
  rewriteIneffectiveRuns: number
  /** Bytes of the log before each of them, and after it and its GC. */
  rewriteIneffectiveBytesIn: number
  rewriteIneffectiveBytesOut: number
  /** Rewrites after which none of their sources was deleted, and the stale bytes that stayed. */
  rewriteNoReclaimRuns: number
  rewriteNoReclaimStaleBytes: number
  budgetConsumedBytes: number
  penaltiesRecorded: number
  penaltiesReadmitted: number
  penaltiesExpired: number
  gcRuns: number
  gcDryRuns: number
  gcElapsedMs: number
  gcDeletedSegments: number
  gcDeletedBytes: number
  queuePruneRuns: number
  queuePrunedIds: number
  vacuumRuns: number
  vacuumFailures: number
  vacuumElapsedMs: number
  vacuumSkipsDisabled: number
  vacuumSkipsThreshold: number
  vacuumSkipsCooldown: number
}

/** What the events rebuild: the maintenance-relevant state of one store. */
export interface EngineState {
  /** Ascending by segmentId. */
  segments: SegmentInfo[]
  debt: RewriteDebt
  scheduler: SchedulerInfo
  /** Ascending by segmentId; saved with the debt. */
  penalties: RewritePenalty[]
  pins: Pin[]
  counters: Counters
  /** Last published checkpoint; its commit is null where a folder that is only read tells none. */
  checkpoint: {
    commitSeq: number | null
    atMs: number | null
    elapsedMs: number | null
    /** Absent: none in this opening. */
    reason?: CheckpointReport['reason']
  }
}

/** Policy numbers of maintenance, resolved. Extreme values switch things off as said. */
export interface MaintenanceOptions {
  policy: MaintenancePolicy
  /** 'off' makes `a_plus_c` behave as `a_only` (M2); the other policies never restage. */
  restage: 'on' | 'off'
  confirmDelayMs: number
  loopIntervalMs: number
  /** Every n-th periodic tick may run GC, whatever is dead; the others from `gcMinBytes` on. */
  gcEvery: number
  gcMinIntervalMs: number
  /** Longest GC run of a pass; what it did not come to is pending. */
  gcTimeoutMs: number
  /** Dead bytes that nothing holds, from which on any tick may run GC; 0 = any. */
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
  /** Foreground bytes a second that trigger a rewrite at the generic floor; 0 = trigger off. */
  triggerChurnBytesPerSec: number
  /** Rate of the token bucket that rewrites draw their live bytes from; 0 = no budget. */
  rewriteBudgetBytesPerSec: number
  /** Tokens at open: a bucket that starts empty would refuse the first pass of every opening. */
  rewriteBudgetStartBytes: number
  /** Segments of one debt-drain run at most; only `queue_runner` drains more than one. */
  debtDrainMaxSegments: number
  /** After a plan that was cancelled or took too long. */
  planCancelBackoffMs: number
  /** After a rewrite that was cancelled. */
  rewriteCancelBackoffMs: number
  /** After a penalised rewrite; holds fresh plans back. */
  ineffectiveBackoffMs: number
  /** Growth of the log by one rewrite that is penalised. */
  ineffectiveGrowthMinBytes: number
  penaltyCooldownMs: number
  /** More stale bytes than at the penalty, as a share of the segment, that readmit it early. */
  penaltyReadmitStaleRatio: number
  /** A plan is not cancelled by foreground activity before this. */
  planResumeGraceMs: number
  planTimeoutMs: number
  /** Queued debt: a timeout only. Fresh debt: also cancelled by foreground activity. */
  rewriteTimeoutMs: number
  freshRewriteTimeoutMs: number
  /** How long a kick, or a due retry, waits for the slot before that is said. */
  checkpointKickRetryWindowMs: number
  deferredRetryWindowMs: number
  /** `queue_runner`: pause after a run that freed nothing. */
  queueFollowupCooldownMs: number
  /** A rewrite of this many source bytes or more is followed by an index vacuum; 0 = never. */
  vacuumTriggerRewriteBytes: number
  vacuumMinIntervalMs: number
  disableRewrite: boolean
  /** Also the GC of a pass after its rewrite (D13). */
  disableGc: boolean
  disableVacuum: boolean
  disableLoop: boolean
  disableCheckpointKick: boolean
  /**
   * No timer, no retry and no exit hook starts a pass (M7, F15): each pass is one pass. Ticks and kicks go on with
   * what is due.
   */
  disableAutoDeferred: boolean
}
