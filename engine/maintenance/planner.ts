/**
 * Chooses the segments worth rewriting. Pure: segments, filters and a time in, a plan out; nothing
 * is read, changed or checkpointed (M5, F17, B8). Cost: O(segments), and O(n log n) of what passes.
 *
 * 1. Filters, in the order of FILTER_ORDER; the first that drops a segment is its verdict.
 * 2. Order of the rest: stale ratio desc, stale bytes desc, live bytes asc, id asc.
 * 3. Caps: `plan-caps.ts`.
 *
 * Explicit ids bypass the active, protected and recent filters and the caps, not age and staleness
 * (B1/F3, B2). Every segment gets a verdict, and with it the one option change that would select it, if
 * there is one: the options are the fields of PlanFilters, the value is exact, and any smaller change
 * is not enough. A plan without known live bytes names its sources and no economics ("queue-only", B15).
 */
import type {
  CandidateVerdict,
  PlanFilters,
  RewritePlan,
  SegmentId,
  SegmentInfo,
} from '../types.ts'
import { CapRun, capsOf } from './plan-caps.ts'
import {
  candidateOf,
  compareForPlan,
  FILTER_ORDER,
  planRules,
  staleBytesFloor,
  type Candidate,
  type PlanRules,
} from './plan-candidates.ts'
import { FlipFinder } from './plan-flips.ts'

/** Segments between two yields. */
const STEP_SEGMENTS = 512

export interface PlanRequest {
  segments: readonly SegmentInfo[]
  filters: PlanFilters
  nowMs: number
  /** false: some references could not be read, so no segment's live bytes are known. Default true. */
  liveBytesKnown?: boolean
  /** Segments that cool down, until when; they are left out unless they are named. Absent = none. */
  cooling?: ReadonlyMap<SegmentId, number>
}

