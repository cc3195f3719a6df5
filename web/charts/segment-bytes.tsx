// Total and live bytes of one segment, as steps: between two events nothing is known to have moved. Own
// SVG: it comes with every press on the map, and the library of the large charts takes frames for one.
import { useMemo, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { exactBytes, formatBytes, formatTime } from '../lib/format.ts'
import { ExportButtons } from '../parts/export-buttons.tsx'
import { useWidth, type WidthBefore } from '../parts/hooks.ts'
import type { SegmentPoint } from '../state/segment-history.ts'
import { byteTicks, timeTicks } from './axis.ts'
import { downsampleBy } from './downsample.ts'

interface SegmentBytesProps {
  points: readonly SegmentPoint[]
  /** The segment is still there: the last value goes on until now. null: it is gone. */
  openUntilMs: number | null
  name: string
}

const POINTS_MAX = 300
const LEFT = 60
const RIGHT = 8
const TOP = 6
const BOTTOM = 30
const HEIGHT = 120
const TIP_WIDTH = 304

const before: WidthBefore = { width: 0 }

export function SegmentBytes({ points, openUntilMs, name }: SegmentBytesProps): ReactNode {
  const picture = useRef<HTMLDivElement>(null)
  const last = points.at(-1)
  const data = useMemo(() => {
    const shown = downsampleBy(points, ['bytesTotal', 'bytesLive'], POINTS_MAX)
    const end = shown.at(-1)
    if (end === undefined || openUntilMs === null || openUntilMs <= end.atMs) return shown
    return [...shown, { ...end, atMs: openUntilMs }]
  }, [points, openUntilMs])
  return (
    <>
      <div ref={picture}>
        <Steps data={data} name={name} />
        <p className="chart-name">
          <span>
            <span className="key key-live" /> live
          </span>
          <span>
            <span className="key key-stale" /> stale
          </span>
          {openUntilMs !== null && last !== undefined && (
            <span>
              <span className="key key-open" /> now: it goes on
            </span>
          )}
        </p>
      </div>
      <ExportButtons
        name={`bytes-of-${name}`}
        picture={picture}
        rows={() =>
          points.map((point) => ({
            at_ms: point.atMs,
            bytes_total: point.bytesTotal,
            bytes_live: point.bytesLive,
          }))
        }
      />
    </>
  )
}

function Steps({ data, name }: { data: readonly SegmentPoint[]; name: string }): ReactNode {
  const [box, width] = useWidth<HTMLDivElement>(before)
  const [pointed, setPointed] = useState<number | null>(null)
  const from = data[0]?.atMs ?? 0
  const to = data.at(-1)?.atMs ?? 1
  const ticks = byteTicks(Math.max(1, ...data.map((point) => point.bytesTotal)), 2)
  const top = ticks.at(-1) ?? 1
  const right = Math.max(LEFT + 10, width - RIGHT)
  const bottom = HEIGHT - BOTTOM
  const x = (atMs: number) => LEFT + ((atMs - from) / Math.max(1, to - from)) * (right - LEFT)
  const y = (bytes: number) => bottom - (bytes / top) * (bottom - TOP)
  const at = pointed === null ? undefined : data[Math.min(pointed, data.length - 1)]
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
    if (step === undefined) return
    event.preventDefault()
    setPointed(Math.max(0, Math.min(data.length - 1, (pointed ?? data.length) + step)))
  }
  return (
    <div ref={box} className="segment-bytes">
      {width > 0 && (
        <svg
          width={width}
          height={HEIGHT}
          role="application"
          tabIndex={0}
          aria-label={`Live and stale bytes of ${name} over time. Arrow keys go from change to change.`}
          onKeyDown={onKeyDown}
          onBlur={() => setPointed(null)}
          onPointerLeave={() => setPointed(null)}
          onPointerMove={(event) => {
            const offset = event.clientX - event.currentTarget.getBoundingClientRect().left
            const atMs = from + ((offset - LEFT) / (right - LEFT)) * (to - from)
            const index = data.findLastIndex((point) => point.atMs <= atMs)
            setPointed(Math.max(0, index))
          }}
        >
          {ticks.map((tick) => (
            <g key={tick}>
              <line className="grid-line" x1={LEFT} x2={right} y1={y(tick)} y2={y(tick)} />
              <text className="axis-text" x={LEFT - 8} y={y(tick) + 4} textAnchor="end">
                {formatBytes(tick)}
              </text>
            </g>
          ))}
          {timeTicks(from, to, 3).map((tick) => (
            <text className="axis-text" key={tick} x={x(tick)} y={bottom + 18} textAnchor="middle">
              {formatTime(tick)}
            </text>
          ))}
          <path
            className="bytes-stale"
            d={stepPath(data, x, (point) => y(point.bytesTotal), bottom)}
          />
          <path
            className="bytes-live"
            d={stepPath(data, x, (point) => y(point.bytesLive), bottom)}
          />
          <path
            className="axis-line"
            d={`M${String(LEFT)} ${String(TOP)}V${String(bottom)}H${String(right)}`}
          />
          {at !== undefined && (
            <line className="axis-line" x1={x(at.atMs)} x2={x(at.atMs)} y1={TOP} y2={bottom} />
          )}
        </svg>
      )}
      {at !== undefined && (
        <div
          className="tip"
          role="status"
          style={{ left: Math.max(0, Math.min(x(at.atMs) + 8, width - TIP_WIDTH)) }}
        >
          <strong className="num">{formatTime(at.atMs, true)}</strong>
          <div className="num">
            {exactBytes(at.bytesLive)} live of {exactBytes(at.bytesTotal)}
          </div>
        </div>
      )}
    </div>
  )
}

/** The area below steps: each value holds until the next. */
function stepPath(
  data: readonly SegmentPoint[],
  x: (atMs: number) => number,
  y: (point: SegmentPoint) => number,
  bottom: number,
): string {
  let path = `M${x(data[0]?.atMs ?? 0).toFixed(1)} ${String(bottom)}`
  for (const point of data) path += `H${x(point.atMs).toFixed(1)}V${y(point).toFixed(1)}`
  return `${path}V${String(bottom)}Z`
}
