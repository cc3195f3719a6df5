// Round ticks for the axes of every chart. Pure.

/** Ticks on power-of-two byte steps, so that the axis reads 256 MiB and not 238 MiB. */
export function byteTicks(maximum: number, wanted = 4): number[] {
  if (maximum <= 0) return [0]
  // Below a KiB a step there is nothing to read off, and an empty store would get ticks of half a byte.
  const step = Math.max(1024, 2 ** Math.ceil(Math.log2(maximum / wanted)))
  const ticks: number[] = []
  for (let tick = 0; tick < maximum + step; tick += step) ticks.push(tick)
  return ticks
}

const timeSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200]

/** Ticks on round seconds and minutes between two instants. */
export function timeTicks(fromMs: number, toMs: number, wanted = 6): number[] {
  const seconds = Math.max(1, (toMs - fromMs) / 1000)
  const step = (timeSteps.find((one) => seconds / one <= wanted) ?? 86_400) * 1000
  const ticks: number[] = []
  for (let tick = Math.ceil(fromMs / step) * step; tick <= toMs; tick += step) ticks.push(tick)
  return ticks
}

/** Ticks on 1, 2 or 5 times a power of ten, from 0 to at least `maximum`. */
export function roundTicks(maximum: number, wanted = 4): number[] {
  if (!(maximum > 0)) return [0]
  const rough = maximum / wanted
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power
  const ticks: number[] = []
  for (let index = 0; index * step < maximum + step; index += 1) {
    ticks.push(Number((index * step).toPrecision(12)))
  }
  return ticks
}

/** Beyond this many times what nearly all values stay below, a value is a peak and not the scale. */
const PEAK_FACTOR = 3
/** With fewer values there is no telling a peak from the rest. */
const MANY = 20

export interface Scale {
  /** Of the values the scale is made for; 0 = there is none above 0. */
  maximum: number
  /** The largest value where it lies above that, and is cut off; null: nothing is. */
  peak: number | null
}

/** A burst, as a first fill, must not flatten all that comes after it: the scale is for the rest. */
export function scaleOf(values: readonly number[]): Scale {
  const sorted = Float64Array.from(values.filter((value) => value > 0)).sort()
  const peak = sorted.at(-1) ?? 0
  if (sorted.length < MANY) return { maximum: peak, peak: null }
  const usual = sorted[Math.floor(0.9 * (sorted.length - 1))] ?? peak
  if (peak <= usual * PEAK_FACTOR) return { maximum: peak, peak: null }
  return { maximum: sorted.findLast((value) => value <= usual * PEAK_FACTOR) ?? peak, peak }
}

/** The peak, where it lies above the last tick: rounding up may have taken it in again. */
export function cutOff({ peak }: Scale, ticks: readonly number[]): number | null {
  return peak !== null && peak > (ticks.at(-1) ?? 0) ? peak : null
}

/** Of two series on one axis: high enough for both. */
export function widerScale(a: Scale, b: Scale): Scale {
  const maximum = Math.max(a.maximum, b.maximum)
  const peak = Math.max(a.peak ?? 0, b.peak ?? 0)
  return { maximum, peak: peak > maximum ? peak : null }
}
