/**
 * The demo store: small segments and short delays, so that within two minutes of the default
 * workload a checkpoint kick rewrites one segment, GC deletes it and the rest is restaged. The
 * numbers belong together:
 *
 * - 20,000 keys of 1 KiB fill 20 MiB, ten segments. 400 overwrites a second for 45 s of each
 *   minute add 18 MiB a minute, a 2 MiB segment about every five seconds.
 * - Hot passes rewrite one segment a confirm delay of 8 s, periodic ones drain a segment a second
 *   while the workload rests: together they keep the store at some tens of MiB.
 */
import type { EngineOptions } from './engine-door.ts'
import type { WorkloadSettings } from './protocol.ts'

export const DEMO_DIR = 'data/demo'

const MiB = 1024 * 1024

export const DEMO_ENGINE: EngineOptions = {
  segmentBytes: 2 * MiB,
  checkpointIntervalMs: 10_000,
  maintenance: {
    // A little above the filled key space: reached after seconds of churn, not at once.
    triggerTotalBytes: 24 * MiB,
    triggerStaleRatio: 0.2,
    genericMinStaleRatio: 0.5,
    // Judge by the generic floor from the first byte; a demo store never gets large.
    efficacyMinTotalBytes: 1,
    minSegmentAgeMs: 10_000,
    // Long enough to watch the countdown, short enough to see it end.
    confirmDelayMs: 8_000,
    // Below the checkpoint interval, or every other kick would come a moment too early for a plan.
    rewriteMinIntervalMs: 8_000,
    // Shorter than a rest of the workload, so that periodic passes find quiet.
    quietWriteWindowMs: 5_000,
  },
}

/** Also the start settings of any hosted store's workload. */
export const DEFAULT_WORKLOAD: WorkloadSettings = {
  seed: 1,
  shape: 'skewed',
  keys: 20_000,
  valueBytes: 1024,
  putsPerSecond: 400,
  deleteRatio: 0,
  burstMs: 45_000,
  restMs: 15_000,
  diskCapBytes: 512 * MiB,
}
