/**
 * Online rewrite: copies what lives in the source segments and swaps pointers.
 *
 *   1. find the keys whose value lies in a source, in slices: from the segment's key list, so that
 *      the cost follows the segment and not the store, or by walking everything where there is none;
 *   2. copy their values in source order to output segments, in slices;
 *   3. sync the output; only then
 *   4. swap, a batch at a time: a key gets its new pointer if it still holds exactly the old one.
 *
 * A source may also hold leaf pages of a foreign index; those move at the next checkpoint.
 * A lost swap wastes its copy and nothing else. Cancelling keeps every swap done so far. The state
 * may change at each `await`; 4 is what makes that harmless.
 */
import type { KeyChange, KeySpace } from '../key-space.ts'
import type { Journal } from '../commit-log/journal.ts'
import type { JournalOperation } from '../commit-log/codec.ts'
import { EngineError } from '../errors.ts'
import { Slicer, type SliceSettings } from '../slicer.ts'
import type { ChecksumKind } from '../checksum.ts'
import type { RewriteReport, SegmentId } from '../types.ts'
import { samePointer, type ValuePointer } from '../value-pointer.ts'
import type { Segment } from '../value-log/segment.ts'
import type { ValueLog } from '../value-log/value-log.ts'
import { RewriteOutput, type Copied } from './rewrite-output.ts'

/** Output bytes between two syncs: large enough to make the sync cheap, small enough to bound memory. */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024
/** Swaps in one turn; the only part that excludes writers (M9). */
const SWAP_BATCH = 256

export interface RewriteParts {
  keySpace: KeySpace
  valueLog: ValueLog
  journal: Journal | null
  kind: ChecksumKind
  slices: SliceSettings
  /** Resolves when journaled swaps are as durable as the profile promises. */
  commit: () => Promise<void>
}

interface Candidate {
  key: Uint8Array
  pointer: ValuePointer
}

export async function rewriteSegments(
  parts: RewriteParts,
  sourceIds: readonly SegmentId[],
  signal: AbortSignal,
): Promise<RewriteReport> {
  // A named segment that is still written is closed first: writers go on in a new one (B2).
  for (const id of sourceIds) parts.valueLog.sealActive(id)
  const sources = sourceIds
    .map((id) => parts.valueLog.set.get(id))
    .filter((s) => s !== undefined)
    .filter((s) => s.state === 'sealed')
  for (const source of sources) parts.valueLog.set.setBusy(source, true)
  try {
    return await new Rewrite(parts, sources, signal).run()
  } finally {
    for (const source of sources) parts.valueLog.set.setBusy(source, false)
  }
}

function isAt(pointer: ValuePointer, segmentId: SegmentId, offset: number): boolean {
  return pointer.segmentId === segmentId && pointer.offset === offset
}

class Rewrite {
  readonly #parts: RewriteParts
  readonly #sources: readonly Segment[]
  readonly #signal: AbortSignal
  readonly #slicer: Slicer
  readonly #output: RewriteOutput
  #keysVisited = 0
  #recordsCopied = 0
  #swapsLost = 0
  #valuesUnreadable = 0
  #firstUnreadable: string | null = null
  #bytesRead = 0
  #treeWalks = 0
  #leafPagesMoved = 0
  readonly #before: { segments: number; bytes: number }

  constructor(parts: RewriteParts, sources: readonly Segment[], signal: AbortSignal) {
    this.#parts = parts
    this.#sources = sources
    this.#signal = signal
    const all = [...parts.valueLog.set]
    this.#before = { segments: all.length, bytes: all.reduce((n, s) => n + s.bytesTotal, 0) }
    this.#slicer = new Slicer(parts.slices)
    this.#output = new RewriteOutput(parts.valueLog, parts.kind)
  }

