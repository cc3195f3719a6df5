/**
 * The live feed at speed: one client that parses, one that counts, fifty that count, and what observers
 * cost a busy store. Server, worker and clients are the real ones, in separate threads and processes on
 * one machine; every run checks that no event was left out. CPU is that of the threads meant, by their
 * ids. `bare_ws` sends the same frames, made beforehand, through a websocket to the same client: what a
 * server that had nothing to do would reach here.
 *
 *   npm run bench:feed -- [--only one,fifty,observers]
 */
import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import type { AddressInfo } from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { WebSocketServer, type WebSocket } from 'ws'
import { buildApp, listeningPort, type App } from '../../server/app.ts'
import { DEFAULT_WORKLOAD } from '../../server/demo.ts'
import { FEED_LIMITS } from '../../server/live/feed.ts'
import { SOCKET_LIMITS } from '../../server/live/connection.ts'
import { frameText } from '../../server/live/messages.ts'
import { API_BASE, LIVE_PROTOCOL } from '../../server/protocol.ts'
import { BatchWriter } from '../../server/store/batch-writer.ts'
import { BATCH_BYTES_MAX } from '../../server/store/outbox.ts'
import { choices, flags } from './flags.ts'
import { recordedStore } from './feed-recording.ts'
import { median, quantile, removeFolders, tempFolder } from './support.ts'
import { ownThread, threadCpuMs, threadFile, threadLeftFor } from './threads.ts'

const TOKEN = 'token-of-the-feed-bench'
const ROUNDS = 5
const BARE_EVENTS = 400_000
const PUTS_PER_SECOND = 20_000
const WINDOW_MS = 3_000
const OBSERVER_ROUNDS = 15

interface Counted {
  events: number
  bytes: number
  holes: number
  seconds: number
  cpuSeconds: number
}

interface Served {
  app: App
  dir: string
}

function print(name: string, metrics: Record<string, number>): void {
  const parts = Object.entries(metrics).map(
    ([key, value]) => `${key}=${Number.isInteger(value) ? value : value.toFixed(3)}`,
  )
  process.stdout.write(`${name} ${parts.join(' ')}\n`)
}

async function serve(worker: string, engine: object, autostart = false): Promise<Served> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-feed-'))
  const app = await buildApp(
    {
      host: '127.0.0.1',
      port: 0,
      tokens: { operator: TOKEN, viewer: `${TOKEN}-viewer` },
      readOnly: false,
      allowRoots: [],
      allowedOrigins: [],
      logLevel: 'silent',
      stores: [
        {
          storeId: 'bench',
          init: {
            dir,
            mode: 'hosted',
            engine,
            workload: {
              // Without a rest and without a cap of the disk: the same puts in every window.
              settings: {
                ...DEFAULT_WORKLOAD,
                putsPerSecond: PUTS_PER_SECOND,
                restMs: 0,
                diskCapBytes: 0,
              },
              autostart,
            },
          },
        },
      ],
    },
    {
      workerUrl: new URL(worker, import.meta.url),
      webRoot: '/nowhere',
      version: 'bench',
      requestsPerMinute: 1_000_000,
      // Speed, not mercy: nobody is moved to snapshots before the machine itself is the limit.
      feedLimits: { ...FEED_LIMITS, behindBytesMax: 1e9 },
      socketLimits: { ...SOCKET_LIMITS, frameBytesMax: 256 * 1024 * 1024 },
    },
  )
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, dir }
}

/** The folder goes last: until its store has closed, the worker writes in it. */
async function end({ app, dir }: Served): Promise<void> {
  await app.close()
  fs.rmSync(dir, { recursive: true, force: true })
  fs.rmSync(threadFile(dir), { force: true })
}

const originOf = (app: App): string => `http://127.0.0.1:${listeningPort(app) ?? 0}`

interface ClientsWanted {
  origin: string
  sockets: number
  parse: boolean
  /** The event that ends the run. */
  total: number
}

class Clients {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterableIterator<string>

  constructor({ origin, sockets, parse, total }: ClientsWanted) {
    const script = fileURLToPath(new URL('./feed-client.js', import.meta.url))
    const args = [origin, TOKEN, String(sockets), parse ? '1' : '0', String(total)]
    this.#child = spawn(process.execPath, [script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const { stdout } = this.#child
    if (stdout === null) throw new Error('the clients have no output')
    const lines: Interface = createInterface(stdout)
    this.#lines = lines[Symbol.asyncIterator]()
  }

