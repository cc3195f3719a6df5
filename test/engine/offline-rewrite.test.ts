/**
 * The offline rewrite: what it leaves, what it refuses, and every way it can be cut short. The numbers
 * in names are those of upstream's tests (backend.md 10).
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../engine/file-system.ts'
import { inspectFolder, type InspectReport } from '../../engine/inspect.ts'
import {
  rewriteFolder,
  type OfflineRewriteProgress,
  type OfflineRewriteReport,
} from '../../engine/offline-rewrite/rewrite.ts'
import { LEAF_COLUMNAR2, LEAF_PACKED, LEAF_PREFIX2 } from '../../engine/index/leaf-encodings.ts'
import {
  copyFolder,
  eagerClock,
  entriesOf,
  key,
  memoryFolder,
  quickFileSystem,
  removeFolder,
  repetitive,
  segmentFiles,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { writeEncodedFolder, type FolderShape, type Model } from '../support/encoded-folder.ts'
import {
  FaultFileSystem,
  type CutMode,
  type Errno,
  type FileCall,
} from '../support/fault-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'
import { recordIds } from '../support/record-ids.ts'
import { openForLife } from '../support/scripted-life.ts'

let closed = ''
const model: Model = new Map()

beforeAll(async () => {
  const dir = memoryFolder()
  const engine = await openForLife(dir, quickFileSystem)
  for (let i = 0; i < 40; i++) {
    const bytes = (i % 2 === 0 ? value : repetitive)(i, i % 4 === 3 ? 20 : 700)
    await engine.put(key(i % 17), bytes)
    model.set(Buffer.from(key(i % 17)).toString('latin1'), bytes)
  }
  await engine.delete(key(3))
  model.delete(Buffer.from(key(3)).toString('latin1'))
  await engine.maintenance.stage({ minStaleRatio: 0.01, minAgeMs: 0 })
  await engine.close()
  closed = copyFolder(dir, memoryFolder())
})

function rewrite(
  dir: string,
  options: {
    fileSystem?: FileSystem
    onProgress?: (progress: OfflineRewriteProgress) => void
    signal?: AbortSignal
  } = {},
): Promise<OfflineRewriteReport> {
  const { onProgress, signal } = options
  return rewriteFolder(
    dir,
    {
      fileSystem: options.fileSystem ?? quickFileSystem,
      clock: eagerClock(),
      yieldNow,
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(signal === undefined ? {} : { signal }),
    },
    { segmentBytes: 4096 },
  )
}

async function inspect(dir: string): Promise<InspectReport> {
  const { report } = await inspectFolder(
    dir,
    { fileSystem: quickFileSystem, yieldNow, nowMs: 1 },
    { keys: true, verify: true },
  )
  return report
}

function textOf(entries: Iterable<[string, Uint8Array]>): string[] {
  return [...entries].map(([k, v]) => `${k}: ${Buffer.from(v).toString('base64')}`).sort()
}

/** Opens, compares everything, writes, collects what is dead and closes. */
async function expectHolds(dir: string, expected: Model, where = dir): Promise<void> {
  const engine = await openForLife(dir, quickFileSystem)
  expect(textOf(entriesOf(engine)), where).toEqual(textOf(expected))
  expect((await engine.verify()).differences, where).toEqual([])
  await engine.put(key('after'), value(1, 900))
  await engine.maintenance.gc({ dryRun: false })
  const dead = engine.state().segments.filter((s) => s.bytesLive === 0 && s.state === 'sealed')
  expect(dead, where).toEqual([])
  await engine.close()
  const left = fs
    .readdirSync(path.join(dir, 'maindb'))
    .filter((name) => name.startsWith('index.db.'))
  expect(left, where).toEqual([])
}

function contents(dir: string): Map<string, string> {
  const entries = fs.readdirSync(dir, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile() && entry.name !== 'LOCK')
  return new Map(
    files
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort()
      .map((file) => [path.relative(dir, file), fs.readFileSync(file).toString('base64')]),
  )
}

