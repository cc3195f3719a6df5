/**
 * `npm run soak -- [--minutes N] [--profile P] [--seed S]`: the crash loop until it is stopped, over all
 * three profiles in turn. Prints what was killed where, once a minute and at the end; ends with 1
 * after a failure, whose folder is kept.
 */
import * as path from 'node:path'
import { parseArgs } from 'node:util'
import { CrashLoop, PROFILES } from './loop.ts'

const REPORT_EVERY_MS = 60_000

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    profile: { type: 'string' },
    seed: { type: 'string' },
  },
})
const minutes = Number(values.minutes ?? Infinity)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
const profiles = PROFILES.filter((profile) => (values.profile ?? profile) === profile)
if (!(minutes > 0) || !Number.isInteger(seed) || profiles.length === 0) {
  process.stderr.write(`--minutes N, --seed N, --profile ${PROFILES.join(' | ')}\n`)
  process.exit(2)
}

/** mulberry32. */
function randomOf(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

function counts(of: ReadonlyMap<string, number>): string {
  return [...of]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name}=${count}`)
    .join(' ')
}

const child = path.join(import.meta.dirname, 'child.js')
const loops = profiles.map((profile, i) => ({
  profile,
  loop: new CrashLoop({ profile, seed, child, random: randomOf(seed + i) }),
  shownFailures: 0,
}))

function report(): void {
  for (const entry of loops) {
    const { cycles, writes, kills, passes, failures } = entry.loop.tally
    process.stdout.write(
      `${entry.profile} seed=${seed} cycles=${cycles} writes=${writes} failures=${failures.length}\n` +
        `  kills: ${counts(kills)}\n  passes: ${counts(passes)}\n`,
    )
    for (const failure of failures.slice(entry.shownFailures))
      process.stdout.write(`  ${failure}\n`)
    entry.shownFailures = failures.length
  }
}

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())

const started = performance.now()
let reported = started
const over = (): boolean => stop.signal.aborted || performance.now() - started >= minutes * 60_000
while (!over()) {
  for (const { loop } of loops) if (!over()) await loop.cycle()
  if (performance.now() - reported < REPORT_EVERY_MS) continue
  reported = performance.now()
  report()
}
report()
for (const { loop } of loops) loop.close()
process.exitCode = loops.some(({ loop }) => loop.tally.failures.length > 0) ? 1 : 0
