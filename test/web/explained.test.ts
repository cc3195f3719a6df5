// What the page derives: the byte flow of a pass, the past of a segment, the numbers of the overview.
import { describe, expect, test } from 'vitest'
import type { ByteFlow as SourceFlow, PassReport, SegmentKeeper } from '../../server/protocol.ts'
import { legendOf, painterOf } from '../../web/charts/segment-colour.ts'
import { appendToLog, CHUNK_SIZE, emptyLog } from '../../web/lib/chunked-log.ts'
import type { PassRun, TraceEntry } from '../../web/state/app-state.ts'
import { addPass } from '../../web/state/apply-message.ts'
import {
  ageBlocked,
  amplification,
  debtByThreshold,
  timeToDrain,
} from '../../web/state/overview.ts'
import { byteFlow, passTimes } from '../../web/state/pass-flow.ts'
import {
  newestVerdicts,
  passesThatTouched,
  segmentPast,
  verdictOn,
  whereItWent,
} from '../../web/state/segment-history.ts'
import { totalsOf } from '../../web/state/selectors.ts'
import {
  NOW,
  makeEvent,
  makeGauges,
  makeGc,
  makePass,
  makePlan,
  makeRewrite,
  makeSample,
  makeSegment,
  makeState,
  options,
  segmentId,
} from './fixtures.ts'

const source = segmentId(1)
const output = segmentId(9)
const rewrote = makePass(4, {
  elapsedMs: 20,
  before: {
    queue: [source],
    ledger: [
      { segmentId: source, bytesTotal: 1000, bytesLive: 400, bytesStale: 600, staleRatio: 0.6 },
    ],
    stage: null,
  },
  steps: [
    { kind: 'rewrite', reason: 'rewrite_resume', report: makeRewrite(source, output, 350) },
    { kind: 'gc', report: makeGc([source], 1000) },
    { kind: 'consume', segmentIds: [source], remaining: 0 },
  ],
})

describe('byte flow', () => {
  const accounted: SourceFlow = {
    selectedBytesTotal: 1000,
    selectedBytesStale: 600,
    processedBytes: 1000,
    unprocessedBytes: 0,
    stillReferencedBytes: 0,
    unreferencedBytes: 1000,
    deletedBytes: 1000,
    pinnedBytes: 0,
    retainedBytes: 0,
    residualBytes: 0,
  }

  test('is the engine’s own accounting, beside what the pass deleted and copied', () => {
    expect(byteFlow({ ...rewrote, byteFlow: accounted })).toEqual({
      sources: [source],
      flow: accounted,
      yield: null,
      bytesCopied: 350,
      bytesDeleted: 1000,
      segmentsDeleted: [source],
      bytesKept: 0,
      segmentsKept: [],
      bytesGained: 650,
    })
  })

  test('a residual is what the engine says, even where the steps would add up', () => {
    const report = { ...rewrote, byteFlow: { ...accounted, residualBytes: 100 } }
    expect(byteFlow(report)?.flow?.residualBytes).toBe(100)
  })

  test('a pass that only deleted has no sources to account for', () => {
    const gc = makePass(5, { steps: [{ kind: 'gc', report: makeGc([source], 1000) }] })
    expect(byteFlow(gc)).toMatchObject({ flow: null, bytesDeleted: 1000, bytesGained: 1000 })
  })

  test('a pass that moved nothing has no flow, and its time is all in one part', () => {
    const report = makePass(6, { steps: [], elapsedMs: 3 })
    expect(byteFlow(report)).toBeNull()
    expect(passTimes(report)).toEqual({ plan: 0, rewrite: 0, gc: 0, prune: 0, other: 3 })
  })

  test('the parts of a pass add up to all of it', () => {
    const times = passTimes(rewrote)
    expect(Object.values(times).reduce((a, b) => a + b, 0)).toBe(20)
    expect(times).toMatchObject({ rewrite: 7, gc: 2 })
    const pruned = { segmentIds: [source], remaining: 0, elapsedMs: 1.5 }
    const steps: PassReport['steps'] = [{ kind: 'prune_missing', ...pruned }, ...rewrote.steps]
    expect(passTimes({ ...rewrote, steps })).toMatchObject({ prune: 1.5, other: 20 - 7 - 2 - 1.5 })
  })
})

