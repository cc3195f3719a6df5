import { describe, expect, test } from 'vitest'
import { applyEvent } from '../../engine/apply-event.ts'
import { NOW, makeEvent, makeSegment, makeState, segmentId, skipEvent } from './fixtures.ts'

describe('applyEvent on segments', () => {
  test('a created segment is put in its place by id, whatever the order of arrival', () => {
    let state = makeState()
    for (const [seq, number] of [5, 1, 9, 3].entries()) {
      state = applyEvent(
        state,
        makeEvent(seq + 1, { type: 'segment_created', segment: makeSegment(number) }),
      )
    }
    expect(state.segments.map((segment) => segment.seq)).toEqual([1, 3, 5, 9])
  })

  test('sealed, zombie and kept replace the whole segment', () => {
    const before = makeState({ segments: [makeSegment(1), makeSegment(2), makeSegment(3)] })
    const zombie = makeSegment(2, {
      state: 'zombie',
      bytesLive: 0,
      keptBy: [{ kind: 'snapshot', pinId: 7, label: 'backup', sinceMs: NOW }],
    })
    const after = applyEvent(before, makeEvent(1, { type: 'segment_zombie', segment: zombie }))
    expect(after.segments).toEqual([makeSegment(1), zombie, makeSegment(3)])
    const released = makeSegment(2, { ...zombie, keptBy: [{ kind: 'awaiting_gc' }] })
    expect(
      applyEvent(after, makeEvent(2, { type: 'segment_kept', segment: released })).segments[1],
    ).toEqual(released)
  })

  test('byte changes keep live + stale = total and leave the others alone', () => {
    const before = makeState({ segments: [makeSegment(1), makeSegment(2), makeSegment(3)] })
    const after = applyEvent(
      before,
      makeEvent(1, {
        type: 'segment_bytes',
        changes: [
          [segmentId(1), 1000, 400],
          [segmentId(3), 1500, 1500],
        ],
      }),
    )
    expect(after.segments[0]).toMatchObject({ bytesTotal: 1000, bytesLive: 400, bytesStale: 600 })
    expect(after.segments[2]).toMatchObject({ bytesTotal: 1500, bytesLive: 1500, bytesStale: 0 })
    expect(after.segments[1]).toBe(before.segments[1])
    expect(before.segments[0]?.bytesLive).toBe(1000)
  })

  test('byte changes of a segment that is gone are ignored', () => {
    const before = makeState({ segments: [makeSegment(1)] })
    const after = applyEvent(
      before,
      makeEvent(1, { type: 'segment_bytes', changes: [[segmentId(2), 10, 5]] }),
    )
    expect(after.segments).toEqual(before.segments)
  })

  test('a deleted segment is gone', () => {
    const before = makeState({ segments: [makeSegment(1), makeSegment(2)] })
    const after = applyEvent(
      before,
      makeEvent(1, {
        type: 'segment_deleted',
        segmentId: segmentId(1),
        bytesTotal: 1000,
        heldByUntilNow: null,
      }),
    )
    expect(after.segments.map((segment) => segment.seq)).toEqual([2])
  })
})

describe('applyEvent on the rest', () => {
  test('debt is replaced whole; of scheduler and counters, what the event names', () => {
    const before = makeState()
    const debt = {
      queue: [segmentId(1)],
      ledger: [],
      stage: { observedAtMs: NOW, dueAtMs: NOW + 1, minStaleRatio: null },
    }
    const scheduler = { ...before.scheduler, paused: true, state: 'error' as const }
    const counters = { ...before.counters, passes: 3 }
    let state = applyEvent(before, makeEvent(1, { type: 'debt_changed', cause: 'staged', debt }))
    const facts = { paused: true, state: 'error' as const }
    state = applyEvent(state, makeEvent(2, { type: 'scheduler_changed', scheduler: facts }))
    state = applyEvent(state, makeEvent(3, { type: 'counters_changed', counters: { passes: 3 } }))
    expect(state).toEqual({ ...before, debt, scheduler, counters })
  })

  test('pins come and go', () => {
    const pin = { pinId: 7, kind: 'snapshot' as const, label: 'backup', sinceMs: NOW }
    const other = { ...pin, pinId: 8 }
    let state = applyEvent(makeState(), makeEvent(1, { type: 'pin_opened', pin }))
    state = applyEvent(state, makeEvent(2, { type: 'pin_opened', pin: other }))
    expect(state.pins).toEqual([pin, other])
    state = applyEvent(
      state,
      makeEvent(3, {
        type: 'pin_released',
        pinId: 7,
        kind: 'snapshot',
        label: 'backup',
        heldMs: 5,
      }),
    )
    expect(state.pins).toEqual([other])
  })

  test('a checkpoint counts only when it published something', () => {
    const report = {
      reason: 'interval' as const,
      commitSeq: 12,
      entriesMerged: 3,
      pagesWritten: 4,
      noop: false,
      elapsedMs: 14,
      longestSliceMs: 2,
    }
    const before = makeState()
    const idle = applyEvent(
      before,
      makeEvent(1, { type: 'checkpoint_done', report: { ...report, noop: true } }),
    )
    expect(idle.checkpoint).toEqual(before.checkpoint)
    const done = applyEvent(before, makeEvent(2, { type: 'checkpoint_done', report }))
    expect(done.checkpoint).toEqual({
      commitSeq: 12,
      atMs: NOW + 2,
      elapsedMs: 14,
      reason: 'interval',
    })
  })

  test('an event that only tells a story leaves the very same state', () => {
    const before = makeState({ segments: [makeSegment(1)] })
    expect(applyEvent(before, skipEvent(1))).toBe(before)
  })
})
