// One readable line for every event. Pure; the switch is exhaustive, so an event type without a
// line does not compile.
import type {
  EngineEvent,
  GateName,
  LatencyFigures,
  RetainedPruneReport,
  RewriteDebt,
  SchedulerInfo,
} from '../../server/protocol.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRatio,
  formatTime,
  plural,
  segmentLabel,
  segmentList,
  shortNames,
} from './format.ts'
import { gateWords, keeperShort, outcomeWords, reasonWords, sourceWords } from './words.ts'

/** Of the facts or counters that one event tells. */
const PARTS_SHOWN = 4

const atGate = (gate: GateName | null) =>
  gate === null ? '' : ` at the gate “${gateWords[gate].toLowerCase()}”`

/** "4 queued, staged until 14:03:07" */
export function describeDebt(debt: RewriteDebt): string {
  if (debt.queue.length === 0) return 'queue empty'
  const economics = debt.ledger.length === 0 ? ' without economics' : ''
  const stage =
    debt.stage === null ? 'not staged' : `staged until ${formatTime(debt.stage.dueAtMs)}`
  return `${plural(debt.queue.length, 'segment')} queued${economics}, ${stage}`
}

const debtCauses = {
  loaded: 'Debt loaded from the folder',
  planned: 'Debt planned',
  staged: 'Debt staged',
  pruned: 'Queue pruned',
  consumed: 'Queue consumed',
  restaged: 'Queue restaged',
  postponed: 'Confirm postponed',
  cleared: 'Debt cleared',
} as const

