/** Folders of other writers, opened for writing on a copy: every layout, checksum and encoding. */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../../engine/api.ts'
import type { InspectKey } from '../../../engine/inspect.ts'
import { EngineError } from '../../../engine/errors.ts'
import { PAGE_BYTES, makePage, pageChecksum } from '../../../engine/index/page.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  removeFolder,
  value,
} from '../../support/engine-fixture.ts'
import { DATA, copyOf, expectedReading, read } from '../inspect/reading.ts'

const SAMPLES = ['treedb-march-plain', 'treedb-split-mixed'] as const

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** All keys of an engine as a replayed reading lists them, `where` left out. */
function keysOf(engine: Engine): Record<string, { size: number; sha256: string }> {
  const keys: Record<string, { size: number; sha256: string }> = {}
  for (const [found, bytes] of engine.iterate()) {
    keys[Buffer.from(found).toString('hex')] = { size: bytes.length, sha256: hash(bytes) }
  }
  return keys
}

function withoutPlace(
  keys: Record<string, InspectKey> | undefined,
): Record<string, { size: number; sha256: string }> {
  const plain: Record<string, { size: number; sha256: string }> = {}
  for (const [hex, found] of Object.entries(keys ?? {})) {
    if ('sha256' in found) plain[hex] = { size: found.size, sha256: found.sha256 }
  }
  return plain
}

async function expectNoDifferences(engine: Engine): Promise<void> {
  expect((await engine.verify()).differences).toEqual([])
}

function indexPages(folder: string): Buffer[] {
  const bytes = fs.readFileSync(path.join(folder, 'maindb/index.db'))
  return Array.from({ length: Math.floor(bytes.length / PAGE_BYTES) }, (_, i) =>
    bytes.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES),
  )
}

