/**
 * End-to-end ground: the built server as a child process on loopback, a real headless browser, and a
 * small client of the REST API. Everything started here is stopped by `cleanUp`.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import * as crypto from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import * as readline from 'node:readline'
import { chromium, type Browser, type Page } from 'playwright-core'
import type { ActionName, Actions, ErrorBody } from '../../server/protocol.ts'

export const ROOT = path.resolve(import.meta.dirname, '../..')
export const TOKEN = 'end-to-end-token-0123456789'

const BROWSER_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const children = new Set<ChildProcess>()
const folders = new Set<string>()
let browser: Browser | undefined

export function temporaryFolder(): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-e2e-'))
  folders.add(folder)
  return folder
}

export async function cleanUp(): Promise<void> {
  await browser?.close()
  browser = undefined
  for (const child of children) child.kill('SIGKILL')
  children.clear()
  for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true })
  folders.clear()
}

export interface Server {
  url: string
  port: number
  storeId: string
  child: ChildProcess
  /** SIGTERM, and waits for the exit code. */
  stop(): Promise<number | null>
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>
  get<T>(route: string): Promise<T>
  act<N extends ActionName>(name: N, body: Actions[N]['body']): Promise<Actions[N]['answer']>
  post(route: string, body: unknown): Promise<Response>
}

/** Starts the built server and waits until it listens. */
export async function startServer(
  args: string[],
  options: { cwd?: string; token?: string } = {},
): Promise<Server> {
  const main = path.join(ROOT, 'dist/server/main.js')
  const token = options.token ?? TOKEN
  const child = spawn(
    process.execPath,
    [main, 'serve', ...args, '--token', token, '--json-ready', '--no-open', '--log-level', 'warn'],
    { cwd: options.cwd ?? ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  )
  children.add(child)
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const ready = await new Promise<{ url: string; port: number }>((resolve, reject) => {
    readline.createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) resolve(JSON.parse(line) as { url: string; port: number })
    })
    void exited.then((code) => {
      reject(new Error(`the server ended with ${String(code)}: ${errors}`))
    })
  })
  const base = `http://127.0.0.1:${String(ready.port)}/api/v1`
  const headers = { authorization: `Bearer ${token}` }
  const get = async <T>(route: string): Promise<T> =>
    checked<T>(await fetch(`${base}${route}`, { headers }))
  const { stores } = await get<{ stores: { storeId: string }[] }>('/stores')
  const storeId = stores[0]?.storeId ?? ''
  const post = (route: string, body: unknown): Promise<Response> =>
    fetch(`${base}/stores/${storeId}${route}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  return {
    ...ready,
    storeId,
    child,
    get: (route) => get(`/stores/${storeId}${route}`),
    post,
    act: async (name, body) => checked(await post(`/actions/${name}`, body)),
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function checked<T>(response: Response): Promise<T> {
  const body = (await response.json()) as T | ErrorBody
  if (response.ok) return body as T
  const { code, message } = (body as ErrorBody).error
  throw new Error(`${String(response.status)} ${code}: ${message}`)
}

export async function openPage(
  url: string,
  options: { width?: number; height?: number; dark?: boolean } = {},
): Promise<Page> {
  browser ??= await chromium.launch({
    executablePath: process.env['CHROME_PATH'] ?? '/usr/bin/chromium',
    args: BROWSER_FLAGS,
  })
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: options.height ?? 1000 },
    colorScheme: options.dark === true ? 'dark' : 'light',
  })
  const page = await context.newPage()
  await page.goto(url)
  return page
}

/** Polls until `probe` gives something; the tests' only waiting, for other processes. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const found = await probe()
    if (found !== undefined && found !== false) return found
    if (Date.now() > deadline) throw new Error(`${what}: not within ${String(timeoutMs)} ms`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Sizes of the value-log files on disk, by path relative to the folder. */
export function segmentFiles(dir: string): Map<string, number> {
  const folder = path.join(dir, 'maindb/value_vlog')
  return new Map(
    fs.readdirSync(folder).map((name) => {
      return [`maindb/value_vlog/${name}`, fs.statSync(path.join(folder, name)).size]
    }),
  )
}

/** Content hash, size and times of every file and folder below `dir`. */
export function fingerprint(dir: string): Record<string, string> {
  const found: Record<string, string> = {}
  const visit = (relative: string): void => {
    const full = path.join(dir, relative)
    const stat = fs.lstatSync(full)
    const times = `${String(stat.mtimeMs)} ${String(stat.mode)}`
    if (stat.isDirectory()) {
      found[`${relative}/`] = times
      for (const name of fs.readdirSync(full).sort()) visit(path.join(relative, name))
    } else {
      const hash = crypto.createHash('sha256').update(fs.readFileSync(full)).digest('hex')
      found[relative] = `${times} ${hash}`
    }
  }
  visit('.')
  return found
}
