/**
 * The gates that a pass meets before it may look at debt or plan anything: a busy store, a pending
 * stage or a paused loop cost nothing but these comparisons (M5, F7). Pure.
 */
import type { EngineEventBody, Gate, PassSource } from '../types.ts'
import { totalBytes } from './floors.ts'
import { atLeast, atMost, flag, isBlocking } from './gates.ts'
import {
  isAgeRetry,
  isConfirm,
  isKick,
  isQueueRun,
  since,
  sinceText,
  type PassInput,
} from './pass-input.ts'
import type { HeldBack } from './suppression.ts'
import { bytesText, countText, durationText, waitText } from './text.ts'

/** All of them, in the order met; the caller stops at the first that blocks. */
export function admissionGates(input: PassInput): Gate[] {
  const loopOff = input.source === 'periodic' && input.options.disableLoop
  const running = !input.paused && input.mode === 'auto' && !loopOff
  const state = input.paused ? 'paused' : loopOff ? 'without its loop' : `in ${input.mode} mode`
  return [
    flag('slot_free', true, 'No other pass is running.'),
    flag('scheduler_running', running, `The scheduler is ${state}.`, {
      bypassed: !input.automatic,
    }),
    ...checkpointGates(input),
    ...stageGates(input),
    ...ageGates(input),
    ...queueRunnerGates(input),
    ...yieldGates(input),
    ...quietGates(input),
  ]
}

/** Without a checkpoint no root is durable: what looks dead now may be all that a crash finds. */
function checkpointGates(input: PassInput): Gate[] {
  const { source, foreground, debt } = input
  if (source !== 'periodic' && !isKick(source)) return []
  const first = atLeast({
    name: 'first_checkpoint',
    input: foreground.checkpoints,
    threshold: 1,
    unit: 'count',
    // Queued debt was measured against a checkpoint once; a kick follows one by definition.
    bypassed: isKick(source) || debt.queue.length > 0,
    text:
      foreground.checkpoints === 0
        ? 'No checkpoint was published yet, so nothing is durable to plan from.'
        : `${countText(foreground.checkpoints, 'checkpoint')} published.`,
  })
  if (!isKick(source)) return [first]
  const kick =
    input.kickGates.length > 0
      ? input.kickGates
      : kickGates(input).map((gate): Gate => ({ ...gate, verdict: 'pass', bypassed: true }))
  return [first, ...kick]
}

/** Whether a checkpoint may kick maintenance at all; the first blocking gate says why not. */
export function kickGates(
  input: Pick<PassInput, 'nowMs' | 'times' | 'options' | 'segments' | 'debt'>,
): Gate[] {
  const { options, debt, times } = input
  const sinceKick = since(times.lastCheckpointKickAtMs, input.nowMs)
  const interval = atLeast({
    name: 'kick_min_interval',
    input: sinceKick,
    threshold: options.checkpointKickMinIntervalMs,
    unit: 'ms',
    text: sinceText('checkpoint kick', sinceKick, options.checkpointKickMinIntervalMs),
  })
  const total = totalBytes(input.segments)
  const segments = input.segments.filter((s) => s.state !== 'zombie').length
  // Upstream's floor: debt always counts, two segments are enough to look at ratios, and a kick that
  // may not rewrite is there for GC.
  const exempt =
    debt.queue.length > 0 ||
    segments >= 2 ||
    options.triggerTotalBytes === 0 ||
    options.disableRewrite
  const floor = atLeast({
    name: 'kick_trigger_floor',
    input: total,
    threshold: options.triggerTotalBytes,
    unit: 'bytes',
    bypassed: exempt,
    text: exempt
      ? `${countText(segments, 'segment')}, ${debt.queue.length} queued: the size floor does not apply.`
      : `${bytesText(total)} in ${countText(segments, 'segment')}; the floor is ${bytesText(options.triggerTotalBytes)}.`,
  })
  return [interval, floor]
}

export type KickSkip = Extract<EngineEventBody, { type: 'checkpoint_kick_skip' }>

/**
 * Why no kick follows from a checkpoint, before the slot is looked at; null: one does. `heldBack` is asked
 * last, because it may look for a file.
 */
