// What the reader chose on this page: selection, order, filters, theme. Not the store's state, and
// never sent anywhere. The theme survives a reload.
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import type {
  ActionName,
  Actions,
  CandidateVerdict,
  SegmentId,
  SessionBody,
  StoredPlan,
} from '../../server/protocol.ts'
import type { ApiErrorCode } from '../api/http.ts'
import { defaultRoute, type DrawerTarget, type Route, type ViewName } from '../lib/route.ts'
import type { EventGroup } from '../lib/words.ts'

export type Theme = 'auto' | 'light' | 'dark'

/** What the last action said, kept until the next one or until it is closed. */
export type ActionResult = {
  [N in ActionName]: { name: N; answer: Actions[N]['answer']; elapsedMs: number }
}[ActionName]

/** Things to do that are no action of a store: opening and closing stores. */
export type Deed = ActionName | 'open-store' | 'close-store' | 'reopen-store'

export interface ActionFailure {
  name: Deed
  code: ApiErrorCode
  message: string
  /** As the server sent them; most errors have none. */
  details?: unknown
}

export interface UiState {
  /** All that the address bar says; change it through `navigate`. */
  route: Route
  theme: Theme
  busy: Deed | null
  result: ActionResult | null
  failure: ActionFailure | null
  helpOpen: boolean
  /** What this page may do; null before the server has said it. */
  session: SessionBody | null
  /** A stored plan that waits for a second yes. */
  stored: StoredPlan | null
  /** The newest dry plan with the store's own options, asked for by hand; engine clock. */
  plan: { candidates: CandidateVerdict[]; atMs: number } | null
}

const THEME_KEY = 'restage.theme'

function savedTheme(): Theme {
  try {
    const saved = localStorage.getItem(THEME_KEY)
    return saved === 'light' || saved === 'dark' ? saved : 'auto'
  } catch {
    return 'auto'
  }
}

const movers: readonly Deed[] = ['step-phase', 'resume-pass', 'cancel-pass', 'set-breakpoints']

/** Is about a pass in the slot, and so has to be possible while another action waits for that pass. */
export function movesStoppedPass(name: string): boolean {
  return movers.some((one) => one === name)
}

export const uiStore = createStore<UiState>(() => ({
  route: defaultRoute,
  theme: savedTheme(),
  busy: null,
  result: null,
  failure: null,
  helpOpen: false,
  session: null,
  stored: null,
  plan: null,
}))

export function useUi<T>(select: (state: UiState) => T): T {
  return useStore(uiStore, select)
}

export function useRoute<T>(select: (route: Route) => T): T {
  return useStore(uiStore, (state) => select(state.route))
}

/** Going somewhere can be taken back with the browser's button; narrowing what is shown cannot. */
function isJourney(patch: Partial<Route>): boolean {
  return patch.view !== undefined || patch.drawer !== undefined || patch.store !== undefined
}

/** Where a change of the route is written to; the session connects the address bar. */
let writeAddress: (route: Route, journey: boolean) => void = () => undefined

export function onNavigate(write: typeof writeAddress): void {
  writeAddress = write
}

export function navigate(patch: Partial<Route>): void {
  const before = uiStore.getState().route
  const route = { ...before, ...patch }
  uiStore.setState({ route })
  const moved = before.view !== route.view || before.drawer !== route.drawer
  writeAddress(route, isJourney(patch) && moved)
}

export function goTo(view: ViewName): void {
  navigate({ view })
}

export function openDrawer(drawer: DrawerTarget): void {
  navigate({ drawer })
}

export function closeDrawer(): void {
  if (uiStore.getState().route.drawer !== null) navigate({ drawer: null })
}

/** `auto` follows the system; the stylesheet reads the attribute. */
export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}

export function setTheme(theme: Theme): void {
  applyTheme(theme)
  uiStore.setState({ theme })
  try {
    if (theme === 'auto') localStorage.removeItem(THEME_KEY)
    else localStorage.setItem(THEME_KEY, theme)
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
}

/** A plain choice opens the segment beside the view; `add` also puts it into the choice or takes it out. */
export function chooseSegment(id: SegmentId, add: boolean): void {
  const { chosen } = uiStore.getState().route
  if (!add) {
    navigate({ drawer: { kind: 'segment', id }, chosen: [id] })
    return
  }
  navigate({
    chosen: chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id],
  })
}

export function chooseSegments(ids: readonly SegmentId[]): void {
  navigate({ chosen: [...ids] })
}

export function toggleGroup(group: EventGroup): void {
  const { traceHidden } = uiStore.getState().route
  navigate({
    traceHidden: traceHidden.includes(group)
      ? traceHidden.filter((other) => other !== group)
      : [...traceHidden, group],
  })
}
