/**
 * Block codecs of grouped frames. Raw sizes are checked against a cap before a native decoder sees
 * them: the LZ4 binding trusts its length prefix and would zero-fill gigabytes.
 */
import { compressSync, uncompressSync } from 'lz4-napi'
import snappy from 'snappy'
import { EngineError } from '../errors.ts'
import {
  CODEC_LZ4,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  MAX_FRAME_RAW_BYTES,
  corrupt,
  frameRawBytes,
  type Frame,
} from './record.ts'
import { decodeZstd } from './zstd.ts'

const LZ4_PREFIX_BYTES = 4

/** Where dictionaries of compressed frames come from. */
export interface DictionarySource {
  /** Checked against its id; ENGINE_CORRUPT when there is none or it is another. */
  get(id: bigint): Uint8Array
}

/** What was opened alone: a frame that needs a dictionary is damaged without one. */
export const NO_DICTIONARIES: DictionarySource = {
  get: (id) => {
    throw corrupt('dictdb', `there is no dictionary ${dictionaryName(id)}`)
  },
}

export function dictionaryName(id: bigint): string {
  return id.toString(16).padStart(16, '0')
}

/** The frame's values decoded; a view into `payload` when they are stored raw. */
export function decodeFrameValues(
  payload: Uint8Array,
  frame: Frame,
  where: string,
  dictionaries: DictionarySource = NO_DICTIONARIES,
): Uint8Array {
  const stored = payload.subarray(frame.dataStart)
  const rawBytes = frameRawBytes(frame)
  if (!frame.compressed) {
    if (stored.length !== rawBytes) {
      throw corrupt(where, `frame holds ${stored.length} raw bytes, its offsets say ${rawBytes}`)
    }
    return stored
  }
  if (rawBytes > MAX_FRAME_RAW_BYTES) {
    throw corrupt(where, `frame decodes to ${rawBytes} bytes, more than ${MAX_FRAME_RAW_BYTES}`)
  }
  if ((stored.length === 0) !== (rawBytes === 0)) {
    throw corrupt(where, `compressed frame of ${stored.length} bytes for ${rawBytes} raw bytes`)
  }
  if (rawBytes === 0) return stored
  const raw =
    frame.dictionaryId === 0n
      ? decodeBlock(stored, frame, rawBytes, where)
      : decodeZstd(stored, rawBytes, where, dictionaries.get(frame.dictionaryId))
  if (raw.length !== rawBytes) {
    throw corrupt(where, `frame decoded to ${raw.length} bytes, its offsets say ${rawBytes}`)
  }
  return raw
}

function decodeBlock(
  stored: Uint8Array,
  frame: Frame,
  rawBytes: number,
  where: string,
): Uint8Array {
  try {
    switch (frame.codec) {
      case CODEC_LZ4:
        return decodeLz4(stored, rawBytes)
      case CODEC_SNAPPY:
        return decodeSnappy(stored, rawBytes, where)
      case CODEC_ZSTD:
        return decodeZstd(stored, rawBytes, where)
      default:
        throw new EngineError('ENGINE_UNSUPPORTED', `${where}: block codec ${frame.codec}`)
    }
  } catch (error) {
    if (error instanceof EngineError) throw error
    const text = error instanceof Error ? error.message : String(error)
    throw corrupt(where, `frame does not decompress: ${text}`)
  }
}

function decodeLz4(stored: Uint8Array, rawBytes: number): Uint8Array {
  const prefixed = Buffer.allocUnsafe(LZ4_PREFIX_BYTES + stored.length)
  prefixed.writeUInt32LE(rawBytes, 0)
  prefixed.set(stored, LZ4_PREFIX_BYTES)
  return uncompressSync(prefixed)
}

function decodeSnappy(stored: Uint8Array, rawBytes: number, where: string): Uint8Array {
  const claimed = readUvarint(stored)
  if (claimed !== rawBytes) {
    throw corrupt(where, `snappy block claims ${claimed} bytes, the frame ${rawBytes}`)
  }
  return snappy.uncompressSync(Buffer.from(stored)) as Uint8Array
}

/** A snappy block's length prefix; -1 when it is not one. */
function readUvarint(bytes: Uint8Array): number {
  let value = 0
  for (let i = 0; i < 5 && i < bytes.length; i++) {
    const byte = bytes[i] as number
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return value
  }
  return -1
}

/** An LZ4 block without length prefix, or undefined where it would not be smaller by at least an eighth. */
export function encodeLz4(raw: Uint8Array): Uint8Array | undefined {
  const input = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength)
  const block = compressSync(input).subarray(LZ4_PREFIX_BYTES)
  return block.length <= raw.length - (raw.length >>> 3) ? block : undefined
}
