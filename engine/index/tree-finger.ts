/**
 * Many point reads of one tree, cheap when each key is near the last one: the leaf of the last read is
 * tried before the tree is descended again. Keys that come in order cost one comparison each.
 */
import { compareRange, sameBytes } from '../bytes.ts'
import { childAt, searchInternal } from './internal.ts'
import { ENTRY_HEADER_BYTES, entryKeyBytes, entryStart, searchLeaf } from './leaf.ts'
import { PAGE_LEAF, pageCount, pageError, pageType, type Page } from './page.ts'
import type { PageStore } from './page-store.ts'

/** A tree deeper than this has a cycle. */
const MAX_DEPTH = 64

export class TreeFinger {
  readonly #store: PageStore
  readonly #root: number
  #leaf: Page | null = null
  #index = -1

  /** Valid as long as the root is: pages of a published tree do not change. */
  constructor(store: PageStore, root: number) {
    this.#store = store
    this.#root = root
  }

  /** The leaf of the last entry found. */
  get page(): Page {
    if (this.#leaf === null) throw new RangeError('nothing was looked for')
    return this.#leaf
  }

  /** Where the key's entry starts in `page`; -1 when the tree does not have it. */
  find(key: Uint8Array): number {
    const leaf = this.#leaf
    if (leaf !== null) {
      // Mostly it is just the next one, and then the edges need not be looked at.
      const next = this.#index + 1
      if (next < pageCount(leaf) && compareAt(leaf, next, key) === 0) {
        this.#index = next
        return entryStart(leaf, next)
      }
      if (isInside(leaf, key)) return this.#search(leaf, key)
    }
    this.#leaf = this.#descend(key)
    return this.#search(this.#leaf, key)
  }

  /**
   * Where the entry behind the last one starts in `page`, if its key is the `length` bytes of `bytes` from
   * `from` on; else -1, and nothing is known of the key.
   */
  next(bytes: Uint8Array, from: number, length: number): number {
    const leaf = this.#leaf
    const index = this.#index + 1
    if (leaf === null || index >= pageCount(leaf)) return -1
    const start = entryStart(leaf, index)
    if (entryKeyBytes(leaf, start) !== length) return -1
    if (!sameBytes(leaf.bytes, start + ENTRY_HEADER_BYTES, bytes, from, length)) return -1
    this.#index = index
    return start
  }

  #search(leaf: Page, key: Uint8Array): number {
    const found = searchLeaf(leaf, key)
    // Of a missing key: the entry before it, so that the one behind it is next.
    this.#index = found < 0 ? -2 - found : found
    return found < 0 ? -1 : entryStart(leaf, found)
  }

  #descend(key: Uint8Array): Page {
    let page = this.#store.read(this.#root)
    for (let depth = 0; pageType(page) !== PAGE_LEAF; depth++) {
      if (depth > MAX_DEPTH) throw pageError(this.#root, 'tree has a cycle')
      page = this.#store.read(childAt(page, searchInternal(page, key)))
    }
    return page
  }
}

function isInside(leaf: Page, key: Uint8Array): boolean {
  const last = pageCount(leaf) - 1
  return last >= 0 && compareAt(leaf, 0, key) >= 0 && compareAt(leaf, last, key) <= 0
}

/** The key against the leaf's entry: negative, zero or positive. */
function compareAt(leaf: Page, index: number, key: Uint8Array): number {
  const start = entryStart(leaf, index)
  const from = start + ENTRY_HEADER_BYTES
  return compareRange(key, leaf.bytes, from, from + entryKeyBytes(leaf, start))
}
