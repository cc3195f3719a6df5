/**
 * Segment ids, segment and journal file names (format.md section 1). Pure.
 *
 *   id = 0x80000000 | lane << 23 | seq        lane 0..255, seq 0..8,388,607
 */
import { EngineError } from './errors.ts'
import type { SegmentId } from './types.ts'

const VALUE_LOG_BIT = 0x80000000
const SEQ_BITS = 23
export const MAX_LANE = 255
export const MAX_SEQ = 2 ** SEQ_BITS - 1

export function encodeSegmentId(lane: number, seq: number): SegmentId {
  if (!Number.isInteger(lane) || lane < 0 || lane > MAX_LANE) {
    throw new EngineError('ENGINE_LIMIT', `lane ${lane} is outside 0..${MAX_LANE}`)
  }
  if (!Number.isInteger(seq) || seq < 0 || seq > MAX_SEQ) {
    throw new EngineError('ENGINE_LIMIT', `segment sequence ${seq} is outside 0..${MAX_SEQ}`)
  }
  return (VALUE_LOG_BIT | (lane << SEQ_BITS) | seq) >>> 0
}

export function isSegmentId(value: number): boolean {
  return Number.isInteger(value) && value >= VALUE_LOG_BIT && value <= 0xffffffff
}

export function laneOf(id: SegmentId): number {
  return (id >>> SEQ_BITS) & 0xff
}

export function seqOf(id: SegmentId): number {
  return id & MAX_SEQ
}

export function segmentFileName(id: SegmentId): string {
  return `value-l${laneOf(id)}-${String(seqOf(id)).padStart(6, '0')}.log`
}

/**
 * The id a value-log file name stands for; undefined for any other name. Knows the old form
 * `value-<raw seq>.log` too.
 */
export function parseSegmentFileName(name: string): SegmentId | undefined {
  const laned = /^value-l(\d{1,3})-(\d{1,10})\.log$/.exec(name)
  if (laned) {
    const lane = Number(laned[1])
    const seq = Number(laned[2])
    return lane <= MAX_LANE && seq <= MAX_SEQ ? encodeSegmentId(lane, seq) : undefined
  }
  const raw = /^value-(\d{1,10})\.log$/.exec(name)
  if (!raw) return undefined
  const seq = Number(raw[1])
  return seq <= MAX_SEQ ? (VALUE_LOG_BIT | seq) >>> 0 : undefined
}

export interface JournalName {
  lane: number
  seq: number
}

export function journalFileName(name: JournalName): string {
  return `commit-l${name.lane}-${String(name.seq).padStart(6, '0')}.log`
}

export function parseJournalFileName(name: string): JournalName | undefined {
  const match = /^commit-l(\d{1,3})-(\d{1,10})\.log$/.exec(name)
  return match ? { lane: Number(match[1]), seq: Number(match[2]) } : undefined
}
