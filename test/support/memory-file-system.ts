/**
 * A whole file system in memory, for tests that make thousands of folders: files, folders, links, pipes.
 * It refuses what the real one refuses (test/engine/strangers.test.ts holds the real one to it). A file
 * may be longer than its bytes, as a sparse file is; the rest reads as zeros.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../../engine/errors.ts'
import type { FileStat, FileSystem, OpenFile } from '../../engine/file-system.ts'

export interface MemoryFile {
  kind: 'file'
  bytes: Buffer
  /** At least the length of `bytes`. */
  length: number
}

export interface MemoryLink {
  kind: 'link'
  target: string
}

/** Opening it would wait, or read for ever. */
export interface MemoryPipe {
  kind: 'pipe'
}

export interface MemoryFolder {
  kind: 'folder'
  entries: Map<string, MemoryNode>
}

export type MemoryNode = MemoryFile | MemoryLink | MemoryPipe | MemoryFolder

const MTIME_MS = 1_773_999_000_000
/** More than a store of these sizes has any reason to write. */
const WRITTEN_BYTES_MAX = 64 * 1024 * 1024
const LINKS_MAX = 8

export function memoryFile(bytes: Uint8Array, length = bytes.length): MemoryFile {
  return { kind: 'file', bytes: Buffer.from(bytes), length }
}

export function newFolder(): MemoryFolder {
  return { kind: 'folder', entries: new Map() }
}

/** A folder of the disk, as it is now. */
export function loadFolder(dir: string): MemoryFolder {
  const folder = newFolder()
  for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
    const place = path.join(dir, entry.name)
    const node = entry.isDirectory() ? loadFolder(place) : memoryFile(fs.readFileSync(place))
    folder.entries.set(entry.name, node)
  }
  return folder
}

export function cloneNode<T extends MemoryNode>(node: T): T {
  if (node.kind === 'file') return { ...node, bytes: Buffer.from(node.bytes) }
  if (node.kind !== 'folder') return { ...node }
  const entries = [...node.entries].map(([name, one]) => [name, cloneNode(one)] as const)
  return { ...node, entries: new Map(entries) }
}

function fail(what: string): never {
  throw new EngineError('ENGINE_IO', what)
}

export class MemoryFileSystem implements FileSystem {
  /** What stands at `/store`. */
  readonly root: MemoryFolder
  readonly dir = '/store'
  /** Told of every call, and of the bytes it moves. */
  readonly #spend: (bytes: number) => void
  readonly #locked = new Set<MemoryNode>()
  #written = 0

  constructor(root: MemoryFolder, spend: (bytes: number) => void = () => undefined) {
    this.root = root
    this.#spend = spend
  }

