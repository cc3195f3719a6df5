/** Reading routes: the stores, their held events and their last passes. */
import { answers, answersText, errorAnswers } from '../answers.ts'
import type { App } from '../app.ts'
import {
  API_BASE,
  type FeedBody,
  type MaintenancePreview,
  type StatsBody,
  type StoresBody,
} from '../protocol.ts'
import { Refusal } from '../refusal.ts'
import {
  EVENTS_LIMIT_MAX,
  eventsQuerySchema,
  statsBodySchema,
  storeParamsSchema,
} from '../schemas.ts'
import type { Stores } from '../stores.ts'

const JSON_TYPE = 'application/json; charset=utf-8'

const config = { access: 'viewer' } as const
const tags = ['stores']

export function registerStoreRoutes(app: App, stores: Stores): void {
  app.get(
    `${API_BASE}/stores`,
    { config, schema: { summary: 'The stores', tags, response: answers('StoresBody') } },
    (): StoresBody => ({ stores: stores.list() }),
  )

  app.get(
    `${API_BASE}/stores/:storeId/state`,
    {
      config,
      schema: {
        summary: 'State and gauges',
        tags,
        params: storeParamsSchema,
        response: answersText('StoreSnapshot'),
      },
    },
    async (request, reply) => {
      const answer = await stores.client(request.params.storeId).request('snapshot', {})
      return reply.type(JSON_TYPE).send(answer.snapshotJson)
    },
  )

  registerFeedRoutes(app, stores)
  registerPreviewRoute(app, stores)

  app.get(
    `${API_BASE}/stores/:storeId/stats`,
    {
      config,
      schema: {
        summary: 'Statistics under upstream’s names; what is not known is absent, with the reason',
        tags,
        params: storeParamsSchema,
        response: { 200: statsBodySchema, ...errorAnswers },
      },
    },
    (request): Promise<StatsBody> => stores.client(request.params.storeId).request('stats', {}),
  )

  app.get(
    `${API_BASE}/stores/:storeId/passes`,
    {
      config,
      schema: {
        summary: 'Last pass reports',
        tags,
        params: storeParamsSchema,
        response: answersText('PassesBody'),
      },
    },
    async (request, reply) => {
      const { bodyJson } = await stores.client(request.params.storeId).request('passes', {})
      return reply.type(JSON_TYPE).send(bodyJson)
    },
  )
}

function registerFeedRoutes(app: App, stores: Stores): void {
  app.get(
    `${API_BASE}/stores/:storeId/events`,
    {
      config,
      schema: {
        summary: 'Held events',
        tags,
        params: storeParamsSchema,
        querystring: eventsQuerySchema,
        response: answersText('EventsBody'),
      },
    },
    (request, reply) => {
      const { storeId } = request.params
      const feed = stores.feed(storeId)
      if (feed === undefined) throw new Refusal('NOT_FOUND', `no store ${storeId}`)
      const { after = 0, limit = EVENTS_LIMIT_MAX } = request.query
      return reply.type(JSON_TYPE).send(feed.eventsBody(after, limit))
    },
  )

  app.get(
    `${API_BASE}/stores/:storeId/feed`,
    {
      config,
      schema: {
        summary: 'What the live feed holds, and whom',
        tags,
        params: storeParamsSchema,
        response: answers('FeedBody'),
      },
    },
    (request): FeedBody => {
      const { storeId } = request.params
      const feed = stores.feed(storeId)
      if (feed === undefined) throw new Refusal('NOT_FOUND', `no store ${storeId}`)
      return feed.body()
    },
  )
}

function registerPreviewRoute(app: App, stores: Stores): void {
  app.get(
    `${API_BASE}/stores/:storeId/preview`,
    {
      config,
      schema: {
        summary: 'What each pass would do now, and what starts the next one; changes nothing',
        tags,
        params: storeParamsSchema,
        response: answers('MaintenancePreview'),
      },
    },
    (request): Promise<MaintenancePreview> =>
      stores.client(request.params.storeId).request('preview', {}),
  )
}
