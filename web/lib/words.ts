// The engine's closed words in plain English, one table a union, so that every panel says the same.
// A new member of a union fails to compile here until it has its words.
import type {
  CandidateFilter,
  EngineEventType,
  ErrorCode,
  GateName,
  PassOutcome,
  PassSource,
  RecordingGap,
  RewriteReason,
  SegmentKeeper,
  SegmentState,
  WorkloadState,
} from '../../server/protocol.ts'
import { formatAge, formatCount } from './format.ts'

export const gateWords: Record<GateName, string> = {
  slot_free: 'No other pass is running',
  scheduler_running: 'Scheduler is not paused',
  first_checkpoint: 'A checkpoint has run',
  kick_min_interval: 'Long enough since the last kick',
  kick_trigger_floor: 'Enough debt for a kick',
  stage_not_pending: 'Nothing is waiting for confirm',
  stage_pending: 'Something is staged to confirm',
  stage_due: 'The confirm delay is over',
  age_retry_not_due: 'No age-blocked retry is due',
  age_retry_due: 'An age-blocked retry is due',
  queue_runner_idle: 'The queue runner has nothing to do',
  queue_pending: 'Something is queued to run',
  queue_cooldown: 'The queue runner is not pausing',
  priority_yield: 'No waiting kick or retry goes first',
  no_checkpoint_running: 'No checkpoint is being written',
  quiet_writes: 'Foreground writes are quiet',
  quiet_reads: 'Foreground reads are quiet',
  no_open_iterators: 'No iterator is open',
  missing_segments: 'Queued segments are on disk',
  queue_quality: 'Queued segments are stale enough',
  rewrite_enabled: 'Rewrites are switched on',
  rewrite_cancel_backoff: 'Long enough since a cancelled rewrite',
  rewrite_min_interval: 'Long enough since the last rewrite',
  rewrite_budget: 'The write budget has tokens',
  trigger_total_bytes: 'Total bytes reach the trigger',
  trigger_churn: 'Churn reaches the trigger',
  trigger_stale_ratio: 'Stale ratio reaches the trigger',
  plan_cancel_backoff: 'Long enough since a cancelled plan',
  ineffective_backoff: 'Long enough since a rewrite that did not pay',
  plan_min_interval: 'Long enough since the last plan',
  plan_completed: 'The plan was made to the end',
  plan_selected: 'The plan selected a segment',
  gc_enabled: 'GC is switched on',
  gc_not_held_back: 'No age-blocked retry holds GC back',
  gc_min_interval: 'Long enough since the last GC',
  gc_eligible: 'GC has something to delete',
  vacuum_enabled: 'The index vacuum is switched on',
  vacuum_trigger_bytes: 'Enough was rewritten for an index vacuum',
  vacuum_min_interval: 'Long enough since the last index vacuum',
}

export const filterWords: Record<CandidateFilter, string> = {
  not_requested: 'not among the chosen segments',
  active: 'still being written',
  protected: 'protected by the caller',
  recent: 'among the newest two of a protected lane',
  zombie: 'already dead, waiting for deletion',
  empty: 'holds no bytes',
  age: 'too young',
  penalty: 'cooling down after a rewrite that did not pay',
  live_bytes_unknown: 'live bytes not known',
  no_live_bytes: 'no live bytes: GC frees it without a copy',
  no_stale_bytes: 'no stale bytes: nothing to gain',
  stale_ratio: 'stale ratio too low',
  stale_bytes: 'too few stale bytes',
  max_segments: 'beyond the segment cap of one plan',
  max_live_bytes: 'beyond the live-byte cap of one plan',
  max_copied_bytes: 'beyond the bytes to copy in one pass',
}

export const outcomeWords: Record<PassOutcome, string> = {
  rewrote: 'rewrote',
  staged: 'staged',
  reclaimed: 'reclaimed',
  planned: 'planned',
  nothing_to_do: 'nothing to do',
  blocked: 'blocked',
  cancelled: 'cancelled',
  failed: 'failed',
}

