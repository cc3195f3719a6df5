/**
 * Plain leaf pages (format.md 3.4): a directory of u16 entry offsets after the header, entries
 * growing down from the page end.
 *
 *   entry: u16 key bytes | u32 value bytes (0 for pointers) | u8 flags | key | value or pointer
 */
import { compareRange, compareWithin, copyBytes } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import { POINTER_BYTES, decodePointer, encodePointer, type ValuePointer } from '../value-pointer.ts'
import {
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_LEAF,
  newPage,
  pageCount,
  pageError,
  sealPage,
  type Page,
} from './page.ts'
import type { ChecksumKind } from '../checksum.ts'

export const ENTRY_HEADER_BYTES = 7
const DIRECTORY_SLOT_BYTES = 2
export const LEAF_CAPACITY = PAGE_BYTES - PAGE_HEADER_BYTES

/** A plain page takes the entry of this key and inline value. */
export function fitsLeaf(key: Uint8Array, value: Uint8Array): boolean {
  return ENTRY_HEADER_BYTES + key.length + value.length <= LEAF_CAPACITY - DIRECTORY_SLOT_BYTES
}

/** Key lengths are u16. */
const MAX_FORMAT_KEY_BYTES = 0xffff

export const ENTRY_INLINE = 0
export const ENTRY_POINTER = 1
export const ENTRY_TOMBSTONE = 2

/** What a key holds: bytes, a pointer, or (only in memory and in foreign leaves) a tombstone. */
export type Located =
  | { kind: 'inline'; value: Uint8Array }
  | { kind: 'pointer'; pointer: ValuePointer }
  | { kind: 'tombstone' }

/** What a leaf that is written holds. */
export type StoredValue = Exclude<Located, { kind: 'tombstone' }>

export const TOMBSTONE: Located = { kind: 'tombstone' }

export function entryStart(page: Page, index: number): number {
  if (page.starts !== null) return page.starts[index] as number
  return page.view.getUint16(PAGE_HEADER_BYTES + index * DIRECTORY_SLOT_BYTES, true)
}

export function entryKeyBytes(page: Page, start: number): number {
  return page.view.getUint16(start, true)
}

/** Entry flags; the tombstone bit wins. */
export function entryFlags(page: Page, start: number): number {
  return page.view.getUint8(start + 6)
}

/** Whole bytes of the entry at `start`. */
export function entryBytes(page: Page, start: number): number {
  const flags = entryFlags(page, start)
  const keyBytes = entryKeyBytes(page, start)
  if ((flags & ENTRY_TOMBSTONE) !== 0) return ENTRY_HEADER_BYTES + keyBytes
  if ((flags & ENTRY_POINTER) !== 0) return ENTRY_HEADER_BYTES + keyBytes + POINTER_BYTES
  return ENTRY_HEADER_BYTES + keyBytes + page.view.getUint32(start + 2, true)
}

export function entryKey(page: Page, start: number): Uint8Array {
  const from = start + ENTRY_HEADER_BYTES
  return page.bytes.subarray(from, from + entryKeyBytes(page, start))
}

/** Where the pointer of the entry at `start` lies; -1 when it holds none. */
export function entryPointerAt(page: Page, start: number): number {
  if ((entryFlags(page, start) & (ENTRY_TOMBSTONE | ENTRY_POINTER)) !== ENTRY_POINTER) return -1
  return start + ENTRY_HEADER_BYTES + entryKeyBytes(page, start)
}

/** The entry's value; inline bytes are a view into the page. */
export function entryValue(page: Page, start: number): Located {
  const flags = entryFlags(page, start)
  if ((flags & ENTRY_TOMBSTONE) !== 0) return TOMBSTONE
  const at = start + ENTRY_HEADER_BYTES + entryKeyBytes(page, start)
  if ((flags & ENTRY_POINTER) !== 0)
    return { kind: 'pointer', pointer: decodePointer(page.view, at) }
  return {
    kind: 'inline',
    value: page.bytes.subarray(at, at + page.view.getUint32(start + 2, true)),
  }
}

/** Once per page read from disk, decoded if it was not plain: everything the accessors above rely on. */
export function validateLeaf(page: Page, id: number): void {
  const count = pageCount(page)
  const pageEnd = page.bytes.length
  const slots = page.starts === null ? count * DIRECTORY_SLOT_BYTES : 0
  const heapStart = PAGE_HEADER_BYTES + slots
  if (heapStart > pageEnd) throw pageError(id, `leaf directory of ${count} entries`)
  let previousFrom = 0
  let previousTo = 0
  for (let i = 0; i < count; i++) {
    const start = entryStart(page, i)
    if (start < heapStart || start + ENTRY_HEADER_BYTES > pageEnd) {
      throw pageError(id, `leaf entry ${i} starts at ${start}`)
    }
    const end = start + entryBytes(page, start)
    if (end > pageEnd) throw pageError(id, `leaf entry ${i} ends at ${end}`)
    const from = start + ENTRY_HEADER_BYTES
    const to = from + entryKeyBytes(page, start)
    if (i > 0 && compareWithin(page.bytes, previousFrom, previousTo, from, to) >= 0) {
      throw pageError(id, `leaf keys out of order at entry ${i}`)
    }
    previousFrom = from
    previousTo = to
  }
}

/** Index of `key`, or -1 - (index of the first greater key). */
export function searchLeaf(page: Page, key: Uint8Array): number {
  let low = 0
  let high = pageCount(page) - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const start = entryStart(page, middle)
    const from = start + ENTRY_HEADER_BYTES
    const order = compareRange(key, page.bytes, from, from + entryKeyBytes(page, start))
    if (order === 0) return middle
    if (order < 0) high = middle - 1
    else low = middle + 1
  }
  return -1 - low
}

