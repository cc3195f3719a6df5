// The recorded past: which passes there were, and the store as it was at any moment of it, drawn by the
// views of the present. What is missing is said first.
import { useEffect, useMemo, type ReactNode } from 'react'
import type { HistoryBody, HistoryPass, Moment } from '../../server/protocol.ts'
import { PassTimeline } from '../charts/pass-timeline.tsx'
import { timelinePasses, withRecordedLatency } from '../charts/pass-timeline-series.ts'
import { formatBytes, formatCount, formatTime, plural } from '../lib/format.ts'
import { errorSentences, outcomeWords, sourceWords } from '../lib/words.ts'
import { within } from '../lib/time-span.ts'
import { Panel } from '../parts/panel.tsx'
import { FixedTime, SpanButtons } from '../parts/time-choice.tsx'
import { Time } from '../parts/value.tsx'
import {
  completePass,
  EVENTS_BESIDE,
  momentStore,
  openHistory,
  readLatency,
  readOlderPasses,
  showActed,
  showMoment,
  useHistory,
  type RecordedLatency,
} from '../state/history.ts'
import {
  momentText,
  newestMoment,
  openingAt,
  passesAround,
  readableOpenings,
  runsOf,
  whatIsMissing,
  type ReadableOpening,
} from '../state/moment.ts'
import { theSentence } from '../state/selectors.ts'
import { AppStoreContext, useApp } from '../state/store.ts'
import { navigate, useRoute } from '../state/ui-store.ts'
import { SegmentStrip } from './overview-view.tsx'
import { QueueView } from './queue-view.tsx'
import { TraceView } from './trace-view.tsx'

export function HistoryView(): ReactNode {
  const storeId = useApp((state) => state.store?.storeId ?? null)
  const body = useHistory((state) => state.body)
  const isOurs = useHistory((state) => state.storeId === storeId)
  const failure = useHistory((state) => state.failure)
  useEffect(() => {
    void openHistory()
  }, [storeId])
  if (body === null || !isOurs) {
    return (
      <Panel
        id="history"
        name="History"
        title={failure === null ? 'Reading the recording' : 'The recording cannot be read'}
      >
        {failure === null ? (
          <p className="muted" aria-busy="true">
            Its passes and events are looked for in the folder.
          </p>
        ) : (
          <Failure />
        )}
      </Panel>
    )
  }
  return readableOpenings(body).length === 0 ? <Empty body={body} /> : <Recorded body={body} />
}

function Failure(): ReactNode {
  const failure = useHistory((state) => state.failure)
  if (failure === null) return null
  const sentence = errorSentences[failure.code as keyof typeof errorSentences] as string | undefined
  return (
    <p className="note note-bad" role="alert" data-testid="history-failure">
      ✕ {sentence ?? 'The server does not answer.'} <span className="muted">{failure.message}</span>{' '}
      <button type="button" className="button-link" onClick={() => void openHistory()}>
        try again
      </button>
    </p>
  )
}

function Empty({ body }: { body: HistoryBody }): ReactNode {
  const hosted = useApp((state) => state.store?.mode === 'hosted')
  return (
    <Panel id="history" name="History" title="Nothing is recorded in this folder" large>
      <p data-testid="history-empty">
        {hosted
          ? 'The recording of this store is switched off, or has not reached the disk yet. Open it with the option recording on, which is the default, and what happens is kept in the folder’s trace/.'
          : 'A store keeps what happens in its folder’s trace/ while it is open for writing. Host the folder once (restage serve DIR), let some passes run, and look again; or attach a copy that was made with its trace/.'}
      </p>
      <Missing body={body} />
      <ReadAgain />
    </Panel>
  )
}

function ReadAgain(): ReactNode {
  const loading = useHistory((state) => state.loading)
  return (
    <button
      type="button"
      className="button-small"
      data-testid="history-again"
      disabled={loading}
      onClick={() => void openHistory()}
    >
      Read again
    </button>
  )
}

