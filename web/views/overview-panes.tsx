// The three panes under the segment strip: stage and queue with the countdown, the last pass with its
// gates folded to a line each, and what stopped passes, most often first.
import type { ReactNode } from 'react'
import {
  formatBytes,
  formatCountdown,
  formatRatio,
  formatTime,
  plural,
  shortNames,
} from '../lib/format.ts'
import { gateWords, sourceWords } from '../lib/words.ts'
import { GateList } from '../parts/gate-list.tsx'
import { useEngineNow } from '../parts/hooks.ts'
import { LiveBytes } from '../parts/live-value.tsx'
import { Panel } from '../parts/panel.tsx'
import { OutcomeBadge } from '../parts/pass-report.tsx'
import { SegmentChip } from '../parts/segment-chip.tsx'
import { Term } from '../parts/term.tsx'
import { Time } from '../parts/value.tsx'
import { blockersOf, lastPass, queueRows, stageOf, stageText } from '../state/selectors.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { goTo, openDrawer } from '../state/ui-store.ts'

const QUEUE_SHOWN = 5

export function StagePane(): ReactNode {
  const engine = useApp((state) => state.engine)
  const nowMs = useEngineNow()
  if (engine === null) return null
  const stage = stageOf(engine.debt, nowMs)
  const rows = queueRows(engine)
  const { debt } = engine
  const delayMs = debt.stage === null ? 0 : debt.stage.dueAtMs - debt.stage.observedAtMs
  const done =
    stage.kind === 'waiting' && delayMs > 0 ? Math.max(0, 1 - stage.dueInMs / delayMs) : null
  const title =
    rows.length === 0
      ? 'Nothing queued, nothing to confirm'
      : stage.kind === 'waiting'
        ? `Confirm in ${formatCountdown(stage.dueInMs)}, ${plural(rows.length, 'segment')} queued`
        : `${plural(rows.length, 'segment')} queued, ${stageText(stage)}`
  return (
    <Panel id="stage" name="Stage and queue" title={title}>
      <div
        className={`stage-${stage.kind}`}
        data-testid="stage-state"
        data-stage={stage.kind}
        data-due-at-ms={debt.stage?.dueAtMs}
      >
        {done !== null && (
          <div className="progress" aria-hidden="true">
            <div style={{ width: `${String(done * 100)}%` }} />
          </div>
        )}
        <p className="muted">
          {debt.stage === null ? (
            rows.length === 0 ? (
              <>
                A plan puts segments here; after the confirm delay they are rewritten one at a time
                and the rest is <Term name="restage">restaged</Term>.
              </>
            ) : (
              'The queue may be executed: no confirm is pending.'
            )
          ) : (
            <>
              <Term name="staged" /> since <Time value={debt.stage.observedAtMs} />, due at{' '}
              <Time value={debt.stage.dueAtMs} />
              {debt.stage.minStaleRatio === null
                ? ', floor unknown: the state file does not tell'
                : `, floor ${formatRatio(debt.stage.minStaleRatio)} stale`}
              .
            </>
          )}
        </p>
      </div>
      {rows.length > 0 && (
        <ol className="mini-queue">
          {rows.slice(0, QUEUE_SHOWN).map((row) => (
            <li key={row.segmentId}>
              <span className={debt.stage === null ? 'place' : 'place place-staged'}>
                {row.position}
              </span>
              <SegmentChip segmentId={row.segmentId} />
              <span className="spacer" />
              {row.current === null ? (
                <strong className="bad">✕ missing on disk</strong>
              ) : (
                <span className="num">
                  <LiveBytes value={row.current.bytesStale} /> stale
                </span>
              )}
            </li>
          ))}
        </ol>
      )}
      {rows.length > QUEUE_SHOWN && (
        <button type="button" className="button-link" onClick={() => goTo('queue')}>
          and {rows.length - QUEUE_SHOWN} more in the queue
        </button>
      )}
    </Panel>
  )
}

