/**
 * The checkpoint-kick harness (upstream: BenchmarkVlogGenerationRewriteQueueDrainCheckpointKick): a
 * queue of four, 25 ms added to each rewrite, kick after kick until the queue is empty or staged.
 * Restaging bounds the window to one rewrite; without it the window is all four, one after another
 * as upstream's retry loop runs them, which sleeps 10 ms between attempts. `kicks_ms` leaves those
 * sleeps out.
 *
 * Set-up is outside the timed part, each run closes its store before the next opens (F1), metrics are
 * medians over the runs, and the ratio is taken within one program run. Usage: kick.js [runs]
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
  type SegmentId,
} from '../../engine/index.ts'

const ADDED_MS = 25
/** Upstream's fixed sleep between two attempts of its kick retry loop. */
const RETRY_SLEEP_MS = 10
const QUEUED = 4
/** What bounding the window to one rewrite of four must gain. */
const RATIO_WANTED = 4.4
const SEGMENT_BYTES = 64 * 1024
const VALUE_BYTES = 1024
const KEYS = 640

interface Metrics {
  initial_queue: number
  rewrite_calls: number
  remaining_queue: number
  stage_pending: number
  max_kick_ms: number
  kicks_ms: number
  total_window_ms: number
  longest_stall_ms: number
}

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

/** The node file system, except that each sync of rewrite output takes longer; a rewrite here has one. */
function slowRewrites(): FileSystem {
  return {
    ...nodeFileSystem,
    open(file, mode) {
      const opened = nodeFileSystem.open(file, mode)
      return mode === 'create' && path.basename(file).startsWith('value-l1-')
        ? slowSync(opened)
        : opened
    },
  }
}

function slowSync(file: OpenFile): OpenFile {
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
      await new Promise((resolve) => setTimeout(resolve, ADDED_MS))
      await file.sync()
    },
    close: () => {
      file.close()
    },
  }
}

async function open(dir: string, restage: 'on' | 'off'): Promise<Engine> {
  return openEngine(
    dir,
    {
      profile: 'fast',
      mode: 'step',
      segmentBytes: SEGMENT_BYTES,
      checkpointIntervalMs: 0,
      maintenance: { restage, minSegmentAgeMs: 0 },
    },
    {
      clock: systemClock(),
      fileSystem: slowRewrites(),
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
async function seed(dir: string): Promise<SegmentId> {
  const engine = await open(dir, 'on')
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
async function withStallWatch<T>(work: () => Promise<T>): Promise<{ result: T; stallMs: number }> {
  let stallMs = 0
  let watching = true
  let last = performance.now()
  const watch = (): void => {
    const now = performance.now()
    stallMs = Math.max(stallMs, now - last)
    last = now
    if (watching) setImmediate(watch)
  }
  setImmediate(watch)
  const result = await work()
  watching = false
  return { result, stallMs }
}

async function run(restage: 'on' | 'off'): Promise<Metrics> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-kick-'))
  const fifth = await seed(dir)
  const engine = await open(dir, restage)
  await engine.maintenance.rewrite([fifth])
  const before = engine.state()
  let maxKickMs = 0
  let kicksMs = 0
  let stallMs = 0
  const started = performance.now()
  for (let kicks = 0; kicks <= before.debt.queue.length; kicks++) {
    const { debt } = engine.state()
    if (debt.queue.length === 0 || debt.stage !== null) break
    if (kicks > 0) await new Promise((resolve) => setTimeout(resolve, RETRY_SLEEP_MS))
    const kickStarted = performance.now()
    const watched = await withStallWatch(() => engine.maintenance.runPass('checkpoint_kick'))
    const kickMs = performance.now() - kickStarted
    maxKickMs = Math.max(maxKickMs, kickMs)
    kicksMs += kickMs
    stallMs = Math.max(stallMs, watched.stallMs)
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
  }
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

function medians(runs: Metrics[]): Metrics {
  const of = (name: keyof Metrics): number => median(runs.map((r) => r[name]))
  return {
    initial_queue: of('initial_queue'),
    rewrite_calls: of('rewrite_calls'),
    remaining_queue: of('remaining_queue'),
    stage_pending: of('stage_pending'),
    max_kick_ms: of('max_kick_ms'),
    kicks_ms: of('kicks_ms'),
    total_window_ms: of('total_window_ms'),
    longest_stall_ms: of('longest_stall_ms'),
  }
}

function print(name: string, metrics: Metrics): void {
  const words = (Object.entries(metrics) as [string, number][]).map(
    ([key, value]) => `${key}=${Number(value.toFixed(2)).toString()}`,
  )
  process.stdout.write(`${name} ${words.join(' ')}\n`)
}

const runs = Number(process.argv[2] ?? 5)
const on: Metrics[] = []
const off: Metrics[] = []
// The first runs of a process measure its compiler.
for (const restage of ['on', 'off', 'on'] as const) await run(restage)
for (let i = 0; i < runs; i++) {
  // Alternating, so that a busy moment of the machine meets both.
  on.push(await run('on'))
  off.push(await run('off'))
}
const [withRestage, without] = [medians(on), medians(off)]
print('kick/restage_on', withRestage)
print('kick/restage_off', without)
const windows = without.total_window_ms / withRestage.total_window_ms
const kicks = without.kicks_ms / withRestage.kicks_ms
process.stdout.write(
  `kick/ratio total_window_off_over_on=${windows.toFixed(2)} kicks_off_over_on=${kicks.toFixed(2)} runs=${runs}\n`,
)
const ok =
  withRestage.rewrite_calls === 1 &&
  withRestage.remaining_queue === 3 &&
  withRestage.stage_pending === 1 &&
  without.rewrite_calls === 4 &&
  without.remaining_queue === 0 &&
  without.stage_pending === 0
if (windows < RATIO_WANTED) {
  process.stdout.write(`kick/expected a window ratio of at least ${RATIO_WANTED}\n`)
  process.exitCode = 1
}
if (!ok) {
  process.stdout.write('kick/expected restage on 1,3,1 and off 4,0,0\n')
  process.exitCode = 1
}
