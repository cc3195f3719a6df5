/**
 * Rebuilds the engine's state from its events: (state, event) -> state. Pure, with imports of types
 * only, because three need the same rule: the browser that follows a store, the reader of a recording,
 * and the tests that hold the fold against the live state. Unchanged parts keep their identity, so that
 * a row whose segment did not change is not drawn again; a batch copies the list of segments once,
 * however many of its events touch it.
 */
import type { EngineEvent, EngineState, SegmentId, SegmentInfo } from './types.ts'

/** Index of `id`, or of the place where it belongs, in segments ascending by id. */
export function findSegment(
  segments: readonly SegmentInfo[],
  id: SegmentId,
): { index: number; found: boolean } {
  let low = 0
  let high = segments.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = segments[middle]
    if (at !== undefined && at.segmentId < id) low = middle + 1
    else high = middle
  }
  return { index: low, found: segments[low]?.segmentId === id }
}

/** Takes events one by one and gives the state after the last; the state it began with stays as it was. */
export class EngineStateDraft {
  private state: EngineState
  /** This draft's own copy; null while no event has touched a segment. */
  private segments: SegmentInfo[] | null = null

  constructor(state: EngineState) {
    this.state = state
  }

  get debt(): EngineState['debt'] {
    return this.state.debt
  }

  segment(id: SegmentId): SegmentInfo | undefined {
    const segments = this.segments ?? this.state.segments
    const { index, found } = findSegment(segments, id)
    return found ? segments[index] : undefined
  }

  /** Types that only tell a story leave the state as it is. */
  apply(event: EngineEvent): void {
    switch (event.type) {
      case 'segment_created':
      case 'segment_sealed':
      case 'segment_zombie':
      case 'segment_kept':
        this.upsert(event.segment)
        break
      case 'segment_deleted':
        this.remove(event.segmentId)
        break
      case 'segment_bytes':
        for (const [id, bytesTotal, bytesLive] of event.changes) {
          this.setBytes(id, bytesTotal, bytesLive)
        }
        break
      default:
        this.state = applyToRest(this.state, event)
    }
  }

  done(): EngineState {
    return this.segments === null ? this.state : { ...this.state, segments: this.segments }
  }

  private own(): SegmentInfo[] {
    this.segments ??= this.state.segments.slice()
    return this.segments
  }

  private upsert(segment: SegmentInfo): void {
    const segments = this.own()
    const { index, found } = findSegment(segments, segment.segmentId)
    if (found) segments[index] = segment
    else segments.splice(index, 0, segment)
  }

  private remove(id: SegmentId): void {
    const segments = this.own()
    const { index, found } = findSegment(segments, id)
    if (found) segments.splice(index, 1)
  }

  private setBytes(id: SegmentId, bytesTotal: number, bytesLive: number): void {
    const segments = this.own()
    const { index, found } = findSegment(segments, id)
    const segment = segments[index]
    if (!found || segment === undefined) return
    segments[index] = { ...segment, bytesTotal, bytesLive, bytesStale: bytesTotal - bytesLive }
  }
}

/** The state after `event`. */
export function applyEvent(state: EngineState, event: EngineEvent): EngineState {
  const draft = new EngineStateDraft(state)
  draft.apply(event)
  return draft.done()
}

function applyToRest(state: EngineState, event: EngineEvent): EngineState {
  switch (event.type) {
    case 'debt_changed':
      return { ...state, debt: event.debt }
    case 'penalties_changed':
      return { ...state, penalties: event.penalties }
    case 'scheduler_changed':
      return { ...state, scheduler: { ...state.scheduler, ...event.scheduler } }
    case 'counters_changed':
      return { ...state, counters: { ...state.counters, ...event.counters } }
    case 'pin_opened':
      return {
        ...state,
        pins: [...state.pins.filter((pin) => pin.pinId !== event.pin.pinId), event.pin],
      }
    case 'pin_released':
      return { ...state, pins: state.pins.filter((pin) => pin.pinId !== event.pinId) }
    case 'checkpoint_done':
      if (event.report.noop) return state
      return {
        ...state,
        checkpoint: {
          commitSeq: event.report.commitSeq,
          atMs: event.atMs,
          elapsedMs: event.report.elapsedMs,
          reason: event.report.reason,
        },
      }
    default:
      return state
  }
}
