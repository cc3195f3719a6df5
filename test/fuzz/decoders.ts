/**
 * Every decoder of the engine under seeded mutation: what its encoder made, changed byte by byte, cut,
 * spliced, with lengths that lie, checksums repaired half of the time. It gives a reading or an
 * EngineError (or undefined where that is its word for foreign content), soon and in little memory.
 */
import { createHash } from 'node:crypto'
import { EngineError } from '../../engine/errors.ts'
import { randomFrom, type Random } from '../support/random.ts'
import { makeDecoders, type Decoder } from './decoder-list.ts'

/** One input took longer than it may; generous, because the machine may be busy. */
const SLOW_MS = 2_000
const MEMORY_MAX = 2 ** 28

const WORDS = [0, 1, 2, 0x7f, 0x80, 0xff, 0xfffe, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

export function mutate(seed: Uint8Array, others: readonly Uint8Array[], random: Random): Buffer {
  let bytes = Buffer.from(seed)
  for (let i = random.between(1, 5); i > 0; i--) {
    const at = random.between(0, Math.max(0, bytes.length - 1))
    switch (random.between(0, 7)) {
      case 0:
        if (bytes.length > 0) bytes[at] = random.between(0, 255)
        break
      case 1:
        if (bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.between(0, 7))
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        if (at + 4 <= bytes.length) bytes.writeUInt32LE(random.pick(WORDS), at)
        break
      case 4:
        if (at + 2 <= bytes.length) bytes.writeUInt16LE(random.pick(WORDS) & 0xffff, at)
        break
      case 5: {
        const other = Buffer.from(random.pick(others))
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(Math.min(at, other.length))])
        break
      }
      case 6:
        bytes.fill(random.pick([0, 0xff]), at, Math.min(bytes.length, at + random.between(1, 64)))
        break
      default:
        if (at + 8 <= bytes.length)
          bytes.copy(bytes, at, random.between(0, bytes.length - 8), at + 8)
    }
  }
  return Buffer.from(bytes)
}

/** What is wrong with a decoder's answer to these bytes; null when nothing is. */
export function problemOf(decoder: Decoder, bytes: Buffer): string | null {
  const input = Buffer.from(bytes)
  const started = performance.now()
  const before = memoryNow()
  try {
    decoder.decode(input)
  } catch (error) {
    if (!(error instanceof EngineError)) {
      return error instanceof Error ? String(error.stack) : String(error)
    }
  }
  const tookMs = performance.now() - started
  if (tookMs > SLOW_MS) return `took ${tookMs.toFixed(0)} ms`
  const grown = memoryNow() - before
  if (grown > MEMORY_MAX) return `took ${(grown / 2 ** 20).toFixed(0)} MiB`
  if (!input.equals(bytes)) return 'changed its input'
  return null
}

function memoryNow(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

export async function fuzzDecoders(
  runs: number,
  firstSeed: number,
): Promise<{ lines: string[]; problems: string[] }> {
  const decoders = await makeDecoders()
  const lines: string[] = []
  const problems: string[] = []
  for (const [number, decoder] of decoders.entries()) {
    const random = randomFrom(firstSeed + number * 1_000_003)
    const counts = { read: 0, refused: 0 }
    const perDecoder = Math.ceil(runs / decoders.length)
    for (let run = 0; run < perDecoder; run++) {
      let bytes = mutate(random.pick(decoder.seeds), decoder.seeds, random)
      if (random.chance(0.5)) bytes = Buffer.from(decoder.repair?.(bytes) ?? bytes)
      const problem = problemOf(decoder, bytes)
      if (problem === null) {
        counts[isRead(decoder, bytes) ? 'read' : 'refused']++
        continue
      }
      const name = createHash('sha256').update(bytes).digest('hex').slice(0, 12)
      problems.push(`${decoder.name} ${name} ${bytes.toString('base64')}: ${problem}`)
      if (problems.length > 20) return { lines, problems }
    }
    lines.push(
      `decoder/${decoder.name} runs=${perDecoder} read=${counts.read} refused=${counts.refused}`,
    )
  }
  return { lines, problems }
}

function isRead(decoder: Decoder, bytes: Buffer): boolean {
  try {
    return decoder.decode(Buffer.from(bytes)) !== undefined
  } catch {
    return false
  }
}
