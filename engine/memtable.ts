/**
 * Writes since the last checkpoint. A hash table over columns of numbers with the keys' bytes in an
 * arena: a put leaves no object behind for the collector, and looking a key up makes no string.
 * Older versions of a key are chained beside it only while a reader that may look at them is open.
 * A table is frozen when a checkpoint takes it over; readers opened before keep it alive.
 */
import { compareBytes } from './bytes.ts'
import { EngineError } from './errors.ts'
import { TOMBSTONE, type Located } from './index/leaf.ts'

/** A version that a newer one replaced, kept for readers opened between the two. */
interface Version {
  readonly seq: number
  readonly value: Located
  readonly older: Version | null
}

/** Of an entry on top of its key: columns, slots at half load, and room to grow. */
const ENTRY_OVERHEAD_BYTES = 80

const CHUNK_SHIFT = 18
const CHUNK_BYTES = 1 << CHUNK_SHIFT
const CHUNK_MASK = CHUNK_BYTES - 1
/** Places in the arena are u32. */
const CHUNKS_MAX = 2 ** (32 - CHUNK_SHIFT)

const KIND_TOMBSTONE = 0
const KIND_INLINE = 1
const KIND_POINTER = 2

const FIRST_ENTRIES = 1024
/** 32 bits of key and the entry's number make one exact float. */
const SORTABLE_ENTRIES = 2 ** 21
/** Ranks of one first byte of the word. */
const PILE = 2 ** 24 * SORTABLE_ENTRIES
/** Entries between two pauses of a sort, less one. */
const SLICE_MASK = 2 ** 14 - 1

export class Memtable {
  /** Generation: roots that contain it contain all its writes. */
  readonly generation: number
  /** Estimated memory, values inline and keys included. */
  bytes = 0
  #size = 0
  /** Open addressing: entry + 1, or 0. */
  #slots = new Int32Array(2 * FIRST_ENTRIES)
  readonly #chunks: Uint8Array[] = []
  #chunkUsed = CHUNK_BYTES
  // One row an entry: its key, and its newest version.
  #hash = new Int32Array(FIRST_ENTRIES)
  #keyAt = new Uint32Array(FIRST_ENTRIES)
  #keyBytes = new Uint16Array(FIRST_ENTRIES)
  #seq = new Float64Array(FIRST_ENTRIES)
  #kind = new Uint8Array(FIRST_ENTRIES)
  #segmentId = new Uint32Array(FIRST_ENTRIES)
  #offset = new Float64Array(FIRST_ENTRIES)
  #length = new Uint32Array(FIRST_ENTRIES)
  readonly #inline = new Map<number, Uint8Array>()
  readonly #older = new Map<number, Version>()
  /** Entries in key order, rebuilt when a reader needs it and keys were added. */
  #sorted: Uint32Array | null = null

  constructor(generation: number) {
    this.generation = generation
  }

  get size(): number {
    return this.#size
  }

  /** The entry of a key, or -1. `hash` is the key's. */
  find(key: Uint8Array, hash: number): number {
    const mask = this.#slots.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = (this.#slots[slot] as number) - 1
      if (entry < 0) return -1
      if (this.#hash[entry] === hash && this.#hasKey(entry, key)) return entry
    }
  }

  /** Reads what `find` begins with; the value means nothing. */
  near(hash: number): number {
    return this.#slots[hash & (this.#slots.length - 1)] as number
  }

  /** The newest version with seq <= `seq`; undefined when this table has none. */
  get(key: Uint8Array, hash: number, seq: number): Located | undefined {
    const entry = this.find(key, hash)
    return entry < 0 ? undefined : this.at(entry, seq)
  }

