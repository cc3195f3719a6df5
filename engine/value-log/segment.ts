/**
 * One value-log file: its handle, its append buffer while it is written, and its live bytes.
 * Appends go to memory and reach the file by `flush`, the disk by `sync`; reads see both. Live bytes
 * are kept by `acquire` and `release`, one call per pointer that appears or disappears.
 */
import { assert, AssertionError } from '../assert.ts'
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import { laneOf, seqOf } from '../ids.ts'
import type { SegmentId, SegmentKeeper, SegmentOrigin, SegmentState } from '../types.ts'
import { CRC_BYTES, hintOf, isGrouped, recordStart, type ValuePointer } from '../value-pointer.ts'
import {
  MAX_SEGMENT_BYTES,
  MAX_VALUE_BYTES,
  RECORD_HEADER_BYTES,
  changeRid,
  decodeRecordHeader,
  sealRecord,
  type RidWords,
} from './record.ts'
import { viewOf } from '../bytes.ts'
import { SegmentKeys } from './segment-keys.ts'

/** Appends gather up to this before they are written: one call a batch instead of one a value. */
const APPEND_BUFFER_BYTES = 256 * 1024

/** Parts of less are gathered with other appends. */
const ASIDE_BYTES_MIN = 128 * 1024

export interface SegmentTimes {
  createdAtMs: number | null
  sealedAtMs: number | null
  ageSource: 'metadata' | 'mtime'
}

export class Segment {
  readonly id: SegmentId
  readonly file: OpenFile
  /** Path inside the opened folder. */
  readonly name: string
  readonly origin: SegmentOrigin
  readonly times: SegmentTimes
  state: SegmentState
  bytesLive = 0
  /** Engine sequence number when the file was created; readers older than it cannot see into it. */
  readonly firstSeq: number
  /** Sequence number at which the last live byte went; null while there are live bytes. */
  deadSinceSeq: number | null
  /** Memtable generation of that moment: roots that contain it do not name the segment. */
  deadSinceGeneration = 0
  keptBy: SegmentKeeper[] = []
  /** Keys written to it while it is active; in a file beside it afterwards. null too when they became too many. */
  keys: SegmentKeys | null
  readonly #keyListMax: number
  /** A rewrite reads or writes it right now. */
  busy = false
  #fileBytes: number
  #syncedBytes: number
  readonly #leftByCrash: boolean
  #buffer: Buffer | null = null
  #buffered = 0
  /** A part that is being written beside the thread; `#fileBytes` counts it. */
  #writing: Promise<void> | null = null
  /** Sum over the records that live, of a number of each: 0 when, and as good as only when, none does. */
  #liveSum = 0
  /** References of records that can have more than one: frames, and shared plain records of foreign folders. */
  readonly #references = new Map<number, { count: number; bytes: number }>()

  constructor(input: {
    id: SegmentId
    file: OpenFile
    name: string
    origin: SegmentOrigin
    times: SegmentTimes
    state: SegmentState
    firstSeq: number
    /** Found in a folder that does not say that it was sealed whole. */
    leftByCrash?: boolean
    /** Most bytes of its list of keys; absent: no list is kept. */
    keyListMax?: number
  }) {
    this.id = input.id
    this.file = input.file
    this.name = input.name
    this.origin = input.origin
    this.times = input.times
    this.state = input.state
    this.firstSeq = input.firstSeq
    this.deadSinceSeq = input.firstSeq
    this.#keyListMax = input.keyListMax ?? 0
    this.keys = this.#keyListMax > 0 ? new SegmentKeys() : null
    this.#fileBytes = input.file.size()
    this.#syncedBytes = this.#fileBytes
    this.#leftByCrash = input.leftByCrash ?? false
  }

  get lane(): number {
    return laneOf(this.id)
  }

  get seq(): number {
    return seqOf(this.id)
  }

  /** Buffered appends included. */
  get bytesTotal(): number {
    return this.#fileBytes + this.#buffered
  }

  get bytesStale(): number {
    return this.bytesTotal - this.bytesLive
  }

  // ------------------------------------------------------------ appending

