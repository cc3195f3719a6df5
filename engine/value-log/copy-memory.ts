/**
 * What a rewrite reads to and gathers in: two places for each, so that one can be filled while the other
 * is worked on, and all in one array, because moving bytes within an array needs no view of them.
 */
import { RecordRun } from './record-run.ts'

/** Large enough to hide the cost of a call, small enough for a slice and the processor's cache. */
export const CHUNK_BYTES = 2 ** 20

export class CopyMemory {
  readonly bytes: Uint8Array = Buffer.allocUnsafeSlow(4 * CHUNK_BYTES)
  readonly #runs = [2, 3].map(
    (place) => new RecordRun(this.bytes, place * CHUNK_BYTES, CHUNK_BYTES),
  )
  #turn = 0

  /** Where the first and the second place to read to begin; each holds CHUNK_BYTES. */
  static readonly readingPlaces = [0, CHUNK_BYTES] as const

  /** An empty run. */
  run(): RecordRun {
    const run = this.#runs[this.#turn] as RecordRun
    run.clear()
    return run
  }

  /** The run is being written: until the next one is handed over, it stays as it is. */
  handOver(): void {
    this.#turn = 1 - this.#turn
  }
}
