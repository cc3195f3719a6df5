// Live and stale bytes over time, passes marked on the time axis, and the churn under it on the same
// axis. Loaded lazily: recharts is the largest part of the page.
import { memo, useCallback, useMemo, type ReactNode } from 'react'
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
  usePlotArea,
} from 'recharts'
import { exactBytes, formatByteRate, formatBytes, formatCount, formatTime } from '../lib/format.ts'
import { useLater } from '../parts/hooks.ts'
import type { TimeSpan } from '../parts/time-choice.tsx'
import { AmplificationLane, timesText } from './amplification-lane.tsx'
import { byteTicks, cutOff, scaleOf, timeTicks, widerScale } from './axis.ts'
import type { ChartSample, PassMark } from './debt-over-time-series.ts'

interface DebtOverTimeProps {
  samples: readonly ChartSample[]
  marks: readonly PassMark[]
  /** The axis, whether or not samples cover all of it. */
  span: TimeSpan
  /** A pass in the slot now, drawn open up to the end of the axis. */
  active: { startedAtMs: number } | null
}

const axis = { stroke: 'var(--line-strong)', tick: { fill: 'var(--text-2)', fontSize: 12 } }
const margin = { top: 8, right: 12, bottom: 0, left: 0 }
/** The lowest label stands half below its line. */
const rateMargin = { ...margin, bottom: 8 }
const Y_WIDTH = 72
const RATE_TICKS = 2

/** Half a second: two charts drawn in one turn hold up twice as much. */
const RATES_LATER_MS = 500

export const DebtOverTime = memo(function DebtOverTime(props: DebtOverTimeProps): ReactNode {
  const { samples, span, active } = props
  const rates = useMemo(() => ({ samples, span, active }), [samples, span, active])
  const later = useLater(rates, RATES_LATER_MS)
  const peak = useMemo(() => ratesPeak(samples), [samples])
  return (
    <div className="charts">
      <BytesChart {...props} />
      <p className="chart-name">
        <span>Bytes a second:</span>
        <span>
          <span className="key key-put" /> written by the foreground
        </span>
        <span>
          <span className="key key-rewrite" /> copied by rewrites
        </span>
        {peak !== null && (
          <span data-testid="rates-peak">peak of {formatByteRate(peak)} lies above the scale</span>
        )}
      </p>
      <RatesChart {...(span.open ? later : rates)} />
      <AmplificationLane samples={samples} span={span} />
    </div>
  )
})

/** One for both rates; a first fill is cut off rather than flattening the rest. */
function ratesScale(samples: readonly ChartSample[]) {
  return widerScale(
    scaleOf(samples.map((sample) => sample.bytesPutPerSecond)),
    scaleOf(samples.map((sample) => sample.rewriteBytesPerSecond)),
  )
}

function ratesPeak(samples: readonly ChartSample[]): number | null {
  const scale = ratesScale(samples)
  return cutOff(scale, byteTicks(Math.max(1, scale.maximum), RATE_TICKS))
}

/** Functions that stay the same, or the chart sets up its axes anew with every sample. */
const clock = (value: number): string => formatTime(value)
const byteText = (value: number): string => formatBytes(value)
const rateText = (value: number): string => formatByteRate(value)
const noTip = (): null => null

function timeAxis({ fromMs, toMs }: TimeSpan) {
  return {
    dataKey: 'atMs',
    type: 'number' as const,
    domain: [fromMs, toMs],
    allowDataOverflow: true,
    ticks: timeTicks(fromMs, toMs),
    tickFormatter: clock,
    // Passes have the place of the ticks.
    tickLine: false,
    tickMargin: 12,
    ...axis,
  }
}

/** From 0 to the last tick for this maximum; the same objects while the ticks are the same. */
function useByteAxis(maximum: number, wanted?: number) {
  const texts = byteTicks(maximum, wanted).join(' ')
  return useMemo(() => {
    const ticks = texts.split(' ').map(Number)
    return { ticks, domain: [0, ticks.at(-1) ?? 1] }
  }, [texts])
}

