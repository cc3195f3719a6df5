/**
 * Finds what lives in the sources of a rewrite: from the list of keys once written to each, so that the
 * cost follows the segment and not the store, or by walking everything where there is no whole list.
 */
import type { KeySpace, TreeRoot } from '../key-space.ts'
import type { Slicer } from '../slicer.ts'
import type { SegmentId } from '../types.ts'
import { LiveRecords } from '../value-log/live-records.ts'
import { SegmentKeys } from '../value-log/segment-keys.ts'
import type { SegmentSet } from '../value-log/segment-set.ts'
import type { Segment } from '../value-log/segment.ts'
import type { ValuePointer } from '../value-pointer.ts'

/**
 * Records and the root under which each key held its record, at the latest; null for keys of the system
 * tree, which nobody but a rewrite changes.
 */
export interface Found {
  readonly live: LiveRecords
  readonly seen: TreeRoot | null
}

/** Entries looked at between two looks at the clock. */
const LOOK_EVERY = 64

export class LiveKeys {
  /** Keys asked for. */
  visited = 0
  /** Walks over everything the store holds. */
  walks = 0
  readonly #keySpace: KeySpace
  readonly #set: SegmentSet
  readonly #slicer: Slicer
  readonly #signal: AbortSignal

  constructor(parts: { keySpace: KeySpace; set: SegmentSet; slicer: Slicer; signal: AbortSignal }) {
    this.#keySpace = parts.keySpace
    this.#set = parts.set
    this.#slicer = parts.slicer
    this.#signal = parts.signal
  }

  /** From the segment's list of keys; undefined when that does not account for all that lives there. */
  async listed(source: Segment): Promise<Found | undefined> {
    const keys = await this.#set.keysOf(source, this.#slicer)
    if (keys === undefined) return undefined
    const live = new LiveRecords(source, keys)
    const seen = this.#keySpace.root
    const finger = this.#keySpace.finger()
    for (let at = 0; at < keys.bytes; at = keys.after(at)) {
      if (this.visited++ % LOOK_EVERY === 0) {
        if (this.#signal.aborted) break
        if (this.#slicer.due) await this.#slicer.pause()
      }
      const offset = keys.offset(at)
      const length = finger.lengthListed(keys, at, source.id, offset)
      if (length !== 0) live.add(offset, length, at)
    }
    live.sort('grouped')
    live.dropRepeats()
    // A sealed segment only loses live bytes, so a whole list has found at least what lives now.
    if (live.bytes() < source.bytesLive && !this.#signal.aborted) return undefined
    return { live, seen }
  }

  /** By one walk over all entries: for folders and segments without key lists. */
  async walked(sources: readonly Segment[]): Promise<Found[]> {
    const keySpace = this.#keySpace
    const found = emptyRecords(sources)
    this.walks++
    const view = keySpace.openView()
    try {
      for (const { key, value } of keySpace.entries(view, {})) {
        this.visited++
        if (value.kind === 'pointer') addTo(found, key, value.pointer)
        if (this.#signal.aborted) break
        if (this.visited % LOOK_EVERY === 0 && this.#slicer.due) await this.#slicer.pause()
      }
    } finally {
      keySpace.closeView(view)
    }
    return [...found.values()].map(({ live }) => ({ live, seen: view.root }))
  }

  /** What the system tree has in these segments, and one key of each of its leaf pages there. */
  async inSystemTree(
    sources: readonly Segment[],
  ): Promise<{ found: Found[]; leaves: Uint8Array[] }> {
    const keySpace = this.#keySpace
    const found = emptyRecords(sources)
    const leaves: Uint8Array[] = []
    const view = keySpace.openView()
    try {
      for (const reference of keySpace.systemReferences(view, new Set(found.keys()))) {
        if (this.#signal.aborted) break
        if (this.#slicer.due) await this.#slicer.pause()
        if (reference === undefined) continue
        this.visited++
        const { key, pointer } = reference
        if (pointer === null) leaves.push(key)
        else addTo(found, key, pointer)
      }
    } finally {
      keySpace.closeView(view)
    }
    const records = [...found.values()].filter(({ live }) => live.count > 0)
    return { found: records.map(({ live }) => ({ live, seen: null })), leaves }
  }
}

type RecordsBySegment = Map<SegmentId, { live: LiveRecords; keys: SegmentKeys }>

function emptyRecords(sources: readonly Segment[]): RecordsBySegment {
  return new Map(
    sources.map((source) => {
      const keys = new SegmentKeys()
      return [source.id, { live: new LiveRecords(source, keys), keys }]
    }),
  )
}

/** Records of other segments are not looked for. */
function addTo(found: RecordsBySegment, key: Uint8Array, pointer: ValuePointer): void {
  const of = found.get(pointer.segmentId)
  of?.live.add(pointer.offset, pointer.length, of.keys.add(pointer.offset, key))
}
