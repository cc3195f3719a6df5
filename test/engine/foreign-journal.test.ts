/** Journals as other writers leave them: several lanes, and values too long for a leaf page. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import {
  encodeBatch,
  encodedBatchBytes,
  type JournalBatch,
  type JournalOperation,
} from '../../engine/commit-log/codec.ts'
import { journalFileName } from '../../engine/ids.ts'
import { METADATA_FILE } from '../../engine/metadata.ts'
import { read } from './inspect/reading.ts'
import {
  bytesEqual,
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  removeFolder,
  value,
} from '../support/engine-fixture.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { SEED, randomFrom } from '../support/random.ts'
import { recordIds } from '../support/record-ids.ts'
import { openForLife } from '../support/scripted-life.ts'

const put = (name: string, bytes: Uint8Array): JournalOperation => ({
  op: 'set_inline',
  key: key(name),
  value: bytes,
})

const remove = (name: string): JournalOperation => ({ op: 'delete', key: key(name) })

function writeJournal(dir: string, lane: number, batches: readonly JournalBatch[]): void {
  const parts = batches.map((batch) => {
    const bytes = new Uint8Array(encodedBatchBytes(batch.operations))
    encodeBatch(bytes, 0, batch, 'ieee')
    return bytes
  })
  const name = journalFileName({ lane, seq: 1 })
  fs.writeFileSync(path.join(dir, 'maindb/wal', name), Buffer.concat(parts))
}

const journalsOf = (dir: string): string[] => fs.readdirSync(path.join(dir, 'maindb/wal')).sort()

/** Values of three keys by their first byte, which is what `value` makes of its seed. */
function seen(engine: Pick<Engine, 'get'>): Record<string, number | undefined> {
  return Object.fromEntries(['a', 'b', 'c', 'old'].map((k) => [k, engine.get(key(k))?.[1]]))
}

/** Two lanes whose numbers interleave: what lane 1 says of `a` and `b`, lane 0 says otherwise later. */
async function interleaved(): Promise<string> {
  const { engine, dir } = await openFixture({}, { dir: memoryFolder() })
  await engine.put(key('old'), value(9, 30))
  await engine.close()
  writeJournal(dir, 0, [
    { seq: 2, operations: [put('a', value(2, 30))] },
    { seq: 4, operations: [remove('b')] },
  ])
  writeJournal(dir, 1, [
    { seq: 1, operations: [put('a', value(1, 30)), put('b', value(1, 3000))] },
    { seq: 3, operations: [put('c', value(3, 30))] },
  ])
  return dir
}

const AFTER = { a: 2, b: undefined, c: 3, old: 9 }

describe('a journal of two lanes', () => {
  test('killed before any call of its replay, is replayed to the same values by the next opening', async () => {
    const disk = new FaultFileSystem(await interleaved())
    const random = randomFrom(SEED)
    const left: { folder: string; where: string }[] = []
    let isLaneAlone = false
    disk.onCall = (call, file) => {
      const where = `before call ${disk.calls}, ${call} ${file}, seed ${SEED}`
      left.push({ folder: copyFolder(disk.root, memoryFolder()), where })
      const cut = disk.powerCut(memoryFolder(), 'mixed', random)
      left.push({ folder: cut, where: `power cut ${where}` })
      const lanes = journalsOf(disk.root)
      isLaneAlone ||=
        call === 'unlink' &&
        !lanes.includes('commit-l0-000001.log') &&
        lanes.includes('commit-l1-000001.log')
    }
    const first = await openForLife(disk.root, disk.process().fileSystem)
    disk.onCall = () => undefined
    expect(seen(first)).toEqual(AFTER)
    await first.close()
    for (const { folder, where } of left) {
      const { engine } = await openFixture({}, { dir: folder })
      expect(seen(engine), where).toEqual(AFTER)
      await engine.close()
      expect(journalsOf(folder), where).toEqual([])
      removeFolder(folder)
    }
    expect(isLaneAlone, 'some kill came between the deletions').toBe(true)
  }, 60_000)
})

/** Of a key of one byte: a page less its header, one slot of its directory and the entry's header. */
const LEAF_TAKES = 4096 - 16 - 2 - 7 - 1

describe('a journaled inline value', () => {
  test.each([LEAF_TAKES, LEAF_TAKES + 1, 6000, 300_000])(
    'of %d bytes is replayed, to the value log when it is longer than a leaf page takes',
    async (bytes) => {
      const { engine: made, dir } = await openFixture({}, { dir: memoryFolder() })
      await made.put(key('old'), value(9, 30))
      await made.close()
      writeJournal(dir, 0, [
        { seq: 1, operations: [put('k', value(7, bytes)), put('a', value(1, 9))] },
      ])
      const { engine } = await openFixture({}, { dir })
      expect(bytesEqual(engine.get(key('k')), value(7, bytes))).toBe(true)
      expect(engine.info.journalRecordsReplayed).toBe(2)
      expect((await engine.verify()).differences).toEqual([])
      // A kill now finds the value where the checkpoint of the opening put it.
      const copy = copyFolder(dir, memoryFolder())
      await engine.put(key('b'), value(2, 700))
      await engine.close()
      const { report } = await read(dir)
      const inLog = bytes > LEAF_TAKES ? 2 : 1
      expect(report.segments.reduce((sum, segment) => sum + segment.records, 0)).toBe(inLog)
      for (const folder of [copy, dir]) {
        const again = await openFixture({}, { dir: folder })
        expect(bytesEqual(again.engine.get(key('k')), value(7, bytes))).toBe(true)
        expect(bytesEqual(again.engine.get(key('a')), value(1, 9))).toBe(true)
        await again.engine.close()
      }
    },
  )
})

test('a record id that a batch has lost is not given to a value of the replay, so the batch stays lost', async () => {
  const { engine: made, dir } = await openFixture({}, { dir: memoryFolder() })
  await made.put(key('old'), value(9, 900))
  await made.close()
  const lost = (recordIds(dir).at(-1) ?? 0n) + 1n
  fs.rmSync(path.join(dir, 'maindb', METADATA_FILE))
  const rid = { high: 0, low: Number(lost) }
  writeJournal(dir, 0, [
    { seq: 1, operations: [{ op: 'set_rid', key: key('a'), rid }, remove('old')] },
    { seq: 2, operations: [put('c', value(3, 6000))] },
  ])
  const disk = new FaultFileSystem(dir)
  const left: string[] = []
  disk.onCall = () => void left.push(copyFolder(disk.root, memoryFolder()))
  const first = await openForLife(disk.root, disk.process().fileSystem)
  disk.onCall = () => undefined
  expect(seen(first)).toEqual({ a: undefined, b: undefined, c: 3, old: 9 })
  await first.close()
  for (const folder of left) {
    const { engine } = await openFixture({}, { dir: folder })
    expect(seen(engine)).toEqual({ a: undefined, b: undefined, c: 3, old: 9 })
    await engine.close()
    removeFolder(folder)
  }
})
