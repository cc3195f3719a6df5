// Passes on a time axis: each a bar as high as it took long, split into plan, rewrite, GC, prune and rest,
// with what the foreground did at that time on the same axis under it. Own SVG, because a bar chart on
// a numeric axis needs bars of a fixed width at exact places.
import { useMemo, useRef, useState, type ReactNode } from 'react'
import type { MetricSample } from '../../server/protocol.ts'
import { formatCount, formatDuration, formatTime } from '../lib/format.ts'
import type { Span } from '../lib/time-span.ts'
import { outcomeWords, sourceWords } from '../lib/words.ts'
import { Brush } from '../parts/brush.tsx'
import { ExportButtons } from '../parts/export-buttons.tsx'
import { useWidth } from '../parts/hooks.ts'
import { passParts, passTimes, type PassPart } from '../state/pass-flow.ts'
import { cutOff, roundTicks, scaleOf, timeTicks } from './axis.ts'
import { downsampleBy } from './downsample.ts'
import { latencyRuns, passRow, secondRows, type TimelinePass } from './pass-timeline-series.ts'

export const partTokens: Record<PassPart, string> = {
  plan: '--cat-2',
  rewrite: '--rewriting',
  gc: '--gone',
  prune: '--cat-4',
  other: '--seq-none',
}

const partWords: Record<PassPart, string> = {
  plan: 'plan',
  rewrite: 'rewrite',
  gc: 'GC',
  prune: 'prune',
  other: 'rest',
}

interface PassTimelineProps {
  passes: readonly TimelinePass[]
  /** null = what the foreground did is not known, and not drawn. */
  samples: readonly MetricSample[] | null
  fromMs: number
  toMs: number
  /** A pass in the slot now, drawn open. */
  active: { passId: number; startedAtMs: number } | null
  current: number | null
  onOpen: (passId: number) => void
  /** A span of time was drawn over it. */
  onSpan: (span: Span) => void
}

const LEFT = 72
const RIGHT = 12
const TOP = 8
const BARS = 150
const AXIS = 22
const RATE_TOP = TOP + BARS + AXIS + 18
const RATE = 60
const LATENCY_TOP = RATE_TOP + RATE + 24
const LATENCY = 60
const HEIGHT = LATENCY_TOP + LATENCY + 6
const BAR_WIDTH = 7

export function PassTimeline(props: PassTimelineProps): ReactNode {
  const { passes, samples, fromMs, toMs, active, current, onOpen, onSpan } = props
  const [box, width] = useWidth<HTMLDivElement>()
  const picture = useRef<HTMLDivElement>(null)
  const [tip, setTip] = useState<TimelinePass | null>(null)
  const plot = Math.max(10, width - LEFT - RIGHT)
  const x = (atMs: number) => LEFT + ((atMs - fromMs) / Math.max(1, toMs - fromMs)) * plot
  const ticks = roundTicks(Math.max(1, ...passes.map(({ report }) => report.elapsedMs)))
  const top = ticks.at(-1) ?? 1
  const height = (ms: number) => (ms / top) * BARS
  return (
    <>
      <div ref={picture}>
        <Brush fromMs={fromMs} toMs={toMs} left={LEFT} right={RIGHT} onChoose={onSpan}>
          <div ref={box} className="timeline">
            {width > 0 && (
              <svg
                width={width}
                height={samples === null ? RATE_TOP - 18 : HEIGHT}
                role="group"
                aria-label={`${String(passes.length)} passes on a time axis`}
              >
                {ticks.map((tick) => (
                  <g key={tick}>
                    <line
                      className="grid-line"
                      x1={LEFT}
                      x2={width - RIGHT}
                      y1={TOP + BARS - height(tick)}
                      y2={TOP + BARS - height(tick)}
                    />
                    <text
                      className="axis-text"
                      x={LEFT - 8}
                      y={TOP + BARS - height(tick) + 4}
                      textAnchor="end"
                    >
                      {formatDuration(tick)}
                    </text>
                  </g>
                ))}
                {timeTicks(fromMs, toMs, Math.max(2, Math.floor(plot / 120))).map((tick) => (
                  <text
                    key={tick}
                    className="axis-text"
                    x={x(tick)}
                    y={TOP + BARS + 16}
                    textAnchor={width - x(tick) < 40 ? 'end' : 'middle'}
                  >
                    {formatTime(tick)}
                  </text>
                ))}
                {passes.map((pass) => (
                  <PassBar
                    key={pass.report.passId}
                    pass={pass}
                    x={x(pass.report.startedAtMs)}
                    height={height}
                    current={pass.report.passId === current}
                    onTip={setTip}
                    onOpen={onOpen}
                  />
                ))}
                {active !== null && (
                  <g data-testid="open-pass">
                    <rect
                      className="bar-open"
                      x={x(active.startedAtMs) - BAR_WIDTH / 2}
                      y={TOP}
                      width={Math.max(BAR_WIDTH, x(toMs) - x(active.startedAtMs))}
                      height={BARS}
                    />
                    <title>Pass {active.passId} is running</title>
                  </g>
                )}
                {samples !== null && (
                  <>
                    <Rate samples={samples} fromMs={fromMs} toMs={toMs} x={x} width={width} />
                    <Latency samples={samples} fromMs={fromMs} toMs={toMs} x={x} width={width} />
                  </>
                )}
              </svg>
            )}
            {tip !== null && <Tip pass={tip} left={tipLeft(x(tip.report.startedAtMs), width)} />}
          </div>
        </Brush>
        <ul className="legend" aria-label="Legend">
          {passParts.map((part) => (
            <li key={part}>
              <span className="key" style={{ background: `var(${partTokens[part]})` }} />{' '}
              {partWords[part]}
            </li>
          ))}
          <li>
            <span className="key bar-open-key" /> running now
          </li>
          {samples !== null && (
            <li>
              put latency: line p99, dashes p50, marks the longest; each at most 6.25 % too high
            </li>
          )}
        </ul>
      </div>
      <span className="row tight">
        <ExportButtons name="passes" picture={picture} rows={() => passes.map(passRow)} />
        {samples !== null && (
          <ExportButtons
            name="seconds"
            label="seconds"
            rows={() => secondRows(samples, fromMs, toMs)}
          />
        )}
      </span>
    </>
  )
}

