/**
 * Dictionaries of compressed frames: `<folder>/dictdb` is an ordinary store whose user tree holds
 * `bytes/ | u64 BE id -> dictionary` (format.md 5). Opened read-only and only when the first frame
 * asks; each dictionary is checked against its id, the first eight bytes of its SHA-256.
 */
import { createHash } from 'node:crypto'
import * as path from 'node:path'
import { EngineError } from '../errors.ts'
import type { FileSystem } from '../file-system.ts'
import { PageStore } from '../index/page-store.ts'
import { findInTree } from '../index/tree.ts'
import { dictionaryName, type DictionarySource } from '../value-log/compression.ts'
import { corrupt } from '../value-log/record.ts'
import { Sentences, UnreadFeatures } from './findings.ts'
import { mapFolder } from './folder.ts'
import { IndexFile, chooseMeta } from './meta-choice.ts'
import { RecordReader } from './record-reader.ts'

const FOLDER = 'dictdb'
const KEY_PREFIX = Buffer.from('bytes/')
/** Upstream's dictionaries have tens of KiB; above this a folder only wants memory. */
const DICTIONARY_BYTES_MAX = 2 ** 24
/** Of all dictionaries kept: a store uses a few at a time. */
const CACHE_BYTES_MAX = 2 ** 25
const PAGE_CACHE_BYTES = 2 ** 18

interface OpenDictionaries {
  index: IndexFile
  pages: PageStore
  userRoot: number
  reader: RecordReader
}

export class DictionaryStore implements DictionarySource {
  readonly #fileSystem: FileSystem
  readonly #folder: string
  /** Oldest use first. */
  readonly #cache = new Map<bigint, Uint8Array>()
  #cacheBytes = 0
  #open: OpenDictionaries | undefined

  /** `root` is the opened folder; nothing is looked at before the first `get`. */
  constructor(fileSystem: FileSystem, root: string) {
    this.#fileSystem = fileSystem
    this.#folder = path.join(root, FOLDER)
  }

  get(id: bigint): Uint8Array {
    const cached = this.#cache.get(id)
    if (cached !== undefined) {
      this.#cache.delete(id)
      this.#cache.set(id, cached)
      return cached
    }
    const dictionary = this.#read(id)
    this.#cache.set(id, dictionary)
    this.#cacheBytes += dictionary.length
    for (const [oldId, old] of this.#cache) {
      if (this.#cacheBytes <= CACHE_BYTES_MAX || this.#cache.size === 1) break
      this.#cache.delete(oldId)
      this.#cacheBytes -= old.length
    }
    return dictionary
  }

  close(): void {
    this.#open?.reader.close()
    this.#open?.index.handle.close()
    this.#open = undefined
  }

  #read(id: bigint): Uint8Array {
    const name = `dictionary ${dictionaryName(id)}`
    let dictionary: Uint8Array | undefined
    try {
      dictionary = this.#lookUp(id)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      const code = error.code === 'ENGINE_UNSUPPORTED' ? error.code : 'ENGINE_CORRUPT'
      throw new EngineError(code, `${name}: ${FOLDER}: ${error.message}`, error)
    }
    if (dictionary === undefined) throw corrupt(FOLDER, `there is no ${name}`)
    if (dictionary.length > DICTIONARY_BYTES_MAX) {
      throw corrupt(FOLDER, `${name} has ${dictionary.length} bytes`)
    }
    const hash = createHash('sha256').update(dictionary).digest()
    if (hash.readBigUInt64BE(0) !== id) throw corrupt(FOLDER, `${name} holds other bytes`)
    return dictionary
  }

  #lookUp(id: bigint): Uint8Array | undefined {
    const { pages, userRoot, reader } = (this.#open ??= this.#openFolder())
    const key = Buffer.alloc(KEY_PREFIX.length + 8)
    KEY_PREFIX.copy(key)
    key.writeBigUInt64BE(id, KEY_PREFIX.length)
    const found = findInTree(pages, userRoot, key)
    if (found === undefined || found.kind === 'tombstone') return undefined
    // Of their own memory: a view would keep a page or a record alive.
    return new Uint8Array(found.kind === 'inline' ? found.value : reader.value(found.pointer))
  }

  #openFolder(): OpenDictionaries {
    const findings = { problems: new Sentences(), unread: new UnreadFeatures() }
    const scope = { fileSystem: this.#fileSystem, ...findings }
    if (this.#fileSystem.stat(this.#folder)?.isDirectory !== true) {
      throw new EngineError('ENGINE_CORRUPT', 'there is no such folder')
    }
    const folder = mapFolder(this.#folder, scope)
    const handle = this.#fileSystem.open(folder.index, 'read')
    try {
      const index = new IndexFile(handle)
      const choice = chooseMeta(index, findings, () => {
        throw corrupt('root', 'lies in the value log, which dictionary stores do not do')
      })
      if (choice === undefined) throw corrupt(FOLDER, findings.problems.list().join('; '))
      const pages = new PageStore(handle, choice.kind, {
        totalPages: Math.min(choice.meta.totalPages || index.filePages, index.filePages),
        cacheBytes: PAGE_CACHE_BYTES,
      })
      const reader = new RecordReader(this.#fileSystem, choice.kind, folder.segments)
      return { index, pages, userRoot: choice.meta.userRoot, reader }
    } catch (error) {
      handle.close()
      throw error
    }
  }
}
