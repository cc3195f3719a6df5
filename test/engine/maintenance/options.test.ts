import { describe, expect, test } from 'vitest'
import type { EngineOptions } from '../../../engine/api.ts'
import { EngineError } from '../../../engine/errors.ts'
import { resolveOptions } from '../../../engine/options.ts'

describe('options', () => {
  test('fill in every default and are frozen', () => {
    const resolved = resolveOptions({})
    expect(resolved).toEqual({
      profile: 'durable',
      inlineThreshold: 512,
      segmentBytes: 64 * 1024 ** 2,
      memtableBytes: 16 * 1024 ** 2,
      checkpointIntervalMs: 30_000,
      sliceMs: 1,
      pageCacheBytes: 64 * 1024 ** 2,
      keyCacheBytes: 32 * 1024 ** 2,
      mode: 'auto',
      phase: 'steady',
      pauseFile: '',
      recording: { maxBytes: 64 * 1024 * 1024, chunkBytes: 1024 * 1024, flushMs: 1_000 },
      maintenance: {
        policy: 'a_plus_c',
        restage: 'on',
        confirmDelayMs: 30_000,
        loopIntervalMs: 1_000,
        gcEvery: 5,
        gcMinIntervalMs: 45_000,
        gcTimeoutMs: 30_000,
        gcMinBytes: 1024 ** 2,
        rewriteMinIntervalMs: 30_000,
        resumeMinIntervalMs: 1_000,
        checkpointKickMinIntervalMs: 5_000,
        quietWriteWindowMs: 15_000,
        quietReadWindowMs: 2_000,
        triggerTotalBytes: 4 * 1024 ** 3,
        triggerStaleRatio: 0.2,
        resumeMinStaleRatio: 0.5,
        genericMinStaleRatio: 0.85,
        efficacyMinTotalBytes: 512 * 1024 ** 2,
        minSegmentStaleBytes: 1,
        minSegmentAgeMs: 30_000,
        maxPlanSegments: 0,
        triggerChurnBytesPerSec: 0,
        rewriteBudgetBytesPerSec: 134_217_728,
        rewriteBudgetStartBytes: 134_217_728,
        debtDrainMaxSegments: 8,
        planCancelBackoffMs: 5_000,
        rewriteCancelBackoffMs: 20_000,
        ineffectiveBackoffMs: 120_000,
        ineffectiveGrowthMinBytes: 4_194_304,
        penaltyCooldownMs: 600_000,
        penaltyReadmitStaleRatio: 0.1,
        planResumeGraceMs: 350,
        planTimeoutMs: 30_000,
        rewriteTimeoutMs: 30_000,
        freshRewriteTimeoutMs: 120_000,
        checkpointKickRetryWindowMs: 5_000,
        deferredRetryWindowMs: 30_000,
        queueFollowupCooldownMs: 30_000,
        vacuumTriggerRewriteBytes: 67_108_864,
        vacuumMinIntervalMs: 300_000,
        disableRewrite: false,
        disableGc: false,
        disableVacuum: false,
        disableLoop: false,
        disableCheckpointKick: false,
        disableAutoDeferred: false,
      },
    })
    expect(Object.isFrozen(resolved)).toBe(true)
    expect(Object.isFrozen(resolved.maintenance)).toBe(true)
  })

  test('keep what is given and ignore undefined', () => {
    const given = { profile: undefined, mode: 'step', maintenance: { gcEvery: 2 } }
    const resolved = resolveOptions(given as unknown as EngineOptions)
    expect(resolved).toMatchObject({
      profile: 'durable',
      mode: 'step',
      maintenance: { gcEvery: 2 },
    })
  })

  test('list all problems at once, each with field and value', () => {
    const wrong = {
      profile: 'quick',
      sliceMs: 0,
      colour: 1,
      maintenance: { triggerStaleRatio: 1.5, loopIntervalMs: Number.NaN, gcEvery: 0.5, delay: 3 },
    } as unknown as EngineOptions
    let error: unknown
    try {
      resolveOptions(wrong)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(EngineError)
    expect((error as EngineError).code).toBe('ENGINE_OPTIONS')
    expect((error as EngineError).message.split('; ')).toEqual([
      "profile must be one of 'durable', 'wal_on_fast', 'fast', got 'quick'",
      'sliceMs must be a number from 0.1 to 1000, got 0',
      'colour is not an option',
      'maintenance.triggerStaleRatio must be a number from 0 to 1, got 1.5',
      'maintenance.loopIntervalMs must be an integer from 10 up, got NaN',
      'maintenance.gcEvery must be an integer from 1 up, got 0.5',
      'maintenance.delay is not an option',
    ])
  })
})
