/**
 * What starts passes by itself: the tick, the timers of staged and of age-blocked debt, and at the end
 * of each pass the exit hook for what came due or collided meanwhile. Nothing here runs in step mode,
 * while paused or closed; `disableAutoDeferred` leaves only the tick and fresh kicks (M7, F15).
 *
 * What is started is chosen from the state of that moment and never from what was asked for earlier,
 * so a retry cannot run with another one's source (D2).
 */
import type { MaintenanceOptions, PassSource, PreviewedWake } from '../types.ts'
import type { Decision } from './decision.ts'
import { isIdle } from './pass.ts'
import { passInput, type PassCall, type PassEnvironment } from './pass-environment.ts'
import { isConfirm, type PassInput } from './pass-input.ts'
import { countPlan, planCancelled } from './pass-plans.ts'
import type { Suppression } from './suppression.ts'
import { lookAhead, type Looked } from './tick-look.ts'

export const AUTOMATIC = { automatic: true }

/** A confirm that left its stage due in spite of everything waits at least this long; else it could spin. */
const CONFIRM_RETRY_MIN_MS = 1_000

type DeferredSource = 'rewrite_stage_confirm' | 'rewrite_age_blocked' | 'rewrite_queue_pending'

/** A pass that will start by itself, if nothing changes. */
export interface Upcoming {
  on: Exclude<PreviewedWake['on'], 'checkpoint'>
  /** Not before now. */
  atMs: number
  call: PassCall
}

export interface WakeTarget {
  /** Loaded and not closed. */
  isRunning(): boolean
  isSlotTaken(): boolean
  run(call: PassCall): void
  runKick(source: 'checkpoint_pending'): void
}

export function callFor(
  source: PassSource,
  how: Partial<Pick<PassCall, 'request' | 'automatic' | 'gcTick' | 'kickGates'>>,
): PassCall {
  return { source, request: null, automatic: false, gcTick: false, kickGates: [], ...how }
}

/** Kicks and confirms may always run GC, periodic passes every n-th time. */
function tickCall(tick: number, options: Pick<MaintenanceOptions, 'gcEvery'>): PassCall {
  return callFor('periodic', { automatic: true, gcTick: tick % options.gcEvery === 0 })
}

export class Wakes {
  readonly #environment: PassEnvironment
  readonly #suppression: Suppression
  readonly #target: WakeTarget
  #ticks = 0
  /** What kept the last automatic periodic pass idle; the same again is not reported again. */
  #idleWhy: string | null = null
  #confirmNotBeforeMs = 0
  /** Since when a kick, or a retry, waits for the slot. */
  #kickWaitsSinceMs: number | null = null
  #retryWaitsSinceMs: number | null = null
  #cancelTick: (() => void) | null = null
  #tickAtMs = 0
  #cancelDeferred: (() => void) | null = null
  #cancelPauseLook: (() => void) | null = null
  /** Of the tick that plans; null: none does. */
  #look: AbortController | null = null
  #passesNotMade = 0

  constructor(environment: PassEnvironment, suppression: Suppression, target: WakeTarget) {
    this.#environment = environment
    this.#suppression = suppression
    this.#target = target
  }

