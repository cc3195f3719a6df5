/**
 * Pictures of every view from the built program: the demo store in a temporary folder, some of its own
 * workload, then each view in both themes, wide and at 390 px. `npm run screenshots` writes them all to
 * dist/screenshots to be looked at; `-- --readme` also replaces the few that the README shows.
 * `-- --churn 20` shortens the churn to so many seconds.
 */
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { needBrowser } from './browser.js'

const ROOT = resolve(import.meta.dirname, '..')
const OUT = join(ROOT, 'dist/screenshots')
const README = join(ROOT, 'web/screenshots')
/** Long enough for kicks, restages and a quiet phase to be on the page. */
const CHURN_S = 75
/** What the README shows; few, because every clone carries them. */
const README_SHOTS = ['overview-light', 'passes-dark', 'overview-narrow']

const VIEWS = [
  'overview',
  'segments',
  'queue',
  'passes',
  'step',
  'trace',
  'history',
  'pins',
  'workload',
  'stores',
]

const KINDS = [
  { kind: 'light', width: 1440, height: 1000, scheme: 'light' },
  { kind: 'dark', width: 1440, height: 1000, scheme: 'dark' },
  { kind: 'narrow', width: 390, height: 844, scheme: 'light' },
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

const args = process.argv.slice(2)
const churnAt = args.indexOf('--churn')
const churnS = churnAt === -1 ? CHURN_S : Number(args[churnAt + 1])

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
  const { origin, hash } = new URL(url)
  const token = new URLSearchParams(hash.slice(1)).get('token')
  await act(origin, token, 'hold-snapshot', { label: 'nightly backup' })
  process.stdout.write(`churning for ${churnS} s\n`)
  await new Promise((done) => setTimeout(done, churnS * 1000))
  mkdirSync(OUT, { recursive: true })
  for (const { kind, width, height, scheme } of KINDS) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme })
    const page = await context.newPage()
    await page.goto(url)
    await page.getByTestId('connection-state').getByText('live').waitFor()
    for (const view of VIEWS) {
      await page.evaluate((name) => (location.hash = `#/${name}`), view)
      await page.locator(`main[data-view="${view}"]`).waitFor()
      await page.locator('main [aria-busy="true"]').waitFor({ state: 'detached' })
      await page.waitForTimeout(900)
      await page.screenshot({ path: join(OUT, `${view}-${kind}.png`) })
    }
    await drawerShots(page, kind)
    await context.close()
  }
  if (args.includes('--readme')) {
    mkdirSync(README, { recursive: true })
    for (const name of README_SHOTS) {
      copyFileSync(join(OUT, `${name}.png`), join(README, `${name}.png`))
    }
  }
  process.stdout.write(`wrote ${OUT}\n`)
} finally {
  await browser.close()
  server.kill('SIGTERM')
  await new Promise((done) => server.once('exit', done))
  rmSync(folder, { recursive: true, force: true })
}

/** A segment and a pass in the drawer, and the help. */
async function drawerShots(page, kind) {
  await page.evaluate(() => (location.hash = '#/segments?colour=verdict'))
  await page.getByTestId('segment-row').nth(2).locator('button').click()
  await page.waitForTimeout(900)
  await page.screenshot({ path: join(OUT, `drawer-segment-${kind}.png`) })
  await page.evaluate(() => (location.hash = '#/passes?outcome=rewrote'))
  await page
    .getByTestId('pass-row')
    .first()
    .click({ timeout: 5000 })
    .catch(() => process.stdout.write('no pass has rewritten anything yet\n'))
  await page.waitForTimeout(900)
  await page.screenshot({ path: join(OUT, `drawer-pass-${kind}.png`) })
  await page.keyboard.press('Escape')
  await page.keyboard.press('?')
  await page.waitForTimeout(300)
  await page.screenshot({ path: join(OUT, `help-${kind}.png`) })
}

async function act(origin, token, name, body) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const { stores } = await (await fetch(`${origin}/api/v1/stores`, { headers })).json()
  await fetch(`${origin}/api/v1/stores/${stores[0].storeId}/actions/${name}`, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  })
}

function readyUrl(child) {
  return new Promise((done, fail) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('{')) done(JSON.parse(line).url)
    })
    child.once('exit', (code) => fail(new Error(`the server ended with ${code}`)))
  })
}
