/** Record ids as they stand in the value-log files of a folder, by walking their headers. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { segmentFiles } from './engine-fixture.ts'

const HEADER_BYTES = 20
const FRAME_IDS_AT = 32

/** Of whole records, file after file; a torn tail ends its file, and so does a hole, which reads as zeros. */
export function recordIds(dir: string): bigint[] {
  const ids: bigint[] = []
  for (const name of segmentFiles(dir).keys()) {
    const bytes = fs.readFileSync(path.join(dir, 'maindb', 'value_vlog', name))
    for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
      const recordBytes = HEADER_BYTES + bytes.readUInt32LE(at + 16)
      if (at + recordBytes > bytes.length || bytes.readUInt32LE(at) === 0) break
      const isGrouped = (bytes.readUInt8(at + 5) & 1) === 1
      const count = isGrouped ? bytes.readUInt8(at + 22) : 1
      for (let i = 0; i < count; i++) {
        ids.push(bytes.readBigUInt64LE(isGrouped ? at + FRAME_IDS_AT + i * 8 : at + 8))
      }
      at += recordBytes
    }
  }
  return ids
}
