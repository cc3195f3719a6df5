// The first answer: how much debt there is, in what state, what runs next and why not sooner, and
// what the last pass did.
import type { ReactNode } from 'react'
import { formatCount, formatCountdown, formatRatio, plural, shortNames } from '../lib/format.ts'
import { sourceWords, gateWords } from '../lib/words.ts'
import { useEngineNow } from '../parts/hooks.ts'
import { Panel } from '../parts/panel.tsx'
import { OutcomeBadge } from '../parts/pass-report.tsx'
import { Bytes, Count, Time } from '../parts/value.tsx'
import { lastPass, stageOf, totalsOf, whatIsNext, type StageView } from '../state/selectors.ts'
import { useApp } from '../state/store.ts'

export function DebtPanel(): ReactNode {
  const engine = useApp((state) => state.engine)
  const store = useApp((state) => state.store)
  const gauges = useApp((state) => state.gauges)
  const nowMs = useEngineNow()
  if (engine === null || store === null || gauges === null || nowMs === null) return null
  const next = whatIsNext({ engine, store, gauges, nowMs })
  const totals = totalsOf(engine.segments)
  const share = totals.bytesTotal === 0 ? null : totals.bytesStale / totals.bytesTotal
  const stage = stageOf(engine.debt, nowMs)
  return (
    <Panel id="debt" name="Debt" title={<span data-testid="next-headline">{next.headline}</span>}>
      {next.reasons.length > 0 && (
        <ul className="reasons" data-testid="next-reasons">
          {next.reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      <dl className="stats">
        <div className="stat">
          <dt>
            <span className="key key-stale" /> stale
          </dt>
          <dd className="stat-main">
            <Bytes value={totals.bytesStale} testId="debt-stale" />
          </dd>
          <dd className="stat-note">
            {share === null ? 'no bytes yet' : `${formatRatio(share)} of all`}
          </dd>
        </div>
        <div className="stat">
          <dt>
            <span className="key key-live" /> live
          </dt>
          <dd className="stat-main">
            <Bytes value={totals.bytesLive} testId="debt-live" />
          </dd>
          <dd className="stat-note">{share === null ? '' : `${formatRatio(1 - share)} of all`}</dd>
        </div>
        <div className="stat">
          <dt>total on disk</dt>
          <dd className="stat-main">
            <Bytes value={totals.bytesTotal} testId="debt-total" />
          </dd>
          <dd className="stat-note">
            {plural(totals.segments, 'segment')}
            {totals.zombies > 0 && `, ${formatCount(totals.zombies)} dead`}
          </dd>
        </div>
        <div className="stat">
          <dt>queue</dt>
          <dd className="stat-main">
            <Count value={engine.debt.queue.length} testId="queue-length" />
          </dd>
          <dd className="stat-note">
            {engine.debt.queue.length > 0 && engine.debt.ledger.length === 0
              ? 'without economics'
              : 'to rewrite'}
          </dd>
        </div>
        <StageStat stage={stage} />
        <LastPassStat />
      </dl>
    </Panel>
  )
}

const stageNames: Record<StageView['kind'], string> = {
  none: 'stage',
  ready: 'stage',
  waiting: 'staged, confirm in',
  due: 'staged, confirm is',
}

function StageStat({ stage }: { stage: StageView }): ReactNode {
  const debt = useApp((state) => state.engine?.debt ?? null)
  const main = {
    none: 'empty',
    ready: 'open',
    waiting: stage.kind === 'waiting' ? formatCountdown(stage.dueInMs) : '',
    due: 'due',
  }[stage.kind]
  const delayMs = debt?.stage == null ? 0 : debt.stage.dueAtMs - debt.stage.observedAtMs
  const done =
    stage.kind === 'waiting' && delayMs > 0 ? Math.max(0, 1 - stage.dueInMs / delayMs) : null
  return (
    <div
      className={`stat stat-stage stage-${stage.kind}`}
      data-testid="stage-state"
      data-stage={stage.kind}
      data-due-at-ms={debt?.stage?.dueAtMs}
    >
      <dt>{stageNames[stage.kind]}</dt>
      <dd className="stat-main num">{main}</dd>
      <dd className="stat-note">
        {stage.kind === 'none' && 'nothing to confirm'}
        {stage.kind === 'ready' && 'queued debt may be rewritten'}
        {(stage.kind === 'waiting' || stage.kind === 'due') && debt?.stage != null && (
          <>
            at <Time value={debt.stage.dueAtMs} />
            {debt.stage.minStaleRatio === null
              ? ', floor unknown'
              : `, floor ${formatRatio(debt.stage.minStaleRatio)}`}
          </>
        )}
      </dd>
      {done !== null && (
        <dd className="progress" aria-hidden="true">
          <div style={{ width: `${String(done * 100)}%` }} />
        </dd>
      )}
    </div>
  )
}

function LastPassStat(): ReactNode {
  const passes = useApp((state) => state.passes)
  const attached = useApp((state) => state.store?.mode === 'attached')
  if (attached) return null
  const { acted, since } = lastPass(passes)
  return (
    <div className="stat stat-pass" data-testid="last-pass">
      <dt>last pass that did something</dt>
      {acted === null ? (
        <dd className="stat-note">none yet</dd>
      ) : (
        <dd className="stat-sentence">
          <OutcomeBadge report={acted.report} /> <Time value={acted.report.endedAtMs} />{' '}
          {sourceWords[acted.report.source]}: {shortNames(acted.report.sentence)}
        </dd>
      )}
      {since !== null && (
        <dd className="stat-note">
          Since then {plural(since.times, 'pass', 'passes')} without work
          {since.newest.report.blockedBy !== null &&
            `, the last stopped at “${gateWords[since.newest.report.blockedBy].toLowerCase()}”`}
          .
        </dd>
      )}
    </div>
  )
}
