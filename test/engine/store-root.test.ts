/** A store named by its root or by its maindb (operators.md 2): one store, one place for everything beside maindb. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, test } from 'vitest'
import { manualClock } from '../../engine/clock.ts'
import { storeRoot } from '../../engine/folder.ts'
import { nodeFileSystem } from '../../engine/file-system.ts'
import { rewriteFolder } from '../../engine/offline-rewrite/rewrite.ts'
import {
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'

const root = (dir: string): string => storeRoot(nodeFileSystem, dir)

async function makeStore(dir = memoryFolder()): Promise<string> {
  const { engine } = await openFixture({ recording: {} }, { dir })
  for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 1000))
  await engine.close()
  return dir
}

test('an engine opened by maindb is the store around it, and leaves nothing of its own in maindb', async () => {
  const dir = await makeStore()
  const main = path.join(dir, 'maindb')
  const names = fs.readdirSync(main).sort()
  const chunks = fs.readdirSync(path.join(dir, 'trace'))
  const { engine } = await openFixture({ recording: {} }, { dir: main })
  expect(engine.info.dir).toBe(dir)
  await engine.maintenance.setDebt({ queue: [0x80000001], ledger: [], stage: null })
  await engine.close()
  expect(fs.readdirSync(main).sort()).toEqual(names)
  expect(fs.readdirSync(path.join(dir, 'trace')).length).toBeGreaterThan(chunks.length)
  const again = await openFixture({}, { dir })
  expect(again.engine.state().debt.queue).toEqual([0x80000001])
  await again.engine.close()
})

test('an offline rewrite by maindb removes the state file of the root', async () => {
  const dir = await makeStore()
  const state = path.join(dir, 'vlog_generation_state.json')
  fs.writeFileSync(state, '{}')
  const deps = { fileSystem: quickFileSystem, clock: manualClock(), yieldNow }
  await rewriteFolder(path.join(dir, 'maindb'), deps)
  expect(fs.existsSync(state)).toBe(false)
})

test('what is no maindb with an index is its own root', async () => {
  const parent = memoryFolder()
  const named = path.join(parent, 'maindb')
  // A store that somebody called maindb has a maindb of its own.
  fs.mkdirSync(named)
  await makeStore(named)
  expect(root(named)).toBe(named)
  expect(root(path.join(named, 'maindb'))).toBe(named)
  fs.mkdirSync(path.join(parent, 'x', 'maindb'), { recursive: true })
  expect(root(path.join(parent, 'x', 'maindb'))).toBe(path.join(parent, 'x', 'maindb'))
  fs.mkdirSync(path.join(parent, 'y'))
  const link = path.join(parent, 'y', 'maindb')
  fs.symlinkSync(path.join(named, 'maindb'), link)
  expect(root(link)).toBe(link)
  expect(root(path.join(parent, 'absent', 'maindb'))).toBe(path.join(parent, 'absent', 'maindb'))
})
