/** The recorded past over the wire: of hosted and attached stores, with what is missing said. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type {
  EventsBody,
  HistoryBody,
  HistoryEventsBody,
  HistoryLatencyBody,
  HistoryPassBody,
  HistoryPassesBody,
  HistoryStateBody,
  PassesBody,
  StoreSnapshot,
  StoresBody,
} from '../../server/protocol.ts'
import { HistoryClient } from '../../server/store/history-client.ts'
import { ageRecording } from '../support/old-recording.ts'
import {
  SMALL_STEP_STORE,
  startServer,
  STORE,
  temporaryFolder,
  TOKEN,
  VIEWER_TOKEN,
  WORKER_URL,
  type TestServer,
} from './test-server.ts'

const HISTORY = `/stores/${STORE}/history`
const LATENCY = '/latency?fromMs=0&toMs=8e15'

interface Past {
  dir: string
  /** Events of the opening, as the feed had them. */
  events: EventsBody['events']
  passes: PassesBody['passes']
  /** State after the newest event. */
  state: StoreSnapshot['state']
}

/** Two passes and then a closed folder. */
async function past(): Promise<Past> {
  const dir = temporaryFolder()
  const server = await startServer({ dir })
  await live(server)
  // The state first: whatever it contains has then reached the feed.
  const { state } = (await server.get<StoreSnapshot>(`/stores/${STORE}/state`)).body
  const { events } = (await server.get<EventsBody>(`/stores/${STORE}/events`)).body
  const { passes } = (await server.get<PassesBody>(`/stores/${STORE}/passes`)).body
  await server.close()
  return { dir, events, passes, state }
}

async function live(server: TestServer): Promise<void> {
  await server.put('k', 400, 'a')
  await server.put('k', 200, 'b', 2)
  await server.act('checkpoint', {})
  await server.act('stage', { filters: { minStaleRatio: 0.2, minAgeMs: 0, maxSegments: 3 } })
  await server.act('advance-clock', { ms: 60_000 })
  await server.act('run-pass', { source: 'rewrite_stage_confirm' })
}

async function got<Body>(server: TestServer, url: string): Promise<Body> {
  const { status, body } = await server.get<Body>(url)
  if (status !== 200) throw new Error(`${url}: ${status} ${JSON.stringify(body)}`)
  return body
}

async function allEvents(server: TestServer, limit: number): Promise<EventsBody['events']> {
  const events: EventsBody['events'] = []
  for (let from: number | null = 1; from !== null;) {
    const url = `${HISTORY}/events?opening=1&from=${from}&limit=${limit}`
    const page: HistoryEventsBody = await got(server, url)
    expect(page.events.length).toBeLessThanOrEqual(limit)
    events.push(...page.events)
    from = page.next
  }
  return events
}