function Missing({ body }: { body: HistoryBody }): ReactNode {
  const isOpen = useApp((state) => state.store?.mode === 'hosted' && state.store.status === 'open')
  const missing = useMemo(() => whatIsMissing(body, isOpen), [body, isOpen])
  if (missing.length === 0) {
    return <p className="muted">Nothing of it is missing.</p>
  }
  return (
    <details className="note" data-testid="history-missing" open={missing.length <= 3}>
      <summary>{plural(missing.length, 'thing')} missing</summary>
      <ul className="reasons">
        {missing.map((one) => (
          <li key={one}>{one}</li>
        ))}
      </ul>
    </details>
  )
}

function Recorded({ body }: { body: HistoryBody }): ReactNode {
  const asked = useRoute((route) => route.moment)
  const moment = asked ?? newestMoment(body)
  const opening = openingAt(body, moment)
  const openingId = moment?.openingId ?? null
  const seq = moment?.seq ?? null
  useEffect(() => {
    if (openingId !== null && seq !== null) void showMoment({ openingId, seq })
    // Passes read later belong to the moment, too: a new body comes with them.
  }, [openingId, seq, body])
  useWholePass()
  if (moment === null) return null
  return (
    <>
      <Panel id="history" name="History" title={headline(body)} large aside={<ReadAgain />}>
        <Failure />
        <Missing body={body} />
        <OpeningChoice body={body} moment={moment} />
        {opening === null ? (
          <p className="note note-bad" data-testid="moment-unknown">
            ✕ Opening {moment.openingId} is not recorded in this folder.{' '}
            <button
              type="button"
              className="button-link"
              onClick={() => navigate({ moment: null })}
            >
              Show the newest moment
            </button>
          </p>
        ) : (
          <>
            <Timeline opening={opening} moment={moment} />
            <Scrubber opening={opening} moment={moment} />
          </>
        )}
      </Panel>
      <AppStoreContext value={momentStore}>
        <TheMoment />
      </AppStoreContext>
    </>
  )
}

function headline(body: HistoryBody): string {
  const openings = readableOpenings(body)
  const events = openings.reduce((sum, opening) => sum + opening.events, 0)
  // The clock of step mode runs ahead, so a later opening may have earlier times.
  const firstAtMs = Math.min(...openings.map((opening) => opening.firstAtMs))
  const lastAtMs = Math.max(...openings.map((opening) => opening.lastAtMs))
  const span = ` from ${formatTime(firstAtMs)} to ${formatTime(lastAtMs)}`
  return `${plural(events, 'event')} recorded${span}, ${formatBytes(body.recording.bytes)} on disk`
}

function OpeningChoice({ body, moment }: { body: HistoryBody; moment: Moment }): ReactNode {
  const openings = readableOpenings(body)
  const acted = useHistory((state) => state.acted)
  const older = useHistory((state) => state.older)
  return (
    <div className="toolbar">
      {openings.length > 1 && (
        <label className="field-inline">
          <span>opening of the store</span>
          <select
            data-testid="history-opening"
            value={moment.openingId}
            onChange={(event) => {
              const found = openings.find((one) => String(one.openingId) === event.target.value)
              if (found !== undefined) {
                navigate({ moment: { openingId: found.openingId, seq: found.lastSeq } })
              }
            }}
          >
            {openings.toReversed().map((one) => (
              <option key={one.openingId} value={one.openingId}>
                {one.openingId}: {formatTime(one.firstAtMs)} to {formatTime(one.lastAtMs)},{' '}
                {plural(one.events, 'event')}
              </option>
            ))}
          </select>
        </label>
      )}
      <label className="field-inline">
        <input
          type="checkbox"
          data-key="filter"
          data-testid="history-acted"
          checked={acted}
          onChange={(event) => showActed(event.target.checked)}
        />
        <span>only passes that did something</span>
      </label>
      {older !== null && (
        <button
          type="button"
          className="button-link"
          data-testid="history-older"
          onClick={() => void readOlderPasses()}
        >
          read older passes
        </button>
      )}
    </div>
  )
}

/** The verdicts of a pass come when it is opened. */
function useWholePass(): void {
  const passId = useRoute((route) => (route.drawer?.kind === 'pass' ? route.drawer.id : null))
  const openingId = useHistory((state) => state.moment?.openingId ?? null)
  const isCut = useHistory((state) =>
    state.passes.some(
      (pass) =>
        pass.openingId === openingId && pass.report.passId === passId && pass.candidatesDropped,
    ),
  )
  useEffect(() => {
    if (isCut && passId !== null) void completePass(passId)
  }, [isCut, passId])
}

