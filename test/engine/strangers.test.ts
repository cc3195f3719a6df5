/**
 * Pipes, devices, links and folders where the store expects files of its own: neither reading nor
 * opening waits for anything, follows a link below the folder, or touches what lies outside.
 */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../engine/engine.ts'
import { EngineError } from '../../engine/errors.ts'
import { nodeFileSystem } from '../../engine/file-system.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import {
  copyFolder,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  removeFolder,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { openForLife, sealedIds } from '../support/scripted-life.ts'

let wholesome = ''
let files: string[] = []
let folders: string[] = []

beforeAll(async () => {
  const dir = memoryFolder()
  const engine = await openForLife(dir, quickFileSystem)
  for (let i = 0; i < 30; i++) await engine.put(key(i % 12), value(i, 700))
  await engine.maintenance.stage({ minStaleRatio: 0.01, minAgeMs: 0 })
  await engine.put(key(1), value(9, 700))
  // With a journal, as a killed process leaves it.
  wholesome = copyFolder(dir, memoryFolder())
  await engine.close()
  const entries = fs.readdirSync(wholesome, { recursive: true, withFileTypes: true })
  const names = (isWanted: (entry: fs.Dirent) => boolean): string[] =>
    entries
      .filter(isWanted)
      .map((entry) => path.relative(wholesome, path.join(entry.parentPath, entry.name)))
      .sort()
  files = names((entry) => entry.isFile())
  folders = names((entry) => entry.isDirectory())
})

/** Everything below a folder, links not followed: names, sizes, times. */
function picture(dir: string): string[] {
  return fs
    .readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const { size, mtimeMs, mode } = fs.lstatSync(path.join(dir, name))
      return `${name} ${size} ${mtimeMs} ${mode}`
    })
    .sort()
}

/** Reads, then opens, writes, maintains and closes. What was refused, by code. */
async function meet(dir: string): Promise<string[]> {
  const codes: string[] = []
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      codes.push(`${what} ${error.code}`)
    }
  }
  await attempt('read', () =>
    inspectFolder(dir, { fileSystem: nodeFileSystem, yieldNow, nowMs: 1 }, { keys: true }),
  )
  await attempt('open', async () => {
    const options = { mode: 'step', checkpointIntervalMs: 0, segmentBytes: 4096 } as const
    const deps = { clock: eagerClock(), fileSystem: quickFileSystem, yieldNow }
    const engine = await openEngine(dir, options, deps)
    await attempt('put', () => engine.put(key('new'), value(1, 900)))
    await attempt('rewrite', () => engine.maintenance.rewrite(sealedIds(engine)))
    await attempt('gc', () => engine.maintenance.gc({ dryRun: false }))
    await attempt('close', () => engine.close())
  })
  return codes
}

type Stranger = (place: string, target: string) => void

const STRANGERS: Record<string, Stranger> = {
  pipe: (place) => void execFileSync('mkfifo', [place]),
  'link to a device': (place) => fs.symlinkSync('/dev/zero', place),
  'link to the file itself, outside': (place, target) => fs.symlinkSync(target, place),
  folder: (place) => fs.mkdirSync(place),
  'link to nowhere': (place) => fs.symlinkSync('nowhere', place),
}

describe('strangers in the place of files', () => {
  test.each(Object.keys(STRANGERS))(
    'a %s is refused or named, never waited for or followed',
    async (name) => {
      expect(files.length).toBeGreaterThan(8)
      for (const file of files) {
        const dir = copyFolder(wholesome, memoryFolder())
        const outside = memoryFolder()
        const place = path.join(dir, file)
        const target = path.join(outside, path.basename(file))
        fs.copyFileSync(place, target)
        fs.rmSync(place)
        STRANGERS[name]?.(place, target)
        const before = picture(outside)
        await meet(dir)
        expect(picture(outside), file).toEqual(before)
        // Whoever replaces a file by name may put the link away, but nobody writes through it.
        removeFolder(dir)
        removeFolder(outside)
      }
    },
    60_000,
  )

  test('a link in the place of each folder is refused, and nothing outside is touched', async () => {
    expect(folders).toContain('maindb/restage_keys')
    for (const folder of folders) {
      const dir = copyFolder(wholesome, memoryFolder())
      const outside = memoryFolder()
      const place = path.join(dir, folder)
      copyFolder(place, outside)
      fs.writeFileSync(path.join(outside, 'value-l7-000077.keys'), 'somebody else')
      fs.rmSync(place, { recursive: true })
      fs.symlinkSync(outside, place)
      const before = picture(outside)
      const codes = await meet(dir)
      if (folder === 'trace') {
        // A recording that cannot be kept never stops the store; it stops itself.
        expect(codes, folder).toEqual([])
      } else {
        const refusal = folder === 'maindb' ? 'ENGINE_NOT_A_FOLDER' : 'ENGINE_CORRUPT'
        expect(codes, folder).toContain(`open ${refusal}`)
      }
      expect(picture(outside), folder).toEqual(before)
      removeFolder(dir)
      removeFolder(outside)
    }
  })

  test('a new store is not made through a link', async () => {
    const [dir, outside] = [memoryFolder(), memoryFolder()]
    fs.symlinkSync(outside, path.join(dir, 'maindb'))
    await expect(openFixture({}, { dir })).rejects.toMatchObject({ code: 'ENGINE_NOT_A_FOLDER' })
    expect(fs.readdirSync(outside)).toEqual([])
  })

  test('small files that claim terabytes are refused before memory is taken', async () => {
    const sparse = ['maindb/restage_meta.json', 'vlog_generation_state.json', 'maindb/format.json']
    const lists = files.filter((file) => file.endsWith('.keys'))
    expect(lists.length).toBeGreaterThan(0)
    for (const file of [...sparse, ...lists]) {
      const dir = copyFolder(wholesome, memoryFolder())
      fs.truncateSync(path.join(dir, file), 2 ** 40)
      const before = process.memoryUsage.rss()
      await meet(dir)
      expect(process.memoryUsage.rss() - before, file).toBeLessThan(2 ** 28)
      removeFolder(dir)
    }
  })
})
