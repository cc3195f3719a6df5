/** A bench that does not know a flag says so instead of measuring something else. */
import { describe, expect, test } from 'vitest'
import { parseFlags } from './bench/flags.ts'

const DEFAULTS = { runs: 5, only: 'all', quick: false }

describe('flags of a bench', () => {
  test('have their defaults, and take what is given', () => {
    expect(parseFlags(DEFAULTS, [])).toEqual(DEFAULTS)
    expect(parseFlags(DEFAULTS, ['--runs', '3', '--only=plan', '--quick'])).toEqual({
      runs: 3,
      only: 'plan',
      quick: true,
    })
  })

  test.each([
    [['--rounds', '3'], "Unknown option '--rounds'"],
    [['3'], "Unexpected argument '3'"],
    [['--runs', 'many'], "--runs must be a count, got 'many'"],
    [['--runs', '0'], "--runs must be a count, got '0'"],
    [['--runs'], '--runs'],
    [['--quick=yes'], '--quick'],
  ])('%j is refused with the flags there are', (args, why) => {
    expect(() => parseFlags(DEFAULTS, args)).toThrow(why)
    expect(() => parseFlags(DEFAULTS, args)).toThrow(
      /known are --runs number, --only string, --quick$/,
    )
  })
})