  /** The same for an entry. */
  at(entry: number, seq: number): Located | undefined {
    if ((this.#seq[entry] as number) <= seq) return this.newest(entry)
    let version = this.#older.get(entry) ?? null
    while (version !== null && version.seq > seq) version = version.older
    return version?.value
  }

  newest(entry: number): Located {
    switch (this.#kind[entry]) {
      case KIND_POINTER:
        return {
          kind: 'pointer',
          pointer: {
            segmentId: this.#segmentId[entry] as number,
            offset: this.#offset[entry] as number,
            length: this.#length[entry] as number,
          },
        }
      case KIND_INLINE:
        return { kind: 'inline', value: this.#inline.get(entry) as Uint8Array }
      default:
        return TOMBSTONE
    }
  }

  /**
   * Sets what `find` said of the key: its entry, or a new one for -1. Versions at or below the newest
   * reader stay; the ones between it and this one nobody can see.
   */
  set(
    entry: number,
    key: { bytes: Uint8Array; hash: number },
    value: Located,
    at: { seq: number; newestReaderSeq: number },
  ): void {
    const row = entry < 0 ? this.#add(key.bytes, key.hash) : entry
    if (entry >= 0) this.#keepOlder(entry, at.newestReaderSeq)
    this.#seq[row] = at.seq
    if (value.kind === 'pointer') {
      this.#kind[row] = KIND_POINTER
      this.#segmentId[row] = value.pointer.segmentId
      this.#offset[row] = value.pointer.offset
      this.#length[row] = value.pointer.length
      if (this.#inline.size > 0) this.#inline.delete(row)
    } else if (value.kind === 'inline') {
      this.#kind[row] = KIND_INLINE
      this.#inline.set(row, value.value)
      this.bytes += value.value.length
    } else {
      this.#kind[row] = KIND_TOMBSTONE
      if (this.#inline.size > 0) this.#inline.delete(row)
    }
  }

  #keepOlder(entry: number, newestReaderSeq: number): void {
    let older = this.#older.get(entry) ?? null
    const seq = this.#seq[entry] as number
    if (seq <= newestReaderSeq) {
      this.#older.set(entry, { seq, value: this.newest(entry), older })
      return
    }
    if (older === null) return
    while (older !== null && older.seq > newestReaderSeq) older = older.older
    if (older === null) this.#older.delete(entry)
    else this.#older.set(entry, older)
  }

  // ------------------------------------------------------------ keys

  /** A view into the arena: valid for good, never to be written. */
  keyOf(entry: number): Uint8Array {
    const at = this.#keyAt[entry] as number
    const chunk = this.#chunks[at >>> CHUNK_SHIFT] as Uint8Array
    const from = at & CHUNK_MASK
    return chunk.subarray(from, from + (this.#keyBytes[entry] as number))
  }

  /** Entries in byte order of their keys. */
  sorted(): Uint32Array {
    const sorting = this.sorting()
    for (;;) {
      const step = sorting.next()
      if (step.done === true) return step.value
    }
  }

  /** The same in slices, for a table that gets no more keys. */
  *sorting(): Generator<void, Uint32Array> {
    return (this.#sorted ??= yield* this.#sort())
  }

  /** First place in `sorted` whose key is >= `bound` (> when `after`). */
  lowerBound(sorted: Uint32Array, bound: Uint8Array, after: boolean): number {
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = compareBytes(this.keyOf(sorted[middle] as number), bound)
      if (order < 0 || (after && order === 0)) low = middle + 1
      else high = middle
    }
    return low
  }

  #hasKey(entry: number, key: Uint8Array): boolean {
    if (this.#keyBytes[entry] !== key.length) return false
    const at = this.#keyAt[entry] as number
    const chunk = this.#chunks[at >>> CHUNK_SHIFT] as Uint8Array
    const from = at & CHUNK_MASK
    for (let i = 0; i < key.length; i++) if (chunk[from + i] !== key[i]) return false
    return true
  }

  #compare(a: number, b: number): number {
    const atA = this.#keyAt[a] as number
    const atB = this.#keyAt[b] as number
    const chunkA = this.#chunks[atA >>> CHUNK_SHIFT] as Uint8Array
    const chunkB = this.#chunks[atB >>> CHUNK_SHIFT] as Uint8Array
    const fromA = atA & CHUNK_MASK
    const fromB = atB & CHUNK_MASK
    const bytesA = this.#keyBytes[a] as number
    const bytesB = this.#keyBytes[b] as number
    const shared = Math.min(bytesA, bytesB)
    for (let i = 0; i < shared; i++) {
      const difference = (chunkA[fromA + i] as number) - (chunkB[fromB + i] as number)
      if (difference !== 0) return difference
    }
    return bytesA - bytesB
  }

  /**
   * Numbers sort many times faster than keys: entries are ordered by the four bytes behind what all
   * keys begin with, and only where those are equal by the keys themselves. They are dealt out by the
   * first of the four bytes before, so that the thread can be given back between two sorts.
   */
  *#sort(): Generator<void, Uint32Array> {
    const count = this.#size
    const sorted = new Uint32Array(count)
    if (count > SORTABLE_ENTRIES) {
      for (let entry = 0; entry < count; entry++) sorted[entry] = entry
      return sorted.sort((a, b) => this.#compare(a, b))
    }
    const skip = this.#sharedPrefix()
    const ranks = new Float64Array(count)
    const starts = new Uint32Array(257)
    for (let entry = 0; entry < count; entry++) {
      const word = this.#wordAt(entry, skip)
      ranks[entry] = word * SORTABLE_ENTRIES + entry
      const after = (word >>> 24) + 1
      starts[after] = (starts[after] as number) + 1
      if ((entry & SLICE_MASK) === SLICE_MASK) yield
    }
    for (let i = 1; i <= 256; i++) starts[i] = (starts[i] as number) + (starts[i - 1] as number)
    const dealt = new Float64Array(count)
    const next = starts.slice()
    for (let entry = 0; entry < count; entry++) {
      const rank = ranks[entry] as number
      const pile = Math.floor(rank / PILE)
      const at = next[pile] as number
      dealt[at] = rank
      next[pile] = at + 1
      if ((entry & SLICE_MASK) === SLICE_MASK) yield
    }
    for (let pile = 0; pile < 256; pile++) {
      const from = starts[pile] as number
      const to = starts[pile + 1] as number
      if (from === to) continue
      this.#sortPile(dealt.subarray(from, to), sorted.subarray(from, to))
      yield
    }
    return sorted
  }

  /** Ranks of some entries to these entries in key order. */
  #sortPile(ranks: Float64Array, sorted: Uint32Array): void {
    const compare = (a: number, b: number): number => this.#compare(a, b)
    ranks.sort()
    let from = 0
    let word = -1
    for (let i = 0; i < ranks.length; i++) {
      const rank = ranks[i] as number
      const thisWord = Math.floor(rank / SORTABLE_ENTRIES)
      sorted[i] = rank - thisWord * SORTABLE_ENTRIES
      if (thisWord === word) continue
      if (i - from > 1) sorted.subarray(from, i).sort(compare)
      from = i
      word = thisWord
    }
    if (ranks.length - from > 1) sorted.subarray(from).sort(compare)
  }

  /** Bytes that all keys begin with. */
  #sharedPrefix(): number {
    if (this.#size === 0) return 0
    const first = this.keyOf(0)
    let shared = first.length
    for (let entry = 1; entry < this.#size && shared > 0; entry++) {
      const at = this.#keyAt[entry] as number
      const chunk = this.#chunks[at >>> CHUNK_SHIFT] as Uint8Array
      const from = at & CHUNK_MASK
      shared = Math.min(shared, this.#keyBytes[entry] as number)
      let same = 0
      while (same < shared && chunk[from + same] === first[same]) same++
      shared = same
    }
    return shared
  }

  /** Four bytes of a key as a big-endian word; zeros where it is shorter. */
  #wordAt(entry: number, skip: number): number {
    const at = this.#keyAt[entry] as number
    const chunk = this.#chunks[at >>> CHUNK_SHIFT] as Uint8Array
    const from = (at & CHUNK_MASK) + skip
    const left = (this.#keyBytes[entry] as number) - skip
    let word = 0
    for (let i = 0; i < 4; i++) word = word * 256 + (i < left ? (chunk[from + i] as number) : 0)
    return word
  }

  // ------------------------------------------------------------ growing

  #add(key: Uint8Array, hash: number): number {
    if (this.#size === this.#hash.length) this.#grow()
    const entry = this.#size++
    if (this.#chunkUsed + key.length > CHUNK_BYTES) {
      if (this.#chunks.length === CHUNKS_MAX)
        throw new EngineError('ENGINE_LIMIT', 'the memtable holds 4 GiB of keys')
      this.#chunks.push(new Uint8Array(CHUNK_BYTES))
      this.#chunkUsed = 0
    }
    const chunk = this.#chunks[this.#chunks.length - 1] as Uint8Array
    for (let i = 0; i < key.length; i++) chunk[this.#chunkUsed + i] = key[i] as number
    this.#keyAt[entry] = (this.#chunks.length - 1) * CHUNK_BYTES + this.#chunkUsed
    this.#chunkUsed += key.length
    this.#keyBytes[entry] = key.length
    this.#hash[entry] = hash
    this.#place(entry, hash)
    this.#sorted = null
    this.bytes += ENTRY_OVERHEAD_BYTES + key.length
    return entry
  }

  #place(entry: number, hash: number): void {
    const mask = this.#slots.length - 1
    let slot = hash & mask
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
    this.#slots[slot] = entry + 1
  }

  #grow(): void {
    const rows = 2 * this.#hash.length
    const into = <T extends { set(from: T): void }>(larger: T, from: T): T => {
      larger.set(from)
      return larger
    }
    this.#hash = into(new Int32Array(rows), this.#hash)
    this.#keyAt = into(new Uint32Array(rows), this.#keyAt)
    this.#keyBytes = into(new Uint16Array(rows), this.#keyBytes)
    this.#seq = into(new Float64Array(rows), this.#seq)
    this.#kind = into(new Uint8Array(rows), this.#kind)
    this.#segmentId = into(new Uint32Array(rows), this.#segmentId)
    this.#offset = into(new Float64Array(rows), this.#offset)
    this.#length = into(new Uint32Array(rows), this.#length)
    this.#slots = new Int32Array(2 * rows)
    for (let entry = 0; entry < this.#size; entry++) this.#place(entry, this.#hash[entry] as number)
  }
}
