/**
 * Online rewrite: copies what lives in the source segments and swaps pointers.
 *
 *   1. walk the current state for keys whose value lies in a source, in slices;
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
  segmentBytes: number
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
  if (sourceIds.some((id) => parts.valueLog.isForeground(id))) parts.valueLog.sealForeground()
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

class Rewrite {
  readonly #parts: RewriteParts
  readonly #sources: readonly Segment[]
  readonly #signal: AbortSignal
  readonly #slicer: Slicer
  readonly #output: RewriteOutput
  #recordsCopied = 0
  #swapsLost = 0
  #bytesRead = 0

  constructor(parts: RewriteParts, sources: readonly Segment[], signal: AbortSignal) {
    this.#parts = parts
    this.#sources = sources
    this.#signal = signal
    this.#slicer = new Slicer(parts.slices)
    this.#output = new RewriteOutput(parts.valueLog, parts)
  }

  async run(): Promise<RewriteReport> {
    const { clock } = this.#parts.slices
    const started = clock.monotonic()
    try {
      for (const candidates of await this.#candidates()) {
        for (const candidate of candidates) {
          if (this.#signal.aborted) break
          this.#copy(candidate)
          if (this.#output.unsyncedBytes >= SYNC_EVERY_BYTES) await this.#swapCopied()
          await this.#slicer.pause()
        }
      }
      // Also after a cancellation: what was copied is paid for, swapping it is cheap.
      await this.#swapCopied()
      await this.#moveLeaves()
      await this.#parts.commit()
    } finally {
      this.#output.finish()
    }
    return this.#report(clock.monotonic() - started)
  }

  /** Per source, its live keys in file order. */
  async #candidates(): Promise<Candidate[][]> {
    const bySource = new Map<SegmentId, Candidate[]>(this.#sources.map((s) => [s.id, []]))
    const { keySpace } = this.#parts
    const view = keySpace.openView()
    try {
      for (const { key, value } of keySpace.entries(view, {})) {
        if (value.kind === 'pointer') {
          bySource.get(value.pointer.segmentId)?.push({ key, pointer: value.pointer })
        }
        if (this.#signal.aborted) break
        await this.#slicer.pause()
      }
    } finally {
      keySpace.closeView(view)
    }
    const lists = [...bySource.values()]
    for (const list of lists) list.sort((a, b) => a.pointer.offset - b.pointer.offset)
    return lists
  }

  #copy(candidate: Candidate): void {
    const now = this.#parts.keySpace.current(candidate.key)
    // Overwritten since the walk: its copy would be stale at birth.
    if (now?.kind !== 'pointer' || !samePointer(now.pointer, candidate.pointer)) return
    const value = this.#parts.valueLog.read(candidate.pointer)
    this.#bytesRead += value.length
    this.#output.add(candidate.key, candidate.pointer, value)
    this.#recordsCopied++
  }

  async #swapCopied(): Promise<void> {
    const copied = await this.#output.sync()
    this.#slicer.restart()
    for (let at = 0; at < copied.length; at += SWAP_BATCH) {
      this.#swap(copied.slice(at, at + SWAP_BATCH))
      await this.#slicer.pause()
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
        if (key !== undefined) touched.push(key)
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
    const unreferenced = this.#sources.filter((s) => s.bytesLive === 0)
    const referenced = this.#sources.filter((s) => s.bytesLive > 0)
    const bytes = (list: readonly Segment[]): number =>
      list.reduce((sum, s) => sum + s.bytesTotal, 0)
    return {
      sourceSegmentsRequested: this.#sources.map((s) => s.id),
      outputSegments: this.#output.segments.map((s) => s.id),
      recordsCopied: this.#recordsCopied,
      swapsLost: this.#swapsLost,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#output.bytesWritten,
      sourcesUnreferenced: unreferenced.map((s) => s.id),
      sourceBytesUnreferenced: bytes(unreferenced),
      sourcesStillReferenced: referenced.map((s) => s.id),
      sourceBytesStillReferenced: bytes(referenced),
      longestSliceMs: this.#slicer.longestSliceMs,
      elapsedMs,
      cancelled: this.#signal.aborted,
    }
  }
}
