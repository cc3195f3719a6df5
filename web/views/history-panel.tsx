// Debt over time. The charts come with recharts, which is loaded when this panel is first drawn.
import { Suspense, lazy, useMemo, type ReactNode } from 'react'
import { downsample, passMarks } from '../charts/debt-over-time-series.ts'
import { formatBytes, formatDuration } from '../lib/format.ts'
import { Panel } from '../parts/panel.tsx'
import { useApp } from '../state/store.ts'

const DebtOverTime = lazy(async () => {
  const { DebtOverTime: component } = await import('../charts/debt-over-time.tsx')
  return { default: component }
})

export function HistoryPanel(): ReactNode {
  const samples = useApp((state) => state.samples)
  const passes = useApp((state) => state.passes)
  const shown = useMemo(() => downsample(samples), [samples])
  const marks = useMemo(() => passMarks(passes, samples), [passes, samples])
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined || samples.length < 2) {
    return (
      <Panel id="history" name="Over time" title="Not enough history yet">
        <p className="muted">A point is taken every second; the chart needs two.</p>
      </Panel>
    )
  }
  const change = last.bytesStale - first.bytesStale
  const span = formatDuration(last.atMs - first.atMs)
  const title =
    change === 0
      ? `Stale bytes unchanged over ${span}`
      : `Stale bytes ${change > 0 ? 'grew' : 'fell'} by ${formatBytes(Math.abs(change))} over ${span}`
  return (
    <Panel
      id="history"
      name="Over time"
      title={title}
      aside={
        <ul className="legend" aria-label="Legend">
          <li>
            <span className="key key-live" /> live
          </li>
          <li>
            <span className="key key-stale" /> stale
          </li>
          <li>
            <span className="key key-mark" /> pass
          </li>
        </ul>
      }
    >
      <Suspense fallback={<p className="muted chart-wait">Loading the charts.</p>}>
        <DebtOverTime samples={shown} marks={marks} />
      </Suspense>
    </Panel>
  )
}
