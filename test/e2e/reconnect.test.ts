/** A reload, a cut socket and a restarted server each end in a correct screen: nothing missing or doubled. */
import * as net from 'node:net'
import { afterAll, afterEach, expect, test } from 'vitest'
import type { Page } from 'playwright-core'
import type { EngineState } from '../../server/protocol.ts'
import { isLive, segmentRows, show, traceSeqs, waitLive } from './page.ts'
import {
  TOKEN,
  cleanUp,
  openPage,
  startServer,
  temporaryFolder,
  until,
  type Server,
} from './support.ts'

const proxies: Proxy[] = []

afterEach(() => {
  for (const proxy of proxies.splice(0)) proxy.close()
})
afterAll(cleanUp)

/** A loopback hop whose connections can be cut, and which can be pointed at another server. */
interface Proxy {
  port: number
  target: number
  open: boolean
  cut(): void
  close(): void
}

async function startProxy(): Promise<Proxy> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((client) => {
    if (!proxy.open) {
      client.destroy()
      return
    }
    const upstream = net.connect(proxy.target, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    client.pipe(upstream)
    upstream.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: Proxy = {
    port: (server.address() as net.AddressInfo).port,
    target: 0,
    open: true,
    cut: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: () => {
      proxy.cut()
      server.close()
    },
  }
  proxies.push(proxy)
  return proxy
}

async function startBehind(proxy: Proxy, cwd: string): Promise<Server> {
  const origin = `http://127.0.0.1:${String(proxy.port)}`
  const server = await startServer(['--port', '0', '--allow-origin', origin], { cwd })
  proxy.target = server.port
  return server
}

function address(proxy: Proxy): string {
  return `http://127.0.0.1:${String(proxy.port)}/#token=${TOKEN}`
}

/** Shows every event type, so that the trace must be without gaps. */
async function showAllEvents(page: Page): Promise<void> {
  await show(page, 'trace')
  const hidden = page.locator('[data-testid^="trace-group-"][aria-pressed="false"]')
  while ((await hidden.count()) > 0) await hidden.first().click()
}

async function expectNoGap(page: Page, wanted: number): Promise<void> {
  await page.getByTestId('trace-follow').click()
  const seqs = await traceSeqs(page, wanted)
  expect(seqs.length).toBeGreaterThan(20)
  const newest = seqs[0] ?? 0
  expect(seqs).toEqual(seqs.map((_, i) => newest - i))
  await page.getByTestId('trace-follow').click()
}

/** From the newest row down, without a gap, to event 1 of the new stream where the rows reach that far. */
async function expectNewStreamWhole(page: Page): Promise<void> {
  const seqs = await page
    .getByTestId('trace-row')
    .evaluateAll((rows) => rows.map((row) => Number(row.getAttribute('data-seq'))))
  expect(seqs.length).toBeGreaterThan(10)
  for (let i = 1; i < seqs.length; i++) {
    // Behind event 1 begin the rows of the stream before.
    if (seqs[i - 1] === 1) return
    expect(seqs[i], seqs.join(' ')).toBe((seqs[i - 1] ?? 0) - 1)
  }
}

async function expectSameAsServer(page: Page, server: Server): Promise<void> {
  await server.act('workload-stop', {})
  await server.act('pause', {})
  await until('the screen equals the server', async () => {
    const { state } = await server.get<{ state: EngineState }>('/state')
    const rows = await segmentRows(page)
    const shown = rows.map((r) => [r.segmentId, r.state, r.bytesTotal, r.bytesLive])
    const real = state.segments.map((s) => [s.segmentId, s.state, s.bytesTotal, s.bytesLive])
    return JSON.stringify(shown) === JSON.stringify(real)
  })
}

test('a cut socket resumes with exactly the rest, a reload starts from a snapshot', async () => {
  const proxy = await startProxy()
  const server = await startBehind(proxy, temporaryFolder())
  const page = await openPage(address(proxy))
  await waitLive(page)
  await showAllEvents(page)
  await until('some events', async () => (await page.getByTestId('trace-row').count()) > 10)

  proxy.open = false
  proxy.cut()
  await until('the page says it lost the connection', async () => !(await isLive(page)))
  // Life goes on without the page; what it missed must arrive afterwards.
  await server.act('checkpoint', {})
  proxy.open = true
  await waitLive(page)
  await until('new events', async () => (await page.getByTestId('trace-row').count()) > 10)
  await expectNoGap(page, 200)

  await page.reload()
  await waitLive(page)
  await showAllEvents(page)
  await until('the trace is back', async () => (await page.getByTestId('trace-row').count()) > 10)
  await expectNoGap(page, 200)
  await expectSameAsServer(page, server)
  expect(await server.stop()).toBe(0)
})

test('a restarted server is noticed and its stream starts anew on the same page', async () => {
  const cwd = temporaryFolder()
  const proxy = await startProxy()
  const first = await startBehind(proxy, cwd)
  const page = await openPage(address(proxy))
  await waitLive(page)
  await showAllEvents(page)
  await until('some events', async () => (await page.getByTestId('trace-row').count()) > 10)
  await first.kill()
  await until('the page says it lost the connection', async () => !(await isLive(page)))
  const second = await startBehind(proxy, cwd)
  await waitLive(page)
  // The divider between the streams moves down as events come: paused and scrolled, it is found.
  await page.getByTestId('trace-follow').click()
  const list = page.getByTestId('trace-list')
  await until('the divider between the two streams', async () => {
    if ((await page.getByTestId('trace-remark').count()) > 0) return true
    await list.evaluate((element) => (element.scrollTop += 300))
    return false
  })
  await list.evaluate((element) => (element.scrollTop = 0))
  await page.getByTestId('trace-follow').click()
  await until('rows of the new stream', async () => {
    return (await page.getByTestId('trace-row').count()) > 10
  })
  await expectNewStreamWhole(page)
  await expectSameAsServer(page, second)
  const { state } = await second.get<{ state: EngineState }>('/state')
  expect(state.segments.length).toBeGreaterThan(0)
  expect(await second.stop()).toBe(0)
})

test('a server restarted with another token asks for the new address', async () => {
  const cwd = temporaryFolder()
  const proxy = await startProxy()
  const first = await startBehind(proxy, cwd)
  const page = await openPage(address(proxy))
  await waitLive(page)
  await first.stop()
  const origin = `http://127.0.0.1:${String(proxy.port)}`
  const second = await startServer(['--port', '0', '--allow-origin', origin], {
    cwd,
    token: 'another-token-0123456789',
  })
  proxy.target = second.port
  await page.getByTestId('not-authorised').waitFor({ timeout: 30_000 })
  expect(await second.stop()).toBe(0)
})
