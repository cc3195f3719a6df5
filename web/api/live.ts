// The websocket client. It keeps the position in the stream, reconnects with what it has, drops
// doubled events, and on a hole asks for a fresh snapshot instead of drawing a wrong state. Where the page
// cannot keep up, it asks for one, too, instead of showing what is seconds old for ever.
// No React and no store in here: it hands batches of messages out, at most one a frame.
import {
  CLOSE_CODES,
  LIVE_PROTOCOL,
  LIVE_TOKEN_PREFIX,
  type ClientMessage,
  type ServerMessage,
} from '../../server/protocol.ts'
import { nextFrame } from '../lib/frames.ts'
import { takeFresh } from '../lib/sequence.ts'

export type LiveStatus =
  | { phase: 'connecting' }
  | { phase: 'live' }
  | { phase: 'reconnecting'; attempt: number; retryAtMs: number; why: string }
  | { phase: 'unauthorized' }
  | { phase: 'stopped' }
  /** The store it followed was closed. */
  | { phase: 'closed' }

/** The part of a WebSocket that is used; `ws` in tests has it too. */
export interface LiveSocket {
  onopen: ((event: never) => void) | null
  onmessage: ((event: { data: unknown }) => void) | null
  onclose: ((event: { code: number; reason: string }) => void) | null
  onerror: ((event: never) => void) | null
  send(text: string): void
  close(code?: number, reason?: string): void
}

export interface LiveOptions {
  url: string
  token: string
  storeId: string
  /** In order, without doubled events and without holes. */
  onMessages: (messages: ServerMessage[]) => void
  onStatus: (status: LiveStatus) => void
  /** A browser hides why an upgrade failed; this asks over HTTP whether it was the token. */
  isTokenRefused: () => Promise<boolean>
  createSocket?: (url: string, protocols: string[]) => LiveSocket
  /** Runs `flush` once, soon; the default is the next frame that answers no input. */
  schedule?: (flush: () => void) => void
  nowMs?: () => number
  random?: () => number
  timing?: Partial<LiveTiming>
}

export interface LiveTiming {
  /** First wait before a retry; doubles up to the maximum. */
  retryMinMs: number
  /** Long enough to spare a server that is down, short enough that a person does not give up. */
  retryMaxMs: number
  pingEveryMs: number
  /** Silence after which the socket counts as dead. Frames come every second, pongs on every ping. */
  silenceMaxMs: number
  /**
   * Older than this, what was not looked at yet is left out. Less would give up after one long pause of the
   * machine, more would show the past for longer than a person takes for the present.
   */
  behindMaxMs: number
}

/** A flush within half a frame needs no rest after it. */
const CHEAP_FLUSH_MS = 8
const FLUSH_REST_MAX_MS = 100

const defaultTiming: LiveTiming = {
  retryMinMs: 300,
  retryMaxMs: 10_000,
  // How old a frame is shows to about this.
  pingEveryMs: 500,
  silenceMaxMs: 15_000,
  behindMaxMs: 2000,
}

/** Known without parsing it, which is most of what a frame costs that is left out. */
const FRAME_HEAD = '{"type":"frame",'

export class LiveClient {
  private readonly options: LiveOptions
  private readonly timing: LiveTiming
  private readonly nowMs: () => number
  private socket: LiveSocket | null = null
  private streamId: string | null = null
  private seq = 0
  private attempt = 0
  /** Of the newest event that was handed out. */
  private handedSeq = 0
  private pending: ServerMessage[] = []
  private flushScheduled = false
  private flushedAtMs = 0
  /** Of the last flush, and of the one before it. */
  private flushCostsMs: [number, number] = [0, 0]
  private retryTimer: ReturnType<typeof setTimeout> | undefined
  private pingTimer: ReturnType<typeof setInterval> | undefined
  private lastMessageAtMs = 0
  private pingId = 0
  /** Those that were not answered, oldest first. A frame that comes before the answer is as old as they are. */
  private pings: { id: number; sentAtMs: number }[] = []
  /** Frames are left out until the snapshot that was asked for comes. */
  private skipping = false
  private stopped = true
  private closeWhy: string | null = null

