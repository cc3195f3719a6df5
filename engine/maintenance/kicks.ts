/**
 * Checkpoint kicks: whether one follows from a checkpoint, the pass it makes, and what is counted and told of
 * it. Its gates are in `admission.ts`; one that finds the slot taken is remembered by `wakes.ts`.
 */
import type { CheckpointReport, Gate, PassReport } from '../types.ts'
import { kickGates, kickRefusal, type KickSkip } from './admission.ts'
import { passInput, type PassCall, type PassEnvironment } from './pass-environment.ts'
import type { PassInput } from './pass-input.ts'
import type { Suppression } from './suppression.ts'
import { callFor } from './wakes.ts'

/** Why a checkpoint does not kick by itself where one that is asked for may. */
const OF_AUTOMATIC: readonly KickSkip['reason'][] = [
  'step_mode',
  'disabled',
  'stage_pending',
  'foreground_hot_no_debt',
]

/** What became of a checkpoint kick: a pass, or the reason there was none, in words. */
export interface KickAnswer {
  pass: PassReport | null
  skipped: string | null
}

export interface KickTarget {
  /** Why no pass can begin now; null: the slot is free. */
  slotHolder(): string | null
  /** A kick by itself found the slot taken: it is remembered. */
  latch(): void
  /** One was refused because debt is staged: upstream would have tried. */
  noPass(): void
  run(call: PassCall): Promise<{ report: PassReport }>
}

export class Kicks {
  readonly #environment: PassEnvironment
  readonly #suppression: Suppression
  readonly #target: KickTarget
  /** The kick now running, for callers that ask what became of it. */
  #running: Promise<KickAnswer> | null = null
  /** What became of the kicks of checkpoints, for whoever asks for one after its own checkpoint. */
  readonly #answers = new WeakMap<CheckpointReport, Promise<KickAnswer>>()

  constructor(environment: PassEnvironment, suppression: Suppression, target: KickTarget) {
    this.#environment = environment
    this.#suppression = suppression
    this.#target = target
  }

  /** By itself, after a checkpoint of the foreground. */
  after(report: CheckpointReport): Promise<KickAnswer> {
    const { refusal, answer } = this.#now(true)
    // Refused only because nobody had asked for it: whoever does gets one of its own.
    if (refusal === null || !OF_AUTOMATIC.includes(refusal)) this.#answers.set(report, answer)
    return answer
  }

  /** Asked for; where the checkpoint that is meant has kicked already, what came of that is the answer. */
  asked(report?: CheckpointReport): Promise<KickAnswer> {
    const kicked = report === undefined ? undefined : this.#answers.get(report)
    return kicked ?? this.#running ?? this.#now(false).answer
  }

  /** Its own gates first: a kick that is refused does not take the slot and is not counted (D10). */
  #now(automatic: boolean): { refusal: KickSkip['reason'] | null; answer: Promise<KickAnswer> } {
    const input = passInput(this.#environment, callFor('checkpoint_kick', { automatic }))
    const refusal = kickRefusal(input, () => this.#suppression.look())
    if (refusal === null) return { refusal, answer: this.#admitted(input) }
    const { reason } = refusal
    if (reason === 'stage_pending') this.#countStaged()
    return { refusal: reason, answer: Promise.resolve(this.skip(refusal)) }
  }

  async #admitted(input: PassInput): Promise<KickAnswer> {
    const { automatic } = input
    const holder = this.#target.slotHolder()
    if (holder !== null) {
      const text = `The slot is taken: ${holder}.`
      if (!automatic) return this.skip({ reason: 'already_active', text, gate: null })
      this.#target.latch()
      return { pass: null, skipped: text }
    }
    const gates = kickGates(input)
    this.#running = this.run({ source: 'checkpoint_kick', automatic, kickGates: gates })
    try {
      return await this.#running
    } finally {
      this.#running = null
    }
  }

  #countStaged(): void {
    const { memory, host } = this.#environment
    const { stage } = memory.debt
    const due = stage !== null && stage.dueAtMs <= host.clock.now()
    const counter = due ? 'passSkipsStageDueReserved' : 'passSkipsStageNotDue'
    memory.count({ [counter]: 1 }, null)
    this.#target.noPass()
  }

  /** The slot must be free. */
  async run(how: {
    source: 'checkpoint_kick' | 'checkpoint_pending'
    automatic: boolean
    kickGates?: Gate[]
  }): Promise<KickAnswer> {
    const { memory, host } = this.#environment
    const { rewriteRuns, gcRuns } = memory.counters
    host.emit({ type: 'checkpoint_kick_start' }, null)
    memory.update({ lastCheckpointKickAtMs: host.clock.now() }, null)
    memory.count({ checkpointKicks: 1 }, null)
    // No wait since the slot was found free, so it still is.
    const { source, automatic, kickGates: gates = [] } = how
    const { report } = await this.#target.run(callFor(source, { automatic, kickGates: gates }))
    const after = memory.counters
    memory.count(
      {
        checkpointKickRewriteRuns: after.rewriteRuns > rewriteRuns ? 1 : 0,
        checkpointKickGcRuns: after.gcRuns > gcRuns ? 1 : 0,
      },
      null,
    )
    host.emit(
      {
        type: 'checkpoint_kick_done',
        rewriteRunsBefore: rewriteRuns,
        rewriteRunsAfter: after.rewriteRuns,
        gcRunsBefore: gcRuns,
        gcRunsAfter: after.gcRuns,
        pending: memory.facts.checkpointKickPending,
      },
      null,
    )
    return { pass: report, skipped: null }
  }

  skip(why: Pick<KickSkip, 'reason' | 'text' | 'gate'>): KickAnswer {
    const { memory, host } = this.#environment
    const segments = host.segments().length
    const queueLen = memory.debt.queue.length
    host.emit({ type: 'checkpoint_kick_skip', ...why, segments, queueLen }, null)
    memory.count({ checkpointKickSkips: 1 }, null)
    return { pass: null, skipped: why.text }
  }
}
