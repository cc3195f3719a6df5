/**
 * Executes one decision against the host and reports it. `decide.ts` says what and why; here is only
 * how, in the order of upstream's trace (scheduler.md 4.8): acquire, prune, plan, rewrite one,
 * consume it, reclaim, restage the rest, release. A pass never throws for an operating error: the
 * debt is kept, the report says `failed`, the scheduler goes on.
 *
 * Each `await` lets writes, reads and pins in between. Debt cannot change there, because only the
 * holder of the slot changes it; segments can, so they are asked for again after each one.
 */
import { AssertionError } from '../assert.ts'
import type {
  Breakpoint,
  Gate,
  GateName,
  PassOutcome,
  PassPhase,
  PassReport,
  PassSource,
  PassStep,
  PassStop,
  RewriteDebt,
  RewriteReason,
  SegmentId,
  StoreTotals,
} from '../types.ts'
import { bound } from './bounds.ts'
import { accrue } from './budget.ts'
import type { Decision } from './decide.ts'
import { gcSwitch } from './decide-gc.ts'
import { passOutcome, type Action, type PrunePlan } from './decision.ts'
import { byteFlowOf, yieldOf } from './effect.ts'
import { isBlocking } from './gates.ts'
import { postpone, segmentLookup } from './ledger.ts'
import type { DebtCause } from './memory.ts'
import { describeError, isAbort, storeTotals, type PassEnvironment } from './pass-environment.ts'
import { passInput, type PassCall } from './pass-environment.ts'
import { factsOf, isAgeRetry, isConfirm, isHot, isQueueRun, type PassInput } from './pass-input.ts'
import { PassPlans, planEvent } from './pass-plans.ts'
import { pruneWord } from './pass-words.ts'
import { Rewriting } from './rewriting.ts'
import { describePass } from './sentence.ts'
import { vacuum } from './vacuuming.ts'
import type { EngineEventBody } from '../types.ts'

/** Candidates of a plan whose report is made into JSON in slices. */
const LONG_PLAN = 500

/** A queue runner or a retry that could not execute waits at least this long, whatever the options say. */
const PAUSE_MIN_MS = 1_000

/** One pass, run once. It owns the slot while it runs, and so the debt. */
export class Pass {
  readonly passId: number
  readonly source: PassSource
  readonly environment: PassEnvironment
  readonly signal: AbortSignal
  readonly startedAtMs: number
  readonly steps: PassStep[] = []
  gates: Gate[] = []
  readonly #call: PassCall
  /** The scheduler's own, with the options of any moment. */
  readonly #scheduler: Pick<PassEnvironment, 'options'>
  readonly #begun: number
  readonly #before: RewriteDebt
  readonly #storeBefore: StoreTotals
  readonly #plans: PassPlans
  readonly #rewriting: Rewriting
  /** What reading the segments and checking the queue took, without plans. */
  #checkedMs = 0
  #failure: unknown = null

  constructor(
    environment: PassEnvironment,
    call: PassCall,
    slot: { passId: number; signal: AbortSignal },
  ) {
    // Options that change while it runs are the next pass's.
    this.environment = { ...environment }
    this.#scheduler = environment
    this.#call = call
    this.signal = slot.signal
    this.passId = slot.passId
    this.source = call.source
    this.startedAtMs = environment.host.clock.now()
    this.#begun = environment.host.clock.monotonic()
    this.#before = environment.memory.debt
    this.#storeBefore = storeTotals(environment)
    this.#plans = new PassPlans(this)
    this.#rewriting = new Rewriting(this)
  }

  /** What a failed pass caught, for callers whose answer is not a report; null otherwise. */
  get failure(): unknown {
    return this.#failure
  }

