// Ranges of the trace that are not loaded, and what fills them.
import { describe, expect, test } from 'vitest'
import type { EngineEvent } from '../../server/protocol.ts'
import { CHUNK_SIZE, logAt, logItems } from '../../web/lib/chunked-log.ts'
import { initialState, type TraceLog } from '../../web/state/app-state.ts'
import { applyMessage } from '../../web/state/apply-message.ts'
import { openingOf, placeOf, streamOf } from '../../web/state/openings.ts'
import {
  earlierWith,
  fillGap,
  gapWith,
  noOpening,
  putOpening,
  recordedRange,
} from '../../web/state/trace-gaps.ts'
import { makeGauges, makeSnapshot, makeStore } from './fixtures.ts'

const FREE = { weigh: () => 1, weightMax: Infinity, lengthMax: Infinity }

function events(from: number, to: number): EngineEvent[] {
  return Array.from({ length: to - from + 1 }, (_, i) => ({
    seq: from + i,
    atMs: 1000 + from + i,
    passId: null,
    type: 'segment_deleted',
    segmentId: 1,
    bytesTotal: 1,
    heldByUntilNow: null,
  }))
}

/** As after a reload: the newest events are here, those before are not. */
function reloaded(from: number, to: number): TraceLog {
  const message = makeSnapshot({ seq: to, events: events(from, to) })
  return applyMessage(initialState, message, 0).trace
}

/** "1-400 missed" for a gap, a seq for an event. */
function told(trace: TraceLog): (string | number)[] {
  return logItems(trace).map((entry) => {
    if (entry.kind === 'event') return entry.event.seq
    return entry.what === 'missed'
      ? `${String(entry.fromSeq)}-${String(entry.toSeq)} missed`
      : `${entry.text.split(' are')[0] ?? ''} ${entry.what}`
  })
}

const ends = (trace: TraceLog) => [told(trace)[0], told(trace)[1], told(trace).at(-1)]

describe('a range that is not loaded', () => {
  test('is a line of the trace after a reload, and says so', () => {
    const trace = reloaded(401, 500)
    expect(ends(trace)).toEqual(['1-400 missed', 401, 500])
    expect(gapWith(trace, 1, 400)?.text).toBe('Events 1 to 400 are not loaded.')
    expect(gapWith(trace, 1, 401)).toBeUndefined()
    expect(gapWith(trace, 2, 400)).toBeUndefined()
  })

  test('fills from its end page by page until nothing is left of it', () => {
    let trace = reloaded(401, 500)
    trace = fillGap(trace, page(301, 400), FREE)
    expect(ends(trace)).toEqual(['1-300 missed', 301, 500])
    trace = fillGap(trace, page(1, 300), FREE)
    expect(told(trace)).toEqual(events(1, 500).map(({ seq }) => seq))
    expect(trace.length).toBe(500)
    expect(fillGap(trace, page(1, 300), FREE), 'loaded once').toBe(trace)
  })

  test('is parted by a link to its middle, and a page that crosses its border changes nothing', () => {
    const trace = reloaded(401, 500)
    const parted = fillGap(trace, page(100, 101), FREE)
    expect(told(parted).slice(0, 5)).toEqual(['1-99 missed', 100, 101, '102-400 missed', 401])
    expect(fillGap(parted, page(90, 120), FREE)).toBe(parted)
  })

  test('keeps what is behind the end of the recording: it is on its way, not gone', () => {
    const trace = reloaded(401, 500)
    const asked = { fromSeq: 1, toSeq: 400 }
    const page = { events: events(1, 390), next: null }
    const loaded = recordedRange(asked, page)
    expect(loaded.covered).toEqual({ fromSeq: 1, toSeq: 390 })
    const filled = told(fillGap(trace, { ...loaded, stream: 1 }, FREE))
    expect(filled.slice(388, 393)).toEqual([389, 390, '391-400 missed', 401, 402])
    // Nothing of the range is there yet: nothing is said of it.
    const tail = { fromSeq: 391, toSeq: 400 }
    expect(recordedRange(tail, { events: [], next: null }).covered).toEqual({
      fromSeq: 391,
      toSeq: 390,
    })
    // A page that goes on says all of what it has passed.
    expect(recordedRange(asked, { events: events(1, 50), next: 101 }).covered.toSeq).toBe(100)
  })

  test('tells what nobody holds any more apart from what is not loaded', () => {
    const trace = reloaded(401, 402)
    const covered = { fromSeq: 1, toSeq: 400 }
    const filled = fillGap(trace, { stream: 1, covered, events: events(11, 395) }, FREE)
    expect(told(filled)[0]).toBe('Events 1 to 10 gone')
    expect(told(filled).slice(-3)).toEqual(['Events 396 to 400 gone', 401, 402])
  })

  test('is filled over many chunks, whose entries keep their numbers', () => {
    const few = reloaded(3 * CHUNK_SIZE + 1, 4 * CHUNK_SIZE + 7)
    const filled = fillGap(few, page(101, 3 * CHUNK_SIZE), FREE)
    expect(filled.length).toBe(4 * CHUNK_SIZE + 7 - 100 + 1)
    for (const index of [1, CHUNK_SIZE, 2 * CHUNK_SIZE + 3, filled.length - 1]) {
      const entry = logAt(filled, index)
      expect(entry?.kind === 'event' ? entry.event.seq : null).toBe(100 + index)
    }
    expect(Math.max(...filled.chunks.map((chunk) => chunk.items.length))).toBe(CHUNK_SIZE)
  })

  test('fills no more than the page may hold: the oldest go and are counted', () => {
    const trace = reloaded(5 * CHUNK_SIZE + 1, 5 * CHUNK_SIZE + 10)
    const limits = { ...FREE, lengthMax: 3 * CHUNK_SIZE }
    const filled = fillGap(trace, page(1, 5 * CHUNK_SIZE), limits)
    expect(filled.length).toBeLessThanOrEqual(3 * CHUNK_SIZE)
    expect(filled.length + filled.dropped).toBe(5 * CHUNK_SIZE + 10)
    expect(ends(filled)[2]).toBe(5 * CHUNK_SIZE + 10)
  })
})

