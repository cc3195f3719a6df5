/**
 * Upstream's tests of single rules, with its numbers; names in brackets are upstream's. Pure functions on segments
 * made by hand; the vacuum is that of a real store.
 */
import { describe, expect, test } from 'vitest'
import { genericFloor, queuedFloor, staleTriggerFloor } from '../../../engine/maintenance/floors.ts'
import { NO_DEBT } from '../../../engine/maintenance/ledger.ts'
import { decodeState, encodeState, NO_EXTRAS } from '../../../engine/maintenance/state-file.ts'
import type { SegmentInfo } from '../../../engine/types.ts'
import { MIB, QueueStore } from '../../support/queue-store.ts'
import { decide, DEFAULTS, gate, LARGE, type Setup } from './decision-input.ts'
import { debtOf, entry, id, segment, T0 } from './fake-host.ts'

function sized(seq: number, bytesTotal: number, bytesStale: number): SegmentInfo {
  return segment(seq, 0, { bytesTotal, bytesStale, bytesLive: bytesTotal - bytesStale })
}

const with20 = { ...DEFAULTS, triggerStaleRatio: 0.2 }
const with80 = { ...DEFAULTS, triggerStaleRatio: 0.8 }
const with90 = { ...DEFAULTS, triggerStaleRatio: 0.9 }

describe('a trigger', () => {
  const off = { triggerTotalBytes: 0, triggerStaleRatio: 0, triggerChurnBytesPerSec: 0 }
  const reasonOf = (setup: Setup): string => {
    const { action } = decide('checkpoint_kick', setup)
    return action.kind === 'rewrite' || action.kind === 'stage' ? action.reason : action.kind
  }

  test('of 100 bytes is reached by 150 (ShouldRunVlogGenerationRewrite_TotalBytes)', () => {
    const options = { ...off, triggerTotalBytes: 100 }
    expect(reasonOf({ segments: [sized(1, 150, 10)], options })).toBe('total_bytes')
    expect(reasonOf({ segments: [sized(1, 99, 10)], options })).toBe('nothing')
  })

  test('of 250,000 ppm is reached by 300,000 (ShouldRunVlogGenerationRewrite_StaleRatio)', () => {
    const options = { ...off, triggerStaleRatio: 0.25 }
    expect(reasonOf({ segments: [segment(1, 0.3)], options })).toBe('stale_ratio')
    expect(reasonOf({ segments: [segment(1, 0.24)], options })).toBe('nothing')
  })

  test('of 1 MiB/s is reached by 2 MiB/s (ShouldRunVlogGenerationRewrite_Churn)', () => {
    const options = { ...off, triggerChurnBytesPerSec: MIB }
    const times = (churnBytesPerSecond: number) => ({ churnBytesPerSecond })
    const segments = [segment(1, 0.3)]
    expect(reasonOf({ segments, options, times: times(2 * MIB) })).toBe('churn')
    expect(reasonOf({ segments, options, times: times(MIB - 1) })).toBe('nothing')
  })

  test('that is off, or not reached, is no reason (ShouldRunVlogGenerationRewrite_NoTrigger)', () => {
    const segments = [segment(1, 0.1)]
    expect(reasonOf({ segments, options: off })).toBe('nothing')
    const high = {
      triggerTotalBytes: 2 * MIB,
      triggerStaleRatio: 0.25,
      triggerChurnBytesPerSec: MIB,
    }
    expect(reasonOf({ segments, options: high, times: { churnBytesPerSecond: 0 } })).toBe('nothing')
  })
})

describe('the floor', () => {
  test('of a generic plan is 0.85 at a trigger of 20 % and of 80 %, 0.90 at 90 %, and 0 below 512 MiB (MinStaleRatioForGenericPass_UsesQualityFloor, _UsesHigherConfiguredRatio, _PreservesHigherConfiguredRatio, _DisabledBelowEfficacyFloor)', () => {
    expect(genericFloor(LARGE, with20)).toBe(0.85)
    expect(genericFloor(LARGE, with80)).toBe(0.85)
    expect(genericFloor(LARGE, with90)).toBe(0.9)
    expect(genericFloor(LARGE - 1, with90)).toBe(0)
  })

  test('of a sparse plan is 0.50 at a trigger of 20 %, 0.80 at 80 %, and 0.20 below 512 MiB (MinStaleRatioForStaleRatioTrigger_UsesQualityFloor, _UsesHigherConfiguredRatio, _PreservesConfiguredRatioBelowEfficacyFloor)', () => {
    expect(staleTriggerFloor(LARGE, with20)).toBe(0.5)
    expect(staleTriggerFloor(LARGE, with80)).toBe(0.8)
    expect(staleTriggerFloor(LARGE - 1, with20)).toBe(0.2)
  })

  test('of debt that a total-bytes plan queued stays 0.85 (MinStaleRatioForQueuedDebt_UsesGenericFloorForTotalBytes)', () => {
    const big = sized(9, LARGE, 0)
    const segments = [segment(1, 0.9), segment(2, 0.86), big]
    const fresh = decide('periodic', { segments, options: { triggerTotalBytes: LARGE } })
    expect(fresh.action).toMatchObject({ kind: 'rewrite', minStaleRatio: 0.85 })
    // The second had 0.86 when it was queued, and less than the floor is not rewritten.
    const later = decide('periodic', {
      segments: [segment(1, 0.84), segment(2, 0.86), big],
      debt: debtOf([entry(1, 0.9), entry(2, 0.86)]),
      queuedMinStaleRatio: 0.85,
    })
    expect(later.prunes).toMatchObject([{ kind: 'quality', dropped: [id(1)], minStaleRatio: 0.85 }])
  })

  test('of debt that says nothing about it is 0.50 (MinStaleRatioForQueuedDebt_PreservesResumeFloor)', () => {
    expect(queuedFloor(debtOf([entry(1, 0.6)]), null, LARGE, with20)).toBe(0.5)
  })
})

