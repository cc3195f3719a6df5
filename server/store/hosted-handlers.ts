/** What people ask of a hosted store, one function an action; bodies were checked by their schemas. */
import type { Engine, StepClock } from '../engine-door.ts'
import type { SegmentId } from '../protocol.ts'
import { Refusal } from '../refusal.ts'
import { applyPlan, draftPlan } from './plan-drafts.ts'
import { runUntil } from './run-until.ts'
import type { RequestHandlers, RequestName } from './worker-contract.ts'
import type { Workload } from './workload.ts'

export interface HeldReader {
  /** Resolves with the segments that could be deleted because of it. */
  release(): Promise<SegmentId[]>
}

export interface HostedParts {
  engine: Engine
  /** null: the engine's time is not ours to move. */
  clock: StepClock | null
  /** null: the program around this server writes. */
  workload: Workload | null
  /** Snapshots and iterators held by people, by pinId. */
  held: Map<number, HeldReader>
}

type Handled = Exclude<
  RequestName,
  'reread' | 'snapshot' | 'passes' | 'figures' | 'stats' | 'close'
>
type KeyRequest = 'get-key' | 'batch' | 'verify'
type PlanRequests = 'draft-plan' | 'apply-plan'
type StepRequest =
  | 'mode'
  | 'advance-clock'
  | 'run-until'
  | 'set-options'
  | 'step-phase'
  | 'resume-pass'
  | 'cancel-pass'
  | 'stopped-pass'
  | 'set-breakpoints'
type PinRequest = 'hold-snapshot' | 'release-snapshot' | 'hold-iterator' | 'release-pin'
type WorkloadRequest = 'workload-start' | 'workload-stop'
type PassRequest = Exclude<
  Handled,
  KeyRequest | PlanRequests | StepRequest | PinRequest | WorkloadRequest
>

export function hostedHandlers(parts: HostedParts): RequestHandlers<Handled> {
  return {
    ...keyHandlers(parts),
    ...passHandlers(parts),
    ...stepHandlers(parts),
    ...pinHandlers(parts),
    ...planHandlers(parts),
    ...workloadHandlers(parts),
  }
}

function keyHandlers({ engine }: HostedParts): RequestHandlers<KeyRequest> {
  return {
    'get-key': ({ key }) => ({ value: engine.get(key) ?? null }),
    batch: async ({ operations }) => {
      await engine.batch(operations)
      return {}
    },
    verify: () => engine.verify(),
  }
}

function passHandlers({ engine }: HostedParts): RequestHandlers<PassRequest> {
  const { maintenance } = engine
  return {
    checkpoint: async () => {
      const { checkpoint, pass, skipped } = await engine.checkpointWithKick()
      return { checkpoint, pass, kickSkipped: skipped }
    },
    'periodic-pass': async () => ({ pass: await maintenance.runPass('periodic') }),
    'stage-confirm': async () => ({ pass: await maintenance.runPass('rewrite_stage_confirm') }),
    'run-pass': async ({ source }) => ({ pass: await maintenance.runPass(source) }),
    gc: async ({ dryRun }) => ({ gc: await maintenance.gc({ dryRun }) }),
    preview: () => maintenance.preview(),
    plan: ({ filters }) => ({ plan: maintenance.plan(filters) }),
    stage: async ({ filters }) => ({ pass: await maintenance.stage(filters) }),
    rewrite: async ({ segmentIds }) => ({ pass: await maintenance.rewrite(segmentIds) }),
    vacuum: async () => ({ vacuum: await maintenance.vacuum() }),
    pause: ({ reason }) => {
      maintenance.pause(reason)
      return { paused: true }
    },
    resume: () => {
      maintenance.resume()
      return { paused: false }
    },
    'set-phase': ({ phase }) => {
      maintenance.setPhase(phase)
      return { phase }
    },
    'set-pause-file': ({ reason }) => maintenance.setPauseFile(reason),
  }
}

function stepHandlers({ engine, clock }: HostedParts): RequestHandlers<StepRequest> {
  const { maintenance } = engine
  return {
    mode: ({ mode }) => {
      if (mode === 'step') {
        engine.maintenance.setMode('step')
        clock?.freeze()
      } else {
        // Time first: the scheduler arms its timers by a clock that runs.
        clock?.unfreeze()
        engine.maintenance.setMode('auto')
      }
      return { mode }
    },
    'advance-clock': ({ ms }) => {
      const frozen = frozenClock(clock)
      frozen.advance(ms)
      return { nowMs: frozen.now() }
    },
    'run-until': (request) => runUntil({ engine, clock: frozenClock(clock) }, request),
    'set-options': ({ options }) => ({ options: maintenance.setOptions(options) }),
    'step-phase': ({ source }) => maintenance.stepPhase(source),
    'resume-pass': () => maintenance.resumePass(),
    'cancel-pass': async () => ({ pass: await maintenance.cancelPass() }),
    'stopped-pass': () => ({ stop: maintenance.stoppedPass() }),
    'set-breakpoints': ({ breakpoints }) => {
      maintenance.setBreakpoints(breakpoints)
      return { breakpoints }
    },
  }
}

function frozenClock(clock: StepClock | null): StepClock {
  if (clock === null) {
    throw new Refusal('BAD_REQUEST', 'the engine’s clock belongs to the program that opened it')
  }
  if (clock.frozen) return clock
  throw new Refusal(
    'BAD_REQUEST',
    'the clock can be advanced in step mode only; it runs by itself now',
  )
}

function planHandlers({ engine, held }: HostedParts): RequestHandlers<PlanRequests> {
  return {
    'draft-plan': ({ request }) => draftPlan(engine, request),
    'apply-plan': (body) => applyPlan({ engine, held }, body),
  }
}

function pinHandlers({ engine, held }: HostedParts): RequestHandlers<PinRequest> {
  const release = async ({ pinId }: { pinId: number }): Promise<{ deleted: SegmentId[] }> => {
    const reader = held.get(pinId)
    if (reader === undefined) throw new Refusal('NOT_FOUND', `nothing is held here as pin ${pinId}`)
    held.delete(pinId)
    return { deleted: await reader.release() }
  }
  return {
    'hold-snapshot': ({ label }) => {
      const snapshot = engine.snapshot(label)
      held.set(snapshot.pinId, { release: () => snapshot.close() })
      return { pinId: snapshot.pinId }
    },
    'hold-iterator': ({ label, from }) => {
      const iterator = engine.iterate({ gte: Buffer.from(from, 'base64') }, label)
      const release = (): Promise<SegmentId[]> => {
        iterator.close()
        return iterator.released
      }
      held.set(iterator.pinId, { release })
      return { pinId: iterator.pinId }
    },
    'release-snapshot': release,
    'release-pin': release,
  }
}

function workloadHandlers({ workload }: HostedParts): RequestHandlers<WorkloadRequest> {
  const ours = (): Workload => {
    if (workload !== null) return workload
    throw new Refusal('BAD_REQUEST', 'the program that opened the engine writes to it')
  }
  return {
    'workload-start': async ({ settings }) => {
      await ours().start(settings)
      return { workload: ours().state }
    },
    'workload-stop': async () => {
      await ours().stop()
      return { workload: ours().state }
    },
  }
}
