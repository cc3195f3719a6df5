// Total and live bytes of one segment, as steps: between two events nothing is known to have moved.
import { useMemo, useRef, type ReactNode } from 'react'
import {
  Area,
  AreaChart,
  CartesianGrid,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts'
import { exactBytes, formatBytes, formatTime } from '../lib/format.ts'
import { ExportButtons } from '../parts/export-buttons.tsx'
import type { SegmentPoint } from '../state/segment-history.ts'
import { byteTicks, timeTicks } from './axis.ts'
import { downsampleBy } from './downsample.ts'

interface SegmentBytesProps {
  points: readonly SegmentPoint[]
  /** The segment is still there: the last value goes on until now. null: it is gone. */
  openUntilMs: number | null
  name: string
}

const axis = { stroke: 'var(--line-strong)', tick: { fill: 'var(--text-2)', fontSize: 11 } }
const POINTS_MAX = 300

export function SegmentBytes({ points, openUntilMs, name }: SegmentBytesProps): ReactNode {
  const picture = useRef<HTMLDivElement>(null)
  const last = points.at(-1)
  const data = useMemo(() => {
    const shown = downsampleBy(points, ['bytesTotal', 'bytesLive'], POINTS_MAX)
    const end = shown.at(-1)
    if (end === undefined || openUntilMs === null || openUntilMs <= end.atMs) return shown
    return [...shown, { ...end, atMs: openUntilMs }]
  }, [points, openUntilMs])
  const from = data[0]?.atMs ?? 0
  const to = data.at(-1)?.atMs ?? 1
  const ticks = byteTicks(Math.max(1, ...data.map((point) => point.bytesTotal)), 2)
  return (
    <>
      <div ref={picture}>
        <ResponsiveContainer width="100%" height={120}>
          <AreaChart data={data} margin={{ top: 6, right: 8, bottom: 0, left: 0 }}>
            <CartesianGrid stroke="var(--line)" vertical={false} />
            <XAxis
              {...axis}
              dataKey="atMs"
              type="number"
              domain={[from, to]}
              ticks={timeTicks(from, to, 3)}
              tickFormatter={(value: number) => formatTime(value)}
            />
            <YAxis
              {...axis}
              width={60}
              ticks={ticks}
              domain={[0, ticks.at(-1) ?? 1]}
              tickFormatter={(value: number) => formatBytes(value)}
            />
            <Tooltip
              isAnimationActive={false}
              content={({ payload }) => <Tip payload={payload} />}
            />
            <Area
              type="stepAfter"
              dataKey="bytesTotal"
              stroke="var(--stale)"
              fill="var(--stale)"
              fillOpacity={0.65}
              isAnimationActive={false}
            />
            <Area
              type="stepAfter"
              dataKey="bytesLive"
              stroke="var(--live)"
              fill="var(--live)"
              fillOpacity={0.9}
              isAnimationActive={false}
            />
          </AreaChart>
        </ResponsiveContainer>
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

function Tip({ payload }: { payload: unknown }): ReactNode {
  const point = (payload as { payload?: SegmentPoint }[] | undefined)?.[0]?.payload
  if (point === undefined) return null
  return (
    <div className="tip">
      <strong className="num">{formatTime(point.atMs, true)}</strong>
      <div className="num">
        {exactBytes(point.bytesLive)} live of {exactBytes(point.bytesTotal)}
      </div>
    </div>
  )
}
