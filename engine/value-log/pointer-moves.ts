/**
 * Copies that a rewrite made of the live records of one segment, in columns: which record, where its
 * copy lies, and the copy's record id. Hundreds of thousands of them leave no object behind.
 */
import type { Mutable, ValuePointer } from '../value-pointer.ts'
import type { LiveRecords } from './live-records.ts'
import type { RidWords } from './record.ts'

const FIRST_ROWS = 1024

export class PointerMoves {
  records: LiveRecords
  count = 0
  #row = new Uint32Array(FIRST_ROWS)
  #hash = new Int32Array(FIRST_ROWS)
  #segmentId = new Uint32Array(FIRST_ROWS)
  #offset = new Float64Array(FIRST_ROWS)
  #length = new Uint32Array(FIRST_ROWS)
  #ridHigh = new Uint32Array(FIRST_ROWS)
  #ridLow = new Uint32Array(FIRST_ROWS)

  constructor(records: LiveRecords) {
    this.records = records
  }

  /** No moves, of these records, in the same memory. */
  begin(records: LiveRecords): void {
    this.records = records
    this.count = 0
  }

  /** `row` is the record's, `hash` its key's. */
  add(row: number, hash: number, to: ValuePointer, rid: RidWords): void {
    const at = this.count
    if (at === this.#row.length) this.#grow()
    this.#row[at] = row
    this.#hash[at] = hash
    this.#segmentId[at] = to.segmentId
    this.#offset[at] = to.offset
    this.#length[at] = to.length
    this.#ridHigh[at] = rid.high
    this.#ridLow[at] = rid.low
    this.count++
  }

  /** Valid until the next key is asked for. */
  key(index: number): Uint8Array {
    return this.records.key(this.#row[index] as number)
  }

  /** Copies the key to a place in `target`; returns its bytes. */
  copyKey(index: number, target: Uint8Array, to: number): number {
    return this.records.copyKey(this.#row[index] as number, target, to)
  }

  keyBytes(index: number): number {
    return this.records.keyBytes(this.#row[index] as number)
  }

  hash(index: number): number {
    return this.#hash[index] as number
  }

  from(index: number): ValuePointer {
    return this.records.pointer(this.#row[index] as number)
  }

  /** The same into `pointer`, so that many need one object. */
  readFrom(index: number, pointer: Mutable<ValuePointer>): void {
    this.records.readPointer(this.#row[index] as number, pointer)
  }

  /** Where the copy lies, into `pointer`. */
  readTo(index: number, pointer: Mutable<ValuePointer>): void {
    pointer.segmentId = this.#segmentId[index] as number
    pointer.offset = this.#offset[index] as number
    pointer.length = this.#length[index] as number
  }

  ridLow(index: number): number {
    return this.#ridLow[index] as number
  }

  ridHigh(index: number): number {
    return this.#ridHigh[index] as number
  }

  #grow(): void {
    const rows = 2 * this.#row.length
    const into = <T extends { set(from: T): void }>(larger: T, from: T): T => {
      larger.set(from)
      return larger
    }
    this.#row = into(new Uint32Array(rows), this.#row)
    this.#hash = into(new Int32Array(rows), this.#hash)
    this.#segmentId = into(new Uint32Array(rows), this.#segmentId)
    this.#offset = into(new Float64Array(rows), this.#offset)
    this.#length = into(new Uint32Array(rows), this.#length)
    this.#ridHigh = into(new Uint32Array(rows), this.#ridHigh)
    this.#ridLow = into(new Uint32Array(rows), this.#ridLow)
  }
}
