// What rewrites may still copy, how that fills up again, and which segments are left alone because
// their rewrite did not pay.
import type { ReactNode } from 'react'
import type { RewritePenalty } from '../../server/protocol.ts'
import { formatByteRate, formatCountdown, formatRatio, plural } from '../lib/format.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { SegmentChip } from '../parts/segment-chip.tsx'
import { Term } from '../parts/term.tsx'
import { Bytes, Time } from '../parts/value.tsx'
import { budgetNow, type BudgetView } from '../state/overview.ts'
import { useApp } from '../state/store.ts'
import { goTo } from '../state/ui-store.ts'

const PENALTIES_SHOWN = 5

export function BudgetPane(): ReactNode {
  const budget = useApp((state) => state.engine?.scheduler.budget ?? null)
  const penalties = useApp((state) => state.engine?.penalties ?? null)
  const nowMs = useEngineNow(1000)
  if (penalties === null || nowMs === null) return null
  const view = budgetNow(budget, nowMs)
  const cooling = penalties.length === 0 ? '' : `, ${plural(penalties.length, 'segment')} cooling`
  return (
    <Panel id="budget" name="Budget and penalties" title={`${budgetTitle(view)}${cooling}`}>
      {view === null ? (
        <p className="muted">
          No <Term name="write budget" /> is set: a rewrite copies whatever is live in its sources.
        </p>
      ) : (
        <Bucket view={view} />
      )}
      <Penalties penalties={penalties} nowMs={nowMs} />
    </Panel>
  )
}

function budgetTitle(view: BudgetView | null): string {
  if (view === null) return 'No write budget'
  if (view.fullInMs === 0) return 'The write budget is full'
  if (view.tokensBytes === 0) return 'The write budget is empty: rewrites wait'
  return `The write budget is ${formatRatio(view.share)} full`
}

function Bucket({ view }: { view: BudgetView }): ReactNode {
  return (
    <div data-testid="budget" data-tokens={view.tokensBytes} data-cap={view.capBytes}>
      <div className="meter" aria-hidden="true">
        <div style={{ width: `${String(view.share * 100)}%` }} />
      </div>
      <p className="muted">
        <Bytes value={view.tokensBytes} /> of <Bytes value={view.capBytes} /> to{' '}
        <Term name="write budget">copy</Term>, fills by{' '}
        <span className="num">{formatByteRate(view.bytesPerSecond)}</span>
        {view.fullInMs > 0 && `, full in ${formatCountdown(view.fullInMs)}`}.
      </p>
    </div>
  )
}

function Penalties({
  penalties,
  nowMs,
}: {
  penalties: readonly RewritePenalty[]
  nowMs: number
}): ReactNode {
  const rewrites = useApp((state) => state.engine?.counters.rewriteRuns ?? 0)
  if (penalties.length === 0) {
    return (
      <p className="muted" data-testid="penalties-shown" data-count={0}>
        No <Term name="penalty" />:{' '}
        {rewrites === 0
          ? 'nothing has been rewritten since the store was opened.'
          : 'every rewrite so far has paid.'}
      </p>
    )
  }
  const soonest = [...penalties].sort((a, b) => a.cooldownUntilMs - b.cooldownUntilMs)
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Penalties">
      <table className="table" data-testid="penalties-shown" data-count={penalties.length}>
        <thead>
          <tr>
            <th scope="col">
              <Term name="penalty">Penalty</Term>
            </th>
            <th scope="col">until</th>
            <th scope="col" className="r">
              times
            </th>
            <th scope="col" className="r">
              log grew by
            </th>
          </tr>
        </thead>
        <tbody>
          {soonest.slice(0, PENALTIES_SHOWN).map((one) => (
            <tr key={one.segmentId} data-testid="penalty-row" data-segment-id={one.segmentId}>
              <th scope="row">
                <SegmentChip segmentId={one.segmentId} />
              </th>
              <td>
                <Time value={one.cooldownUntilMs} />{' '}
                <span className="muted num">
                  {one.cooldownUntilMs > nowMs
                    ? `in ${formatCountdown(one.cooldownUntilMs - nowMs)}`
                    : 'over: the next plan may take it'}
                </span>
              </td>
              <td className="r num">{one.attempts}</td>
              <td className="r">
                <Bytes value={one.lastGrowthBytes} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {penalties.length > PENALTIES_SHOWN && (
        <button type="button" className="button-link" onClick={() => goTo('step')}>
          and {penalties.length - PENALTIES_SHOWN} more
        </button>
      )}
    </div>
  )
}
