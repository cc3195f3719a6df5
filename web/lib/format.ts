// Numbers as a person reads them. Three significant digits, IEC units, an em dash for what is not
// known (never 0: a missing measurement and a measured zero are different answers).

export const UNKNOWN = '—'

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** Three significant digits without an exponent: 1.24, 12.4, 124. */
function threeDigits(value: number): string {
  const rounded = Number(value.toPrecision(3))
  const magnitude = Math.abs(rounded)
  if (magnitude === 0) return '0'
  if (magnitude < 0.001) return rounded.toExponential(1)
  const decimals = magnitude < 1 ? 3 : magnitude < 10 ? 2 : magnitude < 100 ? 1 : 0
  return rounded.toFixed(decimals)
}

/** 1331439861 -> "1.24 GiB". Whole bytes stay whole; a unit is left at 1000 so that three digits always fit. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return UNKNOWN
  const sign = bytes < 0 ? '-' : ''
  const size = Math.abs(bytes)
  if (size < 1000) return `${sign}${String(Math.round(size))} B`
  let value = size
  let unit = 0
  while (Number(value.toPrecision(3)) >= 1000 && unit < byteUnits.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${sign}${threeDigits(value)} ${byteUnits[unit] ?? 'PiB'}`
}

/** The number that formatBytes rounded, for titles. */
export function exactBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return 'not known'
  return `${formatCount(bytes)} ${Math.abs(bytes) === 1 ? 'byte' : 'bytes'}`
}

export function formatByteRate(bytesPerSecond: number | null | undefined): string {
  const text = formatBytes(bytesPerSecond)
  return text === UNKNOWN ? UNKNOWN : `${text}/s`
}

/** 1234567 -> "1,234,567". The grouping is fixed, so that a copied number reads the same everywhere. */
export function formatCount(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return UNKNOWN
  const [whole = '0', fraction] = String(count).split('.')
  const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, ',')
  return fraction === undefined ? grouped : `${grouped}.${fraction}`
}

/** 0.431 -> "43.1 %". */
export function formatRatio(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return UNKNOWN
  const percent = ratio * 100
  if (percent === 0) return '0 %'
  if (Math.abs(percent) < 0.1) return percent < 0 ? '> -0.1 %' : '< 0.1 %'
  return `${percent.toFixed(Math.abs(percent) >= 99.95 ? 0 : 1)} %`
}

/** A measured duration: "0.42 ms", "412 ms", "18.3 s", "2 min 05 s", "3 h 12 min". */
export function formatDuration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN
  if (ms < 0) return `-${formatDuration(-ms)}`
  if (ms < 999.5) return `${threeDigits(ms)} ms`
  if (ms < 59_950) return `${threeDigits(ms / 1000)} s`
  return formatLong(Math.round(ms / 1000))
}

/** A countdown: whole seconds, rounded up, so that it ends at "0 s" and never before. */
export function formatCountdown(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  return seconds < 60 ? `${String(seconds)} s` : formatLong(seconds)
}

