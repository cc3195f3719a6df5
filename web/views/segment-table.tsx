// Every segment as a row: what the map shows, readable by a screen reader, a test and a copy. Beyond
// a few hundred rows only those in sight are in the document.
import { memo, useMemo, useRef, type ReactNode } from 'react'
import type { SegmentId, SegmentInfo } from '../../server/protocol.ts'
import { marksText, type SegmentMarks } from '../charts/segment-look.ts'
import { formatAge, formatCount, segmentLabel } from '../lib/format.ts'
import type { Route } from '../lib/route.ts'
import { keeperShort, stateWords } from '../lib/words.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { LiveBytes, LiveRatio } from '../parts/live-value.tsx'
import { useRowWindow } from '../parts/row-window.ts'
import { Bytes, Unknown } from '../parts/value.tsx'
import { verdictOn, type Verdicts } from '../state/segment-history.ts'
import { staleRatio } from '../state/selectors.ts'
import { chooseSegment, openDrawer, useRoute } from '../state/ui-store.ts'

/** As the stylesheet has it. */
const ROW_HEIGHT = 28
/** A row is some twenty elements, and all of them may come with one press of a key. */
const PLAIN_ROWS_MAX = 40
/** As the stylesheet has it, too, apart from what a narrower window takes. */
const tableHeight = (): number => Math.max(320, innerHeight - 480)

interface SegmentTableProps {
  segments: readonly SegmentInfo[]
  marks: (segment: SegmentInfo) => SegmentMarks
  verdicts: Verdicts | null
}

export const SegmentTable = memo(function SegmentTable(props: SegmentTableProps): ReactNode {
  const { segments, marks, verdicts } = props
  const scroll = useRef<HTMLDivElement>(null)
  const list = useRoute((route) => route.chosen)
  const current = useRoute(openSegment)
  const chosen = useMemo(() => new Set(list), [list])
  const count = segments.length
  const inSight = useRowWindow(scroll, { count, height: ROW_HEIGHT, overscan: 8 }, tableHeight)
  const { first, end } = count > PLAIN_ROWS_MAX ? inSight : { first: 0, end: count }
  const before = first * ROW_HEIGHT
  const after = (count - end) * ROW_HEIGHT
  return (
    <div
      ref={scroll}
      className="table-box table-tall"
      tabIndex={0}
      role="region"
      aria-label="All segments"
    >
      <table className="table table-fixed segments-table" aria-rowcount={segments.length + 1}>
        <caption className="sr-only">
          All {formatCount(segments.length)} segments in the order chosen above
        </caption>
        <thead>
          <tr>
            <th scope="col">Segment</th>
            <th scope="col">State</th>
            <th scope="col" className="r">
              Total
            </th>
            <th scope="col" className="r">
              Live
            </th>
            <th scope="col" className="r">
              Stale
            </th>
            <th scope="col" className="r">
              Ratio
            </th>
            <th scope="col">
              Planner’s verdict
              {verdicts !== null && <VerdictAge atMs={verdicts.atMs} />}
            </th>
            <th scope="col">Queue, kept by</th>
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden="true" style={{ height: before }} />}
          {segments.slice(first, end).map((segment, place) => {
            const look = marks(segment)
            return (
              <SegmentRow
                key={segment.segmentId}
                segment={segment}
                rowIndex={first + place + 2}
                note={rowNote(segment, look)}
                {...verdictOn(verdicts, segment)}
                chosen={chosen.has(segment.segmentId)}
                current={segment.segmentId === current}
                bytesKnown={look.bytesKnown}
              />
            )
          })}
          {after > 0 && <tr aria-hidden="true" style={{ height: after }} />}
        </tbody>
      </table>
    </div>
  )
})

function openSegment({ drawer }: Route): SegmentId | null {
  return drawer?.kind === 'segment' ? drawer.id : null
}

/** On its own, so that a second passing draws one word and not the table. */
function VerdictAge({ atMs }: { atMs: number }): ReactNode {
  const nowMs = useEngineNow(1000)
  if (nowMs === null) return null
  return (
    <span className="muted" data-testid="verdict-age">
      , {formatAge(nowMs - atMs)} old
    </span>
  )
}

function rowNote(segment: SegmentInfo, marks: SegmentMarks): string {
  const kept =
    segment.keptBy.length === 0 ? '' : `kept by ${segment.keptBy.map(keeperShort).join(', ')}`
  return [marksText(marks), kept].filter((part) => part !== '').join('; ')
}

interface SegmentRowProps {
  segment: SegmentInfo
  rowIndex: number
  note: string
  /** Empty when there is none of it as it is now; `why` says why. */
  verdict: string
  why: string
  /** The segment has changed since. */
  outdated: boolean
  chosen: boolean
  current: boolean
  /** false: what of it is live is not known. */
  bytesKnown: boolean
}

const SegmentRow = memo(function SegmentRow(props: SegmentRowProps): ReactNode {
  const { segment, rowIndex, note, verdict, why, outdated, chosen, current, bytesKnown } = props
  return (
    <tr
      data-testid="segment-row"
      data-segment-id={segment.segmentId}
      data-state={segment.state}
      data-bytes-total={segment.bytesTotal}
      data-bytes-live={bytesKnown ? segment.bytesLive : undefined}
      data-bytes-stale={bytesKnown ? segment.bytesStale : undefined}
      data-kept-by={segment.keptBy.map((keeper) => keeper.kind).join(' ')}
      data-file={segment.file}
      aria-rowindex={rowIndex}
      className={current ? 'row-chosen row-current' : chosen ? 'row-chosen' : undefined}
    >
      <th scope="row">
        <span className="choose">
          <input
            type="checkbox"
            checked={chosen}
            aria-label={`Choose ${segmentLabel(segment.segmentId)}`}
            onChange={() => chooseSegment(segment.segmentId, true)}
          />
          <button
            type="button"
            className="button-link num"
            aria-expanded={current}
            onClick={() => openDrawer({ kind: 'segment', id: segment.segmentId })}
          >
            {segmentLabel(segment.segmentId)}
          </button>
        </span>
      </th>
      <td>
        <span className={`state state-${segment.state}`}>{stateWords[segment.state]}</span>
      </td>
      <td className="r">
        <Bytes value={segment.bytesTotal} />
      </td>
      <td className="r">
        <LiveBytes value={segment.bytesLive} />
      </td>
      <td className="r">
        <LiveBytes value={segment.bytesStale} />
      </td>
      <td className="r">
        <LiveRatio value={staleRatio(segment)} />
      </td>
      <td
        className={outdated ? 'ellipsis muted' : 'ellipsis'}
        title={verdict}
        data-testid="row-verdict"
        data-outdated={outdated}
      >
        {verdict === '' ? <Unknown why={why} /> : verdict}
      </td>
      <td className="ellipsis" title={note}>
        {note}
      </td>
    </tr>
  )
})
