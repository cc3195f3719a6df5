/**
 * When maintenance runs: one slot, a periodic tick, a stage timer, checkpoint kicks, and whatever a
 * person asks for. What a pass does is decided in `decide.ts` and executed in `pass.ts`.
 *
 * In auto mode timers and kicks start passes by themselves unless paused. In step mode nothing does;
 * asked-for passes run in every mode. There is one slot: who finds it taken is told so, and a kick
 * that finds it taken is remembered once and runs when the slot is free. After every pass the stage
 * timer is set from the debt as it then is, so staged debt is always looked at when it comes due.
 */
import type { MaintenanceControl, PassProgress } from '../api.ts'
import { EngineError } from '../errors.ts'
import type { ResolvedOptions } from '../options.ts'
import type {
  CheckpointReport,
  Counters,
  EngineEventBody,
  Gate,
  GcReport,
  MaintenanceOptions,
  PassReport,
  PassSource,
  PassStop,
  PlanFilters,
  RewriteDebt,
  RewritePenalty,
  RewritePlan,
  SchedulerInfo,
  SchedulerMode,
  SegmentId,
} from '../types.ts'
import { kickGates } from './admission.ts'
import { decidePass, filtersFor, type Decision } from './decide.ts'
import { staleTriggerFloor, totalBytes } from './floors.ts'
import { isBlocking } from './gates.ts'
import type { MaintenanceHost } from './host.ts'
import { clampStage } from './ledger.ts'
import { MaintenanceMemory, restingState } from './memory.ts'
import { describeError, isIdle, Pass, passInput, planEvent, restaged } from './pass.ts'
import type { PassCall, PassEnvironment } from './pass.ts'
import type { ManualRequest } from './pass-input.ts'
import { planRewrite } from './planner.ts'
import { decodeState } from './state-file.ts'

type SkipReason = Extract<EngineEventBody, { type: 'checkpoint_kick_skip' }>['reason']

/** What became of a checkpoint kick: a pass, or the reason there was none, in words. */
export interface KickAnswer {
  pass: PassReport | null
  skipped: string | null
}

interface Slot {
  pass: Pass
  abort: AbortController
  /** Resolves when the pass has ended; never rejects. */
  done: Promise<void>
}

/** After a confirm that left its stage due in spite of everything; keeps the timer from spinning. */
const CONFIRM_RETRY_MIN_MS = 1_000

export class MaintenanceScheduler implements MaintenanceControl {
  readonly #host: MaintenanceHost
  readonly #environment: PassEnvironment
  readonly #memory: MaintenanceMemory
  #slot: Slot | null = null
  #lastPassId = 0
  #ticks = 0
  #started = false
  /** Debt is being saved from outside of passes: the slot is taken meanwhile. */
  #settingDebt = false
  #closed = false
  /** The kick now running, for callers that ask what became of it. */
  #kick: Promise<KickAnswer> | null = null
  /** A kick found the slot taken; one is remembered, however many came. */
  #kickLatched = false
  /** What kept the last automatic periodic pass idle; the same again is not reported again. */
  #idleWhy: string | null = null
  #confirmNotBeforeMs = 0
  #cancelTick: (() => void) | null = null
  #cancelStage: (() => void) | null = null

