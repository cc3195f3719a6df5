/**
 * Where a rewrite puts its copies: segments of its own lane, filled pass after pass. Neighbouring values are
 * tried as one LZ4 frame; where that does not pay they become plain records. Nothing here is visible
 * to readers until the caller swaps pointers.
 */
import type { ChecksumKind } from '../checksum.ts'
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
import type { Segment } from '../value-log/segment.ts'
import type { ValueLog } from '../value-log/value-log.ts'

export interface Copied {
  key: Uint8Array
  from: ValuePointer
  to: ValuePointer
  rid: RidWords
}

interface Waiting {
  key: Uint8Array
  from: ValuePointer
  value: Uint8Array
}

/**
 * Raw bytes of one frame. Larger compresses little better and keeps more dead values alive with the
 * last living one; smaller wastes the compressor's call.
 */
const GROUP_RAW_BYTES = 8 * 1024
const GROUP_VALUES_MAX = 16
/** After this many groups in a row that did not pay, only every PROBE_EVERY-th is tried. */
const FAILURES_UNTIL_PROBING = 8
const PROBE_EVERY = 32

export class RewriteOutput {
  /** Every segment that got a copy. */
  readonly segments = new Set<Segment>()
  bytesWritten = 0
  readonly #valueLog: ValueLog
  readonly #kind: ChecksumKind
  readonly #unsyncedSegments = new Set<Segment>()
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #copied: Copied[] = []
  #unsynced = 0
  #failures = 0
  #groups = 0

  constructor(valueLog: ValueLog, kind: ChecksumKind) {
    this.#valueLog = valueLog
    this.#kind = kind
  }

  /** Bytes appended since the last `sync`. */
  get unsyncedBytes(): number {
    return this.#unsynced + this.#waitingBytes
  }

  add(key: Uint8Array, from: ValuePointer, value: Uint8Array): void {
    if (this.#waiting.length > 0 && this.#waitingBytes + value.length > GROUP_RAW_BYTES) {
      this.#writeGroup()
    }
    this.#waiting.push({ key, from, value })
    this.#waitingBytes += value.length
    if (this.#waitingBytes >= GROUP_RAW_BYTES || this.#waiting.length >= GROUP_VALUES_MAX) {
      this.#writeGroup()
    }
  }

  /** All copies so far are on disk, folder entry included, when it resolves; they may now be named. */
  async sync(): Promise<Copied[]> {
    this.#writeGroup()
    const copied = this.#copied
    this.#copied = []
    const unsynced = [...this.#unsyncedSegments]
    this.#unsyncedSegments.clear()
    this.#unsynced = 0
    for (const segment of unsynced) await segment.sync()
    // The folder entries of new segments; foreground appends ride along.
    if (unsynced.length > 0) await this.#valueLog.sync()
    this.#valueLog.sealFullRewrites()
    return copied
  }

  #writeGroup(): void {
    const group = this.#waiting
    if (group.length === 0) return
    this.#waiting = []
    this.#waitingBytes = 0
    const rids = group.map(() => this.#valueLog.takeRid())
    const block = this.#compress(group)
    if (block !== undefined && this.#writeFrame(group, rids, block)) return
    group.forEach((one, i) => {
      const segment = this.#valueLog.rewriteSegment(RECORD_HEADER_BYTES + one.value.length)
      const rid = rids[i] as RidWords
      const to = segment.appendPlain(one.value, rid, this.#kind)
      this.#count(segment, RECORD_HEADER_BYTES + one.value.length)
      this.#copy({ key: one.key, from: one.from, to, rid }, segment)
    })
  }

  #compress(group: readonly Waiting[]): Uint8Array | undefined {
    this.#groups++
    const probing = this.#failures >= FAILURES_UNTIL_PROBING
    if (probing && this.#groups % PROBE_EVERY !== 0) return undefined
    const raw =
      group.length === 1 ? (group[0] as Waiting).value : Buffer.concat(group.map((g) => g.value))
    const block = encodeLz4(raw)
    this.#failures = block === undefined ? this.#failures + 1 : 0
    return block
  }

  /** false when tables and block together are not smaller than plain records would be. */
  #writeFrame(group: readonly Waiting[], rids: readonly RidWords[], block: Uint8Array): boolean {
    const prefix = framePrefixBytes(group.length)
    const payload = prefix + block.length
    const plain = group.reduce((sum, g) => sum + RECORD_HEADER_BYTES + g.value.length, 0)
    const bytes = RECORD_HEADER_BYTES + payload
    if (bytes >= plain) return false
    const offsets = [0]
    for (const one of group)
      offsets.push((offsets[offsets.length - 1] as number) + one.value.length)
    const segment = this.#valueLog.rewriteSegment(bytes)
    const room = segment.reserve(bytes)
    const at = room.at + RECORD_HEADER_BYTES
    writeFramePrefix(room.target, at, { rids, offsets, codec: CODEC_LZ4, compressed: true })
    room.target.set(block, at + prefix)
    const start = segment.commit(payload, null, this.#kind)
    this.#count(segment, bytes)
    group.forEach((one, i) => {
      const length = groupedLength(BODY_HEADER_BYTES + payload, i)
      const to = { segmentId: segment.id, offset: start + CRC_BYTES, length }
      this.#copy({ key: one.key, from: one.from, to, rid: rids[i] as RidWords }, segment)
    })
    return true
  }

  #copy(copied: Copied, segment: Segment): void {
    segment.keys?.add(copied.to.offset, copied.key)
    this.#copied.push(copied)
  }

  #count(segment: Segment, bytes: number): void {
    this.bytesWritten += bytes
    this.#unsynced += bytes
    this.#unsyncedSegments.add(segment)
    this.segments.add(segment)
    this.#valueLog.set.touch(segment)
  }
}
