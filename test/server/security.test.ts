/** The walk: every route with every method by everybody, and every socket message by every role. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import * as prettier from 'prettier'
import { WebSocket } from 'ws'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ACTION_RULES } from '../../server/action-rules.ts'
import { buildApp, type App } from '../../server/app.ts'
import { SOCKET_LIMITS } from '../../server/live/connection.ts'
import { HTTP_STATUS } from '../../server/plugins/errors.ts'
import {
  API_BASE,
  CLOSE_CODES,
  LIVE_PATH,
  LIVE_PROTOCOL,
  LIVE_TOKEN_PREFIX,
  type AuditBody,
  type ClientMessage,
  type ErrorCode,
  type ServerMessage,
  type SessionBody,
} from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'
import {
  CALLERS,
  headersOf,
  HOST,
  tableOf,
  upgradeVerdictOf,
  verdictOf,
  type Caller,
  type Route,
  type Verdict,
} from './surface.ts'
import { startServer, STORE, temporaryFolder, TOKEN, VIEWER_TOKEN } from './test-server.ts'

const README = path.resolve(import.meta.dirname, '../../server/README.md')
const TOKENS = { operator: TOKEN, viewer: VIEWER_TOKEN }
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

async function walkedApp(readOnly: boolean): Promise<{ app: App; routes: Route[] }> {
  const routes: Route[] = []
  const app = await buildApp(
    {
      host: '127.0.0.1',
      port: 4810,
      tokens: TOKENS,
      readOnly,
      allowRoots: [],
      allowedOrigins: [],
      logLevel: 'silent',
      stores: [],
    },
    {
      workerUrl: new URL('file:///nowhere'),
      webRoot: '/nowhere',
      version: 'test',
      requestsPerMinute: 1_000_000,
      onRoute: (method, url) => void routes.push({ method, url }),
    },
  )
  await app.ready()
  return { app, routes }
}

let open: { app: App; routes: Route[] }
let closed: { app: App; routes: Route[] }

beforeAll(async () => {
  open = await walkedApp(false)
  closed = await walkedApp(true)
})

afterAll(async () => {
  await open.app.close()
  await closed.app.close()
})

const isPublic = (url: string): boolean =>
  ['/', '/*', '/healthz', '/readyz'].includes(url) || url.startsWith('/docs')

/** What must come out, from the rules alone. */
function expected(route: Route, caller: Caller, readOnly: boolean): Verdict {
  if (caller.host === 'foreign') return 'FORBIDDEN_HOST'
  if (caller.origin === 'foreign') return 'FORBIDDEN_ORIGIN'
  if (isPublic(route.url)) return 'ok'
  // Its token is a subprotocol of an upgrade, which no HEAD is.
  if (route.url === LIVE_PATH && route.method === 'HEAD') return 'UNAUTHORIZED'
  if (caller.token === 'none' || caller.token === 'wrong') return 'UNAUTHORIZED'
  const { needs, changes } = rightsOf(route)
  if (needs === 'operator' && caller.token === 'viewer') return 'FORBIDDEN_ROLE'
  if (changes && readOnly) return 'READ_ONLY'
  return 'ok'
}

function rightsOf({ method, url }: Route): { needs: 'viewer' | 'operator'; changes: boolean } {
  const action = /\/actions\/([a-z-]+)$/.exec(url)?.[1]
  if (action !== undefined) {
    const { role, changes } = ACTION_RULES[action as keyof typeof ACTION_RULES]
    return { needs: role, changes }
  }
  if (url === `${API_BASE}/folders`) return { needs: 'operator', changes: false }
  if (method === 'GET' || method === 'HEAD') return { needs: 'viewer', changes: false }
  const opens = url === `${API_BASE}/stores` || url.endsWith('/:storeId') || url.endsWith('/reopen')
  return { needs: 'operator', changes: !opens }
}

