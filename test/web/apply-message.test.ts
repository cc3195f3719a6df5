import { describe, expect, test } from 'vitest'
import type { ServerMessage } from '../../server/protocol.ts'
import { lastOfLog, logAt, logItems } from '../../web/lib/chunked-log.ts'
import { initialState, traceKey, type AppState, type PassRun } from '../../web/state/app-state.ts'
import {
  GONE_FADE_MS,
  PASSES_MAX,
  SAMPLES_MAX,
  TRACE_MAX,
  addPass,
  applyMessage,
} from '../../web/state/apply-message.ts'
import {
  NOW,
  makeEvent,
  makeFrame,
  makePass,
  makePlan,
  makeSample,
  makeSegment,
  makeSnapshot,
  makeState,
  makeStore,
  segmentId,
  skipEvent,
} from './fixtures.ts'

/** expect's matchers are typed any; this one stands where a string does. */
const containing = (text: string) => expect.stringContaining(text) as string

const run = (messages: ServerMessage[], from: AppState = initialState) =>
  messages.reduce((state, message, index) => applyMessage(state, message, index), from)

const seqs = (state: AppState) =>
  logItems(state.trace).map((entry) => (entry.kind === 'event' ? entry.event.seq : entry.what))

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => skipEvent(from + index))

describe('the first snapshot', () => {
  test('fills the page and tells what came before it is held', () => {
    const state = run([makeSnapshot({ seq: 12, events: range(11, 12) })])
    expect(state.seq).toBe(12)
    expect(seqs(state)).toEqual(['missed', 11, 12])
    expect(logAt(state.trace, 0)).toMatchObject({ text: containing('Events 1 to 10') })
  })

  test('with the whole history there is nothing missing', () => {
    expect(seqs(run([makeSnapshot({ seq: 2, events: range(1, 2) })]))).toEqual([1, 2])
  })

  test('without any held event the whole past is said to be missing', () => {
    const state = run([makeSnapshot({ seq: 5 })])
    expect(seqs(state)).toEqual(['missed'])
    expect(logAt(state.trace, 0)).toMatchObject({ text: containing('Events 1 to 5') })
  })
})

describe('frames', () => {
  test('events are applied in order and counted', () => {
    const state = run([
      makeSnapshot(),
      makeFrame([makeEvent(1, { type: 'segment_created', segment: makeSegment(1) }), skipEvent(2)]),
      makeFrame([skipEvent(3)]),
    ])
    expect(state.seq).toBe(3)
    expect(seqs(state)).toEqual([1, 2, 3])
    expect(state.engine?.segments).toHaveLength(1)
  })

  test('doubled events are ignored, in the state and in the trace', () => {
    const opened = makeEvent(1, {
      type: 'pin_opened',
      pin: { pinId: 1, kind: 'snapshot', label: 'a', sinceMs: NOW },
    })
    const released = makeEvent(2, {
      type: 'pin_released',
      pinId: 1,
      kind: 'snapshot',
      label: 'a',
      heldMs: 1,
    })
    const state = run([
      makeSnapshot(),
      makeFrame([opened, released]),
      makeFrame([opened, released, skipEvent(3)]),
    ])
    expect(state.engine?.pins).toEqual([])
    expect(seqs(state)).toEqual([1, 2, 3])
  })

  test('nothing after a gap is applied, and the gap is said once', () => {
    const late = makeEvent(4, { type: 'segment_created', segment: makeSegment(1) })
    const state = run([makeSnapshot(), makeFrame([skipEvent(1), late]), makeFrame([late])])
    expect(state.seq).toBe(1)
    expect(state.engine?.segments).toEqual([])
    expect(seqs(state)).toEqual([1, 'missed'])
    expect(logAt(state.trace, 1)).toMatchObject({ text: containing('Events 2 to 3') })
  })

  test('a frame of another stream changes nothing', () => {
    const before = run([makeSnapshot()])
    expect(applyMessage(before, makeFrame([skipEvent(1)], { streamId: 'other' }), 9)).toBe(before)
  })

  test('a frame before any snapshot changes nothing', () => {
    expect(run([makeFrame([skipEvent(1)])])).toBe(initialState)
  })
})

