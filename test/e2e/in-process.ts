/** The real application in this process with the built page, for tests that need a store made just so. */
import * as path from 'node:path'
import type { Page } from 'playwright-core'
import type { EngineState, StoreSnapshot } from '../../server/protocol.ts'
import {
  STORE,
  TOKEN,
  startServer,
  temporaryFolder,
  type TestServer,
  type TestServerOptions,
} from '../server/test-server.ts'
import { waitLive } from './page.ts'
import { ROOT, openPage } from './support.ts'

export async function serve(options: Partial<TestServerOptions> = {}): Promise<TestServer> {
  const deps = { webRoot: path.join(ROOT, 'dist/web'), ...options.deps }
  return startServer({ dir: temporaryFolder(), ...options, deps })
}

export async function open(
  server: TestServer,
  options: Parameters<typeof openPage>[1] & { token?: string } = {},
): Promise<Page> {
  const page = await openPage(`${server.origin}/#token=${options.token ?? TOKEN}`, options)
  page.setDefaultTimeout(15_000)
  await waitLive(page)
  return page
}

export async function stateOf(server: TestServer): Promise<EngineState> {
  return (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body.state
}

/** More than ten segments of 64 KiB without a live byte, kept until somebody asks for GC. */
export async function withDeadSegments(server: TestServer): Promise<void> {
  // A kick's own GC would delete them.
  await server.act('set-options', { options: { disableGc: true } })
  await server.put('k', 900, 'a')
  await server.put('k', 900, 'b')
  await server.act('checkpoint', {})
  await server.act('checkpoint', {})
}

/** Segments of which every second key is overwritten, old enough, staged and due. */
export async function withDueStage(server: TestServer): Promise<void> {
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  await server.act('checkpoint', {})
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0 } })
  await server.act('advance-clock', { ms: 60_000 })
}
