/**
 * Caps of a plan, applied to candidates in their order. Pure. The count cap and the copy bound end the
 * run; a candidate over the live cap is passed over, and a smaller later one may still fit. The first
 * pick is always allowed, else a big segment could never be rewritten.
 */
import type { CandidateFilter, PlanFilters } from '../types.ts'
import type { Candidate } from './plan-candidates.ts'

/** 0 = that cap is off. */
export interface Caps {
  maxSegments: number
  maxLiveBytes: number
  maxCopiedBytes: number
}

/** The count and the live cap bound an automatic choice; a named set is not a choice (B1/F3). */
export function capsOf({
  segmentIds,
  maxSegments,
  maxLiveBytes,
  maxCopiedBytes,
}: PlanFilters): Caps {
  if (segmentIds !== null) return { maxSegments: 0, maxLiveBytes: 0, maxCopiedBytes }
  return { maxSegments, maxLiveBytes, maxCopiedBytes }
}

export function areCapsOn(caps: Caps): boolean {
  return caps.maxSegments > 0 || caps.maxLiveBytes > 0 || caps.maxCopiedBytes > 0
}

/** One run over candidates in order. */
export class CapRun {
  readonly #caps: Caps
  taken = 0
  liveBytes = 0

  constructor(caps: Caps) {
    this.#caps = caps
  }

  /** null: taken. Everything after a max_segments or max_copied_bytes gets the same answer. */
  offer(candidate: Candidate): CandidateFilter | null {
    const { maxSegments, maxLiveBytes, maxCopiedBytes } = this.#caps
    if (maxSegments > 0 && this.taken >= maxSegments) return 'max_segments'
    if (this.taken > 0) {
      if (maxCopiedBytes > 0 && this.liveBytes >= maxCopiedBytes) return 'max_copied_bytes'
      const live = this.liveBytes + candidate.bytesLive
      if (maxLiveBytes > 0 && live > maxLiveBytes) return 'max_live_bytes'
    }
    this.taken += 1
    this.liveBytes += candidate.bytesLive
    return null
  }
}

export function endsRun(answer: CandidateFilter | null): boolean {
  return answer === 'max_segments' || answer === 'max_copied_bytes'
}
