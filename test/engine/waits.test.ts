/** What a writer that waits for the disk does not wait for: work of checkpoints, rewrites and GC. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'

import { Journal } from '../../engine/commit-log/journal.ts'
import { nodeFileSystem, replaceFile, type FileSystem } from '../../engine/file-system.ts'
import { INDEX_CHUNK_BYTES, PageStore } from '../../engine/index/page-store.ts'
import {
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  temporaryFolder,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'

const MIB = 2 ** 20

/** Holds syncs of a folder from the moment it is told to, and says when one is met. */
function holdingFolder(name: string): {
  fileSystem: FileSystem
  hold: () => void
  met: Promise<void>
  release: () => void
} {
  let meet = (): void => undefined
  let release = (): void => undefined
  const met = new Promise<void>((resolve) => (meet = resolve))
  const released = new Promise<void>((resolve) => (release = resolve))
  let holds = false
  const fileSystem: FileSystem = {
    ...quickFileSystem,
    async syncFolder(folder) {
      if (holds && path.basename(folder) === name) {
        meet()
        await released
      }
      await quickFileSystem.syncFolder(folder)
    },
  }
  return { fileSystem, hold: () => (holds = true), met, release }
}

/** Whether it is over within some turns of the event loop; nothing here waits for a real disk. */
async function soon(work: Promise<unknown>): Promise<boolean> {
  const state = { isOver: false }
  const over = (): void => {
    state.isOver = true
  }
  work.then(over, over)
  for (let turns = 0; !state.isOver && turns < 2000; turns++) await yieldNow()
  return state.isOver
}

describe('a durable put', () => {
  test('does not wait for the name of the journal file that a checkpoint begins', async () => {
    const wal = holdingFolder('wal')
    const { engine } = await openFixture(
      { profile: 'durable' },
      { dir: memoryFolder(), fileSystem: wal.fileSystem },
    )
    await engine.put(key(1), value(1, 100))
    wal.hold()
    const checkpoint = engine.checkpoint()
    expect(await soon(wal.met)).toBe(true)
    // Still to the old file.
    expect(await soon(engine.put(key(2), value(2, 100)))).toBe(true)
    wal.release()
    await checkpoint
    await engine.put(key(3), value(3, 100))
    await engine.close()
  })

  test('does not wait for the name of a file that a rewrite writes to', async () => {
    const values = holdingFolder('value_vlog')
    const { engine } = await openFixture(
      { profile: 'durable', segmentBytes: 8192, inlineThreshold: 64 },
      { dir: memoryFolder(), fileSystem: values.fileSystem },
    )
    for (let i = 0; i < 8; i++) await engine.put(key(i), value(i, 1000))
    for (let i = 1; i < 8; i += 2) await engine.put(key(i), value(i + 100, 1000))
    const first = engine.state().segments[0]
    expect(first).toMatchObject({ state: 'sealed' })
    values.hold()
    const rewrite = engine.maintenance.rewrite([first?.segmentId ?? 0])
    expect(await soon(values.met)).toBe(true)
    const put = engine.put(key(20), value(20, 1000))
    const isThrough = await soon(put)
    values.release()
    await put
    expect(isThrough).toBe(true)
    expect((await rewrite).error).toBeNull()
    await engine.close()
  })
})

describe('a checkpoint while a writer waits for the disk', () => {
  test('syncs the index in pieces, so that the writer never waits for much', async () => {
    let isHeld = false
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    let indexSyncs = 0
    const watched: FileSystem = {
      ...quickFileSystem,
      open(file, mode) {
        const opened = quickFileSystem.open(file, mode)
        const sync = opened.sync.bind(opened)
        opened.sync = async () => {
          if (file.endsWith('index.db')) indexSyncs++
          if (isHeld && /value-l0-.*log$/.test(file)) await released
          await sync()
        }
        return opened
      },
    }
    const { engine } = await openFixture(
      { profile: 'durable' },
      { dir: memoryFolder(), fileSystem: watched },
    )
    // About 1.5 MiB of leaves.
    const operations = Array.from({ length: 6000 }, (_, i) => {
      return { op: 'put' as const, key: key(i), value: value(i, 200) }
    })
    await engine.batch(operations)
    isHeld = true
    const put = engine.put(key(9000), value(9000, 4000))
    const before = indexSyncs
    const checkpoint = engine.checkpoint()
    for (let turns = 0; indexSyncs < before + 3 && turns < 10_000; turns++) await yieldNow()
    expect(indexSyncs).toBeGreaterThanOrEqual(before + 3)
    release()
    await Promise.all([put, checkpoint])
    await engine.close()
  })
})

