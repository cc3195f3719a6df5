/**
 * Upstream's trace lines (scheduler.md 4, operators.md 8.1): each event prints as one, and one parses
 * back (`trace-parse.ts`). Two prefixes are known:
 *
 *   treedb debug vlog_maint <words> <key=value>...                                        (March 2026)
 *   ts=<RFC3339> treedb debug vlog_maint db=<name> wal_dir=<path> <words> <key=value>...  (later)
 *
 * Name and path of a store may hold blanks: they end where a known event's words begin. Words come
 * first, then pairs separated by one blank. Free text (`err=`, `text=`, `path=`) may hold blanks and
 * runs to the end of the line, or to the one pair that upstream puts behind it. An event that upstream
 * does not have prints in the same manner under our own word. What an upstream line has no field for
 * (ids behind a count, gates) is lost, unless the line is printed whole: then it ends with
 * `event=<JSON without blanks>`, which gives back exactly the event. Readers of upstream's lines see it
 * as one more field.
 */
import { rfc3339 } from './rfc3339.ts'
import type { EngineEvent, RewriteFacts, PassSource } from './types.ts'

export interface TraceLine {
  /** As written, null without one. Nanoseconds are kept as text. */
  ts: string | null
  db: string | null
  walDir: string | null
  /** `rewrite_plan stale_ratio_trigger age_blocked` has three. Never empty. */
  words: string[]
  /** In the order written; a key may come twice, unknown ones are kept. */
  fields: [key: string, value: string][]
}

export interface TraceStyle {
  /** `march`: no time, no store. */
  prefix: 'march' | 'dated'
  /** Name and directory of the store, for the dated prefix; absent or empty = left out. */
  db?: string
  walDir?: string
  /** Append the event as JSON. */
  whole?: boolean
}

export const MARKER = 'treedb debug vlog_maint '
/** Their value may hold blanks, and `=`. */
export const FREE_TEXT = new Set(['err', 'text', 'path', 'why', 'problem', 'message'])

// ---------------------------------------------------------------- printing

export function printTraceLine(event: EngineEvent, style: TraceStyle): string {
  const { words, fields } = bodyOf(event)
  const line: TraceLine = { ts: null, db: null, walDir: null, words, fields: present(fields) }
  if (style.prefix === 'dated') {
    line.ts = rfc3339(event.atMs)
    line.db = nameOf(style.db)
    line.walDir = nameOf(style.walDir)
  }
  if (style.whole === true) line.fields.push(['event', oneToken(event)])
  return formatTraceLine(line)
}

/** The text that `parseTraceLine` reads as this line. */
export function formatTraceLine({ ts, db, walDir, words, fields }: TraceLine): string {
  return [
    ...(ts === null ? [] : [`ts=${ts}`]),
    MARKER.trimEnd(),
    ...(db === null ? [] : [`db=${db}`]),
    ...(walDir === null ? [] : [`wal_dir=${walDir}`]),
    ...words,
    ...fields.map(([key, value]) => `${key}=${value}`),
  ].join(' ')
}

type Field = [key: string, value: string | number | boolean | null]

/** Unknown is absent, never 0. */
function present(fields: Field[]): [string, string][] {
  return fields.flatMap(([key, value]): [string, string][] =>
    value === null ? [] : [[key, String(value)]],
  )
}

const ms = (value: number): string => value.toFixed(3)
const ratio = (value: number): string => value.toFixed(6)
const whole = (value: number): string => String(Math.round(value))
/** One line, whatever a message holds; blanks at its ends would not come back. */
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const text = (value: string): string => value.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim()

/** A folder's name may hold anything but its separator, and a line is one line. */
function nameOf(name = ''): string | null {
  const words = text(name)
  return words === '' ? null : words
}

/** Upstream leaves the source of a kick empty and prints `bypass`. */
function sourceOf(source: PassSource): string {
  return source === 'checkpoint_kick' ? 'bypass' : source
}

interface Body {
  words: string[]
  fields: Field[]
}

