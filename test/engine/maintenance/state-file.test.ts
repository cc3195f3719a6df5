import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { NO_DEBT } from '../../../engine/maintenance/ledger.ts'
import {
  decodeState,
  encodeState,
  extrasFor,
  expireHistory,
  NO_EXTRAS,
  withHistory,
} from '../../../engine/maintenance/state-file.ts'
import type { RewriteDebt } from '../../../engine/types.ts'
import { debtOf, entry, id, segment, staged, T0, world } from './fake-host.ts'

const DELAY = 30_000

/** A file as upstream writes it, with a time that no double holds. */
const FOREIGN = `{
  "rewrite_source_file_ids": [
    "2147483649",
    "2147483650"
  ],
  "rewrite_debt_ledger": [
    {
      "file_id": "2147483649",
      "bytes_total": 5808,
      "bytes_live": 3292,
      "bytes_stale": 2516,
      "stale_ratio": 0.4331955922865014
    },
    {
      "file_id": "2147483650",
      "bytes_total": 7473,
      "bytes_live": 5286,
      "bytes_stale": 2187,
      "stale_ratio": 0.2926535527900442
    }
  ],
  "rewrite_stage_pending": true,
  "rewrite_stage_observed_unix_nano": 1774040000123456789,
  "rewrite_penalties": [
    {
      "file_id": "2147483700",
      "attempts": 1,
      "cooldown_until_unix_nano": 1774040600000000001,
      "note": "a \\"brace } in, a string"
    }
  ]
}`

function decode(value: unknown): ReturnType<typeof decodeState> {
  return decodeState(JSON.stringify(value), DELAY)
}

const attempt = (seq: number, atMs: number) => ({
  segmentId: id(seq),
  atMs,
  processedLiveBytes: 60,
  sourceBytesUnreferenced: 100,
  reclaimedBytes: 0,
  staleBytes: 40,
})

describe('rewrite history', () => {
  const HOUR = 3_600_000

  test('is written in upstream’s keys, zeros left out, and read back', () => {
    const extras = withHistory(NO_EXTRAS, [attempt(1, T0)], T0)
    const text = encodeState(NO_DEBT, [], extras)
    expect(JSON.parse(text ?? '')).toEqual({
      rewrite_history: [
        {
          file_id: String(id(1)),
          last_attempt_unix_nano: T0 * 1_000_000,
          last_processed_live_bytes: 60,
          last_source_bytes_unreferenced: 100,
          last_stale_bytes: 40,
        },
      ],
    })
    const again = decodeState(text, DELAY)
    expect(again.problem).toBeNull()
    expect(again.extras.history).toEqual(extras.history)
    expect(encodeState(NO_DEBT, [], again.extras)).toBe(text)
  })

  test('has one entry a segment, the newest, and none older than a day', () => {
    let extras = withHistory(NO_EXTRAS, [attempt(1, T0), attempt(2, T0)], T0)
    extras = withHistory(extras, [attempt(1, T0 + 23 * HOUR)], T0 + 23 * HOUR)
    expect(extras.history.map((e) => e.segmentId)).toEqual([id(2), id(1)])
    extras = withHistory(extras, [attempt(3, T0 + 24 * HOUR)], T0 + 24 * HOUR)
    expect(extras.history.map((e) => e.segmentId)).toEqual([id(1), id(3)])
    expect(expireHistory(extras, T0 + 48 * HOUR).dropped).toBe(2)
  })

  test('is bounded, the oldest go', () => {
    let extras = NO_EXTRAS
    for (let n = 1; n <= 300; n++) extras = withHistory(extras, [attempt(n, T0 + n)], T0 + n)
    expect(extras.history.length).toBe(256)
    expect(extras.history[0]?.segmentId).toBe(id(45))
  })
})

