/**
 * The wire contract: REST bodies and live messages. Types and constants only; the browser imports
 * this file, so nothing here may pull in run-time code. Version 1; every path starts with API_BASE,
 * behind the prefix of the plugin where the server is embedded.
 *
 * Authentication: `Authorization: Bearer <token>` on REST; on the websocket the two subprotocols
 * `restage.v1` and `restage.token.<token>` (the server answers with the first). The token reaches
 * the page in the URL fragment (`/#token=...`), never in a query string. The token says the role.
 */
import type {
  Breakpoint,
  CheckpointReport,
  EngineEvent,
  EngineEventType,
  EngineGauges,
  EngineInfo,
  EngineState,
  GateName,
  GcReport,
  LatencyFigures,
  MaintenanceOptions,
  MaintenancePhase,
  PassOutcome,
  PassReport,
  PassSource,
  PassStop,
  PauseFileSight,
  PlanFilters,
  RewritePlan,
  SegmentId,
  SchedulerMode,
  VacuumReport,
} from '../engine/types.ts'
import type { Role } from './protocol-control.ts'

export type * from '../engine/types.ts'
export type * from './protocol-control.ts'
export type * from './protocol-history.ts'

export const API_BASE = '/api/v1'
export const LIVE_PATH = '/api/v1/live'
export const LIVE_PROTOCOL = 'restage.v1'
export const LIVE_TOKEN_PREFIX = 'restage.token.'

// ---------------------------------------------------------------- errors

/** Closed list; the UI has a sentence of its own for each. Engine codes pass through unchanged. */
export type ErrorCode =
  | 'UNAUTHORIZED'
  | 'FORBIDDEN_ORIGIN'
  | 'FORBIDDEN_HOST'
  /** The token is good, its role is not enough. */
  | 'FORBIDDEN_ROLE'
  /** The folder is outside of every `--allow-root`, after resolving links. */
  | 'FORBIDDEN_FOLDER'
  | 'NOT_FOUND'
  | 'BAD_REQUEST'
  | 'READ_ONLY'
  | 'RATE_LIMITED'
  /** The folder is open here already, or too many stores are. */
  | 'CONFLICT'
  /** The action destroys or costs: make a plan of it first, then apply the plan. */
  | 'PLAN_REQUIRED'
  /** What the plan was made from is not so any more; nothing was done. */
  | 'PLAN_CHANGED'
  | 'PLAN_EXPIRED'
  /** The confirmation does not say the plan's segments and bytes. */
  | 'PLAN_NOT_CONFIRMED'
  | 'STORE_FAILED'
  | 'TOO_LARGE'
  | 'INTERNAL'
  | 'ENGINE_NOT_OPEN'
  | 'ENGINE_LOCKED'
  | 'ENGINE_READ_ONLY'
  | 'ENGINE_CORRUPT'
  | 'ENGINE_UNSUPPORTED'
  | 'ENGINE_IO'
  | 'ENGINE_ABORTED'
  | 'ENGINE_OPTIONS'
  | 'ENGINE_NOT_A_FOLDER'
  | 'ENGINE_SEGMENT_MISSING'
  | 'ENGINE_KEY_SIZE'
  | 'ENGINE_VALUE_SIZE'
  | 'ENGINE_LIMIT'
  | 'ENGINE_REWRITE_REFUSED'
  | 'ENGINE_BUSY'

export interface ErrorBody {
  error: { code: ErrorCode; message: string; details?: unknown }
}

// ---------------------------------------------------------------- stores

export type StoreMode = 'hosted' | 'attached'

export interface StoreInfo {
  storeId: string
  /** Last part of the folder's path. */
  name: string
  /** Absolute. */
  dir: string
  mode: StoreMode
  /** 'failed': the worker died or the folder could not be opened; `failure` says why. */
  status: 'opening' | 'open' | 'failed'
  failure: { code: ErrorCode; message: string } | null
  /** null unless open. */
  engine: EngineInfo | null
  /** Facts of an attached folder that the live state has no place for. */
  attachment: AttachmentReport | null
  /** Server's wall clock; null until it was open once. */
  openedAtMs: number | null
  /** false: belongs to the program that embeds this server, and only that one closes it. */
  closable: boolean
}

/** What a read-only reading of a folder found beside its segments. */
export interface AttachmentReport {
  readAtMs: number
  /** null when no meta page can be used. */
  commitSeq: number | null
  /** null when no tree can be read. */
  keyCount: number | null
  /** Why live bytes are not known, in one sentence: those of the state are lower bounds then. null when they are exact. */
  liveBytesUnknown: string | null
  /** Journal records after the last checkpoint; shown, not applied. */
  journalPending: number
  /** Named features that this version does not read, each in one sentence. */
  unsupported: string[]
  /** Things that looked wrong, each in one sentence: torn tails, missing segments, damaged pages. */
  problems: string[]
}

