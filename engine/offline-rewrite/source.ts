/**
 * The folder that an offline rewrite reads: its current trees, its segments, and the counters from which
 * new segments and records are named. Strict: damage ends the rewrite, because it would delete what a
 * rescue needs.
 */
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import type { FolderPaths } from '../folder.ts'
import type { DictionaryStore } from '../inspect/dictionaries.ts'
import { entryKey, entryStart, entryValue, type StoredValue } from '../index/leaf.ts'
import type { Meta } from '../index/meta.ts'
import { PageStore } from '../index/page-store.ts'
import { PAGE_BYTES, PAGE_LEAF, pageCount, pageError, pageType, type Page } from '../index/page.ts'
import { childAt } from '../index/internal.ts'
import type { Metadata } from '../metadata.ts'
import { openSegments, readMetadata, readMetas } from '../recovery.ts'
import { firstFreeRid } from '../rid-recovery.ts'
import type { Slicer } from '../slicer.ts'
import { LoggedLeaves } from '../value-log/logged-leaves.ts'
import type { SegmentSet } from '../value-log/segment-set.ts'
import { ValueLog } from '../value-log/value-log.ts'
import type { OfflineRewriteDeps } from './rewrite.ts'
import { SharedValues } from './shared-values.ts'

/** Pages of one path and a little more: the walk meets each page once. */
const CACHE_BYTES = 2 ** 20
/** A tree deeper than this has a cycle. */
const DEPTH_MAX = 64

export interface Entry {
  /** A view into a page, like an inline value. */
  key: Uint8Array
  value: StoredValue
}

export interface Source {
  kind: ChecksumKind
  meta: Meta
  roots: { userRoot: number; systemRoot: number }
  set: SegmentSet
  /** undefined: none that could be read. */
  metadata: Metadata | undefined
  valueLog: ValueLog
  /** Entries that are no tombstones, leaf by leaf, in key order over the whole tree. */
  leaves: (root: number) => Generator<Entry[]>
}

/** `watch` is told the bytes read where only the records tell which ids are free. */
export async function openSource(
  opened: {
    paths: FolderPaths
    index: OpenFile
    set: SegmentSet
    dictionaries: DictionaryStore
  },
  deps: OfflineRewriteDeps,
  how: {
    segmentBytes: number
    slicer: Slicer
    watch: (done: number, total: number) => void
  },
): Promise<Source> {
  const { paths, index, set, dictionaries } = opened
  const { fileSystem, clock } = deps
  const { segmentBytes, slicer, watch } = how
  const { kind, candidates } = readMetas(index, paths.index)
  const [current] = candidates
  if (current === undefined) throw new EngineError('ENGINE_CORRUPT', `${paths.index}: no meta page`)
  const { meta } = current
  const metadata = readMetadata(fileSystem, paths)
  const highestSeq = openSegments(fileSystem, paths, { set, metadata, nowMs: clock.now() })
  const leaves = new LoggedLeaves(set, kind, dictionaries)
  const pages = new PageStore(index, kind, {
    totalPages: meta.totalPages === 0 ? Math.floor(index.size() / PAGE_BYTES) : meta.totalPages,
    cacheBytes: CACHE_BYTES,
    readLogged: (ref) => leaves.read(ref),
  })
  const nextRid = await slicer.run(firstFreeRid(set, kind, metadata, watch))
  const valueLog = new ValueLog(set, {
    fileSystem,
    folder: paths.values,
    folderName: paths.valuesName,
    kind,
    dictionaries,
    segmentBytes,
    nextSeq: Math.max(highestSeq + 1, metadata?.nextSeq ?? 1),
    nextRid,
    seq: () => 0,
    now: () => clock.now(),
  })
  const roots = {
    userRoot: pages.rootId(meta.userRoot, meta.userLeaf),
    systemRoot: pages.rootId(meta.systemRoot, meta.systemLeaf),
  }
  return { kind, meta, roots, set, metadata, valueLog, leaves: (root) => leavesOf(pages, root) }
}

/** Each page once, so that a cycle ends; in key order, or it is damage. */
function* leavesOf(pages: PageStore, root: number): Generator<Entry[]> {
  const seen = new Set<number>()
  const path: { page: Page; next: number }[] = []
  let last: Uint8Array | undefined
  const enter = (id: number): Page | undefined => {
    if (seen.has(id)) throw pageError(id, 'reached twice in one tree')
    if (path.length >= DEPTH_MAX) throw pageError(id, `deeper than ${DEPTH_MAX} levels`)
    seen.add(id)
    const page = pages.read(id)
    if (pageType(page) === PAGE_LEAF) return page
    path.push({ page, next: 0 })
    return undefined
  }
  for (let leaf = enter(root); ;) {
    if (leaf !== undefined) {
      const entries = entriesOf(leaf)
      const first = entries[0]
      if (first !== undefined && last !== undefined && Buffer.compare(last, first.key) >= 0) {
        throw pageError(root, 'leaves of its tree are out of key order')
      }
      last = entries.at(-1)?.key ?? last
      yield entries
    }
    let level = path.at(-1)
    while (level !== undefined && level.next >= pageCount(level.page)) {
      path.pop()
      level = path.at(-1)
    }
    if (level === undefined) return
    leaf = enter(childAt(level.page, level.next++))
  }
}

function entriesOf(page: Page): Entry[] {
  const entries: Entry[] = []
  const count = pageCount(page)
  for (let i = 0; i < count; i++) {
    const start = entryStart(page, i)
    const value = entryValue(page, start)
    if (value.kind !== 'tombstone') entries.push({ key: entryKey(page, start), value })
  }
  return entries
}

export interface Survey {
  /** Of both trees. */
  entries: number
  shared: SharedValues
}

/** Yields after each leaf. */
export function* surveyTrees(
  source: Source,
  watch: (done: number) => void,
): Generator<void, Survey> {
  const shared = new SharedValues()
  let entries = 0
  for (const root of [source.roots.userRoot, source.roots.systemRoot]) {
    for (const leaf of source.leaves(root)) {
      for (const { value } of leaf) {
        if (value.kind === 'pointer') shared.gather(value.pointer)
      }
      entries += leaf.length
      watch(entries)
      yield
    }
  }
  shared.settle()
  return { entries, shared }
}
