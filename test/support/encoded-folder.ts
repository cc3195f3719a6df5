/**
 * Folders in any encoding of the format, made by this project's own codecs: leaves in one encoding,
 * plain or base-delta internal pages, values in every kind of record, leaf pages in the value log,
 * dictionaries. The keys and values are always the same, so that any two folders can be compared.
 */
import { compress, compressUsingDict, createCCtx } from '@bokuweb/zstd-wasm'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import snappy from 'snappy'
import type { ChecksumKind } from '../../engine/checksum.ts'
import { encodeSegmentId, segmentFileName } from '../../engine/ids.ts'
import { encodeBaseDelta, type EncodedChild } from '../../engine/index/internal-encodings.ts'
import { childIdOffset, layOutInternal } from '../../engine/index/internal.ts'
import { encodeLeaf, type LeafEntry } from '../../engine/index/leaf-encodings.ts'
import { compactLeafPage, encodeLeafRef, type LeafRef } from '../../engine/index/leaf-ref.ts'
import type { Located } from '../../engine/index/leaf.ts'
import { encodeMeta } from '../../engine/index/meta.ts'
import { PAGE_BYTES, PAGE_INTERNAL, sealPage, type Page } from '../../engine/index/page.ts'
import type { SegmentId } from '../../engine/types.ts'
import { encodeLz4 } from '../../engine/value-log/compression.ts'
import {
  BODY_HEADER_BYTES,
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  sealRecord,
  writeFramePrefix,
} from '../../engine/value-log/record.ts'
import { CRC_BYTES, groupedLength, type ValuePointer } from '../../engine/value-pointer.ts'
import { value } from './values.ts'

export const DICTIONARY = Buffer.from(value(99, 1500))
export const DICTIONARY_ID = createHash('sha256').update(DICTIONARY).digest().readBigUInt64BE(0)

export type Codec = 'raw' | 'snappy' | 'lz4' | 'zstd' | 'zstd_dictionary'

/** One segment's bytes as records are appended. */
export class SegmentBytes {
  readonly id: SegmentId
  readonly #kind: ChecksumKind
  readonly #records: Uint8Array[] = []
  #bytes = 0
  static #nextRid = 1

  constructor(id: SegmentId, kind: ChecksumKind) {
    this.id = id
    this.#kind = kind
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#records)
  }

  appendPlain(bytes: Uint8Array): ValuePointer {
    const start = this.#append(bytes, { low: SegmentBytes.#nextRid++, high: 0 })
    const length = BODY_HEADER_BYTES + bytes.length
    return { segmentId: this.id, offset: start + CRC_BYTES, length }
  }