/** Opening `openingId` of a store has begun, with so many events. */
function opened(openingId: number, seq: number, before = initialState) {
  const recording = {
    state: 'on' as const,
    openingId,
    writtenSeq: seq,
    eventsLost: 0,
    bytes: 0,
    maxBytes: 1,
    stopped: null,
  }
  const message = makeSnapshot({ streamId: `of ${String(openingId)}`, seq, events: events(1, seq) })
  const gauges = { ...makeGauges(), recording }
  return applyMessage(before, { ...message, snapshot: { ...message.snapshot, gauges } }, 0)
}

/** Lines of the trace in short, oldest first. */
function lines(trace: TraceLog): (string | number)[] {
  return logItems(trace).map((entry) => {
    if (entry.kind === 'event') return entry.event.seq
    return entry.what === 'earlier'
      ? `${String(entry.after + 1)}-${String(entry.before - 1)} earlier`
      : entry.key
  })
}

const recorded = (openingId: number, firstSeq: number, lastSeq: number) => ({
  openingId,
  openedAtMs: 1000 * openingId,
  firstSeq,
  lastSeq,
  gaps: [],
})

describe('openings before the one that is followed', () => {
  test('are one line until they are loaded, the newest or the one that is wanted', () => {
    const { trace } = opened(6, 2)
    expect(lines(trace)).toEqual(['1-5 earlier', 1, 2])
    const line = earlierWith(trace, 3)
    if (line === undefined) throw new Error('no line')
    const wanted = putOpening(trace, line, recorded(3, 1, 40), 5, FREE)
    expect(lines(wanted)).toEqual([
      '1-2 earlier',
      'missed--3:1-40',
      'stream--3',
      '4-5 earlier',
      1,
      2,
    ])
    expect(earlierWith(wanted, 3)).toBeUndefined()
    // Nothing is recorded between it and the present one.
    const last = putOpening(trace, line, recorded(3, 1, 40), 3, FREE)
    expect(lines(last)).toEqual(['1-2 earlier', 'missed--3:1-40', 'stream--3', 1, 2])
    expect(gapWith(wanted, -3, 40)?.toSeq).toBe(40)
    // In a folder that is only read all that is recorded came before.
    const message = makeSnapshot({ store: makeStore({ mode: 'attached' }) })
    const attached = applyMessage(initialState, message, 0)
    expect(lines(attached.trace)).toEqual(['1-Infinity earlier'])
    // The first of a store has none before it.
    expect(lines(opened(1, 2).trace)).toEqual([1, 2])
  })

  test('say what retention has let go and what a crash may have lost', () => {
    const { trace } = opened(2, 1)
    const line = earlierWith(trace, 1)
    if (line === undefined) throw new Error('no line')
    const end = { fromSeq: 41, toSeq: null, why: 'not_closed' as const, text: 'no end' }
    const put = putOpening(trace, line, { ...recorded(1, 11, 40), gaps: [end] }, 1, FREE)
    expect(lines(put)).toEqual(['gone--1:1-10', 'missed--1:11-40', 'lost--1', 'stream--1', 1])
    const lost = logItems(put)[2]
    expect(lost?.kind === 'remark' ? lost.text : '').toBe(
      'Opening 1: The newest moments, after event 40, may be lost: the store was not closed in order.',
    )
    expect(lines(noOpening(trace, line, true, FREE))).toEqual(['none-earlier-0-2', 1])
  })

  test('that passed while the page looked away are a line between the two that it followed', () => {
    const state = opened(9, 2, opened(5, 3))
    expect(lines(state.trace)).toEqual(['1-4 earlier', 1, 2, 3, '6-8 earlier', 'stream-2', 1, 2])
    expect([openingOf(state, 1), openingOf(state, 2), openingOf(state, -7)]).toEqual([5, 9, 7])
    expect([streamOf(state, 5), streamOf(state, 9), streamOf(state, 7)]).toEqual([1, 2, -7])
    expect([streamOf(state, null), placeOf(state, 1, 3)]).toEqual([2, { seq: 3, opening: 5 }])
  })
})

function page(fromSeq: number, toSeq: number) {
  return { stream: 1, covered: { fromSeq, toSeq }, events: events(fromSeq, toSeq) }
}
