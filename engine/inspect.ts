/**
 * Reads a data folder without writing a byte: no lock file, no repair, O_RDONLY throughout, symbolic
 * links below the folder not followed. One codec serves hosting and this.
 *
 *   1. find index.db, the segments and the journals;  2. choose the meta page;  3. read the journal;
 *   4. walk both trees and collect references;  5. walk each segment and join;  6. say it.
 *
 * Memory grows with the number of pointers (8 bytes each) and of journal records, not with values;
 * asking for keys costs what they cost to list. What this version does not read is named and
 * skipped; damage costs what is damaged. Only a folder without index.db, or a refusing file system,
 * is an error.
 */
import type { ChecksumKind } from './checksum.ts'
import { keyBytes } from './bytes.ts'
import { EngineError, ioError, type EngineErrorCode } from './errors.ts'
import type { FileSystem } from './file-system.ts'
import { PAGE_BYTES, newPage } from './index/page.ts'
import { DictionaryStore } from './inspect/dictionaries.ts'
import { Sentences, Slices, UnreadFeatures, counted } from './inspect/findings.ts'
import { mapFolder, type FolderMap } from './inspect/folder.ts'
import { readJournals, type PendingJournal } from './inspect/journal.ts'
import { IndexFile, chooseMeta, type MetaChoice } from './inspect/meta-choice.ts'
import { countReplayed, openedState } from './inspect/opened.ts'
import { RecordReader } from './inspect/record-reader.ts'
import { readRecording } from './inspect/recording.ts'
import { References } from './inspect/references.ts'
import type {
  FolderReading,
  InspectKey,
  InspectRecording,
  InspectReport,
  InspectSegment,
  CountedSegment,
} from './inspect/report.ts'
import { readSegments } from './inspect/segments.ts'
import { readSmallFiles, sayQueuedMissing, type SmallFiles } from './inspect/small-files.ts'
import { buildState } from './inspect/state.ts'
import { LeafRefSet, PageSet, WalkCounts, loggedLeaf, type Walk } from './inspect/tree-walk.ts'
import { describeValue, readTrees, type TreesReading } from './inspect/trees.ts'
import { storeRoot } from './folder.ts'
import { segmentFileName } from './ids.ts'
import { resolveOptions } from './options.ts'
import type { SegmentFacts } from './metadata.ts'
import type { EngineInfo, SegmentId } from './types.ts'
import { loadZstd } from './value-log/zstd.ts'

export type * from './inspect/report.ts'

export interface InspectDeps {
  fileSystem: FileSystem
  /** Gives the thread back to other work; resolves in a later macrotask. */
  yieldNow: () => Promise<void>
  /** Wall clock, for `readAtMs`. */
  nowMs: number
  /** Longest slice between yields, when `monotonic` can measure it. Default 1 ms. */
  sliceMs?: number
  /** Monotonic milliseconds; absent = slices of a fixed number of steps. */
  monotonic?: () => number
  /** Told about once a slice. */
  onProgress?: (progress: InspectProgress) => void
  /** Stops the reading at the end of its slice with ENGINE_ABORTED. */
  signal?: AbortSignal
}

export interface InspectRequest {
  /** List all keys with the hash of their values: reads every value. */
  keys?: boolean
  /** Lay the pending journal over the keys, as a writer would at its next opening. */
  replay?: boolean
  /** Say what segments an opening for writing would have: a second walk where a journal waits for replay. */
  opened?: boolean
  /** Read the whole value log and check every CRC; without it records are walked by their headers. */
  verify?: boolean
}

/** How far a reading is; phases come in this order and may be skipped. */
export interface InspectProgress {
  phase: 'index' | 'value_log'
  /** Index pages read, or bytes of the value log gone through. */
  done: number
  /** Pages of index.db, of which a tree may use fewer; or bytes of the value log. */
  total: number
}

interface Scope {
  fileSystem: FileSystem
  problems: Sentences
  unread: UnreadFeatures
  slices: Slices
  /** Facts worth a sentence that are no damage. */
  notes: Sentences
  onProgress: (progress: InspectProgress) => void
}

/** Readings of a folder that changes meanwhile, before one of a moving state is given. */
const ATTEMPTS = 4

