/**
 * A client behind a connection that is cut, stalled, flooded or led to a restarted server never ends
 * with a wrong number: real server, real engine, real sockets, and a client that only knows the
 * contract: it applies events to its state and compares with the store's own at the end.
 */
import { WebSocket } from 'ws'
import { describe, expect, onTestFinished, test } from 'vitest'
import { applyEvent } from '../../engine/apply-event.ts'
import { SOCKET_LIMITS } from '../../server/live/connection.ts'
import { FEED_LIMITS } from '../../server/live/feed.ts'
import {
  LIVE_PATH,
  LIVE_PROTOCOL,
  LIVE_TOKEN_PREFIX,
  type EngineState,
  type FeedBody,
  type ServerMessage,
  type StoreSnapshot,
} from '../../server/protocol.ts'
import { FaultyProxy } from './faulty-proxy.ts'
import {
  SMALL_STEP_STORE,
  startServer,
  STORE,
  temporaryFolder,
  TOKEN,
  type TestServer,
} from './test-server.ts'

/** Applies what it is told, refuses holes, comes back with its position. */
class ModelClient {
  state: EngineState | null = null
  streamId: string | null = null
  seq = 0
  readonly reasons: string[] = []
  missed = 0
  resumes = 0
  /** Broken promises of the server; must stay empty. */
  readonly wrongs: string[] = []
  #socket: WebSocket | null = null
  #stopped = false
  readonly #proxy: FaultyProxy

  constructor(proxy: FaultyProxy) {
    this.#proxy = proxy
    this.#connect()
    onTestFinished(() => this.stop())
  }

  stop(): void {
    this.#stopped = true
    this.#socket?.terminate()
  }

