/** Upstream's statistics: every key of its list is here with a real value, or absent with a reason. */
import { describe, expect, test } from 'vitest'
import {
  ABSENT_STATS,
  folderStatsOf,
  STAT_FORMS,
  statsOf,
  type StatsInput,
} from '../../engine/stats.ts'
import type { Counters, SegmentInfo } from '../../engine/types.ts'
import {
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { NOW, makeGauges, makeSegment, makeState, options, segmentId } from '../web/fixtures.ts'

const temperatures = (of: string): string[] =>
  ['total', 'hot', 'warm', 'cold'].map((t) => `${of}.${t}`)

/** scheduler.md 5, in its order; then what was added later. */
const KEYS = [
  ...['policy', 'enabled', 'scheduler_state', 'scheduler_last_reason'],
  ...['active', 'pending', 'last_unix_nano', 'runs', 'rewrite_runs', 'gc_runs'].map(
    (name) => `checkpoint_kick.${name}`,
  ),
  ...['churn_bytes_total', 'churn_bytes_per_sec', 'rewrite.queue_len', 'rewrite.queue_loaded'],
  ...['hot', 'warm', 'cold'].map((name) => `${name}.segment_target_bytes`),
  ...['bytes_per_sec', 'records_per_sec'].map((name) => `rewrite_budget.${name}`),
  ...['stale_ratio_ppm', 'total_bytes', 'churn_per_sec'].map((name) => `rewrite_trigger.${name}`),
  ...['bytes.live', 'bytes.stale', 'bytes.total', 'segments'].flatMap(temperatures),
  ...[
    'bytes_in',
    'bytes_out',
    'runs',
    'plan_runs',
    'plan_canceled',
    'plan_canceled_last_unix_nano',
    'plan_errors',
    'plan_empty',
    'plan_selected',
    'plan_last_unix_nano',
    'canceled_runs',
    'canceled_last_unix_nano',
    'queue_prune_runs',
    'queue_prune_ids',
    'ineffective_runs',
    'ineffective_bytes_in',
    'ineffective_bytes_out',
    'ineffective_last_unix_nano',
    'ineffective_backoff_seconds',
    'last_unix_nano',
  ].map((name) => `rewrite.${name}`),
  ...['deleted_segments', 'deleted_bytes', 'runs', 'last_unix_nano'].map((name) => `gc.${name}`),
  ...['last_unix_nano', 'last_eligible_bytes', 'last_eligible_segments'].map(
    (name) => `gc.dry_run.${name}`,
  ),
  ...['runs', 'failures', 'last_unix_nano'].map((name) => `vacuum.${name}`),
  ...['remap.successes', 'remap.failures'],
  // Later.
  ...['maintenance_phase', 'maintenance.attempts', 'maintenance.acquired'],
  ...['maintenance.collisions', 'maintenance.pass.total_ms', 'maintenance.pass.max_ms'],
  ...['maintenance.pass.avg_ms', 'maintenance.skip.stage_gate_not_due'],
  'maintenance.skip.stage_gate_due_reserved',
  ...['maintenance_phase', 'pause_file'].map((name) => `maintenance.skip.${name}`),
  ...['configured', 'paused'].map((name) => `maintenance.pause_file.${name}`),
  ...['rewrite.plan', 'rewrite.exec', 'gc.exec', 'vacuum.exec'].flatMap((name) => [
    `${name}.total_ms`,
    `${name}.avg_ms`,
  ]),
  ...['segments', 'bytes_total', 'bytes_live', 'bytes_stale', 'stale_ratio_ppm'].map(
    (name) => `rewrite.ledger_${name}`,
  ),
  ...['stage_pending', 'stage_observed_unix_nano', 'penalties_active'].map((n) => `rewrite.${n}`),
  'rewrite.age_blocked_remaining_ms',
  ...['tokens_bytes', 'tokens_cap_bytes', 'tokens_utilization_pct', 'consumed_bytes_total'].map(
    (name) => `rewrite_budget.${name}`,
  ),
  ...['rewrite.plan_selected_segments_total', 'rewrite.exec.source_segments_total'],
  ...['source_segments', 'source_bytes'].flatMap((what) =>
    ['requested', 'still_referenced', 'unreferenced'].flatMap((state) =>
      ['total', 'last'].map((when) => `rewrite.exec.${what}_${state}_${when}`),
    ),
  ),
  ...['processed_live_bytes', 'processed_stale_bytes', 'reclaim_ratio', 'output_ratio'].map(
    (name) => `rewrite.${name}`,
  ),
  'rewrite.processed_stale_ratio',
  ...[
    'bytes_in_per_sec',
    'bytes_out_per_sec',
    'reclaimed_bytes_per_sec',
    'reclaimed_vs_churn_ratio',
    'last_live_bytes',
    'last_bytes_out',
    'last_duration_ms',
    'last_unix_nano',
  ].map((name) => `rewrite.exec.${name}`),
  ...['rewrite.no_reclaim_runs', 'rewrite.no_reclaim_stale_bytes'],
  ...['known', 'ids_present', 'ids_known', 'coverage_pct', 'bytes'].map(
    (name) => `rewrite.queue_live_hint.${name}`,
  ),
  'rewrite.queue_run_segment_cap.per_segment_budget_bytes',
  ...['observed_gc.runs', 'leaf_pack.last_skip_reason', 'leaf.segment_target_bytes'],
].map((name) => `treedb.cache.vlog_generation.${name}`)

const RELATED = [
  'treedb.cache.vlog_retained_segments',
  'treedb.cache.vlog_retained_bytes_estimate',
  'treedb.process.memory.vlog_retained_bytes_estimate',
  'treedb.cache.queue_backlog_bytes',
  'treedb.cache.auto_checkpoint.count',
  'treedb.cache.auto_checkpoint.last_reason',
  'treedb.cache.auto_checkpoint.last_duration_ms',
  'treedb.cache.checkpoint.cutover_wait_ms',
  ...[
    ...['last_status', 'last_mode', 'last_force', 'no_candidate_runs', 'completed_runs'],
    ...['full_live_id_scan_runs', 'observed_source_fast_path_runs', 'foreground_abort_runs'],
    ...['budget_abort_runs', 'close_abort_runs', 'removed_segments', 'zombie_marked_segments'],
    ...['last_scan.records', 'scan.records_total', 'membership.last_gc_calls'],
  ].map((name) => `treedb.cache.vlog_retained_prune.${name}`),
  'treedb.cache.wal_bytes_estimate',
  'treedb.vlog.mmap_remaps',
  'treedb.vlog.mmap_dead_mappings',
  'treedb.vlog.mmap_read.fallback_readat',
  'treedb.vlog.mmap_read.miss_dead_mapping_cap',
  'treedb.vlog.mmap_current_writable_map_target_bytes',
  ...['hits', 'misses', 'entries', 'bytes'].map((of) => `treedb.vlog.grouped_frame_cache.${of}`),
  'treedb.vlog.template_def_cache.hits',
]

/** Why a key is not there; undefined: nobody says. */
function reasonOf(wanted: string): string | undefined {
  for (const [pattern, reason] of Object.entries(ABSENT_STATS)) {
    const source = pattern
      .replaceAll('.', '\\.')
      .replaceAll('*', '.+')
      .replace(/\{([^}]+)\}/, (_, names: string) => `(${names.replaceAll(',', '|')})`)
    if (new RegExp(`^${source}$`).test(wanted)) return reason
  }
  return undefined
}