  constructor(options: LiveOptions) {
    this.options = options
    this.timing = { ...defaultTiming, ...options.timing }
    this.nowMs = options.nowMs ?? (() => performance.now())
  }

  start(): void {
    if (!this.stopped) return
    this.stopped = false
    this.options.onStatus({ phase: 'connecting' })
    this.connect()
  }

  stop(): void {
    if (this.stopped) return
    this.stopped = true
    clearTimeout(this.retryTimer)
    this.dropSocket()
    this.options.onStatus({ phase: 'stopped' })
  }

  /** Skips the rest of the wait. */
  retryNow(): void {
    if (this.stopped || this.socket !== null) return
    clearTimeout(this.retryTimer)
    this.connect()
  }

  private connect(): void {
    const { url, token, storeId } = this.options
    const create = this.options.createSocket ?? ((u, p) => new WebSocket(u, p) as LiveSocket)
    const socket = create(url, [LIVE_PROTOCOL, LIVE_TOKEN_PREFIX + token])
    let opened = false
    this.socket = socket
    this.closeWhy = null
    this.pings = []
    this.skipping = false
    socket.onopen = () => {
      opened = true
      this.lastMessageAtMs = this.nowMs()
      this.send({ type: 'hello', storeId, streamId: this.streamId, seq: this.seq })
      this.pingTimer = setInterval(() => this.beat(), this.timing.pingEveryMs)
    }
    socket.onmessage = ({ data }) => {
      if (this.socket === socket) this.receive(data)
    }
    // A failed connection reports both, and the close event follows the error event.
    socket.onerror = () => undefined
    socket.onclose = ({ code, reason }) => {
      if (this.socket !== socket) return
      this.dropSocket()
      if (code === CLOSE_CODES.STORE_CLOSED) this.end()
      else void this.afterClose(opened, this.closeWhy ?? closeText(code, reason, opened))
    }
  }

  private dropSocket(): void {
    clearInterval(this.pingTimer)
    const socket = this.socket
    this.socket = null
    if (socket === null) return
    socket.onmessage = null
    socket.onclose = null
    try {
      socket.close()
    } catch {
      // Closing a socket that never opened may throw; it is gone either way.
    }
  }

  private async afterClose(opened: boolean, why: string): Promise<void> {
    if (!opened && (await this.options.isTokenRefused())) {
      // Reconnecting cannot help: a restarted server has another token.
      this.stopped = true
      this.options.onStatus({ phase: 'unauthorized' })
      return
    }
    if (!this.stopped) this.retryLater(why)
  }

