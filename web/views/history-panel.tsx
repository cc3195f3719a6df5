// Debt over time. The charts come with recharts, which is loaded when this panel is first drawn.
import { Suspense, useMemo, useRef, type ComponentProps, type ReactNode } from 'react'
import type { MetricSample } from '../../server/protocol.ts'
import {
  downsample,
  passMarks,
  sampleRow,
  samplesIn,
  withAmplification,
} from '../charts/debt-over-time-series.ts'
import { formatBytes, formatDuration } from '../lib/format.ts'
import { Brush } from '../parts/brush.tsx'
import { ExportButtons } from '../parts/export-buttons.tsx'
import { useSettled, useThrottled } from '../parts/hooks.ts'
import { lazily } from '../parts/lazily.ts'
import { Panel } from '../parts/panel.tsx'
import { TimeChoice, useTimeSpan } from '../parts/time-choice.tsx'
import { useApp } from '../state/store.ts'
import { navigate } from '../state/ui-store.ts'

const DebtOverTime = lazily(async () => (await import('../charts/debt-over-time.tsx')).DebtOverTime)

/** Where the time axes of these charts begin and end, in pixels from the edges. */
const PLOT = { left: 72, right: 12 }

export function HistoryPanel(): ReactNode {
  const samples = useApp((state) => state.samples)
  const passes = useApp((state) => state.passes)
  const active = useApp((state) => state.engine?.scheduler.activePass ?? null)
  const picture = useRef<HTMLDivElement>(null)
  // Of another store, or of one opened again, nothing is carried on.
  const stream = useApp((state) => state.streamId)
  const span = useTimeSpan(samples[0]?.atMs ?? 0)
  const told = useMemo(() => withAmplification(samples), [samples])
  const within = useMemo(() => (span === null ? [] : samplesIn(told, span)), [told, span])
  const shown = useMemo(() => downsample(within), [within])
  const marks = useMemo(() => passMarks(passes, within), [passes, within])
  // Going to the view is answered by what is above the charts.
  const settled = useSettled('')
  const missing = whatIsMissing(samples, within)
  return (
    <Panel
      id="history"
      name="Over time"
      title={missing?.title ?? change(within)}
      aside={samples.length > 1 && <TimeChoice firstMs={samples[0]?.atMs ?? 0} />}
    >
      {missing === null && span !== null ? (
        <>
          <div ref={picture} className="picture">
            <Legend open={span.open} />
            <Brush {...span} {...PLOT} onChoose={(time) => navigate({ time })}>
              {settled ? (
                <Suspense fallback={<p className="muted chart-wait">Loading the charts.</p>}>
                  <SteadyDebt
                    key={stream}
                    samples={shown}
                    marks={marks}
                    span={span}
                    active={active}
                  />
                </Suspense>
              ) : (
                <div className="chart-wait" />
              )}
            </Brush>
          </div>
          <ExportButtons name="debt" picture={picture} rows={() => within.map(sampleRow)} />
        </>
      ) : (
        <p className="muted">{missing?.text}</p>
      )}
    </Panel>
  )
}

/**
 * Up to now, once a second: a sample, the clock's next second and a pass that begins each come at a
 * moment of their own, and drawing costs several frames. A span that the reader fixed shows at once.
 */
function SteadyDebt(wanted: ComponentProps<typeof DebtOverTime>): ReactNode {
  const steady = useThrottled(wanted, 1000)
  return <DebtOverTime {...(wanted.span.open && steady.span.open ? steady : wanted)} />
}

/** Why there is nothing to draw, and what would change that; null when there is. */
function whatIsMissing(
  samples: readonly MetricSample[],
  within: readonly MetricSample[],
): { title: string; text: string } | null {
  if (samples.length < 2) {
    const text = 'A point is taken every second of the engine’s clock; the chart needs two.'
    return { title: 'Not enough history yet', text }
  }
  if (within.length < 2) {
    const text =
      'This page holds the samples of an hour at most, from when it was opened or the store began.'
    return { title: 'Nothing was sampled in the time shown', text }
  }
  if (within.every((sample) => sample.bytesTotal === 0)) {
    const text = 'The chart begins with the first byte that is written.'
    return { title: 'The value log has been empty all the time', text }
  }
  return null
}

function change(within: readonly MetricSample[]): string {
  const [first, last] = [within[0], within.at(-1)]
  if (first === undefined || last === undefined) return 'Nothing was sampled'
  const bytes = last.bytesStale - first.bytesStale
  const span = formatDuration(last.atMs - first.atMs)
  if (bytes === 0) return `Stale bytes unchanged over ${span}`
  return `Stale bytes ${bytes > 0 ? 'grew' : 'fell'} by ${formatBytes(Math.abs(bytes))} over ${span}`
}

/** Part of the picture, so that a PNG of it explains itself. */
function Legend({ open }: { open: boolean }): ReactNode {
  return (
    <ul className="legend" aria-label="Legend">
      <li>
        <span className="key key-live" /> live
      </li>
      <li>
        <span className="key key-stale" /> stale
      </li>
      <li>
        <span className="key key-mark" /> pass that did something
      </li>
      <li>
        <span className="key key-mark key-mark-staged" /> pass that staged
      </li>
      {open && (
        <li>
          <span className="key key-open" /> now: it goes on
        </li>
      )}
    </ul>
  )
}
