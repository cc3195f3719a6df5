/**
 * Single records and their values by pointer, read-only: for values that were asked for and for
 * what lies behind damage that stopped a scan. Each record is checked whole (header, CRC, frame
 * tables). Keeps a few files open and a few decoded frames, bounded in bytes.
 */
import type { ChecksumKind } from '../checksum.ts'
import { viewOf } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import type { FileSystem, OpenFile } from '../file-system.ts'
import { isSegmentId, segmentFileName } from '../ids.ts'
import type { SegmentId } from '../types.ts'
import {
  NO_DICTIONARIES,
  decodeFrameValues,
  type DictionarySource,
} from '../value-log/compression.ts'
import {
  BODY_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  corrupt,
  decodeRecordHeader,
  parseFrame,
  verifyRecord,
} from '../value-log/record.ts'
import { MAX_PAYLOAD_BYTES, type ScannedRecord } from '../value-log/scan.ts'
import { hintOf, isGrouped, recordStart, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import type { SegmentFile } from './folder.ts'

const OPEN_FILES_MAX = 16
/** Neighbouring keys often share a frame; this many decoded bytes are worth keeping. */
const CACHE_BYTES_MAX = 2 ** 25

interface CachedRecord {
  record: ScannedRecord
  /** Decoded values of a frame, the payload of a plain record. */
  values: Uint8Array
}

export class RecordReader {
  readonly #fileSystem: FileSystem
  readonly #kind: ChecksumKind
  readonly #dictionaries: DictionarySource
  readonly #segments: ReadonlyMap<SegmentId, SegmentFile>
  /** Oldest use first. */
  readonly #files = new Map<SegmentId, OpenFile>()
  readonly #cache = new Map<string, CachedRecord>()
  #cacheBytes = 0

  constructor(
    fileSystem: FileSystem,
    kind: ChecksumKind,
    segments: readonly SegmentFile[],
    dictionaries: DictionarySource = NO_DICTIONARIES,
  ) {
    this.#fileSystem = fileSystem
    this.#kind = kind
    this.#dictionaries = dictionaries
    this.#segments = new Map(segments.map((segment) => [segment.segmentId, segment]))
  }

  close(): void {
    for (const file of this.#files.values()) file.close()
    this.#files.clear()
  }

  /** The checked record at `start`; ENGINE_CORRUPT where the file ends before it does. */
  record(segmentId: SegmentId, start: number): ScannedRecord {
    const file = this.#open(segmentId)
    const where = `${segmentFileName(segmentId)} at ${start}`
    const head = new Uint8Array(RECORD_HEADER_BYTES)
    if (file.read(head, 0, head.length, start) < head.length) {
      throw corrupt(where, 'record header cut by the end of the file')
    }
    const header = decodeRecordHeader(viewOf(head), 0, where)
    const recordBytes = RECORD_HEADER_BYTES + header.payloadBytes
    if (start + recordBytes > file.size()) throw corrupt(where, 'record cut by the end of the file')
    if (header.payloadBytes > MAX_PAYLOAD_BYTES) {
      throw new EngineError(
        'ENGINE_UNSUPPORTED',
        `${where}: payload of ${header.payloadBytes} bytes`,
      )
    }
    const bytes = new Uint8Array(recordBytes)
    if (file.read(bytes, 0, recordBytes, start) < recordBytes) {
      throw corrupt(where, 'record cut by the end of the file')
    }
    verifyRecord(bytes, 0, header, this.#kind, where)
    const frame = header.grouped ? parseFrame(bytes.subarray(RECORD_HEADER_BYTES), where) : null
    const rids = frame?.rids ?? [{ high: header.ridHigh, low: header.ridLow }]
    const { payloadBytes, grouped } = header
    return { start, bytes, payloadBytes, grouped, rids, frame }
  }

  /** The segment file a pointer or leaf ref names; undefined when it is not in the folder. */
  segment(segmentId: SegmentId): SegmentFile | undefined {
    return this.#segments.get(segmentId)
  }

  /** The value a pointer names; a view that stays valid. Errors are EngineErrors. */
  value(pointer: ValuePointer): Uint8Array {
    const start = recordStart(pointer)
    if (!isSegmentId(pointer.segmentId)) {
      throw corrupt('value pointer', `${pointer.segmentId} is no segment id`)
    }
    const where = `${segmentFileName(pointer.segmentId)} at ${start}`
    if (start < 0) throw corrupt(where, `pointer offset ${pointer.offset}`)
    const { record, values } = this.#decoded(pointer.segmentId, start, where)
    const hint = hintOf(pointer)
    const bodyBytes = BODY_HEADER_BYTES + record.payloadBytes
    if (hint !== 0 && hint !== bodyBytes) {
      throw corrupt(where, `pointer length ${hint}, the record has ${bodyBytes}`)
    }
    if (isGrouped(pointer) !== record.grouped) {
      throw corrupt(where, 'pointer and record disagree on being grouped')
    }
    if (record.frame === null) return values
    const subIndex = subIndexOf(pointer)
    const from = record.frame.offsets[subIndex]
    const to = record.frame.offsets[subIndex + 1]
    if (from === undefined || to === undefined) {
      throw corrupt(where, `pointer to value ${subIndex} of a frame of ${record.frame.count}`)
    }
    return values.subarray(from, to)
  }

  #decoded(segmentId: SegmentId, start: number, where: string): CachedRecord {
    const key = `${segmentId}:${start}`
    const cached = this.#cache.get(key)
    if (cached !== undefined) {
      this.#cache.delete(key)
      this.#cache.set(key, cached)
      return cached
    }
    const record = this.record(segmentId, start)
    const payload = record.bytes.subarray(RECORD_HEADER_BYTES)
    const values =
      record.frame === null
        ? payload
        : decodeFrameValues(payload, record.frame, where, this.#dictionaries)
    const entry = { record, values }
    this.#cache.set(key, entry)
    this.#cacheBytes += sizeOf(entry)
    for (const [oldKey, old] of this.#cache) {
      if (this.#cacheBytes <= CACHE_BYTES_MAX || this.#cache.size === 1) break
      this.#cache.delete(oldKey)
      this.#cacheBytes -= sizeOf(old)
    }
    return entry
  }

  #open(segmentId: SegmentId): OpenFile {
    const segment = this.#segments.get(segmentId)
    if (segment === undefined) {
      throw new EngineError(
        'ENGINE_SEGMENT_MISSING',
        `${segmentFileName(segmentId)} is not in the folder`,
      )
    }
    const known = this.#files.get(segmentId)
    const file = known ?? this.#fileSystem.open(segment.absolute, 'read')
    this.#files.delete(segmentId)
    this.#files.set(segmentId, file)
    for (const [oldId, old] of this.#files) {
      if (this.#files.size <= OPEN_FILES_MAX) break
      old.close()
      this.#files.delete(oldId)
    }
    return file
  }
}

function sizeOf(entry: CachedRecord): number {
  return entry.record.bytes.length + entry.values.length
}
