// Write amplification over time, under the bytes and on their axis. Own SVG: one line needs no more, and a
// third chart of the library would be drawn with every sample.
import { memo, type ReactNode } from 'react'
import { UNKNOWN } from '../lib/format.ts'
import { useWidth } from '../parts/hooks.ts'
import { cutOff, roundTicks, scaleOf } from './axis.ts'
import type { ChartSample } from './debt-over-time-series.ts'

interface AmplificationLaneProps {
  samples: readonly ChartSample[]
  span: { fromMs: number; toMs: number }
}

/** As the charts above it have them. */
const LEFT = 72
const RIGHT = 12
const TOP = 6
const HEIGHT = 48
const BOTTOM = 8

export const AmplificationLane = memo(function AmplificationLane(
  props: AmplificationLaneProps,
): ReactNode {
  const { samples, span } = props
  const [box, width] = useWidth<HTMLDivElement>()
  const known = samples.flatMap(({ writeAmplification }) => writeAmplification ?? [])
  // It begins at 1: less than what was written cannot be written.
  const scale = scaleOf(known.map((value) => value - 1))
  const above = roundTicks(Math.max(0.02, scale.maximum), 2)
  const peak = cutOff(scale, above)
  const ticks = above.map((tick) => tick + 1)
  const top = ticks.at(-1) ?? 2
  const plot = Math.max(10, width - LEFT - RIGHT)
  const { fromMs, toMs } = span
  const x = (atMs: number) => LEFT + ((atMs - fromMs) / Math.max(1, toMs - fromMs)) * plot
  const y = (value: number) => TOP + HEIGHT - ((Math.min(value, top) - 1) / (top - 1)) * HEIGHT
  return (
    <div ref={box} data-testid="amplification-lane" data-points={known.length}>
      <p className="chart-name">
        <span>
          <span className="key key-amplification" /> write amplification, over the last minute
        </span>
        {known.length === 0 && <span>nothing was written in the time shown</span>}
        {peak !== null && <span>peak of {timesText(peak + 1)} lies above the scale</span>}
      </p>
      {width > 0 && known.length > 0 && (
        <svg className="lane" width={width} height={TOP + HEIGHT + BOTTOM} aria-hidden="true">
          {ticks.map((tick) => (
            <g key={tick}>
              <line className="grid-line" x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} />
              <text className="axis-text" x={LEFT - 8} y={y(tick) + 4} textAnchor="end">
                {timesText(tick)}
              </text>
            </g>
          ))}
          <path className="amplification-line" d={linePath(samples, x, y)} />
        </svg>
      )}
    </div>
  )
})

/** A hole where nothing was written: there is no ratio then, and none is drawn. */
function linePath(
  samples: readonly ChartSample[],
  x: (atMs: number) => number,
  y: (value: number) => number,
): string {
  let path = ''
  let open = false
  for (const { atMs, writeAmplification } of samples) {
    if (writeAmplification !== null) {
      path += `${open ? 'L' : 'M'}${x(atMs).toFixed(1)} ${y(writeAmplification).toFixed(1)}`
    }
    open = writeAmplification !== null
  }
  return path
}

export function timesText(value: number | null): string {
  return value === null ? UNKNOWN : `${Number(value.toFixed(2)).toString()} ×`
}
