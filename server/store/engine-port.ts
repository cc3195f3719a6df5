/**
 * A store whose engine belongs to the program around this server: requests are answered in its own
 * thread, in the turn they are made. It is watched and, where allowed, acted on; never closed.
 */
import type { Engine, StepClock } from '../engine-door.ts'
import { failureOf } from '../refusal.ts'
import { dispatch } from './dispatch.ts'
import { EngineStore } from './engine-store.ts'
import { Outbox } from './outbox.ts'
import type { OpenPort } from './store-port.ts'

/** `clock`: the one the engine was opened with, when it can be frozen; null = the engine's time is its own. */
export function enginePort(engine: Engine, clock: StepClock | null): OpenPort {
  return (listener) => {
    const post = listener.message.bind(listener)
    const outbox = new Outbox(post, engine.eventSeq)
    const unsubscribe = engine.subscribe((event, json) => outbox.event(event, json()))
    const store = new EngineStore({ engine, clock }, () => null, outbox)
    const close = async (): Promise<Record<string, never>> => {
      unsubscribe()
      await store.end()
      return {}
    }
    // In a later turn, as with a worker: whoever opens has to get the port first.
    setImmediate(() => {
      try {
        store.begin(post)
      } catch (error) {
        post({ kind: 'open_failed', failure: failureOf(error) })
      }
    })
    return {
      post: (message) => dispatch({ ...store.handlers, close }, message, post),
      end: () => Promise.resolve(),
    }
  }
}
