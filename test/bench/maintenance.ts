/**
 * What maintenance costs, against what cannot be cheaper and against the same with more keys:
 *
 *   rewrite     a half-stale 256 MiB segment, against a plain read-write-fsync copy of its live bytes
 *   plan        over 10,000 segments, and with ten times the keys
 *   pass        over one 4 MiB segment, and with ten times the keys in the store
 *   foreground  p99 of puts while a 64 MiB segment is rewritten, and without
 *
 *   npm run bench:maintenance -- [--only rewrite,plan,pass,foreground] [--quick]
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Engine, SegmentId } from '../../engine/index.ts'
import { choices, flags } from './flags.ts'
import {
  KIB,
  MIB,
  bench,
  fill,
  keyOf,
  median,
  openStore,
  print,
  quantile,
  tempFolder,
  timed,
  turn,
  valueOf,
} from './support.ts'

const RECORD_HEADER_BYTES = 20
/** Rewritten for the foreground's latency, at most. */
const FOREGROUND_SEGMENTS = 6

/** A store whose first segment is about `bytes` long and half stale. */
async function halfStale(
  bytes: number,
  options: { keysBeside?: number } = {},
): Promise<{ dir: string; engine: Engine; segmentId: SegmentId }> {
  const valueBytes = KIB - RECORD_HEADER_BYTES
  const keys = Math.floor(bytes / KIB)
  const dir = tempFolder('maintenance')
  const engine = await openStore(dir, { segmentBytes: bytes, profile: 'wal_on_fast' })
  await fill(engine, { from: 0, to: keys, version: 0, valueBytes })
  await fill(engine, { from: 0, to: keys, step: 2, version: 1, valueBytes })
  const beside = options.keysBeside ?? 0
  await fill(engine, { from: keys, to: keys + beside, version: 0, valueBytes: 600 })
  await engine.checkpoint()
  const first = engine.state().segments[0]
  if (first?.state !== 'sealed') throw new Error('the first segment is not sealed')
  return { dir, engine, segmentId: first.segmentId }
}

interface Rewritten {
  /** Bytes of the records that were copied. */
  copied: number
  /** The rewrite alone: finding, copying, syncing, swapping. */
  rewriteMs: number
}

async function rewriteOnce(engine: Engine, segmentId: SegmentId): Promise<Rewritten> {
  const report = await engine.maintenance.rewrite([segmentId])
  if (report.error !== null) throw new Error(report.sentence)
  const step = report.steps.find((s) => s.kind === 'rewrite')
  if (step === undefined) throw new Error(`no rewrite: ${report.sentence}`)
  const { sourceBytesProcessed, elapsedMs } = step.report
  return { copied: sourceBytesProcessed, rewriteMs: elapsedMs }
}

/** Reads and writes as many bytes as the rewrite copies, 1 MiB at a time, and syncs. */
function plainCopy(from: string, to: string, bytes: number): void {
  const chunk = Buffer.allocUnsafeSlow(MIB)
  const source = fs.openSync(from, 'r')
  const target = fs.openSync(to, 'w')
  for (let at = 0; at < bytes; at += MIB) {
    const length = fs.readSync(source, chunk, 0, Math.min(MIB, bytes - at), at)
    fs.writeSync(target, chunk, 0, length)
  }
  fs.fdatasyncSync(target)
  fs.closeSync(source)
  fs.closeSync(target)
  fs.unlinkSync(to)
}

/** The rewrite itself against the copy, and the pass around it: checkpoint and deletion as well. */
async function rewrite(rounds: number, segmentBytes: number): Promise<void> {
  const rates = { rewrite: [] as number[], pass: [] as number[], copy: [] as number[] }
  // The first rewrite of a process runs code that is not compiled yet: it is told apart.
  for (let round = 0; round <= rounds; round++) {
    const { dir, engine, segmentId } = await halfStale(segmentBytes)
    const file = engine.state().segments.find((s) => s.segmentId === segmentId)?.file ?? ''
    // Under a second name, because the rewrite deletes the segment.
    const source = path.join(dir, 'source')
    fs.linkSync(path.join(dir, file), source)
    const live = segmentBytes / 2
    const copy = (): Promise<number> => timed(() => plainCopy(source, path.join(dir, 'copy'), live))
    const before = await copy()
    let done: Rewritten = { copied: NaN, rewriteMs: NaN }
    const passMs = await timed(async () => {
      done = await rewriteOnce(engine, segmentId)
    })
    // Before and after, so that neither has the quieter moment.
    const after = await copy()
    rates.rewrite.push(done.copied / MIB / (done.rewriteMs / 1000))
    rates.pass.push(done.copied / MIB / (passMs / 1000))
    rates.copy.push(live / MIB / ((before + after) / 2000))
    await engine.close()
    fs.rmSync(dir, { recursive: true })
  }
  const over = (part: readonly number[]): number[] =>
    part.map((rate, i) => rate / (rates.copy[i] as number))
  const [first = NaN, ...later] = over(rates.rewrite)
  print('maintenance/rewrite', {
    segment_mib: segmentBytes / MIB,
    rewrite_mib_s: median(rates.rewrite.slice(1)),
    copy_mib_s: median(rates.copy.slice(1)),
    rewrite_over_copy: median(later),
    first_rewrite_over_copy: first,
    pass_over_copy: median(over(rates.pass).slice(1)),
    rounds,
  })
}