export function LastPassPane(): ReactNode {
  const passes = useApp((state) => state.passes)
  const { acted, since } = lastPass(passes)
  const opening = useApp((state) => state.streamOpenings.at(-1) ?? null)
  const hasEarlier = useIsLive() && opening !== null && opening > 1
  const shown = acted ?? since?.newest ?? null
  const nothing = hasEarlier
    ? 'No pass has done anything since the store was opened'
    : 'No pass has done anything yet'
  return (
    <Panel
      id="last-pass"
      name="Last pass that did something"
      title={acted === null ? nothing : shortNames(acted.report.sentence)}
    >
      <div data-testid="last-pass" data-pass-id={acted?.report.passId}>
        {acted !== null && (
          <p>
            <OutcomeBadge report={acted.report} /> {sourceWords[acted.report.source]}{' '}
            <button
              type="button"
              className="button-link num"
              data-testid="open-last-pass"
              onClick={() => openDrawer({ kind: 'pass', id: acted.report.passId })}
            >
              #{acted.report.passId}
            </button>{' '}
            <span className="muted">
              at <Time value={acted.report.startedAtMs} />
            </span>
          </p>
        )}
        {acted === null && hasEarlier && (
          <p>
            <button type="button" className="button-link" onClick={() => goTo('history')}>
              What passes did before that is in History
            </button>
          </p>
        )}
        {since !== null && (
          <p className="muted">
            Since then {plural(since.times, 'pass', 'passes')} without work
            {since.newest.report.blockedBy !== null &&
              `, the last stopped at “${gateWords[since.newest.report.blockedBy].toLowerCase()}”`}
            .
          </p>
        )}
      </div>
      {shown !== null && <GateList gates={shown.report.gates} />}
    </Panel>
  )
}

export function BlockersPane(): ReactNode {
  const passes = useApp((state) => state.passes)
  const blockers = blockersOf(passes)
  const top = blockers[0]
  const first = passes[0]
  return (
    <Panel
      id="blockers"
      name="What stops passes"
      title={
        top === undefined
          ? passes.length === 0
            ? 'No pass has run yet'
            : 'No pass was stopped by a gate'
          : `Most passes stop at “${gateWords[top.gate].toLowerCase()}”`
      }
    >
      <Blockers blockers={blockers} />
      {first !== undefined && (
        <p className="muted">
          Of the passes this page knows, since {formatTime(first.firstStartedAtMs)}.
        </p>
      )}
      <Kept />
    </Panel>
  )
}

export function Blockers({ blockers }: { blockers: ReturnType<typeof blockersOf> }): ReactNode {
  const most = blockers[0]?.times ?? 1
  return (
    <ul className="blockers" aria-label="Gates by how often they stopped a pass">
      {blockers.slice(0, 5).map(({ gate, times }) => (
        <li key={gate} data-testid="blocker-row" data-gate={gate} data-count={times}>
          <span>{gateWords[gate]}</span>
          <span className="blocker-track" aria-hidden="true">
            <span style={{ width: `${String((times / most) * 100)}%` }} />
          </span>
          <span className="num">{plural(times, 'time')}</span>
        </li>
      ))}
    </ul>
  )
}

/** Dead bytes that only wait for a reader are a blocker of another kind. */
function Kept(): ReactNode {
  const segments = useApp((state) => state.engine?.segments ?? null)
  if (segments === null) return null
  const kept = segments.filter((segment) =>
    segment.keptBy.some((keeper) => keeper.kind === 'snapshot' || keeper.kind === 'iterator'),
  )
  if (kept.length === 0) return null
  const bytes = kept.reduce((sum, segment) => sum + segment.bytesTotal, 0)
  return (
    <p className="note">
      <Term name="pinned">Pinned</Term>: {plural(kept.length, 'dead segment')}, {formatBytes(bytes)}
      , wait for readers.{' '}
      <button type="button" className="button-link" onClick={() => goTo('pins')}>
        who they are
      </button>
    </p>
  )
}
