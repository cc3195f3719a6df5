/** The recorded past on the page: of an attached copy and of a hosted store, by mouse, key and link. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type {
  EngineState,
  HistoryBody,
  HistoryLatencyBody,
  HistoryPassesBody,
  HistoryStateBody,
} from '../../server/protocol.ts'
import { ageRecording } from '../support/old-recording.ts'
import { show, waitLive } from './page.ts'
import {
  cleanUp,
  fingerprint,
  openPage,
  startServer,
  temporaryFolder,
  until,
  type Server,
} from './support.ts'

const home = temporaryFolder()
const dir = path.join(home, 'data/demo')

/** Debt, a stage and a rewrite in the demo store; ends in order. Then it is opened and closed once more. */
beforeAll(async () => {
  const server = await startServer(['--port', '0', '--mode', 'step'], { cwd: home })
  await server.act('workload-start', { settings: { putsPerSecond: 20_000, restMs: 0 } })
  await until('some stale segments', async () => {
    const { state } = await server.get<{ state: EngineState }>('/state')
    return state.segments.filter((s) => s.bytesStale > 0.6 * s.bytesTotal).length >= 3
  })
  await server.act('workload-stop', {})
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage', { filters: { minStaleRatio: 0.3, minAgeMs: 0 } })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage-confirm', {})
  expect(await server.stop()).toBe(0)
  const again = await startServer([dir, '--port', '0', '--mode', 'step'])
  expect(await again.stop()).toBe(0)
})

afterAll(cleanUp)

/** The state that is drawn is that of the moment that was asked for. */
async function shown(page: Page, seq: number): Promise<void> {
  await page.locator(`[data-testid="moment-state"][data-seq="${String(seq)}"]`).waitFor()
}

async function passes(server: Server): Promise<HistoryPassesBody['passes']> {
  return (await server.get<HistoryPassesBody>('/history/passes?acted=true')).passes
}

test('an attached copy is scrubbed through its passes, and nothing in it changes', async () => {
  const copy = path.join(temporaryFolder(), 'copy')
  fs.cpSync(dir, copy, { recursive: true, preserveTimestamps: true })
  const before = fingerprint(copy)
  const server = await startServer([copy, '--read-only', '--port', '0'])
  const recorded = await passes(server)
  const rewrote = recorded.find(({ report }) => report.outcome === 'rewrote')
  const staged = recorded.find(({ report }) => report.outcome === 'staged')
  if (rewrote === undefined || staged === undefined) throw new Error('no pass was recorded')
  expect(rewrote.seq).toBeGreaterThan(staged.seq)

  const page = await openPage(server.url)
  await waitLive(page)
  await page.keyboard.press('g')
  await page.keyboard.press('h')
  // The newest moment first: the end of the second opening.
  await page.locator('[data-testid="moment-state"][data-opening="2"]').waitFor()
  expect(await page.getByTestId('history-missing').count()).toBe(0)
  await page.getByTestId('history-opening').selectOption('1')
  await page.locator('[data-testid="moment-state"][data-opening="1"]').waitFor()

  // A bar of the timeline is the end of its pass, with its whole report beside it.
  await page
    .locator(`[data-testid="timeline-pass"][data-pass-id="${String(staged.report.passId)}"]`)
    .press('Enter')
  await shown(page, staged.seq)
  await page
    .getByTestId('drawer')
    .getByTestId('candidate-row')
    .first()
    .waitFor({ state: 'attached' })
  const { state } = await server.get<HistoryStateBody>(
    `/history/state?opening=1&seq=${String(staged.seq)}`,
  )
  if (state === null) throw new Error('the state is not known')
  expect(await page.getByTestId('queue-row').count()).toBe(state.debt.queue.length)
  expect(await page.getByTestId('moment-sentence').textContent()).toContain(
    `${String(state.debt.queue.length)} queued, staged, confirm in`,
  )
  expect(await page.getByTestId('stage-line').count()).toBe(1)
  await page.keyboard.press('Escape')

  // One event back and on, by button; the next pass by key; the slider by arrow.
  await page.getByTestId('previous-event').click()
  await shown(page, staged.seq - 1)
  await page.getByTestId('next-event').click()
  await shown(page, staged.seq)
  await page.keyboard.press('.')
  await shown(page, rewrote.seq)
  expect(await page.getByTestId('queue-row').count()).toBe(rewrote.report.after.queue.length)
  await page.getByTestId('moment').focus()
  await page.keyboard.press('ArrowLeft')
  await shown(page, rewrote.seq - 1)
  await page.getByTestId('previous-pass').click()
  await shown(page, staged.seq)

  // The link has it all, and so has a reload.
  const link = await until('the address names the moment', async () => {
    const hash = await page.evaluate(() => location.hash)
    return hash.includes(`moment=1,${String(staged.seq)}`) && hash
  })
  expect(link).toContain(`#/history?`)
  const other = await openPage(server.url)
  await waitLive(other)
  await other.evaluate((hash) => (location.hash = hash), link)
  await shown(other, staged.seq)
  await other.reload()
  await shown(other, staged.seq)
  await other.context().close()

  expect(await server.stop()).toBe(0)
  expect(fingerprint(copy)).toEqual(before)
})

