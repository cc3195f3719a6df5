/**
 * A file's bytes as decoders see them, and what a power cut leaves of a file that only grows: whole sectors
 * of what was not synced are missing, in any order, and read as zeros. A sector that was synced in part is
 * missing from where that part ended.
 */
import type { OpenFile } from './file-system.ts'

const SECTOR_BYTES = 512

/** Where a decoder's bytes come from. */
export interface ByteSource {
  readonly bytes: number
  /** Fewer bytes only at the end; the caller may keep them. */
  read(at: number, length: number): Uint8Array
}

export function byteSourceOf(file: OpenFile): ByteSource {
  return {
    bytes: file.size(),
    read: (at, length) => {
      const bytes = new Uint8Array(length)
      return bytes.subarray(0, file.read(bytes, 0, length, at))
    },
  }
}

/**
 * Some sector of [at, end) was never written: it is zeros, from `at` on and to the file's end at most. `at` is
 * the beginning of something that was written whole.
 */
export function hasHole(source: ByteSource, at: number, end: number): boolean {
  for (let from = at; from < end;) {
    const to = Math.min((Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES, source.bytes)
    if (source.read(from, to - from).every((byte) => byte === 0)) return true
    from = to
  }
  return false
}
