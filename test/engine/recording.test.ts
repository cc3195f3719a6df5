/** A recording holds what happened, says what it does not hold, and is never the store's problem. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import { StepClock } from '../../engine/clock.ts'
import { ioError } from '../../engine/errors.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import { inspectFolder, type InspectReport } from '../../engine/inspect.ts'
import { openRecording, type Recording } from '../../engine/recording/reader.ts'
import type { EngineEvent, EngineState } from '../../engine/types.ts'
import {
  bytesEqual,
  copyFolder,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { randomFrom, SEED } from '../support/random.ts'

const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 4096, profile: 'wal_on_fast' }
const SMALL = { maxBytes: 256 * 1024, chunkBytes: 4096 }

const read = (dir: string): Promise<Recording> =>
  openRecording(dir, { fileSystem: quickFileSystem, yieldNow })

function chunkFiles(dir: string): string[] {
  const folder = path.join(dir, 'trace')
  if (!fs.existsSync(folder)) return []
  return fs
    .readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name))
}

function traceBytes(dir: string): number {
  return chunkFiles(dir).reduce((sum, file) => sum + fs.statSync(file).size, 0)
}

async function allEvents(recording: Recording, openingId: number): Promise<EngineEvent[]> {
  const events: EngineEvent[] = []
  for (let fromSeq: number | null = 0; fromSeq !== null;) {
    const page = await recording.readEvents({ openingId, fromSeq, limit: 7 })
    expect(page.events.length).toBeLessThanOrEqual(7)
    events.push(...page.events)
    fromSeq = page.nextSeq
  }
  return events
}

interface Life {
  dir: string
  engine: Engine
  events: EngineEvent[]
  /** State after some of the events. */
  states: Map<number, EngineState>
  rounds: (count: number) => Promise<void>
  clock: ReturnType<typeof eagerClock>
}

async function begin(options: EngineOptions = {}, dir = memoryFolder()): Promise<Life> {
  const clock = eagerClock()
  const { engine, events } = await openFixture({ ...OPTIONS, ...options }, { dir, clock })
  const states = new Map<number, EngineState>()
  let n = 0
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      for (let i = 0; i < 8; i++) await engine.put(key(n++ % 20), value(n, 700))
      clock.advance(1000)
      const pin = engine.snapshot(`round ${n}`)
      await engine.checkpoint()
      await engine.maintenance.stage({ minStaleRatio: 0.1, minAgeMs: 0 })
      clock.advance(40_000)
      await engine.maintenance.runPass('rewrite_stage_confirm')
      await pin.close()
      const state = engine.state()
      states.set(engine.eventSeq, state)
    }
  }
  return { dir, engine, events, states, rounds, clock }
}

