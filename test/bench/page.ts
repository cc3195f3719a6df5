/**
 * The page at real sizes, in headless Chromium: 10,000 segments, 10,000 events a second, 1,000,000
 * events in all. A bench server speaks the wire protocol over a real websocket; the page is the built
 * one. Printed: event to pixel (from the event's own time to the first paint that holds it), the time
 * from an input to the paint that answers it (and of that, how long the page's own code ran), the heap
 * after a collection, and the frame rate.
 *
 * `bare` is a page of one line that parses the same frames and writes a number: what the browser, the
 * socket and the machine take by themselves. `generator` says how late the bench's own server was.
 *
 *   npm run bench:page            the full run, about two minutes
 *   npm run bench:page -- --short 100,000 events, for a look
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, resolve } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core'
import { WebSocketServer, type WebSocket } from 'ws'
import { flags } from './flags.ts'
import { SyntheticStore } from './page-store.ts'

const SEGMENTS = 10_000
const EVENTS_PER_SECOND = 10_000
const FRAME_MS = 33
const ROOT = resolve(import.meta.dirname, '../../..')
const WEB = join(ROOT, 'dist/web')
/** `profile`: also says where the page's time went. */
const { short, profile: PROFILE } = flags({ short: false, profile: false })
const EVENTS = short ? 100_000 : 1_000_000
/** Each view is watched at the full rate for this long. */
const WATCH_MS = short ? 4000 : 10_000

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

const out = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

// ---------------------------------------------------------------- server

interface BenchServer {
  url: string
  bareUrl: string
  /** Events a second from now on; 0 = silence. */
  setRate(eventsPerSecond: number): void
  /** Pushes this many at once, as frames of 5,000. */
  burst(events: number): void
  /** When each event was made, by seq. */
  madeAtMs: Float64Array
  store: SyntheticStore
  close(): void
}

async function startServer(): Promise<BenchServer> {
  const store = await SyntheticStore.make(SEGMENTS)
  const madeAtMs = new Float64Array(EVENTS * 2 + 2_000_000)
  const sockets = new Set<WebSocket>()
  const server = createServer((request, response) => answer(store, request, response))
  const websocket = new WebSocketServer({
    server,
    path: '/api/v1/live',
    handleProtocols: () => 'restage.v1',
    perMessageDeflate: false,
  })
  websocket.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { type: string; id?: number }
      if (message.type === 'hello') {
        socket.send(JSON.stringify(store.snapshotMessage()))
        sockets.add(socket)
      } else if (message.type === 'ping') {
        socket.send(JSON.stringify({ type: 'pong', id: message.id }))
      }
    })
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  let rate = 0
  let owed = 0
  let lastMs = performance.now()
  const make = (count: number): void => {
    for (let n = 0; n < count; n++) {
      const event = store.next(Date.now())
      madeAtMs[event.seq] = Date.now()
    }
  }
  const send = (): void => {
    const text = JSON.stringify(store.frameMessage())
    for (const socket of sockets) socket.send(text)
  }
  // Events come evenly, frames every 33 ms, as the feed of the real server has it.
  const maker = setInterval(() => {
    const now = performance.now()
    owed += ((now - lastMs) / 1000) * rate
    lastMs = now
    const whole = Math.floor(owed)
    owed -= whole
    make(whole)
  }, 4)
  const sender = setInterval(() => {
    if (rate > 0) send()
  }, FRAME_MS)
  const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
  return {
    url: `${origin}/#token=bench-token-0123456789`,
    bareUrl: `${origin}/bare`,
    setRate: (next) => {
      rate = next
      lastMs = performance.now()
      owed = 0
    },
    burst: (events) => {
      for (let left = events; left > 0; left -= 5000) {
        make(Math.min(5000, left))
        send()
      }
    },
    madeAtMs,
    store,
    close: () => {
      clearInterval(maker)
      clearInterval(sender)
      for (const socket of sockets) socket.terminate()
      websocket.close()
      server.close()
    },
  }
}

