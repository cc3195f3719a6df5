// Rows and marks of the time charts. Pure; the drawing is in debt-over-time.tsx.
import type { MetricSample, PassOutcome } from '../../server/protocol.ts'
import type { CsvRow } from '../lib/csv.ts'
import { shortNames } from '../lib/format.ts'
import type { PassRun } from '../state/app-state.ts'
import { downsampleBy } from './downsample.ts'

/** recharts stays at 60 frames a second up to about this many points a series. */
export const POINTS_MAX = 600

/** At most about `max` samples; peaks of debt and of both rates stay. */
export function downsample(samples: readonly MetricSample[], max = POINTS_MAX): MetricSample[] {
  return downsampleBy(samples, ['bytesStale', 'bytesPutPerSecond', 'rewriteBytesPerSecond'], max)
}

/** Those taken within the span, both ends included. */
export function samplesIn(
  samples: readonly MetricSample[],
  { fromMs, toMs }: { fromMs: number; toMs: number },
): MetricSample[] {
  return samples.filter((sample) => sample.atMs >= fromMs && sample.atMs <= toMs)
}

/** One sample as a line of CSV: every number exact. */
export function sampleRow(sample: MetricSample): CsvRow {
  return {
    at: new Date(sample.atMs).toISOString(),
    at_ms: sample.atMs,
    bytes_stale: sample.bytesStale,
    bytes_live: sample.bytesLive,
    bytes_total: sample.bytesTotal,
    queued: sample.queueLength,
    segments: sample.segments,
    dead_segments: sample.zombies,
    puts_per_second: sample.putsPerSecond,
    bytes_put_per_second: sample.bytesPutPerSecond,
    rewrite_bytes_per_second: sample.rewriteBytesPerSecond,
  }
}

export interface PassMark {
  atMs: number
  passId: number
  outcome: PassOutcome
  sentence: string
}

/** Passes that did something, within the time shown. */
export function passMarks(
  passes: readonly PassRun[],
  samples: readonly MetricSample[],
): PassMark[] {
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined) return []
  return passes
    .filter(
      ({ report }) =>
        report.outcome !== 'blocked' &&
        report.outcome !== 'nothing_to_do' &&
        report.endedAtMs >= first.atMs &&
        report.endedAtMs <= last.atMs,
    )
    .map(({ report }) => ({
      atMs: report.endedAtMs,
      passId: report.passId,
      outcome: report.outcome,
      sentence: shortNames(report.sentence),
    }))
}
