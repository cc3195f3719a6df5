// The passes of a span of time with what the foreground did meanwhile. Pure.
import type {
  LatencyFigures,
  LatencyInterval,
  MetricSample,
  PassReport,
} from '../../server/protocol.ts'
import type { CsvRow } from '../lib/csv.ts'
import type { PassRun } from '../state/app-state.ts'
import { byteFlow, passTimes } from '../state/pass-flow.ts'

export interface TimelinePass {
  report: PassReport
  /** Foreground puts a second at its end; null when no sample lies near. */
  put: number | null
  /** The slowest second of puts while it ran, or recorded interval; null when there is none, or nothing was put. */
  putLatency: LatencyFigures | null
}

/** A sample is taken once a second; one further away than this says nothing of the pass. */
const NEAR_MS = 2000

export function timelinePasses(
  passes: readonly PassRun[],
  samples: readonly MetricSample[],
  fromMs: number,
  toMs: number,
): TimelinePass[] {
  return passes
    .map(({ report }) => report)
    .filter((report) => report.endedAtMs >= fromMs && report.startedAtMs <= toMs)
    .map((report) => {
      const near = sampleAfter(samples, report.endedAtMs)
      const off = near === undefined ? Infinity : Math.abs(near.atMs - report.endedAtMs)
      return {
        report,
        put: off <= NEAR_MS ? (near?.putsPerSecond ?? null) : null,
        putLatency: slowest(samples, report),
      }
    })
}

/** Each sample covers the second before it, so the one after the end belongs to the pass, too. */
function slowest(
  samples: readonly MetricSample[],
  { startedAtMs, endedAtMs }: PassReport,
): LatencyFigures | null {
  let found: LatencyFigures | null = null
  for (let at = indexAfter(samples, startedAtMs); at < samples.length; at += 1) {
    const sample = samples[at]
    if (sample === undefined || sample.atMs > endedAtMs + NEAR_MS) break
    const { putLatency } = sample
    if (putLatency !== null && (found === null || putLatency.p99Ms > found.p99Ms)) {
      found = putLatency
    }
    if (sample.atMs >= endedAtMs) break
  }
  return found
}

/** Runs of samples with traffic: a second without any is a hole in the line and never a zero. */
export function latencyRuns(
  samples: readonly MetricSample[],
  fromMs: number,
  toMs: number,
): { atMs: number; figures: LatencyFigures }[][] {
  const runs: { atMs: number; figures: LatencyFigures }[][] = []
  let lastAtMs = -Infinity
  for (const { atMs, putLatency } of samples) {
    if (atMs < fromMs || atMs > toMs || putLatency === null) continue
    const point = { atMs, figures: putLatency }
    const run = runs.at(-1)
    if (run === undefined || atMs - lastAtMs > NEAR_MS) runs.push([point])
    else run.push(point)
    lastAtMs = atMs
  }
  return runs
}

/** Of puts: lines from point to point, with a hole where there are no figures, and the longest of each. */
export interface LatencyLine {
  runs: { atMs: number; figures: LatencyFigures }[][]
  marks: { atMs: number; maxMs: number }[]
}

export function sampledLatency(
  samples: readonly MetricSample[],
  fromMs: number,
  toMs: number,
): LatencyLine {
  const runs = latencyRuns(samples, fromMs, toMs)
  const marks = runs.flat().map(({ atMs, figures }) => ({ atMs, maxMs: figures.maxMs }))
  return { runs, marks }
}

/** Each interval a step from its beginning to its end; what no interval covers is a hole. */
export function recordedLatency(
  intervals: readonly LatencyInterval[],
  fromMs: number,
  toMs: number,
): LatencyLine {
  const { runs, marks }: LatencyLine = { runs: [], marks: [] }
  let lastAtMs = -Infinity
  for (const { fromMs: begin, atMs: end, put } of intervals) {
    if (put === null || end < fromMs || begin > toMs) continue
    const [from, at] = [Math.max(begin, fromMs), Math.min(end, toMs)]
    const step = [
      { atMs: from, figures: put },
      { atMs: at, figures: put },
    ]
    const run = runs.at(-1)
    if (run === undefined || from > lastAtMs) runs.push(step)
    else run.push(...step)
    marks.push({ atMs: (from + at) / 2, maxMs: put.maxMs })
    lastAtMs = at
  }
  return { runs, marks }
}

