// The derived numbers of the overview: debt by threshold, what is only too young, amplification, and
// how long the debt would take to drain. Pure; a number that cannot be known is null with its reason.
import type {
  Counters,
  MaintenanceOptions,
  MetricSample,
  SchedulerInfo,
  SegmentInfo,
} from '../../server/protocol.ts'
import type { PageGauges } from './app-state.ts'
import type { Totals } from './selectors.ts'

export interface ThresholdBand {
  /** Segments at least this stale, 0..1. */
  minStaleRatio: number
  segments: number
  bytesStale: number
  bytesLive: number
}

const BANDS = [0.2, 0.4, 0.6, 0.8, 1] as const

/** Cumulative: what a plan with this floor could take at most, its age and byte filters aside. */
export function debtByThreshold(
  segments: readonly SegmentInfo[],
  floors: readonly number[] = BANDS,
): ThresholdBand[] {
  const bands = floors.map((minStaleRatio) => ({
    minStaleRatio,
    segments: 0,
    bytesStale: 0,
    bytesLive: 0,
  }))
  // Once over the segments: there are thousands of them, and fetching each is what takes the time.
  for (const segment of segments) {
    if (segment.state !== 'sealed' || segment.bytesTotal === 0) continue
    const ratio = segment.bytesStale / segment.bytesTotal
    for (const band of bands) {
      if (ratio < band.minStaleRatio) continue
      band.segments += 1
      band.bytesStale += segment.bytesStale
      band.bytesLive += segment.bytesLive
    }
  }
  return bands
}

export interface AgeBlocked {
  segments: number
  bytesStale: number
  /** Until the oldest of them is old enough; null without any. */
  nextInMs: number | null
}

/** Sealed segments that are stale enough for the trigger and only too young. */
export function ageBlocked(
  segments: readonly SegmentInfo[],
  options: MaintenanceOptions,
  nowMs: number,
): AgeBlocked {
  const found: AgeBlocked = { segments: 0, bytesStale: 0, nextInMs: null }
  for (const segment of segments) {
    if (segment.state !== 'sealed' || segment.bytesTotal === 0) continue
    if (segment.bytesLive === 0 || segment.sealedAtMs === null) continue
    if (segment.bytesStale / segment.bytesTotal < options.triggerStaleRatio) continue
    if (segment.bytesStale < options.minSegmentStaleBytes) continue
    const remainingMs = segment.sealedAtMs + options.minSegmentAgeMs - nowMs
    if (remainingMs <= 0) continue
    found.segments += 1
    found.bytesStale += segment.bytesStale
    found.nextInMs = Math.min(found.nextInMs ?? Infinity, remainingMs)
  }
  return found
}

export interface Amplification {
  /** (foreground bytes + bytes rewrites wrote) / foreground bytes, since the store was opened. */
  write: number | null
  /** null without a live byte; there is nothing to divide by then. */
  space: SpaceAmplification | null
}

/** Each in times the live bytes; a store's "space amplification" means one of them to each who asks. */
export interface SpaceAmplification {
  /** Value-log bytes that maintenance answers for, which is all but the pinned ones. 1 = no stale byte. */
  engine: number
  /** What the folder takes of the disk: value log, index and journal. */
  user: number | null
  /** Dead segments that only wait for their readers. 0 = none. */
  pinned: number
}

export function amplification(
  totals: Totals,
  gauges: Pick<PageGauges, 'bytesPut' | 'indexFileBytes' | 'journalBytes'>,
  counters: Counters,
): Amplification {
  const { bytesLive, bytesTotal, pinnedBytes } = totals
  const { bytesPut, indexFileBytes, journalBytes } = gauges
  return {
    write:
      bytesPut === undefined || bytesPut === 0
        ? null
        : (bytesPut + counters.rewriteBytesWritten) / bytesPut,
    space:
      bytesLive === 0
        ? null
        : {
            engine: (bytesTotal - pinnedBytes) / bytesLive,
            user:
              indexFileBytes === undefined || journalBytes === undefined
                ? null
                : (bytesTotal + indexFileBytes + journalBytes) / bytesLive,
            pinned: pinnedBytes / bytesLive,
          },
  }
}

