/** `restage rewrite` as a function and as a process. */
import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { Command } from 'commander'
import type { CommandRun } from '../../server/command-support.ts'
import { addRewriteCommand } from '../../server/rewrite-command.ts'
import { restageHere } from '../support/command.ts'
import { copyFolder, entriesOf, key, openFixture, value } from '../support/engine-fixture.ts'
import { temporaryFolder } from './test-server.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const run = promisify(execFile)

/** 30 keys, each written twice; closed. */
async function folder(): Promise<string> {
  const dir = temporaryFolder()
  const { engine } = await openFixture({ segmentBytes: 16_384 }, { dir })
  for (let i = 0; i < 60; i++) await engine.put(key(i % 30), value(i, 700))
  await engine.close()
  return dir
}

async function rewrite(
  command: { dir: string; rw?: boolean; json?: boolean },
  signal = new AbortController().signal,
  onLine = (): void => undefined,
): Promise<{ code: number | undefined; out: string; complaints: string; lines: string[] }> {
  let out = ''
  let complaints = ''
  const lines: string[] = []
  const output = {
    write: (text: string) => void (out += text),
    complain: (text: string) => void (complaints += text),
    progress: (line: string) => {
      lines.push(line)
      onLine()
    },
  }
  const runs: CommandRun[] = []
  const program = new Command()
  addRewriteCommand(program, (wanted) => runs.push(wanted))
  const flags = [...(command.rw === false ? [] : ['--rw']), ...(command.json ? ['--json'] : [])]
  program.parse(['rewrite', command.dir, ...flags], { from: 'user' })
  const code = await runs[0]?.(output, { nowMs: 1, signal })
  return { code, out, complaints, lines }
}

describe('restage rewrite', () => {
  test('writes nothing without --rw', async () => {
    const { code, complaints } = await rewrite({ dir: temporaryFolder(), rw: false })
    expect(code).toBe(2)
    expect(complaints).toContain('--rw')
  })

  test('tells what it did, in the words of the tool before it', async () => {
    const { code, out, lines } = await rewrite({ dir: await folder() })
    expect(code).toBe(0)
    expect(out).toMatch(
      /^vlog-rewrite: segments_before=\d+ segments_after=\d+ bytes_before=\d+ bytes_after=\d+ records=30\n/,
    )
    expect(lines.some((line) => line.startsWith('looking through the index'))).toBe(true)
  })

  test('a folder that cannot be rewritten is refused with its code', async () => {
    const { code, complaints } = await rewrite({ dir: temporaryFolder() })
    expect(code).toBe(1)
    expect(complaints).toContain('restage rewrite: ENGINE_NOT_A_FOLDER')
  })

  test('a pending journal is refused with a command that ends it', async () => {
    const { engine, dir } = await openFixture({ segmentBytes: 8192 }, { dir: temporaryFolder() })
    await engine.put(key(1), value(1, 700))
    // As a killed process leaves it.
    const copy = copyFolder(dir, temporaryFolder())
    fs.rmSync(path.join(copy, 'maindb', 'LOCK'), { force: true })
    await engine.close()
    const { code, complaints } = await rewrite({ dir: copy })
    expect(code).toBe(1)
    const [, named = ''] = /ENGINE_REWRITE_REFUSED: .* restage (\w+) does/.exec(complaints) ?? []
    expect(await restageHere(named, copy)).toMatchObject({ code: 0 })
    expect(await rewrite({ dir: copy })).toMatchObject({ code: 0 })
  })

  test('Ctrl-C ends it with 130 and leaves the folder as it was', async () => {
    const dir = await folder()
    const before = fs.readdirSync(dir, { recursive: true }).sort()
    const cancel = new AbortController()
    const { code } = await rewrite({ dir }, cancel.signal, () => cancel.abort())
    expect(code).toBe(130)
    expect(fs.readdirSync(dir, { recursive: true }).sort()).toEqual(before)
  })

  test('as a process: JSON for programs, and everything is there afterwards', async () => {
    const dir = await folder()
    const { stdout, stderr } = await run(process.execPath, [MAIN, 'rewrite', dir, '--rw', '--json'])
    expect(stderr).toBe('')
    const report = JSON.parse(stdout) as Record<string, number | string>
    expect(report).toMatchObject({ dir, keys: 30, records: 30, segments_after: 1 })
    const files = fs.readdirSync(path.join(dir, 'maindb/value_vlog'))
    const bytes = files.map((name) => fs.statSync(path.join(dir, 'maindb/value_vlog', name)).size)
    expect(bytes.reduce((a, b) => a + b, 0)).toBe(report['bytes_after'])
    const { engine } = await openFixture({}, { dir })
    expect(entriesOf(engine).map(([, v]) => v.length)).toEqual(Array(30).fill(700))
    await engine.close()
  })
})
