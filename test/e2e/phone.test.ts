/** At 390 px: nothing is cut off, the bar stays where the thumb left it, a dialog is read from its top. */
import { afterAll, expect, test } from 'vitest'
import { open, serve, withDueStage } from './in-process.ts'
import { show } from './page.ts'
import { cleanUp } from './support.ts'

afterAll(cleanUp)

const PHONE = { width: 390, height: 844 }

test('the other views open above the bar, and the bar does not move', async () => {
  const server = await serve()
  const page = await open(server, PHONE)
  const bar = async () => {
    const names = ['view-overview', 'view-segments', 'view-queue', 'view-passes', 'rail-more']
    return Promise.all(names.map((name) => page.getByTestId(name).boundingBox()))
  }
  const before = await bar()
  expect(new Set(before.map((box) => box?.y)).size).toBe(1)
  await page.getByTestId('rail-more').click()
  expect(await bar()).toEqual(before)
  const sheet = await page.getByTestId('rail-beyond').boundingBox()
  expect((sheet?.y ?? 0) + (sheet?.height ?? 0)).toBeLessThanOrEqual(before[0]?.y ?? 0)
  expect(await page.getByTestId('view-stores').isVisible()).toBe(true)
  // A tap beside it closes it, and so does going somewhere.
  await page.locator('main').click({ position: { x: 20, y: 8 } })
  await page.getByTestId('rail-beyond').waitFor({ state: 'hidden' })
  await page.getByTestId('rail-more').click()
  await page.getByTestId('view-pins').click()
  await page.locator('main[data-view="pins"]').waitFor()
  expect(await page.getByTestId('rail-beyond').isVisible()).toBe(false)
  await page.context().close()
})

test('a stored plan fits the width, and its buttons are in sight', async () => {
  const server = await serve()
  await withDueStage(server)
  const page = await open(server, PHONE)
  await show(page, 'segments')
  for (const row of await page.locator('[data-testid="segment-row"][data-state="sealed"]').all()) {
    await row.getByRole('checkbox').check()
  }
  await page.getByTestId('action-rewrite').click()
  await page.getByTestId('stored-plan').waitFor()
  const dialog = page.getByRole('dialog')
  expect(await dialog.evaluate((one) => one.scrollWidth - one.clientWidth)).toBe(0)
  const apply = await page.getByTestId('plan-apply').boundingBox()
  expect((apply?.y ?? 0) + (apply?.height ?? 0)).toBeLessThanOrEqual(PHONE.height)
  await page.context().close()
})

test('the phases stand in one column, each with its text beside it', async () => {
  const server = await serve()
  const page = await open(server, PHONE)
  await show(page, 'step')
  await page.getByTestId('phase-row').first().waitFor()
  const boxes = await page.getByTestId('phase-row').evaluateAll((rows) =>
    rows.map((row) => {
      const [name, text] = row.children
      return {
        left: Math.round(text?.getBoundingClientRect().left ?? 0),
        isBeside:
          (text?.getBoundingClientRect().top ?? 0) < (name?.getBoundingClientRect().bottom ?? 0),
      }
    }),
  )
  expect(boxes.length).toBeGreaterThan(5)
  expect(boxes.every(({ isBeside }) => isBeside)).toBe(true)
  expect(new Set(boxes.map(({ left }) => left)).size).toBe(1)
  await page.context().close()
})

test.each([PHONE, { width: 1440, height: 900 }])(
  'no label is broken inside its name at $width px, and no panel is longer than what it holds',
  async (size) => {
    const server = await serve()
    await server.put('k', 400, 'a')
    const page = await open(server, size)
    await show(page, 'workload')
    await page.getByTestId('workload-seed').waitFor()
    const lines = await page.locator('#workload .field > span').evaluateAll((labels) =>
      labels.map((label) => {
        const range = document.createRange()
        range.selectNodeContents(label.firstChild ?? label)
        return `${label.textContent}: ${String(range.getClientRects().length)}`
      }),
    )
    expect(lines.length).toBeGreaterThan(7)
    expect(lines.filter((one) => !one.endsWith(': 1'))).toEqual([])

    await show(page, 'overview')
    const empty = await page.locator('.panes .panel').evaluateAll((panels) =>
      panels.map((panel) => {
        const last = panel.lastElementChild?.getBoundingClientRect().bottom ?? 0
        return panel.getBoundingClientRect().bottom - last
      }),
    )
    expect(empty.length).toBe(4)
    expect(Math.max(...empty)).toBeLessThan(24)
    await page.context().close()
  },
)

test.each([PHONE, { width: 1440, height: 900 }])(
  'the help begins with its first line at $width px, and can be closed without scrolling',
  async (size) => {
    const server = await serve()
    const page = await open(server, size)
    await page.keyboard.press('?')
    const dialog = page.getByRole('dialog')
    await dialog.waitFor()
    expect(await dialog.evaluate((one) => one.scrollTop)).toBe(0)
    expect(await dialog.evaluate(() => document.activeElement?.tagName)).toBe('H2')
    expect(await dialog.evaluate((one) => one.scrollHeight - one.clientHeight)).toBeGreaterThan(0)
    const close = await dialog.getByRole('button', { name: 'Close' }).boundingBox()
    expect((close?.y ?? 0) + (close?.height ?? 0)).toBeLessThanOrEqual(size.height)
    await page.context().close()
  },
)
