/**
 * Where each segment stands for GC, and who keeps the dead ones. Pure, over what a hosted store or the
 * reading of a folder knows of its segments; cost O(segments + keepers), no scan.
 */
import type {
  GcClass,
  GcReport,
  GcVerdict,
  Holding,
  SegmentId,
  SegmentInfo,
  SegmentKeeper,
  SegmentTally,
} from '../types.ts'

/** What a class depends on. */
export type Surveyed = Pick<
  SegmentInfo,
  'segmentId' | 'state' | 'bytesTotal' | 'bytesLive' | 'keptBy'
>

export interface GcSurvey {
  total: SegmentTally
  classes: Record<GcClass, SegmentTally>
  /** Ascending by id, with their bytes. */
  eligible: SegmentId[]
  bytesEligible: number
  /** Dead, not written, and kept. */
  kept: SegmentId[]
  bytesKept: number
}

/**
 * `checkpointFrees`: GC begins with a checkpoint, so what only a root or the journal keeps will be free.
 * True of a look ahead; after that checkpoint they keep what they still keep.
 */
export function classOf(segment: Surveyed, checkpointFrees: boolean): GcClass {
  if (segment.bytesLive > 0) return 'referenced'
  if (segment.state === 'active') return 'active'
  let inUse = false
  let retained = false
  let other = false
  for (const { kind } of segment.keptBy) {
    if (kind === 'rewriting') inUse = true
    else if (kind === 'journal') inUse ||= !checkpointFrees
    else if (kind === 'snapshot' || kind === 'iterator') retained = true
    else if (kind === 'root') other ||= !checkpointFrees
    // On a zombie it is an unlink that failed, to be tried again; else references that nobody could read.
    else if (kind === 'error') other ||= segment.state !== 'zombie'
  }
  if (inUse && retained) return 'overlap'
  if (inUse) return 'in_use'
  if (retained) return 'retained'
  return other ? 'other' : 'eligible'
}

export function surveyForGc(segments: Iterable<Surveyed>, checkpointFrees: boolean): GcSurvey {
  const survey: GcSurvey = {
    total: noTally(),
    classes: noClasses(),
    eligible: [],
    bytesEligible: 0,
    kept: [],
    bytesKept: 0,
  }
  for (const segment of segments) {
    const is = classOf(segment, checkpointFrees)
    add(survey.total, segment.bytesTotal)
    add(survey.classes[is], segment.bytesTotal)
    if (is === 'eligible') {
      survey.eligible.push(segment.segmentId)
      survey.bytesEligible += segment.bytesTotal
    } else if (is !== 'referenced' && is !== 'active') {
      survey.kept.push(segment.segmentId)
      survey.bytesKept += segment.bytesTotal
    }
  }
  survey.eligible.sort((a, b) => a - b)
  survey.kept.sort((a, b) => a - b)
  return survey
}

/** What a GC run says before it has deleted anything; a dry one says no more. */
export function gcReportOf(
  segments: readonly Surveyed[],
  how: {
    dryRun: boolean
    checkpointFrees: boolean
    observed: readonly SegmentId[] | undefined
  },
): GcReport {
  const { dryRun, checkpointFrees, observed } = how
  const { total, classes, ...survey } = surveyForGc(segments, checkpointFrees)
  const verdicts = verdictsOf(segments, checkpointFrees)
  const seen = surveyObserved(segments, observed, checkpointFrees)
  if (seen !== null) seen.pending = { ...seen.classes.eligible }
  return {
    dryRun,
    total,
    classes,
    observed: seen,
    pending: [...survey.eligible],
    bytesPending: survey.bytesEligible,
    verdicts,
    holdings: holdingsOf(verdicts),
    segmentsTotal: total.segments,
    segmentsReferenced: classes.referenced.segments,
    segmentsActive: classes.active.segments,
    segmentsKept: survey.kept,
    bytesKept: survey.bytesKept,
    eligible: survey.eligible,
    bytesEligible: survey.bytesEligible,
    deleted: [],
    bytesDeleted: 0,
    errors: [],
    cancelled: false,
    elapsedMs: 0,
  }
}

/** The segments a caller asked about; ids that no segment has, and 0, change nothing. */
export function surveyObserved(
  segments: readonly Surveyed[],
  observed: readonly SegmentId[] | undefined,
  checkpointFrees: boolean,
): GcReport['observed'] {
  if (observed === undefined || observed.length === 0) return null
  const asked = new Set(observed)
  const found = segments.filter((segment) => asked.delete(segment.segmentId))
  const { total, classes } = surveyForGc(found, checkpointFrees)
  const unknown = [...asked].filter((id) => id !== 0)
  return { unknown, total, classes, deleted: noTally(), pending: noTally() }
}

/** Of each dead segment, ascending by id. */
export function verdictsOf(segments: Iterable<Surveyed>, checkpointFrees: boolean): GcVerdict[] {
  const verdicts: GcVerdict[] = []
  for (const segment of segments) {
    const { segmentId, bytesTotal, bytesLive, keptBy } = segment
    if (bytesLive > 0) continue
    verdicts.push({ segmentId, bytesTotal, class: classOf(segment, checkpointFrees), keptBy })
  }
  return verdicts.sort((a, b) => a.segmentId - b.segmentId)
}

/** Who keeps dead segments and what the end of each would free; most bytes first. */
export function holdingsOf(
  segments: Iterable<Pick<Surveyed, 'segmentId' | 'bytesTotal' | 'keptBy'>>,
): Holding[] {
  const holdings = new Map<string, Holding>()
  for (const { segmentId, bytesTotal, keptBy } of segments) {
    const isFreedByOne = new Set(keptBy.map(releaseOf)).size === 1
    for (const keeper of keptBy) {
      const key = keyOf(keeper)
      let holding = holdings.get(key)
      if (holding === undefined) {
        holding = { keeper, segmentIds: [], bytes: 0, freesSegmentIds: [], freesBytes: 0 }
        holdings.set(key, holding)
      }
      holding.segmentIds.push(segmentId)
      holding.bytes += bytesTotal
      if (!isFreedByOne) continue
      holding.freesSegmentIds.push(segmentId)
      holding.freesBytes += bytesTotal
    }
  }
  return [...holdings.values()].sort((a, b) => b.bytes - a.bytes)
}

/** One keeper. */
function keyOf(keeper: SegmentKeeper): string {
  switch (keeper.kind) {
    case 'snapshot':
    case 'iterator':
      return `pin ${keeper.pinId}`
    case 'root':
      return `root ${keeper.metaPage}`
    case 'error':
      return `error ${keeper.code} ${keeper.message}`
    case 'active_writer':
    case 'journal':
    case 'rewriting':
    case 'awaiting_gc':
      return keeper.kind
  }
}

/** What ends a keeper. One checkpoint moves both meta pages and lets the journal go. */
function releaseOf(keeper: SegmentKeeper): string {
  return keeper.kind === 'root' || keeper.kind === 'journal' ? 'checkpoint' : keyOf(keeper)
}

function noTally(): SegmentTally {
  return { segments: 0, bytes: 0 }
}

function noClasses(): Record<GcClass, SegmentTally> {
  return {
    referenced: noTally(),
    active: noTally(),
    in_use: noTally(),
    retained: noTally(),
    overlap: noTally(),
    other: noTally(),
    eligible: noTally(),
  }
}

export function add(tally: SegmentTally, bytes: number): void {
  tally.segments += 1
  tally.bytes += bytes
}
