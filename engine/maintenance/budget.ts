/**
 * The write budget: a token bucket that rewrites draw their live bytes from. Pure. An empty bucket
 * means "wait" and never "no limit": upstream's `MaxSourceBytes = 0` is unbounded, so passing an empty
 * bucket on would do the opposite of what it says (scheduler.md 1.8).
 */
import type { MaintenanceOptions, SchedulerInfo } from '../types.ts'

export type Bucket = NonNullable<SchedulerInfo['budget']>

/** A full second of the rate at least, so that a small trigger cannot make a bucket that is never full. */
export function capOf(options: MaintenanceOptions): number {
  return Math.max(options.triggerTotalBytes, options.rewriteBudgetBytesPerSec, 1)
}

/** null when there is no budget. */
export function openBucket(options: MaintenanceOptions): Bucket | null {
  const bytesPerSecond = options.rewriteBudgetBytesPerSec
  if (bytesPerSecond <= 0) return null
  const capBytes = capOf(options)
  const tokensBytes = Math.min(options.rewriteBudgetStartBytes, capBytes)
  return { bytesPerSecond, tokensBytes, capBytes, accruedAtMs: null }
}

/** The bucket under changed options: tokens stay, as far as the new cap holds them. */
export function refitBucket(bucket: Bucket | null, options: MaintenanceOptions): Bucket | null {
  const fresh = openBucket(options)
  if (fresh === null || bucket === null) return fresh
  const tokensBytes = Math.min(bucket.tokensBytes, fresh.capBytes)
  return { ...fresh, tokensBytes, accruedAtMs: bucket.accruedAtMs }
}

/**
 * Tokens for the time since the last accrual. The first one only records the time, a clock that went
 * back adds nothing and is not recorded, and the sum saturates at the cap.
 */
export function accrue(bucket: Bucket, nowMs: number): Bucket {
  if (bucket.accruedAtMs === null) return { ...bucket, accruedAtMs: nowMs }
  const elapsedMs = nowMs - bucket.accruedAtMs
  if (elapsedMs <= 0) return bucket
  const earned = (bucket.bytesPerSecond * elapsedMs) / 1000
  // A cap beyond 2^53 would let the sum lose bytes; no log is that large.
  const cap = Math.min(bucket.capBytes, Number.MAX_SAFE_INTEGER)
  const tokensBytes = Math.min(cap, Math.floor(bucket.tokensBytes + earned))
  return { ...bucket, tokensBytes, accruedAtMs: nowMs }
}

/** Never below 0: what was overdrawn is not owed, the first segment of a run is always allowed. */
export function draw(bucket: Bucket, bytes: number): Bucket {
  return { ...bucket, tokensBytes: Math.max(0, bucket.tokensBytes - Math.max(0, bytes)) }
}

export function isEmpty(bucket: Bucket | null): boolean {
  return bucket !== null && bucket.tokensBytes <= 0
}
