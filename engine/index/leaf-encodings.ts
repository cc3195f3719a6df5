/**
 * Leaf pages in every encoding of the format (format.md 3.4), pure. `decodeLeaf` turns any of them
 * into a plain page in memory, whose entries the accessors of `leaf.ts` read; `encodeLeaf` is the
 * writer, for sample folders and round trips: the engine itself writes plain pages only.
 *
 *   none     directory -> u16 key bytes, u32 value bytes, u8 flags, key, value | pointer
 *   0x8000   directory -> u16 shared, u16 suffix bytes, u32 value bytes, u8 flags, suffix, value
 *   0xa000   directory -> u8 shared, u8 suffix bytes, u8 flags [u16, u16 when both u8 are 0xff],
 *            uvarint value bytes of an inline value only, suffix, value
 *   0x4000   directory -> u16 key bytes, u32 value bytes, u8 flags, value, key
 *   0x4400   u16 key offset [n], u16 value offset [n], u8 flags [n]; values; keys at the page end
 *   0xe000   the same with u16 shared [n] after the flags; suffixes at the page end
 *
 * 0x1000 makes pointers 12 bytes instead of 16. 0x0040 adds a u64 revision after each entry, or a
 * column of them after the others; revisions are skipped.
 */
import { viewOf } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import {
  PACKED_POINTER_BYTES,
  POINTER_BYTES,
  decodePackedPointer,
  encodePackedPointer,
  encodePointer,
} from '../value-pointer.ts'
import {
  ENTRY_HEADER_BYTES,
  ENTRY_INLINE,
  ENTRY_POINTER,
  ENTRY_TOMBSTONE,
  type Located,
} from './leaf.ts'
import {
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_LEAF,
  makeDecodedPage,
  newPage,
  pageCount,
  pageEncoding,
  pageError,
  pageId,
  sealPage,
  unreadEncoding,
  type Page,
} from './page.ts'

export const LEAF_PLAIN = 0
export const LEAF_PREFIX1 = 0x8000
export const LEAF_PREFIX2 = 0xa000
export const LEAF_COLUMNAR1 = 0x4000
export const LEAF_COLUMNAR2 = 0x4400
export const LEAF_COLUMNAR_PREFIX = 0xe000
/** Marks beside the encoding. */
export const LEAF_PACKED = 0x1000
export const LEAF_REVISIONS = 0x0040

/** By encoding without its marks: the words of reports. */
export const LEAF_ENCODING_NAMES: ReadonlyMap<number, string> = new Map([
  [LEAF_PLAIN, 'plain'],
  [LEAF_PREFIX1, 'prefix1'],
  [LEAF_PREFIX2, 'prefix2'],
  [LEAF_COLUMNAR1, 'columnar1'],
  [LEAF_COLUMNAR2, 'columnar2'],
  [LEAF_COLUMNAR_PREFIX, 'colprefix2'],
])

/** Entries at multiples of it hold their whole key. */
const RESTART_INTERVAL = 16
const REVISION_BYTES = 8
/** Every sixteenth key is whole, so an honest page decodes to less than half of it. */
const DECODED_BYTES_MAX = 2 ** 18
/** Both u8 lengths of a prefix-v2 entry when the real ones follow as u16. */
const LONG_LENGTHS = 0xff

export function leafBase(encoding: number): number {
  return encoding & ~(LEAF_PACKED | LEAF_REVISIONS)
}

export function isLeafEncodingRead(encoding: number): boolean {
  return LEAF_ENCODING_NAMES.has(leafBase(encoding))
}

// ---------------------------------------------------------------- decoding

/** One entry as found: where its own key bytes and its value lie in the page. */
interface RawEntry {
  flags: number
  /** Bytes of the previous key that this key begins with. */
  shared: number
  keyFrom: number
  keyTo: number
  valueFrom: number
  valueTo: number
}

interface Source {
  page: Page
  id: number
  count: number
  /** 16, or 12 when packed. */
  pointerBytes: number
  /** Bytes behind each entry that are not read. */
  trailerBytes: number
}

