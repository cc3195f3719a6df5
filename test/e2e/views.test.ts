/** Every view: by rail, by key and by link; what it shows survives a reload; axe finds nothing serious. */
import { AxeBuilder } from '@axe-core/playwright'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import type { EngineState } from '../../server/protocol.ts'
import { settled, show, waitLive, type ViewName } from './page.ts'
import { cleanUp, openPage, startServer, temporaryFolder, until, type Server } from './support.ts'

const VIEWS: { view: ViewName; key: string }[] = [
  { view: 'overview', key: 'o' },
  { view: 'segments', key: 's' },
  { view: 'queue', key: 'q' },
  { view: 'passes', key: 'p' },
  { view: 'step', key: 'e' },
  { view: 'trace', key: 't' },
  { view: 'history', key: 'h' },
  { view: 'pins', key: 'i' },
  { view: 'workload', key: 'w' },
  { view: 'stores', key: 'r' },
]

let server: Server
let page: Page

beforeAll(async () => {
  server = await startServer(['--port', '0', '--mode', 'step'], { cwd: temporaryFolder() })
  await server.act('workload-start', { settings: { putsPerSecond: 20_000, restMs: 0 } })
  await until('some stale segments', async () => {
    const { state } = await server.get<{ state: EngineState }>('/state')
    return state.segments.filter((s) => s.bytesStale > 0.6 * s.bytesTotal).length >= 3
  })
  await server.act('workload-stop', {})
  await server.act('hold-snapshot', { label: 'for the views' })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage', { filters: { minStaleRatio: 0.3, minAgeMs: 0 } })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage-confirm', {})
  page = await openPage(server.url)
  await waitLive(page)
})

afterAll(cleanUp)

/** What a reader would see: the fragment without what came from elsewhere. */
const address = async (): Promise<string> => page.evaluate(() => location.hash)

async function seriousFindings(): Promise<string[]> {
  await settled(page)
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)
}

test('each view is reached by its key and by the rail, and has a heading', async () => {
  for (const { view, key } of VIEWS) {
    await page.keyboard.press('g')
    await page.keyboard.press(key)
    await page.locator(`main[data-view="${view}"] h2`).first().waitFor()
    expect(await address()).toContain(`#/${view}`)
    expect(await page.getByRole('heading', { level: 1 }).allTextContents()).toEqual(['Restage'])
  }
  for (const { view } of VIEWS) {
    await page.getByTestId(`view-${view}`).click()
    await page.locator(`main[data-view="${view}"]`).waitFor()
  }
  await page.keyboard.press('?')
  await page.getByRole('dialog').waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
})

test('a link opens the same view, selection, filter and drawer, and a reload loses nothing', async () => {
  await show(page, 'segments')
  await page.getByTestId('segment-order').selectOption('stale')
  await page.getByTestId('colour-age').click()
  await page.getByTestId('segment-state').selectOption('sealed')
  await page.keyboard.press('/')
  await page.keyboard.type('l0-')
  await page.keyboard.press('Escape')
  const first = page.getByTestId('segment-row').first()
  await first.getByRole('checkbox').check()
  await first.getByRole('button').click()
  const id = await first.getAttribute('data-segment-id')
  const shown = async (at: Page) => ({
    rows: await at
      .getByTestId('segment-row')
      .evaluateAll((rows) => rows.map((row) => row.getAttribute('data-segment-id'))),
    open: await at.getByTestId('segment-details').getAttribute('data-segment-id'),
    filter: await at.getByTestId('segment-filter').inputValue(),
    colour: await at.getByTestId('colour-age').getAttribute('aria-pressed'),
    chosen: await at.getByRole('checkbox', { checked: true }).count(),
  })
  const before = await shown(page)
  expect(before).toMatchObject({ open: id, filter: 'l0-', colour: 'true', chosen: 1 })
  await until('the address says it all', async () => (await address()).includes('find=l0-'))

  const link = await address()
  const other = await openPage(server.url)
  await waitLive(other)
  await other.evaluate((hash) => (location.hash = hash), link)
  await other.getByTestId('segment-details').waitFor()
  expect(await shown(other)).toEqual(before)
  await other.reload()
  await other.getByTestId('segment-details').waitFor()
  expect(await shown(other)).toEqual(before)
  await other.goBack()
  await other.context().close()

  // Escape closes the drawer first, then drops the choice.
  await page.keyboard.press('Escape')
  await page.getByTestId('drawer').waitFor({ state: 'detached' })
  expect(await page.getByRole('checkbox', { checked: true }).count()).toBe(1)
  await page.keyboard.press('Escape')
  await until('nothing is chosen', async () => {
    return (await page.getByRole('checkbox', { checked: true }).count()) === 0
  })
})

