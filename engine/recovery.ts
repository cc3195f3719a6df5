/**
 * Opening a folder for writing: choose the tree, account every reference, replay the journal. Nothing
 * is written here except what makes the folder whole again after a crash; damage is an error with a
 * code, never a guess.
 */
import * as path from 'node:path'
import { byteSourceOf } from './byte-source.ts'
import type { ChecksumKind } from './checksum.ts'
import { JournalReader, type JournalBatch } from './commit-log/codec.ts'
import { EngineError, isCorruption } from './errors.ts'
import { readSmallFile, type FileSystem, type OpenFile } from './file-system.ts'
import type { FolderPaths } from './folder.ts'
import { isRecord, parseJson } from './inspect/folder.ts'
import { IndexFile, checkUsable, type ReadRootLeaf } from './inspect/meta-choice.ts'
import { parseJournalFileName, parseSegmentFileName, seqOf } from './ids.ts'
import { entryKey, entryStart, entryValue } from './index/leaf.ts'
import { isDurableMeta, readMetaPages, type MetaCandidate } from './index/meta.ts'
import type { PageStore } from './index/page-store.ts'
import { walkTree } from './index/tree.ts'
import type { KeyListRebuild } from './key-list-rebuild.ts'
import { PAGE_BYTES, makePage, newPage, pageCount, type Page } from './index/page.ts'
import { decodeMetadata, sealTimeOf, type Metadata } from './metadata.ts'
import { isGrouped, recordStart, type ValuePointer } from './value-pointer.ts'
import type { LoggedLeaves } from './value-log/logged-leaves.ts'
import { Segment } from './value-log/segment.ts'
import type { SegmentSet } from './value-log/segment-set.ts'
import type { Slicer } from './slicer.ts'
import type { SegmentId } from './types.ts'

const FORMAT_FILE = 'format.json'
/** Ours has a few hundred bytes; a larger one is not read for a list of words. */
const FORMAT_BYTES_MAX = 2 ** 20
/** Facts of 100,000 segments need less. */
const METADATA_BYTES_MAX = 2 ** 25

/**
 * A folder whose format.json requires features has state that this version would leave behind. The
 * file is a hint otherwise: absent or torn, it says nothing.
 */
export function refuseNewer(fileSystem: FileSystem, paths: FolderPaths): void {
  const file = path.join(paths.main, FORMAT_FILE)
  const stat = fileSystem.stat(file)
  if (stat?.isFile !== true || stat.size > FORMAT_BYTES_MAX) return
  const text = Buffer.from(fileSystem.readFile(file) ?? new Uint8Array(0)).toString('utf8')
  const format = parseJson(text)
  const required = isRecord(format) ? format['required_features'] : undefined
  if (!Array.isArray(required) || required.length === 0) return
  const names = required.slice(0, 5).map((name) => JSON.stringify(name))
  throw new EngineError(
    'ENGINE_UNSUPPORTED',
    `${file} requires ${names.join(', ')}, which this version does not write`,
  )
}

/** The checksum kind and the meta pages to try, best first. */
export function readMetas(
  index: OpenFile,
  where: string,
): { kind: ChecksumKind; candidates: MetaCandidate[] } {
  const pages = [0, 1].map((number) => {
    const page = newPage()
    index.read(page.bytes, 0, PAGE_BYTES, number * PAGE_BYTES)
    return makePage(page.bytes)
  }) as [Page, Page]
  const metas = readMetaPages(pages)
  if (metas !== undefined) return metas
  if (pages.some(isDurableMeta)) {
    throw new EngineError('ENGINE_UNSUPPORTED', `${where}: durable meta pages of a later version`)
  }
  throw new EngineError('ENGINE_CORRUPT', `${where}: both meta pages are damaged`)
}

/**
 * The meta page to go by: the newest of which roots and freelist head can be read, as for reading.
 * ENGINE_CORRUPT or ENGINE_SEGMENT_MISSING when there is none. What the file system refuses, and what this
 * version does not read, fails the opening at once: that tree may be whole.
 */
export function firstUsable(
  candidates: readonly MetaCandidate[],
  folder: { index: OpenFile; where: string; kind: ChecksumKind; readRootLeaf: ReadRootLeaf },
): MetaCandidate {
  const { where, kind, readRootLeaf } = folder
  const index = new IndexFile(folder.index)
  let failure: EngineError | undefined
  for (const candidate of candidates) {
    try {
      checkUsable(index, candidate.meta, kind, readRootLeaf)
      return candidate
    } catch (error) {
      if (!isCorruption(error) && !isMissingSegment(error)) throw error
      const why = `${where}: meta page ${candidate.pageNumber} was not taken: ${error.message}`
      failure ??= new EngineError(error.code, why, error)
    }
  }
  throw failure ?? new EngineError('ENGINE_CORRUPT', `${where}: no meta page`)
}

function isMissingSegment(error: unknown): error is EngineError {
  return error instanceof EngineError && error.code === 'ENGINE_SEGMENT_MISSING'
}

export function readMetadata(fileSystem: FileSystem, paths: FolderPaths): Metadata | undefined {
  const bytes = readSmallFile(fileSystem, paths.metadata, METADATA_BYTES_MAX)
  return bytes === undefined ? undefined : decodeMetadata(Buffer.from(bytes).toString('utf8'))
}

