// What may wake a pass next, the write budget as it fills, and what a chart saves as numbers.
import { describe, expect, test } from 'vitest'
import type { EngineState, MaintenanceOptions } from '../../server/protocol.ts'
import { sampleRow, samplesIn, withAmplification } from '../../web/charts/debt-over-time-series.ts'
import { toCsv } from '../../web/lib/csv.ts'
import { budgetNow } from '../../web/state/overview.ts'
import { nextWakes } from '../../web/state/wakes.ts'
import { NOW, makeGauges, makeSample, makeSegment, makeState, options } from './fixtures.ts'

const segments = [1, 2].map((seq) => makeSegment(seq, { bytesTotal: 1000, bytesLive: 400 }))
const queue = segments.map((segment) => segment.segmentId)
const idle = makeState({ segments })
const staged = makeState({
  segments,
  debt: {
    queue,
    ledger: [],
    stage: { observedAtMs: NOW - 10_000, dueAtMs: NOW + 20_000, minStaleRatio: 0.5 },
  },
})

function wakes(engine: EngineState, changed: Partial<MaintenanceOptions> = {}) {
  return nextWakes({
    engine,
    options: { ...options, ...changed },
    gauges: makeGauges(),
    nowMs: NOW,
  }).map(({ source, atMs, when, preview }) => ({ source, atMs, when, kind: preview.kind }))
}

const scheduled = (facts: Partial<EngineState['scheduler']>, state = idle): EngineState => ({
  ...state,
  scheduler: { ...state.scheduler, ...facts },
})

describe('what wakes a pass next', () => {
  test('staged debt has its timer, and says what the confirm will do when it is due', () => {
    expect(wakes(staged)[0]).toEqual({
      source: 'rewrite_stage_confirm',
      atMs: NOW + 20_000,
      when: 'in 20 s',
      kind: 'acts',
    })
    const overdue = wakes({ ...staged, debt: { ...staged.debt, stage: stageDueAt(NOW - 1) } })
    expect(overdue[0]).toMatchObject({ when: 'now', kind: 'acts' })
  })

  test('one deferred timer at a time: a stage goes before what is too young', () => {
    const young = scheduled({ ageBlockedUntilMs: NOW + 5000 })
    expect(wakes(young)[0]).toMatchObject({ source: 'rewrite_age_blocked', when: 'in 5 s' })
    const both = scheduled({ ageBlockedUntilMs: NOW + 5000 }, staged)
    expect(wakes(both).map(({ source }) => source)).toEqual([
      'rewrite_stage_confirm',
      'periodic',
      'checkpoint_kick',
    ])
  })

  test('nothing by itself while a pause, a pause file or a phase holds it back; a kick says which', () => {
    const present = { file: '/run/pause', present: true, reason: 'state sync' }
    const each: [Partial<EngineState['scheduler']>, string][] = [
      [{ paused: true, pauseReason: 'a backup runs' }, 'the scheduler is paused: a backup runs'],
      [{ paused: true, pauseReason: null }, 'the scheduler is paused'],
      [{ pauseFile: present }, 'a pause file is there: state sync'],
      [{ phase: 'catch_up' }, 'the node is in the phase catch-up'],
    ]
    for (const [facts, why] of each) {
      const engine = scheduled(facts, staged)
      expect(wakes(engine).map(({ source }) => source)).toEqual(['checkpoint_kick'])
      const [kick] = nextWakes({ engine, options, gauges: makeGauges(), nowMs: NOW })
      expect(kick?.preview).toMatchObject({ kind: 'blocked', text: `is skipped: ${why}` })
    }
    const gone = { file: '/run/pause', present: false, reason: null }
    expect(wakes(scheduled({ pauseFile: gone, phase: 'steady' }, staged))).toHaveLength(3)
  })

  test('the queue runner wakes for a queue, after its pause', () => {
    const queued = { ...staged, debt: { ...staged.debt, stage: null } }
    const runner = { policy: 'queue_runner' } as const
    expect(wakes(queued, runner)[0]).toMatchObject({ source: 'rewrite_queue_pending', when: 'now' })
    const paused = scheduled({ queueCooldownUntilMs: NOW + 3000 }, queued)
    expect(wakes(paused, runner)[0]).toMatchObject({ when: 'in 3 s' })
    expect(wakes(queued)[0]).toMatchObject({ source: 'periodic' })
  })

  test('a kick that found the slot taken waits for it', () => {
    expect(wakes(scheduled({ checkpointKickPending: true }))[0]).toMatchObject({
      source: 'checkpoint_pending',
      when: 'once the slot is free',
    })
  })

  test('while a pass runs nothing is foretold that it may change', () => {
    const activePass = { passId: 3, source: 'periodic', startedAtMs: NOW } as const
    const engine = scheduled({ activePass }, staged)
    expect(wakes(engine)).toMatchObject([{ source: 'checkpoint_kick', kind: 'blocked' }])
  })

  test('nothing starts by itself in step mode, while paused, or switched off', () => {
    const only = ['checkpoint_kick']
    expect(wakes(scheduled({ mode: 'step' }, staged)).map((w) => w.source)).toEqual(only)
    expect(wakes(scheduled({ paused: true }, staged)).map((w) => w.source)).toEqual(only)
    expect(
      wakes(staged, { disableLoop: true, disableAutoDeferred: true }).map((w) => w.source),
    ).toEqual(only)
  })
})

function stageDueAt(dueAtMs: number) {
  return { observedAtMs: dueAtMs - 10_000, dueAtMs, minStaleRatio: 0.5 }
}

describe('the write budget', () => {
  const bucket = { bytesPerSecond: 100, tokensBytes: 300, capBytes: 1000, accruedAtMs: NOW }

  test('fills at its rate from the last accrual, and no further than its cap', () => {
    expect(budgetNow(bucket, NOW + 2000)).toMatchObject({
      tokensBytes: 500,
      share: 0.5,
      fullInMs: 5000,
    })
    expect(budgetNow(bucket, NOW + 60_000)).toMatchObject({ tokensBytes: 1000, fullInMs: 0 })
  })

  test('a bucket not accrued yet stands still, a clock that went back takes nothing away', () => {
    expect(budgetNow({ ...bucket, accruedAtMs: null }, NOW + 2000)?.tokensBytes).toBe(300)
    expect(budgetNow(bucket, NOW - 2000)?.tokensBytes).toBe(300)
    expect(budgetNow(null, NOW)).toBeNull()
  })
})

test('the debt chart saves the exact numbers of the span shown, both ends included', () => {
  const samples = [0, 1, 2, 3].map((second) => makeSample(NOW + second * 1000, 1234 + second))
  const within = samplesIn(samples, { fromMs: NOW + 1000, toMs: NOW + 2000 })
  expect(within).toEqual([samples[1], samples[2]])
  const [head, first] = toCsv(withAmplification(within).map(sampleRow)).split('\r\n')
  expect(head?.split(',').slice(0, 3)).toEqual(['at', 'at_ms', 'bytes_stale'])
  expect(first?.split(',').slice(0, 3)).toEqual([
    new Date(NOW + 1000).toISOString(),
    String(NOW + 1000),
    '1235',
  ])
})
