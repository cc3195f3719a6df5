// The passes of a span of time with what the foreground did meanwhile. Pure.
import type { LatencyFigures, MetricSample, PassReport } from '../../server/protocol.ts'
import type { PassRun } from '../state/app-state.ts'

export interface TimelinePass {
  report: PassReport
  /** Foreground puts a second at its end; null when no sample lies near. */
  put: number | null
  /** The slowest second of puts while it ran; null when none was sampled or nothing was put. */
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
