// The passes of a span of time with what the foreground did meanwhile. Pure.
import type { MetricSample, PassReport } from '../../server/protocol.ts'
import type { PassRun } from '../state/app-state.ts'

export interface TimelinePass {
  report: PassReport
  /** Foreground puts a second at its end; null when no sample lies near. */
  put: number | null
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
      return { report, put: off <= NEAR_MS ? (near?.putsPerSecond ?? null) : null }
    })
}

/** The first sample at or after `atMs`: it covers the second before it. */
function sampleAfter(samples: readonly MetricSample[], atMs: number): MetricSample | undefined {
  let low = 0
  let high = samples.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((samples[middle]?.atMs ?? 0) < atMs) low = middle + 1
    else high = middle
  }
  return samples[low]
}
