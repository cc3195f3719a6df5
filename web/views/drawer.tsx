// What is open beside the view: one segment, one pass or one event. A sheet at phone width.
import { X } from 'lucide-react'
import { memo, useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import type { EngineEvent, SegmentId } from '../../server/protocol.ts'
import { describeEvent } from '../lib/describe-event.ts'
import { exactTime, formatCount, formatTime, segmentLabel } from '../lib/format.ts'
import {
  drawerText,
  inOpening,
  routeToHash,
  type DrawerTarget,
  type EventPlace,
} from '../lib/route.ts'
import { traceLine } from '../lib/trace-line.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { useAfterAnswer, useFocusReturn } from '../parts/hooks.ts'
import { SegmentChips } from '../parts/segment-chip.tsx'
import { failureText, readEvent } from '../state/older-events.ts'
import { streamOf } from '../state/openings.ts'
import { segmentsOfEvent } from '../state/trace-filter.ts'
import { useApp, useIsLive } from '../state/store.ts'
import { closeDrawer, navigate, openDrawer, uiStore, useRoute } from '../state/ui-store.ts'
import { PassDetails } from './pass-details.tsx'
import { SegmentDetails } from './segment-details.tsx'

export const Drawer = memo(function Drawer(): ReactNode {
  const target = useRoute((route) => route.drawer)
  const ready = useApp((state) => state.engine !== null)
  return target === null || !ready ? null : <OpenDrawer target={target} />
})

function OpenDrawer({ target }: { target: DrawerTarget }): ReactNode {
  const box = useRef<HTMLElement>(null)
  // The frame and its heading answer the press; what is said of it follows.
  const shown = useAfterAnswer<DrawerTarget | null>(target, null)
  const key = shown === null ? undefined : drawerText(shown)
  useFocusReturn(box)
  // Asking an element where it is scrolled to lays out the page once more.
  const scrolled = useRef(false)
  useEffect(() => {
    if (scrolled.current) box.current?.scrollTo(0, 0)
  }, [key])
  return (
    <aside
      ref={box}
      className={shown === null ? 'drawer drawer-over' : 'drawer'}
      aria-label={targetName(target)}
      data-testid="drawer"
      data-open={key}
      aria-busy={shown !== target}
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
      <div className="drawer-body">{shown !== null && <Details target={shown} />}</div>
    </aside>
  )
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

const Details = memo(function Details({ target }: { target: DrawerTarget }): ReactNode {
  switch (target.kind) {
    case 'segment':
      return <SegmentDetails id={target.id} />
    case 'pass':
      return <PassDetails id={target.id} opening={target.opening ?? null} />
    case 'event':
      return <EventDetails seq={target.seq} opening={target.opening ?? null} />
  }
})

interface EventProps {
  seq: number
  /** null: the present one. */
  opening: number | null
}

function EventDetails({ seq, opening }: EventProps): ReactNode {
  const trace = useApp((state) => state.trace)
  const stream = useApp((state) => streamOf(state, opening))
  const isPresent = useApp((state) => stream === state.streamCount)
  const isLive = useIsLive()
  const event = useMemo<EngineEvent | null>(() => {
    for (let at = trace.chunks.length - 1; at >= 0; at -= 1) {
      const found = trace.chunks[at]?.items.findLast(
        (entry) =>
          entry.kind === 'event' &&
          entry.event.seq === seq &&
          // A recorded moment has events of its opening alone.
          (!isLive || entry.stream === stream),
      )
      if (found?.kind === 'event') return found.event
    }
    return null
  }, [trace, seq, stream, isLive])
  const place = { seq, ...inOpening(opening) }
  const earlier = isPresent || !isLive ? null : opening
  return event === null ? (
    <EventElsewhere key={`${String(stream)}:${String(seq)}`} place={place} earlier={earlier} />
  ) : (
    <EventView event={event} place={place} earlier={earlier} />
  )
}

interface PlacedEvent {
  place: EventPlace
  /** Its opening, where that is not the present one. */
  earlier: number | null
}

/** An event that the trace does not hold: asked for by itself, so that any link to it works. */
function EventElsewhere({ place, earlier }: PlacedEvent): ReactNode {
  const { seq, opening } = place
  const newestSeq = useApp((state) => state.seq)
  const isTold = useApp((state) => state.streamId !== null)
  const isLive = useIsLive()
  const hasHappened = isTold && isLive && (earlier !== null || seq <= newestSeq)
  const [answer, setAnswer] = useState<{ event: EngineEvent | null; failure: string | null }>()
  useEffect(() => {
    if (!hasHappened) return
    let isShown = true
    readEvent({ seq, ...inOpening(opening ?? null) }).then(
      (event) => isShown && setAnswer({ event, failure: null }),
      (error: unknown) => isShown && setAnswer({ event: null, failure: failureText(error) }),
    )
    return () => {
      isShown = false
    }
  }, [seq, opening, hasHappened])
  const name = `Event ${formatCount(seq)}${earlier === null ? '' : ` of opening ${formatCount(earlier)}`}`
  if (!isTold) return <p className="muted">Waiting for the first numbers.</p>
  if (!isLive) return <p className="muted">{name} is not beside this moment.</p>
  if (!hasHappened) {
    return (
      <p className="muted">
        {name} has not happened yet: the newest is {formatCount(newestSeq)}.
      </p>
    )
  }
  if (answer === undefined) return <p className="muted">Loading event {formatCount(seq)}…</p>
  if (answer.failure !== null) {
    return (
      <p className="bad">
        ✕ {name} was not loaded: {answer.failure}
      </p>
    )
  }
  if (answer.event === null) {
    return (
      <p className="muted">
        {name} is{' '}
        {earlier === null
          ? 'no longer held by the server, and its folder has no'
          : 'lost: the folder has no'}{' '}
        recording of it.
      </p>
    )
  }
  return <EventView event={answer.event} place={place} earlier={earlier} />
}

function EventView({ event, place, earlier }: PlacedEvent & { event: EngineEvent }): ReactNode {
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
        {earlier !== null && (
          <>
            <dt>opening</dt>
            <dd data-testid="event-opening">{formatCount(earlier)}, before the present one</dd>
          </>
        )}
        <dt>pass</dt>
        <dd>
          {passId === null ? (
            'outside passes'
          ) : (
            <button
              type="button"
              className="button-link"
              onClick={() => openDrawer({ kind: 'pass', id: passId, ...inOpening(earlier) })}
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
            onClick={() => navigate({ view: 'trace', traceAt: place })}
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
