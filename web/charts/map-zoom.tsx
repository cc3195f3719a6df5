// Magnifying a segment map, whichever way it is drawn: wheel with Ctrl or Cmd (which a pinch on a touchpad
// sends, too), two fingers, keys, and drawing over a run of cells. What was under the pointer stays there.
import {
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type MouseEvent,
  type PointerEvent,
  type ReactNode,
  type RefObject,
} from 'react'
import {
  bandsOf,
  ZOOM_FACTOR,
  zoomToShow,
  type CellRange,
  type Places,
} from './segment-map-layout.ts'

export interface MapZoom {
  zoom: number
  /** As far as this map goes. */
  zoomMax: number
  onZoom: (zoom: number) => void
  placesAt: (zoom: number) => Places
  /** The first cell in sight, as the address has it; null: the beginning. */
  firstIndex: number | null
  onFirst: (index: number | null) => void
}

/** A point of the map that stays where it is in sight while the cells around it grow. */
interface Anchor {
  index: number
  /** Of the cell's height, from its top. */
  share: number
  /** Pixels below the top of what is in sight. */
  y: number
}

/** A press that moves less is a click. */
const MOVES_PX = 6
/** A notch of a wheel has about 100; a pinch comes in small pieces. */
const WHEEL_STEP = 40
const LINE_PX = 16
/** The address follows the scrolling once it rests: browsers limit how often it may change. */
const RESTS_MS = 250

export function useMapZoom(scroller: RefObject<HTMLElement | null>, map: MapZoom) {
  const { zoom, zoomMax, onZoom } = map
  const anchor = useRef<Anchor | null>(null)
  const stepTo = (wanted: number, at: Anchor | null) => {
    const next = Math.max(0, Math.min(zoomMax, wanted))
    if (next === zoom) return
    anchor.current = at
    onZoom(next)
  }
  const latest = useRef({ map, stepTo })
  useLayoutEffect(() => {
    latest.current = { map, stepTo }
  })
  useAnchor(scroller, map, anchor)
  useWheel(scroller, latest)
  useTwoFingers(scroller, latest)
  const restTimer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(restTimer.current), [])
  return {
    ...useDrawnRange(map, anchor),
    /** True when the key was one of the map's. */
    onKey: (key: string): boolean => {
      if (key === '0') stepTo(0, null)
      else if (key === '+' || key === '=') stepTo(zoom + 1, null)
      else if (key === '-') stepTo(zoom - 1, null)
      else return false
      return true
    },
    onScrolled: () => {
      clearTimeout(restTimer.current)
      restTimer.current = setTimeout(
        () => tellFirst(scroller.current, latest.current.map),
        RESTS_MS,
      )
    },
  }
}

type Latest = RefObject<{ map: MapZoom; stepTo: (wanted: number, at: Anchor | null) => void }>

/** The first cell of the row at this height. */
function firstAt(places: Places, y: number): number {
  let low = 0
  let high = places.count - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    const box = places.boxOf(middle)
    if (box.y + box.height > y) high = middle
    else low = middle + 1
  }
  return Math.max(0, low)
}

function tellFirst(element: HTMLElement | null, { zoom, placesAt, onFirst }: MapZoom): void {
  if (element === null) return
  onFirst(element.scrollTop === 0 ? null : firstAt(placesAt(zoom), element.scrollTop))
}

/** Where a pointer is in the map. */
function pointIn(element: HTMLElement, at: { clientX: number; clientY: number }) {
  const box = element.getBoundingClientRect()
  const x = at.clientX - box.left - element.clientLeft - padding(element)
  const inSight = at.clientY - box.top - element.clientTop - padding(element)
  return { x, y: inSight + element.scrollTop, inSight }
}

/** Room around the cells for their outlines, the same on all sides. */
function padding(element: HTMLElement): number {
  return Number(element.dataset['padding'] ?? 0)
}

function anchorAt(
  element: HTMLElement,
  places: Places,
  at: { clientX: number; clientY: number },
): Anchor | null {
  const { x, y, inSight } = pointIn(element, at)
  const index = places.at(x, y)
  if (index === null) return null
  const box = places.boxOf(index)
  return { index, share: (y - box.y) / box.height, y: inSight }
}

/** Keeps the anchor in its place after a step; without one the first cell in sight stays the first. */
function useAnchor(
  scroller: RefObject<HTMLElement | null>,
  { zoom, placesAt, firstIndex }: MapZoom,
  anchor: RefObject<Anchor | null>,
): void {
  const places = placesAt(zoom)
  const before = useRef<{ zoom: number; places: Places } | null>(null)
  useLayoutEffect(() => {
    const element = scroller.current
    const was = before.current
    before.current = { zoom, places }
    if (element === null || was?.zoom === zoom) return
    const index = was === null ? firstIndex : firstAt(was.places, element.scrollTop)
    const at = anchor.current ?? (index === null ? null : { index, share: 0, y: 0 })
    anchor.current = null
    if (at === null) return
    const box = places.boxOf(at.index)
    element.scrollTop = box.y + at.share * box.height - at.y
  })
}

function useWheel(scroller: RefObject<HTMLElement | null>, latest: Latest): void {
  useEffect(() => {
    const element = scroller.current
    if (element === null) return
    let turned = 0
    const onWheel = (event: WheelEvent) => {
      if (!event.ctrlKey && !event.metaKey) return
      // Not the page: a browser would magnify all of it.
      event.preventDefault()
      turned +=
        event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_PX : event.deltaY
      if (Math.abs(turned) < WHEEL_STEP) return
      const { map, stepTo } = latest.current
      stepTo(map.zoom + (turned < 0 ? 1 : -1), anchorAt(element, map.placesAt(map.zoom), event))
      turned = 0
    }
    element.addEventListener('wheel', onWheel, { passive: false })
    return () => element.removeEventListener('wheel', onWheel)
  }, [scroller, latest])
}

