/**
 * The value log of an open store: one active segment for foreground writes, one for the output of a
 * running rewrite (never shared), reading by pointer, and the counters that name segments and
 * records. Segment sequence numbers come from one counter over all lanes.
 */
import * as path from 'node:path'
import type { ChecksumKind } from '../checksum.ts'
import type { FileSystem } from '../file-system.ts'
import { encodeSegmentId, segmentFileName } from '../ids.ts'
import { copyOf } from '../bytes.ts'
import { SerialTaskUntilFailure } from '../slicer.ts'
import type { SegmentId, SegmentOrigin, ValueLogReads } from '../types.ts'
import { isGrouped, recordStart, subIndexOf, type ValuePointer } from '../value-pointer.ts'
import { decodeFrameValues, type DictionarySource } from './compression.ts'
import { ValueReader, readRecord } from './read-record.ts'
import { RECORD_HEADER_BYTES, corrupt, parseFrame, type RidWords } from './record.ts'
import { RidCounter, ridSource, type ReserveRids } from './rid-counter.ts'
import { Segment } from './segment.ts'
import { keyListMax } from './segment-keys.ts'
import { CopyMemory } from './copy-memory.ts'
import type { LiveRecords } from './live-records.ts'
import type { SegmentSet } from './segment-set.ts'
import { SourceReader } from './source-reader.ts'

/** Lane of foreground writes and lane of rewrite output. */
export const FOREGROUND_LANE = 0
export const REWRITE_LANE = 1

/** Decoded frames kept for neighbours of a value just read. */
const FRAME_CACHE_ENTRIES = 32
/** Larger frames are decoded each time: the cache stays below 8 MiB. */
const FRAME_CACHE_VALUE_BYTES = 256 * 1024

export interface ValueLogOptions {
  fileSystem: FileSystem
  /** Absolute folder of the segment files. */
  folder: string
  /** The same, relative to the opened folder; prefix of every segment's name. */
  folderName: string
  kind: ChecksumKind
  /** For compressed frames of foreign writers. */
  dictionaries: DictionarySource
  segmentBytes: number
  nextSeq: number
  nextRid: bigint
  /** Engine sequence number and clock. */
  seq: () => number
  now: () => number
}

export class ValueLog {
  readonly set: SegmentSet
  readonly #options: ValueLogOptions
  readonly #frames = new Map<string, { offsets: number[]; values: Uint8Array }>()
  readonly #values: ValueReader
  #recordsRead = 0
  #frameHits = 0
  #frameMisses = 0
  #foreground: Segment | null = null
  /** Full, not yet sealed. */
  readonly #fullRewrites: Segment[] = []
  /** Output of rewrites goes on where the last one stopped, or each pass would leave a small file. */
  #rewrite: Segment | null = null
  /** Of the last rewrite, for the next: megabytes made for each would have the collector come for them. */
  #copyMemory: CopyMemory | null = null
  #nextSeq: number
  readonly #rids: RidCounter
  /** Foreground segments with appends that are perhaps not on disk. */
  readonly #unsynced = new Set<Segment>()
  /** A failed sync may have lost what it was about: a later one must not seem to make it durable. */
  readonly #syncs = new SerialTaskUntilFailure()
  /** The same for the folder, apart: writers do not wait for the names of a rewrite's files. */
  readonly #nameSyncs = new SerialTaskUntilFailure()
  /** Files created, and how many of them are in the folder's entries on disk for certain. */
  #namesCreated = 0
  #namesSynced = 0
  /** `#namesCreated` when the newest foreground segment was. */
  #foregroundNames = 0

  constructor(set: SegmentSet, options: ValueLogOptions) {
    this.set = set
    this.#options = options
    this.#values = new ValueReader(options.kind)
    this.#nextSeq = options.nextSeq
    this.#rids = new RidCounter(options.nextRid)
  }

  get nextSeq(): number {
    return this.#nextSeq
  }

  get nextRid(): bigint {
    return this.#rids.next
  }

  /** A record id never used before; unused ones leave gaps. */
  takeRid(): RidWords {
    return this.#rids.take()
  }