export const outcomeGlyphs: Record<PassOutcome, string> = {
  rewrote: '✓',
  staged: '▤',
  reclaimed: '✓',
  planned: '◇',
  nothing_to_do: '·',
  blocked: '✕',
  cancelled: '⊘',
  failed: '!',
}

export const sourceWords: Record<PassSource, string> = {
  periodic: 'periodic pass',
  checkpoint_kick: 'checkpoint kick',
  checkpoint_pending: 'delayed checkpoint kick',
  rewrite_stage_confirm: 'stage confirm',
  rewrite_stage_confirm_exit: 'stage confirm after another pass',
  rewrite_age_blocked: 'age-blocked retry',
  rewrite_age_blocked_exit: 'age-blocked retry after another pass',
  rewrite_queue_pending: 'queue runner',
  manual: 'manual pass',
}

export const reasonWords: Record<RewriteReason, string> = {
  none: 'no reason given',
  total_bytes: 'total bytes over the trigger',
  stale_ratio: 'stale ratio over the trigger',
  churn: 'churn over the trigger',
  periodic_gc: 'periodic GC',
  post_rewrite_vacuum: 'index vacuum after a rewrite',
  rewrite_resume: 'resuming queued debt',
  manual: 'asked for by hand',
}

export const stateWords: Record<SegmentState, string> = {
  active: 'active',
  sealed: 'sealed',
  zombie: 'zombie',
}

export const workloadWords: Record<WorkloadState['status'], string> = {
  stopped: 'stopped',
  filling: 'filling the key space',
  churning: 'overwriting keys',
  resting: 'resting between bursts',
  capped: 'waiting: disk cap reached',
  failed: 'failed',
}

/** What the reader is told; the server's own message is shown under it as detail. */
export const errorSentences: Record<ErrorCode, string> = {
  UNAUTHORIZED:
    'The server does not know this page’s token. Open the address it printed when it started.',
  FORBIDDEN_ORIGIN: 'The server refuses requests from this page’s address.',
  FORBIDDEN_HOST: 'The server refuses this host name. Use the address it printed.',
  FORBIDDEN_ROLE: 'This page’s token may look and not act. Open the address of an operator.',
  FORBIDDEN_FOLDER: 'That folder is outside of what the server may open.',
  RATE_LIMITED: 'Too many requests in a short time. Try again in a moment.',
  CONFLICT: 'That is open already, or too much is open.',
  PLAN_REQUIRED: 'This needs a plan that is looked at before it is applied.',
  PLAN_CHANGED: 'The store has changed since the plan was made; nothing was done. Plan again.',
  PLAN_EXPIRED: 'The plan is too old; nothing was done. Plan again.',
  PLAN_NOT_CONFIRMED: 'The confirmation does not match the plan; nothing was done.',
  NOT_FOUND: 'The server does not have that.',
  BAD_REQUEST: 'The server did not understand the request. Check the values given.',
  READ_ONLY: 'This store is attached read-only, so nothing in it can be changed.',
  STORE_FAILED: 'The store has failed; it takes no actions until it is opened again.',
  TOO_LARGE: 'That is more than the server takes in one request.',
  INTERNAL: 'The server failed while doing this. Its log says more.',
  ENGINE_NOT_OPEN: 'The store is not open.',
  ENGINE_LOCKED: 'Another process holds the folder’s lock.',
  ENGINE_READ_ONLY: 'The store is open for reading only.',
  ENGINE_CORRUPT: 'The folder holds damaged data.',
  ENGINE_UNSUPPORTED: 'The folder uses something this version does not read.',
  ENGINE_IO: 'Reading or writing the folder failed.',
  ENGINE_ABORTED: 'It was cancelled before it was done.',
  ENGINE_OPTIONS: 'One of the values is outside what the engine accepts.',
  ENGINE_NOT_A_FOLDER: 'The path is not a data folder.',
  ENGINE_SEGMENT_MISSING: 'A segment that was named is not on disk.',
  ENGINE_KEY_SIZE: 'A key is empty or too long.',
  ENGINE_VALUE_SIZE: 'A value is too long.',
  ENGINE_LIMIT: 'A limit of the engine is reached.',
  ENGINE_REWRITE_REFUSED: 'The folder is in no state that an offline rewrite starts from.',
  ENGINE_BUSY: 'Another pass holds the slot. Try again when it is done.',
}

