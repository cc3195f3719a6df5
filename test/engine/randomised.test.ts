/**
 * Random histories against a model. RESTAGE_SEED repeats a run, RESTAGE_RUNS lengthens it; a failure
 * prints the seed and the shortest history that shows it.
 */
import fc from 'fast-check'
import { describe, test } from 'vitest'
import type {
  MaintenanceOptions,
  PassSource,
  Profile,
  RewriteOptions,
  SchedulerMode,
} from '../../engine/types.ts'
import { EAGER } from '../support/eager-maintenance.ts'
import { SEED, runs } from '../support/random.ts'
import { KEYS, World, type LongStep, type OpenOptions, type Step } from '../support/world.ts'

const SOURCES: Exclude<PassSource, 'manual'>[] = [
  'periodic',
  'checkpoint_kick',
  'checkpoint_pending',
  'rewrite_stage_confirm',
  'rewrite_stage_confirm_exit',
  'rewrite_age_blocked',
  'rewrite_age_blocked_exit',
  'rewrite_queue_pending',
]

const anyBytes = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0, 1, 63, 64, 65) },
  { weight: 6, arbitrary: fc.constantFrom(200, 600, 900, 1500) },
  { weight: 1, arbitrary: fc.constantFrom(5000, 9000) },
)
const anyWrite = fc.record({
  // Some keys are written again and again.
  key: fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: KEYS.length - 1 })),
  seed: fc.nat({ max: 99 }),
  bytes: fc.oneof({ weight: 4, arbitrary: anyBytes }, { weight: 1, arbitrary: fc.constant(null) }),
})
const anyWrites = (max: number) => fc.array(anyWrite, { minLength: 1, maxLength: max })

const anyRewriteOptions: fc.Arbitrary<Partial<RewriteOptions>> = fc.record(
  {
    maxCopiedBytes: fc.constantFrom(0, 1, 3_000, 20_000),
    batchRecords: fc.constantFrom(1, 2, 256),
    syncEachBatch: fc.boolean(),
    locality: fc.constantFrom<RewriteOptions['locality'][]>('grouped', 'default'),
  },
  { requiredKeys: [] },
)

const anyLong: fc.Arbitrary<LongStep> = fc.oneof(
  fc.constant({ do: 'checkpoint' } as const),
  fc.constant({ do: 'kick' } as const),
  fc.record({
    do: fc.constant('pass' as const),
    source: fc.constantFrom<Exclude<PassSource, 'manual'>[]>(...SOURCES),
  }),
  fc.record(
    {
      do: fc.constant('rewrite' as const),
      segments: fc.nat({ max: 2 ** 16 - 1 }),
      options: anyRewriteOptions,
    },
    { requiredKeys: ['do', 'segments'] },
  ),
  fc.record({ do: fc.constant('stage' as const), minStaleRatio: fc.constantFrom(0, 0.2, 0.6) }),
  fc.constant({ do: 'gc' } as const),
  fc.constant({ do: 'vacuum' } as const),
)

const anyMode = fc.constantFrom<SchedulerMode[]>('step', 'auto')

const optionsOf = (profiles: readonly Profile[]): fc.Arbitrary<OpenOptions> =>
  fc.record({
    profile: fc.constantFrom(...profiles),
    inlineThreshold: fc.constantFrom(0, 64, 512),
    segmentBytes: fc.constantFrom(4096, 12_000),
    memtableBytes: fc.constantFrom(4096, 2 ** 20),
    // None, less than there are keys, and more.
    keyCacheBytes: fc.constantFrom(0, 512, 2 ** 20),
    mode: anyMode,
    checkpointIntervalMs: fc.constantFrom(0, 5_000),
  })

const OFTEN = { ...EAGER, confirmDelayMs: 5_000, vacuumMinIntervalMs: 0 }

