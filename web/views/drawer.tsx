// What is open beside the view: one segment, one pass or one event. A sheet at phone width.
import { X } from 'lucide-react'
import { useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import type { EngineEvent, SegmentId } from '../../server/protocol.ts'
import { describeEvent } from '../lib/describe-event.ts'
import { exactTime, formatCount, formatTime, segmentLabel } from '../lib/format.ts'
import { routeToHash, type DrawerTarget } from '../lib/route.ts'
import { traceLine } from '../lib/trace-line.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { useFocusReturn } from '../parts/hooks.ts'
import { SegmentChips } from '../parts/segment-chip.tsx'
import { failureText, readEvent } from '../state/older-events.ts'
import { segmentsOfEvent } from '../state/trace-filter.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { closeDrawer, navigate, openDrawer, uiStore, useRoute } from '../state/ui-store.ts'
import { PassDetails } from './pass-details.tsx'
import { SegmentDetails } from './segment-details.tsx'

export function Drawer(): ReactNode {
  const target = useRoute((route) => route.drawer)
  const ready = useApp((state) => state.engine !== null)
  return target === null || !ready ? null : <OpenDrawer target={target} />
}

function OpenDrawer({ target }: { target: DrawerTarget }): ReactNode {
  const box = useRef<HTMLElement>(null)
  const key = targetKey(target)
  useFocusReturn(box)
  // Asking an element where it is scrolled to lays out the page once more.
  const scrolled = useRef(false)
  useEffect(() => {
    if (scrolled.current) box.current?.scrollTo(0, 0)
  }, [key])
  return (
    <aside
      ref={box}
      className="drawer"
      aria-label={targetName(target)}
      data-testid="drawer"
      data-open={key}
      data-key="drawer"
      tabIndex={-1}
      onScroll={(event) => {
        scrolled.current = event.currentTarget.scrollTop > 0
      }}
    >
      <header className="drawer-head">
        <h2>{targetName(target)}</h2>
        <span className="spacer" />
        <CopyButton
          testId="copy-link"
          title="Copies the address of this view with what is open and chosen"
          text={() => location.origin + location.pathname + routeToHash(uiStore.getState().route)}
        >
          Copy link
        </CopyButton>
        <button
          type="button"
          className="button-quiet"
          data-testid="drawer-close"
          aria-label="Close"
          title="Close (Esc)"
          onClick={closeDrawer}
        >
          <X size={16} aria-hidden="true" />
        </button>
      </header>
      <div className="drawer-body">
        <Body target={target} />
      </div>
    </aside>
  )
}

function targetKey(target: DrawerTarget): string {
  switch (target.kind) {
    case 'segment':
      return `segment:${segmentLabel(target.id)}`
    case 'pass':
      return `pass:${String(target.id)}`
    case 'event':
      return `event:${String(target.seq)}`
  }
}

function targetName(target: DrawerTarget): string {
  switch (target.kind) {
    case 'segment':
      return `Segment ${segmentLabel(target.id)}`
    case 'pass':
      return `Pass ${String(target.id)}`
    case 'event':
      return `Event ${String(target.seq)}`
  }
}

function Body({ target }: { target: DrawerTarget }): ReactNode {
  switch (target.kind) {
    case 'segment':
      return <SegmentDetails id={target.id} />
    case 'pass':
      return <PassDetails id={target.id} />
    case 'event':
      return <EventDetails seq={target.seq} />
  }
}

function EventDetails({ seq }: { seq: number }): ReactNode {
  const trace = useApp((state) => state.trace)
  const event = useMemo<EngineEvent | null>(() => {
    // From the newest stream back: numbering starts over with each.
    for (let at = trace.chunks.length - 1; at >= 0; at -= 1) {
      const found = trace.chunks[at]?.items.findLast(
        (entry) => entry.kind === 'event' && entry.event.seq === seq,
      )
      if (found?.kind === 'event') return found.event
    }
    return null
  }, [trace, seq])
  return event === null ? <EventElsewhere key={seq} seq={seq} /> : <EventView event={event} />
}

/** An event that the trace does not hold: asked for by itself, so that any link to it works. */
function EventElsewhere({ seq }: { seq: number }): ReactNode {
  const newestSeq = useApp((state) => state.seq)
  const isTold = useApp((state) => state.streamId !== null)
  const isLive = useIsLive()
  const hasHappened = isTold && isLive && seq <= newestSeq
  const [answer, setAnswer] = useState<{ event: EngineEvent | null; failure: string | null }>()
  useEffect(() => {
    if (!hasHappened) return
    let isShown = true
    readEvent(seq).then(
      (event) => isShown && setAnswer({ event, failure: null }),
      (error: unknown) => isShown && setAnswer({ event: null, failure: failureText(error) }),
    )
    return () => {
      isShown = false
    }
  }, [seq, hasHappened])
  if (!isTold) return <p className="muted">Waiting for the first numbers.</p>
  if (!isLive) return <p className="muted">Event {formatCount(seq)} is not beside this moment.</p>
  if (!hasHappened) {
    return (
      <p className="muted">
        Event {formatCount(seq)} has not happened yet: the newest is {formatCount(newestSeq)}.
      </p>
    )
  }
  if (answer === undefined) return <p className="muted">Loading event {formatCount(seq)}…</p>
  if (answer.failure !== null) {
    return (
      <p className="bad">
        ✕ Event {formatCount(seq)} was not loaded: {answer.failure}
      </p>
    )
  }
  if (answer.event === null) {
    return (
      <p className="muted">
        Event {formatCount(seq)} is no longer held by the server, and its folder has no recording of
        it.
      </p>
    )
  }
  return <EventView event={answer.event} />
}

function EventView({ event }: { event: EngineEvent }): ReactNode {
  const { passId } = event
  const segments: SegmentId[] = segmentsOfEvent(event)
  const isLive = useIsLive()
  return (
    <article className="event-view" data-testid="event-details" data-seq={event.seq}>
      <p className="pass-sentence">{describeEvent(event)}</p>
      <dl className="facts">
        <dt>type</dt>
        <dd>
          <code>{event.type}</code>
        </dd>
        <dt>time</dt>
        <dd className="num" title={exactTime(event.atMs)}>
          {formatTime(event.atMs, true)}
        </dd>
        <dt>pass</dt>
        <dd>
          {passId === null ? (
            'outside passes'
          ) : (
            <button
              type="button"
              className="button-link"
              onClick={() => openDrawer({ kind: 'pass', id: passId })}
            >
              #{passId}
            </button>
          )}
        </dd>
        {segments.length > 0 && (
          <>
            <dt>segments</dt>
            <dd>
              <SegmentChips ids={segments} />
            </dd>
          </>
        )}
      </dl>
      <div className="row tight">
        <CopyButton testId="copy-trace-line" text={() => traceLine(event)}>
          Copy trace line
        </CopyButton>
        <CopyButton testId="copy-json" text={() => JSON.stringify(event)}>
          Copy JSON
        </CopyButton>
        {isLive && (
          <button
            type="button"
            className="button-small"
            onClick={() => navigate({ view: 'trace', traceAt: event.seq })}
          >
            Show in the trace
          </button>
        )}
      </div>
      <h3>Fields</h3>
      <pre className="trace-fields" tabIndex={0} aria-label="Fields of the event">
        {JSON.stringify(event, null, 2)}
      </pre>
      <h3>Trace line</h3>
      <pre className="trace-fields trace-raw" tabIndex={0} aria-label="Trace line">
        {traceLine(event)}
      </pre>
    </article>
  )
}
