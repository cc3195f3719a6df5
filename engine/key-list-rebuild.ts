/**
 * Key lists of segments that have none: sealed by a crash, or written by another engine. They are
 * gathered on the walk over all leaves that opening makes anyway, and written beside the others. With
 * too many keys for memory nothing is kept, and rewrites of those segments walk the tree.
 */
import type { SegmentId } from './types.ts'
import type { ValuePointer } from './value-pointer.ts'
import { SegmentKeys } from './value-log/segment-keys.ts'
import type { SegmentSet } from './value-log/segment-set.ts'

/** Some two million short keys. */
const MEMORY_MAX_BYTES = 64 * 1024 * 1024

export class KeyListRebuild {
  readonly #set: SegmentSet
  #lists = new Map<SegmentId, SegmentKeys>()
  #bytes = 0

  constructor(set: SegmentSet) {
    this.#set = set
  }

  /** Starts over; call when the segments are known and before the walk. */
  begin(): void {
    this.#bytes = 0
    this.#lists.clear()
    for (const segment of this.#set) {
      if (!this.#set.hasKeys(segment)) this.#lists.set(segment.id, new SegmentKeys())
    }
  }

  add(pointer: ValuePointer, key: Uint8Array): void {
    const list = this.#lists.get(pointer.segmentId)
    if (list === undefined) return
    const before = list.bytes
    list.add(pointer.offset, key)
    this.#bytes += list.bytes - before
    if (this.#bytes > MEMORY_MAX_BYTES) this.#lists = new Map()
  }

  save(): void {
    for (const [id, keys] of this.#lists) {
      const segment = this.#set.get(id)
      if (segment !== undefined) this.#set.saveKeys(segment, keys)
    }
    this.#lists = new Map()
  }
}
