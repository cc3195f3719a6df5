/** The decoders of the engine, each with inputs that its encoder made and a way to make a mutant's checksum right. */
import { compress, compressUsingDict, createCCtx } from '@bokuweb/zstd-wasm'
import snappy from 'snappy'
import { checksum } from '../../engine/checksum.ts'
import { decodeJournal, encodeBatch, encodedBatchBytes } from '../../engine/commit-log/codec.ts'
import { decodeInternal, encodeBaseDelta } from '../../engine/index/internal-encodings.ts'
import { layOutInternal, searchInternal, validateInternal } from '../../engine/index/internal.ts'
import {
  LEAF_COLUMNAR1,
  LEAF_COLUMNAR2,
  LEAF_COLUMNAR_PREFIX,
  LEAF_PACKED,
  LEAF_PLAIN,
  LEAF_PREFIX1,
  LEAF_PREFIX2,
  LEAF_REVISIONS,
  decodeLeaf,
  encodeLeaf,
  type LeafEntry,
} from '../../engine/index/leaf-encodings.ts'
import { compactLeafPage, decodeLeafRef, leafPageOf } from '../../engine/index/leaf-ref.ts'
import {
  entryKey,
  entryStart,
  entryValue,
  searchLeaf,
  validateLeaf,
} from '../../engine/index/leaf.ts'
import { encodeMeta, readMetaPages } from '../../engine/index/meta.ts'
import { PAGE_BYTES, makePage, newPage, pageChecksum, pageCount } from '../../engine/index/page.ts'
import { parseJournalFileName, parseSegmentFileName } from '../../engine/ids.ts'
import { parseJson } from '../../engine/inspect/folder.ts'
import { decodeState } from '../../engine/maintenance/state-file.ts'
import { decodeMetadata, encodeMetadata } from '../../engine/metadata.ts'
import {
  decodePackedPointer,
  decodePointer,
  subIndexOf,
  hintOf,
} from '../../engine/value-pointer.ts'
import { decodeFrameValues, encodeLz4 } from '../../engine/value-log/compression.ts'
import {
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  parseFrame,
  sealRecord,
  writeFramePrefix,
} from '../../engine/value-log/record.ts'
import { walkHeaders } from '../../engine/value-log/headers.ts'
import { scanSegment } from '../../engine/value-log/scan.ts'
import { SegmentKeys } from '../../engine/value-log/segment-keys.ts'
import { loadZstd } from '../../engine/value-log/zstd.ts'
import { viewOf } from '../../engine/bytes.ts'
import type { OpenFile } from '../../engine/file-system.ts'
import { DICTIONARY, DICTIONARY_ID } from '../support/encoded-folder.ts'
import { MemoryFileSystem, memoryFile, newFolder } from '../support/memory-file-system.ts'
import { repetitive } from '../support/values.ts'

export interface Decoder {
  name: string
  seeds: Uint8Array[]
  /** undefined = its word for foreign content. */
  decode: (bytes: Buffer) => unknown
  repair?: (bytes: Buffer) => Buffer
}

function fileOf(bytes: Uint8Array): OpenFile {
  const root = newFolder()
  root.entries.set('file', memoryFile(bytes))
  return new MemoryFileSystem(root).open('/store/file', 'read')
}

function drained<T>(work: Generator<unknown, T>): T {
  for (;;) {
    const step = work.next()
    if (step.done === true) return step.value
  }
}

function fitted(bytes: Uint8Array): Buffer {
  const page = Buffer.alloc(PAGE_BYTES)
  page.set(bytes.subarray(0, PAGE_BYTES))
  return page
}

function resealedPages(bytes: Buffer): Buffer {
  const pages = Buffer.alloc(Math.max(1, Math.ceil(bytes.length / PAGE_BYTES)) * PAGE_BYTES)
  pages.set(bytes)
  for (let at = 0; at < pages.length; at += PAGE_BYTES) {
    const page = makePage(pages.subarray(at, at + PAGE_BYTES))
    page.view.setUint32(8, pageChecksum(page, 'ieee'), true)
  }
  return pages
}

const KEYS = Array.from({ length: 40 }, (_, i) => Buffer.from(`user/${i % 7}/${i}`)).sort((a, b) =>
  Buffer.compare(a, b),
)

