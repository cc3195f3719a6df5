import { describe, expect, test } from 'vitest'
import type { MetricSample } from '../../server/protocol.ts'
import {
  byteTicks,
  cutOff,
  roundTicks,
  scaleOf,
  timeTicks,
  widerScale,
} from '../../web/charts/axis.ts'
import { downsample, passMarks, withAmplification } from '../../web/charts/debt-over-time-series.ts'
import {
  intervalRows,
  latencyRuns,
  passRow,
  recordedLatency,
  secondRows,
  timelinePasses,
  withRecordedLatency,
} from '../../web/charts/pass-timeline-series.ts'
import {
  bandsOf,
  cellAt,
  cellBox,
  gridPlaces,
  gridZoomMax,
  layoutGrid,
  layoutTiles,
  moveInGrid,
  moveInMap,
  tileAt,
  tileZoomMax,
  zoomToShow,
} from '../../web/charts/segment-map-layout.ts'
import { moved, within, zoomed } from '../../web/lib/time-span.ts'
import { addPass } from '../../web/state/apply-message.ts'
import { NOW, makeGc, makePass, makeRewrite, makeSample } from './fixtures.ts'

const sample = (index: number, bytesStale = 0) => makeSample(NOW + index * 1000, bytesStale)

describe('downsample', () => {
  const samples = Array.from({ length: 3600 }, (_, index) =>
    sample(index, index === 1777 ? 999 : 1),
  )

  test('keeps the peak, the first and the last, in order, within the limit', () => {
    const kept = downsample(samples, 600)
    expect(kept.length).toBeLessThanOrEqual(600)
    expect(kept.length).toBeGreaterThan(150)
    expect(kept[0]).toBe(samples[0])
    expect(kept.at(-1)).toBe(samples.at(-1))
    expect(kept.some((one) => one.bytesStale === 999)).toBe(true)
    expect(kept.every((one, index) => index === 0 || one.atMs > (kept[index - 1]?.atMs ?? 0))).toBe(
      true,
    )
  })

  test('leaves a short series as it is', () => {
    expect(downsample(samples.slice(0, 10), 600)).toEqual(samples.slice(0, 10))
    expect(downsample([], 600)).toEqual([])
  })
})

describe('ticks', () => {
  test('bytes step by powers of two and reach above the maximum', () => {
    const ticks = byteTicks(900 * 1024 * 1024)
    expect(ticks.slice(0, 3)).toEqual([0, 256 * 1024 * 1024, 512 * 1024 * 1024])
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(900 * 1024 * 1024)
  })

  test('an empty store does not get ticks of half a byte', () => {
    expect(byteTicks(1).every((tick) => Number.isInteger(tick))).toBe(true)
    expect(new Set(byteTicks(1)).size).toBe(byteTicks(1).length)
  })

  test('other numbers step by 1, 2 or 5 and reach above the maximum', () => {
    expect(roundTicks(87)).toEqual([0, 50, 100])
    expect(roundTicks(0.4)).toEqual([0, 0.1, 0.2, 0.3, 0.4])
    expect(roundTicks(0)).toEqual([0])
  })

  test('times fall on round steps inside the range', () => {
    const ticks = timeTicks(NOW, NOW + 600_000)
    expect(ticks.length).toBeGreaterThan(2)
    expect(ticks.every((tick) => tick >= NOW && tick <= NOW + 600_000 && tick % 60_000 === 0)).toBe(
      true,
    )
  })
})

