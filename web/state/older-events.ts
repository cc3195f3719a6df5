// Events older than those that the feed brought: asked for in pages, first of what the server holds,
// then of the folder's recording, and put where the trace says that they are not loaded.
import { createStore } from 'zustand/vanilla'
import { useStore } from 'zustand'
import type { EngineEvent } from '../../server/protocol.ts'
import { ApiError } from '../api/http.ts'
import { formatCount } from '../lib/format.ts'
import { TRACE_LIMITS } from './apply-message.ts'
import { ask } from './session.ts'
import { appStore } from './store.ts'
import { fillGap, gapWith, recordedRange, type LoadedRange, type SeqRange } from './trace-gaps.ts'

/** Events asked for at once: some hundred kilobytes, and a long way to scroll. */
export const OLDER_PAGE = 2000

/** So long after it happened an event is in the recording, mostly. */
const RECORDING_LAG_MS = 1500

interface OlderState {
  loading: boolean
  /** Why the last page could not be loaded. */
  failure: string | null
}

const olderStore = createStore<OlderState>(() => ({ loading: false, failure: null }))

export function useOlder<T>(select: (state: OlderState) => T): T {
  return useStore(olderStore, select)
}

/** The page of a gap that ends with `toSeq`. */
export function pageUpTo({ fromSeq }: SeqRange, toSeq: number): SeqRange {
  return { fromSeq: Math.max(fromSeq, toSeq - OLDER_PAGE + 1), toSeq }
}

/** Loads one page of a gap of the present stream into the trace; one at a time. */
export async function loadOlder(range: SeqRange): Promise<void> {
  if (olderStore.getState().loading) return
  olderStore.setState({ loading: true, failure: null })
  const { streamId, streamCount } = appStore.getState()
  try {
    const loaded = await askRange(range)
    // The store may be another one, or have been opened again.
    if (loaded !== null && appStore.getState().streamId === streamId) {
      appStore.setState(({ trace, traceFills }) => ({
        trace: fillGap(trace, { ...loaded, stream: streamCount }, TRACE_LIMITS),
        traceFills: traceFills + 1,
      }))
    }
    olderStore.setState({ loading: false })
    const reached = loaded?.covered.toSeq ?? range.toSeq
    if (reached < range.fromSeq) {
      olderStore.setState({ failure: notReached(range.fromSeq) })
    } else if (reached < range.toSeq) {
      // Between what the server holds and what is on disk: there in a moment.
      setTimeout(() => void loadOlder({ ...range, fromSeq: reached + 1 }), RECORDING_LAG_MS)
    }
  } catch (error) {
    olderStore.setState({ loading: false, failure: failureText(error) })
  }
}

/** Loads what leads to event `seq` when it is not loaded: a link may name any. */
export function loadFor(seq: number): void {
  const { trace, streamCount } = appStore.getState()
  const gap = gapWith(trace, streamCount, seq)
  if (gap !== undefined) void loadOlder(pageUpTo(gap, seq))
}

/** One event by itself; null when nobody holds it. Rejects when that cannot be told now. */
export async function readEvent(seq: number): Promise<EngineEvent | null> {
  const loaded = await askRange({ fromSeq: seq, toSeq: seq })
  if (loaded !== null && loaded.covered.toSeq < seq) throw new Error(notReached(seq))
  return loaded?.events[0] ?? null
}

function notReached(seq: number): string {
  return `The recording does not reach event ${formatCount(seq)} yet.`
}

export function failureText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** null: the stream has ended meanwhile. */
async function askRange({ fromSeq, toSeq }: SeqRange): Promise<Omit<LoadedRange, 'stream'> | null> {
  const { streamId } = appStore.getState()
  const limit = toSeq - fromSeq + 1
  const held = await ask((api, id) => api.events(id, fromSeq - 1, limit))
  if (held.streamId !== streamId) return null
  const from = Math.max(fromSeq, held.oldestSeq)
  if (from <= toSeq) {
    const events = held.events.filter(({ seq }) => seq <= toSeq)
    return { covered: { fromSeq: from, toSeq }, events }
  }
  return askRecording({ fromSeq, toSeq }, limit)
}

/** Of the newest opening, which is the stream of a store that is open. */
async function askRecording(range: SeqRange, limit: number): Promise<Omit<LoadedRange, 'stream'>> {
  try {
    const page = await ask((api, id) =>
      api.historyEvents(id, { openingId: null, seq: range.fromSeq }, limit),
    )
    return recordedRange(range, page)
  } catch (error) {
    // A folder without a recording: what the server let go is lost.
    if (!(error instanceof ApiError) || error.code !== 'NOT_FOUND') throw error
    return { covered: range, events: [] }
  }
}
