/**
 * Walks the records of one value-log file by their headers: 20 bytes each and the tables of frames,
 * never a payload, so no CRC is checked. What it finds is the shape of the file: where records begin,
 * how long they are, whose they are. Damage inside a value is invisible here; `scanSegment` sees it.
 *
 * Small records lie in one read together; behind a large one the walk jumps, so that a file of large
 * values costs one page of it per record.
 */
import { viewOf } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import {
  FRAME_HEADER_BYTES,
  RECORD_HEADER_BYTES,
  headerAt as decodeHeader,
  framePrefixBytes,
  parseFrame,
} from './record.ts'
import { MAX_PAYLOAD_BYTES, type RecordHead } from './scan.ts'

/** What the kernel reads anyway. */
const WINDOW_BYTES_MIN = 2 ** 12
const WINDOW_BYTES_MAX = 2 ** 16
/** Records between two yields: well below a millisecond. */
const YIELD_RECORDS = 256
/** Of the first value, for recognising what is no plain value. */
const PEEK_BYTES = 4

export interface HeaderWalk {
  tail: 'clean' | 'torn'
  /** End of the last whole record; the file's length when clean. */
  tailOffset: number
}

/**
 * Visits every whole record to the file's length at the first call. The record is overwritten by the
 * next one. `peek` is the first four bytes of its first stored value as a big-endian number, -1 when it
 * is shorter or not at hand. Throws like `scanSegment`.
 */
export function* walkHeaders(
  file: OpenFile,
  visit: (record: RecordHead, peek: number) => void,
): Generator<void, HeaderWalk> {
  const window = new HeaderWindow(file)
  const rid = { high: 0, low: 0 }
  const plain: RecordHead = { start: 0, payloadBytes: 0, grouped: false, rids: [rid], frame: null }
  let start = 0
  for (let walked = 1; ; walked++) {
    const headerAt = window.load(start, RECORD_HEADER_BYTES)
    if (headerAt === -1) break
    const at = start
    // Words for an error only: a walk makes millions of steps.
    const where = (): string => `${file.path} at ${at}`
    const header = decodeHeader(window.bytes, headerAt, where)
    const { payloadBytes, grouped } = header
    const end = start + RECORD_HEADER_BYTES + payloadBytes
    if (end > window.end) break
    if (payloadBytes > MAX_PAYLOAD_BYTES) {
      throw new EngineError(
        'ENGINE_UNSUPPORTED',
        `${where()}: record payload of ${payloadBytes} bytes`,
      )
    }
    if (grouped) {
      const frame = parseFrame(tablesOf(window, start, payloadBytes), where)
      const peek = window.peek(start + RECORD_HEADER_BYTES + frame.dataStart, end)
      visit({ start, payloadBytes, grouped, rids: frame.rids, frame }, peek)
    } else {
      const peek = window.peek(start + RECORD_HEADER_BYTES, end)
      rid.high = header.ridHigh
      rid.low = header.ridLow
      plain.start = start
      plain.payloadBytes = payloadBytes
      visit(plain, peek)
    }
    start = end
    if (walked % YIELD_RECORDS === 0) yield
  }
  return { tail: start < window.end ? 'torn' : 'clean', tailOffset: start }
}

/** The part of a grouped payload that holds its tables; shorter when the payload is. */
function tablesOf(window: HeaderWindow, start: number, payloadBytes: number): Uint8Array {
  const from = start + RECORD_HEADER_BYTES
  const headerBytes = Math.min(FRAME_HEADER_BYTES, payloadBytes)
  const headerAt = window.load(from, headerBytes)
  const count = headerBytes < FRAME_HEADER_BYTES ? 0 : (window.bytes[headerAt + 2] ?? 0)
  const length = Math.min(framePrefixBytes(count), payloadBytes)
  const at = window.load(from, length)
  return at === -1 ? new Uint8Array(0) : window.bytes.subarray(at, at + length)
}

/** A small part of the file, read as far ahead as it pays. */
class HeaderWindow {
  readonly file: OpenFile
  /** No byte from here on belongs to the walk. Moves back only when the file turns out shorter. */
  end: number
  readonly bytes = new Uint8Array(WINDOW_BYTES_MAX)
  readonly view = viewOf(this.bytes)
  #base = 0
  #held = 0
  #ahead = WINDOW_BYTES_MIN

  constructor(file: OpenFile) {
    this.file = file
    this.end = file.size()
  }

  /** Index of byte `start` once [start, start + length) is resident; -1 past the end. */
  load(start: number, length: number): number {
    const heldTo = this.#base + this.#held
    if (start >= this.#base && start + length <= heldTo) return start - this.#base
    if (start + length > this.end) return -1
    // A jump over a payload says that reading on would read values.
    const isNear = start - heldTo < WINDOW_BYTES_MIN
    this.#ahead = isNear ? Math.min(this.#ahead * 2, WINDOW_BYTES_MAX) : WINDOW_BYTES_MIN
    const wanted = Math.min(Math.max(this.#ahead, length), this.end - start)
    this.#base = start
    this.#held = this.file.read(this.bytes, 0, wanted, start)
    if (this.#held < wanted) this.end = start + this.#held
    return start + length > this.end ? -1 : 0
  }

  /** Four bytes from `start` as a big-endian number; -1 past `end` or when they are not resident. */
  peek(start: number, end: number): number {
    const at = start - this.#base
    if (start + PEEK_BYTES > end || at + PEEK_BYTES > this.#held) return -1
    return this.view.getUint32(at)
  }
}
