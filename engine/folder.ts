/**
 * Where things are in a data folder (format.md section 1), and making a new one. Split layout for new
 * folders: `maindb/index.db`, `maindb/value_vlog/`, `maindb/wal/`, state file at the root. An older
 * folder keeps its value log in `maindb/wal/` and its state file in `maindb/`.
 */
import * as path from 'node:path'
import { EngineError } from './errors.ts'
import { replaceFile, type FileSystem } from './file-system.ts'
import { indexFileName } from './index-swap.ts'
import { EntryRun } from './index/leaf.ts'
import { encodeMeta, type Meta } from './index/meta.ts'
import { INDEX_CHUNK_BYTES } from './index/page-store.ts'
import { PAGE_BYTES } from './index/page.ts'
import { METADATA_FILE } from './metadata.ts'
import { RECORDING_FOLDER } from './recording/codec.ts'

export interface FolderPaths {
  /** The store's folder. */
  root: string
  /** Folder of index.db. */
  main: string
  index: string
  layout: 'split' | 'wal'
  /** Folder new value segments go to, and its name relative to `root`. */
  values: string
  valuesName: string
  /** Folders that may hold value segments, with their names relative to `root`; the first wins an id. */
  segmentFolders: { absolute: string; name: string }[]
  journal: string
  lock: string
  metadata: string
  /** Key lists of sealed segments. */
  keys: string
  state: string
  /** Where a folder of the other layout has its state file; null when that is the same place. */
  otherState: string | null
  /** Recorded events. */
  trace: string
}

export const STATE_FILE = 'vlog_generation_state.json'
export const LOCK_FILE = 'LOCK'

/** Folder of index.db, below the root. */
const MAIN_FOLDER = 'maindb'

/**
 * The root of the store that `dir` names, absolute: `dir` itself, or the folder around it when `dir` is
 * the maindb of one. State file, recording and dictionaries lie there. A maindb reached by a link of its
 * own is a root.
 */
export function storeRoot(fileSystem: FileSystem, dir: string): string {
  const given = path.resolve(dir)
  const isMain = (folder: string): boolean =>
    path.basename(folder) === MAIN_FOLDER &&
    fileSystem.stat(folder)?.isDirectory === true &&
    indexFileName(fileSystem, folder) !== undefined
  return isMain(given) && !isMain(path.join(given, MAIN_FOLDER)) ? path.dirname(given) : given
}

/** Paths of an existing folder; undefined when it holds no index.db and no half-done swap of one. */
export function locateFolder(fileSystem: FileSystem, dir: string): FolderPaths | undefined {
  const root = storeRoot(fileSystem, dir)
  for (const main of [path.join(root, MAIN_FOLDER), root]) {
    // Links below the given folder are not followed: one could lead to somebody else's data.
    if (main !== root && fileSystem.stat(main)?.isDirectory !== true) continue
    if (indexFileName(fileSystem, main) === undefined) continue
    const split = fileSystem.stat(path.join(main, 'value_vlog'))?.isDirectory === true
    return pathsOf(root, main, split ? 'split' : 'wal')
  }
  return undefined
}

/**
 * The file that holds a data folder's index, also after a crash in the middle of an offline rewrite's
 * swap; undefined when `dir` is no data folder. What an opening for writing goes by.
 */
export function findIndex(fileSystem: FileSystem, dir: string): string | undefined {
  const main = locateFolder(fileSystem, dir)?.main
  const name = main === undefined ? undefined : indexFileName(fileSystem, main)
  return main === undefined || name === undefined ? undefined : path.join(main, name)
}

/** Later ones first: where two files claim one id, the split layout's is the living one. */
const SEGMENT_FOLDERS = ['value_vlog', 'wal', 'leaf_vlog'] as const

function pathsOf(root: string, main: string, layout: 'split' | 'wal'): FolderPaths {
  const values = path.join(main, layout === 'split' ? 'value_vlog' : 'wal')
  const nameOf = (folder: string): string => path.relative(root, folder).split(path.sep).join('/')
  const segmentFolders = SEGMENT_FOLDERS.map((name) => path.join(main, name))
  const [stateFolder, otherFolder] = layout === 'split' ? [root, main] : [main, root]
  return {
    root,
    main,
    index: path.join(main, 'index.db'),
    layout,
    values,
    valuesName: nameOf(values),
    segmentFolders: segmentFolders.map((absolute) => ({ absolute, name: nameOf(absolute) })),
    journal: path.join(main, 'wal'),
    lock: path.join(main, LOCK_FILE),
    metadata: path.join(main, METADATA_FILE),
    keys: path.join(main, 'restage_keys'),
    state: path.join(stateFolder, STATE_FILE),
    otherState: root === main ? null : path.join(otherFolder, STATE_FILE),
    trace: path.join(root, RECORDING_FOLDER),
  }
}