describe('history of an attached folder', () => {
  test('has every event, every pass and every state that the writer had', async () => {
    const { dir, events, passes, state } = await past()
    const server = await startServer({ dir, mode: 'attached' })
    const { recording, openingsLeftOut, gapsLeftOut } = await got<HistoryBody>(server, HISTORY)
    expect(recording.openings).toMatchObject([
      { openingId: 1, firstSeq: 1, closed: true, gaps: [] },
    ])
    expect([openingsLeftOut, gapsLeftOut, recording.problems]).toEqual([0, 0, []])

    const seen = await allEvents(server, 7)
    expect(seen.slice(0, events.length)).toEqual(events)
    // Closing has its checkpoint.
    expect(seen.length).toBeGreaterThan(events.length)

    const seq = events.at(-1)?.seq ?? 0
    const moment = await got<HistoryStateBody>(server, `${HISTORY}/state?opening=1&seq=${seq}`)
    expect(moment).toEqual({ openingId: 1, seq, atMs: events.at(-1)?.atMs, state, why: null })

    const list = await got<HistoryPassesBody>(server, `${HISTORY}/passes`)
    expect(list.passes.map(({ report }) => report.passId)).toEqual(passes.map((p) => p.passId))
    expect(list.next).toBeNull()
    const planned = list.passes.find(({ candidatesDropped }) => candidatesDropped)
    const passId = planned?.report.passId ?? 0
    const one = await got<HistoryPassBody>(server, `${HISTORY}/passes/${passId}?opening=1`)
    expect(one.report).toEqual(passes.find((pass) => pass.passId === passId))
    expect(one.events).toEqual(events.filter((event) => event.passId === passId))
    expect(one.eventsLeftOut).toBe(0)
  })

  test('pages passes newest first, and leaves out those that only looked', async () => {
    const dir = temporaryFolder()
    const writer = await startServer({ dir })
    await live(writer)
    for (let i = 0; i < 5; i++) await writer.act('run-pass', { source: 'periodic' })
    const { passes } = (await writer.get<PassesBody>(`/stores/${STORE}/passes`)).body
    await writer.close()
    const server = await startServer({ dir, mode: 'attached' })
    const ids: number[] = []
    let query = ''
    for (;;) {
      const page = await got<HistoryPassesBody>(server, `${HISTORY}/passes?limit=2${query}`)
      expect(page.passes.length).toBeLessThanOrEqual(2)
      ids.push(...page.passes.map(({ report }) => report.passId))
      if (page.next === null) break
      query = `&before=${page.next.openingId},${page.next.seq}`
    }
    expect(ids).toEqual(passes.map((pass) => pass.passId))
    const acted = await got<HistoryPassesBody>(server, `${HISTORY}/passes?acted=true`)
    const outcomes = acted.passes.map(({ report }) => report.outcome)
    expect(outcomes.length).toBeLessThan(ids.length)
    expect(outcomes).toContain('rewrote')
    expect(outcomes).not.toContain('blocked')
    expect(outcomes).not.toContain('nothing_to_do')
  })

  test('finds moments by time, and says when the recording begins', async () => {
    const { dir, events } = await past()
    const server = await startServer({ dir, mode: 'attached' })
    const middle = events[Math.floor(events.length / 2)]
    const atMs = middle?.atMs ?? 0
    const before = events.findLast((event) => event.atMs <= atMs)
    const moment = await got<HistoryStateBody>(server, `${HISTORY}/state?at=${atMs}`)
    expect(moment).toMatchObject({ openingId: 1, seq: before?.seq, atMs: before?.atMs })
    const page = await got<HistoryEventsBody>(server, `${HISTORY}/events?at=${atMs}&limit=1`)
    expect(page.events[0]?.seq).toBe(events.find((event) => event.atMs >= atMs)?.seq)
    const early = await server.get(`${HISTORY}/state?at=1`)
    expect([early.status, early.body.error.code]).toEqual([404, 'NOT_FOUND'])
    expect(early.body.error.message).toContain('the recording begins later')
  })

  test('tells how long the foreground took, in a span of time and page by page', async () => {
    const dir = temporaryFolder()
    const writer = await startServer({ dir })
    for (let i = 0; i < 4; i++) {
      await writer.put('k', 10)
      await writer.act('advance-clock', { ms: 5_000 })
    }
    await writer.get(`/stores/${STORE}/state`)
    const { events } = (await writer.get<EventsBody>(`/stores/${STORE}/events`)).body
    await writer.close()
    const server = await startServer({ dir, mode: 'attached' })
    const told = events.flatMap((event) => {
      if (event.type !== 'foreground_latency') return []
      const { seq, fromMs, atMs, put, get } = event
      return [{ seq, fromMs, atMs, put, get }]
    })
    expect(told).toHaveLength(4)
    expect(told[0]?.put?.count).toBeGreaterThan(0)
    const latency = (query: string): Promise<HistoryLatencyBody> =>
      got(server, `${HISTORY}/latency?${query}`)
    const [fromMs, toMs] = [told[0]?.fromMs ?? 0, told.at(-1)?.atMs ?? 0]
    const whole = `fromMs=${fromMs}&toMs=${toMs}`
    const answer = { openingId: 1, isRecorded: true, intervals: told, next: null }
    expect(await latency(`${whole}&opening=1`)).toEqual(answer)
    const found: HistoryLatencyBody['intervals'] = []
    for (let from: number | null = 0; from !== null;) {
      const page: HistoryLatencyBody = await latency(`${whole}&from=${from}&limit=1`)
      expect(page.intervals.length).toBeLessThanOrEqual(1)
      found.push(...page.intervals)
      from = page.next
    }
    expect(found).toEqual(told)
    expect(await latency(`fromMs=${toMs + 1}&toMs=${toMs + 1000}`)).toMatchObject({
      isRecorded: true,
      intervals: [],
    })
    for (const query of ['', 'fromMs=1', `${whole}&limit=2001`]) {
      const { status, body } = await server.get(`${HISTORY}/latency?${query}`)
      expect([query, status, body.error.code]).toEqual([query, 400, 'BAD_REQUEST'])
    }
  })

  test('does not call latency none where it was not recorded', async () => {
    const old = temporaryFolder()
    const writer = await startServer({ dir: old })
    await live(writer)
    let body = await got<HistoryBody>(writer, HISTORY)
    while ((body.recording.openings[0]?.lastPassId ?? 0) < 2) {
      body = await got<HistoryBody>(writer, HISTORY)
    }
    const copy = temporaryFolder()
    fs.cpSync(old, copy, { recursive: true })
    ageRecording(copy)
    const server = await startServer({ dir: copy, mode: 'attached' })
    expect(await got<HistoryLatencyBody>(server, `${HISTORY}${LATENCY}`)).toEqual({
      openingId: 1,
      isRecorded: false,
      intervals: [],
      next: null,
    })
  })

  test('says what is missing: lost newest moments, and history given up for space', async () => {
    const { dir } = await past()
    const [chunk = ''] = fs.readdirSync(path.join(dir, 'trace')).sort()
    const file = path.join(dir, 'trace', chunk)
    fs.truncateSync(file, fs.statSync(file).size - 700)
    const server = await startServer({ dir, mode: 'attached' })
    const { recording } = await got<HistoryBody>(server, HISTORY)
    expect(recording.openings[0]?.closed).toBe(false)
    expect(recording.openings[0]?.gaps.at(-1)).toMatchObject({
      toSeq: null,
      text: expect.stringContaining('the newest moments may be missing') as unknown,
    })
    const last = recording.openings[0]?.lastSeq ?? 0
    const after = await got<HistoryStateBody>(server, `${HISTORY}/state?opening=1&seq=${last + 5}`)
    expect(after).toMatchObject({
      state: null,
      why: expect.stringContaining('ends before') as unknown,
    })
    const page = await got<HistoryEventsBody>(server, `${HISTORY}/events?from=${last}`)
    expect(page.gaps).toHaveLength(1)

    const small = temporaryFolder()
    const recorded = { maxBytes: 256 * 1024, chunkBytes: 16 * 1024 }
    const writer = await startServer({
      dir: small,
      engine: { ...SMALL_STEP_STORE, recording: recorded },
    })
    for (let whole = true; whole;) {
      await live(writer)
      const { recording: so } = await got<HistoryBody>(writer, HISTORY)
      whole = so.openings[0]?.gaps[0]?.why !== 'retention'
    }
    await writer.close()
    const reader = await startServer({ dir: small, mode: 'attached' })
    const cut = await got<HistoryBody>(reader, HISTORY)
    expect(cut.recording.openings[0]?.gaps[0]).toMatchObject({ fromSeq: 1, why: 'retention' })
    const old = await got<HistoryStateBody>(reader, `${HISTORY}/state?opening=1&seq=3`)
    expect(old).toMatchObject({ state: null, why: 'event 3 is older than what is kept' })
  })

  test('without a recording is empty, and a question about it is refused in words', async () => {
    const dir = temporaryFolder()
    const writer = await startServer({ dir, engine: { ...SMALL_STEP_STORE, recording: 'off' } })
    await writer.put('k', 10)
    await writer.close()
    const server = await startServer({ dir, mode: 'attached' })
    const { recording } = await got<HistoryBody>(server, HISTORY)
    expect(recording).toEqual({ bytes: 0, chunks: 0, openings: [], problems: [] })
    expect((await got<HistoryPassesBody>(server, `${HISTORY}/passes`)).passes).toEqual([])
    for (const url of ['state', 'events', 'passes/7', 'latency?fromMs=0&toMs=1']) {
      const { status, body } = await server.get(`${HISTORY}/${url}`)
      expect([url, status, body.error.code]).toEqual([url, 404, 'NOT_FOUND'])
    }
    const { body } = await server.get(`${HISTORY}/state?opening=0`)
    expect(body.error.code).toBe('BAD_REQUEST')
  })

  test('touches nothing in the folder', async () => {
    const { dir } = await past()
    const look = (): string[] =>
      fs
        .readdirSync(dir, { recursive: true, encoding: 'utf8' })
        .sort()
        .map((name) => {
          const { size, mtimeMs } = fs.statSync(path.join(dir, name))
          return `${name} ${size} ${mtimeMs}`
        })
    const before = look()
    const server = await startServer({ dir, mode: 'attached', readOnly: true })
    const headers = { authorization: `Bearer ${VIEWER_TOKEN}` }
    for (const url of ['', '/passes', '/events', '/state', '/passes/1', LATENCY]) {
      const answer = await fetch(`${server.origin}/api/v1${HISTORY}${url}`, { headers })
      expect([url, answer.status]).toEqual([url, 200])
      await answer.arrayBuffer()
    }
    expect(look()).toEqual(before)
  })
})

