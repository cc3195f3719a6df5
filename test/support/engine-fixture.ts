/** A real engine on a real temporary folder, with a clock that only the test moves. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, afterEach, expect } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import { applyEvent } from '../../engine/apply-event.ts'
import { StepClock, manualClock } from '../../engine/clock.ts'
import { openEngine } from '../../engine/engine.ts'
import { nodeFileSystem, type FileSystem } from '../../engine/file-system.ts'
import type { EngineEvent } from '../../engine/types.ts'

export { key, repetitive, value } from './values.ts'

const folders: string[] = []

afterAll(() => {
  for (const folder of folders.splice(0)) removeFolder(folder)
})

/** Removed when the test file is through. */
export function temporaryFolder(parent = os.tmpdir()): string {
  const folder = fs.mkdtempSync(path.join(parent, 'restage-'))
  folders.push(folder)
  return folder
}

/** On a memory file system where there is one: for tests that bring their own model of the disk. */
export function memoryFolder(): string {
  return temporaryFolder(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir())
}

/** For tests that make many: the disk stays small. */
export function removeFolder(folder: string): void {
  fs.rmSync(folder, { recursive: true, force: true })
}

/**
 * The files as they are now: what the next process finds when this one is killed. A file that an
 * unlink in flight takes away meanwhile is left out.
 */
export function copyFolder(from: string, to: string = temporaryFolder()): string {
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [path.join(from, entry.name), path.join(to, entry.name)]
    if (entry.isDirectory()) {
      fs.mkdirSync(target, { recursive: true })
      copyFolder(source, target)
      continue
    }
    try {
      fs.copyFileSync(source, target)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return to
}

export interface Fixture {
  dir: string
  engine: Engine
  clock: StepClock
  events: EngineEvent[]
}

/** A manual clock by which every look costs a millisecond: sliced work yields wherever it may. */
export function eagerClock(startMs = 1_774_000_000_000): StepClock {
  let ticks = 0
  return new StepClock({ wall: () => startMs, monotonic: () => (ticks += 1), arm: null })
}

/** Syncs that only take a turn: for tests about anything but the disk. */
export const quickFileSystem: FileSystem = {
  ...nodeFileSystem,
  open(file, mode) {
    const opened = nodeFileSystem.open(file, mode)
    opened.sync = () => yieldNow()
    return opened
  },
  syncFolder: () => yieldNow(),
}
// So that whoever wraps `open` sees all that is opened.
delete quickFileSystem.openAside

const folds = new Set<() => void>()

afterEach(() => {
  for (const check of folds) check()
  folds.clear()
})

/**
 * From now to its closing, or to the end of the test: the events folded over the state give the state. And
 * whoever changes an event that was told, or a thing it names, fails: the recording writes it later.
 */
export function watchFold(engine: Engine): void {
  let folded = engine.state()
  const unsubscribe = engine.subscribe((event) => {
    freeze(event)
    folded = applyEvent(folded, event)
  })
  const check = (): void => {
    folds.delete(check)
    engine.flushEvents()
    expect(folded).toEqual(engine.state())
    unsubscribe()
  }
  folds.add(check)
  const close = engine.close.bind(engine)
  engine.close = () => {
    if (folds.has(check)) check()
    return close()
  }
}

/** Macrotask yield without a timer. */
export const yieldNow = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export async function openFixture(
  options: EngineOptions = {},
  where: {
    dir?: string
    clock?: StepClock
    fileSystem?: FileSystem
    yieldNow?: () => Promise<void>
  } = {},
): Promise<Fixture> {
  const dir = where.dir ?? temporaryFolder()
  const clock = where.clock ?? manualClock()
  const engine = await openEngine(
    dir,
    { mode: 'step', checkpointIntervalMs: 0, ...options },
    {
      clock,
      fileSystem: where.fileSystem ?? quickFileSystem,
      yieldNow: where.yieldNow ?? yieldNow,
    },
  )
  const events: EngineEvent[] = []
  engine.subscribe((event) => events.push(event))
  watchFold(engine)
  return { dir, engine, clock, events }
}

/** Value-log files of the folder with their sizes on disk. */
export function segmentFiles(dir: string): Map<string, number> {
  const folder = path.join(dir, 'maindb', 'value_vlog')
  return new Map(
    fs
      .readdirSync(folder)
      .sort()
      .map((name) => [name, fs.statSync(path.join(folder, name)).size]),
  )
}

export function bytesEqual(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** All entries as [latin1 key, value]. */
export function entriesOf(engine: Pick<Engine, 'iterate'>): [string, Uint8Array][] {
  return [...engine.iterate()].map(([k, v]) => [Buffer.from(k).toString('latin1'), v])
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const member of Object.values(value)) freeze(member)
}
