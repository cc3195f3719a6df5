/**
 * Chooses the segments worth rewriting. Pure: segments, filters and a time in, a plan out; nothing
 * is read, changed or checkpointed (M5, F17). Rules are upstream's (ValueLogRewritePlan), with exact
 * live bytes in place of its scan.
 *
 * 1. Filters, in the order of FILTER_ORDER; the first that drops a segment is its verdict.
 * 2. Order of the rest: stale ratio desc, stale bytes desc, live bytes asc, id asc.
 * 3. Caps, in that order. The first pick may exceed the live cap (else a big segment could never be
 *    rewritten); after it, one that does not fit is passed over and a smaller later one may fit.
 *
 * Explicit ids bypass the active filter and the caps, not age and staleness (B1/F3, B2). Every
 * segment gets a verdict, and with it the one option change that would select it, if there is one:
 * the options are the fields of PlanFilters, the value is exact, and any smaller change is not enough.
 */
import type {
  CandidateFilter,
  CandidateVerdict,
  PlanFilters,
  RewritePlan,
  SegmentId,
  SegmentInfo,
  Unit,
} from '../types.ts'
import { entryOf, ratioOf } from './ledger.ts'
import { bytesText, durationText, ratioFloorText } from './text.ts'

/** Also the order in which dropped candidates are listed. */
const FILTER_ORDER: readonly CandidateFilter[] = [
  'not_requested',
  'active',
  'zombie',
  'empty',
  'age',
  'penalty',
  'no_live_bytes',
  'no_stale_bytes',
  'stale_ratio',
  'stale_bytes',
  'max_segments',
  'max_live_bytes',
]

/**
 * Bound on the work of finding flips under caps, in visited segments; past it a flip is null. Without
 * caps no search is needed. The bound costs a few ms at most; it is spent on the best
 * candidates first.
 */
const FLIP_WORK = 100_000

/** How far a candidate is from passing, and the change that selects it. */
interface Miss {
  filter: CandidateFilter
  distance: number | null
  unit: Unit | null
  flip: CandidateVerdict['flip']
}

interface Candidate {
  segment: SegmentInfo
  ratio: number
  /** null: no seal time is known; age then cannot block (upstream keeps what it cannot date). */
  ageMs: number | null
  /** First filter of step 1 that dropped it; null = it reaches the caps. */
  dropped: CandidateFilter | null
}

/** One run of the caps over candidates in order. */
interface Caps {
  maxSegments: number
  maxLiveBytes: number
}

export function planRewrite(input: {
  segments: readonly SegmentInfo[]
  filters: PlanFilters
  nowMs: number
}): RewritePlan {
  const { segments, filters, nowMs } = input
  const requested = filters.segmentIds === null ? null : new Set(filters.segmentIds)
  const candidates: Candidate[] = []
  for (const segment of segments) candidates.push(candidateOf(segment, filters, requested, nowMs))
  const passing = candidates.filter((c) => c.dropped === null).sort(compareForPlan)
  const picked = applyCaps(passing, capsOf(filters))
  const selected = [...picked.taken].map((c) => entryOf(c.segment))
  const sumSelected = sum(selected)
  return {
    filters,
    selected,
    missing: requested === null ? [] : missingOf(requested, segments),
    segmentsTotal: segments.length,
    ...sum(segments),
    selectedBytesTotal: sumSelected.bytesTotal,
    selectedBytesLive: sumSelected.bytesLive,
    selectedBytesStale: sumSelected.bytesStale,
    ...ageBlocked(candidates, filters),
    candidates: verdictsOf(candidates, picked, filters),
  }
}

function missingOf(
  requested: ReadonlySet<SegmentId>,
  segments: readonly SegmentInfo[],
): SegmentId[] {
  const present = new Set(segments.map((segment) => segment.segmentId))
  return [...requested].filter((id) => !present.has(id))
}

/** Age-blocked candidates that age alone keeps out: each is selected once it is old enough. */
export function waitingForAge(plan: RewritePlan): { count: number; minRemainingMs: number | null } {
  let count = 0
  let minRemainingMs: number | null = null
  for (const candidate of plan.candidates) {
    if (candidate.verdict !== 'age' || candidate.flip === null) continue
    count += 1
    const remaining = candidate.distance ?? 0
    if (minRemainingMs === null || remaining < minRemainingMs) minRemainingMs = remaining
  }
  return { count, minRemainingMs }
}

// ---------------------------------------------------------------- filters

function candidateOf(
  segment: SegmentInfo,
  filters: PlanFilters,
  requested: ReadonlySet<SegmentId> | null,
  nowMs: number,
): Candidate {
  const ageMs = segment.sealedAtMs === null ? null : Math.max(0, nowMs - segment.sealedAtMs)
  const candidate: Candidate = { segment, ratio: ratioOf(segment), ageMs, dropped: null }
  candidate.dropped = firstFilter(candidate, filters, requested)
  return candidate
}