describe('scaleOf', () => {
  const usual = Array.from({ length: 100 }, (_, index) => 400 + (index % 10))

  test('a first fill is cut off, so that what comes after it is not flattened', () => {
    expect(scaleOf([11_367, 9_000, ...usual, 0, 0])).toEqual({ maximum: 409, peak: 11_367 })
  })

  test('what belongs to the rest stays whole, and so do few values', () => {
    expect(scaleOf([...usual, 900])).toEqual({ maximum: 900, peak: null })
    expect(scaleOf([1, 1, 1, 50])).toEqual({ maximum: 50, peak: null })
    expect(scaleOf([])).toEqual({ maximum: 0, peak: null })
    expect(scaleOf([0, 0])).toEqual({ maximum: 0, peak: null })
  })

  test('pauses do not make the rest look like a peak', () => {
    expect(scaleOf([...usual.map(() => 0), ...usual]).peak).toBeNull()
  })

  test('a peak that the last tick takes in again is not told as cut off', () => {
    const scale = { maximum: 0.009, peak: 0.0137 }
    expect(cutOff(scale, [0, 0.01, 0.02])).toBeNull()
    expect(cutOff(scale, [0, 0.005, 0.01])).toBe(0.0137)
    expect(cutOff({ maximum: 3, peak: null }, [0, 2])).toBeNull()
  })

  test('one axis is high enough for both of its series', () => {
    const cut = { maximum: 400, peak: 9000 }
    expect(widerScale(cut, { maximum: 700, peak: null })).toEqual({ maximum: 700, peak: 9000 })
    expect(widerScale({ maximum: 1, peak: 5 }, { maximum: 7, peak: null }).peak).toBeNull()
  })
})

describe('withAmplification', () => {
  const at = (second: number, put: number, copied: number) => ({
    ...makeSample(NOW + second * 1000),
    bytesPutPerSecond: put,
    rewriteBytesPerSecond: copied,
  })
  const told = (samples: MetricSample[]) =>
    withAmplification(samples).map(({ writeAmplification }) => writeAmplification)

  test('is what was written and copied for what was written, over a minute', () => {
    expect(told([at(0, 100, 0), at(1, 100, 100), at(2, 0, 100)])).toEqual([1, 1.5, 2])
    expect(told([at(0, 100, 300), at(59, 100, 0), at(60, 100, 0), at(120, 50, 0)])).toEqual([
      4, 2.5, 1, 1,
    ])
  })

  test('is not known while nothing was written', () => {
    expect(told([at(0, 0, 0), at(1, 0, 50), at(2, 100, 0), at(100, 0, 0)])).toEqual([
      null,
      null,
      1.5,
      null,
    ])
  })
})

describe('a span of time', () => {
  const bounds = { fromMs: 0, toMs: 100_000 }

  test('is narrowed and widened about its middle, up to all there is', () => {
    expect(zoomed(bounds, 0.5, bounds)).toEqual({ fromMs: 25_000, toMs: 75_000 })
    expect(zoomed({ fromMs: 25_000, toMs: 75_000 }, 2, bounds)).toBeNull()
    expect(zoomed({ fromMs: 0, toMs: 20_000 }, 2, bounds)).toEqual({ fromMs: 0, toMs: 30_000 })
    expect(zoomed({ fromMs: 9000, toMs: 11_000 }, 0.5, bounds)).toEqual({
      fromMs: 9000,
      toMs: 11_000,
    })
  })

  test('is moved no further than what is known, and keeps its length', () => {
    const span = { fromMs: 40_000, toMs: 60_000 }
    expect(moved(span, 0.5, bounds)).toEqual({ fromMs: 50_000, toMs: 70_000 })
    expect(moved(span, -5, bounds)).toEqual({ fromMs: 0, toMs: 20_000 })
    expect(moved(span, 5, bounds)).toEqual({ fromMs: 80_000, toMs: 100_000 })
  })

  test('that lies elsewhere counts as all there is', () => {
    expect(within({ fromMs: 200_000, toMs: 300_000 }, bounds)).toBeNull()
    expect(within({ fromMs: -5, toMs: 50_000 }, bounds)).toEqual({ fromMs: 0, toMs: 50_000 })
  })
})

describe('passes as numbers', () => {
  test('a line has the bytes of the pass, and a second has a line without any pass', () => {
    const report = makePass(7, {
      steps: [
        { kind: 'rewrite', report: makeRewrite(1, 9, 400), reason: 'rewrite_resume' },
        { kind: 'gc', report: makeGc([1], 1000) },
      ],
    })
    expect(passRow({ report, put: null, putLatency: null })).toMatchObject({
      pass_id: 7,
      bytes_copied: 400,
      bytes_deleted: 1000,
      bytes_gained: 600,
      segments_rewritten: 1,
      segments_deleted: 1,
      foreground_puts_per_second: null,
    })
    expect(passRow({ report: makePass(8), put: 1, putLatency: null })).toMatchObject({
      bytes_copied: 0,
    })
    const samples = [0, 1, 2, 3].map((second) => ({
      ...makeSample(NOW + second * 1000),
      putsPerSecond: second,
    }))
    expect(
      secondRows(samples, NOW + 1000, NOW + 2000).map((row) => [
        row['at_ms'],
        row['puts_per_second'],
        row['put_latency_p99_ms'],
      ]),
    ).toEqual([
      [NOW + 1000, 1, null],
      [NOW + 2000, 2, null],
    ])
  })
})

