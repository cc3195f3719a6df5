/** For whoever runs this: alive, ready, and figures in OpenMetrics form. */
import { answers, answersType, type HealthBody } from '../answers.ts'
import type { App } from '../app.ts'
import { renderMetrics, METRICS_TYPE } from '../metrics.ts'
import type { Connections } from '../live/socket.ts'
import type { Stores } from '../stores.ts'

export function registerHealthRoutes(app: App, stores: Stores, connections: Connections): void {
  let stopping = false
  app.addHook('preClose', (done) => {
    stopping = true
    done()
  })
  const config = { access: 'public' } as const
  app.get(
    '/healthz',
    { config, schema: { summary: 'Alive', tags: ['health'], response: answers('HealthBody') } },
    (): HealthBody => ({ status: 'ok' }),
  )

  app.get(
    '/readyz',
    {
      config,
      schema: {
        summary: 'Every store is open',
        tags: ['health'],
        response: { ...answers('ReadyBody'), 503: answers('ReadyBody')[200] },
      },
    },
    (_request, reply) => {
      const count = { open: 0, opening: 0, failed: 0 }
      for (const { status } of stores.list()) count[status] += 1
      const status = stopping ? 'stopping' : count.opening > 0 ? 'opening' : 'ready'
      // A failed store is shown and can be reopened: the server as such is of use all the same.
      return reply.code(status === 'ready' ? 200 : 503).send({ status, stores: count })
    },
  )

  app.get(
    '/metrics',
    {
      config: { access: 'viewer' },
      schema: {
        summary: 'OpenMetrics, with the viewer’s token',
        tags: ['health'],
        response: answersType('application/openmetrics-text', 'Figures of all stores'),
      },
    },
    async (_request, reply) =>
      reply.type(METRICS_TYPE).send(await renderMetrics(stores, connections)),
  )
}
