/**
 * `npm run fuzz -- [--folders N] [--decoders N] [--seed S]`: hostile folders, and the decoders one by one
 * (both by default). Prints counts by sample, kind and outcome, what the worst needed, and each
 * problem with the seed that repeats it; ends with 1 after a problem.
 */
import * as path from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { fuzzDecoders } from './decoders.ts'
import type { Outcome } from './folders.ts'
import type { FolderNews, FolderWork } from './worker.ts'

/** No folder needs a second; on a busy machine ten. */
const HANG_MS = 60_000
const REPORT_EVERY = 1000

const { values } = parseArgs({
  options: {
    folders: { type: 'string' },
    decoders: { type: 'string' },
    seed: { type: 'string' },
  },
})
const isPlain = values.folders === undefined && values.decoders === undefined
const folders = Number(values.folders ?? (isPlain ? 10_000 : 0))
const decoders = Number(values.decoders ?? (isPlain ? 100_000 : 0))
const firstSeed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
if (![folders, decoders, firstSeed].every(Number.isInteger)) {
  process.stderr.write('--folders N, --decoders N, --seed N\n')
  process.exit(2)
}

// Built to dist/test/fuzz; the samples stay where they are.
const DATA = path.resolve(import.meta.dirname, '../../../test/data')

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

class Tally {
  folders = 0
  readonly problems: string[] = []
  calls = 0
  bytes = 0
  memoryBytes = 0
  rssBytes = 0
  readonly #counts = new Map<string, Map<string, number>>()

  add(outcome: Outcome): void {
    this.folders++
    this.calls = Math.max(this.calls, outcome.calls)
    this.bytes = Math.max(this.bytes, outcome.bytes)
    this.memoryBytes = Math.max(this.memoryBytes, outcome.memoryBytes)
    for (const group of ['sample', 'kind', 'reading', 'opening', 'rewriting'] as const) {
      this.#count(group, outcome[group])
    }
    if (outcome.problem !== null) this.problem(outcome.problem)
  }

  problem(text: string): void {
    this.problems.push(text)
    say(`PROBLEM ${text}`)
  }

  #count(group: string, name: string): void {
    const counts = this.#counts.get(group) ?? new Map<string, number>()
    counts.set(name, (counts.get(name) ?? 0) + 1)
    this.#counts.set(group, counts)
  }

  report(seconds: number): void {
    const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`
    say(
      `folders=${this.folders} problems=${this.problems.length} seconds=${seconds.toFixed(1)} ` +
        `calls_max=${this.calls} bytes_moved_max=${mib(this.bytes)} ` +
        `memory_max=${mib(this.memoryBytes)} rss_max=${mib(this.rssBytes)}`,
    )
    for (const [group, counts] of this.#counts) {
      const sorted = [...counts].sort(([, a], [, b]) => b - a)
      say(`  ${group}: ${sorted.map(([name, count]) => `${name}=${count}`).join(' ')}`)
    }
  }
}

/** Meets folders until `work` is done or one of them hangs; the number met. */
function runWorker(work: FolderWork, tally: Tally): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: work })
    let current: { met: number; sample: string } | undefined
    let met = 0
    let deadline = setTimeout(() => undefined, 0)
    const watch = (): void => {
      clearTimeout(deadline)
      deadline = setTimeout(() => {
        tally.problem(`${current?.sample}, seed ${current?.met}: hangs`)
        void worker.terminate().then(() => resolve(met + 1))
      }, HANG_MS)
    }
    worker.on('message', (news: FolderNews) => {
      watch()
      if ('met' in news) {
        current = news
        return
      }
      met++
      tally.rssBytes = Math.max(tally.rssBytes, news.rssBytes)
      tally.add(news.outcome)
      if (tally.folders % REPORT_EVERY === 0) say(`... ${tally.folders} folders`)
    })
    worker.on('error', (error) => {
      clearTimeout(deadline)
      reject(error)
    })
    worker.on('exit', () => {
      clearTimeout(deadline)
      resolve(met)
    })
    watch()
  })
}

say(`seed=${firstSeed}`)
let failed = false
if (folders > 0) {
  const tally = new Tally()
  const started = performance.now()
  for (let done = 0; done < folders;) {
    const work = { data: DATA, firstSeed: firstSeed + done, folders: folders - done }
    done += await runWorker(work, tally)
  }
  tally.report((performance.now() - started) / 1000)
  failed = tally.problems.length > 0
}
if (decoders > 0) {
  const { lines, problems } = await fuzzDecoders(decoders, firstSeed)
  for (const line of [...lines, ...problems.map((problem) => `PROBLEM ${problem}`)]) say(line)
  failed ||= problems.length > 0
}
process.exitCode = failed ? 1 : 0
