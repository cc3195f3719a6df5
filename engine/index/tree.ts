/**
 * The copy-on-write B+tree over a PageStore: point reads, ordered cursors, a walk over all leaves,
 * and merging a sorted list of changes into a new root. Nothing here writes over a page in use;
 * `mergeChanges` is a generator so that its caller decides how long the thread is held.
 */
import { compareBytes, compareRange } from '../bytes.ts'
import { assert } from '../assert.ts'
import { EngineError } from '../errors.ts'
import {
  EntryRun,
  LEAF_CAPACITY,
  EntryEncoder,
  ENTRY_HEADER_BYTES,
  entryKey,
  entryKeyBytes,
  entryStart,
  entryBytes,
  entryValue,
  searchLeaf,
  type Located,
} from './leaf.ts'
import {
  childAt,
  childKey,
  cutChildren,
  layOutInternal,
  searchInternal,
  type ChildRef,
} from './internal.ts'
import { PAGE_LEAF, pageCount, pageError, pageType, type Page } from './page.ts'
import type { PageStore } from './page-store.ts'

/** A tree deeper than this has a cycle: 2 children a page would already index 2^64 keys. */
export const MAX_DEPTH = 64

/** undefined = no such key. Inline bytes are a view into a page. */
export function findInTree(store: PageStore, root: number, key: Uint8Array): Located | undefined {
  let page = store.read(root)
  for (let depth = 0; pageType(page) !== PAGE_LEAF; depth++) {
    if (depth > MAX_DEPTH) throw pageError(root, 'tree has a cycle')
    page = store.read(childAt(page, searchInternal(page, key)))
  }
  const index = searchLeaf(page, key)
  return index < 0 ? undefined : entryValue(page, entryStart(page, index))
}

// ---------------------------------------------------------------- cursors

interface Level {
  page: Page
  index: number
}

/** Walks entries in key order, either way, over one root. Reads pages as it goes. */
export class TreeCursor {
  readonly #store: PageStore
  readonly #path: Level[] = []

  constructor(store: PageStore, root: number) {
    this.#store = store
    this.#path.push({ page: store.read(root), index: 0 })
  }

  /** To the first entry with key >= `key` (all entries when undefined). */
  seekFirst(key: Uint8Array | undefined): void {
    this.#descend(key, 'first')
    const leaf = this.#leaf
    const found = key === undefined ? 0 : searchLeaf(leaf.page, key)
    leaf.index = found < 0 ? -1 - found : found
    if (leaf.index >= pageCount(leaf.page)) this.#nextLeaf(1)
  }

  /** To the last entry with key <= `key` (the very last when undefined). */
  seekLast(key: Uint8Array | undefined): void {
    this.#descend(key, 'last')
    const leaf = this.#leaf
    if (key === undefined) leaf.index = pageCount(leaf.page) - 1
    else {
      const found = searchLeaf(leaf.page, key)
      leaf.index = found < 0 ? -2 - found : found
    }
    if (leaf.index < 0) this.#nextLeaf(-1)
  }

  get valid(): boolean {
    const leaf = this.#leaf
    return leaf.index >= 0 && leaf.index < pageCount(leaf.page)
  }

  get key(): Uint8Array {
    const leaf = this.#leaf
    return entryKey(leaf.page, entryStart(leaf.page, leaf.index))
  }

  get value(): Located {
    const leaf = this.#leaf
    return entryValue(leaf.page, entryStart(leaf.page, leaf.index))
  }

  step(direction: 1 | -1): void {
    const leaf = this.#leaf
    leaf.index += direction
    if (leaf.index < 0 || leaf.index >= pageCount(leaf.page)) this.#nextLeaf(direction)
  }