  async run(): Promise<RewriteReport> {
    const { clock } = this.#parts.slices
    const started = clock.monotonic()
    for (const candidates of await this.#candidates()) {
      for (const candidate of candidates) {
        if (this.#signal.aborted) break
        this.#copy(candidate)
        if (this.#output.unsyncedBytes >= SYNC_EVERY_BYTES) await this.#swapCopied()
        if (this.#slicer.due) await this.#slicer.pause()
      }
    }
    // Also after a cancellation: what was copied is paid for, swapping it is cheap.
    await this.#swapCopied()
    await this.#moveLeaves()
    await this.#parts.commit()
    return this.#report(clock.monotonic() - started)
  }

  /** Per source, its live keys in file order. */
  async #candidates(): Promise<Candidate[][]> {
    const lists: Candidate[][] = []
    const unlisted: Segment[] = []
    for (const source of this.#sources) {
      const listed = await this.#fromKeyList(source)
      if (listed === undefined) unlisted.push(source)
      else lists.push(listed)
    }
    if (unlisted.length > 0) lists.push(...(await this.#fromWalk(unlisted)))
    for (const list of lists) list.sort((a, b) => a.pointer.offset - b.pointer.offset)
    return lists
  }

  /** Asks only the keys once written to the source; undefined when the list does not account for all of it. */
  async #fromKeyList(source: Segment): Promise<Candidate[] | undefined> {
    const { keySpace, valueLog } = this.#parts
    const keys = valueLog.set.keysOf(source)
    if (keys === undefined) return undefined
    const found: Candidate[] = []
    const records = new Map<number, number>()
    for (const { offset, key } of keys.entries()) {
      this.#keysVisited++
      const now = keySpace.current(key)
      if (now?.kind === 'pointer' && isAt(now.pointer, source.id, offset)) {
        found.push({ key, pointer: now.pointer })
        if (!records.has(offset)) records.set(offset, source.recordBytes(now.pointer))
      }
      if (this.#signal.aborted) break
      if (this.#slicer.due) await this.#slicer.pause()
    }
    // A sealed segment only loses live bytes, so a whole list has found at least what is live now.
    let bytes = 0
    for (const size of records.values()) bytes += size
    return bytes >= source.bytesLive || this.#signal.aborted ? found : undefined
  }

  /** Walks everything the store holds: for folders and segments without key lists. */
  async #fromWalk(sources: readonly Segment[]): Promise<Candidate[][]> {
    const bySource = new Map<SegmentId, Candidate[]>(sources.map((s) => [s.id, []]))
    const { keySpace } = this.#parts
    const view = keySpace.openView()
    this.#treeWalks++
    try {
      for (const { key, value } of keySpace.entries(view, {})) {
        this.#keysVisited++
        if (value.kind === 'pointer') {
          bySource.get(value.pointer.segmentId)?.push({ key, pointer: value.pointer })
        }
        if (this.#signal.aborted) break
        if (this.#slicer.due) await this.#slicer.pause()
      }
    } finally {
      keySpace.closeView(view)
    }
    return [...bySource.values()]
  }

  #copy(candidate: Candidate): void {
    const now = this.#parts.keySpace.current(candidate.key)
    // Overwritten since the walk: its copy would be stale at birth.
    if (now?.kind !== 'pointer' || !samePointer(now.pointer, candidate.pointer)) return
    const value = this.#readOrSkip(candidate)
    if (value === undefined) return
    this.#bytesRead += value.length
    this.#output.add(candidate.key, candidate.pointer, value)
    this.#recordsCopied++
  }

  /**
   * undefined for a value that is damaged: it stays where it is, its segment stays referenced, and the
   * others are copied. One bad record must not stop the rewriting of everything else.
   */
  #readOrSkip({ pointer }: Candidate): Uint8Array | undefined {
    try {
      return this.#parts.valueLog.read(pointer)
    } catch (error) {
      if (!(error instanceof EngineError) || error.code === 'ENGINE_IO') throw error
      this.#valuesUnreadable++
      this.#firstUnreadable ??= error.message
      return undefined
    }
  }

  async #swapCopied(): Promise<void> {
    const copied = await this.#output.sync()
    this.#slicer.restart()
    for (let at = 0; at < copied.length; at += SWAP_BATCH) {
      this.#swap(copied.slice(at, at + SWAP_BATCH))
      if (this.#slicer.due) await this.#slicer.pause()
    }
  }

  /** One batch, without a gap between comparing and changing. */
  #swap(batch: readonly Copied[]): void {
    const { keySpace, journal } = this.#parts
    const changes: KeyChange[] = []
    const operations: JournalOperation[] = []
    for (const { key, from, to, rid } of batch) {
      const now = keySpace.current(key)
      if (now?.kind !== 'pointer' || !samePointer(now.pointer, from)) {
        this.#swapsLost++
        continue
      }
      changes.push({ key, value: { kind: 'pointer', pointer: to } })
      operations.push({ op: 'set_rid', key, rid })
    }
    if (changes.length === 0) return
    journal?.append({ seq: keySpace.seq + 1, operations })
    keySpace.apply(changes)
  }

  /**
   * Leaf pages of a foreign index that lie in a source: the next checkpoint writes them as pages of
   * index.db, and only then lets go of the source.
   */
  async #moveLeaves(): Promise<void> {
    const { keySpace } = this.#parts
    const sources = new Set(this.#sources.map((s) => s.id))
    const view = keySpace.openView()
    let touched: Uint8Array[] = []
    try {
      for (const key of keySpace.keysOfLoggedLeaves(view, sources)) {
        if (this.#signal.aborted) break
        if (key !== undefined) {
          touched.push(key)
          this.#leafPagesMoved++
        }
        if (touched.length >= SWAP_BATCH) {
          keySpace.touch(touched)
          touched = []
        }
        await this.#slicer.pause()
      }
      if (touched.length > 0) keySpace.touch(touched)
    } finally {
      keySpace.closeView(view)
    }
  }

  #report(elapsedMs: number): RewriteReport {
    const all = [...this.#parts.valueLog.set]
    const unreferenced = this.#sources.filter((s) => s.bytesLive === 0)
    const referenced = this.#sources.filter((s) => s.bytesLive > 0)
    const bytes = (list: readonly Segment[]): number =>
      list.reduce((sum, s) => sum + s.bytesTotal, 0)
    return {
      sourceSegmentsRequested: this.#sources.map((s) => s.id),
      sourceBytesRequested: bytes(this.#sources),
      outputSegments: [...this.#output.segments].map((s) => s.id),
      keysVisited: this.#keysVisited,
      treeWalks: this.#treeWalks,
      recordsCopied: this.#recordsCopied,
      valueRecordsCopied: this.#recordsCopied,
      valueBytesCopied: this.#bytesRead,
      leafPagesMoved: this.#leafPagesMoved,
      swapsLost: this.#swapsLost,
      valuesUnreadable: this.#valuesUnreadable,
      firstUnreadable: this.#firstUnreadable,
      bytesRead: this.#bytesRead,
      sourceBytesProcessed: this.#bytesRead,
      bytesWritten: this.#output.bytesWritten,
      groupsTried: 0,
      groupsKept: 0,
      groupBytesRaw: 0,
      groupBytesStored: 0,
      sourcesUnreferenced: unreferenced.map((s) => s.id),
      sourceBytesUnreferenced: bytes(unreferenced),
      sourcesStillReferenced: referenced.map((s) => s.id),
      sourceBytesStillReferenced: bytes(referenced),
      sourcesUnfinished: this.#signal.aborted ? referenced.map((s) => s.id) : [],
      sourcesReclaimed: null,
      sourceBytesReclaimed: null,
      segmentsBefore: this.#before.segments,
      segmentsAfter: all.length,
      bytesBefore: this.#before.bytes,
      bytesAfter: bytes(all),
      swapBatches: 0,
      longestSwapMs: 0,
      pacedMs: 0,
      longestSliceMs: this.#slicer.longestSliceMs,
      elapsedMs,
      cancelled: this.#signal.aborted,
    }
  }
}