async function walk(
  { app, routes }: { app: App; routes: Route[] },
  readOnly: boolean,
): Promise<Map<string, Verdict[]>> {
  const rows = new Map<string, Verdict[]>()
  for (const route of routes) {
    const verdicts: Verdict[] = []
    for (const caller of CALLERS) {
      const headers = headersOf(caller, TOKENS)
      const isUpgrade = route.url === LIVE_PATH && route.method === 'GET'
      const verdict = isUpgrade
        ? await upgradeVerdictOf(app, headers)
        : await verdictOf(app, route, headers)
      const name = `${route.method} ${route.url}`
      const wanted = expected(route, caller, readOnly)
      // A HEAD answer has no body to tell its code; its status is the code's, or of an answer past the guard.
      const seen = route.method === 'HEAD' ? headVerdict(verdict, wanted) : verdict
      expect([name, caller.name, seen]).toEqual([name, caller.name, wanted])
      verdicts.push(wanted)
    }
    rows.set(`${route.method} ${route.url}`, verdicts)
  }
  return rows
}

function headVerdict(verdict: Verdict, wanted: Verdict): Verdict {
  if (wanted === 'ok') return ['ok', '400', '404', '503'].includes(verdict) ? 'ok' : verdict
  return verdict === String(HTTP_STATUS[wanted as ErrorCode]) ? wanted : verdict
}

describe('the walk over all routes', () => {
  test('finds every route, and each of them declares who may use it', () => {
    expect(open.routes.length).toBeGreaterThan(60)
    expect(closed.routes).toEqual(open.routes)
    const urls = open.routes.map((route) => route.url)
    for (const name of Object.keys(ACTION_RULES)) {
      expect(urls).toContain(`${API_BASE}/stores/:storeId/actions/${name}`)
    }
  })

  test('everybody gets what the rules say, with and without --read-only; the README has the table', async () => {
    const rows = await walk(open, false)
    const readOnlyRows = await walk(closed, true)
    const shown = new Map<string, Verdict[]>()
    for (const [name, verdicts] of rows) {
      if (name.startsWith('HEAD ') || name.includes('/docs/')) continue
      const operatorReadOnly = readOnlyRows.get(name)?.[4] ?? ''
      shown.set(`\`${name}\``, [...verdicts, operatorReadOnly])
    }
    const columns = [...CALLERS.map((caller) => caller.name), 'operator, --read-only']
    await expectInReadme('routes', tableOf(shown, columns))
  })

  test('a method that no route has is not found, and only for those with a token', async () => {
    const known = new Set(open.routes.map(({ method, url }) => `${method} ${url}`))
    const urls = new Set(open.routes.map((route) => route.url))
    for (const url of urls) {
      if (isPublic(url) || url === LIVE_PATH) continue
      for (const method of METHODS) {
        if (known.has(`${method} ${url}`)) continue
        const address = url
          .replace(':storeId', 'x')
          .replace(':keyHex', '61')
          .replace(':planId', 'p')
          .replace(':passId', '1')
        const bare = await open.app.inject({
          method: method as 'GET',
          url: address,
          headers: { host: HOST },
        })
        expect([method, url, bare.statusCode]).toEqual([method, url, 401])
        const headers = { host: HOST, authorization: `Bearer ${TOKEN}` }
        const answer = await open.app.inject({ method: method as 'GET', url: address, headers })
        expect([method, url, answer.statusCode]).toEqual([method, url, 404])
      }
    }
  })

  test('no answer to anybody has a cookie, a CORS permission or an eval in its policy', async () => {
    for (const route of open.routes) {
      for (const caller of CALLERS) {
        const url = route.url.replace(/:\w+/g, 'x').replace('*', 'x')
        const { headers } = await open.app.inject({
          method: route.method as 'GET',
          url,
          headers: headersOf(caller, TOKENS),
        })
        expect(headers['set-cookie']).toBeUndefined()
        expect(headers['access-control-allow-origin']).toBeUndefined()
        expect(String(headers['content-security-policy'])).toContain("default-src 'none'")
        expect(String(headers['content-security-policy'])).not.toContain('unsafe-eval')
      }
    }
  })

  test('refusals name the seen Host and Origin and what to set', async () => {
    const foreign = headersOf(
      { name: '', token: 'operator', origin: 'foreign', host: 'own' },
      TOKENS,
    )
    const answer = await open.app.inject({ url: `${API_BASE}/stores`, headers: foreign })
    expect(answer.json()).toMatchObject({
      error: {
        code: 'FORBIDDEN_ORIGIN',
        message:
          'Origin "http://evil.example" is not allowed; to serve it, start with --allow-origin http://evil.example',
        details: { host: HOST, origin: 'http://evil.example' },
      },
    })
  })

  test('the session tells each role what it may do', async () => {
    const of = async (token: string): Promise<SessionBody> => {
      const headers = { host: HOST, authorization: `Bearer ${token}` }
      return (await closed.app.inject({ url: `${API_BASE}/session`, headers })).json()
    }
    expect(await of(VIEWER_TOKEN)).toMatchObject({ role: 'viewer', readOnly: true })
    expect(await of(TOKEN)).toMatchObject({ role: 'operator', actions: ACTION_RULES })
  })
})

