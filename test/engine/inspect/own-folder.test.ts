/** The engine's own folders, read by the inspector: two independent countings of one folder. */
import * as fs from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { EngineState } from '../../../engine/types.ts'
import { key, openFixture, temporaryFolder, value } from '../../support/engine-fixture.ts'
import { copyOfFolder, read } from './reading.ts'

function bytesOf(state: EngineState): [number, number, number, number][] {
  return state.segments.map(({ segmentId, bytesTotal, bytesLive, bytesStale }) => [
    segmentId,
    bytesTotal,
    bytesLive,
    bytesStale,
  ])
}

async function churnedFolder(): Promise<{ dir: string; state: EngineState; copy: string }> {
  const dir = temporaryFolder()
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }))
  const { engine } = await openFixture({ segmentBytes: 64 * 1024 }, { dir })
  for (let round = 0; round < 4; round++) {
    for (let i = round * 20; i < 200; i++) await engine.put(key(i), value(round * 1000 + i, 900))
  }
  for (let i = 0; i < 20; i++) await engine.delete(key(i))
  await engine.checkpoint()
  const halfLive = engine.state().segments.find(({ state, bytesLive, bytesStale }) => {
    return state === 'sealed' && bytesLive > 0 && bytesStale > 0
  })
  if (halfLive === undefined) throw new Error('the churn leaves a half-stale segment')
  const pass = await engine.maintenance.rewrite([halfLive.segmentId])
  if (pass.outcome !== 'rewrote') throw new Error(pass.sentence)
  await engine.checkpoint()
  await engine.put(key('pending'), value(1, 900))
  engine.flushEvents()
  const state = engine.state()
  const copy = copyOfFolder(dir)
  await engine.close()
  return { dir, state, copy }
}

describe('a folder of our own engine', () => {
  test('closed: the inspector counts the same bytes, keys and values, and finds nothing odd', async () => {
    const { dir } = await churnedFolder()
    const { report, attachment } = await read(dir, { keys: true })
    expect(attachment).toMatchObject({ unsupported: [], problems: [], keyCount: 181 })
    expect(report.checksum).toBe('ieee')
    expect(report.keys?.[Buffer.from(key(5)).toString('hex')]).toBeUndefined()
    for (const found of Object.values(report.keys ?? {})) expect(found).not.toHaveProperty('error')
  })

  test('copied while open: live bytes are the tracked ones but for what the journal holds', async () => {
    const { state, copy } = await churnedFolder()
    const reading = await read(copy, { replay: true })
    expect(reading.attachment.problems).toEqual([])
    expect(reading.attachment.journalPending).toBe(1)
    expect(reading.report).toMatchObject({ replayed: true, key_count: 181 })
    const pendingBytes = 20 + 900
    const tracked = bytesOf(state)
    const head = tracked.at(-1)
    if (head === undefined) throw new Error('the store has segments')
    const found = bytesOf(reading.state)
    const difference = tracked.map(([, , live], i) => live - (found[i]?.[2] ?? 0))
    expect(found.map(([id, total]) => [id, total])).toEqual(
      tracked.map(([id, total]) => [id, total]),
    )
    expect(difference.filter((bytes) => bytes !== 0)).toEqual([pendingBytes])
  })

  test('ages and origins come from its metadata (X5)', async () => {
    const { dir } = await churnedFolder()
    const { state, info } = await read(dir)
    expect(info.layout).toBe('split')
    expect(state.segments.map(({ ageSource }) => ageSource)).not.toContain('mtime')
    expect(state.segments.map(({ origin }) => origin)).toContain('rewrite')
  })
})
