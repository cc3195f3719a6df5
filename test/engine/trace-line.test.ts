/** Trace lines: upstream's words, order and formats; each event prints and parses back. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatTraceLine, printTraceLine, type TraceLine } from '../../engine/trace-line.ts'
import { eventOfLine, parseTraceLine, traceValue } from '../../engine/trace-parse.ts'
import type { EngineEvent } from '../../engine/types.ts'
import { oneOfEachEvent } from '../support/one-of-each-event.ts'

const EVENTS = Object.entries(oneOfEachEvent).map(
  ([type, [fields]], i) =>
    ({ seq: i + 1, atMs: 1_774_040_000_123, passId: 3, type, ...fields }) as EngineEvent,
)

function parsed(text: string): TraceLine {
  const { line, refusal } = parseTraceLine(text)
  if (line === null) throw new Error(`${text}: at ${refusal.at} ${refusal.expected}`)
  return line
}

/** Lines of scheduler.md 4, operators.md 8.1 and the seed, as upstream prints them. */
const FOREIGN: [string, string[], Record<string, string>][] = [
  [
    'ts=2026-03-20T20:41:07.123456789Z treedb debug vlog_maint db=application.db wal_dir=/data/application.db/wal rewrite_stage_confirm_use_persisted queued=5 ledger=5',
    ['rewrite_stage_confirm_use_persisted'],
    { queued: '5', ledger: '5' },
  ],
  [
    'treedb debug vlog_maint maintenance_active_acquire source=rewrite_stage_confirm run_gc=true bypass_quiet=true skip_checkpoint=false checkpoint_pending=false deferred_pending=false',
    ['maintenance_active_acquire'],
    { source: 'rewrite_stage_confirm', skip_checkpoint: 'false' },
  ],
  [
    'treedb debug vlog_maint rewrite_plan stale_ratio_trigger min_ratio=0.500000 max_source_bytes=134217728 selected=4/9 selected_bytes_total=1073741824 selected_bytes_live=107374182 selected_bytes_stale=966367642 total_bytes=2415919104 live_bytes=1449551462 stale_bytes=966367642 dur_ms=812.331 err=<nil>',
    ['rewrite_plan', 'stale_ratio_trigger'],
    { selected: '4/9', err: '<nil>' },
  ],
  [
    'treedb debug vlog_maint rewrite_plan stale_ratio_trigger age_blocked segments=2 stale_bytes=9 retry_after_ms=1200 min_age_ms=30000',
    ['rewrite_plan', 'stale_ratio_trigger', 'age_blocked'],
    { retry_after_ms: '1200' },
  ],
  [
    'treedb debug vlog_maint rewrite_err reason=rewrite_resume err=open /a b/value-l0-1.log: no such file (x=1) dur_ms=3.250',
    ['rewrite_err'],
    { err: 'open /a b/value-l0-1.log: no such file (x=1)', dur_ms: '3.250' },
  ],
  ['treedb debug vlog_maint checkpoint_kick_start', ['checkpoint_kick_start'], {}],
  [
    'ts=2026-04-02T08:15:30.123456789Z treedb debug vlog_maint db=maindb wal_dir=/home/u/.celestia-app-mainnet-treedb-20260402080000/data/application.db/maindb/wal checkpoint_kick_skip reason=foreground_hot_no_debt quiet=false queue_len=0 eligible_queue_len=0 checkpoint_pending=false deferred_pending=false deferred_due=false hot_no_debt_wake_running=true',
    ['checkpoint_kick_skip'],
    { reason: 'foreground_hot_no_debt', hot_no_debt_wake_running: 'true' },
  ],
  [
    'treedb debug vlog_maint rewrite_queue_missing_prune dropped=2 remaining=0 stage_pending=false',
    ['rewrite_queue_missing_prune'],
    { dropped: '2', stage_pending: 'false' },
  ],
  [
    'ts=2026-03-20T20:41:07Z treedb debug vlog_maint wal_dir=/my data/wal gc_run done deleted_segments=1 deleted_bytes=268435848',
    ['gc_run', 'done'],
    { deleted_bytes: '268435848' },
  ],
]

