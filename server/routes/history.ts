/** The past of a store, from the recording in its folder. Reading only, for every role. */
import type { FastifyReply } from 'fastify'
import { answersText } from '../answers.ts'
import type { App } from '../app.ts'
import { API_BASE, type Moment } from '../protocol.ts'
import {
  LATENCY_LIMIT_MAX,
  historyEventsQuerySchema,
  historyLatencyQuerySchema,
  historyPassParamsSchema,
  historyPassQuerySchema,
  historyPassesQuerySchema,
  historyStateQuerySchema,
  storeParamsSchema,
} from '../schemas.ts'
import type { HistoryClient } from '../store/history-client.ts'
import type { Stores } from '../stores.ts'

const JSON_TYPE = 'application/json; charset=utf-8'
const PASSES_DEFAULT = 100
const EVENTS_DEFAULT = 500

const base = `${API_BASE}/stores/:storeId/history`
const config = { access: 'viewer' } as const
const tags = ['history']

async function send(reply: FastifyReply, json: Promise<string>): Promise<FastifyReply> {
  return reply.type(JSON_TYPE).send(await json)
}

export function registerHistoryRoutes(app: App, stores: Stores, history: HistoryClient): void {
  // A store that failed has a past all the same; one that was closed is not there any more.
  const dirOf = (storeId: string): string => stores.client(storeId).place.dir
  registerPassRoutes(app, dirOf, history)
  app.get(
    base,
    {
      config,
      schema: {
        summary: 'What is recorded, and what is missing',
        tags,
        params: storeParamsSchema,
        response: answersText('HistoryBody'),
      },
    },
    ({ params }, reply) => send(reply, history.request(dirOf(params.storeId), 'summary', {})),
  )

  app.get(
    `${base}/events`,
    {
      config,
      schema: {
        summary: 'Recorded events, by seq or by time',
        tags,
        params: storeParamsSchema,
        querystring: historyEventsQuerySchema,
        response: answersText('HistoryEventsBody'),
      },
    },
    ({ params, query: { opening, limit = EVENTS_DEFAULT, ...rest } }, reply) => {
      const body = { limit, ...rest, ...(opening === undefined ? {} : { openingId: opening }) }
      return send(reply, history.request(dirOf(params.storeId), 'events', body))
    },
  )

  app.get(
    `${base}/latency`,
    {
      config,
      schema: {
        summary: 'Recorded latency of puts and gets in a span of time',
        tags,
        params: storeParamsSchema,
        querystring: historyLatencyQuerySchema,
        response: answersText('HistoryLatencyBody'),
      },
    },
    ({ params, query: { opening, limit = LATENCY_LIMIT_MAX, ...rest } }, reply) => {
      const body = { limit, ...rest, ...(opening === undefined ? {} : { openingId: opening }) }
      return send(reply, history.request(dirOf(params.storeId), 'latency', body))
    },
  )

  app.get(
    `${base}/state`,
    {
      config,
      schema: {
        summary: 'The state at a recorded moment',
        tags,
        params: storeParamsSchema,
        querystring: historyStateQuerySchema,
        response: answersText('HistoryStateBody'),
      },
    },
    ({ params, query: { opening, ...rest } }, reply) => {
      const body = { ...rest, ...(opening === undefined ? {} : { openingId: opening }) }
      return send(reply, history.request(dirOf(params.storeId), 'state', body))
    },
  )
}

function registerPassRoutes(
  app: App,
  dirOf: (storeId: string) => string,
  history: HistoryClient,
): void {
  app.get(
    `${base}/passes`,
    {
      config,
      schema: {
        summary: 'Recorded passes, newest first',
        tags,
        params: storeParamsSchema,
        querystring: historyPassesQuerySchema,
        response: answersText('HistoryPassesBody'),
      },
    },
    ({ params, query }, reply) => {
      const { before, limit = PASSES_DEFAULT, acted = false } = query
      const body = {
        limit,
        acted,
        ...(before === undefined ? {} : { before: momentOf(before) }),
      }
      return send(reply, history.request(dirOf(params.storeId), 'passes', body))
    },
  )

  app.get(
    `${base}/passes/:passId`,
    {
      config,
      schema: {
        summary: 'One recorded pass with its report and its events',
        tags,
        params: historyPassParamsSchema,
        querystring: historyPassQuerySchema,
        response: answersText('HistoryPassBody'),
      },
    },
    ({ params: { storeId, passId }, query: { opening } }, reply) => {
      const body = { passId, ...(opening === undefined ? {} : { openingId: opening }) }
      return send(reply, history.request(dirOf(storeId), 'pass', body))
    },
  )
}

/** "3,1201"; the schema has seen to its form. */
function momentOf(text: string): Moment {
  const [openingId = 0, seq = 0] = text.split(',').map(Number)
  return { openingId, seq }
}
