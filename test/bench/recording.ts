/**
 * What recording costs a busy store: overwriting puts with checkpoints, kicks and rewrites, on a store
 * that records and on two that do not. CPU time of the process (user and system, all threads), since
 * wall-clock time belongs to the neighbours, too.
 *
 *   npm run bench:recording -- [--puts N a round] [--rounds N]
 *
 * Rounds alternate and swap their order. Three figures, because a single round is as noisy as the machine:
 *
 *   ratio    CPU of a round with recording over the neighbouring one without: median, quartiles, and
 *            between which figures the median of endless rounds would lie, with 95 % confidence
 *   control  the same of the two stores that do not record: what the noise alone makes of it
 *   share    of the main thread's samples in rounds of its own, those with the recorder on the stack,
 *            and of the collector's samples as much as the recorder's share of what was allocated
 */
import { Session, type HeapProfiler, type Profiler } from 'node:inspector/promises'
import { flags } from './flags.ts'
import { KIB, MIB, bench, fill, median, openStore, print, quantile, tempFolder } from './support.ts'

const KEYS = 20_000
const VALUE_BYTES = KIB
/** Small, so that there is more to record than a store with 64 MiB segments would have. */
const SEGMENT_BYTES = 4 * MIB
const CHECKPOINT_EVERY = 10_000
const SAMPLE_EVERY_US = 100

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

/** A store and how often its keys were overwritten: each does the same in its n-th round. */
interface Contender {
  store: Store
  version: number
}

/** CPU milliseconds. */
async function round(contender: Contender, puts: number): Promise<number> {
  const { store } = contender
  const before = process.cpuUsage()
  for (let done = 0; done < puts; done += CHECKPOINT_EVERY) {
    const from = (contender.version * 7919) % (KEYS / 2)
    const to = from + Math.min(CHECKPOINT_EVERY, puts - done)
    await fill(store, { from, to, version: ++contender.version, valueBytes: VALUE_BYTES })
    await store.checkpointWithKick()
    await store.maintenance.runPass('rewrite_stage_confirm')
  }
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

/** What tells the foreground's latency is there for the recording, too. */
const isRecorder = ({ url }: { url: string }): boolean =>
  url.includes('/engine/recording/') || url.includes('/engine/foreground-latency.js')

/** Shares of the samples outside of idling: a function of the recorder on the stack, and the collector. */
function cpuShares({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): {
  recorder: number
  collector: number
} {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const own = new Map<number, number>()
  samples.forEach((id, i) => own.set(id, (own.get(id) ?? 0) + (timeDeltas[i] ?? 0)))
  let busy = 0
  let recorder = 0
  let collector = 0
  const walk = (node: Profiler.ProfileNode, inside: boolean): void => {
    const { functionName } = node.callFrame
    const isInside = inside || isRecorder(node.callFrame)
    const us = functionName === '(idle)' ? 0 : (own.get(node.id) ?? 0)
    busy += us
    if (isInside) recorder += us
    if (functionName === '(garbage collector)') collector += us
    for (const id of node.children ?? []) {
      const child = byId.get(id)
      if (child !== undefined) walk(child, isInside)
    }
  }
  const [root] = nodes
  if (root !== undefined) walk(root, false)
  return { recorder: recorder / busy, collector: collector / busy }
}

/** The recorder's share of the bytes that were allocated, collected ones included. */
function allocationShare({ head }: HeapProfiler.SamplingHeapProfile): number {
  let all = 0
  let recorder = 0
  const walk = (node: HeapProfiler.SamplingHeapProfileNode, inside: boolean): void => {
    const isInside = inside || isRecorder(node.callFrame)
    all += node.selfSize
    if (isInside) recorder += node.selfSize
    for (const child of node.children) walk(child, isInside)
  }
  walk(head, false)
  return recorder / all
}

async function allocated(work: () => Promise<void>): Promise<HeapProfiler.SamplingHeapProfile> {
  const session = new Session()
  session.connect()
  await session.post('HeapProfiler.startSampling', {
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  })
  await work()
  const { profile } = await session.post('HeapProfiler.stopSampling')
  session.disconnect()
  return profile
}

async function profiled(work: () => Promise<void>): Promise<Profiler.Profile> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_EVERY_US })
  await session.post('Profiler.start')
  await work()
  const { profile } = await session.post('Profiler.stop')
  session.disconnect()
  return profile
}

/**
 * Where the median of what was sampled lies with 95 % confidence, whatever the distribution: how many of
 * the samples are above it is a count of coin tosses.
 */
function bounds(samples: readonly number[]): { least: number; most: number } {
  const sorted = samples.toSorted((a, b) => a - b)
  const at = Math.max(0, Math.floor(samples.length / 2 - 0.98 * Math.sqrt(samples.length)))
  return { least: sorted[at] ?? NaN, most: sorted[sorted.length - 1 - at] ?? NaN }
}

async function main(): Promise<void> {
  const { puts, rounds } = flags({ puts: 10_000, rounds: 151 })
  const contenders = {
    on: { store: await open('on'), version: 0 },
    off: { store: await open('off'), version: 0 },
    control: { store: await open('off'), version: 0 },
  }
  for (const contender of Object.values(contenders)) {
    await fill(contender.store, { from: 0, to: KEYS, version: 0, valueBytes: VALUE_BYTES })
    for (let warm = 0; warm < 5; warm++) await round(contender, puts)
  }
  const eventsBefore = contenders.on.store.eventSeq
  const cpu: Record<keyof typeof contenders, number[]> = { on: [], off: [], control: [] }
  const order = ['on', 'off', 'control'] as const
  for (let i = 0; i < rounds; i++) {
    const turned = [...order.slice(i % 3), ...order.slice(0, i % 3)]
    for (const which of i % 2 === 0 ? turned : turned.toReversed()) {
      cpu[which].push(await round(contenders[which], puts))
    }
  }
  const events = (contenders.on.store.eventSeq - eventsBefore) / rounds
  const recorded = contenders.on.store.gauges().recording
  const some = async (): Promise<void> => {
    for (let i = 0; i < rounds / 3; i++) await round(contenders.on, puts)
  }
  const shares = cpuShares(await profiled(some))
  const ofGarbage = allocationShare(await allocated(some))
  const ratios = cpu.on.map((on, i) => on / (cpu.off[i] as number))
  const controls = cpu.control.map((control, i) => control / (cpu.off[i] as number))
  print('recording', {
    rounds,
    puts_a_round: puts,
    on_cpu_ms: median(cpu.on),
    off_cpu_ms: median(cpu.off),
    ratio: median(ratios).toFixed(4),
    ratio_q1: quantile(ratios, 0.25).toFixed(4),
    ratio_q3: quantile(ratios, 0.75).toFixed(4),
    ratio_at_least: bounds(ratios).least.toFixed(4),
    ratio_at_most: bounds(ratios).most.toFixed(4),
    control: median(controls).toFixed(4),
    control_q1: quantile(controls, 0.25).toFixed(4),
    control_q3: quantile(controls, 0.75).toFixed(4),
    control_at_least: bounds(controls).least.toFixed(4),
    control_at_most: bounds(controls).most.toFixed(4),
    share_stack: shares.recorder.toFixed(4),
    share_collector: shares.collector.toFixed(4),
    share_of_allocations: ofGarbage.toFixed(4),
    share: (shares.recorder + shares.collector * ofGarbage).toFixed(4),
    events_a_round: events,
    recorded_bytes: recorded?.bytes ?? 0,
    events_lost: recorded?.eventsLost ?? 0,
  })
  for (const { store } of Object.values(contenders)) await store.close()
}

await bench(main)
