/**
 * One store, one round, in a process of its own, so that memory and collector are its own too. Only
 * the calls into the store are timed: values are made before and checked after. Each batch is
 * followed by one turn of the event loop, timed with it, so that work a store does there counts.
 */
import * as fs from 'node:fs'
import { ADAPTERS } from './adapters/index.ts'
import {
  bytesWritten,
  cpuSeconds,
  diskBytes,
  peakRssBytes,
  Times,
  type Latency,
} from './measure.ts'
import type { Adapter, PeerStore, Sync } from './store.ts'
import { Data, Random, type Workload } from './workload.ts'

export interface Task {
  engine: string
  dir: string
  sync: Sync
  workload: Workload
}

export interface Result {
  puts: Latency
  gets: Latency
  deletes: Latency
  /** Of one entry each; putting and deleting count batches. */
  scan: Latency
  maintainMs: number
  closeMs: number
  reopenMs: number
  diskAfterPuts: number
  diskAfterMaintain: number
  diskAfterClose: number
  /** null: the store has no such thing. */
  shrunk: { ms: number; diskBytes: number; indexBytes: number } | null
  /** Keys and values that are left. */
  liveBytes: number
  peakRss: number
  peakRssAfterPuts: number
  baseRss: number
  putCpuSeconds: number
  /** Bytes passed to write calls while putting, over bytes put. */
  writeAmplification: number
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const RECHECKS = 20_000

class Round {
  readonly #adapter: Adapter
  readonly #task: Task
  readonly #data: Data
  #store!: PeerStore

  constructor(task: Task) {
    const adapter = ADAPTERS.find((a) => a.name === task.engine)
    if (adapter === undefined) throw new Error(`no engine ${task.engine}`)
    this.#adapter = adapter
    this.#task = task
    this.#data = new Data(task.workload)
  }

  async run(): Promise<Result> {
    const { dir } = this.#task
    const { keys, valueBytes, puts } = this.#task.workload
    await this.#open()
    const baseRss = process.memoryUsage.rss()
    const before = { cpu: cpuSeconds(), written: bytesWritten() }
    const putTimes = await this.#puts()
    const putCpuSeconds = cpuSeconds() - before.cpu
    const written = bytesWritten() - before.written
    const diskAfterPuts = diskBytes(dir)
    const peakRssAfterPuts = peakRssBytes()
    const getTimes = await this.#gets()
    const scanTimes = await this.#scan(keys)
    const deleteTimes = await this.#deletes()
    const maintainMs = await timed(() => this.#store.maintain())
    const diskAfterMaintain = diskBytes(dir)
    const closeMs = await timed(() => this.#store.close())
    const diskAfterClose = diskBytes(dir)
    const shrunk = await this.#shrink()
    const reopenMs = await timed(() => this.#open())
    await this.#recheck()
    await this.#store.close()
    return {
      puts: putTimes,
      gets: getTimes,
      deletes: deleteTimes,
      scan: scanTimes,
      maintainMs,
      closeMs,
      reopenMs,
      diskAfterPuts,
      diskAfterMaintain,
      diskAfterClose,
      shrunk,
      liveBytes: this.#data.liveKeys * (16 + valueBytes),
      peakRss: peakRssBytes(),
      peakRssAfterPuts,
      baseRss,
      putCpuSeconds,
      writeAmplification: written / (puts * (16 + valueBytes)),
    }
  }

  async #open(): Promise<void> {
    const { dir, sync } = this.#task
    this.#store = await this.#adapter.open({ dir, sync })
  }

  async #puts(): Promise<Latency> {
    const { puts, batch, valueBytes } = this.#task.workload
    const { order } = this.#data
    const times = new Times(Math.ceil(puts / batch))
    const buffers = Array.from({ length: batch }, () => Buffer.allocUnsafeSlow(valueBytes))
    for (let at = 0; at < puts; at += batch) {
      const indexes = order.subarray(at, at + batch)
      const keys: Buffer[] = []
      const values = buffers.slice(0, indexes.length)
      indexes.forEach((index, i) => {
        keys.push(this.#data.key(index))
        this.#data.nextValue(index, values[i] as Buffer)
      })
      const started = performance.now()
      await this.#store.putBatch(keys, values)
      await turn()
      times.add(performance.now() - started)
    }
    return times.latency(batch)
  }

  async #gets(): Promise<Latency> {
    const { gets, batch, keys, seed } = this.#task.workload
    const random = new Random(seed + 1)
    const times = new Times(gets)
    const values: (Uint8Array | undefined)[] = []
    const indexes = new Uint32Array(batch)
    for (let at = 0; at < gets; at += batch) {
      const count = Math.min(batch, gets - at)
      const wanted: Buffer[] = []
      for (let i = 0; i < count; i++) {
        indexes[i] = random.below(keys)
        wanted.push(this.#data.key(indexes[i] as number))
      }
      let last = performance.now()
      for (let i = 0; i < count; i++) {
        const found = this.#store.get(wanted[i] as Buffer)
        values[i] = found instanceof Promise ? await found : found
        const now = performance.now()
        times.add(now - last)
        last = now
      }
      for (let i = 0; i < count; i++) this.#data.check(indexes[i] as number, values[i])
    }
    return times.latency(1)
  }

  /**
   * An entry's time is that from the visit before it. Order and number are checked in passing, which
   * counts for all stores alike; the bytes of the values were checked by the gets.
   */
  async #scan(keys: number): Promise<Latency> {
    const times = new Times(keys)
    let entries = 0
    let previous: Uint8Array = Buffer.alloc(0)
    const { valueBytes } = this.#task.workload
    let last = performance.now()
    await this.#store.scan((key, value) => {
      if (Buffer.compare(previous, key) >= 0) throw new Error('scan out of order')
      if (value.length !== valueBytes) throw new Error('scan gave a value of another length')
      previous = key
      if (++entries > keys) return
      const now = performance.now()
      times.add(now - last)
      last = now
    })
    if (entries !== keys) throw new Error(`scan gave ${entries} of ${keys} entries`)
    return times.latency(1)
  }

