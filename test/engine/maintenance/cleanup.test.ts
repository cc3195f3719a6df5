/** What a pass leaves behind whose later source was cancelled or failed: the finished ones are done with. */
import { describe, expect, test } from 'vitest'
import { AssertionError } from '../../../engine/assert.ts'
import { EngineError } from '../../../engine/errors.ts'
import { queueOnlyDebt } from '../../../engine/maintenance/ledger.ts'
import type { PassReport, RewriteReport, SegmentId } from '../../../engine/types.ts'
import { key, memoryFolder, openFixture, value } from '../../support/engine-fixture.ts'
import { id, MIB, segment, world, type World } from './fake-host.ts'

const FOUR = [segment(1, 0.6), segment(2, 0.7), segment(3, 0.8), segment(4, 0.9)]
const IDS = FOUR.map(({ segmentId }) => segmentId)

/** Each way in which the third of several sources may not end. */
const ENDS: [what: string, end: (world: World) => Promise<void>, outcome: string][] = [
  [
    'is cancelled',
    ({ scheduler }) => {
      void scheduler.cancelPass()
      return Promise.resolve()
    },
    'cancelled',
  ],
  ['is damaged', () => Promise.reject(new EngineError('ENGINE_CORRUPT', 'value CRC')), 'failed'],
]

function atTheThird({ host, scheduler }: World, end: (world: World) => Promise<void>): void {
  host.onRewrite = ([source]) => {
    return source === id(3) ? end({ host, scheduler }) : Promise.resolve()
  }
}

function rewritesOf(report: PassReport): RewriteReport[] {
  return report.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
}

function historyIn(stateFile: string | null): string[] {
  const { rewrite_history: history = [] } = JSON.parse(stateFile ?? '{}') as {
    rewrite_history?: { file_id: string }[]
  }
  return history.map((attempt) => attempt.file_id)
}

describe('sources that were named', () => {
  test.each(ENDS)('are cleaned up when a later one %s', async (_, end, outcome) => {
    const { host, scheduler } = await world(FOUR)
    atTheThird({ host, scheduler }, end)
    const report = await scheduler.rewrite(IDS)
    expect(report.outcome).toBe(outcome)
    expect(host.rewrites).toEqual([[id(1)], [id(2)], [id(3)]])
    expect(host.reclaims).toEqual([false])
    expect(host.observed).toEqual([[id(1), id(2)]])
    expect(host.list.map((s) => s.segmentId)).toEqual([id(3), id(4)])
    expect(rewritesOf(report).map((r) => r.sourcesReclaimed)).toEqual([[id(1)], [id(2)]])
    expect(report.sentence).toMatch(/^Rewrote 2 segments, .*deleted 2.00 MiB, then (cancel|fail)/)
    expect(scheduler.info().lastRewrite).toMatchObject({ sourceSegments: 2, sourceBytes: 2 * MIB })
    expect(historyIn(host.stateFile)).toEqual([id(1), id(2)].map(String))
  })

  test('are not deleted after a broken assertion, but what was done is remembered', async () => {
    const { host, scheduler } = await world(FOUR)
    atTheThird({ host, scheduler }, () => Promise.reject(new AssertionError('sums differ')))
    expect((await scheduler.rewrite(IDS)).outcome).toBe('failed')
    expect(host.reclaims).toEqual([])
    expect(scheduler.info()).toMatchObject({ paused: true, lastRewrite: { sourceSegments: 2 } })
  })

  test('nothing ended: nothing is cleaned up, and the last rewrite stays the last', async () => {
    const { host, scheduler } = await world(FOUR)
    await scheduler.rewrite([id(4)])
    const { lastRewrite } = scheduler.info()
    host.onRewrite = () => Promise.reject(new EngineError('ENGINE_CORRUPT', 'value CRC'))
    await scheduler.rewrite([id(1)])
    expect(host.reclaims).toEqual([false])
    expect(scheduler.info().lastRewrite).toEqual(lastRewrite)
  })

  test('a cleanup that fails too is told, and the pass ends with the first error', async () => {
    const { host, scheduler } = await world(FOUR)
    atTheThird({ host, scheduler }, () => Promise.reject(new EngineError('ENGINE_CORRUPT', 'CRC')))
    host.onReclaim = () => Promise.reject(new EngineError('ENGINE_IO', 'unlink refused'))
    const report = await scheduler.rewrite(IDS)
    expect(report.error).toEqual({ code: 'ENGINE_CORRUPT', message: 'CRC' })
    expect(host.eventsOf('gc_err')).toMatchObject([{ code: 'ENGINE_IO' }])
    expect(host.eventsOf('maintenance_failed').map(({ code }) => code)).toEqual([
      'ENGINE_IO',
      'ENGINE_CORRUPT',
    ])
  })

  test('a debugger that cancels between two sources is not asked again before the cleanup', async () => {
    const { host, scheduler } = await world(FOUR)
    atTheThird({ host, scheduler }, ENDS[0]?.[1] ?? (() => Promise.resolve()))
    scheduler.setBreakpoints(['before_gc'])
    expect((await scheduler.rewrite(IDS)).outcome).toBe('cancelled')
    expect(host.reclaims).toEqual([false])
  })
})

