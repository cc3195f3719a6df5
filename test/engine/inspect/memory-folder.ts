/**
 * A read-only file system in memory, loaded from a sample or built page by page. Every call that
 * would write throws, so a reading that finishes has proven that it never tried to.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { ChecksumKind } from '../../../engine/checksum.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { FileStat, FileSystem, OpenFile } from '../../../engine/file-system.ts'
import { encodeSegmentId, segmentFileName } from '../../../engine/ids.ts'
import { layOutInternal, type ChildRef } from '../../../engine/index/internal.ts'
import { EntryRun, encodeEntry, type Located } from '../../../engine/index/leaf.ts'
import { encodeMeta, type Meta } from '../../../engine/index/meta.ts'
import { PAGE_BYTES, makePage, pageCount, sealPage, type Page } from '../../../engine/index/page.ts'
import {
  inspectFolder,
  type FolderReading,
  type InspectDeps,
  type InspectRequest,
} from '../../../engine/inspect.ts'
import { DATA, READ_AT_MS } from './reading.ts'

const ROOT = '/store'
const MTIME_MS = 1_773_999_000_000

function refuse(): never {
  throw new Error('a read-only attach must not write')
}

export class MemoryFolder implements FileSystem {
  /** By path relative to the folder; null = a symbolic link. */
  readonly files = new Map<string, Uint8Array | null>()
  openFiles = 0
  /** Index pages read so far. */
  pageReads = 0

  static load(name: string): MemoryFolder {
    const folder = new MemoryFolder()
    const source = path.join(DATA, name)
    for (const entry of fs.readdirSync(source, { recursive: true }).map(String)) {
      const file = path.join(source, entry)
      if (fs.lstatSync(file).isFile())
        folder.files.set(entry, new Uint8Array(fs.readFileSync(file)))
    }
    return folder
  }

  bytes(name: string): Uint8Array {
    const bytes = this.files.get(name)
    if (!bytes) throw new Error(`${name} is not in the folder`)
    return bytes
  }

  read(request: InspectRequest = {}, deps: Partial<InspectDeps> = {}): Promise<FolderReading> {
    const yieldNow = (): Promise<void> => Promise.resolve()
    return inspectFolder(ROOT, { fileSystem: this, yieldNow, nowMs: READ_AT_MS, ...deps }, request)
  }

  page(id: number): Page {
    return makePage(this.bytes('maindb/index.db').subarray(id * PAGE_BYTES, (id + 1) * PAGE_BYTES))
  }

  /** Puts the right checksum on a page that a test has changed; flags and count stay. */
  reseal(id: number, kind: ChecksumKind): void {
    const page = this.page(id)
    const type = page.view.getUint16(12, true)
    sealPage(
      page,
      { id: Number(page.view.getBigUint64(0, true)), type, count: pageCount(page) },
      kind,
    )
  }

  open(file: string, mode: 'read' | 'append' | 'create'): OpenFile {
    if (mode !== 'read') refuse()
    const bytes = this.files.get(path.relative(ROOT, file))
    if (!bytes) throw new EngineError('ENGINE_IO', `cannot open ${file}`)
    this.openFiles++
    return {
      path: file,
      read: (buffer, offset, length, position) => {
        const part = bytes.subarray(position, position + length)
        buffer.set(part, offset)
        if (file.endsWith('index.db')) this.pageReads++
        return part.length
      },
      write: refuse,
      truncate: refuse,
      sync: refuse,
      size: () => bytes.length,
      close: () => {
        this.openFiles--
      },
    }
  }

  stat(file: string): FileStat | undefined {
    const name = path.relative(ROOT, file)
    const bytes = this.files.get(name)
    const base = {
      mtimeMs: MTIME_MS,
      size: 0,
      isDirectory: false,
      isFile: false,
      isSymbolicLink: false,
    }
    if (bytes === null) return { ...base, isSymbolicLink: true }
    if (bytes !== undefined) return { ...base, size: bytes.length, isFile: true }
    const isFolder = name === '' || [...this.files.keys()].some((one) => one.startsWith(`${name}/`))
    return isFolder ? { ...base, isDirectory: true } : undefined
  }

  list(folder: string): string[] | undefined {
    const prefix = `${path.relative(ROOT, folder)}/`
    const names = [...this.files.keys()].filter((name) => name.startsWith(prefix))
    return names.map((name) => name.slice(prefix.length)).filter((name) => !name.includes('/'))
  }

  makeFolder = refuse
  rename = refuse
  unlink = refuse
  syncFolder = refuse
  readFile = refuse
  lock = refuse
}

// ---------------------------------------------------------------- building

export type BuiltValue = Exclude<Located, { kind: 'tombstone' }>

export function leafPage(id: number, entries: readonly [string, BuiltValue][]): Page {
  const run = new EntryRun()
  for (const [key, value] of entries) {
    const bytes = encodeEntry(Buffer.from(key), value)
    run.push(bytes, 0, bytes.length)
  }
  return run.layOut(0, run.count, id, 'ieee')
}

export function internalPage(id: number, children: readonly [string, number][]): Page {
  const refs = children.map(([key, child]): ChildRef => ({ key: Buffer.from(key), child }))
  return layOutInternal(refs, id, 'ieee')
}

export const META: Meta = {
  commitSeq: 1,
  userRoot: 2,
  systemRoot: 3,
  freelistHead: 0,
  totalPages: 0,
  activeSlabId: 0,
  activeSlabTail: 0,
  lastCommitHeight: 0,
}

/** A split folder: pages by id (2 = user root, 3 = system root unless the metas say otherwise). */
export function buildFolder(parts: {
  metas?: [Meta, Meta]
  pages: Readonly<Record<number, Page>>
  segments?: Readonly<Record<string, readonly Uint8Array[]>>
}): MemoryFolder {
  const folder = new MemoryFolder()
  const [first, second] = parts.metas ?? [META, META]
  const pages = {
    ...parts.pages,
    0: encodeMeta(first, 0, 'ieee'),
    1: encodeMeta(second, 1, 'ieee'),
  }
  const last = Math.max(...Object.keys(pages).map(Number))
  const index = new Uint8Array((last + 1) * PAGE_BYTES)
  for (const [id, page] of Object.entries(pages)) index.set(page.bytes, Number(id) * PAGE_BYTES)
  folder.files.set('maindb/index.db', index)
  for (const [place, records] of Object.entries(parts.segments ?? {})) {
    const [lane, seq] = place.split('-').map(Number)
    const name = segmentFileName(encodeSegmentId(lane ?? 0, seq ?? 0))
    folder.files.set(`maindb/value_vlog/${name}`, new Uint8Array(Buffer.concat(records)))
  }
  return folder
}
