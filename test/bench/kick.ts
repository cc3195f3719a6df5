/**
 * The checkpoint-kick benchmark: the source document's table for the three policies side by side, with
 * and without the time that is added to each rewrite. Restaging bounds the window to one rewrite;
 * without it the window is all four, one after another as upstream's retry loop runs them, which
 * sleeps 10 ms between attempts. `kicks_ms` leaves those sleeps out.
 *
 * Each run is made twice: with the store to itself, which gives all figures but the last ones, and again with
 * puts and gets one after another, which give `longest_put_ms` and `longest_get_ms`, from call to answer: a
 * put that waits for a lock leaves the thread free, so that no stall of it would show. Both must come to the
 * same counts.
 *
 * Metrics are medians over the runs, variants alternate, and ratios are taken within one program run.
 * Usage: kick.js [--runs N]
 */
import { flags } from './flags.ts'
import {
  runKick,
  runKickUnderPuts,
  type Foreground,
  type Metrics,
  type Variant,
} from './kick-harness.ts'

const ADDED_MS = 25
/** What bounding the window to one rewrite of four must gain. */
const RATIO_WANTED = 4.4
/** The longest time a foreground task may wait, as a share of the kick. */
const STALL_SHARE_MAX = 0.1

const POLICIES: Record<string, Omit<Variant, 'addedMs'>> = {
  a_plus_c: { policy: 'a_plus_c', restage: 'on' },
  a_only: { policy: 'a_only', restage: 'on' },
  queue_runner: { policy: 'queue_runner', restage: 'on' },
  restage_off: { policy: 'a_plus_c', restage: 'off' },
}

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

type Row = Metrics & Omit<Foreground, 'puts'>

interface Measured {
  name: string
  alone: Metrics[]
  underPuts: (Metrics & Foreground)[]
}

function medians({ alone, underPuts }: Measured): Row {
  const of = (name: keyof Metrics): number => median(alone.map((r) => r[name]))
  return {
    initial_queue: of('initial_queue'),
    rewrite_calls: of('rewrite_calls'),
    remaining_queue: of('remaining_queue'),
    stage_pending: of('stage_pending'),
    max_kick_ms: of('max_kick_ms'),
    kicks_ms: of('kicks_ms'),
    total_window_ms: of('total_window_ms'),
    longest_stall_ms: of('longest_stall_ms'),
    longest_turn_cpu_ms: of('longest_turn_cpu_ms'),
    longest_put_ms: median(underPuts.map((r) => r.longest_put_ms)),
    longest_get_ms: median(underPuts.map((r) => r.longest_get_ms)),
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function print(name: string, metrics: Row): void {
  const words = (Object.entries(metrics) as [string, number][]).map(
    ([key, value]) => `${key}=${Number(value.toFixed(2)).toString()}`,
  )
  say(`${name} ${words.join(' ')}`)
}

function table(names: readonly string[], measured: ReadonlyMap<string, Row>): void {
  const columns: (keyof Row)[] = [
    'initial_queue',
    'max_kick_ms',
    'rewrite_calls',
    'remaining_queue',
    'stage_pending',
    'total_window_ms',
    'longest_stall_ms',
    'longest_turn_cpu_ms',
    'longest_put_ms',
    'longest_get_ms',
  ]
  say(['variant'.padEnd(24), ...columns.map((column) => column.padStart(19))].join(' '))
  for (const name of names) {
    const metrics = measured.get(name)
    if (metrics === undefined) continue
    const cells = columns.map((c) => Number(metrics[c].toFixed(2)).toString().padStart(19))
    say([name.padEnd(24), ...cells].join(' '))
  }
}

async function measure(runs: number, addedMs: number): Promise<Map<string, Row>> {
  const all = Object.keys(POLICIES).map((name): Measured => ({ name, alone: [], underPuts: [] }))
  for (let i = 0; i < runs; i++) {
    // Alternating, so that a busy moment of the machine meets all of them.
    for (const { name, alone, underPuts } of all) {
      const variant = { ...POLICIES[name], addedMs } as Variant
      alone.push(await runKick(variant))
      underPuts.push(await runKickUnderPuts(variant))
    }
  }
  for (const { name, alone, underPuts } of all) {
    for (const run of [...alone, ...underPuts]) expectNumbers(name, run)
  }
  return new Map(all.map((of) => [of.name, medians(of)]))
}

/** Of rewrite_calls, remaining_queue and stage_pending, in every run. */
const EXPECTED: Record<string, string> = { a_plus_c: '1,3,1' }

function expectNumbers(name: string, run: Metrics): void {
  const want = EXPECTED[name] ?? '4,0,0'
  const got = [run.rewrite_calls, run.remaining_queue, run.stage_pending].join(',')
  if (got === want) return
  say(`kick/expected ${name} ${want} and got ${got}`)
  process.exitCode = 1
}

const { runs } = flags({ runs: 5 })
// The first runs of a process measure its compiler.
for (const policy of Object.values(POLICIES)) await runKick({ ...policy, addedMs: ADDED_MS })
for (const addedMs of [ADDED_MS, 0]) {
  const measured = await measure(runs, addedMs)
  const suffix = addedMs === 0 ? '/nothing_added' : ''
  for (const [name, metrics] of measured) print(`kick/${name}${suffix}`, metrics)
  say(`\n${addedMs} ms added to each rewrite, medians of ${runs} runs:`)
  table(Object.keys(POLICIES), measured)
  say('')
  const [on, off] = [measured.get('a_plus_c'), measured.get('restage_off')]
  if (on === undefined || off === undefined) throw new Error('both were measured')
  const windows = off.total_window_ms / on.total_window_ms
  const kicks = off.kicks_ms / on.kicks_ms
  const stall = on.longest_stall_ms / on.max_kick_ms
  // Beside it, to tell a machine that is busy with other things: wall time may be theirs, this is ours.
  const turnCpu = on.longest_turn_cpu_ms / on.max_kick_ms
  say(
    `kick/ratio${suffix} total_window_off_over_on=${windows.toFixed(2)} kicks_off_over_on=${kicks.toFixed(2)} stall_over_kick=${stall.toFixed(3)} turn_cpu_over_kick=${turnCpu.toFixed(3)} runs=${runs}`,
  )
  if (addedMs > 0 && windows < RATIO_WANTED) {
    say(`kick/expected a window ratio of at least ${RATIO_WANTED}`)
    process.exitCode = 1
  }
  if (stall > STALL_SHARE_MAX) {
    say(`kick/expected a stall of at most ${STALL_SHARE_MAX} of the kick`)
    process.exitCode = 1
  }
}
