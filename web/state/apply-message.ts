// (state, message) -> state for everything the live feed can say. Pure; the page clock is handed in.
// Lists are bounded: a page that stays open for a week must not grow for a week.
import type {
  EngineEvent,
  MetricSample,
  PassReport,
  RewriteDebt,
  SegmentId,
  ServerMessage,
} from '../../server/protocol.ts'
import { appendToLog, lastOfLog } from '../lib/chunked-log.ts'
import { takeFresh } from '../lib/sequence.ts'
import type {
  AppState,
  DebtMove,
  GoneSegment,
  PageGauges,
  PassRun,
  TraceEntry,
  TraceLog,
} from './app-state.ts'
import { EngineStateDraft } from './apply-event.ts'
import { earlierRemark, gapRemark, openingRemark } from './trace-gaps.ts'

/**
 * What the page keeps of the trace. A plain event weighs about 400 bytes as an object, and a tab has
 * to live beside others: 200,000 lines or about 96 MiB, whichever comes first.
 */
export const TRACE_LIMITS = { weigh: entryWeight, weightMax: 96 * 1024 * 1024, lengthMax: 200_000 }
export const TRACE_MAX = TRACE_LIMITS.lengthMax
export const PASSES_MAX = 200
/** Verdicts held over all passes; a plan over 10,000 segments has 10,000 of them, at about 250 bytes. */
const CANDIDATES_MAX = 100_000
/** One a second, so an hour. */
export const SAMPLES_MAX = 3600
const MOVES_MAX = 200
/** How long a deleted segment stays on the screen to fade. */
export const GONE_FADE_MS = 1200
const GONE_MAX = 60

type SentSnapshot = Extract<ServerMessage, { type: 'snapshot' }>
/** As it is sent, or of a recorded moment, of which fewer figures are known. */
export type Snapshot = Omit<SentSnapshot, 'snapshot'> & {
  snapshot: Omit<SentSnapshot['snapshot'], 'gauges'> & { gauges: PageGauges }
}
type Frame = Extract<ServerMessage, { type: 'frame' }>
type Remark = Extract<TraceEntry, { kind: 'remark' }>

/** `receivedAtMs` is the page clock (performance.now) at which the message came in. */
export function applyMessage(
  state: AppState,
  message: ServerMessage,
  receivedAtMs: number,
): AppState {
  switch (message.type) {
    case 'snapshot':
      return applySnapshot(state, message, receivedAtMs)
    case 'frame':
      return applyFrame(state, message, receivedAtMs)
    case 'resumed':
      return { ...withStore(state, message.store), receivedAtMs, feedError: null }
    case 'store':
      return { ...withStore(state, message.store), receivedAtMs }
    case 'error':
      return { ...state, feedError: { code: message.code, message: message.message } }
    case 'stores':
      return { ...state, stores: message.stores }
    case 'subscribed':
    case 'pong':
      return state
  }
}

function withStore(state: AppState, store: AppState['store']): AppState {
  if (store === null) return state
  const known = state.stores.some((other) => other.storeId === store.storeId)
  return {
    ...state,
    store,
    stores: known
      ? state.stores.map((other) => (other.storeId === store.storeId ? store : other))
      : [...state.stores, store],
  }
}

// ---------------------------------------------------------------- frames

function applyFrame(state: AppState, frame: Frame, receivedAtMs: number): AppState {
  // A frame of another stream belongs to a snapshot that has not come yet; the snapshot will hold it.
  if (state.engine === null || frame.streamId !== state.streamId) return state
  const { fresh, gap } = takeFresh(state.seq, frame.events)
  const draft = new EngineStateDraft(state.engine)
  let { passes, moves, gone, rewriting, stop } = state
  for (const event of fresh) {
    if (event.type === 'debt_changed') {
      moves = bounded([...moves, debtMove(draft.debt, event)], MOVES_MAX)
    } else if (event.type === 'segment_deleted') {
      const segment = draft.segment(event.segmentId)
      if (segment !== undefined) gone = [...gone, { segment, goneAtMs: receivedAtMs }]
    } else if (event.type === 'pass_done') {
      passes = addPass(passes, event.report)
    }
    if (event.type === 'pass_stopped') stop = event.stop
    rewriting = rewritingAfter(rewriting, event)
    draft.apply(event)
  }
  const trace = appendToLog(
    state.trace,
    fresh.map((event) => entry(state.streamCount, event)),
    TRACE_LIMITS,
  )
  return {
    ...state,
    engine: draft.done(),
    passes,
    moves,
    rewriting,
    stop,
    gone: stillFading(gone, receivedAtMs),
    seq: state.seq + fresh.length,
    // The live client asks for a snapshot on a gap; saying it once here is a second line of defence.
    trace:
      gap === null
        ? trace
        : withRemark(
            trace,
            gapRemark(state.streamCount, { fromSeq: gap.expectedSeq, toSeq: gap.gotSeq - 1 }),
          ),
    gauges: frame.gauges,
    workload: frame.workload,
    samples:
      frame.samples.length === 0
        ? state.samples
        : bounded([...state.samples, ...newerThan(state.samples, frame.samples)], SAMPLES_MAX),
    receivedAtMs,
    feedError: null,
  }
}

