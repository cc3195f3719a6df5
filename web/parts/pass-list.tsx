// Passes one after another, each folded to its sentence; the last one, which ended it, is open.
import { useState, type ReactNode } from 'react'
import type { PassReport } from '../../server/protocol.ts'
import { shortNames } from '../lib/format.ts'
import { sourceWords } from '../lib/words.ts'
import { OutcomeBadge, PassReportView } from './pass-report.tsx'

export function PassList({ passes }: { passes: readonly PassReport[] }): ReactNode {
  const last = passes.at(-1)
  if (last === undefined) return <p className="muted">No pass ran.</p>
  return (
    <ol className="pass-list" aria-label="Passes, the oldest first">
      {passes.map((report) => (
        <PassItem key={report.passId} report={report} first={report === last} />
      ))}
    </ol>
  )
}

/** There may be hundreds: a report is drawn once somebody opens it. */
function PassItem({ report, first }: { report: PassReport; first: boolean }): ReactNode {
  const [open, setOpen] = useState(first)
  return (
    <li data-testid="pass-item" data-pass-id={report.passId}>
      <details className="fold" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <OutcomeBadge report={report} /> {sourceWords[report.source]}{' '}
          <span className="num muted">#{report.passId}</span>
          <span className="pass-item-text">{shortNames(report.sentence)}</span>
        </summary>
        {open && <PassReportView report={report} />}
      </details>
    </li>
  )
}
