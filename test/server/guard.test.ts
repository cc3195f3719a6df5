import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildApp, type App, type AppConfig } from '../../server/app.ts'
import { HTTP_STATUS } from '../../server/plugins/errors.ts'
import { API_BASE, type ErrorBody } from '../../server/protocol.ts'

const TOKEN = 'token-of-the-guard-test'
const HOST = '127.0.0.1:4810'

const CONFIG: AppConfig = {
  host: '127.0.0.1',
  port: 4810,
  tokens: { operator: TOKEN, viewer: `${TOKEN}-viewer` },
  readOnly: false,
  allowRoots: [],
  allowedOrigins: ['https://proxy.example'],
  logLevel: 'silent',
  stores: [],
}
const DEPS = { workerUrl: new URL('file:///nowhere'), webRoot: '/nowhere', version: 'test' }

let app: App

beforeAll(async () => {
  app = await buildApp(CONFIG, DEPS)
})

afterAll(() => app.close())

/** undefined for an answer that is no refusal. */
function codeOf(answer: { json: () => unknown }): string | undefined {
  return (answer.json() as Partial<ErrorBody>).error?.code
}

describe('guard', () => {
  const bearer = { authorization: `Bearer ${TOKEN}` }

  test('an unknown address below /api is refused before it is not found', async () => {
    const url = `${API_BASE}/nothing`
    expect((await app.inject({ url, headers: { host: HOST } })).statusCode).toBe(401)
    const known = await app.inject({ url, headers: { host: HOST, ...bearer } })
    expect([known.statusCode, codeOf(known)]).toEqual([404, 'NOT_FOUND'])
  })

  test('a route that does not say who may use it is closed to everybody', async () => {
    const closed = await buildApp(CONFIG, DEPS)
    for (const url of ['/undeclared', `${API_BASE}/undeclared`])
      closed.get(url, () => ({ open: true }))
    const tokens = [undefined, `Bearer ${TOKEN}-viewer`, `Bearer ${TOKEN}`]
    for (const url of ['/undeclared', `${API_BASE}/undeclared`]) {
      const codes: (string | undefined)[] = []
      for (const authorization of tokens) {
        const headers = { host: HOST, ...(authorization === undefined ? {} : { authorization }) }
        codes.push(codeOf(await closed.inject({ url, headers })))
      }
      expect(codes).toEqual(['UNAUTHORIZED', 'FORBIDDEN_ROLE', 'FORBIDDEN_ROLE'])
    }
    await closed.close()
  })

  test('an encoded path does not slip past the token', async () => {
    const answer = await app.inject({ url: '/%61pi/v1/stores', headers: { host: HOST } })
    expect(answer.statusCode).toBe(401)
  })

  test.each(['127.0.0.1:4810', 'localhost:4810', 'LOCALHOST:4810', '[::1]:4810', 'proxy.example'])(
    'host %s is ours',
    async (host) => {
      const answer = await app.inject({ url: `${API_BASE}/stores`, headers: { host, ...bearer } })
      expect(answer.json()).toEqual({ stores: [] })
    },
  )

  test.each(['127.0.0.1', '127.0.0.1:4811', '127.0.0.1:4810.evil.example', 'xlocalhost:4810', ''])(
    'host "%s" is not ours',
    async (host) => {
      const answer = await app.inject({ url: '/healthz', headers: { host } })
      expect(codeOf(answer)).toBe('FORBIDDEN_HOST')
    },
  )

  test.each([
    ['http://127.0.0.1:4810', 200],
    ['http://localhost:4810', 200],
    ['https://proxy.example', 200],
    ['https://127.0.0.1:4810', 403],
    ['http://127.0.0.1:4811', 403],
    ['null', 403],
  ])('origin %s is answered with %i', async (origin, status) => {
    const headers = { host: HOST, origin, ...bearer }
    const answer = await app.inject({ url: `${API_BASE}/stores`, headers })
    expect(answer.statusCode).toBe(status)
    // Nothing invites another site to read answers.
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  test('health and the page need no token and carry the security headers', async () => {
    const health = await app.inject({ url: '/healthz', headers: { host: HOST } })
    expect([health.statusCode, health.json()]).toEqual([200, { status: 'ok' }])
    expect(health.headers['content-security-policy']).toContain("default-src 'none'")
    expect(health.headers['content-security-policy']).not.toContain('unsafe-eval')
    expect(health.headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(health.headers['x-content-type-options']).toBe('nosniff')
    expect(health.headers['referrer-policy']).toBe('no-referrer')
    expect(health.headers['set-cookie']).toBeUndefined()

    const page = await app.inject({ url: '/', headers: { host: HOST } })
    expect(page.statusCode).toBe(503)
    expect(page.body).toContain('npm run build:web')
  })
})

describe('errors', () => {
  const headers = { host: HOST, authorization: `Bearer ${TOKEN}` }

  test('an unknown store is not found', async () => {
    for (const url of [`${API_BASE}/stores/x/events`, `${API_BASE}/stores/x/passes`]) {
      expect(codeOf(await app.inject({ url, headers }))).toBe('NOT_FOUND')
    }
    const url = `${API_BASE}/stores/x/actions/pause`
    expect(codeOf(await app.inject({ method: 'POST', url, headers, payload: {} }))).toBe(
      'NOT_FOUND',
    )
  })

  test('a body that is not as the schema says names the place', async () => {
    const url = `${API_BASE}/stores/x/actions/gc`
    for (const payload of [{}, { dryRun: 'yes' }, { dryRun: true, more: 1 }]) {
      const answer = await app.inject({ method: 'POST', url, headers, payload })
      expect([answer.statusCode, codeOf(answer)]).toEqual([400, 'BAD_REQUEST'])
    }
    const keys = await app.inject({ url: `${API_BASE}/stores/x/keys/6g`, headers })
    expect(codeOf(keys)).toBe('BAD_REQUEST')
  })

  test('a refused body names its field, the bound, and the values there are', async () => {
    const refused = async (name: string, payload: object) => {
      const url = `${API_BASE}/stores/x/actions/${name}`
      const answer = await app.inject({ method: 'POST', url, headers, payload })
      return answer.json<{ error: { message: string } }>().error.message
    }
    expect(await refused('workload-start', { settings: { putsPerSecond: 0 } })).toBe(
      'the body is not valid: /settings/putsPerSecond must be >= 1',
    )
    expect(await refused('run-pass', { source: 'nightly' })).toBe(
      'the body is not valid: /source must be one of periodic, checkpoint_kick, checkpoint_pending, rewrite_stage_confirm, rewrite_stage_confirm_exit, rewrite_age_blocked, rewrite_age_blocked_exit, rewrite_queue_pending',
    )
    expect(await refused('gc', { dryRun: true, more: 1 })).toBe(
      'the body is not valid: /more is not known here',
    )
  })

  test('a body past the limit is too large', async () => {
    const url = `${API_BASE}/stores/x/actions/hold-snapshot`
    const payload = { label: 'x'.repeat(1024 * 1024) }
    expect(codeOf(await app.inject({ method: 'POST', url, headers, payload }))).toBe('TOO_LARGE')
  })

  test('every code has a status of the 4xx or 5xx range', () => {
    for (const status of Object.values(HTTP_STATUS)) {
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(600)
    }
  })
})
