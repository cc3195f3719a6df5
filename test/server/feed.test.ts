import { describe, expect, test } from 'vitest'
import { Feed, type FeedLimits, type FeedSource, type Subscriber } from '../../server/live/feed.ts'
import type { ServerMessage, StoreInfo } from '../../server/protocol.ts'
import { Refusal } from '../../server/refusal.ts'
import type { StoreListener } from '../../server/store/store-client.ts'
import type { RequestAnswer, WorkerBatch } from '../../server/store/worker-contract.ts'

const LIMITS: FeedLimits = {
  eventsMax: 10,
  bytesMax: 100_000,
  samplesMax: 5,
  snapshotEventsMax: 4,
}

interface SnapshotWaiting {
  answered: (answer: RequestAnswer<'snapshot'>) => void
  refused: (refusal: Refusal) => void
}

/** Plays a worker: pushes batches, and answers snapshot requests when told to. */
class ScriptedStore {
  status: StoreInfo['status'] = 'open'
  asked = 0
  #listener: StoreListener | null = null
  readonly #answers: SnapshotWaiting[] = []
  #seq = 0

  readonly source = {
    listen: (listener: StoreListener) => {
      this.#listener = listener
    },
    requestInOrder: (_name: string, _body: unknown, on: SnapshotWaiting) => {
      this.asked += 1
      this.#answers.push(on)
    },
  } as unknown as FeedSource

  constructor() {
    Object.defineProperty(this.source, 'info', { get: () => this.info })
  }

  get info(): StoreInfo {
    const failed = this.status === 'failed'
    return {
      storeId: 'store',
      name: 'store',
      dir: '/store',
      mode: 'hosted',
      status: this.status,
      failure: failed ? { code: 'STORE_FAILED', message: 'boom' } : null,
      engine: null,
      attachment: null,
      openedAtMs: 1,
      closable: true,
    }
  }

  open(seq = 0): void {
    this.#seq = seq
    this.#listener?.opened(seq)
  }

  /** One batch with `count` further events. */
  push(count: number, samples: number[] = []): void {
    const first = this.#seq + 1
    this.#seq += count
    const events = Array.from({ length: count }, (_, i) => ({ seq: first + i, type: 'made_up' }))
    const batch: WorkerBatch = {
      kind: 'batch',
      firstSeq: first,
      eventCount: count,
      eventsJson: events.map((event) => JSON.stringify(event)).join(','),
      gaugesJson: `{"nowMs":${this.#seq}}`,
      workloadJson: 'null',
      samples: samples.map((atMs) => JSON.stringify({ atMs })),
    }
    this.#listener?.batch(batch)
  }

  /** Events that were numbered but never arrive. */
  lose(count: number): void {
    this.#seq += count
  }

