/**
 * Bounds of one long action: the pass that was cancelled, a time limit, and for work that is only
 * wanted in a quiet store, foreground activity. By the engine's clock, so that a virtual one bounds too.
 */
import type { MaintenanceHost } from './host.ts'

/** Foreground activity is looked for this often: a tenth of upstream's loop. */
const POLL_MS = 100

export type CancelCause = 'foreground' | 'deadline' | 'aborted'

export interface Bounds {
  readonly signal: AbortSignal
  /** Why it was cancelled; null while it was not. */
  cause(): CancelCause | null
  /** Ends the watch; call it always. */
  release(): void
}

export function bound(
  host: Pick<MaintenanceHost, 'clock' | 'foreground'>,
  parent: AbortSignal,
  limits: {
    timeoutMs: number
    /** How long activity is borne; null = it does not cancel. */
    foregroundGraceMs: number | null
  },
): Bounds {
  const { clock } = host
  const startedAtMs = clock.now()
  const abort = new AbortController()
  let cause: CancelCause | null = null
  let disarm: () => void = () => undefined
  const end = (why: CancelCause): void => {
    if (cause !== null) return
    cause = why
    disarm()
    abort.abort()
  }
  const aborted = (): void => end('aborted')
  const look = (): void => {
    const now = clock.now()
    if (now >= startedAtMs + limits.timeoutMs) {
      end('deadline')
      return
    }
    const grace = limits.foregroundGraceMs
    const active = grace !== null && now >= startedAtMs + grace && isActive(host, startedAtMs)
    if (active) end('foreground')
    else arm()
  }
  const arm = (): void => {
    const deadline = startedAtMs + limits.timeoutMs
    const next = limits.foregroundGraceMs === null ? deadline : clock.now() + POLL_MS
    disarm = clock.setTimer(Math.min(deadline, next), look)
  }
  if (parent.aborted) end('aborted')
  else {
    parent.addEventListener('abort', aborted, { once: true })
    arm()
  }
  return {
    signal: abort.signal,
    cause: () => cause,
    release: () => {
      disarm()
      parent.removeEventListener('abort', aborted)
    },
  }
}

/** Something was written or read since, or an iterator is open. */
function isActive(host: Pick<MaintenanceHost, 'foreground'>, sinceMs: number): boolean {
  const { lastWriteAtMs, lastReadAtMs, openIterators } = host.foreground()
  return (lastWriteAtMs ?? 0) > sinceMs || (lastReadAtMs ?? 0) > sinceMs || openIterators > 0
}
