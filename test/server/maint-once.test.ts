/** `restage maint-once` as a function: its options and what it says. The passes themselves are in maint-commands. */
import { expect, test } from 'vitest'
import type { MaintOnceReport } from '../../server/maint-once-command.ts'
import { restageHere, restageWith } from '../support/command.ts'
import { key, memoryFolder, openFixture, value } from '../support/engine-fixture.ts'

/** `segments` sealed segments, of which every other value is stale. */
async function staleFolder(segments: number, segmentBytes: number): Promise<string> {
  const { engine, dir } = await openFixture(
    { segmentBytes, profile: 'fast' },
    { dir: memoryFolder() },
  )
  const count = segments * Math.floor(segmentBytes / 33_000)
  for (let i = 0; i < count; i++) await engine.put(key(i), value(i, 32 * 1024))
  for (let i = 0; i < count; i += 2) await engine.delete(key(i))
  await engine.close()
  return dir
}

test.each([
  ['--seed-stage-pending'],
  ['--seed-stage-observed-ago', '1m'],
  ['--rewrite-max-segments', '3'],
  ['--rewrite-max-bytes', '1MiB'],
  ['--rewrite-min-stale-ratio', '0.5'],
  ['--rewrite-min-stale-bytes', '0'],
])('what says how to seed needs a seed: %s', async (...option) => {
  const ran = await restageHere('maint-once', memoryFolder(), '--rw', ...option)
  expect(ran).toMatchObject({ code: 2, out: '' })
  expect(ran.complaints).toContain(`${option[0]} needs --seed-from-plan`)
})

test.each(['0.4ms', '0.0001s', '-0.4ms'])('a duration of %s is none', async (duration) => {
  const timeout = `--rewrite-plan-timeout=${duration}`
  const ran = await restageHere('maint-once', memoryFolder(), '--rw', timeout)
  expect(ran).toMatchObject({ code: 2, out: '' })
  expect(ran.complaints).toContain(`${duration} is less than a millisecond`)
})

test('a wait that runs out ends with 1, and the pass before it is reported all the same', async () => {
  const dir = await staleFolder(2, 128 * 1024)
  const { code, out, complaints } = await restageHere(
    ...['maint-once', dir, '--rw', '--json', '--mode=periodic', '--wait-idle=1ms'],
    ...['--seed-from-plan', '--seed-stage-pending'],
  )
  expect(complaints).toBe('restage maint-once: ENGINE_BUSY: maintenance is not idle after 1 ms\n')
  expect(code).toBe(1)
  const report = JSON.parse(out) as MaintOnceReport
  expect(report).toMatchObject({ acquired: true, mode: 'periodic' })
  expect(report.before_state.RewriteSourceFileIDs?.length).toBe(2)
  expect(report.pass?.source).toBe('periodic')
})

test('a rewrite shows how much of it is moved', async () => {
  const dir = await staleFolder(1, 16 * 2 ** 20)
  const lines: string[] = []
  const progress = (line: string): void => void lines.push(line)
  const ran = await restageWith({ progress }, 'maint-once', dir, '--rw', '--seed-from-plan')
  expect(ran).toMatchObject({ code: 0, complaints: '' })
  expect(lines).toContain('rewriting value-l0-000001')
  expect(lines.join('\n')).toMatch(
    /^rewriting value-l0-000001: \d[\d.]* \S+ of 7\.\d\d MiB moved$/m,
  )
})
