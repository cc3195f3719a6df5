// Live and stale bytes over time, passes marked on the time axis, and the churn under it on the same
// axis. Loaded lazily: recharts is the largest part of the page.
import { memo, type ReactNode } from 'react'
import {
  Area,
  AreaChart,
  CartesianGrid,
  Line,
  LineChart,
  ReferenceArea,
  ReferenceLine,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts'
import type { MetricSample } from '../../server/protocol.ts'
import { exactBytes, formatByteRate, formatBytes, formatCount, formatTime } from '../lib/format.ts'
import type { TimeSpan } from '../parts/time-choice.tsx'
import { byteTicks, timeTicks } from './axis.ts'
import type { PassMark } from './debt-over-time-series.ts'

interface DebtOverTimeProps {
  samples: readonly MetricSample[]
  marks: readonly PassMark[]
  /** The axis, whether or not samples cover all of it. */
  span: TimeSpan
  /** A pass in the slot now, drawn open up to the end of the axis. */
  active: { startedAtMs: number } | null
}

const axis = { stroke: 'var(--line-strong)', tick: { fill: 'var(--text-2)', fontSize: 12 } }
const margin = { top: 8, right: 12, bottom: 0, left: 0 }
const Y_WIDTH = 72

export const DebtOverTime = memo(function DebtOverTime({
  samples,
  marks,
  span,
  active,
}: DebtOverTimeProps): ReactNode {
  const data = samples as MetricSample[]
  const { fromMs, toMs } = span
  const bytes = byteTicks(Math.max(...samples.map((sample) => sample.bytesTotal), 1))
  const rates = byteTicks(
    Math.max(
      ...samples.map((sample) => Math.max(sample.bytesPutPerSecond, sample.rewriteBytesPerSecond)),
      1,
    ),
    2,
  )
  const time = {
    dataKey: 'atMs',
    type: 'number' as const,
    domain: [fromMs, toMs],
    allowDataOverflow: true,
    ticks: timeTicks(fromMs, toMs),
    tickFormatter: (value: number) => formatTime(value),
    ...axis,
  }
  return (
    <div className="charts">
      <ResponsiveContainer width="100%" height={220}>
        <AreaChart data={data} margin={margin} syncId="time" syncMethod="value">
          <CartesianGrid stroke="var(--line)" vertical={false} />
          <XAxis {...time} />
          <YAxis
            {...axis}
            width={Y_WIDTH}
            ticks={bytes}
            domain={[0, bytes.at(-1) ?? 1]}
            tickFormatter={(value: number) => formatBytes(value)}
          />
          <Tooltip
            isAnimationActive={false}
            content={({ payload }) => <SampleTip sample={sampleOf(payload)} marks={marks} />}
          />
          <Area
            dataKey="bytesLive"
            stackId="bytes"
            stroke="var(--live)"
            fill="var(--live)"
            fillOpacity={0.85}
            isAnimationActive={false}
          />
          <Area
            dataKey="bytesStale"
            stackId="bytes"
            stroke="var(--stale)"
            fill="var(--stale)"
            fillOpacity={0.65}
            isAnimationActive={false}
          />
          {marks.map((mark) => (
            <ReferenceLine
              key={mark.passId}
              x={mark.atMs}
              stroke="var(--text)"
              strokeDasharray={mark.outcome === 'staged' ? '2 3' : '0'}
              strokeOpacity={0.55}
            />
          ))}
          {openEnd(span, active)}
        </AreaChart>
      </ResponsiveContainer>
      <p className="chart-name">
        <span>Bytes a second:</span>
        <span>
          <span className="key key-put" /> written by the foreground
        </span>
        <span>
          <span className="key key-rewrite" /> copied by rewrites
        </span>
      </p>
      <ResponsiveContainer width="100%" height={96}>
        <LineChart data={data} margin={margin} syncId="time" syncMethod="value">
          <CartesianGrid stroke="var(--line)" vertical={false} />
          <XAxis {...time} hide />
          <YAxis
            {...axis}
            width={Y_WIDTH}
            ticks={rates}
            domain={[0, rates.at(-1) ?? 1]}
            tickFormatter={(value: number) => formatByteRate(value)}
          />
          <Tooltip isAnimationActive={false} content={() => null} />
          {openEnd(span, active)}
          <Line
            dataKey="bytesPutPerSecond"
            stroke="var(--queued)"
            dot={false}
            isAnimationActive={false}
          />
          <Line
            dataKey="rewriteBytesPerSecond"
            stroke="var(--rewriting)"
            strokeDasharray="4 2"
            dot={false}
            isAnimationActive={false}
          />
        </LineChart>
      </ResponsiveContainer>
    </div>
  )
})

/** Where the axis ends at now it is open, and so is the pass that runs. */
function openEnd(span: TimeSpan, active: DebtOverTimeProps['active']): ReactNode {
  if (!span.open) return null
  return (
    <>
      <ReferenceLine x={span.toMs} stroke="var(--line-strong)" strokeDasharray="3 3" />
      {active !== null && active.startedAtMs >= span.fromMs && (
        <ReferenceArea
          className="open-pass"
          x1={active.startedAtMs}
          x2={span.toMs}
          fill="var(--rewriting)"
          fillOpacity={0.12}
          stroke="var(--rewriting)"
          strokeDasharray="4 3"
        />
      )}
    </>
  )
}

function sampleOf(payload: unknown): MetricSample | null {
  if (!Array.isArray(payload)) return null
  const first = (payload as { payload?: MetricSample }[])[0]
  return first?.payload ?? null
}

/** The numbers under the pointer, and the pass nearest to it within two seconds. */
function SampleTip({
  sample,
  marks,
}: {
  sample: MetricSample | null
  marks: readonly PassMark[]
}): ReactNode {
  if (sample === null) return null
  const near = marks.find((mark) => Math.abs(mark.atMs - sample.atMs) <= 2000)
  return (
    <div className="tip">
      <strong className="num">{formatTime(sample.atMs)}</strong>
      <dl className="tip-list num">
        <dt>stale</dt>
        <dd>{formatBytes(sample.bytesStale)}</dd>
        <dt />
        <dd className="muted">{exactBytes(sample.bytesStale)}</dd>
        <dt>live</dt>
        <dd>{formatBytes(sample.bytesLive)}</dd>
        <dt />
        <dd className="muted">{exactBytes(sample.bytesLive)}</dd>
        <dt>queued</dt>
        <dd>{formatCount(sample.queueLength)}</dd>
        <dt>segments</dt>
        <dd>
          {formatCount(sample.segments)}, {formatCount(sample.zombies)} dead
        </dd>
        <dt>written</dt>
        <dd>{formatByteRate(sample.bytesPutPerSecond)}</dd>
        <dt>copied</dt>
        <dd>{formatByteRate(sample.rewriteBytesPerSecond)}</dd>
      </dl>
      {near !== undefined && (
        <p className="tip-pass">
          Pass {near.passId}: {near.sentence}
        </p>
      )}
    </div>
  )
}
