/**
 * Quality floors: how stale a segment must be to be worth copying, by why it is copied. Upstream's
 * rules (`...MinStaleRatioFor...`), with one repair: debt is resumed at the floor that staged it,
 * so the band between the trigger ratio and 0.5 cannot hang forever (PR #843 review, F16).
 */
import type { MaintenanceOptions, RewriteDebt, SegmentInfo } from '../types.ts'

/** Bytes of the segments that a rewrite could still concern; zombies are only waiting to be deleted. */
export function totalBytes(segments: readonly SegmentInfo[]): number {
  let total = 0
  for (const segment of segments) if (segment.state !== 'zombie') total += segment.bytesTotal
  return total
}

/** Floor of a sparse plan. 0 when the stale-ratio trigger is off: then there is no such plan. */
export function staleTriggerFloor(bytesTotal: number, options: MaintenanceOptions): number {
  const trigger = options.triggerStaleRatio
  if (trigger <= 0 || bytesTotal < options.efficacyMinTotalBytes) return trigger
  return Math.max(trigger, options.resumeMinStaleRatio)
}

/** Floor of a plan made because the log is big. 0 below the efficacy size: everything stale counts. */
export function genericFloor(bytesTotal: number, options: MaintenanceOptions): number {
  if (bytesTotal < options.efficacyMinTotalBytes) return 0
  return Math.max(options.genericMinStaleRatio, staleTriggerFloor(bytesTotal, options))
}

/** Floor of queued debt that does not say which floor queued it. */
export function resumeFloor(bytesTotal: number, options: MaintenanceOptions): number {
  if (bytesTotal >= options.efficacyMinTotalBytes) return options.resumeMinStaleRatio
  return Math.min(options.resumeMinStaleRatio, options.triggerStaleRatio)
}

/**
 * Floor at which queued debt is executed now. Debt keeps the ratio that queued it, staged (M3) or
 * not; `recorded` is that ratio of debt that is not staged any more, null when unknown. Queue-only
 * debt was never measured, so no ratio was promised either (M4): 0.
 */
export function queuedFloor(
  debt: RewriteDebt,
  recorded: number | null,
  bytesTotal: number,
  options: MaintenanceOptions,
): number {
  const known = debt.stage?.minStaleRatio ?? recorded
  if (known !== null) return known
  if (debt.ledger.length === 0) return 0
  return resumeFloor(bytesTotal, options)
}