describe('history of a hosted store', () => {
  test('grows while it is written, and the open end is said', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    await live(server)
    await server.act('advance-clock', { ms: 5_000 })
    // A pass cuts a block, which the recorder writes in a later turn.
    let body = await got<HistoryBody>(server, HISTORY)
    while ((body.recording.openings[0]?.lastPassId ?? 0) < 2) {
      body = await got<HistoryBody>(server, HISTORY)
    }
    expect(body.recording.openings[0]?.gaps).toMatchObject([{ why: 'not_closed', toSeq: null }])
    const last = body.recording.openings[0]?.lastPassId ?? 0
    const { report } = await got<HistoryPassBody>(server, `${HISTORY}/passes/${last}`)
    const { passes } = await got<PassesBody>(server, `/stores/${STORE}/passes`)
    expect(report).toEqual(passes.find((pass) => pass.passId === last))
    const moment = await got<HistoryStateBody>(server, `${HISTORY}/state`)
    expect(moment.state?.segments.length).toBeGreaterThan(5)
  })

  test('goes on over a restart: the pass before it is found in its own opening', async () => {
    const { dir, passes } = await past()
    const server = await startServer({ dir })
    await live(server)
    await server.close()
    const reader = await startServer({ dir, mode: 'attached' })
    const { recording } = await got<HistoryBody>(reader, HISTORY)
    expect(recording.openings.map(({ openingId }) => openingId)).toEqual([1, 2])
    const first = await got<HistoryPassBody>(reader, `${HISTORY}/passes/1?opening=1`)
    expect(first.report).toEqual(passes.find((pass) => pass.passId === 1))
    const second = await got<HistoryPassBody>(reader, `${HISTORY}/passes/1`)
    expect([first.openingId, second.openingId]).toEqual([1, 2])
    const unknown = await reader.get(`${HISTORY}/events?opening=9`)
    expect(unknown.body.error.message).toBe('opening 9 is not recorded; those from 1 to 2 are')
  })
})