/** They share time; one of no length, as in step mode, has none to share and lies in the other or at its end. */
function isTouched(interval: LatencyInterval, { startedAtMs, endedAtMs }: PassReport): boolean {
  const shared = Math.min(interval.atMs, endedAtMs) - Math.max(interval.fromMs, startedAtMs)
  const hasNoLength = interval.atMs === interval.fromMs || endedAtMs === startedAtMs
  return shared > 0 || (shared === 0 && hasNoLength)
}

/** With the slowest interval that each pass touched. */
export function withRecordedLatency(
  passes: readonly TimelinePass[],
  intervals: readonly LatencyInterval[],
): TimelinePass[] {
  return passes.map((pass) => {
    let putLatency: LatencyFigures | null = null
    for (const interval of intervals) {
      const { put } = interval
      // They are in the order of time.
      if (interval.fromMs > pass.report.endedAtMs) break
      if (put === null || !isTouched(interval, pass.report)) continue
      if (putLatency === null || put.p99Ms > putLatency.p99Ms) putLatency = put
    }
    return { ...pass, putLatency }
  })
}

/** The first sample at or after `atMs`: it covers the second before it. */
function sampleAfter(samples: readonly MetricSample[], atMs: number): MetricSample | undefined {
  return samples[indexAfter(samples, atMs)]
}

function indexAfter(samples: readonly MetricSample[], atMs: number): number {
  let low = 0
  let high = samples.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((samples[middle]?.atMs ?? 0) < atMs) low = middle + 1
    else high = middle
  }
  return low
}

// ---------------------------------------------------------------- as numbers

/** One pass as a line of CSV: its times, its bytes, and the foreground beside it. A pass without work: 0 bytes. */
export function passRow({ report, put, putLatency }: TimelinePass): CsvRow {
  const times = passTimes(report)
  const flow = byteFlow(report)
  return {
    pass_id: report.passId,
    source: report.source,
    outcome: report.outcome,
    blocked_by: report.blockedBy,
    started_at_ms: report.startedAtMs,
    ended_at_ms: report.endedAtMs,
    elapsed_ms: report.elapsedMs,
    plan_ms: times.plan,
    rewrite_ms: times.rewrite,
    gc_ms: times.gc,
    prune_ms: times.prune,
    other_ms: times.other,
    bytes_copied: flow?.bytesCopied ?? 0,
    bytes_deleted: flow?.bytesDeleted ?? 0,
    bytes_gained: flow?.bytesGained ?? 0,
    segments_rewritten: flow?.sources.length ?? 0,
    segments_deleted: flow?.segmentsDeleted.length ?? 0,
    queue_before: report.before.queue.length,
    queue_after: report.after.queue.length,
    foreground_puts_per_second: put,
    put_latency_p50_ms: putLatency?.p50Ms ?? null,
    put_latency_p99_ms: putLatency?.p99Ms ?? null,
    put_latency_max_ms: putLatency?.maxMs ?? null,
  }
}

/** The lanes under the passes, second by second, whether or not a pass ran. */
export function secondRows(
  samples: readonly MetricSample[],
  fromMs: number,
  toMs: number,
): CsvRow[] {
  return samples
    .filter(({ atMs }) => atMs >= fromMs && atMs <= toMs)
    .map((sample) => ({
      at: new Date(sample.atMs).toISOString(),
      at_ms: sample.atMs,
      puts_per_second: sample.putsPerSecond,
      bytes_put_per_second: sample.bytesPutPerSecond,
      rewrite_bytes_per_second: sample.rewriteBytesPerSecond,
      put_latency_p50_ms: sample.putLatency?.p50Ms ?? null,
      put_latency_p99_ms: sample.putLatency?.p99Ms ?? null,
      put_latency_max_ms: sample.putLatency?.maxMs ?? null,
    }))
}

/** The recorded lane, interval by interval. */
export function intervalRows(
  intervals: readonly LatencyInterval[],
  fromMs: number,
  toMs: number,
): CsvRow[] {
  return intervals
    .filter((interval) => interval.atMs >= fromMs && interval.fromMs <= toMs)
    .map(({ fromMs: begin, atMs, put, get }) => ({
      from: new Date(begin).toISOString(),
      from_ms: begin,
      at: new Date(atMs).toISOString(),
      at_ms: atMs,
      puts_timed: put?.count ?? null,
      put_latency_p50_ms: put?.p50Ms ?? null,
      put_latency_p99_ms: put?.p99Ms ?? null,
      put_latency_max_ms: put?.maxMs ?? null,
      gets_timed: get?.count ?? null,
      get_latency_p50_ms: get?.p50Ms ?? null,
      get_latency_p99_ms: get?.p99Ms ?? null,
      get_latency_max_ms: get?.maxMs ?? null,
    }))
}
