// A recorded moment on the page: the state of then, and in words what is missing.
import { describe, expect, test } from 'vitest'
import type { HistoryBody, HistoryPass, RecordingOpening } from '../../server/protocol.ts'
import {
  newestMoment,
  passesAround,
  readableOpenings,
  stateOfMoment,
  whatIsMissing,
} from '../../web/state/moment.ts'
import { amplification } from '../../web/state/overview.ts'
import { theSentence, totalsOf, whyNoActions } from '../../web/state/selectors.ts'
import {
  makePass,
  makeSegment,
  makeState,
  makeStore,
  NOW,
  segmentId,
  skipEvent,
} from './fixtures.ts'

const opening = (overrides: Partial<RecordingOpening> = {}): RecordingOpening => ({
  openingId: 1,
  openedAtMs: NOW - 10_000,
  firstSeq: 1,
  lastSeq: 20,
  firstAtMs: NOW - 10_000,
  lastAtMs: NOW,
  events: 20,
  firstPassId: 1,
  lastPassId: 3,
  bytes: 1000,
  closed: true,
  gaps: [],
  ...overrides,
})

const body = (openings: RecordingOpening[], overrides: Partial<HistoryBody> = {}): HistoryBody => ({
  readAtMs: NOW,
  recording: { bytes: 1000, chunks: 1, openings, problems: [] },
  openingsLeftOut: 0,
  gapsLeftOut: 0,
  ...overrides,
})

const pass = (openingId: number, seq: number, passId: number): HistoryPass => ({
  openingId,
  seq,
  atMs: NOW,
  report: makePass(passId),
  candidatesDropped: true,
})

describe('moments', () => {
  test('the newest is the last event of the newest opening that can be read', () => {
    const unreadable = opening({
      openingId: 3,
      firstSeq: null,
      lastSeq: null,
      firstAtMs: null,
      lastAtMs: null,
      events: 0,
    })
    const known = body([opening(), opening({ openingId: 2, lastSeq: 7 }), unreadable])
    expect(readableOpenings(known).map(({ openingId }) => openingId)).toEqual([1, 2])
    expect(newestMoment(known)).toEqual({ openingId: 2, seq: 7 })
    expect(newestMoment(body([]))).toBeNull()
  })

  test('passes lie before, at and after a moment of their own opening only', () => {
    const passes = [pass(1, 5, 1), pass(1, 9, 2), pass(2, 6, 1), pass(1, 15, 3)]
    const at = (seq: number): (number | null)[] => {
      const around = passesAround(passes, { openingId: 1, seq })
      return [around.before, around.at, around.after].map((one) => one?.report.passId ?? null)
    }
    expect(at(9)).toEqual([1, 2, 3])
    expect(at(6)).toEqual([1, null, 2])
    expect(at(3)).toEqual([null, null, 1])
    expect(at(20)).toEqual([3, null, null])
  })

  test('has the state, the clock, the events and the passes of then, and nothing to act on', () => {
    const state = makeState({
      segments: [makeSegment(1, { bytesTotal: 100, bytesLive: 40 })],
      debt: {
        queue: [segmentId(1)],
        ledger: [],
        stage: { observedAtMs: NOW - 1000, dueAtMs: NOW + 18_000, minStaleRatio: 0.2 },
      },
    })
    const events = [7, 8, 9, 10].map(skipEvent)
    const shown = stateOfMoment({
      store: makeStore(),
      moment: { openingId: 1, seq: 9 },
      atMs: NOW,
      state,
      page: { openingId: 1, events, next: 11, gaps: [] },
      passes: [pass(1, 5, 1), pass(1, 9, 2), pass(2, 6, 1), pass(1, 15, 3)],
    })
    expect(shown.engine).toEqual(state)
    // The clock, and not a figure more: nobody recorded what was put or how long the index was.
    expect(shown.gauges).toEqual({ nowMs: NOW, clockFrozen: true })
    const { write, space } = amplification(
      totalsOf(state.segments),
      { ...shown.gauges },
      state.counters,
    )
    expect([write, space?.user ?? null]).toEqual([null, null])
    expect(shown.trace.length).toBe(3)
    expect(shown.trace.chunks[0]?.items[0]).toMatchObject({ kind: 'event' })
    expect(shown.passes.map(({ report }) => report.passId)).toEqual([1, 2])
    expect(shown.passes[0]?.candidatesDropped).toBe(true)
    expect(theSentence(state, shown.gauges?.nowMs ?? null)).toContain('staged, confirm in 18 s')
    expect(whyNoActions(shown, { role: 'operator', readOnly: false })).toContain('read-only')
  })
})

describe('what is missing', () => {
  const gap = (overrides: Partial<RecordingOpening['gaps'][number]>) => ({
    fromSeq: 21,
    toSeq: null,
    why: 'not_closed' as const,
    text: 'chunk-1 was not closed',
    ...overrides,
  })

  test('a closed and whole recording misses nothing', () => {
    expect(whatIsMissing(body([opening()]), false)).toEqual([])
  })

  test('an open end is a crash in an attached folder and a second of delay in a hosted one', () => {
    const known = body([opening({ closed: false, gaps: [gap({})] })])
    expect(whatIsMissing(known, false)).toEqual([
      'The newest moments, after event 20, may be lost: the store was not closed in order.',
    ])
    expect(whatIsMissing(known, true)).toEqual([
      'The store is open: what happened in the last second or so may not be here yet.',
    ])
  })

  test('an older opening that was not closed is a crash, whoever has the store open now', () => {
    const crashed = opening({ closed: false, gaps: [gap({})] })
    const [first = '', second] = whatIsMissing(body([crashed, opening({ openingId: 2 })]), true)
    expect(first).toContain('Opening 1: The newest moments')
    expect(second).toBeUndefined()
  })

  test('ranges are named, and so is what is not even listed', () => {
    const cut = opening({
      firstSeq: 121,
      gaps: [gap({ fromSeq: 1, toSeq: 120, why: 'retention', text: 'before chunk-2' })],
    })
    const known = body([cut], { openingsLeftOut: 4 })
    known.recording.problems.push('trace/chunk-9: damaged')
    expect(whatIsMissing(known, false)).toEqual([
      'Events 1 to 120 were given up for space (before chunk-2).',
      '4 older openings are not listed.',
      'trace/chunk-9: damaged.',
    ])
  })
})
