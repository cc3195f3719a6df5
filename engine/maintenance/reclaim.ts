/**
 * GC: what is dead is marked, what nothing keeps is deleted. It never walks the tree: live bytes and
 * the moment each segment died are tracked as writes happen, so deciding costs O(segments), and
 * cleaning up after a rewrite adds no scan (B3/F14, M8).
 */
import { EngineError } from '../errors.ts'
import type { GcReport, RetainedPruneCounts, RetainedPruneReport, SegmentId } from '../types.ts'
import type { Segment } from '../value-log/segment.ts'
import { errorFacts, type SegmentSet } from '../value-log/segment-set.ts'
import { add, gcReportOf, holdingsOf, verdictsOf, type Surveyed } from './gc-survey.ts'

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
  /** Ends it between two unlinks: what is gone is reported, the rest stays pending. */
  signal?: AbortSignal
}

export async function reclaim(parts: ReclaimParts, options: ReclaimOptions): Promise<GcReport> {
  const { set } = parts
  const { dryRun, observed, signal } = options
  const started = parts.monotonic()
  // Also for one that a reader keeps besides: when that reader ends, its end alone must be enough.
  // Nothing is deleted while it closes, and closing publishes one by itself.
  const frees = !dryRun && !parts.isClosing() && set.dead().some((s) => set.isRecoverable(s))
  if (frees) await parts.checkpoint()

  // The checkpoint took time: what is dead and what keeps it is asked again here.
  const before = surveyed(set)
  const report = gcReportOf(before, { dryRun, checkpointFrees: dryRun, observed })
  if (!dryRun) {
    for (const segment of set.dead()) if (!segment.busy) set.markZombie(segment)
    const eligible = new Set(report.eligible)
    const free = set.dead().filter((s) => eligible.has(s.id))
    const isWhole = await deleteFree(parts, free, { heldBy: null, report, signal })
    report.cancelled = !isWhole
    tellWhatIsLeft(report, { set, before, observed: new Set(observed) })
  }
  report.elapsedMs = parts.monotonic() - started
  return report
}

/** Of what was eligible: gone or pending. Of what is dead and there: why. */
function tellWhatIsLeft(
  report: GcReport,
  at: { set: SegmentSet; before: readonly Surveyed[]; observed: ReadonlySet<SegmentId> },
): void {
  const gone = new Set(report.deleted)
  const bytesOf = new Map(at.before.map(({ segmentId, bytesTotal }) => [segmentId, bytesTotal]))
  report.pending = report.eligible.filter((id) => !gone.has(id))
  report.bytesPending = report.pending.reduce((sum, id) => sum + (bytesOf.get(id) ?? 0), 0)
  const { observed } = report
  if (observed !== null) {
    observed.pending = { segments: 0, bytes: 0 }
    for (const id of report.eligible) {
      if (!at.observed.has(id)) continue
      add(gone.has(id) ? observed.deleted : observed.pending, bytesOf.get(id) ?? 0)
    }
  }
  report.verdicts = verdictsOf(surveyed(at.set), false)
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

/** What became of all prunes, also of those that are not worth an event. */
export class PruneTally {
  readonly #counts: RetainedPruneCounts = {
    lastStatus: null,
    noCandidateRuns: 0,
    completedRuns: 0,
    closeAbortRuns: 0,
    removedSegments: 0,
  }

  add({ status, removed }: Pick<RetainedPruneReport, 'status' | 'removed'>): void {
    const counts = this.#counts
    counts.lastStatus = status
    counts.removedSegments += removed.length
    if (status === 'no_candidates') counts.noCandidateRuns += 1
    else if (status === 'completed') counts.completedRuns += 1
    else counts.closeAbortRuns += 1
  }

  counts(): RetainedPruneCounts {
    return { ...this.#counts }
  }
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

/** false: cut short because the engine closes, or it was cancelled. */
async function deleteFree(
  parts: Pick<ReclaimParts, 'set' | 'saveMetadata' | 'isClosing'>,
  segments: readonly Segment[],
  into: {
    heldBy: string | null
    report: Pick<GcReport, 'deleted' | 'bytesDeleted' | 'errors'>
    signal?: AbortSignal | undefined
  },
): Promise<boolean> {
  const { set } = parts
  const { heldBy, report, signal } = into
  if (segments.length > 0) await parts.saveMetadata()
  for (const segment of segments) {
    // Each wait gives the thread away: someone else may have deleted it by now, or begun to close.
    if (parts.isClosing() || signal?.aborted === true) return false
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
