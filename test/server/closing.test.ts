/** Closing a store and ending the server while a pass runs or stands still: nothing is lost, everybody is told. */
import { spawn } from 'node:child_process'
import * as path from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  CLOSE_CODES,
  type ErrorBody,
  type EngineEventType,
  type KeyBody,
  type StoreBody,
} from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'
import {
  SMALL_STEP_STORE,
  startServer,
  STORE,
  temporaryFolder,
  TOKEN,
  type TestServer,
} from './test-server.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const KEYS = 2_400
/** Much longer than ending takes, and shorter than the patience of a test. */
const END_MS = 30_000

/** Enough half-stale segments that rewriting them takes a while. */
async function withDebt(server: TestServer): Promise<number[]> {
  for (let i = 0; i < 8; i++) await server.put(`k${i}`, KEYS / 8, 'a')
  for (let i = 0; i < 8; i++) await server.put(`k${i}`, KEYS / 16, 'b', 2)
  await server.act('checkpoint', {})
  const { plan } = await server.act('plan', { filters: { minStaleRatio: 0.2, minAgeMs: 0 } })
  const ids = plan.selected.map((entry) => entry.segmentId)
  expect(ids.length).toBeGreaterThan(15)
  return ids
}

/** Every key has the value it was last given, and live bytes are what a full scan says. */
async function expectWhole(dir: string): Promise<void> {
  const server = await startServer({ dir })
  const { differences, keys } = await server.act('verify', {})
  expect([differences, keys]).toEqual([[], KEYS])
  for (const [key, fill] of [
    ['k0000000', 'b'],
    ['k3000001', 'a'],
    ['k7000298', 'b'],
  ] as const) {
    const hex = Buffer.from(key).toString('hex')
    const { body } = await server.get<KeyBody>(`/stores/${STORE}/keys/${hex}`)
    expect([key, Buffer.from(body.value, 'base64').toString()]).toEqual([key, fill.repeat(1024)])
  }
  await server.close()
}

/** Resolves once the follower has seen that event. */
async function sees(client: LiveClient, type: EngineEventType): Promise<void> {
  await client.find('frame', ({ events }) => events.some((event) => event.type === type))
}

describe('closing a store', () => {
  test('while a pass rewrites: the pass ends in order, its caller and followers are told, the folder is whole', async () => {
    const root = temporaryFolder()
    const dir = path.join(root, 'store')
    const server = await startServer({ dir, allowRoots: [root] })
    const segmentIds = await withDebt(server)
    const follower = await server.live().hello(STORE)
    await follower.find('snapshot')
    const plan = await server.plan({ action: 'rewrite', body: { segmentIds } })
    const url = `/stores/${STORE}/plans/${plan.planId}/apply`
    const applied = server.post<{ answer: { pass: { outcome: string } } }>(url, {
      confirm: plan.confirm,
    })
    await sees(follower, 'rewrite_exec')
    const closed = await server.delete<StoreBody>(`/stores/${STORE}`)
    expect(closed.status).toBe(200)
    expect(await follower.closed).toMatchObject({ code: CLOSE_CODES.STORE_CLOSED })
    const { status, body } = await applied
    // Cut short in most runs; a fast machine may have been through.
    if (status === 200) expect(['rewrote', 'cancelled']).toContain(body.answer.pass.outcome)
    else expect([body.error.code, status]).toEqual(['ENGINE_ABORTED', 409])
    await server.close()
    await expectWhole(dir)
  })

  test('while a pass stands still at a breakpoint: it is cancelled, whoever waits for it is answered', async () => {
    const root = temporaryFolder()
    const dir = path.join(root, 'store')
    const server = await startServer({ dir, allowRoots: [root] })
    await withDebt(server)
    await server.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0, maxSegments: 5 } })
    await server.act('advance-clock', { ms: 60_000 })
    await server.act('set-breakpoints', { breakpoints: ['before_rewrite'] })
    const follower = await server.live().hello(STORE)
    await follower.find('snapshot')
    const waits = server.post<ErrorBody>(`/stores/${STORE}/actions/run-pass`, {
      source: 'rewrite_stage_confirm',
    })
    await sees(follower, 'pass_stopped')
    expect((await server.delete(`/stores/${STORE}`)).status).toBe(200)
    expect((await waits).status).toBeGreaterThanOrEqual(200)
    expect((await follower.closed).code).toBe(CLOSE_CODES.STORE_CLOSED)
    await server.close()
    await expectWhole(dir)
  })
})

describe('SIGTERM', { timeout: 90_000 }, () => {
  async function serve(dir: string): Promise<{
    origin: string
    post: (url: string, body: unknown) => Promise<Response>
    /** Its exit code, or that it has none after longer than a pass of this test takes. */
    end: () => Promise<number | null | 'still running'>
  }> {
    const args = [dir, '--json-ready', '--log-level', 'silent', '--port', '0', '--token', TOKEN]
    const child = spawn(process.execPath, [MAIN, ...args, '--mode', 'step'])
    onTestFinished(() => void child.kill('SIGKILL'))
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const port = await new Promise<number>((resolve) => {
      createInterface(child.stdout).once('line', (line) => {
        resolve((JSON.parse(line) as { port: number }).port)
      })
    })
    const origin = `http://127.0.0.1:${port}`
    return {
      origin,
      post: (url, body) =>
        fetch(`${origin}/api/v1/stores/store${url}`, {
          method: 'POST',
          headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      end: () => {
        child.kill('SIGTERM')
        const late = new Promise<'still running'>((resolve) => {
          setTimeout(() => resolve('still running'), END_MS).unref()
        })
        return Promise.race([exited, late])
      },
    }
  }

  test('while a pass rewrites ends in order: 4012 for followers, exit 0, nothing lost', async () => {
    const dir = path.join(temporaryFolder(), 'store')
    const maker = await startServer({ dir, engine: { ...SMALL_STEP_STORE, profile: 'durable' } })
    const segmentIds = await withDebt(maker)
    await maker.close()
    const { origin, post, end } = await serve(dir)
    const follower = await new LiveClient(origin, TOKEN).hello('store')
    await follower.find('snapshot')
    const made = await post('/plans', { action: 'rewrite', body: { segmentIds } })
    const { plan } = (await made.json()) as { plan: { planId: string; confirm: unknown } }
    const applied = post(`/plans/${plan.planId}/apply`, { confirm: plan.confirm })
    await sees(follower, 'rewrite_exec')
    const code = await end()
    expect(await follower.closed).toEqual({
      code: CLOSE_CODES.SHUTTING_DOWN,
      reason: 'the server is stopping',
    })
    expect(code).toBe(0)
    // Whoever asked for the pass has an answer, not a cut connection.
    expect([200, 409, 503]).toContain((await applied).status)
    await expectWhole(dir)
  })

  test('while a pass stands still does not wait for somebody to let it go on', async () => {
    const dir = path.join(temporaryFolder(), 'store')
    const maker = await startServer({ dir })
    await withDebt(maker)
    await maker.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0, maxSegments: 5 } })
    await maker.close()
    const { origin, post, end } = await serve(dir)
    const follower = await new LiveClient(origin, TOKEN).hello('store')
    await follower.find('snapshot')
    await (await post('/actions/set-breakpoints', { breakpoints: ['before_gates'] })).text()
    const waits = post('/actions/run-pass', { source: 'periodic' })
    await sees(follower, 'pass_stopped')
    expect(await end()).toBe(0)
    expect((await follower.closed).code).toBe(CLOSE_CODES.SHUTTING_DOWN)
    expect((await waits).status).toBeGreaterThanOrEqual(200)
    await expectWhole(dir)
  })
})
