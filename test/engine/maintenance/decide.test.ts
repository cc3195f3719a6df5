import { describe, expect, test } from 'vitest'
import { kickGates } from '../../../engine/maintenance/admission.ts'
import { filtersFor } from '../../../engine/maintenance/decide.ts'
import {
  genericFloor,
  queuedFloor,
  resumeFloor,
  staleTriggerFloor,
} from '../../../engine/maintenance/floors.ts'
import { NO_DEBT, queueOnlyDebt } from '../../../engine/maintenance/ledger.ts'
import { planRewrite } from '../../../engine/maintenance/planner.ts'
import type { Gate, GateName, MaintenanceOptions, PassSource } from '../../../engine/types.ts'
import { decide, DEFAULTS, gate, inputFor, LARGE, type Setup } from './decision-input.ts'
import { debtOf, entry, id, MIB, segment, staged, T0 } from './fake-host.ts'

describe('floors', () => {
  test('a sparse plan uses the trigger ratio, raised to 0.5 from the efficacy size on', () => {
    expect(staleTriggerFloor(LARGE - 1, DEFAULTS)).toBe(0.2)
    expect(staleTriggerFloor(LARGE, DEFAULTS)).toBe(0.5)
    expect(staleTriggerFloor(LARGE, { ...DEFAULTS, triggerStaleRatio: 0.8 })).toBe(0.8)
    expect(staleTriggerFloor(LARGE, { ...DEFAULTS, triggerStaleRatio: 0 })).toBe(0)
  })

  test('a generic plan has no floor below the efficacy size and 0.85 or more from there', () => {
    expect(genericFloor(LARGE - 1, DEFAULTS)).toBe(0)
    expect(genericFloor(LARGE, DEFAULTS)).toBe(0.85)
    expect(genericFloor(LARGE, { ...DEFAULTS, triggerStaleRatio: 0.9 })).toBe(0.9)
  })

  test('debt of unknown floor resumes at 0.5, or at the trigger ratio in a small store', () => {
    expect(resumeFloor(LARGE, DEFAULTS)).toBe(0.5)
    expect(resumeFloor(LARGE - 1, DEFAULTS)).toBe(0.2)
  })

  test('M3: staged debt keeps its floor whatever the size; queue-only debt has none', () => {
    expect(queuedFloor(debtOf([entry(1, 0.3)], staged(T0, 0.25)), null, LARGE, DEFAULTS)).toBe(0.25)
    expect(queuedFloor(debtOf([entry(1, 0.3)]), 0.25, LARGE, DEFAULTS)).toBe(0.25)
    expect(queuedFloor(debtOf([entry(1, 0.3)], staged(T0, null)), null, LARGE, DEFAULTS)).toBe(0.5)
    expect(queuedFloor(queueOnlyDebt([id(1)]), null, LARGE, DEFAULTS)).toBe(0)
  })
})

