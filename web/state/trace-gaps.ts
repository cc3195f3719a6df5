// Ranges of the trace that this page does not hold: lines of their own, which fill up as older events
// are loaded. `missed` is not loaded and may be had; `gone` nobody holds any more; `earlier` are openings of
// the store before this one, of which nothing is loaded. Pure.
import type { EngineEvent, RecordingGap } from '../../server/protocol.ts'
import { replaceInLog, type LogLimits } from '../lib/chunked-log.ts'
import { formatDay, formatCount } from '../lib/format.ts'
import { recordingGapText } from '../lib/words.ts'
import type { TraceEarlier, TraceEntry, TraceGap, TraceLog } from './app-state.ts'

/** Both ends included. */
export interface SeqRange {
  fromSeq: number
  toSeq: number
}

function rangeText({ fromSeq, toSeq }: SeqRange): string {
  return fromSeq === toSeq
    ? `Event ${formatCount(fromSeq)} is`
    : `Events ${formatCount(fromSeq)} to ${formatCount(toSeq)} are`
}

const keyOf = (stream: number, { fromSeq, toSeq }: SeqRange): string =>
  `${String(stream)}:${String(fromSeq)}-${String(toSeq)}`

export function gapRemark(stream: number, range: SeqRange): TraceGap {
  const { fromSeq, toSeq } = range
  return {
    kind: 'remark',
    what: 'missed',
    key: `missed-${keyOf(stream, range)}`,
    text: `${rangeText(range)} not loaded.`,
    stream,
    fromSeq,
    toSeq,
  }
}

function goneRemark(stream: number, range: SeqRange): TraceEntry {
  return {
    kind: 'remark',
    what: 'gone',
    key: `gone-${keyOf(stream, range)}`,
    text: `${rangeText(range)} no longer held by the server, and its folder has no recording of them.`,
  }
}

/** The gap of that stream which holds event `seq`; undefined where it is loaded, gone or to come. */
export function gapWith(trace: TraceLog, stream: number, seq: number): TraceGap | undefined {
  return gapsOf(trace).find(
    (gap) => gap.stream === stream && gap.fromSeq <= seq && seq <= gap.toSeq,
  )
}

/** Gaps are few, and a chunk never changes: it is searched for them once. */
const known = new WeakMap<object, (TraceGap | TraceEarlier)[]>()

/** What can be loaded. */
function loadable(trace: TraceLog): (TraceGap | TraceEarlier)[] {
  return trace.chunks.flatMap((chunk) => {
    let found = known.get(chunk)
    if (found === undefined) {
      found = chunk.items.filter(
        (entry): entry is TraceGap | TraceEarlier =>
          entry.kind === 'remark' && (entry.what === 'missed' || entry.what === 'earlier'),
      )
      known.set(chunk, found)
    }
    return found
  })
}

function gapsOf(trace: TraceLog): TraceGap[] {
  return loadable(trace).filter((one) => one.what === 'missed')
}

/** What one question for older events brought: everything that there is of `covered`. */
export interface LoadedRange {
  stream: number
  covered: SeqRange
  /** Ascending, all in `covered`; what is missing between them is gone. */
  events: readonly EngineEvent[]
}

/**
 * What an answer of the recording says of a range that it was asked for. It lags behind by a second or so:
 * what lies behind its last event is not recorded yet, and no word of it being gone.
 */
export function recordedRange(
  range: SeqRange,
  page: { events: readonly EngineEvent[]; next: number | null },
): Omit<LoadedRange, 'stream'> {
  const events = page.events.filter(({ seq }) => seq <= range.toSeq)
  const reached =
    page.next === null ? (page.events.at(-1)?.seq ?? range.fromSeq - 1) : page.next - 1
  return { covered: { fromSeq: range.fromSeq, toSeq: Math.min(range.toSeq, reached) }, events }
}

/** The trace with a part of a gap filled in; the same trace where no gap holds all of the range any more. */
export function fillGap(
  trace: TraceLog,
  { stream, covered, events }: LoadedRange,
  limits: LogLimits<TraceEntry>,
): TraceLog {
  const gap = gapWith(trace, stream, covered.fromSeq)
  if (gap === undefined || covered.toSeq > gap.toSeq || covered.toSeq < covered.fromSeq)
    return trace
  const entries: TraceEntry[] = []
  if (covered.fromSeq > gap.fromSeq) {
    entries.push(gapRemark(stream, { fromSeq: gap.fromSeq, toSeq: covered.fromSeq - 1 }))
  }
  let next = covered.fromSeq
  for (const event of events) {
    if (event.seq < next || event.seq > covered.toSeq) continue
    if (event.seq > next) entries.push(goneRemark(stream, { fromSeq: next, toSeq: event.seq - 1 }))
    entries.push({ kind: 'event', stream, event })
    next = event.seq + 1
  }
  if (next <= covered.toSeq) {
    entries.push(goneRemark(stream, { fromSeq: next, toSeq: covered.toSeq }))
  }
  if (covered.toSeq < gap.toSeq) {
    entries.push(gapRemark(stream, { fromSeq: covered.toSeq + 1, toSeq: gap.toSeq }))
  }
  return replaceInLog(trace, gap, entries, limits)
}

