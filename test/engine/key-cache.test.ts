/** The cache may have forgotten a key, but what it says of one is what was put last. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { KeyCache } from '../../engine/key-cache.ts'
import { KeyHasher } from '../../engine/key-hash.ts'
import type { ValuePointer } from '../../engine/value-pointer.ts'
import { key, openFixture, value } from '../support/engine-fixture.ts'
import { SEED, runs } from '../support/random.ts'

const hasher = new KeyHasher(3, 4)

function pointer(n: number): ValuePointer {
  return { segmentId: (2 ** 31 + n) >>> 0, offset: n * 1000 + 4, length: 1040 + (n % 7) }
}

/** Lengths around what a row holds, and a shared beginning. */
const KEY = fc
  .tuple(fc.constantFrom(1, 2, 4, 16, 47, 48, 49, 255, 256, 600), fc.nat({ max: 12 }))
  .map(([bytes, n]) => Buffer.alloc(bytes, 0x61).fill(n, bytes - 1))

const STEP = fc.record({
  do: fc.constantFrom('admit', 'offer', 'forget', 'look'),
  key: KEY,
  pointer: fc.nat({ max: 1000 }),
})

/** As the key space uses it. Without a hash to tell keys apart only their bytes do. */
function run(
  bytes: number,
  hash: (key: Buffer) => number,
  steps: readonly { do: string; key: Buffer; pointer: number }[],
): { cache: KeyCache; found: number } {
  const cache = new KeyCache(bytes)
  const model = new Map<string, ValuePointer>()
  let found = 0
  for (const step of steps) {
    const name = step.key.toString('latin1')
    const row = cache.find(step.key, hash(step.key))
    if (row >= 0) {
      found++
      expect(cache.at(row)).toEqual(model.get(name))
    }
    if (step.do === 'look') continue
    if (step.do === 'forget') {
      model.delete(name)
      if (row >= 0) cache.forget(row)
      continue
    }
    const next = pointer(step.pointer)
    model.set(name, next)
    if (row >= 0) cache.set(row, next)
    else if (step.do === 'admit') cache.admit(step.key, hash(step.key), next)
    else cache.offer(step.key, hash(step.key), next)
  }
  for (const [name, last] of model) {
    const bytesOfKey = Buffer.from(name, 'latin1')
    const row = cache.find(bytesOfKey, hash(bytesOfKey))
    if (row >= 0) expect(cache.at(row)).toEqual(last)
  }
  return { cache, found }
}

describe(`key cache (seed ${SEED})`, () => {
  test.each([
    ['spread', (k: Buffer) => hasher.hash(k)],
    ['all alike', () => 0x12345678],
    ['zero', () => 0],
  ])('says of a key what was put last, with hashes %s', (_, hash) => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 255, 256, 2048, 2 ** 20),
        fc.array(STEP, { maxLength: 300, size: 'max' }),
        (bytes, steps) => {
          const { cache } = run(bytes, hash, steps)
          expect(cache.bytes).toBeLessThanOrEqual(bytes)
        },
      ),
      { seed: SEED, numRuns: runs(200) },
    )
  })

  test('knows nothing of empty keys, long ones and offsets beyond 32 bits', () => {
    const cache = new KeyCache(2 ** 16)
    for (const bytes of [0, 49, 256, 512]) {
      const name = Buffer.alloc(bytes, 1)
      cache.admit(name, 0, pointer(1))
      expect(cache.find(name, 0)).toBe(-1)
    }
    const far = { ...pointer(1), offset: 2 ** 32 }
    cache.admit(key('a'), 5, far)
    expect(cache.find(key('a'), 5)).toBe(-1)
    cache.admit(key('a'), 5, pointer(1))
    cache.set(cache.find(key('a'), 5), far)
    expect(cache.find(key('a'), 5)).toBe(-1)
    expect(cache.size).toBe(0)
  })

  test('keeps its keys as it grows, and never grows beyond its bytes', () => {
    const cache = new KeyCache(2 ** 22)
    const small = cache.bytes
    const name = Buffer.alloc(16)
    const of = (i: number): Buffer => {
      name.writeUInt32LE(i, 0)
      return name
    }
    for (let i = 0; i < 20_000; i++) cache.offer(of(i), hasher.hash(of(i)), pointer(i))
    let kept = 0
    for (let i = 0; i < 20_000; i++) {
      const row = cache.find(of(i), hasher.hash(of(i)))
      if (row < 0) continue
      kept++
      expect(cache.at(row)).toEqual(pointer(i))
    }
    expect(kept).toBe(cache.size)
    expect(kept).toBeGreaterThan(18_000)
    expect(small).toBeLessThan(2 ** 18)
    for (let i = 0; i < 200_000; i++) cache.admit(of(i), hasher.hash(of(i)), pointer(i))
    expect(cache.bytes).toBe(2 ** 22)
    expect(cache.size).toBeLessThanOrEqual(2 ** 16)
  })

  test('what was just read makes room for itself, what was just written does not', () => {
    const cache = new KeyCache(256)
    const names = ['a', 'b', 'c', 'd'].map(key)
    names.forEach((name, i) => cache.offer(name, 0, pointer(i)))
    cache.offer(key('e'), 0, pointer(4))
    expect(cache.find(key('e'), 0)).toBe(-1)
    // All but c were read since.
    for (const name of ['a', 'b', 'd']) cache.at(cache.find(key(name), 0))
    cache.admit(key('e'), 0, pointer(4))
    expect(cache.at(cache.find(key('e'), 0))).toEqual(pointer(4))
    expect(cache.find(key('c'), 0)).toBe(-1)
    expect(cache.size).toBe(4)
  })
})

