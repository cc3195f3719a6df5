// Ten thousand segments, of the store that the page bench makes up: the map is the segments, and what is
// pressed is answered before what takes longer to draw, with nothing empty in between.
import * as path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startServer, type BenchServer } from '../bench/page-server.ts'
import { cellBox, layoutGrid } from '../../web/charts/segment-map-layout.ts'
import { cleanUp, openPage, ROOT, until } from './support.ts'

const SEGMENTS = 10_000

let server: BenchServer
let page: Page

beforeAll(async () => {
  server = await startServer({
    web: path.join(ROOT, 'dist/web'),
    segments: SEGMENTS,
    eventsMax: 100_000,
  })
  page = await openPage(server.url)
  await page.getByTestId('debt-total').waitFor()
})

afterAll(async () => {
  await cleanUp()
  server.close()
})

interface Rgb {
  red: number
  green: number
  blue: number
}

/** Pixels of the map at these points, and what tokens of the theme look like. */
async function look(points: { x: number; y: number }[], tokens: string[]) {
  return page.evaluate(
    ({ points, tokens }) => {
      const canvas = document.querySelector('canvas')
      const context = canvas?.getContext('2d')
      if (canvas == null || context == null) throw new Error('no map')
      const rgb = (data: Uint8ClampedArray) => ({
        red: data[0] ?? -1,
        green: data[1] ?? -1,
        blue: data[2] ?? -1,
      })
      const style = getComputedStyle(canvas)
      const probe = document.createElement('canvas').getContext('2d')
      return {
        cells: points.map(({ x, y }) => rgb(context.getImageData(x, y, 1, 1).data)),
        tokens: tokens.map((token) => {
          if (probe === null) throw new Error('no canvas')
          probe.fillStyle = style.getPropertyValue(token).trim()
          probe.fillRect(0, 0, 1, 1)
          return rgb(probe.getImageData(0, 0, 1, 1).data)
        }),
      }
    },
    { points, tokens },
  )
}

async function mapWidth(): Promise<number> {
  await page.locator('canvas').waitFor()
  return page.locator('canvas').evaluate((canvas) => canvas.clientWidth)
}

test('each cell of the map is as live as its segment, and stays so while bytes change', async () => {
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await page.locator('main[data-view="segments"]').waitFor()
  for (const events of [0, 4000]) {
    if (events > 0) {
      server.burst(events)
      await page.waitForFunction(
        (seq) =>
          Number(document.querySelector('[data-testid=applied]')?.getAttribute('data-seq')) >= seq,
        server.store.seq,
      )
    }
    const message = server.store.snapshotMessage()
    if (message.type !== 'snapshot') throw new Error('no snapshot')
    const { segments } = message.snapshot.state
    const layout = layoutGrid(SEGMENTS, await mapWidth(), 0)
    // The middle of every 40th cell, where it is all live or all stale there.
    const wanted: { x: number; y: number; live: boolean }[] = []
    for (let index = 0; index < SEGMENTS; index += 40) {
      const segment = segments[index]
      if (segment === undefined) continue
      const box = cellBox(layout, index)
      const row = Math.floor(box.height / 2)
      const live = (segment.bytesLive / segment.bytesTotal) * box.height
      const edge = box.height - live
      if (edge > row && edge < row + 1) continue
      wanted.push({ x: box.x + 1, y: box.y + row, live: edge <= row })
    }
    const { cells, tokens } = await look(wanted, ['--live', '--stale'])
    expect(wanted.filter(({ live }) => live).length).toBeGreaterThan(50)
    expect(wanted.filter(({ live }) => !live).length).toBeGreaterThan(50)
    expect(cells).toEqual(wanted.map(({ live }) => tokens[live ? 0 : 1] as Rgb))
  }
})

