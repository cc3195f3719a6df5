/** A vacuum report with nothing in it but what a test says. */
import type { VacuumReport } from '../../engine/types.ts'

export function vacuumReportOf(some: Partial<VacuumReport> = {}): VacuumReport {
  return {
    done: true,
    text: 'vacuumed',
    bytesBefore: 0,
    bytesAfter: 0,
    pagesMoved: 0,
    commits: 0,
    pagesHeld: 0,
    cancelled: false,
    longestSliceMs: 0,
    elapsedMs: 1,
    ...some,
  }
}
