/** Programmer-error checks. A failing assertion is a bug of ours, never an operating error. */

export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}
