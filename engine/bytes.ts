/**
 * Small byte helpers for the hot paths: comparing without a call into native code (faster for short
 * keys), u64 as two words, keys as latin1 strings (whose order is byte order).
 */
import { EngineError } from './errors.ts'

/** Bytewise order of a and b[start, end): negative, zero or positive. */
export function compareRange(a: Uint8Array, b: Uint8Array, start: number, end: number): number {
  const n = Math.min(a.length, end - start)
  for (let i = 0; i < n; i++) {
    const d = (a[i] as number) - (b[start + i] as number)
    if (d !== 0) return d
  }
  return a.length - (end - start)
}

/** Bytewise order of [a, aEnd) and [b, bEnd) of the same array, without a view of either. */
export function compareWithin(
  bytes: Uint8Array,
  a: number,
  aEnd: number,
  b: number,
  bEnd: number,
): number {
  const n = Math.min(aEnd - a, bEnd - b)
  for (let i = 0; i < n; i++) {
    const d = (bytes[a + i] as number) - (bytes[b + i] as number)
    if (d !== 0) return d
  }
  return aEnd - a - (bEnd - b)
}

/** `length` bytes of `x` from `a` on are those of `y` from `b` on. */
export function sameBytes(
  x: Uint8Array,
  a: number,
  y: Uint8Array,
  b: number,
  length: number,
): boolean {
  for (let i = 0; i < length; i++) if (x[a + i] !== y[b + i]) return false
  return true
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return compareRange(a, b, 0, b.length)
}

export function readU32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  )
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/** A u64 from disk as a number; ENGINE_CORRUPT where it would not be exact: no count or place gets there. */
export function readU64(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true)
  if (high >= 0x200000) throw new EngineError('ENGINE_CORRUPT', `u64 at ${at} exceeds 2^53`)
  return high * 0x1_0000_0000 + view.getUint32(at, true)
}

/** Below this a loop is faster than the views that `set` needs. */
const SHORT_BYTES = 128

/** Copies bytes [start, start + length) of `source` to a place in `target`. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  target: Uint8Array,
  to: { at: number; length: number },
): void {
  const { at, length } = to
  if (length > SHORT_BYTES) target.set(source.subarray(start, start + length), at)
  else for (let i = 0; i < length; i++) target[at + i] = source[start + i] as number
}

/** Bytes of its own. `slice` would not do: a Buffer's is a view. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes)
}

export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true)
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A string whose order and equality are the bytes'. */
export function keyString(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

export function keyBytes(key: string): Buffer {
  return Buffer.from(key, 'latin1')
}
