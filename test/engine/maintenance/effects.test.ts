/** The pure parts of what a rewrite costs and comes to: budget, effect, penalties, byte flow. */
import { describe, expect, test } from 'vitest'
import { accrue, capOf, draw, isEmpty, openBucket } from '../../../engine/maintenance/budget.ts'
import { vacuumGates } from '../../../engine/maintenance/decide-gc.ts'
import { byteFlowOf, judgeRewrite, yieldOf } from '../../../engine/maintenance/effect.ts'
import { isBlocking } from '../../../engine/maintenance/gates.ts'
import { segmentLookup } from '../../../engine/maintenance/ledger.ts'
import { liftPenalties, penalise } from '../../../engine/maintenance/penalties.ts'
import { resolveOptions } from '../../../engine/options.ts'
import type { MaintenanceOptions, RewritePenalty, SegmentInfo } from '../../../engine/types.ts'
import { rewriteReportOf } from '../../support/rewrite-report.ts'
import { id, MIB, segment, T0 } from './fake-host.ts'

const DEFAULTS = resolveOptions({}).maintenance

function bucketOf(options: Partial<MaintenanceOptions>): ReturnType<typeof accrue> {
  const bucket = openBucket({ ...DEFAULTS, rewriteBudgetStartBytes: 0, ...options })
  if (bucket === null) throw new Error('there is a budget')
  return bucket
}

describe('write budget', () => {
  test('accrues at its rate, and the first accrual only records the time (RewriteBudgetAccruesAtConfiguredRate)', () => {
    const empty = bucketOf({ rewriteBudgetBytesPerSec: 512 })
    const first = accrue(empty, T0)
    expect(first).toMatchObject({ tokensBytes: 0, accruedAtMs: T0 })
    expect(accrue(first, T0 + 3_500).tokensBytes).toBe(1792)
  })

  test('saturates at its cap (CapEnforcedOnLargeElapsed, CapSaturatesTargets)', () => {
    const small = bucketOf({ rewriteBudgetBytesPerSec: 512, triggerTotalBytes: 1024 })
    expect(accrue(accrue(small, T0), T0 + 10 ** 12).tokensBytes).toBe(1024)
    const huge = bucketOf({
      rewriteBudgetBytesPerSec: Number.MAX_SAFE_INTEGER,
      triggerTotalBytes: Number.MAX_SAFE_INTEGER,
    })
    expect(accrue(accrue(huge, T0), T0 + 10 ** 12).tokensBytes).toBe(Number.MAX_SAFE_INTEGER)
    expect(capOf({ ...DEFAULTS, triggerTotalBytes: 0, rewriteBudgetBytesPerSec: 0 })).toBe(1)
  })

  test('ignores a clock that went back, without recording it (IgnoresBackwardClock)', () => {
    const at = accrue(bucketOf({ rewriteBudgetBytesPerSec: 512 }), T0)
    const back = accrue(at, T0 - 5_000)
    expect(back).toEqual(at)
    expect(accrue(back, T0 + 2_000).tokensBytes).toBe(1024)
  })

  test('is drawn down to 0 and not below; empty is not "no budget"', () => {
    const full = { ...bucketOf({ rewriteBudgetBytesPerSec: 512 }), tokensBytes: 100 }
    expect(draw(full, 64).tokensBytes).toBe(36)
    expect(draw(full, 128).tokensBytes).toBe(0)
    expect(isEmpty(draw(full, 128))).toBe(true)
    expect(isEmpty(null)).toBe(false)
    expect(openBucket({ ...DEFAULTS, rewriteBudgetBytesPerSec: 0 })).toBeNull()
  })
})

