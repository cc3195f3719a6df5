/**
 * The public face of the engine as interfaces; `index.ts` has the functions that make one. Keys and
 * values are bytes. Reads are synchronous. A returned Uint8Array belongs to the caller.
 */
import type { Clock } from './clock.ts'
import type { EngineEventListener } from './events.ts'
import type { FileSystem } from './file-system.ts'
import type {
  Breakpoint,
  CheckpointReport,
  EngineGauges,
  EngineInfo,
  EngineState,
  GcReport,
  LatencyCounts,
  MaintenanceOptions,
  MaintenancePhase,
  MaintenancePreview,
  PassReport,
  PassSource,
  PassStop,
  PauseFileSight,
  PlanFilters,
  Profile,
  RewriteDebt,
  RewriteOptions,
  RewritePlan,
  SchedulerMode,
  SegmentId,
  VacuumPlan,
  VacuumReport,
} from './types.ts'

/** All optional; `resolveOptions` fills in defaults, `ENGINE_OPTIONS` lists everything out of range. */
export interface EngineOptions {
  /** durable: fsync before acknowledging; wal_on_fast: journal without fsync; fast: durable at checkpoints only. Default durable. */
  profile?: Profile
  /** Values longer than this go to the value log. Default 512 bytes. */
  inlineThreshold?: number
  /** The foreground writer starts a new segment past this size. Default 64 MiB. */
  segmentBytes?: number
  /** Checkpoint when the memtable holds this many bytes of keys and inline values and pointers. Default 16 MiB. */
  memtableBytes?: number
  /** Checkpoint at least this often while there are writes, in auto mode. 0 = only by size. Default 30 s. */
  checkpointIntervalMs?: number
  /** Longest slice of long work between yields. Default 1 ms. */
  sliceMs?: number
  /** Index pages kept in memory. Default 64 MiB. */
  pageCacheBytes?: number
  /** Places of values of keys used lately, 64 bytes each, so that they are found without a search. 0 = none. Default 32 MiB. */
  keyCacheBytes?: number
  /** 'auto' runs timers and kicks by itself; 'step' runs nothing that was not asked for. Default auto. */
  mode?: SchedulerMode
  /** What the node around the store is doing; see `setPhase`. Default steady. */
  phase?: MaintenancePhase
  /** While a file of this name is there, no pass starts by itself. Default none. */
  pauseFile?: string
  /** Events kept in `trace/` of the folder, to be read back later. Default on, with 64 MiB. */
  recording?: 'off' | Partial<RecordingOptions>
  maintenance?: Partial<MaintenanceOptions>
}

export interface RecordingOptions {
  /** Most that `trace/` may take; the oldest history goes first. At least 256 KiB. Default 64 MiB. */
  maxBytes: number
  /** A file holds about this much, and begins with a whole state. Default 1 MiB. */
  chunkBytes: number
  /** An event waits in memory at most this long, by the engine's clock. Default 1 s. */
  flushMs: number
}

export interface EngineDeps {
  clock: Clock
  fileSystem: FileSystem
  /** Gives the thread back to other work; resolves in a later macrotask. */
  yieldNow: () => Promise<void>
  /**
   * 0 to 2^32 - 1, asked for while the folder is opened: seeds the hash of keys in memory. Absent: always
   * the same seed, with which somebody who chooses the keys can make looking for them slow.
   */
  randomU32?: () => number
  /** Subscribed before the folder is opened, so that it sees the stream from its first event. */
  onEvent?: EngineEventListener
}

export type BatchOperation =
  { op: 'put'; key: Uint8Array; value: Uint8Array } | { op: 'delete'; key: Uint8Array }

/** Bounds of an iteration in byte order; absent = unbounded. */
export interface RangeOptions {
  gte?: Uint8Array
  gt?: Uint8Array
  lt?: Uint8Array
  lte?: Uint8Array
  reverse?: boolean
  /** Absent = no limit. */
  limit?: number
}

/** Pins what it may still read; always close it (a `for..of` that ends or breaks does). */
export interface EntryIterator extends IterableIterator<[Uint8Array, Uint8Array]> {
  readonly pinId: number
  close(): void
  /** Resolves after closing, with the segments that could be deleted because of it. */
  readonly released: Promise<SegmentId[]>
}

export interface Snapshot {
  readonly pinId: number
  get(key: Uint8Array): Uint8Array | undefined
  iterate(range?: RangeOptions): EntryIterator
  /** Idempotent. Resolves with the segments that could be deleted because of it. */
  close(): Promise<SegmentId[]>
}

export interface VerifyReport {
  segments: number
  keys: number
  differences: { segmentId: SegmentId; trackedBytesLive: number; scannedBytesLive: number }[]
}

export interface Engine {
  readonly info: EngineInfo
  /** undefined = no such key. */
  get(key: Uint8Array): Uint8Array | undefined
  /** Visible at once; the promise resolves when the profile's promise holds. */
  put(key: Uint8Array, value: Uint8Array): Promise<void>
  delete(key: Uint8Array): Promise<void>
  /** All or nothing, also after a crash. */
  batch(operations: readonly BatchOperation[]): Promise<void>
  /** The label names the reader where it keeps segments. */
  iterate(range?: RangeOptions, label?: string): EntryIterator
  snapshot(label?: string): Snapshot
  /** A checkpoint as the foreground asks for one; in auto mode a checkpoint kick follows by itself. */
  checkpoint(): Promise<CheckpointReport>
  /** A checkpoint and then the kick that follows from it, in any mode; `skipped` says why there was no pass. */
  checkpointWithKick(): Promise<{
    checkpoint: CheckpointReport
    pass: PassReport | null
    skipped: string | null
  }>
  verify(): Promise<VerifyReport>
  /** Finishes or cancels a pass, checkpoints, releases the lock. Idempotent. */
  close(): Promise<void>