  /** Until it has everything of the store; the store must be at rest. */
  async caughtUp(server: TestServer): Promise<void> {
    for (;;) {
      const { body } = await server.get<FeedBody>(`/stores/${STORE}/feed`)
      if (body.streamId === this.streamId && body.newestSeq === this.seq) return
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  flood(messages: number): void {
    for (let id = 0; id < messages; id++) {
      this.#socket?.send(JSON.stringify({ type: 'ping', id }), () => undefined)
    }
  }

  #connect(): void {
    if (this.#stopped) return
    const url = `ws://127.0.0.1:${this.#proxy.port}${LIVE_PATH}`
    const headers = { host: `127.0.0.1:${this.#proxy.targetPort}` }
    const socket = new WebSocket(url, [LIVE_PROTOCOL, LIVE_TOKEN_PREFIX + TOKEN], { headers })
    this.#socket = socket
    socket.on('open', () => {
      const { streamId, seq } = this
      socket.send(JSON.stringify({ type: 'hello', storeId: STORE, streamId, seq }))
    })
    socket.on('message', (data) =>
      this.#receive(JSON.parse((data as Buffer).toString()) as ServerMessage),
    )
    socket.on('error', () => undefined)
    socket.on('close', () => setTimeout(() => this.#connect(), 2))
  }

  #receive(message: ServerMessage): void {
    if (message.type === 'snapshot') {
      this.reasons.push(message.reason)
      const { missed } = message
      if (missed !== null) {
        this.missed += missed.toSeq - missed.fromSeq + 1
        if (missed.fromSeq !== this.seq + 1) this.wrongs.push(`missed from ${missed.fromSeq}`)
      }
      this.streamId = message.streamId
      this.seq = message.seq
      this.state = message.snapshot.state
    } else if (message.type === 'resumed') {
      this.resumes += 1
      if (message.seq !== this.seq) this.wrongs.push(`resumed at ${message.seq}`)
    } else if (message.type === 'frame') {
      if (message.streamId !== this.streamId || message.firstSeq !== this.seq + 1) {
        this.wrongs.push(`frame from ${message.firstSeq} after ${this.seq}`)
      }
      for (const event of message.events) {
        if (this.state !== null) this.state = applyEvent(this.state, event)
        this.seq += 1
        if (event.seq !== this.seq) this.wrongs.push(`event ${event.seq} at ${this.seq}`)
      }
      if (message.lastSeq !== this.seq) this.wrongs.push(`frame to ${message.lastSeq}`)
    }
  }
}

async function expectSame(client: ModelClient, server: TestServer): Promise<void> {
  await client.caughtUp(server)
  const { body } = await server.get<StoreSnapshot>(`/stores/${STORE}/state`)
  // Asking for the state may have emitted byte changes that were held back.
  await client.caughtUp(server)
  expect(client.wrongs).toEqual([])
  expect(client.state).toEqual(body.state)
}

async function work(server: TestServer, round: number): Promise<void> {
  await server.put('k', 120, String(round % 10), (round % 3) + 1)
  await server.act('checkpoint', {})
}

describe('a client behind a bad connection', () => {
  test('that is cut again and again resumes, and ends with the store’s own numbers', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const proxy = await FaultyProxy.start(Number(new URL(server.origin).port))
    const client = new ModelClient(proxy)
    for (let round = 0; round < 12; round++) {
      await work(server, round)
      if (round > 0) proxy.cut()
      if (round === 6) await client.caughtUp(server)
    }
    await expectSame(client, server)
    expect(client.resumes).toBeGreaterThan(0)
  })

  test('that was away for longer than events are held is resynced and told the range', async () => {
    const feedLimits = { ...FEED_LIMITS, eventsMax: 40, snapshotEventsMax: 10 }
    const server = await startServer({ dir: temporaryFolder(), deps: { feedLimits } })
    const proxy = await FaultyProxy.start(Number(new URL(server.origin).port))
    const client = new ModelClient(proxy)
    await work(server, 0)
    await client.caughtUp(server)
    proxy.targetPort = 1
    proxy.cut()
    for (let round = 1; round < 8; round++) await work(server, round)
    proxy.targetPort = Number(new URL(server.origin).port)
    await expectSame(client, server)
    expect(client.reasons).toEqual(['first', 'resync'])
    expect(client.missed).toBeGreaterThan(0)
  })

  test('that hangs is moved to snapshots, told what it missed, and ends right', async () => {
    const socketLimits = { ...SOCKET_LIMITS, frameBytesMax: 64 * 1024 }
    const engine = { ...SMALL_STEP_STORE, segmentBytes: 4096 }
    const feedLimits = { ...FEED_LIMITS, slowEventsMax: 1, behindBytesMax: 1e9 }
    const server = await startServer({
      dir: temporaryFolder(),
      engine,
      deps: { socketLimits, feedLimits },
    })
    const proxy = await FaultyProxy.start(Number(new URL(server.origin).port))
    const client = new ModelClient(proxy)
    await server.put('k', 1500)
    await server.act('checkpoint', {})
    await client.caughtUp(server)
    proxy.stall()
    const feedOf = async (): Promise<FeedBody> =>
      (await server.get<FeedBody>(`/stores/${STORE}/feed`)).body
    // Reports of plans over hundreds of segments, until the sockets between them are full.
    for (let round = 0; round < 200 && (await feedOf()).counters.slowClients === 0; round++) {
      await server.act('stage', { filters: { minStaleRatio: 1, minAgeMs: 0 } })
    }
    expect((await feedOf()).clients).toMatchObject([{ mode: 'snapshot' }])
    await work(server, 1)
    proxy.flow()
    await expectSame(client, server)
    expect(client.reasons.at(-1)).toBe('slow')
    expect(client.missed).toBeGreaterThan(0)
    expect((await feedOf()).counters.eventsMissed).toBe(client.missed)
  })

  test('that floods is cut off, and ends right when it has come to its senses', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const proxy = await FaultyProxy.start(Number(new URL(server.origin).port))
    const client = new ModelClient(proxy)
    await work(server, 0)
    await client.caughtUp(server)
    client.flood(500)
    await work(server, 1)
    await expectSame(client, server)
    const { body } = await server.get<{ entries: { code: string }[] }>('/audit')
    expect(body.entries.some((entry) => entry.code === 'RATE_LIMITED')).toBe(true)
  })

  test('whose server restarts gets the new stream, and the new numbers', async () => {
    const dir = temporaryFolder()
    const first = await startServer({ dir })
    const proxy = await FaultyProxy.start(Number(new URL(first.origin).port))
    const client = new ModelClient(proxy)
    await work(first, 0)
    await expectSame(client, first)
    const before = client.streamId
    await first.close()
    const second = await startServer({ dir })
    proxy.targetPort = Number(new URL(second.origin).port)
    await work(second, 1)
    await expectSame(client, second)
    expect(client.streamId).not.toBe(before)
    expect(client.reasons.at(-1)).toBe('resync')
    expect(client.missed).toBe(0)
  })
})
