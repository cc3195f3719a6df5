/** The input of a decision by hand: a quiet store with a checkpoint behind it, changed as a test wants it. */
import { decidePass, type Decision } from '../../../engine/maintenance/decide.ts'
import { NO_DEBT } from '../../../engine/maintenance/ledger.ts'
import type { PassInput } from '../../../engine/maintenance/pass-input.ts'
import { planRewrite } from '../../../engine/maintenance/planner.ts'
import { resolveOptions } from '../../../engine/options.ts'
import type { Gate, GateName, MaintenanceOptions, PassSource } from '../../../engine/types.ts'
import { MIB, QUIET, T0 } from './fake-host.ts'

export const DEFAULTS = resolveOptions({}).maintenance
/** From which size on a store has quality floors. */
export const LARGE = 512 * MIB

export type Setup = Partial<Omit<PassInput, 'options' | 'times' | 'foreground'>> & {
  options?: Partial<MaintenanceOptions>
  times?: Partial<PassInput['times']>
  foreground?: Partial<PassInput['foreground']>
}

/** A quiet store with a checkpoint behind it, the total-bytes trigger off. */
export function inputFor(source: PassSource, setup: Setup): PassInput {
  const { options, times, foreground, ...rest } = setup
  const segments = setup.segments ?? []
  return {
    source,
    request: null,
    automatic: false,
    gcTick: true,
    nowMs: T0,
    paused: false,
    mode: 'auto',
    debt: NO_DEBT,
    queuedMinStaleRatio: null,
    penalties: [],
    budget: null,
    checkpointKickPending: false,
    deferredPending: false,
    segments,
    foreground: { ...QUIET, ...foreground },
    times: {
      lastRewriteAtMs: null,
      lastPlanAtMs: null,
      planHoldMs: 30_000,
      lastGcAtMs: null,
      lastCheckpointKickAtMs: null,
      lastPlanCanceledAtMs: null,
      lastRewriteCanceledAtMs: null,
      lastIneffectiveAtMs: null,
      lastVacuumAtMs: null,
      ageBlockedUntilMs: null,
      queueCooldownUntilMs: null,
      churnBytesPerSecond: null,
      ...times,
    },
    options: { ...DEFAULTS, triggerTotalBytes: 0, ...options },
    kickGates: [],
    churnSample: null,
    plan: (filters) => planRewrite({ segments, filters, nowMs: T0 }),
    ...rest,
  }
}

export function decide(source: PassSource, setup: Setup): Decision {
  return decidePass(inputFor(source, setup))
}

export function gate(decision: Decision, name: GateName): Gate {
  const found = decision.gates.find((g) => g.name === name)
  if (found === undefined) throw new Error(`gate ${name} was not met`)
  return found
}
