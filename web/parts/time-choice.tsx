// Which span of time the charts show: all that is held up to now, the last minutes, or one that a link
// fixed. A span that moves with the clock is not written into the address; a fixed one is.
import { useMemo, type ReactNode } from 'react'
import { formatTime } from '../lib/format.ts'
import { moved, zoomed, type Span } from '../lib/time-span.ts'
import { useApp } from '../state/store.ts'
import { navigate, useRoute } from '../state/ui-store.ts'

export interface TimeSpan extends Span {
  /** Ends at now and goes on. */
  open: boolean
}

/** The span shown, engine clock; null before the clock is known. `firstMs` is where what is held begins. */
export function useTimeSpan(firstMs: number): TimeSpan | null {
  const time = useRoute((route) => route.time)
  // Whole seconds: charts have no use for a new span with every frame.
  const nowMs = useApp((state) =>
    state.gauges === null ? null : Math.ceil(state.gauges.nowMs / 1000) * 1000,
  )
  return useMemo(() => {
    if (time !== null) return { ...time, open: false }
    if (nowMs === null) return null
    return { fromMs: Math.min(firstMs, nowMs - 10_000), toMs: nowMs, open: true }
  }, [time, nowMs, firstMs])
}

const lastMinutes = [1, 5, 30] as const

/** `firstMs` is where what is held begins, as for `useTimeSpan`. */
export function TimeChoice({ firstMs }: { firstMs: number }): ReactNode {
  const time = useRoute((route) => route.time)
  const span = useTimeSpan(firstMs)
  const nowMs = useApp((state) => state.gauges?.nowMs ?? null)
  const show = (minutes: number) => {
    if (nowMs === null) return
    const toMs = Math.round(nowMs)
    navigate({ time: { fromMs: toMs - minutes * 60_000, toMs } })
  }
  return (
    <div className="row">
      {time !== null && <FixedTime time={time} />}
      <div className="segmented" role="group" aria-label="Time shown">
        <button
          type="button"
          aria-pressed={time === null}
          data-testid="time-all"
          title="All that this page holds, up to now"
          onClick={() => navigate({ time: null })}
        >
          up to now
        </button>
        {lastMinutes.map((minutes) => (
          <button
            key={minutes}
            type="button"
            data-testid={`time-${String(minutes)}`}
            aria-pressed={false}
            title={`Fixes the last ${String(minutes)} min, also for the link`}
            onClick={() => show(minutes)}
          >
            {minutes} min
          </button>
        ))}
      </div>
      {span !== null && nowMs !== null && (
        <SpanButtons span={span} bounds={{ fromMs: firstMs, toMs: nowMs }} />
      )}
    </div>
  )
}

export function FixedTime({ time }: { time: Span }): ReactNode {
  return (
    <span className="muted num" data-testid="time-fixed">
      {formatTime(time.fromMs)} to {formatTime(time.toMs)}, fixed
    </span>
  )
}

/** Earlier, later, nearer, wider: what drawing over the chart does, for the keyboard too. */
export function SpanButtons({ span, bounds }: { span: Span; bounds: Span }): ReactNode {
  const atStart = span.fromMs <= bounds.fromMs
  const atEnd = span.toMs >= bounds.toMs
  const buttons = [
    { name: 'earlier', glyph: '◀', to: () => moved(span, -0.5, bounds), off: atStart },
    { name: 'nearer', glyph: '+', to: () => zoomed(span, 0.5, bounds), off: false },
    { name: 'wider', glyph: '−', to: () => zoomed(span, 2, bounds), off: atStart && atEnd },
    { name: 'later', glyph: '▶', to: () => moved(span, 0.5, bounds), off: atEnd },
  ]
  return (
    <div className="segmented" role="group" aria-label="Magnification of the time shown">
      {buttons.map(({ name, glyph, to, off }) => (
        <button
          key={name}
          type="button"
          data-testid={`span-${name}`}
          aria-label={name}
          title={`Time shown: ${name}. Drawing over the chart chooses a span, too.`}
          disabled={off}
          onClick={() => navigate({ time: to() })}
        >
          {glyph}
        </button>
      ))}
    </div>
  )
}
