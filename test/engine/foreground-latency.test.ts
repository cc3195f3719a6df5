/** When the foreground's latency is told, of which time, and when there is nothing to tell. */
import { describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import { StepClock, manualClock } from '../../engine/clock.ts'
import { latencyBetween, LatencyHistogram } from '../../engine/latency.ts'
import { isEvent } from '../../engine/recording/check-event.ts'
import { openRecording, type Recording } from '../../engine/recording/reader.ts'
import type { EngineEvent, LatencyInterval } from '../../engine/types.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
  type Fixture,
} from '../support/engine-fixture.ts'
import { ageRecording } from '../support/old-recording.ts'

type Told = Extract<EngineEvent, { type: 'foreground_latency' }>

const toldOf = (events: readonly EngineEvent[]): Told[] =>
  events.filter((event) => event.type === 'foreground_latency')

async function open(
  options: EngineOptions = {},
  clock = manualClock(),
): Promise<Fixture & { told: () => Told[]; openedAtMs: number }> {
  const fixture = await openFixture(options, { dir: memoryFolder(), clock })
  return { ...fixture, told: () => toldOf(fixture.events), openedAtMs: clock.now() }
}

async function puts(engine: Engine, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await engine.put(key(i), value(i, 100))
}

function gets(engine: Engine, count: number): void {
  for (let i = 0; i < count; i++) engine.get(key(1))
}

const interval = ({ seq, fromMs, atMs, put, get }: Told): LatencyInterval => ({
  seq,
  fromMs,
  atMs,
  put,
  get,
})

describe('foreground latency', () => {
  test('is told once in five seconds, and puts by themselves tell nothing', async () => {
    const { engine, clock, events, told, openedAtMs } = await open()
    for (let second = 1; second <= 20; second++) {
      const before = events.length
      await puts(engine, 50)
      expect(toldOf(events.slice(before))).toEqual([])
      clock.advance(1000)
    }
    expect(told().map(({ fromMs, atMs }) => [fromMs - openedAtMs, atMs - openedAtMs])).toEqual([
      [0, 5000],
      [5000, 10_000],
      [10_000, 15_000],
      [15_000, 20_000],
    ])
    expect(told().map(({ put, get }) => [put?.count, get])).toEqual(Array(4).fill([250, null]))
    expect(told().every(({ passId }) => passId === null)).toBe(true)
  })

  test('has the figures that the counts of the engine have, each operation in one event', async () => {
    const { engine, clock, told } = await open()
    await puts(engine, 7)
    gets(engine, 40)
    clock.advance(5000)
    const nothing = new LatencyHistogram().counts()
    const { put, get } = engine.latency()
    expect(told()).toMatchObject([
      { put: latencyBetween(nothing, put), get: latencyBetween(nothing, get) },
    ])
    await puts(engine, 3)
    await engine.close()
    expect(told().map((event) => event.put?.count)).toEqual([7, 3])
  })

  test('says of a kind that was not used that nothing is known, and of an idle store nothing at all', async () => {
    const { engine, clock, told } = await open()
    await puts(engine, 1)
    clock.advance(5000)
    gets(engine, 16)
    clock.advance(5000)
    expect(told()).toMatchObject([
      { put: { count: 1 }, get: null },
      { put: null, get: { count: 1 } },
    ])
    for (let i = 0; i < 100; i++) clock.advance(5000)
    // Fifteen more are not timed.
    gets(engine, 15)
    clock.advance(5000)
    await engine.maintenance.runPass('periodic')
    await engine.close()
    expect(told()).toHaveLength(2)
  })

  test('covers the time since it was last looked for, not the quiet before that', async () => {
    const { engine, clock, told } = await open()
    await puts(engine, 1)
    for (let i = 0; i < 720; i++) clock.advance(5000)
    const atMs = clock.now()
    clock.advance(2000)
    await puts(engine, 1)
    clock.advance(3000)
    expect(told()[1]).toMatchObject({ fromMs: atMs, atMs: atMs + 5000 })
  })

  test('is told at the end of a pass, before its last event, and then again five seconds later', async () => {
    const { engine, clock, events, told, openedAtMs } = await open()
    await puts(engine, 2)
    clock.advance(3000)
    await engine.maintenance.runPass('periodic')
    const [at, end] = events.slice(-2)
    expect([at?.type, end?.type]).toEqual(['foreground_latency', 'pass_done'])
    expect(at).toMatchObject({ fromMs: openedAtMs, atMs: openedAtMs + 3000, passId: null })
    await engine.maintenance.runPass('periodic')
    expect(told()).toHaveLength(1)
    await puts(engine, 1)
    clock.advance(4999)
    expect(told()).toHaveLength(1)
    clock.advance(1)
    expect(told()[1]).toMatchObject({ fromMs: openedAtMs + 3000, atMs: openedAtMs + 8000 })
  })

  test('is told at the close, of writes that were not awaited, too', async () => {
    const { engine, clock, told } = await open({ profile: 'durable' })
    clock.advance(1000)
    const put = engine.put(key(1), value(1, 100))
    await engine.close()
    await put
    expect(told()).toMatchObject([{ put: { count: 1 } }])
    clock.advance(60_000)
    expect(told()).toHaveLength(1)
  })

  test('under a clock that stands still is told by passes, and of no time but real durations', async () => {
    let realMs = 0
    const clock = new StepClock({
      wall: () => 1_774_000_000_000,
      monotonic: () => (realMs += 0.25),
      arm: null,
    })
    clock.freeze()
    const { engine, told, openedAtMs } = await open({}, clock)
    await puts(engine, 10)
    realMs += 3_600_000
    expect(told()).toEqual([])
    await engine.maintenance.runPass('periodic')
    expect(told()).toMatchObject([{ fromMs: openedAtMs, atMs: openedAtMs, put: { count: 10 } }])
    expect(told()[0]?.put?.maxMs).toBeGreaterThan(0.2)
    expect(told()[0]?.put?.maxMs).toBeLessThan(10)
    await puts(engine, 1)
    clock.advance(60_000)
    expect(told()[1]).toMatchObject({ fromMs: openedAtMs, atMs: openedAtMs + 60_000 })
  })
})

