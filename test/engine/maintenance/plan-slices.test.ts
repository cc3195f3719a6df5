/** Plans in slices: the same as in one go, and really given up between two of them. */
import { describe, expect, test } from 'vitest'
import { eagerClock } from '../../support/engine-fixture.ts'
import { planAlone } from '../../../engine/maintenance-host.ts'
import { planRewrite, type PlanRequest } from '../../../engine/maintenance/planner.ts'
import { EngineError } from '../../../engine/errors.ts'
import type { PassSource } from '../../../engine/types.ts'
import { advance, segment, settle, T0, THREE, world, type FakeHost } from './fake-host.ts'

/** Some of everything: young, fully live, dead, and many worth a rewrite. */
const MANY = Array.from({ length: 10_000 }, (_, i) =>
  segment(i + 1, ((i * 7919) % 1001) / 1000, { sealedAtMs: T0 - (i % 100) * 1000 }),
)
const ALWAYS = new AbortController().signal

/** Plans on this host take a slice a step; each slice lasts so long, and the store is written meanwhile. */
function planSlowly(host: FakeHost, how: { sliceMs: number; writes: boolean }) {
  const turns = { count: 0 }
  host.plan = async (request: PlanRequest, signal: AbortSignal) => {
    host.plans.push(request.filters)
    const yieldNow = (): Promise<void> => {
      turns.count++
      if (how.writes) host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() + 1 }
      host.clock.advance(how.sliceMs)
      return Promise.resolve()
    }
    return planAlone(request, signal, { clock: eagerClock(), yieldNow, sliceMs: 1 })
  }
  return turns
}

async function pass(source: Exclude<PassSource, 'manual'>, how: Parameters<typeof planSlowly>[1]) {
  const { host, scheduler } = await world(MANY, {
    maintenance: { minSegmentAgeMs: 30_000, quietWriteWindowMs: 0 },
  })
  const turns = planSlowly(host, how)
  const report = await scheduler.runPass(source)
  return { host, scheduler, report, turns: turns.count }
}

describe('a plan of 10,000 segments', () => {
  test.each([
    ['floors', { minStaleRatio: 0.5, minAgeMs: 30_000 }],
    ['caps', { minStaleRatio: 0.2, maxSegments: 2_000, maxLiveBytes: 1e9 }],
    ['named ids', { segmentIds: MANY.slice(0, 3_000).map((s) => s.segmentId), minStaleBytes: 1 }],
  ])('is in slices what it is in one go (%s)', async (_, some) => {
    const filters = {
      minStaleRatio: 0,
      minStaleBytes: 0,
      minStaleBytesCapRatio: 0,
      minAgeMs: 0,
      maxSegments: 0,
      maxLiveBytes: 0,
      maxCopiedBytes: 0,
      protectedIds: [],
      segmentIds: null,
      ...some,
    }
    const request = { segments: MANY, filters, nowMs: T0 }
    let turns = 0
    const yieldNow = (): Promise<void> => {
      turns++
      return Promise.resolve()
    }
    const plan = await planAlone(request, ALWAYS, { clock: eagerClock(), yieldNow, sliceMs: 1 })
    expect(plan).toEqual(planRewrite(request))
    expect(turns).toBeGreaterThan(20)
  })

  test('is given up between two slices when writes resume after the grace (RewritePlan_CancelsWhenForegroundWritesResume)', async () => {
    const { host, scheduler, report, turns } = await pass('periodic', { sliceMs: 50, writes: true })
    expect(host.eventsOf('rewrite_plan_canceled')).toMatchObject([{ why: 'foreground' }])
    // 350 ms of grace are seven slices; the watch looks every 100 ms.
    expect(turns).toBeGreaterThanOrEqual(7)
    expect(turns).toBeLessThanOrEqual(9)
    // The GC of the pass still runs (RewritePlan_CancelStillRunsForcedGC).
    expect(report.steps.map((s) => s.kind)).toEqual(['plan_canceled', 'gc'])
    expect(scheduler.info()).toMatchObject({ lastPlanAtMs: null, state: 'disabled' })
    expect(scheduler.counters()).toMatchObject({ planRuns: 1, planCanceled: 1, planSelected: 0 })
    expect(scheduler.debt().queue).toEqual([])
  })

  test('that ends within the grace is kept (_GraceAllowsShortPlanDuringForegroundResume)', async () => {
    const { host, report } = await pass('periodic', { sliceMs: 5, writes: true })
    expect(host.eventsOf('rewrite_plan_canceled')).toEqual([])
    expect(report.outcome).toBe('staged')
  })

  test('of a kick is cancelled by time alone, after 30 s', async () => {
    const { host, turns } = await pass('checkpoint_kick', { sliceMs: 5_000, writes: true })
    expect(host.eventsOf('rewrite_plan_canceled')).toMatchObject([{ why: 'deadline' }])
    expect(turns).toBe(6)
  })

  test('holds the thread no longer than its slices', async () => {
    const { host, scheduler } = await world(MANY, { maintenance: { minSegmentAgeMs: 30_000 } })
    // By the looks at the clock: each step of work is one, and each is followed by a pause.
    const turns = planSlowly(host, { sliceMs: 0, writes: false })
    await scheduler.runPass('checkpoint_kick')
    expect(turns.count).toBeGreaterThan(20)
  })

  test('cancelled with its pass leaves no plan behind', async () => {
    const { host, scheduler } = await world(MANY, { maintenance: { minSegmentAgeMs: 30_000 } })
    host.plan = (request, signal) => {
      let turns = 0
      const yieldNow = (): Promise<void> => {
        if (++turns === 5) void scheduler.cancelPass()
        return Promise.resolve()
      }
      return planAlone(request, signal, { clock: eagerClock(), yieldNow, sliceMs: 1 })
    }
    const report = await scheduler.runPass('checkpoint_kick')
    expect(report).toMatchObject({ outcome: 'cancelled' })
    expect(host.eventsOf('rewrite_plan_canceled')).toMatchObject([{ why: 'aborted' }])
  })
})

