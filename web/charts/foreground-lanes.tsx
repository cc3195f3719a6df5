// What the foreground did, as lanes on the time axis of the passes above them: puts a second, and how long
// puts took. Nothing is drawn where nothing is known.
import { useMemo, type ReactNode } from 'react'
import type { MetricSample } from '../../server/protocol.ts'
import { formatCount, formatDuration } from '../lib/format.ts'
import { cutOff, roundTicks, scaleOf } from './axis.ts'
import { downsampleBy } from './downsample.ts'
import type { LatencyLine } from './pass-timeline-series.ts'

/** Beside every lane: room for its ticks, and for a bar at its end. */
export const LEFT = 72
export const RIGHT = 12
export const LANE = 60

interface LaneProps {
  /** Of the lane itself; its name stands above. */
  top: number
  x: (atMs: number) => number
  width: number
}

interface FrameProps extends Omit<LaneProps, 'x'> {
  name: string
  /** In the lane's own measure. */
  ticks: readonly number[]
  /** A value that the scale leaves out; null = it has all. */
  peak: number | null
  format: (value: number) => string
  children: ReactNode
}

function Frame({ top, width, name, ticks, peak, format, children }: FrameProps): ReactNode {
  const y = yOf(top, ticks)
  return (
    <>
      <text className="axis-text" x={LEFT} y={top - 6}>
        {name}
      </text>
      {peak !== null && (
        <text
          className="axis-text"
          x={width - RIGHT}
          y={top - 6}
          textAnchor="end"
          data-testid="lane-peak"
        >
          ▲ peak {format(peak)}
        </text>
      )}
      {ticks.map((tick) => (
        <g key={tick}>
          <line className="grid-line" x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} />
          <text className="axis-text" x={LEFT - 8} y={y(tick) + 4} textAnchor="end">
            {format(tick)}
          </text>
        </g>
      ))}
      {children}
    </>
  )
}

function yOf(top: number, ticks: readonly number[]): (value: number) => number {
  const highest = ticks.at(-1) ?? 1
  return (value) => top + LANE - (Math.min(value, highest) / highest) * LANE
}

/** Puts a second under the passes: a dip beside a bar is what the pass cost. */
export function PutRate(
  props: LaneProps & { samples: readonly MetricSample[]; fromMs: number; toMs: number },
): ReactNode {
  const { samples, fromMs, toMs, top, x, width } = props
  const shown = useMemo(
    () =>
      downsampleBy(
        samples.filter((sample) => sample.atMs >= fromMs && sample.atMs <= toMs),
        ['putsPerSecond'],
        600,
      ),
    [samples, fromMs, toMs],
  )
  const scale = scaleOf(shown.map((sample) => sample.putsPerSecond))
  const ticks = roundTicks(Math.max(1, scale.maximum), 2)
  const y = yOf(top, ticks)
  const path = shown
    .map(
      (sample, index) =>
        `${index === 0 ? 'M' : 'L'}${x(sample.atMs).toFixed(1)} ${y(sample.putsPerSecond).toFixed(1)}`,
    )
    .join('')
  return (
    <g>
      <Frame
        top={top}
        width={width}
        name="foreground puts a second"
        ticks={ticks}
        peak={cutOff(scale, ticks)}
        format={(value) => formatCount(Math.round(value))}
      >
        <path className="rate-line" d={path} />
      </Frame>
    </g>
  )
}

/** A run that is no wider than this is drawn as dashes of it: a line of no length is not seen. */
const DASH = 4

/** p99 as a line, p50 under it, the longest as a dash above. */
export function PutLatency(
  props: LaneProps & {
    line: LatencyLine
    name: string
    /** Instead of a lane without any figures. */
    none: string
  },
): ReactNode {
  const { line, name, none, top, x, width } = props
  const { runs, marks } = line
  if (marks.length === 0) {
    return (
      <text className="axis-text" x={LEFT} y={top - 6} data-testid="latency-none">
        {name}: {none}
      </text>
    )
  }
  const scale = scaleOf(marks.map(({ maxMs }) => maxMs))
  const ticks = roundTicks(scale.maximum, 2)
  const y = yOf(top, ticks)
  const dash = (atMs: number, ms: number) =>
    `M${(x(atMs) - DASH / 2).toFixed(1)} ${y(ms).toFixed(1)}h${String(DASH)}`
  const path = (of: 'p50Ms' | 'p99Ms') =>
    runs
      .map((run) => {
        const [first, last] = [run[0], run.at(-1)]
        if (first === undefined || last === undefined) return ''
        if (x(last.atMs) - x(first.atMs) < DASH) {
          return run.map(({ atMs, figures }) => dash(atMs, figures[of])).join('')
        }
        return run
          .map(
            ({ atMs, figures }, index) =>
              `${index === 0 ? 'M' : 'L'}${x(atMs).toFixed(1)} ${y(figures[of]).toFixed(1)}`,
          )
          .join('')
      })
      .join('')
  return (
    <g data-testid="latency-lane" data-points={marks.length}>
      <Frame
        top={top}
        width={width}
        name={name}
        ticks={ticks}
        peak={cutOff(scale, ticks)}
        format={formatDuration}
      >
        <path
          className="latency-max"
          d={marks.map(({ atMs, maxMs }) => dash(atMs, maxMs)).join('')}
        />
        <path className="rate-line latency-p50" d={path('p50Ms')} />
        <path className="rate-line" d={path('p99Ms')} />
      </Frame>
    </g>
  )
}
