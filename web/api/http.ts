// REST client: one typed function per kind of request, and one error type that carries the
// contract's code. Views never call fetch themselves.
import {
  API_BASE,
  type ActionName,
  type Actions,
  type AppliedPlan,
  type AuditBody,
  type ErrorBody,
  type ErrorCode,
  type EventsBody,
  type FoldersBody,
  type HistoryBody,
  type HistoryEventsBody,
  type HistoryLatencyBody,
  type HistoryPassBody,
  type HistoryPassesBody,
  type HistoryStateBody,
  type MaintenancePreview,
  type Moment,
  type OpenStoreBody,
  type PlanBody,
  type PlanConfirmation,
  type PlanRequest,
  type SessionBody,
  type StoreBody,
  type StoresBody,
} from '../../server/protocol.ts'
import type { Span } from '../lib/time-span.ts'

/** UNREACHABLE: no answer at all, so the contract has no code for it. */
export type ApiErrorCode = ErrorCode | 'UNREACHABLE'

export class ApiError extends Error {
  readonly code: ApiErrorCode
  readonly details: unknown

  constructor(code: ApiErrorCode, message: string, details?: unknown) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.details = details
  }
}

export interface Api {
  /** Role, rules of actions and limits: what the controls are drawn from. */
  session(): Promise<SessionBody>
  stores(): Promise<StoresBody>
  act<N extends ActionName>(
    storeId: string,
    name: N,
    body: Actions[N]['body'],
  ): Promise<Actions[N]['answer']>
  /** A dry run that the server keeps. */
  plan(storeId: string, request: PlanRequest): Promise<PlanBody>
  /** Runs exactly that plan, or is refused because what it was made from has changed. */
  applyPlan(storeId: string, planId: string, confirm: PlanConfirmation): Promise<AppliedPlan>
  discardPlan(storeId: string, planId: string): Promise<void>
  openStore(body: OpenStoreBody): Promise<StoreBody>
  reopenStore(storeId: string): Promise<StoreBody>
  closeStore(storeId: string): Promise<void>
  /** Below an allowed root; the roots themselves without a folder. */
  folders(dir: string | null): Promise<FoldersBody>
  /** What each pass would do now. */
  preview(storeId: string): Promise<MaintenancePreview>
  audit(after: number, limit: number): Promise<AuditBody>
  /** What the folder's recording holds and what is missing. */
  history(storeId: string): Promise<HistoryBody>
  /** Newest first; `before` as the page before said. */
  historyPasses(
    storeId: string,
    query: { before: Moment | null; acted: boolean; limit: number },
  ): Promise<HistoryPassesBody>
  historyPass(storeId: string, openingId: number, passId: number): Promise<HistoryPassBody>
  /** `openingId` null: the newest. */
  historyEvents(
    storeId: string,
    from: { openingId: number | null; seq: number },
    limit: number,
  ): Promise<HistoryEventsBody>
  /** Of those that the server holds. */
  events(storeId: string, after: number, limit: number): Promise<EventsBody>
  historyState(storeId: string, moment: Moment): Promise<HistoryStateBody>
  /** From the first interval at or after event `seq` on. */
  historyLatency(storeId: string, span: Moment & Span): Promise<HistoryLatencyBody>
}

type Method = 'GET' | 'POST' | 'DELETE'

