/**
 * A store that this process writes: opens the engine with its virtual clock in a worker, starts the
 * workload when told to, and closes in order.
 */
import { randomInt } from 'node:crypto'
import { setImmediate as yieldNow } from 'node:timers/promises'
import { nodeFileSystem, openEngine, StepClock } from '../engine-door.ts'
import { EngineStore } from './engine-store.ts'
import { Outbox } from './outbox.ts'
import type { RequestHandlers, RequestName, WorkerInit, WorkerMessage } from './worker-contract.ts'
import { Workload } from './workload.ts'

export type HostedHandlers = RequestHandlers<Exclude<RequestName, 'reread'>>

/** Posts `opened` first; starts the workload when told to. */
export async function openHostedStore(
  init: WorkerInit,
  post: (message: WorkerMessage) => void,
): Promise<{ handlers: HostedHandlers }> {
  const clock = new StepClock({
    wall: Date.now,
    monotonic: () => performance.now(),
    arm: (delayMs, callback) => {
      const timer = setTimeout(callback, delayMs)
      return () => clearTimeout(timer)
    },
  })
  if (init.engine.mode === 'step') clock.freeze()
  // Listens from before the opening, so that the stream begins with event 1.
  const outbox = new Outbox(post)
  const engine = await openEngine(init.dir, init.engine, {
    clock,
    fileSystem: nodeFileSystem,
    yieldNow,
    randomU32: () => randomInt(2 ** 32),
    onEvent: (event, json) => outbox.event(event, json()),
  })
  let workload: Workload | null = null
  const store = new EngineStore(
    { engine, clock },
    (bytesTotal) => (workload = new Workload(engine, init.workload.settings, bytesTotal)),
    outbox,
  )
  store.begin(post)
  if (init.workload.autostart) await store.handlers['workload-start']({})
  const close = async (): Promise<Record<string, never>> => {
    await store.end()
    const gauges = engine.gauges()
    await engine.close()
    // The last checkpoint and the last pass belong to the stream, too.
    outbox.flush(gauges, workload?.state ?? null)
    return {}
  }
  return { handlers: { ...store.handlers, close } }
}
