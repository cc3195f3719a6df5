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
import { EngineError } from '../errors.ts'
import type {
  EngineEventBody,
  GateName,
  Gate,
  MaintenanceOptions,
  PassOutcome,
  PassReport,
  PassSource,
  PassStep,
  PlanFilters,
  RewriteDebt,
  RewriteFacts,
  RewritePlan,
  RewriteReason,
  RewriteReport,
  SegmentId,
  SegmentInfo,
  StoreTotals,
} from '../types.ts'
import {
  decidePass,
  type Decision,
  type PlanMade,
  type PrunePlan,
  type QueueRewrite,
} from './decide.ts'
import type { MaintenanceHost } from './host.ts'
import {
  clearStage,
  consume,
  nextToRun,
  postpone,
  pruneQuality,
  ratioOf,
  segmentLookup,
  stage,
} from './ledger.ts'
import type { DebtCause, MaintenanceMemory } from './memory.ts'
import { factsOf, isHot, type ManualRequest, type PassInput } from './pass-input.ts'
import { planRewrite } from './planner.ts'
import { describePass, type RewrittenSegment } from './sentence.ts'

export interface PassEnvironment {
  readonly host: MaintenanceHost
  readonly memory: MaintenanceMemory
  readonly options: MaintenanceOptions
}

/** How a pass was called for. */
export interface PassCall {
  readonly source: PassSource
  readonly request: ManualRequest | null
  readonly automatic: boolean
  readonly gcTick: boolean
  readonly kickGates: readonly Gate[]
}

/** The decision's input as of now. `onPlan` hears how long each plan took. */
export function passInput(
  environment: PassEnvironment,
  call: PassCall,
  onPlan: (plan: RewritePlan, elapsedMs: number) => void = () => undefined,
): PassInput {
  const { host, memory, options } = environment
  const segments = host.segments()
  const nowMs = host.clock.now()
  const plan = (filters: PlanFilters): RewritePlan => {
    const begun = host.clock.monotonic()
    const made = planRewrite({ segments, filters, nowMs })
    onPlan(made, host.clock.monotonic() - begun)
    return made
  }
  return {
    ...call,
    nowMs,
    paused: memory.facts.paused,
    mode: memory.facts.mode,
    debt: memory.debt,
    queuedMinStaleRatio: memory.queuedMinStaleRatio,
    penalties: memory.penalties,
    budget: memory.facts.budget,
    checkpointKickPending: memory.facts.checkpointKickPending,
    deferredPending: memory.facts.deferredPending,
    segments,
    foreground: host.foreground(),
    times: memory.facts,
    options,
    plan,
  }
}

export function storeTotals({ host, memory }: PassEnvironment): StoreTotals {
  const totals: StoreTotals = {
    segments: 0,
    zombies: 0,
    bytesTotal: 0,
    bytesLive: 0,
    bytesStale: 0,
    budgetTokensBytes: memory.facts.budget?.tokensBytes ?? null,
    penalties: memory.penalties.length,
  }
  for (const segment of host.segments()) {
    totals.segments += 1
    if (segment.state === 'zombie') totals.zombies += 1
    totals.bytesTotal += segment.bytesTotal
    totals.bytesLive += segment.bytesLive
    totals.bytesStale += segment.bytesStale
  }
  return totals
}

/** True when executing the decision would change nothing at all. */
export function isIdle(decision: Decision): boolean {
  const { action, prunes, gc } = decision
  return (action.kind === 'blocked' || action.kind === 'nothing') && prunes.length === 0 && !gc
}

