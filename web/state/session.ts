// Wires the page together: token, list of stores, live feed, actions. The only module that knows
// both the network and the stores.
import {
  LIVE_PATH,
  type ActionName,
  type Actions,
  type AuditEntry,
  type FoldersBody,
  type OpenStoreBody,
  type PlanRequest,
  type StoredPlan,
  type StoreInfo,
} from '../../server/protocol.ts'
import { ApiError, createApi, pageBase, type Api } from '../api/http.ts'
import { LiveClient } from '../api/live.ts'
import { takeToken } from '../api/token.ts'
import { initialState, type AbsentStore } from './app-state.ts'
import { appStore, receive } from './store.ts'
import { watchInputs } from '../lib/frames.ts'
import { hashToRoute } from '../lib/route.ts'
import { followAddress } from './address.ts'
import {
  movesStoppedPass,
  navigate,
  uiStore,
  type ActionFailure,
  type ActionResult,
  type Deed,
} from './ui-store.ts'

let api: Api | null = null
let token = ''
let live: LiveClient | null = null
let startTimer: ReturnType<typeof setTimeout> | undefined

/** How long to wait before asking again for the list of stores while the server does not answer. */
const STORES_RETRY_MS = 2000

/** Called once, by main.tsx. */
export function startSession(): void {
  const found = takeToken()
  watchInputs()
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
    const [{ stores }, session] = await Promise.all([api.stores(), api.session()])
    appStore.setState({ access: 'granted', stores })
    uiStore.setState({ session })
    showWanted()
  } catch (error) {
    if (isUnauthorized(error)) {
      appStore.setState({ access: 'bad_token' })
      return
    }
    const retryAtMs = performance.now() + STORES_RETRY_MS
    const why = error instanceof ApiError ? error.message : 'the server does not answer'
    appStore.setState({ link: { phase: 'reconnecting', attempt, retryAtMs, why } })
    startTimer = setTimeout(() => void findStores(attempt + 1), STORES_RETRY_MS)
  }
}

function isUnauthorized(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'UNAUTHORIZED'
}

/** Shows the store that the address names, the first when it names none, or says why there is none. */
function showWanted(): void {
  const { stores } = appStore.getState()
  const wanted = uiStore.getState().route.store
  const found = wanted === null ? stores[0] : stores.find((store) => store.storeId === wanted)
  if (found !== undefined) openStore(found)
  else if (wanted === null) showAbsent({ storeId: null, name: '', why: 'none' })
  else showAbsent({ storeId: wanted, name: wanted, why: 'not_open' })
}

/** Numbers of another store, or of one that is not there any more, must not stand under its name. */
function showAbsent(absent: AbsentStore): void {
  live?.stop()
  live = null
  const { stores } = appStore.getState()
  appStore.setState({
    ...initialState,
    access: 'granted',
    stores,
    absent,
    link: { phase: 'closed' },
  })
  uiStore.setState({ result: null, failure: null, plan: null, stored: null })
}

/** Asks again for the store that is not open: it may have been opened since. */
export async function lookAgain(): Promise<void> {
  try {
    await refreshStores()
  } catch (error) {
    // A server that was started again may have another token.
    if (isUnauthorized(error)) appStore.setState({ access: 'bad_token' })
    return
  }
  const { absent, stores } = appStore.getState()
  if (absent === null) return
  const found =
    absent.storeId === null ? stores[0] : stores.find((one) => one.storeId === absent.storeId)
  if (found !== undefined) openStore(found)
}

/** The address was changed by hand, by a link or by the browser's buttons. */
function onAddressChanged(): void {
  const { store, absent } = appStore.getState()
  const wanted = uiStore.getState().route.store
  if (wanted === (store?.storeId ?? absent?.storeId ?? null)) return
  // Without a name the one that is shown stays.
  if (wanted === null && store !== null) return
  // The list may have changed while nothing was followed.
  void refreshStores()
    .catch(() => undefined)
    .then(() => {
      if (uiStore.getState().route.store === wanted) showWanted()
    })
}

/** The reader goes to another store: what was open and chosen belonged to the one before. */
export function switchStore(store: StoreInfo): void {
  navigate({
    store: store.storeId,
    drawer: null,
    chosen: [],
    mapAt: null,
    tracePass: null,
    traceOpening: null,
    traceSegment: null,
    traceAt: null,
    moment: null,
    time: null,
  })
  openStore(store)
}

