// Passes, newest first, each of which can be opened to see why it did what it did; and the gates
// that stopped most of them.
import { useState, type ReactNode } from 'react'
import { formatTime, plural, shortNames } from '../lib/format.ts'
import { gateWords, sourceWords } from '../lib/words.ts'
import { Panel } from '../parts/panel.tsx'
import { OutcomeBadge, PassReportView } from '../parts/pass-report.tsx'
import { Duration, Time } from '../parts/value.tsx'
import type { PassRun } from '../state/app-state.ts'
import { blockersOf } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'

const ROWS_AT_FIRST = 12

export function PassesPanel(): ReactNode {
  const passes = useApp((state) => state.passes)
  const attached = useApp((state) => state.store?.mode === 'attached')
  const [all, setAll] = useState(false)
  const [open, setOpen] = useState<number | null>(null)
  if (attached) return null
  const newest = [...passes].reverse()
  const shown = all ? newest : newest.slice(0, ROWS_AT_FIRST)
  const blockers = blockersOf(passes)
  const top = blockers[0]
  const title =
    passes.length === 0
      ? 'No pass has run yet'
      : top === undefined
        ? 'No pass was stopped by a gate'
        : `Most passes stop at “${gateWords[top.gate].toLowerCase()}”`
  return (
    <Panel id="passes" name="Passes" title={title}>
      {blockers.length > 0 && <Blockers blockers={blockers} />}
      {passes.length === 0 ? (
        <p className="muted">Start one with the buttons under Step, or let the scheduler do it.</p>
      ) : (
        <ol className="passes">
          {shown.map((run) => (
            <PassRow
              key={run.report.passId}
              run={run}
              open={open === run.report.passId}
              onToggle={() => setOpen(open === run.report.passId ? null : run.report.passId)}
            />
          ))}
        </ol>
      )}
      {newest.length > shown.length && (
        <button type="button" className="button-link" onClick={() => setAll(true)}>
          Show the other {newest.length - shown.length}
        </button>
      )}
    </Panel>
  )
}

function Blockers({ blockers }: { blockers: ReturnType<typeof blockersOf> }): ReactNode {
  const most = blockers[0]?.times ?? 1
  return (
    <ul className="blockers" aria-label="Gates by how often they stopped a pass">
      {blockers.slice(0, 4).map(({ gate, times }) => (
        <li key={gate}>
          <span className="blocker-name">{gateWords[gate]}</span>
          <span className="blocker-track" aria-hidden="true">
            <span style={{ width: `${String((times / most) * 100)}%` }} />
          </span>
          <span className="num">{plural(times, 'time')}</span>
        </li>
      ))}
    </ul>
  )
}

interface PassRowProps {
  run: PassRun
  open: boolean
  onToggle: () => void
}

function PassRow({ run, open, onToggle }: PassRowProps): ReactNode {
  const { report, repeats } = run
  return (
    <li data-testid="pass-row" data-pass-id={report.passId} data-outcome={report.outcome}>
      <button type="button" className="pass-row" aria-expanded={open} onClick={onToggle}>
        <span className="pass-row-head">
          <OutcomeBadge report={report} />
          <span>{sourceWords[report.source]}</span>
          {repeats > 1 && (
            <span className="badge" title={`Alike since ${formatTime(run.firstStartedAtMs)}`}>
              × {repeats} since {formatTime(run.firstStartedAtMs)}
            </span>
          )}
          <span className="spacer" />
          <span className="muted num">
            <Time value={report.endedAtMs} /> · <Duration value={report.elapsedMs} />
          </span>
        </span>
        <span className="pass-row-text">{shortNames(report.sentence)}</span>
      </button>
      {open && <PassReportView report={report} />}
    </li>
  )
}
