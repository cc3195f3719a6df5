// All that is known about one segment, also after it is gone: its bytes over time, who keeps it, what
// the planner said and what would change that, which passes touched it, where its live records went.
import { useEffect, useMemo, useState, type ReactNode } from 'react'
import type { PassReport, SegmentId, SegmentInfo } from '../../server/protocol.ts'
import {
  exactTime,
  formatAge,
  formatRatio,
  formatDistance,
  plural,
  segmentLabel,
} from '../lib/format.ts'
import { SegmentBytes } from '../charts/segment-bytes.tsx'
import { inOpening } from '../lib/route.ts'
import { filterWords, keeperText, sourceWords, stateWords } from '../lib/words.ts'
import { ActionButton } from '../parts/action-button.tsx'
import { useAppSlowly, useEngineNow } from '../parts/hooks.ts'
import { OutcomeBadge } from '../parts/pass-report.tsx'
import { SegmentChips } from '../parts/segment-chip.tsx'
import { useVerdicts } from '../parts/segment-panel.tsx'
import { Term } from '../parts/term.tsx'
import { Bytes, Time } from '../parts/value.tsx'
import { LiveBytes } from '../parts/live-value.tsx'
import type { AppState, TraceLog } from '../state/app-state.ts'
import {
  passesThatTouched,
  segmentPast,
  whereItWent,
  type SegmentPast,
} from '../state/segment-history.ts'
import { openingOf } from '../state/openings.ts'
import { segmentById } from '../state/selectors.ts'
import { askPlan } from '../state/session.ts'
import { useApp } from '../state/store.ts'
import { chooseSegment, navigate, openDrawer, useRoute } from '../state/ui-store.ts'

const origins = {
  foreground: 'the foreground',
  rewrite: 'a rewrite',
  unknown: 'not known: the folder has no metadata that tells',
} as const

/** Leaves most of a frame to drawing; and in the frame that opens the segment, next to all of it. */
const SEARCH_BUDGET_MS = 8
const FIRST_SEARCH_BUDGET_MS = 2

/** As for all charts; the numbers above it follow with every frame. */
const HISTORY_EVERY_MS = 1000

const allOf = (state: AppState): AppState => state

/** What the trace says of the segment; over a long trace more of it with every frame. */
function usePast(trace: TraceLog, id: SegmentId): SegmentPast {
  const first = useMemo(() => lookOn(trace, id, FIRST_SEARCH_BUDGET_MS), [trace, id])
  const [later, setLater] = useState({ first, past: first })
  // What a later frame has found counts as long as it is about the same segment in the same trace.
  const past = later.first === first ? later.past : first
  useEffect(() => {
    if (past.searched >= trace.length) return
    const frame = requestAnimationFrame(() =>
      setLater({ first, past: lookOn(trace, id, SEARCH_BUDGET_MS) }),
    )
    return () => cancelAnimationFrame(frame)
  }, [trace, id, first, past])
  return past
}

function lookOn(trace: TraceLog, id: SegmentId, budgetMs: number): SegmentPast {
  const untilMs = performance.now() + budgetMs
  return segmentPast(trace, id, () => performance.now() > untilMs)
}

export function SegmentDetails({ id }: { id: SegmentId }): ReactNode {
  const known = useApp((state) => state.engine !== null)
  const segment = useApp((state) => segmentById(state.engine?.segments ?? [], id))
  const attached = useApp((state) => state.store?.mode === 'attached')
  const key = `${String(id)} ${segment === undefined ? 'gone' : 'there'}`
  const { trace, gauges } = useAppSlowly(allOf, { everyMs: HISTORY_EVERY_MS, key })
  const past = usePast(trace, id)
  if (!known) return null
  return (
    <article
      className="segment-details"
      data-testid="segment-details"
      data-segment-id={id}
      data-state={segment?.state ?? 'gone'}
    >
      {segment === undefined ? (
        <Gone id={id} past={past} />
      ) : (
        <>
          <Standing segment={segment} />
          <KeptBy segment={segment} />
          {/* There is nothing left to plan of one that is dead. */}
          {!attached && segment.state !== 'zombie' && <Verdict id={id} />}
        </>
      )}
      <BytesOverTime
        id={id}
        past={past}
        openUntilMs={segment === undefined ? null : (gauges?.nowMs ?? null)}
      />
      {!attached && <Touches id={id} />}
      <div className="row tight">
        <button
          type="button"
          className="button-small"
          onClick={() => navigate({ view: 'trace', traceSegment: id, traceAt: null })}
        >
          Its events in the trace
        </button>
        <ChooseButton
          id={id}
          canBeRewritten={segment !== undefined && segment.state !== 'zombie'}
        />
      </div>
    </article>
  )
}

/** Of a dead or absent segment only a choice made before can be taken back. */
function ChooseButton({
  id,
  canBeRewritten,
}: {
  id: SegmentId
  canBeRewritten: boolean
}): ReactNode {
  const chosen = useRoute((route) => route.chosen.includes(id))
  if (!canBeRewritten && !chosen) return null
  return (
    <button
      type="button"
      className="button-small"
      aria-pressed={chosen}
      onClick={() => chooseSegment(id, true)}
    >
      {!chosen
        ? 'Choose for a rewrite'
        : canBeRewritten
          ? 'Chosen for a rewrite'
          : 'Take it out of the choice'}
    </button>
  )
}

