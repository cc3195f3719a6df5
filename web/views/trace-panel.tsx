// Every event as one readable line, newest first, filtered by kind and text, with its fields on
// demand. What this page never saw, and where another stream begins, are lines of their own.
import { useVirtualizer } from '@tanstack/react-virtual'
import { useDeferredValue, useMemo, useRef, useState, type ReactNode } from 'react'
import type { EngineEvent } from '../../server/protocol.ts'
import { describeEvent } from '../lib/describe-event.ts'
import { formatCount, formatTime, exactTime, plural } from '../lib/format.ts'
import { eventGroups, groupOfEvent, groupWords, type EventGroup } from '../lib/words.ts'
import { Panel } from '../parts/panel.tsx'
import type { TraceEntry } from '../state/app-state.ts'
import { useApp } from '../state/store.ts'
import { toggleGroup, uiStore, useUi } from '../state/ui-store.ts'

/** An event never changes, so its line is made once. */
const lines = new WeakMap<EngineEvent, string>()

function lineOf(event: EngineEvent): string {
  const known = lines.get(event)
  if (known !== undefined) return known
  const line = describeEvent(event)
  lines.set(event, line)
  return line
}

/** Newest first; remarks always stay, because they say what is missing from the rest. */
export function filterTrace(
  trace: readonly TraceEntry[],
  hidden: readonly EventGroup[],
  text: string,
): TraceEntry[] {
  const wanted = text.trim().toLowerCase()
  const gone = new Set(hidden)
  const shown: TraceEntry[] = []
  for (let index = trace.length - 1; index >= 0; index -= 1) {
    const entry = trace[index]
    if (entry === undefined) continue
    if (entry.kind === 'event') {
      if (gone.has(groupOfEvent[entry.event.type])) continue
      if (
        wanted !== '' &&
        !entry.event.type.includes(wanted) &&
        !lineOf(entry.event).toLowerCase().includes(wanted)
      ) {
        continue
      }
    }
    shown.push(entry)
  }
  return shown
}

