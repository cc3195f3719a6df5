/**
 * The websocket route. The guard has checked Host, Origin and token before the upgrade; one socket
 * follows one store at a time, and every socket hears when the list of stores changes.
 */
import websocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type { Audit } from '../audit.ts'
import { CLOSE_CODES, LIVE_PATH, LIVE_PROTOCOL } from '../protocol.ts'
import type { Stores } from '../stores.ts'
import { Connection, type ConnectionDeps, type SocketLimits } from './connection.ts'
import { messageText } from './messages.ts'

/** Time for a closing handshake at shutdown before the connection is cut. */
const CLOSE_GRACE_MS = 1_000

/** Before the guard: it marks upgrade requests as such. A program that has websockets keeps its own. */
export async function registerWebsocket(
  app: FastifyInstance,
  connections: Connections,
): Promise<void> {
  if (app.hasDecorator('websocketServer')) {
    app.addHook('preClose', (done) => {
      connections.closeAll()
      done()
    })
    return
  }
  await app.register(websocket, {
    options: {
      maxPayload: connections.limits.messageBytesMax,
      handleProtocols: () => LIVE_PROTOCOL,
    },
    // On every socket: without a listener an error of one would end the process.
    errorHandler: (error, socket, request) => {
      request.log.warn({ err: error }, 'live socket failed')
      socket.terminate()
    },
    preClose: (done) => {
      connections.closeAll()
      const { clients } = app.websocketServer
      setTimeout(() => {
        for (const client of clients) client.terminate()
      }, CLOSE_GRACE_MS).unref()
      done()
    },
  })
}

/** The open sockets of this server. */
export class Connections {
  readonly limits: SocketLimits
  readonly #open = new Set<Connection>()
  readonly #heartbeat: NodeJS.Timeout
  #lastClientId = 0

  constructor(limits: SocketLimits) {
    this.limits = limits
    this.#heartbeat = setInterval(() => {
      for (const connection of this.#open) connection.beat()
    }, limits.heartbeatMs)
    this.#heartbeat.unref()
  }

  get size(): number {
    return this.#open.size
  }

  nextId(): number {
    return ++this.#lastClientId
  }

  add(connection: Connection): void {
    this.#open.add(connection)
  }

  remove(connection: Connection): void {
    this.#open.delete(connection)
  }

  tellAll(text: Buffer): void {
    for (const connection of this.#open) connection.sendControl(text)
  }

  closeAll(): void {
    clearInterval(this.#heartbeat)
    for (const connection of this.#open) {
      connection.close(CLOSE_CODES.SHUTTING_DOWN, 'the server is stopping')
    }
  }
}

export interface LiveParts {
  stores: Stores
  connections: Connections
  audit: Audit
}

export function registerLive(
  app: FastifyInstance,
  { stores, connections, audit }: LiveParts,
): void {
  stores.onChange(() => {
    connections.tellAll(messageText({ type: 'stores', stores: stores.list() }))
  })

  app.get(LIVE_PATH, { websocket: true, config: { access: 'live' } }, (socket, request) => {
    const role = request.role ?? 'viewer'
    const refused: ConnectionDeps['refused'] = (what, storeId, code, text) =>
      audit.add({
        role,
        peer: request.ip,
        channel: 'live',
        what,
        storeId,
        outcome: 'refused',
        code,
        text,
        result: '',
        elapsedMs: 0,
      })
    if (connections.size >= connections.limits.socketsMax) {
      const text = `${connections.limits.socketsMax} sockets are open already`
      refused('upgrade', null, 'RATE_LIMITED', text)
      socket.close(CLOSE_CODES.RATE_LIMITED, text)
      return
    }
    const peer = {
      clientId: connections.nextId(),
      role,
      address: request.ip,
      connectedAtMs: Date.now(),
    }
    const connection = new Connection(socket, peer, {
      feedOf: (storeId) => stores.feed(storeId),
      limits: connections.limits,
      refused,
    })
    connections.add(connection)
    socket.on('close', (code) => {
      connections.remove(connection)
      connection.end()
      request.log.info({ code }, 'live socket closed')
    })
  })
}
