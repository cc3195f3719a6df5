/** What all commands of `restage` have in common: how options are spelled, and what a wrong line gives. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { readIntent } from '../../server/config.ts'
import { nodeFileSystem } from '../../server/engine-door.ts'
import { VERSION } from '../../server/version.ts'
import { restageHere, restageWith } from '../support/command.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  segmentFiles,
  value,
} from '../support/engine-fixture.ts'

const DATA = path.join(import.meta.dirname, '../data')
const MIXED = path.join(DATA, 'treedb-split-mixed')
const COMMANDS = ['inspect', 'plan', 'gc', 'maint-once', 'exit-loop', 'rewrite', 'vacuum']

const READS = new Set(['inspect', 'plan'])

describe('a wrong command line', () => {
  test('a word that is neither a command nor a folder is taken for a command', async () => {
    const { code, complaints } = await restageHere('frobnicate')
    expect(code).toBe(2)
    expect(complaints).toContain(
      "'frobnicate' is neither a command nor a folder; commands: serve, ",
    )
    expect(complaints).toContain('restage serve frobnicate --create')
    // What stands behind it does not change that.
    expect((await restageHere('maint_once', MIXED, '--rw')).complaints).toContain(
      "'maint_once' is ",
    )
    // A path is a folder that is not there.
    expect(await restageHere('./frobnicate')).toMatchObject({ code: 1 })
  })

  test.each(COMMANDS)(
    '%s without a folder, or with one of an empty name, exits with 2',
    async (name) => {
      const missing = await restageHere(name)
      expect(missing).toMatchObject({ code: 2, out: '' })
      expect(missing.complaints).toContain("missing required argument 'dir'")
      const empty = await restageHere(name, '', ...(READS.has(name) ? [] : ['--rw']))
      expect(empty).toMatchObject({ code: 2, out: '' })
      expect(empty.complaints).toContain('the name of a folder is empty')
    },
  )

  test.each(['maint-once', 'exit-loop', 'rewrite', 'vacuum'])(
    '%s without --rw exits with 2 and writes nothing',
    async (name) => {
      const ran = await restageHere(name, MIXED)
      expect(ran).toMatchObject({ code: 2, out: '' })
      expect(ran.complaints).toContain('--rw')
    },
  )

  test('an unknown option exits with 2, a folder that is none with 1', async () => {
    expect(await restageHere('plan', MIXED, '--never')).toMatchObject({ code: 2, out: '' })
    expect(await restageHere('plan', memoryFolder())).toMatchObject({ code: 1, out: '' })
    expect(await restageHere('serve', '')).toMatchObject({ code: 2 })
  })

  test('--version prints it', async () => {
    expect(await restageHere('--version')).toEqual({ code: 0, out: `${VERSION}\n`, complaints: '' })
  })
})

describe('options as upstream spells them', () => {
  const report = async (...args: string[]): Promise<unknown> => {
    const { code, out, complaints } = await restageWith({ nowMs: 1_774_000_100_000 }, ...args)
    expect({ code, complaints }).toEqual({ code: 0, complaints: '' })
    return JSON.parse(out)
  }

  test('one dash does, and a switch may be true or false', async () => {
    const plain = await restageHere('inspect', MIXED, '--json')
    for (const spelling of ['-json', '--json=true', '-json=1', '-json=t']) {
      expect(await restageHere('inspect', MIXED, spelling)).toEqual(plain)
    }
    const text = await restageHere('inspect', MIXED)
    expect(text.out).not.toBe(plain.out)
    expect(await restageHere('inspect', MIXED, '-json=false')).toEqual(text)
    // The last one counts.
    expect(await restageHere('inspect', MIXED, '--json', '-json=F')).toEqual(text)
    const odd = await restageHere('inspect', MIXED, '--json=perhaps')
    expect(odd).toMatchObject({ code: 2, out: '' })
    expect(odd.complaints).toContain('--json=perhaps: a switch is true or false')
  })

  test('values keep what they are, with one dash or two', async () => {
    const [one, two] = await Promise.all([
      report('plan', MIXED, '-json', '-rewrite-min-stale-ratio=0.4', '-rewrite-min-age', '10s'),
      report('plan', MIXED, '--json', '--rewrite-min-stale-ratio', '0.4', '--rewrite-min-age=10s'),
    ])
    expect(one).toMatchObject({ plan: { filters: { minStaleRatio: 0.4, minAgeMs: 10_000 } } })
    expect(two).toEqual(one)
    const past = await restageHere(
      ...['maint-once', MIXED, '-rw', '-seed-stage-observed-ago', '-10s'],
    )
    expect(past.complaints).toContain('would lie in the future')
  })

  test.each(['--rw', '-rw', '--rw=true'])('gc takes %s, maint-once too', async (rw) => {
    const dir = copyFolder(MIXED, memoryFolder())
    expect(await report('gc', dir, rw, '-json')).toMatchObject({ dry_run: false })
    const off = '--disable-auto-deferred=false'
    const mode = ['--mode', 'periodic', '-json']
    expect(await report('maint-once', dir, rw, off, ...mode)).toMatchObject({ acquired: true })
    const on = '-disable-auto-deferred=true'
    expect(await report('maint-once', dir, rw, on, ...mode)).toMatchObject({ acquired: true })
  })

  test('a no allows nothing: --rw=false', async () => {
    expect(await restageHere('maint-once', MIXED, '--rw', '--rw=false')).toMatchObject({ code: 2 })
    // gc writes without it, but not against a no.
    const dir = copyFolder(MIXED, memoryFolder())
    const before = fs.readdirSync(dir, { recursive: true }).sort()
    for (const no of [['--rw=false'], ['-rw', '-rw=f'], ['--no-rw']]) {
      const ran = await restageHere('gc', dir, ...no)
      expect(ran).toMatchObject({ code: 2, out: '' })
      expect(ran.complaints).toContain('--rw=false forbids writing')
      expect(ran.complaints).toContain('--dry-run')
      expect(fs.readdirSync(dir, { recursive: true }).sort()).toEqual(before)
      expect(await restageHere('gc', dir, '--dry-run', ...no)).toMatchObject({ code: 0 })
    }
    expect(await restageHere('gc', dir, '--rw=false', '--rw')).toMatchObject({ code: 0 })
  })
})

describe('--help', () => {
  /** Options of a help text with the default that it shows. */
  function defaultsOf(help: string): [option: string, shown: string][] {
    const whole = help.replace(/\n {20,}/g, ' ')
    const lines = whole.matchAll(/^ +(--[\w-]+) [<[].*[( ]default: ("[^"]*"|\S+)\)$/gm)
    return [...lines]
      .map(([, option = '', shown = '']): [string, string] => [option, shown.replaceAll('"', '')])
      .filter(([, shown]) => shown !== 'none')
  }

  test.each(['serve', ...COMMANDS])('of %s shows defaults that can be typed', async (name) => {
    const { out } = await restageHere(name, '--help')
    const defaults = defaultsOf(out)
    const few = { serve: 3, 'maint-once': 8, 'exit-loop': 13 }[name] ?? 0
    expect(defaults.length).toBeGreaterThanOrEqual(few)
    for (const [option, shown] of defaults) {
      const seeds = name === 'maint-once' ? ['--seed-from-plan'] : []
      const writes = name === 'serve' ? [] : ['--rw', ...seeds]
      const intent = readIntent({
        args: [name, MIXED, ...writes, option, shown],
        env: {},
        cwd: process.cwd(),
        platform: 'linux',
        isTerminal: false,
        fileSystem: nodeFileSystem,
      })
      expect(intent.kind === 'stop' ? intent.text : '', `${option} ${shown}`).toBe('')
    }
  })

  test('of the program breaks its lines nowhere but at their ends', async () => {
    const { out } = await restageHere('--help')
    const [, description = ''] = out.split('\n\n')
    const lines = description.split('\n')
    // The first word of a line would not have fitted on the one before.
    for (const [i, line] of lines.entries()) {
      const [word = ''] = lines[i + 1]?.split(' ') ?? []
      if (word !== '') expect(`${line} ${word}`.length, line).toBeGreaterThanOrEqual(80)
    }
  })
})

describe('a command that was told to stop', () => {
  const READING = 'nothing was written'
  const WORKING = 'the folder is whole, and what was done stays'

  test.each([
    [['inspect'], READING],
    [['plan'], READING],
    [['gc', '--dry-run'], READING],
    [['vacuum', '--dry-run'], READING],
    [['gc'], WORKING],
    [['maint-once', '--rw'], WORKING],
    [['exit-loop', '--rw'], WORKING],
    [['vacuum', '--rw'], WORKING],
    [['rewrite', '--rw'], 'the folder is as before'],
  ])('%s says that, what became of the folder, and exits with 130', async (words, became) => {
    const { engine, dir } = await openFixture({}, { dir: memoryFolder() })
    for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 1000))
    await engine.close()
    const [name = '', ...flags] = words
    const before = fs.readdirSync(dir, { recursive: true }).sort()
    const ran = await restageWith({ signal: AbortSignal.abort() }, name, dir, ...flags)
    const complaints = `restage ${name}: interrupted; ${became}\n`
    expect(ran).toEqual({ code: 130, out: '', complaints })
    expect(fs.readdirSync(dir, { recursive: true }).sort()).toEqual(before)
  })

  test.each([
    ['gc'],
    ['maint-once', '--rw', '--seed-from-plan'],
    ['exit-loop', '--rw'],
    ['vacuum', '--rw'],
  ])('while the folder is opened does no work: %s', async (name, ...flags) => {
    const { engine, dir } = await openFixture({ segmentBytes: 8192 }, { dir: memoryFolder() })
    for (let i = 0; i < 24; i++) await engine.put(key(i), value(i, 1000))
    const inline = Array.from({ length: 2000 }, (_, i) => key(100 + i))
    await engine.batch(inline.map((k, i) => ({ op: 'put', key: k, value: value(i, 400) })))
    await engine.checkpoint()
    // A dead segment for gc, a stale one for a pass, and an index with holes for a vacuum.
    for (let i = 0; i < 16; i++) if (i < 6 || i >= 8) await engine.delete(key(i))
    await engine.batch(inline.slice(0, 1990).map((k) => ({ op: 'delete', key: k })))
    await engine.close()
    const left = (): unknown => [
      [...segmentFiles(dir).keys()],
      fs.statSync(path.join(dir, 'maindb', 'index.db')).size,
      fs.existsSync(path.join(dir, 'vlog_generation_state.json')),
    ]
    const before = left()
    const told = new AbortController()
    const lines: string[] = []
    const progress = (line: string): void => {
      lines.push(line)
      if (line === `opening ${dir}`) told.abort()
    }
    const ran = await restageWith({ signal: told.signal, progress }, name, dir, ...flags)
    const complaints = `restage ${name}: interrupted; ${WORKING}\n`
    expect(ran).toEqual({ code: 130, out: '', complaints })
    expect(lines.filter((line) => line !== '')).toEqual([`opening ${dir}`])
    expect(left()).toEqual(before)
    // And nobody holds the folder, which has the work still to do.
    expect(await restageHere(name, dir, ...flags)).toMatchObject({ code: 0, complaints: '' })
    expect(left()).not.toEqual(before)
  })

  test('claims nothing of the folder when something else went wrong, too', async () => {
    const signal = AbortSignal.abort()
    const ran = await restageWith({ signal }, 'rewrite', memoryFolder(), '--rw')
    expect(ran.code).toBe(130)
    expect(ran.complaints).toMatch(/^restage rewrite: interrupted; ENGINE_NOT_A_FOLDER: /)
  })
})

test('what of a state file could not be used is said on standard error', async () => {
  const dir = copyFolder(MIXED, memoryFolder())
  fs.writeFileSync(path.join(dir, 'maindb', 'vlog_generation_state.json'), '{"rewrite_source')
  const { code, out, complaints } = await restageHere('maint-once', dir, '--rw', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ initial_state: { RewriteSourceFileIDs: null } })
  expect(complaints).toMatch(
    /^restage: the state file is not JSON \(.*; 16 characters were dropped\n$/,
  )
})
