// What the reader chose on this page: selection, order, filters, theme. Not the store's state, and
// never sent anywhere. The theme survives a reload.
import { useStore } from 'zustand'
import { createStore } from 'zustand/vanilla'
import type { ActionName, Actions, SegmentId } from '../../server/protocol.ts'
import type { ApiErrorCode } from '../api/http.ts'
import { groupsHiddenAtFirst, type EventGroup } from '../lib/words.ts'

export type SegmentOrder = 'id' | 'stale' | 'age'
export type Theme = 'auto' | 'light' | 'dark'

/** What the last action said, kept until the next one or until it is closed. */
export type ActionResult = {
  [N in ActionName]: { name: N; answer: Actions[N]['answer']; elapsedMs: number }
}[ActionName]

export interface ActionFailure {
  name: ActionName
  code: ApiErrorCode
  message: string
}

export interface UiState {
  /** Chosen segments; the last one is shown in detail. */
  selected: SegmentId[]
  order: SegmentOrder
  theme: Theme
  hiddenGroups: EventGroup[]
  traceText: string
  busy: ActionName | null
  result: ActionResult | null
  failure: ActionFailure | null
  helpOpen: boolean
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

export const uiStore = createStore<UiState>(() => ({
  selected: [],
  order: 'id',
  theme: savedTheme(),
  hiddenGroups: [...groupsHiddenAtFirst],
  traceText: '',
  busy: null,
  result: null,
  failure: null,
  helpOpen: false,
}))

export function useUi<T>(select: (state: UiState) => T): T {
  return useStore(uiStore, select)
}

/** `auto` follows the system; the stylesheet reads the attribute. */
export function applyTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}

export function setTheme(theme: Theme): void {
  uiStore.setState({ theme })
  applyTheme(theme)
  try {
    if (theme === 'auto') localStorage.removeItem(THEME_KEY)
    else localStorage.setItem(THEME_KEY, theme)
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
}

/** A plain choice replaces the selection; `add` puts one in or takes it out. */
export function chooseSegment(id: SegmentId, add: boolean): void {
  uiStore.setState(({ selected }) => {
    if (!add) return { selected: [id] }
    return {
      selected: selected.includes(id)
        ? selected.filter((other) => other !== id)
        : [...selected, id],
    }
  })
}

export function chooseSegments(ids: readonly SegmentId[]): void {
  uiStore.setState({ selected: [...ids] })
}

export function toggleGroup(group: EventGroup): void {
  uiStore.setState(({ hiddenGroups }) => ({
    hiddenGroups: hiddenGroups.includes(group)
      ? hiddenGroups.filter((other) => other !== group)
      : [...hiddenGroups, group],
  }))
}
