/**
 * Both trees of a folder and its freelist: who points where, how many keys, and the keys themselves
 * when asked for. Both trees hold references; only the user tree's entries are keys. The tree of the
 * other meta page is walked last, only for the segments it names: a crash could select it.
 */
import { createHash } from 'node:crypto'
import { keyString, readU64 } from '../bytes.ts'
import { EngineError } from '../errors.ts'
import {
  ENTRY_TOMBSTONE,
  entryFlags,
  entryKey,
  entryPointerAt,
  entryStart,
  entryValue,
  type Located,
} from '../index/leaf.ts'
import {
  PAGE_FREELIST,
  PAGE_HEADER_BYTES,
  pageCount,
  pageError,
  pageType,
  type Page,
} from '../index/page.ts'
import type { SegmentId } from '../types.ts'
import { Sentences, UnreadFeatures, counted, errorText } from './findings.ts'
import type { MetaChoice } from './meta-choice.ts'
import type { RecordReader } from './record-reader.ts'
import type { References } from './references.ts'
import type { InspectKey } from './report.ts'
import { PageSet, WalkCounts, walkTree, type Walk } from './tree-walk.ts'

const FREE_IDS_MAX = 509

export interface TreesReading {
  /** Entries of the user tree that are no tombstones. */
  keyCount: number
  /** By key in hex; null when not asked for. */
  keys: Map<string, InspectKey> | null
  systemKeys: Map<string, InspectKey> | null
  /** Which of the watched keys the user tree has, not as a tombstone. */
  watchedFound: Set<string>
  freelistPages: number[]
  freeIds: number[]
  /** Segments that only the other meta page's tree names, and whether that tree could be read. */
  otherRootSegments: Set<SegmentId>
  otherRootUnread: boolean
}

export interface TreesRequest {
  references: References
  reader: RecordReader
  /** Read the values of all keys and hash them. */
  keys: boolean
  /** Keys (as byte strings) to look for. */
  watched: ReadonlySet<string>
  /** Keys of the user tree whose values do not count as referenced. Absent = none. */
  without?: ReadonlySet<string>
}

export async function readTrees(
  walk: Walk,
  choice: MetaChoice,
  request: TreesRequest,
): Promise<TreesReading> {
  const reading: TreesReading = {
    keyCount: 0,
    keys: request.keys ? new Map() : null,
    systemKeys: request.keys ? new Map() : null,
    watchedFound: new Set(),
    freelistPages: [],
    freeIds: [],
    otherRootSegments: new Set(),
    otherRootUnread: false,
  }
  const { references, watched, without } = request
  await walkTree(walk, choice.meta.userLeaf ?? choice.meta.userRoot, {
    leaf: (page) => {
      reading.keyCount += countKeys(page, watched, reading.watchedFound)
      if (without === undefined) return readLeaf(page, walk, request, reading.keys)
      addReferences(page, references, without)
      return undefined
    },
    leafRef: (ref) => references.addLeafRef(ref),
  })
  await walkTree(walk, choice.meta.systemLeaf ?? choice.meta.systemRoot, {
    leaf: (page) => readLeaf(page, walk, request, reading.systemKeys),
    leafRef: (ref) => references.addLeafRef(ref),
  })
  readFreelist(walk, choice.meta.freelistHead, reading)
  await readOtherRoot(walk, choice, reading)
  return reading
}

/** Entries that are no tombstones; those watched for go into `found`. */
function countKeys(page: Page, watched: ReadonlySet<string>, found: Set<string>): number {
  const count = pageCount(page)
  let keys = 0
  for (let i = 0; i < count; i++) {
    const start = entryStart(page, i)
    if ((entryFlags(page, start) & ENTRY_TOMBSTONE) !== 0) continue
    keys++
    if (watched.size === 0) continue
    const key = keyString(entryKey(page, start))
    if (watched.has(key)) found.add(key)
  }
  return keys
}

/** References of one leaf; synchronous unless values are asked for. */
function readLeaf(
  page: Page,
  walk: Walk,
  request: TreesRequest,
  keys: Map<string, InspectKey> | null,
): void | Promise<void> {
  addReferences(page, request.references)
  return keys === null ? undefined : readKeys(page, walk, request.reader, keys)
}

