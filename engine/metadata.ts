/**
 * `maindb/restage_meta.json`: what the format has no place for. Seal times (so that a segment's age
 * survives copying, X5), who wrote each segment, and high-water marks of the counters. Rebuildable:
 * without it ages fall back to file times and counters to a scan. Torn or foreign content counts as
 * absent.
 */
import { replaceFile, type FileSystem } from './file-system.ts'
import type { SegmentId, SegmentInfo, SegmentOrigin } from './types.ts'
import { SerialTask } from './slicer.ts'
import type { Segment } from './value-log/segment.ts'

export const METADATA_FILE = 'restage_meta.json'

export interface SegmentFacts {
  origin: SegmentOrigin
  createdAtMs: number | null
  sealedAtMs: number | null
  /** Who says so: `mtime` = it was still written at a crash, and the time of its file was taken. */
  sealedAtFrom: AgeSource
  /** Sealed and synced; false = a power cut may have damaged its end. */
  isWhole: boolean
}

export interface Metadata {
  /** Segment sequence numbers below this were used. */
  nextSeq: number
  /** Record ids below this may have been used. */
  ridReservedUntil: bigint
  segments: Map<SegmentId, SegmentFacts>
}

type AgeSource = SegmentInfo['ageSource']

/**
 * When a segment that nobody writes any more was sealed, and who says so. What was active at a crash, and what
 * the metadata does not know, has the time of its last write. A time yet to come, after a clock was set back or
 * from another machine, is taken as now: it would keep the segment young until then.
 */
export function sealTimeOf(
  facts: SegmentFacts | undefined,
  mtimeMs: number,
  nowMs: number,
): { sealedAtMs: number; ageSource: AgeSource } {
  const kept = facts?.sealedAtMs ?? null
  if (facts === undefined || kept === null) {
    return { sealedAtMs: Math.min(Math.floor(mtimeMs), nowMs), ageSource: 'mtime' }
  }
  return { sealedAtMs: Math.min(kept, nowMs), ageSource: facts.sealedAtFrom }
}

/** Record ids set aside at each opening: a crash wastes at most these, of 2^64. */
export const RID_RESERVE = 1n << 40n

export function encodeMetadata(metadata: Metadata): string {
  const segments: Record<string, unknown> = {}
  for (const [id, facts] of metadata.segments) {
    segments[String(id)] = {
      origin: facts.origin,
      created_at_ms: facts.createdAtMs,
      sealed_at_ms: facts.sealedAtMs,
      ...(facts.sealedAtFrom === 'mtime' ? { sealed_at_from: 'mtime' } : {}),
      whole: facts.isWhole,
    }
  }
  const body = {
    version: 1,
    next_seq: metadata.nextSeq,
    rid_reserved_until: metadata.ridReservedUntil.toString(),
    segments,
  }
  return `${JSON.stringify(body, null, 2)}\n`
}

/** undefined when the text is not such a file. Entries that make no sense are left out one by one. */
export function decodeMetadata(text: string): Metadata | undefined {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isRecord(body) || body['version'] !== 1) return undefined
  const reserved = body['rid_reserved_until']
  const nextSeq = body['next_seq']
  if (typeof reserved !== 'string' || !/^\d{1,20}$/.test(reserved)) return undefined
  if (typeof nextSeq !== 'number' || !Number.isSafeInteger(nextSeq) || nextSeq < 0) return undefined
  const segments = new Map<SegmentId, SegmentFacts>()
  const listed = isRecord(body['segments']) ? body['segments'] : {}
  for (const [id, facts] of Object.entries(listed)) {
    if (!/^\d{1,10}$/.test(id) || !isRecord(facts)) continue
    const origin = facts['origin']
    segments.set(Number(id), {
      origin: origin === 'foreground' || origin === 'rewrite' ? origin : 'unknown',
      createdAtMs: timeOrNull(facts['created_at_ms']),
      sealedAtMs: timeOrNull(facts['sealed_at_ms']),
      sealedAtFrom: facts['sealed_at_from'] === 'mtime' ? 'mtime' : 'metadata',
      isWhole: facts['whole'] === true,
    })
  }
  return { nextSeq, ridReservedUntil: BigInt(reserved), segments }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function timeOrNull(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null
}

/** The value log, as far as its facts are kept. */
interface LoggedSegments {
  readonly set: Iterable<Segment>
  readonly nextSeq: number
}

/** Keeps the file up to date with the segments of an open store; writes only what changed. */
export class MetadataFile {
  readonly #fileSystem: FileSystem
  readonly #file: string
  readonly #ridReservedUntil: bigint
  #written = ''
  readonly #serial = new SerialTask()

  constructor(fileSystem: FileSystem, file: string, ridReservedUntil: bigint) {
    this.#fileSystem = fileSystem
    this.#file = file
    this.#ridReservedUntil = ridReservedUntil
  }

  /** One at a time: checkpoints, GC and readers that end all save. */
  save(log: LoggedSegments): Promise<void> {
    return this.#serial.run(() => this.#save(log))
  }

  async #save({ set, nextSeq }: LoggedSegments): Promise<void> {
    const facts = new Map<SegmentId, SegmentFacts>()
    for (const segment of set) {
      const { createdAtMs, sealedAtMs, ageSource: sealedAtFrom } = segment.times
      const { origin, isWhole } = segment
      // Of a foreign one nothing is known but its file.
      if (sealedAtFrom === 'mtime' && createdAtMs === null && origin === 'unknown') continue
      facts.set(segment.id, { origin, createdAtMs, sealedAtMs, sealedAtFrom, isWhole })
    }
    const ridReservedUntil = this.#ridReservedUntil
    const text = encodeMetadata({ nextSeq, ridReservedUntil, segments: facts })
    if (text === this.#written) return
    await replaceFile(this.#fileSystem, this.#file, Buffer.from(text))
    this.#written = text
  }
}
