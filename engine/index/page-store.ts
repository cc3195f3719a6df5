/**
 * The pages of index.db: reading with a bounded cache, and copy-on-write allocation. A page that a
 * selectable root or a snapshot may still read is never written over: retired pages wait under the
 * root version that stopped using them until `release` says nobody reads that version.
 */
import type { ChecksumKind } from '../checksum.ts'
import type { OpenFile } from '../file-system.ts'
import { decodeInternal } from './internal-encodings.ts'
import { validateInternal } from './internal.ts'
import { decodeLeaf } from './leaf-encodings.ts'
import { validateLeaf } from './leaf.ts'
import {
  PAGE_BYTES,
  PAGE_LEAF,
  checkTreePage,
  makePage,
  pageError,
  pageType,
  type Page,
} from './page.ts'

/** index.db grows by this; upstream's files are whole multiples of it. */
export const INDEX_CHUNK_BYTES = 256 * 1024
/** Pages 0 and 1 are the metas. */
export const FIRST_TREE_PAGE = 2

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

/** Pages of one tree version that later versions do not use. */
interface Retired {
  /** The root version that no longer reads them. */
  version: number
  pages: number[]
}

export class PageStore {
  readonly file: OpenFile
  readonly kind: ChecksumKind
  /** Logical page count, as the meta pages record it. */
  totalPages: number
  readonly #cache: (Page | undefined)[] = []
  /** Second-chance bits, one a page id. */
  readonly #used: boolean[] = []
  readonly #cachePagesMax: number
  #cachedPages = 0
  #clockHand = 0
  #fileBytes: number
  #free: number[] = []
  #retired: Retired[] = []

  constructor(
    file: OpenFile,
    kind: ChecksumKind,
    options: { totalPages: number; cacheBytes: number },
  ) {
    this.file = file
    this.kind = kind
    this.totalPages = Math.max(options.totalPages, FIRST_TREE_PAGE)
    this.#fileBytes = file.size()
    // Below a handful of pages one descent would evict its own path.
    this.#cachePagesMax = Math.max(64, Math.floor(options.cacheBytes / PAGE_BYTES))
  }

  get fileBytes(): number {
    return this.#fileBytes
  }

  /** A tree page, checked when it comes from disk. The bytes are shared: never write into them. */
  read(id: number): Page {
    const cached = this.#cache[id]
    if (cached !== undefined) {
      this.#used[id] = true
      return cached
    }
    if (id < FIRST_TREE_PAGE || id >= this.totalPages) {
      throw pageError(id, `outside the ${this.totalPages} pages of the index`)
    }
    const stored = makePage(Buffer.allocUnsafeSlow(PAGE_BYTES))
    const got = this.file.read(stored.bytes, 0, PAGE_BYTES, id * PAGE_BYTES)
    if (got !== PAGE_BYTES) throw pageError(id, `only ${got} bytes on disk`)
    checkTreePage(stored, id, this.kind)
    const page = plainPage(stored, id)
    this.#remember(id, page)
    return page
  }

  /** A page id that nothing reads. */
  allocate(): number {
    return this.#free.pop() ?? this.totalPages++
  }

  write(id: number, page: Page): void {
    const end = (id + 1) * PAGE_BYTES
    if (end > this.#fileBytes) {
      this.#fileBytes = Math.ceil(end / INDEX_CHUNK_BYTES) * INDEX_CHUNK_BYTES
      this.file.truncate(this.#fileBytes)
    }
    this.file.write(page.bytes, 0, PAGE_BYTES, id * PAGE_BYTES)
    if (id >= FIRST_TREE_PAGE) this.#remember(id, page)
  }

  /** These pages are read by root versions below `version` only. */
  retire(version: number, pages: number[]): void {
    if (pages.length > 0) this.#retired.push({ version, pages })
  }

  /** Nobody reads a root version below `oldestVersion` any more. */
  release(oldestVersion: number): void {
    const waiting: Retired[] = []
    for (const retired of this.#retired) {
      if (retired.version > oldestVersion) {
        waiting.push(retired)
        continue
      }
      for (const id of retired.pages) {
        this.#forget(id)
        this.#free.push(id)
      }
    }
    this.#retired = waiting
  }

  /** At open: every page that no tree reaches is free (leaks of a crash included). */
  freeAllBut(reachable: ReadonlySet<number>): void {
    this.#free = []
    for (let id = this.totalPages - 1; id >= FIRST_TREE_PAGE; id--) {
      if (!reachable.has(id)) this.#free.push(id)
    }
  }

  get freePages(): number {
    return this.#free.length
  }

  #remember(id: number, page: Page): void {
    if (this.#cache[id] === undefined) this.#cachedPages++
    this.#cache[id] = page
    this.#used[id] = true
    while (this.#cachedPages > this.#cachePagesMax) this.#evictOne(id)
  }

  #forget(id: number): void {
    if (this.#cache[id] === undefined) return
    this.#cache[id] = undefined
    this.#cachedPages--
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
