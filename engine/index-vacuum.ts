/**
 * Gives the free space of index.db back while the store is in use:
 *
 *   1. the target: an index of as many pages as are in use, counted anew each round;
 *   2. slice by slice, pages behind the target are copied to free places in front of it, and the new tree
 *      is published like a checkpoint's: pages synced, then both meta pages;
 *   3. when nothing more moves, the index ends behind its last used page; once both meta pages say so on
 *      disk, the file is cut.
 *
 * A crash leaves one of the two trees, each whole; a cut that did not happen only leaves a longer file.
 * Each step takes its turn with the checkpoints; writers go on all the time. Old pages stay as long as
 * somebody reads a tree that has them; then the checkpoint that finds them free does the rest.
 */
import { metaTree, type Checkpointer } from './checkpoint.ts'
import type { MetaPages } from './index/meta-pages.ts'
import { PAGE_BYTES } from './index/page.ts'
import { indexFileBytes, type PageStore } from './index/page-store.ts'
import { relocate, type Relocated } from './index/relocate.ts'
import type { KeySpace, TreeRoot } from './key-space.ts'
import { bytesText, countText } from './maintenance/text.ts'
import { Slicer, type SliceSettings } from './slicer.ts'
import type { VacuumPlan, VacuumReport } from './types.ts'

/**
 * Pages moved between two publications. More let a checkpoint wait longer, at 2048 some 50 ms; fewer
 * sync more often, three times each.
 */
const STEP_PAGES = 2048
/** A round leaves pages that found no place in front before the old ones of that round were free. */
const ROUNDS_MAX = 4
/** Below this share of free pages nothing is moved. */
const WORTH_ONE_IN = 100

export interface IndexVacuumParts {
  keySpace: KeySpace
  pages: PageStore
  metas: MetaPages
  checkpointer: Checkpointer
  slices: SliceSettings
}

/**
 * What a vacuum would find now. An index without holes has as many pages as are in use; each hole in front
 * of its end stands for a page behind it.
 */
export function planVacuum({
  pages,
  keySpace,
}: Pick<IndexVacuumParts, 'pages' | 'keySpace'>): VacuumPlan {
  const { free, held, freeInFront } = pages.outlook(keySpace.versionsRead())
  const { totalPages, fileBytes } = pages
  const moves = isWorthMoving(free, totalPages)
  const pagesAfter = moves ? totalPages - free - held : totalPages - pages.freeAtEnd
  const pagesMoved = moves ? freeInFront : 0
  return {
    bytesBefore: fileBytes,
    bytesAfter: Math.min(fileBytes, indexFileBytes(pagesAfter)),
    pagesTotal: totalPages,
    pagesFree: free,
    pagesMoved,
    bytesMoved: pagesMoved * PAGE_BYTES,
    pagesHeld: held,
    moves,
    readers: keySpace.readerCount,
  }
}

/** Else the walk over the tree would cost more than it brings. */
export function isWorthMoving(free: number, total: number): boolean {
  return free * WORTH_ONE_IN >= total
}

/** What one publication came to. */
type Step = Pick<Relocated, 'moved' | 'next'>

interface Progress {
  pagesMoved: number
  commits: number
  longestSliceMs: number
}

/** Ends early, with what is done done, when the signal is aborted: between two publications. */
export async function vacuumIndex(
  parts: IndexVacuumParts,
  signal: AbortSignal,
): Promise<VacuumReport> {
  const { pages, checkpointer, slices } = parts
  const started = slices.clock.monotonic()
  const progress: Progress = { pagesMoved: 0, commits: 0, longestSliceMs: 0 }
  const bytesBefore = pages.fileBytes
  const usedPages = (await pagesWithPlace(parts)) - pages.waitingPages
  const pays = isWorthMoving(pages.freePages, pages.totalPages)
  for (let round = 0; pays && round < ROUNDS_MAX; round++) {
    if (!(await moveRound(parts, { signal, progress }))) break
  }
  await checkpointer.exclusively(() => cutOff(parts))
  const { waitingPages: pagesHeld, fileBytes: bytesAfter } = pages
  return {
    done: !signal.aborted && (pagesHeld === 0 || pages.totalPages <= usedPages),
    text: textOf({ bytesBefore, bytesAfter, pagesHeld, cancelled: signal.aborted }),
    bytesBefore,
    bytesAfter,
    ...progress,
    pagesHeld,
    cancelled: signal.aborted,
    elapsedMs: slices.clock.monotonic() - started,
  }
}