function entries(): LeafEntry[] {
  return KEYS.map((key, i): LeafEntry => {
    const pointer = { segmentId: 0x80000001 + (i % 3), offset: 4 + i * 100, length: 116 }
    if (i % 11 === 5) return { key, value: { kind: 'tombstone' } }
    if (i % 3 === 0) return { key, value: { kind: 'pointer', pointer } }
    return { key, value: { kind: 'inline', value: repetitive(i, i % 9) } }
  })
}

function leafDecoders(): Decoder[] {
  const bases: [string, number][] = [
    ['plain', LEAF_PLAIN],
    ['prefix1', LEAF_PREFIX1],
    ['prefix2', LEAF_PREFIX2],
    ['columnar1', LEAF_COLUMNAR1],
    ['columnar2', LEAF_COLUMNAR2],
    ['columnar_prefix', LEAF_COLUMNAR_PREFIX],
  ]
  return bases.map(([name, base]): Decoder => {
    const marks = [0, LEAF_PACKED, LEAF_REVISIONS, LEAF_PACKED | LEAF_REVISIONS]
    const pages = marks.map((mark) => encodeLeaf(entries(), base | mark, { id: 7, kind: 'ieee' }))
    return {
      name: `leaf_${name}`,
      seeds: pages.flatMap((page) => (page === undefined ? [] : [page.bytes])),
      decode: (bytes) => {
        const page = decodeLeaf(makePage(fitted(bytes)), 7)
        validateLeaf(page, 7)
        // Everything that validation promises.
        for (let i = 0; i < pageCount(page); i++) {
          const start = entryStart(page, i)
          const key = entryKey(page, start)
          entryValue(page, start)
          if (searchLeaf(page, key) !== i) throw new Error(`entry ${i} is not found by its key`)
        }
        return page
      },
    }
  })
}

function internalDecoders(): Decoder[] {
  const children = KEYS.map((key, i) => ({ key, child: BigInt(100 + i) }))
  const fences = { low: Buffer.from('user/'), high: Buffer.from('v') }
  const plain = layOutInternal(
    KEYS.map((key, i) => ({ key, child: 100 + i })),
    9,
    'ieee',
  )
  const seeds = ([16, 32] as const).flatMap((delta) => [
    encodeBaseDelta(children, { delta, id: 9, kind: 'ieee' }),
    encodeBaseDelta(children, { delta, fences, id: 9, kind: 'ieee' }),
  ])
  const decode = (bytes: Buffer): unknown => {
    const page = decodeInternal(makePage(fitted(bytes)), 9)
    validateInternal(page, 9)
    for (const key of KEYS) {
      const child = searchInternal(page, key)
      if (child < 0 || child >= pageCount(page)) throw new Error(`child ${child} of a search`)
    }
    return page
  }
  return [
    { name: 'internal_plain', seeds: [plain.bytes], decode },
    {
      name: 'internal_base_delta',
      seeds: seeds.flatMap((page) => (page === undefined ? [] : [page.bytes])),
      decode,
    },
  ]
}

function metaDecoder(): Decoder {
  const meta = {
    commitSeq: 5,
    userRoot: 2,
    systemRoot: 3,
    freelistHead: 0,
    totalPages: 9,
    activeSlabId: 0,
    activeSlabTail: 0,
    lastCommitHeight: 1,
  }
  const leaf = { segmentId: 0x80000001, offset: 4, subIndex: 1 }
  const metas = [meta, { ...meta, userRoot: 0, userLeaf: leaf, appliedCommandLsn: 4n }]
  return {
    name: 'meta',
    seeds: metas.map((one) =>
      Buffer.concat([encodeMeta(one, 0, 'ieee').bytes, encodeMeta(one, 1, 'ieee').bytes]),
    ),
    decode: (bytes) => {
      const pages = [bytes.subarray(0, PAGE_BYTES), bytes.subarray(PAGE_BYTES)].map((one) =>
        makePage(fitted(one)),
      )
      return readMetaPages([pages[0] ?? newPage(), pages[1] ?? newPage()])
    },
    repair: resealedPages,
  }
}

// ---------------------------------------------------------------- value log

function record(payload: Uint8Array, isGrouped: boolean): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length)
  bytes.set(payload, RECORD_HEADER_BYTES)
  sealRecord(bytes, 0, payload.length, isGrouped ? null : { low: 5, high: 1 }, 'ieee')
  return bytes
}

const VALUES = [0, 1, 2, 3].map((i) => repetitive(i, 120 + i))