test('the trace filters, pauses in its place, opens an event and copies it', async () => {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await show(page, 'trace')
  await page.getByTestId('trace-filter').fill('rewrite_done')
  const rows = page.getByTestId('trace-row')
  await until('only rewrites are left', async () => {
    const types = await rows.evaluateAll((all) =>
      all.map((row) => row.getAttribute('data-event-type')),
    )
    return types.length > 0 && types.every((type) => type === 'rewrite_done')
  })
  await rows.first().getByRole('button').click()
  await page.getByTestId('event-details').waitFor()
  await page.getByTestId('copy-trace-line').click()
  const line = await page.evaluate(() => navigator.clipboard.readText())
  expect(line).toMatch(/^ts=\S+Z treedb debug vlog_maint rewrite_done .*reason=rewrite_resume/)
  await page.getByTestId('copy-json').click()
  const json = JSON.parse(await page.evaluate(() => navigator.clipboard.readText())) as {
    type: string
  }
  expect(json.type).toBe('rewrite_done')
  await page.getByTestId('drawer-close').click()

  await page.getByTestId('trace-filter').fill('')
  await page.getByTestId('trace-list').evaluate((element) => (element.scrollTop = 300))
  await until('it is paused', async () => {
    return (await page.getByTestId('trace-list').getAttribute('data-paused')) === 'true'
  })
  const place = await rows.nth(4).getAttribute('data-seq')
  await server.act('checkpoint', {})
  await page.getByTestId('trace-follow').getByText(/newer/).waitFor()
  expect(await rows.nth(4).getAttribute('data-seq')).toBe(place)
  await page.getByTestId('trace-follow').click()
})

for (const scheme of ['light', 'dark'] as const) {
  test(`axe finds nothing serious on any view, ${scheme}`, async () => {
    await page.emulateMedia({ colorScheme: scheme })
    for (const { view } of VIEWS) {
      await show(page, view)
      expect(await seriousFindings(), view).toEqual([])
    }
    await show(page, 'segments')
    await page.getByTestId('segment-row').first().getByRole('button').click()
    await page.getByTestId('segment-details').waitFor()
    expect(await seriousFindings(), 'segment drawer').toEqual([])
    await show(page, 'passes')
    await page.getByTestId('pass-row').first().click()
    await page.getByTestId('drawer').getByTestId('pass-report').waitFor()
    expect(await seriousFindings(), 'pass drawer').toEqual([])
    await page.keyboard.press('Escape')
  })
}

test('at 390 pixels every view fits its width and the bar at the bottom reaches them all', async () => {
  const phone = await openPage(server.url, { width: 390, height: 844 })
  await waitLive(phone)
  for (const { view } of VIEWS) {
    const entry = phone.getByTestId(`view-${view}`)
    if (!(await entry.isVisible()))
      await phone.getByRole('button', { name: 'More', exact: true }).click()
    await entry.click()
    await phone.locator(`main[data-view="${view}"] h2`).first().waitFor()
    const over = await phone.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    expect(over, `${view} is wider than the screen`).toBeLessThanOrEqual(0)
  }
  await phone.context().close()
})
