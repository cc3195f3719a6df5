/**
 * Where a rewrite puts its copies: segments of its own lane, filled pass after pass. Neighbouring values
 * are tried as one LZ4 frame; where that does not pay they become plain records. Nothing here is visible
 * to readers until the caller swaps pointers.
 */
import { assert } from '../assert.ts'
import type { ChecksumKind } from '../checksum.ts'
import type { SegmentId } from '../types.ts'
import { CRC_BYTES, groupedLength, type ValuePointer } from '../value-pointer.ts'
import { GroupEncoder } from '../value-log/group-encoder.ts'
import { BODY_HEADER_BYTES, RECORD_HEADER_BYTES, type RidWords } from '../value-log/record.ts'
import type { LiveRecords } from '../value-log/live-records.ts'
import { PointerMoves } from '../value-log/pointer-moves.ts'
import type { RecordRun } from '../value-log/record-run.ts'
import type { Segment } from '../value-log/segment.ts'
import type { ValuePlace } from '../value-log/source-reader.ts'
import type { ValueLog } from '../value-log/value-log.ts'

/** Most groups left out before one is tried again. */
const SKIP_GROUPS_MOST = 1024

export class RewriteOutput {
  bytesWritten = 0
  /** What waits to become a frame, and how it went with others. */
  readonly groups = new GroupEncoder(SKIP_GROUPS_MOST)
  readonly #valueLog: ValueLog
  readonly #kind: ChecksumKind
  readonly #takeRid: () => RidWords
  readonly #segments = new Set<Segment>()
  readonly #unsyncedSegments = new Set<Segment>()
  #current: Segment | null = null
  /** Got the run before. */
  #written: Segment | null = null
  /** Of the values that wait: their records, and the hashes of their keys. */
  readonly #rows: number[] = []
  readonly #hashes: number[] = []
  #moves: PointerMoves | null = null
  /** Memory of moves that were made, for the next ones. */
  readonly #spare: PointerMoves[] = []
  /** Filled in for each copy: one object for all. */
  readonly #place = { segmentId: 0, offset: 0, length: 0 }
  #unsynced = 0

  constructor(parts: { valueLog: ValueLog; kind: ChecksumKind; takeRid: () => RidWords }) {
    this.#valueLog = parts.valueLog
    this.#kind = parts.kind
    this.#takeRid = parts.takeRid
  }

  /** Every segment that got a copy. */
  get segmentIds(): SegmentId[] {
    return [...this.#segments].map((s) => s.id)
  }

  /** Bytes added since the last `sync`. */
  get unsyncedBytes(): number {
    return this.#unsynced + this.groups.used
  }

  /** What is added from now on are values of these records; nothing of others may be unsynced. */
  begin(records: LiveRecords): void {
    this.#moves = this.#emptyMoves(records)
  }

  /** Nobody looks at these moves any more. */
  giveBack(moves: PointerMoves): void {
    this.#spare.push(moves)
  }

  #emptyMoves(records: LiveRecords): PointerMoves {
    const spare = this.#spare.pop()
    if (spare === undefined) return new PointerMoves(records)
    spare.begin(records)
    return spare
  }

  /** `row` is the record's, `hash` its key's. */
  add(row: number, hash: number, value: ValuePlace): void {
    const { groups } = this
    const { bytes, from, to, body, crc } = value
    // May begin to leave groups out, so the group is empty whenever that is so.
    if (!groups.takes(to - from)) this.#writeGroup()
    if (groups.plainNext > 0) {
      groups.tookPlain(1)
      if (body === null) this.#writePlain(row, hash, bytes.subarray(from, to))
      else this.#copyPlain(row, hash, body, crc)
      return
    }
    groups.add(bytes, from, to)
    this.#rows.push(row)
    this.#hashes.push(hash)
    if (groups.isFull) this.#writeGroup()
  }

  /** So many of the values that come next are written plain, untried. */
  get plainNext(): number {
    return this.groups.plainNext
  }