describe('coming back', () => {
  test('resumed keeps everything and goes on where it was', () => {
    const state = run([
      makeSnapshot({ seq: 2, events: range(1, 2) }),
      {
        type: 'resumed',
        streamId: 'stream-1',
        seq: 2,
        topics: [],
        store: makeStore({ name: 'renamed' }),
      },
      makeFrame([skipEvent(3)]),
    ])
    expect(seqs(state)).toEqual([1, 2, 3])
    expect(state.store?.name).toBe('renamed')
  })

  test('a resync of the same stream adds only what is new', () => {
    const state = run([
      makeSnapshot({ seq: 2, events: range(1, 2) }),
      makeSnapshot({ seq: 5, reason: 'resync', events: range(2, 5) }),
    ])
    expect(seqs(state)).toEqual([1, 2, 3, 4, 5])
  })

  test('a resync that starts too late says which range this page never saw', () => {
    const state = run([
      makeSnapshot({ seq: 2, events: range(1, 2) }),
      makeSnapshot({ seq: 9, reason: 'resync', events: range(8, 9) }),
    ])
    expect(seqs(state)).toEqual([1, 2, 'missed', 8, 9])
    expect(logAt(state.trace, 2)).toMatchObject({ text: containing('Events 3 to 7') })
  })

  test('a new stream is divided from the old one and its numbers start over', () => {
    const state = run([
      makeSnapshot({ seq: 2, events: range(1, 2) }),
      makeSnapshot({ streamId: 'stream-2', reason: 'resync', seq: 2, events: range(1, 2) }),
      makeFrame([skipEvent(3)], { streamId: 'stream-2' }),
    ])
    expect(seqs(state)).toEqual([1, 2, 'stream', 1, 2, 3])
    expect(new Set(logItems(state.trace).map(traceKey)).size).toBe(state.trace.length)
  })
})

describe('what else a frame shows', () => {
  const queue = [1, 2, 3].map((seq) => segmentId(seq))
  const stage = { observedAtMs: NOW, dueAtMs: NOW + 30_000, minStaleRatio: 0.2 }
  const later = { ...stage, dueAtMs: NOW + 60_000 }

  test('restaging is told by what left the queue and where the confirm moved', () => {
    const state = run([
      makeSnapshot({
        snapshot: {
          ...makeSnapshot().snapshot,
          state: makeState({ debt: { queue, ledger: [], stage } }),
        },
      }),
      makeFrame([
        makeEvent(1, {
          type: 'debt_changed',
          cause: 'consumed',
          debt: { queue: queue.slice(1), ledger: [], stage },
        }),
        makeEvent(2, {
          type: 'debt_changed',
          cause: 'restaged',
          debt: { queue: queue.slice(1), ledger: [], stage: later },
        }),
      ]),
    ])
    expect(state.moves).toMatchObject([
      { cause: 'consumed', left: [queue[0]], joined: [], remaining: 2 },
      { cause: 'restaged', left: [], remaining: 2, stageBefore: stage, stageAfter: later },
    ])
  })

  test('a deleted segment stays to fade, then goes', () => {
    const base = makeSnapshot()
    const shown = run([
      {
        ...base,
        snapshot: { ...base.snapshot, state: makeState({ segments: [makeSegment(1)] }) },
      },
    ])
    const deleted = makeEvent(1, {
      type: 'segment_deleted',
      segmentId: segmentId(1),
      bytesTotal: 1000,
      heldByUntilNow: null,
    })
    const fading = applyMessage(shown, makeFrame([deleted]), 100)
    expect(fading.engine?.segments).toEqual([])
    expect(fading.gone.map((one) => one.segment.seq)).toEqual([1])
    const over = applyMessage(fading, makeFrame([]), 101 + GONE_FADE_MS)
    expect(over.gone).toEqual([])
  })

  test('the segments of a running rewrite are known until it ends', () => {
    const exec = makeEvent(1, {
      type: 'rewrite_exec',
      reason: 'rewrite_resume',
      sourceIds: queue,
      maxSegments: 1,
      budgetTokensBytes: null,
      maxCopiedBytes: 0,
      minStaleRatio: 0.2,
      queueLen: 3,
      ledgerLiveBytes: 1,
    })
    const failed = makeEvent(2, {
      type: 'rewrite_err',
      reason: 'rewrite_resume',
      code: 'ENGINE_IO',
      message: 'disk full',
      durMs: 1,
    })
    const running = run([makeSnapshot(), makeFrame([exec])])
    expect(running.rewriting).toEqual(queue)
    expect(applyMessage(running, makeFrame([failed]), 0).rewriting).toEqual([])
  })
})