export interface BudgetView {
  /** Tokens now, bytes: those of the last accrual and what has come in since. */
  tokensBytes: number
  capBytes: number
  bytesPerSecond: number
  /** 0..1 of the cap. */
  share: number
  /** Until it is full; 0 = it is. */
  fullInMs: number
}

/** As the engine accrues it; null: no budget, rewrites draw on no bucket. */
export function budgetNow(budget: SchedulerInfo['budget'], nowMs: number): BudgetView | null {
  if (budget === null) return null
  const { bytesPerSecond, capBytes, accruedAtMs } = budget
  const elapsedMs = accruedAtMs === null ? 0 : Math.max(0, nowMs - accruedAtMs)
  const earned = Math.floor((bytesPerSecond * elapsedMs) / 1000)
  const tokensBytes = Math.min(capBytes, budget.tokensBytes + earned)
  return {
    tokensBytes,
    capBytes,
    bytesPerSecond,
    share: tokensBytes / capBytes,
    fullInMs: ((capBytes - tokensBytes) / bytesPerSecond) * 1000,
  }
}

export type Drain =
  | { kind: 'empty' }
  | { kind: 'unknown'; why: string }
  | { kind: 'grows'; bytesPerSecond: number; overMs: number }
  | { kind: 'drains'; inMs: number; bytesPerSecond: number; overMs: number }

/** A minute smooths the bursts of a workload; a longer look back would answer for another time. */
const DRAIN_WINDOW_MS = 60_000
const DRAIN_MIN_MS = 10_000

/** An estimate: the change of stale bytes over the last minute, carried on. */
export function timeToDrain(samples: readonly MetricSample[]): Drain {
  const last = samples.at(-1)
  if (last === undefined) return { kind: 'unknown', why: 'no sample has been taken yet' }
  if (last.bytesStale === 0) return { kind: 'empty' }
  const first = samples.find((sample) => sample.atMs >= last.atMs - DRAIN_WINDOW_MS) ?? last
  const overMs = last.atMs - first.atMs
  if (overMs < DRAIN_MIN_MS) {
    return { kind: 'unknown', why: 'needs ten seconds of history on the engine’s clock' }
  }
  const bytesPerSecond = ((last.bytesStale - first.bytesStale) / overMs) * 1000
  if (bytesPerSecond >= 0) return { kind: 'grows', bytesPerSecond, overMs }
  return {
    kind: 'drains',
    inMs: (last.bytesStale / -bytesPerSecond) * 1000,
    bytesPerSecond: -bytesPerSecond,
    overMs,
  }
}

export interface WorkloadEffect {
  puts: number
  bytesPut: number
  bytesCopied: number
  /** Change of stale bytes a second; negative while maintenance frees more than dies. */
  staleGrowth: number
}

/** Means over the last minute; null without two samples. */
export function workloadEffect(samples: readonly MetricSample[]): WorkloadEffect | null {
  const last = samples.at(-1)
  if (last === undefined) return null
  const recent = samples.filter((sample) => sample.atMs >= last.atMs - DRAIN_WINDOW_MS)
  const first = recent[0]
  if (first === undefined || first.atMs === last.atMs) return null
  const mean = (pick: (sample: MetricSample) => number) =>
    recent.reduce((sum, sample) => sum + pick(sample), 0) / recent.length
  return {
    puts: mean((sample) => sample.putsPerSecond),
    bytesPut: mean((sample) => sample.bytesPutPerSecond),
    bytesCopied: mean((sample) => sample.rewriteBytesPerSecond),
    staleGrowth: ((last.bytesStale - first.bytesStale) / (last.atMs - first.atMs)) * 1000,
  }
}
