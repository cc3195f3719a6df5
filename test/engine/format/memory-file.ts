/** Bytes as an open file, and records laid into bytes. */
import type { ChecksumKind } from '../../../engine/checksum.ts'
import type { OpenFile } from '../../../engine/file-system.ts'
import {
  RECORD_HEADER_BYTES,
  framePrefixBytes,
  sealRecord,
  writeFramePrefix,
  type RidWords,
} from '../../../engine/value-log/record.ts'
import {
  scanSegment,
  type ScannedRecord,
  type SegmentScan,
} from '../../../engine/value-log/scan.ts'

export const KINDS: readonly ChecksumKind[] = ['ieee', 'crc32c']

export class MemoryFile implements OpenFile {
  readonly path = 'value-l0-000001.log'
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const part = this.#bytes.subarray(position, position + length)
    buffer.set(part, offset)
    return part.length
  }

  write(): never {
    throw new Error('a scan must not write')
  }

  truncate(): never {
    throw new Error('a scan must not truncate')
  }

  sync(): never {
    throw new Error('a scan must not sync')
  }

  size(): number {
    return this.#bytes.length
  }

  close(): void {
    // Nothing is open.
  }
}

export function rid(low: number, high = 0): RidWords {
  return { low, high }
}

export function plainRecord(id: RidWords, value: Uint8Array, kind: ChecksumKind): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + value.length)
  bytes.set(value, RECORD_HEADER_BYTES)
  sealRecord(bytes, 0, value.length, id, kind)
  return bytes
}

/** A raw frame, as the format stores values that do not compress. */
export function rawFrame(rids: RidWords[], values: Uint8Array[]): Uint8Array {
  const offsets = [0]
  for (const value of values) offsets.push((offsets.at(-1) ?? 0) + value.length)
  const prefix = framePrefixBytes(rids.length)
  const payload = new Uint8Array(prefix + (offsets.at(-1) ?? 0))
  writeFramePrefix(payload, 0, { rids, offsets, codec: 0, compressed: false })
  values.forEach((value, i) => payload.set(value, prefix + (offsets[i] ?? 0)))
  return payload
}

export function groupedRecord(payload: Uint8Array, kind: ChecksumKind): Uint8Array {
  const bytes = new Uint8Array(RECORD_HEADER_BYTES + payload.length)
  bytes.set(payload, RECORD_HEADER_BYTES)
  sealRecord(bytes, 0, payload.length, null, kind)
  return bytes
}

/** Runs a scan to its end; `seen` holds copies. */
export function scanAll(
  bytes: Uint8Array,
  kind: ChecksumKind,
  from = 0,
): { scan: SegmentScan; seen: ScannedRecord[]; yields: number } {
  const seen: ScannedRecord[] = []
  const steps = scanSegment(
    new MemoryFile(bytes),
    kind,
    (record) => seen.push({ ...record, bytes: record.bytes.slice() }),
    { from },
  )
  let yields = 0
  let step = steps.next()
  for (; step.done !== true; step = steps.next()) yields++
  return { scan: step.value, seen, yields }
}

/** The error a call throws; fails when it throws none. */
export function errorOf(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  throw new Error('expected an error')
}
