/**
 * The workload all stores get, made from a seed: keys, the order of writes, and values that can be
 * told again from key and version, so that every byte read is checked without keeping any.
 */

export interface Workload {
  puts: number
  keys: number
  gets: number
  valueBytes: number
  batch: number
  seed: number
}

/** xorshift32: enough to shuffle, and the same on every machine. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed | 0 || 1
  }

  next(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x >>> 0
  }

  below(limit: number): number {
    return this.next() % limit
  }

  shuffle(list: Uint32Array): Uint32Array {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const held = list[i] as number
      list[i] = list[j] as number
      list[j] = held
    }
    return list
  }
}

const KEY_BYTES = 16
const NOISE_BYTES = 1024 * 1024

export class Data {
  readonly workload: Workload
  /** Keys in write order: each once, then all again, shuffled, until there were enough puts. */
  readonly order: Uint32Array
  readonly #keys: Buffer
  readonly #noise: Buffer
  /** Newest version of each key; 0 = not written, -1 = deleted. */
  readonly #versions: Int32Array
  readonly #expected: Buffer

  constructor(workload: Workload) {
    this.workload = workload
    const random = new Random(workload.seed)
    this.#keys = noise(random, workload.keys * KEY_BYTES)
    this.#noise = noise(random, NOISE_BYTES)
    this.#versions = new Int32Array(workload.keys)
    this.#expected = Buffer.allocUnsafeSlow(workload.valueBytes)
    this.order = new Uint32Array(workload.puts)
    const inserts = random.shuffle(Uint32Array.from({ length: workload.keys }, (_, i) => i))
    const churn = new Uint32Array(Math.max(0, workload.puts - workload.keys))
    for (let i = 0; i < churn.length; i++) churn[i] = i % workload.keys
    this.order.set(inserts.subarray(0, workload.puts))
    this.order.set(random.shuffle(churn), workload.keys)
  }

  key(index: number): Buffer {
    return this.#keys.subarray(index * KEY_BYTES, (index + 1) * KEY_BYTES)
  }

  /** Fills in a value of the key's next version. The second half repeats the first. */
  nextValue(index: number, target: Buffer): void {
    const version = (this.#versions[index] as number) + 1
    this.#versions[index] = version
    this.#fill(index, version, target)
  }

  deleted(index: number): void {
    this.#versions[index] = -1
  }

  isDeleted(index: number): boolean {
    return this.#versions[index] === -1
  }

  get liveKeys(): number {
    return this.#versions.reduce((count, version) => count + (version > 0 ? 1 : 0), 0)
  }

  /** Throws unless `value` is what was put last, or absent where the key is deleted. */
  check(index: number, value: Uint8Array | undefined): void {
    const version = this.#versions[index] as number
    if (version <= 0) {
      if (value === undefined) return
      throw new Error(`key ${index} is deleted, but was read`)
    }
    if (value === undefined) throw new Error(`key ${index} is missing`)
    this.#fill(index, version, this.#expected)
    if (Buffer.compare(value, this.#expected) !== 0) {
      throw new Error(`key ${index} has another value than was put last`)
    }
  }

  #fill(index: number, version: number, target: Buffer): void {
    const half = target.length >>> 1
    const from = (Math.imul(index + 1, 2654435761) ^ Math.imul(version, 40503)) >>> 0
    const start = from % (NOISE_BYTES - half)
    this.#noise.copy(target, 0, start, start + half)
    target.writeUInt32LE(index, 0)
    target.writeUInt32LE(version, 4)
    target.copyWithin(half, 0, target.length - half)
  }
}

function noise(random: Random, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafeSlow(bytes)
  for (let i = 0; i + 4 <= bytes; i += 4) buffer.writeUInt32LE(random.next(), i)
  return buffer
}
