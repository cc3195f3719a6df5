/**
 * What the store holds: the memtables over the published tree, versions for open readers, and the
 * one place where a change becomes visible and live bytes move with it. Synchronous throughout: a
 * change is either not begun or complete when any other code runs.
 */
import { assert } from './assert.ts'
import { copyOf, keyBytes, keyString } from './bytes.ts'
import { TOMBSTONE, entryKey, entryStart, entryValue, type Located } from './index/leaf.ts'
import type { PageStore } from './index/page-store.ts'
import { pageCount, type Page } from './index/page.ts'
import { TreeCursor, findInTree, walkTree, type Changes } from './index/tree.ts'
import type { KeyCache } from './key-cache.ts'
import type { KeyHasher } from './key-hash.ts'
import { Memtable } from './memtable.ts'
import type { RangeOptions } from './api.ts'
import type { SegmentId } from './types.ts'
import { KeyFinger } from './key-finger.ts'
import type { PointerMoves } from './value-log/pointer-moves.ts'
import type { SegmentSet } from './value-log/segment-set.ts'
import type { Segment } from './value-log/segment.ts'
import type { ValuePointer } from './value-pointer.ts'

export interface TreeRoot {
  userRoot: number
  systemRoot: number
  /** Counts published trees in this opening; pages retire under it. */
  version: number
}

/** A consistent state: everything with a sequence number up to `seq`. */
export interface ReadView {
  readonly seq: number
  /** Newest first. */
  readonly tables: readonly Memtable[]
  readonly root: TreeRoot
}

export interface KeyChange {
  key: Uint8Array
  value: Located
}

/** Above it the cache begins anew, so that segments long gone need not be remembered. */
const MOVED_FROM_MAX = 256

export class KeySpace {
  readonly #pages: PageStore
  readonly #set: SegmentSet
  readonly #hasher: KeyHasher
  /** Of the newest state: `apply` keeps it true, and `movePointers` says which rows may not be. */
  readonly #cache: KeyCache
  /**
   * Segments whose keys were pointed elsewhere, without a look at the cache for each. Their ids as signed
   * words: those are numbers that need no object.
   */
  readonly #movedFrom = new Set<number>()
  #root: TreeRoot
  #active = new Memtable(1)
  #frozen: Memtable | null = null
  /** Empty, with the memory of one that was published and that nobody looks at: for the next one. */
  #spare: Memtable | null = null
  #seq = 0
  /** Means nothing: it keeps the compiler from leaving out reads that are made for the cache's sake. */
  looked = 0
  readonly #readers = new Set<ReadView>()
  /** Highest seq of an open reader, -1 without readers: versions at or below it must stay. */
  #newestReaderSeq = -1

  constructor(
    parts: { pages: PageStore; set: SegmentSet; hasher: KeyHasher; cache: KeyCache },
    root: TreeRoot,
  ) {
    this.#pages = parts.pages
    this.#set = parts.set
    this.#hasher = parts.hasher
    this.#cache = parts.cache
    this.#root = root
  }

  /** Sequence number of the newest change; each batch has one. */
  get seq(): number {
    return this.#seq
  }

  /** Generation of changes being taken now. */
  get generation(): number {
    return this.#active.generation
  }

  get root(): TreeRoot {
    return this.#root
  }

  get activeBytes(): number {
    return this.#active.bytes
  }

  get memtableEntries(): number {
    return this.#active.size + (this.#frozen?.size ?? 0)
  }

  get memtableBytes(): number {
    return this.#active.bytes + (this.#frozen?.bytes ?? 0)
  }

  // ------------------------------------------------------------ changing

