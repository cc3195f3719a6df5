// An append-only list that stays cheap at a million entries: fixed chunks, shared between versions,
// the oldest dropped as a whole past a weight. A version never changes, so holding one on to is a
// pause button, and work done for a full chunk (filtering, counting) can be kept for ever.

/** A power of two, so that an index splits into chunk and place by shifting. */
const CHUNK_BITS = 11
export const CHUNK_SIZE = 1 << CHUNK_BITS

export interface LogChunk<T> {
  readonly items: readonly T[]
  /** Sum over its items, as `weigh` said. */
  readonly weight: number
}

export interface ChunkedLog<T> {
  /** All full but the last. */
  readonly chunks: readonly LogChunk<T>[]
  readonly length: number
  readonly weight: number
  /** How many entries have been dropped from the front since the log was new. */
  readonly dropped: number
}

export const emptyLog: ChunkedLog<never> = { chunks: [], length: 0, weight: 0, dropped: 0 }

export interface LogLimits<T> {
  weigh: (item: T) => number
  weightMax: number
  lengthMax: number
}

/** A new version with `items` at the end; chunks before the last are the same objects. */
export function appendToLog<T>(
  log: ChunkedLog<T>,
  items: readonly T[],
  limits: LogLimits<T>,
): ChunkedLog<T> {
  if (items.length === 0) return log
  const chunks = log.chunks.slice()
  let added = 0
  let from = 0
  while (from < items.length) {
    const last = chunks.at(-1)
    const open = last !== undefined && last.items.length < CHUNK_SIZE ? last : null
    const room = CHUNK_SIZE - (open?.items.length ?? 0)
    const taken = items.slice(from, from + room)
    const weight = taken.reduce((sum, item) => sum + limits.weigh(item), 0)
    if (open === null) chunks.push({ items: taken, weight })
    else {
      chunks[chunks.length - 1] = {
        items: open.items.concat(taken),
        weight: open.weight + weight,
      }
    }
    added += weight
    from += taken.length
  }
  return dropOldest(
    {
      chunks,
      length: log.length + items.length,
      weight: log.weight + added,
      dropped: log.dropped,
    },
    limits,
  )
}

function dropOldest<T>(log: ChunkedLog<T>, limits: LogLimits<T>): ChunkedLog<T> {
  let { length, weight, dropped } = log
  let gone = 0
  // The newest chunk stays whatever it weighs: a log that shows nothing helps nobody.
  while (gone < log.chunks.length - 1 && (weight > limits.weightMax || length > limits.lengthMax)) {
    const chunk = log.chunks[gone]
    if (chunk === undefined) break
    length -= chunk.items.length
    weight -= chunk.weight
    dropped += chunk.items.length
    gone += 1
  }
  return gone === 0 ? log : { chunks: log.chunks.slice(gone), length, weight, dropped }
}

/** Entry `index`, from 0 = oldest held. */
export function logAt<T>(log: ChunkedLog<T>, index: number): T | undefined {
  return log.chunks[index >>> CHUNK_BITS]?.items[index & (CHUNK_SIZE - 1)]
}

export function lastOfLog<T>(log: ChunkedLog<T>): T | undefined {
  return log.chunks.at(-1)?.items.at(-1)
}

/** Every entry, oldest first; for tests and short logs. */
export function logItems<T>(log: ChunkedLog<T>): T[] {
  return log.chunks.flatMap((chunk) => [...chunk.items])
}
