/**
 * `npm start`: builds what is missing or older than its sources, then runs the server in this
 * terminal with the remaining arguments. `--rebuild` builds everything first.
 */
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const node = process.execPath
const bin = (name) => path.join(root, 'node_modules', name)

const PARTS = [
  {
    what: 'engine and server',
    product: 'dist/server/main.js',
    sources: ['engine', 'server', 'test/bench', 'test/crash', 'tsconfig.json', 'package.json'],
    // Nothing is written on an error: a half-good product must not pass for a fresh one next time.
    command: [bin('typescript/bin/tsc'), '-p', 'tsconfig.json', '--noEmitOnError'],
  },
  {
    what: 'user interface',
    product: 'dist/web/index.html',
    sources: ['web', 'server/protocol.ts', 'engine/types.ts', 'package.json'],
    command: [bin('vite/bin/vite.js'), 'build', 'web', '--logLevel', 'warn'],
  },
]

/** Newest change of a source below a file or folder, in milliseconds; 0 when absent. */
function changedAt(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  if (stat === undefined || file.endsWith('.md')) return 0
  if (!stat.isDirectory()) return stat.mtimeMs
  return fs
    .readdirSync(file)
    .filter((name) => name !== 'node_modules')
    .reduce((newest, name) => Math.max(newest, changedAt(path.join(file, name))), 0)
}

function isFresh(part) {
  const product = changedAt(path.join(root, part.product))
  return part.sources.every((source) => changedAt(path.join(root, source)) <= product)
}

/** Resolves with the exit code; signals go on to the child, which decides what they mean. */
function run(args, options) {
  const child = spawn(node, args, { cwd: options.cwd, stdio: 'inherit' })
  const forward = (signal) => child.kill(signal)
  const onInterrupt = () => {
    // From a keyboard the child has got it already, as a member of the terminal's group.
    if (!process.stdin.isTTY) forward('SIGINT')
  }
  const onTerminate = () => forward('SIGTERM')
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.off('SIGINT', onInterrupt)
      process.off('SIGTERM', onTerminate)
      resolve(code ?? 128 + (os.constants.signals[signal] ?? 0))
    })
  })
}

const args = process.argv.slice(2)
const rebuild = args.includes('--rebuild')
for (const part of PARTS) {
  if (!rebuild && isFresh(part)) continue
  console.error(`Building the ${part.what} ...`)
  const code = await run(part.command, { cwd: root })
  if (code !== 0) process.exit(code)
}

const main = path.join(root, 'dist/server/main.js')
const code = await run(
  ['--enable-source-maps', main, ...args.filter((arg) => arg !== '--rebuild')],
  { cwd: process.cwd() },
)
process.exit(code)
