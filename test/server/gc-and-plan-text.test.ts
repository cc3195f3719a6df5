/** What `restage gc` and `restage plan` print, as functions. */
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { GcReport, RewritePlan } from '../../engine/types.ts'
import { bytesText } from '../../server/command-support.ts'
import { upstreamGc } from '../../server/upstream-shapes.ts'
import { restageHere } from '../support/command.ts'
import { key, memoryFolder, openFixture, value } from '../support/engine-fixture.ts'
import { makeGcReport } from '../support/gc-report.ts'

const MIXED = path.join(import.meta.dirname, '../data/treedb-split-mixed')
const [FIRST, SECOND] = [0x80000001, 0x80000002]

/** Three segments of eight values: half of the first is stale, the second dead, the third live. */
async function madeFolder(): Promise<string> {
  const { engine, dir } = await openFixture({ segmentBytes: 8192 }, { dir: memoryFolder() })
  for (let i = 0; i < 24; i++) await engine.put(key(i), value(i, 1000))
  for (let i = 0; i < 16; i++) if (i < 4 || i >= 8) await engine.delete(key(i))
  await engine.close()
  return dir
}

describe('gc --observed', () => {
  test('tells in text what became of the segments that were asked about', async () => {
    const dir = await madeFolder()
    const asked = ['--observed', `value-l0-000002,${FIRST},value-l3-000009`]
    const observed = (out: string): string | undefined =>
      out.split('\n').find((line) => line.startsWith('observed:'))
    const dry = observed((await restageHere('gc', dir, '--dry-run', ...asked)).out)
    expect(dry).toMatch(
      /^observed: segments total=2 referenced=1 active=0 protected=0 eligible=1 deleted=0 pending=1 bytes_total=\d{5} .* unknown=\[2172649481\]$/,
    )
    const applied = observed((await restageHere('gc', dir, ...asked)).out)
    expect(applied).toMatch(/ eligible=1 deleted=1 pending=0 bytes_total=.* bytes_deleted=8\d{3} /)
    expect(observed((await restageHere('gc', dir)).out)).toBeUndefined()
  })

  test('JSON lists the requested ids once, ascending, and those that wait for a pin', () => {
    const { RequestedFileIDs, ZombieMarkedFileIDs } = upstreamGc(makeGcReport(), [
      SECOND,
      FIRST,
      SECOND,
    ])
    expect([RequestedFileIDs, ZombieMarkedFileIDs]).toEqual([[FIRST, SECOND], null])
    const verdicts = (['in_use', 'retained', 'overlap', 'other', 'eligible'] as const).map(
      (is, i): GcReport['verdicts'][number] => ({
        segmentId: FIRST + i,
        bytesTotal: 1,
        class: is,
        keptBy: [],
      }),
    )
    const marked = (dryRun: boolean): unknown =>
      upstreamGc({ ...makeGcReport(), dryRun, verdicts })['ZombieMarkedFileIDs']
    expect(marked(false)).toEqual([FIRST, FIRST + 1, FIRST + 2])
    expect(marked(true)).toBeNull()
  })
})

describe('plan', () => {
  test('says what it frees net: the stale bytes, not those it copies', async () => {
    const dir = await madeFolder()
    const args = ['plan', dir, '--rewrite-min-age=0']
    const { plan } = JSON.parse((await restageHere(...args, '--json')).out) as { plan: RewritePlan }
    expect(plan.selectedBytesLive).toBeGreaterThan(0)
    const [first] = (await restageHere(...args)).out.split('\n')
    expect(first).toBe(
      `selected 1 of 3 segments: ${bytesText(plan.copyBytes)} to copy, ${bytesText(plan.selectedBytesStale)} to free`,
    )
  })

  test.each([
    ['--rewrite-min-age=-10s', 'give 0 or more'],
    ['--rewrite-max-bytes=0.4', '0.4 is no whole number of bytes'],
    ['--rewrite-max-bytes=1.5', '1.5 is no whole number of bytes'],
    ['--rewrite-max-copied-bytes=0.0001KiB', '0.0001KiB is no whole number of bytes'],
    ['--rewrite-max-bytes=lots', 'with or without KiB, MiB, GiB'],
  ])('refuses %s', async (option, why) => {
    const ran = await restageHere('plan', MIXED, option)
    expect(ran).toMatchObject({ code: 2, out: '' })
    expect(ran.complaints).toContain(why)
  })

  test('takes a part of a unit', async () => {
    const { out } = await restageHere('plan', MIXED, '--rewrite-max-bytes=1.5KiB', '--json')
    expect(JSON.parse(out)).toMatchObject({ plan: { filters: { maxLiveBytes: 1536 } } })
    const none = await restageHere('plan', MIXED, '--rewrite-max-bytes=0', '--json')
    expect(JSON.parse(none.out)).toMatchObject({ plan: { filters: { maxLiveBytes: 0 } } })
  })
})

test('one of something is said in the singular, several in the plural', async () => {
  const dir = await madeFolder()
  expect((await restageHere('gc', dir, '--dry-run')).out).toContain(
    '\n1 segment would be deleted, ',
  )
  const before = (await restageHere('inspect', dir)).out
  expect(before).toMatch(/\d events of 1 opening in /)
  expect(before).toContain('1 segment holds nothing live.')
  expect((await restageHere('gc', dir)).out).toContain('\n1 segment deleted, ')
  expect((await restageHere('gc', dir)).out).toContain('\n0 segments deleted, ')
  expect((await restageHere('inspect', dir)).out).toMatch(/ events of [23] openings in /)
})
