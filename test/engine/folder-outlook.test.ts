/**
 * What is said of a folder that is only read against what an opening for writing then does: to copies of
 * one folder, at one time.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { manualClock } from '../../engine/clock.ts'
import { datedByFile, gcFolder, planFolder } from '../../engine/folder-outlook.ts'
import type { RewritePlan } from '../../engine/types.ts'
import { copyFolder, key, memoryFolder, openFixture, value } from '../support/engine-fixture.ts'
import { copyOf, read, READ_AT_MS } from './inspect/reading.ts'

const OPTIONS = { inlineThreshold: 64, segmentBytes: 8192 }

/** As long before the reading as segments have to be old. */
function makeOld(dir: string): string {
  for (const name of fs.readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
    const seconds = READ_AT_MS / 1000 - 3600
    if (/value-.*\.log$/.test(name)) fs.utimesSync(path.join(dir, name), seconds, seconds)
  }
  return dir
}

/** Killed with a journal that overwrites, deletes and adds, some of it twice. */
async function killedStore(): Promise<string> {
  const clock = manualClock(READ_AT_MS - 3_600_000)
  const { engine, dir } = await openFixture(OPTIONS, { dir: memoryFolder(), clock })
  for (let i = 0; i < 32; i++) await engine.put(key(i), value(i, 1000))
  await engine.checkpoint()
  for (let i = 0; i < 12; i++) await engine.delete(key(i))
  for (let i = 12; i < 15; i++) await engine.put(key(i), value(100 + i, 1000))
  for (let i = 40; i < 52; i++) await engine.put(key(i), value(i, 1000))
  for (let i = 40; i < 52; i++) await engine.delete(key(i))
  await engine.put(key(50), value(3, 1000))
  const killed = copyFolder(dir, memoryFolder())
  await engine.close()
  return makeOld(killed)
}

/** The same, and opened and closed once more since. */
async function closedStore(): Promise<string> {
  const dir = await killedStore()
  const clock = manualClock(READ_AT_MS - 60_000)
  const { engine } = await openFixture(OPTIONS, { dir, clock })
  await engine.maintenance.gc({ dryRun: false })
  await engine.close()
  return dir
}

/** Name, folder, and how many segments a gc has to delete. */
const FOLDERS: [string, () => Promise<string>, number][] = [
  ['treedb-march-plain', () => Promise.resolve(makeOld(copyOf('treedb-march-plain'))), 1],
  ['treedb-split-mixed', () => Promise.resolve(makeOld(copyOf('treedb-split-mixed'))), 1],
  ['a killed store', killedStore, 1],
  ['a killed store, closed by a later opening', closedStore, 0],
]

function verdicts({ candidates }: RewritePlan): unknown[] {
  return candidates
    .map(({ segmentId, verdict, bytesTotal, bytesLive, ageMs }) => {
      return [segmentId, verdict, bytesTotal, bytesLive, ageMs]
    })
    .sort()
}

describe.each(FOLDERS)('of %s', (_, make, dead) => {
  test('a dry gc names the segments that a gc then deletes', async () => {
    const dir = await make()
    const dry = gcFolder(await read(dir, { opened: true }))
    const { engine } = await openFixture({}, { dir, clock: manualClock(READ_AT_MS) })
    const done = await engine.maintenance.gc({ dryRun: false })
    await engine.close()
    expect(dry.eligible).toEqual(done.deleted)
    expect(dry.eligible).toHaveLength(dead)
    expect(dry.bytesEligible).toBe(done.bytesDeleted)
    expect(dry.classes).toEqual({ ...done.classes, eligible: dry.classes.eligible })
  })

  test('a plan gives each segment the verdict, bytes and age that the opened store gives it', async () => {
    const dir = await make()
    const plan = planFolder(await read(dir, { opened: true }), { nowMs: READ_AT_MS })
    const { engine } = await openFixture({}, { dir, clock: manualClock(READ_AT_MS) })
    const own = engine.maintenance.plan(plan.filters)
    await engine.close()
    expect(verdicts(plan)).toEqual(verdicts(own))
    expect(plan.sourceSegmentIds.length).toBeGreaterThan(0)
    expect(plan.sourceSegmentIds).toEqual(own.sourceSegmentIds)
  })
})

describe('while another opener has the folder', () => {
  test('its newest segment is one that is written', async () => {
    const dir = await killedStore()
    const clock = manualClock(READ_AT_MS)
    const { engine } = await openFixture(OPTIONS, { dir, clock })
    await engine.put(key(1), value(1, 1000))
    await engine.checkpoint()
    const active = engine.state().segments.filter((s) => s.state === 'active')
    const reading = await read(dir, { opened: true })
    const plan = planFolder(reading, { nowMs: READ_AT_MS })
    const seen = plan.candidates.filter((c) => c.verdict === 'active')
    expect(seen.map((c) => c.segmentId)).toEqual(active.map((s) => s.segmentId))
    await engine.close()
    const after = planFolder(await read(dir, { opened: true }), { nowMs: READ_AT_MS })
    expect(after.candidates.filter((c) => c.verdict === 'active')).toEqual([])
  })
})

test('what has no seal time of its own is named, in a foreign folder and after a kill', async () => {
  const foreign = await read(copyOf('treedb-march-plain'), { opened: true })
  expect(datedByFile(foreign)).toEqual(foreign.state.segments.map((s) => s.segmentId))
  const killed = await read(await killedStore(), { opened: true })
  const last = killed.state.segments.at(-1)
  expect(datedByFile(killed)).toContain(last?.segmentId)
  expect(datedByFile(killed).length).toBeLessThan(killed.state.segments.length)
})
