import fc from 'fast-check'
import { decodeState } from '../../../engine/maintenance/state-file.ts'
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../../engine/errors.ts'
import { MaintenanceScheduler } from '../../../engine/maintenance/scheduler.ts'
import { resolveOptions } from '../../../engine/options.ts'
import type { CheckpointReport, SegmentInfo } from '../../../engine/types.ts'
import {
  advance,
  debtOf,
  entry,
  CHECKPOINT,
  type FakeHost,
  id,
  KIB,
  MIB,
  replay,
  segment,
  settle,
  staged,
  T0,
  world,
  QUEUE,
  THREE,
} from './fake-host.ts'

function checkpoint(overrides: Partial<CheckpointReport> = {}): CheckpointReport {
  return { ...CHECKPOINT, ...overrides }
}

/** Holds the next rewrite until called. */
function holdRewrite(host: FakeHost): () => void {
  let release: () => void = () => undefined
  host.onRewrite = () => {
    host.onRewrite = () => Promise.resolve()
    return new Promise((resolve) => (release = resolve))
  }
  return () => release()
}

test('what is counted beside a pass is told apart from what the pass counts', async () => {
  const { host, scheduler } = await world(THREE)
  host.onRewrite = () => {
    scheduler.countDeleted(1, 10)
    return Promise.resolve()
  }
  await scheduler.rewrite([THREE[0]?.segmentId ?? 0])
  const told = host.events.flatMap((event) =>
    event.type === 'counters_changed' ? [{ ...event.counters, passId: event.passId }] : [],
  )
  const beside = { gcDeletedSegments: 1, gcDeletedBytes: 10, passId: null }
  expect(told.slice(0, 2)).toEqual([{ passes: 1, passId: 1 }, beside])
})

describe('opening', () => {
  test('M6: the ledger is loaded at open, for one entry as for many', async () => {
    const debt = debtOf([entry(1, 0.6)], staged(T0 - 5_000))
    const { host, scheduler } = await world(THREE, { debt })
    expect(scheduler.debt()).toEqual(debt)
    expect(host.eventsOf('debt_changed')).toMatchObject([{ cause: 'loaded', debt }])
    expect(host.saves).toEqual([])
  })

  test('a torn state file is said and then empty', async () => {
    const { host, scheduler } = await world(THREE, { prepare: (h) => (h.stateFile = '{"rewr') })
    expect(host.types()).toEqual(['state_file_ignored'])
    expect(scheduler.debt().queue).toEqual([])
  })

  test('F9: an observation in the future is taken as made at open', async () => {
    const debt = debtOf([entry(1, 0.6)], staged(T0 + 3_600_000))
    const { scheduler } = await world(THREE, { debt })
    expect(scheduler.debt().stage).toEqual(staged(T0))
  })

  test('staged debt comes back by its own timer, without waiting for a kick', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 20_000))
    const { host } = await world(THREE, { debt, mode: 'auto' })
    await advance(host, 9_000)
    expect(host.rewrites).toEqual([])
    await advance(host, 1_000)
    expect(host.rewrites).toEqual([[id(3)]])
  })

  test('nothing runs before load, nor after close', async () => {
    const { host, scheduler } = await world(THREE)
    const early = new MaintenanceScheduler(host, resolveOptions({}))
    expect(() => early.plan()).toThrow(EngineError)
    await expect(early.runPass('periodic')).rejects.toMatchObject({ code: 'ENGINE_NOT_OPEN' })
    await scheduler.close()
    expect(() => scheduler.plan()).toThrow(EngineError)
    await scheduler.close()
  })
})

describe('slot', () => {
  test('a second pass is refused and the collision is told', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    const release = holdRewrite(host)
    const first = scheduler.runPass('periodic')
    expect(scheduler.info().activePass).toEqual({ passId: 1, source: 'periodic', startedAtMs: T0 })
    await expect(scheduler.runPass('checkpoint_kick')).rejects.toMatchObject({
      code: 'ENGINE_BUSY',
    })
    await expect(scheduler.gc({ dryRun: false })).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    expect(host.eventsOf('maintenance_retry_collision')).toMatchObject([
      { source: 'checkpoint_kick', active: 'periodic' },
      { source: 'manual', active: 'periodic' },
    ])
    await settle()
    release()
    expect((await first).outcome).toBe('rewrote')
    expect(host.rewrites).toHaveLength(1)
    expect(scheduler.info().activePass).toBeNull()
  })

  test('a listener that answers the first event of a pass finds the slot taken', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    let answer: Promise<unknown> = Promise.resolve()
    const emit = host.emit.bind(host)
    host.emit = (body, passId) => {
      emit(body, passId)
      if (body.type !== 'maintenance_active_acquire') return
      answer = scheduler.runPass('periodic').catch((error: unknown) => error)
    }
    await scheduler.runPass('periodic')
    expect(await answer).toMatchObject({ code: 'ENGINE_BUSY' })
  })
})

