/**
 * One run of the checkpoint-kick scenario (upstream: BenchmarkVlogGenerationRewriteQueueDrainCheckpointKick):
 * a queue of four, some time added to each rewrite, kick after kick until the queue is empty or staged.
 * Set-up is outside the timed part, and a run closes its store before it ends (F1).
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import {
  nodeFileSystem,
  openEngine,
  StepClock,
  type Engine,
  type FileSystem,
  type OpenFile,
  type MaintenancePolicy,
  type PassReport,
  type SegmentId,
} from '../../engine/index.ts'

/** Upstream's fixed sleep between two attempts of its kick retry loop. */
const RETRY_SLEEP_MS = 10
const QUEUED = 4
const SEGMENT_BYTES = 64 * 1024
const VALUE_BYTES = 1024
const KEYS = 640

/** What is measured; milliseconds end in _ms. */
export interface Metrics {
  initial_queue: number
  rewrite_calls: number
  remaining_queue: number
  stage_pending: number
  max_kick_ms: number
  kicks_ms: number
  total_window_ms: number
  longest_stall_ms: number
  /** Longest processor time between two turns of the thread: what the kick held, whatever else ran. */
  longest_turn_cpu_ms: number
}

/** Puts and gets that are issued one after another while kicks run, each timed from its call to its answer. */
export interface Foreground {
  puts: number
  longest_put_ms: number
  longest_get_ms: number
}

export interface Variant {
  policy: MaintenancePolicy
  restage: 'on' | 'off'
  /** Added to each sync of rewrite output, of which a rewrite here has one. */
  addedMs: number
}

/** Where engines come from; a test counts them. */
export type Opener = typeof openEngine

