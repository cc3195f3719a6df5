/** `restage plan` and `restage gc` as processes, on folders that a real engine made. */
import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { manualClock } from '../../engine/clock.ts'
import type { GcReport, RewritePlan } from '../../engine/types.ts'
import {
  copyFolder,
  key,
  openFixture,
  segmentFiles,
  temporaryFolder,
  value,
} from '../support/engine-fixture.ts'

const MAIN = fileURLToPath(new URL('../../dist/server/main.js', import.meta.url))
const MARCH = path.join(import.meta.dirname, '../data/treedb-march-plain')

export interface Ran {
  code: number
  out: string
  complaints: string
}

function restage(...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], (error, out, complaints) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ code, out, complaints })
    })
  })
}

/** Four segments of eight values: half of the first is stale, the second dead, the others live. */
async function madeFolder(options: { close: boolean }): Promise<string> {
  const { engine, dir } = await openFixture({ inlineThreshold: 64, segmentBytes: 8192 })
  for (let i = 0; i < 32; i++) await engine.put(key(i), value(i, 1000))
  for (let i = 0; i < 4; i++) await engine.delete(key(i))
  await engine.checkpoint()
  for (let i = 8; i < 16; i++) await engine.delete(key(i))
  if (options.close) {
    await engine.close()
    return dir
  }
  // As a killed process leaves it: old roots and the journal still name the dead one.
  const copy = copyFolder(dir)
  fs.rmSync(path.join(copy, 'maindb', 'LOCK'), { force: true })
  await engine.close()
  return copy
}

/** Names, sizes and times of everything below: a reading must change none of it. */
function listing(dir: string): string[] {
  return fs
    .readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { size, mtimeMs, ctimeMs } = fs.statSync(path.join(dir, name))
      return `${name} ${size} ${mtimeMs} ${ctimeMs}`
    })
}

