/** Statistics over the wire: every key of upstream, typed, and in line with the metrics page. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { ABSENT_STATS, STAT_FORMS } from '../../engine/index.ts'
import { API_BASE, type StatsBody, type StoreSnapshot } from '../../server/protocol.ts'
import { statsBodySchema } from '../../server/schemas.ts'
import { startServer, STORE, temporaryFolder, TOKEN, type TestServer } from './test-server.ts'

const GENERATION = 'treedb.cache.vlog_generation.'

async function statsOf(server: TestServer): Promise<StatsBody> {
  const { status, body } = await server.get<StatsBody>(`/stores/${STORE}/stats`)
  expect(status).toBe(200)
  return body
}

async function metricsOf(server: TestServer): Promise<string> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  return (await fetch(`${server.origin}/metrics`, { headers })).text()
}

/** A plan, a rewrite, a GC and checkpoints, so that little is 0. */
async function lived(dir: string): Promise<TestServer> {
  const server = await startServer({ dir })
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  await server.act('checkpoint', {})
  await server.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0, maxSegments: 3 } })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('run-pass', { source: 'rewrite_stage_confirm' })
  await server.act('checkpoint', {})
  return server
}

/** Metric -> statistic that says the same; divided by 1000 where milliseconds become seconds. */
const SAME: Record<string, string> = {
  restage_passes_total: 'maintenance.acquired',
  restage_pass_collisions_total: 'maintenance.collisions',
  restage_checkpoint_kicks_total: 'checkpoint_kick.runs',
  restage_checkpoint_kick_rewrite_runs_total: 'checkpoint_kick.rewrite_runs',
  restage_checkpoint_kick_gc_runs_total: 'checkpoint_kick.gc_runs',
  restage_plan_runs_total: 'rewrite.plan_runs',
  restage_plan_canceled_total: 'rewrite.plan_canceled',
  restage_plan_errors_total: 'rewrite.plan_errors',
  restage_plan_empty_total: 'rewrite.plan_empty',
  restage_plan_selected_total: 'rewrite.plan_selected',
  restage_plan_selected_segments_total: 'rewrite.plan_selected_segments_total',
  restage_queue_prune_runs_total: 'rewrite.queue_prune_runs',
  restage_queue_pruned_segments_total: 'rewrite.queue_prune_ids',
  restage_rewrite_runs_total: 'rewrite.runs',
  restage_rewrite_canceled_runs_total: 'rewrite.canceled_runs',
  restage_rewrite_failed_runs_total: 'remap.failures',
  restage_rewrite_ineffective_runs_total: 'rewrite.ineffective_runs',
  restage_rewrite_no_reclaim_runs_total: 'rewrite.no_reclaim_runs',
  restage_rewrite_written_bytes_total: 'rewrite.bytes_out',
  restage_rewrite_live_bytes_total: 'rewrite.bytes_in',
  restage_rewrite_reclaimed_bytes_total: 'rewrite.reclaimed_bytes',
  restage_rewrite_records_copied_total: 'remap.successes',
  restage_rewrite_budget_consumed_bytes_total: 'rewrite_budget.consumed_bytes_total',
  restage_gc_runs_total: 'gc.runs',
  restage_gc_deleted_segments_total: 'gc.deleted_segments',
  restage_gc_deleted_bytes_total: 'gc.deleted_bytes',
  restage_vacuum_runs_total: 'vacuum.runs',
  restage_vacuum_failures_total: 'vacuum.failures',
  restage_put_bytes_total: 'churn_bytes_total',
  restage_rewrite_queue_segments: 'rewrite.queue_len',
  restage_rewrite_debt_bytes: 'rewrite.ledger_bytes_stale',
  restage_penalties_active: 'rewrite.penalties_active',
  restage_value_log_bytes: 'bytes.total.total',
}

const SECONDS: Record<string, string> = {
  restage_plan_duration_seconds_total: 'rewrite.plan.total_ms',
  restage_rewrite_duration_seconds_total: 'rewrite.exec.total_ms',
  restage_gc_duration_seconds_total: 'gc.exec.total_ms',
  restage_vacuum_duration_seconds_total: 'vacuum.exec.total_ms',
}

