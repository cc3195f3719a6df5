/**
 * The redo journal's bytes (format.md 4). Pure.
 *
 *   file: u32 length (bit 31 = zstd) | u32 CRC(payload) | payload, repeated
 *   payload: u8 version 1 | u32 count | records
 *   compressed payload: u32 raw bytes | zstd block; the CRC is over what is stored
 *   record: u8 op | u16 key bytes | u32 value bytes | u64 RID | u64 batch seq | key | value
 *
 * One payload is one atomic batch. A torn tail ends a file quietly, and that file only: a batch that the
 * file's end cuts, or one with a hole. A power cut leaves out whole sectors of what was not synced, in any
 * order; in a file that only grows they read as zeros. So a batch with a wrong CRC of which a sector is
 * all zeros was never on disk, and neither was anything behind it when somebody last waited for a sync:
 * it is no acknowledged write of `durable`, and `wal_on_fast` promises no more. A wrong CRC without a hole
 * is damage to what was written, with or without batches behind it, and fails the opening.
 */
import { hasHole, type ByteSource } from '../byte-source.ts'
import { checksum, type ChecksumKind } from '../checksum.ts'
import { copyBytes, readU64, viewOf, writeU64 } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import { PAGE_BYTES } from '../index/page.ts'
import { corrupt, type RidWords } from '../value-log/record.ts'
import type { PointerMoves } from '../value-log/pointer-moves.ts'
import { decodeZstd } from '../value-log/zstd.ts'

export const OP_SET_RID = 0
export const OP_SET_INLINE = 1
export const OP_DELETE = 2

const SEGMENT_HEADER_BYTES = 8
const PAYLOAD_HEADER_BYTES = 5
export const RECORD_HEADER_BYTES = 23
/** Of a batch in its file, before its records. */
export const BATCH_HEADER_BYTES = SEGMENT_HEADER_BYTES + PAYLOAD_HEADER_BYTES
const PAYLOAD_VERSION = 1
const COMPRESSED_BIT = 0x80000000
const RAW_LENGTH_BYTES = 4
/** Of one compressed batch; more is named instead of taken into memory. */
const RAW_BYTES_MAX = 2 ** 26
/** Of one stored batch; a larger one is named instead of taken into memory, and none is written. */
export const BATCH_BYTES_MAX = 2 ** 28
/** Moves of one batch, whatever their keys: none is longer than the index page that it fits in. */
export const BATCH_MOVES_MAX = Math.floor(
  (BATCH_BYTES_MAX - PAYLOAD_HEADER_BYTES) / (RECORD_HEADER_BYTES + PAGE_BYTES),
)

export type JournalOperation =
  | { op: 'set_rid'; key: Uint8Array; rid: RidWords }
  | { op: 'set_inline'; key: Uint8Array; value: Uint8Array }
  | { op: 'delete'; key: Uint8Array }

export interface JournalBatch {
  /** 0 = written by an engine without sequence numbers; replayed first, in read order. */
  seq: number
  operations: JournalOperation[]
}

export function encodedBatchBytes(operations: readonly JournalOperation[]): number {
  let bytes = BATCH_HEADER_BYTES
  for (const operation of operations) {
    bytes += RECORD_HEADER_BYTES + operation.key.length
    if (operation.op === 'set_inline') bytes += operation.value.length
  }
  return bytes
}

/** Before a batch of so many bytes is written: ENGINE_LIMIT for one that no opening would read. */
export function checkBatchBytes(bytes: number): void {
  const payloadBytes = bytes - SEGMENT_HEADER_BYTES
  if (payloadBytes <= BATCH_BYTES_MAX) return
  throw new EngineError(
    'ENGINE_LIMIT',
    `a batch takes ${payloadBytes} bytes of the journal, at most ${BATCH_BYTES_MAX} are allowed`,
  )
}

/** Writes one batch at `at`; the caller has made room for `encodedBatchBytes`. Returns its end. */
export function encodeBatch(
  target: Uint8Array,
  at: number,
  batch: JournalBatch,
  kind: ChecksumKind,
): number {
  const writer = new BatchWriter(target, at, batch.seq)
  for (const operation of batch.operations) {
    const value = operation.op === 'set_inline' ? operation.value : undefined
    const rid = operation.op === 'set_rid' ? operation.rid : undefined
    writer.add(OPCODES[operation.op], operation.key, { rid, value })
  }
  return writer.end(kind)
}

export function movesBatchBytes(moves: PointerMoves, indexes: readonly number[]): number {
  let bytes = BATCH_HEADER_BYTES
  for (const index of indexes) bytes += RECORD_HEADER_BYTES + moves.keyBytes(index)
  return bytes
}

