/**
 * Which pages of index.db nothing reads. The lowest is given out first, so that the index fills from
 * the front and its end can be cut off. One bit a page, in chunks that are made when a page in them is
 * used: memory follows the tree, not what a meta page or a sparse file claims.
 */
import { assert } from '../assert.ts'

/** Pages of one chunk: 512 bytes of bits. */
const CHUNK_PAGES = 4096
const WORD_BITS = 32

interface Chunk {
  /** A set bit is a free page. */
  readonly bits: Uint32Array
  free: number
}

export class FreePages {
  /** First page id behind the index. */
  #end: number
  /** Below it a page without a chunk is used, from it on free. */
  readonly #freeFrom: number
  readonly #chunks = new Map<number, Chunk>()
  #count: number
  /** No page of a lower chunk is free. */
  #lowestChunk = 0

  /** Pages up to `end`: those below `freeFrom` are used, the others free. */
  constructor(end: number, freeFrom = end) {
    assert(freeFrom <= end, `free pages from ${freeFrom} in an index of ${end}`)
    this.#end = end
    this.#freeFrom = freeFrom
    this.#count = end - freeFrom
  }

  get end(): number {
    return this.#end
  }

  get count(): number {
    return this.#count
  }

  /** The lowest free page; undefined when there is none. */
  lowest(): number | undefined {
    for (; this.#count > 0; this.#lowestChunk++) {
      const chunk = this.#chunk(this.#lowestChunk)
      if (chunk.free === 0) continue
      const word = chunk.bits.findIndex((bits) => bits !== 0)
      const bits = chunk.bits[word] as number
      const bit = WORD_BITS - 1 - Math.clz32(bits & -bits)
      return this.#lowestChunk * CHUNK_PAGES + word * WORD_BITS + bit
    }
    return undefined
  }

  /** The lowest free page, or a new one at the end; used from now on. */
  take(): number {
    const id = this.lowest()
    if (id !== undefined) {
      this.use(id)
      return id
    }
    // Made before the end moves, so that the new page is not one of its free ones.
    this.#chunk(Math.floor(this.#end / CHUNK_PAGES))
    return this.#end++
  }

  /** A free page is used from now on. */
  use(id: number): void {
    const { chunk, word, mask } = this.#place(id)
    assert(((chunk.bits[word] as number) & mask) !== 0, `page ${id} is used already`)
    chunk.bits[word] = ((chunk.bits[word] as number) & ~mask) >>> 0
    chunk.free--
    this.#count--
  }

  add(id: number): void {
    assert(id < this.#end, `page ${id} of an index of ${this.#end} pages`)
    const { chunk, word, mask } = this.#place(id)
    assert(((chunk.bits[word] as number) & mask) === 0, `page ${id} is free already`)
    chunk.bits[word] = ((chunk.bits[word] as number) | mask) >>> 0
    chunk.free++
    this.#count++
    this.#lowestChunk = Math.min(this.#lowestChunk, Math.floor(id / CHUNK_PAGES))
  }

  /** Free pages with ids below `end`. */
  countBelow(end: number): number {
    let count = 0
    for (let index = 0; index * CHUNK_PAGES < end; index++) {
      const start = index * CHUNK_PAGES
      const chunk = this.#chunks.get(index)
      const stop = Math.min(end, this.#end, start + CHUNK_PAGES)
      if (chunk === undefined) count += Math.max(0, stop - Math.max(start, this.#freeFrom))
      else if (stop === start + CHUNK_PAGES) count += chunk.free
      else for (let id = start; id < stop; id++) if (this.#isFree(id)) count++
    }
    return count
  }

  /** Free pages behind the last used one. */
  get atEnd(): number {
    return this.#end - (this.#highestUsed() + 1)
  }

  /** Gives up the free pages behind the last used one. Returns how many. */
  trim(): number {
    const end = this.#highestUsed() + 1
    const cut = this.#end - end
    const from = Math.floor(end / CHUNK_PAGES)
    for (const index of [...this.#chunks.keys()]) if (index > from) this.#chunks.delete(index)
    const last = this.#chunks.get(from)
    if (last !== undefined) {
      for (let id = end; id < Math.min(this.#end, (from + 1) * CHUNK_PAGES); id++) {
        const word = Math.floor((id % CHUNK_PAGES) / WORD_BITS)
        last.bits[word] = ((last.bits[word] as number) & ~(1 << (id % WORD_BITS))) >>> 0
        last.free--
      }
    }
    this.#count -= cut
    this.#end = end
    return cut
  }

  #highestUsed(): number {
    for (let index = Math.floor((this.#end - 1) / CHUNK_PAGES); index >= 0; index--) {
      const chunk = this.#chunks.get(index)
      const start = index * CHUNK_PAGES
      const end = Math.min(this.#end, start + CHUNK_PAGES)
      if (chunk === undefined) {
        if (this.#freeFrom > start) return Math.min(end, this.#freeFrom) - 1
        continue
      }
      if (chunk.free === end - start) continue
      for (let id = end - 1; id >= start; id--) if (!this.#isFree(id)) return id
    }
    return -1
  }

  #isFree(id: number): boolean {
    const { chunk, word, mask } = this.#place(id)
    return ((chunk.bits[word] as number) & mask) !== 0
  }

  #place(id: number): { chunk: Chunk; word: number; mask: number } {
    const chunk = this.#chunk(Math.floor(id / CHUNK_PAGES))
    return {
      chunk,
      word: Math.floor((id % CHUNK_PAGES) / WORD_BITS),
      mask: (1 << (id % WORD_BITS)) >>> 0,
    }
  }

  #chunk(index: number): Chunk {
    const known = this.#chunks.get(index)
    if (known !== undefined) return known
    const start = index * CHUNK_PAGES
    const from = Math.max(start, this.#freeFrom)
    const end = Math.min(this.#end, start + CHUNK_PAGES)
    const chunk: Chunk = { bits: new Uint32Array(CHUNK_PAGES / WORD_BITS), free: 0 }
    for (let id = from; id < end; id++) {
      const word = Math.floor((id - start) / WORD_BITS)
      chunk.bits[word] = ((chunk.bits[word] as number) | (1 << (id % WORD_BITS))) >>> 0
      chunk.free++
    }
    this.#chunks.set(index, chunk)
    return chunk
  }
}