/** Holds the next save until called; with an error the disk refuses it. */
function holdSave(host: FakeHost): (error: Error | null) => void {
  let release: (error: Error | null) => void = () => undefined
  host.onSave = () => {
    host.onSave = () => Promise.resolve()
    return new Promise((resolve, reject) => {
      release = (error) => (error === null ? resolve() : reject(error))
    })
  }
  return (error) => release(error)
}

describe('debt that is being set', () => {
  /** Debt of one segment more is on its way to the disk. */
  async function setting(setup: Parameters<typeof world>[1] = {}) {
    const made = await world(THREE, { mode: 'auto', ...setup })
    const release = holdSave(made.host)
    const set = made.scheduler.setDebt(setup.debt ?? QUEUE)
    return { ...made, set, release }
  }

  test('holds the slot: a tick meanwhile starts nothing, and the next one does', async () => {
    const { host, scheduler, set, release } = await setting()
    await advance(host, 3_000)
    expect(host.eventsOf('maintenance_failed')).toEqual([])
    expect(scheduler.info()).toMatchObject({ state: 'idle', paused: false, activePass: null })
    expect(host.plans).toEqual([])
    release(null)
    await set
    await advance(host, 1_000)
    expect(host.rewrites).toEqual([[id(3)]])
  })

  test.each([['saved'], ['refused by the disk']])(
    'makes a kick of meanwhile wait for it, which then runs as a delayed one (%s)',
    async (how) => {
      const { host, scheduler, set, release } = await setting({ debt: QUEUE })
      const failed = how === 'saved' ? null : new EngineError('ENGINE_IO', 'disk full')
      scheduler.afterCheckpoint(checkpoint())
      scheduler.afterCheckpoint(checkpoint())
      await settle()
      expect(scheduler.counters()).toMatchObject({ checkpointKicks: 0, passCollisions: 0 })
      expect(scheduler.info()).toMatchObject({ checkpointKickPending: true, paused: false })
      release(failed)
      expect(await set.catch((error: unknown) => error)).toBe(failed ?? undefined)
      await settle()
      expect(host.eventsOf('maintenance_active_acquire')).toMatchObject([
        { source: 'checkpoint_pending' },
      ])
      expect(host.eventsOf('checkpoint_kick_done')).toHaveLength(1)
      expect(scheduler.counters().checkpointKicks).toBe(1)
      expect(scheduler.info().paused).toBe(false)
    },
  )

  test('refuses a kick that is asked for, without counting it', async () => {
    const { host, scheduler, set, release } = await setting({ mode: 'step' })
    expect(await scheduler.kickFromCheckpoint()).toEqual({
      pass: null,
      skipped: 'The slot is taken: the debt is being set.',
    })
    await expect(scheduler.runPass('periodic')).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    await expect(scheduler.setDebt(QUEUE)).rejects.toMatchObject({ code: 'ENGINE_BUSY' })
    expect(host.eventsOf('checkpoint_kick_start')).toEqual([])
    expect(scheduler.counters()).toMatchObject({ checkpointKicks: 0, passes: 0 })
    release(null)
    await set
  })

  test('remembers a confirm that comes due meanwhile, and runs it when it is there', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 29_500))
    const { host, scheduler, set, release } = await setting({ debt })
    await advance(host, 500)
    expect(scheduler.info()).toMatchObject({ deferredPending: true, paused: false })
    release(null)
    await set
    await settle()
    expect(host.rewrites).toEqual([[id(3)]])
    expect(scheduler.info()).toMatchObject({ deferredPending: false, paused: false })
  })

  test('a debugger that asks to step is refused, and the next pass runs through', async () => {
    const { host, scheduler, set, release } = await setting()
    const refused = await scheduler.stepPhase('checkpoint_kick').catch((error: unknown) => error)
    expect(refused instanceof EngineError && refused.code).toBe('ENGINE_BUSY')
    release(null)
    await set
    await advance(host, 1_000)
    expect(scheduler.stoppedPass()).toBeNull()
    expect(host.rewrites).toEqual([[id(3)]])
  })

  test('is waited for by closing, and so is a pause file', async () => {
    const { host, scheduler, set, release } = await setting({ pauseFile: '/pause' })
    let written: () => void = () => undefined
    host.writePauseFile = () => new Promise((resolve) => (written = resolve))
    const file = scheduler.setPauseFile('busy')
    let closed = false
    const closing = scheduler.close().then(() => (closed = true))
    await settle()
    expect(closed).toBe(false)
    release(null)
    await set
    await settle()
    expect([closed, host.saves.length]).toEqual([false, 1])
    written()
    await file
    await closing
    await advance(host, 60_000)
    expect(host.rewrites).toEqual([])
  })
})

