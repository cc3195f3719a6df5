/**
 * The one gate in front of every route, file and upgrade; what a route does not ask for is denied.
 *
 * 1. Host must be exactly one of ours: a foreign name that resolves to loopback (DNS rebinding)
 *    ends here.
 * 2. Origin, when sent, must be exactly one of ours: other sites in the same browser end here.
 * 3. The token of this start, as bearer on REST, as subprotocol on the socket. Only routes with
 *    access 'public' do without, and never below /api.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { LIVE_PROTOCOL, LIVE_TOKEN_PREFIX } from '../protocol.ts'
import { Refusal } from '../refusal.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent = the bearer token. public = no token; live = websocket upgrade with token subprotocol. */
    access?: 'public' | 'live'
  }
}

export interface GuardOptions {
  token: string
  /** The name or address the server was told to bind. */
  host: string
  /** Known once the server listens. */
  port: () => number
  /** Further exact origins, such as a proxy's; their host is accepted as Host, too. */
  allowedOrigins: readonly string[]
}

const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '[::1]']
/** Names every address, so no browser ever sends it as Host of a page we served. */
const WILDCARD_HOSTS = new Set(['0.0.0.0', '::'])

export function registerGuard(app: FastifyInstance, options: GuardOptions): void {
  const tokenHash = sha256(options.token)
  const isToken = (candidate: string | undefined): boolean =>
    candidate !== undefined && timingSafeEqual(sha256(candidate), tokenHash)

  app.addHook('onRequest', async (request, reply) => {
    const { hosts, origins } = allowed(options)
    const host = request.headers.host?.toLowerCase() ?? ''
    if (!hosts.has(host)) {
      throw new Refusal(
        'FORBIDDEN_HOST',
        `Host "${host}" is not allowed; to serve it, start with --allow-origin http://${host === '' ? 'HOST:PORT' : host}`,
      )
    }
    const { origin } = request.headers
    if (origin !== undefined && !origins.has(origin)) {
      throw new Refusal(
        'FORBIDDEN_ORIGIN',
        `Origin "${origin}" is not allowed; to serve it, start with --allow-origin ${origin}`,
      )
    }
    const denied = accessDenied(request, isToken)
    if (denied !== null) throw denied
    void reply.headers(securityHeaders(host))
  })
}

function accessDenied(
  request: FastifyRequest,
  isToken: (candidate: string | undefined) => boolean,
): Refusal | null {
  const { access } = request.routeOptions.config
  if (access === 'live') {
    const offered = protocolsOf(request)
    const token = offered.find((protocol) => protocol.startsWith(LIVE_TOKEN_PREFIX))
    if (offered.includes(LIVE_PROTOCOL) && isToken(token?.slice(LIVE_TOKEN_PREFIX.length)))
      return null
    return new Refusal(
      'UNAUTHORIZED',
      `the live feed needs the subprotocols ${LIVE_PROTOCOL} and ${LIVE_TOKEN_PREFIX}<token>`,
    )
  }
  if (request.ws) return new Refusal('BAD_REQUEST', 'this address is no websocket')
  // Both conditions: a route marked public by mistake below /api stays shut.
  const below = request.url === '/api' || request.url.startsWith('/api/')
  if (access === 'public' && !below) return null
  const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')
  if (isToken(bearer?.[1])) return null
  return new Refusal(
    'UNAUTHORIZED',
    'a valid token is needed as "Authorization: Bearer <token>"; it is in the address printed at the start',
  )
}

function protocolsOf(request: FastifyRequest): string[] {
  const header = request.headers['sec-websocket-protocol'] ?? ''
  return header.split(',').map((protocol) => protocol.trim())
}

function allowed(options: GuardOptions): { hosts: Set<string>; origins: Set<string> } {
  const port = options.port()
  const names = [...LOOPBACK_HOSTS]
  if (!WILDCARD_HOSTS.has(options.host)) {
    names.push(options.host.includes(':') ? `[${options.host}]` : options.host.toLowerCase())
  }
  // URL drops the port where it is the scheme's own, as browsers do.
  const own = names.map((name) => new URL(`http://${name}:${port}`))
  const further = options.allowedOrigins.map((origin) => new URL(origin))
  return {
    hosts: new Set([...own, ...further].map((url) => url.host)),
    origins: new Set([...own, ...further].map((url) => url.origin)),
  }
}

/** No eval, no foreign source, no frame. Inline styles: recharts sizes its elements by them. */
function securityHeaders(host: string): Record<string, string> {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self' ws://${host} wss://${host}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ]
  return {
    'content-security-policy': policy.join('; '),
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
  }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