describe('a tick', () => {
  test('plans in slices, and makes no pass of a plan that finds nothing new', async () => {
    const { host } = await world([segment(1, 0.1)], { mode: 'auto' })
    await advance(host, 1_000)
    expect(host.eventsOf('pass_done')).toHaveLength(1)
    const before = host.plans.length
    const turns = planSlowly(host, { sliceMs: 0, writes: false })
    host.list = MANY.map((s) => ({ ...s, bytesLive: s.bytesTotal, bytesStale: 0 }))
    await advance(host, 30_000)
    expect(host.plans.length).toBe(before + 1)
    expect(turns.count).toBeGreaterThan(20)
    expect(host.eventsOf('pass_done')).toHaveLength(1)
  })

  test('that plans is the only one until it has decided, and gives way to a foreground that comes back', async () => {
    const { host } = await world(THREE, { mode: 'auto' })
    let given = 0
    host.onPlan = (signal) =>
      new Promise((resolve) =>
        signal.addEventListener('abort', () => {
          given += 1
          resolve()
        }),
      )
    await advance(host, 3_000)
    expect(host.plans).toHaveLength(1)
    expect(host.eventsOf('maintenance_active_acquire')).toEqual([])
    host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() + 1 }
    await advance(host, 100, 100)
    expect(given).toBe(1)
    expect(host.eventsOf('maintenance_active_acquire')).toEqual([])
  })

  test('is forgotten when the loop is paused while it plans', async () => {
    const { host, scheduler } = await world(THREE, { mode: 'auto' })
    let go: () => void = () => undefined
    host.onPlan = () => new Promise((resolve) => (go = resolve))
    await advance(host, 1_000)
    scheduler.pause()
    go()
    await settle()
    expect(host.eventsOf('maintenance_active_acquire')).toEqual([])
  })

  test('that needs two plans gives each of them its time', async () => {
    const bytesTotal = 512 * 2 ** 20
    const sizes = { bytesTotal, bytesLive: bytesTotal * 0.4, bytesStale: bytesTotal * 0.6 }
    const { host } = await world([segment(9, 0.6, sizes)], {
      mode: 'auto',
      maintenance: { triggerTotalBytes: 1, planTimeoutMs: 300 },
    })
    host.onPlan = () => {
      host.clock.advance(200)
      return Promise.resolve()
    }
    await advance(host, 1_000)
    expect(host.plans.length).toBeGreaterThanOrEqual(2)
    expect(host.eventsOf('rewrite_plan_canceled')).toEqual([])
    expect(host.eventsOf('pass_done')).toMatchObject([{ report: { outcome: 'staged' } }])
  })

  test('whose plan is ended leaves the wait for age as it is', async () => {
    const young = THREE.map((s) => ({ ...s, sealedAtMs: T0 }))
    const { host, scheduler } = await world(young, {
      mode: 'auto',
      maintenance: { minSegmentAgeMs: 300_000, quietWriteWindowMs: 0, planResumeGraceMs: 300 },
    })
    await advance(host, 1_000)
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 300_000)
    host.onPlan = () => {
      for (let turn = 0; turn < 6; turn++) {
        host.clock.advance(50)
        host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() }
      }
      return Promise.resolve()
    }
    await advance(host, 60_000)
    expect(host.eventsOf('rewrite_plan_canceled').length).toBeGreaterThan(0)
    expect(scheduler.info().ageBlockedUntilMs).toBe(T0 + 300_000)
  })

  test('counts its plan once, whether a pass follows or not', async () => {
    const { host, scheduler } = await world(MANY, { mode: 'auto' })
    await advance(host, 1_000)
    const { queue } = scheduler.debt()
    expect(queue.length).toBeGreaterThan(1_000)
    const planSelectedSegments = queue.length
    const first = { planRuns: 1, planSelected: 1, planEmpty: 0, planSelectedSegments }
    expect(scheduler.counters()).toMatchObject(first)
    // What it says once, and what it only looks at.
    host.list = [segment(1, 0.1)]
    await scheduler.setDebt({ queue: [], ledger: [], stage: null })
    await advance(host, 61_000)
    expect(host.eventsOf('pass_done')).toHaveLength(2)
    expect(scheduler.counters()).toMatchObject({ ...first, planRuns: 3, planEmpty: 2 })
    expect(host.eventsOf('rewrite_plan')).toHaveLength(2)
  })

  test.each([
    ['the foreground', 'foreground', { planResumeGraceMs: 300 }],
    ['time', 'deadline', { planTimeoutMs: 300 }],
  ])(
    'whose plan is ended counts and tells that, and the next waits 5 s (by %s)',
    async (_, why, limits) => {
      const maintenance = { quietWriteWindowMs: 0, ...limits }
      const { host, scheduler } = await world(THREE, { mode: 'auto', maintenance })
      host.onPlan = () => {
        for (let turn = 0; turn < 6; turn++) {
          host.clock.advance(50)
          host.activity = { ...host.activity, lastWriteAtMs: host.clock.now() }
        }
        return Promise.resolve()
      }
      await advance(host, 1_000)
      host.onPlan = () => Promise.resolve()
      expect(host.eventsOf('rewrite_plan_canceled')).toMatchObject([{ why, passId: null }])
      expect(host.eventsOf('maintenance_active_acquire')).toEqual([])
      expect(scheduler.counters()).toMatchObject({ planRuns: 1, planCanceled: 1, planSelected: 0 })
      const { lastPlanCanceledAtMs } = scheduler.info()
      expect(lastPlanCanceledAtMs).toBe(T0 + 1_300)
      while (host.clock.now() < T0 + 6_300 - 1_000) await advance(host, 500, 500)
      expect(scheduler.counters().planRuns).toBe(1)
      await advance(host, 2_000)
      expect(scheduler.counters()).toMatchObject({ planRuns: 2, planSelected: 1 })
      expect(scheduler.debt().stage).not.toBeNull()
    },
  )

  test('whose plan fails leaves it to a pass, which reports it', async () => {
    const { host, scheduler } = await world(THREE, { mode: 'auto' })
    host.onPlan = () => Promise.reject(new EngineError('ENGINE_IO', 'no'))
    await advance(host, 1_000)
    expect(host.eventsOf('pass_done')).toMatchObject([{ report: { outcome: 'failed' } }])
    expect(scheduler.counters().planErrors).toBe(1)
  })
})
