/** Folders made by our own writers, one in each encoding: inspected, opened, changed, inspected. */
import { compress } from '@bokuweb/zstd-wasm'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Engine } from '../../../engine/api.ts'
import { checksum } from '../../../engine/checksum.ts'
import { encodeBatch, encodedBatchBytes } from '../../../engine/commit-log/codec.ts'
import { encodeSegmentId, segmentFileName } from '../../../engine/ids.ts'
import {
  LEAF_ENCODING_NAMES,
  LEAF_PACKED,
  LEAF_PREFIX2,
  LEAF_REVISIONS,
  encodeLeaf,
} from '../../../engine/index/leaf-encodings.ts'
import { encodeMeta } from '../../../engine/index/meta.ts'
import { PAGE_BYTES } from '../../../engine/index/page.ts'
import type { InspectReport } from '../../../engine/inspect.ts'
import { framePrefixBytes, sealRecord, writeFramePrefix } from '../../../engine/value-log/record.ts'
import { loadZstd } from '../../../engine/value-log/zstd.ts'
import {
  DICTIONARY_ID,
  writeEncodedFolder,
  type FolderShape,
  type Model,
} from '../../support/encoded-folder.ts'
import { entriesOf, openFixture, temporaryFolder, value } from '../../support/engine-fixture.ts'
import { read } from '../inspect/reading.ts'

beforeAll(loadZstd)

const PLAIN: FolderShape = { kind: 'ieee', layout: 'split', leaves: 0, internal: 'plain' }

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function expectedKeys(model: Model): Record<string, { size: number; sha256: string }> {
  return Object.fromEntries(
    [...model].map(([key, bytes]) => [
      Buffer.from(key, 'latin1').toString('hex'),
      { size: bytes.length, sha256: hash(bytes) },
    ]),
  )
}

function keysOf(report: InspectReport): Record<string, { size: number; sha256: string }> {
  return Object.fromEntries(
    Object.entries(report.keys ?? {}).flatMap(([hex, found]) =>
      'sha256' in found ? [[hex, { size: found.size, sha256: found.sha256 }]] : [],
    ),
  )
}

function contentsOf(engine: Engine): Record<string, { size: number; sha256: string }> {
  return expectedKeys(new Map(entriesOf(engine)))
}

/** Inspects, opens, changes and reopens the folder; every reading must agree with the model. */
async function expectLife(dir: string, model: Model): Promise<void> {
  const before = await read(dir, { keys: true, verify: true })
  expect(before.attachment).toMatchObject({ problems: [], unsupported: [] })
  expect(keysOf(before.report)).toEqual(expectedKeys(model))
  expect((await read(dir)).state).toEqual(before.state)

  const { engine } = await openFixture({}, { dir })
  expect(contentsOf(engine)).toEqual(expectedKeys(model))
  for (const [key, bytes] of model) {
    const found = engine.get(Buffer.from(key, 'latin1'))
    expect(found === undefined ? undefined : hash(found)).toBe(hash(bytes))
  }
  expect((await engine.verify()).differences).toEqual([])
  const live = engine.state().segments.map(({ segmentId, bytesLive }) => [segmentId, bytesLive])
  expect(before.state.segments.map((s) => [s.segmentId, s.bytesLive])).toEqual(live)
  const changed = new Map(model)
  for (const [i, key] of ['user/00007', 'user/00350', 'user/99999', 'a'].entries()) {
    const bytes = value(1000 + i, 700)
    changed.set(key, bytes)
    await engine.put(Buffer.from(key), bytes)
  }
  changed.delete('user/00000')
  await engine.delete(Buffer.from('user/00000'))
  await engine.checkpoint()
  expect((await engine.verify()).differences).toEqual([])
  await engine.close()

  const again = await openFixture({}, { dir })
  expect(contentsOf(again.engine)).toEqual(expectedKeys(changed))
  expect((await again.engine.verify()).differences).toEqual([])
  await again.engine.close()
  const after = await read(dir, { keys: true, verify: true })
  expect(after.attachment).toMatchObject({ problems: [], unsupported: [] })
  expect(keysOf(after.report)).toEqual(expectedKeys(changed))
}

