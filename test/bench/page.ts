/**
 * The page at real sizes, in headless Chromium: 10,000 segments, 10,000 events a second, 1,000,000
 * events in all. A bench server speaks the wire protocol over a real websocket; the page is the built
 * one. Printed: event to pixel (from the event's own time to the first paint that holds it), the time
 * from an input to the paint that answers it (page-inputs.ts says how), the heap after a collection, and
 * the frame rate.
 *
 * `bare` is a page of one line that parses the same frames and writes a number: what the browser, the
 * socket and the machine take by themselves. `generator` says how late the bench's own server was.
 *
 *   npm run bench:page                        the full run, about three minutes
 *   npm run bench:page -- --short             100,000 events, for a look
 *   npm run bench:page -- --only views,busy   these parts of it; also bare, idle, memory
 *   npm run bench:page -- --web DIR           another build of the page
 */
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { chromium, type Browser, type CDPSession, type Page } from 'playwright-core'
import { choices, flags } from './flags.ts'
import { INPUT_PROBE, inputsDuring, interact, pressBare, show } from './page-inputs.ts'
import { startServer, type BenchServer } from './page-server.ts'

const SEGMENTS = 10_000
const EVENTS_PER_SECOND = 10_000
const ROOT = resolve(import.meta.dirname, '../../..')
const PARTS = ['bare', 'idle', 'views', 'busy', 'memory'] as const
/** `profile`: also says where the page's time went. `web`: another build, to compare two in turn. */
const given = flags({
  short: false,
  profile: false,
  only: PARTS.join(','),
  web: join(ROOT, 'dist/web'),
})
const { short, profile: PROFILE, web } = given
const only = choices('only', given.only, PARTS)
const wanted = (part: (typeof PARTS)[number]): boolean => only.includes(part)
const EVENTS = short ? 100_000 : 1_000_000
/** Each view is watched at the full rate for this long. */
const WATCH_MS = short ? 4000 : 10_000

const out = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

// ---------------------------------------------------------------- what runs in the page

/**
 * Notes when each newly applied event was painted: after the animation frame in which the page's
 * number of applied events changed comes the paint, and a message posted in the frame arrives after it.
 * Also notes frame times.
 */
const PROBE = `
  window.benchPaints = []
  window.benchFrames = []
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

/** Quantiles of a sorted list, as the end of a line; nothing at all of an empty one. */
function figures(label: string, sorted: readonly number[]): string {
  if (sorted.length === 0) return ''
  return [0.5, 0.98, 1]
    .map((q) => ` ${label}_${q === 1 ? 'max' : `p${q * 100}`}_ms=${quantile(sorted, q).toFixed(0)}`)
    .join('')
}

async function measureInputs(
  { page, session }: Bench,
  name: string,
  act = interact,
): Promise<void> {
  const before = await cpuSeconds(session)
  const { shown, ran, kinds, content, hover, wheel } = await inputsDuring(page, act)
  const cpuMs = ((await cpuSeconds(session)) - before) * 1000
  const slow = shown.filter((ms) => ms > 50).length
  out(
    `${name} interactions=${shown.length} over_50ms=${slow}${figures('input', shown)}${figures('ran', ran)}` +
      ` main_thread_cpu_ms_each=${(cpuMs / shown.length).toFixed(1)}`,
  )
  for (const [kind, times] of kinds) {
    const over = times.filter((ms) => ms > 50).length
    out(
      `${name} kind=${kind} interactions=${times.length} over_50ms=${over}${figures('input', times)}`,
    )
  }
  out(`${name} later=${content.length}${figures('content', content)}`)
  out(`${name} moves=${hover.length}${figures('hover', hover)}${figures('wheel', wheel)}`)
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
  await page.addInitScript(INPUT_PROBE)
  return { page, session }
}

async function measureBare(browser: Browser): Promise<void> {
  const bench = { ...(await openPage(browser)), server }
  await bench.page.goto(server.bareUrl)
  await bench.page.getByTestId('press').waitFor()
  await measureInputs(bench, 'bare_idle', pressBare)
  server.setRate(EVENTS_PER_SECOND)
  await bench.page.waitForTimeout(500)
  await measureView(bench, 'bare')
  await measureInputs(bench, 'bare_busy', pressBare)
  server.setRate(0)
  await bench.page.close()
}

/** The heap on the way to all events, and what a full trace makes slower. */
async function measureMemory(bench: Bench): Promise<void> {
  const { page, session, server } = bench
  for (const share of [0.25, 0.5, 1]) {
    const events = Math.round(EVENTS * share)
    while (server.store.seq < events) {
      server.burst(Math.min(50_000, events - server.store.seq))
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
  await measureInputs(bench, 'full')
  server.setRate(0)
}

// ---------------------------------------------------------------- the run

const server = await startServer({ web, segments: SEGMENTS, eventsMax: EVENTS * 2 + 2_000_000 })
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
out(`machine load=${loadavg()[0]?.toFixed(1)}`)
try {
  if (wanted('bare')) await measureBare(browser)
  const bench = { ...(await openPage(browser)), server }
  const { page, session } = bench
  const openedAt = performance.now()
  await page.goto(server.url)
  await page.getByTestId('debt-total').waitFor()
  out(`page open_ms=${(performance.now() - openedAt).toFixed(0)} segments=${String(SEGMENTS)}`)
  out(`page heap_first_mib=${(await heapMiB(session)).toFixed(1)}`)

  server.burst(20_000)
  if (wanted('idle')) await measureInputs(bench, 'idle')
  server.setRate(EVENTS_PER_SECOND)
  for (const view of wanted('views') ? ['overview', 'segments', 'trace'] : []) {
    await show(page, view)
    await measureView(bench, view)
  }
  if (wanted('busy')) await measureInputs(bench, 'busy')
  server.setRate(0)
  await page.waitForTimeout(500)
  if (wanted('memory')) await measureMemory(bench)
  out(`machine load=${loadavg()[0]?.toFixed(1)}`)
} finally {
  await browser.close()
  server.close()
}
