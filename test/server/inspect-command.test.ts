/** `restage inspect` as a function and as a process. */
import { execFile, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { runInspect, type InspectCommand } from '../../server/inspect-command.ts'
import { key, openFixture, value } from '../support/engine-fixture.ts'
import { temporaryFolder } from './test-server.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const DATA = path.join(import.meta.dirname, '../data')
const MIXED = path.join(DATA, 'treedb-split-mixed')
const NOTHING = { keys: false, replay: false, verify: false, json: false }

async function inspect(
  command: Partial<InspectCommand> & { dir: string },
  signal = new AbortController().signal,
): Promise<{ code: number; out: string; complaints: string; lines: string[] }> {
  let out = ''
  let complaints = ''
  const lines: string[] = []
  const output = {
    write: (text: string) => void (out += text),
    complain: (text: string) => void (complaints += text),
    progress: (line: string) => void lines.push(line),
  }
  const code = await runInspect({ ...NOTHING, ...command }, output, { nowMs: 1, signal })
  return { code, out, complaints, lines }
}

/** A foreign folder keeps no time of sealing: every age is that of a file. */
function expected(name: string): unknown {
  const text = fs.readFileSync(path.join(DATA, `${name}.expected.json`), 'utf8')
  const reading = JSON.parse(text) as { segments: { file_id: number }[] }
  return { ...reading, ages_from_mtime: reading.segments.map(({ file_id }) => file_id) }
}

describe('restage inspect', () => {
  test.each([
    ['treedb-march-plain', false],
    ['treedb-split-mixed', false],
    ['treedb-march-plain', true],
    ['treedb-split-mixed', true],
  ])('%s --keys --json gives the expected JSON (replay %s)', async (name, replay) => {
    const result = await inspect({ dir: path.join(DATA, name), keys: true, json: true, replay })
    expect(result.code).toBe(0)
    expect(JSON.parse(result.out)).toEqual(expected(replay ? `${name}.replayed` : name))
  })

  test('says whose ages are those of their files, of a folder that keeps times of sealing none', async () => {
    const foreign = await inspect({ dir: MIXED })
    expect(foreign.out).toContain(
      '  note       the ages of 5 segments are those of their files, which copying resets: no seal time is kept\n',
    )
    const { engine, dir } = await openFixture({ inlineThreshold: 64 })
    await engine.put(key(1), value(1, 1000))
    await engine.close()
    expect((await inspect({ dir })).out).not.toContain('no seal time')
    const json = JSON.parse((await inspect({ dir, json: true })).out) as Record<string, unknown>
    expect(json['ages_from_mtime']).toEqual([])
  })

  test('the same folder gives the same text each time', async () => {
    const texts = await Promise.all(
      [1, 2].map(() => inspect({ dir: MIXED, keys: true, json: true, replay: true })),
    )
    expect(texts[0]?.out).toBe(texts[1]?.out)
  })

  test('text for people has the table, the debt and what was found', async () => {
    const { out, code } = await inspect({ dir: MIXED })
    expect(code).toBe(0)
    expect(out).toContain('layout     split, checksum ieee')
    expect(out).toContain('tree       meta page 1, commit 7')
    expect(out).toContain('2 leaf_plain_in_log')
    expect(out).toMatch(/debt +2 segments queued, .* stale, staged/)
    expect(out).toMatch(/^segment +total +live +stale +stale % +records +frames +tail$/m)
    expect(out).toMatch(
      /^value_vlog\/value-l1-000001\.log +12\.2 KiB +12\.2 KiB +0 B +0\.0 +51 +4 +clean$/m,
    )
    expect(out).toMatch(/^5 segments +26\.7 KiB/m)
    expect(out).toContain('has a torn tail of 7 bytes')
    expect(out).toContain('--verify reads every byte')
  })

  test('keys are listed as text where they are text', async () => {
    const { out } = await inspect({ dir: MIXED, keys: true, verify: true })
    expect(out).toMatch(/^acct\/0000 {2}pointer {2}600 bytes {2}[0-9a-f]{64}$/m)
    expect(out).toContain('its CRC checked')
  })

  test('what is no folder exits with 1 and says why', async () => {
    const empty = await inspect({ dir: temporaryFolder() })
    expect(empty).toMatchObject({ code: 1, out: '' })
    expect(empty.complaints).toContain('ENGINE_NOT_A_FOLDER')
  })

  test('a folder without a usable meta page is shown as far as it goes and exits with 1', async () => {
    const dir = path.join(temporaryFolder(), 'copy')
    fs.cpSync(MIXED, dir, { recursive: true })
    const index = path.join(dir, 'maindb/index.db')
    const bytes = fs.readFileSync(index).fill(0, 0, 8192)
    fs.writeFileSync(index, bytes)
    const { code, out } = await inspect({ dir })
    expect(code).toBe(1)
    expect(out).toContain('tree       none that can be read')
    expect(out).toContain('keys       not known')
    // No tree: what is live is not known, and no byte of it may pass for stale.
    expect(out).toMatch(/^value_vlog\/value-l1-000001\.log +12\.2 KiB +- +- +- +51/m)
    expect(out).toMatch(/^5 segments +26\.7 KiB +- +- +- /m)
    expect(out).not.toContain('hold nothing live')
  })

  test('cancelling exits with 130 and prints no part of a report', async () => {
    const result = await inspect({ dir: MIXED, keys: true, verify: true }, AbortSignal.abort())
    expect(result).toMatchObject({ code: 130, out: '' })
    expect(result.complaints).toBe('restage inspect: interrupted; nothing was written')
  })

  test('as a process: JSON on standard output, help, and exit codes', async () => {
    const run = promisify(execFile)
    const { stdout } = await run(process.execPath, [MAIN, 'inspect', MIXED, '--keys', '--json'])
    expect(JSON.parse(stdout)).toEqual(expected('treedb-split-mixed'))
    const help = await run(process.execPath, [MAIN, 'inspect', '--help'])
    expect(help.stdout).toContain('Exit codes: 0 the folder was read')
    const failing = spawn(process.execPath, [MAIN, 'inspect', temporaryFolder()])
    const code = await new Promise((resolve) => failing.on('close', resolve))
    expect(code).toBe(1)
  })
})
