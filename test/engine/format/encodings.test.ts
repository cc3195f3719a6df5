/** Every leaf and internal encoding, with every mark: round trips, hostile bytes, and the limits. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../../engine/errors.ts'
import {
  INTERNAL_BASE_DELTA,
  decodeInternal,
  encodeBaseDelta,
  type EncodedChild,
} from '../../../engine/index/internal-encodings.ts'
import {
  childIdOffset,
  childKey,
  searchInternal,
  validateInternal,
} from '../../../engine/index/internal.ts'
import {
  LEAF_ENCODING_NAMES,
  LEAF_PACKED,
  LEAF_PREFIX2,
  LEAF_REVISIONS,
  decodeLeaf,
  encodeLeaf,
  type LeafEntry,
} from '../../../engine/index/leaf-encodings.ts'
import {
  encodeLeafRef,
  compactLeafPage,
  leafPageOf,
  resolveLeafRef,
} from '../../../engine/index/leaf-ref.ts'
import {
  entryKey,
  entryStart,
  entryValue,
  searchLeaf,
  validateLeaf,
  type Located,
} from '../../../engine/index/leaf.ts'
import {
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  checkTreePage,
  makePage,
  pageCount,
  type Page,
} from '../../../engine/index/page.ts'
import { KINDS, errorOf } from './memory-file.ts'

const MARKS = [0, LEAF_PACKED, LEAF_REVISIONS, LEAF_PACKED | LEAF_REVISIONS]
const ENCODINGS = [...LEAF_ENCODING_NAMES].flatMap(([base, name]) =>
  MARKS.map((marks) => [`${name} + 0x${marks.toString(16)}`, base | marks] as const),
)

const anyU32 = fc.integer({ min: 0, max: 0xffffffff })
const anyPointer = fc.record({ offset: anyU32, length: anyU32, segmentId: anyU32 })
const anyLocated: fc.Arbitrary<Located> = fc.oneof(
  fc.record({ kind: fc.constant('inline' as const), value: fc.uint8Array({ maxLength: 60 }) }),
  fc.record({ kind: fc.constant('pointer' as const), pointer: anyPointer }),
  fc.constant({ kind: 'tombstone' as const }),
)
/** Keys that share much, little or nothing. */
const anyKey = fc
  .tuple(
    fc.constantFrom('', 'user/', 'user/0000', 'z'.repeat(260)),
    fc.uint8Array({ maxLength: 12 }),
  )
  .map(([prefix, suffix]) => Buffer.concat([Buffer.from(prefix), suffix]))
const anyEntries: fc.Arbitrary<LeafEntry[]> = fc
  .uniqueArray(fc.tuple(anyKey, anyLocated), {
    maxLength: 40,
    selector: ([key]) => key.toString('hex'),
  })
  .map((pairs) =>
    pairs
      .sort(([a], [b]) => Buffer.compare(a, b))
      .map(([key, value]) => ({ key: new Uint8Array(key), value })),
  )

function readLeaf(page: Page): LeafEntry[] {
  return Array.from({ length: pageCount(page) }, (_, i) => {
    const start = entryStart(page, i)
    const value = entryValue(page, start)
    const own = value.kind === 'inline' ? { ...value, value: new Uint8Array(value.value) } : value
    return { key: new Uint8Array(entryKey(page, start)), value: own }
  })
}

describe.each(ENCODINGS)('leaf encoding %s', (_name, encoding) => {
  test('round-trips any entries that fit, and finds each of them', () => {
    fc.assert(
      fc.property(anyEntries, fc.constantFrom(...KINDS), (entries, kind) => {
        const stored = encodeLeaf(entries, encoding, { id: 7, kind })
        if (stored === undefined) return
        checkTreePage(stored, 7, kind)
        const page = decodeLeaf(stored, 7)
        validateLeaf(page, 7)
        expect(readLeaf(page)).toEqual(entries)
        entries.forEach(({ key }, i) => expect(searchLeaf(page, key)).toBe(i))
      }),
      { numRuns: 60 },
    )
  })

  test('any bytes are a reading or an EngineError, in bounded memory', () => {
    const anyMutation = fc.tuple(fc.integer({ min: 14, max: PAGE_BYTES - 1 }), fc.nat({ max: 255 }))
    // Half of the mutations hit the tables at the front, where they do most.
    const atFront = fc.tuple(fc.integer({ min: 14, max: 200 }), fc.nat({ max: 255 }))
    const mutations = fc.array(fc.oneof(atFront, anyMutation), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(anyEntries, mutations, (entries, changes) => {
        const stored = encodeLeaf(entries, encoding, { id: 7, kind: 'ieee' })
        if (stored === undefined) return
        for (const [at, byte] of changes) stored.bytes[at] = byte
        try {
          const page = decodeLeaf(stored, 7)
          expect(page.bytes.length).toBeLessThanOrEqual(2 ** 18)
          validateLeaf(page, 7)
          readLeaf(page)
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError)
        }
      }),
      { numRuns: 150 },
    )
  })
})

