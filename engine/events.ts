/** Numbers events without a gap and hands them to subscribers, synchronously and in order. */
import type { EngineEvent, EngineEventBody } from './types.ts'

/** `json`: the event as JSON, made once for all who ask. Call it while being told, not later. */
export type EngineEventListener = (event: EngineEvent, json: () => string) => void

export class EventHub {
  readonly #now: () => number
  readonly #listeners = new Set<EngineEventListener>()
  /** Emitted and not yet told to everyone. */
  readonly #untold: EngineEvent[] = []
  #telling = false
  /** The event being told. */
  #told: EngineEvent | null = null
  #toldJson: string | null = null
  readonly #json = (): string => (this.#toldJson ??= JSON.stringify(this.#told))
  #seq = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Sequence number of the newest event; 0 before the first. */
  get seq(): number {
    return this.#seq
  }

  subscribe(listener: EngineEventListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  emit(body: EngineEventBody, passId: number | null): EngineEvent {
    const event: EngineEvent = { seq: ++this.#seq, atMs: this.#now(), passId, ...body }
    this.#untold.push(event)
    if (!this.#telling) this.#tell()
    return event
  }

  /** An event that a listener causes is told after the one it heard, to all: nobody sees them swapped. */
  #tell(): void {
    this.#telling = true
    try {
      for (let event = this.#untold.shift(); event !== undefined; event = this.#untold.shift()) {
        this.#told = event
        this.#toldJson = null
        for (const listener of this.#listeners) listener(event, this.#json)
      }
    } finally {
      this.#telling = false
      this.#told = null
      this.#toldJson = null
    }
  }
}
