/**
 * The newest events of one stream as the bytes of their JSON, bounded by count and by bytes. Batches
 * are kept as the worker made them; parts of one are cut at its offsets, nothing is ever parsed.
 */
import type { EventBatch } from '../store/worker-contract.ts'
import { EVENTS_MASK, type TopicMask } from '../topics.ts'

export interface RingLimits {
  eventsMax: number
  bytesMax: number
}

const COMMA = Buffer.from(',')

export class EventRing {
  readonly #limits: RingLimits
  #held: EventBatch[] = []
  #count = 0
  #bytes = 0
  #newestSeq = 0

  constructor(limits: RingLimits) {
    this.#limits = limits
  }

  /** 0 before the first event, or where the stream began. */
  get newestSeq(): number {
    return this.#newestSeq
  }

  /** newestSeq + 1 when nothing is held. */
  get oldestSeq(): number {
    return this.#newestSeq - this.#count + 1
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Forgets everything; the next event is `newestSeq` + 1. */
  restart(newestSeq: number): void {
    this.#held = []
    this.#count = 0
    this.#bytes = 0
    this.#newestSeq = newestSeq
  }

  /** The batch follows the newest event. One that is larger than all allowance is not held. */
  push(batch: EventBatch): void {
    if (batch.count === 0) return
    this.#held.push(batch)
    this.#newestSeq = batch.firstSeq + batch.count - 1
    this.#count += batch.count
    this.#bytes += batch.bytes.length
    const { eventsMax, bytesMax } = this.#limits
    let drop = 0
    while (this.#count > eventsMax || this.#bytes > bytesMax) {
      const oldest = this.#held[drop]
      if (oldest === undefined) break
      this.#count -= oldest.count
      this.#bytes -= oldest.bytes.length
      drop += 1
    }
    if (drop > 0) this.#held.splice(0, drop)
  }

  /** Whether everything after `seq` is held. */
  holdsAfter(seq: number): boolean {
    return seq <= this.#newestSeq && seq >= this.oldestSeq - 1
  }

  /** Batches that reach beyond `seq`, oldest first. */
  after(seq: number): EventBatch[] {
    return this.#held.filter((batch) => batch.firstSeq + batch.count - 1 > seq)
  }

  /** Events of `mask` from `first` on, at most `limit`, joined by commas. */
  slice(first: number, limit: number, mask: TopicMask = EVENTS_MASK): Buffer {
    const parts: Uint8Array[] = []
    let left = limit
    for (const batch of this.#held) {
      if (left <= 0) break
      const from = Math.max(first, batch.firstSeq)
      const to = Math.min(batch.firstSeq + batch.count, from + left)
      if (from >= to) continue
      const part = cut(batch, from, to, mask)
      if (part.length > 0) parts.push(part)
      left -= to - from
    }
    return joined(parts)
  }
}

/** Events `from` up to but not including `to` that are of `mask`, joined by commas. */
export function cut(batch: EventBatch, from: number, to: number, mask: TopicMask): Uint8Array {
  const first = from - batch.firstSeq
  const end = to - batch.firstSeq
  if ((mask & EVENTS_MASK) === EVENTS_MASK) {
    return batch.bytes.subarray(startOf(batch, first), batch.ends[end - 1])
  }
  const parts: Uint8Array[] = []
  for (let i = first; i < end;) {
    if (((batch.topics[i] ?? 0) & mask) === 0) {
      i += 1
      continue
    }
    // Runs of wanted events are one part.
    let last = i
    while (last + 1 < end && ((batch.topics[last + 1] ?? 0) & mask) !== 0) last += 1
    parts.push(batch.bytes.subarray(startOf(batch, i), batch.ends[last]))
    i = last + 1
  }
  return joined(parts)
}

/** Parts with commas between them. */
export function joined(parts: readonly Uint8Array[]): Buffer {
  const [only] = parts
  if (only === undefined) return Buffer.alloc(0)
  if (parts.length === 1) return Buffer.from(only.buffer, only.byteOffset, only.length)
  return Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [COMMA, part])))
}

function startOf(batch: EventBatch, index: number): number {
  return index === 0 ? 0 : (batch.ends[index - 1] ?? 0) + 1
}
