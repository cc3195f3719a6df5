/**
 * Walks one tree of index.db in key order. Safe on any bytes: a page is entered once (so a cycle
 * ends), depth is bounded, only pages inside the index are read, and one page in memory a level. Leaf
 * pages in the value log are read through their refs, whole and checked: they are index, not values.
 * Damage and unread encodings cost the page and what hangs below it, nothing else; both are counted.
 */
import type { ChecksumKind } from '../checksum.ts'
import { compareBytes } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import {
  INTERNAL_DELTA_U16,
  decodeInternal,
  isInternalEncodingRead,
} from '../index/internal-encodings.ts'
import { childAt, childIdOffset, validateInternal } from '../index/internal.ts'
import {
  LEAF_ENCODING_NAMES,
  LEAF_PACKED,
  LEAF_REVISIONS,
  decodeLeaf,
  isLeafEncodingRead,
  leafBase,
} from '../index/leaf-encodings.ts'
import {
  checkLoggedLeaf,
  decodeLeafRef,
  leafPageOf,
  leafRefPointer,
  resolveLeafRef,
  type LeafRef,
} from '../index/leaf-ref.ts'
import { entryKey, entryStart, validateLeaf } from '../index/leaf.ts'
import {
  PAGE_INTERNAL,
  PAGE_LEAF,
  encodingName,
  makePage,
  pageCount,
  pageEncoding,
  pageError,
  pageId,
  pageType,
  type Page,
} from '../index/page.ts'
import type { SegmentId } from '../types.ts'
import { corrupt } from '../value-log/record.ts'
import type { Sentences, Slices, UnreadFeatures } from './findings.ts'
import type { IndexFile } from './meta-choice.ts'
import type { RecordReader } from './record-reader.ts'

/** A tree of 4 KiB pages never gets near it: ten levels hold more keys than a disk. */
const DEPTH_MAX = 64

/** Bits of one piece of a PageSet. */
const PIECE_BITS = 2 ** 15

/** One bit a page of index.db; memory follows the pages that were added, not the highest possible id. */
export class PageSet {
  readonly #pieces = new Map<number, Uint8Array>()

  has(id: number): boolean {
    const bit = id % PIECE_BITS
    const piece = this.#pieces.get((id - bit) / PIECE_BITS)
    return piece !== undefined && (((piece[bit >>> 3] ?? 0) >>> (bit & 7)) & 1) === 1
  }

  /** False when it was there already. */
  add(id: number): boolean {
    const bit = id % PIECE_BITS
    const number = (id - bit) / PIECE_BITS
    let piece = this.#pieces.get(number)
    if (piece === undefined) this.#pieces.set(number, (piece = new Uint8Array(PIECE_BITS / 8)))
    const byte = piece[bit >>> 3] ?? 0
    if (((byte >>> (bit & 7)) & 1) === 1) return false
    piece[bit >>> 3] = byte | (1 << (bit & 7))
    return true
  }
}

/** Leaf pages of the value log that were met. */
export class LeafRefSet {
  /** By segment: offset * 8 + sub-index. */
  readonly #seen = new Map<SegmentId, Set<number>>()

  /** False when it was there already. */
  add(ref: LeafRef): boolean {
    let places = this.#seen.get(ref.segmentId)
    if (places === undefined) this.#seen.set(ref.segmentId, (places = new Set()))
    const place = ref.offset * 8 + ref.subIndex
    if (places.has(place)) return false
    places.add(place)
    return true
  }
}

/** What the walk has counted so far; shared by the walks of one reading. */
export class WalkCounts {
  /** Pages met, by encoding. */
  readonly visited: Record<string, number> = {}
  /** Pages entered, read or not. */
  pages = 0
  damagedPages = 0
  unreadPages = 0

  get pagesNotRead(): number {
    return this.damagedPages + this.unreadPages
  }
}

export interface Walk {
  index: IndexFile
  kind: ChecksumKind
  /** Ids from here on are outside the index. */
  pages: number
  visited: PageSet
  leavesVisited: LeafRefSet
  /** Each page of index.db is read into it. */
  scratch: Page
  /** For leaf pages in the value log. */
  reader: RecordReader
  counts: WalkCounts
  slices: Slices
  problems: Sentences
  unread: UnreadFeatures
  /** Told of the pages read so far, about once a slice. */
  progress: (pages: number) => void
}

export interface WalkSink {
  /** A checked leaf in plain form; the next page overwrites it. */
  leaf: (page: Page) => void | Promise<void>
  /** A leaf page in the value log, once each; its page follows when it can be read. */
  leafRef: (ref: LeafRef) => void
}

/** A page of index.db by its id, or a leaf page in the value log. */
export type Child = number | LeafRef

interface Level {
  page: Page
  next: number
}

export async function walkTree(walk: Walk, root: Child, sink: WalkSink): Promise<void> {
  const levels: Level[] = []
  const order = new KeyOrder(walk)
  await enter(walk, root, levels, sink, order)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    if (level.next >= pageCount(level.page)) {
      levels.pop()
      continue
    }
    await enter(walk, childOf(level.page, level.next++), levels, sink, order)
  }
}

function childOf(page: Page, index: number): Child {
  return decodeLeafRef(page.view, childIdOffset(page, index)) ?? childAt(page, index)
}

