/**
 * A decision told before it is executed: what it would drop, stage, rewrite and delete, and its sentence.
 * Pure. It repeats no rule: what is done is in the decision, which queued segment is next and what GC may
 * delete are asked of the functions that the pass itself uses.
 */
import type { PassPreview, PassSource, RewriteDebt, SegmentId, SegmentInfo } from '../types.ts'
import { passOutcome, type Decision, type QueueRewrite } from './decision.ts'
import { surveyForGc } from './gc-survey.ts'
import { consume, nextToRun, ratioOf, segmentLookup } from './ledger.ts'
import { isConfirm, type PassInput } from './pass-input.ts'
import { capitalized, lowered, nothingText, type Scene } from './sentence.ts'
import { bytesText, countText, percentText, segmentText, waitText } from './text.ts'

/** What the pass's own action comes to; GC of what was dead before is on top. */
interface Foretold {
  outcome: Exclude<PassPreview['outcome'], null>
  staged: SegmentId[]
  rewritten: SegmentInfo[]
  bytesCopied: number
  queueAfter: SegmentId[]
  stagedAfter: boolean
}

/** `decision` must have been taken from `input`; for sources that decide for themselves, not `manual`. */
export function foretell(input: PassInput, decision: Decision): PassPreview {
  const dropped = decision.prunes.flatMap((prune) => prune.dropped)
  const foretold = foretellAction(input, decision)
  const gc = decision.gc ? surveyForGc(input.segments, true) : null
  const deleted = gc?.eligible ?? []
  const outcome = passOutcome(foretold.outcome, deleted.length)
  const { rewritten, staged, bytesCopied, queueAfter, stagedAfter } = foretold
  const ofRewritten = rewritten.reduce((sum, segment) => sum + segment.bytesTotal, 0)
  const preview = {
    source: input.source,
    atMs: input.nowMs,
    outcome,
    gates: decision.gates,
    blockedBy:
      outcome === 'blocked' && decision.action.kind === 'blocked' ? decision.action.by : null,
    dropped,
    staged,
    rewritten: rewritten.map((segment) => segment.segmentId),
    bytesCopied,
    deleted,
    bytesFreed: ofRewritten + (gc?.bytesEligible ?? 0),
    queueAfter,
    stagedAfter,
  }
  return { ...preview, sentence: sentenceOf(input, decision, { ...preview, rewritten }) }
}

/** No pass comes about: `blockedBy` and `gates` name the gate that refused it, where one did. */
export function noPass(
  at: { source: PassSource; atMs: number; debt: RewriteDebt },
  why: { text: string; gates: PassPreview['gates'] },
): PassPreview {
  const { source, atMs, debt } = at
  return {
    source,
    atMs,
    outcome: null,
    gates: why.gates,
    blockedBy: why.gates.find((gate) => gate.verdict === 'block')?.name ?? null,
    sentence: `No pass: ${lowered(why.text)}`,
    dropped: [],
    staged: [],
    rewritten: [],
    bytesCopied: 0,
    deleted: [],
    bytesFreed: 0,
    queueAfter: [...debt.queue],
    stagedAfter: debt.stage !== null,
  }
}

function foretellAction(input: PassInput, { action, prunes }: Decision): Foretold {
  const debt = prunes.at(-1)?.debt ?? input.debt
  const idle = {
    outcome: 'nothing_to_do' as const,
    staged: [],
    rewritten: [],
    bytesCopied: 0,
    queueAfter: debt.queue,
    stagedAfter: debt.stage !== null,
  }
  switch (action.kind) {
    case 'blocked':
      return { ...idle, outcome: 'blocked' }
    case 'stage':
      return {
        ...idle,
        outcome: 'staged',
        staged: action.segmentIds,
        queueAfter: action.debt.queue,
        stagedAfter: true,
      }
    case 'rewrite':
      return foretellRewrite(input, action)
    case 'clear_stage':
      return { ...idle, stagedAfter: false }
    // What a person names ('rewrite_ids' to 'vacuum') is shown by a plan of its own.
    case 'nothing':
    case 'rewrite_ids':
    case 'gc':
    case 'vacuum':
      return idle
  }
}

