import { describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { SOCKET_LIMITS } from '../../server/live/connection.ts'
import { CLOSE_CODES, LIVE_PATH, LIVE_PROTOCOL, LIVE_TOKEN_PREFIX } from '../../server/protocol.ts'
import { LiveClient } from './live-client.ts'
import { startServer, STORE, temporaryFolder, TOKEN } from './test-server.ts'

/** Events 1, 2, 3, ... without a hole or a repeat. */
function expectConsecutive(seqs: number[], first: number): void {
  expect(seqs).toEqual(seqs.map((_, i) => first + i))
}

/** Status of the answer to an upgrade; 101 = it went through. */
function upgradeStatus(
  url: string,
  protocols: string[],
  headers: Record<string, string> = {},
): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols, { headers })
    socket.on('error', () => undefined)
    socket.on('unexpected-response', (request, response) => {
      resolve(response.statusCode ?? 0)
      request.destroy()
    })
    socket.on('open', () => {
      socket.terminate()
      resolve(101)
    })
  })
}

describe('live upgrade', () => {
  test('is refused without the token, without the protocol and from foreign origins and hosts', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const url = `${server.origin.replace('http', 'ws')}${LIVE_PATH}`
    const token = `${LIVE_TOKEN_PREFIX}${TOKEN}`
    expect(await upgradeStatus(url, [])).toBe(401)
    expect(await upgradeStatus(url, [LIVE_PROTOCOL])).toBe(401)
    expect(await upgradeStatus(url, [token])).toBe(401)
    expect(await upgradeStatus(url, [LIVE_PROTOCOL, `${token}x`])).toBe(401)
    const both = [LIVE_PROTOCOL, token]
    expect(await upgradeStatus(url, both, { origin: 'http://evil.example' })).toBe(403)
    expect(await upgradeStatus(url, both, { host: 'evil.example' })).toBe(403)
    // A bearer token opens the REST routes only, and no other address upgrades.
    const bearer = { authorization: `Bearer ${TOKEN}` }
    expect(await upgradeStatus(url, [LIVE_PROTOCOL], bearer)).toBe(401)
    expect(await upgradeStatus(url.replace(LIVE_PATH, '/'), both, bearer)).toBe(400)
    expect(await upgradeStatus(url.replace(LIVE_PATH, '/api/v1/stores'), both, bearer)).toBe(400)
  })

  test('answers with the protocol and never with the token', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const client = new LiveClient(server.origin, TOKEN, { headers: { origin: server.origin } })
    await client.opened()
    expect(client.socket.protocol).toBe(LIVE_PROTOCOL)
  })
})

describe('live socket', () => {
  test('refuses what is not a message of the protocol', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const messages: (string | Buffer)[] = [
      'no json',
      '[]',
      '{"type":"hello"}',
      '{"type":"hello","storeId":"store","streamId":null,"seq":-1}',
      '{"type":"ping","id":1,"more":true}',
      Buffer.from('{"type":"ping","id":1}'),
    ]
    for (const message of messages) {
      const client = server.live()
      await client.opened()
      client.socket.send(message)
      expect((await client.closed).code).toBe(CLOSE_CODES.BAD_MESSAGE)
      expect(client.messages).toMatchObject([{ type: 'error', code: 'BAD_REQUEST' }])
    }
    const client = server.live()
    await client.opened()
    client.socket.send(`"${'x'.repeat(70_000)}"`)
    expect((await client.closed).code).toBe(1009)
  })

  test('refuses an unknown store, and silence', async () => {
    const socketLimits = { ...SOCKET_LIMITS, helloMs: 20 }
    const server = await startServer({ dir: temporaryFolder(), deps: { socketLimits } })
    const unknown = await server.live().hello('nowhere')
    expect((await unknown.closed).code).toBe(CLOSE_CODES.BAD_MESSAGE)
    expect(unknown.messages).toMatchObject([{ type: 'error', code: 'NOT_FOUND' }])
    const silent = server.live()
    await silent.opened()
    expect((await silent.closed).code).toBe(CLOSE_CODES.BAD_MESSAGE)
  })

  test('answers pings', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const client = await server.live().hello(STORE)
    client.send({ type: 'ping', id: 7 })
    expect(await client.find('pong')).toEqual({ type: 'pong', id: 7 })
  })

  test('cuts off a client that does not read, with the reason', async () => {
    const socketLimits = { ...SOCKET_LIMITS, bulkBytesMax: 10_000, messagesBurst: 10_000 }
    const server = await startServer({ dir: temporaryFolder(), deps: { socketLimits } })
    const client = await server.live().hello(STORE)
    const { streamId, seq } = await client.find('snapshot')
    for (let round = 0; round < 10; round++) {
      await server.put('k', 100, String(round))
      await server.act('checkpoint', {})
    }
    await client.event((event) => event.type === 'checkpoint_done')
    const { position } = client

    // Asks for all of this again and again, more than the sockets between them hold, unread.
    client.socket.pause()
    for (let i = 0; i < 2000; i++) client.send({ type: 'hello', storeId: STORE, streamId, seq })
    await new Promise<void>((resolve) => {
      const [seen] = server.app.websocketServer.clients
      seen?.on('message', () => {
        if (seen.readyState !== seen.OPEN) resolve()
      })
    })
    client.socket.resume()
    expect((await client.closed).code).toBe(CLOSE_CODES.TOO_SLOW)
    const next = await server.live().hello(STORE, position)
    await next.find('resumed')
  })
})

