import * as path from 'node:path'
import {
  nodeFileSystem,
  openEngine,
  rewriteFolder,
  StepClock,
  type BatchOperation,
  type Engine,
  type Profile,
} from '../../../../engine/index.ts'
import { diskBytes } from '../measure.ts'
import type { Adapter, OpenOptions, PeerStore, Shrunk } from '../store.ts'

/** Longer than every interval, delay and quiet window of maintenance. */
const A_LONG_WHILE_MS = 120_000
const PASSES_MAX = 1_000
const WORKED: readonly string[] = ['rewrote', 'staged', 'reclaimed']

const yieldNow = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Real time, which `maintain` moves forward instead of waiting for quiet windows. */
function realClock(): StepClock {
  return new StepClock({
    wall: () => Date.now(),
    monotonic: () => performance.now(),
    arm: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs)
      return () => {
        clearTimeout(timer)
      }
    },
  })
}

class RestageStore implements PeerStore {
  readonly #engine: Engine
  readonly #clock: StepClock

  constructor(engine: Engine, clock: StepClock) {
    this.#engine = engine
    this.#clock = clock
  }

  putBatch(keys: readonly Buffer[], values: readonly Buffer[]): Promise<void> {
    const operations: BatchOperation[] = []
    for (let i = 0; i < keys.length; i++) {
      operations.push({ op: 'put', key: keys[i] as Buffer, value: values[i] as Buffer })
    }
    return this.#engine.batch(operations)
  }

  get(key: Buffer): Uint8Array | undefined {
    return this.#engine.get(key)
  }

  deleteBatch(keys: readonly Buffer[]): Promise<void> {
    return this.#engine.batch(keys.map((key) => ({ op: 'delete', key })))
  }

  scan(visit: (key: Uint8Array, value: Uint8Array) => void): void {
    for (const [key, value] of this.#engine.iterate()) visit(key, value)
  }

  /** Passes as a quiet store makes them by itself, until one finds nothing to do. */
  async maintain(): Promise<void> {
    const { maintenance } = this.#engine
    maintenance.setMode('step')
    await this.#engine.checkpoint()
    for (let passes = 0; passes < PASSES_MAX; passes++) {
      this.#clock.advance(A_LONG_WHILE_MS)
      const staged = this.#engine.state().debt.stage !== null
      const report = await maintenance.runPass(staged ? 'rewrite_stage_confirm' : 'periodic')
      if (report.error !== null) throw new Error(report.sentence)
      const { debt } = this.#engine.state()
      if (debt.queue.length === 0 && !WORKED.includes(report.outcome)) break
    }
    await maintenance.gc({ dryRun: false })
  }

  close(): Promise<void> {
    return this.#engine.close()
  }
}

/** The offline rewrite of `restage rewrite`. */
async function shrink(dir: string): Promise<Shrunk> {
  await rewriteFolder(dir, { clock: realClock(), fileSystem: nodeFileSystem, yieldNow })
  return { indexBytes: diskBytes(path.join(dir, 'maindb', 'index.db')) }
}

function restage(name: string, profile: Profile): Adapter {
  return {
    name,
    settings: { none: `profile ${profile}`, batch: 'profile durable' },
    async open({ dir, sync }: OpenOptions) {
      const clock = realClock()
      const engine = await openEngine(
        dir,
        { profile: sync === 'batch' ? 'durable' : profile },
        {
          clock,
          fileSystem: nodeFileSystem,
          yieldNow,
        },
      )
      return new RestageStore(engine, clock)
    },
    shrink,
  }
}

/** A journal without fsync is what the peers' unsynced settings promise: this is the fair one. */
export const restageWal = restage('restage', 'wal_on_fast')
/** No journal at all: durable at checkpoints. */
export const restageFast = restage('restage-fast', 'fast')
