// The address bar and the route say the same: what the reader does is written into the fragment, and
// a fragment that changes (a link, the browser's buttons) is read back.
import { afterFrame } from '../lib/frames.ts'
import { hashToRoute, routeToHash, type Route } from '../lib/route.ts'
import { onNavigate, uiStore } from './ui-store.ts'

/** Browsers stop a page that rewrites its address at every key stroke. */
const WRITE_AFTER_MS = 200

export function followAddress(first: Route, changed: () => void): void {
  uiStore.setState({ route: first })
  let timer: ReturnType<typeof setTimeout> | undefined
  /** Steps of the history that are not written yet: a browser takes up to 25 ms for one. */
  let steps: Route[] = []
  const write = (route: Route, journey: boolean) => {
    const hash = routeToHash(route)
    if (hash === location.hash) return
    if (journey) history.pushState(null, '', hash)
    else history.replaceState(null, '', hash)
  }
  const writeSteps = () => {
    const due = steps
    steps = []
    for (const route of due) write(route, true)
  }
  // Said from the start, so that the address is a link before anything was chosen.
  write(first, false)
  onNavigate((route, journey) => {
    clearTimeout(timer)
    if (!journey) {
      timer = setTimeout(() => write(uiStore.getState().route, false), WRITE_AFTER_MS)
      return
    }
    steps.push(route)
    if (steps.length === 1) afterFrame(writeSteps)
  })
  // Leaving within the wait must not lose the last word typed.
  addEventListener('pagehide', () => {
    clearTimeout(timer)
    writeSteps()
    write(uiStore.getState().route, false)
  })
  addEventListener('popstate', () => {
    // Whoever goes back this soon does not want to have gone.
    steps = []
    uiStore.setState({ route: hashToRoute(location.hash) })
    changed()
  })
}
