/**
 * The one gate, for people and machines: format, types, lint, build, unit tests, end-to-end tests in a
 * real browser. Stops at the first step that fails. `npm test -- unit` runs only the named steps.
 */
import { spawnSync } from 'node:child_process'
import { needBrowser } from './browser.js'

const npx = process.platform === 'win32' ? 'npx.cmd' : 'npx'

const STEPS = {
  format: ['prettier', '--check', '.', '--log-level', 'warn'],
  'types: engine, server, benches': ['tsc', '-p', 'tsconfig.json', '--noEmit'],
  'types: web': ['tsc', '-p', 'web/tsconfig.json'],
  'types: tests': ['tsc', '-p', 'test/tsconfig.json'],
  lint: ['eslint', '.'],
  'build: server': ['tsc', '-p', 'tsconfig.json'],
  'build: web': ['vite', 'build', 'web', '--logLevel', 'warn'],
  unit: ['vitest', 'run', '--config', 'test/vitest.config.ts', '--root', '.'],
  e2e: ['vitest', 'run', '--config', 'test/vitest.e2e.config.ts', '--root', '.'],
}

const wanted = process.argv.slice(2)
const chosen = Object.entries(STEPS).filter(
  ([name]) => wanted.length === 0 || wanted.some((word) => name.startsWith(word)),
)
if (chosen.length === 0) {
  process.stderr.write(
    `no step begins with "${wanted.join('" or "')}"; steps: ${Object.keys(STEPS).join(', ')}\n`,
  )
  process.exit(2)
}

for (const [name, command] of chosen) {
  const started = Date.now()
  const env = { ...process.env }
  if (name === 'e2e') env.CHROME_PATH = needBrowser()
  process.stdout.write(`\n== ${name}\n`)
  const result = spawnSync(npx, ['--no-install', ...command], { stdio: 'inherit', env })
  const seconds = ((Date.now() - started) / 1000).toFixed(1)
  if (result.status !== 0) {
    process.stderr.write(`== ${name} failed after ${seconds} s\n`)
    process.exit(result.status ?? 1)
  }
  process.stdout.write(`== ${name} passed in ${seconds} s\n`)
}
process.stdout.write(`\nAll ${chosen.length} steps passed.\n`)
