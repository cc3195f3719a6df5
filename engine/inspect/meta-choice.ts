/**
 * Which meta page is current (format.md 3.2): the valid one with the higher commit sequence whose
 * roots and freelist head can be read, else the other one. Damage of one page is a problem, never
 * an end: without any usable meta page the value log is still read, with live bytes unknown.
 */
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import { lowWordOf, type LeafRef } from '../index/leaf-ref.ts'
import { decodeMeta, isDurableMeta, type Meta } from '../index/meta.ts'
import {
  PAGE_BYTES,
  PAGE_FREELIST,
  PAGE_INTERNAL,
  PAGE_LEAF,
  PAGE_META,
  hasValidChecksum,
  newPage,
  pageError,
  pageId,
  pageType,
  type Page,
} from '../index/page.ts'
import { errorText, type Sentences, type UnreadFeatures } from './findings.ts'
import type { InspectMeta } from './report.ts'

export interface MetaChoice {
  kind: ChecksumKind
  pageNumber: 0 | 1
  meta: Meta
  report: InspectMeta
  /** The other page when it is valid too: a crash could make it the current one. */
  other: { pageNumber: 0 | 1; meta: Meta } | null
}

interface Candidate {
  pageNumber: 0 | 1
  meta: Meta
}

interface Findings {
  problems: Sentences
  unread: UnreadFeatures
}

/** index.db opened, with its length in whole pages. */
export class IndexFile {
  readonly handle: OpenFile
  readonly bytes: number
  /** Whole pages in the file. */
  readonly filePages: number

  constructor(handle: OpenFile) {
    this.handle = handle
    this.bytes = handle.size()
    this.filePages = Math.floor(this.bytes / PAGE_BYTES)
  }

  /** ENGINE_CORRUPT past the file's end. `into` is filled and given back; by default a new page. */
  read(id: number, into?: Page): Page {
    if (id >= this.filePages) throw pageError(id, `past the end of ${this.filePages} pages`)
    const page = into ?? newPage()
    if (this.handle.read(page.bytes, 0, PAGE_BYTES, id * PAGE_BYTES) < PAGE_BYTES) {
      throw pageError(id, 'cut by the end of the file')
    }
    return page
  }

  /** With checksum and own id checked. */
  readChecked(id: number, kind: ChecksumKind, into?: Page): Page {
    const page = this.read(id, into)
    if (!hasValidChecksum(page, kind)) throw pageError(id, 'checksum mismatch')
    if (pageId(page) !== id) throw pageError(id, `carries the id ${pageId(page)}`)
    return page
  }
}

/** Reads a root that is a leaf page in the value log, checked; throws an EngineError. */
export type ReadRootLeaf = (ref: LeafRef, kind: ChecksumKind) => Page

/** undefined: no usable meta page; why is among the findings. */
export function chooseMeta(
  index: IndexFile,
  findings: Findings,
  readRootLeaf: ReadRootLeaf,
): MetaChoice | undefined {
  const pages: (Page | undefined)[] = []
  for (const pageNumber of [0, 1]) {
    try {
      pages.push(index.read(pageNumber))
    } catch (error) {
      findings.problems.add(errorText(error))
      pages.push(undefined)
    }
  }
  if (pages.some((page) => page !== undefined && isDurableMeta(page))) {
    findings.unread.add('durable meta pages (TDMETV1)', 'folder')
    return undefined
  }
  const kind = kindOf(pages)
  if (kind === undefined) {
    findings.problems.add('both meta pages are damaged: no tree can be read')
    return undefined
  }
  const candidates = readCandidates(pages, kind, findings)
  for (const candidate of candidates) {
    const why = whyNotUsable(index, candidate.meta, kind, readRootLeaf)
    if (why === undefined) return choiceOf(candidate, candidates, kind)
    findings.problems.add(`meta page ${candidate.pageNumber} was not taken: ${why}`)
  }
  findings.problems.add('no meta page has roots that can be read: no tree can be read')
  return undefined
}

