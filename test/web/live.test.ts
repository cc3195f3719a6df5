// The live client against a real websocket server on the loopback interface.
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { ClientMessage, ServerMessage } from '../../server/protocol.ts'
import {
  LiveClient,
  type LiveOptions,
  type LiveSocket,
  type LiveStatus,
} from '../../web/api/live.ts'
import { initialState, type AppState } from '../../web/state/app-state.ts'
import { applyMessage } from '../../web/state/apply-message.ts'
import { makeFrame, makeSnapshot, makeStore, skipEvent } from './fixtures.ts'

/** expect's matchers are typed any; this one stands where a string does. */
const containing = (text: string) => expect.stringContaining(text) as string

interface Seen {
  socket: WebSocket
  messages: ClientMessage[]
  protocols: string[]
}

let server: WebSocketServer
let connections: Seen[]
let client: LiveClient | null
let received: ServerMessage[]
let statuses: LiveStatus[]
let refuse: boolean

beforeEach(async () => {
  connections = []
  received = []
  statuses = []
  refuse = false
  client = null
  server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: () => 'restage.v1',
    verifyClient: () => !refuse,
  })
  server.on('connection', (socket, request) => {
    const seen: Seen = {
      socket,
      messages: [],
      protocols: (request.headers['sec-websocket-protocol'] ?? '').split(/,\s*/),
    }
    connections.push(seen)
    socket.on('message', (data: Buffer) => {
      seen.messages.push(JSON.parse(data.toString()) as ClientMessage)
    })
  })
  await vi.waitUntil(() => server.address() !== null)
})

afterEach(async () => {
  client?.stop()
  for (const { socket } of connections) socket.terminate()
  await new Promise((resolve) => server.close(resolve))
})

function start(overrides: Partial<LiveOptions> = {}): LiveClient {
  const { port } = server.address() as AddressInfo
  client = new LiveClient({
    url: `ws://127.0.0.1:${String(port)}/api/v1/live`,
    token: 'secret',
    storeId: 'demo',
    onMessages: (messages) => received.push(...messages),
    onStatus: (status) => statuses.push(status),
    isTokenRefused: () => Promise.resolve(false),
    createSocket: (url, protocols) => new WebSocket(url, protocols) as unknown as LiveSocket,
    schedule: (flush) => setTimeout(flush, 1),
    random: () => 0,
    timing: { retryMinMs: 10, retryMaxMs: 40, pingEveryMs: 20, silenceMaxMs: 10_000 },
    ...overrides,
  })
  client.start()
  return client
}

const connection = async (index: number): Promise<Seen> => {
  await vi.waitUntil(() => connections[index]?.messages.some((message) => message.type === 'hello'))
  const found = connections[index]
  if (found === undefined) throw new Error('no such connection')
  return found
}
const say = (to: Seen, message: ServerMessage) => to.socket.send(JSON.stringify(message))
const hello = (of: Seen) => of.messages.find((message) => message.type === 'hello')
const eventSeqs = () =>
  received.flatMap((message) => (message.type === 'frame' ? message.events.map((e) => e.seq) : []))

describe('connecting', () => {
  test('offers the protocol and the token, and says hello without a position', async () => {
    start()
    const first = await connection(0)
    expect(first.protocols).toEqual(['restage.v1', 'restage.token.secret'])
    expect(hello(first)).toEqual({ type: 'hello', storeId: 'demo', streamId: null, seq: 0 })
    expect(statuses).toEqual([{ phase: 'connecting' }])
    say(first, makeSnapshot({ seq: 4 }))
    await vi.waitUntil(() => statuses.at(-1)?.phase === 'live')
  })

  test('messages of one moment are handed out together', async () => {
    const batches: ServerMessage[][] = []
    start({
      onMessages: (messages) => batches.push(messages),
      schedule: (flush) => setTimeout(flush, 60),
    })
    const first = await connection(0)
    say(first, makeSnapshot())
    for (let seq = 1; seq <= 5; seq += 1) say(first, makeFrame([skipEvent(seq)]))
    await vi.waitUntil(() => batches.flat().length === 6)
    expect(batches.length).toBeLessThanOrEqual(2)
  })
})

