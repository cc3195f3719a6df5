import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Feed, type FeedLimits, type FeedSource, type Subscriber } from '../../server/live/feed.ts'
import type { EngineEventType, ServerMessage, StoreInfo, Topic } from '../../server/protocol.ts'
import { Refusal } from '../../server/refusal.ts'
import { BatchWriter } from '../../server/store/batch-writer.ts'
import type { StoreListener } from '../../server/store/store-client.ts'
import type { RequestAnswer, WorkerBatch } from '../../server/store/worker-contract.ts'
import { topicBit } from '../../server/topics.ts'

const LIMITS: FeedLimits = {
  eventsMax: 10,
  bytesMax: 100_000,
  samplesMax: 5,
  snapshotEventsMax: 4,
  slowEventsMax: 1,
  slowSnapshotMs: 0,
  behindBytesMax: 2_000,
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
  push(count: number, samples: number[] = [], types: EngineEventType[] = ['gc_skip']): void {
    const first = this.#seq + 1
    this.#seq += count
    // The name is not ASCII, so that bytes and characters differ.
    const events = Array.from({ length: count }, (_, i) => ({
      seq: first + i,
      type: types[i % types.length] ?? 'gc_skip',
      name: 'Gerät',
    }))
    const writer = new BatchWriter(64)
    for (const event of events) writer.add(JSON.stringify(event), topicBit(event.type))
    const batch: WorkerBatch = {
      kind: 'batch',
      events: writer.take(first),
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
  /** As a socket holds them until the other side reads. */
  readonly frames: Buffer[] = []

  /** Frames are taken while there is room. */
  full = false
  cutOffBecause: string | null = null

  sendBulk(text: Buffer): void {
    this.messages.push(JSON.parse(text.toString()) as ServerMessage)
  }

  sendControl(text: Buffer): void {
    this.sendBulk(text)
  }

  sendFrame(text: Buffer): boolean {
    if (!this.full) {
      this.frames.push(text)
      this.sendBulk(text)
    }
    return !this.full
  }

  cutOff(why: string): void {
    this.cutOffBecause = why
  }

  close(): void {
    this.cutOffBecause = 'closed'
  }

  describe(): ReturnType<Subscriber['describe']> {
    return {
      clientId: 1,
      role: 'viewer',
      peer: 'test',
      connectedAtMs: 0,
      bytesUnsent: 0,
      bytesSent: 0,
    }
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

  test('frames made inside of a batch stay whole while readers of other topics get theirs', () => {
    const { store, feed } = opened({ ...LIMITS, eventsMax: 10_000, bytesMax: 10_000_000 })
    const topics: Topic[][] = [
      ['segments', 'queue', 'passes', 'trace', 'metrics'],
      ['segments', 'queue', 'passes', 'trace'],
      ['trace'],
      ['segments', 'queue', 'passes', 'trace', 'metrics'],
    ]
    const readers = topics.map((wanted) => {
      const reader = new Reader()
      feed.attach(reader, nothing, wanted)
      return reader
    })
    store.answer()
    // Two large batches, with a type that each of the topics wants.
    for (let batch = 0; batch < 2; batch++) store.push(2000, [batch], ['gc_skip'])
    const all = Array.from({ length: 4000 }, (_, i) => i + 1)
    const later = readers.map(({ frames }) =>
      frames.map((frame) => JSON.parse(frame.toString()) as ServerMessage),
    )
    later.forEach((frames, i) => {
      const seqs = frames.flatMap((m) => (m.type === 'frame' ? m.events.map((e) => e.seq) : []))
      expect(seqs, `reader ${i}`).toEqual(all)
      const samples = frames.flatMap((m) => (m.type === 'frame' ? m.samples : []))
      expect(samples, `reader ${i}`).toHaveLength(topics[i]?.includes('metrics') === true ? 2 : 0)
    })
    expect(readers[0]?.frames[0], 'one frame for all with the same topics').toBe(
      readers[3]?.frames[0],
    )
    expect(readers[0]?.frames[0]?.byteOffset, 'made in place').toBeGreaterThan(2000)
    const { events } = JSON.parse(feed.eventsBody(0, 10_000).toString()) as {
      events: { seq: number }[]
    }
    expect(events.map((event) => event.seq)).toEqual(all)
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
      JSON.parse(feed.eventsBody(after, limit).toString())
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

describe('topics', () => {
  const mixed: EngineEventType[] = ['gc_skip', 'debt_changed', 'segment_created']

  test('a reader gets the events of its topics, and every range joins the one before', () => {
    const { store, feed } = opened()
    const reader = new Reader()
    feed.attach(reader, nothing, ['queue', 'segments'])
    store.answer()
    store.push(3, [], mixed)
    store.push(1, [], ['gc_skip'])
    store.push(6, [], mixed)
    const frames = reader.messages.filter((m) => m.type === 'frame')
    expect(frames.map((f) => f.events.map((event) => event.seq))).toEqual([
      [2, 3],
      [],
      [6, 7, 9, 10],
    ])
    expect(frames.map((f) => [f.firstSeq, f.lastSeq])).toEqual([
      [1, 3],
      [4, 4],
      [5, 10],
    ])
    // Facts and samples alone are the topic metrics.
    store.push(0, [1])
    expect(reader.messages.filter((m) => m.type === 'frame')).toHaveLength(3)
  })

  test('one frame is made for all readers with the same topics', () => {
    const { store, feed } = opened()
    const sets: Topic[][] = [['queue'], ['queue'], ['trace', 'metrics'], ['metrics', 'trace']]
    for (const topics of sets) feed.attach(new Reader(), nothing, topics)
    store.answer()
    store.push(3, [], mixed)
    expect(feed.counters).toMatchObject({ framesSerialised: 2, framesSent: 4 })
  })

  test('more topics come with a snapshot of now, fewer at once', () => {
    const { store, feed } = opened()
    const reader = new Reader()
    feed.attach(reader, nothing, ['queue', 'trace'])
    store.answer()
    feed.subscribe(reader, ['queue'])
    expect(reader.messages.at(-1)).toEqual({ type: 'subscribed', topics: ['queue'] })
    store.push(3, [], mixed)
    expect(reader.frameSeqs).toEqual([2])
    feed.subscribe(reader, ['queue', 'segments'])
    store.push(3, [], mixed)
    store.answer()
    store.push(3, [], mixed)
    expect(reader.types).toEqual([
      'snapshot',
      'subscribed',
      'frame',
      'subscribed',
      'snapshot',
      'frame',
    ])
    expect(reader.messages[4]).toMatchObject({ reason: 'topics', seq: 6, missed: null })
    expect(reader.frameSeqs).toEqual([2, 8, 9])
  })

  test('a resume brings the topics only, with ranges that join', () => {
    const { store, feed } = opened()
    store.push(3, [], mixed)
    store.push(3, [], mixed)
    const reader = new Reader()
    feed.attach(reader, { streamId: feed.streamId, seq: 1 }, ['segments'])
    expect(reader.frameSeqs).toEqual([3, 6])
    expect(reader.messages.at(-1)).toMatchObject({ firstSeq: 2, lastSeq: 6 })
  })
})

describe('a slow reader', () => {
  function slowReader(limits = LIMITS): {
    store: ScriptedStore
    feed: Feed
    slow: Reader
    quick: Reader
  } {
    const { store, feed } = opened(limits)
    const slow = new Reader()
    const quick = new Reader()
    for (const reader of [slow, quick]) feed.attach(reader, nothing)
    store.answer()
    store.push(2)
    slow.full = true
    return { store, feed, slow, quick }
  }

  test('is moved to snapshot mode, told what it missed, and others notice nothing', () => {
    const { store, feed, slow, quick } = slowReader()
    store.push(2)
    store.push(2)
    expect(feed.body().clients.map((client) => client.mode)).toEqual(['snapshot', 'live'])
    expect(store.asked).toBe(1)
    slow.full = false
    feed.drained(slow)
    store.push(1)
    store.answer()
    store.push(1)
    // Events 3 to 6 were left out; the newest one of 7 comes with the snapshot.
    expect(slow.messages.at(-2)).toMatchObject({
      type: 'snapshot',
      reason: 'slow',
      seq: 7,
      missed: { fromSeq: 3, toSeq: 6 },
    })
    expect(slow.frameSeqs).toEqual([1, 2, 8])
    expect(quick.frameSeqs).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(feed.counters).toMatchObject({ slowClients: 1, eventsMissed: 4, clientsCutOff: 0 })
    expect(feed.body().clients[0]).toMatchObject({ mode: 'live', seq: 8, eventsMissed: 4 })
  })

  test('that reads nothing at all is cut off past the byte limit, with the position it has', () => {
    const { store, feed, slow, quick } = slowReader()
    for (let i = 0; i < 40; i++) store.push(1)
    expect(slow.cutOffBecause).toBe('more than 2000 bytes behind; nothing after event 2 was sent')
    expect(feed.body().clients).toHaveLength(1)
    expect(quick.frameSeqs).toHaveLength(42)
    expect(feed.counters.clientsCutOff).toBe(1)
  })

  test('that finds itself behind gets the snapshot in place of the rest it could have', () => {
    const { store, feed, quick } = slowReader()
    store.push(4)
    // It has got all six, and looked at three.
    feed.attach(quick, { streamId: feed.streamId, seq: 3, fresh: true })
    store.push(1)
    store.answer()
    store.push(1)
    expect(quick.messages.at(-2)).toMatchObject({
      type: 'snapshot',
      reason: 'slow',
      seq: 7,
      missed: { fromSeq: 4, toSeq: 6 },
    })
    expect(quick.frameSeqs.slice(-1)).toEqual([8])
    expect(feed.counters).toMatchObject({ slowClients: 2, eventsMissed: 3, resumesSent: 0 })
    // Of another stream nothing is known to be missing.
    feed.attach(quick, { streamId: 'other', seq: 3, fresh: true })
    store.answer()
    expect(quick.messages.at(-1)).toMatchObject({ reason: 'resync', missed: null })
  })

  test('gets no second snapshot before the pause is over', () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const { store, feed, slow } = slowReader({ ...LIMITS, slowSnapshotMs: 1_000 })
    store.push(1)
    feed.drained(slow)
    feed.drained(slow)
    vi.advanceTimersByTime(999)
    expect(store.asked).toBe(1)
    vi.advanceTimersByTime(1)
    expect(store.asked).toBe(2)
    store.answer()
    expect(slow.messages.at(-1)).toMatchObject({ reason: 'slow' })
  })

  test('of a store that is closed is let go with the others', () => {
    const { feed, slow, quick } = slowReader()
    expect(feed.end()).toEqual([slow, quick])
    expect(feed.clients).toBe(0)
  })
})