/** ENGINE_CORRUPT when something other than a folder stands where the store reads, writes or deletes files. */
export function refuseLinks(fileSystem: FileSystem, paths: FolderPaths): void {
  const folders = paths.segmentFolders.map(({ absolute }) => absolute)
  for (const folder of [paths.main, ...folders, paths.keys]) {
    const stat = fileSystem.stat(folder)
    if (stat === undefined || stat.isDirectory || folder === paths.root) continue
    const what = stat.isSymbolicLink ? 'a symbolic link, which is not followed' : 'no folder'
    throw new EngineError('ENGINE_CORRUPT', `${folder} is ${what}`)
  }
}

/** What `maindb` may hold when making it was cut short before index.db came. */
const LEFT_BY_A_CRASH: ReadonlySet<string> = new Set([
  LOCK_FILE,
  'wal',
  'value_vlog',
  'format.json',
  'format.json.tmp',
  'index.db.tmp',
])

/**
 * Makes the folders of a new store; index.db comes last, in `createIndex`, once the lock is held.
 * Refuses a folder that holds anything else: it may be somebody's data that we do not understand.
 */
export async function createFolders(fileSystem: FileSystem, dir: string): Promise<FolderPaths> {
  const root = path.resolve(dir)
  const paths = pathsOf(root, path.join(root, MAIN_FOLDER), 'split')
  const found = fileSystem.list(root) ?? []
  const strangers = found.filter((name) => name !== MAIN_FOLDER)
  if (found.includes(MAIN_FOLDER) && fileSystem.stat(paths.main)?.isDirectory !== true) {
    throw new EngineError('ENGINE_NOT_A_FOLDER', `${paths.main} is no folder: not a data folder`)
  }
  const inMain = fileSystem.list(paths.main) ?? []
  strangers.push(...inMain.filter((name) => !LEFT_BY_A_CRASH.has(name)))
  for (const folder of [paths.values, paths.journal])
    strangers.push(...(fileSystem.list(folder) ?? []))
  if (strangers.length > 0) {
    throw new EngineError(
      'ENGINE_NOT_A_FOLDER',
      `${root} has no index.db and is not empty (${strangers.slice(0, 3).join(', ')}): not a data folder`,
    )
  }
  // Every folder made here is an entry of its parent that must survive a power cut, too.
  const parents = new Set<string>([root, paths.main])
  for (let made = root; fileSystem.stat(made) === undefined; made = path.dirname(made)) {
    parents.add(path.dirname(made))
  }
  parents.add(path.dirname(root))
  refuseLinks(fileSystem, paths)
  for (const folder of [paths.main, paths.values, paths.journal]) fileSystem.makeFolder(folder)
  for (const folder of parents) await fileSystem.syncFolder(folder)
  return paths
}

const FIRST_META: Meta = {
  commitSeq: 0,
  userRoot: 2,
  systemRoot: 3,
  freelistHead: 0,
  totalPages: 4,
  activeSlabId: 0,
  activeSlabTail: 0,
  lastCommitHeight: 0,
}

/** An empty store: two metas, an empty user leaf, an empty system leaf. Appears whole or not at all. */
export async function createIndex(fileSystem: FileSystem, paths: FolderPaths): Promise<void> {
  const bytes = new Uint8Array(INDEX_CHUNK_BYTES)
  bytes.set(encodeMeta(FIRST_META, 0, 'ieee').bytes, 0)
  bytes.set(encodeMeta(FIRST_META, 1, 'ieee').bytes, PAGE_BYTES)
  for (const id of [FIRST_META.userRoot, FIRST_META.systemRoot]) {
    bytes.set(new EntryRun().layOut(0, 0, id, 'ieee').bytes, id * PAGE_BYTES)
  }
  const format = {
    version: 2,
    index_outer_leaves_in_vlog: false,
    leaf_prefix_compression: false,
    index_columnar_leaves: false,
    index_packed_valueptr: false,
    index_internal_base_delta: false,
    index_adaptive_leaf_encoding: false,
    vlog_compression: 'block',
    vlog_block_codec: 'lz4',
    vlog_auto_policy: 'balanced',
  }
  await replaceFile(
    fileSystem,
    path.join(paths.main, 'format.json'),
    Buffer.from(`${JSON.stringify(format, null, 2)}\n`),
  )
  await replaceFile(fileSystem, paths.index, bytes)
}