const MESSAGES: Record<ClientMessage['type'], ClientMessage> = {
  hello: { type: 'hello', storeId: STORE, streamId: null, seq: 0, topics: ['queue'] },
  subscribe: { type: 'subscribe', topics: ['trace'] },
  ping: { type: 'ping', id: 1 },
}

describe('the walk over all socket messages', () => {
  test('a viewer and an operator get the same, before and after hello; the README has the table', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const rows = new Map<string, Verdict[]>()
    for (const message of Object.values(MESSAGES)) {
      const verdicts: Verdict[] = []
      for (const token of [VIEWER_TOKEN, TOKEN]) {
        for (const helloFirst of [false, true]) {
          const client = new LiveClient(server.origin, token)
          await client.opened()
          if (helloFirst) {
            client.send(MESSAGES.hello)
            await client.find('snapshot')
          }
          const before = client.messages.length
          client.send(message)
          const answer = await client.next(before)
          verdicts.push(verdictOfMessage(answer))
          await client.cut()
        }
      }
      rows.set(`\`${message.type}\``, verdicts)
    }
    const columns = [
      'viewer, first',
      'viewer, after hello',
      'operator, first',
      'operator, after hello',
    ]
    await expectInReadme('messages', tableOf(rows, columns))
    expect([...rows.values()].flat().filter((verdict) => verdict === 'BAD_REQUEST')).toHaveLength(2)
  })

  test('no token of a REST call, no cookie and no query opens a socket', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const url = `${server.origin.replace('http', 'ws')}${LIVE_PATH}`
    const attempts: [string, string[], Record<string, string>][] = [
      [url, [LIVE_PROTOCOL], { authorization: `Bearer ${TOKEN}` }],
      [`${url}?token=${TOKEN}`, [LIVE_PROTOCOL], {}],
      [url, [LIVE_PROTOCOL], { cookie: `token=${TOKEN}` }],
      [url, [`${LIVE_TOKEN_PREFIX}${TOKEN}`], {}],
    ]
    for (const [address, protocols, headers] of attempts) {
      const status = await new Promise<number>((resolve) => {
        const socket = new WebSocket(address, protocols, { headers })
        socket.on('error', () => undefined)
        socket.on('open', () => resolve(101))
        socket.on('unexpected-response', (request, response) => {
          resolve(response.statusCode ?? 0)
          request.destroy()
        })
      })
      expect(status).toBe(401)
    }
  })

  test('a flood of messages is cut off, and listed once', async () => {
    const socketLimits = { ...SOCKET_LIMITS, messagesBurst: 5, messageEveryMs: 60_000 }
    const server = await startServer({ dir: temporaryFolder(), deps: { socketLimits } })
    const client = await server.live().hello(STORE)
    await client.find('snapshot')
    for (let id = 0; id < 20; id++) client.send({ type: 'ping', id })
    const ended = await client
      .find('pong', ({ id }) => id === 19)
      .then(
        () => 'all were answered',
        () => client.closed.then(({ code }) => code),
      )
    expect(ended).toBe(CLOSE_CODES.RATE_LIMITED)
    expect(client.messages.filter((message) => message.type === 'pong')).toHaveLength(4)
    const { body } = await server.get<AuditBody>('/audit')
    expect(body.entries.filter((entry) => entry.channel === 'live')).toMatchObject([
      { code: 'RATE_LIMITED', outcome: 'refused', role: 'operator' },
    ])
  })

  test('too many sockets are refused with a reason', async () => {
    const socketLimits = { ...SOCKET_LIMITS, socketsMax: 1 }
    const server = await startServer({ dir: temporaryFolder(), deps: { socketLimits } })
    const first = await server.live().hello(STORE)
    await first.find('snapshot')
    const second = server.live()
    expect(await second.closed).toEqual({
      code: CLOSE_CODES.RATE_LIMITED,
      reason: '1 sockets are open already',
    })
    const { body } = await server.get<AuditBody>('/audit')
    expect(body.entries).toMatchObject([
      {
        channel: 'live',
        what: 'upgrade',
        code: 'RATE_LIMITED',
        text: '1 sockets are open already',
      },
    ])
  })
})

