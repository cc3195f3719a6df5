// The segment map of any size: elements while they are few, one canvas beyond; magnified the same way.
import { useMemo, type ReactNode } from 'react'
import type { SegmentId } from '../../server/protocol.ts'
import type { MapZoom } from './map-zoom.tsx'
import { SegmentCanvas, type SegmentMapProps } from './segment-canvas.tsx'
import {
  DOM_TILES_MAX,
  gridPlaces,
  gridZoomMax,
  layoutGrid,
  layoutTiles,
  tilePlaces,
  tileZoomMax,
  type Places,
} from './segment-map-layout.ts'
import { SegmentTiles } from './segment-tiles.tsx'

interface MapProps extends Omit<SegmentMapProps, 'zooming'> {
  theme: string
  zoom: number
  onZoom: (zoom: number) => void
  /** The first segment in sight; null: the map's beginning. */
  first: SegmentId | null
  onFirst: (id: SegmentId | null) => void
}

/** As far as the map of so many segments can be magnified; the steps of the address may be more. */
export function mapZoomMax(count: number, width: number): number {
  return count <= DOM_TILES_MAX ? tileZoomMax(count) : gridZoomMax(count, width)
}

export function SegmentMap(props: MapProps): ReactNode {
  const { segments, width, first, onFirst, onZoom } = props
  const few = segments.length <= DOM_TILES_MAX
  const zoomMax = mapZoomMax(segments.length, width)
  const zoom = Math.min(props.zoom, zoomMax)
  const layout = useMemo(
    () => (few ? layoutTiles(bytesOf(segments), width, zoom) : null),
    [segments, width, few, zoom],
  )
  const placesAt = (other: number): Places => {
    if (layout === null) return gridPlaces(layoutGrid(segments.length, width, other))
    return tilePlaces(other === zoom ? layout : layoutTiles(bytesOf(segments), width, other))
  }
  const firstIndex = segments.findIndex((segment) => segment.segmentId === first)
  const zooming: MapZoom = {
    zoom,
    zoomMax,
    onZoom,
    placesAt,
    firstIndex: firstIndex === -1 ? null : firstIndex,
    onFirst: (index) => onFirst(index === null ? null : (segments[index]?.segmentId ?? null)),
  }
  return layout === null ? (
    <SegmentCanvas {...props} zooming={zooming} />
  ) : (
    <SegmentTiles {...props} zooming={zooming} layout={layout} />
  )
}

function bytesOf(segments: MapProps['segments']): number[] {
  return segments.map((segment) => segment.bytesTotal)
}
