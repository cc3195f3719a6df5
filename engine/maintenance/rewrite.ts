/**
 * Online rewrite: copies what lives in the source segments and swaps pointers.
 *
 *   1. find the records that live in a source and their keys, in slices (`live-keys.ts`);
 *   2. copy them to output segments, in slices, once what was written so far survives a power cut: a swap
 *      that outlived the batch it moves a value of would bring one half of that back;
 *   3. sync the output a piece at a time, while copying goes on; only then
 *   4. swap, a batch at a time, while the next piece is copied: a key gets its new pointer if it still
 *      holds exactly the old one.
 *
 * A source may also hold leaf pages of a foreign index, which move at the next checkpoint, and values of
 * its system tree: their copies are published by a checkpoint of their own, before the rewrite ends.
 * A lost swap wastes its copy and nothing else. Cancelling keeps every swap done so far and swaps what
 * was copied. The state may change at each `await`; 4 is what makes that harmless.
 */
import { copyOf } from '../bytes.ts'
import type { SystemMove } from '../checkpoint.ts'
import { BATCH_MOVES_MAX } from '../commit-log/codec.ts'
import type { Journal } from '../commit-log/journal.ts'
import type { KeyFinger } from '../key-finger.ts'
import type { KeySpace, TreeRoot } from '../key-space.ts'
import { Slicer, type SliceSettings } from '../slicer.ts'
import type { ChecksumKind } from '../checksum.ts'
import type { LocalityPolicy, RewriteReport, SegmentId } from '../types.ts'
import type { CopyMemory } from '../value-log/copy-memory.ts'
import type { PointerMoves } from '../value-log/pointer-moves.ts'
import type { Segment } from '../value-log/segment.ts'
import type { ValueLog } from '../value-log/value-log.ts'
import type { RewriteRequest } from './host.ts'
import { LiveKeys, type Found } from './live-keys.ts'
import { RewriteCopy } from './rewrite-copy.ts'
import { RewriteOutput } from './rewrite-output.ts'

/**
 * Output bytes of one sync. Two pieces are under way at most: one that the disk works on and one being
 * copied. Larger makes the sync cheaper, smaller bounds what foreground syncs may have to wait for.
 */
const PIECE_BYTES = 16 * 1024 * 1024
/**
 * The same while the foreground commits: its sync waits in the file system for what the output's one
 * writes, so that has to be little.
 */
const PACED_PIECE_BYTES = 256 * 1024
/** Swaps in one turn; the only part that excludes writers (M9). Upstream's BatchSize. */
const BATCH_RECORDS = 256

export interface RewriteParts {
  keySpace: KeySpace
  valueLog: ValueLog
  journal: Journal | null
  kind: ChecksumKind
  slices: SliceSettings
  /** Resolves when journaled swaps are as durable as the profile promises. */
  commit: () => Promise<void>
  /** Resolves when all that the journal has so far survives a power cut, with its values; there may be none. */
  syncJournaled: () => Promise<void>
  /** Resolves when the swaps so far survive a power cut, whatever the profile. */
  syncSwaps: () => Promise<void>
  /** The foreground's commits: how many were asked for so far, and a moment without a sync of theirs. */
  foreground: { commitsAsked: () => number; betweenSyncs: () => Promise<void> }
  /** Publishes copies of what the system tree holds; all of them are on disk. */
  publishSystem: (moves: readonly SystemMove[]) => Promise<void>
  /** Resolves when the memtable has room again; swaps fill it like writes. */
  relieve: () => Promise<void>
}

/** Copies, and the root under which their keys were last seen to hold the old pointers. */
interface Piece {
  moves: PointerMoves
  seen: TreeRoot
  done: Promise<void>
}

export async function rewriteSegments(
  parts: RewriteParts,
  sourceIds: readonly SegmentId[],
  signal: AbortSignal,
  request: RewriteRequest = {},
): Promise<RewriteReport> {
  const ids = [...new Set(sourceIds)]
  // A named segment that is still written is closed first: writers go on in a new one (B2).
  for (const id of ids) parts.valueLog.sealActive(id)
  const sources = ids
    .map((id) => parts.valueLog.set.get(id))
    .filter((s) => s !== undefined)
    .filter((s) => s.state === 'sealed')
  for (const source of sources) parts.valueLog.set.setBusy(source, true)
  try {
    // In a turn of its own, behind the one in which the pass decided. Busy sources stay meanwhile, and of
    // the rest nothing was looked at yet.
    await parts.slices.yieldNow()
    // Behind it nothing more comes into a source: what it has is of batches that are on disk then, in journals
    // before those of the swaps.
    await parts.syncJournaled()
    return await new Rewrite(parts, sources, { signal, ...request }).run()
  } finally {
    for (const source of sources) parts.valueLog.set.setBusy(source, false)
  }
}