/** The sample of the very moment a page resumed at may come once more. */
function newerThan(
  held: readonly MetricSample[],
  samples: readonly MetricSample[],
): MetricSample[] {
  const newestAtMs = held.at(-1)?.atMs ?? -Infinity
  return samples.filter((sample) => sample.atMs > newestAtMs)
}

function withRemark(trace: TraceLog, remark: Remark): TraceLog {
  const last = lastOfLog(trace)
  if (last?.kind === 'remark' && last.key === remark.key) return trace
  return appendToLog(trace, [remark], TRACE_LIMITS)
}

/** Rough bytes of an entry in memory: a base, and its lists. */
function entryWeight(one: TraceEntry): number {
  if (one.kind === 'remark') return 400
  const { event } = one
  switch (event.type) {
    case 'segment_bytes':
      return 400 + event.changes.length * 64
    case 'pass_done':
      return 4000 + candidateCount(event.report) * 250
    case 'rewrite_plan':
      return 600 + event.selected.length * 8
    case 'debt_changed':
      return 400 + event.debt.queue.length * 8 + event.debt.ledger.length * 120
    case 'gc_run':
      return 600 + (event.report.deleted.length + event.report.segmentsKept.length) * 8
    default:
      return 400
  }
}

function candidateCount(report: PassReport): number {
  return report.steps.reduce(
    (sum, step) => sum + (step.kind === 'plan' ? step.plan.candidates.length : 0),
    0,
  )
}

function stillFading(gone: GoneSegment[], nowMs: number): GoneSegment[] {
  if (gone.length === 0) return gone
  const alive = gone.filter((one) => nowMs - one.goneAtMs < GONE_FADE_MS)
  return alive.length === gone.length && alive.length <= GONE_MAX ? gone : alive.slice(-GONE_MAX)
}

function rewritingAfter(rewriting: SegmentId[], event: EngineEvent): SegmentId[] {
  switch (event.type) {
    case 'rewrite_exec':
      return event.sourceIds
    case 'rewrite_done':
    case 'rewrite_err':
    case 'maintenance_active_release':
      return rewriting.length === 0 ? rewriting : []
    default:
      return rewriting
  }
}

function debtMove(
  before: RewriteDebt,
  event: Extract<EngineEvent, { type: 'debt_changed' }>,
): DebtMove {
  const was = new Set(before.queue)
  const is = new Set(event.debt.queue)
  return {
    seq: event.seq,
    atMs: event.atMs,
    passId: event.passId,
    cause: event.cause,
    left: before.queue.filter((id) => !is.has(id)),
    joined: event.debt.queue.filter((id) => !was.has(id)),
    remaining: event.debt.queue.length,
    stageBefore: before.stage,
    stageAfter: event.debt.stage,
  }
}

const isQuiet = (report: PassReport) =>
  report.outcome === 'blocked' || report.outcome === 'nothing_to_do'

/** Adds a pass to the newest-last list; see PassRun for why equal quiet ones become one line. */
export function addPass(passes: readonly PassRun[], report: PassReport): PassRun[] {
  const last = passes.at(-1)
  if (
    last !== undefined &&
    isQuiet(report) &&
    last.report.source === report.source &&
    last.report.outcome === report.outcome &&
    last.report.blockedBy === report.blockedBy
  ) {
    if (report.passId <= last.report.passId) return [...passes]
    return [...passes.slice(0, -1), { ...last, report, repeats: last.repeats + 1 }]
  }
  return withinCandidates(
    bounded([...passes, { report, repeats: 1, firstStartedAtMs: report.startedAtMs }], PASSES_MAX),
  )
}

/** Lets the oldest plans go, newest kept, once all passes together hold too many verdicts. */
function withinCandidates(passes: PassRun[]): PassRun[] {
  let held = 0
  for (let index = passes.length - 1; index >= 0; index -= 1) {
    const run = passes[index]
    if (run === undefined) break
    const count = candidateCount(run.report)
    held += count
    if (held > CANDIDATES_MAX && count > 0 && index < passes.length - 1) {
      passes[index] = withoutCandidates(run)
    }
  }
  return passes
}

