/**
 * Walks every value-log file of a folder once, front to back, and joins what it meets with the
 * references found in the trees. By default headers and frame tables only; `verify` reads and checks
 * every byte. Damage ends a file's walk but not its reading: records behind it are still looked at one
 * by one, whole, where a pointer names them.
 */
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import { laneOf, seqOf } from '../ids.ts'
import type { Metadata } from '../metadata.ts'
import { isMadeHere } from '../rid-recovery.ts'
import { CODEC_LZ4, RECORD_HEADER_BYTES } from '../value-log/record.ts'
import { walkHeaders } from '../value-log/headers.ts'
import { scanSegment, type RecordHead, type ScannedRecord } from '../value-log/scan.ts'
import { counted, errorText, type Sentences, type Slices, type UnreadFeatures } from './findings.ts'
import { openForReading, type FolderScope, type SegmentFile } from './folder.ts'
import type { PendingJournal } from './journal.ts'
import type { RecordReader } from './record-reader.ts'
import type { References, SegmentReferences } from './references.ts'
import type { CountedSegment } from './report.ts'

export interface SegmentsContext extends FolderScope {
  kind: ChecksumKind
  slices: Slices
  references: References
  journal: PendingJournal
  metadata: Metadata | undefined
  reader: RecordReader
  /** Facts worth a sentence that are no damage: torn tails. */
  notes: Sentences
  /** Read every record whole and check its CRC. */
  verify: boolean
  /** How many frames need which dictionary. */
  dictionariesNeeded: Map<bigint, number>
  /** Called about once a slice. */
  progress: (bytes: number) => void
}

/** In the order of `files`. */
export async function readSegments(
  files: readonly SegmentFile[],
  context: SegmentsContext,
): Promise<CountedSegment[]> {
  const readings: CountedSegment[] = []
  for (const file of files) readings.push(await readSegment(file, context))
  return readings
}

async function readSegment(file: SegmentFile, context: SegmentsContext): Promise<CountedSegment> {
  const references = context.references.of(file.segmentId)
  const reading = emptyReading(file)
  await scan(file, reading, references, context)
  if (reading.tail === 'torn') {
    const cut = reading.total_bytes - reading.tail_offset
    context.notes.add(`${file.file} has a torn tail of ${counted(cut, 'byte')}`)
  }
  references.skipTo(Infinity)
  if (references.pointersDangling > 0) {
    const many = counted(references.pointersDangling, 'pointer')
    const first = references.firstDanglingAt ?? 0
    context.problems.add(`${file.file}: ${many} to no matching record, the first at byte ${first}`)
  }
  reading.live_bytes = references.bytesLiveUpstream
  reading.stale_bytes = Math.max(0, reading.total_bytes - reading.live_bytes)
  // Only crafted records inside records could exceed the file, and only behind damage.
  reading.live_disk_bytes = Math.min(references.bytesLiveDisk, reading.total_bytes)
  reading.referenced_records = references.valuesReferenced
  reading.referenced_disk_records = references.recordsReferenced
  reading.referencing_pointers = references.pointersValid
  reading.leaf_refs = references.leafRefs
  return reading
}

function emptyReading(file: SegmentFile): CountedSegment {
  return {
    file: file.file,
    file_id: file.segmentId,
    lane: laneOf(file.segmentId),
    seq: seqOf(file.segmentId),
    total_bytes: file.bytes,
    live_bytes: 0,
    stale_bytes: 0,
    live_disk_bytes: 0,
    referenced_records: 0,
    referenced_disk_records: 0,
    referencing_pointers: 0,
    leaf_refs: 0,
    records: 0,
    plain_records: 0,
    frames: 0,
    compressed_frames: 0,
    tail: 'clean',
    tail_offset: 0,
  }
}

