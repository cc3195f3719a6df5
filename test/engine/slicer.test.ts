/** What holds the thread, and for how long: slices, and calls of which the disk decides. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, test } from 'vitest'
import type { BatchOperation } from '../../engine/api.ts'
import { manualClock } from '../../engine/clock.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import { Slicer } from '../../engine/slicer.ts'
import {
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'

/** The clock goes on by a microsecond with each look at it. */
function heldUntilDue(isAwaited: () => boolean): number {
  const clock = manualClock()
  const slicer = new Slicer({ clock, yieldNow, sliceMs: 4, isAwaited })
  const begun = clock.monotonic()
  for (let looks = 0; !slicer.due && looks < 10_000;) looks++
  return clock.monotonic() - begun
}

test('M9: a slice is as long as is set, and a quarter of a millisecond while somebody waits', () => {
  expect(heldUntilDue(() => false)).toBeCloseTo(4, 1)
  expect(heldUntilDue(() => true)).toBeCloseTo(0.25, 1)
})

test('M9: a writer who comes in the middle of a slice ends it early', () => {
  let asked = 0
  expect(heldUntilDue(() => ++asked > 20)).toBeLessThan(1)
})

test('M9: while somebody waits for the disk, work waits too, but not for good', async () => {
  const clock = manualClock()
  let answer = (): void => undefined
  const answers = (): Promise<void> => new Promise((resolve) => (answer = resolve))
  const slicer = new Slicer({
    clock,
    yieldNow,
    sliceMs: 4,
    isAwaited: () => true,
    answered: answers,
  })
  let pauses = 0
  const pause = async (): Promise<void> => {
    await slicer.pause()
    pauses++
  }
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await yieldNow()
  }
  void pause()
  await turns()
  expect(pauses).toBe(0)
  answer()
  await turns()
  expect(pauses).toBe(1)
  // A disk that hangs holds up nothing but what is about it.
  void pause()
  await turns()
  expect(pauses).toBe(1)
  clock.advance(20)
  await turns()
  expect(pauses).toBe(2)
})

test('M9: beside durable writers, other work gives the thread back more often', async () => {
  let yields = 0
  const { engine } = await openFixture(
    { profile: 'durable', sliceMs: 4 },
    {
      dir: memoryFolder(),
      yieldNow: () => {
        yields++
        return yieldNow()
      },
    },
  )
  const puts = Array.from({ length: 12_000 }, (_, i): BatchOperation => {
    return { op: 'put', key: key(i), value: value(i, 20) }
  })
  await engine.batch(puts)
  const yieldsOfVerify = async (): Promise<number> => {
    yields = 0
    expect((await engine.verify()).differences).toEqual([])
    return yields
  }
  const alone = await yieldsOfVerify()
  const going = { on: true }
  const writer = (async () => {
    for (let i = 0; going.on; i++) await engine.put(key(i), value(i, 20))
  })()
  const beside = await yieldsOfVerify()
  going.on = false
  await writer
  expect(alone).toBeGreaterThan(0)
  expect(beside).toBeGreaterThan(5 * alone)
  await engine.close()
})

const DESCRIPTORS = '/proc/self/fd'

/** What a descriptor is of; empty for the one that lists them. */
function linkOf(fd: string): string {
  try {
    return fs.readlinkSync(`${DESCRIPTORS}/${fd}`, 'utf8')
  } catch {
    return ''
  }
}

test.skipIf(!fs.existsSync(DESCRIPTORS))(
  'M9: a deleted segment is closed beside the thread, and its descriptor goes',
  async () => {
    const closes: string[] = []
    const watching: FileSystem = {
      ...quickFileSystem,
      open: (file, mode) => {
        const opened = quickFileSystem.open(file, mode)
        const close = opened.close.bind(opened)
        opened.close = () => {
          closes.push(path.basename(file))
          close()
        }
        return opened
      },
    }
    const { engine, dir } = await openFixture(
      { inlineThreshold: 64, segmentBytes: 8192 },
      { dir: memoryFolder(), fileSystem: watching },
    )
    for (let i = 0; i < 8; i++) await engine.put(key(i), value(i, 1000))
    for (let i = 0; i < 8; i++) await engine.put(key(i), value(i + 100, 1000))
    await engine.checkpoint()
    const openFiles = (): string[] =>
      fs
        .readdirSync(DESCRIPTORS)
        .map(linkOf)
        .filter((file) => file.startsWith(dir) && file.includes('value-l0-000001'))
    expect(openFiles().length).toBe(1)
    const report = await engine.maintenance.gc({ dryRun: false })
    expect(report.errors).toEqual([])
    expect(engine.state().segments.map((s) => path.basename(s.file))).not.toContain(
      'value-l0-000001.log',
    )
    expect(openFiles()).toEqual([])
    expect(closes).not.toContain('value-l0-000001.log')
    await engine.close()
  },
)