// ---------------------------------------------------------------- openings

export function earlierRemark({ after, before }: { after: number; before: number }): TraceEarlier {
  const [first, last] = [after + 1, before - 1]
  return {
    kind: 'remark',
    what: 'earlier',
    key: `earlier-${String(after)}-${String(before)}`,
    text:
      last === Infinity
        ? 'What the folder has recorded is not loaded.'
        : first === last
          ? `Opening ${formatCount(first)} of the store is not loaded.`
          : `Openings ${formatCount(first)} to ${formatCount(last)} of the store are not loaded.`,
    after,
    before,
  }
}

/** The line between two openings; `side` is where the named one lies, in a list with the newest on top. */
export function openingRemark(
  side: 'above' | 'below',
  stream: number,
  opening: number | null,
  openedAtMs: number | null,
): TraceEntry {
  const name = opening === null ? 'another opening' : `opening ${formatCount(opening)}`
  const at = openedAtMs === null ? '' : `, opened ${formatDay(openedAtMs)}`
  const where = side === 'above' ? 'Above' : 'Below'
  return {
    kind: 'remark',
    what: 'stream',
    key: `stream-${String(stream)}`,
    text: `${where}: ${name}${at}. Event and pass numbers begin anew.`,
  }
}

/** The line for the openings that `opening` is one of; undefined where it is loaded or none there. */
export function earlierWith(trace: TraceLog, opening: number): TraceEarlier | undefined {
  return loadable(trace).find(
    (one): one is TraceEarlier =>
      one.what === 'earlier' && one.after < opening && opening < one.before,
  )
}

/** An opening as the recording tells of it. */
export interface RecordedOpening {
  openingId: number
  openedAtMs: number
  firstSeq: number
  lastSeq: number
  gaps: readonly RecordingGap[]
}

/**
 * The trace with an opening put where it was not loaded: its own lines are a gap as yet. After `newestId` none is
 * recorded.
 */
export function putOpening(
  trace: TraceLog,
  earlier: TraceEarlier,
  { openingId, openedAtMs, firstSeq, lastSeq, gaps }: RecordedOpening,
  newestId: number,
  limits: LogLimits<TraceEntry>,
): TraceLog {
  const stream = -openingId
  const { after } = earlier
  const before = Math.min(earlier.before, newestId + 1)
  const entries: TraceEntry[] = []
  if (openingId - after > 1) entries.push(earlierRemark({ after, before: openingId }))
  if (firstSeq > 1) entries.push(goneRemark(stream, { fromSeq: 1, toSeq: firstSeq - 1 }))
  entries.push(gapRemark(stream, { fromSeq: firstSeq, toSeq: lastSeq }))
  const end = gaps.at(-1)
  if (end?.toSeq === null) entries.push(lostRemark(stream, openingId, end))
  entries.push(openingRemark('below', stream, openingId, openedAtMs))
  if (before - openingId > 1) entries.push(earlierRemark({ after: openingId, before }))
  return replaceInLog(trace, earlier, entries, limits)
}

/** A crash leaves no end, and what came last may not have reached the disk. */
function lostRemark(stream: number, openingId: number, end: RecordingGap): TraceEntry {
  return {
    kind: 'remark',
    what: 'gone',
    key: `lost-${String(stream)}`,
    text: `Opening ${formatCount(openingId)}: ${recordingGapText(end)}`,
  }
}

/** The trace with nothing to be loaded there any more: the recording has none of these openings. */
export function noOpening(
  trace: TraceLog,
  earlier: TraceEarlier,
  isListed: boolean,
  limits: LogLimits<TraceEntry>,
): TraceLog {
  const which =
    earlier.before === Infinity
      ? 'what happened in it'
      : earlier.before - earlier.after === 2
        ? `opening ${formatCount(earlier.after + 1)}`
        : `openings ${formatCount(earlier.after + 1)} to ${formatCount(earlier.before - 1)}`
  const text = isListed
    ? `The folder has no recording of ${which}.`
    : `The recording of ${which} is too far back: the server lists the newest openings only.`
  const line: TraceEntry = { kind: 'remark', what: 'gone', key: `none-${earlier.key}`, text }
  return replaceInLog(trace, earlier, [line], limits)
}
