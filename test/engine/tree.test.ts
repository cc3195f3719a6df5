/** The copy-on-write tree against a sorted map, and the account of its pages. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import * as v8 from 'node:v8'
import * as vm from 'node:vm'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { OpenFile } from '../../engine/file-system.ts'
import { entryStart, entryKey, entryValue, EntryRun } from '../../engine/index/leaf.ts'
import { PAGE_LEAF, pageCount, pageType, type Page } from '../../engine/index/page.ts'
import { PageStore } from '../../engine/index/page-store.ts'
import { childAt } from '../../engine/index/internal.ts'
import { relocate } from '../../engine/index/relocate.ts'
import { findInTree, mergeChanges, walkTree, type Change } from '../../engine/index/tree.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  removeFolder,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { watchPages } from '../support/watch-pages.ts'
import { SEED, randomFrom, runs, type Random } from '../support/random.ts'

interface Entry {
  name: string
  inline: Uint8Array
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')
const bytesOf = (name: string): Uint8Array => Uint8Array.from(Buffer.from(name, 'latin1'))

/** The least a cache holds, however few bytes it is given. */
const CACHED_PAGES = 64

/** A tree alone, with every older root kept open until it is let go. */
class Bench {
  readonly folder = memoryFolder()
  readonly file: OpenFile = quickFileSystem.open(path.join(this.folder, 'index.db'), 'create')
  readonly pages = new PageStore(this.file, 'ieee', { totalPages: 3, cacheBytes: 64 * 1024 })
  readonly model = new Map<string, Uint8Array>()
  root = 2
  version = 0
  /** Older roots somebody still reads: version -> root and what it held. */
  readonly held = new Map<number, { root: number; entries: Entry[] }>()

  constructor() {
    this.pages.write(2, new EntryRun().layOut(0, 0, 2, 'ieee'))
  }

  merge(changes: Map<string, Uint8Array | null>): void {
    this.pages.release([this.version, ...this.held.keys()])
    const sorted = [...changes].sort(([a], [b]) => (a < b ? -1 : 1))
    const list: Change[] = sorted.map(([name, inline]) => ({
      key: bytesOf(name),
      value: inline === null ? { kind: 'tombstone' } : { kind: 'inline', value: inline },
    }))
    const work = mergeChanges(this.pages, this.root, list)
    let step = work.next()
    while (step.done !== true) step = work.next()
    this.version++
    this.pages.retire(this.version, step.value.retired)
    this.root = step.value.root
    for (const [name, inline] of sorted) {
      if (inline === null) this.model.delete(name)
      else this.model.set(name, inline)
    }
  }

  /** As a vacuum does it, with the target of now. */
  relocate(pagesMax: number): number {
    this.pages.release([this.version, ...this.held.keys()])
    const { totalPages, freePages, waitingPages } = this.pages
    const limit = totalPages - freePages - waitingPages
    let from: Uint8Array | null = null
    let moved = 0
    do {
      const work = relocate(this.pages, this.root, { limit, pagesMax, from })
      let step = work.next()
      while (step.done !== true) step = work.next()
      const { value: done } = step
      moved += done.moved
      from = done.next
      if (done.root === this.root) break
      this.version++
      this.pages.retire(this.version, done.retired)
      this.root = done.root
      this.pages.release([this.version, ...this.held.keys()])
    } while (from !== null)
    return moved
  }

  hold(): void {
    this.held.set(this.version, { root: this.root, entries: this.sorted() })
  }

  letGo(version: number): void {
    this.held.delete(version)
  }

