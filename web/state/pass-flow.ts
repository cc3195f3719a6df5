// Where the bytes of a pass's sources went, and how long each part of it took. Pure. Every byte of a
// requested source is unreferenced or still referenced; every unreferenced one deleted or kept. What
// that does not account for is the residual, which must be 0.
import type { PassReport, RewriteReport, SegmentId } from '../../server/protocol.ts'

export interface ByteFlow {
  sources: SegmentId[]
  /** Sum over the sources as they were planned; null when the queue had no economics. */
  plannedBytesTotal: number | null
  plannedBytesLive: number | null
  plannedBytesStale: number | null
  bytesRead: number
  bytesCopied: number
  /** Sources without a live byte after the rewrite. */
  bytesUnreferenced: number
  bytesStillReferenced: number
  /** Files the pass's GC removed; may hold segments that were dead before. */
  bytesDeleted: number
  segmentsDeleted: SegmentId[]
  /** Dead, but somebody keeps them, as GC counted them. */
  bytesKept: number
  segmentsKept: SegmentId[]
  /** Bytes freed minus bytes copied: what the pass won on disk so far. */
  bytesGained: number
  /** Of the unreferenced, as the engine accounts for it: kept by a reader, or by something else. */
  bytesPinned: number | null
  bytesRetained: number | null
  /** The engine's own accounting where it gives one; else sources minus unreferenced minus referenced. */
  residualBytes: number | null
  /** Stale bytes that were planned to come free, against what came free. */
  predicted: { bytesStale: number; bytesLive: number } | null
}

/** null when the pass rewrote and deleted nothing. */
export function byteFlow(report: PassReport): ByteFlow | null {
  const rewrites = report.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
  const gcs = report.steps.flatMap((step) =>
    step.kind === 'gc' && !step.report.dryRun ? [step.report] : [],
  )
  if (rewrites.length === 0 && gcs.every((gc) => gc.deleted.length === 0)) return null
  const sources = rewrites.flatMap((rewrite) => rewrite.sourceSegmentsRequested)
  const planned = plannedOf(report, sources)
  const sum = (pick: (rewrite: RewriteReport) => number) =>
    rewrites.reduce((total, rewrite) => total + pick(rewrite), 0)
  const bytesUnreferenced = sum((one) => one.sourceBytesUnreferenced)
  const bytesStillReferenced = sum((one) => one.sourceBytesStillReferenced)
  const bytesDeleted = gcs.reduce((total, gc) => total + gc.bytesDeleted, 0)
  const bytesCopied = sum((one) => one.bytesWritten)
  return {
    sources,
    plannedBytesTotal: planned?.bytesTotal ?? null,
    plannedBytesLive: planned?.bytesLive ?? null,
    plannedBytesStale: planned?.bytesStale ?? null,
    bytesRead: sum((one) => one.bytesRead),
    bytesCopied,
    bytesUnreferenced,
    bytesStillReferenced,
    bytesDeleted,
    segmentsDeleted: gcs.flatMap((gc) => gc.deleted),
    bytesKept: gcs.at(-1)?.bytesKept ?? 0,
    segmentsKept: gcs.at(-1)?.segmentsKept ?? [],
    bytesGained: bytesDeleted - bytesCopied,
    bytesPinned: report.byteFlow?.pinnedBytes ?? null,
    bytesRetained: report.byteFlow?.retainedBytes ?? null,
    residualBytes:
      report.byteFlow !== null
        ? report.byteFlow.residualBytes
        : planned === null
          ? null
          : planned.bytesTotal - bytesUnreferenced - bytesStillReferenced,
    predicted:
      report.yield !== null
        ? {
            bytesStale: report.yield.predictedFreedBytes,
            bytesLive: report.yield.predictedCopiedBytes,
          }
        : planned === null
          ? null
          : { bytesStale: planned.bytesStale, bytesLive: planned.bytesLive },
  }
}

/** Economics of the sources by the ledger before the pass, or by a plan the pass made itself. */
function plannedOf(
  report: PassReport,
  sources: readonly SegmentId[],
): { bytesTotal: number; bytesLive: number; bytesStale: number } | null {
  if (sources.length === 0) return null
  const entries = new Map(report.before.ledger.map((entry) => [entry.segmentId, entry]))
  for (const step of report.steps) {
    if (step.kind !== 'plan') continue
    for (const entry of step.plan.selected) entries.set(entry.segmentId, entry)
  }
  const sum = { bytesTotal: 0, bytesLive: 0, bytesStale: 0 }
  for (const id of sources) {
    const entry = entries.get(id)
    if (entry === undefined) return null
    sum.bytesTotal += entry.bytesTotal
    sum.bytesLive += entry.bytesLive
    sum.bytesStale += entry.bytesStale
  }
  return sum
}

// ---------------------------------------------------------------- time

export const passParts = ['plan', 'rewrite', 'gc', 'prune', 'other'] as const
export type PassPart = (typeof passParts)[number]

/** Real milliseconds of each part; `other` is what the steps do not say. */
export function passTimes(report: PassReport): Record<PassPart, number> {
  const times = { plan: 0, rewrite: 0, gc: 0, prune: 0, other: 0 }
  for (const step of report.steps) {
    switch (step.kind) {
      case 'plan':
        times.plan += step.elapsedMs
        break
      case 'rewrite':
        times.rewrite += step.report.elapsedMs
        break
      case 'gc':
        times.gc += step.report.elapsedMs
        break
      default:
    }
  }
  times.other = Math.max(0, report.elapsedMs - times.plan - times.rewrite - times.gc)
  return times
}
