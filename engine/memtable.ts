/**
 * Writes since the last checkpoint. A hash table over columns of numbers with the keys' bytes in an
 * arena: a put leaves no object behind for the collector, and looking a key up makes no string.
 * Older versions of a key are chained beside it only while a reader that may look at them is open.
 * A table is frozen when a checkpoint takes it over; readers opened before keep it alive. Afterwards the
 * next one takes its memory: columns made anew for each checkpoint bring the collector, which takes the
 * processors from whoever waits for the disk.
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
/** A table of more leaves its memory to the collector, and the arena what is above so many chunks. */
const KEPT_ENTRIES_MAX = 2 ** 16
const KEPT_CHUNKS_MAX = 8
/** 32 bits of key and the entry's number make one exact float. */
const SORTABLE_ENTRIES = 2 ** 21
/** Sorted by their keys: so few that numbers would not be faster. */
const FEW_ENTRIES = 16
/** Ranks of one pile, were they evenly spread; and the most that are sorted in one go. */
const PILE_ENTRIES = 512
const PILE_ENTRIES_MAX = 4096
/** Entries between two pauses of a sort, less one. */
const SLICE_MASK = 2 ** 12 - 1

/** How a sort goes on: behind so many bytes, so many words of four bytes deep. */
interface Words {
  skip: number
  words: number
}

/** Each word deeper is a call deeper: keys made to agree in long stretches must not use up the stack. */
const WORDS_MAX = 32

/** Four bytes of the key that a rank is of. */
function wordOf(rank: number): number {
  return Math.floor(rank / SORTABLE_ENTRIES)
}

export class Memtable {
  /** Generation: roots that contain it contain all its writes. */
  readonly generation: number
  /** Estimated memory, values inline and keys included. */
  bytes = 0
  #size = 0
  /** Open addressing: entry + 1, or 0. */
  #slots = new Int32Array(2 * FIRST_ENTRIES)
  readonly #chunks: Uint8Array[] = []
  /** That takes the next key, -1 before the first one. */
  #chunk = -1
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