  sorted(): Entry[] {
    return [...this.model]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inline]) => ({ name, inline }))
  }

  entries(root: number): { entries: Entry[]; pages: Set<number> } {
    const entries: Entry[] = []
    const pages = new Set<number>()
    const leaf = (page: Parameters<typeof pageCount>[0]): void => {
      for (let i = 0; i < pageCount(page); i++) {
        const start = entryStart(page, i)
        const found = entryValue(page, start)
        if (found.kind !== 'inline') throw new Error(`a ${found.kind} in the tree`)
        entries.push({ name: latin1(entryKey(page, start)), inline: found.value })
      }
    }
    const walk = walkTree(this.pages, root, { page: (id) => pages.add(id), leaf })
    while (walk.next().done !== true);
    return { entries, pages }
  }

  depth(): number {
    let page = this.pages.read(this.root)
    let depth = 1
    for (; pageType(page) !== PAGE_LEAF; depth++) page = this.pages.read(childAt(page, 0))
    return depth
  }

  /** The tree holds the model; every held root still holds what it held; no page is unaccounted for. */
  check(): void {
    const now = this.entries(this.root)
    expectEntries(now.entries, this.sorted())
    const reachable = new Set(now.pages)
    for (const { root, entries } of this.held.values()) {
      const older = this.entries(root)
      expectEntries(older.entries, entries)
      for (const id of older.pages) reachable.add(id)
    }
    this.pages.release([this.version, ...this.held.keys()])
    // Pages 0 and 1 are the metas. Whatever came and went between two held roots is free.
    expect(reachable.size + this.pages.freePages).toBe(this.pages.totalPages - 2)
  }

  close(): void {
    this.file.close()
    removeFolder(this.folder)
  }
}

function expectEntries(found: Entry[], wanted: Entry[]): void {
  expect(found.length).toBe(wanted.length)
  for (const [i, entry] of found.entries()) {
    const other = wanted[i]
    if (entry.name !== other?.name || Buffer.compare(entry.inline, other.inline) !== 0) {
      throw new Error(
        `entry ${i}: ${entry.name.slice(0, 30)}, expected ${other?.name.slice(0, 30)}`,
      )
    }
  }
}

/** Keys of 1 to 2000 bytes with long common prefixes, values of 0 to 2048. */
function randomChanges(random: Random, bench: Bench): Map<string, Uint8Array | null> {
  const changes = new Map<string, Uint8Array | null>()
  const known = [...bench.model.keys()]
  const count = random.chance(0.1) ? random.between(50, 300) : random.between(1, 20)
  const long = random.chance(0.15)
  const deleting = random.chance(0.25)
  for (let i = 0; i < count; i++) {
    const old = known.length > 0 && random.chance(deleting ? 0.95 : 0.4)
    const fresh = `${'p'.repeat(long ? random.between(0, 1990) : random.between(0, 3))}${String(random.between(0, 99_999))}`
    const name = old ? random.pick(known) : fresh
    const bytes = random.chance(0.1) ? random.between(0, 2048) : random.between(0, 60)
    changes.set(name, deleting && random.chance(0.9) ? null : value(i, bytes))
  }
  return changes
}

test('M9: a merge gives the thread back after each page, also when all changes belong to one leaf', () => {
  const file = quickFileSystem.open(path.join(memoryFolder(), 'index.db'), 'create')
  const pages = new PageStore(file, 'ieee', { totalPages: 3, cacheBytes: 1024 * 1024 })
  pages.write(2, new EntryRun().layOut(0, 0, 2, 'ieee'))
  let written = 0
  const write = pages.write.bind(pages)
  pages.write = (id, page) => {
    written++
    write(id, page)
  }
  const ascending = (from: number): Change[] =>
    Array.from({ length: 20_000 }, (_, i) => ({
      key: key(from + i),
      value: { kind: 'inline', value: value(i, 8) },
    }))
  let root = 2
  for (const from of [0, 20_000]) {
    const work = mergeChanges(pages, root, ascending(from))
    let most = 0
    let steps = 0
    let before = written
    let step = work.next()
    for (; step.done !== true; step = work.next()) {
      most = Math.max(most, written - before)
      before = written
      steps++
    }
    // Entries are merged in steps as well, before any page is written.
    expect(steps).toBeGreaterThan(step.value.pagesWritten + 20_000 / 1024)
    expect(most).toBeLessThanOrEqual(2)
    root = step.value.root
  }
})

