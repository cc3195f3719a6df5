/**
 * An open folder: everything recovered and wired together, without policy. `openStore` takes a folder
 * from whatever a crash left to a consistent, writable state; the engine puts its public face on it.
 */
import type { EngineDeps } from './api.ts'
import { Checkpointer } from './checkpoint.ts'
import type { ChecksumKind } from './checksum.ts'
import { Journal } from './commit-log/journal.ts'
import { removeIfPresent, type FileSystem, type FolderLock, type OpenFile } from './file-system.ts'
import {
  createFolders,
  createIndex,
  locateFolder,
  refuseLinks,
  type FolderPaths,
} from './folder.ts'
import { recoverIndexSwap, removeOldIndex } from './index-swap.ts'
import { MetaPages } from './index/meta-pages.ts'
import type { LeafRef } from './index/leaf-ref.ts'
import type { Meta } from './index/meta.ts'
import type { Page } from './index/page.ts'
import { PageStore } from './index/page-store.ts'
import { KeyCache } from './key-cache.ts'
import { KeyHasher } from './key-hash.ts'
import { KeySpace } from './key-space.ts'
import { DictionaryStore } from './inspect/dictionaries.ts'
import { MetadataFile, RID_RESERVE } from './metadata.ts'
import type { ResolvedOptions } from './options.ts'
import {
  accountTree,
  firstUsable,
  openSegments,
  readJournals,
  readMetadata,
  readMetas,
  refuseNewer,
  type JournalFiles,
  type PlainSeen,
} from './recovery.ts'
import { KeyListRebuild } from './key-list-rebuild.ts'
import { replay, wholeBatches, writeLastWord } from './replay.ts'
import { recoverRids } from './rid-recovery.ts'
import { Slicer, type SliceSettings } from './slicer.ts'
import type { EngineEventBody } from './types.ts'
import { LoggedLeaves } from './value-log/logged-leaves.ts'
import { SegmentSet } from './value-log/segment-set.ts'
import { ValueLog } from './value-log/value-log.ts'
import { loadZstd } from './value-log/zstd.ts'
import type { ValuePointer } from './value-pointer.ts'

export interface Store {
  paths: FolderPaths
  kind: ChecksumKind
  lock: FolderLock
  pages: PageStore
  metas: MetaPages
  set: SegmentSet
  valueLog: ValueLog
  keySpace: KeySpace
  journal: Journal | null
  checkpointer: Checkpointer
  metadata: MetadataFile
  leaves: LoggedLeaves
  /** Open as soon as a frame has asked; closed with the store. */
  dictionaries: DictionaryStore
  slices: SliceSettings
  /** Made by this opening: no checkpoint has put anything into it yet. */
  isNew: boolean
  journalRecordsReplayed: number
  journalBatchesSkipped: number
}

export interface StoreContext {
  deps: EngineDeps
  options: ResolvedOptions
  emit: (event: EngineEventBody) => void
  /** A writer waits for the disk: slices are short then. */
  isAwaited?: () => boolean
  /** Resolves when the sync that it waits for has ended. */
  answered?: () => Promise<void>
}

export async function openStore(dir: string, context: StoreContext): Promise<Store> {
  const { fileSystem } = context.deps
  await loadZstd()
  const found = locateFolder(fileSystem, dir)
  const paths = found ?? (await createFolders(fileSystem, dir))
  refuseLinks(fileSystem, paths)
  const lock = fileSystem.lock(paths.lock)
  try {
    // Asked again under the lock: another opener may have made and filled the store meanwhile.
    if (locateFolder(fileSystem, dir) === undefined) await createIndex(fileSystem, paths)
    return await recover(paths, lock, context)
  } catch (error) {
    lock.release()
    throw error
  }
}

async function recover(
  paths: FolderPaths,
  lock: FolderLock,
  context: StoreContext,
): Promise<Store> {
  const { deps } = context
  const { fileSystem } = deps
  await recoverIndexSwap(fileSystem, paths.main)
  for (const file of [paths.metadata, paths.state, paths.index]) {
    await removeIfPresent(fileSystem, `${file}.tmp`)
  }
  const index = fileSystem.open(paths.index, 'append')
  const set = new SegmentSet(fileSystem, paths.keys, {
    emit: context.emit,
    now: () => deps.clock.now(),
  })
  const dictionaries = new DictionaryStore(fileSystem, paths.root)
  try {
    refuseNewer(fileSystem, paths)
    const store = await rebuild({ paths, lock, index, set, dictionaries }, context)
    await removeOldIndex(fileSystem, paths.main)
    return store
  } catch (error) {
    dictionaries.close()
    set.closeAll()
    index.close()
    throw error
  }
}

