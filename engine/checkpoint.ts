/**
 * A checkpoint moves the memtable into the tree and makes both durable:
 *
 *   1. freeze the memtable and go on in a new journal file, together, without a gap;
 *   2. merge the frozen changes into new pages, in slices;
 *   3. sync the value log, then the index: all that the new tree names is on disk;
 *   4. write and sync the meta pages;
 *   5. publish in memory, then delete the journal files it replaced.
 *
 * Where an index vacuum had to leave pages to readers, a later checkpoint cuts the file.
 *
 * Writes go on during 2-5. One checkpoint runs at a time, and none after a failed one: it would take what
 * that one left for its own, and delete the journal of what came since.
 */
import { keyString } from './bytes.ts'
import type { Journal } from './commit-log/journal.ts'
import type { KeySpace } from './key-space.ts'
import type { MetaPages } from './index/meta-pages.ts'
import type { Meta } from './index/meta.ts'
import type { PageStore } from './index/page-store.ts'
import { findInTree, mergeChanges, type Change } from './index/tree.ts'
import { SerialTask, Slicer, type SliceSettings } from './slicer.ts'
import type { CheckpointReport } from './types.ts'
import type { LoggedLeaves } from './value-log/logged-leaves.ts'
import type { SegmentSet } from './value-log/segment-set.ts'
import type { ValueLog } from './value-log/value-log.ts'
import { samePointer, type ValuePointer } from './value-pointer.ts'

/** Index bytes of one sync while writers wait for the disk. */
const PACED_PIECE_BYTES = 256 * 1024

export interface CheckpointParts {
  keySpace: KeySpace
  pages: PageStore
  metas: MetaPages
  valueLog: ValueLog
  set: SegmentSet
  leaves: LoggedLeaves
  /** null in the `fast` profile. */
  journal: Journal | null
  /** Writers wait for the disk, so also for the name of a new journal file. */
  awaitsNames: boolean
  slices: SliceSettings
}

/** The tree as the meta pages name it. */
export function metaTree(
  pages: PageStore,
  root: { userRoot: number; systemRoot: number },
): Pick<Meta, 'userRoot' | 'systemRoot' | 'userLeaf' | 'systemLeaf' | 'totalPages'> {
  const user = pages.storedRoot(root.userRoot)
  const system = pages.storedRoot(root.systemRoot)
  return {
    userRoot: user.root,
    systemRoot: system.root,
    ...(user.leaf === undefined ? {} : { userLeaf: user.leaf }),
    ...(system.leaf === undefined ? {} : { systemLeaf: system.leaf }),
    totalPages: pages.totalPages,
  }
}

/** A value of the system tree that has a copy; without pointers: the leaf with this key is written anew. */
export interface SystemMove {
  key: Uint8Array
  pointers: MovedPointer | null
}

export interface MovedPointer {
  from: ValuePointer
  to: ValuePointer
}

/** Those that still apply, as changes of the system tree. */
function movesOf(
  pages: PageStore,
  root: number,
  system: readonly SystemMove[],
): { changes: Change[]; moved: MovedPointer[] } {
  const byKey = new Map<string, Change>()
  const moved: MovedPointer[] = []
  for (const { key, pointers } of system) {
    const name = keyString(key)
    const now = byKey.get(name)?.value ?? findInTree(pages, root, key)
    if (now === undefined) continue
    if (pointers === null) byKey.set(name, { key, value: now })
    else if (now.kind === 'pointer' && samePointer(now.pointer, pointers.from)) {
      byKey.set(name, { key, value: { kind: 'pointer', pointer: pointers.to } })
      moved.push(pointers)
    }
  }
  const names = [...byKey.keys()].sort()
  return { changes: names.map((name) => byKey.get(name) as Change), moved }
}

export class Checkpointer {
  readonly #parts: CheckpointParts
  readonly #serial = new SerialTask()
  #running = 0
  /** Why none runs any more. */
  #stopped: { reason: unknown } | null = null
  readonly #metaGenerations: [number, number] = [0, 0]
  /** A vacuum left pages behind that readers still held. */
  #cutsOff = false

  constructor(parts: CheckpointParts) {
    this.#parts = parts
    this.#reportRecoverable()
  }

  get running(): boolean {
    return this.#running > 0
  }

  /**
   * Contains every write made before the call. A second caller waits and finds little left to do.
   * `system` are copies of values of the system tree, all of them on disk; it has no journal, so they
   * are published here or not at all.
   */
  run(
    reason: CheckpointReport['reason'],
    system: readonly SystemMove[] = [],
  ): Promise<CheckpointReport> {
    this.#running++
    return this.#serial
      .run(async () => {
        try {
          return await this.#checkpoint(reason, system)
        } catch (error) {
          // In this turn: the next one is only waiting for the end of this.
          this.stop(error)
          throw error
        }
      })
      .finally(() => {
        this.#running--
      })
  }