describe('the past of a segment', () => {
  const entries: TraceEntry[] = [
    makeEvent(1, {
      type: 'segment_created',
      segment: makeSegment(1, { state: 'active', bytesTotal: 10 }),
    }),
    makeEvent(2, { type: 'segment_bytes', changes: [[source, 1000, 900]] }),
    makeEvent(3, { type: 'segment_bytes', changes: [[output, 5, 5]] }),
    makeEvent(4, { type: 'segment_bytes', changes: [[source, 1000, 400]] }),
    makeEvent(
      5,
      { type: 'segment_deleted', segmentId: source, bytesTotal: 1000, heldByUntilNow: null },
      4,
    ),
  ].map((event) => ({ kind: 'event', stream: 1, event }))
  const log = appendToLog(emptyLog, entries, {
    weigh: () => 1,
    weightMax: Infinity,
    lengthMax: Infinity,
  })

  test('has its bytes over time, its end and who ended it', () => {
    const past = segmentPast(log, source)
    expect(past.points.map((point) => [point.bytesTotal, point.bytesLive])).toEqual([
      [10, 10],
      [1000, 900],
      [1000, 400],
      [0, 0],
    ])
    expect(past.deleted?.passId).toBe(4)
    expect(segmentPast(log, output).points).toHaveLength(1)
  })

  test('is found bit by bit in a long trace, the newest first, and whole in the end', () => {
    const changes = Array.from({ length: 6 * CHUNK_SIZE }, (_, i) => ({
      kind: 'event' as const,
      stream: 1,
      event: makeEvent(i + 1, { type: 'segment_bytes', changes: [[source, 1e6, i]] }),
    }))
    const limits = { weigh: () => 1, weightMax: Infinity, lengthMax: Infinity }
    const long = appendToLog(emptyLog, changes, limits)
    const isOver = () => true
    const searched: number[] = []
    for (let call = 0; call < 6; call++) {
      const past = segmentPast(long, source, isOver)
      searched.push(past.searched)
      expect(past.points).toHaveLength(past.searched)
      expect(past.points.at(-1)?.bytesLive).toBe(6 * CHUNK_SIZE - 1)
    }
    expect(searched[0]).toBeLessThan(long.length)
    expect(searched).toEqual(searched.toSorted((a, b) => a - b))
    const whole = segmentPast(long, source, isOver)
    expect(whole.searched).toBe(long.length)
    expect(whole.points.map((point) => point.bytesLive)).toEqual(changes.map((_, i) => i))
  })

  test('names the passes that touched it and where its records went', () => {
    const passes = [makePass(3), rewrote].reduce<PassRun[]>(addPass, [])
    expect(passesThatTouched(passes, source)).toMatchObject([
      { report: { passId: 4 }, what: ['rewritten', 'deleted', 'left the queue'] },
    ])
    expect(whereItWent(passes, source)).toMatchObject([
      { passId: 4, outputSegments: [output], recordsCopied: 5 },
    ])
    expect(passesThatTouched(passes, output)).toMatchObject([{ what: ['written by the rewrite'] }])
  })

  test('the newest verdict wins, be it of a pass or asked by hand', () => {
    const planned = makePass(7, {
      endedAtMs: NOW,
      steps: [{ kind: 'plan', plan: makePlan(3), elapsedMs: 1 }],
    })
    const passes = [planned].reduce<PassRun[]>(addPass, [])
    const asked = { candidates: makePlan(2).candidates, atMs: NOW + 1 }
    expect(newestVerdicts(passes, null)).toMatchObject({ passId: 7 })
    expect(newestVerdicts(passes, asked)).toMatchObject({ passId: null })
    expect(newestVerdicts(passes, { ...asked, atMs: NOW - 1 })).toMatchObject({ passId: 7 })
    expect(newestVerdicts([], null)).toBeNull()
  })
})