/** Opens every value segment of the folder as sealed. Returns the highest sequence number, 0 if none. */
export function openSegments(
  fileSystem: FileSystem,
  paths: FolderPaths,
  into: { set: SegmentSet; metadata: Metadata | undefined; nowMs: number },
): number {
  let highest = 0
  for (const folder of paths.segmentFolders) {
    if (fileSystem.stat(folder.absolute)?.isDirectory !== true) continue
    for (const name of (fileSystem.list(folder.absolute) ?? []).sort()) {
      const id = parseSegmentFileName(name)
      if (id === undefined) continue
      highest = Math.max(highest, seqOf(id))
      if (into.set.get(id) !== undefined) continue
      const place = { file: path.join(folder.absolute, name), name: `${folder.name}/${name}` }
      into.set.add(openSegment(fileSystem, { id, ...place }, into))
    }
  }
  return highest
}

function openSegment(
  fileSystem: FileSystem,
  found: { id: SegmentId; file: string; name: string },
  { metadata, nowMs }: { metadata: Metadata | undefined; nowMs: number },
): Segment {
  const { id, file, name } = found
  const stat = fileSystem.stat(file)
  if (stat?.isFile !== true)
    throw new EngineError('ENGINE_CORRUPT', `${file} is not a regular file`)
  const known = metadata?.segments.get(id)
  return new Segment({
    id,
    file: fileSystem.open(file, 'read'),
    name,
    origin: known?.origin ?? 'unknown',
    times: {
      createdAtMs: known?.createdAtMs ?? null,
      ...sealTimeOf(known, stat.mtimeMs, nowMs),
    },
    state: 'sealed',
    firstSeq: 0,
    leftByCrash: known?.isWhole !== true,
  })
}

/** Record starts of plain records met so far, by segment: over all trees of one accounting. */
export type PlainSeen = Map<number, Set<number>>

/** Counts every pointer and leaf ref of a tree into the segments' live bytes. Visits each page once. */
export async function accountTree(
  pages: PageStore,
  root: number,
  into: {
    set: SegmentSet
    keyLists: KeyListRebuild
    leaves: LoggedLeaves
    reachable: Set<number>
    plainSeen: PlainSeen
    slicer: Slicer
  },
): Promise<number> {
  const { plainSeen } = into
  let keys = 0
  const acquire = (pointer: ValuePointer): void => {
    const segment = into.set.need(pointer)
    if (isGrouped(pointer)) {
      segment.acquire(pointer)
      return
    }
    let seen = plainSeen.get(pointer.segmentId)
    if (seen === undefined) plainSeen.set(pointer.segmentId, (seen = new Set()))
    // Two keys may share one plain record in a foreign folder; it lives until both are gone.
    if (seen.has(recordStart(pointer))) segment.share(pointer)
    else segment.acquire(pointer)
    seen.add(recordStart(pointer))
  }
  await into.slicer.run(
    walkTree(pages, root, {
      page: (id) => {
        const leaf = pages.loggedLeaf(id)
        if (leaf === undefined) into.reachable.add(id)
        else acquire(into.leaves.pointer(leaf))
      },
      leaf: (page) => {
        const count = pageCount(page)
        keys += count
        for (let i = 0; i < count; i++) {
          const start = entryStart(page, i)
          const value = entryValue(page, start)
          if (value.kind !== 'pointer') continue
          acquire(value.pointer)
          into.keyLists.add(value.pointer, entryKey(page, start))
        }
      },
    }),
  )
  return keys
}

export interface JournalFiles {
  files: string[]
  batches: JournalBatch[]
  /** Of the next file. */
  nextSeq: number
  /** Some batch of a file is older than one of a file before it, so that deletion has no safe order. */
  interleaved: boolean
}

/** All complete batches of all journal files, in replay order. */
export function readJournals(
  fileSystem: FileSystem,
  folder: string,
  kind: ChecksumKind,
): JournalFiles {
  const found = (fileSystem.list(folder) ?? [])
    .map((name) => ({ name, parsed: parseJournalFileName(name) }))
    .filter(
      (f): f is { name: string; parsed: { lane: number; seq: number } } => f.parsed !== undefined,
    )
    .sort((a, b) => a.parsed.lane - b.parsed.lane || a.parsed.seq - b.parsed.seq)
  const batches: JournalBatch[] = []
  const files: string[] = []
  let nextSeq = 1
  for (const { name, parsed } of found) {
    const file = path.join(folder, name)
    files.push(file)
    nextSeq = Math.max(nextSeq, parsed.seq + 1)
    const handle = fileSystem.open(file, 'read')
    try {
      const reader = new JournalReader(byteSourceOf(handle), kind, file)
      for (let b = reader.next(); b !== undefined; b = reader.next()) batches.push(b)
    } finally {
      handle.close()
    }
  }
  const isOlder = (batch: JournalBatch, i: number): boolean =>
    batch.seq < (batches[i - 1]?.seq ?? 0)
  const interleaved = files.length > 1 && batches.some(isOlder)
  // Array sort is stable: batches without a number come first, in read order.
  batches.sort((a, b) => a.seq - b.seq)
  return { files, batches, nextSeq, interleaved }
}