  private retryLater(why: string): void {
    this.attempt += 1
    const { retryMinMs, retryMaxMs } = this.timing
    const full = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(this.attempt - 1, 10))
    // Half fixed, half random: many pages that lost one server must not come back in step.
    const waitMs = full * (0.5 + 0.5 * (this.options.random ?? Math.random)())
    this.options.onStatus({
      phase: 'reconnecting',
      attempt: this.attempt,
      retryAtMs: this.nowMs() + waitMs,
      why,
    })
    this.retryTimer = setTimeout(() => this.connect(), waitMs)
  }

  /** The store is not open any more, so there is nothing to follow. */
  private end(): void {
    this.stopped = true
    clearTimeout(this.retryTimer)
    this.dropSocket()
    this.options.onStatus({ phase: 'closed' })
  }

  private beat(): void {
    if (this.nowMs() - this.lastMessageAtMs > this.timing.silenceMaxMs) {
      this.dropSocket()
      void this.afterClose(true, 'the server has gone silent')
      return
    }
    this.pingId += 1
    this.pings.push({ id: this.pingId, sentAtMs: this.nowMs() })
    this.send({ type: 'ping', id: this.pingId })
  }

  private send(message: ClientMessage): void {
    this.socket?.send(JSON.stringify(message))
  }

  private receive(data: unknown): void {
    this.lastMessageAtMs = this.nowMs()
    if (typeof data !== 'string') return
    if (this.streamId !== null && data.startsWith(FRAME_HEAD)) {
      if (!this.skipping && this.isBehind()) this.leaveOut(this.streamId)
      if (this.skipping) return
    }
    const message = JSON.parse(data) as ServerMessage
    switch (message.type) {
      case 'snapshot':
        this.streamId = message.streamId
        this.seq = message.seq
        this.skipping = false
        // Their answers lie behind it, however long it was on its way: they say nothing about this page.
        this.pings = []
        this.live()
        break
      case 'resumed':
        this.live()
        break
      case 'frame':
        this.receiveFrame(message)
        return
      case 'error':
        if (message.code === 'UNAUTHORIZED') {
          this.stopped = true
          this.dropSocket()
          this.options.onStatus({ phase: 'unauthorized' })
          return
        }
        // Closed while this page was away: asking again would only be refused again.
        if (message.code === 'NOT_FOUND') {
          this.end()
          return
        }
        this.closeWhy = message.message
        // There may be no snapshot to wait for; a frame after a hole then starts over.
        this.skipping = false
        break
      case 'pong':
        this.pings = this.pings.filter(({ id }) => id > message.id)
        break
      case 'store':
      case 'stores':
      case 'subscribed':
        break
    }
    this.hand(message)
  }

  private live(): void {
    this.attempt = 0
    this.options.onStatus({ phase: 'live' })
  }

  private receiveFrame(frame: Extract<ServerMessage, { type: 'frame' }>): void {
    if (frame.streamId !== this.streamId) {
      this.resync('the store was opened again')
      return
    }
    const { fresh, gap } = takeFresh(this.seq, frame.events)
    this.seq += fresh.length
    this.hand({ ...frame, events: fresh })
    if (gap !== null) {
      this.resync(
        `events ${String(gap.expectedSeq)} to ${String(gap.gotSeq - 1)} are missing; asking for a fresh snapshot`,
      )
    }
  }

  /** What comes now was sent before the answer to a ping that is long past. */
  private isBehind(): boolean {
    const [oldest] = this.pings
    return oldest !== undefined && this.nowMs() - oldest.sentAtMs > this.timing.behindMaxMs
  }

  /** Leaves out all frames that were not handed out, and those on the way; asks for a snapshot in their place. */
  private leaveOut(streamId: string): void {
    this.skipping = true
    const { storeId } = this.options
    const snapshot = this.pending.findLast((message) => message.type === 'snapshot')
    this.pending = this.pending.filter((message) => message.type !== 'frame')
    this.seq = snapshot?.seq ?? this.handedSeq
    this.send({ type: 'hello', storeId, streamId, seq: this.seq, fresh: true })
  }

  /** Forgets the position and connects again, which makes the server send a snapshot. */
  private resync(why: string): void {
    this.streamId = null
    this.seq = 0
    this.dropSocket()
    this.retryLater(why)
  }

  private hand(message: ServerMessage): void {
    this.pending.push(message)
    if (this.flushScheduled) return
    this.flushScheduled = true
    const schedule = this.options.schedule ?? nextFrame
    const flush = () => {
      this.flushScheduled = false
      const messages = this.pending
      this.pending = []
      this.handedSeq = this.seq
      const startedAtMs = this.nowMs()
      this.options.onMessages(messages)
      this.flushedAtMs = this.nowMs()
      this.flushCostsMs = [this.flushedAtMs - startedAtMs, this.flushCostsMs[0]]
    }
    // Drawing takes at most half of the time: the other half belongs to the reader's hands and to the
    // messages that come in, or a page that is too slow would fall ever further behind. A single one
    // that took long, for the collector ran or the machine was busy, is no sign of that.
    const costMs = Math.min(...this.flushCostsMs)
    const restMs = costMs < CHEAP_FLUSH_MS ? 0 : this.flushedAtMs + costMs - this.nowMs()
    if (restMs <= 0) schedule(flush)
    else setTimeout(() => schedule(flush), Math.min(restMs, FLUSH_REST_MAX_MS))
  }
}

function closeText(code: number, reason: string, opened: boolean): string {
  if (code === CLOSE_CODES.SHUTTING_DOWN) return 'the server is shutting down'
  if (code === CLOSE_CODES.TOO_SLOW) return 'this page fell too far behind the feed'
  if (code === CLOSE_CODES.BAD_MESSAGE) return 'the server did not understand this page'
  if (reason !== '') return reason
  return opened ? 'the connection was cut' : 'the server does not answer'
}