/** Throws ENGINE_NOT_A_FOLDER or ENGINE_IO; everything else that is wrong is in the reading. */
export async function inspectFolder(
  dir: string,
  deps: InspectDeps,
  request: InspectRequest = {},
): Promise<FolderReading> {
  try {
    await loadZstd()
    for (let attempt = 1; ; attempt++) {
      const mayRetry = attempt < ATTEMPTS
      const reading = await readOnce(storeRoot(deps.fileSystem, dir), deps, { request, mayRetry })
      if (reading !== undefined) return reading
    }
  } catch (error) {
    if (isErrno(error)) throw ioError(`cannot read ${dir}`, error)
    throw error
  }
}

/** undefined when a writer was at work meanwhile and it may be tried again. */
async function readOnce(
  root: string,
  deps: InspectDeps,
  how: { request: InspectRequest; mayRetry: boolean },
): Promise<FolderReading | undefined> {
  const scope: Scope = {
    fileSystem: deps.fileSystem,
    problems: new Sentences(),
    unread: new UnreadFeatures(),
    notes: new Sentences(),
    slices: new Slices({
      yieldNow: deps.yieldNow,
      sliceMs: deps.sliceMs ?? resolveOptions({}).sliceMs,
      monotonic: deps.monotonic,
      signal: deps.signal,
    }),
    onProgress: deps.onProgress ?? ((): void => undefined),
  }
  const folder = mapFolder(root, scope)
  const files = filesOf(folder)
  const handle = scope.fileSystem.open(folder.index, 'read')
  try {
    const index = new IndexFile(handle)
    const metas = Buffer.from(metaBytesOf(index))
    const hasChanged = (): boolean =>
      !metas.equals(metaBytesOf(index)) || files !== filesNow(root, scope.fileSystem)
    const { request, mayRetry } = how
    try {
      return await readFolder(folder, index, scope, {
        recording: await readRecording(root, deps),
        request,
        nowMs: deps.nowMs,
        hasChanged,
        mayRetry,
      })
    } catch (error) {
      // A segment that went away under the reading is no damage.
      if (mayRetry && deps.signal?.aborted !== true && hasChanged()) return undefined
      throw error
    }
  } finally {
    handle.close()
  }
}

/** Names of all segments and journals, and how long the journals are: appending to one is a write. */
function filesOf(folder: FolderMap): string {
  const journals = folder.journals.map(({ file, bytes }) => `${file} ${bytes}`)
  return [...folder.segments.map(({ file }) => file), ...journals].join('\n')
}

function filesNow(root: string, fileSystem: FileSystem): string | undefined {
  try {
    const scope = { fileSystem, problems: new Sentences(), unread: new UnreadFeatures() }
    return filesOf(mapFolder(root, scope))
  } catch {
    return undefined
  }
}

function isErrno(error: unknown): boolean {
  if (error instanceof EngineError || !(error instanceof Error)) return false
  return typeof (error as NodeJS.ErrnoException).code === 'string'
}

/** Everything read, before it is put into words. */
interface Gathered {
  folder: FolderMap
  index: IndexFile
  files: SmallFiles
  choice: MetaChoice | undefined
  /** undefined: nothing in the folder tells; IEEE was assumed. */
  detected: ChecksumKind | undefined
  journal: PendingJournal
  references: References
  walk: Walk
  trees: TreesReading | undefined
  segments: CountedSegment[]
  /** The same with the journal replayed; null = not asked for. */
  replayedSegments: CountedSegment[] | null
  /** null: no tree. */
  keyCount: number | null
  replayed: boolean
  verified: boolean
}

