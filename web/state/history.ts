// The recorded past of the store that is shown: what there is, its passes, and one moment of it in a
// store of its own, in the form of the page's, so that the views draw it like the present.
import { createStore } from 'zustand/vanilla'
import { useStore } from 'zustand'
import type { HistoryBody, HistoryPass, LatencyInterval, Moment } from '../../server/protocol.ts'
import { ApiError } from '../api/http.ts'
import type { Span } from '../lib/time-span.ts'
import { initialState, type AppState } from './app-state.ts'
import { openingAt, stateOfMoment } from './moment.ts'
import { ask } from './session.ts'
import { appStore } from './store.ts'

/** Passes asked for at once. */
const PASSES_A_PAGE = 200
/** Events before a moment, and with it, that are read beside its state. */
export const EVENTS_BESIDE = 500

/** Of latency, for one span of time: at least some hours of a busy store, and it is told where they end. */
const LATENCY_PAGES_MAX = 4

/** What puts took in a span of time of one opening. */
export interface RecordedLatency {
  openingId: number
  /** false: written by a version that did not record it. */
  isRecorded: boolean
  intervals: LatencyInterval[]
  /** What comes after is not read; null = all is. */
  readToMs: number | null
}

export interface HistoryState {
  /** The store it is about; null before the first. */
  storeId: string | null
  body: HistoryBody | null
  /** Oldest first. */
  passes: HistoryPass[]
  /** Where older passes are asked for; null = all are here. */
  older: Moment | null
  /** Passes that only looked are left out. */
  acted: boolean
  /** The moment that `momentStore` holds; null = none. */
  moment: Moment | null
  /** Why the state of the moment that was asked for cannot be told. */
  why: string | null
  /** Of the span that the timeline shows; null while none is read. */
  latency: RecordedLatency | null
  loading: boolean
  failure: { code: string; message: string } | null
}

const nothing: HistoryState = {
  storeId: null,
  body: null,
  passes: [],
  older: null,
  acted: true,
  moment: null,
  why: null,
  latency: null,
  loading: false,
  failure: null,
}

const historyStore = createStore<HistoryState>(() => nothing)

/** The recorded moment; `engine` null while there is none. */
export const momentStore = createStore<AppState>(() => initialState)

export function useHistory<T>(select: (state: HistoryState) => T): T {
  return useStore(historyStore, select)
}

function failed(error: unknown): void {
  const failure =
    error instanceof ApiError
      ? { code: error.code, message: error.message }
      : { code: 'INTERNAL', message: String(error) }
  historyStore.setState({ failure, loading: false })
}

/** An answer about another store, or for another choice of passes, comes too late. */
function stillAsked(asked: Pick<HistoryState, 'storeId' | 'acted'>): boolean {
  const now = historyStore.getState()
  return now.storeId === asked.storeId && now.acted === asked.acted
}

/** Reads what there is; called again it reads anew. */
export async function openHistory(): Promise<void> {
  const storeId = appStore.getState().store?.storeId ?? null
  const { acted } = historyStore.getState()
  const isSame = historyStore.getState().storeId === storeId
  if (!isSame) momentStore.setState(initialState)
  historyStore.setState({
    ...(isSame ? historyStore.getState() : { ...nothing, acted }),
    storeId,
    loading: true,
    failure: null,
  })
  const asked = { storeId, acted }
  try {
    const [body, page] = await ask((api, id) =>
      Promise.all([
        api.history(id),
        api.historyPasses(id, { before: null, acted, limit: PASSES_A_PAGE }),
      ]),
    )
    if (!stillAsked(asked)) return
    const passes = page.passes.toReversed()
    historyStore.setState({ body, passes, older: page.next, loading: false })
  } catch (error) {
    if (stillAsked(asked)) failed(error)
  }
}

