// The first answer: how much debt there is, in what state, what runs next and why not sooner; the
// segments at a glance; what the last pass did, and what stopped the others; and all of it over time.
import { useMemo, type ReactNode } from 'react'
import { SegmentMap } from '../charts/segment-map.tsx'
import { formatCount, formatRatio, plural } from '../lib/format.ts'
import { Panel } from '../parts/panel.tsx'
import {
  ColourChoice,
  Leaving,
  MapLegend,
  OrderChoice,
  useMarks,
  usePainter,
  useVerdicts,
} from '../parts/segment-panel.tsx'
import { orderSegments, totalsOf } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'
import { chooseSegment, goTo, navigate, useRoute, useUi } from '../state/ui-store.ts'
import { AttachmentPanel } from './attachment-panel.tsx'
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
            <StagePane />
            <LastPassPane />
            <BlockersPane />
          </div>
          <HistoryPanel />
        </>
      )}
    </>
  )
}

function SegmentStrip(): ReactNode {
  const segments = useApp((state) => state.engine?.segments ?? null)
  const gone = useApp((state) => state.gone)
  const order = useRoute((route) => route.order)
  const chosen = useRoute((route) => route.chosen)
  const zoom = useRoute((route) => route.zoom)
  const current = useRoute((route) => (route.drawer?.kind === 'segment' ? route.drawer.id : null))
  const theme = useUi((state) => state.theme)
  const marks = useMarks()
  const verdicts = useVerdicts()
  const painter = usePainter(verdicts)
  const ordered = useMemo(() => orderSegments(segments ?? [], order), [segments, order])
  if (segments === null) return null
  const totals = totalsOf(segments)
  const title =
    totals.segments === 0
      ? 'No segments yet'
      : `${plural(totals.segments, 'segment')}, ${formatRatio(totals.bytesLive / Math.max(1, totals.bytesTotal))} of their bytes live${totals.zombies === 0 ? '' : `, ${formatCount(totals.zombies)} dead and not deleted yet`}`
  return (
    <Panel
      id="strip"
      name="Segments"
      title={title}
      aside={
        <div className="row">
          <OrderChoice />
          <ColourChoice />
          <button type="button" className="button-link" onClick={() => goTo('segments')}>
            all of them
          </button>
        </div>
      }
    >
      {segments.length === 0 ? (
        <EmptySegments />
      ) : (
        <>
          <div className="map-head">
            <MapLegend segments={ordered} painter={painter} />
            <Leaving gone={gone} />
          </div>
          <SegmentMap
            segments={ordered}
            marks={marks}
            painter={painter}
            chosen={chosen}
            current={current}
            theme={theme}
            zoom={zoom}
            onZoom={(next) => navigate({ zoom: next })}
            onChoose={chooseSegment}
          />
        </>
      )}
    </Panel>
  )
}
