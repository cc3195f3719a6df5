/**
 * A file system that can fail and that knows what a power cut would leave. Calls go through to real
 * files, so the engine runs as always; beside them it keeps, for each file and folder, what is
 * durable and what was done since the last sync.
 *
 *   process(): what one process sees. `kill()` ends it: its calls fail from then on, its locks go,
 *     the files stay as they are.
 *   failAt: the n-th call of all processes fails, once, with `errno`. A failing write leaves half of
 *     its bytes; a failing sync forgets which bytes it was about, as kernels do: no later sync
 *     makes them durable.
 *   powerCut(to, mode): writes the folder as the next power-up would find it.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError, ioError } from '../../engine/errors.ts'
import {
  nodeFileSystem,
  type FileSystem,
  type FolderLock,
  type OpenFile,
} from '../../engine/file-system.ts'
import type { Random } from './random.ts'

/** A broken disk, a full one, a process with too many open files. */
export type Errno = 'EIO' | 'ENOSPC' | 'EMFILE'

export type FileCall =
  | 'open'
  | 'stat'
  | 'list'
  | 'makeFolder'
  | 'rename'
  | 'unlink'
  | 'syncFolder'
  | 'readFile'
  | 'lock'
  | 'read'
  | 'write'
  | 'size'
  | 'truncate'
  | 'sync'

/**
 * lost: nothing that was not synced survives. kept: all of it does. prefix: the first some operations
 * of each file and folder do, the last of them torn. mixed: each sector of 512 bytes holds what some
 * write left there, none, an early or the last one, as a cache writes back in any order.
 */
export type CutMode = 'lost' | 'kept' | 'prefix' | 'mixed'

type Change = { at: number; bytes: Uint8Array } | { truncate: number }

interface FileNode {
  kind: 'file'
  durable: Buffer
  pending: Change[]
}

type EntryChange = { name: string; node: Node | null }[]

interface FolderNode {
  kind: 'folder'
  durable: Map<string, Node>
  current: Map<string, Node>
  /** Each is one operation; a rename is one that changes two names. */
  pending: EntryChange[]
}

type Node = FileNode | FolderNode

const SECTOR_BYTES = 512

export class FaultFileSystem {
  readonly root: string
  calls = 0
  /** Number of the call that fails, from 1; 0 = none. */
  failAt = 0
  errno: Errno = 'EIO'
  /** What the failing call was. */
  failed: { call: FileCall; path: string } | null = null
  /** Runs before each call takes effect. */
  onCall: (call: FileCall, file: string) => void = () => undefined
  readonly #top: FolderNode
  readonly #locks = new Set<string>()

  /** `root` exists and is durable with all that is in it. */
  constructor(root: string) {
    this.root = root
    this.#top = adopt(root)
  }