describe('the queue runner', () => {
  test.each(ENDS)('cleans up what it drained when a later segment %s', async (_, end, outcome) => {
    const { host, scheduler } = await world(FOUR, {
      debt: queueOnlyDebt(IDS),
      maintenance: { policy: 'queue_runner' },
    })
    atTheThird({ host, scheduler }, end)
    const report = await scheduler.runPass('rewrite_queue_pending')
    expect(report.outcome).toBe(outcome)
    expect(host.list.map((s) => s.segmentId)).toEqual([id(3), id(4)])
    expect(scheduler.debt().queue).toEqual([id(3), id(4)])
    expect(scheduler.info().lastRewrite).toMatchObject({ sourceSegments: 2 })
    expect(host.eventsOf('rewrite_effective_local')).toMatchObject([
      { processedIds: [id(1), id(2)] },
    ])
    expect(historyIn(host.stateFile)).toEqual([id(1), id(2)].map(String))
  })
})

describe('a collection that fails', () => {
  test('does not leave the rewrite before as the last one (D3)', async () => {
    const { host, scheduler } = await world(FOUR, { debt: queueOnlyDebt(IDS) })
    await scheduler.rewrite([id(4)])
    expect(scheduler.info().lastRewrite?.liveBytes).toBe(segment(4, 0.9).bytesLive)
    host.onReclaim = () => Promise.reject(new EngineError('ENGINE_IO', 'unlink refused'))
    await scheduler.runPass('checkpoint_kick')
    expect(scheduler.info().lastRewrite).toMatchObject({
      sourceSegments: 1,
      liveBytes: segment(1, 0.6).bytesLive,
      reclaimedBytes: 0,
    })
    expect(scheduler.counters()).toMatchObject({ rewriteRuns: 2, rewriteNoReclaimRuns: 1 })
    // Saved with the rest that it restages.
    expect(historyIn(host.stateFile)).toEqual([id(4), id(1)].map(String))
  })
})

describe('a store that closes', () => {
  test('leaves what its cancelled rewrite freed to the next opening, and loses nothing', async () => {
    const dir = memoryFolder()
    const store = await openFixture(
      { inlineThreshold: 64, segmentBytes: 8192, maintenance: { triggerTotalBytes: 0 } },
      { dir },
    )
    const { engine, events } = store
    for (let i = 0; i < 25; i++) await engine.put(key(i), value(i, 1000))
    for (let i = 1; i < 24; i += 2) await engine.delete(key(i))
    await engine.checkpoint()
    const ids: SegmentId[] = engine
      .state()
      .segments.filter((s) => s.state === 'sealed')
      .map((s) => s.segmentId)
    const closing: Promise<void>[] = []
    engine.subscribe((event) => {
      if (event.type === 'rewrite_done' && closing.length === 0) closing.push(engine.close())
    })
    const report = await engine.maintenance.rewrite(ids)
    await Promise.all(closing)
    expect(report.outcome).toBe('cancelled')
    const gc = report.steps.flatMap((step) => (step.kind === 'gc' ? [step.report] : []))
    expect(gc).toMatchObject([{ deleted: [] }])
    // The one that closing makes anyway.
    const made = events.flatMap((e) => (e.type === 'checkpoint_done' ? [e.report.reason] : []))
    expect(made.slice(-1)).toEqual(['close'])
    expect(made).not.toContain('maintenance')

    const again = await openFixture({}, { dir })
    for (let i = 0; i < 25; i += 2) expect(again.engine.get(key(i))).toEqual(value(i, 1000))
    await again.engine.maintenance.gc({ dryRun: false })
    expect(again.engine.state().segments.map((s) => s.segmentId)).not.toContain(ids[0])
    expect((await again.engine.verify()).differences).toEqual([])
    await again.engine.close()
  })
})