describe('the free end of index.db', () => {
  test('is given back in steps with pauses between', async () => {
    const file = nodeFileSystem.open(path.join(temporaryFolder(), 'index.db'), 'create')
    file.truncate(5 * MIB)
    const pages = new PageStore(file, 'ieee', { totalPages: 2, cacheBytes: MIB })
    const sizes: number[] = []
    await pages.giveBack(() => {
      sizes.push(file.size())
      return Promise.resolve()
    })
    expect(sizes).toEqual([4 * MIB, 3 * MIB, 2 * MIB, MIB, INDEX_CHUNK_BYTES])
    file.close()
  })
})

describe('a prepared journal file', () => {
  const batch = (seq: number): Parameters<Journal['append']>[0] => ({
    seq,
    operations: [{ op: 'set_inline', key: key(seq), value: value(seq, 20) }],
  })
  const where = (folder: string): ConstructorParameters<typeof Journal>[1] => ({
    folder,
    kind: 'ieee',
    nextSeq: 1,
    old: [],
  })

  test('is the next one, named once, and goes when it stays empty', async () => {
    const folder = memoryFolder()
    let folderSyncs = 0
    const counting: FileSystem = {
      ...quickFileSystem,
      async syncFolder(of) {
        folderSyncs++
        await quickFileSystem.syncFolder(of)
      },
    }
    const journal = new Journal(counting, where(folder))
    // Nothing to rotate, nothing to prepare.
    await journal.prepare()
    expect(fs.readdirSync(folder)).toEqual([])
    journal.append(batch(1))
    await journal.sync()
    expect(folderSyncs).toBe(1)
    await journal.prepare()
    await journal.prepare()
    expect(folderSyncs).toBe(2)
    journal.rotate()
    journal.append(batch(2))
    await journal.sync()
    expect(folderSyncs).toBe(2)
    const sizes = fs.readdirSync(folder).map((name) => fs.statSync(path.join(folder, name)).size)
    expect(sizes).toHaveLength(2)
    expect(Math.min(...sizes)).toBeGreaterThan(0)
    await journal.prepare()
    journal.rotate()
    await journal.deleteOld()
    expect(fs.readdirSync(folder)).toHaveLength(1)
    await journal.removeUnused()
    expect(fs.readdirSync(folder)).toEqual([])
    journal.close()
  })

  test('whose name could not be synced ends the journal', async () => {
    const folder = memoryFolder()
    let fails = false
    const failing: FileSystem = {
      ...quickFileSystem,
      async syncFolder(of) {
        if (fails) throw new Error('no space for a name')
        await quickFileSystem.syncFolder(of)
      },
    }
    const journal = new Journal(failing, where(folder))
    journal.append(batch(1))
    await journal.sync()
    fails = true
    await expect(journal.prepare()).rejects.toThrow('no space for a name')
    fails = false
    // A later sync of the folder may succeed although the name is lost.
    journal.rotate()
    journal.append(batch(2))
    await expect(journal.sync()).rejects.toThrow('no space for a name')
    journal.close()
  })
})

test('a replaced file survives a power cut behind it, name and all', async () => {
  const disk = new FaultFileSystem(memoryFolder())
  const { fileSystem, kill } = disk.process()
  const file = path.join(disk.root, 'state')
  await replaceFile(fileSystem, file, Buffer.from('old'))
  await replaceFile(fileSystem, file, Buffer.from('new'))
  kill()
  const after = disk.powerCut(memoryFolder(), 'lost', randomFrom(SEED))
  expect(fs.readdirSync(after)).toEqual(['state'])
  expect(fs.readFileSync(path.join(after, 'state'), 'utf8')).toBe('new')
})

describe('the space of a deleted file', () => {
  /** 10 MiB, its name gone, and a second look at it. */
  function deleted(): { file: string; second: number; close: () => Promise<void> } {
    const file = path.join(temporaryFolder(), 'segment')
    fs.writeFileSync(file, Buffer.alloc(10 * MIB, 7))
    // As a sealed segment is.
    const opened = nodeFileSystem.open(file, 'read')
    const second = fs.openSync(file, 'r')
    return { file, second, close: async () => opened.closeAside?.() }
  }

  test('is given back in steps before its last close', async () => {
    const { file, second, close } = deleted()
    await nodeFileSystem.unlink(file)
    await close()
    // What is left is one step: the close's own.
    expect(fs.fstatSync(second).size).toBe(2 * MIB)
    fs.closeSync(second)
  })

  test('stays where the file has another name', async () => {
    const { file, second, close } = deleted()
    fs.linkSync(file, `${file}.backup`)
    await nodeFileSystem.unlink(file)
    await close()
    expect(fs.fstatSync(second).size).toBe(10 * MIB)
    fs.closeSync(second)
  })
})
