/**
 * The wire contract: REST bodies and live messages. Types and constants only; the browser imports
 * this file, so nothing here may pull in run-time code. Version 1; every path starts with API_BASE.
 *
 * Authentication: `Authorization: Bearer <token>` on REST; on the websocket the two subprotocols
 * `restage.v1` and `restage.token.<token>` (the server answers with the first). The token reaches
 * the page in the URL fragment (`/#token=...`), never in a query string.
 */
import type {
  CheckpointReport,
  EngineEvent,
  EngineGauges,
  EngineInfo,
  EngineState,
  GcReport,
  PassReport,
  PlanFilters,
  RewritePlan,
  SegmentId,
  SchedulerMode,
} from '../engine/types.ts'

export type * from '../engine/types.ts'

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
  | 'NOT_FOUND'
  | 'BAD_REQUEST'
  | 'READ_ONLY'
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
  mode: StoreMode
  /** 'failed': the worker died or the folder could not be opened; `failure` says why. */
  status: 'open' | 'failed'
  failure: { code: ErrorCode; message: string } | null
  /** null while failed. */
  engine: EngineInfo | null
  /** Facts of an attached folder that the live state has no place for. */
  attachment: AttachmentReport | null
}

/** What a read-only reading of a folder found beside its segments. */
export interface AttachmentReport {
  readAtMs: number
  commitSeq: number
  keyCount: number
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
  gc: { body: { dryRun: boolean }; answer: { gc: GcReport } }
  /** Dry: changes nothing. Missing filters take the options' values. */
  plan: { body: { filters?: Partial<PlanFilters> }; answer: { plan: RewritePlan } }
  /** Plans and stages what the filters select, as a stale-ratio pass would. */
  stage: { body: { filters?: Partial<PlanFilters> }; answer: { pass: PassReport } }
  /** A manual pass over exactly these segments. */
  rewrite: { body: { segmentIds: SegmentId[] }; answer: { pass: PassReport } }
  pause: { body: Record<string, never>; answer: { paused: true } }
  resume: { body: Record<string, never>; answer: { paused: false } }
  mode: { body: { mode: SchedulerMode }; answer: { mode: SchedulerMode } }
  /** Step mode only. */
  'advance-clock': { body: { ms: number }; answer: { nowMs: number } }
  'hold-snapshot': { body: { label: string }; answer: { pinId: number } }
  'release-snapshot': { body: { pinId: number }; answer: { deleted: SegmentId[] } }
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

/** GET {API_BASE}/stores -> { stores } */
export interface StoresBody {
  stores: StoreInfo[]
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
}

export type ClientMessage =
  /** First message. With streamId and seq: "I have everything up to seq of this stream". */
  | { type: 'hello'; storeId: string; streamId: string | null; seq: number }
  | { type: 'ping'; id: number }

export type ServerMessage =
  | {
      type: 'snapshot'
      streamId: string
      /** Last event contained in `snapshot`; the next frame starts at seq + 1. */
      seq: number
      /** first: nothing was held; resync: the client's position is gone (another stream, or too old). */
      reason: 'first' | 'resync'
      store: StoreInfo
      snapshot: StoreSnapshot
      /** Newest held events up to `seq`, oldest first; may start after 1: earlier ones are not held any more. */
      events: EngineEvent[]
      passes: PassReport[]
      samples: MetricSample[]
    }
  /** The client's position was still held: frames from its seq + 1 follow. */
  | { type: 'resumed'; streamId: string; seq: number; store: StoreInfo }
  | {
      type: 'frame'
      streamId: string
      /** Consecutive; empty when only gauges or samples changed. */
      events: EngineEvent[]
      gauges: EngineGauges
      workload: WorkloadState | null
      samples: MetricSample[]
    }
  | { type: 'store'; store: StoreInfo }
  | { type: 'error'; code: ErrorCode; message: string }
  | { type: 'pong'; id: number }

/** Close codes of the live socket, 4000-4999 being ours. */
export const CLOSE_CODES = {
  BAD_MESSAGE: 4000,
  TOO_SLOW: 4008,
  SHUTTING_DOWN: 4012,
} as const
