/** No store under a name: an address that names none, and a store that is closed while it is shown. */
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { AuditBody } from '../../server/protocol.ts'
import { STORE, TOKEN } from '../server/test-server.ts'
import { open, serve } from './in-process.ts'
import { show, waitLive } from './page.ts'
import { cleanUp, openPage, temporaryFolder } from './support.ts'

afterAll(cleanUp)

test('a link that names no open store shows no numbers, and leads to those that are open', async () => {
  const server = await serve()
  await server.put('k', 100)
  const page = await openPage(`${server.origin}/#/segments?store=nosuch&token=${TOKEN}`)
  const absent = page.getByTestId('absent-store')
  await absent.waitFor()
  expect(await absent.innerText()).toContain('Store nosuch is not open here')
  expect(await page.getByTestId('segment-row').count()).toBe(0)
  expect(new URL(page.url()).hash).toContain('store=nosuch')
  await absent.getByRole('listitem').getByRole('button').click()
  await waitLive(page)
  await show(page, 'segments')
  await page.getByTestId('segment-row').first().waitFor()
  // The address follows a moment later.
  await page.waitForURL((url) => url.hash.includes(`store=${STORE}`))
  await page.evaluate(() => (location.hash = '#/segments?store=other'))
  await absent.waitFor()
  expect(await absent.innerText()).toContain('Store other is not open here')
})

test('closing a hosted store asks first, then says that it was closed and asks the feed no more', async () => {
  const root = temporaryFolder()
  const server = await serve({ dir: path.join(root, 'store'), allowRoots: [root] })
  await server.put('k', 100)
  const page = await open(server)
  const other = await open(server)
  await show(page, 'stores')
  await page.getByTestId('close-store').click()
  const dialog = page.getByRole('dialog')
  expect(await dialog.innerText()).toContain('the workload stops')
  await dialog.getByRole('button', { name: 'Leave it open' }).click()
  expect((await server.get(`/stores/${STORE}/state`)).status).toBe(200)
  await page.getByTestId('close-store').click()
  await page.getByTestId('close-store-yes').click()
  // Whoever else looked at it is told, and shows no control over numbers of the past.
  await other.locator('[data-testid="absent-store"][data-why="closed"]').waitFor()
  expect(await other.getByTestId('absent-store').innerText()).toContain(`Store ${STORE} was closed`)
  expect(await other.locator('[data-testid^="action-"]').count()).toBe(0)
  await show(page, 'overview')
  const closed = page.getByTestId('absent-store')
  await closed.waitFor()
  expect(await closed.innerText()).toContain('The server has no store open')
  await other.waitForTimeout(1500)
  const { body } = await server.get<AuditBody>('/audit?after=0&limit=1000')
  expect(body.entries.filter(({ outcome }) => outcome === 'refused')).toEqual([])

  await closed.getByTestId('go-to-stores').click()
  await page.locator(`[data-testid="folder-row"]`).getByRole('button').first().click()
  await page.getByTestId('host-folder').click()
  await waitLive(page)
  await show(other, 'overview')
  await waitLive(other)
})
