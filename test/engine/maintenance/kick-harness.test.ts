/** The benchmark's scenario is a test too: its counts do not depend on the machine. */
import { expect, test } from 'vitest'
import { openEngine } from '../../../engine/engine.ts'
import { runKick, runKickUnderPuts, type Opener } from '../../bench/kick-harness.ts'
import { watchFold } from '../../support/engine-fixture.ts'

const COUNTS = { initial_queue: 4 }

/** Its events, folded over its first state, must give the state that it closes with. */
const watched: Opener = async (dir, options, deps) => {
  const engine = await openEngine(dir, options, deps)
  watchFold(engine)
  return engine
}

test.each([
  ['with the store to itself', runKick],
  ['under puts', runKickUnderPuts],
])(
  'CheckpointKickRestagesRemainingRealBackendDebt: one rewrite and three restaged, or all four, %s',
  async (_how, run) => {
    const variant = { addedMs: 0, restage: 'on' as const }
    expect(await run({ ...variant, policy: 'a_plus_c' }, watched)).toMatchObject({
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
      expect(await run(all, watched)).toMatchObject({
        ...COUNTS,
        rewrite_calls: 4,
        remaining_queue: 0,
        stage_pending: 0,
      })
    }
  },
)

test('puts under a kick are many, and one that waits for all of it shows', async () => {
  const variant = { policy: 'a_plus_c', restage: 'on', addedMs: 60 } as const
  const free = await runKickUnderPuts(variant, watched)
  expect(free.puts).toBeGreaterThan(10)
  // A lock that passes hold and puts want: no turn of the thread is any longer for it.
  const locking: Opener = async (dir, options, deps) => {
    const engine = await watched(dir, options, deps)
    const { maintenance } = engine
    let pass: Promise<unknown> = Promise.resolve()
    const [runPass, put] = [maintenance.runPass.bind(maintenance), engine.put.bind(engine)]
    maintenance.runPass = (...call) => {
      const running = runPass(...call)
      pass = running
      return running
    }
    engine.put = async (...call) => {
      await pass
      return put(...call)
    }
    return engine
  }
  const locked = await runKickUnderPuts(variant, locking)
  expect(locked.puts).toBeLessThanOrEqual(2)
  expect(locked.longest_put_ms).toBeGreaterThan(variant.addedMs)
  expect(locked.longest_stall_ms).toBeLessThan(locked.longest_put_ms)
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
