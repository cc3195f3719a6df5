import { describe, expect, test } from 'vitest'
import { AssertionError } from '../../../engine/assert.ts'
import { EngineError } from '../../../engine/errors.ts'
import { queueOnlyDebt } from '../../../engine/maintenance/ledger.ts'
import type { PassReport } from '../../../engine/types.ts'
import { advance, debtOf, entry, id, MIB, segment, staged, T0, world } from './fake-host.ts'

const FOUR = [segment(1, 0.6), segment(2, 0.7), segment(3, 0.8), segment(4, 0.9)]
const QUEUE = debtOf([entry(1, 0.6), entry(2, 0.7), entry(3, 0.8), entry(4, 0.9)])

function stepKinds(report: PassReport): string[] {
  return report.steps.map((step) => step.kind)
}

describe('hot pass', () => {
  test('M2: a kick rewrites one queued segment and restages the rest after rewrite and GC', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    const takes = (ms: number) => (): Promise<void> => {
      host.clock.advance(ms)
      return Promise.resolve()
    }
    host.onRewrite = takes(700)
    host.onReclaim = takes(300)
    const report = await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toEqual([[id(4)]])
    expect(report).toMatchObject({ outcome: 'rewrote', blockedBy: null, error: null })
    expect(stepKinds(report)).toEqual(['rewrite', 'consume', 'gc', 'restage'])
    expect(scheduler.debt().queue).toEqual([id(1), id(2), id(3)])
    expect(scheduler.debt().stage).toMatchObject({ observedAtMs: T0 + 1_000, minStaleRatio: 0.2 })
    expect(report.before).toEqual(QUEUE)
    expect(report.after).toBe(scheduler.debt())
    expect(report.sentence).toBe(
      'Rewrote 1 of 4 queued segments (value-l0-000004, 90 % stale), copied 102 KiB, deleted 1.00 MiB; 3 restaged, confirm due in 30 s.',
    )
    const next = await scheduler.runPass('checkpoint_kick')
    expect(next).toMatchObject({ outcome: 'blocked', blockedBy: 'stage_not_pending', steps: [] })
    expect(host.rewrites).toHaveLength(1)
  })

  test('with restage off four kicks drain the queue', async () => {
    const { host, scheduler } = await world(FOUR, {
      debt: QUEUE,
      maintenance: { restage: 'off' },
    })
    for (let kick = 0; kick < 4; kick += 1) await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toEqual([[id(4)], [id(3)], [id(2)], [id(1)]])
    expect(scheduler.debt()).toEqual({ queue: [], ledger: [], stage: null })
    // What the rewrites came to is left, until it is too old to say anything.
    expect(Object.keys(JSON.parse(host.stateFile ?? '{}') as object)).toEqual(['rewrite_history'])
  })

  test('what a rewrite came to is in the file, with the save that restages the rest', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    await scheduler.runPass('checkpoint_kick')
    const { rewrite_history: history } = JSON.parse(host.stateFile ?? '{}') as {
      rewrite_history: unknown
    }
    const { bytesTotal, bytesStale } = FOUR[3] ?? segment(4, 0.9)
    expect(history).toEqual([
      {
        file_id: String(id(4)),
        last_attempt_unix_nano: Number(BigInt(T0) * 1_000_000n),
        last_processed_live_bytes: entry(4, 0.9).bytesLive,
        last_source_bytes_unreferenced: bytesTotal,
        last_reclaimed_bytes: bytesStale,
        last_stale_bytes: bytesStale,
      },
    ])
    // Consumed, then restaged: no save of its own.
    expect(host.saves).toHaveLength(2)
    expect(scheduler.debt().stage).not.toBeNull()
  })

  test('a source that stays is remembered as one that freed nothing', async () => {
    const { host, scheduler } = await world(FOUR)
    host.onReclaim = () => Promise.reject(new EngineError('ENGINE_IO', 'no space'))
    const report = await scheduler.rewrite([id(2)])
    expect(report.outcome).toBe('failed')
    expect(host.stateFile).toBeNull()
    host.onReclaim = () => {
      host.list = host.list.map((s) => ({ ...s, keptBy: [{ kind: 'journal' }] }))
      return Promise.resolve()
    }
    await scheduler.rewrite([id(3)])
    expect(host.stateFile).toContain('last_source_bytes_unreferenced')
    expect(host.stateFile).not.toContain('last_reclaimed_bytes')
  })

  test('with restage off a confirm leaves the rest open to the next pass', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 30_000))
    const { host, scheduler } = await world(FOUR, { debt, maintenance: { restage: 'off' } })
    await scheduler.runPass('rewrite_stage_confirm')
    expect(scheduler.debt()).toMatchObject({ queue: [id(1), id(2), id(3)], stage: null })
    expect(host.stateFile).toContain('"rewrite_stage_min_stale_ratio": 0.2')
  })

  test('M2: a fresh total-bytes plan is saved, executed by one, and its rest is staged', async () => {
    const { host, scheduler } = await world(FOUR, { maintenance: { triggerTotalBytes: MIB } })
    const report = await scheduler.runPass('checkpoint_kick')
    expect(stepKinds(report)).toEqual(['plan', 'rewrite', 'consume', 'gc', 'restage'])
    expect(host.saves[0]).toContain('"2147483652"')
    expect(host.eventsOf('debt_changed').map((e) => [e.cause, e.debt.queue.length])).toEqual([
      ['planned', 4],
      ['consumed', 3],
      ['restaged', 3],
    ])
    expect(scheduler.debt().stage?.minStaleRatio).toBe(0)
  })

  test('F4: queue-only debt is restaged too, and stays so over a reopening', async () => {
    const { host, scheduler } = await world(FOUR, { debt: queueOnlyDebt([id(1), id(2), id(3)]) })
    await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toEqual([[id(1)]])
    expect(scheduler.debt()).toMatchObject({ queue: [id(2), id(3)], ledger: [] })
    expect(scheduler.debt().stage).not.toBeNull()
    await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toHaveLength(1)

    const again = await world(host.list, { prepare: (next) => (next.stateFile = host.stateFile) })
    expect(again.scheduler.debt()).toEqual(scheduler.debt())
    expect((await again.scheduler.runPass('checkpoint_kick')).outcome).toBe('blocked')
  })

  test('D3: a GC error after the rewrite still restages the rest', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    host.onReclaim = () => Promise.reject(new EngineError('ENGINE_IO', 'unlink refused'))
    const report = await scheduler.runPass('checkpoint_kick')
    expect(report).toMatchObject({
      outcome: 'failed',
      error: { code: 'ENGINE_IO', message: 'unlink refused' },
    })
    expect(scheduler.debt().queue).toHaveLength(3)
    expect(scheduler.debt().stage?.dueAtMs).toBe(T0 + 30_000)
    expect(scheduler.info().state).toBe('error')
  })

  test('emits the events of a resumed kick in upstream order', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    host.events.length = 0
    await scheduler.kickFromCheckpoint()
    const words = host
      .types()
      .filter((type) => type !== 'scheduler_changed' && type !== 'counters_changed')
    expect(words).toEqual([
      'checkpoint_kick_start',
      'maintenance_active_acquire',
      'rewrite_start',
      'rewrite_exec',
      'rewrite_done',
      'debt_changed',
      'gc_run',
      'rewrite_retained_cleanup_done',
      'rewrite_source_state',
      'rewrite_effective_local',
      'rewrite_queue_restage',
      'debt_changed',
      'rewrite_queue_restaged',
      'maintenance_active_release',
      'pass_done',
      'checkpoint_kick_done',
    ])
    // The one that is deleted has a name all the same.
    expect(host.eventsOf('rewrite_source_state')).toMatchObject([
      { segmentId: id(4), exists: false, file: segment(4, 0.9).file },
    ])
    host.events.length = 0
    host.clock.advance(5_000)
    await scheduler.kickFromCheckpoint()
    expect(host.types().filter((t) => t.startsWith('rewrite') || t.startsWith('gc'))).toEqual([])
  })
})

