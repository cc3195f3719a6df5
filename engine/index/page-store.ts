/**
 * The pages of index.db: reading with a bounded cache, and copy-on-write allocation. A page that a
 * selectable root or a snapshot may still read is never written over: a retired page waits until `release`
 * says that nobody reads one of the root versions that had it.
 *
 * Leaf pages that a foreign writer put into the value log have ids here too, above all page ids, so
 * that the tree need not know of them: internal pages in memory name them by these ids, and get the
 * format's leaf refs back when they are written.
 */
import { assert } from '../assert.ts'
import { writeU64 } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import type { SegmentId } from '../types.ts'
import { FreePages } from './free-pages.ts'
import { decodeInternal } from './internal-encodings.ts'
import { childAt, childIdOffset, validateInternal } from './internal.ts'
import { decodeLeaf } from './leaf-encodings.ts'
import { encodeLeafRef, isLeafRefAt, leafRefOf, lowWordOf, type LeafRef } from './leaf-ref.ts'
import { validateLeaf } from './leaf.ts'
import {
  PAGE_BYTES,
  PAGE_INTERNAL,
  PAGE_LEAF,
  PAGE_TYPE_AT,
  checkTreePage,
  makePage,
  pageCount,
  pageError,
  pageId,
  pageType,
  sealPage,
  type Page,
} from './page.ts'

/** index.db grows by this; upstream's files are whole multiples of it. */
export const INDEX_CHUNK_BYTES = 256 * 1024
/** A file that gets shorter holds the thread for about a millisecond for so much. */
const GIVEN_BACK_BYTES = 4 * INDEX_CHUNK_BYTES
/** Pages 0 and 1 are the metas. */
export const FIRST_TREE_PAGE = 2

/** Ids from here on stand for leaf pages in the value log, as long as the store is open. */
const FIRST_LOGGED_ID = 2 ** 52
/** Its high word. */
const FIRST_LOGGED_HIGH = 2 ** 20
/** Such an id is this times the place of its segment in a table, plus the low word of its leaf ref. */
const LOGGED_SEGMENT_STRIDE = 2 ** 32
const LOGGED_SEGMENTS_MAX = 2 ** 20

/** The share of the cache that leaf pages of the value log may take. */
const LOGGED_CACHE_SHARE = 4

/** A root as a meta page names it. */
type StoredRoot = { root: number; leaf?: undefined } | { root: 0; leaf: LeafRef }

/** A checked tree page in plain form: decoded once, here, whatever its encoding. */
function plainPage(stored: Page, id: number): Page {
  if (pageType(stored) === PAGE_LEAF) {
    const leaf = decodeLeaf(stored, id)
    validateLeaf(leaf, id)
    return leaf
  }
  const internal = decodeInternal(stored, id)
  validateInternal(internal, id)
  return internal
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / INDEX_CHUNK_BYTES) * INDEX_CHUNK_BYTES
}

/** How long the file of an index of so many pages is. */
export function indexFileBytes(pages: number): number {
  return roundUp(pages * PAGE_BYTES)
}

/** Pages that root versions from `bornAt` on had, and those from `version` on have not. */
interface Retired {
  bornAt: number
  version: number
  pages: number[]
}

/** Some root version that is read had these pages. */
function isRead({ bornAt, version }: Retired, read: readonly number[]): boolean {
  return read.some((reads) => bornAt <= reads && reads < version)
}

function refuseLogged(ref: LeafRef): never {
  const message = `a leaf page in value-log segment ${ref.segmentId}, where none is expected`
  throw new EngineError('ENGINE_UNSUPPORTED', message)
}

/** What a cached page costs: a decoded one may be longer than those of the file. */
function pagesOf(page: Page | undefined): number {
  return page === undefined ? 0 : Math.ceil(page.bytes.length / PAGE_BYTES)
}

export class PageStore {
  readonly file: OpenFile
  readonly kind: ChecksumKind
  readonly #cache: (Page | undefined)[] = []
  /** Second-chance bits, one a page id. */
  readonly #used: boolean[] = []
  readonly #cachePagesMax: number
  #cachedPages = 0
  #clockHand = 0
  #fileBytes: number
  #unsyncedBytes = 0
  #free: FreePages
  #retired: Retired[] = []
  /** By page id, the root version that first had the page; 0, also where there is none: as old as the opening. */
  #bornAt = new Uint32Array(0)
  /** Given out for the root version that is being made. */
  #fresh: number[] = []
  readonly #readLogged: (ref: LeafRef) => Page
  readonly #loggedSegments: SegmentId[] = []
  readonly #loggedPlaces = new Map<SegmentId, number>()
  /** Oldest use first. */
  readonly #loggedCache = new Map<number, Page>()

