/** The benchmark's scenario is a test too: its counts do not depend on the machine. */
import { expect, test } from 'vitest'
import { openEngine } from '../../../engine/engine.ts'
import { runKick } from '../../bench/kick-harness.ts'

const COUNTS = { initial_queue: 4 }

test('CheckpointKickRestagesRemainingRealBackendDebt: one rewrite and three restaged, or all four', async () => {
  const variant = { addedMs: 0, restage: 'on' as const }
  expect(await runKick({ ...variant, policy: 'a_plus_c' })).toMatchObject({
    ...COUNTS,
    rewrite_calls: 1,
    remaining_queue: 3,
    stage_pending: 1,
  })
  for (const all of [
    { ...variant, policy: 'a_only' as const },
    { ...variant, policy: 'queue_runner' as const },
    { ...variant, policy: 'a_plus_c' as const, restage: 'off' as const },
  ]) {
    expect(await runKick(all)).toMatchObject({
      ...COUNTS,
      rewrite_calls: 4,
      remaining_queue: 0,
      stage_pending: 0,
    })
  }
})

test('F1: a run seeds outside its window and has closed every store before the next begins', async () => {
  let open = 0
  let most = 0
  const counting: typeof openEngine = async (dir, options, deps) => {
    const engine = await openEngine(dir, options, deps)
    most = Math.max(most, (open += 1))
    const close = engine.close.bind(engine)
    engine.close = async () => {
      await close()
      open -= 1
    }
    return engine
  }
  for (let run = 0; run < 3; run += 1) {
    const begun = performance.now()
    const metrics = await runKick({ policy: 'a_plus_c', restage: 'on', addedMs: 0 }, counting)
    // Seeding 640 keys and opening twice is most of a run; none of it is in the window.
    expect(metrics.total_window_ms).toBeLessThan((performance.now() - begun) / 2)
    expect(open).toBe(0)
  }
  expect(most).toBe(1)
})
