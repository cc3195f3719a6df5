/** Damage that an opening for writing meets: it is told, and nothing older takes the place of what was damaged. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { encodeBatch, encodedBatchBytes } from '../../engine/commit-log/codec.ts'
import { EngineError } from '../../engine/errors.ts'
import { nodeFileSystem } from '../../engine/file-system.ts'
import { journalFileName } from '../../engine/ids.ts'
import {
  PAGE_BYTES,
  PAGE_LEAF,
  PAGE_META,
  makePage,
  pageType,
  sealPage,
} from '../../engine/index/page.ts'
import { findRecord } from '../../engine/value-log/damaged-record.ts'
import {
  bytesEqual,
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  removeFolder,
  value,
  type Fixture,
} from '../support/engine-fixture.ts'
import { fingerprint, read } from './inspect/reading.ts'

const indexOf = (dir: string): string => path.join(dir, 'maindb/index.db')

/** All but the lock, which says who held it last. */
const files = (dir: string): string[] =>
  fingerprint(dir).filter((line) => !line.startsWith('maindb/LOCK'))

async function refusal(dir: string): Promise<EngineError> {
  const error: unknown = await openFixture({}, { dir }).catch((thrown: unknown) => thrown)
  if (error instanceof EngineError) return error
  return expect.fail('the folder could be opened')
}

const META_SEQ_AT = 16

/** The folder of a killed process, and its index at an earlier checkpoint. */
async function twoCheckpoints(): Promise<{ dir: string; before: Buffer }> {
  const { engine, dir } = await openFixture()
  for (let i = 0; i < 200; i++) await engine.put(key(i), value(i, 100))
  await engine.checkpoint()
  const before = fs.readFileSync(indexOf(dir))
  await engine.put(key(199), value(1000, 100))
  await engine.delete(key(0))
  await engine.checkpoint()
  const copy = copyFolder(dir, memoryFolder())
  await engine.close()
  return { dir: copy, before }
}

/** One commit in each meta page, as writers leave them that write one page a commit. */
async function twoCommits(): Promise<{ dir: string; index: Buffer; newest: 0 | 1 }> {
  const { dir, before } = await twoCheckpoints()
  const index = fs.readFileSync(indexOf(dir))
  const seqs = [0, 1].map((n) => index.readBigUInt64LE(n * PAGE_BYTES + META_SEQ_AT))
  const newest = (seqs[0] ?? 0n) > (seqs[1] ?? 0n) ? 0 : 1
  const other = 1 - newest
  before.copy(index, other * PAGE_BYTES, other * PAGE_BYTES, (other + 1) * PAGE_BYTES)
  fs.writeFileSync(indexOf(dir), index)
  return { dir, index, newest }
}

const pageAt = (index: Buffer, id: number): Buffer =>
  index.subarray(id * PAGE_BYTES, (id + 1) * PAGE_BYTES)

describe('an index with two commits', () => {
  test('a damaged leaf of the newer one fails the opening, names the page and changes nothing', async () => {
    const { dir, index } = await twoCommits()
    const held = Buffer.from(value(1000, 100))
    const leaf = Array.from({ length: index.length / PAGE_BYTES }, (_, id) => id).find(
      (id) =>
        pageType(makePage(pageAt(index, id))) === PAGE_LEAF && pageAt(index, id).includes(held),
    )
    if (leaf === undefined) throw new Error('no leaf holds the new value')
    pageAt(index, leaf).writeUInt8(pageAt(index, leaf).readUInt8(4000) ^ 1, 4000)
    fs.writeFileSync(indexOf(dir), index)
    const before = files(dir)
    const error = await refusal(dir)
    expect(error.code).toBe('ENGINE_CORRUPT')
    expect(error.message).toContain(`page ${leaf}: checksum mismatch`)
    expect(files(dir)).toEqual(before)
    const { report } = await read(dir)
    expect(report.problems.join()).toContain(`page ${leaf}: checksum mismatch`)
  })

  test.each(['user root', 'freelist head'])(
    'without a readable %s the newer one gives way to the other, for reading and for writing',
    async (what) => {
      const { dir, index, newest } = await twoCommits()
      const meta = makePage(pageAt(index, newest))
      const at = META_SEQ_AT + (what === 'user root' ? 8 : 24)
      meta.view.setBigUint64(at, 9999n, true)
      sealPage(meta, { id: newest, type: PAGE_META, count: 0 }, 'ieee')
      fs.writeFileSync(indexOf(dir), index)
      const { report } = await read(dir)
      expect(report.meta_page).toBe(1 - newest)
      expect(report.problems[0]).toMatch(/was not taken: index page 9999: past the end/)
      const { engine } = await openFixture({}, { dir })
      expect(engine.get(key(0))).toEqual(value(0, 100))
      expect(engine.get(key(199))).toEqual(value(199, 100))
      await engine.close()
    },
  )
})

