/** Opening, closing, failing: locks, file handles, and who is answered what. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../engine/api.ts'
import { EngineError } from '../../engine/errors.ts'
import { nodeFileSystem, type FileSystem } from '../../engine/file-system.ts'
import { GroupCommit } from '../../engine/group-commit.ts'
import {
  bytesEqual,
  copyFolder,
  eagerClock,
  entriesOf,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  temporaryFolder,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { randomFrom } from '../support/random.ts'

const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 4096 }

const open = (options: EngineOptions = {}, where = {}): ReturnType<typeof openFixture> =>
  openFixture({ ...OPTIONS, ...options }, { dir: memoryFolder(), ...where })

async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work)
    return 'nothing thrown'
  } catch (error) {
    return error instanceof EngineError ? error.code : String(error)
  }
}

const handles = (): number => fs.readdirSync('/proc/self/fd').length
function newGate(): { passed: Promise<void>; pass: () => void } {
  let pass = (): void => undefined
  const passed = new Promise<void>((resolve) => (pass = resolve))
  return { passed, pass: () => pass() }
}

const hasProc = fs.existsSync('/proc/self/fd')

describe('opening', () => {
  test('never writes through a LOCK that is a link', async () => {
    const dir = memoryFolder()
    const elsewhere = path.join(memoryFolder(), 'somebody-elses')
    fs.mkdirSync(path.join(dir, 'maindb'), { recursive: true })
    fs.writeFileSync(elsewhere, 'precious')
    fs.symlinkSync(elsewhere, path.join(dir, 'maindb/LOCK'))
    expect(await codeOf(open({}, { dir }))).toBe('ENGINE_IO')
    expect(fs.readFileSync(elsewhere, 'utf8')).toBe('precious')
  })

  test('syncs the parent of every folder it makes', async () => {
    const dir = path.join(memoryFolder(), 'x/y/z')
    const synced: string[] = []
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      syncFolder: (folder) => {
        synced.push(folder)
        return nodeFileSystem.syncFolder(folder)
      },
    }
    const { engine } = await openFixture(OPTIONS, { dir, fileSystem })
    for (const made of [dir, path.dirname(dir), path.dirname(path.dirname(dir))]) {
      expect(synced).toContain(path.dirname(made))
    }
    await engine.close()
  })

  test('a second opener is refused with the holder named, and may open after the close', async () => {
    const { engine, dir } = await open()
    await expect(openFixture(OPTIONS, { dir })).rejects.toThrow(`process ${process.pid}`)
    expect(await codeOf(openFixture(OPTIONS, { dir }))).toBe('ENGINE_LOCKED')
    await engine.close()
    const again = await openFixture(OPTIONS, { dir })
    await again.engine.close()
  })

  test('two openers of a new folder do not undo each other', async () => {
    // The second one looked before the first had made the store, and gets the lock after it.
    const dir = memoryFolder()
    let first: Promise<void> | null = null
    const late: FileSystem = {
      ...quickFileSystem,
      syncFolder: async (folder) => {
        first ??= (async () => {
          const { engine } = await openFixture(OPTIONS, { dir })
          await engine.put(key(1), value(1, 100))
          await engine.close()
        })()
        await first
        return quickFileSystem.syncFolder(folder)
      },
    }
    const { engine } = await openFixture(OPTIONS, { dir, fileSystem: late })
    expect(bytesEqual(engine.get(key(1)), value(1, 100))).toBe(true)
    await engine.close()
  })

  test('a folder with strangers in it is refused and left as it is', async () => {
    const dir = memoryFolder()
    fs.writeFileSync(path.join(dir, 'thesis.txt'), 'mine')
    expect(await codeOf(openFixture(OPTIONS, { dir }))).toBe('ENGINE_NOT_A_FOLDER')
    expect(fs.readdirSync(dir)).toEqual(['thesis.txt'])
  })

  test.runIf(hasProc)('that fails, or that is closed again, keeps no file open', async () => {
    const { engine, dir } = await open()
    for (let i = 0; i < 40; i++) await engine.put(key(i), value(i, 700))
    await engine.close()
    const damaged = copyFolder(dir, memoryFolder())
    const index = path.join(damaged, 'maindb', 'index.db')
    const bytes = fs.readFileSync(index)
    fs.writeFileSync(index, bytes.fill(0xee, 2 * 4096))
    const before = handles()
    for (let i = 0; i < 5; i++) {
      expect(await codeOf(openFixture(OPTIONS, { dir: damaged }))).toBe('ENGINE_CORRUPT')
      const fine = await openFixture(OPTIONS, { dir })
      await fine.engine.put(key(i), value(i + 1, 700))
      await fine.engine.close()
    }
    expect(handles()).toBe(before)
  })

  test.runIf(hasProc)('deleted segments and old journals keep no file open', async () => {
    const { engine } = await open()
    const churn = async (): Promise<void> => {
      for (let i = 0; i < 30; i++) await engine.put(key(i), value(i, 700))
      await engine.maintenance.gc({ dryRun: false })
    }
    await churn()
    await churn()
    const before = handles()
    for (let i = 0; i < 5; i++) await churn()
    expect(handles()).toBeLessThanOrEqual(before + 1)
    await engine.close()
  })

  test('a journal or a segment that ends in bytes never written opens with what is before them', async () => {
    for (const zeros of [3, 100, 4096]) {
      const { engine, dir } = await open()
      await engine.put(key(0), value(0, 700))
      await engine.checkpoint()
      for (let i = 1; i < 3; i++) await engine.put(key(i), value(i, 700))
      const copy = copyFolder(dir, memoryFolder())
      await engine.close()
      const [journal] = fs.readdirSync(path.join(copy, 'maindb', 'wal'))
      fs.appendFileSync(path.join(copy, 'maindb', 'wal', journal ?? ''), Buffer.alloc(zeros))
      const segment = path.join(copy, 'maindb', 'value_vlog', 'value-l0-000001.log')
      fs.appendFileSync(segment, Buffer.alloc(zeros))
      const again = await openFixture(OPTIONS, { dir: copy })
      expect(entriesOf(again.engine).length).toBe(3)

      // The damaged end is still there at the next crash; it says nothing about newer segments.
      await again.engine.put(key(7), value(7, 700))
      const third = await openFixture(OPTIONS, { dir: copyFolder(copy, memoryFolder()) })
      expect(entriesOf(third.engine).length).toBe(4)
      await third.engine.close()
      await again.engine.close()
    }
  })

  test('a last batch of which the last sectors were never written is left out', async () => {
    const { engine, dir } = await open({ inlineThreshold: 2048 })
    for (let i = 0; i < 3; i++) await engine.put(key(i), value(i + 1, 1500))
    const copy = copyFolder(dir, memoryFolder())
    await engine.close()
    const folder = path.join(copy, 'maindb', 'wal')
    const file = path.join(folder, fs.readdirSync(folder)[0] ?? '')
    const bytes = fs.readFileSync(file)
    fs.writeFileSync(file, bytes.fill(0, Math.floor((bytes.length - 300) / 512) * 512))
    const again = await openFixture(OPTIONS, { dir: copy })
    expect(entriesOf(again.engine).map(([k]) => k)).toEqual(
      [0, 1].map((i) => Buffer.from(key(i)).toString('latin1')),
    )
    await again.engine.close()
  })

  test('a batch of which one value is not in the log is left out whole', async () => {
    const { engine, dir } = await open()
    await engine.put(key(0), value(0, 700))
    await engine.batch([
      { op: 'put', key: key(1), value: value(1, 20) },
      { op: 'delete', key: key(0) },
      { op: 'put', key: key(2), value: value(2, 700) },
    ])
    const copy = copyFolder(dir, memoryFolder())
    await engine.close()
    const file = path.join(copy, 'maindb', 'value_vlog', 'value-l0-000001.log')
    fs.truncateSync(file, fs.statSync(file).size - 1)
    const again = await openFixture(OPTIONS, { dir: copy })
    expect(again.engine.info.journalBatchesSkipped).toBe(1)
    expect(entriesOf(again.engine).map(([k]) => k)).toEqual([
      Buffer.from(key(0)).toString('latin1'),
    ])
    await again.engine.close()
  })

  test('a damaged batch in the middle of the journal is not skipped over', async () => {
    const { engine, dir } = await open()
    for (let i = 0; i < 3; i++) await engine.put(key(i), value(i, 20))
    const copy = copyFolder(dir, memoryFolder())
    await engine.close()
    const folder = path.join(copy, 'maindb', 'wal')
    const file = path.join(folder, fs.readdirSync(folder)[0] ?? '')
    const bytes = fs.readFileSync(file)
    bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20)
    fs.writeFileSync(file, bytes)
    expect(await codeOf(openFixture(OPTIONS, { dir: copy }))).toBe('ENGINE_CORRUPT')
  })
})

describe('closing', () => {
  test('is one thing however often it is asked for, and ends writes and reads with a code', async () => {
    const { engine } = await open()
    await engine.put(key(1), value(1, 100))
    const snapshot = engine.snapshot()
    const iterator = engine.iterate()
    const [first, second] = [engine.close(), engine.close()]
    expect(first).toBe(second)
    await first
    expect(await codeOf(engine.put(key(2), value(2, 10)))).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(() => engine.get(key(1)))).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(() => engine.iterate())).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(() => engine.snapshot())).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(engine.checkpoint())).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(engine.verify())).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(() => snapshot.get(key(1)))).toBe('ENGINE_NOT_OPEN')
    expect(await codeOf(() => iterator.next())).toBe('ENGINE_NOT_OPEN')
    iterator.close()
    expect(await snapshot.close()).toEqual([])
  })

  test.each(['durable', 'wal_on_fast', 'fast'] as const)(
    'keeps every write that was asked for before it and refuses later ones (%s)',
    async (profile) => {
      const { engine, dir } = await open({ profile })
      const before = Array.from({ length: 20 }, (_, i) => engine.put(key(i), value(i, 700)))
      const closing = engine.close()
      const outcomes: string[] = []
      const during: Promise<unknown>[] = []
      for (let i = 20; i < 60; i++) {
        const done = engine.put(key(i), value(i, 700)).then(
          () => outcomes.push(`${i}`),
          (error: unknown) => expect(error).toMatchObject({ code: 'ENGINE_NOT_OPEN' }),
        )
        during.push(done)
        await yieldNow()
      }
      await closing
      await Promise.all([...before, ...during])
      const again = await openFixture({ ...OPTIONS, profile }, { dir })
      // Acknowledged is acknowledged, also while it closed.
      for (const i of [...Array.from({ length: 20 }, (_, n) => n), ...outcomes.map(Number)]) {
        expect(bytesEqual(again.engine.get(key(i)), value(i, 700)), `put ${i}`).toBe(true)
      }
      await again.engine.close()
    },
  )

  test('waits for what a reader that just ended deletes: nothing touches the folder afterwards', async () => {
    const closed = { is: false }
    const late: string[] = []
    let begin: () => void = () => undefined
    const deleting = new Promise<void>((resolve) => (begin = resolve))
    let goOn: () => void = () => undefined
    const held = new Promise<void>((resolve) => (goOn = resolve))
    const slow: FileSystem = {
      ...quickFileSystem,
      unlink: async (file) => {
        if (file.includes('value_vlog')) {
          begin()
          await held
        }
        if (closed.is) late.push(file)
        return quickFileSystem.unlink(file)
      },
    }
    const { engine } = await open({}, { fileSystem: slow })
    for (let i = 0; i < 5; i++) await engine.put(key(i), value(i, 700))
    const snapshot = engine.snapshot()
    await engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId))
    await engine.checkpoint()
    const ended = snapshot.close()
    // Closing before the first deletion leaves them all to the next opening.
    await deleting
    const closing = engine.close().then(() => (closed.is = true))
    for (let turn = 0; turn < 5_000 && !closed.is; turn++) await yieldNow()
    goOn()
    await closing
    expect((await ended).length).toBeGreaterThan(0)
    expect(late).toEqual([])
  })

  test('waits for debt that is being set: the next opening finds what was saved', async () => {
    const reached = newGate()
    const held = newGate()
    const closed = { is: false }
    const slow: FileSystem = {
      ...quickFileSystem,
      rename: async (from, to) => {
        if (to.endsWith('vlog_generation_state.json')) {
          reached.pass()
          await held.passed
        }
        return quickFileSystem.rename(from, to)
      },
    }
    const { engine, dir } = await open({}, { fileSystem: slow })
    for (let i = 0; i < 8; i++) await engine.put(key(i), value(i, 700))
    await engine.checkpoint()
    const [sealed] = engine.state().segments
    const debt = { queue: sealed === undefined ? [] : [sealed.segmentId], ledger: [], stage: null }
    const set = engine.maintenance.setDebt(debt)
    await reached.passed
    const closing = engine.close().then(() => (closed.is = true))
    for (let turn = 0; turn < 5_000 && !closed.is; turn++) await yieldNow()
    expect(await codeOf(open({}, { dir }))).toBe('ENGINE_LOCKED')
    held.pass()
    await Promise.all([set, closing])
    const again = await open({}, { dir })
    expect(again.engine.state().debt).toEqual(debt)
    await again.engine.close()
  })

  test('gives the lock back although its checkpoint failed', async () => {
    const disk = new FaultFileSystem(memoryFolder())
    const { engine } = await open({}, { dir: disk.root, fileSystem: disk.process().fileSystem })
    await engine.put(key(1), value(1, 700))
    disk.onCall = (call, file) => {
      if (call === 'write' && file.endsWith('index.db')) disk.failAt = disk.calls
    }
    expect(await codeOf(engine.close())).toBe('ENGINE_IO')
    disk.onCall = () => undefined
    const again = await open({}, { dir: disk.root, fileSystem: disk.process().fileSystem })
    expect(bytesEqual(again.engine.get(key(1)), value(1, 700))).toBe(true)
    await again.engine.close()
  })
})

describe('a failed sync', () => {
  test('answers nobody any more, although the next sync succeeds', async () => {
    let syncs = 0
    const commit = new GroupCommit(async () => {
      syncs++
      await yieldNow()
      if (syncs === 1) throw new Error('EIO')
    })
    const first = commit.commit()
    await yieldNow()
    // Written while the disk worked: it may be among what the failed sync lost.
    const outcomes = await Promise.allSettled([first, commit.commit(), commit.commit()])
    expect(outcomes.map((o) => o.status)).toEqual(['rejected', 'rejected', 'rejected'])
    await expect(commit.commit()).rejects.toThrow('EIO')
  })

  test('of the value log in a checkpoint does not let a waiting writer believe in its write', async () => {
    const disk = new FaultFileSystem(memoryFolder())
    const { engine } = await open({}, { dir: disk.root, fileSystem: disk.process().fileSystem })
    await engine.put(key(0), value(0, 700))
    let acknowledged = 0
    disk.onCall = (call, file) => {
      if (call !== 'sync' || !file.includes('value-l')) return
      disk.onCall = () => undefined
      disk.failAt = disk.calls
    }
    // The write that the checkpoint's sync is about, and one whose own sync comes after it.
    const checkpoint = engine.checkpoint().catch(() => undefined)
    const writes = [1, 2].map((i) =>
      engine.put(key(i), value(i, 700)).then(
        () => acknowledged++,
        () => undefined,
      ),
    )
    await Promise.all([checkpoint, ...writes])
    const cut = disk.powerCut(memoryFolder(), 'lost', randomFrom(1))
    await engine.close()
    const again = await openFixture(OPTIONS, { dir: cut })
    const found = entriesOf(again.engine).length
    expect(found).toBeGreaterThanOrEqual(1 + acknowledged)
    expect(await codeOf(engine.put(key(3), value(3, 10)))).toBe('ENGINE_NOT_OPEN')
    await again.engine.close()
  })

  test('leaves reading possible, and deletes nothing more', async () => {
    const disk = new FaultFileSystem(memoryFolder())
    const { engine } = await open({}, { dir: disk.root, fileSystem: disk.process().fileSystem })
    for (let i = 0; i < 5; i++) await engine.put(key(i), value(i, 700))
    const older = engine.snapshot()
    await engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId))
    const zombies = engine.state().segments.filter((s) => s.state === 'zombie')
    expect(zombies.length).toBeGreaterThan(0)
    disk.onCall = (call) => {
      if (call === 'sync') disk.failAt = disk.calls
    }
    expect(await codeOf(engine.put(key(9), value(9, 700)))).toBe('ENGINE_IO')
    expect(await codeOf(engine.put(key(9), value(9, 700)))).toBe('ENGINE_NOT_OPEN')
    expect(bytesEqual(engine.get(key(3)), value(3, 700))).toBe(true)
    const snapshot = engine.snapshot()
    expect(entriesOf(snapshot).length).toBeGreaterThanOrEqual(5)
    await snapshot.close()
    // Nothing is deleted any more, though its last holder goes.
    expect(await older.close()).toEqual([])
    for (const { file } of zombies) expect(fs.existsSync(path.join(disk.root, file))).toBe(true)
    await engine.close()
  })
})

describe('sync and close of a file', () => {
  test('a checkpoint that ends while a group commit syncs its journal disturbs nobody', async () => {
    const gates = { first: newGate(), second: newGate(), index: newGate() }
    let journalSyncs = 0
    let isOpen = false
    const gated: FileSystem = {
      ...quickFileSystem,
      open: (file, mode) => {
        const opened = quickFileSystem.open(file, mode)
        const close = opened.close.bind(opened)
        let isClosed = false
        opened.close = () => {
          isClosed = true
          close()
        }
        opened.sync = async () => {
          if (isClosed) throw new EngineError('ENGINE_IO', `${file} is closed`)
          if (file.endsWith('index.db') && isOpen) await gates.index.passed
          if (file.includes('commit-l') && ++journalSyncs <= 2) {
            await (journalSyncs === 1 ? gates.first : gates.second).passed
          }
        }
        return opened
      },
    }
    const { engine, events } = await open({}, { fileSystem: gated })
    isOpen = true
    const turns = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await yieldNow()
    }
    const writes = [engine.put(key(1), value(1, 20))]
    await turns()
    writes.push(engine.put(key(2), value(2, 20)))
    const checkpoint = engine.checkpoint()
    await turns()
    // The next sync is about two journals; both are gone before it comes to the second.
    writes.push(engine.put(key(3), value(3, 20)))
    gates.first.pass()
    await turns()
    gates.index.pass()
    await checkpoint
    writes.push(engine.put(key(4), value(4, 20)))
    await engine.checkpoint()
    gates.second.pass()
    await Promise.all(writes)
    expect(events.filter((e) => e.type === 'maintenance_failed')).toEqual([])
    await engine.close()
  })

  test('a write that the kernel refuses is a coded error', async () => {
    const file = nodeFileSystem.open(path.join(temporaryFolder(), 'a'), 'append')
    // Beyond the longest file there is.
    const place = Number.MAX_SAFE_INTEGER
    expect(await codeOf(() => file.write(new Uint8Array(10), 0, 10, place))).toBe('ENGINE_IO')
    file.close()
    expect(await codeOf(() => file.size())).toBe('ENGINE_IO')
  })
})

describe('checkpoints and readers at the same time', () => {
  test('metadata is saved by one at a time', async () => {
    const { engine, events }: { engine: Engine; events: unknown[] } = await open(
      { sliceMs: 0.1 },
      { clock: eagerClock() },
    )
    for (let round = 0; round < 15; round++) {
      for (let i = 0; i < 6; i++) await engine.put(key(i), value(i + round, 700))
      const snapshot = engine.snapshot()
      await engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId))
      await engine.put(key(99), value(round, 700))
      await Promise.all([engine.checkpoint(), snapshot.close()])
    }
    expect(events.filter((e) => (e as { type: string }).type === 'maintenance_failed')).toEqual([])
    await engine.close()
  })

  test('a full memtable makes checkpoints by itself, and none of the writes wait forever', async () => {
    const { engine, events, dir } = await open({ memtableBytes: 4096, profile: 'wal_on_fast' })
    await Promise.all(Array.from({ length: 300 }, (_, i) => engine.put(key(i), value(i, 60))))
    expect(events.filter((e) => e.type === 'checkpoint_done').length).toBeGreaterThan(2)
    await engine.close()
    const again = await openFixture(OPTIONS, { dir })
    expect(entriesOf(again.engine).length).toBe(300)
    await again.engine.close()
  })
})
