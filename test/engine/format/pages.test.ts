import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ChecksumKind } from '../../../engine/checksum.ts'
import { EngineError } from '../../../engine/errors.ts'
import {
  encodeSegmentId,
  laneOf,
  parseSegmentFileName,
  segmentFileName,
  seqOf,
} from '../../../engine/ids.ts'
import {
  childAt,
  childKey,
  cutChildren,
  layOutInternal,
  searchInternal,
  validateInternal,
  type ChildRef,
} from '../../../engine/index/internal.ts'
import { decodeLeaf } from '../../../engine/index/leaf-encodings.ts'
import {
  ENTRY_TOMBSTONE,
  EntryRun,
  encodeEntry,
  entryKey,
  entryStart,
  entryValue,
  searchLeaf,
  validateLeaf,
  type Located,
} from '../../../engine/index/leaf.ts'
import {
  decodeMeta,
  encodeMeta,
  isDurableMeta,
  readMetaPages,
  type Meta,
} from '../../../engine/index/meta.ts'
import {
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_INTERNAL,
  checkTreePage,
  hasValidChecksum,
  makePage,
  newPage,
  pageCount,
  pageId,
  sealPage,
  type Page,
} from '../../../engine/index/page.ts'
import {
  decodePackedPointer,
  decodePointer,
  encodePackedPointer,
  encodePointer,
  groupedLength,
  hintOf,
  isGrouped,
  recordStart,
  subIndexOf,
} from '../../../engine/value-pointer.ts'
import { KINDS, errorOf } from './memory-file.ts'

const anyKind = fc.constantFrom(...KINDS)
const anyU32 = fc.integer({ min: 0, max: 0xffffffff })
const anyOffset = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const anyPointer = fc.record({ offset: anyOffset, length: anyU32, segmentId: anyU32 })
const anyKey = fc.uint8Array({ maxLength: 40 })
const anyLocated: fc.Arbitrary<Exclude<Located, { kind: 'tombstone' }>> = fc.oneof(
  fc.record({ kind: fc.constant('inline' as const), value: fc.uint8Array({ maxLength: 60 }) }),
  fc.record({ kind: fc.constant('pointer' as const), pointer: anyPointer }),
)
/** Unique keys in byte order. */
const anyKeys = fc
  .uniqueArray(anyKey, { maxLength: 25, selector: (key) => Buffer.from(key).toString('hex') })
  .map((keys) => keys.sort((a, b) => Buffer.compare(a, b)))

type Entry = [Uint8Array, Exclude<Located, { kind: 'tombstone' }>]
const anyEntries = anyKeys.chain((keys) =>
  fc.tuple(...keys.map((key) => anyLocated.map((located): Entry => [key, located]))),
)

function leafOf(entries: readonly Entry[], kind: ChecksumKind, id = 7): Page {
  const run = new EntryRun()
  for (const [key, located] of entries) {
    const bytes = encodeEntry(key, located)
    run.push(bytes, 0, bytes.length)
  }
  return run.layOut(0, run.count, id, kind)
}

function readLeaf(page: Page): [string, Located][] {
  return Array.from({ length: pageCount(page) }, (_, i) => {
    const start = entryStart(page, i)
    return [Buffer.from(entryKey(page, start)).toString('hex'), entryValue(page, start)]
  })
}

function copyOf(page: Page): Page {
  return makePage(page.bytes.slice())
}

function reseal(page: Page, kind: ChecksumKind, type: number): void {
  sealPage(page, { id: pageId(page), type, count: pageCount(page) }, kind)
}

describe('segment ids', () => {
  test('round-trip through lane, sequence and file name', () => {
    const anyLane = fc.integer({ min: 0, max: 255 })
    const anySeq = fc.integer({ min: 0, max: 8_388_607 })
    fc.assert(
      fc.property(anyLane, anySeq, (lane, seq) => {
        const id = encodeSegmentId(lane, seq)
        expect([laneOf(id), seqOf(id)]).toEqual([lane, seq])
        expect(parseSegmentFileName(segmentFileName(id))).toBe(id)
      }),
    )
  })

  test('the old name without a lane and names that are none', () => {
    expect(parseSegmentFileName('value-000007.log')).toBe(0x80000007)
    for (const name of [
      'value-l256-000001.log',
      'value-l0-8388608.log',
      'value-l0-1.log.tmp',
      'x',
    ]) {
      expect(parseSegmentFileName(name)).toBeUndefined()
    }
    expect(errorOf(() => encodeSegmentId(256, 0))).toMatchObject({ code: 'ENGINE_LIMIT' })
    expect(errorOf(() => encodeSegmentId(0, 8_388_608))).toMatchObject({ code: 'ENGINE_LIMIT' })
  })
})

