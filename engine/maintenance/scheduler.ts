/**
 * When maintenance runs: one slot, a periodic tick, timers of staged and age-blocked debt, checkpoint
 * kicks, and whatever a person asks for. What a pass does is decided in `decide.ts` and executed in
 * `pass.ts`; what wakes passes by itself is in `wakes.ts`.
 *
 * In auto mode timers and kicks start passes by themselves unless paused. In step mode nothing does;
 * asked-for passes run in every mode. There is one slot: who finds it taken is told so, and a kick or
 * a due retry that finds it taken is remembered once and runs when the slot is free.
 */
import type { MaintenanceControl, PassProgress } from '../api.ts'
import { EngineError } from '../errors.ts'
import { changeMaintenance, type ResolvedOptions } from '../options.ts'
import type {
  Breakpoint,
  CheckpointReport,
  Counters,
  GcReport,
  MaintenanceOptions,
  MaintenancePhase,
  MaintenancePreview,
  PassReport,
  PassSource,
  PassStop,
  PauseFileSight,
  PlanFilters,
  RewriteDebt,
  RewriteOptions,
  RewritePenalty,
  RewritePlan,
  SchedulerInfo,
  SchedulerMode,
  SegmentId,
  VacuumPlan,
  VacuumReport,
} from '../types.ts'
import { refitBucket } from './budget.ts'
import { filtersFor } from './decide-fresh.ts'
import { staleTriggerFloor, totalBytes } from './floors.ts'
import type { MaintenanceHost } from './host.ts'
import { Kicks, type KickAnswer } from './kicks.ts'
import { clampStage, segmentLookup } from './ledger.ts'
import { MaintenanceMemory, restingState } from './memory.ts'
import { Pass, restaged } from './pass.ts'
import { describeError, type PassCall, type PassEnvironment } from './pass-environment.ts'
import type { ManualRequest } from './pass-input.ts'
import { planEvent } from './pass-plans.ts'
import { coolingOf, liftPenalties } from './penalties.ts'
import { checkRewriteOptions } from './rewrite-options.ts'
import { planRewrite } from './planner.ts'
import { Previews } from './previews.ts'
import { decodeState, expireHistory } from './state-file.ts'
import { Stepper } from './stepper.ts'
import { Suppression } from './suppression.ts'
import { AUTOMATIC, callFor, Wakes } from './wakes.ts'
import { UnderWay } from '../under-way.ts'

const PHASES: readonly MaintenancePhase[] = ['steady', 'restore', 'catch_up']

interface Slot {
  pass: Pass
  abort: AbortController
  /** Resolves with the report when the pass has ended, null when it broke; never rejects. */
  done: Promise<PassReport | null>
}

export class MaintenanceScheduler implements MaintenanceControl {
  readonly #host: MaintenanceHost
  readonly #environment: PassEnvironment
  readonly #memory: MaintenanceMemory
  readonly #stepper: Stepper
  readonly #suppression: Suppression
  readonly #wakes: Wakes
  readonly #kicks: Kicks
  readonly #previews: Previews
  #slot: Slot | null = null
  #lastPassId = 0
  #started = false
  /** Debt is being saved from outside of passes: the slot is taken meanwhile. */
  #settingDebt = false
  /** Writes outside of passes that are under way; closing waits for them. */
  readonly #underWay = new UnderWay()
  #closed = false

