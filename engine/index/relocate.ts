/**
 * Moves the pages of a tree from the end of index.db to free places further in front:
 *
 *   1. walk from `from` in key order; internal pages are read, of the leaves only those to be moved;
 *   2. a leaf at or behind `limit` is copied as it is stored; a page above it names the copy, and so is
 *      written anew, up to the root;
 *   3. after `pagesMax` of them, or when no place in front is left, the rest keeps its places.
 *
 * Copy on write like a merge: the old tree stays whole until its pages are retired and released.
 */
import { compareBytes, copyOf } from '../bytes.ts'
import { childAt, childKey, type ChildRef } from './internal.ts'
import { PAGE_LEAF, pageCount, pageError, pageType, type Page } from './page.ts'
import type { PageStore } from './page-store.ts'
import { MAX_DEPTH, writeInternals, writeRoot } from './tree.ts'

export interface RelocateRequest {
  /** First page id that is to be free afterwards. */
  limit: number
  /** Pages moved in one go. */
  pagesMax: number
  /** Key to go on at, as the last call answered; null = from the start. */
  from: Uint8Array | null
}

export interface Relocated {
  root: number
  /** Pages that the new tree does not use; moved ones among them. */
  retired: number[]
  /** Pages that lay at or behind the limit and have a copy in front of it. */
  moved: number
  /** Where the next call goes on; null = the tree was walked to its end. */
  next: Uint8Array | null
}

/** Yields after each page. The tree is not changed in place; without a page to move the root stays. */
export function* relocate(
  store: PageStore,
  root: number,
  request: RelocateRequest,
): Generator<void, Relocated> {
  const relocation = new Relocation(store, request)
  if (relocation.isUsedUp()) return { root, retired: [], moved: 0, next: null }
  const refs = yield* relocation.node({ key: new Uint8Array(0), child: root }, 0)
  const { retired, moved, next } = relocation
  if (refs === null) return { root, retired, moved, next }
  return { root: writeRoot(store, refs).root, retired, moved, next }
}

class Relocation {
  readonly retired: number[] = []
  moved = 0
  next: Uint8Array | null = null
  readonly #store: PageStore
  readonly #request: RelocateRequest

  constructor(store: PageStore, request: RelocateRequest) {
    this.#store = store
    this.#request = request
  }

  /** What now stands in the place of this child; null: it stays. */
  *node(ref: ChildRef, depth: number): Generator<void, ChildRef[] | null> {
    const { child: id } = ref
    if (depth > MAX_DEPTH) throw pageError(id, 'tree has a cycle')
    const page = this.#store.read(id)
    if (pageType(page) === PAGE_LEAF) {
      if (!this.#isBehind(id)) return null
      const copy = this.#store.copyLeaf(id)
      this.#retire(id)
      yield
      return [{ key: ref.key, child: copy }]
    }
    const { refs, changed } = yield* this.#children(page, depth)
    yield
    if (!changed && !this.#isBehind(id)) return null
    this.#retire(id)
    const written = writeInternals(this.#store, refs)
    // Whoever looks for a key finds the same way down as before.
    return written.map((one, i) => (i === 0 ? { ...one, key: ref.key } : one))
  }

  *#children(page: Page, depth: number): Generator<void, { refs: ChildRef[]; changed: boolean }> {
    const { from } = this.#request
    const count = pageCount(page)
    const areLeaves = pageType(this.#store.read(childAt(page, 0))) === PAGE_LEAF
    const refs: ChildRef[] = []
    let changed = false
    for (let i = 0; i < count; i++) {
      const ref = { key: childKey(page, i), child: childAt(page, i) }
      const isBefore =
        from !== null && i + 1 < count && compareBytes(childKey(page, i + 1), from) <= 0
      if (this.next !== null || isBefore || (areLeaves && !this.#isBehind(ref.child))) {
        refs.push(ref)
        continue
      }
      if (this.isUsedUp()) {
        this.next = copyOf(ref.key)
        refs.push(ref)
        continue
      }
      const moved = yield* this.node(ref, depth + 1)
      if (moved === null) refs.push(ref)
      else {
        refs.push(...moved)
        changed = true
      }
    }
    return { refs, changed }
  }

  /** Enough was moved, or no place in front of the limit is left. */
  isUsedUp(): boolean {
    const { limit, pagesMax } = this.#request
    return this.moved >= pagesMax || this.#store.nextPage >= limit
  }

  /** A page of index.db behind the limit; leaf pages in the value log have no place here. */
  #isBehind(id: number): boolean {
    return id >= this.#request.limit && this.#store.loggedLeaf(id) === undefined
  }

  #retire(id: number): void {
    if (this.#isBehind(id)) this.moved++
    this.retired.push(id)
  }
}
