/**
 * Plain records on their way to another segment, many at once: moved together in memory, checked by one
 * checksum over all of them, given their new ids where they lie. A record costs no object, no view and
 * no call into native code.
 */
import { readU32 } from '../bytes.ts'
import { checksum, checksumOfFew, type ChecksumKind } from '../checksum.ts'
import { joinedChecksum } from '../checksum-shift.ts'
import { CRC_BYTES } from '../value-pointer.ts'
import { changeRid, isPlainHeader, type RidWords } from './record.ts'

/** Most records of one run. */
const RECORDS_MAX = 1024

export class RecordRun {
  count = 0
  /** Of all records. */
  bytes = 0
  readonly #memory: Uint8Array
  readonly #begin: number
  readonly #capacity: number
  readonly #row = new Uint32Array(RECORDS_MAX)
  readonly #hash = new Int32Array(RECORDS_MAX)
  readonly #at = new Uint32Array(RECORDS_MAX + 1)

  /** Gathers in `capacity` bytes of `memory` from `begin` on. */
  constructor(memory: Uint8Array, begin: number, capacity: number) {
    this.#memory = memory
    this.#begin = begin
    this.#capacity = capacity
    this.#at[0] = begin
  }

  clear(): void {
    this.count = 0
    this.bytes = 0
  }

  takes(bytes: number): boolean {
    return this.count < RECORDS_MAX && this.bytes + bytes <= this.#capacity
  }

  /** Copies a record of so many bytes from another place of the memory. `hash` is its key's. */
  add(row: number, hash: number, from: number, bytes: number): void {
    const i = this.count++
    const at = this.#begin + this.bytes
    this.#memory.copyWithin(at, from, from + bytes)
    this.bytes += bytes
    this.#row[i] = row
    this.#hash[i] = hash
    this.#at[i + 1] = at + bytes
  }

  row(i: number): number {
    return this.#row[i] as number
  }

  hash(i: number): number {
    return this.#hash[i] as number
  }

  bytesOf(i: number): number {
    return (this.#at[i + 1] as number) - (this.#at[i] as number)
  }

  /** Records [from, to), one behind the other. */
  part(from: number, to: number): Uint8Array {
    return this.#memory.subarray(this.#at[from], this.#at[to])
  }

  /**
   * Every record is a whole plain one. The checksum of all bytes is held against what the records' own
   * make of it: a wrong one changes it, wherever it lies.
   */
  isSound(kind: ChecksumKind): boolean {
    const memory = this.#memory
    let expected = 0
    for (let i = 0; i < this.count; i++) {
      const at = this.#at[i] as number
      const bytes = this.bytesOf(i)
      if (!isPlainHeader(memory, at, bytes)) return false
      expected = checksumOfFew(kind, memory, at, at + CRC_BYTES, expected)
      expected = joinedChecksum(kind, expected, readU32(memory, at), bytes - CRC_BYTES)
    }
    return checksum(kind, this.part(0, this.count), 0, this.bytes) === expected
  }

  /** Gives a record another id. Not before `isSound`. */
  setRid(i: number, rid: RidWords, kind: ChecksumKind): void {
    const at = this.#at[i] as number
    const record = { bytes: this.bytesOf(i), crc: readU32(this.#memory, at), rid }
    changeRid(this.#memory, at, record, kind)
  }
}