describe('admission', () => {
  const stale = [segment(1, 0.9)]

  test('F7, M5: nothing is planned while the foreground is busy, even on a GC tick', () => {
    for (const foreground of [
      { lastWriteAtMs: T0 - 14_999 },
      { lastReadAtMs: T0 - 1_999 },
      { openIterators: 1 },
    ]) {
      for (const debt of [NO_DEBT, debtOf([entry(1, 0.9), entry(2, 0.9)])]) {
        let plans = 0
        const decision = decide('periodic', {
          segments: stale,
          debt,
          foreground,
          gcTick: true,
          plan: (filters) => {
            plans += 1
            return planRewrite({ segments: stale, filters, nowMs: T0 })
          },
        })
        expect(plans).toBe(0)
        expect(decision).toMatchObject({ plans: [], prunes: [], gc: false })
        expect(decision.action).toMatchObject({ kind: 'blocked', admitted: false })
      }
    }
  })

  test('quiet gates say how much is missing and bind periodic passes only', () => {
    const busy = { foreground: { lastWriteAtMs: T0 - 5_000 }, segments: stale }
    expect(gate(decide('periodic', busy), 'quiet_writes')).toMatchObject({
      input: 5_000,
      threshold: 15_000,
      margin: -10_000,
      verdict: 'block',
      bypassed: false,
    })
    expect(gate(decide('checkpoint_kick', busy), 'quiet_writes')).toMatchObject({
      margin: -10_000,
      verdict: 'pass',
      bypassed: true,
    })
  })

  test('a write that never happened is no reason to wait, and a clock set back reads as now', () => {
    expect(gate(decide('periodic', {}), 'quiet_writes')).toMatchObject({
      input: null,
      margin: null,
    })
    const ahead = decide('periodic', { foreground: { lastWriteAtMs: T0 + 60_000 } })
    expect(gate(ahead, 'quiet_writes')).toMatchObject({ input: 0, verdict: 'block' })
  })

  test('before the first checkpoint a periodic pass plans nothing, queued debt still runs', () => {
    const none = { foreground: { checkpoints: 0 }, segments: stale }
    expect(decide('periodic', none).action).toMatchObject({
      kind: 'blocked',
      by: 'first_checkpoint',
    })
    const queued = decide('periodic', { ...none, debt: debtOf([entry(1, 0.9)]) })
    expect(queued.action.kind).toBe('rewrite')
  })

  test('the loop must run for automatic passes, not for asked-for ones', () => {
    const paused = { paused: true, segments: stale }
    expect(decide('periodic', { ...paused, automatic: true }).action).toMatchObject({
      by: 'scheduler_running',
    })
    expect(gate(decide('periodic', paused), 'scheduler_running').bypassed).toBe(true)
  })

  test('a tick gives way to a kick, a due retry and a checkpoint; a pass asked for does not', () => {
    const waits: [Setup, GateName][] = [
      [{ checkpointKickPending: true }, 'priority_yield'],
      [{ deferredPending: true }, 'priority_yield'],
      [{ foreground: { checkpointing: true } }, 'no_checkpoint_running'],
    ]
    for (const [wait, by] of waits) {
      for (const debt of [NO_DEBT, debtOf([entry(1, 0.9)])]) {
        const setup = { ...wait, debt, segments: stale }
        const tick = decide('periodic', { ...setup, automatic: true })
        expect(tick).toMatchObject({ action: { kind: 'blocked', by }, plans: [], gc: false })
        expect(gate(decide('periodic', setup), by).bypassed).toBe(true)
      }
      expect(decide('checkpoint_kick', { ...wait, segments: stale }).action.kind).toBe('stage')
    }
  })

  test('a pending stage keeps every source out but the confirm', () => {
    const waiting = { segments: stale, debt: debtOf([entry(1, 0.9)], staged(T0 - 40_000)) }
    for (const source of ['periodic', 'checkpoint_kick'] as const) {
      expect(decide(source, waiting).action).toMatchObject({ by: 'stage_not_pending' })
    }
    expect(decide('rewrite_stage_confirm', waiting).action.kind).toBe('rewrite')
    const manual = { ...waiting, request: { kind: 'rewrite' as const, segmentIds: [id(1)] } }
    expect(decide('manual', manual).action.kind).toBe('rewrite_ids')
  })

  test('a confirm that is not due is blocked by what remains; without a stage there is none', () => {
    const early = decide('rewrite_stage_confirm', {
      segments: stale,
      debt: debtOf([entry(1, 0.9)], staged(T0 - 12_000)),
    })
    expect(gate(early, 'stage_due')).toMatchObject({
      input: 12_000,
      threshold: 30_000,
      margin: -18_000,
      verdict: 'block',
      text: 'Staged 12 s ago; due in 18 s.',
    })
    expect(decide('rewrite_stage_confirm', {}).action).toMatchObject({ by: 'stage_pending' })
  })

  test('stops at the first blocking gate', () => {
    const decision = decide('periodic', {
      debt: debtOf([entry(1, 0.9)], staged(T0)),
      foreground: { lastWriteAtMs: T0 },
    })
    expect(decision.gates.map((g) => g.name)).toEqual([
      'slot_free',
      'scheduler_running',
      'first_checkpoint',
      'stage_not_pending',
    ])
  })
})