class Rewrite {
  readonly #parts: RewriteParts
  readonly #sources: readonly Segment[]
  readonly #signal: AbortSignal
  readonly #slicer: Slicer
  readonly #live: LiveKeys
  readonly #output: RewriteOutput
  readonly #memory: CopyMemory
  readonly #copy: RewriteCopy
  readonly #batchRecords: number
  readonly #locality: LocalityPolicy
  readonly #syncEachBatch: boolean
  readonly #before: { segments: number; bytes: number }
  readonly #bytesRequested: number
  /** Piece that the disk works on. */
  #syncing: Piece | null = null
  /** The piece before it, whose keys get their new pointers. */
  #swapping: Promise<void> = Promise.resolve()
  /** Asks for keys in the order of swapping. */
  readonly #finger: KeyFinger
  /** Newest change, as long as nobody but this rewrite changed anything since it began. */
  #quietSeq: number
  /** Root when the first copy of the piece being copied was made. */
  #pieceSeen: TreeRoot
  readonly #finished = new Set<Segment>()
  #bytesRead = 0
  #leafPagesMoved = 0
  #swapsLost = 0
  #swapBatches = 0
  #longestSwapMs = 0
  #pacedMs = 0
  readonly #commitsSeen: number
  #isPaced = false

  constructor(
    parts: RewriteParts,
    sources: readonly Segment[],
    request: RewriteRequest & { signal: AbortSignal },
  ) {
    const { keySpace, valueLog, kind } = parts
    this.#parts = parts
    this.#sources = sources
    this.#locality = request.locality ?? 'grouped'
    this.#syncEachBatch = request.syncEachBatch ?? false
    this.#signal = request.signal
    this.#slicer = new Slicer(parts.slices)
    this.#live = new LiveKeys({
      keySpace,
      set: valueLog.set,
      slicer: this.#slicer,
      signal: request.signal,
    })
    // More of them would be a batch of the journal that no opening reads.
    this.#batchRecords = Math.min(BATCH_MOVES_MAX, orElse(request.batchRecords, BATCH_RECORDS))
    const takeRid = valueLog.ridSource(request.reserveRids, this.#batchRecords)
    this.#memory = valueLog.takeCopyMemory()
    this.#output = new RewriteOutput({ valueLog, kind, takeRid })
    this.#copy = new RewriteCopy({
      keySpace,
      kind,
      output: this.#output,
      memory: this.#memory,
      maxCopiedBytes: orElse(request.maxCopiedBytes, Infinity),
      signal: request.signal,
      isQuiet: () => this.#isQuiet,
    })
    this.#commitsSeen = parts.foreground.commitsAsked()
    this.#pieceSeen = keySpace.root
    this.#quietSeq = keySpace.seq
    this.#finger = keySpace.finger()
    this.#before = totals(valueLog.set)
    this.#bytesRequested = totals(sources).bytes
  }

  async run(): Promise<RewriteReport> {
    const { clock } = this.#parts.slices
    const started = clock.monotonic()
    try {
      await this.#copySources()
      // Also after a cancellation: what was copied is paid for, swapping it is cheap.
      while (this.#syncing !== null) await this.#advance()
      await this.#swapping
    } catch (error) {
      // Nothing of this rewrite goes on behind its failure, and there is only one to tell.
      await Promise.allSettled([this.#syncing?.done, this.#swapping])
      throw error
    }
    await this.#moveLeaves()
    await this.#moveSystem()
    // Not after a failure: a call to a file may be in it still.
    this.#parts.valueLog.giveBack(this.#memory)
    await this.#parts.commit()
    return this.#report(clock.monotonic() - started)
  }

  async #copySources(): Promise<void> {
    const unlisted: Segment[] = []
    for (const source of this.#sources) {
      const listed = await this.#live.listed(source)
      if (listed === undefined) unlisted.push(source)
      else await this.#copySource(listed)
    }
    if (unlisted.length === 0) return
    for (const found of await this.#live.walked(unlisted)) await this.#copySource(found)
  }

  async #copySource(found: Found): Promise<void> {
    await this.#copyRecords(found)
    // The moves of a piece are of one source.
    await this.#advance()
    if (!this.#copy.isOver()) this.#finished.add(found.live.segment)
  }

  async #copyRecords(found: Found): Promise<void> {
    const { live } = found
    live.sort(this.#locality)
    const [copy, output] = [this.#copy, this.#output]
    copy.begin()
    output.begin(live)
    const reader = this.#parts.valueLog.sourceReader(live, this.#memory)
    try {
      for (let row = 0; row < live.count && !copy.isOver();) {
        const end = await reader.load(row, this.#pieceBytes)
        this.#lookAtForeground()
        while (row < end && !copy.isOver()) {
          row = await copy.step(found, reader, row, end)
          if (this.#slicer.due) await this.#slicer.pause()
          const isPieceFull = output.unsyncedBytes >= this.#pieceBytes
          // What is of the system tree is swapped as a whole.
          if (isPieceFull && found.seen !== null) await this.#advance()
        }
      }
    } finally {
      await reader.close()
    }
    this.#bytesRead += reader.bytesRead
  }

  get #pieceBytes(): number {
    return this.#isPaced ? PACED_PIECE_BYTES : PIECE_BYTES
  }

  /** Somebody commits: from then on the rewrite goes in small pieces and steps. */
  #lookAtForeground(): void {
    const { foreground } = this.#parts
    this.#isPaced ||= foreground.commitsAsked() > this.#commitsSeen
  }

  /** A sync of the output does not begin while the foreground's is under way. */
  async #standBack(): Promise<void> {
    if (!this.#isPaced) return
    const { clock } = this.#parts.slices
    const begun = clock.monotonic()
    await this.#parts.foreground.betweenSyncs()
    this.#pacedMs += clock.monotonic() - begun
  }

  /** What was found to live still does, without asking: nobody else wrote, and own swaps are of other keys. */
  get #isQuiet(): boolean {
    return this.#parts.keySpace.seq === this.#quietSeq
  }

  /** Starts the sync of what was copied, and the swapping of what the sync before made durable. */
  async #advance(): Promise<void> {
    const before = this.#syncing
    // One at a time: the disk would only queue them, and foreground syncs behind both.
    await before?.done
    await this.#swapping
    await this.#standBack()
    const { moves, done } = this.#output.sync()
    // Its failure is met where it is awaited.
    done.catch(() => undefined)
    this.#syncing = moves.count === 0 ? null : { moves, done, seen: this.#pieceSeen }
    this.#pieceSeen = this.#parts.keySpace.root
    this.#slicer.restart()
    if (before === null) return
    // Copying waits for its reads and writes most of the time: swapping goes on in between.
    this.#swapping = this.#swapPiece(before)
    this.#swapping.catch(() => undefined)
  }

  /** Each batch is a slice of its own, because copying has slices beside it. */
  async #swapPiece({ moves, seen }: Piece): Promise<void> {
    const { clock } = this.#parts.slices
    const slicer = new Slicer(this.#parts.slices)
    for (let from = 0; from < moves.count; from += this.#batchRecords) {
      const to = Math.min(moves.count, from + this.#batchRecords)
      const begun = clock.monotonic()
      this.#swap(moves, { from, to, seen })
      this.#longestSwapMs = Math.max(this.#longestSwapMs, clock.monotonic() - begun)
      if (this.#syncEachBatch) await this.#parts.syncSwaps()
      else await slicer.pause()
    }
    await this.#parts.relieve()
    this.#output.giveBack(moves)
  }

  /** One batch, without a gap between comparing and changing. */
  #swap(
    moves: PointerMoves,
    { from, to, seen }: { from: number; to: number; seen: TreeRoot },
  ): void {
    const { keySpace, journal } = this.#parts
    const isQuiet = this.#isQuiet
    const holding: number[] = []
    for (let i = from; i < to; i++) {
      if (isQuiet || this.#finger.stillHolds(moves.key(i), moves.hash(i), moves.from(i), seen))
        holding.push(i)
    }
    this.#swapsLost += to - from - holding.length
    if (holding.length === 0) return
    journal?.appendMoves(keySpace.seq + 1, moves, holding)
    keySpace.movePointers(moves, holding)
    if (isQuiet) this.#quietSeq = keySpace.seq
    this.#swapBatches++
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
        if (touched.length >= this.#batchRecords) touched = this.#touch(touched)
        await this.#slicer.pause()
      }
      this.#touch(touched)
    } finally {
      keySpace.closeView(view)
    }
  }

  /**
   * What the system tree still has in a source: copied, synced, and swapped by a checkpoint, because it
   * has no journal. Only looked for where something of a source lives that no key of the user holds.
   */
  async #moveSystem(): Promise<void> {
    const sources = this.#sources.filter((s) => s.bytesLive > 0 && this.#finished.has(s))
    if (sources.length === 0 || this.#copy.isOver()) return
    const { found, leaves } = await this.#live.inSystemTree(sources)
    const moves: SystemMove[] = leaves.map((key) => ({ key, pointers: null }))
    for (const records of found) {
      await this.#copyRecords(records)
      if (this.#copy.isOver()) this.#finished.delete(records.live.segment)
      const { moves: copies, done } = this.#output.sync()
      await done
      for (let i = 0; i < copies.count; i++) {
        const to = { segmentId: 0, offset: 0, length: 0 }
        copies.readTo(i, to)
        moves.push({ key: copyOf(copies.key(i)), pointers: { from: copies.from(i), to } })
      }
    }
    if (moves.length === 0) return
    await this.#parts.publishSystem(moves)
    this.#slicer.restart()
    this.#leafPagesMoved += leaves.length
  }

  #touch(keys: Uint8Array[]): Uint8Array[] {
    if (keys.length > 0) this.#parts.keySpace.touch(keys)
    this.#leafPagesMoved += keys.length
    return []
  }

  #report(elapsedMs: number): RewriteReport {
    const unreferenced = this.#sources.filter((s) => s.bytesLive === 0)
    const referenced = this.#sources.filter((s) => s.bytesLive > 0)
    const after = totals(this.#parts.valueLog.set)
    const [copy, output] = [this.#copy, this.#output]
    return {
      sourceSegmentsRequested: ids(this.#sources),
      sourceBytesRequested: this.#bytesRequested,
      outputSegments: output.segmentIds,
      keysVisited: this.#live.visited,
      treeWalks: this.#live.walks,
      recordsCopied: copy.recordsCopied + this.#leafPagesMoved,
      valueRecordsCopied: copy.recordsCopied,
      valueBytesCopied: copy.valueBytesCopied,
      leafPagesMoved: this.#leafPagesMoved,
      swapsLost: this.#swapsLost,
      valuesUnreadable: copy.valuesUnreadable,
      firstUnreadable: copy.firstUnreadable,
      bytesRead: this.#bytesRead,
      sourceBytesProcessed: copy.bytesProcessed,
      bytesWritten: output.bytesWritten,
      groupsTried: output.groups.groupsTried,
      groupsKept: output.groups.groupsKept,
      groupBytesRaw: output.groups.groupBytesRaw,
      groupBytesStored: output.groups.groupBytesStored,
      sourcesUnreferenced: ids(unreferenced),
      sourceBytesUnreferenced: totals(unreferenced).bytes,
      sourcesStillReferenced: ids(referenced),
      sourceBytesStillReferenced: totals(referenced).bytes,
      sourcesUnfinished: ids(referenced.filter((s) => !this.#finished.has(s))),
      sourcesReclaimed: null,
      sourceBytesReclaimed: null,
      segmentsBefore: this.#before.segments,
      segmentsAfter: after.segments,
      bytesBefore: this.#before.bytes,
      bytesAfter: after.bytes,
      swapBatches: this.#swapBatches,
      longestSwapMs: this.#longestSwapMs,
      pacedMs: this.#pacedMs,
      longestSliceMs: this.#slicer.longestSliceMs,
      elapsedMs,
      cancelled: this.#signal.aborted,
    }
  }
}

/** 0 is as good as absent. */
function orElse(value: number | undefined, otherwise: number): number {
  return value === undefined || value <= 0 ? otherwise : value
}

function ids(segments: readonly Segment[]): SegmentId[] {
  return segments.map((s) => s.id)
}

function totals(segments: Iterable<Segment>): { segments: number; bytes: number } {
  const all = [...segments]
  return { segments: all.length, bytes: all.reduce((sum, s) => sum + s.bytesTotal, 0) }
}
