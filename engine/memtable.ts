/**
 * Writes since the last checkpoint, newest version first per key. Older versions stay chained only
 * while a reader that may look at them is open. A table is frozen when a checkpoint takes it over;
 * readers that were opened before keep it alive.
 */
import { keyString } from './bytes.ts'
import type { Located } from './index/leaf.ts'

export interface Version {
  readonly seq: number
  readonly value: Located
  /** The version before, kept for readers opened before `seq`. */
  older: Version | null
}

/** Map slot, version object and key string, measured at about this on top of the bytes. */
const ENTRY_OVERHEAD_BYTES = 160

export class Memtable {
  /** Generation: roots that contain it contain all its writes. */
  readonly generation: number
  readonly #versions = new Map<string, Version>()
  /** Key order, rebuilt when a reader needs it and keys were added. */
  #sorted: string[] | null = null
  /** Estimated memory, values inline and keys included. */
  bytes = 0

  constructor(generation: number) {
    this.generation = generation
  }

  get size(): number {
    return this.#versions.size
  }

  /** The newest version with seq <= `seq`; undefined when this table has none. */
  get(key: string, seq: number): Located | undefined {
    let version: Version | null | undefined = this.#versions.get(key)
    while (version !== undefined && version !== null) {
      if (version.seq <= seq) return version.value
      version = version.older
    }
    return undefined
  }

  /** Versions at or below the newest reader stay; the ones between it and this one nobody can see. */
  set(key: string, value: Located, at: { seq: number; newestReaderSeq: number }): void {
    const newest = this.#versions.get(key)
    let older = newest ?? null
    while (older !== null && older.seq > at.newestReaderSeq) older = older.older
    this.#versions.set(key, { seq: at.seq, value, older })
    if (newest === undefined) {
      this.#sorted = null
      this.bytes += ENTRY_OVERHEAD_BYTES + key.length
    }
    this.bytes += value.kind === 'inline' ? value.value.length : 0
  }

  /** Keys in byte order. */
  sortedKeys(): readonly string[] {
    // latin1 strings order as their bytes do.
    this.#sorted ??= [...this.#versions.keys()].sort((a, b) => (a < b ? -1 : 1))
    return this.#sorted
  }
}

/** First index in `keys` whose key is >= `bound` (> when `after`). */
export function lowerBound(keys: readonly string[], bound: Uint8Array, after: boolean): number {
  const wanted = keyString(bound)
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const key = keys[middle] as string
    if (key < wanted || (after && key === wanted)) low = middle + 1
    else high = middle
  }
  return low
}