interface OpenedFiles {
  paths: FolderPaths
  lock: FolderLock
  index: OpenFile
  set: SegmentSet
  dictionaries: DictionaryStore
}

function slicesOf(context: StoreContext): SliceSettings {
  const { deps, options } = context
  return {
    clock: deps.clock,
    yieldNow: deps.yieldNow,
    sliceMs: options.sliceMs,
    isAwaited: () => context.isAwaited?.() === true,
    answered: async () => {
      await context.answered?.()
    },
  }
}

async function rebuild(files: OpenedFiles, context: StoreContext): Promise<Store> {
  const { paths, lock, index, set, dictionaries } = files
  const { deps, options } = context
  const { fileSystem, randomU32 = () => 0 } = deps
  const slices = slicesOf(context)
  const { kind, candidates } = readMetas(index, paths.index)
  const metadata = readMetadata(fileSystem, paths)
  const highestSeq = openSegments(fileSystem, paths, { set, metadata, nowMs: deps.clock.now() })
  const slicer = new Slicer(slices)
  const keyLists = new KeyListRebuild(set)
  const leaves = new LoggedLeaves(set, kind, dictionaries)
  const cacheBytes = options.pageCacheBytes
  const readRootLeaf = (ref: LeafRef): Page => leaves.read(ref)
  const candidate = firstUsable(candidates, { index, where: paths.index, kind, readRootLeaf })
  const accounting = { set, leaves, slicer, index, kind, cacheBytes, keyLists }
  const accounted = await accountTrees(candidate.meta, accounting)
  const { pages, reachable } = accounted
  pages.freeAllBut(reachable)

  const journals = readJournals(fileSystem, paths.journal, kind)
  const rids = await recoverRids(set, kind, { batches: journals.batches, slicer, metadata })
  const metas = new MetaPages(index, kind, candidate)
  const keySpace = new KeySpace(
    {
      pages,
      set,
      hasher: new KeyHasher(randomU32(), randomU32()),
      cache: new KeyCache(options.keyCacheBytes),
    },
    { ...accounted.roots, version: 0 },
  )
  const nextSeq = Math.max(highestSeq + 1, metadata?.nextSeq ?? 1)
  const valueLog = makeValueLog(files, context, { kind, keySpace, nextSeq, nextRid: rids.next })
  // Both meta pages name one tree before anything else is written (a crash may have left two), and the
  // metadata has the counters before a replayed value takes of them.
  await metas.publish({ ...candidate.meta, totalPages: pages.totalPages }, () => undefined)
  const metadataFile = new MetadataFile(fileSystem, paths.metadata, rids.next + RID_RESERVE)
  await metadataFile.save(valueLog)
  const found = { journals, pointers: rids.pointers }
  const into = { set, kind, keySpace, keyLists, valueLog }
  const { journal, ...replayed } = await replayJournals(fileSystem, paths, found, into)
  const journaled = options.profile === 'fast' ? null : journal
  const checkpointer = new Checkpointer({
    keySpace,
    pages,
    metas,
    valueLog,
    set,
    leaves,
    journal: journaled,
    awaitsNames: options.profile === 'durable',
    slices,
  })
  await closingOnFailure(journal, async () => {
    await checkpointer.run('open')
    await journal.deleteOld()
  })
  return {
    paths,
    kind,
    lock,
    pages,
    metas,
    set,
    valueLog,
    keySpace,
    journal: journaled,
    checkpointer,
    metadata: metadataFile,
    leaves,
    dictionaries,
    slices,
    isNew: candidate.meta.commitSeq === 0,
    ...replayed,
  }
}

interface Replayed {
  /** Its old files are the replayed ones: they go with the checkpoint that follows. */
  journal: Journal
  journalRecordsReplayed: number
  journalBatchesSkipped: number
}