describe('periodic pass', () => {
  test('F8: drains one segment a pass without restaging, a second apart', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    const first = await scheduler.runPass('periodic')
    expect(first.outcome).toBe('rewrote')
    expect(scheduler.debt()).toMatchObject({ queue: [id(1), id(2), id(3)], stage: null })
    expect(first.sentence).toContain('3 remain queued')
    const early = await scheduler.runPass('periodic')
    expect(early).toMatchObject({ outcome: 'blocked', blockedBy: 'rewrite_min_interval' })
    host.clock.advance(1_000)
    await scheduler.runPass('periodic')
    expect(host.rewrites).toEqual([[id(4)], [id(3)]])
  })

  test('a total-bytes plan drains at its own floor, also after a reopening', async () => {
    const low = [segment(1, 0.1), segment(2, 0.9)]
    const { host, scheduler } = await world(low, { maintenance: { triggerTotalBytes: MIB } })
    await scheduler.runPass('periodic')
    expect(scheduler.debt()).toMatchObject({ queue: [id(1)], stage: null })
    const again = await world(host.list, { prepare: (next) => (next.stateFile = host.stateFile) })
    await again.scheduler.runPass('periodic')
    expect(again.host.rewrites).toEqual([[id(1)]])
  })

  test('D6: staging and empty passes do not count as rewrites', async () => {
    const { host, scheduler } = await world(FOUR)
    await scheduler.runPass('periodic')
    expect(scheduler.debt().stage).not.toBeNull()
    expect(host.rewrites).toEqual([])
    expect(scheduler.info()).toMatchObject({ lastRewriteAtMs: null, lastPlanAtMs: T0 })
    const empty = await world([segment(1, 0)])
    await empty.scheduler.runPass('periodic')
    expect(empty.scheduler.info().lastRewriteAtMs).toBeNull()
  })

  test('F12, B15: ids without economics are kept and resumed in their order', async () => {
    const { host, scheduler } = await world(FOUR, { debt: queueOnlyDebt([id(2), id(4)]) })
    await scheduler.runPass('periodic')
    expect(host.rewrites).toEqual([[id(2)]])
    expect(scheduler.debt()).toEqual({ queue: [id(4)], ledger: [], stage: null })
    expect(host.eventsOf('rewrite_plan')).toEqual([])
  })

  test('says who is too young and for how long', async () => {
    const young = [1, 2, 3].map((seq) => segment(seq, 0.9, { sealedAtMs: T0 - 18_000 + seq }))
    const { scheduler } = await world(young)
    const report = await scheduler.runPass('periodic')
    expect(report.outcome).toBe('nothing_to_do')
    expect(report.sentence).toBe(
      'Nothing to rewrite: 3 candidates are younger than 30 s, the first is old enough in 12 s.',
    )
  })

  test('says how stale the most stale segment is', async () => {
    const { scheduler } = await world([segment(1, 0.125)])
    expect((await scheduler.runPass('periodic')).sentence).toBe(
      'Nothing to rewrite: the most stale sealed segment, value-l0-000001, has 12.5 %; the floor is 20 %.',
    )
  })

  test('names the gate that blocks, with its numbers', async () => {
    const { host, scheduler } = await world(FOUR)
    host.activity = { ...host.activity, lastWriteAtMs: T0 - 5_000 }
    const report = await scheduler.runPass('periodic')
    expect(report).toMatchObject({ outcome: 'blocked', blockedBy: 'quiet_writes' })
    expect(report.sentence).toBe('Nothing done: the last write was 5 s ago; 15 s must pass.')
  })

  test('reclaims dead segments and counts it', async () => {
    const { host, scheduler } = await world([segment(1, 1), segment(2, 0)])
    const report = await scheduler.runPass('periodic')
    expect(report.outcome).toBe('reclaimed')
    expect(host.reclaims).toEqual([false])
    expect(scheduler.counters()).toMatchObject({
      gcRuns: 1,
      gcDeletedSegments: 1,
      gcDeletedBytes: MIB,
    })
    expect(scheduler.info().lastGcAtMs).toBe(T0)
  })
})