type Of<T extends EngineEvent['type']> = Extract<EngineEvent, { type: T }>

/** Exactly upstream's fields, in its order, where it has the event; values we do not have are left out. */
const UPSTREAM: { [T in EngineEvent['type']]?: (event: Of<T>) => Field[] | Body } = {
  maintenance_retry_start: (e) => [
    ['source', sourceOf(e.source)],
    ['retry_window_ms', whole(e.retryWindowMs)],
    ...slotFields(e),
  ],
  maintenance_retry_attempt: (e) => [
    ['source', sourceOf(e.source)],
    ['attempt', e.attempt],
    ...slotFields(e),
  ],
  maintenance_retry_done: (e) => [
    ['source', sourceOf(e.source)],
    ['attempt', e.attempt],
    ...slotFields(e),
    // Upstream adds it only when it is true.
    ['acquired', e.acquired ? true : null],
  ],
  maintenance_retry_deadline: (e) => [
    ['source', sourceOf(e.source)],
    ['attempt', e.attempt],
    ...slotFields(e),
  ],
  maintenance_retry_collision: (e) => [
    ['source', sourceOf(e.source)],
    ...slotFields({ ...e, slotTaken: true }),
  ],
  maintenance_skip: (e) => [
    ['reason', e.reason],
    ['source', sourceOf(e.source)],
  ],
  maintenance_phase_change: (e) => [
    ['from', e.from],
    ['to', e.to],
  ],
  maintenance_active_acquire: (e) => [
    ['source', sourceOf(e.source)],
    ['run_gc', e.runGc],
    ['bypass_quiet', e.bypassQuiet],
    // No pass of ours goes without one when it rewrites.
    ['skip_checkpoint', false],
    ['checkpoint_pending', e.checkpointPending],
    ['deferred_pending', e.deferredPending],
  ],
  maintenance_active_release: (e) => [
    ['source', sourceOf(e.source)],
    ['dur_ms', whole(e.durMs)],
    ['checkpoint_pending', e.checkpointPending],
    ['deferred_pending', e.deferredPending],
  ],
  checkpoint_kick_skip: (e) => [
    ['reason', e.reason === 'disabled' ? 'disabled_env' : e.reason],
    ...kickFields(e),
  ],
  checkpoint_kick_start: () => [],
  checkpoint_kick_done: (e) => [
    ['rewrite_runs_before', e.rewriteRunsBefore],
    ['rewrite_runs_after', e.rewriteRunsAfter],
    ['gc_runs_before', e.gcRunsBefore],
    ['gc_runs_after', e.gcRunsAfter],
    ['pending', e.pending],
  ],
  rewrite_queue_prune: (e) => [
    ['dropped', e.dropped.length],
    ['remaining', e.remaining],
  ],
  rewrite_queue_missing_prune: (e) => [
    ['dropped', e.dropped.length],
    ['remaining', e.remaining],
    ['stage_pending', e.stagePending],
  ],
  rewrite_queue_quality_prune: pruneFields,
  rewrite_queue_refresh_prune: pruneFields,
  rewrite_queue_refresh: (e) => [
    ['min_ratio', ratio(e.minRatio)],
    ['min_stale_bytes', e.minStaleBytes],
    ['queued', e.queued],
    ['selected', e.selected],
    ['selected_bytes_total', e.selectedBytesTotal],
    ['selected_bytes_live', e.selectedBytesLive],
    ['selected_bytes_stale', e.selectedBytesStale],
    ['dur_ms', ms(e.durMs)],
    ['err', '<nil>'],
  ],
  rewrite_stage_confirm_use_persisted: (e) => [
    ['queued', e.queued],
    ['ledger', e.ledger],
  ],
  rewrite_queue_restage: (e) => [
    ['remaining', e.remaining],
    ['confirm_delay_ms', whole(e.confirmDelayMs)],
  ],
  rewrite_queue_restaged: (e) => [
    ['reason', e.reason],
    ['processed_ids', e.processedIds.length],
  ],
  rewrite_plan: planFields,
  rewrite_plan_failed: (e) => ({
    words: ['rewrite_plan', e.trigger],
    fields: [...planFloors(e), ['dur_ms', ms(e.durMs)], ['err', text(`${e.code}: ${e.message}`)]],
  }),
  rewrite_plan_age_blocked: (e) => ({
    words: ['rewrite_plan', e.trigger, 'age_blocked'],
    fields: [
      ['segments', e.segments],
      ['stale_bytes', e.staleBytes],
      ['retry_after_ms', whole(e.retryAfterMs)],
      ['min_age_ms', whole(e.minAgeMs)],
    ],
  }),
  rewrite_plan_staged: (e) => ({
    words: ['rewrite_plan', 'staged'],
    fields: [
      ['reason', e.reason],
      ['selected', e.selected.length],
      ['observed_once_only', 1],
      ['queue_len', e.queueLen],
    ],
  }),
  rewrite_stage_confirm_due: (e) => ({
    words: ['rewrite_plan', 'stage_confirm_due'],
    fields: [['observed_age_ms', whole(e.observedAgeMs)]],
  }),
  rewrite_age_blocked_retry_due: (e) => ({
    words: ['rewrite_plan', 'age_blocked_retry_due'],
    fields: [['retry_after_ms', whole(e.retryAfterMs)]],
  }),
  rewrite_skip: (e) => [
    ['reason', e.gate ?? e.reason.replaceAll(' ', '_')],
    ...(e.reason === 'dropped_zero_live' || e.reason === 'planned_zero_live'
      ? ([['queue_len', e.queueLen]] satisfies Field[])
      : skipFields(e)),
  ],
  rewrite_start: (e) => [
    ['reason', e.reason],
    ...factFields(e.facts),
    ['rewrite_queue', e.rewriteQueue],
    ['checkpoint_runs', e.facts.checkpoints],
    ['disable_journal', e.facts.disableJournal],
    ['have_plan', e.havePlan],
  ],
  rewrite_exec: (e) => [
    ['reason', e.reason],
    ['source_ids', e.sourceIds.length],
    ['max_segments', e.maxSegments],
    ['budget_tokens', e.budgetTokensBytes],
    ['max_source_bytes', 0],
    ['max_copied_bytes', e.maxCopiedBytes],
    ['min_stale_ratio', ratio(e.minStaleRatio)],
    ['queue_len', e.queueLen],
    ['ledger_live_bytes', e.ledgerLiveBytes],
  ],
  rewrite_done: (e) => [
    ['reason', e.reason],
    ['segments_before', e.report.segmentsBefore],
    ['segments_after', e.report.segmentsAfter],
    ['bytes_before', e.report.bytesBefore],
    ['bytes_after', e.report.bytesAfter],
    ['records', e.report.recordsCopied],
    ['dur_ms', ms(e.report.elapsedMs)],
  ],
  rewrite_err: (e) => [
    ['reason', e.reason],
    ['err', text(`${e.code}: ${e.message}`)],
    ['dur_ms', ms(e.durMs)],
  ],
  rewrite_effective_local: (e) => [
    ['reason', e.reason],
    ['processed_ids', e.processedIds.length],
    ['planned_total', e.plannedTotal],
    ['planned_live', e.plannedLive],
    ['planned_stale', e.plannedStale],
    ['global_bytes_before', e.bytesBefore],
    ['global_bytes_after', e.bytesAfter],
    ['gc_bytes_deleted', e.gcBytesDeleted],
    ['records', e.records],
  ],
  rewrite_ineffective: (e) => [
    ['reason', e.reason],
    ['source_ids', e.sourceIds.length],
    ['bytes_before', e.bytesBefore],
    ['bytes_after', e.bytesAfter],
    ['gc_bytes_deleted', e.gcBytesDeleted],
    ['queue_len', e.queueLen],
  ],
  rewrite_ineffective_penalty: (e) => [
    ['reason', e.reason],
    ['processed_ids', e.processedIds.length],
    ['remaining_ids', e.remainingIds],
    ['growth', e.growth],
    ['threshold', e.threshold],
    ['penalty_reason', e.penaltyReason],
    ['cooldown_ms', whole(e.cooldownMs)],
    ['gc_bytes_deleted', e.gcBytesDeleted],
  ],
  rewrite_retained_cleanup_done: (e) => [
    ['reason', e.reason],
    ['source_ids', e.sourceIds.length],
    ['removed', e.removed],
  ],
  rewrite_source_state: (e) => [
    ['reason', e.reason],
    ['file_id', e.segmentId],
    ['lane', (e.segmentId >>> 23) & 0xff],
    ['seq', e.segmentId & 0x7fffff],
    ['live_backend', e.liveBytes > 0],
    ['retained', e.retained],
    ['in_use', e.inUse],
    ['current', e.current],
    ['queued', e.queued],
    ['exists', e.exists],
    ['path', text(e.file)],
  ],
  rewrite_queue_followup_suppressed: (e) => [
    ['remaining_ids', e.queueLen],
    ['cooldown_ms', whole(e.cooldownMs)],
  ],
  gc_run: (e) =>
    e.phase === 'after_rewrite'
      ? {
          words: ['gc_after_rewrite_done'],
          fields: [
            ['reason', e.reason],
            ['dur_ms', ms(e.report.elapsedMs)],
          ],
        }
      : {
          words: ['gc_run', 'done'],
          fields: [
            ['deleted_segments', e.report.deleted.length],
            ['deleted_bytes', e.report.bytesDeleted],
          ],
        },
  gc_err: (e) =>
    e.phase === 'after_rewrite'
      ? {
          words: ['gc_after_rewrite_err'],
          fields: [
            ['reason', e.reason],
            ['err', text(`${e.code}: ${e.message}`)],
            ['dur_ms', ms(e.durMs)],
          ],
        }
      : { words: ['gc_run', 'err'], fields: [['err', text(`${e.code}: ${e.message}`)]] },
  gc_skip: (e) => [
    ['reason', e.reason === 'disabled' ? 'disabled_env' : e.reason.replaceAll(' ', '_')],
  ],
}

