// The segment map for thousands of segments: one canvas over the part in sight, cells of equal size.
// After a change only the cells that changed are drawn again. A canvas cannot be read out, so the
// table beside it lists the same segments, and the arrow keys work here too.
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
import { plural, segmentLabel } from '../lib/format.ts'
import { MapBands, useMapZoom, type MapZoom } from './map-zoom.tsx'
import { paintWords, type Painter } from './segment-colour.ts'
import { segmentText, type SegmentMarks } from './segment-look.ts'
import {
  cellAt,
  cellBox,
  layoutGrid,
  moveInGrid,
  VIEW_HEIGHT_MAX,
  type GridLayout,
} from './segment-map-layout.ts'

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

interface SegmentCanvasProps extends SegmentMapProps {
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
  const drawing = useRef<Drawing | null>(null)
  // As the last scroll event had it: asking the element would lay the page out in the middle of a change.
  const scrollTop = useRef(0)
  const [hover, setHover] = useState<Hover | null>(null)
  const layout = layoutGrid(segments.length, width, zoom)
  const viewHeight = Math.min(layout.height, VIEW_HEIGHT_MAX)
  const gestures = useMapZoom(scroller, zooming)

  const draw = () => {
    const element = canvas.current
    if (element === null) return
    drawing.current ??= new Drawing(element)
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

// ---------------------------------------------------------------- drawing

interface Picture extends SegmentCanvasProps {
  layout: GridLayout
  viewHeight: number
  scrollTop: number
}

/** True when every cell lies where it lay, and a segment that is the same looks the same. */
function samePlaces(a: Picture, b: Picture): boolean {
  return (
    a.theme === b.theme &&
    a.scrollTop === b.scrollTop &&
    a.layout.count === b.layout.count &&
    a.layout.columns === b.layout.columns &&
    a.layout.cellHeight === b.layout.cellHeight &&
    a.marks === b.marks &&
    a.painter === b.painter
  )
}

const palettes = new Map<string, Map<string, string>>()

/** Colours by token, as they were read under this theme: each reading has the page's styles computed first. */
function paletteOf(theme: string): Map<string, string> {
  const key = `${theme} ${String(matchMedia('(prefers-color-scheme: dark)').matches)}`
  let palette = palettes.get(key)
  if (palette === undefined) palettes.set(key, (palette = new Map<string, string>()))
  return palette
}

const pixels = (length: number): number => Math.max(1, Math.floor(length * devicePixelRatio))

class Drawing {
  private readonly canvas: HTMLCanvasElement
  private before: Picture | null = null
  /** The segment drawn in each cell; the same object means the same picture, while the rest is the same. */
  private drawn: (SegmentInfo | undefined)[] = []
  /** Cells with a frame around them, and whether it is that of the open segment. */
  private readonly framed = new Map<number, boolean>()
  private palette = new Map<string, string>()
  /** What the context fills with; setting it costs more than comparing. */
  private filled = ''

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas
  }

  /** Everything is drawn again next time: the colours have changed. */
  forget(): void {
    this.before = null
  }

  /** Scrolls as little as it takes to show this segment, as it was drawn last. */
  bringIntoSight(id: SegmentId, scroller: HTMLElement): void {
    if (this.before === null) return
    const { segments, layout, viewHeight, scrollTop } = this.before
    const index = segments.findIndex((segment) => segment.segmentId === id)
    if (index === -1) return
    const { y, height } = cellBox(layout, index)
    if (y < scrollTop) scroller.scrollTop = y
    else if (y + height > scrollTop + viewHeight) scroller.scrollTop = y + height - viewHeight
  }

  draw(picture: Picture): void {
    if (this.shows(picture)) return
    const context = this.prepare(picture)
    if (context === null) return
    const { segments, layout, marks, painter, scrollTop, viewHeight } = picture
    const chosen = new Set(picture.chosen)
    const noFrames = this.framed.size === 0 && chosen.size === 0 && picture.current === null
    const first = Math.floor(scrollTop / layout.cellHeight) * layout.columns
    const last = Math.min(
      layout.count,
      Math.ceil((scrollTop + viewHeight) / layout.cellHeight) * layout.columns,
    )
    for (let index = first; index < last; index += 1) {
      const segment = segments[index]
      if (segment === undefined) continue
      if (noFrames && this.drawn[index] === segment) continue
      const isCurrent = segment.segmentId === picture.current
      const isFramed = isCurrent || chosen.has(segment.segmentId)
      const sameFrame = this.framed.get(index) === (isFramed ? isCurrent : undefined)
      if (sameFrame && this.drawn[index] === segment) continue
      this.drawn[index] = segment
      if (isFramed) this.framed.set(index, isCurrent)
      else this.framed.delete(index)
      const box = cellBox(layout, index)
      this.drawCell(
        context,
        {
          segment,
          look: marks(segment),
          paint: painter.paint?.(segment) ?? null,
          isCurrent,
          isFramed,
        },
        { ...box, y: box.y - scrollTop },
      )
    }
  }

  /** True when this very picture was drawn last, as after a move of the pointer. */
  private shows(picture: Picture): boolean {
    const { before } = this
    return (
      before !== null &&
      before.segments === picture.segments &&
      before.chosen === picture.chosen &&
      before.current === picture.current &&
      before.viewHeight === picture.viewHeight &&
      before.width === picture.width &&
      this.canvas.width === pixels(picture.width) &&
      samePlaces(before, picture)
    )
  }

  /** Sizes the canvas; forgets what was drawn when more than some cells are another picture now. */
  private prepare(picture: Picture): CanvasRenderingContext2D | null {
    const { before } = this
    const scale = devicePixelRatio
    const width = pixels(picture.width)
    const height = pixels(picture.viewHeight)
    const context = this.canvas.getContext('2d', { alpha: true })
    const same =
      this.canvas.width === width &&
      this.canvas.height === height &&
      before !== null &&
      samePlaces(before, picture)
    if (!same) {
      this.palette = paletteOf(picture.theme)
      this.canvas.width = width
      this.canvas.height = height
      context?.setTransform(scale, 0, 0, scale, 0, 0)
      this.drawn = []
      this.framed.clear()
      this.filled = ''
    }
    this.before = picture
    return context
  }

  private colour(token: string): string {
    let value = this.palette.get(token)
    if (value === undefined) {
      value = getComputedStyle(this.canvas).getPropertyValue(token).trim()
      this.palette.set(token, value)
    }
    return value
  }

  private fill(context: CanvasRenderingContext2D, token: string): void {
    if (this.filled === token) return
    this.filled = token
    context.fillStyle = this.colour(token)
  }

  private drawCell(
    context: CanvasRenderingContext2D,
    cell: {
      segment: SegmentInfo
      look: SegmentMarks
      paint: { token: string; letter: string } | null
      isCurrent: boolean
      isFramed: boolean
    },
    box: { x: number; y: number; width: number; height: number },
  ): void {
    const { segment, look, paint } = cell
    const { x, y, width, height } = box
    // Every cell is opaque, so that drawing it again covers what it was.
    if (paint === null && !look.bytesKnown) {
      this.drawHatch(context, box)
    } else if (paint === null) {
      const live = segment.bytesTotal === 0 ? 0 : (segment.bytesLive / segment.bytesTotal) * height
      this.fill(context, look.zombie ? '--kept' : '--stale')
      context.fillRect(x, y, width, height)
      this.fill(context, '--live')
      context.fillRect(x, y + height - live, width, live)
    } else {
      this.fill(context, paint.token)
      context.fillRect(x, y, width, height)
    }
    // Where a number does not fit, a bar on top is queued; a bar through is being rewritten.
    if (look.queued !== null) {
      this.fill(context, look.staged ? '--staged' : '--queued')
      context.fillRect(x, y, width, Math.max(2, height / 6))
    }
    if (look.rewriting) {
      this.fill(context, '--rewriting')
      context.fillRect(x, y + height / 2 - 1, width, Math.max(2, height / 4))
    }
    this.drawWords(context, cell, box)
    if (cell.isFramed) {
      context.strokeStyle = this.colour(cell.isCurrent ? '--text' : '--accent')
      context.lineWidth = 2
      // Inside of the cell, so that drawing it again leaves nothing of the frame.
      context.strokeRect(x + 1, y + 1, Math.max(width - 2, 1), Math.max(height - 2, 1))
    }
  }

  /** Neither live nor stale: what it is, is not known. */
  private drawHatch(
    context: CanvasRenderingContext2D,
    { x, y, width, height }: { x: number; y: number; width: number; height: number },
  ): void {
    context.fillStyle = this.colour('--surface')
    context.fillRect(x, y, width, height)
    context.save()
    context.beginPath()
    context.rect(x, y, width, height)
    context.clip()
    context.strokeStyle = this.colour('--line-strong')
    context.lineWidth = 1
    context.beginPath()
    for (let from = -height; from < width; from += 5) {
      context.moveTo(x + from, y + height)
      context.lineTo(x + from + height, y)
    }
    context.stroke()
    context.restore()
  }

  private drawWords(
    context: CanvasRenderingContext2D,
    { segment, paint }: { segment: SegmentInfo; paint: { letter: string } | null },
    { x, y, width, height }: { x: number; y: number; width: number; height: number },
  ): void {
    if (width < 12 || height < 12) return
    const words = width >= 44 ? segmentLabel(segment.segmentId) : (paint?.letter ?? '')
    if (words === '') return
    context.font = '11px system-ui, sans-serif'
    context.textAlign = 'center'
    context.textBaseline = 'middle'
    context.lineWidth = 3
    context.lineJoin = 'round'
    // An outline of the page's ground keeps the letters readable on every colour.
    context.strokeStyle = this.colour('--surface')
    context.strokeText(words, x + width / 2, y + height / 2)
    this.fill(context, '--text')
    context.fillText(words, x + width / 2, y + height / 2)
  }
}
