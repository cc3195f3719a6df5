/**
 * Which records of a segment are referenced. Pointers are collected while the trees are walked, 8
 * bytes each; the walk over the segment then meets the records in the same order and joins the two.
 * So a pointer counts only where a whole record begins, and lengths come from the records' headers.
 *
 * Two counts: whole records each once (`bytesLiveDisk`, never more than the file: X1), and
 * upstream's (`bytesLiveUpstream`: without CRCs, plain records once per pointer).
 */
import type { RecordHead } from '../value-log/scan.ts'
import { BODY_HEADER_BYTES, MAX_FRAME_VALUES, RECORD_HEADER_BYTES } from '../value-log/record.ts'
import { CRC_BYTES, hintOf, isGrouped, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import { isSegmentId } from '../ids.ts'
import { leafRefPointer, type LeafRef } from '../index/leaf-ref.ts'
import type { SegmentId } from '../types.ts'

const FIRST_CAPACITY = 16
/** The largest file of ext4. Segments are mostly below 4 GiB, but a writer may have no cap at all. */
const START_MAX = 2 ** 44 - 1
/**
 * Pointers are sorted per MiB of the file, when the scan gets there: no sort holds the thread for long. Far
 * out the parts are larger, so that there are not too many whatever a pointer claims.
 */
const BUCKET_BYTES = 2 ** 20
const FAR = 2 ** 32
const FAR_BUCKET_BYTES = 2 ** 26
/** So many buckets lie before it. */
const FAR_PLACE = FAR / BUCKET_BYTES

/** A u64 in memory is low word, high word on every machine Node runs on but a few. */
const LOW_FIRST = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1
const HIGH_WORD = LOW_FIRST ? 1 : 0
const LOW_WORD = LOW_FIRST ? 0 : 1

/** (record start, length word) pairs into one part of a file, sortable by start without a comparator. */
class PointerBucket {
  readonly #base: number
  #keys = new BigUint64Array(FIRST_CAPACITY)
  #words = new Uint32Array(this.#keys.buffer)
  count = 0

  /** `base` is the first byte of its part, which is no longer than 4 GiB. */
  constructor(base: number) {
    this.#base = base
  }

  push(start: number, length: number): void {
    if (this.count === this.#keys.length) {
      const larger = new BigUint64Array(this.count * 2)
      larger.set(this.#keys)
      this.#keys = larger
      this.#words = new Uint32Array(larger.buffer)
    }
    this.#words[this.count * 2 + HIGH_WORD] = start - this.#base
    this.#words[this.count * 2 + LOW_WORD] = length
    this.count++
  }

  sort(): void {
    this.#keys.subarray(0, this.count).sort()
  }

  startAt(index: number): number {
    return this.#base + (this.#words[index * 2 + HIGH_WORD] ?? 0)
  }

  lengthAt(index: number): number {
    return this.#words[index * 2 + LOW_WORD] ?? 0
  }
}

/** References into one segment; collect them all, then `join` each record in order. */
export class SegmentReferences {
  readonly segmentId: SegmentId
  /** By place in the file; absent where nothing points. Emptied as the join moves on. */
  readonly #buckets: (PointerBucket | undefined)[] = []
  readonly #seen = new Uint8Array(MAX_FRAME_VALUES)
  /** The bucket being joined, sorted; undefined before the first and between two. */
  #current: PointerBucket | undefined
  #nextBucket = 0
  /** Place in the current bucket. */
  #cursor = 0
  leafRefs = 0

  bytesLiveDisk = 0
  bytesLiveUpstream = 0
  /** Distinct values. */
  valuesReferenced = 0
  /** Distinct records. */
  recordsReferenced = 0
  pointersValid = 0
  /** Pointers that contradict the record they name, or name no record. */
  pointersDangling = 0
  /** Start of the first such; null = none. */
  firstDanglingAt: number | null = null

  constructor(segmentId: SegmentId) {
    this.segmentId = segmentId
  }

  add(start: number, length: number): void {
    const isFar = start >= FAR
    const bytes = isFar ? FAR_BUCKET_BYTES : BUCKET_BYTES
    const within = start % bytes
    const place = isFar ? FAR_PLACE + (start - FAR - within) / bytes : (start - within) / bytes
    const bucket = (this.#buckets[place] ??= new PointerBucket(start - within))
    bucket.push(start, length)
  }

  /** Records in ascending order of start. */
  join(record: RecordHead): void {
    this.skipTo(record.start)
    if (this.nextStart() !== record.start) return
    const bodyBytes = BODY_HEADER_BYTES + record.payloadBytes
    this.#seen.fill(0)
    let valid = 0
    for (; this.nextStart() === record.start; this.#cursor++) {
      const pointer = this.#pointerAtCursor(record.start)
      const subIndex = subIndexOf(pointer)
      const hint = hintOf(pointer)
      const fits =
        isGrouped(pointer) === record.grouped &&
        subIndex < record.rids.length &&
        (hint === 0 || hint === bodyBytes)
      if (!fits) {
        this.#dangle(record.start)
        continue
      }
      valid++
      if (!record.grouped) this.bytesLiveUpstream += bodyBytes
      if (this.#seen[subIndex] === 0) this.valuesReferenced++
      this.#seen[subIndex] = 1
    }
    if (valid === 0) return
    this.pointersValid += valid
    this.recordsReferenced++
    this.bytesLiveDisk += RECORD_HEADER_BYTES + record.payloadBytes
    if (record.grouped) this.bytesLiveUpstream += bodyBytes
  }

  /** Record start of the next pointer to join; undefined at the end. */
  nextStart(): number | undefined {
    while (this.#current === undefined || this.#cursor >= this.#current.count) {
      if (this.#nextBucket >= this.#buckets.length) return undefined
      this.#current = this.#buckets[this.#nextBucket]
      this.#current?.sort()
      this.#buckets[this.#nextBucket] = undefined
      this.#nextBucket++
      this.#cursor = 0
    }
    return this.#current.startAt(this.#cursor)
  }

  /** Pointers below `start` met no record. */
  skipTo(start: number): void {
    for (let next = this.nextStart(); next !== undefined && next < start; next = this.nextStart()) {
      this.#dangle(next)
      this.#cursor++
    }
  }

  #pointerAtCursor(start: number): ValuePointer {
    const length = this.#current?.lengthAt(this.#cursor) ?? 0
    return { segmentId: this.segmentId, offset: start + CRC_BYTES, length }
  }

  #dangle(start: number): void {
    this.pointersDangling++
    this.firstDanglingAt ??= start
  }
}

/** References of one reading, by segment. */
export class References {
  readonly #segments = new Map<SegmentId, SegmentReferences>()
  /** Where the pointer before went: neighbours mostly point into one segment. */
  #last: SegmentReferences | undefined
  /** Pointers into segments that are not in the folder. */
  readonly missing = new Map<SegmentId, number>()
  /** Pointers whose own bytes cannot be one. */
  malformed = 0
  /** Leaf pages in the value log. */
  leafRefs = 0

  constructor(segmentIds: Iterable<SegmentId>) {
    for (const id of segmentIds) this.#segments.set(id, new SegmentReferences(id))
  }

  add({ segmentId, offset, length }: ValuePointer): void {
    const start = offset - CRC_BYTES
    if (!isSegmentId(segmentId) || start < 0 || start > START_MAX) {
      this.malformed++
      return
    }
    if (this.#last?.segmentId !== segmentId) this.#last = this.#segments.get(segmentId)
    if (this.#last !== undefined) this.#last.add(start, length)
    else this.missing.set(segmentId, (this.missing.get(segmentId) ?? 0) + 1)
  }

  /** The 16 bytes of a pointer at `at`: the same as `add`, without an object for each. */
  addEncoded(view: DataView, at: number): void {
    const start = view.getUint32(at, true) - CRC_BYTES
    const segmentId = view.getUint32(at + 12, true)
    const isFar = view.getUint32(at + 4, true) !== 0
    const known = this.#last?.segmentId === segmentId ? this.#last : undefined
    if (known !== undefined && !isFar && start >= 0) known.add(start, view.getUint32(at + 8, true))
    else this.#addSlowly(view, at)
  }

  #addSlowly(view: DataView, at: number): void {
    const high = view.getUint32(at + 4, true)
    // What does not fit a number exactly is beyond any file.
    const offset = high * 0x1_0000_0000 + view.getUint32(at, true)
    const segmentId = view.getUint32(at + 12, true)
    this.add({ segmentId, offset, length: view.getUint32(at + 8, true) })
  }

  /** The leaf page's frame lives; call once a page. */
  addLeafRef(ref: LeafRef): void {
    this.leafRefs++
    this.add(leafRefPointer(ref))
    const segment = this.#segments.get(ref.segmentId)
    if (segment !== undefined) segment.leafRefs++
  }

  of(segmentId: SegmentId): SegmentReferences {
    const segment = this.#segments.get(segmentId)
    if (segment === undefined) throw new RangeError(`segment ${segmentId} is not in the folder`)
    return segment
  }
}