describe('the offline rewrite', () => {
  test('39 rewrites and shrinks: what lives is there once, the old files are gone', async () => {
    const dir = copyFolder(closed, memoryFolder())
    const before = segmentFiles(dir)
    const report = await rewrite(dir)
    const after = segmentFiles(dir)
    expect([...after.keys()].filter((name) => before.has(name))).toEqual([])
    const bytes = (of: Map<string, number>): number => [...of.values()].reduce((a, b) => a + b, 0)
    const live = [...model.values()].filter((v) => v.length > 64)
    expect(report).toMatchObject({
      segmentsBefore: before.size,
      segmentsAfter: after.size,
      bytesBefore: bytes(before),
      bytesAfter: bytes(after),
      keys: model.size,
      recordsCopied: live.length,
    })
    const liveBytes = live.reduce((sum, v) => sum + v.length, 0)
    expect(bytes(after)).toBeLessThan(Math.min(bytes(before) / 2, 1.05 * liveBytes))
    const reading = await inspect(dir)
    expect(reading.problems).toEqual([])
    expect(reading.segments.map((s) => s.live_disk_bytes)).toEqual(
      reading.segments.map((s) => s.total_bytes),
    )
    expect(fs.readdirSync(path.join(dir, 'maindb', 'restage_keys'))).toEqual([])
    expect(fs.existsSync(path.join(dir, 'vlog_generation_state.json'))).toBe(false)
    await expectHolds(dir, model)
  })

  test('40 rejects a pending commit log by name, and takes an empty one', async () => {
    const dir = copyFolder(closed, memoryFolder())
    const engine = await openForLife(dir, quickFileSystem)
    await engine.put(key(1), value(77, 900))
    const killed = copyFolder(dir, memoryFolder())
    await engine.close()
    const before = contents(killed)
    const [journal] = fs.readdirSync(path.join(killed, 'maindb', 'wal'))
    const refused = rewrite(killed)
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_REWRITE_REFUSED' })
    await expect(refused).rejects.toThrow(
      `found ${path.join(killed, 'maindb/wal', journal ?? '-')}`,
    )
    expect(contents(killed)).toEqual(before)
    fs.writeFileSync(path.join(dir, 'maindb', 'wal', 'commit-l0-000099.log'), '')
    await rewrite(dir)
  })

  test('41-44 values are encoded anew: neighbours share compressed frames where that is smaller', async () => {
    const dir = memoryFolder()
    const engine = await openForLife(dir, quickFileSystem)
    for (let i = 0; i < 40; i++) await engine.put(key(i), repetitive(i, 300))
    await engine.close()
    const plain = await inspect(dir)
    expect(plain.segments.some((s) => s.frames > 0)).toBe(false)
    const report = await rewrite(dir)
    expect(report.recordsGrouped).toBe(40)
    expect(report.bytesAfter).toBeLessThan(report.bytesBefore / 2)
    const { segments, keys } = await inspect(dir)
    const frames = segments.reduce((sum, s) => sum + s.compressed_frames, 0)
    expect(frames).toBeGreaterThan(0)
    expect(frames).toBeLessThanOrEqual(20)
    expect(keys).toEqual(plain.keys)
  })

  test('a second time it changes no value and no size', async () => {
    const dir = copyFolder(closed, memoryFolder())
    const first = await rewrite(dir)
    const second = await rewrite(dir)
    expect(second.bytesAfter).toBe(first.bytesAfter)
    expect(second.indexBytesAfter).toBe(first.indexBytesAfter)
    await expectHolds(dir, model)
  })

  test('a folder without a value log, a locked one and none at all are refused', async () => {
    const dir = memoryFolder()
    const engine = await openForLife(dir, quickFileSystem)
    await engine.put(key(1), value(1, 10))
    await expect(rewrite(dir)).rejects.toMatchObject({ code: 'ENGINE_LOCKED' })
    await engine.close()
    const refused = rewrite(dir)
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_REWRITE_REFUSED' })
    await expect(refused).rejects.toThrow('no value-log segments found')
    await expect(rewrite(memoryFolder())).rejects.toMatchObject({ code: 'ENGINE_NOT_A_FOLDER' })
  })

  test('damage to a living value ends it, and the folder stays as it was', async () => {
    const dir = copyFolder(closed, memoryFolder())
    const { segments } = await inspect(dir)
    const living = segments.find((s) => s.live_disk_bytes === s.total_bytes && s.total_bytes > 0)
    const file = path.join(dir, 'maindb', living?.file ?? '')
    const bytes = fs.readFileSync(file)
    bytes[100] = (bytes[100] ?? 0) ^ 1
    fs.writeFileSync(file, bytes)
    const before = contents(dir)
    await expect(rewrite(dir)).rejects.toMatchObject({ code: 'ENGINE_CORRUPT' })
    expect(contents(dir)).toEqual(before)
  })

  test('without metadata it reads the record ids in slices first, says how far it is, and can be cancelled there', async () => {
    const dir = memoryFolder()
    const engine = await openForLife(dir, quickFileSystem)
    for (let i = 0; i < 40; i++) await engine.put(key(i), value(i, 5000))
    await engine.close()
    fs.rmSync(path.join(dir, 'maindb', 'restage_meta.json'))
    const bytes = [...segmentFiles(dir).values()].reduce((a, b) => a + b, 0)
    const before = contents(dir)
    const cancel = new AbortController()
    const told: OfflineRewriteProgress[] = []
    const refused = rewrite(dir, {
      signal: cancel.signal,
      onProgress: (progress) => {
        told.push(progress)
        if (told.length === 1) cancel.abort()
      },
    })
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_ABORTED' })
    expect(told).toEqual([
      { phase: 'record_ids', done: expect.any(Number) as number, total: bytes },
    ])
    expect(contents(dir)).toEqual(before)
    await rewrite(dir, { onProgress: (progress) => told.push(progress) })
    const read = told.filter(({ phase }) => phase === 'record_ids').map(({ done }) => done)
    expect(read.slice(1)).toEqual([...read.slice(1)].sort((a, b) => a - b))
    expect(read.at(-1)).toBeLessThanOrEqual(bytes)
    const phases = told.slice(1).map(({ phase }) => phase)
    expect([...new Set(phases)]).toEqual(['record_ids', 'survey', 'copy', 'delete'])
  })

  test('cancelled after any slice it leaves the folder as it was', async () => {
    let slices = 0
    await rewrite(copyFolder(closed, memoryFolder()), {
      onProgress: ({ phase }) => (slices += phase === 'delete' ? 0 : 1),
    })
    expect(slices).toBeGreaterThan(3)
    for (let stopAt = 1; stopAt <= slices; stopAt++) {
      const dir = copyFolder(closed, memoryFolder())
      const before = contents(dir)
      const cancel = new AbortController()
      let slice = 0
      const work = rewrite(dir, {
        signal: cancel.signal,
        onProgress: () => {
          if (++slice === stopAt) cancel.abort()
        },
      })
      await expect(work).rejects.toMatchObject({ code: 'ENGINE_ABORTED' })
      expect(contents(dir)).toEqual(before)
      removeFolder(dir)
    }
  })
})

