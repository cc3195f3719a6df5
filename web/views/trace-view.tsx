// Every event as one readable line, newest first, filtered by kind, pass, segment and text, with its
// fields in the drawer. What this page never saw, what it let go, and where another stream begins, are
// lines of their own. Reading further down pauses it, so that nothing is pushed away.
import { memo, useEffect, useMemo, useRef, useState, type MouseEvent, type ReactNode } from 'react'
import type { EngineEvent } from '../../server/protocol.ts'
import { appendToLog, emptyLog, logAt } from '../lib/chunked-log.ts'
import { exactTime, formatCount, formatTime, plural, segmentLabel } from '../lib/format.ts'
import { parseSegmentLabel, type EventPlace } from '../lib/route.ts'
import { traceLine } from '../lib/trace-line.ts'
import { eventGroups, groupOfEvent, groupWords } from '../lib/words.ts'
import { useAfterAnswer, useMedia } from '../parts/hooks.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { Panel } from '../parts/panel.tsx'
import { RowKeys } from '../parts/row-keys.ts'
import { useRowWindow } from '../parts/row-window.ts'
import { openingMeant, placeOf, streamOf } from '../state/openings.ts'
import { traceKey, type TraceEntry, type TraceLog } from '../state/app-state.ts'
import {
  countGroups,
  lineOf,
  TraceSearch,
  type TraceFilter,
  type TraceRows,
} from '../state/trace-filter.ts'
import { appStore, useApp, useIsLive } from '../state/store.ts'
import { navigate, openDrawer, toggleGroup, uiStore, useRoute } from '../state/ui-store.ts'
import { loadAtEnd, RemarkLine, useLoadedFor } from './trace-gap.tsx'

/** Leaves most of a frame to drawing. */
const SEARCH_BUDGET_MS = 8
/** Heights of a line in pixels, as the stylesheet has them; a phone puts the words under the numbers. */
const LINE = 28
const NARROW_LINE = 48
/** Of the list, as the stylesheet has it, too. */
const listHeight = (): number => Math.max(320, innerHeight - 320)
/** A clipboard takes more, but nobody pastes more into a comment. */
const COPY_MAX = 5000

export function TraceView(): ReactNode {
  const latest = useApp((state) => state.trace)
  const at = useRoute((route) => route.traceAt)
  const fills = useApp((state) => state.traceFills)
  const held = useHeld(latest, at, fills)
  useLoadedFor(at)
  const log = held ?? latest
  const rows = useRows(log)
  const events = useMemo(() => [...countGroups(log).values()].reduce((sum, n) => sum + n, 0), [log])
  const newer = held === null ? 0 : latest.length + latest.dropped - held.length - held.dropped
  const title =
    latest.length === 0
      ? 'No event yet'
      : events === 0
        ? 'No event is loaded'
        : rows.searched < log.length
          ? `${plural(rows.count, 'line')} so far, searched ${formatCount(rows.searched)} of ${formatCount(log.length)} events`
          : `${plural(rows.count, 'line')} of the newest ${plural(events, 'event')}`
  return (
    <Panel
      id="trace"
      name="Trace"
      title={title}
      aside={
        <div className="row">
          <CopyShown rows={rows} />
          <button
            type="button"
            data-testid="trace-follow"
            aria-pressed={held === null}
            onClick={() => (held === null ? pauseHere(rows) : follow())}
          >
            {held === null
              ? 'Pause'
              : newer === 0
                ? 'Follow'
                : `Follow, ${formatCount(newer)} newer`}
          </button>
        </div>
      }
    >
      <Filters />
      <GroupChips log={log} />
      <TraceList rows={rows} log={log} paused={held !== null} />
    </Panel>
  )
}

function pauseHere(rows: TraceRows): void {
  const first = rows.at(0)
  const state = appStore.getState()
  navigate({
    traceAt:
      first?.kind === 'event'
        ? placeOf(state, first.stream, first.event.seq)
        : placeOf(state, state.streamCount, state.seq),
  })
}

function follow(): void {
  navigate({ traceAt: null })
}

/**
 * While paused: the trace as it was then. After a reload the address still says at which event, and
 * the trace held is cut there, so that the place is not lost.
 */
function useHeld(latest: TraceLog, at: EventPlace | null, fills: number): TraceLog | null {
  const [held, setHeld] = useState<{ at: EventPlace; fills: number; log: TraceLog } | null>(null)
  const stream = useApp((state) => streamOf(state, at?.opening))
  const isLive = useIsLive()
  if (at === null) {
    if (held !== null) setHeld(null)
    return null
  }
  // Older events that were loaded meanwhile belong to what is being read.
  if (held?.at.seq === at.seq && held.at.opening === at.opening && held.fills === fills) {
    return held.log
  }
  const log = logUpTo(latest, at.seq, isLive ? stream : null) ?? latest
  setHeld({ at, fills, log })
  return log
}

