/**
 * Internal pages with the base-delta encoding (format.md 3.5), pure: decoded once into a plain page
 * in memory, and a writer for sample folders and round trips.
 *
 *   0x0800   directory -> u16 suffix bytes, u32 delta (u16 with 0x0200), suffix
 *            at the page end: low fence, high fence, prefix,
 *            u16 low bytes, u16 high bytes, u16 prefix bytes, u64 base
 *
 * key = prefix, suffix; child = base + delta. Fences mean something with 0x0100 only: low inclusive,
 * high exclusive, empty high = no bound. They repeat what the parent says, so searches need no look
 * at them; a key outside of them is damage.
 */
import { compareBytes } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import {
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_INTERNAL,
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

export const INTERNAL_BASE_DELTA = 0x0800
export const INTERNAL_DELTA_U16 = 0x0200
export const INTERNAL_FENCES = 0x0100

const TAIL_BYTES = 14
const CHILD_HEADER_BYTES = 10
/** The prefix stands in the page once and in every decoded key; more than this is no honest page. */
const DECODED_BYTES_MAX = 2 ** 20

export function isInternalEncodingRead(encoding: number): boolean {
  const marks = INTERNAL_DELTA_U16 | INTERNAL_FENCES
  return encoding === 0 || (encoding & ~marks) === INTERNAL_BASE_DELTA
}

interface Footer {
  prefix: Uint8Array
  low: Uint8Array
  high: Uint8Array
  baseLow: number
  baseHigh: number
  /** First byte of the footer: entries end here. */
  start: number
}

/** The page in plain form; itself when it is plain. Keys come out unchecked for their order. */
export function decodeInternal(page: Page, id: number): Page {
  const encoding = pageEncoding(page)
  if (encoding === 0) return page
  if (!isInternalEncodingRead(encoding)) throw unreadEncoding(id, encoding)
  const count = pageCount(page)
  const heap = PAGE_HEADER_BYTES + count * 2
  const footer = readFooter(page, id)
  if (count === 0 || heap > footer.start) throw pageError(id, `internal page of ${count} children`)
  const deltaBytes = (encoding & INTERNAL_DELTA_U16) === 0 ? 4 : 2
  const headerBytes = 2 + deltaBytes
  const starts = new Uint32Array(count)
  let bytesNeeded = PAGE_HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const at = page.view.getUint16(PAGE_HEADER_BYTES + i * 2, true)
    if (at < heap || at + headerBytes > footer.start) {
      throw pageError(id, `internal entry ${i} starts at ${at}`)
    }
    const end = at + headerBytes + page.view.getUint16(at, true)
    if (end > footer.start) throw pageError(id, `internal entry ${i} ends at ${end}`)
    starts[i] = bytesNeeded
    bytesNeeded += CHILD_HEADER_BYTES + footer.prefix.length + page.view.getUint16(at, true)
    if (bytesNeeded > DECODED_BYTES_MAX) throw pageError(id, 'decodes to more than a page can hold')
  }
  const decoded = makeDecodedPage(new Uint8Array(bytesNeeded), starts, {
    id: pageId(page),
    type: PAGE_INTERNAL,
  })
  for (let i = 0; i < count; i++) {
    const at = page.view.getUint16(PAGE_HEADER_BYTES + i * 2, true)
    const delta =
      deltaBytes === 2 ? page.view.getUint16(at + 2, true) : page.view.getUint32(at + 2, true)
    const suffix = page.bytes.subarray(
      at + headerBytes,
      at + headerBytes + page.view.getUint16(at, true),
    )
    putChild(decoded, starts[i] as number, { footer, delta, suffix })
  }
  if ((encoding & INTERNAL_FENCES) !== 0) checkFences(decoded, footer, id)
  return decoded
}

function putChild(
  target: Page,
  start: number,
  child: { footer: Footer; delta: number; suffix: Uint8Array },
): void {
  const { footer, delta, suffix } = child
  const low = footer.baseLow + delta
  target.view.setUint16(start, footer.prefix.length + suffix.length, true)
  target.view.setUint32(start + 2, low >>> 0, true)
  target.view.setUint32(start + 6, footer.baseHigh + (low > 0xffffffff ? 1 : 0), true)
  target.bytes.set(footer.prefix, start + CHILD_HEADER_BYTES)
  target.bytes.set(suffix, start + CHILD_HEADER_BYTES + footer.prefix.length)
}

