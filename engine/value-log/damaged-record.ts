/**
 * What a scan cannot read: what a crash leaves, or damage. A crash leaves a hole, or a record that the file's
 * end cuts; nothing behind either was promised to survive. Anything else was written whole and damaged later,
 * and what is behind it may be acknowledged and sound. A damaged record of a value that has a whole sector of
 * zeros looks like a hole, and is taken for one.
 */
import { byteSourceOf, hasHole, type ByteSource } from '../byte-source.ts'
import { viewOf } from '../bytes.ts'
import type { ChecksumKind } from '../checksum.ts'
import { EngineError, isCorruption } from '../errors.ts'
import type { OpenFile } from '../file-system.ts'
import {
  MAX_FRAME_VALUES,
  RECORD_HEADER_BYTES,
  decodeRecordHeader,
  framePrefixBytes,
  parseFrame,
  ridOf,
  type RidWords,
} from './record.ts'
import { scanSegment } from './scan.ts'

export interface DamagedRecord {
  start: number
  /** A crash explains it. */
  isHole: boolean
  /** What its header and tables say, of which a bit may be wrong; null when they are no record's. */
  says: { end: number; payloadBytes: number; grouped: boolean; rids: RidWords[] } | null
}

/** Of a record that does not scan, at `start` of the file. Zeros of its own count as a hole, as in the journal. */
export function damagedRecord(file: OpenFile, start: number): DamagedRecord {
  const source = byteSourceOf(file)
  const says = whatItSays(source, start)
  const headerEnd = Math.min(start + RECORD_HEADER_BYTES, source.bytes)
  return { start, says, isHole: hasHole(source, start, says?.end ?? headerEnd) }
}

function whatItSays(source: ByteSource, start: number): DamagedRecord['says'] {
  try {
    const bytes = source.read(start, RECORD_HEADER_BYTES + framePrefixBytes(MAX_FRAME_VALUES))
    if (bytes.length < RECORD_HEADER_BYTES) return null
    const header = decodeRecordHeader(viewOf(bytes), 0, '')
    const { payloadBytes, grouped } = header
    const end = start + RECORD_HEADER_BYTES + payloadBytes
    if (end > source.bytes) return null
    const plain = [{ high: header.ridHigh, low: header.ridLow }]
    const rids = grouped ? idsOfFrame(bytes.subarray(RECORD_HEADER_BYTES, end - start)) : plain
    return { end, payloadBytes, grouped, rids }
  } catch (error) {
    if (isCorruption(error)) return null
    throw error
  }
}

/** None where the tables are damaged, too: where the record ends is known all the same. */
function idsOfFrame(payload: Uint8Array): RidWords[] {
  try {
    return parseFrame(payload, '').rids
  } catch (error) {
    if (isCorruption(error)) return []
    throw error
  }
}

const WINDOW_BYTES = 2 ** 16

/**
 * The first sound record from `from` on that has one of these ids, wherever it starts; its place and the id.
 * A record that a wrong length seems to cut hides those behind it. Yields about every 64 KiB.
 */
export function* findRecord(
  file: OpenFile,
  kind: ChecksumKind,
  from: number,
  ids: ReadonlySet<bigint>,
): Generator<void, { start: number; rid: bigint } | undefined> {
  const window = new Uint8Array(WINDOW_BYTES + RECORD_HEADER_BYTES)
  const size = file.size()
  for (let base = from; ; base += WINDOW_BYTES) {
    const held = file.read(window, 0, window.length, base)
    for (let i = 0; i < WINDOW_BYTES && i + RECORD_HEADER_BYTES <= held; i++) {
      if (!looksLikeHeader(window, i) || !mayHold(window, i, size - base - i, ids)) continue
      const rid = idOfRecordAt(file, kind, base + i, ids)
      if (rid !== undefined) return { start: base + i, rid }
      yield
    }
    if (held < window.length) return undefined
    yield
  }
}

/** Version 1, flags 0 or 1, and two zeros: most places are ruled out by these. */
function looksLikeHeader(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at + 4] === 1 &&
    (bytes[at + 5] as number) <= 1 &&
    bytes[at + 6] === 0 &&
    bytes[at + 7] === 0
  )
}

/** By the header alone: reading what each may be would take hours where a value is full of ones. */
function mayHold(
  bytes: Uint8Array,
  at: number,
  bytesLeft: number,
  ids: ReadonlySet<bigint>,
): boolean {
  const view = viewOf(bytes)
  const rid = view.getBigUint64(at + 8, true)
  const isGrouped = bytes[at + 5] === 1
  if (RECORD_HEADER_BYTES + view.getUint32(at + 16, true) > bytesLeft) return false
  return isGrouped ? rid === 0n : ids.has(rid)
}

function idOfRecordAt(
  file: OpenFile,
  kind: ChecksumKind,
  start: number,
  ids: ReadonlySet<bigint>,
): bigint | undefined {
  let found: bigint | undefined
  const scan = scanSegment(
    file,
    kind,
    (record) => {
      if (record.start === start) found = record.rids.map(ridOf).find((rid) => ids.has(rid))
    },
    { from: start },
  )
  try {
    scan.next()
  } catch (error) {
    // Not a record, or one followed by damage: what counts is whether it was visited.
    if (!(error instanceof EngineError) || error.code === 'ENGINE_IO') throw error
  }
  return found
}
