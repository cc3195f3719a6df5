/**
 * Rewrites a closed folder into a new generation (backend.md 9.1): every living value copied once into new
 * segments, in key order, and a compact new index; then the index is swapped and the old segments go.
 *
 *   1. lock; end a swap that a crash cut short; refuse a journal that waits for replay
 *   2. walk the trees: how much there is, and which values are shared
 *   3. copy into new segments and index.db.new, under record ids that are set aside on disk first (rid-mark.ts)
 *   4. sync them and the folder
 *   5. swap the index (index-swap.ts): from here on the new generation counts
 *   6. delete exactly the segments that were there at the start, and what spoke of them
 *
 * Until 5 nothing of the folder is changed but that mark: a failure or a cancellation takes the new files
 * away again and puts the mark back, a crash leaves them to the next opening, which deletes the index and
 * collects the segments. After 5 the old segments are dead, and the next opening collects them in turn.
 * Memory: one page a level, a few groups, and eight bytes a pointer during 2.
 */
import * as path from 'node:path'
import type { Clock } from '../clock.ts'
import { EngineError, ioError } from '../errors.ts'
import { removeIfPresent, replaceFile, type FileSystem } from '../file-system.ts'
import { locateFolder, refuseLinks, type FolderPaths } from '../folder.ts'
import { encodeMeta } from '../index/meta.ts'
import { PAGE_BYTES } from '../index/page.ts'
import {
  INDEX_FILE,
  NEW_INDEX_FILE,
  endSwap,
  recoverIndexSwap,
  removeNewIndex,
  swapIndex,
} from '../index-swap.ts'
import { parseJournalFileName } from '../ids.ts'
import { DictionaryStore } from '../inspect/dictionaries.ts'
import { encodeMetadata, type Metadata, type SegmentFacts } from '../metadata.ts'
import { resolveOptions } from '../options.ts'
import { refuseNewer } from '../recovery.ts'
import { Slicer } from '../slicer.ts'
import type { SegmentId } from '../types.ts'
import type { Segment } from '../value-log/segment.ts'
import { SegmentSet } from '../value-log/segment-set.ts'
import { loadZstd } from '../value-log/zstd.ts'
import { Copier } from './copier.ts'
import { RidMark } from './rid-mark.ts'
import { openSource, surveyTrees, type Source } from './source.ts'
import { PageWriter, TreeBuilder } from './tree-builder.ts'

export interface OfflineRewriteDeps {
  fileSystem: FileSystem
  clock: Clock
  yieldNow: () => Promise<void>
  /** Told about once a slice. */
  onProgress?: (progress: OfflineRewriteProgress) => void
  /** Stops the copying with ENGINE_ABORTED and leaves the folder as it was; too late once the index is swapped. */
  signal?: AbortSignal
}

export interface OfflineRewriteOptions {
  /** Bytes at which an output segment ends. Default: the engine's. */
  segmentBytes?: number
}

export interface OfflineRewriteProgress {
  /** Phases come in this order; `record_ids` where no metadata tells which are free. */
  phase: 'record_ids' | 'survey' | 'copy' | 'delete'
  /** Bytes of the value log read; entries walked or copied; segments deleted. */
  done: number
  /** The same at the end; null while it is not known. */
  total: number | null
}

export interface OfflineRewriteReport {
  segmentsBefore: number
  segmentsAfter: number
  /** Of the value log. */
  bytesBefore: number
  bytesAfter: number
  indexBytesBefore: number
  indexBytesAfter: number
  /** Entries of the user tree. */
  keys: number
  /** Distinct values copied. */
  recordsCopied: number
  /** Those of them in frames. */
  recordsGrouped: number
  elapsedMs: number
}

export async function rewriteFolder(
  dir: string,
  deps: OfflineRewriteDeps,
  options: OfflineRewriteOptions = {},
): Promise<OfflineRewriteReport> {
  await loadZstd()
  const { fileSystem, clock } = deps
  const startedMs = clock.monotonic()
  const paths = locateFolder(fileSystem, dir)
  if (paths === undefined) {
    throw new EngineError('ENGINE_NOT_A_FOLDER', `${path.resolve(dir)} holds no index.db`)
  }
  refuseLinks(fileSystem, paths)
  const { segmentBytes } = resolveOptions(options)
  const lock = fileSystem.lock(paths.lock)
  try {
    await recoverIndexSwap(fileSystem, paths.main)
    refuseNewer(fileSystem, paths)
    refusePendingJournal(fileSystem, paths)
    const report = await rewriteLocked(paths, deps, segmentBytes)
    return { ...report, elapsedMs: clock.monotonic() - startedMs }
  } finally {
    lock.release()
  }
}

