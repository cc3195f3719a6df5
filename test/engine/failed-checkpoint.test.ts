/**
 * After a failed checkpoint, or another failure, none goes on: what the journals hold that it did not
 * publish was acknowledged and is nowhere else.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { Journal } from '../../engine/commit-log/journal.ts'
import { openEngine } from '../../engine/engine.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import type { Profile } from '../../engine/types.ts'
import { Acknowledged, expectMoment } from '../support/acknowledged.ts'
import {
  eagerClock,
  key,
  memoryFolder,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { FaultFileSystem, type FileCall } from '../support/fault-file-system.ts'
import { holding } from '../support/holding-file-system.ts'
import { openForLife } from '../support/scripted-life.ts'

/** More leaves than are kept in memory. */
const LARGE_TREE = { mode: 'step', checkpointIntervalMs: 0, pageCacheBytes: 64 * 1024 } as const
const KEYS = 1500

const journalFolder = (root: string): string => path.join(root, 'maindb', 'wal')

/** Fails the first call like this from now on; `met` resolves then. */
function failOnce(
  disk: FaultFileSystem,
  isIt: (call: FileCall, file: string) => boolean,
): { met: Promise<void> } {
  let meet = (): void => undefined
  const met = new Promise<void>((resolve) => (meet = resolve))
  disk.onCall = (call, file) => {
    if (!isIt(call, file)) return
    disk.onCall = () => undefined
    disk.failAt = disk.calls
    meet()
  }
  return { met }
}

function lossOf(engine: Engine, acknowledged: Acknowledged): Promise<string> {
  return expectMoment(engine, acknowledged.now, 'reopened').then(() => 'nothing', String)
}

interface Case {
  what: string
  profile: Profile
  isIt: (call: FileCall, file: string) => boolean
}

const CASES: Case[] = (['durable', 'wal_on_fast'] as const).flatMap((profile) => [
  {
    what: `${profile}, whose index could not be synced`,
    profile,
    isIt: (call, file) => call === 'sync' && file.endsWith('index.db'),
  },
  {
    what: `${profile}, whose journal could not be deleted`,
    profile,
    isIt: (call, file) => call === 'unlink' && file.includes('commit-l'),
  },
])

describe('a checkpoint behind a failed one', () => {
  test.each(CASES)('leaves every acknowledged write: $what', async ({ profile, isIt }) => {
    const disk = new FaultFileSystem(memoryFolder())
    const held = holding(disk.process().fileSystem, isIt)
    const acknowledged = new Acknowledged()
    const engine = await openForLife(disk.root, held.fileSystem, profile)
    await acknowledged.put(engine, key('a'), value(1, 20))
    await acknowledged.put(engine, key('x'), value(2, 900))
    held.hold()
    const first = engine.checkpoint()
    await held.met
    // Its own files are done with; these go to the next journal.
    await acknowledged.put(engine, key('a'), value(3, 900))
    await acknowledged.put(engine, key('b'), value(4, 20))
    await acknowledged.delete(engine, key('x'))
    const second = engine.checkpoint()
    failOnce(disk, isIt)
    held.release()
    const ends = await Promise.allSettled([first, second])
    const reasons = ends.map((end) => (end.status === 'rejected' ? String(end.reason) : 'done'))
    await engine.close()
    const again = await openForLife(disk.root, quickFileSystem, profile)
    expect(await lossOf(again, acknowledged)).toBe('nothing')
    expect(reasons[0]).toContain('injected')
    // The same failure: it was never tried.
    expect(reasons[1]).toBe(reasons[0])
    await again.close()
  })
})

describe('a checkpoint that waits while a batch fails', () => {
  test('publishes no half of it', async () => {
    const disk = new FaultFileSystem(memoryFolder())
    const acknowledged = new Acknowledged()
    const engine = await openEngine(
      disk.root,
      { ...LARGE_TREE, profile: 'fast' },
      { clock: eagerClock(), fileSystem: disk.process().fileSystem, yieldNow },
    )
    for (let i = 0; i < KEYS; i++) await acknowledged.put(engine, key(i), value(i, 400))
    await engine.close()

    const held = holding(disk.process().fileSystem, (call, file) => {
      return call === 'syncFolder' && file === journalFolder(disk.root)
    })
    const deps = { clock: eagerClock(), fileSystem: held.fileSystem, yieldNow }
    const other = await openEngine(disk.root, { ...LARGE_TREE, profile: 'durable' }, deps)
    await acknowledged.put(other, key('there'), value(1, 20))
    held.hold()
    const checkpoint = other.checkpoint()
    await held.met
    other.get(key(0))
    failOnce(disk, (call, file) => call === 'read' && file.endsWith('index.db'))
    const batch = acknowledged.batch(other, [
      { op: 'put', key: key(0), value: value(1, 20) },
      { op: 'delete', key: key(KEYS / 2) },
    ])
    await expect(batch).rejects.toThrow('injected')
    held.release()
    const end = await checkpoint.then(
      () => 'done',
      (error: unknown) => String(error),
    )
    await other.close()
    const again = await openForLife(disk.root, quickFileSystem)
    expect(await lossOf(again, acknowledged)).toBe('nothing')
    expect(end).toContain('injected')
    await again.close()
  })
})

describe('a journal of which a file could not be deleted', () => {
  test('knows it, and deletes it before newer ones', async () => {
    const folder = memoryFolder()
    const unlinked: string[] = []
    let fails = true
    const failing: FileSystem = {
      ...quickFileSystem,
      async unlink(file) {
        if (fails) throw new Error('it stays')
        unlinked.push(path.basename(file))
        await quickFileSystem.unlink(file)
      },
    }
    const journal = new Journal(failing, { folder, kind: 'ieee', nextSeq: 1, old: [] })
    const append = (seq: number): void => {
      const operations = [{ op: 'delete', key: key(seq) } as const]
      journal.append({ seq, operations })
      journal.rotate()
    }
    append(1)
    await expect(journal.deleteOld()).rejects.toThrow('it stays')
    fails = false
    append(2)
    const files = fs.readdirSync(folder).sort()
    expect(files).toHaveLength(2)
    await journal.deleteOld()
    expect(unlinked).toEqual(files)
    journal.close()
  })
})
