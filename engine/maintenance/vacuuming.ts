/** The index vacuum of a pass: whether it runs, within which bounds, and what is told of it. */
import type { Counters, VacuumReport } from '../types.ts'
import { bound } from './bounds.ts'
import { vacuumGates } from './decide-gc.ts'
import { isBlocking } from './gates.ts'
import type { Pass } from './pass.ts'

type SkipReason = 'disabled' | 'threshold' | 'cooldown'

const SKIPS: Partial<Record<string, SkipReason>> = {
  vacuum_enabled: 'disabled',
  vacuum_trigger_bytes: 'threshold',
  vacuum_min_interval: 'cooldown',
}

const SKIP_COUNTERS: Record<SkipReason, keyof Counters> = {
  disabled: 'vacuumSkipsDisabled',
  threshold: 'vacuumSkipsThreshold',
  cooldown: 'vacuumSkipsCooldown',
}

/** Source bytes of rewrites; answers with those since the last vacuum, which count together. */
export function countTowardsVacuum(pass: Pass, sourceBytes: number): number {
  const { memory } = pass.environment
  const rewrittenSinceVacuumBytes = memory.facts.rewrittenSinceVacuumBytes + sourceBytes
  memory.update({ rewrittenSinceVacuumBytes }, pass.passId)
  return rewrittenSinceVacuumBytes
}

/** After rewrites of so many source bytes. */
export async function vacuumAfterRewrite(pass: Pass, sourceBytes: number): Promise<void> {
  const { memory } = pass.environment
  const { passId } = pass
  const rewrittenBytes = countTowardsVacuum(pass, sourceBytes)
  const block = vacuumGates(pass.input(), rewrittenBytes).find(isBlocking)
  if (block === undefined) {
    await vacuum(pass)
    return
  }
  const reason = SKIPS[block.name] ?? 'disabled'
  memory.count({ [SKIP_COUNTERS[reason]]: 1 }, passId)
  // Every small rewrite is below the threshold: that is counted and not told.
  if (reason !== 'threshold') pass.emit({ type: 'vacuum_skip', reason, gate: block.name })
}

/** Throws what the host throws; cancelled by the pass or by time, it ends early and says so. */
export async function vacuum(pass: Pass): Promise<VacuumReport> {
  const { memory, host, options } = pass.environment
  const { passId } = pass
  if (pass.stopsBefore('vacuum')) await pass.stop('vacuum', 'Before it vacuums the index.')
  const lastReason =
    pass.source === 'manual' ? ('manual' as const) : ('post_rewrite_vacuum' as const)
  const lastVacuumAtMs = host.clock.now()
  memory.update(
    { state: 'running', lastReason, lastVacuumAtMs, rewrittenSinceVacuumBytes: 0 },
    passId,
  )
  const limits = { timeoutMs: options.rewriteTimeoutMs, foregroundGraceMs: null }
  const bounds = bound(host, pass.signal, limits)
  try {
    const report = await host.vacuumIndex(bounds.signal)
    memory.count({ vacuumRuns: 1, vacuumElapsedMs: report.elapsedMs }, passId)
    pass.emit({ type: 'vacuum_run', report })
    pass.steps.push({ kind: 'vacuum', report })
    return report
  } catch (error) {
    memory.count({ vacuumFailures: 1 }, passId)
    throw error
  } finally {
    bounds.release()
  }
}