  process(): { fileSystem: FileSystem; kill: () => void } {
    const process = { dead: false, locks: new Set<string>(), handles: new Set<OpenFile>() }
    const enter = (call: FileCall, file: string): void => {
      if (process.dead) throw ioError(`${call} ${file}`, new Error('the process is dead'))
      this.calls++
      this.onCall(call, file)
      if (this.calls !== this.failAt) return
      this.failed = { call, path: file }
      throw ioError(`cannot ${call} ${file}`, errnoError(this.errno, call))
    }
    const fileSystem: FileSystem = {
      open: (file, mode) => {
        enter('open', file)
        const existed = this.#find(file) !== undefined
        const real = nodeFileSystem.open(file, mode)
        if (!existed) this.#enterName(file, { kind: 'file', durable: Buffer.alloc(0), pending: [] })
        process.handles.add(real)
        return this.#handle(real, enter)
      },
      stat: (file) => {
        enter('stat', file)
        return nodeFileSystem.stat(file)
      },
      list: (folder) => {
        enter('list', folder)
        return nodeFileSystem.list(folder)
      },
      makeFolder: (folder) => {
        enter('makeFolder', folder)
        nodeFileSystem.makeFolder(folder)
        this.#makeFolders(folder)
      },
      rename: async (from, to) => {
        enter('rename', from)
        await turn()
        await nodeFileSystem.rename(from, to)
        this.#rename(from, to)
      },
      unlink: async (file) => {
        enter('unlink', file)
        await turn()
        await nodeFileSystem.unlink(file)
        if (this.#find(file) !== undefined) this.#enterName(file, null)
      },
      syncFolder: async (folder) => {
        enter('syncFolder', folder)
        const node = this.#find(folder)
        const taken = node?.kind === 'folder' ? node.pending.length : 0
        await turn()
        if (node?.kind !== 'folder') return
        for (const change of node.pending.splice(0, taken)) applyEntries(node.durable, change)
      },
      readFile: (file) => {
        enter('readFile', file)
        return nodeFileSystem.readFile(file)
      },
      lock: (file) => {
        enter('lock', file)
        return this.#lock(file, process.locks)
      },
    }
    const kill = (): void => {
      process.dead = true
      for (const lock of process.locks) this.#locks.delete(lock)
      for (const handle of process.handles) handle.close()
    }
    return { fileSystem, kill }
  }

  /** The folder at `root` after a power cut now, written to the empty folder `to`. */
  powerCut(to: string, mode: CutMode, random: Random): string {
    writeFolder(this.#top, to, mode, random)
    return to
  }

  #handle(real: OpenFile, enter: (call: FileCall, file: string) => void): OpenFile {
    const node = this.#find(real.path)
    if (node?.kind !== 'file') throw new Error(`${real.path} is not a known file`)
    const change = (call: FileCall, work: () => void, onFailure = (): void => undefined): void => {
      try {
        enter(call, real.path)
      } catch (error) {
        if (this.failed?.path === real.path) onFailure()
        throw error
      }
      work()
    }
    const write = (buffer: Uint8Array, offset: number, length: number, at: number): void => {
      real.write(buffer, offset, length, at)
      node.pending.push({ at, bytes: Uint8Array.from(buffer.subarray(offset, offset + length)) })
    }
    return {
      path: real.path,
      read: (buffer, offset, length, position) => {
        enter('read', real.path)
        return real.read(buffer, offset, length, position)
      },
      size: () => {
        enter('size', real.path)
        return real.size()
      },
      write: (buffer, offset, length, position) =>
        change(
          'write',
          () => write(buffer, offset, length, position),
          () => write(buffer, offset, length >>> 1, position),
        ),
      truncate: (length) =>
        change('truncate', () => {
          real.truncate(length)
          node.pending.push({ truncate: length })
        }),
      sync: async () => {
        const taken = node.pending.length
        try {
          enter('sync', real.path)
        } catch (error) {
          // The pages are clean now and never were written.
          node.pending.splice(0, taken)
          throw error
        }
        await turn()
        node.durable = node.pending.splice(0, taken).reduce(applyChange, node.durable)
      },
      close: () => real.close(),
    }
  }

  #lock(file: string, held: Set<string>): FolderLock {
    if (this.#locks.has(file)) {
      throw new EngineError('ENGINE_LOCKED', `${file} is held by another process`)
    }
    if (this.#find(file) === undefined) {
      fs.writeFileSync(file, '')
      this.#enterName(file, { kind: 'file', durable: Buffer.alloc(0), pending: [] })
    }
    this.#locks.add(file)
    held.add(file)
    return {
      release: () => {
        if (held.delete(file)) this.#locks.delete(file)
      },
    }
  }

