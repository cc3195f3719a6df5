/**
 * Restage inside of another program's Fastify server: `app.register(restage, { engine })` beside its
 * own routes. Everything is below `prefix`, with its own guard; routes outside are not touched. An
 * engine that is handed in is watched in its own thread and never closed from here.
 *
 * The program reads `app.restage` after `ready()`: the address and the tokens to give to people.
 */
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { type CoreDeps, registerCore } from './core.ts'
import { DEFAULT_WORKLOAD } from './demo.ts'
import type { Engine, EngineOptions, StepClock } from './engine-door.ts'
import type { Role, StoreInfo, StoreMode } from './protocol.ts'
import { enginePort } from './store/engine-port.ts'
import { storeIdOf, type Stores } from './stores.ts'
import { VERSION } from './version.ts'

export type StoreOptions =
  /** An engine of this program. `clock`: what it was opened with, if people may move its time. */
  | { storeId?: string; engine: Engine; clock?: StepClock }
  /** A folder, opened in a worker of its own. Default mode attached. */
  | { storeId?: string; dir: string; mode?: StoreMode; options?: EngineOptions }

export interface RestageOptions {
  /** Short for one store of `stores`. */
  engine?: Engine
  clock?: StepClock
  stores?: StoreOptions[]
  /** Where everything lies, such as `/restage`. Default: nothing in front. */
  prefix?: string
  /** Default false; an operator's token then acts on the engine. */
  readOnly?: boolean
  /** Default: random ones. */
  tokens?: Partial<Record<Role, string>>
  /** Exact origins beside loopback, such as a proxy's. */
  allowedOrigins?: string[]
  /** Folders below which people may open further stores. Default none. */
  allowRoots?: string[]
  /** For tests, and for programs that are bundled. */
  deps?: Partial<CoreDeps>
}

export interface RestageHandle {
  readonly tokens: Readonly<Record<Role, string>>
  /** Path of the page, with the token in the fragment: behind the server's own address. */
  pagePath(role: Role): string
  stores(): StoreInfo[]
}

declare module 'fastify' {
  interface FastifyInstance {
    restage?: RestageHandle
  }
}

const DEFAULT_DEPS: CoreDeps = {
  workerUrl: new URL('./store/store-worker.js', import.meta.url),
  webRoot: fileURLToPath(new URL('../web', import.meta.url)),
  version: VERSION,
}

const plugin: FastifyPluginAsync<RestageOptions> = async (app, options) => {
  const prefix = options.prefix ?? ''
  const tokens = {
    operator: options.tokens?.operator ?? randomToken(),
    viewer: options.tokens?.viewer ?? randomToken(),
  }
  let stores: Stores | undefined
  await app.register(
    async (context: FastifyInstance) => {
      stores = await registerCore(
        context,
        {
          tokens,
          prefix,
          readOnly: options.readOnly ?? false,
          allowRoots: options.allowRoots ?? [],
          allowedOrigins: options.allowedOrigins ?? [],
          host: undefined,
          port: 0,
          hints: {
            allowOrigin: (origin) => `add "${origin}" to the plugin's allowedOrigins`,
            allowRoot: (root) => `add "${root}" to the plugin's allowRoots`,
            allowActing: 'register the plugin without readOnly',
          },
        },
        { ...DEFAULT_DEPS, ...options.deps },
      )
    },
    { prefix },
  )
  const opened = stores
  if (opened === undefined) throw new Error('the context was not registered')
  app.decorate('restage', {
    tokens,
    pagePath: (role: Role) => `${prefix}/#token=${tokens[role]}`,
    stores: () => opened.list(),
  })
  app.addHook('onReady', () => openStores(opened, options))
}

async function openStores(stores: Stores, options: RestageOptions): Promise<void> {
  const { engine, clock } = options
  const wanted: StoreOptions[] = [
    ...(engine === undefined ? [] : [{ engine, ...(clock === undefined ? {} : { clock }) }]),
    ...(options.stores ?? []),
  ]
  for (const store of wanted) {
    if ('engine' in store) {
      const { dir } = store.engine.info
      const storeId = store.storeId ?? storeIdOf(dir)
      const port = enginePort(store.engine, store.clock ?? null)
      await stores.add({ storeId, dir, mode: 'hosted', closable: false }, port)
    } else {
      const { dir, mode = 'attached', options: engineOptions = {} } = store
      await stores.open(store.storeId ?? storeIdOf(dir), {
        dir,
        mode,
        engine: engineOptions,
        workload: { settings: DEFAULT_WORKLOAD, autostart: false },
      })
    }
  }
}

function randomToken(): string {
  return randomBytes(32).toString('base64url')
}

export const restage = fp(plugin, { fastify: '5.x', name: 'restage' })
