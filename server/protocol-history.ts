/**
 * The part of the wire contract about the past: what a folder's recording (`trace/`) tells, for hosted
 * and attached stores alike. Types only; `protocol.ts` hands them on. Whatever is recorded is named by
 * its opening and its seq, which counts from 1 in each opening. Nothing here changes a folder.
 */
import type {
  EngineEvent,
  EngineState,
  LatencyInterval,
  PassReport,
  RecordingGap,
  RecordingSummary,
} from '../engine/types.ts'

/** A moment: after event `seq` of that opening. */
export interface Moment {
  openingId: number
  seq: number
}

/**
 * GET {API_BASE}/stores/:storeId/history: what there is and what is missing. Of a store that is open for
 * writing the newest second may not be on disk yet; its gap `not_closed` says so.
 */
export interface HistoryBody {
  /** Server's wall clock when the folder was looked at. */
  readAtMs: number
  /** Its openings are the newest; each with at most so many gaps as `limits` says. */
  recording: RecordingSummary
  openingsLeftOut: number
  gapsLeftOut: number
}

/** GET .../history/passes?before=<opening>,<seq>&limit=<n>&acted=<true|false>: newest first. */
export interface HistoryPassesBody {
  passes: HistoryPass[]
  /** Hand it in as `before` for older ones; null = there are none. A page may be short and not the last. */
  next: Moment | null
}

export interface HistoryPass extends Moment {
  /** When it ended; after its `seq` the state is what the pass left. */
  atMs: number
  report: PassReport
  /** The verdicts of its plans were left out of the list; the pass by itself has them. */
  candidatesDropped: boolean
}

/** GET .../history/passes/:passId?opening=<n>; without an opening the newest that has the pass. */
export interface HistoryPassBody {
  openingId: number
  passId: number
  firstSeq: number
  lastSeq: number
  /** null: its end is not recorded. */
  report: PassReport | null
  /** Its first events, ascending. */
  events: EngineEvent[]
  eventsLeftOut: number
}

/**
 * GET .../history/events?opening=<n>&from=<seq>&limit=<n>, or ?at=<ms>&limit=<n> for the first event at or
 * after a time of the engine's clock. Without an opening the newest one.
 */
export interface HistoryEventsBody {
  openingId: number
  /** Ascending; fewer than asked for when they are large. */
  events: EngineEvent[]
  /** `from` of the next page; null = nothing comes after these. */
  next: number | null
  /** Holes in the range that was gone through. */
  gaps: RecordingGap[]
}

/**
 * GET .../history/latency?opening=<n>&fromMs=<ms>&toMs=<ms>&from=<seq>&limit=<n>: what puts and gets took in
 * a span of time of one opening, the newest without one. Time in no interval: nothing was timed then, or
 * what tells it is missing.
 */
export interface HistoryLatencyBody {
  openingId: number
  /** false: recorded by a version that did not record it, so that none of it is known. */
  isRecorded: boolean
  /** Those that the span touches, ascending; a page may be short and not the last. */
  intervals: LatencyInterval[]
  /** `from` of the next page; null = there are no more. */
  next: number | null
}

/** GET .../history/state?opening=<n>&seq=<n>, or ?at=<ms>: the state as the engine had it. */
export type HistoryStateBody = Moment &
  (
    | { atMs: number; state: EngineState; why: null }
    /** `why`: what is missing to tell the state of this moment. */
    | { atMs: null; state: null; why: string }
  )
