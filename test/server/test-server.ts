/** The real application on a free loopback port with a real engine in a real worker. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { onTestFinished } from 'vitest'
import { buildApp, listeningPort, type App, type AppDeps } from '../../server/app.ts'
import { DEFAULT_WORKLOAD } from '../../server/demo.ts'
import type { EngineOptions } from '../../server/engine-door.ts'
import {
  API_BASE,
  type ActionName,
  type Actions,
  type AppliedPlan,
  type ErrorBody,
  type PlanBody,
  type PlanRequest,
  type StoredPlan,
  type StoreMode,
  type WorkloadSettings,
} from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'

export const TOKEN = 'token-of-the-server-tests'
export const VIEWER_TOKEN = 'token-of-a-viewer-in-tests'
export const STORE = 'store'

export const WORKER_URL = new URL('../../dist/server/store/store-worker.js', import.meta.url)

/** Small enough that a test makes segments in a blink; in step mode nothing runs unasked. */
export const SMALL_STEP_STORE: EngineOptions = {
  profile: 'fast',
  mode: 'step',
  segmentBytes: 64 * 1024,
}

export interface TestServerOptions {
  dir: string
  mode?: StoreMode
  engine?: EngineOptions
  workload?: Partial<WorkloadSettings> & { autostart?: boolean }
  deps?: Partial<AppDeps>
  /** Before the application is ready: the last moment for hooks. */
  prepare?: (app: App) => void
  readOnly?: boolean
  allowRoots?: string[]
}

interface Answer<Body> {
  status: number
  body: Body & ErrorBody
}

export class TestServer {
  readonly app: App
  readonly origin: string

  constructor(app: App) {
    this.app = app
    this.origin = `http://127.0.0.1:${listeningPort(app) ?? 0}`
  }

  live(): LiveClient {
    return new LiveClient(this.origin, TOKEN)
  }

  /** `Body` is what the caller expects; ErrorBody is there, too, for the answers that refuse. */
  async get<Body>(url: string): Promise<Answer<Body>> {
    const answer = await fetch(`${this.origin}${API_BASE}${url}`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    return { status: answer.status, body: (await answer.json()) as Body & ErrorBody }
  }

  async post<Body>(url: string, body: unknown, token = TOKEN): Promise<Answer<Body>> {
    const answer = await fetch(`${this.origin}${API_BASE}${url}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return { status: answer.status, body: (await answer.json()) as Body & ErrorBody }
  }

  async delete<Body>(url: string): Promise<Answer<Body>> {
    const answer = await fetch(`${this.origin}${API_BASE}${url}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    return { status: answer.status, body: (await answer.json()) as Body & ErrorBody }
  }

  /** A plan that is expected to be made. */
  async plan(request: PlanRequest): Promise<StoredPlan> {
    const { status, body } = await this.post<PlanBody>(`/stores/${STORE}/plans`, request)
    if (status !== 200) throw new Error(`plan: ${status} ${JSON.stringify(body)}`)
    return body.plan
  }

  /** Plans and applies at once. */
  async carryOut(request: PlanRequest): Promise<AppliedPlan> {
    const { planId, confirm } = await this.plan(request)
    const url = `/stores/${STORE}/plans/${planId}/apply`
    const { status, body } = await this.post<AppliedPlan>(url, { confirm })
    if (status !== 200) throw new Error(`apply: ${status} ${JSON.stringify(body)}`)
    return body
  }

  /** The answer of an action that is expected to succeed. */
  async act<Name extends ActionName>(
    name: Name,
    body: Actions[Name]['body'],
  ): Promise<Actions[Name]['answer']> {
    const { status, body: answer } = await this.post<Actions[Name]['answer']>(
      `/stores/${STORE}/actions/${name}`,
      body,
    )
    if (status !== 200) throw new Error(`${name}: ${status} ${JSON.stringify(answer)}`)
    return answer
  }

  /** Puts `count` values of 1 KiB under `prefix` in one batch, on every `step`-th key. */
  async put(prefix: string, count: number, fill = 'v', step = 1): Promise<void> {
    const value = Buffer.alloc(1024, fill).toString('base64')
    const operations = Array.from({ length: count }, (_, i) => ({
      op: 'put',
      key: Buffer.from(`${prefix}${String(i * step).padStart(6, '0')}`).toString('base64'),
      value,
    }))
    const { status, body } = await this.post(`/stores/${STORE}/batch`, { operations })
    if (status !== 200) throw new Error(`batch: ${status} ${JSON.stringify(body)}`)
  }

  close(): Promise<void> {
    return this.app.close()
  }
}

/** Closed after the test, unless the test closes it. */
export async function startServer(options: TestServerOptions): Promise<TestServer> {
  const { autostart = false, ...settings } = options.workload ?? {}
  const app = await buildApp(
    {
      host: '127.0.0.1',
      port: 0,
      tokens: { operator: TOKEN, viewer: VIEWER_TOKEN },
      readOnly: options.readOnly ?? false,
      allowRoots: options.allowRoots ?? [],
      allowedOrigins: [],
      logLevel: 'error',
      stores: [
        {
          storeId: STORE,
          init: {
            dir: options.dir,
            mode: options.mode ?? 'hosted',
            engine: options.engine ?? SMALL_STEP_STORE,
            workload: { settings: { ...DEFAULT_WORKLOAD, ...settings }, autostart },
          },
        },
      ],
    },
    { workerUrl: WORKER_URL, webRoot: '/nowhere', version: 'test', ...options.deps },
  )
  onTestFinished(() => app.close())
  options.prepare?.(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return new TestServer(app)
}

/** An empty folder, removed after the test. */
export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-server-'))
  onTestFinished(() => fs.rmSync(folder, { recursive: true, force: true }))
  return folder
}
