/** Lists every request that acts, and every one that was refused, in the audit. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Audit } from '../audit.ts'
import { outcomeText } from '../audit-text.ts'
import type { Failure } from '../refusal.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the error handler. */
    failure?: Failure
    /** What its answer says, for the audit list. */
    outcomeText?: string
  }
}

/** Refusals that are about a wrong address or a missing thing say nothing about who may do what. */
const NOT_LISTED = new Set(['NOT_FOUND'])
const BODY_TEXT_MAX = 200

export function registerAudit(app: FastifyInstance, audit: Audit): void {
  app.decorateRequest('failure', undefined)
  app.decorateRequest('outcomeText', undefined)
  app.addHook('preSerialization', (request, _reply, payload, done) => {
    const { changes, audited } = request.routeOptions.config
    if (request.failure === undefined && (changes === true || audited === true)) {
      request.outcomeText = outcomeText(payload)
    }
    done(null, payload)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const { failure } = request
    const { changes, audited } = request.routeOptions.config
    const acts = changes === true || audited === true
    const failed = failure !== undefined && reply.statusCode >= 500
    const isListed = failure === undefined ? acts : !NOT_LISTED.has(failure.code)
    if (isListed) {
      audit.add({
        role: request.role ?? null,
        peer: request.ip,
        channel: 'rest',
        what: `${request.method} ${request.routeOptions.url ?? 'unknown address'}`,
        storeId: storeIdOf(request),
        outcome: failure === undefined ? 'done' : failed ? 'failed' : 'refused',
        code: failure?.code ?? null,
        text: failure?.message ?? bodyText(request.body),
        result: request.outcomeText ?? '',
        elapsedMs: Math.round(reply.elapsedTime),
      })
    }
    done()
  })
}

function storeIdOf(request: FastifyRequest): string | null {
  const params = request.params as { storeId?: string } | undefined
  return params?.storeId ?? null
}

/** What was asked for, in short. Values of keys never get in here: batches are described by their size. */
function bodyText(body: unknown): string {
  if (body === undefined || body === null) return ''
  if (typeof body === 'object' && 'operations' in body && Array.isArray(body.operations)) {
    return `${body.operations.length} operations`
  }
  const text = JSON.stringify(body)
  return text.length > BODY_TEXT_MAX ? `${text.slice(0, BODY_TEXT_MAX)}...` : text
}
