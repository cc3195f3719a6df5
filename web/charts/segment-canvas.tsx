// The segment map for thousands of segments: one canvas over the part in sight, cells of equal size. A
// canvas cannot be read out, so the table beside it lists the same segments, and the arrow keys work
// here too.
import {
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
} from 'react'
import type { SegmentId, SegmentInfo } from '../../server/protocol.ts'
import { plural } from '../lib/format.ts'
import { MapBands, useMapZoom, type MapZoom } from './map-zoom.tsx'
import { paintWords, type Painter } from './segment-colour.ts'
import { SegmentDrawing } from './segment-drawing.ts'
import { segmentText, type SegmentMarks } from './segment-look.ts'
import { cellAt, cellBox, layoutGrid, moveInGrid, VIEW_HEIGHT_MAX } from './segment-map-layout.ts'

export interface SegmentMapProps {
  segments: readonly SegmentInfo[]
  marks: (segment: SegmentInfo) => SegmentMarks
  painter: Painter
  chosen: readonly SegmentId[]
  /** The one open in the drawer. */
  current: SegmentId | null
  onChoose: (id: SegmentId, add: boolean) => void
  width: number
  zooming: MapZoom
}

export interface SegmentCanvasProps extends SegmentMapProps {
  /** Colours come from the stylesheet; a change of it draws everything again. */
  theme: string
}

/** The cell under the pointer, and where its tip stands. */
interface Hover {
  index: number
  segmentId: SegmentId
  zoom: number
  x: number
  y: number
}

export function SegmentCanvas(props: SegmentCanvasProps): ReactNode {
  const { segments, marks, painter, chosen, current, onChoose, width, zooming } = props
  const { zoom } = zooming
  const scroller = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const drawing = useRef<SegmentDrawing | null>(null)
  // As the last scroll event had it: asking the element would lay the page out in the middle of a change.
  const scrollTop = useRef(0)
  const [hover, setHover] = useState<Hover | null>(null)
  const layout = layoutGrid(segments.length, width, zoom)
  const viewHeight = Math.min(layout.height, VIEW_HEIGHT_MAX)
  const gestures = useMapZoom(scroller, zooming)

  const draw = () => {
    const element = canvas.current
    if (element === null) return
    drawing.current ??= new SegmentDrawing(element)
    drawing.current.draw({
      ...props,
      layout,
      viewHeight,
      scrollTop: scrollTop.current,
    })
  }
  useLayoutEffect(draw)
  useDarkChanges(() => {
    drawing.current?.forget()
    draw()
  })

  // Only a new choice scrolls; a change of bytes must not pull the map away from under the reader.
  useEffect(() => {
    if (current !== null && scroller.current !== null) {
      drawing.current?.bringIntoSight(current, scroller.current)
    }
  }, [current, zoom])

  const indexAt = (event: MouseEvent<HTMLElement>): number | null => {
    const box = event.currentTarget.getBoundingClientRect()
    return cellAt(
      layout,
      event.clientX - box.left,
      event.clientY - box.top + event.currentTarget.scrollTop,
    )
  }
  // The cells move under a pointer that stays: a tip is for the cell that it was made for, and no other.
  const at = hover?.zoom === zoom ? segments[hover.index] : undefined
  const under = at?.segmentId === hover?.segmentId ? at : undefined
  const onKeyDown = (event: KeyboardEvent) => {
    setHover(null)
    if (gestures.onKey(event.key)) {
      event.preventDefault()
      return
    }
    const from = segments.findIndex((segment) => segment.segmentId === current)
    const at = segments[from]
    if (event.key === ' ' && at !== undefined) {
      onChoose(at.segmentId, true)
      event.preventDefault()
      return
    }
    const to = moveInGrid(layout, Math.max(0, from), event.key)
    const next = to === null ? undefined : segments[from === -1 ? 0 : to]
    if (next === undefined) return
    event.preventDefault()
    onChoose(next.segmentId, false)
  }
  return (
    <div className="map-holder">
      <div
        ref={scroller}
        role="application"
        tabIndex={0}
        className="map-scroll"
        data-testid="segment-canvas"
        aria-label={`Map of ${plural(segments.length, 'segment')}; the table below lists them. Arrow keys choose one, plus and minus magnify, 0 shows all.`}
        style={{ height: viewHeight }}
        onScroll={(event) => {
          scrollTop.current = event.currentTarget.scrollTop
          setHover(null)
          draw()
          gestures.onScrolled()
        }}
        {...gestures.handlers}
        onMouseMove={(event) => {
          const index = indexAt(event)
          const segment = index === null ? undefined : segments[index]
          if (segment === undefined || index === null || gestures.range !== null) {
            setHover(null)
            return
          }
          const { x, y } = cellBox(layout, index)
          setHover({
            index,
            segmentId: segment.segmentId,
            zoom,
            x: Math.min(x, width - 280),
            y: y - event.currentTarget.scrollTop + layout.cellHeight + 4,
          })
        }}
        onMouseLeave={() => setHover(null)}
        onClick={(event) => {
          const index = indexAt(event)
          const segment = index === null ? undefined : segments[index]
          if (segment === undefined) return
          onChoose(segment.segmentId, event.ctrlKey || event.metaKey || event.shiftKey)
        }}
        onKeyDown={onKeyDown}
      >
        <div style={{ height: layout.height }}>
          <canvas ref={canvas} className="map-canvas" style={{ width, height: viewHeight }} />
          <MapBands zooming={zooming} range={gestures.range} />
        </div>
      </div>
      {hover !== null && under !== undefined && (
        <div
          className="tip map-tip"
          data-testid="map-tip"
          style={{ left: Math.max(0, hover.x), top: hover.y }}
        >
          {segmentText(under, marks(under))}
          {painter.paint !== null && `\n${paintWords(under, painter)}`}
        </div>
      )}
      <span className="sr-only" aria-live="polite">
        {chosen.length > 1 ? `${plural(chosen.length, 'segment')} chosen` : ''}
      </span>
    </div>
  )
}

function useDarkChanges(changed: () => void): void {
  const latest = useRef(changed)
  useEffect(() => {
    latest.current = changed
  })
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)')
    const onChange = () => latest.current()
    dark.addEventListener('change', onChange)
    return () => dark.removeEventListener('change', onChange)
  }, [])
}
