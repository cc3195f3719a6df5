/**
 * Walks one tree of index.db in key order. Safe on any bytes: a page is entered once (so a cycle
 * ends), depth is bounded, only pages inside the index are read, and one page in memory a level.
 * Damage and unread encodings cost the page and what hangs below it, nothing else; both are counted.
 */
import type { ChecksumKind } from '../checksum.ts'
import { compareBytes } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import { childAt, validateInternal } from '../index/internal.ts'
import { decodeLeafRef, type LeafRef } from '../index/leaf-ref.ts'
import { entryKey, entryStart, validateLeaf } from '../index/leaf.ts'
import {
  PAGE_HEADER_BYTES,
  PAGE_INTERNAL,
  PAGE_LEAF,
  encodingName,
  pageCount,
  pageEncoding,
  pageError,
  pageType,
  type Page,
} from '../index/page.ts'
import type { Sentences, Slices, UnreadFeatures } from './findings.ts'
import type { IndexFile } from './meta-choice.ts'

/** A tree of 4 KiB pages never gets near it: ten levels hold more keys than a disk. */
const DEPTH_MAX = 64

/** One bit a page of index.db. */
export class PageSet {
  readonly #bits: Uint8Array

  constructor(pages: number) {
    this.#bits = new Uint8Array(Math.ceil(pages / 8))
  }

  has(id: number): boolean {
    return (((this.#bits[Math.floor(id / 8)] ?? 0) >>> (id % 8)) & 1) === 1
  }

  /** False when it was there already. */
  add(id: number): boolean {
    if (this.has(id)) return false
    const at = Math.floor(id / 8)
    this.#bits[at] = (this.#bits[at] ?? 0) | (1 << (id % 8))
    return true
  }
}

/** What the walk has counted so far; shared by the walks of one reading. */
export class WalkCounts {
  /** Pages met, by encoding. */
  readonly visited: Record<string, number> = {}
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
  counts: WalkCounts
  slices: Slices
  problems: Sentences
  unread: UnreadFeatures
}

export interface WalkSink {
  /** A checked plain leaf; the page's memory is the receiver's. */
  leaf: (page: Page) => void | Promise<void>
  /** A leaf page in the value log, which is not read. */
  leafRef: (ref: LeafRef) => void
}

interface Level {
  page: Page
  id: number
  next: number
}

export async function walkTree(walk: Walk, root: number, sink: WalkSink): Promise<void> {
  const levels: Level[] = []
  const order = new KeyOrder(walk)
  await enter(walk, root, levels, sink, order)
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    if (level.next >= pageCount(level.page)) {
      levels.pop()
      continue
    }
    const index = level.next++
    const ref = decodeLeafRef(level.page.view, childIdOffset(level.page, index))
    if (ref !== undefined) {
      walk.counts.unreadPages++
      walk.unread.add('leaf pages kept in the value log', 'page')
      sink.leafRef(ref)
      continue
    }
    await enter(walk, childAt(level.page, index), levels, sink, order)
  }
}

/** Where the child id of entry `index` lies in a checked plain internal page. */
function childIdOffset(page: Page, index: number): number {
  return page.view.getUint16(PAGE_HEADER_BYTES + index * 2, true) + 2
}

/** Reads page `id`: a leaf goes to the sink, an internal page onto `levels`. */
async function enter(
  walk: Walk,
  id: number,
  levels: Level[],
  sink: WalkSink,
  order: KeyOrder,
): Promise<void> {
  if (walk.slices.isUsedUp()) await walk.slices.rest()
  try {
    if (id >= walk.pages) throw pageError(id, `outside the index of ${walk.pages} pages`)
    if (levels.length >= DEPTH_MAX) throw pageError(id, `deeper than ${DEPTH_MAX} levels`)
    if (!walk.visited.add(id)) throw pageError(id, 'reached twice')
    const page = readTreePage(walk, id)
    if (page === undefined) return
    if (pageType(page) === PAGE_INTERNAL) {
      validateInternal(page, id)
      levels.push({ page, id, next: 0 })
      return
    }
    validateLeaf(page, id)
    order.check(page, id)
    await sink.leaf(page)
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    walk.counts.damagedPages++
    walk.problems.add(error.message)
  }
}

/** A plain tree page; undefined, counted and named, when its encoding is not read. */
function readTreePage(walk: Walk, id: number): Page | undefined {
  const page = walk.index.readChecked(id, walk.kind)
  const type = pageType(page)
  if (type !== PAGE_LEAF && type !== PAGE_INTERNAL) throw pageError(id, `type ${type} in the tree`)
  const name = pageName(page)
  walk.counts.visited[name] = (walk.counts.visited[name] ?? 0) + 1
  const encoding = pageEncoding(page)
  if (encoding === 0) return page
  const noun = type === PAGE_LEAF ? 'leaf' : 'internal'
  walk.counts.unreadPages++
  walk.unread.add(`index ${noun} pages with encoding ${encodingName(encoding)}`, 'page')
  return undefined
}

/** Keys ascend over page borders too; otherwise one key could be counted, or found, twice. */
class KeyOrder {
  readonly #walk: Walk
  #last: Uint8Array | undefined

  constructor(walk: Walk) {
    this.#walk = walk
  }

  check(page: Page, id: number): void {
    const count = pageCount(page)
    if (count === 0) return
    const first = entryKey(page, entryStart(page, 0))
    if (this.#last !== undefined && compareBytes(this.#last, first) >= 0) {
      this.#walk.problems.add(`index page ${id}: its first key is not above the page before`)
    }
    this.#last = entryKey(page, entryStart(page, count - 1)).slice()
  }
}

const LEAF_NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'plain'],
  [0x8000, 'prefix1'],
  [0xa000, 'prefix2'],
  [0x4000, 'columnar1'],
  [0x4400, 'columnar2'],
  [0xe000, 'colprefix2'],
])
const PACKED = 0x1000
const REVISIONS = 0x0040
const BASE_DELTA = 0x0800
const BASE_DELTA_U16 = 0x0200
const FENCES = 0x0100

/** The page's encoding in the words of the sample readings: `leaf_prefix2_packed`, `internal_plain`. */
export function pageName(page: Page): string {
  const encoding = pageEncoding(page)
  const unknown = encoding.toString(16).padStart(4, '0')
  if (pageType(page) === PAGE_LEAF) {
    const base = LEAF_NAMES.get(encoding & ~(PACKED | REVISIONS)) ?? unknown
    const packed = (encoding & PACKED) === 0 ? '' : '_packed'
    return `leaf_${base}${packed}${(encoding & REVISIONS) === 0 ? '' : '_revisions'}`
  }
  if (encoding === 0) return 'internal_plain'
  if ((encoding & ~(BASE_DELTA_U16 | FENCES)) !== BASE_DELTA) return `internal_${unknown}`
  return (encoding & BASE_DELTA_U16) === 0 ? 'internal_base_delta' : 'internal_base_delta_u16'
}
