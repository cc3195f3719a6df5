// Wires the page together: token, list of stores, live feed, actions. The only module that knows
// both the network and the stores.
import { LIVE_PATH, type ActionName, type Actions, type StoreInfo } from '../../server/protocol.ts'
import { ApiError, createApi, pageBase, type Api } from '../api/http.ts'
import { LiveClient } from '../api/live.ts'
import { takeToken } from '../api/token.ts'
import { initialState } from './app-state.ts'
import { appStore, receive } from './store.ts'
import { hashToRoute } from '../lib/route.ts'
import { followAddress } from './address.ts'
import { navigate, uiStore, type ActionFailure, type ActionResult } from './ui-store.ts'

let api: Api | null = null
let token = ''
let live: LiveClient | null = null
let startTimer: ReturnType<typeof setTimeout> | undefined

/** How long to wait before asking again for the list of stores while the server does not answer. */
const STORES_RETRY_MS = 2000

/** Called once, by main.tsx. */
export function startSession(): void {
  const found = takeToken()
  followAddress(hashToRoute(location.hash), onAddressChanged)
  if (found === null) {
    appStore.setState({ access: 'no_token' })
    return
  }
  token = found
  api = createApi(token)
  void findStores(1)
}

async function findStores(attempt: number): Promise<void> {
  if (api === null) return
  try {
    const { stores } = await api.stores()
    appStore.setState({ access: 'granted', stores })
    const wanted =
      stores.find((store) => store.storeId === uiStore.getState().route.store) ?? stores[0]
    if (wanted !== undefined) openStore(wanted)
  } catch (error) {
    if (error instanceof ApiError && error.code === 'UNAUTHORIZED') {
      appStore.setState({ access: 'bad_token' })
      return
    }
    const retryAtMs = performance.now() + STORES_RETRY_MS
    const why = error instanceof ApiError ? error.message : 'the server does not answer'
    appStore.setState({ link: { phase: 'reconnecting', attempt, retryAtMs, why } })
    startTimer = setTimeout(() => void findStores(attempt + 1), STORES_RETRY_MS)
  }
}

/** The address was changed by hand, by a link or by the browser's buttons. */
function onAddressChanged(): void {
  const { stores, store } = appStore.getState()
  const wanted = uiStore.getState().route.store
  if (wanted === null || wanted === store?.storeId) return
  const found = stores.find((one) => one.storeId === wanted)
  if (found !== undefined) openStore(found)
}

/** The reader goes to another store: what was open and chosen belonged to the one before. */
export function switchStore(store: StoreInfo): void {
  navigate({
    store: store.storeId,
    drawer: null,
    chosen: [],
    tracePass: null,
    traceSegment: null,
    traceAt: null,
    time: null,
  })
  openStore(store)
}

/** Shows another store; everything known about the one before is dropped. */
export function openStore(store: StoreInfo): void {
  live?.stop()
  const { stores } = appStore.getState()
  appStore.setState({ ...initialState, access: 'granted', stores, store })
  uiStore.setState({ result: null, failure: null, plan: null })
  if (store.status === 'failed') {
    // A failed store has no stream; the screen shows its failure from the list.
    appStore.setState({ link: { phase: 'stopped' } })
    return
  }
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'
  live = new LiveClient({
    url: `${scheme}//${location.host}${pageBase()}${LIVE_PATH}`,
    token,
    storeId: store.storeId,
    onMessages: (messages) => receive(messages, performance.now()),
    onStatus: (link) => {
      if (link.phase === 'unauthorized') appStore.setState({ link, access: 'bad_token' })
      else appStore.setState({ link })
    },
    isTokenRefused,
  })
  live.start()
}

async function isTokenRefused(): Promise<boolean> {
  if (api === null) return false
  try {
    await api.stores()
    return false
  } catch (error) {
    return error instanceof ApiError && error.code === 'UNAUTHORIZED'
  }
}

/** Skips the wait before the next attempt to reconnect. */
export function retryNow(): void {
  if (appStore.getState().store === null) {
    clearTimeout(startTimer)
    void findStores(1)
    return
  }
  live?.retryNow()
}

/**
 * Runs an action and keeps what it said for the result panel. Answers null when it failed; the
 * failure is then in the ui store under its code.
 */
export async function act<N extends ActionName>(
  name: N,
  body: Actions[N]['body'],
): Promise<Actions[N]['answer'] | null> {
  const { store } = appStore.getState()
  if (api === null || store === null || uiStore.getState().busy !== null) return null
  const startedAtMs = performance.now()
  uiStore.setState({ busy: name, failure: null })
  try {
    const answer = await api.act(store.storeId, name, body)
    const elapsedMs = performance.now() - startedAtMs
    // The name and the answer come from the same N, which the union cannot express by itself.
    uiStore.setState({ result: { name, answer, elapsedMs } as ActionResult })
    return answer
  } catch (error) {
    uiStore.setState({ failure: failureOf(name, error), result: null })
    return null
  } finally {
    uiStore.setState({ busy: null })
  }
}

/** Asks what a plan with the store's own options would choose now, without showing it as a result. */
export async function askPlan(): Promise<void> {
  const { store, gauges } = appStore.getState()
  if (api === null || store === null) return
  try {
    const { plan } = await api.act(store.storeId, 'plan', {})
    uiStore.setState({ plan: { candidates: plan.candidates, atMs: gauges?.nowMs ?? 0 } })
  } catch (error) {
    uiStore.setState({ failure: failureOf('plan', error), result: null })
  }
}

function failureOf(name: ActionName, error: unknown): ActionFailure {
  return error instanceof ApiError
    ? { name, code: error.code, message: error.message }
    : { name, code: 'INTERNAL', message: String(error) }
}
