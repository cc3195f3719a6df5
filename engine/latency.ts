/**
 * How long foreground operations took, counted in fixed buckets: one to a microsecond up to 16 µs, then
 * 16 to each doubling, up to 134 s. A percentile is the upper bound of its bucket, so at most 6.25 % above
 * the truth and never below it. Pure counting; the clock belongs to the caller.
 */
import type { LatencyCounts, LatencyFigures } from './types.ts'

const LINEAR = 16
const DOUBLINGS = 23
const BUCKETS = LINEAR * (DOUBLINGS + 1)
const MICROS_MAX = LINEAR * 2 ** DOUBLINGS

export class LatencyHistogram {
  readonly #counts = new Array<number>(BUCKETS).fill(0)
  #count = 0
  #sumMs = 0

  /** Anything past 134 s counts as 134 s; below 0 is 0, as a clock that was set back would say. */
  record(elapsedMs: number): void {
    const micros = Math.min(Math.ceil(Math.max(0, elapsedMs) * 1000), MICROS_MAX)
    const bucket = bucketOf(micros)
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#count += 1
    this.#sumMs += elapsedMs
  }

  get count(): number {
    return this.#count
  }

  /** A copy. */
  counts(): LatencyCounts {
    return { count: this.#count, sumMs: this.#sumMs, buckets: this.#counts.slice() }
  }
}

/** A whole number of microseconds; bucket b holds those in (upper of b - 1, upper of b]. */
function bucketOf(micros: number): number {
  const below = Math.max(0, micros - 1)
  if (below < LINEAR) return below
  const doubling = 31 - Math.clz32(below) - 4
  return LINEAR * doubling + (below >>> doubling)
}

function upperMicros(bucket: number): number {
  if (bucket < LINEAR) return bucket + 1
  const doubling = Math.floor(bucket / LINEAR) - 1
  return (LINEAR + (bucket % LINEAR) + 1) * 2 ** doubling
}

/** What was counted between two looks at one histogram; null: nothing was. */
export function latencyBetween(before: LatencyCounts, after: LatencyCounts): LatencyFigures | null {
  const count = after.count - before.count
  if (count <= 0) return null
  // Ranks are counted from the fastest, from 1.
  const [rank50, rank99] = [Math.ceil(count * 0.5), Math.ceil(count * 0.99)]
  let [seen, p50, p99, last] = [0, 0, 0, 0]
  for (let bucket = 0; seen < count && bucket < BUCKETS; bucket++) {
    const one = (after.buckets[bucket] ?? 0) - (before.buckets[bucket] ?? 0)
    if (one <= 0) continue
    if (seen < rank50) p50 = bucket
    if (seen < rank99) p99 = bucket
    last = bucket
    seen += one
  }
  const upperMs = (bucket: number): number => upperMicros(bucket) / 1000
  return { count, p50Ms: upperMs(p50), p99Ms: upperMs(p99), maxMs: upperMs(last) }
}

/** Cumulative, at exact bounds from 1 µs on, each the double of the one before: for a page of metrics. */
export function latencyDoublings({ buckets }: LatencyCounts): { upToMs: number; count: number }[] {
  const found: { upToMs: number; count: number }[] = []
  let count = 0
  let micros = 1
  buckets.forEach((one, bucket) => {
    count += one
    if (upperMicros(bucket) !== micros) return
    found.push({ upToMs: micros / 1000, count })
    micros *= 2
  })
  return found
}
