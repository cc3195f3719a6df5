/**
 * The two checksums of the format: CRC-32/IEEE (new folders) and CRC-32C (March 2026 folders). Both
 * chain: pass the previous result as `seed`. One of them serves a whole folder.
 */
import { crc32c } from '@node-rs/crc32'
import { crc32 } from 'node:zlib'

export type ChecksumKind = 'ieee' | 'crc32c'

/** Bytes [start, end) of `bytes`; the empty range gives `seed`. */
export function checksum(
  kind: ChecksumKind,
  bytes: Uint8Array,
  start: number,
  end: number,
  seed = 0,
): number {
  const part = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end)
  return kind === 'ieee' ? crc32(part, seed) : crc32c(asBuffer(part), seed)
}

/** The native CRC-32C takes a Buffer; this is a view, not a copy. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