describe('value pointers', () => {
  test('round-trip in both sizes', () => {
    fc.assert(
      fc.property(anyPointer, (pointer) => {
        const view = new DataView(new ArrayBuffer(16))
        encodePointer(view, 0, pointer)
        expect(decodePointer(view, 0)).toEqual(pointer)
        if (pointer.offset > 0xffffffff) {
          expect(errorOf(() => encodePackedPointer(view, 0, pointer))).toBeInstanceOf(EngineError)
        } else {
          encodePackedPointer(view, 0, pointer)
          expect(decodePackedPointer(view, 0)).toEqual(pointer)
        }
      }),
    )
  })

  test('grouped marks keep sub-index and hint apart; a hint that does not fit is left out', () => {
    const anySub = fc.integer({ min: 0, max: 127 })
    fc.assert(
      fc.property(anySub, fc.integer({ min: 16, max: 2 ** 26 }), (sub, bodyBytes) => {
        const pointer = { segmentId: 0x80000001, offset: 24, length: groupedLength(bodyBytes, sub) }
        expect(isGrouped(pointer)).toBe(true)
        expect(subIndexOf(pointer)).toBe(sub)
        expect(hintOf(pointer)).toBe(bodyBytes <= 0xffffff ? bodyBytes : 0)
        expect(recordStart(pointer)).toBe(20)
      }),
    )
  })

  test('an offset beyond 2^53 is damage, not a crash', () => {
    const view = new DataView(new ArrayBuffer(16))
    view.setBigUint64(0, 2n ** 60n, true)
    expect(errorOf(() => decodePointer(view, 0))).toMatchObject({ code: 'ENGINE_CORRUPT' })
  })
})

describe('leaf pages', () => {
  test('round-trip: same keys, same values, checked', () => {
    fc.assert(
      fc.property(anyEntries, anyKind, (entries, kind) => {
        const page = leafOf(entries, kind)
        checkTreePage(page, 7, kind)
        validateLeaf(page, 7)
        expect(readLeaf(page)).toEqual(
          entries.map(([key, located]) => [Buffer.from(key).toString('hex'), located]),
        )
        entries.forEach(([key], i) => expect(searchLeaf(page, key)).toBe(i))
      }),
      { numRuns: 80 },
    )
  })

  test('searching an absent key gives its place', () => {
    fc.assert(
      fc.property(anyEntries, anyKey, (entries, wanted) => {
        const page = leafOf(entries, 'ieee')
        const below = entries.filter(([key]) => Buffer.compare(key, wanted) < 0).length
        const isThere = entries.some(([key]) => Buffer.compare(key, wanted) === 0)
        expect(searchLeaf(page, wanted)).toBe(isThere ? below : -1 - below)
      }),
      { numRuns: 80 },
    )
  })

  test('any flipped byte fails the checksum', () => {
    const page = leafOf([[Buffer.from('k'), { kind: 'inline', value: Buffer.from('v') }]], 'crc32c')
    for (let at = 0; at < PAGE_BYTES; at++) {
      const mutated = copyOf(page)
      mutated.bytes[at] = (mutated.bytes[at] ?? 0) ^ 0x01
      expect(hasValidChecksum(mutated, 'crc32c')).toBe(false)
    }
  })

  test('any bytes under a right checksum are a reading or an EngineError', () => {
    const mutation = fc.tuple(fc.integer({ min: 12, max: PAGE_BYTES - 1 }), fc.nat({ max: 255 }))
    const anyMutations = fc.array(mutation, { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(anyEntries, anyMutations, (entries, mutations) => {
        const page = leafOf(entries, 'ieee')
        for (const [at, byte] of mutations) page.bytes[at] = byte
        const { view } = page
        view.setUint32(8, 0, true)
        try {
          validateLeaf(page, 7)
          readLeaf(page)
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError)
        }
      }),
      { numRuns: 400 },
    )
  })

  test('the tombstone bit wins and has no value bytes', () => {
    const page = leafOf([[Buffer.from('k'), { kind: 'inline', value: Buffer.from('v') }]], 'ieee')
    page.view.setUint8(entryStart(page, 0) + 6, ENTRY_TOMBSTONE | 1)
    reseal(page, 'ieee', 4)
    validateLeaf(page, 7)
    expect(entryValue(page, entryStart(page, 0))).toEqual({ kind: 'tombstone' })
  })

  test('equal or falling keys are refused', () => {
    const value: Entry[1] = { kind: 'inline', value: Buffer.from('v') }
    for (const keys of [
      ['b', 'a'],
      ['a', 'a'],
    ]) {
      const page = leafOf(
        keys.map((key): Entry => [Buffer.from(key), value]),
        'ieee',
      )
      expect(errorOf(() => validateLeaf(page, 7))).toMatchObject({ code: 'ENGINE_CORRUPT' })
    }
  })

  test('a page that carries another id than its place is refused', () => {
    const page = leafOf([], 'ieee', 7)
    checkTreePage(page, 7, 'ieee')
    expect(errorOf(() => checkTreePage(page, 8, 'ieee'))).toMatchObject({ code: 'ENGINE_CORRUPT' })
  })

  test('an encoding that is not read is named', () => {
    const page = leafOf([], 'ieee')
    sealPage(page, { id: 7, type: 4 | 0xc000, count: 0 }, 'ieee')
    const error = errorOf(() => decodeLeaf(page, 7))
    expect(error).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
    expect(String(error)).toContain('leaf prefix + leaf columnar')
  })
})