/** A leaf entry's bytes for a new value; tombstones have none: deleting removes the entry. */
export function encodeEntry(key: Uint8Array, value: StoredValue): Uint8Array {
  const valueBytes = value.kind === 'inline' ? value.value.length : POINTER_BYTES
  if (key.length > MAX_FORMAT_KEY_BYTES) {
    const message = `a key has ${key.length} bytes, the format holds ${MAX_FORMAT_KEY_BYTES}`
    throw new EngineError('ENGINE_KEY_SIZE', message)
  }
  const bytes = new Uint8Array(ENTRY_HEADER_BYTES + key.length + valueBytes)
  writeEntry({ bytes, view: new DataView(bytes.buffer), at: 0 }, key, value)
  return bytes
}

function writeEntry(
  target: { bytes: Uint8Array; view: DataView; at: number },
  key: Uint8Array,
  value: StoredValue,
): void {
  const { bytes, view, at } = target
  const inline = value.kind === 'inline'
  view.setUint16(at, key.length, true)
  view.setUint32(at + 2, inline ? value.value.length : 0, true)
  view.setUint8(at + 6, inline ? ENTRY_INLINE : ENTRY_POINTER)
  const keyAt = at + ENTRY_HEADER_BYTES
  copyBytes(key, 0, bytes, { at: keyAt, length: key.length })
  const valueAt = keyAt + key.length
  if (inline) bytes.set(value.value, valueAt)
  else encodePointer(view, valueAt, value.pointer)
}

/** Page bytes of a new entry, its directory slot included. */
export function newEntryBytes(key: Uint8Array, value: StoredValue): number {
  const valueBytes = value.kind === 'inline' ? value.value.length : POINTER_BYTES
  return DIRECTORY_SLOT_BYTES + ENTRY_HEADER_BYTES + key.length + valueBytes
}

const ENCODER_CHUNK_BYTES = 64 * 1024

/** Encodes new entries one behind the other in chunks, instead of each in memory of its own. */
export class EntryEncoder {
  #bytes = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #used = 0

  push(run: EntryRun, key: Uint8Array, value: StoredValue): void {
    const length =
      ENTRY_HEADER_BYTES +
      key.length +
      (value.kind === 'inline' ? value.value.length : POINTER_BYTES)
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(ENCODER_CHUNK_BYTES, length))
      this.#view = new DataView(this.#bytes.buffer)
      this.#used = 0
    }
    writeEntry({ bytes: this.#bytes, view: this.#view, at: this.#used }, key, value)
    run.push(this.#bytes, this.#used, length)
    this.#used += length
  }
}

/** Raw entries waiting to be laid out in leaves: existing ones by reference, new ones encoded. */
export class EntryRun {
  readonly sources: Uint8Array[] = []
  readonly starts: number[] = []
  readonly lengths: number[] = []
  /** Page bytes they need, directory included. */
  bytes = 0

  get count(): number {
    return this.sources.length
  }

  push(source: Uint8Array, start: number, length: number): void {
    this.sources.push(source)
    this.starts.push(start)
    this.lengths.push(length)
    this.bytes += length + DIRECTORY_SLOT_BYTES
  }

  pushPage(page: Page): void {
    const count = pageCount(page)
    for (let i = 0; i < count; i++) {
      const start = entryStart(page, i)
      this.push(page.bytes, start, entryBytes(page, start))
    }
  }

  append(other: EntryRun): void {
    for (let i = 0; i < other.count; i++) {
      this.push(
        other.sources[i] as Uint8Array,
        other.starts[i] as number,
        other.lengths[i] as number,
      )
    }
  }

  keyAt(index: number): Uint8Array {
    const source = this.sources[index] as Uint8Array
    const start = this.starts[index] as number
    const keyBytes = (source[start] as number) | ((source[start + 1] as number) << 8)
    return source.slice(start + ENTRY_HEADER_BYTES, start + ENTRY_HEADER_BYTES + keyBytes)
  }

  /** Entry [from, to) as one leaf page. */
  layOut(from: number, to: number, id: number, kind: ChecksumKind): Page {
    const page = newPage()
    let top = PAGE_BYTES
    for (let i = from; i < to; i++) {
      const start = this.starts[i] as number
      const length = this.lengths[i] as number
      top -= length
      if (top < PAGE_HEADER_BYTES + (to - from) * DIRECTORY_SLOT_BYTES) {
        throw new EngineError(
          'ENGINE_LIMIT',
          `an entry of ${length} bytes does not fit a plain page`,
        )
      }
      copyBytes(this.sources[i] as Uint8Array, start, page.bytes, { at: top, length })
      page.view.setUint16(PAGE_HEADER_BYTES + (i - from) * DIRECTORY_SLOT_BYTES, top, true)
    }
    sealPage(page, { id, type: PAGE_LEAF, count: to - from }, kind)
    return page
  }

  /** Cuts the run into page-sized pieces [from, to): even ones, or full ones when `dense` (appends). */
  *cuts(dense: boolean): Generator<[number, number]> {
    const pages = Math.max(1, Math.ceil(this.bytes / LEAF_CAPACITY))
    const target = dense
      ? LEAF_CAPACITY
      : Math.min(LEAF_CAPACITY, Math.ceil(this.bytes / pages) + 64)
    let from = 0
    let used = 0
    for (let i = 0; i < this.count; i++) {
      const need = (this.lengths[i] as number) + DIRECTORY_SLOT_BYTES
      if (used > 0 && (used + need > LEAF_CAPACITY || used >= target)) {
        yield [from, i]
        from = i
        used = 0
      }
      used += need
    }
    if (from < this.count) yield [from, this.count]
  }
}
