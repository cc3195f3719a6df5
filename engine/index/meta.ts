/**
 * Meta pages 0 and 1 (format.md 3.2): which tree is current. A commit writes the page that is not
 * current, so a torn write leaves the other one.
 *
 *   body at 16: u64 commit seq | u64 user root | u64 system root | u64 freelist head |
 *               u64 total pages | u32 + u64 dead fields | u64 last commit height
 */
import { readU64, writeU64 } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import { isCorruption } from '../errors.ts'
import { decodeLeafRef, encodeLeafRef, type LeafRef } from './leaf-ref.ts'
import {
  PAGE_HEADER_BYTES,
  PAGE_META,
  hasValidChecksum,
  newPage,
  pageType,
  sealPage,
  type Page,
} from './page.ts'

export interface Meta {
  commitSeq: number
  /** 0 when the root is the leaf page `userLeaf`. */
  userRoot: number
  systemRoot: number
  /** A root that is a leaf page in the value log; absent when it is a page of index.db. */
  userLeaf?: LeafRef
  systemLeaf?: LeafRef
  freelistHead: number
  /** 0 in a folder never committed to. */
  totalPages: number
  /** Dead fields of older engines, kept as found. */
  activeSlabId: number
  activeSlabTail: number
  lastCommitHeight: number
  /** Marks of later engines behind the body, kept as found; absent = not marked. */
  appliedCommandLsn?: bigint
  maxEntryRevision?: bigint
}

/** Marked u64 fields behind the 60 bytes of the body: "TMETAW1\0" and "TMETAR1\0". */
const COMMAND_LSN_MARK = Buffer.from('TMETAW1\0')
const COMMAND_LSN_AT = PAGE_HEADER_BYTES + 60
const REVISION_MARK = Buffer.from('TMETAR1\0')
const REVISION_AT = PAGE_HEADER_BYTES + 76
const MARK_BYTES = 8

function markedField(page: Page, at: number, mark: Uint8Array): bigint | undefined {
  const isMarked = mark.every((byte, i) => page.bytes[at + i] === byte)
  return isMarked ? page.view.getBigUint64(at + MARK_BYTES, true) : undefined
}

/** "TDMETV1\0": the later durable meta page, named and not read. */
const DURABLE_META_MAGIC = [0x54, 0x44, 0x4d, 0x45, 0x54, 0x56, 0x31, 0x00]

export function isDurableMeta(page: Page): boolean {
  for (const at of [0, PAGE_HEADER_BYTES]) {
    if (DURABLE_META_MAGIC.every((byte, i) => page.bytes[at + i] === byte)) return true
  }
  return false
}

export function decodeMeta(page: Page): Meta {
  const at = PAGE_HEADER_BYTES
  const userLeaf = decodeLeafRef(page.view, at + 8)
  const systemLeaf = decodeLeafRef(page.view, at + 16)
  const appliedCommandLsn = markedField(page, COMMAND_LSN_AT, COMMAND_LSN_MARK)
  const maxEntryRevision = markedField(page, REVISION_AT, REVISION_MARK)
  return {
    commitSeq: readU64(page.view, at),
    userRoot: userLeaf === undefined ? readU64(page.view, at + 8) : 0,
    systemRoot: systemLeaf === undefined ? readU64(page.view, at + 16) : 0,
    ...(userLeaf === undefined ? {} : { userLeaf }),
    ...(systemLeaf === undefined ? {} : { systemLeaf }),
    freelistHead: readU64(page.view, at + 24),
    totalPages: readU64(page.view, at + 32),
    activeSlabId: page.view.getUint32(at + 40, true),
    activeSlabTail: readU64(page.view, at + 44),
    lastCommitHeight: readU64(page.view, at + 52),
    ...(appliedCommandLsn === undefined ? {} : { appliedCommandLsn }),
    ...(maxEntryRevision === undefined ? {} : { maxEntryRevision }),
  }
}

export function encodeMeta(meta: Meta, pageNumber: 0 | 1, kind: ChecksumKind): Page {
  const page = newPage()
  const at = PAGE_HEADER_BYTES
  writeU64(page.view, at, meta.commitSeq)
  if (meta.userLeaf === undefined) writeU64(page.view, at + 8, meta.userRoot)
  else encodeLeafRef(page.view, at + 8, meta.userLeaf)
  if (meta.systemLeaf === undefined) writeU64(page.view, at + 16, meta.systemRoot)
  else encodeLeafRef(page.view, at + 16, meta.systemLeaf)
  writeU64(page.view, at + 24, meta.freelistHead)
  writeU64(page.view, at + 32, meta.totalPages)
  page.view.setUint32(at + 40, meta.activeSlabId, true)
  writeU64(page.view, at + 44, meta.activeSlabTail)
  writeU64(page.view, at + 52, meta.lastCommitHeight)
  if (meta.appliedCommandLsn !== undefined) {
    page.bytes.set(COMMAND_LSN_MARK, COMMAND_LSN_AT)
    page.view.setBigUint64(COMMAND_LSN_AT + MARK_BYTES, meta.appliedCommandLsn, true)
  }
  if (meta.maxEntryRevision !== undefined) {
    page.bytes.set(REVISION_MARK, REVISION_AT)
    page.view.setBigUint64(REVISION_AT + MARK_BYTES, meta.maxEntryRevision, true)
  }
  sealPage(page, { id: pageNumber, type: PAGE_META, count: 0 }, kind)
  return page
}

export interface MetaCandidate {
  pageNumber: 0 | 1
  meta: Meta
}

/** undefined when a field is outside what any index has: the other page may still be good. */
function decodeIfSane(page: Page): Meta | undefined {
  try {
    return decodeMeta(page)
  } catch (error) {
    if (isCorruption(error)) return undefined
    throw error
  }
}

/**
 * The valid meta pages, the one to try first in front: higher commit seq, page 0 on a tie. The
 * checksum kind is the one that fits; IEEE is tried first, and a folder has only one.
 */
export function readMetaPages(
  pages: readonly [Page, Page],
): { kind: ChecksumKind; candidates: MetaCandidate[] } | undefined {
  for (const kind of ['ieee', 'crc32c'] as const) {
    const candidates: MetaCandidate[] = []
    for (const pageNumber of [0, 1] as const) {
      const page = pages[pageNumber]
      if (!hasValidChecksum(page, kind) || pageType(page) !== PAGE_META) continue
      const meta = decodeIfSane(page)
      if (meta !== undefined) candidates.push({ pageNumber, meta })
    }
    if (candidates.length > 0) {
      candidates.sort((a, b) => b.meta.commitSeq - a.meta.commitSeq)
      return { kind, candidates }
    }
  }
  return undefined
}