const TIP_WIDTH = 248
/** Between a bar and the tip beside it. */
const TIP_GAP = 16

/** On the right of the bar where there is room, else on its left: never over what it is about. */
function tipLeft(bar: number, width: number): number {
  const right = bar + TIP_GAP
  return right + TIP_WIDTH <= width ? right : Math.max(0, bar - TIP_GAP - TIP_WIDTH)
}

interface PassBarProps {
  pass: TimelinePass
  x: number
  height: (ms: number) => number
  current: boolean
  onTip: (pass: TimelinePass | null) => void
  onOpen: (passId: number) => void
}

function PassBar({ pass, x, height, current, onTip, onOpen }: PassBarProps): ReactNode {
  const { report } = pass
  const times = passTimes(report)
  let y = TOP + BARS
  const bars = passParts.flatMap((part) => {
    const size = height(times[part])
    if (size <= 0) return []
    y -= size
    return [{ part, y, size }]
  })
  return (
    <g
      className={current ? 'pass-bar pass-bar-current' : 'pass-bar'}
      role="button"
      tabIndex={0}
      data-testid="timeline-pass"
      data-pass-id={report.passId}
      aria-label={`Pass ${String(report.passId)}, ${sourceWords[report.source]}, ${outcomeWords[report.outcome]}, ${formatDuration(report.elapsedMs)}`}
      onMouseEnter={() => onTip(pass)}
      onMouseLeave={() => onTip(null)}
      onFocus={() => onTip(pass)}
      onBlur={() => onTip(null)}
      onClick={() => onOpen(report.passId)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return
        event.preventDefault()
        onOpen(report.passId)
      }}
    >
      <rect className="bar-target" x={x - 8} y={TOP} width={16} height={BARS} />
      {bars.map((bar) => (
        <rect
          key={bar.part}
          x={x - BAR_WIDTH / 2}
          y={bar.y}
          width={BAR_WIDTH}
          height={Math.max(1, bar.size)}
          fill={`var(${partTokens[bar.part]})`}
        />
      ))}
      <circle
        cx={x}
        cy={TOP + BARS}
        r={2.5}
        className={report.outcome === 'blocked' ? 'bar-foot bar-foot-blocked' : 'bar-foot'}
      />
    </g>
  )
}

function Tip({ pass, left }: { pass: TimelinePass; left: number }): ReactNode {
  const { report, put, putLatency } = pass
  const times = passTimes(report)
  return (
    <div className="tip timeline-tip" style={{ left, width: TIP_WIDTH }}>
      <strong>
        #{report.passId} {sourceWords[report.source]}, {outcomeWords[report.outcome]}
      </strong>
      <dl className="tip-list num">
        <dt>started</dt>
        <dd>{formatTime(report.startedAtMs, true)}</dd>
        {passParts.map((part) =>
          times[part] === 0 ? null : (
            <div key={part} className="tip-pair">
              <dt>{partWords[part]}</dt>
              <dd>{formatDuration(times[part])}</dd>
            </div>
          ),
        )}
        <dt>in all</dt>
        <dd>{formatDuration(report.elapsedMs)}</dd>
        <dt>foreground</dt>
        <dd>{put === null ? 'not sampled' : `${formatCount(Math.round(put))} puts/s`}</dd>
        <dt>put p50 / p99</dt>
        <dd>
          {putLatency === null
            ? put === null
              ? 'not sampled'
              : 'nothing was put'
            : `${formatDuration(putLatency.p50Ms)} / ${formatDuration(putLatency.p99Ms)}`}
        </dd>
        {putLatency !== null && (
          <div className="tip-pair">
            <dt>longest put</dt>
            <dd>{formatDuration(putLatency.maxMs)}</dd>
          </div>
        )}
      </dl>
    </div>
  )
}