describe('folders of foreign writers', () => {
  const SHAPES: [string, FolderShape][] = [
    ['plain, March', { kind: 'crc32c', layout: 'wal', leaves: 0, internal: 'plain' }],
    ['columns', { kind: 'ieee', layout: 'split', leaves: LEAF_COLUMNAR2, internal: 16 }],
    [
      'packed, leaves in the log',
      {
        kind: 'crc32c',
        layout: 'wal',
        leaves: LEAF_PREFIX2 | LEAF_PACKED,
        internal: 'plain',
        logged: 'zstd_dictionary',
      },
    ],
    [
      'compact leaves of their own folder',
      { kind: 'ieee', layout: 'split', leaves: 0, internal: 'plain', logged: 'compact' },
    ],
    [
      'the root in the log',
      { kind: 'ieee', layout: 'split', leaves: 0, internal: 'plain', loggedRoot: true },
    ],
  ]

  test.each(SHAPES)(
    '%s: everything is kept, pages are plain and lie in the index',
    async (_, shape) => {
      const dir = memoryFolder()
      const expected = writeEncodedFolder(dir, shape)
      const system = (await inspect(dir)).system_keys
      await rewrite(dir)
      const report = await inspect(dir)
      expect(report.problems).toEqual([])
      expect(report.checksum).toBe(shape.kind)
      expect(Object.keys(report.index.visited).filter((name) => !name.endsWith('plain'))).toEqual(
        [],
      )
      expect(report.index.leaf_pages_in_log).toBe(0)
      expect(report.system_keys).toEqual(system)
      await expectHolds(dir, expected)
    },
  )

  test('a value that two keys share is copied once', async () => {
    const sample = path.resolve(import.meta.dirname, '../data/treedb-march-plain')
    const dir = copyFolder(sample, memoryFolder())
    // Replays the journal.
    await (await openForLife(dir, quickFileSystem)).close()
    const before = await inspect(dir)
    const sum = (
      report: InspectReport,
      of: 'referencing_pointers' | 'referenced_records',
    ): number => report.segments.reduce((total, s) => total + (s[of] ?? NaN), 0)
    expect(sum(before, 'referencing_pointers')).toBeGreaterThan(sum(before, 'referenced_records'))
    const report = await rewrite(dir)
    expect(report.recordsCopied).toBe(sum(before, 'referenced_records'))
    const after = await inspect(dir)
    // What is deleted is not carried along as such.
    const living = Object.entries(before.keys ?? {}).filter(([, one]) => !('tombstone' in one))
    expect(after.keys).toEqual(Object.fromEntries(living))
    expect(sum(after, 'referencing_pointers')).toBe(sum(before, 'referencing_pointers'))
    expect(sum(after, 'referenced_records')).toBe(report.recordsCopied)
  })
})