describe('checkpoint kick', () => {
  test('a foreground checkpoint kicks in auto mode; others and empty ones do not', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    scheduler.afterCheckpoint(checkpoint({ reason: 'maintenance' }))
    scheduler.afterCheckpoint(checkpoint({ noop: true }))
    await settle()
    expect(host.rewrites).toEqual([])
    scheduler.afterCheckpoint(checkpoint())
    await settle()
    expect(host.rewrites).toEqual([[id(3)]])
    expect(scheduler.counters()).toMatchObject({ checkpointKicks: 1, passes: 1, rewriteRuns: 1 })
    expect(host.eventsOf('checkpoint_kick_done')).toMatchObject([
      { rewriteRunsBefore: 0, rewriteRunsAfter: 1, gcRunsBefore: 0, gcRunsAfter: 1 },
    ])
  })

  test('kicks keep their distance', async () => {
    const { host, scheduler } = await world(THREE, { mode: 'auto' })
    scheduler.afterCheckpoint(checkpoint())
    await settle()
    host.clock.advance(4_000)
    scheduler.afterCheckpoint(checkpoint())
    await settle()
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'min_interval' }])
    expect(scheduler.counters().checkpointKicks).toBe(1)
  })

  test('one that finds the slot taken runs when it is free', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const release = holdRewrite(host)
    const first = scheduler.runPass('periodic')
    await settle()
    scheduler.afterCheckpoint(checkpoint())
    scheduler.afterCheckpoint(checkpoint())
    release()
    await first
    await settle()
    expect(host.rewrites).toEqual([[id(3)], [id(2)]])
    expect(scheduler.counters().checkpointKicks).toBe(1)
  })

  test('one that piled up while a hot pass restaged is dropped with it', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    const release = holdRewrite(host)
    scheduler.afterCheckpoint(checkpoint())
    await settle()
    scheduler.afterCheckpoint(checkpoint())
    // Long enough that the interval between kicks would let another one through.
    await advance(host, 6_000)
    release()
    await settle()
    expect(scheduler.counters()).toMatchObject({ checkpointKicks: 1, passes: 1 })
  })

  test('in step mode it is skipped, and answered when asked for', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    scheduler.afterCheckpoint(checkpoint())
    await settle()
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'step_mode' }])
    const answer = await scheduler.kickFromCheckpoint()
    expect(answer).toMatchObject({ skipped: null, pass: { source: 'checkpoint_kick' } })
    expect(await scheduler.kickFromCheckpoint()).toMatchObject({ pass: null })
    const small = await world([segment(1, 0.9)], { maintenance: { triggerTotalBytes: 2 * MIB } })
    const floor = await small.scheduler.kickFromCheckpoint()
    expect(floor.skipped).toBe('1.00 MiB in 1 segment; the floor is 2.00 MiB.')
  })

  test('in auto mode the answer is the kick that the checkpoint itself caused', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    scheduler.afterCheckpoint(checkpoint())
    const answer = await scheduler.kickFromCheckpoint()
    expect(answer.pass?.outcome).toBe('rewrote')
    expect(host.rewrites).toHaveLength(1)
  })

  test('one checkpoint that is asked for with its kick is one kick or one skip', async () => {
    const { host, scheduler } = await world(THREE, { mode: 'auto' })
    const asked = () => {
      const report = checkpoint()
      scheduler.afterCheckpoint(report)
      return scheduler.kickFromCheckpoint(report)
    }
    expect(await asked()).toMatchObject({ skipped: null, pass: { source: 'checkpoint_kick' } })
    expect(scheduler.counters()).toMatchObject({ checkpointKicks: 1, checkpointKickSkips: 0 })
    await scheduler.setDebt({ queue: [], ledger: [], stage: null })
    host.clock.advance(100)
    const refused = await asked()
    expect(refused.skipped).toMatch(/^The last checkpoint kick was 100 ms ago/)
    expect(scheduler.counters().checkpointKickSkips).toBe(1)
    scheduler.pause()
    expect(await asked()).toEqual({ pass: null, skipped: 'The scheduler is paused.' })
    expect(host.eventsOf('checkpoint_kick_skip').map(({ reason }) => reason)).toEqual([
      'min_interval',
      'paused',
    ])
  })

  test('one that is asked for runs where checkpoints do not kick by themselves', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    for (const maintenance of [{}, { disableCheckpointKick: true }]) {
      const { scheduler } = await world(THREE, { debt, mode: 'auto', maintenance })
      const report = checkpoint()
      scheduler.afterCheckpoint(report)
      expect(await scheduler.kickFromCheckpoint(report)).toMatchObject({
        skipped: null,
        pass: { blockedBy: 'stage_not_pending' },
      })
    }
  })

  test('paused, nothing is kicked; asked-for passes run', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    scheduler.pause()
    scheduler.afterCheckpoint(checkpoint())
    await advance(host, 5_000)
    expect(host.rewrites).toEqual([])
    expect(host.eventsOf('checkpoint_kick_skip')).toMatchObject([{ reason: 'paused' }])
    expect((await scheduler.runPass('periodic')).outcome).toBe('rewrote')
    scheduler.resume()
    await advance(host, 1_000)
    expect(host.rewrites).toHaveLength(2)
  })
})

