/**
 * A request that is answered with an error of the closed list. Thrown by routes, by the guard and in
 * store workers alike; crosses the worker port as a plain `Failure`.
 */
import { EngineError } from './engine-door.ts'
import type { ErrorCode } from './protocol.ts'

export interface Failure {
  code: ErrorCode
  message: string
  /** Absent when there is nothing more to say. */
  details?: unknown
}

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: ErrorCode
  readonly details: unknown

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: unknown; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.details = options.details
  }
}

/** Anything thrown, as data. INTERNAL keeps the real text: it is logged, and hidden from clients later. */
export function failureOf(error: unknown): Failure {
  if (error instanceof Refusal) {
    return {
      code: error.code,
      message: error.message,
      ...(error.details === undefined ? {} : { details: error.details }),
    }
  }
  if (error instanceof EngineError) return { code: error.code, message: error.message }
  return {
    code: 'INTERNAL',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  }
}

export function refusalOf(failure: Failure): Refusal {
  return new Refusal(failure.code, failure.message, { details: failure.details })
}
