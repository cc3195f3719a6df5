/**
 * All segments of a store, and the one owner of deletion. A segment goes active -> sealed -> zombie
 * -> deleted; it becomes a zombie when GC finds it dead, and its file goes when nothing keeps it: no
 * reader opened before it died, no root that a crash could select, no journal file, no rewrite in
 * flight. Changes are reported as events; those of bytes, pins and keepers are held back until
 * `drain`, so that a million puts or iterators do not become a million events.
 */
import * as path from 'node:path'
import { assert } from '../assert.ts'
import { EngineError } from '../errors.ts'
import { removeIfPresent, type FileSystem } from '../file-system.ts'
import type { Slicer } from '../slicer.ts'
import type { EngineEventBody, Pin, SegmentId, SegmentInfo, SegmentKeeper } from '../types.ts'
import type { ValuePointer } from '../value-pointer.ts'
import { SegmentKeyFiles, type SegmentKeys } from './segment-keys.ts'
import type { Segment } from './segment.ts'

/** A reader: it may need every segment that was not dead when it was opened. */
export interface PinnedReader extends Pin {
  readonly openedSeq: number
}

/** What could be selected or replayed after a crash, as generations of the memtable. */
export interface Recoverable {
  /** Newest generation contained in the root of meta page 0 and of meta page 1. */
  metaGenerations: readonly [number, number]
  /** Oldest generation that a journal file on disk may hold; null without a journal. */
  journalGeneration: number | null
}

export class SegmentSet {
  readonly #fileSystem: FileSystem
  readonly #keyFiles: SegmentKeyFiles
  readonly #emit: (event: EngineEventBody) => void
  readonly #now: () => number
  readonly #segments = new Map<SegmentId, Segment>()
  readonly #readers = new Map<number, PinnedReader>()
  /** Pins that were told of. */
  readonly #toldPins = new Map<number, Pin>()
  readonly #changedBytes = new Set<Segment>()
  readonly #zombies = new Set<Segment>()
  readonly #deleting = new Set<SegmentId>()
  readonly #unlinkErrors = new Map<SegmentId, { code: string; message: string }>()
  #recoverable: Recoverable = { metaGenerations: [0, 0], journalGeneration: null }
  #keepersChanged = false

  constructor(
    fileSystem: FileSystem,
    keysFolder: string,
    report: { emit: (event: EngineEventBody) => void; now: () => number },
  ) {
    this.#fileSystem = fileSystem
    this.#keyFiles = new SegmentKeyFiles(fileSystem, keysFolder)
    this.#emit = report.emit
    this.#now = report.now
  }

  // ------------------------------------------------------------ registry

