/**
 * Reads the live records of a sealed segment for a rewrite: neighbours come in one large read into
 * memory that is used again, the next ones while these are worked on. Each is checked where it lies, and
 * a frame is decoded once for all its values. What it hands out is valid until the next `load`.
 */
import { readU32 } from '../bytes.ts'
import { checksum, type ChecksumKind } from '../checksum.ts'
import { CRC_BYTES, isGrouped, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import { decodeFrameValues, type DictionarySource } from './compression.ts'
import { CHUNK_BYTES, CopyMemory } from './copy-memory.ts'
import type { LiveRecords } from './live-records.ts'
import { checkRecord } from './read-record.ts'
import { RECORD_HEADER_BYTES, corrupt, isPlainHeader, parseFrame, type Frame } from './record.ts'

/** Stale bytes between two live records that are read along: cheaper than a second call up to here. */
const GAP_BYTES = 16 * 1024

/** A read of less is not worth the turn of the event loop that it costs beside the thread. */
const ASIDE_BYTES_MIN = 128 * 1024

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

/** Rows that come in one read. */
interface Chunk {
  /** First row, and the first one behind them. */
  row: number
  next: number
  start: number
  /** Where its bytes go to. */
  memory: Uint8Array
  at: number
  got: Promise<number>
}

export class SourceReader {
  /** From the file, stale bytes between live ones included. */
  bytesRead = 0
  readonly #records: LiveRecords
  readonly #kind: ChecksumKind
  readonly #dictionaries: DictionarySource
  readonly #memory: CopyMemory
  #turn = 0
  #ahead: Chunk | null = null
  /** What was loaded: so many bytes from `#start` of the file on lie at `#at` of `#bytes`. */
  #bytes: Uint8Array
  #at = 0
  #start = 0
  #end = 0
  #frame: DecodedFrame | null = null

  constructor(
    records: LiveRecords,
    options: { kind: ChecksumKind; dictionaries: DictionarySource; memory: CopyMemory },
  ) {
    this.#records = records
    this.#kind = options.kind
    this.#dictionaries = options.dictionaries
    this.#memory = options.memory
    this.#bytes = options.memory.bytes
  }

  /**
   * Reads the record of `row` and those behind it that are near, `most` bytes at most or one record;
   * returns the first row not read, and goes on reading there.
   */
  async load(row: number, most: number): Promise<number> {
    if (this.#ahead?.row !== row) await this.close()
    const chunk = this.#ahead ?? this.#begin(row, most)
    this.#ahead = null
    const got = await chunk.got
    this.bytesRead += got
    this.#bytes = chunk.memory
    this.#at = chunk.at
    this.#start = chunk.start
    this.#end = chunk.start + got
    if (chunk.next < this.#records.count && this.#records.segment.file.readAside !== undefined) {
      this.#ahead = this.#begin(chunk.next, most)
    }
    return chunk.next
  }

  /** Nothing is read any more, and the memory is free. */
  async close(): Promise<void> {
    // Nobody needs what could not be read.
    await this.#ahead?.got.catch(() => undefined)
    this.#ahead = null
  }

  #begin(row: number, most: number): Chunk {
    const records = this.#records
    const start = records.start(row)
    let end = start + records.recordBytes(row)
    let next = row + 1
    for (; next < records.count; next++) {
      const from = records.start(next)
      // Values of one frame have one start; the order may also be another than the file's.
      if (from < start || from > end + GAP_BYTES) break
      const to = from + records.recordBytes(next)
      if (to > start + Math.min(most, CHUNK_BYTES)) break
      if (to > end) end = to
    }
    this.#turn = 1 - this.#turn
    const length = end - start
    const isLarge = length > CHUNK_BYTES
    const memory = isLarge ? Buffer.allocUnsafeSlow(length) : this.#memory.bytes
    const at = isLarge ? 0 : (CopyMemory.readingPlaces[this.#turn] as number)
    const got = this.#read(memory, at, length, start)
    // Met where it is awaited.
    got.catch(() => undefined)
    return { row, next, start, memory, at, got }
  }

  async #read(memory: Uint8Array, at: number, length: number, start: number): Promise<number> {
    const { file } = this.#records.segment
    if (length >= ASIDE_BYTES_MIN && file.readAside !== undefined) {
      return await file.readAside(memory, at, length, start)
    }
    return file.read(memory, at, length, start)
  }

  /** Where a loaded row's record lies in the memory; -1 when it lies elsewhere or not whole. */
  placeOf(row: number): number {
    const start = this.#records.start(row)
    const isHere = this.#bytes === this.#memory.bytes
    if (!isHere || start + this.#records.recordBytes(row) > this.#end) return -1
    return this.#at + start - this.#start
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
    const bytes = this.#bytes
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
    // Bytes of its own: an uncompressed frame's values are a view, and outlive what was loaded.
    const payload = Uint8Array.from(this.#bytes.subarray(at + RECORD_HEADER_BYTES, end))
    const frame = parseFrame(payload, this.#where(start))
    const values = decodeFrameValues(payload, frame, this.#where(start), this.#dictionaries)
    return (this.#frame = { start, frame, values })
  }

  /** Where the record lies in what was loaded, checked. */
  #checked(row: number, pointer: ValuePointer): number {
    const { segment } = this.#records
    const at = this.#places(row)
    checkRecord(this.#bytes, at, pointer, { segment, kind: this.#kind })
    return at
  }

  /** Where the record lies in what was loaded; all of it was read. */
  #places(row: number): number {
    const start = this.#records.start(row)
    if (start + this.#records.recordBytes(row) > this.#end) {
      throw corrupt(this.#where(start), `record reaches past the file's end at ${this.#end}`)
    }
    return this.#at + start - this.#start
  }

  #where(start: number): string {
    return `${this.#records.segment.name} at ${start}`
  }
}
