/**
 * The hash of keys in memory: HalfSipHash-1-3, seeded for each opening. Somebody who chooses keys but
 * does not know the seed cannot make them meet in one slot; with a multiplying hash he could, whatever
 * its seed, because some differences cancel out for every seed.
 */
export class KeyHasher {
  readonly #seedLow: number
  readonly #seedHigh: number

  /** Two random words. */
  constructor(seedLow: number, seedHigh: number) {
    this.#seedLow = seedLow | 0
    this.#seedHigh = seedHigh | 0
  }

  /** 32 bits, signed; any of them may choose a slot. */
  hash(key: Uint8Array): number {
    let v0 = this.#seedLow
    let v1 = this.#seedHigh
    let v2 = 0x6c796765 ^ v0
    let v3 = 0x74656462 ^ v1
    const bytes = key.length
    const last = bytes & ~3
    // The words of the key, its tail with its length, and three empty rounds to end with.
    for (let i = 0; i <= last + 12; i += 4) {
      let word = 0
      if (i < last) {
        word =
          (key[i] as number) |
          ((key[i + 1] as number) << 8) |
          ((key[i + 2] as number) << 16) |
          ((key[i + 3] as number) << 24)
      } else if (i === last) {
        word = bytes << 24
        for (let j = i; j < bytes; j++) word |= (key[j] as number) << (8 * (j - i))
      } else if (i === last + 4) v2 ^= 0xff
      v3 ^= word
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
      v0 ^= word
    }
    return v1 ^ v3
  }
}