export function TracePanel(): ReactNode {
  const latest = useApp((state) => state.trace)
  const seq = useApp((state) => state.seq)
  const hidden = useUi((state) => state.hiddenGroups)
  const text = useUi((state) => state.traceText)
  /** While paused: the trace as it was then. */
  const [held, setHeld] = useState<TraceEntry[] | null>(null)
  const trace = useDeferredValue(held ?? latest)
  const shown = useMemo(() => filterTrace(trace, hidden, text), [trace, hidden, text])
  const newer = held === null ? 0 : newerThan(latest, held)
  const pause = () => setHeld((now) => now ?? latest)
  const title =
    seq === 0
      ? 'No event yet'
      : `${plural(shown.length, 'line')} shown of the newest ${plural(trace.length, 'event')}`
  return (
    <Panel
      id="trace"
      name="Trace"
      title={title}
      aside={
        <div className="row">
          <label className="field-inline">
            <span className="sr-only">Filter the trace by text</span>
            <input
              id="trace-filter"
              type="search"
              data-testid="trace-filter"
              placeholder="Filter, press /"
              value={text}
              onChange={(event) => uiStore.setState({ traceText: event.target.value })}
            />
          </label>
          <button
            type="button"
            data-testid="trace-follow"
            aria-pressed={held === null}
            onClick={() => setHeld(held === null ? latest : null)}
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
      <GroupChips trace={trace} hidden={hidden} />
      <TraceList shown={shown} onLeaveTop={pause} filtered={text.trim() !== ''} />
    </Panel>
  )
}

function newerThan(latest: readonly TraceEntry[], held: readonly TraceEntry[]): number {
  const last = held.at(-1)
  if (last === undefined) return latest.length
  for (let index = latest.length - 1; index >= 0; index -= 1) {
    if (latest[index]?.key === last.key) return latest.length - 1 - index
  }
  return latest.length
}

function GroupChips({
  trace,
  hidden,
}: {
  trace: readonly TraceEntry[]
  hidden: readonly EventGroup[]
}): ReactNode {
  const counts = useMemo(() => {
    const found = new Map<EventGroup, number>()
    for (const entry of trace) {
      if (entry.kind !== 'event') continue
      const group = groupOfEvent[entry.event.type]
      found.set(group, (found.get(group) ?? 0) + 1)
    }
    return found
  }, [trace])
  const hiddenCount = hidden.reduce((sum, group) => sum + (counts.get(group) ?? 0), 0)
  return (
    <div className="chips-row" role="group" aria-label="Kinds of events shown">
      {eventGroups.map((group) => (
        <button
          key={group}
          type="button"
          className="toggle-chip"
          data-testid={`trace-group-${group}`}
          aria-pressed={!hidden.includes(group)}
          onClick={() => toggleGroup(group)}
        >
          {groupWords[group]} <span className="num">{formatCount(counts.get(group) ?? 0)}</span>
        </button>
      ))}
      {hiddenCount > 0 && (
        <span className="muted">
          {formatCount(hiddenCount)} hidden:{' '}
          {hidden
            .filter((group) => (counts.get(group) ?? 0) > 0)
            .map((group) => groupWords[group].toLowerCase())
            .join(', ')}
        </span>
      )}
    </div>
  )
}

interface TraceListProps {
  shown: TraceEntry[]
  onLeaveTop: () => void
  filtered: boolean
}

function TraceList({ shown, onLeaveTop, filtered }: TraceListProps): ReactNode {
  const scroll = useRef<HTMLDivElement>(null)
  const [open, setOpen] = useState<string | null>(null)
  const virtualizer = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => 28,
    getItemKey: (index) => shown[index]?.key ?? index,
    overscan: 10,
  })
  return (
    <div
      ref={scroll}
      className="trace"
      data-testid="trace-list"
      tabIndex={0}
      role="region"
      aria-label="Events, newest first"
      onScroll={(event) => {
        // Reading further down must not be pushed away by what comes in at the top.
        if (event.currentTarget.scrollTop > 4) onLeaveTop()
      }}
    >
      {shown.length === 0 && (
        <p className="muted trace-empty">
          {filtered ? 'No event matches the filter.' : 'Nothing of the chosen kinds has happened.'}
        </p>
      )}
      <ol className="trace-list" style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map((item) => {
          const entry = shown[item.index]
          if (entry === undefined) return null
          return (
            <li
              key={item.key}
              ref={virtualizer.measureElement}
              data-index={item.index}
              className="trace-item"
              style={{ transform: `translateY(${String(item.start)}px)` }}
            >
              {entry.kind === 'remark' ? (
                <p className={`remark remark-${entry.what}`} data-testid="trace-remark">
                  {entry.text}
                </p>
              ) : (
                <TraceRow
                  event={entry.event}
                  open={open === entry.key}
                  onToggle={() => {
                    onLeaveTop()
                    setOpen(open === entry.key ? null : entry.key)
                  }}
                />
              )}
            </li>
          )
        })}
      </ol>
    </div>
  )
}

interface TraceRowProps {
  event: EngineEvent
  open: boolean
  onToggle: () => void
}

function TraceRow({ event, open, onToggle }: TraceRowProps): ReactNode {
  const group = groupOfEvent[event.type]
  return (
    <div
      className={`trace-row group-${group}`}
      data-testid="trace-row"
      data-event-type={event.type}
      data-seq={event.seq}
    >
      <button type="button" className="trace-line" aria-expanded={open} onClick={onToggle}>
        <span className="num trace-seq">{event.seq}</span>
        <span className="num trace-time" title={exactTime(event.atMs)}>
          {formatTime(event.atMs, true)}
        </span>
        <span className="num trace-pass">
          {event.passId === null ? '' : `#${String(event.passId)}`}
        </span>
        <span className="trace-text">{lineOf(event)}</span>
      </button>
      {open && (
        <pre className="trace-fields" tabIndex={0}>
          {JSON.stringify(event, null, 2)}
        </pre>
      )}
    </div>
  )
}
