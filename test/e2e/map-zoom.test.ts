/** The segment map magnified, in a store of some segments and in one of hundreds: every way to do it. */
import { afterAll, expect, test } from 'vitest'
import type { Locator, Page } from 'playwright-core'
import type { TestServer } from '../server/test-server.ts'
import { open, serve } from './in-process.ts'
import { show } from './page.ts'
import { cleanUp, until } from './support.ts'

afterAll(cleanUp)

const zoomOf = async (page: Page): Promise<number> =>
  Number(await page.getByTestId('map-zoom').first().getAttribute('data-zoom'))

async function zoomed(page: Page, zoom: number): Promise<void> {
  await until(`magnified ${String(zoom)} steps`, async () => (await zoomOf(page)) === zoom)
}

async function boxOf(locator: Locator): Promise<{ x: number; y: number; width: number }> {
  const box = await locator.boundingBox()
  if (box === null) throw new Error('not on the page')
  return box
}

/** A store of segments of 64 KiB, about as many as asked for. */
async function storeOf(segments: number): Promise<TestServer> {
  const server = await serve()
  for (let round = 0; round * 15 < segments; round += 1) {
    await server.put(`k${String(round)}-`, 900, 'a')
  }
  return server
}

test('a map of some segments is magnified by buttons, keys and wheel, to a size that is enough', async () => {
  const server = await storeOf(30)
  const page = await open(server)
  try {
    await show(page, 'segments')
    const tile = page.getByTestId('segment-tile').first()
    const plain = (await boxOf(tile)).width
    await page.getByTestId('zoom-in').click()
    await zoomed(page, 1)
    expect((await boxOf(tile)).width).toBeGreaterThan(plain * 1.3)
    await until('the address says it', () => Promise.resolve(page.url().includes('zoom=1')))

    await tile.focus()
    await page.keyboard.press('+')
    await zoomed(page, 2)
    await page.keyboard.press('-')
    await zoomed(page, 1)
    for (let step = 0; step < 9; step += 1) await page.keyboard.press('+')
    await until('as far as it goes', async () => {
      return (await page.getByTestId('zoom-in').getAttribute('aria-disabled')) === 'true'
    })
    const most = await zoomOf(page)
    expect((await boxOf(tile)).width).toBeLessThanOrEqual(320)
    expect(most).toBeGreaterThan(1)

    // The address keeps it.
    const zoom = `zoom=${String(most)}`
    await until('the address says it', () => Promise.resolve(page.url().includes(zoom)))
    await page.reload()
    await zoomed(page, most)
    await tile.focus()
    await page.keyboard.press('0')
    await zoomed(page, 0)
    await until('it is plain', () => Promise.resolve(!page.url().includes('zoom=')))
    expect((await boxOf(tile)).width).toBe(plain)

    // The page itself is not magnified: the wheel's event is the map's.
    await tile.hover()
    await page.keyboard.down('Control')
    await page.mouse.wheel(0, -120)
    await page.keyboard.up('Control')
    await zoomed(page, 1)
    expect(await page.evaluate(() => devicePixelRatio)).toBe(1)
    await page.getByTestId('zoom-reset').click()
    await zoomed(page, 0)
  } finally {
    await page.context().close()
    await server.close()
  }
})

test('drawing over a run of tiles magnifies it, and opens none of them; Escape lets go', async () => {
  const server = await storeOf(30)
  const page = await open(server)
  try {
    await show(page, 'segments')
    const from = await boxOf(page.getByTestId('segment-tile').nth(2))
    const to = await boxOf(page.getByTestId('segment-tile').nth(5))
    const draw = async () => {
      await page.mouse.move(from.x + 8, from.y + 8)
      await page.mouse.down()
      await page.mouse.move(to.x + 8, to.y + 8, { steps: 4 })
      await page.getByTestId('map-band').first().waitFor()
    }
    await draw()
    await page.keyboard.press('Escape')
    await page.mouse.up()
    expect(await zoomOf(page)).toBe(0)
    await draw()
    await page.mouse.up()
    await until('magnified', async () => (await zoomOf(page)) > 0)
    expect(page.url()).not.toContain('open=')
    expect(await page.getByTestId('map-band').count()).toBe(0)
    // A press that does not move still opens its segment.
    await page.getByTestId('segment-tile').first().click()
    await until('it is open', () => Promise.resolve(page.url().includes('open=segment')))
  } finally {
    await page.context().close()
    await server.close()
  }
})

test('a map of hundreds: what is under the wheel stays there, and the address keeps the place', async () => {
  const server = await storeOf(420)
  const page = await open(server)
  try {
    await show(page, 'segments')
    const map = page.getByTestId('segment-canvas')
    const box = await map.boundingBox()
    if (box === null) throw new Error('no map')
    const point = { x: box.x + box.width / 2, y: box.y + box.height * 0.4 }
    const under = async (): Promise<string> => {
      await page.mouse.move(point.x + 1, point.y)
      await page.mouse.move(point.x, point.y)
      return (await page.getByTestId('map-tip').textContent()) ?? ''
    }
    const row = async () => /^L0-(\d+)/.exec(await under())?.[1]
    const seq = Number(await row())
    for (let step = 1; step <= 2; step += 1) {
      await page.keyboard.down('Control')
      await page.mouse.wheel(0, -120)
      await page.keyboard.up('Control')
      await zoomed(page, step)
    }
    // Of the same row, which has fewer cells now: not a cell of elsewhere.
    const columns = Math.round(box.width / 24)
    expect(Math.abs(Number(await row()) - seq)).toBeLessThan(columns)

    const top = () => map.evaluate((element) => element.scrollTop)
    await until('the place is in the address', () => Promise.resolve(page.url().includes('map=')))
    const before = await top()
    expect(before).toBeGreaterThan(0)
    await page.reload()
    await until('the same place', async () => Math.abs((await top()) - before) < 80)
  } finally {
    await page.context().close()
    await server.close()
  }
})