describe('restage plan', () => {
  test('selects the stale segment, says what would select the others, and touches nothing', async () => {
    const dir = await madeFolder({ close: true })
    const before = listing(dir)
    const { code, out } = await restage('plan', dir, '--rewrite-min-age=0', '--json')
    expect(code).toBe(0)
    expect(listing(dir)).toEqual(before)
    const json = JSON.parse(out) as { plan: RewritePlan; rewrite_plan: Record<string, unknown> }
    const first = 0x80000001
    expect(json.plan.sourceSegmentIds).toEqual([first])
    expect(json.rewrite_plan).toMatchObject({
      SourceFileIDs: [first],
      SegmentsTotal: 4,
      SegmentsSelected: 1,
      SelectedBytesLive: json.plan.selected[0]?.bytesLive,
      AgeBlockedSegments: 0,
    })
    expect(json.plan.candidates.map((c) => c.verdict)).toEqual([
      'selected',
      'no_live_bytes',
      'no_stale_bytes',
      'no_stale_bytes',
    ])
  })

  test('has upstream filters, in text with the change that would select a segment', async () => {
    const dir = await madeFolder({ close: true })
    const { out, code } = await restage(
      ...['plan', dir, '--rewrite-min-age', '0s', '--rewrite-min-stale-ratio', '0.9'],
    )
    expect(code).toBe(0)
    expect(out).toMatch(/^selected 0 of 4 segments: 0 B to copy/)
    expect(out).toMatch(/value-l0-000001 .* 50\.\d % .*selected if min stale ratio <= 0\.\d+/)
  })

  test('says of what it does not know that it does not, in text and in its own fields', async () => {
    const dir = await madeFolder({ close: true })
    const index = path.join(dir, 'maindb/index.db')
    fs.writeFileSync(index, fs.readFileSync(index).fill(0, 0, 8192))
    const named = [
      '--rewrite-min-age=0',
      '--rewrite-min-stale-ratio=0',
      '--rewrite-min-stale-bytes=0',
      '--ids=2147483649',
    ]
    const text = await restage('plan', dir, ...named)
    expect(text.out).toMatch(
      /^selected 1 of 4 segments: at most 7.97 KiB to copy, how much it frees is not known/,
    )
    expect(text.out).toContain('how much of it is live is not known')
    expect(text.out).toMatch(/value-l0-000001 +7.97 KiB +unknown +unknown +unknown/)
    const { out } = await restage('plan', dir, ...named, '--json')
    const json = JSON.parse(out) as { plan: RewritePlan; rewrite_plan: Record<string, unknown> }
    expect(json.plan).toMatchObject({
      liveBytesKnown: false,
      bytesLive: null,
      bytesStale: null,
      selectedBytesLive: null,
      selectedBytesStale: null,
      copyBytes: null,
    })
    for (const candidate of json.plan.candidates) {
      expect(candidate).toMatchObject({ bytesLive: null, bytesStale: null, staleRatio: null })
    }
    // Upstream's shape has no other word for it.
    expect(json.rewrite_plan).toMatchObject({ SelectedSegments: null, BytesLive: 0, BytesStale: 0 })
  })

  test('leaves a segment with a penalty out, as the plan of a pass does', async () => {
    const dir = await madeFolder({ close: true })
    const first = 0x80000001
    const minutes = (n: number): bigint => BigInt(Date.now() + n * 60_000) * 1_000_000n
    const verdictWith = async (cooldownUntil: bigint): Promise<unknown[]> => {
      fs.writeFileSync(
        path.join(dir, 'vlog_generation_state.json'),
        `{"rewrite_penalties": [{"file_id": "${first}", "attempts": 2, "cooldown_until_unix_nano": ${cooldownUntil}, "last_growth_bytes": 10}]}`,
      )
      const { out } = await restage('plan', dir, '--rewrite-min-age=0', '--json')
      const { plan } = JSON.parse(out) as { plan: RewritePlan }
      return [plan.candidates[0]?.verdict, plan.sourceSegmentIds]
    }
    expect(await verdictWith(minutes(60))).toEqual(['penalty', []])
    const copy = await openFixture({}, { dir: copyFolder(dir), clock: manualClock(Date.now()) })
    const own = copy.engine.maintenance.plan({ minAgeMs: 0 })
    expect([own.candidates[0]?.verdict, own.sourceSegmentIds]).toEqual(['penalty', []])
    await copy.engine.close()
    expect(await verdictWith(minutes(-1))).toEqual(['selected', [first]])
  })

  test('says how many ages are those of files: of all in a foreign folder, of none in one of its own', async () => {
    const foreign = await restage('plan', MARCH)
    expect(foreign.out).toContain(
      'note: the ages of 5 segments are those of their files, which copying resets: no seal time is kept\n',
    )
    const json = JSON.parse((await restage('plan', MARCH, '--json')).out) as {
      ages_from_mtime: number[]
      plan: RewritePlan
    }
    expect(json.ages_from_mtime).toEqual(
      json.plan.candidates.map((c) => c.segmentId).sort((a, b) => a - b),
    )
    const dir = await madeFolder({ close: true })
    expect((await restage('plan', dir)).out).not.toContain('no seal time')
  })

  test('B8, F17: it makes no checkpoint of a pending journal', async () => {
    const dir = await madeFolder({ close: false })
    const before = listing(dir)
    expect((await restage('plan', dir)).code).toBe(0)
    expect(listing(dir)).toEqual(before)
  })

  test('reads foreign folders, refuses what is none, and explains wrong options', async () => {
    expect((await restage('plan', MARCH, '--json')).code).toBe(0)
    const none = await restage('plan', temporaryFolder())
    expect(none).toMatchObject({ code: 1, out: '' })
    expect(none.complaints).toContain('ENGINE_NOT_A_FOLDER')
    const wrong = await restage('plan', MARCH, '--rewrite-min-age', 'soon')
    expect(wrong.code).toBe(2)
    expect(wrong.complaints).toContain('such as 31s, 2m or 1500ms')
    expect((await restage('plan', '--help')).out).toContain('--rewrite-max-copied-bytes')
  })
})

