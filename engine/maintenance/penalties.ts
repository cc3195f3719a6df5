/**
 * Penalties of rewrites that did not pay. Pure. A penalised segment is left out of plans until its
 * cool-down is over, or until it has become materially more stale than it was then. Both end the
 * penalty for good, in the file too: upstream's never leave it (D5).
 */
import type { MaintenanceOptions, RewritePenalty, SegmentId, SegmentInfo } from '../types.ts'
import { ratioOf, segmentLookup, type SegmentLookup } from './ledger.ts'

export interface Lifted {
  kept: RewritePenalty[]
  /** Ascending by segmentId, like `kept`. */
  expired: SegmentId[]
  readmitted: SegmentId[]
}

/** A penalty ends with its time, with its segment, or with new stale bytes. */
export function liftPenalties(
  penalties: readonly RewritePenalty[],
  now: { nowMs: number; segments: SegmentLookup },
  options: Pick<MaintenanceOptions, 'penaltyReadmitStaleRatio'>,
): Lifted {
  const lifted: Lifted = { kept: [], expired: [], readmitted: [] }
  for (const penalty of penalties) {
    const { segmentId } = penalty
    const segment = now.segments.get(segmentId)
    if (penalty.cooldownUntilMs <= now.nowMs || segment === undefined) {
      lifted.expired.push(segmentId)
      continue
    }
    const gained = segment.bytesStale - penalty.lastStaleBytes
    const material = Math.max(1, options.penaltyReadmitStaleRatio * segment.bytesTotal)
    const improved = penalty.lastStaleBytes > 0 && gained >= material && ratioOf(segment) > 0
    if (improved) lifted.readmitted.push(segmentId)
    else lifted.kept.push(penalty)
  }
  return lifted
}

/** Segments that a plan of now leaves out, until when: those whose penalty ends now are not among them. */
export function coolingOf(
  penalties: readonly RewritePenalty[],
  now: { nowMs: number; segments: readonly SegmentInfo[] },
  options: Pick<MaintenanceOptions, 'penaltyReadmitStaleRatio'>,
): Map<SegmentId, number> {
  if (penalties.length === 0) return new Map()
  const { nowMs, segments } = now
  const { kept } = liftPenalties(penalties, { nowMs, segments: segmentLookup(segments) }, options)
  return new Map(kept.map((p) => [p.segmentId, p.cooldownUntilMs]))
}

/** One more attempt each; a cool-down is only ever raised. */
export function penalise(
  penalties: readonly RewritePenalty[],
  failed: readonly { segmentId: SegmentId; staleBytes: number }[],
  how: { cooldownUntilMs: number; growthBytes: number },
): RewritePenalty[] {
  const byId = new Map(penalties.map((penalty) => [penalty.segmentId, penalty]))
  for (const { segmentId, staleBytes } of failed) {
    const known = byId.get(segmentId)
    byId.set(segmentId, {
      segmentId,
      attempts: (known?.attempts ?? 0) + 1,
      cooldownUntilMs: Math.max(known?.cooldownUntilMs ?? 0, how.cooldownUntilMs),
      lastGrowthBytes: how.growthBytes,
      lastStaleBytes: staleBytes,
    })
  }
  return [...byId.values()].sort((a, b) => a.segmentId - b.segmentId)
}
