/**
 * The two checksums of the format: CRC-32/IEEE (new folders) and CRC-32C (March 2026 folders). Both
 * chain: pass the previous result as `seed`. One of them serves a whole folder.
 */
import { crc32 as crc32OfMany, crc32c } from '@node-rs/crc32'
import { crc32 } from 'node:zlib'

export type ChecksumKind = 'ieee' | 'crc32c'

/** From here on the addon's faster loop outweighs its dearer call. */
const MANY_BYTES = 512

/** Bytes [start, end) of `bytes`; the empty range gives `seed`. */
export function checksum(
  kind: ChecksumKind,
  bytes: Uint8Array,
  start: number,
  end: number,
  seed = 0,
): number {
  const part = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)
  if (kind === 'crc32c') return crc32c(asBuffer(part), seed)
  return part.length < MANY_BYTES ? crc32(part, seed) : crc32OfMany(asBuffer(part), seed)
}

/** The addon takes a Buffer; this is a view, not a copy. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