/** Policies and thresholds around the eager ones; absent = the default. */
const anyChanges: fc.Arbitrary<Partial<MaintenanceOptions>> = fc.record(
  {
    policy: fc.constantFrom<MaintenanceOptions['policy'][]>('a_only', 'a_plus_c', 'queue_runner'),
    restage: fc.constantFrom<MaintenanceOptions['restage'][]>('on', 'off'),
    confirmDelayMs: fc.constantFrom(0, 5_000, 30_000),
    gcMinBytes: fc.constantFrom(1, 20_000),
    minSegmentAgeMs: fc.constantFrom(0, 20_000),
    triggerStaleRatio: fc.constantFrom(0, 0.05, 0.2, 0.7),
    triggerTotalBytes: fc.constantFrom(0, 8_000),
    resumeMinStaleRatio: fc.constantFrom(0.01, 0.5),
    maxPlanSegments: fc.constantFrom(0, 1, 3),
    rewriteBudgetBytesPerSec: fc.constantFrom(0, 500, 100_000),
    penaltyCooldownMs: fc.constantFrom(0, 60_000),
    ineffectiveGrowthMinBytes: fc.constantFrom(0, 4_096),
    vacuumTriggerRewriteBytes: fc.constantFrom(0, 1, 20_000),
    gcEvery: fc.constantFrom(1, 5),
    gcTimeoutMs: fc.constantFrom(1, 30_000),
    rewriteTimeoutMs: fc.constantFrom(1, 30_000),
    disableAutoDeferred: fc.constantFrom(false, false, true),
  },
  { requiredKeys: [] },
)
const anyMaintenance = anyChanges.map((some) => ({ ...OFTEN, ...some }))

const which = fc.nat({ max: 5 })

function anyStep(profiles: readonly Profile[]): fc.Arbitrary<Step> {
  const options = optionsOf(profiles)
  const step = <T extends Step>(weight: number, arbitrary: fc.Arbitrary<T>) => ({
    weight,
    arbitrary,
  })
  const named = <T extends Step['do']>(name: T) => fc.constant(name)
  return fc.oneof(
    step(8, fc.record({ do: named('batch'), writes: anyWrites(6) })),
    step(2, fc.record({ do: named('together'), writes: anyWrites(3) })),
    step(5, anyLong),
    step(4, fc.record({ do: named('during'), long: anyLong, writes: anyWrites(4) })),
    step(
      1,
      fc.record({
        do: named('close_during'),
        long: anyLong,
        turns: fc.nat({ max: 30 }),
        options,
      }),
    ),
    step(1, fc.record({ do: named('cancel_during'), long: anyLong, turns: fc.nat({ max: 30 }) })),
    step(1, fc.record({ do: named('cancel') })),
    step(1, fc.record({ do: named('set_options'), changes: anyChanges })),
    step(1, fc.record({ do: named('set_mode'), mode: anyMode })),
    step(1, fc.oneof(fc.record({ do: named('pause') }), fc.record({ do: named('resume') }))),
    step(2, fc.record({ do: named('turns'), turns: fc.integer({ min: 1, max: 60 }) })),
    step(2, fc.record({ do: named('settle') })),
    step(2, fc.record({ do: named('arm_crash'), calls: fc.integer({ min: 1, max: 40 }) })),
    step(1, fc.record({ do: named('snapshot') })),
    step(1, fc.record({ do: named('close_snapshot'), which })),
    step(1, fc.record({ do: named('iterate'), reverse: fc.boolean() })),
    step(1, fc.record({ do: named('step_iterator'), which, steps: fc.nat({ max: 12 }) })),
    step(1, fc.record({ do: named('close_iterator'), which })),
    step(4, fc.record({ do: named('advance'), ms: fc.constantFrom(10, 1_000, 6_000, 40_000) })),
    step(1, fc.record({ do: named('reopen'), options })),
    step(1, fc.record({ do: named('crash'), options })),
  )
}

describe(`random histories (seed ${SEED})`, () => {
  test.each<[string, Profile[]]>([
    ['durable and wal_on_fast: nothing acknowledged is lost', ['durable', 'wal_on_fast']],
    ['fast: a crash leaves a state from the last checkpoint on', ['fast']],
  ])(
    '%s',
    async (_, profiles) => {
      // Something to be overwritten, or most histories would end before anything is stale.
      const filled = anyWrites(40).map((writes): Step => ({ do: 'batch', writes }))
      const history = fc
        .tuple(filled, fc.array(anyStep(profiles), { maxLength: 70, size: 'max' }))
        .map(([first, steps]) => [first, ...steps])
      await fc.assert(
        fc.asyncProperty(
          optionsOf(profiles),
          fc.oneof({ weight: 3, arbitrary: anyMaintenance }, fc.constant({})),
          history,
          async (options, maintenance, steps) => {
            await new World(options, maintenance).run(steps)
          },
        ),
        { numRuns: runs(100), seed: SEED },
      )
    },
    // A history takes a fraction of a second, on a busy machine a few.
    Math.max(600_000, runs(100) * 20_000),
  )
})
