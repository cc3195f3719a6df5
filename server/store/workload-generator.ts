/**
 * What the workload writes, as pure functions of the settings: the same seed gives the same keys,
 * values and order, whenever it runs and wherever it resumes. A key space `acct/<id>` is overwritten
 * again and again, which makes old segments stale; every height adds one record under its own
 * prefix and drops the one that leaves the window.
 */
import type { BatchOperation } from '../engine-door.ts'
import type { WorkloadSettings } from '../protocol.ts'

export const HEIGHT_PREFIX = 'h/'
/** First string after all keys with HEIGHT_PREFIX. */
export const HEIGHT_PREFIX_END = 'h0'

/** Height records kept: enough for range reads to have something, few enough to stay small. */
const HEIGHTS_KEPT = 1000

const encoder = new TextEncoder()

export function accountKey(id: number): Uint8Array {
  return encoder.encode(`acct/${String(id).padStart(8, '0')}`)
}

export function heightKey(height: number): Uint8Array {
  return encoder.encode(`${HEIGHT_PREFIX}${String(height).padStart(8, '0')}/head`)
}

/** undefined for a key that is not a height record. */
export function heightOf(key: Uint8Array): number | undefined {
  const match = /^h\/(\d+)\/head$/.exec(Buffer.from(key).toString('latin1'))
  return match?.[1] === undefined ? undefined : Number(match[1])
}

/** Overwrites in one batch: some tens at common rates, more where the rate needs it. */
export function operationsPerHeight(settings: WorkloadSettings): number {
  return Math.min(200, Math.max(10, Math.round(settings.putsPerSecond / 20)))
}

/**
 * One value: readable start, then stripes of 32 random and 32 constant bytes, so that LZ4 takes it
 * to about half.
 */
export function accountValue(settings: WorkloadSettings, id: number, version: number): Uint8Array {
  const value = Buffer.allocUnsafe(settings.valueBytes)
  const random = randomSource(hash32(settings.seed ^ id) + 1, version)
  const stripe = 'restage workload value, padding '
  for (let offset = 0; offset < value.length; offset += 64) {
    for (let at = offset; at < offset + 32 && at < value.length; at += 4) {
      const bits = random()
      for (let byte = 0; byte < 4 && at + byte < value.length; byte++) {
        value[at + byte] = bits >>> (byte * 8)
      }
    }
    if (offset + 32 < value.length) value.write(stripe, offset + 32, 'latin1')
  }
  value.write(`acct ${id} v${version} `, 0, 'latin1')
  return value
}

/** The operations of one height, in order. */
export function heightOperations(settings: WorkloadSettings, height: number): BatchOperation[] {
  const random = randomSource(settings.seed, height)
  const count = operationsPerHeight(settings)
  const operations: BatchOperation[] = []
  for (let i = 0; i < count; i++) {
    const id = accountId(settings, random() / 0x1_0000_0000)
    const key = accountKey(id)
    if (random() / 0x1_0000_0000 < settings.deleteRatio) operations.push({ op: 'delete', key })
    else operations.push({ op: 'put', key, value: accountValue(settings, id, height) })
  }
  const head = JSON.stringify({ height, operations: count, shape: settings.shape })
  operations.push({ op: 'put', key: heightKey(height), value: encoder.encode(head) })
  if (height > HEIGHTS_KEPT)
    operations.push({ op: 'delete', key: heightKey(height - HEIGHTS_KEPT) })
  return operations
}

/**
 * `uniform`: every key alike. `skewed`: the cube puts about a fifth of all writes on the hottest
 * hundredth of the keys. The multiplier scatters neighbours in heat over the whole key space.
 */
function accountId(settings: WorkloadSettings, u: number): number {
  if (settings.shape === 'uniform') return Math.floor(u * settings.keys)
  const rank = Math.floor(u * u * u * settings.keys)
  return (rank * 1_000_003) % settings.keys
}

/**
 * SplitMix32: u32 after u32. Streams start at hashed states: starting them at plain multiples of
 * the step would make each stream the one before, shifted by one.
 */
function randomSource(seed: number, stream: number): () => number {
  let state = hash32(hash32(seed) ^ stream)
  return () => {
    state = (state + 0x9e3779b9) | 0
    return hash32(state)
  }
}

function hash32(value: number): number {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x21f0aaad)
  mixed ^= mixed >>> 15
  mixed = Math.imul(mixed, 0x735a2d97)
  return (mixed ^ (mixed >>> 15)) >>> 0
}