describe('a recording', () => {
  test('has every event and every state of a store that was closed', async () => {
    const life = await begin({ recording: { chunkBytes: 4096 } })
    await life.rounds(6)
    await life.engine.close()
    const recording = await read(life.dir)
    const { openings, problems, chunks } = recording.summary()
    expect(problems).toEqual([])
    expect(chunks).toBeGreaterThan(2)
    expect(openings).toMatchObject([{ openingId: 1, firstSeq: 1, closed: true, gaps: [] }])
    const recorded = await allEvents(recording, 1)
    expect(recorded[0]?.type).toBe('store_opened')
    // The listener of the test came after the first.
    const heardFrom = life.events[0]?.seq ?? 0
    expect(recorded.filter((e) => e.seq >= heardFrom)).toEqual(life.events)
    recorded.forEach((event, i) => expect(event.seq).toBe(i + 1))
    for (const [seq, state] of life.states) {
      expect((await recording.stateAt({ openingId: 1, seq })).state).toEqual(state)
    }
  })

  test('under a clock that stands still writes what comes alone at once, and a burst by real time', async () => {
    let realMs = 0
    const clock = new StepClock({
      wall: () => 1_774_000_000_000,
      monotonic: () => realMs,
      arm: null,
    })
    clock.freeze()
    const { engine, dir } = await openFixture(OPTIONS, { dir: memoryFolder(), clock })
    /** Newest event in the files, whatever the store still has in memory. */
    const written = async (): Promise<number> => {
      for (let turn = 0; turn < 20; turn++) await yieldNow()
      const { openings } = (await read(copyFolder(dir, memoryFolder()))).summary()
      return openings[0]?.lastSeq ?? 0
    }
    realMs = 5_000
    engine.snapshot('a person looks')
    expect(await written()).toBe(engine.eventSeq)
    // A burst right behind it waits, and goes with the first event after a second of real time.
    engine.snapshot('again')
    engine.snapshot('and again')
    expect(await written()).toBe(engine.eventSeq - 2)
    realMs = 6_000
    engine.snapshot('later')
    expect(await written()).toBe(engine.eventSeq)
    await engine.close()
  })

  test('finds passes and moments, reading few of its blocks', async () => {
    const life = await begin({ recording: { chunkBytes: 4096 } })
    await life.rounds(8)
    await life.engine.close()
    let opened = 0
    const counting = {
      ...quickFileSystem,
      open: (...call: Parameters<typeof quickFileSystem.open>) => {
        opened++
        return quickFileSystem.open(...call)
      },
    }
    const recording = await openRecording(life.dir, { fileSystem: counting, yieldNow })
    const blocksOpened = opened
    const pass = await recording.findPass(5)
    expect(pass?.events).toEqual(life.events.filter((e) => e.passId === 5))
    expect(await recording.findPass(999)).toBeNull()
    const middle = life.events[Math.floor(life.events.length / 2)] as EngineEvent
    const before = life.events.findLast((e) => e.atMs <= middle.atMs + 0.5)
    expect(await recording.findTime(middle.atMs + 0.5)).toMatchObject({ seq: before?.seq })
    expect(await recording.findTime(0)).toBeNull()
    expect(opened - blocksOpened).toBeLessThan(8)
  })

  test('pages through the ends of passes, newest first, over openings and in few blocks a page', async () => {
    const first = await begin({ recording: { chunkBytes: 4096 } })
    await first.rounds(4)
    await first.engine.close()
    const second = await begin({ recording: { chunkBytes: 4096 } }, first.dir)
    await second.rounds(3)
    await second.engine.close()
    const recording = await read(first.dir)
    const told = [first, second]
      .flatMap(({ events }, i) =>
        events.flatMap((e) => (e.type === 'pass_done' ? [[i + 1, e.seq, e.report]] : [])),
      )
      .reverse()
    expect(told.length).toBeGreaterThan(6)
    for (const how of [{ limit: 3 }, { limit: 100, blocksMax: 2 }, { limit: 1, blocksMax: 1 }]) {
      const found: unknown[] = []
      let before: { openingId: number; seq: number } | undefined
      for (let pages = 1; ; pages++) {
        expect(pages).toBeLessThan(1_000)
        const page = await recording.readPassEnds({ ...how, ...(before && { before }) })
        expect(page.ends.length).toBeLessThanOrEqual(how.limit)
        found.push(...page.ends.map((end) => [end.openingId, end.seq, end.report]))
        if (page.next === null) break
        before = page.next
      }
      expect(found).toEqual(told)
    }
    const staged = await recording.readPassEnds({
      limit: 100,
      wanted: ({ outcome }) => outcome === 'staged',
    })
    expect(staged.ends.map(({ report }) => report.outcome)).not.toHaveLength(0)
    expect(staged.ends.every(({ report }) => report.outcome === 'staged')).toBe(true)
  })

  test('gives a pass a block at once, and passes that follow closely one together', async () => {
    const { dir, engine, clock } = await begin()
    const writtenSeq = (): number => engine.gauges().recording?.writtenSeq ?? NaN
    const pass = async (): Promise<void> => {
      await engine.maintenance.runPass('periodic')
      for (let turn = 0; turn < 5; turn++) await yieldNow()
    }
    await pass()
    expect(writtenSeq(), 'the first').toBe(engine.eventSeq)
    clock.advance(100)
    const before = engine.eventSeq
    await pass()
    expect(writtenSeq(), 'soon after').toBe(before)
    await pass()
    expect(writtenSeq(), 'on a clock that stands still').toBe(engine.eventSeq)
    clock.advance(10)
    await pass()
    expect(writtenSeq()).toBeLessThan(engine.eventSeq)
    clock.advance(250)
    for (let turn = 0; turn < 5; turn++) await yieldNow()
    expect(writtenSeq(), 'without another pass').toBe(engine.eventSeq)
    await engine.close()
    expect((await read(dir)).summary().openings).toMatchObject([{ closed: true, gaps: [] }])
  })

  test('holds small events: what changed of the counters and of the scheduler, not all', async () => {
    const life = await begin()
    await life.rounds(6)
    const sizes = new Map<string, number[]>()
    for (const event of life.events) {
      if (event.type !== 'counters_changed' && event.type !== 'scheduler_changed') continue
      sizes.set(event.type, [...(sizes.get(event.type) ?? []), JSON.stringify(event).length])
    }
    for (const [type, lengths] of sizes) {
      expect(lengths.length, type).toBeGreaterThan(20)
      expect(lengths.reduce((sum, n) => sum + n, 0) / lengths.length, type).toBeLessThan(300)
    }
    await life.engine.close()
  })

  test('goes on with a new opening, whose events count from 1', async () => {
    const first = await begin()
    await first.rounds(1)
    await first.engine.close()
    const second = await begin({}, first.dir)
    await second.rounds(2)
    await second.engine.close()
    const recording = await read(first.dir)
    const { openings } = recording.summary()
    expect(openings.map((o) => [o.openingId, o.firstSeq, o.closed])).toEqual([
      [1, 1, true],
      [2, 1, true],
    ])
    expect((await allEvents(recording, 2)).length).toBeGreaterThan(
      (await allEvents(recording, 1)).length,
    )
  })

  test('is of an opening of its own, also when the folder could not be looked at as it began', async () => {
    const first = await begin()
    await first.rounds(1)
    await first.engine.close()
    const disk = { fails: true }
    const clock = eagerClock()
    const list: FileSystem['list'] = (folder) => {
      if (disk.fails && folder.endsWith('trace'))
        throw ioError('cannot list it', new Error('EMFILE'))
      return quickFileSystem.list(folder)
    }
    const where = { dir: first.dir, clock, fileSystem: { ...quickFileSystem, list } }
    const { engine } = await openFixture(OPTIONS, where)
    expect(engine.gauges().recording).toMatchObject({ openingId: 0, state: 'stopped' })
    disk.fails = false
    clock.advance(31_000)
    for (let i = 0; i < 20; i++) await yieldNow()
    await engine.put(key(1), value(1, 700))
    await engine.checkpoint()
    expect(engine.gauges().recording).toMatchObject({ openingId: 2, state: 'on' })
    await engine.close()
    const { openings } = (await read(first.dir)).summary()
    expect(openings.map((o) => [o.openingId, o.closed])).toEqual([
      [1, true],
      [2, true],
    ])
  })

  test('keeps to its bytes: the oldest history goes, and the reader says so', async () => {
    const life = await begin({ recording: SMALL })
    let most = 0
    for (let i = 0; i < 30; i++) {
      await life.rounds(3)
      most = Math.max(most, traceBytes(life.dir))
    }
    await life.engine.close()
    most = Math.max(most, traceBytes(life.dir))
    expect(most).toBeGreaterThan(SMALL.maxBytes / 2)
    expect(most).toBeLessThanOrEqual(SMALL.maxBytes)
    const recording = await read(life.dir)
    const [opening] = recording.summary().openings
    expect(opening?.gaps).toMatchObject([{ fromSeq: 1, why: 'retention' }])
    const first = opening?.firstSeq ?? 0
    expect(opening?.gaps[0]?.toSeq).toBe(first - 1)
    expect((await recording.stateAt({ openingId: 1, seq: 1 })).why).toContain('older')
    const seq = [...life.states.keys()].at(-1) ?? 0
    const { state } = await recording.stateAt({ openingId: 1, seq })
    expect(state).toEqual(life.states.get(seq))
  })

  test('of a killed process ends with its last written block, and says that more may be missing', async () => {
    const life = await begin()
    await life.rounds(2)
    for (let i = 0; i < 20; i++) await yieldNow()
    const copy = copyFolder(life.dir, memoryFolder())
    await life.engine.close()
    const recording = await read(copy)
    const [opening] = recording.summary().openings
    expect(opening).toMatchObject({ closed: false, gaps: [{ why: 'not_closed', toSeq: null }] })
    const recorded = await allEvents(recording, 1)
    expect(recorded.at(-1)?.seq).toBeGreaterThan(30)
    expect(recorded.at(-1)).toEqual(life.events.find((e) => e.seq === recorded.at(-1)?.seq))

    const [file] = chunkFiles(copy)
    const bytes = fs.readFileSync(file as string)
    fs.writeFileSync(file as string, bytes.subarray(0, bytes.length - 10))
    const torn = (await read(copy)).summary().openings[0]
    expect(torn?.gaps.at(-1)).toMatchObject({ why: 'torn_tail', toSeq: null })
    expect(torn?.lastSeq).toBeLessThan(recorded.at(-1)?.seq ?? 0)

    // The next opening leaves the torn file as it is.
    const again = await begin({}, copy)
    await again.engine.close()
    expect((await read(copy)).summary().openings.map((o) => o.openingId)).toEqual([1, 2])
  })

  test('is given up to a full disk and taken up again, and the store does not notice', async () => {
    const dir = memoryFolder()
    const disk = { full: false }
    const clock = eagerClock()
    const { engine, events } = await openFixture(
      { ...OPTIONS, recording: { chunkBytes: 4096 } },
      {
        dir,
        clock,
        fileSystem: {
          ...quickFileSystem,
          open: (file, mode) => {
            const opened = quickFileSystem.open(file, mode)
            if (!file.includes('/trace/')) return opened
            const write = opened.write.bind(opened)
            opened.write = (...call) => {
              if (disk.full) throw new Error('ENOSPC: no space left on device')
              write(...call)
            }
            return opened
          },
        },
      },
    )
    await engine.put(key(1), value(1, 700))
    await engine.checkpoint()
    await engine.maintenance.runPass('periodic')
    for (let i = 0; i < 20; i++) await yieldNow()
    disk.full = true
    await engine.maintenance.runPass('periodic')
    for (let i = 0; i < 20; i++) await yieldNow()
    const stopped = events.find((e) => e.type === 'recording_stopped')
    expect(stopped).toMatchObject({
      reason: 'io',
      message: expect.stringContaining('ENOSPC') as string,
    })
    expect(engine.gauges().recording).toMatchObject({ state: 'stopped', stopped: { reason: 'io' } })
    await engine.put(key(2), value(2, 700))
    await engine.checkpoint()
    // Tried again, in vain: told once.
    clock.advance(31_000)
    for (let i = 0; i < 20; i++) await yieldNow()
    expect(events.filter((e) => e.type === 'recording_stopped')).toHaveLength(1)
    disk.full = false
    clock.advance(31_000)
    for (let i = 0; i < 20; i++) await yieldNow()
    const resumed = events.find((e) => e.type === 'recording_resumed')
    expect(engine.gauges().recording).toMatchObject({ state: 'on', stopped: null })
    await engine.maintenance.runPass('periodic')
    expect(bytesEqual(engine.get(key(2)), value(2, 700))).toBe(true)
    const state = engine.state()
    const { eventSeq } = engine
    await engine.close()
    const recording = await read(dir)
    const [opening] = recording.summary().openings
    expect(opening?.gaps).toMatchObject([
      { why: 'stopped', fromSeq: resumed?.lostFromSeq, toSeq: resumed?.lostToSeq },
    ])
    expect(engine.gauges().recording?.eventsLost).toBe(
      (resumed?.lostToSeq ?? 0) - (resumed?.lostFromSeq ?? 0) + 1,
    )
    const missing = await recording.stateAt({ openingId: 1, seq: resumed?.lostFromSeq ?? 0 })
    expect(missing.why).not.toBeNull()
    expect((await recording.stateAt({ openingId: 1, seq: eventSeq })).state).toEqual(state)
  })

  test('is part of an inspection, damaged or not', async () => {
    const dir = (
      await begin({ recording: { chunkBytes: 4096 } }).then(async (life) => {
        await life.rounds(3)
        await life.engine.close()
        return life
      })
    ).dir
    const inspect = async (): Promise<InspectReport['recording']> => {
      const deps = { fileSystem: quickFileSystem, yieldNow, nowMs: 0 }
      return (await inspectFolder(dir, deps)).report.recording
    }
    expect(await inspect()).toMatchObject({
      openings: [{ opening_id: 1, first_seq: 1, closed: true }],
    })
    for (const file of chunkFiles(dir)) fs.truncateSync(file, 70)
    const torn = await inspect()
    expect(torn?.openings[0]?.gaps.at(-1)?.why).toBe('torn_tail')
    fs.rmSync(path.join(dir, 'trace'), { recursive: true })
    expect(await inspect()).toBeUndefined()
  })

  test('stands still when trace is no folder', async () => {
    const dir = memoryFolder()
    const first = await begin({ recording: 'off' }, dir)
    expect(first.engine.gauges().recording).toBeUndefined()
    await first.engine.close()
    expect(chunkFiles(dir)).toEqual([])
    fs.writeFileSync(path.join(dir, 'trace'), 'mine')
    const second = await begin({}, dir)
    await second.rounds(1)
    expect(second.engine.gauges().recording?.stopped?.reason).toBe('folder_unusable')
    await second.engine.close()
    expect(fs.readFileSync(path.join(dir, 'trace'), 'utf8')).toBe('mine')
    expect((await read(dir)).summary()).toMatchObject({
      openings: [],
      problems: ['trace is no folder'],
    })
  })

  test('is written neither twice nor after closing', async () => {
    const life = await begin()
    await life.rounds(1)
    await life.engine.close()
    const bytes = traceBytes(life.dir)
    life.clock.advance(100_000)
    for (let i = 0; i < 20; i++) await yieldNow()
    expect(traceBytes(life.dir)).toBe(bytes)
  })
})

