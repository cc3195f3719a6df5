/**
 * Runs the workload on the real engine: fills the key space where the store lacks it, then churns
 * height after height at the wanted rate, in bursts with rests. Rests let the periodic passes run,
 * which wait for quiet writes. Paced by the system's timer, so it goes on while the engine's clock
 * is frozen. A failing write ends the workload with its text and never reaches the worker's top.
 */
import { setImmediate as yieldNow, setTimeout as sleep } from 'node:timers/promises'
import type { BatchOperation, Engine } from '../engine-door.ts'
import type { WorkloadSettings, WorkloadState } from '../protocol.ts'
import {
  accountKey,
  accountValue,
  HEIGHT_PREFIX,
  HEIGHT_PREFIX_END,
  heightOf,
  heightOperations,
  operationsPerHeight,
} from './workload-generator.ts'

export type WorkloadEngine = Pick<Engine, 'get' | 'batch' | 'iterate'>

const SLICE_MS = 20
/** A late slice makes up for at most this much: after a stall the rate must not jump. */
const CATCH_UP_MS = 200
const FILL_BATCH = 64

export class Workload {
  readonly #engine: WorkloadEngine
  /** Bytes of all value-log files now. */
  readonly #bytesTotal: () => number
  #settings: WorkloadSettings
  #status: WorkloadState['status'] = 'stopped'
  #failure: string | null = null
  #height = 0
  #putsTotal = 0
  /** [real ms, puts] of the last second. */
  #recent: [number, number][] = []
  #turn: Promise<void> = Promise.resolve()
  #run: { cancel: AbortController; ended: Promise<void> } | null = null

  constructor(engine: WorkloadEngine, settings: WorkloadSettings, bytesTotal: () => number) {
    this.#engine = engine
    this.#settings = settings
    this.#bytesTotal = bytesTotal
  }

  get state(): WorkloadState {
    return {
      settings: { ...this.#settings },
      status: this.#status,
      height: this.#height,
      putsTotal: this.#putsTotal,
      putsPerSecond: this.#rate(),
      failure: this.#failure,
    }
  }

  /** Starts, or restarts with changed settings. The height goes on where the store's records end. */
  start(settings: Partial<WorkloadSettings> = {}): Promise<void> {
    return this.#inTurn(() => this.#start(settings))
  }

  /** Resolves after the last write has been acknowledged. */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#stop())
  }

  /** Starts and stops that overlap run one after another: two at once would leave a run nobody can stop. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #start(settings: Partial<WorkloadSettings>): Promise<void> {
    await this.#stop()
    this.#settings = { ...this.#settings, ...settings }
    this.#failure = null
    this.#status = 'filling'
    const cancel = new AbortController()
    this.#run = { cancel, ended: this.#work(cancel.signal) }
  }

  async #stop(): Promise<void> {
    const run = this.#run
    if (run === null) return
    run.cancel.abort()
    await run.ended
    this.#run = null
    this.#recent = []
    if (this.#status !== 'failed') this.#status = 'stopped'
  }

  async #work(signal: AbortSignal): Promise<void> {
    try {
      this.#height = this.#lastHeight()
      await this.#fill(signal)
      await this.#churn(signal)
    } catch (error) {
      if (error instanceof Error && error.name === 'AbortError') return
      this.#status = 'failed'
      this.#failure = error instanceof Error ? error.message : String(error)
    }
  }

  #lastHeight(): number {
    const range = { gte: Buffer.from(HEIGHT_PREFIX), lt: Buffer.from(HEIGHT_PREFIX_END) }
    for (const [key] of this.#engine.iterate({ ...range, reverse: true, limit: 1 })) {
      return heightOf(key) ?? 0
    }
    return 0
  }

  /** At full speed: until the key space exists there is nothing to watch. */
  async #fill(signal: AbortSignal): Promise<void> {
    let batch: BatchOperation[] = []
    for (let id = 0; id < this.#settings.keys; id++) {
      const key = accountKey(id)
      if (this.#engine.get(key) === undefined) {
        batch.push({ op: 'put', key, value: accountValue(this.#settings, id, 0) })
      }
      if (batch.length === FILL_BATCH || id === this.#settings.keys - 1) {
        await this.#write(batch)
        batch = []
      }
      if (id % FILL_BATCH === 0) await yieldNow(undefined, { signal })
    }
  }

  async #churn(signal: AbortSignal): Promise<void> {
    const settings = this.#settings
    const perHeight = operationsPerHeight(settings)
    const cycleMs = settings.burstMs + settings.restMs
    const startedAt = performance.now()
    let due = 0
    let last = startedAt
    for (;;) {
      await sleep(SLICE_MS, undefined, { signal })
      const now = performance.now()
      const elapsed = Math.min(now - last, CATCH_UP_MS)
      last = now
      if (settings.restMs > 0 && (now - startedAt) % cycleMs >= settings.burstMs) {
        this.#status = 'resting'
        continue
      }
      if (settings.diskCapBytes > 0 && this.#bytesTotal() > settings.diskCapBytes) {
        this.#status = 'capped'
        continue
      }
      this.#status = 'churning'
      due += (elapsed / 1000) * settings.putsPerSecond
      while (due >= perHeight && !signal.aborted) {
        // A disk slower than the rate must not build a debt of its own.
        if (performance.now() - now > CATCH_UP_MS) due = 0
        else due -= perHeight
        await this.#write(heightOperations(settings, this.#height + 1))
        this.#height += 1
      }
    }
  }

  async #write(operations: BatchOperation[]): Promise<void> {
    if (operations.length === 0) return
    await this.#engine.batch(operations)
    let puts = 0
    for (const operation of operations) if (operation.op === 'put') puts += 1
    this.#putsTotal += puts
    this.#recent.push([performance.now(), puts])
    this.#forget()
  }

  #rate(): number {
    this.#forget()
    return this.#recent.reduce((sum, [, puts]) => sum + puts, 0)
  }

  #forget(): void {
    const oldest = performance.now() - 1000
    let drop = 0
    while (drop < this.#recent.length && (this.#recent[drop]?.[0] ?? 0) < oldest) drop += 1
    if (drop > 0) this.#recent.splice(0, drop)
  }
}
