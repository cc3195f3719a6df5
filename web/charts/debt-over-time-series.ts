// Rows and marks of the time charts. Pure; the drawing is in debt-over-time.tsx.
import type { MetricSample, PassOutcome } from '../../server/protocol.ts'
import type { CsvRow } from '../lib/csv.ts'
import { shortNames } from '../lib/format.ts'
import type { PassRun } from '../state/app-state.ts'
import { downsampleBy } from './downsample.ts'

/** recharts stays at 60 frames a second up to about this many points a series. */
export const POINTS_MAX = 600

export interface ChartSample extends MetricSample {
  /** Over the minute up to here; null when nothing was written in it. */
  writeAmplification: number | null
}

/** A minute smooths the bursts: a rewrite of seconds answers to the writes of many. */
const AMPLIFICATION_OVER_MS = 60_000

/** (bytes written + bytes copied) / bytes written, over the minute up to each sample. */
export function withAmplification(samples: readonly MetricSample[]): ChartSample[] {
  let put = 0
  let copied = 0
  let oldest = 0
  return samples.map((sample) => {
    put += sample.bytesPutPerSecond
    copied += sample.rewriteBytesPerSecond
    for (let first = samples[oldest]; first !== undefined; first = samples[oldest]) {
      if (first.atMs > sample.atMs - AMPLIFICATION_OVER_MS) break
      put -= first.bytesPutPerSecond
      copied -= first.rewriteBytesPerSecond
      oldest += 1
    }
    // Sums and differences of fractions may end a hair beside 0.
    const writeAmplification = put < 1 ? null : (put + Math.max(0, copied)) / put
    return { ...sample, writeAmplification }
  })
}

/** At most about `max` samples; peaks of debt and of both rates stay. */
export function downsample<S extends MetricSample>(samples: readonly S[], max = POINTS_MAX): S[] {
  return downsampleBy(samples, ['bytesStale', 'bytesPutPerSecond', 'rewriteBytesPerSecond'], max)
}

/** Those taken within the span, both ends included. */
export function samplesIn<S extends MetricSample>(
  samples: readonly S[],
  { fromMs, toMs }: { fromMs: number; toMs: number },
): S[] {
  return samples.filter((sample) => sample.atMs >= fromMs && sample.atMs <= toMs)
}

/** One sample as a line of CSV: every number exact. */
export function sampleRow(sample: ChartSample): CsvRow {
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
    write_amplification_last_minute: sample.writeAmplification,
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