/** The same for keys that a rewrite points to their copies, which are no objects. */
export function encodeMoves(
  target: Uint8Array,
  at: number,
  batch: { seq: number; moves: PointerMoves; indexes: readonly number[] },
  kind: ChecksumKind,
): number {
  const { seq, moves, indexes } = batch
  const writer = new BatchWriter(target, at, seq)
  for (const index of indexes) writer.addMove(moves, index)
  return writer.end(kind)
}

/** Writes the records of one batch behind room for its headers. */
class BatchWriter {
  readonly #target: Uint8Array
  readonly #view: DataView
  readonly #start: number
  readonly #seq: number
  #cursor: number
  #count = 0

  constructor(target: Uint8Array, at: number, seq: number) {
    this.#target = target
    this.#view = viewOf(target)
    this.#start = at
    this.#seq = seq
    this.#cursor = at + BATCH_HEADER_BYTES
  }

  add(
    opcode: number,
    key: Uint8Array,
    { rid, value }: { rid: RidWords | undefined; value: Uint8Array | undefined },
  ): void {
    const view = this.#view
    const at = this.#cursor
    view.setUint8(at, opcode)
    view.setUint16(at + 1, key.length, true)
    view.setUint32(at + 3, value?.length ?? 0, true)
    view.setUint32(at + 7, rid?.low ?? 0, true)
    view.setUint32(at + 11, rid?.high ?? 0, true)
    writeU64(view, at + 15, this.#seq)
    const keyAt = at + RECORD_HEADER_BYTES
    copyBytes(key, 0, this.#target, { at: keyAt, length: key.length })
    this.#cursor = keyAt + key.length
    if (value !== undefined) {
      this.#target.set(value, this.#cursor)
      this.#cursor += value.length
    }
    this.#count++
  }

  /** The same for a record id of which key and words are still in their columns. */
  addMove(moves: PointerMoves, index: number): void {
    const view = this.#view
    const at = this.#cursor
    const keyBytes = moves.copyKey(index, this.#target, at + RECORD_HEADER_BYTES)
    view.setUint8(at, OP_SET_RID)
    view.setUint16(at + 1, keyBytes, true)
    view.setUint32(at + 3, 0, true)
    view.setUint32(at + 7, moves.ridLow(index), true)
    view.setUint32(at + 11, moves.ridHigh(index), true)
    writeU64(view, at + 15, this.#seq)
    this.#cursor = at + RECORD_HEADER_BYTES + keyBytes
    this.#count++
  }

  /** Fills in the headers; returns where the batch ends. */
  end(kind: ChecksumKind): number {
    const payloadStart = this.#start + SEGMENT_HEADER_BYTES
    this.#view.setUint8(payloadStart, PAYLOAD_VERSION)
    this.#view.setUint32(payloadStart + 1, this.#count, true)
    this.#view.setUint32(this.#start, this.#cursor - payloadStart, true)
    const crc = checksum(kind, this.#target, payloadStart, this.#cursor)
    this.#view.setUint32(this.#start + 4, crc, true)
    return this.#cursor
  }
}

const OPCODES = { set_rid: OP_SET_RID, set_inline: OP_SET_INLINE, delete: OP_DELETE } as const

/** Batch after batch of one file, in bounded memory. */
export class JournalReader {
  /** Where the complete batches end; less than the file's length = torn tail, once all were read. */
  end = 0
  readonly #source: ByteSource
  readonly #kind: ChecksumKind
  readonly #where: string

  constructor(source: ByteSource, kind: ChecksumKind, where: string) {
    this.#source = source
    this.#kind = kind
    this.#where = where
  }

  get torn(): boolean {
    return this.end < this.#source.bytes
  }

  /**
   * The next complete batch; undefined where they end, cleanly or by a torn tail. ENGINE_CORRUPT for
   * damage. ENGINE_UNSUPPORTED for a batch that is not read: the next call goes on behind it.
   */
  next(): JournalBatch | undefined {
    const at = this.end
    const header = this.#source.read(at, SEGMENT_HEADER_BYTES)
    if (header.length < SEGMENT_HEADER_BYTES) return undefined
    const stored = viewOf(header).getUint32(0, true)
    const length = stored & ~COMPRESSED_BIT
    const end = at + SEGMENT_HEADER_BYTES + length
    if (end > this.#source.bytes) return undefined
    const place = `${this.#where} at ${at}`
    if (length > BATCH_BYTES_MAX) {
      this.end = end
      const message = `${place}: a journal batch of more than ${BATCH_BYTES_MAX} bytes`
      throw new EngineError('ENGINE_UNSUPPORTED', message)
    }
    const payload = this.#source.read(at + SEGMENT_HEADER_BYTES, length)
    // A file that got shorter meanwhile.
    if (payload.length < length) return undefined
    const crc = viewOf(header).getUint32(4, true)
    if (length === 0 || checksum(this.#kind, payload, 0, length) !== crc) {
      if (hasHole(this.#source, at, end)) return undefined
      throw corrupt(place, 'journal CRC mismatch')
    }
    this.end = end
    return decodePayload(stored >= COMPRESSED_BIT ? decompress(payload, place) : payload, place)
  }
}

export interface JournalReading {
  batches: JournalBatch[]
  /** Where the complete batches end; less than the file's length = torn tail. */
  end: number
  torn: boolean
}

/** All complete batches of one file's bytes. Keys and values are views into them. */
export function decodeJournal(
  bytes: Uint8Array,
  kind: ChecksumKind,
  where: string,
): JournalReading {
  const source = {
    bytes: bytes.length,
    read: (at: number, length: number) => bytes.subarray(at, at + length),
  }
  const reader = new JournalReader(source, kind, where)
  const batches: JournalBatch[] = []
  for (let batch = reader.next(); batch !== undefined; batch = reader.next()) batches.push(batch)
  return { batches, end: reader.end, torn: reader.torn }
}

/** A compressed payload is `u32 raw bytes | zstd block`. */
function decompress(stored: Uint8Array, where: string): Uint8Array {
  if (stored.length < RAW_LENGTH_BYTES) throw corrupt(where, 'compressed journal payload too short')
  const rawBytes = viewOf(stored).getUint32(0, true)
  if (rawBytes > RAW_BYTES_MAX) {
    throw new EngineError('ENGINE_UNSUPPORTED', `${where}: journal batch of ${rawBytes} bytes`)
  }
  return decodeZstd(stored.subarray(RAW_LENGTH_BYTES), rawBytes, where)
}

function decodePayload(payload: Uint8Array, where: string): JournalBatch {
  if (payload.length < PAYLOAD_HEADER_BYTES) throw corrupt(where, 'journal payload too short')
  const view = viewOf(payload)
  const version = view.getUint8(0)
  if (version !== PAYLOAD_VERSION) {
    throw new EngineError('ENGINE_UNSUPPORTED', `${where}: journal payload version ${version}`)
  }
  const count = view.getUint32(1, true)
  const operations: JournalOperation[] = []
  let cursor = PAYLOAD_HEADER_BYTES
  let seq = -1
  for (let i = 0; i < count; i++) {
    if (cursor + RECORD_HEADER_BYTES > payload.length)
      throw corrupt(where, `journal record ${i} cut`)
    const keyBytes = view.getUint16(cursor + 1, true)
    const valueBytes = view.getUint32(cursor + 3, true)
    const recordSeq = readU64(view, cursor + 15)
    if (seq !== -1 && recordSeq !== seq) throw corrupt(where, 'mixed batch sequence numbers')
    seq = recordSeq
    const keyStart = cursor + RECORD_HEADER_BYTES
    const end = keyStart + keyBytes + valueBytes
    if (end > payload.length) throw corrupt(where, `journal record ${i} ends at ${end}`)
    operations.push(
      decodeOperation(view, cursor, payload.subarray(keyStart, keyStart + keyBytes), {
        value: payload.subarray(keyStart + keyBytes, end),
        where,
      }),
    )
    cursor = end
  }
  if (cursor !== payload.length) throw corrupt(where, 'bytes after the last journal record')
  return { seq: Math.max(seq, 0), operations }
}

function decodeOperation(
  view: DataView,
  at: number,
  key: Uint8Array,
  context: { value: Uint8Array; where: string },
): JournalOperation {
  const op = view.getUint8(at)
  const rid = { low: view.getUint32(at + 7, true), high: view.getUint32(at + 11, true) }
  const hasRid = rid.low !== 0 || rid.high !== 0
  const hasValue = context.value.length > 0
  if (op === OP_SET_RID && hasRid && !hasValue) return { op: 'set_rid', key, rid }
  if (op === OP_SET_INLINE && !hasRid) return { op: 'set_inline', key, value: context.value }
  if (op === OP_DELETE && !hasRid && !hasValue) return { op: 'delete', key }
  throw corrupt(context.where, `journal operation ${op} with RID ${hasRid} and value ${hasValue}`)
}