/** Fills in the counts and the tail of `reading`. */
async function scan(
  file: SegmentFile,
  reading: CountedSegment,
  references: SegmentReferences,
  context: SegmentsContext,
): Promise<void> {
  const handle = openForReading(file.absolute, file.file, context)
  if (handle === undefined) {
    reading.tail = 'unreadable'
    return
  }
  const isOurs = isMadeHere({ id: reading.file_id, seq: reading.seq }, context.metadata)
  const visit = (record: RecordHead): void => {
    countRecord(reading, record)
    nameCodec(record, context)
    references.join(record)
    context.journal.locate({ segmentId: file.segmentId, isMadeHere: isOurs }, record)
  }
  try {
    reading.total_bytes = handle.size()
    const steps = context.verify
      ? scanSegment(handle, context.kind, (record) => {
          nameOuterLeaves(record, context.unread)
          visit(record)
        })
      : walkHeaders(handle, (record, peek) => {
          if (peek === OUTER_LEAF_WORD && record.frame?.compressed !== true)
            nameOuterLeaf(context.unread)
          visit(record)
        })
    let told = 0
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) {
      if (!context.slices.isUsedUp()) continue
      context.progress(reading.tail_offset - told)
      told = reading.tail_offset
      await context.slices.rest()
    }
    context.progress(reading.total_bytes - told)
    reading.tail = step.value.tail
    reading.tail_offset = step.value.tailOffset
  } catch (error) {
    recordDamage(error, reading, context)
    await joinOneByOne(references, context)
  } finally {
    handle.close()
  }
}

function countRecord(reading: CountedSegment, record: RecordHead): void {
  reading.records += record.rids.length
  reading.tail_offset = record.start + RECORD_HEADER_BYTES + record.payloadBytes
  if (record.frame === null) {
    reading.plain_records++
    return
  }
  reading.frames++
  if (record.frame.compressed) reading.compressed_frames++
}

function recordDamage(error: unknown, reading: CountedSegment, context: SegmentsContext): void {
  const isCoded = error instanceof EngineError
  if (!isCoded && !isErrno(error)) throw error
  const at = `${reading.file}: reading stopped at byte ${reading.tail_offset}`
  if (isCoded && error.code === 'ENGINE_UNSUPPORTED') {
    reading.tail = 'unsupported'
    context.unread.add('value-log records above the size limit', 'segment')
  } else {
    reading.tail = isCoded && error.code === 'ENGINE_CORRUPT' ? 'corrupt' : 'unreadable'
  }
  // The scan names the whole path first; the file's name stands in front already.
  context.problems.add(`${at}: ${errorText(error).replace(/^.* at \d+: /, '')}`)
}

function isErrno(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).code === 'string'
}

/** Upstream's index reads do not scan: what a pointer names behind damage is live if it is whole. */
async function joinOneByOne(
  references: SegmentReferences,
  context: SegmentsContext,
): Promise<void> {
  for (let start = references.nextStart(); start !== undefined; start = references.nextStart()) {
    if (context.slices.isUsedUp()) await context.slices.rest()
    try {
      references.join(context.reader.record(references.segmentId, start))
    } catch (error) {
      if (!(error instanceof EngineError) && !isErrno(error)) throw error
    }
    // Whatever did not join dangles.
    references.skipTo(start + 1)
  }
}

/** Ids met are remembered up to this many: a hostile folder could name one a frame. */
const DICTIONARIES_MAX = 256
/** "TOL2". */
const OUTER_LEAF_MARK = [0x54, 0x4f, 0x4c, 0x32]
const OUTER_LEAF_WORD = 0x544f4c32

function nameCodec({ frame }: RecordHead, context: SegmentsContext): void {
  if (frame?.compressed !== true) return
  if (frame.dictionaryId !== 0n) {
    const known = context.dictionariesNeeded.get(frame.dictionaryId)
    if (known === undefined && context.dictionariesNeeded.size >= DICTIONARIES_MAX) return
    context.dictionariesNeeded.set(frame.dictionaryId, (known ?? 0) + 1)
  } else if (frame.codec > CODEC_LZ4) {
    context.unread.add(`frames with block codec ${frame.codec}`, 'frame')
  }
}

function nameOuterLeaves({ frame, bytes }: ScannedRecord, unread: UnreadFeatures): void {
  if (frame === null) {
    if (isOuterLeafBlock(bytes, RECORD_HEADER_BYTES)) nameOuterLeaf(unread)
    return
  }
  if (frame.compressed) return
  const first = RECORD_HEADER_BYTES + frame.dataStart
  for (let i = 0; i < frame.count; i++) {
    if (isOuterLeafBlock(bytes, first + (frame.offsets[i] ?? 0))) nameOuterLeaf(unread)
  }
}

function nameOuterLeaf(unread: UnreadFeatures): void {
  unread.add('values that begin with "TOL2" (outer-leaf blocks) as anything but bytes', 'value')
}

function isOuterLeafBlock(bytes: Uint8Array, at: number): boolean {
  return OUTER_LEAF_MARK.every((byte, i) => bytes[at + i] === byte)
}
