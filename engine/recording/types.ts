/** The words of recordings: how one is doing, and what a folder's holds. Part of the vocabulary. */
import type { LatencyFigures } from '../info-types.ts'

/** Why a recording stands still. `behind`: the disk took events slower than they came. */
export type RecordingStopReason = 'io' | 'behind' | 'state_too_large' | 'folder_unusable'

export interface RecordingGauge {
  state: 'on' | 'stopped'
  /**
   * Counts the openings of the folder that were recorded, from 1; seq counts within one. 0 = not known yet: the
   * folder could not be looked at so far.
   */
  openingId: number
  /** Newest event handed to the file; 0 before the first. */
  writtenSeq: number
  /** Events of this opening that the recording will not hold. */
  eventsLost: number
  /** Of `trace/`, earlier openings included. */
  bytes: number
  maxBytes: number
  /** Set while stopped. */
  stopped: {
    reason: RecordingStopReason
    message: string
    atMs: number
    /** When it is tried again. */
    retryAtMs: number
  } | null
}

/** Events that were once there, or may have been, and cannot be read. */
export interface RecordingGap {
  fromSeq: number
  /** null: nobody knows how many there were. */
  toSeq: number | null
  /**
   * retention: oldest history given up for space. stopped: the recording stood still. damaged: a
   * checksum or the format says so. torn_tail: the file ends inside a block. not_closed: the store was
   * not closed in order (or is still open), so the newest moments may be missing.
   */
  why: 'retention' | 'stopped' | 'damaged' | 'torn_tail' | 'not_closed'
  /** One sentence, with the file. */
  text: string
}

/** One opening of the store, from `store_opened` on. */
export interface RecordingOpening {
  openingId: number
  openedAtMs: number
  /** Readable events; null without any. */
  firstSeq: number | null
  lastSeq: number | null
  firstAtMs: number | null
  lastAtMs: number | null
  events: number
  /** Passes that events belong to; null without any. */
  firstPassId: number | null
  lastPassId: number | null
  bytes: number
  /** The store was closed in order and the recording with it. */
  closed: boolean
  /** In the order of seq. */
  gaps: RecordingGap[]
}

export interface RecordingSummary {
  bytes: number
  chunks: number
  /** Oldest first. */
  openings: RecordingOpening[]
  /** What could not be read at all, one sentence each. */
  problems: string[]
}

/** What one `foreground_latency` says, of the time from `fromMs` to `atMs`. */
export interface LatencyInterval {
  seq: number
  fromMs: number
  atMs: number
  put: LatencyFigures | null
  get: LatencyFigures | null
}
