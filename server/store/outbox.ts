/**
 * What a worker has to tell: events since the last batch, samples, the last passes. Events are
 * serialised when they happen, because the objects inside them belong to the engine; a batch is
 * posted only when something changed, and before its time when it is full: batches and the frames
 * made of them stay small enough for every cache and buffer on their way.
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
import { BatchWriter } from './batch-writer.ts'
import type { EventBatch, PassFigures, WorkerBatch } from './worker-contract.ts'

/** Some 800 events: of what one batch costs besides, each bears a thousandth. */
export const BATCH_BYTES_MAX = 256 * 1024
const PASSES_KEPT = 200
/** Reports of plans over thousands of segments are large; they must not fill a snapshot. */
const PASSES_BYTES_KEPT = 8 * 1024 * 1024

export class Outbox {
  readonly #post: (batch: WorkerBatch) => void
  readonly #writer = new BatchWriter(BATCH_BYTES_MAX)
  /** Taken from the writer and not posted yet; oldest first. */
  readonly #full: EventBatch[] = []
  #newestSeq = 0
  #newestPostedSeq = 0
  /** null before the first flush: until then nobody may hear of events. */
  #facts: { gaugesJson: string; workloadJson: string } | null = null
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
    this.#newestPostedSeq = newestSeq
  }

  /** Last event taken in, whether or not it is posted yet. */
  get newestSeq(): number {
    return this.#newestSeq
  }

  /** newestSeq + 1 when all are posted. */
  get oldestUnpostedSeq(): number {
    return this.#newestPostedSeq + 1
  }

  /** Newest first. */
  get passesJson(): string {
    return `[${this.#passes.toReversed().join(',')}]`
  }

  get passFigures(): PassFigures[] {
    return this.#tally.list()
  }

  /** `json`: of the event, for those who have it already. */
  event(event: EngineEvent, json = JSON.stringify(event)): void {
    this.#writer.add(json, topicBit(event.type))
    this.#newestSeq = event.seq
    if (event.type === 'pass_done') this.#keepPass(event.report, reportOf(json))
    if (!this.#writer.full) return
    this.#full.push(this.#takeWritten())
    // Not here: the engine is in the middle of something, and readers may ask it back.
    if (this.#full.length === 1) queueMicrotask(() => this.#postFull())
  }

  sample(sample: MetricSample): void {
    this.#samples.push(JSON.stringify(sample))
  }

  /** Posts one batch, or nothing when neither events nor samples nor facts are new. */
  flush(gauges: EngineGauges, workload: WorkloadState | null): void {
    // Time alone is not news: a page runs its own clock between frames.
    const facts = JSON.stringify([{ ...gauges, nowMs: 0, clockOffsetMs: 0 }, workload])
    const isQuiet = this.oldestUnpostedSeq > this.#newestSeq && this.#samples.length === 0
    if (isQuiet && facts === this.#lastFacts) return
    this.#lastFacts = facts
    this.#facts = { gaugesJson: JSON.stringify(gauges), workloadJson: JSON.stringify(workload) }
    this.#postFull()
    const samples = this.#samples
    this.#samples = []
    this.#postEvents(this.#takeWritten(), samples)
  }

  /** Batches that are full, with the facts of the last flush: the next one has newer ones. */
  #postFull(): void {
    if (this.#facts === null) return
    for (const events of this.#full.splice(0)) this.#postEvents(events, [])
  }

  #postEvents(events: EventBatch, samples: string[]): void {
    if (this.#facts === null) return
    if (events.count > 0) this.#newestPostedSeq = events.firstSeq + events.count - 1
    this.#post({ kind: 'batch', events, ...this.#facts, samples })
  }

  #takeWritten(): EventBatch {
    return this.#writer.take(this.#newestSeq - this.#writer.count + 1)
  }

  #keepPass(report: PassReport, json: string): void {
    this.#tally.add(report)
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

const REPORT = '"report":'

/** The part of a pass's event that is its report: it is the last member, and only numbers and words are before it. */
function reportOf(eventJson: string): string {
  return eventJson.slice(eventJson.indexOf(REPORT) + REPORT.length, -1)
}
