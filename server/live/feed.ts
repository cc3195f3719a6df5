/**
 * The live feed of one store: holds recent events, gives every subscriber a snapshot or exactly the
 * rest it lacks, then each batch as one frame, serialised once for all.
 *
 * Why nothing is missing or doubled: a subscriber joins the frames in the same turn in which its
 * snapshot or its held events are sent, and the worker posts every event up to a snapshot's `seq`
 * before the snapshot itself. Positions are compared within one stream only; a new opening of the
 * store is a new stream with a new id.
 */
import { randomBytes } from 'node:crypto'
import type { EngineEvent, ServerMessage, Topic } from '../protocol.ts'
import type { Refusal } from '../refusal.ts'
import type { StoreClient } from '../store/store-client.ts'
import type { SnapshotAnswer, WorkerBatch } from '../store/worker-contract.ts'

export interface FeedLimits {
  /** Events held for resuming. */
  eventsMax: number
  /** Characters of their JSON held, about bytes. */
  bytesMax: number
  /** Samples held, one a second. */
  samplesMax: number
  /** Newest events sent with a snapshot. */
  snapshotEventsMax: number
}

export const FEED_LIMITS: FeedLimits = {
  eventsMax: 50_000,
  bytesMax: 64 * 1024 * 1024,
  samplesMax: 1_800,
  snapshotEventsMax: 5_000,
}

/** Events of one resume are cut into frames of about this many characters. */
export const ALL_TOPICS: Topic[] = ['segments', 'queue', 'passes', 'trace', 'metrics']

const RESUME_FRAME_BYTES = 1024 * 1024

/** What a feed needs of its store. */
export type FeedSource = Pick<StoreClient, 'info' | 'listen' | 'requestInOrder'>

export interface Subscriber {
  /** `bulk`: a snapshot or held events, whose size says nothing about the reader being slow. */
  send(text: string, bulk: boolean): void
}

/** What a client says it has. */
export interface Position {
  streamId: string | null
  seq: number
}

interface HeldBatch {
  firstSeq: number
  count: number
  eventsJson: string
}

export class Feed {
  readonly #store: FeedSource
  readonly #limits: FeedLimits
  readonly #report: (problem: string) => void
  #streamId = newStreamId()
  #newestSeq = 0
  #held: HeldBatch[] = []
  #heldCount = 0
  #heldBytes = 0
  /** With the newest event before each, so that a resume can tell which are new to the client. */
  #samples: { afterSeq: number; json: string }[] = []
  /** null until the first batch; an attached store never sends one. */
  #gaugesJson: string | null = null
  #workloadJson = 'null'
  readonly #live = new Set<Subscriber>()
  readonly #waiting = new Map<Subscriber, 'first' | 'resync'>()
  #snapshotAsked = false

  /** `report` is told of broken promises of the worker, which must not occur. */
  constructor(store: FeedSource, report: (problem: string) => void, limits = FEED_LIMITS) {
    this.#store = store
    this.#limits = limits
    this.#report = report
    store.listen({
      opened: (seq) => this.#opened(seq),
      batch: (batch) => this.#batch(batch),
      failed: () => this.#failed(),
    })
  }

  get streamId(): string {
    return this.#streamId
  }

  get newestSeq(): number {
    return this.#newestSeq
  }

  /** newestSeq + 1 when nothing is held. */
  get oldestSeq(): number {
    return this.#newestSeq - this.#heldCount + 1
  }

  /** Attaching again starts over from the new position. */
  attach(subscriber: Subscriber, position: Position): void {
    this.detach(subscriber)
    if (this.#store.info.status === 'failed') {
      this.#live.add(subscriber)
      this.#sendFailure(subscriber)
    } else if (this.#holds(position)) {
      this.#resume(subscriber, position.seq)
      this.#live.add(subscriber)
    } else {
      this.#waiting.set(subscriber, position.streamId === null ? 'first' : 'resync')
      this.#askSnapshot()
    }
  }

  detach(subscriber: Subscriber): void {
    this.#live.delete(subscriber)
    this.#waiting.delete(subscriber)
  }

