/**
 * The shapes of a folder reading as data. `InspectReport` is the stable JSON of `restage inspect`:
 * its key names are those of the format's sample readings (test/data), bytes are bytes, and what
 * was not asked for or does not apply is absent. JSON-safe, no run-time code.
 */
import type { EngineInfo, EngineState, RecordingGap, SegmentId, SegmentInfo } from '../types.ts'
import type { ChecksumKind } from '../checksum.ts'

export interface InspectMeta {
  commit_seq: number
  /** Page id; a root that is a leaf page in the value log is its ref as a decimal string. */
  user_root: number | string
  system_root: number | string
  /** 0 = no freelist. */
  freelist_head: number
  /** 0 in a folder never committed to. */
  total_pages: number
  active_slab_id: number
  active_slab_tail: number
  last_commit_height: number
  /** 0 when the meta page has no command-log mark. */
  applied_command_lsn: number
}

export interface InspectIndex {
  file_bytes: number
  /** Pages in use: the meta page's count, or what the file holds when that is 0. */
  pages: number
  freelist_pages: number[]
  free_ids: number[]
  /** Pages met in both trees by encoding; a page whose encoding is not read is counted too. */
  visited: Record<string, number>
  /** Distinct leaf refs met. */
  leaf_pages_in_log: number
  /** Tree pages met whose contents are unknown: damaged, or of an encoding not read. Absent = 0. */
  pages_not_read?: number
}

export interface InspectSegment {
  /** Relative to the folder of index.db, with forward slashes. */
  file: string
  file_id: SegmentId
  lane: number
  seq: number
  total_bytes: number
  /**
   * Upstream's count: plain records once per pointer, frames once, CRCs not counted. May exceed the
   * file. It and the counts of references below are null when not every reference could be read.
   */
  live_bytes: number | null
  /** total_bytes - live_bytes, at least 0. */
  stale_bytes: number | null
  /** Each referenced record once and whole. */
  live_disk_bytes: number | null
  /** Referenced values: distinct (record, place in its frame). */
  referenced_records: number | null
  referenced_disk_records: number | null
  referencing_pointers: number | null
  /** Of the pointers: leaf pages of the index. */
  leaf_refs: number | null
  /** Values in the file, referenced or not. */
  records: number
  plain_records: number
  frames: number
  compressed_frames: number
  /** corrupt, unsupported, unreadable: the counts end at tail_offset. */
  tail: 'clean' | 'torn' | 'corrupt' | 'unsupported' | 'unreadable'
  tail_offset: number
}

/** What only references tell of a segment. */
export type ReferenceCount =
  | 'live_bytes'
  | 'stale_bytes'
  | 'live_disk_bytes'
  | 'referenced_records'
  | 'referenced_disk_records'
  | 'referencing_pointers'
  | 'leaf_refs'

/** As counted; where not every reference could be read, the counts are lower bounds. */
export type CountedSegment = InspectSegment & Record<ReferenceCount, number>

/** `replayed`: the value comes from the journal overlay. */
export type InspectKey =
  | { where: 'inline' | 'pointer' | 'replayed'; size: number; sha256: string }
  | { where: 'pointer' | 'replayed'; error: string }
  | { tombstone: true }

export interface InspectJournal {
  file: string
  bytes: number
  batches: number
  records: number
  /** torn: the file's end cuts a batch. corrupt, unsupported: reading stopped or skipped there. */
  state: 'clean' | 'torn' | 'corrupt' | 'unsupported' | 'unreadable'
}

/** The recording in `trace/`; numbers of events and passes count within an opening. */
export interface InspectRecording {
  bytes: number
  chunks: number
  /** Oldest first. null in one: it has no readable event, or none that belongs to a pass. */
  openings: {
    opening_id: number
    opened_at_ms: number
    first_seq: number | null
    last_seq: number | null
    first_at_ms: number | null
    last_at_ms: number | null
    events: number
    first_pass_id: number | null
    last_pass_id: number | null
    bytes: number
    /** Closed in order, the recording with it. */
    closed: boolean
    /** What was there and cannot be read, or may have been. */
    gaps: { from_seq: number; to_seq: number | null; why: RecordingGap['why']; text: string }[]
  }[]
  problems: string[]
}

export interface InspectReport {
  /** null: no valid meta page and no record told. */
  checksum: ChecksumKind | null
  /** null: neither meta page can be used. */
  meta_page: 0 | 1 | null
  meta: InspectMeta | null
  index: InspectIndex
  /** Ascending by file id. */
  segments: InspectSegment[]
  /** Entries of the user tree, tombstones left out; with the overlay when `replayed`. null: no tree. */
  key_count: number | null
  /** By key in hex; only when asked for. */
  keys?: Record<string, InspectKey>
  system_keys?: Record<string, InspectKey>
  commitlog: InspectJournal[]
  /** Journal records after the last checkpoint. */
  commitlog_pending_records: number
  /** The journal was laid over the keys. */
  replayed: boolean
  /** The state file's JSON as found; null when absent or torn. */
  vlog_generation_state: unknown
  /** format.json as found; null when absent or torn. */
  format_config: unknown
  problems: string[]
  /** Why live bytes are null. Absent = they are known. */
  live_bytes_unknown?: string
  /** Absent = the folder has none. */
  recording?: InspectRecording
  /**
   * true: every byte of the value log was read and its CRC checked. Absent: records were walked by
   * their headers, and only values that were asked for were checked.
   */
  verified?: true
  /** Features met that this version does not read, one sentence each. Absent = none. */
  unsupported?: string[]
}

/** What a reading found beside the segments. */
export interface AttachmentFacts {
  readAtMs: number
  /** null when no meta page can be used. */
  commitSeq: number | null
  /** null when no tree can be read. */
  keyCount: number | null
  /** Why live bytes are not known: those of the state are lower bounds then. null when they are exact. */
  liveBytesUnknown: string | null
  /** Journal records after the last checkpoint; shown, not applied unless a replay was asked for. */
  journalPending: number
  /** Named features that this version does not read, each in one sentence. */
  unsupported: string[]
  /** Things that looked wrong, each in one sentence; torn tails included. */
  problems: string[]
}

export interface FolderReading {
  report: InspectReport
  /** Its live bytes are lower bounds where `attachment.liveBytesUnknown` says so. */
  state: EngineState
  /**
   * Its segments as an opening for writing would have them: sealed, and with the pending journal replayed. As
   * in `state` while another process has the folder open for writing. null = not asked for.
   */
  opened: SegmentInfo[] | null
  info: EngineInfo
  attachment: AttachmentFacts
}