function useTwoFingers(scroller: RefObject<HTMLElement | null>, latest: Latest): void {
  useEffect(() => {
    const element = scroller.current
    if (element === null) return
    let start: { apart: number; zoom: number } | null = null
    const apartOf = ([a, b]: Touch[]): number =>
      a === undefined || b === undefined
        ? 0
        : Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)
    const onStart = ({ touches }: TouchEvent) => {
      const apart = apartOf([...touches])
      start = touches.length === 2 && apart > 0 ? { apart, zoom: latest.current.map.zoom } : null
    }
    const onMove = (event: TouchEvent) => {
      const [a, b] = event.touches
      if (start === null || a === undefined || b === undefined) return
      event.preventDefault()
      const { map, stepTo } = latest.current
      const factor = apartOf([a, b]) / start.apart
      const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 }
      stepTo(
        start.zoom + Math.round(Math.log(factor) / Math.log(ZOOM_FACTOR)),
        anchorAt(element, map.placesAt(map.zoom), middle),
      )
    }
    element.addEventListener('touchstart', onStart, { passive: true })
    element.addEventListener('touchmove', onMove, { passive: false })
    return () => {
      element.removeEventListener('touchstart', onStart)
      element.removeEventListener('touchmove', onMove)
    }
  }, [scroller, latest])
}

/** Drawing over a run of cells magnifies until they fill what is in sight. */
function useDrawnRange(
  { zoom, zoomMax, onZoom, placesAt }: MapZoom,
  anchor: RefObject<Anchor | null>,
) {
  const press = useRef<{ index: number; clientX: number; clientY: number } | null>(null)
  /** The click that ends a drawing chooses nothing. */
  const hasDrawn = useRef(false)
  const [drawn, setDrawn] = useState<{ start: number; end: number } | null>(null)
  const range: CellRange | null =
    drawn === null
      ? null
      : { from: Math.min(drawn.start, drawn.end), to: Math.max(drawn.start, drawn.end) }
  const places = placesAt(zoom)
  const end = () => {
    press.current = null
    setDrawn(null)
  }
  useEscape(drawn !== null, end)
  const show = ({ from, to }: CellRange, element: HTMLElement) => {
    const next = zoomToShow({ from, to }, placesAt, {
      viewHeight: element.clientHeight,
      least: zoom,
      most: zoomMax,
    })
    if (next === zoom) {
      element.scrollTop = places.boxOf(from).y
      return
    }
    anchor.current = { index: from, share: 0, y: 0 }
    onZoom(next)
  }
  return {
    range,
    handlers: {
      onPointerDown: (event: PointerEvent<HTMLElement>) => {
        hasDrawn.current = false
        // A finger scrolls; with a key held down a press adds to the choice.
        if (event.button !== 0 || event.pointerType === 'touch') return
        if (event.ctrlKey || event.metaKey || event.shiftKey) return
        const { x, y } = pointIn(event.currentTarget, event)
        const index = places.at(x, y)
        const { clientX, clientY } = event
        press.current = index === null ? null : { index, clientX, clientY }
      },
      onPointerMove: (event: PointerEvent<HTMLElement>) => {
        const from = press.current
        if (from === null) return
        const moved = Math.hypot(event.clientX - from.clientX, event.clientY - from.clientY)
        if (drawn === null && moved < MOVES_PX) return
        const { x, y } = pointIn(event.currentTarget, event)
        const index = places.at(x, y) ?? drawn?.end ?? from.index
        if (drawn === null) {
          if (index === from.index) return
          event.currentTarget.setPointerCapture(event.pointerId)
          hasDrawn.current = true
        }
        if (drawn?.end !== index) setDrawn({ start: from.index, end: index })
      },
      onPointerUp: (event: PointerEvent<HTMLElement>) => {
        if (range !== null && range.from < range.to) show(range, event.currentTarget)
        end()
      },
      onPointerCancel: end,
      onClickCapture: (event: MouseEvent) => {
        if (!hasDrawn.current) return
        hasDrawn.current = false
        event.stopPropagation()
      },
    },
  }
}

/** While something is drawn Escape ends that, and nothing else. */
function useEscape(isDrawn: boolean, end: () => void): void {
  const latest = useRef(end)
  useLayoutEffect(() => {
    latest.current = end
  })
  useEffect(() => {
    if (!isDrawn) return
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      latest.current()
    }
    addEventListener('keydown', onKeyDown, { capture: true })
    return () => removeEventListener('keydown', onKeyDown, { capture: true })
  }, [isDrawn])
}

interface MapBandsProps {
  zooming: MapZoom
  range: CellRange | null
  /** Pixels between the cells and the edge of what holds them. */
  inset?: number
}

/** The run of cells that is being drawn over. */
export function MapBands({ zooming, range, inset = 0 }: MapBandsProps): ReactNode {
  if (range === null) return null
  return bandsOf(zooming.placesAt(zooming.zoom), range).map(({ x, y, width, height }) => (
    <div
      key={y}
      className="map-band"
      data-testid="map-band"
      style={{ left: x + inset, top: y + inset, width, height }}
    />
  ))
}
