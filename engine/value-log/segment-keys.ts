/**
 * Which keys were written to a segment, so that a rewrite asks those few instead of walking the whole
 * tree. Gathered while the segment is written, kept beside it in a file once it is sealed:
 *
 *   "RSKEYS1\0" | u32 entries | u32 bytes of entries | u32 CRC-32 of entries | entries
 *   entry: u64 offset (as in a pointer) | u16 key bytes | key
 *
 * It is a hint and can be rebuilt: every entry is checked against the current pointer before it is
 * used, and a list whose live records do not add up to the segment's live bytes is not used at all.
 */
import * as path from 'node:path'
import { compareWithin, copyBytes, readU64, viewOf, writeU64 } from '../bytes.ts'
import { checksum } from '../checksum.ts'
import { removeIfPresent, type FileSystem, type OpenFile } from '../file-system.ts'
import { parseSegmentFileName, segmentFileName } from '../ids.ts'
import type { Slicer } from '../slicer.ts'
import type { SegmentId } from '../types.ts'

const MAGIC = Buffer.from('RSKEYS1\0', 'latin1')
const HEADER_BYTES = 20
const ENTRY_HEADER_BYTES = 10
const FIRST_BUFFER_BYTES = 16 * 1024
/** Above it, walking the tree costs less memory than the list. */
const FILE_BYTES_MAX = 2 ** 29
const SMALL_LIST_BYTES = 4 * 1024 * 1024

/** Looked at between two looks at the clock. */
const STEP_BYTES = 2 ** 18
const STEP_ENTRIES = 4096

/**
 * Most bytes of the list of a segment that is written, which stays in memory until it is sealed. Half the
 * segment is more than keys of 40 bytes with values of 100 come to; keys that are longer than what they hold
 * would take many times the segment.
 */
export function keyListMax(segmentBytes: number): number {
  return Math.min(FILE_BYTES_MAX - HEADER_BYTES, Math.max(SMALL_LIST_BYTES, segmentBytes / 2))
}

/** Append-only list of (pointer offset, key). */
export class SegmentKeys {
  #buffer: Buffer = Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES)
  #view = viewOf(this.#buffer)
  #bytes = 0
  #count = 0
  #key = new Uint8Array(0)

  /** Memory held by the entries. */
  get bytes(): number {
    return this.#bytes
  }

  /** The same with one more entry, of a key of so many bytes. */
  bytesWith(keyBytes: number): number {
    return this.#bytes + ENTRY_HEADER_BYTES + keyBytes
  }