  /** Makes a batch visible under one new sequence number and moves live bytes accordingly. Keys are copied. */
  apply(changes: readonly KeyChange[]): void {
    const active = this.#active
    const seq = ++this.#seq
    const moment = { seq, generation: active.generation }
    const at = { seq, newestReaderSeq: this.#newestReaderSeq }
    for (const { key, value } of changes) {
      const hash = this.#hasher.hash(key)
      const row = this.#cachedRow(key, hash)
      const entry = active.find(key, hash)
      const before = this.#before(key, hash, { row, entry })
      // The new value first: a segment that holds both never passes through zero.
      if (value.kind === 'pointer') this.#set.acquire(value.pointer)
      if (before?.kind === 'pointer') this.#set.release(before.pointer, moment)
      active.set(entry, { bytes: key, hash }, value, at)
      if (value.kind !== 'pointer') {
        if (row >= 0) this.#cache.forget(row)
      } else if (row >= 0) this.#cache.set(row, value.pointer)
      else this.#cache.offer(key, hash, value.pointer)
    }
  }

  /** What a key holds, by its row of the cache or its entry of the active table where it has one. */
  #before(
    key: Uint8Array,
    hash: number,
    { row, entry }: { row: number; entry: number },
  ): Located | undefined {
    if (row >= 0) return { kind: 'pointer', pointer: this.#cache.at(row) }
    return entry < 0 ? this.#below(key, hash) : this.#active.newest(entry)
  }

  /**
   * Writes again what the keys hold, so that the next checkpoint makes new leaves for them. Nothing
   * changes for readers, and losing it in a crash loses nothing: it needs no journal.
   */
  touch(keys: readonly Uint8Array[]): void {
    this.apply(
      keys.map((key) => {
        const now = this.current(key) ?? TOMBSTONE
        const isView = now.kind === 'inline'
        return { key, value: isView ? { kind: 'inline', value: copyOf(now.value) } : now }
      }),
    )
  }

  /** Asks many keys, one after another: cheap when they come in key order. */
  finger(): KeyFinger {
    return new KeyFinger(this, this.#pages)
  }

  /** The hash that memtables and cache ask for. */
  hashOf(key: Uint8Array): number {
    return this.#hasher.hash(key)
  }

  /** What the memtables hold of a key now; undefined when the tree has to be asked. */
  inMemory(key: Uint8Array, hash: number): Located | undefined {
    return this.#active.get(key, hash, this.#seq) ?? this.#frozen?.get(key, hash, this.#seq)
  }

  /**
   * Points the keys of these moves to the copies, under one new sequence number. Each must hold exactly
   * its old pointer, asked in the same turn of the thread.
   */
  movePointers(moves: PointerMoves, indexes: readonly number[]): void {
    const active = this.#active
    const seq = ++this.#seq
    const moment = { seq, generation: active.generation }
    const at = { seq, newestReaderSeq: this.#newestReaderSeq }
    const source = moves.records.segment
    this.#set.touch(source)
    this.#distrust(source.id)
    let target: Segment | null = null
    this.#bringNear(moves, indexes)
    // One object each for all: whoever gets them takes what they say.
    const pointer = { segmentId: 0, offset: 0, length: 0 }
    const from = { segmentId: 0, offset: 0, length: 0 }
    const value = { kind: 'pointer', pointer } as const
    for (const index of indexes) {
      const key = moves.key(index)
      const hash = moves.hash(index)
      moves.readTo(index, pointer)
      if (pointer.segmentId !== target?.id) target = this.#set.touched(pointer)
      // The new place first: a segment that holds both never passes through zero.
      target.acquire(pointer)
      moves.readFrom(index, from)
      source.release(from, moment)
      active.set(active.find(key, hash), { bytes: key, hash }, value, at)
    }
  }

  /**
   * Looks at the places where the keys are to be found, nothing else between: the processor waits for
   * many of them at once, and a turn of the loop that changes them for none.
   */
  #bringNear(moves: PointerMoves, indexes: readonly number[]): void {
    let seen = 0
    for (const index of indexes) {
      const hash = moves.hash(index)
      seen ^= this.#active.near(hash)
    }
    this.looked = seen
  }

  /** The key's row of the cache, when that is known to be true; else -1. */
  #cachedRow(key: Uint8Array, hash: number): number {
    const row = this.#cache.find(key, hash)
    if (row < 0 || !this.#movedFrom.has(this.#cache.segmentAt(row) | 0)) return row
    this.#cache.forget(row)
    return -1
  }

  /** Rows that name the segment are not believed any more. */
  #distrust(id: SegmentId): void {
    if (this.#movedFrom.size === MOVED_FROM_MAX) {
      this.#cache.clear()
      this.#movedFrom.clear()
    }
    this.#movedFrom.add(id | 0)
  }

  /** What the key holds now; a tombstone or undefined when it holds nothing. */
  current(key: Uint8Array): Located | undefined {
    const hash = this.#hasher.hash(key)
    const row = this.#cachedRow(key, hash)
    if (row >= 0) return { kind: 'pointer', pointer: this.#cache.at(row) }
    const found = this.#active.get(key, hash, this.#seq) ?? this.#below(key, hash)
    if (found?.kind === 'pointer') this.#cache.admit(key, hash, found.pointer)
    return found
  }

  /** What the key holds where the active table does not know it. */
  #below(key: Uint8Array, hash: number): Located | undefined {
    return (
      this.#frozen?.get(key, hash, this.#seq) ?? findInTree(this.#pages, this.#root.userRoot, key)
    )
  }

  // ------------------------------------------------------------ checkpointing

  /** Takes what was written so far out of the way of new writes; undefined when there is nothing. */
  freeze(evenEmpty = false): Memtable | undefined {
    assert(this.#frozen === null, 'what was frozen is published before more is')
    if (this.#active.size === 0 && !evenEmpty) return undefined
    this.#frozen = this.#active
    this.#active = new Memtable(this.#frozen.generation + 1, this.#spare)
    this.#spare = null
    return this.#frozen
  }

  /** The frozen table as changes for the tree, ascending by key; each is made when it is asked for. */
  *frozenChanges(): Generator<void, Changes> {
    const frozen = this.#frozen
    if (frozen === null) return []
    const sorted = yield* frozen.sorting()
    return {
      length: sorted.length,
      at: (index) => {
        const entry = sorted[index] as number
        return { key: frozen.keyOf(entry), value: frozen.newest(entry) }
      },
    }
  }

  /** The tree now contains the frozen table. */
  publish(root: TreeRoot): void {
    this.#root = root
    // A reader may look at it for as long as it likes.
    this.#spare =
      this.#frozen !== null && this.#readers.size === 0 ? new Memtable(0, this.#frozen) : null
    this.#frozen = null
  }

  /** The same trees at other places. */
  replaceRoot(root: TreeRoot): void {
    this.#root = root
  }

  // ------------------------------------------------------------ reading

  /** A view of now, or the same as `of`, that stays valid until `closeView`. */
  openView(of?: ReadView): ReadView {
    const view = of === undefined ? this.currentView() : { ...of }
    this.#readers.add(view)
    this.#newestReaderSeq = Math.max(this.#newestReaderSeq, view.seq)
    return view
  }

  closeView(view: ReadView): void {
    if (!this.#readers.delete(view)) return
    this.#newestReaderSeq = -1
    for (const reader of this.#readers) {
      if (reader.seq > this.#newestReaderSeq) this.#newestReaderSeq = reader.seq
    }
  }

  /** Valid until the next change or publication. */
  currentView(): ReadView {
    const tables = this.#frozen === null ? [this.#active] : [this.#active, this.#frozen]
    return { seq: this.#seq, tables, root: this.#root }
  }

  get readerCount(): number {
    return this.#readers.size
  }

  /** Root versions that somebody may walk: the newest, and those of readers. Each once. */
  versionsRead(): number[] {
    const read = new Set([this.#root.version])
    for (const reader of this.#readers) read.add(reader.root.version)
    return [...read]
  }

  get(view: ReadView, key: Uint8Array): Located | undefined {
    const hash = this.#hasher.hash(key)
    for (const table of view.tables) {
      const found = table.get(key, hash, view.seq)
      if (found !== undefined) return found.kind === 'tombstone' ? undefined : found
    }
    const found = findInTree(this.#pages, view.root.userRoot, key)
    return found === undefined || found.kind === 'tombstone' ? undefined : found
  }

  /**
   * One key of each leaf page of the user's tree that lies in one of these value-log segments, in memory
   * of its own. Yields undefined in between, so that the caller can give the thread back. Costs nothing
   * in a tree without such leaves.
   */
  *keysOfLoggedLeaves(
    view: ReadView,
    segments: ReadonlySet<SegmentId>,
  ): Generator<Uint8Array | undefined, void> {
    if (!this.#pages.hasLogged) return
    for (const found of this.#leaves(view.root.userRoot, segments)) {
      yield found?.isLogged === true ? firstKey(found.page) : undefined
    }
  }

  /**
   * What the system tree has in these segments: values by key, and one key without a pointer of each
   * leaf page there. Keys are in memory of their own. Yields undefined in between, like the one above.
   */
  *systemReferences(
    view: ReadView,
    segments: ReadonlySet<SegmentId>,
  ): Generator<{ key: Uint8Array; pointer: ValuePointer | null } | undefined, void> {
    for (const found of this.#leaves(view.root.systemRoot, segments)) {
      if (found !== undefined) {
        const { page, isLogged } = found
        const first = isLogged ? firstKey(page) : undefined
        if (first !== undefined) yield { key: first, pointer: null }
        for (let i = 0; i < pageCount(page); i++) {
          const start = entryStart(page, i)
          const value = entryValue(page, start)
          if (value.kind !== 'pointer' || !segments.has(value.pointer.segmentId)) continue
          yield { key: copyOf(entryKey(page, start)), pointer: value.pointer }
        }
      }
      yield undefined
    }
  }

  /** The leaves of a tree, and whether one lies in one of these segments; undefined in between. */
  *#leaves(
    root: number,
    segments: ReadonlySet<SegmentId>,
  ): Generator<{ page: Page; isLogged: boolean } | undefined, void> {
    let isLogged = false
    let found: { page: Page; isLogged: boolean } | undefined
    const walk = walkTree(this.#pages, root, {
      page: (id) => {
        const ref = this.#pages.loggedLeaf(id)
        isLogged = ref !== undefined && segments.has(ref.segmentId)
      },
      leaf: (page) => (found = { page, isLogged }),
    })
    for (let isDone = false; !isDone;) {
      isDone = walk.next().done === true
      const leaf = found
      found = undefined
      yield leaf
    }
  }

  /** Entries of a view in key order (or reverse), deleted ones left out. */
  *entries(view: ReadView, range: RangeOptions): Generator<{ key: Uint8Array; value: Located }> {
    const direction = range.reverse === true ? -1 : 1
    const sources: Source[] = view.tables.map((table) => tableSource(table, range, view.seq))
    sources.push(treeSource(new TreeCursor(this.#pages, view.root.userRoot), range))
    const limit = range.limit ?? Infinity
    for (let given = 0; given < limit;) {
      let best: Source | undefined
      for (const source of sources) {
        if (source.key === undefined) continue
        const closer =
          best?.key === undefined ||
          (direction === 1 ? source.key < best.key : source.key > best.key)
        // On equal keys the earlier source wins: it is the newer table.
        if (closer) best = source
      }
      if (best?.key === undefined) return
      const key = best.key
      const value = best.value()
      for (const source of sources) if (source.key === key) source.next()
      if (value.kind === 'tombstone') continue
      given++
      yield { key: keyBytes(key), value }
    }
  }
}

/** A page's first key in memory of its own; undefined for an empty page. */
function firstKey(page: Page): Uint8Array | undefined {
  return pageCount(page) > 0 ? copyOf(entryKey(page, entryStart(page, 0))) : undefined
}

/** One sorted stream of entries; `key` is undefined at its end. */
interface Source {
  key: string | undefined
  value(): Located
  next(): void
}

function tableSource(table: Memtable, range: RangeOptions, seq: number): Source {
  const entries = table.sorted()
  const from = lowBound(table, entries, range)
  const to = highBound(table, entries, range)
  const step = range.reverse === true ? -1 : 1
  let at = step === 1 ? from - 1 : to
  let current: Located = TOMBSTONE
  const source: Source = {
    key: undefined,
    value: () => current,
    next() {
      source.key = undefined
      for (at += step; at >= from && at < to; at += step) {
        const entry = entries[at] as number
        const found = table.at(entry, seq)
        // Written after the view was opened: not there for this reader.
        if (found === undefined) continue
        source.key = keyString(table.keyOf(entry))
        current = found
        return
      }
    },
  }
  source.next()
  return source
}

function lowBound(table: Memtable, entries: Uint32Array, range: RangeOptions): number {
  const inclusive = range.gte === undefined ? 0 : table.lowerBound(entries, range.gte, false)
  const exclusive = range.gt === undefined ? 0 : table.lowerBound(entries, range.gt, true)
  return Math.max(inclusive, exclusive)
}

function highBound(table: Memtable, entries: Uint32Array, range: RangeOptions): number {
  const all = entries.length
  const inclusive = range.lte === undefined ? all : table.lowerBound(entries, range.lte, true)
  const exclusive = range.lt === undefined ? all : table.lowerBound(entries, range.lt, false)
  return Math.min(inclusive, exclusive)
}

function treeSource(cursor: TreeCursor, range: RangeOptions): Source {
  const low = [range.gte, range.gt].filter((k) => k !== undefined).map(keyString)
  const high = [range.lte, range.lt].filter((k) => k !== undefined).map(keyString)
  const above = range.gt === undefined ? undefined : keyString(range.gt)
  const below = range.lt === undefined ? undefined : keyString(range.lt)
  const lowest = low.length === 0 ? undefined : low.reduce((a, b) => (a > b ? a : b))
  const highest = high.length === 0 ? undefined : high.reduce((a, b) => (a < b ? a : b))
  const reverse = range.reverse === true
  const start = reverse ? highest : lowest
  const startBytes = start === undefined ? undefined : keyBytes(start)
  if (reverse) cursor.seekLast(startBytes)
  else cursor.seekFirst(startBytes)
  const outside = (key: string): boolean =>
    reverse ? lowest !== undefined && key < lowest : highest !== undefined && key > highest
  const source: Source = {
    key: undefined,
    value: () => cursor.value,
    next() {
      cursor.step(reverse ? -1 : 1)
      settle()
    },
  }
  /** To the next key inside the bounds; exclusive bounds leave out exactly one key. */
  const settle = (): void => {
    while (cursor.valid) {
      const key = keyString(cursor.key)
      if (outside(key)) break
      if (key !== above && key !== below) {
        source.key = key
        return
      }
      cursor.step(reverse ? -1 : 1)
    }
    source.key = undefined
  }
  settle()
  return source
}
