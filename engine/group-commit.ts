/**
 * Group commit of the `durable` profile: writers that arrive while the disk works share the next
 * sync. A writer is answered when its record and its journal batch are on disk.
 */

/**
 * Values and journal sync at once: a batch whose values did not get to the disk is left out when the
 * journal is replayed, so neither waits for the other, only the answer for both. Rejects when both have
 * ended and one of them failed.
 */
export async function allSynced(syncs: readonly Promise<void>[]): Promise<void> {
  const ends = await Promise.allSettled(syncs)
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

interface Waiter {
  resolve: () => void
  reject: (error: unknown) => void
}

export class GroupCommit {
  readonly #sync: () => Promise<void>
  #waiters: Waiter[] = []
  #running: Promise<void> | null = null
  #failure: { error: unknown } | null = null
  #syncing: Promise<void> | null = null
  /** Commits asked for so far: whoever sees it grow knows that somebody waits for the disk. */
  asked = 0

  /** `sync` makes everything written before its call durable. */
  constructor(sync: () => Promise<void>) {
    this.#sync = sync
  }

  /** Somebody waits for the disk. */
  get isAwaited(): boolean {
    return this.#running !== null
  }

  /** Resolves when everyone who waits now was answered. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Resolves when the sync in flight is over, whatever became of it; the next one may have begun. */
  async betweenSyncs(): Promise<void> {
    await this.#syncing?.catch(() => undefined)
  }

  commit(): Promise<void> {
    this.asked++
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    // Writers of the same turn join the first sync instead of waiting for the second.
    await Promise.resolve()
    while (this.#waiters.length > 0) {
      const group = this.#waiters
      this.#waiters = []
      try {
        // After a failed sync nobody is answered any more: what it was about may be lost although a
        // later one succeeds.
        if (this.#failure === null) await (this.#syncing = this.#sync())
      } catch (error) {
        this.#failure = { error }
      }
      this.#syncing = null
      for (const waiter of group) {
        if (this.#failure === null) waiter.resolve()
        else waiter.reject(this.#failure.error)
      }
    }
    this.#running = null
  }
}
