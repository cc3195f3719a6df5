import fc from 'fast-check'
import snappy from 'snappy'
import { compress, compressUsingDict, createCCtx } from '@bokuweb/zstd-wasm'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ChecksumKind } from '../../../engine/checksum.ts'
import { EngineError } from '../../../engine/errors.ts'
import { decodeFrameValues, encodeLz4 } from '../../../engine/value-log/compression.ts'
import {
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  FRAME_HEADER_BYTES,
  MAX_FRAME_VALUES,
  RECORD_HEADER_BYTES,
  decodeRecordHeader,
  framePrefixBytes,
  parseFrame,
  ridOf,
  sealRecord,
  writeFramePrefix,
  type RidWords,
} from '../../../engine/value-log/record.ts'
import { scanSegment, type ScannedRecord } from '../../../engine/value-log/scan.ts'
import { loadZstd } from '../../../engine/value-log/zstd.ts'
import {
  KINDS,
  MemoryFile,
  errorOf,
  groupedRecord,
  plainRecord,
  rawFrame,
  rid,
  scanAll,
} from './memory-file.ts'

beforeAll(loadZstd)

const anyKind = fc.constantFrom(...KINDS)
const anyWord = fc.integer({ min: 0, max: 0xffffffff })
const anyRid = fc
  .record({ low: anyWord, high: anyWord })
  .filter((words) => words.low !== 0 || words.high !== 0)
const anyValue = fc.uint8Array({ maxLength: 200 })
const anyFrame = fc.array(fc.tuple(anyRid, anyValue), { minLength: 1, maxLength: MAX_FRAME_VALUES })

type Written =
  | { kind: 'plain'; rid: RidWords; value: Uint8Array }
  | { kind: 'frame'; entries: [RidWords, Uint8Array][] }
const anyRecord: fc.Arbitrary<Written> = fc.oneof(
  fc.record({ kind: fc.constant('plain' as const), rid: anyRid, value: anyValue }),
  fc.record({ kind: fc.constant('frame' as const), entries: anyFrame }),
)

function encode(written: Written, kind: ChecksumKind): Uint8Array {
  if (written.kind === 'plain') return plainRecord(written.rid, written.value, kind)
  const rids = written.entries.map(([id]) => id)
  return groupedRecord(
    rawFrame(
      rids,
      written.entries.map(([, value]) => value),
    ),
    kind,
  )
}

