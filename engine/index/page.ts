/**
 * Pages of index.db (format.md 3): 4096 bytes, 16-byte header.
 *
 *   u64 page id | u32 CRC over the page with these four bytes 0 | u16 flags | u16 count
 */
import { checksum, type ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import { readU64, viewOf, writeU64 } from '../bytes.ts'

export const PAGE_BYTES = 4096
export const PAGE_HEADER_BYTES = 16
/** Where the u16 of type and encoding is. */
export const PAGE_TYPE_AT = 12

export const PAGE_META = 1
export const PAGE_FREELIST = 2
export const PAGE_INTERNAL = 3
export const PAGE_LEAF = 4
const TYPE_MASK = 0x3f

/** Encoding bits above the type; all zero = plain. */
export const PAGE_ENCODINGS: readonly (readonly [number, string])[] = [
  [0x8000, 'leaf prefix'],
  [0x4000, 'leaf columnar'],
  [0x2000, 'prefix v2'],
  [0x1000, 'packed pointers'],
  [0x0800, 'internal base-delta'],
  [0x0400, 'leaf columnar v2'],
  [0x0200, 'base-delta u16'],
  [0x0100, 'fence bounds'],
  [0x0080, 'internal leaf-log refs'],
  [0x0040, 'leaf entry revisions'],
]

/** Types of the two kinds of pages a tree is made of, in their plain form. */
export type TreePageType = typeof PAGE_LEAF | typeof PAGE_INTERNAL

/**
 * A page in memory. Most are the 4096 bytes of the file. A tree page of another encoding is decoded
 * once into a plain one that may be longer than 4096 bytes: then `starts` holds the places of its
 * entries, because a directory of u16 could not, and the bytes are never written to the file.
 */
export interface Page {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** By entry; null = the directory inside the page says it. */
  readonly starts: Uint32Array | null
}

export function makePage(bytes: Uint8Array): Page {
  return { bytes, view: viewOf(bytes), starts: null }
}

/** A decoded page: plain entries at `starts`, behind a header of its own. */
export function makeDecodedPage(
  bytes: Uint8Array,
  starts: Uint32Array,
  header: { id: number; type: TreePageType },
): Page {
  const page = { bytes, view: viewOf(bytes), starts }
  writeU64(page.view, 0, header.id)
  page.view.setUint16(12, header.type, true)
  page.view.setUint16(14, starts.length, true)
  return page
}

export function newPage(): Page {
  return makePage(new Uint8Array(PAGE_BYTES))
}

export function pageType(page: Page): number {
  return page.view.getUint16(12, true) & TYPE_MASK
}

export function pageEncoding(page: Page): number {
  return page.view.getUint16(12, true) & ~TYPE_MASK
}

export function encodingName(encoding: number): string {
  const names = PAGE_ENCODINGS.filter(([bit]) => (encoding & bit) !== 0).map(([, name]) => name)
  return names.length === 0 ? 'plain' : names.join(' + ')
}

export function pageCount(page: Page): number {
  return page.view.getUint16(14, true)
}

export function pageId(page: Page): number {
  return readU64(page.view, 0)
}

const FOUR_ZEROES = new Uint8Array(4)

export function pageChecksum(page: Page, kind: ChecksumKind): number {
  const head = checksum(kind, page.bytes, 0, 8)
  const gap = checksum(kind, FOUR_ZEROES, 0, 4, head)
  return checksum(kind, page.bytes, 12, PAGE_BYTES, gap)
}

/** Fills in the header; call last, it covers the body. */
export function sealPage(
  page: Page,
  header: { id: number; type: number; count: number },
  kind: ChecksumKind,
): void {
  writeU64(page.view, 0, header.id)
  page.view.setUint16(12, header.type, true)
  page.view.setUint16(14, header.count, true)
  page.view.setUint32(8, pageChecksum(page, kind), true)
}

export function hasValidChecksum(page: Page, kind: ChecksumKind): boolean {
  return page.view.getUint32(8, true) === pageChecksum(page, kind)
}

/** The page as read from `id`, checked: length, checksum, own id and type, not its encoding. */
export function checkTreePage(page: Page, id: number, kind: ChecksumKind): void {
  if (!hasValidChecksum(page, kind)) throw pageError(id, 'checksum mismatch')
  if (pageId(page) !== id) throw pageError(id, `carries the id ${pageId(page)}`)
  const type = pageType(page)
  if (type !== PAGE_LEAF && type !== PAGE_INTERNAL) throw pageError(id, `type ${type} in the tree`)
}

export function unreadEncoding(id: number, encoding: number): EngineError {
  return new EngineError(
    'ENGINE_UNSUPPORTED',
    `index page ${id}: ${encodingName(encoding)} encoding is not read by this version`,
  )
}

export function pageError(id: number, what: string): EngineError {
  return new EngineError('ENGINE_CORRUPT', `index page ${id}: ${what}`)
}
