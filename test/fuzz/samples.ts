/** The wholesome folders that fuzzing starts from: two of an independent writer, ours, and our codecs' in other encodings. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { setImmediate as yieldNow } from 'node:timers/promises'
import { compress } from '@bokuweb/zstd-wasm'
import snappy from 'snappy'
import type { ChecksumKind } from '../../engine/checksum.ts'
import { StepClock } from '../../engine/clock.ts'
import { openEngine } from '../../engine/engine.ts'
import { encodeSegmentId, segmentFileName } from '../../engine/ids.ts'
import {
  LEAF_COLUMNAR2,
  LEAF_COLUMNAR_PREFIX,
  LEAF_PACKED,
  LEAF_PREFIX2,
  LEAF_REVISIONS,
} from '../../engine/index/leaf-encodings.ts'
import { EntryRun, encodeEntry } from '../../engine/index/leaf.ts'
import { encodeMeta } from '../../engine/index/meta.ts'
import { PAGE_BYTES } from '../../engine/index/page.ts'
import { encodeLz4 } from '../../engine/value-log/compression.ts'
import {
  BODY_HEADER_BYTES,
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  MAX_FRAME_RAW_BYTES,
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  sealRecord,
  writeFramePrefix,
} from '../../engine/value-log/record.ts'
import { loadZstd } from '../../engine/value-log/zstd.ts'
import { CRC_BYTES, groupedLength } from '../../engine/value-pointer.ts'
import { writeEncodedFolder, type FolderShape } from '../support/encoded-folder.ts'
import {
  MemoryFileSystem,
  cloneNode,
  loadFolder,
  memoryFile,
  newFolder,
  type MemoryFolder,
} from '../support/memory-file-system.ts'
import { key, repetitive, value } from '../support/values.ts'

export interface Sample {
  name: string
  kind: ChecksumKind
  folder: MemoryFolder
}

const SHAPES: [string, FolderShape][] = [
  ['columns', { kind: 'ieee', layout: 'split', leaves: LEAF_COLUMNAR2, internal: 16 }],
  [
    'prefixes',
    {
      kind: 'crc32c',
      layout: 'wal',
      leaves: LEAF_PREFIX2 | LEAF_PACKED,
      internal: 'plain',
      logged: 'raw',
    },
  ],
  [
    'revisions',
    {
      kind: 'ieee',
      layout: 'split',
      leaves: LEAF_COLUMNAR_PREFIX | LEAF_REVISIONS,
      internal: 'plain',
      logged: 'zstd_dictionary',
    },
  ],
  ['compact', { kind: 'ieee', layout: 'split', leaves: 0, internal: 'plain', logged: 'compact' }],
]

/** `data` is the folder of the two foreign samples. */
export async function makeSamples(data: string): Promise<Sample[]> {
  await loadZstd()
  const samples: Sample[] = [
    { name: 'march', kind: 'crc32c', folder: loadFolder(path.join(data, 'treedb-march-plain')) },
    { name: 'split', kind: 'ieee', folder: loadFolder(path.join(data, 'treedb-split-mixed')) },
    { name: 'own', kind: 'ieee', folder: await ownFolder() },
    { name: 'bombs', kind: 'ieee', folder: bombFolder() },
  ]
  for (const [name, shape] of SHAPES) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-fuzz-'))
    try {
      writeEncodedFolder(dir, shape)
      samples.push({ name, kind: shape.kind, folder: loadFolder(dir) })
    } finally {
      fs.rmSync(dir, { recursive: true })
    }
  }
  return samples
}

/** Bombs cost a second each: one seed in so many gets one. */
const BOMB_EVERY = 64

export function sampleFor(samples: readonly Sample[], seed: number): Sample {
  const bombs = samples.find(({ name }) => name === 'bombs')
  const others = samples.filter((sample) => sample !== bombs)
  const sample = seed % BOMB_EVERY === 0 ? bombs : others[seed % others.length]
  if (sample === undefined) throw new Error('there are samples')
  return sample
}

