/**
 * Hostile folders: each is read, and a copy opened for writing, maintained and closed. It ends in a
 * coded error or an honest reading, within a budget of calls and of memory. RESTAGE_SEED repeats a
 * run, RESTAGE_RUNS lengthens it.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import type { ChecksumKind } from '../../engine/checksum.ts'
import { openEngine } from '../../engine/engine.ts'
import { EngineError } from '../../engine/errors.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import {
  copyFolder,
  eagerClock,
  key,
  memoryFolder,
  quickFileSystem,
  removeFolder,
  repetitive,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { makeHostile } from '../support/hostile.ts'
import { SEED, randomFrom, runs } from '../support/random.ts'
import { openForLife, sealedIds } from '../support/scripted-life.ts'

const DATA = path.resolve(import.meta.dirname, '../data')
/** Calls and turns for one folder: the wholesome ones need a few thousand. */
const CALLS_MAX = 300_000
const MEMORY_MAX = 96 * 1024 * 1024

const tally = { folders: 0, readings: 0, refusedReadings: 0, opened: 0, refusedOpenings: 0 }
const refusals = new Map<string, number>()
let mostCalls = 0
let mostMemory = 0

afterAll(() => {
  const counts = Object.entries({
    ...tally,
    ...Object.fromEntries(refusals),
    mostCalls,
    mostMemory,
  }).map(([k, v]) => `${k}=${v}`)
  process.stdout.write(`hostile folders: ${counts.join(' ')}\n`)
})

class Budget {
  calls = 0
  spend(): void {
    // Not an EngineError: it must not pass for an honest answer.
    if (++this.calls > CALLS_MAX) throw new Error('unbounded work')
  }

  fileSystem(): FileSystem {
    return {
      ...quickFileSystem,
      open: (file, mode) => {
        this.spend()
        const opened = quickFileSystem.open(file, mode)
        return {
          path: opened.path,
          size: () => opened.size(),
          truncate: (length) => opened.truncate(length),
          sync: () => opened.sync(),
          close: () => opened.close(),
          read: (buffer, offset, length, position) => {
            this.spend()
            return opened.read(buffer, offset, length, position)
          },
          write: (buffer, offset, length, position) => {
            this.spend()
            opened.write(buffer, offset, length, position)
          },
        }
      },
    }
  }

  yieldNow = (): Promise<void> => {
    this.spend()
    return yieldNow()
  }
}

function memoryNow(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** True when it worked, false after a coded error. */
async function coded(work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    refusals.set(error.code, (refusals.get(error.code) ?? 0) + 1)
    return false
  }
}

async function readIt(dir: string, budget: Budget, dice: number): Promise<void> {
  const { state } = await inspectFolder(
    dir,
    { fileSystem: budget.fileSystem(), yieldNow: budget.yieldNow, nowMs: 1 },
    { keys: dice % 2 === 0, replay: dice % 3 === 0, verify: dice % 5 === 0 },
  )
  for (const { bytesLive, bytesStale, bytesTotal } of state.segments) {
    expect(bytesLive + bytesStale).toBe(bytesTotal)
    expect(Math.min(bytesLive, bytesStale)).toBeGreaterThanOrEqual(0)
  }
}

async function useIt(dir: string, budget: Budget): Promise<void> {
  const engine = await openEngine(
    dir,
    { mode: 'step', checkpointIntervalMs: 0, inlineThreshold: 64, segmentBytes: 4096 },
    { clock: eagerClock(), fileSystem: budget.fileSystem(), yieldNow: budget.yieldNow },
  )
  tally.opened++
  const steps: ((engine: Engine) => Promise<unknown>)[] = [
    () => Promise.resolve(engine.get(key(3))),
    () => Promise.resolve([...engine.iterate({ limit: 200 })]),
    () => engine.put(key('new'), value(1, 900)),
    () => engine.verify(),
    () => engine.maintenance.rewrite(sealedIds(engine)),
    () => engine.maintenance.gc({ dryRun: false }),
    () => engine.close(),
  ]
  for (const step of steps) {
    await coded(async () => {
      await step(engine)
    })
  }
}

async function expectHonest(
  dir: string,
  open: (dir: string, budget: Budget) => Promise<void>,
): Promise<boolean> {
  const budget = new Budget()
  const before = memoryNow()
  const worked = await coded(() => open(dir, budget))
  mostCalls = Math.max(mostCalls, budget.calls)
  mostMemory = Math.max(mostMemory, memoryNow() - before)
  expect(memoryNow() - before).toBeLessThan(MEMORY_MAX)
  return worked
}

const samples: { name: string; dir: string; kind: ChecksumKind }[] = []

beforeAll(async () => {
  samples.push(
    { name: 'march', dir: path.join(DATA, 'treedb-march-plain'), kind: 'crc32c' },
    { name: 'split', dir: path.join(DATA, 'treedb-split-mixed'), kind: 'ieee' },
  )
  const dir = memoryFolder()
  const engine = await openForLife(dir, quickFileSystem)
  for (let i = 0; i < 300; i++) {
    await engine.put(key(i % 120), (i % 3 === 0 ? repetitive : value)(i, i % 5 === 0 ? 20 : 700))
  }
  await engine.maintenance.rewrite(sealedIds(engine).slice(0, 4))
  await engine.put(key(1), value(9, 700))
  samples.push({ name: 'own', dir: copyFolder(dir, memoryFolder()), kind: 'ieee' })
  await engine.close()
})

describe(`hostile folders (seed ${SEED})`, () => {
  test('as they were before, they open and can be maintained, or are named as unsupported', async () => {
    for (const { dir } of samples) {
      const copy = copyFolder(dir, memoryFolder())
      await expectHonest(copy, useIt)
      removeFolder(copy)
    }
    // One sample keeps leaf pages in the value log.
    expect([...refusals.keys()].filter((code) => code !== 'ENGINE_UNSUPPORTED')).toEqual([])
    expect(tally.opened).toBeGreaterThan(1)
  })

  test('give a coded error or an honest reading, in bounded time and memory', async () => {
    const problems: string[] = []
    for (let i = 0; i < runs(240) && problems.length < 10; i++) {
      const sample = samples[i % samples.length] as (typeof samples)[number]
      const seed = (SEED + i) >>> 0
      const dir = copyFolder(sample.dir, memoryFolder())
      const what = makeHostile(dir, sample.kind, randomFrom(seed))
      const copy = memoryFolder()
      fs.cpSync(dir, copy, { recursive: true, verbatimSymlinks: true })
      tally.folders++
      try {
        if (await expectHonest(dir, (d, budget) => readIt(d, budget, seed))) tally.readings++
        else tally.refusedReadings++
        if (!(await expectHonest(copy, useIt))) tally.refusedOpenings++
      } catch (error) {
        const shown = error instanceof Error ? error.stack : String(error)
        problems.push(
          `RESTAGE_SEED=${seed - (i % samples.length)}, ${sample.name}: ${what}: ${shown}`,
        )
      }
      removeFolder(dir)
      removeFolder(copy)
    }
    expect(problems).toEqual([])
  }, 3_600_000)
})