/** The page in plain form; itself when it is plain. Its entries are checked, not their key order. */
export function decodeLeaf(page: Page, id: number): Page {
  const encoding = pageEncoding(page)
  if (encoding === 0) return page
  if (!isLeafEncodingRead(encoding)) throw unreadEncoding(id, encoding)
  const source: Source = {
    page,
    id,
    count: pageCount(page),
    pointerBytes: (encoding & LEAF_PACKED) === 0 ? POINTER_BYTES : PACKED_POINTER_BYTES,
    trailerBytes: (encoding & LEAF_REVISIONS) === 0 ? 0 : REVISION_BYTES,
  }
  switch (leafBase(encoding)) {
    case LEAF_COLUMNAR2:
      return assemble(source, columnEntries(source, false))
    case LEAF_COLUMNAR_PREFIX:
      return assemble(source, columnEntries(source, true))
    case LEAF_PREFIX1:
      return assemble(source, directoryEntries(source, prefix1Entry))
    case LEAF_PREFIX2:
      return assemble(source, directoryEntries(source, prefix2Entry))
    case LEAF_COLUMNAR1:
      return assemble(source, directoryEntries(source, columnar1Entry))
    default:
      return assemble(source, directoryEntries(source, plainEntry))
  }
}

/** Entries behind a directory of u16 offsets, each decoded by `read`. */
function directoryEntries(
  source: Source,
  read: (source: Source, at: number) => RawEntry,
): RawEntry[] {
  const { page, id, count, trailerBytes } = source
  const heap = PAGE_HEADER_BYTES + count * 2
  if (heap > PAGE_BYTES) throw pageError(id, `leaf directory of ${count} entries`)
  const entries: RawEntry[] = []
  for (let i = 0; i < count; i++) {
    const at = page.view.getUint16(PAGE_HEADER_BYTES + i * 2, true)
    if (at < heap || at >= PAGE_BYTES) throw pageError(id, `leaf entry ${i} starts at ${at}`)
    const entry = read(source, at)
    const end = Math.max(entry.keyTo, entry.valueTo) + trailerBytes
    if (end > PAGE_BYTES) throw pageError(id, `leaf entry ${i} ends at ${end}`)
    entries.push(entry)
  }
  return entries
}

/** ENGINE_CORRUPT when the page ends before `bytes` more than `at`. */
function need(source: Source, at: number, bytes: number): void {
  if (at + bytes > PAGE_BYTES) throw pageError(source.id, `leaf entry at ${at} is cut by its end`)
}

function valueBytesOf(source: Source, flags: number, inlineBytes: number): number {
  if ((flags & ENTRY_TOMBSTONE) !== 0) return 0
  return (flags & ENTRY_POINTER) !== 0 ? source.pointerBytes : inlineBytes
}

function plainEntry(source: Source, at: number): RawEntry {
  need(source, at, ENTRY_HEADER_BYTES)
  const { view } = source.page
  const flags = view.getUint8(at + 6)
  const keyFrom = at + ENTRY_HEADER_BYTES
  const keyTo = keyFrom + view.getUint16(at, true)
  const valueTo = keyTo + valueBytesOf(source, flags, view.getUint32(at + 2, true))
  return { flags, shared: 0, keyFrom, keyTo, valueFrom: keyTo, valueTo }
}

function prefix1Entry(source: Source, at: number): RawEntry {
  need(source, at, 9)
  const { view } = source.page
  const flags = view.getUint8(at + 8)
  const keyFrom = at + 9
  const keyTo = keyFrom + view.getUint16(at + 2, true)
  const valueTo = keyTo + valueBytesOf(source, flags, view.getUint32(at + 4, true))
  return { flags, shared: view.getUint16(at, true), keyFrom, keyTo, valueFrom: keyTo, valueTo }
}

function prefix2Entry(source: Source, at: number): RawEntry {
  need(source, at, 3)
  const { view } = source.page
  let shared = view.getUint8(at)
  let suffixBytes = view.getUint8(at + 1)
  const flags = view.getUint8(at + 2)
  let cursor = at + 3
  if (shared === LONG_LENGTHS || suffixBytes === LONG_LENGTHS) {
    if (shared !== suffixBytes) throw pageError(source.id, `leaf entry at ${at} is half long`)
    need(source, cursor, 4)
    shared = view.getUint16(cursor, true)
    suffixBytes = view.getUint16(cursor + 2, true)
    cursor += 4
  }
  let inlineBytes = 0
  if ((flags & (ENTRY_TOMBSTONE | ENTRY_POINTER)) === 0) {
    const length = uvarintAt(source, cursor)
    inlineBytes = length.value
    cursor = length.next
  }
  const keyTo = cursor + suffixBytes
  const valueTo = keyTo + valueBytesOf(source, flags, inlineBytes)
  return { flags, shared, keyFrom: cursor, keyTo, valueFrom: keyTo, valueTo }
}