async function readFolder(
  folder: FolderMap,
  index: IndexFile,
  scope: Scope,
  asked: {
    recording: InspectRecording | undefined
    request: InspectRequest
    nowMs: number
    hasChanged: () => boolean
    mayRetry: boolean
  },
): Promise<FolderReading | undefined> {
  const gathered = await gather(folder, index, scope, asked.request)
  const isMoving = asked.hasChanged()
  if (isMoving && asked.mayRetry) return undefined
  const { choice, journal, keyCount, trees } = gathered
  const commitSeq = choice?.meta.commitSeq ?? null
  const journalSegments = journal.segments()
  sayWhatIsOdd(gathered, scope)
  if (isMoving) {
    scope.problems.add(
      'the folder is being written: this is a reading of a moving state, its numbers are approximate',
    )
  }
  const unsupported = scope.unread.list()
  const lowerBound = lowerBoundOf(gathered)
  if (lowerBound !== null) {
    if (lowerBound.code === 'ENGINE_UNSUPPORTED') unsupported.push(lowerBound.message)
    else scope.problems.add(lowerBound.message)
  }
  const { recording } = asked
  const report = {
    ...makeReport(gathered, scope.problems.list(), unsupported),
    ...(lowerBound === null
      ? {}
      : {
          segments: gathered.segments.map(withoutReferences),
          live_bytes_unknown: lowerBound.message,
        }),
    ...(recording === undefined ? {} : { recording }),
  }
  const other = choice?.other ?? null
  const segmentsInput = {
    files: folder.segments,
    segments: gathered.segments,
    nowMs: asked.nowMs,
    prefix: folder.prefix,
    facts: gathered.files.metadata?.segments ?? new Map<SegmentId, SegmentFacts>(),
    journalSegments,
    otherRoot:
      other === null || trees === undefined
        ? null
        : { metaPage: other.pageNumber, segments: trees.otherRootSegments },
    keepersUnknown: lowerBound ?? otherRootUnknown(gathered),
  }
  const { debt, penalties } = gathered.files
  const state = buildState({ ...segmentsInput, debt, penalties, commitSeq })
  const opened =
    gathered.replayedSegments === null
      ? null
      : openedState({ ...segmentsInput, segments: gathered.replayedSegments }, state.segments, {
          fileSystem: scope.fileSystem,
          base: folder.base,
        })
  const info = infoOf(folder, gathered.detected ?? null)
  const attachment = {
    readAtMs: asked.nowMs,
    commitSeq,
    keyCount,
    liveBytesUnknown: lowerBound?.message ?? null,
    journalPending: journal.records,
    unsupported,
    problems: [...report.problems, ...scope.notes.list()],
  }
  return { report, state, opened, info, attachment }
}

async function gather(
  folder: FolderMap,
  index: IndexFile,
  scope: Scope,
  request: InspectRequest,
): Promise<Gathered> {
  const dictionaries = new DictionaryStore(scope.fileSystem, folder.root)
  try {
    return await gatherWith(dictionaries, { folder, index }, scope, request)
  } finally {
    dictionaries.close()
  }
}

async function gatherWith(
  dictionaries: DictionaryStore,
  opened: { folder: FolderMap; index: IndexFile },
  scope: Scope,
  request: InspectRequest,
): Promise<Gathered> {
  const { folder, index } = opened
  const files = readSmallFiles(folder, scope)
  const choice = chooseMeta(index, scope, (ref, kind) => {
    const reader = new RecordReader(scope.fileSystem, kind, folder.segments, dictionaries)
    try {
      return loggedLeaf(reader, kind, ref)
    } finally {
      reader.close()
    }
  })
  const detected = choice?.kind ?? detectKind(folder, scope.fileSystem)
  const kind = detected ?? 'ieee'
  const journal = await readJournals(folder.journals, kind, scope)
  const references = new References(folder.segments.map(({ segmentId }) => segmentId))
  const reader = new RecordReader(scope.fileSystem, kind, folder.segments, dictionaries)
  const walk = makeWalk(index, { kind, choice, reader }, scope)
  try {
    const trees =
      choice === undefined
        ? undefined
        : await readTrees(walk, choice, {
            references,
            reader,
            keys: request.keys === true,
            watched: request.replay === true ? journal.keys() : new Set(),
          })
    const dictionariesNeeded = new Map<bigint, number>()
    const segments = await readSegments(folder.segments, {
      ...scope,
      kind,
      references,
      journal,
      metadata: files.metadata,
      reader,
      verify: request.verify === true,
      dictionariesNeeded,
      progress: progressOver(folder, scope),
    })
    sayMissingDictionaries(dictionariesNeeded, dictionaries, scope)
    const mayReplay = (): boolean => canReplay(journal, files.commandLog, scope.problems)
    const recount = (by: MetaChoice): Promise<CountedSegment[]> =>
      countReplayed(
        folder,
        { walk: makeWalk(index, { kind, choice, reader }, scope), choice: by, journal },
        { ...scope, kind, reader, progress: progressOver(folder, scope) },
      )
    const isChanged = choice !== undefined && !journal.isEmpty
    const replayedSegments =
      request.opened !== true ? null : isChanged && mayReplay() ? await recount(choice) : segments
    const replayed = request.replay === true && trees !== undefined && mayReplay()
    if (replayed) replay(trees, journal, reader)
    const keyCount = trees?.keyCount ?? null
    return {
      folder,
      index,
      files,
      choice,
      detected,
      journal,
      references,
      walk,
      trees,
      segments,
      replayedSegments,
      keyCount,
      replayed,
      verified: request.verify === true,
    }
  } finally {
    reader.close()
  }
}