/** With frames, key lists, debt and a journal, as a killed process leaves it. */
async function ownFolder(): Promise<MemoryFolder> {
  const fileSystem = new MemoryFileSystem(newFolder())
  const clock = new StepClock({ wall: () => 1_774_000_000_000, monotonic: () => 0, arm: null })
  const engine = await openEngine(
    fileSystem.dir,
    { mode: 'step', checkpointIntervalMs: 0, inlineThreshold: 64, segmentBytes: 4096 },
    { clock, fileSystem, yieldNow },
  )
  for (let i = 0; i < 150; i++) {
    await engine.put(key(i % 60), (i % 3 === 0 ? repetitive : value)(i, i % 5 === 0 ? 20 : 400))
  }
  const sealed = engine.state().segments.filter((s) => s.state === 'sealed')
  await engine.maintenance.rewrite(sealed.slice(0, 3).map((s) => s.segmentId))
  await engine.maintenance.stage({ minStaleRatio: 0.01, minAgeMs: 0 })
  await engine.put(key(1), value(9, 400))
  // Before closing ends the journal.
  const folder = cloneNode(fileSystem.root)
  await engine.close()
  return folder
}

/** Frames of a few kilobytes that really decode to as much as a frame may have. */
function bombFolder(): MemoryFolder {
  const raw = Buffer.alloc(MAX_FRAME_RAW_BYTES)
  const blocks: [number, Uint8Array][] = [
    [CODEC_LZ4, encodeLz4(raw) ?? raw],
    [CODEC_ZSTD, compress(raw)],
    [CODEC_SNAPPY, snappy.compressSync(raw)],
  ]
  const segmentId = encodeSegmentId(0, 1)
  const records: Uint8Array[] = []
  const run = new EntryRun()
  let at = 0
  blocks.forEach(([codec, block], i) => {
    const rids = [{ low: i + 1, high: 0 }]
    const prefix = framePrefixBytes(1)
    const record = new Uint8Array(RECORD_HEADER_BYTES + prefix + block.length)
    const table = { rids, offsets: [0, raw.length], codec, compressed: true }
    writeFramePrefix(record, RECORD_HEADER_BYTES, table)
    record.set(block, RECORD_HEADER_BYTES + prefix)
    sealRecord(record, 0, prefix + block.length, null, 'ieee')
    const length = groupedLength(BODY_HEADER_BYTES + prefix + block.length, 0)
    const pointer = { segmentId, offset: at + CRC_BYTES, length }
    const entry = encodeEntry(key(i), { kind: 'pointer', pointer })
    run.push(entry, 0, entry.length)
    records.push(record)
    at += record.length
  })
  const index = Buffer.alloc(64 * PAGE_BYTES)
  const meta = {
    commitSeq: 1,
    userRoot: 2,
    systemRoot: 3,
    freelistHead: 0,
    totalPages: 4,
    activeSlabId: 0,
    activeSlabTail: 0,
    lastCommitHeight: 0,
  }
  index.set(encodeMeta(meta, 0, 'ieee').bytes, 0)
  index.set(encodeMeta(meta, 1, 'ieee').bytes, PAGE_BYTES)
  index.set(run.layOut(0, run.count, 2, 'ieee').bytes, 2 * PAGE_BYTES)
  index.set(new EntryRun().layOut(0, 0, 3, 'ieee').bytes, 3 * PAGE_BYTES)
  const values = newFolder()
  values.entries.set(segmentFileName(segmentId), memoryFile(Buffer.concat(records)))
  const main = newFolder()
  main.entries.set('index.db', memoryFile(index))
  main.entries.set('value_vlog', values)
  main.entries.set('wal', newFolder())
  const folder = newFolder()
  folder.entries.set('maindb', main)
  return folder
}
