/**
 * Every route and every socket message of the server, asked for by everybody in every way: the
 * answers are the table in server/README.md, and what the security tests judge.
 */
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { App } from '../../server/app.ts'
import {
  LIVE_PATH,
  LIVE_PROTOCOL,
  LIVE_TOKEN_PREFIX,
  type ErrorBody,
} from '../../server/protocol.ts'

export interface Caller {
  name: string
  token: 'none' | 'wrong' | 'viewer' | 'operator'
  origin: 'none' | 'own' | 'foreign'
  host: 'own' | 'foreign'
}

const by = (token: Caller['token'], origin: Caller['origin'], host: Caller['host']): Caller => ({
  name: `${token}, ${origin} origin, ${host} host`,
  token,
  origin,
  host,
})

/** Tokens from nowhere in particular and from the page; foreign pages and foreign hosts with the best token. */
export const CALLERS: Caller[] = [
  by('none', 'none', 'own'),
  by('wrong', 'none', 'own'),
  by('viewer', 'none', 'own'),
  by('viewer', 'own', 'own'),
  by('operator', 'none', 'own'),
  by('operator', 'own', 'own'),
  by('operator', 'foreign', 'own'),
  by('operator', 'none', 'foreign'),
]

export interface Route {
  method: string
  url: string
}

export const HOST = '127.0.0.1:4810'

export function headersOf(
  caller: Caller,
  tokens: { operator: string; viewer: string },
): Record<string, string> {
  const token = { none: null, wrong: 'x'.repeat(40), ...tokens }[caller.token]
  const origin = { none: null, own: `http://${HOST}`, foreign: 'http://evil.example' }[
    caller.origin
  ]
  return {
    host: caller.host === 'own' ? HOST : 'evil.example:4810',
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(origin === null ? {} : { origin }),
  }
}

/** A code of the closed list, or `ok` for everything that got past the guard. */
export type Verdict = string

const PAST_THE_GUARD = new Set(['NOT_FOUND', 'BAD_REQUEST', 'STORE_FAILED', 'PLAN_REQUIRED'])

/** No store is there, so whoever gets past the guard is told so, or that the body is not valid. */
export async function verdictOf(
  app: App,
  { method, url }: Route,
  headers: Record<string, string>,
): Promise<Verdict> {
  const address = url
    .replace(':storeId', 'x')
    .replace(':keyHex', '61')
    .replace(':planId', 'p')
    .replace(':passId', '1')
    .replace('*', 'index.html')
  const answer = await app.inject({ method: method as 'GET', url: address, headers })
  if (answer.statusCode < 400 || answer.body === '')
    return answer.statusCode < 400 ? 'ok' : String(answer.statusCode)
  const type = String(answer.headers['content-type'])
  if (!type.includes('json')) return 'ok'
  const { error } = JSON.parse(answer.body) as Partial<ErrorBody>
  if (error === undefined || PAST_THE_GUARD.has(error.code)) return 'ok'
  return error.code
}

/**
 * An upgrade to the live feed, which carries its token as a subprotocol: `ok` when it was let in. The
 * app stays where its Host says it is and does not listen: a server in front hands it the real socket.
 */
export async function upgradeVerdictOf(
  app: App,
  headers: Record<string, string>,
): Promise<Verdict> {
  const front = http.createServer()
  front.on('upgrade', (request, socket, head) => {
    app.server.emit('upgrade', request, socket, head)
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  try {
    return await upgrade((front.address() as AddressInfo).port, headers)
  } finally {
    front.close()
  }
}

function upgrade(port: number, headers: Record<string, string>): Promise<Verdict> {
  const { authorization, ...rest } = headers
  const token = authorization?.replace('Bearer ', LIVE_TOKEN_PREFIX)
  return new Promise((resolve, reject) => {
    const request = http.get({
      host: '127.0.0.1',
      port,
      path: LIVE_PATH,
      headers: {
        ...rest,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': Buffer.alloc(16).toString('base64'),
        'sec-websocket-protocol': [LIVE_PROTOCOL, ...(token === undefined ? [] : [token])].join(
          ', ',
        ),
      },
    })
    request.on('upgrade', (answer, socket) => {
      socket.destroy()
      resolve(answer.headers['sec-websocket-protocol'] === LIVE_PROTOCOL ? 'ok' : 'no protocol')
    })
    request.on('response', (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const { error } = JSON.parse(Buffer.concat(parts).toString()) as ErrorBody
        resolve(error.code)
      })
    })
    request.on('error', reject)
  })
}

/** Rows that answer alike are one, so that the table says the rule and the tests walk the rest. */
export function tableOf(rows: Map<string, Verdict[]>, columns: string[]): string {
  const head = `| route | ${columns.join(' | ')} |`
  const rule = `| --- |${' --- |'.repeat(columns.length)}`
  const lines = [...rows].map(([name, verdicts]) => `| ${name} | ${verdicts.join(' | ')} |`)
  return [head, rule, ...lines].join('\n')
}