  /**
   * The store failed: a checkpoint that has not frozen the memtable rejects with the reason. One that has
   * goes on: what it took was whole.
   */
  stop(reason: unknown): void {
    this.#stopped ??= { reason }
  }

  #checkStopped(): void {
    if (this.#stopped !== null) throw this.#stopped.reason
  }

  /** Takes its turn among the checkpoints: the trees and meta pages are the task's alone meanwhile. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    return this.#serial.run(() => {
      this.#checkStopped()
      return task()
    })
  }

  /** The free end of index.db is to be cut off by checkpoints, until no reader holds a page of it. */
  cutOffLater(): void {
    this.#cutsOff = true
  }

  async #checkpoint(
    reason: CheckpointReport['reason'],
    system: readonly SystemMove[],
  ): Promise<CheckpointReport> {
    const { keySpace, pages, metas, valueLog, journal, awaitsNames, slices } = this.#parts
    const started = slices.clock.monotonic()
    const slicer = new Slicer(slices)
    this.#checkStopped()
    if (awaitsNames && reason !== 'close') await journal?.prepare()
    // A batch that failed meanwhile may have left one half of it in the memtable.
    this.#checkStopped()
    // Writes meanwhile are part of it.
    const frozen = keySpace.freeze(system.length > 0)
    const done = (entriesMerged: number, pagesWritten: number): CheckpointReport => ({
      reason,
      commitSeq: metas.meta.commitSeq,
      entriesMerged,
      pagesWritten,
      noop: frozen === undefined,
      elapsedMs: slices.clock.monotonic() - started,
      longestSliceMs: slicer.longestSliceMs,
    })
    if (frozen === undefined) return done(0, 0)
    journal?.rotate()

    const before = keySpace.root
    pages.release(keySpace.versionsRead())
    const cutsOff = this.#cutsOff
    if (cutsOff) {
      this.#cutsOff = pages.waitingPages > 0
      pages.trim()
    }
    const changes = await slicer.run(keySpace.frozenChanges())
    const merged = await slicer.run(mergeChanges(pages, before.userRoot, changes), () =>
      this.#syncPiece(),
    )
    const moves = movesOf(pages, before.systemRoot, system)
    const systemTree = await slicer.run(mergeChanges(pages, before.systemRoot, moves.changes))
    // Meanwhile only the active memtable can have changed: the root is ours alone to replace.
    await valueLog.sync()
    await pages.sync()
    const root = {
      userRoot: merged.root,
      systemRoot: systemTree.root,
      version: before.version + 1,
    }
    await metas.publish(metaTree(pages, root), (pageNumber) => {
      this.#metaGenerations[pageNumber] = frozen.generation
    })
    if (cutsOff) await pages.giveBack(slices.yieldNow)
    keySpace.publish(root)
    const retired = [...merged.retired, ...systemTree.retired]
    pages.retire(root.version, retired)
    this.#releaseOld(retired, moves.moved, frozen.generation)
    await journal?.deleteOld()
    this.#reportRecoverable()
    const entries = changes.length + moves.changes.length
    return done(entries, merged.pagesWritten + systemTree.pagesWritten)
  }

  /** While writers wait for the disk: theirs has to wait for this one, so there is never much in it. */
  #syncPiece(): Promise<void> | undefined {
    const { pages, slices } = this.#parts
    if (pages.unsyncedBytes < PACED_PIECE_BYTES || slices.isAwaited?.() !== true) return undefined
    return pages.sync()
  }

  /**
   * What the system tree pointed to before, and leaf pages in the value log that the new trees do not
   * use, are as dead as overwritten values.
   */
  #releaseOld(
    retired: readonly number[],
    moved: readonly MovedPointer[],
    generation: number,
  ): void {
    const { pages, set, keySpace, leaves } = this.#parts
    // Readers opened until now may walk the old tree although no key changed since.
    const at = { seq: keySpace.seq + 1, generation }
    for (const { from, to } of moved) {
      // The new place first: a segment that holds both never passes through zero.
      set.acquire(to)
      set.release(from, at)
    }
    if (!pages.hasLogged) return
    for (const id of retired) {
      const ref = pages.loggedLeaf(id)
      if (ref !== undefined) set.release(leaves.pointer(ref), at)
    }
  }

  /** What a crash could go back to, for whoever wants to delete. */
  #reportRecoverable(): void {
    const { set, journal, keySpace } = this.#parts
    const [first, second] = this.#metaGenerations
    set.setRecoverable({
      metaGenerations: [first, second],
      journalGeneration: journal === null ? null : keySpace.generation,
    })
  }
}