/** The event in one line of plain words. */
export function describeEvent(event: EngineEvent): string {
  switch (event.type) {
    case 'store_opened':
      return `Store opened with ${plural(event.segments, 'segment')}; ${plural(event.journalRecordsReplayed, 'journal record')} replayed${event.journalBatchesSkipped === 0 ? '' : `, ${plural(event.journalBatchesSkipped, 'journal batch', 'journal batches')} left out: values they name never reached the log`}`
    case 'state_file_ignored':
      return `State file ignored: ${event.problem}`
    case 'checkpoint_done':
    case 'checkpoint_kick_skip':
    case 'checkpoint_kick_start':
    case 'checkpoint_kick_done':
      return describeCheckpoint(event)
    case 'maintenance_skip':
      return `${capital(sourceWords[event.source])} held back: ${event.text}`
    case 'maintenance_phase_change':
      return `Phase ${event.from.replace('_', '-')} → ${event.to.replace('_', '-')}`
    case 'maintenance_retry_collision':
      return `${capital(sourceWords[event.source])} found the slot taken by a ${sourceWords[event.active]}`
    case 'maintenance_active_acquire':
      return `Pass ${event.activePassId} started: ${sourceWords[event.source]}`
    case 'maintenance_active_release':
      return `Pass ended: ${sourceWords[event.source]}, ${formatDuration(event.durMs)}`
    case 'maintenance_retry_start':
    case 'maintenance_retry_attempt':
    case 'maintenance_retry_done':
    case 'maintenance_retry_deadline':
      return describeRetry(event)
    case 'pass_stopped':
      return `Pass ${event.stop.passId} stands still: ${event.stop.text}`
    case 'pass_resumed':
      return `Pass goes on${event.before === null ? '' : ` with its ${event.before} phase`}`
    case 'options_changed':
      return `Options changed: ${event.changed.map((name) => `${name} = ${String(event.options[name])}`).join(', ')}`
    case 'maintenance_failed':
      return `Maintenance failed: ${event.message} (${event.code})`
    case 'recording_stopped':
      return `Recording stopped: ${event.message}; tried again at ${formatTime(event.retryAtMs)}`
    case 'recording_resumed':
      return `Recording goes on; events ${formatCount(event.lostFromSeq)} to ${formatCount(event.lostToSeq)} are not in it`
    case 'pass_done':
      return `${capital(sourceWords[event.report.source])}, ${outcomeWords[event.report.outcome]}: ${shortNames(event.report.sentence)}`
    case 'rewrite_plan':
      return `Plan (${event.trigger.replaceAll('_', ' ')}) selected ${event.selected.length} of ${formatCount(event.candidates)} candidates at stale ratio ≥ ${formatRatio(event.minRatio)}: ${segmentList(event.selected)}${event.ageBlockedSegments > 0 ? `; ${formatCount(event.ageBlockedSegments)} too young` : ''}`
    case 'rewrite_plan_canceled':
      return `Plan dropped after ${formatDuration(event.durMs)}: ${planCanceledWords[event.why]}`
    case 'rewrite_plan_failed':
      return `Plan (${event.trigger.replaceAll('_', ' ')}) failed after ${formatDuration(event.durMs)}: ${event.message} (${event.code})`
    case 'rewrite_plan_age_blocked':
      return `Plan (${event.trigger.replaceAll('_', ' ')}) found ${plural(event.segments, 'segment')} too young, ${formatBytes(event.staleBytes)} stale; retry in ${formatDuration(event.retryAfterMs)}`
    case 'rewrite_age_blocked_retry_due':
      return `Age-blocked retry is due, ${formatDuration(event.retryAfterMs)} after the plan`
    case 'rewrite_queue_prune':
    case 'rewrite_queue_refresh':
    case 'rewrite_queue_refresh_prune':
    case 'rewrite_queue_followup_suppressed':
    case 'rewrite_plan_staged':
    case 'rewrite_stage_confirm_due':
    case 'rewrite_stage_confirm_use_persisted':
    case 'rewrite_stage_cleared':
    case 'rewrite_queue_missing_prune':
    case 'rewrite_queue_quality_prune':
    case 'rewrite_queue_restage':
    case 'rewrite_queue_restaged':
      return describeQueue(event)
    case 'debt_changed':
      return `${debtCauses[event.cause]}: ${describeDebt(event.debt)}`
    case 'rewrite_skip':
      return `No rewrite${atGate(event.gate)}: ${skipText(event.reason)}; ${formatCount(event.queueLen)} queued`
    case 'rewrite_start':
      return `Rewrite begins (${reasonWords[event.reason]}), ${formatCount(event.rewriteQueue)} queued`
    case 'rewrite_exec':
      return `Rewriting ${segmentList(event.sourceIds)}: ${formatBytes(event.ledgerLiveBytes)} live to copy`
    case 'rewrite_done':
      return `Rewrote ${segmentList(event.report.sourceSegmentsRequested)}: ${formatBytes(event.report.bytesWritten)} copied in ${formatDuration(event.report.elapsedMs)}${event.report.cancelled ? ', cancelled' : ''}`
    case 'rewrite_err':
      return `Rewrite failed after ${formatDuration(event.durMs)}: ${event.message} (${event.code})`
    case 'rewrite_effective_local':
    case 'rewrite_ineffective':
    case 'rewrite_ineffective_penalty':
    case 'rewrite_retained_cleanup_done':
    case 'rewrite_source_state':
    case 'penalties_changed':
      return describeEffect(event)
    case 'vacuum_run':
      return `Index vacuum: ${event.report.text}`
    case 'vacuum_skip':
      return `No index vacuum${atGate(event.gate)}: ${event.reason}`
    case 'gc_err':
      return `GC failed after ${formatDuration(event.durMs)}: ${event.message} (${event.code})`
    case 'gc_run':
      return event.report.dryRun
        ? `GC dry run: ${plural(event.report.eligible.length, 'segment')} could go, ${formatBytes(event.report.bytesEligible)}`
        : `GC deleted ${plural(event.report.deleted.length, 'segment')}, ${formatBytes(event.report.bytesDeleted)}; ${formatCount(event.report.segmentsKept.length)} dead but kept`
    case 'gc_skip':
      return `No GC${atGate(event.gate)}: ${shortNames(event.reason)}`
    case 'retained_prune':
      return describePrune(event.report)
    case 'foreground_latency':
      return describeForeground(event)
    case 'segment_created':
    case 'segment_sealed':
    case 'segment_zombie':
    case 'segment_kept':
    case 'segment_deleted':
      return describeSegment(event)
    case 'segment_bytes':
      return `Bytes changed in ${plural(event.changes.length, 'segment')}: ${segmentList(event.changes.map(([id]) => id))}`
    case 'scheduler_changed':
      return `Scheduler: ${describeFacts(event.scheduler)}`
    case 'counters_changed':
      return `Counters: ${firstFew(
        Object.entries(event.counters).map(
          ([name, count]) =>
            `${name.endsWith('Ms') ? formatDuration(count) : formatCount(count)} ${wordsOf(name)}`,
        ),
      )}`
    case 'pin_opened':
      return `${capital(event.pin.kind)} “${event.pin.label}” opened`
    case 'pin_released':
      return `${capital(event.kind)} “${event.label}” released after ${formatDuration(event.heldMs)}`
  }
}

