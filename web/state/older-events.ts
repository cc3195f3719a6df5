// Events older than those that the feed brought: asked for in pages, first of what the server holds,
// then of the folder's recording, and put where the trace says that they are not loaded. Earlier openings
// of the store follow one by one, as the recording has them.
import { createStore } from 'zustand/vanilla'
import { useStore } from 'zustand'
import type { EngineEvent } from '../../server/protocol.ts'
import { ApiError } from '../api/http.ts'
import { formatCount } from '../lib/format.ts'
import type { EventPlace } from '../lib/route.ts'
import type { TraceEarlier, TraceLog } from './app-state.ts'
import { TRACE_LIMITS } from './apply-message.ts'
import { readableOpenings } from './moment.ts'
import { openingOf, streamOf } from './openings.ts'
import { ask } from './session.ts'
import { appStore } from './store.ts'
import {
  earlierWith,
  fillGap,
  gapWith,
  noOpening,
  putOpening,
  recordedRange,
  type LoadedRange,
  type SeqRange,
} from './trace-gaps.ts'

/** Events asked for at once: some hundred kilobytes, and a long way to scroll. */
export const OLDER_PAGE = 2000

/** So long after it happened an event is in the recording, mostly. */
const RECORDING_LAG_MS = 1500
/** So often what is not recorded yet is asked for again; a disk that is that slow has a person ask. */
const TRIES_MAX = 20

interface OlderState {
  loading: boolean
  /** Why the last page could not be loaded. */
  failure: string | null
}

const olderStore = createStore<OlderState>(() => ({ loading: false, failure: null }))

export function useOlder<T>(select: (state: OlderState) => T): T {
  return useStore(olderStore, select)
}

/** A range of one stream. */
interface StreamRange extends SeqRange {
  stream: number
}

/** The page of a gap that ends with `toSeq`. */
export function pageUpTo({ stream, fromSeq }: StreamRange, toSeq: number): StreamRange {
  return { stream, fromSeq: Math.max(fromSeq, toSeq - OLDER_PAGE + 1), toSeq }
}

/** One question at a time; what it brings is dropped when another store is shown meanwhile. */
async function loading(load: () => Promise<void>): Promise<void> {
  if (olderStore.getState().loading) return
  olderStore.setState({ loading: true, failure: null })
  try {
    await load()
    olderStore.setState({ loading: false })
  } catch (error) {
    olderStore.setState({ loading: false, failure: failureText(error) })
  }
}

function putIntoTrace(storeId: string | undefined, put: (trace: TraceLog) => TraceLog): void {
  if (appStore.getState().store?.storeId !== storeId) return
  appStore.setState(({ trace, traceFills }) => ({
    trace: put(trace),
    traceFills: traceFills + 1,
  }))
}

/** Loads one page of a gap into the trace; `tries`: how often it was asked for before. */
export async function loadOlder(range: StreamRange, tries = 0): Promise<void> {
  if (tries > 0 && olderStore.getState().loading) tryLater(range, tries)
  else await loading(() => readInto(range, tries))
}

function tryLater(range: StreamRange, tries: number): void {
  if (tries < TRIES_MAX) setTimeout(() => void loadOlder(range, tries + 1), RECORDING_LAG_MS)
}

async function readInto(range: StreamRange, tries = 0): Promise<void> {
  const { store } = appStore.getState()
  const loaded = await askRange(range)
  // null: the store was opened again meanwhile.
  if (loaded !== null) {
    putIntoTrace(store?.storeId, (trace) =>
      fillGap(trace, { ...loaded, stream: range.stream }, TRACE_LIMITS),
    )
  }
  const reached = loaded?.covered.toSeq ?? range.toSeq
  // Between what the server holds and what is on disk: there in a moment.
  const isAtItsEnd = reached < range.fromSeq
  if (reached < range.toSeq) tryLater({ ...range, fromSeq: reached + 1 }, isAtItsEnd ? tries : 0)
  if (isAtItsEnd) throw new Error(notReached(range.fromSeq))
}

