/** What a pass will do, as data: the answer of `decide.ts`, which `pass.ts` executes. */
import type {
  Gate,
  GateName,
  PassOutcome,
  RewriteDebt,
  RewritePlan,
  RewriteOptions,
  RewriteReason,
  SegmentId,
} from '../types.ts'
import type { Pruned } from './ledger.ts'
import type { ChurnSample, PlanTrigger } from './pass-input.ts'
import type { Lifted } from './penalties.ts'

/** Ids to drop from the queue, and the debt that is left: saved before anything else is done. */
export interface PrunePlan extends Pruned {
  /** dead: no live bytes are left. refresh: the ledger follows the segments, and some fell out by it. */
  kind: 'missing' | 'dead' | 'quality' | 'refresh'
  /** Floor of a quality prune or refresh; 0 otherwise. */
  minStaleRatio: number
  /** Queued before it. */
  queued: number
}

/** A plan and what asked for it; reported even when it selected nothing. */
export interface PlanMade {
  trigger: PlanTrigger
  plan: RewritePlan
}

/** What the pass is for. Exactly one a pass; prunes before it and GC after it come on top. */
export type Action =
  /** A gate keeps the pass from doing more. `admitted` false: it never came to look at the debt. */
  | { kind: 'blocked'; by: GateName; admitted: boolean }
  | { kind: 'nothing' }
  /** The staged debt has nothing left that is worth a rewrite. */
  | { kind: 'clear_stage' }
  | {
      kind: 'stage'
      debt: RewriteDebt
      segmentIds: SegmentId[]
      minStaleRatio: number
      reason: RewriteReason
    }
  | QueueRewrite
  | { kind: 'rewrite_ids'; segmentIds: SegmentId[]; options: Partial<RewriteOptions> }
  | { kind: 'gc'; observed: SegmentId[] }
  | { kind: 'vacuum' }

/** What a pass is remembered for: debt that was staged first, a rewrite, then bytes that GC freed. */
export function passOutcome<T extends PassOutcome>(acted: T, deleted: number): T | 'reclaimed' {
  return acted !== 'rewrote' && acted !== 'staged' && deleted > 0 ? 'reclaimed' : acted
}

/** Queued segments are executed; the pass picks them by their bytes at that moment. */
export interface QueueRewrite {
  kind: 'rewrite'
  reason: RewriteReason
  /** The queue to execute from; `fresh` = it must be saved first. */
  debt: RewriteDebt
  fresh: boolean
  /** true: the rest is staged again afterwards, with this floor. */
  restage: boolean
  minStaleRatio: number | null
  /** 1 but for the queue runner. */
  maxSegments: number
  /** Cap on copied bytes; 0 = none. */
  maxCopiedBytes: number
}

/** Too-young segments that a retry waits for. */
export interface AgeBlock {
  trigger: PlanMade['trigger']
  segments: number
  staleBytes: number
  minAgeMs: number
  untilMs: number
}

/** The whole answer: executing it needs no further choice but which queued segment is still there. */
export interface Decision {
  gates: Gate[]
  /** What was measured of the foreground; null when the pass was not admitted. */
  churn: { sample: ChurnSample; bytesPerSecond: number | null } | null
  /** Penalties that end now; null when none does. */
  lifted: Lifted | null
  prunes: PrunePlan[]
  /** Set when a due stage is being confirmed. */
  confirm: { observedAgeMs: number; queued: number; ledger: number } | null
  plans: PlanMade[]
  /** How long the next plan must wait; null when nothing was planned to the end. */
  planHoldMs: number | null
  /** A new wait for age, `clear` when a plan ended the old one, null = as it was. */
  ageBlock: AgeBlock | 'clear' | null
  action: Action
  /** Reclaim dead segments on their own. A rewrite reclaims by itself. */
  gc: boolean
}
