/** Time shown by the charts: drawn with the pointer, moved and magnified by keys, kept by the link. */
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { SMALL_STEP_STORE } from '../server/test-server.ts'
import { open, serve } from './in-process.ts'
import { show } from './page.ts'
import { cleanUp, until } from './support.ts'

afterAll(cleanUp)

interface Span {
  fromMs: number
  toMs: number
}

async function spanOf(page: Page): Promise<Span | null> {
  const match = /[?&]time=(\d+),(\d+)/.exec(await page.evaluate(() => location.hash))
  return match === null ? null : { fromMs: Number(match[1]), toMs: Number(match[2]) }
}

/** The address follows a moment later. */
function newSpan(page: Page, before: Span | null): Promise<Span> {
  return until('the address has another span', async () => {
    const now = await spanOf(page)
    return now !== null && (now.fromMs !== before?.fromMs || now.toMs !== before.toMs) && now
  })
}

async function noSpan(page: Page): Promise<void> {
  await until('the address has no span', async () => (await spanOf(page)) === null)
}

/** Draws over the first chart, from one share of its width to another. */
async function drawOver(page: Page, from: number, to: number): Promise<void> {
  await page.getByTestId('brush').scrollIntoViewIfNeeded()
  const box = await page.getByTestId('brush').boundingBox()
  if (box === null) throw new Error('no chart')
  const at = (share: number) => box.x + 72 + (box.width - 84) * share
  await page.mouse.move(at(from), box.y + 60)
  await page.mouse.down()
  await page.mouse.move(at((from + to) / 2), box.y + 70, { steps: 4 })
  await page.mouse.move(at(to), box.y + 70, { steps: 4 })
  await page.mouse.up()
}

test('a span is drawn over the passes and over the bytes, narrowed, moved and let go', async () => {
  const server = await serve({ engine: { ...SMALL_STEP_STORE, mode: 'auto' } })
  await server.put('k', 100, 'a')
  await server.act('run-pass', { source: 'periodic' })
  const page = await open(server)
  await show(page, 'overview')
  await page.locator('#history .recharts-area').first().waitFor()
  await until('some seconds to choose from', async () => {
    await page.waitForTimeout(500)
    const title = (await page.locator('#history h2').textContent()) ?? ''
    return /over ([89]|\d\d)[.\d]* s/.test(title)
  })
  await drawOver(page, 0.2, 0.7)
  const drawn = await newSpan(page, null)
  const length = ({ fromMs, toMs }: Span) => toMs - fromMs
  expect(length(drawn)).toBeGreaterThanOrEqual(2000)

  // The same span stands over the passes, and drawing there does not open one.
  await show(page, 'passes')
  expect(await spanOf(page)).toEqual(drawn)
  await page.getByTestId('time-all').click()
  await noSpan(page)
  await drawOver(page, 0, 0.6)
  const first = await newSpan(page, null)
  expect(await page.getByTestId('drawer').count()).toBe(0)
  await page.getByTestId('span-nearer').focus()
  await page.keyboard.press('Enter')
  const nearer = await newSpan(page, first)
  expect(length(nearer)).toBeLessThan(length(first))
  expect(length(nearer)).toBeGreaterThanOrEqual(2000)
  await page.getByTestId('span-later').click()
  const later = await newSpan(page, nearer)
  expect(later.fromMs).toBeGreaterThan(nearer.fromMs)
  expect(length(later)).toBe(length(nearer))
  await page.getByTestId('time-all').click()
  await noSpan(page)

  // A press that does not move is a press on the bar.
  await page.getByTestId('timeline-pass').first().click()
  await page.getByTestId('drawer').waitFor()
  expect(await spanOf(page)).toBeNull()

  await page.getByTestId('drawer-close').click()
  // Some seconds behind the first ones; it is in the recording a moment later.
  await server.act('run-pass', { source: 'periodic' })
  await show(page, 'history')
  await page.getByTestId('history-acted').uncheck()
  const passes = page.getByTestId('timeline-pass')
  await passes.first().waitFor()
  const before = await passes.count()
  await until('the last pass is in the recording', async () => {
    await page.getByRole('button', { name: 'Read again' }).click()
    await page.waitForTimeout(500)
    return (await passes.count()) > before || before > 2
  })
  await drawOver(page, 0.1, 0.9)
  await newSpan(page, null)
  await page.getByTestId('time-opening').click()
  await noSpan(page)
  await page.context().close()
})

test('passes are ticks under the axis, and write amplification has a line of its own', async () => {
  const server = await serve({ engine: { ...SMALL_STEP_STORE, mode: 'auto' } })
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  const page = await open(server)
  await page.locator('#history .recharts-area').first().waitFor()
  await server.put('k', 200, 'c', 2)
  await server.act('checkpoint', {})
  await server.act('run-pass', { source: 'periodic' })
  await until('a pass that did something', async () => {
    await server.put('k', 20, 'd')
    await server.act('checkpoint', {})
    const count = await page.locator('.pass-ticks').getAttribute('data-count')
    return Number(count) > 0
  })
  const place = await page.evaluate(() => {
    const axis = document.querySelector('#history .recharts-xAxis line')?.getBoundingClientRect()
    const ticks = document.querySelector('#history .pass-ticks')?.getBoundingClientRect()
    return { axis: axis?.top ?? NaN, top: ticks?.top ?? NaN, height: ticks?.height ?? NaN }
  })
  // Not through the bytes: they begin at the axis and go a few pixels down.
  expect(Math.abs(place.top - place.axis)).toBeLessThan(4)
  expect(place.height).toBeLessThan(12)
  const lane = page.getByTestId('amplification-lane')
  await until('points of the ratio', async () => {
    return Number(await lane.getAttribute('data-points')) > 1
  })
  expect(await lane.locator('path').getAttribute('d')).toMatch(/^M[\d.]+ [\d.]+L/)
  // The lowest label of the rates, too.
  expect(await page.locator('#history').getByText('0 B/s', { exact: true }).count()).toBe(1)
  await page.context().close()
})
