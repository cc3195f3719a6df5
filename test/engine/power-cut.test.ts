/** A power cut at every sync of a life: what was acknowledged is there, and the store opens. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import { PAGE_BYTES } from '../../engine/index/page.ts'
import type { Profile } from '../../engine/types.ts'
import { Acknowledged, expectMoment, type Moment } from '../support/acknowledged.ts'
import {
  bytesEqual,
  entriesOf,
  key,
  memoryFolder,
  quickFileSystem,
  removeFolder,
  value,
} from '../support/engine-fixture.ts'
import { FaultFileSystem, type CutMode, type FileCall } from '../support/fault-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'
import { openForLife, scriptedLife, sealedIds } from '../support/scripted-life.ts'

const isBoundary = (call: FileCall): boolean => call === 'sync' || call === 'syncFolder'

interface Cut {
  folder: string
  moment: Moment
  where: string
}

/** Cuts before each boundary that `disk` meets from now on, in each of the modes. */
function cutAtBoundaries(
  disk: FaultFileSystem,
  modes: readonly CutMode[],
  moment: () => Moment,
): Cut[] {
  const random = randomFrom(SEED)
  const cuts: Cut[] = []
  disk.onCall = (call, file) => {
    if (!isBoundary(call)) return
    for (const mode of modes) {
      const folder = disk.powerCut(memoryFolder(), mode, random)
      const where = `seed ${SEED}, ${mode} before call ${disk.calls}, ${call} ${file}`
      cuts.push({ folder, moment: moment(), where })
    }
  }
  return cuts
}

async function expectReopens(cut: Cut, profile: Profile): Promise<void> {
  const { folder, moment, where } = cut
  let engine: Engine
  try {
    engine = await openForLife(folder, quickFileSystem, profile)
  } catch (error) {
    throw new Error(`${where}: ${String(error)}`, { cause: error })
  }
  await expectMoment(engine, moment, where)
  await engine.put(key('after'), value(1, 900))
  await engine.close()
  removeFolder(folder)
}

async function cutsOfLife(
  profile: Profile,
  modes: readonly CutMode[],
): Promise<{ cuts: Cut[]; acknowledged: Acknowledged }> {
  const disk = new FaultFileSystem(memoryFolder())
  const acknowledged = new Acknowledged()
  const cuts = cutAtBoundaries(disk, modes, () => acknowledged.now)
  const { fileSystem } = disk.process()
  await scriptedLife(
    () => openForLife(disk.root, fileSystem, profile),
    acknowledged,
    () => undefined,
  )
  return { cuts, acknowledged }
}