describe('a wait for age', () => {
  const due = { ageBlockedUntilMs: T0 }
  const automatic = { automatic: true, segments: [segment(1, 0.9)] }
  const by = (source: PassSource, setup: Setup) => {
    const { action } = decide(source, setup)
    return action.kind === 'blocked' ? action.by : action.kind
  }

  test('that is over belongs to its retry, and without deferred passes to whoever comes', () => {
    for (const source of ['periodic', 'checkpoint_kick'] as const) {
      expect(by(source, { ...automatic, times: due })).toBe('age_retry_not_due')
      const options = { disableAutoDeferred: true }
      expect(by(source, { ...automatic, times: due, options })).toBe('stage')
    }
  })

  test('a retry of its own is refused before its time and without a wait; one asked for is not', () => {
    for (const ageBlockedUntilMs of [null, T0 + 12_000]) {
      const times = { ageBlockedUntilMs }
      expect(by('rewrite_age_blocked', { ...automatic, times })).toBe('age_retry_due')
      expect(by('rewrite_age_blocked', { ...automatic, times, automatic: false })).toBe('stage')
    }
    const early = decide('rewrite_age_blocked', {
      ...automatic,
      times: { ageBlockedUntilMs: T0 + 12_000 },
    })
    expect(gate(early, 'age_retry_due')).toMatchObject({ margin: -12_000, verdict: 'block' })
  })
})

describe('queued debt', () => {
  const segments = [segment(1, 0.9), segment(2, 0.3), segment(3, 0.6)]

  test('F13: one staged segment is confirmed from the ledger without asking the planner', () => {
    const decision = decide('rewrite_stage_confirm', {
      segments,
      debt: debtOf([entry(1, 0.9)], staged(T0 - 30_000)),
      plan: () => {
        throw new Error('the planner was asked')
      },
    })
    expect(decision.confirm).toEqual({ observedAgeMs: 30_000, queued: 1, ledger: 1 })
    expect(decision.action).toMatchObject({ kind: 'rewrite', reason: 'rewrite_resume' })
  })

  test('F16: debt staged at 0.2 is confirmed at 0.2, not at the resume floor', () => {
    const debt = debtOf([entry(2, 0.3)], staged(T0 - 30_000, 0.2))
    const big = segment(9, 0, { bytesTotal: LARGE, bytesLive: LARGE, bytesStale: 0 })
    const decision = decide('rewrite_stage_confirm', { segments: [...segments, big], debt })
    expect(decision.prunes).toEqual([])
    expect(decision.action).toMatchObject({ kind: 'rewrite', minStaleRatio: 0.2, restage: true })
  })

  test('F6: a confirm without anything worthwhile clears the stage', () => {
    const debt = debtOf([entry(2, 0.7)], staged(T0 - 30_000, 0.5))
    const decision = decide('rewrite_stage_confirm', { segments, debt })
    expect(decision.action).toEqual({ kind: 'clear_stage' })
    expect(decision.prunes.at(-1)?.debt).toEqual(NO_DEBT)
    expect(gate(decision, 'queue_quality')).toMatchObject({ verdict: 'block', threshold: 0.5 })
  })

  test('D12: a lone queued segment that is gone is pruned, and the pass goes on to plan', () => {
    const decision = decide('periodic', { segments, debt: debtOf([entry(8, 0.9)]) })
    expect(decision.prunes).toMatchObject([{ kind: 'missing', dropped: [id(8)], debt: NO_DEBT }])
    expect(decision.plans).toHaveLength(1)
    expect(decision.action).toMatchObject({ kind: 'stage', segmentIds: [id(1), id(3), id(2)] })
    if (decision.action.kind === 'stage') {
      expect(decision.action.debt.queue).toEqual([id(1), id(3), id(2)])
    }
  })

  test('F12, B15: ids without economics are debt, not nothing', () => {
    const decision = decide('periodic', { segments, debt: queueOnlyDebt([id(2), id(1)]) })
    expect(decision.prunes).toEqual([])
    expect(decision.action).toMatchObject({
      kind: 'rewrite',
      debt: { queue: [id(2), id(1)], ledger: [] },
      minStaleRatio: null,
    })
  })

  test('queue-only debt drops dead and fully live segments', () => {
    const decision = decide('periodic', {
      segments: [segment(1, 0), segment(2, 1), segment(3, 0.01)],
      debt: queueOnlyDebt([id(1), id(2), id(3)]),
    })
    expect(decision.prunes).toMatchObject([
      { kind: 'dead', dropped: [id(2)] },
      { kind: 'quality', dropped: [id(1)] },
    ])
  })

  test('only hot passes restage, and none with restage off', () => {
    const queued = { segments, debt: debtOf([entry(1, 0.9), entry(3, 0.6)]) }
    expect(decide('checkpoint_kick', queued).action).toMatchObject({ restage: true })
    expect(decide('periodic', queued).action).toMatchObject({ restage: false })
    const off = { ...queued, options: { restage: 'off' as const } }
    expect(decide('checkpoint_kick', off).action).toMatchObject({ restage: false })
  })

  test('a periodic pass resumes after the resume interval, a kick at once', () => {
    const queued = {
      segments,
      debt: debtOf([entry(1, 0.9)]),
      times: { lastRewriteAtMs: T0 - 400 },
    }
    expect(gate(decide('periodic', queued), 'rewrite_min_interval')).toMatchObject({
      margin: -600,
      verdict: 'block',
    })
    expect(decide('checkpoint_kick', queued).action.kind).toBe('rewrite')
  })
})

