import { describe, expect, test } from 'vitest'
import { KeyHasher } from '../../engine/key-hash.ts'
import { randomFrom } from '../support/random.ts'

const random = randomFrom(20260323)
const word = (): number => Math.floor(random.next() * 2 ** 32)
const hasher = (): KeyHasher => new KeyHasher(word(), word())

function anyKey(bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, () => random.between(0, 255)))
}

describe('hash of keys', () => {
  test('the same of the same bytes under one seed, and another under another', () => {
    const [one, other] = [hasher(), hasher()]
    for (let bytes = 1; bytes <= 40; bytes++) {
      const key = anyKey(bytes)
      expect(one.hash(Uint8Array.from(key))).toBe(one.hash(key))
      expect(one.hash(key)).not.toBe(other.hash(key))
    }
  })

  test('each bit of a key and its length change about half of the bits', () => {
    const { hash } = bound(hasher())
    for (const bytes of [1, 3, 4, 5, 8, 16, 17]) {
      let [changed, tried] = [0, 0]
      for (let run = 0; run < 64; run++) {
        const key = anyKey(bytes)
        const before = hash(key)
        for (let bit = 0; bit < bytes * 8; bit++) {
          const other = Buffer.from(key)
          other[bit >> 3] = (other[bit >> 3] as number) ^ (1 << (bit & 7))
          changed += ones(before ^ hash(other))
          tried++
        }
        expect(hash(Buffer.concat([key, Buffer.of(0)]))).not.toBe(before)
      }
      expect(Math.abs(changed / tried - 16)).toBeLessThan(0.5)
    }
  })

  test('keys that count up spread over slots like random ones', () => {
    const { hash } = bound(hasher())
    const slots = new Uint32Array(4096)
    for (let i = 0; i < 40_960; i++) {
      const slot = hash(Buffer.from(`user/${String(i).padStart(11, '0')}`)) & 4095
      slots[slot] = (slots[slot] as number) + 1
    }
    const chiSquare = slots.reduce((sum, n) => sum + (n - 10) ** 2 / 10, 0)
    // 4095 degrees of freedom: five standard deviations.
    expect(Math.abs(chiSquare - 4095)).toBeLessThan(5 * Math.sqrt(2 * 4095))
  })

  // In a hash that multiplies word by word the highest bit's difference passes the multiplication
  // alone, and the next word can take it back: such pairs met under every seed.
  test('differences that cancel out in a multiplying hash do not make keys meet', () => {
    const met = Array.from({ length: 200 }, () => {
      const key = anyKey(16)
      const other = Buffer.from(key)
      other.writeUInt32LE((key.readUInt32LE(0) ^ 0x80000000) >>> 0, 0)
      other.writeUInt32LE((key.readUInt32LE(4) ^ 0x80010000) >>> 0, 4)
      const { hash } = bound(hasher())
      return hash(key) === hash(other)
    })
    expect(met.filter(Boolean)).toEqual([])
  })
})

function bound(of: KeyHasher): { hash: (key: Uint8Array) => number } {
  return { hash: (key) => of.hash(key) }
}

function ones(bits: number): number {
  let count = 0
  for (let rest = bits >>> 0; rest !== 0; rest &= rest - 1) count++
  return count
}
