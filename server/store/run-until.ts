/**
 * Passes one after another on the virtual clock until something holds: what a person would do by
 * pressing "advance" and "pass" again and again. Between passes time jumps to what the scheduler
 * waits for: the stage's due time, the margin of the gate that blocked, the youngest candidate's age.
 */
import type { EngineEvent, PassReport, RunUntil, RunUntilAnswer } from '../protocol.ts'
import type { Engine, StepClock } from '../engine-door.ts'

export interface RunUntilRequest {
  until: RunUntil
  passesMax: number
  advanceMaxMs: number
}

interface Parts {
  engine: Engine
  clock: StepClock
}

/** The clock must be frozen. Rejects only with what a pass itself is refused with, such as ENGINE_BUSY. */
export async function runUntil(parts: Parts, request: RunUntilRequest): Promise<RunUntilAnswer> {
  const { engine, clock } = parts
  const passes: PassReport[] = []
  let advancedMs = 0
  let events: EngineEvent[] = []
  const unsubscribe = engine.subscribe((event) => void events.push(event))
  const answer = (ended: RunUntilAnswer['ended']): RunUntilAnswer => ({
    ended,
    passes,
    advancedMs,
    nowMs: clock.now(),
  })
  try {
    for (;;) {
      events = []
      const pass = await engine.maintenance.runPass(nextSource(parts))
      passes.push(pass)
      if (holds(request.until, pass, events)) return answer('held')
      if (pass.outcome === 'failed') return answer('failed')
      if (passes.length >= request.passesMax) return answer('passes_max')
      // Whoever unfroze the clock while the pass ran has taken over.
      const waitMs = clock.frozen ? waitAfter(parts, pass) : null
      if (waitMs === null) return answer('nothing_waits')
      if (advancedMs + waitMs > request.advanceMaxMs) return answer('advance_max')
      clock.advance(waitMs)
      advancedMs += waitMs
    }
  } finally {
    unsubscribe()
  }
}

function nextSource({ engine, clock }: Parts): 'rewrite_stage_confirm' | 'periodic' {
  const { stage } = engine.state().debt
  return stage !== null && stage.dueAtMs <= clock.now() ? 'rewrite_stage_confirm' : 'periodic'
}

/** null: no passing of time alone would make the next pass do anything else. */
function waitAfter({ engine, clock }: Parts, pass: PassReport): number | null {
  const { debt } = engine.state()
  const { loopIntervalMs } = engine.info.options
  if (debt.stage !== null) return Math.max(0, debt.stage.dueAtMs - clock.now())
  const block = pass.gates.find((gate) => gate.name === pass.blockedBy)
  if (block?.unit === 'ms' && block.margin !== null && block.margin < 0) {
    return Math.max(1, Math.ceil(-block.margin))
  }
  if (debt.queue.length > 0) return loopIntervalMs
  if (pass.outcome !== 'nothing_to_do' && pass.outcome !== 'blocked') return loopIntervalMs
  const remaining = pass.steps.flatMap((step) =>
    step.kind === 'plan' && step.plan.ageBlockedMinRemainingMs !== null
      ? [step.plan.ageBlockedMinRemainingMs]
      : [],
  )
  return remaining.length === 0 ? null : Math.max(1, Math.min(...remaining))
}

function holds(until: RunUntil, pass: PassReport, events: readonly EngineEvent[]): boolean {
  switch (until.kind) {
    case 'passes':
      return false
    case 'outcome':
      return pass.outcome === until.outcome
    case 'event':
      return events.some((event) => event.type === until.event)
    case 'blocked_by':
      return pass.blockedBy === until.gate
    case 'queue_empty':
      return pass.after.queue.length === 0 && pass.after.stage === null
    case 'shrunk_without_reclaim':
      return (
        pass.after.queue.length < pass.before.queue.length &&
        !events.some((event) => event.type === 'segment_deleted')
      )
  }
}