describe('fresh debt', () => {
  const segments = [segment(1, 0.9), segment(2, 0.3), segment(3, 0.1)]

  test('stale segments are staged with the ratio that found them', () => {
    const { action, plans } = decide('checkpoint_kick', { segments })
    expect(plans[0]).toMatchObject({ trigger: 'stale_ratio_trigger' })
    expect(action).toMatchObject({ kind: 'stage', segmentIds: [id(1), id(2)], minStaleRatio: 0.2 })
  })

  test('a log past the total-bytes trigger is rewritten without staging', () => {
    const { action, plans } = decide('checkpoint_kick', {
      segments,
      options: { triggerTotalBytes: MIB },
    })
    expect(plans.map((p) => p.trigger)).toEqual(['pre_rewrite'])
    expect(action).toMatchObject({ kind: 'rewrite', reason: 'total_bytes', fresh: true })
  })

  test('falls back to the sparse floor when nothing reaches the generic one', () => {
    const many = segment(9, 0.6, {
      bytesTotal: LARGE,
      bytesLive: LARGE * 0.4,
      bytesStale: LARGE * 0.6,
    })
    const { action, plans } = decide('periodic', {
      segments: [many],
      options: { triggerTotalBytes: MIB },
    })
    expect(plans.map((p) => [p.trigger, p.plan.filters.minStaleRatio])).toEqual([
      ['pre_rewrite', 0.85],
      ['stale_ratio_trigger', 0.5],
    ])
    expect(action.kind).toBe('stage')
  })

  test('a total-bytes rewrite waits for the rewrite interval and does not stage meanwhile', () => {
    const { action, plans } = decide('checkpoint_kick', {
      segments,
      options: { triggerTotalBytes: MIB },
      times: { lastRewriteAtMs: T0 - 10_000 },
    })
    expect(action).toMatchObject({ kind: 'blocked', by: 'rewrite_min_interval' })
    expect(plans).toEqual([])
  })

  test('staging does not wait for the rewrite interval', () => {
    const times = { lastRewriteAtMs: T0 - 10 }
    expect(decide('checkpoint_kick', { segments, times }).action.kind).toBe('stage')
  })

  test('plans at most once in the plan interval, kicks too', () => {
    const times = { lastPlanAtMs: T0 - 29_000 }
    expect(gate(decide('checkpoint_kick', { segments, times }), 'plan_min_interval')).toMatchObject(
      {
        margin: -1_000,
        verdict: 'block',
      },
    )
  })

  test('plans again the moment the first too-young candidate is old enough', () => {
    const young = segment(1, 0.9, { sealedAtMs: T0 - 18_000 })
    const decision = decide('periodic', { segments: [young] })
    expect(decision.planHoldMs).toBe(12_000)
    expect(gate(decision, 'plan_selected').verdict).toBe('block')
    expect(decision.action.kind).toBe('nothing')
  })

  test('a log without a candidate does not reach the stale-ratio trigger', () => {
    for (const segments of [[], [segment(1, 1)]]) {
      const met = gate(decide('periodic', { segments }), 'trigger_stale_ratio')
      expect(met).toMatchObject({ verdict: 'block', input: null })
    }
  })

  test('with both triggers off nothing is planned', () => {
    const decision = decide('periodic', { segments, options: { triggerStaleRatio: 0 } })
    expect(decision.plans).toEqual([])
    expect(decision.action).toEqual({ kind: 'nothing' })
  })
})

