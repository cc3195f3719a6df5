// Rows, domains and ticks of the time charts. Pure; the drawing is in debt-over-time.tsx.
import type { MetricSample, PassOutcome } from '../../server/protocol.ts'
import { shortNames } from '../lib/format.ts'
import type { PassRun } from '../state/app-state.ts'

/** recharts stays at 60 frames a second up to about this many points a series. */
export const POINTS_MAX = 600

/**
 * At most `max` samples. From each bucket the one with the most stale bytes is kept, because a peak
 * of debt that the chart hides is the one somebody is looking for; first and last always stay.
 */
export function downsample(samples: readonly MetricSample[], max = POINTS_MAX): MetricSample[] {
  if (samples.length <= max) return [...samples]
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined || max < 3) return samples.slice(-max)
  const kept = [first]
  const inner = samples.length - 2
  const buckets = max - 2
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const from = 1 + Math.floor((bucket * inner) / buckets)
    const to = 1 + Math.floor(((bucket + 1) * inner) / buckets)
    let best = samples[from]
    for (let index = from + 1; index < to; index += 1) {
      const sample = samples[index]
      if (sample !== undefined && (best === undefined || sample.bytesStale > best.bytesStale)) {
        best = sample
      }
    }
    if (best !== undefined) kept.push(best)
  }
  kept.push(last)
  return kept
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

/** Ticks on power-of-two byte steps, so that the axis reads 256 MiB and not 238 MiB. */
export function byteTicks(maximum: number, wanted = 4): number[] {
  if (maximum <= 0) return [0]
  // Below a KiB a step there is nothing to read off, and an empty store would get ticks of half a byte.
  const step = Math.max(1024, 2 ** Math.ceil(Math.log2(maximum / wanted)))
  const ticks: number[] = []
  for (let tick = 0; tick < maximum + step; tick += step) ticks.push(tick)
  return ticks
}

const timeSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200]

/** Ticks on round seconds and minutes between two instants. */
export function timeTicks(fromMs: number, toMs: number, wanted = 6): number[] {
  const seconds = Math.max(1, (toMs - fromMs) / 1000)
  const step = (timeSteps.find((one) => seconds / one <= wanted) ?? 86_400) * 1000
  const ticks: number[] = []
  for (let tick = Math.ceil(fromMs / step) * step; tick <= toMs; tick += step) ticks.push(tick)
  return ticks
}
