// Spans of time that charts show: narrowed, widened, moved, within what is known. Pure; milliseconds of the
// engine's clock.

export interface Span {
  fromMs: number
  toMs: number
}

/** Less says nothing: a sample is taken once a second. */
export const SPAN_MIN_MS = 2000

/** As much of `span` as lies in `bounds`; null where that is all of them, or too little to show. */
export function within(span: Span, bounds: Span): Span | null {
  const fromMs = Math.round(Math.max(span.fromMs, bounds.fromMs))
  const toMs = Math.round(Math.min(span.toMs, bounds.toMs))
  if (toMs - fromMs < SPAN_MIN_MS) return null
  const isAll = fromMs <= bounds.fromMs && toMs >= bounds.toMs
  return isAll ? null : { fromMs, toMs }
}

/** About its middle; `factor` below 1 narrows it. null: that is all there is. */
export function zoomed(span: Span, factor: number, bounds: Span): Span | null {
  const middle = (span.fromMs + span.toMs) / 2
  const half = Math.max(SPAN_MIN_MS, (span.toMs - span.fromMs) * factor) / 2
  return within({ fromMs: middle - half, toMs: middle + half }, bounds)
}

/** By that share of its length, to the later side when positive, and no further than the bounds. */
export function moved(span: Span, share: number, bounds: Span): Span | null {
  const length = span.toMs - span.fromMs
  const wanted = span.fromMs + length * share
  const fromMs = Math.max(bounds.fromMs, Math.min(wanted, bounds.toMs - length))
  return within({ fromMs, toMs: fromMs + length }, bounds)
}
