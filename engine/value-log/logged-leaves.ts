/**
 * Leaf pages of the index that lie in the value log (format.md 2.6), for an open store. They are read
 * here and counted as live like values; the store itself writes its leaves to index.db only.
 */
import type { ChecksumKind } from '../checksum.ts'
import {
  checkLoggedLeaf,
  leafPageOf,
  leafRefPointer,
  resolveLeafRef,
  type LeafRef,
} from '../index/leaf-ref.ts'
import { makePage, type Page } from '../index/page.ts'
import { recordStart, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import { decodeFrameValues, type DictionarySource } from './compression.ts'
import { readRecord } from './read-record.ts'
import { RECORD_HEADER_BYTES, corrupt, parseFrame } from './record.ts'
import type { SegmentSet } from './segment-set.ts'

/** Only there may a leaf page be compact. */
const LEAF_FOLDER = 'leaf_vlog'

export class LoggedLeaves {
  readonly #set: SegmentSet
  readonly #kind: ChecksumKind
  readonly #dictionaries: DictionarySource

  constructor(set: SegmentSet, kind: ChecksumKind, dictionaries: DictionarySource) {
    this.#set = set
    this.#kind = kind
    this.#dictionaries = dictionaries
  }

  /** What the ref points at; ENGINE_SEGMENT_MISSING when its segment is not in the folder. */
  pointer(ref: LeafRef): ValuePointer {
    const segment = this.#set.need(leafRefPointer(ref))
    return leafRefPointer(resolveLeafRef(ref, segment.bytesTotal))
  }

  /** The page in memory of its own, checked as a page but still in the encoding it has. */
  read(ref: LeafRef): Page {
    const pointer = this.pointer(ref)
    const segment = this.#set.need(pointer)
    const where = `${segment.name} at ${recordStart(pointer)}`
    const payload = readRecord(segment, pointer, this.#kind).subarray(RECORD_HEADER_BYTES)
    const frame = parseFrame(payload, where)
    const from = frame.offsets[subIndexOf(pointer)]
    const to = frame.offsets[subIndexOf(pointer) + 1]
    if (from === undefined || to === undefined) {
      throw corrupt(where, `leaf page ${subIndexOf(pointer)} of a frame of ${frame.count}`)
    }
    const values = decodeFrameValues(payload, frame, where, this.#dictionaries)
    const compact = segment.name.split('/').at(-2) === LEAF_FOLDER
    const page = leafPageOf(values.subarray(from, to), { compact, where })
    checkLoggedLeaf(page, this.#kind, where)
    return makePage(new Uint8Array(page.bytes))
  }
}