/** GET {API_BASE}/stores/:storeId/state; also the body of a live snapshot, where `seq` is the last event contained. */
export interface StoreSnapshot {
  state: EngineState
  /** As of an attachment: why live and stale bytes in `state` are bounds and no facts. null: they are exact. */
  liveBytesUnknown: string | null
  gauges: EngineGauges
  /** null for an attached store. */
  workload: WorkloadState | null
}

// ---------------------------------------------------------------- workload

export type WorkloadShape = 'uniform' | 'skewed'

export interface WorkloadSettings {
  /** Deterministic: the same seed gives the same keys, values and order. */
  seed: number
  shape: WorkloadShape
  /** Size of the key space. */
  keys: number
  valueBytes: number
  /** Overwrites a second while churning. */
  putsPerSecond: number
  /** Share of operations that delete instead of put, 0..1. */
  deleteRatio: number
  /** Churn for burstMs, rest for restMs, repeat; restMs 0 = never rest. Rests let periodic passes run. */
  burstMs: number
  restMs: number
  /** Pauses churning while value-log files exceed this; 0 = no cap. */
  diskCapBytes: number
}

/** What a field of the settings may hold: both ends included, whole numbers unless said. */
export const WORKLOAD_BOUNDS: Record<
  Exclude<keyof WorkloadSettings, 'shape'>,
  { min: number; max: number; whole: boolean }
> = {
  seed: { min: 0, max: 0xffff_ffff, whole: true },
  keys: { min: 1, max: 10_000_000, whole: true },
  // At least the readable start of a value.
  valueBytes: { min: 32, max: 1024 * 1024, whole: true },
  putsPerSecond: { min: 1, max: 1_000_000, whole: true },
  deleteRatio: { min: 0, max: 1, whole: false },
  burstMs: { min: 100, max: 30 * 24 * 3600 * 1000, whole: true },
  restMs: { min: 0, max: 30 * 24 * 3600 * 1000, whole: true },
  diskCapBytes: { min: 0, max: Number.MAX_SAFE_INTEGER, whole: true },
}

export interface WorkloadState {
  settings: WorkloadSettings
  /** filling = first write of the key space; resting = between bursts; capped = at diskCapBytes. */
  status: 'stopped' | 'filling' | 'churning' | 'resting' | 'capped' | 'failed'
  /** Height in the current key prefixes. */
  height: number
  putsTotal: number
  /** Over the last second. */
  putsPerSecond: number
  failure: string | null
}

// ---------------------------------------------------------------- actions