export function kickRefusal(
  input: PassInput,
  heldBack: () => HeldBack | null,
): Pick<KickSkip, 'reason' | 'text' | 'gate'> | null {
  const { automatic, options, mode, paused } = input
  if (automatic && mode === 'step') {
    const text = 'In step mode a checkpoint kicks nothing by itself.'
    return { reason: 'step_mode', text, gate: null }
  }
  if (automatic && options.disableCheckpointKick) {
    return { reason: 'disabled', text: 'Checkpoint kicks are switched off.', gate: null }
  }
  if (paused) return { reason: 'paused', text: 'The scheduler is paused.', gate: null }
  const held = heldBack()
  if (held !== null) return { ...held, gate: null }
  const busy = hotWithoutDebt(input)
  if (busy !== null) return { reason: 'foreground_hot_no_debt', text: busy.text, gate: busy }
  const gate = [...kickGates(input), ...kickStageGates(input)].find(isBlocking)
  if (gate === undefined) return null
  const reasons: Partial<Record<Gate['name'], KickSkip['reason']>> = {
    kick_min_interval: 'min_interval',
    stage_not_pending: 'stage_pending',
  }
  return { reason: reasons[gate.name] ?? 'trigger_floor', text: gate.text, gate }
}

/**
 * `queue_runner`: a busy store without debt gets no kick, whose plan would only stage; a quiet tick plans. The
 * quiet gate that it does not meet; null: it gets one.
 */
function hotWithoutDebt(input: PassInput): Gate | null {
  const { options, automatic, debt } = input
  if (options.policy !== 'queue_runner' || !automatic || debt.queue.length > 0) return null
  return quietGates({ ...input, source: 'periodic' }).find(isBlocking) ?? null
}

/**
 * Why no kick resumes a rewrite that was cancelled in a pass of `source`; null: one does, at once. A resume that
 * is cancelled too would be the next link of a chain that no interval holds: the debt stays queued, and the next
 * checkpoint's kick, or a quiet pass after the backoff, goes on with it.
 */
export function resumeRefusal(
  source: PassSource,
  { nowMs, times, options }: Pick<PassInput, 'nowMs' | 'times' | 'options'>,
): Pick<KickSkip, 'reason' | 'text' | 'gate'> | null {
  if (source !== 'checkpoint_pending') return null
  const sinceCancel = since(times.lastRewriteCanceledAtMs, nowMs)
  const threshold = options.rewriteCancelBackoffMs
  const text = `The resume of a cancelled rewrite was cancelled too. ${sinceText('cancelled rewrite', sinceCancel, threshold)}`
  const name = 'rewrite_cancel_backoff'
  const gate = atLeast({ name, input: sinceCancel, threshold, unit: 'ms', text })
  return { reason: 'cancel_backoff', text, gate }
}

/** Staged debt is left alone until it is due: upstream's kick takes the slot to find that out (D10). */
function kickStageGates(input: PassInput): Gate[] {
  const { automatic, debt } = input
  if (!automatic || debt.stage === null || takesDueStage(input)) return []
  return [flag('stage_not_pending', false, 'The debt is staged; its confirm will run it.')]
}

/**
 * Without deferred passes nothing would ever confirm a stage: a tick or a kick that finds it due goes on with it as
 * with open debt, under its own gates. What is due is still one pass of one segment (M7).
 */
function takesDueStage(input: PassInput): boolean {
  const { automatic, source, debt, options, nowMs } = input
  if (!automatic || !options.disableAutoDeferred || debt.stage === null) return false
  return (source === 'periodic' || isKick(source)) && debt.stage.dueAtMs <= nowMs
}

/** The confirm waits for the delay; everyone else for the confirm (upstream's steps 8 and 9). */
function stageGates(input: PassInput): Gate[] {
  const found = input.debt.stage
  const queued = countText(input.debt.queue.length, 'segment')
  if (isConfirm(input.source)) {
    if (found === null) {
      return [flag('stage_pending', false, 'Nothing is staged, so there is nothing to confirm.')]
    }
    const observedAgeMs = input.nowMs - found.observedAtMs
    const remaining = found.dueAtMs - input.nowMs
    return [
      flag('stage_pending', true, `${queued} staged.`),
      atLeast({
        name: 'stage_due',
        input: observedAgeMs,
        threshold: found.dueAtMs - found.observedAtMs,
        unit: 'ms',
        text:
          remaining > 0
            ? `Staged ${durationText(observedAgeMs)} ago; due in ${waitText(remaining)}.`
            : `Staged ${durationText(observedAgeMs)} ago and due.`,
      }),
    ]
  }
  // A person who names segments, or asks for GC, does not touch the stage.
  const bypassed = input.request !== null && input.request.kind !== 'stage'
  if (found === null)
    return [flag('stage_not_pending', true, 'No staged debt waits.', { bypassed })]
  const remaining = Math.max(0, found.dueAtMs - input.nowMs)
  if (takesDueStage(input)) {
    const text = `${queued} staged and due; with no confirm to wait for, this pass goes on with it.`
    return [flag('stage_not_pending', false, text, { bypassed: true })]
  }
  const when = remaining > 0 ? `due in ${waitText(remaining)}` : 'due now'
  const text = `${queued} staged, confirm ${when}; until then other passes leave the debt alone.`
  return [flag('stage_not_pending', false, text, { bypassed })]
}

