import { crc32, crc32c } from '@node-rs/crc32'
import { describe, expect, test } from 'vitest'
import { changedChecksum, joinedChecksum } from '../../engine/checksum-shift.ts'

const native = { ieee: crc32, crc32c }

/** Noise of a fixed seed. */
function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  let state = seed | 1
  for (let i = 0; i < bytes; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9
    buffer[i] = state >>> 24
  }
  return buffer
}

describe('the checksum of changed bytes', () => {
  for (const kind of ['ieee', 'crc32c'] as const) {
    for (const behind of [0, 1, 3, 4, 7, 255, 1_004, 8_191, 8_192, 100_003, 2 ** 20 + 5]) {
      test(`${kind}: is what reading all of them gives, ${behind} bytes before the end`, () => {
        const bytes = noise(12 + behind, behind + 1)
        const before = native[kind](bytes)
        const words = { low: bytes.readUInt32LE(4), high: bytes.readUInt32LE(8) }
        for (const [low, high] of [
          [1, 0],
          [0xfffffffe, 0x80000001],
          [words.low, words.high],
        ] as const) {
          bytes.writeUInt32LE(low, 4)
          bytes.writeUInt32LE(high, 8)
          const change = { low: words.low ^ low, high: words.high ^ high }
          // Twice: the second time from what the first one kept.
          for (let i = 0; i < 2; i++) {
            expect(changedChecksum(kind, before, change, behind)).toBe(native[kind](bytes))
          }
        }
      })
    }
  }
})

describe('the checksum of two parts', () => {
  for (const kind of ['ieee', 'crc32c'] as const) {
    for (const second of [0, 1, 5, 1_020, 8_191, 8_192, 70_001]) {
      test(`${kind}: follows from those of each, the second of ${second} bytes`, () => {
        const whole = noise(777 + second, second + 3)
        const [a, b] = [whole.subarray(0, 777), whole.subarray(777)]
        // Often enough that a table takes over where there are tables.
        for (let i = 0; i < 100; i++) {
          const joined = joinedChecksum(kind, native[kind](a), native[kind](b), second)
          expect(joined).toBe(native[kind](whole))
        }
      })
    }
  }
})
