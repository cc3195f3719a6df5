/**
 * The one sentence of a pass for a person: what happened, to how much, and what comes next or why
 * nothing could. Pure; reads only the report it completes.
 */
import type { Gate, PassReport, PassStep, RewritePlan, SegmentId } from '../types.ts'
import { waitingForAge } from './planner.ts'
import { bytesText, countText, durationText, percentText, segmentText, waitText } from './text.ts'

type Told = Omit<PassReport, 'sentence'>

/** What the words of a pass that did nothing are taken from; a preview has no more. */
export type Scene = Pick<Told, 'source' | 'steps' | 'gates' | 'endedAtMs'>

/** The segment a rewrite was of, with its economics when it started. */
export interface RewrittenSegment {
  segmentId: SegmentId
  staleRatio: number
}

/** `rewritten`: sources of completed rewrites, in order; empty when there was none. */
export function describePass(report: Told, rewritten: readonly RewrittenSegment[]): string {
  const done = doneText(report, rewritten)
  switch (report.outcome) {
    case 'failed': {
      const why = report.error?.message ?? 'an unknown error'
      const kept = report.after.queue.length
      const rest = kept > 0 ? ` ${countText(kept, 'segment')} stay queued.` : ''
      return `${done === '' ? 'Failed' : `${done}, then failed`}: ${why}.${rest}`
    }
    case 'cancelled':
      return `${done === '' ? 'Cancelled' : `${done}, then cancelled`}: the debt is kept.`
    case 'blocked':
      return blockedText(report)
    case 'rewrote':
    case 'staged':
    case 'reclaimed':
    case 'planned':
      return `${done}.`
    case 'nothing_to_do':
      return nothingText(report)
  }
}

function doneText(report: Scene, rewritten: readonly RewrittenSegment[]): string {
  const parts: string[] = []
  for (const step of report.steps) {
    const text = stepText(step, report)
    if (text !== '') parts.push(text)
  }
  const rewrite = rewriteText(report, rewritten)
  if (rewrite !== '') parts.unshift(rewrite)
  return capitalized(parts.join('; '))
}

function rewriteText(report: Scene, rewritten: readonly RewrittenSegment[]): string {
  const [first] = rewritten
  if (first === undefined) return ''
  const sum = (of: (step: PassStep) => number): number =>
    report.steps.reduce((n, s) => n + of(s), 0)
  const copied = bytesText(sum((s) => (s.kind === 'rewrite' ? s.report.bytesWritten : 0)))
  const deleted = sum((s) => (s.kind === 'gc' ? s.report.bytesDeleted : 0))
  const done =
    deleted > 0
      ? `copied ${copied}, deleted ${bytesText(deleted)}`
      : `copied ${copied}, nothing could be deleted yet`
  const unreadable = sum((s) => (s.kind === 'rewrite' ? s.report.valuesUnreadable : 0))
  const damage = unreadable > 0 ? `, ${countText(unreadable, 'value')} could not be read` : ''
  const which =
    rewritten.length === 1
      ? ` (${segmentText(first.segmentId)}, ${percentText(first.staleRatio)} stale)`
      : ''
  if (report.source === 'manual') {
    return `rewrote ${countText(rewritten.length, 'segment')}${which}, ${done}${damage}`
  }
  // The queue as it was executed from: what was consumed plus what remained.
  const left = report.steps.find((s) => s.kind === 'consume')?.remaining ?? 0
  const queued = countText(left + rewritten.length, 'queued segment')
  const staged = report.steps.some((s) => s.kind === 'restage')
  const open = left > 0 && !staged ? `; ${left} remain queued` : ''
  return `rewrote ${rewritten.length} of ${queued}${which}, ${done}${damage}${open}`
}

