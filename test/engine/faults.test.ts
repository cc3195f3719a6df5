/** Every call to the file system may fail: the engine goes on or says so, and loses nothing. */
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { EngineError } from '../../engine/errors.ts'
import { Acknowledged, expectMoment } from '../support/acknowledged.ts'
import { key, memoryFolder, removeFolder, value } from '../support/engine-fixture.ts'
import { FaultFileSystem, type FileCall } from '../support/fault-file-system.ts'
import { randomFrom } from '../support/random.ts'
import { openForLife, scriptedLife } from '../support/scripted-life.ts'

async function callsOfLife(): Promise<FileCall[]> {
  const disk = new FaultFileSystem(memoryFolder())
  const calls: FileCall[] = []
  disk.onCall = (call) => calls.push(call)
  const { fileSystem } = disk.process()
  await scriptedLife(
    () => openForLife(disk.root, fileSystem),
    new Acknowledged(),
    () => undefined,
  )
  return calls
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function expectCoded(error: unknown, where: string): void {
  const shown = error instanceof Error ? String(error.stack) : String(error)
  expect(error instanceof EngineError, `${where}: ${shown}`).toBe(true)
}

async function lifeWithFault(failAt: number, errno: 'EIO' | 'ENOSPC'): Promise<void> {
  const disk = new FaultFileSystem(memoryFolder())
  disk.failAt = failAt
  disk.errno = errno
  const { fileSystem } = disk.process()
  const acknowledged = new Acknowledged()
  const opened: Engine[] = []
  try {
    await scriptedLife(
      () => openForLife(disk.root, fileSystem),
      acknowledged,
      (engine) => opened.push(engine),
    )
  } catch (error) {
    expectCoded(error, `${errno} at call ${failAt}, ${disk.failed?.call} ${disk.failed?.path}`)
  }
  const where = `${errno} at call ${failAt}, ${disk.failed?.call} ${disk.failed?.path}`
  expect(disk.failed, where).not.toBeNull()
  const engine = opened[opened.length - 1]
  await engine?.close().catch((error: unknown) => expectCoded(error, where))
  const moment = acknowledged.now

  // The same files in a process that has no such trouble, and after a power cut.
  const cut = disk.powerCut(memoryFolder(), 'lost', randomFrom(failAt))
  const other = new FaultFileSystem(cut)
  for (const next of [disk, other]) {
    const again = await openForLife(next.root, next.process().fileSystem)
    await expectMoment(again, moment, `${where}, ${next === disk ? 'reopened' : 'power cut'}`)
    await again.put(key('after'), value(1, 900))
    await again.maintenance.gc({ dryRun: false })
    await again.close()
    removeFolder(next.root)
  }
}

/** What a full disk refuses. */
const NEEDS_SPACE: readonly FileCall[] = [
  'open',
  'makeFolder',
  'rename',
  'write',
  'truncate',
  'sync',
]

describe('one failing call', () => {
  for (const errno of ['EIO', 'ENOSPC'] as const) {
    test(`${errno} at any call of a life loses nothing acknowledged and ends in a coded error or in success`, async () => {
      const calls = await callsOfLife()
      expect(calls.length).toBeGreaterThan(250)
      const problems: string[] = []
      for (const [i, call] of calls.entries()) {
        if (errno === 'ENOSPC' && !NEEDS_SPACE.includes(call)) continue
        const n = i + 1
        await lifeWithFault(n, errno).catch((error: unknown) => problems.push(messageOf(error)))
      }
      expect(problems).toEqual([])
    }, 120_000)
  }
})
