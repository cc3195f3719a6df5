/**
 * What the store's size costs: the same operations on a small store, on one with ten times the keys
 * (and so ten times the segments), and on one with ten times the segments for the same keys.
 *
 *   npm run bench:growth -- [--keys N] [--rounds N]
 *
 * Rounds alternate over the stores; figures are medians, ratios are against the small store.
 */
import { inspectFolder, type Engine } from '../../engine/index.ts'
import { flags } from './flags.ts'
import {
  KIB,
  bench,
  deps,
  fill,
  keyOf,
  median,
  openStore,
  print,
  short,
  table,
  tempFolder,
  timed,
  turn,
  valueOf,
} from './support.ts'

const VALUE_BYTES = 1000
const SEGMENT_BYTES = 1000 * KIB
const OPERATIONS = 5_000
const CHANGES = 1_000

interface Size {
  name: string
  keys: number
  segmentBytes: number
}

const METRICS = [
  'put_us',
  'get_us',
  'checkpoint_ms',
  'plan_ms',
  'pass_ms',
  'inspect_ms',
  'reopen_ms',
] as const
type Metrics = Record<(typeof METRICS)[number], number>

class Subject {
  readonly size: Size
  readonly rounds: Metrics[] = []
  segments = 0
  readonly #dir: string
  #engine!: Engine
  #version = 2

  constructor(size: Size) {
    this.size = size
    this.#dir = tempFolder('growth')
  }

  /** All keys in order, then every second one again: old segments are half stale. */
  async prepare(): Promise<void> {
    const { keys } = this.size
    await this.#open()
    await fill(this.#engine, { from: 0, to: keys, version: 0, valueBytes: VALUE_BYTES })
    await fill(this.#engine, { from: 0, to: keys, step: 2, version: 1, valueBytes: VALUE_BYTES })
    await this.#engine.checkpoint()
    this.segments = this.#engine.state().segments.length
  }

  async measure(): Promise<void> {
    const engine = this.#engine
    const { keys } = this.size
    const version = this.#version++
    const scattered = (i: number): number => (i * 7919 + version * 104729) % keys
    const gets = Array.from({ length: OPERATIONS }, (_, i) => keyOf(scattered(i)))
    const getMs = await timed(() => {
      for (const key of gets) if (engine.get(key) === undefined) throw new Error('key is missing')
    })
    const batches = Array.from({ length: OPERATIONS / 100 }, (_, b) =>
      Array.from({ length: 100 }, (_, i) => {
        const index = scattered(b * 100 + i)
        return {
          op: 'put' as const,
          key: keyOf(index),
          value: valueOf(index, version, VALUE_BYTES),
        }
      }),
    )
    const putMs = await timed(async () => {
      for (const batch of batches) {
        await engine.batch(batch)
        await turn()
      }
    })
    await engine.checkpoint()
    for (let i = 0; i < CHANGES; i++) {
      const index = scattered(i)
      await engine.put(keyOf(index), valueOf(index, version + 1_000_000, VALUE_BYTES))
    }
    const checkpointMs = await timed(() => engine.checkpoint())
    const planMs = median(
      await Promise.all(Array.from({ length: 15 }, () => timed(() => engine.maintenance.plan()))),
    )
    const passMs = await this.#onePass()
    const inspectMs = await this.#inspect()
    const reopenMs = await timed(async () => {
      await this.#open()
    })
    this.rounds.push({
      put_us: (putMs * 1000) / OPERATIONS,
      get_us: (getMs * 1000) / OPERATIONS,
      checkpoint_ms: checkpointMs,
      plan_ms: planMs,
      pass_ms: passMs,
      inspect_ms: inspectMs,
      reopen_ms: reopenMs,
    })
  }

  /** A manual pass over one half-stale segment. */
  async #onePass(): Promise<number> {
    const half = this.#engine
      .state()
      .segments.find((s) => s.state === 'sealed' && s.origin === 'foreground' && s.bytesLive > 0)
    if (half === undefined) throw new Error('no segment is left to rewrite')
    return timed(() => this.#engine.maintenance.rewrite([half.segmentId]))
  }

  async #inspect(): Promise<number> {
    await this.#engine.close()
    const { fileSystem, yieldNow } = deps()
    const monotonic = (): number => performance.now()
    return timed(() =>
      inspectFolder(this.#dir, { fileSystem, yieldNow, monotonic, nowMs: Date.now() }),
    )
  }

  async #open(): Promise<void> {
    this.#engine = await openStore(this.#dir, { segmentBytes: this.size.segmentBytes })
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }
}

async function main(): Promise<void> {
  const { keys, rounds } = flags({ keys: 20_000, rounds: 3 })
  const subjects = [
    new Subject({ name: 'small', keys, segmentBytes: SEGMENT_BYTES }),
    new Subject({ name: '10x keys', keys: 10 * keys, segmentBytes: SEGMENT_BYTES }),
    new Subject({ name: '10x segments', keys, segmentBytes: SEGMENT_BYTES / 10 }),
  ]
  // A store that is not counted, so that the first one does not pay for cold code.
  const warmUp = new Subject({ name: 'warm-up', keys: 5_000, segmentBytes: SEGMENT_BYTES })
  await warmUp.prepare()
  for (let i = 0; i < 3; i++) await warmUp.measure()
  await warmUp.close()
  for (const subject of subjects) await subject.prepare()
  for (let round = 0; round < rounds; round++) {
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      await subject.measure()
    }
  }
  const medians = subjects.map((subject) => {
    const of = (name: keyof Metrics): number => median(subject.rounds.map((r) => r[name]))
    return Object.fromEntries(METRICS.map((name) => [name, of(name)])) as Metrics
  })
  const small = medians[0] as Metrics
  const ratio = (metrics: Metrics, name: keyof Metrics): number => metrics[name] / small[name]
  subjects.forEach(({ size, segments }, i) => {
    const metrics = medians[i] as Metrics
    const name = `growth/${size.name.replace(' ', '_')}`
    print(name, { keys: size.keys, segments, rounds, ...metrics })
    if (i === 0) return
    const ratios = METRICS.map((metric) => [`${metric}_ratio`, ratio(metrics, metric)])
    print(name, Object.fromEntries(ratios) as Record<string, number>)
  })
  table(
    ['', 'keys', 'segments', ...METRICS],
    subjects.map(({ size, segments }, i) => {
      const metrics = medians[i] as Metrics
      const cells = METRICS.map((name) =>
        i === 0
          ? short(metrics[name])
          : `${short(metrics[name])} (${ratio(metrics, name).toFixed(2)}x)`,
      )
      return [size.name, String(size.keys), String(segments), ...cells]
    }),
  )
  for (const subject of subjects) await subject.close()
}

await bench(main)
