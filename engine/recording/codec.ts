/**
 * Bytes of a recording. `trace/chunk-<16 digits>.rec`, one file after another, each readable alone:
 *
 *   chunk header (64 bytes)  which opening, which state the chunk begins with
 *   block*                   header (68 bytes) and payload: a keyframe first, then events
 *   index block, trailer     written when the chunk is sealed: all block headers, and where they begin
 *
 * A payload is JSON, deflated in parts of at most 64 KiB, so that neither writing nor reading holds
 * the thread for long. Headers and payloads carry a CRC-32. A chunk that a crash cut off has no
 * trailer and is walked from block header to block header. All numbers are little-endian. Everything
 * here may come from a stranger: lengths are bounded before memory is taken, and what contradicts the
 * format is ENGINE_CORRUPT.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { readU64, viewOf, writeU64 } from '../bytes.ts'
import { checksum } from '../checksum.ts'
import { EngineError } from '../errors.ts'

export const RECORDING_FOLDER = 'trace'

export const CHUNK_HEADER_BYTES = 64
export const BLOCK_HEADER_BYTES = 68
export const TRAILER_BYTES = 16

/** JSON of one block, at most: a block that claims more is damaged, an event that has more is not kept. */
export const RAW_BYTES_MAX = 32 * 1024 * 1024
/** A larger file was not written by this format; only its beginning is looked at. */
export const CHUNK_BYTES_MAX = 256 * 1024 * 1024

const PART_BYTES = 64 * 1024
const CHUNK_MAGIC = Buffer.from('RSTGREC1', 'latin1')
const BLOCK_MAGIC = 0x314b4252
const TRAILER_MAGIC = 0x444e4552
const VERSION = 1

/** opened: first chunk of an opening. rotated: the one before was full. resumed: after a standstill. */
export type ChunkCause = 'opened' | 'rotated' | 'resumed'
const CAUSES: readonly ChunkCause[] = ['opened', 'rotated', 'resumed']

export interface ChunkHeader {
  chunkNumber: number
  openingId: number
  openedAtMs: number
  /** Newest event that the keyframe contains: the chunk's own events come after it. */
  baseSeq: number
  cause: ChunkCause
}

export type BlockKind = 'keyframe' | 'events' | 'index'
const KINDS: readonly BlockKind[] = ['keyframe', 'events', 'index']

/** `unknown`: written before there were such events. */
export type BlockLatency = 'unknown' | 'none' | 'some'
const LATENCIES: readonly BlockLatency[] = ['unknown', 'none', 'some']

/** What a block holds, without its payload. Of a keyframe: the moment it was taken. */
export interface BlockFacts {
  kind: BlockKind
  /** Index only: the store was closed after it. */
  closes: boolean
  /** Whether there is a `foreground_latency` among its events. */
  latency: BlockLatency
  count: number
  firstSeq: number
  lastSeq: number
  firstAtMs: number
  lastAtMs: number
  /** Of the events that belong to a pass; 0 = none does. */
  firstPassId: number
  lastPassId: number
}

export interface BlockHeader extends BlockFacts {
  storedBytes: number
  rawBytes: number
  payloadCrc: number
}

export function chunkFileName(chunkNumber: number): string {
  return `chunk-${String(chunkNumber).padStart(16, '0')}.rec`
}

/** undefined: no file of a recording. */
export function parseChunkFileName(name: string): number | undefined {
  const digits = /^chunk-(\d{16})\.rec$/.exec(name)?.[1]
  const chunkNumber = Number(digits)
  return digits !== undefined && Number.isSafeInteger(chunkNumber) ? chunkNumber : undefined
}

// ---------------------------------------------------------------- headers

export function encodeChunkHeader(header: ChunkHeader): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES)
  const view = viewOf(bytes)
  bytes.set(CHUNK_MAGIC, 0)
  view.setUint32(8, VERSION, true)
  view.setUint32(12, CAUSES.indexOf(header.cause), true)
  writeU64(view, 16, header.chunkNumber)
  writeU64(view, 24, header.openingId)
  view.setFloat64(32, header.openedAtMs, true)
  writeU64(view, 40, header.baseSeq)
  view.setUint32(60, checksum('ieee', bytes, 0, 60), true)
  return bytes
}

export function decodeChunkHeader(bytes: Uint8Array): ChunkHeader {
  const view = viewOf(bytes)
  if (bytes.length < CHUNK_HEADER_BYTES || !CHUNK_MAGIC.equals(bytes.subarray(0, 8))) {
    throw damaged('it does not begin like a chunk of a recording')
  }
  if (view.getUint32(60, true) !== checksum('ieee', bytes, 0, 60)) {
    throw damaged('the checksum of its header is wrong')
  }
  const version = view.getUint32(8, true)
  if (version !== VERSION) {
    throw new EngineError('ENGINE_UNSUPPORTED', `recordings of version ${version} are not read`)
  }
  const cause = CAUSES[view.getUint32(12, true)]
  const openedAtMs = view.getFloat64(32, true)
  if (cause === undefined || !Number.isFinite(openedAtMs))
    throw damaged('its header has no meaning')
  return {
    chunkNumber: readU64(view, 16),
    openingId: readU64(view, 24),
    openedAtMs,
    baseSeq: readU64(view, 40),
    cause,
  }
}

