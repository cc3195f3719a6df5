/**
 * Entry of a store's worker thread: opens the folder it was given, then answers requests one by one
 * as they come. Anything that escapes from here ends the thread, and only this store with it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { failureOf, Refusal } from '../refusal.ts'
import { AttachedStore } from './attached-store.ts'
import { HostedStore } from './hosted-store.ts'
import type {
  RequestHandlers,
  RequestMessage,
  WorkerInit,
  WorkerMessage,
} from './worker-contract.ts'

/** A handler of the name in the message, as the message's body was made for it. */
type AnyHandler = (body: unknown) => unknown

if (parentPort === null) throw new TypeError('store-worker.ts runs in a worker thread only')
const port = parentPort
const post = (message: WorkerMessage): void => port.postMessage(message)

function openStore(init: WorkerInit): Promise<{ handlers: Partial<RequestHandlers> }> {
  return init.mode === 'hosted' ? HostedStore.open(init, post) : AttachedStore.open(init, post)
}

function refuse(id: number, error: unknown): void {
  post({ kind: 'refused', id, failure: failureOf(error) })
}

function answer(handlers: Partial<RequestHandlers>, message: RequestMessage): void {
  const { id, name, body } = message
  try {
    const handler = handlers[name] as AnyHandler | undefined
    if (handler === undefined) throw new Refusal('READ_ONLY', `this store does not take ${name}`)
    const result = handler(body)
    if (result instanceof Promise) {
      result.then(
        (value: unknown) => post({ kind: 'answer', id, answer: value }),
        (error: unknown) => refuse(id, error),
      )
    } else {
      // In this very turn: a snapshot must not be overtaken by a batch.
      post({ kind: 'answer', id, answer: result })
    }
  } catch (error) {
    refuse(id, error)
  }
}

try {
  const { handlers } = await openStore(workerData as WorkerInit)
  port.on('message', (message: RequestMessage) => answer(handlers, message))
} catch (error) {
  post({ kind: 'open_failed', failure: failureOf(error) })
  port.close()
}