describe('queue-only plans', () => {
  test('F12, B15: sources without economics are staged as they are, not taken for nothing', () => {
    const segments = [segment(1, 0.9), segment(2, 0.8)]
    const { action } = decide('periodic', {
      segments,
      plan: (filters) => ({
        ...planRewrite({ segments, filters, nowMs: T0 }),
        selected: [],
        liveBytesKnown: false,
      }),
    })
    expect(action).toMatchObject({
      kind: 'stage',
      segmentIds: [id(1), id(2)],
      debt: { queue: [id(1), id(2)], ledger: [] },
    })
  })
})

describe('GC', () => {
  const dead = segment(1, 1)

  test('runs on kicks and GC ticks when anything is dead and the last run is long ago', () => {
    expect(decide('checkpoint_kick', { segments: [dead] }).gc).toBe(true)
    expect(decide('periodic', { segments: [dead] }).gc).toBe(true)
    expect(decide('periodic', { segments: [dead], times: { lastGcAtMs: T0 - 44_000 } }).gc).toBe(
      false,
    )
    expect(decide('periodic', { segments: [segment(1, 0)], options: { gcMinBytes: 0 } }).gc).toBe(
      false,
    )
  })

  test('two small dead segments do not stay: a GC pass has no floor of bytes', () => {
    const small = [1, 2].map((seq) => segment(seq, 1, { bytesTotal: MIB / 4 }))
    for (const source of ['periodic', 'checkpoint_kick', 'rewrite_age_blocked'] as const) {
      const decision = decide(source, { segments: small })
      expect(decision.gc, source).toBe(true)
      expect(gate(decision, 'gc_eligible')).toMatchObject({ input: 2, threshold: 1, unit: 'count' })
    }
  })

  test('any tick runs it from gcMinBytes on (ShouldRunVlogGenerationGC_ReclaimableBytes)', () => {
    const tick = { segments: [dead], gcTick: false }
    expect(decide('periodic', { ...tick, options: { gcMinBytes: MIB } }).gc).toBe(true)
    const less = decide('periodic', { ...tick, options: { gcMinBytes: MIB + 1 } })
    expect(less.gc).toBe(false)
    expect(less.gates.map((g) => g.name)).not.toContain('gc_eligible')
    const none = { segments: [segment(1, 0)], gcTick: false, options: { gcMinBytes: 0 } }
    expect(decide('periodic', none).gc).toBe(false)
  })

  test('waits for an age-blocked retry, also for one that this pass begins to wait for', () => {
    const segments = [dead, segment(2, 0.9, { sealedAtMs: T0 - 1_000 })]
    const own = decide('periodic', { segments, automatic: true })
    expect(own.ageBlock).toMatchObject({ segments: 1 })
    expect(gate(own, 'gc_not_held_back').verdict).toBe('block')
    expect(own.gc).toBe(false)
    const asked = decide('periodic', { segments })
    expect(asked.gc).toBe(true)
  })

  test('does not count what readers hold', () => {
    const pinned = segment(2, 1, {
      keptBy: [{ kind: 'snapshot', pinId: 1, label: 's', sinceMs: T0 }],
    })
    const iterated = segment(4, 1, {
      keptBy: [{ kind: 'iterator', pinId: 2, label: 'i', sinceMs: T0 }],
    })
    const rooted = segment(3, 1, { keptBy: [{ kind: 'root', metaPage: 0 }, { kind: 'journal' }] })
    const all = decide('periodic', { segments: [pinned, rooted, iterated] })
    expect(gate(all, 'gc_eligible')).toMatchObject({ input: 1, threshold: 1 })
    for (const held of [pinned, iterated]) {
      const decision = decide('periodic', { segments: [held] })
      expect(decision.gc, held.file).toBe(false)
      expect(gate(decision, 'gc_eligible')).toMatchObject({ input: 0, verdict: 'block' })
    }
  })
})

