// What a pass would do if it ran now, said before it runs. Pure, from the state and options the page
// has: an expectation, not a promise, because the gates are judged when the pass runs.
import type {
  EngineState,
  MaintenanceOptions,
  PassSource,
  SegmentId,
} from '../../server/protocol.ts'
import {
  formatBytes,
  formatCountdown,
  formatDuration,
  formatRatio,
  plural,
  segmentLabel,
} from '../lib/format.ts'
import type { PageGauges } from './app-state.ts'
import { heldBackBy } from './held-back.ts'
import { segmentById, stageOf, totalsOf } from './selectors.ts'

export interface Preview {
  /** blocked: a gate would stop it; nothing: it would find no work; acts: it would move bytes; plans. */
  kind: 'blocked' | 'nothing' | 'acts' | 'plans'
  text: string
  /** Segments it would rewrite. */
  segmentIds: SegmentId[]
}

export interface PreviewInput {
  engine: EngineState
  options: MaintenanceOptions
  gauges: Pick<PageGauges, 'lastWriteAtMs' | 'lastReadAtMs'>
  nowMs: number
}

const blocked = (text: string): Preview => ({ kind: 'blocked', text, segmentIds: [] })

/** Passes that obey the quiet windows; the others are woken by something that cannot wait for quiet. */
const quietSources = new Set<PassSource>(['periodic'])
const confirmSources = new Set<PassSource>(['rewrite_stage_confirm', 'rewrite_stage_confirm_exit'])

/** The kick that follows from a checkpoint: its own gates, then those of a hot pass. */
export function previewKick(input: PreviewInput): Preview {
  const { engine, options, nowMs } = input
  const [held] = heldBackBy(engine.scheduler)
  if (held !== undefined) return blocked(`is skipped: ${held.why}`)
  if (options.disableCheckpointKick) return blocked('is skipped: checkpoint kicks are switched off')
  const last = engine.scheduler.lastCheckpointKickAtMs
  if (last !== null && nowMs - last < options.checkpointKickMinIntervalMs) {
    return blocked(
      `is skipped: the last kick was ${formatDuration(nowMs - last)} ago, ${formatDuration(options.checkpointKickMinIntervalMs)} lie between two`,
    )
  }
  return previewPass(input, 'checkpoint_kick')
}

export function previewPass(input: PreviewInput, source: PassSource): Preview {
  const { engine, options, nowMs } = input
  const { debt, scheduler } = engine
  if (scheduler.activePass !== null) {
    return blocked(`is refused: pass ${String(scheduler.activePass.passId)} holds the slot`)
  }
  const noise = quietSources.has(source) ? notQuiet(input) : null
  if (noise !== null) return noise
  const stage = stageOf(debt, nowMs)
  if (confirmSources.has(source)) {
    if (stage.kind === 'none' || stage.kind === 'ready') {
      return blocked('is stopped at a gate: nothing is staged to confirm')
    }
    if (stage.kind === 'waiting') {
      return blocked(
        `is stopped at a gate: the confirm is due in ${formatCountdown(stage.dueInMs)}`,
      )
    }
    return rewriting(input, source)
  }
  if (stage.kind === 'waiting' || stage.kind === 'due') {
    const when = stage.kind === 'due' ? 'is due' : `is due in ${formatCountdown(stage.dueInMs)}`
    return blocked(`leaves the staged debt alone: its confirm ${when}`)
  }
  if (options.disableRewrite) return blocked('rewrites nothing: rewrites are switched off')
  const interval =
    stage.kind === 'ready' ? options.resumeMinIntervalMs : options.rewriteMinIntervalMs
  const since = scheduler.lastRewriteAtMs === null ? null : nowMs - scheduler.lastRewriteAtMs
  if (since !== null && since < interval) {
    return blocked(
      `rewrites nothing: the last rewrite was ${formatDuration(since)} ago, ${formatDuration(interval)} lie between two`,
    )
  }
  return stage.kind === 'ready' ? rewriting(input, source) : planning(input)
}

/** Quiet comes before any planning (M5). */
function notQuiet({ options, gauges, nowMs }: PreviewInput): Preview | null {
  const windows: [string, number | null | undefined, number][] = [
    ['write', gauges.lastWriteAtMs, options.quietWriteWindowMs],
    ['read', gauges.lastReadAtMs, options.quietReadWindowMs],
  ]
  for (const [what, lastAtMs, windowMs] of windows) {
    if (lastAtMs === null || lastAtMs === undefined || nowMs - lastAtMs >= windowMs) continue
    return blocked(
      `is stopped at a gate: the last ${what} was ${formatDuration(nowMs - lastAtMs)} ago, ${formatDuration(windowMs)} of quiet are needed`,
    )
  }
  return null
}

/** How many of the queue one pass takes: one, but for quiet passes and where restaging is off. */
function taken(options: MaintenanceOptions, source: PassSource, queued: number): number {
  const hot = !quietSources.has(source)
  if (options.policy === 'queue_runner') return Math.min(queued, options.debtDrainMaxSegments)
  const restages = options.policy === 'a_plus_c' && options.restage === 'on'
  return hot && restages ? Math.min(1, queued) : queued
}

function rewriting({ engine, options }: PreviewInput, source: PassSource): Preview {
  const { queue } = engine.debt
  const count = taken(options, source, queue.length)
  const ids = queue.slice(0, count)
  const segments = ids.flatMap((id) => segmentById(engine.segments, id) ?? [])
  const live = segments.reduce((sum, segment) => sum + segment.bytesLive, 0)
  const stale = segments.reduce((sum, segment) => sum + segment.bytesStale, 0)
  const what =
    ids.length === 1 && ids[0] !== undefined
      ? segmentLabel(ids[0])
      : plural(ids.length, 'queued segment')
  const rest = queue.length - ids.length
  const then =
    rest === 0
      ? 'the queue is then empty'
      : `${plural(rest, 'segment')} ${rest === 1 ? 'is' : 'are'} restaged for ${formatDuration(options.confirmDelayMs)}`
  return {
    kind: 'acts',
    text: `rewrites ${what}: copies ${formatBytes(live)}, frees ${formatBytes(stale + live)} once nothing keeps ${ids.length === 1 ? 'it' : 'them'}; ${then}`,
    segmentIds: ids,
  }
}

function planning({ engine, options }: PreviewInput): Preview {
  const totals = totalsOf(engine.segments)
  const ratio = totals.bytesTotal === 0 ? 0 : totals.bytesStale / totals.bytesTotal
  const byRatio = options.triggerStaleRatio > 0 && ratio >= options.triggerStaleRatio
  const bySize = options.triggerTotalBytes > 0 && totals.bytesTotal >= options.triggerTotalBytes
  if (!byRatio && !bySize) {
    return {
      kind: 'nothing',
      text: `finds too little debt: ${formatRatio(ratio)} of all bytes are stale, a plan is made from ${formatRatio(options.triggerStaleRatio)} on`,
      segmentIds: [],
    }
  }
  return {
    kind: 'plans',
    text: `plans first: ${byRatio ? `${formatRatio(ratio)} of all bytes are stale` : `${formatBytes(totals.bytesTotal)} reach the size trigger`}; what it selects is staged or rewritten`,
    segmentIds: [],
  }
}
