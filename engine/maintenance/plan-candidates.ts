/**
 * One segment in the eyes of a plan: its numbers, and the first filter that drops it. Pure. Rules are
 * upstream's (ValueLogRewritePlan), with exact live bytes in place of its scan.
 */
import type {
  CandidateFilter,
  CandidateVerdict,
  PlanFilters,
  SegmentId,
  SegmentInfo,
} from '../types.ts'

/** Also the order in which dropped candidates are listed. */
export const FILTER_ORDER = [
  'not_requested',
  'active',
  'protected',
  'recent',
  'zombie',
  'empty',
  'age',
  'penalty',
  'live_bytes_unknown',
  'no_live_bytes',
  'no_stale_bytes',
  'stale_ratio',
  'stale_bytes',
  'max_segments',
  'max_live_bytes',
  'max_copied_bytes',
] as const satisfies readonly CandidateFilter[]

/** Newest segments of a lane that stay with a protected one (valueLogKeepRecentSegmentsPerLane). */
const RECENT_PER_LANE = 2

/**
 * One candidate is its verdict in the making: plans are made of thousands, and one object for both is
 * half the work. `verdict` is 'selected' until something drops it.
 */
export type Candidate = CandidateVerdict

/** Filters as one plan applies them. */
export interface PlanRules {
  filters: PlanFilters
  liveBytesKnown: boolean
  /** null = all segments are candidates. */
  requested: ReadonlySet<SegmentId> | null
  protectedIds: ReadonlySet<SegmentId>
  recentIds: ReadonlySet<SegmentId>
  cooling: ReadonlyMap<SegmentId, number>
  nowMs: number
}

export function planRules(input: {
  segments: readonly SegmentInfo[]
  filters: PlanFilters
  nowMs: number
  liveBytesKnown: boolean
  cooling?: ReadonlyMap<SegmentId, number>
}): PlanRules {
  const { segments, filters, nowMs, liveBytesKnown } = input
  const protectedIds = new Set(filters.protectedIds)
  return {
    filters,
    liveBytesKnown,
    requested: filters.segmentIds === null ? null : new Set(filters.segmentIds),
    protectedIds,
    recentIds: recentOf(segments, protectedIds),
    cooling: input.cooling ?? new Map(),
    nowMs,
  }
}

/** The newest of each lane that holds a protected segment (recentValueLogIDsForProtectedPaths). */
function recentOf(
  segments: readonly SegmentInfo[],
  protectedIds: ReadonlySet<SegmentId>,
): ReadonlySet<SegmentId> {
  const recent = new Set<SegmentId>()
  if (protectedIds.size === 0) return recent
  const lanes = new Map<number, SegmentInfo[]>()
  for (const segment of segments) {
    if (protectedIds.has(segment.segmentId)) lanes.set(segment.lane, [])
  }
  for (const segment of segments) lanes.get(segment.lane)?.push(segment)
  for (const lane of lanes.values()) {
    lane.sort((a, b) => b.seq - a.seq)
    for (const segment of lane.slice(0, RECENT_PER_LANE)) recent.add(segment.segmentId)
  }
  return recent
}

export function candidateOf(segment: SegmentInfo, rules: PlanRules): Candidate {
  const { segmentId, bytesTotal, sealedAtMs } = segment
  // What is not known to be stale may all live: nothing is promised that may not come free.
  const bytesStale = rules.liveBytesKnown ? segment.bytesStale : 0
  const candidate: Candidate = {
    segmentId,
    bytesTotal,
    bytesLive: bytesTotal - bytesStale,
    bytesStale,
    staleRatio: bytesTotal > 0 ? bytesStale / bytesTotal : 0,
    // null: no seal time is known; age then cannot block (upstream keeps what it cannot date).
    ageMs: sealedAtMs === null ? null : Math.max(0, rules.nowMs - sealedAtMs),
    verdict: 'selected',
    rank: null,
    distance: null,
    unit: null,
    flip: null,
  }
  const dropped = fixedFilter(segment, rules) ?? numericFilter(candidate, rules.filters, rules)
  if (dropped !== null) candidate.verdict = dropped
  if (dropped === 'penalty') {
    candidate.distance = coolingMs(segmentId, rules)
    candidate.unit = 'ms'
  }
  return candidate
}

