/**
 * Numbers in words for gate texts, verdicts and the sentence of a pass. Binary units, three
 * significant digits; the exact number always stands beside it in a typed field.
 */
import type { SegmentId } from '../types.ts'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/**
 * 1374389 -> "1.31 MiB", 2097152 -> "2.00 MiB": always three digits, so that equal numbers look equal, and a
 * unit is left at 1000. The page says bytes by the same rule (`web/lib/format.ts`); a test holds both.
 */
export function bytesText(bytes: number): string {
  const sign = bytes < 0 ? '-' : ''
  let value = Math.abs(bytes)
  if (value < 1000) return `${sign}${Math.round(value)} B`
  let unit = 0
  while (Number(value.toPrecision(3)) >= 1000 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const rounded = Number(value.toPrecision(3))
  const decimals = rounded < 1 ? 3 : rounded < 10 ? 2 : rounded < 100 ? 1 : 0
  return `${sign}${rounded.toFixed(decimals)} ${UNITS[unit] ?? 'PiB'}`
}

/** What a duration is said in from how many ms on: a unit is left at two of the next, days never. */
const DURATIONS = [
  { fromMs: 2 * 86_400_000, ms: 86_400_000, unit: 'd' },
  { fromMs: 2 * 3_600_000, ms: 3_600_000, unit: 'h' },
  { fromMs: 2 * 60_000, ms: 60_000, unit: 'min' },
  { fromMs: 1000, ms: 1000, unit: 's' },
] as const

/** 31200 -> "31.2 s", 21750060000 -> "251 d"; below a second in ms. Rounded down: 29.96 s is not 30 s. */
export function durationText(ms: number): string {
  const size = Math.abs(ms)
  const said = DURATIONS.find(({ fromMs }) => size >= fromMs)
  return said === undefined
    ? `${Math.round(ms)} ms`
    : `${trim(ms / said.ms, Math.floor)} ${said.unit}`
}

/** Time still to wait: 7991 -> "8 s", 12,040 -> "12 s". Nobody waits by the hundredth of a second. */
export function waitText(ms: number): string {
  if (ms < 1000) return durationText(ms)
  return durationText(ms < 10_000 ? Math.ceil(ms / 100) * 100 : Math.round(ms / 1000) * 1000)
}

/** 0.433 -> "43.3 %". */
export function percentText(ratio: number): string {
  return `${trim(ratio * 100)} %`
}

/**
 * A ratio rounded down until it is no longer 0: 0.4331 -> "0.43", 0.00123 -> "0.0012".
 * Down, because it completes "selected if min stale ratio <= ..." and must stay true.
 */
export function ratioFloorText(ratio: number): string {
  for (let digits = 2; digits <= 12; digits += 1) {
    const text = (Math.floor(ratio * 10 ** digits) / 10 ** digits).toFixed(digits)
    if (Number(text) > 0 && Number(text) <= ratio) return text
  }
  return String(ratio)
}

/** 1 -> "1 segment", 3 -> "3 segments". */
export function countText(count: number, noun: string): string {
  const digits = String(count).replace(/\B(?=(\d{3})+$)/g, ',')
  return `${digits} ${noun}${count === 1 ? '' : 's'}`
}

/** "value-l0-000020": the file name that people see, from the id's fields. */
export function segmentText(segmentId: SegmentId): string {
  const lane = (segmentId >>> 23) & 0xff
  const seq = segmentId & 0x7fffff
  return `value-l${lane}-${String(seq).padStart(6, '0')}`
}

/** Three significant digits, without trailing zeros; whole numbers stay whole. */
function trim(value: number, round: (value: number) => number = Math.round): string {
  const size = Math.abs(value)
  const scale = size >= 100 ? 1 : size >= 10 ? 10 : 100
  return String(round(value * scale) / scale)
}