interface PlaceProps {
  opening: ReadableOpening
  moment: Moment
}

function Timeline({ opening, moment }: PlaceProps): ReactNode {
  const passes = useHistory((state) => state.passes)
  const here = useMemo(
    () => passes.filter((pass) => pass.openingId === opening.openingId),
    [passes, opening],
  )
  const time = useRoute((route) => route.time)
  const bounds = useMemo(
    () => ({
      fromMs: opening.firstAtMs,
      toMs: Math.max(opening.lastAtMs, opening.firstAtMs + 1000),
    }),
    [opening],
  )
  // A span that a link or another view fixed may lie in another opening: then all of this one is shown.
  const fixed = useMemo(() => (time === null ? null : within(time, bounds)), [time, bounds])
  const { fromMs, toMs } = fixed ?? bounds
  const { openingId } = opening
  useEffect(() => {
    void readLatency(openingId, { fromMs, toMs })
    // The opening is another object when the recording was read again.
  }, [openingId, opening, fromMs, toMs])
  const read = useHistory((state) => state.latency)
  const latency = read?.openingId === openingId ? read : null
  const intervals = latency?.isRecorded === true ? latency.intervals : null
  const foreground = useMemo(
    () => (intervals === null ? null : { kind: 'recorded' as const, intervals }),
    [intervals],
  )
  const shown = useMemo(
    () => withRecordedLatency(timelinePasses(runsOf(here), [], fromMs, toMs), intervals ?? []),
    [here, intervals, fromMs, toMs],
  )
  if (here.length === 0) {
    return <p className="muted">No pass of this opening is recorded that matches.</p>
  }
  return (
    <>
      <div className="row">
        <button
          type="button"
          className="button-small"
          data-testid="time-opening"
          disabled={fixed === null}
          onClick={() => navigate({ time: null })}
        >
          all of this opening
        </button>
        <SpanButtons span={{ fromMs, toMs }} bounds={bounds} />
        {fixed !== null && <FixedTime time={fixed} />}
      </div>
      <PassTimeline
        passes={shown}
        foreground={foreground}
        fromMs={fromMs}
        toMs={toMs}
        active={null}
        current={passesAround(here, moment).at?.report.passId ?? null}
        onSpan={(span) => navigate({ time: span })}
        onOpen={(passId) => {
          const pass = here.find(({ report }) => report.passId === passId)
          if (pass !== undefined) goToPass(pass, true)
        }}
      />
      {latency !== null && <LatencyNote latency={latency} />}
    </>
  )
}

/** What there is no line of, and why. */
function LatencyNote({ latency }: { latency: RecordedLatency }): ReactNode {
  const { isRecorded, readToMs } = latency
  if (!isRecorded) {
    return (
      <p className="muted" data-testid="latency-unrecorded">
        How long puts took is not known: an older version recorded this opening without it.
      </p>
    )
  }
  if (readToMs === null) return null
  return (
    <p className="muted" data-testid="latency-partial">
      Put latency is read up to {formatTime(readToMs)}; narrow the span to read what comes after.
    </p>
  )
}

function goToPass({ openingId, seq, report }: HistoryPass, open: boolean): void {
  navigate({
    moment: { openingId, seq },
    ...(open ? { drawer: { kind: 'pass', id: report.passId } } : {}),
  })
}