  async run(): Promise<PassReport> {
    const { memory } = this.environment
    const { source, passId, startedAtMs } = this
    this.emit({
      type: 'maintenance_active_acquire',
      source,
      activePassId: passId,
      runGc: isHot(source) || this.#call.gcTick,
      bypassQuiet: source !== 'periodic',
      checkpointPending: memory.facts.checkpointKickPending,
      deferredPending: memory.facts.deferredPending,
    })
    memory.update({ activePass: { passId, source, startedAtMs } }, passId)
    memory.count({ passes: 1 }, passId)
    let outcome: PassOutcome
    let blockedBy: GateName | null = null
    try {
      if (this.stopsBefore('gates')) await this.stop('gates', 'Before it meets its gates.')
      const decision = await this.#decide()
      outcome = await this.#execute(decision)
      if (outcome === 'blocked' && decision.action.kind === 'blocked') {
        blockedBy = decision.action.by
      }
      await this.#breakAtEnd()
    } catch (error) {
      outcome = await this.#fail(error)
    }
    this.#holdRunner(outcome, blockedBy)
    this.#holdAgeRetry(blockedBy)
    const report = this.#finish(outcome, blockedBy)
    await this.#tellReport(report)
    return report
  }

  /** A plan of thousands takes its time to become JSON: that is made in slices, before it is told. */
  async #tellReport(report: PassReport): Promise<void> {
    const { host } = this.environment
    const long = report.steps.some(
      (step) => step.kind === 'plan' && step.plan.candidates.length > LONG_PLAN,
    )
    const json = long ? await host.jsonOf(report) : undefined
    host.emit({ type: 'pass_done', report }, this.passId, json)
  }

  emit(body: EngineEventBody): void {
    this.environment.host.emit(body, this.passId)
  }

  /** The decision's input as of now. */
  input(): PassInput {
    return passInput(this.environment, this.#call)
  }

  // ---------------------------------------------------------------- stops

  /** Asked before each phase without a wait, so that an unwatched pass runs as if nobody could watch. */
  stopsBefore(phase: PassPhase): boolean {
    return this.environment.stepper.reasonBefore(phase) !== null
  }

  async stop(before: PassPhase, text: string): Promise<void> {
    const why = this.environment.stepper.reasonBefore(before)
    if (why !== null) await this.#hold({ before, why, text })
  }

  async #hold(at: Pick<PassStop, 'before' | 'why' | 'text'>): Promise<void> {
    const { passId, source } = this
    const { gates, steps } = this
    const stop = { passId, source, ...at, gates: [...gates], steps: [...steps] }
    this.environment.memory.tellCounters()
    await this.environment.stepper.hold(stop, this.signal)
  }

  async #break(breakpoint: Breakpoint, text: string): Promise<void> {
    const why = this.environment.stepper.reasonFor(breakpoint)
    if (why !== null) await this.#hold({ before: null, why, text })
  }

  async #breakAtEnd(): Promise<void> {
    const { memory } = this.environment
    const gone = this.#before.queue.length - memory.debt.queue.length
    const deleted = this.steps.some((s) => s.kind === 'gc' && s.report.deleted.length > 0)
    if (gone <= 0 || deleted) return
    const text = `${gone} left the queue and no segment was deleted.`
    await this.#break('queue_shrank_without_reclaim', text)
  }

  // ---------------------------------------------------------------- deciding

  async #decide(): Promise<Decision> {
    const begun = this.environment.host.clock.monotonic()
    const input = this.input()
    const decision = await this.#plans.decide(input)
    const elapsedMs = this.environment.host.clock.monotonic() - begun
    this.#checkedMs = Math.max(0, elapsedMs - this.#plans.totalMs)
    this.gates = decision.gates
    this.environment.observe?.(input, decision)
    await this.#settle(decision)
    const block = decision.gates.find(isBlocking)
    if (decision.action.kind === 'blocked' && block !== undefined) {
      await this.#break('on_gate_block', block.text)
    }
    return decision
  }

  /** What time has changed, whatever the pass will do: tokens, churn, penalties, waits for age. */
  async #settle(decision: Decision): Promise<void> {
    const { memory } = this.environment
    const { churn, lifted } = decision
    if (churn !== null) {
      const { sample, bytesPerSecond } = churn
      // Plans took time: the bucket may be one of changed options by now. It earns up to the same moment.
      const held = memory.facts.budget
      const budget = held === null ? null : accrue(held, sample.atMs)
      memory.update(
        { budget, churnSample: sample, churnBytesPerSecond: bytesPerSecond },
        this.passId,
      )
    }
    if (lifted === null) return
    const { kept, expired, readmitted } = lifted
    const rest = memory.penalties.filter((p) => !expired.includes(p.segmentId))
    const { passId } = this
    if (expired.length > 0) {
      await memory.replacePenalties(rest, { cause: 'expired', segmentIds: expired, passId })
      memory.count({ penaltiesExpired: expired.length }, passId)
    }
    if (readmitted.length > 0) {
      await memory.replacePenalties(kept, { cause: 'readmitted', segmentIds: readmitted, passId })
      memory.count({ penaltiesReadmitted: readmitted.length }, passId)
    }
  }

  // ---------------------------------------------------------------- executing

  /** Prunes, plans, acts, reclaims: each step saved and told before the next begins. */
  async #execute(decision: Decision): Promise<PassOutcome> {
    this.#countStageSkips(decision)
    if (decision.confirm !== null) {
      const { observedAgeMs, queued, ledger } = decision.confirm
      this.emit({ type: 'rewrite_stage_confirm_due', observedAgeMs })
      this.emit({ type: 'rewrite_stage_confirm_use_persisted', queued, ledger })
    }
    if (decision.prunes.length > 0 && this.stopsBefore('prune')) {
      await this.stop('prune', 'Before it prunes the queue.')
    }
    // One after the other: each is a saved state of its own, so a crash between them loses nothing.
    for (const prune of decision.prunes) await this.prune(prune)
    await this.#tellPlans(decision)
    const outcome = await this.#act(decision)
    if (outcome === 'rewrote') return outcome
    const deleted = decision.gc ? await this.reclaim('standalone') : this.#skipGc(decision)
    return passOutcome(outcome, deleted)
  }

  #countStageSkips({ action }: Decision): void {
    const { memory } = this.environment
    const { stage } = memory.debt
    if (action.kind !== 'blocked' || stage === null) return
    if (action.by !== 'stage_not_pending' && action.by !== 'stage_due') return
    const due = stage.dueAtMs <= this.startedAtMs
    const counter = due ? 'passSkipsStageDueReserved' : 'passSkipsStageNotDue'
    memory.count({ [counter]: 1 }, this.passId)
  }

  async #tellPlans(decision: Decision): Promise<void> {
    const { memory } = this.environment
    if (decision.plans.length > 0 && this.stopsBefore('plan')) {
      await this.stop('plan', 'Planned; before the plan is told and remembered.')
    }
    for (const made of decision.plans) {
      const elapsedMs = this.#plans.elapsedMs(made.plan)
      this.emit(planEvent(made.trigger, made.plan, elapsedMs))
      this.steps.push({ kind: 'plan', plan: made.plan, elapsedMs })
    }
    if (decision.planHoldMs !== null) {
      const { planHoldMs } = decision
      memory.update({ lastPlanAtMs: this.startedAtMs, planHoldMs }, this.passId)
    }
    const { ageBlock } = decision
    if (ageBlock === 'clear') memory.update({ ageBlockedUntilMs: null }, this.passId)
    else if (ageBlock !== null) {
      const { trigger, segments, staleBytes, minAgeMs, untilMs } = ageBlock
      const retryAfterMs = untilMs - this.startedAtMs
      const facts = { trigger, segments, staleBytes, retryAfterMs, minAgeMs }
      this.emit({ type: 'rewrite_plan_age_blocked', ...facts })
      this.steps.push({ kind: 'age_block', segments, untilMs })
      memory.update({ ageBlockedUntilMs: untilMs }, this.passId)
    }
  }

  /** The one thing the pass is for; answers what it came to. */
  async #act(decision: Decision): Promise<PassOutcome> {
    const { action } = decision
    switch (action.kind) {
      case 'blocked':
        if (action.admitted) {
          this.skipRewrite(action.by, action.by)
          await this.#postponeConfirm()
        }
        return 'blocked'
      case 'nothing':
        this.skipRewrite(decision.plans.length > 0 ? 'nothing_selected' : 'no_trigger', null)
        return 'nothing_to_do'
      case 'clear_stage': {
        if (this.stopsBefore('confirm')) await this.stop('confirm', 'Before it clears the stage.')
        // The prunes before this have emptied the debt, and with it the stage (F6).
        const segmentIds = decision.prunes.flatMap((prune) => prune.dropped)
        this.steps.push({ kind: 'confirm', segmentIds, result: 'cleared' })
        this.emit({ type: 'rewrite_stage_cleared', why: 'no staged segment is worth a rewrite' })
        return 'nothing_to_do'
      }
      case 'stage':
        await this.#stage(action)
        return 'staged'
      case 'rewrite':
        return this.#rewriting.runQueued(action, decision.plans.length > 0)
      case 'rewrite_ids':
        return this.#rewriting.runNamed(action.segmentIds, action.options)
      case 'gc':
        return (await this.reclaim('standalone', { observed: action.observed })) > 0
          ? 'reclaimed'
          : 'nothing_to_do'
      case 'vacuum': {
        const { bytesBefore, bytesAfter } = await vacuum(this)
        this.rest()
        return bytesAfter < bytesBefore ? 'reclaimed' : 'nothing_to_do'
      }
    }
  }

  // ---------------------------------------------------------------- debt

  /** The word comes with the change it explains; the count after both. */
  async prune(prune: PrunePlan): Promise<void> {
    const { memory, options, host } = this.environment
    const { dropped, debt, minStaleRatio, kind } = prune
    const begun = host.clock.monotonic()
    const remaining = debt.queue.length
    if (kind === 'refresh') this.#tellRefresh(prune)
    const word = pruneWord(prune, options.minSegmentStaleBytes)
    await this.replaceDebt(debt, 'pruned', word)
    if (dropped.length > 0) {
      memory.count({ queuePruneRuns: 1, queuePrunedIds: dropped.length }, this.passId)
    }
    const elapsedMs = host.clock.monotonic() - begun
    const step = { segmentIds: dropped, remaining, elapsedMs }
    if (kind === 'missing') this.steps.push({ kind: 'prune_missing', ...step })
    else if (kind === 'refresh') {
      const [bytesLive, bytesStale] = [sumOf(debt, 'bytesLive'), sumOf(debt, 'bytesStale')]
      this.steps.push({ kind, ...step, minStaleRatio, bytesLive, bytesStale })
    } else this.steps.push({ kind: 'prune_quality', ...step, minStaleRatio })
  }

  #tellRefresh({ debt, queued, minStaleRatio }: PrunePlan): void {
    this.emit({
      type: 'rewrite_queue_refresh',
      minRatio: minStaleRatio,
      minStaleBytes: this.environment.options.minSegmentStaleBytes,
      queued,
      selected: debt.queue.length,
      selectedBytesTotal: sumOf(debt, 'bytesTotal'),
      selectedBytesLive: sumOf(debt, 'bytesLive'),
      selectedBytesStale: sumOf(debt, 'bytesStale'),
      durMs: this.#checkedMs,
    })
  }

  /** Observed once: executed by a confirm after the delay, if it is still worth it then. */
  async #stage(action: Action & { kind: 'stage' }): Promise<void> {
    if (this.stopsBefore('stage')) {
      await this.stop('stage', `Before it stages ${action.segmentIds.length} segments.`)
    }
    const { debt, segmentIds, minStaleRatio, reason } = action
    const dueAtMs = debt.stage?.dueAtMs ?? this.startedAtMs
    const queueLen = debt.queue.length
    const word = { selected: segmentIds, queueLen, dueAtMs, reason }
    await this.replaceDebt(debt, 'staged', { type: 'rewrite_plan_staged', ...word })
    this.steps.push({ kind: 'stage', segmentIds, dueAtMs, minStaleRatio })
  }

  async replaceDebt(debt: RewriteDebt, cause: DebtCause, word?: EngineEventBody): Promise<void> {
    const change = word === undefined ? { cause } : { cause, word }
    await this.environment.memory.replaceDebt(debt, { ...change, passId: this.passId })
  }

  /** Only passes that were admitted say that they skip: a refused one has not looked (4.8). */
  skipRewrite(reason: string, gate: GateName | null): void {
    const queueLen = this.environment.memory.debt.queue.length
    this.emit({ type: 'rewrite_skip', reason, gate, queueLen, facts: factsOf(this.input()) })
  }

  /** The state between actions, which outlives the pass: by the options as they are now. */
  rest(): void {
    this.environment.memory.rest(this.passId, this.#scheduler.options)
  }

  // ---------------------------------------------------------------- GC

  /**
   * Returns how many segments it deleted. After a rewrite it counts as a GC run too (D8). `cleanup`: of a
   * pass that is ending already, so it neither stops nor is cancelled again; time and closing still bound it.
   */
  async reclaim(
    phase: 'after_rewrite' | 'standalone',
    how: {
      observed?: readonly SegmentId[]
      rewriteReason?: RewriteReason
      cleanup?: boolean
    } = {},
  ): Promise<number> {
    const { memory, host, options } = this.environment
    const { observed = [], rewriteReason = 'none', cleanup = false } = how
    const signal = cleanup ? new AbortController().signal : this.signal
    const own = this.source === 'manual' ? ('manual' as const) : ('periodic_gc' as const)
    const reason = phase === 'standalone' ? own : rewriteReason
    if (phase === 'after_rewrite' && isBlocking(gcSwitch(options, false))) {
      this.gates.push(gcSwitch(options, false))
      this.emit({ type: 'gc_skip', reason: 'disabled', gate: 'gc_enabled' })
      return 0
    }
    if (!cleanup && this.stopsBefore('gc')) {
      await this.stop('gc', 'Before it deletes what is dead.')
    }
    if (phase === 'standalone') memory.update({ state: 'running', lastReason: own }, this.passId)
    const begun = host.clock.monotonic()
    // As upstream: after a rewrite only by time, on its own also by a foreground that comes back.
    const cancelable = phase === 'standalone' && this.source === 'periodic'
    const bounds = bound(host, signal, {
      timeoutMs: options.gcTimeoutMs,
      foregroundGraceMs: cancelable ? 0 : null,
    })
    try {
      const report = await host.reclaim({ dryRun: false, observed, signal: bounds.signal })
      memory.update({ lastGcAtMs: host.clock.now() }, this.passId)
      memory.count(
        {
          gcRuns: 1,
          gcElapsedMs: report.elapsedMs,
          gcDeletedSegments: report.deleted.length,
          gcDeletedBytes: report.bytesDeleted,
        },
        this.passId,
      )
      this.emit({ type: 'gc_run', phase, reason, report })
      this.steps.push({ kind: 'gc', report })
      this.rest()
      // What is deleted stays told and counted; time and foreground end the GC, not the pass.
      signal.throwIfAborted()
      return report.deleted.length
    } catch (error) {
      if (isAbort(error)) throw error
      const durMs = host.clock.monotonic() - begun
      this.emit({ type: 'gc_err', phase, reason, ...describeError(error), durMs })
      throw error
    } finally {
      bounds.release()
    }
  }

  #skipGc(decision: Decision): number {
    const gate = decision.gates.find((g) => g.name.startsWith('gc_') && g.verdict === 'block')
    if (gate !== undefined) {
      const reasons: Partial<Record<GateName, string>> = {
        gc_enabled: 'disabled',
        gc_min_interval: 'min_interval',
        gc_not_held_back: 'age_blocked',
      }
      const reason = reasons[gate.name] ?? 'below_eligibility_floor'
      this.emit({ type: 'gc_skip', reason, gate: gate.name })
    }
    return 0
  }

  // ---------------------------------------------------------------- end

  /** Debt stays as last saved. Nothing is thrown on: the report carries it. */
  async #fail(error: unknown): Promise<PassOutcome> {
    const { memory } = this.environment
    this.#failure = error
    const cancelled = isAbort(error)
    if (cancelled) {
      this.rest()
    } else {
      this.emit({ type: 'maintenance_failed', ...describeError(error) })
      // A broken assertion is a bug of ours: nothing runs by itself again until someone has looked.
      const isBug = error instanceof AssertionError
      const stop = isBug
        ? { paused: true, pauseReason: `pass ${this.passId} broke an assertion` }
        : {}
      memory.update({ state: 'error', ...stop }, this.passId)
    }
    await this.#postponeConfirm()
    try {
      await this.#break('on_failure', describeError(error).message)
    } catch {
      // Cancelled while it stood still: it ends all the same.
    }
    return cancelled ? 'cancelled' : 'failed'
  }

  /** A confirm that could not execute must not be due again at once (D1). */
  async #postponeConfirm(): Promise<void> {
    const { memory, host, options } = this.environment
    const now = host.clock.now()
    const { debt } = memory
    if (!isConfirm(this.source) || debt.stage === null || debt.stage.dueAtMs > now) return
    try {
      await this.replaceDebt(postpone(debt, now, options.confirmDelayMs), 'postponed')
      this.steps.push({ kind: 'confirm', segmentIds: debt.queue, result: 'postponed' })
    } catch (error) {
      // Nothing more can be kept; the scheduler holds the stage timer back by itself.
      this.emit({ type: 'maintenance_failed', ...describeError(error) })
    }
  }

  /** The runner's timer is due while something is queued: a run that executed nothing must not be followed at once. */
  #holdRunner(outcome: PassOutcome, blockedBy: GateName | null): void {
    const { memory, host, options } = this.environment
    if (!isQueueRun(this.source) || outcome === 'rewrote') return
    const { queue, stage } = memory.debt
    if (queue.length === 0 || stage !== null || blockedBy === 'queue_cooldown') return
    const pauseMs = Math.max(options.queueFollowupCooldownMs, PAUSE_MIN_MS)
    memory.update({ queueCooldownUntilMs: host.clock.now() + pauseMs }, this.passId)
  }

  /**
   * A retry that came to no plan leaves its wait over, and the exit hook would start it again at once, without
   * end. So it waits for the gate that refused it, or as long as between two plans.
   */
  #holdAgeRetry(blockedBy: GateName | null): void {
    const { memory, host, options } = this.environment
    const now = host.clock.now()
    const untilMs = memory.facts.ageBlockedUntilMs
    if (!isAgeRetry(this.source) || untilMs === null || untilMs > now) return
    const gate = this.gates.find(({ name }) => name === blockedBy)
    const missing = gate?.unit === 'ms' ? gate.margin : null
    const waitMs = missing === null ? options.rewriteMinIntervalMs : -missing
    memory.update({ ageBlockedUntilMs: now + Math.max(waitMs, PAUSE_MIN_MS) }, this.passId)
  }

  /** pass_done is the last event of a pass, after the release: the report includes it. */
  #finish(outcome: PassOutcome, blockedBy: GateName | null): PassReport {
    const { memory, host } = this.environment
    const { source, passId } = this
    const elapsedMs = host.clock.monotonic() - this.#begun
    this.emit({
      type: 'maintenance_active_release',
      source,
      durMs: elapsedMs,
      checkpointPending: memory.facts.checkpointKickPending,
      deferredPending: memory.facts.deferredPending,
    })
    memory.update({ activePass: null }, passId)
    memory.count({ passElapsedMs: elapsedMs, passElapsedMaxMs: elapsedMs }, passId)
    memory.tellCounters()
    const gc = this.steps.flatMap((step) => (step.kind === 'gc' ? [step.report] : []))
    const { chosen } = this.#rewriting
    const nothing = chosen.length === 0
    const told = {
      passId,
      source,
      startedAtMs: this.startedAtMs,
      endedAtMs: host.clock.now(),
      elapsedMs,
      gates: this.gates,
      steps: this.steps,
      before: this.#before,
      after: memory.debt,
      storeBefore: this.#storeBefore,
      storeAfter: storeTotals(this.environment),
      yield: nothing ? null : yieldOf(chosen, gc),
      byteFlow: nothing ? null : byteFlowOf(chosen, gc, segmentLookup(host.segments())),
      outcome,
      blockedBy,
      error: outcome === 'failed' ? describeError(this.#failure) : null,
    }
    const sentence = describePass(told, this.#rewriting.rewritten)
    return { ...told, sentence }
  }
}

function sumOf(debt: RewriteDebt, field: 'bytesTotal' | 'bytesLive' | 'bytesStale'): number {
  return debt.ledger.reduce((total, entry) => total + entry[field], 0)
}

/** True when executing the decision would change nothing at all. */
export function isIdle(decision: Decision): boolean {
  const { action, prunes, gc, lifted, ageBlock } = decision
  const waits = ageBlock !== null && ageBlock !== 'clear'
  const still = prunes.length === 0 && lifted === null && !gc && !waits
  return (action.kind === 'blocked' || action.kind === 'nothing') && still
}

/** The restaged rest, and only that, makes a kick that piled up meanwhile pointless. */
export function restaged(report: PassReport): boolean {
  return isHot(report.source) && report.steps.some((step) => step.kind === 'restage')
}
