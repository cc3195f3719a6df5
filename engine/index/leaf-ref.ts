/**
 * Leaf refs (format.md 2.6): the child id of a leaf page that lies in the value log instead of in
 * index.db. Bit 63 (the value-log bit of the segment id) tells it from a page id. Pure.
 *
 *   u64: segment id << 32 | sub-index << 29 | offset      offset as in a value pointer, 29 bits
 *
 * The page is a value of a grouped record; the pointer it stands for has no length hint.
 */
import { EngineError } from '../errors.ts'
import { isSegmentId } from '../ids.ts'
import { groupedLength, type ValuePointer } from '../value-pointer.ts'
import type { SegmentId } from '../types.ts'

export const MAX_LEAF_REF_OFFSET = 2 ** 29 - 1
export const MAX_LEAF_REF_SUB_INDEX = 7

const SUB_INDEX_SHIFT = 29

export interface LeafRef {
  readonly segmentId: SegmentId
  /** Place of the page among the values of its frame, 0..7; 0 in folders older than 23 March 2026. */
  readonly subIndex: number
  /** Record start + 4, like a value pointer's. */
  readonly offset: number
}

/** True for the eight bytes of a leaf ref, false for those of a page id. */
export function isLeafRefAt(view: DataView, at: number): boolean {
  return isSegmentId(view.getUint32(at + 4, true))
}

export function encodeLeafRef(view: DataView, at: number, ref: LeafRef): void {
  if (!isSegmentId(ref.segmentId)) {
    throw new EngineError('ENGINE_LIMIT', `leaf ref to ${ref.segmentId}, which is no segment id`)
  }
  if (!isWithin(ref.offset, MAX_LEAF_REF_OFFSET)) {
    throw new EngineError(
      'ENGINE_LIMIT',
      `leaf ref offset ${ref.offset} is outside 0..${MAX_LEAF_REF_OFFSET}`,
    )
  }
  if (!isWithin(ref.subIndex, MAX_LEAF_REF_SUB_INDEX)) {
    throw new EngineError(
      'ENGINE_LIMIT',
      `leaf ref sub-index ${ref.subIndex} is outside 0..${MAX_LEAF_REF_SUB_INDEX}`,
    )
  }
  view.setUint32(at, ((ref.subIndex << SUB_INDEX_SHIFT) | ref.offset) >>> 0, true)
  view.setUint32(at + 4, ref.segmentId, true)
}

/** undefined when the eight bytes are a page id. */
export function decodeLeafRef(view: DataView, at: number): LeafRef | undefined {
  if (!isLeafRefAt(view, at)) return undefined
  const low = view.getUint32(at, true)
  return {
    segmentId: view.getUint32(at + 4, true),
    subIndex: low >>> SUB_INDEX_SHIFT,
    offset: low & MAX_LEAF_REF_OFFSET,
  }
}

/** Grouped, hint 0: the record's header says how long it is. */
export function leafRefPointer(ref: LeafRef): ValuePointer {
  return {
    segmentId: ref.segmentId,
    offset: ref.offset,
    length: groupedLength(Infinity, ref.subIndex),
  }
}

function isWithin(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= max
}