describe.each(SAMPLES)('%s, opened for writing', (name) => {
  const expected = withoutPlace(expectedReading(`${name}.replayed`).keys)

  test('gives every key with its value, and its live bytes are exact', async () => {
    const dir = copyOf(name)
    const { engine } = await openFixture({}, { dir })
    expect(keysOf(engine)).toEqual(expected)
    for (const [hex, { sha256 }] of Object.entries(expected)) {
      const found = engine.get(Buffer.from(hex, 'hex'))
      expect(found === undefined ? undefined : hash(found)).toBe(sha256)
    }
    await expectNoDifferences(engine)
    const { checksum } = expectedReading(name)
    const layout = checksum === 'ieee' ? 'split' : 'wal'
    expect(engine.info).toMatchObject({ layout, checksum, journalBatchesSkipped: 1 })
    await engine.close()
  })

  test('takes writes, keeps them over a reopening, and the inspector agrees', async () => {
    const dir = copyOf(name)
    const { engine } = await openFixture({}, { dir })
    const written = new Map<string, Uint8Array>()
    for (let i = 0; i < 40; i++) {
      const [k, v] = [key(`acct/${String(i).padStart(4, '0')}`), value(i, i % 2 === 0 ? 900 : 30)]
      written.set(Buffer.from(k).toString('hex'), v)
      await engine.put(k, v)
    }
    const gone = Object.keys(expected).filter((_, i) => i % 7 === 3)
    for (const hex of gone) await engine.delete(Buffer.from(hex, 'hex'))
    await engine.checkpoint()
    await expectNoDifferences(engine)
    const now = { ...expected }
    for (const [hex, v] of written) now[hex] = { size: v.length, sha256: hash(v) }
    for (const hex of gone) Reflect.deleteProperty(now, hex)
    expect(keysOf(engine)).toEqual(now)
    await engine.close()

    const again = await openFixture({}, { dir })
    expect(keysOf(again.engine)).toEqual(now)
    await expectNoDifferences(again.engine)
    const state = again.engine.state()
    await again.engine.close()
    const reading = await read(dir, { keys: true, verify: true })
    expect(withoutPlace(reading.report.keys)).toEqual(now)
    expect(reading.report.system_keys).toEqual(expectedReading(name).system_keys)
    expect(reading.attachment.unsupported).toEqual([])
    expect(
      reading.state.segments.map(({ segmentId, bytesLive }) => [segmentId, bytesLive]),
    ).toEqual(state.segments.map(({ segmentId, bytesLive }) => [segmentId, bytesLive]))
  })

  test('a page that was not touched stays byte-identical', async () => {
    const dir = copyOf(name)
    const before = indexPages(dir)
    const { engine } = await openFixture({}, { dir })
    await engine.close()
    // The journal of the folder was replayed: only leaves that it names, and their path, changed.
    const opened = indexPages(dir)
    const again = await openFixture({}, { dir })
    await again.engine.put(key('zzz/last'), value(1, 20))
    await again.engine.close()
    const after = indexPages(dir)
    const reading = await read(dir)
    expect(reading.attachment.unsupported).toEqual([])
    const encoded = (pages: Buffer[]): Set<string> =>
      new Set(
        pages
          .filter((page) => (page.readUInt16LE(12) & 0x3f) === 4)
          .map((page) => page.toString('hex')),
      )
    const kept = [...encoded(before)].filter((page) => encoded(after).has(page))
    expect(kept.length).toBeGreaterThan(encoded(before).size / 2)
    // One put at the end of the key space: its leaf and the path to it are new, nothing else.
    const changed = after.filter((page, i) => i > 1 && opened[i]?.equals(page) !== true)
    expect(changed.length).toBeLessThanOrEqual(3)
  })

  test('passes run to the end: nothing is lost, and no segment goes that still holds something', async () => {
    const dir = copyOf(name)
    const { engine, clock } = await openFixture(
      {
        maintenance: {
          triggerTotalBytes: 1,
          triggerStaleRatio: 0.01,
          minSegmentAgeMs: 0,
          resumeMinStaleRatio: 0.01,
          genericMinStaleRatio: 0.01,
          confirmDelayMs: 0,
          rewriteMinIntervalMs: 0,
          gcMinIntervalMs: 0,
          gcMinBytes: 0,
        },
      },
      { dir },
    )
    for (let i = 0; i < 20; i++) await engine.put(key(`blk/00/${i}`), value(i, 800))
    const now = keysOf(engine)
    for (let pass = 0; pass < 12; pass++) {
      clock.advance(60_000)
      await engine.maintenance.runPass('periodic')
      await engine.checkpoint()
      await expectNoDifferences(engine)
      expect(keysOf(engine)).toEqual(now)
    }
    await engine.close()
    const again = await openFixture({}, { dir })
    expect(keysOf(again.engine)).toEqual(now)
    await expectNoDifferences(again.engine)
    await again.engine.close()
    const reading = await read(dir, { keys: true, verify: true })
    expect(withoutPlace(reading.report.keys)).toEqual(now)
    expect(reading.report.system_keys).toEqual(expectedReading(name).system_keys)
  })
})