  /** Sound records that become plain ones as they are, `plainNext` at most. */
  async addRun(run: RecordRun): Promise<void> {
    this.groups.tookPlain(run.count)
    const moves = this.#needMoves()
    for (let from = 0; from < run.count;) {
      const segment = this.#valueLog.rewriteSegment(run.bytesOf(from))
      // Its memory may be needed for the next run.
      if (segment !== this.#written) await this.settle()
      this.#written = segment
      const room = this.#valueLog.roomIn(segment)
      let offset = segment.bytesTotal + CRC_BYTES
      let to = from
      let bytes = 0
      for (; to < run.count; to++) {
        const length = run.bytesOf(to)
        if (bytes + length > room && to > from) break
        const rid = this.#takeRid()
        run.setRid(to, rid, this.#kind)
        const at = this.#place
        at.segmentId = segment.id
        at.offset = offset
        at.length = length - CRC_BYTES
        const row = run.row(to)
        const keys = segment.keysFor(moves.records.keyBytes(row))
        if (keys !== null) moves.records.noteKey(row, keys, offset)
        moves.add(row, run.hash(to), at, rid)
        bytes += length
        offset += length
      }
      this.#count(segment, bytes)
      await segment.appendRecords(run.part(from, to))
      from = to
    }
  }

  /** Values may be added one by one again. */
  async settle(): Promise<void> {
    await this.#written?.settle()
  }

  /**
   * All copies so far are on disk, folder entry included, when `done` resolves; they may be named then.
   * What is added meanwhile belongs to the next sync.
   */
  sync(): { moves: PointerMoves; done: Promise<void> } {
    this.#writeGroup()
    const moves = this.#needMoves()
    this.#moves = this.#emptyMoves(moves.records)
    const segments = [...this.#unsyncedSegments]
    this.#unsyncedSegments.clear()
    this.#current = null
    this.#unsynced = 0
    return { moves, done: this.#syncSegments(segments) }
  }

  #needMoves(): PointerMoves {
    assert(this.#moves !== null, 'values are added after begin')
    return this.#moves
  }

  async #syncSegments(segments: readonly Segment[]): Promise<void> {
    for (const segment of segments) await segment.sync()
    await this.#valueLog.syncNames()
    this.#valueLog.sealFullRewrites(segments)
  }

  #writeGroup(): void {
    const { groups } = this
    if (groups.count === 0) return
    const block = groups.encode()
    if (block !== undefined) this.#writeFrame(block)
    else {
      this.#rows.forEach((row, i) => {
        this.#writePlain(row, this.#hashes[i] as number, groups.value(i))
      })
    }
    this.#rows.length = 0
    this.#hashes.length = 0
    groups.clear()
  }

  #writePlain(row: number, hash: number, value: Uint8Array): void {
    const segment = this.#roomFor(RECORD_HEADER_BYTES + value.length)
    const rid = this.#takeRid()
    this.#copied(segment, { row, hash, to: segment.appendPlain(value, rid, this.#kind), rid })
  }

  /** A plain record as it is, but for its id. */
  #copyPlain(row: number, hash: number, body: Uint8Array, crc: number): void {
    const segment = this.#roomFor(CRC_BYTES + body.length)
    const rid = this.#takeRid()
    this.#copied(segment, { row, hash, to: segment.appendCopy(body, crc, rid, this.#kind), rid })
  }

  #writeFrame(block: Uint8Array): void {
    const payload = this.groups.payloadBytes(block)
    const segment = this.#roomFor(RECORD_HEADER_BYTES + payload)
    const rids = this.#rows.map(() => this.#takeRid())
    const offset = this.groups.appendTo(segment, { block, rids }, this.#kind)
    this.#rows.forEach((row, i) => {
      const length = groupedLength(BODY_HEADER_BYTES + payload, i)
      const to = { segmentId: segment.id, offset, length }
      this.#copied(segment, { row, hash: this.#hashes[i] as number, to, rid: rids[i] as RidWords })
    })
  }

  #copied(
    segment: Segment,
    copy: { row: number; hash: number; to: ValuePointer; rid: RidWords },
  ): void {
    const moves = this.#needMoves()
    const key = moves.records.key(copy.row)
    segment.keysFor(key.length)?.add(copy.to.offset, key)
    moves.add(copy.row, copy.hash, copy.to, copy.rid)
  }

  /** The segment that takes the next record; counts it. */
  #roomFor(bytes: number): Segment {
    const segment = this.#valueLog.rewriteSegment(bytes)
    this.#count(segment, bytes)
    return segment
  }

  #count(segment: Segment, bytes: number): void {
    if (segment !== this.#current) {
      this.#current = segment
      this.#segments.add(segment)
      this.#unsyncedSegments.add(segment)
    }
    this.#valueLog.set.touch(segment)
    this.bytesWritten += bytes
    this.#unsynced += bytes
  }
}
