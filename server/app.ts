/**
 * The server as an application: plugins and routes in order, no listening, no process. Stores open
 * before it is ready and close with it; what failed to open is a store with status `failed`.
 */
import { TypeBoxValidatorCompiler, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import { FEED_LIMITS, type FeedLimits } from './live/feed.ts'
import { registerLive, registerWebsocket, SOCKET_LIMITS, type SocketLimits } from './live/socket.ts'
import { registerErrors } from './plugins/errors.ts'
import { registerGuard } from './plugins/guard.ts'
import { registerStaticWeb } from './plugins/static-web.ts'
import { registerActionRoutes } from './routes/actions.ts'
import { registerKeyRoutes } from './routes/keys.ts'
import { registerStoreRoutes } from './routes/stores.ts'
import type { WorkerInit } from './store/worker-contract.ts'
import { Stores } from './stores.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

export interface AppConfig {
  host: string
  /** Used for the Host and Origin checks until the server listens, and instead of 0. */
  port: number
  token: string
  allowedOrigins: string[]
  logLevel: string
  stores: { storeId: string; init: WorkerInit }[]
}

export interface AppDeps {
  /** Entry of store workers, as JavaScript: the built `store/store-worker.js`. */
  workerUrl: URL
  /** Folder of the built UI. */
  webRoot: string
  /** Absent = standard output. */
  logStream?: { write(line: string): void }
  /** Absent = the limits of production. */
  feedLimits?: FeedLimits
  socketLimits?: SocketLimits
}

const BODY_LIMIT = 1024 * 1024
/** Hex keys are long; the HTTP parser's own 16 KiB of headers is the real limit. */
const PARAM_LENGTH_MAX = 16 * 1024

export async function buildApp(config: AppConfig, deps: AppDeps): Promise<App> {
  const app: App = fastify({
    logger: {
      level: config.logLevel,
      ...(deps.logStream === undefined ? {} : { stream: deps.logStream }),
    },
    bodyLimit: BODY_LIMIT,
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
  })
    .withTypeProvider<TypeBoxTypeProvider>()
    .setValidatorCompiler(TypeBoxValidatorCompiler)

  const stores = new Stores({
    workerUrl: deps.workerUrl,
    report: (problem) => app.log.error(problem),
    feedLimits: deps.feedLimits ?? FEED_LIMITS,
  })

  registerErrors(app)
  await registerWebsocket(app)
  registerGuard(app, {
    token: config.token,
    host: config.host,
    port: () => listeningPort(app) ?? config.port,
    allowedOrigins: config.allowedOrigins,
  })
  registerStoreRoutes(app, stores)
  registerActionRoutes(app, stores)
  registerKeyRoutes(app, stores)
  registerLive(app, stores, deps.socketLimits ?? SOCKET_LIMITS)
  await registerStaticWeb(app, deps.webRoot)

  app.addHook('onReady', async () => {
    await Promise.all(config.stores.map(({ storeId, init }) => stores.open(storeId, init)))
  })
  app.addHook('onClose', () => stores.close())
  return app
}

/** undefined while the server does not listen on a port. */
export function listeningPort(app: FastifyInstance): number | undefined {
  const address = app.server.address()
  return address !== null && typeof address === 'object' ? address.port : undefined
}