describe('loop', () => {
  test('a quiet store drains its queue tick by tick, then plans, stages and confirms', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    await advance(host, 3_000)
    expect(host.rewrites).toEqual([[id(3)], [id(2)], [id(1)]])
    host.list = [segment(7, 0.5)]
    await advance(host, 1_000)
    expect(scheduler.debt().stage?.dueAtMs).toBe(T0 + 34_000)
    await advance(host, 30_000)
    expect(host.rewrites.at(-1)).toEqual([id(7)])
    expect(scheduler.debt().queue).toEqual([])
  })

  test('restaged debt is executed one segment per confirm delay', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    await advance(host, 89_000)
    expect(host.rewrites).toEqual([[id(3)], [id(2)]])
    await advance(host, 1_000)
    expect(host.rewrites).toHaveLength(3)
    expect(scheduler.debt().stage).toBeNull()
  })

  test('a store at rest says once why, not every second', async () => {
    const { host } = await world([segment(1, 0.1)], { mode: 'auto' })
    host.activity = { ...host.activity, lastWriteAtMs: T0 }
    await advance(host, 120_000)
    const outcomes = host.eventsOf('pass_done').map((e) => e.report.blockedBy ?? e.report.outcome)
    expect(outcomes).toEqual(['quiet_writes', 'nothing_to_do'])
    expect(host.types().filter((t) => t === 'maintenance_active_acquire')).toHaveLength(2)
  })

  test('asked for, an idle pass always reports', async () => {
    const { host, scheduler } = await world([segment(1, 0.1)])
    await scheduler.runPass('periodic')
    await scheduler.runPass('periodic')
    expect(host.eventsOf('pass_done')).toHaveLength(2)
  })

  test('every fifth tick may run GC, and only that while little is dead', async () => {
    const { host } = await world([segment(1, 0)], { mode: 'auto' })
    await advance(host, 3_000)
    host.list = [segment(2, 1, { bytesTotal: MIB - 1 })]
    await advance(host, 1_000)
    expect(host.reclaims).toEqual([])
    await advance(host, 1_000)
    expect(host.reclaims).toEqual([false])
  })

  test('step mode disarms everything, auto mode arms it again', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    scheduler.setMode('step')
    await advance(host, 60_000)
    expect(host.rewrites).toEqual([])
    expect(scheduler.info()).toMatchObject({ mode: 'step', state: 'disabled' })
    scheduler.setMode('auto')
    await advance(host, 1)
    expect(host.rewrites).toHaveLength(1)
  })

  test('a stage that comes due while another pass runs is confirmed after it', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(THREE, { debt, mode: 'auto' })
    const release = holdRewrite(host)
    const manual = scheduler.rewrite([id(1)])
    await settle()
    await advance(host, 31_000)
    release()
    await manual
    await advance(host, 1)
    expect(host.rewrites).toEqual([[id(1)], [id(3)]])
  })

  test('D1, F6: a confirm that keeps failing runs once per delay, even when nothing can be saved', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 30_000))
    for (const broken of ['onRewrite', 'onSave'] as const) {
      const { host } = await world(THREE, { debt, mode: 'auto' })
      let attempts = 0
      const refuse = (): Promise<void> => {
        attempts += 1
        return Promise.reject(new EngineError('ENGINE_IO', 'disk full'))
      }
      host.onRewrite = refuse
      if (broken === 'onSave') host.onSave = refuse
      await advance(host, 29_000, 100)
      const perRun = broken === 'onSave' ? 2 : 1
      expect(attempts).toBe(perRun)
      await advance(host, 2_000, 100)
      expect(attempts).toBe(2 * perRun)
    }
  })

  test('closed, no timer is left', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE, mode: 'auto' })
    await scheduler.close()
    await advance(host, 60_000)
    expect(host.rewrites).toEqual([])
  })
})

