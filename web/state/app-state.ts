// Everything the page knows, in one value. Filled by apply-message.ts; read through selectors.ts.
import type {
  EngineEvent,
  EngineGauges,
  EngineState,
  MaintenancePreview,
  MetricSample,
  PassReport,
  PassStop,
  SegmentId,
  SegmentInfo,
  Stage,
  StoreInfo,
  WorkloadState,
} from '../../server/protocol.ts'
import type { LiveStatus } from '../api/live.ts'
import { emptyLog, type ChunkedLog } from '../lib/chunked-log.ts'

/** One line of the trace: an event, or a remark about the stream itself; openings.ts tells what a stream is. */
export type TraceEntry =
  | { kind: 'event'; stream: number; event: EngineEvent }
  /** `stream`: another opening begins at this line. `gone`: a range that nobody holds any more. */
  | { kind: 'remark'; key: string; what: 'stream' | 'gone'; text: string }
  | TraceGap
  | TraceEarlier

/** A range of a stream that is not loaded, both ends included; it may be had from the server. */
export interface TraceGap {
  kind: 'remark'
  key: string
  what: 'missed'
  text: string
  stream: number
  fromSeq: number
  toSeq: number
}

/** Openings of the store that are not loaded: those between the two, which are none of them. */
export interface TraceEarlier {
  kind: 'remark'
  key: string
  what: 'earlier'
  text: string
  /** 0: all that there are. */
  after: number
  before: number
}

export type TraceLog = ChunkedLog<TraceEntry>

/** Unique on this page, also over streams: numbering starts over with each. */
export function traceKey(entry: TraceEntry): string {
  return entry.kind === 'remark' ? entry.key : `${String(entry.stream)}:${String(entry.event.seq)}`
}

/**
 * A pass, or a run of passes that ended alike without doing anything: a store in auto mode makes one
 * a second, and two hundred of them would push out every pass worth reading.
 */
export interface PassRun {
  report: PassReport
  /** How many passes this line stands for; `report` is the newest of them. */
  repeats: number
  firstStartedAtMs: number
  /** Its plans were here once; this page let their verdicts go to stay small. */
  candidatesDropped?: boolean
}

/** What one change of the rewrite debt moved. */
export interface DebtMove {
  seq: number
  atMs: number
  passId: number | null
  cause: Extract<EngineEvent, { type: 'debt_changed' }>['cause']
  left: SegmentId[]
  joined: SegmentId[]
  remaining: number
  stageBefore: Stage | null
  stageAfter: Stage | null
}

/** A deleted segment on its way off the screen. */
export interface GoneSegment {
  segment: SegmentInfo
  /** Page clock (performance.now), for the fade. */
  goneAtMs: number
}

export type PreviewKnown =
  { made: MaintenancePreview; failure: null } | { made: null; failure: string }

/** `no_token`: the page was opened without one. `bad_token`: the server does not know it. */
export type Access = 'checking' | 'granted' | 'no_token' | 'bad_token'

/** Why no store is shown: the address names one that is not open here, it was closed, or none is open. */
export interface AbsentStore {
  /** As the address or the store itself has it; null: none is open. */
  storeId: string | null
  name: string
  why: 'not_open' | 'closed' | 'none'
}

/** Figures that are not known are absent: of a recorded moment there is the clock and nothing else. */
export type PageGauges = Pick<EngineGauges, 'nowMs' | 'clockFrozen'> & Partial<EngineGauges>

export interface AppState {
  access: Access
  link: LiveStatus
  stores: StoreInfo[]
  store: StoreInfo | null
  /** null while a store is shown or looked for. */
  absent: AbsentStore | null
  streamId: string | null
  /** Last event applied. */
  seq: number
  /** How many streams this page has seen; makes trace keys unique across restarts. */
  streamCount: number
  /** Of each of them the opening that it is, as the recording counts; null: it is not recorded. */
  streamOpenings: readonly (number | null)[]
  /** Openings before those, of which this page has loaded something; newest first. */
  openingsLoaded: readonly number[]
  engine: EngineState | null
  /** Why live and stale bytes in `engine` are no facts; null when they are. */
  liveBytesUnknown: string | null
  /** null before the first message. */
  gauges: PageGauges | null
  workload: WorkloadState | null
  /** Page clock (performance.now) of the last message; ages and countdowns start here. */
  receivedAtMs: number
  /** Oldest first; `dropped` counts what this page let go. */
  trace: TraceLog
  /** How often older events were put into the trace, whose end they do not change. */
  traceFills: number
  /** Oldest first. */
  passes: PassRun[]
  /** Oldest first. */
  samples: MetricSample[]
  /** Oldest first. */
  moves: DebtMove[]
  gone: GoneSegment[]
  /** Sources of the rewrite that runs now. */
  rewriting: SegmentId[]
  /** The feed had to leave this page behind: the last range it did not get, and when (page clock). */
  behind: { fromSeq: number; toSeq: number; atMs: number } | null
  /** The last stop of a pass, with what it had met; whether it still stands, the scheduler says. */
  stop: PassStop | null
  /** What each pass would do, as the engine last said while somebody looked; null: not asked yet. */
  preview: PreviewKnown | null
  /** Last error the feed reported. */
  feedError: { code: string; message: string } | null
}

export const initialState: AppState = {
  access: 'checking',
  link: { phase: 'connecting' },
  stores: [],
  store: null,
  absent: null,
  streamId: null,
  seq: 0,
  streamCount: 0,
  streamOpenings: [],
  openingsLoaded: [],
  engine: null,
  liveBytesUnknown: null,
  gauges: null,
  workload: null,
  receivedAtMs: 0,
  trace: emptyLog,
  traceFills: 0,
  passes: [],
  samples: [],
  moves: [],
  gone: [],
  rewriting: [],
  behind: null,
  stop: null,
  preview: null,
  feedError: null,
}
