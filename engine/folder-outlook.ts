/**
 * What maintenance would do with a folder that was only read: the planner's choice and GC's, over a
 * reading. Nothing is opened, so nothing can change (B8, F17).
 */
import type { FolderReading } from './inspect/report.ts'
import { filtersFor } from './maintenance/decide.ts'
import { staleTriggerFloor, totalBytes } from './maintenance/floors.ts'
import { gcReportOf } from './maintenance/gc-survey.ts'
import { planRewrite } from './maintenance/planner.ts'
import { resolveOptions } from './options.ts'
import type { GcReport, MaintenanceOptions, PlanFilters, RewritePlan, SegmentId } from './types.ts'

/** Filters that are not given are those of the automatic stale-ratio plan under these options. */
export function planFolder(
  reading: FolderReading,
  how: {
    filters?: Partial<PlanFilters>
    options?: Partial<MaintenanceOptions>
    nowMs: number
  },
): RewritePlan {
  const { segments } = reading.state
  const { maintenance } = resolveOptions({ maintenance: how.options ?? {} })
  const floor = staleTriggerFloor(totalBytes(segments), maintenance)
  return planRewrite({
    segments,
    filters: { ...filtersFor(floor, maintenance), ...how.filters },
    nowMs: how.nowMs,
    liveBytesKnown: reading.liveBytesKnown,
  })
}

/** A dry GC: an opening for writing would checkpoint first, so old roots and the journal keep nothing. */
export function gcFolder(reading: FolderReading, observed?: readonly SegmentId[]): GcReport {
  return gcReportOf(reading.state.segments, { dryRun: true, checkpointFrees: true, observed })
}