// ---------------------------------------------------------------- cut short

const tally = { calls: 0, faults: 0, coded: 0, kills: 0, cuts: 0 }
afterAll(() => {
  const counts = Object.entries(tally).map(([name, count]) => `${name}=${count}`)
  process.stdout.write(`offline rewrite: ${counts.join(' ')}\n`)
})

function diskOf(source: string): FaultFileSystem {
  return new FaultFileSystem(copyFolder(source, memoryFolder()))
}

async function callsOfRewrite(): Promise<FileCall[]> {
  const disk = diskOf(closed)
  const calls: FileCall[] = []
  disk.onCall = (call) => calls.push(call)
  await rewrite(disk.root, { fileSystem: disk.process().fileSystem })
  tally.calls = calls.length
  return calls
}

/** A life that moves every value, and is over when the moves are in the journal alone. */
async function killBehindRewrite(disk: FaultFileSystem): Promise<void> {
  const process = disk.process()
  const engine = await openForLife(disk.root, process.fileSystem)
  const living = engine.state().segments.filter((s) => s.bytesLive > 0)
  let done = 0
  let moved = 0
  engine.subscribe((event) => {
    if (event.type !== 'rewrite_done') return
    moved += event.report.recordsCopied
    if (++done === living.length) process.kill()
  })
  await engine.maintenance.rewrite(living.map((s) => s.segmentId)).catch(() => undefined)
  expect(done).toBe(living.length)
  expect(moved).toBeGreaterThan(0)
}