function frame(codec: number, block: Uint8Array, dictionary = false): Uint8Array {
  const offsets = [0]
  for (const value of VALUES) offsets.push((offsets.at(-1) ?? 0) + value.length)
  const rids = VALUES.map((_, i) => ({ low: i + 1, high: 0 }))
  const prefix = framePrefixBytes(VALUES.length)
  const payload = Buffer.alloc(prefix + block.length)
  writeFramePrefix(payload, 0, { rids, offsets, codec, compressed: codec >= 0 && block !== RAW })
  if (dictionary) payload.writeBigUInt64LE(DICTIONARY_ID, 4)
  payload.set(block, prefix)
  return payload
}

const RAW = Buffer.concat(VALUES)

function frameDecoders(): Decoder[] {
  const blocks: [string, Uint8Array][] = [
    ['raw', frame(0, RAW)],
    ['lz4', frame(CODEC_LZ4, encodeLz4(RAW) ?? RAW)],
    ['snappy', frame(CODEC_SNAPPY, snappy.compressSync(RAW))],
    ['zstd', frame(CODEC_ZSTD, compress(RAW))],
    ['zstd_dictionary', frame(CODEC_ZSTD, compressUsingDict(createCCtx(), RAW, DICTIONARY), true)],
  ]
  const dictionaries = { get: () => DICTIONARY }
  return blocks.map(([name, payload]): Decoder => ({
    name: `frame_${name}`,
    seeds: [payload],
    decode: (bytes) => {
      const parsed = parseFrame(bytes, 'here')
      const values = decodeFrameValues(bytes, parsed, 'here', dictionaries)
      if (values.length !== parsed.offsets.at(-1))
        throw new Error('another length than its offsets')
      return values
    },
  }))
}

function repairedRecords(bytes: Buffer): Buffer {
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length;) {
    const end = at + RECORD_HEADER_BYTES + bytes.readUInt32LE(at + 16)
    if (end > bytes.length) break
    bytes.writeUInt32LE(checksum('ieee', bytes, at + 4, end), at)
    at = end
  }
  return bytes
}

function segmentDecoders(): Decoder[] {
  const segment = Buffer.concat([
    record(VALUES[0] ?? RAW, false),
    record(frame(0, RAW), true),
    record(frame(CODEC_LZ4, encodeLz4(RAW) ?? RAW), true),
    record(new Uint8Array(0), false),
  ])
  const seeds = [segment, segment.subarray(0, 300)]
  return [
    {
      name: 'segment_scan',
      seeds,
      decode: (bytes) => drained(scanSegment(fileOf(bytes), 'ieee', () => undefined)),
      repair: repairedRecords,
    },
    {
      name: 'segment_headers',
      seeds,
      decode: (bytes) => drained(walkHeaders(fileOf(bytes), () => undefined)),
    },
  ]
}

// ---------------------------------------------------------------- journal

function journalDecoder(): Decoder {
  const batches = [1, 2, 3].map((seq) => ({
    seq,
    operations: [
      { op: 'set_inline' as const, key: KEYS[seq] ?? RAW, value: repetitive(seq, 50) },
      { op: 'set_rid' as const, key: KEYS[seq + 1] ?? RAW, rid: { low: seq, high: 0 } },
      { op: 'delete' as const, key: KEYS[seq + 2] ?? RAW },
    ],
  }))
  const file = Buffer.alloc(batches.reduce((sum, b) => sum + encodedBatchBytes(b.operations), 0))
  batches.reduce((at, batch) => encodeBatch(file, at, batch, 'ieee'), 0)
  return {
    name: 'journal',
    seeds: [file, compressedBatch(file)],
    decode: (bytes) => decodeJournal(bytes, 'ieee', 'here'),
    repair: (bytes) => {
      for (let at = 0; at + 8 <= bytes.length;) {
        const end = at + 8 + (bytes.readUInt32LE(at) & 0x7fffffff)
        if (end > bytes.length) break
        bytes.writeUInt32LE(checksum('ieee', bytes, at + 8, end), at + 4)
        at = end
      }
      return bytes
    },
  }
}

/** The first batch of a file, compressed. */
function compressedBatch(file: Buffer): Buffer {
  const payload = file.subarray(8, 8 + file.readUInt32LE(0))
  const block = compress(payload)
  const stored = Buffer.alloc(12 + block.length)
  stored.writeUInt32LE((0x80000000 | (block.length + 4)) >>> 0, 0)
  stored.writeUInt32LE(payload.length, 8)
  stored.set(block, 12)
  stored.writeUInt32LE(checksum('ieee', stored, 8, stored.length), 4)
  return stored
}