describe('leaf pages in the value log, opened for writing', () => {
  const MIXED = 'treedb-split-mixed'
  const LOGGED_SEGMENT = 2155872257

  test('are replaced by pages of the index when their keys change', async () => {
    const dir = copyOf(MIXED)
    const { engine } = await openFixture({}, { dir })
    const before = await read(dir)
    expect(before.report.index.leaf_pages_in_log).toBe(2)
    for (const hex of Object.keys(expectedReading(`${MIXED}.replayed`).keys ?? {})) {
      const k = Buffer.from(hex, 'hex')
      await engine.put(k, engine.get(k) ?? new Uint8Array(0))
    }
    await engine.checkpoint()
    await expectNoDifferences(engine)
    await engine.close()
    const { report } = await read(dir, { verify: true })
    expect(report.index.leaf_pages_in_log).toBe(0)
    // Every leaf was rewritten, and so was every page above.
    expect(Object.keys(report.index.visited).filter((n) => !n.endsWith('_plain'))).toEqual([])
  })

  test('keep their segment while a reader walks the tree that names them', async () => {
    const dir = copyOf(MIXED)
    const { engine } = await openFixture({}, { dir })
    const keys = Object.keys(expectedReading(`${MIXED}.replayed`).keys ?? {})
    const snapshot = engine.snapshot('old tree')
    const seen = keysOf(engine)
    for (const hex of keys) await engine.put(Buffer.from(hex, 'hex'), value(1, 700))
    await engine.checkpoint()
    await engine.maintenance.gc({ dryRun: false })
    const old = new Map(
      [...snapshot.iterate()].map(([k, v]) => [Buffer.from(k).toString('hex'), v]),
    )
    for (const [hex, { sha256 }] of Object.entries(seen)) {
      expect(hash(old.get(hex) ?? new Uint8Array(0))).toBe(sha256)
    }
    await snapshot.close()
    await engine.close()
  })

  test('move out of a segment that is rewritten, so that it can go', async () => {
    const dir = copyOf(MIXED)
    const { engine } = await openFixture({}, { dir })
    const now = keysOf(engine)
    await engine.maintenance.rewrite([LOGGED_SEGMENT])
    await engine.checkpoint()
    await expectNoDifferences(engine)
    const left = engine.state().segments.find(({ segmentId }) => segmentId === LOGGED_SEGMENT)
    // The system tree points into it too.
    expect(left?.bytesLive ?? 0).toBe(0)
    expect(keysOf(engine)).toEqual(now)
    await engine.close()
    const { report } = await read(dir, { keys: true, verify: true })
    expect(report.index.leaf_pages_in_log).toBe(0)
    expect(withoutPlace(report.keys)).toEqual(now)
  })
})

describe('mutated folders, opened for writing', () => {
  /** Deterministic: the same seed gives the same mutations. */
  function randomOf(seed: number): (below: number) => number {
    let state = seed >>> 0
    return (below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
  }

  /** Some bytes of one file; pages of the index get right checksums again for every second seed. */
  function mutate(dir: string, seed: number): void {
    const random = randomOf(seed)
    const folder = path.join(dir, 'maindb/value_vlog')
    const names = fs.readdirSync(folder).map((name) => path.join(folder, name))
    const index = path.join(dir, 'maindb/index.db')
    const file = random(2) === 0 ? index : (names[random(names.length)] ?? index)
    const bytes = fs.readFileSync(file)
    const used = Math.min(bytes.length, 15 * PAGE_BYTES)
    for (let i = 0; i <= random(4) && used > 0; i++) bytes[random(used)] = random(256)
    if (file === index && seed % 2 === 0) {
      for (let id = 0; id < 15; id++) {
        const page = makePage(bytes.subarray(id * PAGE_BYTES, (id + 1) * PAGE_BYTES))
        page.view.setUint32(8, pageChecksum(page, 'ieee'), true)
      }
    }
    fs.writeFileSync(file, bytes)
  }

  test('give a coded error or a store that can be read, written and closed', async () => {
    let opened = 0
    for (let seed = 1; seed <= 120; seed++) {
      const dir = copyFolder(path.join(DATA, 'treedb-split-mixed'), memoryFolder())
      mutate(dir, seed)
      try {
        const { engine } = await openFixture({}, { dir })
        opened++
        try {
          for (const [k] of engine.iterate()) engine.get(k)
          await engine.put(key('new'), value(seed, 700))
          await engine.verify()
        } finally {
          await engine.close()
        }
      } catch (error) {
        if (!(error instanceof EngineError)) throw new Error(`seed ${seed}`, { cause: error })
      } finally {
        removeFolder(dir)
      }
    }
    expect(opened).toBeGreaterThan(20)
  })
})
