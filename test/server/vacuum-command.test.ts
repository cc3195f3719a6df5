/** `restage vacuum` as a function, on folders that a real engine made, and its help as a process. */
import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { Command } from 'commander'
import type { CommandRun } from '../../server/command-support.ts'
import { addVacuumCommand } from '../../server/vacuum-command.ts'
import { entriesOf, key, openFixture, value } from '../support/engine-fixture.ts'
import { temporaryFolder } from './test-server.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const run = promisify(execFile)
const KEYS = 3_000

const indexOf = (dir: string): string => path.join(dir, 'maindb', 'index.db')
const indexBytes = (dir: string): number => fs.statSync(indexOf(dir)).size

/** 3,000 inline values of which every 20th is left, closed. */
async function sparseFolder(): Promise<string> {
  const dir = temporaryFolder()
  const { engine } = await openFixture({ recording: 'off' }, { dir })
  const each = Array.from({ length: KEYS }, (_, i) => i)
  await engine.batch(each.map((i) => ({ op: 'put', key: key(i), value: value(i, 400) })))
  await engine.checkpoint()
  const gone = each.filter((i) => i % 20 !== 0)
  await engine.batch(gone.map((i) => ({ op: 'delete', key: key(i) })))
  await engine.close()
  return dir
}

async function vacuum(
  args: string[],
  signal = new AbortController().signal,
): Promise<{ code: number | undefined; out: string; complaints: string }> {
  let out = ''
  let complaints = ''
  const output = {
    write: (text: string) => void (out += text),
    complain: (text: string) => void (complaints += text),
    progress: undefined,
  }
  const runs: CommandRun[] = []
  const program = new Command()
  addVacuumCommand(program, (wanted) => runs.push(wanted))
  program.parse(['vacuum', ...args], { from: 'user' })
  const code = await runs[0]?.(output, { nowMs: 1, signal })
  return { code, out, complaints }
}

const jsonOf = (out: string): Record<string, unknown> => JSON.parse(out) as Record<string, unknown>

describe('restage vacuum', () => {
  test('writes nothing without --rw', async () => {
    const { code, complaints } = await vacuum([temporaryFolder()])
    expect(code).toBe(2)
    expect(complaints).toContain('--rw')
  })

  test('foresees what it then frees, and loses no key', async () => {
    const dir = await sparseFolder()
    const before = fs.readFileSync(indexOf(dir))
    const names = fs.readdirSync(dir, { recursive: true }).length
    const foreseen = await vacuum([dir, '--dry-run', '--json'])
    expect(foreseen.code).toBe(0)
    const plan = jsonOf(foreseen.out)
    expect(plan).toMatchObject({ dir, dry_run: true, report: null })
    expect(plan['index_bytes_before']).toBe(before.length)
    // A dry run changes not a byte, and makes no file.
    expect(fs.readFileSync(indexOf(dir)).equals(before)).toBe(true)
    expect(fs.readdirSync(dir, { recursive: true }).length).toBe(names)
    expect((await vacuum([dir, '--dry-run'])).out).toMatch(/of index\.db could be given back/)

    const done = await vacuum([dir, '--rw', '--json'])
    expect(done.code).toBe(0)
    const json = jsonOf(done.out)
    expect(json).toMatchObject({ dir, dry_run: false, report: { done: true, cancelled: false } })
    expect(json['index_bytes_after']).toBe(plan['index_bytes_after'])
    expect(indexBytes(dir)).toBe(json['index_bytes_after'])
    expect(indexBytes(dir)).toBeLessThan(before.length / 2)
    const { engine } = await openFixture({ recording: 'off' }, { dir })
    expect(entriesOf(engine).length).toBe(KEYS / 20)
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()

    const again = await vacuum([dir, '--rw'])
    expect([again.code, again.out]).toEqual([0, expect.stringContaining('no space to give back')])
    expect((await vacuum([dir, '--dry-run'])).out).toContain('no space to give back')
  })

  test('says unknown, and no number, of an index that it cannot read in full', async () => {
    const dir = await sparseFolder()
    const bytes = fs.readFileSync(indexOf(dir))
    // All tree pages: whichever the root is, it is damaged.
    bytes.fill(0xee, 2 * 4096 + 64)
    fs.writeFileSync(indexOf(dir), bytes)
    const { code, out } = await vacuum([dir, '--dry-run'])
    expect(code).toBe(0)
    expect(out).toContain('index_bytes_after=unknown')
    expect(out).toContain('could not be read')
  })

  test('makes no store where there is none, ends with 130 when interrupted, and --help tells of it', async () => {
    const empty = temporaryFolder()
    expect((await vacuum([empty, '--rw'])).code).toBe(1)
    expect(fs.readdirSync(empty)).toEqual([])
    const dir = await sparseFolder()
    expect((await vacuum([dir, '--rw'], AbortSignal.abort())).code).toBe(130)
    const { stdout } = await run(process.execPath, [MAIN, '--help'])
    expect(stdout).toMatch(/vacuum \[options\] <dir>/)
  })
})
