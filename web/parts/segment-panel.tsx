// What both the overview and the segments view draw of all segments: order, colour, legend, map.
import { memo, useMemo, type ReactNode } from 'react'
import type { SegmentInfo } from '../../server/protocol.ts'
import { legendOf, painterOf, type Painter } from '../charts/segment-colour.ts'
import { marksOf, type SegmentMarks } from '../charts/segment-look.ts'
import { ZOOM_FACTOR } from '../charts/segment-map-layout.ts'
import { mapZoomMax, SegmentMap } from '../charts/segment-map.tsx'
import { formatBytes, formatCount, segmentLabel } from '../lib/format.ts'
import {
  segmentColours,
  segmentOrders,
  type SegmentColour,
  type SegmentOrder,
} from '../lib/route.ts'
import type { GoneSegment } from '../state/app-state.ts'
import { newestVerdicts, type Verdicts } from '../state/segment-history.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { chooseSegment, navigate, useRoute, useUi } from '../state/ui-store.ts'
import { useShownRoute, useWidth, type WidthBefore } from './hooks.ts'

const noDebt = { queue: [], ledger: [], stage: null }

/** How each segment is marked now: queued, staged, being rewritten, kept. */
export function useMarks(): (segment: SegmentInfo) => SegmentMarks {
  const debt = useApp((state) => state.engine?.debt ?? null)
  const rewriting = useApp((state) => state.rewriting)
  const bytesKnown = useApp((state) => state.liveBytesUnknown === null)
  return useMemo(
    () => marksOf(debt ?? noDebt, rewriting, bytesKnown),
    [debt, rewriting, bytesKnown],
  )
}

export function useVerdicts(): Verdicts | null {
  const passes = useApp((state) => state.passes)
  // A plan asked for now says nothing about a recorded moment.
  const isLive = useIsLive()
  const asked = useUi((state) => (isLive ? state.plan : null))
  return useMemo(() => newestVerdicts(passes, asked), [passes, asked])
}

/** Ages are painted in steps, so their painter follows the clock in steps of seconds. */
function usePainter(): Painter {
  const colour = useShownRoute((route) => route.colour)
  const steps = useApp((state) => Math.floor((state.gauges?.nowMs ?? 0) / 5000))
  const all = useVerdicts()
  const bytesKnown = useApp((state) => state.liveBytesUnknown === null)
  // Another painter has all cells drawn again.
  const nowMs = colour === 'age' ? steps * 5000 : 0
  const verdicts = colour === 'verdict' ? all : null
  return useMemo(
    () => painterOf(colour, { nowMs, verdicts, bytesKnown }),
    [colour, nowMs, verdicts, bytesKnown],
  )
}

const orderWords: Record<SegmentOrder, string> = {
  id: 'id',
  stale: 'stale bytes',
  ratio: 'stale ratio',
  age: 'age',
  size: 'size',
}

const colourWords: Record<SegmentColour, string> = {
  live: 'live and stale',
  age: 'age',
  lane: 'lane',
  state: 'state',
  verdict: 'verdict',
}

export function OrderChoice(): ReactNode {
  const order = useRoute((route) => route.order)
  return (
    <label className="field-inline">
      <span>order</span>
      <select
        data-testid="segment-order"
        value={order}
        onChange={(event) => {
          const wanted = segmentOrders.find((one) => one === event.target.value)
          if (wanted !== undefined) navigate({ order: wanted })
        }}
      >
        {segmentOrders.map((one) => (
          <option key={one} value={one}>
            {orderWords[one]}
          </option>
        ))}
      </select>
    </label>
  )
}

export function ColourChoice(): ReactNode {
  const colour = useRoute((route) => route.colour)
  return (
    <div className="segmented" role="group" aria-label="Colour of segments">
      {segmentColours.map((one) => (
        <button
          key={one}
          type="button"
          aria-pressed={colour === one}
          data-testid={`colour-${one}`}
          onClick={() => navigate({ colour: one })}
        >
          {colourWords[one]}
        </button>
      ))}
    </div>
  )
}

interface MapLegendProps {
  segments: readonly SegmentInfo[]
  painter: Painter
}

