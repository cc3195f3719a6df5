/**
 * A power cut of a store that syncs nothing as it writes may cost a batch, but never one half of it: whichever
 * file had not got to the disk, and whatever a rewrite did with its values meanwhile.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  quickFileSystem,
  removeFolder,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { holding } from '../support/holding-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'
import { openForLife } from '../support/scripted-life.ts'

const OLD = { large: value(1, 900), small: value(2, 20), gone: value(3, 20) }
const NEW = { large: value(4, 900), small: value(5, 20) }
const LOGS = ['maindb/value_vlog', 'maindb/wal']

/** A store that has the old values in its tree and the new ones as the newest batch. */
async function withBatch(engine: Engine): Promise<void> {
  await engine.put(key('large'), OLD.large)
  await engine.put(key('small'), OLD.small)
  await engine.put(key('gone'), OLD.gone)
  await engine.checkpoint()
  await engine.batch([
    { op: 'put', key: key('large'), value: NEW.large },
    { op: 'put', key: key('small'), value: NEW.small },
    { op: 'delete', key: key('gone') },
  ])
}

/** The system had written back everything, but of one file nothing that nobody had synced: each in turn. */
function cutsOf(disk: FaultFileSystem): { folder: string; lost: string }[] {
  const kept = disk.powerCut(memoryFolder(), 'kept', randomFrom(SEED))
  const synced = disk.powerCut(memoryFolder(), 'lost', randomFrom(SEED))
  const cuts: { folder: string; lost: string }[] = []
  for (const log of LOGS) {
    for (const name of fs.readdirSync(path.join(kept, log))) {
      const folder = copyFolder(kept, memoryFolder())
      const [from, to] = [path.join(synced, log, name), path.join(folder, log, name)]
      if (fs.existsSync(from)) fs.copyFileSync(from, to)
      else fs.rmSync(to)
      cuts.push({ folder, lost: name })
    }
  }
  removeFolder(kept)
  removeFolder(synced)
  return cuts
}

async function whatIsLeft(folder: string): Promise<string> {
  const engine = await openForLife(folder, quickFileSystem, 'wal_on_fast')
  const shown = (name: keyof typeof OLD, fresh?: Uint8Array): string => {
    const found = engine.get(key(name))
    if (found === undefined) return `no ${name}`
    return `${Buffer.compare(found, fresh ?? OLD[name]) === 0 ? 'new' : 'old'} ${name}`
  }
  const left = [shown('large', NEW.large), shown('small', NEW.small), shown('gone')]
  await engine.close()
  removeFolder(folder)
  return left.join(', ')
}

const WHOLE = ['new large, new small, no gone', 'old large, old small, new gone']

async function halves(cuts: readonly { folder: string; lost: string }[]): Promise<string[]> {
  const found: string[] = []
  for (const { folder, lost } of cuts) {
    const left = await whatIsLeft(folder)
    if (!WHOLE.includes(left)) found.push(`without ${lost}: ${left}`)
  }
  return found
}

const liveIds = (engine: Engine): number[] =>
  engine
    .state()
    .segments.filter((s) => s.bytesLive > 0)
    .map((s) => s.segmentId)

test('a batch whose values a rewrite moves stays whole, whichever file is lost', async () => {
  const disk = new FaultFileSystem(memoryFolder())
  const engine = await openForLife(disk.root, disk.process().fileSystem, 'wal_on_fast')
  await withBatch(engine)
  const cuts = cutsOf(disk)
  disk.onCall = (call) => {
    if (call === 'sync' || call === 'syncFolder') cuts.push(...cutsOf(disk))
  }
  const pass = await engine.maintenance.rewrite(liveIds(engine))
  disk.onCall = () => undefined
  const copied = pass.steps.map((step) => (step.kind === 'rewrite' ? step.report.recordsCopied : 0))
  expect(Math.max(...copied)).toBe(1)
  await engine.close()
  expect(cuts.length).toBeGreaterThan(20)
  expect(await halves(cuts)).toEqual([])
})

test('a batch in a journal before the one that has its moves stays whole', async () => {
  const disk = new FaultFileSystem(memoryFolder())
  const held = holding(disk.process().fileSystem, (call, file) => {
    return call === 'sync' && file.endsWith('index.db')
  })
  const engine = await openForLife(disk.root, held.fileSystem, 'wal_on_fast')
  await withBatch(engine)
  // A checkpoint has begun the next journal and cannot publish.
  held.hold()
  const checkpoint = engine.checkpoint()
  await held.met
  const rewrite = engine.maintenance.rewrite(liveIds(engine))
  const journals = (): string[] => fs.readdirSync(path.join(disk.root, 'maindb', 'wal'))
  for (let turns = 0; journals().length < 2 && turns < 2000; turns++) await yieldNow()
  expect(journals()).toHaveLength(2)
  const cuts = cutsOf(disk)
  held.release()
  await Promise.all([checkpoint, rewrite])
  await engine.close()
  expect(await halves(cuts)).toEqual([])
})
