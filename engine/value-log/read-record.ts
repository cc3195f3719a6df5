/** One record by pointer, from an open segment: everything a pointer claims is held against the record. */
import type { ChecksumKind } from '../checksum.ts'
import { hintOf, isGrouped, recordStart, type ValuePointer } from '../value-pointer.ts'
import { BODY_HEADER_BYTES, corrupt, headerAt, verifyRecord } from './record.ts'
import type { Segment } from './segment.ts'

/** A whole record, checked: header, length against the pointer's hint, grouping and CRC. */
export function readRecord(segment: Segment, pointer: ValuePointer, kind: ChecksumKind): Buffer {
  const start = recordStart(pointer)
  const record = segment.read(start, segment.recordBytes(pointer))
  // Words for an error only: making them for each read is what half of a checksum costs.
  const where = (): string => `${segment.name} at ${start}`
  const header = headerAt(record, 0, where)
  const hint = hintOf(pointer)
  const bodyBytes = BODY_HEADER_BYTES + header.payloadBytes
  if (hint !== 0 && hint !== bodyBytes) {
    throw corrupt(where, `pointer says ${hint} bytes, record ${bodyBytes}`)
  }
  if (header.grouped !== isGrouped(pointer)) {
    throw corrupt(where, `pointer and record disagree on grouping`)
  }
  verifyRecord(record, 0, header, kind, where)
  return record
}
