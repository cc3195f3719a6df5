/**
 * Proves that the tests catch the defects they are for: `npm run put-back [-- --only B7,F3]`. Each
 * put-back is applied to a copy of the tree, its test is run there, and it must fail by an assertion;
 * before that all of the tests must pass without any of them.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { parseArgs } from 'node:util'
import { applied, FINDINGS, PUT_BACKS, type PutBack } from './put-back.ts'
import {
  build,
  isAssertion,
  needsBuild,
  runTests,
  stopRuns,
  type TestResult,
} from './vitest-run.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
/** Not part of a copy; the dependencies are linked. */
const LEFT_OUT = new Set(['node_modules', 'dist', '.git', 'data', '.vite', 'coverage'])

const HELP = `npm run put-back [-- --only ID,ID] [--jobs N] [--list]

Puts each known defect back into a copy of the tree and demands that the named test fails there.

  --only ID,ID   these findings or rules alone, with all their variants
  --jobs N       copies tried at the same time, 1 to 4; default 2
  --list         what there is, without trying it
  --verbose      each line goes on with the defect and the assertion that failed
  --help         this text

Exit code: 0 all are caught, 1 one is not, does not apply or has no passing test, 2 wrong arguments.
`

type Verdict = { caught: true; by: string } | { caught: false; why: string }

interface Options {
  chosen: readonly PutBack[]
  jobs: number
  verbose: boolean
}

function optionsOf(args: string[]): Options | string {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      jobs: { type: 'string', default: '2' },
      list: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return HELP
  const only = (values.only ?? '').split(',').filter((id) => id !== '')
  const unknown = only.filter((id) => !PUT_BACKS.some((one) => isOf(one, id)))
  if (unknown.length > 0)
    throw new RangeError(`nothing is called ${unknown.join(', ')}; see --list`)
  const chosen = PUT_BACKS.filter((one) => only.length === 0 || only.some((id) => isOf(one, id)))
  if (values.list) return chosen.map((one) => `${one.id}: ${one.defect}\n`).join('')
  const jobs = Number(values.jobs)
  if (!(jobs >= 1 && jobs <= 4)) throw new RangeError(`--jobs is 1 to 4, not ${values.jobs}`)
  return { chosen, jobs: Math.min(jobs, chosen.length), verbose: values.verbose }
}

function isOf({ id }: PutBack, asked: string): boolean {
  return id.toLowerCase() === asked.trim().toLowerCase()
}

function copyOfTree(): string {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'restage-put-back-'))
  for (const name of fs.readdirSync(ROOT)) {
    if (LEFT_OUT.has(name)) continue
    fs.cpSync(path.join(ROOT, name), path.join(copy, name), {
      recursive: true,
      filter: (source) => !source.endsWith(`${path.sep}node_modules`),
    })
  }
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'))
  return copy
}

function resultsFor({ test }: PutBack, results: readonly TestResult[]): TestResult[] {
  return results.filter(({ file, title }) => file === test.file && title.startsWith(test.name))
}

/** Without any defect each named test passes: else its failing would prove nothing. */
async function withoutDefects(
  copy: string,
  chosen: readonly PutBack[],
): Promise<Map<PutBack, string>> {
  const files = [...new Set(chosen.map(({ test }) => test.file))]
  if (files.some(needsBuild)) await build(copy)
  const { results, problems } = await runTests(
    copy,
    files,
    chosen.map(({ test }) => test.name),
  )
  const failing = new Map<PutBack, string>()
  for (const one of chosen) {
    const own = resultsFor(one, results).filter(({ status }) => status !== 'skipped')
    const bad = own.find(({ status }) => status !== 'passed')
    const problem = problems.find((text) => text.startsWith(one.test.file))
    if (problem !== undefined) failing.set(one, problem)
    else if (own.length === 0) failing.set(one, `${one.test.file} has no test "${one.test.name}"`)
    else if (bad !== undefined) {
      failing.set(one, `fails without the defect: ${firstLine(bad.failures[0] ?? bad.status)}`)
    }
  }
  return failing
}