describe('segments of one run', () => {
  test('are 2 of 2 and 8 of 13 for the runner, 1 of 4 for a kick (RewriteMaxSegmentsForRun_ClampsDebtDrainQueue)', () => {
    const many = Array.from({ length: 13 }, (_, n) => n + 1)
    const segments = many.map((seq) => segment(seq, 0.9))
    const capOf = (queued: number, source: 'rewrite_queue_pending' | 'checkpoint_kick') => {
      const debt = debtOf(many.slice(0, queued).map((seq) => entry(seq, 0.9)))
      const policy = source === 'checkpoint_kick' ? 'a_plus_c' : 'queue_runner'
      const { action } = decide(source, { segments, debt, options: { policy } })
      return action.kind === 'rewrite' ? action.maxSegments : action.kind
    }
    expect(capOf(2, 'rewrite_queue_pending')).toBe(2)
    expect(capOf(13, 'rewrite_queue_pending')).toBe(8)
    expect(capOf(4, 'checkpoint_kick')).toBe(1)
  })
})

describe('a wait for age', () => {
  test('begins only when nothing was selected and something stale is too young (ShouldDeferVlogGenerationRewritePlanForAge)', () => {
    const young = { sealedAtMs: T0 - 18_000 }
    const waitOf = (segments: SegmentInfo[]) => decide('periodic', { segments }).ageBlock
    expect(waitOf([segment(1, 0.9, young)])).toMatchObject({ segments: 1, untilMs: T0 + 12_000 })
    // Something was selected.
    expect(waitOf([segment(1, 0.9, young), segment(2, 0.9)])).toBe('clear')
    // Nothing of it is stale.
    expect(waitOf([segment(1, 0, young)])).toBe('clear')
    // Nobody is too young, and nobody stale enough.
    expect(waitOf([segment(1, 0.1)])).toBe('clear')
    // Old enough to the millisecond: nothing remains to wait for.
    const due = decide('periodic', { segments: [segment(1, 0.9, { sealedAtMs: T0 - 30_000 })] })
    expect(due.ageBlock).toBe('clear')
    expect(gate(due, 'plan_selected').verdict).toBe('pass')
  })
})

describe('a state file', () => {
  test('without a queue keeps its penalties (PreservesPenaltiesWithoutQueue)', () => {
    const penalty = {
      segmentId: id(11),
      attempts: 1,
      cooldownUntilMs: T0 + 600_000,
      lastGrowthBytes: 4 * MIB + 1,
      lastStaleBytes: 64,
    }
    const text = encodeState(NO_DEBT, [penalty], NO_EXTRAS)
    const read = decodeState(text, 30_000)
    expect(read.debt).toEqual(NO_DEBT)
    expect(read.penalties).toEqual([penalty])
    expect(encodeState(read.debt, read.penalties, read.extras)).toBe(text)
  })

  test('with an id of 0 loads the others (SkipsZeroFileID)', () => {
    const entryOf = (fileId: string) => ({ file_id: fileId, bytes_total: 100, bytes_live: 10 })
    const ids = decodeState('{"rewrite_source_file_ids":["0","11","22"]}', 30_000)
    expect(ids.debt.queue).toEqual([11, 22])
    const ledger = { rewrite_debt_ledger: [entryOf('0'), entryOf('11')] }
    expect(decodeState(JSON.stringify(ledger), 30_000).debt.queue).toEqual([11])
  })
})

describe('an index vacuum', () => {
  test('is skipped for its threshold, its switch and its interval, each counted (ShouldRunVlogGenerationIndexVacuum_TracksSkipReasons, MaybeRunVlogGenerationIndexVacuum_TracksDisabledSkip)', async () => {
    const store = await QueueStore.open({
      maintenance: { policy: 'a_only', vacuumTriggerRewriteBytes: 2 * 4096 },
    })
    await store.fill({ live: [1, 2, 3, 4, 5] })
    await store.queue()
    const { maintenance } = store.engine
    const skips = () => {
      const { vacuumRuns, vacuumSkipsThreshold, vacuumSkipsDisabled, vacuumSkipsCooldown } =
        store.counters()
      return [vacuumRuns, vacuumSkipsThreshold, vacuumSkipsDisabled, vacuumSkipsCooldown]
    }
    await maintenance.runPass('checkpoint_kick')
    expect(skips()).toEqual([0, 1, 0, 0])
    maintenance.setOptions({ disableVacuum: true })
    await maintenance.runPass('checkpoint_kick')
    expect(skips()).toEqual([0, 1, 1, 0])
    maintenance.setOptions({ disableVacuum: false })
    await maintenance.runPass('checkpoint_kick')
    expect(skips()).toEqual([1, 1, 1, 0])
    await maintenance.runPass('checkpoint_kick')
    await maintenance.runPass('checkpoint_kick')
    // Two more make the threshold; the 5 min are not over.
    expect(skips()).toEqual([1, 2, 1, 1])
    const told = store.fixture.events.flatMap((e) => (e.type === 'vacuum_skip' ? [e.reason] : []))
    expect(told).toEqual(['disabled', 'cooldown'])
    store.expectWhole()
    await store.close()
  })
})
