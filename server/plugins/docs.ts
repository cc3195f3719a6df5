/**
 * The description of the API, generated from the schemas that check it, as JSON and as a page to
 * browse. Both are public: they say nothing that the source does not. The page's own requests need
 * a token like any other.
 */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { answerSchemas } from '../answers.ts'

export async function registerDocs(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Restage',
        version,
        description:
          'Errors are {error: {code, message, details?}} with a closed list of codes. The live feed is a websocket at /api/v1/live.',
      },
      components: {
        securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
        schemas: answerSchemas(),
      },
      security: [{ token: [] }],
    },
  })
  // Of its routes only these exist for us: the page, its files, the description.
  app.addHook('onRoute', (route) => {
    if (route.url.startsWith(`${app.prefix}/docs`) && route.config?.access === undefined) {
      route.config = { ...route.config, access: 'public' }
    }
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { docExpansion: 'list', deepLinking: false, tryItOutEnabled: true },
  })
}
