// One pass in the drawer: the whole report, with ways to its events and out of the page. One of an earlier
// opening of the store comes from the recording.
import { useEffect, useState, type ReactNode } from 'react'
import type { HistoryPassBody, PassReport } from '../../server/protocol.ts'
import { formatCount } from '../lib/format.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { PassReportView } from '../parts/pass-report.tsx'
import { failureText } from '../state/older-events.ts'
import { streamOf } from '../state/openings.ts'
import { ask } from '../state/session.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { navigate } from '../state/ui-store.ts'

interface PassProps {
  id: number
  /** null: the present one. */
  opening: number | null
}

export function PassDetails({ id, opening }: PassProps): ReactNode {
  const isPresent = useApp((state) => streamOf(state, opening) === state.streamCount)
  const isLive = useIsLive()
  return isPresent || opening === null || !isLive ? (
    <PresentPass id={id} />
  ) : (
    <RecordedPass key={`${String(opening)},${String(id)}`} id={id} opening={opening} />
  )
}

function PresentPass({ id }: { id: number }): ReactNode {
  const run = useApp((state) => state.passes.findLast((one) => one.report.passId === id) ?? null)
  const active = useApp((state) => state.engine?.scheduler.activePass?.passId === id)
  if (run === null) {
    return (
      <>
        <p className="muted" data-testid="pass-unknown">
          {active
            ? 'This pass is running; its report comes when it ends.'
            : `This page does not hold pass ${String(id)}: it is older than the passes kept, or one of a run of passes that ended alike.`}
        </p>
        <EventsButton id={id} opening={null} />
      </>
    )
  }
  return (
    <Report
      id={id}
      opening={null}
      report={run.report}
      candidatesDropped={run.candidatesDropped === true}
    />
  )
}

function RecordedPass({ id, opening }: { id: number; opening: number }): ReactNode {
  const [answer, setAnswer] = useState<HistoryPassBody | string>()
  useEffect(() => {
    let isShown = true
    ask((api, storeId) => api.historyPass(storeId, opening, id)).then(
      (body) => isShown && setAnswer(body),
      (error: unknown) => isShown && setAnswer(failureText(error)),
    )
    return () => {
      isShown = false
    }
  }, [id, opening])
  const name = `Pass ${formatCount(id)} of opening ${formatCount(opening)}`
  if (answer === undefined) return <p className="muted">Loading it from the recording…</p>
  if (typeof answer === 'string') {
    return (
      <p className="bad">
        ✕ {name} was not loaded: {answer}
      </p>
    )
  }
  return (
    <>
      <p className="muted" data-testid="pass-opening">
        {name}, before the present one.
      </p>
      {answer.report === null ? (
        <>
          <p className="muted">Its end is not recorded, so there is no report of it.</p>
          <EventsButton id={id} opening={opening} />
        </>
      ) : (
        <Report id={id} opening={opening} report={answer.report} candidatesDropped={false} />
      )}
    </>
  )
}

interface ReportProps extends PassProps {
  report: PassReport
  candidatesDropped: boolean
}

function Report({ id, opening, report, candidatesDropped }: ReportProps): ReactNode {
  return (
    <>
      <PassReportView report={report} candidatesDropped={candidatesDropped} />
      <div className="row tight">
        <EventsButton id={id} opening={opening} />
        <CopyButton testId="copy-pass" text={() => JSON.stringify(report, null, 2)}>
          Copy report as JSON
        </CopyButton>
      </div>
    </>
  )
}

/** In a recorded moment the trace stands below it on the same view. */
function EventsButton({ id, opening }: PassProps): ReactNode {
  const isLive = useIsLive()
  return (
    <button
      type="button"
      className="button-small"
      onClick={() =>
        navigate({
          ...(isLive ? { view: 'trace' } : {}),
          tracePass: id,
          traceOpening: opening,
          traceAt: null,
        })
      }
    >
      Its events in the trace
    </button>
  )
}
