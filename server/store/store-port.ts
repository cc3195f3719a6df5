/**
 * Where a store lives, seen from the main thread: messages in both directions, and an end. A worker
 * thread of its own, or the engine of the program that embeds this server.
 */
import { Worker } from 'node:worker_threads'
import type { Failure } from '../refusal.ts'
import type { RequestMessage, WorkerInit, WorkerMessage } from './worker-contract.ts'

export interface StorePort {
  post(message: RequestMessage): void
  /** Ends the thread, if there is one. Idempotent. */
  end(): Promise<void>
}

export interface PortListener {
  message(message: WorkerMessage): void
  /** Nothing more will come. */
  died(failure: Failure): void
}

/** Called again for every reopening. */
export type OpenPort = (listener: PortListener) => StorePort

/** `workerUrl` is the entry of a store's worker, as JavaScript. */
export function workerPort(storeId: string, init: WorkerInit, workerUrl: URL): OpenPort {
  return (listener) => {
    const worker = new Worker(workerUrl, {
      workerData: init,
      name: `store ${storeId}`,
      // The worker needs no option of the command line, and test runners add ones that it cannot take.
      execArgv: ['--enable-source-maps'],
    })
    const died = (message: string): void => listener.died({ code: 'STORE_FAILED', message })
    worker.on('message', (message: WorkerMessage) => listener.message(message))
    worker.on('error', (error) => died(`the store's worker died: ${error.message}`))
    worker.on('exit', (code) => died(`the store's worker ended with code ${code}`))
    return {
      post: (message) => worker.postMessage(message),
      end: async () => {
        await worker.terminate()
      },
    }
  }
}