  /** `readLogged` reads and checks a leaf page in the value log; without it there are none. */
  constructor(
    file: OpenFile,
    kind: ChecksumKind,
    options: { totalPages: number; cacheBytes: number; readLogged?: (ref: LeafRef) => Page },
  ) {
    this.file = file
    this.kind = kind
    this.#readLogged = options.readLogged ?? refuseLogged
    this.#free = new FreePages(Math.max(options.totalPages, FIRST_TREE_PAGE))
    this.#fileBytes = file.size()
    // Below a handful of pages one descent would evict its own path.
    this.#cachePagesMax = Math.max(64, Math.floor(options.cacheBytes / PAGE_BYTES))
  }

  get fileBytes(): number {
    return this.#fileBytes
  }

  /** Logical page count, as the meta pages record it. */
  get totalPages(): number {
    return this.#free.end
  }

  /** A tree page, checked when it comes from disk. The bytes are shared: never write into them. */
  read(id: number): Page {
    const cached = this.#cache[id]
    if (cached !== undefined) {
      this.#used[id] = true
      return cached
    }
    if (id >= FIRST_LOGGED_ID) return this.#readLoggedPage(id)
    if (id < FIRST_TREE_PAGE || id >= this.totalPages) {
      throw pageError(id, `outside the ${this.totalPages} pages of the index`)
    }
    const stored = makePage(Buffer.allocUnsafeSlow(PAGE_BYTES))
    const got = this.file.read(stored.bytes, 0, PAGE_BYTES, id * PAGE_BYTES)
    if (got !== PAGE_BYTES) throw pageError(id, `only ${got} bytes on disk`)
    checkTreePage(stored, id, this.kind)
    const page = plainPage(stored, id)
    if (pageType(page) === PAGE_INTERNAL) this.#nameLogged(page)
    this.#remember(id, page)
    return page
  }

  /** A page id that nothing reads, the lowest there is. */
  allocate(): number {
    const id = this.#free.take()
    this.#fresh.push(id)
    return id
  }

  /** The id that `allocate` would give; the page count when it would make the index longer. */
  get nextPage(): number {
    return this.#free.lowest() ?? this.totalPages
  }

  write(id: number, page: Page): void {
    this.#put(id, this.#asStored(id, page))
    if (id >= FIRST_TREE_PAGE) this.#remember(id, page)
  }