/** A journal holds what no tree does: a rewrite without its replay would delete it. */
function refusePendingJournal(fileSystem: FileSystem, paths: FolderPaths): void {
  for (const name of (fileSystem.list(paths.journal) ?? []).sort()) {
    if (parseJournalFileName(name) === undefined) continue
    const file = path.join(paths.journal, name)
    if (fileSystem.stat(file)?.size === 0) continue
    throw new EngineError(
      'ENGINE_REWRITE_REFUSED',
      `an offline rewrite requires a clean commit log; found ${file}: open the folder for writing once, which replays it; restage gc does`,
    )
  }
}

async function rewriteLocked(
  paths: FolderPaths,
  deps: OfflineRewriteDeps,
  segmentBytes: number,
): Promise<Omit<OfflineRewriteReport, 'elapsedMs'>> {
  const { fileSystem, clock } = deps
  const index = fileSystem.open(paths.index, 'read')
  const set = new SegmentSet(fileSystem, paths.keys, {
    emit: () => undefined,
    now: () => clock.now(),
  })
  const dictionaries = new DictionaryStore(fileSystem, paths.root)
  try {
    const { yieldNow } = deps
    const slicer = new Slicer({ clock, yieldNow, sliceMs: resolveOptions({}).sliceMs })
    const source = await openSource({ paths, index, set, dictionaries }, deps, {
      segmentBytes,
      slicer,
      watch: (done, total) => tell(deps, { phase: 'record_ids', done, total }),
    })
    const old = [...set]
    if (old.length === 0) {
      throw new EngineError(
        'ENGINE_REWRITE_REFUSED',
        `no value-log segments found in ${paths.main}`,
      )
    }
    const before = {
      segmentsBefore: old.length,
      bytesBefore: old.reduce((sum, segment) => sum + segment.bytesTotal, 0),
      indexBytesBefore: index.size(),
    }
    const how = { paths, deps, slicer, mark: new RidMark(fileSystem, paths) }
    const made = await makeGeneration(source, how)
    await swapOrUndo(made.segments, how)
    await endSwap(fileSystem, paths.main)
    await writeFacts(source, made.segments, paths, fileSystem)
    await deleteOld(old, { set, paths, deps })
    return {
      ...before,
      segmentsAfter: made.segments.length,
      bytesAfter: made.segments.reduce((sum, segment) => sum + segment.bytesTotal, 0),
      indexBytesAfter: made.indexBytes,
      keys: made.keys,
      recordsCopied: made.recordsCopied,
      recordsGrouped: made.recordsGrouped,
    }
  } finally {
    dictionaries.close()
    set.closeAll()
    index.close()
  }
}

interface Generation {
  segments: Segment[]
  indexBytes: number
  keys: number
  recordsCopied: number
  recordsGrouped: number
}

interface Work {
  paths: FolderPaths
  deps: OfflineRewriteDeps
  slicer: Slicer
  mark: RidMark
}

/** New segments and index.db.new, all on disk; taken away again when that fails. */
async function makeGeneration(source: Source, work: Work): Promise<Generation> {
  const { paths, deps, slicer, mark } = work
  const { fileSystem } = deps
  const known = new Set(source.set)
  try {
    const survey = await slicer.run(surveyTrees(source, watching(deps, 'survey', null)))
    await mark.raise(source.metadata, source.valueLog)
    const file = fileSystem.open(path.join(paths.main, NEW_INDEX_FILE), 'create')
    try {
      const copier = new Copier(source.valueLog, source.kind, survey.shared)
      const pages = new PageWriter(file)
      const watch = watching(deps, 'copy', survey.entries)
      const built = await slicer.run(copyTrees(source, { copier, pages, watch }))
      pages.finish()
      writeMetas(source, pages, built)
      await file.sync()
      const segments = [...copier.segments]
      source.valueLog.sealAll()
      for (const segment of segments) await segment.sync()
      if (segments.length > 0) await fileSystem.syncFolder(paths.values)
      return {
        segments,
        indexBytes: file.size(),
        keys: built.keys,
        recordsCopied: copier.valuesCopied,
        recordsGrouped: copier.valuesGrouped,
      }
    } finally {
      file.close()
    }
  } catch (error) {
    await undo(
      [...source.set].filter((segment) => !known.has(segment)),
      work,
    )
    throw error
  }
}

/** Reports and, between two slices, gives up when asked. */
function tell({ signal, onProgress }: OfflineRewriteDeps, progress: OfflineRewriteProgress): void {
  giveUpIfAsked(signal)
  onProgress?.(progress)
}

function giveUpIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw new EngineError('ENGINE_ABORTED', 'the rewrite was cancelled; the folder is as before')
}

function watching(
  deps: OfflineRewriteDeps,
  phase: OfflineRewriteProgress['phase'],
  total: number | null,
): (done: number) => void {
  return (done) => tell(deps, { phase, done, total })
}

interface Built {
  userRoot: number
  systemRoot: number
  keys: number
}

