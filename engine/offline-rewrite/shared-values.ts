/**
 * Values that more than one key points at, as foreign folders have them: a rewrite copies each once. Eight
 * bytes a pointer while they are gathered; afterwards only what is shared is kept, mostly nothing.
 */
import { recordStart, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import type { SegmentId } from '../types.ts'

const FIRST_CAPACITY = 1024
/** Sub-indexes are below it, record starts below 2^46 in any file there is: the sum is exact. */
const SUB_INDEXES = 128

class Places {
  #places = new Float64Array(FIRST_CAPACITY)
  #count = 0

  add(place: number): void {
    if (this.#count === this.#places.length) {
      const larger = new Float64Array(this.#count * 2)
      larger.set(this.#places)
      this.#places = larger
    }
    this.#places[this.#count++] = place
  }

  /** Those that were added more than once. */
  repeated(): number[] {
    const sorted = this.#places.subarray(0, this.#count).sort()
    return [...new Set(sorted.filter((place, i) => i > 0 && place === sorted[i - 1]))]
  }
}

function placeOf(pointer: ValuePointer): number {
  return recordStart(pointer) * SUB_INDEXES + subIndexOf(pointer)
}

export class SharedValues {
  #gathered = new Map<SegmentId, Places>()
  /** Copies of shared values; null until the first of their keys comes. */
  readonly #copies = new Map<SegmentId, Map<number, ValuePointer | null>>()

  gather(pointer: ValuePointer): void {
    let places = this.#gathered.get(pointer.segmentId)
    if (places === undefined) this.#gathered.set(pointer.segmentId, (places = new Places()))
    places.add(placeOf(pointer))
  }

  /** Nothing is gathered any more. */
  settle(): void {
    for (const [segmentId, places] of this.#gathered) {
      const repeated = places.repeated()
      if (repeated.length === 0) continue
      this.#copies.set(segmentId, new Map(repeated.map((place) => [place, null])))
    }
    this.#gathered = new Map()
  }

  /** undefined: the only pointer to its value. null: the first of several. */
  copyOf(pointer: ValuePointer): ValuePointer | null | undefined {
    return this.#copies.size === 0
      ? undefined
      : this.#copies.get(pointer.segmentId)?.get(placeOf(pointer))
  }

  remember(pointer: ValuePointer, copy: ValuePointer): void {
    this.#copies.get(pointer.segmentId)?.set(placeOf(pointer), copy)
  }
}