describe('checkpoint kick', () => {
  test('below the size floor there is one all the same where it may not rewrite: it is there for GC', () => {
    const below = { segments: [segment(1, 0)] }
    const floorOf = (options: Partial<MaintenanceOptions>): Gate | undefined => {
      const input = inputFor('checkpoint_kick', { ...below, options })
      return kickGates(input).find((g) => g.name === 'kick_trigger_floor')
    }
    const triggerTotalBytes = 8 * MIB
    expect(floorOf({ triggerTotalBytes })).toMatchObject({ verdict: 'block', bypassed: false })
    expect(floorOf({ triggerTotalBytes, disableRewrite: true })).toMatchObject({
      input: MIB,
      threshold: triggerTotalBytes,
      verdict: 'pass',
      bypassed: true,
    })
  })

  test('waits for the interval between kicks', () => {
    const input = inputFor('checkpoint_kick', { times: { lastCheckpointKickAtMs: T0 - 4_000 } })
    expect(kickGates(input)[0]).toMatchObject({ margin: -1_000, verdict: 'block' })
  })

  test('needs debt, two segments or the trigger size', () => {
    const floorOf = (setup: Setup): Gate | undefined =>
      kickGates(
        inputFor('checkpoint_kick', { options: { triggerTotalBytes: 10 * MIB }, ...setup }),
      )[1]
    const one = [segment(1, 0.9)]
    expect(floorOf({ segments: one })).toMatchObject({ verdict: 'block', margin: -9 * MIB })
    expect(floorOf({ segments: [...one, segment(2, 0)] })?.verdict).toBe('pass')
    expect(floorOf({ segments: one, debt: queueOnlyDebt([id(1)]) })?.verdict).toBe('pass')
    expect(floorOf({ segments: one, options: {} })?.verdict).toBe('pass')
  })

  test('a pass asked for directly shows the kick gates without obeying them', () => {
    const decision = decide('checkpoint_kick', { times: { lastCheckpointKickAtMs: T0 } })
    expect(gate(decision, 'kick_min_interval')).toMatchObject({ verdict: 'pass', bypassed: true })
  })
})

describe('manual passes', () => {
  const segments = [segment(1, 0.9), segment(2, 0.3), segment(3, 0.1)]

  test('rewrite exactly the named segments that exist', () => {
    const named = { kind: 'rewrite' as const, segmentIds: [id(3), id(9), id(3), id(1)] }
    const decision = decide('manual', { segments, request: named })
    const segmentIds = [id(3), id(1)]
    expect(decision.action).toEqual({ kind: 'rewrite_ids', segmentIds, options: {} })
    const request = { ...named, options: { batchRecords: 2 } }
    const how = decide('manual', { segments, request }).action
    expect(how).toEqual({ kind: 'rewrite_ids', segmentIds, options: { batchRecords: 2 } })
    const none = decide('manual', { segments, request: { kind: 'rewrite', segmentIds: [id(9)] } })
    expect(none.action).toMatchObject({ kind: 'blocked', by: 'missing_segments' })
  })

  test('stage what the filters select, on top of what is queued', () => {
    const request = { kind: 'stage' as const, filters: filtersFor(0.25, DEFAULTS) }
    const decision = decide('manual', { segments, request, debt: debtOf([entry(3, 0.1)]) })
    expect(decision.action).toMatchObject({
      kind: 'stage',
      segmentIds: [id(1), id(2)],
      minStaleRatio: 0.25,
      debt: { queue: [id(1), id(2), id(3)] },
    })
  })
})
