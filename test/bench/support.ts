/** What the benches share: a real clock, stores in temporary folders, medians and lines of metrics. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import {
  nodeFileSystem,
  openEngine,
  StepClock,
  type BatchOperation,
  type Engine,
  type EngineDeps,
  type EngineOptions,
} from '../../engine/index.ts'

export const KIB = 1024
export const MIB = 1024 * KIB

/** One turn of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export function realClock(): StepClock {
  return new StepClock({
    wall: () => Date.now(),
    monotonic: () => performance.now(),
    arm: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs)
      return () => {
        clearTimeout(timer)
      }
    },
  })
}

export function deps(): EngineDeps {
  return { clock: realClock(), fileSystem: nodeFileSystem, yieldNow: turn }
}

/** Nothing runs that was not asked for; every segment is old enough at once. */
export function openStore(dir: string, options: EngineOptions): Promise<Engine> {
  const { maintenance, ...rest } = options
  return openEngine(
    dir,
    {
      profile: 'fast',
      mode: 'step',
      checkpointIntervalMs: 0,
      ...rest,
      maintenance: { minSegmentAgeMs: 0, ...maintenance },
    },
    deps(),
  )
}

const folders: string[] = []

/** A new empty folder, removed by `removeFolders`. BENCH_DIR chooses the disk. */
export function tempFolder(name: string): string {
  const dir = fs.mkdtempSync(path.join(process.env['BENCH_DIR'] ?? os.tmpdir(), `restage-${name}-`))
  folders.push(dir)
  return dir
}

export function removeFolders(): void {
  for (const dir of folders.splice(0)) fs.rmSync(dir, { recursive: true, force: true })
}

/** Runs a bench; its folders go whatever happens. */
export async function bench(main: () => Promise<void>): Promise<void> {
  try {
    await main()
  } finally {
    removeFolders()
  }
}

/** 16 bytes whose order is the numbers' order. */
export function keyOf(index: number): Buffer {
  return Buffer.from(`key/${String(index).padStart(12, '0')}`)
}

const noise = Buffer.allocUnsafeSlow(MIB)
let noiseState = 1
for (let i = 0; i < noise.length; i += 4) {
  noiseState ^= noiseState << 13
  noiseState ^= noiseState >>> 17
  noiseState ^= noiseState << 5
  noise.writeInt32LE(noiseState, i)
}

/** Incompressible, different for each index and version; a view that is not to be kept. */
export function valueOf(index: number, version: number, bytes: number): Buffer {
  const at = (Math.imul(index + 1, 2654435761) ^ Math.imul(version + 1, 40503)) >>> 0
  const from = at % (noise.length - bytes)
  return noise.subarray(from, from + bytes)
}

export interface Fill {
  from: number
  to: number
  step?: number
  version: number
  valueBytes: number
}

/** Puts keys [from, to) in order, in batches. */
export async function fill(engine: Engine, what: Fill): Promise<void> {
  const { from, to, step = 1, version, valueBytes } = what
  let operations: BatchOperation[] = []
  for (let i = from; i < to; i += step) {
    operations.push({ op: 'put', key: keyOf(i), value: valueOf(i, version, valueBytes) })
    if (operations.length < 100 && i + step < to) continue
    await engine.batch(operations)
    await turn()
    operations = []
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
}

export async function timed(work: () => unknown): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

export function print(name: string, metrics: Record<string, number | string>): void {
  const words = Object.entries(metrics).map(([key, value]) => `${key}=${short(value)}`)
  process.stdout.write(`${name} ${words.join(' ')}\n`)
}

export function short(value: number | string): string {
  if (typeof value === 'string') return value
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 4
  return String(Number(value.toFixed(digits)))
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  process.stdout.write(`\n${line(head)}${line(head.map(() => '---'))}${rows.map(line).join('')}\n`)
}