describe('passMarks', () => {
  test('marks what did something within the time shown', () => {
    const passes = [
      makePass(1, { endedAtMs: NOW - 5000 }),
      makePass(2, { endedAtMs: NOW + 2000 }),
      makePass(3, { endedAtMs: NOW + 3000, outcome: 'blocked' }),
    ].reduce(addPass, [])
    expect(passMarks(passes, [sample(0), sample(10)]).map((mark) => mark.passId)).toEqual([2])
  })
})

describe('layoutTiles', () => {
  const check = (count: number, width: number) => {
    const layout = layoutTiles(
      Array.from({ length: count }, (_, index) => 1000 + (index % 7) * 200),
      width,
    )
    expect(layout.tiles).toHaveLength(count)
    for (const [index, tile] of layout.tiles.entries()) {
      expect(tile.x + tile.width).toBeLessThanOrEqual(width)
      expect(tile.width).toBeGreaterThanOrEqual(1)
      const next = layout.tiles[index + 1]
      if (next?.y === tile.y) expect(next.x).toBeGreaterThan(tile.x + tile.width - 1)
    }
    return layout
  }

  test.each([
    [1, 920],
    [31, 920],
    [31, 340],
    [300, 340],
  ])('%d segments fit %d pixels without overlap', (count, width) => {
    check(count, width)
  })

  test('more bytes are drawn wider, and a giant does not hide the rest', () => {
    const { tiles } = layoutTiles([1000, 2000, 1000, 1_000_000, 1000], 920)
    expect(tiles[3]?.width ?? 0).toBeGreaterThan(tiles[0]?.width ?? 0)
    expect(tiles[3]?.width ?? 0).toBeLessThan(400)
  })

  test('a point finds its tile, a gap finds none', () => {
    const layout = check(31, 400)
    for (const tile of layout.tiles) {
      expect(tileAt(layout, tile.x + tile.width / 2, tile.y + 2)?.index).toBe(tile.index)
    }
    expect(tileAt(layout, 5, layout.tileHeight + 3)).toBeNull()
    expect(tileAt(layout, 5, 99_999)).toBeNull()
  })

  test('arrow keys move along and across rows and stop at the ends', () => {
    const layout = check(31, 400)
    const second = layout.rowStarts[1] ?? 0
    expect(moveInMap(layout, 0, 'ArrowLeft')).toBe(0)
    expect(moveInMap(layout, 0, 'ArrowRight')).toBe(1)
    expect(moveInMap(layout, 0, 'ArrowDown')).toBe(second)
    expect(moveInMap(layout, second, 'ArrowUp')).toBe(0)
    expect(moveInMap(layout, 0, 'ArrowUp')).toBe(0)
    expect(moveInMap(layout, 3, 'End')).toBe(30)
    expect(moveInMap(layout, 3, 'x')).toBeNull()
  })
})

