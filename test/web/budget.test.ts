// The write budget as it fills, and what a chart saves as numbers.
import { describe, expect, test } from 'vitest'
import { sampleRow, samplesIn, withAmplification } from '../../web/charts/debt-over-time-series.ts'
import { toCsv } from '../../web/lib/csv.ts'
import { budgetNow } from '../../web/state/overview.ts'
import { NOW, makeSample } from './fixtures.ts'

describe('the write budget', () => {
  const bucket = { bytesPerSecond: 100, tokensBytes: 300, capBytes: 1000, accruedAtMs: NOW }

  test('fills at its rate from the last accrual, and no further than its cap', () => {
    expect(budgetNow(bucket, NOW + 2000)).toMatchObject({
      tokensBytes: 500,
      share: 0.5,
      fullInMs: 5000,
    })
    expect(budgetNow(bucket, NOW + 60_000)).toMatchObject({ tokensBytes: 1000, fullInMs: 0 })
  })

  test('a bucket not accrued yet stands still, a clock that went back takes nothing away', () => {
    expect(budgetNow({ ...bucket, accruedAtMs: null }, NOW + 2000)?.tokensBytes).toBe(300)
    expect(budgetNow(bucket, NOW - 2000)?.tokensBytes).toBe(300)
    expect(budgetNow(null, NOW)).toBeNull()
  })
})

test('the debt chart saves the exact numbers of the span shown, both ends included', () => {
  const samples = [0, 1, 2, 3].map((second) => makeSample(NOW + second * 1000, 1234 + second))
  const within = samplesIn(samples, { fromMs: NOW + 1000, toMs: NOW + 2000 })
  expect(within).toEqual([samples[1], samples[2]])
  const [head, first] = toCsv(withAmplification(within).map(sampleRow)).split('\r\n')
  expect(head?.split(',').slice(0, 3)).toEqual(['at', 'at_ms', 'bytes_stale'])
  expect(first?.split(',').slice(0, 3)).toEqual([
    new Date(NOW + 1000).toISOString(),
    String(NOW + 1000),
    '1235',
  ])
})