const endOf = ({ startedAtMs, elapsedMs }: PassReport): number => startedAtMs + elapsedMs

function Gone({ id, past }: { id: SegmentId; past: SegmentPast }): ReactNode {
  const passes = useApp((state) => state.passes)
  const queued = useApp((state) => state.engine?.debt.queue.includes(id) ?? false)
  const { deleted, deletedIn, lastSeen } = past
  const opening = useApp((state) =>
    deletedIn === null || deletedIn === state.streamCount ? null : openingOf(state, deletedIn),
  )
  const touches = passesThatTouched(passes, id)
  // The trace may have let the deletion go, or not have loaded it; the pass that did it may be here.
  const by = touches.find(({ what }) => what.includes('deleted'))?.report
  const passId = deleted?.passId ?? by?.passId ?? null
  const heldBy = deleted?.heldByUntilNow ?? null
  if (deleted === null && lastSeen === null && touches.length === 0) {
    return (
      <p className="pass-sentence" data-testid="segment-unknown">
        {queued
          ? `${segmentLabel(id)} is queued, but no such segment is on disk.`
          : `No segment ${segmentLabel(id)} is on disk, and nothing that this page holds names one.`}
      </p>
    )
  }
  return (
    <>
      <p className="pass-sentence">It is not on disk any more.</p>
      <dl className="facts">
        <dt>deleted</dt>
        <dd>
          {deleted === null && by === undefined ? (
            <span className="muted">
              not told by the events and passes loaded here; History may have it
            </span>
          ) : (
            <>
              <Time value={deleted?.atMs ?? (by === undefined ? null : endOf(by))} />
              {deleted !== null && (
                <>
                  , <Bytes value={deleted.bytesTotal} />
                </>
              )}
              {passId !== null && (
                <>
                  , by{' '}
                  <button
                    type="button"
                    className="button-link"
                    onClick={() =>
                      openDrawer({
                        kind: 'pass',
                        id: passId,
                        ...inOpening(deleted === null ? null : opening),
                      })
                    }
                  >
                    pass {passId}
                  </button>
                </>
              )}
              {heldBy !== null && `; ${heldBy} held it until then`}
            </>
          )}
        </dd>
        {lastSeen !== null && (
          <>
            <dt>file</dt>
            <dd className="path">{lastSeen.file}</dd>
            <dt>written by</dt>
            <dd>{origins[lastSeen.origin]}</dd>
          </>
        )}
      </dl>
    </>
  )
}

function Standing({ segment }: { segment: SegmentInfo }): ReactNode {
  const place = useApp((state) => state.engine?.debt.queue.indexOf(segment.segmentId) ?? -1)
  const nowMs = useEngineNow(1000)
  const bytesKnown = useApp((state) => state.liveBytesUnknown === null)
  const sealedAgo =
    segment.sealedAtMs === null || nowMs === null ? null : nowMs - segment.sealedAtMs
  return (
    <>
      <p className="pass-sentence">
        {segmentLabel(segment.segmentId)} is{' '}
        {segment.state === 'zombie' ? (
          <>
            dead and still on disk, a <Term name="zombie" />
          </>
        ) : (
          stateWords[segment.state]
        )}
        {place >= 0 && `, number ${String(place + 1)} in the queue`}
      </p>
      <dl className="facts">
        <dt>bytes</dt>
        <dd>
          <LiveBytes value={segment.bytesLive} /> live + <LiveBytes value={segment.bytesStale} />{' '}
          stale = <Bytes value={segment.bytesTotal} />
          {bytesKnown && segment.bytesTotal > 0 && (
            <span className="muted">
              {' '}
              ({formatRatio(segment.bytesStale / segment.bytesTotal)} stale)
            </span>
          )}
        </dd>
        <dt>written by</dt>
        <dd>{origins[segment.origin]}</dd>
        <dt>created</dt>
        <dd>
          <Time value={segment.createdAtMs} unknown="the folder does not tell" />
        </dd>
        <dt>sealed</dt>
        <dd title={exactTime(segment.sealedAtMs)}>
          <Time
            value={segment.sealedAtMs}
            unknown={
              segment.state === 'active' ? 'still being written' : 'the folder does not tell'
            }
          />
          {sealedAgo !== null && <span className="muted"> ({formatAge(sealedAgo)} old)</span>}
          {segment.sealedAtMs !== null && segment.ageSource === 'mtime' && (
            <span className="muted"> from the file’s time, which copying resets</span>
          )}
        </dd>
        <dt>file</dt>
        <dd className="path">{segment.file}</dd>
        <dt>segment id</dt>
        <dd className="num">
          {segment.segmentId} (lane {segment.lane}, seq {segment.seq})
        </dd>
      </dl>
    </>
  )
}