function readFooter(page: Page, id: number): Footer {
  const { view, bytes } = page
  const tail = PAGE_BYTES - TAIL_BYTES
  const prefixFrom = tail - view.getUint16(tail + 4, true)
  const highFrom = prefixFrom - view.getUint16(tail + 2, true)
  const start = highFrom - view.getUint16(tail, true)
  if (start < PAGE_HEADER_BYTES) throw pageError(id, 'internal page with a footer larger than it')
  return {
    prefix: bytes.subarray(prefixFrom, tail),
    high: bytes.subarray(highFrom, prefixFrom),
    low: bytes.subarray(start, highFrom),
    baseLow: view.getUint32(tail + 6, true),
    baseHigh: view.getUint32(tail + 10, true),
    start,
  }
}

/** Every key but the first lies inside; the first child also covers what is below its key. */
function checkFences(page: Page, footer: Footer, id: number): void {
  const starts = page.starts ?? new Uint32Array(0)
  for (let i = 1; i < starts.length; i++) {
    const from = (starts[i] as number) + CHILD_HEADER_BYTES
    const key = page.bytes.subarray(from, from + page.view.getUint16(starts[i] as number, true))
    const isAbove = footer.high.length > 0 && compareBytes(key, footer.high) >= 0
    if (isAbove || compareBytes(key, footer.low) < 0) {
      throw pageError(id, `internal entry ${i} lies outside of the fences`)
    }
  }
}

// ---------------------------------------------------------------- encoding

export interface EncodedChild {
  key: Uint8Array
  /** A page id, or the 64 bits of a leaf ref. */
  child: bigint
}

export interface Fences {
  low: Uint8Array
  /** Empty = no bound. */
  high: Uint8Array
}

/** A base-delta page; undefined when the children do not fit a page or their deltas a u16 or u32. */
export function encodeBaseDelta(
  children: readonly EncodedChild[],
  options: { delta: 16 | 32; fences?: Fences; id: number; kind: ChecksumKind },
): Page | undefined {
  const ids = children.map(({ child }) => child)
  const base = ids.reduce((a, b) => (a < b ? a : b))
  const top = ids.reduce((a, b) => (a > b ? a : b))
  if (top - base >= 1n << BigInt(options.delta)) return undefined
  const prefix = sharedPrefix(children.map(({ key }) => key))
  const { low, high } = options.fences ?? { low: new Uint8Array(0), high: new Uint8Array(0) }
  const page = newPage()
  const tail = PAGE_BYTES - TAIL_BYTES
  let at = tail - low.length - high.length - prefix.length
  const heap = PAGE_HEADER_BYTES + children.length * 2
  if (at < heap) return undefined
  page.bytes.set(Buffer.concat([low, high, prefix]), at)
  page.view.setUint16(tail, low.length, true)
  page.view.setUint16(tail + 2, high.length, true)
  page.view.setUint16(tail + 4, prefix.length, true)
  page.view.setBigUint64(tail + 6, base, true)
  const headerBytes = 2 + options.delta / 8
  for (const [i, { key, child }] of children.entries()) {
    const suffix = key.subarray(prefix.length)
    at -= headerBytes + suffix.length
    if (at < heap) return undefined
    page.view.setUint16(at, suffix.length, true)
    if (options.delta === 16) page.view.setUint16(at + 2, Number(child - base), true)
    else page.view.setUint32(at + 2, Number(child - base), true)
    page.bytes.set(suffix, at + headerBytes)
    page.view.setUint16(PAGE_HEADER_BYTES + i * 2, at, true)
  }
  const marks =
    (options.delta === 16 ? INTERNAL_DELTA_U16 : 0) |
    (options.fences === undefined ? 0 : INTERNAL_FENCES)
  const type = PAGE_INTERNAL | INTERNAL_BASE_DELTA | marks
  sealPage(page, { id: options.id, type, count: children.length }, options.kind)
  return page
}

function sharedPrefix(keys: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = keys
  if (first === undefined) return new Uint8Array(0)
  let length = first.length
  for (const key of others) {
    let n = 0
    while (n < length && n < key.length && key[n] === first[n]) n++
    length = n
  }
  return first.subarray(0, length)
}
