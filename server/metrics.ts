/**
 * Figures of all stores in OpenMetrics form: base units, counters end in _total, no segment ids in
 * labels. Made anew for every scrape from what the stores say then; what is not known is left out.
 */
import { Counter, Gauge, type Metric, Registry } from 'prom-client'
import { latencyDoublings } from './engine-door.ts'
import type { Feed } from './live/feed.ts'
import type { Connections } from './live/socket.ts'
import type { Counters, FeedCounters, LatencyCounts, StoreInfo } from './protocol.ts'
import type { StoreFigures } from './store/worker-contract.ts'
import type { Stores } from './stores.ts'

export const METRICS_TYPE = Registry.OPENMETRICS_CONTENT_TYPE

type Labels = Record<string, string>
interface LatencyValue {
  metricName: string
  labels: Record<string, string | number>
  value: number
}
type MetricType = Awaited<ReturnType<Metric['get']>>['type']
/** The library's types say a number, its texts are made from the word. */
const HISTOGRAM = 'histogram' as unknown as MetricType

export async function renderMetrics(stores: Stores, connections: Connections): Promise<string> {
  const page = new MetricsPage()
  page.gauge('restage_live_clients', 'Open live sockets.', {}, connections.size)
  const memory = process.memoryUsage()
  page.gauge('process_resident_memory_bytes', 'Resident memory of the process.', {}, memory.rss)
  page.counter('process_cpu_seconds', 'CPU time of the process.', {}, cpuSeconds())
  await Promise.all(
    stores.list().map(async (info) => {
      const labels = { store: info.storeId }
      storeStatus(page, info)
      const feed = stores.feed(info.storeId)
      if (feed !== undefined) feedFigures(page, labels, feed)
      if (info.status !== 'open') return
      try {
        const figures = await stores.client(info.storeId).request('figures', {})
        storeFigures(page, labels, figures)
        if (info.mode === 'hosted') workFigures(page, labels, figures)
      } catch {
        // It failed meanwhile: its figures are not known, which the next scrape says as up = 0.
      }
    }),
  )
  return page.text()
}

function storeStatus(page: MetricsPage, { storeId, mode, status }: StoreInfo): void {
  const up = status === 'open' ? 1 : 0
  page.gauge('restage_store_up', '1 while the store is open.', { store: storeId, mode }, up)
}

function storeFigures(page: MetricsPage, labels: Labels, figures: StoreFigures): void {
  const { segments } = figures
  let total = 0
  let live: number | null = 0
  for (const [name, sums] of Object.entries(segments)) {
    const of = { ...labels, state: name }
    page.gauge('restage_segments', 'Value-log segments.', of, sums.count)
    total += sums.bytesTotal
    if (sums.bytesLive === null) {
      live = null
      continue
    }
    page.gauge('restage_segment_live_bytes', 'Referenced bytes.', of, sums.bytesLive)
    const stale = sums.bytesTotal - sums.bytesLive
    page.gauge('restage_segment_stale_bytes', 'Unreferenced bytes.', of, stale)
    if (live !== null) live += sums.bytesLive
  }
  page.gauge('restage_value_log_bytes', 'All value-log files.', labels, total)
  if (live !== null && live > 0) {
    const ratio = total / live
    page.gauge('restage_space_amplification_ratio', 'Files / live bytes.', labels, ratio)
  }
  const { gauges } = figures
  page.gauge('restage_journal_bytes', 'Commit journal.', labels, gauges.journalBytes)
  page.gauge('restage_index_bytes', 'Index file.', labels, gauges.indexFileBytes)
  debtFigures(page, labels, figures)
}

function debtFigures(page: MetricsPage, labels: Labels, { state, gauges }: StoreFigures): void {
  const { debt, pins, penalties } = state
  page.gauge('restage_rewrite_queue_segments', 'Queued segments.', labels, debt.queue.length)
  const owed = debt.ledger.reduce((sum, entry) => sum + entry.bytesStale, 0)
  // Queue-only debt has no ledger: its bytes are not known.
  if (debt.ledger.length > 0 || debt.queue.length === 0) {
    page.gauge('restage_rewrite_debt_bytes', 'Stale bytes in the ledger.', labels, owed)
  }
  page.gauge(
    'restage_stage_pending',
    '1 while debt is staged.',
    labels,
    debt.stage === null ? 0 : 1,
  )
  const active = penalties.filter((penalty) => penalty.cooldownUntilMs > gauges.nowMs).length
  page.gauge('restage_penalties_active', 'Segments in cooldown.', labels, active)
  page.gauge('restage_pins', 'Snapshots and iterators held.', labels, pins.length)
}