const BytesChart = memo(function BytesChart(props: DebtOverTimeProps): ReactNode {
  const { samples, marks, span, active } = props
  const time = useMemo(() => timeAxis(span), [span])
  const bytes = useByteAxis(Math.max(...samples.map((sample) => sample.bytesTotal), 1))
  const tip = useCallback(
    ({ payload }: { payload?: unknown }) => <SampleTip sample={sampleOf(payload)} marks={marks} />,
    [marks],
  )
  return (
    <ResponsiveContainer width="100%" height={220}>
      <AreaChart data={samples} margin={margin} syncId="time" syncMethod="value">
        <CartesianGrid stroke="var(--line)" vertical={false} />
        <XAxis {...time} />
        <YAxis {...axis} {...bytes} width={Y_WIDTH} tickFormatter={byteText} />
        <Tooltip isAnimationActive={false} content={tip} />
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
        <PassTicks marks={marks} span={span} />
        {openEnd(span, active)}
      </AreaChart>
    </ResponsiveContainer>
  )
})

const RatesChart = memo(function RatesChart(props: Omit<DebtOverTimeProps, 'marks'>): ReactNode {
  const { samples, span, active } = props
  const time = useMemo(() => timeAxis(span), [span])
  const scale = useMemo(() => ratesScale(samples), [samples])
  const rates = useByteAxis(Math.max(1, scale.maximum), RATE_TICKS)
  return (
    <ResponsiveContainer width="100%" height={100}>
      <LineChart data={samples} margin={rateMargin} syncId="time" syncMethod="value">
        <CartesianGrid stroke="var(--line)" vertical={false} />
        <XAxis {...time} hide />
        <YAxis
          {...axis}
          {...rates}
          width={Y_WIDTH}
          interval={0}
          allowDataOverflow
          tickFormatter={rateText}
        />
        <Tooltip isAnimationActive={false} content={noTip} />
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
  )
})

/** Of a pass, below the axis. */
const TICK_HEIGHT = 7

/** Passes that did something, as ticks under the axis: a hundred of them are no fence through the bytes. */
function PassTicks({ marks, span }: { marks: readonly PassMark[]; span: TimeSpan }): ReactNode {
  const plot = usePlotArea()
  if (plot === undefined) return null
  const { fromMs, toMs } = span
  const x = (atMs: number) => plot.x + ((atMs - fromMs) / Math.max(1, toMs - fromMs)) * plot.width
  const top = plot.y + plot.height + 1
  const path = (of: (mark: PassMark) => boolean) =>
    marks
      .filter((mark) => of(mark) && mark.atMs >= fromMs && mark.atMs <= toMs)
      .map((mark) => `M${x(mark.atMs).toFixed(1)} ${String(top)}v${String(TICK_HEIGHT)}`)
      .join('')
  const isStaged = (mark: PassMark) => mark.outcome === 'staged'
  return (
    <g className="pass-ticks" data-count={marks.length} fill="none" strokeWidth={1.5}>
      <path d={path((mark) => !isStaged(mark))} stroke="var(--text)" />
      <path d={path(isStaged)} stroke="var(--staged)" strokeDasharray="2 1" />
    </g>
  )
}

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

function sampleOf(payload: unknown): ChartSample | null {
  if (!Array.isArray(payload)) return null
  const first = (payload as { payload?: ChartSample }[])[0]
  return first?.payload ?? null
}

/** The numbers under the pointer, and the pass nearest to it within two seconds. */
function SampleTip({
  sample,
  marks,
}: {
  sample: ChartSample | null
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
        <dt>write amplification</dt>
        <dd>{timesText(sample.writeAmplification)}</dd>
      </dl>
      {near !== undefined && (
        <p className="tip-pass">
          Pass {near.passId}: {near.sentence}
        </p>
      )}
    </div>
  )
}
