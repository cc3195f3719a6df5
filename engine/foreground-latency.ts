/**
 * Tells in events how long the foreground's operations took, from the counts that are kept anyway: an
 * operation is timed where it is counted, and nothing here is called by one. Told at most once in
 * `TELL_MS` of the engine's clock, at the end of each pass and when the engine closes; never of a time
 * in which nothing was timed.
 */
import type { Clock } from './clock.ts'
import { LatencyHistogram, latencyBetween } from './latency.ts'
import type { EngineEventBody, LatencyCounts } from './types.ts'

/** Short enough to see a pass of seconds in it, long enough to be nothing beside other events. */
const TELL_MS = 5_000

export class ForegroundLatency {
  readonly put = new LatencyHistogram()
  readonly get = new LatencyHistogram()
  readonly #clock: Clock
  readonly #emit: (body: EngineEventBody) => void
  /** As of the last look, whether or not it told anything. */
  #before: { put: LatencyCounts; get: LatencyCounts }
  #fromMs = 0
  #cancel: (() => void) | null = null

  constructor(clock: Clock, emit: (body: EngineEventBody) => void) {
    this.#clock = clock
    this.#emit = emit
    this.#before = this.counts()
  }

  /** A copy, since the opening. */
  counts(): { put: LatencyCounts; get: LatencyCounts } {
    return { put: this.put.counts(), get: this.get.counts() }
  }

  begin(): void {
    this.#fromMs = this.#clock.now()
    this.#arm()
  }

  /** What was timed since the last look, if anything was. The next one by itself is `TELL_MS` from now. */
  tell(): void {
    const fromMs = this.#fromMs
    this.#fromMs = this.#clock.now()
    const before = this.#before
    if (this.put.count === before.put.count && this.get.count === before.get.count) return
    const after = this.counts()
    this.#before = after
    const put = latencyBetween(before.put, after.put)
    const get = latencyBetween(before.get, after.get)
    this.#emit({ type: 'foreground_latency', fromMs, put, get })
  }

  /** The rest, and nothing after it. */
  end(): void {
    this.tell()
    this.#cancel?.()
  }

  /** Not moved with each pass that tells: a timer that comes too early looks how long it still is. */
  #arm(): void {
    this.#cancel = this.#clock.setTimer(this.#fromMs + TELL_MS, () => {
      if (this.#clock.now() >= this.#fromMs + TELL_MS) this.tell()
      this.#arm()
    })
  }
}