/** Pages in use, by the newest tree or by readers: so long would an index without a hole be. */
function pagesWithPlace({ pages, keySpace, checkpointer }: IndexVacuumParts): Promise<number> {
  return checkpointer.exclusively(() => {
    pages.release(keySpace.versionsRead())
    return Promise.resolve(pages.totalPages - pages.freePages)
  })
}

/**
 * Both trees once from start to end, into an index that has room for what is in use and for what readers
 * keep. false: nothing was moved.
 */
async function moveRound(
  parts: IndexVacuumParts,
  how: { signal: AbortSignal; progress: Progress },
): Promise<boolean> {
  const { signal, progress } = how
  const before = progress.pagesMoved
  const limit = await pagesWithPlace(parts)
  for (const tree of ['userRoot', 'systemRoot'] as const) {
    let from: Uint8Array | null = null
    do {
      if (signal.aborted) return false
      const at: Uint8Array | null = from
      const step: Step = await parts.checkpointer.exclusively(() =>
        moveStep(parts, tree, { limit, from: at, progress }),
      )
      if (step.moved === 0) break
      from = step.next
    } while (from !== null)
  }
  return progress.pagesMoved > before
}

/** One publication. Meanwhile only the active memtable can change: the roots are ours alone to replace. */
async function moveStep(
  parts: IndexVacuumParts,
  tree: 'userRoot' | 'systemRoot',
  step: { limit: number; from: Uint8Array | null; progress: Progress },
): Promise<Step> {
  const { keySpace, pages, metas, slices } = parts
  const { limit, from, progress } = step
  pages.release(keySpace.versionsRead())
  const before = keySpace.root
  const slicer = new Slicer(slices)
  const request = { limit, from, pagesMax: STEP_PAGES }
  const moved = await slicer.run(relocate(pages, before[tree], request))
  progress.longestSliceMs = Math.max(progress.longestSliceMs, slicer.longestSliceMs)
  if (moved.root !== before[tree]) {
    await pages.sync()
    const root: TreeRoot = { ...before, [tree]: moved.root, version: before.version + 1 }
    await metas.publish(metaTree(pages, root), () => undefined)
    keySpace.replaceRoot(root)
    pages.retire(root.version, moved.retired)
    progress.commits++
    progress.pagesMoved += moved.moved
  }
  return moved
}

async function cutOff(parts: IndexVacuumParts): Promise<void> {
  const { keySpace, pages, metas, checkpointer, slices } = parts
  pages.release(keySpace.versionsRead())
  const { totalPages } = pages
  pages.trim()
  if (pages.totalPages < totalPages) {
    await metas.publish(metaTree(pages, keySpace.root), () => undefined)
  }
  await pages.giveBack(slices.yieldNow)
  if (pages.waitingPages > 0) checkpointer.cutOffLater()
}

function textOf(of: {
  bytesBefore: number
  bytesAfter: number
  pagesHeld: number
  cancelled: boolean
}): string {
  const { bytesBefore, bytesAfter, pagesHeld, cancelled } = of
  const freed = bytesBefore - bytesAfter
  const parts = [
    freed > 0 ? `gave ${bytesText(freed)} of index.db back` : 'index.db has no space to give back',
  ]
  if (pagesHeld > 0) parts.push(`readers hold ${countText(pagesHeld, 'old page')} until they end`)
  if (cancelled) parts.push('cancelled before its end')
  return parts.join(', ')
}