describe('effect of a rewrite', () => {
  const source = segment(1, 0)
  const moved = (
    records: number,
    over: Partial<SegmentInfo> = {},
  ): Parameters<typeof judgeRewrite>[1] => {
    const report = rewriteReportOf({
      recordsCopied: records,
      sourcesStillReferenced: [source.segmentId],
    })
    return [{ segment: { ...source, ...over }, liveBytes: 1, report }]
  }
  const judge = (
    before: number,
    after: number,
    gcBytesDeleted: number,
    processed: Parameters<typeof judgeRewrite>[1],
  ): ReturnType<typeof judgeRewrite> =>
    judgeRewrite({ bytesBefore: before, bytesAfter: after, gcBytesDeleted }, processed, 4 * MIB)

  test('a log that grew is ineffective (TracksIneffectiveRuns: 64 -> 96)', () => {
    expect(judge(64, 96, 0, moved(0))).toMatchObject({ ineffective: true, penalty: null })
  })

  test('material growth is penalised, less is not (CoolsProcessedDebtAfterMaterialIneffectiveGrowth, +-1)', () => {
    expect(judge(64, 64 + 4 * MIB + 1, 0, moved(1)).penalty).toBe('material_growth')
    expect(judge(64, 64 + 4 * MIB - 1, 0, moved(1)).penalty).toBeNull()
  })

  test('GC that offsets the growth is no growth (KeepsDebtWhenGCOffsetsMaterialGrowth)', () => {
    const effect = judge(64, 64 + 4 * MIB + 1, 4 * MIB + 2, moved(1))
    expect(effect).toMatchObject({ ineffective: false, penalty: null })
  })

  test('no byte and no record moved is penalised (CoolsProcessedDebtAfterNoProgressResume)', () => {
    expect(judge(64, 64, 0, moved(0)).penalty).toBe('no_progress')
  })

  test('stale bytes of its own that were rewritten make it effective (DoesNotCoolProcessedDebtWhenLocalStaleWasRewritten)', () => {
    const effect = judge(64, 64 + 5 * MIB, 0, moved(3, { bytesStale: 10 }))
    expect(effect).toMatchObject({ locallyEffective: true, ineffective: false, penalty: null })
  })

  test('bytes flow from choice to disk without a residual, and a source that lives again is one', () => {
    const [gone, pinned, kept, referenced, cut] = [1, 2, 3, 4, 5].map((seq) => segment(seq, 0.5))
    const all = [gone, pinned, kept, referenced, cut] as SegmentInfo[]
    const chosen = all.map((source) => ({
      segment: source,
      liveBytes: source.bytesLive,
      report:
        source === cut
          ? null
          : rewriteReportOf(
              source === referenced
                ? { sourcesStillReferenced: [source.segmentId] }
                : { sourcesUnreferenced: [source.segmentId] },
            ),
    }))
    const dead = { bytesLive: 0, bytesStale: MIB, bytesTotal: MIB }
    const snapshot = { kind: 'snapshot' as const, pinId: 1, label: 's', sinceMs: T0 }
    const after = [
      segment(2, 1, { ...dead, keptBy: [snapshot] }),
      segment(3, 1, { ...dead, keptBy: [{ kind: 'journal' }] }),
      segment(4, 0.5),
    ]
    const flow = byteFlowOf(chosen, [], segmentLookup(after))
    expect(flow).toEqual({
      selectedBytesTotal: 5 * MIB,
      selectedBytesStale: 2.5 * MIB,
      processedBytes: 4 * MIB,
      unprocessedBytes: MIB,
      stillReferencedBytes: MIB,
      unreferencedBytes: 3 * MIB,
      deletedBytes: MIB,
      pinnedBytes: MIB,
      retainedBytes: MIB,
      residualBytes: 0,
    })
    const alive = byteFlowOf(chosen, [], segmentLookup([segment(1, 0.5), ...after]))
    expect(alive.residualBytes).toBe(MIB)
    expect(yieldOf(chosen, [])).toMatchObject({ predictedFreedBytes: 2.5 * MIB })
  })
})

describe('penalties', () => {
  const penalty: RewritePenalty = {
    segmentId: id(1),
    attempts: 1,
    cooldownUntilMs: T0 + 600_000,
    lastGrowthBytes: 5,
    lastStaleBytes: 0.3 * MIB,
  }
  const lift = (
    found: RewritePenalty,
    nowMs: number,
    segments: SegmentInfo[],
  ): ReturnType<typeof liftPenalties> =>
    liftPenalties([found], { nowMs, segments: segmentLookup(segments) }, DEFAULTS)

  test('D5: end with their time and with their segment', () => {
    expect(lift(penalty, T0, [segment(1, 0.3)]).kept).toEqual([penalty])
    expect(lift(penalty, T0 + 600_000, [segment(1, 0.3)]).expired).toEqual([id(1)])
    expect(lift(penalty, T0, []).expired).toEqual([id(1)])
  })

  test('are lifted early when stale bytes grew materially (ReadmitsPenalizedSegmentWhenStaleBytesImprove)', () => {
    expect(lift(penalty, T0, [segment(1, 0.39)]).readmitted).toEqual([])
    expect(lift(penalty, T0, [segment(1, 0.41)]).readmitted).toEqual([id(1)])
    // Unknown stale bytes then: there is nothing to compare with.
    const foreign = { ...penalty, lastStaleBytes: 0 }
    expect(lift(foreign, T0, [segment(1, 0.9)]).kept).toEqual([foreign])
  })

  test('count attempts and only ever raise the cool-down', () => {
    const again = penalise([penalty], [{ segmentId: id(1), staleBytes: 7 }], {
      cooldownUntilMs: T0,
      growthBytes: 9,
    })
    expect(again).toEqual([{ ...penalty, attempts: 2, lastGrowthBytes: 9, lastStaleBytes: 7 }])
  })
})

describe('index vacuum', () => {
  const block = (options: Partial<MaintenanceOptions>, bytes: number, last: number | null) =>
    vacuumGates(
      {
        options: { ...DEFAULTS, ...options },
        nowMs: T0,
        times: { lastVacuumAtMs: last } as Parameters<typeof vacuumGates>[0]['times'],
      },
      bytes,
    ).find(isBlocking)?.name

  test('follows a big rewrite, not too often (ShouldRunVlogGenerationIndexVacuum_Threshold, _Cooldown)', () => {
    expect(block({}, 64 * MIB, null)).toBeUndefined()
    expect(block({}, 64 * MIB - 1, null)).toBe('vacuum_trigger_bytes')
    expect(block({}, 64 * MIB, T0 - 299_999)).toBe('vacuum_min_interval')
    expect(block({}, 64 * MIB, T0 - 300_000)).toBeUndefined()
    expect(block({ disableVacuum: true }, 64 * MIB, null)).toBe('vacuum_enabled')
  })
})
