/** The first two minutes of a new user: kick, rewrite, GC and restage happen and are on the screen. */
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { EngineState, EventsBody, PassReport } from '../../server/protocol.ts'
import { segmentRows, show, traceRows, waitLive } from './page.ts'
import { cleanUp, openPage, segmentFiles, startServer, temporaryFolder, until } from './support.ts'

afterAll(cleanUp)

test('within two minutes a checkpoint kick rewrites one segment, GC deletes it, the rest is restaged', async () => {
  const cwd = temporaryFolder()
  const started = Date.now()
  const server = await startServer(['--port', '0'], { cwd })
  const page = await openPage(server.url)
  await waitLive(page)
  await page.getByTestId('the-sentence').waitFor()
  expect(Date.now() - started, 'ms until the dashboard was usable').toBeLessThan(60_000)

  const pass = await until(
    'a checkpoint kick that rewrote and restaged',
    async () => {
      const { passes } = await server.get<{ passes: PassReport[] }>('/passes')
      return passes.find(
        (p) => p.source === 'checkpoint_kick' && p.outcome === 'rewrote' && p.after.stage !== null,
      )
    },
    120_000 - (Date.now() - started),
  )
  const rewritten = pass.steps.flatMap((s) =>
    s.kind === 'rewrite' ? s.report.sourceSegmentsRequested : [],
  )
  expect(rewritten).toHaveLength(1)
  expect(
    pass.before.queue.length + (pass.before.queue.length === 0 ? pass.after.queue.length + 1 : 0),
  ).toBe(pass.after.queue.length + 1)
  const deleted = pass.steps.flatMap((s) => (s.kind === 'gc' ? s.report.deleted : []))
  expect(deleted).toContain(rewritten[0])

  // All three in the trace, of this very pass.
  // The feed batches events: they arrive a moment after the pass itself can be asked for.
  const ofPass = await until('the events of the pass', async () => {
    const { newestSeq } = await server.get<EventsBody>('/events?limit=1')
    const after = String(Math.max(0, newestSeq - 4000))
    const { events } = await server.get<EventsBody>(`/events?after=${after}&limit=4000`)
    const types = events.filter((e) => e.passId === pass.passId).map((e) => e.type)
    return types.includes('pass_done') ? types : undefined
  })
  await show(page, 'trace')
  for (const type of ['rewrite_done', 'segment_deleted', 'rewrite_queue_restaged']) {
    expect(ofPass).toContain(type)
    await traceRows(page, type).first().waitFor({ timeout: 10_000 })
  }
  await show(page, 'passes')
  await expect.poll(() => page.getByTestId('pass-row').count()).toBeGreaterThan(0)
  await segmentRows(page)
  expect(
    await page
      .locator(`[data-segment-id="${String(rewritten[0])}"][data-testid="segment-row"]`)
      .count(),
  ).toBe(0)

  // At rest, the screen, the server and the disk say the same, to the byte.
  await server.act('workload-stop', {})
  await server.act('pause', {})
  await server.act('checkpoint', {})
  const { state } = await server.get<{ state: EngineState }>('/state')
  const onDisk = segmentFiles(path.join(cwd, 'data/demo'))
  expect(new Map(state.segments.map((s) => [s.file, s.bytesTotal]))).toEqual(onDisk)
  await until('the screen agrees with the disk', async () => {
    const rows = await segmentRows(page)
    const same = (file: string, bytes: number): boolean => onDisk.get(file) === bytes
    return rows.length === onDisk.size && rows.every((r) => same(r.file, r.bytesTotal))
  })
  const rows = await segmentRows(page)
  expect(rows.map((r) => [r.segmentId, r.bytesLive])).toEqual(
    state.segments.map((s) => [s.segmentId, s.bytesLive]),
  )
  await show(page, 'overview')
  const total = await page.getByTestId('debt-total').first().getAttribute('data-bytes')
  expect(Number(total)).toBe([...onDisk.values()].reduce((a, b) => a + b, 0))
  const verified = await server.act('verify', {})
  expect(verified.differences).toEqual([])
  expect(await server.stop()).toBe(0)
})