describe('an index of one commit', () => {
  test('whose meta pages both name a root that cannot be read is refused by name', async () => {
    const { dir } = await twoCheckpoints()
    const index = fs.readFileSync(indexOf(dir))
    const root = Number(index.readBigUInt64LE(META_SEQ_AT + 8))
    pageAt(index, root).writeUInt8(pageAt(index, root).readUInt8(4000) ^ 1, 4000)
    fs.writeFileSync(indexOf(dir), index)
    const error = await refusal(dir)
    expect(error.code).toBe('ENGINE_CORRUPT')
    expect(error.message).toMatch(
      new RegExp(`index\\.db: meta page [01] was not taken: index page ${root}: checksum mismatch`),
    )
  })
})

const RECORD_BYTES = 20 + 600

const valueLogOf = (dir: string): string => path.join(dir, 'maindb/value_vlog/value-l0-000001.log')

/** Killed with ten acknowledged values of 600 bytes in the journal alone, of which 4 was written before. */
async function killedStore(): Promise<string> {
  const { engine, dir } = await openFixture({}, { dir: memoryFolder() })
  await engine.put(key(4), value(104, 100))
  await engine.checkpoint()
  for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 600))
  const copy = copyFolder(dir, memoryFolder())
  await engine.close()
  return copy
}

function change(dir: string, edit: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = fs.readFileSync(valueLogOf(dir))
  fs.writeFileSync(valueLogOf(dir), edit(bytes) ?? bytes)
}

describe('a bit of an acknowledged record behind the last checkpoint', () => {
  test('flipped in its header or value: the others are there or the folder is refused as it is', async () => {
    const killed = await killedStore()
    const start = 4 * RECORD_BYTES
    const bits = Array.from({ length: 20 * 8 }, (_, i) => i)
    for (let at = 20; at < RECORD_BYTES; at += 83) bits.push(at * 8 + (at % 8))
    const outcomes = { refused: 0, opened: 0 }
    for (const bit of bits) {
      const dir = copyFolder(killed, memoryFolder())
      const at = start + Math.floor(bit / 8)
      change(dir, (bytes) => void bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit % 8)), at))
      const before = files(dir)
      const opened = await openFixture({}, { dir }).catch((error: unknown) => error)
      if (opened instanceof EngineError) {
        expect(opened.code, `bit ${bit}`).toBe('ENGINE_CORRUPT')
        expect(opened.message, `bit ${bit}`).toContain(`value-l0-000001.log at ${start}: `)
        expect(files(dir), `bit ${bit}`).toEqual(before)
        outcomes.refused++
      } else {
        const { engine } = opened as Fixture
        for (let i = 0; i < 10; i++) {
          const what = `key ${i}, bit ${bit}`
          if (i === 4) expect(() => engine.get(key(i)), what).toThrow('record CRC')
          else expect(bytesEqual(engine.get(key(i)), value(i, 600)), what).toBe(true)
        }
        await engine.close()
        outcomes.opened++
      }
      removeFolder(dir)
    }
    // Header bits tell where the record ends and whose it is; those of checksum and value do not.
    expect(outcomes.refused).toBeGreaterThan(80)
    expect(outcomes.opened).toBeGreaterThan(32)
  }, 60_000)

  test('flipped in the last one: it is told, and the value before it does not come back', async () => {
    const { engine: first, dir: made } = await openFixture({}, { dir: memoryFolder() })
    await first.put(key(1), value(1, 600))
    await first.put(key(1), value(2, 600))
    const dir = copyFolder(made, memoryFolder())
    await first.close()
    change(dir, (bytes) => void bytes.writeUInt8(bytes.readUInt8(1000) ^ 1, 1000))
    const { engine } = await openFixture({}, { dir })
    expect(() => engine.get(key(1))).toThrow('record CRC')
    await engine.close()
  })
})