  /** A consistent copy, as of the newest emitted event. */
  state(): EngineState
  gauges(): EngineGauges
  /** How long foreground writes (puts, deletes, batches) and one get in sixteen took, since the opening. */
  latency(): { put: LatencyCounts; get: LatencyCounts }
  /** Sequence number of the newest event; 0 before the first. */
  readonly eventSeq: number
  /** Calls back synchronously for every event, in order. Returns the unsubscriber. */
  subscribe(listener: EngineEventListener): () => void
  /** Emits byte changes and counters that were held back, so that `state()` and the events agree up to now. */
  flushEvents(): void

  readonly maintenance: MaintenanceControl
}

export interface MaintenanceControl {
  /** Runs one pass now, whatever the mode or pause; ENGINE_BUSY when the slot is taken. */
  runPass(
    source: Exclude<PassSource, 'manual'>,
    how?: {
      /** Tokens of the write budget set before the pass; absent = as accrued. */
      budgetTokensBytes?: number
    },
  ): Promise<PassReport>
  /** What a checkpoint kick would be answered: the pass it ran, or why it was skipped. */
  kickFromCheckpoint(): Promise<{ pass: PassReport | null; skipped: string | null }>
  /** Dry: changes nothing, not even by a checkpoint. */
  plan(filters?: Partial<PlanFilters>): RewritePlan
  /**
   * What every pass would do now, and what starts the next one: decided as the passes decide, and not
   * executed. Changes nothing, not even the trace. Plans are made in slices, each once for all of them.
   */
  preview(): Promise<MaintenancePreview>
  /** Plans and stages what the filters select. */
  stage(filters?: Partial<PlanFilters>): Promise<PassReport>
  /**
   * A manual pass over exactly these segments, one after another. `maxCopiedBytes` bounds them all
   * together; what is not copied whole stays queued if it was. RangeError for options that make no sense.
   */
  rewrite(segmentIds: SegmentId[], options?: Partial<RewriteOptions>): Promise<PassReport>
  /** `observed`: segments to report on besides, such as sources of a rewrite. */
  gc(options: { dryRun: boolean; observed?: SegmentId[] }): Promise<GcReport>
  /**
   * A manual pass that gives free space of index.db back, now, whatever trigger and interval say. The
   * store stays in use. ENGINE_BUSY when the slot is taken.
   */
  vacuum(): Promise<VacuumReport>
  /** What `vacuum` would do now; changes nothing. */
  planVacuum(): VacuumPlan
  /**
   * Replaces the queued debt by what a person brings; an empty queue clears it. `minStaleRatio` is the
   * floor it is executed at when it is not staged, null = unknown. ENGINE_BUSY while a pass runs
   * or other debt is being set; until it is saved no pass begins.
   */
  setDebt(debt: RewriteDebt, minStaleRatio?: number | null): Promise<void>
  /** No pass starts by itself until `resume`. The reason is shown to whoever wonders; absent = none is given. */
  pause(reason?: string): void
  resume(): void
  setMode(mode: SchedulerMode): void
  /**
   * In any phase but `steady` no tick, timer, checkpoint kick or retry starts a pass; what is asked for
   * runs. A pass that runs goes on to its end. What came due or collided meanwhile is kept and runs when
   * the phase is `steady` again. ENGINE_OPTIONS for an unknown one.
   */
  setPhase(phase: MaintenancePhase): void
  /**
   * Puts the pause file of the options down with one line that says why ('' = nothing), or takes it away.
   * It outlives this process, and whoever else looks for it sees it. Resolves with what is there then.
   * ENGINE_OPTIONS when the store was opened without a pause file, ENGINE_IO when it cannot be written.
   */
  setPauseFile(reason: string | null): Promise<PauseFileSight>

  // ---- debugger: a stopped pass keeps the slot, so nothing else runs meanwhile

  /**
   * One step of a pass. Nothing stopped: starts a pass of `source` (default `periodic`) and stops it
   * before its first phase. Stopped: runs that phase and stops before the next one; `source` is then
   * ignored. Resolves with the stop, or with the report when the pass has ended. ENGINE_BUSY while a
   * pass runs that is not stopped.
   */
  stepPhase(source?: Exclude<PassSource, 'manual'>): Promise<PassProgress>
  /** Lets the stopped pass run on: to its end, or to the next breakpoint. ENGINE_OPTIONS when none is stopped. */
  resumePass(): Promise<PassProgress>
  /** Cancels the running or stopped pass and waits for its report; what is done stays done. null when none runs. */
  cancelPass(): Promise<PassReport | null>
  /** The pass that stands still, with what it has met so far; null = none. */
  stoppedPass(): PassStop | null
  /** Replaces all breakpoints; empty = none. ENGINE_OPTIONS for an unknown one. */
  setBreakpoints(breakpoints: readonly Breakpoint[]): void
  /**
   * Changes options of the running scheduler and returns all of them; timers follow at once. Not
   * persisted: the next opening starts from its own. ENGINE_OPTIONS lists every bad field and then
   * nothing has changed.
   */
  setOptions(changes: Partial<MaintenanceOptions>): MaintenanceOptions
}

/** Exactly one of both. */
export type PassProgress = { stop: PassStop; report: null } | { stop: null; report: PassReport }
