/** The words for what an opened engine is, and for its figures that are asked for. Part of the vocabulary. */
import type { RecordingGauge } from './recording/types.ts'
import type { MaintenanceOptions, Profile, RetainedPruneReport } from './types.ts'

/** Facts that change with every write and are sampled instead of evented. */
export interface EngineGauges {
  nowMs: number
  /** Engine clock minus wall clock; 0 unless the clock was advanced or frozen in step mode. */
  clockOffsetMs: number
  clockFrozen: boolean
  puts: number
  deletes: number
  gets: number
  /** Key and value bytes handed in by the foreground. */
  bytesPut: number
  memtableEntries: number
  memtableBytes: number
  journalBytes: number
  indexFileBytes: number
  lastWriteAtMs: number | null
  lastReadAtMs: number | null
  /**
   * Passes of this opening that were due and were not made, because there was nothing for them: ticks of a store at
   * rest, or that found the slot taken, and kicks that found the debt staged. Those that a phase or the pause
   * file held back are counters. Absent: a folder that is only read, or an older recording.
   */
  passesNotMade?: number
  /** Reads of the value log in this opening; absent: a folder that is only read. */
  valueLog?: ValueLogReads
  /** Absent: a folder that is only read. */
  retainedPrune?: RetainedPruneCounts
  /**
   * Of the last sampled second; absent from the engine's own gauges, added by whoever samples. null: no
   * operation of the kind was timed in it.
   */
  latency?: { put: LatencyFigures | null; get: LatencyFigures | null }
  /** Absent: nothing is recorded (switched off, or a folder that is only read). */
  recording?: RecordingGauge
}

/** How values were read. Grouped frames are decoded once for neighbours; a few are kept decoded. */
export interface ValueLogReads {
  /** Records read from their files; no file is mapped. */
  records: number
  frameHits: number
  frameMisses: number
  framesCached: number
  /** Decoded bytes of these. */
  frameBytesCached: number
}

/** Prunes in this opening, one after the end of each reader. */
export interface RetainedPruneCounts {
  /** null: no reader has ended yet. */
  lastStatus: RetainedPruneReport['status'] | null
  noCandidateRuns: number
  completedRuns: number
  closeAbortRuns: number
  removedSegments: number
}

export interface EngineInfo {
  dir: string
  /** null: a folder that is only read shows neither layout, or holds nothing that a checksum covers. */
  layout: 'split' | 'wal' | null
  checksum: 'ieee' | 'crc32c' | null
  profile: Profile
  profileLoses: string
  readOnly: boolean
  /** Records recovered from the journal at open. */
  journalRecordsReplayed: number
  /** Whole batches left out at open because a value they name is not in the log (with `durable` none that was acknowledged). */
  journalBatchesSkipped: number
  /** The foreground starts a new segment past this size; null = a writer's choice, which left no trace. */
  segmentBytes: number | null
  options: MaintenanceOptions
}

/**
 * Durations of foreground operations in some time: of a put from the call to its acknowledgement, of a
 * get the call. Upper bounds of fixed buckets, at most 6.25 % above the truth.
 */
export interface LatencyFigures {
  /** Timed operations; of gets one in sixteen is timed. Never 0. */
  count: number
  p50Ms: number
  p99Ms: number
  maxMs: number
}

/** Counted since the opening, in the buckets of `engine/latency.ts`. */
export interface LatencyCounts {
  count: number
  sumMs: number
  buckets: number[]
}
