// The gates of a pass as the decisions they belong to: each with the way that was taken out of it, and
// what was not reached. Read from the report alone; which gates there are, and in which order they are met,
// the engine decides.
import type { Gate, GateName, PassOutcome, PassReport, PassSource } from '../../server/protocol.ts'

export interface Told {
  source: PassSource
  gates: readonly Gate[]
  outcome: PassOutcome
  blockedBy: GateName | null
  staged: boolean
  rewrote: boolean
  /** GC ran, or would delete something. */
  collected: boolean
  /** It has not run: said of what it would do. */
  ahead: boolean
}

export type BranchName = 'admission' | 'queue' | 'plan' | 'gc' | 'vacuum'

export interface Branch {
  name: BranchName
  question: string
  gates: Gate[]
  /** The way on, and those not taken. */
  taken: string | null
  others: string[]
  /** Why it was not come to; null: it was. */
  notReached: string | null
}

const questions: Record<BranchName, string> = {
  admission: 'May this pass look at the store at all?',
  queue: 'Is queued debt to be rewritten now?',
  plan: 'Is new debt to be looked for, and what comes of it?',
  gc: 'Are dead segments to be deleted?',
  vacuum: 'Is the index to be vacuumed?',
}

const ofQueue = new Set<GateName>(['missing_segments', 'queue_quality', 'rewrite_cancel_backoff'])
const ofPlan = new Set<GateName>([
  'trigger_total_bytes',
  'trigger_churn',
  'trigger_stale_ratio',
  'plan_cancel_backoff',
  'ineffective_backoff',
  'plan_min_interval',
  'plan_completed',
  'plan_selected',
])
/** Asked for queued debt and for new debt alike: they belong to what was asked before them. */
const ofBoth = new Set<GateName>(['rewrite_enabled', 'rewrite_min_interval', 'rewrite_budget'])

/** In the order met. */
const ORDER: readonly BranchName[] = ['admission', 'queue', 'plan', 'gc', 'vacuum']

/** Every gate with its decision; the order of the gates is kept. */
export function sorted(gates: readonly Gate[]): Record<BranchName, Gate[]> {
  const found: Record<BranchName, Gate[]> = {
    admission: [],
    queue: [],
    plan: [],
    gc: [],
    vacuum: [],
  }
  let debt: 'queue' | 'plan' = 'plan'
  for (const gate of gates) {
    const { name } = gate
    if (name.startsWith('gc_')) found.gc.push(gate)
    else if (name.startsWith('vacuum_')) found.vacuum.push(gate)
    else if (ofQueue.has(name)) {
      found.queue.push(gate)
      debt = leavesNothing(gate) ? 'plan' : 'queue'
    } else if (ofPlan.has(name)) found.plan.push(gate)
    else if (ofBoth.has(name)) found[debt].push(gate)
    else found.admission.push(gate)
  }
  return found
}

/** Nothing queued exists, or is worth it: what follows is about new debt. */
function leavesNothing({ name, verdict }: Gate): boolean {
  return verdict === 'block' && (name === 'missing_segments' || name === 'queue_quality')
}

export function branchesOf(told: Told): Branch[] {
  const gates = sorted(told.gates)
  // What a person names is not queued, planned or timed: only what was met is shown.
  const names = told.source === 'manual' ? ORDER.filter((name) => gates[name].length > 0) : ORDER
  return names.map((name) => {
    const notReached = whyNot(name, told, gates)
    const { taken, others } = waysOut(name, told, gates[name])
    return {
      name,
      question: questions[name],
      gates: gates[name],
      taken: notReached === null ? taken : null,
      others: notReached === null ? others : [],
      notReached,
    }
  })
}

type Sorted = Record<BranchName, Gate[]>

function stopsIn(gates: readonly Gate[], { blockedBy }: Told): boolean {
  return gates.some((gate) => gate.name === blockedBy && gate.verdict === 'block')
}

function whyNot(name: BranchName, told: Told, gates: Sorted): string | null {
  if (gates[name].length > 0) return null
  if (name === 'admission') return null
  if (stopsIn(gates.admission, told)) return 'the pass was stopped before'
  switch (name) {
    case 'queue':
      return 'nothing was queued'
    case 'plan':
      if (gates.queue.length === 0 || gates.queue.some(leavesNothing)) {
        return 'this pass looks for no new debt'
      }
      return stopsIn(gates.queue, told)
        ? 'queued debt goes first, and waits'
        : 'queued debt goes first'
    case 'gc':
      if (told.rewrote) return told.collected ? null : 'it follows the rewrite by itself'
      return 'this pass runs no GC of its own'
    case 'vacuum':
      if (!told.rewrote) return 'nothing is rewritten'
      return told.ahead
        ? 'it is judged after the rewrite'
        : 'too little was rewritten since the last one, or it is off'
  }
}

function waysOut(name: BranchName, told: Told, gates: Gate[]): Pick<Branch, 'taken' | 'others'> {
  const ways = waysOf(name)
  const taken = ways[wayOf(name, told, gates)] ?? ''
  return { taken, others: ways.filter((way) => way !== taken) }
}

function waysOf(name: BranchName): string[] {
  switch (name) {
    case 'admission':
      return ['yes: go on', 'no: nothing is looked at']
    case 'queue':
      return ['yes: rewrite', 'it has to wait', 'nothing of it is worth it: go on']
    case 'plan':
      return ['rewrite at once', 'stage it', 'it has to wait', 'nothing is selected']
    case 'gc':
      return ['yes: delete', 'no']
    case 'vacuum':
      return ['yes: vacuum', 'no']
  }
}

function wayOf(name: BranchName, told: Told, gates: Gate[]): number {
  const last = gates.at(-1)
  const blocks = last?.verdict === 'block'
  switch (name) {
    case 'admission':
      return stopsIn(gates, told) ? 1 : 0
    case 'queue':
      if (gates.some(leavesNothing)) return 2
      return blocks ? 1 : 0
    case 'plan':
      if (told.rewrote) return 0
      if (told.staged) return 1
      return last !== undefined && stopsIn([last], told) ? 2 : 3
    case 'gc':
    case 'vacuum':
      return blocks ? 1 : 0
  }
}

/** What a report tells; a preview has the same under other names. */
export function toldBy(report: PassReport): Told {
  const did = (kind: PassReport['steps'][number]['kind']) =>
    report.steps.some((step) => step.kind === kind)
  return {
    source: report.source,
    gates: report.gates,
    outcome: report.outcome,
    blockedBy: report.blockedBy,
    staged: did('stage'),
    rewrote: did('rewrite'),
    collected: did('gc'),
    ahead: false,
  }
}
