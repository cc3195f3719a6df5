// What this page has seen of one segment: its bytes over time, the passes that touched it, where its
// live records went, and what the planner last said of it. Pure; derived from the trace and the passes
// held, and therefore as complete as they are, which the caller has to say.
import type {
  CandidateVerdict,
  EngineEvent,
  PassReport,
  SegmentId,
  SegmentInfo,
} from '../../server/protocol.ts'
import { formatDistance, formatRatio } from '../lib/format.ts'
import { filterWords } from '../lib/words.ts'
import type { LogChunk } from '../lib/chunked-log.ts'
import type { PassRun, TraceEntry, TraceLog } from './app-state.ts'

export interface SegmentPoint {
  atMs: number
  bytesTotal: number
  bytesLive: number
}

export interface SegmentPast {
  points: SegmentPoint[]
  /** As it was last seen whole; for a segment that is gone. */
  lastSeen: SegmentInfo | null
  deleted: Extract<EngineEvent, { type: 'segment_deleted' }> | null
  /** Stream of that event: its pass is of the same. */
  deletedIn: number | null
  /** Entries of the trace looked at, from the newest back; fewer than it has while the search goes on. */
  searched: number
}

type PastInChunk = Omit<SegmentPast, 'searched'>

/** Full chunks never change, so what they say of the segment being looked at is kept. */
const known = new WeakMap<LogChunk<TraceEntry>, { id: SegmentId; past: PastInChunk }>()

/**
 * What the trace says of the segment. A long trace takes longer than a frame to go through: `isOver`
 * ends the search for now, and calling again goes on where it stopped, at least one chunk a call.
 */
export function segmentPast(
  trace: TraceLog,
  id: SegmentId,
  isOver: () => boolean = () => false,
): SegmentPast {
  const all: SegmentPast = {
    points: [],
    lastSeen: null,
    deleted: null,
    deletedIn: null,
    searched: 0,
  }
  const found: PastInChunk[] = []
  let looked = 0
  for (const chunk of trace.chunks.toReversed()) {
    let held = known.get(chunk)
    if (held?.id !== id) {
      // The newest chunk changes with every frame: looking at it is no progress.
      if (looked > 1 && isOver()) break
      held = { id, past: pastIn(chunk, id) }
      known.set(chunk, held)
      looked += 1
    }
    found.push(held.past)
    all.searched += chunk.items.length
  }
  for (const past of found.reverse()) {
    for (const point of past.points) all.points.push(point)
    all.lastSeen = past.lastSeen ?? all.lastSeen
    all.deleted = past.deleted ?? all.deleted
    all.deletedIn = past.deletedIn ?? all.deletedIn
  }
  return all
}

function pastIn(chunk: LogChunk<TraceEntry>, id: SegmentId): PastInChunk {
  const past: PastInChunk = { points: [], lastSeen: null, deleted: null, deletedIn: null }
  for (const entry of chunk.items) {
    if (entry.kind !== 'event') continue
    const { event } = entry
    switch (event.type) {
      case 'segment_created':
      case 'segment_sealed':
      case 'segment_zombie':
      case 'segment_kept':
        if (event.segment.segmentId !== id) break
        past.lastSeen = event.segment
        past.points.push(pointOf(event.atMs, event.segment.bytesTotal, event.segment.bytesLive))
        break
      case 'segment_bytes':
        for (const [changed, bytesTotal, bytesLive] of event.changes) {
          if (changed === id) past.points.push(pointOf(event.atMs, bytesTotal, bytesLive))
        }
        break
      case 'segment_deleted':
        if (event.segmentId !== id) break
        past.deleted = event
        past.deletedIn = entry.stream
        past.points.push(pointOf(event.atMs, 0, 0))
        break
      default:
    }
  }
  return past
}

function pointOf(atMs: number, bytesTotal: number, bytesLive: number): SegmentPoint {
  return { atMs, bytesTotal, bytesLive }
}

// ---------------------------------------------------------------- passes

export type Touch =
  | 'planned'
  | 'dropped by the plan'
  | 'staged'
  | 'confirmed'
  | 'rewritten'
  | 'written by the rewrite'
  | 'pruned'
  | 'left the queue'
  | 'deleted'
  | 'kept'

export interface PassTouch {
  report: PassReport
  what: Touch[]
}

/** Newest first. Being dropped by a plan alone is no touch worth a line. */
export function passesThatTouched(passes: readonly PassRun[], id: SegmentId): PassTouch[] {
  const touches: PassTouch[] = []
  for (let index = passes.length - 1; index >= 0; index -= 1) {
    const run = passes[index]
    if (run === undefined) break
    const what = touchesIn(run.report, id)
    if (what.length > 0) touches.push({ report: run.report, what })
  }
  return touches
}