function KeptBy({ segment }: { segment: SegmentInfo }): ReactNode {
  const nowMs = useEngineNow(1000)
  return (
    <section aria-label="Who keeps it" data-testid="kept-by">
      <h3>Who keeps it</h3>
      {segment.keptBy.length === 0 ? (
        <p>
          Its live bytes: <LiveBytes value={segment.bytesLive} />.
        </p>
      ) : (
        <ul className="keepers">
          {segment.keptBy.map((keeper, index) => (
            <li key={index} data-keeper={keeper.kind}>
              {keeperText(keeper, nowMs)}
              {(keeper.kind === 'snapshot' || keeper.kind === 'iterator') && (
                <>
                  {' '}
                  <button
                    type="button"
                    className="button-link"
                    onClick={() => navigate({ view: 'pins' })}
                  >
                    see pins
                  </button>
                </>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function Verdict({ id }: { id: SegmentId }): ReactNode {
  const verdicts = useVerdicts()
  const nowMs = useEngineNow(1000)
  const candidate = verdicts?.by.get(id)
  return (
    <section aria-label="The planner’s verdict" data-testid="segment-verdict">
      <h3>The planner’s verdict</h3>
      {candidate === undefined || verdicts === null ? (
        <p className="muted">No plan that this page knows has looked at it.</p>
      ) : (
        <>
          <p data-verdict={candidate.verdict}>
            {candidate.verdict === 'selected' ? (
              <>
                <span className="good">✓ selected</span>
                {candidate.rank !== null && `, number ${String(candidate.rank + 1)}`}
              </>
            ) : (
              <>
                <span className="bad">✕</span> {filterWords[candidate.verdict]}
                {candidate.distance !== null && candidate.unit !== null && (
                  <>
                    {', '}missed by{' '}
                    <span className="num">
                      {formatDistance(candidate.distance, candidate.unit)}
                    </span>
                  </>
                )}
              </>
            )}
          </p>
          {candidate.flip !== null && <p data-testid="verdict-flip">{candidate.flip.text}</p>}
          {candidate.verdict !== 'selected' && candidate.flip === null && (
            <p className="muted">No single option would select it.</p>
          )}
          <p className="muted">
            {nowMs !== null && `${formatAge(nowMs - verdicts.atMs)} ago`}
            {verdicts.passId === null ? ', asked by hand' : `, in pass ${String(verdicts.passId)}`}.
          </p>
        </>
      )}
      <ActionButton
        name="ask-plan-segment"
        about="A dry plan with the store’s own options. Changes nothing."
        onPress={() => void askPlan()}
      >
        Ask the planner now
      </ActionButton>
    </section>
  )
}

interface BytesOverTimeProps {
  id: SegmentId
  past: SegmentPast
  /** null: the segment is gone. */
  openUntilMs: number | null
}

function BytesOverTime({ id, past, openUntilMs }: BytesOverTimeProps): ReactNode {
  return (
    <section aria-label="Bytes over time">
      <h3>Bytes over time</h3>
      {past.points.length < 2 ? (
        <p className="muted">
          {past.points.length === 0
            ? 'Its bytes have not changed in the time this page knows.'
            : 'One change so far; a line needs two.'}
        </p>
      ) : (
        <SegmentBytes
          points={past.points}
          openUntilMs={openUntilMs}
          name={openUntilMs === null ? 'gone' : segmentLabel(id)}
        />
      )}
    </section>
  )
}

function Touches({ id }: { id: SegmentId }): ReactNode {
  const passes = useApp((state) => state.passes)
  const touches = useMemo(() => passesThatTouched(passes, id), [passes, id])
  const moved = useMemo(() => whereItWent(passes, id), [passes, id])
  return (
    <>
      <section aria-label="Where its live records went" data-testid="where-it-went">
        <h3>Where its live records went</h3>
        {moved.length === 0 ? (
          <p className="muted">No pass that this page knows has rewritten it.</p>
        ) : (
          <ul className="sentences">
            {moved.map((one) => (
              <li key={one.passId}>
                {plural(one.recordsCopied, 'record')}, <Bytes value={one.bytesWritten} />
                {one.sources > 1 && ` (with ${plural(one.sources - 1, 'other source')})`} into{' '}
                {one.outputSegments.length === 0 ? (
                  'no segment: nothing in it was live'
                ) : (
                  <SegmentChips ids={one.outputSegments} />
                )}
                , pass {one.passId}
              </li>
            ))}
          </ul>
        )}
      </section>
      <section aria-label="Passes that touched it">
        <h3>Passes that touched it</h3>
        {touches.length === 0 ? (
          <p className="muted">None of those this page knows.</p>
        ) : (
          <ul className="touches">
            {touches.slice(0, 20).map(({ report, what }) => (
              <li key={report.passId} data-testid="touch-row" data-pass-id={report.passId}>
                <OutcomeBadge report={report} />
                <button
                  type="button"
                  className="button-link"
                  onClick={() => openDrawer({ kind: 'pass', id: report.passId })}
                >
                  {sourceWords[report.source]} #{report.passId}
                </button>
                <span className="muted">{what.join(', ')}</span>
              </li>
            ))}
          </ul>
        )}
      </section>
    </>
  )
}