describe(`merging into the tree (seed ${SEED})`, () => {
  let bench: Bench
  beforeEach(() => (bench = new Bench()))
  afterEach(() => bench.close())

  test('random batches leave what a sorted map holds, and older roots untouched', () => {
    const random = randomFrom(SEED)
    const batches = runs(1500)
    for (let i = 0; i < batches; i++) {
      bench.merge(randomChanges(random, bench))
      if (random.chance(0.05)) bench.hold()
      const oldest = [...bench.held.keys()][0]
      if (oldest !== undefined && (bench.held.size > 3 || random.chance(0.05))) bench.letGo(oldest)
      if (random.chance(0.03)) bench.relocate(random.between(1, 40))
      if (random.chance(0.03)) bench.pages.trim()
      if (i % 25 === 0) bench.check()
    }
    bench.held.clear()
    bench.check()
    for (const [name, inline] of bench.model) {
      const found = findInTree(bench.pages, bench.root, bytesOf(name))
      if (found?.kind !== 'inline' || Buffer.compare(found.value, inline) !== 0) {
        throw new Error(`${name.slice(0, 30)} is not found`)
      }
    }
  })

  const names = Array.from({ length: 6000 }, (_, i) => String(i).padStart(6, '0'))
  const shuffled = (): string[] => {
    const random = randomFrom(SEED)
    return names
      .map((name) => ({ name, at: random.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ name }) => name)
  }

  test.each([
    ['ascending', (): string[] => names],
    ['descending', (): string[] => names.toReversed()],
    ['random', shuffled],
  ])('grows to three levels and back to one empty leaf, %s', (_, order) => {
    const inline = value(1, 30)
    const steps = (size: number): string[][] => {
      const all = order()
      return Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
        all.slice(i * size, (i + 1) * size),
      )
    }
    for (const some of steps(40))
      bench.merge(new Map(some.map((name) => [`${name}${'x'.repeat(60)}`, inline])))
    bench.check()
    expect(bench.depth()).toBeGreaterThanOrEqual(3)
    for (const some of steps(170))
      bench.merge(new Map(some.map((name) => [`${name}${'x'.repeat(60)}`, null])))
    bench.check()
    expect(bench.depth()).toBe(1)
    expect(bench.model.size).toBe(0)
    const grown = bench.pages.totalPages
    for (const some of steps(40))
      bench.merge(new Map(some.map((name) => [`${name}${'x'.repeat(60)}`, inline])))
    bench.check()
    expect(bench.pages.totalPages).toBeLessThan(grown * 1.2)
  })

  test('ascending inserts fill their leaves', () => {
    for (let i = 0; i < 100; i++) {
      bench.merge(new Map(names.slice(i * 40, i * 40 + 40).map((name) => [name, value(1, 100)])))
    }
    const { pages } = bench.entries(bench.root)
    // 117 bytes an entry, 35 to a page of which the directory takes little.
    expect(pages.size).toBeLessThan(4000 / 30)
  })

  test('keys of 2000 bytes still branch', () => {
    for (let i = 0; i < 60; i++) {
      bench.merge(
        new Map([[`${'k'.repeat(1994)}${String((i * 7) % 60).padStart(6, '0')}`, value(i, 2048)]]),
      )
    }
    bench.check()
    expect(bench.depth()).toBeGreaterThanOrEqual(5)
  })

  test('a page that a held root reads is written over only after it is let go', () => {
    for (let i = 0; i < 30; i++) {
      bench.merge(new Map(names.slice(i * 40, i * 40 + 40).map((name) => [name, value(1, 60)])))
    }
    bench.hold()
    const { pages } = bench.entries(bench.root)
    const image = (): string =>
      [...pages]
        .map((id) => {
          const page = Buffer.alloc(4096)
          bench.file.read(page, 0, 4096, id * 4096)
          return page.toString('base64')
        })
        .join()
    const before = image()
    const random = randomFrom(SEED)
    for (let i = 0; i < 60; i++) bench.merge(new Map([[random.pick(names), value(i, 60)]]))
    expect(image()).toBe(before)
    bench.held.clear()
    bench.merge(new Map([[random.pick(names), value(1, 60)]]))
    // With a newer root held nothing more is let go: merging on must come to the pages let go just now.
    bench.hold()
    for (let i = 0; i < 200; i++) bench.merge(new Map([[random.pick(names), value(i, 60)]]))
    expect(image()).not.toBe(before)
  })
})

