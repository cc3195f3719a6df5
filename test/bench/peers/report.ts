/** Medians, ratios and the table. */
import { ADAPTERS, OWN } from './adapters/index.ts'
import type { Result } from './child.ts'
import type { Sync } from './store.ts'

const MIB = 1024 * 1024

/** `space_shrunk` leaves the index out, as the bound on it does: so many times the live bytes, plus index. */
export function metricsOf(result: Result) {
  const { shrunk, liveBytes } = result
  return {
    puts_per_s: result.puts.perSecond,
    batch_p50_us: result.puts.p50Us,
    batch_p99_us: result.puts.p99Us,
    batch_max_us: result.puts.maxUs,
    gets_per_s: result.gets.perSecond,
    get_p50_us: result.gets.p50Us,
    get_p99_us: result.gets.p99Us,
    get_max_us: result.gets.maxUs,
    scan_per_s: result.scan.perSecond,
    scan_p50_us: result.scan.p50Us,
    scan_p99_us: result.scan.p99Us,
    deletes_per_s: result.deletes.perSecond,
    delete_p50_us: result.deletes.p50Us,
    delete_p99_us: result.deletes.p99Us,
    maintain_ms: result.maintainMs,
    close_ms: result.closeMs,
    shrink_ms: shrunk?.ms ?? NaN,
    reopen_ms: result.reopenMs,
    disk_puts_mib: result.diskAfterPuts / MIB,
    disk_maintained_mib: result.diskAfterMaintain / MIB,
    disk_closed_mib: result.diskAfterClose / MIB,
    disk_shrunk_mib: (shrunk?.diskBytes ?? NaN) / MIB,
    index_shrunk_mib: (shrunk?.indexBytes ?? NaN) / MIB,
    space_maintained: result.diskAfterMaintain / liveBytes,
    space_closed: result.diskAfterClose / liveBytes,
    space_shrunk: shrunk === null ? NaN : (shrunk.diskBytes - shrunk.indexBytes) / liveBytes,
    base_rss_mib: result.baseRss / MIB,
    put_rss_mib: result.peakRssAfterPuts / MIB,
    peak_rss_mib: result.peakRss / MIB,
    put_cpu_s: result.putCpuSeconds,
    write_amp: result.writeAmplification,
  }
}

export type Metrics = ReturnType<typeof metricsOf>
type Name = keyof Metrics

/** Of these more is better; of all others less. */
const MORE_IS_BETTER: readonly Name[] = ['puts_per_s', 'gets_per_s', 'scan_per_s', 'deletes_per_s']

const COMPARED: readonly Name[] = [
  ...MORE_IS_BETTER,
  'batch_p50_us',
  'batch_p99_us',
  'get_p50_us',
  'get_p99_us',
  'scan_p50_us',
  'scan_p99_us',
  'delete_p50_us',
  'delete_p99_us',
  'reopen_ms',
  'space_closed',
  'peak_rss_mib',
  'write_amp',
]

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >>> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

function short(value: number): string {
  if (Number.isNaN(value)) return '-'
  if (value >= 100) return String(Math.round(value))
  return String(Number(value.toFixed(value >= 10 ? 1 : 2)))
}

/** One line a store, and the least and most of the rates beside their medians. */
export function printMetrics(
  what: string,
  runs: ReadonlyMap<string, readonly Metrics[]>,
): Map<string, Metrics> {
  const medians = new Map<string, Metrics>()
  for (const [engine, list] of runs) {
    const names = Object.keys(list[0] ?? {}) as Name[]
    const entries = names.map((name) => [name, median(list.map((m) => m[name]))] as const)
    medians.set(engine, Object.fromEntries(entries) as Metrics)
    const ranges = MORE_IS_BETTER.flatMap((name) => {
      const values = list.map((m) => m[name])
      return [
        `${name}_min=${short(Math.min(...values))}`,
        `${name}_max=${short(Math.max(...values))}`,
      ]
    })
    const words = entries.map(([name, value]) => `${name}=${short(value)}`)
    process.stdout.write(`${what}/${engine} ${[...words, ...ranges].join(' ')}\n`)
  }
  return medians
}

/** Ours against the best peer of each metric, and who that is. Above 1 is better than it, always. */
export function printRatios(what: string, medians: ReadonlyMap<string, Metrics>): void {
  const peers = [...medians].filter(([name]) => !OWN.includes(name))
  if (peers.length === 0) return
  for (const own of OWN) {
    const ours = medians.get(own)
    if (ours === undefined) continue
    const words = COMPARED.map((name) => {
      const more = MORE_IS_BETTER.includes(name)
      const [best, theirs] = peers.reduce((a, b) =>
        (more ? b[1][name] > a[1][name] : b[1][name] < a[1][name]) ? b : a,
      )
      const ratio = more ? ours[name] / theirs[name] : theirs[name] / ours[name]
      return `${name}=${ratio.toFixed(2)}(${best})`
    })
    process.stdout.write(`${what}/ratio/${own} ${words.join(' ')}\n`)
  }
}

const COLUMNS: readonly (readonly [string, (m: Metrics) => string])[] = [
  ['puts/s', (m) => short(m.puts_per_s)],
  ['put batch p50 / p99 / max us', (m) => list(m.batch_p50_us, m.batch_p99_us, m.batch_max_us)],
  ['gets/s', (m) => short(m.gets_per_s)],
  ['get p50 / p99 / max us', (m) => list(m.get_p50_us, m.get_p99_us, m.get_max_us)],
  ['scan entries/s', (m) => short(m.scan_per_s)],
  ['scan entry p50 / p99 us', (m) => list(m.scan_p50_us, m.scan_p99_us)],
  ['deletes/s', (m) => short(m.deletes_per_s)],
  ['delete batch p50 / p99 us', (m) => list(m.delete_p50_us, m.delete_p99_us)],
  ['maintain / shrink ms', (m) => list(m.maintain_ms, m.shrink_ms)],
  ['close / reopen ms', (m) => list(m.close_ms, m.reopen_ms)],
  [
    'MiB after puts / maintained / closed / shrunk',
    (m) => list(m.disk_puts_mib, m.disk_maintained_mib, m.disk_closed_mib, m.disk_shrunk_mib),
  ],
  ['x live bytes maintained / closed', (m) => list(m.space_maintained, m.space_closed)],
  ['shrunk: x live + index', (m) => `${short(m.space_shrunk)} + ${short(m.index_shrunk_mib)} MiB`],
  ['peak MiB putting / in all', (m) => list(m.put_rss_mib, m.peak_rss_mib)],
  ['put CPU s', (m) => short(m.put_cpu_s)],
  ['write amp', (m) => short(m.write_amp)],
]

function list(...values: number[]): string {
  return values.map(short).join(' / ')
}

export function printTable(medians: ReadonlyMap<string, Metrics>, sync: Sync): void {
  const head = ['', ...COLUMNS.map(([title]) => title)]
  const rows = [...medians].map(([name, m]) => [name, ...COLUMNS.map(([, cell]) => cell(m))])
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`
  process.stdout.write(`\n${line(head)}${line(head.map(() => '---'))}${rows.map(line).join('')}\n`)
  for (const { name, settings } of ADAPTERS) {
    if (medians.has(name)) process.stdout.write(`- ${name}: ${settings[sync]}\n`)
  }
}
