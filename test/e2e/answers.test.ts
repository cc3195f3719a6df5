/**
 * The questions of web/README.md, each answered from the screen by its click path and compared with
 * what the server says: how much debt, why nothing runs, what the next checkpoint would do, who keeps a
 * dead segment, what the last pass reclaimed.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import type { EngineState, PassReport } from '../../server/protocol.ts'
import { waitLive } from './page.ts'
import { cleanUp, openPage, startServer, temporaryFolder, until, type Server } from './support.ts'

let server: Server
let page: Page

const state = async (): Promise<EngineState> =>
  (await server.get<{ state: EngineState }>('/state')).state

/** A store with stale bytes, a rewritten segment that a snapshot keeps, and a staged rest. */
beforeAll(async () => {
  server = await startServer(['--port', '0', '--mode', 'step'], { cwd: temporaryFolder() })
  await server.act('workload-start', { settings: { putsPerSecond: 20_000, restMs: 0 } })
  await until('four stale segments', async () => {
    const stale = (await state()).segments.filter(
      (s) => s.state === 'sealed' && s.bytesStale > 0.5 * s.bytesTotal && s.bytesLive > 0,
    )
    return stale.length >= 4
  })
  await server.act('workload-stop', {})
  await server.act('hold-snapshot', { label: 'nightly backup' })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage', { filters: { minStaleRatio: 0.3, minAgeMs: 0 } })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage-confirm', {})
  page = await openPage(server.url)
  await waitLive(page)
})

afterAll(cleanUp)

test('how much debt: the first screen, without a click', async () => {
  const { segments } = await state()
  const stale = segments.reduce((sum, segment) => sum + segment.bytesStale, 0)
  expect(Number(await page.getByTestId('debt-stale').getAttribute('data-bytes'))).toBe(stale)
  expect(await page.getByTestId('the-sentence').textContent()).toMatch(
    /stale in \d+ of \d+ segments/,
  )
})

test('why nothing is rewritten now: the headline and the lines under it', async () => {
  expect((await state()).debt.stage).not.toBeNull()
  expect(await page.getByTestId('next-headline').textContent()).toMatch(/nothing runs by itself/i)
  expect(await page.getByTestId('next-reasons').textContent()).toMatch(/step mode/i)
})

test('what the next checkpoint would do: one line, and it is what then happens', async () => {
  // By itself a checkpoint kicks nothing in step mode; the one that somebody makes has a line of its own.
  expect(await page.getByTestId('next-checkpoint').textContent()).toMatch(/in step mode/i)
  const line = page.getByTestId('asked-checkpoint').getByTestId('wake-preview')
  expect(await line.textContent()).toMatch(/stops at a gate: .* staged, confirm due in/i)
  const before = await state()
  const { pass } = await server.act('checkpoint', {})
  expect(pass?.outcome).toBe(await line.getAttribute('data-outcome'))
  expect(pass?.blockedBy).toBe(await line.getAttribute('data-blocked-by'))
  expect((await state()).debt).toEqual(before.debt)
})

test('who keeps that dead segment: choose it in the map, read "Who keeps it"', async () => {
  const dead = (await state()).segments.find((segment) => segment.state === 'zombie')
  expect(dead).toBeDefined()
  await page
    .locator(`[data-testid="segment-tile"][data-segment-id="${String(dead?.segmentId)}"]`)
    .click()
  const kept = page.getByTestId('kept-by')
  await kept.waitFor()
  expect(await kept.textContent()).toContain('nightly backup')
  await page.keyboard.press('Escape')
})

test('what the last pass reclaimed: its number on the overview opens it', async () => {
  const { passes } = await server.get<{ passes: PassReport[] }>('/passes')
  const last = passes.find((pass) => pass.outcome === 'rewrote')
  await page.getByTestId('open-last-pass').click()
  const report = page.getByTestId('drawer').getByTestId('pass-report')
  await report.waitFor()
  expect(await report.getAttribute('data-pass-id')).toBe(String(last?.passId))
  const shown = report.locator('[data-flow="deleted"]')
  expect(Number(await shown.getAttribute('data-bytes'))).toBe(last?.byteFlow?.deletedBytes)
  const won = Number(await report.getByTestId('won').getAttribute('data-bytes'))
  const bytes = last?.steps.map((step) =>
    step.kind === 'gc'
      ? step.report.bytesDeleted
      : step.kind === 'rewrite'
        ? -step.report.bytesWritten
        : 0,
  )
  expect(won).toBe(bytes?.reduce((sum, one) => sum + one, 0))
  expect(await report.getByTestId('residual').textContent()).toMatch(/0 bytes/)
})