/** POST {API_BASE}/stores/:storeId/actions/<name>; body as given, answer as given. All need a hosted store. */
export interface Actions {
  /** Checkpoint, then the checkpoint kick that follows from it (null when the kick was skipped; `kickSkipped` says why). */
  checkpoint: {
    body: Record<string, never>
    answer: { checkpoint: CheckpointReport; pass: PassReport | null; kickSkipped: string | null }
  }
  'periodic-pass': { body: Record<string, never>; answer: { pass: PassReport } }
  'stage-confirm': { body: Record<string, never>; answer: { pass: PassReport } }
  /** One pass of any source, now, whatever the mode or pause. */
  'run-pass': { body: { source: Exclude<PassSource, 'manual'> }; answer: { pass: PassReport } }
  /**
   * Step mode only: periodic passes and due confirms, one after another, until `until` holds. Between
   * them the clock jumps to whatever the scheduler waits for.
   */
  'run-until': {
    body: {
      until: RunUntil
      /** Most passes, 1 to 200. */
      passesMax: number
      /** Most virtual time. */
      advanceMaxMs: number
    }
    answer: RunUntilAnswer
  }
  gc: { body: { dryRun: boolean }; answer: { gc: GcReport } }
  /** Dry: changes nothing. Missing filters take the options' values. */
  plan: { body: { filters?: Partial<PlanFilters> }; answer: { plan: RewritePlan } }
  /** Plans and stages what the filters select, as a stale-ratio pass would. */
  stage: { body: { filters?: Partial<PlanFilters> }; answer: { pass: PassReport } }
  /** A manual pass over exactly these segments. */
  rewrite: { body: { segmentIds: SegmentId[] }; answer: { pass: PassReport } }
  /** The reason, one line, is shown to whoever wonders why nothing runs. */
  pause: { body: { reason?: string }; answer: { paused: true } }
  resume: { body: Record<string, never>; answer: { paused: false } }
  mode: { body: { mode: SchedulerMode }; answer: { mode: SchedulerMode } }
  /** What the node around the store is doing: in any phase but `steady` no pass starts by itself. */
  'set-phase': { body: { phase: MaintenancePhase }; answer: { phase: MaintenancePhase } }
  /**
   * Puts the pause file down with one line that says why ('' = nothing), or takes it away (null). It
   * outlives this server. ENGINE_OPTIONS when the store was opened without one.
   */
  'set-pause-file': { body: { reason: string | null }; answer: PauseFileSight }
  /** Gives free space of index.db back; the store stays in use. Planned, because it copies pages. */
  vacuum: { body: Record<string, never>; answer: { vacuum: VacuumReport } }
  /** Step mode only. */
  'advance-clock': { body: { ms: number }; answer: { nowMs: number } }
  /**
   * One phase of a pass. Nothing stopped: starts a pass of `source` (default periodic) and stops it
   * before its first phase. Answers with the stop, or with the report when the pass has ended.
   */
  'step-phase': { body: { source?: Actions['run-pass']['body']['source'] }; answer: PassProgress }
  /** Lets the stopped pass run on, to its end or to the next breakpoint. */
  'resume-pass': { body: Record<string, never>; answer: PassProgress }
  /** What is done stays done; null when no pass ran. */
  'cancel-pass': { body: Record<string, never>; answer: { pass: PassReport | null } }
  /** The pass that stands still, with what it has met so far. */
  'stopped-pass': { body: Record<string, never>; answer: { stop: PassStop | null } }
  /** Replaces all breakpoints. A pass that meets one stops, whoever started it. */
  'set-breakpoints': { body: { breakpoints: Breakpoint[] }; answer: { breakpoints: Breakpoint[] } }
  /** Changes policy numbers of the running store; refused as a whole when one is out of range. */
  'set-options': {
    body: { options: Partial<MaintenanceOptions> }
    answer: { options: MaintenanceOptions }
  }
  'hold-snapshot': { body: { label: string }; answer: { pinId: number } }
  'release-snapshot': { body: { pinId: number }; answer: { deleted: SegmentId[] } }
  /** Holds an iterator over the keys from `from` on, base64; empty = from the first. */
  'hold-iterator': { body: { label: string; from: string }; answer: { pinId: number } }
  /** A snapshot or an iterator that was taken here. */
  'release-pin': { body: { pinId: number }; answer: { deleted: SegmentId[] } }
  'workload-start': {
    body: { settings?: Partial<WorkloadSettings> }
    answer: { workload: WorkloadState }
  }
  'workload-stop': { body: Record<string, never>; answer: { workload: WorkloadState } }
  /** Recomputes live bytes by a full scan; every difference must be 0. */
  verify: {
    body: Record<string, never>
    answer: {
      segments: number
      keys: number
      differences: { segmentId: SegmentId; trackedBytesLive: number; scannedBytesLive: number }[]
    }
  }
  /** Attached stores only: reads the folder again and starts a new stream. */
  reread: { body: Record<string, never>; answer: { attachment: AttachmentReport } }
}
export type ActionName = keyof Actions

/** Exactly one of both. */
export type PassProgress = { stop: PassStop; report: null } | { stop: null; report: PassReport }

export type RunUntil =
  | { kind: 'passes' }
  | { kind: 'outcome'; outcome: PassOutcome }
  | { kind: 'event'; event: EngineEventType }
  | { kind: 'blocked_by'; gate: GateName }
  /** The queue is empty and nothing is staged. */
  | { kind: 'queue_empty' }
  /** A pass shortened the queue and no segment was deleted by it. */
  | { kind: 'shrunk_without_reclaim' }

export interface RunUntilAnswer {
  /** 'held': `until` came true; otherwise what ended it first; 'nothing_waits': more time would change nothing. */
  ended: 'held' | 'passes_max' | 'advance_max' | 'nothing_waits' | 'failed'
  passes: PassReport[]
  advancedMs: number
  nowMs: number
}

/** GET {API_BASE}/stores/:storeId/events?after=<seq>&limit=<n> */
export interface EventsBody {
  streamId: string
  events: EngineEvent[]
  /** Oldest seq still held; events before it are gone. */
  oldestSeq: number
  newestSeq: number
}

/** GET {API_BASE}/stores/:storeId/passes -> newest first. */
export interface PassesBody {
  passes: PassReport[]
}