/** Puts the newest of these openings into the trace, or the one that is wanted, with a page of its events. */
export async function loadEarlier(earlier: TraceEarlier, wanted?: EventPlace): Promise<void> {
  await loading(async () => {
    const { store } = appStore.getState()
    const body = await ask((api, id) => api.history(id))
    const listed = readableOpenings(body)
    const found = listed.findLast(({ openingId }) =>
      wanted?.opening === undefined
        ? earlier.after < openingId && openingId < earlier.before
        : openingId === wanted.opening,
    )
    if (found === undefined) {
      const isListed =
        body.openingsLeftOut === 0 || (listed[0]?.openingId ?? 0) <= earlier.after + 1
      // Of an opening that is wanted nothing is there, but of others between these there may be.
      if (wanted === undefined) {
        putIntoTrace(store?.storeId, (trace) => noOpening(trace, earlier, isListed, TRACE_LIMITS))
      }
      return
    }
    const newestId = listed.at(-1)?.openingId ?? 0
    putIntoTrace(store?.storeId, (trace) =>
      putOpening(trace, earlier, found, newestId, TRACE_LIMITS),
    )
    const { openingId, lastSeq } = found
    appStore.setState(({ openingsLoaded }) => ({
      openingsLoaded: [...new Set([...openingsLoaded, openingId])].sort((a, b) => b - a),
    }))
    const gap = gapWith(appStore.getState().trace, -openingId, wanted?.seq ?? lastSeq)
    if (gap !== undefined) await readInto(pageUpTo(gap, wanted?.seq ?? lastSeq))
  })
}

/** Loads what leads to an event when it is not loaded: a link may name any. */
export function loadFor(place: EventPlace): void {
  const state = appStore.getState()
  const stream = streamOf(state, place.opening)
  const gap = gapWith(state.trace, stream, place.seq)
  if (gap !== undefined) {
    void loadOlder(pageUpTo(gap, place.seq))
    return
  }
  const earlier = stream < 0 ? earlierWith(state.trace, -stream) : undefined
  if (earlier !== undefined) void loadEarlier(earlier, place)
}

/** One event by itself; null when nobody holds it. Rejects when that cannot be told now. */
export async function readEvent({ seq, opening }: EventPlace): Promise<EngineEvent | null> {
  const stream = streamOf(appStore.getState(), opening)
  const loaded = await askRange({ stream, fromSeq: seq, toSeq: seq })
  if (loaded !== null && loaded.covered.toSeq < seq) throw new Error(notReached(seq))
  return loaded?.events[0] ?? null
}

function notReached(seq: number): string {
  return `The recording does not reach event ${formatCount(seq)} yet.`
}

export function failureText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

type Loaded = Omit<LoadedRange, 'stream'>

/** null: the stream has ended meanwhile. */
async function askRange({ stream, fromSeq, toSeq }: StreamRange): Promise<Loaded | null> {
  const state = appStore.getState()
  const { streamId } = state
  const limit = toSeq - fromSeq + 1
  // The server holds events of the present stream alone.
  if (stream !== state.streamCount) {
    const recorded = await askRecording({ fromSeq, toSeq }, limit, openingOf(state, stream))
    // That opening is over: what its recording does not reach will not come any more.
    return { events: recorded.events, covered: { fromSeq, toSeq: endOf(recorded, toSeq) } }
  }
  const held = await ask((api, id) => api.events(id, fromSeq - 1, limit))
  if (held.streamId !== streamId) return null
  const from = Math.max(fromSeq, held.oldestSeq)
  if (from <= toSeq) {
    const events = held.events.filter(({ seq }) => seq <= toSeq)
    return { covered: { fromSeq: from, toSeq }, events }
  }
  return askRecording({ fromSeq, toSeq }, limit, openingOf(state, stream))
}

async function askRecording(
  range: SeqRange,
  limit: number,
  openingId: number | null,
): Promise<Loaded & { isCut: boolean }> {
  // Not recorded: without a number the newest recording would answer, which is of another opening.
  if (openingId === null) return { covered: range, events: [], isCut: false }
  try {
    const page = await ask((api, id) =>
      api.historyEvents(id, { openingId, seq: range.fromSeq }, limit),
    )
    return { ...recordedRange(range, page), isCut: page.next !== null }
  } catch (error) {
    // A folder without a recording: what the server let go is lost.
    if (!(error instanceof ApiError) || error.code !== 'NOT_FOUND') throw error
    return { covered: range, events: [], isCut: false }
  }
}

/** How far an answer about an opening that is over tells: an answer that was cut goes on elsewhere. */
function endOf({ covered, isCut }: Loaded & { isCut: boolean }, toSeq: number): number {
  return isCut ? covered.toSeq : toSeq
}
