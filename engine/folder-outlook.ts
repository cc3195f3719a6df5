/**
 * What maintenance would do with a folder that was only read: the planner's choice and GC's, over a
 * reading. Nothing is opened, so nothing can change (B8, F17).
 */
import { isWorthMoving } from './index-vacuum.ts'
import { FIRST_TREE_PAGE, indexFileBytes } from './index/page-store.ts'
import { PAGE_BYTES } from './index/page.ts'
import type { FolderReading } from './inspect/report.ts'
import { LOGGED_PAGE_SUFFIX } from './inspect/tree-walk.ts'
import { filtersFor } from './maintenance/decide.ts'
import { staleTriggerFloor, totalBytes } from './maintenance/floors.ts'
import { gcReportOf } from './maintenance/gc-survey.ts'
import { coolingOf } from './maintenance/penalties.ts'
import { planRewrite } from './maintenance/planner.ts'
import { resolveOptions } from './options.ts'
import type { GcReport, MaintenanceOptions, PlanFilters, RewritePlan, SegmentId } from './types.ts'

/**
 * Filters that are not given are those of the automatic stale-ratio plan under these options. Segments
 * with a penalty are left out, as a pass leaves them out.
 */
export function planFolder(
  reading: FolderReading,
  how: {
    filters?: Partial<PlanFilters>
    options?: Partial<MaintenanceOptions>
    nowMs: number
  },
): RewritePlan {
  const { segments, penalties } = reading.state
  const { nowMs } = how
  const { maintenance } = resolveOptions({ maintenance: how.options ?? {} })
  const floor = staleTriggerFloor(totalBytes(segments), maintenance)
  return planRewrite({
    segments,
    filters: { ...filtersFor(floor, maintenance), ...how.filters },
    nowMs,
    cooling: coolingOf(penalties, { nowMs, segments }, maintenance),
    liveBytesKnown: reading.attachment.liveBytesUnknown === null,
  })
}

/**
 * What an index vacuum would make of index.db. `bytesAfter` null: not every page could be read, so how many
 * are in use is not known. A pending journal may need some more.
 */
export function vacuumFolder({ report }: FolderReading): {
  bytesBefore: number
  bytesAfter: number | null
} {
  const { file_bytes: bytesBefore, visited, pages_not_read: unread = 0 } = report.index
  if (unread > 0 || report.meta === null) return { bytesBefore, bytesAfter: null }
  const used = Object.entries(visited)
    .filter(([encoding]) => !encoding.endsWith(LOGGED_PAGE_SUFFIX))
    .reduce((sum, [, pages]) => sum + pages, FIRST_TREE_PAGE)
  const total = bytesBefore / PAGE_BYTES
  const bytesAfter = isWorthMoving(total - used, total) ? indexFileBytes(used) : bytesBefore
  return { bytesBefore, bytesAfter: Math.min(bytesBefore, bytesAfter) }
}

/** A dry GC: an opening for writing would checkpoint first, so old roots and the journal keep nothing. */
export function gcFolder(reading: FolderReading, observed?: readonly SegmentId[]): GcReport {
  return gcReportOf(reading.state.segments, { dryRun: true, checkpointFrees: true, observed })
}
