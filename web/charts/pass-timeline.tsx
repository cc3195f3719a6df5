// Passes on a time axis: each a bar as high as it took long, split into plan, rewrite, GC, prune and rest,
// with what the foreground did at that time on the same axis under it. Own SVG, because a bar chart on
// a numeric axis needs bars of a fixed width at exact places.
import { useMemo, useRef, useState, type ReactNode } from 'react'
import type { LatencyInterval, MetricSample } from '../../server/protocol.ts'
import { formatCount, formatDuration, formatTime } from '../lib/format.ts'
import type { Span } from '../lib/time-span.ts'
import { outcomeWords, sourceWords } from '../lib/words.ts'
import { Brush } from '../parts/brush.tsx'
import { ExportButtons } from '../parts/export-buttons.tsx'
import { useWidth } from '../parts/hooks.ts'
import { passParts, passTimes, type PassPart } from '../state/pass-flow.ts'
import { roundTicks, timeTicks } from './axis.ts'
import { LANE, LEFT, PutLatency, PutRate, RIGHT } from './foreground-lanes.tsx'
import {
  intervalRows,
  passRow,
  recordedLatency,
  sampledLatency,
  secondRows,
  type TimelinePass,
} from './pass-timeline-series.ts'

const partTokens: Record<PassPart, string> = {
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
  /** What the foreground did, second by second or as it was recorded; null = not known, and not drawn. */
  foreground:
    | { kind: 'sampled'; samples: readonly MetricSample[] }
    | { kind: 'recorded'; intervals: readonly LatencyInterval[] }
    | null
  fromMs: number
  toMs: number
  /** A pass in the slot now, drawn open. */
  active: { passId: number; startedAtMs: number } | null
  current: number | null
  onOpen: (passId: number) => void
  /** A span of time was drawn over it. */
  onSpan: (span: Span) => void
}

const TOP = 8
const BARS = 150
const AXIS = 22
/** Above a lane: its name. */
const LANE_HEAD = 24
const LANES_TOP = TOP + BARS + AXIS
const BAR_WIDTH = 7

export function PassTimeline(props: PassTimelineProps): ReactNode {
  const { passes, foreground, fromMs, toMs, active, current, onOpen, onSpan } = props
  const samples = foreground?.kind === 'sampled' ? foreground.samples : null
  const intervals = foreground?.kind === 'recorded' ? foreground.intervals : null
  const [box, width] = useWidth<HTMLDivElement>()
  const picture = useRef<HTMLDivElement>(null)
  const [tip, setTip] = useState<TimelinePass | null>(null)
  const plot = Math.max(10, width - LEFT - RIGHT)
  const x = (atMs: number) => LEFT + ((atMs - fromMs) / Math.max(1, toMs - fromMs)) * plot
  const ticks = roundTicks(Math.max(1, ...passes.map(({ report }) => report.elapsedMs)))
  const top = ticks.at(-1) ?? 1
  const height = (ms: number) => (ms / top) * BARS
  const latency = useMemo(() => {
    if (samples !== null) return sampledLatency(samples, fromMs, toMs)
    return intervals === null ? null : recordedLatency(intervals, fromMs, toMs)
  }, [samples, intervals, fromMs, toMs])
  const lanes = samples !== null ? 2 : intervals !== null ? 1 : 0
  const lane = (index: number) => ({
    top: LANES_TOP + index * (LANE_HEAD + LANE) + LANE_HEAD,
    x,
    width,
  })
  return (
    <>
      <div ref={picture}>
        <Brush fromMs={fromMs} toMs={toMs} left={LEFT} right={RIGHT} onChoose={onSpan}>
          <div ref={box} className="timeline">
            {width > 0 && (
              <svg
                width={width}
                height={LANES_TOP + lanes * (LANE_HEAD + LANE) + (lanes === 0 ? 0 : 6)}
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
                  <PutRate samples={samples} fromMs={fromMs} toMs={toMs} {...lane(0)} />
                )}
                {latency !== null && (
                  <PutLatency
                    line={latency}
                    name={
                      samples === null
                        ? 'foreground put latency, as recorded'
                        : 'foreground put latency'
                    }
                    none={samples === null ? 'no put of this time is recorded' : 'no puts'}
                    {...lane(lanes - 1)}
                  />
                )}
              </svg>
            )}
            {tip !== null && (
              <Tip
                pass={tip}
                left={tipLeft(x(tip.report.startedAtMs), width)}
                hasSeconds={samples !== null}
              />
            )}
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
          {latency !== null && (
            <li>
              put latency{samples === null && ', an interval a step'}: line p99, dashes p50, marks
              the longest; each at most 6.25 % too high
            </li>
          )}
          {intervals !== null && <li>no line: no figures</li>}
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
        {intervals !== null && (
          <ExportButtons
            name="intervals"
            label="intervals"
            rows={() => intervalRows(intervals, fromMs, toMs)}
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

function noLatency(hasSeconds: boolean, put: number | null): string {
  if (!hasSeconds) return 'not recorded'
  return put === null ? 'not sampled' : 'nothing was put'
}

interface TipProps {
  pass: TimelinePass
  left: number
  /** Puts a second were sampled; the recording has latency alone. */
  hasSeconds: boolean
}

function Tip({ pass, left, hasSeconds }: TipProps): ReactNode {
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
        {hasSeconds && (
          <div className="tip-pair">
            <dt>foreground</dt>
            <dd>{put === null ? 'not sampled' : `${formatCount(Math.round(put))} puts/s`}</dd>
          </div>
        )}
        <dt>put p50 / p99</dt>
        <dd>
          {putLatency === null
            ? noLatency(hasSeconds, put)
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