describe('stage confirm', () => {
  test('executes one from the persisted ledger, keeps its floor and restages the rest', async () => {
    const debt = debtOf([entry(1, 0.6), entry(4, 0.9)], staged(T0 - 31_000, 0.55))
    const { host, scheduler } = await world(FOUR, { debt })
    const report = await scheduler.runPass('rewrite_stage_confirm')
    expect(stepKinds(report)).toEqual(['confirm', 'rewrite', 'consume', 'gc', 'restage'])
    expect(host.eventsOf('rewrite_stage_confirm_due')).toMatchObject([{ observedAgeMs: 31_000 }])
    expect(host.eventsOf('rewrite_stage_confirm_use_persisted')).toMatchObject([
      { queued: 2, ledger: 2 },
    ])
    expect(host.eventsOf('rewrite_plan')).toEqual([])
    expect(host.rewrites).toEqual([[id(4)]])
    expect(scheduler.debt().stage).toEqual(staged(T0, 0.55))
  })

  test('F13: one staged segment is loaded, confirmed and consumed; a missing one clears the queue', async () => {
    const debt = debtOf([entry(4, 0.9)], staged(T0 - 30_000))
    const { host, scheduler } = await world(FOUR, { debt })
    await scheduler.runPass('rewrite_stage_confirm')
    expect(host.rewrites).toEqual([[id(4)]])
    expect(host.eventsOf('rewrite_stage_confirm_use_persisted')).toMatchObject([
      { queued: 1, ledger: 1 },
    ])
    expect(host.eventsOf('rewrite_plan')).toEqual([])
    expect(scheduler.debt().queue).toEqual([])

    const gone = await world([segment(1, 0)], { debt })
    const report = await gone.scheduler.runPass('rewrite_stage_confirm')
    expect(gone.host.rewrites).toEqual([])
    expect(gone.scheduler.debt()).toEqual({ queue: [], ledger: [], stage: null })
    expect(gone.host.eventsOf('rewrite_queue_missing_prune')).toMatchObject([
      { dropped: [id(4)], remaining: 0, stagePending: false },
    ])
    expect(report.outcome).toBe('nothing_to_do')
  })

  test('F16: a segment staged at 30 % is rewritten by its confirm', async () => {
    const { host, scheduler } = await world([segment(1, 0.3)])
    await scheduler.runPass('periodic')
    expect(scheduler.debt().stage?.minStaleRatio).toBe(0.2)
    host.clock.advance(30_000)
    await scheduler.runPass('rewrite_stage_confirm')
    expect(host.rewrites).toEqual([[id(1)]])
    expect(scheduler.debt().stage).toBeNull()
  })

  test('F6: a confirm that finds nothing clears the stage', async () => {
    const debt = debtOf([entry(1, 0.6)], staged(T0 - 30_000, 0.6))
    const { host, scheduler } = await world([segment(1, 0.4), segment(2, 1)], { debt })
    const report = await scheduler.runPass('rewrite_stage_confirm')
    expect(scheduler.debt()).toEqual({ queue: [], ledger: [], stage: null })
    expect(stepKinds(report)).toEqual(['prune_quality', 'confirm', 'gc'])
    expect(host.eventsOf('rewrite_stage_cleared')).toHaveLength(1)
    expect(host.stateFile).toBeNull()
  })

  test('a prune tells how long it took, with the saving of the state', async () => {
    const ledger = [entry(1, 0.6), entry(2, 0.6), entry(4, 0.6)]
    const debt = debtOf(ledger, staged(T0 - 30_000, 0.5))
    const { host, scheduler } = await world([segment(1, 0.3), segment(2, 0.6)], { debt })
    // The manual clock's monotonic time moves by a thousandth of a millisecond each time it is asked.
    host.onSave = () => {
      for (let asked = 0; asked < 7000; asked += 1) host.clock.monotonic()
      return Promise.resolve()
    }
    const report = await scheduler.runPass('rewrite_stage_confirm')
    const prunes = report.steps.flatMap((step) =>
      step.kind === 'prune_missing' || step.kind === 'prune_quality'
        ? [[step.kind, step.segmentIds, Math.round(step.elapsedMs)]]
        : [],
    )
    expect(prunes).toEqual([
      ['prune_missing', [id(4)], 7],
      ['prune_quality', [id(1)], 7],
    ])
  })

  test('F5: what the confirm dropped is dropped on disk before anything is executed, and never run', async () => {
    const debt = debtOf([entry(1, 0.875), entry(2, 0.69), entry(3, 0.6)], staged(T0 - 30_000, 0.5))
    // The first has become small: the most stale one still, with too few bytes to be worth it.
    const small = segment(1, 0.9, { bytesTotal: 4000, bytesLive: 400, bytesStale: 3600 })
    const { host, scheduler } = await world([small, segment(2, 0.69), segment(3, 0.6)], {
      debt,
      maintenance: { minSegmentStaleBytes: 4096 },
    })
    let onDisk: string | null = null
    host.onRewrite = () => Promise.resolve(void (onDisk = host.stateFile))
    const report = await scheduler.runPass('rewrite_stage_confirm')
    expect(stepKinds(report).slice(0, 2)).toEqual(['prune_quality', 'confirm'])
    expect(host.rewrites).toEqual([[id(2)]])
    expect(onDisk).not.toContain('2147483649')
    host.clock.advance(30_000)
    await scheduler.runPass('rewrite_stage_confirm')
    expect(host.rewrites).toEqual([[id(2)], [id(3)]])
  })

  test('D1: a rewrite error postpones the confirm instead of leaving it due', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 30_000))
    const { host, scheduler } = await world(FOUR, { debt })
    host.onRewrite = () => Promise.reject(new EngineError('ENGINE_IO', 'disk full'))
    const report = await scheduler.runPass('rewrite_stage_confirm')
    expect(report).toMatchObject({ outcome: 'failed', error: { code: 'ENGINE_IO' } })
    expect(stepKinds(report)).toEqual(['confirm', 'confirm'])
    expect(scheduler.debt()).toEqual({ ...debt, stage: staged(T0) })
    expect(host.eventsOf('rewrite_err')).toMatchObject([{ code: 'ENGINE_IO' }])
    expect(report.sentence).toBe('Failed: disk full. 4 segments stay queued.')
  })

  test('a confirm that is not due changes nothing', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0 - 12_000))
    const { host, scheduler } = await world(FOUR, { debt })
    const report = await scheduler.runPass('rewrite_stage_confirm')
    expect(report).toMatchObject({ outcome: 'blocked', blockedBy: 'stage_due', after: debt })
    expect(host.saves).toEqual([])
  })
})

