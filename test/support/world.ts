/**
 * A store under arbitrary treatment beside a model of it. Every step is data, so that a failing
 * history can be shrunk and printed. After each step: live bytes recomputed agree with the tracked
 * ones, live + stale = total, the events folded over the first state give the state, and what is
 * read is what the model holds. In auto mode passes begin by themselves when a step moves the clock or
 * makes a checkpoint, and go on beside the steps after it; whatever is asked for may then find the slot
 * taken. No pass fails, for nothing here gives it a reason.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect } from 'vitest'
import type { BatchOperation, Engine, EngineOptions, EntryIterator } from '../../engine/api.ts'
import type { StepClock } from '../../engine/clock.ts'
import { EngineError } from '../../engine/errors.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import { openRecording } from '../../engine/recording/reader.ts'
import type {
  EngineEvent,
  EngineState,
  MaintenanceOptions,
  PassSource,
  Profile,
  RewriteOptions,
  SchedulerMode,
} from '../../engine/types.ts'
import { applyEvent } from '../../engine/apply-event.ts'
import { Acknowledged, difference, expectMoment, type Moment, type State } from './acknowledged.ts'
import {
  bytesEqual,
  copyFolder,
  eagerClock,
  entriesOf,
  memoryFolder,
  openFixture,
  quickFileSystem,
  removeFolder,
  repetitive,
  value,
  yieldNow,
} from './engine-fixture.ts'

export interface OpenOptions {
  profile: Profile
  inlineThreshold: number
  segmentBytes: number
  memtableBytes: number
  keyCacheBytes?: number
  /** Absent = step, in which the interval means nothing. */
  mode?: SchedulerMode
  checkpointIntervalMs?: number
}

/** A key by its place in KEYS; a value by seed and length, null = delete. */
export interface Write {
  key: number
  seed: number
  bytes: number | null
}

export type LongStep =
  | { do: 'checkpoint' }
  | { do: 'kick' }
  | { do: 'pass'; source: Exclude<PassSource, 'manual'> }
  /** Bit n names the n-th segment. */
  | { do: 'rewrite'; segments: number; options?: Partial<RewriteOptions> }
  | { do: 'stage'; minStaleRatio: number }
  | { do: 'gc' }
  | { do: 'vacuum' }

export type Step =
  | { do: 'batch'; writes: Write[] }
  /** Not waited for one by one. */
  | { do: 'together'; writes: Write[] }
  | LongStep
  /** These writes, over and over with other values, until it ends. */
  | { do: 'during'; long: LongStep; writes: Write[] }
  /** Closed in the middle of it, after some turns, and opened again. */
  | { do: 'close_during'; long: LongStep; turns: number; options: OpenOptions }
  /** Cancelled in the middle of it, after some turns, if it still runs then. */
  | { do: 'cancel_during'; long: LongStep; turns: number }
  /** Whatever pass runs. */
  | { do: 'cancel' }
  | { do: 'set_options'; changes: Partial<MaintenanceOptions> }
  | { do: 'set_mode'; mode: SchedulerMode }
  | { do: 'pause' }
  | { do: 'resume' }
  /** What runs by itself goes on for some turns of the thread. */
  | { do: 'turns'; turns: number }
  /** Until no pass runs any more. */
  | { do: 'settle' }
  /** The process dies at the n-th call to the file system from now on, if it gets there. */
  | { do: 'arm_crash'; calls: number }
  | { do: 'snapshot' }
  | { do: 'close_snapshot'; which: number }
  | { do: 'iterate'; reverse: boolean }
  | { do: 'step_iterator'; which: number; steps: number }
  | { do: 'close_iterator'; which: number }
  | { do: 'advance'; ms: number }
  | { do: 'reopen'; options: OpenOptions }
  | { do: 'crash'; options: OpenOptions }

export const KEYS: readonly Uint8Array[] = Array.from({ length: 24 }, (_, i) => {
  if (i === 0) return Uint8Array.of(0)
  if (i === 1) return Uint8Array.of(0xff, 0xff)
  if (i % 7 === 3) return new Uint8Array(700).fill(0x61 + (i % 3), 0, 700 - i)
  return Uint8Array.from(Buffer.from(`key ${String(i * 37).padStart(4, '0')}`))
})