describe('layoutGrid', () => {
  test('ten thousand segments fit in sight unmagnified, every cell can be hit', () => {
    const layout = layoutGrid(10_000, 1200, 0)
    expect(layout.height).toBeLessThan(420)
    for (const index of [0, 1, layout.columns - 1, layout.columns, 5000, 9999]) {
      const box = cellBox(layout, index)
      expect(cellAt(layout, box.x + box.width / 2, box.y + box.height / 2)).toBe(index)
      expect(box.x + box.width).toBeLessThanOrEqual(1200)
    }
    expect(cellAt(layout, 5, layout.height + 50)).toBeNull()
  })

  test('each step of magnification makes cells larger', () => {
    const cells = [0, 1, 2, 3].map((zoom) => layoutGrid(10_000, 1200, zoom).cellHeight)
    expect(cells).toEqual([...cells].sort((a, b) => a - b))
    expect(new Set(cells).size).toBe(cells.length)
  })

  test('arrows stay inside', () => {
    const layout = layoutGrid(1000, 300, 0)
    expect(moveInGrid(layout, 0, 'ArrowUp')).toBe(0)
    expect(moveInGrid(layout, 0, 'ArrowDown')).toBe(layout.columns)
    expect(moveInGrid(layout, 999, 'ArrowRight')).toBe(999)
    expect(moveInGrid(layout, 5, 'End')).toBe(999)
    expect(moveInGrid(layout, 5, 'x')).toBeNull()
  })
})

describe('magnification of the map', () => {
  const sizes = (count: number) => Array.from({ length: count }, (_, at) => 1000 + (at % 7) * 200)

  test.each([1, 12, 60, 300])('%d segments: each step is larger, none is absurd', (count) => {
    const most = tileZoomMax(count)
    expect(most).toBeGreaterThanOrEqual(2)
    const areas = Array.from({ length: most + 1 }, (_, zoom) => {
      const { tiles, tileHeight } = layoutTiles(sizes(count), 900, zoom)
      return tiles.reduce((sum, tile) => sum + tile.width * tileHeight, 0)
    })
    expect(areas).toEqual([...new Set(areas)].sort((a, b) => a - b))
    for (const { width } of layoutTiles(sizes(count), 900, most).tiles) {
      expect(width).toBeGreaterThanOrEqual(80)
      expect(width).toBeLessThanOrEqual(320)
    }
  })

  test('a grid goes on until a cell has room for its name, of whatever many', () => {
    for (const count of [301, 2000, 10_000, 100_000]) {
      const { cellHeight } = layoutGrid(count, 900, gridZoomMax(count, 900))
      expect(cellHeight).toBe(100)
      expect(layoutGrid(count, 900, 99).cellHeight).toBe(100)
    }
    expect(tileZoomMax(0)).toBe(0)
  })

  test('a run of cells is magnified as far as all of it stays in sight', () => {
    const placesAt = (zoom: number) => gridPlaces(layoutGrid(10_000, 900, zoom))
    const most = gridZoomMax(10_000, 900)
    const limits = { viewHeight: 380, least: 0, most }
    const zoom = zoomToShow({ from: 4000, to: 4099 }, placesAt, limits)
    expect(zoom).toBeGreaterThan(0)
    const heightAt = (one: number) => {
      const last = placesAt(one).boxOf(4099)
      return last.y + last.height - placesAt(one).boxOf(4000).y
    }
    expect(heightAt(zoom)).toBeLessThanOrEqual(380)
    expect(heightAt(zoom + 1)).toBeGreaterThan(380)
    expect(zoomToShow({ from: 7, to: 8 }, placesAt, limits)).toBe(most)
    expect(zoomToShow({ from: 0, to: 9999 }, placesAt, limits)).toBe(0)
  })

  test('what is drawn over has one band a row, from its first cell to its last', () => {
    const layout = layoutGrid(400, 240, 0)
    const places = gridPlaces(layout)
    const bands = bandsOf(places, { from: 1, to: layout.columns * 2 })
    expect(bands.map(({ x }) => x)).toEqual([places.boxOf(1).x, 0, 0])
    const last = places.boxOf(layout.columns - 1)
    expect(bands.map(({ x, width }) => x + width)).toEqual([
      last.x + last.width,
      last.x + last.width,
      places.boxOf(0).width,
    ])
  })
})

