/**
 * What a rewrite came to. Pure. Upstream's rules (scheduler.md 1.10, 31m-n): a log that did not shrink
 * after GC is an ineffective rewrite, unless the sources' own stale bytes were dealt with; material
 * growth, or no progress at all, is penalised.
 */
import type {
  ByteFlow,
  GcReport,
  PassYield,
  RewriteReport,
  SegmentId,
  SegmentInfo,
} from '../types.ts'
import type { SegmentLookup } from './ledger.ts'

/** A source as it was when it was chosen, and what its rewrite said; null = it did not end. */
export interface Processed {
  segment: SegmentInfo
  /** Live bytes as its ledger entry had them, or as they were. */
  liveBytes: number
  report: RewriteReport | null
}

export interface Effect {
  /** Bytes of the log after rewrite and GC. */
  effectiveAfter: number
  gcBytesDeleted: number
  growthBytes: number
  ineffective: boolean
  locallyEffective: boolean
  penalty: 'material_growth' | 'no_progress' | null
}

export function judgeRewrite(
  run: { bytesBefore: number; bytesAfter: number; gcBytesDeleted: number },
  processed: readonly Processed[],
  growthMinBytes: number,
): Effect {
  const { bytesBefore, bytesAfter, gcBytesDeleted } = run
  const effectiveAfter = Math.max(0, bytesAfter - gcBytesDeleted)
  const growthBytes = effectiveAfter - bytesBefore
  const records = sum(processed, ({ report }) => report?.recordsCopied ?? 0)
  const staleBytes = sum(processed, ({ segment }) => segment.bytesStale)
  // A source that nothing references is done with, whoever still keeps its file.
  const isDone = processed.every(({ report }) => report?.sourcesStillReferenced.length === 0)
  const locallyEffective = processed.length > 0 && staleBytes > 0 && (records > 0 || isDone)
  const failed = bytesBefore > 0 && growthBytes >= 0 && !locallyEffective
  let penalty: Effect['penalty'] = null
  if (failed && processed.length > 0) {
    if (growthBytes >= growthMinBytes) penalty = 'material_growth'
    else if (growthBytes === 0 && records === 0) penalty = 'no_progress'
  }
  const judged = { effectiveAfter, gcBytesDeleted, growthBytes }
  return { ...judged, ineffective: failed, locallyEffective, penalty }
}

/** Bytes of the sources from choice to disk, with what none of the reasons explains as residual. */
export function byteFlowOf(
  chosen: readonly Processed[],
  gc: readonly GcReport[],
  after: SegmentLookup,
): ByteFlow {
  const flow: ByteFlow = {
    selectedBytesTotal: sum(chosen, ({ segment }) => segment.bytesTotal),
    selectedBytesStale: sum(chosen, ({ segment }) => segment.bytesStale),
    processedBytes: 0,
    unprocessedBytes: 0,
    stillReferencedBytes: 0,
    unreferencedBytes: 0,
    deletedBytes: 0,
    pinnedBytes: 0,
    retainedBytes: 0,
    residualBytes: 0,
  }
  const deleted = new Set(gc.flatMap((report) => report.deleted))
  for (const { segment, report } of chosen) {
    const { segmentId, bytesTotal } = segment
    if (report === null || report.sourcesUnfinished.includes(segmentId)) {
      flow.unprocessedBytes += bytesTotal
      continue
    }
    flow.processedBytes += bytesTotal
    if (!report.sourcesUnreferenced.includes(segmentId)) {
      flow.stillReferencedBytes += bytesTotal
      continue
    }
    flow.unreferencedBytes += bytesTotal
    flow[whereNow(segmentId, deleted, after)] += bytesTotal
  }
  return flow
}

/** A source that was unreferenced and lives again is what no rule allows: the residual. */
function whereNow(
  segmentId: SegmentId,
  deleted: ReadonlySet<SegmentId>,
  after: SegmentLookup,
): 'deletedBytes' | 'pinnedBytes' | 'retainedBytes' | 'residualBytes' {
  const now = after.get(segmentId)
  // Also deleted when a reader that ended meanwhile was the last to keep it.
  if (now === undefined) return 'deletedBytes'
  if (deleted.has(segmentId) || now.bytesLive > 0) return 'residualBytes'
  const pinned = now.keptBy.some(({ kind }) => kind === 'snapshot' || kind === 'iterator')
  return pinned ? 'pinnedBytes' : 'retainedBytes'
}

export function yieldOf(chosen: readonly Processed[], gc: readonly GcReport[]): PassYield {
  const actualCopiedBytes = sum(chosen, ({ report }) => report?.bytesWritten ?? 0)
  const deleted = gc.reduce((bytes, report) => bytes + report.bytesDeleted, 0)
  return {
    predictedCopiedBytes: sum(chosen, ({ segment }) => segment.bytesLive),
    predictedFreedBytes: sum(chosen, ({ segment }) => segment.bytesStale),
    actualCopiedBytes,
    actualFreedBytes: deleted - actualCopiedBytes,
  }
}

/**
 * By how much the log is smaller for the rewrite of this source: what its file had less what was
 * written for it, 0 while the file is there. Upstream's reclaimed_bytes, so never more than was stale.
 */
export function reclaimedBytes({ segment, report }: Processed, isGone: boolean): number {
  return isGone ? Math.max(0, segment.bytesTotal - (report?.bytesWritten ?? 0)) : 0
}

export function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