/** Passes over a few small segments take a fraction of that. */
const SETTLED_MS = 20_000

interface Crash {
  folder: string
  moment: Moment
  /** For `fast`: the states it may be in. */
  history: readonly State[]
}

export class World {
  readonly clock: StepClock = eagerClock()
  engine!: Engine
  #dir = memoryFolder()
  #options: OpenOptions
  #acknowledged = new Acknowledged()
  /** States since the last checkpoint that was waited for. */
  #history: State[] = [new Map()]
  #folded!: EngineState
  #snapshots: { snapshot: ReturnType<Engine['snapshot']>; state: State }[] = []
  #iterators: { iterator: EntryIterator; left: [string, Uint8Array][] }[] = []
  #armed = 0
  /** A pass may have begun by itself since the folder was opened. */
  #runsByItself = false
  /** What passes failed of, and what broke beside them. */
  readonly #failures: string[] = []
  readonly #crashes: Crash[] = []
  readonly #maintenance: EngineOptions['maintenance']

  constructor(options: OpenOptions, maintenance: EngineOptions['maintenance'] = {}) {
    this.#options = options
    this.#maintenance = maintenance
  }

  async open(): Promise<void> {
    const { engine } = await openFixture(
      {
        ...this.#options,
        maintenance: this.#maintenance ?? {},
        // So small that it begins chunk after chunk and gives up the oldest.
        recording: { chunkBytes: 4096, maxBytes: 256 * 1024 },
        sliceMs: 0.1,
      },
      {
        dir: this.#dir,
        clock: this.clock,
        fileSystem: this.#fileSystem(),
        yieldNow: () => {
          this.#tick()
          return yieldNow()
        },
      },
    )
    this.engine = engine
    this.#runsByItself = this.#options.mode === 'auto'
    this.#folded = engine.state()
    let last: number | null = null
    engine.subscribe((event) => {
      if (last !== null) expect(event.seq).toBe(last + 1)
      last = event.seq
      this.#folded = applyEvent(this.#folded, event)
      this.#failures.push(...failureOf(event))
    })
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.open()
    try {
      for (const step of steps) {
        await this.#step(step)
        await this.#check()
      }
      await this.#reopen(this.#options)
      await this.#check()
    } finally {
      this.#armed = 0
      await this.engine.close()
      removeFolder(this.#dir)
      for (const { folder } of this.#crashes) removeFolder(folder)
    }
  }

  // ------------------------------------------------------------ steps

  async #step(step: Step): Promise<void> {
    switch (step.do) {
      case 'batch':
        return this.#batch(step.writes)
      case 'together':
        await Promise.all(step.writes.map((write) => this.#batch([write])))
        return
      case 'during': {
        const running = { ended: false }
        const long = this.#long(step.long).finally(() => (running.ended = true))
        for (let n = 0; n < 30 && !running.ended; n++) {
          const write = step.writes[n % step.writes.length] as Write
          await this.#batch([{ ...write, seed: write.seed + n }])
          if (n % 3 === 0) await yieldNow()
        }
        return long
      }
      case 'close_during': {
        const long = this.#long(step.long).catch((error: unknown) => {
          // Closing cancels a pass, and refuses what has not begun.
          expect(error).toMatchObject({ code: expect.stringMatching(/NOT_OPEN|ABORTED/) as string })
        })
        for (let turn = 0; turn < step.turns; turn++) await yieldNow()
        await this.#reopen(step.options)
        return long
      }
      case 'cancel_during': {
        const long = this.#long(step.long).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'ENGINE_ABORTED' })
        })
        for (let turn = 0; turn < step.turns; turn++) await yieldNow()
        await this.engine.maintenance.cancelPass()
        return long
      }
      case 'cancel':
        await this.engine.maintenance.cancelPass()
        return
      case 'set_options':
        this.engine.maintenance.setOptions(step.changes)
        return
      case 'set_mode':
        this.#runsByItself ||= step.mode === 'auto'
        this.engine.maintenance.setMode(step.mode)
        return
      case 'pause':
        this.engine.maintenance.pause()
        return
      case 'resume':
        this.engine.maintenance.resume()
        return
      case 'turns':
        for (let turn = 0; turn < step.turns; turn++) await yieldNow()
        return
      case 'settle':
        return this.#settle()
      case 'arm_crash':
        this.#armed = step.calls
        return
      case 'snapshot':
        this.#snapshots.push({
          snapshot: this.engine.snapshot(),
          state: this.#acknowledged.visible,
        })
        return
      case 'close_snapshot':
        return this.#closeSnapshot(step.which)
      case 'iterate':
        this.#iterate(step.reverse)
        return
      case 'step_iterator':
        this.#stepIterator(step.which, step.steps)
        return
      case 'close_iterator':
        this.#iterators.splice(step.which % (this.#iterators.length || 1), 1)[0]?.iterator.close()
        return
      case 'advance':
        this.clock.advance(step.ms)
        return
      case 'reopen':
        return this.#reopen(step.options)
      case 'crash':
        return this.#crash(step.options)
      default:
        return this.#long(step)
    }
  }

  /** By time and not by turns: a pass may wait for the disk of a busy machine. */
  async #settle(): Promise<void> {
    const begun = performance.now()
    while (this.#isPassRunning) {
      if (performance.now() - begun > SETTLED_MS) throw new Error('maintenance comes to no rest')
      await yieldNow()
    }
  }

  get #isPassRunning(): boolean {
    return this.engine.state().scheduler.activePass !== null
  }

  async #batch(writes: readonly Write[]): Promise<void> {
    const operations = writes.map(({ key, seed, bytes }): BatchOperation => {
      const name = KEYS[key % KEYS.length] as Uint8Array
      return bytes === null
        ? { op: 'delete', key: name }
        : {
            op: 'put',
            key: name,
            value: seed % 2 === 0 ? value(seed, bytes) : repetitive(seed, bytes),
          }
    })
    const done = this.#acknowledged.batch(this.engine, operations)
    this.#history.push(this.#acknowledged.visible)
    await done
  }

  /** What runs by itself may have the slot: then nothing comes of it. */
  async #long(step: LongStep): Promise<void> {
    try {
      await this.#asked(step)
    } catch (error) {
      const isBusy = error instanceof EngineError && error.code === 'ENGINE_BUSY'
      if (!isBusy || !this.#runsByItself) throw error
    }
  }

  async #asked(step: LongStep): Promise<void> {
    const { maintenance } = this.engine
    const from = this.#history.length - 1
    switch (step.do) {
      case 'checkpoint':
        await this.engine.checkpoint()
        break
      case 'kick':
        await this.engine.checkpointWithKick()
        break
      case 'pass':
        await maintenance.runPass(step.source)
        return
      case 'rewrite': {
        const { segments } = this.engine.state()
        const ids = segments.map((s) => s.segmentId).filter((_, i) => (step.segments >> i) & 1)
        if (ids.length > 0) await maintenance.rewrite(ids, step.options)
        return
      }
      case 'stage':
        await maintenance.stage({ minStaleRatio: step.minStaleRatio, minAgeMs: 0 })
        return
      case 'gc':
        await maintenance.gc({ dryRun: false })
        return
      case 'vacuum':
        await maintenance.vacuum()
        return
    }
    // A checkpoint has everything that was written when it was asked for.
    this.#history = this.#history.slice(from)
  }

  async #closeSnapshot(which: number): Promise<void> {
    const [held] = this.#snapshots.splice(which % (this.#snapshots.length || 1), 1)
    if (held === undefined) return
    expect(difference(new Map(entriesOf(held.snapshot)), held.state)).toBeUndefined()
    await held.snapshot.close()
  }

  #iterate(reverse: boolean): void {
    const left = [...this.#acknowledged.visible].sort(([a], [b]) => (a < b ? -1 : 1))
    if (reverse) left.reverse()
    this.#iterators.push({ iterator: this.engine.iterate({ reverse }), left })
  }

  #stepIterator(which: number, steps: number): void {
    const at = which % (this.#iterators.length || 1)
    const held = this.#iterators[at]
    if (held === undefined) return
    for (let i = 0; i < steps; i++) {
      const step = held.iterator.next()
      const wanted = held.left.shift()
      if (wanted === undefined) {
        expect(step.done).toBe(true)
        this.#iterators.splice(at, 1)
        return
      }
      const [key, found] = step.value as [Uint8Array, Uint8Array]
      expect(Buffer.from(key).toString('latin1')).toBe(wanted[0])
      expect(bytesEqual(found, wanted[1])).toBe(true)
    }
  }

  async #letReadersGo(): Promise<void> {
    for (const { iterator } of this.#iterators.splice(0)) iterator.close()
    while (this.#snapshots.length > 0) await this.#closeSnapshot(0)
  }

  async #reopen(options: OpenOptions): Promise<void> {
    await this.#letReadersGo()
    await this.engine.close()
    await expectRecorded(this.#dir, this.engine.eventSeq, this.#folded)
    this.#options = options
    await this.open()
    this.#history = [this.#acknowledged.visible]
    await expectMoment(this.engine, this.#acknowledged.now, 'after a clean reopening')
    await this.#checkCrashes()
  }

  // ------------------------------------------------------------ crashes

  async #crash(options: OpenOptions): Promise<void> {
    const crash = this.#copy()
    await this.engine.close()
    removeFolder(this.#dir)
    this.#snapshots = []
    this.#iterators = []
    const lossy = this.#options.profile === 'fast'
    this.#dir = crash.folder
    this.#options = options
    await this.open()
    if (lossy) this.#expectOneOf(this.engine, crash.history)
    else await expectMoment(this.engine, crash.moment, 'after a crash')
    const found = new Map(entriesOf(this.engine))
    this.#acknowledged = new Acknowledged(found)
    this.#history = [found]
  }

  #expectOneOf(engine: Engine, history: readonly State[]): void {
    const found = new Map(entriesOf(engine))
    const problems = history.map((state) => difference(found, state))
    if (!problems.includes(undefined)) {
      throw new Error(`none of ${history.length} states, the last because ${problems.at(-1) ?? ''}`)
    }
  }

  #copy(): Crash {
    const folder = copyFolder(this.#dir, memoryFolder())
    return { folder, moment: this.#acknowledged.now, history: [...this.#history] }
  }

  /** Each call to the file system and each yield is a place where the process may die. */
  #tick(): void {
    if (this.#armed === 0 || --this.#armed > 0) return
    this.#crashes.push(this.#copy())
  }

  async #checkCrashes(): Promise<void> {
    for (const crash of this.#crashes.splice(0)) {
      const { profile } = this.#options
      const { engine } = await openFixture(
        { ...this.#options, mode: 'step', sliceMs: 0.1 },
        { dir: crash.folder, clock: eagerClock() },
      )
      if (profile === 'fast') this.#expectOneOf(engine, crash.history)
      else await expectMoment(engine, crash.moment, `after a crash in ${profile}`)
      await engine.maintenance.gc({ dryRun: false })
      await expectLiveBytes(engine)
      await engine.close()
      await expectReadable(crash.folder)
      removeFolder(crash.folder)
    }
  }

  #fileSystem(): FileSystem {
    return {
      ...quickFileSystem,
      open: (file, mode) => {
        this.#tick()
        const opened = quickFileSystem.open(file, mode)
        const write = opened.write.bind(opened)
        opened.write = (...call) => {
          this.#tick()
          write(...call)
          this.#tick()
        }
        const sync = opened.sync.bind(opened)
        opened.sync = () => {
          this.#tick()
          return sync()
        }
        return opened
      },
      rename: async (from, to) => {
        this.#tick()
        await quickFileSystem.rename(from, to)
        this.#tick()
      },
      unlink: async (file) => {
        this.#tick()
        await quickFileSystem.unlink(file)
        this.#tick()
      },
    }
  }

  // ------------------------------------------------------------ checks

  async #check(): Promise<void> {
    await this.#checkCrashes()
    const { engine } = this
    const visible = this.#acknowledged.visible
    for (const key of KEYS) {
      const name = Buffer.from(key).toString('latin1')
      expect(bytesEqual(engine.get(key), visible.get(name)), `key ${name.slice(0, 20)}`).toBe(true)
    }
    expect(difference(new Map(entriesOf(engine)), visible)).toBeUndefined()
    await expectLiveBytes(engine)
    const state = engine.state()
    expect(this.#folded).toEqual(state)
    expect(this.#failures).toEqual([])
    // The output of a rewrite that goes on is not all on disk yet.
    if (this.#options.profile === 'wal_on_fast' && !this.#isPassRunning)
      expectSizesOnDisk(engine, this.#dir)
  }
}

function failureOf(event: EngineEvent): string[] {
  if (event.type === 'maintenance_failed') return [`${event.code}: ${event.message}`]
  if (event.type !== 'pass_done' || event.report.outcome !== 'failed') return []
  return [`${event.report.source}: ${event.report.sentence}`]
}

/** The recording of an opening that was closed ends with its last event and gives its last state. */
async function expectRecorded(dir: string, seq: number, state: EngineState): Promise<void> {
  const recording = await expectReadable(dir)
  const last = recording.summary().openings.at(-1)
  expect(last).toMatchObject({ closed: true, lastSeq: seq })
  expect(last?.gaps.filter((gap) => gap.why !== 'retention')).toEqual([])
  const { openingId } = last ?? { openingId: 0 }
  const found = await recording.stateAt({ openingId, seq })
  expect(found.why).toBeNull()
  expect(found.state).toEqual(state)
}

/** Whatever a crash left: every event up to the end of each opening, and no damage. */
async function expectReadable(dir: string): ReturnType<typeof openRecording> {
  const recording = await openRecording(dir, { fileSystem: quickFileSystem, yieldNow })
  const { openings } = recording.summary()
  for (const { openingId, firstSeq, lastSeq, gaps } of openings) {
    expect(gaps.filter((gap) => gap.why === 'damaged' || gap.why === 'stopped')).toEqual([])
    if (firstSeq === null || lastSeq === null) continue
    const { events } = await recording.readEvents({ openingId, fromSeq: 0, limit: 10_000 })
    expect(events.map((event) => event.seq)).toEqual(
      Array.from({ length: Math.min(10_000, lastSeq - firstSeq + 1) }, (_, i) => firstSeq + i),
    )
  }
  return recording
}

/** Tracked live bytes are the recomputed ones; live + stale = total, neither below 0. */
export async function expectLiveBytes(engine: Engine): Promise<void> {
  expect((await engine.verify()).differences).toEqual([])
  for (const segment of engine.state().segments) {
    expect(segment.bytesLive + segment.bytesStale).toBe(segment.bytesTotal)
    expect(Math.min(segment.bytesLive, segment.bytesStale)).toBeGreaterThanOrEqual(0)
    expect(segment.keptBy.length > 0).toBe(segment.bytesLive === 0)
  }
}

/**
 * Call when nothing is buffered: each segment is as long as its file, and no file is a stranger. The
 * file of a zombie may be on its way out.
 */
export function expectSizesOnDisk(engine: Engine, dir: string): void {
  const folder = path.join(dir, 'maindb', 'value_vlog')
  const onDisk = new Map<string, number>()
  for (const name of fs.readdirSync(folder)) {
    // Deleting goes on in another thread: a file may leave between being listed and being looked at.
    const stat = fs.statSync(path.join(folder, name), { throwIfNoEntry: false })
    if (stat !== undefined) onDisk.set(`maindb/value_vlog/${name}`, stat.size)
  }
  const { segments } = engine.state()
  const there = segments.filter((s) => s.state !== 'zombie' || onDisk.has(s.file))
  expect(new Map(there.map((s) => [s.file, s.bytesTotal]))).toEqual(onDisk)
}
