/** What the page saves: pictures with something in them, of the size shown, and the numbers shown. */
import * as fs from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import type { PassReport } from '../../server/protocol.ts'
import { SMALL_STEP_STORE, STORE, type TestServer } from '../server/test-server.ts'
import { open, serve, stateOf, withDueStage } from './in-process.ts'
import { segmentRows, show } from './page.ts'
import { cleanUp, until } from './support.ts'

afterAll(cleanUp)

async function saved(page: Page, testId: string): Promise<{ name: string; content: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByTestId(testId).click(),
  ])
  return { name: download.suggestedFilename(), content: fs.readFileSync(await download.path()) }
}

/** Plain fields only, as these files have them. */
async function csv(page: Page, name: string): Promise<Record<string, string>[]> {
  const file = await saved(page, `csv-${name}`)
  expect(file.name).toMatch(new RegExp(`^restage-[^/]+-${name}-\\d{8}T\\d{6}Z\\.csv$`))
  const [head = '', ...lines] = file.content.toString().split('\r\n')
  const names = head.split(',')
  return lines.map((line) => {
    const fields = line.split(',')
    return Object.fromEntries(names.map((column, index) => [column, fields[index] ?? '']))
  })
}

/** Colour of a token of the stylesheet, as the page has it now. */
function token(page: Page, name: string): Promise<number[]> {
  return page.evaluate((property) => {
    const written = getComputedStyle(document.documentElement).getPropertyValue(property).trim()
    // The build shortens "#ffffff" to "#fff".
    const text = written.length === 4 ? written.replace(/[^#]/g, '$&$&') : written
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16))
  }, name)
}

/**
 * Decodes the picture in the browser: its size in pixels, how many colours are in it, and for each of
 * `wanted` how many pixels are about that colour.
 */
async function look(page: Page, png: Buffer, wanted: number[][]) {
  return page.evaluate(
    async ([base64, colours]) => {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
      const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }))
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
      const context = canvas.getContext('2d')
      if (context === null) throw new Error('no canvas')
      context.drawImage(bitmap, 0, 0)
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
      const distinct = new Set<number>()
      const found = colours.map(() => 0)
      for (let at = 0; at < data.length; at += 4) {
        const [red = 0, green = 0, blue = 0] = data.subarray(at, at + 3)
        distinct.add((red << 16) | (green << 8) | blue)
        colours.forEach(([r = 0, g = 0, b = 0], index) => {
          const off = Math.abs(red - r) + Math.abs(green - g) + Math.abs(blue - b)
          if (off < 60) found[index] = (found[index] ?? 0) + 1
        })
      }
      const pixels = bitmap.width * bitmap.height
      return { width: bitmap.width, height: bitmap.height, pixels, distinct: distinct.size, found }
    },
    [png.toString('base64'), wanted] as const,
  )
}

async function blackPixels(page: Page, png: Buffer): Promise<number> {
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
    const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }))
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d')
    if (context === null) throw new Error('no canvas')
    context.drawImage(bitmap, 0, 0)
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
    let black = 0
    for (let at = 0; at < data.length; at += 4) {
      const [red = 0, green = 0, blue = 0] = data.subarray(at, at + 3)
      if (red + green + blue < 12) black += 1
    }
    return black
  }, png.toString('base64'))
}

interface Picture {
  tokens: string[]
  shown: string
  /** Of all pixels, at least this share is the ground of the panel. */
  groundShare: number
}

/** Saves the PNG of a chart and checks it against the element it pictures. */
async function checkPicture(
  page: Page,
  name: string,
  { tokens, shown, groundShare }: Picture,
): Promise<void> {
  const box = await page.locator(shown).first().boundingBox()
  const { name: fileName, content } = await saved(page, `png-${name}`)
  expect(fileName).toMatch(new RegExp(`^restage-[^/]+-${name}-\\d{8}T\\d{6}Z\\.png$`))
  expect(content.subarray(0, 8).toString('latin1')).toBe('\x89PNG\r\n\x1a\n')
  expect(content.length).toBeGreaterThan(4000)
  const wanted = await Promise.all(tokens.map((one) => token(page, one)))
  const ground = await token(page, '--surface')
  const picture = await look(page, content, [...wanted, ground])
  // A shape that has lost its style is filled with black, which no token is.
  expect(await blackPixels(page, content), `black pixels in ${name}`).toBe(0)
  const ofGround = picture.found.pop() ?? 0
  expect(ofGround / picture.pixels, `share of the ground in ${name}`).toBeGreaterThan(groundShare)
  // Twice the size on screen, so that it is sharp where it is pasted.
  expect(picture.width).toBeGreaterThanOrEqual(Math.floor(box?.width ?? 0) * 2 - 2)
  expect(picture.width).toBeLessThanOrEqual(Math.ceil(box?.width ?? 0) * 2 + 2)
  expect(picture.height).toBeGreaterThanOrEqual(Math.floor(box?.height ?? 0) * 2 - 2)
  expect(picture.distinct).toBeGreaterThan(20)
  picture.found.forEach((pixels, index) => {
    expect(pixels, `pixels about ${tokens[index] ?? ''} in ${name}`).toBeGreaterThan(100)
  })
}

async function passesOf(server: TestServer): Promise<PassReport[]> {
  return (await server.get<{ passes: PassReport[] }>(`/stores/${STORE}/passes`)).body.passes
}