  answer(): void {
    const [on] = this.#answers.splice(0, 1)
    on?.answered({ seq: this.#seq, snapshotJson: `{"upTo":${this.#seq}}`, passesJson: '[]' })
  }

  fail(): void {
    this.status = 'failed'
    const waiting = this.#answers.splice(0)
    for (const on of waiting) on.refused(new Refusal('STORE_FAILED', 'boom'))
    this.#listener?.failed()
  }
}

class Reader implements Subscriber {
  readonly messages: ServerMessage[] = []

  send(text: string): void {
    this.messages.push(JSON.parse(text) as ServerMessage)
  }

  get types(): string[] {
    return this.messages.map((message) => message.type)
  }

  /** Sequence numbers of all events in frames. */
  get frameSeqs(): number[] {
    return this.messages.flatMap((m) =>
      m.type === 'frame' ? m.events.map((event) => event.seq) : [],
    )
  }
}

function opened(limits = LIMITS): { store: ScriptedStore; feed: Feed; problems: string[] } {
  const store = new ScriptedStore()
  const problems: string[] = []
  const feed = new Feed(store.source, (problem) => problems.push(problem), limits)
  store.open()
  return { store, feed, problems }
}

const nothing = { streamId: null, seq: 0 }

describe('feed', () => {
  test('a first reader gets a snapshot with the newest events, then frames without a gap', () => {
    const { store, feed } = opened()
    store.push(6)
    const reader = new Reader()
    feed.attach(reader, nothing)
    store.push(1)
    expect(reader.types).toEqual([])
    store.answer()
    store.push(2)
    const [snapshot] = reader.messages
    expect(snapshot).toMatchObject({
      type: 'snapshot',
      reason: 'first',
      seq: 7,
      snapshot: { upTo: 7 },
    })
    expect(snapshot?.type === 'snapshot' && snapshot.events.map((e) => e.seq)).toEqual([4, 5, 6, 7])
    expect(reader.frameSeqs).toEqual([8, 9])
  })

  test('one snapshot request serves all who wait', () => {
    const { store, feed } = opened()
    const readers = [new Reader(), new Reader(), new Reader()]
    for (const reader of readers) feed.attach(reader, nothing)
    expect(store.asked).toBe(1)
    store.answer()
    for (const reader of readers) expect(reader.types).toEqual(['snapshot'])
  })

  test.each([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])(
    'a reader that has %i of 9 events gets exactly the rest',
    (seq) => {
      const { store, feed } = opened()
      store.push(2)
      store.push(3)
      store.push(0, [1])
      store.push(4)
      const reader = new Reader()
      feed.attach(reader, { streamId: feed.streamId, seq })
      expect(reader.messages[0]).toMatchObject({ type: 'resumed', seq, streamId: feed.streamId })
      store.push(1)
      expect(reader.frameSeqs).toEqual(Array.from({ length: 10 - seq }, (_, i) => seq + 1 + i))
      expect(store.asked).toBe(0)
    },
  )

  test('a position that is no longer held, or not yet, or of another stream, ends in a resync', () => {
    const { store, feed } = opened()
    for (let i = 0; i < 20; i++) store.push(1)
    expect([feed.oldestSeq, feed.newestSeq]).toEqual([11, 20])
    const positions = [
      { streamId: feed.streamId, seq: 9 },
      { streamId: feed.streamId, seq: 21 },
      { streamId: 'another', seq: 15 },
    ]
    for (const position of positions) {
      const reader = new Reader()
      feed.attach(reader, position)
      store.answer()
      expect(reader.messages[0]).toMatchObject({ type: 'snapshot', reason: 'resync', seq: 20 })
    }
    const reader = new Reader()
    feed.attach(reader, { streamId: feed.streamId, seq: 10 })
    expect(reader.frameSeqs).toHaveLength(10)
  })

  test('held events are bounded in bytes, too', () => {
    const { store, feed } = opened({ ...LIMITS, eventsMax: 1_000_000, bytesMax: 1_000 })
    for (let i = 0; i < 200; i++) store.push(1)
    expect(feed.newestSeq - feed.oldestSeq).toBeLessThan(40)
    expect(feed.newestSeq - feed.oldestSeq).toBeGreaterThan(10)
    // Larger than the whole allowance: nothing is held, and the newest position still resumes.
    store.push(100)
    expect(feed.oldestSeq).toBe(feed.newestSeq + 1)
    const reader = new Reader()
    feed.attach(reader, { streamId: feed.streamId, seq: feed.newestSeq })
    expect(reader.types).toEqual(['resumed', 'frame'])
  })

  test('samples taken during a cut come with the resume', () => {
    const { store, feed } = opened()
    store.push(1, [1])
    store.push(1, [2])
    store.push(0, [3])
    const reader = new Reader()
    feed.attach(reader, { streamId: feed.streamId, seq: 2 })
    const frame = reader.messages.at(-1)
    expect(frame?.type === 'frame' && frame.samples.map((s) => s.atMs)).toEqual([2, 3])
  })

  test('a store without batches, as an attached one, resumes without an empty frame', () => {
    const { feed } = opened()
    const reader = new Reader()
    feed.attach(reader, { streamId: feed.streamId, seq: 0 })
    expect(reader.types).toEqual(['resumed'])
  })

  test('a new opening of the store is a new stream for everybody', () => {
    const { store, feed } = opened()
    const reader = new Reader()
    feed.attach(reader, nothing)
    store.answer()
    const before = feed.streamId
    store.open()
    store.push(2)
    store.answer()
    expect(feed.streamId).not.toBe(before)
    expect(reader.types).toEqual(['snapshot', 'store', 'snapshot'])
    expect(reader.messages[2]).toMatchObject({ reason: 'resync', seq: 2 })
  })

  test('a failed store tells readers that are there, that wait and that come later', () => {
    const { store, feed } = opened()
    const there = new Reader()
    feed.attach(there, nothing)
    store.answer()
    const waits = new Reader()
    feed.attach(waits, nothing)
    store.fail()
    const later = new Reader()
    feed.attach(later, nothing)
    for (const reader of [there, waits, later]) {
      expect(reader.messages).toContainEqual({
        type: 'error',
        code: 'STORE_FAILED',
        message: 'boom',
      })
      expect(reader.messages.find((m) => m.type === 'store')?.store.status).toBe('failed')
    }
  })

  test('a detached reader hears nothing more', () => {
    const { store, feed } = opened()
    const live = new Reader()
    const waiting = new Reader()
    feed.attach(live, { streamId: feed.streamId, seq: 0 })
    feed.attach(waiting, nothing)
    feed.detach(live)
    feed.detach(waiting)
    store.answer()
    store.push(1)
    expect(live.types).toEqual(['resumed'])
    expect(waiting.types).toEqual([])
  })

  test('a hole in the worker’s numbers starts a new stream instead of hiding it', () => {
    const { store, feed, problems } = opened()
    const reader = new Reader()
    feed.attach(reader, { streamId: feed.streamId, seq: 0 })
    store.push(1)
    store.lose(3)
    store.push(2)
    store.answer()
    expect(problems).toEqual(['event 5 follows event 1: new stream'])
    expect(reader.types).toEqual(['resumed', 'frame', 'store', 'snapshot'])
    expect(reader.messages.at(-1)).toMatchObject({ reason: 'resync', seq: 6 })
  })

  test('events are read in pages', () => {
    const { store, feed } = opened()
    for (let i = 0; i < 4; i++) store.push(3)
    const page = (after: number, limit: number): unknown =>
      JSON.parse(feed.eventsBody(after, limit))
    const seqsOf = (body: unknown): number[] =>
      (body as { events: { seq: number }[] }).events.map((e) => e.seq)
    // Whole batches leave, so of 12 events the newest 9 are held.
    expect(page(0, 2)).toMatchObject({ oldestSeq: 4, newestSeq: 12, streamId: feed.streamId })
    expect(seqsOf(page(0, 2))).toEqual([4, 5])
    expect(seqsOf(page(4, 4))).toEqual([5, 6, 7, 8])
    expect(seqsOf(page(8, 100))).toEqual([9, 10, 11, 12])
    expect(seqsOf(page(12, 100))).toEqual([])
  })
})
