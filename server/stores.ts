/**
 * The stores of this server with their feeds: those it was started with and those opened later under
 * the allowed roots. Each is on its own: one that fails is shown as failed and the rest goes on.
 */
import * as path from 'node:path'
import { type AllowedRoots, folderContent } from './allowed-roots.ts'
import { Feed, type FeedLimits } from './live/feed.ts'
import { CLOSE_CODES, type OpenStoreBody, type StoreInfo } from './protocol.ts'
import { Refusal } from './refusal.ts'
import { StoreClient, type StorePlace } from './store/store-client.ts'
import { type OpenPort, workerPort } from './store/store-port.ts'
import type { WorkerInit } from './store/worker-contract.ts'

interface OpenedStore {
  client: StoreClient
  feed: Feed
}

export interface StoresDeps {
  /** Entry of a store's worker, as JavaScript. */
  workerUrl: URL
  report: (problem: string) => void
  feedLimits: FeedLimits
  roots: AllowedRoots
  storesMax: number
  /** What a store opened later starts from. */
  workload: WorkerInit['workload']['settings']
}

export class Stores {
  readonly #deps: StoresDeps
  readonly #stores = new Map<string, OpenedStore>()
  readonly #listeners = new Set<() => void>()
  #changeTold = true

  constructor(deps: StoresDeps) {
    this.#deps = deps
  }

  get roots(): AllowedRoots {
    return this.#deps.roots
  }

  get storesMax(): number {
    return this.#deps.storesMax
  }

  /** Resolves once the store is open or has failed; which of both, `list` says. */
  async open(storeId: string, init: WorkerInit): Promise<void> {
    const { dir, mode } = init
    const port = workerPort(storeId, init, this.#deps.workerUrl)
    await this.add({ storeId, dir, mode, closable: true }, port)
  }

  async add(place: StorePlace, openPort: OpenPort): Promise<void> {
    const { storeId } = place
    const client = new StoreClient(place, openPort, () => this.#changed())
    const feed = new Feed(
      client,
      (problem) => this.#deps.report(`store ${storeId}: ${problem}`),
      this.#deps.feedLimits,
    )
    this.#stores.set(storeId, { client, feed })
    await client.open()
  }

  /** Opens a folder below an allowed root. Throws what forbids it; a folder that fails to open is a failed store. */
  async openFolder(body: OpenStoreBody): Promise<StoreInfo> {
    const { mode, create = false, profile, scheduler, maintenance } = body
    if (create && mode === 'attached') {
      throw new Refusal('BAD_REQUEST', 'an attached folder is never created')
    }
    const dir = this.#deps.roots.resolveForOpening(body.dir, create)
    const content = folderContent(dir)
    if (content === 'other' || (content !== 'data' && !create)) {
      const what = content === 'other' ? 'is not a data folder' : `is ${content}`
      throw new Refusal(
        'ENGINE_NOT_A_FOLDER',
        `${dir} ${what}${create ? '' : ' and was not to be made'}`,
      )
    }
    const holder = this.holderOf(dir)
    if (holder !== undefined) {
      throw new Refusal('CONFLICT', `${dir} is open already as store ${holder}`)
    }
    if (this.#stores.size >= this.#deps.storesMax) {
      throw new Refusal('CONFLICT', `${this.#deps.storesMax} stores are open; close one first`)
    }
    const storeId = this.#freeId(storeIdOf(dir))
    const engine = {
      ...(profile === undefined ? {} : { profile }),
      ...(scheduler === undefined ? {} : { mode: scheduler }),
      ...(maintenance === undefined ? {} : { maintenance }),
    }
    const workload = { settings: this.#deps.workload, autostart: false }
    await this.open(storeId, { dir, mode, engine, workload })
    return this.client(storeId).info
  }

  /** Closes the folder and forgets the store. */
  async closeStore(storeId: string): Promise<StoreInfo> {
    const { client, feed } = this.#closable(storeId)
    await client.close()
    for (const follower of feed.end()) {
      follower.close(CLOSE_CODES.STORE_CLOSED, `store ${storeId} was closed`)
    }
    this.#stores.delete(storeId)
    this.#changed()
    return client.info
  }

  async reopen(storeId: string): Promise<StoreInfo> {
    const { client } = this.#closable(storeId)
    await client.reopen()
    return client.info
  }

  list(): StoreInfo[] {
    return [...this.#stores.values()].map((store) => store.client.info)
  }

  /** Throws NOT_FOUND. */
  client(storeId: string): StoreClient {
    return this.#find(storeId).client
  }

  feed(storeId: string): Feed | undefined {
    return this.#stores.get(storeId)?.feed
  }

  /** The store that has this folder, without links, open. */
  holderOf(dir: string): string | undefined {
    return this.list().find((store) => store.dir === dir)?.storeId
  }

  /** Told once a turn when a store was opened, closed, failed or came back. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener)
  }

  /** Never rejects; a store that could not be closed in order is reported. */
  async close(): Promise<void> {
    this.#listeners.clear()
    const closing = [...this.#stores.values()].map(async ({ client }) => {
      const wasOpen = client.info.status === 'open'
      await client.close()
      const { failure } = client.info
      if (wasOpen && failure !== null) {
        const { storeId } = client.place
        this.#deps.report(`store ${storeId} did not close in order: ${failure.message}`)
      }
    })
    await Promise.all(closing)
  }

  #find(storeId: string): OpenedStore {
    const store = this.#stores.get(storeId)
    if (store === undefined) throw new Refusal('NOT_FOUND', `no store ${storeId}`)
    return store
  }

  #closable(storeId: string): OpenedStore {
    const store = this.#find(storeId)
    if (!store.client.place.closable) {
      throw new Refusal('CONFLICT', `store ${storeId} belongs to the program around this server`)
    }
    return store
  }

  #freeId(wanted: string): string {
    let id = wanted
    for (let n = 2; this.#stores.has(id); n++) id = `${wanted}-${n}`
    return id
  }

  #changed(): void {
    if (!this.#changeTold) return
    this.#changeTold = false
    queueMicrotask(() => {
      this.#changeTold = true
      for (const listener of this.#listeners) listener()
    })
  }
}

/** From the folder's name, for addresses. */
export function storeIdOf(dir: string): string {
  const id = path
    .basename(dir)
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
  return id === '' ? 'store' : id.slice(0, 60)
}
