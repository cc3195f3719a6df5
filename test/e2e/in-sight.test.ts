/** What an action answers is seen where the reader is: below the strip, and without a jump when it is in sight. */
import { afterAll, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import { STORE, type TestServer } from '../server/test-server.ts'
import { open, serve } from './in-process.ts'
import { show } from './page.ts'
import { cleanUp } from './support.ts'

async function withStale(): Promise<TestServer> {
  const server = await serve()
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  await server.act('checkpoint', {})
  return server
}

afterAll(cleanUp)

async function places(page: Page) {
  return page.evaluate(() => {
    const box = (testId: string) =>
      document.querySelector(`[data-testid="${testId}"]`)?.getBoundingClientRect()
    return {
      scrolled: scrollY,
      strip: box('strip')?.bottom ?? NaN,
      top: box('action-result')?.top ?? NaN,
      window: innerHeight,
    }
  })
}

/** Applies a stored plan that is gone: the server refuses it. Says from where it was scrolled. */
async function refusedPlan(server: TestServer, page: Page, atEnd = false): Promise<number> {
  await show(page, 'segments')
  await page.locator('[data-testid="segment-row"][data-state="sealed"] input').first().check()
  await page.getByTestId('action-rewrite').click()
  const planId = await page.getByTestId('stored-plan').getAttribute('data-plan-id')
  await server.delete(`/stores/${STORE}/plans/${String(planId)}`)
  const scrolled = await page.getByTestId('plan-apply').evaluate((button: HTMLElement, end) => {
    scrollTo(0, end ? document.documentElement.scrollHeight : 0)
    const from = scrollY
    button.click()
    return from
  }, atEnd)
  await page.getByTestId('action-error').waitFor()
  return scrolled
}

test.each([
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
])('a failure and a report are seen whole at $width px', async (size) => {
  const server = await withStale()
  const page = await open(server, size)
  await refusedPlan(server, page)
  const failed = await places(page)
  expect(failed.top).toBeGreaterThanOrEqual(failed.strip)
  expect(failed.top).toBeLessThan(failed.window - 100)
  // On a wide screen it was in sight already.
  if (size.width > 1000) expect(failed.scrolled).toBe(0)

  await show(page, 'step')
  await page.getByTestId('action-checkpoint').first().click()
  await page
    .locator('[data-testid="action-result"][data-action="checkpoint"] [role="status"]')
    .waitFor()
  const done = await places(page)
  expect(done.top).toBeGreaterThanOrEqual(done.strip)
  expect(done.top).toBeLessThan(done.window - 100)
  await page.context().close()
})

test('an answer above what is in sight comes to rest below the strip', async () => {
  const server = await withStale()
  const page = await open(server, { width: 1440, height: 420 })
  expect(await refusedPlan(server, page, true)).toBeGreaterThan(100)
  const { strip, top } = await places(page)
  expect(top).toBeGreaterThanOrEqual(strip)
  expect(top).toBeLessThan(strip + 40)
  await page.context().close()
})
