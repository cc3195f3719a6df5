/** One writer, across real processes; and a reader beside it. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { afterEach, describe, expect, test } from 'vitest'
import { nodeFileSystem } from '../../engine/file-system.ts'
import { flockHolder } from '../../engine/flock.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import { optionsFor, writeOf } from '../crash/workload.ts'
import { key, openFixture, temporaryFolder, value, yieldNow } from '../support/engine-fixture.ts'
import { fingerprint } from './inspect/reading.ts'

/** Built by the global setup. */
const CHILD = path.resolve(import.meta.dirname, '../../dist/test/crash/child.js')
const SEED = 5

interface Writer {
  child: ChildProcess
  lines: Interface
  /** Settles at its end with what it complained of. */
  ended: Promise<string>
}

const writers: Writer[] = []
afterEach(async () => {
  for (const { child, ended } of writers.splice(0)) {
    child.kill('SIGKILL')
    await ended
  }
})

function start(dir: string): Writer {
  const child = spawn(process.execPath, [CHILD, dir, 'wal_on_fast', `${SEED}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let complaint = ''
  child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()))
  const ended = new Promise<string>((resolve) => child.once('close', () => resolve(complaint)))
  const writer = { child, lines: createInterface({ input: child.stdout }), ended }
  writers.push(writer)
  return writer
}

function said(writer: Writer, word: string): Promise<void> {
  return new Promise((resolve) => {
    writer.lines.on('line', (line) => {
      if (line.startsWith(word)) resolve()
    })
  })
}

describe('the lock', () => {
  test('names the process that holds it, and a crash leaves it free at once', async () => {
    const dir = temporaryFolder()
    const holder = start(dir)
    await said(holder, 'c')
    const refused = openFixture({}, { dir })
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_LOCKED' })
    await expect(refused).rejects.toThrow(`process ${holder.child.pid}`)
    holder.child.kill('SIGKILL')
    await holder.ended
    const { engine } = await openFixture(optionsFor('wal_on_fast'), { dir })
    await engine.close()
  })

  test('refuses another process while this one holds it, and this one a second time', async () => {
    const dir = temporaryFolder()
    const { engine } = await openFixture({}, { dir })
    const complaint = await start(dir).ended
    expect(complaint).toContain('ENGINE_LOCKED')
    expect(complaint).toContain(`process ${process.pid}`)
    await expect(openFixture({}, { dir })).rejects.toMatchObject({ code: 'ENGINE_LOCKED' })
    await engine.close()
  })
})

/** Holds the file by flock(2), as another engine of the format does; resolves when it has it. */
async function holdByFlock(file: string): Promise<ChildProcess> {
  const script = 'echo has it; exec sleep 60'
  const child = spawn('flock', ['-n', '-x', '-F', file, 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<string>((resolve) => child.once('close', () => resolve('')))
  const lines = createInterface({ input: child.stdout })
  const holder = { child, lines, ended }
  writers.push(holder)
  await said(holder, 'has it')
  return child
}

async function endOf(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await writers.find((writer) => writer.child === child)?.ended
}

/** Another program gets the lock by flock(2) now. */
function isFreeByFlock(file: string): boolean {
  return spawnSync('flock', ['-n', '-x', file, 'true']).status === 0
}

async function closedStore(): Promise<{ dir: string; file: string }> {
  const { engine, dir } = await openFixture()
  await engine.put(key('a'), value(1, 2000))
  await engine.close()
  return { dir, file: path.join(dir, 'maindb/LOCK') }
}

describe('another engine of the format', () => {
  test('that has the folder keeps it, is named, and finds its folder as it was', async () => {
    const { dir, file } = await closedStore()
    const holder = await holdByFlock(file)
    const before = fingerprint(dir)
    const refused = openFixture({}, { dir })
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_LOCKED' })
    await expect(refused).rejects.toThrow(`by process ${holder.pid}`)
    expect(fingerprint(dir)).toEqual(before)
    await endOf(holder)
    const { engine } = await openFixture({}, { dir })
    await engine.close()
  })

  test('is kept out as long as a store is open here', async () => {
    const { dir, file } = await closedStore()
    const { engine } = await openFixture({}, { dir })
    expect(isFreeByFlock(file)).toBe(false)
    await engine.close()
    expect(isFreeByFlock(file)).toBe(true)
  })

  test('is let in by a crash', async () => {
    const dir = temporaryFolder()
    const writer = start(dir)
    await said(writer, 'c')
    const file = path.join(dir, 'maindb/LOCK')
    expect(isFreeByFlock(file)).toBe(false)
    await endOf(writer.child)
    expect(isFreeByFlock(file)).toBe(true)
  })

  test('is let in when the opening fails', async () => {
    const { dir, file } = await closedStore()
    fs.truncateSync(path.join(dir, 'maindb/index.db'), 100)
    await expect(openFixture({}, { dir })).rejects.toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(isFreeByFlock(file)).toBe(true)
  })

  test('that has the folder is seen by a look, which takes nothing from anybody', async () => {
    const { file } = await closedStore()
    expect(nodeFileSystem.isLocked?.(file)).toBe(false)
    const holder = await holdByFlock(file)
    expect(nodeFileSystem.isLocked?.(file)).toBe(true)
    await endOf(holder)
    expect(nodeFileSystem.isLocked?.(file)).toBe(false)
    expect(isFreeByFlock(file)).toBe(true)
  })

  test('is seen while it runs where there is no tool to lock it out', async () => {
    const { dir, file } = await closedStore()
    const holder = await holdByFlock(file)
    const { PATH } = process.env
    process.env['PATH'] = dir
    try {
      expect(spawnSync('flock', ['--version']).error).toMatchObject({ code: 'ENOENT' })
      const refused = openFixture({}, { dir })
      await expect(refused).rejects.toMatchObject({ code: 'ENGINE_LOCKED' })
      await endOf(holder)
      const { engine } = await openFixture({}, { dir })
      await engine.close()
    } finally {
      process.env['PATH'] = PATH
    }
  })

  test('is found in the list of locks by its inode', () => {
    const locks = [
      '1: POSIX  ADVISORY  WRITE 11 fe:00:77 0 EOF',
      '2: OFDLCK ADVISORY  WRITE -1 fe:00:77 0 EOF',
      '3: FLOCK  ADVISORY  WRITE 12 fe:00:770 0 EOF',
      '4: FLOCK  ADVISORY  WRITE 13 00:2f:77 0 EOF',
      '4: -> FLOCK  ADVISORY  WRITE 14 00:2f:78 0 EOF',
      '5: FLOCK  ADVISORY  WRITE -1 00:2f:79 0 EOF',
      '',
    ].join('\n')
    expect(flockHolder(locks, 77n)).toBe(13)
    expect(flockHolder(locks, 78n)).toBeUndefined()
    expect(flockHolder(locks, 79n)).toBe(0)
    expect(flockHolder('', 77n)).toBeUndefined()
  })
})

type Keys = Map<string, string>

/** Every state of the store so far, by what a reading with keys would show. */
class States {
  readonly #now: Keys = new Map()
  readonly #seen = new Map<string, number>([['', -1]])
  #next = 0

  has(keys: Keys): boolean {
    const wanted = shown(keys)
    // Far more than the writer can be ahead of a reading.
    for (const end = this.#next + 20_000; !this.#seen.has(wanted) && this.#next < end;) {
      for (const operation of writeOf(SEED, this.#next)) {
        const key = Buffer.from(operation.key).toString('hex')
        if (operation.op === 'delete') this.#now.delete(key)
        else this.#now.set(key, createHash('sha256').update(operation.value).digest('hex'))
      }
      this.#seen.set(shown(this.#now), this.#next++)
    }
    return this.#seen.has(wanted)
  }
}

function shown(keys: Keys): string {
  const hash = createHash('sha256')
  for (const [key, value] of [...keys].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`${key}=${value};`)
  }
  return keys.size === 0 ? '' : hash.digest('hex')
}

describe('a reader beside a live writer', () => {
  test('gets a state that there was, or is told that the folder moves', async () => {
    const dir = temporaryFolder()
    const writer = start(dir)
    await said(writer, 'c')
    const states = new States()
    let consistent = 0
    const read = async (): Promise<string[]> => {
      const { report, attachment } = await inspectFolder(
        dir,
        { fileSystem: nodeFileSystem, yieldNow, nowMs: 1 },
        { keys: true, replay: true },
      )
      if (report.problems.some((p) => p.startsWith('the folder is being written'))) {
        return ['it moves']
      }
      consistent++
      const keys: Keys = new Map()
      for (const [key, value] of Object.entries(report.keys ?? {})) {
        if ('sha256' in value) keys.set(key, value.sha256)
        else expect(value).toEqual({ tombstone: true })
      }
      expect(states.has(keys), 'a state that there was').toBe(true)
      return attachment.problems
    }
    for (let i = 0; i < 12; i++) {
      const problems = await read()
      if (problems[0] !== 'it moves') expect(problems).toEqual([])
    }
    // Standing still between two of its turns: every reading is exact then.
    writer.child.kill('SIGSTOP')
    const before = consistent
    await read()
    expect(consistent).toBe(before + 1)
    writer.child.kill('SIGCONT')
  })
})
