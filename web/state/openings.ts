// Streams and openings. Events and passes are numbered anew each time the store is opened; the recording
// counts the openings, the page counts the streams it has followed, from 1. An opening that it knows from the
// recording alone is the stream of that number below zero. Pure.
import { inOpening, type EventPlace } from '../lib/route.ts'
import type { AppState } from './app-state.ts'

type Streams = Pick<AppState, 'streamCount' | 'streamOpenings'>

/** null: the stream is not recorded. */
export function openingOf({ streamOpenings }: Streams, stream: number): number | null {
  return stream < 0 ? -stream : (streamOpenings[stream - 1] ?? null)
}

/** Without an opening the present stream. */
export function streamOf(state: Streams, opening: number | null | undefined): number {
  if (opening === null || opening === undefined) return state.streamCount
  const followed = state.streamOpenings.lastIndexOf(opening)
  return followed === -1 ? -opening : followed + 1
}

/**
 * The opening that a number of a pass is of where none is named: in a folder that is only read nothing is
 * present, so it is the newest that is loaded. null: the present one.
 */
export function openingMeant(
  { store, openingsLoaded }: Pick<AppState, 'store' | 'openingsLoaded'>,
  named: number | null,
): number | null {
  return named ?? (store?.mode === 'attached' ? (openingsLoaded[0] ?? null) : null)
}

/** As an address names it, so that it is the same event after the store was opened again. */
export function placeOf(state: Streams, stream: number, seq: number): EventPlace {
  return { seq, ...inOpening(openingOf(state, stream)) }
}