/** Why a segment without live bytes is still on disk. */
export function keeperText(keeper: SegmentKeeper, nowMs: number | null): string {
  const since = (sinceMs: number) => (nowMs === null ? '' : ` for ${formatAge(nowMs - sinceMs)}`)
  switch (keeper.kind) {
    case 'active_writer':
      return 'it is the newest of its lane, where the foreground goes on writing'
    case 'snapshot':
      return `snapshot “${keeper.label}”${since(keeper.sinceMs)}`
    case 'iterator':
      return `iterator “${keeper.label}”${since(keeper.sinceMs)}`
    case 'root':
      return `a root in meta page ${keeper.metaPage} may still name it after a crash`
    case 'journal':
      return 'the journal may still name it after a crash'
    case 'rewriting':
      return 'a rewrite is reading it'
    case 'awaiting_gc':
      return 'nothing keeps it: the next GC deletes it'
    case 'error':
      return isNotTold(keeper.code)
        ? `it is not known whether anything names it: ${keeper.message}`
        : `deleting it failed: ${keeper.message} (${keeper.code})`
  }
}

/** A folder of which a part could not be read; no deletion fails so. */
function isNotTold(code: string): boolean {
  return code === 'ENGINE_CORRUPT' || code === 'ENGINE_UNSUPPORTED'
}

/** The short form for a table cell. */
export function keeperShort(keeper: SegmentKeeper): string {
  switch (keeper.kind) {
    case 'active_writer':
      return 'newest of its lane'
    case 'snapshot':
      return `snapshot “${keeper.label}”`
    case 'iterator':
      return `iterator “${keeper.label}”`
    case 'root':
      return `root in meta page ${keeper.metaPage}`
    case 'journal':
      return 'journal'
    case 'rewriting':
      return 'running rewrite'
    case 'awaiting_gc':
      return 'nothing: awaits GC'
    case 'error':
      return isNotTold(keeper.code) ? 'not known by what' : `error ${keeper.code}`
  }
}

/** What keeps dead segments besides readers, and what ends that. */
export const holdingWords: Record<
  Exclude<SegmentKeeper['kind'], 'snapshot' | 'iterator'>,
  { what: string; until: string }
> = {
  active_writer: { what: 'being the newest of its lane', until: 'goes on to another segment' },
  root: { what: 'an older root of the index', until: 'the next checkpoint, or the one after it' },
  journal: { what: 'the journal', until: 'the next checkpoint' },
  rewriting: { what: 'a rewrite that reads it', until: 'that rewrite ends' },
  awaiting_gc: { what: 'nothing any more', until: 'the next GC deletes it' },
  error: { what: 'a deletion that failed', until: 'a GC deletes it after all' },
}

/** Reader pins are the reason a person can do something about. */
export function isPinned(keptBy: readonly SegmentKeeper[]): boolean {
  return keptBy.some((keeper) => keeper.kind === 'snapshot' || keeper.kind === 'iterator')
}

export const eventGroups = [
  'passes',
  'plan',
  'queue',
  'rewrite',
  'gc',
  'checkpoint',
  'segments',
  'pins',
  'foreground',
  'store',
  'scheduler',
  'bytes',
  'counters',
] as const
export type EventGroup = (typeof eventGroups)[number]

