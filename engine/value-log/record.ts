/**
 * Value-log records and grouped frames (format.md 2.1, 2.2). Pure, on byte arrays.
 *
 *   record: u32 CRC over the rest | u8 version 1 | u8 flags (bit 0 grouped) | u16 0 | u64 RID |
 *           u32 payload bytes | payload
 *   frame (payload of a grouped record): u8 version 1 | u8 flags (bit 0 compressed) | u8 K |
 *           u8 codec | u64 dictionary | K x u64 RID | (K+1) x u32 offset | values, raw or one block
 *
 * Every decoding path checks the CRC, the header, each RID and each offset (B12).
 */
import { checksum, type ChecksumKind } from '../checksum.ts'
import { changedChecksum } from '../checksum-shift.ts'
import { EngineError } from '../errors.ts'
import { readU32, viewOf, writeU32 } from '../bytes.ts'

export const RECORD_HEADER_BYTES = 20
/** Record bytes before the body that a pointer's length counts: the header without the CRC. */
export const BODY_HEADER_BYTES = 16
export const FRAME_HEADER_BYTES = 12
export const MAX_FRAME_VALUES = 128
/** A plain pointer's hint has 26 bits. */
export const MAX_VALUE_BYTES = 2 ** 26 - 1 - BODY_HEADER_BYTES
/** Packed pointers have 32 bits of offset; upstream's writers stop four bytes before. */
export const MAX_SEGMENT_BYTES = 2 ** 32 - 1 - 4
/** Decoded frames above this are refused before anything is allocated for them. */
export const MAX_FRAME_RAW_BYTES = 2 ** 26

const RECORD_VERSION = 1
const FLAG_GROUPED = 1
const FRAME_VERSION = 1
const FRAME_COMPRESSED = 1

/** u64 record id in two words, so that no hot path touches a bigint. */
export interface RidWords {
  high: number
  low: number
}

export interface RecordHeader {
  crc: number
  grouped: boolean
  ridHigh: number
  ridLow: number
  payloadBytes: number
}

export function ridOf(words: RidWords): bigint {
  return (BigInt(words.high) << 32n) | BigInt(words.low)
}

/** The header at `at`; throws ENGINE_CORRUPT when its version, flags or RID are not a record's. */
export function decodeRecordHeader(view: DataView, at: number, where: Where): RecordHeader {
  return headerAt(new Uint8Array(view.buffer, view.byteOffset, view.byteLength), at, where)
}

/** The same of bytes, for the hot path: it needs no view. */
export function headerAt(bytes: Uint8Array, at: number, where: Where): RecordHeader {
  const version = bytes[at + 4] as number
  if (version !== RECORD_VERSION) throw corrupt(where, `record version ${version}, expected 1`)
  const flags = bytes[at + 5] as number
  if ((flags & ~FLAG_GROUPED) !== 0) throw corrupt(where, `unknown record flags ${flags}`)
  const header = {
    crc: readU32(bytes, at),
    grouped: (flags & FLAG_GROUPED) !== 0,
    ridLow: readU32(bytes, at + 8),
    ridHigh: readU32(bytes, at + 12),
    payloadBytes: readU32(bytes, at + 16),
  }
  const hasRid = header.ridLow !== 0 || header.ridHigh !== 0
  if (hasRid === header.grouped) {
    throw corrupt(where, header.grouped ? 'grouped record with a RID' : 'plain record with RID 0')
  }
  return header
}

/** `headerAt` accepts what is there, and it is a plain record of `recordBytes` bytes in all. */
export function isPlainHeader(bytes: Uint8Array, at: number, recordBytes: number): boolean {
  return (
    bytes[at + 4] === RECORD_VERSION &&
    bytes[at + 5] === 0 &&
    (readU32(bytes, at + 8) !== 0 || readU32(bytes, at + 12) !== 0) &&
    readU32(bytes, at + 16) === recordBytes - RECORD_HEADER_BYTES
  )
}

/** Writes a record around a payload already placed at `at + 20`. Returns the record's bytes. */
export function sealRecord(
  target: Uint8Array,
  at: number,
  payloadBytes: number,
  rid: RidWords | null,
  kind: ChecksumKind,
): number {
  // Byte by byte: a DataView for each record costs more than the whole header.
  target[at + 4] = RECORD_VERSION
  target[at + 5] = rid === null ? FLAG_GROUPED : 0
  target[at + 6] = 0
  target[at + 7] = 0
  writeU32(target, at + 8, rid?.low ?? 0)
  writeU32(target, at + 12, rid?.high ?? 0)
  writeU32(target, at + 16, payloadBytes)
  const end = at + RECORD_HEADER_BYTES + payloadBytes
  writeU32(target, at, checksum(kind, target, at + CRC_END, end))
  return end - at
}

const CRC_END = 4
const RID_AT = 8

