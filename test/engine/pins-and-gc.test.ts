/** Who keeps a dead segment, and when its file goes. Names carry the findings of the PR's review. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import { manualClock } from '../../engine/clock.ts'
import { ioError } from '../../engine/errors.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import type { SegmentInfo } from '../../engine/types.ts'
import { MetaPages } from '../../engine/index/meta-pages.ts'
import { readMetaPages } from '../../engine/index/meta.ts'
import { makePage, PAGE_BYTES } from '../../engine/index/page.ts'
import {
  bytesEqual,
  copyFolder,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  segmentFiles,
  value,
  yieldNow,
  type Fixture,
} from '../support/engine-fixture.ts'
import { recordIds } from '../support/record-ids.ts'

const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 8192 }

function open(options: EngineOptions = {}, where = {}): Promise<Fixture> {
  return openFixture({ ...OPTIONS, ...options }, { dir: memoryFolder(), ...where })
}

async function fill(engine: Engine, from: number, to: number, seed = 0): Promise<void> {
  for (let i = from; i < to; i++) await engine.put(key(i), value(i + seed, 1000))
}

function segment(engine: Engine, seq: number): SegmentInfo | undefined {
  return engine.state().segments.find((s) => s.seq === seq)
}

function idOf(engine: Engine, seq: number): number {
  const found = segment(engine, seq)
  if (found === undefined) throw new Error(`no segment ${seq}`)
  return found.segmentId
}

function keepers(engine: Engine, seq: number): string[] {
  return segment(engine, seq)?.keptBy.map((k) => k.kind) ?? ['gone']
}

const fileOf = (seq: number, lane = 0): string =>
  `value-l${lane}-${String(seq).padStart(6, '0')}.log`

const exists = (dir: string, seq: number): boolean =>
  [0, 1].some((lane) => segmentFiles(dir).has(fileOf(seq, lane)))

describe('pins', () => {
  test('B4, F11: a snapshot keeps the rewritten segment as a zombie, reads through it, and its end deletes the file', async () => {
    const { engine, dir, events } = await open()
    await fill(engine, 0, 8)
    await engine.checkpoint()
    const snapshot = engine.snapshot('holder')
    await engine.maintenance.rewrite([idOf(engine, 1)])
    expect(segment(engine, 1)?.state).toBe('zombie')
    expect(segment(engine, 1)?.keptBy).toEqual([
      expect.objectContaining({ kind: 'snapshot', label: 'holder', pinId: snapshot.pinId }),
    ])
    expect(exists(dir, 1)).toBe(true)
    for (let i = 0; i < 8; i++) {
      expect(bytesEqual(snapshot.get(key(i)), value(i, 1000))).toBe(true)
      expect(bytesEqual(engine.get(key(i)), value(i, 1000))).toBe(true)
    }
    const gc = await engine.maintenance.gc({ dryRun: false })
    expect(gc.deleted).toEqual([])
    expect(gc.segmentsKept).toContain(idOf(engine, 1))
    const id = idOf(engine, 1)
    expect(await snapshot.close()).toEqual([id])
    expect(exists(dir, 1)).toBe(false)
    expect(segment(engine, 1)).toBeUndefined()
    expect(events.find((e) => e.type === 'segment_deleted')).toMatchObject({
      segmentId: id,
      heldByUntilNow: 'holder',
    })
    expect(await snapshot.close()).toEqual([id])
    await engine.close()
  })

  test('X4: of several holders only the last one lets the zombie go, whatever the order', async () => {
    const { engine, dir } = await open()
    await fill(engine, 0, 8)
    const first = engine.snapshot('first')
    const iterator = engine.iterate()
    iterator.next()
    const second = engine.snapshot('second')
    await engine.maintenance.rewrite([idOf(engine, 1)])
    expect(keepers(engine, 1)).toEqual(['snapshot', 'iterator', 'snapshot'])
    expect(await second.close()).toEqual([])
    expect(await first.close()).toEqual([])
    expect(keepers(engine, 1)).toEqual(['iterator'])
    expect([...iterator].length).toBe(7)
    await iterator.released
    expect(segment(engine, 1)).toBeUndefined()
    expect(exists(dir, 1)).toBe(false)
    await engine.close()
  })

  test('X4: what a verification kept goes when it ends', async () => {
    const clock = eagerClock()
    const { engine } = await open({ sliceMs: 0.1 }, { clock })
    await fill(engine, 0, 8)
    // Enough to walk that the rewrite, which waits for the disk, ends first.
    for (let i = 0; i < 5000; i++) await engine.put(key(1000 + i), value(i, 10))
    const [verifying, again] = [engine.verify(), engine.verify()]
    await engine.maintenance.rewrite([idOf(engine, 1)])
    expect(keepers(engine, 1)).toEqual(['snapshot', 'snapshot'])
    expect((await verifying).differences).toEqual([])
    expect((await again).differences).toEqual([])
    expect(segment(engine, 1)).toBeUndefined()
    expect(engine.state().pins).toEqual([])
    await engine.close()
  })

  test('a snapshot opened after a segment died does not keep it', async () => {
    const { engine, dir } = await open()
    await fill(engine, 0, 8)
    await fill(engine, 0, 8, 100)
    const late = engine.snapshot('late')
    await engine.maintenance.gc({ dryRun: false })
    expect(exists(dir, 1)).toBe(false)
    expect(bytesEqual(late.get(key(3)), value(103, 1000))).toBe(true)
    await late.close()
    await engine.close()
  })

  test('an iterator of a snapshot keeps what the first one saw, after that is closed', async () => {
    const { engine } = await open()
    await fill(engine, 0, 8)
    const snapshot = engine.snapshot()
    await fill(engine, 0, 8, 100)
    const iterator = snapshot.iterate()
    await snapshot.close()
    await engine.checkpoint()
    await engine.maintenance.gc({ dryRun: false })
    const seen = [...iterator]
    expect(seen.length).toBe(8)
    seen.forEach(([, v], i) => expect(bytesEqual(v, value(i, 1000))).toBe(true))
    await engine.close()
  })

  test('a snapshot keeps the memtable it was opened on, whatever checkpoints come after', async () => {
    const { engine } = await open({ profile: 'fast' })
    await fill(engine, 0, 3)
    const snapshot = engine.snapshot()
    // The table after the next gets the memory of one that nobody looks at any more.
    for (const round of [1, 2, 3]) {
      await engine.checkpoint()
      await fill(engine, 0, 8, round * 100)
    }
    for (const i of [0, 1, 2])
      expect(bytesEqual(snapshot.get(key(i)), value(i, 1000)), String(i)).toBe(true)
    expect(snapshot.get(key(5))).toBeUndefined()
    await snapshot.close()
    for (let i = 0; i < 8; i++)
      expect(bytesEqual(engine.get(key(i)), value(i + 300, 1000))).toBe(true)
    await engine.close()
  })

  test('two deletions that overlap delete, report and count a segment once', async () => {
    // The second sweep begins while the first waits for its first unlink.
    const gate = { open: (): void => undefined }
    const blocked = new Promise<void>((resolve) => (gate.open = resolve))
    let unlinks = 0
    const slow: FileSystem = {
      ...quickFileSystem,
      unlink: async (file) => {
        if (file.includes('value-l') && ++unlinks === 1) await blocked
        return quickFileSystem.unlink(file)
      },
    }
    const { engine, events } = await open({}, { fileSystem: slow })
    await fill(engine, 0, 24)
    const [a, b] = [engine.snapshot('a'), engine.snapshot('b')]
    await engine.maintenance.rewrite([idOf(engine, 1), idOf(engine, 2), idOf(engine, 3)])
    const closing = [a.close(), b.close()]
    const gc = engine.maintenance.gc({ dryRun: false })
    for (let i = 0; i < 50; i++) await yieldNow()
    gate.open()
    await Promise.all([...closing, gc])
    const deleted = events.flatMap((e) => (e.type === 'segment_deleted' ? [e.segmentId] : []))
    expect(new Set(deleted).size).toBe(deleted.length)
    expect(deleted.length).toBe(3)
    expect(engine.state().counters.gcDeletedSegments).toBe(3)
    await engine.close()
  })
})

describe('what a crash could select keeps a segment', () => {
  test('an old root keeps a dead segment until both meta pages moved on', async () => {
    const { engine, dir } = await open({ profile: 'fast' })
    await fill(engine, 0, 8)
    await engine.checkpoint()
    await fill(engine, 0, 8, 100)
    expect(keepers(engine, 1)).toEqual(['root', 'root'])
    const dry = await engine.maintenance.gc({ dryRun: true })
    expect(dry.deleted).toEqual([])
    expect(exists(dir, 1)).toBe(true)
    await engine.maintenance.gc({ dryRun: false })
    expect(exists(dir, 1)).toBe(false)
    // Either meta page alone gives a tree whose segments are all there.
    for (const damaged of [0, 1]) {
      const copy = copyFolder(dir, memoryFolder())
      const index = path.join(copy, 'maindb', 'index.db')
      const bytes = fs.readFileSync(index)
      bytes.fill(0xee, damaged * PAGE_BYTES + 16, damaged * PAGE_BYTES + 100)
      fs.writeFileSync(index, bytes)
      const other = await openFixture(OPTIONS, { dir: copy }).catch((error: unknown) =>
        expect.fail(`with meta page ${damaged} damaged: ${String(error)}`),
      )
      for (let i = 0; i < 8; i++) {
        expect(bytesEqual(other.engine.get(key(i)), value(i + 100, 1000))).toBe(true)
      }
      await other.engine.close()
    }
    await engine.close()
  })

  test('the journal keeps a segment that its batches name', async () => {
    const { engine, dir } = await open()
    await fill(engine, 0, 8)
    await fill(engine, 0, 8, 100)
    expect(keepers(engine, 1)).toContain('journal')
    // A crash now replays the first eight too: their values must be there.
    const copy = copyFolder(dir, memoryFolder())
    const other = await openFixture(OPTIONS, { dir: copy })
    expect(other.engine.info.journalBatchesSkipped).toBe(0)
    await other.engine.close()
    await engine.close()
  })

  test('both meta pages name one tree after a checkpoint and after an opening', async () => {
    const { engine, dir } = await open()
    const roots = (): number[] => {
      const bytes = fs.readFileSync(path.join(dir, 'maindb', 'index.db'))
      const pages = [0, 1].map((n) =>
        makePage(bytes.subarray(n * PAGE_BYTES, (n + 1) * PAGE_BYTES)),
      )
      const metas = readMetaPages(pages as [(typeof pages)[0], (typeof pages)[0]])
      return metas?.candidates.map((c) => c.meta.userRoot) ?? []
    }
    await fill(engine, 0, 8)
    await engine.checkpoint()
    expect(new Set(roots()).size).toBe(1)
    expect(roots().length).toBe(2)
    await engine.close()
    // As a crash between the two writes leaves them: page 0 is older than page 1.
    const index = quickFileSystem.open(path.join(dir, 'maindb', 'index.db'), 'append')
    const bytes = Buffer.alloc(PAGE_BYTES)
    index.read(bytes, 0, PAGE_BYTES, 0)
    const page = makePage(bytes)
    const metas = readMetaPages([page, page])
    if (metas?.candidates[0] === undefined) throw new Error('no meta page')
    const old = new MetaPages(index, 'ieee', { ...metas.candidates[0], pageNumber: 1 })
    await old
      .publish({ userRoot: 3, systemRoot: 3, totalPages: 4 }, () => {
        throw new Error('the second page is not written')
      })
      .catch(() => undefined)
    index.close()
    expect(new Set(roots()).size).toBe(2)
    const again = await openFixture(OPTIONS, { dir })
    expect(new Set(roots()).size).toBe(1)
    await again.engine.close()
  })
})

describe('after a rewrite', () => {
  test('one damaged value does not stop the others, nor grow the folder pass by pass', async () => {
    const { engine, dir } = await open()
    await fill(engine, 0, 24)
    await engine.checkpoint()
    for (let i = 0; i < 24; i += 2) await engine.put(key(i), value(i + 500, 1000))
    await engine.checkpoint()
    const [first, second] = engine.state().segments
    if (first === undefined || second === undefined) throw new Error('two segments')
    // A live record of the first segment: key 1 is its second.
    const file = path.join(dir, first.file)
    const bytes = fs.readFileSync(file)
    bytes.writeUInt8(bytes.readUInt8(1020 + 600) ^ 0xff, 1020 + 600)
    fs.writeFileSync(file, bytes)

    const report = await engine.maintenance.rewrite([first.segmentId, second.segmentId])
    const rewrites = report.steps.flatMap((s) => (s.kind === 'rewrite' ? [s.report] : []))
    expect(rewrites.reduce((n, r) => n + r.valuesUnreadable, 0)).toBe(1)
    expect(rewrites.flatMap((r) => r.sourcesStillReferenced)).toEqual([first.segmentId])
    expect(rewrites.flatMap((r) => r.sourcesUnreferenced)).toEqual([second.segmentId])
    expect(report.sentence).toContain('1 value could not be read')
    expect(() => engine.get(key(1))).toThrow(/CRC/)
    const total = (): number => engine.state().segments.reduce((n, s) => n + s.bytesTotal, 0)
    const before = total()
    for (let i = 0; i < 3; i++) await engine.maintenance.rewrite([first.segmentId])
    expect(total()).toBe(before)
    for (let i = 0; i < 24; i++) {
      if (i !== 1) bytesEqual(engine.get(key(i)), value(i % 2 === 0 ? i + 500 : i, 1000))
    }
    await engine.close()
  })

  test('B2: an explicit active segment is sealed first, and the writer goes on in a new one', async () => {
    const { engine, dir } = await open()
    await engine.put(key(1), value(1, 1000))
    await engine.put(key(2), value(2, 1000))
    await engine.delete(key(2))
    expect(segment(engine, 1)?.state).toBe('active')
    const pass = await engine.maintenance.rewrite([idOf(engine, 1)])
    expect(pass.outcome).toBe('rewrote')
    await engine.put(key(3), value(3, 1000))
    expect(exists(dir, 1)).toBe(false)
    const states = engine.state().segments.map((s) => [s.seq, s.lane, s.state, s.origin])
    expect(states).toEqual([
      [3, 0, 'active', 'foreground'],
      [2, 1, 'active', 'rewrite'],
    ])
    // The output of the last rewrite is an active segment too.
    await engine.maintenance.rewrite([idOf(engine, 2)])
    expect(exists(dir, 2)).toBe(false)
    expect(segment(engine, 4)).toMatchObject({ lane: 1, state: 'active', origin: 'rewrite' })
    for (const i of [1, 3]) expect(bytesEqual(engine.get(key(i)), value(i, 1000))).toBe(true)
    await engine.close()
  })

  test('X2: output of a rewrite that a crash cut in the copy is reclaimed by plain GC after reopening', async () => {
    const copies: string[] = []
    let dir = ''
    const watching: FileSystem = {
      ...quickFileSystem,
      open: (file, mode) => {
        const opened = quickFileSystem.open(file, mode)
        const sync = opened.sync.bind(opened)
        opened.sync = () => {
          if (file.includes('value-l1-')) copies.push(copyFolder(dir, memoryFolder()))
          return sync()
        }
        return opened
      },
    }
    const fixture = await open({}, { fileSystem: watching })
    dir = fixture.dir
    await fill(fixture.engine, 0, 24)
    await fixture.engine.maintenance.rewrite([idOf(fixture.engine, 1)])
    await fixture.engine.close()
    expect(copies.length).toBeGreaterThan(0)
    const [copy] = copies as [string]
    // A torn last record, as a crash within the write leaves it.
    const output = [...segmentFiles(copy).keys()].find((name) => name.startsWith('value-l1-'))
    if (output === undefined) throw new Error('no output was written')
    const file = path.join(copy, 'maindb', 'value_vlog', output)
    fs.truncateSync(file, fs.statSync(file).size - 7)
    const { engine } = await openFixture(OPTIONS, { dir: copy })
    for (let i = 0; i < 24; i++) {
      expect(bytesEqual(engine.get(key(i)), value(i, 1000))).toBe(true)
    }
    const gc = await engine.maintenance.gc({ dryRun: false })
    expect(gc.deleted.length).toBe(1)
    expect(segmentFiles(copy).has(output)).toBe(false)
    await engine.close()
  })

  test('X3: output never shares the foreground segment, and one counter numbers all segments', async () => {
    const { engine, events } = await open()
    for (let round = 0; round < 4; round++) {
      await fill(engine, 0, 12, round * 50)
      const sealed = engine.state().segments.filter((s) => s.state === 'sealed' && s.bytesLive > 0)
      await engine.maintenance.rewrite(sealed.map((s) => s.segmentId))
    }
    const created = events.flatMap((e) => (e.type === 'segment_created' ? [e.segment] : []))
    expect(created.some((s) => s.origin === 'rewrite')).toBe(true)
    for (const s of created) expect(s.lane).toBe(s.origin === 'rewrite' ? 1 : 0)
    const seqs = created.map((s) => s.seq)
    expect(seqs).toEqual(seqs.map((_, i) => (seqs[0] ?? 0) + i))
    const last = seqs.at(-1) ?? 0
    await engine.close()
    // Nor after a reopening, though the newest files are gone.
    const again = await openFixture(OPTIONS, { dir: engine.info.dir })
    await again.engine.batch(Array.from({ length: 12 }, (_, i) => ({ op: 'delete', key: key(i) })))
    await again.engine.maintenance.gc({ dryRun: false })
    expect(again.engine.state().segments).toEqual([])
    await again.engine.close()
    const third = await openFixture(OPTIONS, { dir: engine.info.dir })
    await fill(third.engine, 0, 1)
    expect(third.engine.state().segments[0]?.seq).toBeGreaterThan(last)
    await third.engine.close()
  })
})

describe('age', () => {
  test('X5: a copied folder, whose file times are of now, has the seal times of its segments', async () => {
    const { engine, dir, clock } = await open()
    await fill(engine, 0, 8)
    clock.advance(60_000)
    await fill(engine, 8, 17)
    const sealed = (e: Engine): (number | null)[] =>
      e.state().segments.map((s) => (s.state === 'sealed' ? s.sealedAtMs : null))
    const before = sealed(engine).slice(0, 2)
    expect(before).toEqual([clock.now(), clock.now()])
    await engine.close()
    // The wall clock of these files is far from the engine's.
    const copy = copyFolder(dir, memoryFolder())
    const later = manualClock(clock.now() + 3_600_000)
    const again = await openFixture(OPTIONS, { dir: copy, clock: later })
    expect(sealed(again.engine).slice(0, 2)).toEqual(before)
    expect(again.engine.state().segments.map((s) => s.ageSource)).toEqual(Array(3).fill('metadata'))
    for (let i = 0; i < 4; i++) await again.engine.delete(key(i))
    const old = again.engine.maintenance.plan({ minAgeMs: 3_600_000 })
    expect(old.sourceSegmentIds).toEqual([idOf(again.engine, 1)])
    const older = again.engine.maintenance.plan({ minAgeMs: 3_600_001 })
    expect(older).toMatchObject({ sourceSegmentIds: [], ageBlockedSegments: 3 })
    await again.engine.close()
  })

  /** Killed with its newest segment still written; the file of that one has this time. */
  async function killed(fileTimeMs: number): Promise<string> {
    const { engine, dir } = await open()
    await fill(engine, 0, 8)
    await engine.checkpoint()
    const copy = copyFolder(dir, memoryFolder())
    await engine.close()
    const file = path.join(copy, 'maindb', 'value_vlog', fileOf(1))
    fs.utimesSync(file, fileTimeMs / 1000, fileTimeMs / 1000)
    return copy
  }

  test('X5: what was still written at a kill has the age of its file, says so, and keeps it when it is copied', async () => {
    const fileTimeMs = 1_773_000_000_000
    const clock = manualClock(1_774_000_000_000)
    let dir = await killed(fileTimeMs)
    for (let i = 0; i < 2; i++) {
      const { engine } = await openFixture(OPTIONS, { dir, clock })
      expect(segment(engine, 1)).toMatchObject({ sealedAtMs: fileTimeMs, ageSource: 'mtime' })
      expect(segment(engine, 1)).toMatchObject({ origin: 'foreground' })
      await engine.close()
      dir = copyFolder(dir, memoryFolder())
    }
  })

  test('X5: a time of sealing that is yet to come, of a file or of the metadata, is now', async () => {
    const nowMs = 1_774_000_000_000
    const minAgeMs = 30_000
    const filters = { minAgeMs, minStaleRatio: 0, minStaleBytes: 0 }
    let dir = await killed(Date.UTC(2031, 0))
    // The second opening finds the metadata of the first one, by a clock that was set back by an hour.
    for (const [now, ageSource] of [
      [nowMs, 'mtime'],
      [nowMs - 3_600_000, 'mtime'],
    ] as const) {
      const clock = manualClock(now)
      const { engine } = await openFixture(OPTIONS, { dir, clock })
      expect(segment(engine, 1)).toMatchObject({ sealedAtMs: now, ageSource })
      await engine.delete(key(0))
      clock.advance(minAgeMs - 1)
      expect(engine.maintenance.plan(filters).ageBlockedMinRemainingMs).toBe(1)
      clock.advance(1)
      expect(engine.maintenance.plan(filters).sourceSegmentIds).toEqual([idOf(engine, 1)])
      await engine.close()
      dir = copyFolder(dir, memoryFolder())
    }
  })
})

