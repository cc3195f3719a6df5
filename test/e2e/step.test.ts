/** Step mode by hand in the browser: plan, stage, advance, confirm; then a snapshot that keeps a file. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { EngineState } from '../../server/protocol.ts'
import { countOf, gates, runPass, segmentRows, show, waitLive } from './page.ts'
import { cleanUp, openPage, startServer, temporaryFolder, until } from './support.ts'

afterAll(cleanUp)

test('a person plans, stages, advances the clock, confirms, and sees one of the queue rewritten', async () => {
  const cwd = temporaryFolder()
  const server = await startServer(['--port', '0', '--mode', 'step'], { cwd })
  const state = async (): Promise<EngineState> =>
    (await server.get<{ state: EngineState }>('/state')).state
  await server.act('workload-start', { settings: { putsPerSecond: 20_000, restMs: 0 } })
  await until('enough churn for four stale segments', async () => {
    const stale = (await state()).segments.filter(
      (s) => s.state === 'sealed' && s.bytesStale > 0.6 * s.bytesTotal && s.bytesLive > 0,
    )
    return stale.length >= 4
  })
  await server.act('workload-stop', {})

  const page = await openPage(server.url)
  await waitLive(page)
  await page
    .getByTestId('clock')
    .getByText(/stopped|frozen|virtual|still/i)
    .first()
    .waitFor()

  await show(page, 'step')
  // Too young at first: the clock stands still since the start.
  await page.getByTestId('action-advance-clock-30000').click()

  // Plan: a dry look that changes nothing.
  await page.getByTestId('action-plan').click()
  const result = page.getByTestId('action-result')
  await result.getByTestId('candidate-row').first().waitFor()
  expect((await state()).debt.queue).toEqual([])
  const selected = await result
    .locator('[data-testid="candidate-row"][data-verdict="selected"]')
    .count()
  expect(selected).toBeGreaterThanOrEqual(4)

  // Stage it.
  await runPass(page, 'stage')
  await show(page, 'overview')
  await until('the queue is staged', async () => (await countOf(page, 'queue-length')) >= 4)
  const staged = (await state()).debt
  expect(staged.stage).not.toBeNull()
  expect(await countOf(page, 'queue-length')).toBe(staged.queue.length)

  // Too early: the report says by how much.
  const early = await runPass(page, 'stage-confirm')
  expect(await gates(early)).toContainEqual({ name: 'stage_due', verdict: 'block' })
  expect((await state()).debt.queue).toEqual(staged.queue)

  await page.getByTestId('action-advance-clock-30000').click()
  await until('the clock moved', async () => {
    const { gauges } = await server.get<{ gauges: { nowMs: number } }>('/state')
    return gauges.nowMs >= (staged.stage?.dueAtMs ?? Infinity)
  })
  const counters = (await state()).counters
  const confirmed = await runPass(page, 'stage-confirm')
  await until('the report of the confirm', async () => {
    return (await confirmed.getByTestId('pass-outcome').textContent())?.includes('rewrote')
  })
  const after = await state()
  expect(after.counters.rewriteRuns).toBe(counters.rewriteRuns + 1)
  expect(after.debt.queue).toHaveLength(staged.queue.length - 1)
  expect(after.debt.stage?.observedAtMs).toBeGreaterThan(staged.stage?.observedAtMs ?? Infinity)
  expect(after.debt.queue.every((id) => staged.queue.includes(id))).toBe(true)
  await show(page, 'overview')
  await until('the screen shows the shorter queue', async () => {
    return (await countOf(page, 'queue-length')) === staged.queue.length - 1
  })
  const gone = staged.queue.filter((id) => !after.debt.queue.includes(id))
  expect(after.segments.map((s) => s.segmentId)).not.toContain(gone[0])

  // A held snapshot keeps the next one as a pinned zombie.
  await show(page, 'pins')
  await page.getByTestId('snapshot-label').fill('before the next pass')
  await page.getByTestId('action-hold-snapshot').click()
  await page.locator('[data-testid="pin-row"][data-label="before the next pass"]').waitFor()
  const before = await state()
  await show(page, 'step')
  await page.getByTestId('action-advance-clock-30000').click()
  await until('the confirm is due', async () => {
    const { gauges } = await server.get<{ gauges: { nowMs: number } }>('/state')
    return gauges.nowMs >= (before.debt.stage?.dueAtMs ?? Infinity)
  })
  await runPass(page, 'stage-confirm')
  const zombie = await until('a pinned zombie', async () => {
    const rows = await segmentRows(page)
    return rows.find((row) => row.state === 'zombie' && row.keptBy.includes('snapshot'))
  })
  const file = path.join(cwd, 'data/demo', zombie.file)
  expect(fs.statSync(file).size).toBe(zombie.bytesTotal)
  expect(zombie.bytesLive).toBe(0)

  // Releasing it deletes the file.
  await show(page, 'pins')
  await page.getByTestId('action-release-pin').click()
  await page.getByTestId('stored-plan').waitFor()
  await page.getByTestId('plan-apply').click()
  await until('the zombie is gone from the screen', async () => {
    const rows = await segmentRows(page)
    return rows.every((row) => row.segmentId !== zombie.segmentId)
  })
  expect(fs.existsSync(file)).toBe(false)
  const verified = await server.act('verify', {})
  expect(verified.differences).toEqual([])
  expect(await server.stop()).toBe(0)
})