/**
 * GET {API_BASE}/stores/:storeId/stats: upstream's statistics under upstream's names, values as text.
 * Each key is in `stats` or in `absent`, never in both.
 */
export interface StatsBody {
  /** The engine's clock; of an attached store, when its folder was read. */
  atMs: number
  stats: Record<string, string>
  /** Keys without a value, each with the reason in one sentence; `*` and `{a,b}` stand for families. */
  absent: Record<string, string>
}

/** POST {API_BASE}/stores/:storeId/batch: atomic; answers when the profile's promise holds. Bytes are base64. */
export interface BatchBody {
  operations: ({ op: 'put'; key: string; value: string } | { op: 'delete'; key: string })[]
}

/** GET {API_BASE}/stores/:storeId/keys/:keyHex; 404 NOT_FOUND when absent. */
export interface KeyBody {
  key: string
  value: string
}

// ---------------------------------------------------------------- live feed

/** One point of the time charts, taken once a second by the server; also the history a page starts with. */
export interface MetricSample {
  atMs: number
  bytesTotal: number
  bytesLive: number
  bytesStale: number
  queueLength: number
  segments: number
  zombies: number
  putsPerSecond: number
  /** Foreground bytes a second. */
  bytesPutPerSecond: number
  /** Rewrite output bytes a second. */
  rewriteBytesPerSecond: number
  /** Of the second before; null = no such operation was timed in it, or the store is only read. */
  putLatency: LatencyFigures | null
  getLatency: LatencyFigures | null
}

/**
 * What a client wants events of. Every event type has one topic (`EVENT_TOPICS`); `metrics` are
 * samples, and frames that only gauges changed. All five together are the whole stream.
 */
export type Topic = 'segments' | 'queue' | 'passes' | 'trace' | 'metrics'

/** Events that change the segments, pins and their bytes; the debt; the rest of EngineState; nothing of it. */
export const EVENT_TOPICS: Record<EngineEventType, Exclude<Topic, 'metrics'>> = {
  store_opened: 'trace',
  state_file_ignored: 'trace',
  checkpoint_done: 'passes',
  maintenance_retry_collision: 'trace',
  maintenance_skip: 'trace',
  maintenance_phase_change: 'trace',
  maintenance_active_acquire: 'trace',
  maintenance_active_release: 'trace',
  checkpoint_kick_skip: 'trace',
  checkpoint_kick_start: 'trace',
  checkpoint_kick_done: 'trace',
  rewrite_queue_missing_prune: 'trace',
  rewrite_queue_quality_prune: 'trace',
  rewrite_plan: 'trace',
  rewrite_plan_staged: 'trace',
  rewrite_stage_confirm_due: 'trace',
  rewrite_stage_confirm_use_persisted: 'trace',
  rewrite_stage_cleared: 'trace',
  rewrite_skip: 'trace',
  rewrite_start: 'trace',
  rewrite_exec: 'trace',
  rewrite_done: 'trace',
  rewrite_err: 'trace',
  rewrite_queue_restage: 'trace',
  rewrite_queue_restaged: 'trace',
  gc_run: 'trace',
  gc_skip: 'trace',
  retained_prune: 'trace',
  maintenance_failed: 'trace',
  recording_stopped: 'trace',
  recording_resumed: 'trace',
  foreground_latency: 'trace',
  segment_created: 'segments',
  segment_sealed: 'segments',
  segment_zombie: 'segments',
  segment_kept: 'segments',
  segment_deleted: 'segments',
  segment_bytes: 'segments',
  debt_changed: 'queue',
  scheduler_changed: 'passes',
  counters_changed: 'passes',
  pin_opened: 'segments',
  pin_released: 'segments',
  pass_done: 'passes',
  maintenance_retry_start: 'trace',
  maintenance_retry_attempt: 'trace',
  maintenance_retry_done: 'trace',
  maintenance_retry_deadline: 'trace',
  rewrite_queue_prune: 'trace',
  rewrite_queue_refresh: 'trace',
  rewrite_queue_refresh_prune: 'trace',
  rewrite_plan_canceled: 'trace',
  rewrite_plan_failed: 'trace',
  rewrite_plan_age_blocked: 'trace',
  rewrite_age_blocked_retry_due: 'trace',
  rewrite_effective_local: 'trace',
  rewrite_ineffective: 'trace',
  rewrite_ineffective_penalty: 'trace',
  rewrite_retained_cleanup_done: 'trace',
  rewrite_source_state: 'trace',
  rewrite_queue_followup_suppressed: 'trace',
  gc_err: 'trace',
  vacuum_run: 'trace',
  vacuum_skip: 'trace',
  pass_stopped: 'trace',
  pass_resumed: 'trace',
  options_changed: 'trace',
  penalties_changed: 'passes',
}