describe('internal pages', () => {
  const anyRefs = anyKeys
    .filter((keys) => keys.length > 0)
    .map((keys) => keys.map((key, i): ChildRef => ({ key, child: i + 2 })))

  test('round-trip, and a search finds the last child at or below a key', () => {
    fc.assert(
      fc.property(anyRefs, anyKey, anyKind, (refs, wanted, kind) => {
        const page = layOutInternal(refs, 9, kind)
        checkTreePage(page, 9, kind)
        validateInternal(page, 9)
        refs.forEach((ref, i) => {
          expect(childAt(page, i)).toBe(ref.child)
          expect(Buffer.compare(childKey(page, i), ref.key)).toBe(0)
        })
        const atOrBelow = refs.filter(({ key }) => Buffer.compare(key, wanted) <= 0).length
        expect(searchInternal(page, wanted)).toBe(Math.max(0, atOrBelow - 1))
      }),
      { numRuns: 80 },
    )
  })

  test('children are cut into runs that fit and keep their order', () => {
    fc.assert(
      fc.property(fc.nat({ max: 600 }), fc.nat({ max: 300 }), (count, keyBytes) => {
        const refs = Array.from({ length: count }, (_, i): ChildRef => {
          const key = new Uint8Array(keyBytes + 4)
          new DataView(key.buffer).setUint32(keyBytes, i)
          return { key, child: i + 2 }
        })
        const runs = cutChildren(refs)
        expect(runs.flat().map(({ child }) => child)).toEqual(refs.map(({ child }) => child))
        for (const run of runs) validateInternal(layOutInternal(run, 9, 'ieee'), 9)
      }),
      { numRuns: 40 },
    )
  })

  test('any bytes under a right checksum are a reading or an EngineError', () => {
    const mutation = fc.tuple(fc.integer({ min: 12, max: PAGE_BYTES - 1 }), fc.nat({ max: 255 }))
    const anyMutations = fc.array(mutation, { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(anyRefs, anyMutations, (refs, mutations) => {
        const page = layOutInternal(refs, 9, 'ieee')
        for (const [at, byte] of mutations) page.bytes[at] = byte
        try {
          validateInternal(page, 9)
          for (let i = 0; i < pageCount(page); i++) {
            childAt(page, i)
            childKey(page, i)
          }
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError)
        }
      }),
      { numRuns: 400 },
    )
  })

  test('a child in the value log is named as unsupported', () => {
    const page = layOutInternal([{ key: new Uint8Array(0), child: 2 }], 9, 'ieee')
    page.view.setUint32(PAGE_BYTES - 10 + 2 + 4, 0x80000001, true)
    reseal(page, 'ieee', PAGE_INTERNAL)
    expect(errorOf(() => childAt(page, 0))).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
  })
})

describe('meta pages', () => {
  const anyMeta: fc.Arbitrary<Meta> = fc.record({
    commitSeq: anyOffset,
    userRoot: anyOffset,
    systemRoot: anyOffset,
    freelistHead: anyOffset,
    totalPages: anyOffset,
    activeSlabId: anyU32,
    activeSlabTail: anyOffset,
    lastCommitHeight: anyOffset,
  })
  const META: Meta = {
    commitSeq: 1,
    userRoot: 2,
    systemRoot: 3,
    freelistHead: 0,
    totalPages: 4,
    activeSlabId: 0,
    activeSlabTail: 0,
    lastCommitHeight: 0,
  }

  test('round-trip, and the checksum that fits is found', () => {
    fc.assert(
      fc.property(anyMeta, anyMeta, anyKind, (first, second, kind) => {
        const pages: [Page, Page] = [encodeMeta(first, 0, kind), encodeMeta(second, 1, kind)]
        expect(decodeMeta(pages[0])).toEqual(first)
        const read = readMetaPages(pages)
        expect(read?.kind).toBe(kind)
        const front = first.commitSeq >= second.commitSeq ? 0 : 1
        expect(read?.candidates.map(({ pageNumber }) => pageNumber)).toEqual([front, 1 - front])
      }),
      { numRuns: 60 },
    )
  })

  test('a torn page leaves the other one; two torn pages leave none', () => {
    const pages: [Page, Page] = [encodeMeta(META, 0, 'ieee'), encodeMeta(META, 1, 'ieee')]
    pages[1].bytes[PAGE_HEADER_BYTES] = 99
    expect(readMetaPages(pages)?.candidates.map(({ pageNumber }) => pageNumber)).toEqual([0])
    pages[0].bytes[PAGE_BYTES - 1] = 99
    expect(readMetaPages(pages)).toBeUndefined()
  })

  test('the later durable meta is recognised by its magic', () => {
    const page = newPage()
    page.bytes.set(Buffer.from('TDMETV1\0'), PAGE_HEADER_BYTES)
    expect(isDurableMeta(page)).toBe(true)
    expect(isDurableMeta(encodeMeta(META, 0, 'ieee'))).toBe(false)
  })
})