describe('leaf pages', () => {
  test('entries that do not fit a page give none', () => {
    const entries: LeafEntry[] = [
      { key: Buffer.from('k'), value: { kind: 'inline', value: new Uint8Array(PAGE_BYTES) } },
    ]
    for (const [, encoding] of ENCODINGS) {
      expect(encodeLeaf(entries, encoding, { id: 7, kind: 'ieee' })).toBeUndefined()
    }
  })

  test('a key that shares more than the one before has, and one at a restart that shares, are damage', () => {
    const value: Located = { kind: 'tombstone' }
    const entries = Array.from({ length: 17 }, (_, i) => ({
      key: Buffer.from(`key${i + 10}`),
      value,
    }))
    for (const [index, shared] of [
      [1, 6],
      [16, 1],
    ] as const) {
      const stored = encodeLeaf(entries, LEAF_PREFIX2, { id: 7, kind: 'ieee' })
      if (stored === undefined) throw new Error('the entries fit')
      const at = stored.view.getUint16(PAGE_HEADER_BYTES + index * 2, true)
      stored.view.setUint8(at, shared)
      const error = errorOf(() => decodeLeaf(stored, 7))
      expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
      expect(String(error)).toContain(`entry ${index} shares ${shared} bytes`)
    }
  })

  test('a page whose entries all claim the same bytes does not blow up', () => {
    const count = 800
    const stored = makePage(new Uint8Array(PAGE_BYTES))
    stored.view.setUint16(12, 4 | LEAF_PREFIX2, true)
    stored.view.setUint16(14, count, true)
    const at = PAGE_HEADER_BYTES + count * 2
    for (let i = 0; i < count; i++) stored.view.setUint16(PAGE_HEADER_BYTES + i * 2, at, true)
    stored.bytes.set([0xff, 0xff, 2, 0, 0, 0xb0, 0x09], at)
    expect(errorOf(() => decodeLeaf(stored, 7))).toMatchObject({ code: 'ENGINE_CORRUPT' })
  })
})

