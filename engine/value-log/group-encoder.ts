/**
 * Neighbouring values as one LZ4 frame, where that pays. Gathers them in memory of its own and remembers
 * how it went: values that do not compress come in long runs, so after some groups in a row that did not
 * shrink, fewer and fewer are tried.
 */
import type { ChecksumKind } from '../checksum.ts'
import { CRC_BYTES } from '../value-pointer.ts'
import { encodeLz4 } from './compression.ts'
import {
  CODEC_LZ4,
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  writeFramePrefix,
  type RidWords,
} from './record.ts'
import type { Segment } from './segment.ts'

/**
 * Raw bytes of one group. Larger compresses little better, costs each read of one value more and keeps
 * more dead values alive with the last living one; smaller wastes the compressor's call.
 */
const GROUP_BYTES = 8 * 1024
const GROUP_VALUES = 16
/** After this many groups in a row that did not pay, groups are left out: first so many, then twice, ... */
const FAILURES_UNTIL_SKIPPING = 4
const SKIP_GROUPS_FIRST = 16

export class GroupEncoder {
  groupsTried = 0
  groupsKept = 0
  groupBytesRaw = 0
  groupBytesStored = 0
  readonly #skipGroupsMost: number
  #bytes: Buffer = Buffer.allocUnsafeSlow(2 * GROUP_BYTES)
  /** Where each value ends, behind a 0. */
  readonly #ends: number[] = [0]
  #failures = 0
  #skipNext = SKIP_GROUPS_FIRST
  #skipValues = 0

  /** `skipGroupsMost`: so many groups are left out at most before one is tried again. */
  constructor(skipGroupsMost: number) {
    this.#skipGroupsMost = skipGroupsMost
  }

  /** So many of the values that come next are to be written plain, untried. The group is empty then. */
  get plainNext(): number {
    return this.#skipValues
  }

  /** So many of them were. */
  tookPlain(values: number): void {
    this.#skipValues -= values
  }

  get count(): number {
    return this.#ends.length - 1
  }

  /** Bytes of the values that wait. */
  get used(): number {
    return this.#ends[this.#ends.length - 1] as number
  }

  get isFull(): boolean {
    return this.used >= GROUP_BYTES || this.count >= GROUP_VALUES
  }

  /** A value of so many bytes belongs to the group; the first one always does. */
  takes(bytes: number): boolean {
    return this.count === 0 || this.used + bytes <= GROUP_BYTES
  }

  /** Bytes [from, to) of `bytes` are copied. */
  add(bytes: Uint8Array, from: number, to: number): void {
    const at = this.used
    const end = at + to - from
    if (end > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(end)
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
    }
    this.#bytes.set(bytes.subarray(from, to), at)
    this.#ends.push(end)
  }

  /** A view, valid until `clear`. */
  value(i: number): Uint8Array {
    return this.#bytes.subarray(this.#ends[i], this.#ends[i + 1])
  }

  /** The values as one block; undefined where plain records of them are not larger than a frame. */
  encode(): Uint8Array | undefined {
    const { used, count } = this
    this.groupsTried++
    const block = encodeLz4(this.#bytes.subarray(0, used))
    const bytes = RECORD_HEADER_BYTES + framePrefixBytes(count) + (block?.length ?? 0)
    if (block === undefined || bytes >= used + count * RECORD_HEADER_BYTES) {
      this.#failed()
      return undefined
    }
    this.#failures = 0
    this.#skipNext = SKIP_GROUPS_FIRST
    this.groupsKept++
    this.groupBytesRaw += used
    this.groupBytesStored += bytes
    return block
  }

  /** Bytes of the frame around such a block, without the record's header. */
  payloadBytes(block: Uint8Array): number {
    return framePrefixBytes(this.count) + block.length
  }

  /** Appends the frame to a segment with room for it; returns the offset that pointers to it have. */
  appendTo(
    segment: Segment,
    { block, rids }: { block: Uint8Array; rids: readonly RidWords[] },
    kind: ChecksumKind,
  ): number {
    const payload = this.payloadBytes(block)
    const room = segment.reserve(RECORD_HEADER_BYTES + payload)
    const at = room.at + RECORD_HEADER_BYTES
    const prefix = { rids, offsets: this.#ends, codec: CODEC_LZ4, compressed: true }
    room.target.set(block, at + writeFramePrefix(room.target, at, prefix))
    return segment.commit(payload, null, kind) + CRC_BYTES
  }

  /** The group begins anew. */
  clear(): void {
    this.#ends.length = 1
    if (this.#bytes.length > 2 * GROUP_BYTES) {
      this.#bytes = Buffer.allocUnsafeSlow(2 * GROUP_BYTES)
    }
  }

  #failed(): void {
    if (++this.#failures < FAILURES_UNTIL_SKIPPING) return
    this.#skipValues = this.#skipNext * this.count
    this.#skipNext = Math.min(this.#skipGroupsMost, this.#skipNext * 2)
  }
}