describe('the overview', () => {
  const segments = [
    makeSegment(1, { bytesTotal: 1000, bytesLive: 900 }),
    makeSegment(2, { bytesTotal: 1000, bytesLive: 300, sealedAtMs: NOW - 10_000 }),
    makeSegment(3, { bytesTotal: 1000, bytesLive: 0, state: 'zombie' }),
    makeSegment(4, { bytesTotal: 1000, bytesLive: 100, state: 'active', sealedAtMs: null }),
  ]

  test('debt by threshold counts sealed segments only, each floor all above it', () => {
    expect(debtByThreshold(segments, [0.05, 0.5, 0.9])).toEqual([
      { minStaleRatio: 0.05, segments: 2, bytesStale: 800, bytesLive: 1200 },
      { minStaleRatio: 0.5, segments: 1, bytesStale: 700, bytesLive: 300 },
      { minStaleRatio: 0.9, segments: 0, bytesStale: 0, bytesLive: 0 },
    ])
  })

  test('what is only too young is told with its countdown', () => {
    expect(ageBlocked(segments, options, NOW)).toEqual({
      segments: 1,
      bytesStale: 700,
      nextInMs: 20_000,
    })
    expect(ageBlocked(segments, options, NOW + 30_000).nextInMs).toBeNull()
  })

  test('amplification is unknown where there is nothing to divide by', () => {
    const { counters } = makeState()
    expect(amplification(totalsOf([]), makeGauges(), counters)).toEqual({
      write: null,
      space: null,
    })
    expect(
      amplification(totalsOf(segments), makeGauges({ bytesPut: 1000 }), {
        ...counters,
        rewriteBytesWritten: 500,
      }),
    ).toEqual({ write: 1.5, space: { engine: 4000 / 1300, user: 4000 / 1300, pinned: 0 } })
  })

  test('space has three meanings: without what readers pin, with all the disk holds, and the pins alone', () => {
    const { counters } = makeState()
    const held = (seq: number, keeper: SegmentKeeper) =>
      makeSegment(seq, { bytesTotal: 3000, bytesLive: 0, state: 'zombie', keptBy: [keeper] })
    const totals = totalsOf([
      makeSegment(1, { bytesTotal: 1200, bytesLive: 1000 }),
      held(2, { kind: 'snapshot', pinId: 1, label: 'backup', sinceMs: NOW }),
      // Goes with the next checkpoint: maintenance answers for it.
      held(3, { kind: 'journal' }),
    ])
    expect(totals).toMatchObject({ zombies: 2, pinned: 1, pinnedBytes: 3000 })
    const gauges = makeGauges({ indexFileBytes: 500, journalBytes: 300 })
    expect(amplification(totals, gauges, counters).space).toEqual({
      engine: 4.2,
      user: 8,
      pinned: 3,
    })
  })

  test('time to drain is an estimate only when the debt falls', () => {
    const at = (second: number, bytesStale: number) => makeSample(NOW + second * 1000, bytesStale)
    expect(timeToDrain([])).toMatchObject({ kind: 'unknown' })
    expect(timeToDrain([at(0, 100), at(5, 50)])).toMatchObject({ kind: 'unknown' })
    expect(timeToDrain([at(0, 100), at(20, 0)])).toEqual({ kind: 'empty' })
    expect(timeToDrain([at(0, 100), at(20, 300)])).toMatchObject({
      kind: 'grows',
      bytesPerSecond: 10,
    })
    expect(timeToDrain([at(0, 300), at(20, 100)])).toMatchObject({ kind: 'drains', inMs: 10_000 })
  })

  test('every colour has a letter and words, and its legend counts every segment', () => {
    const verdicts = newestVerdicts([], { candidates: makePlan(2).candidates, atMs: NOW })
    for (const colour of ['age', 'lane', 'state', 'verdict'] as const) {
      const painter = painterOf(colour, { nowMs: NOW, verdicts })
      const legend = legendOf(segments, painter)
      expect(legend.reduce((sum, entry) => sum + entry.count, 0)).toBe(segments.length)
      expect(legend.every((entry) => entry.letter !== '' && entry.words !== '')).toBe(true)
    }
  })
})

describe('a verdict in the table', () => {
  const candidate = makePlan(1).candidates[0]
  if (candidate === undefined) throw new Error('a plan has a candidate')
  const dropped = {
    ...candidate,
    segmentId: source,
    verdict: 'stale_ratio' as const,
    distance: -0.007,
    unit: 'ratio' as const,
    staleRatio: 0.493,
  }
  const verdicts = { atMs: NOW, passId: 1, by: new Map([[source, dropped]]) }
  const at = (bytesLive: number, state: 'sealed' | 'zombie' = 'sealed') =>
    verdictOn(verdicts, makeSegment(1, { bytesTotal: 1000, bytesLive, state }))

  test('is missed by points, not by percent', () => {
    expect(at(507)).toEqual({
      verdict: 'stale ratio too low, by 0.7 points',
      why: '',
      outdated: false,
    })
  })

  test('of a segment that is more stale by now says so; of a dead one there is none', () => {
    const then = at(299)
    expect(then.outdated).toBe(true)
    expect(then.verdict).toBe('at 49.3 % stale: stale ratio too low, by 0.7 points')
    expect(at(0, 'zombie')).toMatchObject({ verdict: '', why: containingDead })
    expect(verdictOn(null, makeSegment(1))).toMatchObject({ why: 'no plan has looked at it yet' })
  })
})

/** expect's matchers are typed any; this one stands where a string does. */
const containingDead = expect.stringContaining('dead') as string