function systemClock(): StepClock {
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

/** The node file system, except that each sync of rewrite output takes longer. */
function slowRewrites(addedMs: number): FileSystem {
  return {
    ...nodeFileSystem,
    open(file, mode) {
      const opened = nodeFileSystem.open(file, mode)
      const isOutput = mode === 'create' && path.basename(file).startsWith('value-l1-')
      return isOutput && addedMs > 0 ? slowSync(opened, addedMs) : opened
    },
  }
}

function slowSync(file: OpenFile, addedMs: number): OpenFile {
  return {
    path: file.path,
    read: (buffer, offset, length, position) => file.read(buffer, offset, length, position),
    write: (buffer, offset, length, position) => {
      file.write(buffer, offset, length, position)
    },
    size: () => file.size(),
    truncate: (length) => {
      file.truncate(length)
    },
    async sync() {
      await new Promise((resolve) => setTimeout(resolve, addedMs))
      await file.sync()
    },
    close: () => {
      file.close()
    },
  }
}

async function open(opener: Opener, dir: string, variant: Variant): Promise<Engine> {
  const { policy, restage, addedMs } = variant
  return opener(
    dir,
    {
      profile: 'fast',
      mode: 'step',
      segmentBytes: SEGMENT_BYTES,
      checkpointIntervalMs: 0,
      maintenance: { policy, restage, minSegmentAgeMs: 0 },
    },
    {
      clock: systemClock(),
      fileSystem: slowRewrites(addedMs),
      yieldNow: () => new Promise((resolve) => setImmediate(resolve)),
    },
  )
}

function keyOf(index: number): Uint8Array {
  return Buffer.from(`key/${String(index).padStart(8, '0')}`)
}

function valueOf(index: number, version: number): Uint8Array {
  const bytes = Buffer.alloc(VALUE_BYTES)
  let state = index * 31 + version + 1
  for (let i = 0; i < VALUE_BYTES; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/**
 * A folder whose state file holds the four stalest sealed segments, queued and not staged. Returns the
 * fifth: rewriting it first makes the output file, so that the kicks measured are all alike.
 */
async function seed(opener: Opener, dir: string, variant: Variant): Promise<SegmentId> {
  const engine = await open(opener, dir, variant)
  for (let i = 0; i < KEYS; i++) await engine.put(keyOf(i), valueOf(i, 0))
  await engine.checkpoint()
  for (let i = 0; i < KEYS; i++) if (i % 4 !== 0) await engine.put(keyOf(i), valueOf(i, 1))
  await engine.checkpoint()
  const plan = engine.maintenance.plan({ minStaleRatio: 0.6, maxSegments: QUEUED + 1 })
  await engine.close()
  const queued = plan.selected.slice(0, QUEUED)
  const state = {
    rewrite_source_file_ids: queued.map((s) => String(s.segmentId)),
    rewrite_debt_ledger: queued.map((s) => ({
      file_id: String(s.segmentId),
      bytes_total: s.bytesTotal,
      bytes_live: s.bytesLive,
      bytes_stale: s.bytesStale,
      stale_ratio: s.staleRatio,
    })),
  }
  fs.writeFileSync(path.join(dir, 'vlog_generation_state.json'), JSON.stringify(state, null, 2))
  const fifth = plan.selected[QUEUED]
  if (fifth === undefined) throw new Error('the seeded folder has too few stale segments')
  return fifth.segmentId
}

/** Longest time another task of the thread had to wait while `work` ran. */
async function withStallWatch<T>(
  work: () => Promise<T>,
): Promise<{ result: T; stallMs: number; turnCpuMs: number }> {
  let stallMs = 0
  let turnCpuMs = 0
  let cpu = process.cpuUsage()
  let watching = true
  let last = performance.now()
  const watch = (): void => {
    const now = performance.now()
    stallMs = Math.max(stallMs, now - last)
    const used = process.cpuUsage(cpu)
    turnCpuMs = Math.max(turnCpuMs, (used.user + used.system) / 1000)
    cpu = process.cpuUsage()
    last = now
    if (watching) setImmediate(watch)
  }
  setImmediate(watch)
  const result = await work()
  watching = false
  return { result, stallMs, turnCpuMs }
}

/** Of new keys, so that nothing which is queued gets staler; each turn of the thread has one put and one get. */
async function withForeground<T>(
  engine: Engine,
  foreground: Foreground,
  work: () => Promise<T>,
): Promise<T> {
  const running = { ended: false }
  const result = work().finally(() => (running.ended = true))
  while (!running.ended) {
    const number = foreground.puts++
    const put = performance.now()
    await engine.put(keyOf(KEYS + number), valueOf(number, 2))
    foreground.longest_put_ms = Math.max(foreground.longest_put_ms, performance.now() - put)
    const get = performance.now()
    engine.get(keyOf(number % KEYS))
    foreground.longest_get_ms = Math.max(foreground.longest_get_ms, performance.now() - get)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return result
}

/** As its policy runs it: the queue runner takes over where a kick leaves the queue to it. */
async function kick(engine: Engine): Promise<PassReport> {
  const report = await engine.maintenance.runPass('checkpoint_kick')
  if (report.blockedBy !== 'queue_runner_idle') return report
  return engine.maintenance.runPass('rewrite_queue_pending')
}

/** Of kicks that have the store to themselves: the watch issues no operation that could change them. */
export function runKick(variant: Variant, opener: Opener = openEngine): Promise<Metrics> {
  return run(variant, opener, null)
}

/** The same kicks in a busy store. A put that waits for a lock shows here and in no stall of the thread. */
export async function runKickUnderPuts(
  variant: Variant,
  opener: Opener = openEngine,
): Promise<Metrics & Foreground> {
  const foreground = { puts: 0, longest_put_ms: 0, longest_get_ms: 0 }
  const metrics = await run(variant, opener, foreground)
  return { ...metrics, ...foreground }
}

async function run(
  variant: Variant,
  opener: Opener,
  foreground: Foreground | null,
): Promise<Metrics> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-kick-'))
  const fifth = await seed(opener, dir, variant)
  const engine = await open(opener, dir, variant)
  await engine.maintenance.rewrite([fifth])
  const before = engine.state()
  let maxKickMs = 0
  let kicksMs = 0
  let stallMs = 0
  let turnCpuMs = 0
  const started = performance.now()
  for (let kicks = 0; kicks <= before.debt.queue.length; kicks++) {
    const { debt } = engine.state()
    if (debt.queue.length === 0 || debt.stage !== null) break
    if (kicks > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_SLEEP_MS))
    const kickStarted = performance.now()
    const watched = await withStallWatch(() =>
      foreground === null ? kick(engine) : withForeground(engine, foreground, () => kick(engine)),
    )
    const kickMs = performance.now() - kickStarted
    maxKickMs = Math.max(maxKickMs, kickMs)
    kicksMs += kickMs
    stallMs = Math.max(stallMs, watched.stallMs)
    turnCpuMs = Math.max(turnCpuMs, watched.turnCpuMs)
    if (watched.result.error !== null) throw new Error(watched.result.sentence)
  }
  const totalMs = performance.now() - started
  const after = engine.state()
  await engine.close()
  fs.rmSync(dir, { recursive: true })
  return {
    initial_queue: before.debt.queue.length,
    rewrite_calls: after.counters.rewriteRuns - before.counters.rewriteRuns,
    remaining_queue: after.debt.queue.length,
    stage_pending: after.debt.stage === null ? 0 : 1,
    max_kick_ms: maxKickMs,
    kicks_ms: kicksMs,
    total_window_ms: totalMs,
    longest_stall_ms: stallMs,
    longest_turn_cpu_ms: turnCpuMs,
  }
}
