// Asks the engine what each pass would do, while some part of the page shows it: again when the store or
// its time has moved on, not more often than once a second, and never for more than a small part of the
// store's own time.
import { engineNow } from './selectors.ts'
import { ask } from './session.ts'
import { appStore } from './store.ts'

const LOOK_EVERY_MS = 250
const ASK_EVERY_MS = 1000
/** A preview that took the store 20 ms is not asked for again before 1 s: 2 % of its thread. */
const REST_FACTOR = 50

let followers = 0
let timer: ReturnType<typeof setInterval> | undefined
let asking = false
let askedFor = ''
let notBeforeMs = 0

/** Answers the function that ends it. */
export function followPreview(): () => void {
  followers += 1
  if (followers === 1) {
    askedFor = ''
    notBeforeMs = 0
    timer = setInterval(look, LOOK_EVERY_MS)
    look()
  }
  return () => {
    followers -= 1
    if (followers === 0) clearInterval(timer)
  }
}

/** Everything that a preview depends on; a clock that runs counts by the second. */
function momentOf(): string | null {
  const state = appStore.getState()
  const { store, link, streamId, seq } = state
  if (store?.mode !== 'hosted' || link.phase !== 'live') return null
  const nowMs = engineNow(state, performance.now())
  if (nowMs === null) return null
  return [store.storeId, streamId, seq, Math.floor(nowMs / ASK_EVERY_MS)].join(' ')
}

function look(): void {
  const moment = momentOf()
  if (moment === null || moment === askedFor || asking) return
  if (document.hidden || performance.now() < notBeforeMs) return
  asking = true
  askedFor = moment
  void askNow().finally(() => (asking = false))
}

async function askNow(): Promise<void> {
  const { storeId } = appStore.getState().store ?? {}
  const began = performance.now()
  notBeforeMs = began + ASK_EVERY_MS
  try {
    const made = await ask((api, id) => api.preview(id))
    notBeforeMs = began + Math.max(ASK_EVERY_MS, made.elapsedMs * REST_FACTOR)
    // The reader may have gone to another store meanwhile.
    if (appStore.getState().store?.storeId === storeId) {
      appStore.setState({ preview: { made, failure: null } })
    }
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error)
    appStore.setState({ preview: { made: null, failure } })
  }
}
