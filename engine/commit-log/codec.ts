/**
 * The redo journal's bytes (format.md 4). Pure.
 *
 *   file: u32 length (bit 31 = zstd) | u32 CRC(payload) | payload, repeated
 *   payload: u8 version 1 | u32 count | records
 *   compressed payload: u32 raw bytes | zstd block; the CRC is over what is stored
 *   record: u8 op | u16 key bytes | u32 value bytes | u64 RID | u64 batch seq | key | value
 *
 * One payload is one atomic batch. A torn tail ends a file quietly: one that the file's end cuts, or
 * whose end was never written (zeros to the end of the file). A wrong CRC elsewhere is damage.
 */
import { checksum, type ChecksumKind } from '../checksum.ts'
import { copyBytes, readU64, viewOf, writeU64 } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import { corrupt, type RidWords } from '../value-log/record.ts'
import { decodeZstd } from '../value-log/zstd.ts'

export const OP_SET_RID = 0
export const OP_SET_INLINE = 1
export const OP_DELETE = 2

const SEGMENT_HEADER_BYTES = 8
const PAYLOAD_HEADER_BYTES = 5
const RECORD_HEADER_BYTES = 23
const PAYLOAD_VERSION = 1
const COMPRESSED_BIT = 0x80000000
const RAW_LENGTH_BYTES = 4
/** Of one compressed batch; more is named instead of taken into memory. */
const RAW_BYTES_MAX = 2 ** 26

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
  let bytes = SEGMENT_HEADER_BYTES + PAYLOAD_HEADER_BYTES
  for (const operation of operations) {
    bytes += RECORD_HEADER_BYTES + operation.key.length
    if (operation.op === 'set_inline') bytes += operation.value.length
  }
  return bytes
}

/** Writes one batch at `at`; the caller has made room for `encodedBatchBytes`. Returns its end. */
export function encodeBatch(
  target: Uint8Array,
  at: number,
  batch: JournalBatch,
  kind: ChecksumKind,
): number {
  const view = viewOf(target)
  const payloadStart = at + SEGMENT_HEADER_BYTES
  view.setUint8(payloadStart, PAYLOAD_VERSION)
  view.setUint32(payloadStart + 1, batch.operations.length, true)
  let cursor = payloadStart + PAYLOAD_HEADER_BYTES
  for (const operation of batch.operations) {
    const value = operation.op === 'set_inline' ? operation.value : undefined
    const rid = operation.op === 'set_rid' ? operation.rid : undefined
    view.setUint8(cursor, OPCODES[operation.op])
    view.setUint16(cursor + 1, operation.key.length, true)
    view.setUint32(cursor + 3, value?.length ?? 0, true)
    view.setUint32(cursor + 7, rid?.low ?? 0, true)
    view.setUint32(cursor + 11, rid?.high ?? 0, true)
    writeU64(view, cursor + 15, batch.seq)
    cursor += RECORD_HEADER_BYTES
    copyBytes(operation.key, 0, target, { at: cursor, length: operation.key.length })
    cursor += operation.key.length
    if (value !== undefined) {
      target.set(value, cursor)
      cursor += value.length
    }
  }
  view.setUint32(at, cursor - payloadStart, true)
  view.setUint32(at + 4, checksum(kind, target, payloadStart, cursor), true)
  return cursor
}

const OPCODES = { set_rid: OP_SET_RID, set_inline: OP_SET_INLINE, delete: OP_DELETE } as const

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
  const view = viewOf(bytes)
  const batches: JournalBatch[] = []
  let at = 0
  while (at + SEGMENT_HEADER_BYTES <= bytes.length) {
    const stored = view.getUint32(at, true)
    const length = stored & ~COMPRESSED_BIT
    const start = at + SEGMENT_HEADER_BYTES
    if (start + length > bytes.length) break
    if (stored === 0 && endsInZeros(bytes, at)) break
    const place = `${where} at ${at}`
    if (checksum(kind, bytes, start, start + length) !== view.getUint32(at + 4, true)) {
      if (endsInZeros(bytes, lastSector(at, start + length))) break
      throw corrupt(place, 'journal CRC mismatch')
    }
    const payload = bytes.subarray(start, start + length)
    const isCompressed = stored >= COMPRESSED_BIT
    batches.push(decodePayload(isCompressed ? decompress(payload, place) : payload, place))
    at = start + length
  }
  return { batches, end: at, torn: at < bytes.length }
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

const SECTOR_BYTES = 512

/** Where the last sector of a batch [at, end) begins: what a power cut leaves out is whole sectors. */
function lastSector(at: number, end: number): number {
  return Math.max(at, Math.floor((end - 1) / SECTOR_BYTES) * SECTOR_BYTES)
}

function endsInZeros(bytes: Uint8Array, from: number): boolean {
  return bytes.subarray(from).every((byte) => byte === 0)
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
