/**
 * What write number n of a seed is, so that the process that writes and the one that checks need to
 * exchange nothing but numbers; and the store that both open.
 */
import type { BatchOperation, EngineOptions, Profile } from '../../engine/index.ts'
import { EAGER } from '../support/eager-maintenance.ts'

const KEYS = 90

function mixed(...numbers: readonly number[]): number {
  let hash = 0x2545f491
  for (const number of numbers) {
    hash = Math.imul(hash ^ number, 0x9e3779b1)
    hash ^= hash >>> 15
  }
  return hash >>> 0
}

/** One to four puts and deletes; a quarter of the values are short enough to be inline. */
export function writeOf(seed: number, n: number): BatchOperation[] {
  const count = 1 + (mixed(seed, n) % 4)
  return Array.from({ length: count }, (_, i) => {
    const dice = mixed(seed, n, i)
    const key = Buffer.from(`key ${(dice >>> 4) % KEYS}`)
    if (dice % 9 === 0) return { op: 'delete', key }
    const bytes = dice % 4 === 0 ? dice % 64 : mixed(dice) % 1800
    return { op: 'put', key, value: Buffer.alloc(bytes, `${n}.${i};`) }
  })
}

/** Small segments and tables, and reasons to rewrite that small stores meet too. */
export function optionsFor(profile: Profile): EngineOptions {
  return {
    profile,
    mode: 'step',
    checkpointIntervalMs: 0,
    inlineThreshold: 64,
    segmentBytes: 16_384,
    sliceMs: 0.1,
    maintenance: { ...EAGER, confirmDelayMs: 1_000 },
  }
}

/** One turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
