/**
 * One websocket that follows one store at a time. It never waits for its reader: what the socket
 * would have to buffer beyond its share is refused to the feed, which then decides. Messages that
 * come in are bounded in size, kind and rate.
 */
import type { WebSocket } from '@fastify/websocket'
import { Compile } from 'typebox/compile'
import { CLOSE_CODES } from '../protocol.ts'
import type { ClientMessage, ErrorCode, Role, ServerMessage } from '../protocol.ts'
import { clientMessageSchema } from '../schemas.ts'
import type { Feed, Subscriber } from './feed.ts'
import { messageText } from './messages.ts'

export interface SocketLimits {
  /** A socket says hello within this time. */
  helloMs: number
  /** A ping goes out this often; a socket that did not answer the one before is gone. */
  heartbeatMs: number
  /**
   * Bytes of frames that may wait in the socket; the next one is not taken. Sixteen full frames: a burst
   * of ten thousand events is no reason to call a reader slow.
   */
  frameBytesMax: number
  /** Bytes of snapshots and resumes that may wait; asking for more ends the connection. */
  bulkBytesMax: number
  /** A client message is at most this long. */
  messageBytesMax: number
  /** Client messages in a burst, and how fast the right to another comes back. */
  messagesBurst: number
  messageEveryMs: number
  /** Open sockets of all clients together. */
  socketsMax: number
}

export const SOCKET_LIMITS: SocketLimits = {
  helloMs: 5_000,
  heartbeatMs: 20_000,
  frameBytesMax: 4 * 1024 * 1024,
  bulkBytesMax: 32 * 1024 * 1024,
  messageBytesMax: 64 * 1024,
  messagesBurst: 60,
  messageEveryMs: 100,
  socketsMax: 256,
}

/** A close frame queues behind what the client does not read; it gets this long to do so. */
const CLOSE_GRACE_MS = 5_000

const clientMessage = Compile(clientMessageSchema)

export interface Peer {
  clientId: number
  role: Role
  address: string
  connectedAtMs: number
}

export interface ConnectionDeps {
  feedOf: (storeId: string) => Feed | undefined
  limits: SocketLimits
  /** Told of every message that was refused. */
  refused: (what: string, storeId: string | null, code: ErrorCode, text: string) => void
}

export class Connection implements Subscriber {
  readonly #socket: WebSocket
  readonly #peer: Peer
  readonly #deps: ConnectionDeps
  readonly #helloTimer: NodeJS.Timeout
  #feed: Feed | null = null
  #answered = true
  /** Bytes of snapshots and resumes still unsent. */
  #bulkUnsent = 0
  #bytesSent = 0
  /** A frame was refused: the feed waits to hear that the socket is empty. */
  #behind = false
  #messagesLeft: number
  #messagesAtMs = performance.now()