test('a copied folder shows what its foreground took beside its passes', async () => {
  const copy = path.join(temporaryFolder(), 'busy')
  fs.cpSync(dir, copy, { recursive: true })
  const server = await startServer([copy, '--read-only', '--port', '0'])
  const { intervals, isRecorded } = await server.get<HistoryLatencyBody>(
    '/history/latency?opening=1&fromMs=0&toMs=8e15',
  )
  expect(isRecorded).toBe(true)
  const puts = intervals.flatMap(({ put }) => put ?? [])
  expect(puts.length).toBeGreaterThan(0)
  const page = await openPage(server.url)
  await waitLive(page)
  await show(page, 'history')
  // Nothing was put in the second opening.
  await page.getByTestId('history-acted').uncheck()
  await page.getByTestId('history-opening').selectOption('1')
  const lane = page.getByTestId('latency-lane')
  await lane.getByText('as recorded').waitFor()
  expect(Number(await lane.getAttribute('data-points'))).toBe(puts.length)
  expect(await lane.locator('path.rate-line').last().getAttribute('d')).toMatch(
    /^M[\d.]+ [\d.]+[hL]/,
  )
  // The trace of that time has the same figures in words.
  const told = page.getByTestId('trace-row').filter({ hasText: 'Foreground' })
  expect(await told.first().textContent()).toMatch(/puts? timed, p50 .* ms/)
  await server.stop()
})

test('a recording from before latency says that it is not known', async () => {
  const store = path.join(temporaryFolder(), 'store')
  fs.cpSync(dir, store, { recursive: true })
  fs.rmSync(path.join(store, 'trace'), { recursive: true })
  const server = await startServer([store, '--port', '0', '--mode', 'step'])
  const { pass } = await server.act('run-pass', { source: 'periodic' })
  await until('the pass is on disk', async () => {
    const { recording } = await server.get<HistoryBody>('/history')
    return recording.openings[0]?.lastPassId === pass.passId
  })
  const copy = path.join(temporaryFolder(), 'old')
  fs.cpSync(store, copy, { recursive: true })
  await server.stop()
  ageRecording(copy)
  const reader = await startServer([copy, '--read-only', '--port', '0'])
  const page = await openPage(reader.url)
  await waitLive(page)
  await show(page, 'history')
  await page.getByTestId('history-acted').uncheck()
  await page.getByTestId('latency-unrecorded').getByText('is not known').waitFor()
  expect(await page.getByTestId('latency-lane').count()).toBe(0)
  expect(await page.getByTestId('latency-none').count()).toBe(0)
  await reader.stop()
})

test('a hosted store has its past beside its present, and says what is not there yet', async () => {
  const server = await startServer([dir, '--port', '0', '--mode', 'step'])
  const page = await openPage(server.url)
  await waitLive(page)
  await show(page, 'history')
  await page.getByTestId('moment-state').waitFor()
  await page.getByTestId('history-missing').getByText('The store is open').waitFor()
  const { pass } = await server.act('run-pass', { source: 'periodic' })
  await server.act('advance-clock', { ms: 5_000 })
  await page.getByTestId('history-acted').uncheck()
  await until('the new pass is read', async () => {
    await page.getByTestId('history-again').click()
    const bar = `[data-testid="timeline-pass"][data-pass-id="${String(pass.passId)}"]`
    return (await page.locator(bar).count()) === 1
  })
  expect(await page.getByTestId('scrubber').getAttribute('data-opening')).toBe('3')
  // The recorded moment cannot be acted on.
  expect(await page.locator('[data-testid="moment-state"] [data-testid^="action-"]').count()).toBe(
    0,
  )
  await server.stop()
})

test('lost moments and a moment that is not there are said', async () => {
  const copy = path.join(temporaryFolder(), 'crashed')
  fs.cpSync(dir, copy, { recursive: true })
  const chunks = fs.readdirSync(path.join(copy, 'trace')).sort()
  const newest = path.join(copy, 'trace', chunks.at(-1) ?? '')
  fs.truncateSync(newest, fs.statSync(newest).size - 500)
  const server = await startServer([copy, '--read-only', '--port', '0'])
  const page = await openPage(server.url)
  await waitLive(page)
  await show(page, 'history')
  await page.getByTestId('history-missing').getByText('The newest moments').waitFor()
  await page.evaluate(() => (location.hash = '#/history?moment=1,999999'))
  await page.getByTestId('moment-missing').getByText('the recording ends before').waitFor()
  await page.evaluate(() => (location.hash = '#/history?moment=77,1'))
  await page.getByTestId('moment-unknown').waitFor()
  await server.stop()
})

test('without a recording the page says what to do', async () => {
  const copy = path.join(temporaryFolder(), 'bare')
  fs.cpSync(dir, copy, { recursive: true })
  fs.rmSync(path.join(copy, 'trace'), { recursive: true })
  const server = await startServer([copy, '--read-only', '--port', '0'])
  const page = await openPage(server.url)
  await waitLive(page)
  await show(page, 'history')
  await page.getByTestId('history-empty').getByText('restage serve DIR').waitFor()
  await server.stop()
})

test('axe finds nothing serious in either theme, and it fits a phone', async () => {
  const server = await startServer([dir, '--read-only', '--port', '0'])
  for (const dark of [false, true]) {
    const page = await openPage(server.url, { dark })
    await waitLive(page)
    await show(page, 'history')
    await page.getByTestId('moment-state').waitFor()
    await page.waitForTimeout(300)
    const { violations } = await new AxeBuilder({ page }).analyze()
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    expect(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([])
  }
  const phone = await openPage(server.url, { width: 390, height: 844 })
  await waitLive(phone)
  await show(phone, 'history')
  await phone.getByTestId('moment-state').waitFor()
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth)
  expect(wide).toBeLessThanOrEqual(390)
  await server.stop()
})