  constructor(host: MaintenanceHost, options: Pick<ResolvedOptions, 'mode' | 'maintenance'>) {
    const { mode, maintenance } = options
    this.#host = host
    this.#memory = new MaintenanceMemory(host, {
      mode,
      options: maintenance,
    })
    this.#environment = { host, memory: this.#memory, options: maintenance }
  }

  // ---------------------------------------------------------------- life

  /**
   * Reads the persisted debt, of any length, and starts the timers in auto mode. Call once, when the
   * segments are known. A state file that cannot be used is evented and then empty.
   */
  async load(): Promise<void> {
    const { confirmDelayMs } = this.#environment.options
    const text = await this.#host.loadState()
    const { debt, penalties, extras, problem } = decodeState(text, confirmDelayMs)
    if (problem !== null) this.#host.emit({ type: 'state_file_ignored', problem }, null)
    const now = this.#host.clock.now()
    const stage = debt.stage === null ? null : clampStage(debt.stage, now, confirmDelayMs)
    this.#memory.adopt({ debt: { ...debt, stage }, penalties, extras })
    this.#started = true
    this.#arm()
  }

  /** Cancels timers, aborts a running pass and waits for it to end. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true
    this.#kickLatched = false
    this.#disarm()
    this.#slot?.abort.abort()
    await this.#slot?.done
  }

  info(): SchedulerInfo {
    return this.#memory.info()
  }

  /** The debt as saved. Never changed in place. */
  debt(): RewriteDebt {
    return this.#memory.debt
  }

  /** Ascending by segmentId. */
  penalties(): RewritePenalty[] {
    return [...this.#memory.penalties]
  }

  counters(): Counters {
    return this.#memory.counters
  }

  /** Any published checkpoint, whoever asked for it; call afterCheckpoint besides if it may kick. */
  countCheckpoint(): void {
    this.#memory.count({ checkpoints: 1 }, this.#slot?.pass.passId ?? null)
  }

  /** Segments that were deleted outside of passes, when a reader let go of them. */
  countDeleted(segments: number, bytes: number): void {
    this.#memory.count({ gcDeletedSegments: segments, gcDeletedBytes: bytes }, null)
  }

  // ---------------------------------------------------------------- asked for

  /** In any mode, paused or not. Rejects with ENGINE_BUSY when the slot is taken. */
  async runPass(source: Exclude<PassSource, 'manual'>): Promise<PassReport> {
    // A periodic pass that someone asks for is not one of five: it may always look for dead segments.
    return (await this.#run(callFor(source, { gcTick: true }))).report
  }

  /** Plans now and stages what was selected; filters that are not given are the automatic plan's. */
  async stage(filters?: Partial<PlanFilters>): Promise<PassReport> {
    return this.#manual({ kind: 'stage', filters: this.#filters(filters) })
  }

  /** Ids that no segment has are left out; the report's gate says how many. */
  async rewrite(segmentIds: SegmentId[]): Promise<PassReport> {
    return this.#manual({ kind: 'rewrite', segmentIds: [...segmentIds] })
  }

  /** A dry run needs no slot: it changes nothing. Otherwise rejects with what GC failed of. */
  async gc(options: { dryRun: boolean; observed?: SegmentId[] }): Promise<GcReport> {
    if (options.dryRun) {
      this.#mustBeOpen()
      const report = await this.#host.reclaim(options)
      this.#host.emit({ type: 'gc_run', phase: 'standalone', report }, null)
      return report
    }
    const { report, pass } = await this.#run(callFor('manual', { request: { kind: 'gc' } }))
    const step = report.steps.find((s) => s.kind === 'gc')
    if (step !== undefined) return step.report
    if (pass.failure instanceof Error) throw pass.failure
    throw new EngineError('ENGINE_ABORTED', `GC did not run: ${report.sentence}`)
  }

  /** Changes nothing; only the trace shows that someone looked (F17). */
  plan(filters?: Partial<PlanFilters>): RewritePlan {
    this.#mustBeOpen()
    const { clock } = this.#host
    const begun = clock.monotonic()
    const segments = this.#host.segments()
    const plan = planRewrite({ segments, filters: this.#filters(filters), nowMs: clock.now() })
    this.#host.emit(planEvent('dry_run', plan, clock.monotonic() - begun), null)
    return plan
  }

  async setDebt(debt: RewriteDebt, minStaleRatio: number | null = null): Promise<void> {
    this.#mustBeOpen()
    if (this.#slot !== null || this.#settingDebt) {
      throw new EngineError('ENGINE_BUSY', 'debt cannot be set while a pass runs')
    }
    this.#settingDebt = true
    const cause = debt.queue.length === 0 ? 'cleared' : debt.stage === null ? 'planned' : 'staged'
    try {
      await this.#memory.replaceDebt(debt, { cause, passId: null, minStaleRatio })
    } finally {
      this.#settingDebt = false
    }
    this.#armStage()
  }

  /** Timers and kicks stop; a running pass ends as it would have. */
  pause(): void {
    this.#setLoop({ paused: true })
  }

  resume(): void {
    this.#setLoop({ paused: false })
  }

  setMode(mode: SchedulerMode): void {
    this.#setLoop({ mode })
  }

  // ---------------------------------------------------------------- debugger

  stepPhase(): Promise<PassProgress> {
    return Promise.reject(new EngineError('ENGINE_UNSUPPORTED', 'stepping is not built yet'))
  }

  resumePass(): Promise<PassProgress> {
    return Promise.reject(new EngineError('ENGINE_UNSUPPORTED', 'stepping is not built yet'))
  }

  cancelPass(): Promise<PassReport | null> {
    return Promise.reject(new EngineError('ENGINE_UNSUPPORTED', 'stepping is not built yet'))
  }

  stoppedPass(): PassStop | null {
    return null
  }

  setBreakpoints(): void {
    throw new EngineError('ENGINE_UNSUPPORTED', 'breakpoints are not built yet')
  }

  setOptions(): MaintenanceOptions {
    throw new EngineError('ENGINE_UNSUPPORTED', 'options cannot be changed yet')
  }

  // ---------------------------------------------------------------- checkpoint kicks

  /**
   * A checkpoint that the foreground caused kicks maintenance in auto mode. Maintenance's own must
   * not, or each pass would wake the next; one that wrote nothing leaves nothing new to look at.
   */
  afterCheckpoint(report: CheckpointReport): void {
    const { reason, noop } = report
    const kicks = reason === 'foreground' || reason === 'interval' || reason === 'size'
    if (!kicks || noop || !this.#started || this.#closed) return
    if (this.#memory.facts.mode === 'step') {
      this.#skipKick('step_mode', 'In step mode a checkpoint kicks nothing by itself.')
    } else if (this.#slot !== null && !this.#memory.facts.paused) {
      this.#latchKick(this.#slot)
    } else {
      this.#background(this.#kickNow(true))
    }
  }

  /** A kick as after a checkpoint of now, also in step mode; not while paused. */
  async kickFromCheckpoint(): Promise<KickAnswer> {
    this.#mustBeOpen()
    // In auto mode the checkpoint that the caller means has kicked already: its kick is the answer.
    return this.#kick ?? this.#kickNow(false)
  }

  /** Its own gates first: a kick that is refused does not take the slot and is not counted. */
  async #kickNow(automatic: boolean): Promise<KickAnswer> {
    if (this.#memory.facts.paused) {
      return this.#skipKick('paused', 'The scheduler is paused.')
    }
    const input = passInput(this.#environment, callFor('checkpoint_kick', { automatic }))
    const gates = kickGates(input)
    const block = gates.find(isBlocking)
    if (block !== undefined) {
      const reason = block.name === 'kick_min_interval' ? 'min_interval' : 'trigger_floor'
      return this.#skipKick(reason, block.text)
    }
    if (this.#slot !== null) {
      return this.#skipKick('already_active', 'Another pass is running.')
    }
    this.#kick = this.#runKick(automatic, gates)
    try {
      return await this.#kick
    } finally {
      this.#kick = null
    }
  }

  async #runKick(automatic: boolean, gates: Gate[]): Promise<KickAnswer> {
    const { rewriteRuns, gcRuns } = this.#memory.counters
    this.#host.emit({ type: 'checkpoint_kick_start' }, null)
    this.#memory.update({ lastCheckpointKickAtMs: this.#host.clock.now() }, null)
    this.#memory.count({ checkpointKicks: 1 }, null)
    // No wait since the slot was found free, so it still is.
    const call = callFor('checkpoint_kick', { automatic, kickGates: gates })
    const { report } = await this.#run(call)
    const after = this.#memory.counters
    this.#host.emit(
      {
        type: 'checkpoint_kick_done',
        rewriteRunsBefore: rewriteRuns,
        rewriteRunsAfter: after.rewriteRuns,
        gcRunsBefore: gcRuns,
        gcRunsAfter: after.gcRuns,
        pending: this.#kickLatched,
      },
      null,
    )
    return { pass: report, skipped: null }
  }

  #skipKick(reason: SkipReason, text: string): KickAnswer {
    this.#host.emit({ type: 'checkpoint_kick_skip', reason, text, gate: null }, null)
    return { pass: null, skipped: text }
  }

  #latchKick(slot: Slot): void {
    this.#kickLatched = true
    const active = slot.pass.source
    this.#host.emit(
      { type: 'maintenance_retry_collision', source: 'checkpoint_kick', active },
      null,
    )
  }

  // ---------------------------------------------------------------- the slot

  async #manual(request: ManualRequest): Promise<PassReport> {
    return (await this.#run(callFor('manual', { request }))).report
  }

  /** Takes the slot at once or rejects with ENGINE_BUSY; the pass itself never rejects. */
  async #run(call: PassCall): Promise<{ report: PassReport; pass: Pass }> {
    this.#mustBeOpen()
    if (this.#slot !== null) {
      const { source } = call
      const active = this.#slot.pass.source
      this.#host.emit({ type: 'maintenance_retry_collision', source, active }, null)
      throw new EngineError('ENGINE_BUSY', `a ${active} pass is running`)
    }
    if (this.#settingDebt) throw new EngineError('ENGINE_BUSY', 'the debt is being set')
    this.#lastPassId += 1
    const abort = new AbortController()
    const slotOf = { passId: this.#lastPassId, signal: abort.signal }
    const pass = new Pass(this.#environment, call, slotOf)
    let end: () => void = () => undefined
    const done = new Promise<void>((resolve) => (end = resolve))
    // Before the pass begins: whoever hears its first event and asks for another pass finds it taken.
    this.#slot = { pass, abort, done }
    try {
      const report = await pass.run()
      if (restaged(report)) this.#kickLatched = false
      return { report, pass }
    } finally {
      this.#slot = null
      end()
      this.#afterPass(call)
    }
  }

  /** The exit hook: whatever the pass left behind gets its timer, and a kick that waited its turn. */
  #afterPass(call: PassCall): void {
    const stage = this.#memory.debt.stage
    const now = this.#host.clock.now()
    if (call.source === 'rewrite_stage_confirm' && stage !== null && stage.dueAtMs <= now) {
      const { confirmDelayMs } = this.#environment.options
      this.#confirmNotBeforeMs = now + Math.max(confirmDelayMs, CONFIRM_RETRY_MIN_MS)
    }
    this.#armStage()
    if (!this.#kickLatched || !this.#runsByItself()) return
    this.#kickLatched = false
    this.#background(this.#kickNow(true))
  }

  #mustBeOpen(): void {
    if (!this.#started || this.#closed) {
      throw new EngineError('ENGINE_NOT_OPEN', 'maintenance is not running')
    }
  }

  // ---------------------------------------------------------------- timers

  #runsByItself(): boolean {
    const { mode, paused } = this.#memory.facts
    return this.#started && !this.#closed && mode === 'auto' && !paused
  }

  #setLoop(patch: { mode?: SchedulerMode; paused?: boolean }): void {
    if (this.#closed) return
    const facts = { ...this.#memory.facts, ...patch }
    // A running or failed action keeps its own state until the next action ends.
    const resting = facts.state === 'idle' || facts.state === 'disabled'
    const state = resting ? restingState(facts, this.#environment.options) : facts.state
    this.#memory.update({ mode: facts.mode, paused: facts.paused, state }, null)
    this.#idleWhy = null
    this.#disarm()
    if (this.#runsByItself()) this.#arm()
    else this.#kickLatched = false
  }

  /** Everything that wakes passes by itself; nothing unless it may. */
  #arm(): void {
    if (!this.#runsByItself()) return
    this.#armTick()
    this.#armStage()
  }

  #disarm(): void {
    this.#cancelTick?.()
    this.#cancelStage?.()
    this.#cancelTick = null
    this.#cancelStage = null
  }

  #armTick(): void {
    this.#cancelTick?.()
    const atMs = this.#host.clock.now() + this.#environment.options.loopIntervalMs
    this.#cancelTick = this.#host.clock.setTimer(atMs, () => {
      this.#armTick()
      this.#tick()
    })
  }

  /** At any time one timer at most, for the stage as it is now; none while a pass holds the slot. */
  #armStage(): void {
    this.#cancelStage?.()
    this.#cancelStage = null
    const stage = this.#memory.debt.stage
    if (stage === null || this.#slot !== null || !this.#runsByItself()) return
    const atMs = Math.max(stage.dueAtMs, this.#confirmNotBeforeMs)
    this.#cancelStage = this.#host.clock.setTimer(atMs, () => {
      this.#cancelStage = null
      // A pass that took the slot meanwhile sets the timer again when it ends.
      if (this.#slot === null) this.#runAutomatic(callFor('rewrite_stage_confirm', AUTOMATIC))
    })
  }

  /**
   * A store at rest would fill the trace with the same empty pass every second. So the decision is
   * taken first, and a pass is made of it only when it does something or is idle for a new reason.
   */
  #tick(): void {
    this.#ticks += 1
    if (this.#slot !== null) return
    const gcTick = this.#ticks % this.#environment.options.gcEvery === 0
    const call = callFor('periodic', { automatic: true, gcTick })
    const input = passInput(this.#environment, call)
    const decision = decidePass(input)
    if (!isIdle(decision)) {
      this.#idleWhy = null
      this.#runAutomatic(call)
      return
    }
    const why = idleReason(decision)
    if (why !== null && why !== this.#idleWhy) {
      this.#idleWhy = why
      this.#runAutomatic(call)
    } else if (decision.planHoldMs !== null) {
      const { planHoldMs } = decision
      this.#memory.update({ lastPlanAtMs: input.nowMs, planHoldMs }, null)
    }
  }

  #runAutomatic(call: PassCall): void {
    this.#background(this.#run(call))
  }

  /** Nobody waits for it. Passes report their own failures, so what arrives here is a bug of ours. */
  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.#memory.update({ state: 'error', paused: true }, null)
      this.#host.emit({ type: 'maintenance_failed', ...describeError(error) }, null)
    })
  }

  /** What the automatic stale-ratio plan would use now, with the given fields in its place. */
  #filters(filters: Partial<PlanFilters> = {}): PlanFilters {
    const { options } = this.#environment
    const floor = staleTriggerFloor(totalBytes(this.#host.segments()), options)
    return { ...filtersFor(floor, options), ...filters }
  }
}

const AUTOMATIC = { automatic: true }

function callFor(
  source: PassSource,
  how: Partial<Pick<PassCall, 'request' | 'automatic' | 'gcTick' | 'kickGates'>>,
): PassCall {
  return { source, request: null, automatic: false, gcTick: false, kickGates: [], ...how }
}

/**
 * Names why nothing is to be done; null when it is only too early to look again, which says nothing
 * new about the store.
 */
function idleReason(decision: Decision): string | null {
  const { action } = decision
  if (action.kind !== 'blocked') return action.kind
  return action.by === 'plan_min_interval' || action.by === 'rewrite_min_interval'
    ? null
    : action.by
}
