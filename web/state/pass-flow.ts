// Where the bytes of a pass's sources went, and how long each part of it took. Pure. The accounting is
// the engine's own (`PassReport.byteFlow`); here it is only put beside what the pass deleted and kept.
import type {
  ByteFlow as SourceFlow,
  PassReport,
  PassYield,
  SegmentId,
} from '../../server/protocol.ts'

export interface ByteFlow {
  sources: SegmentId[]
  /** Of the sources; null: nothing was rewritten, the pass only deleted. */
  flow: SourceFlow | null
  /** Predicted when chosen against what came of it; null as `flow`. */
  yield: PassYield | null
  bytesCopied: number
  /** Files the pass's GC removed; may hold segments that were dead before. */
  bytesDeleted: number
  segmentsDeleted: SegmentId[]
  /** Dead, but somebody keeps them, as its last GC counted them; sources of earlier passes among them. */
  bytesKept: number
  segmentsKept: SegmentId[]
  /** Deleted minus copied: what the pass won on disk so far. */
  bytesGained: number
}

/** null when the pass rewrote and deleted nothing. */
export function byteFlow(report: PassReport): ByteFlow | null {
  const rewrites = report.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
  const gcs = report.steps.flatMap((step) =>
    step.kind === 'gc' && !step.report.dryRun ? [step.report] : [],
  )
  if (rewrites.length === 0 && gcs.every((gc) => gc.deleted.length === 0)) return null
  const bytesDeleted = gcs.reduce((total, gc) => total + gc.bytesDeleted, 0)
  const bytesCopied = rewrites.reduce((total, rewrite) => total + rewrite.bytesWritten, 0)
  return {
    sources: rewrites.flatMap((rewrite) => rewrite.sourceSegmentsRequested),
    flow: report.byteFlow,
    yield: report.yield,
    bytesCopied,
    bytesDeleted,
    segmentsDeleted: gcs.flatMap((gc) => gc.deleted),
    bytesKept: gcs.at(-1)?.bytesKept ?? 0,
    segmentsKept: gcs.at(-1)?.segmentsKept ?? [],
    bytesGained: bytesDeleted - bytesCopied,
  }
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
      case 'prune_missing':
      case 'prune_quality':
      case 'refresh':
        times.prune += step.elapsedMs
        break
      default:
    }
  }
  const told = times.plan + times.rewrite + times.gc + times.prune
  times.other = Math.max(0, report.elapsedMs - told)
  return times
}
