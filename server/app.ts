/**
 * The server as an application: the core in a server of its own, no listening, no process. Stores open
 * before it is ready and close with it; what failed to open is a store with status `failed`.
 */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import { type CoreConfig, type CoreDeps, registerCore } from './core.ts'
import type { WorkerInit } from './store/worker-contract.ts'

export { listeningPort } from './core.ts'

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>

export interface AppConfig extends Pick<
  CoreConfig,
  'tokens' | 'readOnly' | 'allowRoots' | 'allowedOrigins' | 'port'
> {
  host: string
  logLevel: string
  stores: { storeId: string; init: WorkerInit }[]
}

export interface AppDeps extends CoreDeps {
  /** Absent = standard output. */
  logStream?: { write(line: string): void }
}

/** Hex keys are long; the HTTP parser's own 16 KiB of headers is the real limit. */
const PARAM_LENGTH_MAX = 16 * 1024

export async function buildApp(config: AppConfig, deps: AppDeps): Promise<App> {
  const app: App = fastify({
    logger: {
      level: config.logLevel,
      // The serialisers log neither; this is for whoever adds a field.
      redact: ['req.headers.authorization', 'req.headers["sec-websocket-protocol"]'],
      ...(deps.logStream === undefined ? {} : { stream: deps.logStream }),
    },
    routerOptions: { maxParamLength: PARAM_LENGTH_MAX },
  }).withTypeProvider<TypeBoxTypeProvider>()

  const core: CoreConfig = {
    ...config,
    prefix: '',
    hints: {
      allowOrigin: (origin) => `start with --allow-origin ${origin}`,
      allowRoot: (root) => `start with --allow-root ${root}`,
      allowActing: 'start it without --read-only',
    },
  }
  const stores = await registerCore(app, core, deps)
  app.addHook('onReady', async () => {
    await Promise.all(config.stores.map(({ storeId, init }) => stores.open(storeId, init)))
  })
  return app
}