const MARKS = [0, LEAF_PACKED, LEAF_REVISIONS, LEAF_PACKED | LEAF_REVISIONS]
const ENCODINGS = [...LEAF_ENCODING_NAMES].flatMap(([base, name]) =>
  MARKS.map((marks, i) => {
    const suffix = `${(marks & LEAF_PACKED) === 0 ? '' : '_packed'}${(marks & LEAF_REVISIONS) === 0 ? '' : '_revisions'}`
    const internal = (['plain', 16, 32, 16] as const)[i] ?? 'plain'
    return [`leaf_${name}${suffix}`, base | marks, internal] as const
  }),
)

describe('a folder of our own writer', () => {
  test.each(ENCODINGS)(
    'with leaves %s reads, opens and takes writes',
    async (name, leaves, internal) => {
      const dir = temporaryFolder()
      const kind = internal === 16 ? 'crc32c' : 'ieee'
      const layout = internal === 32 ? 'wal' : 'split'
      const model = writeEncodedFolder(dir, { kind, layout, leaves, internal })
      const { report } = await read(dir)
      expect(report.index.visited[name]).toBeGreaterThan(5)
      const parent = {
        plain: 'internal_plain',
        16: 'internal_base_delta_u16',
        32: 'internal_base_delta',
      }
      expect(report.index.visited).toHaveProperty(parent[internal])
      await expectLife(dir, model)
    },
  )

  test.each(['raw', 'zstd_dictionary', 'compact'] as const)(
    'with %s leaf pages in the value log reads, opens and takes writes',
    async (logged) => {
      const dir = temporaryFolder()
      const model = writeEncodedFolder(dir, { ...PLAIN, leaves: LEAF_PREFIX2, logged })
      const { report } = await read(dir)
      expect(report.index.visited['leaf_prefix2_in_log']).toBe(3)
      expect(report.index.leaf_pages_in_log).toBe(3)
      await expectLife(dir, model)
    },
  )

  test('whose root is a leaf page in the value log reads, opens and takes writes', async () => {
    const dir = temporaryFolder()
    const model = writeEncodedFolder(dir, { ...PLAIN, loggedRoot: true })
    const { report } = await read(dir)
    const id = BigInt(encodeSegmentId(3, 2))
    expect(report.meta?.user_root).toBe(String((id << 32n) | 4n))
    await expectLife(dir, model)
  })
})

describe('dictionaries', () => {
  test('that are missing are said, and only their values cannot be read', async () => {
    const dir = temporaryFolder()
    const model = writeEncodedFolder(dir, PLAIN)
    fs.rmSync(path.join(dir, 'dictdb'), { recursive: true })
    const { report } = await read(dir, { keys: true })
    const name = DICTIONARY_ID.toString(16).padStart(16, '0')
    expect(report.problems).toEqual([
      expect.stringMatching(
        `^dictionary ${name}: dictdb: there is no such folder \\(needed by \\d frames?\\)$`,
      ),
    ])
    const found = Object.keys(keysOf(report))
    expect(found.length).toBeGreaterThan(model.size / 2)
    expect(found.length).toBeLessThan(model.size)
  })

  test('that hold other bytes than their id says are damage', async () => {
    const dir = temporaryFolder()
    writeEncodedFolder(dir, PLAIN)
    const file = path.join(dir, 'dictdb/wal', segmentFileName(encodeSegmentId(0, 1)))
    const bytes = fs.readFileSync(file)
    bytes[100] = (bytes[100] ?? 0) ^ 1
    sealRecord(bytes, 0, bytes.length - 20, { low: bytes.readUInt32LE(8), high: 0 }, 'ieee')
    fs.writeFileSync(file, bytes)
    const { report } = await read(dir)
    expect(report.problems[0]).toMatch(/^dictdb: dictionary [0-9a-f]{16} holds other bytes/)
  })

  test('are not looked for behind a symbolic link', async () => {
    const dir = temporaryFolder()
    writeEncodedFolder(dir, PLAIN)
    const elsewhere = path.join(temporaryFolder(), 'dictdb')
    fs.renameSync(path.join(dir, 'dictdb'), elsewhere)
    fs.symlinkSync(elsewhere, path.join(dir, 'dictdb'))
    const { report } = await read(dir)
    expect(report.problems[0]).toContain('there is no such folder')
  })
})