  constructor(
    host: MaintenanceHost,
    options: Pick<ResolvedOptions, 'mode' | 'maintenance'> &
      Partial<Pick<ResolvedOptions, 'phase' | 'pauseFile'>>,
    observe?: PassEnvironment['observe'],
  ) {
    const { mode, maintenance, phase = 'steady', pauseFile = '' } = options
    this.#host = host
    this.#memory = new MaintenanceMemory(host, {
      mode,
      phase,
      pauseFile: pauseFile === '' ? null : pauseFile,
      options: maintenance,
    })
    this.#stepper = new Stepper(host, this.#memory)
    this.#environment = {
      host,
      memory: this.#memory,
      options: maintenance,
      stepper: this.#stepper,
      ...(observe === undefined ? {} : { observe }),
    }
    this.#suppression = new Suppression(this.#environment)
    this.#wakes = new Wakes(this.#environment, this.#suppression, {
      isRunning: () => this.#started && !this.#closed,
      isSlotTaken: () => this.#slotHolder() !== null,
      run: (call) => this.#background(this.#run(call)),
      runKick: (source) => this.#background(this.#kicks.run({ source, ...AUTOMATIC })),
    })
    this.#kicks = new Kicks(this.#environment, this.#suppression, {
      slotHolder: () => this.#slotHolder(),
      latch: () => {
        if (this.#slot !== null) this.#collide('checkpoint_kick', this.#slot)
        this.#wakes.latchKick()
      },
      noPass: () => this.#wakes.noPass(),
      run: (call) => this.#run(call),
    })
    this.#previews = new Previews(this.#environment, this.#suppression, this.#wakes)
  }

  // ---------------------------------------------------------------- life

  /**
   * Reads the persisted state, of any length, and starts the timers in auto mode. Call once, when the
   * segments are known. A state file that cannot be used is evented and then empty, and one that cannot
   * even be read is an `error` of the scheduler besides; penalties that are over leave the file (D5).
   */
  async load(): Promise<void> {
    const { confirmDelayMs } = this.#environment.options
    const text = await this.#loadText()
    const found = decodeState(text, confirmDelayMs)
    const { debt, problem } = found
    if (problem !== null) this.#host.emit({ type: 'state_file_ignored', problem }, null)
    const nowMs = this.#host.clock.now()
    const stage = debt.stage === null ? null : clampStage(debt.stage, nowMs, confirmDelayMs)
    const { extras, dropped } = expireHistory(found.extras, nowMs)
    this.#memory.adopt({ debt: { ...debt, stage }, penalties: found.penalties, extras })
    const now = { nowMs, segments: segmentLookup(this.#host.segments()) }
    // Readmission waits for the first pass: it is a decision, and passes decide.
    const { expired } = liftPenalties(found.penalties, now, this.#environment.options)
    if (expired.length > 0 || dropped > 0) {
      const rest = found.penalties.filter((p) => !expired.includes(p.segmentId))
      const change = { cause: 'expired' as const, segmentIds: expired, passId: null }
      await this.#memory.replacePenalties(rest, change)
      this.#memory.count({ penaltiesExpired: found.penalties.length - rest.length }, null)
    }
    // So that the state tells of a pause file from the start, not from the first pass it holds back.
    this.#suppression.reason()
    this.#started = true
    this.#wakes.arm()
  }

  /** null: none, or one that cannot be read. Debt can be planned again, so the store opens without it. */
  async #loadText(): Promise<string | null> {
    try {
      return await this.#host.loadState()
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      this.#host.emit({ type: 'state_file_ignored', problem: error.message }, null)
      this.#memory.update({ state: 'error' }, null)
      return null
    }
  }

  /**
   * Cancels timers, aborts a running pass and waits for it to end, and for debt and a pause file that are
   * being written: after this nothing here touches a file. Idempotent.
   */
  async close(): Promise<void> {
    this.#closed = true
    this.#wakes.close()
    this.#slot?.abort.abort()
    await this.#slot?.done
    await this.#underWay.idle()
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

  /** See EngineGauges. */
  get passesNotMade(): number {
    return this.#wakes.passesNotMade
  }

  /** Events for what was counted and not told yet. */
  tellCounters(): void {
    this.#memory.tellCounters()
  }

  /** As they are now; see setOptions. */
  options(): Readonly<MaintenanceOptions> {
    return this.#environment.options
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
  async runPass(
    source: Exclude<PassSource, 'manual'>,
    how: { budgetTokensBytes?: number } = {},
  ): Promise<PassReport> {
    const { budgetTokensBytes } = how
    if (budgetTokensBytes !== undefined) this.#fillBudget(budgetTokensBytes)
    // A periodic pass that someone asks for is not one of five: it may always look for dead segments.
    return (await this.#run(callFor(source, { gcTick: true }))).report
  }

  #fillBudget(bytes: number): void {
    this.#mustBeOpen()
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new EngineError('ENGINE_OPTIONS', `budgetTokensBytes must be 0 or more, got ${bytes}`)
    }
    const { budget } = this.#memory.facts
    if (budget === null || this.#slotHolder() !== null) return
    // Tokens for this pass; time before it adds nothing to them.
    const accruedAtMs = this.#host.clock.now()
    this.#memory.update({ budget: { ...budget, tokensBytes: bytes, accruedAtMs } }, null)
  }

  /** Plans now and stages what was selected; filters that are not given are the automatic plan's. */
  async stage(filters?: Partial<PlanFilters>): Promise<PassReport> {
    return this.#manual({ kind: 'stage', filters: this.#filters(filters) })
  }

  /** Ids that no segment has are left out; the report's gate says how many. */
  async rewrite(
    segmentIds: SegmentId[],
    options: Partial<RewriteOptions> = {},
  ): Promise<PassReport> {
    checkRewriteOptions(options)
    return this.#manual({ kind: 'rewrite', segmentIds: [...segmentIds], options: { ...options } })
  }

  /** A dry run needs no slot: it changes nothing. Otherwise rejects with what GC failed of. */
  async gc(options: { dryRun: boolean; observed?: SegmentId[] }): Promise<GcReport> {
    if (options.dryRun) {
      this.#mustBeOpen()
      const report = await this.#host.reclaim(options)
      this.#host.emit({ type: 'gc_run', phase: 'standalone', reason: 'manual', report }, null)
      this.#memory.count({ gcDryRuns: 1 }, null)
      const { bytesEligible: eligibleBytes, eligible } = report
      const atMs = this.#host.clock.now()
      const lastGcDryRun = { atMs, eligibleBytes, eligibleSegments: eligible.length }
      this.#memory.update({ lastGcDryRun }, null)
      return report
    }
    const request = { kind: 'gc' as const, observed: [...(options.observed ?? [])] }
    const { report, pass } = await this.#run(callFor('manual', { request }))
    const step = report.steps.find((s) => s.kind === 'gc')
    if (step !== undefined) return step.report
    if (pass.failure instanceof Error) throw pass.failure
    throw new EngineError('ENGINE_ABORTED', `GC did not run: ${report.sentence}`)
  }

  async vacuum(): Promise<VacuumReport> {
    const { report, pass } = await this.#run(callFor('manual', { request: { kind: 'vacuum' } }))
    const step = report.steps.find((s) => s.kind === 'vacuum')
    if (step !== undefined) return step.report
    if (pass.failure instanceof Error) throw pass.failure
    throw new EngineError('ENGINE_ABORTED', `no vacuum: ${report.sentence}`)
  }

  planVacuum(): VacuumPlan {
    this.#mustBeOpen()
    return this.#host.planVacuum()
  }

  /** Changes nothing; only the trace shows that someone looked (F17). */
  plan(filters?: Partial<PlanFilters>): RewritePlan {
    this.#mustBeOpen()
    const { clock } = this.#host
    const begun = clock.monotonic()
    const segments = this.#host.segments()
    const nowMs = clock.now()
    const { penalties } = this.#memory
    const cooling = coolingOf(penalties, { nowMs, segments }, this.#environment.options)
    const request = { segments, filters: this.#filters(filters), nowMs, cooling }
    const plan = planRewrite(request)
    this.#host.emit(planEvent('dry_run', plan, clock.monotonic() - begun), null)
    return plan
  }

  async preview(): Promise<MaintenancePreview> {
    this.#mustBeOpen()
    return this.#previews.make(this.#slot?.pass ?? null)
  }

  async setDebt(debt: RewriteDebt, minStaleRatio: number | null = null): Promise<void> {
    this.#mustBeOpen()
    const holder = this.#slotHolder()
    if (holder !== null) {
      throw new EngineError('ENGINE_BUSY', `debt cannot be set while ${holder}`)
    }
    this.#settingDebt = true
    await this.#underWay.track(this.#saveDebt(debt, minStaleRatio))
  }

  async #saveDebt(debt: RewriteDebt, minStaleRatio: number | null): Promise<void> {
    const cause = debt.queue.length === 0 ? 'cleared' : debt.stage === null ? 'planned' : 'staged'
    // The caller may go on with its own.
    const own = structuredClone(debt)
    try {
      await this.#memory.replaceDebt(own, { cause, passId: null, minStaleRatio })
    } finally {
      this.#settingDebt = false
      // Also when it could not be saved: a kick or a timer may have found the slot taken.
      this.#wakes.debtChanged()
    }
  }

  /** Timers and kicks stop; a running pass ends as it would have. */
  pause(reason = ''): void {
    this.#setLoop({ paused: true, pauseReason: reason === '' ? null : reason })
  }

  resume(): void {
    this.#setLoop({ paused: false, pauseReason: null })
  }

  setMode(mode: SchedulerMode): void {
    this.#setLoop({ mode })
  }

  setPhase(phase: MaintenancePhase): void {
    if (this.#closed) return
    if (!PHASES.includes(phase)) {
      throw new EngineError('ENGINE_OPTIONS', `phase must be one of ${PHASES.join(', ')}`)
    }
    const from = this.#memory.facts.phase
    if (phase === from) return
    this.#host.emit({ type: 'maintenance_phase_change', from, to: phase }, null)
    this.#memory.update({ phase }, null)
    this.#wakes.rearm()
  }

  async setPauseFile(reason: string | null): Promise<PauseFileSight> {
    this.#mustBeOpen()
    if (this.#memory.facts.pauseFile === null) {
      throw new EngineError('ENGINE_OPTIONS', 'the store was opened without a pauseFile')
    }
    await this.#underWay.track(this.#host.writePauseFile(reason))
    // Looks for it and says so, while the store is open; closing meanwhile changes nothing about the file.
    this.#suppression.reason()
    this.#wakes.rearm()
    return this.#host.lookForPauseFile()
  }

  #setLoop(patch: Partial<Pick<SchedulerInfo, 'mode' | 'paused' | 'pauseReason'>>): void {
    if (this.#closed) return
    this.#memory.update({ ...patch, ...this.#resting(patch) }, null)
    this.#wakes.rearm()
  }

  /** A running or failed action keeps its own state until the next action ends. */
  #resting(patch: { mode?: SchedulerMode; paused?: boolean }): Pick<SchedulerInfo, 'state'> {
    const facts = { ...this.#memory.facts, ...patch }
    const resting = facts.state === 'idle' || facts.state === 'disabled'
    return { state: resting ? restingState(facts, this.#environment.options) : facts.state }
  }

  setOptions(changes: Partial<MaintenanceOptions>): MaintenanceOptions {
    this.#mustBeOpen()
    const before = this.#environment.options
    const options = changeMaintenance(before, changes)
    const names = Object.keys(options) as (keyof MaintenanceOptions)[]
    const changed = names.filter((name) => options[name] !== before[name])
    if (changed.length === 0) return { ...options }
    this.#environment.options = options
    this.#host.emit({ type: 'options_changed', changed, options: { ...options } }, null)
    const { policy } = options
    const held = this.#memory.facts
    const budget = refitBucket(held.budget, options)
    // A plan that was held back for the old interval waits for the new one.
    const planHoldMs = changed.includes('rewriteMinIntervalMs')
      ? options.rewriteMinIntervalMs
      : held.planHoldMs
    this.#memory.update({ policy, budget, planHoldMs, ...this.#resting({}) }, null)
    this.#wakes.rearm()
    return { ...options }
  }

  // ---------------------------------------------------------------- debugger

  async stepPhase(source: Exclude<PassSource, 'manual'> = 'periodic'): Promise<PassProgress> {
    this.#mustBeOpen()
    const stopped = this.#stepper.stopped !== null
    const holder = this.#slotHolder()
    // Before the stepper hears of it: else the next pass of a timer would stand still.
    if (holder !== null && !stopped) throw new EngineError('ENGINE_BUSY', holder)
    const next = this.#stepper.nextStop()
    this.#stepper.step(true)
    if (!stopped) this.#background(this.#run(callFor(source, { gcTick: true })))
    return this.#progress(next)
  }

  async resumePass(): Promise<PassProgress> {
    this.#mustBeOpen()
    if (this.#stepper.stopped === null) {
      throw new EngineError('ENGINE_OPTIONS', 'no pass stands still')
    }
    const next = this.#stepper.nextStop()
    this.#stepper.step(false)
    return this.#progress(next)
  }

  async cancelPass(): Promise<PassReport | null> {
    const slot = this.#slot
    if (slot === null) return null
    slot.abort.abort()
    return slot.done
  }

  stoppedPass(): PassStop | null {
    return this.#stepper.stopped
  }

  setBreakpoints(breakpoints: readonly Breakpoint[]): void {
    this.#mustBeOpen()
    this.#stepper.setBreakpoints(breakpoints)
  }

  async #progress(next: Promise<PassStop>): Promise<PassProgress> {
    const slot = this.#slot
    const ended = slot === null ? Promise.resolve(null) : slot.done
    const first = await Promise.race([next, ended])
    if (first !== null && 'before' in first && 'why' in first) return { stop: first, report: null }
    if (first === null) throw new EngineError('ENGINE_ABORTED', 'the pass broke; see its events')
    return { stop: null, report: first }
  }

  // ---------------------------------------------------------------- checkpoint kicks

  /**
   * A checkpoint that the foreground caused kicks maintenance in auto mode. Maintenance's own must
   * not, or each pass would wake the next; one that wrote nothing leaves nothing new to look at.
   */
  afterCheckpoint(report: CheckpointReport): void {
    const { reason, noop } = report
    const kicks = reason === 'foreground' || reason === 'interval' || reason === 'size'
    if (!kicks || noop || !this.#started) return
    if (this.#closed) {
      this.#kicks.skip({ reason: 'closing', text: 'The store is closing.', gate: null })
    } else {
      this.#background(this.#kicks.after(report))
    }
  }

  /**
   * A kick as after a checkpoint of now, also in step mode; not while paused. In auto mode the checkpoint that
   * the caller means, `report` if it has one, has kicked already: what came of that is the answer.
   */
  async kickFromCheckpoint(report?: CheckpointReport): Promise<KickAnswer> {
    this.#mustBeOpen()
    return this.#kicks.asked(report)
  }

  // ---------------------------------------------------------------- the slot

  async #manual(request: ManualRequest): Promise<PassReport> {
    return (await this.#run(callFor('manual', { request }))).report
  }

  #collide(source: PassSource, slot: Slot): void {
    const active = slot.pass.source
    this.#memory.count({ passCollisions: 1 }, null)
    const { checkpointKickPending: checkpointPending, deferredPending } = this.#memory.facts
    const facts = { source, active, checkpointPending, deferredPending }
    this.#host.emit({ type: 'maintenance_retry_collision', ...facts }, null)
  }

  /** Why no pass can begin now; null: the slot is free. Everybody who starts one asks here. */
  #slotHolder(): string | null {
    if (this.#slot !== null) return `a ${this.#slot.pass.source} pass is running`
    return this.#settingDebt ? 'the debt is being set' : null
  }

  /** Takes the slot at once or rejects with ENGINE_BUSY; the pass itself never rejects. */
  async #run(call: PassCall): Promise<{ report: PassReport; pass: Pass }> {
    this.#mustBeOpen()
    if (this.#slot !== null) this.#collide(call.source, this.#slot)
    const holder = this.#slotHolder()
    if (holder !== null) throw new EngineError('ENGINE_BUSY', holder)
    this.#lastPassId += 1
    const abort = new AbortController()
    const slotOf = { passId: this.#lastPassId, signal: abort.signal }
    const pass = new Pass(this.#environment, call, slotOf)
    let end: (report: PassReport | null) => void = () => undefined
    const done = new Promise<PassReport | null>((resolve) => (end = resolve))
    // Before the pass begins: whoever hears its first event and asks for another pass finds it taken.
    this.#slot = { pass, abort, done }
    let report: PassReport | null = null
    try {
      report = await pass.run()
      return { report, pass }
    } finally {
      this.#slot = null
      this.#stepper.passEnded()
      end(report)
      this.#wakes.afterPass(call, report !== null && restaged(report))
    }
  }

  #mustBeOpen(): void {
    if (!this.#started || this.#closed) {
      throw new EngineError('ENGINE_NOT_OPEN', 'maintenance is not running')
    }
  }

  /** Nobody waits for it. Passes report their own failures, so what arrives here is a bug of ours. */
  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      const pauseReason = 'work in the background failed'
      this.#memory.update({ state: 'error', paused: true, pauseReason }, null)
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
