/**
 * The live feed of one store: holds recent events, gives every subscriber a snapshot or exactly the
 * rest it lacks, then each batch as one frame, made once for all who want the same topics.
 *
 * Why nothing is missing or doubled: a subscriber joins the frames in the same turn in which its
 * snapshot or its held events are sent, and the worker posts every event up to a snapshot's `seq`
 * before the snapshot itself. Positions are compared within one stream only; a new opening of the
 * store is a new stream with a new id.
 *
 * A subscriber that does not take a frame is not waited for: it leaves the frames (snapshot mode),
 * gets a snapshot once it has read what it has, and is told which events it missed. One that stays
 * behind for too many bytes is cut off. One that finds itself behind may ask for the same.
 */
import { randomBytes } from 'node:crypto'
import type { FeedBody, FeedClient, FeedCounters, Topic } from '../protocol.ts'
import type { Refusal } from '../refusal.ts'
import type { StoreClient } from '../store/store-client.ts'
import type { SnapshotAnswer, WorkerBatch } from '../store/worker-contract.ts'
import { cut, EventRing } from './event-ring.ts'
import { frameText, messageText, snapshotBody, snapshotText } from './messages.ts'
import type { FrameParts, SnapshotReason } from './messages.ts'
import {
  ALL_TOPICS,
  ALL_TOPICS_MASK,
  maskOf,
  METRICS_BIT,
  PASSES_BIT,
  topicsOf,
  type TopicMask,
} from '../topics.ts'

export interface FeedLimits {
  /** Events held for resuming. */
  eventsMax: number
  /** Bytes of their JSON held. */
  bytesMax: number
  /** Samples held, one a second. */
  samplesMax: number
  /** Newest events sent with a snapshot. */
  snapshotEventsMax: number
  /** The same to a client that was too slow: a snapshot must be a relief. */
  slowEventsMax: number
  /** A slow client gets snapshots at most this often. */
  slowSnapshotMs: number
  /** Bytes of frames left out for a client that reads nothing, after which it is cut off. */
  behindBytesMax: number
}

export const FEED_LIMITS: FeedLimits = {
  eventsMax: 50_000,
  bytesMax: 64 * 1024 * 1024,
  samplesMax: 1_800,
  snapshotEventsMax: 5_000,
  slowEventsMax: 500,
  slowSnapshotMs: 1_000,
  behindBytesMax: 16 * 1024 * 1024,
}

/** Events of one resume are cut into frames of about this many bytes. */
const RESUME_FRAME_BYTES = 1024 * 1024

/** What a feed needs of its store. */
export type FeedSource = Pick<StoreClient, 'info' | 'listen' | 'requestInOrder'>

export interface Subscriber {
  /** `bulk`: a snapshot or held events, whose size says nothing about the reader being slow. */
  sendBulk(text: Buffer): void
  sendControl(text: Buffer): void
  /**
   * false: it was not taken, because the reader is behind; `Feed.drained` is called when it has read
   * what was sent before.
   */
  sendFrame(text: Buffer): boolean
  cutOff(why: string): void
  close(code: number, reason: string): void
  describe(): Pick<
    FeedClient,
    'clientId' | 'role' | 'peer' | 'connectedAtMs' | 'bytesUnsent' | 'bytesSent'
  >
}

/** What a client says it has. */
export interface Position {
  streamId: string | null
  seq: number
  /** It is behind, and wants to know how things are now and not how they came to be so. */
  fresh?: boolean
}

interface Follower {
  mask: TopicMask
  /** live: gets frames. waiting: for a snapshot. snapshot: behind; waits until it has read. */
  mode: FeedClient['mode']
  reason: SnapshotReason
  /** Last event of this stream that it has; null when it comes from another one. */
  seq: number | null
  framesSent: number
  snapshotsSent: number
  eventsMissed: number
  /** Bytes of frames left out since it fell behind. */
  bytesBehind: number
  lastSnapshotAtMs: number
  retry: NodeJS.Timeout | null
}