async function plan(segments: number): Promise<void> {
  const medians: number[] = []
  for (const keysPerSegment of [2, 20]) {
    const dir = tempFolder('maintenance')
    const valueBytes = 1_800
    const engine = await openStore(dir, {
      segmentBytes: Math.max(4 * KIB, keysPerSegment * (valueBytes + RECORD_HEADER_BYTES)),
    })
    const keys = segments * keysPerSegment
    await fill(engine, { from: 0, to: keys, version: 0, valueBytes })
    await engine.checkpoint()
    const times: number[] = []
    for (let i = 0; i < 40; i++) times.push(await timed(() => engine.maintenance.plan()))
    const count = engine.state().segments.length
    medians.push(median(times.slice(10)))
    print('maintenance/plan', {
      segments: count,
      keys,
      first_ms: times[0] ?? NaN,
      warm_median_ms: medians.at(-1) ?? NaN,
    })
    await engine.close()
    fs.rmSync(dir, { recursive: true })
  }
  const [small = NaN, large = NaN] = medians
  print('maintenance/plan', { ten_times_keys_ratio: large / small })
}

async function pass(rounds: number): Promise<void> {
  const beside = [10_000, 100_000]
  const times: number[][] = [[], []]
  // The first round of a process measures its compiler.
  for (let round = 0; round <= rounds; round++) {
    for (const which of round % 2 === 0 ? [0, 1] : [1, 0]) {
      const keysBeside = beside[which] as number
      const { dir, engine, segmentId } = await halfStale(4 * MIB, { keysBeside })
      const ms = await timed(() => rewriteOnce(engine, segmentId))
      if (round > 0) times[which]?.push(ms)
      await engine.close()
      fs.rmSync(dir, { recursive: true })
    }
  }
  const [small = NaN, large = NaN] = times.map(median)
  print('maintenance/pass', {
    segment_mib: 4,
    keys: beside[0] as number,
    pass_ms: small,
    ten_times_keys_pass_ms: large,
    ten_times_keys_ratio: large / small,
    rounds,
  })
}

/** Puts one after another, a turn of the event loop between them, as long as `going` says so. */
async function puts(engine: Engine, going: (count: number) => boolean): Promise<number[]> {
  const times: number[] = []
  for (let i = 0; going(times.length); i++) {
    const index = 10_000_000 + (i % 1_000)
    const value = valueOf(index, i, KIB)
    const started = performance.now()
    await engine.put(keyOf(index), value)
    times.push(performance.now() - started)
    await turn()
  }
  return times
}

/** A store of half-stale segments of about `bytes` each, closed; what is newer lies behind them. */
async function halfStaleSegments(count: number, bytes: number): Promise<string> {
  const valueBytes = KIB - RECORD_HEADER_BYTES
  const keys = count * Math.floor(bytes / KIB)
  const dir = tempFolder('maintenance')
  const engine = await openStore(dir, { segmentBytes: bytes })
  await fill(engine, { from: 0, to: keys, version: 0, valueBytes })
  await fill(engine, { from: 0, to: keys, step: 2, version: 1, valueBytes })
  await engine.close()
  return dir
}

/**
 * Segment after segment is rewritten until there are enough puts to tell a hundredth of them; before each,
 * as many puts are timed without a rewrite, at the same pace: neighbours come and go.
 */
async function foreground(
  profile: 'durable' | 'wal_on_fast',
  { segmentBytes, putsWanted }: { segmentBytes: number; putsWanted: number },
): Promise<void> {
  const dir = await halfStaleSegments(FOREGROUND_SEGMENTS, segmentBytes)
  const engine = await openStore(dir, { segmentBytes, profile })
  const stale = engine
    .state()
    .segments.filter((s) => s.bytesStale > s.bytesTotal / 4)
    .slice(0, FOREGROUND_SEGMENTS)
  const times = { quiet: [] as number[], during: [] as number[] }
  let rewrites = 0
  for (let phase = 200; rewrites < stale.length && times.during.length < putsWanted;) {
    times.quiet.push(...(await puts(engine, (count) => count < phase)))
    let rewriting = true
    const work = rewriteOnce(engine, stale[rewrites++]?.segmentId ?? 0).finally(() => {
      rewriting = false
    })
    const during = await puts(engine, () => rewriting)
    await work
    times.during.push(...during)
    phase = Math.max(200, during.length)
  }
  await engine.close()
  fs.rmSync(dir, { recursive: true })
  const p99 = { quiet: quantile(times.quiet, 0.99), during: quantile(times.during, 0.99) }
  print('maintenance/foreground', {
    profile,
    segment_mib: segmentBytes / MIB,
    rewrites,
    puts_quiet: times.quiet.length,
    puts_during: times.during.length,
    p50_quiet_ms: median(times.quiet),
    p50_during_ms: median(times.during),
    p99_quiet_ms: p99.quiet,
    p99_during_ms: p99.during,
    max_quiet_ms: quantile(times.quiet, 1),
    max_during_ms: quantile(times.during, 1),
    p99_ratio: p99.during / p99.quiet,
  })
}

async function main(): Promise<void> {
  const known = ['rewrite', 'plan', 'pass', 'foreground']
  const { quick, only } = flags({ only: known.join(','), quick: false })
  const parts = choices('only', only, known)
  const rounds = quick ? 1 : 3
  if (parts.includes('rewrite')) await rewrite(rounds, (quick ? 32 : 256) * MIB)
  if (parts.includes('plan')) await plan(quick ? 1_000 : 10_000)
  if (parts.includes('pass')) await pass(quick ? 1 : 15)
  if (parts.includes('foreground')) {
    const size = { segmentBytes: (quick ? 16 : 64) * MIB, putsWanted: quick ? 200 : 1_000 }
    await foreground('wal_on_fast', size)
    await foreground('durable', size)
  }
}

await bench(main)
