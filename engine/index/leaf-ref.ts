/**
 * Leaf refs (format.md 2.6): the child id of a leaf page that lies in the value log instead of in
 * index.db. Bit 63 (the value-log bit of the segment id) tells it from a page id. Pure.
 *
 *   u64: segment id << 32 | sub-index << 29 | offset      offset as in a value pointer, 29 bits
 *
 * The page is a value of a grouped record; the pointer it stands for has no length hint. Before
 * March 23rd, 2026 the low word was the offset alone, with sub-index 0: the same bytes below 512 MiB,
 * and larger segments exist only in folders of that time, because later writers stop there.
 *
 * In `leaf_vlog/` the value may be compact: a magic, u16 prefix bytes, u16 suffix bytes, then both
 * ends of the page; what lies between is zeros.
 */
import { viewOf } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import { isSegmentId } from '../ids.ts'
import { groupedLength, type ValuePointer } from '../value-pointer.ts'
import type { SegmentId } from '../types.ts'
import { PAGE_BYTES, PAGE_LEAF, hasValidChecksum, makePage, pageType, type Page } from './page.ts'

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
  view.setUint32(at, lowWordOf(ref), true)
  view.setUint32(at + 4, ref.segmentId, true)
}

/** undefined when the eight bytes are a page id. */
export function decodeLeafRef(view: DataView, at: number): LeafRef | undefined {
  if (!isLeafRefAt(view, at)) return undefined
  return leafRefOf(view.getUint32(at + 4, true), view.getUint32(at, true))
}

export function leafRefOf(segmentId: SegmentId, low: number): LeafRef {
  return { segmentId, subIndex: low >>> SUB_INDEX_SHIFT, offset: low & MAX_LEAF_REF_OFFSET }
}

/** Sub-index and offset as the ref's low word has them. */
export function lowWordOf(ref: LeafRef): number {
  return ((ref.subIndex << SUB_INDEX_SHIFT) | ref.offset) >>> 0
}

/** The ref as the size of its segment's file makes it to be read: 29 bits of offset, or 32. */
export function resolveLeafRef(ref: LeafRef, segmentBytes: number): LeafRef {
  if (segmentBytes <= MAX_LEAF_REF_OFFSET + 1 || ref.subIndex === 0) return ref
  const offset = ref.subIndex * 2 ** SUB_INDEX_SHIFT + ref.offset
  return { segmentId: ref.segmentId, subIndex: 0, offset }
}

const COMPACT_MAGIC = [0x8a, 0x4c, 0x46, 0x50, 0x47, 0x01, 0x91, 0x3c]
const COMPACT_HEADER_BYTES = 12

/** The page a leaf ref's value holds; ENGINE_CORRUPT when it is none. `where` names the value. */
export function leafPageOf(value: Uint8Array, options: { compact: boolean; where: string }): Page {
  const { where } = options
  if (options.compact && COMPACT_MAGIC.every((byte, i) => value[i] === byte)) {
    return makePage(expandCompact(value, where))
  }
  if (value.length !== PAGE_BYTES) throw leafError(where, `a leaf page of ${value.length} bytes`)
  return makePage(value)
}

function expandCompact(value: Uint8Array, where: string): Uint8Array {
  if (value.length < COMPACT_HEADER_BYTES) throw leafError(where, 'a compact leaf page cut short')
  const view = viewOf(value)
  const prefixBytes = view.getUint16(8, true)
  const suffixBytes = view.getUint16(10, true)
  const ends = prefixBytes + suffixBytes
  if (ends > PAGE_BYTES || value.length !== COMPACT_HEADER_BYTES + ends) {
    const lengths = `${prefixBytes} and ${suffixBytes} bytes in ${value.length}`
    throw leafError(where, `a compact leaf page of ${lengths}`)
  }
  const page = new Uint8Array(PAGE_BYTES)
  page.set(value.subarray(COMPACT_HEADER_BYTES, COMPACT_HEADER_BYTES + prefixBytes))
  page.set(value.subarray(COMPACT_HEADER_BYTES + prefixBytes), PAGE_BYTES - suffixBytes)
  return page
}

/** The compact form of a page: both ends without the longest run of zeros; for tests. */
export function compactLeafPage(page: Uint8Array): Uint8Array {
  let from = page.length
  let to = page.length
  for (let at = 0; at < page.length; at++) {
    let end = at
    while (end < page.length && page[end] === 0) end++
    if (end - at > to - from) [from, to] = [at, end]
    at = Math.max(at, end)
  }
  const header = new Uint8Array(COMPACT_HEADER_BYTES)
  header.set(COMPACT_MAGIC)
  viewOf(header).setUint16(8, from, true)
  viewOf(header).setUint16(10, page.length - to, true)
  return Buffer.concat([header, page.subarray(0, from), page.subarray(to)])
}

/** Checks a leaf page from the log like one from index.db, but for the id: it has no place of its own. */
export function checkLoggedLeaf(page: Page, kind: ChecksumKind, where: string): void {
  if (!hasValidChecksum(page, kind)) throw leafError(where, 'leaf page with a checksum mismatch')
  const type = pageType(page)
  if (type !== PAGE_LEAF) throw leafError(where, `leaf page of type ${type}`)
}

function leafError(where: string, what: string): EngineError {
  return new EngineError('ENGINE_CORRUPT', `${where}: ${what}`)
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
