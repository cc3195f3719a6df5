/**
 * Sequential scan of one value-log file in bounded windows. It checks every record's header and CRC
 * and every frame's tables, and never decodes a value. It only reads; there is no resync: damage
 * ends the scan with ENGINE_CORRUPT, a record cut by the end of the file ends it quietly as a torn
 * tail (format.md 2.4).
 */
import { viewOf } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import {
  MAX_FRAME_RAW_BYTES,
  MAX_FRAME_VALUES,
  RECORD_HEADER_BYTES,
  decodeRecordHeader,
  framePrefixBytes,
  parseFrame,
  verifyRecord,
  type Frame,
  type RidWords,
} from './record.ts'

/** Large enough to hide the cost of a call, small enough to hold many at once. */
const WINDOW_BYTES = 2 ** 20
/** Bytes checked between two yields: well below a millisecond. */
const YIELD_BYTES = 2 ** 16
/** A larger payload is named as unsupported before memory is taken for it. */
export const MAX_PAYLOAD_BYTES = MAX_FRAME_RAW_BYTES + framePrefixBytes(MAX_FRAME_VALUES)

/** What a record's header and tables say. */
export interface RecordHead {
  /** File offset of the record's first byte (its CRC). */
  start: number
  payloadBytes: number
  grouped: boolean
  /** One for a plain record, one per value of a frame in their order; none is 0. */
  rids: RidWords[]
  /** Checked tables of a grouped record; null for a plain one. */
  frame: Frame | null
}

export interface ScannedRecord extends RecordHead {
  /** The whole record, header and CRC included. A view that the next record may overwrite: copy to keep. */
  bytes: Uint8Array
}

export interface SegmentScan {
  /** Values: one per plain record, K per frame. */
  records: number
  plainRecords: number
  frames: number
  compressedFrames: number
  /** torn: the bytes from tailOffset on are the beginning of a record that the file's end cuts. */
  tail: 'clean' | 'torn'
  /** End of the last whole record; the file's length when clean. */
  tailOffset: number
}

/**
 * Visits every whole record from `from` (a record start, default 0) to the file's length at the
 * first call. Yields about every 64 KiB so that the caller can give the thread back; what was
 * appended meanwhile is not seen. Returns the totals of what it visited.
 */
export function* scanSegment(
  file: OpenFile,
  kind: ChecksumKind,
  visit: (record: ScannedRecord) => void,
  options: { from?: number } = {},
): Generator<void, SegmentScan> {
  const from = options.from ?? 0
  const window = new ScanWindow(file, file.size())
  const totals = { records: 0, plainRecords: 0, frames: 0, compressedFrames: 0 }
  let start = from
  let yieldedAt = from
  for (;;) {
    const record = readRecord(window, start, kind)
    if (record === undefined) break
    count(totals, record)
    visit(record)
    start += record.bytes.length
    if (start - yieldedAt >= YIELD_BYTES) {
      yieldedAt = start
      yield
    }
  }
  return { ...totals, tail: start < window.end ? 'torn' : 'clean', tailOffset: start }
}

/** The checked record at `start`; undefined where the file ends before the record does. */
function readRecord(
  window: ScanWindow,
  start: number,
  kind: ChecksumKind,
): ScannedRecord | undefined {
  const headerAt = window.load(start, RECORD_HEADER_BYTES)
  if (headerAt === -1) return undefined
  const where = `${window.file.path} at ${start}`
  const header = decodeRecordHeader(window.view, headerAt, where)
  const recordBytes = RECORD_HEADER_BYTES + header.payloadBytes
  if (start + recordBytes > window.end) return undefined
  if (header.payloadBytes > MAX_PAYLOAD_BYTES) {
    throw new EngineError(
      'ENGINE_UNSUPPORTED',
      `${where}: record payload of ${header.payloadBytes} bytes, more than the ${MAX_PAYLOAD_BYTES} this version reads`,
    )
  }
  const at = window.load(start, recordBytes)
  if (at === -1) return undefined
  verifyRecord(window.bytes, at, header, kind, where)
  const bytes = window.bytes.subarray(at, at + recordBytes)
  const { payloadBytes, grouped } = header
  if (!grouped) {
    const rids = [{ high: header.ridHigh, low: header.ridLow }]
    return { start, bytes, payloadBytes, grouped, rids, frame: null }
  }
  const frame = parseFrame(bytes.subarray(RECORD_HEADER_BYTES), where)
  return { start, bytes, payloadBytes, grouped, rids: frame.rids, frame }
}

function count(
  totals: { records: number; plainRecords: number; frames: number; compressedFrames: number },
  record: ScannedRecord,
): void {
  totals.records += record.rids.length
  if (record.frame === null) {
    totals.plainRecords++
  } else {
    totals.frames++
    if (record.frame.compressed) totals.compressedFrames++
  }
}

/** A part of the file in memory, moved forward on demand; grows only for one larger record. */
class ScanWindow {
  readonly file: OpenFile
  /** No byte from here on belongs to the scan. Moves back only when the file turns out shorter. */
  end: number
  bytes: Uint8Array
  view: DataView
  #base = 0
  #held = 0

  constructor(file: OpenFile, end: number) {
    this.file = file
    this.end = end
    this.bytes = new Uint8Array(Math.min(WINDOW_BYTES, end))
    this.view = viewOf(this.bytes)
  }

  /** Makes [start, start + length) of the file resident; its index in `bytes`, or -1 past the end. */
  load(start: number, length: number): number {
    if (start + length > this.end) return -1
    if (start >= this.#base && start + length <= this.#base + this.#held) return start - this.#base
    if (length > this.bytes.length) this.#resize(length)
    else if (this.bytes.length > WINDOW_BYTES && length <= WINDOW_BYTES) this.#resize(WINDOW_BYTES)
    const wanted = Math.min(this.bytes.length, this.end - start)
    this.#base = start
    this.#held = this.file.read(this.bytes, 0, wanted, start)
    if (this.#held < wanted) this.end = start + this.#held
    return start + length > this.end ? -1 : 0
  }

  #resize(length: number): void {
    this.bytes = new Uint8Array(length)
    this.view = viewOf(this.bytes)
  }
}