  get #runsByItself(): boolean {
    const { mode, paused } = this.#environment.memory.facts
    return this.#target.isRunning() && mode === 'auto' && !paused
  }

  /** May start passes that nobody asked for and no tick or checkpoint is behind. */
  get #defers(): boolean {
    return this.#runsByItself && !this.#environment.options.disableAutoDeferred
  }

  /** Everything that wakes passes by itself; nothing unless it may. */
  arm(): void {
    if (!this.#runsByItself) return
    this.#armTick()
    this.#armDeferred()
    // One that waited for a phase or a pause file to be over; debt that is due goes first.
    const { memory, host } = this.#environment
    const now = host.clock.now()
    const waits = this.#defers && memory.facts.checkpointKickPending && !this.#target.isSlotTaken()
    if (!waits || this.#isAgeDue(now) || this.#isStageDue(now)) return
    if (!this.#isHeldBack('checkpoint_pending')) this.#startPendingKick(now)
  }

  /** Mode, pause or options have changed. */
  rearm(): void {
    this.#idleWhy = null
    this.#disarm()
    if (this.#runsByItself) this.arm()
    if (!this.#defers) this.#forget()
  }

  /**
   * Soonest first. Empty while nothing may start by itself, and while a pass runs: what it leaves decides
   * what is woken next.
   */
  upcoming(): Upcoming[] {
    const { host, memory, options } = this.#environment
    if (!this.#runsByItself || this.#target.isSlotTaken()) return []
    if (this.#suppression.peek() !== null) return []
    const nowMs = host.clock.now()
    const next: Upcoming[] = []
    if (this.#defers && memory.facts.checkpointKickPending) {
      next.push({ on: 'slot', atMs: nowMs, call: callFor('checkpoint_pending', AUTOMATIC) })
    }
    const deferred = this.#defers ? this.#deferred() : null
    if (deferred !== null) {
      const atMs = Math.max(nowMs, deferred.atMs)
      next.push({ on: 'timer', atMs, call: callFor(deferred.source, AUTOMATIC) })
    }
    if (!options.disableLoop) {
      const atMs = Math.max(nowMs, this.#tickAtMs)
      next.push({ on: 'tick', atMs, call: tickCall(this.#ticks + 1, options) })
    }
    return next.sort((a, b) => a.atMs - b.atMs)
  }

  /** Somebody outside of passes has set it, and had the slot meanwhile: what waited for it goes on now. */
  debtChanged(): void {
    const { checkpointKickPending, deferredPending } = this.#environment.memory.facts
    if (checkpointKickPending || deferredPending) this.#slotFreed()
    else this.#armDeferred()
  }

  close(): void {
    this.#disarm()
    this.#forget()
  }

  /** See EngineGauges. Not evented: a store at rest would tell it every second. */
  get passesNotMade(): number {
    return this.#passesNotMade
  }

  /** One was due, and there was nothing for it. */
  noPass(): void {
    this.#passesNotMade += 1
  }

  /** A kick found the slot taken; one is remembered, however many came. */
  latchKick(): void {
    const { memory, host, options } = this.#environment
    if (this.#kickWaitsSinceMs === null) {
      this.#kickWaitsSinceMs = host.clock.now()
      const retryWindowMs = options.checkpointKickRetryWindowMs
      const source = 'checkpoint_pending'
      const start = { source, retryWindowMs, ...this.#slotFacts() } as const
      host.emit({ type: 'maintenance_retry_start', ...start }, null)
    }
    memory.update({ checkpointKickPending: true }, null)
  }

  /**
   * The exit hook: due debt first, an age-blocked retry before a confirm as upstream has it, then the
   * kick that waited, then the queue runner; whatever is not due gets its timer. A pass that restaged
   * makes the kicks that piled up meanwhile pointless.
   */
  afterPass(call: PassCall, restaged: boolean): void {
    const { memory, host, options } = this.#environment
    const { stage } = memory.debt
    const now = host.clock.now()
    if (isConfirm(call.source) && stage !== null && stage.dueAtMs <= now) {
      const { confirmDelayMs } = options
      this.#confirmNotBeforeMs = now + Math.max(confirmDelayMs, CONFIRM_RETRY_MIN_MS)
    }
    if (restaged) this.#forgetKick()
    this.#slotFreed()
  }

  #slotFreed(): void {
    const { memory, host } = this.#environment
    if (!this.#defers) {
      this.#forget()
      return
    }
    const now = host.clock.now()
    // Kept as it is, kick and debt, until nothing holds passes back any more.
    const next = this.#nextAtExit(now)
    if (next !== null && this.#isHeldBack(next)) return
    if (this.#isAgeDue(now)) this.#startDeferred('rewrite_age_blocked_exit')
    else if (this.#isStageDue(now)) this.#startDeferred('rewrite_stage_confirm_exit')
    else {
      this.#forgetRetry()
      if (memory.facts.checkpointKickPending) this.#startPendingKick(now)
      else this.#armDeferred()
    }
  }

  #nextAtExit(now: number): PassSource | null {
    if (this.#isAgeDue(now)) return 'rewrite_age_blocked_exit'
    if (this.#isStageDue(now)) return 'rewrite_stage_confirm_exit'
    return this.#environment.memory.facts.checkpointKickPending ? 'checkpoint_pending' : null
  }

  #startPendingKick(now: number): void {
    this.#tellRetry('checkpoint_pending', this.#kickWaitsSinceMs ?? now)
    this.#forgetKick()
    this.#target.runKick('checkpoint_pending')
  }

  // ---------------------------------------------------------------- what is due

  #isAgeDue(nowMs: number): boolean {
    const { memory } = this.#environment
    const untilMs = memory.facts.ageBlockedUntilMs
    return memory.debt.stage === null && untilMs !== null && untilMs <= nowMs
  }

  #isStageDue(nowMs: number): boolean {
    const { stage } = this.#environment.memory.debt
    return stage !== null && Math.max(stage.dueAtMs, this.#confirmNotBeforeMs) <= nowMs
  }

  #startDeferred(source: 'rewrite_age_blocked_exit' | 'rewrite_stage_confirm_exit'): void {
    const now = this.#environment.host.clock.now()
    if (this.#retryWaitsSinceMs !== null) this.#tellRetry(source, this.#retryWaitsSinceMs)
    this.#forgetRetry()
    if (source === 'rewrite_age_blocked_exit') this.#tellAgeDue(now)
    this.#target.run(callFor(source, AUTOMATIC))
  }

  #tellAgeDue(now: number): void {
    const { host, memory } = this.#environment
    const retryAfterMs = Math.max(0, now - (memory.facts.lastPlanAtMs ?? now))
    host.emit({ type: 'rewrite_age_blocked_retry_due', retryAfterMs }, null)
  }

  /** The slot is free: the wait of a kick or a retry is over. */
  #tellRetry(source: PassSource, sinceMs: number): void {
    const { host, options } = this.#environment
    const waitedMs = host.clock.now() - sinceMs
    const windowMs =
      source === 'checkpoint_pending'
        ? options.checkpointKickRetryWindowMs
        : options.deferredRetryWindowMs
    const attempt = 1
    if (waitedMs > windowMs) {
      const deadline = { source, attempt, waitedMs, ...this.#slotFacts() }
      host.emit({ type: 'maintenance_retry_deadline', ...deadline }, null)
    }
    host.emit({ type: 'maintenance_retry_attempt', source, attempt, ...this.#slotFacts() }, null)
    const done = { source, attempt, acquired: true, ...this.#slotFacts() }
    host.emit({ type: 'maintenance_retry_done', ...done }, null)
  }

  #slotFacts(): { checkpointPending: boolean; deferredPending: boolean; slotTaken: boolean } {
    const { checkpointKickPending, deferredPending } = this.#environment.memory.facts
    const slotTaken = this.#target.isSlotTaken()
    return { checkpointPending: checkpointKickPending, deferredPending, slotTaken }
  }

  /** A phase or the pause file holds this pass back: counted, told, and looked at again. */
  #isHeldBack(source: PassSource): boolean {
    const held = this.#suppression.look()
    if (held === null) return false
    const { reason } = held
    this.#suppression.count(reason)
    const isTick = source === 'periodic'
    const told = `held back by ${reason}`
    if (!isTick || this.#idleWhy !== told) this.#suppression.tell(held, source)
    if (isTick) this.#idleWhy = told
    // A phase is ended by whoever set it; nobody says when the file goes.
    if (reason === 'pause_file') this.#armPauseLook()
    return true
  }

  #armPauseLook(): void {
    const { host, options } = this.#environment
    this.#cancelPauseLook ??= host.clock.setTimer(host.clock.now() + options.loopIntervalMs, () => {
      this.#cancelPauseLook = null
      if (this.#suppression.reason() === 'pause_file') this.#armPauseLook()
      else this.rearm()
    })
  }

  #forget(): void {
    this.#forgetKick()
    this.#forgetRetry()
  }

  #forgetKick(): void {
    this.#kickWaitsSinceMs = null
    this.#environment.memory.update({ checkpointKickPending: false }, null)
  }

  #forgetRetry(): void {
    this.#retryWaitsSinceMs = null
    this.#environment.memory.update({ deferredPending: false }, null)
  }

  // ---------------------------------------------------------------- timers

  #disarm(): void {
    this.#cancelTick?.()
    this.#cancelTick = null
    this.#cancelPauseLook?.()
    this.#cancelPauseLook = null
    this.#look?.abort()
    this.#look = null
    this.#disarmDeferred()
  }

  #disarmDeferred(): void {
    this.#cancelDeferred?.()
    this.#cancelDeferred = null
  }

  #armTick(): void {
    this.#cancelTick?.()
    this.#cancelTick = null
    const { host, options } = this.#environment
    if (options.disableLoop) return
    this.#tickAtMs = host.clock.now() + options.loopIntervalMs
    this.#cancelTick = host.clock.setTimer(this.#tickAtMs, () => {
      this.#armTick()
      this.#tick()
    })
  }

  /**
   * At any time one timer at most, for the state as it is now, so an earlier deadline takes the place of
   * a later one. One that fires while a pass holds the slot is remembered.
   */
  #armDeferred(): void {
    this.#disarmDeferred()
    const next = this.#defers ? this.#deferred() : null
    if (next === null) return
    const { source, atMs } = next
    this.#cancelDeferred = this.#environment.host.clock.setTimer(atMs, () => this.#due(source))
  }

  /** Of staged debt, else of what is too young, else of the queue runner; null: none of them waits. */
  #deferred(): { source: DeferredSource; atMs: number } | null {
    const { memory, host, options } = this.#environment
    const { debt, facts } = memory
    if (debt.stage !== null) {
      const atMs = Math.max(debt.stage.dueAtMs, this.#confirmNotBeforeMs)
      return { source: 'rewrite_stage_confirm', atMs }
    }
    if (facts.ageBlockedUntilMs !== null) {
      return { source: 'rewrite_age_blocked', atMs: facts.ageBlockedUntilMs }
    }
    if (options.policy !== 'queue_runner' || debt.queue.length === 0) return null
    const atMs = facts.queueCooldownUntilMs ?? host.clock.now()
    return { source: 'rewrite_queue_pending', atMs }
  }

  #due(source: DeferredSource): void {
    const { host, memory, options } = this.#environment
    if (!this.#target.isSlotTaken()) {
      if (this.#isHeldBack(source)) return
      if (source === 'rewrite_age_blocked') this.#tellAgeDue(host.clock.now())
      this.#target.run(callFor(source, AUTOMATIC))
      return
    }
    // The pass that has the slot looks again when it ends; the runner needs no reservation.
    if (source === 'rewrite_queue_pending') return
    if (this.#retryWaitsSinceMs === null) {
      this.#retryWaitsSinceMs = host.clock.now()
      const retryWindowMs = options.deferredRetryWindowMs
      const start = { source, retryWindowMs, ...this.#slotFacts() } as const
      host.emit({ type: 'maintenance_retry_start', ...start }, null)
    }
    memory.update({ deferredPending: true }, null)
  }

  /**
   * A store at rest would fill the trace with the same empty pass every second. So the decision is
   * taken first, and a pass is made of it only when it does something or is idle for a new reason.
   */
  #tick(): void {
    this.#ticks += 1
    if (this.#target.isSlotTaken() || this.#look !== null) {
      this.noPass()
      return
    }
    if (this.#isHeldBack('periodic')) return
    const call = tickCall(this.#ticks, this.#environment.options)
    const input = passInput(this.#environment, call)
    const abort = new AbortController()
    const looked = lookAhead(this.#environment, input, abort.signal)
    if (!(looked instanceof Promise)) {
      this.#afterLook(call, input, looked)
      return
    }
    this.#look = abort
    void looked.then((found) => {
      // Whoever ended it changed what it was made for, or closed: it is as if never made.
      if (abort.signal.aborted) return
      this.#look = null
      // A plan took its time: another pass may run by now, or something hold this one back.
      const isTaken = this.#target.isSlotTaken()
      if (isTaken || this.#isHeldBack('periodic')) {
        this.#countPlans(found)
        if (isTaken) this.noPass()
        return
      }
      this.#afterLook(call, input, found)
    })
  }

  #afterLook(call: PassCall, input: PassInput, looked: Looked): void {
    const { decision, ended } = looked
    const idle = decision !== null && isIdle(decision) ? decision : null
    const why = idle === null ? null : idleReason(idle)
    const isNew = idle === null || (why !== null && why !== this.#idleWhy)
    if (ended === null && isNew) {
      // It plans again, over the segments of its own moment, and counts that: once for one piece of work.
      this.#idleWhy = why
      this.#target.run(call)
      return
    }
    this.noPass()
    this.#countPlans(looked)
    if (idle !== null && idle.planHoldMs !== null) {
      const { planHoldMs } = idle
      this.#environment.memory.update({ lastPlanAtMs: input.nowMs, planHoldMs }, null)
    }
  }

  /** Of a look that no pass follows, as a pass counts its own. */
  #countPlans({ plans, ended }: Looked): void {
    const { memory } = this.#environment
    for (const run of plans) countPlan(memory, run, null)
    if (ended !== null) planCancelled(this.#environment, ended, null)
  }
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
