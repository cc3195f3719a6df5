import fc from 'fast-check'
import { compress } from '@bokuweb/zstd-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ChecksumKind } from '../../../engine/checksum.ts'
import { checksum } from '../../../engine/checksum.ts'
import {
  decodeJournal,
  encodeBatch,
  encodedBatchBytes,
  type JournalBatch,
  type JournalOperation,
} from '../../../engine/commit-log/codec.ts'
import { EngineError } from '../../../engine/errors.ts'
import { loadZstd } from '../../../engine/value-log/zstd.ts'
import { KINDS, errorOf } from './memory-file.ts'

beforeAll(loadZstd)

function compressedPayload(raw: Uint8Array): Uint8Array {
  const block = compress(raw)
  const payload = new Uint8Array(4 + block.length)
  new DataView(payload.buffer).setUint32(0, raw.length, true)
  payload.set(block, 4)
  return payload
}

const anyKind = fc.constantFrom(...KINDS)
const anyKey = fc.uint8Array({ maxLength: 30 })
const anyWord = fc.integer({ min: 0, max: 0xffffffff })
const anyOperation: fc.Arbitrary<JournalOperation> = fc.oneof(
  fc.record({
    op: fc.constant('set_rid' as const),
    key: anyKey,
    rid: fc.record({ low: fc.integer({ min: 1, max: 0xffffffff }), high: anyWord }),
  }),
  fc.record({
    op: fc.constant('set_inline' as const),
    key: anyKey,
    value: fc.uint8Array({ maxLength: 50 }),
  }),
  fc.record({ op: fc.constant('delete' as const), key: anyKey }),
)
const anyBatch: fc.Arbitrary<JournalBatch> = fc.record({
  seq: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  operations: fc.array(anyOperation, { minLength: 1, maxLength: 6 }),
})

function fileOf(batches: readonly JournalBatch[], kind: ChecksumKind): Uint8Array {
  const bytes = batches.reduce((sum, batch) => sum + encodedBatchBytes(batch.operations), 0)
  const file = new Uint8Array(bytes)
  let at = 0
  for (const batch of batches) at = encodeBatch(file, at, batch, kind)
  expect(at).toBe(bytes)
  return file
}

/** A segment around any payload, with a right checksum. */
function segmentOf(payload: Uint8Array, lengthBits = 0): Uint8Array {
  const file = new Uint8Array(8 + payload.length)
  const view = new DataView(file.buffer)
  file.set(payload, 8)
  view.setUint32(0, (payload.length | lengthBits) >>> 0, true)
  view.setUint32(4, checksum('ieee', payload, 0, payload.length), true)
  return file
}

const BATCHES: JournalBatch[] = [
  { seq: 1, operations: [{ op: 'set_rid', key: Buffer.from('a'), rid: { low: 5, high: 0 } }] },
  { seq: 2, operations: [{ op: 'set_inline', key: Buffer.from('b'), value: Buffer.from('bb') }] },
  { seq: 3, operations: [{ op: 'delete', key: Buffer.from('c') }] },
]

function isPrefix(batches: readonly JournalBatch[]): boolean {
  const bytes = fileOf(batches, 'ieee')
  return Buffer.compare(bytes, fileOf(BATCHES, 'ieee').subarray(0, bytes.length)) === 0
}