type OfType<T extends EngineEvent['type']> = Extract<EngineEvent, { type: T }>

/** Durations are real even where the engine's clock stood still. */
function describeForeground({ fromMs, atMs, put, get }: OfType<'foreground_latency'>): string {
  const time =
    atMs > fromMs ? `over ${formatDuration(atMs - fromMs)}` : 'at a clock that stood still'
  return `Foreground ${time}: ${describeLatency(put, 'put')}; ${describeLatency(get, 'get')}`
}

function describeLatency(figures: LatencyFigures | null, name: 'put' | 'get'): string {
  if (figures === null) return `no ${name}s timed`
  const { count, p50Ms, p99Ms, maxMs } = figures
  return `${plural(count, name)} timed, p50 ${formatDuration(p50Ms)}, p99 ${formatDuration(p99Ms)}, longest ${formatDuration(maxMs)}`
}

function describePrune({
  heldBy,
  removed,
  bytesRemoved,
  inUseSkipped,
  errors,
}: RetainedPruneReport): string {
  const failed = errors.length > 0 ? `, ${formatCount(errors.length)} could not be deleted` : ''
  return `${heldBy} ended: ${plural(removed.length, 'segment')} deleted, ${formatBytes(bytesRemoved)}; ${formatCount(inUseSkipped)} kept by others${failed}`
}

function describeCheckpoint(
  event: OfType<
    'checkpoint_done' | 'checkpoint_kick_skip' | 'checkpoint_kick_start' | 'checkpoint_kick_done'
  >,
): string {
  switch (event.type) {
    case 'checkpoint_done':
      return event.report.noop
        ? `Checkpoint (${event.report.reason}): nothing was waiting`
        : `Checkpoint (${event.report.reason}) published commit ${formatCount(event.report.commitSeq)}: ${plural(event.report.entriesMerged, 'entry', 'entries')}, ${plural(event.report.pagesWritten, 'page')}, ${formatDuration(event.report.elapsedMs)}`
    case 'checkpoint_kick_skip':
      return `No checkpoint kick (${event.reason.replaceAll('_', ' ')}): ${event.text}`
    case 'checkpoint_kick_start':
      return 'Checkpoint kick starts a pass'
    case 'checkpoint_kick_done':
      return `Checkpoint kick done: ${plural(event.rewriteRunsAfter - event.rewriteRunsBefore, 'rewrite')}, ${plural(event.gcRunsAfter - event.gcRunsBefore, 'GC run')}`
  }
}

const planCanceledWords = {
  foreground: 'the foreground became busy',
  deadline: 'it took too long',
  aborted: 'the pass was cancelled',
} as const

