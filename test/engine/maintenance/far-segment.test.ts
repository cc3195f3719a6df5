/**
 * A value-log file of more than 4 GiB, as a writer without a cap on its segments leaves it: pointers of 16
 * bytes reach all of it. Sparse, so that it takes no room.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../../engine/api.ts'
import { decodePointer, encodePointer } from '../../../engine/value-pointer.ts'
import { entryPointerAt, entryStart } from '../../../engine/index/leaf.ts'
import {
  PAGE_BYTES,
  PAGE_LEAF,
  hasValidChecksum,
  makePage,
  pageCount,
  pageId,
  pageType,
  sealPage,
} from '../../../engine/index/page.ts'
import { nodeFileSystem } from '../../../engine/file-system.ts'
import { inspectFolder } from '../../../engine/inspect.ts'
import {
  bytesEqual,
  key,
  memoryFolder,
  openFixture,
  segmentFiles,
  value,
  yieldNow,
} from '../../support/engine-fixture.ts'

const KEYS = 301
const VALUE_BYTES = 1000
const RECORD_BYTES = 20 + VALUE_BYTES
const FILE = 'value-l0-000001.log'
/** Dead records before those that live: so many bytes a record, headers and holes. */
const DEAD_RECORD_BYTES = 2 ** 26
const DEAD_RECORDS = 96
const SHIFT = DEAD_RECORD_BYTES * DEAD_RECORDS

/** Every pointer of the closed folder's index goes SHIFT bytes further. */
function shiftPointers(index: string): void {
  const bytes = fs.readFileSync(index)
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    const page = makePage(bytes.subarray(at, at + PAGE_BYTES))
    if (!hasValidChecksum(page, 'ieee') || pageType(page) !== PAGE_LEAF) continue
    const count = pageCount(page)
    for (let i = 0; i < count; i++) {
      const pointerAt = entryPointerAt(page, entryStart(page, i))
      if (pointerAt === -1) continue
      const pointer = decodePointer(page.view, pointerAt)
      encodePointer(page.view, pointerAt, { ...pointer, offset: pointer.offset + SHIFT })
    }
    sealPage(page, { id: pageId(page), type: PAGE_LEAF, count }, 'ieee')
  }
  fs.writeFileSync(index, bytes)
}

/** What the file holds goes SHIFT bytes further, behind headers of dead records. */
function shiftRecords(file: string): void {
  const records = fs.readFileSync(file)
  const fd = fs.openSync(file, 'r+')
  fs.ftruncateSync(fd, 0)
  fs.ftruncateSync(fd, SHIFT)
  const header = Buffer.alloc(20)
  header.writeUInt8(1, 4)
  header.writeUInt32LE(1, 8)
  header.writeUInt32LE(DEAD_RECORD_BYTES - header.length, 16)
  for (let i = 0; i < DEAD_RECORDS; i++) {
    fs.writeSync(fd, header, 0, header.length, i * DEAD_RECORD_BYTES)
  }
  fs.writeSync(fd, records, 0, records.length, SHIFT)
  fs.closeSync(fd)
}

/** Keys in another order than their records. */
async function farFolder(): Promise<string> {
  const { engine, dir } = await openFixture({ profile: 'fast' }, { dir: memoryFolder() })
  for (let i = 0; i < KEYS; i++) {
    const name = (i * 617) % KEYS
    await engine.put(key(name), value(name, VALUE_BYTES))
  }
  await engine.close()
  shiftPointers(path.join(dir, 'maindb/index.db'))
  shiftRecords(path.join(dir, 'maindb/value_vlog', FILE))
  return dir
}

function wrongValues(engine: Engine): number[] {
  const wrong: number[] = []
  for (let i = 0; i < KEYS; i++) {
    if (!bytesEqual(engine.get(key(i)), value(i, VALUE_BYTES))) wrong.push(i)
  }
  return wrong
}

describe('a segment of more than 4 GiB', () => {
  let dir = ''
  beforeAll(async () => {
    dir = await farFolder()
  })

  test('is read, and counted like any other', async () => {
    const { report, attachment } = await inspectFolder(
      dir,
      { fileSystem: nodeFileSystem, yieldNow, nowMs: 1 },
      { keys: true },
    )
    expect(attachment.problems).toEqual([])
    expect(report.segments[0]).toMatchObject({
      total_bytes: SHIFT + KEYS * RECORD_BYTES,
      live_disk_bytes: KEYS * RECORD_BYTES,
      referencing_pointers: KEYS,
      tail: 'clean',
    })
    expect(Object.values(report.keys ?? {}).filter((found) => !('sha256' in found))).toEqual([])
  })

  test.each(['walking everything', 'the list of its keys'])(
    'loses no value when it is rewritten by %s',
    async (how) => {
      const far = await farFolder()
      const listed = path.join(far, 'maindb/restage_keys')
      // The list names the places of before; opening makes it anew where there is none.
      fs.rmSync(listed, { recursive: true })
      const opened = await openFixture({}, { dir: far })
      if (how === 'walking everything') fs.rmSync(listed, { recursive: true })
      const [source] = opened.engine.state().segments
      expect(source?.bytesLive).toBe(KEYS * RECORD_BYTES)
      const pass = await opened.engine.maintenance.rewrite([source?.segmentId ?? 0])
      expect(pass.error).toBeNull()
      const rewrite = pass.steps.find((step) => step.kind === 'rewrite')
      expect(rewrite?.report).toMatchObject({
        treeWalks: how === 'walking everything' ? 1 : 0,
        valueRecordsCopied: KEYS,
        swapsLost: 0,
      })
      expect(wrongValues(opened.engine)).toEqual([])
      expect((await opened.engine.verify()).differences).toEqual([])
      await opened.engine.close()
      const again = await openFixture({}, { dir: far })
      expect(wrongValues(again.engine)).toEqual([])
      expect([...segmentFiles(far).keys()]).not.toContain(FILE)
      await again.engine.close()
    },
  )
})