describe('events', () => {
  const anyStep = fc.oneof(
    fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(500, 1_000, 12_000, 31_000),
    }),
    fc.record({
      do: fc.constantFrom('kick', 'periodic', 'confirm', 'stage', 'gc', 'rewrite', 'checkpoint'),
    }),
    fc.record({ do: fc.constantFrom('pause', 'resume', 'step', 'auto', 'fail', 'heal') }),
    fc.record({ do: fc.constant('write' as const), seq: fc.integer({ min: 1, max: 6 }) }),
  )

  test('rebuild debt, scheduler and counters exactly, whatever happened', async () => {
    const anySegments = fc
      .array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 6 })
      .map((all) => all.map((percent, i): SegmentInfo => segment(i + 1, percent / 100)))
    await fc.assert(
      fc.asyncProperty(anySegments, fc.array(anyStep, { maxLength: 14 }), async (list, steps) => {
        const { host, scheduler } = await world(list, {
          mode: 'auto',
          debt: debtOf([entry(1, 0.6)], staged(T0 - 10_000)),
          maintenance: { gcMinBytes: KIB },
        })
        host.events.length = 0
        const start = {
          debt: scheduler.debt(),
          scheduler: scheduler.info(),
          counters: scheduler.counters(),
        }
        const ignore = (): undefined => undefined
        for (const step of steps) {
          if (step.do === 'advance') await advance(host, step.ms, step.ms)
          if (step.do === 'kick') await scheduler.kickFromCheckpoint()
          if (step.do === 'periodic') await scheduler.runPass('periodic')
          if (step.do === 'confirm') await scheduler.runPass('rewrite_stage_confirm')
          if (step.do === 'stage') await scheduler.stage({ minStaleRatio: 0.1 })
          if (step.do === 'gc') await scheduler.gc({ dryRun: false }).catch(ignore)
          if (step.do === 'rewrite') await scheduler.rewrite([id(1), id(2)])
          if (step.do === 'checkpoint') scheduler.afterCheckpoint(checkpoint())
          if (step.do === 'pause') scheduler.pause()
          if (step.do === 'resume') scheduler.resume()
          if (step.do === 'step' || step.do === 'auto') scheduler.setMode(step.do)
          if (step.do === 'fail') {
            host.onReclaim = () => Promise.reject(new EngineError('ENGINE_IO', 'no'))
          }
          if (step.do === 'heal') host.onReclaim = () => Promise.resolve()
          if (step.do === 'write') {
            const { seq } = step
            host.list = host.list.map((s) => (s.seq === seq ? segment(seq, 0.5) : s))
          }
          await settle()
          const state = {
            debt: scheduler.debt(),
            scheduler: scheduler.info(),
            counters: scheduler.counters(),
          }
          expect(replay(start, host.events)).toEqual(state)
          const { queue, stage } = scheduler.debt()
          if (queue.length === 0) expect(stage).toBeNull()
          const empty = decodeState(host.stateFile, 0).extras.history.length === 0
          expect(host.stateFile === null).toBe(queue.length === 0 && empty)
        }
        await scheduler.close()
      }),
      { numRuns: 150 },
    )
  })
})
