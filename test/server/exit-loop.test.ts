/** `restage exit-loop` as a function: when it ends and what it counts. The drain itself is in maint-commands. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, test } from 'vitest'
import type { ExitLoopReport } from '../../server/exit-loop-command.ts'
import { restageHere } from '../support/command.ts'
import { copyFolder, key, memoryFolder, openFixture, value } from '../support/engine-fixture.ts'

/** Four segments of eight values: three quarters of the first two are stale. */
async function staleFolder(): Promise<string> {
  const { engine, dir } = await openFixture({ segmentBytes: 8192 }, { dir: memoryFolder() })
  for (let i = 0; i < 32; i++) await engine.put(key(i), value(i, 1000))
  for (let i = 0; i < 16; i++) if (i % 4 !== 0) await engine.delete(key(i))
  await engine.close()
  return dir
}

async function exitLoop(dir: string, ...args: string[]): Promise<ExitLoopReport> {
  const ran = await restageHere('exit-loop', dir, '--rw', '--json', ...args)
  expect(ran).toMatchObject({ code: 0, complaints: '' })
  return JSON.parse(ran.out) as ExitLoopReport
}

test('ends as completed when nothing is queued, no plan is left and the pass did nothing', async () => {
  const dir = await staleFolder()
  const report = await exitLoop(dir, '--min-reclaim-bytes', '0', '--max-passes', '60')
  expect(report.stop_reason).toBe('completed')
  expect(report.passes.length).toBeLessThan(10)
  const last = report.passes.at(-1)
  expect(last?.queue_after).toBe(0)
  expect(['nothing_to_do', 'blocked']).toContain(last?.pass_report?.outcome)
  // Both stale segments went first.
  const rewrote = report.passes.filter((pass) => pass.pass_report?.outcome === 'rewrote')
  expect(rewrote.length).toBe(2)
})

test('upstream rules come before the end of the work', async () => {
  const dir = await staleFolder()
  await exitLoop(dir, '--min-reclaim-bytes', '0', '--max-passes', '60')
  expect((await exitLoop(copyFolder(dir, memoryFolder()))).stop_reason).toBe('low_reclaim')
  const once = await exitLoop(dir, '--min-reclaim-bytes=0', '--max-passes=1')
  expect(once.stop_reason).toBe('max_passes')
})

test('the recording that the passes themselves make is not counted', async () => {
  const dir = await staleFolder()
  await exitLoop(dir, '--min-reclaim-bytes', '0', '--max-passes', '60')
  const traced = (): number =>
    fs
      .readdirSync(path.join(dir, 'trace'))
      .reduce((sum, name) => sum + fs.statSync(path.join(dir, 'trace', name)).size, 0)
  const before = traced()
  const idle = await exitLoop(path.join(dir, 'maindb'), '--max-passes=3', '--min-reclaim-bytes=0')
  expect(traced()).toBeGreaterThan(before)
  expect(idle.passes.map((pass) => pass.reclaimed_bytes)).toEqual([0])
  expect(idle.total_reclaimed_bytes).toBe(0)
  const files = fs
    .readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('trace'))
    .map((name) => fs.statSync(path.join(dir, name)))
  const onDisk = files.reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0)
  // Closing writes the lock's text and our metadata again: a few bytes.
  expect(Math.abs(idle.final_bytes - onDisk)).toBeLessThan(200)
})

test.each(['true', 'false'])(
  'every pass is in the report, with --disable-auto-deferred=%s',
  async (on) => {
    const dir = await staleFolder()
    const loop = ['--min-reclaim-bytes=0', '--max-passes=60', `--disable-auto-deferred=${on}`]
    const { passes, after_stats } = await exitLoop(dir, ...loop)
    const stat = (name: string): number =>
      Number(after_stats[`treedb.cache.vlog_generation.${name}`])
    const rewrote = passes.filter((pass) => pass.pass_report?.outcome === 'rewrote')
    expect(rewrote.map((pass) => [pass.queue_before, pass.queue_after])).toEqual([
      [2, 1],
      [1, 0],
    ])
    expect(stat('rewrite.runs')).toBe(2)
    expect(stat('maintenance.acquired')).toBe(passes.length)
  },
)