async function replayJournals(
  fileSystem: FileSystem,
  paths: FolderPaths,
  found: { journals: JournalFiles; pointers: ReadonlyMap<bigint, ValuePointer> },
  into: {
    set: SegmentSet
    kind: ChecksumKind
    keySpace: KeySpace
    keyLists: KeyListRebuild
    valueLog: ValueLog
  },
): Promise<Replayed> {
  const { journals, pointers } = found
  const { set, kind, keyLists } = into
  const whole = wholeBatches(journals.batches, pointers)
  const journalRecordsReplayed = replay(whole, { ...into, pointers })
  keyLists.save()
  await set.removeOrphanKeys()
  await syncReplayed(fileSystem, paths, { set, pointers })
  const { files: old, nextSeq } = journals
  const journal = new Journal(fileSystem, { folder: paths.journal, kind, nextSeq, old })
  if (journals.interleaved) {
    const highest = journals.batches.at(-1)?.seq ?? 0
    await closingOnFailure(journal, () => writeLastWord(journal, highest + 1, whole))
  }
  const journalBatchesSkipped = journals.batches.length - whole.length
  return { journal, journalRecordsReplayed, journalBatchesSkipped }
}

async function closingOnFailure(journal: Journal, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    journal.close()
    throw error
  }
}

/**
 * The checkpoint that follows makes the replayed pointers durable and the journal go. What they name
 * may so far only be in the system's cache, when a process was killed that did not sync.
 */
async function syncReplayed(
  fileSystem: FileSystem,
  paths: FolderPaths,
  replayed: { set: SegmentSet; pointers: ReadonlyMap<bigint, ValuePointer> },
): Promise<void> {
  const { set, pointers } = replayed
  if (pointers.size === 0) return
  for (const segment of new Set([...pointers.values()].map((p) => set.need(p)))) {
    await segment.sync()
  }
  await fileSystem.syncFolder(paths.values)
}

function makeValueLog(
  files: Pick<OpenedFiles, 'paths' | 'set' | 'dictionaries'>,
  { deps, options }: StoreContext,
  found: { kind: ChecksumKind; keySpace: KeySpace; nextSeq: number; nextRid: bigint },
): ValueLog {
  return new ValueLog(files.set, {
    fileSystem: deps.fileSystem,
    folder: files.paths.values,
    folderName: files.paths.valuesName,
    kind: found.kind,
    dictionaries: files.dictionaries,
    segmentBytes: options.segmentBytes,
    nextSeq: found.nextSeq,
    nextRid: found.nextRid,
    seq: () => found.keySpace.seq,
    now: () => deps.clock.now(),
  })
}

interface Accounted {
  pages: PageStore
  /** Ids of the two roots. */
  roots: { userRoot: number; systemRoot: number }
  reachable: Set<number>
}

/** Damage anywhere in the trees fails the opening, with the page named: nothing is older by choice. */
async function accountTrees(
  meta: Meta,
  context: {
    set: SegmentSet
    leaves: LoggedLeaves
    slicer: Slicer
    index: ConstructorParameters<typeof PageStore>[0]
    kind: ChecksumKind
    cacheBytes: number
    keyLists: KeyListRebuild
  },
): Promise<Accounted> {
  const totalPages = meta.totalPages === 0 ? pageLimit(context.index.size()) : meta.totalPages
  const pages = new PageStore(context.index, context.kind, {
    totalPages,
    cacheBytes: context.cacheBytes,
    readLogged: (ref) => context.leaves.read(ref),
  })
  const roots = {
    userRoot: pages.rootId(meta.userRoot, meta.userLeaf),
    systemRoot: pages.rootId(meta.systemRoot, meta.systemLeaf),
  }
  const reachable = new Set<number>()
  const plainSeen: PlainSeen = new Map()
  context.keyLists.begin()
  for (const root of [roots.userRoot, roots.systemRoot]) {
    await accountTree(pages, root, {
      keyLists: context.keyLists,
      set: context.set,
      leaves: context.leaves,
      reachable,
      plainSeen,
      slicer: context.slicer,
    })
  }
  return { pages, roots, reachable }
}

function pageLimit(fileBytes: number): Meta['totalPages'] {
  return Math.floor(fileBytes / 4096)
}

/** Closes what a store holds open; the lock last. */
export function releaseStore(store: Store): void {
  store.journal?.close()
  store.set.closeAll()
  store.pages.file.close()
  store.dictionaries.close()
  store.lock.release()
}

/** Hands everything to the operating system: it survives the process, not a power cut. */
export function flushStore(store: Store): void {
  store.valueLog.flush()
  store.journal?.flush()
}