function decode(record: ScannedRecord): Written {
  const payload = record.bytes.subarray(RECORD_HEADER_BYTES)
  if (record.frame === null) {
    const [id] = record.rids
    if (id === undefined) throw new Error('a plain record has one RID')
    return { kind: 'plain', rid: id, value: payload.slice() }
  }
  const { frame } = record
  const values = decodeFrameValues(payload, frame, 'here')
  const entries = frame.rids.map((id, i): [RidWords, Uint8Array] => [
    id,
    values.slice(frame.offsets[i], frame.offsets[i + 1]),
  ])
  return { kind: 'frame', entries }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

/** A frame whose values are `stored` bytes in the given codec. */
function compressedFrame(values: Uint8Array[], stored: Uint8Array, codec: number): Uint8Array {
  const offsets = [0]
  for (const value of values) offsets.push((offsets.at(-1) ?? 0) + value.length)
  const rids = values.map((_, i) => rid(i + 1))
  const prefix = framePrefixBytes(values.length)
  const payload = new Uint8Array(prefix + stored.length)
  writeFramePrefix(payload, 0, { rids, offsets, codec, compressed: true })
  payload.set(stored, prefix)
  return payload
}

describe('a value-log scan', () => {
  test('gives back what was written, in order, under both checksums', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { maxLength: 8 }), anyKind, (records, kind) => {
        const bytes = concat(records.map((record) => encode(record, kind)))
        const { scan, seen } = scanAll(bytes, kind)
        expect(seen.map(decode)).toEqual(records)
        expect(scan).toMatchObject({ tail: 'clean', tailOffset: bytes.length })
        expect(scan.plainRecords + scan.frames).toBe(records.length)
        expect(scan.records).toBe(seen.reduce((sum, record) => sum + record.rids.length, 0))
      }),
      { numRuns: 60 },
    )
  })

  test.each(KINDS)('a cut at every byte is a torn tail, never an error (%s)', (kind) => {
    const records = [
      plainRecord(rid(1), Buffer.from('first'), kind),
      groupedRecord(rawFrame([rid(2), rid(3)], [Buffer.from('a'), Buffer.from('bc')]), kind),
      plainRecord(rid(4), new Uint8Array(0), kind),
    ]
    const bytes = concat(records)
    const borders = [0]
    for (const record of records) borders.push((borders.at(-1) ?? 0) + record.length)
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { scan, seen } = scanAll(bytes.subarray(0, cut), kind)
      const whole = borders.filter((border) => border <= cut)
      expect(seen).toHaveLength(whole.length - 1)
      expect(scan.tailOffset).toBe(whole.at(-1))
      expect(scan.tail).toBe(borders.includes(cut) ? 'clean' : 'torn')
    }
  })

  test.each(KINDS)('no flipped bit is ever read as something else (%s)', (kind) => {
    const first = plainRecord(rid(1), Buffer.from('first'), kind)
    const second = groupedRecord(rawFrame([rid(2)], [Buffer.from('second')]), kind)
    const bytes = concat([first, second])
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const mutated = bytes.slice()
        mutated[at] = (mutated[at] ?? 0) ^ (1 << bit)
        let seen: ScannedRecord[]
        try {
          // A length that now reaches past the end looks like a cut; the records before it stay.
          const result = scanAll(mutated, kind)
          expect(result.scan.tail).toBe('torn')
          seen = result.seen
        } catch (error) {
          expect(error).toMatchObject({ name: 'EngineError', code: 'ENGINE_CORRUPT' })
          continue
        }
        const untouched = at < first.length ? 0 : 1
        expect(seen).toHaveLength(untouched)
      }
    }
  })

  test('damage is reported with the file and the offset', () => {
    const first = plainRecord(rid(1), Buffer.from('first'), 'ieee')
    const second = plainRecord(rid(2), Buffer.from('second'), 'crc32c')
    const error = errorOf(() => scanAll(concat([first, second]), 'ieee'))
    expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(String(error)).toContain(`value-l0-000001.log at ${first.length}: record CRC`)
  })

  test('an empty file is clean', () => {
    expect(scanAll(new Uint8Array(0), 'ieee').scan).toEqual({
      records: 0,
      plainRecords: 0,
      frames: 0,
      compressedFrames: 0,
      tail: 'clean',
      tailOffset: 0,
    })
  })

  test('records cross window borders, and one may be larger than a window', () => {
    const sizes = [300_000, 700_000, 500_000, 3_000_000, 10, 900_000, 1_048_576 - 20, 1]
    const records = sizes.map((size, i) =>
      plainRecord(rid(i + 1), new Uint8Array(size).fill(i + 1), 'ieee'),
    )
    const { scan, seen, yields } = scanAll(concat(records), 'ieee')
    expect(seen.map((record) => record.payloadBytes)).toEqual(sizes)
    const isSame = seen.map((record, i) => Buffer.compare(record.bytes, records[i] ?? record.bytes))
    expect(isSame).toEqual(sizes.map(() => 0))
    expect(scan.tail).toBe('clean')
    expect(yields).toBeGreaterThan(3)
  })

  test('starts at a record in the middle', () => {
    const first = plainRecord(rid(1), Buffer.from('first'), 'ieee')
    const second = plainRecord(rid(2), Buffer.from('second'), 'ieee')
    const { scan, seen } = scanAll(concat([first, second]), 'ieee', first.length)
    expect(seen.map((record) => record.start)).toEqual([first.length])
    expect(scan).toMatchObject({ records: 1, tailOffset: first.length + second.length })
  })

  test('a record beyond the size limit is named, not loaded', () => {
    const header = new Uint8Array(RECORD_HEADER_BYTES)
    sealRecord(header, 0, 0, rid(1), 'ieee')
    new DataView(header.buffer).setUint32(16, 0x7fffffff, true)
    /** A file of 4 GiB whose first bytes are the header. */
    class HugeFile extends MemoryFile {
      override size(): number {
        return 2 ** 32
      }

      override read(...args: [Uint8Array, number, number, number]): number {
        super.read(...args)
        return args[2]
      }
    }
    const steps = scanSegment(new HugeFile(header), 'ieee', () => undefined)
    const error = errorOf(() => steps.next())
    expect(error).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
  })
})