  /** `before` gives its memory away: nobody looks at it any more. */
  constructor(generation: number, before: Memtable | null = null) {
    this.generation = generation
    if (before === null || before.#hash.length > KEPT_ENTRIES_MAX) return
    this.#slots = before.#slots.fill(0)
    this.#chunks = before.#chunks.slice(0, KEPT_CHUNKS_MAX)
    this.#hash = before.#hash
    this.#keyAt = before.#keyAt
    this.#keyBytes = before.#keyBytes
    this.#seq = before.#seq
    this.#kind = before.#kind
    this.#segmentId = before.#segmentId
    this.#offset = before.#offset
    this.#length = before.#length
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

  /** A view into the arena, never to be written: valid while a reader holds the table, or until it is published. */
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

  *#sort(): Generator<void, Uint32Array> {
    const sorted = new Uint32Array(this.#size)
    for (let entry = 0; entry < sorted.length; entry++) sorted[entry] = entry
    if (sorted.length > SORTABLE_ENTRIES) return sorted.sort((a, b) => this.#compare(a, b))
    yield* this.#sortFrom(sorted, { skip: yield* this.#sharedPrefix(), words: WORDS_MAX })
    return sorted
  }

  /**
   * Orders entries whose keys agree in the first `skip` bytes. Numbers sort many times faster than keys:
   * they are ordered by the next four bytes, where those are equal by the four behind, and after `words`
   * of these by the keys themselves.
   */
  *#sortFrom(entries: Uint32Array, by: Words): Generator<void> {
    const count = entries.length
    const { skip } = by
    if (count <= FEW_ENTRIES || by.words === 0) {
      entries.sort((a, b) => this.#compare(a, b))
      return
    }
    const ranks = new Float64Array(count)
    let isBehindAll = true
    for (let i = 0; i < count; i++) {
      const entry = entries[i] as number
      if ((this.#keyBytes[entry] as number) > skip) isBehindAll = false
      ranks[i] = this.#wordAt(entry, skip) * SORTABLE_ENTRIES + entry
      if ((i & SLICE_MASK) === SLICE_MASK) yield
    }
    // Zeros at their ends are all that tells them apart, so they are few.
    if (isBehindAll) entries.sort((a, b) => this.#compare(a, b))
    else yield* this.#sortRanks(ranks, entries, by)
  }

  /** Ranks to the entries they are of, in order. Many are dealt out by their words, few sorted at once. */
  *#sortRanks(ranks: Float64Array, sorted: Uint32Array, by: Words): Generator<void> {
    const count = ranks.length
    if (count <= PILE_ENTRIES_MAX) {
      ranks.sort()
      yield* this.#sortTies(ranks, sorted, by)
      return
    }
    let [least, most] = [Infinity, 0]
    for (let i = 0; i < count; i++) {
      const word = wordOf(ranks[i] as number)
      if (word < least) least = word
      if (word > most) most = word
      if ((i & SLICE_MASK) === SLICE_MASK) yield
    }
    if (least === most) {
      yield* this.#sortTies(ranks, sorted, by)
      return
    }
    const piles = Math.ceil(count / PILE_ENTRIES)
    const scale = piles / (most - least + 1)
    const starts = new Uint32Array(piles + 1)
    for (let i = 0; i < count; i++) {
      const pile = Math.floor((wordOf(ranks[i] as number) - least) * scale)
      starts[pile + 1] = (starts[pile + 1] as number) + 1
      if ((i & SLICE_MASK) === SLICE_MASK) yield
    }
    for (let i = 1; i <= piles; i++) starts[i] = (starts[i] as number) + (starts[i - 1] as number)
    const dealt = new Float64Array(count)
    const next = starts.slice()
    for (let i = 0; i < count; i++) {
      const rank = ranks[i] as number
      const pile = Math.floor((wordOf(rank) - least) * scale)
      const at = next[pile] as number
      dealt[at] = rank
      next[pile] = at + 1
      if ((i & SLICE_MASK) === SLICE_MASK) yield
    }
    for (let pile = 0; pile < piles; pile++) {
      const [from, to] = [starts[pile] as number, starts[pile + 1] as number]
      if (to - from > 0) {
        yield* this.#sortRanks(dealt.subarray(from, to), sorted.subarray(from, to), by)
      }
    }
  }

  /** The same for ranks in the order of their words: only equal ones are left to be told apart. */
  *#sortTies(ranks: Float64Array, sorted: Uint32Array, by: Words): Generator<void> {
    const count = ranks.length
    const next = { skip: by.skip + 4, words: by.words - 1 }
    let from = 0
    let word = -1
    for (let i = 0; i <= count; i++) {
      const thisWord = i < count ? wordOf(ranks[i] as number) : -1
      if (i < count) sorted[i] = (ranks[i] as number) - thisWord * SORTABLE_ENTRIES
      if ((i & SLICE_MASK) === SLICE_MASK) yield
      if (thisWord === word) continue
      if (i - from > 1) yield* this.#sortFrom(sorted.subarray(from, i), next)
      from = i
      word = thisWord
    }
    yield
  }

  /** Bytes that all keys begin with. */
  *#sharedPrefix(): Generator<void, number> {
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
      if ((entry & SLICE_MASK) === SLICE_MASK) yield
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
    if (this.#chunkUsed + key.length > CHUNK_BYTES) this.#nextChunk()
    const chunk = this.#chunks[this.#chunk] as Uint8Array
    for (let i = 0; i < key.length; i++) chunk[this.#chunkUsed + i] = key[i] as number
    this.#keyAt[entry] = this.#chunk * CHUNK_BYTES + this.#chunkUsed
    this.#chunkUsed += key.length
    this.#keyBytes[entry] = key.length
    this.#hash[entry] = hash
    this.#place(entry, hash)
    this.#sorted = null
    this.bytes += ENTRY_OVERHEAD_BYTES + key.length
    return entry
  }

  #nextChunk(): void {
    if (this.#chunk + 1 === CHUNKS_MAX)
      throw new EngineError('ENGINE_LIMIT', 'the memtable holds 4 GiB of keys')
    this.#chunk++
    this.#chunkUsed = 0
    if (this.#chunk === this.#chunks.length) this.#chunks.push(new Uint8Array(CHUNK_BYTES))
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
