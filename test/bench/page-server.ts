/**
 * The server of the page bench: the built page, and the wire protocol over a websocket of its own, with
 * a made-up store behind it. The real server and its feed are measured by feed.ts.
 */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { WebSocketServer, type WebSocket } from 'ws'
import type { ClientMessage } from '../../server/protocol.ts'
import { SyntheticStore } from './page-store.ts'

const FRAME_MS = 33

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

export interface BenchServer {
  url: string
  bareUrl: string
  /** Events a second from now on; 0 = silence. */
  setRate(eventsPerSecond: number): void
  /** Pushes this many at once, as frames of 5,000. */
  burst(events: number): void
  /** When each event was made, by seq. */
  madeAtMs: Float64Array
  store: SyntheticStore
  close(): void
}

interface Served {
  /** Folder of the built page. */
  web: string
  segments: number
  /** At most this many events are ever made. */
  eventsMax: number
}

export async function startServer({ web, segments, eventsMax }: Served): Promise<BenchServer> {
  const store = await SyntheticStore.make(segments)
  const madeAtMs = new Float64Array(eventsMax + 1)
  const sockets = new Set<WebSocket>()
  const server = createServer((request, response) => answer({ store, web }, request, response))
  const websocket = new WebSocketServer({
    server,
    path: '/api/v1/live',
    handleProtocols: () => 'restage.v1',
    perMessageDeflate: false,
  })
  websocket.on('connection', (socket) => {
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString()) as ClientMessage
      if (message.type === 'hello') {
        const behindAt = message.fresh === true ? message.seq : null
        socket.send(JSON.stringify(store.snapshotMessage(behindAt)))
        sockets.add(socket)
      } else if (message.type === 'ping') {
        socket.send(JSON.stringify({ type: 'pong', id: message.id }))
      }
    })
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  let rate = 0
  let owed = 0
  let lastMs = performance.now()
  const make = (count: number): void => {
    for (let n = 0; n < count; n++) {
      const event = store.next(Date.now())
      madeAtMs[event.seq] = Date.now()
    }
  }
  const send = (): void => {
    const text = JSON.stringify(store.frameMessage())
    for (const socket of sockets) socket.send(text)
  }
  // Events come evenly, frames every 33 ms, as the feed of the real server has it.
  const maker = setInterval(() => {
    const now = performance.now()
    owed += ((now - lastMs) / 1000) * rate
    lastMs = now
    const whole = Math.floor(owed)
    owed -= whole
    make(whole)
  }, 4)
  const sender = setInterval(() => {
    if (rate > 0) send()
  }, FRAME_MS)
  const origin = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`
  return {
    url: `${origin}/#token=bench-token-0123456789`,
    bareUrl: `${origin}/bare`,
    setRate: (next) => {
      rate = next
      lastMs = performance.now()
      owed = 0
    },
    burst: (events) => {
      for (let left = events; left > 0; left -= 5000) {
        make(Math.min(5000, left))
        send()
      }
    },
    madeAtMs,
    store,
    close: () => {
      clearInterval(maker)
      clearInterval(sender)
      for (const socket of sockets) socket.terminate()
      websocket.close()
      server.close()
    },
  }
}

function answer(
  { store, web }: { store: SyntheticStore; web: string },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  if (path.startsWith('/api/')) {
    response.setHeader('content-type', 'application/json')
    const body = store.rest(path)
    response.statusCode = body === null ? 404 : 200
    response.end(
      JSON.stringify(body ?? { error: { code: 'NOT_FOUND', message: 'not in the bench' } }),
    )
    return
  }
  if (path === '/bare') {
    response.setHeader('content-type', 'text/html')
    response.end(BARE)
    return
  }
  const file = path === '/' ? '/index.html' : path
  try {
    const content = readFileSync(join(web, file))
    response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream')
    response.end(content)
  } catch {
    response.statusCode = 404
    response.end()
  }
}

/** The least that a page can do with the feed: parse, and show the newest number once a frame. */
const BARE = `<!doctype html><title>bare</title>
  <button data-testid="press">press</button><p data-testid="applied" data-seq="0">0</p>
  <script>
    const line = document.querySelector('p')
    const socket = new WebSocket(location.origin.replace('http', 'ws') + '/api/v1/live', ['restage.v1'])
    let seq = 0
    let asked = false
    const show = () => {
      asked = false
      line.dataset.seq = line.textContent = String(seq)
    }
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello' }))
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      seq = message.lastSeq ?? message.seq ?? seq
      if (!asked) requestAnimationFrame(show)
      asked = true
    }
    const press = document.querySelector('button')
    press.onclick = () => (press.textContent = 'pressed at ' + performance.now())
  </script>`