function firstFilter(
  candidate: Candidate,
  filters: PlanFilters,
  requested: ReadonlySet<SegmentId> | null,
): CandidateFilter | null {
  const { segment } = candidate
  if (requested !== null && !requested.has(segment.segmentId)) return 'not_requested'
  if (segment.state === 'active' && requested === null) return 'active'
  if (segment.state === 'zombie') return 'zombie'
  if (segment.bytesTotal <= 0) return 'empty'
  // Before the byte filters, as upstream counts it: age-blocked bytes are of all young segments (X6).
  if (!isOldEnough(candidate, filters)) return 'age'
  return economicsFilter(candidate, filters)
}

function economicsFilter(candidate: Candidate, filters: PlanFilters): CandidateFilter | null {
  const { segment } = candidate
  if (segment.bytesLive <= 0) return 'no_live_bytes'
  // Whole-record accounting makes a fully live segment exactly 0 stale: never worth a copy (X1).
  if (segment.bytesStale <= 0) return 'no_stale_bytes'
  if (candidate.ratio < filters.minStaleRatio) return 'stale_ratio'
  if (segment.bytesStale < filters.minStaleBytes) return 'stale_bytes'
  return null
}

function isOldEnough(candidate: Candidate, filters: PlanFilters): boolean {
  return candidate.ageMs === null || candidate.ageMs >= filters.minAgeMs
}

function compareForPlan(a: Candidate, b: Candidate): number {
  return (
    b.ratio - a.ratio ||
    b.segment.bytesStale - a.segment.bytesStale ||
    a.segment.bytesLive - b.segment.bytesLive ||
    a.segment.segmentId - b.segment.segmentId
  )
}

// ---------------------------------------------------------------- caps

function capsOf(filters: PlanFilters): Caps {
  // Caps bound an automatic choice; a named set is not a choice (B1/F3).
  if (filters.segmentIds !== null) return { maxSegments: 0, maxLiveBytes: 0 }
  return { maxSegments: filters.maxSegments, maxLiveBytes: filters.maxLiveBytes }
}

interface Picked {
  /** In the order of the plan. */
  taken: Set<Candidate>
  /** Live bytes already taken when the live cap passed this one over. */
  overLive: Map<Candidate, number>
}

function applyCaps(passing: readonly Candidate[], caps: Caps): Picked {
  const taken = new Set<Candidate>()
  const overLive = new Map<Candidate, number>()
  let live = 0
  for (const candidate of passing) {
    if (caps.maxSegments > 0 && taken.size >= caps.maxSegments) break
    if (!fits(candidate, live, taken.size, caps)) {
      overLive.set(candidate, live)
      continue
    }
    taken.add(candidate)
    live += candidate.segment.bytesLive
  }
  return { taken, overLive }
}

function fits(candidate: Candidate, live: number, taken: number, caps: Caps): boolean {
  if (caps.maxLiveBytes <= 0 || taken === 0) return true
  return live + candidate.segment.bytesLive <= caps.maxLiveBytes
}

// ---------------------------------------------------------------- verdicts

/** Selected ones in their order, then filter by filter, ascending by id. */
function verdictsOf(
  candidates: readonly Candidate[],
  picked: Picked,
  filters: PlanFilters,
): CandidateVerdict[] {
  const flips = new FlipFinder(candidates, filters)
  const selected = [...picked.taken].map((candidate, rank) => verdictOf(candidate, null, rank))
  const dropped = new Map<CandidateFilter, CandidateVerdict[]>(FILTER_ORDER.map((f) => [f, []]))
  // Best first, so that a bound on the work of finding flips is spent on those that matter most.
  for (const candidate of flips.order) {
    const miss = missOf(candidate, picked, filters, flips)
    if (miss !== null) dropped.get(miss.filter)?.push(verdictOf(candidate, miss, null))
  }
  const byId = (a: CandidateVerdict, b: CandidateVerdict): number => a.segmentId - b.segmentId
  return selected.concat(...[...dropped.values()].map((verdicts) => verdicts.sort(byId)))
}