describe('a trace line', () => {
  test.each(FOREIGN)('%s', (text, words, fields) => {
    const line = parsed(text)
    expect(line.words).toEqual(words)
    expect(Object.fromEntries(line.fields)).toMatchObject(fields)
    expect(formatTraceLine(line)).toBe(text)
  })

  test('carries its store and its nanoseconds', () => {
    const text = FOREIGN[0]?.[0] ?? ''
    expect(parsed(text)).toMatchObject({
      ts: '2026-03-20T20:41:07.123456789Z',
      db: 'application.db',
      walDir: '/data/application.db/wal',
    })
    expect(parsed(FOREIGN.at(-1)?.[0] ?? '').walDir).toBe('/my data/wal')
    expect(parsed(`\u001b[36m${text}\u001b[0m\r\n`)).toEqual(parsed(text))
  })

  test.each(EVENTS.map((event) => [event.type, event] as const))(
    '%s prints and parses back, in both prefixes, whole or not',
    (_, event) => {
      for (const prefix of ['march', 'dated'] as const) {
        const style = { prefix, db: 'application.db', walDir: '/a b/wal' }
        const text = printTraceLine(event, style)
        expect(text).not.toMatch(/undefined|NaN|\[object|\n/)
        expect(formatTraceLine(parsed(text))).toBe(text)
        expect(eventOfLine(parsed(text))).toBeNull()
        const whole = printTraceLine(event, { ...style, whole: true })
        expect(whole.startsWith(text)).toBe(true)
        expect(eventOfLine(parsed(whole))).toEqual(event)
        expect(parsed(whole).fields.slice(0, -1)).toEqual(parsed(text).fields)
      }
    },
  )

  test('of any event with any text in it gives the event back', () => {
    const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.constant(' a=b  dur_ms=3 event={} '))
    fc.assert(
      fc.property(fc.constantFrom(...EVENTS), anyText, fc.double(), (event, words, number) => {
        // Every text and every fraction of the event becomes another one.
        const changed = JSON.parse(
          JSON.stringify(event, (key, value: unknown) => {
            if (['message', 'text', 'why', 'problem', 'label', 'sentence'].includes(key))
              return words
            if (key === 'durMs' && Number.isFinite(number)) return Math.abs(number) % 1e9
            return value
          }),
        ) as EngineEvent
        const whole = printTraceLine(changed, { prefix: 'dated', whole: true })
        expect(eventOfLine(parsed(whole))).toEqual(changed)
        const plain = printTraceLine(changed, { prefix: 'march' })
        expect(formatTraceLine(parsed(plain))).toBe(plain)
      }),
    )
  })

  test.each([
    ['old db', '/Users/me/my old data/wal'],
    ['my db', '/a b c/d'],
    ['gc_skip', '/data/my stuff'],
    ['rewrite_plan', '/data/rewrite_plan staged gc_run'],
    ['a gc_skip x=1 b', '/data/gc_skip x=1 b'],
    ['line\nbreak', '/a\u2028b'],
  ])('of a store named %j in %j gives both back', (db, walDir) => {
    for (const event of EVENTS) {
      for (const style of [{ db, walDir }, { walDir }, { db }]) {
        const line = parsed(printTraceLine(event, { prefix: 'dated', ...style }))
        expect(line.db).toBe('db' in style ? db.replace('\n', ' ') : null)
        expect(line.walDir).toBe('walDir' in style ? walDir : null)
        expect(line.words).toEqual(parsed(printTraceLine(event, { prefix: 'march' })).words)
      }
    }
  })

  test('of any name and path gives both back', () => {
    const word = fc.constantFrom('/a', 'b', 'c.d', '/', ...EVENTS.map(({ type }) => type))
    const name = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(word, { maxLength: 6 }).map((words) => words.join(' ')),
    )
    fc.assert(
      fc.property(fc.constantFrom(...EVENTS), name, name, fc.boolean(), (event, ...rest) => {
        const [db, walDir, whole] = rest
        const line = parsed(printTraceLine(event, { prefix: 'dated', db, walDir, whole }))
        // eslint-disable-next-line no-control-regex -- a line is one line
        const shown = (text: string) => text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim() || null
        expect([line.db, line.walDir]).toEqual([shown(db), shown(walDir)])
        expect(line.words).toEqual(parsed(printTraceLine(event, { prefix: 'march' })).words)
        if (whole) expect(eventOfLine(line)).toEqual(event)
      }),
      { numRuns: 1000 },
    )
  })

  test('has upstream’s words, order and formats', () => {
    const line = (type: EngineEvent['type'], change: object = {}): string => {
      const event = EVENTS.find((e) => e.type === type)
      return printTraceLine({ ...event, ...change } as EngineEvent, { prefix: 'march' }).replace(
        'treedb debug vlog_maint ',
        '',
      )
    }
    expect(line('rewrite_queue_restage', { remaining: 3, confirmDelayMs: 30_000 })).toBe(
      'rewrite_queue_restage remaining=3 confirm_delay_ms=30000',
    )
    expect(line('rewrite_queue_restaged', { reason: 'rewrite_resume', processedIds: [7] })).toBe(
      'rewrite_queue_restaged reason=rewrite_resume processed_ids=1',
    )
    expect(
      line('checkpoint_kick_done', {
        rewriteRunsBefore: 0,
        rewriteRunsAfter: 1,
        gcRunsBefore: 0,
        gcRunsAfter: 1,
        pending: false,
      }),
    ).toBe(
      'checkpoint_kick_done rewrite_runs_before=0 rewrite_runs_after=1 gc_runs_before=0 gc_runs_after=1 pending=false',
    )
    expect(
      line('maintenance_active_acquire', {
        source: 'checkpoint_kick',
        runGc: true,
        bypassQuiet: true,
        checkpointPending: false,
        deferredPending: false,
      }),
    ).toBe(
      'maintenance_active_acquire source=bypass run_gc=true bypass_quiet=true skip_checkpoint=false checkpoint_pending=false deferred_pending=false',
    )
    expect(
      line('rewrite_queue_quality_prune', {
        dropped: [1],
        remaining: 2,
        minRatio: 0.5,
        minStaleBytes: 1,
      }),
    ).toBe('rewrite_queue_quality_prune dropped=1 remaining=2 min_ratio=0.500000 min_stale_bytes=1')
    const waiting = {
      source: 'checkpoint_pending',
      checkpointPending: true,
      deferredPending: false,
    }
    const slot = 'checkpoint_pending=true deferred_pending=false'
    expect(
      line('maintenance_retry_start', { ...waiting, slotTaken: true, retryWindowMs: 5000 }),
    ).toBe(
      `maintenance_retry_start source=checkpoint_pending retry_window_ms=5000 ${slot} active=true`,
    )
    for (const type of ['maintenance_retry_attempt', 'maintenance_retry_deadline'] as const) {
      expect(line(type, { ...waiting, slotTaken: false, attempt: 1, waitedMs: 6000 })).toBe(
        `${type} source=checkpoint_pending attempt=1 ${slot} active=false`,
      )
    }
    expect(
      line('maintenance_retry_done', { ...waiting, slotTaken: false, attempt: 1, acquired: true }),
    ).toBe(
      `maintenance_retry_done source=checkpoint_pending attempt=1 ${slot} active=false acquired=true`,
    )
    expect(line('maintenance_retry_collision', waiting)).toBe(
      `maintenance_retry_collision source=checkpoint_pending ${slot} active=true`,
    )
    const gate = { input: 1200, threshold: 5000 }
    const kick = (reason: string): string =>
      line('checkpoint_kick_skip', { reason, gate, segments: 1, queueLen: 0 })
    expect(kick('min_interval')).toBe(
      'checkpoint_kick_skip reason=min_interval since_ms=1200 min_ms=5000',
    )
    expect(kick('cancel_backoff')).toBe(
      'checkpoint_kick_skip reason=cancel_backoff since_ms=1200 min_ms=5000',
    )
    expect(kick('foreground_hot_no_debt')).toBe(
      'checkpoint_kick_skip reason=foreground_hot_no_debt quiet=false queue_len=0',
    )
    expect(kick('trigger_floor')).toBe(
      'checkpoint_kick_skip reason=trigger_floor bytes=1200 trigger=5000 retained=1 queue_len=0',
    )
    expect(kick('disabled')).toBe('checkpoint_kick_skip reason=disabled_env')
    expect(kick('maintenance_phase')).toBe('checkpoint_kick_skip reason=maintenance_phase')
    expect(line('maintenance_skip', { reason: 'pause_file', source: 'periodic' })).toBe(
      'maintenance_skip reason=pause_file source=periodic',
    )
    expect(line('maintenance_phase_change', { from: 'restore', to: 'steady' })).toBe(
      'maintenance_phase_change from=restore to=steady',
    )
    const facts = {
      quiet: true,
      runGc: false,
      bypassQuiet: false,
      planBackoff: false,
      cancelBackoff: true,
      ineffectiveBackoff: false,
      minIntervalBlocked: false,
      bytesTotal: 4096,
      staleRatio: 0.25,
      churnBytesPerSecond: 10,
      checkpoints: 7,
      disableJournal: true,
    }
    const start = { reason: 'rewrite_resume', rewriteQueue: 4, havePlan: false, facts }
    expect(line('rewrite_start', start)).toBe(
      'rewrite_start reason=rewrite_resume total_bytes=4096 stale_ratio_ppm=250000 churn_bps=10 rewrite_queue=4 checkpoint_runs=7 disable_journal=true have_plan=false',
    )
    const skip = { reason: 'no_trigger', gate: null, queueLen: 0, facts }
    expect(line('rewrite_skip', skip)).toBe(
      'rewrite_skip reason=no_trigger quiet=true queue_len=0 plan_backoff=false cancel_backoff=true ineffective_backoff=false min_interval_blocked=false run_gc=false bypass_quiet=false total_bytes=4096 stale_ratio_ppm=250000 churn_bps=10 checkpoint_runs=7 disable_journal=true',
    )
    expect(line('rewrite_skip', { ...skip, reason: 'dropped_zero_live', queueLen: 2 })).toBe(
      'rewrite_skip reason=dropped_zero_live queue_len=2',
    )
    expect(line('rewrite_skip', { ...skip, reason: 'planned_zero_live', queueLen: 0 })).toBe(
      'rewrite_skip reason=planned_zero_live queue_len=0',
    )
    expect(line('rewrite_plan_failed')).toBe(
      'rewrite_plan pre_rewrite max_source_bytes=4096 min_ratio=0.850000 min_stale_bytes=1 dur_ms=7.000 err=INTERNAL: sums differ',
    )
    expect(line('gc_run', { reason: 'rewrite_resume' })).toMatch(
      /^gc_after_rewrite_done reason=rewrite_resume dur_ms=\d+\.\d{3}$/,
    )
    const failed = {
      phase: 'after_rewrite',
      reason: 'manual',
      code: 'E',
      message: 'full',
      durMs: 2,
    }
    expect(line('gc_err', failed)).toBe(
      'gc_after_rewrite_err reason=manual err=E: full dur_ms=2.000',
    )
    expect(line('gc_skip', { reason: 'min_interval', gate: 'gc_min_interval' })).toBe(
      'gc_skip reason=min_interval',
    )
    expect(line('gc_skip', { reason: 'disabled', gate: 'gc_enabled' })).toBe(
      'gc_skip reason=disabled_env',
    )
  })

  test.each([
    [0, '2026-11-26T14:00:00Z'],
    [120, '2026-11-26T14:00:00.12Z'],
    [Date.UTC(2000, 1, 29, 23, 59, 59, 7) - Date.UTC(2026, 10, 26, 14), '2000-02-29T23:59:59.007Z'],
    [Date.UTC(1970, 0, 1) - Date.UTC(2026, 10, 26, 14), '1970-01-01T00:00:00Z'],
  ])('has its time in RFC 3339', (after, ts) => {
    const atMs = Date.UTC(2026, 10, 26, 14) + after
    const event = { ...(EVENTS[0] as EngineEvent), atMs }
    expect(parsed(printTraceLine(event, { prefix: 'dated' })).ts).toBe(ts)
  })

  test('days of four centuries agree with the calendar', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date('2399-12-31'), noInvalidDate: true }),
        (date) => {
          const event = { ...(EVENTS[0] as EngineEvent), atMs: date.getTime() }
          const { ts } = parsed(printTraceLine(event, { prefix: 'dated' }))
          expect(Date.parse(ts ?? '')).toBe(date.getTime())
        },
      ),
    )
  })

  test.each([
    ['', 0],
    ['treedb debug', 0],
    ['ts=2026-03-20T20:41:07Z something else', 24],
    ['treedb debug vlog_maint ', 24],
    ['treedb debug vlog_maint x=1', 24],
    ['treedb debug vlog_maint gc_skip reason=a  b=1', 41],
    ['treedb debug vlog_maint gc_skip reason=a Stray b=1', 41],
    ['treedb debug vlog_maint gc_skip reason=a ', 41],
  ])('%j is refused at its place', (text, at) => {
    expect(parseTraceLine(text).refusal?.at).toBe(at)
  })

  test('anything at all is read or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (tail) => {
        const text = `treedb debug vlog_maint rewrite_done ${tail}`
        const { line, refusal } = parseTraceLine(text)
        if (refusal !== null) expect(refusal.at).toBeLessThanOrEqual(text.length)
        // Colours and line ends are dropped, the one blank behind the words may be.
        // eslint-disable-next-line no-control-regex -- it is about them
        else if (!/[\u001b\r\n]/.test(tail)) expect(formatTraceLine(line)).toBe(text.trimEnd())
      }),
    )
  })

  test('values have kinds', () => {
    expect(traceValue('12.500')).toEqual({ kind: 'number', value: 12.5 })
    expect(traceValue('1774040000000000000')).toEqual({
      kind: 'integer',
      value: '1774040000000000000',
    })
    expect(traceValue('4/9')).toEqual({ kind: 'share', part: 4, whole: 9 })
    expect(traceValue('<nil>')).toEqual({ kind: 'nil' })
    expect(traceValue('false')).toEqual({ kind: 'flag', value: false })
    expect(traceValue('rewrite_resume')).toEqual({ kind: 'text', value: 'rewrite_resume' })
  })
})
