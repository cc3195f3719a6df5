/**
 * Where many keys point now, one after another: the memtables are asked first, then the tree by a
 * finger, so that keys in key order cost a comparison each. Nothing is allocated for an answer.
 */
import { readU64 } from './bytes.ts'
import { entryPointerAt } from './index/leaf.ts'
import type { PageStore } from './index/page-store.ts'
import { TreeFinger } from './index/tree-finger.ts'
import type { KeySpace, TreeRoot } from './key-space.ts'
import type { SegmentId } from './types.ts'
import type { SegmentKeys } from './value-log/segment-keys.ts'
import { samePointer, type ValuePointer } from './value-pointer.ts'

/** Bytes of a pointer before its length, and before its segment. */
const LENGTH_AT = 8
const SEGMENT_AT = 12

export class KeyFinger {
  readonly #keySpace: KeySpace
  readonly #pages: PageStore
  #root: TreeRoot
  #tree: TreeFinger

  constructor(keySpace: KeySpace, pages: PageStore) {
    this.#keySpace = keySpace
    this.#pages = pages
    this.#root = keySpace.root
    this.#tree = new TreeFinger(pages, this.#root.userRoot)
  }

  /** The length word of the key's pointer when that names `offset` of this segment now, else 0. */
  lengthAt(key: Uint8Array, segmentId: SegmentId, offset: number): number {
    const { memtableEntries } = this.#keySpace
    const newer =
      memtableEntries === 0 ? undefined : this.#keySpace.inMemory(key, this.#keySpace.hashOf(key))
    if (newer !== undefined) {
      if (newer.kind !== 'pointer') return 0
      const { pointer } = newer
      return pointer.segmentId === segmentId && pointer.offset === offset ? pointer.length : 0
    }
    const tree = this.#current()
    return lengthIn(tree, tree.find(key), segmentId, offset)
  }

  /** The same of the key at a place of a list, cheap where the list has the order of the keys. */
  lengthListed(keys: SegmentKeys, at: number, segmentId: SegmentId, offset: number): number {
    if (this.#keySpace.memtableEntries === 0) {
      const tree = this.#current()
      const start = tree.next(keys.entries, keys.keyStart(at), keys.keyBytes(at))
      if (start >= 0) return lengthIn(tree, start, segmentId, offset)
    }
    return this.lengthAt(keys.key(at), segmentId, offset)
  }

  /**
   * The key holds exactly this pointer now. It did so under the root `seen`: while that is the newest
   * root, only the memtables can know of a change. `hash` is the key's.
   */
  stillHolds(key: Uint8Array, hash: number, pointer: ValuePointer, seen: TreeRoot): boolean {
    if (seen === this.#keySpace.root) {
      const newer = this.#keySpace.inMemory(key, hash)
      if (newer === undefined) return true
      return newer.kind === 'pointer' && samePointer(newer.pointer, pointer)
    }
    return this.lengthAt(key, pointer.segmentId, pointer.offset) === pointer.length
  }

  /** A published checkpoint has a tree of its own, and pages of the old one may be used again. */
  #current(): TreeFinger {
    if (this.#keySpace.root === this.#root) return this.#tree
    this.#root = this.#keySpace.root
    this.#tree = new TreeFinger(this.#pages, this.#root.userRoot)
    return this.#tree
  }
}

/** The length word of the entry at `start`, when its pointer names `offset` of this segment, else 0. */
function lengthIn(tree: TreeFinger, start: number, segmentId: SegmentId, offset: number): number {
  const at = start < 0 ? -1 : entryPointerAt(tree.page, start)
  if (at < 0) return 0
  const { view } = tree.page
  if (view.getUint32(at + SEGMENT_AT, true) !== segmentId) return 0
  return readU64(view, at) === offset ? view.getUint32(at + LENGTH_AT, true) : 0
}