  /** Segments are registered before anything can name them. */
  add(segment: Segment): void {
    assert(!this.#segments.has(segment.id), `segment ${segment.name} registered twice`)
    this.#segments.set(segment.id, segment)
    segment.keptBy = this.keepersOf(segment)
    this.#emit({ type: 'segment_created', segment: infoOf(segment) })
  }

  get(id: SegmentId): Segment | undefined {
    return this.#segments.get(id)
  }

  /** The segment a pointer names; ENGINE_SEGMENT_MISSING when there is none. */
  need(pointer: ValuePointer): Segment {
    const segment = this.#segments.get(pointer.segmentId)
    if (segment !== undefined) return segment
    throw new EngineError(
      'ENGINE_SEGMENT_MISSING',
      `segment ${pointer.segmentId} is not in the folder, a value at ${pointer.offset} needs it`,
    )
  }

  [Symbol.iterator](): IterableIterator<Segment> {
    return this.#segments.values()
  }

  /** Ascending by id. */
  infos(): SegmentInfo[] {
    return [...this.#segments.values()].sort((a, b) => a.id - b.id).map(infoOf)
  }

  seal(segment: Segment): void {
    segment.seal(this.#now())
    if (segment.keys !== null) this.saveKeys(segment, segment.keys)
    this.#report('segment_sealed', segment)
  }

  // ------------------------------------------------------------ keys of segments

  hasKeys(segment: Segment): boolean {
    return segment.keys !== null || this.#keyFiles.has(segment.id)
  }

  /** Keys written to a segment; undefined when no whole list is there. */
  async keysOf(segment: Segment, slicer: Slicer): Promise<SegmentKeys | undefined> {
    return segment.keys ?? (await this.#keyFiles.load(segment.id, slicer))
  }

  /** From now on the list is in its file. */
  saveKeys(segment: Segment, keys: SegmentKeys): void {
    this.#keyFiles.save(segment.id, keys)
    segment.keys = null
  }

  /** The list of a segment that was deleted by other hands. */
  forgetKeys(id: SegmentId): Promise<void> {
    return this.#keyFiles.remove(id)
  }

  removeOrphanKeys(): Promise<void> {
    return this.#keyFiles.removeOrphans((id) => this.#segments.has(id))
  }

  closeAll(): void {
    for (const segment of this.#segments.values()) segment.file.close()
  }

  // ------------------------------------------------------------ live bytes

  /** The segment grew. */
  touch(segment: Segment): void {
    this.#changedBytes.add(segment)
  }

  /** The segment of a pointer; its live bytes are about to change. */
  touched(pointer: ValuePointer): Segment {
    const segment = this.need(pointer)
    this.#changedBytes.add(segment)
    return segment
  }

  acquire(pointer: ValuePointer): void {
    this.touched(pointer).acquire(pointer)
  }

  release(pointer: ValuePointer, at: { seq: number; generation: number }): void {
    this.touched(pointer).release(pointer, at)
  }

  // ------------------------------------------------------------ pins and keepers

  pin(reader: PinnedReader): void {
    this.#readers.set(reader.pinId, reader)
    this.#keepersChanged = true
  }

  unpin(pinId: number): void {
    this.#readers.delete(pinId)
    this.#keepersChanged = true
  }

  pins(): Pin[] {
    return [...this.#readers.values()].map(pinOf)
  }

  /** While a rewrite reads it, its file stays. */
  setBusy(segment: Segment, busy: boolean): void {
    segment.busy = busy
    this.#keepersChanged = true
  }

  setRecoverable(recoverable: Recoverable): void {
    this.#recoverable = recoverable
    this.#keepersChanged = true
  }

  /** Tells everything held back; afterwards `infos` and `pins` are what the events say. */
  drain(): void {
    const changed = [...this.#changedBytes].filter((s) => this.#segments.get(s.id) === s)
    this.#changedBytes.clear()
    if (changed.length > 0) {
      const changes = changed.map((s): [SegmentId, number, number] => [
        s.id,
        s.bytesTotal,
        s.bytesLive,
      ])
      this.#emit({ type: 'segment_bytes', changes })
    }
    if (this.#keepersChanged) {
      this.#keepersChanged = false
      this.#drainPins()
      for (const segment of this.#segments.values()) this.#refreshKeepers(segment)
    } else {
      for (const segment of changed) this.#refreshKeepers(segment)
    }
  }

  #drainPins(): void {
    for (const pin of [...this.#toldPins.values()]) {
      if (this.#readers.has(pin.pinId)) continue
      this.#toldPins.delete(pin.pinId)
      const { pinId, kind, label, sinceMs } = pin
      this.#emit({ type: 'pin_released', pinId, kind, label, heldMs: this.#now() - sinceMs })
    }
    for (const reader of this.#readers.values()) {
      if (this.#toldPins.has(reader.pinId)) continue
      const pin = pinOf(reader)
      this.#toldPins.set(pin.pinId, pin)
      this.#emit({ type: 'pin_opened', pin })
    }
  }

  #refreshKeepers(segment: Segment): void {
    if (segment.deadSinceSeq === null && segment.keptBy.length === 0) return
    const keepers = this.keepersOf(segment)
    if (JSON.stringify(keepers) === JSON.stringify(segment.keptBy)) return
    segment.keptBy = keepers
    this.#emit({ type: 'segment_kept', segment: infoOf(segment) })
  }

  /** Why a segment without live bytes is still on disk; empty while it has live bytes. */
  keepersOf(segment: Segment): SegmentKeeper[] {
    if (segment.deadSinceSeq === null) return []
    if (segment.state === 'active') return [{ kind: 'active_writer' }]
    const keepers: SegmentKeeper[] = segment.busy ? [{ kind: 'rewriting' }] : []
    for (const reader of this.#readers.values()) {
      if (reader.openedSeq >= segment.firstSeq && reader.openedSeq < segment.deadSinceSeq) {
        const { kind, pinId, label, sinceMs } = reader
        keepers.push({ kind, pinId, label, sinceMs })
      }
    }
    this.#recoverable.metaGenerations.forEach((generation, page) => {
      if (generation < segment.deadSinceGeneration) {
        keepers.push({ kind: 'root', metaPage: page as 0 | 1 })
      }
    })
    const journal = this.#recoverable.journalGeneration
    if (journal !== null && journal <= segment.deadSinceGeneration)
      keepers.push({ kind: 'journal' })
    const failed = this.#unlinkErrors.get(segment.id)
    if (failed !== undefined) keepers.push({ kind: 'error', ...failed })
    return keepers.length > 0 ? keepers : [{ kind: 'awaiting_gc' }]
  }

  // ------------------------------------------------------------ deletion

  /** Dead and not written: what GC is about. Ascending by id. */
  dead(): Segment[] {
    return [...this.#segments.values()]
      .filter((s) => s.deadSinceSeq !== null && s.state !== 'active' && !this.#deleting.has(s.id))
      .sort((a, b) => a.id - b.id)
  }

  /** Marked and not yet deleted. Ascending by id. */
  zombies(): Segment[] {
    if (this.#zombies.size === 0) return []
    return [...this.#zombies]
      .filter((segment) => !this.#deleting.has(segment.id))
      .sort((a, b) => a.id - b.id)
  }

  /** Nothing needs the file; an earlier failed unlink does not count as a need. */
  isFree(segment: Segment): boolean {
    // What is being deleted is not there to be deleted once more.
    if (this.#deleting.has(segment.id)) return false
    return this.keepersOf(segment).every((k) => k.kind === 'awaiting_gc' || k.kind === 'error')
  }

  /** A crash could go back to a state that names it. */
  isRecoverable(segment: Segment): boolean {
    return this.keepersOf(segment).some((k) => k.kind === 'root' || k.kind === 'journal')
  }

  markZombie(segment: Segment): void {
    if (segment.state === 'zombie') return
    assert(
      segment.state === 'sealed' && segment.deadSinceSeq !== null,
      `${segment.name} is not a dead sealed segment`,
    )
    segment.state = 'zombie'
    this.#zombies.add(segment)
    this.#report('segment_zombie', segment)
  }

  /**
   * Deletes a zombie that nothing keeps. On failure it stays registered, a zombie kept by the error,
   * and the next GC tries again. `heldBy` names the reader whose end made it possible.
   */
  async delete(segment: Segment, heldBy: string | null): Promise<void> {
    assert(segment.state === 'zombie' && this.isFree(segment), `${segment.name} is still kept`)
    this.#deleting.add(segment.id)
    try {
      // Someone may have removed the file by hand: then only the folder's entry has to be settled.
      await removeIfPresent(this.#fileSystem, segment.file.path)
      await this.#fileSystem.syncFolder(path.dirname(segment.file.path))
    } catch (error) {
      this.#unlinkErrors.set(segment.id, errorFacts(error))
      this.#keepersChanged = true
      throw error
    } finally {
      this.#deleting.delete(segment.id)
    }
    // Nothing could have begun to need it meanwhile: new readers open above deadSinceSeq.
    const { bytesTotal, file } = segment
    const closed = file.closeAside?.()
    if (closed === undefined) file.close()
    this.#segments.delete(segment.id)
    this.#zombies.delete(segment)
    this.#unlinkErrors.delete(segment.id)
    const segmentId = segment.id
    this.#emit({ type: 'segment_deleted', segmentId, bytesTotal, heldByUntilNow: heldBy })
    // Told before anything is awaited: from here on state and events agree that it is gone.
    await closed
    await this.#keyFiles.remove(segmentId)
  }

  #report(type: 'segment_sealed' | 'segment_zombie', segment: Segment): void {
    segment.keptBy = this.keepersOf(segment)
    this.#changedBytes.delete(segment)
    this.#emit({ type, segment: infoOf(segment) })
  }
}

function pinOf({ pinId, kind, label, sinceMs }: PinnedReader): Pin {
  return { pinId, kind, label, sinceMs }
}

export function errorFacts(error: unknown): { code: string; message: string } {
  return {
    code: error instanceof EngineError ? error.code : 'ENGINE_IO',
    message: error instanceof Error ? error.message : String(error),
  }
}

export function infoOf(segment: Segment): SegmentInfo {
  return {
    segmentId: segment.id,
    lane: segment.lane,
    seq: segment.seq,
    file: segment.name,
    state: segment.state,
    origin: segment.origin,
    bytesTotal: segment.bytesTotal,
    bytesLive: segment.bytesLive,
    bytesStale: segment.bytesStale,
    createdAtMs: segment.times.createdAtMs,
    sealedAtMs: segment.times.sealedAtMs,
    ageSource: segment.times.ageSource,
    keptBy: segment.keptBy,
  }
}
