/** Watches the pages of all trees: which are looked at, cached or not, and which are written. */
import type { Page } from '../../engine/index/page.ts'
import { PageStore } from '../../engine/index/page-store.ts'

/** Returns how to end it. */
export function watchPages(seen: {
  read?: (id: number) => void
  write?: (id: number, page: Page) => void
}): () => void {
  const { prototype } = PageStore
  const read = Reflect.get<PageStore, 'read'>(prototype, 'read')
  const write = Reflect.get<PageStore, 'write'>(prototype, 'write')
  prototype.read = function (this: PageStore, id) {
    seen.read?.(id)
    return read.call(this, id)
  }
  prototype.write = function (this: PageStore, id, page) {
    seen.write?.(id, page)
    write.call(this, id, page)
  }
  return () => Object.assign(prototype, { read, write })
}

/** How many pages some work looks at: a walk over all keys meets each leaf. */
export async function pageReads(work: () => unknown): Promise<number> {
  let reads = 0
  const end = watchPages({ read: () => reads++ })
  try {
    await work()
  } finally {
    end()
  }
  return reads
}
