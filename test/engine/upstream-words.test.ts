/**
 * Upstream's trace words at the time of the PR (scheduler.md 4.1 to 4.6), whole: each is printed by an event that the
 * engine emits, or engine/maintenance/README.md says why it is left out. So none can go without being missed.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { printTraceLine } from '../../engine/trace-line.ts'
import type { EngineEvent } from '../../engine/types.ts'
import { oneOfEachEvent } from '../support/one-of-each-event.ts'

const ENGINE = path.join(import.meta.dirname, '../../engine')

type Ours = {
  [T in EngineEvent['type']]: { type: T } & Partial<Extract<EngineEvent, { type: T }>>
}[EngineEvent['type']]

/** Word, then what ours has to be to print it; null = left out. `reason=` is part of a word that has several shapes. */
const WORDS: Record<string, Ours | null> = {
  maintenance_retry_start: { type: 'maintenance_retry_start' },
  maintenance_retry_attempt: { type: 'maintenance_retry_attempt' },
  maintenance_retry_done: { type: 'maintenance_retry_done' },
  maintenance_retry_deadline: { type: 'maintenance_retry_deadline' },
  maintenance_retry_collision: { type: 'maintenance_retry_collision' },
  maintenance_active_acquire: { type: 'maintenance_active_acquire' },
  maintenance_active_release: { type: 'maintenance_active_release' },
  'checkpoint_kick_skip reason=closing': { type: 'checkpoint_kick_skip', reason: 'closing' },
  'checkpoint_kick_skip reason=disabled_env': { type: 'checkpoint_kick_skip', reason: 'disabled' },
  'checkpoint_kick_skip reason=test_skip': null,
  'checkpoint_kick_skip reason=policy_off': null,
  'checkpoint_kick_skip reason=min_interval': {
    type: 'checkpoint_kick_skip',
    reason: 'min_interval',
  },
  'checkpoint_kick_skip reason=trigger_floor': {
    type: 'checkpoint_kick_skip',
    reason: 'trigger_floor',
  },
  'checkpoint_kick_skip reason=already_active': {
    type: 'checkpoint_kick_skip',
    reason: 'already_active',
  },
  checkpoint_kick_start: { type: 'checkpoint_kick_start' },
  checkpoint_kick_done: { type: 'checkpoint_kick_done' },
  rewrite_queue_prune: { type: 'rewrite_queue_prune' },
  rewrite_queue_missing_prune: { type: 'rewrite_queue_missing_prune' },
  rewrite_queue_quality_prune: { type: 'rewrite_queue_quality_prune' },
  rewrite_queue_refresh: { type: 'rewrite_queue_refresh' },
  rewrite_queue_refresh_stage_keep: null,
  rewrite_queue_refresh_prune: { type: 'rewrite_queue_refresh_prune' },
  rewrite_stage_confirm_use_persisted: { type: 'rewrite_stage_confirm_use_persisted' },
  rewrite_queue_restage: { type: 'rewrite_queue_restage' },
  rewrite_queue_restaged: { type: 'rewrite_queue_restaged' },
  'rewrite_plan stale_ratio_trigger': { type: 'rewrite_plan', trigger: 'stale_ratio_trigger' },
  'rewrite_plan stale_ratio_trigger age_blocked': {
    type: 'rewrite_plan_age_blocked',
    trigger: 'stale_ratio_trigger',
  },
  'rewrite_plan pre_rewrite': { type: 'rewrite_plan', trigger: 'pre_rewrite' },
  'rewrite_plan pre_rewrite age_blocked': {
    type: 'rewrite_plan_age_blocked',
    trigger: 'pre_rewrite',
  },
  'rewrite_plan staged': { type: 'rewrite_plan_staged' },
  'rewrite_plan stage_confirm_due': { type: 'rewrite_stage_confirm_due' },
  'rewrite_plan age_blocked_retry_due': { type: 'rewrite_age_blocked_retry_due' },
  'rewrite_skip reason=no_trigger': { type: 'rewrite_skip', gate: null, reason: 'no_trigger' },
  'rewrite_skip reason=dropped_zero_live': {
    type: 'rewrite_skip',
    gate: null,
    reason: 'dropped_zero_live',
  },
  'rewrite_skip reason=planned_zero_live': {
    type: 'rewrite_skip',
    gate: null,
    reason: 'planned_zero_live',
  },
  rewrite_start: { type: 'rewrite_start' },
  rewrite_exec: { type: 'rewrite_exec' },
  rewrite_err: { type: 'rewrite_err' },
  rewrite_done: { type: 'rewrite_done' },
  rewrite_effective_local: { type: 'rewrite_effective_local' },
  rewrite_ineffective: { type: 'rewrite_ineffective' },
  rewrite_ineffective_penalty: { type: 'rewrite_ineffective_penalty' },
  gc_after_rewrite_done: { type: 'gc_run', phase: 'after_rewrite' },
  gc_after_rewrite_err: { type: 'gc_err', phase: 'after_rewrite' },
  rewrite_retained_cleanup_scan_err: null,
  rewrite_retained_cleanup_done: { type: 'rewrite_retained_cleanup_done' },
  rewrite_source_state: { type: 'rewrite_source_state' },
  rewrite_source_state_scan_err: null,
}

/** Everything that may emit: the types and the printer only name events. */
function engineText(folder = ENGINE): string {
  return fs
    .readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const file = path.join(folder, entry.name)
      if (entry.isDirectory()) return [engineText(file)]
      const names = /(?:types|trace-(?:line|parse|words)|apply-event)\.ts$/.test(entry.name)
      return names ? [] : [fs.readFileSync(file, 'utf8')]
    })
    .join('\n')
}

const SOURCE = engineText()

/** First cells of the table under this heading. */
function leftOut(heading: string): string[] {
  const text = fs.readFileSync(path.join(ENGINE, 'maintenance/README.md'), 'utf8')
  const section = text.split(`### ${heading}\n`)[1]?.split('\n### ')[0] ?? ''
  return [...section.matchAll(/^\| (`[^|]*`) +\|/gm)].flatMap(([, cell = '']) => cell.split(', '))
}

const MAPPED = Object.entries(WORDS).filter((entry): entry is [string, Ours] => entry[1] !== null)

describe('of upstream’s trace words', () => {
  test.each(MAPPED)('%s is printed by an event that the engine emits', (word, ours) => {
    const [fields] = oneOfEachEvent[ours.type]
    const event = { seq: 1, atMs: 0, passId: 1, ...fields, ...ours } as EngineEvent
    const line = printTraceLine(event, { prefix: 'march' })
    // The word ends there, and does not only begin so.
    expect(`${line} `.replace('treedb debug vlog_maint ', '')).toMatch(
      new RegExp(`^${word} (?:[a-z_]+=|$)`),
    )
    expect(SOURCE).toMatch(new RegExp(`type: '${ours.type}'`))
    if ('reason' in ours) expect(SOURCE).toContain(`'${ours.reason}'`)
  })

  test('what is left out has its reason in the README, and nothing else has', () => {
    const told = Object.keys(WORDS).filter((word) => WORDS[word] === null)
    const cells = told.map((word) => `\`${word.replace(' reason=', '` `')}\``)
    expect(leftOut("Of upstream's trace words").toSorted()).toEqual(cells.toSorted())
  })
})