describe('keys that a rewrite moved', () => {
  const OLD = 12

  /** Whether a get gives this value; a refusal, in its words, when it goes where nothing is any more. */
  function said(engine: Engine, i: number, expected: Uint8Array): unknown {
    try {
      return Buffer.compare(engine.get(key(i)) ?? Buffer.alloc(0), expected)
    } catch (error) {
      return String(error)
    }
  }

  test('are found where they are now, read and written', async () => {
    const { engine } = await openFixture({ profile: 'fast', segmentBytes: 8192 })
    for (let i = 0; i < OLD; i++) await engine.put(key(i), value(i, 700))
    for (let i = 0; i < OLD; i++) expect(said(engine, i, value(i, 700)), String(i)).toBe(0)
    const source = engine.state().segments[0]?.segmentId as number
    await engine.maintenance.rewrite([source])
    expect(engine.state().segments.some((s) => s.segmentId === source)).toBe(false)
    // Twice: what the first get found is in the cache for the second.
    for (let i = 0; i < 2 * OLD; i++) {
      expect(said(engine, i % OLD, value(i % OLD, 700)), String(i)).toBe(0)
    }
    await engine.put(key(3), value(103, 700))
    expect(said(engine, 3, value(103, 700))).toBe(0)
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()
  })

  test('are found when more sources were rewritten than are remembered', async () => {
    const { engine } = await openFixture({ profile: 'fast', segmentBytes: 4096 })
    const keys = 300
    await engine.batch(
      Array.from({ length: keys }, (_, i) => {
        return { op: 'put' as const, key: key(i), value: value(i, 4000) }
      }),
    )
    for (let i = 0; i < keys; i++) engine.get(key(i))
    const sources = engine.state().segments.map((s) => s.segmentId)
    expect(sources.length).toBeGreaterThan(256)
    await engine.maintenance.rewrite(sources)
    for (let i = 0; i < keys; i++) expect(said(engine, i, value(i, 4000)), String(i)).toBe(0)
    await engine.close()
  })
})

describe('values that gets return', () => {
  test('are their readers own: writing into one or moving it away changes no other', async () => {
    const { engine } = await openFixture({ profile: 'fast' })
    const values = Array.from({ length: 40 }, (_, i) => value(i, 700))
    for (const [i, bytes] of values.entries()) await engine.put(key(i), bytes)
    await engine.checkpoint()
    const read = values.map((_, i) => engine.get(key(i)) as Uint8Array)
    ;(read[3] as Uint8Array).fill(0)
    structuredClone(read[4], { transfer: [(read[4] as Uint8Array).buffer as ArrayBuffer] })
    values.forEach((bytes, i) => {
      if (i !== 3) expect(Buffer.compare(read[i] as Uint8Array, bytes), String(i)).toBe(0)
      expect(Buffer.compare(engine.get(key(i)) as Uint8Array, bytes), String(i)).toBe(0)
    })
    await engine.close()
  })
})
