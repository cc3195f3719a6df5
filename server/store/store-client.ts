/**
 * The main thread's side of one store: opens its port, sends requests, hands on what comes back. A
 * store that dies or cannot open its folder is `failed` with its reason, and can be reopened; the
 * server and the other stores go on.
 */
import * as path from 'node:path'
import type { StoreInfo, StoreMode } from '../protocol.ts'
import { Refusal, refusalOf } from '../refusal.ts'
import type { Failure } from '../refusal.ts'
import type { OpenPort, StorePort } from './store-port.ts'
import {
  REQUEST_ACCESS,
  type RequestAnswer,
  type RequestBody,
  type RequestMessage,
  type RequestName,
  type WorkerBatch,
  type WorkerMessage,
} from './worker-contract.ts'

/** Told in the order of the worker's messages, synchronously. */
export interface StoreListener {
  /** A new stream begins after event `seq`; what was held of an older one is void. */
  opened(seq: number): void
  /** `info` says something else of the open store. */
  changed(): void
  batch(batch: WorkerBatch): void
  failed(): void
}

export interface StorePlace {
  storeId: string
  /** Absolute. */
  dir: string
  mode: StoreMode
  /** false: belongs to the program around this server. */
  closable: boolean
}

interface Waiting {
  answered: (answer: unknown) => void
  refused: (refusal: Refusal) => void
}

export class StoreClient {
  readonly place: StorePlace
  readonly #openPort: OpenPort
  readonly #statusChanged: () => void
  #port: StorePort | null = null
  #opened: Extract<WorkerMessage, { kind: 'opened' }> | null = null
  #openedAtMs: number | null = null
  #failure: Failure | null = null
  #closing = false
  #listener: StoreListener | null = null
  #settled: (() => void) | null = null
  #lastId = 0
  readonly #waiting = new Map<number, Waiting>()

  /** `statusChanged` is told whenever `info` says something else. */
  constructor(place: StorePlace, openPort: OpenPort, statusChanged: () => void) {
    this.place = place
    this.#openPort = openPort
    this.#statusChanged = statusChanged
  }

  get info(): StoreInfo {
    const { storeId, dir, mode, closable } = this.place
    const failure = this.#failure
    const opened = failure === null ? this.#opened : null
    return {
      storeId,
      name: path.basename(dir),
      dir,
      mode,
      status: failure !== null ? 'failed' : opened === null ? 'opening' : 'open',
      failure: failure === null ? null : { code: failure.code, message: failure.message },
      engine: opened?.engine ?? null,
      attachment: opened?.attachment ?? null,
      openedAtMs: this.#openedAtMs,
      closable,
    }
  }

  /** One listener; set before `open`. */
  listen(listener: StoreListener): void {
    this.#listener = listener
  }

  /** Resolves once the folder is open or has failed to open; never rejects. A failed store opens again. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#settled = resolve
      this.#failure = null
      this.#opened = null
      this.#statusChanged()
      // A port that was given up may still speak; it is not listened to any more.
      const isCurrent = (): boolean => this.#port === port || this.#port === null
      const port = this.#openPort({
        message: (message) => {
          if (isCurrent()) this.#receive(message)
        },
        died: (failure) => {
          if (isCurrent()) this.#fail(failure)
        },
      })
      this.#port = port
    })
  }

  /** Ends what is left of the store's thread and opens the folder again, with the options of before. */
  async reopen(): Promise<void> {
    await this.close()
    this.#closing = false
    await this.open()
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
    if (refusal !== null || this.#port === null) {
      on.refused(refusal ?? new Refusal('STORE_FAILED', 'the store is not open'))
      return
    }
    const message: RequestMessage<Name> = { id: ++this.#lastId, name, body }
    this.#waiting.set(message.id, {
      answered: (answer) => on.answered(answer as RequestAnswer<Name>),
      refused: on.refused,
    })
    this.#port.post(message)
  }

  /** Closes the folder and ends the thread. Idempotent; never rejects. */
  async close(): Promise<void> {
    const port = this.#port
    if (port === null || this.#closing) return
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
      await port.end()
      this.#port = null
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
    if (access === 'any' || access === this.place.mode) return null
    return access === 'hosted'
      ? new Refusal('READ_ONLY', `${name} needs a hosted store; this folder is attached read-only`)
      : new Refusal('BAD_REQUEST', `${name} is for attached stores; a hosted one is always current`)
  }

  #receive(message: WorkerMessage): void {
    switch (message.kind) {
      case 'opened':
        this.#opened = message
        this.#openedAtMs = Date.now()
        this.#listener?.opened(message.seq)
        this.#settle()
        break
      case 'open_failed':
        this.#fail(message.failure)
        break
      case 'info':
        if (this.#opened === null) break
        this.#opened = { ...this.#opened, engine: message.engine }
        this.#listener?.changed()
        this.#statusChanged()
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
    this.#statusChanged()
  }
}
