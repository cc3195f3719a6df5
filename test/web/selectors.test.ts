import { describe, expect, test } from 'vitest'
import {
  blockersOf,
  engineNow,
  keptByPin,
  lastPass,
  orderSegments,
  rewritable,
  otherHoldings,
  queueRows,
  stageOf,
  theSentence,
  totalsOf,
  whyNoActions,
} from '../../web/state/selectors.ts'
import { addPass } from '../../web/state/apply-message.ts'
import type { SegmentInfo } from '../../server/protocol.ts'
import {
  NOW,
  makeGauges,
  makePass,
  makeSegment,
  makeState,
  makeStore,
  segmentId,
} from './fixtures.ts'

const MiB = 1 << 20
const stage = { observedAtMs: NOW - 12_000, dueAtMs: NOW + 18_000, minStaleRatio: 0.2 }
const segments = [
  makeSegment(1, { bytesTotal: 4 * MiB, bytesLive: MiB }),
  makeSegment(2, { bytesTotal: 4 * MiB, bytesLive: 3 * MiB }),
  makeSegment(3, { bytesTotal: 4 * MiB }),
]
const ids = [segmentId(1), segmentId(2)]
const staged = makeState({ segments, debt: { queue: ids, ledger: [], stage } })

describe('a choice for a rewrite', () => {
  test('takes what has something to copy, and counts the dead and the absent', () => {
    const segments = [makeSegment(1), makeSegment(2, { state: 'zombie' }), makeSegment(3)]
    const ids = segments.map((segment) => segment.segmentId)
    const choice = rewritable(segments, [...ids, 999_999])
    expect(choice.chosen.map((segment) => segment.seq)).toEqual([1, 3])
    expect(choice).toMatchObject({ dead: 1, absent: 1 })
  })
})

describe('theSentence', () => {
  test('says how much, where, and when', () => {
    expect(theSentence(staged, NOW)).toBe(
      '4.00 MiB stale in 2 of 3 segments. 2 queued, staged, confirm in 18 s.',
    )
  })

  test('says how much of it no maintenance can delete, because readers keep it', () => {
    const pinned = makeSegment(9, {
      bytesTotal: 2 * 1024 * 1024,
      bytesLive: 0,
      state: 'zombie',
      keptBy: [{ kind: 'iterator', pinId: 1, label: 'a scan', sinceMs: NOW }],
    })
    expect(theSentence(makeState({ segments: [...segments, pinned] }), NOW)).toBe(
      '6.00 MiB stale in 3 of 4 segments, 2.00 MiB of it pinned by readers. Nothing queued.',
    )
  })

  test('changes when the confirm is due, when nothing is staged and when nothing is queued', () => {
    expect(theSentence(staged, NOW + 18_000)).toContain('2 queued, staged, confirm is due.')
    const open = makeState({ segments, debt: { queue: ids, ledger: [], stage: null } })
    expect(theSentence(open, NOW)).toContain('2 queued, ready to rewrite.')
    expect(theSentence(makeState({ segments }), NOW)).toContain('Nothing queued.')
  })

  test('no stale bytes and no segments are different answers', () => {
    expect(theSentence(makeState({ segments: [makeSegment(1)] }), NOW)).toContain('No stale bytes')
    expect(theSentence(makeState(), NOW)).toContain('No segments yet')
  })

  test('says no stale bytes of a folder whose live bytes are not known', () => {
    const one = makeState({ segments: [makeSegment(1)] })
    expect(theSentence(one, NOW, false)).toMatch(
      /in 1 segment; how much of it is stale is not known/,
    )
    expect(theSentence(makeState(), NOW, false)).toBe(
      'No segments were found, and no tree that could name one was read.',
    )
  })
})

describe('the engine’s clock', () => {
  const base = {
    gauges: makeGauges(),
    receivedAtMs: 1000,
    link: { phase: 'live' as const },
    store: makeStore(),
  }

  test('runs on between frames', () => {
    expect(engineNow(base, 1500)).toBe(NOW + 500)
  })

  test('stands while frozen, while cut off and when attached', () => {
    expect(engineNow({ ...base, gauges: makeGauges({ clockFrozen: true }) }, 9000)).toBe(NOW)
    const cut = { phase: 'reconnecting' as const, attempt: 1, retryAtMs: 0, why: 'cut' }
    expect(engineNow({ ...base, link: cut }, 9000)).toBe(NOW)
    expect(engineNow({ ...base, store: makeStore({ mode: 'attached' }) }, 9000)).toBe(NOW)
  })

  test('is not known before the first snapshot', () => {
    expect(engineNow({ ...base, gauges: null }, 9000)).toBeNull()
  })
})