  /** Where a rewrite takes its ids from; `external` reserves them, some at a time. */
  ridSource(external: ReserveRids | undefined, atOnce: number): () => RidWords {
    if (external === undefined) return () => this.#rids.take()
    return ridSource(this.#rids, external, atOnce)
  }

  /**
   * An empty active segment, its folder entry durable only after `sync`. The caller makes it its own before it
   * registers it: who is told of that may write.
   */
  #createSegment(lane: number, origin: SegmentOrigin): Segment {
    const id = encodeSegmentId(lane, this.#nextSeq)
    const name = segmentFileName(id)
    const file = this.#options.fileSystem.open(path.join(this.#options.folder, name), 'create')
    this.#nextSeq++
    this.#namesCreated++
    return new Segment({
      id,
      file,
      name: `${this.#options.folderName}/${name}`,
      origin,
      times: { createdAtMs: this.#options.now(), sealedAtMs: null, ageSource: 'metadata' },
      state: 'active',
      firstSeq: this.#options.seq(),
      keyListMax: keyListMax(this.#options.segmentBytes),
    })
  }

  /** Appends a foreground value, rotating when the segment is full. */
  append(key: Uint8Array, value: Uint8Array, rid: RidWords): ValuePointer {
    const segment = this.#foregroundSegment(RECORD_HEADER_BYTES + value.length)
    this.#unsynced.add(segment)
    const pointer = segment.appendPlain(value, rid, this.#options.kind)
    segment.keysFor(key.length)?.add(pointer.offset, key)
    return pointer
  }

  /**
   * The foreground segment with room for a record of `bytes`; an empty one has it for any. Who is told of a
   * sealed or a created segment may write: each time it is asked anew which is the foreground's.
   */
  #foregroundSegment(bytes: number): Segment {
    for (;;) {
      const segment = this.#foreground
      if (segment === null) {
        const created = this.#createSegment(FOREGROUND_LANE, 'foreground')
        this.#foregroundNames = this.#namesCreated
        this.#foreground = created
        this.set.add(created)
      } else if (segment.bytesTotal === 0 || this.#takes(segment, bytes)) {
        return segment
      } else {
        this.#sealWritten(segment)
      }
    }
  }

  /** The rewrite output with room for a record of `bytes`; a full one is left to `sealFullRewrites`. */
  rewriteSegment(bytes: number): Segment {
    if (this.#rewrite !== null && !this.#takes(this.#rewrite, bytes)) {
      this.#fullRewrites.push(this.#rewrite)
      this.#rewrite = null
    }
    if (this.#rewrite !== null) return this.#rewrite
    const created = this.#createSegment(REWRITE_LANE, 'rewrite')
    this.#rewrite = created
    this.set.add(created)
    return created
  }

  /** Bytes that the output of `rewriteSegment` still takes. */
  roomIn({ bytesTotal }: Segment): number {
    return this.#options.segmentBytes - bytesTotal
  }

  /** Seals outputs that take no more records: those of these, whose bytes are on disk; absent = all. */
  sealFullRewrites(synced: readonly Segment[] = [...this.#fullRewrites]): void {
    for (const segment of synced) {
      const at = this.#fullRewrites.indexOf(segment)
      if (at < 0) continue
      this.#fullRewrites.splice(at, 1)
      this.set.seal(segment)
    }
  }

  /**
   * One more record fits: every writer rotates by this, before a segment outgrows its size, which the options
   * keep within what a pointer of the format reaches (B10, F18).
   */
  #takes({ bytesTotal }: Segment, recordBytes: number): boolean {
    return bytesTotal + recordBytes <= this.#options.segmentBytes
  }

  /** Hands buffered foreground appends to the file system: they survive the process. */
  flush(): void {
    this.#foreground?.flush()
  }

  /** All foreground appends so far, and the names of their files, are on disk when it resolves. */
  sync(): Promise<void> {
    return this.#syncs.run(async () => {
      const unsynced = [...this.#unsynced]
      this.#unsynced.clear()
      const names = this.#foregroundNames
      // What is appended while the disk works puts its segment back into the set.
      for (const segment of unsynced) await segment.sync()
      await this.#syncNames(names)
    })
  }

  /** The names of all files are on disk when it resolves; foreground appends are not waited for. */
  syncNames(): Promise<void> {
    return this.#syncNames(this.#namesCreated)
  }

  /** The first so many files are in the folder's entries on disk. */
  async #syncNames(wanted: number): Promise<void> {
    if (this.#namesSynced >= wanted) return
    await this.#nameSyncs.run(async () => {
      // One that ran meanwhile may have done it.
      if (this.#namesSynced >= wanted) return
      const created = this.#namesCreated
      await this.#options.fileSystem.syncFolder(this.#options.folder)
      this.#namesSynced = created
    })
  }

  /** Closes a segment that is still written, so that a rewrite may take it as a source. */
  sealActive(id: SegmentId): void {
    const segment = [this.#foreground, this.#rewrite].find((written) => written?.id === id)
    if (segment !== undefined && segment !== null) this.#sealWritten(segment)
  }

  /** Nothing is written any more. */
  sealAll(): void {
    this.sealFullRewrites()
    for (const segment of [this.#foreground, this.#rewrite]) {
      if (segment !== null) this.#sealWritten(segment)
    }
  }

  /** Who is told of it may write: not into this one. */
  #sealWritten(segment: Segment): void {
    if (this.#foreground === segment) this.#foreground = null
    if (this.#rewrite === segment) this.#rewrite = null
    this.set.seal(segment)
  }

  // ------------------------------------------------------------ reading

  /** For one rewrite, until `giveBack`. */
  takeCopyMemory(): CopyMemory {
    const memory = this.#copyMemory ?? new CopyMemory()
    this.#copyMemory = null
    return memory
  }

  /** No file call is in it any more. */
  giveBack(memory: CopyMemory): void {
    this.#copyMemory = memory
  }

  /** Reads the live records of one segment in large pieces. */
  sourceReader(records: LiveRecords, memory: CopyMemory): SourceReader {
    const { kind, dictionaries } = this.#options
    return new SourceReader(records, { kind, dictionaries, memory })
  }

  get reads(): ValueLogReads {
    let frameBytesCached = 0
    for (const { values } of this.#frames.values()) frameBytesCached += values.length
    return {
      records: this.#recordsRead,
      frameHits: this.#frameHits,
      frameMisses: this.#frameMisses,
      framesCached: this.#frames.size,
      frameBytesCached,
    }
  }

  /** The value's bytes, verified against the record's checksum; the caller owns them. */
  read(pointer: ValuePointer): Uint8Array {
    const segment = this.set.need(pointer)
    if (isGrouped(pointer)) return this.#readGrouped(segment, pointer)
    this.#recordsRead++
    return this.#values.read(segment, pointer)
  }

  #readGrouped(segment: Segment, pointer: ValuePointer): Uint8Array {
    const frame = this.#frame(segment, pointer)
    const index = subIndexOf(pointer)
    const from = frame.offsets[index]
    const to = frame.offsets[index + 1]
    if (from === undefined || to === undefined) {
      const where = `${segment.name} at ${recordStart(pointer)}`
      throw corrupt(where, `value ${index} of a frame of ${frame.offsets.length - 1}`)
    }
    return copyOf(frame.values.subarray(from, to))
  }

  #frame(segment: Segment, pointer: ValuePointer): { offsets: number[]; values: Uint8Array } {
    const cacheKey = `${segment.id}:${pointer.offset}`
    const cached = this.#frames.get(cacheKey)
    if (cached !== undefined) {
      this.#frameHits++
      return cached
    }
    this.#frameMisses++
    this.#recordsRead++
    const record = readRecord(segment, pointer, this.#options.kind)
    const where = `${segment.name} at ${recordStart(pointer)}`
    const payload = record.subarray(RECORD_HEADER_BYTES)
    const parsed = parseFrame(payload, where)
    const { dictionaries } = this.#options
    const frame = {
      offsets: parsed.offsets,
      values: decodeFrameValues(payload, parsed, where, dictionaries),
    }
    if (frame.values.length > FRAME_CACHE_VALUE_BYTES) return frame
    // Oldest out: neighbours are read soon after each other or not at all.
    if (this.#frames.size >= FRAME_CACHE_ENTRIES) {
      const oldest = this.#frames.keys().next().value
      if (oldest !== undefined) this.#frames.delete(oldest)
    }
    this.#frames.set(cacheKey, frame)
    return frame
  }
}
