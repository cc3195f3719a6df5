// How a segment looks apart from its bytes: queued, staged, being rewritten, kept. One module, so
// that the tiles, the canvas and the table agree.
import type { RewriteDebt, SegmentId, SegmentInfo } from '../../server/protocol.ts'
import { exactBytes, formatBytes, formatRatio, segmentLabel } from '../lib/format.ts'
import { isPinned, keeperShort, stateWords } from '../lib/words.ts'

export interface SegmentMarks {
  /** Place in the queue, from 1; null when not queued. */
  queued: number | null
  staged: boolean
  rewriting: boolean
  pinned: boolean
  zombie: boolean
  active: boolean
  /** false: what of its bytes is live is not known. */
  bytesKnown: boolean
}

export function marksOf(
  debt: RewriteDebt,
  rewriting: readonly SegmentId[],
  bytesKnown = true,
): (segment: SegmentInfo) => SegmentMarks {
  const places = new Map(debt.queue.map((id, index) => [id, index + 1]))
  const running = new Set(rewriting)
  return (segment) => {
    const queued = places.get(segment.segmentId) ?? null
    return {
      queued,
      staged: queued !== null && debt.stage !== null,
      rewriting: running.has(segment.segmentId),
      pinned: isPinned(segment.keptBy),
      zombie: segment.state === 'zombie',
      active: segment.state === 'active',
      bytesKnown,
    }
  }
}

/** What the marks mean, in words, for tables and screen readers. */
export function marksText(marks: SegmentMarks): string {
  const parts: string[] = []
  if (marks.rewriting) parts.push('being rewritten')
  if (marks.queued !== null) {
    parts.push(`queued ${String(marks.queued)}${marks.staged ? ', staged' : ''}`)
  }
  if (marks.pinned) parts.push('pinned')
  return parts.join(', ')
}

/** One sentence that says all that a tile shows. */
export function segmentText(segment: SegmentInfo, marks: SegmentMarks): string {
  const ratio = segment.bytesTotal === 0 ? 0 : segment.bytesStale / segment.bytesTotal
  const extra = marksText(marks)
  const kept =
    segment.keptBy.length === 0 ? '' : `, kept by ${segment.keptBy.map(keeperShort).join(', ')}`
  const bytes = marks.bytesKnown
    ? `${formatBytes(segment.bytesStale)} of ${formatBytes(segment.bytesTotal)} stale (${formatRatio(ratio)})`
    : `${formatBytes(segment.bytesTotal)}, how much is stale is not known`
  return `${segmentLabel(segment.segmentId)}, ${stateWords[segment.state]}, ${bytes}${extra === '' ? '' : `, ${extra}`}${kept}`
}

export function segmentTitle(segment: SegmentInfo, marks: SegmentMarks): string {
  if (!marks.bytesKnown) return segmentText(segment, marks)
  return `${segmentText(segment, marks)}\nlive ${exactBytes(segment.bytesLive)}, stale ${exactBytes(segment.bytesStale)}`
}
