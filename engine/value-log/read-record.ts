/** One record by pointer, from an open segment: everything a pointer claims is held against the record. */
import { markAsUntransferable } from 'node:worker_threads'
import { checksum, checksumOfFew, type ChecksumKind } from '../checksum.ts'
import { readU32 } from '../bytes.ts'
import { CRC_BYTES, hintOf, isGrouped, recordStart, type ValuePointer } from '../value-pointer.ts'
import {
  BODY_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  corrupt,
  headerAt,
  isPlainHeader,
  verifyRecord,
  type RecordHeader,
} from './record.ts'
import type { Segment } from './segment.ts'

/** A whole record, checked. */
export function readRecord(segment: Segment, pointer: ValuePointer, kind: ChecksumKind): Buffer {
  const record = segment.read(recordStart(pointer), segment.recordBytes(pointer))
  checkRecord(record, 0, pointer, { segment, kind })
  return record
}

/** Header, length against the pointer's hint, grouping and CRC of the record at `at`. */
export function checkRecord(
  bytes: Uint8Array,
  at: number,
  pointer: ValuePointer,
  of: { segment: Segment; kind: ChecksumKind },
): RecordHeader {
  // Words for an error only: making them for each read is what half of a checksum costs.
  const where = (): string => `${of.segment.name} at ${recordStart(pointer)}`
  const header = headerAt(bytes, at, where)
  const hint = hintOf(pointer)
  const bodyBytes = BODY_HEADER_BYTES + header.payloadBytes
  if (hint !== 0 && hint !== bodyBytes) {
    throw corrupt(where, `pointer says ${hint} bytes, record ${bodyBytes}`)
  }
  if (header.grouped !== isGrouped(pointer)) {
    throw corrupt(where, `pointer and record disagree on grouping`)
  }
  verifyRecord(bytes, at, header, of.kind, where)
  return header
}

/** A few values lie beside each other in one piece of memory. */
const SHELF_BYTES = 16 * 1024
/** Whoever keeps a value keeps its shelf: larger ones get memory of their own. */
const SHELVED_BYTES_MAX = SHELF_BYTES / 8

/** Reads values of plain records with as little memory and as few calls as it takes. */
export class ValueReader {
  readonly #kind: ChecksumKind
  #shelf = new Uint8Array(0)
  #used = 0

  constructor(kind: ChecksumKind) {
    this.#kind = kind
  }

  /** The value a plain pointer names, checked like `readRecord` does. Its bytes are nobody else's. */
  read(segment: Segment, pointer: ValuePointer): Uint8Array {
    const bytes = CRC_BYTES + hintOf(pointer)
    // A pointer without a hint counts as large too.
    const isShelved = bytes >= RECORD_HEADER_BYTES && bytes <= SHELVED_BYTES_MAX
    const value = isShelved ? this.#readShelved(segment, recordStart(pointer), bytes) : undefined
    // Once more where something is wrong: this tells what.
    return value ?? readRecord(segment, pointer, this.#kind).subarray(RECORD_HEADER_BYTES)
  }

  /** undefined when the record there is not a plain one of that length, or damaged. */
  #readShelved(segment: Segment, start: number, bytes: number): Uint8Array | undefined {
    if (this.#used + bytes > this.#shelf.length) this.#takeShelf()
    const shelf = this.#shelf
    const at = this.#used
    segment.readInto(shelf, { at, position: start, length: bytes })
    if (!isPlainHeader(shelf, at, bytes)) return undefined
    const value = new Uint8Array(
      shelf.buffer,
      at + RECORD_HEADER_BYTES,
      bytes - RECORD_HEADER_BYTES,
    )
    // Of header and value one after the other: so the value is the only view that is made.
    const head = checksumOfFew(this.#kind, shelf, at + CRC_BYTES, at + RECORD_HEADER_BYTES)
    if (checksum(this.#kind, value, 0, value.length, head) !== readU32(shelf, at)) return undefined
    this.#used = at + bytes
    return value
  }

  #takeShelf(): void {
    this.#shelf = new Uint8Array(Buffer.allocUnsafeSlow(SHELF_BYTES).buffer)
    // One owner could otherwise move it to another thread under the feet of the others.
    markAsUntransferable(this.#shelf.buffer)
    this.#used = 0
  }
}
