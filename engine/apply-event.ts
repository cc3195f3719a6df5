/**
 * Rebuilds the engine's state from its events: (state, event) -> state. Pure, with imports of types
 * only, because three need the same rule: the browser that follows a store, the reader of a recording,
 * and the tests that hold the fold against the live state. Unchanged parts keep their identity, so that
 * a row whose segment did not change is not drawn again.
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

function upsert(segments: SegmentInfo[], segment: SegmentInfo): SegmentInfo[] {
  const { index, found } = findSegment(segments, segment.segmentId)
  const next = segments.slice()
  next.splice(index, found ? 1 : 0, segment)
  return next
}

function applyBytes(
  segments: SegmentInfo[],
  changes: readonly [SegmentId, number, number][],
): SegmentInfo[] {
  const next = segments.slice()
  for (const [segmentId, bytesTotal, bytesLive] of changes) {
    const { index, found } = findSegment(next, segmentId)
    const segment = next[index]
    if (!found || segment === undefined) continue
    next[index] = { ...segment, bytesTotal, bytesLive, bytesStale: bytesTotal - bytesLive }
  }
  return next
}

/** The state after `event`. Types that only tell a story leave the state as it is. */
export function applyEvent(state: EngineState, event: EngineEvent): EngineState {
  switch (event.type) {
    case 'segment_created':
    case 'segment_sealed':
    case 'segment_zombie':
    case 'segment_kept':
      return { ...state, segments: upsert(state.segments, event.segment) }
    case 'segment_deleted':
      return {
        ...state,
        segments: state.segments.filter((segment) => segment.segmentId !== event.segmentId),
      }
    case 'segment_bytes':
      return { ...state, segments: applyBytes(state.segments, event.changes) }
    case 'debt_changed':
      return { ...state, debt: event.debt }
    case 'penalties_changed':
      return { ...state, penalties: event.penalties }
    case 'scheduler_changed':
      return { ...state, scheduler: event.scheduler }
    case 'counters_changed':
      return { ...state, counters: event.counters }
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
        },
      }
    default:
      return state
  }
}