/** The log without what came after event `seq` of that stream, null: any; null when that is all of it. */
function logUpTo(log: TraceLog, seq: number, stream: number | null): TraceLog | null {
  let length = log.length
  while (length > 0) {
    const entry = logAt(log, length - 1)
    const isOfIt = entry?.kind === 'event' && (stream === null || entry.stream === stream)
    if (isOfIt && entry.event.seq <= seq) break
    length -= 1
  }
  if (length === log.length || length === 0) return null
  let cut: TraceLog = { ...emptyLog, dropped: log.dropped }
  const free = { weigh: () => 0, weightMax: Infinity, lengthMax: Infinity }
  for (const chunk of log.chunks) {
    if (cut.length >= length) break
    cut = appendToLog(cut, chunk.items.slice(0, length - cut.length), free)
  }
  return cut
}

function useFilter(): TraceFilter {
  const traceText = useRoute((route) => route.traceText)
  const traceHidden = useRoute((route) => route.traceHidden)
  const tracePass = useRoute((route) => route.tracePass)
  const traceSegment = useRoute((route) => route.traceSegment)
  const traceOpening = useRoute((route) => route.traceOpening)
  const stream = useApp((state) => streamOf(state, openingMeant(state, traceOpening)))
  // A recorded moment has events of its opening alone.
  const passStream = useIsLive() ? stream : null
  return useMemo(
    () => ({ traceText, traceHidden, tracePass, passStream, traceSegment }),
    [traceText, traceHidden, tracePass, passStream, traceSegment],
  )
}

/** The lines to show; a search over a long trace goes on from frame to frame. */
function useRows(log: TraceLog): TraceRows {
  // What is typed stands in its field at once; the lines follow.
  const filter = useAfterAnswer(useFilter())
  const search = useMemo(() => new TraceSearch(filter), [filter])
  const first = useMemo(() => lookOn(search, log), [search, log])
  const [later, setLater] = useState({ first, rows: first })
  // What a later frame has found counts as long as it is about the same search of the same trace.
  const rows = later.first === first ? later.rows : first
  useEffect(() => {
    if (rows.searched >= log.length) return
    const frame = requestAnimationFrame(() => setLater({ first, rows: lookOn(search, log) }))
    return () => cancelAnimationFrame(frame)
  }, [search, log, first, rows])
  return rows
}

/** Goes on where this search stopped, for as long as a frame can spare. */
function lookOn(search: TraceSearch, log: TraceLog): TraceRows {
  return search.rows(log, SEARCH_BUDGET_MS, () => performance.now())
}

function Filters(): ReactNode {
  const { traceText, tracePass, traceSegment } = useFilter()
  return (
    <div className="toolbar">
      <label className="field-inline grow">
        <span className="sr-only">Filter the trace by text</span>
        <input
          type="search"
          data-key="filter"
          data-testid="trace-filter"
          placeholder="Filter by text or type, press /"
          value={traceText}
          onChange={(event) => navigate({ traceText: event.target.value })}
        />
      </label>
      <label className="field-inline">
        <span>pass</span>
        <input
          type="number"
          min="1"
          className="narrow"
          data-testid="trace-pass"
          value={tracePass ?? ''}
          onChange={(event) =>
            navigate({ tracePass: event.target.value === '' ? null : Number(event.target.value) })
          }
        />
      </label>
      <OpeningChoice />
      <SegmentFilter key={traceSegment} segment={traceSegment} />
      {(tracePass !== null || traceSegment !== null || traceText !== '') && (
        <button
          type="button"
          className="button-link"
          onClick={() =>
            navigate({
              traceText: '',
              tracePass: null,
              traceOpening: null,
              traceSegment: null,
            })
          }
        >
          clear
        </button>
      )}
    </div>
  )
}

/** Which opening the number of the pass is of; nothing while there is one only. */
function OpeningChoice(): ReactNode {
  const named = useRoute((route) => route.traceOpening)
  const wanted = useApp((state) => openingMeant(state, named))
  const attached = useApp((state) => state.store?.mode === 'attached')
  const loaded = useApp((state) => state.openingsLoaded)
  const followed = useApp((state) => state.streamOpenings)
  const isLive = useIsLive()
  const present = followed.at(-1) ?? null
  const others = [...followed.slice(0, -1), ...loaded, wanted].filter(
    (one): one is number => one !== null && one !== present,
  )
  if (!isLive || others.length === 0) return null
  return (
    <label className="field-inline">
      <span>of opening</span>
      <select
        data-testid="trace-opening"
        value={wanted === present ? '' : (wanted ?? '')}
        onChange={(event) =>
          navigate({ traceOpening: event.target.value === '' ? null : Number(event.target.value) })
        }
      >
        {!attached && (
          <option value="">
            {present === null ? 'the present' : `${String(present)}, present`}
          </option>
        )}
        {[...new Set(others)]
          .sort((a, b) => b - a)
          .map((one) => (
            <option key={one} value={one}>
              {one}
            </option>
          ))}
      </select>
    </label>
  )
}