describe('what a crash leaves behind the last sync', () => {
  test.each<[string, (bytes: Buffer) => Buffer | undefined]>([
    ['a torn tail', (bytes) => bytes.subarray(0, 7 * RECORD_BYTES - 1)],
    ['a torn header', (bytes) => bytes.subarray(0, 6 * RECORD_BYTES + 7)],
    ['a missing sector, with later ones there', (bytes) => void bytes.fill(0, 4096, 4608)],
    ['a missing sector with a header in it', (bytes) => void bytes.fill(0, 6 * RECORD_BYTES, 4096)],
    ['zeros up to the end', (bytes) => void bytes.fill(0, 6 * RECORD_BYTES)],
  ])('%s ends the log quietly', async (_, edit) => {
    const dir = await killedStore()
    change(dir, edit)
    const { engine } = await openFixture({}, { dir })
    expect(engine.info.journalBatchesSkipped).toBe(4)
    for (let i = 0; i < 6; i++) expect(bytesEqual(engine.get(key(i)), value(i, 600))).toBe(true)
    for (let i = 6; i < 10; i++) expect(engine.get(key(i))).toBeUndefined()
    await engine.close()
  })
})

test('a sealed segment that was whole on disk and is shorter now is refused, when the journal names what it lost', async () => {
  const options = { inlineThreshold: 64, segmentBytes: 4096 }
  const { engine, dir } = await openFixture(options, { dir: memoryFolder() })
  for (let i = 0; i < 10; i++) await engine.put(key(i), value(i, 600))
  await engine.close()
  const log = fs.readFileSync(valueLogOf(dir))
  // Its last record, of the first segment, which the tree has too.
  const last = Math.floor(log.length / RECORD_BYTES - 1) * RECORD_BYTES
  const rid = { low: log.readUInt32LE(last + 8), high: log.readUInt32LE(last + 12) }
  const operations = [{ op: 'set_rid', key: key(4), rid } as const]
  const batch = new Uint8Array(encodedBatchBytes(operations))
  encodeBatch(batch, 0, { seq: 1_000, operations }, 'ieee')
  fs.writeFileSync(path.join(dir, 'maindb/wal', journalFileName({ lane: 0, seq: 9 })), batch)
  fs.truncateSync(valueLogOf(dir), last + 100)
  const before = files(dir)
  const error = await refusal(dir)
  expect(error.code).toBe('ENGINE_CORRUPT')
  expect(error.message).toContain(`value-l0-000001.log ends in a record at ${last}`)
  expect(files(dir)).toEqual(before)
})

test('looking for records behind a cut one reads what may be one, and not each place that looks like it', () => {
  const file = path.join(memoryFolder(), 'ones.log')
  // As numbers of four bytes: at each of them a header seems to begin.
  fs.writeFileSync(file, Buffer.from(new Uint32Array(2 ** 18).fill(1).buffer))
  const opened = nodeFileSystem.open(file, 'read')
  const read = opened.read.bind(opened)
  let reads = 0
  opened.read = (...call) => {
    expect(++reads, 'reads of a file of 16 windows').toBeLessThan(40)
    return read(...call)
  }
  const steps = findRecord(opened, 'ieee', 0, new Set([12_345n]))
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  expect(step.value).toBeUndefined()
  expect(reads).toBeGreaterThanOrEqual(16)
  opened.close()
})
