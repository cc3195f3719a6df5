// The page: which of the whole-page states applies, the frame of panels, and the keys.
import { useEffect, type ReactNode } from 'react'
import { useApp } from './state/store.ts'
import { uiStore } from './state/ui-store.ts'
import { ResultPanel } from './views/action-result.tsx'
import { AttachmentPanel } from './views/attachment-panel.tsx'
import { ControlsPanel } from './views/controls-panel.tsx'
import { DebtPanel } from './views/debt-panel.tsx'
import { HelpDialog } from './views/help-dialog.tsx'
import { HistoryPanel } from './views/history-panel.tsx'
import { PassesPanel } from './views/passes-panel.tsx'
import { PinsPanel } from './views/pins-panel.tsx'
import { QueuePanel } from './views/queue-panel.tsx'
import { Connecting, FailedStore, FailureBanner, NoAccess } from './views/screens.tsx'
import { SegmentsPanel } from './views/segments-panel.tsx'
import { Strip } from './views/strip.tsx'
import { TracePanel } from './views/trace-panel.tsx'
import { WorkloadPanel } from './views/workload-panel.tsx'

export function App(): ReactNode {
  const access = useApp((state) => state.access)
  const ready = useApp((state) => state.engine !== null)
  const failed = useApp((state) => state.store?.status === 'failed')
  useKeys()
  if (access === 'no_token') return <NoAccess known={false} />
  if (access === 'bad_token') return <NoAccess known />
  if (!ready && !failed) return <Connecting />
  return (
    <>
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <Strip />
      {ready ? <Page /> : <FailedStore />}
      <HelpDialog />
    </>
  )
}

function Page(): ReactNode {
  const attached = useApp((state) => state.store?.mode === 'attached')
  const old = useApp((state) => state.link.phase !== 'live')
  const sections = attached ? attachedSections : hostedSections
  return (
    <>
      <nav className="sections" aria-label="Sections of this page">
        {sections.map(([id, name]) => (
          <a key={id} href={`#${id}`} onClick={(event) => goTo(event, id)}>
            {name}
          </a>
        ))}
      </nav>
      <main id="main" className={old ? 'page page-old' : 'page'} tabIndex={-1}>
        <FailureBanner />
        <DebtPanel />
        <ControlsPanel />
        <div className="columns">
          <div className="column">
            <SegmentsPanel />
            <QueuePanel />
            {!attached && <HistoryPanel />}
            <TracePanel />
          </div>
          <div className="column">
            <AttachmentPanel />
            <ResultPanel />
            <PassesPanel />
            <PinsPanel />
            <WorkloadPanel />
          </div>
        </div>
      </main>
    </>
  )
}

const hostedSections: [string, string][] = [
  ['debt', 'Debt'],
  ['step', 'Step'],
  ['segments', 'Segments'],
  ['queue', 'Queue'],
  ['history', 'Over time'],
  ['trace', 'Trace'],
  ['passes', 'Passes'],
  ['pins', 'Pins'],
  ['workload', 'Workload'],
]

const attachedSections: [string, string][] = [
  ['debt', 'Debt'],
  ['segments', 'Segments'],
  ['queue', 'Queue'],
  ['trace', 'Trace'],
  ['folder', 'Folder'],
]

/** Scrolls without writing the fragment: it belongs to the store's name. */
function goTo(event: { preventDefault: () => void }, id: string): void {
  event.preventDefault()
  const section = document.getElementById(id)
  section?.scrollIntoView()
  section?.setAttribute('tabindex', '-1')
  section?.focus({ preventScroll: true })
}

function useKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement | null
      const typing = target?.closest('input, textarea, select') != null
      if (event.ctrlKey || event.metaKey || event.altKey || typing) return
      if (event.key === '?') {
        uiStore.setState({ helpOpen: true })
        event.preventDefault()
      } else if (event.key === '/') {
        document.getElementById('trace-filter')?.focus()
        event.preventDefault()
      } else if (event.key === 'Escape') {
        uiStore.setState({ selected: [] })
      }
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
}