describe('chunks of a newer upstream', () => {
  const chunk = (seq: number, offset: number, live: number) => ({
    file_id: String(id(seq)),
    chunk_offset: offset,
    bytes_total: 100,
    bytes_live: live,
    bytes_stale: 100 - live,
    stale_ratio: (100 - live) / 100,
  })
  const file = {
    rewrite_source_file_ids: [String(id(9))],
    rewrite_debt_ledger: [{ file_id: String(id(9)), bytes_total: 7 }],
    rewrite_debt_chunks: [chunk(2, 0, 50), chunk(1, 0, 20), chunk(2, 100, 10)],
    rewrite_debt_chunk_bytes: 100,
  }

  test('count before ledger and ids, and are added up by segment (LoadsChunkLedger)', () => {
    const { debt, problem } = decode(file)
    expect(problem).toBeNull()
    expect(debt.queue).toEqual([id(2), id(1)])
    expect(debt.ledger).toEqual([
      { segmentId: id(2), bytesTotal: 200, bytesLive: 60, bytesStale: 140, staleRatio: 0.7 },
      { segmentId: id(1), bytesTotal: 100, bytesLive: 20, bytesStale: 80, staleRatio: 0.8 },
    ])
  })

  test('are kept while they cover the queue, and go with their segment', () => {
    const { debt, penalties, extras } = decode(file)
    const kept = (of: RewriteDebt): unknown => {
      const text = encodeState(of, penalties, extrasFor(of, extras)) ?? '{}'
      return (JSON.parse(text) as Record<string, unknown>)['rewrite_debt_chunks']
    }
    expect(kept(debt)).toEqual(file.rewrite_debt_chunks)
    const rest = { ...debt, queue: [id(1)], ledger: debt.ledger.slice(1) }
    expect(kept(rest)).toEqual([file.rewrite_debt_chunks[1]])
    const more = { ...debt, queue: [...debt.queue, id(3)], ledger: [] }
    expect(kept(more)).toBeUndefined()
  })
})