  get #leaf(): Level {
    return this.#path[this.#path.length - 1] as Level
  }

  #descend(key: Uint8Array | undefined, edge: 'first' | 'last'): void {
    this.#path.length = 1
    for (let level = this.#leaf; pageType(level.page) !== PAGE_LEAF; level = this.#leaf) {
      if (key !== undefined) level.index = searchInternal(level.page, key)
      else level.index = edge === 'first' ? 0 : pageCount(level.page) - 1
      this.#push(level, edge)
    }
  }

  #push(level: Level, edge: 'first' | 'last'): void {
    if (this.#path.length > MAX_DEPTH) throw pageError(0, 'tree has a cycle')
    const page = this.#store.read(childAt(level.page, level.index))
    this.#path.push({ page, index: edge === 'first' ? 0 : pageCount(page) - 1 })
  }

  /** To the next leaf with entries in this direction; past the end the cursor is not valid. */
  #nextLeaf(direction: 1 | -1): void {
    for (;;) {
      let depth = this.#path.length - 2
      for (; depth >= 0; depth--) {
        const level = this.#path[depth] as Level
        const next = level.index + direction
        if (next >= 0 && next < pageCount(level.page)) {
          level.index = next
          break
        }
      }
      if (depth < 0) {
        this.#leaf.index = -1
        return
      }
      this.#path.length = depth + 1
      const edge = direction === 1 ? 'first' : 'last'
      for (let level = this.#leaf; pageType(level.page) !== PAGE_LEAF; level = this.#leaf) {
        this.#push(level, edge)
        if (pageType(this.#leaf.page) !== PAGE_LEAF && direction === -1) {
          this.#leaf.index = pageCount(this.#leaf.page) - 1
        }
      }
      if (pageCount(this.#leaf.page) > 0) return
    }
  }
}

// ---------------------------------------------------------------- walking

/** Visits every page of a tree once; yields after each leaf. `visitLeaf` gets the leaf page. */
export function* walkTree(
  store: PageStore,
  root: number,
  visit: { page: (id: number) => void; leaf: (page: Page) => void },
): Generator<void, void> {
  const seen = new Set<number>()
  const waiting: { id: number; depth: number }[] = [{ id: root, depth: 0 }]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (seen.has(next.id)) throw pageError(next.id, 'reached twice in one tree')
    seen.add(next.id)
    visit.page(next.id)
    const page = store.read(next.id)
    if (pageType(page) === PAGE_LEAF) {
      visit.leaf(page)
      yield
      continue
    }
    for (let i = pageCount(page) - 1; i >= 0; i--) {
      waiting.push({ id: childAt(page, i), depth: next.depth + 1 })
    }
  }
}

// ---------------------------------------------------------------- merging

export interface Change {
  key: Uint8Array
  /** A tombstone removes the key. */
  value: Located
}

export interface MergeResult {
  root: number
  pagesWritten: number
  /** Pages of the old tree that the new one does not use. */
  retired: number[]
}

/** A list of changes, not necessarily in memory: an array is one. */
export interface Changes {
  readonly length: number
  at(index: number): Change | undefined
}

/** Entries merged between two yields, when all belong to one leaf. */
const CHANGES_A_STEP = 512

/** A small leftover takes in an untouched neighbour only when both fit one page with room to spare. */
const ABSORB_BELOW = LEAF_CAPACITY / 2
const ABSORB_LIMIT = LEAF_CAPACITY * 0.9

/** Merges changes, ascending by key and without repeats, into a new tree. Yields after each leaf. */
export function* mergeChanges(
  store: PageStore,
  root: number,
  changes: Changes,
): Generator<void, MergeResult> {
  const merge = new Merge(store, changes)
  const top = yield* merge.run(root)
  return { root: top, pagesWritten: merge.pagesWritten, retired: merge.retired }
}

class Merge {
  readonly retired: number[] = []
  pagesWritten = 0
  readonly #store: PageStore
  readonly #changes: Changes
  readonly #encoder = new EntryEncoder()

  constructor(store: PageStore, changes: Changes) {
    this.#store = store
    this.#changes = changes
  }

  *run(root: number): Generator<void, number> {
    if (this.#changes.length === 0) return root
    const refs = yield* this.#mergeNode(root, 0, this.#changes.length)
    if (refs.length === 0) return this.#writeEmpty()
    const top = writeRoot(this.#store, refs)
    this.pagesWritten += top.pagesWritten
    return this.#withoutLoneParents(top.root)
  }

  /** An empty tree is an empty leaf. */
  #writeEmpty(): number {
    const id = this.#store.allocate()
    this.#store.write(id, new EntryRun().layOut(0, 0, id, this.#store.kind))
    this.pagesWritten++
    return id
  }

  /** A root with one child is that child. */
  #withoutLoneParents(root: number): number {
    let id = root
    for (let page = this.#store.read(id); pageType(page) !== PAGE_LEAF && pageCount(page) === 1;) {
      this.retired.push(id)
      id = childAt(page, 0)
      page = this.#store.read(id)
    }
    return id
  }

  /** Changes [from, to) applied below `id`; the nodes that now stand in its place. */
  *#mergeNode(id: number, from: number, to: number): Generator<void, ChildRef[]> {
    const page = this.#store.read(id)
    this.retired.push(id)
    if (pageType(page) === PAGE_LEAF) {
      const merged = yield* this.#mergeLeaf(page, from, to)
      return merged.run.count === 0 ? [] : yield* this.#writeLeaves(merged.run, merged.appended)
    }
    const childrenAreLeaves = pageType(this.#store.read(childAt(page, 0))) === PAGE_LEAF
    const refs = childrenAreLeaves
      ? yield* this.#mergeLeafChildren(page, from, to)
      : yield* this.#mergeInternalChildren(page, from, to)
    return refs.length === 0 ? [] : this.#writeInternals(refs)
  }