describe('manual pass', () => {
  test('rewrites the named segments in one call and leaves the stage alone', async () => {
    const debt = debtOf(QUEUE.ledger, staged(T0))
    const { host, scheduler } = await world(FOUR, { debt })
    const report = await scheduler.rewrite([id(2), id(9), id(4)])
    expect(host.rewrites).toEqual([[id(2)], [id(4)]])
    expect(host.reclaims).toEqual([false])
    expect(scheduler.debt()).toMatchObject({ queue: [id(1), id(3)], stage: staged(T0) })
    expect(report.sentence).toBe('Rewrote 2 segments, copied 410 KiB, deleted 2.00 MiB.')
  })

  test('skips a named segment that went away while another was rewritten', async () => {
    const { host, scheduler } = await world(FOUR)
    host.onRewrite = () => {
      host.list = host.list.filter((s) => s.segmentId !== id(2))
      return Promise.resolve()
    }
    await scheduler.rewrite([id(1), id(2)])
    expect(host.rewrites).toEqual([[id(1)]])
  })

  test('stages what the filters select and keeps their ratio', async () => {
    const { scheduler } = await world(FOUR)
    const report = await scheduler.stage({ minStaleRatio: 0.75 })
    expect(report.outcome).toBe('staged')
    expect(scheduler.debt()).toMatchObject({
      queue: [id(4), id(3)],
      stage: { minStaleRatio: 0.75, dueAtMs: T0 + 30_000 },
    })
    expect(report.sentence).toBe('Staged 2 segments at 75 % stale or more, confirm due in 30 s.')
    expect((await scheduler.stage()).blockedBy).toBe('stage_not_pending')
  })

  test('plans without changing anything', async () => {
    const { host, scheduler } = await world(FOUR)
    const before = [scheduler.info(), scheduler.counters(), scheduler.debt()]
    expect(scheduler.plan({ minStaleRatio: 0.85 }).selected).toHaveLength(1)
    expect([scheduler.info(), scheduler.counters(), scheduler.debt()]).toEqual(before)
    expect(host.saves).toEqual([])
    expect(host.types()).toEqual(['rewrite_plan'])
  })

  test('GC answers with its report, and rejects with what it failed of', async () => {
    const { host, scheduler } = await world([segment(1, 1)])
    expect((await scheduler.gc({ dryRun: true })).eligible).toEqual([id(1)])
    expect(scheduler.counters().gcRuns).toBe(0)
    host.onReclaim = () => Promise.reject(new EngineError('ENGINE_IO', 'no'))
    await expect(scheduler.gc({ dryRun: false })).rejects.toMatchObject({ code: 'ENGINE_IO' })
    host.onReclaim = () => Promise.resolve()
    expect((await scheduler.gc({ dryRun: false })).deleted).toEqual([id(1)])
    expect(scheduler.counters().gcRuns).toBe(1)
  })
})

