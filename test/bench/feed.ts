/**
 * The live feed at speed: one client that parses, fifty that count, and what observers cost a busy
 * store. Server, worker and clients are the real ones, in separate threads and processes on one
 * machine; every run checks that no event was left out.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { buildApp, listeningPort, type App } from '../../server/app.ts'
import { DEFAULT_WORKLOAD } from '../../server/demo.ts'
import { FEED_LIMITS } from '../../server/live/feed.ts'
import { SOCKET_LIMITS } from '../../server/live/connection.ts'
import { API_BASE } from '../../server/protocol.ts'

const TOKEN = 'token-of-the-feed-bench'
const ROUNDS = 3

interface Counted {
  events: number
  bytes: number
  holes: number
  seconds: number
  cpuSeconds: number
}

function print(name: string, metrics: Record<string, number>): void {
  const parts = Object.entries(metrics).map(
    ([key, value]) => `${key}=${Number.isInteger(value) ? value : value.toFixed(3)}`,
  )
  process.stdout.write(`${name} ${parts.join(' ')}\n`)
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

async function serve(worker: string, engine: object, autostart = false): Promise<App> {
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
              settings: { ...DEFAULT_WORKLOAD, putsPerSecond: 20_000, restMs: 0 },
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
  app.addHook('onClose', () => fs.rmSync(dir, { recursive: true, force: true }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app
}

const originOf = (app: App): string => `http://127.0.0.1:${listeningPort(app) ?? 0}`

class Clients {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterableIterator<string>

  constructor(app: App, sockets: number, parse: boolean, total: number) {
    const script = fileURLToPath(new URL('./feed-client.js', import.meta.url))
    const args = [originOf(app), TOKEN, String(sockets), parse ? '1' : '0', String(total)]
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

async function stream(app: App, sockets: number, perSecond: number): Promise<Counted> {
  const total = perSecond * 2
  const clients = new Clients(app, sockets, sockets === 1, (await newestSeq(app)) + total)
  await clients.ready()
  const answer = await fetch(`${originOf(app)}${API_BASE}/stores/bench/actions/stage`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ filters: { maxSegments: total, minStaleBytes: perSecond } }),
  })
  if (!answer.ok) throw new Error(`the store answered ${answer.status}`)
  await answer.arrayBuffer()
  return clients.counted()
}

async function benchStream(name: string, sockets: number, perSecond: number): Promise<void> {
  const app = await serve('./feed-store.js', {})
  const rates: number[] = []
  const bytes: number[] = []
  let holes = 0
  for (let round = 0; round < ROUNDS; round++) {
    const counted = await stream(app, sockets, perSecond)
    rates.push(counted.events / counted.seconds)
    bytes.push(counted.bytes / counted.seconds / 1e6)
    holes += counted.holes
  }
  print(name, {
    clients: sockets,
    deliveries_per_s: Math.round(median(rates)),
    mb_per_s: median(bytes),
    holes,
  })
  await app.close()
}

/** CPU seconds of the store's thread, by the system's own account of it. */
function workerCpuSeconds(): number {
  const tasks = '/proc/self/task'
  const ticks = fs.readdirSync(tasks).map((task) => {
    const stat = fs.readFileSync(path.join(tasks, task, 'stat'), 'latin1')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    return { name, ticks: Number(fields[11]) + Number(fields[12]) }
  })
  // The store's worker is the busiest thread besides the main one, which is the first.
  return Math.max(...ticks.slice(1).map((task) => task.ticks)) / 100
}

async function puts(app: App): Promise<number> {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const answer = await fetch(`${originOf(app)}${API_BASE}/stores/bench/state`, { headers })
  return ((await answer.json()) as { gauges: { puts: number } }).gauges.puts
}

/** A busy store with and without ten observers, in turns: CPU of its thread a put. */
async function benchObservers(): Promise<void> {
  const app = await serve('../../server/store/store-worker.js', { profile: 'fast' }, true)
  await new Promise((resolve) => setTimeout(resolve, 4_000))
  const measure = async (): Promise<number> => {
    const before = { cpu: workerCpuSeconds(), puts: await puts(app) }
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    const after = { cpu: workerCpuSeconds(), puts: await puts(app) }
    return (after.cpu - before.cpu) / (after.puts - before.puts)
  }
  const ratios: number[] = []
  for (let round = 0; round < 5; round++) {
    const without = await measure()
    const clients = new Clients(app, 10, false, Number.MAX_SAFE_INTEGER)
    await clients.ready()
    const watched = await measure()
    clients.stop()
    ratios.push(watched / without)
  }
  print('observers', { clients: 10, cpu_per_put_ratio: median(ratios), rounds: ratios.length })
  await app.close()
}

await benchStream('one_client', 1, 600_000)
await benchStream('fifty_clients', 50, 60_000)
await benchObservers()