/** `base` is what stands before the API's paths: an origin, or the path that the page itself is below. */
export function createApi(token: string, base = pageBase()): Api {
  const request = async (method: Method, path: string, body?: unknown): Promise<unknown> => {
    let response: Response
    try {
      response = await fetch(`${base}${API_BASE}${path}`, {
        method,
        cache: 'no-store',
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (error) {
      throw new ApiError('UNREACHABLE', error instanceof Error ? error.message : String(error))
    }
    const text = await response.text()
    const answer = parse(text)
    if (response.ok) return answer
    if (isErrorBody(answer)) {
      throw new ApiError(answer.error.code, answer.error.message, answer.error.details)
    }
    // A proxy or a crashed server answers in words of its own.
    const code = response.status === 401 ? 'UNAUTHORIZED' : 'INTERNAL'
    throw new ApiError(code, `the server answered ${String(response.status)}`)
  }
  const get = (path: string) => request('GET', path)
  const post = (path: string, body: unknown) => request('POST', path, body)
  const store = (storeId: string) => `/stores/${encodeURIComponent(storeId)}`
  return {
    session: async () => (await get('/session')) as SessionBody,
    stores: async () => (await get('/stores')) as StoresBody,
    act: async <N extends ActionName>(storeId: string, name: N, body: Actions[N]['body']) =>
      (await post(`${store(storeId)}/actions/${name}`, body)) as Actions[N]['answer'],
    plan: async (storeId, body) => (await post(`${store(storeId)}/plans`, body)) as PlanBody,
    applyPlan: async (storeId, planId, confirm) =>
      (await post(`${store(storeId)}/plans/${planId}/apply`, { confirm })) as AppliedPlan,
    discardPlan: async (storeId, planId) => {
      await request('DELETE', `${store(storeId)}/plans/${planId}`)
    },
    openStore: async (body) => (await post('/stores', body)) as StoreBody,
    reopenStore: async (storeId) => (await post(`${store(storeId)}/reopen`, {})) as StoreBody,
    closeStore: async (storeId) => {
      await request('DELETE', store(storeId))
    },
    folders: async (dir) =>
      (await get(
        dir === null ? '/folders' : `/folders?dir=${encodeURIComponent(dir)}`,
      )) as FoldersBody,
    audit: async (after, limit) =>
      (await get(`/audit?after=${String(after)}&limit=${String(limit)}`)) as AuditBody,
    history: async (storeId) => (await get(`${store(storeId)}/history`)) as HistoryBody,
    historyPasses: async (storeId, { before, acted, limit }) => {
      const from =
        before === null ? '' : `&before=${String(before.openingId)},${String(before.seq)}`
      const query = `limit=${String(limit)}&acted=${String(acted)}${from}`
      return (await get(`${store(storeId)}/history/passes?${query}`)) as HistoryPassesBody
    },
    preview: async (storeId) => (await get(`${store(storeId)}/preview`)) as MaintenancePreview,
    historyPass: async (storeId, openingId, passId) =>
      (await get(
        `${store(storeId)}/history/passes/${String(passId)}?opening=${String(openingId)}`,
      )) as HistoryPassBody,
    historyEvents: async (storeId, { openingId, seq }, limit) =>
      (await get(
        `${store(storeId)}/history/events?${openingId === null ? '' : `opening=${String(openingId)}&`}from=${String(seq)}&limit=${String(limit)}`,
      )) as HistoryEventsBody,
    events: async (storeId, after, limit) =>
      (await get(
        `${store(storeId)}/events?after=${String(after)}&limit=${String(limit)}`,
      )) as EventsBody,
    historyLatency: async (storeId, { openingId, seq, fromMs, toMs }) =>
      (await get(
        `${store(storeId)}/history/latency?opening=${String(openingId)}&fromMs=${String(fromMs)}&toMs=${String(toMs)}&from=${String(seq)}`,
      )) as HistoryLatencyBody,
    historyState: async (storeId, { openingId, seq }) =>
      (await get(
        `${store(storeId)}/history/state?opening=${String(openingId)}&seq=${String(seq)}`,
      )) as HistoryStateBody,
  }
}

/** Without the last slash; empty at the root. */
export function pageBase(): string {
  return new URL('.', location.href).pathname.replace(/\/$/, '')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return null
  }
}

function isErrorBody(body: unknown): body is ErrorBody {
  if (typeof body !== 'object' || body === null || !('error' in body)) return false
  const { error } = body
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    typeof error.code === 'string' &&
    'message' in error &&
    typeof error.message === 'string'
  )
}