/** One kind serves the whole folder: the first that fits either page. */
function kindOf(pages: readonly (Page | undefined)[]): ChecksumKind | undefined {
  return (['ieee', 'crc32c'] as const).find((kind) =>
    pages.some((page) => page !== undefined && hasValidChecksum(page, kind)),
  )
}

/** Valid pages, the one to try first in front: higher commit sequence, page 0 on a tie. */
function readCandidates(
  pages: readonly (Page | undefined)[],
  kind: ChecksumKind,
  findings: Findings,
): Candidate[] {
  const candidates: Candidate[] = []
  for (const pageNumber of [0, 1] as const) {
    const page = pages[pageNumber]
    if (page === undefined) continue
    if (!hasValidChecksum(page, kind) || pageType(page) !== PAGE_META) {
      findings.problems.add(`meta page ${pageNumber} is damaged`)
      continue
    }
    try {
      candidates.push({ pageNumber, meta: decodeMeta(page) })
    } catch (error) {
      findings.problems.add(`meta page ${pageNumber} cannot be used: ${errorText(error)}`)
    }
  }
  return candidates.sort((a, b) => b.meta.commitSeq - a.meta.commitSeq)
}

function whyNotUsable(
  index: IndexFile,
  meta: Meta,
  kind: ChecksumKind,
  readRootLeaf: ReadRootLeaf,
): string | undefined {
  try {
    checkUsable(index, meta, kind, readRootLeaf)
    return undefined
  } catch (error) {
    if (error instanceof EngineError) return error.message
    throw error
  }
}

/**
 * The whole rule by which a meta page is taken or not, for reading and for writing alike: throws an
 * EngineError when a root or the freelist head cannot be read. Damage deeper in a tree does not count: the
 * other page may name an older tree, which would silently take back what was committed since.
 */
export function checkUsable(
  index: IndexFile,
  meta: Meta,
  kind: ChecksumKind,
  readRootLeaf: ReadRootLeaf,
): void {
  for (const [name, root] of [
    ['user', meta.userLeaf ?? meta.userRoot],
    ['system', meta.systemLeaf ?? meta.systemRoot],
  ] as const) {
    if (typeof root !== 'number') {
      readRootLeaf(root, kind)
      continue
    }
    if (root === 0) throw unusable(`it has no ${name} root`)
    const type = pageType(index.readChecked(root, kind))
    if (type !== PAGE_LEAF && type !== PAGE_INTERNAL) {
      throw unusable(`its ${name} root has type ${type}`)
    }
  }
  if (meta.freelistHead === 0) return
  const type = pageType(index.readChecked(meta.freelistHead, kind))
  if (type !== PAGE_FREELIST) throw unusable(`its freelist head has type ${type}`)
}

function unusable(why: string): EngineError {
  return new EngineError('ENGINE_CORRUPT', why)
}

function choiceOf(
  candidate: Candidate,
  candidates: readonly Candidate[],
  kind: ChecksumKind,
): MetaChoice {
  const other = candidates.find((one) => one !== candidate)
  const { pageNumber, meta } = candidate
  return {
    kind,
    pageNumber,
    meta,
    report: {
      commit_seq: meta.commitSeq,
      user_root: rootNumber(meta.userLeaf, meta.userRoot),
      system_root: rootNumber(meta.systemLeaf, meta.systemRoot),
      freelist_head: meta.freelistHead,
      total_pages: meta.totalPages,
      active_slab_id: meta.activeSlabId,
      active_slab_tail: meta.activeSlabTail,
      last_commit_height: meta.lastCommitHeight,
      applied_command_lsn: Number(meta.appliedCommandLsn ?? 0n),
    },
    other: other === undefined ? null : { pageNumber: other.pageNumber, meta: other.meta },
  }
}

/** A page id, or the 64 bits of a leaf ref in decimal. */
function rootNumber(leaf: LeafRef | undefined, root: number): number | string {
  if (leaf === undefined) return root
  return String((BigInt(leaf.segmentId) << 32n) | BigInt(lowWordOf(leaf)))
}
