/** What a caller may say of one rewrite. Pure. */
import type { LocalityPolicy, RewriteOptions } from '../types.ts'

const LOCALITIES: ReadonlySet<LocalityPolicy> = new Set(['default', 'grouped'])

/** RangeError that names the option, its value and what it may be. */
export function checkRewriteOptions(options: Partial<RewriteOptions>): void {
  const { locality } = options
  for (const name of ['maxCopiedBytes', 'batchRecords'] as const) {
    const count = options[name] ?? 0
    if (Number.isSafeInteger(count) && count >= 0) continue
    throw new RangeError(`${name} must be a whole number from 0 up, got ${String(count)}`)
  }
  if (locality !== undefined && !LOCALITIES.has(locality)) {
    throw new RangeError(`locality must be default or grouped, got ${locality}`)
  }
}
