/**
 * The mark of record ids around an offline rewrite. It is raised on disk before the copy takes an id, so
 * that no kill, however late, leaves an id behind that the next opening hands out again. When the rewrite
 * comes to nothing and its segments are gone, the file is put back as it was.
 */
import { removeIfPresent, replaceFile, type FileSystem } from '../file-system.ts'
import type { FolderPaths } from '../folder.ts'
import { RID_RESERVE, encodeMetadata, type Metadata, type SegmentFacts } from '../metadata.ts'
import type { SegmentId } from '../types.ts'

export class RidMark {
  readonly #fileSystem: FileSystem
  readonly #paths: FolderPaths
  /** The file as it was found, undefined where there was none; null = nothing was changed. */
  #found: Uint8Array | undefined | null = null

  constructor(fileSystem: FileSystem, paths: FolderPaths) {
    this.#fileSystem = fileSystem
    this.#paths = paths
  }

  /** On disk when it resolves: ids from `nextRid` on are taken. What else the file says stays. */
  async raise(
    metadata: Metadata | undefined,
    counters: { nextSeq: number; nextRid: bigint },
  ): Promise<void> {
    const file = this.#paths.metadata
    const found = this.#fileSystem.readFile(file)
    const text = encodeMetadata({
      nextSeq: counters.nextSeq,
      ridReservedUntil: counters.nextRid + RID_RESERVE,
      segments: metadata?.segments ?? new Map<SegmentId, SegmentFacts>(),
    })
    this.#found = found
    await replaceFile(this.#fileSystem, file, Buffer.from(text))
  }

  async putBack(): Promise<void> {
    const found = this.#found
    if (found === null) return
    const [fileSystem, file] = [this.#fileSystem, this.#paths.metadata]
    await removeIfPresent(fileSystem, `${file}.tmp`)
    if (found !== undefined) await replaceFile(fileSystem, file, found)
    else if (await removeIfPresent(fileSystem, file)) await fileSystem.syncFolder(this.#paths.main)
  }
}