describe('requests', () => {
  test('are limited a minute, with a text that says for how long', async () => {
    const server = await startServer({ dir: temporaryFolder(), deps: { requestsPerMinute: 3 } })
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await server.get('/stores')).status)
    expect(statuses).toEqual([200, 200, 200, 429])
    const { body } = await server.get('/stores')
    expect(body.error.code).toBe('RATE_LIMITED')
    expect(body.error.message).toContain('try again in')
  })

  test('that act or are refused are in the audit, with who, what and why', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await server.act('pause', {})
    await server.post(`/stores/${STORE}/actions/pause`, {}, VIEWER_TOKEN)
    await server.post(`/stores/${STORE}/actions/pause`, {}, VIEWER_TOKEN)
    await server.post(`/stores/${STORE}/actions/rewrite`, { segmentIds: [1] })
    const { body } = await server.get<AuditBody>('/audit')
    const what = `POST ${API_BASE}/stores/:storeId/actions/pause`
    expect(body.entries).toMatchObject([
      { auditId: 1, role: 'operator', what, outcome: 'done', code: null, storeId: STORE },
      { auditId: 2, role: 'viewer', what, outcome: 'refused', code: 'FORBIDDEN_ROLE', repeats: 2 },
      {
        auditId: 3,
        role: 'operator',
        outcome: 'refused',
        code: 'PLAN_REQUIRED',
        text: expect.stringContaining('plan') as unknown,
      },
    ])
    expect(JSON.stringify(body)).not.toContain(TOKEN)
  })
})

describe('the audit', () => {
  test('has a refused upgrade, with the Origin that was seen and what to set', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const headers = { origin: 'http://evil.example' }
    const client = new LiveClient(server.origin, TOKEN, { headers })
    await client.closed
    const { body } = await server.get<AuditBody>('/audit')
    expect(body.entries).toMatchObject([
      {
        what: `GET ${LIVE_PATH}`,
        outcome: 'refused',
        code: 'FORBIDDEN_ORIGIN',
        text: 'Origin "http://evil.example" is not allowed; to serve it, start with --allow-origin http://evil.example',
      },
    ])
  })

  test('keeps what was done through a flood of refusals of several kinds', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await server.act('pause', {})
    const routes = ['/stores', '/audit', '/session', `/stores/${STORE}/passes`]
    for (let i = 0; i < 300; i++) {
      const url = `${server.origin}${API_BASE}${routes[i % routes.length] ?? ''}`
      await (await fetch(url)).arrayBuffer()
    }
    const { body } = await server.get<AuditBody>('/audit')
    expect(body.entries.map(({ outcome, repeats }) => [outcome, repeats])).toEqual([
      ['done', 1],
      ...routes.map(() => ['refused', 75]),
    ])
  })
})

function verdictOfMessage(message: ServerMessage): Verdict {
  return message.type === 'error' ? message.code : message.type
}

/** The block between the markers; RESTAGE_UPDATE=1 writes it. */
async function expectInReadme(block: string, table: string): Promise<void> {
  const text = fs.readFileSync(README, 'utf8')
  const [begin, end] = [`<!-- ${block}: made by test -->`, `<!-- ${block}: end -->`]
  const from = text.indexOf(begin) + begin.length
  const to = text.indexOf(end)
  expect(to).toBeGreaterThan(from)
  const options = { ...(await prettier.resolveConfig(README)), parser: 'markdown' }
  const formatted = (await prettier.format(table, options)).trim()
  if (process.env['RESTAGE_UPDATE'] === '1') {
    fs.writeFileSync(README, `${text.slice(0, from)}\n\n${formatted}\n\n${text.slice(to)}`)
    return
  }
  // Out of date? `RESTAGE_UPDATE=1 npx vitest run --config test/vitest.config.ts --root . test/server/security.test.ts`
  expect(text.slice(from, to).trim()).toBe(formatted)
}
