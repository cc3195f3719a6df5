// Which lines of the trace match a filter. A full chunk of the log never changes, so what was found in
// it is kept; only the newest chunk is looked at again, and a first search over a long trace is done
// in slices, newest first, so that the page answers meanwhile.
import type { EngineEvent, EngineEventType, SegmentId } from '../../server/protocol.ts'
import { CHUNK_SIZE, type LogChunk } from '../lib/chunked-log.ts'
import { describeEvent } from '../lib/describe-event.ts'
import type { Route } from '../lib/route.ts'
import { groupOfEvent, type EventGroup } from '../lib/words.ts'
import type { TraceEntry, TraceLog } from './app-state.ts'

export interface TraceFilter extends Pick<
  Route,
  'traceText' | 'traceHidden' | 'tracePass' | 'traceSegment'
> {
  /** The stream that the pass is of: its number stands for another pass in any other. null: any. */
  passStream: number | null
}

/** An event never changes, so its line is made once. */
const lines = new WeakMap<EngineEvent, string>()

export function lineOf(event: EngineEvent): string {
  let line = lines.get(event)
  if (line === undefined) {
    line = describeEvent(event)
    lines.set(event, line)
  }
  return line
}

/** Every segment an event names. */
export function segmentsOfEvent(event: EngineEvent): SegmentId[] {
  switch (event.type) {
    case 'segment_created':
    case 'segment_sealed':
    case 'segment_zombie':
    case 'segment_kept':
      return [event.segment.segmentId]
    case 'segment_deleted':
      return [event.segmentId]
    case 'segment_bytes':
      return event.changes.map(([id]) => id)
    case 'rewrite_queue_missing_prune':
    case 'rewrite_queue_quality_prune':
      return event.dropped
    case 'rewrite_plan':
    case 'rewrite_plan_staged':
      return event.selected
    case 'rewrite_exec':
      return event.sourceIds
    case 'rewrite_done':
      return [...event.report.sourceSegmentsRequested, ...event.report.outputSegments]
    case 'rewrite_queue_restaged':
      return event.processedIds
    case 'gc_run':
      return [...event.report.deleted, ...event.report.segmentsKept]
    case 'debt_changed':
      return event.debt.queue
    default:
      return []
  }
}

/** True for a line to show. Remarks always stay: they say what is missing from the rest. */
function matcher(filter: TraceFilter): (entry: TraceEntry) => boolean {
  const wanted = filter.traceText.trim().toLowerCase()
  const hidden = new Set<EventGroup>(filter.traceHidden)
  const { tracePass, passStream, traceSegment } = filter
  return (entry) => {
    if (entry.kind === 'remark') return true
    const { event } = entry
    if (tracePass !== null && event.passId !== tracePass) return false
    if (tracePass !== null && passStream !== null && entry.stream !== passStream) return false
    // Asked for one pass or one segment, the reader wants all there is about it.
    if (tracePass === null && traceSegment === null && hidden.has(groupOfEvent[event.type])) {
      return false
    }
    if (traceSegment !== null && !segmentsOfEvent(event).includes(traceSegment)) return false
    return (
      wanted === '' || event.type.includes(wanted) || lineOf(event).toLowerCase().includes(wanted)
    )
  }
}

export interface TraceRows {
  /** Lines that match, of those searched. */
  count: number
  /** Line `row` from the newest down. */
  at: (row: number) => TraceEntry | undefined
  /** Entries looked at so far; less than the log's length while a search goes on. */
  searched: number
}

/** Searches one trace for one filter; keep one as long as the filter stays the same. */
export class TraceSearch {
  private readonly matches: (entry: TraceEntry) => boolean
  private readonly found = new WeakMap<LogChunk<TraceEntry>, Uint16Array>()

  constructor(filter: TraceFilter) {
    this.matches = matcher(filter)
  }

  /** Rows of `log`, searching for at most `budgetMs`; call again while `searched` is short of the length. */
  rows(log: TraceLog, budgetMs: number, nowMs: () => number): TraceRows {
    const until = nowMs() + budgetMs
    const parts: { chunk: LogChunk<TraceEntry>; hits: Uint16Array; before: number }[] = []
    let count = 0
    let searched = 0
    /** At least one full chunk a call, or a slow machine would never get to the end. */
    let full = 0
    for (let at = log.chunks.length - 1; at >= 0; at -= 1) {
      const chunk = log.chunks[at]
      if (chunk === undefined) break
      let hits = this.found.get(chunk)
      if (hits === undefined) {
        if (full > 0 && nowMs() > until) break
        if (chunk.items.length === CHUNK_SIZE) full += 1
        hits = this.search(chunk)
        this.found.set(chunk, hits)
      }
      parts.push({ chunk, hits, before: count })
      count += hits.length
      searched += chunk.items.length
    }
    return {
      count,
      searched,
      at: (row) => {
        const part = parts[partOf(parts, row)]
        if (part === undefined) return undefined
        const hit = part.hits[part.hits.length - 1 - (row - part.before)]
        return hit === undefined ? undefined : part.chunk.items[hit]
      },
    }
  }

  private search(chunk: LogChunk<TraceEntry>): Uint16Array {
    const hits = new Uint16Array(CHUNK_SIZE)
    let count = 0
    chunk.items.forEach((entry, index) => {
      if (!this.matches(entry)) return
      hits[count] = index
      count += 1
    })
    return hits.slice(0, count)
  }
}

/** The last part that begins at or before `row`. */
function partOf(parts: readonly { before: number }[], row: number): number {
  let low = 0
  let high = parts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((parts[middle]?.before ?? 0) <= row) low = middle
    else high = middle - 1
  }
  return low
}

// ---------------------------------------------------------------- counting

type TypeCounts = Partial<Record<EngineEventType, number>>
const counted = new WeakMap<LogChunk<TraceEntry>, TypeCounts>()

/** Events held of each group. */
export function countGroups(log: TraceLog): Map<EventGroup, number> {
  const groups = new Map<EventGroup, number>()
  for (const chunk of log.chunks) {
    let counts = counted.get(chunk)
    if (counts === undefined) {
      counts = {}
      for (const entry of chunk.items) {
        if (entry.kind === 'event') {
          counts[entry.event.type] = (counts[entry.event.type] ?? 0) + 1
        }
      }
      counted.set(chunk, counts)
    }
    for (const [type, count] of Object.entries(counts) as [EngineEventType, number][]) {
      const group = groupOfEvent[type]
      groups.set(group, (groups.get(group) ?? 0) + count)
    }
  }
  return groups
}
