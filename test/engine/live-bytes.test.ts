/** Live and stale bytes of segments; the random histories check them after every step besides. */
import { describe, expect, test } from 'vitest'
import type { Engine } from '../../engine/api.ts'
import { inspectFolder } from '../../engine/inspect.ts'
import type { SegmentInfo } from '../../engine/types.ts'
import {
  copyFolder,
  key,
  memoryFolder,
  openFixture,
  quickFileSystem,
  value,
  yieldNow,
} from '../support/engine-fixture.ts'
import { SEED, randomFrom } from '../support/random.ts'
import { expectLiveBytes, expectSizesOnDisk } from '../support/world.ts'

const HEADER = 20

function only(engine: Engine): SegmentInfo {
  const { segments } = engine.state()
  expect(segments.length).toBe(1)
  return segments[0] as SegmentInfo
}

const open = (options = {}): ReturnType<typeof openFixture> =>
  openFixture({ inlineThreshold: 64, ...options }, { dir: memoryFolder() })

describe('live bytes', () => {
  test('X1: a fully live segment has no stale bytes, its CRCs counted', async () => {
    const { engine, dir } = await open()
    for (let i = 0; i < 20; i++) await engine.put(key(i), value(i, 100 + i))
    const total = Array.from({ length: 20 }, (_, i) => HEADER + 100 + i).reduce((a, b) => a + b)
    expect(only(engine)).toMatchObject({ bytesTotal: total, bytesLive: total, bytesStale: 0 })
    await engine.checkpoint()
    expectSizesOnDisk(engine, dir)
    await engine.close()
    const again = await openFixture({}, { dir })
    expect(only(again.engine)).toMatchObject({ bytesTotal: total, bytesStale: 0 })
    await again.engine.close()
  })

  test('an overwrite, a delete and an inline value each make exactly one record stale', async () => {
    const { engine } = await open()
    for (let i = 0; i < 4; i++) await engine.put(key(i), value(i, 200))
    await engine.put(key(0), value(9, 300))
    await engine.delete(key(1))
    await engine.put(key(2), value(9, 64))
    const bytesLive = HEADER + 200 + HEADER + 300
    expect(only(engine)).toMatchObject({ bytesLive, bytesStale: 3 * (HEADER + 200) })
    await engine.delete(key(1))
    await engine.delete(key('never'))
    await engine.put(key(2), value(8, 64))
    expect(only(engine)).toMatchObject({ bytesLive, bytesStale: 3 * (HEADER + 200) })
    await expectLiveBytes(engine)
    await engine.close()
  })

  test('a key twice in one batch leaves the first record stale at once', async () => {
    const { engine } = await open()
    await engine.batch([
      { op: 'put', key: key(1), value: value(1, 200) },
      { op: 'put', key: key(1), value: value(2, 200) },
    ])
    expect(only(engine)).toMatchObject({ bytesLive: HEADER + 200, bytesStale: HEADER + 200 })
    await engine.close()
  })

  test('a grouped frame counts once, as long as one of its values lives', async () => {
    const { engine } = await open()
    for (let i = 0; i < 12; i++) await engine.put(key(i), new Uint8Array(200).fill(i))
    await engine.maintenance.rewrite([only(engine).segmentId])
    const output = only(engine)
    expect(output.bytesStale).toBe(0)
    expect(output.bytesTotal).toBeLessThan(12 * 200)
    for (let i = 0; i < 11; i++) await engine.delete(key(i))
    expect(only(engine)).toMatchObject({ bytesLive: output.bytesTotal, bytesStale: 0 })
    await expectLiveBytes(engine)
    await engine.delete(key(11))
    expect(only(engine)).toMatchObject({ bytesLive: 0, bytesStale: output.bytesTotal })
    await engine.close()
  })

  test('values longer than a segment and than the append buffer get segments of their own', async () => {
    const { engine, dir } = await open({ segmentBytes: 4096 })
    const sizes = [5000, 300_000, 100, 300_000, 4076]
    for (const [i, bytes] of sizes.entries()) await engine.put(key(i), value(i, bytes))
    await expectLiveBytes(engine)
    await engine.checkpoint()
    expectSizesOnDisk(engine, dir)
    await engine.maintenance.rewrite(engine.state().segments.map((s) => s.segmentId))
    await expectLiveBytes(engine)
    await engine.close()
    const again = await openFixture({}, { dir })
    for (const [i, bytes] of sizes.entries()) {
      expect(Buffer.compare(again.engine.get(key(i)) as Uint8Array, value(i, bytes))).toBe(0)
    }
    await expectLiveBytes(again.engine)
    await again.engine.close()
  })

  test(`the inspector of a closed folder counts the same (seed ${SEED})`, async () => {
    const { engine, dir } = await open({ segmentBytes: 8192 })
    const random = randomFrom(SEED)
    for (let i = 0; i < 300; i++) {
      await engine.put(key(random.between(0, 40)), value(i, random.between(0, 900)))
      if (i % 60 === 59) {
        const { segments } = engine.state()
        await engine.maintenance.rewrite([random.pick(segments).segmentId])
      }
    }
    await engine.close()
    const copy = copyFolder(dir, memoryFolder())
    const again = await openFixture({}, { dir })
    const tracked = again.engine
      .state()
      .segments.map((s) => [s.segmentId, s.bytesTotal, s.bytesLive])
    await again.engine.close()
    const deps = { fileSystem: quickFileSystem, yieldNow, nowMs: 0 }
    const { state } = await inspectFolder(copy, deps)
    expect(state.segments.map((s) => [s.segmentId, s.bytesTotal, s.bytesLive])).toEqual(tracked)
  })
})
