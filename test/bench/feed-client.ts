/**
 * Clients of the feed bench, in a process of their own: argv is the address, the token, how many
 * sockets, whether to parse. Prints one line of JSON when every socket has seen event `total`.
 */
import { WebSocket } from 'ws'
import { LIVE_PATH, LIVE_PROTOCOL, LIVE_TOKEN_PREFIX } from '../../server/protocol.ts'

const [origin = '', token = '', sockets = '1', parse = '0', total = '0'] = process.argv.slice(2)
const url = origin.replace('http', 'ws') + LIVE_PATH
const target = Number(total)
const parses = parse === '1'
let events = 0
let bytes = 0
let holes = 0
let firstMs = 0
let left = Number(sockets)

/** `"firstSeq":1,"lastSeq":9` near the start: the range without parsing the events. */
function rangeOf(text: string): { firstSeq: number; lastSeq: number } | null {
  const found = /^\{"type":"frame",.{0,60}?"firstSeq":(\d+),"lastSeq":(\d+),/.exec(text)
  return found === null ? null : { firstSeq: Number(found[1]), lastSeq: Number(found[2]) }
}

function follow(ready: () => void): void {
  const socket = new WebSocket(url, [LIVE_PROTOCOL, LIVE_TOKEN_PREFIX + token], {
    skipUTF8Validation: true,
    perMessageDeflate: false,
    maxPayload: 512 * 1024 * 1024,
  })
  let seq = 0
  socket.on('open', () =>
    socket.send(JSON.stringify({ type: 'hello', storeId: 'bench', streamId: null, seq: 0 })),
  )
  socket.on('message', (data) => {
    const buffer = data as Buffer
    if (buffer.subarray(0, 20).toString('latin1').startsWith('{"type":"snapshot"')) {
      seq = (JSON.parse(buffer.toString()) as { seq: number }).seq
      ready()
      return
    }
    const range = parses
      ? (JSON.parse(buffer.toString()) as { firstSeq?: number; lastSeq: number })
      : rangeOf(buffer.toString('latin1', 0, 200))
    if (range?.firstSeq === undefined) return
    if (range.firstSeq !== seq + 1) holes += 1
    if (firstMs === 0 && range.lastSeq > seq) firstMs = performance.now()
    events += range.lastSeq - seq
    bytes += buffer.length
    seq = range.lastSeq
    if (seq >= target && left > 0) {
      left -= 1
      if (left === 0) finish()
      socket.close()
    }
  })
}

function finish(): void {
  const seconds = (performance.now() - firstMs) / 1000
  const { user, system } = process.cpuUsage()
  const cpuSeconds = (user + system) / 1e6
  process.stdout.write(`${JSON.stringify({ events, bytes, holes, seconds, cpuSeconds })}\n`)
  process.exitCode = 0
}

let waiting = Number(sockets)
for (let i = 0; i < Number(sockets); i++) {
  follow(() => {
    waiting -= 1
    if (waiting === 0) process.stdout.write('ready\n')
  })
}