describe('stage and queue', () => {
  test('the stage has four states', () => {
    expect(stageOf(makeState().debt, NOW).kind).toBe('none')
    expect(stageOf({ queue: ids, ledger: [], stage: null }, NOW).kind).toBe('ready')
    expect(stageOf(staged.debt, NOW)).toEqual({ kind: 'waiting', dueInMs: 18_000 })
    expect(stageOf(staged.debt, NOW + 20_000)).toEqual({ kind: 'due', overdueMs: 2000 })
  })

  test('a queued segment without economics or without a file keeps its row', () => {
    const planned = {
      segmentId: ids[0] ?? 0,
      bytesTotal: 10,
      bytesLive: 5,
      bytesStale: 5,
      staleRatio: 0.5,
    }
    const rows = queueRows(
      makeState({ segments, debt: { queue: [...ids, segmentId(99)], ledger: [planned], stage } }),
    )
    expect(rows.map((row) => [row.position, row.planned !== null, row.current !== null])).toEqual([
      [1, true, true],
      [2, false, true],
      [3, false, false],
    ])
  })
})

describe('passes', () => {
  const blocked = (passId: number) =>
    makePass(passId, { outcome: 'blocked', blockedBy: 'quiet_writes' })

  test('the last pass that acted is found behind those in vain', () => {
    const passes = [makePass(1), blocked(2), blocked(3)].reduce(addPass, [])
    const { acted, since } = lastPass(passes)
    expect(acted?.report.passId).toBe(1)
    expect(since?.times).toBe(2)
  })

  test('blockers are ranked by how often they stopped a pass', () => {
    const passes = [
      blocked(1),
      blocked(2),
      makePass(3, { outcome: 'blocked', blockedBy: 'stage_due' }),
    ].reduce(addPass, [])
    expect(blockersOf(passes)).toEqual([
      { gate: 'quiet_writes', times: 2 },
      { gate: 'stage_due', times: 1 },
    ])
  })
})

describe('segments', () => {
  test('totals add up', () => {
    const totals = totalsOf(segments)
    expect(totals.bytesLive + totals.bytesStale).toBe(totals.bytesTotal)
    expect(totals).toMatchObject({ bytesStale: 4 * MiB, segmentsWithStale: 2, segments: 3 })
    expect(totalsOf(segments), 'once for a list').toBe(totals)
    expect(totalsOf([...segments]), 'again for another').not.toBe(totals)
  })

  test('orders by stale bytes and by age, the unsealed one youngest', () => {
    const list = [
      makeSegment(1, { sealedAtMs: NOW }),
      makeSegment(2, { sealedAtMs: null, bytesLive: 0 }),
      makeSegment(3, { sealedAtMs: NOW - 1, bytesLive: 500 }),
    ]
    expect(orderSegments(list, 'stale').map((one) => one.seq)).toEqual([2, 3, 1])
    expect(orderSegments(list, 'age').map((one) => one.seq)).toEqual([3, 1, 2])
    expect(list.map((one) => one.seq)).toEqual([1, 2, 3])
  })

  test('a pin keeps what names it', () => {
    const keeper = { kind: 'snapshot' as const, pinId: 7, label: 'a', sinceMs: NOW }
    const list = [
      makeSegment(1, { keptBy: [keeper] }),
      makeSegment(2, { keptBy: [{ kind: 'journal' }] }),
    ]
    expect(keptByPin(list, 7).map((one) => one.seq)).toEqual([1])
    expect(keptByPin(list, 8)).toEqual([])
  })
})

describe('whyNoActions', () => {
  const live = { phase: 'live' as const }
  test('is null only for a connected, open, hosted store', () => {
    expect(whyNoActions({ store: makeStore(), link: live }, null)).toBeNull()
    expect(whyNoActions({ store: makeStore({ mode: 'attached' }), link: live }, null)).toContain(
      'read-only',
    )
    expect(whyNoActions({ store: makeStore(), link: { phase: 'connecting' } }, null)).toContain(
      'Not connected',
    )
    expect(whyNoActions({ store: makeStore({ status: 'failed' }), link: live }, null)).toContain(
      'failed',
    )
    expect(whyNoActions({ store: null, link: live }, null)).not.toBeNull()
  })
})

describe('what keeps dead segments besides readers', () => {
  const dead = (seq: number, keptBy: SegmentInfo['keptBy']) =>
    makeSegment(seq, { state: 'zombie', bytesTotal: 100 * seq, bytesLive: 0, keptBy })
  const journal = { kind: 'journal' } as const
  const roots = [
    { kind: 'root', metaPage: 0 },
    { kind: 'root', metaPage: 1 },
  ] as const
  const reader = { kind: 'snapshot', pinId: 1, label: 'a', sinceMs: NOW } as const

  test('counts a segment under each of them, and as alone only where nothing else keeps it', () => {
    const segments = [
      dead(1, [journal]),
      dead(2, [...roots]),
      dead(3, [...roots, journal]),
      dead(4, [reader, journal]),
      makeSegment(5),
    ]
    expect(
      otherHoldings(segments).map(({ kind, segments: held, bytes, bytesAlone }) => [
        kind,
        held.length,
        bytes,
        bytesAlone,
      ]),
    ).toEqual([
      ['journal', 3, 800, 100],
      ['root', 2, 500, 200],
    ])
    expect(otherHoldings([dead(1, [reader])])).toEqual([])
  })
})
