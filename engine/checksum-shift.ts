/**
 * The checksum of bytes of which a few were changed, from the one before: CRCs are linear, so the change
 * alone decides, and what lies behind it counts by its length only. Not one of those bytes is read.
 */
import { POLYNOMIALS, TABLES, type ChecksumKind } from './checksum.ts'

/** x^0: bit 31 of a reversed polynomial. */
const ONE = 0x80000000 | 0
/** x^8: one byte. */
const BYTE = 0x00800000
/** Distances whose power is kept once it was asked for. */
const KEPT = 8192

const POWERS: Record<ChecksumKind, Int32Array> = {
  ieee: new Int32Array(KEPT),
  crc32c: new Int32Array(KEPT),
}

/**
 * `crc` with the eight bytes changed that lie `behind` bytes before the end: `low` and `high` are the
 * differences (old XOR new) of the two little-endian words there.
 */
export function changedChecksum(
  kind: ChecksumKind,
  crc: number,
  change: { low: number; high: number },
  behind: number,
): number {
  const table = TABLES[kind]
  let state = 0
  for (let word = change.low, i = 0; i < 8; i++) {
    state = (table[(state ^ word) & 0xff] as number) ^ (state >>> 8)
    word = i === 3 ? change.high : word >>> 8
  }
  return (crc ^ product(POLYNOMIALS[kind], state, power(kind, behind))) >>> 0
}

/** x^(8 * bytes) modulo the polynomial. */
function power(kind: ChecksumKind, bytes: number): number {
  const kept = bytes < KEPT ? (POWERS[kind][bytes] as number) : 0
  if (kept !== 0) return kept
  const polynomial = POLYNOMIALS[kind]
  let result = ONE
  for (let left = bytes, square = BYTE; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = product(polynomial, result, square)
    square = product(polynomial, square, square)
  }
  if (bytes < KEPT) POWERS[kind][bytes] = result
  return result
}

/** a * b modulo the polynomial; bit 31 is x^0. */
function product(polynomial: number, a: number, b: number): number {
  let sum = 0
  for (let left = a, term = b; left !== 0; left <<= 1) {
    sum ^= term & (left >> 31)
    term = (term >>> 1) ^ (polynomial & -(term & 1))
  }
  return sum
}