describe('a power cut', () => {
  test.each(['lost', 'kept', 'prefix', 'mixed'] as const)(
    'before any sync of a durable life keeps what was acknowledged (unsynced: %s)',
    async (mode) => {
      const { cuts } = await cutsOfLife('durable', [mode])
      expect(cuts.length).toBeGreaterThan(50)
      const problems: string[] = []
      for (const cut of cuts) {
        await expectReopens(cut, 'durable').catch((e: unknown) => problems.push(String(e)))
      }
      expect(problems).toEqual([])
    },
  )

  test('during the opening after a kill keeps what the opening had found', async () => {
    const problems: string[] = []
    for (const profile of ['durable', 'wal_on_fast'] as const) {
      const disk = new FaultFileSystem(memoryFolder())
      const acknowledged = new Acknowledged()
      const first = disk.process()
      const engine = await openForLife(disk.root, first.fileSystem, profile)
      for (let i = 0; i < 12; i++) await acknowledged.put(engine, key(i), value(i, 700))
      first.kill()

      // In wal_on_fast nothing of it is on disk. Once the opening ends, it must be.
      const second = disk.process()
      const again = await openForLife(disk.root, second.fileSystem, profile)
      const found = acknowledged.now
      await expectMoment(again, found, 'after the kill')
      const cuts = cutAtBoundaries(disk, ['lost', 'prefix'], () => found)
      await again.put(key('more'), value(1, 700))
      cuts.push({
        folder: disk.powerCut(memoryFolder(), 'lost', randomFrom(SEED)),
        moment: found,
        where: `after the opening, ${profile}`,
      })
      second.kill()
      for (const cut of cuts) {
        const more = { op: 'put', key: key('more'), value: value(1, 700) } as const
        cut.moment = { ...found, pending: [{ operations: [more], acknowledged: false }] }
        await expectReopens(cut, profile).catch((e: unknown) => problems.push(String(e)))
      }
    }
    expect(problems).toEqual([])
  })

  test('between the deletions of two replayed journals never leaves the older one alone', async () => {
    const disk = new FaultFileSystem(memoryFolder())
    const acknowledged = new Acknowledged()
    const first = disk.process()
    // The checkpoint waits for its disk for good, so that both journals stay.
    let isStuck = false
    let reach = (): void => undefined
    const reached = new Promise<void>((resolve) => (reach = resolve))
    const stuck: FileSystem = {
      ...first.fileSystem,
      open: (file, mode) => {
        const opened = first.fileSystem.open(file, mode)
        const sync = opened.sync.bind(opened)
        const never = new Promise<void>(() => undefined)
        opened.sync = () => {
          if (!isStuck || !file.endsWith('index.db')) return sync()
          reach()
          return never
        }
        return opened
      },
    }
    const engine = await openForLife(disk.root, stuck)
    isStuck = true
    await acknowledged.put(engine, key(1), value(1, 20))
    void engine.checkpoint()
    await reached
    await acknowledged.put(engine, key(1), value(2, 20))
    first.kill()
    expect(fs.readdirSync(path.join(disk.root, 'maindb', 'wal')).length).toBe(2)

    const cuts = cutAtBoundaries(disk, ['lost', 'kept'], () => acknowledged.now)
    const second = disk.process()
    const again = await openForLife(disk.root, second.fileSystem)
    await expectMoment(again, acknowledged.now, 'after the kill')
    second.kill()
    for (const cut of cuts) await expectReopens(cut, 'durable')
  })

  test('meets no meta page that names a page or a value which is not on disk yet', async () => {
    const unsynced = new Map<string, number>()
    const early: string[] = []
    let metasWritten = 0
    const watched: FileSystem = {
      ...quickFileSystem,
      open: (file, mode) => {
        const opened = quickFileSystem.open(file, mode)
        const isIndex = file.endsWith('index.db')
        if (!isIndex && !/value-l\d+-\d+\.log$/.test(file)) return opened
        const write = opened.write.bind(opened)
        const sync = opened.sync.bind(opened)
        opened.write = (buffer, offset, length, position) => {
          write(buffer, offset, length, position)
          if (!isIndex || position >= 2 * PAGE_BYTES) {
            unsynced.set(file, (unsynced.get(file) ?? 0) + 1)
            return
          }
          metasWritten++
          early.push(...[...unsynced.keys()].map((name) => path.basename(name)))
        }
        opened.sync = async () => {
          const writes = unsynced.get(file)
          await sync()
          // What was written while the disk worked waits for the next sync.
          if (unsynced.get(file) === writes) unsynced.delete(file)
        }
        return opened
      },
    }
    for (const profile of ['fast', 'wal_on_fast', 'durable'] as const) {
      const engine = await openForLife(memoryFolder(), watched, profile)
      for (let round = 0; round < 4; round++) {
        for (let i = 0; i < 60; i++)
          await engine.put(key(i), value(i + round, i % 2 === 0 ? 20 : 900))
        if (round === 2) await engine.maintenance.rewrite(sealedIds(engine))
        await engine.checkpoint()
      }
      await engine.close()
    }
    expect(metasWritten).toBeGreaterThan(24)
    expect(early).toEqual([])
  })

  test.each(['lost', 'prefix', 'mixed'] as const)(
    'during the opening after a kill at any write leaves a store that opens (unsynced: %s)',
    async (mode) => {
      // The killed process leaves a meta page, a journal or a segment unsynced; the next one is cut.
      const problems: string[] = []
      const calls = await writesOfShortLife()
      for (let n = 1; n <= calls; n++) {
        const disk = new FaultFileSystem(memoryFolder())
        const acknowledged = new Acknowledged()
        const first = disk.process()
        let writes = 0
        disk.onCall = (call) => {
          if (call === 'write' && ++writes === n) {
            // After this write: the next call of the process finds it dead.
            disk.onCall = () => first.kill()
          }
        }
        await shortLife(disk, first.fileSystem, acknowledged).catch(() => undefined)
        first.kill()
        const moment = acknowledged.now
        const cuts = cutAtBoundaries(disk, [mode], () => moment)
        const second = disk.process()
        const again = await openForLife(disk.root, second.fileSystem)
        await expectMoment(again, moment, `killed after write ${n}`)
        disk.onCall = () => undefined
        second.kill()
        for (const cut of cuts) {
          cut.where = `killed after write ${n}, ${cut.where}`
          await expectReopens(cut, 'durable').catch((e: unknown) => problems.push(String(e)))
        }
        removeFolder(disk.root)
      }
      expect(problems).toEqual([])
    },
  )

  test('costs the fast profile what came after a checkpoint, and nothing by halves', async () => {
    const { cuts, history } = await unsyncedLife('fast')
    const shown = (state: Iterable<[string, Uint8Array]>): string =>
      [...state]
        .map(([k, v]) => `${k}:${Buffer.from(v).toString('base64')}`)
        .sort()
        .join()
    for (const cut of cuts) {
      const allowed = new Set(history.slice(cut.from, cut.to + 1).map(shown))
      await expectOpens('fast', cut, (engine) => allowed.has(shown(entriesOf(engine))))
    }
  })

  test('costs wal_on_fast some of the newest writes, never one that a checkpoint has', async () => {
    const { cuts, history } = await unsyncedLife('wal_on_fast')
    for (const cut of cuts) {
      const states = history.slice(cut.from, cut.to + 1)
      const names = new Set(states.flatMap((state) => [...state.keys()]))
      await expectOpens('wal_on_fast', cut, (engine) => {
        const found = new Map(entriesOf(engine))
        const strangers = [...found.keys()].filter((name) => !names.has(name))
        const wrong = [...names].filter(
          (name) => !states.some((state) => bytesEqual(state.get(name), found.get(name))),
        )
        return strangers.length === 0 && wrong.length === 0
      })
    }
  })
})