describe('recorded foreground latency', () => {
  const read = (dir: string, fileSystem = quickFileSystem): Promise<Recording> =>
    openRecording(dir, { fileSystem, yieldNow })

  /** A minute with an event in each second, and a block; some seconds have no puts. */
  async function recorded(): Promise<Fixture & { told: () => Told[] }> {
    const life = await open({ recording: { chunkBytes: 4096 } })
    for (let i = 0; i < 60; i++) {
      if (i % 15 !== 7) await puts(life.engine, 4)
      life.engine.snapshot(`second ${i}`)
      life.clock.advance(1000)
      for (let turn = 0; turn < 4; turn++) await yieldNow()
    }
    return life
  }

  async function all(
    recording: Recording,
    how: { fromMs: number; toMs: number; limit: number; blocksMax?: number },
  ): Promise<LatencyInterval[]> {
    const found: LatencyInterval[] = []
    for (let [fromSeq, pages]: [number | null, number] = [0, 1]; fromSeq !== null; pages++) {
      expect(pages).toBeLessThan(100)
      const page = await recording.readLatency({ openingId: 1, fromSeq, ...how })
      expect(page.isRecorded).toBe(true)
      expect(page.intervals.length).toBeLessThanOrEqual(how.limit)
      found.push(...page.intervals)
      fromSeq = page.nextSeq
    }
    return found
  }

  test('comes back as it was told, in pages of any size, and in part for a part of the time', async () => {
    const { engine, dir, told } = await recorded()
    await engine.close()
    const recording = await read(dir)
    expect(told().length).toBeGreaterThan(10)
    const whole = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER }
    for (const how of [{ limit: 1000 }, { limit: 1 }, { limit: 1000, blocksMax: 1 }]) {
      expect(await all(recording, { ...whole, ...how })).toEqual(told().map(interval))
    }
    const [fourth, fifth, sixth] = told().slice(3, 6)
    if (fourth === undefined || fifth === undefined || sixth === undefined) throw new Error('few')
    // It is touched by what ends in it and by what begins in it.
    const part = { fromMs: fourth.atMs - 1, toMs: sixth.fromMs + 1, limit: 10 }
    expect(await all(recording, part)).toEqual([fourth, fifth, sixth].map(interval))
    expect(await all(recording, { ...part, fromMs: fourth.atMs + 1 })).toEqual(
      [fifth, sixth].map(interval),
    )
  })

  test('is found without reading blocks that have none', async () => {
    const { engine, dir, told } = await recorded()
    await engine.close()
    let opened = 0
    const counting = {
      ...quickFileSystem,
      open: (...call: Parameters<typeof quickFileSystem.open>) => {
        opened++
        return quickFileSystem.open(...call)
      },
    }
    const recording = await read(dir, counting)
    const before = opened
    const whole = { fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: 1000 }
    expect(await all(recording, whole)).toHaveLength(told().length)
    expect(opened - before).toBeLessThanOrEqual(told().length)
    // A minute with an event a second has far more blocks than that.
    expect(recording.summary().openings[0]?.events).toBeGreaterThan(4 * told().length)
  })

  test('is one event more in five seconds of a busy store, and of an idle one none', async () => {
    const { engine, dir, clock, told } = await open({ profile: 'wal_on_fast' })
    for (let second = 0; second < 60; second++) {
      await puts(engine, 20)
      clock.advance(1000)
    }
    expect(told()).toHaveLength(12)
    const last = engine.eventSeq
    for (let second = 0; second < 60; second++) clock.advance(1000)
    expect(engine.eventSeq).toBe(last)
    await engine.close()
    const { intervals } = await (
      await read(dir)
    ).readLatency({ openingId: 1, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: 100 })
    expect(intervals).toHaveLength(12)
  })

  test('that a stranger wrote is an event only with figures that can be drawn', () => {
    const put = { count: 1, p50Ms: 1, p99Ms: 1, maxMs: 1 }
    const event = { seq: 1, atMs: 2, passId: null, type: 'foreground_latency', fromMs: 1, put }
    expect(isEvent({ ...event, get: null })).toBe(true)
    for (const wrong of [
      {},
      { get: {} },
      { get: { ...put, p99Ms: 'x' } },
      { get: null, fromMs: null },
    ]) {
      expect(isEvent({ ...event, ...wrong })).toBe(false)
    }
  })

  test('is not known of a recording from before it, and that is not the same as none', async () => {
    const { engine, dir } = await recorded()
    const span = { openingId: 1, fromMs: 0, toMs: Number.MAX_SAFE_INTEGER, limit: 100 }
    const old = copyFolder(dir, memoryFolder())
    ageRecording(old)
    const recording = await read(old)
    expect(recording.summary().problems).toEqual([])
    expect(await recording.readLatency(span)).toEqual({
      isRecorded: false,
      intervals: [],
      nextSeq: null,
    })
    await engine.close()
    const idle = await open()
    await idle.engine.close()
    expect(await (await read(idle.dir)).readLatency(span)).toEqual({
      isRecorded: true,
      intervals: [],
      nextSeq: null,
    })
  })
})
