/**
 * The redo journal of an open store: one file at a time, appended in batches. `rotate` goes on in a new
 * file when a checkpoint begins, which `prepare` may have made ahead; the files before it are deleted once
 * that checkpoint is durable.
 */
import * as path from 'node:path'
import type { ChecksumKind } from '../checksum.ts'
import { removeIfPresent, type FileSystem, type OpenFile } from '../file-system.ts'
import { journalFileName } from '../ids.ts'
import { SerialTaskUntilFailure } from '../slicer.ts'
import type { PointerMoves } from '../value-log/pointer-moves.ts'
import {
  checkBatchBytes,
  encodeBatch,
  encodeMoves,
  encodedBatchBytes,
  movesBatchBytes,
  type JournalBatch,
} from './codec.ts'

const JOURNAL_LANE = 0
const BUFFER_BYTES = 256 * 1024

export class Journal {
  readonly #fileSystem: FileSystem
  readonly #folder: string
  readonly #kind: ChecksumKind
  #seq: number
  #file: OpenFile | null = null
  #written = 0
  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #buffered = 0
  #folderUnsynced = false
  /** Created ahead for `rotate`; `isNamed`: its name is on disk. */
  #next: { file: OpenFile; isNamed: boolean } | null = null
  /** Files with batches that are perhaps not on disk; the current one and ones rotated away. */
  readonly #unsynced = new Set<OpenFile>()
  /** Those of them that the running sync is about. */
  #syncing = new Set<OpenFile>()
  /** A failed sync may have lost what it was about: a later one must not seem to make it durable. */
  readonly #syncs = new SerialTaskUntilFailure()
  readonly #finished: OpenFile[] = []
  /** Complete files before the current one that are still there, oldest first. */
  readonly #old: string[]

  constructor(
    fileSystem: FileSystem,
    where: { folder: string; kind: ChecksumKind; nextSeq: number; old: string[] },
  ) {
    this.#fileSystem = fileSystem
    this.#folder = where.folder
    this.#kind = where.kind
    this.#seq = where.nextSeq
    this.#old = where.old
  }

  /** Of the current file, buffered ones included. */
  get bytes(): number {
    return this.#written + this.#buffered
  }

  append(batch: JournalBatch): void {
    this.#makeRoom(encodedBatchBytes(batch.operations))
    this.#buffered = encodeBatch(this.#buffer, this.#buffered, batch, this.#kind)
  }

  /** One batch: these keys point to their copies. */
  appendMoves(seq: number, moves: PointerMoves, indexes: readonly number[]): void {
    this.#makeRoom(movesBatchBytes(moves, indexes))
    const batch = { seq, moves, indexes }
    this.#buffered = encodeMoves(this.#buffer, this.#buffered, batch, this.#kind)
  }

  #makeRoom(bytes: number): void {
    checkBatchBytes(bytes)
    if (this.#buffered + bytes > this.#buffer.length) this.flush()
    if (bytes > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(bytes)
  }

  flush(): void {
    if (this.#buffered === 0) return
    const file = (this.#file ??= this.#create())
    file.write(this.#buffer, 0, this.#buffered, this.#written)
    this.#unsynced.add(file)
    this.#written += this.#buffered
    this.#buffered = 0
  }

  /** Everything appended before the call is on disk when it resolves. */
  sync(): Promise<void> {
    return this.#syncs.run(async () => {
      this.flush()
      this.#syncing = new Set(this.#unsynced)
      this.#unsynced.clear()
      const folder = this.#folderUnsynced
      this.#folderUnsynced = false
      // Batches appended while the disk works put their file back into the set.
      for (const file of this.#syncing) await file.sync()
      if (folder) await this.#fileSystem.syncFolder(this.#folder)
    })
  }

  /**
   * The file of the next `rotate` is there and named on disk when it resolves: otherwise the first writer
   * behind it waits for that, and for whatever else the file system commits with it.
   */
  async prepare(): Promise<void> {
    // Without a current file there is nothing to rotate. With one nobody creates another meanwhile, which
    // would have a later number and be written first.
    if (this.#file === null || this.#next !== null) return
    const next = { file: this.#open(), isNamed: false }
    this.#next = next
    try {
      await this.#fileSystem.syncFolder(this.#folder)
    } catch (error) {
      await this.#syncs.run(() => Promise.reject(error as Error))
    }
    next.isNamed = true
  }

  /** Later batches go to a new file. Batches of the finished one stay part of the next `sync`. */
  rotate(): void {
    this.flush()
    if (this.#file === null) return
    this.#old.push(this.#file.path)
    this.#finished.push(this.#file)
    this.#file = this.#next?.file ?? null
    if (this.#next?.isNamed === false) this.#folderUnsynced = true
    this.#next = null
    this.#written = 0
  }

  /** Deletes files that were prepared and got no batch: for closing. */
  async removeUnused(): Promise<void> {
    const unused = [this.#next?.file, this.bytes === 0 ? this.#file : null]
    this.#next = null
    if (this.bytes === 0) this.#file = null
    for (const file of unused) {
      if (file === undefined || file === null) continue
      file.close()
      await this.#fileSystem.unlink(file.path)
    }
  }

  /** Deletes the finished files; call when a durable checkpoint contains them. */
  async deleteOld(): Promise<void> {
    for (const file of this.#finished.splice(0)) {
      // The checkpoint made its batches durable; nobody needs this file on disk any more.
      this.#unsynced.delete(file)
      this.#syncing.delete(file)
      file.close()
    }
    // One after the other, oldest first: an old file that outlived a newer one would be replayed
    // without it and bring back what the newer one overwrote. So one that could not be deleted stays first.
    for (let file = this.#old[0]; file !== undefined; file = this.#old[0]) {
      await removeIfPresent(this.#fileSystem, file)
      await this.#fileSystem.syncFolder(this.#folder)
      this.#old.shift()
    }
  }

  close(): void {
    for (const file of this.#finished.splice(0)) file.close()
    this.#next?.file.close()
    this.#next = null
    this.#file?.close()
    this.#file = null
  }

  #create(): OpenFile {
    this.#written = 0
    this.#folderUnsynced = true
    return this.#open()
  }

  #open(): OpenFile {
    const name = journalFileName({ lane: JOURNAL_LANE, seq: this.#seq++ })
    return this.#fileSystem.open(path.join(this.#folder, name), 'create')
  }
}
