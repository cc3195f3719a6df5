/** The policy `queue_runner` on a real store: its runs end within the tokens of the budget. */
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../../engine/api.ts'
import type { PassReport, RewriteReport } from '../../../engine/types.ts'
import {
  bytesEqual,
  eagerClock,
  key,
  memoryFolder,
  openFixture,
  value,
} from '../../support/engine-fixture.ts'

const VALUE_BYTES = 1000
/** Eight such values fill a segment; this is what one takes in it. */
const RECORD_BYTES = VALUE_BYTES + 20

/** Three sealed segments; of each the even values live. All are queued, without a stage. */
async function queued() {
  const clock = eagerClock()
  const fixture = await openFixture(
    {
      inlineThreshold: 64,
      segmentBytes: 8192,
      maintenance: {
        policy: 'queue_runner',
        rewriteBudgetBytesPerSec: 1,
        queueFollowupCooldownMs: 0,
        rewriteCancelBackoffMs: 0,
        triggerTotalBytes: 0,
      },
    },
    { dir: memoryFolder(), clock },
  )
  const { engine } = fixture
  for (let i = 0; i < 25; i++) await engine.put(key(i), value(i, VALUE_BYTES))
  for (let i = 1; i < 24; i += 2) await engine.delete(key(i))
  await engine.checkpoint()
  const sealed = engine.state().segments.filter((s) => s.state === 'sealed')
  const queue = sealed.map((s) => s.segmentId)
  await engine.maintenance.setDebt({ queue, ledger: [], stage: null })
  expect(queue).toHaveLength(3)
  return { ...fixture, queue }
}

function rewritesOf(pass: PassReport): RewriteReport[] {
  return pass.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
}

function expectWhole(engine: Engine): void {
  for (let i = 0; i < 25; i++) {
    const wanted = i < 24 && i % 2 === 1 ? undefined : value(i, VALUE_BYTES)
    expect(bytesEqual(engine.get(key(i)), wanted), `key ${i}`).toBe(true)
  }
}

describe('a run of the queue', () => {
  test('copies no more than its tokens, and what it did not finish stays queued (DebtDrainSelectsMultipleSegmentsAndBoundsExecution)', async () => {
    const { engine, events, queue } = await queued()
    // One whole segment of four live values, and one value and a half of the next.
    const tokens = 5 * RECORD_BYTES + 500
    const pass = await engine.maintenance.runPass('rewrite_queue_pending', {
      budgetTokensBytes: tokens,
    })
    const [whole, part, ...more] = rewritesOf(pass)
    expect(more).toEqual([])
    expect(whole).toMatchObject({
      sourceSegmentsRequested: [queue[0]],
      recordsCopied: 4,
      sourcesUnfinished: [],
    })
    expect(part).toMatchObject({
      sourceSegmentsRequested: [queue[1]],
      recordsCopied: 1,
      sourceBytesProcessed: RECORD_BYTES,
      sourcesUnfinished: [queue[1]],
    })
    expect(pass.after.queue).toEqual(queue.slice(1))
    const copied = events.flatMap((e) => (e.type === 'rewrite_exec' ? [e.maxCopiedBytes] : []))
    expect(copied).toEqual([tokens, tokens - 4 * RECORD_BYTES])
    // What was copied is drawn, not what the ledger or the segment has.
    const { budget } = engine.state().scheduler
    expect(budget?.tokensBytes).toBeCloseTo(tokens - 5 * RECORD_BYTES, -2)
    const left = engine.state().segments.find((s) => s.segmentId === queue[1])
    expect(left?.bytesLive).toBe(3 * RECORD_BYTES)
    expectWhole(engine)
    await engine.close()
  })

  test('goes on where it stopped, and drains without another plan (BoundedSegmentEventuallyDrainsWithoutReplanning)', async () => {
    const { engine, events, queue } = await queued()
    let runs = 0
    for (; engine.state().debt.queue.length > 0 && runs < 20; runs++) {
      await engine.maintenance.runPass('rewrite_queue_pending', {
        budgetTokensBytes: RECORD_BYTES,
      })
    }
    // One value a run: four of each of the three.
    expect(runs).toBe(12)
    expect(events.filter((e) => e.type === 'rewrite_plan')).toEqual([])
    await engine.maintenance.gc({ dryRun: false })
    const ids = engine.state().segments.map((s) => s.segmentId)
    for (const id of queue) expect(ids).not.toContain(id)
    expectWhole(engine)
    expect((await engine.verify()).differences).toEqual([])
    await engine.close()
  })
})
