/** The scheduler as a debugger: phases one by one, breakpoints, cancelling, options while it runs. */
import { describe, expect, test } from 'vitest'
import type { PassPhase } from '../../../engine/types.ts'
import {
  advance,
  debtOf,
  entry,
  id,
  segment,
  settle,
  staged,
  T0,
  world,
  QUEUE,
  THREE,
} from './fake-host.ts'

describe('stepping', () => {
  test('a kick stops before each of its phases and ends as it would have', async () => {
    const { host, scheduler } = await world([...THREE, segment(4, 0.1)], {
      debt: debtOf([...QUEUE.ledger, entry(4, 0.1)]),
    })
    const phases: (PassPhase | null)[] = []
    let progress = await scheduler.stepPhase('checkpoint_kick')
    while (progress.stop !== null) {
      phases.push(progress.stop.before)
      expect(scheduler.info().stopped).toMatchObject({ passId: 1, before: progress.stop.before })
      expect(scheduler.stoppedPass()).toEqual(progress.stop)
      progress = await scheduler.stepPhase()
    }
    expect(phases).toEqual(['gates', 'prune', 'rewrite', 'gc', 'restage'])
    expect(progress.report).toMatchObject({ source: 'checkpoint_kick', outcome: 'rewrote' })
    expect(host.rewrites).toEqual([[id(3)]])
    expect(scheduler.info()).toMatchObject({ stopped: null, activePass: null })
    expect(scheduler.debt().stage).not.toBeNull()
  })

  test('a plan, its stage and a confirm are phases of their own', async () => {
    const { host, scheduler } = await world(THREE)
    const seen: string[] = []
    let progress = await scheduler.stepPhase()
    while (progress.stop !== null) {
      seen.push(String(progress.stop.before))
      if (progress.stop.before === 'stage') expect(scheduler.debt().queue).toEqual([])
      progress = await scheduler.stepPhase()
    }
    expect(seen).toEqual(['gates', 'plan', 'stage'])
    host.clock.advance(30_000)
    const confirm = await scheduler.stepPhase('rewrite_stage_confirm')
    expect(confirm.stop?.before).toBe('gates')
    expect((await scheduler.stepPhase()).stop?.before).toBe('confirm')
    expect((await scheduler.resumePass()).report?.outcome).toBe('rewrote')
  })

  test('a stopped pass keeps the slot; nothing else runs, and it can be cancelled', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    await scheduler.stepPhase('checkpoint_kick')
    await expect(scheduler.runPass('periodic')).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    expect(await scheduler.cancelPass()).toMatchObject({ outcome: 'cancelled', after: QUEUE })
    expect(host.rewrites).toEqual([])
    expect(await scheduler.cancelPass()).toBeNull()
    await expect(scheduler.resumePass()).rejects.toMatchObject({ code: 'ENGINE_OPTIONS' })
  })

  test('closing lets a stopped pass go', async () => {
    const { scheduler } = await world(THREE, { debt: QUEUE })
    await scheduler.stepPhase('checkpoint_kick')
    await scheduler.close()
    expect(scheduler.info()).toMatchObject({ stopped: null, activePass: null })
  })

  test('a pass that runs and does not stand still cannot be stepped', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    let release: () => void = () => undefined
    host.onRewrite = () => new Promise((resolve) => (release = resolve))
    const running = scheduler.runPass('checkpoint_kick')
    await settle()
    await expect(scheduler.stepPhase()).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    release()
    expect((await running).outcome).toBe('rewrote')
  })
})

