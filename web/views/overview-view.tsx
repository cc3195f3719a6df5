// The first answer: how much debt there is, in what state, what runs next and why not sooner; the
// segments at a glance; what the last pass did, and what stopped the others; and all of it over time.
import { useMemo, type ReactNode } from 'react'
import { formatCount, formatRatio, plural } from '../lib/format.ts'
import { useShownRoute } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { ColourChoice, OrderChoice, SegmentBoard } from '../parts/segment-panel.tsx'
import { orderSegments, totalsOf } from '../state/selectors.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { goTo } from '../state/ui-store.ts'
import { AttachmentPanel } from './attachment-panel.tsx'
import { BudgetPane } from './budget-pane.tsx'
import { DebtPanel } from './debt-panel.tsx'
import { HistoryPanel } from './history-panel.tsx'
import { BlockersPane, LastPassPane, StagePane } from './overview-panes.tsx'
import { EmptySegments } from './segments-view.tsx'

export function OverviewView(): ReactNode {
  const attached = useApp((state) => state.store?.mode === 'attached')
  return (
    <>
      <DebtPanel />
      <SegmentStrip />
      {attached ? (
        <AttachmentPanel />
      ) : (
        <>
          <div className="panes">
            <div className="column">
              <StagePane />
              <BudgetPane />
            </div>
            <div className="column">
              <LastPassPane />
              <BlockersPane />
            </div>
          </div>
          <HistoryPanel />
        </>
      )}
    </>
  )
}

export function SegmentStrip(): ReactNode {
  const isLive = useIsLive()
  const segments = useApp((state) => state.engine?.segments ?? null)
  const bytesKnown = useApp((state) => state.liveBytesUnknown === null)
  const order = useShownRoute((route) => route.order)
  const ordered = useMemo(() => orderSegments(segments ?? [], order), [segments, order])
  if (segments === null) return null
  const totals = totalsOf(segments)
  const live = bytesKnown
    ? `${formatRatio(totals.bytesLive / Math.max(1, totals.bytesTotal))} of their bytes live`
    : 'how much of their bytes is live is not known'
  const title =
    totals.segments === 0
      ? 'No segments yet'
      : `${plural(totals.segments, 'segment')}, ${live}${totals.zombies === 0 ? '' : `, ${formatCount(totals.zombies)} dead and not deleted yet`}`
  return (
    <Panel
      id="strip"
      name="Segments"
      title={title}
      aside={
        segments.length === 0 ? undefined : (
          <div className="row">
            <OrderChoice />
            <ColourChoice />
            {isLive && (
              <button type="button" className="button-link" onClick={() => goTo('segments')}>
                all of them
              </button>
            )}
          </div>
        )
      }
    >
      {segments.length === 0 ? <EmptySegments /> : <SegmentBoard segments={ordered} />}
    </Panel>
  )
}
