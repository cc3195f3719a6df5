/** A real client on a loopback websocket that keeps every message and lets a test await the next. */
import { WebSocket } from 'ws'
import {
  LIVE_PATH,
  LIVE_PROTOCOL,
  LIVE_TOKEN_PREFIX,
  type ClientMessage,
  type EngineEvent,
  type ServerMessage,
} from '../../server/protocol.ts'

type MessageOf<Type extends ServerMessage['type']> = Extract<ServerMessage, { type: Type }>

export interface Closing {
  code: number
  reason: string
}

export class LiveClient {
  readonly socket: WebSocket
  readonly messages: ServerMessage[] = []
  readonly closed: Promise<Closing>
  #wake: (() => void)[] = []
  #over = false

  constructor(
    origin: string,
    token: string,
    options: { headers?: Record<string, string> } = {},
    path = LIVE_PATH,
  ) {
    const url = `${origin.replace('http', 'ws')}${path}`
    this.socket = new WebSocket(url, [LIVE_PROTOCOL, `${LIVE_TOKEN_PREFIX}${token}`], options)
    this.socket.on('message', (data) => {
      this.messages.push(JSON.parse((data as Buffer).toString()) as ServerMessage)
      this.#wakeAll()
    })
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => {
        this.#over = true
        this.#wakeAll()
        resolve({ code, reason: reason.toString() })
      })
    })
    this.socket.on('error', () => undefined)
  }

  /** Resolves once the upgrade is through; rejects with the status of a refused one. */
  opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.once('open', resolve)
      this.socket.once('unexpected-response', (_request, response) => {
        reject(new Error(`status ${response.statusCode ?? 0}`))
      })
    })
  }

  send(message: ClientMessage): void {
    this.socket.send(JSON.stringify(message))
  }

  /** Opens and says hello. */
  async hello(
    storeId: string,
    position: { streamId: string; seq: number } | null = null,
  ): Promise<this> {
    await this.opened()
    this.send({
      type: 'hello',
      storeId,
      streamId: position?.streamId ?? null,
      seq: position?.seq ?? 0,
    })
    return this
  }

  /** First message, held or coming, that fits. */
  async find<Type extends ServerMessage['type']>(
    type: Type,
    fits: (message: MessageOf<Type>) => boolean = () => true,
  ): Promise<MessageOf<Type>> {
    for (let next = 0; ;) {
      for (; next < this.messages.length; next++) {
        const message = this.messages[next]
        if (message?.type === type && fits(message as MessageOf<Type>))
          return message as MessageOf<Type>
      }
      if (this.#over) throw new Error(`the socket closed before a fitting ${type} came`)
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** The message after the first `count`, held or coming. */
  async next(count: number): Promise<ServerMessage> {
    for (;;) {
      const message = this.messages[count]
      if (message !== undefined) return message
      if (this.#over) throw new Error('the socket closed before another message came')
      await new Promise<void>((resolve) => this.#wake.push(resolve))
    }
  }

  /** First event, held or coming, that fits. */
  async event(fits: (event: EngineEvent) => boolean): Promise<EngineEvent> {
    const message = await this.find('frame', (frame) => frame.events.some(fits))
    const event = message.events.find(fits)
    if (event === undefined) throw new Error('unreachable')
    return event
  }

  /** Events of all frames so far, in the order they came. */
  get events(): EngineEvent[] {
    return this.messages.flatMap((message) => (message.type === 'frame' ? message.events : []))
  }

  /** Stream and newest event that this client has seen. */
  get position(): { streamId: string; seq: number } {
    let position = { streamId: '', seq: 0 }
    for (const message of this.messages) {
      if (message.type === 'snapshot' || message.type === 'resumed') {
        position = { streamId: message.streamId, seq: message.seq }
      } else if (message.type === 'frame') {
        position = { ...position, seq: message.events.at(-1)?.seq ?? position.seq }
      }
    }
    return position
  }

  /** Cuts the connection without a goodbye. */
  cut(): Promise<Closing> {
    this.socket.terminate()
    return this.closed
  }

  #wakeAll(): void {
    const wake = this.#wake
    this.#wake = []
    for (const one of wake) one()
  }
}
