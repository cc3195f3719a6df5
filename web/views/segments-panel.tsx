// The heart of the page: every segment, width by total bytes, filled by live bytes, with what is
// queued, staged, being rewritten, pinned or leaving.
import { useMemo, type ReactNode } from 'react'
import type { SegmentInfo } from '../../server/protocol.ts'
import { SegmentCanvas } from '../charts/segment-canvas.tsx'
import { marksOf } from '../charts/segment-look.ts'
import { DOM_TILES_MAX, layoutTiles } from '../charts/segment-map-layout.ts'
import { SegmentTiles } from '../charts/segment-tiles.tsx'
import { formatBytes, formatCount, plural, segmentLabel, segmentList } from '../lib/format.ts'
import { useWidth } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import type { GoneSegment } from '../state/app-state.ts'
import { orderSegments, totalsOf } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import {
  chooseSegment,
  chooseSegments,
  uiStore,
  useUi,
  type SegmentOrder,
} from '../state/ui-store.ts'
import { SegmentDetails } from './segment-details.tsx'
import { SegmentTable } from './segment-table.tsx'

export function SegmentsPanel(): ReactNode {
  const segments = useApp((state) => state.engine?.segments ?? null)
  const debt = useApp((state) => state.engine?.debt ?? null)
  const rewriting = useApp((state) => state.rewriting)
  const gone = useApp((state) => state.gone)
  const order = useUi((state) => state.order)
  const selected = useUi((state) => state.selected)
  const theme = useUi((state) => state.theme)
  const [box, width] = useWidth<HTMLDivElement>()
  const ordered = useMemo(() => orderSegments(segments ?? [], order), [segments, order])
  const layout = useMemo(
    () =>
      layoutTiles(
        ordered.map((segment) => segment.bytesTotal),
        width,
      ),
    [ordered, width],
  )
  const marks = useMemo(
    () => marksOf(debt ?? { queue: [], ledger: [], stage: null }, rewriting),
    [debt, rewriting],
  )
  if (segments === null) return null
  const map = { segments: ordered, layout, marks, selected, onChoose: chooseSegment }
  return (
    <Panel
      id="segments"
      name="Segments"
      title={headline(segments)}
      aside={<OrderChoice order={order} />}
    >
      {segments.length === 0 ? (
        <EmptySegments />
      ) : (
        <>
          <div className="map-head">
            <Legend />
            <Leaving gone={gone} />
          </div>
          <div ref={box} className="map" style={{ height: layout.height }}>
            {width > 0 &&
              (ordered.length <= DOM_TILES_MAX ? (
                <SegmentTiles {...map} />
              ) : (
                <SegmentCanvas {...map} width={width} theme={theme} />
              ))}
          </div>
          <Chosen ids={selected} />
          <SegmentDetails />
          <SegmentTable segments={ordered} marks={marks} />
        </>
      )}
    </Panel>
  )
}

function headline(segments: readonly SegmentInfo[]): string {
  const totals = totalsOf(segments)
  if (totals.segments === 0) return 'No segments yet'
  if (totals.bytesStale === 0)
    return `${plural(totals.segments, 'segment')}, all of them fully live`
  const worst = segments.reduce((a, b) => (b.bytesStale > a.bytesStale ? b : a))
  const dead =
    totals.zombies === 0
      ? ''
      : `; ${formatCount(totals.zombies)} dead and not deleted yet, ${formatBytes(totals.zombieBytes)}`
  return `${plural(totals.segments, 'segment')}, most stale is ${segmentLabel(worst.segmentId)} with ${formatBytes(worst.bytesStale)}${dead}`
}

function EmptySegments(): ReactNode {
  const attached = useApp((state) => state.store?.mode === 'attached')
  return (
    <div className="empty" data-testid="empty">
      <p>
        <strong>The value log is empty.</strong>
      </p>
      <p>
        {attached
          ? 'The folder holds no segment that could be read.'
          : 'Start the workload below, or put keys through the API. The first segment appears with the first write.'}
      </p>
    </div>
  )
}

const orders: { order: SegmentOrder; label: string }[] = [
  { order: 'id', label: 'by id' },
  { order: 'stale', label: 'most stale first' },
  { order: 'age', label: 'oldest first' },
]

function OrderChoice({ order }: { order: SegmentOrder }): ReactNode {
  return (
    <div className="segmented" role="group" aria-label="Order of segments">
      {orders.map((one) => (
        <button
          key={one.order}
          type="button"
          aria-pressed={order === one.order}
          data-testid={`order-${one.order}`}
          onClick={() => uiStore.setState({ order: one.order })}
        >
          {one.label}
        </button>
      ))}
    </div>
  )
}

function Legend(): ReactNode {
  return (
    <ul className="legend" aria-label="Legend">
      <li>
        <span className="key key-live" /> live
      </li>
      <li>
        <span className="key key-stale" /> stale
      </li>
      <li>
        <span className="key key-queued">1</span> queued
      </li>
      <li>
        <span className="key key-staged" /> staged
      </li>
      <li>
        <span className="key key-rewriting" /> being rewritten
      </li>
      <li>
        <span className="key key-kept" /> dead but kept
      </li>
      <li>
        <span className="key key-active" /> being written
      </li>
    </ul>
  )
}

/** Deleted segments fade here once; what was deleted stays readable in the trace and in the pass. */
function Leaving({ gone }: { gone: readonly GoneSegment[] }): ReactNode {
  if (gone.length === 0) return null
  return (
    <p className="leaving" aria-hidden="true">
      {gone.slice(-8).map(({ segment, goneAtMs }) => (
        <span key={`${String(segment.segmentId)}-${String(goneAtMs)}`} className="leaving-one">
          {segmentLabel(segment.segmentId)} deleted, {formatBytes(segment.bytesTotal)}
        </span>
      ))}
    </p>
  )
}

function Chosen({ ids }: { ids: readonly number[] }): ReactNode {
  if (ids.length < 2) return null
  return (
    <p className="chosen">
      {plural(ids.length, 'segment')} chosen: {segmentList(ids, 6)}{' '}
      <button type="button" className="button-link" onClick={() => chooseSegments([])}>
        clear
      </button>
    </p>
  )
}