  async ready(): Promise<void> {
    const { value } = (await this.#lines.next()) as { value: string }
    if (value !== 'ready') throw new Error(`clients said ${value}`)
  }

  async counted(): Promise<Counted> {
    const { value } = (await this.#lines.next()) as { value: string }
    this.#child.kill()
    return JSON.parse(value) as Counted
  }

  stop(): void {
    this.#child.kill()
  }
}

async function newestSeq(app: App): Promise<number> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answer = await fetch(`${originOf(app)}${API_BASE}/stores/bench/feed`, { headers })
  return ((await answer.json()) as { newestSeq: number }).newestSeq
}

// ---------------------------------------------------------------- streams

interface Load {
  sockets: number
  parse: boolean
  perSecond: number
}

/** What one run counted, and the CPU time of each who took part. */
type Run = Counted & { workerMs: number; mainMs: number }

async function stream({ app, dir }: Served, load: Load): Promise<Run> {
  const { sockets, parse, perSecond } = load
  const events = perSecond * 2
  const total = (await newestSeq(app)) + events
  const clients = new Clients({ origin: originOf(app), sockets, parse, total })
  await clients.ready()
  const threads = { worker: threadLeftFor(dir), main: ownThread() }
  const before = { worker: threadCpuMs(threads.worker), main: threadCpuMs(threads.main) }
  const answer = await fetch(`${originOf(app)}${API_BASE}/stores/bench/actions/stage`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ filters: { maxSegments: events, minStaleBytes: perSecond } }),
  })
  if (!answer.ok) throw new Error(`the store answered ${answer.status}`)
  await answer.arrayBuffer()
  const counted = await clients.counted()
  return {
    ...counted,
    workerMs: threadCpuMs(threads.worker) - before.worker,
    mainMs: threadCpuMs(threads.main) - before.main,
  }
}

function printRuns(name: string, load: Load, runs: readonly Run[]): number {
  const rate = median(runs.map((run) => run.events / run.seconds))
  const us = (ms: (run: Run) => number): number =>
    median(runs.map((run) => (ms(run) * 1000 * load.sockets) / run.events))
  print(name, {
    clients: load.sockets,
    parsed: load.parse ? 1 : 0,
    deliveries_per_s: Math.round(rate),
    best: Math.round(Math.max(...runs.map((run) => run.events / run.seconds))),
    mb_per_s: median(runs.map((run) => run.bytes / run.seconds / 1e6)),
    bytes_an_event: Math.round(median(runs.map((run) => run.bytes / run.events))),
    worker_us_an_event: us((run) => run.workerMs),
    main_us_an_event: us((run) => run.mainMs),
    clients_us_an_event: us((run) => run.cpuSeconds * 1000),
    holes: runs.reduce((sum, run) => sum + run.holes, 0),
  })
  return rate
}

async function benchStream(name: string, load: Load): Promise<number> {
  const served = await serve('./feed-store.js', {})
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) runs.push(await stream(served, load))
  await end(served)
  return printRuns(name, load, runs)
}

// ---------------------------------------------------------------- the bare websocket

/** Frames like the feed's, all of them made before the first is sent. */
async function madeFrames(): Promise<Buffer[]> {
  const { engine, events } = await recordedStore(tempFolder('bare'))
  const gaugesJson = JSON.stringify(engine.gauges())
  await engine.close()
  removeFolders()
  const frames: Buffer[] = []
  const writer = new BatchWriter(BATCH_BYTES_MAX)
  let firstSeq = 1
  for (let seq = 1; seq <= BARE_EVENTS; seq++) {
    writer.add(JSON.stringify({ ...events[seq % events.length], seq }), 1)
    if (!writer.full && seq < BARE_EVENTS) continue
    const { bytes } = writer.take(firstSeq)
    const range = { firstSeq, lastSeq: seq, events: bytes }
    const facts = { gaugesJson, workloadJson: 'null', samplesJson: '' }
    frames.push(frameText({ streamId: 'bare', ...range, ...facts }))
    firstSeq = seq + 1
  }
  return frames
}

async function benchBare(name: string, parse: boolean): Promise<number> {
  const frames = await madeFrames()
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    perMessageDeflate: false,
    handleProtocols: () => LIVE_PROTOCOL,
  })
  await new Promise((resolve) => server.once('listening', resolve))
  const sockets: WebSocket[] = []
  server.on('connection', (socket) => {
    socket.once('message', () => socket.send('{"type":"snapshot","seq":0}'))
    sockets.push(socket)
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const runs: Run[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const clients = new Clients({ origin, sockets: 1, parse, total: BARE_EVENTS })
    await clients.ready()
    const socket = sockets.at(-1)
    if (socket === undefined) throw new Error('nobody came')
    const before = threadCpuMs(ownThread())
    for (const frame of frames) {
      // Some frames on their way, so that neither side waits for the other.
      if (socket.bufferedAmount < 4 * BATCH_BYTES_MAX) socket.send(frame, { binary: false })
      else await new Promise((resolve) => socket.send(frame, { binary: false }, resolve))
    }
    const counted = await clients.counted()
    runs.push({ ...counted, workerMs: 0, mainMs: threadCpuMs(ownThread()) - before })
  }
  server.close()
  return printRuns(name, { sockets: 1, parse, perSecond: 0 }, runs)
}

// ---------------------------------------------------------------- observers

async function puts(app: App): Promise<number> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answer = await fetch(`${originOf(app)}${API_BASE}/stores/bench/state`, { headers })
  return ((await answer.json()) as { gauges: { puts: number } }).gauges.puts
}