const MapLegend = memo(function MapLegend({ segments, painter }: MapLegendProps): ReactNode {
  const entries = useMemo(() => legendOf(segments, painter), [segments, painter])
  const unknown = useApp((state) => state.liveBytesUnknown)
  if (painter.paint === null) {
    return (
      <ul className="legend" aria-label="Legend">
        {unknown === null ? (
          <>
            <li>
              <span className="key key-live" /> live
            </li>
            <li>
              <span className="key key-stale" /> stale
            </li>
          </>
        ) : (
          <li title={unknown}>
            <span className="key key-unknown" /> live or stale: not known
          </li>
        )}
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
  return (
    <ul className="legend" aria-label="Legend">
      {entries.map((entry) => (
        <li key={entry.words}>
          <span className="key key-letter" style={{ background: `var(${entry.token})` }}>
            <span>{entry.letter}</span>
          </span>
          {entry.words} <span className="num">{formatCount(entry.count)}</span>
        </li>
      ))}
    </ul>
  )
})

/** The map of another view is as wide. */
const before: WidthBefore = { width: 0 }

interface SegmentBoardProps {
  /** Those shown, in their order. */
  segments: readonly SegmentInfo[]
  /** Between the legend and the map. */
  children?: ReactNode
}

/** Legend and map of segments, in the colour, magnification and choice that the address says. */
export function SegmentBoard({ segments, children }: SegmentBoardProps): ReactNode {
  const gone = useApp((state) => state.gone)
  const zoom = useRoute((route) => route.zoom)
  const first = useRoute((route) => route.mapAt)
  const chosen = useRoute((route) => route.chosen)
  const current = useRoute((route) => (route.drawer?.kind === 'segment' ? route.drawer.id : null))
  const theme = useUi((state) => state.theme)
  const marks = useMarks()
  const painter = usePainter()
  const [box, width] = useWidth<HTMLDivElement>(before)
  return (
    <>
      <div className="map-head">
        <MapLegend segments={segments} painter={painter} />
        <Leaving gone={gone} />
        <Zoom zoom={zoom} zoomMax={mapZoomMax(segments.length, width)} />
      </div>
      {children}
      <div ref={box} className="map">
        {width > 0 && (
          <SegmentMap
            segments={segments}
            marks={marks}
            painter={painter}
            chosen={chosen}
            current={current}
            theme={theme}
            width={width}
            zoom={zoom}
            onZoom={zoomTo}
            first={first}
            onFirst={(mapAt) => navigate({ mapAt })}
            onChoose={chooseSegment}
          />
        )}
      </div>
    </>
  )
}

/** Unmagnified the map has no place to be at. */
function zoomTo(zoom: number): void {
  navigate(zoom === 0 ? { zoom, mapAt: null } : { zoom })
}

const howToZoom =
  'The wheel with Ctrl or Cmd, two fingers, the keys + − 0 on the map; drawing over the map magnifies a part of it.'

function Zoom({ zoom: wanted, zoomMax }: { zoom: number; zoomMax: number }): ReactNode {
  if (zoomMax === 0) return null
  const zoom = Math.min(wanted, zoomMax)
  const percent = `${formatCount(Math.round(100 * ZOOM_FACTOR ** zoom))} %`
  const steps = [
    { name: 'out', words: '−', about: 'Smaller', to: zoom - 1, off: zoom === 0 },
    { name: 'reset', words: percent, about: `${percent}: back to all`, to: 0, off: zoom === 0 },
    { name: 'in', words: '+', about: 'Larger', to: zoom + 1, off: zoom === zoomMax },
  ]
  return (
    <div
      className="segmented map-zoom"
      role="group"
      aria-label="Magnification of the map"
      title={howToZoom}
      data-testid="map-zoom"
      data-zoom={zoom}
    >
      {steps.map(({ name, words, about, to, off }) => (
        <button
          key={name}
          type="button"
          className="num"
          data-testid={`zoom-${name}`}
          aria-label={about}
          // One that was disabled under somebody's finger would lose the focus.
          aria-disabled={off}
          onClick={off ? undefined : () => zoomTo(to)}
        >
          {words}
        </button>
      ))}
    </div>
  )
}

/** Deleted segments fade here once; what was deleted stays readable in the trace and in the pass. */
function Leaving({ gone }: { gone: readonly GoneSegment[] }): ReactNode {
  if (gone.length === 0) return null
  return (
    <p className="leaving" aria-hidden="true">
      {gone.slice(-6).map(({ segment, goneAtMs }) => (
        <span key={`${String(segment.segmentId)}-${String(goneAtMs)}`} className="leaving-one">
          {segmentLabel(segment.segmentId)} deleted, {formatBytes(segment.bytesTotal)}
        </span>
      ))}
    </p>
  )
}
