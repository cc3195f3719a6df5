/**
 * Reads the live records of a sealed segment for a rewrite: neighbours come in one large read into a
 * buffer that is used again, each is checked where it lies, and a frame is decoded once for all its
 * values. What it hands out is valid until the next `load`.
 */
import { readU32 } from '../bytes.ts'
import { checksum, type ChecksumKind } from '../checksum.ts'
import { CRC_BYTES, isGrouped, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import { decodeFrameValues, type DictionarySource } from './compression.ts'
import type { LiveRecords } from './live-records.ts'
import { checkRecord } from './read-record.ts'
import { RECORD_HEADER_BYTES, corrupt, isPlainHeader, parseFrame, type Frame } from './record.ts'

/** Large enough to hide the cost of a call, small enough for a slice. */
const CHUNK_BYTES = 2 ** 20
/** Stale bytes between two live records that are read along: cheaper than a second call up to here. */
const GAP_BYTES = 16 * 1024

/** A value where it lies: bytes [from, to) of `bytes`. */
export interface ValuePlace {
  bytes: Uint8Array
  from: number
  to: number
  /** Of a plain record what its checksum covers, and that; null for a value of a frame. */
  body: Uint8Array | null
  crc: number
}

export interface DecodedFrame {
  /** First byte of its record. */
  start: number
  frame: Frame
  values: Uint8Array
}

export class SourceReader {
  /** From the file, stale bytes between live ones included. */
  bytesRead = 0
  readonly #records: LiveRecords
  readonly #kind: ChecksumKind
  readonly #dictionaries: DictionarySource
  #chunk: Buffer
  #chunkStart = 0
  #chunkEnd = 0
  #frame: DecodedFrame | null = null

  constructor(
    records: LiveRecords,
    options: { kind: ChecksumKind; dictionaries: DictionarySource; chunk: Buffer },
  ) {
    this.#records = records
    this.#kind = options.kind
    this.#dictionaries = options.dictionaries
    this.#chunk = options.chunk
  }

  static chunk(): Buffer {
    return Buffer.allocUnsafeSlow(CHUNK_BYTES)
  }

  /** Reads the record of `row` and those behind it that are near; returns the first row not read. */
  load(row: number): number {
    const records = this.#records
    const start = records.start(row)
    let end = start + records.recordBytes(row)
    let next = row + 1
    for (; next < records.count; next++) {
      const from = records.start(next)
      // Values of one frame have one start; the order may also be another than the file's.
      if (from < start || from > end + GAP_BYTES) break
      const to = from + records.recordBytes(next)
      if (to > start + CHUNK_BYTES) break
      if (to > end) end = to
    }
    this.#read(start, end - start)
    return next
  }

  #read(start: number, length: number): void {
    if (length > this.#chunk.length) this.#chunk = Buffer.allocUnsafeSlow(length)
    const got = this.#records.segment.file.read(this.#chunk, 0, length, start)
    this.bytesRead += got
    this.#chunkStart = start
    this.#chunkEnd = start + got
  }

  /** The value of a loaded row; ENGINE_CORRUPT when its record is damaged. */
  value(row: number, pointer: ValuePointer): ValuePlace {
    const start = this.#records.start(row)
    if (!isGrouped(pointer)) return this.#plain(row, pointer)
    const { frame, values } = this.#decoded(row, pointer)
    const index = subIndexOf(pointer)
    const from = frame.offsets[index]
    const to = frame.offsets[index + 1]
    if (from === undefined || to === undefined) {
      throw corrupt(this.#where(start), `value ${index} of a frame of ${frame.count}`)
    }
    return { bytes: values, from, to, body: null, crc: 0 }
  }

  #plain(row: number, pointer: ValuePointer): ValuePlace {
    const bytes = this.#chunk
    const at = this.#places(row)
    const length = this.#records.recordBytes(row)
    const crc = readU32(bytes, at)
    // The only view of the record: it is checked and copied by the same one.
    const body = new Uint8Array(bytes.buffer, bytes.byteOffset + at + CRC_BYTES, length - CRC_BYTES)
    const isSound =
      isPlainHeader(bytes, at, length) && checksum(this.#kind, body, 0, body.length) === crc
    // Once more where something is wrong: this tells what.
    if (!isSound) this.#checked(row, pointer)
    return { bytes, from: at + RECORD_HEADER_BYTES, to: at + length, body, crc }
  }

  #decoded(row: number, pointer: ValuePointer): DecodedFrame {
    const start = this.#records.start(row)
    if (this.#frame?.start === start) return this.#frame
    const at = this.#checked(row, pointer)
    const end = at + this.#records.recordBytes(row)
    // Bytes of its own: an uncompressed frame's values are a view, and outlive the chunk.
    const payload = Uint8Array.from(this.#chunk.subarray(at + RECORD_HEADER_BYTES, end))
    const frame = parseFrame(payload, this.#where(start))
    const values = decodeFrameValues(payload, frame, this.#where(start), this.#dictionaries)
    return (this.#frame = { start, frame, values })
  }

  /** Where the record lies in the chunk, checked. */
  #checked(row: number, pointer: ValuePointer): number {
    const { segment } = this.#records
    const at = this.#places(row)
    checkRecord(this.#chunk, at, pointer, { segment, kind: this.#kind })
    return at
  }

  /** Where the record lies in the chunk; all of it was read. */
  #places(row: number): number {
    const start = this.#records.start(row)
    if (start + this.#records.recordBytes(row) > this.#chunkEnd) {
      throw corrupt(this.#where(start), `record reaches past the file's end at ${this.#chunkEnd}`)
    }
    return start - this.#chunkStart
  }

  #where(start: number): string {
    return `${this.#records.segment.name} at ${start}`
  }
}