describe('record ids (B7)', () => {
  test.each(['kept', 'deleted'])(
    'never repeat over openings, rewrites and an empty newest segment, metadata %s',
    async (metadata) => {
      const first = await open()
      const { dir } = first
      let { engine } = first
      for (let round = 0; round < 4; round++) {
        await fill(engine, 0, 9, round * 10)
        await fill(engine, 20 + round, 21 + round)
        await engine.maintenance.rewrite([idOf(engine, engine.state().segments[0]?.seq ?? 0)])
        const seq = Math.max(...engine.state().segments.map((s) => s.seq)) + 1
        await engine.close()
        const folder = path.join(dir, 'maindb')
        fs.writeFileSync(path.join(folder, 'value_vlog', fileOf(seq)), '')
        if (metadata === 'deleted') fs.rmSync(path.join(folder, 'restage_meta.json'))
        ;({ engine } = await openFixture(OPTIONS, { dir }))
      }
      const rids = recordIds(dir)
      expect(rids.length).toBeGreaterThan(10)
      expect(new Set(rids).size).toBe(rids.length)
      await engine.close()
    },
  )
})

describe('a file that cannot be deleted', () => {
  test('stays registered as a zombie with the error, and the next GC tries again', async () => {
    let broken = true
    const stubborn: FileSystem = {
      ...quickFileSystem,
      unlink: (file) => {
        if (broken && file.includes('value-l')) {
          return Promise.reject(ioError(`cannot delete ${file}`, new Error('EBUSY')))
        }
        return quickFileSystem.unlink(file)
      },
    }
    const { engine, dir } = await open({}, { fileSystem: stubborn })
    await fill(engine, 0, 8)
    await fill(engine, 0, 8, 100)
    const first = await engine.maintenance.gc({ dryRun: false })
    expect(first.deleted).toEqual([])
    expect(first.errors).toEqual([expect.objectContaining({ code: 'ENGINE_IO' })])
    expect(segment(engine, 1)?.state).toBe('zombie')
    expect(keepers(engine, 1)).toEqual(['error'])
    expect(exists(dir, 1)).toBe(true)
    const dry = await engine.maintenance.gc({ dryRun: true })
    expect(dry.eligible).toEqual([idOf(engine, 1)])
    broken = false
    const second = await engine.maintenance.gc({ dryRun: false })
    expect(second.deleted.length).toBe(1)
    expect(exists(dir, 1)).toBe(false)
    await engine.close()
  })
})
