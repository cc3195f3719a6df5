/**
 * Those records of one segment that live, in columns: where each lies, what its pointer says and which
 * key holds it. A row costs 16 bytes, so that a segment of a million small values is no burden.
 */
import { keyString } from '../bytes.ts'
import type { LocalityPolicy } from '../types.ts'
import {
  CRC_BYTES,
  hintOfLength,
  isGroupedLength,
  type Mutable,
  type ValuePointer,
} from '../value-pointer.ts'
import type { SegmentKeys } from './segment-keys.ts'
import type { Segment } from './segment.ts'

const FIRST_ROWS = 1024

export class LiveRecords {
  readonly segment: Segment
  count = 0
  readonly #keys: SegmentKeys
  #offset = new Float64Array(FIRST_ROWS)
  #length = new Uint32Array(FIRST_ROWS)
  #keyAt = new Uint32Array(FIRST_ROWS)
  #isByOffset = true
  #offsetMax = 0

  /** `keys` holds the keys; a row names its place there. */
  constructor(segment: Segment, keys: SegmentKeys) {
    this.segment = segment
    this.#keys = keys
  }

  /** `keyAt` is a place in the list of keys. Not after `sort`. */
  add(offset: number, length: number, keyAt: number): void {
    const row = this.count
    if (row === this.#offset.length) this.#grow()
    if (row > 0 && offset < (this.#offset[row - 1] as number)) this.#isByOffset = false
    if (offset > this.#offsetMax) this.#offsetMax = offset
    this.#offset[row] = offset
    this.#length[row] = length
    this.#keyAt[row] = keyAt
    this.count++
  }

  /** Valid until the next key is asked for. */
  key(row: number): Uint8Array {
    return this.#keys.key(this.#keyAt[row] as number)
  }

  /** Copies the key to a place in `target`; returns its bytes. */
  copyKey(row: number, target: Uint8Array, to: number): number {
    return this.#keys.copyKey(this.#keyAt[row] as number, target, to)
  }

  keyBytes(row: number): number {
    return this.#keys.keyBytes(this.#keyAt[row] as number)
  }

  pointer(row: number): ValuePointer {
    return {
      segmentId: this.segment.id,
      offset: this.#offset[row] as number,
      length: this.#length[row] as number,
    }
  }

  /** Overwrites `pointer`, so that many need one object. */
  readPointer(row: number, pointer: Mutable<ValuePointer>): void {
    pointer.segmentId = this.segment.id
    pointer.offset = this.#offset[row] as number
    pointer.length = this.#length[row] as number
  }

  /** Notes the row's key in another list, as one of a record at `offset`. */
  noteKey(row: number, keys: SegmentKeys, offset: number): void {
    keys.addFrom(offset, this.#keys, this.#keyAt[row] as number)
  }

  /** First byte of the record. */
  start(row: number): number {
    return (this.#offset[row] as number) - CRC_BYTES
  }

  /** A record of one value, not a frame. */
  isPlain(row: number): boolean {
    return !isGroupedLength(this.#length[row] as number)
  }

  /** Whole bytes of the record. */
  recordBytes(row: number): number {
    const hint = hintOfLength(this.#length[row] as number)
    return hint !== 0 ? CRC_BYTES + hint : this.segment.recordBytes(this.pointer(row))
  }

  /** Bytes of the different records: a frame counts once, however many of its values live. By offset. */
  bytes(): number {
    let bytes = 0
    let before = -1
    for (let row = 0; row < this.count; row++) {
      const start = this.start(row)
      if (start !== before) bytes += this.recordBytes(row)
      before = start
    }
    return bytes
  }

  /** `grouped`: by place in the segment, values of a frame by their number in it. `default`: by key. */
  sort(locality: LocalityPolicy): void {
    if (locality === 'default') {
      const keyAt = this.#keyAt
      const compare = (a: number, b: number): number =>
        this.#keys.compare(keyAt[a] as number, keyAt[b] as number)
      this.#permute(this.#rows().sort(compare))
    } else if (!this.#isByOffset) {
      this.#permute(this.#byOffset())
      this.#isByOffset = true
    }
  }

  /**
   * Leaves out rows that say what one before them says: a list may name a record twice, where a crash
   * came between a checkpoint and the end of its journal. Two keys that share a record stay. By offset.
   */
  dropRepeats(): void {
    let kept: number[] | undefined
    for (let from = 0, to = 0; from < this.count; from = to) {
      while (to < this.count && this.#offset[to] === this.#offset[from]) to++
      if (to - from > 1 && this.#hasTwins(from, to)) {
        kept ??= Array.from({ length: from }, (_, row) => row)
        this.#keepDistinct(from, to, kept)
      } else if (kept !== undefined) {
        for (let row = from; row < to; row++) kept.push(row)
      }
    }
    if (kept === undefined) return
    this.#permute(Uint32Array.from(kept))
    this.count = kept.length
  }

  /** Two of these rows have one pointer. Mostly a frame's values are listed as they lie in it. */
  #hasTwins(from: number, to: number): boolean {
    let row = from + 1
    while (row < to && (this.#length[row] as number) > (this.#length[row - 1] as number)) row++
    if (row === to) return false
    const lengths = new Set(this.#length.subarray(from, to))
    return lengths.size < to - from
  }

  #keepDistinct(from: number, to: number, kept: number[]): void {
    const said = new Set<string>()
    for (let row = from; row < to; row++) {
      const words = `${this.#length[row]} ${keyString(this.key(row))}`
      if (!said.has(words)) kept.push(row)
      said.add(words)
    }
  }

  #rows(): Uint32Array {
    const rows = new Uint32Array(this.count)
    for (let row = 0; row < rows.length; row++) rows[row] = row
    return rows
  }

  /** Rows of one frame keep the order of their keys. */
  #byOffset(): Uint32Array {
    const rows = this.#rows()
    // A power of two above every row.
    const span = 2 ** (32 - Math.clz32(this.count))
    // An offset and a row make one float, which is sorted without a call for each pair, as long as it is
    // exact: a rounded one would name a neighbour's row, and one row would be copied twice, another never.
    if ((this.#offsetMax + 1) * span > Number.MAX_SAFE_INTEGER) {
      const difference = (a: number, b: number): number => this.start(a) - this.start(b)
      return rows.sort((a, b) => difference(a, b) || a - b)
    }
    const ranks = new Float64Array(this.count)
    for (const row of rows) ranks[row] = (this.#offset[row] as number) * span + row
    ranks.sort()
    for (let i = 0; i < rows.length; i++) rows[i] = (ranks[i] as number) % span
    return rows
  }

  #permute(order: Uint32Array): void {
    const [offset, length, keyAt] = [this.#offset, this.#length, this.#keyAt]
    this.#offset = Float64Array.from(order, (row) => offset[row] as number)
    this.#length = Uint32Array.from(order, (row) => length[row] as number)
    this.#keyAt = Uint32Array.from(order, (row) => keyAt[row] as number)
  }

  #grow(): void {
    const rows = 2 * this.#offset.length
    const [offset, length, keyAt] = [this.#offset, this.#length, this.#keyAt]
    this.#offset = new Float64Array(rows)
    this.#length = new Uint32Array(rows)
    this.#keyAt = new Uint32Array(rows)
    this.#offset.set(offset)
    this.#length.set(length)
    this.#keyAt.set(keyAt)
  }
}
