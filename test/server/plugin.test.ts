/** Restage inside of a program that has a Fastify server, routes and an engine of its own. */
import * as path from 'node:path'
import { setImmediate as yieldNow } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Engine, nodeFileSystem, openEngine, StepClock } from '../../server/engine-door.ts'
import { restage, type RestageOptions } from '../../server/plugin.ts'
import {
  API_BASE,
  CLOSE_CODES,
  LIVE_PATH,
  type ErrorBody,
  type StoresBody,
} from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'
import { SMALL_STEP_STORE, temporaryFolder, WORKER_URL } from './test-server.ts'

async function openedEngine(): Promise<{ engine: Engine; clock: StepClock }> {
  const clock = new StepClock({
    wall: Date.now,
    monotonic: () => performance.now(),
    arm: null,
  })
  clock.freeze()
  const engine = await openEngine(temporaryFolder(), SMALL_STEP_STORE, {
    clock,
    fileSystem: nodeFileSystem,
    yieldNow,
  })
  onTestFinished(() => engine.close())
  return { engine, clock }
}

async function program(
  options: RestageOptions,
  before: (app: FastifyInstance) => Promise<void> = () => Promise.resolve(),
  server: FastifyServerOptions = {},
): Promise<{ app: FastifyInstance; origin: string }> {
  const app = fastify(server)
  await before(app)
  app.get('/hello', () => ({ hello: 'world' }))
  await app.register(restage, {
    ...options,
    deps: { workerUrl: WORKER_URL, webRoot: '/nowhere' },
  })
  onTestFinished(() => app.close())
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, origin }
}

function put(engine: Engine, count: number, fill: string): Promise<void> {
  return engine.batch(
    Array.from({ length: count }, (_, i) => ({
      op: 'put' as const,
      key: Buffer.from(`k${i}`),
      value: Buffer.alloc(1024, fill),
    })),
  )
}

describe('the plugin', () => {
  test('leaves the routes of the program alone and guards its own', async () => {
    const { engine, clock } = await openedEngine()
    const { origin } = await program({ engine, clock, prefix: '/restage' })
    const hello = await fetch(`${origin}/hello`, { headers: { origin: 'http://anywhere.example' } })
    expect([hello.status, await hello.json()]).toEqual([200, { hello: 'world' }])
    expect(hello.headers.get('content-security-policy')).toBeNull()
    expect((await fetch(`${origin}/absent`)).status).toBe(404)
    expect((await fetch(`${origin}/restage${API_BASE}/stores`)).status).toBe(401)
    expect((await fetch(`${origin}${API_BASE}/stores`)).status).toBe(404)
    expect((await fetch(`${origin}/restage/healthz`)).status).toBe(200)
  })

  test('follows the engine live and acts on it', async () => {
    const { engine, clock } = await openedEngine()
    await put(engine, 100, 'a')
    const stores: RestageOptions['stores'] = [{ storeId: 'mine', engine, clock }]
    const { app, origin } = await program({ stores, prefix: '/restage' })
    const token = app.restage?.tokens.operator ?? ''
    expect(app.restage?.pagePath('operator')).toBe(`/restage/#token=${token}`)
    const client = await new LiveClient(origin, token, {}, `/restage${LIVE_PATH}`).hello('mine')
    const snapshot = await client.find('snapshot')
    expect(snapshot.store).toMatchObject({ mode: 'hosted', closable: false })
    await engine.checkpoint()
    const done = await client.event((event) => event.type === 'checkpoint_done')
    expect(done.seq).toBeGreaterThan(snapshot.seq)

    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const base = `${origin}/restage${API_BASE}/stores/mine`
    const act = async (name: string, body: object): Promise<Response> =>
      fetch(`${base}/actions/${name}`, { method: 'POST', headers, body: JSON.stringify(body) })
    expect((await act('run-pass', { source: 'periodic' })).status).toBe(200)
    const workload = await act('workload-start', {})
    expect(workload.status).toBe(400)
    const closing = await fetch(base, {
      method: 'DELETE',
      headers: { authorization: headers.authorization },
    })
    expect(closing.status).toBe(409)
  })

  test('read-only watches, and the engine outlives the server', async () => {
    const { engine } = await openedEngine()
    const { app, origin } = await program({ engine, readOnly: true, prefix: '/restage' })
    const token = app.restage?.tokens.operator ?? ''
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const { stores } = (await (
      await fetch(`${origin}/restage${API_BASE}/stores`, { headers })
    ).json()) as StoresBody
    const url = `${origin}/restage${API_BASE}/stores/${stores[0]?.storeId ?? ''}/actions/pause`
    const pause = await fetch(url, { method: 'POST', headers, body: '{}' })
    const { error } = (await pause.json()) as ErrorBody
    expect([pause.status, error.code, error.message]).toEqual([
      403,
      'READ_ONLY',
      'this server is read-only; register the plugin without readOnly to act',
    ])
    // A program has no command line of ours: the texts say what it would have to write.
    const folder = temporaryFolder()
    const outside = await fetch(`${origin}/restage${API_BASE}/stores`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ dir: folder, mode: 'attached' }),
    })
    expect(((await outside.json()) as ErrorBody).error.message).toContain(
      `add "${path.dirname(folder)}" to the plugin's allowRoots to allow it`,
    )
    await app.close()
    await put(engine, 10, 'z')
    expect(Buffer.from(engine.get(Buffer.from('k1')) ?? [])).toEqual(Buffer.alloc(1024, 'z'))
  })

  test('keeps its own limits where the program around it takes more', async () => {
    const { engine, clock } = await openedEngine()
    const tokens = { operator: 'o'.repeat(40), viewer: 'v'.repeat(40) }
    const { app, origin } = await program(
      { engine, clock, tokens, prefix: '/restage', stores: [] },
      async (outer) => {
        await outer.register(websocket, { options: { maxPayload: 1024 * 1024 } })
      },
      { bodyLimit: 64 * 1024 * 1024 },
    )
    const storeId = app.restage?.stores()[0]?.storeId ?? ''
    const url = `${origin}/restage${API_BASE}/stores/${storeId}/actions/hold-snapshot`
    const answer = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokens.operator}`, 'content-type': 'application/json' },
      body: JSON.stringify({ label: 'x'.repeat(2 * 1024 * 1024) }),
    })
    expect([answer.status, ((await answer.json()) as ErrorBody).error.code]).toEqual([
      413,
      'TOO_LARGE',
    ])
    const client = new LiveClient(origin, tokens.viewer, {}, `/restage${LIVE_PATH}`)
    await client.hello(storeId)
    await client.find('snapshot')
    client.socket.send(' '.repeat(100 * 1024))
    expect(await client.find('error')).toMatchObject({ code: 'TOO_LARGE' })
    expect((await client.closed).code).toBe(CLOSE_CODES.BAD_MESSAGE)
  })
})
