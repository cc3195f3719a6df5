/**
 * What maintenance remembers between passes, and the only place that changes it: debt and penalties
 * are saved before they become the truth in memory and are evented after that; scheduler facts are
 * evented the moment they change, and counters too, except that those of a pass are gathered until it
 * ends, stops, has rewritten a segment or is asked, or something outside of it is counted. So the events
 * rebuild this state exactly.
 */
import type { MaintenanceHost } from './host.ts'
import type {
  Counters,
  EngineEventBody,
  MaintenanceOptions,
  MaintenancePhase,
  RewriteDebt,
  RewritePenalty,
  SchedulerInfo,
  SchedulerMode,
  SchedulerState,
  SegmentId,
} from '../types.ts'
import { openBucket } from './budget.ts'
import type { ChurnSample, PassTimes } from './pass-input.ts'
import { NO_DEBT } from './ledger.ts'
import {
  encodeState,
  extrasFor,
  NO_EXTRAS,
  withHistory,
  type RewriteAttempt,
  type StateExtras,
} from './state-file.ts'

export type DebtCause = Extract<EngineEventBody, { type: 'debt_changed' }>['cause']
type PenaltyCause = Extract<EngineEventBody, { type: 'penalties_changed' }>['cause']

/** SchedulerInfo and what only decisions need. */
export type SchedulerFacts = SchedulerInfo &
  Pick<PassTimes, 'planHoldMs'> & {
    churnSample: ChurnSample | null
    /** Source bytes of rewrites since the last index vacuum. */
    rewrittenSinceVacuumBytes: number
  }

/** A scheduler that has done nothing yet. */
export const NEVER_RAN: SchedulerInfo = {
  mode: 'auto',
  paused: false,
  pauseReason: null,
  phase: 'steady',
  pauseFile: null,
  state: 'idle',
  lastReason: 'none',
  activePass: null,
  lastRewriteAtMs: null,
  lastPlanAtMs: null,
  lastGcAtMs: null,
  lastCheckpointKickAtMs: null,
  policy: 'a_plus_c',
  stopped: null,
  breakpoints: [],
  checkpointKickPending: false,
  deferredPending: false,
  ageBlockedUntilMs: null,
  budget: null,
  lastPlanCanceledAtMs: null,
  lastRewriteCanceledAtMs: null,
  lastIneffectiveAtMs: null,
  lastVacuumAtMs: null,
  queueCooldownUntilMs: null,
  churnBytesPerSecond: null,
  lastGcDryRun: null,
  lastRewrite: null,
}

/** Before anything was counted. */
export const NO_COUNTS: Counters = {
  checkpoints: 0,
  checkpointKicks: 0,
  checkpointKickRewriteRuns: 0,
  checkpointKickGcRuns: 0,
  checkpointKickSkips: 0,
  passes: 0,
  passCollisions: 0,
  passElapsedMs: 0,
  passElapsedMaxMs: 0,
  passSkipsStageNotDue: 0,
  passSkipsStageDueReserved: 0,
  passSkipsPhase: 0,
  passSkipsPauseFile: 0,
  planRuns: 0,
  planCanceled: 0,
  planErrors: 0,
  planEmpty: 0,
  planSelected: 0,
  planSelectedSegments: 0,
  planElapsedMs: 0,
  rewriteRuns: 0,
  rewriteCanceledRuns: 0,
  rewriteFailedRuns: 0,
  rewriteElapsedMs: 0,
  rewriteRecordsCopied: 0,
  rewriteBytesRead: 0,
  rewriteBytesWritten: 0,
  rewriteBytesIn: 0,
  rewriteSourceSegments: 0,
  rewriteSourceSegmentsStillReferenced: 0,
  rewriteSourceSegmentsUnreferenced: 0,
  rewriteSourceBytes: 0,
  rewriteSourceBytesStillReferenced: 0,
  rewriteSourceBytesUnreferenced: 0,
  rewriteProcessedLiveBytes: 0,
  rewriteProcessedStaleBytes: 0,
  rewriteReclaimedBytes: 0,
  rewriteIneffectiveRuns: 0,
  rewriteIneffectiveBytesIn: 0,
  rewriteIneffectiveBytesOut: 0,
  rewriteNoReclaimRuns: 0,
  rewriteNoReclaimStaleBytes: 0,
  budgetConsumedBytes: 0,
  penaltiesRecorded: 0,
  penaltiesReadmitted: 0,
  penaltiesExpired: 0,
  gcRuns: 0,
  gcDryRuns: 0,
  gcElapsedMs: 0,
  gcDeletedSegments: 0,
  gcDeletedBytes: 0,
  queuePruneRuns: 0,
  queuePrunedIds: 0,
  vacuumRuns: 0,
  vacuumFailures: 0,
  vacuumElapsedMs: 0,
  vacuumSkipsDisabled: 0,
  vacuumSkipsThreshold: 0,
  vacuumSkipsCooldown: 0,
}

