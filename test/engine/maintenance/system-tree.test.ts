/** Values that the system tree of a foreign folder holds: they live like a user's, and move like them. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { EngineOptions } from '../../../engine/api.ts'
import { EntryRun, encodeEntry } from '../../../engine/index/leaf.ts'
import { PAGE_BYTES } from '../../../engine/index/page.ts'
import { findInTree } from '../../../engine/index/tree.ts'
import type { SegmentId } from '../../../engine/types.ts'
import type { ValuePointer } from '../../../engine/value-pointer.ts'
import { noise } from '../../support/values.ts'
import {
  bytesEqual,
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  segmentFiles,
  value,
} from '../../support/engine-fixture.ts'
import { onSync, openRewriteStore, type RewriteStore } from '../../support/rewrite-store.ts'

const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 8192 }
const RECORD_BYTES = 1020
/** Root of the system tree of every new store: a leaf of its own. */
const SYSTEM_PAGE = 3
const SOURCE_FILE = 'value-l0-000001.log'

/** Makes the system tree of a closed folder: one leaf with these entries, ascending. */
function writeSystemLeaf(dir: string, entries: readonly [string, ValuePointer][]): void {
  const run = new EntryRun()
  for (const [name, pointer] of entries) {
    const bytes = encodeEntry(key(name), { kind: 'pointer', pointer })
    run.push(bytes, 0, bytes.length)
  }
  const page = run.layOut(0, run.count, SYSTEM_PAGE, 'ieee')
  const index = fs.openSync(path.join(dir, 'maindb', 'index.db'), 'r+')
  fs.writeSync(index, page.bytes, 0, PAGE_BYTES, SYSTEM_PAGE * PAGE_BYTES)
  fs.closeSync(index)
}

/** Segment 1 holds eight values; the user has k1 to k6, the system tree s1 and s2: records 0 and 7. */
async function shared(): Promise<string> {
  const { engine, dir } = await openFixture(OPTIONS, { dir: memoryFolder() })
  for (let i = 0; i < 8; i++) await engine.put(key(`k${i}`), value(i, 1000))
  const segmentId = engine.state().segments[0]?.segmentId ?? 0
  for (const gone of ['k0', 'k7']) await engine.delete(key(gone))
  await engine.checkpoint()
  await engine.close()
  const place = (record: number): ValuePointer => {
    return { segmentId, offset: record * RECORD_BYTES + 4, length: RECORD_BYTES - 4 }
  }
  writeSystemLeaf(dir, [
    ['s1', place(0)],
    ['s2', place(7)],
  ])
  return dir
}

function inSystemTree({ store }: RewriteStore, name: string): ValuePointer | undefined {
  const found = findInTree(store.pages, store.keySpace.root.systemRoot, key(name))
  return found?.kind === 'pointer' ? found.pointer : undefined
}

function readSystem(opened: RewriteStore, name: string): Uint8Array | undefined {
  const pointer = inSystemTree(opened, name)
  return pointer === undefined ? undefined : opened.store.valueLog.read(pointer)
}

function sourceOf({ store }: RewriteStore): SegmentId {
  const found = [...store.set].find((s) => s.name.endsWith(SOURCE_FILE))
  if (found === undefined) throw new Error('no source')
  return found.id
}

async function expectSound(dir: string): Promise<void> {
  const { engine } = await openFixture(OPTIONS, { dir })
  expect((await engine.verify()).differences).toEqual([])
  await engine.maintenance.gc({ dryRun: false })
  for (let i = 1; i < 7; i++) {
    expect(bytesEqual(engine.get(key(`k${i}`)), value(i, 1000)), `k${i}`).toBe(true)
  }
  await engine.close()
  const opened = await openRewriteStore(dir, OPTIONS)
  expect(bytesEqual(readSystem(opened, 's1'), value(0, 1000))).toBe(true)
  expect(bytesEqual(readSystem(opened, 's2'), value(7, 1000))).toBe(true)
  await opened.close()
}

