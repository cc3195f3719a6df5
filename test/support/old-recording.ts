/** A recording as it was before there was foreground latency in it. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { checksum } from '../../engine/checksum.ts'
import { BLOCK_HEADER_BYTES, BLOCK_MAGIC_BYTES } from '../../engine/recording/codec.ts'

/** In place, of a folder whose store was not closed: its chunks have no index. */
export function ageRecording(dir: string): void {
  const folder = path.join(dir, 'trace')
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name)
    const bytes = fs.readFileSync(file)
    for (let at = bytes.indexOf(BLOCK_MAGIC_BYTES); at !== -1;) {
      bytes[at + 6] = 0
      const end = at + BLOCK_HEADER_BYTES - 4
      bytes.writeUInt32LE(checksum('ieee', bytes, at, end), end)
      at = bytes.indexOf(BLOCK_MAGIC_BYTES, at + 1)
    }
    fs.writeFileSync(file, bytes)
  }
}