/**
 * A plan that found everything too young is made again by its own retry the moment the first segment
 * is old enough; passes of the loop leave that to it (upstream's step 10), unless nothing deferred may run. A
 * retry that is asked for plans now: the wait is of this process alone, and a person may not want to wait.
 */
function ageGates(input: PassInput): Gate[] {
  const { source, nowMs } = input
  const untilMs = input.times.ageBlockedUntilMs
  if (isAgeRetry(source)) {
    const text =
      untilMs === null
        ? 'No plan waits for segments to grow older.'
        : untilMs > nowMs
          ? `The retry is due in ${waitText(untilMs - nowMs)}.`
          : 'The retry is due.'
    const margin = untilMs === null ? null : nowMs - untilMs
    return [
      {
        ...flag('age_retry_due', untilMs !== null && untilMs <= nowMs, text, {
          bypassed: !input.automatic,
        }),
        ...(margin === null
          ? {}
          : { input: nowMs, threshold: untilMs, margin, unit: 'ms' as const }),
      },
    ]
  }
  if (untilMs === null || source === 'manual' || isConfirm(source)) return []
  const text =
    untilMs > nowMs
      ? `A retry for segments that were too young is due in ${waitText(untilMs - nowMs)}.`
      : input.options.disableAutoDeferred
        ? 'A retry for segments that were too young is due, and none comes: this pass plans.'
        : 'An age-blocked retry is due and goes first.'
  const bypassed = !input.automatic || input.options.disableAutoDeferred
  return [flag('age_retry_not_due', untilMs > nowMs, text, { bypassed })]
}

/** `queue_runner`: queued debt belongs to the runner, and the runner touches nothing else. */
function queueRunnerGates(input: PassInput): Gate[] {
  const { source, debt, options, nowMs, times } = input
  const open = options.policy === 'queue_runner' && debt.queue.length > 0 && debt.stage === null
  const queued = countText(debt.queue.length, 'segment')
  if (!isQueueRun(source)) {
    if (options.policy !== 'queue_runner' || source === 'manual' || isConfirm(source)) return []
    const text = open ? `${queued} queued: the queue runner goes first.` : 'Nothing is queued.'
    return [flag('queue_runner_idle', !open, text)]
  }
  const why =
    options.policy === 'queue_runner'
      ? 'Nothing is queued to run.'
      : `The policy ${options.policy} has no queue runner.`
  const untilMs = times.queueCooldownUntilMs
  const pause = untilMs === null ? null : Math.max(0, untilMs - nowMs)
  return [
    flag('queue_pending', open, open ? `${queued} queued.` : why),
    atMost({
      name: 'queue_cooldown',
      input: pause,
      threshold: 0,
      unit: 'ms',
      bypassed: !input.automatic,
      text:
        pause === null || pause === 0
          ? 'The last run is not held against it.'
          : `The last run freed nothing or could not execute; the next may start in ${waitText(pause)}.`,
    }),
  ]
}

/** A tick is never urgent: whoever waits for the slot goes first, and so does a checkpoint. */
function yieldGates(input: PassInput): Gate[] {
  if (input.source !== 'periodic') return []
  const waits = input.checkpointKickPending || input.deferredPending
  const { checkpointing } = input.foreground
  const bypassed = !input.automatic
  return [
    flag(
      'priority_yield',
      !waits,
      waits ? 'A kick or a due retry waits for the slot.' : 'Nobody waits for the slot.',
      { bypassed },
    ),
    flag(
      'no_checkpoint_running',
      !checkpointing,
      checkpointing ? 'A checkpoint is being written.' : 'No checkpoint is being written.',
      { bypassed },
    ),
  ]
}

/** Only periodic passes wait for a quiet store; the others are bounded to one segment instead. */
function quietGates(input: PassInput): Gate[] {
  const { foreground, options, nowMs } = input
  const bypassed = input.source !== 'periodic'
  const sinceWrite = since(foreground.lastWriteAtMs, nowMs)
  const sinceRead = since(foreground.lastReadAtMs, nowMs)
  return [
    atLeast({
      name: 'quiet_writes',
      input: sinceWrite,
      threshold: options.quietWriteWindowMs,
      unit: 'ms',
      bypassed,
      text: sinceText('write', sinceWrite, options.quietWriteWindowMs),
    }),
    atLeast({
      name: 'quiet_reads',
      input: sinceRead,
      threshold: options.quietReadWindowMs,
      unit: 'ms',
      bypassed,
      text: sinceText('read', sinceRead, options.quietReadWindowMs),
    }),
    atMost({
      name: 'no_open_iterators',
      input: foreground.openIterators,
      threshold: 0,
      unit: 'count',
      bypassed,
      text: `${countText(foreground.openIterators, 'open iterator')}.`,
    }),
  ]
}