describe('values of the system tree', () => {
  test('B6(a): user k1 and system s1 in one segment: both move, and s1 is read after reopening', async () => {
    const dir = await shared()
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = sourceOf(opened)
    expect(opened.store.set.get(source)?.bytesLive).toBe(8 * RECORD_BYTES)
    const report = await opened.rewrite([source])
    expect(report).toMatchObject({
      recordsCopied: 8,
      valueRecordsCopied: 8,
      sourceBytesProcessed: 8 * RECORD_BYTES,
      sourcesUnreferenced: [source],
      sourcesStillReferenced: [],
      sourcesUnfinished: [],
    })
    expect(inSystemTree(opened, 's1')?.segmentId).toBe(report.outputSegments[0])
    await opened.close()
    await expectSound(dir)
    expect([...segmentFiles(dir).keys()]).not.toContain(SOURCE_FILE)
  })

  test('B6(a): a pass of the engine deletes the segment then, and s1 is still there', async () => {
    const dir = await shared()
    const { engine } = await openFixture(OPTIONS, { dir })
    const source = engine.state().segments.find((s) => s.file.endsWith(SOURCE_FILE))
    const pass = await engine.maintenance.rewrite([source?.segmentId ?? 0])
    expect(pass.error).toBeNull()
    expect(engine.state().segments.some((s) => s.segmentId === source?.segmentId)).toBe(false)
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()
    await expectSound(dir)
  })

  test('B6(a): a bound that ends before them leaves the segment referenced and on disk', async () => {
    const dir = await shared()
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = sourceOf(opened)
    const report = await opened.rewrite([source], { maxCopiedBytes: 7 * RECORD_BYTES })
    expect(report).toMatchObject({
      recordsCopied: 7,
      sourcesStillReferenced: [source],
      sourcesUnfinished: [source],
    })
    await opened.close()
    await expectSound(dir)
    expect([...segmentFiles(dir).keys()]).toContain(SOURCE_FILE)
  })

  test('a damaged one stays, named, and keeps the segment', async () => {
    const dir = await shared()
    const file = path.join(dir, 'maindb', 'value_vlog', SOURCE_FILE)
    const bytes = fs.readFileSync(file)
    bytes.writeUInt8(bytes.readUInt8(500) ^ 1, 500)
    fs.writeFileSync(file, bytes)
    const opened = await openRewriteStore(dir, OPTIONS)
    const source = sourceOf(opened)
    const report = await opened.rewrite([source])
    expect(report).toMatchObject({ recordsCopied: 7, valuesUnreadable: 1 })
    expect(report.sourcesStillReferenced).toEqual([source])
    expect(inSystemTree(opened, 's1')?.segmentId).toBe(source)
    expect(bytesEqual(readSystem(opened, 's2'), value(7, 1000))).toBe(true)
    await opened.close()
  })

  test('a process that dies before their checkpoint has them where they were', async () => {
    const dir = await shared()
    let outputs = 0
    const copies: string[] = []
    // The first sync of output is of the user's values, the second of the system's.
    const dying = onSync('value-l1-', () => {
      if (++outputs === 2) copies.push(copyFolder(dir, memoryFolder()))
    })
    const opened = await openRewriteStore(dir, { ...OPTIONS, profile: 'wal_on_fast' }, dying)
    await opened.rewrite([sourceOf(opened)])
    await opened.close()
    expect(copies.length).toBe(1)
    for (const copy of copies) await expectSound(copy)
  })

  test('a store without any is not walked for them', async () => {
    const { engine, dir } = await openFixture(OPTIONS, { dir: memoryFolder() })
    for (let i = 0; i < 8; i++) await engine.put(key(`k${i}`), noise(i, 1000))
    await engine.close()
    const opened = await openRewriteStore(dir, OPTIONS)
    const { root } = opened.store.keySpace
    const report = await opened.rewrite([sourceOf(opened)])
    expect(report).toMatchObject({ recordsCopied: 8, treeWalks: 0, keysVisited: 8 })
    expect(opened.store.keySpace.root).toBe(root)
    await opened.close()
  })
})
