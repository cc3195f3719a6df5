/**
 * Record ids of a folder as a crash left it: where those lie that the journal names, and the first one
 * that was never handed out (backend.md 7). Opening for writing and the offline rewrite ask here.
 *
 * The metadata's mark is on disk before an id below it is handed out. An earlier version's offline rewrite
 * did not keep to that: killed, it left segments with ids from the mark on, which the openings after it
 * used a second time. So segments that the mark may not know of are asked whether they reach above it;
 * and of two records with one id the one counts that lies in a segment of which the metadata says that
 * a writer of this store made it.
 */
import type { ChecksumKind } from './checksum.ts'
import type { JournalBatch } from './commit-log/codec.ts'
import { EngineError, isCorruption } from './errors.ts'
import { RID_RESERVE, type Metadata } from './metadata.ts'
import type { Slicer } from './slicer.ts'
import type { SegmentId } from './types.ts'
import { CRC_BYTES, groupedLength, type ValuePointer } from './value-pointer.ts'
import { RECORD_HEADER_BYTES, ridOf } from './value-log/record.ts'
import { scanSegment } from './value-log/scan.ts'
import type { Segment } from './value-log/segment.ts'

/** Pointers of the ids the journal names, and the first id that was never used. */
export async function recoverRids(
  set: Iterable<Segment>,
  kind: ChecksumKind,
  context: {
    batches: readonly JournalBatch[]
    metadata: Metadata | undefined
    slicer: Slicer
  },
): Promise<{ pointers: Map<bigint, ValuePointer>; next: bigint }> {
  const { batches, metadata, slicer } = context
  const places = new Places(batches)
  // Without values to find, only what the mark may not cover is looked through; without a mark all is (B7).
  const segments = places.isEmpty ? await slicer.run(uncovered(set, kind, metadata)) : [...set]
  const reading = await slicer.run(
    readIds(segments, kind, {
      visit: (segment, rid, pointer) => places.note(rid, { pointer, segment }, metadata),
      // Behind the last sync of a file that was still written, a power cut may leave anything.
      tolerates: (segment) => !segment.isWhole,
    }),
  )
  return { pointers: places.pointers(), next: firstFree(reading, metadata) }
}

/**
 * The first id that was never used. ENGINE_CORRUPT for damage in a folder without a mark, where only
 * the records tell. `watch` is told how many bytes of how many were read.
 */
export function* firstFreeRid(
  set: Iterable<Segment>,
  kind: ChecksumKind,
  metadata: Metadata | undefined,
  watch: (done: number, total: number) => void,
): Generator<void, bigint> {
  const segments = yield* uncovered(set, kind, metadata)
  const total = segments.reduce((sum, segment) => sum + segment.bytesTotal, 0)
  const reading = yield* readIds(segments, kind, {
    tolerates: (segment) => metadata !== undefined && !segment.isWhole,
    watch: (done) => watch(done, total),
  })
  return firstFree(reading, metadata)
}

interface Reading {
  /** 0: no id was met. */
  highest: bigint
  /** No damage hides a part. */
  isComplete: boolean
}

/** Behind damage there may be any id that was ever handed out, and none may be given twice. */
function firstFree({ highest, isComplete }: Reading, metadata: Metadata | undefined): bigint {
  const mark = metadata?.ridReservedUntil ?? 1n
  const above = highest < mark ? mark : highest + 1n
  return isComplete ? above : above + RID_RESERVE
}

/** Segments that may hold an id which the mark is not above. Yields after each that it looked into. */
function* uncovered(
  set: Iterable<Segment>,
  kind: ChecksumKind,
  metadata: Metadata | undefined,
): Generator<void, Segment[]> {
  if (metadata === undefined) return [...set]
  const found: Segment[] = []
  for (const segment of set) {
    if (segment.seq < metadata.nextSeq) continue
    if (beginsAbove(segment, kind, metadata.ridReservedUntil)) found.push(segment)
    yield
  }
  return found
}

