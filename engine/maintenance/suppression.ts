/**
 * What holds back all passes that nobody asked for, beside pause and step mode: a phase of the node in
 * which its foreground needs the disk, and a file that an operator puts down. Asked-for passes run.
 */
import type { PassSource, SuppressedBy } from '../types.ts'
import type { PassEnvironment } from './pass-environment.ts'

export class Suppression {
  readonly #environment: PassEnvironment

  constructor(environment: PassEnvironment) {
    this.#environment = environment
  }

  /** As of now; looks for the file. null: nothing is held back. */
  reason(): SuppressedBy | null {
    const { memory, host } = this.#environment
    const { pauseFile, phase } = memory.facts
    if (pauseFile !== null) {
      const sight = host.lookForPauseFile()
      if (sight.present !== pauseFile.present || sight.reason !== pauseFile.reason) {
        memory.update({ pauseFile: { file: pauseFile.file, ...sight } }, null)
      }
      if (sight.present) return 'pause_file'
    }
    return phase === 'steady' ? null : 'maintenance_phase'
  }

  text(reason: SuppressedBy): string {
    const { phase, pauseFile } = this.#environment.memory.facts
    if (reason === 'maintenance_phase') return `In the phase ${phase} no pass starts by itself.`
    const why = pauseFile?.reason == null ? '' : `: ${pauseFile.reason}`
    return `Maintenance is paused by ${pauseFile?.file ?? 'a file'}${why}.`
  }

  /** A pass of this source was due and does not run. */
  count(reason: SuppressedBy): void {
    const counter = reason === 'pause_file' ? 'passSkipsPauseFile' : 'passSkipsPhase'
    this.#environment.memory.count({ [counter]: 1 }, null)
  }

  tell(reason: SuppressedBy, source: PassSource): void {
    const text = this.text(reason)
    this.#environment.host.emit({ type: 'maintenance_skip', reason, source, text }, null)
  }
}
