/**
 * The checkpoint-kick benchmark: the source document's table for the three policies side by side, with
 * and without the time that is added to each rewrite. Restaging bounds the window to one rewrite;
 * without it the window is all four, one after another as upstream's retry loop runs them, which
 * sleeps 10 ms between attempts. `kicks_ms` leaves those sleeps out.
 *
 * Metrics are medians over the runs, variants alternate, and ratios are taken within one program run.
 * Usage: kick.js [--runs N]
 */
import { flags } from './flags.ts'
import { runKick, type Metrics, type Variant } from './kick-harness.ts'

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

function medians(runs: Metrics[]): Metrics {
  const of = (name: keyof Metrics): number => median(runs.map((r) => r[name]))
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
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

function print(name: string, metrics: Metrics): void {
  const words = (Object.entries(metrics) as [string, number][]).map(
    ([key, value]) => `${key}=${Number(value.toFixed(2)).toString()}`,
  )
  say(`${name} ${words.join(' ')}`)
}

function table(names: readonly string[], measured: ReadonlyMap<string, Metrics>): void {
  const columns: (keyof Metrics)[] = [
    'initial_queue',
    'max_kick_ms',
    'rewrite_calls',
    'remaining_queue',
    'stage_pending',
    'total_window_ms',
    'longest_stall_ms',
    'longest_turn_cpu_ms',
  ]
  say(['variant'.padEnd(24), ...columns.map((column) => column.padStart(19))].join(' '))
  for (const name of names) {
    const metrics = measured.get(name)
    if (metrics === undefined) continue
    const cells = columns.map((c) => Number(metrics[c].toFixed(2)).toString().padStart(19))
    say([name.padEnd(24), ...cells].join(' '))
  }
}

async function measure(runs: number, addedMs: number): Promise<Map<string, Metrics>> {
  const all = new Map(Object.keys(POLICIES).map((name) => [name, [] as Metrics[]]))
  for (let i = 0; i < runs; i++) {
    // Alternating, so that a busy moment of the machine meets all of them.
    for (const [name, policy] of Object.entries(POLICIES)) {
      all.get(name)?.push(await runKick({ ...policy, addedMs }))
    }
  }
  return new Map([...all].map(([name, of]) => [name, medians(of)]))
}

function expectNumbers(measured: ReadonlyMap<string, Metrics>, name: string, want: number[]): void {
  const found = measured.get(name)
  const got = [found?.rewrite_calls, found?.remaining_queue, found?.stage_pending]
  if (JSON.stringify(got) === JSON.stringify(want)) return
  say(`kick/expected ${name} ${want.join(',')} and got ${got.join(',')}`)
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
  expectNumbers(measured, 'a_plus_c', [1, 3, 1])
  expectNumbers(measured, 'restage_off', [4, 0, 0])
  expectNumbers(measured, 'a_only', [4, 0, 0])
  if (addedMs === 0) continue
  if (windows < RATIO_WANTED) {
    say(`kick/expected a window ratio of at least ${RATIO_WANTED}`)
    process.exitCode = 1
  }
  if (stall > STALL_SHARE_MAX) {
    say(`kick/expected a stall of at most ${STALL_SHARE_MAX} of the kick`)
    process.exitCode = 1
  }
}
