/** Limits of the format (format.md 2.5): each is refused with a code that says which one it is. */
import { describe, expect, test } from 'vitest'
import {
  BATCH_BYTES_MAX,
  RECORD_HEADER_BYTES,
  checkBatchBytes,
} from '../../../engine/commit-log/codec.ts'
import { Journal } from '../../../engine/commit-log/journal.ts'
import { MAX_KEY_BYTES } from '../../../engine/write-limits.ts'
import { encodeSegmentId } from '../../../engine/ids.ts'
import { EntryRun, encodeEntry } from '../../../engine/index/leaf.ts'
import {
  MAX_FRAME_VALUES,
  MAX_SEGMENT_BYTES,
  MAX_VALUE_BYTES,
  framePrefixBytes,
  writeFramePrefix,
} from '../../../engine/value-log/record.ts'
import { Segment } from '../../../engine/value-log/segment.ts'
import { SegmentSet } from '../../../engine/value-log/segment-set.ts'
import { NO_DICTIONARIES } from '../../../engine/value-log/compression.ts'
import { ValueLog } from '../../../engine/value-log/value-log.ts'
import type { OpenFile } from '../../../engine/file-system.ts'
import { memoryFolder, openFixture, quickFileSystem } from '../../support/engine-fixture.ts'
import { encodePackedPointer } from '../../../engine/value-pointer.ts'
import { errorOf, rid } from './memory-file.ts'

/** A file of which only the length is there. */
class HugeFile implements OpenFile {
  readonly path = 'value-l0-000001.log'
  #bytes: number

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  read(_buffer: Uint8Array, _offset: number, length: number): number {
    return length
  }

  write(_buffer: Uint8Array, _offset: number, length: number, position: number): void {
    this.#bytes = Math.max(this.#bytes, position + length)
  }

