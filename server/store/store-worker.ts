/**
 * Entry of a store's worker thread: opens the folder it was given, then answers requests one by one
 * as they come. Anything that escapes from here ends the thread, and only this store with it.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { failureOf } from '../refusal.ts'
import { AttachedStore } from './attached-store.ts'
import { dispatch } from './dispatch.ts'
import { openHostedStore } from './hosted-store.ts'
import {
  movedWith,
  type RequestHandlers,
  type RequestMessage,
  type WorkerInit,
  type WorkerMessage,
} from './worker-contract.ts'

if (parentPort === null) throw new TypeError('store-worker.ts runs in a worker thread only')
const port = parentPort
const post = (message: WorkerMessage): void => port.postMessage(message, movedWith(message))

function openStore(init: WorkerInit): Promise<{ handlers: Partial<RequestHandlers> }> {
  return init.mode === 'hosted' ? openHostedStore(init, post) : AttachedStore.open(init, post)
}

try {
  const { handlers } = await openStore(workerData as WorkerInit)
  port.on('message', (message: RequestMessage) => dispatch(handlers, message, post))
} catch (error) {
  post({ kind: 'open_failed', failure: failureOf(error) })
  port.close()
}
