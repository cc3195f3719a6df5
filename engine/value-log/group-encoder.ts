/**
 * Neighbouring values as one LZ4 frame, where that pays. Remembers how it went: after some groups in a
 * row that did not shrink, only every so many-th is tried. Pure but for that.
 */
import { encodeLz4 } from './compression.ts'
import {
  CODEC_LZ4,
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  writeFramePrefix,
  type RidWords,
} from './record.ts'

/**
 * Raw bytes of one group. Larger compresses little better and costs each read of one value more;
 * smaller wastes the compressor's call.
 */
export const GROUP_BYTES = 8 * 1024
export const GROUP_VALUES = 16

const FAILURES_UNTIL_PROBING = 8
const PROBE_EVERY = 32

export class GroupEncoder {
  #failures = 0
  #groups = 0

  /** Payload of a grouped record; undefined where plain records of the same values are not larger. */
  encode(values: readonly Uint8Array[], rids: readonly RidWords[]): Uint8Array | undefined {
    this.#groups++
    if (this.#failures >= FAILURES_UNTIL_PROBING && this.#groups % PROBE_EVERY !== 0)
      return undefined
    const offsets = [0]
    let raw = 0
    for (const value of values) offsets.push((raw += value.length))
    const block = encodeLz4(values.length === 1 ? (values[0] as Uint8Array) : Buffer.concat(values))
    const prefix = framePrefixBytes(values.length)
    const plain = values.length * RECORD_HEADER_BYTES + raw
    if (block === undefined || RECORD_HEADER_BYTES + prefix + block.length >= plain) {
      this.#failures++
      return undefined
    }
    this.#failures = 0
    const payload = new Uint8Array(prefix + block.length)
    writeFramePrefix(payload, 0, { rids, offsets, codec: CODEC_LZ4, compressed: true })
    payload.set(block, prefix)
    return payload
  }
}
