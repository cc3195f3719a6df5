/**
 * A store that this process writes: the engine with its virtual clock, the workload, the snapshots
 * that people hold, and one handler a request. Lives in a worker and talks through an Outbox.
 */
import { setImmediate as yieldNow } from 'node:timers/promises'
import { nodeFileSystem, openEngine, StepClock } from '../engine-door.ts'
import type { Engine } from '../engine-door.ts'
import type { StoreSnapshot } from '../protocol.ts'
import { hostedHandlers, type HeldReader } from './hosted-handlers.ts'
import { Outbox } from './outbox.ts'
import { Sampler } from './sampler.ts'
import type { RequestHandlers, RequestName, WorkerInit, WorkerMessage } from './worker-contract.ts'
import { Workload } from './workload.ts'

/** Two frames of a 60 Hz screen. */
const BATCH_INTERVAL_MS = 33
const SAMPLE_INTERVAL_MS = 1000

export class HostedStore {
  readonly handlers: RequestHandlers<Exclude<RequestName, 'reread'>>
  readonly #engine: Engine
  readonly #outbox: Outbox
  readonly #workload: Workload
  readonly #sampler = new Sampler()
  readonly #held = new Map<number, HeldReader>()
  readonly #timers: NodeJS.Timeout[] = []
  #bytesTotal = 0

  /** Posts `opened` first; starts the workload when told to. */
  static async open(
    init: WorkerInit,
    post: (message: WorkerMessage) => void,
  ): Promise<HostedStore> {
    const clock = new StepClock({
      wall: Date.now,
      monotonic: () => performance.now(),
      arm: (delayMs, callback) => {
        const timer = setTimeout(callback, delayMs)
        return () => clearTimeout(timer)
      },
    })
    if (init.engine.mode === 'step') clock.freeze()
    // Listens from before the opening, so that the stream begins with event 1.
    const outbox = new Outbox(post)
    const engine = await openEngine(init.dir, init.engine, {
      clock,
      fileSystem: nodeFileSystem,
      yieldNow,
      onEvent: (event) => outbox.event(event),
    })
    const store = new HostedStore(engine, clock, init, outbox)
    store.#begin(post)
    if (init.workload.autostart) await store.#workload.start()
    return store
  }

  private constructor(engine: Engine, clock: StepClock, init: WorkerInit, outbox: Outbox) {
    this.#engine = engine
    this.#outbox = outbox
    this.#workload = new Workload(engine, init.workload.settings, () => this.#bytesTotal)
    this.handlers = {
      ...this.#handlersOfStore(),
      ...hostedHandlers({ engine, clock, workload: this.#workload, held: this.#held }),
    }
  }

  #begin(post: (message: WorkerMessage) => void): void {
    const seq = this.#outbox.oldestUnpostedSeq - 1
    post({ kind: 'opened', seq, engine: this.#engine.info, attachment: null })
    this.#sample()
    this.#timers.push(
      setInterval(() => this.#flush(), BATCH_INTERVAL_MS),
      setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS),
    )
  }

  #flush(): void {
    this.#engine.flushEvents()
    this.#outbox.flush(this.#engine.gauges(), this.#workload.state)
  }

  #sample(): void {
    const state = this.#engine.state()
    this.#bytesTotal = state.segments.reduce((sum, segment) => sum + segment.bytesTotal, 0)
    const sample = this.#sampler.take(state, this.#engine.gauges(), performance.now())
    if (sample !== undefined) this.#outbox.sample(sample)
  }

  #handlersOfStore(): RequestHandlers<'snapshot' | 'passes' | 'close'> {
    return {
      snapshot: () => {
        // First the events, then the state that contains them: one turn, so nothing slips between.
        this.#flush()
        const snapshot: StoreSnapshot = {
          state: this.#engine.state(),
          gauges: this.#engine.gauges(),
          workload: this.#workload.state,
        }
        return {
          seq: this.#outbox.newestSeq,
          snapshotJson: JSON.stringify(snapshot),
          passesJson: this.#outbox.passesJson,
        }
      },
      passes: () => ({ bodyJson: `{"passes":${this.#outbox.passesJson}}` }),
      close: async () => {
        await this.#close()
        return {}
      },
    }
  }

  async #close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await this.#workload.stop()
    // A failed engine may refuse this, and must be closed all the same.
    await Promise.allSettled([...this.#held.values()].map((reader) => reader.release()))
    this.#flush()
    const gauges = this.#engine.gauges()
    await this.#engine.close()
    // The last checkpoint and the last pass belong to the stream, too.
    this.#outbox.flush(gauges, this.#workload.state)
  }
}