test('every chart is saved as a picture of it, in both themes', async () => {
  // On the wall clock: samples need time to be a line.
  const server = await serve({ engine: { ...SMALL_STEP_STORE, mode: 'auto' } })
  await server.act('pause', {})
  await server.put('k', 400, 'a')
  const page = await open(server)
  await until('three samples, and bytes that died between them', async () => {
    await server.put('k', 100, 'b', 2)
    return (await page.getByTestId('csv-debt').count()) === 1
  })
  const stale = (await stateOf(server)).segments.find((one) => one.bytesStale > 0)
  await server.act('run-pass', { source: 'periodic' })
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme })
    await show(page, 'overview')
    await page.locator('#history .recharts-area').first().waitFor()
    await checkPicture(page, 'debt', {
      tokens: ['--live', '--text-2'],
      shown: '#history .picture',
      groundShare: 0.3,
    })
    await show(page, 'passes')
    await page.getByTestId('timeline-pass').first().waitFor()
    await checkPicture(page, 'passes', {
      tokens: ['--line', '--text-2'],
      shown: '#timeline .timeline',
      groundShare: 0.85,
    })
    await show(page, 'segments')
    await page
      .locator(`[data-testid="segment-row"][data-segment-id="${String(stale?.segmentId)}"]`)
      .getByRole('button')
      .click()
    await page.locator('[data-testid="drawer"] .bytes-live').waitFor()
    const name = await page
      .locator('[data-testid="drawer"] [data-testid^="png-bytes-of-"]')
      .getAttribute('data-testid')
    await checkPicture(page, name?.replace('png-', '') ?? '', {
      tokens: ['--live'],
      shown: '[data-testid="drawer"] .segment-bytes svg',
      groundShare: 0.2,
    })
    await page.keyboard.press('Escape')
  }
  await page.context().close()
})

test('the numbers saved are the numbers shown: debt, segments, queue and passes', async () => {
  const server = await serve()
  await withDueStage(server)
  await server.act('stage-confirm', {})
  const page = await open(server)

  const rows = await segmentRows(page)
  const segments = await csv(page, 'segments')
  expect(segments.map((row) => [row['segment_id'], row['bytes_total'], row['bytes_live']])).toEqual(
    rows.map((row) => [row.segmentId, row.bytesTotal, row.bytesLive].map(String)),
  )
  await page.getByTestId('segment-order').selectOption('stale')
  const byStale = (await csv(page, 'segments')).map((row) => Number(row['bytes_stale']))
  expect(byStale).toEqual([...byStale].sort((a, b) => b - a))

  await show(page, 'queue')
  const { debt } = await stateOf(server)
  expect(debt.queue.length).toBeGreaterThan(0)
  const queue = await csv(page, 'queue')
  expect(queue.map((row) => [row['segment_id'], row['planned_bytes_stale']])).toEqual(
    debt.ledger.map((entry) => [entry.segmentId, entry.bytesStale].map(String)),
  )
  const shown = await page
    .getByTestId('queue-row')
    .first()
    .locator('[data-bytes]')
    .evaluateAll((cells) => cells.map((cell) => cell.getAttribute('data-bytes')))
  expect(shown).toContain(queue[0]?.['planned_bytes_stale'])
  expect(shown).toContain(queue[0]?.['bytes_stale'])

  await show(page, 'passes')
  const reports = await passesOf(server)
  const passes = await csv(page, 'passes')
  const drawn = await page
    .getByTestId('timeline-pass')
    .evaluateAll((bars) => bars.map((bar) => bar.getAttribute('data-pass-id')))
  expect(passes.map((row) => row['pass_id'])).toEqual(drawn)
  for (const row of passes) {
    const report = reports.find((one) => String(one.passId) === row['pass_id'])
    expect([row['source'], row['outcome'], row['elapsed_ms']]).toEqual([
      report?.source,
      report?.outcome,
      String(report?.elapsedMs),
    ])
  }
  await page.context().close()
})

test('the debt chart keeps to a fixed span, and what it saves is that span, exactly', async () => {
  const server = await serve({ engine: { ...SMALL_STEP_STORE, mode: 'auto' } })
  await server.put('k', 200, 'a')
  const page = await open(server)
  await until('six samples', async () => {
    if ((await page.getByTestId('csv-debt').count()) === 0) return false
    return (await csv(page, 'debt')).length >= 6
  })
  const all = await csv(page, 'debt')
  const times = all.map((row) => Number(row['at_ms']))
  expect(times).toEqual([...times].sort((a, b) => a - b))
  const total = (await stateOf(server)).segments.reduce((sum, one) => sum + one.bytesTotal, 0)
  expect(all.at(-1)?.['bytes_total']).toBe(String(total))
  const [from = 0, to = 0] = [times[1], times[3]]
  await page.evaluate(([a, b]) => (location.hash = `#/overview?time=${a},${b}`), [
    String(from),
    String(to),
  ] as const)
  await page.getByTestId('time-fixed').waitFor()
  const fixed = await csv(page, 'debt')
  expect(fixed.map((row) => Number(row['at_ms']))).toEqual(times.slice(1, 4))
  // A fixed span is closed: nothing in it goes on.
  expect(await page.locator('#history').getByText('it goes on').count()).toBe(0)
  await page.getByTestId('time-all').click()
  await page.locator('#history').getByText('it goes on').waitFor()
  await page.context().close()
})
