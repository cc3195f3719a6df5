import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RowKeys } from '../../web/parts/row-keys.ts'

const free = (): boolean => false

/** Rows `from`, from + 1, ... */
const rowsFrom = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => String(from + index))

describe('RowKeys', () => {
  test('a row that is still drawn keeps its key, a new one beside it has one of its own', () => {
    const keys = new RowKeys()
    const [a, b, c] = keys.of(['a', 'b', 'c'], free)
    const [d, ...rest] = keys.of(['d', 'a', 'b'], free)
    expect(rest).toEqual([a, b])
    expect([a, b, c]).not.toContain(d)
  })

  test('where no row is left the new ones take over all keys, in their order', () => {
    const keys = new RowKeys()
    const before = keys.of(rowsFrom(0, 4), free)
    expect(keys.of(rowsFrom(100, 3), free)).toEqual(before.slice(0, 3))
    const more = keys.of(rowsFrom(200, 5), free)
    expect(more.slice(0, 3)).toEqual(before.slice(0, 3))
    expect(new Set([...before, ...more.slice(3)]).size).toBe(6)
  })

  test('with the focus in a row no key is taken over', () => {
    const keys = new RowKeys()
    const before = keys.of(rowsFrom(0, 4), free)
    const after = keys.of(rowsFrom(100, 4), () => true)
    expect(after.filter((key) => before.includes(key))).toEqual([])
  })

  test('asked again for the same rows it says the same', () => {
    const keys = new RowKeys()
    const first = keys.of(rowsFrom(0, 4), free)
    expect(keys.of(rowsFrom(0, 4), free)).toEqual(first)
  })

  test('keys are unique, and those of rows that stay never change their order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ from: fc.nat(40), count: fc.nat(12), held: fc.boolean() })),
        (windows) => {
          const keys = new RowKeys()
          let before: string[] = []
          for (const { from, count, held } of windows) {
            const now = keys.of(rowsFrom(from, count), () => held)
            expect(new Set(now).size).toBe(count)
            const kept = now.filter((key) => before.includes(key))
            expect(kept).toEqual(before.filter((key) => now.includes(key)))
            before = now
          }
        },
      ),
    )
  })
})