function answer(store: SyntheticStore, request: IncomingMessage, response: ServerResponse): void {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  if (path.startsWith('/api/')) {
    response.setHeader('content-type', 'application/json')
    const body = store.rest(path)
    response.statusCode = body === null ? 404 : 200
    response.end(
      JSON.stringify(body ?? { error: { code: 'NOT_FOUND', message: 'not in the bench' } }),
    )
    return
  }
  if (path === '/bare') {
    response.setHeader('content-type', 'text/html')
    response.end(BARE)
    return
  }
  const file = path === '/' ? '/index.html' : path
  try {
    const content = readFileSync(join(WEB, file))
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream')
    response.end(content)
  } catch {
    response.statusCode = 404
    response.end()
  }
}

// ---------------------------------------------------------------- what runs in the page

/** The least that a page can do with the feed: parse, and show the newest number once a frame. */
const BARE = `<!doctype html><title>bare</title>
  <button data-testid="press">press</button><p data-testid="applied" data-seq="0">0</p>
  <script>
    const line = document.querySelector('p')
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/api/v1/live', ['restage.v1'])
    let seq = 0
    let asked = false
    const show = () => {
      asked = false
      line.dataset.seq = line.textContent = String(seq)
    }
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello' }))
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      seq = message.lastSeq ?? message.seq ?? seq
      if (!asked) requestAnimationFrame(show)
      asked = true
    }
    const press = document.querySelector('button')
    press.onclick = () => (press.textContent = 'pressed at ' + performance.now())
  </script>`

/**
 * Notes when each newly applied event was painted: after the animation frame in which the page's
 * number of applied events changed comes the paint, and a message posted in the frame arrives after it.
 * Also notes every input with the time to the paint that answers it (Event Timing), and frame times.
 */
const PROBE = `
  window.benchPaints = []
  window.benchInputs = []
  window.benchFrames = []
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      if (entry.interactionId > 0) {
        const ran = entry.processingEnd - entry.processingStart
        window.benchInputs.push([entry.name, entry.duration, ran])
      }
    }
  }).observe({ type: 'event', durationThreshold: 16, buffered: true })
  let lastSeq = 0
  let lastFrame = performance.now()
  const look = () => {
    const now = performance.now()
    window.benchFrames.push(now - lastFrame)
    lastFrame = now
    const seq = Number(document.querySelector('[data-testid=applied]')?.dataset.seq ?? 0)
    if (seq !== lastSeq) {
      const from = lastSeq
      lastSeq = seq
      const channel = new MessageChannel()
      channel.port1.onmessage = () => window.benchPaints.push([from, seq, Date.now()])
      channel.port2.postMessage(0)
    }
    requestAnimationFrame(look)
  }
  requestAnimationFrame(look)
`

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN
}

interface Watched {
  latencies: number[]
  frames: number[]
}

async function watch(page: Page, server: BenchServer, ms: number): Promise<Watched> {
  await page.evaluate('window.benchPaints = []; window.benchFrames = []')
  await page.waitForTimeout(ms)
  const paints = await page.evaluate<[number, number, number][]>('window.benchPaints')
  const frames = await page.evaluate<number[]>('window.benchFrames')
  const latencies: number[] = []
  // The first paint may hold events of before the watch.
  for (const [from, to, paintedAtMs] of paints.slice(1)) {
    for (let seq = from + 1; seq <= to; seq++) {
      latencies.push(paintedAtMs - (server.madeAtMs[seq] ?? NaN))
    }
  }
  return { latencies: latencies.sort((a, b) => a - b), frames: frames.sort((a, b) => a - b) }
}

/** Where the page's time went: functions by their own time, as shares of the time watched. */
async function printProfile(session: CDPSession, view: string): Promise<void> {
  const { profile } = await session.send('Profiler.stop')
  const own = new Map<number, number>()
  profile.samples?.forEach((id, index) => {
    own.set(id, (own.get(id) ?? 0) + (profile.timeDeltas?.[index] ?? 0))
  })
  const named = new Map<string, number>()
  for (const node of profile.nodes) {
    const { functionName, url, lineNumber } = node.callFrame
    const name = `${functionName}@${url.split('/').at(-1) ?? ''}:${String(lineNumber)}`
    named.set(name, (named.get(name) ?? 0) + (own.get(node.id) ?? 0))
  }
  const whole = profile.endTime - profile.startTime
  for (const [name, micros] of [...named].sort((a, b) => b[1] - a[1]).slice(0, 14)) {
    out(`profile ${view} ${((micros / whole) * 100).toFixed(1)}% ${name}`)
  }
}