export async function readOlderPasses(): Promise<void> {
  const { older, storeId, acted } = historyStore.getState()
  if (older === null) return
  try {
    const page = await ask((api, id) =>
      api.historyPasses(id, { before: older, acted, limit: PASSES_A_PAGE }),
    )
    const now = historyStore.getState()
    // Somebody else may have asked for the same page meanwhile.
    if (!stillAsked({ storeId, acted }) || now.older !== older) return
    historyStore.setState({
      passes: [...page.passes.toReversed(), ...now.passes],
      older: page.next,
    })
  } catch (error) {
    failed(error)
  }
}

let latencyWishes = 0

/** Reads latency of a span page by page; a newer wish ends an older one. */
export async function readLatency(openingId: number, { fromMs, toMs }: Span): Promise<void> {
  const { storeId } = historyStore.getState()
  latencyWishes += 1
  const wish = latencyWishes
  const intervals: LatencyInterval[] = []
  let seq: number | null = 0
  try {
    for (let page = 0; page < LATENCY_PAGES_MAX && seq !== null; page += 1) {
      const from: number = seq
      const body = await ask((api, id) =>
        api.historyLatency(id, { openingId, seq: from, fromMs, toMs }),
      )
      if (wish !== latencyWishes || historyStore.getState().storeId !== storeId) return
      intervals.push(...body.intervals)
      seq = body.next
      const readToMs = seq === null ? null : (intervals.at(-1)?.atMs ?? fromMs)
      const { isRecorded } = body
      historyStore.setState({
        latency: { openingId, isRecorded, intervals: [...intervals], readToMs },
      })
    }
  } catch (error) {
    if (wish === latencyWishes) failed(error)
  }
}

export function showActed(acted: boolean): void {
  historyStore.setState({ acted })
  void openHistory()
}

let wanted: Moment | null = null
let reading = false

/**
 * Shows a moment. While one is read the newest wish waits, so that scrubbing asks for what the person
 * came to and not for everything on the way.
 */
export async function showMoment(moment: Moment): Promise<void> {
  wanted = moment
  if (reading) return
  reading = true
  try {
    for (;;) {
      const next: Moment | null = wanted
      if (next === null) return
      wanted = null
      await readMoment(next)
    }
  } finally {
    reading = false
  }
}

async function readMoment(moment: Moment): Promise<void> {
  const { store } = appStore.getState()
  const { storeId, body, passes } = historyStore.getState()
  if (store === null) return
  const firstSeq = openingAt(body, moment)?.firstSeq ?? 1
  const from = { ...moment, seq: Math.max(firstSeq, moment.seq - EVENTS_BESIDE + 1) }
  try {
    const [answer, page] = await ask((api, id) =>
      Promise.all([
        api.historyState(id, moment),
        api.historyEvents(id, from, Math.max(1, moment.seq - from.seq + 1)),
      ]),
    )
    if (historyStore.getState().storeId !== storeId) return
    if (answer.state === null) {
      momentStore.setState(initialState)
      historyStore.setState({ moment, why: answer.why, failure: null })
      return
    }
    momentStore.setState(
      stateOfMoment({ store, moment, atMs: answer.atMs, state: answer.state, page, passes }),
    )
    historyStore.setState({ moment, why: null, failure: null })
  } catch (error) {
    failed(error)
  }
}

/** Puts the whole report of a pass in the place of the one without verdicts. */
export async function completePass(passId: number): Promise<void> {
  const { moment, storeId } = historyStore.getState()
  if (moment === null) return
  try {
    const { report, openingId } = await ask((api, id) =>
      api.historyPass(id, moment.openingId, passId),
    )
    const now = historyStore.getState()
    if (report === null || now.storeId !== storeId) return
    const isIt = (pass: HistoryPass): boolean =>
      pass.openingId === openingId && pass.report.passId === passId
    historyStore.setState({
      passes: now.passes.map((pass) =>
        isIt(pass) ? { ...pass, report, candidatesDropped: false } : pass,
      ),
    })
    // The moment may be another one by now; the pass is the same in each of this opening.
    if (now.moment?.openingId !== openingId) return
    momentStore.setState((state) => ({
      passes: state.passes.map((run) =>
        run.report.passId === passId ? { ...run, report, candidatesDropped: false } : run,
      ),
    }))
  } catch (error) {
    failed(error)
  }
}
