/**
 * Zstandard blocks, decoded by a WebAssembly build of the reference library. The module is compiled
 * once a process, by whoever opens or reads a folder, and only when one is; after that decoding is
 * synchronous. A block's own header is read here first, so that nothing is allocated on the word of a
 * block that claims another size than its frame does.
 */
import { createDCtx, decompressUsingDict, init } from '@bokuweb/zstd-wasm'
import { assert } from '../assert.ts'
import { viewOf } from '../bytes.ts'
import { corrupt } from './record.ts'

const MAGIC = 0xfd2fb528
const NO_DICTIONARY = new Uint8Array(0)

let loading: Promise<void> | undefined
let context: number | undefined

/** Resolves when `decodeZstd` may be called; about ten milliseconds the first time, nothing later. */
export function loadZstd(): Promise<void> {
  return (loading ??= init().then(() => {
    context = createDCtx()
  }))
}

/**
 * The `rawBytes` bytes a block holds, in memory of their own. ENGINE_CORRUPT when the block is none,
 * claims another size or needs another dictionary. `rawBytes` was held against a cap by the caller.
 */
export function decodeZstd(
  stored: Uint8Array,
  rawBytes: number,
  where: string,
  dictionary: Uint8Array = NO_DICTIONARY,
): Uint8Array {
  assert(context !== undefined, 'loadZstd comes before decodeZstd')
  const claimed = zstdContentBytes(stored)
  if (claimed === undefined) throw corrupt(where, 'no zstd block')
  if (claimed !== null && claimed !== rawBytes) {
    throw corrupt(where, `zstd block claims ${claimed} bytes, its frame ${rawBytes}`)
  }
  try {
    const raw = decompressUsingDict(context, stored, dictionary, { defaultHeapSize: rawBytes })
    if (raw.length === rawBytes) return raw
    throw corrupt(where, `zstd block decoded to ${raw.length} bytes, expected ${rawBytes}`)
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    // The library's text is a negative number of its own; what it means is all the same to a reader.
    throw corrupt(
      where,
      `zstd block does not decompress: ${text.replace(/^Failed to compress/, 'failed')}`,
    )
  }
}

/** Size in a block's header: null when it has none, undefined when the bytes are no block at all. */
export function zstdContentBytes(stored: Uint8Array): number | null | undefined {
  if (stored.length < 6) return undefined
  const view = viewOf(stored)
  if (view.getUint32(0, true) !== MAGIC) return undefined
  const descriptor = view.getUint8(4)
  const isSingle = (descriptor & 0x20) !== 0
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const sizeField = descriptor >>> 6
  const sizeBytes = sizeField === 0 ? (isSingle ? 1 : 0) : 1 << sizeField
  const at = 5 + (isSingle ? 0 : 1) + dictionaryIdBytes
  if (at + sizeBytes > stored.length) return undefined
  switch (sizeBytes) {
    case 0:
      return null
    case 1:
      return view.getUint8(at)
    case 2:
      return view.getUint16(at, true) + 256
    case 4:
      return view.getUint32(at, true)
    default:
      return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true)
  }
}