describe('state file', () => {
  test('keeps history without a queue (PreservesHistoryWithoutQueue)', () => {
    const text = `{
  "rewrite_history": [
    {
      "file_id": "2147483649",
      "last_attempt_unix_nano": 1774040000123456789,
      "last_reclaimed_bytes": 5
    }
  ]
}`
    const { debt, penalties, extras, problem } = decodeState(text, DELAY)
    expect([debt, penalties, problem]).toEqual([NO_DEBT, [], null])
    expect(encodeState(debt, penalties, extrasFor(debt, extras))).toBe(text)
  })

  test('reads and writes a foreign file to the byte, penalties and nanoseconds included', () => {
    const { debt, penalties, extras, problem } = decodeState(FOREIGN, DELAY)
    expect(problem).toBeNull()
    expect(debt.queue).toEqual([id(1), id(2)])
    expect(debt.ledger[0]).toEqual({
      segmentId: id(1),
      bytesTotal: 5808,
      bytesLive: 3292,
      bytesStale: 2516,
      staleRatio: 0.4331955922865014,
    })
    expect(debt.stage).toEqual({
      observedAtMs: 1774040000123,
      dueAtMs: 1774040030123,
      minStaleRatio: null,
    })
    expect(encodeState(debt, penalties, extras)).toBe(FOREIGN)
  })

  test('keeps foreign keys while debt remains and forgets the exact time once it moved', () => {
    const { debt, penalties, extras } = decodeState(FOREIGN, DELAY)
    const restaged: RewriteDebt = { ...debt, stage: staged(T0, 0.2) }
    const text = encodeState(restaged, penalties, extrasFor(restaged, extras)) ?? ''
    expect(text).toContain('"cooldown_until_unix_nano": 1774040600000000001')
    expect(text).toContain('"rewrite_stage_observed_unix_nano": 1774000000000000000')
    expect(text).toContain('"rewrite_stage_min_stale_ratio": 0.2')
    expect(extrasFor(restaged, extras).observedUnixNano).toBeNull()
    expect(encodeState(NO_DEBT, [], extras)).toBeNull()
    expect(encodeState(NO_DEBT, penalties, extrasFor(NO_DEBT, extras))).toContain(
      'rewrite_penalties',
    )
  })

  test('keeps keys that it does not know while penalties or history keep the file', async () => {
    const ours = debtOf([entry(1, 0.6)])
    const penalty = { segmentId: id(2), attempts: 1, cooldownUntilMs: T0 + 60_000 }
    const penalties = [{ ...penalty, lastGrowthBytes: 0, lastStaleBytes: 0 }]
    const text = encodeState(ours, penalties, {
      ...NO_EXTRAS,
      foreign: new Map([['rewrite_future', '{"kept": 1774040000123456789}']]),
    })
    const { host, scheduler } = await world([segment(1, 0.6), segment(2, 0.6)], {
      prepare: (made) => (made.stateFile = text),
    })
    await scheduler.setDebt(NO_DEBT)
    expect(host.stateFile).toContain('"rewrite_future": {"kept": 1774040000123456789}')
    // They do not keep it alone, and what went with a file does not come back in the next one.
    host.clock.advance(60_000)
    await scheduler.runPass('periodic')
    await scheduler.setDebt(NO_DEBT)
    expect(host.stateFile).toBeNull()
    await scheduler.setDebt(ours)
    expect(host.stateFile).not.toContain('rewrite_future')
  })

  test('no file and an empty file are no debt and no problem', () => {
    for (const text of [null, '', ' \n']) {
      expect(decodeState(text, DELAY)).toEqual({
        debt: NO_DEBT,
        penalties: [],
        extras: NO_EXTRAS,
        problem: null,
      })
    }
  })

  test('a torn file counts as empty and says how much was dropped', () => {
    const { debt, problem } = decodeState(FOREIGN.slice(0, 200), DELAY)
    expect(debt).toEqual(NO_DEBT)
    expect(problem).toContain('200 characters were dropped')
    expect(decodeState('[1]', DELAY).problem).toContain('no JSON object')
  })

  test('skips ids that are 0, no decimal string or beyond 32 bits, one by one', () => {
    const { debt, problem } = decode({
      rewrite_source_file_ids: ['0', '', 'x', 7, '4294967296', '-1', '11', '11'],
    })
    expect(debt.queue).toEqual([11])
    expect(problem).toContain('"4294967296"')
  })

  test('lets the ledger define the queue when there is one', () => {
    const { debt } = decode({
      rewrite_source_file_ids: ['5', '6'],
      rewrite_debt_ledger: [{ file_id: '7', bytes_total: 10, bytes_live: 4 }],
    })
    expect(debt.queue).toEqual([7])
    expect(debt.ledger[0]).toMatchObject({ bytesStale: 6, staleRatio: 0.6 })
  })

  test('falls back to the ids when no ledger entry can be used', () => {
    const { debt } = decode({
      rewrite_source_file_ids: ['5'],
      rewrite_debt_ledger: [{ file_id: '0' }],
    })
    expect(debt).toEqual({ queue: [5], ledger: [], stage: null })
  })

  test('M4: keeps the stage of queue-only debt', () => {
    const debt: RewriteDebt = { queue: [5, 6], ledger: [], stage: staged(T0, null) }
    expect(decodeState(encodeState(debt, [], NO_EXTRAS), DELAY).debt).toEqual(debt)
  })

  test('M3: keeps the ratio that staged the debt', () => {
    const debt = debtOf([entry(1, 0.3)], staged(T0, 0.2))
    expect(decodeState(encodeState(debt, [], NO_EXTRAS), DELAY).debt.stage?.minStaleRatio).toBe(0.2)
  })

  test('a stage without debt is no stage; one without a time is due', () => {
    expect(decode({ rewrite_stage_pending: true }).debt).toEqual(NO_DEBT)
    const { debt } = decode({ rewrite_source_file_ids: ['5'], rewrite_stage_pending: true })
    expect(debt.stage).toEqual({ observedAtMs: 0, dueAtMs: DELAY, minStaleRatio: null })
    const off = decode({ rewrite_source_file_ids: ['5'], rewrite_stage_pending: false })
    expect(off.debt.stage).toBeNull()
  })

  test('any debt survives a round trip', () => {
    const anyDebt = fc
      .record({
        ids: fc.uniqueArray(fc.integer({ min: 1, max: 0xffffffff }), {
          minLength: 1,
          maxLength: 6,
        }),
        withLedger: fc.boolean(),
        observedAtMs: fc.option(fc.integer({ min: 0, max: 4_000_000_000_000 }), { nil: null }),
        ratio: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: null }),
        total: fc.integer({ min: 1, max: 2 ** 40 }),
        live: fc.integer({ min: 0, max: 2 ** 40 }),
      })
      .map(({ ids, withLedger, observedAtMs, ratio, total, live }): RewriteDebt => {
        const bytesLive = Math.min(live, total)
        const bytesStale = total - bytesLive
        const economics = {
          bytesTotal: total,
          bytesLive,
          bytesStale,
          staleRatio: bytesStale / total,
        }
        return {
          queue: ids,
          ledger: withLedger ? ids.map((segmentId) => ({ segmentId, ...economics })) : [],
          stage: observedAtMs === null ? null : staged(observedAtMs, ratio),
        }
      })
    const anyForeign = fc.dictionary(
      fc.string().filter((key) => !key.startsWith('rewrite_') && key !== '__proto__'),
      fc.jsonValue(),
      { maxKeys: 4 },
    )
    fc.assert(
      fc.property(anyDebt, anyForeign, fc.constantFrom(0, 2), (debt, foreign, indent) => {
        const own = JSON.parse(encodeState(debt, [], NO_EXTRAS) ?? '{}') as object
        const text = JSON.stringify({ ...foreign, ...own }, null, indent)
        const first = decodeState(text, DELAY)
        expect(first.debt).toEqual(debt)
        const again = encodeState(first.debt, [], first.extras) ?? ''
        expect(JSON.parse(again)).toEqual(JSON.parse(text))
        for (const [key, raw] of first.extras.foreign) {
          expect(JSON.parse(raw)).toEqual((JSON.parse(text) as Record<string, unknown>)[key])
        }
      }),
    )
  })
})