/** Bytes of the value log gone through, of all there are. */
function progressOver(folder: FolderMap, scope: Scope): (bytes: number) => void {
  const total = folder.segments.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  return (bytes) => scope.onProgress({ phase: 'value_log', done: (done += bytes), total })
}

/** Frames whose values nobody can read any more are damage even when no value was asked for. */
function sayMissingDictionaries(
  needed: ReadonlyMap<bigint, number>,
  dictionaries: DictionaryStore,
  scope: Scope,
): void {
  for (const [id, frames] of needed) {
    try {
      dictionaries.get(id)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      scope.problems.add(`${error.message} (needed by ${counted(frames, 'frame')})`)
    }
  }
}

function makeReport(gathered: Gathered, problems: string[], unsupported: string[]): InspectReport {
  const { choice, index, walk, trees, journal, files, references } = gathered
  const { keys, systemKeys } = trees ?? { keys: null, systemKeys: null }
  const { pagesNotRead, visited } = walk.counts
  return {
    checksum: gathered.detected ?? null,
    meta_page: choice?.pageNumber ?? null,
    meta: choice?.report ?? null,
    index: {
      file_bytes: index.bytes,
      pages: walk.pages,
      freelist_pages: trees?.freelistPages ?? [],
      free_ids: trees?.freeIds ?? [],
      visited: byName(visited),
      leaf_pages_in_log: references.leafRefs,
      ...(pagesNotRead > 0 ? { pages_not_read: pagesNotRead } : {}),
    },
    segments: gathered.segments,
    key_count: gathered.keyCount,
    ...(keys === null ? {} : { keys: byName(Object.fromEntries(keys)) }),
    ...(systemKeys === null ? {} : { system_keys: byName(Object.fromEntries(systemKeys)) }),
    commitlog: journal.files,
    commitlog_pending_records: journal.records,
    replayed: gathered.replayed,
    vlog_generation_state: files.stateJson,
    format_config: files.format,
    problems,
    ...(gathered.verified ? { verified: true } : {}),
    ...(unsupported.length > 0 ? { unsupported } : {}),
  }
}

/** What was met is less than there may be, and no number says by how much. */
function withoutReferences(segment: CountedSegment): InspectSegment {
  return {
    ...segment,
    live_bytes: null,
    stale_bytes: null,
    live_disk_bytes: null,
    referenced_records: null,
    referenced_disk_records: null,
    referencing_pointers: null,
    leaf_refs: null,
  }
}

