/**
 * What a person does on the page to a store with small segments, in this process: the workload, a
 * deletion that has to be typed, options that are refused, breakpoints, and a store that dies while
 * another lives. The server, the store workers and the browser are the real ones.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { StoreBody, StoreSnapshot, StoresBody } from '../../server/protocol.ts'
import {
  SMALL_STEP_STORE,
  STORE,
  VIEWER_TOKEN,
  WORKER_URL,
  temporaryFolder,
} from '../server/test-server.ts'
import { open, serve, stateOf, withDeadSegments, withDueStage } from './in-process.ts'
import { segmentRows, show, waitLive } from './page.ts'
import { cleanUp, until } from './support.ts'

afterAll(cleanUp)

test('the workload starts with what was typed, takes a change while it runs, and stops', async () => {
  const server = await serve({ engine: { ...SMALL_STEP_STORE, mode: 'auto' } })
  const page = await open(server)
  await show(page, 'workload')
  const headline = page.locator('#workload-title')
  await page.getByTestId('workload-deleteRatio').fill('-1')
  expect(await page.getByTestId('action-workload-start').isDisabled()).toBe(true)
  expect(await page.getByTestId('workload-problem').textContent()).toMatch(/a number from 0 to 1/)
  await page.getByTestId('workload-deleteRatio').fill('0')
  await page.getByTestId('workload-putsPerSecond').fill('0')
  expect(await page.getByTestId('workload-problem').textContent()).toMatch(
    /“puts a second” takes a whole number from 1 to 1,000,000/,
  )
  await page.getByTestId('workload-keys').fill('300')
  await page.getByTestId('workload-putsPerSecond').fill('2500')
  await page.getByTestId('workload-restMs').fill('0')
  await page.getByTestId('workload-shape').selectOption('uniform')
  await page.getByTestId('action-workload-start').click()
  await headline.getByText(/Overwriting keys/).waitFor()
  const first = (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body.workload
  expect(first?.settings).toMatchObject({
    keys: 300,
    putsPerSecond: 2500,
    restMs: 0,
    shape: 'uniform',
  })

  // Without a change there is nothing to apply; with one, it goes on with the new setting.
  expect(await page.getByTestId('action-workload-start').isDisabled()).toBe(true)
  await page.getByTestId('workload-valueBytes').fill('512')
  await page.getByTestId('action-workload-start').click()
  await until('the new setting holds', async () => {
    const { workload } = (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body
    return workload?.settings.valueBytes === 512 && workload.settings.keys === 300
  })
  await page
    .getByTestId('workload-effect')
    .getByText(/\d+\/s/)
    .first()
    .waitFor()

  await page.getByTestId('action-workload-stop').click()
  await headline.getByText(/Stopped/).waitFor()
  const puts = async () => {
    const { gauges } = (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body
    return gauges.puts
  }
  const before = await puts()
  await server.act('checkpoint', {})
  expect(await puts()).toBe(before)
  await page.context().close()
})

test('a deletion of many segments says bytes and segments, and waits for the number to be typed', async () => {
  const dir = temporaryFolder()
  const server = await serve({ dir })
  await withDeadSegments(server)
  const { effect, confirm } = await server.plan({ action: 'gc', body: {} })
  expect(confirm.segments).toBeGreaterThanOrEqual(10)
  const ids = effect.segments.map((segment) => segment.segmentId)
  const dead = (await stateOf(server)).segments.filter(({ segmentId }) => ids.includes(segmentId))
  const page = await open(server)
  await show(page, 'step')
  await page.getByTestId('action-gc').click()
  const plan = page.getByTestId('stored-plan')
  await plan.waitFor()
  expect(await plan.locator(`[data-bytes="${String(confirm.bytes)}"]`).count()).toBeGreaterThan(0)
  const apply = page.getByTestId('plan-apply')
  expect(await apply.textContent()).toContain(`${String(confirm.segments)} segments`)
  expect(await apply.isDisabled()).toBe(true)
  await page.getByTestId('plan-typed').fill(String(confirm.segments + 1))
  expect(await apply.isDisabled()).toBe(true)

  // Escape is the way out: nothing is deleted, and the focus is back where it came from.
  await page.keyboard.press('Escape')
  await plan.waitFor({ state: 'detached' })
  expect(await page.evaluate(() => document.activeElement?.getAttribute('data-testid'))).toBe(
    'action-gc',
  )
  expect((await stateOf(server)).counters.gcRuns).toBe(0)

  await page.getByTestId('action-gc').click()
  await page.getByTestId('plan-typed').fill(String(confirm.segments))
  expect(await apply.isEnabled()).toBe(true)
  await apply.click()
  await page.getByTestId('action-result').getByText(/freed/).waitFor()
  for (const segment of dead) expect(fs.existsSync(path.join(dir, segment.file))).toBe(false)
  await until('the table is without them', async () => {
    return (await segmentRows(page)).every((row) => !ids.includes(row.segmentId))
  })
  await page.context().close()
})

test('a value out of range is refused with its name, nothing changes, and a good one is taken', async () => {
  const server = await serve()
  const page = await open(server)
  await show(page, 'step')
  await page.getByTestId('options-editor').locator('summary').click()
  const ratio = page.getByTestId('option-triggerStaleRatio')
  const before = await ratio.inputValue()
  await ratio.fill('-3')
  expect(await page.getByTestId('action-set-options').isDisabled()).toBe(true)
  expect(await page.getByTestId('options-problem').textContent()).toContain('trigger stale ratio')

  await ratio.fill('7')
  await page.getByTestId('option-confirmDelayMs').fill('4321')
  await page.getByTestId('action-set-options').click()
  const refused = page.getByTestId('options-problem')
  await refused.getByText(/triggerStaleRatio/).waitFor()
  expect(await page.getByTestId('action-error').getAttribute('data-code')).toBe('ENGINE_OPTIONS')
  const options = async () => {
    const { body } = await server.get<StoresBody>('/stores')
    return body.stores[0]?.engine?.options
  }
  // All or nothing: the good one beside it was not taken either.
  expect((await options())?.confirmDelayMs).not.toBe(4321)
  expect(String((await options())?.triggerStaleRatio)).toBe(before)

  await ratio.fill('0.6')
  await page.getByTestId('action-set-options').click()
  await until('both hold', async () => {
    const now = await options()
    return now?.triggerStaleRatio === 0.6 && now.confirmDelayMs === 4321
  })
  await until('the form follows', async () => (await ratio.inputValue()) === '0.6')
  await page.context().close()
})

test('a pass stops before its rewrite, shows what it met, moves nothing meanwhile, and runs on', async () => {
  const server = await serve()
  await withDueStage(server)
  const page = await open(server)
  await show(page, 'step')
  await page.getByTestId('break-before_rewrite').click()
  await until('it is set', async () => {
    return (await stateOf(server)).scheduler.breakpoints.includes('before_rewrite')
  })
  const before = await stateOf(server)
  await page.getByTestId('action-stage-confirm').click()
  const current = page.locator('[data-testid="phase-row"][data-current="true"]')
  await current.waitFor()
  expect(await current.getAttribute('data-phase')).toBe('rewrite')
  const stop = page.getByTestId('pass-stop')
  await stop.waitFor()
  expect(await stop.getByTestId('gate-row').count()).toBeGreaterThan(3)
  const stopped = await stateOf(server)
  expect(stopped.counters.rewriteBytesWritten).toBe(before.counters.rewriteBytesWritten)
  expect(stopped.debt.queue).toEqual(before.debt.queue)

  await page.getByTestId('action-resume-pass').click()
  await until('it ran to its end', async () => {
    const { scheduler, counters } = await stateOf(server)
    return scheduler.stopped === null && counters.rewriteRuns === before.counters.rewriteRuns + 1
  })
  await current.waitFor({ state: 'detached' })
  await page.context().close()
})

test('"the queue shrinks and nothing was freed" stops a pass whose source a snapshot keeps', async () => {
  const server = await serve()
  await withDueStage(server)
  await server.act('hold-snapshot', { label: 'keeps it' })
  const page = await open(server)
  await show(page, 'step')
  await page.getByTestId('break-queue_shrank_without_reclaim').click()
  await until('it is set', async () => (await stateOf(server)).scheduler.breakpoints.length === 1)
  await page.getByTestId('action-stage-confirm').click()
  const stop = page.getByTestId('pass-stop')
  await stop.waitFor()
  expect(await stop.textContent()).toContain('left the queue and no segment was deleted')
  await page.getByTestId('action-resume-pass').click()
  await stop.waitFor({ state: 'detached' })
  await page.context().close()
})

test('a store that dies is shown dead with its reason while another lives, and is opened again', async () => {
  // The real worker, and a request that throws outside of every handler.
  const code = `
    import { parentPort } from 'node:worker_threads'
    await import(${JSON.stringify(WORKER_URL.href)})
    parentPort.on('message', ({ name }) => { if (name === 'verify') throw new Error('planted') })
  `
  const workerUrl = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
  const root = temporaryFolder()
  const dir = path.join(root, 'first')
  const server = await serve({ dir, allowRoots: [root], deps: { workerUrl } })
  await server.put('k', 200)
  const body = { dir: path.join(root, 'second'), mode: 'hosted', create: true, scheduler: 'step' }
  const other = (await server.post<StoreBody>('/stores', body)).body.store
  const page = await open(server)
  const bytes = await page.getByTestId('debt-total').getAttribute('data-bytes')

  await server.post(`/stores/${STORE}/actions/verify`, {})
  const banner = page.getByTestId('store-failed')
  await banner.waitFor()
  expect(await banner.textContent()).toContain('planted')
  // The last numbers stay, and no action is offered on them.
  expect(await page.getByTestId('debt-total').getAttribute('data-bytes')).toBe(bytes)
  await show(page, 'step')
  expect(await page.getByTestId('action-checkpoint').isDisabled()).toBe(true)

  await show(page, 'stores')
  const row = (storeId: string) =>
    page.locator(`[data-testid="store-row"][data-store-id="${storeId}"]`)
  await row(STORE)
    .getByText(/failed/)
    .first()
    .waitFor()
  expect(await row(other.storeId).getAttribute('data-status')).toBe('open')
  await row(other.storeId).getByTestId('show-store').click()
  await waitLive(page)
  await show(page, 'step')
  await page.getByTestId('action-checkpoint').click()
  await page.getByTestId('action-result').waitFor()

  await show(page, 'stores')
  await row(STORE).getByTestId('reopen-store').click()
  await until('it is open again', async () => {
    return (await row(STORE).getAttribute('data-status')) === 'open'
  })
  await page.context().close()
})

test('a viewer is told why nothing can be pressed, and the server would refuse it', async () => {
  const server = await serve()
  const page = await open(server, { token: VIEWER_TOKEN })
  await show(page, 'step')
  expect(await page.locator('#step .note').first().textContent()).toMatch(/may look/)
  expect(await page.getByTestId('action-checkpoint').isDisabled()).toBe(true)
  const refused = await server.post(`/stores/${STORE}/actions/checkpoint`, {}, VIEWER_TOKEN)
  expect([refused.status, refused.body.error.code]).toEqual([403, 'FORBIDDEN_ROLE'])
  await page.context().close()
})