export class Feed {
  readonly #store: FeedSource
  readonly #limits: FeedLimits
  readonly #report: (problem: string) => void
  readonly #ring: EventRing
  readonly #followers = new Map<Subscriber, Follower>()
  readonly #counters: FeedCounters = {
    events: 0,
    batches: 0,
    framesSerialised: 0,
    framesSent: 0,
    bytesSent: 0,
    snapshotsSent: 0,
    resumesSent: 0,
    slowClients: 0,
    clientsCutOff: 0,
    eventsMissed: 0,
  }
  #streamId = newStreamId()
  /** With the newest event before each, so that a resume can tell which are new to the client. */
  #samples: { afterSeq: number; json: string }[] = []
  /** null until the first batch; an attached store never sends one. */
  #gaugesJson: string | null = null
  #workloadJson = 'null'
  #snapshotAsked = false

  /** `report` is told of broken promises of the worker, which must not occur. */
  constructor(store: FeedSource, report: (problem: string) => void, limits = FEED_LIMITS) {
    this.#store = store
    this.#limits = limits
    this.#report = report
    this.#ring = new EventRing(limits)
    store.listen({
      opened: (seq) => this.#opened(seq),
      changed: () => this.#changed(),
      batch: (batch) => this.#batch(batch),
      failed: () => this.#failed(),
    })
  }

  get streamId(): string {
    return this.#streamId
  }

  get newestSeq(): number {
    return this.#ring.newestSeq
  }

  /** newestSeq + 1 when nothing is held. */
  get oldestSeq(): number {
    return this.#ring.oldestSeq
  }

  get counters(): Readonly<FeedCounters> {
    return this.#counters
  }

  get clients(): number {
    return this.#followers.size
  }

  // ---------------------------------------------------------------- subscribers

  /** Attaching again starts over from the new position. */
  attach(subscriber: Subscriber, position: Position, topics: readonly Topic[] = ALL_TOPICS): void {
    this.detach(subscriber)
    const known = position.streamId === this.#streamId
    const fresh = known && position.fresh === true
    if (fresh) this.#counters.slowClients += 1
    const follower: Follower = {
      mask: maskOf(topics),
      mode: 'live',
      reason: fresh ? 'slow' : position.streamId === null ? 'first' : 'resync',
      seq: known ? position.seq : null,
      framesSent: 0,
      snapshotsSent: 0,
      eventsMissed: 0,
      bytesBehind: 0,
      lastSnapshotAtMs: -Infinity,
      retry: null,
    }
    this.#followers.set(subscriber, follower)
    if (this.#store.info.status === 'failed') this.#sendFailure(subscriber)
    else if (known && !fresh && this.#ring.holdsAfter(position.seq)) {
      this.#resume(subscriber, follower, position.seq)
    } else this.#wait(follower)
  }

  /** New topics come with a snapshot of now; fewer take effect at once. */
  subscribe(subscriber: Subscriber, topics: readonly Topic[]): void {
    const follower = this.#followers.get(subscriber)
    if (follower === undefined) return
    const mask = maskOf(topics)
    const joining = (mask & ~follower.mask) !== 0
    follower.mask = mask
    subscriber.sendControl(messageText({ type: 'subscribed', topics: topicsOf(mask) }))
    if (!joining || follower.mode !== 'live' || this.#store.info.status !== 'open') return
    follower.reason = 'topics'
    this.#wait(follower)
  }

  detach(subscriber: Subscriber): void {
    const follower = this.#followers.get(subscriber)
    if (follower?.retry != null) clearTimeout(follower.retry)
    this.#followers.delete(subscriber)
  }

  /** The reader has taken all that was sent: one in snapshot mode gets its snapshot now. */
  drained(subscriber: Subscriber): void {
    const follower = this.#followers.get(subscriber)
    if (follower?.mode !== 'snapshot' || follower.retry !== null) return
    const dueInMs = follower.lastSnapshotAtMs + this.#limits.slowSnapshotMs - performance.now()
    if (dueInMs <= 0) this.#wait(follower)
    else {
      follower.retry = setTimeout(() => {
        follower.retry = null
        if (this.#followers.get(subscriber) === follower) this.#wait(follower)
      }, dueInMs)
      follower.retry.unref()
    }
  }

  /** The store was closed: everybody who follows it, once. */
  end(): Subscriber[] {
    const subscribers = [...this.#followers.keys()]
    for (const subscriber of subscribers) this.detach(subscriber)
    return subscribers
  }

  // ---------------------------------------------------------------- looking in

  /** An EventsBody: at most `limit` events after `after`, from the oldest held one on. */
  eventsBody(after: number, limit: number): Buffer {
    const first = Math.max(after + 1, this.oldestSeq)
    return Buffer.concat([
      Buffer.from(`{"streamId":${JSON.stringify(this.#streamId)},"events":[`),
      this.#ring.slice(first, limit),
      Buffer.from(`],"oldestSeq":${this.oldestSeq},"newestSeq":${this.newestSeq}}`),
    ])
  }

  body(): FeedBody {
    return {
      streamId: this.#streamId,
      oldestSeq: this.oldestSeq,
      newestSeq: this.newestSeq,
      eventsHeld: this.#ring.count,
      bytesHeld: this.#ring.bytes,
      samplesHeld: this.#samples.length,
      counters: { ...this.#counters },
      clients: [...this.#followers].map(([subscriber, follower]) => ({
        ...subscriber.describe(),
        topics: topicsOf(follower.mask),
        mode: follower.mode,
        seq: follower.mode === 'live' ? this.newestSeq : (follower.seq ?? 0),
        framesSent: follower.framesSent,
        snapshotsSent: follower.snapshotsSent,
        eventsMissed: follower.eventsMissed,
      })),
    }
  }

  // ---------------------------------------------------------------- the store's side

  #opened(seq: number): void {
    this.#startStream(seq)
    this.#resyncAll()
  }

  #changed(): void {
    const store = messageText({ type: 'store', store: this.#store.info })
    for (const subscriber of this.#followers.keys()) subscriber.sendControl(store)
  }

  #startStream(seq: number): void {
    this.#streamId = newStreamId()
    this.#ring.restart(seq)
    this.#samples = []
    this.#gaugesJson = null
    this.#workloadJson = 'null'
    for (const follower of this.#followers.values()) follower.seq = null
  }

  #resyncAll(): void {
    const store = messageText({ type: 'store', store: this.#store.info })
    for (const [subscriber, follower] of this.#followers) {
      if (follower.mode === 'live') {
        subscriber.sendControl(store)
        follower.reason = 'resync'
      }
      if (follower.mode !== 'snapshot') this.#wait(follower)
    }
  }

  #batch(batch: WorkerBatch): void {
    const { events } = batch
    if (events.count > 0 && events.firstSeq !== this.newestSeq + 1) {
      this.#report(`event ${events.firstSeq} follows event ${this.newestSeq}: new stream`)
      this.#opened(events.firstSeq - 1)
    }
    this.#hold(batch)
    this.#fanOut(batch)
  }

  #hold(batch: WorkerBatch): void {
    this.#counters.batches += 1
    this.#counters.events += batch.events.count
    this.#ring.push(batch.events)
    for (const json of batch.samples) this.#samples.push({ afterSeq: this.newestSeq, json })
    const excess = this.#samples.length - this.#limits.samplesMax
    if (excess > 0) this.#samples.splice(0, excess)
    this.#gaugesJson = batch.gaugesJson
    this.#workloadJson = batch.workloadJson
  }

  #fanOut(batch: WorkerBatch): void {
    const frames = new Map<TopicMask, Buffer>()
    for (const [subscriber, follower] of this.#followers) {
      if (follower.mode === 'waiting' || follower.mask === 0) continue
      // Facts and samples alone are for those who asked for them.
      if (batch.events.count === 0 && (follower.mask & METRICS_BIT) === 0) continue
      let frame = frames.get(follower.mask)
      if (frame === undefined) {
        frame = this.#frameOf(batch, follower.mask)
        frames.set(follower.mask, frame)
        this.#counters.framesSerialised += 1
      }
      if (follower.mode === 'live') this.#sendFrame(subscriber, follower, frame)
      else this.#leaveOut(subscriber, follower, frame)
    }
  }

  #frameOf({ events, samples }: WorkerBatch, mask: TopicMask): Buffer {
    const wanted =
      events.count === 0
        ? events.bytes
        : cut(events, events.firstSeq, events.firstSeq + events.count, mask)
    const range = { firstSeq: this.newestSeq - events.count + 1, lastSeq: this.newestSeq }
    // Frames of other topics are made of the same batch: only one may be made inside of it.
    const room = mask === ALL_TOPICS_MASK ? events.room : undefined
    return this.#frame(
      { ...range, events: wanted, ...(room && { room }) },
      (mask & METRICS_BIT) === 0 ? '' : samples.join(','),
    )
  }

  #frame(
    range: Pick<FrameParts, 'firstSeq' | 'lastSeq' | 'events' | 'room'>,
    samplesJson: string,
  ): Buffer {
    return frameText({
      ...range,
      streamId: this.#streamId,
      gaugesJson: this.#gaugesJson ?? 'null',
      workloadJson: this.#workloadJson,
      samplesJson,
    })
  }

  #sendFrame(subscriber: Subscriber, follower: Follower, frame: Buffer): void {
    if (subscriber.sendFrame(frame)) {
      follower.seq = this.newestSeq
      follower.framesSent += 1
      this.#counters.framesSent += 1
      this.#counters.bytesSent += frame.length
      return
    }
    follower.mode = 'snapshot'
    follower.reason = 'slow'
    follower.bytesBehind = 0
    this.#counters.slowClients += 1
    this.#leaveOut(subscriber, follower, frame)
  }

  #leaveOut(subscriber: Subscriber, follower: Follower, frame: Buffer): void {
    follower.bytesBehind += frame.length
    const { behindBytesMax } = this.#limits
    if (follower.bytesBehind <= behindBytesMax) return
    this.#counters.clientsCutOff += 1
    this.detach(subscriber)
    const since = follower.seq === null ? '' : `; nothing after event ${follower.seq} was sent`
    subscriber.cutOff(`more than ${behindBytesMax} bytes behind${since}`)
  }

  // ---------------------------------------------------------------- resuming and snapshots

  #resume(subscriber: Subscriber, follower: Follower, seq: number): void {
    const topics = topicsOf(follower.mask)
    const { info: store } = this.#store
    subscriber.sendBulk(
      messageText({ type: 'resumed', streamId: this.#streamId, seq, topics, store }),
    )
    this.#counters.resumesSent += 1
    follower.mode = 'live'
    follower.seq = this.newestSeq
    // Without a batch there is no event and no sample: the position is complete as it is.
    if (this.#gaugesJson === null) return
    let firstSeq = seq + 1
    let bytes = 0
    for (const batch of this.#ring.after(seq)) {
      bytes += batch.bytes.length
      if (bytes < RESUME_FRAME_BYTES) continue
      const lastSeq = batch.firstSeq + batch.count - 1
      const events = this.#ring.slice(firstSeq, lastSeq - firstSeq + 1, follower.mask)
      subscriber.sendBulk(this.#frame({ firstSeq, lastSeq, events }, ''))
      firstSeq = lastSeq + 1
      bytes = 0
    }
    const range = {
      firstSeq,
      lastSeq: this.newestSeq,
      events: this.#ring.slice(firstSeq, Infinity, follower.mask),
    }
    // A sample taken right at the position may be known already; its atMs tells.
    const samples = this.#samples.filter((sample) => sample.afterSeq >= seq)
    const wanted = (follower.mask & METRICS_BIT) === 0 ? [] : samples
    subscriber.sendBulk(this.#frame(range, wanted.map((sample) => sample.json).join(',')))
  }

  #wait(follower: Follower): void {
    follower.mode = 'waiting'
    this.#askSnapshot()
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
    if (answer.seq !== this.newestSeq) {
      this.#report(`snapshot at event ${answer.seq}, newest event ${this.newestSeq}: new stream`)
      this.#startStream(answer.seq)
    }
    const bodies = new Map<string, Buffer>()
    for (const [subscriber, follower] of this.#followers) {
      if (follower.mode !== 'waiting') continue
      const { reason, mask } = follower
      const { slowEventsMax, snapshotEventsMax } = this.#limits
      const eventsMax = reason === 'slow' ? slowEventsMax : snapshotEventsMax
      const key = `${mask} ${eventsMax}`
      const body = bodies.get(key) ?? this.#snapshotBody(answer, mask, eventsMax)
      bodies.set(key, body)
      const missed = this.#missed(follower, eventsMax)
      const text = snapshotText(reason, missed, body)
      follower.mode = 'live'
      follower.seq = answer.seq
      follower.bytesBehind = 0
      follower.lastSnapshotAtMs = performance.now()
      follower.snapshotsSent += 1
      this.#counters.snapshotsSent += 1
      this.#counters.bytesSent += text.length
      if (missed !== null) {
        follower.eventsMissed += missed.toSeq - missed.fromSeq + 1
        this.#counters.eventsMissed += missed.toSeq - missed.fromSeq + 1
      }
      subscriber.sendBulk(text)
    }
  }

  #snapshotBody(answer: SnapshotAnswer, mask: TopicMask, eventsMax: number): Buffer {
    return snapshotBody({
      streamId: this.#streamId,
      seq: answer.seq,
      mask,
      store: this.#store.info,
      snapshotJson: answer.snapshotJson,
      events: this.#ring.slice(this.#firstShown(eventsMax), eventsMax, mask),
      passesJson: (mask & PASSES_BIT) === 0 ? '[]' : answer.passesJson,
      samplesJson:
        (mask & METRICS_BIT) === 0 ? '' : this.#samples.map((sample) => sample.json).join(','),
    })
  }

  /** First event that goes with a snapshot of now. */
  #firstShown(eventsMax: number): number {
    return this.newestSeq - Math.min(this.#ring.count, eventsMax) + 1
  }

  #missed(follower: Follower, eventsMax: number): { fromSeq: number; toSeq: number } | null {
    if (follower.seq === null || follower.reason === 'topics') return null
    const fromSeq = follower.seq + 1
    const toSeq = this.#firstShown(eventsMax) - 1
    return fromSeq <= toSeq ? { fromSeq, toSeq } : null
  }

  // ---------------------------------------------------------------- failing

  /** The store failed meanwhile: `#failed` has told everybody, unless the refusal came first. */
  #snapshotRefused(refusal: Refusal): void {
    const text = messageText({ type: 'error', code: refusal.code, message: refusal.message })
    for (const [subscriber, follower] of this.#followers) {
      if (follower.mode !== 'waiting') continue
      follower.mode = 'live'
      subscriber.sendControl(text)
    }
  }

  #failed(): void {
    for (const [subscriber, follower] of this.#followers) {
      follower.mode = 'live'
      this.#sendFailure(subscriber)
    }
  }

  #sendFailure(subscriber: Subscriber): void {
    const { info: store } = this.#store
    subscriber.sendControl(messageText({ type: 'store', store }))
    subscriber.sendControl(
      messageText({
        type: 'error',
        code: 'STORE_FAILED',
        message: store.failure?.message ?? 'the store failed',
      }),
    )
  }
}

function newStreamId(): string {
  return randomBytes(9).toString('base64url')
}
