/**
 * The copying of a rewrite: from the live records of one source to the output. Plain records go in runs
 * of hundreds, which cost no object each; frames, values that are tried as a frame, and whatever has
 * something wrong with it go one by one.
 */
import { EngineError } from '../errors.ts'
import type { ChecksumKind } from '../checksum.ts'
import type { KeyFinger } from '../key-finger.ts'
import type { KeySpace } from '../key-space.ts'
import type { CopyMemory } from '../value-log/copy-memory.ts'
import { RECORD_HEADER_BYTES } from '../value-log/record.ts'
import type { RecordRun } from '../value-log/record-run.ts'
import type { SourceReader, ValuePlace } from '../value-log/source-reader.ts'
import { isGrouped, type ValuePointer } from '../value-pointer.ts'
import type { Found } from './live-keys.ts'
import type { RewriteOutput } from './rewrite-output.ts'

/** Copied one by one in one step, and what a record adds to its bytes there. */
const STEP_BYTES = 64 * 1024
const COST_OF_ROW = 1024

export interface CopyParts {
  keySpace: KeySpace
  kind: ChecksumKind
  output: RewriteOutput
  memory: CopyMemory
  /** Source bytes; Infinity = no bound. The first record is taken whatever the bound. */
  maxCopiedBytes: number
  signal: AbortSignal
  /** What was found to live still does, without asking: nobody but this rewrite changed anything. */
  isQuiet: () => boolean
}

export class RewriteCopy {
  recordsCopied = 0
  valueBytesCopied = 0
  /** Of sources; a frame counts once, however many of its values are copied. */
  bytesProcessed = 0
  valuesUnreadable = 0
  firstUnreadable: string | null = null
  readonly #parts: CopyParts
  readonly #finger: KeyFinger
  readonly #framesCounted = new Set<number>()
  #isFull = false
  /** Rows before it go one by one: something is wrong with one of them. */
  #doubtfulTo = 0

  constructor(parts: CopyParts) {
    this.#parts = parts
    this.#finger = parts.keySpace.finger()
  }

  /** Cancelled, or the bound is reached. */
  isOver(): boolean {
    return this.#parts.signal.aborted || this.#isFull
  }

  /** What is copied from now on is of another source. */
  begin(): void {
    this.#framesCounted.clear()
    this.#doubtfulTo = 0
  }

  /**
   * Copies some of the loaded rows [row, end), those that still live; returns the first row not looked
   * at. Takes a fraction of a millisecond.
   */
  async step(found: Found, reader: SourceReader, row: number, end: number): Promise<number> {
    const { output, memory, kind } = this.#parts
    if (row >= this.#doubtfulTo && output.plainNext > 0) {
      const run = memory.run()
      const next = this.#gather({ found, reader, run }, row, end)
      if (next > row && run.isSound(kind)) {
        await this.#copyRun(run)
        return next
      }
      if (next > row) {
        this.#doubtfulTo = next
        this.#isFull = false
      }
    }
    await output.settle()
    return this.#copySome(found, reader, row, end)
  }

  /** Moves plain records that live to the run; returns the first row that is not for it. */
  #gather(
    { found, reader, run }: { found: Found; reader: SourceReader; run: RecordRun },
    row: number,
    end: number,
  ): number {
    const { live, seen } = found
    const { keySpace, output } = this.#parts
    const isSure = seen === null || this.#parts.isQuiet()
    const most = output.plainNext
    let next = row
    for (; next < end && run.count < most && live.isPlain(next); next++) {
      const bytes = live.recordBytes(next)
      const at = reader.placeOf(next)
      if (at < 0 || !run.takes(bytes) || !this.#admits(run.bytes, bytes)) break
      const key = live.key(next)
      const hash = keySpace.hashOf(key)
      if (isSure || this.#finger.stillHolds(key, hash, live.pointer(next), seen)) {
        run.add(next, hash, at, bytes)
      }
    }
    return next
  }

  async #copyRun(run: RecordRun): Promise<void> {
    const { count, bytes } = run
    if (count === 0) return
    await this.#parts.output.addRun(run)
    this.#parts.memory.handOver()
    this.recordsCopied += count
    this.valueBytesCopied += bytes - count * RECORD_HEADER_BYTES
    this.bytesProcessed += bytes
  }

  #copySome(found: Found, reader: SourceReader, from: number, end: number): number {
    const { live } = found
    const { output } = this.#parts
    let row = from
    for (let cost = 0; row < end && cost < STEP_BYTES; row++) {
      if (output.plainNext > 0 && row >= this.#doubtfulTo && row > from) break
      const isCounted = this.#framesCounted.has(live.start(row))
      const bytes = isCounted ? 0 : live.recordBytes(row)
      if (!this.#admits(0, bytes) || this.isOver()) break
      cost += COST_OF_ROW + this.#copyOne(found, reader, row, bytes)
    }
    return row
  }

  /** So many bytes more are within the bound, behind others that are not counted yet. */
  #admits(before: number, bytes: number): boolean {
    const { maxCopiedBytes } = this.#parts
    const sofar = this.bytesProcessed + before
    this.#isFull = sofar > 0 && sofar + bytes > maxCopiedBytes
    return !this.#isFull
  }

  /** Copies what still lives; its source bytes are `newBytes`. Returns the value's bytes. */
  #copyOne({ live, seen }: Found, reader: SourceReader, row: number, newBytes: number): number {
    const { keySpace, output, isQuiet } = this.#parts
    const key = live.key(row)
    const hash = keySpace.hashOf(key)
    const from = live.pointer(row)
    // Overwritten since it was found: its copy would be stale at birth.
    const isSure = seen === null || isQuiet()
    if (!isSure && !this.#finger.stillHolds(key, hash, from, seen)) return 0
    const value = this.#readOrSkip(reader, row, from)
    if (value === undefined) return 0
    output.add(row, hash, value)
    const bytes = value.to - value.from
    this.recordsCopied++
    this.valueBytesCopied += bytes
    this.bytesProcessed += newBytes
    if (isGrouped(from)) this.#framesCounted.add(live.start(row))
    return bytes
  }

  /**
   * undefined for a value that is damaged: it stays where it is, its segment stays referenced, and the
   * others are copied. One bad record must not stop the rewriting of everything else.
   */
  #readOrSkip(reader: SourceReader, row: number, pointer: ValuePointer): ValuePlace | undefined {
    try {
      return reader.value(row, pointer)
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'ENGINE_IO') throw error
      this.valuesUnreadable++
      this.firstUnreadable ??= error.message
      return undefined
    }
  }
}
