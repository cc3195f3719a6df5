// Rows and marks of the time charts. Pure; the drawing is in debt-over-time.tsx.
import type { MetricSample, PassOutcome } from '../../server/protocol.ts'
import { shortNames } from '../lib/format.ts'
import type { PassRun } from '../state/app-state.ts'
import { downsampleBy } from './downsample.ts'

/** recharts stays at 60 frames a second up to about this many points a series. */
export const POINTS_MAX = 600

/** At most about `max` samples; peaks of debt and of both rates stay. */
export function downsample(samples: readonly MetricSample[], max = POINTS_MAX): MetricSample[] {
  return downsampleBy(samples, ['bytesStale', 'bytesPutPerSecond', 'rewriteBytesPerSecond'], max)
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
