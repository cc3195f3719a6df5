/** What people ask of a hosted store, one function an action; bodies were checked by their schemas. */
import type { Engine, Snapshot, StepClock } from '../engine-door.ts'
import { Refusal } from '../refusal.ts'
import type { RequestHandlers, RequestName } from './worker-contract.ts'
import type { Workload } from './workload.ts'

export interface HostedParts {
  engine: Engine
  clock: StepClock
  workload: Workload
  /** Snapshots held by people, by pinId. */
  held: Map<number, Snapshot>
}

type Handled = Exclude<RequestName, 'reread' | 'snapshot' | 'passes' | 'close'>
type KeyRequest = 'get-key' | 'batch' | 'verify'
type StepRequest = 'mode' | 'advance-clock' | 'hold-snapshot' | 'release-snapshot'
type WorkloadRequest = 'workload-start' | 'workload-stop'
type PassRequest = Exclude<Handled, KeyRequest | StepRequest | WorkloadRequest>

export function hostedHandlers(parts: HostedParts): RequestHandlers<Handled> {
  return {
    ...keyHandlers(parts),
    ...passHandlers(parts),
    ...stepHandlers(parts),
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
    gc: async ({ dryRun }) => ({ gc: await maintenance.gc({ dryRun }) }),
    plan: ({ filters }) => ({ plan: maintenance.plan(filters) }),
    stage: async ({ filters }) => ({ pass: await maintenance.stage(filters) }),
    rewrite: async ({ segmentIds }) => ({ pass: await maintenance.rewrite(segmentIds) }),
    pause: () => {
      maintenance.pause()
      return { paused: true }
    },
    resume: () => {
      maintenance.resume()
      return { paused: false }
    },
  }
}

function stepHandlers({ engine, clock, held }: HostedParts): RequestHandlers<StepRequest> {
  return {
    mode: ({ mode }) => {
      if (mode === 'step') {
        engine.maintenance.setMode('step')
        clock.freeze()
      } else {
        // Time first: the scheduler arms its timers by a clock that runs.
        clock.unfreeze()
        engine.maintenance.setMode('auto')
      }
      return { mode }
    },
    'advance-clock': ({ ms }) => {
      if (!clock.frozen) {
        throw new Refusal(
          'BAD_REQUEST',
          'the clock can be advanced in step mode only; it runs by itself now',
        )
      }
      clock.advance(ms)
      return { nowMs: clock.now() }
    },
    'hold-snapshot': ({ label }) => {
      const snapshot = engine.snapshot(label)
      held.set(snapshot.pinId, snapshot)
      return { pinId: snapshot.pinId }
    },
    'release-snapshot': async ({ pinId }) => {
      const snapshot = held.get(pinId)
      if (snapshot === undefined)
        throw new Refusal('NOT_FOUND', `no snapshot is held as pin ${pinId}`)
      held.delete(pinId)
      return { deleted: await snapshot.close() }
    },
  }
}

function workloadHandlers({ workload }: HostedParts): RequestHandlers<WorkloadRequest> {
  return {
    'workload-start': async ({ settings }) => {
      await workload.start(settings)
      return { workload: workload.state }
    },
    'workload-stop': async () => {
      await workload.stop()
      return { workload: workload.state }
    },
  }
}
