/** The trace words of what a pass does to the queue. Pure. */
import type { EngineEventBody } from '../types.ts'
import type { PrunePlan } from './decision.ts'

/** undefined: a refresh that dropped nothing has been told by its own event. */
export function pruneWord(prune: PrunePlan, minStaleBytes: number): EngineEventBody | undefined {
  const { kind, dropped, debt, minStaleRatio: minRatio } = prune
  const remaining = debt.queue.length
  switch (kind) {
    case 'missing': {
      const stagePending = debt.stage !== null
      return { type: 'rewrite_queue_missing_prune', dropped, remaining, stagePending }
    }
    case 'dead':
      return { type: 'rewrite_queue_prune', dropped, remaining }
    case 'quality': {
      return { type: 'rewrite_queue_quality_prune', dropped, remaining, minRatio, minStaleBytes }
    }
    case 'refresh':
      return dropped.length === 0
        ? undefined
        : { type: 'rewrite_queue_refresh_prune', dropped, remaining, minRatio, minStaleBytes }
  }
}