describe('a zero RID', () => {
  test('inside a frame is rejected on every path (B12)', () => {
    const payload = rawFrame([rid(1), rid(2)], [Buffer.from('a'), Buffer.from('b')])
    payload.fill(0, FRAME_HEADER_BYTES + 8, FRAME_HEADER_BYTES + 16)
    const record = groupedRecord(payload, 'ieee')
    expect(errorOf(() => parseFrame(payload, 'here'))).toMatchObject({ code: 'ENGINE_CORRUPT' })
    // The record's checksum is right: only the table check can refuse it.
    const error = errorOf(() => scanAll(record, 'ieee'))
    expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(String(error)).toContain('frame RID 1 is 0')
  })

  test('on a plain record, and any RID on a grouped one, is rejected', () => {
    const plain = plainRecord(rid(0), Buffer.from('a'), 'ieee')
    expect(String(errorOf(() => scanAll(plain, 'ieee')))).toContain('plain record with RID 0')
    const bytes = new Uint8Array(RECORD_HEADER_BYTES)
    sealRecord(bytes, 0, 0, null, 'ieee')
    bytes[8] = 1
    const header = errorOf(() => decodeRecordHeader(new DataView(bytes.buffer), 0, 'here'))
    expect(String(header)).toContain('grouped record with a RID')
  })
})

