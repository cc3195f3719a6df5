// What happens next and why not sooner, in the engine's own words: its previews say what each pass would
// do. Nothing here knows when a pass runs or what stops it. Pure.
import type {
  EngineState,
  MaintenancePreview,
  PassPreview,
  PassSource,
  StoreInfo,
} from '../../server/protocol.ts'
import { formatAge, formatCountdown, segmentLabel, shortNames } from '../lib/format.ts'
import { sourceWords } from '../lib/words.ts'
import { heldBackBy } from './held-back.ts'
import { stageOf, totalsOf } from './selectors.ts'

export interface NextView {
  headline: string
  /** Why not sooner, or what would change it; most binding first. */
  reasons: string[]
}

interface NextInput {
  engine: EngineState
  store: StoreInfo
  /** null: not known yet, or not to be had. */
  preview: MaintenancePreview | null
  nowMs: number
}

/** It would change the store. */
export function acts({ outcome }: PassPreview): boolean {
  return outcome === 'rewrote' || outcome === 'staged' || outcome === 'reclaimed'
}

export function whatIsNext(input: NextInput): NextView {
  const { engine, store, nowMs } = input
  const { scheduler } = engine
  if (store.mode === 'attached') {
    return {
      headline: 'Nothing runs here: the folder is attached read-only.',
      reasons: ['What you see is what a writer would find when it opens the folder.'],
    }
  }
  if (scheduler.activePass !== null) {
    const { passId, source, startedAtMs } = scheduler.activePass
    return {
      headline: `Pass ${String(passId)} is running: ${sourceWords[source]}, for ${formatAge(nowMs - startedAtMs)}.`,
      reasons: [],
    }
  }
  const held = heldBackBy(scheduler)
  const [first] = held
  // Step mode starts nothing anyway; of the rest only a pause is worth a word there.
  if (first !== undefined && (scheduler.mode === 'auto' || scheduler.paused)) {
    return {
      headline: `Nothing runs by itself: ${first.why}.`,
      reasons: held.map((one) => one.until),
    }
  }
  if (scheduler.mode === 'step') return inStepMode(input)
  const totals = totalsOf(engine.segments)
  if (totals.segments === 0) {
    return {
      headline: 'Nothing to maintain yet.',
      reasons: ['Start the workload, or write through the API, and segments appear here.'],
    }
  }
  if (totals.bytesStale === 0) {
    return {
      headline: 'Nothing to rewrite: every byte on disk is live.',
      reasons: ['A rewrite would only copy. Debt appears when keys are overwritten or deleted.'],
    }
  }
  return byItself(input)
}

function inStepMode({ engine, preview, nowMs }: NextInput): NextView {
  const stage = stageOf(engine.debt, nowMs)
  const confirm = preview?.asked.rewrite_stage_confirm
  const what =
    stage.kind === 'waiting'
      ? ` Advance the clock by ${formatCountdown(stage.dueInMs)}, then confirm.`
      : stage.kind === 'due' && confirm !== undefined
        ? ` A stage confirm is due: it ${lowered(shortNames(confirm.sentence))}`
        : ''
  return {
    headline: `Nothing runs by itself.${what}`,
    reasons: ['Step mode: every pass is started by you, and the clock stands still meanwhile.'],
  }
}

function byItself({ preview, engine, nowMs }: NextInput): NextView {
  if (preview === null) return { headline: 'The next pass is not known yet.', reasons: [] }
  const timed = preview.wakes.filter((wake) => wake.atMs !== null)
  const acting = timed.find(({ pass }) => acts(pass))
  if (acting !== undefined) {
    const { source, atMs, pass } = acting
    const [only, more] = pass.rewritten
    const then =
      only !== undefined && more === undefined
        ? `, then ${segmentLabel(only)} is rewritten.`
        : `: it ${lowered(shortNames(pass.sentence))}`
    const staged = engine.debt.stage !== null
    return {
      headline: `${capital(sourceWords[source])} ${whenOf(atMs ?? nowMs, nowMs)}${then}`,
      reasons: staged
        ? ['The delay lets a burst settle, so that segments about to die anyway are not copied.']
        : [],
    }
  }
  const [next] = timed
  if (next === undefined) {
    return {
      headline: 'No timer is on: only a checkpoint, or a pass that you start, does anything.',
      reasons: [],
    }
  }
  const { pass } = next
  const gate = pass.gates.find(({ name }) => name === pass.blockedBy)
  const told = shortNames(pass.sentence)
  if (gate === undefined) return { headline: told, reasons: [] }
  return { headline: `Nothing runs now: ${lowered(shortNames(gate.text))}`, reasons: [] }
}

export interface WakeRow {
  key: string
  source: PassSource
  /** Engine clock; null: an occasion and not a time. */
  atMs: number | null
  when: string
  pass: PassPreview
}

/** Soonest first; then a checkpoint, and one that a person makes where that is something else. */
export function wakeRows(preview: MaintenancePreview, nowMs: number): WakeRow[] {
  const rows: WakeRow[] = preview.wakes.map(({ source, on, atMs, pass }) => ({
    key: on,
    source,
    atMs,
    when:
      on === 'checkpoint'
        ? 'at a checkpoint'
        : on === 'slot'
          ? 'once the slot is free'
          : on === 'tick'
            ? 'at the next tick'
            : whenOf(atMs ?? nowMs, nowMs),
    pass,
  }))
  const byItself = rows.at(-1)?.pass
  const { checkpoint } = preview
  if (byItself?.outcome === checkpoint.outcome && byItself.sentence === checkpoint.sentence) {
    return rows
  }
  const asked = { source: checkpoint.source, atMs: null, pass: checkpoint }
  return [...rows, { key: 'asked', when: 'at one you make', ...asked }]
}

function whenOf(atMs: number, nowMs: number): string {
  return atMs > nowMs ? `in ${formatCountdown(atMs - nowMs)}` : 'now'
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Names of segments and "GC" stay as they are. */
function lowered(text: string): string {
  return /^[A-Z][a-z ]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}