interface UnsyncedCut {
  folder: string
  where: string
  /** Indexes into the history: the last finished checkpoint, and the newest write begun. */
  from: number
  to: number
}

async function unsyncedLife(
  profile: Profile,
): Promise<{ cuts: UnsyncedCut[]; history: ReadonlyMap<string, Uint8Array>[] }> {
  const disk = new FaultFileSystem(memoryFolder())
  const random = randomFrom(SEED)
  const history: ReadonlyMap<string, Uint8Array>[] = [new Map()]
  const cuts: UnsyncedCut[] = []
  let from = 0
  disk.onCall = (call, file) => {
    if (!isBoundary(call)) return
    for (const mode of ['lost', 'kept', 'prefix', 'mixed'] as const) {
      const where = `seed ${SEED}, ${profile}, ${mode} before call ${disk.calls}, ${call} ${file}`
      const folder = disk.powerCut(memoryFolder(), mode, random)
      cuts.push({ folder, where, from, to: history.length - 1 })
    }
  }
  const acknowledged = new Acknowledged()
  const engine = await openForLife(disk.root, disk.process().fileSystem, profile)
  for (let i = 0; i < 40; i++) {
    const name = key((i * 3) % 11)
    if (i % 5 === 4) await acknowledged.delete(engine, name)
    else await acknowledged.put(engine, name, value(i, i % 2 === 0 ? 20 : 900))
    history.push(acknowledged.visible)
    if (i === 25) await engine.maintenance.rewrite(sealedIds(engine))
    if (i % 9 === 8) {
      await engine.checkpoint()
      from = history.length - 1
    }
  }
  await engine.close()
  return { cuts, history }
}

async function expectOpens(
  profile: Profile,
  cut: UnsyncedCut,
  isAllowed: (engine: Engine) => boolean,
): Promise<void> {
  const engine = await openForLife(cut.folder, quickFileSystem, profile)
  expect(isAllowed(engine), cut.where).toBe(true)
  expect((await engine.verify()).differences, cut.where).toEqual([])
  await engine.close()
  removeFolder(cut.folder)
}

async function shortLife(
  disk: FaultFileSystem,
  fileSystem: ReturnType<FaultFileSystem['process']>['fileSystem'],
  acknowledged: Acknowledged,
): Promise<void> {
  const engine = await openForLife(disk.root, fileSystem)
  for (let i = 0; i < 5; i++) await acknowledged.put(engine, key(i), value(i, 900))
  await engine.checkpoint()
  await acknowledged.put(engine, key(1), value(11, 900))
  await acknowledged.delete(engine, key(2))
  // Two journals beside each other: the key is in both.
  const checkpoint = engine.checkpoint()
  checkpoint.catch(() => undefined)
  await acknowledged.put(engine, key(1), value(12, 900))
  await acknowledged.put(engine, key(3), value(13, 900))
  await checkpoint
}

async function writesOfShortLife(): Promise<number> {
  const disk = new FaultFileSystem(memoryFolder())
  let writes = 0
  disk.onCall = (call) => {
    if (call === 'write') writes++
  }
  const process = disk.process()
  await shortLife(disk, process.fileSystem, new Acknowledged())
  process.kill()
  return writes
}
