import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  clampStage,
  consume,
  mergePlan,
  nextToRun,
  NO_DEBT,
  postpone,
  pruneMissing,
  pruneQuality,
  queueOnlyDebt,
  segmentLookup,
  stage,
} from '../../../engine/maintenance/ledger.ts'
import type { RewriteDebt } from '../../../engine/types.ts'
import { debtOf, entry, id, segment, staged, T0 } from './fake-host.ts'

const POLICY = { confirmDelayMs: 30_000, minStaleRatio: 0.2 }
const FLOOR = { minStaleRatio: 0.5, minStaleBytes: 1 }

describe('ledger', () => {
  test('D4: consumes by id when queue and ledger are ordered differently', () => {
    const debt: RewriteDebt = {
      queue: [id(1), id(2), id(3)],
      ledger: [entry(3, 0.9), entry(1, 0.6), entry(2, 0.7)],
      stage: null,
    }
    const rest = consume(debt, [id(1)])
    expect(rest.queue).toEqual([id(2), id(3)])
    expect(rest.ledger.map((e) => e.segmentId)).toEqual([id(3), id(2)])
  })

  test('D4: consuming more ids than are queued removes those that are', () => {
    const debt = debtOf([entry(1, 0.6)])
    expect(consume(debt, [id(7), id(1), id(8)])).toEqual(NO_DEBT)
    expect(consume(debt, [id(7)])).toEqual(debt)
  })

  test('D9: pruning keeps the stage while anything is queued, and drops it with the last', () => {
    const lookup = segmentLookup([segment(1, 0.9), segment(2, 0.1)])
    const debt = debtOf([entry(1, 0.9), entry(2, 0.6)], staged(T0))
    const pruned = pruneQuality(debt, lookup, FLOOR)
    expect(pruned.dropped).toEqual([id(2)])
    expect(pruned.debt.stage).toEqual(staged(T0))
    expect(pruneQuality(pruned.debt, new Map(), FLOOR).debt).toEqual(NO_DEBT)
  })

  test('D12: a missing segment is pruned from debt of one entry, with and without a ledger', () => {
    for (const debt of [debtOf([entry(1, 0.9)]), queueOnlyDebt([id(1)])]) {
      expect(pruneMissing(debt, new Map())).toEqual({ debt: NO_DEBT, dropped: [id(1)] })
    }
  })

  test('counts a zombie as missing', () => {
    const lookup = segmentLookup([segment(1, 1, { state: 'zombie' })])
    expect(pruneMissing(debtOf([entry(1, 0.9)]), lookup).dropped).toEqual([id(1)])
  })

  test('drops fully dead and too fresh segments by their bytes now', () => {
    const lookup = segmentLookup([segment(1, 1), segment(2, 0.4), segment(3, 0.6)])
    const debt = debtOf([entry(1, 0.9), entry(2, 0.9), entry(3, 0.6)])
    expect(pruneQuality(debt, lookup, FLOOR).dropped).toEqual([id(1), id(2)])
  })

  test('F4: stages queue-only debt like any other', () => {
    const debt = stage(queueOnlyDebt([id(1), id(2)]), T0, POLICY)
    expect(debt).toEqual({
      queue: [id(1), id(2)],
      ledger: [],
      stage: { observedAtMs: T0, dueAtMs: T0 + 30_000, minStaleRatio: 0.2 },
    })
    expect(stage(NO_DEBT, T0, POLICY)).toEqual(NO_DEBT)
  })

  test('F9: an observation in the future counts as made now', () => {
    expect(clampStage(staged(T0 + 10_000), T0, 30_000)).toEqual(staged(T0))
    expect(clampStage(staged(T0 - 10_000), T0, 30_000)).toEqual(staged(T0 - 10_000))
  })

  test('postpones forward, never back', () => {
    const debt = debtOf([entry(1, 0.9)], staged(T0))
    expect(postpone(debt, T0 + 40_000, 30_000).stage).toEqual(staged(T0 + 40_000))
    expect(postpone(debt, T0 - 40_000, 30_000).stage).toEqual(staged(T0))
  })

  test('runs by ratio, stale bytes, size, then id as they are now; queue-only by its order', () => {
    const lookup = segmentLookup([
      segment(1, 0.5),
      segment(2, 0, { bytesTotal: 1000, bytesLive: 250, bytesStale: 750 }),
      segment(3, 0.75),
      segment(4, 0.75),
      segment(5, 1),
    ])
    const planned = [1, 2, 3, 4, 5].map((seq) => entry(seq, 0.9))
    expect(nextToRun(debtOf([...planned].reverse()), lookup)?.segmentId).toBe(id(3))
    const ids = queueOnlyDebt([id(5), id(1), id(3)])
    expect(nextToRun(ids, lookup)?.segmentId).toBe(id(1))
    expect(nextToRun(debtOf([entry(9, 0.9)]), lookup)).toBeNull()
  })

  test('merges a plan in front of what is queued and measures queued ids without economics', () => {
    const lookup = segmentLookup([segment(1, 0.3), segment(2, 0.8)])
    const merged = mergePlan(queueOnlyDebt([id(1), id(2), id(9)]), [entry(2, 0.8)], lookup)
    expect(merged.queue).toEqual([id(2), id(1)])
    expect(merged.ledger).toEqual([entry(2, 0.8), entry(1, 0.3)])
  })

  test('every operation keeps queue and ledger together and never changes its input', () => {
    const anyDebt = fc
      .uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 })
      .chain((seqs) =>
        fc.tuple(
          fc.constant(seqs),
          fc.shuffledSubarray(seqs, { minLength: seqs.length }),
          fc.boolean(),
          fc.boolean(),
        ),
      )
      .map(([seqs, order, withLedger, isStaged]): RewriteDebt => ({
        queue: seqs.map(id),
        ledger: withLedger ? order.map((seq) => entry(seq, seq / 10)) : [],
        stage: isStaged && seqs.length > 0 ? staged(T0) : null,
      }))
    const anySet = fc.subarray([1, 2, 3, 4, 5, 6, 7, 8, 9])
    fc.assert(
      fc.property(anyDebt, anySet, (debt, seqs) => {
        const before = structuredClone(debt)
        const lookup = segmentLookup(seqs.map((seq) => segment(seq, ((seq * 3) % 10) / 10)))
        const results = [
          consume(debt, seqs.map(id)),
          pruneMissing(debt, lookup).debt,
          pruneQuality(debt, lookup, FLOOR).debt,
          stage(debt, T0, POLICY),
          postpone(debt, T0 + 1, 30_000),
          mergePlan(
            debt,
            seqs.map((seq) => entry(seq, 0.5)),
            lookup,
          ),
        ]
        expect(debt).toEqual(before)
        for (const result of results) {
          const ledger = result.ledger.map((e) => e.segmentId)
          if (ledger.length > 0) expect([...ledger].sort()).toEqual([...result.queue].sort())
          if (result.queue.length === 0) expect(result).toEqual(NO_DEBT)
        }
        expect(consume(debt, seqs.map(id)).queue).toEqual(
          before.queue.filter((queued) => !seqs.map(id).includes(queued)),
        )
      }),
    )
  })
})