/** Who waits for the slot, and whether a pass has it. */
function slotFields(e: {
  checkpointPending: boolean
  deferredPending: boolean
  slotTaken: boolean
}): Field[] {
  return [
    ['checkpoint_pending', e.checkpointPending],
    ['deferred_pending', e.deferredPending],
    ['active', e.slotTaken],
  ]
}

/** The numbers of the gate that refused a kick. */
function kickFields({ reason, gate, segments, queueLen }: Of<'checkpoint_kick_skip'>): Field[] {
  if (reason === 'min_interval' || reason === 'cancel_backoff') {
    return [
      ['since_ms', gate?.input == null ? null : whole(gate.input)],
      ['min_ms', gate?.threshold == null ? null : whole(gate.threshold)],
    ]
  }
  if (reason === 'foreground_hot_no_debt') {
    return [
      ['quiet', false],
      ['queue_len', queueLen],
    ]
  }
  if (reason !== 'trigger_floor') return []
  return [
    ['bytes', gate?.input ?? null],
    ['trigger', gate?.threshold ?? null],
    ['retained', segments],
    ['queue_len', queueLen],
  ]
}

function skipFields({ facts, queueLen }: Of<'rewrite_skip'>): Field[] {
  return [
    ['quiet', facts.quiet],
    ['queue_len', queueLen],
    ['plan_backoff', facts.planBackoff],
    ['cancel_backoff', facts.cancelBackoff],
    ['ineffective_backoff', facts.ineffectiveBackoff],
    ['min_interval_blocked', facts.minIntervalBlocked],
    ['run_gc', facts.runGc],
    ['bypass_quiet', facts.bypassQuiet],
    ...factFields(facts),
    ['checkpoint_runs', facts.checkpoints],
    ['disable_journal', facts.disableJournal],
  ]
}

