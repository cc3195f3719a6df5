/** What a store has to tell reaches the port whole, in order, in pieces of bounded size. */
import { MessageChannel } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import type { EngineEvent, EngineGauges } from '../../server/protocol.ts'
import { BatchWriter } from '../../server/store/batch-writer.ts'
import { BATCH_BYTES_MAX, Outbox } from '../../server/store/outbox.ts'
import {
  movedWith,
  type EventBatch,
  type WorkerBatch,
  type WorkerMessage,
} from '../../server/store/worker-contract.ts'

const gauges = (nowMs: number, puts = 0): EngineGauges => ({ nowMs, puts }) as EngineGauges

function event(seq: number, problem: string): EngineEvent {
  return { seq, atMs: seq, passId: null, type: 'state_file_ignored', problem }
}

function textsOf({ bytes, ends }: EventBatch): string[] {
  return [...ends].map((end, i) =>
    Buffer.from(bytes.subarray(i === 0 ? 0 : (ends[i - 1] ?? 0) + 1, end)).toString(),
  )
}

function seqsOf(batches: readonly WorkerBatch[]): number[] {
  return batches.flatMap(({ events }) =>
    textsOf(events).map((text) => (JSON.parse(text) as { seq: number }).seq),
  )
}

describe('a batch writer', () => {
  test('knows where each event ends, in bytes and not in characters', () => {
    const writer = new BatchWriter(64)
    const texts = ['{"a":1}', '{"name":"Gerät"}', '{"much":"€€€€€€€€€€€€€€€€€€€€€€€€€"}', '{}']
    texts.forEach((text, i) => writer.add(text, 1 << i))
    const batch = writer.take(7)
    expect(batch).toMatchObject({ firstSeq: 7, count: 4 })
    expect(textsOf(batch)).toEqual(texts)
    expect([...batch.topics]).toEqual([1, 2, 4, 8])
    expect(Buffer.from(batch.bytes).toString()).toBe(texts.join(','))
    expect(writer.count).toBe(0)
  })

  test('hands out bytes of its own, also after an event larger than all its space', () => {
    const writer = new BatchWriter(64)
    const huge = JSON.stringify({ why: 'x'.repeat(10_000) })
    writer.add('{}', 1)
    writer.add(huge, 1)
    expect(writer.full).toBe(true)
    const first = writer.take(1)
    writer.add('{"next":true}', 1)
    const second = writer.take(3)
    expect(textsOf(first)).toEqual(['{}', huge])
    expect(textsOf(second)).toEqual(['{"next":true}'])
    expect(writer.take(4)).toMatchObject({ firstSeq: 4, count: 0 })
  })

  test('a batch is moved through a port, not copied', async () => {
    const outbox: WorkerBatch[] = []
    const writer = new Outbox((batch) => outbox.push(batch))
    writer.event(event(1, 'quiet'))
    writer.flush(gauges(1), null)
    const [batch] = outbox
    if (batch === undefined) throw new Error('nothing was posted')
    const { port1, port2 } = new MessageChannel()
    const arrived = new Promise<WorkerMessage>((resolve) => port2.once('message', resolve))
    port1.postMessage(batch, movedWith(batch))
    expect(batch.events.bytes.length).toBe(0)
    const message = (await arrived) as WorkerBatch
    expect(seqsOf([message])).toEqual([1])
    expect([...message.events.topics]).toHaveLength(1)
    port1.close()
  })
})

describe('an outbox', () => {
  /** About a quarter of a batch. */
  const quarter = 'y'.repeat(BATCH_BYTES_MAX / 4)

  test('posts what is full before the flush, in order and in the next turn', async () => {
    const posted: WorkerBatch[] = []
    const outbox = new Outbox((batch) => posted.push(batch))
    outbox.flush(gauges(0), null)
    posted.length = 0
    for (let seq = 1; seq <= 10; seq++) outbox.event(event(seq, quarter))
    expect(posted, 'not while the engine speaks').toEqual([])
    await Promise.resolve()
    expect(seqsOf(posted)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(outbox.oldestUnpostedSeq).toBe(9)
    outbox.flush(gauges(1, 5), null)
    expect(seqsOf(posted)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(posted.map(({ gaugesJson }) => JSON.parse(gaugesJson) as unknown)).toEqual([
      { nowMs: 0, puts: 0 },
      { nowMs: 0, puts: 0 },
      { nowMs: 1, puts: 5 },
    ])
    for (const { events } of posted) expect(events.bytes.length).toBeLessThan(BATCH_BYTES_MAX * 1.5)
  })

  test('a flush in the same turn posts all, and nothing is posted twice', async () => {
    const posted: WorkerBatch[] = []
    const outbox = new Outbox((batch) => posted.push(batch))
    outbox.flush(gauges(0), null)
    for (let seq = 1; seq <= 6; seq++) outbox.event(event(seq, quarter))
    outbox.flush(gauges(1), null)
    expect(seqsOf(posted)).toEqual([1, 2, 3, 4, 5, 6])
    await Promise.resolve()
    expect(seqsOf(posted)).toHaveLength(6)
  })

  test('says nothing before the first flush, however much there is', async () => {
    const posted: WorkerBatch[] = []
    const outbox = new Outbox((batch) => posted.push(batch), 40)
    for (let seq = 41; seq <= 52; seq++) outbox.event(event(seq, quarter))
    await Promise.resolve()
    expect(posted).toEqual([])
    expect(outbox.oldestUnpostedSeq).toBe(41)
    outbox.flush(gauges(1), null)
    expect(seqsOf(posted)).toEqual(Array.from({ length: 12 }, (_, i) => 41 + i))
    expect(posted[0]?.events.firstSeq).toBe(41)
  })

  test('time alone is no news', () => {
    const posted: WorkerBatch[] = []
    const outbox = new Outbox((batch) => posted.push(batch))
    outbox.flush(gauges(0), null)
    outbox.flush(gauges(1), null)
    outbox.flush(gauges(2, 1), null)
    expect(posted).toHaveLength(2)
  })
})