/** Counters of maintenance: [metric without _total, help, counter, divided by]. */
const WORK: [name: string, help: string, of: keyof Counters, divisor?: number][] = [
  ['restage_passes', 'Maintenance passes.', 'passes'],
  ['restage_pass_collisions', 'Passes that found the slot taken.', 'passCollisions'],
  ['restage_checkpoint_kicks', 'Checkpoint kicks.', 'checkpointKicks'],
  ['restage_checkpoint_kick_rewrite_runs', 'Kicks with a rewrite.', 'checkpointKickRewriteRuns'],
  ['restage_checkpoint_kick_gc_runs', 'Kicks with a GC run.', 'checkpointKickGcRuns'],
  ['restage_checkpoint_kick_skips', 'Kicks refused by their gates.', 'checkpointKickSkips'],
  ['restage_plan_runs', 'Plans.', 'planRuns'],
  ['restage_plan_canceled', 'Plans that were cancelled.', 'planCanceled'],
  ['restage_plan_errors', 'Plans that failed.', 'planErrors'],
  ['restage_plan_empty', 'Plans that selected nothing.', 'planEmpty'],
  ['restage_plan_selected', 'Plans that selected something.', 'planSelected'],
  ['restage_plan_selected_segments', 'Segments selected by plans.', 'planSelectedSegments'],
  ['restage_plan_duration_seconds', 'Time in plans.', 'planElapsedMs', 1000],
  ['restage_queue_prune_runs', 'Prunes of the queue.', 'queuePruneRuns'],
  ['restage_queue_pruned_segments', 'Segments pruned from the queue.', 'queuePrunedIds'],
  ['restage_rewrite_runs', 'Rewrites.', 'rewriteRuns'],
  ['restage_rewrite_canceled_runs', 'Cancelled rewrites.', 'rewriteCanceledRuns'],
  ['restage_rewrite_failed_runs', 'Failed rewrites and plans.', 'rewriteFailedRuns'],
  ['restage_rewrite_ineffective_runs', 'Rewrites that did not pay.', 'rewriteIneffectiveRuns'],
  ['restage_rewrite_no_reclaim_runs', 'Rewrites that freed no file.', 'rewriteNoReclaimRuns'],
  ['restage_rewrite_duration_seconds', 'Time in rewrites.', 'rewriteElapsedMs', 1000],
  ['restage_rewrite_read_bytes', 'Record bytes read.', 'rewriteBytesRead'],
  ['restage_rewrite_written_bytes', 'Record bytes written.', 'rewriteBytesWritten'],
  ['restage_rewrite_live_bytes', 'Live bytes of processed sources.', 'rewriteBytesIn'],
  [
    'restage_rewrite_reclaimed_bytes',
    'Bytes by which rewrites made the log smaller.',
    'rewriteReclaimedBytes',
  ],
  ['restage_rewrite_records_copied', 'Records copied.', 'rewriteRecordsCopied'],
  ['restage_rewrite_budget_consumed_bytes', 'Write budget used.', 'budgetConsumedBytes'],
  ['restage_gc_runs', 'GC runs.', 'gcRuns'],
  ['restage_gc_duration_seconds', 'Time in GC runs.', 'gcElapsedMs', 1000],
  ['restage_gc_deleted_segments', 'Deleted segments.', 'gcDeletedSegments'],
  ['restage_gc_deleted_bytes', 'Bytes of deleted segments.', 'gcDeletedBytes'],
  ['restage_vacuum_runs', 'Vacuums of the index.', 'vacuumRuns'],
  ['restage_vacuum_failures', 'Failed vacuums.', 'vacuumFailures'],
  ['restage_vacuum_duration_seconds', 'Time in vacuums.', 'vacuumElapsedMs', 1000],
  ['restage_checkpoints', 'Checkpoints.', 'checkpoints'],
]

/** What only a running engine counts: of a folder that is read it is not known, and so left out. */
function workFigures(
  page: MetricsPage,
  labels: Labels,
  { state, gauges, passes, latency }: StoreFigures,
): void {
  for (const [name, help, of, divisor = 1] of WORK) {
    page.counter(name, help, labels, state.counters[of] / divisor)
  }
  page.counter('restage_puts', 'Foreground puts.', labels, gauges.puts)
  page.counter('restage_deletes', 'Foreground deletes.', labels, gauges.deletes)
  page.counter('restage_gets', 'Foreground gets.', labels, gauges.gets)
  page.counter('restage_put_bytes', 'Key and value bytes put.', labels, gauges.bytesPut)
  page.gauge(
    'restage_memtable_bytes',
    'Bytes waiting for a checkpoint.',
    labels,
    gauges.memtableBytes,
  )
  if (latency !== null) {
    const put = 'Foreground writes, from the call to the acknowledgement.'
    page.latency('restage_put_latency_seconds', put, labels, latency.put)
    const get = 'Foreground gets, one in sixteen.'
    page.latency('restage_get_latency_seconds', get, labels, latency.get)
  }
  schedulerFigures(page, labels, state.scheduler, gauges.nowMs)
  for (const pass of passes) {
    const of = { ...labels, source: pass.source, outcome: pass.outcome }
    page.counter('restage_passes_by_outcome', 'Passes by source and outcome.', of, pass.count)
    page.counter('restage_pass_duration_seconds', 'Time in passes.', of, pass.elapsedMs / 1000)
    page.counter(
      'restage_pass_reclaimed_bytes',
      'Bytes deleted by passes.',
      of,
      pass.bytesReclaimed,
    )
    page.counter('restage_pass_copied_bytes', 'Bytes copied by passes.', of, pass.bytesCopied)
  }
}