  /** An EventsBody: at most `limit` events after `after`, from the oldest held one on. */
  eventsBody(after: number, limit: number): string {
    const first = Math.max(after + 1, this.oldestSeq)
    const events = this.#eventsJson(first, limit)
    return (
      `{"streamId":${JSON.stringify(this.#streamId)},"events":[${events}],` +
      `"oldestSeq":${this.oldestSeq},"newestSeq":${this.#newestSeq}}`
    )
  }

  #holds(position: Position): boolean {
    return (
      position.streamId === this.#streamId &&
      position.seq <= this.#newestSeq &&
      position.seq >= this.oldestSeq - 1
    )
  }

  #opened(seq: number): void {
    this.#startStream(seq)
    this.#resyncAll()
  }

  #startStream(seq: number): void {
    this.#streamId = newStreamId()
    this.#newestSeq = seq
    this.#held = []
    this.#heldCount = 0
    this.#heldBytes = 0
    this.#samples = []
    this.#gaugesJson = null
    this.#workloadJson = 'null'
  }

  #resyncAll(): void {
    const store = storeMessage(this.#store)
    for (const subscriber of this.#live) {
      subscriber.send(store, false)
      this.#waiting.set(subscriber, 'resync')
    }
    this.#live.clear()
    if (this.#waiting.size > 0) this.#askSnapshot()
  }

  #batch(batch: WorkerBatch): void {
    if (batch.eventCount > 0 && batch.firstSeq !== this.#newestSeq + 1) {
      this.#report(`event ${batch.firstSeq} follows event ${this.#newestSeq}: new stream`)
      this.#opened(batch.firstSeq - 1)
    }
    this.#hold(batch)
    this.#gaugesJson = batch.gaugesJson
    this.#workloadJson = batch.workloadJson
    if (this.#live.size === 0) return
    const firstSeq = this.#newestSeq - batch.eventCount + 1
    const range = { firstSeq, lastSeq: this.#newestSeq }
    const frame = this.#frame(range, batch.eventsJson, batch.samples.join(','))
    for (const subscriber of this.#live) subscriber.send(frame, false)
  }

  #hold(batch: WorkerBatch): void {
    const { firstSeq, eventCount: count, eventsJson } = batch
    if (count > 0) {
      this.#held.push({ firstSeq, count, eventsJson })
      this.#newestSeq = firstSeq + count - 1
      this.#heldCount += count
      this.#heldBytes += eventsJson.length
    }
    let drop = 0
    while (this.#heldCount > this.#limits.eventsMax || this.#heldBytes > this.#limits.bytesMax) {
      const oldest = this.#held[drop]
      if (oldest === undefined) break
      this.#heldCount -= oldest.count
      this.#heldBytes -= oldest.eventsJson.length
      drop += 1
    }
    if (drop > 0) this.#held.splice(0, drop)
    for (const json of batch.samples) this.#samples.push({ afterSeq: this.#newestSeq, json })
    const excess = this.#samples.length - this.#limits.samplesMax
    if (excess > 0) this.#samples.splice(0, excess)
  }

  #resume(subscriber: Subscriber, seq: number): void {
    const message: ServerMessage = {
      type: 'resumed',
      streamId: this.#streamId,
      seq,
      topics: ALL_TOPICS,
      store: this.#store.info,
    }
    subscriber.send(JSON.stringify(message), true)
    // Without a batch there is no event and no sample: the position is complete as it is.
    if (this.#gaugesJson === null) return
    let parts: string[] = []
    let bytes = 0
    let firstSeq = seq + 1
    for (const batch of this.#held) {
      if (batch.firstSeq + batch.count - 1 <= seq) continue
      const json = seq < batch.firstSeq ? batch.eventsJson : eventsFrom(batch, seq + 1)
      parts.push(json)
      bytes += json.length
      if (bytes < RESUME_FRAME_BYTES) continue
      const lastSeq = batch.firstSeq + batch.count - 1
      subscriber.send(this.#frame({ firstSeq, lastSeq }, parts.join(','), ''), true)
      firstSeq = lastSeq + 1
      parts = []
      bytes = 0
    }
    // A sample taken right at the position may be known already; its atMs tells.
    const samples = this.#samples.filter((sample) => sample.afterSeq >= seq)
    const range = { firstSeq, lastSeq: this.#newestSeq }
    const rest = samples.map((s) => s.json).join(',')
    subscriber.send(this.#frame(range, parts.join(','), rest), true)
  }

  /** One request serves everybody who waits when the answer comes. */
  #askSnapshot(): void {
    if (this.#snapshotAsked) return
    this.#snapshotAsked = true
    this.#store.requestInOrder(
      'snapshot',
      {},
      {
        answered: (answer) => {
          this.#snapshotAsked = false
          this.#sendSnapshots(answer)
        },
        refused: (refusal) => {
          this.#snapshotAsked = false
          this.#snapshotRefused(refusal)
        },
      },
    )
  }

  #sendSnapshots(answer: SnapshotAnswer): void {
    if (answer.seq !== this.#newestSeq) {
      this.#report(`snapshot at event ${answer.seq}, newest event ${this.#newestSeq}: new stream`)
      this.#startStream(answer.seq)
    }
    const first = this.#newestSeq - Math.min(this.#heldCount, this.#limits.snapshotEventsMax) + 1
    const rest =
      `,"streamId":${JSON.stringify(this.#streamId)},"seq":${answer.seq},` +
      `"topics":${JSON.stringify(ALL_TOPICS)},"missed":null,` +
      `"store":${JSON.stringify(this.#store.info)},"snapshot":${answer.snapshotJson},` +
      `"events":[${this.#eventsJson(first, this.#limits.snapshotEventsMax)}],` +
      `"passes":${answer.passesJson},"samples":[${this.#samples.map((s) => s.json).join(',')}]}`
    for (const [subscriber, reason] of this.#waiting) {
      subscriber.send(`{"type":"snapshot","reason":"${reason}"${rest}`, true)
      this.#live.add(subscriber)
    }
    this.#waiting.clear()
  }

  /** The store failed meanwhile: `#failed` has told everybody, unless the refusal came first. */
  #snapshotRefused(refusal: Refusal): void {
    const message: ServerMessage = { type: 'error', code: refusal.code, message: refusal.message }
    const text = JSON.stringify(message)
    for (const subscriber of this.#waiting.keys()) {
      subscriber.send(text, false)
      this.#live.add(subscriber)
    }
    this.#waiting.clear()
  }

  #failed(): void {
    for (const subscriber of this.#waiting.keys()) this.#live.add(subscriber)
    this.#waiting.clear()
    for (const subscriber of this.#live) this.#sendFailure(subscriber)
  }

  #sendFailure(subscriber: Subscriber): void {
    subscriber.send(storeMessage(this.#store), false)
    const message: ServerMessage = {
      type: 'error',
      code: 'STORE_FAILED',
      message: this.#store.info.failure?.message ?? 'the store failed',
    }
    subscriber.send(JSON.stringify(message), false)
  }

  #frame(
    range: { firstSeq: number; lastSeq: number },
    eventsJson: string,
    samplesJson: string,
  ): string {
    return (
      `{"type":"frame","streamId":${JSON.stringify(this.#streamId)},` +
      `"firstSeq":${range.firstSeq},"lastSeq":${range.lastSeq},"events":[${eventsJson}],` +
      `"gauges":${this.#gaugesJson ?? 'null'},"workload":${this.#workloadJson},"samples":[${samplesJson}]}`
    )
  }

  /** Held events from `first` on, at most `limit`, joined by commas. */
  #eventsJson(first: number, limit: number): string {
    const parts: string[] = []
    let left = limit
    for (const batch of this.#held) {
      if (left <= 0) break
      const skip = Math.max(0, first - batch.firstSeq)
      if (skip >= batch.count) continue
      if (skip === 0 && batch.count <= left) parts.push(batch.eventsJson)
      else parts.push(eventsFrom(batch, batch.firstSeq + skip, left))
      left -= batch.count - skip
    }
    return parts.join(',')
  }
}

/** Part of a batch: the only place where the main thread parses events. */
function eventsFrom(batch: HeldBatch, first: number, limit = Infinity): string {
  const events = JSON.parse(`[${batch.eventsJson}]`) as EngineEvent[]
  const from = first - batch.firstSeq
  return events
    .slice(from, from + limit)
    .map((event) => JSON.stringify(event))
    .join(',')
}

function storeMessage(store: FeedSource): string {
  const message: ServerMessage = { type: 'store', store: store.info }
  return JSON.stringify(message)
}

function newStreamId(): string {
  return randomBytes(9).toString('base64url')
}
