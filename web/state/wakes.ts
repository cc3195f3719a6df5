// What may start a pass next, when, and what that pass would come to: the page's reading of the rules
// of engine/maintenance/wakes.ts. Pure; what would happen is expected, because gates are judged then.
import type { PassSource } from '../../server/protocol.ts'
import { formatCountdown } from '../lib/format.ts'
import { heldBackBy } from './held-back.ts'
import { previewKick, previewPass, type Preview, type PreviewInput } from './preview.ts'

export interface Wake {
  source: PassSource
  /** Engine clock; null: an occasion and not a time. */
  atMs: number | null
  when: string
  preview: Preview
}

/** Soonest first; a checkpoint, which only somebody else can make, is last. */
export function nextWakes(input: PreviewInput): Wake[] {
  const { scheduler } = input.engine
  // What the running pass leaves decides what is woken next; until then all would be refused alike.
  if (scheduler.activePass !== null) return [atCheckpoint(input)]
  const runsByItself = scheduler.mode === 'auto' && heldBackBy(scheduler).length === 0
  const wakes = runsByItself ? [...deferred(input), ...tick(input)] : []
  return [...wakes, atCheckpoint(input)]
}

/** At most one timer: of staged debt, else of what is too young, else of the queue runner. */
function deferred(input: PreviewInput): Wake[] {
  const { engine, options, nowMs } = input
  const { debt, scheduler } = engine
  if (options.disableAutoDeferred) return []
  if (scheduler.checkpointKickPending) {
    const preview = previewPass(input, 'checkpoint_pending')
    return [{ source: 'checkpoint_pending', atMs: null, when: 'once the slot is free', preview }]
  }
  const at = (source: PassSource, atMs: number): Wake => ({
    source,
    atMs,
    when: atMs > nowMs ? `in ${formatCountdown(atMs - nowMs)}` : 'now',
    preview: previewPass({ ...input, nowMs: Math.max(nowMs, atMs) }, source),
  })
  if (debt.stage !== null) return [at('rewrite_stage_confirm', debt.stage.dueAtMs)]
  if (scheduler.ageBlockedUntilMs !== null) {
    return [at('rewrite_age_blocked', scheduler.ageBlockedUntilMs)]
  }
  if (options.policy === 'queue_runner' && debt.queue.length > 0) {
    return [at('rewrite_queue_pending', scheduler.queueCooldownUntilMs ?? nowMs)]
  }
  return []
}

function tick(input: PreviewInput): Wake[] {
  const { disableLoop, loopIntervalMs } = input.options
  if (disableLoop) return []
  return [
    {
      source: 'periodic',
      atMs: null,
      when: `every ${formatCountdown(loopIntervalMs)}`,
      preview: previewPass(input, 'periodic'),
    },
  ]
}

function atCheckpoint(input: PreviewInput): Wake {
  return {
    source: 'checkpoint_kick',
    atMs: null,
    when: 'at a checkpoint',
    preview: previewKick(input),
  }
}
