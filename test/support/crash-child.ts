/**
 * A process to be killed: writes to a durable store, with checkpoints, rewrites and GC beside it, and
 * says on its standard output what it is about to write and what was acknowledged.
 *
 *   b <n> <key> <bytes>   write n begins; bytes -1 = a delete
 *   a <n>                 it is acknowledged
 *   s <json>              the staged debt; from then on it stays the same
 */
import { writeSync } from 'node:fs'
import { manualClock, nodeFileSystem, openEngine } from '../../engine/index.ts'

const STANDARD_OUTPUT = 1

const [dir = '', first = '0'] = process.argv.slice(2)

const yieldNow = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const engine = await openEngine(
  dir,
  { mode: 'step', inlineThreshold: 64, segmentBytes: 16_384, sliceMs: 0.1 },
  {
    clock: manualClock(),
    fileSystem: nodeFileSystem,
    yieldNow,
  },
)

function say(line: string): void {
  writeSync(STANDARD_OUTPUT, `${line}\n`)
}

async function write(): Promise<never> {
  for (let n = Number(first); ; n++) {
    const key = (n * 7) % 61
    const bytes = n % 11 === 5 ? -1 : (n * 37) % 1500
    say(`b ${n} ${key} ${bytes}`)
    const name = Buffer.from(`key ${key}`)
    if (bytes === -1) await engine.delete(name)
    else await engine.put(name, Buffer.alloc(bytes, `${n}.`))
    say(`a ${n}`)
  }
}

async function maintain(): Promise<never> {
  const { maintenance } = engine
  while (engine.state().debt.stage === null) {
    await yieldNow()
    await engine.checkpoint()
    await maintenance.stage({ minStaleRatio: 0.1, minAgeMs: 0, maxSegments: 2 })
  }
  say(`s ${JSON.stringify(engine.state().debt)}`)
  for (;;) {
    // With nothing to do the rest would never let the writer in.
    await yieldNow()
    await engine.checkpoint()
    const { segments, debt } = engine.state()
    const stale = segments.filter((s) => s.bytesStale > 0 && s.state === 'sealed')
    const ids = stale.map((s) => s.segmentId).filter((id) => !debt.queue.includes(id))
    if (ids.length > 0) await maintenance.rewrite(ids.slice(0, 3))
    await maintenance.gc({ dryRun: false })
  }
}

await Promise.all([write(), maintain()])
