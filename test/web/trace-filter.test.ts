import { describe, expect, test } from 'vitest'
import { appendToLog, CHUNK_SIZE, emptyLog, logAt, logItems } from '../../web/lib/chunked-log.ts'
import { toCsv } from '../../web/lib/csv.ts'
import { traceLine } from '../../web/lib/trace-line.ts'
import type { TraceEntry, TraceLog } from '../../web/state/app-state.ts'
import { countGroups, TraceSearch, type TraceFilter } from '../../web/state/trace-filter.ts'
import { makeEvent, makeSegment, segmentId, skipEvent } from './fixtures.ts'

const limits = { weigh: () => 1, weightMax: Infinity, lengthMax: Infinity }
const everything: TraceFilter = {
  traceText: '',
  traceHidden: [],
  tracePass: null,
  passStream: null,
  traceSegment: null,
}

function logOf(events: Parameters<typeof entryOf>[0][], from: TraceLog = emptyLog): TraceLog {
  return appendToLog<TraceEntry>(from, events.map(entryOf), limits)
}

function entryOf(event: ReturnType<typeof skipEvent>): TraceEntry {
  return { kind: 'event', stream: 1, event }
}

/** Gap-free: every third a segment's event, the rest skips. */
function story(from: number, to: number): ReturnType<typeof skipEvent>[] {
  return Array.from({ length: to - from + 1 }, (_, index) => {
    const seq = from + index
    return seq % 3 === 0
      ? makeEvent(seq, { type: 'segment_sealed', segment: makeSegment(seq % 50) }, seq % 7)
      : skipEvent(seq)
  })
}

function shown(search: TraceSearch, log: TraceLog): number[] {
  const rows = search.rows(log, Infinity, () => 0)
  return Array.from({ length: rows.count }, (_, row) => {
    const entry = rows.at(row)
    return entry?.kind === 'event' ? entry.event.seq : -1
  })
}

describe('the log', () => {
  test('keeps order and places over many appends, and old versions stay as they were', () => {
    let log: TraceLog = emptyLog
    const versions: { log: TraceLog; length: number }[] = []
    let seq = 1
    while (log.length < CHUNK_SIZE * 3 + 17) {
      log = logOf(story(seq, seq + 700), log)
      seq += 701
      versions.push({ log, length: log.length })
    }
    expect(logItems(log).map((entry) => (entry.kind === 'event' ? entry.event.seq : 0))).toEqual(
      Array.from({ length: log.length }, (_, index) => index + 1),
    )
    for (const { log: old, length } of versions) {
      expect(old.length).toBe(length)
      expect(logAt(old, length - 1)).toMatchObject({ event: { seq: length } })
      expect(logAt(old, length)).toBeUndefined()
    }
  })

  test('lets whole chunks go past its weight and counts them', () => {
    let log: TraceLog = emptyLog
    for (let from = 1; from < CHUNK_SIZE * 10; from += 500) {
      log = appendToLog<TraceEntry>(log, story(from, from + 499).map(entryOf), {
        weigh: () => 10,
        weightMax: CHUNK_SIZE * 10 * 4,
        lengthMax: Infinity,
      })
    }
    expect(log.weight).toBeLessThanOrEqual(CHUNK_SIZE * 40)
    expect(logAt(log, 0)).toMatchObject({ event: { seq: log.dropped + 1 } })
  })
})

describe('the search', () => {
  const log = logOf(story(1, CHUNK_SIZE * 2 + 300))

  test('shows newest first and finds the same after more has come', () => {
    const search = new TraceSearch(everything)
    expect(shown(search, log).slice(0, 3)).toEqual([log.length, log.length - 1, log.length - 2])
    const longer = logOf(story(log.length + 1, log.length + 40), log)
    expect(shown(search, longer)).toEqual(shown(new TraceSearch(everything), longer))
  })

  test('filters by kind, pass, segment and text', () => {
    const hidden = new TraceSearch({ ...everything, traceHidden: ['gc'] })
    expect(shown(hidden, log).every((seq) => seq % 3 === 0)).toBe(true)
    const pass = new TraceSearch({ ...everything, tracePass: 5, traceHidden: ['segments'] })
    expect(shown(pass, log).every((seq) => seq % 3 === 0 && seq % 7 === 5)).toBe(true)
    expect(shown(pass, log).length).toBeGreaterThan(100)
    const segment = new TraceSearch({ ...everything, traceSegment: segmentId(21) })
    expect(shown(segment, log).every((seq) => seq % 50 === 21)).toBe(true)
    const text = new TraceSearch({ ...everything, traceText: 'L0-21 SEALED' })
    expect(shown(text, log)).toEqual(shown(segment, log))
  })

  test('a pass is one of its opening: its number stands for another in any other', () => {
    const events = story(1, 60)
    const both = appendToLog<TraceEntry>(
      emptyLog,
      [-4, 1].flatMap((stream) =>
        events.map((event) => ({ kind: 'event', stream, event }) as const),
      ),
      limits,
    )
    const of = (passStream: number | null) => {
      const rows = new TraceSearch({ ...everything, tracePass: 5, passStream }).rows(
        both,
        1,
        () => 0,
      )
      return Array.from({ length: rows.count }, (_, row) => {
        const entry = rows.at(row)
        return entry?.kind === 'event' ? entry.stream : 0
      })
    }
    expect(of(1)).toEqual([1, 1, 1])
    expect(of(-4)).toEqual([-4, -4, -4])
    expect(of(null)).toHaveLength(6)
  })

  test('a long search is done in slices, newest first, and says how far it is', () => {
    const search = new TraceSearch({ ...everything, traceText: 'sealed' })
    let clock = 0
    const slice = () => search.rows(log, 1, () => (clock += 10))
    const first = slice()
    expect(first.searched).toBeLessThan(log.length)
    expect(first.at(0)).toMatchObject({ event: { seq: Math.floor(log.length / 3) * 3 } })
    let rows = first
    for (let turn = 0; rows.searched < log.length && turn < 10; turn += 1) rows = slice()
    expect(rows.searched).toBe(log.length)
    expect(rows.count).toBe(Math.floor(log.length / 3))
  })

  test('counts the kinds of all that is held', () => {
    const counts = countGroups(log)
    expect(counts.get('segments')).toBe(Math.floor(log.length / 3))
    expect((counts.get('segments') ?? 0) + (counts.get('gc') ?? 0)).toBe(log.length)
  })
})

describe('copies', () => {
  test('an event prints as a dated line of upstream’s form', () => {
    const event = makeEvent(3, { type: 'gc_skip', reason: 'min_interval', gate: null }, 9)
    expect(traceLine(event)).toMatch(
      /^ts=2023-11-14T22:13:20\.003\S*Z treedb debug vlog_maint gc_skip reason=min_interval/,
    )
  })

  test('CSV quotes what needs it and leaves unknown empty', () => {
    expect(
      toCsv([
        { a: 1, b: 'x, "y"', c: null },
        { a: -2, b: '=SUM(A1)', c: 0 },
      ]),
    ).toBe('a,b,c\r\n1,"x, ""y""",\r\n-2,\'=SUM(A1),0')
  })
})
