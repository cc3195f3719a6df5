// The one rule that keeps a stream honest: events are applied once, in order, with none left out.
import type { EngineEvent } from '../../server/protocol.ts'

export interface Gap {
  expectedSeq: number
  gotSeq: number
}

export interface Sequenced {
  /** Events not seen before, consecutive from `after + 1`. */
  fresh: EngineEvent[]
  /** How many were doubled and therefore dropped. */
  doubled: number
  /** Set when something is missing; `fresh` then ends before the hole. */
  gap: Gap | null
}

/** Sorts a frame's events into what follows `after`, what was seen already, and a hole if there is one. */
export function takeFresh(after: number, events: readonly EngineEvent[]): Sequenced {
  const fresh: EngineEvent[] = []
  let doubled = 0
  let last = after
  for (const event of events) {
    if (event.seq <= last) {
      doubled += 1
    } else if (event.seq === last + 1) {
      fresh.push(event)
      last = event.seq
    } else {
      return { fresh, doubled, gap: { expectedSeq: last + 1, gotSeq: event.seq } }
    }
  }
  return { fresh, doubled, gap: null }
}
