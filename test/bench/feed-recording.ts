/** Real events for the feed bench: a small store is churned, and what it says is kept. */
import { setImmediate as yieldNow } from 'node:timers/promises'
import { nodeFileSystem, openEngine, StepClock } from '../../engine/index.ts'
import type { Engine, EngineEvent } from '../../engine/index.ts'

/** Longer ones, the reports of passes, come once in a while in life and would make this a bench of bytes. */
const EVENT_CHARS_MAX = 600

export async function recordedStore(
  dir: string,
): Promise<{ engine: Engine; events: EngineEvent[] }> {
  const clock = new StepClock({ wall: Date.now, monotonic: () => performance.now(), arm: null })
  clock.freeze()
  const events: EngineEvent[] = []
  const engine = await openEngine(
    dir,
    { profile: 'fast', mode: 'step', segmentBytes: 64 * 1024 },
    { clock, fileSystem: nodeFileSystem, yieldNow, onEvent: (event) => void events.push(event) },
  )
  for (let round = 0; round < 8; round++) {
    await engine.batch(
      Array.from({ length: 200 }, (_, i) => ({
        op: 'put' as const,
        key: Buffer.from(`k${String(i * ((round % 3) + 1)).padStart(6, '0')}`),
        value: Buffer.alloc(1024, round),
      })),
    )
    await engine.checkpoint()
    await engine.maintenance.runPass('periodic')
  }
  const short = events.filter((event) => JSON.stringify(event).length <= EVENT_CHARS_MAX)
  return { engine, events: short }
}
