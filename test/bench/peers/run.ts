/**
 * Compares stores on one workload: rounds in alternating order, medians, ratios within this run.
 *
 *   npm run bench:peers -- [--puts N] [--keys N] [--gets N] [--rounds N] [--engines a,b]
 *                          [--sync none|batch] [--dir DIR] [--seed N] [--quick]
 *
 * Prints `name metric=value` lines and then the same as a table.
 */
import { fork, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { choices, flags } from '../flags.ts'
import { ADAPTERS } from './adapters/index.ts'
import type { Result, Task } from './child.ts'
import { metricsOf, printMetrics, printRatios, printTable, type Metrics } from './report.ts'
import { PEERS_FOLDER, type Sync } from './store.ts'
import type { Workload } from './workload.ts'

interface Settings {
  workload: Workload
  rounds: number
  engines: string[]
  sync: Sync
  dir: string
}

function settings(): Settings {
  const values = flags({
    puts: 0,
    keys: 0,
    gets: 0,
    rounds: 0,
    engines: '',
    sync: 'none',
    dir: os.tmpdir(),
    seed: 1,
    quick: false,
  })
  const { quick } = values
  const [sync] = choices('sync', values.sync, ['none', 'batch']) as [Sync]
  // Each synced batch waits for the disk: a fifth of the work says as much.
  const part = sync === 'batch' ? 5 : 1
  const or = (given: number, otherwise: number): number => (given === 0 ? otherwise : given)
  const keys = or(values.keys, quick ? 20_000 : 250_000 / part)
  const engines = ADAPTERS.map((a) => a.name)
  return {
    workload: {
      keys,
      puts: or(values.puts, 4 * keys),
      gets: or(values.gets, quick ? 20_000 : 200_000 / part),
      valueBytes: 1024,
      batch: 100,
      seed: values.seed,
    },
    rounds: or(values.rounds, quick ? 1 : 3),
    engines: values.engines === '' ? engines : choices('engines', values.engines, engines),
    sync,
    dir: values.dir,
  }
}

function installPeers(): void {
  if (fs.existsSync(path.join(PEERS_FOLDER, 'node_modules'))) return
  process.stderr.write('installing the peers (one of them is compiled: about a minute) ...\n')
  const { status } = spawnSync('npm', ['ci', '--prefix', PEERS_FOLDER, '--no-audit', '--no-fund'], {
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) throw new Error('the peers could not be installed')
}

function runChild(task: Task): Promise<Result> {
  const child = fork(fileURLToPath(new URL('child.js', import.meta.url)), { stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.on('message', (message: { result?: Result; error?: string }) => {
      if (message.result !== undefined) resolve(message.result)
      else reject(new Error(`${task.engine}: ${message.error ?? 'failed'}`))
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      reject(new Error(`${task.engine} ended with ${signal ?? `code ${code}`}`))
    })
    child.send(task)
  })
}

async function main(): Promise<void> {
  const { workload, rounds, engines, sync, dir } = settings()
  for (const name of engines) {
    if (!ADAPTERS.some((a) => a.name === name)) throw new Error(`no engine '${name}'`)
  }
  if (engines.some((name) => !name.startsWith('restage'))) installPeers()
  const runs = new Map<string, Metrics[]>(engines.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    // There and back, so that a slow hour of the machine meets all alike.
    const order = round % 2 === 0 ? engines : [...engines].reverse()
    for (const engine of order) {
      const folder = fs.mkdtempSync(path.join(dir, `restage-peers-${engine}-`))
      try {
        const result = await runChild({ engine, dir: folder, sync, workload })
        const metrics = metricsOf(result)
        runs.get(engine)?.push(metrics)
        process.stderr.write(
          `round ${round + 1} ${engine}: ${Math.round(metrics.puts_per_s)} puts/s ${Math.round(metrics.gets_per_s)} gets/s\n`,
        )
      } finally {
        fs.rmSync(folder, { recursive: true, force: true })
      }
    }
  }
  const what = `peers/${sync === 'none' ? 'unsynced' : 'synced'}`
  process.stdout.write(
    `${what} puts=${workload.puts} keys=${workload.keys} gets=${workload.gets} value_bytes=${workload.valueBytes} batch=${workload.batch} rounds=${rounds} seed=${workload.seed}\n`,
  )
  const medians = printMetrics(what, runs)
  printRatios(what, medians)
  printTable(medians, sync)
}

await main()