describe('internal pages with base and delta', () => {
  const anyChildKey = fc
    .tuple(fc.constantFrom('', 'p/'), fc.uint8Array({ maxLength: 9 }))
    .map(([prefix, suffix]) => new Uint8Array(Buffer.concat([Buffer.from(prefix), suffix])))
  const anyChildren = fc
    .uniqueArray(anyChildKey, {
      minLength: 1,
      maxLength: 40,
      selector: (key) => Buffer.from(key).toString('hex'),
    })
    .map((keys) => keys.sort((a, b) => Buffer.compare(a, b)))
    .chain((keys) =>
      fc.tuple(
        fc.bigInt({ min: 2n, max: 2n ** 52n }),
        fc.tuple(...keys.map((key) => fc.tuple(fc.constant(key), fc.nat({ max: 0xffff })))),
      ),
    )
    .map(([base, pairs]) =>
      pairs.map(([key, delta]): EncodedChild => ({ key, child: base + BigInt(delta) })),
    )

  function readChildren(page: Page): EncodedChild[] {
    return Array.from({ length: pageCount(page) }, (_, i) => ({
      key: new Uint8Array(childKey(page, i)),
      child: page.view.getBigUint64(childIdOffset(page, i), true),
    }))
  }

  test.each([
    [16, false],
    [16, true],
    [32, false],
    [32, true],
  ] as const)('round-trip with u%i deltas, fences %s', (delta, hasFences) => {
    fc.assert(
      fc.property(anyChildren, anyChildKey, (children, wanted) => {
        const low = children[0]?.key ?? new Uint8Array(0)
        const fences = { fences: { low, high: new Uint8Array(0) } }
        const stored = encodeBaseDelta(children, {
          delta,
          id: 9,
          kind: 'crc32c',
          ...(hasFences ? fences : {}),
        })
        if (stored === undefined) return
        checkTreePage(stored, 9, 'crc32c')
        const page = decodeInternal(stored, 9)
        validateInternal(page, 9)
        expect(readChildren(page)).toEqual(children)
        const atOrBelow = children.filter(({ key }) => Buffer.compare(key, wanted) <= 0).length
        expect(searchInternal(page, wanted)).toBe(Math.max(0, atOrBelow - 1))
      }),
      { numRuns: 60 },
    )
  })

  test('leaf refs of one segment fit while their offsets fit a delta', () => {
    const refs = [4, 5000, 2 ** 29 - 1].map((offset, i): EncodedChild => {
      const view = new DataView(new ArrayBuffer(8))
      encodeLeafRef(view, 0, { segmentId: 0x80000001, subIndex: 0, offset })
      return { key: Buffer.from([i]), child: view.getBigUint64(0, true) }
    })
    const stored = encodeBaseDelta(refs, { delta: 32, id: 9, kind: 'ieee' })
    if (stored === undefined) throw new Error('the refs fit')
    const children = readChildren(decodeInternal(stored, 9))
    expect(children.map(({ child }) => child)).toEqual(refs.map(({ child }) => child))
    expect(encodeBaseDelta(refs, { delta: 16, id: 9, kind: 'ieee' })).toBeUndefined()
  })

  test('keys outside of the fences are damage; without the mark fences mean nothing', () => {
    const children = ['a', 'k', 'z'].map((key, i) => ({
      key: Buffer.from(key),
      child: BigInt(i + 4),
    }))
    const fences = { low: Buffer.from('b'), high: Buffer.from('y') }
    const stored = encodeBaseDelta(children, { delta: 16, fences, id: 9, kind: 'ieee' })
    if (stored === undefined) throw new Error('the children fit')
    expect(String(errorOf(() => decodeInternal(stored, 9)))).toContain('outside of the fences')
    stored.view.setUint16(12, stored.view.getUint16(12, true) & ~0x0100, true)
    expect(pageCount(decodeInternal(stored, 9))).toBe(3)
  })

  test('an unknown mark is named', () => {
    const stored = makePage(new Uint8Array(PAGE_BYTES))
    stored.view.setUint16(12, 3 | INTERNAL_BASE_DELTA | 0x0080, true)
    const error = errorOf(() => decodeInternal(stored, 9))
    expect(error).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
    expect(String(error)).toContain('internal leaf-log refs')
  })

  test('any bytes are a reading or an EngineError, in bounded memory', () => {
    const anywhere = fc.tuple(fc.integer({ min: 14, max: PAGE_BYTES - 1 }), fc.nat({ max: 255 }))
    const inTail = fc.tuple(fc.integer({ min: PAGE_BYTES - 14, max: PAGE_BYTES - 1 }), fc.nat(255))
    const mutations = fc.array(fc.oneof(inTail, anywhere), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(anyChildren, mutations, (children, changes) => {
        const stored = encodeBaseDelta(children, { delta: 16, id: 9, kind: 'ieee' })
        if (stored === undefined) return
        for (const [at, byte] of changes) stored.bytes[at] = byte
        try {
          const page = decodeInternal(stored, 9)
          expect(page.bytes.length).toBeLessThanOrEqual(2 ** 20)
          validateInternal(page, 9)
          readChildren(page)
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('leaf pages in the value log', () => {
  test('a ref reads with 29 bits of offset, or 32 where the segment is larger than those reach', () => {
    const ref = { segmentId: 0x80000001, subIndex: 3, offset: 100 }
    expect(resolveLeafRef(ref, 2 ** 29)).toEqual(ref)
    expect(resolveLeafRef(ref, 2 ** 29 + 1)).toEqual({
      segmentId: 0x80000001,
      subIndex: 0,
      offset: 3 * 2 ** 29 + 100,
    })
    const first = { segmentId: 0x80000001, subIndex: 0, offset: 100 }
    expect(resolveLeafRef(first, 2 ** 31)).toEqual(first)
  })

  test('the compact payload expands to the page', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const stored = encodeLeaf(entries, 0, { id: 7, kind: 'ieee' })
        if (stored === undefined) return
        const compact = compactLeafPage(stored.bytes)
        const page = leafPageOf(compact, { compact: true, where: 'here' })
        expect(Buffer.compare(page.bytes, stored.bytes)).toBe(0)
        expect(errorOf(() => leafPageOf(compact, { compact: false, where: 'here' }))).toMatchObject(
          {
            code: 'ENGINE_CORRUPT',
          },
        )
      }),
      { numRuns: 40 },
    )
  })

  test('a compact payload that lies about its lengths is damage', () => {
    const stored = encodeLeaf([], 0, { id: 7, kind: 'ieee' })
    if (stored === undefined) throw new Error('nothing fits always')
    for (const [prefix, suffix] of [
      [0, 0],
      [4096, 1],
      [0xffff, 0xffff],
    ] as const) {
      const compact = Buffer.from(compactLeafPage(stored.bytes))
      compact.writeUInt16LE(prefix, 8)
      compact.writeUInt16LE(suffix, 10)
      const error = errorOf(() => leafPageOf(compact, { compact: true, where: 'here' }))
      expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
    }
  })
})
