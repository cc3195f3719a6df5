/**
 * GC: what is dead is marked, what nothing keeps is deleted. It never walks the tree: live bytes and
 * the moment each segment died are tracked as writes happen, so deciding costs O(segments).
 */
import { EngineError } from '../errors.ts'
import type { GcReport } from '../types.ts'
import type { Segment } from '../value-log/segment.ts'
import { errorFacts, type SegmentSet } from '../value-log/segment-set.ts'

export interface ReclaimParts {
  set: SegmentSet
  monotonic: () => number
  /** Lets go of what only an old root or the journal keeps. */
  checkpoint: () => Promise<unknown>
  /** Runs before the first file goes: ids of deleted segments must not be handed out again. */
  saveMetadata: () => Promise<void>
}

export async function reclaim(
  parts: ReclaimParts,
  options: { dryRun: boolean },
): Promise<GcReport> {
  const { set } = parts
  const started = parts.monotonic()
  const wouldBeFreed = set.dead().filter((s) => set.waitsForCheckpoint(s))
  // Also for one that a reader keeps besides: when that reader ends, its end alone must be enough.
  if (!options.dryRun && set.dead().some((s) => set.isRecoverable(s))) await parts.checkpoint()

  // The checkpoint took time: what is dead and what keeps it is asked again here.
  const report = emptyReport(set, options.dryRun)
  const eligible: Segment[] = []
  for (const segment of set.dead()) {
    const counted = options.dryRun && wouldBeFreed.includes(segment)
    if (set.isFree(segment) || counted) {
      eligible.push(segment)
      report.eligible.push(segment.id)
      report.bytesEligible += segment.bytesTotal
    } else {
      report.segmentsKept.push(segment.id)
      report.bytesKept += segment.bytesTotal
    }
    if (!options.dryRun && !segment.busy) set.markZombie(segment)
  }
  if (!options.dryRun && eligible.length > 0) {
    await parts.saveMetadata()
    await deleteFree(set, eligible, null, report)
  }
  report.elapsedMs = parts.monotonic() - started
  return report
}

/** Deletes zombies that lost their last keeper; `heldBy` names the reader that ended. */
export async function sweep(
  parts: Pick<ReclaimParts, 'set' | 'saveMetadata'>,
  heldBy: string,
): Promise<Pick<GcReport, 'deleted' | 'bytesDeleted'>> {
  const { set } = parts
  const free = set.dead().filter((s) => s.state === 'zombie' && set.isFree(s))
  if (free.length === 0) return { deleted: [], bytesDeleted: 0 }
  await parts.saveMetadata()
  const report = emptyReport(set, false)
  await deleteFree(set, free, heldBy, report)
  return report
}

async function deleteFree(
  set: SegmentSet,
  segments: readonly Segment[],
  heldBy: string | null,
  report: GcReport,
): Promise<void> {
  for (const segment of segments) {
    // Each unlink gives the thread away: someone else may have deleted it by now.
    if (set.get(segment.id) !== segment || !set.isFree(segment)) continue
    const bytes = segment.bytesTotal
    try {
      await set.delete(segment, heldBy)
      report.deleted.push(segment.id)
      report.bytesDeleted += bytes
    } catch (error) {
      // It stays a zombie kept by this error; the next GC tries again.
      if (!(error instanceof EngineError)) throw error
      report.errors.push({ segmentId: segment.id, ...errorFacts(error) })
    }
  }
}

function emptyReport(set: SegmentSet, dryRun: boolean): GcReport {
  const all = [...set]
  return {
    dryRun,
    segmentsTotal: all.length,
    segmentsReferenced: all.filter((s) => s.state !== 'active' && s.bytesLive > 0).length,
    segmentsActive: all.filter((s) => s.state === 'active').length,
    segmentsKept: [],
    bytesKept: 0,
    eligible: [],
    bytesEligible: 0,
    deleted: [],
    bytesDeleted: 0,
    errors: [],
    elapsedMs: 0,
  }
}
