import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Located } from '../../engine/index/leaf.ts'
import { KeyHasher } from '../../engine/key-hash.ts'
import { Memtable } from '../../engine/memtable.ts'

const SEED = 20260323
const hasher = new KeyHasher(1, 2)

function put(table: Memtable, key: Uint8Array, value: Located, seq: number, reader = -1): void {
  const hash = hasher.hash(key)
  const at = { seq, newestReaderSeq: reader }
  table.set(table.find(key, hash), { bytes: key, hash }, value, at)
}

function get(table: Memtable, key: Uint8Array, seq = Infinity): Located | undefined {
  return table.get(key, hasher.hash(key), seq)
}

function pointer(offset: number): Located {
  return { kind: 'pointer', pointer: { segmentId: 7, offset, length: 1040 } }
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

/** Few letters and a long shared beginning, so that prefixes, ties and ends of keys all matter. */
const KEY = fc
  .tuple(
    fc.constantFrom('', 'user/0000000000/'),
    fc.array(fc.constantFrom('\0', 'a', 'b', '\xff'), { minLength: 1, maxLength: 9 }),
  )
  .map(([prefix, letters]) => prefix + letters.join(''))

/** Entries of a table whose memory the next one gets: few, enough, and more than is kept. */
const MEMORY = fc.constantFrom(1, 1500, 70_000)

/** A table of so many keys, one of them of those that are tried. */
function filled(count: number): Memtable {
  const table = new Memtable(1)
  for (let i = 0; i < count; i++)
    put(table, bytes(i === 0 ? 'a' : `${i}`.padEnd(40)), pointer(i), i)
  return table
}

/** Its memory is not taken, so one will do. */
const large = filled(70_000)

describe('memtable', () => {
  test('holds the newest value of every key and lists keys in byte order', () => {
    fc.assert(
      fc.property(fc.array(KEY, { maxLength: 400 }), fc.option(MEMORY), (keys, memory) => {
        const table = new Memtable(
          2,
          memory === null ? null : memory === large.size ? large : filled(memory),
        )
        const oracle = new Map<string, number>()
        keys.forEach((key, i) => {
          put(table, bytes(key), pointer(i + 4), i)
          oracle.set(key, i + 4)
        })
        for (const [key, offset] of oracle) expect(get(table, bytes(key))).toEqual(pointer(offset))
        expect(get(table, bytes('not there'))).toBeUndefined()
        expect(table.size).toBe(oracle.size)
        const listed = Array.from(table.sorted(), (entry) =>
          Buffer.from(table.keyOf(entry)).toString('latin1'),
        )
        expect(listed).toEqual([...oracle.keys()].sort((a, b) => (a < b ? -1 : 1)))
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  test('a reader sees what was there when it was opened, and nothing between is kept', () => {
    const table = new Memtable(1)
    const key = bytes('k')
    put(table, key, pointer(1), 1)
    put(table, key, pointer(2), 2)
    put(table, key, pointer(3), 3, 2)
    put(table, key, { kind: 'tombstone' }, 4, 2)
    put(table, key, { kind: 'inline', value: bytes('now') }, 5, 2)
    expect(get(table, key, 0)).toBeUndefined()
    expect(get(table, key, 2)).toEqual(pointer(2))
    expect(get(table, key, 4)).toEqual(pointer(2))
    expect(get(table, key)).toEqual({ kind: 'inline', value: bytes('now') })
    put(table, key, pointer(6), 6)
    expect(get(table, key, 5)).toBeUndefined()
    expect(get(table, key, 6)).toEqual(pointer(6))
  })

  test('keeps its keys when the caller reuses the buffer, over many growths', () => {
    const table = new Memtable(1)
    const key = Buffer.alloc(16)
    for (let i = 0; i < 20_000; i++) {
      key.writeUInt32BE(Math.imul(i, 2654435761) >>> 0, 12)
      put(table, key, pointer(i + 4), i)
    }
    expect(table.size).toBe(20_000)
    for (let i = 0; i < 20_000; i += 37) {
      key.writeUInt32BE(Math.imul(i, 2654435761) >>> 0, 12)
      expect(get(table, key)).toEqual(pointer(i + 4))
    }
    const sorted = table.sorted()
    for (let i = 1; i < sorted.length; i++) {
      const [before, after] = [sorted[i - 1], sorted[i]] as [number, number]
      if (Buffer.compare(table.keyOf(before), table.keyOf(after)) >= 0) throw new Error('order')
    }
  })

  test.each<[string, number, (i: number) => string]>([
    ['digits behind a long beginning', 60_000, (i) => `key/${String(i).padStart(12, '0')}`],
    ['one word for all but one', 60_000, (i) => (i === 7 ? 'admin' : `user:${i * 7919}`)],
    ['two words for all', 60_000, (i) => `account/${i % 2}/items/${i}`],
    ['nothing but ends', 2_000, (i) => `k${'\0'.repeat(i)}`],
    ['agreeing in long stretches', 300, (i) => `${'x'.repeat(4 * i)}${i % 3}`],
  ])('sorts keys in slices: %s', (_, count, keyOf) => {
    const table = new Memtable(1)
    const keys = Array.from({ length: count }, (_unused, i) => bytes(keyOf((i * 31) % count)))
    keys.forEach((key, i) => {
      put(table, key, pointer(i + 4), i)
    })
    const sorting = table.sorting()
    let steps = 0
    let step = sorting.next()
    for (; step.done !== true; step = sorting.next()) steps++
    const expected = keys.sort((a, b) => Buffer.compare(a, b))
    const at = expected.findIndex((key, i) => {
      return Buffer.compare(key, table.keyOf(step.value[i] as number)) !== 0
    })
    expect(at).toBe(-1)
    expect(step.value).toHaveLength(count)
    // Nothing goes over more than a few thousand entries at once.
    expect(steps).toBeGreaterThanOrEqual(Math.floor(count / 1024))
  })

  test('finds the first key at or behind a bound', () => {
    const table = new Memtable(1)
    for (const key of ['b', 'd', 'f']) put(table, bytes(key), pointer(4), 1)
    const sorted = table.sorted()
    const bound = (key: string, after: boolean): number =>
      table.lowerBound(sorted, bytes(key), after)
    expect([bound('a', false), bound('d', false), bound('d', true), bound('g', false)]).toEqual([
      0, 1, 2, 3,
    ])
  })
})