function describeRetry(
  event: OfType<
    | 'maintenance_retry_start'
    | 'maintenance_retry_attempt'
    | 'maintenance_retry_done'
    | 'maintenance_retry_deadline'
  >,
): string {
  const who = capital(sourceWords[event.source])
  switch (event.type) {
    case 'maintenance_retry_start':
      return `${who} waits for the slot, ${formatDuration(event.retryWindowMs)} at most before that is said`
    case 'maintenance_retry_attempt':
      return `${who} tries the slot again (${formatCount(event.attempt)})`
    case 'maintenance_retry_done':
      return `${who} ${event.acquired ? 'got the slot' : 'is not needed any more'}`
    case 'maintenance_retry_deadline':
      return `${who} has waited ${formatDuration(event.waitedMs)} for the slot`
  }
}

const penaltyCauses = {
  loaded: 'loaded from the folder',
  recorded: 'recorded',
  readmitted: 'lifted: stale bytes grew',
  expired: 'over',
} as const

function describeEffect(
  event: OfType<
    | 'rewrite_effective_local'
    | 'rewrite_ineffective'
    | 'rewrite_ineffective_penalty'
    | 'rewrite_retained_cleanup_done'
    | 'rewrite_source_state'
    | 'penalties_changed'
  >,
): string {
  switch (event.type) {
    case 'rewrite_effective_local':
      // What GC deletes is in `bytesAfter` still.
      return event.bytesAfter - event.gcBytesDeleted < event.bytesBefore
        ? `Rewriting ${segmentList(event.processedIds)} paid: ${formatBytes(event.plannedStale)} of it were stale, and the log shrank`
        : `The log did not shrink, yet ${formatBytes(event.plannedStale)} of ${segmentList(event.processedIds)} were stale`
    case 'rewrite_ineffective':
      return `Rewrite of ${segmentList(event.sourceIds)} did not pay: ${formatBytes(event.bytesBefore)} before, ${formatBytes(event.bytesAfter)} after`
    case 'rewrite_ineffective_penalty':
      return `${segmentList(event.processedIds)} cool down for ${formatDuration(event.cooldownMs)} (${event.penaltyReason.replaceAll('_', ' ')})`
    case 'rewrite_retained_cleanup_done':
      return `${formatCount(event.removed)} of ${plural(event.sourceIds.length, 'rewritten segment')} removed`
    case 'rewrite_source_state':
      return `${segmentLabel(event.segmentId)} after its rewrite: ${event.exists ? `${formatBytes(event.liveBytes)} live${event.inUse ? ', in use' : ''}${event.retained ? ', retained' : ''}` : 'gone'}`
    case 'penalties_changed':
      return `Penalties ${penaltyCauses[event.cause]}${event.segmentIds.length === 0 ? '' : `: ${segmentList(event.segmentIds)}`}; ${formatCount(event.penalties.length)} now`
  }
}

function describeQueue(
  event: OfType<
    | 'rewrite_queue_prune'
    | 'rewrite_queue_refresh'
    | 'rewrite_queue_refresh_prune'
    | 'rewrite_queue_followup_suppressed'
    | 'rewrite_plan_staged'
    | 'rewrite_stage_confirm_due'
    | 'rewrite_stage_confirm_use_persisted'
    | 'rewrite_stage_cleared'
    | 'rewrite_queue_missing_prune'
    | 'rewrite_queue_quality_prune'
    | 'rewrite_queue_restage'
    | 'rewrite_queue_restaged'
  >,
): string {
  switch (event.type) {
    case 'rewrite_queue_prune':
      return `Pruned ${segmentList(event.dropped)}: no live bytes; ${formatCount(event.remaining)} remain`
    case 'rewrite_queue_refresh':
      return `Queue looked at again: ${formatCount(event.selected)} of ${formatCount(event.queued)} at stale ratio ≥ ${formatRatio(event.minRatio)}, ${formatBytes(event.selectedBytesStale)} stale`
    case 'rewrite_queue_refresh_prune':
      return `Pruned ${segmentList(event.dropped)} by the refresh: below stale ratio ${formatRatio(event.minRatio)}; ${formatCount(event.remaining)} remain`
    case 'rewrite_queue_followup_suppressed':
      return `Queue runner pauses for ${formatDuration(event.cooldownMs)}: nothing came free; ${formatCount(event.queueLen)} queued`
    case 'rewrite_plan_staged':
      return `Staged ${segmentList(event.selected)}; confirm due at ${formatTime(event.dueAtMs)}`
    case 'rewrite_stage_confirm_due':
      return `Confirm is due, ${formatDuration(event.observedAgeMs)} after staging`
    case 'rewrite_stage_confirm_use_persisted':
      return `Confirm uses the saved ledger: ${formatCount(event.queued)} queued, ${formatCount(event.ledger)} with economics`
    case 'rewrite_stage_cleared':
      return `Stage cleared: ${shortNames(event.why)}`
    case 'rewrite_queue_missing_prune':
      return `Pruned ${segmentList(event.dropped)}: missing on disk; ${formatCount(event.remaining)} remain${event.stagePending ? ', staged' : ''}`
    case 'rewrite_queue_quality_prune':
      return `Pruned ${segmentList(event.dropped)}: below stale ratio ${formatRatio(event.minRatio)}; ${formatCount(event.remaining)} remain`
    case 'rewrite_queue_restage':
      return `Restaging the remaining ${formatCount(event.remaining)} for ${formatDuration(event.confirmDelayMs)}`
    case 'rewrite_queue_restaged':
      return `Restaged after ${segmentList(event.processedIds)} left the queue (${reasonWords[event.reason]})`
  }
}

