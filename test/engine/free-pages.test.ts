/** The account of free pages against a plain set, also around the borders of its chunks. */
import { describe, expect, test } from 'vitest'
import { FreePages } from '../../engine/index/free-pages.ts'
import { SEED, randomFrom, runs } from '../support/random.ts'

const CHUNK = 4096

describe(`free pages (seed ${SEED})`, () => {
  test('gives out the lowest and cuts behind the highest, as a set would', () => {
    const random = randomFrom(SEED)
    for (let round = 0; round < runs(40); round++) {
      let end = random.pick([2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
      const from = random.chance(0.5) ? end : random.between(0, Math.min(end, 5))
      const pages = new FreePages(end, from)
      const free = new Set(Array.from({ length: end - from }, (_, i) => from + i))
      for (let step = 0; step < 300; step++) {
        const used = Array.from({ length: Math.min(end, 3) }, () => random.between(0, end - 1))
        const most = random.between(1, 60)
        switch (random.between(0, 3)) {
          case 0:
            for (let i = 0; i < most; i++) {
              const lowest = free.size === 0 ? end : Math.min(...free)
              expect(pages.take()).toBe(lowest)
              if (!free.delete(lowest)) end++
            }
            break
          case 1:
            for (const id of new Set(used)) {
              if (free.has(id)) continue
              pages.add(id)
              free.add(id)
            }
            break
          case 2:
            for (const id of new Set(used)) {
              if (!free.delete(id)) continue
              pages.use(id)
            }
            break
          default: {
            const before = end
            while (free.delete(end - 1)) end--
            expect(pages.trim()).toBe(before - end)
          }
        }
        expect(pages.end).toBe(end)
        expect(pages.count).toBe(free.size)
        expect(pages.lowest()).toBe(free.size === 0 ? undefined : Math.min(...free))
        const below = random.between(0, end)
        const inFront = [...free].filter((id) => id < below).length
        expect([below, pages.countBelow(below)]).toEqual([below, inFront])
        let atEnd = 0
        while (free.has(end - 1 - atEnd)) atEnd++
        expect(pages.atEnd).toBe(atEnd)
      }
    }
  })

  test('costs no memory for pages that a sparse file only claims', () => {
    const before = process.memoryUsage().arrayBuffers
    const pages = new FreePages(2 ** 38, 2)
    pages.use(2)
    pages.use(2 ** 38 - 1)
    expect(pages.lowest()).toBe(3)
    expect(pages.count).toBe(2 ** 38 - 4)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000)
  })

  test.each([
    ['using a page twice', (pages: FreePages) => pages.use(1)],
    ['freeing a page twice', (pages: FreePages) => pages.add(3)],
    ['freeing a page behind the end', (pages: FreePages) => pages.add(9)],
  ])('%s is a bug that does not pass', (_, wrong) => {
    const pages = new FreePages(9, 2)
    expect(() => wrong(pages)).toThrow(/page \d/)
  })
})