describe('latency beside the passes', () => {
  const figures = (p99Ms: number) => ({ count: 5, p50Ms: p99Ms / 2, p99Ms, maxMs: p99Ms * 2 })
  const busy = (index: number, p99Ms: number) => ({
    ...sample(index),
    putLatency: figures(p99Ms),
  })

  test('a second without traffic is a hole in the line and never a zero', () => {
    const samples = [busy(0, 1), busy(1, 2), sample(2), sample(3), busy(4, 3)]
    const runs = latencyRuns(samples, NOW, NOW + 10_000)
    expect(runs.map((run) => run.map((point) => point.figures.p99Ms))).toEqual([[1, 2], [3]])
    expect(latencyRuns([sample(0), sample(1)], NOW, NOW + 10_000)).toEqual([])
    expect(latencyRuns(samples, NOW + 4000, NOW + 4000).flat()).toHaveLength(1)
  })

  test('an interval is a step of the line, and time in no interval a hole', () => {
    const interval = (fromS: number, atS: number, p99Ms: number | null) => ({
      seq: fromS,
      fromMs: NOW + fromS * 1000,
      atMs: NOW + atS * 1000,
      put: p99Ms === null ? null : figures(p99Ms),
      get: null,
    })
    const intervals = [
      interval(0, 5, 1),
      interval(5, 8, 3),
      // Only gets were timed, and then nothing at all for some seconds.
      interval(8, 13, null),
      interval(13, 18, 2),
      interval(30, 35, 9),
    ]
    const { runs, marks } = recordedLatency(intervals, NOW + 1000, NOW + 33_000)
    const places = runs.map((run) =>
      run.map(({ atMs, figures: { p99Ms } }) => [(atMs - NOW) / 1000, p99Ms]),
    )
    expect(places).toEqual([
      [
        // Cut where the chart begins and ends.
        [1, 1],
        [5, 1],
        [5, 3],
        [8, 3],
      ],
      [
        [13, 2],
        [18, 2],
      ],
      [
        [30, 9],
        [33, 9],
      ],
    ])
    expect(marks.map(({ atMs, maxMs }) => [(atMs - NOW) / 1000, maxMs])).toEqual([
      [3, 2],
      [6.5, 6],
      [15.5, 4],
      [31.5, 18],
    ])
    expect(recordedLatency(intervals, NOW + 9000, NOW + 12_000)).toEqual({ runs: [], marks: [] })
    expect(intervalRows(intervals, NOW + 9000, NOW + 12_000)).toMatchObject([
      { puts_timed: null, put_latency_p99_ms: null, gets_timed: null },
    ])
  })

  test('a pass has the slowest interval it shares time with, in step mode the one at its moment', () => {
    const interval = (fromS: number, atS: number, p99Ms: number) => ({
      seq: fromS,
      fromMs: NOW + fromS * 1000,
      atMs: NOW + atS * 1000,
      put: figures(p99Ms),
      get: null,
    })
    const of = (startS: number, endS: number, ...intervals: ReturnType<typeof interval>[]) => {
      const [startedAtMs, endedAtMs] = [NOW + startS * 1000, NOW + endS * 1000]
      const pass = { report: makePass(1, { startedAtMs, endedAtMs }), put: null, putLatency: null }
      return withRecordedLatency([pass], intervals)[0]?.putLatency?.p99Ms ?? null
    }
    expect(of(5, 8, interval(0, 5, 90), interval(5, 8, 3), interval(8, 13, 80))).toBe(3)
    expect(of(4, 8, interval(0, 5, 90), interval(5, 8, 3))).toBe(90)
    expect(of(5, 8, interval(0, 5, 90), interval(8, 13, 80))).toBeNull()
    expect(of(5, 5, interval(5, 5, 7), interval(8, 8, 80))).toBe(7)
    expect(of(5, 5)).toBeNull()
  })

  test('a pass has the slowest second it touched, or none', () => {
    const report = makePass(1, { startedAtMs: NOW + 1500, endedAtMs: NOW + 3500 })
    const run = { report, repeats: 1, firstStartedAtMs: report.startedAtMs }
    const of = (samples: Parameters<typeof timelinePasses>[1]) =>
      timelinePasses([run], samples, NOW, NOW + 10_000)[0]?.putLatency ?? null
    // The sample at second 1 covers what was before the pass, the one at 4 the end of it.
    expect(of([busy(1, 90), busy(2, 1), busy(3, 7), busy(4, 3), busy(5, 80)])).toEqual(figures(7))
    expect(of([busy(1, 90), sample(2), sample(3), sample(4), busy(5, 80)])).toBeNull()
    expect(of([])).toBeNull()
  })
})