/** Yields after each leaf of the old trees. */
function* copyTrees(
  source: Source,
  into: { copier: Copier; pages: PageWriter; watch: (done: number) => void },
): Generator<void, Built> {
  const { copier, pages, watch } = into
  let copied = 0
  const roots: number[] = []
  let keys = 0
  for (const root of [source.roots.userRoot, source.roots.systemRoot]) {
    const tree = new TreeBuilder(pages, source.kind)
    for (const leaf of source.leaves(root)) {
      for (const { key, value } of leaf) copier.add(tree, key, value)
      copied += leaf.length
      watch(copied)
      yield
    }
    copier.flush(tree)
    roots.push(tree.finish())
    if (roots.length === 1) keys = tree.entries
  }
  return { userRoot: roots[0] ?? 0, systemRoot: roots[1] ?? 0, keys }
}

/** Both meta pages name the new trees, one commit after the old ones. */
function writeMetas(source: Source, pages: PageWriter, built: Built): void {
  const meta = {
    ...source.meta,
    commitSeq: source.meta.commitSeq + 1,
    userRoot: built.userRoot,
    systemRoot: built.systemRoot,
    freelistHead: 0,
    totalPages: pages.nextId,
  }
  delete meta.userLeaf
  delete meta.systemLeaf
  for (const pageNumber of [0, 1] as const) {
    const { bytes } = encodeMeta(meta, pageNumber, source.kind)
    pages.file.write(bytes, 0, PAGE_BYTES, pageNumber * PAGE_BYTES)
  }
}

async function swapOrUndo(segments: readonly Segment[], work: Work): Promise<void> {
  const { paths, deps } = work
  const { fileSystem, signal } = deps
  try {
    giveUpIfAsked(signal)
    await swapIndex(fileSystem, paths.main)
  } catch (error) {
    if (isOldIndex(paths, fileSystem)) await undo(segments, work)
    throw error
  }
}

/** As long as the new index lies beside it, index.db is the old one. */
function isOldIndex(paths: FolderPaths, fileSystem: FileSystem): boolean {
  try {
    const has = (name: string): boolean =>
      fileSystem.stat(path.join(paths.main, name))?.isFile === true
    return has(INDEX_FILE) && has(NEW_INDEX_FILE)
  } catch {
    return false
  }
}

/** Best effort: what stays is nobody's, and the next opening takes it away. */
async function undo(segments: readonly Segment[], { paths, deps, mark }: Work): Promise<void> {
  const { fileSystem } = deps
  try {
    await removeNewIndex(fileSystem, paths.main)
    for (const segment of segments) await fileSystem.unlink(segment.file.path)
    if (segments.length > 0) await fileSystem.syncFolder(paths.values)
    // Not before the segments are gone: their ids would be free again.
    await mark.putBack()
  } catch {
    // The error that led here is the one to tell.
  }
}

/** Ages and origins of the new segments; the counters go on where the old generation's stopped. */
async function writeFacts(
  source: Source,
  segments: readonly Segment[],
  paths: FolderPaths,
  fileSystem: FileSystem,
): Promise<void> {
  const facts = new Map<SegmentId, SegmentFacts>()
  for (const { id, origin, times, isWhole } of segments) {
    const { createdAtMs, sealedAtMs, ageSource: sealedAtFrom } = times
    facts.set(id, { origin, createdAtMs, sealedAtMs, sealedAtFrom, isWhole })
  }
  const { valueLog } = source
  const metadata: Metadata = {
    nextSeq: valueLog.nextSeq,
    ridReservedUntil: valueLog.nextRid,
    segments: facts,
  }
  await removeIfPresent(fileSystem, `${paths.metadata}.tmp`)
  await replaceFile(fileSystem, paths.metadata, Buffer.from(encodeMetadata(metadata)))
}

/** Exactly the segments of the old generation; its debt went with them. */
async function deleteOld(
  old: readonly Segment[],
  where: { set: SegmentSet; paths: FolderPaths; deps: OfflineRewriteDeps },
): Promise<void> {
  const { set, paths, deps } = where
  const { fileSystem } = deps
  try {
    let deleted = 0
    for (const segment of old) {
      await fileSystem.unlink(segment.file.path)
      await set.forgetKeys(segment.id)
      deps.onProgress?.({ phase: 'delete', done: ++deleted, total: old.length })
    }
    for (const folder of new Set(old.map((segment) => path.dirname(segment.file.path)))) {
      await fileSystem.syncFolder(folder)
    }
    for (const state of [paths.state, paths.otherState]) {
      if (state === null || !(await removeIfPresent(fileSystem, state))) continue
      await fileSystem.syncFolder(path.dirname(state))
    }
  } catch (error) {
    const what = `${paths.root} was rewritten, but its old segments could not all be deleted`
    throw new EngineError('ENGINE_IO', `${what}; GC does: ${ioError('', error).message}`, error)
  }
}
