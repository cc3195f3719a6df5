/** Attaching read-only: the folder is on the screen and stays byte for byte and stamp for stamp. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { EngineState } from '../../server/protocol.ts'
import { segmentRows, show, waitLive } from './page.ts'
import { ROOT, cleanUp, fingerprint, openPage, startServer, temporaryFolder } from './support.ts'

afterAll(cleanUp)

test('an attached folder is shown without controls and nothing in it changes', async () => {
  const dir = path.join(temporaryFolder(), 'copy')
  fs.cpSync(path.join(ROOT, 'test/data/treedb-march-plain'), dir, {
    recursive: true,
    preserveTimestamps: true,
  })
  const before = fingerprint(dir)
  const server = await startServer([dir, '--read-only', '--port', '0'])
  const page = await openPage(server.url)
  await waitLive(page)
  await page
    .getByTestId('store-mode')
    .getByText(/read-only/i)
    .waitFor()
  const rows = await segmentRows(page)
  const expected = JSON.parse(
    fs.readFileSync(path.join(ROOT, 'test/data/treedb-march-plain.expected.json'), 'utf8'),
  ) as { segments: { file_id: number; total_bytes: number; live_disk_bytes: number }[] }
  expect(rows.map((r) => [r.segmentId, r.bytesTotal, r.bytesLive])).toEqual(
    expected.segments.map((s) => [s.file_id, s.total_bytes, s.live_disk_bytes]),
  )
  const { state } = await server.get<{ state: EngineState }>('/state')
  expect(state.debt.queue).toHaveLength(2)
  expect(await page.getByTestId('action-checkpoint').count()).toBe(0)
  const refused = await server.post('/actions/gc', { dryRun: false })
  expect(refused.status).toBe(403)
  expect(((await refused.json()) as { error: { code: string } }).error.code).toBe('READ_ONLY')
  await show(page, 'step')
  await page.getByTestId('not-attached').waitFor()
  await show(page, 'overview')
  // Without rates there are fewer columns; the bars of debt keep their width all the same.
  const track = await page.locator('.band-track').first().boundingBox()
  expect(track?.width).toBeGreaterThan(100)
  expect(await page.locator('.bands').innerText()).toContain('segments')
  await page.getByTestId('action-reread').click()
  await waitLive(page)
  expect(await server.stop()).toBe(0)
  expect(fingerprint(dir)).toEqual(before)
})

test('a folder whose trees cannot be read shows no live or stale byte, only why', async () => {
  const dir = path.join(temporaryFolder(), 'copy')
  fs.cpSync(path.join(ROOT, 'test/data/treedb-split-mixed'), dir, { recursive: true })
  const index = path.join(dir, 'maindb/index.db')
  fs.writeFileSync(index, fs.readFileSync(index).fill(0, 0, 8192))
  const server = await startServer([dir, '--read-only', '--port', '0'])
  const page = await openPage(server.url)
  await waitLive(page)
  const sentence = page.getByTestId('the-sentence')
  await sentence.getByText('26.7 KiB in 5 segments; how much of it is stale').waitFor()
  for (const name of ['debt-stale', 'debt-live']) {
    const shown = page.getByTestId(name)
    expect(await shown.getAttribute('title')).toContain('live bytes are not known')
    expect(await shown.getAttribute('data-bytes')).toBeNull()
  }
  const overview = await page.locator('main').innerText()
  expect(overview).not.toMatch(/0 % of their bytes|[0-9] stale in/)
  const tile = page.getByTestId('segment-tile').first()
  expect(await tile.getAttribute('class')).toContain('tile-unknown')
  expect(await tile.getAttribute('aria-label')).toContain('how much is stale is not known')
  await show(page, 'segments')
  const row = page.getByTestId('segment-row').first()
  expect(await row.getAttribute('data-bytes-live')).toBeNull()
  expect(await row.locator('.unknown[title^="live bytes"]').count()).toBe(3)
  await show(page, 'overview')
  await page.locator('dd', { hasText: 'no meta page can be used' }).waitFor()
  expect(await server.stop()).toBe(0)
})