describe('bounds', () => {
  test('the trace keeps its newest events and says how many it let go', () => {
    let state = run([makeSnapshot()])
    const perFrame = 50_000
    for (let from = 1; from <= 250_000; from += perFrame) {
      state = applyMessage(state, makeFrame(range(from, from + perFrame - 1)), 0)
    }
    expect(state.trace.length).toBeLessThanOrEqual(TRACE_MAX)
    expect(state.trace.length).toBeGreaterThan(TRACE_MAX * 0.9)
    expect(state.trace.length + state.trace.dropped).toBe(250_000)
    expect(lastOfLog(state.trace)).toMatchObject({ event: { seq: 250_000 } })
  })

  test('old passes keep their line and lose their verdicts when a page would hold too many', () => {
    const plan = (passId: number) =>
      makePass(passId, {
        outcome: 'planned',
        steps: [{ kind: 'plan', plan: makePlan(40_000), elapsedMs: 1 }],
      })
    const passes = [plan(1), plan(2), plan(3)].reduce<PassRun[]>(addPass, [])
    const verdicts = passes.map(({ report }) =>
      report.steps.flatMap((step) => (step.kind === 'plan' ? step.plan.candidates : [])),
    )
    expect(verdicts.map((list) => list.length)).toEqual([0, 40_000, 40_000])
    expect(passes[0]?.candidatesDropped).toBe(true)
    expect(passes[2]?.candidatesDropped).toBeUndefined()
  })

  test('a sample that comes twice is kept once', () => {
    const one = makeSample(5)
    const state = run([makeSnapshot({ samples: [one] }), makeFrame([], { samples: [one] })])
    expect(state.samples).toEqual([one])
  })

  test('samples keep their newest hour', () => {
    const samples = Array.from({ length: SAMPLES_MAX }, (_, index) => makeSample(index))
    const state = run([
      makeSnapshot({ samples }),
      makeFrame([], { samples: [makeSample(SAMPLES_MAX), makeSample(SAMPLES_MAX + 1)] }),
    ])
    expect(state.samples).toHaveLength(SAMPLES_MAX)
    expect(state.samples[0]?.atMs).toBe(2)
  })
})

describe('addPass', () => {
  const blocked = (passId: number) =>
    makePass(passId, { outcome: 'blocked', blockedBy: 'quiet_writes' })

  test('passes that are stopped alike become one line with a count', () => {
    const passes = [blocked(1), blocked(2), blocked(3)].reduce(addPass, [])
    expect(passes).toMatchObject([{ repeats: 3, report: { passId: 3 } }])
  })

  test('another gate, another source or a pass that acts makes a new line', () => {
    const passes = [
      blocked(1),
      makePass(2, { outcome: 'blocked', blockedBy: 'stage_due' }),
      makePass(3, { outcome: 'blocked', blockedBy: 'stage_due', source: 'manual' }),
      makePass(4),
      makePass(5),
    ].reduce(addPass, [])
    expect(passes.map((one) => one.report.passId)).toEqual([1, 2, 3, 4, 5])
  })

  test('the list is bounded', () => {
    const passes = Array.from({ length: PASSES_MAX + 5 }, (_, index) => makePass(index + 1)).reduce(
      addPass,
      [],
    )
    expect(passes).toHaveLength(PASSES_MAX)
    expect(passes[0]?.report.passId).toBe(6)
  })
})