function missOf(
  candidate: Candidate,
  picked: Picked,
  filters: PlanFilters,
  flips: FlipFinder,
): Miss | null {
  if (picked.taken.has(candidate)) return null
  const { segment, ratio, ageMs } = candidate
  const filter =
    candidate.dropped ?? (picked.overLive.has(candidate) ? 'max_live_bytes' : 'max_segments')
  switch (filter) {
    case 'age':
      return {
        filter,
        distance: filters.minAgeMs - (ageMs ?? 0),
        unit: 'ms',
        flip: flips.age(candidate),
      }
    case 'stale_ratio':
      return {
        filter,
        distance: filters.minStaleRatio - ratio,
        unit: 'ratio',
        flip: flips.staleRatio(candidate),
      }
    case 'stale_bytes':
      return {
        filter,
        distance: filters.minStaleBytes - segment.bytesStale,
        unit: 'bytes',
        flip: flips.staleBytes(candidate),
      }
    case 'max_segments':
      return { filter, ...flips.maxSegments(candidate), unit: 'count' }
    case 'max_live_bytes': {
      const needed = (picked.overLive.get(candidate) ?? 0) + segment.bytesLive
      const distance = needed - filters.maxLiveBytes
      return { filter, distance, unit: 'bytes', flip: flips.maxLiveBytes(candidate) }
    }
    case 'not_requested':
    case 'active':
    case 'zombie':
    case 'empty':
    case 'penalty':
    case 'no_live_bytes':
    case 'no_stale_bytes':
      return { filter, distance: null, unit: null, flip: null }
  }
}

function verdictOf(candidate: Candidate, miss: Miss | null, rank: number | null): CandidateVerdict {
  const { segmentId, bytesTotal, bytesLive, bytesStale } = candidate.segment
  return {
    segmentId,
    bytesTotal,
    bytesLive,
    bytesStale,
    staleRatio: candidate.ratio,
    ageMs: candidate.ageMs,
    verdict: miss?.filter ?? 'selected',
    rank,
    distance: miss?.distance ?? null,
    unit: miss?.unit ?? null,
    flip: miss?.flip ?? null,
  }
}

/**
 * Finds, for one dropped candidate, the smallest change of the option that dropped it which selects
 * it, or null. Lowering a filter to the candidate's own value is the smallest change that lets it
 * pass, but it lets others in too, and these may outrank it under a cap; so the caps are run again.
 */
class FlipFinder {
  /** All candidates: in the order of the plan when caps make the order matter, else as given. */
  readonly order: readonly Candidate[]
  readonly #filters: PlanFilters
  readonly #caps: Caps
  readonly #capped: boolean
  readonly #position = new Map<Candidate, number>()
  /** Those taken if the ratio floor were 0; its prefix rule is explained at staleRatio. */
  #anyRatio: Set<Candidate> | null = null
  /** Those taken without the count cap, with their places. */
  #anyCount: Map<Candidate, number> | null = null
  #work = FLIP_WORK