/** In one go: some 10 ms for 10,000 segments. */
export function planRewrite(input: PlanRequest): RewritePlan {
  const steps = planSteps(input)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** The same in steps of about half a millisecond, for who may not hold the thread or wants to cancel. */
export function* planSteps(input: PlanRequest): Generator<void, RewritePlan> {
  const { segments, filters } = input
  const rules = planRules({ ...input, liveBytesKnown: input.liveBytesKnown ?? true })
  const candidates: Candidate[] = []
  for (const segment of segments) {
    if (candidates.length % STEP_SEGMENTS === STEP_SEGMENTS - 1) yield
    candidates.push(candidateOf(segment, rules))
  }
  const young = candidates.filter((candidate) => candidate.verdict === 'age')
  const { taken, liveBefore } = pick(candidates, rules)
  yield
  const verdicts = yield* verdictsOf(candidates, { taken, liveBefore, rules })
  const sumSelected = sum(taken)
  return {
    filters,
    sourceSegmentIds: taken.map((candidate) => candidate.segmentId),
    selected: rules.liveBytesKnown ? taken.map(entryOf) : [],
    liveBytesKnown: rules.liveBytesKnown,
    ...copyBound(taken, sumSelected.bytesLive, filters.maxCopiedBytes),
    missing: rules.requested === null ? [] : missingOf(rules.requested, segments),
    segmentsTotal: segments.length,
    ...sum(candidates),
    selectedBytesTotal: sumSelected.bytesTotal,
    selectedBytesLive: sumSelected.bytesLive,
    selectedBytesStale: sumSelected.bytesStale,
    ...ageBlocked(young, filters),
    candidates: verdicts,
  }
}

function missingOf(
  requested: ReadonlySet<SegmentId>,
  segments: readonly SegmentInfo[],
): SegmentId[] {
  const present = new Set(segments.map((segment) => segment.segmentId))
  return [...requested].filter((id) => !present.has(id))
}

function entryOf(candidate: Candidate): RewritePlan['selected'][number] {
  const { segmentId, bytesTotal, bytesLive, bytesStale, staleRatio } = candidate
  return { segmentId, bytesTotal, bytesLive, bytesStale, staleRatio }
}

/** Only the last one taken can be cut short: a full bound ends the run. */
function copyBound(
  taken: readonly Candidate[],
  bytesLive: number,
  maxCopiedBytes: number,
): Pick<RewritePlan, 'copyBytes' | 'partialSegmentId'> {
  if (maxCopiedBytes <= 0 || bytesLive <= maxCopiedBytes) {
    return { copyBytes: bytesLive, partialSegmentId: null }
  }
  return { copyBytes: maxCopiedBytes, partialSegmentId: taken.at(-1)?.segmentId ?? null }
}

/** Age-blocked candidates that age alone keeps out: each is selected once it is old enough. */
export function waitingForAge(plan: RewritePlan): {
  count: number
  bytesStale: number
  minRemainingMs: number | null
} {
  let count = 0
  let bytesStale = 0
  let minRemainingMs: number | null = null
  for (const candidate of plan.candidates) {
    if (candidate.verdict !== 'age' || candidate.flip === null) continue
    count += 1
    bytesStale += candidate.bytesStale
    const remaining = candidate.distance ?? 0
    if (minRemainingMs === null || remaining < minRemainingMs) minRemainingMs = remaining
  }
  return { count, bytesStale, minRemainingMs }
}

// ---------------------------------------------------------------- choice

interface Picked {
  /** In the order of the plan. */
  taken: Candidate[]
  /** Live bytes already taken when the live cap passed this one over. */
  liveBefore: Map<Candidate, number>
}

/** Runs the caps and writes down what they say. */
function pick(candidates: readonly Candidate[], rules: PlanRules): Picked {
  const passing = candidates.filter((c) => c.verdict === 'selected').sort(compareForPlan)
  const run = new CapRun(capsOf(rules.filters))
  const picked: Picked = { taken: [], liveBefore: new Map() }
  for (const candidate of passing) {
    const answer = run.offer(candidate)
    if (answer === null) {
      candidate.rank = picked.taken.push(candidate) - 1
      continue
    }
    candidate.verdict = answer
    if (answer === 'max_live_bytes') picked.liveBefore.set(candidate, run.liveBytes)
  }
  return picked
}

// ---------------------------------------------------------------- verdicts

/** Selected ones in their order, then filter by filter, ascending by id. */
function* verdictsOf(
  candidates: readonly Candidate[],
  plan: Picked & { rules: PlanRules },
): Generator<void, CandidateVerdict[]> {
  const { taken, liveBefore, rules } = plan
  const flips = new FlipFinder(candidates, rules)
  const verdicts: CandidateVerdict[] = [...taken]
  const dropped = new Map<string, CandidateVerdict[]>(FILTER_ORDER.map((f) => [f, []]))
  // Best first, so that a bound on the work of finding flips is spent on those that matter most.
  let explained = 0
  for (const candidate of flips.order) {
    if (candidate.verdict === 'selected') continue
    if (++explained % STEP_SEGMENTS === 0) yield
    explain(candidate, { filters: rules.filters, flips, liveBefore })
    dropped.get(candidate.verdict)?.push(candidate)
  }
  for (const group of dropped.values()) {
    group.sort((a, b) => a.segmentId - b.segmentId)
    for (const verdict of group) verdicts.push(verdict)
  }
  return verdicts
}

/** How far a dropped candidate is from passing, and the change that selects it. */
function explain(
  candidate: Candidate,
  plan: { filters: PlanFilters; flips: FlipFinder; liveBefore: ReadonlyMap<Candidate, number> },
): void {
  const { filters, flips } = plan
  switch (candidate.verdict) {
    case 'age':
      candidate.unit = 'ms'
      candidate.distance = filters.minAgeMs - (candidate.ageMs ?? 0)
      candidate.flip = flips.age(candidate)
      return
    case 'stale_ratio':
      candidate.unit = 'ratio'
      candidate.distance = filters.minStaleRatio - candidate.staleRatio
      candidate.flip = flips.staleRatio(candidate)
      return
    case 'stale_bytes':
      candidate.unit = 'bytes'
      candidate.distance = staleBytesFloor(candidate, filters) - candidate.bytesStale
      candidate.flip = flips.staleBytes(candidate)
      return
    case 'max_segments':
      candidate.unit = 'count'
      Object.assign(candidate, flips.maxSegments(candidate))
      return
    case 'max_copied_bytes':
      candidate.unit = 'bytes'
      Object.assign(candidate, flips.maxCopiedBytes(candidate))
      return
    case 'max_live_bytes': {
      const needed = (plan.liveBefore.get(candidate) ?? 0) + candidate.bytesLive
      candidate.unit = 'bytes'
      candidate.distance = needed - filters.maxLiveBytes
      candidate.flip = flips.maxLiveBytes(candidate)
      return
    }
    case 'no_live_bytes':
    case 'no_stale_bytes':
      candidate.flip = flips.floorOff(candidate)
      return
    case 'selected':
    case 'not_requested':
    case 'active':
    case 'protected':
    case 'recent':
    case 'zombie':
    case 'empty':
    case 'penalty':
    case 'live_bytes_unknown':
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

function ageBlocked(young: readonly Candidate[], filters: PlanFilters): AgeBlocked {
  const bytes = sum(young)
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