describe(`cut short (seed ${SEED})`, () => {
  test('by a kill before any call: the next opening has everything, and nothing more', async () => {
    const calls = await callsOfRewrite()
    for (let n = 1; n <= calls.length; n++) {
      const disk = diskOf(closed)
      const process = disk.process()
      disk.onCall = () => {
        if (disk.calls === n) process.kill()
      }
      await rewrite(disk.root, { fileSystem: process.fileSystem }).catch(() => undefined)
      const where = `killed at call ${n}, ${calls[n - 1]}`
      const report = await inspect(disk.root)
      expect(report.key_count, where).toBe(model.size)
      await expectHolds(disk.root, model, where)
      tally.kills++
      removeFolder(disk.root)
    }
  }, 120_000)

  test('by a kill before any call, and the next process right behind a rewrite: no id is there twice, no key has the value of another', async () => {
    const calls = await callsOfRewrite()
    let twice = 0
    for (let n = 1; n <= calls.length; n++) {
      const disk = diskOf(closed)
      const first = disk.process()
      disk.onCall = () => {
        if (disk.calls === n) first.kill()
      }
      await rewrite(disk.root, { fileSystem: first.fileSystem }).catch(() => undefined)
      disk.onCall = () => undefined
      const where = `killed at call ${n}, ${calls[n - 1]}`
      await killBehindRewrite(disk)
      const ids = recordIds(disk.root)
      expect(new Set(ids).size, where).toBe(ids.length)
      await expectHolds(disk.root, model, where)
      twice++
      removeFolder(disk.root)
    }
    expect(twice).toBe(calls.length)
  }, 120_000)

  test.each(['EIO', 'ENOSPC', 'EMFILE'] as const)(
    'by %s at any call: a coded error or success, and the folder opens either way',
    async (errno: Errno) => {
      const calls = await callsOfRewrite()
      const stride = errno === 'EIO' ? 1 : 2
      for (let n = 1; n <= calls.length; n += stride) {
        const disk = diskOf(closed)
        disk.failAt = n
        disk.errno = errno
        const where = `${errno} at call ${n}, ${calls[n - 1]}`
        const process = disk.process()
        const error = await rewrite(disk.root, { fileSystem: process.fileSystem }).then(
          () => null,
          (e: unknown) => e as { code?: string; stack?: string },
        )
        if (error !== null) {
          expect(error.code, `${where}: ${error.stack}`).toMatch(/^ENGINE_/)
          tally.coded++
        }
        process.kill()
        await expectHolds(disk.root, model, where)
        tally.faults++
        removeFolder(disk.root)
      }
    },
    120_000,
  )

  test.each(['lost', 'kept', 'prefix', 'mixed'] as const)(
    'by a power cut before any sync (unsynced: %s)',
    async (mode: CutMode) => {
      const disk = diskOf(closed)
      const random = randomFrom(SEED)
      const cuts: { folder: string; where: string }[] = []
      disk.onCall = (call, file) => {
        // Deletions and renames are steps, too: what they leave unsynced is cut in every mode.
        if (!['sync', 'syncFolder', 'rename', 'unlink'].includes(call)) return
        const where = `seed ${SEED}, ${mode} before call ${disk.calls}, ${call} ${file}`
        // What of it survives is chance: several chances at each.
        for (let i = 0; i < (mode === 'mixed' ? 8 : 1); i++) {
          cuts.push({ folder: disk.powerCut(memoryFolder(), mode, random), where })
        }
      }
      await rewrite(disk.root, { fileSystem: disk.process().fileSystem })
      cuts.push({ folder: disk.powerCut(memoryFolder(), mode, random), where: `${mode} after it` })
      expect(cuts.length).toBeGreaterThan(10)
      for (const { folder, where } of cuts) {
        await expectHolds(folder, model, where)
        tally.cuts++
        removeFolder(folder)
      }
    },
    120_000,
  )

  test('by a power cut while the next opening ends it', async () => {
    const calls = await callsOfRewrite()
    for (const [i, call] of calls.entries()) {
      if (call !== 'rename') continue
      for (const offset of [1, 2]) {
        const disk = diskOf(closed)
        const first = disk.process()
        disk.onCall = () => {
          if (disk.calls === i + 1 + offset) first.kill()
        }
        await rewrite(disk.root, { fileSystem: first.fileSystem }).catch(() => undefined)
        const cuts: string[] = []
        const random = randomFrom(SEED + i)
        disk.onCall = (boundary) => {
          if (boundary !== 'sync' && boundary !== 'syncFolder') return
          cuts.push(disk.powerCut(memoryFolder(), 'mixed', random))
        }
        const second = disk.process()
        await openForLife(disk.root, second.fileSystem)
        second.kill()
        for (const folder of cuts) {
          await expectHolds(folder, model, `seed ${SEED}, after ${offset} calls behind rename ${i}`)
          tally.cuts++
          removeFolder(folder)
        }
      }
    }
  }, 120_000)
})
