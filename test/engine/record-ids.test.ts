/**
 * Record ids where an earlier version's offline rewrite was killed: it took them from the metadata's mark
 * on and left the mark where it was, so openings after it used the same ones.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { EngineOptions } from '../../engine/api.ts'
import { METADATA_FILE, RID_RESERVE, decodeMetadata, type Metadata } from '../../engine/metadata.ts'
import { rewriteFolder, type OfflineRewriteProgress } from '../../engine/offline-rewrite/rewrite.ts'
import { sealRecord } from '../../engine/value-log/record.ts'
import {
  bytesEqual,
  copyFolder,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { recordIds } from '../support/record-ids.ts'
import { read } from './inspect/reading.ts'

const OPTIONS: EngineOptions = { inlineThreshold: 64, segmentBytes: 4096 }
const VALUE_BYTES = 1000

function metadataOf(dir: string): Metadata {
  const text = fs.readFileSync(path.join(dir, 'maindb', METADATA_FILE), 'utf8')
  const metadata = decodeMetadata(text)
  if (metadata === undefined) throw new Error('no metadata')
  return metadata
}

/** A file that no index names, with one plain record for each id. */
function writeOrphan(dir: string, name: string, ids: readonly bigint[]): void {
  const records = ids.map((id, i) => {
    const record = Buffer.concat([Buffer.alloc(20), value(1000 + i, VALUE_BYTES)])
    const words = { high: Number(id >> 32n), low: Number(id & 0xffffffffn) }
    sealRecord(record, 0, VALUE_BYTES, words, 'ieee')
    return record
  })
  fs.writeFileSync(path.join(dir, 'maindb', 'value_vlog', name), Buffer.concat(records))
}

function nameOf(lane: number, seq: number): string {
  return `value-l${lane}-${String(seq).padStart(6, '0')}.log`
}

/** Twelve keys, and as killed behind them four more that are in the journal alone. */
async function killedStore(): Promise<{ dir: string; ids: bigint[] }> {
  const first = await openFixture(OPTIONS, { dir: memoryFolder() })
  for (let i = 0; i < 12; i++) await first.engine.put(key(i), value(i, VALUE_BYTES))
  await first.engine.close()
  const before = recordIds(first.dir)
  const { engine, dir } = await openFixture(OPTIONS, { dir: first.dir })
  for (let i = 12; i < 16; i++) await engine.put(key(i), value(i, VALUE_BYTES))
  const killed = copyFolder(dir, memoryFolder())
  await engine.close()
  const ids = recordIds(killed).filter((id) => !before.includes(id))
  expect(ids).toHaveLength(4)
  return { dir: killed, ids }
}

async function expectValues(dir: string): Promise<void> {
  const { engine } = await openFixture(OPTIONS, { dir })
  for (let i = 0; i < 16; i++) {
    expect(bytesEqual(engine.get(key(i)), value(i, VALUE_BYTES)), `key ${i}`).toBe(true)
  }
  expect(engine.info.journalRecordsReplayed).toBe(4)
  await engine.close()
}

test('an offline rewrite has its record ids set aside on disk before it writes the first of them', async () => {
  const { engine, dir } = await openFixture(OPTIONS, { dir: memoryFolder() })
  for (let i = 0; i < 40; i++) await engine.put(key(i), value(i, VALUE_BYTES))
  await engine.close()
  const old = new Set(recordIds(dir))
  let met = 0
  const deps = {
    fileSystem: quickFileSystem,
    clock: eagerClock(),
    yieldNow,
    onProgress: ({ phase }: OfflineRewriteProgress) => {
      if (phase !== 'copy') return
      const fresh = recordIds(dir).filter((id) => !old.has(id))
      for (const id of fresh) expect(id).toBeLessThan(metadataOf(dir).ridReservedUntil)
      met += fresh.length
    },
  }
  await rewriteFolder(dir, deps, { segmentBytes: 4096 })
  expect(met).toBeGreaterThan(0)
})

describe('record ids from the mark on, which a killed offline rewrite left', () => {
  test.each(['an opening', 'an offline rewrite'])('are not used again by %s', async (by) => {
    const { engine, dir } = await openFixture(OPTIONS, { dir: memoryFolder() })
    for (let i = 0; i < 8; i++) await engine.put(key(i), value(i, VALUE_BYTES))
    await engine.close()
    const { nextSeq, ridReservedUntil } = metadataOf(dir)
    const left = [0n, 1n, 2n, 3n].map((i) => ridReservedUntil + i)
    writeOrphan(dir, nameOf(1, nextSeq), left)
    // What a power cut damaged may have held any number of them.
    fs.writeFileSync(
      path.join(dir, 'maindb', 'value_vlog', nameOf(1, nextSeq + 1)),
      Buffer.alloc(3000),
    )
    if (by === 'an opening') {
      const again = await openFixture(OPTIONS, { dir })
      await again.engine.put(key('new'), value(1, VALUE_BYTES))
      await again.engine.checkpoint()
      await again.engine.close()
    } else {
      const deps = { fileSystem: quickFileSystem, clock: eagerClock(), yieldNow }
      await rewriteFolder(dir, deps, { segmentBytes: 4096 })
    }
    const fresh = recordIds(dir).filter((id) => id > ridReservedUntil + 3n)
    expect(fresh.length).toBeGreaterThan(0)
    for (const id of fresh) expect(id).toBeGreaterThanOrEqual(ridReservedUntil + RID_RESERVE)
    const ids = recordIds(dir)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('and used again by openings since: the journal means those of our own segments, to an opening and to a reader', async () => {
    const { dir, ids } = await killedStore()
    // Before ours in the order of names, and with a number of which the metadata knows that it was used.
    writeOrphan(dir, nameOf(0, 0), ids)
    const reading = await read(dir, { keys: true, replay: true })
    expect(reading.attachment.problems).toEqual([])
    await expectValues(dir)
    const after = await read(dir, { keys: true })
    for (const i of [12, 13, 14, 15]) {
      const name = Buffer.from(key(i)).toString('hex')
      const sha256 = createHash('sha256').update(value(i, VALUE_BYTES)).digest('hex')
      expect(reading.report.keys?.[name]).toMatchObject({ where: 'replayed', sha256 })
      expect(after.report.keys?.[name]).toMatchObject({ where: 'pointer', sha256 })
    }
  })

  test('in two segments of equal right: refused with both names, and a reader says so', async () => {
    const { dir, ids } = await killedStore()
    const { nextSeq } = metadataOf(dir)
    const copy = nameOf(0, nextSeq + 5)
    writeOrphan(dir, copy, ids.slice(0, 1))
    const refused = openFixture(OPTIONS, { dir })
    await expect(refused).rejects.toMatchObject({ code: 'ENGINE_CORRUPT' })
    await expect(refused).rejects.toThrow(
      new RegExp(`duplicate record id ${ids[0]}: .* and in .*${copy}`),
    )
    const { report, attachment } = await read(dir, { replay: true })
    expect(report.replayed).toBe(false)
    expect(attachment.problems).toEqual(
      expect.arrayContaining([
        '1 pending record id met twice: an opening for writing refuses the folder',
        'the journal was not replayed: which values it means cannot be told',
      ]),
    )
  })
})