  /** Every other key of a shuffled order. */
  async #deletes(): Promise<Latency> {
    const { keys, batch, seed } = this.#task.workload
    const half = Math.floor(keys / 2)
    const order = new Random(seed + 2).shuffle(Uint32Array.from({ length: keys }, (_, i) => i))
    const times = new Times(Math.ceil(half / batch))
    for (let at = 0; at < half; at += batch) {
      const indexes = [...order.subarray(at, Math.min(half, at + batch))]
      const doomed = indexes.map((index) => this.#data.key(index))
      const started = performance.now()
      await this.#store.deleteBatch(doomed)
      await turn()
      times.add(performance.now() - started)
      for (const index of indexes) this.#data.deleted(index)
    }
    return times.latency(batch)
  }

  async #shrink(): Promise<Result['shrunk']> {
    const { dir } = this.#task
    const started = performance.now()
    const shrunk = await this.#adapter.shrink?.(dir)
    const ms = performance.now() - started
    return shrunk === undefined ? null : { ms, diskBytes: diskBytes(dir), ...shrunk }
  }

  async #recheck(): Promise<void> {
    const { keys, seed } = this.#task.workload
    const random = new Random(seed + 3)
    for (let i = 0; i < RECHECKS; i++) {
      const index = random.below(keys)
      this.#data.check(index, await this.#store.get(this.#data.key(index)))
    }
  }
}

async function timed(work: () => Promise<void> | void): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

if (process.send !== undefined) {
  process.once('message', (task) => {
    const { dir } = task as Task
    fs.mkdirSync(dir, { recursive: true })
    new Round(task as Task)
      .run()
      .then((result) => process.send?.({ result }))
      .catch((error: unknown) => {
        process.send?.({ error: error instanceof Error ? error.stack : String(error) })
      })
      .finally(() => process.disconnect())
  })
}
