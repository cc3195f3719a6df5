/** The trace across openings of a store: one that was closed, one that was killed, and the present one. */
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import type { HistoryPassBody } from '../../server/protocol.ts'
import { waitLive } from './page.ts'
import { cleanUp, openPage, startServer, temporaryFolder, until, type Server } from './support.ts'

afterAll(cleanUp)

/** So many passes in step mode, which do nothing and say so. */
async function passes(server: Server, count: number): Promise<void> {
  for (let pass = 0; pass < count; pass += 1) await server.act('periodic-pass', {})
}

/** Opening 1 is closed in order, 2 is killed, 3 is there. */
async function thirdOpening(): Promise<Server> {
  const dir = temporaryFolder()
  const args = [dir, '--create', '--mode', 'step', '--port', '0']
  const first = await startServer(args)
  await passes(first, 3)
  await first.stop()
  const second = await startServer(args)
  await passes(second, 4)
  // What is killed a moment later has its past on disk, but no end.
  await until('its passes are recorded', async () => {
    return second.get<HistoryPassBody>('/history/passes/4?opening=2').catch(() => undefined)
  })
  await second.kill()
  const third = await startServer(args)
  await passes(third, 2)
  return third
}

async function goTo(page: Page, hash: string): Promise<void> {
  await page.evaluate((to) => (location.hash = to), hash)
}

const remarks = (page: Page) => page.getByTestId('trace-remark').allTextContents()

test('older events go on across the openings of a store, down to its first', async () => {
  const server = await thirdOpening()
  // High enough for all of its lines: only those in sight are in the document.
  const page = await openPage(server.url, { height: 4000 })
  await waitLive(page)
  await goTo(page, '#/trace?hide=none')
  const loadMore = page.getByTestId('load-older')
  const first = page.locator('[data-testid="trace-row"][data-stream="-1"][data-seq="1"]')
  await until('every line is loaded', async () => {
    // Lines that the search of the trace has not reached yet are not there for a frame or two.
    if ((await loadMore.count()) === 0) return (await first.count()) === 1
    if (await loadMore.first().isEnabled()) await loadMore.first().click()
    return false
  })
  const lines = await remarks(page)
  const opened = /opened \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\. Event and pass numbers begin anew/
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatch(/^Below: opening 2, /)
  expect(lines[0]).toMatch(opened)
  expect(lines[1]).toMatch(/^Opening 2: The newest moments, after event \d+, may be lost/)
  expect(lines[2]).toMatch(/^Below: opening 1, /)
  expect(await first.getAttribute('data-event-type')).toBe('store_opened')

  // The same number in each of the three: only the passes of one opening are shown.
  const shownStreams = async () =>
    new Set(
      await page
        .getByTestId('trace-row')
        .evaluateAll((rows) => rows.map((row) => row.getAttribute('data-stream'))),
    )
  await page.getByTestId('trace-pass').fill('2')
  await until('the present opening’s', async () => [...(await shownStreams())].join() === '1')
  await page.getByTestId('trace-opening').selectOption('1')
  await until('that of opening 1', async () => [...(await shownStreams())].join() === '-1')
  await until('the address says it', () => Promise.resolve(page.url().includes('pass=1,2')))
  await page.context().close()
  await server.stop()
})

test('a link to an event of an earlier opening opens it, its pass, and the trace around it', async () => {
  const server = await thirdOpening()
  const page = await openPage(server.url, { height: 4000 })
  await waitLive(page)
  await goTo(page, '#/trace?hide=none&open=event:1,5')
  const details = page.getByTestId('event-details')
  await until('it is open', async () => (await details.getAttribute('data-seq')) === '5')
  expect(await page.getByTestId('event-opening').textContent()).toContain('1, before the present')
  await page.getByRole('button', { name: 'Show in the trace' }).click()
  await page.locator('[data-testid="trace-row"][data-stream="-1"][data-seq="5"]').waitFor()
  // Opening 2 lies between and is not loaded for that.
  await page.getByTestId('trace-follow').click()
  await until('the line of opening 2', async () =>
    (await remarks(page)).some((line) => line.startsWith('Opening 2 of the store is not loaded')),
  )

  await goTo(page, '#/trace?open=pass:1,3')
  await page.getByTestId('pass-opening').waitFor()
  const report = page.getByTestId('pass-report')
  const recorded = await server.get<HistoryPassBody>('/history/passes/3?opening=1')
  expect(await report.getAttribute('data-pass-id')).toBe('3')
  expect(await report.getAttribute('data-outcome')).toBe(recorded.report?.outcome)
  await goTo(page, '#/trace?open=event:77,5')
  await page.getByText('Event 5 of opening 77 is lost').waitFor()
  await page.context().close()
  await server.stop()
})

test('the trace of a folder that is only read has what the folder recorded', async () => {
  const dir = temporaryFolder()
  for (const [count, extra] of [
    [2, ['--create']],
    [1, []],
  ] as const) {
    const server = await startServer([dir, ...extra, '--mode', 'step', '--port', '0'])
    await passes(server, count)
    await server.stop()
  }
  const attached = await startServer([dir, '--read-only', '--port', '0'])
  const page = await openPage(attached.url, { height: 4000 })
  await waitLive(page)
  await goTo(page, '#/trace?hide=none')
  await page.getByText('What the folder has recorded is not loaded.').waitFor()
  for (const stream of ['-2', '-1']) {
    await page.getByTestId('load-older').click()
    const row = page.locator(`[data-testid="trace-row"][data-stream="${stream}"][data-seq="1"]`)
    await row.waitFor()
    await row.locator('button').click()
    await until('it is open', async () => {
      const opening = await page
        .getByTestId('event-opening')
        .textContent()
        .catch(() => '')
      return opening?.startsWith(stream.slice(1)) === true
    })
  }
  expect(await page.getByTestId('load-older').count()).toBe(0)
  // Both openings have a pass 1: that of the newest, until another is asked for.
  const shown = async () => {
    const rows = await page
      .getByTestId('trace-row')
      .evaluateAll((all) => all.map((row) => row.getAttribute('data-stream')))
    return [...new Set(rows)].join()
  }
  await page.getByTestId('trace-pass').fill('1')
  await until('that of opening 2', async () => (await shown()) === '-2')
  await page.getByTestId('trace-opening').selectOption('1')
  await until('that of opening 1', async () => (await shown()) === '-1')
  await page.context().close()
  await attached.stop()
})
