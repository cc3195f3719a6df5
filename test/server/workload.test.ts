import { describe, expect, test } from 'vitest'
import { DEFAULT_WORKLOAD } from '../../server/demo.ts'
import { heightOperations } from '../../server/store/workload-generator.ts'
import { Workload, type WorkloadEngine } from '../../server/store/workload.ts'

const SETTINGS = { ...DEFAULT_WORKLOAD, keys: 100, putsPerSecond: 100_000, restMs: 0 }

/** Keys in memory; refuses every batch after `batchesMax`. */
function memoryEngine(batchesMax = Infinity): WorkloadEngine & { keys: Map<string, Uint8Array> } {
  const keys = new Map<string, Uint8Array>()
  let batches = 0
  return {
    keys,
    get: (key) => keys.get(Buffer.from(key).toString()),
    batch: (operations) => {
      if (++batches > batchesMax) return Promise.reject(new Error('no space left on device'))
      for (const operation of operations) {
        const key = Buffer.from(operation.key).toString()
        if (operation.op === 'put') keys.set(key, operation.value)
        else keys.delete(key)
      }
      return Promise.resolve()
    },
    iterate: () => {
      const heights = [...keys]
        .filter(([key]) => key.startsWith('h/'))
        .sort()
        .slice(-1)
      const entries = heights.map(([key, value]): [Uint8Array, Uint8Array] => [
        Buffer.from(key),
        value,
      ])
      return Object.assign(entries.values(), {
        pinId: 0,
        close: () => undefined,
        released: Promise.resolve([]),
      })
    },
  }
}

/** Looks again after every timer turn of the workload, which is what moves it. */
async function until(
  workload: Workload,
  fits: (state: Workload['state']) => boolean,
): Promise<void> {
  while (!fits(workload.state)) await new Promise(setImmediate)
}

describe('workload', () => {
  test('overlapping starts leave one run, and stop ends it', async () => {
    const engine = memoryEngine()
    const workload = new Workload(engine, SETTINGS, () => 0)
    await workload.start()
    await Promise.all([workload.start(), workload.start(), workload.start()])
    await until(workload, ({ height }) => height >= 1)
    await workload.stop()
    const { putsTotal } = workload.state
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
    expect(workload.state).toMatchObject({ status: 'stopped', putsTotal })
  })

  test('fills the key space, then churns', async () => {
    const engine = memoryEngine()
    const workload = new Workload(engine, SETTINGS, () => 0)
    await workload.start()
    expect(workload.state.status).toBe('filling')
    await until(workload, ({ height }) => height >= 3)
    expect(workload.state).toMatchObject({ status: 'churning', failure: null })
    await workload.stop()
    const { height, putsTotal } = workload.state
    expect(workload.state).toMatchObject({ status: 'stopped', putsPerSecond: 0 })
    expect(engine.keys.size).toBe(100 + height)
    expect(putsTotal).toBe(100 + height * 201)
  })

  test.each([[[4]], [[1, 2, 4]]])(
    'what it leaves depends on settings and height only, stopped at %j',
    async (stops) => {
      const engine = memoryEngine()
      const workload = new Workload(engine, SETTINGS, () => 0)
      for (const stop of stops) {
        await workload.start()
        await until(workload, ({ height }) => height >= stop)
        await workload.stop()
      }
      const { settings, height } = workload.state
      const expected = memoryEngine()
      for (let h = 1; h <= height; h++) await expected.batch(heightOperations(settings, h))
      for (const [key, value] of expected.keys) expect(engine.keys.get(key)).toEqual(value)
    },
  )

  test('a refused write ends it with the text, and it can be started again', async () => {
    const workload = new Workload(memoryEngine(4), SETTINGS, () => 0)
    await workload.start()
    await until(workload, ({ status }) => status === 'failed')
    expect(workload.state.failure).toBe('no space left on device')
    await workload.stop()
    expect(workload.state.status).toBe('failed')
  })

  test('rests between bursts', async () => {
    const workload = new Workload(
      memoryEngine(),
      { ...SETTINGS, burstMs: 100, restMs: 100 },
      () => 0,
    )
    await workload.start()
    await until(workload, ({ status }) => status === 'resting')
    const { height } = workload.state
    await until(workload, ({ status }) => status === 'churning')
    await until(workload, (state) => state.height > height)
    await workload.stop()
  })

  test('stops writing at the disk cap and goes on below it', async () => {
    let bytesTotal = 200
    const workload = new Workload(
      memoryEngine(),
      { ...SETTINGS, diskCapBytes: 100 },
      () => bytesTotal,
    )
    await workload.start()
    await until(workload, ({ status }) => status === 'capped')
    expect(workload.state.height).toBe(0)
    bytesTotal = 100
    await until(workload, ({ height }) => height > 0)
    await workload.stop()
  })

  test('changed settings restart it', async () => {
    const workload = new Workload(memoryEngine(), SETTINGS, () => 0)
    await workload.start()
    await workload.start({ shape: 'uniform', keys: 150 })
    expect(workload.state.settings).toEqual({ ...SETTINGS, shape: 'uniform', keys: 150 })
    await until(workload, ({ height }) => height > 0)
    await workload.stop()
  })
})
