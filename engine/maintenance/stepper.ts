/**
 * The debugger of passes: holds a pass before its phases, by stepping or by breakpoints. A held pass
 * keeps the slot; cancelling it lets it go. One pass runs at a time, so one stop is held at most.
 */
import { EngineError } from '../errors.ts'
import type { Breakpoint, PassPhase, PassStop } from '../types.ts'
import type { MaintenanceHost } from './host.ts'
import type { MaintenanceMemory } from './memory.ts'

const PHASES: readonly PassPhase[] = [
  'gates',
  'prune',
  'plan',
  'stage',
  'confirm',
  'rewrite',
  'gc',
  'restage',
  'vacuum',
]

const BREAKPOINTS: readonly string[] = [
  ...PHASES.map((phase) => `before_${phase}`),
  'on_gate_block',
  'on_failure',
  'queue_shrank_without_reclaim',
]

export class Stepper {
  readonly #host: MaintenanceHost
  readonly #memory: MaintenanceMemory
  #stepping = false
  #stop: PassStop | null = null
  #letGo: () => void = () => undefined
  readonly #waiting = new Set<(stop: PassStop) => void>()

  constructor(host: MaintenanceHost, memory: MaintenanceMemory) {
    this.#host = host
    this.#memory = memory
  }

  get stopped(): PassStop | null {
    return this.#stop
  }

  /** Throws ENGINE_OPTIONS for a word that is none. Repeated ones count once. */
  setBreakpoints(breakpoints: readonly Breakpoint[]): void {
    const unknown = breakpoints.filter((name) => !BREAKPOINTS.includes(name))
    if (unknown.length > 0) {
      throw new EngineError('ENGINE_OPTIONS', `no breakpoint is named ${unknown.join(', ')}`)
    }
    this.#memory.update({ breakpoints: [...new Set(breakpoints)] }, null)
  }

  /** The next pass, or the held one, stops before its next phase; false: it runs on to a breakpoint. */
  step(stepping: boolean): void {
    this.#stepping = stepping
    this.#letGo()
  }

  /** Resolves with the next stop. */
  nextStop(): Promise<PassStop> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  /** A pass that ended is not stepped any further. */
  passEnded(): void {
    this.#stepping = false
    this.#waiting.clear()
  }

  /** Why the pass stops before this phase; null = it does not. No wait is needed to ask. */
  reasonBefore(phase: PassPhase): PassStop['why'] | null {
    if (this.#stepping) return 'step'
    return this.reasonFor(`before_${phase}`)
  }

  reasonFor(breakpoint: Breakpoint): Breakpoint | null {
    return this.#memory.facts.breakpoints.includes(breakpoint) ? breakpoint : null
  }

  /** Holds the pass until it is stepped, resumed or cancelled; throws AbortError in the last case. */
  async hold(stop: PassStop, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { passId, source, before } = stop
    this.#stop = stop
    this.#memory.update({ stopped: { passId, source, before } }, passId)
    this.#host.emit({ type: 'pass_stopped', stop }, passId)
    const heard = [...this.#waiting]
    this.#waiting.clear()
    const released = new Promise<void>((resolve) => {
      this.#letGo = resolve
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    for (const tell of heard) tell(stop)
    await released
    this.#letGo = () => undefined
    this.#stop = null
    this.#memory.update({ stopped: null }, passId)
    this.#host.emit({ type: 'pass_resumed', before }, passId)
    signal.throwIfAborted()
  }
}