/** What no number of the filters changes. */
function fixedFilter(segment: SegmentInfo, rules: PlanRules): CandidateFilter | null {
  const { segmentId, state } = segment
  const { requested } = rules
  if (requested === null) {
    if (state === 'active') return 'active'
    if (rules.protectedIds.has(segmentId)) return 'protected'
    if (rules.recentIds.has(segmentId)) return 'recent'
  } else if (!requested.has(segmentId)) {
    return 'not_requested'
  }
  if (state === 'zombie') return 'zombie'
  if (segment.bytesTotal <= 0) return 'empty'
  return requested === null && coolingMs(segmentId, rules) > 0 ? 'penalty' : null
}

/** Time that it still cools down after a rewrite that did not pay; 0 = it does not. */
function coolingMs(segmentId: SegmentId, rules: PlanRules): number {
  return Math.max(0, (rules.cooling.get(segmentId) ?? 0) - rules.nowMs)
}

/** Age before the byte filters, as upstream counts it: age-blocked bytes are of all young segments (X6). */
function numericFilter(
  candidate: Candidate,
  filters: PlanFilters,
  rules: Pick<PlanRules, 'liveBytesKnown'>,
): CandidateFilter | null {
  if (!isOldEnough(candidate, filters.minAgeMs)) return 'age'
  return economicsFilter(candidate, filters, rules)
}

function isOldEnough(candidate: Candidate, minAgeMs: number): boolean {
  return candidate.ageMs === null || candidate.ageMs >= minAgeMs
}

/** The first byte filter that drops it under these numbers. */
export function economicsFilter(
  candidate: Candidate,
  filters: PlanFilters,
  rules: Pick<PlanRules, 'liveBytesKnown'>,
): CandidateFilter | null {
  const hasFloor = filters.minStaleRatio > 0 || filters.minStaleBytes > 0
  const isNamed = filters.segmentIds !== null
  if (!rules.liveBytesKnown) {
    return hasFloor || (!isNamed && filters.maxLiveBytes > 0) ? 'live_bytes_unknown' : null
  }
  // Named and no floor: whoever named it knows why.
  if (isNamed && !hasFloor) return null
  if (candidate.bytesLive <= 0) return 'no_live_bytes'
  // Whole-record accounting makes a fully live segment exactly 0 stale: never worth a copy (X1).
  if (candidate.bytesStale <= 0) return 'no_stale_bytes'
  if (candidate.staleRatio < filters.minStaleRatio) return 'stale_ratio'
  return candidate.bytesStale < staleBytesFloor(candidate, filters) ? 'stale_bytes' : null
}

/** minStaleBytes, or less for a small segment (MinSegmentStaleBytesCapRatio). */
export function staleBytesFloor(candidate: Candidate, filters: PlanFilters): number {
  const { minStaleBytes, minStaleBytesCapRatio } = filters
  if (minStaleBytesCapRatio <= 0) return minStaleBytes
  const share = Math.max(1, Math.ceil(candidate.bytesTotal * minStaleBytesCapRatio))
  return Math.min(minStaleBytes, share)
}

/** Whether it reaches the caps under other numbers than those that dropped it. */
export function passes(
  candidate: Candidate,
  filters: PlanFilters,
  rules: Pick<PlanRules, 'liveBytesKnown'>,
): boolean {
  switch (candidate.verdict) {
    case 'not_requested':
    case 'active':
    case 'protected':
    case 'recent':
    case 'zombie':
    case 'empty':
    case 'penalty':
      return false
    case 'age':
    case 'live_bytes_unknown':
    case 'no_live_bytes':
    case 'no_stale_bytes':
    case 'stale_ratio':
    case 'stale_bytes':
    case 'max_segments':
    case 'max_live_bytes':
    case 'max_copied_bytes':
    case 'selected':
      return numericFilter(candidate, filters, rules) === null
  }
}

/** Most freed per copied byte first; deterministic by the id. Without live bytes: small ones first. */
export function compareForPlan(a: Candidate, b: Candidate): number {
  return (
    b.staleRatio - a.staleRatio ||
    b.bytesStale - a.bytesStale ||
    a.bytesLive - b.bytesLive ||
    a.segmentId - b.segmentId
  )
}
