/** Damage that an opening for writing meets: it is told, and nothing older takes the place of what was damaged. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../engine/errors.ts'
import {
  PAGE_BYTES,
  PAGE_LEAF,
  PAGE_META,
  makePage,
  pageType,
  sealPage,
} from '../../engine/index/page.ts'
import { copyFolder, key, memoryFolder, openFixture, value } from '../support/engine-fixture.ts'
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
