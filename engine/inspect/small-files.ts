/** The JSON files of a folder: the state file, format.json and our own metadata, as far as each can be read. */
import * as path from 'node:path'
import { STATE_FILE } from '../folder.ts'
import { segmentFileName } from '../ids.ts'
import { decodeState } from '../maintenance/state-file.ts'
import type { Metadata } from '../metadata.ts'
import { resolveOptions } from '../options.ts'
import type { RewriteDebt, RewritePenalty, SegmentId } from '../types.ts'
import { counted, type Sentences } from './findings.ts'
import {
  isRecord,
  parseJson,
  readMetadata,
  readSmallFile,
  type FolderMap,
  type FolderScope,
} from './folder.ts'

export interface SmallFiles {
  debt: RewriteDebt
  penalties: RewritePenalty[]
  stateJson: unknown
  format: unknown
  /** format.json names a command log: a newer folder whose journal must not be replayed. */
  commandLog: boolean
  /** undefined: none, or torn. */
  metadata: Metadata | undefined
}

const FEATURES_MAX = 20

export function readSmallFiles(folder: FolderMap, scope: FolderScope): SmallFiles {
  const stateText = readStateText(folder, scope)
  const confirmDelayMs = resolveOptions({}).maintenance.confirmDelayMs
  const { debt, penalties, problem } = decodeState(stateText ?? null, confirmDelayMs)
  if (problem !== null) scope.problems.add(`${STATE_FILE}: ${problem}`)
  const formatText = readSmallFile(path.join(folder.base, 'format.json'), 'format.json', scope)
  const format = parseJson(formatText)
  if (formatText !== undefined && format === null) {
    scope.problems.add('format.json is torn: it is no complete JSON')
  }
  const required = isRecord(format) ? format['required_features'] : undefined
  const features = Array.isArray(required) ? required.slice(0, FEATURES_MAX) : []
  for (const feature of features) {
    scope.unread.add(`feature ${JSON.stringify(feature)}, which format.json requires`, 'folder')
  }
  return {
    debt,
    penalties,
    stateJson: parseJson(stateText),
    format,
    commandLog: features.some((name) => typeof name === 'string' && name.startsWith('command_wal')),
    metadata: readMetadata(folder.base, scope),
  }
}

/** The state file stands beside maindb in the split layout and inside it before; either is taken. */
function readStateText(folder: FolderMap, scope: FolderScope): string | undefined {
  const places = [...new Set([folder.root, folder.base])]
  if (folder.layout === 'wal') places.reverse()
  const texts = places.map((place) =>
    readSmallFile(path.join(place, STATE_FILE), STATE_FILE, scope),
  )
  if (texts.length > 1 && texts.every((text) => text !== undefined)) {
    scope.problems.add(`there are two ${STATE_FILE}; the one of the ${folder.layout} layout counts`)
  }
  return texts.find((text) => text !== undefined)
}

const QUEUED_MISSING_NAMED = 10

/** What was queued and is gone: the next pass drops it. */
export function sayQueuedMissing(
  queue: readonly SegmentId[],
  folder: FolderMap,
  problems: Sentences,
): void {
  const onDisk = new Set(folder.segments.map(({ segmentId }) => segmentId))
  const missing = queue.filter((segmentId) => !onDisk.has(segmentId))
  if (missing.length === 0) return
  const named = missing.slice(0, QUEUED_MISSING_NAMED).map(segmentFileName).join(', ')
  const more = missing.length - QUEUED_MISSING_NAMED
  problems.add(
    `${STATE_FILE}: ${counted(missing.length, 'queued segment')} without a file: ${named}${more > 0 ? ` and ${more} more` : ''}`,
  )
}
