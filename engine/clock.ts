/**
 * Time for the engine. All decisions read this clock and nothing else, so a run can be replayed.
 * `StepClock` can be frozen and advanced by hand: that is the virtual clock of step mode, and the
 * manual clock of tests. Timers are kept by the clock so that advancing fires what came due.
 */

export interface Clock {
  /** true: time stands still until it is advanced. */
  readonly frozen: boolean
  /** now() minus the wall clock; 0 unless the clock was frozen or advanced. */
  readonly offsetMs: number
  /** Wall-clock milliseconds; never goes back within one engine. */
  now(): number
  /** Monotonic milliseconds with fractions, for durations only. */
  monotonic(): number
  /** Calls back once at or after `atMs`; returns a canceller that may be called any number of times. */
  setTimer(atMs: number, callback: () => void): () => void
}

interface Timer {
  atMs: number
  callback: () => void
}

/** The real clock plus an offset; may stand still. `wall` and `arm` are injected so that this file owns no global. */
export class StepClock implements Clock {
  readonly #wall: () => number
  readonly #monotonic: () => number
  readonly #arm: ((delayMs: number, callback: () => void) => () => void) | null
  readonly #timers = new Set<Timer>()
  #offsetMs = 0
  #frozenAtMs: number | null = null
  #lastMs = 0
  #disarm: (() => void) | null = null

  constructor(source: {
    wall: () => number
    monotonic: () => number
    /** null: no real timer; only `advance` fires (manual clock). */
    arm: ((delayMs: number, callback: () => void) => () => void) | null
  }) {
    this.#wall = source.wall
    this.#monotonic = source.monotonic
    this.#arm = source.arm
  }

  now(): number {
    const ms = this.#frozenAtMs ?? this.#wall() + this.#offsetMs
    if (ms > this.#lastMs) this.#lastMs = ms
    return this.#lastMs
  }

  monotonic(): number {
    return this.#monotonic()
  }

  get frozen(): boolean {
    return this.#frozenAtMs !== null
  }

  get offsetMs(): number {
    return this.#frozenAtMs === null ? this.#offsetMs : this.#frozenAtMs - this.#wall()
  }

  freeze(): void {
    this.#frozenAtMs ??= this.now()
    this.#rearm()
  }

  /** Runs on from the frozen instant: time never jumps back, the offset stays and is shown as virtual. */
  unfreeze(): void {
    if (this.#frozenAtMs === null) return
    this.#offsetMs = this.#frozenAtMs - this.#wall()
    this.#frozenAtMs = null
    this.#rearm()
  }

  /** Moves time forward and fires, in order, every timer that came due. */
  advance(ms: number): void {
    if (!(ms >= 0)) throw new RangeError(`clock can only advance, got ${ms} ms`)
    if (this.#frozenAtMs === null) this.#offsetMs += ms
    else this.#frozenAtMs += ms
    this.#fire()
    this.#rearm()
  }

  setTimer(atMs: number, callback: () => void): () => void {
    const timer = { atMs, callback }
    this.#timers.add(timer)
    this.#rearm()
    return () => {
      if (this.#timers.delete(timer)) this.#rearm()
    }
  }

  #fire(): void {
    const now = this.now()
    const due = [...this.#timers].filter((t) => t.atMs <= now).sort((a, b) => a.atMs - b.atMs)
    for (const timer of due) {
      // A callback may have cancelled a later one.
      if (this.#timers.delete(timer)) timer.callback()
    }
  }

  #rearm(): void {
    this.#disarm?.()
    this.#disarm = null
    if (this.#arm === null || this.#frozenAtMs !== null || this.#timers.size === 0) return
    let next = Infinity
    for (const timer of this.#timers) next = Math.min(next, timer.atMs)
    const delay = Math.min(Math.max(0, next - this.now()), 0x7fffffff)
    this.#disarm = this.#arm(delay, () => {
      this.#disarm = null
      this.#fire()
      this.#rearm()
    })
  }
}

/** A clock that only moves when told to; for tests and replays. */
export function manualClock(startMs = 1_774_000_000_000): StepClock {
  let ticks = 0
  return new StepClock({ wall: () => startMs, monotonic: () => (ticks += 0.001), arm: null })
}