function SegmentFilter({ segment }: { segment: number | null }): ReactNode {
  const [text, setText] = useState(segment === null ? '' : segmentLabel(segment))
  const id = parseSegmentLabel(text)
  const bad = text.trim() !== '' && id === null
  return (
    <label className="field-inline">
      <span>segment</span>
      <input
        type="text"
        className="narrow"
        data-testid="trace-segment"
        placeholder="L0-12"
        aria-invalid={bad}
        title={bad ? 'A segment is written as lane and number: L0-12' : undefined}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onBlur={() => navigate({ traceSegment: id })}
        onKeyDown={(event) => {
          if (event.key === 'Enter') navigate({ traceSegment: id })
        }}
      />
    </label>
  )
}

function GroupChips({ log }: { log: TraceLog }): ReactNode {
  const { traceHidden, tracePass, traceSegment } = useFilter()
  const counts = useMemo(() => countGroups(log), [log])
  const narrowed = tracePass !== null || traceSegment !== null
  const hiddenCount = traceHidden.reduce((sum, group) => sum + (counts.get(group) ?? 0), 0)
  return (
    <div className="chips-row" role="group" aria-label="Kinds of events shown">
      {eventGroups.map((group) => (
        <button
          key={group}
          type="button"
          className="toggle-chip"
          data-testid={`trace-group-${group}`}
          aria-pressed={!traceHidden.includes(group)}
          onClick={() => toggleGroup(group)}
        >
          {groupWords[group]} <span className="num">{formatCount(counts.get(group) ?? 0)}</span>
        </button>
      ))}
      {narrowed ? (
        <span className="muted">
          All kinds are shown for one {tracePass === null ? 'segment' : 'pass'}.
        </span>
      ) : (
        hiddenCount > 0 && (
          <span className="muted">
            {formatCount(hiddenCount)} hidden:{' '}
            {traceHidden
              .filter((group) => (counts.get(group) ?? 0) > 0)
              .map((group) => groupWords[group].toLowerCase())
              .join(', ')}
          </span>
        )
      )}
    </div>
  )
}

function CopyShown({ rows }: { rows: TraceRows }): ReactNode {
  const events = (): EngineEvent[] => {
    const found: EngineEvent[] = []
    for (let row = Math.min(rows.count, COPY_MAX) - 1; row >= 0; row -= 1) {
      const entry = rows.at(row)
      if (entry?.kind === 'event') found.push(entry.event)
    }
    return found
  }
  const title = `Copies the lines shown, oldest first, at most the newest ${formatCount(COPY_MAX)}`
  return (
    <>
      <CopyButton
        testId="copy-trace-lines"
        title={title}
        text={() => events().map(traceLine).join('\n')}
      >
        Copy as trace lines
      </CopyButton>
      <CopyButton
        testId="copy-trace-json"
        title={title}
        text={() =>
          events()
            .map((event) => JSON.stringify(event))
            .join('\n')
        }
      >
        Copy as JSON
      </CopyButton>
    </>
  )
}

interface TraceListProps {
  rows: TraceRows
  log: TraceLog
  paused: boolean
}