  constructor(candidates: readonly Candidate[], filters: PlanFilters) {
    this.#filters = filters
    this.#caps = capsOf(filters)
    this.#capped = this.#caps.maxSegments > 0 || this.#caps.maxLiveBytes > 0
    this.order = this.#capped ? [...candidates].sort(compareForPlan) : candidates
    if (this.#capped) this.order.forEach((candidate, at) => this.#position.set(candidate, at))
  }

  age(candidate: Candidate): CandidateVerdict['flip'] {
    const minAgeMs = candidate.ageMs
    if (minAgeMs === null || economicsFilter(candidate, this.#filters) !== null) return null
    if (!this.#takenWhen(candidate, { minAgeMs })) return null
    const text = `selected if min age <= ${durationText(minAgeMs)}`
    return { option: 'minAgeMs', value: minAgeMs, text }
  }

  /**
   * Whatever outranks the candidate has at least its ratio, so lowering the floor to any candidate's
   * ratio changes nothing before it: one run with floor 0 answers for all of them.
   */
  staleRatio(candidate: Candidate): CandidateVerdict['flip'] {
    if (candidate.segment.bytesStale < this.#filters.minStaleBytes) return null
    if (this.#capped) {
      const filters = { ...this.#filters, minStaleRatio: 0 }
      this.#anyRatio ??= applyCaps(this.#passing(filters), this.#caps).taken
      if (!this.#anyRatio.has(candidate)) return null
    }
    const value = candidate.ratio
    const text = `selected if min stale ratio <= ${ratioFloorText(value)}`
    return { option: 'minStaleRatio', value, text }
  }

  staleBytes(candidate: Candidate): CandidateVerdict['flip'] {
    const minStaleBytes = candidate.segment.bytesStale
    if (!this.#takenWhen(candidate, { minStaleBytes })) return null
    const text = `selected if min stale bytes <= ${minStaleBytes} (${bytesText(minStaleBytes)})`
    return { option: 'minStaleBytes', value: minStaleBytes, text }
  }

  /** Raising the count cap only lengthens the run, so a run without it tells each one's place. */
  maxSegments(candidate: Candidate): Pick<Miss, 'distance' | 'flip'> {
    if (this.#anyCount === null) {
      const passing = this.#passing(this.#filters)
      const { taken } = applyCaps(passing, { ...this.#caps, maxSegments: 0 })
      this.#anyCount = new Map([...taken].map((c, index) => [c, index]))
    }
    const place = this.#anyCount.get(candidate)
    if (place === undefined) return { distance: null, flip: null }
    const value = place + 1
    return {
      distance: value - this.#caps.maxSegments,
      flip: { option: 'maxSegments', value, text: `selected if max segments >= ${value}` },
    }
  }

  /**
   * Raising the live cap may let an earlier one in that takes the room again, so the answer is not a
   * sum: the run is repeated at each cap where it can change, until it takes the candidate.
   */
  maxLiveBytes(candidate: Candidate): CandidateVerdict['flip'] {
    let cap = this.#caps.maxLiveBytes
    while (this.#work > 0) {
      const run = this.#runTo(candidate, this.#filters, { ...this.#caps, maxLiveBytes: cap })
      if (run.taken) {
        const text = `selected if max live bytes >= ${cap} (${bytesText(cap)})`
        return { option: 'maxLiveBytes', value: cap, text }
      }
      if (run.nextCap === null) return null
      cap = run.nextCap
    }
    return null
  }

  #takenWhen(candidate: Candidate, change: Partial<PlanFilters>): boolean {
    if (!this.#capped) return true
    if (this.#work <= 0) return false
    return this.#runTo(candidate, { ...this.#filters, ...change }, this.#caps).taken
  }

  /** The caps' run up to `candidate`. `nextCap`: smallest higher live cap at which it could end differently. */
  #runTo(
    candidate: Candidate,
    filters: PlanFilters,
    caps: Caps,
  ): { taken: boolean; nextCap: number | null } {
    const end = this.#position.get(candidate) ?? 0
    let live = 0
    let taken = 0
    let nextCap = Infinity
    for (let index = 0; index <= end; index += 1) {
      this.#work -= 1
      const other = this.order[index]
      if (other === undefined || !passes(other, filters)) continue
      if (caps.maxSegments > 0 && taken >= caps.maxSegments) break
      const fitting = fits(other, live, taken, caps)
      if (other === candidate && fitting) return { taken: true, nextCap: null }
      if (fitting) {
        taken += 1
        live += other.segment.bytesLive
      } else {
        nextCap = Math.min(nextCap, live + other.segment.bytesLive)
      }
    }
    return { taken: false, nextCap: Number.isFinite(nextCap) ? nextCap : null }
  }

  #passing(filters: PlanFilters): Candidate[] {
    return this.order.filter((candidate) => passes(candidate, filters))
  }
}

/** Of candidates that no unchangeable filter dropped: whether they pass under other numbers. */
function passes(candidate: Candidate, filters: PlanFilters): boolean {
  switch (candidate.dropped) {
    case 'not_requested':
    case 'active':
    case 'zombie':
    case 'empty':
    case 'penalty':
      return false
    case 'age':
    case 'no_live_bytes':
    case 'no_stale_bytes':
    case 'stale_ratio':
    case 'stale_bytes':
    case 'max_segments':
    case 'max_live_bytes':
    case null:
      return isOldEnough(candidate, filters) && economicsFilter(candidate, filters) === null
  }
}

// ---------------------------------------------------------------- sums

interface Bytes {
  bytesTotal: number
  bytesLive: number
  bytesStale: number
}

function sum(items: readonly Bytes[]): Bytes {
  const total = { bytesTotal: 0, bytesLive: 0, bytesStale: 0 }
  for (const item of items) {
    total.bytesTotal += item.bytesTotal
    total.bytesLive += item.bytesLive
    total.bytesStale += item.bytesStale
  }
  return total
}

type AgeBlocked = Pick<
  RewritePlan,
  | 'ageBlockedSegments'
  | 'ageBlockedBytesTotal'
  | 'ageBlockedBytesLive'
  | 'ageBlockedBytesStale'
  | 'ageBlockedMinRemainingMs'
>

function ageBlocked(candidates: readonly Candidate[], filters: PlanFilters): AgeBlocked {
  const young = candidates.filter((c) => c.dropped === 'age')
  const bytes = sum(young.map((c) => c.segment))
  let minRemaining: number | null = null
  for (const { ageMs } of young) {
    const remaining = filters.minAgeMs - (ageMs ?? 0)
    if (minRemaining === null || remaining < minRemaining) minRemaining = remaining
  }
  return {
    ageBlockedSegments: young.length,
    ageBlockedBytesTotal: bytes.bytesTotal,
    ageBlockedBytesLive: bytes.bytesLive,
    ageBlockedBytesStale: bytes.bytesStale,
    ageBlockedMinRemainingMs: minRemaining,
  }
}
