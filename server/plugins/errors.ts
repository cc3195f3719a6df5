/**
 * Every error leaves as `{error: {code, message, details?}}` with a code of the closed list. The
 * text of INTERNAL errors stays in the log; all other texts are written for the reader.
 */
import type { FastifyError, FastifyInstance, FastifySchemaValidationError } from 'fastify'
import type { ErrorBody, ErrorCode } from '../protocol.ts'
import { failureOf, type Failure } from '../refusal.ts'

export const HTTP_STATUS: Record<ErrorCode, number> = {
  UNAUTHORIZED: 401,
  FORBIDDEN_ORIGIN: 403,
  FORBIDDEN_HOST: 403,
  FORBIDDEN_ROLE: 403,
  FORBIDDEN_FOLDER: 403,
  NOT_FOUND: 404,
  BAD_REQUEST: 400,
  READ_ONLY: 403,
  RATE_LIMITED: 429,
  CONFLICT: 409,
  PLAN_REQUIRED: 428,
  PLAN_CHANGED: 409,
  PLAN_EXPIRED: 410,
  PLAN_NOT_CONFIRMED: 422,
  STORE_FAILED: 503,
  TOO_LARGE: 413,
  INTERNAL: 500,
  ENGINE_NOT_OPEN: 503,
  ENGINE_LOCKED: 409,
  ENGINE_READ_ONLY: 403,
  ENGINE_CORRUPT: 422,
  ENGINE_UNSUPPORTED: 422,
  ENGINE_IO: 507,
  ENGINE_ABORTED: 409,
  ENGINE_OPTIONS: 400,
  ENGINE_NOT_A_FOLDER: 422,
  ENGINE_SEGMENT_MISSING: 422,
  ENGINE_KEY_SIZE: 400,
  ENGINE_VALUE_SIZE: 400,
  ENGINE_LIMIT: 507,
  ENGINE_REWRITE_REFUSED: 409,
  ENGINE_BUSY: 409,
}

export function registerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const failure = requestFailureOf(error)
    request.failure = failure
    const status = HTTP_STATUS[failure.code]
    if (failure.code === 'INTERNAL') request.log.error({ err: error }, 'request failed')
    else if (status >= 500) request.log.warn({ code: failure.code }, failure.message)
    if (failure.code === 'UNAUTHORIZED') void reply.header('www-authenticate', 'Bearer')
    return reply.code(status).send(errorBody(failure))
  })
  app.setNotFoundHandler((request, reply) =>
    reply
      .code(404)
      .send(errorBody({ code: 'NOT_FOUND', message: `no route ${request.method} ${request.url}` })),
  )
}

function errorBody(failure: Failure): ErrorBody {
  const { code, message, details } = failure
  if (code === 'INTERNAL')
    return { error: { code, message: 'an internal error; the log has its text' } }
  return { error: { code, message, ...(details === undefined ? {} : { details }) } }
}

/** With the values that would do, where there are only so many. */
function problemOf({
  keyword,
  params,
  message = 'is not valid',
}: FastifySchemaValidationError): string {
  const { allowedValues } = params
  if (keyword === 'enum' && Array.isArray(allowedValues)) {
    return `must be one of ${allowedValues.join(', ')}`
  }
  // Of a field that the schema does not have.
  return message === 'schema is false' ? 'is not known here' : message
}

function requestFailureOf(error: FastifyError): Failure {
  if (error.validation !== undefined) {
    const details = error.validation.map((one) => ({
      at: one.instancePath,
      message: problemOf(one),
    }))
    const [first] = details
    const what =
      first === undefined ? '' : `: ${first.at === '' ? 'it' : first.at} ${first.message}`
    return {
      code: 'BAD_REQUEST',
      message: `the ${error.validationContext ?? 'request'} is not valid${what}`,
      details,
    }
  }
  if (error.statusCode === 413) return { code: 'TOO_LARGE', message: error.message }
  if (error.statusCode === 404) return { code: 'NOT_FOUND', message: error.message }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return { code: 'BAD_REQUEST', message: error.message }
  }
  return failureOf(error)
}
