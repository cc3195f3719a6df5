// Pure: what a recorded moment is on this page, which moments there are, and what of the past is missing.
import type {
  EngineState,
  HistoryBody,
  HistoryEventsBody,
  HistoryPass,
  Moment,
  PassReport,
  RecordingOpening,
  StoreInfo,
} from '../../server/protocol.ts'
import { appendToLog, emptyLog } from '../lib/chunked-log.ts'
import { formatCount, formatTime } from '../lib/format.ts'
import { recordingGapText } from '../lib/words.ts'
import {
  initialState,
  type AppState,
  type PageGauges,
  type PassRun,
  type TraceEntry,
} from './app-state.ts'
import { applySnapshot } from './apply-message.ts'

/** An opening of which something can be read. */
export type ReadableOpening = RecordingOpening & {
  firstSeq: number
  lastSeq: number
  firstAtMs: number
  lastAtMs: number
}

export function readableOpenings(body: HistoryBody | null): ReadableOpening[] {
  return (body?.recording.openings ?? []).filter(
    (one): one is ReadableOpening =>
      one.firstSeq !== null &&
      one.lastSeq !== null &&
      one.firstAtMs !== null &&
      one.lastAtMs !== null,
  )
}

export function openingAt(body: HistoryBody | null, moment: Moment | null): ReadableOpening | null {
  return readableOpenings(body).find((one) => one.openingId === moment?.openingId) ?? null
}

/** The last that is recorded; null when nothing is. */
export function newestMoment(body: HistoryBody | null): Moment | null {
  const last = readableOpenings(body).at(-1)
  return last === undefined ? null : { openingId: last.openingId, seq: last.lastSeq }
}

/** Ends of passes of the moment's opening: the last before it, and the first after it. */
export function passesAround(
  passes: readonly HistoryPass[],
  moment: Moment,
): { before: HistoryPass | null; at: HistoryPass | null; after: HistoryPass | null } {
  const here = passes.filter((pass) => pass.openingId === moment.openingId)
  return {
    before: here.findLast((pass) => pass.seq < moment.seq) ?? null,
    at: here.find((pass) => pass.seq === moment.seq) ?? null,
    after: here.find((pass) => pass.seq > moment.seq) ?? null,
  }
}

export function runsOf(passes: readonly HistoryPass[]): PassRun[] {
  return passes.map(({ report, candidatesDropped }) => ({
    report,
    repeats: 1,
    firstStartedAtMs: report.startedAtMs,
    candidatesDropped,
  }))
}

interface MomentInput {
  store: StoreInfo
  moment: Moment
  atMs: number
  state: EngineState
  /** Events up to the moment. */
  page: HistoryEventsBody
  /** Of any opening. */
  passes: readonly HistoryPass[]
}

/** The page as it would have been then, with the clock standing still and nothing to act on. */
export function stateOfMoment(input: MomentInput): AppState {
  const { store, moment, atMs, state, page, passes } = input
  const events = page.events.filter((event) => event.seq <= moment.seq)
  const known = applySnapshot(
    initialState,
    {
      type: 'snapshot',
      streamId: `recorded ${String(moment.openingId)}`,
      seq: moment.seq,
      reason: 'first',
      topics: ['segments', 'queue', 'passes', 'trace', 'metrics'],
      missed: null,
      // Like an attached folder: it can be looked at, and nothing in it can be changed.
      store: { ...store, mode: 'attached' },
      snapshot: { state, liveBytesUnknown: null, gauges: gaugesAt(atMs), workload: null },
      events,
      passes: [],
      samples: [],
    },
    0,
  )
  const entries = events.map((event): TraceEntry => ({
    kind: 'event',
    stream: moment.openingId,
    event,
  }))
  const past = passes.filter(
    ({ openingId, seq }) => openingId === moment.openingId && seq <= moment.seq,
  )
  return {
    ...known,
    access: 'granted',
    link: { phase: 'live' },
    trace: appendToLog(emptyLog, entries, { weigh: () => 0, weightMax: 1, lengthMax: Infinity }),
    passes: runsOf(past),
  }
}

/** Only the clock is known of a recorded moment; it stands still. */
function gaugesAt(atMs: number): PageGauges {
  return { nowMs: atMs, clockFrozen: true }
}

// ---------------------------------------------------------------- what is missing

/** One sentence for each thing that cannot be shown, the most telling first. */
export function whatIsMissing(body: HistoryBody, isOpenForWriting: boolean): string[] {
  const { recording, openingsLeftOut, gapsLeftOut } = body
  const newest = recording.openings.at(-1)?.openingId
  const missing = recording.openings.toReversed().flatMap((opening) => {
    const name = recording.openings.length > 1 ? `Opening ${String(opening.openingId)}: ` : ''
    return opening.gaps.map((gap) =>
      gap.why === 'not_closed' && isOpenForWriting && opening.openingId === newest
        ? `${name}The store is open: what happened in the last second or so may not be here yet.`
        : `${name}${recordingGapText(gap)}`,
    )
  })
  if (openingsLeftOut > 0)
    missing.push(`${formatCount(openingsLeftOut)} older openings are not listed.`)
  if (gapsLeftOut > 0) missing.push(`${formatCount(gapsLeftOut)} older gaps are not listed.`)
  return [...missing, ...recording.problems.map((problem) => `${problem}.`)]
}

// ---------------------------------------------------------------- words

/** "Event 1,201, 10:03:04.123, the end of pass 14" */
export function momentText(moment: Moment, atMs: number | null, ended: PassReport | null): string {
  const parts = [`Event ${formatCount(moment.seq)}`]
  if (atMs !== null) parts.push(formatTime(atMs, true))
  if (ended !== null) parts.push(`the end of pass ${String(ended.passId)}`)
  return parts.join(', ')
}
