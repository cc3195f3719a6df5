/**
 * What each pass would do now, for whoever asks before acting: the input of a pass as of one moment, its
 * decision (`decide.ts`), and what that comes to (`foretell.ts`). Nothing is executed, remembered or told.
 * A plan takes time, so it is made in slices, and once for all previews that need the same one.
 */
import type { MaintenancePreview, PassPreview, PassSource, RewritePlan } from '../types.ts'
import { kickGates, kickRefusal } from './admission.ts'
import { foretell, noPass } from './foretell.ts'
import { flag } from './gates.ts'
import type { Pass } from './pass.ts'
import { passInput, type PassCall, type PassEnvironment } from './pass-environment.ts'
import type { PassInput } from './pass-input.ts'
import { decideWithPlans } from './pass-plans.ts'
import { coolingOf } from './penalties.ts'
import type { HeldBack, Suppression } from './suppression.ts'
import { callFor, type Wakes } from './wakes.ts'

type AskedSource = Exclude<PassSource, 'manual'>

const ASKED: readonly AskedSource[] = [
  'periodic',
  'checkpoint_kick',
  'checkpoint_pending',
  'rewrite_stage_confirm',
  'rewrite_stage_confirm_exit',
  'rewrite_age_blocked',
  'rewrite_age_blocked_exit',
  'rewrite_queue_pending',
]

/** Everything that previews are made from, taken in one turn; what happens later does not mix in. */
interface Moment {
  environment: PassEnvironment
  active: Pass | null
  held: HeldBack | null
  plans: Map<string, Promise<RewritePlan>>
}

export class Previews {
  readonly #environment: PassEnvironment
  readonly #suppression: Suppression
  readonly #wakes: Wakes

  constructor(environment: PassEnvironment, suppression: Suppression, wakes: Wakes) {
    this.#environment = environment
    this.#suppression = suppression
    this.#wakes = wakes
  }

  /** `active`: the pass in the slot, null when it is free. */
  async make(active: Pass | null): Promise<MaintenancePreview> {
    const { clock } = this.#environment.host
    const begun = clock.monotonic()
    const atMs = clock.now()
    // Options that change meanwhile are those of the next preview.
    const environment = { ...this.#environment }
    const held = this.#suppression.peek()
    const moment: Moment = { environment, active, held, plans: new Map() }
    // All inputs first: each wait below lets writes and passes in between.
    const asked = ASKED.map((source) => inputOf(moment, callFor(source, { gcTick: true })))
    const wakes = this.#wakes
      .upcoming()
      .map((next) => ({ ...next, input: inputOf(moment, next.call, next.atMs) }))
    const byCheckpoint = checkpointInput(moment, true)
    const checkpoint = askedCheckpoint(moment, byCheckpoint)

    const made: MaintenancePreview['wakes'] = []
    for (const { on, atMs: wakeAtMs, input } of wakes) {
      const { source } = input
      made.push({ source, on, atMs: wakeAtMs, pass: await preview(moment, input) })
    }
    const pass = await previewKick(moment, byCheckpoint)
    made.push({ source: 'checkpoint_kick', on: 'checkpoint', atMs: null, pass })
    const bySource: Partial<MaintenancePreview['asked']> = {}
    for (const [index, source] of ASKED.entries()) {
      const input = asked[index]
      if (input !== undefined) bySource[source] = await preview(moment, input)
    }
    return {
      atMs,
      wakes: made,
      checkpoint: await previewKick(moment, checkpoint),
      asked: bySource as MaintenancePreview['asked'],
      elapsedMs: clock.monotonic() - begun,
    }
  }
}

function inputOf({ environment }: Moment, call: PassCall, nowMs?: number): PassInput {
  return passInput(environment, call, nowMs)
}

/** As of right after a checkpoint: one more is published, unless nothing waited for it. */
function checkpointInput(moment: Moment, automatic: boolean): PassInput {
  const input = inputOf(moment, callFor('checkpoint_kick', { automatic }))
  const { foreground } = input
  const checkpoints = foreground.checkpoints + (automatic || foreground.dirty ? 1 : 0)
  return { ...input, foreground: { ...foreground, checkpoints, dirty: false } }
}

/** One that writes something kicks by itself where it may; else whoever asked for it asks for the kick too. */
function askedCheckpoint(moment: Moment, byItself: PassInput): PassInput {
  const { dirty } = moment.environment.host.foreground()
  const kicks = dirty && moment.active === null && kickRefusal(byItself, () => moment.held) === null
  return kicks ? byItself : checkpointInput(moment, false)
}

async function previewKick(moment: Moment, input: PassInput): Promise<PassPreview> {
  const refusal = kickRefusal(input, () => moment.held)
  if (refusal === null) return preview(moment, { ...input, kickGates: kickGates(input) })
  const { text, gate } = refusal
  return noPass(placeOf(input), { text, gates: gate === null ? [] : [gate] })
}

async function preview(moment: Moment, input: PassInput): Promise<PassPreview> {
  const { active } = moment
  if (active !== null) {
    const text = `Pass ${active.passId} (${active.source}) holds the slot.`
    return noPass(placeOf(input), { text, gates: [flag('slot_free', false, text)] })
  }
  return foretell(input, await decideWithPlans(input, (filters) => planOf(moment, input, filters)))
}

function placeOf({ source, nowMs, debt }: PassInput): Parameters<typeof noPass>[0] {
  return { source, atMs: nowMs, debt }
}

type Filters = Parameters<PassInput['plan']>[0]

/** Of one moment, so the segments are the same for all; only time and filters tell plans apart. */
function planOf(moment: Moment, input: PassInput, filters: Filters): Promise<RewritePlan> {
  const { segments, nowMs, penalties, options } = input
  const name = JSON.stringify([nowMs, filters])
  const known = moment.plans.get(name)
  if (known !== undefined) return known
  const cooling = coolingOf(penalties, { nowMs, segments }, options)
  const { signal } = new AbortController()
  const made = moment.environment.host.plan({ segments, filters, nowMs, cooling }, signal)
  moment.plans.set(name, made)
  return made
}