describe('coming back', () => {
  test('after a cut it says what it has, and gets the rest without a doubled event', async () => {
    start()
    const first = await connection(0)
    say(first, makeSnapshot({ seq: 2 }))
    say(first, makeFrame([skipEvent(3)]))
    await vi.waitUntil(() => eventSeqs().length === 1)
    first.socket.terminate()
    const second = await connection(1)
    expect(statuses.some((status) => status.phase === 'reconnecting')).toBe(true)
    expect(hello(second)).toEqual({ type: 'hello', storeId: 'demo', streamId: 'stream-1', seq: 3 })
    say(second, { type: 'resumed', streamId: 'stream-1', seq: 3, topics: [], store: makeStore() })
    say(second, makeFrame([skipEvent(2), skipEvent(3), skipEvent(4)]))
    await vi.waitUntil(() => eventSeqs().length === 2)
    expect(eventSeqs()).toEqual([3, 4])
    expect(statuses.at(-1)).toEqual({ phase: 'live' })
  })

  test('a hole makes it ask for a fresh snapshot, and it says why', async () => {
    start()
    const first = await connection(0)
    say(first, makeSnapshot({ seq: 2 }))
    say(first, makeFrame([skipEvent(3), skipEvent(6)]))
    const second = await connection(1)
    expect(hello(second)).toMatchObject({ streamId: null, seq: 0 })
    expect(eventSeqs()).toEqual([3])
    const why = statuses.find((status) => status.phase === 'reconnecting')
    expect(why).toMatchObject({ why: containing('events 4 to 5 are missing') })
  })

  test('a frame of another stream makes it ask for a fresh snapshot', async () => {
    start()
    const first = await connection(0)
    say(first, makeSnapshot())
    say(first, makeFrame([skipEvent(1)], { streamId: 'stream-2' }))
    const second = await connection(1)
    expect(hello(second)).toMatchObject({ streamId: null })
    expect(eventSeqs()).toEqual([])
  })

  test('waits longer after each failure, up to the maximum', async () => {
    refuse = true
    start()
    await vi.waitUntil(() => statuses.filter((s) => s.phase === 'reconnecting').length >= 4)
    const attempts = statuses.flatMap((s) => (s.phase === 'reconnecting' ? [s.attempt] : []))
    expect(attempts.slice(0, 4)).toEqual([1, 2, 3, 4])
    refuse = false
    const back = await connection(0)
    say(back, makeSnapshot())
    await vi.waitUntil(() => statuses.at(-1)?.phase === 'live')
  })

  test('a refused token ends the attempts', async () => {
    refuse = true
    start({ isTokenRefused: () => Promise.resolve(true) })
    await vi.waitUntil(() => statuses.at(-1)?.phase === 'unauthorized')
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(statuses.at(-1)?.phase).toBe('unauthorized')
    expect(connections).toHaveLength(0)
  })

  test.each([
    [
      'closed while it is followed',
      (seen: Seen) => seen.socket.close(4004, 'store demo was closed'),
    ],
    [
      'closed while the page was away',
      (seen: Seen) => say(seen, { type: 'error', code: 'NOT_FOUND', message: 'no store demo' }),
    ],
  ])('a store %s is not asked for again', async (_when, happens) => {
    start()
    happens(await connection(0))
    await vi.waitUntil(() => statuses.at(-1)?.phase === 'closed')
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(statuses.at(-1)).toEqual({ phase: 'closed' })
    expect(connections).toHaveLength(1)
  })

  test('stop means stop', async () => {
    const live = start()
    const first = await connection(0)
    say(first, makeSnapshot())
    await vi.waitUntil(() => statuses.at(-1)?.phase === 'live')
    live.stop()
    await vi.waitUntil(() => first.socket.readyState === WebSocket.CLOSED)
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(connections).toHaveLength(1)
    expect(statuses.at(-1)?.phase).toBe('stopped')
  })
})

