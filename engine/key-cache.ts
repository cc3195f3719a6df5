/**
 * Where the newest value of a key lies, for keys used lately: one line of memory instead of a search
 * through memtable and tree. A row holds the whole key, so a hash that two keys share cannot mix them
 * up; and `KeySpace.apply`, which changes a key, keeps its row true. A rewrite changes a hundred thousand
 * keys, and looking for the row of each would cost it a fifth of its time: rows that name its source are
 * not believed from then on. Only the newest state is cached, never an older one that a snapshot sees.
 *
 *   row of 64 bytes: u32 tag | u32 segment | u32 offset | u32 length | key, up to 48 bytes
 *   tag: key bytes (bits 0-7, 0 = empty row), used since last passed over (bit 8), hash bits 31-9
 *
 * Four rows make a set; a key lies in the set that its hash chooses or nowhere. Keys longer than a row
 * holds and values inside leaf pages are not cached.
 */
import type { SegmentId } from './types.ts'
import type { ValuePointer } from './value-pointer.ts'

const ROW_BYTES = 64
const ROW_WORDS = ROW_BYTES / 4
const KEY_AT = 16
const KEY_BYTES_MAX = ROW_BYTES - KEY_AT
const SET_ROWS = 4

const USED = 1 << 8
const HASH_BITS = ~0x1ff

const FIRST_ROWS = 2048
const GROWTH = 4
const MOVED_ROWS_MAX = 2 ** 17
/** Foreign folders may have larger segments than a row can name. */
const OFFSET_MAX = 0xffffffff
/** What the allocator puts before large memory: with it rows begin where lines of the processor's cache do. */
const ALLOCATION_HEADER_BYTES = 16

export class KeyCache {
  readonly #rowsMax: number
  #rowMask = 0
  #taken = 0
  #words = new Uint32Array(0)
  #bytes = new Uint8Array(0)

  /** Takes at most `bytes`, and little until there are keys; below 256 = no cache. */
  constructor(bytes: number) {
    const rows = Math.floor(bytes / ROW_BYTES)
    this.#rowsMax = rows < SET_ROWS ? 0 : 2 ** Math.floor(Math.log2(rows))
    this.#begin(Math.min(FIRST_ROWS, this.#rowsMax))
  }

  /** Rows in use. */
  get size(): number {
    return this.#taken
  }

  /** Of the table, whether in use or not. */
  get bytes(): number {
    return this.#bytes.length
  }

  /** Place of the key's row until the next change, or -1. `hash` is the key's. */
  find(key: Uint8Array, hash: number): number {
    const words = this.#words
    const { length } = key
    if (length === 0 || length > KEY_BYTES_MAX) return -1
    const tag = (hash & HASH_BITS) | length
    for (let i = 0; i < SET_ROWS; i++) {
      const row = this.#rowOf(hash, i)
      // Past the end where there is no cache: undefined is no tag.
      if (((words[row] as number) & ~USED) === tag && this.#hasKey(row, key)) return row
    }
    return -1
  }

  /** The segment that a row which `find` gave names. */
  segmentAt(row: number): SegmentId {
    return this.#words[row + 1] as number
  }

  /** What a row that `find` gave says. */
  at(row: number): ValuePointer {
    const words = this.#words
    words[row] = (words[row] as number) | USED
    return {
      segmentId: words[row + 1] as number,
      offset: words[row + 2] as number,
      length: words[row + 3] as number,
    }
  }

  /** The key holds another pointer from now on. `row` is what `find` said of it. */
  set(row: number, pointer: ValuePointer): void {
    if (pointer.offset > OFFSET_MAX) this.forget(row)
    else this.#setPointer(row, pointer)
  }

  /** Begins anew, empty and small. */
  clear(): void {
    this.#begin(Math.min(FIRST_ROWS, this.#rowsMax))
  }

  /** The row is free from now on. */
  forget(row: number): void {
    this.#words[row] = 0
    this.#taken--
  }

  /** A key that was just read: takes the place of one that was not used lately, if its set is full. */
  admit(key: Uint8Array, hash: number, pointer: ValuePointer): void {
    this.#put(key, hash, pointer, true)
  }

  /** A key that was just written: takes a free row, if its set has one. */
  offer(key: Uint8Array, hash: number, pointer: ValuePointer): void {
    this.#put(key, hash, pointer, false)
  }

  #put(key: Uint8Array, hash: number, pointer: ValuePointer, replace: boolean): void {
    const { length } = key
    if (length === 0 || length > KEY_BYTES_MAX || pointer.offset > OFFSET_MAX) return
    if (this.#rowsMax === 0) return
    if (this.#taken > this.#rowMask >>> 1 && this.#rowMask + 1 < this.#rowsMax) this.#grow()
    const row = this.#freeRow(hash) ?? (replace ? this.#victim(hash) : undefined)
    if (row === undefined) return
    if (this.#words[row] === 0) this.#taken++
    this.#words[row] = (hash & HASH_BITS) | length
    this.#setPointer(row, pointer)
    const at = row * 4 + KEY_AT
    for (let i = 0; i < length; i++) this.#bytes[at + i] = key[i] as number
  }

  #setPointer(row: number, pointer: ValuePointer): void {
    this.#words[row + 1] = pointer.segmentId
    this.#words[row + 2] = pointer.offset
    this.#words[row + 3] = pointer.length
  }

  /** Keys begin at different rows of their set, so that most are met at once. */
  #rowOf(hash: number, i: number): number {
    const first = hash & this.#rowMask
    return ((first & -SET_ROWS) | ((first + i) & (SET_ROWS - 1))) * ROW_WORDS
  }

  #freeRow(hash: number): number | undefined {
    for (let i = 0; i < SET_ROWS; i++) {
      const row = this.#rowOf(hash, i)
      if (this.#words[row] === 0) return row
    }
    return undefined
  }

  #victim(hash: number): number {
    for (let i = 0; i < SET_ROWS; i++) {
      const row = this.#rowOf(hash, i)
      const tag = this.#words[row] as number
      if ((tag & USED) === 0) return row
      this.#words[row] = tag & ~USED
    }
    return this.#rowOf(hash, 0)
  }

  #hasKey(row: number, key: Uint8Array): boolean {
    const bytes = this.#bytes
    const at = row * 4 + KEY_AT
    for (let i = 0; i < key.length; i++) if (bytes[at + i] !== key[i]) return false
    return true
  }

  /** Into more rows; a large table begins anew instead, because moving it would hold the thread. */
  #grow(): void {
    const rows = this.#rowMask + 1
    const words = this.#words
    this.#begin(Math.min(rows * GROWTH, this.#rowsMax))
    if (rows > MOVED_ROWS_MAX) return
    for (let row = 0; row < rows; row++) {
      const from = row * ROW_WORDS
      const tag = words[from] as number
      if (tag === 0) continue
      // The tag's part of the hash and the row's number have all bits that choose the new set.
      const to = this.#freeRow((tag & HASH_BITS) | (row & ~HASH_BITS))
      if (to === undefined) continue
      for (let i = 0; i < ROW_WORDS; i++) this.#words[to + i] = words[from + i] as number
      this.#taken++
    }
  }

  #begin(rows: number): void {
    const from = ROW_BYTES - ALLOCATION_HEADER_BYTES
    const memory = new ArrayBuffer(rows === 0 ? 0 : rows * ROW_BYTES + from)
    const start = rows === 0 ? 0 : from
    this.#words = new Uint32Array(memory, start)
    this.#bytes = new Uint8Array(memory, start)
    this.#rowMask = Math.max(0, rows - 1)
    this.#taken = 0
  }
}
