/** Programmer-error checks. A failing assertion is a bug of ours, never an operating error. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

export function assertDefined<T>(value: T | null | undefined, message: string): T {
  if (value === null || value === undefined) throw new AssertionError(message)
  return value
}

export function unreachable(value: never, message: string): never {
  throw new AssertionError(`${message}: ${JSON.stringify(value)}`)
}