/** CPU time of the page's main thread so far: unlike the clock it does not count what others run. */
async function cpuSeconds(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics')
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? NaN
}

async function heapMiB(session: CDPSession): Promise<number> {
  await session.send('HeapProfiler.collectGarbage')
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  return usedSize / 1024 / 1024
}

async function show(page: Page, view: string): Promise<void> {
  await page.evaluate(`location.hash = '#/${view}'`)
  await page.locator(`main[data-view="${view}"]`).waitFor()
  await page.waitForTimeout(500)
}

// ---------------------------------------------------------------- interactions

/** What a person does at full rate; each input is one entry of Event Timing. */
async function interact(page: Page): Promise<void> {
  await show(page, 'segments')
  const map = page.getByTestId('segment-canvas')
  const box = await map.boundingBox()
  if (box === null) throw new Error('the map is not on the page')
  for (let n = 0; n < 12; n++) {
    await page.mouse.click(box.x + 20 + n * 53, box.y + 20 + n * 11)
    await page.waitForTimeout(120)
  }
  for (const key of ['ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowLeft', '+', '+', '-', '-']) {
    await page.keyboard.press(key)
    await page.waitForTimeout(120)
  }
  for (const colour of ['age', 'lane', 'state', 'verdict', 'live']) {
    await page.getByTestId(`colour-${colour}`).click()
    await page.waitForTimeout(150)
  }
  await page.getByTestId('segment-filter').click()
  await page.keyboard.type('L0-12', { delay: 120 })
  for (let n = 0; n < 5; n++) await page.keyboard.press('Backspace', { delay: 60 })
  await page.keyboard.press('Escape')
  await page.keyboard.press('Escape')
  await show(page, 'trace')
  await page.getByTestId('trace-filter').click()
  await page.keyboard.type('sealed', { delay: 120 })
  for (let n = 0; n < 6; n++) await page.keyboard.press('Backspace', { delay: 60 })
  await page.keyboard.press('Escape')
  // Rows move away under a patient click; a person's click lands where it was aimed.
  const list = await page.getByTestId('trace-list').boundingBox()
  if (list !== null) await page.mouse.click(list.x + 240, list.y + 100)
  await page.waitForTimeout(200)
  await page.keyboard.press('Escape')
  for (const key of ['o', 's', 'q', 't', 'i', 'o']) {
    await page.keyboard.press('g')
    await page.keyboard.press(key)
    await page.waitForTimeout(250)
  }
}

async function measureInputs(
  page: Page,
  name: string,
  act: (page: Page) => Promise<void> = interact,
): Promise<void> {
  await page.evaluate('window.benchInputs = []')
  await act(page)
  await page.waitForTimeout(500)
  const inputs = await page.evaluate<[string, number, number][]>('window.benchInputs')
  const shown = inputs.map(([, ms]) => ms).sort((a, b) => a - b)
  const ran = inputs.map(([, , ms]) => ms).sort((a, b) => a - b)
  const figures = (label: string, sorted: readonly number[]): string =>
    [0.5, 0.98, 1]
      .map(
        (q) => `${label}_${q === 1 ? 'max' : `p${q * 100}`}_ms=${quantile(sorted, q).toFixed(0)}`,
      )
      .join(' ')
  const told = inputs.length === 0 ? '' : ` ${figures('input', shown)} ${figures('ran', ran)}`
  out(`${name} inputs_over_16ms=${inputs.length}${told}`)
}

/** Presses of the only button there is. */
async function pressBare(page: Page): Promise<void> {
  for (let n = 0; n < 40; n++) {
    await page.getByTestId('press').click()
    await page.waitForTimeout(60)
  }
}

