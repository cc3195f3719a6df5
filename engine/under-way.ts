/** Work that nobody may leave behind: whoever closes waits for what is under way. */
export class UnderWay {
  readonly #work = new Set<Promise<unknown>>()

  async track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work)
    try {
      return await work
    } finally {
      this.#work.delete(work)
    }
  }

  /** Resolves when nothing is under way, what began meanwhile included; how any of it ended is not told. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work)
  }
}