interface Window {
  /** CPU microseconds of the store's thread. */
  workerUsAPut: number
  mainMsASecond: number
  putsPerSecond: number
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** A busy store with and without ten observers, in turns. */
async function benchObservers(): Promise<void> {
  const engine = {
    profile: 'fast',
    // Dead within seconds and deleted: what the store holds stays the same.
    segmentBytes: 8 * 1024 * 1024,
    checkpointIntervalMs: 1_000,
    maintenance: { minSegmentAgeMs: 0 },
  }
  const { app, dir } = await serve('./watched-store.js', engine, true)
  await sleep(8_000)
  const threads = { worker: threadLeftFor(dir), main: ownThread() }
  const measure = async (): Promise<Window> => {
    const look = async () => ({
      puts: await puts(app),
      worker: threadCpuMs(threads.worker),
      main: threadCpuMs(threads.main),
      atMs: performance.now(),
    })
    const before = await look()
    await sleep(WINDOW_MS)
    const after = await look()
    const seconds = (after.atMs - before.atMs) / 1000
    return {
      workerUsAPut: ((after.worker - before.worker) * 1000) / (after.puts - before.puts),
      mainMsASecond: (after.main - before.main) / seconds,
      putsPerSecond: (after.puts - before.puts) / seconds,
    }
  }
  const alone: Window[] = []
  const watched: Window[] = []
  const again: Window[] = []
  for (let round = 0; round < OBSERVER_ROUNDS; round++) {
    alone.push(await measure())
    const wanted = { origin: originOf(app), sockets: 10, parse: false }
    const clients = new Clients({ ...wanted, total: Number.MAX_SAFE_INTEGER })
    await clients.ready()
    await sleep(300)
    watched.push(await measure())
    clients.stop()
    await sleep(300)
    again.push(await measure())
  }
  const beside = (index: number): number =>
    ((alone[index]?.workerUsAPut ?? NaN) + (again[index]?.workerUsAPut ?? NaN)) / 2
  const ratios = watched.map((window, i) => window.workerUsAPut / beside(i))
  const controls = again.map((window, i) => window.workerUsAPut / (alone[i]?.workerUsAPut ?? NaN))
  const of = (windows: Window[], pick: (window: Window) => number): number =>
    median(windows.map(pick))
  print('observers', {
    clients: 10,
    rounds: OBSERVER_ROUNDS,
    puts_per_s_alone: Math.round(of(alone, (window) => window.putsPerSecond)),
    puts_per_s_watched: Math.round(of(watched, (window) => window.putsPerSecond)),
    worker_us_a_put_alone: of([...alone, ...again], (window) => window.workerUsAPut),
    worker_us_a_put_watched: of(watched, (window) => window.workerUsAPut),
    worker_ratio: median(ratios),
    worker_ratio_q1: quantile(ratios, 0.25),
    worker_ratio_q3: quantile(ratios, 0.75),
    control_ratio: median(controls),
    control_ratio_q1: quantile(controls, 0.25),
    control_ratio_q3: quantile(controls, 0.75),
    main_ms_a_second_alone: of([...alone, ...again], (window) => window.mainMsASecond),
    main_ms_a_second_watched: of(watched, (window) => window.mainMsASecond),
  })
  await end({ app, dir })
}

// ---------------------------------------------------------------- all of it

const PARTS = ['one', 'fifty', 'observers']
const only = choices('only', flags({ only: PARTS.join(',') }).only, PARTS)
const wants = (what: string): boolean => only.includes(what)

if (wants('one')) {
  for (const parse of [true, false]) {
    const suffix = parse ? '' : '_counting'
    const bare = await benchBare(`bare_ws${suffix}`, parse)
    const one = await benchStream(`one_client${suffix}`, { sockets: 1, parse, perSecond: 600_000 })
    print(`one_client${suffix}`, { of_bare_ws: one / bare })
  }
}
if (wants('fifty')) {
  await benchStream('fifty_clients', { sockets: 50, parse: false, perSecond: 60_000 })
}
if (wants('observers')) await benchObservers()
