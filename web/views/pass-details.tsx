// One pass in the drawer: the whole report, with ways to its events and out of the page.
import type { ReactNode } from 'react'
import { CopyButton } from '../parts/copy-button.tsx'
import { PassReportView } from '../parts/pass-report.tsx'
import { useApp, useIsLive } from '../state/store.ts'
import { navigate } from '../state/ui-store.ts'

export function PassDetails({ id }: { id: number }): ReactNode {
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
        <EventsButton passId={id} />
      </>
    )
  }
  return (
    <>
      <PassReportView report={run.report} candidatesDropped={run.candidatesDropped === true} />
      <div className="row tight">
        <EventsButton passId={id} />
        <CopyButton testId="copy-pass" text={() => JSON.stringify(run.report, null, 2)}>
          Copy report as JSON
        </CopyButton>
      </div>
    </>
  )
}

/** In a recorded moment the trace stands below it on the same view. */
function EventsButton({ passId }: { passId: number }): ReactNode {
  const isLive = useIsLive()
  return (
    <button
      type="button"
      className="button-small"
      onClick={() =>
        navigate({ ...(isLive ? { view: 'trace' } : {}), tracePass: passId, traceAt: null })
      }
    >
      Its events in the trace
    </button>
  )
}