  /** Returns the entry's place, for `key`. */
  add(offset: number, key: Uint8Array): number {
    const place = this.#begin(offset, key.length)
    copyBytes(key, 0, this.#buffer, { at: this.keyStart(place), length: key.length })
    return place
  }

  /** The same for the key of the entry at a place of another list. */
  addFrom(offset: number, from: SegmentKeys, at: number): number {
    const place = this.#begin(offset, from.keyBytes(at))
    from.copyKey(at, this.#buffer, this.keyStart(place))
    return place
  }

  /** An entry whose key is still to be filled in; returns its place. */
  #begin(offset: number, keyBytes: number): number {
    const place = this.#bytes
    const end = place + ENTRY_HEADER_BYTES + keyBytes
    if (end > this.#buffer.length) this.#grow(end)
    writeU64(this.#view, place, offset)
    this.#view.setUint16(place + 8, keyBytes, true)
    this.#bytes = end
    this.#count++
    return place
  }

  /** Behind the entry at `at`: the next one's place, or `bytes`. Places begin at 0, in the order of `add`. */
  after(at: number): number {
    return at + ENTRY_HEADER_BYTES + this.keyBytes(at)
  }

  offset(at: number): number {
    return readU64(this.#view, at)
  }

  /** Where all entries lie, until the next `add`. */
  get entries(): Uint8Array {
    return this.#buffer
  }

  /** First byte of the key in `entries`. */
  keyStart(at: number): number {
    return at + ENTRY_HEADER_BYTES
  }

  /** Copies the key to a place in `target`; returns its bytes. */
  copyKey(at: number, target: Uint8Array, to: number): number {
    const length = this.keyBytes(at)
    copyBytes(this.#buffer, at + ENTRY_HEADER_BYTES, target, { at: to, length })
    return length
  }

  /**
   * The key of the entry at a place, in memory that the next call uses again:
   * a view of each key would cost more than all that is done with it.
   */
  key(at: number): Uint8Array {
    const length = this.keyBytes(at)
    if (this.#key.length !== length) this.#key = new Uint8Array(length)
    copyBytes(this.#buffer, at + ENTRY_HEADER_BYTES, this.#key, { at: 0, length })
    return this.#key
  }

  keyBytes(at: number): number {
    return this.#view.getUint16(at + 8, true)
  }

  /** Order of the keys at two places. */
  compare(a: number, b: number): number {
    const keyA = a + ENTRY_HEADER_BYTES
    const keyB = b + ENTRY_HEADER_BYTES
    const endA = keyA + this.#view.getUint16(a + 8, true)
    const endB = keyB + this.#view.getUint16(b + 8, true)
    return compareWithin(this.#buffer, keyA, endA, keyB, endB)
  }

  /** A file's header and entries; the latter are not copied. */
  encode(): { header: Uint8Array; entries: Uint8Array } {
    const entries = this.#buffer.subarray(0, this.#bytes)
    const header = Buffer.alloc(HEADER_BYTES)
    MAGIC.copy(header)
    header.writeUInt32LE(this.#count, 8)
    header.writeUInt32LE(this.#bytes, 12)
    header.writeUInt32LE(checksum('ieee', entries, 0, entries.length), 16)
    return { header, entries }
  }

  /** undefined for anything but a whole, undamaged list. Its memory is the list's from now on. */
  static *decode(bytes: Uint8Array): Generator<void, SegmentKeys | undefined> {
    if (bytes.length < HEADER_BYTES || MAGIC.compare(bytes, 0, MAGIC.length) !== 0) return undefined
    const view = viewOf(bytes)
    const entries = bytes.subarray(HEADER_BYTES)
    if (view.getUint32(12, true) !== entries.length) return undefined
    let crc = 0
    for (let at = 0; at < entries.length; at += STEP_BYTES) {
      crc = checksum('ieee', entries, at, Math.min(at + STEP_BYTES, entries.length), crc)
      yield
    }
    if (view.getUint32(16, true) !== crc) return undefined
    const count = yield* countEntries(view, bytes.length)
    if (count !== view.getUint32(8, true)) return undefined
    const keys = new SegmentKeys()
    keys.#buffer = Buffer.from(entries.buffer, entries.byteOffset, entries.byteLength)
    keys.#view = viewOf(keys.#buffer)
    keys.#bytes = entries.length
    keys.#count = count
    return keys
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#bytes)
    this.#buffer = grown
    this.#view = viewOf(grown)
  }
}

/** Entries of a list; -1 when they do not end where its bytes do. */
function* countEntries(view: DataView, end: number): Generator<void, number> {
  let count = 0
  let at = HEADER_BYTES
  for (; at + ENTRY_HEADER_BYTES <= end; count++) {
    // Above 2^53: an offset that no segment has.
    if (view.getUint32(at + 4, true) >= 0x200000) return -1
    at += ENTRY_HEADER_BYTES + view.getUint16(at + 8, true)
    if (count % STEP_ENTRIES === 0) yield
  }
  return at === end ? count : -1
}

/** The lists of sealed segments as files; losing any of them costs time, never data. */
export class SegmentKeyFiles {
  readonly #fileSystem: FileSystem
  readonly #folder: string

  constructor(fileSystem: FileSystem, folder: string) {
    this.#fileSystem = fileSystem
    this.#folder = folder
  }

  has(id: SegmentId): boolean {
    return this.#fileSystem.stat(this.#file(id))?.isFile === true
  }

  /** A file that cannot be written is not there: the rewrite walks the tree instead. */
  save(id: SegmentId, keys: SegmentKeys): void {
    try {
      this.#fileSystem.makeFolder(this.#folder)
      const { header, entries } = keys.encode()
      const file = this.#fileSystem.open(this.#file(id), 'append')
      try {
        file.truncate(0)
        file.write(header, 0, header.length, 0)
        file.write(entries, 0, entries.length, header.length)
      } finally {
        file.close()
      }
    } catch {
      // A torn file fails its checksum; a missing one is missing.
    }
  }

  /** Read beside the thread and checked in slices. */
  async load(id: SegmentId, slicer: Slicer): Promise<SegmentKeys | undefined> {
    try {
      if (!this.has(id)) return undefined
      const bytes = await readAside(this.#fileSystem.open(this.#file(id), 'read'))
      slicer.restart()
      return await slicer.run(SegmentKeys.decode(bytes))
    } catch {
      return undefined
    }
  }

  async remove(id: SegmentId): Promise<void> {
    try {
      await removeIfPresent(this.#fileSystem, this.#file(id))
    } catch {
      // Left over; the next opening removes it.
    }
  }

  /** Lists of segments that are no more. */
  async removeOrphans(isPresent: (id: SegmentId) => boolean): Promise<void> {
    for (const name of this.#fileSystem.list(this.#folder) ?? []) {
      const id = parseSegmentFileName(name.replace(/\.keys$/, '.log'))
      if (id !== undefined && !isPresent(id)) await this.remove(id)
    }
  }

  #file(id: SegmentId): string {
    return path.join(this.#folder, segmentFileName(id).replace(/\.log$/, '.keys'))
  }
}

/** The whole of a file of at most FILE_BYTES_MAX; closes it. */
async function readAside(file: OpenFile): Promise<Uint8Array> {
  try {
    const size = file.size()
    if (size > FILE_BYTES_MAX) return new Uint8Array(0)
    const bytes = Buffer.allocUnsafeSlow(size)
    const read = (await file.readAside?.(bytes, 0, size, 0)) ?? file.read(bytes, 0, size, 0)
    return bytes.subarray(0, read)
  } finally {
    file.close()
  }
}
