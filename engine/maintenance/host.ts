/**
 * What maintenance may see of the engine: this and nothing more. The engine implements it; tests of
 * the scheduler use the real engine. `await` is the lock boundary: after each call below the
 * segments, the debt and the pins may have changed.
 */
import type { Clock } from '../clock.ts'
import type { PlanRequest } from './planner.ts'
import type { ReclaimOptions } from './reclaim.ts'
import type {
  CheckpointReport,
  EngineEventBody,
  GcReport,
  PauseFileSight,
  RewriteOptions,
  RewritePlan,
  RewriteReport,
  SegmentId,
  SegmentInfo,
  VacuumPlan,
  VacuumReport,
} from '../types.ts'

export interface ForegroundActivity {
  /** null = never in this opening. */
  lastWriteAtMs: number | null
  lastReadAtMs: number | null
  openIterators: number
  /** Checkpoints published in this opening, plus one if the folder had one at open. */
  checkpoints: number
  /** Writes wait in memory, not yet in a checkpoint. */
  dirty: boolean
  /** A checkpoint is being written now. */
  checkpointing: boolean
  /** Key and value bytes handed in so far. */
  bytesPut: number
  /** Writes go to a journal first. */
  journaled: boolean
}

/** What bounds one rewrite; what is absent has its default (see `RewriteOptions`; locality `grouped`). */
export interface RewriteRequest extends Partial<RewriteOptions> {
  /**
   * Reserves `count` record ids in a row that nobody else ever gets and returns the first; absent = the
   * store's own counter. ENGINE_LIMIT for a range of 0, one that overflows, or one below an earlier one.
   */
  reserveRids?: (count: number) => bigint
}

export interface MaintenanceHost {
  readonly clock: Clock
  /** All segments in the set, ascending by id; zombies included. O(segments), no I/O. */
  segments(): SegmentInfo[]
  foreground(): ForegroundActivity
  /**
   * Copies what lives in the sources and swaps pointers. Never kicks maintenance. A source in
   * `sourcesUnfinished` of the report still has values that were not looked at: keep it queued.
   */
  rewrite(
    sources: SegmentId[],
    signal: AbortSignal,
    request?: RewriteRequest,
  ): Promise<RewriteReport>
  /**
   * Classifies dead segments; unless dry, publishes a checkpoint when only an old root keeps one, marks
   * zombies and deletes what nothing keeps. An aborted signal ends it between two unlinks: it resolves,
   * with `cancelled` in the report.
   */
  reclaim(options: ReclaimOptions): Promise<GcReport>
  /** The planner over these segments; rejects when the signal is aborted before it is done. */
  plan(request: PlanRequest, signal: AbortSignal): Promise<RewritePlan>
  /** Gives free space of index.db back. An aborted signal ends it early, with what is done done: it resolves. */
  vacuumIndex(signal: AbortSignal): Promise<VacuumReport>
  checkpoint(reason: CheckpointReport['reason']): Promise<CheckpointReport>
  /** Counts of pages; nothing is read or changed. */
  planVacuum(): VacuumPlan
  /** The file that an operator puts down to hold maintenance back; one that cannot be looked at counts. */
  lookForPauseFile(): PauseFileSight
  /** Puts the pause file down with this line in it ('' = empty); null takes it away. ENGINE_IO when it cannot. */
  writePauseFile(reason: string | null): Promise<void>
  /** `reportJson`: the body's `report` as JSON, made beforehand by `jsonOf`; absent = made when asked for. */
  emit(body: EngineEventBody, passId: number | null, reportJson?: string): void
  /** JSON of something long, in slices; it must not change meanwhile. */
  jsonOf(value: unknown): Promise<string>
  /** Atomically replaces `vlog_generation_state.json`; null removes it. Durable when the promise resolves. */
  saveState(json: string | null): Promise<void>
  /** Text of the state file at open; null when absent. Rejects when it cannot be read: ENGINE_IO, ENGINE_CORRUPT. */
  loadState(): Promise<string | null>
}