export function encodeBlockHeader(header: BlockHeader): Uint8Array {
  const bytes = new Uint8Array(BLOCK_HEADER_BYTES)
  const view = viewOf(bytes)
  view.setUint32(0, BLOCK_MAGIC, true)
  view.setUint8(4, KINDS.indexOf(header.kind))
  view.setUint8(5, header.closes ? 1 : 0)
  view.setUint8(6, LATENCIES.indexOf(header.latency))
  view.setUint32(8, header.storedBytes, true)
  view.setUint32(12, header.rawBytes, true)
  view.setUint32(16, header.count, true)
  writeU64(view, 20, header.firstSeq)
  writeU64(view, 28, header.lastSeq)
  view.setFloat64(36, header.firstAtMs, true)
  view.setFloat64(44, header.lastAtMs, true)
  view.setUint32(52, header.firstPassId, true)
  view.setUint32(56, header.lastPassId, true)
  view.setUint32(60, header.payloadCrc, true)
  view.setUint32(64, checksum('ieee', bytes, 0, 64), true)
  return bytes
}

/** undefined: no whole block header begins at `at`. */
export function decodeBlockHeader(bytes: Uint8Array, at: number): BlockHeader | undefined {
  if (at + BLOCK_HEADER_BYTES > bytes.length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, BLOCK_HEADER_BYTES)
  if (view.getUint32(0, true) !== BLOCK_MAGIC) return undefined
  if (view.getUint32(64, true) !== checksum('ieee', bytes, at, at + 64)) return undefined
  const kind = KINDS[view.getUint8(4)]
  if (kind === undefined) return undefined
  try {
    const header = {
      kind,
      closes: view.getUint8(5) === 1,
      latency: LATENCIES[view.getUint8(6)] ?? 'unknown',
      storedBytes: view.getUint32(8, true),
      rawBytes: view.getUint32(12, true),
      count: view.getUint32(16, true),
      firstSeq: readU64(view, 20),
      lastSeq: readU64(view, 28),
      firstAtMs: view.getFloat64(36, true),
      lastAtMs: view.getFloat64(44, true),
      firstPassId: view.getUint32(52, true),
      lastPassId: view.getUint32(56, true),
      payloadCrc: view.getUint32(60, true),
    }
    return isPlausible(header) ? header : undefined
  } catch {
    return undefined
  }
}

function isPlausible(header: BlockHeader): boolean {
  const { kind, count, firstSeq, lastSeq, firstAtMs, lastAtMs } = header
  if (header.rawBytes > RAW_BYTES_MAX || header.storedBytes > CHUNK_BYTES_MAX) return false
  if (!Number.isFinite(firstAtMs) || !Number.isFinite(lastAtMs)) return false
  if (kind !== 'events') return lastSeq >= firstSeq
  return count > 0 && firstSeq > 0 && lastSeq - firstSeq + 1 === count
}

export const BLOCK_MAGIC_BYTES = Buffer.from('RBK1', 'latin1')

// ---------------------------------------------------------------- trailer

export function encodeTrailer(indexBytes: number): Uint8Array {
  const bytes = new Uint8Array(TRAILER_BYTES)
  const view = viewOf(bytes)
  view.setUint32(0, TRAILER_MAGIC, true)
  view.setUint32(4, indexBytes, true)
  view.setUint32(12, checksum('ieee', bytes, 0, 12), true)
  return bytes
}

/** Length of the index block that ends where these 16 bytes begin; undefined: no trailer. */
export function decodeTrailer(bytes: Uint8Array): number | undefined {
  if (bytes.length !== TRAILER_BYTES) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== TRAILER_MAGIC) return undefined
  if (view.getUint32(12, true) !== checksum('ieee', bytes, 0, 12)) return undefined
  return view.getUint32(4, true)
}

// ---------------------------------------------------------------- payloads

/** Deflates in parts; between two of them the caller may give the thread back. */
export function* encodePayload(raw: Uint8Array): Generator<void, Uint8Array> {
  const parts: Uint8Array[] = []
  for (let at = 0; at < raw.length; at += PART_BYTES) {
    const part = raw.subarray(at, Math.min(at + PART_BYTES, raw.length))
    const stored = deflateRawSync(part, { level: 3 })
    const lengths = new Uint8Array(8)
    viewOf(lengths).setUint32(0, stored.length, true)
    viewOf(lengths).setUint32(4, part.length, true)
    parts.push(lengths, stored)
    yield
  }
  return Buffer.concat(parts)
}

/** Checks the CRC, every length and the sum; ENGINE_CORRUPT otherwise. */
export function* decodePayload(
  header: BlockHeader,
  payload: Uint8Array,
): Generator<void, Uint8Array> {
  if (payload.length !== header.storedBytes) throw damaged('a block is cut short')
  if (checksum('ieee', payload, 0, payload.length) !== header.payloadCrc) {
    throw damaged('the checksum of a block is wrong')
  }
  const raw = Buffer.alloc(header.rawBytes)
  const view = viewOf(payload)
  let from = 0
  let to = 0
  while (from < payload.length) {
    if (from + 8 > payload.length) throw damaged('a block ends inside a part')
    const stored = view.getUint32(from, true)
    const length = view.getUint32(from + 4, true)
    from += 8
    if (stored > payload.length - from || length > PART_BYTES || length > raw.length - to) {
      throw damaged('a part of a block claims more than there is')
    }
    to += inflateInto(payload.subarray(from, from + stored), raw.subarray(to, to + length))
    from += stored
    yield
  }
  if (to !== raw.length) throw damaged('a block holds less than it says')
  return raw
}

function inflateInto(stored: Uint8Array, target: Uint8Array): number {
  let part: Uint8Array
  try {
    part = inflateRawSync(stored, { maxOutputLength: Math.max(1, target.length) })
  } catch (error) {
    throw damaged(`a block does not inflate: ${error instanceof Error ? error.message : ''}`)
  }
  if (part.length !== target.length) throw damaged('a part of a block has another length')
  target.set(part)
  return part.length
}

export function damaged(what: string): EngineError {
  return new EngineError('ENGINE_CORRUPT', what)
}
