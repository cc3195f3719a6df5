/**
 * What lies in a data folder: where its index is, which value-log and journal files it has, its
 * small JSON files. Never follows a symbolic link below the given folder, never opens anything but
 * regular files, never writes.
 */
import * as path from 'node:path'
import { EngineError } from '../errors.ts'
import { INDEX_FILE, indexFileName } from '../index-swap.ts'
import type { FileStat, FileSystem, OpenFile } from '../file-system.ts'
import { laneOf, parseJournalFileName, parseSegmentFileName, segmentFileName } from '../ids.ts'
import { METADATA_FILE, decodeMetadata, type Metadata } from '../metadata.ts'
import type { SegmentId } from '../types.ts'
import { errorText, type Sentences, type UnreadFeatures } from './findings.ts'

/** State of 100,000 queued segments needs less; a larger file is not one of ours. */
const JSON_BYTES_MAX = 2 ** 24

/** Later folders first: where two files claim one id, the split layout's is the living one. */
const SEGMENT_FOLDERS = ['value_vlog', 'wal', 'leaf_vlog'] as const

export interface SegmentFile {
  segmentId: SegmentId
  /** Relative to the folder of index.db. */
  file: string
  absolute: string
  bytes: number
  mtimeMs: number
  /** Highest sequence number of its lane: what a writer would still append to. */
  isHead: boolean
}

export interface JournalFile {
  file: string
  absolute: string
  /** When the folder was listed. */
  bytes: number
}

export interface FolderMap {
  root: string
  /** Folder of index.db: `<root>/maindb`, or the root itself. */
  base: string
  /** The file of the index. */
  index: string
  /** 'maindb/' or '': from root-relative to base-relative names. */
  prefix: string
  /** Without any folder of values: as the older one, where both would look for them. */
  layout: 'split' | 'wal'
  /** null: neither layout's folder of values is there. */
  layoutSeen: 'split' | 'wal' | null
  /** Ascending by id. */
  segments: SegmentFile[]
  /** By lane, then sequence. */
  journals: JournalFile[]
}

export interface FolderScope {
  fileSystem: FileSystem
  problems: Sentences
  unread: UnreadFeatures
}

/** ENGINE_NOT_A_FOLDER when neither place has an index.db. */
export function mapFolder(root: string, scope: FolderScope): FolderMap {
  const { base, prefix, index } = findBase(root, scope)
  const isSplit = statOf(path.join(base, 'value_vlog'), scope)?.isDirectory === true
  const isWal = statOf(path.join(base, 'wal'), scope)?.isDirectory === true
  if (statOf(path.join(base, 'column_assets'), scope)?.isDirectory === true) {
    scope.unread.add('column assets (column_assets)', 'folder')
  }
  if (statOf(path.join(root, 'templatedb'), scope)?.isDirectory === true) {
    scope.unread.add('template store (templatedb)', 'folder')
  }
  return {
    root,
    base,
    prefix,
    index: path.join(base, index),
    layout: isSplit ? 'split' : 'wal',
    layoutSeen: isSplit ? 'split' : isWal ? 'wal' : null,
    segments: listSegments(base, scope),
    journals: listJournals(base, scope),
  }
}

/** The index, also in the middle of a swap; which file it is then is a problem worth a sentence. */
function indexIn(base: string, scope: FolderScope): string | undefined {
  try {
    const name = indexFileName(scope.fileSystem, base)
    if (name !== undefined && name !== INDEX_FILE) {
      scope.problems.add(
        `an offline rewrite was cut short: ${name} was read, which the next opening for writing makes ${INDEX_FILE}`,
      )
    }
    return name
  } catch (error) {
    scope.problems.add(`${INDEX_FILE} cannot be looked at: ${errorText(error)}`)
    return undefined
  }
}

function findBase(
  root: string,
  scope: FolderScope,
): { base: string; prefix: string; index: string } {
  const links: string[] = []
  for (const name of ['maindb', '']) {
    const prefix = name === '' ? '' : `${name}/`
    // Without a trailing slash: with one, lstat would follow a link.
    const base = name === '' ? root : path.join(root, name)
    const stat = statOf(base, scope)
    if (name !== '' && stat?.isSymbolicLink === true) links.push(name)
    if (name !== '' && stat?.isDirectory !== true) continue
    const index = indexIn(base, scope)
    if (index !== undefined) return { base, prefix, index }
    const stranger = statOf(path.join(base, INDEX_FILE), scope)
    if (stranger?.isSymbolicLink === true) links.push(`${prefix}${INDEX_FILE}`)
  }
  const hint = links.length > 0 ? `; ${links.join(' and ')} is a symbolic link, not followed` : ''
  throw new EngineError(
    'ENGINE_NOT_A_FOLDER',
    `${root} has no maindb/index.db and no index.db${hint}`,
  )
}

/** lstat; what cannot be looked at is a problem and counts as absent. */
function statOf(file: string, scope: FolderScope): FileStat | undefined {
  try {
    return scope.fileSystem.stat(file)
  } catch (error) {
    scope.problems.add(`${path.basename(file)} cannot be looked at: ${errorText(error)}`)
    return undefined
  }
}

interface FoundFile {
  name: string
  file: string
  absolute: string
  stat: FileStat
}

