/** The page that describes the API, in a real browser: every route on it, and the policy kept. */
import { afterAll, expect, test } from 'vitest'
import { cleanUp, openPage, startServer, temporaryFolder, TOKEN } from './support.ts'

afterAll(cleanUp)

interface Description {
  paths: Record<string, Record<string, unknown>>
}

test('/docs lists every route, without an error on the console and within the policy', async () => {
  const server = await startServer(['--port', '0', '--mode', 'step'], { cwd: temporaryFolder() })
  const origin = `http://127.0.0.1:${String(server.port)}`
  const { paths } = (await (await fetch(`${origin}/docs/json`)).json()) as Description
  const described = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(described.length).toBeGreaterThan(50)

  const page = await openPage('about:blank')
  const complaints: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  const foreign: string[] = []
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url())
    if (protocol !== 'data:' && host !== `127.0.0.1:${String(server.port)}`) {
      foreign.push(request.url())
    }
  })
  const answer = await page.goto(`${origin}/docs`)
  const policy = answer?.headers()['content-security-policy'] ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("script-src 'self'")
  expect(policy).not.toContain('unsafe-eval')

  await page
    .locator('.opblock')
    .nth(described.length - 1)
    .waitFor()
  const shown = await page.locator('.opblock-summary').evaluateAll((rows) =>
    rows.map((row) => {
      const text = (of: string): string => row.querySelector(of)?.textContent ?? ''
      return `${text('.opblock-summary-method')} ${text('.opblock-summary-path').replaceAll('\u200b', '')}`
    }),
  )
  expect(shown.toSorted()).toEqual(described.toSorted())

  // It is of use: with the token a route is tried out and answers.
  await page.locator('.auth-wrapper .authorize').first().click()
  await page.locator('.auth-container input').first().fill(TOKEN)
  await page.locator('.auth-btn-wrapper .authorize').click()
  await page.locator('.auth-btn-wrapper .btn-done').click()
  const route = page.locator('.opblock', { hasText: '/api/v1/session' }).first()
  await route.locator('.opblock-summary-control').click()
  // And says beforehand what it answers.
  await route.locator('.response[data-code="200"]').getByText('planTtlMs').first().waitFor()
  await route.locator('.execute').click()
  await route
    .locator('.live-responses-table .response-col_status')
    .getByText('200')
    .first()
    .waitFor()

  expect([complaints, foreign]).toEqual([[], []])
  expect(await server.stop()).toBe(0)
})
