/**
 * The two meta pages of an open index. `publish` writes both, the one that is not current first, each
 * followed by a sync: after it, whichever page a later crash or a damaged sector leaves, it names the
 * same tree. That is what lets the journal and dead segments go.
 */
import type { ChecksumKind } from '../checksum.ts'
import type { OpenFile } from '../file-system.ts'
import { encodeMeta, type Meta } from './meta.ts'
import { PAGE_BYTES } from './page.ts'

export class MetaPages {
  readonly #file: OpenFile
  readonly #kind: ChecksumKind
  #current: 0 | 1
  #meta: Meta

  constructor(file: OpenFile, kind: ChecksumKind, current: { pageNumber: 0 | 1; meta: Meta }) {
    this.#file = file
    this.#kind = kind
    this.#current = current.pageNumber
    this.#meta = current.meta
  }

  get meta(): Meta {
    return this.#meta
  }

  /** `written` is told of each page once it is durable. Returns the newest commit sequence number. */
  async publish(
    tree: Pick<Meta, 'userRoot' | 'systemRoot' | 'userLeaf' | 'systemLeaf' | 'totalPages'>,
    written: (pageNumber: 0 | 1) => void,
  ): Promise<number> {
    for (let i = 0; i < 2; i++) {
      const pageNumber = this.#current === 0 ? 1 : 0
      // A freelist is not kept on disk: free pages are found again by the walk at open.
      const commitSeq = this.#meta.commitSeq + 1
      const meta: Meta = { ...this.#meta, ...tree, freelistHead: 0, commitSeq }
      // What is absent in the new tree must not stay from the old one.
      if (tree.userLeaf === undefined) delete meta.userLeaf
      if (tree.systemLeaf === undefined) delete meta.systemLeaf
      const page = encodeMeta(meta, pageNumber, this.#kind)
      this.#file.write(page.bytes, 0, PAGE_BYTES, pageNumber * PAGE_BYTES)
      await this.#file.sync()
      this.#current = pageNumber
      this.#meta = meta
      written(pageNumber)
    }
    return this.#meta.commitSeq
  }
}
