/** What came of a request, in a few words for the audit list: passes, segments and bytes of its answer. */
import type { Actions, AppliedPlan, PassReport, StoredPlan, StoreInfo } from './protocol.ts'

type Pass = PassReport | null | undefined

/** '' when the answer tells nothing that its request did not. */
export function outcomeText(answer: unknown): string {
  if (typeof answer !== 'object' || answer === null) return ''
  if ('plan' in answer && 'action' in answer) return appliedText(answer as AppliedPlan)
  if ('plan' in answer) return planText(answer.plan)
  if ('store' in answer) return storeText(answer.store as StoreInfo)
  if ('passes' in answer) return passesText((answer as Actions['run-until']['answer']).passes)
  if ('gc' in answer) return gcText((answer as Actions['gc']['answer']).gc)
  if ('deleted' in answer) {
    const { deleted } = answer as Actions['release-pin']['answer']
    return `${counted(deleted.length, 'segment')} deleted`
  }
  if ('vacuum' in answer) return vacuumText((answer as Actions['vacuum']['answer']).vacuum)
  const { pass, report } = answer as { pass?: Pass; report?: Pass }
  return passText(pass ?? report)
}

/** What was applied comes first: the request itself names the plan only. */
function appliedText({ plan, action, answer }: AppliedPlan): string {
  return `${action}: ${plan.sentence}. Done: ${outcomeText(answer)}`
}

/** A stored plan has a sentence of its own; a dry plan of the planner none. */
function planText(plan: unknown): string {
  return typeof plan === 'object' && plan !== null && 'sentence' in plan
    ? (plan as StoredPlan).sentence
    : ''
}

function storeText({ name, mode, status, dir }: StoreInfo): string {
  return `${name}, ${mode}, ${status}: ${dir}`
}

function gcText({ dryRun, deleted, bytesDeleted, eligible, bytesEligible }: GcLike): string {
  return dryRun
    ? `${counted(eligible.length, 'segment')} of ${bytesEligible} bytes could be deleted`
    : `${counted(deleted.length, 'segment')} of ${bytesDeleted} bytes deleted`
}

type GcLike = Actions['gc']['answer']['gc']

function vacuumText({ bytesBefore, bytesAfter }: Actions['vacuum']['answer']['vacuum']): string {
  return `${bytesBefore - bytesAfter} bytes of index.db given back`
}

function passesText(passes: readonly PassReport[]): string {
  const { written, deleted, segments } = sumsOf(passes)
  return `${counted(passes.length, 'pass', 'passes')}, ${bytesText(written, deleted, segments)}`
}

function passText(pass: Pass): string {
  if (pass === null || pass === undefined) return ''
  const { written, deleted, segments } = sumsOf([pass])
  return `pass ${pass.passId} ${pass.outcome}, ${bytesText(written, deleted, segments)}`
}

function bytesText(written: number, deleted: number, segments: number): string {
  return `${written} bytes written, ${counted(segments, 'segment')} of ${deleted} bytes deleted`
}

function sumsOf(passes: readonly PassReport[]): {
  written: number
  deleted: number
  segments: number
} {
  const sums = { written: 0, deleted: 0, segments: 0 }
  for (const { steps } of passes) {
    for (const step of steps) {
      if (step.kind === 'rewrite') sums.written += step.report.bytesWritten
      if (step.kind !== 'gc') continue
      sums.deleted += step.report.bytesDeleted
      sums.segments += step.report.deleted.length
    }
  }
  return sums
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
