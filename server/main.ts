#!/usr/bin/env node
/**
 * The process: reads what is wanted, builds the application, listens, says where, and ends in
 * order. The only file with signals, exit codes and output for people.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type App, buildApp, listeningPort } from './app.ts'
import { EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, type CommandRun } from './command-support.ts'
import { processSurroundings, readIntent, type ServeConfig } from './config.ts'
import { runInspect } from './inspect-command.ts'
import { API_BASE, type Role, type StoreInfo, type StoresBody } from './protocol.ts'
import { VERSION } from './version.ts'

/** Ports tried after the usual one before any free port is taken. */
const PORTS_TRIED = 20

const deps = {
  workerUrl: new URL('./store/store-worker.js', import.meta.url),
  webRoot: fileURLToPath(new URL('../web', import.meta.url)),
  version: VERSION,
  // Standard output is for people, and for the one line of --json-ready.
  logStream: process.stderr,
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`)
}

async function serve(config: ServeConfig): Promise<void> {
  const app = await buildApp(config.app, deps)
  endOnSignals(app)
  await listen(app, config)
  const port = listeningPort(app) ?? config.app.port
  const url = pageUrl(config, port, 'operator')
  const viewerUrl = pageUrl(config, port, 'viewer')
  if (config.jsonReady) {
    say(JSON.stringify({ event: 'ready', url, viewerUrl, port, pid: process.pid }))
    return
  }
  const [store] = await storesOf(app, config, port)
  if (store !== undefined) describe(store, config)
  say(
    `\n  ${url}\n\nThe address holds the access token of this start. Stop with Ctrl+C.\n\nTo only look:\n  ${viewerUrl}`,
  )
  if (config.openBrowser) openInBrowser(url)
}

async function listen(app: App, config: ServeConfig): Promise<void> {
  const { host, port } = config.app
  const candidates = config.portFixed
    ? [port]
    : [...Array.from({ length: PORTS_TRIED }, (_, i) => port + i), 0]
  for (const candidate of candidates) {
    try {
      await app.listen({ host, port: candidate })
      if (candidate !== port && !config.jsonReady)
        say(`Port ${port} is taken, another one is used.`)
      return
    } catch (error) {
      const taken = error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
      if (!taken) throw error
    }
  }
  throw new Error(`port ${port} on ${host} is taken; choose another with --port`)
}

/** Through the front door like everybody: the application has no other one. */
async function storesOf(app: App, config: ServeConfig, port: number): Promise<StoreInfo[]> {
  const answer = await app.inject({
    url: `${API_BASE}/stores`,
    headers: { host: `127.0.0.1:${port}`, authorization: `Bearer ${config.app.tokens.operator}` },
  })
  return answer.json<StoresBody>().stores
}

function describe(store: StoreInfo, config: ServeConfig): void {
  if (store.failure !== null) {
    complain(`${config.dir} could not be opened: ${store.failure.code}: ${store.failure.message}`)
  } else if (store.mode === 'attached') {
    say(`Restage reads ${config.dir} and writes nothing in it.`)
  } else {
    const workload = config.app.stores[0]?.init.workload.autostart === true
    say(
      `Restage hosts ${config.dir} (${store.engine?.profile ?? 'unknown'}${workload ? ', workload running' : ''}).`,
    )
  }
}

function pageUrl(config: ServeConfig, port: number, role: Role): string {
  const { host, tokens } = config.app
  // 0.0.0.0 and :: are no addresses to visit.
  const name =
    host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}/#token=${tokens[role]}`
}

/** First signal: stop in order; second: stop now. */
function endOnSignals(app: App): void {
  let ending = false
  const end = (): void => {
    if (ending) process.exit(1)
    ending = true
    app.close().then(
      () => process.exit(0),
      (error: unknown) => {
        complain(`closing failed: ${String(error)}`)
        process.exit(1)
      },
    )
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
}

/** Best effort: the address is printed anyway. */
function openInBrowser(url: string): void {
  const commands: Partial<Record<NodeJS.Platform, [string, string[]]>> = {
    darwin: ['open', [url]],
    win32: ['explorer.exe', [url]],
  }
  const [command, args] = commands[process.platform] ?? ['xdg-open', [url]]
  const child = spawn(command, args, { stdio: 'ignore', detached: true })
  child.on('error', () => undefined)
  child.unref()
}

/** A reader like `head` that has seen enough is no failure; a disk without room for the output is one. */
function endWhenOutputIsLost(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_OK)
    complain(`restage: standard output: ${error.message}`)
    process.exit(EXIT_FAILED)
  })
}

/** Ctrl-C ends the work where it leaves the folder whole; a second one ends the process at once. */
async function runCommand(run: CommandRun): Promise<number> {
  const cancel = new AbortController()
  const end = (): void => {
    if (cancel.signal.aborted) process.exit(EXIT_INTERRUPTED)
    cancel.abort()
  }
  process.on('SIGINT', end)
  process.on('SIGTERM', end)
  const { stderr } = process
  const progress = stderr.isTTY
    ? (line: string): void => void stderr.write(`\r\u001b[K${line}`)
    : undefined
  const output = { write: (text: string) => void process.stdout.write(text), complain, progress }
  return run(output, { nowMs: Date.now(), signal: cancel.signal })
}

const intent = readIntent(processSurroundings())
if (intent.kind !== 'serve') endWhenOutputIsLost()
try {
  if (intent.kind === 'stop') {
    const stream = intent.exitCode === EXIT_OK ? process.stdout : process.stderr
    stream.write(intent.text)
    process.exitCode = intent.exitCode
  } else if (intent.kind === 'run') process.exitCode = await runCommand(intent.run)
  else if (intent.kind === 'inspect') {
    const { command } = intent
    process.exitCode = await runCommand((output, context) => runInspect(command, output, context))
  } else await serve(intent.config)
} catch (error) {
  complain(`restage: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}
