/**
 * Plain internal pages (format.md 3.5): a directory of u16 offsets, entries sorted by key; child i
 * covers [key i, key i+1), a key below key 0 goes to child 0.
 *
 *   entry: u16 key bytes | u64 child page id | key
 */
import { compareRange } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import {
  PAGE_BYTES,
  PAGE_HEADER_BYTES,
  PAGE_INTERNAL,
  newPage,
  pageCount,
  pageError,
  sealPage,
  type Page,
} from './page.ts'
import { writeU64 } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'

const CHILD_HEADER_BYTES = 10
const DIRECTORY_SLOT_BYTES = 2
export const INTERNAL_CAPACITY = PAGE_BYTES - PAGE_HEADER_BYTES

export interface ChildRef {
  /** First key of the child's range. */
  key: Uint8Array
  child: number
}

function childStart(page: Page, index: number): number {
  if (page.starts !== null) return page.starts[index] as number
  return page.view.getUint16(PAGE_HEADER_BYTES + index * DIRECTORY_SLOT_BYTES, true)
}

/** Where the eight bytes of child id `index` lie in a plain or decoded page. */
export function childIdOffset(page: Page, index: number): number {
  return childStart(page, index) + 2
}

/** Page id of child `index`. A leaf kept in the value log (bit 63) is named as unsupported. */
export function childAt(page: Page, index: number): number {
  const start = childStart(page, index)
  const high = page.view.getUint32(start + 6, true)
  if (high >= 0x80000000) {
    throw new EngineError(
      'ENGINE_UNSUPPORTED',
      'leaf pages kept in the value log are not read by this version',
    )
  }
  return high * 0x1_0000_0000 + page.view.getUint32(start + 2, true)
}

export function childKey(page: Page, index: number): Uint8Array {
  const start = childStart(page, index)
  const from = start + CHILD_HEADER_BYTES
  return page.bytes.subarray(from, from + page.view.getUint16(start, true))
}

export function validateInternal(page: Page, id: number): void {
  const count = pageCount(page)
  const pageEnd = page.bytes.length
  const slots = page.starts === null ? count * DIRECTORY_SLOT_BYTES : 0
  const heapStart = PAGE_HEADER_BYTES + slots
  if (count === 0 || heapStart > pageEnd) throw pageError(id, `internal page of ${count} children`)
  for (let i = 0; i < count; i++) {
    const start = childStart(page, i)
    if (start < heapStart || start + CHILD_HEADER_BYTES > pageEnd) {
      throw pageError(id, `internal entry ${i} starts at ${start}`)
    }
    const end = start + CHILD_HEADER_BYTES + page.view.getUint16(start, true)
    if (end > pageEnd) throw pageError(id, `internal entry ${i} ends at ${end}`)
    if (i > 0) {
      const key = childKey(page, i)
      if (compareRange(childKey(page, i - 1), key, 0, key.length) >= 0) {
        throw pageError(id, `internal keys out of order at entry ${i}`)
      }
    }
  }
}

/** The last child whose key is <= `key`, else child 0. */
export function searchInternal(page: Page, key: Uint8Array): number {
  let low = 0
  let high = pageCount(page) - 1
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    const start = childStart(page, middle)
    const from = start + CHILD_HEADER_BYTES
    if (compareRange(key, page.bytes, from, from + page.view.getUint16(start, true)) < 0) {
      high = middle - 1
    } else {
      low = middle
    }
  }
  return low
}

/** Page bytes of a child, its directory slot included. */
export function childRefBytes(ref: ChildRef): number {
  return CHILD_HEADER_BYTES + DIRECTORY_SLOT_BYTES + ref.key.length
}

/** Cuts children into runs that each fit one page, evenly filled. */
export function cutChildren(refs: readonly ChildRef[]): ChildRef[][] {
  const total = refs.reduce((sum, ref) => sum + childRefBytes(ref), 0)
  const pages = Math.max(1, Math.ceil(total / INTERNAL_CAPACITY))
  const target = Math.min(INTERNAL_CAPACITY, Math.ceil(total / pages) + 32)
  const runs: ChildRef[][] = []
  let run: ChildRef[] = []
  let used = 0
  for (const ref of refs) {
    const need = childRefBytes(ref)
    if (run.length > 0 && (used + need > INTERNAL_CAPACITY || used >= target)) {
      runs.push(run)
      run = []
      used = 0
    }
    run.push(ref)
    used += need
  }
  if (run.length > 0) runs.push(run)
  return runs
}

export function layOutInternal(refs: readonly ChildRef[], id: number, kind: ChecksumKind): Page {
  const page = newPage()
  let top = PAGE_BYTES
  refs.forEach((ref, i) => {
    top -= CHILD_HEADER_BYTES + ref.key.length
    page.view.setUint16(top, ref.key.length, true)
    writeU64(page.view, top + 2, ref.child)
    page.bytes.set(ref.key, top + CHILD_HEADER_BYTES)
    page.view.setUint16(PAGE_HEADER_BYTES + i * DIRECTORY_SLOT_BYTES, top, true)
  })
  sealPage(page, { id, type: PAGE_INTERNAL, count: refs.length }, kind)
  return page
}