test('the cell that is pressed gets a frame, and loses it when another one is', async () => {
  const at = async (index: number): Promise<{ x: number; y: number }> => {
    const { x, y } = cellBox(layoutGrid(SEGMENTS, await mapWidth(), 0), index)
    return { x, y }
  }
  const press = async (index: number) => {
    const point = await at(index)
    const map = page.getByTestId('segment-canvas')
    await map.click({ position: { x: point.x + 2, y: point.y + 2 } })
  }
  /** Which of these have the frame, once one has it: beside the drawer the map is drawn again. */
  const framed = (...indexes: number[]) =>
    until('a frame', async () => {
      const points = await Promise.all(indexes.map(at))
      const { cells, tokens } = await look(points, ['--text'])
      const found = indexes.filter((_, n) => isDeepStrictEqual(cells[n], tokens[0]))
      return found.length > 0 && found
    })
  await press(5)
  await page.locator('[data-testid="drawer"][data-open]').waitFor()
  expect(await framed(5)).toEqual([5])
  await press(3210)
  expect(await framed(5, 3210)).toEqual([3210])
  await press(444)
  expect(await framed(5, 444, 3210)).toEqual([444])
  await page.keyboard.press('Escape')
})

interface Seen {
  rail: string | null
  view: string | null
  panels: number
}

/** What each frame showed while `act` went on. */
async function framesOf(act: () => Promise<void>): Promise<Seen[]> {
  await page.evaluate(() => {
    const seen: Seen[] = []
    Object.assign(window, { seen })
    const note = () => {
      seen.push({
        rail: document.querySelector('.rail-current')?.getAttribute('data-testid') ?? null,
        view: document.querySelector('main')?.dataset['view'] ?? null,
        panels: document.querySelectorAll('main .panel').length,
      })
      requestAnimationFrame(note)
    }
    requestAnimationFrame(note)
  })
  await act()
  return page.evaluate(() => (window as unknown as { seen: Seen[] }).seen)
}

test('another view: the rail says it first, no frame is empty, the focus and the way back follow', async () => {
  const seen = await framesOf(async () => {
    await page.keyboard.press('g')
    await page.keyboard.press('o')
    await page.waitForURL('**/#/overview*')
    await page.locator('main[data-view="overview"]:focus').waitFor()
  })
  expect(
    seen.some(({ rail, view }) => rail === 'view-overview' && view === 'segments'),
    'the answer is not drawn before the view',
  ).toBe(true)
  expect(seen.filter(({ panels }) => panels === 0)).toEqual([])
  await page.goBack()
  await page.locator('main[data-view="segments"]').waitFor()
})

test('keys typed one after the other are all there, and the last of them is what is shown', async () => {
  const filter = page.getByTestId('segment-filter')
  await page.keyboard.press('/')
  await page.keyboard.type('L1-12', { delay: 5 })
  expect(await filter.inputValue()).toBe('L1-12')
  const rows = page.getByTestId('segment-row')
  await rows.filter({ hasText: 'L1-1201' }).first().waitFor()
  for (const name of await rows.locator('th button').allTextContents()) {
    expect(name).toMatch(/^L1-12/)
  }
  expect(await filter.evaluate((field) => document.activeElement === field)).toBe(true)
})

test('a machine too slow for the feed shows what is seconds old at most, and says what it left out', async () => {
  const session = await page.context().newCDPSession(page)
  const applied = (): Promise<number> =>
    page.getByTestId('applied').evaluate((line) => Number(line.dataset['seq']))
  server.setRate(10_000)
  // Just slower than it takes: by how much depends on the machine that runs this.
  const banner = page.getByTestId('fell-behind')
  for (let rate = 4; rate <= 32 && (await banner.count()) === 0; rate *= 1.5) {
    await session.send('Emulation.setCPUThrottlingRate', { rate })
    await banner.waitFor({ timeout: 10_000 }).catch(() => undefined)
  }
  expect(await banner.textContent()).toMatch(/events [\d,]+ to [\d,]+ were left out of the trace/)
  // Without a bound it would fall back by half a second in each.
  const lags: number[] = []
  for (let look = 0; look < 12; look += 1) {
    await page.waitForTimeout(1000)
    lags.push((server.store.seq - (await applied())) / 10_000)
  }
  expect(Math.min(...lags.slice(-6)), String(lags)).toBeLessThan(5)

  server.setRate(0)
  server.burst(1)
  await session.send('Emulation.setCPUThrottlingRate', { rate: 1 })
  await until('the page is where the store is', async () => (await applied()) === server.store.seq)
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await page.keyboard.press('g')
  await page.keyboard.press('t')
  await page.locator('main[data-view="trace"]').waitFor()
  expect(await page.getByTestId('connection-state').getAttribute('data-state')).toBe('live')
})
