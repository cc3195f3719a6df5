// Rows of a list that follows events: what leaves fades where it stood, what stays then moves to its new
// place, what joins fades in. Shows only what moved where; where motion is not wanted, nothing moves.
import { useEffect, useLayoutEffect, useState, useRef, type RefObject } from 'react'

/** Of the fade, and then of the move. */
const MOTION_MS = 200

/** More at once is no motion that an eye could follow. */
const LEAVING_MAX = 20

const REDUCED = '(prefers-reduced-motion: reduce)'

export interface Shown<R> {
  row: R
  leaving: boolean
}

interface Seen<R> {
  rows: readonly R[]
  signature: string
  /** Those that left with the last change, at the place they had. */
  left: { row: R; at: number }[]
}

/** The rows, and for a moment also those that have just left. */
export function useLeaving<R>(rows: readonly R[], keyOf: (row: R) => string): Shown<R>[] {
  const signature = rows.map(keyOf).join(' ')
  const [seen, setSeen] = useState<Seen<R>>({ rows, signature, left: [] })
  let { left } = seen
  if (seen.signature !== signature) {
    left = matchMedia(REDUCED).matches ? [] : whatLeft(seen.rows, rows, keyOf)
    setSeen({ rows, signature, left })
  }
  useEffect(() => {
    if (left.length === 0) return
    const timer = setTimeout(() => setSeen((now) => ({ ...now, left: [] })), MOTION_MS)
    return () => clearTimeout(timer)
  }, [left])
  return withLeft(rows, left)
}

/** What is in `before` and not in `now`, with its index there; nothing when that is too much to follow. */
function whatLeft<R>(
  before: readonly R[],
  now: readonly R[],
  keyOf: (row: R) => string,
): { row: R; at: number }[] {
  const kept = new Set(now.map(keyOf))
  const left = before.flatMap((row, at) => (kept.has(keyOf(row)) ? [] : [{ row, at }]))
  return left.length > LEAVING_MAX ? [] : left
}

function withLeft<R>(rows: readonly R[], left: readonly { row: R; at: number }[]): Shown<R>[] {
  const shown = rows.map((row): Shown<R> => ({ row, leaving: false }))
  for (const { row, at } of left) shown.splice(at, 0, { row, leaving: true })
  return shown
}

/** Moves the children of `list` from where they were; each is known by its `data-segment-id`. */
export function useRowMotion(list: RefObject<HTMLElement | null>, signature: string): void {
  const tops = useRef<ReadonlyMap<string, number> | null>(null)
  useLayoutEffect(() => {
    const rows = [...(list.current?.children ?? [])] as HTMLElement[]
    const before = tops.current
    const now = new Map(rows.map((row) => [row.dataset['segmentId'] ?? '', row.offsetTop]))
    tops.current = now
    if (before === null || matchMedia(REDUCED).matches) return
    for (const row of rows) {
      const id = row.dataset['segmentId'] ?? ''
      const [from, to] = [before.get(id), now.get(id) ?? 0]
      if (from === to) continue
      const frames =
        from === undefined
          ? [{ opacity: 0 }, { opacity: 1 }]
          : [{ transform: `translateY(${String(from - to)}px)` }, { transform: 'none' }]
      row.animate(frames, { duration: MOTION_MS, easing: 'ease-out' })
    }
  }, [list, signature])
}
