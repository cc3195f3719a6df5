/** One record by pointer, from an open segment: everything a pointer claims is held against the record. */
import type { ChecksumKind } from '../checksum.ts'
import { hintOf, isGrouped, recordStart, type ValuePointer } from '../value-pointer.ts'
import { BODY_HEADER_BYTES, corrupt, headerAt, verifyRecord, type RecordHeader } from './record.ts'
import type { Segment } from './segment.ts'

/** A whole record, checked. */
export function readRecord(segment: Segment, pointer: ValuePointer, kind: ChecksumKind): Buffer {
  const record = segment.read(recordStart(pointer), segment.recordBytes(pointer))
  checkRecord(record, 0, pointer, { segment, kind })
  return record
}

/** Header, length against the pointer's hint, grouping and CRC of the record at `at`. */
export function checkRecord(
  bytes: Uint8Array,
  at: number,
  pointer: ValuePointer,
  of: { segment: Segment; kind: ChecksumKind },
): RecordHeader {
  // Words for an error only: making them for each read is what half of a checksum costs.
  const where = (): string => `${of.segment.name} at ${recordStart(pointer)}`
  const header = headerAt(bytes, at, where)
  const hint = hintOf(pointer)
  const bodyBytes = BODY_HEADER_BYTES + header.payloadBytes
  if (hint !== 0 && hint !== bodyBytes) {
    throw corrupt(where, `pointer says ${hint} bytes, record ${bodyBytes}`)
  }
  if (header.grouped !== isGrouped(pointer)) {
    throw corrupt(where, `pointer and record disagree on grouping`)
  }
  verifyRecord(bytes, at, header, of.kind, where)
  return header
}
