/** Phase, pause, pause file and index vacuum on the page, against the built server as its own process. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Page } from 'playwright-core'
import { afterAll, expect, test } from 'vitest'
import type { EngineState, StoreSnapshot } from '../../server/protocol.ts'
import { show, waitLive } from './page.ts'
import { cleanUp, openPage, startServer, temporaryFolder, until, type Server } from './support.ts'

afterAll(cleanUp)

async function pageOf(server: Server): Promise<Page> {
  const page = await openPage(server.url)
  page.setDefaultTimeout(15_000)
  await waitLive(page)
  return page
}

const schedulerOf = async (server: Server): Promise<EngineState['scheduler']> =>
  (await server.get<StoreSnapshot>('/state')).state.scheduler

const heldBy = (page: Page) => page.getByTestId('held-back')

test('the phase a server is started in is shown, is set on the page, and ends there', async () => {
  const server = await startServer([temporaryFolder(), '--create', '--phase', 'restore'])
  const page = await pageOf(server)
  await heldBy(page).getByText('phase restore').waitFor()
  await show(page, 'step')
  await page
    .locator('#step-title')
    .getByText(/the node is in the phase restore/)
    .waitFor()
  expect(await page.getByTestId('action-set-phase').isDisabled()).toBe(true)
  await page.getByTestId('phase-choice').selectOption('catch_up')
  await page.getByTestId('action-set-phase').click()
  await heldBy(page).getByText('phase catch-up').waitFor()
  expect((await schedulerOf(server)).phase).toBe('catch_up')
  await page.getByTestId('phase-choice').selectOption('steady')
  await page.getByTestId('action-set-phase').click()
  await heldBy(page).waitFor({ state: 'detached' })
  expect((await schedulerOf(server)).phase).toBe('steady')
  await page.context().close()
  await server.stop()
})

test('a pause says why until it is resumed; a pause file does so on disk, over a restart', async () => {
  const dir = temporaryFolder()
  const file = path.join(temporaryFolder(), 'vlog.pause')
  const args = [dir, '--create', '--pause-file', file]
  const server = await startServer(args)
  let page = await pageOf(server)
  await show(page, 'step')
  await page.getByTestId('hold-back-reason').fill('a backup runs')
  await page.getByTestId('action-pause').click()
  await heldBy(page).getByText('paused: a backup runs').waitFor()
  await page.getByTestId('pause-reason').getByText('paused: a backup runs').waitFor()
  expect(await page.getByTestId('hold-back-reason').inputValue()).toBe('')
  await show(page, 'overview')
  await page
    .getByTestId('next-headline')
    .getByText(/paused: a backup runs/)
    .waitFor()
  await show(page, 'step')
  await page.getByTestId('action-resume').click()
  await heldBy(page).waitFor({ state: 'detached' })

  await page.getByTestId('hold-back-reason').fill('state sync')
  await page.getByTestId('action-set-pause-file').click()
  await heldBy(page).getByText('pause file: state sync').waitFor()
  expect(fs.readFileSync(file, 'utf8')).toBe('state sync\n')
  await page.context().close()
  expect(await server.stop()).toBe(0)

  const again = await startServer(args)
  page = await pageOf(again)
  await show(page, 'step')
  await page.locator('[data-testid="pause-file"][data-present="true"]').waitFor()
  await page.getByTestId('action-set-pause-file').click()
  await heldBy(page).waitFor({ state: 'detached' })
  expect(fs.existsSync(file)).toBe(false)
  await page.context().close()
  await again.stop()
})

test('an index vacuum shows what it would copy and free, and frees that once it is applied', async () => {
  const dir = temporaryFolder()
  const server = await startServer([dir, '--create', '--mode', 'step', '--profile', 'fast'])
  const batch = async (operations: unknown[]) => {
    expect((await server.post('/batch', { operations })).status).toBe(200)
  }
  const value = Buffer.alloc(400, 'v').toString('base64')
  const keys = Array.from({ length: 6_000 }, (_, i) =>
    Buffer.from(`k${String(i).padStart(6, '0')}`).toString('base64'),
  )
  await batch(keys.map((key) => ({ op: 'put', key, value })))
  await server.act('checkpoint', {})
  await batch(keys.filter((_, i) => i % 20 !== 0).map((key) => ({ op: 'delete', key })))
  await server.act('checkpoint', {})
  await server.act('checkpoint', {})
  const index = path.join(dir, 'maindb', 'index.db')
  const before = fs.statSync(index).size

  const page = await pageOf(server)
  await show(page, 'step')
  await page.getByTestId('action-vacuum').click()
  const plan = page.getByTestId('stored-plan')
  await plan.getByText(/now,.*afterwards/).waitFor()
  const apply = page.getByTestId('plan-apply')
  expect(await apply.textContent()).toMatch(/^Vacuum: give back \d/)
  expect(fs.statSync(index).size).toBe(before)
  await page.keyboard.press('Escape')
  await plan.waitFor({ state: 'detached' })
  expect(fs.statSync(index).size).toBe(before)

  await page.getByTestId('action-vacuum').click()
  await apply.click()
  await page
    .getByTestId('action-result')
    .getByText(/of index\.db given back/)
    .waitFor()
  await until('the file is shorter', () => Promise.resolve(fs.statSync(index).size < before / 2))
  const report = (await server.get<StoreSnapshot>('/state')).state.counters
  expect(report).toMatchObject({ vacuumRuns: 1, vacuumFailures: 0 })

  // Nothing is left to give back, and the page says so before anybody presses.
  await page.getByTestId('action-vacuum').click()
  await page
    .getByTestId('plan-sentence')
    .getByText(/no space to give back/)
    .waitFor()
  await page.context().close()
  await server.stop()
})