function columnar1Entry(source: Source, at: number): RawEntry {
  need(source, at, ENTRY_HEADER_BYTES)
  const { view } = source.page
  const flags = view.getUint8(at + 6)
  const valueFrom = at + ENTRY_HEADER_BYTES
  const valueTo = valueFrom + valueBytesOf(source, flags, view.getUint32(at + 2, true))
  const keyTo = valueTo + view.getUint16(at, true)
  return { flags, shared: 0, keyFrom: valueTo, keyTo, valueFrom, valueTo }
}

/** A length of at most five bytes; ENGINE_CORRUPT when it is longer or cut. */
function uvarintAt(source: Source, at: number): { value: number; next: number } {
  let value = 0
  for (let i = 0; i < 5; i++) {
    need(source, at + i, 1)
    const byte = source.page.view.getUint8(at + i)
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return { value, next: at + i + 1 }
  }
  throw pageError(source.id, `leaf entry with a value length of more than five bytes at ${at}`)
}

/** Entries kept in columns: key offsets, value offsets, flags, and prefix lengths where keys share. */
function columnEntries(source: Source, hasPrefixes: boolean): RawEntry[] {
  const { page, id, count, trailerBytes } = source
  const { view } = page
  const valueOffsets = PAGE_HEADER_BYTES + count * 2
  const flagsAt = valueOffsets + count * 2
  const prefixesAt = flagsAt + count
  const heap = prefixesAt + (hasPrefixes ? count * 2 : 0) + count * trailerBytes
  if (heap > PAGE_BYTES) throw pageError(id, `leaf columns of ${count} entries`)
  const keyOffset = (i: number): number =>
    i < count ? view.getUint16(PAGE_HEADER_BYTES + i * 2, true) : PAGE_BYTES
  const valueOffset = (i: number): number =>
    i < count ? view.getUint16(valueOffsets + i * 2, true) : keyOffset(0)
  const entries: RawEntry[] = []
  for (let i = 0; i < count; i++) {
    const [keyFrom, keyTo] = [keyOffset(i), keyOffset(i + 1)]
    const [valueFrom, valueTo] = [valueOffset(i), valueOffset(i + 1)]
    if (valueFrom < heap || valueFrom > valueTo || valueTo > keyOffset(0) || keyFrom > keyTo) {
      throw pageError(id, `leaf entry ${i} has columns out of order`)
    }
    if (keyTo > PAGE_BYTES) throw pageError(id, `leaf entry ${i} ends at ${keyTo}`)
    const flags = view.getUint8(flagsAt + i)
    const isPointer = (flags & (ENTRY_TOMBSTONE | ENTRY_POINTER)) === ENTRY_POINTER
    if (isPointer && valueTo - valueFrom !== source.pointerBytes) {
      throw pageError(id, `leaf entry ${i} has a pointer of ${valueTo - valueFrom} bytes`)
    }
    const shared = hasPrefixes ? view.getUint16(prefixesAt + i * 2, true) : 0
    entries.push({ flags, shared, keyFrom, keyTo, valueFrom, valueTo })
  }
  return entries
}