const QUIET: StatsInput = {
  state: makeState(),
  gauges: makeGauges(),
  options,
  segmentBytes: null,
}

/** Everything happened, each counter another number. */
function busy(): StatsInput {
  const state = makeState()
  const counters = Object.fromEntries(
    Object.keys(state.counters).map((name, i) => [name, i + 2]),
  ) as unknown as Counters
  const [hot, warm]: SegmentInfo[] = [
    makeSegment(1, { bytesTotal: 100, bytesLive: 60 }),
    makeSegment(2, { bytesTotal: 50, bytesLive: 20, origin: 'rewrite' }),
  ] as [SegmentInfo, SegmentInfo]
  const at = (n: number): number => NOW - 1000 * n
  return {
    state: {
      ...state,
      segments: [hot, warm] as SegmentInfo[],
      // One id is not there any more.
      debt: {
        queue: [segmentId(1), segmentId(9)],
        ledger: [
          {
            segmentId: segmentId(1),
            bytesTotal: 100,
            bytesLive: 60,
            bytesStale: 40,
            staleRatio: 0.4,
          },
        ],
        stage: { observedAtMs: at(1), dueAtMs: at(-29), minStaleRatio: 0.2 },
      },
      penalties: [
        {
          segmentId: segmentId(4),
          attempts: 1,
          cooldownUntilMs: at(-60),
          lastGrowthBytes: 1,
          lastStaleBytes: 1,
        },
      ],
      counters,
      checkpoint: { commitSeq: 3, atMs: at(2), elapsedMs: 12.5, reason: 'interval' },
      scheduler: {
        ...state.scheduler,
        state: 'running',
        phase: 'catch_up',
        pauseFile: { file: '/run/pause', present: true, reason: null },
        lastReason: 'stale_ratio',
        activePass: { passId: 3, source: 'checkpoint_pending', startedAtMs: at(0) },
        checkpointKickPending: true,
        lastCheckpointKickAtMs: at(3),
        lastPlanAtMs: at(4),
        lastRewriteAtMs: at(5),
        lastGcAtMs: at(6),
        lastVacuumAtMs: at(7),
        lastPlanCanceledAtMs: at(8),
        lastRewriteCanceledAtMs: at(9),
        lastIneffectiveAtMs: at(10),
        ageBlockedUntilMs: at(-4),
        churnBytesPerSecond: 77,
        budget: { bytesPerSecond: 128, tokensBytes: 32, capBytes: 64, accruedAtMs: at(1) },
        lastGcDryRun: { atMs: at(11), eligibleBytes: 5, eligibleSegments: 1 },
        lastRewrite: {
          atMs: at(12),
          elapsedMs: 40,
          sourceSegments: 1,
          sourceSegmentsStillReferenced: 0,
          sourceSegmentsUnreferenced: 1,
          sourceBytes: 100,
          sourceBytesStillReferenced: 3,
          sourceBytesUnreferenced: 97,
          liveBytes: 60,
          bytesWritten: 61,
          reclaimedBytes: 97,
        },
      },
    },
    gauges: makeGauges({
      bytesPut: 900,
      passesNotMade: 6,
      memtableBytes: 40,
      retainedPrune: {
        lastStatus: 'completed',
        noCandidateRuns: 4,
        completedRuns: 3,
        closeAbortRuns: 1,
        removedSegments: 5,
      },
      valueLog: { records: 8, frameHits: 3, frameMisses: 2, framesCached: 1, frameBytesCached: 9 },
    }),
    options: {
      ...options,
      disableRewrite: true,
      disableGc: true,
      rewriteBudgetBytesPerSec: options.rewriteBudgetBytesPerSec + 128,
      triggerStaleRatio: 0.3,
      triggerTotalBytes: 4096,
      triggerChurnBytesPerSec: options.triggerChurnBytesPerSec + 1,
      ineffectiveBackoffMs: 1000,
    },
    segmentBytes: 4096,
  }
}

