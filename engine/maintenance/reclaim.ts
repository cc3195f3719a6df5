/**
 * GC: what is dead is marked, what nothing keeps is deleted. It never walks the tree: live bytes and
 * the moment each segment died are tracked as writes happen, so deciding costs O(segments), and
 * cleaning up after a rewrite adds no scan (B3/F14, M8).
 */
import { EngineError } from '../errors.ts'
import type { GcReport, RetainedPruneReport, SegmentId } from '../types.ts'
import type { Segment } from '../value-log/segment.ts'
import { errorFacts, type SegmentSet } from '../value-log/segment-set.ts'
import {
  add,
  holdingsOf,
  surveyForGc,
  surveyObserved,
  verdictsOf,
  type Surveyed,
} from './gc-survey.ts'

export interface ReclaimParts {
  set: SegmentSet
  monotonic: () => number
  /** Lets go of what only an old root or the journal keeps. */
  checkpoint: () => Promise<unknown>
  /** Runs before the first file goes: ids of deleted segments must not be handed out again. */
  saveMetadata: () => Promise<void>
  /** The engine closes: what is not yet deleted waits for the next opening. */
  isClosing: () => boolean
}

export interface ReclaimOptions {
  dryRun: boolean
  /** Segments to report on besides, such as the sources of a rewrite; unknown ids are named. */
  observed?: readonly SegmentId[]
}

export async function reclaim(parts: ReclaimParts, options: ReclaimOptions): Promise<GcReport> {
  const { set } = parts
  const { dryRun, observed } = options
  const started = parts.monotonic()
  // Also for one that a reader keeps besides: when that reader ends, its end alone must be enough.
  if (!dryRun && set.dead().some((s) => set.isRecoverable(s))) await parts.checkpoint()

  // The checkpoint took time: what is dead and what keeps it is asked again here.
  const before = surveyed(set)
  const survey = surveyForGc(before, dryRun)
  const report: GcReport = {
    dryRun,
    total: survey.total,
    classes: survey.classes,
    observed: surveyObserved(before, observed, dryRun),
    pending: [],
    bytesPending: 0,
    verdicts: [],
    holdings: [],
    segmentsTotal: survey.total.segments,
    segmentsReferenced: survey.classes.referenced.segments,
    segmentsActive: survey.classes.active.segments,
    segmentsKept: survey.kept,
    bytesKept: survey.bytesKept,
    eligible: survey.eligible,
    bytesEligible: survey.bytesEligible,
    deleted: [],
    bytesDeleted: 0,
    errors: [],
    elapsedMs: 0,
  }
  if (!dryRun) {
    for (const segment of set.dead()) if (!segment.busy) set.markZombie(segment)
    const eligible = new Set(survey.eligible)
    await deleteFree(
      parts,
      set.dead().filter((s) => eligible.has(s.id)),
      { heldBy: null, report },
    )
  }
  tellWhatIsLeft(report, { set, before, options })
  report.elapsedMs = parts.monotonic() - started
  return report
}

/** Of what was eligible: gone or pending. Of what is dead and there: why. */
function tellWhatIsLeft(
  report: GcReport,
  at: { set: SegmentSet; before: readonly Surveyed[]; options: ReclaimOptions },
): void {
  const eligible = new Set(report.eligible)
  const gone = new Set(report.deleted)
  const observed = new Set(at.options.observed)
  for (const { segmentId, bytesTotal } of at.before) {
    if (!eligible.has(segmentId)) continue
    if (!gone.has(segmentId)) {
      report.pending.push(segmentId)
      report.bytesPending += bytesTotal
    }
    if (report.observed === null || !observed.has(segmentId)) continue
    add(gone.has(segmentId) ? report.observed.deleted : report.observed.pending, bytesTotal)
  }
  report.pending.sort((a, b) => a - b)
  report.verdicts = verdictsOf(surveyed(at.set), at.options.dryRun)
  report.holdings = holdingsOf(report.verdicts)
}

/** Keepers as of now: those of the last event may be older. */
function surveyed(set: SegmentSet): Surveyed[] {
  return Array.from(set, (segment) => ({
    segmentId: segment.id,
    state: segment.state,
    bytesTotal: segment.bytesTotal,
    bytesLive: segment.bytesLive,
    keptBy: set.keepersOf(segment),
  }))
}

/** After a reader ended: deletes the zombies that it was the last to keep. `heldBy` is its label. */
export async function pruneRetained(
  parts: Pick<ReclaimParts, 'set' | 'saveMetadata' | 'isClosing'>,
  heldBy: string,
): Promise<RetainedPruneReport> {
  const zombies = parts.set.zombies()
  const free = zombies.filter((segment) => parts.set.isFree(segment))
  const report: RetainedPruneReport = {
    heldBy,
    status: zombies.length === 0 ? 'no_candidates' : 'completed',
    candidates: zombies.length,
    inUseSkipped: zombies.length - free.length,
    removed: [],
    bytesRemoved: 0,
    errors: [],
  }
  if (free.length === 0) return report
  const made = { deleted: report.removed, bytesDeleted: 0, errors: report.errors }
  const isWhole = await deleteFree(parts, free, { heldBy, report: made })
  report.bytesRemoved = made.bytesDeleted
  if (!isWhole) report.status = 'close_abort'
  return report
}

/** false: cut short because the engine closes. */
async function deleteFree(
  parts: Pick<ReclaimParts, 'set' | 'saveMetadata' | 'isClosing'>,
  segments: readonly Segment[],
  into: {
    heldBy: string | null
    report: Pick<GcReport, 'deleted' | 'bytesDeleted' | 'errors'>
  },
): Promise<boolean> {
  const { set } = parts
  const { heldBy, report } = into
  if (segments.length > 0) await parts.saveMetadata()
  for (const segment of segments) {
    // Each wait gives the thread away: someone else may have deleted it by now, or begun to close.
    if (parts.isClosing()) return false
    if (set.get(segment.id) !== segment || !set.isFree(segment)) continue
    const bytes = segment.bytesTotal
    try {
      await set.delete(segment, heldBy)
      report.deleted.push(segment.id)
      report.bytesDeleted += bytes
    } catch (error) {
      // It stays a zombie kept by this error; the next GC or prune tries again.
      if (!(error instanceof EngineError)) throw error
      report.errors.push({ segmentId: segment.id, ...errorFacts(error) })
    }
  }
  return true
}
