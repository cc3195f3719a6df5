/**
 * The crash loop: a process lives on a folder and is killed with SIGKILL, at a random time or at a
 * named point; then a copy of the folder is opened and held against what was acknowledged. Kill -9
 * leaves the system's caches alone, so what is found must be the state after some write m, with
 *
 *   durable, wal_on_fast:  newest acknowledged <= m <= newest begun
 *   fast:                  newest in a completed checkpoint <= m <= newest begun
 *
 * and never a mixture. The next process goes on with the folder as the dead one left it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import {
  manualClock,
  nodeFileSystem,
  openEngine,
  type Engine,
  type Profile,
} from '../../engine/index.ts'
import { pointsOf, type Point } from './points.ts'
import { optionsFor, turn, writeOf } from './workload.ts'

export const PROFILES: readonly Profile[] = ['durable', 'wal_on_fast', 'fast']

export interface Tally {
  cycles: number
  /** By point; 'random_time' where none was named or the named one was not met. */
  kills: Map<string, number>
  writes: number
  /** Passes, checkpoints and so on that were completed, by name. */
  passes: Map<string, number>
  failures: string[]
}

export function newTally(): Tally {
  return { cycles: 0, kills: new Map(), writes: 0, passes: new Map(), failures: [] }
}

export interface CrashLoopOptions {
  profile: Profile
  seed: number
  /** Compiled child.ts. */
  child: string
  /** 0 <= n < 1, seeded. */
  random: () => number
  /** Where folders are made. */
  tmp?: string
  /** Lines that a life may say before it is killed, at most. */
  lines?: number
}

/** Points that are met often are met so many times, at most, before one of them kills. */
const FREQUENT: Readonly<Record<string, number>> = {
  any_call: 400,
  torn_value_write: 60,
  torn_journal_write: 60,
  torn_page_write: 60,
  mid_checkpoint_pages: 60,
}

/** A life that has not met its point by then will not. */
const LINES_TO_A_POINT = 3000

interface Life {
  begun: number
  acknowledged: number
  checkpointed: number
  opened: boolean
  passes: string[]
  killedBy: string
}

type State = Map<string, Buffer>

function apply(state: State, seed: number, n: number): void {
  for (const operation of writeOf(seed, n)) {
    const key = operation.key.toString()
    if (operation.op === 'delete') state.delete(key)
    else state.set(key, Buffer.from(operation.value))
  }
}

function difference(found: State, expected: State): string | undefined {
  for (const [key, value] of expected) {
    const there = found.get(key)
    if (there === undefined) return `${key} is missing`
    if (!there.equals(value)) {
      const [is, was] = [there, value].map((v) => `${v.length}:${v.toString('latin1', 0, 8)}`)
      return `${key} holds ${is}, not ${was}`
    }
  }
  for (const key of found.keys()) if (!expected.has(key)) return `${key} should not be there`
  return undefined
}

/** One folder of one profile, from cycle to cycle. */
export class CrashLoop {
  readonly tally = newTally()
  readonly #options: CrashLoopOptions
  readonly #tmp: string
  readonly #dir: string
  /** What the folder holds, if its last opening said so. */
  #state: State = new Map()
  /** The next process begins with this write. */
  #next = 0
  #child: ChildProcess | null = null

