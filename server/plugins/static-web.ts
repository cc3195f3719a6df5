/** The built UI: needs no token, and says nothing without one. */
import * as path from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance } from 'fastify'
import { answersType } from '../answers.ts'
import { nodeFileSystem } from '../engine-door.ts'

/** Vite names assets by their content, so these never change. */
const ASSETS = 'assets/'
const YEAR_SECONDS = 365 * 24 * 3600

export async function registerStaticWeb(app: FastifyInstance, webRoot: string): Promise<void> {
  const response = answersType('text/html', 'The page')
  const config = { access: 'public' } as const
  const schema = { summary: 'The page and its files', tags: ['page'], response }
  // Looked up at every start only: a UI built later is served after the next start.
  if (nodeFileSystem.stat(path.join(webRoot, 'index.html'))?.isFile !== true) {
    const notBuilt = { ...response, 503: answersType('text/plain', 'Not built yet')[200] }
    app.get('/', { config, schema: { ...schema, response: notBuilt } }, (_request, reply) =>
      reply
        .code(503)
        .type('text/plain; charset=utf-8')
        .send(
          'The user interface is not built yet. Run "npm run build:web" (or "npm start", which ' +
            'builds what is missing) and start again. The API works meanwhile.\n',
        ),
    )
    return
  }

  await app.register(fastifyStatic, {
    root: webRoot,
    serve: false,
    cacheControl: false,
    // A program around this server may serve files of its own.
    decorateReply: !app.hasReplyDecorator('sendFile'),
  })
  app.get<{ Params: { '*': string } }>('/*', { config, schema }, (request, reply) => {
    const wanted = request.params['*']
    const file = wanted === '' ? 'index.html' : wanted
    const forever = file.startsWith(ASSETS)
    void reply.header(
      'cache-control',
      forever ? `public, max-age=${YEAR_SECONDS}, immutable` : 'no-cache',
    )
    return reply.sendFile(file, webRoot)
  })
}
