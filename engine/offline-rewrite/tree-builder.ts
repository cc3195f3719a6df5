/**
 * Builds a tree from entries in key order: full leaves one after the other, parents as their
 * children come, pages in the order of their ids. Memory is one open page a level.
 */
import type { ChecksumKind } from '../checksum.ts'
import { copyOf } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import {
  INTERNAL_CAPACITY,
  childRefBytes,
  layOutInternal,
  type ChildRef,
} from '../index/internal.ts'
import {
  EntryEncoder,
  EntryRun,
  LEAF_CAPACITY,
  newEntryBytes,
  type StoredValue,
} from '../index/leaf.ts'
import { FIRST_TREE_PAGE, INDEX_CHUNK_BYTES } from '../index/page-store.ts'
import { PAGE_BYTES, type Page } from '../index/page.ts'

/** Pages of a new index.db, written in order. Pages 0 and 1 are left to the metas. */
export class PageWriter {
  readonly file: OpenFile
  readonly #buffer = new Uint8Array(INDEX_CHUNK_BYTES)
  #buffered = 0
  #written = FIRST_TREE_PAGE * PAGE_BYTES

  constructor(file: OpenFile) {
    this.file = file
  }

  /** The id that the next page gets; after the last one, the number of pages. */
  get nextId(): number {
    return (this.#written + this.#buffered) / PAGE_BYTES
  }

  append(page: Page): void {
    if (this.#buffered === this.#buffer.length) this.#flush()
    this.#buffer.set(page.bytes, this.#buffered)
    this.#buffered += PAGE_BYTES
  }

  #flush(): void {
    this.file.write(this.#buffer, 0, this.#buffered, this.#written)
    this.#written += this.#buffered
    this.#buffered = 0
  }

  /** Everything is handed to the file, which is then as long as the format wants it. */
  finish(): void {
    this.#flush()
    this.file.truncate(Math.ceil(this.#written / INDEX_CHUNK_BYTES) * INDEX_CHUNK_BYTES)
  }
}

interface OpenInternal {
  children: ChildRef[]
  bytes: number
}

export class TreeBuilder {
  entries = 0
  readonly #pages: PageWriter
  readonly #kind: ChecksumKind
  readonly #encoder = new EntryEncoder()
  #leaf = new EntryRun()
  /** From the parents of leaves up. */
  readonly #levels: OpenInternal[] = []

  constructor(pages: PageWriter, kind: ChecksumKind) {
    this.#pages = pages
    this.#kind = kind
  }

  /** Keys ascend. ENGINE_LIMIT for an entry that no page holds. */
  push(key: Uint8Array, value: StoredValue): void {
    if (this.#leaf.bytes + newEntryBytes(key, value) > LEAF_CAPACITY) this.#endLeaf()
    this.#encoder.push(this.#leaf, key, value)
    this.entries++
  }

  /** The root's page id. */
  finish(): number {
    if (this.#leaf.count > 0 || this.#levels.length === 0) this.#endLeaf()
    for (let level = 0; ; level++) {
      const open = this.#levels[level] as OpenInternal
      const only = open.children[0]
      if (level === this.#levels.length - 1 && open.children.length === 1 && only !== undefined) {
        return only.child
      }
      this.#endInternal(level)
    }
  }

  #endLeaf(): void {
    const run = this.#leaf
    if (run.count === 0 && this.entries > 0) return
    const id = this.#pages.nextId
    this.#pages.append(run.layOut(0, run.count, id, this.#kind))
    const key = run.count === 0 ? new Uint8Array(0) : copyOf(run.keyAt(0))
    this.#leaf = new EntryRun()
    this.#add(0, { key, child: id })
  }

  #add(level: number, ref: ChildRef): void {
    const bytes = childRefBytes(ref)
    const open = (this.#levels[level] ??= { children: [], bytes: 0 })
    if (open.bytes + bytes > INTERNAL_CAPACITY) {
      // A tree of pages with one child each would never end.
      if (open.children.length < 2) {
        throw new EngineError('ENGINE_LIMIT', 'keys are too long for two of them in an index page')
      }
      this.#endInternal(level)
    }
    open.children.push(ref)
    open.bytes += bytes
  }

  #endInternal(level: number): void {
    const open = this.#levels[level]
    const first = open?.children[0]
    if (open === undefined || first === undefined) return
    const id = this.#pages.nextId
    this.#pages.append(layOutInternal(open.children, id, this.#kind))
    open.children = []
    open.bytes = 0
    this.#add(level + 1, { key: first.key, child: id })
  }
}
