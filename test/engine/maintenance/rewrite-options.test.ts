/** `rewrite(ids, options)`: upstream's knobs for a rewrite that somebody asks for. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../../engine/api.ts'
import { BATCH_MOVES_MAX } from '../../../engine/commit-log/codec.ts'
import type { PassReport, RewriteOptions, RewriteReport } from '../../../engine/types.ts'
import { bytesEqual, key, memoryFolder, openFixture, value } from '../../support/engine-fixture.ts'

const FIRST = 0x80000001
const SECOND = 0x80000002

/** Two sealed segments of eight values, written from the last key to the first; half of each is stale. */
async function halfStale(): Promise<Engine> {
  const options = { inlineThreshold: 64, segmentBytes: 8192, profile: 'wal_on_fast' as const }
  const { engine } = await openFixture(options, { dir: memoryFolder() })
  for (let i = 15; i >= 0; i--) await engine.put(key(i), value(i, 1000))
  for (let i = 0; i < 16; i += 2) await engine.delete(key(i))
  await engine.checkpoint()
  return engine
}

async function rewritten(
  engine: Engine,
  ids: number[],
  options?: Partial<RewriteOptions>,
): Promise<{ pass: PassReport; reports: RewriteReport[] }> {
  const pass = await engine.maintenance.rewrite(ids, options)
  const reports = pass.steps.flatMap((step) => (step.kind === 'rewrite' ? [step.report] : []))
  return { pass, reports }
}

async function expectAllAndClose(engine: Engine): Promise<void> {
  for (let i = 0; i < 16; i++) {
    const expected = i % 2 === 0 ? undefined : value(i, 1000)
    expect(bytesEqual(engine.get(key(i)), expected)).toBe(true)
  }
  expect((await engine.verify()).differences).toEqual([])
  await engine.close()
}

describe('a rewrite that somebody asks for', () => {
  test('swaps as many pointers in a turn as asked', async () => {
    const engine = await halfStale()
    const [one] = (await rewritten(engine, [FIRST])).reports
    expect(one).toMatchObject({ recordsCopied: 4, swapBatches: 1 })
    const options = { batchRecords: 2, syncEachBatch: true }
    const [two] = (await rewritten(engine, [SECOND], options)).reports
    expect(two).toMatchObject({ recordsCopied: 4, swapBatches: 2 })
    await expectAllAndClose(engine)
  })

  test('swaps no more in a turn than one batch of the journal takes, whatever is asked', async () => {
    const options = { inlineThreshold: 0, profile: 'wal_on_fast' as const }
    const { engine } = await openFixture(options, { dir: memoryFolder() })
    const puts = Array.from({ length: 70_000 }, (_, i) => {
      return { op: 'put', key: key(i), value: Uint8Array.of(i) } as const
    })
    await engine.batch(puts)
    const asked = { batchRecords: Number.MAX_SAFE_INTEGER }
    const [report] = (await rewritten(engine, [FIRST], asked)).reports
    expect(report).toMatchObject({ recordsCopied: 70_000, swapBatches: 2 })
    // So many keys as long as a page of the index are a batch that is read, and not one more.
    const bytes = (records: number): number => 5 + records * (23 + 4096)
    expect(bytes(65_170)).toBeLessThanOrEqual(2 ** 28)
    expect(bytes(65_171)).toBeGreaterThan(2 ** 28)
    expect(BATCH_MOVES_MAX).toBe(65_170)
    await engine.close()
  })

  test('copies no more than asked of all segments together; what is cut short stays queued', async () => {
    const engine = await halfStale()
    await engine.maintenance.setDebt({ queue: [FIRST, SECOND], ledger: [], stage: null })
    const { pass, reports } = await rewritten(engine, [FIRST, SECOND], { maxCopiedBytes: 6_500 })
    expect(reports.map((report) => report.recordsCopied)).toEqual([4, 2])
    expect(reports[1]?.sourcesUnfinished).toEqual([SECOND])
    expect(pass.outcome).toBe('rewrote')
    const copied = reports.reduce((sum, report) => sum + report.sourceBytesProcessed, 0)
    expect(copied).toBeLessThanOrEqual(6_500)
    expect(engine.state().debt.queue).toEqual([SECOND])
    await expectAllAndClose(engine)
  })

  test('ends when the bound is used up, before the next segment', async () => {
    const engine = await halfStale()
    const whole = await rewritten(engine, [FIRST], { maxCopiedBytes: 1 })
    // The first record is always taken.
    expect(whole.reports.map((report) => report.recordsCopied)).toEqual([1])
    const { reports } = await rewritten(engine, [FIRST, SECOND], { maxCopiedBytes: 3 * 1020 })
    expect(reports.map((report) => report.recordsCopied)).toEqual([3])
    await expectAllAndClose(engine)
  })

  test.each([
    [undefined, [15, 13, 11, 9]],
    ['grouped' as const, [15, 13, 11, 9]],
    ['default' as const, [9, 11, 13, 15]],
  ])('with locality %s lays the values out in that order', async (locality, order) => {
    const engine = await halfStale()
    await rewritten(engine, [FIRST], locality === undefined ? {} : { locality })
    const copies = engine.state().segments.find(({ lane }) => lane === 1)
    const { dir } = engine.info
    await expectAllAndClose(engine)
    const bytes = fs.readFileSync(path.join(dir, copies?.file ?? '-'))
    const places = [...order].sort((a, b) => a - b).map((i) => [bytes.indexOf(value(i, 1000)), i])
    expect(places.every(([at = -1]) => at >= 0)).toBe(true)
    expect(places.sort(([a = 0], [b = 0]) => a - b).map(([, i]) => i)).toEqual(order)
  })

  test.each([
    [{ maxCopiedBytes: -1 }, 'maxCopiedBytes must be a whole number from 0 up, got -1'],
    [{ batchRecords: 0.5 }, 'batchRecords must be a whole number from 0 up, got 0.5'],
    [{ locality: 'near' as 'grouped' }, 'locality must be default or grouped, got near'],
  ])('refuses %o', async (options, why) => {
    const engine = await halfStale()
    await expect(engine.maintenance.rewrite([FIRST], options)).rejects.toThrow(new RangeError(why))
    await expectAllAndClose(engine)
  })
})