function touchesIn(report: PassReport, id: SegmentId): Touch[] {
  const what: Touch[] = []
  for (const step of report.steps) {
    switch (step.kind) {
      case 'plan':
        if (step.plan.selected.some((entry) => entry.segmentId === id)) what.push('planned')
        break
      case 'stage':
        if (step.segmentIds.includes(id)) what.push('staged')
        break
      case 'confirm':
        if (step.segmentIds.includes(id)) what.push('confirmed')
        break
      case 'rewrite':
        if (step.report.sourceSegmentsRequested.includes(id)) what.push('rewritten')
        if (step.report.outputSegments.includes(id)) what.push('written by the rewrite')
        break
      case 'prune_missing':
      case 'prune_quality':
        if (step.segmentIds.includes(id)) what.push('pruned')
        break
      case 'consume':
        if (step.segmentIds.includes(id)) what.push('left the queue')
        break
      case 'gc':
        if (!step.report.dryRun && step.report.deleted.includes(id)) what.push('deleted')
        if (step.report.segmentsKept.includes(id)) what.push('kept')
        break
      default:
    }
  }
  return what
}

export interface MovedTo {
  passId: number
  outputSegments: SegmentId[]
  recordsCopied: number
  bytesWritten: number
  /** Other sources of the same rewrite share the numbers. */
  sources: number
}

/** Where its live records went, newest first. */
export function whereItWent(passes: readonly PassRun[], id: SegmentId): MovedTo[] {
  return [...passes].reverse().flatMap(({ report }) =>
    report.steps.flatMap((step) =>
      step.kind === 'rewrite' && step.report.sourceSegmentsRequested.includes(id)
        ? [
            {
              passId: report.passId,
              outputSegments: step.report.outputSegments,
              recordsCopied: step.report.recordsCopied,
              bytesWritten: step.report.bytesWritten,
              sources: step.report.sourceSegmentsRequested.length,
            },
          ]
        : [],
    ),
  )
}

// ---------------------------------------------------------------- verdicts

export interface Verdicts {
  /** null = asked by hand. */
  passId: number | null
  atMs: number
  by: Map<SegmentId, CandidateVerdict>
}

/** The newest verdicts there are: of the last pass that planned, or of a plan asked for later. */
export function newestVerdicts(
  passes: readonly PassRun[],
  asked: { candidates: readonly CandidateVerdict[]; atMs: number } | null,
): Verdicts | null {
  for (let index = passes.length - 1; index >= 0; index -= 1) {
    const report = passes[index]?.report
    const plan = report?.steps.findLast((step) => step.kind === 'plan')
    if (report === undefined || plan?.kind !== 'plan' || plan.plan.candidates.length === 0) continue
    if (asked !== null && asked.atMs >= report.endedAtMs) break
    return { passId: report.passId, atMs: report.endedAtMs, by: byId(plan.plan.candidates) }
  }
  return asked === null ? null : { passId: null, atMs: asked.atMs, by: byId(asked.candidates) }
}

function byId(candidates: readonly CandidateVerdict[]): Map<SegmentId, CandidateVerdict> {
  return new Map(candidates.map((candidate) => [candidate.segmentId, candidate]))
}

/** Less than a point of a percent is what one overwrite changes. */
const SAME_RATIO = 0.01

export interface VerdictOn {
  /** Empty: none that is about the segment as it is. */
  verdict: string
  /** Why it is empty. */
  why: string
  /** The segment is more stale now than when the plan looked. */
  outdated: boolean
}

/** What the newest plan said of a segment, told as of then where it has changed since. */
export function verdictOn(verdicts: Verdicts | null, segment: SegmentInfo): VerdictOn {
  const none = (why: string): VerdictOn => ({ verdict: '', why, outdated: false })
  if (segment.state === 'zombie') return none('it is dead: there is nothing left to plan')
  const candidate = verdicts?.by.get(segment.segmentId)
  if (candidate === undefined) return none('no plan has looked at it yet')
  const { distance, unit } = candidate
  const now = segment.bytesTotal === 0 ? 0 : segment.bytesStale / segment.bytesTotal
  const outdated = Math.abs(now - candidate.staleRatio) >= SAME_RATIO
  const then = outdated ? `at ${formatRatio(candidate.staleRatio)} stale: ` : ''
  if (candidate.verdict === 'selected') return { verdict: `${then}✓ selected`, why: '', outdated }
  const by =
    distance === null || unit === null || unit === 'flag'
      ? ''
      : `, by ${formatDistance(distance, unit)}`
  return { verdict: `${then}${filterWords[candidate.verdict]}${by}`, why: '', outdated }
}