function addReferences(page: Page, references: References, without?: ReadonlySet<string>): void {
  const count = pageCount(page)
  for (let i = 0; i < count; i++) {
    const start = entryStart(page, i)
    const at = entryPointerAt(page, start)
    if (at === -1 || without?.has(keyString(entryKey(page, start))) === true) continue
    references.addEncoded(page.view, at)
  }
}

async function readKeys(
  page: Page,
  walk: Walk,
  reader: RecordReader,
  keys: Map<string, InspectKey>,
): Promise<void> {
  const count = pageCount(page)
  for (let i = 0; i < count; i++) {
    if (walk.slices.isUsedUp()) await walk.slices.rest()
    const start = entryStart(page, i)
    const key = Buffer.from(entryKey(page, start)).toString('hex')
    keys.set(key, describeValue(entryValue(page, start), reader))
  }
}

export function describeValue(located: Located, reader: RecordReader): InspectKey {
  if (located.kind === 'tombstone') return { tombstone: true }
  if (located.kind === 'inline') return hashed('inline', located.value)
  try {
    return hashed('pointer', reader.value(located.pointer))
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return { where: 'pointer', error: errorText(error) }
  }
}

function hashed(where: 'inline' | 'pointer', value: Uint8Array): InspectKey {
  return { where, size: value.length, sha256: createHash('sha256').update(value).digest('hex') }
}

// ---------------------------------------------------------------- freelist

/** Chain of free pages; a cycle, damage or an id outside the index ends or skips, and is said. */
function readFreelist(walk: Walk, head: number, reading: TreesReading): void {
  const chain = new PageSet()
  let reachable = 0
  for (let id = head; id !== 0;) {
    try {
      if (id >= walk.pages) throw pageError(id, 'freelist page outside the index')
      if (!chain.add(id)) throw pageError(id, 'freelist page reached twice')
      const page = walk.index.readChecked(id, walk.kind)
      if (pageType(page) !== PAGE_FREELIST)
        throw pageError(id, `type ${pageType(page)} in the freelist`)
      const count = pageCount(page)
      if (count > FREE_IDS_MAX) throw pageError(id, `freelist page of ${count} ids`)
      reading.freelistPages.push(id)
      for (let i = 0; i < count; i++) {
        const free = readU64(page.view, PAGE_HEADER_BYTES + 8 + i * 8)
        if (walk.visited.has(free)) reachable++
        reading.freeIds.push(free)
      }
      id = readU64(page.view, PAGE_HEADER_BYTES)
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      walk.problems.add(error.message)
      break
    }
  }
  if (reachable > 0) {
    walk.problems.add(`${counted(reachable, 'page')} of the tree also stand in the freelist`)
  }
}

// ---------------------------------------------------------------- the other meta page

/**
 * Pages shared with the current tree were walked: what they name is live anyway. Pages of the older
 * tree may be overwritten already, so damage there is no problem of the folder.
 */
async function readOtherRoot(walk: Walk, choice: MetaChoice, reading: TreesReading): Promise<void> {
  if (choice.other === null) return
  const counts = new WalkCounts()
  const { meta } = choice.other
  for (const root of [meta.userLeaf ?? meta.userRoot, meta.systemLeaf ?? meta.systemRoot]) {
    if (typeof root === 'number' && (root >= walk.pages || walk.visited.has(root))) continue
    await walkTree(
      { ...walk, counts, problems: new Sentences(), unread: new UnreadFeatures() },
      root,
      {
        leaf: (page) => collectSegments(page, reading.otherRootSegments),
        leafRef: (ref) => void reading.otherRootSegments.add(ref.segmentId),
      },
    )
  }
  reading.otherRootUnread = counts.unreadPages > 0
}

function collectSegments(page: Page, segments: Set<SegmentId>): void {
  const count = pageCount(page)
  for (let i = 0; i < count; i++) {
    const value = entryValue(page, entryStart(page, i))
    if (value.kind === 'pointer') segments.add(value.pointer.segmentId)
  }
}