/** Chip under which the trace files an event type. */
export const groupOfEvent: Record<EngineEventType, EventGroup> = {
  store_opened: 'store',
  state_file_ignored: 'store',
  scheduler_changed: 'scheduler',
  checkpoint_done: 'checkpoint',
  checkpoint_kick_skip: 'checkpoint',
  checkpoint_kick_start: 'checkpoint',
  checkpoint_kick_done: 'checkpoint',
  maintenance_retry_collision: 'passes',
  maintenance_skip: 'passes',
  maintenance_phase_change: 'scheduler',
  maintenance_retry_start: 'passes',
  maintenance_retry_attempt: 'passes',
  maintenance_retry_done: 'passes',
  maintenance_retry_deadline: 'passes',
  pass_stopped: 'passes',
  pass_resumed: 'passes',
  options_changed: 'scheduler',
  maintenance_active_acquire: 'passes',
  maintenance_active_release: 'passes',
  maintenance_failed: 'passes',
  recording_stopped: 'store',
  recording_resumed: 'store',
  pass_done: 'passes',
  rewrite_plan: 'plan',
  rewrite_plan_canceled: 'plan',
  rewrite_plan_failed: 'plan',
  rewrite_plan_age_blocked: 'plan',
  rewrite_age_blocked_retry_due: 'plan',
  rewrite_plan_staged: 'queue',
  rewrite_stage_confirm_due: 'queue',
  rewrite_stage_confirm_use_persisted: 'queue',
  rewrite_stage_cleared: 'queue',
  rewrite_queue_prune: 'queue',
  rewrite_queue_refresh: 'queue',
  rewrite_queue_refresh_prune: 'queue',
  rewrite_queue_followup_suppressed: 'queue',
  rewrite_queue_missing_prune: 'queue',
  rewrite_queue_quality_prune: 'queue',
  rewrite_queue_restage: 'queue',
  rewrite_queue_restaged: 'queue',
  debt_changed: 'queue',
  rewrite_skip: 'rewrite',
  rewrite_start: 'rewrite',
  rewrite_exec: 'rewrite',
  rewrite_done: 'rewrite',
  rewrite_err: 'rewrite',
  rewrite_effective_local: 'rewrite',
  rewrite_ineffective: 'rewrite',
  rewrite_ineffective_penalty: 'rewrite',
  rewrite_retained_cleanup_done: 'rewrite',
  rewrite_source_state: 'rewrite',
  penalties_changed: 'rewrite',
  gc_run: 'gc',
  gc_skip: 'gc',
  gc_err: 'gc',
  vacuum_run: 'gc',
  vacuum_skip: 'gc',
  retained_prune: 'gc',
  segment_created: 'segments',
  segment_sealed: 'segments',
  segment_zombie: 'segments',
  segment_kept: 'segments',
  segment_deleted: 'segments',
  segment_bytes: 'bytes',
  counters_changed: 'counters',
  pin_opened: 'pins',
  pin_released: 'pins',
  foreground_latency: 'foreground',
}

export const groupWords: Record<EventGroup, string> = {
  passes: 'Passes',
  plan: 'Plans',
  queue: 'Queue and stage',
  rewrite: 'Rewrites',
  gc: 'GC',
  checkpoint: 'Checkpoints',
  segments: 'Segments',
  pins: 'Pins',
  foreground: 'Foreground latency',
  store: 'Store',
  scheduler: 'Scheduler state',
  bytes: 'Byte changes',
  counters: 'Counters',
}

/** Too many and too small to read one by one; the map, the totals and the lines of a pass tell the same. */
export const groupsHiddenAtFirst: readonly EventGroup[] = ['scheduler', 'bytes', 'counters']

const gapWords: Record<RecordingGap['why'], string> = {
  retention: 'were given up for space',
  stopped: 'came while the recording stood still',
  damaged: 'cannot be read',
  torn_tail: 'may be lost: the file ends inside a block',
  not_closed: 'may be lost: the store was not closed in order',
}

/** What a recording has not, in one sentence. */
export function recordingGapText({ fromSeq, toSeq, why, text }: RecordingGap): string {
  if (toSeq === null) {
    return `The newest moments, after event ${formatCount(fromSeq - 1)}, ${gapWords[why]}.`
  }
  const range =
    fromSeq === toSeq
      ? `Event ${formatCount(fromSeq)}`
      : `Events ${formatCount(fromSeq)} to ${formatCount(toSeq)}`
  return `${range} ${gapWords[why]} (${text}).`
}
