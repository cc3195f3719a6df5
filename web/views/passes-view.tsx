// Passes on a time axis with the foreground beside them, and as a list, newest first; one opens in the
// drawer and says why it did what it did.
import { useMemo, useState, type ReactNode } from 'react'
import type { PassOutcome, PassSource } from '../../server/protocol.ts'
import { PassTimeline } from '../charts/pass-timeline.tsx'
import { timelinePasses } from '../charts/pass-timeline-series.ts'
import { formatBytes, formatTime, plural, shortNames } from '../lib/format.ts'
import { gateWords, outcomeWords, sourceWords } from '../lib/words.ts'
import { Panel } from '../parts/panel.tsx'
import { OutcomeBadge } from '../parts/pass-report.tsx'
import { TimeChoice, useTimeSpan } from '../parts/time-choice.tsx'
import { Duration, Time } from '../parts/value.tsx'
import type { PassRun } from '../state/app-state.ts'
import { byteFlow } from '../state/pass-flow.ts'
import { blockersOf } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import { navigate, openDrawer, useRoute } from '../state/ui-store.ts'
import { Blockers } from './overview-panes.tsx'

const ROWS_AT_FIRST = 30

export function PassesView(): ReactNode {
  const passes = useApp((state) => state.passes)
  const source = useRoute((route) => route.passSource)
  const outcome = useRoute((route) => route.passOutcome)
  const shown = useMemo(
    () =>
      passes.filter(
        ({ report }) =>
          (source === null || report.source === source) &&
          (outcome === null || report.outcome === outcome),
      ),
    [passes, source, outcome],
  )
  const blockers = useMemo(() => blockersOf(passes), [passes])
  if (passes.length === 0) {
    return (
      <Panel id="passes" name="Passes" title="No pass has run yet">
        <p className="muted">Start one under Step, or let the scheduler do it.</p>
      </Panel>
    )
  }
  return (
    <>
      <Panel
        id="timeline"
        name="Passes over time"
        title={headline(passes)}
        aside={<TimeChoice firstMs={passes[0]?.firstStartedAtMs ?? 0} />}
      >
        <Timeline passes={shown} />
      </Panel>
      <div className="columns">
        <Panel id="passes" name="Passes" title={`${plural(shown.length, 'line')}, newest first`}>
          <Filters source={source} outcome={outcome} />
          <List shown={shown} />
        </Panel>
        <Panel
          id="blockers"
          name="What stopped passes"
          title={
            blockers[0] === undefined
              ? 'No pass was stopped by a gate'
              : `Most stop at “${gateWords[blockers[0].gate].toLowerCase()}”`
          }
        >
          <Blockers blockers={blockers} />
        </Panel>
      </div>
    </>
  )
}

function headline(passes: readonly PassRun[]): string {
  let freed = 0
  let copied = 0
  let rewrites = 0
  for (const { report } of passes) {
    const flow = byteFlow(report)
    if (flow === null) continue
    if (flow.sources.length > 0) rewrites += 1
    freed += flow.bytesDeleted
    copied += flow.bytesCopied
  }
  if (rewrites === 0) return 'No pass that this page knows has rewritten anything'
  return `${plural(rewrites, 'pass', 'passes')} rewrote: ${formatBytes(freed)} deleted for ${formatBytes(copied)} copied`
}

function Timeline({ passes }: { passes: readonly PassRun[] }): ReactNode {
  const samples = useApp((state) => state.samples)
  const active = useApp((state) => state.engine?.scheduler.activePass ?? null)
  const current = useRoute((route) => (route.drawer?.kind === 'pass' ? route.drawer.id : null))
  const firstMs = passes[0]?.firstStartedAtMs ?? 0
  const span = useTimeSpan(firstMs)
  const inSpan = useMemo(
    () => (span === null ? [] : timelinePasses(passes, samples, span.fromMs, span.toMs)),
    [passes, samples, span],
  )
  const foreground = useMemo(() => ({ kind: 'sampled' as const, samples }), [samples])
  if (span === null) return <p className="muted">The engine’s clock is not known yet.</p>
  return (
    <PassTimeline
      passes={inSpan}
      foreground={foreground}
      fromMs={span.fromMs}
      toMs={span.toMs}
      active={active}
      current={current}
      onSpan={(time) => navigate({ time })}
      onOpen={(id) => openDrawer({ kind: 'pass', id })}
    />
  )
}

function Filters({
  source,
  outcome,
}: {
  source: PassSource | null
  outcome: PassOutcome | null
}): ReactNode {
  const sources = Object.keys(sourceWords) as PassSource[]
  const outcomes = Object.keys(outcomeWords) as PassOutcome[]
  return (
    <div className="toolbar">
      <label className="field-inline">
        <span>source</span>
        <select
          data-key="filter"
          data-testid="pass-source"
          value={source ?? ''}
          onChange={(event) =>
            navigate({ passSource: sources.find((one) => one === event.target.value) ?? null })
          }
        >
          <option value="">all</option>
          {sources.map((one) => (
            <option key={one} value={one}>
              {sourceWords[one]}
            </option>
          ))}
        </select>
      </label>
      <label className="field-inline">
        <span>outcome</span>
        <select
          data-testid="pass-outcome-filter"
          value={outcome ?? ''}
          onChange={(event) =>
            navigate({ passOutcome: outcomes.find((one) => one === event.target.value) ?? null })
          }
        >
          <option value="">all</option>
          {outcomes.map((one) => (
            <option key={one} value={one}>
              {outcomeWords[one]}
            </option>
          ))}
        </select>
      </label>
    </div>
  )
}

function List({ shown }: { shown: readonly PassRun[] }): ReactNode {
  const current = useRoute((route) => (route.drawer?.kind === 'pass' ? route.drawer.id : null))
  const [all, setAll] = useState(false)
  const newest = [...shown].reverse()
  const rows = all ? newest : newest.slice(0, ROWS_AT_FIRST)
  if (rows.length === 0) return <p className="muted">No pass matches the filter.</p>
  return (
    <>
      <ol className="passes">
        {rows.map((run) => (
          <PassRow key={run.report.passId} run={run} open={current === run.report.passId} />
        ))}
      </ol>
      {newest.length > rows.length && (
        <button type="button" className="button-link" onClick={() => setAll(true)}>
          Show the other {newest.length - rows.length}
        </button>
      )}
    </>
  )
}

function PassRow({ run, open }: { run: PassRun; open: boolean }): ReactNode {
  const { report, repeats } = run
  return (
    <li data-testid="pass-row" data-pass-id={report.passId} data-outcome={report.outcome}>
      <button
        type="button"
        className={open ? 'pass-row pass-row-open' : 'pass-row'}
        aria-expanded={open}
        onClick={() => openDrawer({ kind: 'pass', id: report.passId })}
      >
        <span className="pass-row-head">
          <OutcomeBadge report={report} />
          <span>
            {sourceWords[report.source]} <span className="muted num">#{report.passId}</span>
          </span>
          {repeats > 1 && (
            <span className="badge" title={`Alike since ${formatTime(run.firstStartedAtMs)}`}>
              × {repeats} since {formatTime(run.firstStartedAtMs)}
            </span>
          )}
          <span className="spacer" />
          <span className="muted num">
            <Time value={report.startedAtMs} />, took <Duration value={report.elapsedMs} />
          </span>
        </span>
        <span className="pass-row-text">{shortNames(report.sentence)}</span>
      </button>
    </li>
  )
}