describe('a dead socket', () => {
  test('is pinged, and given up after silence', async () => {
    start({ timing: { retryMinMs: 10, retryMaxMs: 40, pingEveryMs: 20, silenceMaxMs: 70 } })
    const first = await connection(0)
    say(first, makeSnapshot())
    await vi.waitUntil(() => first.messages.some((message) => message.type === 'ping'))
    await connection(1)
    expect(statuses.find((s) => s.phase === 'reconnecting')).toMatchObject({
      why: containing('silent'),
    })
  })

  test('is kept while pongs come back', async () => {
    start({ timing: { retryMinMs: 10, retryMaxMs: 40, pingEveryMs: 20, silenceMaxMs: 150 } })
    const first = await connection(0)
    first.socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as ClientMessage
      if (message.type === 'ping') say(first, { type: 'pong', id: message.id })
    })
    say(first, makeSnapshot())
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(connections).toHaveLength(1)
  })
})

/** Numbers of the events, and what is said not to be there. */
const traceLines = ({ trace }: AppState): string[] =>
  trace.chunks
    .flatMap(({ items }) => items)
    .map((entry) =>
      entry.kind === 'event'
        ? String(entry.event.seq)
        : entry.what === 'missed'
          ? `gap ${String(entry.fromSeq)} to ${String(entry.toSeq)}`
          : entry.what,
    )

describe('a page that does not keep up', () => {
  const fresh = (of: Seen) =>
    of.messages.filter((message) => message.type === 'hello' && message.fresh === true)
  const pings = (of: Seen) => of.messages.filter((message) => message.type === 'ping')

  /** A page with a clock of its own, which draws when it is told to. */
  async function slowPage() {
    let clockMs = 0
    let draw: (() => void) | null = null
    start({
      nowMs: () => clockMs,
      schedule: (flush) => (draw = flush),
      timing: { retryMinMs: 10, retryMaxMs: 40, pingEveryMs: 20, silenceMaxMs: 60_000 },
    })
    const seen = await connection(0)
    return {
      seen,
      pass: (ms: number) => (clockMs += ms),
      draw: () => {
        const due = draw
        draw = null
        due?.()
      },
      hasToDraw: () => vi.waitUntil(() => draw !== null),
      /** A ping has gone out at this time of the clock. */
      pinged: async () => {
        const before = pings(seen).length
        await vi.waitUntil(() => pings(seen).length > before + 1)
      },
      answerPings: () => {
        const newest = pings(seen).at(-1)
        if (newest?.type === 'ping') say(seen, { type: 'pong', id: newest.id })
      },
      isLive: () => vi.waitUntil(() => statuses.at(-1)?.phase === 'live'),
    }
  }

  test('leaves out what is older than two seconds, and gets a snapshot with the range', async () => {
    const page = await slowPage()
    const { seen } = page
    say(seen, makeSnapshot({ seq: 2 }))
    await page.isLive()
    say(seen, makeFrame([skipEvent(3)]))
    await vi.waitUntil(() => (page.draw(), eventSeqs().length === 1))
    await page.pinged()

    // Two frames wait for the page, one to be drawn and one to be read, for longer than that.
    say(seen, makeFrame([skipEvent(4)]))
    await page.hasToDraw()
    page.pass(2001)
    say(seen, makeFrame([skipEvent(5)]))
    await vi.waitUntil(() => fresh(seen).length === 1)
    expect(fresh(seen)).toEqual([
      { type: 'hello', storeId: 'demo', streamId: 'stream-1', seq: 3, fresh: true },
    ])
    say(seen, makeFrame([skipEvent(6)]))
    const missed = { fromSeq: 4, toSeq: 8 }
    say(seen, makeSnapshot({ seq: 9, reason: 'slow', missed, events: [skipEvent(9)] }))
    page.answerPings()
    say(seen, makeFrame([skipEvent(10)]))
    await vi.waitUntil(() => (page.draw(), eventSeqs().includes(10)))
    expect(eventSeqs()).toEqual([3, 10])
    expect(received.filter(({ type }) => type === 'snapshot')).toHaveLength(2)
    expect(connections).toHaveLength(1)
    expect(statuses.map(({ phase }) => phase)).not.toContain('reconnecting')
    expect(fresh(seen)).toHaveLength(1)

    const state = received.reduce(
      (before, message) => applyMessage(before, message, 0),
      initialState,
    )
    expect(state.behind).toMatchObject(missed)
    expect(traceLines(state)).toEqual(['gap 1 to 2', '3', 'gap 4 to 8', '9', '10'])
  })

  test('keeps what is younger, however long it waits to be drawn', async () => {
    const page = await slowPage()
    const { seen } = page
    say(seen, makeSnapshot({ seq: 2 }))
    await page.isLive()
    await page.pinged()
    page.pass(1999)
    say(seen, makeFrame([skipEvent(3)]))
    await page.pinged()
    page.answerPings()
    say(seen, { type: 'stores', stores: [] })
    await vi.waitUntil(() => (page.draw(), received.some(({ type }) => type === 'stores')))
    page.pass(1999)
    say(seen, makeFrame([skipEvent(4)]))
    await vi.waitUntil(() => (page.draw(), eventSeqs().length === 2))
    expect(fresh(seen)).toEqual([])
  })

  test('does not take a snapshot that was long on its way for a sign of it', async () => {
    const page = await slowPage()
    const { seen } = page
    say(seen, makeSnapshot({ seq: 2 }))
    await page.isLive()
    await page.pinged()
    page.pass(2001)
    // Sent before the answers to those pings, and so is the frame behind it.
    say(seen, makeSnapshot({ seq: 9, reason: 'slow', missed: { fromSeq: 3, toSeq: 8 } }))
    say(seen, makeFrame([skipEvent(10)]))
    await vi.waitUntil(() => (page.draw(), eventSeqs().includes(10)))
    expect(fresh(seen)).toEqual([])
  })

  test('asks no more often than snapshots come, and starts over when there is none', async () => {
    const page = await slowPage()
    const { seen } = page
    say(seen, makeSnapshot({ seq: 2 }))
    await page.isLive()
    await page.pinged()
    page.pass(2001)
    for (let seq = 3; seq < 40; seq += 1) say(seen, makeFrame([skipEvent(seq)]))
    await vi.waitUntil(() => fresh(seen).length === 1)
    await page.pinged()
    expect(fresh(seen)).toHaveLength(1)
    say(seen, { type: 'error', code: 'STORE_FAILED', message: 'no snapshot' })
    page.answerPings()
    say(seen, makeFrame([skipEvent(40)]))
    expect(hello(await connection(1))).toMatchObject({ streamId: null, seq: 0 })
  })
})