describe('failure', () => {
  test('a state file that cannot be written leaves memory as it was', async () => {
    const { host, scheduler } = await world(FOUR)
    host.onSave = () => Promise.reject(new EngineError('ENGINE_IO', 'rename refused'))
    const report = await scheduler.runPass('periodic')
    expect(report).toMatchObject({ outcome: 'failed', error: { code: 'ENGINE_IO' } })
    expect(scheduler.debt().queue).toEqual([])
    expect(host.eventsOf('debt_changed')).toEqual([])
    expect(host.eventsOf('maintenance_failed')).toHaveLength(1)
  })

  test('debt is on disk before it is evented', async () => {
    const { host, scheduler } = await world(FOUR)
    const emitted: number[] = []
    host.onSave = () => Promise.resolve(void emitted.push(host.eventsOf('debt_changed').length))
    await scheduler.runPass('periodic')
    expect(emitted).toEqual([0])
    expect(host.eventsOf('debt_changed')).toHaveLength(1)
  })

  test('everything that died while the debt was saved is left to GC', async () => {
    const { host, scheduler } = await world(FOUR, { maintenance: { triggerTotalBytes: MIB } })
    host.onSave = () => {
      host.list = host.list.map((s) => ({ ...s, bytesLive: 0, bytesStale: s.bytesTotal }))
      return Promise.resolve()
    }
    const report = await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toEqual([])
    expect(report.after.queue).toEqual([])
    expect(host.eventsOf('rewrite_skip')).toMatchObject([{ reason: 'planned_zero_live' }])
  })

  test('of what was queued before too, under another word', async () => {
    const missing = debtOf([...QUEUE.ledger, entry(5, 0.9)])
    const { host, scheduler } = await world(FOUR, { debt: missing })
    // Saving what is left without the missing one lets the others die.
    host.onSave = () => {
      host.list = host.list.map((s) => ({ ...s, bytesLive: 0, bytesStale: s.bytesTotal }))
      return Promise.resolve()
    }
    const report = await scheduler.runPass('checkpoint_kick')
    expect(host.rewrites).toEqual([])
    expect(report.after.queue).toEqual([])
    expect(host.eventsOf('rewrite_skip')).toMatchObject([
      { reason: 'dropped_zero_live', queueLen: 0 },
    ])
  })

  test('a broken assertion stops the loop and is reported', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE, mode: 'auto' })
    host.onRewrite = () => Promise.reject(new AssertionError('sums differ'))
    const report = await scheduler.runPass('checkpoint_kick')
    expect(report.error).toEqual({ code: 'INTERNAL', message: 'sums differ' })
    expect(scheduler.info()).toMatchObject({ state: 'error', paused: true })
    await advance(host, 40_000)
    expect(host.rewrites).toHaveLength(1)
  })

  test('closing cancels the rewrite, keeps the debt and waits for the pass', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    host.onRewrite = (_, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
    const running = scheduler.runPass('checkpoint_kick')
    await scheduler.close()
    expect(await running).toMatchObject({ outcome: 'cancelled', error: null, after: QUEUE })
    expect(scheduler.info()).toMatchObject({ activePass: null, state: 'disabled' })
    await expect(scheduler.runPass('periodic')).rejects.toMatchObject({ code: 'ENGINE_NOT_OPEN' })
  })

  test('a rewrite that reports itself cancelled consumes nothing', async () => {
    const { host, scheduler } = await world(FOUR, { debt: QUEUE })
    const rewrite = host.rewrite.bind(host)
    host.rewrite = async (sources, signal) => ({
      ...(await rewrite(sources, signal)),
      cancelled: true,
    })
    expect((await scheduler.runPass('checkpoint_kick')).outcome).toBe('cancelled')
    expect(scheduler.debt()).toEqual(QUEUE)
    expect(scheduler.counters()).toMatchObject({ rewriteRuns: 0, rewriteRecordsCopied: 1 })
  })
})
