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

/** The addon's types ask for a Buffer; Node gives native code any Uint8Array as one, without a copy. */
function asBuffer(bytes: Uint8Array): Buffer {
  return bytes as Buffer
}

/** Reversed polynomials. */
export const POLYNOMIALS: Record<ChecksumKind, number> = { ieee: 0xedb88320, crc32c: 0x82f63b78 }

/** What a byte makes of an empty register. */
export const TABLES: Record<ChecksumKind, Int32Array> = {
  ieee: tableOf(POLYNOMIALS.ieee),
  crc32c: tableOf(POLYNOMIALS.crc32c),
}

function tableOf(polynomial: number): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? polynomial : 0)
    return value
  })
}

/** The same as `checksum` of the few bytes of a header, without a view of them and a call into native code. */
export function checksumOfFew(
  kind: ChecksumKind,
  bytes: Uint8Array,
  start: number,
  end: number,
  seed = 0,
): number {
  const table = TABLES[kind]
  let crc = ~seed
  for (let i = start; i < end; i++) {
    crc = (table[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}