  constructor(options: CrashLoopOptions) {
    this.#options = options
    this.#tmp = fs.mkdtempSync(path.join(options.tmp ?? os.tmpdir(), 'restage-crash-'))
    this.#dir = path.join(this.#tmp, 'store')
    fs.mkdirSync(this.#dir)
  }

  /** Kills what runs and removes the folders, except of a failure: they are what there is to look at. */
  close(): void {
    this.#child?.kill('SIGKILL')
    if (this.tally.failures.length === 0) fs.rmSync(this.#tmp, { recursive: true, force: true })
  }

  /** A life, a death and a check; what was wrong is in the tally, and the folder starts anew. */
  async cycle(): Promise<void> {
    const { profile, seed, random } = this.#options
    const points = pointsOf(profile)
    const point = random() < 0.2 ? null : (points[Math.floor(random() * points.length)] as Point)
    const nth = 1 + Math.floor(random() * (FREQUENT[point ?? ''] ?? 5))
    const lines = 1 + Math.floor(random() * (this.#options.lines ?? 500))
    const life = await this.#live(point, nth, point === null ? lines : LINES_TO_A_POINT)
    const { tally } = this
    const where = `profile ${profile}, seed ${seed}, cycle ${tally.cycles}, killed by ${life.killedBy} (${point ?? '-'} ${nth})`
    tally.cycles++
    tally.kills.set(life.killedBy, (tally.kills.get(life.killedBy) ?? 0) + 1)
    tally.writes += life.begun + 1 - this.#next
    for (const name of life.passes) tally.passes.set(name, (tally.passes.get(name) ?? 0) + 1)
    const kept = path.join(this.#tmp, `cycle-${tally.cycles}`)
    fs.cpSync(this.#dir, kept, { recursive: true })
    const copy = path.join(this.#tmp, 'copy')
    fs.cpSync(this.#dir, copy, { recursive: true })
    try {
      await this.#check(copy, life)
      fs.rmSync(kept, { recursive: true })
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      tally.failures.push(`${where}, folder ${kept}: ${what}`)
      fs.rmSync(this.#dir, { recursive: true })
      fs.mkdirSync(this.#dir)
      this.#state = new Map()
    } finally {
      fs.rmSync(copy, { recursive: true, force: true })
      this.#next = life.begun + 1
    }
  }

  async #live(point: Point | null, nth: number, lines: number): Promise<Life> {
    const { child: script, profile, seed } = this.#options
    const first = this.#next
    const child = spawn(
      process.execPath,
      [script, this.#dir, profile, String(seed), String(first), point ?? '-', String(nth)],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    this.#child = child
    const life: Life = {
      begun: first - 1,
      acknowledged: first - 1,
      checkpointed: first - 1,
      opened: false,
      passes: [],
      killedBy: point ?? 'random_time',
    }
    let said = 0
    let complaint = ''
    child.stderr.on('data', (bytes: Buffer) => (complaint += bytes.toString()))
    const ended = new Promise<NodeJS.Signals | null>((resolve) =>
      child.once('close', (_, signal) => resolve(signal)),
    )
    for await (const line of createInterface({ input: child.stdout })) {
      const [word, rest = ''] = line.split(' ')
      if (word === 'o') life.opened = true
      if (word === 'b') life.begun = Number(rest)
      if (word === 'a') life.acknowledged = Math.max(life.acknowledged, Number(rest))
      if (word === 'c') life.checkpointed = Math.max(life.checkpointed, Number(rest))
      if (word === 'p') life.passes.push(rest)
      if (++said !== lines) continue
      life.killedBy = 'random_time'
      child.kill('SIGKILL')
    }
    const signal = await ended
    this.#child = null
    if (signal !== 'SIGKILL')
      this.tally.failures.push(`seed ${seed}: it ended itself: ${complaint}`)
    return life
  }

  async #check(copy: string, life: Life): Promise<void> {
    const { profile, seed } = this.#options
    const engine = await openEngine(copy, optionsFor(profile), {
      clock: manualClock(),
      fileSystem: nodeFileSystem,
      yieldNow: turn,
    })
    try {
      const found: State = new Map()
      for (const [key, value] of engine.iterate()) {
        found.set(Buffer.from(key).toString(), Buffer.from(value))
      }
      const surely = profile === 'fast' ? life.checkpointed : life.acknowledged
      const expected = new Map(this.#state)
      for (let n = this.#next; n <= surely; n++) apply(expected, seed, n)
      const first = difference(found, expected)
      let differs = first
      for (let n = Math.max(surely + 1, this.#next); differs !== undefined; n++) {
        if (n > life.begun) {
          throw new Error(
            `no state from write ${surely} to ${life.begun}; after the first: ${first}`,
          )
        }
        apply(expected, seed, n)
        differs = difference(found, expected)
      }
      this.#state = expected
      await checkWhole(engine, copy)
    } finally {
      await engine.close()
    }
  }
}

async function checkWhole(engine: Engine, dir: string): Promise<void> {
  const { differences } = await engine.verify()
  if (differences.length > 0) throw new Error(`live bytes differ: ${JSON.stringify(differences)}`)
  for (const segment of engine.state().segments) {
    if (segment.state === 'zombie') continue
    const stat = fs.statSync(path.join(dir, segment.file), { throwIfNoEntry: false })
    if (stat === undefined) throw new Error(`${segment.file} is ${segment.state} and missing`)
  }
  // It is a store like any other.
  await engine.put(Buffer.from('after'), Buffer.alloc(900, 'after'))
  await engine.maintenance.gc({ dryRun: false })
}