describe('the journal', () => {
  test('in compressed batches is replayed by the inspector and at the opening', async () => {
    const dir = temporaryFolder()
    const model = writeEncodedFolder(dir, PLAIN)
    const bytes = value(5, 200)
    const batch = {
      seq: 1,
      operations: [{ op: 'set_inline' as const, key: Buffer.from('new'), value: bytes }],
    }
    const plain = Buffer.alloc(encodedBatchBytes(batch.operations))
    encodeBatch(plain, 0, batch, 'ieee')
    const raw = plain.subarray(8)
    const block = compress(raw)
    const stored = Buffer.alloc(8 + 4 + block.length)
    stored.writeUInt32LE((0x80000000 | (4 + block.length)) >>> 0, 0)
    stored.writeUInt32LE(raw.length, 8)
    stored.set(block, 12)
    stored.writeUInt32LE(checksum('ieee', stored, 8, stored.length), 4)
    fs.writeFileSync(path.join(dir, 'maindb/wal/commit-l0-000001.log'), stored)
    model.set('new', bytes)
    const { report } = await read(dir, { keys: true, replay: true })
    expect(report.commitlog).toMatchObject([{ batches: 1, records: 1, state: 'clean' }])
    expect(keysOf(report)).toEqual(expectedKeys(model))
    const { engine } = await openFixture({}, { dir })
    expect(engine.info.journalRecordsReplayed).toBe(1)
    expect(contentsOf(engine)).toEqual(expectedKeys(model))
    await engine.close()
  })
})

describe('leaf refs of before 23 March 2026', () => {
  test('reach beyond 512 MiB with sub-index 0', async () => {
    const dir = temporaryFolder()
    const values = path.join(dir, 'maindb/value_vlog')
    fs.mkdirSync(values, { recursive: true })
    // Ten records of 60 MiB that are holes but for their headers, then the frame with the leaf.
    const payloadBytes = 60 * 2 ** 20
    const header = Buffer.alloc(20)
    header.writeUInt8(1, 4)
    header.writeUInt32LE(payloadBytes, 16)
    const segmentId = encodeSegmentId(0, 1)
    const file = fs.openSync(path.join(values, segmentFileName(segmentId)), 'w')
    let at = 0
    for (let i = 1; i <= 10; i++) {
      header.writeUInt32LE(i, 8)
      fs.writeSync(file, header, 0, header.length, at)
      at += header.length + payloadBytes
    }
    const entries = [
      { key: Buffer.from('k'), value: { kind: 'inline' as const, value: Buffer.from('v') } },
    ]
    const leaf = encodeLeaf(entries, 0, { id: 0, kind: 'ieee' })
    const empty = encodeLeaf([], 0, { id: 3, kind: 'ieee' })
    if (leaf === undefined || empty === undefined) throw new Error('they fit')
    const prefix = framePrefixBytes(1)
    const record = Buffer.alloc(20 + prefix + PAGE_BYTES)
    const tables = {
      rids: [{ low: 99, high: 0 }],
      offsets: [0, PAGE_BYTES],
      codec: 0,
      compressed: false,
    }
    writeFramePrefix(record, 20, tables)
    record.set(leaf.bytes, 20 + prefix)
    sealRecord(record, 0, prefix + PAGE_BYTES, null, 'ieee')
    fs.writeSync(file, record, 0, record.length, at)
    fs.closeSync(file)
    const offset = at + 4
    expect(offset).toBeGreaterThan(2 ** 29)
    const meta = {
      commitSeq: 1,
      userRoot: 0,
      userLeaf: { segmentId, subIndex: offset >>> 29, offset: offset & (2 ** 29 - 1) },
      systemRoot: 3,
      freelistHead: 0,
      totalPages: 4,
      activeSlabId: 0,
      activeSlabTail: 0,
      lastCommitHeight: 0,
    }
    const index = Buffer.alloc(262_144)
    index.set(encodeMeta(meta, 0, 'ieee').bytes, 0)
    index.set(empty.bytes, 3 * PAGE_BYTES)
    fs.writeFileSync(path.join(dir, 'maindb/index.db'), index)
    const { report } = await read(dir, { keys: true })
    expect(report.keys).toHaveProperty('6b')
    expect(report.segments[0]).toMatchObject({
      records: 11,
      plain_records: 10,
      frames: 1,
      leaf_refs: 1,
      live_disk_bytes: record.length,
      tail: 'clean',
    })
  })
})
