/**
 * The main thread's side of the recordings: one worker for all stores, made by the first question and
 * again after it died. Its memory is limited, so a folder that was made to eat memory ends the worker
 * and its questions, and nothing else.
 */
import { Worker } from 'node:worker_threads'
import { Refusal, refusalOf } from '../refusal.ts'
import type {
  HistoryAnswer,
  HistoryQuestion,
  HistoryRequestName,
  HistoryRequests,
} from './history-contract.ts'

/** Questions that wait; each is answered in its turn. */
const WAITING_MAX = 64
/** Of JavaScript values: a state of 100,000 segments is about 100 MiB of them. */
const HEAP_MIB_MAX = 512

interface Waiting {
  answered: (json: string) => void
  refused: (refusal: Refusal) => void
}

export class HistoryClient {
  readonly #workerUrl: () => URL
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | null = null
  #lastId = 0

  /** `workerUrl`: entry of the worker, as JavaScript. */
  constructor(workerUrl: () => URL) {
    this.#workerUrl = workerUrl
  }

  /** JSON of the body that belongs to the request; rejects with a Refusal. */
  request<Name extends HistoryRequestName>(
    dir: string,
    name: Name,
    body: HistoryRequests[Name],
  ): Promise<string> {
    if (this.#waiting.size >= WAITING_MAX) {
      const text = `${WAITING_MAX} questions about recordings wait already; try again later`
      return Promise.reject(new Refusal('RATE_LIMITED', text))
    }
    return new Promise((answered, refused) => {
      const id = ++this.#lastId
      this.#worker ??= this.#begin()
      this.#waiting.set(id, { answered, refused })
      // Name and body belong together, which the union cannot see.
      const question = { id, dir, request: { name, body } } as HistoryQuestion
      this.#worker.postMessage(question)
    })
  }

  /** Ends the worker; what waits is refused. Idempotent. */
  async close(): Promise<void> {
    const worker = this.#worker
    this.#fail(worker, 'the server is stopping')
    await worker?.terminate()
  }

  #begin(): Worker {
    const worker = new Worker(this.#workerUrl(), {
      name: 'history',
      execArgv: ['--enable-source-maps'],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
    })
    worker.on('message', ({ id, json, failure }: HistoryAnswer) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (failure === null) waiting?.answered(json)
      else waiting?.refused(refusalOf(failure))
    })
    worker.on('error', (error) => this.#fail(worker, error.message))
    worker.on('exit', (code) => this.#fail(worker, `it ended with code ${code}`))
    return worker
  }

  #fail(worker: Worker | null, why: string): void {
    if (this.#worker !== worker) return
    this.#worker = null
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const one of waiting) {
      one.refused(new Refusal('STORE_FAILED', `the reader of recordings died: ${why}`))
    }
  }
}
