// Fewer points for a chart without losing its shape: largest triangle three buckets, for each series by
// itself, and the points of all of them together, so that no series loses its peak to another.
import { LTTB } from 'downsample'

/** Points in their own order, at most about `max` of them. */
export function downsampleBy<P extends { atMs: number }>(
  points: readonly P[],
  series: readonly (keyof P)[],
  max: number,
): P[] {
  if (points.length <= max) return [...points]
  const each = Math.max(3, Math.floor(max / series.length))
  const kept = new Set<number>()
  for (const name of series) {
    const indexed = points.map((point, index): [number, number] => [
      index,
      Number(point[name] ?? 0),
    ])
    for (const [index] of LTTB(indexed, each) as [number, number][]) kept.add(index)
  }
  return [...kept].sort((a, b) => a - b).flatMap((index) => points[index] ?? [])
}
