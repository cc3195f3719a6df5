/**
 * The main thread's side of one store: starts its worker, sends requests, hands on what the worker
 * pushes. A worker that dies or cannot open its folder leaves a store with status `failed` and its
 * reason; the server and the other stores go on.
 */
import * as path from 'node:path'
import { Worker } from 'node:worker_threads'
import type { StoreInfo } from '../protocol.ts'
import { Refusal, refusalOf } from '../refusal.ts'
import type { Failure } from '../refusal.ts'
import {
  REQUEST_ACCESS,
  type RequestAnswer,
  type RequestBody,
  type RequestMessage,
  type RequestName,
  type WorkerBatch,
  type WorkerInit,
  type WorkerMessage,
} from './worker-contract.ts'

/** Told in the order of the worker's messages, synchronously. */
export interface StoreListener {
  /** A new stream begins after event `seq`; what was held of an older one is void. */
  opened(seq: number): void
  batch(batch: WorkerBatch): void
  failed(): void
}

interface Waiting {
  answered: (answer: unknown) => void
  refused: (refusal: Refusal) => void
}

export class StoreClient {
  readonly storeId: string
  readonly #init: WorkerInit
  readonly #workerUrl: URL
  #worker: Worker | null = null
  #opened: Extract<WorkerMessage, { kind: 'opened' }> | null = null
  #failure: Failure | null = null
  #openedAtMs: number | null = null
  #closing = false
  #listener: StoreListener | null = null
  #settled: (() => void) | null = null
  #lastId = 0
  readonly #waiting = new Map<number, Waiting>()

  constructor(storeId: string, init: WorkerInit, workerUrl: URL) {
    this.storeId = storeId
    this.#init = init
    this.#workerUrl = workerUrl
  }

  get info(): StoreInfo {
    const failure = this.#failure
    return {
      storeId: this.storeId,
      name: path.basename(this.#init.dir),
      dir: this.#init.dir,
      mode: this.#init.mode,
      status: failure !== null ? 'failed' : this.#opened === null ? 'opening' : 'open',
      failure: failure === null ? null : { code: failure.code, message: failure.message },
      engine: failure === null ? (this.#opened?.engine ?? null) : null,
      attachment: failure === null ? (this.#opened?.attachment ?? null) : null,
      openedAtMs: this.#openedAtMs,
      closable: true,
    }
  }

  /** One listener; set before `open`. */
  listen(listener: StoreListener): void {
    this.#listener = listener
  }

  /** Resolves once the folder is open or has failed to open; never rejects. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled = resolve
      const worker = new Worker(this.#workerUrl, {
        workerData: this.#init,
        name: `store ${this.storeId}`,
        // The worker needs no option of the command line, and test runners add ones that it cannot take.
        execArgv: ['--enable-source-maps'],
      })
      this.#worker = worker
      worker.on('message', (message: WorkerMessage) => this.#receive(message))
      worker.on('error', (error) =>
        this.#fail({ code: 'STORE_FAILED', message: `the store's worker died: ${error.message}` }),
      )
      worker.on('exit', (code) =>
        this.#fail({ code: 'STORE_FAILED', message: `the store's worker ended with code ${code}` }),
      )
    })
  }

  request<Name extends RequestName>(
    name: Name,
    body: RequestBody<Name>,
  ): Promise<RequestAnswer<Name>> {
    return new Promise((resolve, reject) => {
      this.requestInOrder(name, body, { answered: resolve, refused: reject })
    })
  }

  /** As `request`, but calls back while the answer is handled: no later message has been seen yet. */
  requestInOrder<Name extends RequestName>(
    name: Name,
    body: RequestBody<Name>,
    on: { answered: (answer: RequestAnswer<Name>) => void; refused: (refusal: Refusal) => void },
  ): void {
    const refusal = this.#refusalFor(name)
    if (refusal !== null || this.#worker === null) {
      on.refused(refusal ?? new Refusal('STORE_FAILED', 'the store is not open'))
      return
    }
    const message: RequestMessage<Name> = { id: ++this.#lastId, name, body }
    this.#waiting.set(message.id, {
      answered: (answer) => on.answered(answer as RequestAnswer<Name>),
      refused: on.refused,
    })
    this.#worker.postMessage(message)
  }

  /** Closes the folder and ends the worker. Idempotent; never rejects. */
  async close(): Promise<void> {
    const worker = this.#worker
    if (worker === null || this.#closing) return
    try {
      if (this.#failure === null) {
        const answer = this.request('close', {})
        this.#closing = true
        await answer
      }
    } catch (error) {
      if (error instanceof Refusal) {
        this.#fail({ code: error.code, message: error.message })
      } else throw error
    } finally {
      this.#closing = true
      this.#worker = null
      await worker.terminate()
    }
  }

  #refusalFor(name: RequestName): Refusal | null {
    const failure = this.#failure
    if (failure !== null) {
      return new Refusal('STORE_FAILED', `the store failed: ${failure.message}`, {
        details: { code: failure.code },
      })
    }
    if (this.#closing) return new Refusal('STORE_FAILED', 'the store is closing')
    const access = REQUEST_ACCESS[name]
    if (access === 'any' || access === this.#init.mode) return null
    return access === 'hosted'
      ? new Refusal('READ_ONLY', `${name} needs a hosted store; this folder is attached read-only`)
      : new Refusal('BAD_REQUEST', `${name} is for attached stores; a hosted one is always current`)
  }

  #receive(message: WorkerMessage): void {
    switch (message.kind) {
      case 'opened':
        this.#opened = message
        this.#openedAtMs ??= Date.now()
        this.#listener?.opened(message.seq)
        this.#settle()
        break
      case 'open_failed':
        this.#fail(message.failure)
        break
      case 'batch':
        this.#listener?.batch(message)
        break
      case 'answer':
        this.#take(message.id)?.answered(message.answer)
        break
      case 'refused':
        this.#take(message.id)?.refused(refusalOf(message.failure))
        break
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  /** The first reason wins: the exit that follows an error says less. */
  #fail(failure: Failure): void {
    if (this.#failure !== null || (this.#closing && this.#waiting.size === 0)) return
    this.#failure = failure
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const one of waiting) one.refused(new Refusal('STORE_FAILED', failure.message))
    this.#listener?.failed()
    this.#settle()
  }

  #settle(): void {
    this.#settled?.()
    this.#settled = null
  }
}
