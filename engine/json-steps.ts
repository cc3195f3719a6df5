/**
 * JSON of a value with long lists in it, a piece at a time: what `JSON.stringify` gives, for who may not
 * hold the thread as long as that takes. For JSON-safe data only: no bigint, no class, no `toJSON`.
 */

/** Items of a list between two yields: a quarter of a millisecond of candidates. */
const STEP_ITEMS = 256

/** The value must not change meanwhile. */
export function* jsonSteps(value: unknown): Generator<void, string> {
  if (Array.isArray(value)) {
    if (value.length > STEP_ITEMS) return yield* longList(value)
    const texts: string[] = []
    for (const item of value as unknown[]) texts.push(yield* jsonSteps(item ?? null))
    return `[${texts.join(',')}]`
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members: string[] = []
  for (const [key, member] of Object.entries(value as Record<string, unknown>)) {
    if (member === undefined) continue
    members.push(`${JSON.stringify(key)}:${yield* jsonSteps(member)}`)
  }
  return `{${members.join(',')}}`
}

/** Its items are small. */
function* longList(items: readonly unknown[]): Generator<void, string> {
  const texts: string[] = []
  for (let at = 0; at < items.length; at += STEP_ITEMS) {
    texts.push(JSON.stringify(items.slice(at, at + STEP_ITEMS)).slice(1, -1))
    yield
  }
  return `[${texts.join(',')}]`
}
