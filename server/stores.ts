/** The stores of this server with their feeds; opened before the first request, closed after the last. */
import { Feed, type FeedLimits } from './live/feed.ts'
import type { StoreInfo } from './protocol.ts'
import { Refusal } from './refusal.ts'
import { StoreClient } from './store/store-client.ts'
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
}

export class Stores {
  readonly #deps: StoresDeps
  readonly #stores = new Map<string, OpenedStore>()

  constructor(deps: StoresDeps) {
    this.#deps = deps
  }

  /** Resolves once the store is open or has failed; which of both, `list` says. */
  async open(storeId: string, init: WorkerInit): Promise<void> {
    const client = new StoreClient(storeId, init, this.#deps.workerUrl)
    const feed = new Feed(
      client,
      (problem) => this.#deps.report(`store ${storeId}: ${problem}`),
      this.#deps.feedLimits,
    )
    this.#stores.set(storeId, { client, feed })
    await client.open()
  }

  list(): StoreInfo[] {
    return [...this.#stores.values()].map((store) => store.client.info)
  }

  /** Throws NOT_FOUND. */
  client(storeId: string): StoreClient {
    const store = this.#stores.get(storeId)
    if (store === undefined) throw new Refusal('NOT_FOUND', `no store ${storeId}`)
    return store.client
  }

  feed(storeId: string): Feed | undefined {
    return this.#stores.get(storeId)?.feed
  }

  /** Never rejects; a store that could not be closed in order is reported. */
  async close(): Promise<void> {
    const closing = [...this.#stores.values()].map(async ({ client }) => {
      const wasOpen = client.info.status === 'open'
      await client.close()
      const { failure } = client.info
      if (wasOpen && failure !== null) {
        this.#deps.report(`store ${client.storeId} did not close in order: ${failure.message}`)
      }
    })
    await Promise.all(closing)
  }
}
