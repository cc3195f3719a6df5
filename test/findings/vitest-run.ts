/** Runs named tests of a copy of the tree in a process of their own, and says how each ended. */
import { spawn, type ChildProcess } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'

/** Far beyond the slowest of the tests that are named. */
const LONGEST_RUN_MS = 300_000
/** What is random in a test is the same in each run: with a defect and without. */
const SEED = '20261123'

const children = new Set<ChildProcess>()

/** For somebody who ends the whole: nothing of it goes on. */
export function stopRuns(): void {
  for (const child of children) stop(child)
}

/** Its workers as well: one that a defect lets run round in circles hears of nothing. */
function stop(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  } catch {
    // They ended by themselves.
  }
}

export interface TestResult {
  file: string
  title: string
  status: string
  /** Message and stack of each failure. */
  failures: string[]
}

export interface Run {
  results: TestResult[]
  /** Why a file gave no results at all: it did not load, or the run had no end. */
  problems: string[]
}

interface JsonReport {
  testResults: {
    name: string
    message?: string
    assertionResults: { title: string; status: string; failureMessages: string[] | null }[]
  }[]
}

/** Store workers and commands run built JavaScript. Types are not asked: a defect need not please them. */
export async function build(root: string): Promise<void> {
  const tsc = 'node_modules/typescript/bin/tsc'
  const args = [tsc, '-p', 'tsconfig.json', '--noCheck']
  const { code, output } = await inProcess(root, args)
  if (code !== 0) throw new Error(`the copy does not build: ${output}`)
}

export function needsBuild(testFile: string): boolean {
  return testFile.startsWith('test/server/')
}

/** `titles`: how the titles of the wanted tests begin. */
export async function runTests(
  root: string,
  files: readonly string[],
  titles: readonly string[],
): Promise<Run> {
  const report = path.join(root, 'report.json')
  fs.rmSync(report, { force: true })
  const args = [
    'node_modules/vitest/vitest.mjs',
    ...['run', '--config', 'test/findings/vitest.config.ts', '--root', '.'],
    ...['--reporter=json', `--outputFile=${report}`, '-t', titles.map(escaped).join('|')],
    ...files,
  ]
  const { output } = await inProcess(root, args)
  if (!fs.existsSync(report)) return { results: [], problems: [`no report: ${output.slice(-500)}`] }
  const { testResults } = JSON.parse(fs.readFileSync(report, 'utf8')) as JsonReport
  const run: Run = { results: [], problems: [] }
  for (const { name, message = '', assertionResults } of testResults) {
    const file = path.relative(fs.realpathSync(root), name)
    if (assertionResults.length === 0 && message !== '') run.problems.push(`${file}: ${message}`)
    for (const { title, status, failureMessages } of assertionResults) {
      run.results.push({ file, title, status, failures: failureMessages ?? [] })
    }
  }
  return run
}

/**
 * A test said that the property does not hold: an assertion that failed in the tests' own code. Anything
 * else that ends a test (a crash in the product, a reference to nothing, time) is no proof.
 */
export function isAssertion(failure: string): boolean {
  // A property tells first for which values it does not hold.
  const begins = /^(?:Error: )?Property failed after [\s\S]*?\nGot (?=AssertionError)/.exec(failure)
  const error = begins === null ? failure : failure.slice(begins[0].length)
  // The second is what `expect(...).rejects` says of a promise that resolves.
  if (!/^(AssertionError|Error: promise resolved .* instead of rejecting)/.test(error)) return false
  const frames = error.split('\n').filter((line) => /^\s+at /.test(line))
  const own = frames.find((line) => !/node_modules|node:|<anonymous>\)/.test(line))
  return own !== undefined && /[/\\]test[/\\]/.test(own)
}

function escaped(text: string): string {
  return text.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)
}

function inProcess(cwd: string, args: string[]): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, CI: 'true', RESTAGE_SEED: SEED, NO_COLOR: '1' }
    // A group of its own, so that all of it can be stopped.
    const options = { cwd, env, detached: true }
    const child = spawn(process.execPath, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    children.add(child)
    let output = ''
    const gather = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-20_000)
    }
    child.stdout.on('data', gather)
    child.stderr.on('data', gather)
    const tooLong = setTimeout(() => stop(child), LONGEST_RUN_MS)
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(tooLong)
      children.delete(child)
      resolve({ code, output })
    })
  })
}