/** Regular files of one folder below the base; links and other things with a wanted name are problems. */
function listFiles(
  base: string,
  folder: string,
  isWanted: (name: string) => boolean,
  scope: FolderScope,
): FoundFile[] {
  const absoluteFolder = path.join(base, folder)
  const folderStat = statOf(absoluteFolder, scope)
  if (folderStat === undefined) return []
  if (!folderStat.isDirectory) {
    const what = folderStat.isSymbolicLink ? 'a symbolic link, not followed' : 'no folder'
    scope.problems.add(`${folder} is ${what}`)
    return []
  }
  let names: string[]
  try {
    names = scope.fileSystem.list(absoluteFolder) ?? []
  } catch (error) {
    scope.problems.add(`${folder} cannot be listed: ${errorText(error)}`)
    return []
  }
  const found: FoundFile[] = []
  for (const name of names.filter(isWanted).sort()) {
    const file = `${folder}/${name}`
    const absolute = path.join(absoluteFolder, name)
    const stat = statOf(absolute, scope)
    if (stat === undefined) continue
    if (stat.isSymbolicLink) scope.problems.add(`${file} is a symbolic link, not followed`)
    else if (!stat.isFile) scope.problems.add(`${file} is not a regular file`)
    else found.push({ name, file, absolute, stat })
  }
  return found
}

function listSegments(base: string, scope: FolderScope): SegmentFile[] {
  const byId = new Map<SegmentId, SegmentFile>()
  for (const folder of SEGMENT_FOLDERS) {
    const files = listFiles(base, folder, (name) => parseSegmentFileName(name) !== undefined, scope)
    for (const { name, file, absolute, stat } of files) {
      const segmentId = parseSegmentFileName(name)
      if (segmentId === undefined) continue
      const other = byId.get(segmentId)
      if (other !== undefined && !isBetterName(other, file)) {
        scope.problems.add(`${file} has the same segment id as ${other.file}; it was not read`)
        continue
      }
      if (other !== undefined) {
        scope.problems.add(`${other.file} has the same segment id as ${file}; it was not read`)
      }
      const { size, mtimeMs } = stat
      byId.set(segmentId, { segmentId, file, absolute, bytes: size, mtimeMs, isHead: false })
    }
  }
  const segments = [...byId.values()].sort((a, b) => a.segmentId - b.segmentId)
  segments.forEach((segment, i) => {
    const next = segments[i + 1]
    segment.isHead = next === undefined || laneOf(next.segmentId) !== laneOf(segment.segmentId)
  })
  return segments
}

/** Of two names for one id in the same folder, the canonical one. */
function isBetterName(other: SegmentFile, file: string): boolean {
  const canonical = segmentFileName(other.segmentId)
  const sameFolder = path.posix.dirname(other.file) === path.posix.dirname(file)
  return sameFolder && path.posix.basename(file) === canonical
}

function listJournals(base: string, scope: FolderScope): JournalFile[] {
  const files = listFiles(base, 'wal', (name) => parseJournalFileName(name) !== undefined, scope)
  return files
    .map(({ name, file, absolute, stat }) => ({
      ...parseJournalFileName(name),
      file,
      absolute,
      bytes: stat.size,
    }))
    .sort((a, b) => (a.lane ?? 0) - (b.lane ?? 0) || (a.seq ?? 0) - (b.seq ?? 0))
    .map(({ file, absolute, bytes }) => ({ file, absolute, bytes }))
}

/** Opens for reading; undefined and a problem sentence when the file system refuses. */
export function openForReading(
  absolute: string,
  file: string,
  scope: FolderScope,
): OpenFile | undefined {
  try {
    return scope.fileSystem.open(absolute, 'read')
  } catch (error) {
    scope.problems.add(`${file} cannot be opened: ${errorText(error)}`)
    return undefined
  }
}

// ---------------------------------------------------------------- small files

/** Text of a small regular file; undefined when absent, or with a problem sentence. */
export function readSmallFile(
  absolute: string,
  name: string,
  scope: FolderScope,
): string | undefined {
  const stat = statOf(absolute, scope)
  if (stat === undefined) return undefined
  if (!stat.isFile) {
    scope.problems.add(
      stat.isSymbolicLink ? `${name} is a symbolic link, not followed` : `${name} is no file`,
    )
    return undefined
  }
  if (stat.size > JSON_BYTES_MAX) {
    scope.problems.add(`${name} has ${stat.size} bytes, more than ${JSON_BYTES_MAX}; not read`)
    return undefined
  }
  const handle = openForReading(absolute, name, scope)
  if (handle === undefined) return undefined
  try {
    const bytes = new Uint8Array(stat.size)
    const read = handle.read(bytes, 0, bytes.length, 0)
    return new TextDecoder().decode(bytes.subarray(0, read))
  } catch (error) {
    scope.problems.add(`${name} cannot be read: ${errorText(error)}`)
    return undefined
  } finally {
    handle.close()
  }
}

/** Parsed JSON; null when there is none or it is torn. */
export function parseJson(text: string | undefined): unknown {
  if (text === undefined) return null
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Times and origins from our own metadata file, which travel with a copied folder while mtimes do
 * not (X5). A segment without an entry, or any segment of a foreign folder, falls back to its mtime.
 */
export function readMetadata(base: string, scope: FolderScope): Metadata | undefined {
  const text = readSmallFile(path.join(base, METADATA_FILE), METADATA_FILE, scope)
  if (text === undefined) return undefined
  const metadata = decodeMetadata(text)
  if (metadata === undefined) {
    scope.problems.add(`${METADATA_FILE} is torn or foreign: ages come from file times`)
  }
  return metadata
}