/** Lays checked entries out as a plain page. */
function assemble(source: Source, entries: readonly RawEntry[]): Page {
  const starts = new Uint32Array(entries.length)
  let bytesNeeded = PAGE_HEADER_BYTES
  let previousBytes = 0
  entries.forEach((entry, i) => {
    if (entry.shared > (i % RESTART_INTERVAL === 0 ? 0 : previousBytes)) {
      throw pageError(source.id, `leaf entry ${i} shares ${entry.shared} bytes of the key before`)
    }
    previousBytes = entry.shared + entry.keyTo - entry.keyFrom
    starts[i] = bytesNeeded
    bytesNeeded += ENTRY_HEADER_BYTES + previousBytes + plainValueBytes(entry)
    if (bytesNeeded > DECODED_BYTES_MAX || previousBytes > PAGE_BYTES) {
      throw pageError(source.id, `leaf entry ${i} decodes to more than a page can hold`)
    }
  })
  const bytes = new Uint8Array(bytesNeeded)
  const view = viewOf(bytes)
  let previousKey = 0
  entries.forEach((entry, i) => {
    const start = starts[i] as number
    const keyAt = start + ENTRY_HEADER_BYTES
    const ownBytes = entry.keyTo - entry.keyFrom
    bytes.copyWithin(keyAt, previousKey, previousKey + entry.shared)
    bytes.set(source.page.bytes.subarray(entry.keyFrom, entry.keyTo), keyAt + entry.shared)
    view.setUint16(start, entry.shared + ownBytes, true)
    view.setUint8(start + 6, entry.flags)
    putValue(source, entry, { bytes, view, start, at: keyAt + entry.shared + ownBytes })
    previousKey = keyAt
  })
  return makeDecodedPage(bytes, starts, { id: pageId(source.page), type: PAGE_LEAF })
}

function plainValueBytes(entry: RawEntry): number {
  if ((entry.flags & ENTRY_TOMBSTONE) !== 0) return 0
  return (entry.flags & ENTRY_POINTER) !== 0 ? POINTER_BYTES : entry.valueTo - entry.valueFrom
}

function putValue(
  source: Source,
  entry: RawEntry,
  target: { bytes: Uint8Array; view: DataView; start: number; at: number },
): void {
  if ((entry.flags & ENTRY_TOMBSTONE) !== 0) return
  const { page, pointerBytes } = source
  if ((entry.flags & ENTRY_POINTER) === 0) {
    target.view.setUint32(target.start + 2, entry.valueTo - entry.valueFrom, true)
    target.bytes.set(page.bytes.subarray(entry.valueFrom, entry.valueTo), target.at)
  } else if (pointerBytes === PACKED_POINTER_BYTES) {
    encodePointer(target.view, target.at, decodePackedPointer(page.view, entry.valueFrom))
  } else {
    target.bytes.set(page.bytes.subarray(entry.valueFrom, entry.valueTo), target.at)
  }
}

// ---------------------------------------------------------------- encoding

export interface LeafEntry {
  key: Uint8Array
  value: Located
}

/** Entry bodies and columns of a page under construction. */
interface Draft {
  entry: LeafEntry
  shared: number
  suffix: Uint8Array
  flags: number
  /** Inline bytes or pointer. */
  stored: Uint8Array
}

/** A leaf in `encoding`, keys ascending; undefined when the entries do not fit one page. */
export function encodeLeaf(
  entries: readonly LeafEntry[],
  encoding: number,
  page: { id: number; kind: ChecksumKind },
): Page | undefined {
  if (!isLeafEncodingRead(encoding)) throw new RangeError(`leaf encoding ${encoding}`)
  const base = leafBase(encoding)
  const shares = base === LEAF_PREFIX1 || base === LEAF_PREFIX2 || base === LEAF_COLUMNAR_PREFIX
  const drafts = entries.map((entry, i): Draft => {
    const before = i % RESTART_INTERVAL === 0 || !shares ? undefined : entries[i - 1]
    const shared = before === undefined ? 0 : sharedBytes(before.key, entry.key)
    const { flags, stored } = storedValue(entry.value, (encoding & LEAF_PACKED) !== 0)
    return { entry, shared, suffix: entry.key.subarray(shared), flags, stored }
  })
  const isColumns = base === LEAF_COLUMNAR2 || base === LEAF_COLUMNAR_PREFIX
  const target = isColumns ? layOutColumns(drafts, encoding) : layOutEntries(drafts, encoding)
  if (target === undefined) return undefined
  sealPage(target, { id: page.id, type: PAGE_LEAF | encoding, count: entries.length }, page.kind)
  return target
}

function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  let n = 0
  while (n < a.length && n < b.length && a[n] === b[n]) n++
  return n
}