  truncate(length: number): void {
    this.#bytes = length
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  size(): number {
    return this.#bytes
  }

  close(): void {
    // Nothing is open.
  }
}

function hugeSegment(bytes: number): Segment {
  return new Segment({
    id: encodeSegmentId(0, 1),
    file: new HugeFile(bytes),
    name: 'maindb/value_vlog/value-l0-000001.log',
    origin: 'foreground',
    times: { createdAtMs: 0, sealedAtMs: null, ageSource: 'metadata' },
    state: 'active',
    firstSeq: 0,
  })
}

describe('limits of the format', () => {
  test('keys: empty ones and ones too long for an index page are refused', async () => {
    const { engine } = await openFixture()
    const longest = new Uint8Array(MAX_KEY_BYTES).fill(1)
    await engine.put(longest, Buffer.from('v'))
    for (const key of [new Uint8Array(0), new Uint8Array(MAX_KEY_BYTES + 1)]) {
      await expect(engine.put(key, Buffer.from('v'))).rejects.toMatchObject({
        code: 'ENGINE_KEY_SIZE',
        message: `a key has ${key.length} bytes, allowed are 1 to ${MAX_KEY_BYTES}`,
      })
      await expect(engine.delete(key)).rejects.toMatchObject({ code: 'ENGINE_KEY_SIZE' })
    }
    // A refused write is no failure of the engine.
    await engine.put(Buffer.from('k'), Buffer.from('v'))
    await engine.checkpoint()
    expect(engine.get(longest)).toEqual(new Uint8Array(Buffer.from('v')))
    await engine.close()
  })

  test('keys: what the length field cannot say is refused by the codec', () => {
    const entry = (bytes: number): Uint8Array =>
      encodeEntry(new Uint8Array(bytes), { kind: 'inline', value: new Uint8Array(0) })
    expect(entry(0xffff)).toHaveLength(7 + 0xffff)
    expect(errorOf(() => entry(0x10000))).toMatchObject({ code: 'ENGINE_KEY_SIZE' })
  })

  test('an entry that is larger than a page is refused, not written over the directory', () => {
    const run = new EntryRun()
    const bytes = encodeEntry(new Uint8Array(4080), { kind: 'inline', value: new Uint8Array(0) })
    run.push(bytes, 0, bytes.length)
    expect(errorOf(() => run.layOut(0, 1, 7, 'ieee'))).toMatchObject({ code: 'ENGINE_LIMIT' })
  })

  test('values: one byte more than a pointer can say is refused', async () => {
    const { engine } = await openFixture({ profile: 'fast' })
    const value = new Uint8Array(MAX_VALUE_BYTES + 1)
    await expect(engine.put(Buffer.from('k'), value)).rejects.toMatchObject({
      code: 'ENGINE_VALUE_SIZE',
      message: `a value has ${value.length} bytes, at most ${MAX_VALUE_BYTES} are allowed`,
    })
    await engine.close()
    const segment = hugeSegment(0)
    expect(errorOf(() => segment.appendPlain(value, rid(1), 'ieee'))).toMatchObject({
      code: 'ENGINE_VALUE_SIZE',
    })
  })

  test('segments: no record reaches beyond 2^32 - 1 - 4', () => {
    const full = hugeSegment(MAX_SEGMENT_BYTES - 120)
    const error = errorOf(() => full.appendPlain(new Uint8Array(101), rid(1), 'ieee'))
    expect(error).toMatchObject({ code: 'ENGINE_LIMIT' })
    const pointer = full.appendPlain(new Uint8Array(100), rid(1), 'ieee')
    expect(pointer.offset).toBe(MAX_SEGMENT_BYTES - 116)
    expect(full.bytesTotal).toBe(MAX_SEGMENT_BYTES)
  })

  test('segments: the foreground goes on in a new one before that', () => {
    const files: OpenFile[] = []
    const fileSystem = {
      ...quickFileSystem,
      open: (): OpenFile => {
        const file = new HugeFile(files.length === 0 ? MAX_SEGMENT_BYTES - 120 : 0)
        files.push(file)
        return file
      },
    }
    const set = new SegmentSet(fileSystem, '/none', { emit: () => undefined, now: () => 0 })
    const log = new ValueLog(set, {
      fileSystem,
      folder: '/none',
      folderName: 'none',
      kind: 'ieee',
      dictionaries: NO_DICTIONARIES,
      segmentBytes: MAX_SEGMENT_BYTES,
      nextSeq: 1,
      nextRid: 1n,
      seq: () => 0,
      now: () => 0,
    })
    const first = log.append(new Uint8Array(1), new Uint8Array(50), log.takeRid())
    const second = log.append(new Uint8Array(1), new Uint8Array(60), log.takeRid())
    expect([first.offset, second.offset]).toEqual([MAX_SEGMENT_BYTES - 116, 4])
    expect(second.segmentId).not.toBe(first.segmentId)
  })

  test('batches: one that no opening would read is refused before anything of it is written', async () => {
    const { engine } = await openFixture({ profile: 'durable' })
    const operation = { op: 'delete', key: new Uint8Array(MAX_KEY_BYTES) } as const
    const recordBytes = RECORD_HEADER_BYTES + MAX_KEY_BYTES
    const count = Math.ceil(BATCH_BYTES_MAX / recordBytes)
    const operations = new Array<typeof operation>(count).fill(operation)
    await expect(engine.batch(operations)).rejects.toMatchObject({
      code: 'ENGINE_LIMIT',
      message: `a batch takes ${5 + count * recordBytes} bytes of the journal, at most ${BATCH_BYTES_MAX} are allowed`,
    })
    expect(engine.gauges()).toMatchObject({ journalBytes: 0, deletes: 0 })
    await engine.put(Buffer.from('k'), Buffer.from('v'))
    await engine.close()
  })

  test('batches: the journal writes none that it would not read', () => {
    const folder = memoryFolder()
    const journal = new Journal(quickFileSystem, { folder, kind: 'ieee', nextSeq: 1, old: [] })
    const value = new Uint8Array(2 ** 26)
    const one = { op: 'set_inline', key: Buffer.from('k'), value } as const
    const batch = { seq: 1, operations: [one, one, one, one] }
    expect(() => journal.append(batch)).toThrow('bytes of the journal, at most')
    expect(journal.bytes).toBe(0)
    // To the byte: what stands before the payload does not count.
    expect(errorOf(() => checkBatchBytes(BATCH_BYTES_MAX + 9))).toMatchObject({
      code: 'ENGINE_LIMIT',
    })
    checkBatchBytes(BATCH_BYTES_MAX + 8)
    journal.close()
  })

  test('packed pointers hold offsets of 32 bits', () => {
    const view = new DataView(new ArrayBuffer(12))
    const pointer = { segmentId: encodeSegmentId(0, 1), offset: 2 ** 32, length: 20 }
    expect(errorOf(() => encodePackedPointer(view, 0, pointer))).toMatchObject({
      code: 'ENGINE_LIMIT',
    })
  })

  test('frames: 1 to 128 values', () => {
    for (const count of [0, MAX_FRAME_VALUES + 1]) {
      const rids = Array.from({ length: count }, (_, i) => rid(i + 1))
      const offsets = new Array<number>(count + 1).fill(0)
      const target = new Uint8Array(framePrefixBytes(count))
      const error = errorOf(() =>
        writeFramePrefix(target, 0, { rids, offsets, codec: 0, compressed: false }),
      )
      expect(error).toMatchObject({ code: 'ENGINE_LIMIT' })
      expect(String(error)).toContain(`a frame of ${count} values`)
    }
  })
})
