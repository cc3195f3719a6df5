/** The state file in its two places (format.md 7): beside maindb in the split layout, inside it before. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { manualClock } from '../../engine/clock.ts'
import { openEngine } from '../../engine/engine.ts'
import { rewriteFolder } from '../../engine/offline-rewrite/rewrite.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { read } from './inspect/reading.ts'

const NAME = 'vlog_generation_state.json'
const DATA = path.join(import.meta.dirname, '../data')
const NO_DEBT = { queue: [], ledger: [], stage: null }

const rootFile = (dir: string): string => path.join(dir, NAME)
const mainFile = (dir: string): string => path.join(dir, 'maindb', NAME)
const places = (dir: string): boolean[] => [rootFile(dir), mainFile(dir)].map(fs.existsSync)

function copyOfData(name: string): string {
  return copyFolder(path.join(DATA, name), memoryFolder())
}

async function open(dir: string): Promise<{ engine: Engine; ignored: string[] }> {
  const ignored: string[] = []
  const engine = await openEngine(
    dir,
    { mode: 'step', checkpointIntervalMs: 0 },
    {
      clock: manualClock(),
      fileSystem: quickFileSystem,
      yieldNow,
      onEvent: (event) => {
        if (event.type === 'state_file_ignored') ignored.push(event.problem)
      },
    },
  )
  return { engine, ignored }
}

describe('the state file', () => {
  test('of a split folder is read inside maindb, too, and moves to the root with the next save', async () => {
    const dir = copyOfData('treedb-split-mixed')
    expect(places(dir)).toEqual([false, true])
    const { engine } = await open(dir)
    const { queue, ledger, stage } = engine.state().debt
    expect(queue).toEqual([2147483649, 2147483650])
    expect(ledger.length).toBe(2)
    expect(stage).not.toBeNull()
    const rest = { queue: queue.slice(1), ledger: ledger.slice(1), stage: null }
    await engine.maintenance.setDebt(rest)
    expect(places(dir)).toEqual([true, false])
    await engine.close()
    const again = await open(dir)
    expect(again.engine.state().debt.queue).toEqual(queue.slice(1))
    await again.engine.close()
  })

  test('of an older folder is read at the root, too, and moves into maindb', async () => {
    const dir = copyOfData('treedb-march-plain')
    fs.renameSync(mainFile(dir), rootFile(dir))
    const { engine } = await open(dir)
    const { debt } = engine.state()
    expect(debt.queue).toEqual([2147483649, 2147483650])
    await engine.maintenance.setDebt({ ...debt, stage: null })
    expect(places(dir)).toEqual([false, true])
    await engine.close()
  })

  test('is gone from both places when no debt is left', async () => {
    const dir = copyOfData('treedb-split-mixed')
    const { engine } = await open(dir)
    await engine.maintenance.setDebt(NO_DEBT)
    expect(places(dir)).toEqual([false, false])
    await engine.close()
  })

  test('in both places: the one of the layout counts, the other is removed and that is told', async () => {
    const dir = copyOfData('treedb-split-mixed')
    const one = { rewrite_source_file_ids: ['2147483650'] }
    fs.writeFileSync(rootFile(dir), JSON.stringify(one))
    const { engine, ignored } = await open(dir)
    expect(engine.state().debt.queue).toEqual([2147483650])
    expect(places(dir)).toEqual([true, false])
    expect(ignored).toEqual([
      `there were two state files; ${rootFile(dir)} counts, ${mainFile(dir)} was removed`,
    ])
    await engine.close()
  })

  test('is removed from both places by an offline rewrite', async () => {
    const { engine, dir } = await openFixture({}, { dir: memoryFolder() })
    for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 1000))
    await engine.close()
    for (const file of [rootFile(dir), mainFile(dir)]) fs.writeFileSync(file, '{}')
    await rewriteFolder(dir, { fileSystem: quickFileSystem, clock: manualClock(), yieldNow })
    expect(places(dir)).toEqual([false, false])
  })

  test('that queues segments without a file is named by a reading, with how many', async () => {
    const dir = copyOfData('treedb-split-mixed')
    const ids = Array.from({ length: 12 }, (_, i) => String(2147483649 + 900 + i))
    const text = JSON.stringify({ rewrite_source_file_ids: ['2147483649', ...ids] })
    fs.writeFileSync(mainFile(dir), text)
    const { report } = await read(dir)
    const [problem] = report.problems.filter((sentence) => sentence.startsWith(NAME))
    expect(problem).toBe(
      `${NAME}: 12 queued segments without a file: ${ids
        .slice(0, 10)
        .map((id) => `value-l0-${String(Number(id) - 2 ** 31).padStart(6, '0')}.log`)
        .join(', ')} and 2 more`,
    )
  })

  test.each<[what: string, make: (file: string) => void, problem: RegExp, reading: string]>([
    [
      'a folder',
      (file) => fs.mkdirSync(path.join(file, 'inside'), { recursive: true }),
      /; nothing can be saved until that folder is moved away$/,
      'is no file',
    ],
    [
      'a link to nothing',
      (file) => fs.symlinkSync('/nonexistent', file),
      /; the next save puts a file in the place of this link, and leaves alone what it leads to$/,
      'is a symbolic link, not followed',
    ],
    [
      'a file of 34 MiB',
      (file) => {
        fs.writeFileSync(file, '')
        fs.truncateSync(file, 34 * 2 ** 20)
      },
      /has 35651584 bytes, more than the 33554432 of any honest one; the next save replaces it$/,
      'has 35651584 bytes, more than 16777216; not read',
    ],
  ])('does not refuse the store when it is %s', async (what, make, problem, reading) => {
    const dir = memoryFolder()
    await (await open(dir)).engine.close()
    make(rootFile(dir))
    expect((await read(dir)).report.problems).toContain(`${NAME} ${reading}`)
    const opened = open(dir)
    expect(await opened.then(() => 'opened', String)).toBe('opened')
    const { engine, ignored } = await opened
    expect(ignored).toEqual([expect.stringMatching(problem)])
    expect(ignored[0]).toContain(rootFile(dir))
    expect(engine.state().scheduler.state).toBe('error')
    expect(engine.state().debt).toEqual(NO_DEBT)
    const debt = { queue: [2147483649], ledger: [], stage: null }
    const saved = engine.maintenance.setDebt(debt)
    if (what === 'a folder') {
      // It is somebody's: nothing of it is lost, and whoever saves is told.
      await expect(saved).rejects.toMatchObject({ code: 'ENGINE_IO' })
      expect(fs.readdirSync(rootFile(dir))).toEqual(['inside'])
    } else {
      await saved
      expect(fs.lstatSync(rootFile(dir)).isFile()).toBe(true)
    }
    await engine.put(key(1), value(1, 100))
    await engine.close()
  })

  test('in both places, one of which cannot be read: the other counts', async () => {
    const dir = copyOfData('treedb-split-mixed')
    fs.mkdirSync(rootFile(dir))
    const { engine, ignored } = await open(dir)
    expect(engine.state().debt.queue).toEqual([2147483649, 2147483650])
    expect(ignored).toEqual([expect.stringContaining(`; ${mainFile(dir)} counts`)])
    expect(places(dir)).toEqual([true, true])
    await engine.close()
  })
})
