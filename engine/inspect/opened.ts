/**
 * What an opening for writing would make of the segments of a folder: it replays the journal and writes to no
 * segment that it finds. Told where plans and GC are foretold.
 */
import * as path from 'node:path'
import { LOCK_FILE } from '../folder.ts'
import type { FileSystem } from '../file-system.ts'
import type { SegmentInfo } from '../types.ts'
import { Sentences, UnreadFeatures } from './findings.ts'
import type { FolderMap } from './folder.ts'
import { PendingJournal } from './journal.ts'
import type { MetaChoice } from './meta-choice.ts'
import { References } from './references.ts'
import type { CountedSegment } from './report.ts'
import { readSegments, type SegmentsContext } from './segments.ts'
import { openedSegments, type SegmentsInput } from './state.ts'
import type { Walk } from './tree-walk.ts'
import { readTrees } from './trees.ts'

/**
 * Counts once more, with the journal's last word on each key in place of the tree's. What is odd about the
 * folder was said before. `walk` has met no page yet.
 */
export async function countReplayed(
  { segments }: FolderMap,
  trees: { walk: Walk; choice: MetaChoice; journal: PendingJournal },
  context: Pick<SegmentsContext, 'fileSystem' | 'kind' | 'slices' | 'reader' | 'progress'>,
): Promise<CountedSegment[]> {
  const { choice, journal } = trees
  const { reader } = context
  const quiet = { problems: new Sentences(), unread: new UnreadFeatures() }
  const references = new References(segments.map(({ segmentId }) => segmentId))
  const overlay = journal.overlay()
  await readTrees({ ...trees.walk, ...quiet }, choice, {
    references,
    reader,
    keys: false,
    watched: new Set(),
    without: new Set(overlay.keys()),
  })
  for (const value of overlay.values()) {
    if (value?.kind === 'pointer') references.add(value.pointer)
  }
  return readSegments(segments, {
    ...context,
    ...quiet,
    references,
    journal: new PendingJournal(),
    metadata: undefined,
    notes: new Sentences(),
    verify: false,
    dictionariesNeeded: new Map(),
  })
}

/** `asRead` while another process has the folder open for writing: nobody else can. */
export function openedState(
  input: SegmentsInput,
  asRead: SegmentInfo[],
  where: { fileSystem: FileSystem; base: string },
): SegmentInfo[] {
  return isLocked(where.fileSystem, path.join(where.base, LOCK_FILE))
    ? asRead
    : openedSegments(input)
}

/** What cannot be asked is taken as no. */
function isLocked(fileSystem: FileSystem, file: string): boolean {
  try {
    return fileSystem.isLocked?.(file) === true
  } catch {
    return false
  }
}
