import { describe, expect, test } from 'vitest'
import { bytesText } from '../../engine/maintenance/text.ts'
import {
  UNKNOWN,
  exactBytes,
  exportName,
  formatBytes,
  formatCount,
  formatCountdown,
  formatDuration,
  formatMoment,
  formatRatio,
  plural,
  segmentLabel,
  segmentList,
  shortBytes,
  shortNames,
} from '../../web/lib/format.ts'
import { segmentId } from './fixtures.ts'

describe('formatBytes', () => {
  test.each([
    [0, '0 B'],
    [1, '1 B'],
    [999, '999 B'],
    [1000, '0.977 KiB'],
    [1024, '1.00 KiB'],
    [10_240, '10.0 KiB'],
    [102_400, '100 KiB'],
    [1_048_575, '1.00 MiB'],
    [1_331_439_861, '1.24 GiB'],
    [-2048, '-2.00 KiB'],
  ])('%d bytes read as %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  test('sentences of the engine say bytes by the same rule, at every size', () => {
    const sizes = [0, 1, 999, 1000, 1023, 1024, 1_047_999, 1_048_575, 2 * 1024 * 1024, -2048]
    for (let power = 0; power < 58; power += 0.013) sizes.push(Math.round(2 ** power))
    for (const bytes of sizes)
      expect([bytes, bytesText(bytes)]).toEqual([bytes, formatBytes(bytes)])
    expect(bytesText(2 * 1024 * 1024)).toBe('2.00 MiB')
  })

  test('what is not known is a dash, not zero', () => {
    expect(formatBytes(null)).toBe(UNKNOWN)
    expect(formatBytes(undefined)).toBe(UNKNOWN)
    expect(formatBytes(Number.NaN)).toBe(UNKNOWN)
    expect(exactBytes(null)).toBe('not known')
  })

  test('never needs more than three digits, at any size', () => {
    for (let power = 3; power < 50; power += 0.01) {
      const digits = formatBytes(2 ** power)
        .replace(/[^0-9]/g, '')
        .replace(/^0+/, '')
      expect(digits.length).toBeLessThanOrEqual(3)
    }
  })

  test('the exact value keeps every byte', () => {
    expect(exactBytes(1_331_439_861)).toBe('1,331,439,861 bytes')
    expect(exactBytes(1)).toBe('1 byte')
  })
})

describe('other numbers', () => {
  test('counts are grouped', () => {
    expect(formatCount(1_234_567)).toBe('1,234,567')
    expect(formatCount(-1000)).toBe('-1,000')
    expect(formatCount(null)).toBe(UNKNOWN)
  })

  test('a ratio that is not quite all does not read as all of it', () => {
    expect(formatRatio(0.431)).toBe('43.1 %')
    expect(formatRatio(0.9991)).toBe('99.9 %')
    expect(formatRatio(1)).toBe('100 %')
    expect(formatRatio(0)).toBe('0 %')
    expect(formatRatio(0.0001)).toBe('< 0.1 %')
    expect(formatRatio(null)).toBe(UNKNOWN)
  })

  test('durations take the unit that fits', () => {
    expect(formatDuration(0)).toBe('0 ms')
    expect(formatDuration(0.42)).toBe('0.420 ms')
    expect(formatDuration(412)).toBe('412 ms')
    expect(formatDuration(999.7)).toBe('1.00 s')
    expect(formatDuration(18_300)).toBe('18.3 s')
    expect(formatDuration(125_000)).toBe('2 min 05 s')
    expect(formatDuration(11_520_000)).toBe('3 h 12 min')
    expect(formatDuration(-14_800)).toBe('-14.8 s')
  })

  test('a countdown ends at zero and not a second before', () => {
    expect(formatCountdown(18_000)).toBe('18 s')
    expect(formatCountdown(17_001)).toBe('18 s')
    expect(formatCountdown(1)).toBe('1 s')
    expect(formatCountdown(0)).toBe('0 s')
    expect(formatCountdown(-5000)).toBe('0 s')
    expect(formatCountdown(61_000)).toBe('1 min 01 s')
  })

  test('a moment of another day has its date', () => {
    const noon = new Date(2026, 2, 20, 12, 0, 0).getTime()
    expect(formatMoment(noon, noon + 3_600_000)).toBe('12:00:00')
    expect(formatMoment(noon, noon + 86_400_000)).toBe('2026-03-20 12:00:00')
  })

  test('one is singular', () => {
    expect(plural(1, 'segment')).toBe('1 segment')
    expect(plural(0, 'segment')).toBe('0 segments')
    expect(plural(2, 'entry', 'entries')).toBe('2 entries')
  })
})

describe('segment names', () => {
  test('lane and sequence come out of the id', () => {
    expect(segmentLabel(segmentId(12))).toBe('L0-12')
    expect(segmentLabel(segmentId(8_388_607, 255))).toBe('L255-8388607')
  })

  test('names by file in a sentence become short ones', () => {
    expect(shortNames('Rewrote value-l0-000020 and value-l12-000100.log.')).toBe(
      'Rewrote L0-20 and L12-100.',
    )
    expect(shortNames('evaluate-l0-1 stays')).toBe('evaluate-l0-1 stays')
  })

  test('a long list ends in a count', () => {
    const ids = [1, 2, 3, 4, 5, 6].map((seq) => segmentId(seq))
    expect(segmentList(ids)).toBe('L0-1, L0-2, L0-3, L0-4 and 2 more')
    expect(segmentList([])).toBe('none')
  })
})

test('exact bytes in a sentence of the server are read in three digits', () => {
  expect(shortBytes('3 segments of 6291456 bytes would be deleted for good')).toBe(
    '3 segments of 6.00 MiB would be deleted for good',
  )
  expect(shortBytes('at most 2048 live bytes of 1 segment of 4096 bytes')).toBe(
    'at most 2.00 KiB live of 1 segment of 4.00 KiB',
  )
  expect(shortBytes('no segment would be touched')).toBe('no segment would be touched')
})

describe('exportName', () => {
  const atMs = Date.UTC(2026, 10, 26, 21, 5, 3, 400)

  test('says the store, what it is, and the time of the engine', () => {
    expect(exportName('demo', 'debt', atMs)).toBe('restage-demo-debt-20261126T210503Z')
  })

  test('a name of any kind becomes part of a file name', () => {
    expect(exportName('../a b/ü:*?', 'passes', null)).toBe('restage-a-b-ü-passes')
    expect(exportName('...', 'queue', null)).toBe('restage-queue')
    expect(exportName(null, 'queue', atMs)).toBe('restage-queue-20261126T210503Z')
    expect(exportName('x'.repeat(200), 'debt', null).length).toBeLessThan(60)
  })
})
