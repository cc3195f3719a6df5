/** Upstream's scheduler scenarios that none of our rules asked for; names are upstream's. */
import { describe, expect, test } from 'vitest'
import { EngineError } from '../../../engine/errors.ts'
import { type FakeHost, MIB, QUEUE, segment, settle, THREE, world } from './fake-host.ts'

describe('a periodic pass', () => {
  test('that fails to rewrite keeps the queue as it was (RewriteQueue_PreservedOnRewriteError)', async () => {
    const { host, scheduler } = await world(THREE, { debt: QUEUE })
    host.onRewrite = () => Promise.reject(new EngineError('ENGINE_IO', 'disk full'))
    const report = await scheduler.runPass('periodic')
    expect(report).toMatchObject({ outcome: 'failed', error: { code: 'ENGINE_IO' } })
    expect(scheduler.debt()).toEqual(QUEUE)
    expect(host.eventsOf('rewrite_err')).toMatchObject([{ code: 'ENGINE_IO' }])
    expect(host.saves).toEqual([])
  })
})

describe('a plan', () => {
  test('is given up when reads resume (RewritePlan_CancelsWhenForegroundReadsResume)', async () => {
    const { host, scheduler } = await world(THREE)
    host.onPlan = reading(host, 500)
    const report = await scheduler.runPass('periodic')
    expect(report.blockedBy).toBe('plan_completed')
    expect(scheduler.info().lastPlanAtMs).toBeNull()
    expect(scheduler.counters()).toMatchObject({ planRuns: 1, planCanceled: 1, planEmpty: 0 })
  })

  test('that selects is counted with its segments (ObserveVlogGenerationRewritePlanOutcome_SelectedTracksBytes)', async () => {
    const { scheduler } = await world(THREE)
    const report = await scheduler.runPass('periodic')
    expect(report.outcome).toBe('staged')
    expect(scheduler.counters()).toMatchObject({
      planRuns: 1,
      planEmpty: 0,
      planSelected: 1,
      planSelectedSegments: 3,
    })
  })

  test('that selects nothing is counted as empty, and nothing is queued (RewritePlan_TracksEmptyPlanOutcome)', async () => {
    const { scheduler } = await world([segment(1, 0.1), segment(2, 0.1, { bytesTotal: 2 * MIB })])
    await scheduler.stage({ minStaleRatio: 0.5 })
    expect(scheduler.counters()).toMatchObject({ planRuns: 1, planEmpty: 1, planSelected: 0 })
    expect(scheduler.debt().queue).toEqual([])
  })
})

/** Reads come in at each poll. */
function reading(host: FakeHost, ms: number): () => Promise<void> {
  return async () => {
    for (let done = 0; done < ms; done += 25) {
      host.clock.advance(25)
      host.activity = { ...host.activity, lastReadAtMs: host.clock.now() }
      await settle()
    }
  }
}
