/** Durations in words: what gates, plans and commands say of times. */
import { expect, test } from 'vitest'
import { durationText } from '../../../engine/maintenance/text.ts'

test.each([
  [0, '0 ms'],
  [999, '999 ms'],
  [29_960, '29.9 s'],
  [119_999, '119 s'],
  [120_000, '2 min'],
  [7_199_999, '119 min'],
  [7_200_000, '2 h'],
  [172_799_999, '47.9 h'],
  [172_800_000, '2 d'],
  // A stage of last winter.
  [362_501 * 60_000, '251 d'],
  [-90_000, '-90 s'],
])('%d ms are %s', (ms, text) => {
  expect(durationText(ms)).toBe(text)
})
