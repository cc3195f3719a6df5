/**
 * What every key-value store of this engine must do, whatever the profile, wherever the values lie
 * and whatever happened to the store before it is read: one suite for all of them. `settle` takes a
 * freshly written store to the state that the suite is about.
 */
import { expect, test } from 'vitest'
import type { Engine, RangeOptions } from '../../engine/api.ts'
import { bytesEqual, entriesOf, key, repetitive, value } from './engine-fixture.ts'
import { randomFrom } from './random.ts'

export interface Subject {
  open(): Promise<Engine>
  settle(engine: Engine): Promise<Engine>
  /** Length of the suite's values: below or above the inline threshold. */
  valueBytes: number
}

type Model = Map<string, Uint8Array>

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'))

function expectSame(engine: Engine, model: Model): void {
  const sorted = [...model].sort(([a], [b]) => (a < b ? -1 : 1))
  const found = entriesOf(engine)
  expect(found.map(([k]) => k)).toEqual(sorted.map(([k]) => k))
  found.forEach(([k, v], i) => expect(bytesEqual(v, sorted[i]?.[1]), k).toBe(true))
  for (const [k, v] of sorted) expect(bytesEqual(engine.get(bytes(k)), v), k).toBe(true)
}

export function describeKeyValueContract(subject: Subject): void {
  const { valueBytes } = subject
  const open = (): Promise<Engine> => subject.open()
  const settle = (engine: Engine): Promise<Engine> => subject.settle(engine)

  test('reads back what was put, overwritten, deleted and put again', async () => {
    let engine = await open()
    const model: Model = new Map()
    const put = async (k: Uint8Array, seed: number): Promise<void> => {
      const v = value(seed, valueBytes)
      await engine.put(k, v)
      model.set(latin1(k), v)
    }
    for (let i = 0; i < 60; i++) await put(key(i), i)
    for (let i = 0; i < 60; i += 3) await put(key(i), 1000 + i)
    for (let i = 0; i < 60; i += 4) {
      await engine.delete(key(i))
      model.delete(latin1(key(i)))
    }
    await put(key(8), 5000)
    await engine.delete(key('never/there'))
    engine = await settle(engine)
    expectSame(engine, model)
    expect(engine.get(key(4))).toBeUndefined()
    expect(engine.get(key('never/there'))).toBeUndefined()
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()
  })

  test('an empty store has no entries and may be settled', async () => {
    const engine = await settle(await open())
    expect(entriesOf(engine)).toEqual([])
    expect(engine.get(key(1))).toBeUndefined()
    await engine.close()
  })

  test('deleting everything leaves nothing, and the store can be filled again', async () => {
    let engine = await open()
    for (let i = 0; i < 40; i++) await engine.put(key(i), value(i, valueBytes))
    engine = await settle(engine)
    await engine.batch(Array.from({ length: 40 }, (_, i) => ({ op: 'delete', key: key(i) })))
    engine = await settle(engine)
    expect(entriesOf(engine)).toEqual([])
    await engine.put(key(7), value(7, valueBytes))
    engine = await settle(engine)
    expectSame(engine, new Map([[latin1(key(7)), value(7, valueBytes)]]))
    await engine.close()
  })

  test('in a batch that names a key twice the last operation wins', async () => {
    let engine = await open()
    const [first, second] = [value(1, valueBytes), value(2, valueBytes)]
    await engine.batch([
      { op: 'put', key: key('put-put'), value: first },
      { op: 'put', key: key('put-put'), value: second },
      { op: 'put', key: key('put-delete'), value: first },
      { op: 'delete', key: key('put-delete') },
      { op: 'delete', key: key('delete-put') },
      { op: 'put', key: key('delete-put'), value: second },
    ])
    engine = await settle(engine)
    expectSame(
      engine,
      new Map([
        ['put-put', second],
        ['delete-put', second],
      ]),
    )
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()
  })

  test('keys of 1 and 2000 bytes, all byte values, and empty values', async () => {
    let engine = await open()
    const model: Model = new Map()
    for (let b = 0; b < 256; b += 5) {
      for (const k of [Uint8Array.of(b), new Uint8Array(2000).fill(b), Uint8Array.of(b, 0)]) {
        const v = b % 2 === 0 ? value(b, valueBytes) : new Uint8Array(0)
        await engine.put(k, v)
        model.set(latin1(k), v)
      }
    }
    engine = await settle(engine)
    expectSame(engine, model)
    await engine.close()
  })

  test('the caller owns the bytes it gave and the bytes it got', async () => {
    let engine = await open()
    const givenKey = Buffer.from(key('owned'))
    const given = Buffer.from(repetitive(3, valueBytes))
    await engine.put(givenKey, given)
    givenKey.fill(0x7a)
    given.fill(0xee)
    expect(bytesEqual(engine.get(key('owned')), repetitive(3, valueBytes))).toBe(true)
    engine = await settle(engine)
    for (let again = 0; again < 2; again++) {
      const got = engine.get(key('owned'))
      expect(bytesEqual(got, repetitive(3, valueBytes))).toBe(true)
      got?.fill(0xee)
      for (const [k, v] of engine.iterate()) {
        expect(bytesEqual(v, repetitive(3, valueBytes))).toBe(true)
        k.fill(0xee)
        v.fill(0xee)
      }
    }
    await engine.close()
  })

  test('ranges agree with a sorted array', async () => {
    let engine = await open()
    const random = randomFrom(77)
    const names = Array.from({ length: 90 }, (_, i) => `k${String(i * 3).padStart(3, '0')}`)
    for (const name of names) await engine.put(bytes(name), value(1, valueBytes))
    for (const name of names.filter((_, i) => i % 5 === 0)) await engine.delete(bytes(name))
    const kept = names.filter((_, i) => i % 5 !== 0)
    engine = await settle(engine)
    for (let run = 0; run < 200; run++) {
      const bound = (): string => `k${String(random.between(0, 275)).padStart(3, '0')}`
      const given = { gte: bound(), gt: bound(), lt: bound(), lte: bound() }
      const range: RangeOptions = { reverse: random.chance(0.5) }
      for (const name of ['gte', 'gt', 'lt', 'lte'] as const) {
        if (random.chance(0.4)) range[name] = bytes(given[name])
      }
      if (random.chance(0.3)) range.limit = random.between(0, 12)
      const wanted = kept.filter(
        (k) =>
          (range.gte === undefined || k >= given.gte) &&
          (range.gt === undefined || k > given.gt) &&
          (range.lt === undefined || k < given.lt) &&
          (range.lte === undefined || k <= given.lte),
      )
      if (range.reverse === true) wanted.reverse()
      const found = [...engine.iterate(range)].map(([k]) => latin1(k))
      expect(found, JSON.stringify(given)).toEqual(wanted.slice(0, range.limit))
    }
    await engine.close()
  })

  test('a snapshot keeps its state under writes, checkpoints and rewrites', async () => {
    let engine = await open()
    const model: Model = new Map()
    for (let i = 0; i < 30; i++) {
      await engine.put(key(i), repetitive(i, valueBytes))
      model.set(latin1(key(i)), repetitive(i, valueBytes))
    }
    engine = await settle(engine)
    const snapshot = engine.snapshot('held')
    const iterator = engine.iterate()
    const half: string[] = []
    for (let i = 0; i < 15; i++) half.push(latin1((iterator.next().value as [Uint8Array])[0]))
    // Twice over the same keys: the version that the snapshot needs is not the newest but one.
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 30; i++) await engine.put(key(i), value(i + round * 100, valueBytes))
      for (let i = 0; i < 30; i += 2) await engine.delete(key(i))
      await engine.put(key(100 + round), value(round, valueBytes))
      if (round === 1) continue
      await engine.checkpoint()
      const sealed = engine.state().segments.filter((s) => s.state !== 'zombie')
      await engine.maintenance.rewrite(sealed.map((s) => s.segmentId))
    }
    for (let i = 0; i < 30; i++) {
      expect(bytesEqual(snapshot.get(key(i)), repetitive(i, valueBytes)), `key ${i}`).toBe(true)
    }
    expect(snapshot.get(key(101))).toBeUndefined()
    expectSame(
      { iterate: () => snapshot.iterate(), get: (k: Uint8Array) => snapshot.get(k) } as Engine,
      model,
    )
    const rest = [...iterator].map(([k]) => latin1(k))
    expect([...half, ...rest]).toEqual([...model.keys()].sort())
    await snapshot.close()
    await engine.close()
  })
}