/** As `Rewriting` drains the queue, with each source whole unless the budget ends within it. */
function foretellRewrite(input: PassInput, action: QueueRewrite): Foretold {
  const lookup = segmentLookup(input.segments)
  const rewritten: SegmentInfo[] = []
  let { debt } = action
  let bytesCopied = 0
  for (let run = 0; run < action.maxSegments; run += 1) {
    const next = nextToRun(debt, lookup)
    if (next === null) break
    rewritten.push(next)
    const left = action.maxCopiedBytes === 0 ? Infinity : action.maxCopiedBytes - bytesCopied
    bytesCopied += Math.min(next.bytesLive, left)
    // Not done to its end: it stays queued.
    if (next.bytesLive > left) break
    debt = consume(debt, [next.segmentId])
    if (next.bytesLive === left) break
  }
  return {
    outcome: rewritten.length === 0 ? 'nothing_to_do' : 'rewrote',
    staged: [],
    rewritten,
    bytesCopied,
    queueAfter: debt.queue,
    stagedAfter: action.restage && debt.queue.length > 0,
  }
}

// ---------------------------------------------------------------- words

type Told = Omit<PassPreview, 'sentence' | 'rewritten'> & Pick<Foretold, 'rewritten'>

function sentenceOf(input: PassInput, decision: Decision, told: Told): string {
  const { action } = decision
  const parts = [
    ...droppedText(told.dropped),
    ...actionText(input, decision, told),
    ...deletedText(told),
  ]
  const block = decision.gates.find((gate) => gate.verdict === 'block' && isOf(gate.name, action))
  if (action.kind === 'blocked') {
    const why = block === undefined ? '' : ` ${lowered(block.text)}`
    const stop = `stops at a gate:${why}`
    return parts.length === 0 ? capitalized(stop) : `${capitalized(parts.join('; '))}; ${stop}`
  }
  if (parts.length > 0) return `${capitalized(parts.join('; '))}.`
  return nothingText(sceneOf(input, decision))
}

function isOf(name: string, action: Decision['action']): boolean {
  return action.kind === 'blocked' && action.by === name
}

function sceneOf({ source, nowMs }: PassInput, { gates, plans }: Decision): Scene {
  const steps = plans.map(({ plan }) => ({ kind: 'plan' as const, plan, elapsedMs: 0 }))
  return { source, gates, steps, endedAtMs: nowMs }
}

function droppedText(dropped: readonly SegmentId[]): string[] {
  return dropped.length === 0 ? [] : [`drops ${countText(dropped.length, 'queued segment')}`]
}

function deletedText({ deleted, rewritten, bytesFreed }: Told): string[] {
  if (deleted.length === 0 || rewritten.length > 0) return []
  return [`deletes ${countText(deleted.length, 'dead segment')}, frees ${bytesText(bytesFreed)}`]
}

function actionText({ options, source }: PassInput, { action }: Decision, told: Told): string[] {
  const delay = waitText(options.confirmDelayMs)
  switch (action.kind) {
    case 'stage': {
      const what = countText(action.segmentIds.length, 'segment')
      return [
        `stages ${what} at ${percentText(action.minStaleRatio)} stale or more, confirm due after ${delay}`,
      ]
    }
    case 'clear_stage':
      return isConfirm(source) ? ['clears the stage: nothing of it is worth a rewrite'] : []
    case 'rewrite': {
      const { rewritten, queueAfter } = told
      if (rewritten.length === 0) return []
      const rest = queueAfter.length
      const then =
        rest === 0
          ? ''
          : told.stagedAfter
            ? `; ${rest} restaged, confirm due after ${delay}`
            : `; ${rest} remain queued`
      return [`${rewriteText(told, action)}${then}`]
    }
    default:
      return []
  }
}

function rewriteText({ rewritten, bytesCopied, bytesFreed }: Told, action: QueueRewrite): string {
  const [first] = rewritten
  const queued = countText(action.debt.queue.length, action.fresh ? 'segment' : 'queued segment')
  const which =
    rewritten.length === 1 && first !== undefined
      ? ` (${segmentText(first.segmentId)}, ${percentText(ratioOf(first))} stale)`
      : ''
  const them = rewritten.length === 1 ? 'it' : 'them'
  const plan = action.fresh ? `plans ${queued} and rewrites ${rewritten.length}` : null
  const lead = plan ?? `rewrites ${rewritten.length} of ${queued}`
  return `${lead}${which}: copies at most ${bytesText(bytesCopied)}, frees ${bytesText(bytesFreed)} once nothing keeps ${them}`
}