/** Empty for steps that the rest of the sentence tells. */
function stepText(step: PassStep, report: Scene): string {
  switch (step.kind) {
    case 'prune_missing':
      return `dropped ${step.segmentIds.length} queued that exist no more`
    case 'prune_quality':
      return `dropped ${step.segmentIds.length} queued not worth a rewrite now`
    case 'stage': {
      const due = waitText(Math.max(0, step.dueAtMs - report.endedAtMs))
      const floor = percentText(step.minStaleRatio)
      return `staged ${countText(step.segmentIds.length, 'segment')} at ${floor} stale or more, confirm due in ${due}`
    }
    case 'restage': {
      const due = waitText(Math.max(0, step.dueAtMs - report.endedAtMs))
      return `${step.remaining} restaged, confirm due in ${due}`
    }
    case 'confirm':
      return step.result === 'cleared' ? 'cleared the stage: nothing of it is worth a rewrite' : ''
    case 'gc': {
      const { deleted, bytesDeleted } = step.report
      const tellsRewrite = report.steps.some((s) => s.kind === 'rewrite')
      if (tellsRewrite || deleted.length === 0) return ''
      return `deleted ${countText(deleted.length, 'dead segment')}, freed ${bytesText(bytesDeleted)}`
    }
    case 'refresh': {
      const { length } = step.segmentIds
      return length === 0 ? '' : `dropped ${length} queued not worth a rewrite now`
    }
    case 'penalty':
      return `${coolingText(step.segmentIds.length)}: the rewrite did not pay`
    case 'vacuum':
      return step.report.text
    case 'plan_canceled':
    case 'age_block':
    case 'plan':
    case 'rewrite':
    case 'consume':
    case 'checkpoint':
      return ''
  }
}

function blockedText(report: Told): string {
  const gate = report.gates.find((g) => g.name === report.blockedBy && g.verdict === 'block')
  return gate === undefined ? 'Blocked.' : `Nothing done: ${lowered(gate.text)}`
}

export function nothingText(report: Scene): string {
  const before = doneText(report, [])
  const lead = before === '' ? '' : `${before}. `
  if (report.source === 'rewrite_stage_confirm') {
    return before === '' ? 'Nothing to rewrite.' : `${before}.`
  }
  if (report.steps.some((s) => s.kind === 'gc')) {
    return `${lead}No dead segment could be deleted.`
  }
  if (report.steps.some((s) => s.kind === 'vacuum')) return `${before}.`
  const plan = lastPlan(report)
  if (plan === null) return `${lead}Nothing to rewrite: no trigger is on.`
  const waiting = waitingForAge(plan)
  if (waiting.count > 0 && waiting.minRemainingMs !== null) {
    const age = durationText(plan.filters.minAgeMs)
    const first = waitText(waiting.minRemainingMs)
    const [noun, which] =
      waiting.count === 1 ? ['candidate is', 'it'] : ['candidates are', 'the first']
    return `${lead}Nothing to rewrite: ${waiting.count} ${noun} younger than ${age}, ${which} is old enough in ${first}.`
  }
  return `${lead}Nothing to rewrite: ${lowered(nothingWhy(report.gates, plan))}`
}

function nothingWhy(gates: readonly Gate[], plan: RewritePlan): string {
  const trigger = gates.find((g) => g.name === 'trigger_stale_ratio' && g.threshold !== null)
  if (trigger?.unit === 'ratio' && trigger.verdict === 'block') return trigger.text
  const { minStaleRatio } = plan.filters
  const cooling = plan.candidates.filter(
    (c) => c.verdict === 'penalty' && c.staleRatio >= minStaleRatio,
  )
  const but =
    cooling.length === 0
      ? ''
      : ` but ${coolingText(cooling.length, 'that ')} after a rewrite that did not pay`
  return `no segment of ${plan.segmentsTotal} reaches ${percentText(minStaleRatio)} stale${but}.`
}

function coolingText(count: number, that = ''): string {
  return `${countText(count, 'segment')} ${that}${count === 1 ? 'cools' : 'cool'} down`
}

function lastPlan(report: Scene): RewritePlan | null {
  const step = report.steps.findLast((s) => s.kind === 'plan')
  return step?.plan ?? null
}

export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** "value-l0-..." and "GC" stay as they are. */
export function lowered(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}
