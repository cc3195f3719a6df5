/** Durations in buckets: never told shorter than they were, and at most a sixteenth longer. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LatencyHistogram, latencyBetween, latencyDoublings } from '../../engine/latency.ts'
import { key, memoryFolder, openFixture, value } from '../support/engine-fixture.ts'

const NOTHING = new LatencyHistogram().counts()

function of(durations: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram()
  for (const ms of durations) histogram.record(ms)
  return histogram
}

/** The smallest that at least `share` of all are not longer than. */
function exact(durations: readonly number[], share: number): number {
  const sorted = durations.toSorted((a, b) => a - b)
  return sorted[Math.ceil(sorted.length * share) - 1] ?? NaN
}

describe('a histogram of durations', () => {
  test('tells percentiles from above, within a sixteenth or a microsecond', () => {
    const durations = fc.array(fc.double({ min: 0, max: 130_000, noNaN: true }), { minLength: 1 })
    fc.assert(
      fc.property(durations, (ms) => {
        const figures = latencyBetween(NOTHING, of(ms).counts())
        if (figures === null) throw new Error('nothing was counted')
        expect(figures.count).toBe(ms.length)
        for (const [told, truth] of [
          [figures.p50Ms, exact(ms, 0.5)],
          [figures.p99Ms, exact(ms, 0.99)],
          [figures.maxMs, Math.max(...ms)],
        ] as const) {
          expect(told).toBeGreaterThanOrEqual(truth - 1e-9)
          expect(told).toBeLessThanOrEqual((truth + 0.001) * (1 + 1 / 16) + 1e-9)
        }
      }),
      { seed: 7, numRuns: 300 },
    )
  })

  test('tells of a second what came in that second, and nothing of one without traffic', () => {
    const histogram = of([1000, 1000, 1000])
    const before = histogram.counts()
    expect(latencyBetween(before, histogram.counts())).toBeNull()
    histogram.record(0.5)
    histogram.record(2)
    const figures = latencyBetween(before, histogram.counts())
    expect(figures?.count).toBe(2)
    expect(figures?.maxMs).toBeLessThan(2.2)
    expect(figures?.p50Ms).toBeLessThan(0.6)
  })

  test('has cumulative counts at exact bounds, up to all there is', () => {
    const ms = [0.0005, 0.001, 0.0011, 0.002, 0.016, 0.0161, 1, 1.024, 1.0241, 100_000, 900_000]
    const doublings = latencyDoublings(of(ms).counts())
    const upTo = (bound: number): number | undefined =>
      doublings.find(({ upToMs }) => upToMs === bound)?.count
    for (const bound of [0.001, 0.002, 0.016, 1.024]) {
      expect([bound, upTo(bound)]).toEqual([bound, ms.filter((one) => one <= bound).length])
    }
    expect(doublings.at(-1)?.count).toBe(ms.length)
    expect(doublings.map(({ upToMs }) => upToMs)).toEqual(doublings.map((_, i) => 2 ** i / 1000))
  })
})

describe('the engine', () => {
  test('times each write until it is acknowledged, and one read in sixteen', async () => {
    const { engine } = await openFixture({}, { dir: memoryFolder() })
    expect(engine.latency().put.count).toBe(0)
    for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 100))
    await engine.batch([
      { op: 'delete', key: key(1) },
      { op: 'delete', key: key(2) },
    ])
    for (let i = 0; i < 32; i++) engine.get(key(3))
    const { put, get } = engine.latency()
    expect([put.count, get.count]).toEqual([11, 2])
    await engine.close()
  })
})
