// The keyboard: "g" and a letter for a view, "/" for the filter of the view, "." for the next step, "d"
// into the drawer and back, "?" for help, Escape for what is open. A key never fires while somebody types.
import { useEffect } from 'react'
import { viewNames, type ViewName } from '../lib/route.ts'
import { viewFacts } from '../lib/views.ts'
import { appStore } from '../state/store.ts'
import { closeDrawer, goTo, navigate, uiStore } from '../state/ui-store.ts'

/** A letter that comes later than this after "g" stands for itself. */
const CHORD_MS = 1500

function isTyping({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false
  // A list takes letters to jump to an entry; signs mean nothing to it.
  if (target.closest('select') !== null) return /^[a-z]$/i.test(key)
  return target.closest('input:not([type=checkbox]), textarea') !== null
}

/** What takes the focus once the view that was asked for is shown. */
let focusWish: (() => HTMLElement | null) | null = null

/** Called when another view is shown. */
export function giveFocus(): void {
  const wish = focusWish
  focusWish = null
  wish?.()?.focus()
}

/** Goes to a view, and with the focus to an element of it. */
function goWithFocus(view: ViewName, element: () => HTMLElement | null): void {
  const isThere = uiStore.getState().route.view === view
  focusWish = element
  goTo(view)
  if (isThere) giveFocus()
}

const mainElement = (): HTMLElement | null => document.getElementById('main')

function goByKey(key: string): boolean {
  const attached = appStore.getState().store?.mode === 'attached'
  const view = viewNames.find((name) => viewFacts[name].key === key)
  if (view === undefined || (attached && !viewFacts[view].attached)) return false
  // The view's name is read out, and the next Tab starts inside it.
  goWithFocus(view, mainElement)
  return true
}

/** Focuses the filter of this view, or the trace's, which is the one filter every store has. */
function focusFilter(): void {
  const field = () => document.querySelector<HTMLElement>('[data-key="filter"]')
  const here = field()
  if (here !== null) here.focus()
  else goWithFocus('trace', field)
}

/** Presses the next step where there is one to press; elsewhere it leads to where steps are made. */
function nextStep(): void {
  const button = document.querySelector<HTMLButtonElement>('[data-key="step"]')
  if (button === null) goTo('step')
  else if (!button.disabled) button.click()
}

let leftAt: Element | null = null

/** Into what is open beside the view, and from there back; false when nothing is open. */
function crossToDrawer(): boolean {
  const drawer = document.querySelector<HTMLElement>('[data-key="drawer"]')
  if (drawer === null) return false
  if (!drawer.contains(document.activeElement)) {
    leftAt = document.activeElement
    drawer.focus()
    return true
  }
  const back = leftAt?.isConnected === true && leftAt !== document.body ? leftAt : null
  ;((back as HTMLElement | null) ?? mainElement())?.focus()
  return true
}

function closeTopmost(): void {
  const { route } = uiStore.getState()
  if (route.drawer !== null) closeDrawer()
  else if (route.chosen.length > 0) navigate({ chosen: [] })
  else uiStore.setState({ result: null, failure: null })
}

export function useKeys(): void {
  useEffect(() => {
    let chordAtMs = -Infinity
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
      // A dialog takes its keys itself, Escape in a field of it, too.
      if (document.querySelector('dialog[open]') !== null) return
      if (isTyping(event)) {
        if (event.key === 'Escape') {
          // Leaves the field; a browser would empty a search field as well.
          ;(event.target as HTMLElement).blur()
          event.preventDefault()
        }
        return
      }
      const chord = event.timeStamp - chordAtMs < CHORD_MS
      chordAtMs = -Infinity
      if (chord && goByKey(event.key)) {
        event.preventDefault()
        return
      }
      switch (event.key) {
        case 'g':
          chordAtMs = event.timeStamp
          return
        case '?':
          uiStore.setState({ helpOpen: true })
          break
        case '/':
          focusFilter()
          break
        case '.':
          nextStep()
          break
        case 'd':
          if (!crossToDrawer()) return
          break
        case 'Escape':
          closeTopmost()
          break
        default:
          return
      }
      event.preventDefault()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
}
