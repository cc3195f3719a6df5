// The segment map of any size: elements while they are few, one canvas beyond.
import { useMemo, type ReactNode } from 'react'
import { useWidth } from '../parts/hooks.ts'
import { SegmentCanvas, type SegmentMapProps } from './segment-canvas.tsx'
import { DOM_TILES_MAX, layoutTiles } from './segment-map-layout.ts'
import { SegmentTiles } from './segment-tiles.tsx'

interface MapProps extends SegmentMapProps {
  theme: string
  zoom: number
  onZoom: (zoom: number) => void
}

export function SegmentMap(props: MapProps): ReactNode {
  const { segments } = props
  const [box, width] = useWidth<HTMLDivElement>()
  const few = segments.length <= DOM_TILES_MAX
  const layout = useMemo(
    () =>
      few
        ? layoutTiles(
            segments.map((segment) => segment.bytesTotal),
            width,
          )
        : null,
    [segments, width, few],
  )
  return (
    <div ref={box} className="map" style={layout === null ? undefined : { height: layout.height }}>
      {width > 0 &&
        (layout === null ? (
          <SegmentCanvas {...props} width={width} />
        ) : (
          <SegmentTiles {...props} layout={layout} />
        ))}
    </div>
  )
}
