/** The test vectors of the format (rows of its reference, section 9) that March 2026 folders have. */
import { describe, expect, test } from 'vitest'
import { checksum, type ChecksumKind } from '../../../engine/checksum.ts'
import { decodeJournal, encodeBatch, encodedBatchBytes } from '../../../engine/commit-log/codec.ts'
import { EngineError } from '../../../engine/errors.ts'
import { laneOf, parseSegmentFileName, segmentFileName, seqOf } from '../../../engine/ids.ts'
import { decodeLeafRef, encodeLeafRef, leafRefPointer } from '../../../engine/index/leaf-ref.ts'
import {
  PAGE_BYTES,
  PAGE_LEAF,
  makePage,
  newPage,
  pageCount,
  pageEncoding,
  pageId,
  pageType,
  sealPage,
} from '../../../engine/index/page.ts'
import { decodeState } from '../../../engine/maintenance/state-file.ts'
import { parseFrame } from '../../../engine/value-log/record.ts'
import {
  decodePackedPointer,
  decodePointer,
  encodePackedPointer,
  encodePointer,
  groupedLength,
  hintOf,
  isGrouped,
  subIndexOf,
} from '../../../engine/value-pointer.ts'
import { errorOf, plainRecord, rawFrame, rid } from './memory-file.ts'

function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replaceAll(' ', ''), 'hex')
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function sum(kind: ChecksumKind, text: string): number {
  return checksum(kind, Buffer.from(text), 0, Buffer.byteLength(text))
}

describe('checksums (rows 1-3)', () => {
  test('CRC-32/IEEE', () => {
    expect(sum('ieee', 'hello world')).toBe(0x0d4a1185)
    expect(sum('ieee', '')).toBe(0)
    expect(sum('ieee', '123456789')).toBe(0xcbf43926)
  })

  test('CRC-32C', () => {
    expect(sum('crc32c', '123456789')).toBe(0xe3069283)
    expect(sum('crc32c', 'hello world')).toBe(0xc99465aa)
    expect(sum('crc32c', '')).toBe(0)
  })

  test.each(['ieee', 'crc32c'] as const)('%s chains over parts', (kind) => {
    const bytes = Buffer.from('123456789')
    const head = checksum(kind, bytes, 0, 4)
    expect(checksum(kind, bytes, 4, 9, head)).toBe(checksum(kind, bytes, 0, 9))
    expect(checksum(kind, bytes, 4, 4, head)).toBe(head)
  })
})

describe('page header (rows 4, 21)', () => {
  const HEADER = '15cd5b0700000000efbeadde04002a00'

  test('decodes', () => {
    const page = makePage(Buffer.concat([bytesOf(HEADER), Buffer.alloc(PAGE_BYTES - 16)]))
    expect(pageId(page)).toBe(123456789)
    expect(page.view.getUint32(8, true)).toBe(0xdeadbeef)
    expect([pageType(page), pageEncoding(page), pageCount(page)]).toEqual([PAGE_LEAF, 0, 42])
  })

  test('encodes', () => {
    const page = newPage()
    sealPage(page, { id: 123456789, type: PAGE_LEAF, count: 42 }, 'crc32c')
    page.view.setUint32(8, 0xdeadbeef, true)
    expect(hexOf(page.bytes.subarray(0, 16))).toBe(HEADER)
  })

  test('sixteen zero bytes are a zero header', () => {
    const page = newPage()
    expect([pageId(page), pageType(page), pageEncoding(page), pageCount(page)]).toEqual([
      0, 0, 0, 0,
    ])
  })
})

describe('value pointers (rows 5-7, 12, 21)', () => {
  test('sixteen bytes', () => {
    const pointer = { offset: 9876543210, length: 1024, segmentId: 5 }
    const bytes = new Uint8Array(16)
    encodePointer(new DataView(bytes.buffer), 0, pointer)
    expect(hexOf(bytes)).toBe('ea16b04c020000000004000005000000')
    expect(decodePointer(new DataView(bytes.buffer), 0)).toEqual(pointer)
  })

  test('twelve bytes packed', () => {
    const pointer = { offset: 123456789, length: 1024, segmentId: 5 }
    const bytes = new Uint8Array(12)
    encodePackedPointer(new DataView(bytes.buffer), 0, pointer)
    expect(hexOf(bytes)).toBe('15cd5b070004000005000000')
    expect(decodePackedPointer(new DataView(bytes.buffer), 0)).toEqual(pointer)
  })

  test('an offset of 2^32 does not pack', () => {
    const pointer = { offset: 2 ** 32, length: 1024, segmentId: 5 }
    const error = errorOf(() => encodePackedPointer(new DataView(new ArrayBuffer(12)), 0, pointer))
    expect(error).toMatchObject({ code: 'ENGINE_LIMIT' })
    encodePackedPointer(new DataView(new ArrayBuffer(12)), 0, { ...pointer, offset: 2 ** 32 - 1 })
  })

  test('grouped marks', () => {
    expect(groupedLength(1234, 3)).toBe(0x4c0004d2)
    const pointer = { segmentId: 5, offset: 4, length: 0x4c0004d2 }
    expect([isGrouped(pointer), subIndexOf(pointer), hintOf(pointer)]).toEqual([true, 3, 1234])
  })

  test('sixteen zero bytes are a zero pointer', () => {
    const zero = { segmentId: 0, offset: 0, length: 0 }
    expect(decodePointer(new DataView(new ArrayBuffer(16)), 0)).toEqual(zero)
  })
})