describe('statistics over the wire', () => {
  test('have every key once, with a value of its form or the reason why there is none', async () => {
    const server = await lived(temporaryFolder())
    const body = await statsOf(server)
    const keys = [...Object.keys(body.stats), ...Object.keys(body.absent)]
    expect(new Set(keys).size).toBe(keys.length)
    expect(keys.toSorted()).toEqual([...STAT_FORMS.keys(), ...Object.keys(ABSENT_STATS)].toSorted())
    expect(Value.Check(statsBodySchema, body)).toBe(true)
    const wrong = { ...body.stats, [`${GENERATION}rewrite.runs`]: 'many' }
    expect(Value.Check(statsBodySchema, { ...body, stats: wrong })).toBe(false)
    expect(body.stats[`${GENERATION}rewrite.runs`]).toBe('1')
    expect(body.stats[`${GENERATION}hot.segment_target_bytes`]).toBe('65536')
    expect(body.absent[`${GENERATION}vacuum.exec.avg_ms`]).toBe(
      'There is nothing to divide by yet.',
    )
    expect(Object.values(body.absent).every((reason) => /^[A-Z].*\.$/.test(reason))).toBe(true)
  })

  test('agree with the metrics page, number by number', async () => {
    const server = await lived(temporaryFolder())
    const { stats } = await statsOf(server)
    const text = await metricsOf(server)
    const metric = (name: string): number =>
      Number(new RegExp(`^${name}\\{store="store"\\} (\\S+)$`, 'm').exec(text)?.[1])
    for (const [name, key] of Object.entries(SAME)) {
      expect([name, metric(name)]).toEqual([name, Number(stats[GENERATION + key])])
    }
    for (const [name, key] of Object.entries(SECONDS)) {
      expect(metric(name) * 1000, name).toBeCloseTo(Number(stats[GENERATION + key]), 2)
    }
    expect(metric('restage_rewrite_runs_total')).toBe(1)
  })

  test('of an attached folder are what the folder says, and never a zero that nobody knows', async () => {
    const dir = temporaryFolder()
    const writer = await lived(dir)
    await writer.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0, maxSegments: 2 } })
    const { stats: before } = await statsOf(writer)
    await writer.close()
    const reader = await startServer({ dir, mode: 'attached' })
    const body = await statsOf(reader)
    for (const name of ['rewrite.queue_len', 'rewrite.stage_pending', 'rewrite.ledger_segments']) {
      expect([name, body.stats[GENERATION + name]]).toEqual([name, before[GENERATION + name]])
    }
    expect(Number(body.stats[`${GENERATION}bytes.live.total`])).toBeGreaterThan(0)
    for (const name of ['rewrite.runs', 'gc.runs', 'churn_bytes_total', 'scheduler_state']) {
      expect(body.stats).not.toHaveProperty([GENERATION + name])
      expect(body.absent[GENERATION + name]).toContain('Only the process that writes the folder')
    }
    const text = await metricsOf(reader)
    expect(text).toContain('restage_rewrite_queue_segments{store="store"} 2')
    expect(text).not.toMatch(/^restage_(rewrite_runs|passes|puts)_total/m)
  })

  test('of a folder whose trees cannot be read leave out live bytes, and so do metrics and the state', async () => {
    const dir = temporaryFolder()
    await (await lived(dir)).close()
    const index = path.join(dir, 'maindb/index.db')
    fs.writeFileSync(index, fs.readFileSync(index).fill(0, 0, 8192))
    const reader = await startServer({ dir, mode: 'attached' })
    const why = 'live bytes are not known: no tree could be read'
    const { body } = await reader.get<StoreSnapshot>(`/stores/${STORE}/state`)
    expect(body.liveBytesUnknown).toBe(why)
    expect(body.state.checkpoint.commitSeq).toBeNull()
    const stats = await statsOf(reader)
    const total = Number(stats.stats[`${GENERATION}bytes.total.total`])
    expect(total).toBeGreaterThan(0)
    for (const name of ['bytes.live.total', 'bytes.stale.hot', 'rewrite.queue_live_hint.bytes']) {
      expect(stats.stats).not.toHaveProperty([GENERATION + name])
      expect(stats.absent[GENERATION + name]).toBe(why)
    }
    const text = await metricsOf(reader)
    expect(text).toContain(`restage_value_log_bytes{store="store"} ${String(total)}`)
    expect(text).not.toMatch(/^restage_(segment_(live|stale)_bytes|space_amplification_ratio)\{/m)
  })

  test('are described key by key', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const description = (await (await fetch(`${server.origin}/docs/json`)).json()) as {
      paths: Record<string, { get: { responses: Record<string, unknown> } }>
    }
    const route = description.paths[`${API_BASE}/stores/{storeId}/stats`]
    const text = JSON.stringify(route?.get.responses['200'])
    for (const key of STAT_FORMS.keys()) expect(text).toContain(`"${key}"`)
  })
})
