/**
 * Numbers events without a gap and hands them to subscribers, synchronously and in order. An event, with
 * all that it names, never changes once it is emitted.
 */
import type { EngineEvent, EngineEventBody } from './types.ts'

/** `json`: the event as JSON, made once for all who ask. Call it while being told, not later. */
export type EngineEventListener = (event: EngineEvent, json: () => string) => void

/** Told of each event after everyone else; `made` is its JSON where somebody asked for it, else null. */
export type EngineEventRecorder = (event: EngineEvent, made: string | null) => void

export class EventHub {
  readonly #now: () => number
  readonly #listeners = new Set<EngineEventListener>()
  #recorder: EngineEventRecorder | null = null
  /** Emitted and not yet told to everyone. */
  readonly #untold: { event: EngineEvent; reportJson: string | undefined }[] = []
  #telling = false
  /** The event being told. */
  #told: EngineEvent | null = null
  #toldJson: string | null = null
  #toldReportJson: string | undefined = undefined
  readonly #json = (): string => (this.#toldJson ??= jsonOf(this.#told, this.#toldReportJson))
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

  /** There is one at most. */
  recordBy(recorder: EngineEventRecorder): void {
    this.#recorder = recorder
  }

  /** `reportJson`: the body's `report` as JSON, where it was made already. */
  emit(body: EngineEventBody, passId: number | null, reportJson?: string): EngineEvent {
    const event: EngineEvent = { seq: ++this.#seq, atMs: this.#now(), passId, ...body }
    this.#untold.push({ event, reportJson })
    if (!this.#telling) this.#tell()
    return event
  }

  /** An event that a listener causes is told after the one it heard, to all: nobody sees them swapped. */
  #tell(): void {
    this.#telling = true
    try {
      for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) {
        this.#told = next.event
        this.#toldJson = null
        this.#toldReportJson = next.reportJson
        try {
          for (const listener of this.#listeners) listener(next.event, this.#json)
        } finally {
          // Also when a listener throws: a recording without one event has no use for those around it.
          if (this.#recorder !== null) {
            if (next.reportJson !== undefined) this.#json()
            this.#recorder(next.event, this.#toldJson)
          }
        }
      }
    } finally {
      this.#telling = false
      this.#told = null
      this.#toldJson = null
      this.#toldReportJson = undefined
    }
  }
}

/** The report is the last of an event's members. */
function jsonOf(event: EngineEvent | null, reportJson: string | undefined): string {
  if (event === null || reportJson === undefined) return JSON.stringify(event)
  const { seq, atMs, passId, type } = event
  return `${JSON.stringify({ seq, atMs, passId, type }).slice(0, -1)},"report":${reportJson}}`
}
