/** The whole trace after a reload: older events come from the server, then from the recording. */
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { FEED_LIMITS } from '../../server/live/feed.ts'
import type { FeedBody } from '../../server/protocol.ts'
import { SMALL_STEP_STORE, STORE, type TestServer } from '../server/test-server.ts'
import { open, serve } from './in-process.ts'
import { show } from './page.ts'
import { cleanUp, temporaryFolder, until } from './support.ts'

afterAll(cleanUp)

/** A feed that holds little: a snapshot brings 40 events, the server holds 120, the rest is recorded. */
async function serverWithPast(): Promise<TestServer> {
  const server = await serve({
    deps: { feedLimits: { ...FEED_LIMITS, snapshotEventsMax: 40, eventsMax: 120 } },
  })
  for (let i = 0; i < 300; i++) await server.act('gc', { dryRun: true })
  await until('what the server let go, and nearly all else, is on disk', async () => {
    // The clock stands still: what waits to be written goes with the next event.
    await server.act('gc', { dryRun: true })
    const from = (await newestSeq(server)) - 10
    const answer = await server.get<{ events: unknown[] }>(
      `/stores/${STORE}/history/events?from=${String(from)}&limit=1`,
    )
    return answer.status === 200 && answer.body.events.length > 0
  })
  return server
}

async function newestSeq(server: TestServer): Promise<number> {
  return (await server.get<FeedBody>(`/stores/${STORE}/feed`)).body.newestSeq
}

async function showAll(page: Page): Promise<void> {
  await page.evaluate(() => (location.hash = '#/trace?hide=none'))
  await show(page, 'trace')
}

test('a reload loses no event: what the page does not hold is loaded on the way to the first', async () => {
  const server = await serverWithPast()
  const page = await open(server)
  await showAll(page)
  const newest = await newestSeq(server)
  expect(newest).toBeGreaterThan(250)
  const list = page.getByTestId('trace-list')
  const seen = new Set<number>()
  await until('every event is on the page', async () => {
    // What came while the list was being read is met on a second way down, when all is there.
    await list.evaluate((element, isAllThere) => {
      const isAtEnd = element.scrollTop + element.clientHeight >= element.scrollHeight - 1
      element.scrollTop = isAtEnd && isAllThere ? 0 : element.scrollTop + 200
    }, seen.has(1))
    const seqs = await page
      .getByTestId('trace-row')
      .evaluateAll((rows) => rows.map((row) => Number(row.getAttribute('data-seq'))))
    for (const seq of seqs) seen.add(seq)
    return Array.from({ length: newest }, (_, i) => i + 1).every((seq) => seen.has(seq))
  })
  expect(await page.getByTestId('trace-remark').count()).toBe(0)
})

test('what an opening without a recording let go is told as gone, and not taken from another opening', async () => {
  const dir = temporaryFolder()
  const recorded = await serve({ dir })
  for (let i = 0; i < 60; i++) await recorded.act('gc', { dryRun: true })
  await recorded.close()
  const server = await serve({
    dir,
    engine: { ...SMALL_STEP_STORE, recording: 'off' },
    deps: { feedLimits: { ...FEED_LIMITS, snapshotEventsMax: 40, eventsMax: 120 } },
  })
  for (let i = 0; i < 300; i++) await server.act('gc', { dryRun: true })
  const page = await open(server)
  await page.evaluate(() => (location.hash = '#/trace?hide=none&open=event:7'))
  const gone = page.getByText(
    'is no longer held by the server, and its folder has no recording of it',
  )
  const details = page.getByTestId('event-details')
  await until('it is answered', async () => (await gone.count()) + (await details.count()) > 0)
  expect(await details.count()).toBe(0)
})

test('a link to an event that is not loaded opens it, and the trace leads to it', async () => {
  const server = await serverWithPast()
  const page = await open(server)
  for (const seq of [7, (await newestSeq(server)) - 60]) {
    await page.evaluate((at) => (location.hash = `#/trace?hide=none&open=event:${String(at)}`), seq)
    const details = page.getByTestId('event-details')
    await until('the event is open', async () => {
      return (await details.getAttribute('data-seq').catch(() => null)) === String(seq)
    })
    await page.getByRole('button', { name: 'Show in the trace' }).click()
    await page.locator(`[data-testid="trace-row"][data-seq="${String(seq)}"]`).waitFor()
  }
  await page.evaluate(() => (location.hash = '#/trace?open=event:999999'))
  await page.getByText('has not happened yet').waitFor()
})
