// Which rows of a scrolled list are in sight, where all rows are equally high. A virtualizer that can
// do more goes over all rows whenever their number changes, which for a long trace is every frame.
import { useEffect, useState, type RefObject } from 'react'

export interface RowWindow {
  /** Index of the first row to draw. */
  first: number
  /** Index after the last one. */
  end: number
}

export interface RowsInSight {
  scrollTop: number
  viewHeight: number
}

/** `overscan` rows more on either side, so that scrolling finds them there. */
export function rowWindow(
  rows: { count: number; height: number; overscan: number },
  { scrollTop, viewHeight }: RowsInSight,
): RowWindow {
  const { count, height, overscan } = rows
  const first = Math.floor(scrollTop / height) - overscan
  const end = Math.ceil((scrollTop + viewHeight) / height) + overscan
  return { first: Math.max(0, Math.min(first, count)), end: Math.max(0, Math.min(end, count)) }
}

/** Follows the scrolling and the size of `scroller`, which is `heightAtFirst` until it has been laid out. */
export function useRowWindow(
  scroller: RefObject<HTMLElement | null>,
  rows: { count: number; height: number; overscan: number },
  heightAtFirst: () => number,
): RowWindow {
  const [sight, setSight] = useState<RowsInSight>(() => ({
    scrollTop: 0,
    viewHeight: heightAtFirst(),
  }))
  useEffect(() => {
    const element = scroller.current
    if (element === null) return
    const look = () =>
      setSight((before) => {
        const { scrollTop, clientHeight: viewHeight } = element
        const same = before.scrollTop === scrollTop && before.viewHeight === viewHeight
        return same ? before : { scrollTop, viewHeight }
      })
    look()
    const observer = new ResizeObserver(look)
    observer.observe(element)
    element.addEventListener('scroll', look, { passive: true })
    return () => {
      observer.disconnect()
      element.removeEventListener('scroll', look)
    }
  }, [scroller])
  return rowWindow(rows, sight)
}
