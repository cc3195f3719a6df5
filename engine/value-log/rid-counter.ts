/**
 * Record ids: u64, never 0, never handed out twice; ids that nobody used leave gaps. In two words, so
 * that no hot path touches a bigint (backend.md 7).
 */
import { EngineError } from '../errors.ts'
import type { RidWords } from './record.ts'

const WORD = 2 ** 32
const RID_MAX = 2n ** 64n - 1n

/** Reserves `count` ids in a row that nobody else gets; returns the first. */
export type ReserveRids = (count: number) => bigint

export class RidCounter {
  #high: number
  #low: number

  /** `next` is above every id ever used. */
  constructor(next: bigint) {
    this.#high = Number(next >> 32n)
    this.#low = Number(next & 0xffffffffn)
  }

  /** The next id to be handed out. */
  get next(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low)
  }

  take(): RidWords {
    if (this.#high >= WORD) throw usedUp()
    const rid = { high: this.#high, low: this.#low }
    if (++this.#low === WORD) {
      this.#low = 0
      this.#high++
    }
    return rid
  }

  /**
   * `count` ids in a row, from `external` when given: the counter goes on above them. ENGINE_LIMIT for
   * no ids, for a range that begins below what was handed out, and for one that leaves no next id.
   */
  reserve(count: number, external?: ReserveRids): bigint {
    if (!Number.isSafeInteger(count) || count <= 0) {
      throw new EngineError('ENGINE_LIMIT', `${count} record ids cannot be reserved`)
    }
    const start = external === undefined ? this.next : external(count)
    if (start < this.next || start === 0n) {
      const message = `record ids from ${start} on were handed out before, the next is ${this.next}`
      throw new EngineError('ENGINE_LIMIT', message)
    }
    const end = start + BigInt(count)
    if (end > RID_MAX) throw usedUp()
    this.#high = Number(end >> 32n)
    this.#low = Number(end & 0xffffffffn)
    return start
  }
}

/** Hands out ids of an external reservation, which it asks for some at a time. */
export function ridSource(
  counter: RidCounter,
  external: ReserveRids,
  atOnce: number,
): () => RidWords {
  let next = 0n
  let end = 0n
  return () => {
    if (next === end) {
      next = counter.reserve(atOnce, external)
      end = next + BigInt(atOnce)
    }
    const rid = next++
    return { high: Number(rid >> 32n), low: Number(rid & 0xffffffffn) }
  }
}

function usedUp(): EngineError {
  return new EngineError('ENGINE_LIMIT', 'record ids are used up')
}
