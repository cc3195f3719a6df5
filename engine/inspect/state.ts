/**
 * A reading as the engine's own state, so that an attached folder is looked at with the same eyes as
 * a hosted one. Bytes are counted whole (X1): live + stale = total for each segment.
 */
import { assert } from '../assert.ts'
import { NEVER_RAN, NO_COUNTS } from '../maintenance/memory.ts'
import { sealTimeOf, type SegmentFacts } from '../metadata.ts'
import type {
  EngineState,
  RewriteDebt,
  RewritePenalty,
  SchedulerInfo,
  SegmentId,
  SegmentInfo,
  SegmentKeeper,
} from '../types.ts'
import type { SegmentFile } from './folder.ts'
import type { CountedSegment } from './report.ts'

export interface SegmentsInput {
  /** Same order and length. */
  files: readonly SegmentFile[]
  segments: readonly CountedSegment[]
  nowMs: number
  /** 'maindb/' or ''. */
  prefix: string
  facts: ReadonlyMap<SegmentId, SegmentFacts>
  /** Segments that a replay of the journal would need. */
  journalSegments: ReadonlySet<SegmentId>
  /** Segments that the tree of the other meta page names; null when there is no other page. */
  otherRoot: { metaPage: 0 | 1; segments: ReadonlySet<SegmentId> } | null
  /** Why something may name a segment that seems dead; null when everything was read. */
  keepersUnknown: { code: string; message: string } | null
}

export interface StateInput extends SegmentsInput {
  debt: RewriteDebt
  penalties: RewritePenalty[]
  /** null when no meta page can be used. */
  commitSeq: number | null
}

/** Nothing is scheduled in a folder that is only read. */
const NO_SCHEDULER: SchedulerInfo = { ...NEVER_RAN, mode: 'step', state: 'disabled' }

export function buildState(input: StateInput): EngineState {
  return {
    segments: segmentInfos(input, isOpenEnded),
    debt: input.debt,
    scheduler: { ...NO_SCHEDULER },
    penalties: input.penalties,
    pins: [],
    counters: { ...NO_COUNTS },
    checkpoint: { commitSeq: input.commitSeq, atMs: null, elapsedMs: null },
  }
}

/** The same as an opening for writing would have them: it writes to no segment that it finds. */
export function openedSegments(input: SegmentsInput): SegmentInfo[] {
  return segmentInfos(input, () => false)
}

type IsActive = (file: SegmentFile, input: SegmentsInput) => boolean

function segmentInfos(input: SegmentsInput, isActive: IsActive): SegmentInfo[] {
  return input.files.map((file, i) => {
    const reading = input.segments[i]
    assert(reading?.file_id === file.segmentId, 'readings stand in the order of the files')
    return segmentInfo(file, reading, { input, isActive: isActive(file, input) })
  })
}

function segmentInfo(
  file: SegmentFile,
  reading: CountedSegment,
  { input, isActive }: { input: SegmentsInput; isActive: boolean },
): SegmentInfo {
  const bytesTotal = reading.total_bytes
  const bytesLive = reading.live_disk_bytes
  const facts = input.facts.get(file.segmentId)
  const sealing = sealTimeOf(facts, file.mtimeMs, input.nowMs)
  return {
    segmentId: file.segmentId,
    lane: reading.lane,
    seq: reading.seq,
    file: input.prefix + file.file,
    state: isActive ? 'active' : 'sealed',
    origin: facts?.origin ?? 'unknown',
    bytesTotal,
    bytesLive,
    bytesStale: bytesTotal - bytesLive,
    createdAtMs: facts?.createdAtMs ?? null,
    sealedAtMs: isActive ? null : sealing.sealedAtMs,
    ageSource: sealing.ageSource,
    keptBy: bytesLive === 0 ? keepersOf(file, isActive, input) : [],
  }
}

/** The newest of its lane may still be written, unless the folder says that it was sealed. */
function isOpenEnded(file: SegmentFile, { facts }: SegmentsInput): boolean {
  return file.isHead && (facts.get(file.segmentId)?.sealedAtMs ?? null) === null
}

/** Every reason that the bytes tell; a writer's snapshots and iterators leave no trace on disk. */
function keepersOf(file: SegmentFile, isActive: boolean, input: SegmentsInput): SegmentKeeper[] {
  const keepers: SegmentKeeper[] = []
  if (isActive) keepers.push({ kind: 'active_writer' })
  if (input.journalSegments.has(file.segmentId)) keepers.push({ kind: 'journal' })
  if (input.otherRoot?.segments.has(file.segmentId) === true) {
    keepers.push({ kind: 'root', metaPage: input.otherRoot.metaPage })
  }
  if (input.keepersUnknown !== null) keepers.push({ kind: 'error', ...input.keepersUnknown })
  return keepers.length > 0 ? keepers : [{ kind: 'awaiting_gc' }]
}
