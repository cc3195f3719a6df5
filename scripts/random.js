/**
 * Many random histories: `npm run random -- --runs 2000 --seed N`. Half of them with the profiles that
 * lose nothing, half with the one that may. Prints the seed first, so that a run that never came back
 * can be repeated; a failure prints the shortest history that shows it.
 */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { runs: { type: 'string' }, seed: { type: 'string' } } })
const runs = Number(values.runs ?? 200)
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31))
if (!Number.isSafeInteger(runs) || runs < 1 || !Number.isSafeInteger(seed)) {
  console.error('--runs takes a number from 1, --seed an integer')
  process.exit(2)
}
console.log(`random runs=${runs} seed=${seed}`)
const started = performance.now()
const { status } = spawnSync(
  process.execPath,
  [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--config',
    'test/vitest.config.ts',
    '--root',
    '.',
    'test/engine/randomised.test.ts',
  ],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      RESTAGE_RUNS: String(Math.ceil(runs / 2)),
      RESTAGE_SEED: String(seed),
    },
  },
)
const seconds = (performance.now() - started) / 1000
console.log(
  `random runs=${runs} seed=${seed} failed=${status === 0 ? 0 : 1} seconds=${seconds.toFixed(0)}`,
)
process.exitCode = status ?? 1
