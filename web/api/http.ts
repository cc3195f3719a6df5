// REST client: one typed function per kind of request, and one error type that carries the
// contract's code. Views never call fetch themselves.
import {
  API_BASE,
  type ActionName,
  type Actions,
  type AppliedPlan,
  type ErrorBody,
  type ErrorCode,
  type PlanBody,
  type StoresBody,
} from '../../server/protocol.ts'

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
  stores(): Promise<StoresBody>
  act<N extends ActionName>(
    storeId: string,
    name: N,
    body: Actions[N]['body'],
  ): Promise<Actions[N]['answer']>
}

/** `base` is what stands before the API's paths: an origin, or the path that the page itself is below. */
export function createApi(token: string, base = pageBase()): Api {
  const request = async (path: string, body?: unknown): Promise<unknown> => {
    let response: Response
    try {
      response = await fetch(`${base}${API_BASE}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
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
  return {
    stores: async () => (await request('/stores')) as StoresBody,
    act: async <N extends ActionName>(storeId: string, name: N, body: Actions[N]['body']) => {
      const store = `/stores/${encodeURIComponent(storeId)}`
      if (!mustBePlanned(name, body)) {
        return (await request(`${store}/actions/${name}`, body)) as Actions[N]['answer']
      }
      // The server takes these as plans only; the page has shown their dry run before.
      const planBody = name === 'gc' ? {} : body
      const made = await request(`${store}/plans`, { action: name, body: planBody })
      const { planId, confirm } = (made as PlanBody).plan
      const applied = await request(`${store}/plans/${planId}/apply`, { confirm })
      return (applied as AppliedPlan).answer as Actions[N]['answer']
    },
  }
}

/** Without the last slash; empty at the root. */
export function pageBase(): string {
  return new URL('.', location.href).pathname.replace(/\/$/, '')
}

function mustBePlanned(name: ActionName, body: object): boolean {
  return name === 'rewrite' || (name === 'gc' && 'dryRun' in body && body.dryRun === false)
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