describe('a stranger', () => {
  const life = async (): Promise<string> => {
    const { dir, engine, rounds } = await begin({ recording: { chunkBytes: 4096 } })
    await rounds(4)
    await engine.close()
    return dir
  }

  test(`gives a reading or a gap for any change of bytes (seed ${SEED})`, async () => {
    const random = randomFrom(SEED)
    const dir = await life()
    const whole = await allEvents(await read(dir), 1)
    const originals = chunkFiles(dir).map((file) => ({ file, bytes: fs.readFileSync(file) }))
    let readable = 0
    for (let n = 0; n < 150; n++) {
      const { file, bytes } = random.pick(originals)
      const changed = Buffer.from(bytes)
      for (let i = random.between(1, 3); i > 0; i--) {
        const at = random.between(0, changed.length - 1)
        if (random.chance(0.2))
          changed.fill(random.between(0, 255), at, Math.min(at + 100, changed.length))
        else changed[at] = random.between(0, 255)
      }
      const length = random.chance(0.3) ? random.between(0, changed.length) : changed.length
      fs.writeFileSync(file, changed.subarray(0, length))
      const recording = await read(dir)
      const summary = recording.summary()
      for (const { openingId } of summary.openings) {
        const events = await allEvents(recording, openingId)
        const bySeq = new Map(whole.map((event) => [event.seq, event]))
        // A wrong event would be worse than none: whatever is given is what was written.
        if (openingId === 1) for (const event of events) expect(event).toEqual(bySeq.get(event.seq))
        const { gaps } = await recording.readEvents({ openingId, fromSeq: 0, limit: 10_000 })
        const isWhole = events.length === whole.length
        expect(isWhole || gaps.length > 0 || summary.problems.length > 0).toBe(true)
        readable += events.length
        await recording.stateAt({ openingId, seq: random.between(0, whole.length) })
        await recording.findPass(random.between(1, 8))
        await recording.findTime(1_774_000_000_000 + random.between(0, 200_000))
      }
      fs.writeFileSync(file, bytes)
    }
    // Most damage costs one block.
    expect(readable).toBeGreaterThan((150 * whole.length) / 2)
  })

  test('with chunks swapped, renamed or of another store is refused chunk by chunk', async () => {
    const dir = await life()
    const files = chunkFiles(dir)
    const [a, b] = files as [string, string]
    const [first, second] = [fs.readFileSync(a), fs.readFileSync(b)]
    fs.writeFileSync(a, second)
    fs.writeFileSync(b, first)
    const summary = (await read(dir)).summary()
    expect(summary.problems).toHaveLength(2)
    expect(summary.chunks).toBe(files.length - 2)
    // A writer does not stumble over it either.
    const again = await begin({}, dir)
    await again.rounds(1)
    expect(again.engine.gauges().recording?.state).toBe('on')
    await again.engine.close()
  })
})