describe('restage gc', () => {
  test.each([
    ['before the new index took its name', ['index.db.bak', 'index.db.new', 'index.db.new.ready']],
    ['with only the old index left', ['index.db.bak']],
  ])('opens what a crash left of an offline rewrite: %s', async (_when, names) => {
    const dir = await madeFolder({ close: true })
    const main = path.join(dir, 'maindb')
    for (const name of names) fs.copyFileSync(path.join(main, 'index.db'), path.join(main, name))
    fs.rmSync(path.join(main, 'index.db'))
    expect((await restage('gc', dir, '--dry-run')).out).toContain('segments total=4')
    expect(await restage('gc', dir)).toMatchObject({ code: 0, complaints: '' })
    expect(fs.readdirSync(main).filter((name) => name.startsWith('index.db'))).toEqual(['index.db'])
  })

  test('a dry run says what would go and who keeps the rest, and touches nothing', async () => {
    const dir = await madeFolder({ close: false })
    const before = listing(dir)
    const { code, out } = await restage(
      'gc',
      dir,
      '--dry-run',
      '--observed',
      'value-l0-000002',
      '--json',
    )
    expect(code).toBe(0)
    expect(listing(dir)).toEqual(before)
    const { report, gc } = JSON.parse(out) as { report: GcReport; gc: Record<string, unknown> }
    // What the journal deletes is dead once an opening has replayed it.
    expect(gc).toMatchObject({ SegmentsTotal: 4, SegmentsReferenced: 3, ObservedSourceSegments: 1 })
    expect(report.total.bytes).toBe(gc['BytesTotal'])
    const done = await restage('gc', copyFolder(dir), '--json')
    const { deleted } = (JSON.parse(done.out) as { report: GcReport }).report
    expect(deleted).toHaveLength(1)
    expect(report.eligible).toEqual(deleted)
  })

  test('deletes what nothing needs, once', async () => {
    const dir = await madeFolder({ close: true })
    const dry = await restage('gc', dir, '--dry-run')
    expect(dry.out).toContain('vlog-gc (dry-run): segments total=4')
    expect(dry.out).toContain('eligible=1 deleted=0')
    const before = segmentFiles(dir).size
    const [dead] = (
      JSON.parse((await restage('gc', dir, '--dry-run', '--json')).out) as { report: GcReport }
    ).report.eligible
    const json = await restage('gc', copyFolder(dir), '--observed', String(dead), '--json')
    expect((JSON.parse(json.out) as { gc: Record<string, unknown> }).gc).toMatchObject({
      ObservedSourceSegments: 1,
      ObservedSourceSegmentsEligible: 1,
      ObservedSourceSegmentsDeleted: 1,
      ObservedSourceSegmentsPending: 0,
      RequestedFileIDs: [dead],
      ZombieMarkedFileIDs: null,
      DeletedFileIDs: [dead],
    })
    const { code, out } = await restage('gc', dir)
    expect(code).toBe(0)
    expect(out).toContain(
      'vlog-gc (applied): segments total=4 referenced=3 active=0 eligible=1 deleted=1',
    )
    expect(segmentFiles(dir).size).toBe(before - 1)
    expect((await restage('gc', dir)).out).toContain('eligible=0 deleted=0')
  })

  test('a folder that another process has open is refused, and nothing new is made where none is', async () => {
    const { engine, dir } = await openFixture()
    const { code, complaints } = await restage('gc', dir)
    expect(code).toBe(1)
    expect(complaints).toContain('ENGINE_LOCKED')
    await engine.close()
    const empty = temporaryFolder()
    expect((await restage('gc', empty)).code).toBe(1)
    expect(fs.readdirSync(empty)).toEqual([])
  })
})