/** Ids of a segment ascend, so its first records tell whose turn it was. */
function beginsAbove(segment: Segment, kind: ChecksumKind, mark: bigint): boolean {
  let isAbove = false
  const scan = scanSegment(segment.file, kind, ({ rids }) => {
    if (rids.some((rid) => ridOf(rid) >= mark)) isAbove = true
  })
  try {
    scan.next()
  } catch (error) {
    if (!isCorruption(error)) throw error
    return true
  }
  return isAbove
}

/** Every id of every record. Yields about every 64 KiB and after each segment; `watch` is told the bytes read. */
function* readIds(
  segments: readonly Segment[],
  kind: ChecksumKind,
  how: {
    visit?: (segment: Segment, rid: bigint, pointer: ValuePointer) => void
    /** Damage ends the reading of this segment, not all of it. */
    tolerates: (segment: Segment) => boolean
    watch?: (done: number) => void
  },
): Generator<void, Reading> {
  const reading = { highest: 0n, isComplete: true }
  let before = 0
  for (const segment of segments) {
    let at = 0
    const scan = scanSegment(segment.file, kind, (record) => {
      at = record.start + record.bytes.length
      const offset = record.start + CRC_BYTES
      const body = RECORD_HEADER_BYTES - CRC_BYTES + record.payloadBytes
      record.rids.forEach((words, index) => {
        const rid = ridOf(words)
        if (rid > reading.highest) reading.highest = rid
        const length = record.grouped ? groupedLength(body, index) : body
        how.visit?.(segment, rid, { segmentId: segment.id, offset, length })
      })
    })
    try {
      while (scan.next().done !== true) {
        how.watch?.(before + at)
        yield
      }
    } catch (error) {
      if (!isCorruption(error) || !how.tolerates(segment)) throw error
      reading.isComplete = false
    }
    before += segment.bytesTotal
    how.watch?.(before)
    yield
  }
  return reading
}

interface Place {
  pointer: ValuePointer
  segment: Segment
}

/** Where the ids lie that a journal names. Nothing else is remembered: memory follows the journal. */
class Places {
  readonly #wanted = new Set<bigint>()
  readonly #found = new Map<bigint, Place & { isOurs: boolean; rival: Segment | null }>()

  constructor(batches: readonly JournalBatch[]) {
    for (const { operations } of batches) {
      for (const operation of operations) {
        if (operation.op === 'set_rid') this.#wanted.add(ridOf(operation.rid))
      }
    }
  }

  get isEmpty(): boolean {
    return this.#wanted.size === 0
  }

  note(rid: bigint, place: Place, metadata: Metadata | undefined): void {
    if (!this.#wanted.has(rid)) return
    const isOurs = isMadeHere(place.segment, metadata)
    const known = this.#found.get(rid)
    if (known === undefined || (isOurs && !known.isOurs)) {
      this.#found.set(rid, { ...place, isOurs, rival: null })
    } else if (known.isOurs === isOurs) {
      known.rival = place.segment
    }
  }

  /** ENGINE_CORRUPT when an id is in two places and nothing tells which one the journal means. */
  pointers(): Map<bigint, ValuePointer> {
    const pointers = new Map<bigint, ValuePointer>()
    for (const [rid, { pointer, segment, rival }] of this.#found) {
      if (rival !== null) {
        const where = `${segment.name} and in ${rival.name}`
        throw new EngineError('ENGINE_CORRUPT', `duplicate record id ${rid}: it is in ${where}`)
      }
      pointers.set(rid, pointer)
    }
    return pointers
  }
}

/** By a writer of this store: the metadata knows the segment, or was saved before it came. */
export function isMadeHere(
  { id, seq }: { id: SegmentId; seq: number },
  metadata: Metadata | undefined,
): boolean {
  return metadata === undefined || metadata.segments.has(id) || seq >= metadata.nextSeq
}
