/**
 * What recording costs a busy store: overwriting puts with checkpoints, kicks and rewrites, on a store
 * that records and on one that does not. CPU time of the process (user and system, all threads), since
 * wall-clock time belongs to the neighbours, too.
 *
 *   npm run bench:recording -- [puts a round] [rounds]
 *
 * Rounds alternate and swap their order; figures are medians of the ratios of neighbouring rounds.
 */
import { KIB, MIB, bench, fill, median, openStore, print, tempFolder } from './support.ts'

const KEYS = 20_000
const VALUE_BYTES = KIB
/** Small, so that there is more to record than a store with 64 MiB segments would have. */
const SEGMENT_BYTES = 4 * MIB
const CHECKPOINT_EVERY = 10_000

type Store = Awaited<ReturnType<typeof openStore>>

async function open(recording: 'on' | 'off'): Promise<Store> {
  return openStore(tempFolder(`recording-${recording}`), {
    profile: 'wal_on_fast',
    segmentBytes: SEGMENT_BYTES,
    ...(recording === 'off' ? { recording } : {}),
    maintenance: {
      checkpointKickMinIntervalMs: 0,
      rewriteMinIntervalMs: 0,
      confirmDelayMs: 0,
      triggerStaleRatio: 0.2,
    },
  })
}

let version = 0

/** CPU milliseconds. */
async function round(store: Store, puts: number): Promise<number> {
  const before = process.cpuUsage()
  for (let done = 0; done < puts; done += CHECKPOINT_EVERY) {
    const from = (version * 7919) % (KEYS / 2)
    const to = from + Math.min(CHECKPOINT_EVERY, puts - done)
    await fill(store, { from, to, version: ++version, valueBytes: VALUE_BYTES })
    await store.checkpointWithKick()
    await store.maintenance.runPass('rewrite_stage_confirm')
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

async function main(): Promise<void> {
  const puts = Number(process.argv[2] ?? 10_000)
  const rounds = Number(process.argv[3] ?? 61)
  const stores = { on: await open('on'), off: await open('off') }
  for (const store of [stores.off, stores.on]) {
    await fill(store, { from: 0, to: KEYS, version: 0, valueBytes: VALUE_BYTES })
    await round(store, puts)
  }
  const eventsBefore = stores.on.eventSeq
  const cpu: { on: number[]; off: number[] } = { on: [], off: [] }
  for (let i = 0; i < rounds; i++) {
    const order = i % 2 === 0 ? (['on', 'off'] as const) : (['off', 'on'] as const)
    for (const which of order) cpu[which].push(await round(stores[which], puts))
  }
  const recorded = stores.on.gauges().recording
  const cpuSeconds = cpu.on.reduce((sum, ms) => sum + ms, 0) / 1000
  print('recording', {
    rounds,
    puts_a_round: puts,
    on_cpu_ms: median(cpu.on),
    off_cpu_ms: median(cpu.off),
    ratio: median(cpu.on.map((on, i) => on / (cpu.off[i] as number))).toFixed(4),
    best_ratio: (Math.min(...cpu.on) / Math.min(...cpu.off)).toFixed(4),
    events_per_cpu_s: (stores.on.eventSeq - eventsBefore) / cpuSeconds,
    recorded_bytes: recorded?.bytes ?? 0,
    events_lost: recorded?.eventsLost ?? 0,
  })
  await stores.on.close()
  await stores.off.close()
}

await bench(main)