  #find(file: string, links = 0): MemoryNode | undefined {
    const relative = path.relative(this.dir, file)
    if (relative.startsWith('..')) return undefined
    let node: MemoryNode | undefined = this.root
    let place = this.dir
    for (const part of relative.split('/').filter((one) => one !== '')) {
      // On the way links are followed, as the kernel does.
      if (node?.kind === 'link') {
        node = links < LINKS_MAX ? this.#find(this.#targetOf(place, node), links + 1) : undefined
      }
      if (node?.kind !== 'folder') return undefined
      node = node.entries.get(part)
      place = path.join(place, part)
    }
    return node
  }

  #targetOf(place: string, link: MemoryLink): string {
    return path.resolve(path.dirname(place), link.target)
  }

  #folderOf(file: string): MemoryFolder {
    let node = this.#find(path.dirname(file))
    if (node?.kind === 'link') node = this.#find(this.#targetOf(path.dirname(file), node), 1)
    return node?.kind === 'folder' ? node : fail(`no folder for ${file}`)
  }

  open(file: string, mode: 'read' | 'append' | 'create'): OpenFile {
    this.#spend(0)
    let node = this.#find(file)
    if (mode === 'create' && node !== undefined) fail(`${file} is there`)
    if (node === undefined) {
      if (mode === 'read') fail(`there is no ${file}`)
      node = memoryFile(new Uint8Array(0))
      this.#folderOf(file).entries.set(path.basename(file), node)
    }
    if (node.kind !== 'file') fail(`cannot open ${file}: not a regular file`)
    return this.#handle(file, node)
  }

  #handle(file: string, node: MemoryFile): OpenFile {
    return {
      path: file,
      read: (buffer, offset, length, position) => {
        const count = Math.max(0, Math.min(length, node.length - position))
        this.#spend(count)
        const there = node.bytes.subarray(position, position + count)
        buffer.set(there, offset)
        buffer.fill(0, offset + there.length, offset + count)
        return count
      },
      write: (buffer, offset, length, position) => {
        this.#spend(length)
        this.#written += length
        if (this.#written > WRITTEN_BYTES_MAX) fail('no space left')
        const end = position + length
        this.#makeRoom(node, end)
        node.bytes.set(buffer.subarray(offset, offset + length), position)
        node.length = Math.max(node.length, end)
      },
      size: () => {
        this.#spend(0)
        return node.length
      },
      truncate: (length) => {
        this.#spend(0)
        node.bytes = node.bytes.subarray(0, length)
        node.length = length
      },
      sync: () => {
        this.#spend(0)
        return Promise.resolve()
      },
      close: () => undefined,
    }
  }

  #makeRoom(node: MemoryFile, end: number): void {
    if (end <= node.bytes.length) return
    if (end > WRITTEN_BYTES_MAX) fail('no space left')
    const wider = Buffer.alloc(end)
    node.bytes.copy(wider)
    node.bytes = wider
  }

  stat(file: string): FileStat | undefined {
    this.#spend(0)
    const node = this.#find(file)
    if (node === undefined) return undefined
    return {
      size: node.kind === 'file' ? node.length : 0,
      mtimeMs: MTIME_MS,
      isDirectory: node.kind === 'folder',
      isFile: node.kind === 'file',
      isSymbolicLink: node.kind === 'link',
    }
  }

  list(folder: string): string[] | undefined {
    this.#spend(0)
    let node = this.#find(folder)
    if (node?.kind === 'link') node = this.#find(this.#targetOf(folder, node), 1)
    return node?.kind === 'folder' ? [...node.entries.keys()] : undefined
  }

  makeFolder(folder: string): void {
    this.#spend(0)
    if (this.list(folder) !== undefined) return
    if (this.#find(folder) !== undefined) fail(`${folder} is there and no folder`)
    if (folder !== this.dir) this.makeFolder(path.dirname(folder))
    this.#folderOf(folder).entries.set(path.basename(folder), newFolder())
  }

  async rename(from: string, to: string): Promise<void> {
    await Promise.resolve()
    this.#spend(0)
    const node = this.#find(from)
    if (node === undefined) fail(`there is no ${from}`)
    if (this.#find(to)?.kind === 'folder') fail(`${to} is a folder`)
    this.#folderOf(from).entries.delete(path.basename(from))
    this.#folderOf(to).entries.set(path.basename(to), node)
  }

  unlink(file: string): Promise<void> {
    this.#spend(0)
    if (this.#find(file)?.kind === 'folder') fail(`${file} is a folder`)
    if (this.#find(file) !== undefined) this.#folderOf(file).entries.delete(path.basename(file))
    return Promise.resolve()
  }

  syncFolder(): Promise<void> {
    this.#spend(0)
    return Promise.resolve()
  }

  readFile(file: string): Uint8Array | undefined {
    const node = this.#find(file)
    this.#spend(node?.kind === 'file' ? node.length : 0)
    if (node === undefined) return undefined
    if (node.kind !== 'file') fail(`cannot read ${file}: not a regular file`)
    if (node.length > WRITTEN_BYTES_MAX) throw new Error(`${file} was read whole`)
    return Buffer.concat([node.bytes, Buffer.alloc(node.length - node.bytes.length)])
  }

  lock(file: string): { release: () => void } {
    this.open(file, 'append')
    const node = this.#find(file)
    if (node === undefined || this.#locked.has(node)) {
      throw new EngineError('ENGINE_LOCKED', `${file} is held`)
    }
    this.#locked.add(node)
    return { release: () => void this.#locked.delete(node) }
  }
}
