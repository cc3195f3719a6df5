/** Times, and what the system knows of this process. Linux only, as the peers' figures are. */
import * as fs from 'node:fs'
import * as path from 'node:path'

export interface Latency {
  perSecond: number
  p50Us: number
  p99Us: number
  maxUs: number
}

/** Durations of a fixed number of calls. */
export class Times {
  readonly #ms: Float64Array
  #count = 0

  constructor(calls: number) {
    this.#ms = new Float64Array(calls)
  }

  add(ms: number): void {
    this.#ms[this.#count++] = ms
  }

  /** `each`: operations of one call. */
  latency(each: number): Latency {
    const sorted = this.#ms.subarray(0, this.#count).slice().sort()
    const total = sorted.reduce((sum, ms) => sum + ms, 0)
    const at = (share: number): number =>
      (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN) * 1000
    return {
      perSecond: (this.#count * each * 1000) / total,
      p50Us: at(0.5),
      p99Us: at(0.99),
      maxUs: at(1),
    }
  }
}

/** Allocated bytes of a file, or of all files below a folder: a sparse file counts what it takes. */
export function diskBytes(name: string): number {
  const stat = fs.statSync(name, { throwIfNoEntry: false })
  if (stat?.isDirectory() !== true) return (stat?.blocks ?? 0) * 512
  const parts = fs.readdirSync(name).map((part) => diskBytes(path.join(name, part)))
  return parts.reduce((sum, bytes) => sum + bytes, 0)
}

function field(file: string, name: string): number {
  const match = new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(fs.readFileSync(file, 'utf8'))
  return Number(match?.[1] ?? NaN)
}

/** Bytes this process passed to write calls: unlike `write_bytes` exact, and free of neighbours. */
export function bytesWritten(): number {
  return field('/proc/self/io', 'wchar')
}

export function peakRssBytes(): number {
  return field('/proc/self/status', 'VmHWM') * 1024
}

export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