function formatLong(seconds: number): string {
  const pad = (part: number) => String(part).padStart(2, '0')
  if (seconds < 3600) return `${String(Math.floor(seconds / 60))} min ${pad(seconds % 60)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 1440) return `${String(Math.floor(minutes / 60))} h ${pad(minutes % 60)} min`
  return `${String(Math.floor(minutes / 1440))} d ${pad(Math.floor((minutes % 1440) / 60))} h`
}

/** How long ago, coarse enough not to flicker: "just now", "12 s", "3 min". */
export function formatAge(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return UNKNOWN
  const seconds = Math.floor(Math.max(0, ms) / 1000)
  if (seconds < 1) return 'under 1 s'
  if (seconds < 60) return `${String(seconds)} s`
  if (seconds < 3600) return `${String(Math.floor(seconds / 60))} min`
  if (seconds < 86_400) return `${String(Math.floor(seconds / 3600))} h`
  return `${String(Math.floor(seconds / 86_400))} d`
}

/** Local wall time of an engine instant, "14:03:07"; with milliseconds for the trace. */
export function formatTime(atMs: number | null | undefined, withMs = false): string {
  if (atMs === null || atMs === undefined || !Number.isFinite(atMs)) return UNKNOWN
  const date = new Date(atMs)
  const pad = (part: number, width = 2) => String(part).padStart(width, '0')
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
  return withMs ? `${time}.${pad(date.getMilliseconds(), 3)}` : time
}

/** The time of day, with the date in front unless it lies within half a day of `nowMs`. */
export function formatMoment(atMs: number, nowMs: number): string {
  return Math.abs(atMs - nowMs) < 43_200_000 ? formatTime(atMs) : formatDay(atMs)
}

/** "2026-11-26 14:03:04", in the reader's zone. */
export function formatDay(atMs: number): string {
  const date = new Date(atMs)
  const pad = (part: number) => String(part).padStart(2, '0')
  return `${String(date.getFullYear())}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${formatTime(atMs)}`
}

/** Date and time for titles, in the reader's zone. */
export function exactTime(atMs: number | null | undefined): string {
  if (atMs === null || atMs === undefined || !Number.isFinite(atMs)) return 'not known'
  return `${new Date(atMs).toISOString()} (${String(atMs)} ms)`
}

/** As much of a store's name as a file's name bears. */
const STORE_NAME_MAX = 40

/**
 * "restage-demo-debt-20261126T210503Z": what is exported, of which store, at which engine time. What no file
 * system takes becomes a hyphen; a store or a time that is not known is left out.
 */
export function exportName(store: string | null, what: string, atMs: number | null): string {
  const plain = (store ?? '')
    .replace(/[^\p{L}\p{N}._]+/gu, '-')
    .slice(0, STORE_NAME_MAX)
    .replace(/^[-.]+|[-.]+$/g, '')
  const time = atMs === null ? '' : new Date(atMs).toISOString().slice(0, 19).replace(/[-:]/g, '')
  return ['restage', plain, what, time === '' ? '' : `${time}Z`]
    .filter((part) => part !== '')
    .join('-')
}

/** "1 segment", "4 segments". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`
}

/**
 * Short name of a segment, "L0-12", read out of its id (0x80000000 | lane << 23 | seq), so that a
 * queued segment whose file is missing has a name too. The capital is there because a small l and a
 * zero side by side read as "10" in most fonts.
 */
export function segmentLabel(segmentId: number): string {
  return `L${String((segmentId >>> 23) & 0xff)}-${String(segmentId & 0x7fffff)}`
}

/** Engine sentences name segments by file ("value-l0-000020"); the page calls them "L0-20" everywhere. */
export function shortNames(text: string): string {
  return text.replace(/\bvalue-l(\d+)-0*(\d+)(?:\.log)?\b/g, 'L$1-$2')
}

/** Sentences of the server say bytes exactly ("of 2097152 bytes"); the page in three digits, as everywhere. */
export function shortBytes(text: string): string {
  return text.replace(/\b(\d+) (live )?bytes\b/g, (_match, bytes: string, live = '') => {
    return `${formatBytes(Number(bytes))}${live === '' ? '' : ' live'}`
  })
}

/** How far something is from a threshold: two ratios differ by points of a percent, not by percent. */
export function formatDistance(distance: number, unit: string): string {
  const far = Math.abs(distance)
  if (unit !== 'ratio') return formatUnit(far, unit)
  const points = far * 100
  const text = points === 0 ? '0' : points < 0.1 ? '< 0.1' : points.toFixed(1)
  return `${text} ${text === '1.0' ? 'point' : 'points'}`
}

/** "L0-3, L0-5 and 4 more". */
export function segmentList(ids: readonly number[], max = 4): string {
  if (ids.length === 0) return 'none'
  const shown = ids.slice(0, max).map(segmentLabel).join(', ')
  return ids.length > max ? `${shown} and ${formatCount(ids.length - max)} more` : shown
}

/** A gate's number in the gate's unit. */
export function formatUnit(value: number | null, unit: string): string {
  if (value === null) return UNKNOWN
  switch (unit) {
    case 'bytes':
      return formatBytes(value)
    case 'ratio':
      return formatRatio(value)
    case 'ms':
      return formatDuration(value)
    case 'flag':
      return value === 0 ? 'no' : 'yes'
    default:
      return formatCount(value)
  }
}
