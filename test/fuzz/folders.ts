/**
 * One hostile folder at a time: read, then opened for writing, maintained and closed. Each ends in a coded
 * error or an honest reading, within a budget of calls and bytes.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { Engine } from '../../engine/api.ts'
import { StepClock } from '../../engine/clock.ts'
import { openEngine } from '../../engine/engine.ts'
import { EngineError } from '../../engine/errors.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import { rewriteFolder } from '../../engine/offline-rewrite/rewrite.ts'
import { makeHostile } from '../support/hostile.ts'
import { MemoryFileSystem, cloneNode, type MemoryFolder } from '../support/memory-file-system.ts'
import { randomFrom } from '../support/random.ts'
import { key, value } from '../support/values.ts'
import type { Sample } from './samples.ts'

/** Calls and turns for one folder: the wholesome ones need a few thousand. */
const CALLS_MAX = 300_000
/** A sparse file is read to its end by whoever checks every byte; nobody else gets near it. */
const BYTES_MAX = 2 ** 30

export interface Outcome {
  seed: number
  sample: string
  /** First mutation. */
  kind: string
  /** 'read', or the code of the refusal. */
  reading: string
  /** 'opened', or the code of the refusal. */
  opening: string
  /** 'rewritten', or the code of the refusal. */
  rewriting: string
  calls: number
  bytes: number
  memoryBytes: number
  /** What was wrong with it; null = nothing. */
  problem: string | null
}

/** Throws something that is no EngineError: it must not pass for an honest answer. */
class Budget {
  calls = 0
  bytes = 0

  spend = (bytes: number): void => {
    this.calls++
    this.bytes += bytes
    if (this.calls > CALLS_MAX) throw new Error(`unbounded work: more than ${CALLS_MAX} calls`)
    if (this.bytes > BYTES_MAX) throw new Error(`unbounded work: more than ${BYTES_MAX} bytes`)
  }

  yieldNow = (): Promise<void> => {
    this.spend(0)
    return Promise.resolve()
  }
}

/** 'done' words, or the code of the refusal. */
async function coded(word: string, work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
    return word
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    if (error.message.includes('unbounded work')) throw new Error(error.message, { cause: error })
    return error.code
  }
}

async function readIt(folder: MemoryFolder, budget: Budget, dice: number): Promise<void> {
  const fileSystem = new MemoryFileSystem(folder, budget.spend)
  const { state } = await inspectFolder(
    fileSystem.dir,
    { fileSystem, yieldNow: budget.yieldNow, nowMs: 1 },
    { keys: dice % 2 === 0, replay: dice % 3 === 0, verify: dice % 5 === 0 },
  )
  for (const { bytesLive, bytesStale, bytesTotal, segmentId } of state.segments) {
    if (bytesLive + bytesStale === bytesTotal && bytesLive >= 0 && bytesStale >= 0) continue
    throw new Error(
      `segment ${segmentId}: live ${bytesLive} + stale ${bytesStale} != ${bytesTotal}`,
    )
  }
}

function clockOf(): StepClock {
  let ticks = 0
  const monotonic = (): number => (ticks += 0.1)
  return new StepClock({ wall: () => 1_774_000_000_000, monotonic, arm: null })
}

/** Opens for writing, reads, writes, verifies, rewrites, collects, closes; only the opening may reject. */
export async function useFolder(
  fileSystem: MemoryFileSystem,
  yieldNow: () => Promise<void>,
): Promise<void> {
  const engine = await openEngine(
    fileSystem.dir,
    { mode: 'step', checkpointIntervalMs: 0, inlineThreshold: 64, segmentBytes: 4096 },
    { clock: clockOf(), fileSystem, yieldNow },
  )
  const sealed = (): number[] =>
    engine
      .state()
      .segments.filter((s) => s.state === 'sealed')
      .map((s) => s.segmentId)
  const steps: ((engine: Engine) => Promise<unknown>)[] = [
    () => Promise.resolve(engine.get(key(3))),
    () => Promise.resolve([...engine.iterate({ limit: 200 })]),
    () => engine.put(key('new'), value(1, 900)),
    () => engine.verify(),
    () => engine.maintenance.rewrite(sealed()),
    () => engine.maintenance.gc({ dryRun: false }),
    () => engine.close(),
  ]
  for (const step of steps) await coded('done', () => step(engine))
}

function memoryNow(): number {
  const { heapUsed, arrayBuffers, external } = process.memoryUsage()
  return heapUsed + Math.max(arrayBuffers, external)
}

export async function meetFolder(sample: Sample, seed: number): Promise<Outcome> {
  const folder = cloneNode(sample.folder)
  const { kind, text } = makeHostile(folder, sample.kind, randomFrom(seed))
  const outcome: Outcome = {
    seed,
    sample: sample.name,
    kind,
    reading: '-',
    opening: '-',
    rewriting: '-',
    calls: 0,
    bytes: 0,
    memoryBytes: 0,
    problem: null,
  }
  const before = memoryNow()
  const within = async (word: string, work: (budget: Budget) => Promise<void>): Promise<string> => {
    const budget = new Budget()
    try {
      return await coded(word, () => work(budget))
    } finally {
      outcome.calls = Math.max(outcome.calls, budget.calls)
      outcome.bytes = Math.max(outcome.bytes, budget.bytes)
      outcome.memoryBytes = Math.max(outcome.memoryBytes, memoryNow() - before)
    }
  }
  try {
    // What native codecs hold is let go of in turns of the event loop only.
    await turn()
    outcome.reading = await within('read', (budget) => readIt(folder, budget, seed))
    await turn()
    const copies = [cloneNode(folder), cloneNode(folder)] as const
    outcome.opening = await within('opened', (budget) =>
      useFolder(new MemoryFileSystem(copies[0], budget.spend), budget.yieldNow),
    )
    await turn()
    outcome.rewriting = await within('rewritten', async (budget) => {
      const fileSystem = new MemoryFileSystem(copies[1], budget.spend)
      const deps = { fileSystem, clock: clockOf(), yieldNow: budget.yieldNow }
      await rewriteFolder(fileSystem.dir, deps, { segmentBytes: 4096 })
    })
  } catch (error) {
    const shown = error instanceof Error ? error.stack : String(error)
    outcome.problem = `${sample.name}, seed ${seed}: ${text}: ${shown}`
  }
  return outcome
}
