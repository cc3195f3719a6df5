/** Events: numbered without a gap, told in order, and enough to rebuild the state. */
import { describe, expect, test } from 'vitest'
import type { EngineEvent, EngineState } from '../../engine/types.ts'
import { applyEvent } from '../../engine/apply-event.ts'
import { EventHub } from '../../engine/events.ts'
import {
  bytesEqual,
  copyFolder,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  value,
} from '../support/engine-fixture.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'

const OPTIONS = { inlineThreshold: 64, segmentBytes: 4096, sliceMs: 0.1 }

describe('events', () => {
  test('folded over the first state they give the state, whatever happened', async () => {
    const { engine, events, clock } = await openFixture(OPTIONS, {
      dir: memoryFolder(),
      clock: eagerClock(),
    })
    const first = engine.state()
    events.length = 0
    const folded = (): EngineState => events.reduce(applyEvent, first)
    const check = (): void => expect(engine.state()).toEqual((engine.flushEvents(), folded()))

    for (let i = 0; i < 20; i++) await engine.put(key(i), value(i, 700))
    check()
    const snapshot = engine.snapshot('held')
    const iterator = engine.iterate()
    iterator.next()
    check()
    await engine.checkpoint()
    for (let i = 0; i < 20; i += 2) await engine.put(key(i), value(i + 100, 700))
    const pass = engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId))
    for (let i = 0; i < 20; i += 5) {
      await engine.put(key(i), value(i + 200, 700))
      check()
    }
    await pass
    check()
    iterator.close()
    await snapshot.close()
    check()
    await engine.maintenance.stage({ minStaleRatio: 0.01, minAgeMs: 0 })
    clock.advance(60_000)
    await engine.maintenance.runPass('rewrite_stage_confirm')
    engine.maintenance.pause()
    await engine.checkpointWithKick()
    engine.maintenance.resume()
    await engine.maintenance.gc({ dryRun: true })
    await engine.maintenance.gc({ dryRun: false })
    check()
    await engine.verify()
    check()
    await engine.close()
    events.forEach((event, i) => expect(event.seq).toBe((events[0]?.seq ?? 0) + i))
  })

  test('a rewrite that fails leaves nobody rewriting', async () => {
    const disk = new FaultFileSystem(memoryFolder())
    const { engine } = await openFixture(OPTIONS, {
      dir: disk.root,
      clock: eagerClock(),
      fileSystem: disk.process().fileSystem,
    })
    for (let i = 0; i < 12; i++) await engine.put(key(i), value(i, 700))
    await engine.checkpoint()
    const [dying, other] = engine.state().segments
    if (dying === undefined || other === undefined) throw new Error('two segments are needed')
    const kinds = (): string[] | undefined =>
      engine
        .state()
        .segments.find((s) => s.segmentId === dying.segmentId)
        ?.keptBy.map((k) => k.kind)
    let during: string[] | undefined
    disk.onCall = (call, file) => {
      if (call !== 'sync' || !file.includes('value-l1') || during !== undefined) return
      during = []
      const deletes = Array.from({ length: 5 }, (_, i) => ({ op: 'delete' as const, key: key(i) }))
      // The failure that follows takes its acknowledgement away.
      engine.batch(deletes).catch(() => undefined)
      during = kinds()
      disk.failAt = disk.calls
    }
    const pass = engine.maintenance.rewrite([dying.segmentId, other.segmentId])
    expect((await pass).outcome).toBe('failed')
    expect(during).toContain('rewriting')
    expect(kinds()).not.toContain('rewriting')
    await engine.close()
  })

  test('checkpoints are counted, empty ones are not', async () => {
    const { engine } = await openFixture({}, { dir: memoryFolder() })
    await engine.put(key(1), value(1, 10))
    await engine.checkpoint()
    await engine.checkpoint()
    await engine.put(key(1), value(2, 10))
    await engine.checkpoint()
    expect(engine.state().counters.checkpoints).toBe(2)
    await engine.close()
  })

  test('what a listener causes is told after what it heard, to every listener', () => {
    const hub = new EventHub(() => 0)
    const seen: number[] = []
    hub.subscribe((event) => {
      if (event.seq === 1) hub.emit({ type: 'checkpoint_kick_start' }, null)
    })
    hub.subscribe((event) => seen.push(event.seq))
    hub.emit({ type: 'checkpoint_kick_start' }, null)
    expect(seen).toEqual([1, 2])
  })

  test.each(['segment_created', 'segment_sealed', 'segment_bytes'] as const)(
    'a put from a listener is a put like any other (%s)',
    async (type) => {
      for (const profile of ['durable', 'wal_on_fast'] as const) {
        const { engine, dir } = await openFixture({ ...OPTIONS, profile }, { dir: memoryFolder() })
        const failures: string[] = []
        const fail = (error: unknown): void => void failures.push(String(error))
        const nested: Promise<void>[] = []
        const unsubscribe = engine.subscribe((event) => {
          if (event.type !== type || nested.length === 20) return
          const i = nested.length
          nested.push(engine.put(key(100 + i), value(i, 900)).catch(fail))
        })
        const puts = Array.from({ length: 40 }, (_, i) => {
          return { op: 'put', key: key(i), value: value(i, 900) } as const
        })
        // Segments are created and sealed in the middle of it.
        await engine.batch(puts.slice(0, 30)).catch(fail)
        for (const put of puts.slice(30)) await engine.batch([put]).catch(fail)
        unsubscribe()
        await Promise.all(nested)
        expect(failures).toEqual([])
        expect(nested.length).toBeGreaterThan(2)
        const active = engine.state().segments.filter((s) => s.state === 'active')
        expect(active.length).toBe(1)

        // As a kill leaves it.
        const killed = await openFixture(OPTIONS, { dir: copyFolder(dir, memoryFolder()) })
        for (const { engine: one } of [{ engine }, killed]) {
          const kept = (i: number, bytes: Uint8Array): boolean => bytesEqual(one.get(key(i)), bytes)
          expect(puts.filter((put, i) => !kept(i, put.value))).toEqual([])
          expect(nested.filter((_, i) => !kept(100 + i, value(i, 900)))).toEqual([])
        }
        await killed.engine.close()
        await engine.close()
      }
    },
  )

  test('an event becomes JSON once for all who ask, each event its own', () => {
    const hub = new EventHub(() => 7)
    const texts: string[][] = [[], []]
    let made = 0
    hub.subscribe((event, json) => {
      texts[0]?.push(json())
      if (event.seq === 1) hub.emit({ type: 'checkpoint_kick_start' }, 3)
    })
    hub.subscribe((_, json) => texts[1]?.push(json()))
    const toJSON = (): unknown => ({ made: (made += 1) })
    hub.emit({ type: 'checkpoint_kick_start', toJSON } as never, null)
    const second = '{"seq":2,"atMs":7,"passId":3,"type":"checkpoint_kick_start"}'
    expect(texts).toEqual([
      ['{"made":1}', second],
      ['{"made":1}', second],
    ])
  })

  test('who records is told after everyone, with the JSON that somebody asked for, or none', () => {
    const hub = new EventHub(() => 7)
    const told: [number, string | null][] = []
    hub.recordBy((event, made) => told.push([event.seq, made]))
    hub.emit({ type: 'checkpoint_kick_start' }, null)
    hub.subscribe((event, json) => {
      expect(told.length, 'told before').toBe(event.seq - 1)
      json()
    })
    hub.emit({ type: 'checkpoint_kick_start' }, null)
    expect(told).toEqual([
      [1, null],
      [2, '{"seq":2,"atMs":7,"passId":null,"type":"checkpoint_kick_start"}'],
    ])
  })

  test('who records is told of an event at which a listener throws, too', () => {
    const hub = new EventHub(() => 7)
    const told: number[] = []
    hub.recordBy((event) => told.push(event.seq))
    const unsubscribe = hub.subscribe(() => {
      throw new Error('not mine')
    })
    expect(() => hub.emit({ type: 'checkpoint_kick_start' }, null)).toThrow('not mine')
    unsubscribe()
    hub.emit({ type: 'checkpoint_kick_start' }, null)
    expect(told).toEqual([1, 2])
  })

  test('a fact that is null and one that says so in words are told apart', async () => {
    const { engine, events } = await openFixture({}, { dir: memoryFolder() })
    engine.maintenance.pause('null')
    engine.flushEvents()
    const told = events.flatMap((e) => (e.type === 'scheduler_changed' ? [e.scheduler] : []))
    expect(told.at(-1)).toMatchObject({ paused: true, pauseReason: 'null' })
    await engine.close()
  })

  test('what a pass counts is one event at its end, and told before to whoever asks for the state', async () => {
    const { engine, events } = await openFixture(OPTIONS, { dir: memoryFolder() })
    for (let i = 0; i < 20; i++) await engine.put(key(i), value(i, 700))
    await engine.checkpoint()
    events.length = 0
    const before = engine.state().counters
    const pass = engine.maintenance.gc({ dryRun: false })
    expect(engine.state().counters.passes, 'in the middle').toBe(before.passes + 1)
    await pass
    const counted = events.filter((e) => e.type === 'counters_changed' && e.passId !== null)
    expect(
      counted.map((e) => (e.type === 'counters_changed' ? Object.keys(e.counters) : [])),
    ).toEqual([['passes'], expect.arrayContaining(['gcRuns', 'passElapsedMs'])])
    expect(events.findLast((e) => e.type !== 'scheduler_changed')?.type).toBe('pass_done')
    await engine.close()
  })

  test('an unsubscribed listener hears nothing more', async () => {
    const { engine } = await openFixture({}, { dir: memoryFolder() })
    const heard: EngineEvent[] = []
    const unsubscribe = engine.subscribe((event) => heard.push(event))
    await engine.put(key(1), value(1, 10))
    await engine.checkpoint()
    unsubscribe()
    const { length } = heard
    expect(length).toBeGreaterThan(0)
    await engine.close()
    expect(heard.length).toBe(length)
  })
})
