/** The description of answers: made from the wire types, true of real answers, and no part of serialising. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import * as prettier from 'prettier'
import Schema from 'typebox/schema'
import { expect, test } from 'vitest'
import { answerSchemas, schemaRef } from '../../server/answers.ts'
import type { App } from '../../server/app.ts'
import {
  API_BASE,
  LIVE_PATH,
  type ActionName,
  type Actions,
  type HistoryPassesBody,
  type StoreBody,
  type StoreSnapshot,
} from '../../server/protocol.ts'
import { schemasOf } from '../support/wire-schemas.ts'
import {
  SMALL_STEP_STORE,
  startServer,
  STORE,
  temporaryFolder,
  TOKEN,
  type TestServer,
  type TestServerOptions,
} from './test-server.ts'

const MADE = path.resolve(import.meta.dirname, '../../server/answer-schemas.ts')

const HEAD = `/**
 * Schemas of what the routes answer, by name and as JSON. Made from the types of \`answers.ts\` by
 * test/server/answers.test.ts, which fails while they differ; nothing here is written by hand.
 */
export const ANSWER_SCHEMAS: Readonly<Record<string, string>> = {
`

test('the schemas are what the wire types say', async () => {
  const schemas = schemasOf('server/answers.ts', 'Answers')
  const lines = Object.entries(schemas).map(
    ([name, schema]) => `${JSON.stringify(name)}: ${JSON.stringify(JSON.stringify(schema))},\n`,
  )
  const options = { ...(await prettier.resolveConfig(MADE)), parser: 'typescript' }
  const text = await prettier.format(`${HEAD}${lines.join('')}}\n`, options)
  if (process.env['RESTAGE_UPDATE'] === '1') fs.writeFileSync(MADE, text)
  // Out of date? `RESTAGE_UPDATE=1 npx vitest run --config test/vitest.config.ts --root . test/server/answers.test.ts`
  expect(fs.readFileSync(MADE, 'utf8')).toBe(text)
  expect(Object.keys(schemas).length).toBeGreaterThan(100)
})

/** A hundred requests one after another, on whatever machine. */
const WALK = { timeout: 120_000 }

interface Seen {
  route: string
  status: number
  type: string
  text: string
  /** What the handler returned, as JSON of that moment; undefined = it sent text or bytes. */
  json: string | undefined
}

/** The application with an ear at both ends of serialising. */
async function listeningServer(options: TestServerOptions): Promise<{
  server: TestServer
  seen: Seen[]
  routes: string[]
}> {
  const seen: Seen[] = []
  const routes: string[] = []
  const values = new WeakMap<object, string>()
  const onRoute = (method: string, url: string): void => {
    if (method !== 'HEAD' && !url.startsWith('/docs')) routes.push(`${method} ${url}`)
  }
  const prepare = (app: App): void => {
    app.addHook('preSerialization', (request, _reply, value, done) => {
      values.set(request, JSON.stringify(value))
      done(null, value)
    })
    app.addHook('onSend', (request, reply, payload, done) => {
      if (typeof payload === 'string' || Buffer.isBuffer(payload)) {
        seen.push({
          route: `${request.method} ${request.routeOptions.url ?? ''}`,
          status: reply.statusCode,
          type: String(reply.getHeader('content-type')),
          text: payload.toString(),
          json: values.get(request),
        })
      }
      done(null, payload)
    })
  }
  const server = await startServer({ ...options, prepare, deps: { ...options.deps, onRoute } })
  return { server, seen, routes }
}

/** Every route once with success, and most with a refusal; in an order in which each finds what it needs. */
async function askEverything(server: TestServer, root: string): Promise<void> {
  const store = `/stores/${STORE}`
  const run = <Name extends ActionName>(name: Name, body: Actions[Name]['body']) =>
    server.act(name, body)
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  await run('checkpoint', {})
  await run('plan', { filters: { minStaleRatio: 0.2, minAgeMs: 0 } })
  await run('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0 } })
  await run('advance-clock', { ms: 60_000 })
  await run('stage-confirm', {})
  await run('periodic-pass', {})
  await run('run-pass', { source: 'checkpoint_kick' })
  await run('step-phase', { source: 'periodic' })
  await run('stopped-pass', {})
  await run('resume-pass', {})
  await run('cancel-pass', {})
  await run('stopped-pass', {})
  await run('set-breakpoints', { breakpoints: ['before_gc'] })
  await run('set-breakpoints', { breakpoints: [] })
  await run('run-until', { until: { kind: 'passes' }, passesMax: 2, advanceMaxMs: 60_000 })
  await run('set-options', { options: { confirmDelayMs: 100 } })
  await run('gc', { dryRun: true })
  const { pinId } = await run('hold-snapshot', { label: 'a backup' })
  await server.put('k', 400, 'c')
  await run('checkpoint', {})
  await server.get(`${store}/state`)
  await run('release-snapshot', { pinId })
  const held = await run('hold-iterator', { label: 'a scan', from: '' })
  await run('release-pin', { pinId: held.pinId })
  await run('pause', { reason: 'why not' })
  await run('resume', {})
  await run('set-phase', { phase: 'restore' })
  await run('checkpoint', {})
  await run('set-phase', { phase: 'steady' })
  await run('set-pause-file', { reason: 'state sync' })
  await run('set-pause-file', { reason: null })
  await run('verify', {})
  await run('workload-start', { settings: { keys: 100, putsPerSecond: 100 } })
  await run('workload-stop', {})
  await run('mode', { mode: 'step' })
  for (const request of [
    { action: 'vacuum', body: {} },
    { action: 'gc', body: {} },
  ] as const) {
    await server.carryOut(request)
  }
  const segments = (await server.get<StoreSnapshot>(`${store}/state`)).body.state.segments
  const sealed = segments.find((one) => one.state === 'sealed' && one.bytesLive > 0)
  if (sealed === undefined) throw new Error('no segment is sealed')
  await server.carryOut({ action: 'rewrite', body: { segmentIds: [sealed.segmentId] } })
  const dropped = await server.plan({ action: 'gc', body: {} })
  await server.delete(`${store}/plans/${dropped.planId}`)
  // Refused without a plan, each with a code of its own.
  for (const [name, body] of [
    ['rewrite', { segmentIds: [sealed.segmentId] }],
    ['vacuum', {}],
    ['reread', {}],
    ['mode', { mode: 'sideways' }],
  ] as const) {
    await server.post(`${store}/actions/${name}`, body)
  }
  const reads = [
    'state',
    'events?limit=10000',
    'feed',
    'stats',
    'preview',
    'passes',
    'plans',
    'history',
  ]
  for (const read of reads) await server.get(`${store}/${read}`)
  await askHistory(server, `${store}/history`)
  await server.get(`${store}/keys/${Buffer.from('k000000').toString('hex')}`)
  await server.get(`${store}/keys/00`)
  for (const url of ['/session', '/audit', '/stores', '/folders', '/stores/none/state']) {
    await server.get(url)
  }
  await server.get(`/folders?dir=${encodeURIComponent(root)}`)
  const dir = path.join(root, 'other')
  const { body: made } = await server.post<StoreBody>('/stores', {
    dir,
    mode: 'hosted',
    create: true,
  })
  await server.delete(`/stores/${made.store.storeId}`)
  const { body: attached } = await server.post<StoreBody>('/stores', { dir, mode: 'attached' })
  await server.post(`/stores/${attached.store.storeId}/actions/reread`, {})
  await server.get(`/stores/${attached.store.storeId}/state`)
  await server.get(`/stores/${attached.store.storeId}/stats`)
  fs.rmSync(path.join(dir, 'maindb'), { recursive: true })
  await server.post(`/stores/${attached.store.storeId}/reopen`, {})
  await server.get('/stores')
  for (const url of ['/healthz', '/readyz', '/metrics', '/']) {
    const headers = { authorization: `Bearer ${TOKEN}` }
    await fetch(`${server.origin}${url}`, { headers })
  }
}

async function askHistory(server: TestServer, base: string): Promise<void> {
  const { body } = await server.get<HistoryPassesBody>(`${base}/passes?limit=3`)
  const [pass] = body.passes
  if (pass === undefined) throw new Error('no pass is recorded')
  await server.get(`${base}/passes/${pass.report.passId}`)
  await server.get(`${base}/passes/999999`)
  await server.get(`${base}/events?limit=10000`)
  await server.get(`${base}/latency?fromMs=0&toMs=8e15`)
  await server.get(`${base}/state?opening=${pass.openingId}&seq=${pass.seq}`)
  await server.get(`${base}/state?opening=1&seq=999999999`)
}

interface Description {
  paths: Record<string, Record<string, { responses: Record<string, Response> }>>
  components: { schemas: Record<string, object> }
}
interface Response {
  content?: Record<string, { schema: object }>
}

/** The schema that the description has for an answer; undefined where it has none. */
function describedAs({ paths }: Description, answer: Seen): object | undefined {
  const [method = '', url = ''] = answer.route.split(' ')
  const at = paths[url.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
  const responses = at?.responses ?? {}
  const found = responses[answer.status] ?? responses[`${String(answer.status)[0] ?? ''}XX`]
  const type = answer.type.split(';')[0] ?? ''
  return found?.content?.[type]?.schema
}

/** What is wrong: of a list of events, with the events that do not fit the schema of their own type. */
function blamed(
  value: unknown,
  check: ReturnType<typeof Schema.Compile>,
  components: object,
): unknown[] {
  const { events = [] } = value as { events?: { type: string }[] }
  for (const event of events) {
    const own = Schema.Compile({ $ref: schemaRef(`EngineEvent.${event.type}`), components })
    if (!own.Check(event)) return [event, own.Errors(event)[1].slice(0, 5)]
  }
  return [check.Errors(value)[1].slice(0, 5)]
}

test(
  'every route answers as its schema says, and exactly as it would without one',
  WALK,
  async () => {
    const root = temporaryFolder()
    const { server, seen, routes } = await listeningServer({
      dir: path.join(root, 'first'),
      allowRoots: [root],
      engine: { ...SMALL_STEP_STORE, pauseFile: path.join(root, 'maintenance.pause') },
    })
    await askEverything(server, root)
    const docs = await fetch(`${server.origin}/docs/json`)
    const description = (await docs.json()) as Description
    const { components } = description

    const checks = new Map<string, ReturnType<typeof Schema.Compile>>()
    let values = 0
    for (const answer of seen) {
      if (answer.route.endsWith('/docs/json')) continue
      // Bytes first: what the handler gave, in JSON, and nothing less.
      if (answer.json !== undefined) {
        values++
        expect(answer.text, answer.route).toBe(answer.json)
      }
      const schema = describedAs(description, answer)
      expect(schema, `${answer.route} ${answer.status} ${answer.type}`).toBeDefined()
      if (!answer.type.includes('json') || schema === undefined) continue
      const key = JSON.stringify(schema)
      const check = checks.get(key) ?? Schema.Compile({ ...schema, components })
      checks.set(key, check)
      const value: unknown = JSON.parse(answer.text)
      if (check.Check(value)) continue
      expect([answer.route, answer.status, ...blamed(value, check, components)]).toEqual([])
    }
    expect(values).toBeGreaterThan(60)
    const answered = new Set(seen.filter(({ status }) => status < 300).map(({ route }) => route))
    const unasked = routes.filter((route) => !answered.has(route))
    // An upgrade answers with a socket; two actions run as plans only; nothing is built to show at "/".
    expect(unasked.sort()).toEqual([
      'GET /',
      'GET /api/v1/live',
      `POST ${API_BASE}/stores/:storeId/actions/rewrite`,
      `POST ${API_BASE}/stores/:storeId/actions/vacuum`,
    ])
    // The description names the socket in words: OpenAPI has none for what follows an upgrade.
    for (const route of routes.filter((one) => one !== `GET ${LIVE_PATH}`)) {
      const [method = '', url = ''] = route.split(' ')
      const at = description.paths[url.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()]
      expect(Object.keys(at?.responses ?? {}).length, route).toBeGreaterThan(1)
    }
  },
)

test('a schema says what is wrong with an answer that differs by a field', () => {
  const components = { schemas: answerSchemas() }
  const check = Schema.Compile({ $ref: schemaRef('KeyBody'), components })
  expect(check.Check({ key: 'a', value: 'b' })).toBe(true)
  for (const wrong of [{ key: 'a' }, { key: 'a', value: 1 }, { key: 'a', value: 'b', more: 1 }]) {
    expect(check.Check(wrong)).toBe(false)
  }
  const event = Schema.Compile({ $ref: schemaRef('EngineEvent'), components })
  const base = { seq: 1, atMs: 2, passId: null }
  expect(
    event.Check({
      ...base,
      type: 'pin_released',
      pinId: 1,
      kind: 'snapshot',
      label: 'x',
      heldMs: 3,
    }),
  ).toBe(true)
  expect(event.Check({ ...base, type: 'pin_released', pinId: 1 })).toBe(false)
  expect(event.Check({ ...base, type: 'no_such_event' })).toBe(false)
})
