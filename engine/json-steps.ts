/**
 * JSON of a value with long lists in it, a piece at a time: what `JSON.stringify` gives, for who may not
 * hold the thread as long as that takes. For JSON-safe data only: no bigint, no class, no `toJSON`.
 */

/** Items of a list between two yields: a quarter of a millisecond of candidates. */
const STEP_ITEMS = 256

/**
 * The value must not change meanwhile. Texts are put together by `+`, which copies nothing: joined, a list
 * of megabytes would be copied again at each level above it.
 */
export function* jsonSteps(value: unknown): Generator<void, string> {
  if (Array.isArray(value)) return yield* listSteps(value)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  let text = '{'
  for (const [key, member] of Object.entries(value as Record<string, unknown>)) {
    if (member === undefined) continue
    const comma = text === '{' ? '' : ','
    text += `${comma}${JSON.stringify(key)}:`
    text += yield* jsonSteps(member)
  }
  return text + '}'
}

function* listSteps(items: readonly unknown[]): Generator<void, string> {
  let text = '['
  // Few items may each be long; of a long list each is small.
  if (items.length <= STEP_ITEMS) {
    for (const [i, item] of items.entries()) {
      if (i > 0) text += ','
      text += yield* jsonSteps(item ?? null)
    }
    return text + ']'
  }
  for (let at = 0; at < items.length; at += STEP_ITEMS) {
    if (at > 0) text += ','
    text += JSON.stringify(items.slice(at, at + STEP_ITEMS)).slice(1, -1)
    yield
  }
  return text + ']'
}
