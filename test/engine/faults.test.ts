/**
 * Every call to the file system may fail: the engine goes on or says so, and loses nothing. Calls that
 * only look (read, stat, size) do the same over and over: the usual run takes
 * a part of them, RESTAGE_FAULTS=all takes each. The table at the end says what was injected.
 */
import { afterAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { EngineError } from '../../engine/errors.ts'
import { Acknowledged, expectMoment } from '../support/acknowledged.ts'
import { key, memoryFolder, removeFolder, value } from '../support/engine-fixture.ts'
import { FaultFileSystem, type Errno, type FileCall } from '../support/fault-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'
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

interface Outcome {
  /** false: the life met a coded error. */
  worked: boolean
  /** Times that the store was opened again afterwards, with all that was acknowledged in it. */
  reopened: number
}

async function lifeWithFault(failAt: number, errno: Errno): Promise<Outcome> {
  const disk = new FaultFileSystem(memoryFolder())
  disk.failAt = failAt
  disk.errno = errno
  const { fileSystem } = disk.process()
  const acknowledged = new Acknowledged()
  const opened: Engine[] = []
  const outcome: Outcome = { worked: true, reopened: 0 }
  const failed = (error: unknown): void => {
    expectCoded(error, `${errno} at call ${failAt}, ${disk.failed?.call} ${disk.failed?.path}`)
    outcome.worked = false
  }
  try {
    await scriptedLife(
      () => openForLife(disk.root, fileSystem),
      acknowledged,
      (engine) => opened.push(engine),
    )
  } catch (error) {
    failed(error)
  }
  const where = `${errno} at call ${failAt}, ${disk.failed?.call} ${disk.failed?.path}`
  expect(disk.failed, where).not.toBeNull()
  const engine = opened[opened.length - 1]
  await engine?.close().catch(failed)
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
    outcome.reopened++
  }
  return outcome
}

/** What each error can meet: a full disk refuses what needs space, a full table of files what opens. */
const MEETS: Record<Errno, (call: FileCall) => boolean> = {
  EIO: () => true,
  ENOSPC: (call) =>
    ['open', 'makeFolder', 'rename', 'write', 'truncate', 'sync', 'syncFolder'].includes(call),
  EMFILE: (call) => ['open', 'list', 'readFile', 'syncFolder', 'lock'].includes(call),
}

const ALL = process.env['RESTAGE_FAULTS'] === 'all'
/** One in so many of the calls that only look. */
const LOOK_STRIDE = 3
const LOOKS: readonly FileCall[] = ['read', 'stat', 'size']
/** One in so many of the others. */
const STRIDE: Record<Errno, number> = { EIO: 2, ENOSPC: 3, EMFILE: 2 }

function isChosen(errno: Errno, call: FileCall, n: number): boolean {
  if (!MEETS[errno](call)) return false
  return ALL || (n + SEED) % (LOOKS.includes(call) ? LOOK_STRIDE : STRIDE[errno]) === 0
}

interface Row {
  calls: number
  worked: number
  coded: number
  reopened: number
}

const table = new Map<string, Row>()

function note(name: string, outcome: Outcome): void {
  const row = table.get(name) ?? { calls: 0, worked: 0, coded: 0, reopened: 0 }
  row.calls++
  if (outcome.worked) row.worked++
  else row.coded++
  row.reopened += outcome.reopened
  table.set(name, row)
}

afterAll(() => {
  const lines = [...table]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { calls, worked, coded, reopened }]) =>
      [name.padEnd(18), ...[calls, worked, coded, reopened].map((n) => `${n}`.padStart(8))].join(
        ' ',
      ),
    )
  const head = ['injected'.padEnd(18), '   calls', '  worked', '   coded', 'reopened'].join(' ')
  process.stdout.write(`${[head, ...lines].join('\n')}\n`)
})

describe(`one failing call (seed ${SEED})`, () => {
  for (const errno of ['EIO', 'ENOSPC', 'EMFILE'] as const) {
    test(`${errno} at any call of a life loses nothing acknowledged and ends in a coded error or in success`, async () => {
      const calls = await callsOfLife()
      expect(calls.length).toBeGreaterThan(250)
      const problems: string[] = []
      for (const [i, call] of calls.entries()) {
        const n = i + 1
        if (!isChosen(errno, call, n)) continue
        try {
          const outcome = await lifeWithFault(n, errno)
          note(`${errno} ${call}`, outcome)
          note(`${errno} in all`, outcome)
        } catch (error) {
          problems.push(messageOf(error))
        }
      }
      expect(problems).toEqual([])
    }, 120_000)
  }
})
