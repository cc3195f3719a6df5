/** The short version of `npm run soak`: each profile killed a few times, with what it promises checked. */
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { CrashLoop, PROFILES } from '../crash/loop.ts'
import { SEED, randomFrom, runs } from '../support/random.ts'

/** Built by the global setup. */
const CHILD = path.resolve(import.meta.dirname, '../../dist/test/crash/child.js')

describe(`killed with -9 at random times and at named points (seed ${SEED})`, () => {
  test.each(PROFILES)(
    '%s keeps its promise',
    async (profile) => {
      const random = randomFrom(SEED + PROFILES.indexOf(profile))
      const loop = new CrashLoop({
        profile,
        seed: SEED,
        child: CHILD,
        random: () => random.next(),
        lines: 200,
      })
      try {
        for (let i = 0; i < runs(5); i++) await loop.cycle()
        expect(loop.tally.failures).toEqual([])
        expect(loop.tally.cycles).toBe(runs(5))
      } finally {
        loop.close()
      }
    },
    600_000,
  )
})
