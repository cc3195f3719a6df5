/**
 * Upstream's tests of what a rewrite came to, on a real store with its numbers; names in brackets are upstream's.
 * Its fakes report a log that has grown. Here it really grows: the source cannot be read, and the foreground
 * writes meanwhile.
 */
import { describe, expect, test } from 'vitest'
import { key, value } from '../../support/engine-fixture.ts'
import { MIB, QueueStore } from '../../support/queue-store.ts'

const GROWTH = 4 * MIB

/** Two queued segments; the first to be rewritten has only damaged values, and the log grows by so much. */
async function damaged(growthBytes: number) {
  const store = await QueueStore.open()
  await store.fill({ live: [1, 4] })
  await store.queue()
  const [source, rest] = store.ids
  if (source === undefined || rest === undefined) throw new Error('two segments are queued')
  store.damage(source)
  store.beforeReadOf(source, () => {
    if (growthBytes > 0) void store.put(growthBytes)
  })
  return { store, source, rest }
}

describe('a rewrite', () => {
  test('of a log of 64 bytes that has 96 after it is ineffective: 1 run, 64 in, 96 out (Rewrite_TracksIneffectiveRuns)', async () => {
    const store = await QueueStore.open()
    const { engine } = store
    // 32 bytes stale, 32 alive, in one segment that the closing seals.
    await engine.put(key(1), value(1, 12))
    await engine.put(key(1), value(2, 12))
    const { dir, clock } = store.fixture
    await store.close()
    const again = await QueueStore.open({}, { dir, clock })
    const [only] = again.engine.state().segments
    if (only === undefined) throw new Error('no segment')
    expect(only).toMatchObject({ state: 'sealed', bytesTotal: 64, bytesLive: 32 })
    again.damage(only.segmentId)
    clock.advance(60_000)
    const debt = { queue: [only.segmentId], ledger: [], stage: null }
    await again.engine.maintenance.setDebt(debt)
    again.beforeReadOf(only.segmentId, () => void again.put(32))
    const pass = await again.engine.maintenance.runPass('periodic')
    expect(pass.outcome).toBe('rewrote')
    expect(again.counters()).toMatchObject({
      rewriteIneffectiveRuns: 1,
      rewriteIneffectiveBytesIn: 64,
      rewriteIneffectiveBytesOut: 96,
      penaltiesRecorded: 0,
    })
    await again.close()
  })

  test('after which the log has grown by 4 MiB + 1 cools its segment down, the rest stays queued (Rewrite_CoolsProcessedDebtAfterMaterialIneffectiveGrowth)', async () => {
    const { store, source, rest } = await damaged(GROWTH + 1)
    await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[source]])
    expect(store.debt().queue).toEqual([rest])
    const told = store.fixture.events.filter((e) => e.type === 'rewrite_ineffective_penalty')
    expect(told).toMatchObject([
      { penaltyReason: 'material_growth', growth: GROWTH + 1, processedIds: [source] },
    ])
    const { penalties, scheduler } = store.engine.state()
    expect(penalties).toMatchObject([
      {
        segmentId: source,
        attempts: 1,
        lastGrowthBytes: GROWTH + 1,
        cooldownUntilMs: store.clock.now() + 600_000,
      },
    ])
    expect(scheduler.lastIneffectiveAtMs).toBe(store.clock.now())
    expect(store.counters()).toMatchObject({ queuePruneRuns: 0, rewriteIneffectiveRuns: 1 })
    await store.close()
  })

  test('after which it has grown by 4 MiB - 1 cools nothing (Rewrite_KeepsRemainingDebtForSmallIneffectiveGrowth)', async () => {
    const { store, source, rest } = await damaged(GROWTH - 1)
    await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[source]])
    expect(store.debt().queue).toEqual([rest])
    expect(store.engine.state().penalties).toEqual([])
    expect(store.scheduler().lastIneffectiveAtMs).toBeNull()
    expect(store.counters()).toMatchObject({ rewriteIneffectiveRuns: 1, penaltiesRecorded: 0 })
    await store.close()
  })

  test('whose growth of 4 MiB + 1 the GC of its pass takes back cools nothing (Rewrite_KeepsDebtWhenGCOffsetsMaterialGrowth)', async () => {
    const store = await QueueStore.open()
    const large = await store.put(GROWTH + 2)
    await store.fill({ live: [1, 4] })
    const [source, rest] = store.ids.filter((id) => store.at(id).bytesTotal === 4096)
    await store.queue({ ledger: store.ledger().filter((e) => e.bytesTotal === 4096) })
    if (source === undefined) throw new Error('two segments are queued')
    store.damage(source)
    await store.delete(large)
    store.clock.advance(60_000)
    store.beforeReadOf(source, () => void store.put(GROWTH + 1))
    const pass = await store.engine.maintenance.runPass('periodic')
    const [gc] = pass.steps.flatMap((step) => (step.kind === 'gc' ? [step.report] : []))
    expect(gc?.bytesDeleted).toBe(GROWTH + 2)
    expect(store.debt().queue).toEqual([rest])
    expect(store.engine.state().penalties).toEqual([])
    expect(store.counters()).toMatchObject({ rewriteRuns: 1, rewriteIneffectiveRuns: 0 })
    await store.close()
  })

  test('that moves neither a record nor a byte cools its segment down (Rewrite_CoolsProcessedDebtAfterNoProgressResume)', async () => {
    const { store, source, rest } = await damaged(0)
    await store.engine.maintenance.runPass('periodic')
    const told = store.fixture.events.filter((e) => e.type === 'rewrite_ineffective_penalty')
    expect(told).toMatchObject([{ penaltyReason: 'no_progress', growth: 0 }])
    expect(store.engine.state().penalties).toMatchObject([{ segmentId: source, attempts: 1 }])
    expect(store.debt().queue).toEqual([rest])
    await store.close()
  })

  test('that dealt with stale bytes of its source is effective, however much was written meanwhile (Rewrite_DoesNotCoolProcessedDebtWhenLocalStaleWasRewritten)', async () => {
    const store = await QueueStore.open()
    await store.fill({ live: [1, 4] })
    await store.queue()
    store.beforeReadOf(store.ids[0], () => void store.put(GROWTH + 1 + 4096))
    await store.engine.maintenance.runPass('periodic')
    const told = store.fixture.events.filter((e) => e.type === 'rewrite_effective_local')
    expect(told).toMatchObject([{ processedIds: [store.ids[0]], plannedStale: 15 * 256 }])
    expect(store.engine.state().penalties).toEqual([])
    expect(store.counters()).toMatchObject({ rewriteRuns: 1, rewriteIneffectiveRuns: 0 })
    store.expectWhole()
    await store.close()
  })
})