/** The body of a `rewrite_plan` event. */
export function planEvent(
  trigger: PlanMade['trigger'] | 'dry_run',
  plan: RewritePlan,
  durMs: number,
): EngineEventBody {
  return {
    type: 'rewrite_plan',
    trigger,
    minRatio: plan.filters.minStaleRatio,
    minStaleBytes: plan.filters.minStaleBytes,
    maxSourceBytes: plan.filters.maxLiveBytes,
    selected: plan.selected.map((entry) => entry.segmentId),
    candidates: plan.candidates.length,
    selectedBytesTotal: plan.selectedBytesTotal,
    selectedBytesLive: plan.selectedBytesLive,
    selectedBytesStale: plan.selectedBytesStale,
    bytesTotal: plan.bytesTotal,
    bytesLive: plan.bytesLive,
    bytesStale: plan.bytesStale,
    ageBlockedSegments: plan.ageBlockedSegments,
    durMs,
  }
}

/** One pass, run once. It owns the slot while it runs, and so the debt. */
export class Pass {
  readonly passId: number
  readonly source: PassSource
  readonly #environment: PassEnvironment
  readonly #call: PassCall
  readonly #signal: AbortSignal
  readonly #startedAtMs: number
  readonly #begun: number
  readonly #before: RewriteDebt
  readonly #storeBefore: StoreTotals
  readonly #planMs = new Map<RewritePlan, number>()
  readonly #steps: PassStep[] = []
  readonly #rewritten: RewrittenSegment[] = []
  #gates: Gate[] = []
  #failure: unknown = null

  constructor(
    environment: PassEnvironment,
    call: PassCall,
    slot: { passId: number; signal: AbortSignal },
  ) {
    this.#environment = environment
    this.#call = call
    this.#signal = slot.signal
    this.passId = slot.passId
    this.source = call.source
    this.#startedAtMs = environment.host.clock.now()
    this.#begun = environment.host.clock.monotonic()
    this.#before = environment.memory.debt
    this.#storeBefore = storeTotals(environment)
  }

  /** What a failed pass caught, for callers whose answer is not a report; null otherwise. */
  get failure(): unknown {
    return this.#failure
  }