function schedulerFigures(
  page: MetricsPage,
  labels: Labels,
  { budget, ageBlockedUntilMs, churnBytesPerSecond }: StoreFigures['state']['scheduler'],
  nowMs: number,
): void {
  if (budget !== null) {
    const help = 'Write budget at hand.'
    page.gauge('restage_rewrite_budget_tokens_bytes', help, labels, budget.tokensBytes)
  }
  if (churnBytesPerSecond !== null) {
    const help = 'Foreground bytes a second between passes.'
    page.gauge('restage_churn_bytes_per_second', help, labels, churnBytesPerSecond)
  }
  const remainingMs = ageBlockedUntilMs === null ? 0 : Math.max(0, ageBlockedUntilMs - nowMs)
  page.gauge(
    'restage_age_blocked_remaining_seconds',
    'Until the retry for candidates that were too young.',
    labels,
    remainingMs / 1000,
  )
}

const FEED_HELP: Record<keyof FeedCounters, [name: string, help: string]> = {
  events: ['events', 'Events of the store.'],
  batches: ['batches', 'Batches from the store.'],
  framesSerialised: ['frames_serialised', 'Distinct frames made.'],
  framesSent: ['frames_sent', 'Frames given to clients.'],
  bytesSent: ['sent_bytes', 'Bytes given to clients.'],
  snapshotsSent: ['snapshots_sent', 'Snapshots given to clients.'],
  resumesSent: ['resumes_sent', 'Clients resumed where they were.'],
  slowClients: ['slow_clients', 'Moves to snapshot mode.'],
  clientsCutOff: ['clients_cut_off', 'Clients cut off for being slow.'],
  eventsMissed: ['events_missed', 'Events left out for slow clients.'],
}

function feedFigures(page: MetricsPage, labels: Labels, feed: Feed): void {
  for (const key of Object.keys(FEED_HELP) as (keyof FeedCounters)[]) {
    const [name, help] = FEED_HELP[key]
    page.counter(`restage_feed_${name}`, help, labels, feed.counters[key])
  }
  const held = feed.newestSeq - feed.oldestSeq + 1
  page.gauge('restage_feed_held_events', 'Events that can be resumed.', labels, held)
  page.gauge('restage_feed_clients', 'Clients that follow the store.', labels, feed.clients)
}

/** One text with every metric once, however many stores have it. */
class MetricsPage {
  readonly #registry = new Registry<typeof METRICS_TYPE>()
  readonly #gauges = new Map<string, Gauge>()
  readonly #counters = new Map<string, Counter>()
  readonly #latencies = new Map<string, LatencyValue[]>()

  constructor() {
    this.#registry.setContentType(METRICS_TYPE)
  }

  gauge(name: string, help: string, labels: Labels, value: number): void {
    let gauge = this.#gauges.get(name)
    if (gauge === undefined) {
      const labelNames = Object.keys(labels)
      gauge = new Gauge({ name, help, labelNames, registers: [this.#registry] })
      this.#gauges.set(name, gauge)
    }
    gauge.set(labels, value)
  }

  /** `name` without _total, which the form of the page adds. */
  counter(name: string, help: string, labels: Labels, value: number): void {
    let counter = this.#counters.get(name)
    if (counter === undefined) {
      const labelNames = Object.keys(labels)
      counter = new Counter({ name, help, labelNames, registers: [this.#registry] })
      this.#counters.set(name, counter)
    }
    counter.inc(labels, value)
  }

  /** Counted already, so nothing is observed: the page says what the store counted. */
  latency(name: string, help: string, labels: Labels, counts: LatencyCounts): void {
    const values = this.#latencies.get(name) ?? []
    if (!this.#latencies.has(name)) {
      this.#latencies.set(name, values)
      // The library's histogram only counts by itself; this one hands over what was counted.
      const carrier = new Gauge({ name, help, registers: [this.#registry] })
      const get = carrier.get.bind(carrier)
      carrier.get = async () => ({ ...(await get()), type: HISTOGRAM, values })
    }
    for (const { upToMs, count } of latencyDoublings(counts)) {
      const le = upToMs / 1000
      values.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: count })
    }
    const { count, sumMs } = counts
    values.push(
      { metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, value: count },
      { metricName: `${name}_sum`, labels, value: sumMs / 1000 },
      { metricName: `${name}_count`, labels, value: count },
    )
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
