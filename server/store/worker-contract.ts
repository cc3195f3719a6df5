/**
 * What crosses the border between the main thread and a store's worker: requests with an id, their
 * answers, and batches that the worker pushes. The port keeps order, and two things rest on that: a
 * batch posted before an answer is handled before it, and a snapshot's `seq` is the newest event the
 * main thread has seen when the answer arrives.
 */
import type { BatchOperation, Engine, EngineOptions } from '../engine-door.ts'
import type {
  ActionName,
  Actions,
  AppliedPlan,
  AttachmentReport,
  EngineGauges,
  EngineInfo,
  EngineState,
  MaintenancePreview,
  PassOutcome,
  PassSource,
  PlanRequest,
  SegmentState,
  StatsBody,
  StoredPlan,
  StoreMode,
  WorkloadSettings,
} from '../protocol.ts'
import type { Failure } from '../refusal.ts'

/** Two frames of a 60 Hz screen: how often a store posts what happened, and a client gets a frame. */
export const BATCH_INTERVAL_MS = 33

/** `workerData` of a store worker. */
export interface WorkerInit {
  dir: string
  mode: StoreMode
  /** Not used by an attached store. */
  engine: EngineOptions
  workload: { settings: WorkloadSettings; autostart: boolean }
}

/** State up to `seq`, already serialised: the main thread only joins strings. */
export interface SnapshotAnswer {
  seq: number
  /** A StoreSnapshot. */
  snapshotJson: string
  /** An array of PassReport, newest first. */
  passesJson: string
}

/** What the store adds to a stored plan. */
export type PlanDraft = Pick<StoredPlan, 'inputHash' | 'effect' | 'confirm' | 'weight' | 'sentence'>

/** Figures for the metrics page; counts of passes are since the opening. */
export interface StoreFigures {
  state: Pick<EngineState, 'debt' | 'scheduler' | 'counters' | 'penalties' | 'pins' | 'checkpoint'>
  /** `bytesLive` null: not known, which only a folder that is read can be. */
  segments: Record<SegmentState, { count: number; bytesTotal: number; bytesLive: number | null }>
  gauges: EngineGauges
  passes: PassFigures[]
  /** null of a folder that is only read. */
  latency: ReturnType<Engine['latency']> | null
}

export interface PassFigures {
  source: PassSource
  outcome: PassOutcome
  count: number
  /** Of all of them. */
  elapsedMs: number
  bytesReclaimed: number
  bytesCopied: number
}

interface StoreRequests {
  snapshot: { body: Record<string, never>; answer: SnapshotAnswer }
  /** A PassesBody. */
  passes: { body: Record<string, never>; answer: { bodyJson: string } }
  figures: { body: Record<string, never>; answer: StoreFigures }
  stats: { body: Record<string, never>; answer: StatsBody }
  /** What each pass would do now. */
  preview: { body: Record<string, never>; answer: MaintenancePreview }
  'draft-plan': { body: { request: PlanRequest }; answer: PlanDraft }
  /** Refused with PLAN_CHANGED when a draft of now has another hash, or would copy more. */
  'apply-plan': {
    body: { request: PlanRequest; inputHash: string; bytesCopiedMax: number }
    answer: DistributiveOmit<AppliedPlan, 'plan'>
  }
  /** null: no such key. */
  'get-key': { body: { key: Uint8Array }; answer: { value: Uint8Array | null } }
  batch: { body: { operations: BatchOperation[] }; answer: Record<string, never> }
  /** Last request: stops the workload, closes the engine, pushes what is left. */
  close: { body: Record<string, never>; answer: Record<string, never> }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

export type Requests = StoreRequests & { [Name in ActionName]: Actions[Name] }
export type RequestName = keyof Requests
export type RequestBody<Name extends RequestName> = Requests[Name]['body']
export type RequestAnswer<Name extends RequestName> = Requests[Name]['answer']

/** One function a request; synchronous answers are taken as they are. */
export type RequestHandlers<Names extends RequestName = RequestName> = {
  [Name in Names]: (body: RequestBody<Name>) => RequestAnswer<Name> | Promise<RequestAnswer<Name>>
}

/**
 * Which stores take a request. `hosted` ones are refused with READ_ONLY on an attached store. This
 * table is the one place that keeps an attached folder read-only; `StoreClient.request` obeys it
 * for every caller.
 */
export const REQUEST_ACCESS: Record<RequestName, 'any' | StoreMode> = {
  snapshot: 'any',
  passes: 'any',
  close: 'any',
  figures: 'any',
  stats: 'any',
  preview: 'hosted',
  'draft-plan': 'hosted',
  'apply-plan': 'hosted',
  reread: 'attached',
  'get-key': 'hosted',
  batch: 'hosted',
  checkpoint: 'hosted',
  'periodic-pass': 'hosted',
  'stage-confirm': 'hosted',
  'run-pass': 'hosted',
  'run-until': 'hosted',
  'step-phase': 'hosted',
  'resume-pass': 'hosted',
  'cancel-pass': 'hosted',
  'stopped-pass': 'hosted',
  'set-breakpoints': 'hosted',
  'set-options': 'hosted',
  gc: 'hosted',
  plan: 'hosted',
  stage: 'hosted',
  rewrite: 'hosted',
  pause: 'hosted',
  resume: 'hosted',
  mode: 'hosted',
  'set-phase': 'hosted',
  'set-pause-file': 'hosted',
  vacuum: 'hosted',
  'advance-clock': 'hosted',
  'hold-snapshot': 'hosted',
  'release-snapshot': 'hosted',
  'hold-iterator': 'hosted',
  'release-pin': 'hosted',
  'workload-start': 'hosted',
  'workload-stop': 'hosted',
  verify: 'hosted',
}

export interface RequestMessage<Name extends RequestName = RequestName> {
  id: number
  name: Name
  body: RequestBody<Name>
}

/** Consecutive events, serialised once for all readers. Its arrays share one ArrayBuffer. */
export interface EventBatch {
  /** The first one; meaningless when count is 0. */
  firstSeq: number
  count: number
  /** UTF-8 JSON of the events, joined by commas, without brackets. */
  bytes: Uint8Array
  /** Where each event ends in `bytes`; the next one starts one byte later. */
  ends: Uint32Array
  /** The topic bit of each event. */
  topics: Uint8Array
  /**
   * Unused bytes around `bytes` in the same ArrayBuffer: there is room for one frame to be made in
   * place. 0 and 0 for a small batch, where copying costs less than holding on to the room.
   */
  room: { before: number; after: number }
}

/** Everything that happened since the last batch. */
export interface WorkerBatch {
  kind: 'batch'
  events: EventBatch
  gaugesJson: string
  workloadJson: string
  /** One MetricSample each, serialised. */
  samples: string[]
}

export type WorkerMessage =
  /** The folder is open and a new stream begins after event `seq`. Sent again after a reread. */
  | { kind: 'opened'; seq: number; engine: EngineInfo; attachment: AttachmentReport | null }
  | { kind: 'open_failed'; failure: Failure }
  /** What was said of the open store is no longer so: its options were changed. */
  | { kind: 'info'; engine: EngineInfo }
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'refused'; id: number; failure: Failure }
  | WorkerBatch

/** What a port moves instead of copying: whoever posts a message keeps nothing of these. */
export function movedWith(message: WorkerMessage): ArrayBuffer[] {
  return message.kind === 'batch' && message.events.count > 0
    ? [message.events.bytes.buffer as ArrayBuffer]
    : []
}
