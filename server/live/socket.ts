/**
 * The websocket route: one socket follows one store. The guard has checked Host, Origin and token
 * before the upgrade. A socket that does not read is cut off with TOO_SLOW and may come back with
 * its position; nobody is waited for.
 */
import websocket, { type WebSocket } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { Compile } from 'typebox/compile'
import { CLOSE_CODES, LIVE_PATH, LIVE_PROTOCOL } from '../protocol.ts'
import type { ClientMessage, ErrorCode, ServerMessage } from '../protocol.ts'
import { clientMessageSchema } from '../schemas.ts'
import type { Stores } from '../stores.ts'
import type { Feed, Subscriber } from './feed.ts'

export interface SocketLimits {
  /** A socket says hello within this time. */
  helloMs: number
  /** A ping goes out this often; a socket that did not answer the one before is gone. */
  heartbeatMs: number
  /** Unsent bytes past which a socket is too slow; a snapshot on its way is not counted. */
  unsentBytesMax: number
}

export const SOCKET_LIMITS: SocketLimits = {
  helloMs: 5_000,
  heartbeatMs: 20_000,
  unsentBytesMax: 8 * 1024 * 1024,
}

const MESSAGE_BYTES_MAX = 64 * 1024
/** Time for a closing handshake at shutdown before the connection is cut. */
const CLOSE_GRACE_MS = 1_000
const TOO_SLOW_GRACE_MS = 5_000

const clientMessage = Compile(clientMessageSchema)

/** Before the guard: it marks upgrade requests as such. */
export async function registerWebsocket(app: FastifyInstance): Promise<void> {
  await app.register(websocket, {
    options: { maxPayload: MESSAGE_BYTES_MAX, handleProtocols: () => LIVE_PROTOCOL },
    // On every socket: without a listener an error of one would end the process.
    errorHandler: (error, socket, request) => {
      request.log.warn({ err: error }, 'live socket failed')
      socket.terminate()
    },
    preClose: (done) => {
      closeAll(app)
      done()
    },
  })
}

export function registerLive(app: FastifyInstance, stores: Stores, limits: SocketLimits): void {
  const connections = new Set<Connection>()
  const heartbeat = setInterval(() => {
    for (const connection of connections) connection.beat()
  }, limits.heartbeatMs)
  app.addHook('onClose', () => clearInterval(heartbeat))

  app.get(LIVE_PATH, { websocket: true, config: { access: 'live' } }, (socket, request) => {
    const connection = new Connection(socket, stores, limits)
    connections.add(connection)
    socket.on('close', (code) => {
      connections.delete(connection)
      connection.end()
      request.log.info({ code }, 'live socket closed')
    })
  })
}

function closeAll(app: FastifyInstance): void {
  const { clients } = app.websocketServer
  for (const client of clients) client.close(CLOSE_CODES.SHUTTING_DOWN, 'the server is stopping')
  setTimeout(() => {
    for (const client of clients) client.terminate()
  }, CLOSE_GRACE_MS).unref()
}

class Connection implements Subscriber {
  readonly #socket: WebSocket
  readonly #stores: Stores
  readonly #limits: SocketLimits
  readonly #helloTimer: NodeJS.Timeout
  #feed: Feed | null = null
  #answered = true
  /** Bytes of snapshots and resumes still unsent. */
  #bulkUnsent = 0

  constructor(socket: WebSocket, stores: Stores, limits: SocketLimits) {
    this.#socket = socket
    this.#stores = stores
    this.#limits = limits
    this.#helloTimer = setTimeout(
      () => this.#refuse('BAD_REQUEST', `no hello within ${limits.helloMs} ms`),
      limits.helloMs,
    )
    socket.on('message', (data, isBinary) => {
      if (isBinary) this.#refuse('BAD_REQUEST', 'messages are JSON text')
      else this.#receive((data as Buffer).toString('utf8'))
    })
    socket.on('pong', () => {
      this.#answered = true
    })
  }

  /** A missed pong ends the connection: the other side is gone without a goodbye. */
  beat(): void {
    if (!this.#answered) {
      this.#socket.terminate()
      return
    }
    this.#answered = false
    this.#socket.ping()
  }

  end(): void {
    clearTimeout(this.#helloTimer)
    this.#feed?.detach(this)
    this.#feed = null
  }

  send(text: string, bulk: boolean): void {
    const socket = this.#socket
    if (socket.readyState !== socket.OPEN) return
    if (bulk) {
      // Characters, not bytes: our JSON is ASCII but for names, and this is only an allowance.
      this.#bulkUnsent += text.length
      socket.send(text, () => {
        this.#bulkUnsent -= text.length
      })
      return
    }
    if (socket.bufferedAmount > this.#limits.unsentBytesMax + this.#bulkUnsent) this.#cutOff()
    else socket.send(text)
  }

  #cutOff(): void {
    const socket = this.#socket
    const unsent = socket.bufferedAmount
    this.end()
    socket.close(CLOSE_CODES.TOO_SLOW, `${unsent} bytes unsent; reconnect with your position`)
    // The close frame queues behind what the client does not read; it gets some time to do so.
    setTimeout(() => socket.terminate(), TOO_SLOW_GRACE_MS).unref()
  }

  #receive(text: string): void {
    const message = parseClientMessage(text)
    if (message === undefined) {
      this.#refuse('BAD_REQUEST', 'not a message of this protocol')
      return
    }
    switch (message.type) {
      case 'hello': {
        clearTimeout(this.#helloTimer)
        // Asking for the next snapshot while the last ones pile up unread.
        if (this.#bulkUnsent > this.#limits.unsentBytesMax) {
          this.#cutOff()
          return
        }
        const feed = this.#stores.feed(message.storeId)
        if (feed === undefined) {
          this.#refuse('NOT_FOUND', `no store ${message.storeId}`)
          return
        }
        this.#feed?.detach(this)
        this.#feed = feed
        feed.attach(this, { streamId: message.streamId, seq: message.seq })
        break
      }
      case 'subscribe':
        this.#refuse('BAD_REQUEST', 'all topics are sent')
        break
      case 'ping':
        this.send(JSON.stringify({ type: 'pong', id: message.id } satisfies ServerMessage), false)
        break
    }
  }

  #refuse(code: ErrorCode, message: string): void {
    this.end()
    const error: ServerMessage = { type: 'error', code, message }
    this.#socket.send(JSON.stringify(error))
    this.#socket.close(CLOSE_CODES.BAD_MESSAGE, code)
  }
}

function parseClientMessage(text: string): ClientMessage | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return clientMessage.Check(value) ? value : undefined
}