function pruneFields(
  e: Of<'rewrite_queue_quality_prune' | 'rewrite_queue_refresh_prune'>,
): Field[] {
  return [
    ['dropped', e.dropped.length],
    ['remaining', e.remaining],
    ['min_ratio', ratio(e.minRatio)],
    ['min_stale_bytes', e.minStaleBytes],
  ]
}

/** The two kinds of plan have their first three fields in different orders. */
function planFloors(e: Of<'rewrite_plan' | 'rewrite_plan_failed'>): Field[] {
  return e.trigger === 'pre_rewrite'
    ? [
        ['max_source_bytes', e.maxSourceBytes],
        ['min_ratio', ratio(e.minRatio)],
        ['min_stale_bytes', e.minStaleBytes],
      ]
    : [
        ['min_ratio', ratio(e.minRatio)],
        ['max_source_bytes', e.maxSourceBytes],
      ]
}

function planFields(e: Of<'rewrite_plan'>): Body {
  return {
    words: ['rewrite_plan', e.trigger],
    fields: [
      ...planFloors(e),
      ['selected', `${e.selected.length}/${e.candidates}`],
      ['selected_bytes_total', e.selectedBytesTotal],
      ['selected_bytes_live', e.selectedBytesLive],
      ['selected_bytes_stale', e.selectedBytesStale],
      ['total_bytes', e.bytesTotal],
      ['live_bytes', e.bytesLive],
      ['stale_bytes', e.bytesStale],
      ['dur_ms', ms(e.durMs)],
      ['err', '<nil>'],
    ],
  }
}

