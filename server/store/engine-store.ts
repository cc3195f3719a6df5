/**
 * An opened engine behind the requests of a store: batches of its events, snapshots, samples, and one
 * handler an action. The same for an engine of this worker and for one that belongs to the program
 * around the server; who opened it closes it.
 */
import { absentStatsOf, type Engine, statsOf } from '../engine-door.ts'
import type { EngineGauges, EngineInfo, StoreSnapshot } from '../protocol.ts'
import { figuresOf } from './figures.ts'
import { hostedHandlers, type HeldReader, type HostedParts } from './hosted-handlers.ts'
import type { Outbox } from './outbox.ts'
import { Sampler } from './sampler.ts'
import {
  BATCH_INTERVAL_MS,
  type RequestHandlers,
  type RequestName,
  type WorkerMessage,
} from './worker-contract.ts'

const SAMPLE_INTERVAL_MS = 1000

/** Everything but closing, which is not the same for everybody. */
export type EngineHandlers = RequestHandlers<Exclude<RequestName, 'reread' | 'close'>>

export class EngineStore {
  readonly handlers: EngineHandlers
  readonly #engine: Engine
  readonly #outbox: Outbox
  readonly #workload: HostedParts['workload']
  readonly #sampler = new Sampler()
  readonly #held = new Map<number, HeldReader>()
  readonly #timers: NodeJS.Timeout[] = []
  #bytesTotal = 0
  #latency: EngineGauges['latency']
  #post: ((message: WorkerMessage) => void) | null = null
  /** As last told; the engine never changes them in place. */
  #options: EngineInfo['options'] | null = null

  /** `outbox` has been fed from the engine's first event on, or from now on. */
  constructor(
    parts: Pick<HostedParts, 'engine' | 'clock'>,
    makeWorkload: (bytesTotal: () => number) => HostedParts['workload'],
    outbox: Outbox,
  ) {
    this.#engine = parts.engine
    this.#outbox = outbox
    this.#workload = makeWorkload(() => this.#bytesTotal)
    this.handlers = {
      ...this.#handlersOfStore(),
      ...hostedHandlers({ ...parts, workload: this.#workload, held: this.#held }),
    }
  }

  /** Posts `opened` and begins to post batches. */
  begin(post: (message: WorkerMessage) => void): void {
    const seq = this.#outbox.oldestUnpostedSeq - 1
    const engine = this.#engine.info
    this.#post = post
    this.#options = engine.options
    post({ kind: 'opened', seq, engine, attachment: null })
    this.#sample()
    this.#timers.push(
      setInterval(() => this.flush(), BATCH_INTERVAL_MS),
      setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS),
    )
  }

  flush(): void {
    this.#engine.flushEvents()
    this.#outbox.flush(this.#gauges(), this.#workload?.state ?? null)
    this.#tellOptions()
  }

  #gauges(): EngineGauges {
    const gauges = this.#engine.gauges()
    return this.#latency === undefined ? gauges : { ...gauges, latency: this.#latency }
  }

  #tellOptions(): void {
    const engine = this.#engine.info
    if (this.#post === null || engine.options === this.#options) return
    this.#options = engine.options
    this.#post({ kind: 'info', engine })
  }

  /** Lets go of everything that was taken here; the engine stays open. */
  async end(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#workload?.stop()
    // A failed engine may refuse this, and must be closed all the same.
    await Promise.allSettled([...this.#held.values()].map((reader) => reader.release()))
    this.#held.clear()
    this.flush()
  }

  #sample(): void {
    const state = this.#engine.state()
    this.#bytesTotal = state.segments.reduce((sum, segment) => sum + segment.bytesTotal, 0)
    const gauges = this.#engine.gauges()
    const latency = this.#engine.latency()
    const sample = this.#sampler.take(state, gauges, latency, performance.now())
    if (sample === undefined) return
    this.#latency = { put: sample.putLatency, get: sample.getLatency }
    this.#outbox.sample(sample)
  }

  #handlersOfStore(): RequestHandlers<'snapshot' | 'passes' | 'figures' | 'stats'> {
    return {
      snapshot: () => {
        // First the events, then the state that contains them: one turn, so nothing slips between.
        this.flush()
        const snapshot: StoreSnapshot = {
          liveBytesUnknown: null,
          state: this.#engine.state(),
          gauges: this.#gauges(),
          workload: this.#workload?.state ?? null,
        }
        return {
          seq: this.#outbox.newestSeq,
          snapshotJson: JSON.stringify(snapshot),
          passesJson: this.#outbox.passesJson,
        }
      },
      passes: () => ({ bodyJson: `{"passes":${this.#outbox.passesJson}}` }),
      figures: () => ({
        ...figuresOf(this.#engine.state(), this.#engine.gauges(), this.#outbox.passFigures),
        latency: this.#engine.latency(),
      }),
      stats: () => {
        const { options, segmentBytes } = this.#engine.info
        const gauges = this.#engine.gauges()
        const stats = statsOf({ state: this.#engine.state(), gauges, options, segmentBytes })
        return { atMs: gauges.nowMs, stats, absent: absentStatsOf(stats, 'engine') }
      },
    }
  }
}