describe('leaf refs (rows 16, 17)', () => {
  const LEAF_REFS = [
    [{ segmentId: 0x80000001, offset: 0, subIndex: 0 }, 0x8000000100000000n],
    [{ segmentId: 0x80000001, offset: 123, subIndex: 3 }, 0x800000016000007bn],
    [{ segmentId: 0x800004d2, offset: 2 ** 29 - 1, subIndex: 7 }, 0x800004d2ffffffffn],
  ] as const

  test.each(LEAF_REFS)('%o', (ref, id) => {
    const view = new DataView(new ArrayBuffer(8))
    encodeLeafRef(view, 0, ref)
    expect(view.getBigUint64(0, true)).toBe(id)
    expect(decodeLeafRef(view, 0)).toEqual(ref)
    const pointer = leafRefPointer(ref)
    expect(pointer).toMatchObject({ segmentId: ref.segmentId, offset: ref.offset })
    expect([isGrouped(pointer), subIndexOf(pointer), hintOf(pointer)]).toEqual([
      true,
      ref.subIndex,
      0,
    ])
  })

  test.each([
    { segmentId: 123, offset: 0, subIndex: 0 },
    { segmentId: 0x80000001, offset: 2 ** 29, subIndex: 0 },
    { segmentId: 0x80000001, offset: 0, subIndex: 8 },
  ])('%o is refused', (ref) => {
    expect(errorOf(() => encodeLeafRef(new DataView(new ArrayBuffer(8)), 0, ref))).toMatchObject({
      code: 'ENGINE_LIMIT',
    })
  })

  test('a page id is no leaf ref', () => {
    const view = new DataView(new ArrayBuffer(8))
    view.setBigUint64(0, 123n, true)
    expect(decodeLeafRef(view, 0)).toBeUndefined()
  })
})

describe('records and frames (rows 19, 27)', () => {
  test('a raw frame of one value', () => {
    const payload = rawFrame([rid(1)], [Buffer.from('hello world')])
    expect(hexOf(payload)).toBe(
      '010001000000000000000000' +
        '0100000000000000' +
        '000000000b000000' +
        '68656c6c6f20776f726c64',
    )
    const frame = parseFrame(payload, 'here')
    expect(frame).toMatchObject({ count: 1, compressed: false, dictionaryId: 0n, offsets: [0, 11] })
    expect(frame.rids).toEqual([rid(1)])
    expect(Buffer.from(payload.subarray(frame.dataStart)).toString()).toBe('hello world')
  })

  test.each([
    ['crc32c', 'a51bdc34'],
    ['ieee', 'b1a5bc57'],
  ] as const)('a plain record under %s', (kind, crc) => {
    const record = plainRecord(rid(1), Buffer.from('hello world'), kind)
    expect(hexOf(record)).toBe(crc + '0100000001000000000000000b000000' + '68656c6c6f20776f726c64')
  })
})

describe('segment ids (row 22)', () => {
  test.each([
    [2147483668, 20, 'value-l0-000020.log'],
    [2147483669, 21, 'value-l0-000021.log'],
  ])('%d is lane 0, sequence %d', (id, seq, name) => {
    expect([laneOf(id), seqOf(id)]).toEqual([0, seq])
    expect(segmentFileName(id)).toBe(name)
    expect(parseSegmentFileName(name)).toBe(id)
  })
})

describe('journal (row 23)', () => {
  const HEX = [
    '52000000 4187abcf 01 03000000',
    '00 0200 00000000 0100000000000000 0000000000000000 6b31',
    '01 0200 02000000 0000000000000000 0000000000000000 6b32 7632',
    '02 0200 00000000 0000000000000000 0000000000000000 6b33',
  ].join('')
  const OPERATIONS = [
    { op: 'set_rid', key: Buffer.from('k1'), rid: rid(1) },
    { op: 'set_inline', key: Buffer.from('k2'), value: Buffer.from('v2') },
    { op: 'delete', key: Buffer.from('k3') },
  ] as const

  test('encodes one batch', () => {
    const bytes = new Uint8Array(encodedBatchBytes(OPERATIONS))
    const end = encodeBatch(bytes, 0, { seq: 0, operations: [...OPERATIONS] }, 'crc32c')
    expect(end).toBe(bytes.length)
    expect(hexOf(bytes)).toBe(hexOf(bytesOf(HEX)))
  })

  test('decodes one batch', () => {
    const { batches, end, torn } = decodeJournal(bytesOf(HEX), 'crc32c', 'commit-l0-000001.log')
    expect({ end, torn }).toEqual({ end: 90, torn: false })
    expect(batches).toEqual([{ seq: 0, operations: OPERATIONS }])
  })

  test('the other checksum refuses it', () => {
    expect(errorOf(() => decodeJournal(bytesOf(HEX), 'ieee', 'here'))).toBeInstanceOf(EngineError)
  })
})

describe('state file (row 24)', () => {
  test('skips id 0', () => {
    const text = JSON.stringify({
      rewrite_source_file_ids: ['0', '1'],
      rewrite_debt_ledger: [{ file_id: '0', bytes_total: 1, bytes_live: 1 }],
    })
    expect(decodeState(text, 0).debt.queue).toEqual([1])
  })
})
