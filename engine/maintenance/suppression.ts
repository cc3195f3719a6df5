/**
 * What holds back all passes that nobody asked for, beside pause and step mode: a phase of the node in
 * which its foreground needs the disk, and a file that an operator puts down. Asked-for passes run.
 */
import type { PassSource, SchedulerInfo, SuppressedBy } from '../types.ts'
import type { PassEnvironment } from './pass-environment.ts'

export interface HeldBack {
  reason: SuppressedBy
  /** A sentence for a person. */
  text: string
}

export class Suppression {
  readonly #environment: PassEnvironment

  constructor(environment: PassEnvironment) {
    this.#environment = environment
  }

  /** As of now; looks for the file and tells what it saw. null: nothing is held back. */
  reason(): SuppressedBy | null {
    return this.look()?.reason ?? null
  }

  /** The same with its words. */
  look(): HeldBack | null {
    const { memory } = this.#environment
    const { pauseFile } = memory.facts
    const seen = this.#sight()
    if (seen !== null && pauseFile !== null) {
      const { present, reason } = seen
      if (present !== pauseFile.present || reason !== pauseFile.reason) {
        memory.update({ pauseFile: seen }, null)
      }
    }
    return this.#heldBy(seen)
  }

  /** The same for whoever only wants to know: nothing is remembered or told. */
  peek(): HeldBack | null {
    return this.#heldBy(this.#sight())
  }

  #sight(): SchedulerInfo['pauseFile'] {
    const { memory, host } = this.#environment
    const { pauseFile } = memory.facts
    return pauseFile === null ? null : { file: pauseFile.file, ...host.lookForPauseFile() }
  }

  #heldBy(seen: SchedulerInfo['pauseFile']): HeldBack | null {
    const { phase } = this.#environment.memory.facts
    if (seen?.present === true) {
      const why = seen.reason === null ? '' : `: ${seen.reason}`
      return { reason: 'pause_file', text: `Maintenance is paused by ${seen.file}${why}.` }
    }
    if (phase === 'steady') return null
    return { reason: 'maintenance_phase', text: `In the phase ${phase} no pass starts by itself.` }
  }

  /** A pass of this source was due and does not run. */
  count(reason: SuppressedBy): void {
    const counter = reason === 'pause_file' ? 'passSkipsPauseFile' : 'passSkipsPhase'
    this.#environment.memory.count({ [counter]: 1 }, null)
  }

  tell({ reason, text }: HeldBack, source: PassSource): void {
    this.#environment.host.emit({ type: 'maintenance_skip', reason, source, text }, null)
  }
}