describe('the journal codec', () => {
  test('batches round-trip under both checksums', () => {
    fc.assert(
      fc.property(fc.array(anyBatch, { maxLength: 5 }), anyKind, (batches, kind) => {
        const file = fileOf(batches, kind)
        expect(decodeJournal(file, kind, 'here')).toEqual({
          batches,
          end: file.length,
          torn: false,
        })
      }),
      { numRuns: 80 },
    )
  })

  test.each(KINDS)('a cut at every byte keeps the whole batches before it (%s)', (kind) => {
    const file = fileOf(BATCHES, kind)
    const borders = [0]
    for (const { operations } of BATCHES) {
      borders.push((borders.at(-1) ?? 0) + encodedBatchBytes(operations))
    }
    for (let cut = 0; cut <= file.length; cut++) {
      const { batches, end, torn } = decodeJournal(file.subarray(0, cut), kind, 'here')
      const whole = borders.filter((border) => border <= cut)
      expect(batches).toHaveLength(whole.length - 1)
      expect([end, torn]).toEqual([whole.at(-1), !borders.includes(cut)])
    }
  })

  test.each(KINDS)('no flipped bit is ever read as another batch (%s)', (kind) => {
    const file = fileOf(BATCHES, kind)
    const readings: string[] = []
    for (let at = 0; at < file.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const mutated = file.slice()
        mutated[at] = (mutated[at] ?? 0) ^ (1 << bit)
        try {
          const { batches, torn } = decodeJournal(mutated, kind, 'here')
          // Only a length that reaches past the end gets here: it looks like a cut.
          if (!torn || !isPrefix(batches)) readings.push(`bit ${bit} of byte ${at}`)
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError)
        }
      }
    }
    expect(readings).toEqual([])
  })

  test.each([0, 1, 2, 3])(
    'a hole at sector %i ends the file before its batch, whatever follows',
    (hole) => {
      // Batches of many sizes over five sectors: borders fall anywhere.
      const batches = Array.from({ length: 9 }, (_, i): JournalBatch => {
        const value = new Uint8Array(40 * i + 100).fill(i + 1)
        return {
          seq: i + 1,
          operations: [{ op: 'set_inline', key: new Uint8Array([0x6b]), value }],
        }
      })
      const file = fileOf(batches, 'ieee')
      file.fill(0, hole * 512, (hole + 1) * 512)
      const reading = decodeJournal(file, 'ieee', 'here')
      expect(reading.torn).toBe(true)
      const whole = batches.filter(
        (_, i) => fileOf(batches.slice(0, i + 1), 'ieee').length <= hole * 512,
      )
      expect(reading.batches).toEqual(whole)
    },
  )

  test('damage without a hole is damage, with or without batches behind it', () => {
    for (const seq of [1, 3]) {
      const file = fileOf(BATCHES, 'ieee')
      const at = fileOf(BATCHES.slice(0, seq), 'ieee').length - 1
      file[at] = (file[at] ?? 0) ^ 0x10
      const error = errorOf(() => decodeJournal(file, 'ieee', 'here'))
      expect(error, `batch ${seq}`).toMatchObject({ code: 'ENGINE_CORRUPT' })
    }
  })

  test('any payload under a right checksum is a batch or an EngineError', () => {
    const anyPayload = fc.uint8Array({ maxLength: 120 })
    fc.assert(
      fc.property(anyPayload, fc.boolean(), fc.nat({ max: 4 }), (payload, isOurs, count) => {
        if (isOurs && payload.length >= 5) payload.set([1, count, 0, 0, 0])
        try {
          decodeJournal(segmentOf(payload), 'ieee', 'here')
        } catch (error) {
          expect(error).toBeInstanceOf(EngineError)
        }
      }),
      { numRuns: 400 },
    )
  })

  test('other versions are named as unsupported', () => {
    const payload = new Uint8Array([2, 0, 0, 0, 0])
    const version = errorOf(() => decodeJournal(segmentOf(payload), 'ieee', 'here'))
    expect(version).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
    expect(String(version)).toContain('version 2')
  })

  test('zstd-compressed segments read like the others', () => {
    const operations: JournalOperation[] = [
      { op: 'set_inline', key: Buffer.from('a'), value: Buffer.alloc(500, 'v') },
    ]
    const file = fileOf([{ seq: 7, operations }], 'ieee')
    const stored = compressedPayload(file.slice(8))
    expect(stored.length).toBeLessThan(100)
    const reading = decodeJournal(segmentOf(stored, 0x80000000), 'ieee', 'here')
    expect(reading.batches).toEqual(decodeJournal(file, 'ieee', 'here').batches)
    expect(reading.torn).toBe(false)
  })

  test('a compressed segment that lies about its size is refused before memory is taken', () => {
    const payload = compressedPayload(new Uint8Array(100))
    const view = new DataView(payload.buffer)
    view.setUint32(0, 101, true)
    const other = errorOf(() => decodeJournal(segmentOf(payload, 0x80000000), 'ieee', 'here'))
    expect(other).toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(String(other)).toContain('claims 100 bytes, its frame 101')
    view.setUint32(0, 0xffffffff, true)
    const huge = errorOf(() => decodeJournal(segmentOf(payload, 0x80000000), 'ieee', 'here'))
    expect(huge).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
    const cut = errorOf(() =>
      decodeJournal(segmentOf(payload.slice(0, 3), 0x80000000), 'ieee', 'here'),
    )
    expect(cut).toMatchObject({ code: 'ENGINE_CORRUPT' })
  })

  test('two sequence numbers in one batch are damage', () => {
    const operations: JournalOperation[] = [
      { op: 'delete', key: Buffer.from('a') },
      { op: 'delete', key: Buffer.from('b') },
    ]
    const file = fileOf([{ seq: 7, operations }], 'ieee')
    const payload = file.slice(8)
    // 5 bytes of header, 24 of the first record, then 15 to its neighbour's sequence number.
    payload[5 + 24 + 15] = 8
    const error = errorOf(() => decodeJournal(segmentOf(payload), 'ieee', 'here'))
    expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(String(error)).toContain('mixed batch')
  })
})
