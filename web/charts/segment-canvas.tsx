// The segment map for thousands of segments: one canvas, the same layout as the tiles. A canvas
// cannot be read out, so the table beside it lists the same segments, and the arrow keys work here too.
import {
  useEffect,
  useRef,
  useState,
  type KeyboardEvent,
  type MouseEvent,
  type ReactNode,
} from 'react'
import { plural } from '../lib/format.ts'
import { segmentText } from './segment-look.ts'
import { moveInMap, tileAt } from './segment-map-layout.ts'
import type { SegmentMapProps } from './segment-tiles.tsx'

interface Palette {
  live: string
  stale: string
  queued: string
  rewriting: string
  kept: string
  text: string
  accent: string
}

function readPalette(element: HTMLElement): Palette {
  const style = getComputedStyle(element)
  const token = (name: string) => style.getPropertyValue(name).trim()
  return {
    live: token('--live'),
    stale: token('--stale'),
    queued: token('--queued'),
    rewriting: token('--rewriting'),
    kept: token('--kept'),
    text: token('--text'),
    accent: token('--accent'),
  }
}

export function SegmentCanvas(
  props: SegmentMapProps & { width: number; theme: string },
): ReactNode {
  const { segments, layout, marks, selected, onChoose, width, theme } = props
  const canvas = useRef<HTMLCanvasElement>(null)
  const [hover, setHover] = useState<string | null>(null)

  useEffect(() => {
    const element = canvas.current
    if (element === null) return
    // One drawing a frame, whatever number of changes came in.
    const frame = requestAnimationFrame(() => draw(element, props))
    return () => cancelAnimationFrame(frame)
  }, [props, theme])

  const at = (event: MouseEvent) => {
    const box = event.currentTarget.getBoundingClientRect()
    const tile = tileAt(layout, event.clientX - box.left, event.clientY - box.top)
    return tile === null ? undefined : segments[tile.index]
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const current = segments.findIndex((segment) => segment.segmentId === selected.at(-1))
    const to = moveInMap(layout, Math.max(0, current), event.key)
    const next = to === null ? undefined : segments[to]
    if (next === undefined) return
    event.preventDefault()
    onChoose(next.segmentId, event.shiftKey)
  }
  return (
    <canvas
      ref={canvas}
      role="img"
      tabIndex={0}
      className="map-canvas"
      aria-label={`Map of ${plural(segments.length, 'segment')}; the table below lists them. Arrow keys choose one.`}
      title={hover ?? undefined}
      style={{ width, height: layout.height }}
      onMouseMove={(event) => {
        const segment = at(event)
        setHover(segment === undefined ? null : segmentText(segment, marks(segment)))
      }}
      onMouseLeave={() => setHover(null)}
      onClick={(event) => {
        const segment = at(event)
        if (segment === undefined) return
        onChoose(segment.segmentId, event.ctrlKey || event.metaKey || event.shiftKey)
      }}
      onKeyDown={onKeyDown}
    />
  )
}

function draw(
  canvas: HTMLCanvasElement,
  { segments, layout, marks, selected, width }: SegmentMapProps & { width: number },
): void {
  const scale = devicePixelRatio
  canvas.width = Math.max(1, Math.floor(width * scale))
  canvas.height = Math.max(1, Math.floor(layout.height * scale))
  const context = canvas.getContext('2d')
  if (context === null) return
  const palette = readPalette(canvas)
  const chosen = new Set(selected)
  context.scale(scale, scale)
  segments.forEach((segment, index) => {
    const tile = layout.tiles[index]
    if (tile === undefined) return
    const { x, y, width: w } = tile
    const h = layout.tileHeight
    const look = marks(segment)
    const live = segment.bytesTotal === 0 ? 0 : (segment.bytesLive / segment.bytesTotal) * h
    context.fillStyle = look.zombie ? palette.kept : palette.stale
    context.fillRect(x, y, w, h - live)
    context.fillStyle = palette.live
    context.fillRect(x, y + h - live, w, live)
    // At this size a number does not fit: a bar on top is queued, a bar through is being rewritten.
    if (look.queued !== null) {
      context.fillStyle = palette.queued
      context.fillRect(x, y, w, Math.max(2, h / 5))
    }
    if (look.rewriting) {
      context.fillStyle = palette.rewriting
      context.fillRect(x, y + h / 2 - 1, w, Math.max(2, h / 4))
    }
    if (chosen.has(segment.segmentId)) {
      context.strokeStyle = palette.text
      context.lineWidth = 2
      context.strokeRect(x, y, Math.max(w, 3), h)
    }
  })
}