async function tryOne(copy: string, one: PutBack): Promise<Verdict> {
  const texts = applied(copy, one.edits)
  if (typeof texts === 'string') return { caught: false, why: `does not apply: ${texts}` }
  const before = new Map([...texts.keys()].map((file) => [file, textOf(copy, file)]))
  try {
    for (const [file, text] of texts) fs.writeFileSync(path.join(copy, file), text)
    if (needsBuild(one.test.file)) await build(copy)
    const { results, problems } = await runTests(copy, [one.test.file], [one.test.name])
    const failures = resultsFor(one, results).flatMap((result) => result.failures)
    const proof = failures.find(isAssertion)
    if (proof !== undefined) return { caught: true, by: assertionOf(proof) }
    const what = failures[0] ?? problems[0]
    const why = what === undefined ? 'its test passes' : `no assertion failed: ${firstLine(what)}`
    return { caught: false, why }
  } finally {
    for (const [file, text] of before) fs.writeFileSync(path.join(copy, file), text)
  }
}

function assertionOf(failure: string): string {
  const at = Math.max(0, failure.indexOf('AssertionError'))
  return firstLine(failure.slice(at)).replace(/^(AssertionError|Error): /, '')
}

function textOf(copy: string, file: string): string {
  return fs.readFileSync(path.join(copy, file), 'utf8')
}

function firstLine(text: string): string {
  return (text.split('\n', 1)[0] ?? '').slice(0, 300)
}

async function tryAll({ chosen, jobs, verbose }: Options, copies: string[]): Promise<number> {
  for (let i = 0; i < jobs; i++) copies.push(copyOfTree())
  const [first] = copies
  if (first === undefined) return 0
  const failing = await withoutDefects(first, chosen)
  process.stdout.write(
    `without defects: ${chosen.length - failing.size} of ${chosen.length} tests pass\n`,
  )
  const waiting = [...chosen]
  let caught = 0
  await Promise.all(
    copies.map(async (copy) => {
      for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
        const begun = performance.now()
        const broken = failing.get(one)
        const verdict: Verdict =
          broken === undefined ? await tryOne(copy, one) : { caught: false, why: broken }
        if (verdict.caught) caught++
        tell(one, verdict, { seconds: (performance.now() - begun) / 1000, verbose })
      }
    }),
  )
  process.stdout.write(
    `${chosen.length} put back: ${caught} caught, ${chosen.length - caught} not\n`,
  )
  return caught === chosen.length ? 0 : 1
}

function tell(
  { id, defect, test, cannotExist }: PutBack,
  verdict: Verdict,
  how: { seconds: number; verbose: boolean },
): void {
  const time = `${how.seconds.toFixed(1)} s`
  const by = `"${test.name}" ${time}`
  const line = verdict.caught
    ? `${id} caught by ${by}`
    : `${id} NOT CAUGHT by ${by}: ${verdict.why}`
  const why = cannotExist === undefined ? '' : ` (a property: ${cannotExist})`
  process.stdout.write(`${line}${why}\n`)
  if (!how.verbose) return
  process.stdout.write(`  defect: ${defect}\n`)
  if (verdict.caught) process.stdout.write(`  failed: ${verdict.by}\n`)
}

async function main(): Promise<number> {
  let options: Options | string
  try {
    options = optionsOf(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${HELP}`)
    return 2
  }
  if (typeof options === 'string') {
    process.stdout.write(options)
    return 0
  }
  const missing = FINDINGS.filter((id) => !PUT_BACKS.some((one) => isOf(one, id)))
  if (missing.length > 0) process.stderr.write(`no put-back for ${missing.join(', ')}\n`)
  const copies: string[] = []
  const remove = (): void => {
    stopRuns()
    for (const copy of copies.splice(0)) fs.rmSync(copy, { recursive: true, force: true })
  }
  // Also when somebody stops it.
  process.once('exit', remove)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const code = await tryAll(options, copies)
  return missing.length > 0 ? 1 : code
}

process.exitCode = await main()