describe('live feed of a hosted store', () => {
  test('a snapshot is followed by every event exactly once', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const clients: LiveClient[] = []
    for (let round = 0; round < 5; round++) {
      await server.put('k', 100, String(round))
      clients.push(await server.live().hello(STORE))
      if (round % 2 === 0) await server.act('checkpoint', {})
    }
    const { pass } = await server.act('periodic-pass', {})
    for (const client of clients) {
      const done = await client.event(
        (e) => e.type === 'pass_done' && e.report.passId === pass.passId,
      )
      const snapshot = await client.find('snapshot')
      expect(snapshot.reason).toBe('first')
      expectConsecutive(
        client.events.map((event) => event.seq),
        snapshot.seq + 1,
      )
      expect(snapshot.events.at(-1)?.seq ?? snapshot.seq).toBe(snapshot.seq)
      expect(done.seq).toBeGreaterThan(snapshot.seq)
    }
  })

  test('a cut client gets exactly the rest', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const whole = await server.live().hello(STORE)
    const before = await server.live().hello(STORE)
    const start = await before.find('snapshot')
    await server.put('k', 200)
    await server.act('checkpoint', {})
    await before.event((event) => event.type === 'checkpoint_done')
    await before.cut()

    for (let round = 0; round < 3; round++) {
      await server.put('k', 200, String(round))
      await server.act('checkpoint', {})
    }
    const after = await server.live().hello(STORE, before.position)
    const { pass } = await server.act('periodic-pass', {})
    for (const client of [whole, after]) {
      await client.event((e) => e.type === 'pass_done' && e.report.passId === pass.passId)
    }
    expect(after.messages[0]).toMatchObject({ type: 'resumed', seq: before.position.seq })
    expectConsecutive(
      [...before.events, ...after.events].map((event) => event.seq),
      start.seq + 1,
    )
    const known = new Map(whole.events.map((event) => [event.seq, event]))
    for (const event of [...before.events, ...after.events]) {
      if (known.has(event.seq)) expect(event).toEqual(known.get(event.seq))
    }
    // The same events by REST, in pages.
    const { body } = await server.get<{ events: unknown[] }>(
      `/stores/${STORE}/events?after=${start.seq}&limit=5`,
    )
    expect(body.events).toEqual(whole.events.filter((e) => e.seq > start.seq).slice(0, 5))
  })

  test('a restarted server is a new stream: resync, and the store as it was', async () => {
    const dir = temporaryFolder()
    const first = await startServer({ dir })
    const client = await first.live().hello(STORE)
    await client.find('snapshot')
    await first.put('k', 200)
    await first.act('checkpoint', {})
    await client.event((event) => event.type === 'checkpoint_done')
    await first.close()
    expect(await client.closed).toEqual({
      code: CLOSE_CODES.SHUTTING_DOWN,
      reason: 'the server is stopping',
    })

    const second = await startServer({ dir })
    const again = await second.live().hello(STORE, client.position)
    const snapshot = await again.find('snapshot')
    expect(snapshot.reason).toBe('resync')
    expect(snapshot.streamId).not.toBe(client.position.streamId)
    const key = Buffer.from('k000007').toString('hex')
    const { body } = await second.get<{ value: string }>(`/stores/${STORE}/keys/${key}`)
    expect(Buffer.from(body.value, 'base64')).toEqual(Buffer.alloc(1024, 'v'))
  })

  test('gauges and samples come without events', async () => {
    const server = await startServer({ dir: temporaryFolder() })
    const client = await server.live().hello(STORE)
    await client.find('snapshot')
    await server.put('k', 10)
    const frame = await client.find('frame', (f) => f.gauges.puts >= 10)
    expect(frame.gauges.clockFrozen).toBe(true)
    const sampled = await client.find('frame', (f) => f.samples.some((s) => s.bytesLive > 0))
    for (const sample of sampled.samples) {
      expect(sample.bytesLive + sample.bytesStale).toBe(sample.bytesTotal)
    }
  })
})
