/** Actions of the debugger, of pins and of stores: shown before they act, and what they did after. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import type { EngineState, StoreInfo } from '../../server/protocol.ts'
import { countOf, segmentRows, show, waitLive } from './page.ts'
import {
  ROOT,
  cleanUp,
  openPage,
  startServer,
  temporaryFolder,
  until,
  type Server,
} from './support.ts'

let server: Server
let page: Page
let root: string

const state = async (): Promise<EngineState> =>
  (await server.get<{ state: EngineState }>('/state')).state

beforeAll(async () => {
  root = temporaryFolder()
  fs.cpSync(path.join(ROOT, 'test/data/treedb-march-plain'), path.join(root, 'copy'), {
    recursive: true,
  })
  server = await startServer(['--port', '0', '--mode', 'step', '--allow-root', root], {
    cwd: temporaryFolder(),
  })
  await server.act('workload-start', { settings: { putsPerSecond: 20_000, restMs: 0 } })
  await until('four stale segments', async () => {
    const stale = (await state()).segments.filter(
      (s) => s.state === 'sealed' && s.bytesStale > 0.5 * s.bytesTotal && s.bytesLive > 0,
    )
    return stale.length >= 4
  })
  await server.act('workload-stop', {})
  await server.act('advance-clock', { ms: 60_000 })
  page = await openPage(server.url)
  await waitLive(page)
})

afterAll(cleanUp)

test('a manual rewrite shows its stored plan first, and applying it rewrites exactly that', async () => {
  await segmentRows(page)
  const { segments } = await state()
  const source = segments.find((s) => s.state === 'sealed' && s.bytesStale > 0.5 * s.bytesTotal)
  await page
    .locator(`[data-testid="segment-row"][data-segment-id="${String(source?.segmentId)}"]`)
    .getByRole('checkbox')
    .check()
  await page.getByTestId('action-rewrite').click()
  await page.getByTestId('stored-plan').waitFor()
  expect((await state()).counters.rewriteRuns).toBe(0)
  await page.getByTestId('plan-apply').click()
  const report = page.getByTestId('action-result').getByTestId('pass-report')
  await report.waitFor()
  expect(await report.getAttribute('data-source')).toBe('manual')
  expect((await state()).counters.rewriteRuns).toBe(1)
  // The residual of its byte flow is 0.
  expect(
    await report.getByTestId('residual').locator('[data-bytes]').getAttribute('data-bytes'),
  ).toBe('0')
  await page.keyboard.press('Escape')
})

test('the debugger says what would happen, runs any source, and runs until something holds', async () => {
  await show(page, 'step')
  await page
    .getByTestId('preview-stage-confirm')
    .getByText(/stops at a gate: nothing is staged/i)
    .waitFor()
  await page.getByTestId('action-stage').click()
  await show(page, 'overview')
  await until('the queue is staged', async () => (await countOf(page, 'queue-length')) >= 2)
  await show(page, 'step')
  await page.locator('[data-testid="preview-checkpoint"][data-kind="blocked"]').waitFor()
  await page.getByTestId('run-source').selectOption('rewrite_stage_confirm')
  await page.getByTestId('action-run-pass').click()
  const report = page.getByTestId('action-result').getByTestId('pass-report')
  await until('the report of the early confirm', async () => {
    return (await report.first().getAttribute('data-outcome')) === 'blocked'
  })
  await page.getByTestId('run-until-kind').selectOption('queue_empty')
  await page.getByTestId('action-run-until').click()
  await until('the queue is empty', async () => (await state()).debt.queue.length === 0, 60_000)
  await page
    .getByTestId('action-result')
    .getByText(/came true/)
    .waitFor()
  expect((await server.act('verify', {})).differences).toEqual([])
})

test('a held iterator is listed with what it keeps and goes when it is released', async () => {
  await show(page, 'pins')
  await page.getByTestId('snapshot-label').fill('a long scan')
  await page.getByTestId('action-hold-iterator').click()
  const row = page.locator('[data-testid="pin-row"][data-label="a long scan"]')
  await row.waitFor()
  expect(await row.getAttribute('data-kind')).toBe('iterator')

  // A rewrite now copies and frees nothing: its plan says so, and its button promises no deletion.
  await segmentRows(page)
  const { segments } = await state()
  const source = segments.find((s) => s.state === 'sealed' && s.bytesLive > 0)
  await page.evaluate((hash) => (location.hash = hash), '#/segments')
  await page
    .locator(`[data-testid="segment-row"][data-segment-id="${String(source?.segmentId)}"]`)
    .getByRole('checkbox')
    .check()
  await page.getByTestId('action-rewrite').click()
  const freed = page.getByTestId('freed-now').locator('[data-bytes]').first()
  expect(await freed.getAttribute('data-bytes')).toBe('0')
  expect(await page.getByTestId('freed-later').textContent()).toContain('a long scan')
  expect(await page.getByTestId('plan-apply').textContent()).toMatch(/^Rewrite: 1 segment/)
  await page.getByRole('button', { name: 'Leave it' }).click()
  await show(page, 'pins')
  await row.getByTestId('action-release-pin').click()
  await page.getByTestId('plan-apply').click()
  await row.waitFor({ state: 'detached' })
  expect((await state()).pins).toEqual([])
})

test('a folder below an allowed root is attached beside, shown, and closed again; it is all in the audit list', async () => {
  await show(page, 'stores')
  await page
    .locator(`[data-testid="folder-row"][data-dir="${fs.realpathSync(root)}"]`)
    .getByRole('button')
    .first()
    .click()
  const row = page.locator(
    `[data-testid="folder-row"][data-dir="${path.join(fs.realpathSync(root), 'copy')}"]`,
  )
  await row.getByTestId('attach-folder').click()
  await page
    .getByTestId('store-mode')
    .getByText(/read-only/)
    .waitFor()
  const stores = page.getByTestId('store-row')
  await until('both stores are listed', async () => (await stores.count()) === 2)
  await waitLive(page)
  expect((await segmentRows(page)).length).toBeGreaterThan(0)
  await show(page, 'stores')
  await page
    .locator('[data-testid="store-row"][data-mode="attached"]')
    .getByTestId('close-store')
    .click()
  await until('one is left', async () => (await stores.count()) === 1)
  await page.getByTestId('audit-row').first().waitFor()
  expect(await page.getByTestId('audit-row').filter({ hasText: 'done' }).count()).toBeGreaterThan(3)
  const { stores: left } = (await (
    await fetch(`http://127.0.0.1:${String(server.port)}/api/v1/stores`, {
      headers: { authorization: 'Bearer end-to-end-token-0123456789' },
    })
  ).json()) as { stores: StoreInfo[] }
  expect(left.map((store) => store.mode)).toEqual(['hosted'])
  // The page stays with the store that was closed; opened anew it shows the one that is left.
  await page.goto('about:blank')
  await page.goto(server.url)
  await waitLive(page)
})

test('a pass is stepped phase by phase, stops at a breakpoint, and options change while it runs', async () => {
  await show(page, 'step')
  await page.getByTestId('break-before_gc').click()
  await until('the breakpoint is set', async () => {
    return (await state()).scheduler.breakpoints.includes('before_gc')
  })
  await page.getByTestId('break-before_gc').click()
  await until('it is gone', async () => (await state()).scheduler.breakpoints.length === 0)
  await page.getByTestId('step-source').selectOption('checkpoint_kick')
  await page.getByTestId('action-step-phase').click()
  await until('a pass stands still before its first phase', async () => {
    const { stopped } = (await state()).scheduler
    return stopped?.before === 'gates' && stopped.source === 'checkpoint_kick'
  })
  const current = page.locator('[data-testid="phase-row"][data-current="true"]')
  await current.waitFor()
  expect(await current.getAttribute('data-phase')).toBe('gates')
  await page.getByTestId('action-resume-pass').click()
  await until('it ran to its end', async () => (await state()).scheduler.stopped === null)
  const ended = page.getByTestId('action-result').getByTestId('pass-report')
  await ended.waitFor()
  expect(await ended.getAttribute('data-source')).toBe('checkpoint_kick')
  expect(await ended.getByTestId('way-taken').count()).toBeGreaterThan(0)
  // However far down the next button is, what the last one did stands beside it.
  await page.getByTestId('options-editor').scrollIntoViewIfNeeded()
  const box = await page.getByTestId('action-result').boundingBox()
  const strip = await page.locator('.strip').boundingBox()
  expect(box?.y).toBeGreaterThanOrEqual((strip?.y ?? 0) + (strip?.height ?? 0))
  expect(box?.y).toBeLessThan((page.viewportSize()?.height ?? 0) / 2)
  await page.getByTestId('options-editor').locator('summary').click()
  await page.getByTestId('option-confirmDelayMs').fill('12345')
  await page.getByTestId('action-set-options').click()
  await until('the trace has the change', async () => {
    const { events } = await server.get<{ events: { type: string }[] }>(
      '/events?after=0&limit=10000',
    )
    return events.some((event) => event.type === 'options_changed')
  })
})