/** A value that the scale of a lane leaves out, told where the lane ends. */
function PeakNote({ x, y, children }: { x: number; y: number; children: string }): ReactNode {
  return (
    <text className="axis-text" x={x} y={y} textAnchor="end" data-testid="lane-peak">
      ▲ peak {children}
    </text>
  )
}

interface RateProps {
  samples: readonly MetricSample[]
  fromMs: number
  toMs: number
  x: (atMs: number) => number
  width: number
}

/** Puts a second under the passes: a dip beside a bar is what the pass cost. */
function Rate({ samples, fromMs, toMs, x, width }: RateProps): ReactNode {
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
  const peak = cutOff(scale, ticks)
  const top = ticks.at(-1) ?? 1
  const y = (value: number) => RATE_TOP + RATE - (Math.min(value, top) / top) * RATE
  const path = shown
    .map(
      (sample, index) =>
        `${index === 0 ? 'M' : 'L'}${x(sample.atMs).toFixed(1)} ${y(sample.putsPerSecond).toFixed(1)}`,
    )
    .join('')
  return (
    <g>
      <text className="axis-text" x={LEFT} y={RATE_TOP - 6}>
        foreground puts a second
      </text>
      {peak !== null && (
        <PeakNote x={width - RIGHT} y={RATE_TOP - 6}>
          {formatCount(Math.round(peak))}
        </PeakNote>
      )}
      {ticks.map((tick) => (
        <g key={tick}>
          <line className="grid-line" x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} />
          <text className="axis-text" x={LEFT - 8} y={y(tick) + 4} textAnchor="end">
            {formatCount(tick)}
          </text>
        </g>
      ))}
      <path className="rate-line" d={path} />
    </g>
  )
}

/** Of foreground puts, second by second: p99 as a line, p50 under it, the longest as a tick above. */
function Latency({ samples, fromMs, toMs, x, width }: RateProps): ReactNode {
  const runs = useMemo(() => latencyRuns(samples, fromMs, toMs), [samples, fromMs, toMs])
  const points = runs.flat()
  const name = 'foreground put latency'
  if (points.length === 0) {
    return (
      <text className="axis-text" x={LEFT} y={LATENCY_TOP - 6} data-testid="latency-none">
        {name}: no puts
      </text>
    )
  }
  const scale = scaleOf(points.map(({ figures }) => figures.maxMs))
  const ticks = roundTicks(scale.maximum, 2)
  const peak = cutOff(scale, ticks)
  const top = ticks.at(-1) ?? 1
  const y = (ms: number) => LATENCY_TOP + LATENCY - (Math.min(ms, top) / top) * LATENCY
  const line = (of: 'p50Ms' | 'p99Ms') =>
    runs
      .map((run) =>
        run
          .map(
            ({ atMs, figures }, index) =>
              `${index === 0 ? 'M' : 'L'}${x(atMs).toFixed(1)} ${y(figures[of]).toFixed(1)}`,
          )
          .concat(run.length === 1 ? 'h0' : '')
          .join(''),
      )
      .join('')
  const longest = points
    .map(({ atMs, figures }) => `M${(x(atMs) - 2).toFixed(1)} ${y(figures.maxMs).toFixed(1)}h4`)
    .join('')
  return (
    <g data-testid="latency-lane" data-points={points.length}>
      <text className="axis-text" x={LEFT} y={LATENCY_TOP - 6}>
        {name}
      </text>
      {peak !== null && (
        <PeakNote x={width - RIGHT} y={LATENCY_TOP - 6}>
          {formatDuration(peak)}
        </PeakNote>
      )}
      {ticks.map((tick) => (
        <g key={tick}>
          <line className="grid-line" x1={LEFT} x2={width - RIGHT} y1={y(tick)} y2={y(tick)} />
          <text className="axis-text" x={LEFT - 8} y={y(tick) + 4} textAnchor="end">
            {formatDuration(tick)}
          </text>
        </g>
      ))}
      <path className="latency-max" d={longest} />
      <path className="rate-line latency-p50" d={line('p50Ms')} />
      <path className="rate-line" d={line('p99Ms')} />
    </g>
  )
}
