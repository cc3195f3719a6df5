/** What crosses the border between the main thread and the worker that reads recordings. */
import type { Failure } from '../refusal.ts'
import type { Moment } from '../protocol.ts'

/** Each is answered with the JSON of its body in `protocol-history.ts`. */
export interface HistoryRequests {
  summary: Record<string, never>
  passes: { before?: Moment; limit: number; acted: boolean }
  pass: { passId: number; openingId?: number }
  /** `at` wins over `from`. */
  events: { openingId?: number; from?: number; at?: number; limit: number }
  latency: { openingId?: number; fromMs: number; toMs: number; from?: number; limit: number }
  /** `at` wins over `seq`; neither = the newest moment. */
  state: { openingId?: number; seq?: number; at?: number }
}

export type HistoryRequestName = keyof HistoryRequests

export type HistoryRequest = {
  [Name in HistoryRequestName]: { name: Name; body: HistoryRequests[Name] }
}[HistoryRequestName]

export interface HistoryQuestion {
  id: number
  /** Absolute; the data folder. */
  dir: string
  request: HistoryRequest
}

export type HistoryAnswer =
  { id: number; json: string; failure: null } | { id: number; json: null; failure: Failure }
