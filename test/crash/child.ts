/**
 * A process to be killed: writes to a store with checkpoints, staging, confirming, rewrites and GC
 * beside it, and says on its standard output what it is about to do and what was done.
 *
 *   o        the store is open
 *   b <n>    write n begins
 *   a <n>    it is acknowledged
 *   c <n>    a checkpoint is through that began when n was the newest write
 *   p <what> a piece of maintenance is through
 *
 * Arguments: folder, profile, seed, number of the first write, point to die at ('-' = none), and which
 * time of meeting it.
 */
import { writeSync } from 'node:fs'
import {
  EngineError,
  manualClock,
  nodeFileSystem,
  openEngine,
  type Profile,
} from '../../engine/index.ts'
import { dyingAt, type Point } from './points.ts'
import { optionsFor, turn, writeOf } from './workload.ts'

const STANDARD_OUTPUT = 1
const AT_ONCE = 3
/** Writes that may come while one piece of maintenance is at work: memory is quicker than a disk. */
const WRITES_A_STEP = 12

const [dir = '', profile = 'durable', seedText = '1', first = '0', point = '-', nth = '1'] =
  process.argv.slice(2)
const seed = Number(seedText)

function die(): never {
  process.kill(process.pid, 'SIGKILL')
  // The signal is there before the call returns, or a moment later.
  for (;;);
}

function say(line: string): void {
  writeSync(STANDARD_OUTPUT, `${line}\n`)
}

const clock = manualClock()
const engine = await openEngine(dir, optionsFor(profile as Profile), {
  clock,
  fileSystem:
    point === '-'
      ? nodeFileSystem
      : dyingAt(nodeFileSystem, { point: point as Point, nth: Number(nth), die }),
  yieldNow: turn,
})
say('o')

let newest = Number(first) - 1

async function oneWrite(): Promise<void> {
  const n = ++newest
  say(`b ${n}`)
  await engine.batch(writeOf(seed, n))
  say(`a ${n}`)
}

let writesThisStep = 0

async function write(): Promise<never> {
  for (;;) {
    while (writesThisStep >= WRITES_A_STEP) await turn()
    writesThisStep += AT_ONCE
    await Promise.all(Array.from({ length: 1 + ((newest + 1) % AT_ONCE) }, oneWrite))
    // What is acknowledged from memory would never let maintenance in.
    await turn()
  }
}

async function checkpoint(): Promise<void> {
  const contains = newest
  await engine.checkpoint()
  say(`c ${contains}`)
}

const { maintenance } = engine

/** Stale sealed segments, as a person would choose them. */
function stale(): number[] {
  return engine
    .state()
    .segments.filter((s) => s.bytesStale > 0 && s.state === 'sealed')
    .map((s) => s.segmentId)
    .slice(0, 3)
}

const STEPS: [string, () => Promise<unknown>][] = [
  ['checkpoint', checkpoint],
  ['stage', () => maintenance.stage({ minStaleRatio: 0.1, minAgeMs: 0, maxSegments: 3 })],
  ['confirm', () => maintenance.runPass('rewrite_stage_confirm')],
  ['kick', () => maintenance.kickFromCheckpoint()],
  ['rewrite', async () => (stale().length > 0 ? maintenance.rewrite(stale()) : null)],
  ['gc', () => maintenance.gc({ dryRun: false })],
  ['periodic', () => maintenance.runPass('periodic')],
]

async function maintain(): Promise<never> {
  for (let round = 0; ; round++) {
    // A reader keeps old versions and dead segments for some of the time.
    const snapshot = round % 3 === 0 ? engine.snapshot() : null
    for (const [name, work] of STEPS) {
      await turn()
      clock.advance(5_000)
      writesThisStep = 0
      try {
        await work()
        say(`p ${name}`)
      } catch (error) {
        if (!(error instanceof EngineError) || error.code !== 'ENGINE_BUSY') throw error
      }
    }
    await snapshot?.close()
    await checkpoint()
  }
}

await Promise.all([write(), maintain()])