/** True since opening, by M6. */
const CONSTANT = ['treedb.cache.vlog_generation.rewrite.queue_loaded']

describe('statistics', () => {
  const quiet = statsOf(QUIET)
  const moved = statsOf(busy())

  test.each([...KEYS, ...RELATED])('%s', (name) => {
    const reason = reasonOf(name)
    if (reason !== undefined) {
      expect(moved[name]).toBeUndefined()
      expect(reason.length).toBeGreaterThan(20)
      return
    }
    expect(moved[name]).toBeDefined()
    expect(moved[name]).not.toMatch(/NaN|undefined|null|Infinity|\[object/)
    if (!CONSTANT.includes(name)) expect(moved[name]).not.toBe(quiet[name])
  })

  test('no reason is given for a key that has a value', () => {
    for (const name of Object.keys(moved)) expect(reasonOf(name), name).toBeUndefined()
  })

  test('every key has a form, and every form a key', () => {
    expect(Object.keys(moved).toSorted()).toEqual([...STAT_FORMS.keys()].toSorted())
  })

  test('who wrote a segment is told of all or of none, so that the kinds add up', () => {
    const state = busy().state
    const segments = [makeSegment(1), makeSegment(2, { origin: 'unknown' })]
    const stats = statsOf({ ...busy(), state: { ...state, segments } })
    expect(stats['treedb.cache.vlog_generation.segments.total']).toBe('2')
    expect(stats).not.toHaveProperty(['treedb.cache.vlog_generation.segments.hot'])
  })

  test('of a folder that is only read are a part of an engine’s, with the same values', () => {
    const folder = folderStatsOf(busy().state, busy().gauges.nowMs)
    expect(Object.keys(folder).length).toBeGreaterThan(25)
    for (const [key, value] of Object.entries(folder))
      expect([key, value]).toEqual([key, moved[key]])
  })

  test('what is not known is absent', () => {
    for (const name of [
      'checkpoint_kick.last_unix_nano',
      'rewrite.reclaim_ratio',
      'rewrite.exec.avg_ms',
      'rewrite.stage_observed_unix_nano',
      'hot.segment_target_bytes',
    ]) {
      expect(quiet).not.toHaveProperty([`treedb.cache.vlog_generation.${name}`])
    }
  })

  test('formats are upstream’s: decimals, and nanoseconds that a number could not hold', () => {
    const of = (name: string): string | undefined => moved[`treedb.cache.vlog_generation.${name}`]
    expect(of('rewrite.last_unix_nano')).toBe('1699999995000000000')
    expect(of('rewrite.exec.last_duration_ms')).toBe('40.000')
    expect(of('rewrite_budget.tokens_utilization_pct')).toBe('50.000000')
    expect(of('rewrite.queue_live_hint.coverage_pct')).toBe('50.000000')
    expect(of('bytes.stale.total')).toBe('70')
  })

  test('of a real life: kick, plan, rewrite, GC and checkpoint leave their marks', async () => {
    const clock = eagerClock()
    const { engine } = await openFixture(
      { inlineThreshold: 64, segmentBytes: 4096 },
      { dir: memoryFolder(), clock },
    )
    const now = (): Record<string, string> =>
      statsOf({
        state: engine.state(),
        gauges: engine.gauges(),
        options: engine.info.options,
        segmentBytes: 4096,
      })
    const before = now()
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20; i++) await engine.put(key(i % 12), value(i + round, 700))
    }
    await engine.checkpoint()
    await engine.maintenance.stage({ minStaleRatio: 0.1, minAgeMs: 0 })
    const staged = now()
    clock.advance(60_000)
    await engine.maintenance.runPass('rewrite_stage_confirm')
    await engine.checkpointWithKick()
    const after = now()
    const changed = (name: string): void => {
      const full = name.startsWith('cache.')
        ? `treedb.${name}`
        : `treedb.cache.vlog_generation.${name}`
      expect(after[full], name).toBeDefined()
      expect(after[full], name).not.toBe(before[full])
    }
    expect(staged['treedb.cache.vlog_generation.rewrite.stage_pending']).toBe('true')
    for (const name of ['rewrite.runs', 'rewrite.bytes_out', 'rewrite.last_unix_nano'])
      changed(name)
    for (const name of ['gc.runs', 'gc.deleted_segments', 'gc.deleted_bytes']) changed(name)
    for (const name of ['churn_bytes_total', 'bytes.live.total', 'segments.total']) changed(name)
    for (const name of ['remap.successes', 'maintenance.acquired', 'scheduler_last_reason']) {
      changed(name)
    }
    const of = (name: string): number =>
      Number(after[`treedb.cache.vlog_generation.rewrite.${name}`])
    expect(of('reclaimed_bytes')).toBeGreaterThan(0)
    expect(of('reclaimed_bytes')).toBeLessThanOrEqual(of('processed_stale_bytes'))
    expect(of('reclaim_ratio')).toBeLessThanOrEqual(1)
    changed('cache.auto_checkpoint.count')
    for (let i = 0; i < 12; i++) engine.get(key(i))
    const read = Number(now()['treedb.vlog.mmap_read.fallback_readat'])
    expect(read - Number(after['treedb.vlog.mmap_read.fallback_readat'])).toBe(12)
    await engine.close()
  })

  test('attempts are whatever wanted the slot: nothing that is skipped is missing from them', async () => {
    const { engine, clock } = await openFixture(
      { mode: 'auto', phase: 'restore', segmentBytes: 4096, maintenance: { triggerTotalBytes: 0 } },
      { dir: memoryFolder() },
    )
    const { maintenance } = engine
    const of = (name: string): number => {
      const { options } = engine.info
      const input = { state: engine.state(), gauges: engine.gauges(), options, segmentBytes: 4096 }
      return Number(statsOf(input)[`treedb.cache.vlog_generation.maintenance.${name}`])
    }
    const ticks = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n++) {
        clock.advance(1_000)
        do await yieldNow()
        while (engine.state().scheduler.activePass !== null)
      }
    }
    for (let i = 0; i < 12; i++) await engine.put(key(i), value(i, 700))
    await engine.checkpoint()
    await ticks(30)
    expect([of('attempts'), of('acquired'), of('skip.maintenance_phase')]).toEqual([30, 0, 30])
    // Staged: kicks leave it alone, and so do ticks, of which the first says so.
    const [sealed] = engine.state().segments
    const queue = sealed === undefined ? [] : [sealed.segmentId]
    const observedAtMs = clock.now()
    const stage = { observedAtMs, dueAtMs: observedAtMs + 30_000, minStaleRatio: 0.2 }
    await maintenance.setDebt({ queue, ledger: [], stage })
    maintenance.setPhase('steady')
    for (let kick = 0; kick < 11; kick++) {
      await engine.put(key(0), value(kick, 700))
      await engine.checkpoint()
    }
    expect([of('attempts'), of('acquired'), of('skip.stage_gate_not_due')]).toEqual([41, 0, 11])
    await ticks(3)
    expect([of('attempts'), of('acquired'), of('skip.stage_gate_not_due')]).toEqual([44, 1, 12])
    await engine.close()
  })
})