function describeSegment(
  event: OfType<
    'segment_created' | 'segment_sealed' | 'segment_zombie' | 'segment_kept' | 'segment_deleted'
  >,
): string {
  if (event.type === 'segment_deleted') {
    const held = event.heldByUntilNow === null ? '' : `; ${event.heldByUntilNow} held it until now`
    return `${segmentLabel(event.segmentId)} deleted, ${formatBytes(event.bytesTotal)}${held}`
  }
  const { segment } = event
  const name = segmentLabel(segment.segmentId)
  switch (event.type) {
    case 'segment_created':
      return `${name} created by the ${segment.origin === 'rewrite' ? 'rewrite' : 'foreground'}`
    case 'segment_sealed':
      return `${name} sealed: ${formatBytes(segment.bytesTotal)}, ${formatBytes(segment.bytesStale)} stale`
    case 'segment_zombie':
      return `${name} has no live bytes left; kept by ${segment.keptBy.map(keeperShort).join(', ') || 'nothing'}`
    case 'segment_kept':
      return segment.keptBy.length === 0
        ? `${name} needs no keeper: it has ${formatBytes(segment.bytesLive)} live`
        : `${name} is kept by ${segment.keptBy.map(keeperShort).join(', ')}`
  }
}

/** The state, the mode and whether it is paused in words; of other facts that they changed. */
function describeFacts({ state, mode, paused, ...others }: Partial<SchedulerInfo>): string {
  return firstFew([
    ...(state === undefined ? [] : [state]),
    ...(mode === undefined ? [] : [`${mode} mode`]),
    ...(paused === undefined ? [] : [paused ? 'paused' : 'not paused']),
    ...Object.keys(others).map((name) => `${wordsOf(name)} changed`),
  ])
}

/** "lastPlanAtMs" -> "last plan": the unit is of no use without its number. */
function wordsOf(name: string): string {
  return name.replace(/(At)?Ms$/, '').replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function firstFew(parts: readonly string[]): string {
  const more = parts.length - PARTS_SHOWN
  return [...parts.slice(0, PARTS_SHOWN), ...(more > 0 ? [`${formatCount(more)} more`] : [])].join(
    ', ',
  )
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

const skipWords: Record<string, string> = {
  nothing_selected: 'the plan chose nothing',
  no_trigger: 'nothing calls for one',
  planned_zero_live: 'what was just planned has no live bytes any more',
  dropped_zero_live: 'what was queued has no live bytes, so there is nothing to copy',
}

/** The engine's word for why nothing was rewritten. */
function skipText(reason: string): string {
  return skipWords[reason] ?? shortNames(reason)
}
