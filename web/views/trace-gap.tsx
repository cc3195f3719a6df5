// Lines of the trace for what it does not hold: a range that can be loaded, or one that is gone.
import { useEffect, type ReactNode } from 'react'
import { formatCount } from '../lib/format.ts'
import type { TraceEarlier, TraceEntry, TraceGap } from '../state/app-state.ts'
import { inOpening, type EventPlace } from '../lib/route.ts'
import {
  loadEarlier,
  loadFor,
  loadOlder,
  OLDER_PAGE,
  pageUpTo,
  useOlder,
} from '../state/older-events.ts'
import { openingOf } from '../state/openings.ts'
import { useApp, useIsLive } from '../state/store.ts'

type Remark = Extract<TraceEntry, { kind: 'remark' }>

export function RemarkLine({ remark }: { remark: Remark }): ReactNode {
  return (
    <p
      className={`remark remark-${remark.what}`}
      data-testid="trace-remark"
      data-what={remark.what}
      title={remark.text}
    >
      {remark.text}{' '}
      {(remark.what === 'missed' || remark.what === 'earlier') && <LoadButton line={remark} />}
    </p>
  )
}

function LoadButton({ line }: { line: TraceGap | TraceEarlier }): ReactNode {
  // A stream that is over can be had from the recording alone.
  const canBeHad = useApp(
    (state) =>
      line.what === 'earlier' ||
      line.stream === state.streamCount ||
      openingOf(state, line.stream) !== null,
  )
  const loading = useOlder((state) => state.loading)
  const failure = useOlder((state) => state.failure)
  const isLive = useIsLive()
  if (!isLive) return null
  if (!canBeHad) return 'They are of an earlier opening, which is not recorded.'
  return (
    <>
      <button
        type="button"
        className="button-link"
        data-testid="load-older"
        disabled={loading}
        onClick={() => load(line)}
      >
        {loading ? 'Loading…' : buttonText(line)}
      </button>
      {failure !== null && <span className="bad"> ✕ {failure}</span>}
    </>
  )
}

function buttonText(line: TraceGap | TraceEarlier): string {
  if (line.what === 'earlier') {
    if (line.before === Infinity) return 'Load the newest opening'
    return line.before - line.after === 2 ? 'Load it' : 'Load the newest of them'
  }
  const count = Math.min(OLDER_PAGE, line.toSeq - line.fromSeq + 1)
  return count === 1 ? 'Load it' : `Load the newest ${formatCount(count)}`
}

function load(line: TraceGap | TraceEarlier): void {
  void (line.what === 'earlier' ? loadEarlier(line) : loadOlder(pageUpTo(line, line.toSeq)))
}

/** Called with the last line when a reader has scrolled to the end: what comes before it is loaded. */
export function loadAtEnd(last: TraceEntry | undefined): void {
  if (last?.kind === 'remark' && (last.what === 'missed' || last.what === 'earlier')) load(last)
}

/** A link may name an event that is not loaded: what leads to it is. */
export function useLoadedFor(place: EventPlace | null): void {
  const isTold = useApp((state) => state.streamId !== null)
  const seq = place?.seq ?? null
  const opening = place?.opening ?? null
  useEffect(() => {
    if (isTold && seq !== null) loadFor({ seq, ...inOpening(opening) })
  }, [isTold, seq, opening])
}
