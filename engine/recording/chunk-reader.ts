/**
 * What one chunk file holds, without reading its payloads: by the index at its end, or, after a crash,
 * by walking from block header to block header. Damage costs the blocks it hit; the walk goes on at
 * the next header that is whole.
 */
import * as path from 'node:path'
import { errorText } from '../inspect/findings.ts'
import { isCorruption } from '../errors.ts'
import type { FileSystem, OpenFile } from '../file-system.ts'
import {
  BLOCK_HEADER_BYTES,
  BLOCK_MAGIC_BYTES,
  CHUNK_BYTES_MAX,
  CHUNK_HEADER_BYTES,
  TRAILER_BYTES,
  chunkFileName,
  damaged,
  decodeBlockHeader,
  decodeChunkHeader,
  decodePayload,
  decodeTrailer,
  type BlockHeader,
  type ChunkHeader,
} from './codec.ts'
import { checksum } from '../checksum.ts'

export interface BlockPlace extends BlockHeader {
  file: string
  /** Where the payload begins. */
  at: number
}

export interface Chunk extends ChunkHeader {
  file: string
  bytes: number
  /** null: lost to damage. */
  keyframe: BlockPlace | null
  /** Ascending by seq, disjoint, after baseSeq. */
  blocks: BlockPlace[]
  /** open: no index; it was being written when it was last touched. */
  end: 'sealed' | 'closed' | 'open'
  /** It ends inside a block. */
  isTorn: boolean
  /** Something in it cannot be read. */
  isDamaged: boolean
}

/** Throws ENGINE_CORRUPT or ENGINE_UNSUPPORTED when not even the beginning can be read. */
export function readChunk(fileSystem: FileSystem, folder: string, chunkNumber: number): Chunk {
  const file = path.join(folder, chunkFileName(chunkNumber))
  const stat = fileSystem.stat(file)
  if (stat?.isFile !== true) throw damaged('it is not a regular file')
  const handle = fileSystem.open(file, 'read')
  try {
    const bytes = Math.min(handle.size(), CHUNK_BYTES_MAX)
    const header = decodeChunkHeader(readAt(handle, 0, CHUNK_HEADER_BYTES))
    if (header.chunkNumber !== chunkNumber) throw damaged(`it says it is ${header.chunkNumber}`)
    const chunk: Chunk = {
      ...header,
      file,
      bytes,
      keyframe: null,
      blocks: [],
      end: 'open',
      isTorn: false,
      isDamaged: stat.size > CHUNK_BYTES_MAX,
    }
    if (!readIndex(handle, chunk)) walk(handle, chunk)
    return chunk
  } finally {
    handle.close()
  }
}

function readAt(handle: OpenFile, at: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(Math.max(0, length))
  return bytes.subarray(0, handle.read(bytes, 0, bytes.length, at))
}

/** false: there is none, or it does not account for the file. */
function readIndex(handle: OpenFile, chunk: Chunk): boolean {
  const end = chunk.bytes - TRAILER_BYTES
  if (end < CHUNK_HEADER_BYTES) return false
  const indexBytes = decodeTrailer(readAt(handle, end, TRAILER_BYTES))
  if (indexBytes === undefined || indexBytes > end - CHUNK_HEADER_BYTES) return false
  const bytes = readAt(handle, end - indexBytes, indexBytes)
  const index = decodeBlockHeader(bytes, 0)
  if (index?.kind !== 'index' || index.storedBytes !== bytes.length - BLOCK_HEADER_BYTES) {
    return false
  }
  if (checksum('ieee', bytes, BLOCK_HEADER_BYTES, bytes.length) !== index.payloadCrc) return false
  const headers: BlockHeader[] = []
  for (let at = BLOCK_HEADER_BYTES; at < bytes.length; at += BLOCK_HEADER_BYTES) {
    const header = decodeBlockHeader(bytes, at)
    if (header === undefined) return false
    headers.push(header)
  }
  const stored = headers.reduce((sum, h) => sum + BLOCK_HEADER_BYTES + h.storedBytes, 0)
  if (CHUNK_HEADER_BYTES + stored !== end - indexBytes) return false
  let at = CHUNK_HEADER_BYTES
  for (const header of headers) {
    accept(chunk, header, at + BLOCK_HEADER_BYTES)
    at += BLOCK_HEADER_BYTES + header.storedBytes
  }
  chunk.end = index.closes ? 'closed' : 'sealed'
  return true
}

function walk(handle: OpenFile, chunk: Chunk): void {
  let at = CHUNK_HEADER_BYTES
  while (at < chunk.bytes) {
    const header = decodeBlockHeader(readAt(handle, at, BLOCK_HEADER_BYTES), 0)
    if (header === undefined) {
      const next = findHeader(handle, at + 1, chunk.bytes)
      // Nothing whole follows: the end of what was written, not a hole in it.
      if (next === undefined) {
        chunk.isTorn = true
        return
      }
      chunk.isDamaged = true
      at = next
      continue
    }
    const from = at + BLOCK_HEADER_BYTES
    if (header.storedBytes > chunk.bytes - from) {
      chunk.isTorn = true
      return
    }
    if (header.kind === 'index') chunk.isDamaged = true
    else accept(chunk, header, from)
    at = from + header.storedBytes
  }
}

/** Where the next whole block header begins. */
function findHeader(handle: OpenFile, from: number, end: number): number | undefined {
  const windowBytes = 256 * 1024
  for (let at = from; at < end; at += windowBytes) {
    // With an overlap, so that a header across the edge is found.
    const length = Math.min(windowBytes + BLOCK_HEADER_BYTES, end - at)
    const bytes = Buffer.from(readAt(handle, at, length))
    let hit = bytes.indexOf(BLOCK_MAGIC_BYTES)
    while (hit !== -1 && hit < windowBytes) {
      if (decodeBlockHeader(bytes, hit) !== undefined) return at + hit
      hit = bytes.indexOf(BLOCK_MAGIC_BYTES, hit + 1)
    }
  }
  return undefined
}

/** Takes a block into the chunk if it fits what came before. */
function accept(chunk: Chunk, header: BlockHeader, at: number): void {
  const place = { ...header, file: chunk.file, at }
  if (header.kind === 'keyframe') {
    if (header.lastSeq === chunk.baseSeq && chunk.keyframe === null) chunk.keyframe = place
    else chunk.isDamaged = true
    return
  }
  const after = chunk.blocks.at(-1)?.lastSeq ?? chunk.baseSeq
  if (header.kind === 'events' && header.firstSeq > after) chunk.blocks.push(place)
  else chunk.isDamaged = true
}

/** The JSON of a block. ENGINE_CORRUPT when it is not what its header says; ENGINE_IO from the disk. */
export function* readBlock(fileSystem: FileSystem, place: BlockPlace): Generator<void, unknown> {
  const handle = fileSystem.open(place.file, 'read')
  let payload: Uint8Array
  try {
    payload = readAt(handle, place.at, place.storedBytes)
  } finally {
    handle.close()
  }
  const raw = yield* decodePayload(place, payload)
  try {
    return JSON.parse(
      Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('utf8'),
    ) as unknown
  } catch (error) {
    throw damaged(`a block is no JSON: ${errorText(error)}`)
  }
}

/** What a failed reading of a chunk or block says; other errors are not about the recording. */
export function damageText(error: unknown): string {
  if (isCorruption(error)) return error.message
  return errorText(error)
}
