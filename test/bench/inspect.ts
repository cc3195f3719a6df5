/**
 * How fast a folder is read: pointers a second of the process's own time, for small values, 2 KiB ones,
 * and grouped frames. The values are never read; the last line says how many bytes were.
 *
 *   npm run bench:inspect -- [--keys N] [--rounds N]
 */
import { inspectFolder, nodeFileSystem, type FileSystem } from '../../engine/index.ts'
import { flags } from './flags.ts'
import { bench, deps, keyOf, median, openStore, print, tempFolder, valueOf } from './support.ts'

interface Subject {
  name: string
  valueBytes: number
  /** Rewritten into frames before it is read. */
  isGrouped: boolean
}

const SUBJECTS: Subject[] = [
  { name: 'small', valueBytes: 520, isGrouped: false },
  { name: '2_kib', valueBytes: 2048, isGrouped: false },
  { name: 'grouped', valueBytes: 520, isGrouped: true },
]

/** Neighbours of a compressible kind share frames. */
function bytesOf(subject: Subject, index: number): Uint8Array {
  if (!subject.isGrouped) return valueOf(index, 0, subject.valueBytes)
  return Buffer.from(`${index}, some words, `.repeat(60)).subarray(0, subject.valueBytes)
}

async function prepare(subject: Subject, keys: number): Promise<string> {
  const dir = tempFolder('inspect')
  const engine = await openStore(dir, {})
  for (let from = 0; from < keys; from += 100) {
    const batch = Array.from({ length: Math.min(100, keys - from) }, (_, i) => ({
      op: 'put' as const,
      key: keyOf(from + i),
      value: bytesOf(subject, from + i),
    }))
    await engine.batch(batch)
  }
  await engine.checkpoint()
  if (subject.isGrouped) {
    await engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId))
    await engine.maintenance.gc({ dryRun: false })
  }
  await engine.close()
  return dir
}

/** The real one, counting. */
function counting(): { fileSystem: FileSystem; bytesRead: () => number } {
  let bytes = 0
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    open: (file, mode) => {
      const opened = nodeFileSystem.open(file, mode)
      const read = opened.read.bind(opened)
      opened.read = (buffer, offset, length, position) => {
        const got = read(buffer, offset, length, position)
        bytes += got
        return got
      }
      return opened
    },
  }
  return { fileSystem, bytesRead: () => bytes }
}

async function main(): Promise<void> {
  const { keys, rounds } = flags({ keys: 100_000, rounds: 5 })
  const folders: { subject: Subject; dir: string; rates: number[] }[] = []
  for (const subject of SUBJECTS) {
    folders.push({ subject, dir: await prepare(subject, keys), rates: [] })
  }
  for (let round = 0; round <= rounds; round++) {
    for (const { subject, dir, rates } of round % 2 === 0 ? folders : folders.toReversed()) {
      const { fileSystem, bytesRead } = counting()
      const { yieldNow } = deps()
      const before = process.cpuUsage()
      const monotonic = (): number => performance.now()
      const { report } = await inspectFolder(dir, { fileSystem, yieldNow, monotonic, nowMs: 1 })
      const { user, system } = process.cpuUsage(before)
      const pointers = report.segments.reduce((sum, s) => sum + (s.referencing_pointers ?? 0), 0)
      if (pointers !== keys) throw new Error(`${pointers} pointers of ${keys} keys`)
      // The first round warms up.
      if (round > 0) rates.push(pointers / ((user + system) / 1e6))
      if (round === rounds) {
        const bytes = report.segments.reduce((sum, s) => sum + s.total_bytes, 0)
        const metrics = { keys, pointers_per_cpu_second: Math.round(median(rates)) }
        print(`inspect/${subject.name}`, { ...metrics, log_bytes: bytes, bytes_read: bytesRead() })
      }
    }
  }
}

await bench(main)
