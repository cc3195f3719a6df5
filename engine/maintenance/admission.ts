/**
 * The gates that a pass meets before it may look at debt or plan anything: a busy store, a pending
 * stage or a paused loop cost nothing but these comparisons (M5, F7). Pure.
 */
import type { Gate } from '../types.ts'
import { totalBytes } from './floors.ts'
import { atLeast, atMost, flag } from './gates.ts'
import { since, sinceText, type PassInput } from './pass-input.ts'
import { bytesText, countText, durationText, waitText } from './text.ts'

/** All of them, in the order met; the caller stops at the first that blocks. */
export function admissionGates(input: PassInput): Gate[] {
  const running = !input.paused && input.mode === 'auto'
  const state = input.paused ? 'paused' : `in ${input.mode} mode`
  return [
    flag('slot_free', true, 'No other pass is running.'),
    flag('scheduler_running', running, `The scheduler is ${state}.`, {
      bypassed: !input.automatic,
    }),
    ...checkpointGates(input),
    ...stageGates(input),
    ...quietGates(input),
  ]
}

/** Without a checkpoint no root is durable: what looks dead now may be all that a crash finds. */
function checkpointGates(input: PassInput): Gate[] {
  const { source, foreground, debt } = input
  if (source !== 'periodic' && source !== 'checkpoint_kick') return []
  const first = atLeast({
    name: 'first_checkpoint',
    input: foreground.checkpoints,
    threshold: 1,
    unit: 'count',
    // Queued debt was measured against a checkpoint once; a kick follows one by definition.
    bypassed: source === 'checkpoint_kick' || debt.queue.length > 0,
    text:
      foreground.checkpoints === 0
        ? 'No checkpoint was published yet, so nothing is durable to plan from.'
        : `${countText(foreground.checkpoints, 'checkpoint')} published.`,
  })
  if (source !== 'checkpoint_kick') return [first]
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
  // Upstream's floor: debt always counts, and two segments are enough to look at ratios.
  const exempt = debt.queue.length > 0 || segments >= 2 || options.triggerTotalBytes === 0
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

/** The confirm waits for the delay; everyone else for the confirm (upstream's steps 8 and 9). */
function stageGates(input: PassInput): Gate[] {
  const found = input.debt.stage
  const queued = countText(input.debt.queue.length, 'segment')
  if (input.source === 'rewrite_stage_confirm') {
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
  const when = remaining > 0 ? `due in ${waitText(remaining)}` : 'due now'
  const text = `${queued} staged, confirm ${when}; until then other passes leave the debt alone.`
  return [flag('stage_not_pending', false, text, { bypassed })]
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
