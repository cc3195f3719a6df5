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
import { damagedRecord, findRecord, type DamagedRecord } from './value-log/damaged-record.ts'
import { RECORD_HEADER_BYTES, ridOf, type RidWords } from './value-log/record.ts'
import { scanSegment } from './value-log/scan.ts'
import type { Segment } from './value-log/segment.ts'

/** Damaged records of one segment behind which it is read on; each costs a read. */
const PASSED_MAX = 64

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
      visit: (place, rid) => places.note(rid, place, metadata),
      tolerates: (segment) => !segment.isWhole,
    }),
  )
  await slicer.run(refuseHidden(places.missing, kind, reading))
  // Also above what a batch names that lost it: a record of that id would bring the batch back.
  const free = firstFree(reading, metadata)
  const next = places.highest < free ? free : places.highest + 1n
  return { pointers: places.pointers(), next }
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
  /** The first that no crash explains. */
  damage: EngineError | null
  /** Where the file's end cuts a record. */
  cut: { segment: Segment; at: number }[]
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
    visit?: Visit
    /** Damage does not end the reading. */
    tolerates: (segment: Segment) => boolean
    watch?: (done: number) => void
  },
): Generator<void, Reading> {
  const reading: Reading = { highest: 0n, isComplete: true, damage: null, cut: [] }
  let before = 0
  for (const segment of segments) {
    const visit: Visit = (place, rid) => {
      if (place.isSound && rid > reading.highest) reading.highest = rid
      how.visit?.(place, rid)
    }
    yield* readSegment(segment, kind, { reading, ...how, visit }, (at) => how.watch?.(before + at))
    before += segment.bytesTotal
    how.watch?.(before)
    yield
  }
  return reading
}

type Visit = (place: Place, rid: bigint) => void

/**
 * Behind a damaged record it goes on where that one says that it ends. What a crash leaves ends it: behind the
 * last sync of a file that was still written, a power cut may leave anything.
 */
function* readSegment(
  segment: Segment,
  kind: ChecksumKind,
  how: { reading: Reading; visit: Visit; tolerates: (segment: Segment) => boolean },
  watch: (at: number) => void,
): Generator<void, void> {
  const { reading, visit, tolerates } = how
  let at = 0
  let passed: DamagedRecord | null = null
  let passedCount = 0
  const visitAll = (record: IdsOfRecord, isSound: boolean): void => {
    const offset = record.start + CRC_BYTES
    const body = RECORD_HEADER_BYTES - CRC_BYTES + record.payloadBytes
    record.rids.forEach((words, index) => {
      const length = record.grouped ? groupedLength(body, index) : body
      visit({ pointer: { segmentId: segment.id, offset, length }, segment, isSound }, ridOf(words))
    })
  }
  // Its length leads to a sound record or to the end, so it is taken for what it says: reading it tells.
  const takePassed = (): void => {
    const says = passed?.says
    if (passed !== null && says?.end === at) visitAll({ start: passed.start, ...says }, false)
    passed = null
  }
  for (;;) {
    const scan = scanSegment(
      segment.file,
      kind,
      (record) => {
        takePassed()
        visitAll(record, true)
        at = record.start + record.bytes.length
      },
      { from: at },
    )
    try {
      let step = scan.next()
      for (; step.done !== true; step = scan.next()) {
        watch(at)
        yield
      }
      takePassed()
      if (step.value.tail !== 'torn') return
      reading.cut.push({ segment, at })
      // Once it was whole on disk: no crash has cut it.
      if (segment.isWhole) {
        reading.damage ??= new EngineError(
          'ENGINE_CORRUPT',
          `${segment.name} ends in a record at ${at}`,
        )
      }
      return
    } catch (error) {
      if (!isCorruption(error) || !tolerates(segment)) throw error
      reading.isComplete = false
      const damaged: DamagedRecord = damagedRecord(segment.file, at)
      if (damaged.isHole) return
      reading.damage ??= error
      // Two in a row: the length of the first may have led anywhere.
      if (damaged.says === null || passed !== null || ++passedCount > PASSED_MAX) return
      passed = damaged
      at = damaged.says.end
      yield
    }
  }
}

interface IdsOfRecord {
  start: number
  payloadBytes: number
  grouped: boolean
  rids: RidWords[]
}

/**
 * ENGINE_CORRUPT when ids that the journal names were not found and damage may hide them: their batches would
 * be left out, and the journal that has them deleted. Without damage a crash has lost them, and nobody
 * was told that they are durable.
 */
function* refuseHidden(
  missing: ReadonlySet<bigint>,
  kind: ChecksumKind,
  { damage, cut }: Reading,
): Generator<void, void> {
  const [one] = missing
  if (one === undefined) return
  const names = `the journal names record id ${one}, which is in no segment`
  if (damage !== null) {
    throw new EngineError('ENGINE_CORRUPT', `${damage.message}; ${names}`, damage)
  }
  for (const { segment, at } of cut) {
    const found = yield* findRecord(segment.file, kind, at + 1, missing)
    if (found === undefined) continue
    throw new EngineError(
      'ENGINE_CORRUPT',
      `${segment.name} at ${at}: the record ends behind the file, and hides the one at ${found.start}, ` +
        `whose id ${found.rid} the journal names`,
    )
  }
}

interface Place {
  pointer: ValuePointer
  segment: Segment
  /** false: its record is damaged, and what it says may be wrong. */
  isSound: boolean
}

/** Where the ids lie that a journal names. Nothing else is remembered: memory follows the journal. */
class Places {
  readonly #wanted = new Set<bigint>()
  /** Of those wanted; 0: none is. */
  highest = 0n
  readonly #found = new Map<bigint, Place & { rank: number; rival: Segment | null }>()

  constructor(batches: readonly JournalBatch[]) {
    for (const { operations } of batches) {
      for (const operation of operations) {
        if (operation.op !== 'set_rid') continue
        const rid = ridOf(operation.rid)
        this.#wanted.add(rid)
        if (rid > this.highest) this.highest = rid
      }
    }
  }

  get isEmpty(): boolean {
    return this.#wanted.size === 0
  }

  get missing(): Set<bigint> {
    return new Set([...this.#wanted].filter((rid) => !this.#found.has(rid)))
  }

  note(rid: bigint, place: Place, metadata: Metadata | undefined): void {
    if (!this.#wanted.has(rid)) return
    // Of our own records a damaged one counts more than a sound one of others: that has another value.
    const rank = (isMadeHere(place.segment, metadata) ? 2 : 0) + (place.isSound ? 1 : 0)
    const known = this.#found.get(rid)
    if (known === undefined || rank > known.rank) {
      this.#found.set(rid, { ...place, rank, rival: null })
    } else if (rank === known.rank) {
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