export class MaintenanceMemory {
  readonly #host: MaintenanceHost
  #debt: RewriteDebt = NO_DEBT
  #penalties: readonly RewritePenalty[] = []
  #extras: StateExtras = NO_EXTRAS
  #isHistoryUnsaved = false
  #facts: SchedulerFacts
  #counters: Counters = NO_COUNTS
  /** The last evented scheduler facts, objects as JSON, to event only what really changed. */
  readonly #evented = new Map<string, unknown>()
  /** Counters that no event has told yet, and the pass that they are of. */
  #untold: { counters: Partial<Counters>; passId: number | null } | null = null

  constructor(
    host: MaintenanceHost,
    start: {
      mode: SchedulerMode
      phase: MaintenancePhase
      /** null = none. */
      pauseFile: string | null
      options: MaintenanceOptions
    },
  ) {
    const { mode, phase, pauseFile, options } = start
    this.#host = host
    this.#facts = {
      ...NEVER_RAN,
      mode,
      phase,
      pauseFile: pauseFile === null ? null : { file: pauseFile, present: false, reason: null },
      policy: options.policy,
      state: restingState({ mode, paused: false }, options),
      budget: openBucket(options),
      planHoldMs: options.rewriteMinIntervalMs,
      churnSample: null,
      rewrittenSinceVacuumBytes: 0,
    }
    this.#unevented()
  }

  /** Shared, never changed in place: every change makes a new one. */
  get debt(): RewriteDebt {
    return this.#debt
  }

  /** Shared, never changed in place. Ascending by segmentId. */
  get penalties(): readonly RewritePenalty[] {
    return this.#penalties
  }

  /** Floor that queued the debt; null when unknown or when nothing is queued. */
  get queuedMinStaleRatio(): number | null {
    return this.#extras.queuedMinStaleRatio
  }

  get facts(): Readonly<SchedulerFacts> {
    return this.#facts
  }

  get counters(): Counters {
    return this.#counters
  }

  info(): SchedulerInfo {
    const facts: Partial<SchedulerFacts> & SchedulerInfo = { ...this.#facts }
    delete facts.planHoldMs
    delete facts.churnSample
    delete facts.rewrittenSinceVacuumBytes
    return facts
  }

  /** State as found on disk at open: it is saved already. */
  adopt(found: {
    debt: RewriteDebt
    penalties: readonly RewritePenalty[]
    extras: StateExtras
  }): void {
    const { debt, penalties, extras } = found
    this.#debt = debt
    this.#penalties = penalties
    this.#extras = extrasFor(debt, extras)
    if (debt.queue.length > 0)
      this.#host.emit({ type: 'debt_changed', cause: 'loaded', debt }, null)
    if (penalties.length > 0) this.#tellPenalties('loaded', [], null)
  }

  /**
   * Saves the new debt, then makes it current. If saving fails nothing has changed. `word` is the
   * event that says why, emitted with the change it names. `minStaleRatio` is the floor of a debt
   * that is new and not staged; a stage carries its own.
   */
  async replaceDebt(
    debt: RewriteDebt,
    change: {
      cause: DebtCause
      passId: number | null
      word?: EngineEventBody
      minStaleRatio?: number | null
    },
  ): Promise<void> {
    const { minStaleRatio: queuedMinStaleRatio = this.queuedMinStaleRatio } = change
    const extras = extrasFor(debt, { ...this.#extras, queuedMinStaleRatio })
    // Only the holder of the slot changes debt, so it is still the same debt after the save.
    this.#extras = await this.#save(debt, this.#penalties, extras)
    this.#debt = debt
    if (change.word !== undefined) this.#host.emit(change.word, change.passId)
    this.#host.emit({ type: 'debt_changed', cause: change.cause, debt }, change.passId)
  }

  /** Goes into the next save of debt or penalties, or into one of its own by `saveHistory`. */
  noteHistory(attempts: readonly RewriteAttempt[]): void {
    if (attempts.length === 0) return
    this.#extras = withHistory(this.#extras, attempts, this.#host.clock.now())
    this.#isHistoryUnsaved = true
  }

  /** Nothing when a save came after the last attempt that was noted. */
  async saveHistory(): Promise<void> {
    if (!this.#isHistoryUnsaved) return
    this.#extras = await this.#save(this.#debt, this.#penalties, this.#extras)
  }

  /** The extras of the file as it is then: what went with a file is not written into the next one. */
  async #save(
    debt: RewriteDebt,
    penalties: readonly RewritePenalty[],
    extras: StateExtras,
  ): Promise<StateExtras> {
    const json = encodeState(debt, penalties, extras)
    await this.#host.saveState(json)
    // Only the holder of the slot notes history, and it waits for this.
    this.#isHistoryUnsaved = false
    return json === null ? NO_EXTRAS : extras
  }

  /** Saves, then remembers, as debt is. `segmentIds`: those that the change is about. */
  async replacePenalties(
    penalties: readonly RewritePenalty[],
    change: { cause: PenaltyCause; segmentIds: SegmentId[]; passId: number | null },
  ): Promise<void> {
    this.#extras = await this.#save(this.#debt, penalties, this.#extras)
    this.#penalties = penalties
    this.#tellPenalties(change.cause, change.segmentIds, change.passId)
  }

  #tellPenalties(cause: PenaltyCause, segmentIds: SegmentId[], passId: number | null): void {
    const penalties = [...this.#penalties]
    this.#host.emit({ type: 'penalties_changed', cause, segmentIds, penalties }, passId)
  }

  update(patch: Partial<SchedulerFacts>, passId: number | null): void {
    this.#facts = { ...this.#facts, ...patch }
    const scheduler = this.#unevented()
    if (Object.keys(scheduler).length > 0)
      this.#host.emit({ type: 'scheduler_changed', scheduler }, passId)
  }

  /** Facts that no event has told yet; from now on they count as told. */
  #unevented(): Partial<SchedulerInfo> {
    const changed = Object.entries(this.info()).filter(([fact, value]) => {
      const isObject = typeof value === 'object' && value !== null
      const told: unknown = isObject ? JSON.stringify(value) : value
      if (this.#evented.has(fact) && this.#evented.get(fact) === told) return false
      this.#evented.set(fact, told)
      return true
    })
    return Object.fromEntries(changed)
  }

  /**
   * Adds to counters, except that a `...Max...` is raised; what changes nothing is no event. What a pass
   * counts waits for `tellCounters`: a fifth of all events were counters, each a few words.
   */
  count(amounts: Partial<Counters>, passId: number | null): void {
    const changed: Partial<Counters> = {}
    for (const [key, amount] of Object.entries(amounts) as [keyof Counters, number][]) {
      const before = this.#counters[key]
      const now = key === 'passElapsedMaxMs' ? Math.max(before, amount) : before + amount
      if (now !== before) changed[key] = now
    }
    if (Object.keys(changed).length === 0) return
    // Each is told under the pass that it is of.
    if (this.#untold !== null && this.#untold.passId !== passId) this.tellCounters()
    this.#counters = { ...this.#counters, ...changed }
    this.#untold = { counters: { ...this.#untold?.counters, ...changed }, passId }
    if (passId === null) this.tellCounters()
  }

  /** What was gathered, if anything was. */
  tellCounters(): void {
    if (this.#untold === null) return
    const { counters, passId } = this.#untold
    this.#untold = null
    this.#host.emit({ type: 'counters_changed', counters }, passId)
  }

  /** The state between actions. An error stays until the next action overwrites it. */
  rest(passId: number | null, options: MaintenanceOptions): void {
    const { state } = this.#facts
    if (state !== 'error') this.update({ state: restingState(this.#facts, options) }, passId)
  }
}

/** `disabled` is upstream's label for a loop that does not run by itself; asked-for passes still do. */
export function restingState(
  loop: { mode: SchedulerMode; paused: boolean },
  options: Pick<MaintenanceOptions, 'disableLoop'>,
): SchedulerState {
  return loop.mode === 'step' || loop.paused || options.disableLoop ? 'disabled' : 'idle'
}
