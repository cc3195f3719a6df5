/**
 * Makes the screenshots of the README from the built program: the demo store in a temporary folder, a
 * minute of its own workload, then the page in both themes and narrow. `npm run screenshots`.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { needBrowser } from './browser.js'

const ROOT = resolve(import.meta.dirname, '..')
const OUT = join(ROOT, 'web/screenshots')
/** Long enough for kicks, restages and a quiet phase to be on the page. */
const CHURN_MS = 75_000
/** Then until this many are queued, so that the pictures show a queue; not for ever. */
const QUEUED = 3
const QUEUED_WAIT_MS = 120_000

const SHOTS = [
  { name: 'overview-light', width: 1440, height: 1240, scheme: 'light' },
  { name: 'overview-dark', width: 1440, height: 1240, scheme: 'dark' },
  { name: 'overview-narrow', width: 390, height: 1400, scheme: 'light' },
]

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const folder = mkdtempSync(join(tmpdir(), 'restage-screenshots-'))
const server = spawn(
  process.execPath,
  [
    join(ROOT, 'dist/server/main.js'),
    'serve',
    '--port',
    '0',
    '--json-ready',
    '--no-open',
    '--log-level',
    'warn',
  ],
  { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
)
const browser = await chromium.launch({ executablePath: needBrowser(), args: FLAGS })
try {
  const url = await readyUrl(server)
  const pages = []
  // Open from the beginning, so that the charts have the whole run.
  for (const shot of SHOTS) {
    const { width, height, scheme } = shot
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme })
    const page = await context.newPage()
    await page.goto(url)
    pages.push({ page, shot })
  }
  process.stdout.write(`churning for ${CHURN_MS / 1000} s\n`)
  await new Promise((done) => setTimeout(done, CHURN_MS))
  await pages[0].page
    .waitForFunction(
      (wanted) =>
        Number(document.querySelector('[data-testid="queue-length"]')?.dataset.count) >= wanted,
      QUEUED,
      { timeout: QUEUED_WAIT_MS },
    )
    .catch(() => process.stdout.write('the queue stayed short; taking the pictures anyway\n'))
  mkdirSync(OUT, { recursive: true })
  for (const { page, shot } of pages) {
    const file = join(OUT, `${shot.name}.png`)
    await page.screenshot({ path: file })
    process.stdout.write(`wrote ${file}\n`)
  }
} finally {
  await browser.close()
  server.kill('SIGTERM')
  await new Promise((done) => server.once('exit', done))
  rmSync(folder, { recursive: true, force: true })
}

function readyUrl(child) {
  return new Promise((done, fail) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) done(JSON.parse(line).url)
    })
    child.once('exit', (code) => fail(new Error(`the server ended with ${code}`)))
  })
}