function storedValue(value: Located, packed: boolean): { flags: number; stored: Uint8Array } {
  if (value.kind === 'tombstone') return { flags: ENTRY_TOMBSTONE, stored: new Uint8Array(0) }
  if (value.kind === 'inline') return { flags: ENTRY_INLINE, stored: value.value }
  const stored = new Uint8Array(packed ? PACKED_POINTER_BYTES : POINTER_BYTES)
  if (packed) encodePackedPointer(viewOf(stored), 0, value.pointer)
  else encodePointer(viewOf(stored), 0, value.pointer)
  return { flags: ENTRY_POINTER, stored }
}

function layOutEntries(drafts: readonly Draft[], encoding: number): Page | undefined {
  const page = newPage()
  const heap = PAGE_HEADER_BYTES + drafts.length * 2
  const trailer = new Uint8Array((encoding & LEAF_REVISIONS) === 0 ? 0 : REVISION_BYTES)
  let top = PAGE_BYTES
  for (const [i, draft] of drafts.entries()) {
    const parts = [...entryParts(draft, leafBase(encoding)), trailer]
    const bytes = Buffer.concat(parts)
    top -= bytes.length
    if (top < heap) return undefined
    page.bytes.set(bytes, top)
    page.view.setUint16(PAGE_HEADER_BYTES + i * 2, top, true)
  }
  return page
}

/** Header, key and value of one entry, in the order of its encoding. */
function entryParts(draft: Draft, base: number): Uint8Array[] {
  const { entry, shared, suffix, flags, stored } = draft
  const valueBytes = flags === ENTRY_INLINE ? stored.length : 0
  if (base === LEAF_PREFIX2) {
    const isLong = shared >= LONG_LENGTHS || suffix.length >= LONG_LENGTHS
    const lengths = isLong
      ? [LONG_LENGTHS, LONG_LENGTHS, flags, ...u16(shared), ...u16(suffix.length)]
      : [shared, suffix.length, flags]
    if (flags === ENTRY_INLINE) lengths.push(...uvarint(valueBytes))
    return [Uint8Array.from(lengths), suffix, stored]
  }
  if (base === LEAF_PREFIX1) {
    const header = [...u16(shared), ...u16(suffix.length), ...u32(valueBytes), flags]
    return [Uint8Array.from(header), suffix, stored]
  }
  const header = Uint8Array.from([...u16(entry.key.length), ...u32(valueBytes), flags])
  return base === LEAF_COLUMNAR1 ? [header, stored, entry.key] : [header, entry.key, stored]
}

function u16(value: number): number[] {
  return [value & 0xff, value >>> 8]
}

function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)]
}

function uvarint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return [...bytes, rest]
}

function layOutColumns(drafts: readonly Draft[], encoding: number): Page | undefined {
  const page = newPage()
  const count = drafts.length
  const hasPrefixes = leafBase(encoding) === LEAF_COLUMNAR_PREFIX
  const valueOffsets = PAGE_HEADER_BYTES + count * 2
  const flagsAt = valueOffsets + count * 2
  const prefixesAt = flagsAt + count
  const columnsEnd = prefixesAt + (hasPrefixes ? count * 2 : 0)
  const heap = columnsEnd + ((encoding & LEAF_REVISIONS) === 0 ? 0 : count * REVISION_BYTES)
  const keyBytes = drafts.reduce((sum, draft) => sum + draft.suffix.length, 0)
  const valueBytes = drafts.reduce((sum, draft) => sum + draft.stored.length, 0)
  let keyAt = PAGE_BYTES - keyBytes
  let valueAt = keyAt - valueBytes
  if (valueAt < heap) return undefined
  drafts.forEach((draft, i) => {
    page.view.setUint16(PAGE_HEADER_BYTES + i * 2, keyAt, true)
    page.view.setUint16(valueOffsets + i * 2, valueAt, true)
    page.view.setUint8(flagsAt + i, draft.flags)
    if (hasPrefixes) page.view.setUint16(prefixesAt + i * 2, draft.shared, true)
    page.bytes.set(draft.suffix, keyAt)
    page.bytes.set(draft.stored, valueAt)
    keyAt += draft.suffix.length
    valueAt += draft.stored.length
  })
  return page
}