/** One view, or the bare page, at the full rate. */
async function measureView(bench: Bench, view: string): Promise<void> {
  const { page, session, server } = bench
  if (PROFILE) await session.send('Profiler.start')
  const late = monitorEventLoopDelay({ resolution: 2 })
  late.enable()
  const before = await cpuSeconds(session)
  const { latencies, frames } = await watch(page, server, WATCH_MS)
  const cpuShare = ((await cpuSeconds(session)) - before) / (WATCH_MS / 1000)
  late.disable()
  if (PROFILE) await printProfile(session, view)
  const figures = {
    rate: EVENTS_PER_SECOND,
    events: latencies.length,
    event_to_pixel_p50_ms: quantile(latencies, 0.5).toFixed(0),
    p99_ms: quantile(latencies, 0.99).toFixed(0),
    max_ms: quantile(latencies, 1).toFixed(0),
    main_thread_cpu_ms_per_s: (cpuShare * 1000).toFixed(0),
    frame_p50_ms: quantile(frames, 0.5).toFixed(1),
    frame_p99_ms: quantile(frames, 0.99).toFixed(1),
    generator_late_p99_ms: (late.percentile(99) / 1e6).toFixed(1),
  }
  out(
    `${view} ${Object.entries(figures)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ')}`,
  )
}

interface Bench {
  page: Page
  session: CDPSession
  server: BenchServer
}

async function openPage(browser: Browser): Promise<Omit<Bench, 'server'>> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } })
  const session = await page.context().newCDPSession(page)
  await session.send('HeapProfiler.enable')
  await session.send('Profiler.enable')
  await session.send('Performance.enable', { timeDomain: 'threadTicks' })
  await page.addInitScript(PROBE)
  return { page, session }
}

async function measureBare(browser: Browser): Promise<void> {
  const bench = { ...(await openPage(browser)), server }
  await bench.page.goto(server.bareUrl)
  await bench.page.getByTestId('press').waitFor()
  await measureInputs(bench.page, 'bare_idle', pressBare)
  server.setRate(EVENTS_PER_SECOND)
  await bench.page.waitForTimeout(500)
  await measureView(bench, 'bare')
  await measureInputs(bench.page, 'bare_busy', pressBare)
  server.setRate(0)
  await bench.page.close()
}

// ---------------------------------------------------------------- the run

const server = await startServer()
const browser = await chromium.launch({
  executablePath: process.env['CHROME_PATH'] ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
try {
  await measureBare(browser)
  const { page, session } = await openPage(browser)
  const openedAt = performance.now()
  await page.goto(server.url)
  await page.getByTestId('debt-total').waitFor()
  out(`page open_ms=${(performance.now() - openedAt).toFixed(0)} segments=${String(SEGMENTS)}`)
  out(`page heap_first_mib=${(await heapMiB(session)).toFixed(1)}`)

  server.burst(20_000)
  await measureInputs(page, 'idle')
  server.setRate(EVENTS_PER_SECOND)
  for (const view of ['overview', 'segments', 'trace']) {
    await show(page, view)
    await measureView({ page, session, server }, view)
  }
  await measureInputs(page, 'busy')
  server.setRate(0)
  await page.waitForTimeout(500)
  for (const share of [0.25, 0.5, 1]) {
    const wanted = Math.round(EVENTS * share)
    while (server.store.seq < wanted) {
      server.burst(Math.min(50_000, wanted - server.store.seq))
      await page.waitForFunction(
        `Number(document.querySelector('[data-testid=applied]')?.dataset.seq) >= ${String(server.store.seq)}`,
        undefined,
        { timeout: 120_000 },
      )
    }
    out(`page events=${String(server.store.seq)} heap_mib=${(await heapMiB(session)).toFixed(1)}`)
  }
  await show(page, 'trace')
  await page.getByTestId('trace-filter').fill('sealed')
  const searchAt = performance.now()
  await page.waitForFunction(
    `!document.querySelector('#trace-title')?.textContent.includes('so far')`,
  )
  out(`trace search_all_ms=${(performance.now() - searchAt).toFixed(0)}`)
  await page.getByTestId('trace-filter').fill('')
  server.setRate(EVENTS_PER_SECOND)
  await measureInputs(page, 'full')
} finally {
  await browser.close()
  server.close()
}
