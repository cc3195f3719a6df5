/** A GC report of nothing, for tests that make some up. */
import type { GcClass, GcReport, SegmentTally } from '../../engine/types.ts'

export function makeGcReport(overrides: Partial<GcReport> = {}): GcReport {
  const none = (): SegmentTally => ({ segments: 0, bytes: 0 })
  const classes: Record<GcClass, SegmentTally> = {
    referenced: none(),
    active: none(),
    in_use: none(),
    retained: none(),
    overlap: none(),
    other: none(),
    eligible: none(),
  }
  return {
    dryRun: false,
    total: none(),
    classes,
    observed: null,
    pending: [],
    bytesPending: 0,
    verdicts: [],
    holdings: [],
    segmentsTotal: 0,
    segmentsReferenced: 0,
    segmentsActive: 0,
    segmentsKept: [],
    bytesKept: 0,
    eligible: [],
    bytesEligible: 0,
    deleted: [],
    bytesDeleted: 0,
    errors: [],
    cancelled: false,
    elapsedMs: 0,
    ...overrides,
  }
}
