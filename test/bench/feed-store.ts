/**
 * Entry of a store worker for the feed bench: real events, recorded from a real engine in the set-up,
 * are numbered anew and go through the real outbox at the rate asked for. Everything behind it, from
 * the port to the client, is the server's own.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { EngineStore } from '../../server/store/engine-store.ts'
import { dispatch } from '../../server/store/dispatch.ts'
import { Outbox } from '../../server/store/outbox.ts'
import {
  movedWith,
  type RequestMessage,
  type WorkerInit,
  type WorkerMessage,
} from '../../server/store/worker-contract.ts'
import { recordedStore } from './feed-recording.ts'
import { leaveThread } from './threads.ts'

const EMIT_EVERY_MS = 4

if (parentPort === null) throw new TypeError('feed-store.ts runs in a worker thread only')
const port = parentPort
const post = (message: WorkerMessage): void => port.postMessage(message, movedWith(message))
const { dir } = workerData as WorkerInit
leaveThread(dir)
const { engine, events } = await recordedStore(dir)
const outbox = new Outbox(post)
const store = new EngineStore({ engine, clock: null }, () => null, outbox)
let seq = 0
/** Events owed; paid bit by bit, so that a late timer catches up. */
let running: { perSecond: number; sinceMs: number; sent: number; total: number } | null = null

function emit(count: number): void {
  for (let i = 0; i < count; i++) {
    const event = events[seq % events.length]
    if (event === undefined) return
    seq += 1
    // In its place: what makes events is not what is measured, and the outbox keeps none.
    event.seq = seq
    outbox.event(event)
  }
}

setInterval(() => {
  if (running === null) return
  const due = Math.floor(((performance.now() - running.sinceMs) / 1000) * running.perSecond)
  // A late timer catches up in steps: an engine gives its thread back every few milliseconds, too.
  const most = Math.ceil(running.perSecond / 100)
  const count = Math.min(most, Math.min(due, running.total) - running.sent)
  emit(count)
  running.sent += count
  if (running.sent >= running.total) running = null
}, EMIT_EVERY_MS)

store.begin(post)
port.on('message', (message: RequestMessage) => {
  // The request `stage` stands for "send maxSegments events, minStaleBytes of them a second".
  if (message.name === 'stage') {
    const { filters } = message.body as { filters: { maxSegments: number; minStaleBytes: number } }
    running = {
      total: filters.maxSegments,
      perSecond: filters.minStaleBytes,
      sinceMs: performance.now(),
      sent: 0,
    }
    post({ kind: 'answer', id: message.id, answer: {} })
    return
  }
  const close = async (): Promise<Record<string, never>> => {
    await store.end()
    await engine.close()
    return {}
  }
  dispatch({ ...store.handlers, close }, message, post)
})