  /**
   * A copy of a leaf page, in whatever encoding it is stored, at the lowest free place. The old one
   * stays until it is retired and released.
   */
  copyLeaf(id: number): number {
    const stored = makePage(Buffer.allocUnsafeSlow(PAGE_BYTES))
    const got = this.file.read(stored.bytes, 0, PAGE_BYTES, id * PAGE_BYTES)
    if (got !== PAGE_BYTES) throw pageError(id, `only ${got} bytes on disk`)
    checkTreePage(stored, id, this.kind)
    const to = this.allocate()
    const type = stored.view.getUint16(PAGE_TYPE_AT, true)
    sealPage(stored, { id: to, type, count: pageCount(stored) }, this.kind)
    this.#put(to, stored)
    // What is read often stays in memory under its new name.
    if (this.#cache[id] !== undefined) this.#remember(to, plainPage(stored, to))
    return to
  }

  #put(id: number, stored: Page): void {
    const end = (id + 1) * PAGE_BYTES
    if (end > this.#fileBytes) this.#resize(end)
    this.file.write(stored.bytes, 0, PAGE_BYTES, id * PAGE_BYTES)
    this.#unsyncedBytes += PAGE_BYTES
  }

  /**
   * The root version `version` is made: of what was given out since the last one, and without these pages,
   * which only older versions read.
   */
  retire(version: number, pages: number[]): void {
    this.#bear(version)
    const byBirth = new Map<number, number[]>()
    for (const id of pages) {
      if (id >= FIRST_LOGGED_ID) continue
      const bornAt = this.#bornAt[id] ?? 0
      const alike = byBirth.get(bornAt)
      if (alike === undefined) byBirth.set(bornAt, [id])
      else alike.push(id)
    }
    for (const [bornAt, alike] of byBirth) this.#retired.push({ bornAt, version, pages: alike })
  }

  #bear(version: number): void {
    if (this.#bornAt.length < this.totalPages) {
      const grown = new Uint32Array(this.totalPages * 2)
      grown.set(this.#bornAt)
      this.#bornAt = grown
    }
    for (const id of this.#fresh) this.#bornAt[id] = version
    this.#fresh = []
  }

  /**
   * Nobody reads any other root version than these. A page that came and went between two of them is free,
   * or an index would grow with each checkpoint for as long as one snapshot is open.
   */
  release(read: readonly number[]): void {
    const waiting: Retired[] = []
    for (const retired of this.#retired) {
      if (isRead(retired, read)) {
        waiting.push(retired)
        continue
      }
      for (const id of retired.pages) {
        this.#forget(id)
        this.#free.add(id)
      }
    }
    this.#retired = waiting
  }

  /**
   * At open: every page that no tree reaches is free (leaks of a crash included), and the index ends
   * behind the last one that is reached. Memory follows the tree, not what a meta page or a sparse file
   * claims.
   */
  freeAllBut(reachable: ReadonlySet<number>): void {
    let end = FIRST_TREE_PAGE
    for (const id of reachable) end = Math.max(end, id + 1)
    this.#free = new FreePages(end, FIRST_TREE_PAGE)
    for (const id of reachable) this.#free.use(id)
  }

  get freePages(): number {
    return this.#free.count
  }

  /** Pages that only older roots use, which somebody still reads. */
  get waitingPages(): number {
    return this.#retired.reduce((sum, { pages }) => sum + pages.length, 0)
  }

  /** Free pages behind the last used one: what `trim` would give up. */
  get freeAtEnd(): number {
    return this.#free.atEnd
  }

  /**
   * As `release(read)` would leave it, and changes nothing: pages without use, pages that older
   * roots still hold, and how many of the former lie in front of where an index without holes would end.
   */
  outlook(read: readonly number[]): { free: number; held: number; freeInFront: number } {
    const soon = this.#retired.filter((retired) => !isRead(retired, read))
    const ids = soon.flatMap(({ pages }) => pages)
    const free = this.#free.count + ids.length
    const held = this.waitingPages - ids.length
    const end = this.totalPages - free - held
    const freeInFront = this.#free.countBelow(end) + ids.filter((id) => id < end).length
    return { free, held, freeInFront }
  }

  /**
   * The index ends behind its last used page from now on. The meta pages have to say so on disk before
   * `giveBack` takes the rest of the file away.
   */
  trim(): void {
    this.#free.trim()
  }

  /**
   * The file ends with the index. It gets shorter in steps with pauses between, because each holds the
   * thread; nobody else may make the index longer meanwhile.
   */
  async giveBack(pause: () => Promise<void>): Promise<void> {
    for (;;) {
      const end = roundUp(this.totalPages * PAGE_BYTES)
      if (end >= this.#fileBytes) return
      this.#resize(Math.max(end, this.#fileBytes - GIVEN_BACK_BYTES))
      await pause()
    }
  }

  /** Pages written since the last sync began, in bytes. */
  get unsyncedBytes(): number {
    return this.#unsyncedBytes
  }

  /** What was written before the call is on disk when it resolves. */
  async sync(): Promise<void> {
    this.#unsyncedBytes = 0
    await this.file.sync()
  }

  #resize(bytes: number): void {
    this.#fileBytes = roundUp(bytes)
    this.file.truncate(this.#fileBytes)
  }

  // ------------------------------------------------------------ leaf pages in the value log

  /** Some page read so far names a leaf page in the value log. */
  get hasLogged(): boolean {
    return this.#loggedSegments.length > 0
  }

  /** The leaf page in the value log that an id stands for; undefined for a page of index.db. */
  loggedLeaf(id: number): LeafRef | undefined {
    if (id < FIRST_LOGGED_ID) return undefined
    const rest = id - FIRST_LOGGED_ID
    const low = rest % LOGGED_SEGMENT_STRIDE
    const segmentId = this.#loggedSegments[Math.floor(rest / LOGGED_SEGMENT_STRIDE)]
    assert(segmentId !== undefined, `page id ${id} stands for no leaf page`)
    return leafRefOf(segmentId, low)
  }

  /** The id of a root that a meta page names. */
  rootId(root: number, leaf: LeafRef | undefined): number {
    if (leaf !== undefined) return this.#loggedId(leaf.segmentId, lowWordOf(leaf))
    if (root >= FIRST_LOGGED_ID) throw pageError(root, 'the root is no page of any index')
    return root
  }

  /** How a meta page names the root with this id. */
  storedRoot(id: number): StoredRoot {
    const leaf = this.loggedLeaf(id)
    return leaf === undefined ? { root: id } : { root: 0, leaf }
  }

  #loggedId(segmentId: SegmentId, low: number): number {
    let place = this.#loggedPlaces.get(segmentId)
    if (place === undefined) {
      place = this.#loggedSegments.length
      if (place >= LOGGED_SEGMENTS_MAX) {
        throw new EngineError('ENGINE_LIMIT', `leaf pages in more than ${place} segments`)
      }
      this.#loggedSegments.push(segmentId)
      this.#loggedPlaces.set(segmentId, place)
    }
    return FIRST_LOGGED_ID + place * LOGGED_SEGMENT_STRIDE + low
  }

  /** Puts our ids in the place of leaf refs; the page's memory is ours. */
  #nameLogged(page: Page): void {
    for (let i = 0; i < pageCount(page); i++) {
      const at = childIdOffset(page, i)
      if (!isLeafRefAt(page.view, at)) {
        // Such an id would be taken for one of ours.
        if (page.view.getUint32(at + 4, true) >= FIRST_LOGGED_HIGH) {
          throw pageError(pageId(page), `child ${i} is no page of any index`)
        }
        continue
      }
      const segmentId = page.view.getUint32(at + 4, true)
      writeU64(page.view, at, this.#loggedId(segmentId, page.view.getUint32(at, true)))
    }
  }

  /** The page as it is written: with leaf refs in the place of our ids. */
  #asStored(id: number, page: Page): Page {
    if (!this.hasLogged || pageType(page) !== PAGE_INTERNAL) return page
    const stored = makePage(page.bytes.slice())
    let isChanged = false
    for (let i = 0; i < pageCount(page); i++) {
      const ref = this.loggedLeaf(childAt(page, i))
      if (ref === undefined) continue
      encodeLeafRef(stored.view, childIdOffset(stored, i), ref)
      isChanged = true
    }
    if (!isChanged) return page
    sealPage(stored, { id, type: PAGE_INTERNAL, count: pageCount(page) }, this.kind)
    return stored
  }

  #readLoggedPage(id: number): Page {
    const cached = this.#loggedCache.get(id)
    if (cached !== undefined) {
      this.#loggedCache.delete(id)
      this.#loggedCache.set(id, cached)
      return cached
    }
    const ref = this.loggedLeaf(id)
    assert(ref !== undefined, `page id ${id} stands for a leaf page`)
    const stored = this.#readLogged(ref)
    const page = plainPage(stored, pageId(stored))
    this.#loggedCache.set(id, page)
    const most = Math.ceil(this.#cachePagesMax / LOGGED_CACHE_SHARE)
    for (const oldest of this.#loggedCache.keys()) {
      if (this.#loggedCache.size <= most) break
      this.#loggedCache.delete(oldest)
    }
    return page
  }

  // ------------------------------------------------------------ cache

  #remember(id: number, page: Page): void {
    this.#cachedPages += pagesOf(page) - pagesOf(this.#cache[id])
    this.#cache[id] = page
    this.#used[id] = true
    while (this.#cachedPages > this.#cachePagesMax) this.#evictOne(id)
  }

  #forget(id: number): void {
    if (this.#cache[id] === undefined) return
    this.#cachedPages -= pagesOf(this.#cache[id])
    this.#cache[id] = undefined
  }

  /** Second chance: the first page met that was not used since the hand last passed. */
  #evictOne(keep: number): void {
    for (;;) {
      this.#clockHand = (this.#clockHand + 1) % this.#cache.length
      const id = this.#clockHand
      if (id === keep || this.#cache[id] === undefined) continue
      if (this.#used[id] === true) {
        this.#used[id] = false
        continue
      }
      this.#forget(id)
      return
    }
  }
}