export type ClientMessage =
  /**
   * First message, and again at any time to start over. With streamId and seq: "I have everything
   * up to seq of this stream". Without topics: all. `fresh`: "and what came after it is too old for
   * me", answered by a snapshot (slow) in place of the rest.
   */
  | {
      type: 'hello'
      storeId: string
      streamId: string | null
      seq: number
      topics?: Topic[]
      fresh?: boolean
    }
  /** Answered by `subscribed`; when topics joined, by a snapshot after it. */
  | { type: 'subscribe'; topics: Topic[] }
  | { type: 'ping'; id: number }

export type ServerMessage =
  | {
      type: 'snapshot'
      streamId: string
      /** Last event contained in `snapshot`; the next frame starts at seq + 1. */
      seq: number
      /**
       * first: nothing was held; resync: the client's position is gone (another stream, or too old);
       * slow: the client did not read fast enough, or said so, and frames were left out; topics: more
       * were asked for.
       */
      reason: 'first' | 'resync' | 'slow' | 'topics'
      topics: Topic[]
      /**
       * Events of this stream that the client did not get and that are not in `events`, both ends
       * included; null = none, or not known because the client came from another stream.
       */
      missed: { fromSeq: number; toSeq: number } | null
      store: StoreInfo
      /** Whole, as of `seq`; what is outside of the topics is not kept current afterwards. */
      snapshot: StoreSnapshot
      /** Newest held events up to `seq`, oldest first; may start after 1: earlier ones are not held any more. */
      events: EngineEvent[]
      passes: PassReport[]
      samples: MetricSample[]
    }
  /** The client's position was still held: frames from its seq + 1 follow. */
  | { type: 'resumed'; streamId: string; seq: number; topics: Topic[]; store: StoreInfo }
  | {
      type: 'frame'
      streamId: string
      /**
       * The frame covers the stream from firstSeq to lastSeq, both included; firstSeq is lastSeq + 1
       * when it covers no event. Frames join without a hole: the next firstSeq is this lastSeq + 1.
       */
      firstSeq: number
      lastSeq: number
      /** The covered events of the topics, ascending; consecutive when all topics are subscribed. */
      events: EngineEvent[]
      gauges: EngineGauges
      workload: WorkloadState | null
      samples: MetricSample[]
    }
  /** From here on frames bring these topics. */
  | { type: 'subscribed'; topics: Topic[] }
  | { type: 'store'; store: StoreInfo }
  /** The list changed: a store was opened, closed, failed or came back. Sent to every client. */
  | { type: 'stores'; stores: StoreInfo[] }
  | { type: 'error'; code: ErrorCode; message: string }
  | { type: 'pong'; id: number }

/** GET {API_BASE}/stores/:storeId/feed: what the feed holds, and whom it serves. */
export interface FeedBody {
  streamId: string
  oldestSeq: number
  newestSeq: number
  eventsHeld: number
  bytesHeld: number
  samplesHeld: number
  /** Since the store was opened by this server; reopening does not reset them. */
  counters: FeedCounters
  clients: FeedClient[]
}

export interface FeedCounters {
  events: number
  batches: number
  /** Distinct frame texts made; each goes to many clients. */
  framesSerialised: number
  framesSent: number
  bytesSent: number
  snapshotsSent: number
  resumesSent: number
  /** Times a client was moved to snapshot mode. */
  slowClients: number
  /** Times a client was disconnected for being too slow. */
  clientsCutOff: number
  /** Events left out for slow clients, summed over clients. */
  eventsMissed: number
}

export interface FeedClient {
  clientId: number
  role: Role
  peer: string
  connectedAtMs: number
  topics: Topic[]
  /** waiting: for a snapshot; snapshot: too slow for frames, gets a snapshot once it has read. */
  mode: 'live' | 'waiting' | 'snapshot'
  /** Last event sent. */
  seq: number
  bytesUnsent: number
  framesSent: number
  bytesSent: number
  snapshotsSent: number
  eventsMissed: number
}

/** Close codes of the live socket, 4000-4999 being ours. */
export const CLOSE_CODES = {
  BAD_MESSAGE: 4000,
  /** The store it followed was closed. */
  STORE_CLOSED: 4004,
  TOO_SLOW: 4008,
  SHUTTING_DOWN: 4012,
  RATE_LIMITED: 4029,
} as const
