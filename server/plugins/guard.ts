/**
 * The one gate in front of every route, file and upgrade; what a route does not ask for is denied.
 *
 * 1. Host must be exactly one of ours: a foreign name that resolves to loopback (DNS rebinding)
 *    ends here.
 * 2. Origin, when sent, must be exactly one of ours: other sites in the same browser end here.
 * 3. A token of this start, as bearer on REST, as subprotocol on the socket. It says the role. Only
 *    routes with access 'public' do without, and never below the API.
 * 4. The role must be enough for the route, and a route that changes something is closed on a
 *    read-only server.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { LIVE_PROTOCOL, LIVE_TOKEN_PREFIX, type Role } from '../protocol.ts'
import { Refusal } from '../refusal.ts'

/** public = no token; live = websocket upgrade with token subprotocol, any role. */
export type Access = 'public' | 'live' | Role

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Absent = nobody. */
    access?: Access
    /** Changes a store or costs it work: closed on a read-only server, and listed in the audit. */
    changes?: boolean
    /** Listed in the audit all the same. */
    audited?: boolean
  }
  interface FastifyRequest {
    /** undefined before the guard, and on public routes. */
    role?: Role
  }
}

export interface GuardOptions {
  tokens: Readonly<Record<Role, string>>
  readOnly: boolean
  /** The name or address the server was told to bind; undefined when another program binds it. */
  host: string | undefined
  /** Known once the server listens. */
  port: () => number
  /** Further exact origins, such as a proxy's; their host is accepted as Host, too. */
  allowedOrigins: readonly string[]
  /** Where the API begins, with the prefix: nothing below is public. */
  apiPath: string
  hints: { allowOrigin: (origin: string) => string; allowActing: string }
}

type RoleOf = (candidate: string | undefined) => Role | null

const LOOPBACK_HOSTS = ['127.0.0.1', 'localhost', '[::1]']
/** Names every address, so no browser ever sends it as Host of a page we served. */
const WILDCARD_HOSTS = new Set(['0.0.0.0', '::'])

export function registerGuard(app: FastifyInstance, options: GuardOptions): void {
  const roleOf = roleOfTokens(options.tokens)
  app.decorateRequest('role', undefined)

  app.addHook('onRequest', async (request, reply) => {
    const { hosts, origins } = allowed(options)
    const host = request.headers.host?.toLowerCase() ?? ''
    const { origin } = request.headers
    // On refusals, too: a browser shows them like any other answer.
    void reply.headers(securityHeaders(hosts.has(host) ? host : "'none'"))
    if (!hosts.has(host)) {
      const hint = options.hints.allowOrigin(`http://${host === '' ? 'HOST:PORT' : host}`)
      throw new Refusal(
        'FORBIDDEN_HOST',
        `Host "${host}" is not allowed; to serve it, ${hint}`,
        seen(request),
      )
    }
    if (origin !== undefined && !origins.has(origin)) {
      throw new Refusal(
        'FORBIDDEN_ORIGIN',
        `Origin "${origin}" is not allowed; to serve it, ${options.hints.allowOrigin(origin)}`,
        seen(request),
      )
    }
    const denied = accessDenied(request, options, roleOf)
    if (denied !== null) throw denied
  })
}

function seen({ headers }: FastifyRequest): { details: unknown } {
  return { details: { host: headers.host ?? null, origin: headers.origin ?? null } }
}

/** Both tokens are compared whatever the first says, so that time tells nothing. */
function roleOfTokens(tokens: Readonly<Record<Role, string>>): RoleOf {
  const operator = sha256(tokens.operator)
  const viewer = sha256(tokens.viewer)
  return (candidate) => {
    const hash = sha256(candidate ?? '')
    const isOperator = timingSafeEqual(hash, operator)
    const isViewer = timingSafeEqual(hash, viewer)
    if (candidate === undefined) return null
    return isOperator ? 'operator' : isViewer ? 'viewer' : null
  }
}

function accessDenied(
  request: FastifyRequest,
  options: GuardOptions,
  roleOf: RoleOf,
): Refusal | null {
  const { access, changes } = request.routeOptions.config
  if (access === 'live') return liveDenied(request, roleOf)
  if (request.ws) return new Refusal('BAD_REQUEST', 'this address is no websocket')
  // Both conditions: a route marked public by mistake below the API stays shut.
  const path = request.url.split('?', 1)[0] ?? ''
  const below = path === options.apiPath || path.startsWith(`${options.apiPath}/`)
  if (access === 'public' && !below) return null
  const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')
  const role = roleOf(bearer?.[1])
  if (role === null) {
    return new Refusal(
      'UNAUTHORIZED',
      'a valid token is needed as "Authorization: Bearer <token>"; it is in the address printed at the start',
    )
  }
  request.role = role
  if (request.is404) return null
  if (access === undefined || access === 'public') {
    return new Refusal('FORBIDDEN_ROLE', 'this route says nobody may use it')
  }
  if (access === 'operator' && role !== 'operator') {
    return new Refusal(
      'FORBIDDEN_ROLE',
      'this needs the operator’s token; a viewer’s token was given',
    )
  }
  if (changes === true && options.readOnly) {
    return new Refusal('READ_ONLY', `this server is read-only; ${options.hints.allowActing} to act`)
  }
  return null
}

function liveDenied(request: FastifyRequest, roleOf: RoleOf): Refusal | null {
  const offered = protocolsOf(request)
  const token = offered.find((protocol) => protocol.startsWith(LIVE_TOKEN_PREFIX))
  const role = roleOf(token?.slice(LIVE_TOKEN_PREFIX.length))
  if (offered.includes(LIVE_PROTOCOL) && role !== null) {
    request.role = role
    return null
  }
  return new Refusal(
    'UNAUTHORIZED',
    `the live feed needs the subprotocols ${LIVE_PROTOCOL} and ${LIVE_TOKEN_PREFIX}<token>`,
  )
}

function protocolsOf(request: FastifyRequest): string[] {
  const header = request.headers['sec-websocket-protocol'] ?? ''
  return header.split(',').map((protocol) => protocol.trim())
}

function allowed(options: GuardOptions): { hosts: Set<string>; origins: Set<string> } {
  const port = options.port()
  const names = [...LOOPBACK_HOSTS]
  if (options.host !== undefined && !WILDCARD_HOSTS.has(options.host)) {
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
    host === "'none'" ? "connect-src 'none'" : `connect-src 'self' ws://${host} wss://${host}`,
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
