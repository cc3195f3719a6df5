/**
 * The checksum of bytes of which a few were changed, from the one before, and that of two parts from those
 * of each: CRCs are linear, so what lies behind a change counts by its length only. None of it is read.
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

/** A table costs as much as some forty products, and 4 KiB. */
const USES_UNTIL_TABLE = 64
const TABLES_MAX = 64

interface Shifts {
  uses: Uint8Array
  tables: (Int32Array | undefined)[]
  count: number
}

const SHIFTS: Record<ChecksumKind, Shifts> = {
  ieee: { uses: new Uint8Array(KEPT), tables: new Array<undefined>(KEPT), count: 0 },
  crc32c: { uses: new Uint8Array(KEPT), tables: new Array<undefined>(KEPT), count: 0 },
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
  return (crc ^ shifted(kind, state, behind)) >>> 0
}

/** Of `next` behind `crc`, which are the checksums of two parts; the second one has so many bytes. */
export function joinedChecksum(
  kind: ChecksumKind,
  crc: number,
  next: number,
  bytes: number,
): number {
  return (shifted(kind, crc, bytes) ^ next) >>> 0
}

/** `word` times x^(8 * bytes): from a table where the distance came up often, as that of equal values does. */
function shifted(kind: ChecksumKind, word: number, bytes: number): number {
  const known = bytes < KEPT ? (SHIFTS[kind].tables[bytes] ?? tableOf(kind, bytes)) : null
  if (known === null) return product(POLYNOMIALS[kind], word, power(kind, bytes))
  return (
    (known[word & 0xff] as number) ^
    (known[256 + ((word >>> 8) & 0xff)] as number) ^
    (known[512 + ((word >>> 16) & 0xff)] as number) ^
    (known[768 + (word >>> 24)] as number)
  )
}

/** null until the distance was asked for often enough, and when there are enough tables. */
function tableOf(kind: ChecksumKind, bytes: number): Int32Array | null {
  const shifts = SHIFTS[kind]
  const uses = ((shifts.uses[bytes] as number) + 1) & 0xff
  shifts.uses[bytes] = uses
  if (uses < USES_UNTIL_TABLE || shifts.count === TABLES_MAX) return null
  shifts.count++
  const table = new Int32Array(4 * 256)
  const by = power(kind, bytes)
  for (let at = 0; at < 4 * 256; at += 256) {
    for (let byte = 1; byte < 256; byte++) {
      const rest = byte & (byte - 1)
      table[at + byte] =
        rest === 0
          ? product(POLYNOMIALS[kind], byte << (at / 32), by)
          : (table[at + rest] as number) ^ (table[at + (byte ^ rest)] as number)
    }
  }
  return (shifts.tables[bytes] = table)
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