describe('history of a store that failed', () => {
  test('is there all the same: what led to it is what one looks for', async () => {
    const dir = temporaryFolder()
    const holder = await startServer({ dir })
    await live(holder)
    // The folder is held by another opening of it.
    const server = await startServer({ dir })
    const { stores } = await got<StoresBody>(server, '/stores')
    expect(stores).toMatchObject([{ status: 'failed', failure: { code: 'ENGINE_LOCKED' } }])
    // Its recorder writes in turns of its own.
    let recorded = 0
    while (recorded === 0) {
      recorded = (await got<HistoryPassesBody>(server, `${HISTORY}/passes`)).passes.length
    }
    const moment = await got<HistoryStateBody>(server, `${HISTORY}/state`)
    expect(moment.state?.segments.length).toBeGreaterThan(5)
  })
})

describe('the reader of recordings', () => {
  test('that dies refuses what waits, and the next question finds a new one', async () => {
    const { dir } = await past()
    const code = `
      import { parentPort, threadId } from 'node:worker_threads'
      import * as fs from 'node:fs'
      const real = ${JSON.stringify(new URL('./history-worker.js', WORKER_URL).href)}
      await import(real)
      parentPort.on('message', ({ dir }) => { if (dir === 'die') throw new Error('planted') })
    `
    const url = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
    const client = new HistoryClient(() => url)
    try {
      expect(JSON.parse(await client.request(dir, 'summary', {}))).toMatchObject({
        recording: { chunks: 1 },
      })
      const refused = client.request('die', 'summary', {})
      await expect(refused).rejects.toMatchObject({
        code: 'STORE_FAILED',
        message: 'the reader of recordings died: planted',
      })
      expect(JSON.parse(await client.request(dir, 'summary', {}))).toMatchObject({
        recording: { chunks: 1 },
      })
    } finally {
      await client.close()
    }
  })

  test('takes only so many questions at once', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const headers = { authorization: `Bearer ${TOKEN}` }
    const answers = await Promise.all(
      Array.from({ length: 120 }, () => fetch(`${server.origin}/api/v1${HISTORY}`, { headers })),
    )
    const statuses = new Set(answers.map(({ status }) => status))
    expect(statuses).toEqual(new Set([200, 429]))
  })
})
