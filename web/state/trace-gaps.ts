// Ranges of the trace that this page does not hold: lines of their own, which fill up as older events
// are loaded. `missed` is not loaded and may be had; `gone` nobody holds any more. Pure.
import type { EngineEvent } from '../../server/protocol.ts'
import { replaceInLog, type LogLimits } from '../lib/chunked-log.ts'
import { formatCount } from '../lib/format.ts'
import type { TraceEntry, TraceGap, TraceLog } from './app-state.ts'

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
const known = new WeakMap<object, TraceGap[]>()

function gapsOf(trace: TraceLog): TraceGap[] {
  return trace.chunks.flatMap((chunk) => {
    let gaps = known.get(chunk)
    if (gaps === undefined) {
      gaps = chunk.items.filter(
        (entry): entry is TraceGap => entry.kind === 'remark' && entry.what === 'missed',
      )
      known.set(chunk, gaps)
    }
    return gaps
  })
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
