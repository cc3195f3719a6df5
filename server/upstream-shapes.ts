/**
 * Reports in upstream's shapes: engine structs keep their Go names in CamelCase, empty slices are null,
 * durations are nanoseconds. Bytes are counted as this engine counts them, whole.
 */
import type { GcReport, RewriteDebt, RewritePlan, SegmentTally } from './protocol.ts'

const NS_PER_MS = 1_000_000

export interface UpstreamSegment {
  FileID: number
  BytesTotal: number
  BytesLive: number
  BytesStale: number
  StaleRatio: number
}

/** DebugValueLogGenerationState. */
export interface UpstreamState {
  RewriteSourceFileIDs: number[] | null
  RewriteDebtLedger: UpstreamSegment[] | null
  RewriteStagePending: boolean
  /** Unix nanoseconds, 0 = none; exact to the millisecond and above 2^53. */
  RewriteStageObservedAtNS: number
}

export function upstreamState({ queue, ledger, stage }: RewriteDebt): UpstreamState {
  return {
    RewriteSourceFileIDs: orNull(queue),
    RewriteDebtLedger: orNull(ledger.map(upstreamSegment)),
    RewriteStagePending: stage !== null,
    RewriteStageObservedAtNS: stage === null ? 0 : stage.observedAtMs * NS_PER_MS,
  }
}

/** ValueLogRewritePlan: ids and segments ascending. */
export function upstreamPlan(plan: RewritePlan): Record<string, unknown> {
  const byId = (a: number, b: number): number => a - b
  return {
    SourceFileIDs: orNull([...plan.sourceSegmentIds].sort(byId)),
    SelectedSegments: orNull(
      plan.selected.map(upstreamSegment).sort((a, b) => a.FileID - b.FileID),
    ),
    SegmentsTotal: plan.segmentsTotal,
    SegmentsSelected: plan.sourceSegmentIds.length,
    BytesTotal: plan.bytesTotal,
    BytesLive: plan.liveBytesKnown ? plan.bytesLive : 0,
    BytesStale: plan.liveBytesKnown ? plan.bytesStale : 0,
    SelectedBytesTotal: plan.selectedBytesTotal,
    SelectedBytesLive: plan.liveBytesKnown ? plan.selectedBytesLive : 0,
    SelectedBytesStale: plan.liveBytesKnown ? plan.selectedBytesStale : 0,
    AgeBlockedSegments: plan.ageBlockedSegments,
    AgeBlockedBytesTotal: plan.ageBlockedBytesTotal,
    AgeBlockedBytesLive: plan.ageBlockedBytesLive,
    AgeBlockedBytesStale: plan.ageBlockedBytesStale,
    AgeBlockedMinRemainingAge: (plan.ageBlockedMinRemainingMs ?? 0) * NS_PER_MS,
  }
}

/** ValueLogGCStats, both families, with the observed sources and the id lists of later versions. */
export function upstreamGc(report: GcReport): Record<string, unknown> {
  const { classes, observed } = report
  const deleted = { segments: report.deleted.length, bytes: report.bytesDeleted }
  const pending = { segments: report.pending.length, bytes: report.bytesPending }
  const stats: Record<string, unknown> = {
    ...family('Segments', 'segments', { ...classes, total: report.total, deleted, pending }),
    ...family('Bytes', 'bytes', { ...classes, total: report.total, deleted, pending }),
  }
  if (observed !== null) {
    const of = { ...observed.classes, ...observed }
    Object.assign(stats, family('ObservedSourceSegments', 'segments', of, ''))
    Object.assign(stats, family('ObservedSourceBytes', 'bytes', of, ''))
  }
  return {
    ...stats,
    EligibleFileIDs: orNull(report.eligible),
    PendingFileIDs: orNull(report.pending),
    DeletedFileIDs: orNull(report.deleted),
  }
}

function family(
  base: string,
  unit: keyof SegmentTally,
  of: GcReport['classes'] & Record<'total' | 'deleted' | 'pending', SegmentTally>,
  totalName = 'Total',
): Record<string, number> {
  const kept = of.in_use[unit] + of.retained[unit] + of.overlap[unit] + of.other[unit]
  return {
    [`${base}${totalName}`]: of.total[unit],
    [`${base}Referenced`]: of.referenced[unit],
    [`${base}Active`]: of.active[unit],
    [`${base}Protected`]: kept,
    [`${base}ProtectedInUse`]: of.in_use[unit],
    [`${base}ProtectedRetained`]: of.retained[unit],
    [`${base}ProtectedOverlap`]: of.overlap[unit],
    [`${base}ProtectedOther`]: of.other[unit],
    [`${base}Eligible`]: of.eligible[unit],
    [`${base}Deleted`]: of.deleted[unit],
    [`${base}Pending`]: of.pending[unit],
  }
}

function upstreamSegment(entry: RewriteDebt['ledger'][number]): UpstreamSegment {
  return {
    FileID: entry.segmentId,
    BytesTotal: entry.bytesTotal,
    BytesLive: entry.bytesLive,
    BytesStale: entry.bytesStale,
    StaleRatio: entry.staleRatio,
  }
}

function orNull<T>(items: readonly T[]): T[] | null {
  return items.length === 0 ? null : [...items]
}
