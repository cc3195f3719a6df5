/**
 * Hostile folders and hostile bytes, the short version of `npm run fuzz`: each folder is read, opened for
 * writing, maintained, closed and rewritten; each decoder meets mutants of what its encoder makes and
 * the corpus of test/data. RESTAGE_SEED repeats a run, RESTAGE_RUNS lengthens it.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../engine/engine.ts'
import { encodeMeta, decodeMeta } from '../../engine/index/meta.ts'
import { childIdOffset } from '../../engine/index/internal.ts'
import {
  PAGE_BYTES,
  PAGE_INTERNAL,
  makePage,
  pageCount,
  pageType,
  sealPage,
} from '../../engine/index/page.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import { makeDecoders, type Decoder } from '../fuzz/decoder-list.ts'
import { fuzzDecoders, problemOf } from '../fuzz/decoders.ts'
import { meetFolder, useFolder } from '../fuzz/folders.ts'
import { makeSamples, sampleFor, type Sample } from '../fuzz/samples.ts'
import { eagerClock, yieldNow } from '../support/engine-fixture.ts'
import {
  MemoryFileSystem,
  cloneNode,
  type MemoryFile,
  type MemoryFolder,
} from '../support/memory-file-system.ts'
import { SEED, runs } from '../support/random.ts'

const DATA = path.resolve(import.meta.dirname, '../data')
const CORPUS = path.join(DATA, 'corpus')
const CALLS_MAX = 300_000

let samples: Sample[] = []
let decoders: Decoder[] = []
beforeAll(async () => {
  samples = await makeSamples(DATA)
  decoders = await makeDecoders()
})

function sampleOf(name: string): MemoryFolder {
  const sample = samples.find((one) => one.name === name)
  if (sample === undefined) throw new Error(`there is no sample ${name}`)
  return cloneNode(sample.folder)
}

function indexOf(folder: MemoryFolder): MemoryFile {
  const main = folder.entries.get('maindb')
  const index = main?.kind === 'folder' ? main.entries.get('index.db') : undefined
  if (index?.kind !== 'file') throw new Error('the sample has an index')
  return index
}

async function callsToUse(folder: MemoryFolder): Promise<number> {
  let calls = 0
  const spend = (): void => {
    if (++calls > CALLS_MAX) throw new Error('unbounded work')
  }
  await useFolder(new MemoryFileSystem(folder, spend), yieldNow)
  return calls
}

describe(`hostile folders (seed ${SEED})`, () => {
  test('as they were before, they open and can be maintained', async () => {
    for (const { name } of samples) {
      expect(await callsToUse(sampleOf(name)), name).toBeGreaterThan(20)
    }
  })

  test('give a coded error or an honest reading, in bounded time and memory', async () => {
    const problems: string[] = []
    for (let i = 0; i < runs(240) && problems.length < 10; i++) {
      const seed = (SEED + i) >>> 0
      const { problem } = await meetFolder(sampleFor(samples, seed), seed)
      if (problem !== null) problems.push(problem)
    }
    expect(problems).toEqual([])
  }, 3_600_000)

  test('a meta page may claim any number of pages, and index.db any length: memory follows the tree', async () => {
    for (const totalPages of [0, 2 ** 30, 2 ** 52]) {
      const folder = sampleOf('own')
      const index = indexOf(folder)
      for (const pageNumber of [0, 1] as const) {
        const at = pageNumber * PAGE_BYTES
        const meta = decodeMeta(makePage(index.bytes.subarray(at, at + PAGE_BYTES)))
        index.bytes.set(encodeMeta({ ...meta, totalPages }, pageNumber, 'ieee').bytes, at)
      }
      index.length = 2 ** 42
      const before = process.memoryUsage.rss()
      await callsToUse(cloneNode(folder))
      const fileSystem = new MemoryFileSystem(folder)
      const { report } = await inspectFolder('/store', { fileSystem, yieldNow, nowMs: 1 })
      expect(report.key_count).toBeGreaterThan(50)
      expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 27)
    }
  })

  test('a child that no index could hold is damage, not one of our own ids', async () => {
    const folder = sampleOf('march')
    const index = indexOf(folder)
    let changed = 0
    for (let id = 2; (id + 1) * PAGE_BYTES <= index.bytes.length; id++) {
      const page = makePage(index.bytes.subarray(id * PAGE_BYTES, (id + 1) * PAGE_BYTES))
      if (pageType(page) !== PAGE_INTERNAL) continue
      page.view.setBigUint64(childIdOffset(page, 0), (1n << 53n) - 1n, true)
      sealPage(page, { id, type: PAGE_INTERNAL, count: pageCount(page) }, 'crc32c')
      changed++
    }
    expect(changed).toBeGreaterThan(0)
    const fileSystem = new MemoryFileSystem(folder)
    const opening = openEngine('/store', {}, { clock: eagerClock(), fileSystem, yieldNow })
    await expect(opening).rejects.toMatchObject({ code: 'ENGINE_CORRUPT' })
  })
})

describe(`hostile bytes (seed ${SEED})`, () => {
  test('every decoder gives a reading or an EngineError', async () => {
    const { lines, problems } = await fuzzDecoders(Math.max(6_000, 25 * runs(240)), SEED)
    expect(problems).toEqual([])
    expect(lines.length).toBe(decoders.length)
    // Mutants that are all refused at the door would test nothing.
    expect(lines.filter((line) => line.includes(' read=0 '))).toEqual([])
  }, 3_600_000)

  test('and so it does to the corpus, which its README describes', () => {
    const readme = fs.readFileSync(path.join(CORPUS, 'README.md'), 'utf8')
    const files = fs.readdirSync(CORPUS).filter((name) => name.endsWith('.bin'))
    expect(files.length).toBeGreaterThan(5)
    for (const file of files) {
      expect(readme, file).toContain(`\`${file}\``)
      const decoder = decoders.find(({ name }) => name === file.split('--')[0])
      if (decoder === undefined) throw new Error(`no decoder is called like ${file}`)
      expect(problemOf(decoder, fs.readFileSync(path.join(CORPUS, file))), file).toBeNull()
    }
  })
})
