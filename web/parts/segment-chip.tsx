// The name of a segment, as a button that shows its details.
import type { ReactNode } from 'react'
import type { SegmentId } from '../../server/protocol.ts'
import { segmentLabel } from '../lib/format.ts'
import { chooseSegment } from '../state/ui-store.ts'

export function SegmentChip({
  segmentId,
  note,
}: {
  segmentId: SegmentId
  note?: 'gone' | 'new'
}): ReactNode {
  return (
    <button
      type="button"
      className={note === undefined ? 'chip' : `chip chip-${note}`}
      title={`Segment ${String(segmentId)}`}
      onClick={() => chooseSegment(segmentId, false)}
    >
      {note === 'gone' && <span className="sr-only">left: </span>}
      {note === 'new' && <span className="sr-only">joined: </span>}
      {segmentLabel(segmentId)}
    </button>
  )
}

/** A wrapping row of chips; long lists end in a count. */
export function SegmentChips({
  ids,
  max = 12,
}: {
  ids: readonly SegmentId[]
  max?: number
}): ReactNode {
  if (ids.length === 0) return <span className="muted">none</span>
  return (
    <span className="chips">
      {ids.slice(0, max).map((id) => (
        <SegmentChip key={id} segmentId={id} />
      ))}
      {ids.length > max && <span className="muted">and {ids.length - max} more</span>}
    </span>
  )
}