/** Reads a page: a leaf goes to the sink, an internal page onto `levels`. */
async function enter(
  walk: Walk,
  child: Child,
  levels: Level[],
  sink: WalkSink,
  order: KeyOrder,
): Promise<void> {
  walk.counts.pages++
  if (walk.slices.isUsedUp()) {
    walk.progress(walk.counts.pages)
    await walk.slices.rest()
  }
  try {
    const found =
      typeof child === 'number'
        ? readIndexed(walk, child, levels.length)
        : readLogged(walk, child, sink)
    if (found === undefined) return
    const { page, name } = found
    if (pageType(page) === PAGE_INTERNAL) {
      levels.push({ page, next: 0 })
      return
    }
    order.check(page, name)
    await sink.leaf(page)
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    walk.counts.damagedPages++
    walk.problems.add(error.message)
  }
}

interface TreePage {
  page: Page
  /** For sentences. */
  name: string
}

/** A page of index.db in plain form; undefined, counted and named, when its encoding is not read. */
function readIndexed(walk: Walk, id: number, depth: number): TreePage | undefined {
  if (id >= walk.pages) throw pageError(id, `outside the index of ${walk.pages} pages`)
  if (depth >= DEPTH_MAX) throw pageError(id, `deeper than ${DEPTH_MAX} levels`)
  if (!walk.visited.add(id)) throw pageError(id, 'reached twice')
  const stored = walk.index.readChecked(id, walk.kind, walk.scratch)
  const type = pageType(stored)
  if (type !== PAGE_LEAF && type !== PAGE_INTERNAL) throw pageError(id, `type ${type} in the tree`)
  if (!isNamed(walk, stored, '')) return undefined
  const name = `index page ${id}`
  if (type === PAGE_LEAF) {
    const page = decodeLeaf(stored, id)
    validateLeaf(page, id)
    return { page, name }
  }
  const page = decodeInternal(stored, id)
  validateInternal(page, id)
  // It stays on the path while its children are read.
  return { page: page === stored ? makePage(stored.bytes.slice()) : page, name }
}

/** Of the names under which leaf pages in the value log are counted. */
export const LOGGED_PAGE_SUFFIX = '_in_log'

/** The same for a leaf page in the value log. */
function readLogged(walk: Walk, ref: LeafRef, sink: WalkSink): TreePage | undefined {
  const segment = walk.reader.segment(ref.segmentId)
  const resolved = segment === undefined ? ref : resolveLeafRef(ref, segment.bytes)
  const name = `leaf page at byte ${resolved.offset} of segment ${ref.segmentId}`
  if (!walk.leavesVisited.add(resolved)) throw corrupt(name, 'reached twice')
  sink.leafRef(resolved)
  const stored = loggedLeaf(walk.reader, walk.kind, ref)
  if (!isNamed(walk, stored, LOGGED_PAGE_SUFFIX)) return undefined
  const page = decodeLeaf(stored, pageId(stored))
  validateLeaf(page, pageId(stored))
  return { page, name }
}

/** The checked leaf page of a ref, in the encoding it has. */
export function loggedLeaf(reader: RecordReader, kind: ChecksumKind, ref: LeafRef): Page {
  const segment = reader.segment(ref.segmentId)
  const pointer = leafRefPointer(resolveLeafRef(ref, segment?.bytes ?? 0))
  const value = reader.value(pointer)
  const where = `segment ${ref.segmentId} at ${pointer.offset}`
  const page = leafPageOf(value, {
    compact: segment?.file.startsWith('leaf_vlog/') ?? false,
    where,
  })
  checkLoggedLeaf(page, kind, where)
  return page
}

/** Counts a page under its encoding's name; false, counted and named, when the encoding is not read. */
function isNamed(walk: Walk, page: Page, suffix: string): boolean {
  const name = pageName(page) + suffix
  walk.counts.visited[name] = (walk.counts.visited[name] ?? 0) + 1
  const encoding = pageEncoding(page)
  const isLeaf = pageType(page) === PAGE_LEAF
  if (isLeaf ? isLeafEncodingRead(encoding) : isInternalEncodingRead(encoding)) return true
  walk.counts.unreadPages++
  const noun = isLeaf ? 'leaf' : 'internal'
  walk.unread.add(`index ${noun} pages with encoding ${encodingName(encoding)}`, 'page')
  return false
}

/** Keys ascend over page borders too; otherwise one key could be counted, or found, twice. */
class KeyOrder {
  readonly #walk: Walk
  #last: Uint8Array | undefined

  constructor(walk: Walk) {
    this.#walk = walk
  }

  check(page: Page, name: string): void {
    const count = pageCount(page)
    if (count === 0) return
    const first = entryKey(page, entryStart(page, 0))
    if (this.#last !== undefined && compareBytes(this.#last, first) >= 0) {
      this.#walk.problems.add(`${name}: its first key is not above the page before`)
    }
    this.#last = entryKey(page, entryStart(page, count - 1)).slice()
  }
}

/** The page's encoding in the words of the sample readings: `leaf_prefix2_packed`, `internal_plain`. */
export function pageName(page: Page): string {
  const encoding = pageEncoding(page)
  const unknown = encoding.toString(16).padStart(4, '0')
  if (pageType(page) === PAGE_LEAF) {
    const base = LEAF_ENCODING_NAMES.get(leafBase(encoding)) ?? unknown
    const packed = (encoding & LEAF_PACKED) === 0 ? '' : '_packed'
    return `leaf_${base}${packed}${(encoding & LEAF_REVISIONS) === 0 ? '' : '_revisions'}`
  }
  if (encoding === 0) return 'internal_plain'
  if (!isInternalEncodingRead(encoding)) return `internal_${unknown}`
  const delta = (encoding & INTERNAL_DELTA_U16) === 0 ? '' : '_u16'
  return `internal_base_delta${delta}`
}