  *#mergeInternalChildren(page: Page, from: number, to: number): Generator<void, ChildRef[]> {
    const refs: ChildRef[] = []
    let at = from
    for (let i = 0; i < pageCount(page); i++) {
      const end = this.#endOfChild(page, i, at, to)
      if (end === at) refs.push({ key: childKey(page, i), child: childAt(page, i) })
      else refs.push(...(yield* this.#mergeNode(childAt(page, i), at, end)))
      at = end
    }
    return refs
  }

  /** Leaves of one parent: changed ones are merged, small results join their neighbours. */
  *#mergeLeafChildren(page: Page, from: number, to: number): Generator<void, ChildRef[]> {
    const refs: ChildRef[] = []
    let pending = new EntryRun()
    let appended = false
    let at = from
    for (let i = 0; i < pageCount(page); i++) {
      const end = this.#endOfChild(page, i, at, to)
      const id = childAt(page, i)
      if (end === at) {
        if (this.#absorbs(pending, id)) {
          this.retired.push(id)
          pending.pushPage(this.#store.read(id))
        } else {
          refs.push(...(yield* this.#writeLeaves(pending, appended)))
          pending = new EntryRun()
          refs.push({ key: childKey(page, i), child: id })
        }
        continue
      }
      const merged = yield* this.#mergeLeaf(this.#store.read(id), at, end)
      this.retired.push(id)
      if (pending.bytes + merged.run.bytes <= LEAF_CAPACITY) pending.append(merged.run)
      else {
        refs.push(...(yield* this.#writeLeaves(pending, appended)))
        pending = merged.run
      }
      appended = merged.appended
      at = end
    }
    refs.push(...(yield* this.#writeLeaves(pending, appended)))
    return refs
  }

  #absorbs(pending: EntryRun, id: number): boolean {
    if (pending.count === 0 || pending.bytes >= ABSORB_BELOW) return false
    const neighbour = new EntryRun()
    neighbour.pushPage(this.#store.read(id))
    return pending.bytes + neighbour.bytes <= ABSORB_LIMIT
  }

  /** First change at or after `at` that belongs to a later child than `index`. */
  #endOfChild(page: Page, index: number, at: number, to: number): number {
    if (index === pageCount(page) - 1) return to
    const next = childKey(page, index + 1)
    let low = at
    let high = to
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareBytes((this.#changes.at(middle) as Change).key, next) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Old entries and changes [from, to) in key order. `appended`: all changes lie behind the old entries. */
  *#mergeLeaf(
    page: Page,
    from: number,
    to: number,
  ): Generator<void, { run: EntryRun; appended: boolean }> {
    const run = new EntryRun()
    const count = pageCount(page)
    let index = 0
    let appended = true
    for (let c = from; c < to; c++) {
      // All changes may belong to one leaf: the first of a tree, or the last one when keys ascend.
      if ((c - from) % CHANGES_A_STEP === CHANGES_A_STEP - 1) yield
      const change = this.#changes.at(c) as Change
      for (; index < count; index++) {
        const start = entryStart(page, index)
        const keyStart = start + ENTRY_HEADER_BYTES
        const keyEnd = keyStart + entryKeyBytes(page, start)
        const order = compareRange(change.key, page.bytes, keyStart, keyEnd)
        if (order < 0) break
        if (order > 0) run.push(page.bytes, start, entryBytes(page, start))
      }
      if (index < count) appended = false
      if (change.value.kind === 'tombstone') continue
      this.#encoder.push(run, change.key, change.value)
    }
    for (; index < count; index++) {
      const start = entryStart(page, index)
      run.push(page.bytes, start, entryBytes(page, start))
    }
    yield
    return { run, appended }
  }

  *#writeLeaves(run: EntryRun, dense: boolean): Generator<void, ChildRef[]> {
    const refs: ChildRef[] = []
    for (const [from, to] of run.cuts(dense)) {
      const id = this.#store.allocate()
      this.#store.write(id, run.layOut(from, to, id, this.#store.kind))
      this.pagesWritten++
      refs.push({ key: run.keyAt(from), child: id })
      yield
    }
    return refs
  }

  #writeInternals(refs: readonly ChildRef[]): ChildRef[] {
    const written = writeInternals(this.#store, refs)
    this.pagesWritten += written.length
    return written
  }
}

/** Writes the internal pages above these children, as many as it takes. */
export function writeInternals(store: PageStore, refs: readonly ChildRef[]): ChildRef[] {
  return cutChildren(refs).map((run) => {
    const first = run[0]
    assert(first !== undefined, 'an internal page has children')
    const id = store.allocate()
    store.write(id, layOutInternal(run, id, store.kind))
    return { key: first.key, child: id }
  })
}

/** The root above these children: the only one, or pages above them until there is one. */
export function writeRoot(
  store: PageStore,
  children: readonly ChildRef[],
): { root: number; pagesWritten: number } {
  let refs = children
  let pagesWritten = 0
  while (refs.length > 1) {
    const above = writeInternals(store, refs)
    pagesWritten += above.length
    // Keys of foreign writers may be longer than ours: pages of one child each would never end.
    if (above.length === refs.length) {
      throw new EngineError('ENGINE_LIMIT', 'keys are too long for two of them in an index page')
    }
    refs = above
  }
  const root = refs[0]
  assert(root !== undefined, 'a tree has a root')
  return { root: root.child, pagesWritten }
}