describe('drawing', () => {
  const costs = (...costsMs: number[]) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] })
    let clockMs = 0
    let draw: (() => void) | null = null
    const left = [...costsMs]
    const sockets: LiveSocket[] = []
    const client = new LiveClient({
      url: 'ws://127.0.0.1',
      token: '',
      storeId: 'store',
      onMessages: () => (clockMs += left.shift() ?? 0),
      onStatus: () => undefined,
      isTokenRefused: () => Promise.resolve(false),
      createSocket: () => {
        const socket = { send: () => undefined, close: () => undefined } as unknown as LiveSocket
        sockets.push(socket)
        return socket
      },
      schedule: (flush) => (draw = flush),
      nowMs: () => clockMs,
    })
    client.start()
    /** A message comes; true when it is drawn with the next frame, without a rest before. */
    const isDrawnAtOnce = (): boolean => {
      sockets[0]?.onmessage?.({ data: JSON.stringify({ type: 'pong', id: 1 }) })
      const atOnce = draw !== null
      vi.advanceTimersByTime(1000)
      draw?.()
      draw = null
      return atOnce
    }
    return { isDrawnAtOnce, end: () => (client.stop(), vi.useRealTimers()) }
  }

  test.each([
    ['cheap ones', [2, 2, 2], true],
    ['one that took long among cheap ones', [2, 90, 0], true],
    ['two that took long', [50, 90, 0], false],
  ])('after %s', (_, costsMs, atOnce) => {
    const { isDrawnAtOnce, end } = costs(...costsMs)
    isDrawnAtOnce()
    isDrawnAtOnce()
    expect(isDrawnAtOnce()).toBe(atOnce)
    end()
  })
})
