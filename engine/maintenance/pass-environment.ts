/** What every pass works with, and the few readings of it that its parts share. */
import { EngineError } from '../errors.ts'
import type { Gate, MaintenanceOptions, PassSource, StoreTotals } from '../types.ts'
import type { Decision } from './decision.ts'
import type { MaintenanceHost } from './host.ts'
import type { MaintenanceMemory } from './memory.ts'
import type { ManualRequest, PassInput } from './pass-input.ts'
import { coolingOf } from './penalties.ts'
import { planRewrite } from './planner.ts'
import type { Stepper } from './stepper.ts'

export interface PassEnvironment {
  readonly host: MaintenanceHost
  readonly memory: MaintenanceMemory
  options: Readonly<MaintenanceOptions>
  readonly stepper: Stepper
  /** Hears each pass's input and decision, for whoever wants to replay them. */
  readonly observe?: (input: PassInput, decision: Decision) => void
}

/** How a pass was called for. */
export interface PassCall {
  readonly source: PassSource
  readonly request: ManualRequest | null
  readonly automatic: boolean
  readonly gcTick: boolean
  readonly kickGates: readonly Gate[]
}

/** The decision's input as of now, with the planner called straight; a later `nowMs` looks ahead. */
export function passInput(
  environment: PassEnvironment,
  call: PassCall,
  nowMs = environment.host.clock.now(),
): PassInput {
  const { host, memory, options } = environment
  const segments = host.segments()
  const cooling = coolingOf(memory.penalties, { nowMs, segments }, options)
  return {
    ...call,
    nowMs,
    paused: memory.facts.paused,
    mode: memory.facts.mode,
    debt: memory.debt,
    queuedMinStaleRatio: memory.queuedMinStaleRatio,
    penalties: memory.penalties,
    budget: memory.facts.budget,
    checkpointKickPending: memory.facts.checkpointKickPending,
    deferredPending: memory.facts.deferredPending,
    segments,
    foreground: host.foreground(),
    times: memory.facts,
    churnSample: memory.facts.churnSample,
    options,
    plan: (filters) => planRewrite({ segments, filters, nowMs, cooling }),
  }
}

export function storeTotals({ host, memory }: PassEnvironment): StoreTotals {
  const totals: StoreTotals = {
    segments: 0,
    zombies: 0,
    bytesTotal: 0,
    bytesLive: 0,
    bytesStale: 0,
    budgetTokensBytes: memory.facts.budget?.tokensBytes ?? null,
    penalties: memory.penalties.length,
  }
  for (const segment of host.segments()) {
    totals.segments += 1
    if (segment.state === 'zombie') totals.zombies += 1
    totals.bytesTotal += segment.bytesTotal
    totals.bytesLive += segment.bytesLive
    totals.bytesStale += segment.bytesStale
  }
  return totals
}

export function isAbort(error: unknown): boolean {
  if (error instanceof EngineError) return error.code === 'ENGINE_ABORTED'
  return error instanceof Error && error.name === 'AbortError'
}

/** Code and message for reports and events; INTERNAL marks what is not an operating error. */
export function describeError(error: unknown): { code: string; message: string } {
  if (error instanceof EngineError) return { code: error.code, message: error.message }
  const message = error instanceof Error ? error.message : String(error)
  return { code: 'INTERNAL', message }
}
