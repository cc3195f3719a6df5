/**
 * What maintenance would do with a folder that was only read: the planner's choice and GC's, over a
 * reading that said what an opening for writing would have (`opened`). Nothing is opened, so nothing can
 * change (B8, F17).
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
import type {
  GcReport,
  MaintenanceOptions,
  PlanFilters,
  RewritePlan,
  SegmentId,
  SegmentInfo,
} from './types.ts'

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
  const { penalties } = reading.state
  const segments = segmentsOf(reading)
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
  return gcReportOf(segmentsOf(reading), { dryRun: true, checkpointFrees: true, observed })
}

function segmentsOf({ opened, state }: FolderReading): SegmentInfo[] {
  return opened ?? state.segments
}

/** Segments whose age is that of their file, which copying resets (X5): no seal time is kept of them. */
export function datedByFile(reading: FolderReading): SegmentId[] {
  return segmentsOf(reading)
    .filter(({ ageSource }) => ageSource === 'mtime')
    .map(({ segmentId }) => segmentId)
}