/** Gives the plain record of `bytes` bytes at `at`, whose right CRC would be `crc`, another id and its CRC. */
export function changeRid(
  target: Uint8Array,
  at: number,
  record: { bytes: number; crc: number; rid: RidWords },
  kind: ChecksumKind,
): void {
  const { bytes, crc, rid } = record
  const low = readU32(target, at + RID_AT) ^ rid.low
  const high = readU32(target, at + RID_AT + 4) ^ rid.high
  writeU32(target, at, changedChecksum(kind, crc, { low, high }, bytes - RID_AT - 8))
  writeU32(target, at + RID_AT, rid.low)
  writeU32(target, at + RID_AT + 4, rid.high)
}

export function verifyRecord(
  bytes: Uint8Array,
  at: number,
  header: RecordHeader,
  kind: ChecksumKind,
  where: Where,
): void {
  const end = at + RECORD_HEADER_BYTES + header.payloadBytes
  const actual = checksum(kind, bytes, at + CRC_END, end)
  if (actual !== header.crc) {
    throw corrupt(where, `record CRC ${hex(actual)}, expected ${hex(header.crc)}`)
  }
}

// ---------------------------------------------------------------- frames

export interface Frame {
  count: number
  /** Block codec id when compressed without dictionary; otherwise meaningless. */
  codec: number
  compressed: boolean
  dictionaryId: bigint
  rids: RidWords[]
  /** K+1 offsets into the decoded values, non-decreasing, from 0. */
  offsets: number[]
  /** Where the values start in the payload. */
  dataStart: number
}

export const CODEC_ZSTD = 0
export const CODEC_SNAPPY = 1
export const CODEC_LZ4 = 2

export function framePrefixBytes(count: number): number {
  return FRAME_HEADER_BYTES + count * 8 + (count + 1) * 4
}

/** Parses and checks a frame's tables; the values stay as they are. */
export function parseFrame(payload: Uint8Array, where: Where): Frame {
  if (payload.length < FRAME_HEADER_BYTES) throw corrupt(where, 'frame shorter than its header')
  const view = viewOf(payload)
  const version = view.getUint8(0)
  if (version !== FRAME_VERSION) throw corrupt(where, `frame version ${version}, expected 1`)
  const flags = view.getUint8(1)
  if ((flags & ~FRAME_COMPRESSED) !== 0) throw corrupt(where, `unknown frame flags ${flags}`)
  const count = view.getUint8(2)
  if (count === 0 || count > MAX_FRAME_VALUES) throw corrupt(where, `frame of ${count} values`)
  const dataStart = framePrefixBytes(count)
  if (payload.length < dataStart) throw corrupt(where, 'frame shorter than its tables')
  const rids: RidWords[] = []
  for (let i = 0; i < count; i++) {
    const at = FRAME_HEADER_BYTES + i * 8
    const rid = { low: view.getUint32(at, true), high: view.getUint32(at + 4, true) }
    if (rid.low === 0 && rid.high === 0) throw corrupt(where, `frame RID ${i} is 0`)
    rids.push(rid)
  }
  const offsets: number[] = []
  for (let i = 0; i <= count; i++) {
    const offset = view.getUint32(FRAME_HEADER_BYTES + count * 8 + i * 4, true)
    const previous = i === 0 ? 0 : (offsets[i - 1] as number)
    if (offset < previous || (i === 0 && offset !== 0)) {
      throw corrupt(where, `frame offset ${i} is ${offset} after ${previous}`)
    }
    offsets.push(offset)
  }
  const dictionaryId = view.getBigUint64(4, true)
  const compressed = (flags & FRAME_COMPRESSED) !== 0
  return { count, codec: view.getUint8(3), compressed, dictionaryId, rids, offsets, dataStart }
}

/** Bytes of the frame's values when decoded. */
export function frameRawBytes(frame: Frame): number {
  return frame.offsets[frame.count] as number
}

/** Writes the tables of a frame before its values; returns the bytes written. */
export function writeFramePrefix(
  target: Uint8Array,
  at: number,
  frame: {
    rids: readonly RidWords[]
    offsets: readonly number[]
    codec: number
    compressed: boolean
  },
): number {
  const view = viewOf(target)
  const count = frame.rids.length
  if (count === 0 || count > MAX_FRAME_VALUES) {
    throw new EngineError(
      'ENGINE_LIMIT',
      `a frame of ${count} values, allowed are 1 to ${MAX_FRAME_VALUES}`,
    )
  }
  view.setUint8(at, FRAME_VERSION)
  view.setUint8(at + 1, frame.compressed ? FRAME_COMPRESSED : 0)
  view.setUint8(at + 2, count)
  view.setUint8(at + 3, frame.codec)
  view.setUint32(at + 4, 0, true)
  view.setUint32(at + 8, 0, true)
  let cursor = at + FRAME_HEADER_BYTES
  for (const rid of frame.rids) {
    view.setUint32(cursor, rid.low, true)
    view.setUint32(cursor + 4, rid.high, true)
    cursor += 8
  }
  for (const offset of frame.offsets) {
    view.setUint32(cursor, offset, true)
    cursor += 4
  }
  return cursor - at
}

/** A place in words, or how to get them: a read that succeeds needs none. */
export type Where = string | (() => string)

export function corrupt(where: Where, what: string): EngineError {
  const place = typeof where === 'string' ? where : where()
  return new EngineError('ENGINE_CORRUPT', `${place}: ${what}`)
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
