// Lines of the trace for what it does not hold: a range that can be loaded, or one that is gone.
import { useEffect, type ReactNode } from 'react'
import { formatCount } from '../lib/format.ts'
import type { TraceEntry, TraceGap } from '../state/app-state.ts'
import { loadFor, loadOlder, OLDER_PAGE, pageUpTo, useOlder } from '../state/older-events.ts'
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
      {remark.text} {remark.what === 'missed' && <LoadButton gap={remark} />}
    </p>
  )
}

/** Numbering starts over with each stream, and only the present one can be asked for. */
function LoadButton({ gap }: { gap: TraceGap }): ReactNode {
  const isPresent = useApp((state) => state.streamCount === gap.stream)
  const loading = useOlder((state) => state.loading)
  const failure = useOlder((state) => state.failure)
  const isLive = useIsLive()
  if (!isLive) return null
  if (!isPresent) return 'They are of an earlier opening: see History.'
  const count = Math.min(OLDER_PAGE, gap.toSeq - gap.fromSeq + 1)
  return (
    <>
      <button
        type="button"
        className="button-link"
        data-testid="load-older"
        disabled={loading}
        onClick={() => loadNewestOf(gap)}
      >
        {loading ? 'Loading…' : count === 1 ? 'Load it' : `Load the newest ${formatCount(count)}`}
      </button>
      {failure !== null && <span className="bad"> ✕ {failure}</span>}
    </>
  )
}

function loadNewestOf(gap: TraceGap): void {
  void loadOlder(pageUpTo(gap, gap.toSeq))
}

/** Called with the last line when a reader has scrolled to the end: the page before it is loaded. */
export function loadAtEnd(last: TraceEntry | undefined, streamCount: number): void {
  if (last?.kind === 'remark' && last.what === 'missed' && last.stream === streamCount) {
    loadNewestOf(last)
  }
}

/** A link may name an event that is not loaded: what leads to it is. */
export function useLoadedFor(seq: number | null): void {
  const isTold = useApp((state) => state.streamId !== null)
  useEffect(() => {
    if (isTold && seq !== null) loadFor(seq)
  }, [isTold, seq])
}