/** Shows another store; everything known about the one before is dropped. */
export function openStore(store: StoreInfo): void {
  live?.stop()
  const { stores } = appStore.getState()
  appStore.setState({ ...initialState, access: 'granted', stores, store })
  uiStore.setState({ result: null, failure: null, plan: null, stored: null })
  if (store.status === 'failed') {
    // A failed store has no stream; the screen shows its failure from the list.
    appStore.setState({ link: { phase: 'stopped' } })
    return
  }
  const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:'
  const client = new LiveClient({
    url: `${scheme}//${location.host}${pageBase()}${LIVE_PATH}`,
    token,
    storeId: store.storeId,
    onMessages: (messages) => {
      if (client === live) receive(messages, performance.now())
    },
    onStatus: (link) => {
      if (client !== live) return
      if (link.phase === 'closed') {
        showAbsent({ storeId: store.storeId, name: store.name, why: 'closed' })
        void refreshStores().catch(() => undefined)
        return
      }
      if (link.phase === 'unauthorized') appStore.setState({ link, access: 'bad_token' })
      else appStore.setState({ link })
    },
    isTokenRefused,
  })
  live = client
  client.start()
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
 * One thing at a time, its failure kept under its code; null when it failed or another one runs. Who
 * started a pass waits until it ends, so what moves a pass that stands still goes beside that.
 */
async function doing<T>(name: Deed, deed: (api: Api, storeId: string) => Promise<T>) {
  const { store } = appStore.getState()
  const { busy } = uiStore.getState()
  if (api === null || (busy !== null && !movesStoppedPass(name))) return null
  uiStore.setState({ busy: busy ?? name, failure: null })
  try {
    return await deed(api, store?.storeId ?? '')
  } catch (error) {
    uiStore.setState({ failure: failureOf(name, error), result: null })
    return null
  } finally {
    if (busy === null) uiStore.setState({ busy: null })
  }
}

function showResult(name: ActionName, answer: unknown, startedAtMs: number): void {
  // The name and the answer come from the same action, which the union cannot express by itself.
  uiStore.setState({
    result: { name, answer, elapsedMs: performance.now() - startedAtMs } as ActionResult,
  })
}

/**
 * Runs an action and keeps what it said for the result panel. Answers null when it failed; the
 * failure is then in the ui store under its code.
 */
export async function act<N extends ActionName>(
  name: N,
  body: Actions[N]['body'],
): Promise<Actions[N]['answer'] | null> {
  const startedAtMs = performance.now()
  const answer = await doing(name, (server, storeId) => server.act(storeId, name, body))
  if (answer !== null) showResult(name, answer, startedAtMs)
  return answer
}

/** The first of two steps: a dry run that the server keeps, shown until it is applied or let go. */
export async function makePlan(request: PlanRequest): Promise<void> {
  const made = await doing(request.action, (server, storeId) => server.plan(storeId, request))
  if (made !== null) uiStore.setState({ stored: made.plan })
}

/** The second step: runs exactly the plan that was shown. */
export async function applyPlan(plan: StoredPlan): Promise<void> {
  const startedAtMs = performance.now()
  uiStore.setState({ stored: null })
  const applied = await doing(plan.request.action, (server) =>
    server.applyPlan(plan.storeId, plan.planId, plan.confirm),
  )
  if (applied !== null) showResult(applied.action, applied.answer, startedAtMs)
}

/** Lets a plan go; the server would forget it by itself when it expires. */
export async function dropPlan(plan: StoredPlan): Promise<void> {
  uiStore.setState({ stored: null })
  await api?.discardPlan(plan.storeId, plan.planId).catch(() => undefined)
}

/** A question to the server about the store that is shown; rejects with an ApiError. */
export function ask<T>(question: (api: Api, storeId: string) => Promise<T>): Promise<T> {
  const { store } = appStore.getState()
  if (api === null || store === null) {
    return Promise.reject(new ApiError('UNREACHABLE', 'no store is shown'))
  }
  return question(api, store.storeId)
}

// ---------------------------------------------------------------- stores

export async function openFolder(body: OpenStoreBody): Promise<StoreInfo | null> {
  const opened = await doing('open-store', (server) => server.openStore(body))
  if (opened === null) return null
  await refreshStores()
  return opened.store
}

export async function closeStore(storeId: string): Promise<void> {
  const done = await doing('close-store', (server) => server.closeStore(storeId).then(() => true))
  if (done === null) return
  await refreshStores()
  // The feed may have told the end first, so that no store is shown any more.
  const { store, absent, stores } = appStore.getState()
  if ((store ?? absent)?.storeId !== storeId) return
  const next = stores[0]
  if (next === undefined) showAbsent({ storeId: null, name: '', why: 'none' })
  else switchStore(next)
}

export async function reopenStore(storeId: string): Promise<void> {
  const done = await doing('reopen-store', (server) => server.reopenStore(storeId))
  if (done === null) return
  await refreshStores()
  if (appStore.getState().store?.storeId === storeId) openStore(done.store)
}

/** The list is told by the feed; while none is followed it has to be asked for. */
export async function refreshStores(): Promise<void> {
  if (api === null) return
  const { stores } = await api.stores()
  appStore.setState({ stores })
}

/** Folders below an allowed root, or why they cannot be listed. */
export async function listFolders(dir: string | null): Promise<FoldersBody | string> {
  if (api === null) return 'not connected'
  try {
    return await api.folders(dir)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The newest entries of the audit list, newest first; null when the server did not answer. */
export async function readAudit(): Promise<AuditEntry[] | null> {
  if (api === null) return null
  try {
    const { entries } = await api.audit(0, 1000)
    return entries.reverse()
  } catch {
    return null
  }
}

// ---------------------------------------------------------------- plans without consequences

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

function failureOf(name: Deed, error: unknown): ActionFailure {
  return error instanceof ApiError
    ? { name, code: error.code, message: error.message, details: error.details }
    : { name, code: 'INTERNAL', message: String(error) }
}
