/**
 * Long work in slices: a generator is driven until its time is up, then the thread is given back.
 * Also the smallest lock: tasks that run one after another.
 */
import type { Clock } from './clock.ts'

export interface SliceSettings {
  clock: Clock
  yieldNow: () => Promise<void>
  /** Longest time to hold the thread. */
  sliceMs: number
  /** Somebody waits for an answer from the disk, which the thread has to take; absent = nobody ever does. */
  isAwaited?: () => boolean
  /** Resolves when the disk has answered those who wait now; with `isAwaited`. */
  answered?: () => Promise<void>
}

/** A slice while somebody waits: an answer takes some turns of the event loop, each behind one of these. */
const AWAITED_SLICE_MS = 0.25
/** Longest wait for that answer in one pause: work that is not about the disk goes on beside one that hangs. */
const ANSWER_WAIT_MAX_MS = 20
/** With a slow disk a slice is this share of the wait before it: work goes on, however long the waits. */
const SHARE_OF_WAIT = 0.25

/** Measures how long the thread was held and yields when a slice is used up. */
export class Slicer {
  longestSliceMs = 0
  readonly #settings: SliceSettings
  #sliceStart: number
  #awaitedSliceMs = AWAITED_SLICE_MS

  constructor(settings: SliceSettings) {
    this.#settings = settings
    this.#sliceStart = settings.clock.monotonic()
  }

  /** The slice is used up: time to `pause`. */
  get due(): boolean {
    const { sliceMs, isAwaited } = this.#settings
    const held = this.#held()
    return held >= sliceMs || (held >= this.#awaitedSliceMs && isAwaited?.() === true)
  }

  /**
   * Gives the thread back; after it, the state of the store may have changed. While somebody waits for the
   * disk, until that has answered: even short slices made syncs slower by milliseconds (test/bench/README.md),
   * because the threads that carry the answer need a processor too.
   */
  async pause(): Promise<void> {
    const { clock, yieldNow, isAwaited, answered, sliceMs } = this.#settings
    await yieldNow()
    this.#awaitedSliceMs = AWAITED_SLICE_MS
    if (isAwaited?.() === true && answered !== undefined) {
      const begun = clock.monotonic()
      await soonest(clock, answered())
      const share = SHARE_OF_WAIT * (clock.monotonic() - begun)
      this.#awaitedSliceMs = Math.min(sliceMs, Math.max(AWAITED_SLICE_MS, share))
    }
    this.restart()
  }

  /** After an `await` that gave the thread away: a new slice begins. */
  restart(): void {
    this.#sliceStart = this.#settings.clock.monotonic()
  }

  /**
   * Drives a generator to its end, pausing where it yields. `between` may have something of its own to wait
   * for there: that is a pause too.
   */
  async run<T>(work: Generator<unknown, T>, between?: () => Promise<void> | undefined): Promise<T> {
    for (;;) {
      const step = work.next()
      if (step.done === true) {
        this.#held()
        return step.value
      }
      const waiting = between?.()
      if (waiting !== undefined) {
        this.#held()
        await waiting
        this.restart()
      } else if (this.due) await this.pause()
    }
  }

  #held(): number {
    const held = this.#settings.clock.monotonic() - this.#sliceStart
    if (held > this.longestSliceMs) this.longestSliceMs = held
    return held
  }
}

/** Resolves with `work`, or before it when that takes long. */
async function soonest(clock: Clock, work: Promise<void>): Promise<void> {
  let cancel = (): void => undefined
  const late = new Promise<void>((resolve) => {
    cancel = clock.setTimer(clock.now() + ANSWER_WAIT_MAX_MS, resolve)
  })
  await Promise.race([work, late])
  cancel()
}

/** The same for tasks of which none may run after one failed: each later one rejects with that failure. */
export class SerialTaskUntilFailure {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task)
    this.#last = result
    // Whoever asked hears of it; the chain itself is nobody's to await.
    result.catch(() => undefined)
    return result
  }
}

/** Runs tasks one after another in the order asked; a failed one does not stop the next. */
export class SerialTask {
  #last: Promise<unknown> = Promise.resolve()

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task)
    this.#last = result.catch(() => undefined)
    return result
  }
}