describe('frames', () => {
  test('tables round-trip with any 64-bit RIDs', () => {
    fc.assert(
      fc.property(anyFrame, (entries) => {
        const rids = entries.map(([id]) => id)
        const values = entries.map(([, value]) => value)
        const frame = parseFrame(rawFrame(rids, values), 'here')
        expect(frame.rids.map(ridOf)).toEqual(rids.map(ridOf))
        expect(frame.count).toBe(entries.length)
      }),
      { numRuns: 60 },
    )
  })

  test('every cut and every flipped byte is an EngineError or a reading', () => {
    const payload = rawFrame([rid(1), rid(2)], [Buffer.from('ab'), Buffer.from('cde')])
    const attempt = (bytes: Uint8Array): void => {
      try {
        decodeFrameValues(bytes, parseFrame(bytes, 'here'), 'here')
      } catch (error) {
        expect(error).toBeInstanceOf(EngineError)
      }
    }
    for (let cut = 0; cut < payload.length; cut++) attempt(payload.subarray(0, cut))
    for (let at = 0; at < payload.length; at++) {
      for (const mask of [0x01, 0x80, 0xff]) {
        const mutated = payload.slice()
        mutated[at] = (mutated[at] ?? 0) ^ mask
        attempt(mutated)
      }
    }
  })

  test('0 or more than 128 values, a falling offset and a first offset above 0 are refused', () => {
    const payload = rawFrame([rid(1), rid(2)], [Buffer.from('ab'), Buffer.from('cde')])
    const withByte = (at: number, value: number): Uint8Array => {
      const copy = payload.slice()
      copy[at] = value
      return copy
    }
    const offsetsAt = FRAME_HEADER_BYTES + 16
    for (const broken of [
      withByte(2, 0),
      withByte(2, 129),
      withByte(offsetsAt, 1),
      withByte(offsetsAt + 4, 9),
      withByte(0, 2),
      withByte(1, 2),
    ]) {
      expect(errorOf(() => parseFrame(broken, 'here'))).toMatchObject({ code: 'ENGINE_CORRUPT' })
    }
  })

  test('lz4 and snappy blocks decode to their values', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 20 }), (texts) => {
        const values = texts.map((text) => Buffer.from(text.repeat(50)))
        const raw = concat(values)
        const lz4 = encodeLz4(raw)
        const blocks: [number, Uint8Array | undefined][] = [
          [CODEC_LZ4, lz4],
          [CODEC_SNAPPY, raw.length === 0 ? undefined : snappy.compressSync(Buffer.from(raw))],
        ]
        for (const [codec, block] of blocks) {
          if (block === undefined) continue
          const payload = compressedFrame(values, block, codec)
          const decoded = decodeFrameValues(payload, parseFrame(payload, 'here'), 'here')
          expect(Buffer.compare(decoded, raw)).toBe(0)
        }
      }),
      { numRuns: 40 },
    )
  })

  test.each([
    ['lz4', CODEC_LZ4],
    ['snappy', CODEC_SNAPPY],
  ])('a damaged %s block is an EngineError or wrong bytes of the right length', (name, codec) => {
    const raw = Buffer.from('a long text that repeats, a long text that repeats. '.repeat(20))
    const block = name === 'lz4' ? encodeLz4(raw) : snappy.compressSync(raw)
    if (block === undefined) throw new Error('the text compresses')
    for (let at = 0; at < block.length; at++) {
      const mutated = Uint8Array.from(block)
      mutated[at] = (mutated[at] ?? 0) ^ 0xff
      const payload = compressedFrame([raw], mutated, codec)
      try {
        const decoded = decodeFrameValues(payload, parseFrame(payload, 'here'), 'here')
        expect(decoded).toHaveLength(raw.length)
      } catch (error) {
        expect(error).toBeInstanceOf(EngineError)
      }
    }
  })

  test('unknown codecs are named as unsupported', () => {
    for (const codec of [3, 200]) {
      const payload = compressedFrame([Buffer.from('value')], Buffer.from('xyz'), codec)
      expect(
        errorOf(() => decodeFrameValues(payload, parseFrame(payload, 'here'), 'here')),
      ).toMatchObject({ code: 'ENGINE_UNSUPPORTED' })
    }
  })

  test('zstd blocks decode to their values, with and without a dictionary', () => {
    const raw = Buffer.from('a value that repeats, a value that repeats')
    const plain = compressedFrame([raw], compress(raw), CODEC_ZSTD)
    expect(Buffer.from(decodeFrameValues(plain, parseFrame(plain, 'here'), 'here'))).toEqual(raw)
    const dictionary = Buffer.from('what repeats: a value that repeats, '.repeat(4))
    const block = compressUsingDict(createCCtx(), raw, dictionary)
    const payload = compressedFrame([raw], block, CODEC_ZSTD)
    new DataView(payload.buffer).setBigUint64(4, 7n, true)
    const frame = parseFrame(payload, 'here')
    const dictionaries = {
      get: (id: bigint) => {
        expect(id).toBe(7n)
        return dictionary
      },
    }
    const decoded = decodeFrameValues(payload, frame, 'here', dictionaries)
    expect(Buffer.from(decoded)).toEqual(raw)
    const without = errorOf(() => decodeFrameValues(payload, frame, 'here'))
    expect(without).toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(String(without)).toContain('there is no dictionary 0000000000000007')
  })

  test('a zstd block without a size of its own is bounded by its frame', () => {
    // From the reference tool: `printf aaaaaaaaaa | zstd --no-content-size --no-check`.
    const block = Buffer.from('28b52ffd0058510000' + '61'.repeat(10), 'hex')
    const payload = compressedFrame([Buffer.from('a'.repeat(10))], block, CODEC_ZSTD)
    const decoded = decodeFrameValues(payload, parseFrame(payload, 'here'), 'here')
    expect(Buffer.from(decoded).toString()).toBe('a'.repeat(10))
    const short = compressedFrame([Buffer.from('a'.repeat(9))], block, CODEC_ZSTD)
    expect(
      errorOf(() => decodeFrameValues(short, parseFrame(short, 'here'), 'here')),
    ).toMatchObject({ code: 'ENGINE_CORRUPT' })
  })

  test('a damaged zstd block is an EngineError or wrong bytes of the right length', () => {
    const raw = Buffer.from('a value that repeats, a value that repeats, and ends'.repeat(5))
    const block = compress(raw)
    for (let at = 0; at < block.length; at++) {
      const mutated = block.slice()
      mutated[at] = (mutated[at] ?? 0) ^ 0x55
      const payload = compressedFrame([raw], mutated, CODEC_ZSTD)
      try {
        const decoded = decodeFrameValues(payload, parseFrame(payload, 'here'), 'here')
        expect(decoded).toHaveLength(raw.length)
      } catch (error) {
        expect(error).toBeInstanceOf(EngineError)
      }
    }
  })

  test('a zstd block that claims more than its frame is refused before memory is taken', () => {
    const payload = compressedFrame(
      [Buffer.from('v')],
      compress(new Uint8Array(2 ** 25)),
      CODEC_ZSTD,
    )
    const error = errorOf(() => decodeFrameValues(payload, parseFrame(payload, 'here'), 'here'))
    expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(String(error)).toContain('claims 33554432 bytes, its frame 1')
  })

  test('a dictionary id on an uncompressed frame is nothing to decode', () => {
    const payload = rawFrame([rid(1)], [Buffer.from('value')])
    payload[4] = 7
    const frame = parseFrame(payload, 'here')
    expect(frame.dictionaryId).toBe(7n)
    expect(Buffer.from(decodeFrameValues(payload, frame, 'here')).toString()).toBe('value')
  })

  test('a claimed raw size of gigabytes is refused before memory is taken', () => {
    for (const codec of [CODEC_LZ4, CODEC_SNAPPY, CODEC_ZSTD]) {
      const payload = compressedFrame([Buffer.from('value')], Buffer.from('xyz'), codec)
      new DataView(payload.buffer).setUint32(FRAME_HEADER_BYTES + 8 + 4, 0xffffffff, true)
      const error = errorOf(() => decodeFrameValues(payload, parseFrame(payload, 'here'), 'here'))
      expect(error).toMatchObject({ code: 'ENGINE_CORRUPT' })
    }
  })
})