function Scrubber({ opening, moment }: PlaceProps): ReactNode {
  const passes = useHistory((state) => state.passes)
  const shown = useHistory((state) => state.moment)
  const atMs = momentTime(opening, moment, shown)
  const { before, at, after } = useMemo(() => passesAround(passes, moment), [passes, moment])
  const { openingId, firstSeq, lastSeq } = opening
  const go = (seq: number) =>
    navigate({ moment: { openingId, seq: Math.max(firstSeq, Math.min(lastSeq, seq)) } })
  const text = momentText(moment, atMs, at?.report ?? null)
  return (
    <div className="scrubber" data-testid="scrubber" data-opening={openingId} data-seq={moment.seq}>
      <div className="row">
        <StepButton to={before} name="previous-pass" onGo={(pass) => goToPass(pass, false)}>
          ◀◀ pass
        </StepButton>
        <button
          type="button"
          className="button-small"
          data-testid="previous-event"
          disabled={moment.seq <= firstSeq}
          title="One event back"
          onClick={() => go(moment.seq - 1)}
        >
          ◀ event
        </button>
        <input
          type="range"
          className="grow"
          data-testid="moment"
          aria-label="Recorded moment"
          aria-valuetext={text}
          min={firstSeq}
          max={lastSeq}
          step={1}
          value={moment.seq}
          onChange={(event) => go(Number(event.target.value))}
        />
        <button
          type="button"
          className="button-small"
          data-testid="next-event"
          disabled={moment.seq >= lastSeq}
          title="One event on"
          onClick={() => go(moment.seq + 1)}
        >
          event ▶
        </button>
        <StepButton to={after} name="next-pass" onGo={(pass) => goToPass(pass, false)}>
          pass ▶▶
        </StepButton>
      </div>
      <p className="num muted">
        {text}{' '}
        <span className="nowrap">
          (events {formatCount(firstSeq)} to {formatCount(lastSeq)})
        </span>
        {at !== null && (
          <>
            {': '}
            {sourceWords[at.report.source]}, {outcomeWords[at.report.outcome]}{' '}
            <button type="button" className="button-link" onClick={() => goToPass(at, true)}>
              open the pass
            </button>
          </>
        )}
      </p>
    </div>
  )
}

/** Known at both ends of an opening, and of the moment that has been read. */
function momentTime(opening: ReadableOpening, moment: Moment, shown: Moment | null): number | null {
  if (shown?.openingId === moment.openingId && shown.seq === moment.seq) {
    return momentStore.getState().gauges?.nowMs ?? null
  }
  if (moment.seq === opening.lastSeq) return opening.lastAtMs
  return moment.seq === opening.firstSeq ? opening.firstAtMs : null
}

function StepButton(props: {
  to: HistoryPass | null
  name: 'previous-pass' | 'next-pass'
  onGo: (pass: HistoryPass) => void
  children: ReactNode
}): ReactNode {
  const { to, name, onGo, children } = props
  const title =
    to === null
      ? name === 'next-pass'
        ? 'No later pass of this opening is in the list'
        : 'No earlier pass of this opening is in the list'
      : `The end of pass ${String(to.report.passId)}${name === 'next-pass' ? ' (.)' : ''}`
  return (
    <button
      type="button"
      className="button-small"
      data-testid={name}
      data-key={name === 'next-pass' ? 'step' : undefined}
      disabled={to === null}
      title={title}
      onClick={() => {
        if (to !== null) onGo(to)
      }}
    >
      {children}
    </button>
  )
}

/** Below the context: everything here reads the recorded moment. */
function TheMoment(): ReactNode {
  const engine = useApp((state) => state.engine)
  const atMs = useApp((state) => state.gauges?.nowMs ?? null)
  const why = useHistory((state) => state.why)
  const moment = useHistory((state) => state.moment)
  if (engine === null || moment === null) {
    return why === null ? (
      <p className="muted">The moment is read.</p>
    ) : (
      <p className="note note-bad" data-testid="moment-missing">
        ✕ The state of this moment cannot be told: {why}.
      </p>
    )
  }
  return (
    <div
      className="parts"
      data-testid="moment-state"
      data-opening={moment.openingId}
      data-seq={moment.seq}
    >
      <Panel
        id="moment"
        name="The store at this moment"
        title={<span data-testid="moment-sentence">{theSentence(engine, atMs)}</span>}
        large
      >
        <p className="muted">
          As it was at <Time value={atMs} />, after event {formatCount(moment.seq)}; the bar at the
          top shows the store as it is now. The trace below has the events before it, at most{' '}
          {formatCount(EVENTS_BESIDE)}.
        </p>
      </Panel>
      <SegmentStrip />
      <QueueView />
      <TraceView />
    </div>
  )
}
