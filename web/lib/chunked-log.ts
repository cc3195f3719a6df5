// An append-only list that stays cheap at a million entries: fixed chunks, shared between versions,
// the oldest dropped as a whole past a weight. A version never changes, so holding one on to is a
// pause button, and work done for a full chunk (filtering, counting) can be kept for ever.

export const CHUNK_SIZE = 2048

export interface LogChunk<T> {
  readonly items: readonly T[]
  /** Sum over its items, as `weigh` said. */
  readonly weight: number
}

export interface ChunkedLog<T> {
  /** Full but the last, and those around something that was put in between. */
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
  // From the end: what is looked at is mostly new.
  let before = log.length
  for (let at = log.chunks.length - 1; at >= 0; at -= 1) {
    const items = log.chunks[at]?.items ?? []
    before -= items.length
    if (index >= before) return items[index - before]
  }
  return undefined
}

/** A new version with `items` in the place of `item`, the same object; the log itself when it is not there. */
export function replaceInLog<T>(
  log: ChunkedLog<T>,
  item: T,
  items: readonly T[],
  limits: LogLimits<T>,
): ChunkedLog<T> {
  const at = log.chunks.findIndex((chunk) => chunk.items.includes(item))
  const chunk = log.chunks[at]
  if (chunk === undefined) return log
  const place = chunk.items.indexOf(item)
  const all = [...chunk.items.slice(0, place), ...items, ...chunk.items.slice(place + 1)]
  const parts: LogChunk<T>[] = []
  for (let from = 0; from < all.length; from += CHUNK_SIZE) {
    const part = all.slice(from, from + CHUNK_SIZE)
    parts.push({ items: part, weight: part.reduce((sum, one) => sum + limits.weigh(one), 0) })
  }
  const weight = parts.reduce((sum, part) => sum + part.weight, 0)
  return dropOldest(
    {
      chunks: [...log.chunks.slice(0, at), ...parts, ...log.chunks.slice(at + 1)],
      length: log.length - chunk.items.length + all.length,
      weight: log.weight - chunk.weight + weight,
      dropped: log.dropped,
    },
    limits,
  )
}

export function lastOfLog<T>(log: ChunkedLog<T>): T | undefined {
  return log.chunks.at(-1)?.items.at(-1)
}

/** Every entry, oldest first; for tests and short logs. */
export function logItems<T>(log: ChunkedLog<T>): T[] {
  return log.chunks.flatMap((chunk) => [...chunk.items])
}
