/** Options of maintenance by which small stores meet a reason to rewrite and to collect, without waiting. */
import type { MaintenanceOptions } from '../../engine/index.ts'

export const EAGER = {
  checkpointKickMinIntervalMs: 0,
  rewriteMinIntervalMs: 0,
  resumeMinIntervalMs: 0,
  quietWriteWindowMs: 0,
  quietReadWindowMs: 0,
  gcMinIntervalMs: 0,
  gcMinBytes: 1,
  minSegmentAgeMs: 0,
  efficacyMinTotalBytes: 0,
  triggerStaleRatio: 0.2,
  resumeMinStaleRatio: 0.1,
} satisfies Partial<MaintenanceOptions>