describe('a penalty', () => {
  /** The first of two was rewritten in vain; nothing is queued any more. */
  async function penalised() {
    const store = await QueueStore.open({ maintenance: { triggerTotalBytes: 1 } })
    await store.fill({ live: [1, 4] })
    const [source, other] = store.ids
    if (source === undefined || other === undefined) throw new Error('two segments')
    await store.queue({ ledger: store.ledger().slice(0, 1) })
    store.damage(source)
    await store.engine.maintenance.runPass('periodic')
    expect(store.engine.state().penalties).toMatchObject([{ segmentId: source }])
    expect(store.debt().queue).toEqual([])
    return { store, source, other }
  }

  test('keeps its segment out of the plan, and the other one is rewritten (RewritePlan_FiltersPenalizedSegments)', async () => {
    const { store, source, other } = await penalised()
    store.clock.advance(120_000)
    const pass = await store.engine.maintenance.runPass('periodic')
    expect(store.rewrites()).toEqual([[source], [other]])
    const [plan] = pass.steps.flatMap((step) => (step.kind === 'plan' ? [step.plan] : []))
    expect(plan?.candidates.find((c) => c.segmentId === source)?.verdict).toBe('penalty')
    await store.close()
  })

  test('holds fresh plans of the loop back for 2 min, not those of a kick (Rewrite_IneffectiveBackoffSkipsImmediateGenericRetry, _IneffectiveBackoffCheckpointKickBypasses, _IneffectiveBackoffExpires)', async () => {
    for (const { after, source, blockedBy } of [
      { after: 119_999, source: 'periodic', blockedBy: 'ineffective_backoff' },
      { after: 30_000, source: 'checkpoint_kick', blockedBy: null },
      { after: 120_000, source: 'periodic', blockedBy: null },
    ] as const) {
      const { store, other } = await penalised()
      store.clock.advance(after)
      const pass = await store.engine.maintenance.runPass(source)
      expect(pass.blockedBy, `${source} after ${after}`).toBe(blockedBy)
      expect(store.rewrites().length, `${source} after ${after}`).toBe(blockedBy === null ? 2 : 1)
      if (blockedBy === null) expect(store.rewrites()[1]).toEqual([other])
      await store.close()
    }
  })
})