function factFields(facts: RewriteFacts): Field[] {
  const { churnBytesPerSecond } = facts
  return [
    ['total_bytes', facts.bytesTotal],
    ['stale_ratio_ppm', whole(facts.staleRatio * 1e6)],
    ['churn_bps', churnBytesPerSecond === null ? null : whole(churnBytesPerSecond)],
  ]
}

function bodyOf(event: EngineEvent): Body {
  // Each entry takes the event of its own key; the compiler cannot see that through the lookup.
  const print = UPSTREAM[event.type] as ((event: EngineEvent) => Field[] | Body) | undefined
  const body = print === undefined ? ownFields(event) : print(event)
  return Array.isArray(body) ? { words: [event.type], fields: body } : body
}

const BASE = new Set(['seq', 'atMs', 'passId', 'type'])
/** Two of one shape in one event: their fields say of which they are. */
const TWINS = new Set(['put', 'get'])

/** Ours: scalars as they are, lists by their length, free text last; what is deeper is in `event=`. */
function ownFields(event: EngineEvent): Field[] {
  const fields: Field[] = []
  const texts: Field[] = []
  for (const [name, value] of Object.entries(event) as [string, unknown][]) {
    if (BASE.has(name)) continue
    const inner =
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (Object.entries(value) as [string, unknown][])
        : [[name, value] as [string, unknown]]
    for (const [key, scalar] of inner) {
      const field = ownField(TWINS.has(name) ? `${name}_${key}` : key, scalar)
      if (field === null) continue
      if (FREE_TEXT.has(field[0])) texts.push(field)
      else fields.push(field)
    }
  }
  // Only the last text could be told from what follows it.
  return [...fields, ...texts.slice(0, 1)]
}

function ownField(name: string, value: unknown): Field | null {
  const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
  if (Array.isArray(value)) return [key, value.length]
  if (typeof value === 'boolean') return [key, value]
  if (typeof value === 'number') {
    if (/ratio$/i.test(name)) return [key, ratio(value)]
    return [key, Number.isInteger(value) ? value : ms(value)]
  }
  if (typeof value !== 'string') return null
  const words = text(value)
  return [words.includes(' ') && !FREE_TEXT.has(key) ? 'text' : key, words]
}

/** JSON in which no blank is left: inside strings they are escaped. */
function oneToken(event: EngineEvent): string {
  return JSON.stringify(event).replace(
    /\s/g,
    (blank) => `\\u${blank.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