  constructor(socket: WebSocket, peer: Peer, deps: ConnectionDeps) {
    this.#socket = socket
    this.#peer = peer
    this.#deps = deps
    const { helloMs, messagesBurst } = deps.limits
    this.#messagesLeft = messagesBurst
    this.#helloTimer = setTimeout(
      () => this.#refuse('BAD_REQUEST', `no hello within ${helloMs} ms`, 'hello'),
      helloMs,
    )
    socket.on('message', (data, isBinary) => {
      if (isBinary) this.#refuse('BAD_REQUEST', 'messages are JSON text', 'binary')
      else this.#receive(data as Buffer)
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

  /** Leaves its feed. The socket stays as it is. */
  end(): void {
    clearTimeout(this.#helloTimer)
    this.#feed?.detach(this)
    this.#feed = null
  }

  close(code: number, reason: string): void {
    this.end()
    this.#socket.close(code, reason)
    setTimeout(() => this.#socket.terminate(), CLOSE_GRACE_MS).unref()
  }

  describe(): ReturnType<Subscriber['describe']> {
    const { clientId, role, address: peer, connectedAtMs } = this.#peer
    const bytesUnsent = this.#socket.bufferedAmount
    return { clientId, role, peer, connectedAtMs, bytesUnsent, bytesSent: this.#bytesSent }
  }

  // ---------------------------------------------------------------- sending

  sendFrame(text: Buffer): boolean {
    const { frameBytesMax } = this.#deps.limits
    const waiting = this.#socket.bufferedAmount - this.#bulkUnsent
    // A socket that holds nothing takes a frame of any size.
    if (waiting > 0 && waiting + text.length > frameBytesMax) {
      this.#behind = true
      return false
    }
    this.#send(text, this.#written)
    return true
  }

  sendBulk(text: Buffer): void {
    this.#bulkUnsent += text.length
    this.#send(text, () => {
      this.#bulkUnsent -= text.length
      this.#written()
    })
  }

  sendControl(text: Buffer): void {
    this.#send(text, this.#written)
  }

  cutOff(why: string): void {
    const reason = `${why}; reconnect with your position`
    // Close reasons are limited to 123 bytes by the protocol.
    this.close(CLOSE_CODES.TOO_SLOW, reason.slice(0, 120))
  }

  #send(text: Buffer, written: () => void): void {
    const socket = this.#socket
    if (socket.readyState !== socket.OPEN) return
    this.#bytesSent += text.length
    socket.send(text, { binary: false }, written)
  }

  /** One function for all frames: a closure each would be made thousands of times a second. */
  readonly #written = (): void => {
    if (!this.#behind || this.#socket.bufferedAmount > 0) return
    this.#behind = false
    this.#feed?.drained(this)
  }

  // ---------------------------------------------------------------- receiving

  #receive(data: Buffer): void {
    const { messageBytesMax } = this.#deps.limits
    // The socket server has a limit of its own; an embedding program's may be another.
    if (data.length > messageBytesMax) {
      this.#refuse('TOO_LARGE', `a message is at most ${messageBytesMax} bytes`, 'message')
      return
    }
    if (!this.#takeTurn()) {
      const { messagesBurst, messageEveryMs } = this.#deps.limits
      const text = `more than ${messagesBurst} messages at once; one each ${messageEveryMs} ms is fine`
      this.#refuse('RATE_LIMITED', text, 'message')
      return
    }
    const message = parseClientMessage(data.toString('utf8'))
    if (message === undefined) {
      this.#refuse('BAD_REQUEST', 'not a message of this protocol', 'message')
      return
    }
    switch (message.type) {
      case 'hello':
        this.#hello(message)
        break
      case 'subscribe':
        if (this.#feed === null) this.#refuse('BAD_REQUEST', 'hello comes first', 'subscribe')
        else this.#feed.subscribe(this, message.topics)
        break
      case 'ping':
        this.#say({ type: 'pong', id: message.id })
        break
    }
  }

  #hello(message: Extract<ClientMessage, { type: 'hello' }>): void {
    clearTimeout(this.#helloTimer)
    const { limits, feedOf } = this.#deps
    // Asking for the next snapshot while the last ones pile up unread.
    if (this.#bulkUnsent > limits.bulkBytesMax) {
      this.cutOff(`${this.#bulkUnsent} bytes unsent`)
      return
    }
    const feed = feedOf(message.storeId)
    if (feed === undefined) {
      this.#refuse('NOT_FOUND', `no store ${message.storeId}`, 'hello')
      return
    }
    this.#feed?.detach(this)
    this.#feed = feed
    this.#behind = false
    const { streamId, seq, fresh, topics } = message
    feed.attach(this, { streamId, seq, fresh: fresh ?? false }, topics)
  }

  /** A bucket of turns that fills again with time. */
  #takeTurn(): boolean {
    const { messagesBurst, messageEveryMs } = this.#deps.limits
    const now = performance.now()
    const gained = (now - this.#messagesAtMs) / messageEveryMs
    this.#messagesLeft = Math.min(messagesBurst, this.#messagesLeft + gained)
    this.#messagesAtMs = now
    if (this.#messagesLeft < 1) return false
    this.#messagesLeft -= 1
    return true
  }

  #say(message: ServerMessage): void {
    this.sendControl(messageText(message))
  }

  #refuse(code: ErrorCode, message: string, what: string): void {
    this.#deps.refused(what, null, code, message)
    this.#say({ type: 'error', code, message })
    const limited = code === 'RATE_LIMITED'
    this.close(limited ? CLOSE_CODES.RATE_LIMITED : CLOSE_CODES.BAD_MESSAGE, code)
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