  appendFrame(values: readonly Uint8Array[], codec: Codec): ValuePointer[] {
    const rids = values.map(() => ({ low: SegmentBytes.#nextRid++, high: 7 }))
    const offsets = [0]
    for (const one of values) offsets.push((offsets.at(-1) ?? 0) + one.length)
    const raw = Buffer.concat(values)
    const { block, id } = encodeBlock(raw, codec)
    const prefix = framePrefixBytes(values.length)
    const payload = new Uint8Array(prefix + block.length)
    writeFramePrefix(payload, 0, { rids, offsets, codec: id, compressed: codec !== 'raw' })
    if (codec === 'zstd_dictionary') {
      new DataView(payload.buffer).setBigUint64(4, DICTIONARY_ID, true)
    }
    payload.set(block, prefix)
    const start = this.#append(payload, null)
    const bodyBytes = BODY_HEADER_BYTES + payload.length
    return values.map((_, i) => ({
      segmentId: this.id,
      offset: start + CRC_BYTES,
      length: groupedLength(bodyBytes, i),
    }))
  }

  #append(payload: Uint8Array, rid: { low: number; high: number } | null): number {
    const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length)
    record.set(payload, RECORD_HEADER_BYTES)
    sealRecord(record, 0, payload.length, rid, this.#kind)
    const start = this.#bytes
    this.#records.push(record)
    this.#bytes += record.length
    return start
  }
}

function encodeBlock(raw: Buffer, codec: Codec): { block: Uint8Array; id: number } {
  if (codec === 'raw') return { block: raw, id: 0 }
  if (codec === 'snappy') return { block: snappy.compressSync(raw), id: CODEC_SNAPPY }
  if (codec === 'zstd') return { block: compress(raw), id: CODEC_ZSTD }
  if (codec === 'zstd_dictionary') {
    return { block: compressUsingDict(createCCtx(), raw, DICTIONARY), id: CODEC_ZSTD }
  }
  const block = encodeLz4(raw)
  if (block === undefined) throw new Error('the values compress')
  return { block, id: CODEC_LZ4 }
}

export interface FolderShape {
  kind: ChecksumKind
  layout: 'split' | 'wal'
  /** Encoding of all leaves. */
  leaves: number
  internal: 'plain' | 16 | 32
  /** Every second leaf page lies in the value log, in frames of up to eight. */
  logged?: 'raw' | 'zstd_dictionary' | 'compact'
  /** The whole user tree is one leaf page in the value log. */
  loggedRoot?: boolean
}

const KEYS = 120
const LEAF_ENTRIES = 18
const GROUP = 4

/** What a folder holds: latin1 key to value; tombstones are no keys. */
export type Model = Map<string, Uint8Array>

/** Writes the folder and returns what it holds. */
export function writeEncodedFolder(dir: string, shape: FolderShape): Model {
  const main = path.join(dir, 'maindb')
  const values = path.join(main, shape.layout === 'split' ? 'value_vlog' : 'wal')
  for (const folder of [main, values, path.join(main, 'wal')])
    fs.mkdirSync(folder, { recursive: true })
  const segment = new SegmentBytes(encodeSegmentId(0, 1), shape.kind)
  const { entries, model } = makeEntries(segment, shape.loggedRoot === true ? LEAF_ENTRIES : KEYS)
  const pages = new Map<number, Page>()
  const leaves: SegmentBytes = new SegmentBytes(
    encodeSegmentId(shape.logged === 'compact' ? 255 : 3, 2),
    shape.kind,
  )
  const system = leafOf([{ key: Buffer.from('sys/a'), value: inline('system') }], shape, 3)
  pages.set(3, system)
  const meta = {
    commitSeq: 5,
    userRoot: 2,
    systemRoot: 3,
    freelistHead: 0,
    totalPages: 0,
    activeSlabId: 0,
    activeSlabTail: 0,
    lastCommitHeight: 0,
  }
  let userLeaf: LeafRef | undefined
  if (shape.loggedRoot === true) {
    ;[userLeaf] = logLeaves(leaves, [leafOf(entries, shape, 0)], 'raw')
  } else {
    writeTree(pages, entries, { shape, leaves })
  }
  const last = Math.max(...pages.keys())
  const index = Buffer.alloc(Math.ceil(((last + 1) * PAGE_BYTES) / 262_144) * 262_144)
  for (const [id, page] of pages) index.set(page.bytes, id * PAGE_BYTES)
  const full = {
    ...meta,
    totalPages: last + 1,
    ...(userLeaf === undefined ? {} : { userRoot: 0, userLeaf }),
  }
  index.set(encodeMeta({ ...full, commitSeq: 4 }, 0, shape.kind).bytes, 0)
  index.set(encodeMeta(full, 1, shape.kind).bytes, PAGE_BYTES)
  fs.writeFileSync(path.join(main, 'index.db'), index)
  fs.writeFileSync(path.join(values, segmentFileName(segment.id)), segment.bytes)
  const leafFolder = shape.logged === 'compact' ? path.join(main, 'leaf_vlog') : values
  fs.mkdirSync(leafFolder, { recursive: true })
  fs.writeFileSync(path.join(leafFolder, segmentFileName(leaves.id)), leaves.bytes)
  writeDictionaries(path.join(dir, 'dictdb'), shape.kind)
  return model
}

function inline(text: string): Located {
  return { kind: 'inline', value: new Uint8Array(Buffer.from(text)) }
}

/** Compressible, different for each entry; short ones are stored inline. */
function valueOf(i: number): Uint8Array {
  const text = `value ${i}, a word, `.repeat(40)
  return new Uint8Array(Buffer.from(text.slice(0, i % 3 === 0 ? 40 : 300 + i)))
}

/** Keys in order; their values inline, in plain records and in frames of every codec, some deleted. */
function makeEntries(segment: SegmentBytes, count: number): { entries: LeafEntry[]; model: Model } {
  const codecs: Codec[] = ['raw', 'snappy', 'lz4', 'zstd', 'zstd_dictionary']
  const entries: LeafEntry[] = []
  const model: Model = new Map()
  let group: { entry: LeafEntry; bytes: Uint8Array }[] = []
  for (let i = 0; i < count; i++) {
    const key = new Uint8Array(Buffer.from(`user/${String(i * 7).padStart(5, '0')}`))
    const entry: LeafEntry = { key, value: { kind: 'tombstone' } }
    entries.push(entry)
    if (i % 13 === 12) continue
    const bytes = valueOf(i)
    model.set(Buffer.from(key).toString('latin1'), bytes)
    if (i % 3 === 0) entry.value = { kind: 'inline', value: bytes }
    else if (i % 3 === 1) entry.value = { kind: 'pointer', pointer: segment.appendPlain(bytes) }
    else group.push({ entry, bytes })
    if (group.length === 0 || (group.length < GROUP && i < count - 3)) continue
    const codec = codecs[Math.floor(i / 12) % codecs.length] ?? 'raw'
    const pointers = segment.appendFrame(
      group.map((one) => one.bytes),
      codec,
    )
    for (const [at, pointer] of pointers.entries()) {
      const grouped = group[at]
      if (grouped !== undefined) grouped.entry.value = { kind: 'pointer', pointer }
    }
    group = []
  }
  if (group.length > 0) throw new Error('the last group was written')
  return { entries, model }
}

function leafOf(entries: readonly LeafEntry[], shape: FolderShape, id: number): Page {
  const page = encodeLeaf(entries, shape.leaves, { id, kind: shape.kind })
  if (page === undefined) throw new Error('the entries fit one leaf')
  return page
}

/** Leaves from page 4 on, their parent is page 2. */
function writeTree(
  pages: Map<number, Page>,
  entries: readonly LeafEntry[],
  parts: { shape: FolderShape; leaves: SegmentBytes },
): void {
  const { shape, leaves } = parts
  const chunks: LeafEntry[][] = []
  for (let at = 0; at < entries.length; at += LEAF_ENTRIES) {
    chunks.push(entries.slice(at, at + LEAF_ENTRIES))
  }
  const isLogged = (i: number): boolean => shape.logged !== undefined && i % 2 === 1
  const logged = chunks.filter((_, i) => isLogged(i)).map((chunk) => leafOf(chunk, shape, 0))
  const refs = shape.logged === undefined ? [] : logLeaves(leaves, logged, shape.logged)
  const children = chunks.map((chunk, i): EncodedChild => {
    const key = i === 0 ? new Uint8Array(0) : (chunk[0]?.key ?? new Uint8Array(0))
    if (!isLogged(i)) {
      pages.set(4 + i, leafOf(chunk, shape, 4 + i))
      return { key, child: BigInt(4 + i) }
    }
    const view = new DataView(new ArrayBuffer(8))
    const ref = refs[(i - 1) / 2]
    if (ref !== undefined) encodeLeafRef(view, 0, ref)
    return { key, child: view.getBigUint64(0, true) }
  })
  pages.set(2, internalOf(children, shape))
}

function internalOf(children: readonly EncodedChild[], shape: FolderShape): Page {
  const { kind, internal } = shape
  if (internal !== 'plain') {
    const fences = { low: new Uint8Array(0), high: new Uint8Array(0) }
    const page = encodeBaseDelta(children, { delta: internal, fences, id: 2, kind })
    if (page === undefined) throw new Error('the children fit one page')
    return page
  }
  const page = layOutInternal(
    children.map(({ key }) => ({ key, child: 0 })),
    2,
    kind,
  )
  children.forEach(({ child }, i) => page.view.setBigUint64(childIdOffset(page, i), child, true))
  sealPage(page, { id: 2, type: PAGE_INTERNAL, count: children.length }, kind)
  return page
}

function logLeaves(
  segment: SegmentBytes,
  pages: readonly Page[],
  how: 'raw' | 'zstd_dictionary' | 'compact',
): LeafRef[] {
  const refs: LeafRef[] = []
  for (let at = 0; at < pages.length; at += 8) {
    const frame = pages
      .slice(at, at + 8)
      .map(({ bytes }) => (how === 'compact' ? compactLeafPage(bytes) : bytes))
    const pointers = segment.appendFrame(frame, how === 'compact' ? 'raw' : how)
    pointers.forEach(({ segmentId, offset }, subIndex) =>
      refs.push({ segmentId, subIndex, offset }),
    )
  }
  return refs
}

/** The dictionary store: one inline leaf that points to the dictionary's record. */
function writeDictionaries(folder: string, kind: ChecksumKind): void {
  fs.mkdirSync(path.join(folder, 'wal'), { recursive: true })
  const segment = new SegmentBytes(encodeSegmentId(0, 1), kind)
  const pointer = segment.appendPlain(DICTIONARY)
  const key = Buffer.alloc(14)
  key.write('bytes/')
  key.writeBigUInt64BE(DICTIONARY_ID, 6)
  const entries: LeafEntry[] = [{ key, value: { kind: 'pointer', pointer } }]
  const pages = [encodeLeaf(entries, 0, { id: 2, kind }), encodeLeaf([], 0, { id: 3, kind })]
  const index = Buffer.alloc(262_144)
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
  index.set(encodeMeta(meta, 0, kind).bytes, 0)
  pages.forEach((page, i) => page !== undefined && index.set(page.bytes, (2 + i) * PAGE_BYTES))
  fs.writeFileSync(path.join(folder, 'index.db'), index)
  fs.writeFileSync(path.join(folder, 'wal', segmentFileName(segment.id)), segment.bytes)
}
