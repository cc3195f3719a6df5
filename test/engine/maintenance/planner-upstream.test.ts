/**
 * Upstream's planning tests (T-rw, selection tables) as scenarios, with its numbers where they carry
 * over; test/README.md lists the left-out ones. `[7]` is the number of that list.
 */
import { describe, expect, test } from 'vitest'
import { debtOf, queueOnlyDebt } from '../../../engine/maintenance/ledger.ts'
import { planRewrite } from '../../../engine/maintenance/planner.ts'
import type { FileSystem } from '../../../engine/file-system.ts'
import type { PlanFilters, RewritePlan, SegmentInfo } from '../../../engine/types.ts'
import {
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../../support/engine-fixture.ts'
import { pageReads } from '../../support/watch-pages.ts'
import { id, MIB, segment, T0, world } from './fake-host.ts'

const OFF: PlanFilters = {
  minStaleRatio: 0,
  minStaleBytes: 0,
  minStaleBytesCapRatio: 0,
  minAgeMs: 0,
  maxSegments: 0,
  maxLiveBytes: 0,
  maxCopiedBytes: 0,
  protectedIds: [],
  segmentIds: null,
}
const MINUTE = 60_000

function plan(
  segments: SegmentInfo[],
  filters: Partial<PlanFilters> = {},
  liveBytesKnown = true,
): RewritePlan {
  return planRewrite({ segments, filters: { ...OFF, ...filters }, nowMs: T0, liveBytesKnown })
}

/** `bytes` long, `live` of them alive. */
function sized(
  seq: number,
  bytes: number,
  live: number,
  more: Partial<SegmentInfo> = {},
): SegmentInfo {
  return segment(seq, 0, { bytesTotal: bytes, bytesLive: live, bytesStale: bytes - live, ...more })
}

const ids = (made: RewritePlan): number[] => made.sourceSegmentIds.map((s) => s - 0x80000000)
const verdicts = (made: RewritePlan): Record<number, string> =>
  Object.fromEntries(made.candidates.map((c) => [c.segmentId - 0x80000000, c.verdict]))
const active = { state: 'active', sealedAtMs: null } as const

describe('upstream: selection', () => {
  test('[1] sparse selection takes the stale segment and leaves the active one', () => {
    const made = plan([sized(1, 200, 100), sized(2, 100, 100, active)], {
      maxSegments: 1,
      maxLiveBytes: 4 * MIB,
      minStaleRatio: 0.3,
      minStaleBytes: 1,
    })
    expect(ids(made)).toEqual([1])
    expect(made.selectedBytesStale).toBe(100)
    expect(made.selectedBytesLive).toBe(100)
  })

  test('[6, 10] explicit ids obey stale filters', () => {
    const two = [sized(1, 100, 80), sized(2, 100, 20)]
    expect(ids(plan(two, { segmentIds: [id(1), id(2)], minStaleRatio: 0.5 }))).toEqual([2])
    const first = plan([sized(1, 100, 50), sized(2, 100, 100)], {
      segmentIds: [id(1), id(2)],
      minStaleRatio: 0.1,
      minStaleBytes: 1,
    })
    expect(ids(first)).toEqual([1])
    expect(first.selected.length).toBe(1)
  })

  test('[7] of oversize candidates one is taken', () => {
    const made = plan([sized(1, 100, 90), sized(2, 100, 80)], {
      maxLiveBytes: 32,
      maxSegments: 2,
      minStaleBytes: 1,
    })
    expect(ids(made)).toEqual([2])
  })

  test('[8] fully dead segments are skipped', () => {
    expect(ids(plan([sized(1, 100, 0), sized(2, 100, 80)]))).toEqual([2])
  })

  test('[9] young segments are skipped and counted', () => {
    const made = plan(
      [
        sized(1, 100, 80, { sealedAtMs: T0 - 5 * MINUTE }),
        sized(2, 100, 80, { sealedAtMs: T0 - 30_000 }),
      ],
      { minAgeMs: 2 * MINUTE },
    )
    expect(ids(made)).toEqual([1])
    expect(made).toMatchObject({
      ageBlockedSegments: 1,
      ageBlockedBytesTotal: 100,
      ageBlockedBytesLive: 80,
      ageBlockedBytesStale: 20,
      ageBlockedMinRemainingMs: 90_000,
    })
  })

  test('[11] B2: explicit active and protected ids are taken, a young one is not', () => {
    const old = { sealedAtMs: T0 - 5 * MINUTE }
    const made = plan(
      [
        sized(1, 100, 100, old),
        sized(2, 100, 100, active),
        sized(3, 100, 100, old),
        sized(4, 100, 100, { sealedAtMs: T0 - 1_000 }),
      ],
      {
        segmentIds: [id(1), id(2), id(3), id(4)],
        protectedIds: [id(3)],
        minAgeMs: 2 * MINUTE,
      },
    )
    expect(ids(made)).toEqual([1, 2, 3])
    expect(verdicts(made)[4]).toBe('age')
  })

  test('[12, 13] X6: age alone selects the old one, with live bytes known or not', () => {
    const two = [
      sized(1, 100, 60, { sealedAtMs: T0 - 5 * MINUTE }),
      sized(2, 70, 60, { sealedAtMs: T0 - 1_000 }),
    ]
    for (const known of [true, false]) {
      const made = plan(two, { minAgeMs: 2 * MINUTE }, known)
      expect(ids(made)).toEqual([1])
      expect(made.ageBlockedBytesTotal).toBe(70)
      expect(made.ageBlockedBytesLive).toBe(known ? 60 : 70)
    }
  })

  test('[14] explicit ids named twice count once', () => {
    const made = plan([sized(1, 64, 32), sized(2, 64, 32)], {
      segmentIds: [id(1), id(1), id(2)],
      maxLiveBytes: 96,
    })
    expect(ids(made)).toEqual([1, 2])
  })

  test('[15] B1, F3: explicit ids ignore the sparse caps', () => {
    const made = plan([sized(1, 100, 40), sized(2, 100, 40)], {
      segmentIds: [id(1), id(2)],
      minStaleRatio: 0.5,
      maxSegments: 1,
      maxLiveBytes: 40,
    })
    expect(ids(made)).toEqual([1, 2])
  })

  test('[16] without known live bytes a segment counts as fully live, and a stale floor selects nothing', () => {
    const two = [sized(1, 100, 10), sized(2, 100, 20)]
    const named = plan(two, { segmentIds: [id(2)] }, false)
    expect(ids(named)).toEqual([2])
    expect(named.candidates.find((c) => c.segmentId === id(2))).toMatchObject({
      bytesLive: 100,
      bytesStale: 0,
    })
    expect(verdicts(plan(two, { minStaleRatio: 0.1 }, false))).toEqual({
      1: 'live_bytes_unknown',
      2: 'live_bytes_unknown',
    })
  })
})

describe('protected and recent', () => {
  const lane = (lane: number, seq: number): SegmentInfo =>
    sized(seq, 100, 50, { lane, segmentId: id(seq) + lane * 2 ** 23 })

  test('a protected segment stays, and with it the newest two of its lane, of no other lane', () => {
    const all = [1, 2, 3, 4, 5]
      .map((seq) => lane(0, seq))
      .concat([1, 2, 3].map((seq) => lane(1, seq)))
    const made = plan(all, { protectedIds: [id(2)] })
    const of = (verdict: string): number[] =>
      made.candidates.filter((c) => c.verdict === verdict).map((c) => c.segmentId)
    expect(of('protected')).toEqual([id(2)])
    expect(of('recent')).toEqual([id(4), id(5)])
    expect(of('selected').length).toBe(5)
  })

  test('an unknown protected id protects nothing', () => {
    expect(ids(plan([lane(0, 1)], { protectedIds: [id(99)] }))).toEqual([1])
  })
})

describe('stale floor of small segments', () => {
  const filters = { minStaleBytes: 1000, minStaleBytesCapRatio: 0.25 }

  test('is the smaller of the floor and the share, and at least 1', () => {
    const made = plan([sized(1, 100, 75), sized(2, 100, 76), sized(3, 8000, 7000)], filters)
    expect(ids(made)).toEqual([1, 3])
    const missed = made.candidates.find((c) => c.segmentId === id(2))
    expect(missed).toMatchObject({ verdict: 'stale_bytes', distance: 1, unit: 'bytes' })
    expect(missed?.flip).toMatchObject({ option: 'minStaleBytes', value: 24 })
    expect(ids(plan([sized(1, 3, 2)], filters))).toEqual([1])
  })
})

describe('bound on copied bytes', () => {
  const three = [sized(1, 100, 20), sized(2, 100, 30), sized(3, 100, 40)]

  test('ends the plan, within a segment if need be, and tells what would let the next one in', () => {
    const made = plan(three, { maxCopiedBytes: 40 })
    expect(ids(made)).toEqual([1, 2])
    expect(made).toMatchObject({ copyBytes: 40, partialSegmentId: id(2) })
    expect(made.candidates.find((c) => c.segmentId === id(3))).toMatchObject({
      verdict: 'max_copied_bytes',
      distance: 11,
      unit: 'bytes',
      flip: { option: 'maxCopiedBytes', value: 51 },
    })
  })

  test('that ends where a segment does leaves none in part', () => {
    const made = plan(three, { maxCopiedBytes: 50 })
    expect(ids(made)).toEqual([1, 2])
    expect(made).toMatchObject({ copyBytes: 50, partialSegmentId: null })
  })

  test('holds for explicit ids too, and the first is always begun', () => {
    const made = plan(three, { maxCopiedBytes: 1, segmentIds: [id(2), id(3)] })
    expect(ids(made)).toEqual([2])
    expect(made).toMatchObject({ copyBytes: 1, partialSegmentId: id(2) })
  })
})

describe('queue-only plans (B15)', () => {
  test('B15: a plan without economics keeps its ids, and they make a queue without a ledger', () => {
    const made = plan(
      [sized(1, 100, 10, { sealedAtMs: T0 - 5 * MINUTE }), sized(2, 100, 10, { sealedAtMs: T0 })],
      { minAgeMs: MINUTE },
      false,
    )
    expect(made).toMatchObject({ sourceSegmentIds: [id(1)], selected: [], selectedBytesStale: 0 })
    expect(queueOnlyDebt(made.sourceSegmentIds)).toEqual({
      queue: [id(1)],
      ledger: [],
      stage: null,
    })
    const measured = plan([sized(1, 100, 10)])
    expect(debtOf(measured.selected).queue).toEqual(measured.sourceSegmentIds)
  })

  test.each(['periodic', 'manual'] as const)(
    'B15: a consumer queues the ids of such a plan (%s)',
    async (source) => {
      const { host, scheduler } = await world([segment(1, 0.9), segment(2, 0.8), segment(3, 0)])
      host.plan = (request) =>
        Promise.resolve(
          planRewrite({
            ...request,
            liveBytesKnown: false,
            filters: { ...OFF, segmentIds: [id(2), id(1)] },
          }),
        )
      const pass = await (source === 'manual' ? scheduler.stage() : scheduler.runPass(source))
      expect(pass.outcome).toBe('staged')
      expect(scheduler.debt()).toMatchObject({ queue: [id(1), id(2)], ledger: [] })
      expect(scheduler.debt().stage).not.toBeNull()
      const told = host.eventsOf('rewrite_plan').map((event) => event.selected)
      expect(told).toEqual([[id(1), id(2)]])
    },
  )

  test('B15: a plan without economics that is executed at once is executed by its ids', async () => {
    const { host, scheduler } = await world([segment(1, 0.9), segment(2, 0.8)], {
      maintenance: { triggerTotalBytes: 1 },
    })
    host.plan = (request) =>
      Promise.resolve(
        planRewrite({
          ...request,
          liveBytesKnown: false,
          filters: { ...OFF, segmentIds: [id(2), id(1)] },
        }),
      )
    await scheduler.runPass('periodic')
    expect(host.rewrites).toEqual([[id(1)]])
    expect(scheduler.debt()).toEqual({ queue: [id(2)], ledger: [], stage: null })
  })

  test('B15: only-explicit ids without a floor are all taken, fully live ones too', () => {
    const made = plan([sized(1, 100, 100), sized(2, 100, 0), sized(3, 100, 50)], {
      segmentIds: [id(1), id(2)],
    })
    expect(ids(made).sort()).toEqual([1, 2])
    expect(verdicts(made)[3]).toBe('not_requested')
  })
})

describe('a plan looks and touches nothing', () => {
  test('B8, B17, F17: no checkpoint, no look at the disk or the tree, no pass, no changed state', async () => {
    let reads = 0
    let writes = 0
    const counting: FileSystem = {
      ...quickFileSystem,
      open(file, mode) {
        const opened = quickFileSystem.open(file, mode)
        const read = opened.read.bind(opened)
        opened.read = (...args) => {
          reads += 1
          return read(...args)
        }
        const append = opened.write.bind(opened)
        opened.write = (...args) => {
          writes += 1
          append(...args)
        }
        return opened
      },
    }
    const options = { inlineThreshold: 64, segmentBytes: 8192 }
    const { engine } = await openFixture(options, { dir: memoryFolder(), fileSystem: counting })
    for (let i = 0; i < 24; i++) await engine.put(key(i), value(i, 1000))
    for (let i = 0; i < 24; i += 2) await engine.delete(key(i))
    await engine.checkpoint()
    await engine.put(key(1), value(1, 1000))
    const before = { state: engine.state(), gauges: engine.gauges(), reads, writes }
    const made = engine.maintenance.plan({ minAgeMs: 0 })
    expect(made.sourceSegmentIds.length).toBeGreaterThan(0)
    const named = { minAgeMs: 0, minStaleRatio: 0.1, segmentIds: made.sourceSegmentIds }
    expect(
      await pageReads(() => {
        expect(engine.maintenance.plan({ minAgeMs: 0 })).toEqual(made)
        expect(engine.maintenance.plan(named).selected.length).toBeGreaterThan(0)
      }),
    ).toBe(0)
    // Whatever it might have begun would be done by then.
    for (let i = 0; i < 50; i++) await yieldNow()
    expect(engine.gauges()).toEqual(before.gauges)
    expect({ state: engine.state(), reads, writes }).toEqual({
      state: before.state,
      reads: before.reads,
      writes: before.writes,
    })
    await engine.close()
  })
})
