// Small React bindings: the two clocks, an element's width, a throttled text, what is dear to draw.
import {
  startTransition,
  useContext,
  useDeferredValue,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type RefObject,
} from 'react'
import { holdFeed } from '../lib/frames.ts'
import type { Route } from '../lib/route.ts'
import type { AppState } from '../state/app-state.ts'
import { engineNow } from '../state/selectors.ts'
import { AppStoreContext, useApp } from '../state/store.ts'
import { useRoute } from '../state/ui-store.ts'

/** The page's clock, ticking. Countdowns show whole seconds, so four ticks a second are enough. */
export function usePageNow(everyMs = 250): number {
  const [now, setNow] = useState(() => performance.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  return now
}

/** The engine's clock, carried on locally between frames; null before the first snapshot. */
export function useEngineNow(everyMs = 250): number | null {
  const pageNow = usePageNow(everyMs)
  const gauges = useApp((state) => state.gauges)
  const receivedAtMs = useApp((state) => state.receivedAtMs)
  const link = useApp((state) => state.link)
  const store = useApp((state) => state.store)
  return engineNow({ gauges, receivedAtMs, link, store }, Math.max(pageNow, receivedAtMs))
}

/**
 * Keyboard focus goes back to where it was when this appeared, if it would be lost with it; to the view
 * where that place is gone or cannot take it. Call it in what appears and goes, with its element.
 */
export function useFocusReturn(box: RefObject<HTMLElement | null>): void {
  useLayoutEffect(() => {
    const element = box.current
    const before = document.activeElement
    return () => {
      const { activeElement } = document
      if (activeElement !== document.body && element?.contains(activeElement) !== true) return
      if (before instanceof HTMLElement && before !== document.body) before.focus()
      if (document.activeElement === activeElement) document.getElementById('main')?.focus()
    }
  }, [box])
}

/** What the last element of a kind was as wide as; the next one most often is, too. */
export interface WidthBefore {
  width: number
}

/**
 * Content width of an element, kept up to date. Until it is laid out it is what `before` says, or 0, so
 * that what is as wide as the one before it is drawn once.
 */
export function useWidth<T extends HTMLElement>(
  before?: WidthBefore,
): [RefObject<T | null>, number] {
  const ref = useRef<T>(null)
  const [width, setWidth] = useState(before?.width ?? 0)
  useEffect(() => {
    const element = ref.current
    if (element === null) return
    const measure = () => {
      const measured = Math.floor(element.clientWidth)
      if (before !== undefined) before.width = measured
      setWidth(measured)
    }
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    return () => observer.disconnect()
  }, [before])
  return [ref, width]
}

/**
 * Follows `value` at most once per `everyMs`, for announcements that must not chatter; at once where it is
 * about something else than before.
 */
export function useThrottled<T>(value: T, everyMs: number, about = ''): T {
  const [shown, setShown] = useState({ value, about })
  const latest = useRef({ value, about })
  useEffect(() => {
    latest.current = { value, about }
  }, [value, about])
  useEffect(() => {
    const timer = setInterval(() => {
      const next = latest.current
      setShown((now) => (now.value === next.value && now.about === next.about ? now : next))
    }, everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
  if (shown.about === about) return shown.value
  setShown({ value, about })
  return value
}

/** Follows `value` that much later; one that changes sooner is left out. */
export function useLater<T>(value: T, byMs: number): T {
  const [shown, setShown] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setShown(() => value), byMs)
    return () => clearTimeout(timer)
  }, [value, byMs])
  return shown
}

/**
 * What `select` says, looked at once every so often while it goes on changing, and at once where `key`
 * is another. For what is too dear to draw with every frame; `select` must be the same function always.
 */
export function useAppSlowly<T>(
  select: (state: AppState) => T,
  { everyMs, key }: { everyMs: number; key: string },
): T {
  const store = useContext(AppStoreContext)
  const [seen, setSeen] = useState(() => ({ key, store, value: select(store.getState()) }))
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let lookedAtMs = performance.now()
    const look = () => {
      timer = undefined
      lookedAtMs = performance.now()
      const value = select(store.getState())
      setSeen((before) => (before.value === value ? before : { ...before, value }))
    }
    const unsubscribe = store.subscribe(() => {
      timer ??= setTimeout(look, Math.max(0, lookedAtMs + everyMs - performance.now()))
    })
    return () => {
      clearTimeout(timer)
      unsubscribe()
    }
  }, [store, select, everyMs, key])
  if (seen.key === key && seen.store === store) return seen.value
  const now = { key, store, value: select(store.getState()) }
  setSeen(now)
  return now.value
}

/** Long enough for the paint of what a press brought, and for a key held down to come again. */
const SETTLED_MS = 80

/**
 * False at first, and right after `key` has changed: what is dear to draw comes once the rest of the
 * answer is on the screen.
 */
export function useSettled(key: string): boolean {
  const [settled, setSettled] = useState<string | null>(null)
  useEffect(() => {
    const timer = setTimeout(() => startTransition(() => setSettled(key)), SETTLED_MS)
    return () => clearTimeout(timer)
  }, [key])
  return settled === key
}

/**
 * Follows `value` in a frame after the one that answers the input: what was pressed looks pressed at
 * once, and what takes longer to draw is drawn in pieces between which the next input gets its turn.
 * `first` stands for it in the frame in which this appears.
 */
export function useAfterAnswer<T>(value: T, first?: T): T {
  const shown = useDeferredValue(value, first)
  const late = shown !== value
  // A change of the store would throw away what is drawn of the rest so far.
  useLayoutEffect(() => (late ? holdFeed() : undefined), [late])
  return shown
}

/** A part of the address as what takes long to draw follows it. */
export function useShownRoute<T>(select: (route: Route) => T): T {
  return useAfterAnswer(useRoute(select))
}

/** True while the media query holds. */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches)
  useEffect(() => {
    const media = matchMedia(query)
    const onChange = () => setHolds(media.matches)
    onChange()
    media.addEventListener('change', onChange)
    return () => media.removeEventListener('change', onChange)
  }, [query])
  return holds
}
