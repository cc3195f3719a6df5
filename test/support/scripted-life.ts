/** A short life of a store that goes through everything that touches its files, the same each time. */
import type { Engine } from '../../engine/api.ts'
import { openEngine } from '../../engine/engine.ts'
import type { FileSystem } from '../../engine/file-system.ts'
import type { Profile } from '../../engine/types.ts'
import type { Acknowledged } from './acknowledged.ts'
import { eagerClock, key, repetitive, value, yieldNow } from './engine-fixture.ts'

/** Small segments, so that the life has many of them. */
export function openForLife(
  dir: string,
  fileSystem: FileSystem,
  profile: Profile = 'durable',
): Promise<Engine> {
  const options = {
    profile,
    mode: 'step',
    checkpointIntervalMs: 0,
    inlineThreshold: 64,
    segmentBytes: 4096,
  } as const
  return openEngine(dir, options, { clock: eagerClock(), fileSystem, yieldNow })
}

const INLINE = 20
const IN_LOG = 900

export function sealedIds(engine: Engine): number[] {
  const { segments } = engine.state()
  return segments.filter((s) => s.state === 'sealed').map((s) => s.segmentId)
}

/** Every engine it opens is told, so that the caller can close what a failure left open. */
export async function scriptedLife(
  open: () => Promise<Engine>,
  acknowledged: Acknowledged,
  opened: (engine: Engine) => void,
): Promise<void> {
  const engine = await open()
  opened(engine)
  for (let i = 0; i < 10; i++) {
    await acknowledged.put(
      engine,
      key(i),
      (i % 2 === 0 ? value : repetitive)(i, i % 3 === 0 ? INLINE : IN_LOG),
    )
  }
  await engine.checkpoint()
  await acknowledged.batch(engine, [
    { op: 'put', key: key(1), value: value(101, IN_LOG) },
    { op: 'delete', key: key(2) },
    { op: 'put', key: key(20), value: value(120, INLINE) },
  ])
  const snapshot = engine.snapshot('held')
  for (const i of [4, 5, 7]) await acknowledged.put(engine, key(i), repetitive(200 + i, IN_LOG))
  await engine.maintenance.rewrite(sealedIds(engine))
  await acknowledged.delete(engine, key(8))
  // Writes while a checkpoint merges.
  const checkpoint = engine.checkpoint()
  // A failing write may come to us first.
  checkpoint.catch(() => undefined)
  await acknowledged.put(engine, key(30), value(330, IN_LOG))
  await acknowledged.put(engine, key(4), value(304, IN_LOG))
  await checkpoint
  await snapshot.close()
  await engine.maintenance.gc({ dryRun: false })
  await acknowledged.put(engine, key(31), value(331, INLINE))
  await engine.close()

  const again = await open()
  opened(again)
  await acknowledged.put(again, key(1), value(401, IN_LOG))
  await acknowledged.delete(again, key(4))
  await again.maintenance.stage({ minStaleRatio: 0.01, minAgeMs: 0 })
  await again.maintenance.rewrite(sealedIds(again))
  await acknowledged.put(again, key(5), value(405, IN_LOG))
  await again.close()
}