  /** Takes a key of so many bytes more; null once there is none. A list let go is not whole: it stays away. */
  keysFor(keyBytes: number): SegmentKeys | null {
    if (this.keys !== null && this.keys.bytesWith(keyBytes) > this.#keyListMax) this.keys = null
    return this.keys
  }

  /** Room for `bytes` more at the end: a view to fill in, kept until the next append or flush. */
  reserve(bytes: number): { target: Buffer; at: number; offset: number } {
    this.#checkAppend(bytes)
    // A killed process leaves what was written first, without a hole.
    if (this.#writing !== null) throw new AssertionError(`${this.name} is written elsewhere`)
    if (this.#buffer === null || this.#buffered + bytes > this.#buffer.length) {
      this.flush()
      const size = Math.max(APPEND_BUFFER_BYTES, bytes)
      if (this.#buffer === null || this.#buffer.length < size) {
        this.#buffer = Buffer.allocUnsafeSlow(size)
      }
    }
    return { target: this.#buffer, at: this.#buffered, offset: this.bytesTotal }
  }

  #checkAppend(bytes: number): void {
    if (this.state !== 'active') throw this.#notActive('append to')
    if (this.bytesTotal + bytes <= MAX_SEGMENT_BYTES) return
    throw new EngineError(
      'ENGINE_LIMIT',
      `${this.name} has ${this.bytesTotal} bytes, ${bytes} more do not fit a segment`,
    )
  }

  /** Makes the record around a reserved payload part of the segment; returns its start. */
  commit(payloadBytes: number, rid: RidWords | null, kind: ChecksumKind): number {
    const buffer = this.#buffer
    assert(buffer !== null, 'commit follows reserve')
    const start = this.bytesTotal
    this.#buffered += sealRecord(buffer, this.#buffered, payloadBytes, rid, kind)
    return start
  }

  appendPlain(value: Uint8Array, rid: RidWords, kind: ChecksumKind): ValuePointer {
    if (value.length > MAX_VALUE_BYTES) {
      const message = `a value has ${value.length} bytes, at most ${MAX_VALUE_BYTES} are allowed`
      throw new EngineError('ENGINE_VALUE_SIZE', message)
    }
    const room = this.reserve(RECORD_HEADER_BYTES + value.length)
    room.target.set(value, room.at + RECORD_HEADER_BYTES)
    const start = this.commit(value.length, rid, kind)
    return {
      segmentId: this.id,
      offset: start + CRC_BYTES,
      length: RECORD_HEADER_BYTES - CRC_BYTES + value.length,
    }
  }

  /** What the checksum `crc` covers of a plain record, checked, under an id of its own. */
  appendCopy(body: Uint8Array, crc: number, rid: RidWords, kind: ChecksumKind): ValuePointer {
    const { target, at, offset } = this.reserve(CRC_BYTES + body.length)
    target.set(body, at + CRC_BYTES)
    changeRid(target, at, { bytes: CRC_BYTES + body.length, crc, rid }, kind)
    this.#buffered += CRC_BYTES + body.length
    return { segmentId: this.id, offset: offset + CRC_BYTES, length: body.length }
  }

  /**
   * Whole records, one behind the other, whose ids are theirs alone. Large parts are written beside the
   * thread, one at a time: when this resolves, the part before was written, and `bytes` are not to be
   * touched before the next one resolves or `settle`.
   */
  async appendRecords(bytes: Uint8Array): Promise<void> {
    const isSmall = bytes.length < ASIDE_BYTES_MIN
    if (isSmall || this.file.writeAside === undefined) {
      await this.settle()
      const { target, at } = this.reserve(bytes.length)
      target.set(bytes, at)
      this.#buffered += bytes.length
      return
    }
    this.#checkAppend(bytes.length)
    await this.settle()
    this.flush()
    const at = this.#fileBytes
    this.#fileBytes += bytes.length
    this.#writing = this.file.writeAside(bytes, 0, bytes.length, at)
    // Met where it is awaited.
    this.#writing.catch(() => undefined)
  }

  /** Nothing is being written beside the thread. */
  async settle(): Promise<void> {
    const writing = this.#writing
    await writing
    if (this.#writing === writing) this.#writing = null
  }

  /** Hands buffered appends to the file system. */
  flush(): void {
    if (this.#buffer === null || this.#buffered === 0) return
    this.file.write(this.#buffer, 0, this.#buffered, this.#fileBytes)
    this.#fileBytes += this.#buffered
    this.#buffered = 0
  }

  /** Everything appended before the call is on disk when it resolves. */
  async sync(): Promise<void> {
    const bytes = this.bytesTotal
    await this.settle()
    this.flush()
    await this.file.sync()
    this.#syncedBytes = Math.max(this.#syncedBytes, bytes)
  }

  /** All of it is on disk, nothing will be added, and no crash can have cut or damaged its end. */
  get isWhole(): boolean {
    return this.state !== 'active' && !this.#leftByCrash && this.#syncedBytes === this.#fileBytes
  }

  #notActive(what: string): AssertionError {
    return new AssertionError(`${what} ${this.state} segment ${this.name}`)
  }

  seal(nowMs: number): void {
    if (this.state !== 'active') throw this.#notActive('seal of')
    this.flush()
    this.#buffer = null
    this.state = 'sealed'
    this.times.sealedAtMs = nowMs
  }

  // ------------------------------------------------------------ reading

  /** Bytes [position, position + length), from memory or the file; ENGINE_CORRUPT past the end. */
  read(position: number, length: number): Buffer {
    // Asked before memory is taken: a pointer may claim anything.
    this.#checkRange(position, length)
    const target = Buffer.allocUnsafe(length)
    this.readInto(target, { at: 0, position, length })
    return target
  }

  /** The same to a place in `target`. */
  readInto(target: Uint8Array, what: { at: number; position: number; length: number }): void {
    const { at, position, length } = what
    this.#checkRange(position, length)
    if (this.#buffer !== null && position >= this.#fileBytes) {
      const from = position - this.#fileBytes
      this.#buffer.copy(target, at, from, from + length)
      return
    }
    if (position + length > this.#fileBytes) this.flush()
    const got = this.file.read(target, at, length, position)
    if (got === length) return
    throw new EngineError(
      'ENGINE_CORRUPT',
      `${this.name}: ${got} of ${length} bytes at ${position}`,
    )
  }

  #checkRange(position: number, length: number): void {
    if (position >= 0 && position + length <= this.bytesTotal) return
    throw new EngineError(
      'ENGINE_CORRUPT',
      `${this.name}: ${length} bytes at ${position} reach past its end at ${this.bytesTotal}`,
    )
  }

  /** Whole bytes of the record a pointer names: its length tells, or the header when it does not. */
  recordBytes(pointer: ValuePointer): number {
    const hint = hintOf(pointer)
    return hint !== 0 ? CRC_BYTES + hint : this.#recordBytesOnDisk(pointer)
  }

  #recordBytesOnDisk(pointer: ValuePointer): number {
    const header = this.read(recordStart(pointer), RECORD_HEADER_BYTES)
    const where = `${this.name} at ${recordStart(pointer)}`
    return RECORD_HEADER_BYTES + decodeRecordHeader(viewOf(header), 0, where).payloadBytes
  }

  // ------------------------------------------------------------ live bytes

  #shared(start: number): { count: number; bytes: number } | undefined {
    // Foreground segments have none: their records belong to one pointer each.
    return this.#references.size === 0 ? undefined : this.#references.get(start)
  }

  /** A pointer to a record of this segment became visible. */
  acquire(pointer: ValuePointer): void {
    const start = recordStart(pointer)
    const shared = this.#shared(start)
    if (shared !== undefined) shared.count++
    else {
      const bytes = this.recordBytes(pointer)
      if (isGrouped(pointer)) this.#references.set(start, { count: 1, bytes })
      this.bytesLive += bytes
      this.#liveSum = (this.#liveSum + mixed(start)) | 0
    }
    this.deadSinceSeq = null
  }

  /** A second pointer to a plain record, as foreign folders have them. */
  share(pointer: ValuePointer): void {
    const start = recordStart(pointer)
    const shared = this.#references.get(start)
    if (shared !== undefined) shared.count++
    else this.#references.set(start, { count: 2, bytes: this.recordBytes(pointer) })
  }

  /** A pointer to a record of this segment is gone from the visible state. */
  release(pointer: ValuePointer, at: { seq: number; generation: number }): void {
    const start = recordStart(pointer)
    const shared = this.#shared(start)
    if (shared !== undefined && --shared.count > 0) return
    if (shared !== undefined) this.#references.delete(start)
    this.bytesLive -= shared?.bytes ?? this.recordBytes(pointer)
    this.#liveSum = (this.#liveSum - mixed(start)) | 0
    // Not by `assert`: its message would be made for each pointer that goes.
    if (this.bytesLive < 0) throw new AssertionError(`live bytes of ${this.name} below zero`)
    if (this.bytesLive === 0) {
      // One record that goes twice hides another that lives, and the file would be deleted under it.
      if (this.#liveSum !== 0) {
        throw new AssertionError(`${this.name} has no live bytes, but not all that lived went once`)
      }
      this.deadSinceSeq = at.seq
      this.deadSinceGeneration = at.generation
    }
  }
}

/** 32 bits of a record's start in which near ones have nothing in common. */
function mixed(start: number): number {
  let word = Math.imul(start, 0x9e3779b1) ^ Math.imul(start / 0x1_0000_0000, 0x85ebca6b)
  word = Math.imul(word ^ (word >>> 15), 0x2c1b3c6d)
  word = Math.imul(word ^ (word >>> 12), 0x297a2d39)
  return word ^ (word >>> 15)
}
