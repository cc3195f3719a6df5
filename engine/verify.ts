/** Recomputes live bytes by walking everything, and compares them with what was tracked. */
import type { VerifyReport } from './api.ts'
import { entryStart, entryValue } from './index/leaf.ts'
import { pageCount } from './index/page.ts'
import type { ReadView } from './key-space.ts'
import { walkTree } from './index/tree.ts'
import { Slicer } from './slicer.ts'
import type { Store } from './store.ts'
import type { SegmentId } from './types.ts'
import { recordStart, type ValuePointer } from './value-pointer.ts'

/** `view` is open and pinned; both stay the caller's. */
export async function verifyLiveBytes(store: Store, view: ReadView): Promise<VerifyReport> {
  const { keySpace, set } = store
  const slicer = new Slicer(store.slices)
  // The tracked side is of the same instant as the view; writes go on while we walk.
  const tracked = new Map<SegmentId, number>([...set].map((s) => [s.id, s.bytesLive]))
  const scanned = new Map<SegmentId, Map<number, number>>()
  const count = (pointer: ValuePointer): void => {
    let records = scanned.get(pointer.segmentId)
    if (records === undefined) scanned.set(pointer.segmentId, (records = new Map<number, number>()))
    records.set(recordStart(pointer), set.need(pointer).recordBytes(pointer))
  }
  let keys = 0
  for (const { value } of keySpace.entries(view, {})) {
    keys++
    if (value.kind === 'pointer') count(value.pointer)
    if (slicer.due) await slicer.pause()
  }
  const leaf = (page: Parameters<typeof pageCount>[0]): void => {
    for (let i = 0; i < pageCount(page); i++) {
      const value = entryValue(page, entryStart(page, i))
      if (value.kind === 'pointer') count(value.pointer)
    }
  }
  const page = (id: number): void => {
    const ref = store.pages.loggedLeaf(id)
    if (ref !== undefined) count(store.leaves.pointer(ref))
  }
  await slicer.run(walkTree(store.pages, view.root.systemRoot, { page, leaf }))
  // Its entries were met above, through the memtables.
  if (store.pages.hasLogged) {
    await slicer.run(walkTree(store.pages, view.root.userRoot, { page, leaf: () => undefined }))
  }
  const differences: VerifyReport['differences'] = []
  for (const [segmentId, trackedBytesLive] of tracked) {
    let scannedBytesLive = 0
    for (const bytes of scanned.get(segmentId)?.values() ?? []) scannedBytesLive += bytes
    if (trackedBytesLive !== scannedBytesLive) {
      differences.push({ segmentId, trackedBytesLive, scannedBytesLive })
    }
  }
  return { segments: tracked.size, keys, differences }
}
