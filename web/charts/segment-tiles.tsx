// The segment map for up to a few hundred segments: one element each, so that moves are animated
// and each can be hovered and read out.
import { memo, useEffect, useMemo, useRef, type KeyboardEvent, type ReactNode } from 'react'
import type { SegmentId, SegmentInfo } from '../../server/protocol.ts'
import { segmentLabel } from '../lib/format.ts'
import { PinGlyph } from '../parts/glyphs.tsx'
import { MapBands, useMapZoom } from './map-zoom.tsx'
import type { SegmentMapProps } from './segment-canvas.tsx'
import { segmentText, segmentTitle, type SegmentMarks } from './segment-look.ts'
import { moveInMap, VIEW_HEIGHT_MAX, type MapLayout } from './segment-map-layout.ts'

/** Pixels around the tiles for the outline of a chosen one, which a scroller would cut off. */
const OUTLINE_ROOM = 4

export function SegmentTiles(props: SegmentMapProps & { layout: MapLayout }): ReactNode {
  const { segments, layout, marks, painter, current, onChoose, zooming } = props
  const chosen = useMemo(() => new Set(props.chosen), [props.chosen])
  const list = useRef<HTMLDivElement>(null)
  const scroller = useRef<HTMLDivElement>(null)
  const gestures = useMapZoom(scroller, zooming)
  const focusNext = useRef<SegmentId | null>(null)
  const currentIndex = segments.findIndex((segment) => segment.segmentId === current)
  const tabStop = currentIndex === -1 ? 0 : currentIndex

  useEffect(() => {
    if (focusNext.current === null) return
    const tile = list.current?.querySelector<HTMLElement>(
      `[data-segment-id="${String(focusNext.current)}"]`,
    )
    focusNext.current = null
    tile?.focus()
  })

  const onKeyDown = (event: KeyboardEvent) => {
    if (gestures.onKey(event.key)) {
      event.preventDefault()
      return
    }
    const target = (event.target as HTMLElement).closest<HTMLElement>('[data-index]')
    const from = Number(target?.dataset['index'] ?? tabStop)
    const at = segments[from]
    if (event.key === ' ' || event.key === 'Enter') {
      if (at !== undefined) onChoose(at.segmentId, event.key === ' ')
      event.preventDefault()
      return
    }
    const to = moveInMap(layout, from, event.key)
    const next = to === null ? undefined : segments[to]
    if (next === undefined) return
    event.preventDefault()
    focusNext.current = next.segmentId
    onChoose(next.segmentId, event.shiftKey && !chosen.has(next.segmentId))
  }

  // Unmagnified all of it is in sight, however narrow the page.
  const height =
    zooming.zoom === 0
      ? layout.height
      : Math.min(layout.height, Math.max(VIEW_HEIGHT_MAX, zooming.placesAt(0).height))
  return (
    <div
      ref={scroller}
      className="tiles-scroll"
      data-padding={OUTLINE_ROOM}
      style={{ height: height + 2 * OUTLINE_ROOM, padding: OUTLINE_ROOM, margin: -OUTLINE_ROOM }}
      onScroll={gestures.onScrolled}
      {...gestures.handlers}
    >
      <div
        ref={list}
        className="tiles"
        style={{ height: layout.height }}
        role="listbox"
        aria-label="Segments. Arrow keys move, space adds to the choice, plus and minus magnify, 0 shows all."
        aria-multiselectable="true"
        aria-orientation="horizontal"
        onKeyDown={onKeyDown}
      >
        {segments.map((segment, index) => {
          const tile = layout.tiles[index]
          if (tile === undefined) return null
          const look = marks(segment)
          const paint = painter.paint?.(segment) ?? null
          return (
            <Tile
              key={segment.segmentId}
              segment={segment}
              index={index}
              x={tile.x}
              y={tile.y}
              width={tile.width}
              height={layout.tileHeight}
              labelled={layout.rowHeight - layout.tileHeight > 12}
              look={lookKey(look)}
              text={segmentText(segment, look)}
              title={`${segmentTitle(segment, look)}${paint === null ? '' : `\n${paint.words}`}`}
              token={paint?.token ?? null}
              letter={paint?.letter ?? null}
              chosen={chosen.has(segment.segmentId) || segment.segmentId === current}
              tabStop={index === tabStop}
              onChoose={onChoose}
            />
          )
        })}
      </div>
      <MapBands zooming={zooming} range={gestures.range} inset={OUTLINE_ROOM} />
    </div>
  )
}

/** Marks as one string, so that a tile is drawn again only when one of them changes. */
function lookKey(marks: SegmentMarks): string {
  const words: string[] = []
  if (marks.queued !== null) words.push('queued')
  if (marks.staged) words.push('staged')
  if (marks.rewriting) words.push('rewriting')
  if (marks.pinned) words.push('pinned')
  if (marks.zombie) words.push('zombie')
  if (marks.active) words.push('active')
  // A painted tile says something else than its bytes.
  if (!marks.bytesKnown) words.push('unknown')
  return `${words.map((word) => `tile-${word}`).join(' ')}|${String(marks.queued ?? '')}`
}

interface TileProps {
  segment: SegmentInfo
  index: number
  x: number
  y: number
  width: number
  height: number
  labelled: boolean
  look: string
  text: string
  title: string
  /** Colour of the whole tile; null: split into live and stale. */
  token: string | null
  letter: string | null
  chosen: boolean
  tabStop: boolean
  onChoose: (id: SegmentId, add: boolean) => void
}

const Tile = memo(function Tile(props: TileProps): ReactNode {
  const { segment, look, width, token, letter } = props
  const [classes = '', place = ''] = look.split('|')
  const isUnknown = classes.includes('tile-unknown')
  const liveShare =
    isUnknown || segment.bytesTotal === 0 ? 0 : segment.bytesLive / segment.bytesTotal
  return (
    <div
      className={`tile ${classes}${props.chosen ? ' tile-chosen' : ''}`}
      role="option"
      aria-selected={props.chosen}
      aria-label={props.text}
      title={props.title}
      tabIndex={props.tabStop ? 0 : -1}
      data-testid="segment-tile"
      data-segment-id={segment.segmentId}
      data-index={props.index}
      style={{ transform: `translate(${String(props.x)}px, ${String(props.y)}px)`, width }}
      onClick={(event) =>
        props.onChoose(segment.segmentId, event.ctrlKey || event.metaKey || event.shiftKey)
      }
    >
      <div
        className={token === null ? 'tile-box' : 'tile-box tile-painted'}
        style={
          token === null
            ? { height: props.height }
            : { height: props.height, background: `var(${token})` }
        }
      >
        {token === null ? (
          <div className="tile-live" style={{ height: `${String(liveShare * 100)}%` }} />
        ) : (
          <span className="tile-letter">{letter}</span>
        )}
        {place !== '' && <span className="tile-place">{place}</span>}
        {classes.includes('tile-pinned') && (
          <span className="tile-pin">
            <PinGlyph />
          </span>
        )}
      </div>
      {props.labelled && (
        <div className="tile-label num">
          {width >= 36 ? segmentLabel(segment.segmentId) : segment.seq}
        </div>
      )}
    </div>
  )
})
