/** Seeded randomness: RESTAGE_SEED repeats a run, RESTAGE_RUNS changes how many there are. */

export interface Random {
  readonly seed: number
  /** 0 <= n < 1. */
  next(): number
  /** Integer in [from, to]. */
  between(from: number, to: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
}

/** mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    seed,
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    chance: (probability) => next() < probability,
    pick: (items) => items[Math.floor(next() * items.length)] as (typeof items)[number],
  }
}

/** Given by RESTAGE_SEED, else new each time; the test's name or message must show it. */
export const SEED = Number(process.env['RESTAGE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Runs of a randomised test: its own number, or RESTAGE_RUNS. */
export function runs(usual: number): number {
  return Number(process.env['RESTAGE_RUNS'] ?? usual)
}