function withoutCandidates(run: PassRun): PassRun {
  const { report } = run
  const steps = report.steps.map((step) =>
    step.kind === 'plan' ? { ...step, plan: { ...step.plan, candidates: [] } } : step,
  )
  return { ...run, report: { ...report, steps }, candidatesDropped: true }
}

// ---------------------------------------------------------------- snapshots

export function applySnapshot(state: AppState, message: Snapshot, receivedAtMs: number): AppState {
  const sameStream = state.streamId === message.streamId
  const streamCount = sameStream ? state.streamCount : state.streamCount + 1
  const openingId = message.snapshot.gauges.recording?.openingId ?? 0
  const opening = openingId === 0 ? null : openingId
  const streamOpenings = sameStream ? state.streamOpenings : [...state.streamOpenings, opening]
  const passes = [...message.passes]
    .sort((a, b) => a.passId - b.passId)
    .reduce<PassRun[]>(addPass, [])
  return {
    ...withStore(state, message.store),
    streamId: message.streamId,
    seq: message.seq,
    streamCount,
    streamOpenings,
    engine: message.snapshot.state,
    liveBytesUnknown: message.snapshot.liveBytesUnknown,
    gauges: message.snapshot.gauges,
    workload: message.snapshot.workload,
    receivedAtMs,
    trace: traceAfterSnapshot({ ...state, streamCount, streamOpenings }, message, sameStream),
    passes,
    samples: bounded(message.samples, SAMPLES_MAX),
    moves: movesOf(message.events),
    gone: [],
    stop: message.events.reduce<AppState['stop']>(
      (last, event) => (event.type === 'pass_stopped' ? event.stop : last),
      null,
    ),
    behind:
      message.reason === 'slow' && message.missed !== null
        ? { ...message.missed, atMs: receivedAtMs }
        : sameStream
          ? state.behind
          : null,
    rewriting:
      message.snapshot.state.scheduler.activePass === null
        ? []
        : message.events.reduce<SegmentId[]>(rewritingAfter, []),
    feedError: null,
  }
}

function traceAfterSnapshot(state: AppState, message: Snapshot, sameStream: boolean): TraceLog {
  const { streamCount } = state
  const seenUpTo = sameStream ? state.seq : 0
  const fresh = message.events.filter((event) => event.seq > seenUpTo)
  // A snapshot brings the newest; what came before is loaded when somebody wants to see it.
  const firstHeld = fresh[0]?.seq ?? message.seq + 1
  const hole =
    firstHeld > seenUpTo + 1
      ? [gapRemark(streamCount, { fromSeq: seenUpTo + 1, toSeq: firstHeld - 1 })]
      : ([] as TraceEntry[])
  const entries = fresh.map((event) => entry(streamCount, event))
  if (sameStream) return appendToLog(state.trace, [...hole, ...entries], TRACE_LIMITS)
  return appendToLog(state.trace, [...boundary(state, message), ...hole, ...entries], TRACE_LIMITS)
}

/** What stands below the first line of a new stream: openings that are not loaded, and that it is another. */
function boundary(state: AppState, { store }: Snapshot): TraceEntry[] {
  const { streamCount, streamOpenings } = state
  const opening = streamOpenings.at(-1) ?? null
  const isFirst = state.streamId === null
  // Nothing happens in a folder that is only read: all that is recorded of it came before.
  if (isFirst && store.mode === 'attached') return [earlierRemark({ after: 0, before: Infinity })]
  const before = isFirst ? 0 : (streamOpenings.at(-2) ?? null)
  const earlier =
    opening !== null && before !== null && opening - before > 1
      ? [earlierRemark({ after: before, before: opening })]
      : []
  return isFirst
    ? earlier
    : [...earlier, openingRemark('above', streamCount, opening, store.openedAtMs)]
}

/** The first debt in the tail has no known predecessor, so it cannot say what it moved. */
function movesOf(events: readonly EngineEvent[]): DebtMove[] {
  const moves: DebtMove[] = []
  let before: RewriteDebt | null = null
  for (const event of events) {
    if (event.type !== 'debt_changed') continue
    if (before !== null) moves.push(debtMove(before, event))
    before = event.debt
  }
  return bounded(moves, MOVES_MAX)
}

function entry(streamCount: number, event: EngineEvent): TraceEntry {
  return { kind: 'event', stream: streamCount, event }
}

function bounded<T>(list: T[], max: number): T[] {
  return list.length > max ? list.slice(-max) : list
}
