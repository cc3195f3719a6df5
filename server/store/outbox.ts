/**
 * What a worker has to tell: events since the last batch, samples, the last passes. Events are
 * serialised when they happen, because the objects inside them belong to the engine; a batch is
 * posted only when something changed.
 */
import type {
  EngineEvent,
  EngineGauges,
  MetricSample,
  PassReport,
  WorkloadState,
} from '../protocol.ts'
import { topicBit } from '../topics.ts'
import { PassTally } from './figures.ts'
import type { EventBatch, PassFigures, WorkerBatch } from './worker-contract.ts'

const PASSES_KEPT = 200
/** Reports of plans over thousands of segments are large; they must not fill a snapshot. */
const PASSES_BYTES_KEPT = 8 * 1024 * 1024

export class Outbox {
  readonly #post: (batch: WorkerBatch) => void
  #events: string[] = []
  #topics: number[] = []
  #newestSeq = 0
  #samples: string[] = []
  #lastFacts = ''
  /** Oldest first. */
  readonly #passes: string[] = []
  readonly #tally = new PassTally()
  #passesBytes = 0

  /** `newestSeq`: events up to here were emitted before anybody listened. */
  constructor(post: (batch: WorkerBatch) => void, newestSeq = 0) {
    this.#post = post
    this.#newestSeq = newestSeq
  }

  /** Last event taken in, whether or not it is posted yet. */
  get newestSeq(): number {
    return this.#newestSeq
  }

  /** newestSeq + 1 when all are posted. */
  get oldestUnpostedSeq(): number {
    return this.#newestSeq - this.#events.length + 1
  }

  /** Newest first. */
  get passesJson(): string {
    return `[${this.#passes.toReversed().join(',')}]`
  }

  get passFigures(): PassFigures[] {
    return this.#tally.list()
  }

  event(event: EngineEvent): void {
    this.#events.push(JSON.stringify(event))
    this.#topics.push(topicBit(event.type))
    this.#newestSeq = event.seq
    if (event.type === 'pass_done') this.#keepPass(event.report)
  }

  sample(sample: MetricSample): void {
    this.#samples.push(JSON.stringify(sample))
  }

  /** Posts one batch, or nothing when neither events nor samples nor facts are new. */
  flush(gauges: EngineGauges, workload: WorkloadState | null): void {
    // Time alone is not news: a page runs its own clock between frames.
    const facts = JSON.stringify([{ ...gauges, nowMs: 0, clockOffsetMs: 0 }, workload])
    if (this.#events.length === 0 && this.#samples.length === 0 && facts === this.#lastFacts) return
    this.#lastFacts = facts
    const events = eventBatch(this.oldestUnpostedSeq, this.#events, this.#topics)
    const samples = this.#samples
    this.#events = []
    this.#topics = []
    this.#samples = []
    this.#post({
      kind: 'batch',
      events,
      gaugesJson: JSON.stringify(gauges),
      workloadJson: JSON.stringify(workload),
      samples,
    })
  }

  #keepPass(report: PassReport): void {
    this.#tally.add(report)
    const json = JSON.stringify(report)
    this.#passes.push(json)
    this.#passesBytes += json.length
    while (
      this.#passes.length > PASSES_KEPT ||
      (this.#passesBytes > PASSES_BYTES_KEPT && this.#passes.length > 1)
    ) {
      this.#passesBytes -= this.#passes.shift()?.length ?? 0
    }
  }
}

const encoder = new TextEncoder()

/** `events` are JSON texts, `topics` their bits. */
export function eventBatch(firstSeq: number, events: string[], topics: number[]): EventBatch {
  const text = events.join(',')
  const bytes = encoder.encode(text)
  // Characters are bytes unless a label or a message is not plain ASCII.
  const ascii = bytes.length === text.length
  const ends = new Uint32Array(events.length)
  let end = -1
  for (const [i, event] of events.entries()) {
    end += 1 + (ascii ? event.length : Buffer.byteLength(event))
    ends[i] = end
  }
  return { firstSeq, count: events.length, bytes, ends, topics: Uint8Array.from(topics) }
}
