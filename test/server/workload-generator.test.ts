import { compressSync } from 'lz4-napi'
import { describe, expect, test } from 'vitest'
import { DEFAULT_WORKLOAD } from '../../server/demo.ts'
import {
  accountKey,
  accountValue,
  heightKey,
  heightOf,
  heightOperations,
  operationsPerHeight,
} from '../../server/store/workload-generator.ts'

const settings = DEFAULT_WORKLOAD

/** Writes per account over many heights, hottest first. */
function heat(shape: 'uniform' | 'skewed'): number[] {
  const writes = new Map<string, number>()
  for (let height = 1; height <= 2000; height++) {
    for (const operation of heightOperations({ ...settings, shape, valueBytes: 32 }, height)) {
      const key = Buffer.from(operation.key).toString()
      if (key.startsWith('acct/')) writes.set(key, (writes.get(key) ?? 0) + 1)
    }
  }
  return [...writes.values()].sort((a, b) => b - a)
}

describe('workload generator', () => {
  test('the same seed gives the same operations, another one others', () => {
    expect(heightOperations(settings, 7)).toEqual(heightOperations({ ...settings }, 7))
    expect(heightOperations(settings, 7)).not.toEqual(heightOperations(settings, 8))
    expect(heightOperations(settings, 7)).not.toEqual(heightOperations({ ...settings, seed: 2 }, 7))
  })

  test('a value names its key and version, has the size asked for and compresses about two to one', () => {
    const value = Buffer.from(accountValue(settings, 12, 345))
    expect(value.length).toBe(1024)
    expect(value.toString('latin1', 0, 13)).toBe('acct 12 v345 ')
    const ratio = compressSync(value).length / value.length
    expect(ratio).toBeGreaterThan(0.45)
    expect(ratio).toBeLessThan(0.65)
    expect(accountValue({ ...settings, valueBytes: 33 }, 1, 1)).toHaveLength(33)
    expect(Buffer.from(accountValue(settings, 12, 346)).equals(value)).toBe(false)
  })

  test('keys sort by number and heights read back', () => {
    expect(Buffer.compare(accountKey(9), accountKey(10))).toBe(-1)
    expect(Buffer.compare(heightKey(99), heightKey(100))).toBe(-1)
    expect(heightOf(heightKey(1234))).toBe(1234)
    expect(heightOf(accountKey(1))).toBeUndefined()
  })

  test('skewed writes keep to few keys, uniform ones do not', () => {
    const share = (writes: number[]): number => {
      const hottest = writes.slice(0, settings.keys / 100).reduce((sum, n) => sum + n, 0)
      return hottest / writes.reduce((sum, n) => sum + n, 0)
    }
    expect(share(heat('skewed'))).toBeGreaterThan(0.2)
    expect(share(heat('uniform'))).toBeLessThan(0.05)
  })

  test('every height writes its own record and drops the one that leaves the window', () => {
    const operations = heightOperations(settings, 1500)
    expect(operations).toHaveLength(operationsPerHeight(settings) + 2)
    expect(operations.at(-2)).toMatchObject({ op: 'put', key: heightKey(1500) })
    expect(operations.at(-1)).toEqual({ op: 'delete', key: heightKey(500) })
  })

  test('the delete ratio is kept to', () => {
    let deletes = 0
    let all = 0
    for (let height = 1; height <= 400; height++) {
      for (const operation of heightOperations({ ...settings, deleteRatio: 0.25 }, height)) {
        if (!Buffer.from(operation.key).toString().startsWith('acct/')) continue
        all += 1
        if (operation.op === 'delete') deletes += 1
      }
    }
    expect(deletes / all).toBeGreaterThan(0.22)
    expect(deletes / all).toBeLessThan(0.28)
  })
})
