/**
 * Reads every value-log file of a folder once, front to back, and joins what it meets with the
 * references found in the trees. Damage ends a file's scan but not its reading: records behind it
 * are still checked one by one where a pointer names them.
 */
import type { ChecksumKind } from '../checksum.ts'
import { EngineError } from '../errors.ts'
import { laneOf, seqOf } from '../ids.ts'
import { CODEC_LZ4, CODEC_SNAPPY, CODEC_ZSTD, RECORD_HEADER_BYTES } from '../value-log/record.ts'
import { scanSegment, type ScannedRecord } from '../value-log/scan.ts'
import { counted, errorText, type Sentences, type Slices, type UnreadFeatures } from './findings.ts'
import { openForReading, type FolderScope, type SegmentFile } from './folder.ts'
import type { PendingJournal } from './journal.ts'
import type { RecordReader } from './record-reader.ts'
import type { References, SegmentReferences } from './references.ts'
import type { InspectSegment } from './report.ts'

export interface SegmentsContext extends FolderScope {
  kind: ChecksumKind
  slices: Slices
  references: References
  journal: PendingJournal
  reader: RecordReader
  /** Facts worth a sentence that are no damage: torn tails. */
  notes: Sentences
}

/** In the order of `files`. */
export async function readSegments(
  files: readonly SegmentFile[],
  context: SegmentsContext,
): Promise<InspectSegment[]> {
  const readings: InspectSegment[] = []
  for (const file of files) readings.push(await readSegment(file, context))
  return readings
}

async function readSegment(file: SegmentFile, context: SegmentsContext): Promise<InspectSegment> {
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

function emptyReading(file: SegmentFile): InspectSegment {
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
  reading: InspectSegment,
  references: SegmentReferences,
  context: SegmentsContext,
): Promise<void> {
  const handle = openForReading(file.absolute, file.file, context)
  if (handle === undefined) {
    reading.tail = 'unreadable'
    return
  }
  const visit = (record: ScannedRecord): void => {
    countRecord(reading, record)
    nameUnread(record, context.unread)
    references.join(record)
    context.journal.locate(file.segmentId, record)
  }
  try {
    reading.total_bytes = handle.size()
    const steps = scanSegment(handle, context.kind, visit)
    let step = steps.next()
    for (; step.done !== true; step = steps.next()) {
      if (context.slices.isUsedUp()) await context.slices.rest()
    }
    reading.tail = step.value.tail
    reading.tail_offset = step.value.tailOffset
  } catch (error) {
    recordDamage(error, reading, context)
    await joinOneByOne(references, context)
  } finally {
    handle.close()
  }
}

function countRecord(reading: InspectSegment, record: ScannedRecord): void {
  reading.records += record.rids.length
  reading.tail_offset = record.start + record.bytes.length
  if (record.frame === null) {
    reading.plain_records++
    return
  }
  reading.frames++
  if (record.frame.compressed) reading.compressed_frames++
}

function recordDamage(error: unknown, reading: InspectSegment, context: SegmentsContext): void {
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

const OUTER_LEAF_MARK = [0x54, 0x4f, 0x4c, 0x32]

function nameUnread(record: ScannedRecord, unread: UnreadFeatures): void {
  const { frame, bytes } = record
  if (frame === null) {
    if (isOuterLeafBlock(bytes, RECORD_HEADER_BYTES)) nameOuterLeaf(unread)
    return
  }
  if (!frame.compressed) {
    const first = RECORD_HEADER_BYTES + frame.dataStart
    for (let i = 0; i < frame.count; i++) {
      if (isOuterLeafBlock(bytes, first + (frame.offsets[i] ?? 0))) nameOuterLeaf(unread)
    }
  } else if (frame.dictionaryId !== 0n) {
    unread.add('zstd frames with a dictionary', 'frame')
  } else if (frame.codec === CODEC_ZSTD) {
    unread.add('zstd frames', 'frame')
  } else if (frame.codec !== CODEC_LZ4 && frame.codec !== CODEC_SNAPPY) {
    unread.add(`frames with block codec ${frame.codec}`, 'frame')
  }
}

function nameOuterLeaf(unread: UnreadFeatures): void {
  unread.add('values that begin with "TOL2" (outer-leaf blocks) as anything but bytes', 'value')
}

function isOuterLeafBlock(bytes: Uint8Array, at: number): boolean {
  return OUTER_LEAF_MARK.every((byte, i) => bytes[at + i] === byte)
}