// ---------------------------------------------------------------- small files

function textDecoders(): Decoder[] {
  const state = {
    rewrite_source_file_ids: ['2147483668', '0', 'x'],
    rewrite_debt_ledger: [
      {
        file_id: '2147483668',
        bytes_total: 100,
        bytes_live: 40,
        bytes_stale: 60,
        stale_ratio: 0.6,
      },
    ],
    rewrite_debt_chunks: [{ file_id: '2147483668', chunk_offset: 0, bytes_total: 1 }],
    rewrite_penalties: [{ file_id: '2147483669', attempts: 2, cooldown_until_unix_nano: 17e17 }],
    rewrite_stage_pending: true,
    rewrite_stage_observed_unix_nano: 1774000000000000000,
  }
  const metadata = encodeMetadata({
    nextSeq: 7,
    ridReservedUntil: 1n << 41n,
    segments: new Map([
      [
        0x80000001,
        {
          origin: 'foreground',
          createdAtMs: 1,
          sealedAtMs: 2,
          sealedAtFrom: 'mtime',
          isWhole: true,
        },
      ],
    ]),
  })
  const format = { version: 3, required_features: ['command_wal_v1'], vlog_compression: 'block' }
  const text = (bytes: Buffer): string => bytes.toString('utf8')
  return [
    {
      name: 'state_file',
      seeds: [Buffer.from(JSON.stringify(state, null, 2))],
      decode: (bytes) => decodeState(text(bytes), 1000),
    },
    {
      name: 'restage_meta',
      seeds: [Buffer.from(metadata)],
      decode: (bytes) => decodeMetadata(text(bytes)),
    },
    {
      name: 'format_json',
      seeds: [Buffer.from(JSON.stringify(format, null, 2))],
      decode: (bytes) => parseJson(text(bytes)) ?? undefined,
    },
    {
      name: 'file_names',
      seeds: ['value-l0-000001.log', 'value-123.log', 'commit-l0-000001.log'].map((one) =>
        Buffer.from(one),
      ),
      decode: (bytes) => parseSegmentFileName(text(bytes)) ?? parseJournalFileName(text(bytes)),
    },
  ]
}

function keyListDecoder(): Decoder {
  const keys = new SegmentKeys()
  KEYS.forEach((key, i) => keys.add(i * 100 + 4, key))
  return {
    name: 'key_list',
    seeds: [Buffer.concat(Object.values(keys.encode()))],
    decode: (bytes) => {
      const list = drained(SegmentKeys.decode(bytes))
      for (let at = 0; at < (list?.bytes ?? 0); at = list?.after(at) ?? at) {
        list?.offset(at)
        list?.key(at)
      }
      return list
    },
    repair: (bytes) => {
      if (bytes.length < 20) return bytes
      bytes.writeUInt32LE(bytes.length - 20, 12)
      bytes.writeUInt32LE(checksum('ieee', bytes, 20, bytes.length), 16)
      return bytes
    },
  }
}

function smallDecoders(): Decoder[] {
  const leaf = encodeLeaf(entries(), LEAF_PLAIN, { id: 7, kind: 'ieee' })
  return [
    {
      name: 'pointers_and_refs',
      seeds: [Buffer.alloc(16, 0x84), Buffer.from('ea16b04c020000000004000005000000', 'hex')],
      decode: (bytes) => {
        const view = viewOf(Buffer.concat([bytes, Buffer.alloc(16)]))
        const pointers = [decodePointer(view, 0), decodePackedPointer(view, 0)]
        for (const pointer of pointers) {
          if (subIndexOf(pointer) > 127 || hintOf(pointer) < 0) throw new Error('out of range')
        }
        return decodeLeafRef(view, 0) ?? pointers
      },
    },
    {
      name: 'compact_leaf',
      seeds: leaf === undefined ? [] : [compactLeafPage(leaf.bytes)],
      decode: (bytes) => leafPageOf(bytes, { compact: true, where: 'here' }),
    },
  ]
}

export async function makeDecoders(): Promise<Decoder[]> {
  await loadZstd()
  return [
    metaDecoder(),
    ...leafDecoders(),
    ...internalDecoders(),
    ...smallDecoders(),
    ...frameDecoders(),
    ...segmentDecoders(),
    journalDecoder(),
    keyListDecoder(),
    ...textDecoders(),
  ]
}
