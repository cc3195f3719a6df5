/**
 * The server as a plugin of its own context: guard, routes, live feed, page, in this order. Nothing
 * of it is seen by routes outside. `app.ts` puts it into a server of its own, `plugin.ts` into a
 * server that another program has.
 */
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'
import type { App } from './app.ts'
import { AllowedRoots } from './allowed-roots.ts'
import { Audit } from './audit.ts'
import { DEFAULT_WORKLOAD } from './demo.ts'
import { SOCKET_LIMITS, type SocketLimits } from './live/connection.ts'
import { FEED_LIMITS, type FeedLimits } from './live/feed.ts'
import { Connections, registerLive, registerWebsocket } from './live/socket.ts'
import { Plans } from './plans.ts'
import { registerAudit } from './plugins/audit-requests.ts'
import { registerDocs } from './plugins/docs.ts'
import { registerErrors } from './plugins/errors.ts'
import { registerGuard } from './plugins/guard.ts'
import { registerStaticWeb } from './plugins/static-web.ts'
import { API_BASE, type Role } from './protocol.ts'
import { Refusal } from './refusal.ts'
import { registerActionRoutes } from './routes/actions.ts'
import {
  registerOpeningRoutes,
  registerPlanRoutes,
  registerSessionRoutes,
} from './routes/control.ts'
import { registerHealthRoutes } from './routes/health.ts'
import { registerHistoryRoutes } from './routes/history.ts'
import { registerKeyRoutes } from './routes/keys.ts'
import { registerStoreRoutes } from './routes/stores.ts'
import { HistoryClient } from './store/history-client.ts'
import { BATCH_INTERVAL_MS } from './store/worker-contract.ts'
import { Stores } from './stores.ts'

/** What to write where, for the texts of refusals: a command line and a program differ. */
export interface Hints {
  /** Completes "to serve it, ...". */
  allowOrigin: (origin: string) => string
  /** Completes "... to allow it". */
  allowRoot: (root: string) => string
  /** Completes "this server is read-only; ... to act". */
  allowActing: string
}

export interface CoreConfig {
  tokens: Readonly<Record<Role, string>>
  /** Nothing that changes a store is taken, from nobody. */
  readOnly: boolean
  /** Folders below which stores may be opened; none = only what the server was started with. */
  allowRoots: readonly string[]
  allowedOrigins: readonly string[]
  /** Name or address that is bound; undefined when another program binds it. */
  host: string | undefined
  /** Used for the Host and Origin checks until the server listens, and instead of 0. */
  port: number
  /** In front of every path; empty = none. */
  prefix: string
  hints: Hints
}

export interface CoreDeps {
  /** Entry of store workers, as JavaScript: the built `store/store-worker.js`, with its neighbours. */
  workerUrl: URL
  /** Folder of the built UI. */
  webRoot: string
  version: string
  /** Absent = the limits of production. */
  feedLimits?: FeedLimits
  socketLimits?: SocketLimits
  requestsPerMinute?: number
  planTtlMs?: number
  /** Told of every route as it is registered. */
  onRoute?: (method: string, url: string) => void
}

const STORES_MAX = 32
/** Of a request; a route may say more. */
const BODY_BYTES_MAX = 1024 * 1024
/** A page that is used hard asks some times a second; a script that floods asks thousands. */
const REQUESTS_PER_MINUTE = 3_000

export async function registerCore(
  context: FastifyInstance,
  config: CoreConfig,
  deps: CoreDeps,
): Promise<Stores> {
  const app: App = context.withTypeProvider<TypeBoxTypeProvider>()
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  // Schemas of answers describe them; one that drops what it does not know would change them.
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer))
  // The program around may take larger bodies on its own routes.
  app.addHook('onRoute', (route) => {
    route.bodyLimit ??= BODY_BYTES_MAX
  })
  const { onRoute } = deps
  if (onRoute !== undefined) {
    app.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) onRoute(one, url)
    })
  }
  const audit = new Audit((entry) =>
    app.log.info({ audit: entry }, `${entry.outcome}: ${entry.what}`),
  )
  const connections = new Connections(deps.socketLimits ?? SOCKET_LIMITS)
  const stores = new Stores({
    workerUrl: deps.workerUrl,
    report: (problem) => app.log.error(problem),
    feedLimits: deps.feedLimits ?? FEED_LIMITS,
    roots: new AllowedRoots(config.allowRoots, config.hints.allowRoot),
    storesMax: STORES_MAX,
    workload: DEFAULT_WORKLOAD,
  })

  const history = new HistoryClient(() => new URL('./history-worker.js', deps.workerUrl))
  closeInOrder(app, () => Promise.all([stores.close(), history.close()]))
  registerErrors(app)
  registerAudit(app, audit)
  await registerWebsocket(app, connections)
  registerGuard(app, {
    ...config,
    port: () => listeningPort(app) ?? config.port,
    apiPath: `${config.prefix}${API_BASE.slice(0, API_BASE.indexOf('/', 1))}`,
  })
  await registerRateLimit(app, deps.requestsPerMinute ?? REQUESTS_PER_MINUTE)
  await registerDocs(app, deps.version)
  const parts = {
    stores,
    audit,
    plans: new Plans(deps.planTtlMs),
    readOnly: config.readOnly,
    version: deps.version,
    eventsHeld: (deps.feedLimits ?? FEED_LIMITS).eventsMax,
    frameIntervalMs: BATCH_INTERVAL_MS,
  }
  registerSessionRoutes(app, parts)
  registerOpeningRoutes(app, parts)
  registerPlanRoutes(app, parts)
  registerStoreRoutes(app, stores)
  registerHistoryRoutes(app, stores, history)
  registerActionRoutes(app, stores)
  registerKeyRoutes(app, stores)
  registerHealthRoutes(app, stores, connections)
  registerLive(app, { stores, connections, audit })
  await registerStaticWeb(app, deps.webRoot)
  return stores
}

/**
 * Closing begins before the server waits for its last answers, because one of them may wait for a pass
 * that only closing ends; meanwhile the server listens no more. The server is closed when this is.
 */
function closeInOrder(app: FastifyInstance, close: () => Promise<unknown>): void {
  let closing: Promise<unknown> | null = null
  app.addHook('preClose', (done) => {
    closing = close()
    done()
  })
  // An answer that was waited for: its connection would stay open for the next one, and the server with it.
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing !== null) void reply.header('connection', 'close')
    done()
  })
  app.addHook('onClose', async () => {
    await (closing ?? close())
  })
}

/** After the guard: what it refuses costs nothing, and the address is the key, which nobody chooses. */
async function registerRateLimit(app: FastifyInstance, max: number): Promise<void> {
  await app.register(rateLimit, {
    max,
    timeWindow: 60_000,
    // One entry an address; beyond it the oldest are forgotten.
    cache: 1_000,
    errorResponseBuilder: (_request, { max: allowed, ttl }) =>
      new Refusal(
        'RATE_LIMITED',
        `more than ${allowed} requests in a minute; try again in ${Math.ceil(ttl / 1000)} s`,
      ),
  })
}

/** undefined while the server does not listen on a port. */
export function listeningPort(app: FastifyInstance): number | undefined {
  const address = app.server.address()
  return address !== null && typeof address === 'object' ? address.port : undefined
}