describe('the index file of an open store', () => {
  test('stays bounded over 500 checkpoints of overwrite churn', async () => {
    const { engine, dir } = await openFixture(
      { profile: 'fast', inlineThreshold: 2048 },
      { dir: memoryFolder() },
    )
    const random = randomFrom(SEED)
    const size = (): number => fs.statSync(path.join(dir, 'maindb', 'index.db')).size
    for (let i = 0; i < 400; i++) await engine.put(key(i), value(i, 100))
    await engine.checkpoint()
    let early = 0
    for (let round = 0; round < 500; round++) {
      for (let i = 0; i < 8; i++) await engine.put(key(random.between(0, 399)), value(round, 100))
      await engine.checkpoint()
      if (round === 50) early = size()
    }
    expect(size()).toBe(early)
    await engine.close()
  })

  test('stays bounded over crashes, whose pages are found again', async () => {
    let dir = memoryFolder()
    let early = 0
    for (let round = 0; round < 60; round++) {
      const { engine } = await openFixture({ inlineThreshold: 2048 }, { dir })
      for (let i = 0; i < 60; i++) await engine.put(key(i * 7), value(round, 900))
      const copy = copyFolder(dir, memoryFolder())
      if (round === 10) early = engine.gauges().indexFileBytes
      if (round === 59) expect(engine.gauges().indexFileBytes).toBe(early)
      await engine.close()
      removeFolder(dir)
      dir = copy
    }
  })

  test('holds two trees under a held snapshot, however many checkpoints it lives through', async () => {
    const { engine } = await openFixture(
      { profile: 'fast', inlineThreshold: 2048 },
      { dir: memoryFolder() },
    )
    for (let i = 0; i < 400; i++) await engine.put(key(i), value(i, 100))
    await engine.checkpoint()
    const snapshot = engine.snapshot('long')
    const churn = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        for (let i = 0; i < 400; i += 37) await engine.put(key(i), value(round, 100))
        await engine.checkpoint()
      }
    }
    await churn(3)
    const settled = engine.gauges().indexFileBytes
    await churn(200)
    expect(engine.gauges().indexFileBytes).toBe(settled)
    for (let i = 0; i < 400; i++) {
      expect(Buffer.compare(snapshot.get(key(i)) ?? Buffer.alloc(0), value(i, 100))).toBe(0)
    }
    await snapshot.close()
    await churn(60)
    expect(engine.gauges().indexFileBytes).toBe(settled)
    await engine.close()
  })
})

describe('pages in memory', () => {
  test('B18: those that splits made are let go with the cache; nothing else keeps them', async () => {
    v8.setFlagsFromString('--expose-gc')
    const collect = vm.runInNewContext('gc') as () => void
    const written: WeakRef<Page>[] = []
    onTestFinished(watchPages({ write: (_, page) => written.push(new WeakRef(page)) }))
    const bench = new Bench()
    for (let round = 0; round < 40; round++) {
      const changes = new Map<string, Uint8Array | null>()
      for (let i = 0; i < 400; i++) changes.set(`k${round % 4}/${i}/${round}`, value(i, 60))
      bench.merge(changes)
    }
    expect(written.length).toBeGreaterThan(10 * CACHED_PAGES)
    // A weak reference just made is held until the turn ends.
    await yieldNow()
    collect()
    const left = written.filter((ref) => ref.deref() !== undefined).length
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(CACHED_PAGES)
    expect(bench.file.size()).toBeGreaterThan(0)
  })
})