  /** Runs synchronously up to its first wait, so that the decision is taken on the state it was called in. */
  async run(): Promise<PassReport> {
    const { memory } = this.#environment
    const { source, passId } = this
    this.#emit({
      type: 'maintenance_active_acquire',
      source,
      activePassId: passId,
      runGc: isHot(source) || this.#call.gcTick,
      bypassQuiet: source !== 'periodic',
      checkpointPending: memory.facts.checkpointKickPending,
      deferredPending: memory.facts.deferredPending,
    })
    memory.update({ activePass: { passId, source, startedAtMs: this.#startedAtMs } }, passId)
    memory.count({ passes: 1 }, passId)
    let outcome: PassOutcome
    let blockedBy: GateName | null = null
    try {
      const input = passInput(this.#environment, this.#call, (plan, ms) =>
        this.#planMs.set(plan, ms),
      )
      const decision = decidePass(input)
      this.#gates = decision.gates
      outcome = await this.#execute(decision)
      if (outcome === 'blocked' && decision.action.kind === 'blocked') {
        blockedBy = decision.action.by
      }
    } catch (error) {
      outcome = await this.#fail(error)
    }
    return this.#finish(outcome, blockedBy)
  }

  /** Prunes, plans, acts, reclaims: each step saved and told before the next begins. */
  async #execute(decision: Decision): Promise<PassOutcome> {
    const { memory } = this.#environment
    if (decision.confirm !== null) {
      const { observedAgeMs, queued, ledger } = decision.confirm
      this.#emit({ type: 'rewrite_stage_confirm_due', observedAgeMs })
      this.#emit({ type: 'rewrite_stage_confirm_use_persisted', queued, ledger })
    }
    // One after the other: each is a saved state of its own, so a crash between them loses nothing.
    for (const prune of decision.prunes) await this.#prune(prune)
    for (const made of decision.plans) this.#tellPlan(made)
    if (decision.planHoldMs !== null) {
      const { planHoldMs } = decision
      memory.update({ lastPlanAtMs: this.#startedAtMs, planHoldMs }, this.passId)
    }
    const outcome = await this.#act(decision)
    if (outcome === 'rewrote') return outcome
    const deleted = decision.gc ? await this.#reclaim('standalone') : this.#skipGc(decision)
    // What a pass is remembered for: debt that was staged first, then bytes that came free.
    return outcome !== 'staged' && deleted > 0 ? 'reclaimed' : outcome
  }

  /** The one thing the pass is for; answers what it came to. */
  async #act(decision: Decision): Promise<PassOutcome> {
    const { action } = decision
    switch (action.kind) {
      case 'blocked':
        if (action.admitted) this.#skipRewrite(action.by, action.by)
        return 'blocked'
      case 'nothing':
        this.#skipRewrite(decision.plans.length > 0 ? 'nothing_selected' : 'no_trigger', null)
        return 'nothing_to_do'
      case 'clear_stage': {
        // The prunes before this have emptied the debt, and with it the stage (F6).
        const segmentIds = decision.prunes.flatMap((prune) => prune.dropped)
        this.#steps.push({ kind: 'confirm', segmentIds, result: 'cleared' })
        this.#emit({ type: 'rewrite_stage_cleared', why: 'no staged segment is worth a rewrite' })
        return 'nothing_to_do'
      }
      case 'stage':
        await this.#stage(action)
        return 'staged'
      case 'rewrite':
        return this.#rewriteOne(action)
      case 'rewrite_ids':
        return this.#rewriteNamed(action.segmentIds)
      case 'gc':
        return (await this.#reclaim('standalone')) > 0 ? 'reclaimed' : 'nothing_to_do'
    }
  }

  // ---------------------------------------------------------------- debt

  /** The word comes with the change it explains; the count after both. */
  async #prune(prune: PrunePlan): Promise<void> {
    const { memory, options } = this.#environment
    const { dropped, debt, minStaleRatio } = prune
    const remaining = debt.queue.length
    const word: EngineEventBody =
      prune.kind === 'missing'
        ? {
            type: 'rewrite_queue_missing_prune',
            dropped,
            remaining,
            stagePending: debt.stage !== null,
          }
        : {
            type: 'rewrite_queue_quality_prune',
            dropped,
            remaining,
            minRatio: minStaleRatio,
            minStaleBytes: options.minSegmentStaleBytes,
          }
    await this.#replaceDebt(debt, 'pruned', word)
    memory.count({ queuePrunedIds: dropped.length }, this.passId)
    this.#steps.push(
      prune.kind === 'missing'
        ? { kind: 'prune_missing', segmentIds: dropped, remaining }
        : { kind: 'prune_quality', segmentIds: dropped, remaining, minStaleRatio },
    )
  }

  /** Observed once: executed by a confirm after the delay, if it is still worth it then. */
  async #stage(action: {
    debt: RewriteDebt
    segmentIds: SegmentId[]
    minStaleRatio: number
  }): Promise<void> {
    const { debt, segmentIds, minStaleRatio } = action
    const dueAtMs = debt.stage?.dueAtMs ?? this.#startedAtMs
    const queueLen = debt.queue.length
    await this.#replaceDebt(debt, 'staged', {
      type: 'rewrite_plan_staged',
      reason: 'stale_ratio',
      selected: segmentIds,
      queueLen,
      dueAtMs,
    })
    this.#steps.push({ kind: 'stage', segmentIds, dueAtMs, minStaleRatio })
  }

  /** By id, whatever else changed in the queue (D4). */
  async #consume(segmentId: SegmentId, keepStage: boolean): Promise<void> {
    const { memory } = this.#environment
    if (!memory.debt.queue.includes(segmentId)) return
    const rest = consume(memory.debt, [segmentId])
    await this.#replaceDebt(keepStage ? rest : clearStage(rest), 'consumed')
    const remaining = rest.queue.length
    this.#steps.push({ kind: 'consume', segmentIds: [segmentId], remaining })
  }

  /** The delay starts now, after rewrite and GC, not when the pass began (M2). */
  async #restage(action: QueueRewrite, segmentId: SegmentId): Promise<void> {
    const { memory, host, options } = this.#environment
    const { confirmDelayMs } = options
    const { minStaleRatio, reason } = action
    const debt = stage(memory.debt, host.clock.now(), { confirmDelayMs, minStaleRatio })
    if (debt.stage === null) return
    const remaining = debt.queue.length
    const word: EngineEventBody = { type: 'rewrite_queue_restage', remaining, confirmDelayMs }
    await this.#replaceDebt(debt, 'restaged', word)
    this.#emit({ type: 'rewrite_queue_restaged', reason, processedIds: [segmentId] })
    this.#steps.push({ kind: 'restage', remaining, dueAtMs: debt.stage.dueAtMs })
  }

  async #replaceDebt(debt: RewriteDebt, cause: DebtCause, word?: EngineEventBody): Promise<void> {
    const change = word === undefined ? { cause } : { cause, word }
    await this.#environment.memory.replaceDebt(debt, { ...change, passId: this.passId })
  }

  // ---------------------------------------------------------------- rewrite

  /** Copy, consume, reclaim, restage: at each point a crash leaves debt that is still right. */
  async #rewriteOne(action: QueueRewrite): Promise<PassOutcome> {
    const { memory, host } = this.#environment
    // A fresh queue is on disk before its first rewrite, so a crash cannot forget the rest of it.
    if (action.fresh) {
      const { debt, minStaleRatio } = action
      await memory.replaceDebt(debt, { cause: 'planned', passId: this.passId, minStaleRatio })
    }
    // Saving debt let writes in: the choice is made on the segments as they are now.
    const target = nextToRun(memory.debt, segmentLookup(host.segments()))
    if (target === null) return this.#dropDead()
    if (this.source === 'rewrite_stage_confirm') {
      const segmentIds = memory.debt.queue
      this.#steps.push({ kind: 'confirm', segmentIds, result: 'executes' })
    }
    this.#startRewriting(action.reason, memory.debt.queue.length)
    await this.#rewriteSegment(target, action.reason)
    // Staged debt that goes on to be restaged keeps its old stage until then: a crash in between
    // leaves it due, not open to every kick.
    await this.#consume(target.segmentId, action.restage)
    try {
      await this.#reclaim('after_rewrite')
    } finally {
      // Also when GC failed: the rest must be behind its delay, or the next kick goes on at once (D3).
      if (action.restage) await this.#restage(action, target.segmentId)
    }
    memory.rest(this.passId, this.#environment.options)
    return 'rewrote'
  }

  /** Everything queued died while the debt was saved: GC's work now. */
  async #dropDead(): Promise<PassOutcome> {
    const { memory, host } = this.#environment
    const floor = { minStaleRatio: 0, minStaleBytes: 0 }
    const pruned = pruneQuality(memory.debt, segmentLookup(host.segments()), floor)
    await this.#prune({ kind: 'quality', ...pruned, minStaleRatio: 0 })
    this.#skipRewrite('dropped_zero_live', null)
    return 'nothing_to_do'
  }

  /** Exactly these, one after another; nothing is staged or unstaged by it. */
  async #rewriteNamed(segmentIds: readonly SegmentId[]): Promise<PassOutcome> {
    const { memory, host } = this.#environment
    this.#startRewriting('manual', segmentIds.length)
    for (const segmentId of segmentIds) {
      // The ones before took time: this one may be dead, deleted or cancelled by now.
      const segment = segmentLookup(host.segments()).get(segmentId)
      if (segment === undefined || segment.state === 'zombie') continue
      await this.#rewriteSegment(segment, 'manual')
      await this.#consume(segmentId, true)
    }
    await this.#reclaim('after_rewrite')
    memory.rest(this.passId, this.#environment.options)
    return this.#rewritten.length > 0 ? 'rewrote' : 'nothing_to_do'
  }

  /** Only here is a rewrite stamped: staging and empty passes must not delay a real one (D6). */
  #startRewriting(reason: RewriteReason, rewriteQueue: number): void {
    const { memory } = this.#environment
    this.#emit({
      type: 'rewrite_start',
      reason,
      rewriteQueue,
      havePlan: this.#planMs.size > 0,
      facts: this.#facts(),
    })
    const lastRewriteAtMs = this.#startedAtMs
    memory.update({ state: 'running', lastReason: reason, lastRewriteAtMs }, this.passId)
  }

  /** Throws what the host throws; a cancelled copy throws ENGINE_ABORTED and consumes nothing. */
  async #rewriteSegment(segment: SegmentInfo, reason: RewriteReason): Promise<void> {
    const { memory, host } = this.#environment
    const { segmentId } = segment
    this.#signal.throwIfAborted()
    const planned = memory.debt.ledger.find((entry) => entry.segmentId === segmentId)
    this.#emit({
      type: 'rewrite_exec',
      reason,
      sourceIds: [segmentId],
      maxSegments: 1,
      budgetTokensBytes: memory.facts.budget?.tokensBytes ?? null,
      maxCopiedBytes: 0,
      minStaleRatio: 0,
      queueLen: memory.debt.queue.length,
      ledgerLiveBytes: planned?.bytesLive ?? segment.bytesLive,
    })
    const begun = host.clock.monotonic()
    let report: RewriteReport
    try {
      report = await host.rewrite([segmentId], this.#signal)
    } catch (error) {
      const { code, message } = describeError(error)
      const durMs = host.clock.monotonic() - begun
      this.#emit({ type: 'rewrite_err', reason, code, message, durMs })
      throw error
    }
    this.#steps.push({ kind: 'rewrite', reason, report })
    memory.count(
      {
        rewriteRuns: report.cancelled ? 0 : 1,
        rewriteRecordsCopied: report.recordsCopied,
        rewriteBytesRead: report.bytesRead,
        rewriteBytesWritten: report.bytesWritten,
      },
      this.passId,
    )
    if (report.cancelled) {
      const error = new EngineError('ENGINE_ABORTED', 'the rewrite was cancelled')
      const durMs = report.elapsedMs
      this.#emit({ type: 'rewrite_err', reason, ...describeError(error), durMs })
      throw error
    }
    this.#emit({ type: 'rewrite_done', reason, report })
    this.#rewritten.push({ segmentId, staleRatio: ratioOf(segment) })
  }

  /** Only passes that were admitted say that they skip: a refused one has not looked (4.8). */
  #skipRewrite(reason: string, gate: GateName | null): void {
    const queueLen = this.#environment.memory.debt.queue.length
    this.#emit({ type: 'rewrite_skip', reason, gate, queueLen, facts: this.#facts() })
  }

  #facts(): RewriteFacts {
    return factsOf(passInput(this.#environment, this.#call))
  }

  #tellPlan({ trigger, plan }: PlanMade): void {
    const elapsedMs = this.#planMs.get(plan) ?? 0
    this.#emit(planEvent(trigger, plan, elapsedMs))
    this.#steps.push({ kind: 'plan', plan, elapsedMs })
  }

  // ---------------------------------------------------------------- GC

  /** Returns how many segments it deleted. After a rewrite it counts as a GC run too (D8). */
  async #reclaim(phase: 'after_rewrite' | 'standalone'): Promise<number> {
    const { memory, host } = this.#environment
    if (phase === 'standalone') memory.update({ state: 'running' }, this.passId)
    const report = await host.reclaim({ dryRun: false })
    memory.update({ lastGcAtMs: host.clock.now() }, this.passId)
    memory.count(
      {
        gcRuns: 1,
        gcDeletedSegments: report.deleted.length,
        gcDeletedBytes: report.bytesDeleted,
      },
      this.passId,
    )
    this.#emit({ type: 'gc_run', phase, report })
    this.#steps.push({ kind: 'gc', report })
    memory.rest(this.passId, this.#environment.options)
    return report.deleted.length
  }

  #skipGc(decision: Decision): number {
    const gate = decision.gates.find((g) => g.name.startsWith('gc_') && g.verdict === 'block')
    if (gate !== undefined) {
      const reason = gate.name === 'gc_min_interval' ? 'min_interval' : 'below_eligibility_floor'
      this.#emit({ type: 'gc_skip', reason, gate: gate.name })
    }
    return 0
  }

  // ---------------------------------------------------------------- end

  /** Debt stays as last saved. Nothing is thrown on: the report carries it. */
  async #fail(error: unknown): Promise<PassOutcome> {
    const { memory } = this.#environment
    this.#failure = error
    const cancelled = isAbort(error)
    if (cancelled) {
      memory.rest(this.passId, this.#environment.options)
    } else {
      this.#emit({ type: 'maintenance_failed', ...describeError(error) })
      // A broken assertion is a bug of ours: nothing runs by itself again until someone has looked.
      const stop = error instanceof AssertionError ? { paused: true } : {}
      memory.update({ state: 'error', ...stop }, this.passId)
    }
    await this.#postponeConfirm()
    return cancelled ? 'cancelled' : 'failed'
  }

  /** A confirm that could not execute must not be due again at once (D1). */
  async #postponeConfirm(): Promise<void> {
    const { memory, host, options } = this.#environment
    const now = host.clock.now()
    const { debt } = memory
    if (this.source !== 'rewrite_stage_confirm' || debt.stage === null) return
    if (debt.stage.dueAtMs > now) return
    try {
      await this.#replaceDebt(postpone(debt, now, options.confirmDelayMs), 'postponed')
      this.#steps.push({ kind: 'confirm', segmentIds: debt.queue, result: 'postponed' })
    } catch (error) {
      // Nothing more can be kept; the scheduler holds the stage timer back by itself.
      this.#emit({ type: 'maintenance_failed', ...describeError(error) })
    }
  }

  /** pass_done is the last event of a pass, after the release: the report includes it. */
  #finish(outcome: PassOutcome, blockedBy: GateName | null): PassReport {
    const { memory, host } = this.#environment
    const { source, passId } = this
    const elapsedMs = host.clock.monotonic() - this.#begun
    this.#emit({
      type: 'maintenance_active_release',
      source,
      durMs: elapsedMs,
      checkpointPending: memory.facts.checkpointKickPending,
      deferredPending: memory.facts.deferredPending,
    })
    memory.update({ activePass: null }, passId)
    const told = {
      passId,
      source,
      startedAtMs: this.#startedAtMs,
      endedAtMs: host.clock.now(),
      elapsedMs,
      gates: this.#gates,
      steps: this.#steps,
      before: this.#before,
      after: memory.debt,
      storeBefore: this.#storeBefore,
      storeAfter: storeTotals(this.#environment),
      yield: null,
      byteFlow: null,
      outcome,
      blockedBy,
      error: outcome === 'failed' ? describeError(this.#failure) : null,
    }
    const report: PassReport = { ...told, sentence: describePass(told, this.#rewritten) }
    this.#emit({ type: 'pass_done', report })
    return report
  }

  #emit(body: EngineEventBody): void {
    this.#environment.host.emit(body, this.passId)
  }
}

/** The restaged rest, and only that, makes a kick that piled up meanwhile pointless. */
export function restaged(report: PassReport): boolean {
  return isHot(report.source) && report.steps.some((step) => step.kind === 'restage')
}

function isAbort(error: unknown): boolean {
  if (error instanceof EngineError) return error.code === 'ENGINE_ABORTED'
  return error instanceof Error && error.name === 'AbortError'
}

/** Code and message for reports and events; INTERNAL marks what is not an operating error. */
export function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof EngineError) return { code: error.code, message: error.message }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'INTERNAL', message }
}
