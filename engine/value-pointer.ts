/**
 * Value pointers (format.md 2.3): where a value's record lies. 16 bytes, or 12 packed.
 *
 *   u64 offset (record start + 4) | u32 length | u32 segment id
 *
 * `length` of a plain pointer is 16 + value bytes. Of a grouped one it holds marks:
 *   bit 30 grouped; sub-index bits 3..0 in 29..26, bit 4 in 31, bits 6..5 in 25..24;
 *   bits 23..0 the hint: 16 + payload bytes when that fits, else 0 = "read the header".
 */
import { assert } from './assert.ts'
import { EngineError } from './errors.ts'
import { readU64, writeU64 } from './bytes.ts'
import type { SegmentId } from './types.ts'

export const POINTER_BYTES = 16
export const PACKED_POINTER_BYTES = 12
/** Bytes of a record before its offset in a pointer: the CRC. */
export const CRC_BYTES = 4

const GROUPED_BIT = 0x40000000
const GROUPED_HINT_MASK = 0x00ffffff
/** Plain pointers strip bits 31, 30 and 29..26. */
const PLAIN_HINT_MASK = 0x03ffffff
export const MAX_SUB_INDEX = 127

export interface ValuePointer {
  readonly segmentId: SegmentId
  /** Record start + 4; never below 4. */
  readonly offset: number
  readonly length: number
}

/** For a pointer that one call fills in after the other. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export function samePointer(a: ValuePointer, b: ValuePointer): boolean {
  return a.segmentId === b.segmentId && a.offset === b.offset && a.length === b.length
}

export function isGrouped(pointer: ValuePointer): boolean {
  return isGroupedLength(pointer.length)
}

/** The same of a pointer's length alone. */
export function isGroupedLength(length: number): boolean {
  return (length & GROUPED_BIT) !== 0
}

/** 0 for a plain pointer. */
export function subIndexOf(pointer: ValuePointer): number {
  if (!isGrouped(pointer)) return 0
  const { length } = pointer
  return ((length >>> 26) & 0xf) | ((length >>> 31) << 4) | (((length >>> 24) & 3) << 5)
}

/** Record bytes without the CRC; 0 = not known, read the header. */
export function hintOf(pointer: ValuePointer): number {
  return hintOfLength(pointer.length)
}

/** The same of a pointer's length alone. */
export function hintOfLength(length: number): number {
  return length & (isGroupedLength(length) ? GROUPED_HINT_MASK : PLAIN_HINT_MASK)
}

/** Marks a grouped pointer's length; a hint that does not fit is left out. */
export function groupedLength(bodyBytes: number, subIndex: number): number {
  assert(subIndex >= 0 && subIndex <= MAX_SUB_INDEX, `sub-index ${subIndex} is outside 0..127`)
  const hint = bodyBytes <= GROUPED_HINT_MASK ? bodyBytes : 0
  const low = (subIndex & 0xf) << 26
  const middle = ((subIndex >>> 4) & 1) << 31
  const high = ((subIndex >>> 5) & 3) << 24
  return (GROUPED_BIT | low | middle | high | hint) >>> 0
}

export function recordStart(pointer: ValuePointer): number {
  return pointer.offset - CRC_BYTES
}

export function encodePointer(view: DataView, at: number, pointer: ValuePointer): void {
  writeU64(view, at, pointer.offset)
  view.setUint32(at + 8, pointer.length, true)
  view.setUint32(at + 12, pointer.segmentId, true)
}

export function decodePointer(view: DataView, at: number): ValuePointer {
  return {
    offset: readU64(view, at),
    length: view.getUint32(at + 8, true),
    segmentId: view.getUint32(at + 12, true),
  }
}

export function encodePackedPointer(view: DataView, at: number, pointer: ValuePointer): void {
  if (pointer.offset > 0xffffffff) {
    throw new EngineError(
      'ENGINE_LIMIT',
      `offset ${pointer.offset} does not fit a packed pointer of 32 bits`,
    )
  }
  view.setUint32(at, pointer.offset, true)
  view.setUint32(at + 4, pointer.length, true)
  view.setUint32(at + 8, pointer.segmentId, true)
}

export function decodePackedPointer(view: DataView, at: number): ValuePointer {
  return {
    offset: view.getUint32(at, true),
    length: view.getUint32(at + 4, true),
    segmentId: view.getUint32(at + 8, true),
  }
}