/** The same in the order of names, so that two readings of one folder are the same text. */
function byName<T>(values: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function infoOf(folder: FolderMap, checksum: ChecksumKind | null): EngineInfo {
  return {
    dir: folder.root,
    layout: folder.layoutSeen,
    checksum,
    // A profile is a writer's choice and leaves no trace; a reader has nothing to lose.
    profile: 'durable',
    profileLoses: 'Nothing: the folder is only read.',
    readOnly: true,
    journalRecordsReplayed: 0,
    journalBatchesSkipped: 0,
    segmentBytes: null,
    options: resolveOptions({}).maintenance,
  }
}

// ---------------------------------------------------------------- index

function makeWalk(
  index: IndexFile,
  parts: { kind: ChecksumKind; choice: MetaChoice | undefined; reader: RecordReader },
  scope: Scope,
): Walk {
  const { kind, choice, reader } = parts
  const claimed = choice?.meta.totalPages ?? 0
  if (claimed > index.filePages) {
    scope.problems.add(`index.db holds ${index.filePages} pages, its meta page says ${claimed}`)
  }
  if (index.bytes % PAGE_BYTES !== 0) {
    scope.problems.add(`index.db has ${index.bytes} bytes, which is no whole number of pages`)
  }
  const pages = claimed > 0 ? Math.min(claimed, index.filePages) : index.filePages
  return {
    index,
    kind,
    pages,
    visited: new PageSet(),
    leavesVisited: new LeafRefSet(),
    scratch: newPage(),
    reader,
    counts: new WalkCounts(),
    slices: scope.slices,
    problems: scope.problems,
    unread: scope.unread,
    progress: (done) => scope.onProgress({ phase: 'index', done, total: pages }),
  }
}

/** Both meta pages as they are now: a writer's commit changes one of them. */
function metaBytesOf(index: IndexFile): Uint8Array {
  const bytes = new Uint8Array(2 * PAGE_BYTES)
  return bytes.subarray(0, index.handle.read(bytes, 0, bytes.length, 0))
}

/** Without a meta page, the first record of any segment tells which checksum the folder uses. */
function detectKind(folder: FolderMap, fileSystem: FileSystem): ChecksumKind | undefined {
  for (const kind of ['ieee', 'crc32c'] as const) {
    const reader = new RecordReader(fileSystem, kind, folder.segments)
    try {
      const isRight = folder.segments.some(({ segmentId }) => {
        try {
          return reader.record(segmentId, 0).start === 0
        } catch {
          return false
        }
      })
      if (isRight) return kind
    } finally {
      reader.close()
    }
  }
  return undefined
}

// ---------------------------------------------------------------- replay

function canReplay(journal: PendingJournal, commandLog: boolean, problems: Sentences): boolean {
  if (commandLog) problems.add('the journal was not replayed: the folder has a command log')
  if (journal.incomplete) {
    problems.add('the journal was not replayed: a part of it cannot be read')
  }
  const isClear = journal.duplicateRids === 0
  if (!isClear) problems.add('the journal was not replayed: which values it means cannot be told')
  return !commandLog && !journal.incomplete && isClear
}

/** Lays the journal over what the user tree holds. */
function replay(trees: TreesReading, journal: PendingJournal, reader: RecordReader): void {
  for (const [key, value] of journal.overlay()) {
    const wasThere = trees.watchedFound.has(key)
    const hex = Buffer.from(keyBytes(key)).toString('hex')
    if (value === null) {
      if (wasThere) trees.keyCount--
      trees.keys?.delete(hex)
      continue
    }
    if (!wasThere) trees.keyCount++
    trees.keys?.set(hex, asReplayed(describeValue(value, reader)))
  }
}

function asReplayed(key: InspectKey): InspectKey {
  return 'tombstone' in key ? key : { ...key, where: 'replayed' }
}

// ---------------------------------------------------------------- sentences

function sayWhatIsOdd(gathered: Gathered, scope: Scope): void {
  const { references, journal } = gathered
  for (const [segmentId, count] of [...references.missing].sort(([a], [b]) => a - b)) {
    scope.problems.add(
      `${segmentFileName(segmentId)} (segment ${segmentId}) is missing: ${counted(count, 'pointer')} into it`,
    )
  }
  sayQueuedMissing(gathered.files.debt.queue, gathered.folder, scope.problems)
  if (references.malformed > 0) {
    scope.problems.add(`${counted(references.malformed, 'value pointer')} with impossible bytes`)
  }
  if (journal.duplicateRids > 0) {
    const many = counted(journal.duplicateRids, 'pending record id')
    scope.problems.add(`${many} met twice: an opening for writing refuses the folder`)
  }
  if (journal.fencedBatches > 0) {
    scope.notes.add(
      `${counted(journal.fencedBatches, 'journal batch')} with a record id that no value log holds: a replay skips it whole`,
    )
  }
}

/** Why live bytes are not exact; null when they are. */
function lowerBoundOf({ choice, walk }: Gathered): Reason | null {
  if (choice === undefined) {
    const message = 'live bytes are not known: no tree could be read'
    return { code: 'ENGINE_CORRUPT', message }
  }
  const { damagedPages, pagesNotRead } = walk.counts
  if (pagesNotRead === 0) return null
  const were = pagesNotRead === 1 ? 'was' : 'were'
  return {
    code: damagedPages > 0 ? 'ENGINE_CORRUPT' : 'ENGINE_UNSUPPORTED',
    message: `live bytes are a lower bound: ${counted(pagesNotRead, 'index page')} and what hangs below ${were} not read`,
  }
}

function otherRootUnknown({ choice, trees }: Gathered): Reason | null {
  if (trees?.otherRootUnread !== true) return null
  const page = choice?.other?.pageNumber ?? 0
  const message = `the tree of meta page ${page} was not read in full and may name this segment`
  return { code: 'ENGINE_UNSUPPORTED', message }
}

interface Reason {
  code: EngineErrorCode
  message: string
}
