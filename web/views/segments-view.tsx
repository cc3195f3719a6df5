// Every segment: the map in any colour and order, filtered and magnified; the table; and what can be
// done with those chosen. One of them opens in the drawer.
import { useMemo, type ReactNode } from 'react'
import type { SegmentInfo, SegmentState } from '../../server/protocol.ts'
import {
  formatAge,
  formatBytes,
  formatCount,
  plural,
  segmentLabel,
  segmentList,
} from '../lib/format.ts'
import { stateWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { ExportButtons } from '../parts/export-buttons.tsx'
import { useShownRoute } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import {
  ColourChoice,
  OrderChoice,
  SegmentBoard,
  useMarks,
  useVerdicts,
} from '../parts/segment-panel.tsx'
import type { Verdicts } from '../state/segment-history.ts'
import { filterSegments, orderSegments, totalsOf } from '../state/selectors.ts'
import { askPlan } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { chooseSegments, goTo, navigate, useRoute } from '../state/ui-store.ts'
import { RewriteChosen } from './rewrite-chosen.tsx'
import { SegmentTable } from './segment-table.tsx'

export function SegmentsView(): ReactNode {
  const segments = useApp((state) => state.engine?.segments ?? null)
  const attached = useApp((state) => state.store?.mode === 'attached')
  const bytesKnown = useApp((state) => state.liveBytesUnknown === null)
  const order = useShownRoute((route) => route.order)
  const segmentText = useShownRoute((route) => route.segmentText)
  const segmentState = useShownRoute((route) => route.segmentState)
  const chosen = useRoute((route) => route.chosen)
  const verdictColour = useShownRoute((route) => route.colour === 'verdict')
  const marks = useMarks()
  const verdicts = useVerdicts()
  const shown = useMemo(
    () => orderSegments(filterSegments(segments ?? [], { segmentState, segmentText }), order),
    [segments, order, segmentState, segmentText],
  )
  const title = useMemo(() => headline(segments ?? [], bytesKnown), [segments, bytesKnown])
  if (segments === null) return null
  if (segments.length === 0) {
    return (
      <Panel id="segments" name="Segments" title="No segments yet">
        <EmptySegments />
      </Panel>
    )
  }
  return (
    <Panel
      id="segments"
      name="Segments"
      title={title}
      aside={
        <ExportButtons
          name="segments"
          rows={() => shown.map((segment) => exportRow(segment, verdicts, bytesKnown))}
        />
      }
    >
      <div className="toolbar">
        <Filters shown={shown.length} all={segments.length} />
        <OrderChoice />
        <ColourChoice />
      </div>
      <SegmentBoard segments={shown}>
        {verdictColour && <VerdictSource verdicts={verdicts} attached={attached} />}
      </SegmentBoard>
      <Chosen ids={chosen} attached={attached} />
      {shown.length === 0 ? (
        <p className="muted">No segment matches the filter.</p>
      ) : (
        <SegmentTable segments={shown} marks={marks} verdicts={verdicts} />
      )}
    </Panel>
  )
}

function headline(segments: readonly SegmentInfo[], bytesKnown: boolean): string {
  const totals = totalsOf(segments)
  if (!bytesKnown) return `${plural(totals.segments, 'segment')}, live bytes not known`
  if (totals.bytesStale === 0)
    return `${plural(totals.segments, 'segment')}, all of them fully live`
  const worst = segments.reduce((a, b) => (b.bytesStale > a.bytesStale ? b : a))
  const dead =
    totals.zombies === 0
      ? ''
      : `; ${formatCount(totals.zombies)} dead and not deleted yet, ${formatBytes(totals.zombieBytes)}`
  return `${plural(totals.segments, 'segment')}, most stale is ${segmentLabel(worst.segmentId)} with ${formatBytes(worst.bytesStale)}${dead}`
}

export function EmptySegments(): ReactNode {
  const attached = useApp((state) => state.store?.mode === 'attached')
  return (
    <div className="empty" data-testid="empty">
      <p>
        <strong>The value log is empty.</strong>
      </p>
      <p>
        {attached
          ? 'There is no segment here.'
          : 'Start the workload, or put keys through the API. The first segment appears with the first write.'}
      </p>
      {!attached && (
        <p>
          <button type="button" onClick={() => goTo('workload')}>
            Go to the workload
          </button>
        </p>
      )}
    </div>
  )
}

const states: SegmentState[] = ['active', 'sealed', 'zombie']

function Filters({ shown, all }: { shown: number; all: number }): ReactNode {
  const text = useRoute((route) => route.segmentText)
  const state = useRoute((route) => route.segmentState)
  return (
    <>
      <label className="field-inline">
        <span className="sr-only">Filter by name, file, origin or keeper</span>
        <input
          type="search"
          data-key="filter"
          data-testid="segment-filter"
          placeholder="Filter, press /"
          value={text}
          onChange={(event) => navigate({ segmentText: event.target.value })}
        />
      </label>
      <label className="field-inline">
        <span>state</span>
        <select
          data-testid="segment-state"
          value={state ?? ''}
          onChange={(event) =>
            navigate({ segmentState: states.find((one) => one === event.target.value) ?? null })
          }
        >
          <option value="">all</option>
          {states.map((one) => (
            <option key={one} value={one}>
              {stateWords[one]}
            </option>
          ))}
        </select>
      </label>
      {shown < all && (
        <span className="muted" role="status">
          {formatCount(shown)} of {formatCount(all)} shown
        </span>
      )}
    </>
  )
}

function VerdictSource({
  verdicts,
  attached,
}: {
  verdicts: Verdicts | null
  attached: boolean
}): ReactNode {
  const nowMs = useApp((state) => state.gauges?.nowMs ?? null)
  return (
    <div className="row">
      <span className="muted">
        {verdicts === null
          ? 'The planner has not looked at these segments yet.'
          : `As the planner saw it ${nowMs === null ? '' : `${formatAge(nowMs - verdicts.atMs)} ago`}${verdicts.passId === null ? ', asked by hand' : `, in pass ${String(verdicts.passId)}`}.`}
      </span>
      {!attached && (
        <ActionButton
          name="ask-plan"
          about="A dry plan with the store’s own options. Changes nothing."
          onPress={() => void askPlan()}
        >
          Ask the planner now
        </ActionButton>
      )}
    </div>
  )
}

function Chosen({ ids, attached }: { ids: readonly number[]; attached: boolean }): ReactNode {
  if (ids.length === 0) return null
  return (
    <div className="chosen row">
      <span>
        {plural(ids.length, 'segment')} chosen: {segmentList(ids, 6)}{' '}
        <button type="button" className="button-link" onClick={() => chooseSegments([])}>
          clear
        </button>
      </span>
      {!attached && <RewriteChosen />}
    </div>
  )
}

function exportRow(
  segment: SegmentInfo,
  verdicts: Verdicts | null,
  bytesKnown: boolean,
): Record<string, string | number | null> {
  return {
    segment: segmentLabel(segment.segmentId),
    segment_id: segment.segmentId,
    lane: segment.lane,
    seq: segment.seq,
    file: segment.file,
    state: segment.state,
    origin: segment.origin,
    bytes_total: segment.bytesTotal,
    bytes_live: bytesKnown ? segment.bytesLive : null,
    bytes_stale: bytesKnown ? segment.bytesStale : null,
    sealed_at_ms: segment.sealedAtMs,
    verdict: verdicts?.by.get(segment.segmentId)?.verdict ?? null,
    kept_by: segment.keptBy.map((keeper) => keeper.kind).join(' '),
  }
}
