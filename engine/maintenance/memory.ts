/**
 * What maintenance remembers between passes, and the only place that changes it: debt is saved
 * before it becomes the truth in memory and is evented after that; scheduler facts and counters are
 * evented the moment they change. So the events rebuild this state exactly.
 */
import type { MaintenanceHost } from './host.ts'
import type {
  Counters,
  EngineEventBody,
  PassSource,
  RewriteDebt,
  RewriteReason,
  SchedulerInfo,
  SchedulerMode,
  SchedulerState,
} from '../types.ts'
import type { PassTimes } from './pass-input.ts'
import { NO_DEBT } from './ledger.ts'
import { encodeState, extrasFor, NO_EXTRAS, type StateExtras } from './state-file.ts'

export type DebtCause = Extract<EngineEventBody, { type: 'debt_changed' }>['cause']

/** The pass that holds the slot. */
export interface ActivePass {
  passId: number
  source: PassSource
  startedAtMs: number
}

interface SchedulerFacts extends PassTimes {
  mode: SchedulerMode
  paused: boolean
  state: SchedulerState
  lastReason: RewriteReason
  activePass: ActivePass | null
}

/** Before anything was counted. */
export const NO_COUNTS: Counters = {
  checkpoints: 0,
  checkpointKicks: 0,
  passes: 0,
  rewriteRuns: 0,
  rewriteRecordsCopied: 0,
  rewriteBytesRead: 0,
  rewriteBytesWritten: 0,
  gcRuns: 0,
  gcDeletedSegments: 0,
  gcDeletedBytes: 0,
  queuePrunedIds: 0,
}

export class MaintenanceMemory {
  readonly #host: MaintenanceHost
  #debt: RewriteDebt = NO_DEBT
  #extras: StateExtras = NO_EXTRAS
  #facts: SchedulerFacts
  #counters: Counters = NO_COUNTS
  /** The last evented scheduler facts, to event only real changes. */
  #evented: string

  constructor(host: MaintenanceHost, start: { mode: SchedulerMode; planHoldMs: number }) {
    this.#host = host
    this.#facts = {
      mode: start.mode,
      paused: false,
      state: restingState(start.mode, false),
      lastReason: 'none',
      activePass: null,
      lastRewriteAtMs: null,
      lastPlanAtMs: null,
      planHoldMs: start.planHoldMs,
      lastGcAtMs: null,
      lastCheckpointKickAtMs: null,
    }
    this.#evented = JSON.stringify(this.info())
  }

  /** Shared, never changed in place: every change makes a new one. */
  get debt(): RewriteDebt {
    return this.#debt
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
    const facts = this.#facts
    return {
      mode: facts.mode,
      paused: facts.paused,
      state: facts.state,
      lastReason: facts.lastReason,
      activePass: facts.activePass,
      lastRewriteAtMs: facts.lastRewriteAtMs,
      lastPlanAtMs: facts.lastPlanAtMs,
      lastGcAtMs: facts.lastGcAtMs,
      lastCheckpointKickAtMs: facts.lastCheckpointKickAtMs,
    }
  }

  /** Debt as found on disk at open: it is saved already. */
  adopt(debt: RewriteDebt, extras: StateExtras): void {
    this.#debt = debt
    this.#extras = extrasFor(debt, extras)
    this.#host.emit({ type: 'debt_changed', cause: 'loaded', debt }, null)
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
    await this.#host.saveState(encodeState(debt, extras))
    this.#debt = debt
    this.#extras = extras
    if (change.word !== undefined) this.#host.emit(change.word, change.passId)
    this.#host.emit({ type: 'debt_changed', cause: change.cause, debt }, change.passId)
  }

  update(patch: Partial<SchedulerFacts>, passId: number | null): void {
    this.#facts = { ...this.#facts, ...patch }
    const info = this.info()
    const text = JSON.stringify(info)
    if (text === this.#evented) return
    this.#evented = text
    this.#host.emit({ type: 'scheduler_changed', scheduler: info }, passId)
  }

  /** Adds to counters; amounts of 0 are no change and no event. */
  count(amounts: Partial<Counters>, passId: number | null): void {
    const next = { ...this.#counters }
    let changed = false
    for (const [key, amount] of Object.entries(amounts) as [keyof Counters, number][]) {
      next[key] += amount
      changed ||= amount !== 0
    }
    if (!changed) return
    this.#counters = next
    this.#host.emit({ type: 'counters_changed', counters: next }, passId)
  }

  /** The state between actions. An error stays until the next action overwrites it. */
  rest(passId: number | null): void {
    const { mode, paused, state } = this.#facts
    if (state !== 'error') this.update({ state: restingState(mode, paused) }, passId)
  }
}

/** `disabled` is upstream's label for a loop that does not run by itself; asked-for passes still do. */
export function restingState(mode: SchedulerMode, paused: boolean): SchedulerState {
  return mode === 'step' || paused ? 'disabled' : 'idle'
}
