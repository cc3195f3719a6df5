/**
 * Collectors of what a reading has to say: problems and unread features, as sentences and bounded
 * in number, and the slicing of long work.
 */
import { EngineError } from '../errors.ts'

/** More would be a wall that nobody reads, and a hostile folder could fill memory with them. */
const SENTENCES_MAX = 50

/** Sentences in the order found, each once, at most fifty; the rest are counted. */
export class Sentences {
  readonly #list: string[] = []
  readonly #seen = new Set<string>()
  #more = 0

  add(sentence: string): void {
    if (this.#seen.has(sentence)) return
    if (this.#list.length >= SENTENCES_MAX) {
      this.#more++
      return
    }
    this.#seen.add(sentence)
    this.#list.push(sentence)
  }

  list(): string[] {
    return this.#more === 0 ? [...this.#list] : [...this.#list, `and ${this.#more} more`]
  }
}

/** Features met but not read, each named once with how often it was met. */
export class UnreadFeatures {
  readonly #counts = new Map<string, { count: number; noun: string }>()

  /** `name` is what is not read; `noun` is the counted thing, in the singular. */
  add(name: string, noun: string): void {
    const entry = this.#counts.get(name)
    if (entry) entry.count++
    else this.#counts.set(name, { count: 1, noun })
  }

  list(): string[] {
    const sentences = new Sentences()
    for (const [name, { count, noun }] of this.#counts) {
      sentences.add(`${name}: not read by this version (${counted(count, noun)})`)
    }
    return sentences.list()
  }
}

export function counted(count: number, noun: string): string {
  return `${count} ${count === 1 ? noun : `${noun}s`}`
}

export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Gives the thread back whenever a slice is used up. */
export class Slices {
  readonly #yieldNow: () => Promise<void>
  readonly #monotonic: (() => number) | undefined
  readonly #sliceMs: number
  readonly #signal: AbortSignal | undefined
  #startedMs: number
  #steps = 0

  /** Without `monotonic` a slice is a fixed number of steps instead of `sliceMs`. */
  constructor(options: {
    yieldNow: () => Promise<void>
    sliceMs: number
    monotonic: (() => number) | undefined
    signal?: AbortSignal | undefined
  }) {
    this.#yieldNow = options.yieldNow
    this.#monotonic = options.monotonic
    this.#sliceMs = options.sliceMs
    this.#signal = options.signal
    this.#startedMs = options.monotonic?.() ?? 0
  }

  /** Call after each small step; true when it is time to `await rest()`. */
  isUsedUp(): boolean {
    this.#steps++
    if (this.#signal?.aborted === true) return true
    if (this.#monotonic === undefined) return this.#steps >= STEPS_WITHOUT_CLOCK
    return this.#monotonic() - this.#startedMs >= this.#sliceMs
  }

  /** ENGINE_ABORTED once the caller gave up. */
  async rest(): Promise<void> {
    await this.#yieldNow()
    if (this.#signal?.aborted === true) {
      throw new EngineError('ENGINE_ABORTED', 'the reading was cancelled')
    }
    this.#steps = 0
    this.#startedMs = this.#monotonic?.() ?? 0
  }
}

/** A step is a page or 64 KiB of a segment: about a millisecond of work in all. */
const STEPS_WITHOUT_CLOCK = 16
