/** Writes one chunk file: header, blocks, and the index when it is sealed. Throws what the disk says. */
import * as path from 'node:path'
import { checksum } from '../checksum.ts'
import type { FileSystem, OpenFile } from '../file-system.ts'
import {
  BLOCK_HEADER_BYTES,
  TRAILER_BYTES,
  chunkFileName,
  encodeBlockHeader,
  encodeChunkHeader,
  encodeTrailer,
  type BlockFacts,
  type ChunkHeader,
} from './codec.ts'

/** What sealing adds to a chunk without a block. */
export const EMPTY_SEAL_BYTES = BLOCK_HEADER_BYTES + TRAILER_BYTES

export class ChunkWriter {
  readonly header: ChunkHeader
  readonly #file: OpenFile
  readonly #headers: Uint8Array[] = []
  #bytes = 0
  #last: BlockFacts | null = null

  /** Creates the file; refuses one that exists. */
  constructor(fileSystem: FileSystem, folder: string, header: ChunkHeader) {
    this.header = header
    this.#file = fileSystem.open(path.join(folder, chunkFileName(header.chunkNumber)), 'create')
    try {
      this.#append(encodeChunkHeader(header))
    } catch (error) {
      this.#file.close()
      throw error
    }
  }

  get bytes(): number {
    return this.#bytes
  }

  /** What sealing will add. */
  get sealBytes(): number {
    return EMPTY_SEAL_BYTES + BLOCK_HEADER_BYTES * this.#headers.length
  }

  /** `payload` as `encodePayload` made it of `rawBytes` bytes. */
  write(facts: BlockFacts, payload: Uint8Array, rawBytes: number): void {
    const header = encodeBlockHeader({
      ...facts,
      storedBytes: payload.length,
      rawBytes,
      payloadCrc: checksum('ieee', payload, 0, payload.length),
    })
    // In one call: fewer crashes tear it.
    this.#append(Buffer.concat([header, payload]))
    this.#headers.push(header)
    this.#last = facts
  }

  /** Index, trailer, sync, close. `closes`: the store is closed, nothing follows in this opening. */
  async seal(closes: boolean): Promise<void> {
    try {
      const index = Buffer.concat(this.#headers)
      const lastSeq = this.#last?.lastSeq ?? this.header.baseSeq
      const lastAtMs = this.#last?.lastAtMs ?? this.header.openedAtMs
      const header = encodeBlockHeader({
        kind: 'index',
        closes,
        latency: 'none',
        count: this.#headers.length,
        firstSeq: this.header.baseSeq,
        lastSeq,
        firstAtMs: lastAtMs,
        lastAtMs,
        firstPassId: 0,
        lastPassId: 0,
        storedBytes: index.length,
        rawBytes: index.length,
        payloadCrc: checksum('ieee', index, 0, index.length),
      })
      const indexBytes = header.length + index.length
      this.#append(Buffer.concat([header, index, encodeTrailer(indexBytes)]))
      await this.#file.sync()
    } finally {
      this.#file.close()
    }
  }

  /** As it is, without an index: what a crash leaves. */
  abandon(): void {
    this.#file.close()
  }

  #append(bytes: Uint8Array): void {
    this.#file.write(bytes, 0, bytes.length, this.#bytes)
    this.#bytes += bytes.length
  }
}
