// The page: which of the whole-page states applies, and the frame of rail, strip, view and drawer.
import { memo, Suspense, useEffect, type ComponentType, type ReactNode } from 'react'
import type { ViewName } from './lib/route.ts'
import { viewFacts } from './lib/views.ts'
import { useAfterAnswer } from './parts/hooks.ts'
import { giveFocus, useKeys } from './parts/keys.ts'
import { lazily } from './parts/lazily.ts'
import { PlanDialog } from './parts/plan-dialog.tsx'
import { momentStore } from './state/history.ts'
import { AppStoreContext, useApp } from './state/store.ts'
import { useRoute } from './state/ui-store.ts'
import { ResultPanel } from './views/action-result.tsx'
import { Drawer } from './views/drawer.tsx'
import { HelpDialog } from './views/help-dialog.tsx'
import { OverviewView } from './views/overview-view.tsx'
import { PinsView } from './views/pins-view.tsx'
import { QueueView } from './views/queue-view.tsx'
import { Rail } from './views/rail.tsx'
import {
  AbsentStoreScreen,
  Connecting,
  FailedStore,
  FailureBanner,
  NoAccess,
} from './views/screens.tsx'
import { SegmentsView } from './views/segments-view.tsx'
import { StoresView } from './views/stores-view.tsx'
import { Strip } from './views/strip.tsx'
import { TraceView } from './views/trace-view.tsx'

/** Views with charts come with recharts, the largest part of the page, when they are first shown. */
const PassesView = lazily(async () => (await import('./views/passes-view.tsx')).PassesView)
const HistoryView = lazily(async () => (await import('./views/history-view.tsx')).HistoryView)
const StepView = lazily(async () => (await import('./views/step-view.tsx')).StepView)
const WorkloadView = lazily(async () => (await import('./views/workload-view.tsx')).WorkloadView)

const views: Record<ViewName, ComponentType> = {
  overview: OverviewView,
  segments: SegmentsView,
  queue: QueueView,
  passes: PassesView,
  step: StepView,
  trace: TraceView,
  history: HistoryView,
  pins: PinsView,
  workload: WorkloadView,
  stores: StoresView,
}

export function App(): ReactNode {
  const access = useApp((state) => state.access)
  const ready = useApp((state) => state.engine !== null)
  const failed = useApp((state) => state.store?.status === 'failed')
  const absent = useApp((state) => state.absent !== null)
  const needsStore = useRoute((route) => route.view !== 'stores')
  useKeys()
  if (access === 'no_token') return <NoAccess known={false} />
  if (access === 'bad_token') return <NoAccess known />
  if (!ready && !failed && !absent && needsStore) return <Connecting />
  return (
    <div className="frame">
      <a className="skip" href="#main" onClick={skipToMain}>
        Skip to the view
      </a>
      <Rail />
      <Strip />
      <Shown failed={failed && !ready} />
      <HelpDialog />
      <PlanDialog />
    </div>
  )
}

/** The view and what is open beside it. The rail names another view at once; the view itself follows. */
function Shown({ failed }: { failed: boolean }): ReactNode {
  const view = useAfterAnswer(useRoute((route) => route.view))
  useTitle(view)
  useEffect(giveFocus, [view])
  return (
    <>
      <Main view={view} failed={failed} />
      {view === 'history' ? (
        // What it opens belongs to the recorded moment, not to now.
        <AppStoreContext value={momentStore}>
          <Drawer />
        </AppStoreContext>
      ) : (
        <Drawer />
      )}
    </>
  )
}

const Main = memo(function Main(props: { view: ViewName; failed: boolean }): ReactNode {
  const { view, failed } = props
  const old = useApp((state) => state.engine !== null && state.link.phase !== 'live')
  const absent = useApp((state) => state.absent !== null)
  const attached = useApp((state) => state.store?.mode === 'attached')
  const View = views[view]
  return (
    <main
      id="main"
      className={old ? 'page page-old' : 'page'}
      tabIndex={-1}
      aria-label={viewFacts[view].name}
      data-view={view}
    >
      {absent && view !== 'stores' ? (
        <AbsentStoreScreen />
      ) : failed && view !== 'stores' && view !== 'history' ? (
        <FailedStore />
      ) : attached && !viewFacts[view].attached ? (
        <NotAttached view={view} />
      ) : (
        <>
          <FailureBanner />
          {view !== 'step' && view !== 'history' && <ResultPanel />}
          <Suspense key={view} fallback={<p className="muted">Loading the view.</p>}>
            <View />
          </Suspense>
        </>
      )}
    </main>
  )
})

function NotAttached({ view }: { view: ViewName }): ReactNode {
  return (
    <p className="note" data-testid="not-attached">
      There is no {viewFacts[view].name} here: the folder is attached read-only, so nothing runs in
      it and nothing in it may change.
    </p>
  )
}

/** Moves the focus without writing the fragment: it belongs to the route. */
function skipToMain(event: { preventDefault: () => void }): void {
  event.preventDefault()
  document.getElementById('main')?.focus()
}

function useTitle(view: ViewName): void {
  const store = useApp((state) => state.store?.name ?? null)
  useEffect(() => {
    document.title = `${viewFacts[view].name}${store === null ? '' : ` · ${store}`} · Restage`
  }, [view, store])
}
