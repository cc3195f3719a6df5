/**
 * Where a rewrite puts its copies: segments of its own lane, filled pass after pass. Neighbouring values
 * are tried as one LZ4 frame; where that does not pay they become plain records. Nothing here is visible
 * to readers until the caller swaps pointers.
 */
import { assert } from '../assert.ts'
import type { ChecksumKind } from '../checksum.ts'
import type { SegmentId } from '../types.ts'
import { CRC_BYTES, groupedLength, type ValuePointer } from '../value-pointer.ts'
import { encodeLz4 } from '../value-log/compression.ts'
import {
  BODY_HEADER_BYTES,
  CODEC_LZ4,
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  writeFramePrefix,
  type RidWords,
} from '../value-log/record.ts'
import type { LiveRecords } from '../value-log/live-records.ts'
import { PointerMoves } from '../value-log/pointer-moves.ts'
import type { RecordRun } from '../value-log/record-run.ts'
import type { Segment } from '../value-log/segment.ts'
import type { ValuePlace } from '../value-log/source-reader.ts'
import type { ValueLog } from '../value-log/value-log.ts'

/**
 * Raw bytes of one frame. Larger compresses little better and keeps more dead values alive with the
 * last living one; smaller wastes the compressor's call.
 */
const GROUP_RAW_BYTES = 8 * 1024
const GROUP_VALUES_MAX = 16
/** After this many groups in a row that did not pay, groups are left out: first so many, then twice, ... */
const FAILURES_UNTIL_SKIPPING = 4
const SKIP_GROUPS_FIRST = 16
const SKIP_GROUPS_MOST = 1024

/** Values that wait to become a frame together; their bytes lie one behind the other. */
class Group {
  readonly rows: number[] = []
  readonly hashes: number[] = []
  /** Where each value ends. */
  readonly ends: number[] = [0]
  bytes: Buffer = Buffer.allocUnsafeSlow(2 * GROUP_RAW_BYTES)

  get used(): number {
    return this.ends[this.ends.length - 1] as number
  }

  get isEmpty(): boolean {
    return this.rows.length === 0
  }

  add(row: number, hash: number, value: ValuePlace): void {
    const at = this.used
    const end = at + value.to - value.from
    if (end > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(end)
      grown.set(this.bytes.subarray(0, at))
      this.bytes = grown
    }
    this.bytes.set(value.bytes.subarray(value.from, value.to), at)
    this.rows.push(row)
    this.hashes.push(hash)
    this.ends.push(end)
  }

  clear(): void {
    this.rows.length = 0
    this.hashes.length = 0
    this.ends.length = 1
    if (this.bytes.length > 2 * GROUP_RAW_BYTES) {
      this.bytes = Buffer.allocUnsafeSlow(2 * GROUP_RAW_BYTES)
    }
  }
}

export class RewriteOutput {
  bytesWritten = 0
  groupsTried = 0
  groupsKept = 0
  groupBytesRaw = 0
  groupBytesStored = 0
  readonly #valueLog: ValueLog
  readonly #kind: ChecksumKind
  readonly #takeRid: () => RidWords
  readonly #segments = new Set<Segment>()
  readonly #unsyncedSegments = new Set<Segment>()
  #current: Segment | null = null
  /** Got the run before. */
  #written: Segment | null = null
  readonly #group = new Group()
  #moves: PointerMoves | null = null
  #unsynced = 0
  #failures = 0
  #skipNext = SKIP_GROUPS_FIRST
  /** Values to be written plain before the next group is tried. */
  #skipValues = 0

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
    return this.#unsynced + this.#group.used
  }

  /** What is added from now on are values of these records; nothing of others may be unsynced. */
  begin(records: LiveRecords): void {
    this.#moves = new PointerMoves(records)
  }

  /** `row` is the record's, `hash` its key's. */
  add(row: number, hash: number, value: ValuePlace): void {
    const group = this.#group
    const length = value.to - value.from
    // May begin to leave groups out, so the group is empty whenever that is so.
    if (!group.isEmpty && group.used + length > GROUP_RAW_BYTES) this.#writeGroup()
    if (this.#skipValues > 0) {
      this.#skipValues--
      const { bytes, from, to, body, crc } = value
      if (body === null) this.#writePlain(row, hash, bytes.subarray(from, to))
      else this.#copyPlain(row, hash, body, crc)
      return
    }
    group.add(row, hash, value)
    if (group.used >= GROUP_RAW_BYTES || group.rows.length >= GROUP_VALUES_MAX) this.#writeGroup()
  }

  /** So many of the values that come next are written plain, untried. */
  get plainNext(): number {
    return this.#skipValues
  }

  /** Sound records that become plain ones as they are, `plainNext` at most. */
  async addRun(run: RecordRun): Promise<void> {
    this.#skipValues -= run.count
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
        const at = { segmentId: segment.id, offset, length: length - CRC_BYTES }
        this.#copied(segment, { row: run.row(to), hash: run.hash(to), to: at, rid })
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
    this.#moves = new PointerMoves(moves.records)
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
    const group = this.#group
    if (group.isEmpty) return
    if (!this.#writeFrame(group)) {
      this.#failed()
      group.rows.forEach((row, i) => {
        const from = group.ends[i] as number
        const to = group.ends[i + 1] as number
        this.#writePlain(row, group.hashes[i] as number, group.bytes.subarray(from, to))
      })
    }
    group.clear()
  }

  /** Values that do not compress come in long runs: after some, fewer and fewer are tried. */
  #failed(): void {
    if (++this.#failures < FAILURES_UNTIL_SKIPPING) return
    this.#skipValues = this.#skipNext * this.#group.rows.length
    this.#skipNext = Math.min(SKIP_GROUPS_MOST, this.#skipNext * 2)
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

  /** false when tables and block together are not smaller than plain records would be. */
  #writeFrame(group: Group): boolean {
    this.groupsTried++
    const { rows, hashes, ends } = group
    const block = encodeLz4(group.bytes.subarray(0, group.used))
    if (block === undefined) return false
    const prefix = framePrefixBytes(rows.length)
    const payload = prefix + block.length
    const bytes = RECORD_HEADER_BYTES + payload
    if (bytes >= group.used + rows.length * RECORD_HEADER_BYTES) return false
    this.#failures = 0
    this.#skipNext = SKIP_GROUPS_FIRST
    const segment = this.#roomFor(bytes)
    const rids = rows.map(() => this.#takeRid())
    const room = segment.reserve(bytes)
    const at = room.at + RECORD_HEADER_BYTES
    writeFramePrefix(room.target, at, { rids, offsets: ends, codec: CODEC_LZ4, compressed: true })
    room.target.set(block, at + prefix)
    const offset = segment.commit(payload, null, this.#kind) + CRC_BYTES
    rows.forEach((row, i) => {
      const to = {
        segmentId: segment.id,
        offset,
        length: groupedLength(BODY_HEADER_BYTES + payload, i),
      }
      this.#copied(segment, { row, hash: hashes[i] as number, to, rid: rids[i] as RidWords })
    })
    this.groupsKept++
    this.groupBytesRaw += group.used
    this.groupBytesStored += bytes
    return true
  }

  #copied(
    segment: Segment,
    copy: { row: number; hash: number; to: ValuePointer; rid: RidWords },
  ): void {
    const moves = this.#needMoves()
    segment.keys?.add(copy.to.offset, moves.records.key(copy.row))
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