  /** undefined outside of the root, and where nothing is. */
  #find(file: string): Node | undefined {
    const relative = path.relative(this.root, file)
    if (relative.startsWith('..')) return undefined
    let node: Node | undefined = this.#top
    for (const part of relative.split(path.sep).filter((p) => p !== '')) {
      if (node?.kind !== 'folder') return undefined
      node = node.current.get(part)
    }
    return node
  }

  #folderOf(file: string): FolderNode {
    const folder = this.#find(path.dirname(file))
    if (folder?.kind !== 'folder') throw new Error(`no folder for ${file}`)
    return folder
  }

  #enterName(file: string, node: Node | null): void {
    const change = [{ name: path.basename(file), node }]
    const folder = this.#folderOf(file)
    applyEntries(folder.current, change)
    folder.pending.push(change)
  }

  #rename(from: string, to: string): void {
    const folder = this.#folderOf(from)
    const node = this.#find(from)
    if (folder !== this.#folderOf(to) || node === undefined) throw new Error(`rename of ${from}`)
    const change = [
      { name: path.basename(to), node },
      { name: path.basename(from), node: null },
    ]
    applyEntries(folder.current, change)
    folder.pending.push(change)
  }

  #makeFolders(folder: string): void {
    if (this.#find(folder) !== undefined || !folder.startsWith(this.root)) return
    this.#makeFolders(path.dirname(folder))
    this.#enterName(folder, {
      kind: 'folder',
      durable: new Map(),
      current: new Map(),
      pending: [],
    })
  }
}

function adopt(folder: string): FolderNode {
  const durable = new Map<string, Node>()
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    durable.set(
      entry.name,
      entry.isDirectory()
        ? adopt(file)
        : { kind: 'file', durable: fs.readFileSync(file), pending: [] },
    )
  }
  return { kind: 'folder', durable, current: new Map(durable), pending: [] }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function errnoError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}: injected, ${syscall}`), { code, syscall })
}

function applyEntries(entries: Map<string, Node>, change: EntryChange): void {
  for (const { name, node } of change) {
    if (node === null) entries.delete(name)
    else entries.set(name, node)
  }
}

function applyChange(content: Buffer, change: Change): Buffer {
  if ('truncate' in change) return resized(content, change.truncate)
  const wide = resized(content, Math.max(content.length, change.at + change.bytes.length))
  wide.set(change.bytes, change.at)
  return wide
}

/** A copy: cut, or filled up with zeros. */
function resized(content: Buffer, length: number): Buffer {
  const copy = Buffer.alloc(length)
  content.copy(copy, 0, 0, Math.min(content.length, length))
  return copy
}

function survivors<T>(pending: readonly T[], mode: CutMode, random: Random): T[] {
  switch (mode) {
    case 'lost':
      return []
    case 'kept':
      return [...pending]
    case 'prefix':
      return pending.slice(0, random.between(0, pending.length))
    case 'mixed':
      return pending.filter(() => random.chance(0.5))
  }
}

function survivingBytes(file: FileNode, mode: CutMode, random: Random): Buffer {
  if (mode === 'mixed') return mixedSectors(file, random)
  const kept = survivors(file.pending, mode, random)
  const last = kept[kept.length - 1]
  if (mode === 'prefix' && last !== undefined && 'bytes' in last) {
    const bytes = last.bytes.subarray(0, random.between(0, last.bytes.length))
    kept[kept.length - 1] = { at: last.at, bytes }
  }
  return kept.reduce(applyChange, file.durable)
}

/**
 * Each sector as it was after some of the writes, whichever the system had written back last; the
 * length after some other. A sector that never came is zeros.
 */
function mixedSectors(file: FileNode, random: Random): Buffer {
  const versions = [file.durable]
  for (const change of file.pending) {
    versions.push(applyChange(versions[versions.length - 1] ?? file.durable, change))
  }
  const newest = versions.length - 1
  const anyVersion = (): Buffer =>
    versions[random.chance(0.5) ? newest : random.between(0, newest)] ?? file.durable
  const content = Buffer.alloc(anyVersion().length)
  for (let at = 0; at < content.length; at += SECTOR_BYTES) {
    content.set(anyVersion().subarray(at, Math.min(at + SECTOR_BYTES, content.length)), at)
  }
  return content
}

function writeFolder(folder: FolderNode, to: string, mode: CutMode, random: Random): void {
  const entries = new Map(folder.durable)
  for (const change of survivors(folder.pending, mode, random)) applyEntries(entries, change)
  for (const [name, node] of entries) {
    const target = path.join(to, name)
    if (node.kind === 'folder') {
      fs.mkdirSync(target)
      writeFolder(node, target, mode, random)
    } else {
      fs.writeFileSync(target, survivingBytes(node, mode, random))
    }
  }
}