function TraceList({ rows, log, paused }: TraceListProps): ReactNode {
  const scroll = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLOListElement>(null)
  const open = useAfterAnswer(useOpenEvent())
  const dropped = log.dropped
  const narrow = useMedia('(max-width: 640px)')
  // Every line has its place from its number alone: nothing is measured while they rush by.
  const height = narrow ? NARROW_LINE : LINE
  const count = rows.count + (dropped > 0 ? 1 : 0)
  const { first, end } = useRowWindow(scroll, { count, height, overscan: 8 }, listHeight)
  const inSight = Array.from({ length: end - first }, (_, i) => ({
    index: first + i,
    entry: rows.at(first + i),
  }))
  const [elements] = useState(() => new RowKeys())
  const keys = elements.of(
    inSight.map(({ index, entry }) =>
      entry === undefined ? `end-${String(index)}` : traceKey(entry),
    ),
    () => list.current?.contains(document.activeElement) === true,
  )
  const onPress = useRowPress()
  return (
    <div
      ref={scroll}
      className="trace"
      data-testid="trace-list"
      data-paused={paused}
      tabIndex={0}
      role="region"
      aria-label="Events, newest first"
      onScroll={(event) => {
        // Reading further down must not be pushed away by what comes in at the top.
        if (event.currentTarget.scrollTop > 4 && uiStore.getState().route.traceAt === null) {
          pauseHere(rows)
        }
        const { scrollTop, clientHeight, scrollHeight } = event.currentTarget
        // Only a person's way to the end: with a filter the end may always be in sight.
        if (scrollTop > 4 && scrollTop + clientHeight >= scrollHeight - height) {
          loadAtEnd(rows.at(rows.count - 1))
        }
      }}
    >
      {rows.count === 0 && (
        <p className="muted trace-empty">
          {log.length === 0
            ? 'Nothing has happened yet.'
            : 'No event that this page holds matches the filter.'}
        </p>
      )}
      <ol ref={list} className="trace-list" style={{ height: count * height }} {...onPress}>
        {inSight.map(({ index, entry }, place) => (
          <li
            key={keys[place]}
            data-index={index}
            className="trace-item"
            style={{ transform: `translateY(${String(index * height)}px)` }}
          >
            <Line entry={entry} dropped={dropped} open={open} />
          </li>
        ))}
      </ol>
    </div>
  )
}

/**
 * Opens the line that was pressed: while lines rush by, the one under the pointer when it lets go is
 * another. A press of a key has no pointer, and opens the line that has the focus.
 */
function useRowPress() {
  const pressed = useRef<EventPlace | null>(null)
  const isLive = useIsLive()
  return {
    onPointerDown: (event: MouseEvent) => {
      pressed.current = eventAt(event, isLive)
    },
    onClick: (event: MouseEvent) => {
      const at = eventAt(event, isLive)
      if (at === null) return
      openDrawer({ kind: 'event', ...(event.detail === 0 ? at : (pressed.current ?? at)) })
    },
  }
}

/** The event whose line this happened on; null between and beside the lines of events. */
function eventAt({ target }: MouseEvent, isLive: boolean): EventPlace | null {
  const row = target instanceof Element ? target.closest('button.trace-line')?.parentElement : null
  if (row === null || row === undefined) return null
  const seq = Number(row.dataset['seq'])
  // Beside a recorded moment there are events of its opening alone.
  return isLive ? placeOf(appStore.getState(), Number(row.dataset['stream']), seq) : { seq }
}

/** Key of the line that is open in the drawer. */
function useOpenEvent(): string | null {
  const drawer = useRoute((route) => route.drawer)
  const place = drawer?.kind === 'event' ? drawer : null
  const stream = useApp((state) => streamOf(state, place?.opening))
  const isLive = useIsLive()
  if (place === null) return null
  return isLive ? `${String(stream)}:${String(place.seq)}` : `:${String(place.seq)}`
}

interface LineProps {
  /** undefined: the line behind the last, which tells what was let go. */
  entry: TraceEntry | undefined
  dropped: number
  open: string | null
}

function Line({ entry, dropped, open }: LineProps): ReactNode {
  if (entry === undefined) {
    return (
      <p className="remark" data-testid="trace-dropped">
        {plural(dropped, 'older line')} came to this page and {dropped === 1 ? 'was' : 'were'} let
        go: it keeps a bounded number.
      </p>
    )
  }
  if (entry.kind === 'remark') {
    return <RemarkLine remark={entry} />
  }
  return (
    <TraceRow
      event={entry.event}
      stream={entry.stream}
      open={open === traceKey(entry) || open === `:${String(entry.event.seq)}`}
    />
  )
}

interface TraceRowProps {
  event: EngineEvent
  stream: number
  open: boolean
}

const TraceRow = memo(function TraceRow({ event, stream, open }: TraceRowProps): ReactNode {
  return (
    <div
      className={`trace-row group-${groupOfEvent[event.type]}`}
      data-testid="trace-row"
      data-event-type={event.type}
      data-seq={event.seq}
      data-stream={stream}
    >
      <button type="button" className="trace-line" aria-expanded={open}>
        <span className="num trace-seq">{event.seq}</span>
        <span className="num trace-time" title={exactTime(event.atMs)}>
          {formatTime(event.atMs, true)}
        </span>
        <span className="num trace-pass">
          {event.passId === null ? '' : `#${String(event.passId)}`}
        </span>
        <span className="trace-text" title={lineOf(event)}>
          {lineOf(event)}
        </span>
      </button>
    </div>
  )
})