describe('breakpoints', () => {
  test('stop any pass before a phase, also one of a timer', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    scheduler.setBreakpoints(['before_rewrite'])
    await advance(host, 30_000)
    expect(scheduler.stoppedPass()).toMatchObject({
      source: 'rewrite_stage_confirm',
      before: 'rewrite',
      why: 'before_rewrite',
    })
    expect(host.rewrites).toEqual([])
    expect((await scheduler.resumePass()).report?.outcome).toBe('rewrote')
  })

  test('on_gate_block shows the gate that blocked', async () => {
    const { host, scheduler } = await world(THREE)
    scheduler.setBreakpoints(['on_gate_block'])
    host.activity = { ...host.activity, lastWriteAtMs: T0 }
    const running = scheduler.runPass('periodic')
    await settle()
    expect(scheduler.stoppedPass()).toMatchObject({
      why: 'on_gate_block',
      before: null,
      text: 'The last write was 0 ms ago; 15 s must pass.',
    })
    await scheduler.resumePass()
    expect((await running).blockedBy).toBe('quiet_writes')
  })

  test('queue_shrank_without_reclaim stops when ids left and nothing was deleted', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    scheduler.setBreakpoints(['queue_shrank_without_reclaim'])
    host.onReclaim = () => {
      const pin = { kind: 'snapshot' as const, pinId: 1, label: 's', sinceMs: T0 }
      host.list = host.list.map((s) => (s.bytesLive === 0 ? { ...s, keptBy: [pin] } : s))
      return Promise.resolve()
    }
    const running = scheduler.runPass('checkpoint_kick')
    await settle()
    expect(scheduler.stoppedPass()?.why).toBe('queue_shrank_without_reclaim')
    await scheduler.resumePass()
    expect((await running).byteFlow).toMatchObject({ pinnedBytes: 1024 * 1024, residualBytes: 0 })
  })

  test('an unknown one is refused and changes nothing', async () => {
    const { scheduler } = await world(THREE)
    scheduler.setBreakpoints(['before_gc', 'before_gc'])
    const bad = ['before_lunch'] as unknown as ['before_gc']
    expect(() => scheduler.setBreakpoints(bad)).toThrow(/before_lunch/)
    expect(scheduler.info().breakpoints).toEqual(['before_gc'])
  })
})

describe('options while it runs', () => {
  test('are checked, evented and followed by timers at once', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const all = scheduler.setOptions({ disableLoop: true, policy: 'a_only' })
    expect(all).toMatchObject({ disableLoop: true, policy: 'a_only', gcEvery: 5 })
    expect(host.eventsOf('options_changed')).toMatchObject([
      { changed: ['policy', 'disableLoop'], options: { disableLoop: true } },
    ])
    expect(scheduler.info()).toMatchObject({ policy: 'a_only', state: 'disabled' })
    await advance(host, 10_000)
    expect(host.rewrites).toEqual([])
    scheduler.setOptions({ disableLoop: false })
    await advance(host, 1_000)
    expect(host.rewrites).toHaveLength(1)
  })

  test('a bad field changes nothing, and all bad ones are named', async () => {
    const { host, scheduler } = await world(THREE)
    const bad = { gcEvery: 0, restage: 'maybe', confirmDelayMs: 5 } as unknown as {
      gcEvery: number
    }
    expect(() => scheduler.setOptions(bad)).toThrow(/gcEvery.*restage/s)
    expect(scheduler.options().confirmDelayMs).toBe(30_000)
    expect(host.types()).not.toContain('options_changed')
    scheduler.setOptions({ gcEvery: 5 })
    expect(host.types()).not.toContain('options_changed')
  })

  test.each([
    ['off', { rewriteBudgetBytesPerSec: 0 }, null],
    [
      'slower and smaller',
      { rewriteBudgetBytesPerSec: 1_000, triggerTotalBytes: 5_000 },
      { bytesPerSecond: 1_000, tokensBytes: 5_000, capBytes: 5_000, accruedAtMs: T0 },
    ],
  ])(
    'a budget that changes while a pass plans is the one that counts after it (%s)',
    async (_, changes, budget) => {
      const { host, scheduler } = await world(THREE)
      host.onPlan = () => {
        scheduler.setOptions(changes)
        host.clock.advance(2_000)
        return Promise.resolve()
      }
      expect((await scheduler.runPass('checkpoint_kick')).outcome).toBe('staged')
      expect(scheduler.info().budget).toEqual(budget)
    },
  )

  test('a loop that is switched off while a pass rewrites is off when it ends', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    host.onRewrite = () => {
      scheduler.setOptions({ disableLoop: true })
      return Promise.resolve()
    }
    await scheduler.runPass('checkpoint_kick')
    expect(scheduler.info().state).toBe('disabled')
  })

  test('a running pass keeps the options it began with', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    host.onRewrite = () => {
      scheduler.setOptions({ confirmDelayMs: 1 })
      return Promise.resolve()
    }
    await scheduler.runPass('checkpoint_kick')
    expect(scheduler.debt().stage?.dueAtMs).toBe(T0 + 30_000)
  })
})
