/**
 * Who may do which action to which store, and which need a plan first: the one table that the
 * routes, the session answer and the tests read.
 */
import type { ActionName, ActionRule, Actions } from './protocol.ts'
import { Refusal } from './refusal.ts'

const looks: ActionRule = { role: 'viewer', stores: 'hosted', changes: false, planned: false }
const acts: ActionRule = { role: 'operator', stores: 'hosted', changes: true, planned: false }

export const ACTION_RULES: Record<ActionName, ActionRule> = {
  checkpoint: acts,
  'periodic-pass': acts,
  'stage-confirm': acts,
  'run-pass': acts,
  'run-until': acts,
  // Its dry run needs no plan; see `mustPlan`.
  gc: { ...acts, planned: true },
  plan: looks,
  stage: acts,
  rewrite: { ...acts, planned: true },
  pause: acts,
  resume: acts,
  mode: acts,
  'set-phase': acts,
  'set-pause-file': acts,
  // Deletes nothing, but copies pages and waits for the disk.
  vacuum: { ...acts, planned: true },
  'advance-clock': acts,
  'step-phase': acts,
  'resume-pass': acts,
  'cancel-pass': acts,
  'stopped-pass': looks,
  'set-breakpoints': acts,
  'set-options': acts,
  'hold-snapshot': acts,
  'release-snapshot': acts,
  'hold-iterator': acts,
  'release-pin': acts,
  'workload-start': acts,
  'workload-stop': acts,
  // Changes nothing, but a full scan is work for the store.
  verify: acts,
  // Reading a folder again is what a read-only server is for.
  reread: { role: 'operator', stores: 'attached', changes: false, planned: false },
}

/** Throws PLAN_REQUIRED for what may only come as a plan that is applied. */
export function mustPlan<Name extends ActionName>(name: Name, body: Actions[Name]['body']): void {
  if (!ACTION_RULES[name].planned) return
  if (name === 'gc' && (body as Actions['gc']['body']).dryRun) return
  throw new Refusal(
    'PLAN_REQUIRED',
    `${name} deletes or copies data: POST .../plans makes a plan of it, POST .../plans/<id>/apply runs exactly that`,
  )
}
