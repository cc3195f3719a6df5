/**
 * Puts the JSON of events into one buffer as they happen, so that a batch is ready when it is due. The
 * space for writing is kept and stays warm; what a batch hands out is a copy of its own in a single
 * ArrayBuffer, so that a port moves it instead of copying it again.
 */
import type { EventBatch } from './worker-contract.ts'

const COMMA = 0x2c
/** From so many bytes on a batch has room for its frame: a few percent more than itself. */
const ROOM_FROM_BYTES = 64 * 1024
const ROOM = { before: 256, after: 8 * 1024 }
const NO_ROOM = { before: 0, after: 0 }
/** The longest UTF-8 of one UTF-16 unit. */
const BYTES_A_CHAR_MAX = 3

export class BatchWriter {
  readonly #bytesMax: number
  #space: Buffer
  #bytes = 0
  #ends: number[] = []
  #topics: number[] = []

  /** `bytesMax`: a batch of so many bytes is full. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#space = Buffer.allocUnsafeSlow(bytesMax)
  }

  get count(): number {
    return this.#ends.length
  }

  get full(): boolean {
    return this.#bytes >= this.#bytesMax
  }

  /** `json` of the event after the one before, and its topic's bit. */
  add(json: string, topic: number): void {
    this.#makeRoom(1 + json.length * BYTES_A_CHAR_MAX)
    if (this.#ends.length > 0) this.#space[this.#bytes++] = COMMA
    this.#bytes += this.#space.write(json, this.#bytes)
    this.#ends.push(this.#bytes)
    this.#topics.push(topic)
  }

  /** What was added, as events from `firstSeq` on; the writer is empty afterwards. */
  take(firstSeq: number): EventBatch {
    const count = this.#ends.length
    const endsBytes = count * Uint32Array.BYTES_PER_ELEMENT
    const room = this.#bytes < ROOM_FROM_BYTES ? NO_ROOM : ROOM
    const start = endsBytes + count + room.before
    const whole = new ArrayBuffer(start + this.#bytes + room.after)
    const ends = new Uint32Array(whole, 0, count)
    ends.set(this.#ends)
    const topics = new Uint8Array(whole, endsBytes, count)
    topics.set(this.#topics)
    const bytes = new Uint8Array(whole, start, this.#bytes)
    bytes.set(this.#space.subarray(0, this.#bytes))
    this.#bytes = 0
    this.#ends = []
    this.#topics = []
    // One huge event must not keep its space for ever.
    if (this.#space.length > 2 * this.#bytesMax) {
      this.#space = Buffer.allocUnsafeSlow(this.#bytesMax)
    }
    return { firstSeq, count, bytes, ends, topics, room }
  }

  #makeRoom(bytes: number): void {
    const wanted = this.#bytes + bytes
    if (wanted <= this.#space.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(wanted, 2 * this.#space.length))
    this.#space.copy(larger, 0, 0, this.#bytes)
    this.#space = larger
  }
}
